package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/lab/cloud"
	localecs "sluice/lab/cloud/ecs"
	"sluice/lab/testenv"
)

// update has the test write what the commands print into the operator's guide: `make docs`.
var update = flag.Bool("update", false, "write the outputs into docs/operate.md")

// guide runs the commands of docs/operate.md against a local cloud with real workers, and keeps what they print.
type guide struct {
	*cloud.Cloud
	t      *testing.T
	python string
	ended  chan cloud.ExecutionStep
	blocks map[string]string // What stands in the guide, by the name of the block.
}

// newGuide starts the shop in a folder of its own, which the commands run in. Sweeps run when the story asks for one.
func newGuide(t *testing.T) *guide {
	t.Helper()
	g := &guide{t: t, python: testenv.Python(t), ended: make(chan cloud.ExecutionStep, 100), blocks: map[string]string{}}
	redis := testenv.RedisServer(t)
	lambdas := t.TempDir()
	if err := cloud.BuildFunctions(testenv.Root(), lambdas); err != nil {
		t.Fatal(err)
	}
	t.Chdir(shop(t))
	t.Setenv("PATH", filepath.Dir(g.python)+":"+os.Getenv("PATH")) // The shop's workers are started by `python`.
	c, err := config.Load(defaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	g.Cloud, err = cloud.Start(t.Context(), cloud.Options{
		Config: c, ConfigPath: defaultConfig, Lambdas: lambdas, RedisURL: "redis://" + redis + "/0", NoSweep: true,
		FunctionLog: t.Output(), TaskLog: func(localecs.Spec) io.Writer { return t.Output() }, Watch: g.note,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, kv := range g.Env() {
		name, value, _ := strings.Cut(kv, "=")
		t.Setenv(name, value)
	}
	return g
}

// slowWarehouse is a file beside the shop: as long as it is there, a report waits for its warehouse.
const slowWarehouse = "slow-warehouse"

// shop is a folder with the shop and its sluice.yaml, with a window that opens some hours from now. Its reports take as long as the
// test wants.
func shop(t *testing.T) string {
	t.Helper()
	from, dir := filepath.Join(testenv.Root(), "examples", "shop"), t.TempDir()
	for _, name := range []string{"tasks.py", "ledger.py", defaultConfig} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		const nap = "        time.sleep(seconds_per_day)\n"
		if name == "tasks.py" {
			if !strings.Contains(string(text), nap) {
				t.Fatalf("%s has no line %q", name, nap)
			}
			text = []byte(strings.Replace(string(text), nap, "        while os.path.exists(\""+slowWarehouse+"\"):\n            time.sleep(0.05)\n", 1))
		}
		if name == defaultConfig {
			window := fmt.Sprintf("    windows:\n      - {name: nightly batch, cron: \"0 %d * * *\", for: 2h, min: 2, pre_warm: 10m}\n", (time.Now().UTC().Hour()+6)%24)
			before, after, ok := strings.Cut(string(text), "\nlocal:")
			if !ok {
				t.Fatalf("%s has no section local", name)
			}
			text = []byte(before + window + "\nlocal:" + after)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (g *guide) note(h cloud.Happening) {
	if h.Execution != nil && h.Execution.Ended != nil {
		g.ended <- *h.Execution
	}
}

// sweep runs the state machine once.
func (g *guide) sweep() {
	g.t.Helper()
	if _, err := g.StartSweep(); err != nil {
		g.t.Fatal(err)
	}
	g.swept()
}

// swept waits until the sweep has ended that was started, by whomever.
func (g *guide) swept() {
	g.t.Helper()
	select {
	case <-g.ended:
	case <-time.After(5 * time.Minute):
		g.t.Fatal("the sweep does not end")
	}
}

// looks are the commands that change nothing. On a busy machine a worker may not answer one in time: then it is run again.
var looks = []string{"status", "plan", "why", "doctor"}

// run runs a command for a block of the guide, checks its exit status, and that it says what is wanted.
func (g *guide) run(block, line string, status int, want ...string) {
	g.t.Helper()
	args, err := words(line)
	if err != nil {
		g.t.Fatal(err)
	}
	var text string
	once := func() error {
		got, out, errs := execute(g.t, args...)
		text = out + errs
		if got != status {
			return fmt.Errorf("exit status %d, want %d\n%s", got, status, text)
		}
		for _, w := range want {
			if ok, err := regexp.MatchString(w, text); err != nil || !ok {
				return fmt.Errorf("it does not say %q (%v):\n%s", w, err, text)
			}
		}
		return nil
	}
	if slices.Contains(looks, args[0]) {
		err = testenv.WaitFor(g.t.Context(), once)
	} else {
		err = once()
	}
	if err != nil {
		g.t.Errorf("sluice %s: %v", line, err)
	}
	if g.blocks[block] != "" {
		g.blocks[block] += "\n"
	}
	g.blocks[block] += "$ sluice " + line + "\n" + text
}

// words splits a command line as a shell does, as far as double quotes.
func words(line string) (args []string, err error) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			args = append(args, part)
		} else {
			args = append(args, strings.Fields(part)...)
		}
	}
	if strings.Count(line, `"`)%2 == 1 {
		return nil, fmt.Errorf("%s: a quote is open", line)
	}
	return args, nil
}

// until waits until the only target is as wanted, by `sluice status`.
func (g *guide) until(what string, wanted func(targetStatus) bool) targetStatus {
	g.t.Helper()
	var last targetStatus
	if err := testenv.WaitFor(g.t.Context(), func() error {
		_, out, errs := execute(g.t, "status", "-o", "json")
		var s status
		if err := json.Unmarshal([]byte(out), &s); err != nil || len(s.Targets) != 1 {
			return fmt.Errorf("%w: %s%s", err, out, errs)
		}
		if last = s.Targets[0]; !wanted(last) {
			return errors.New(what + " is awaited: " + out)
		}
		return nil
	}); err != nil {
		g.t.Fatal(err)
	}
	return last
}

// sweepTo sweeps until so many workers are wanted: a sweep that does not hear from all of them lets none go.
func (g *guide) sweepTo(n int) {
	g.t.Helper()
	g.until(fmt.Sprint("a count of ", n), func(s targetStatus) bool {
		if !is(s.Desired, n) {
			g.sweep()
		}
		return is(s.Desired, n)
	})
}

// settled waits until no worker is younger than grace, 3 s here: until then a plan would hold.
func (g *guide) settled() {
	g.t.Helper()
	g.until("workers that are old enough", func(targetStatus) bool {
		_, out, _ := execute(g.t, "why", "shop-workers", "-o", "json")
		var y why
		return json.Unmarshal([]byte(out), &y) == nil && y.Now != nil && !slices.Contains(y.Now.Record.Reasons, policy.ReasonGrace)
	})
}

// is says whether a number is known, and is that one.
func is(n *int, want int) bool { return n != nil && *n == want }

// enqueue has the application put tasks into its queues.
func (g *guide) enqueue(python string) {
	g.t.Helper()
	cmd := exec.Command(g.python, "-c", "import tasks\n"+python)
	cmd.Env = append(os.Environ(), g.Env()...)
	if out, err := cmd.CombinedOutput(); err != nil {
		g.t.Fatalf("enqueue: %v\n%s", err, out)
	}
}

// tag sets a tag on the service, as somebody with a console might.
func (g *guide) tag(key, value string) {
	g.t.Helper()
	sdk, err := awsconfig.LoadDefaultConfig(g.t.Context())
	if err != nil {
		g.t.Fatal(err)
	}
	c := ecs.NewFromConfig(sdk)
	found, err := c.DescribeServices(g.t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("shop"), Services: []string{"workers"}})
	if err != nil || len(found.Services) != 1 {
		g.t.Fatalf("%v, %v", found, err)
	}
	if _, err := c.TagResource(g.t.Context(), &ecs.TagResourceInput{
		ResourceArn: found.Services[0].ServiceArn, Tags: []types.Tag{{Key: &key, Value: &value}},
	}); err != nil {
		g.t.Fatal(err)
	}
}

// TestOperate is the story of docs/operate.md.
func TestOperate(t *testing.T) {
	g := newGuide(t)
	running := func(n int) func(targetStatus) bool {
		return func(s targetStatus) bool { return is(s.Desired, n) && is(s.Running, n) && is(s.Active, 0) }
	}

	g.run("idle", "status", 0, `shop-workers +0 +0 +0 +0 +0 +0 `)

	g.run("trigger", "trigger --scale-to 2", 0, "Sent")
	g.until("two workers that answer", running(2))
	if err := os.WriteFile(slowWarehouse, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	g.enqueue("for i in range(30): tasks.confirm.delay(i, [[1, 250]], 200)\ntasks.report.delay(1, 24, 1.0)")
	g.until("just the long task", func(s targetStatus) bool { return is(s.Backlog, 0) && is(s.Active, 1) && is(s.Held, 0) })
	g.settled()
	g.run("busy", "status", 0, `shop-workers +0 +1 +0 +2 +2 +0 +0 -> 2, \d+[sm]`)
	g.run("plan", "plan", 0, `shop-workers +2 -> 1\? +1 +0\.\.3`, `would act on 1 of 1 target`)
	g.run("why", "why shop-workers", 0,
		`would let 1 worker go \(2 -> 1\)`, `\(surplus\)`, `executes 1`, `  nothing`, `if the executing task ended: 2 -> 0`, `An event started workers: 0 -> 2`, `scaled out: 0 -> 2, [\d.]+m?s`)

	g.sweepTo(1)
	g.until("one worker", func(s targetStatus) bool { return is(s.Desired, 1) && is(s.Running, 1) })
	g.run("after", "why shop-workers", 0, `A sweep let workers go: 2 -> 1`, `looked again: still so`, `scaled in: 2 -> 1`, `executes 1`)

	g.run("pause", `pause shop-workers --for 2h --reason "database upgrade"`, 0)
	if err := os.Remove(slowWarehouse); err != nil {
		t.Fatal(err)
	}
	g.until("the end of the long task", running(1))
	g.sweep()
	g.run("pause", "status", 0, `paused until .*\(sluice:paused\): database upgrade`, `hold, \d+[sm]`)
	g.run("pause", "plan", 0, `hold at 1 .*`, `\(paused\)`)
	g.run("resume", "resume shop-workers", 0)

	g.run("set", "set shop-workers --min 2 --for 30m", 0)
	g.sweep()
	g.until("two workers by min", running(2))
	g.run("set", "status", 0, `min 2 until .*\(sluice:min\)`, `1 -> 2, \d+[sm]`)
	g.run("clear", "set shop-workers --clear", 0)

	g.tag("sluice:max", "ten")
	g.run("trouble", "status", 0, `tag sluice:max: "ten" is not a whole number`)
	g.run("trouble", "plan", 0, `\(override\)`)
	g.run("trouble", "set shop-workers --clear", 0)

	text, err := os.ReadFile(defaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	unreachable := strings.Replace(string(text), "url_secret: shop/redis", "url: redis://"+testenv.RefusingAddr(t)+"/0", 1)
	if err := os.WriteFile("laptop.yaml", []byte(unreachable), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run("unseen", "status --config laptop.yaml", 1, `shop-workers +\? +\? +\? +2 +2 `, `connection\s+refused`, "--via function")
	g.run("unseen", "plan --via function", 0, `2 -> 0\?`, `\(idle\)`)

	g.settled()
	g.run("doctor", "doctor", 0, "stop-timeout")
	g.run("drain", "drain shop-workers --for 1h", 0)
	g.swept()
	g.sweepTo(0)
	g.until("no worker", running(0))
	if err := testenv.WaitFor(t.Context(), func() error {
		_, tasks := g.ECS().Snapshot()
		if slices.ContainsFunc(tasks, func(task localecs.TaskState) bool { return task.Exit == nil }) {
			return errors.New("a worker is on its way out")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	g.run("drain", "status", 0, `shop-workers +0 +0 +0 +0 +0 `, `max 0 until .*\(sluice:max\)`)
	g.run("drain", "set shop-workers --clear", 0)

	g.run("schedule", "schedule", 0, "nightly batch", "min")
	g.run("exit", "status nobody", 1, `target "nobody" is not in sluice.yaml`)
	g.run("exit", "why", 2, "name one target: shop-workers")
	g.run("cost", "cost --since 1h", 0, "controller", "together")

	g.writeOrCompare(filepath.Join(testenv.Root(), "docs", "operate.md"))
}

// block is a block of the guide: its name, and what stands in it.
var block = regexp.MustCompile("(?s)<!-- run: ([a-z-]+) -->\n```console\n(.*?)```\n")

// writeOrCompare puts the outputs into the guide, or checks that the guide has the same commands in the same blocks: the outputs have
// other times each time.
func (g *guide) writeOrCompare(path string) {
	g.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		g.t.Fatal(err)
	}
	var found []string
	written := block.ReplaceAllFunc(text, func(b []byte) []byte {
		m := block.FindSubmatch(b)
		name, old := string(m[1]), string(m[2])
		found = append(found, name)
		now, ok := g.blocks[name]
		switch {
		case !ok:
			g.t.Errorf("%s: the story has no block %s", path, name)
		case !*update && !slices.Equal(commands(old), commands(now)):
			g.t.Errorf("%s: block %s has the commands %q, the story %q: run `make docs`", path, name, commands(old), commands(now))
		}
		return fmt.Appendf(nil, "<!-- run: %s -->\n```console\n%s```\n", name, now)
	})
	for name := range g.blocks {
		if !slices.Contains(found, name) {
			g.t.Errorf("%s has no block %s: give it one, `<!-- run: %s -->` and an empty block of console", path, name, name)
		}
	}
	if *update && !g.t.Failed() {
		if err := os.WriteFile(path, written, 0o644); err != nil {
			g.t.Fatal(err)
		}
	}
}

// commands are the command lines of a block.
func commands(block string) (lines []string) {
	for line := range strings.Lines(block) {
		if strings.HasPrefix(line, "$ ") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}
