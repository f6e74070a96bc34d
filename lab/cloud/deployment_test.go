package cloud

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/lambda"
	"sluice/lab/cloud/scheduler"
	"sluice/lab/testenv"
)

// builtIn is the deployment of the configuration at path.
func builtIn(t *testing.T, path string) *Deployment {
	t.Helper()
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := BuiltIn(c, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	return &d
}

// put sends an event that asks for workers, or one that makes no sense if scaleTo is no number.
func put(t *testing.T, c *Cloud, scaleTo string) {
	t.Helper()
	script(t, c, `
import sys, boto3
boto3.client("events").put_events(Entries=[{"Source": "custom.celery.monitor", "DetailType": "celery.task.queue_full", "Detail": '{"scale_to": %s}' % sys.argv[1]}])
`, scaleTo)
}

// How often a function tries an event, how old it may get, and where it goes then, is the deployment's to say.
func TestDeadLettersAreAsDeployed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		set      func(*Function)
		attempts int
		reason   string
		lost     string
	}{
		{"one retry", func(f *Function) { f.Retry.Retries = 1 }, 2, lambda.RetriesExhausted, ""},
		{"no retry", func(f *Function) { f.Retry.Retries = 0 }, 1, lambda.RetriesExhausted, ""},
		{"too old", func(f *Function) { f.Retry.MaxAge = time.Millisecond }, 1, lambda.EventAgeExceeded, ""},
		{"no queue", func(f *Function) { f.Retry.Retries, f.DeadLetters = 0, "" }, 1, lambda.RetriesExhausted, "the function has no dead-letter queue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := settings(t, "", "true")
			d := builtIn(t, path)
			tt.set(&d.Functions[0])
			c, r := start(t, path, Options{NoSweep: true, Deployment: d, Retry: lambda.Async{RetryDelays: []time.Duration{2 * time.Millisecond}}})
			put(t, c, `"many"`)
			l := r.wait(t, "a dead letter", func(h Happening) bool { return h.DeadLetter != nil }).DeadLetter
			if l.Attempts != tt.attempts || l.Reason != tt.reason || l.Lost != tt.lost || l.ErrorType != "InvalidEvent" {
				t.Errorf("%+v", l)
			}
			got := c.messages("scaleout-dead-letters")
			if tt.lost != "" {
				if len(got) > 0 {
					t.Errorf("in the queue: %v", got)
				}
				return
			}
			want := []message{{Body: string(l.Payload), Attributes: map[string]string{
				"RequestID": l.RequestID, "ErrorCode": "200", "ErrorMessage": l.ErrorMessage,
			}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The deployed code has its own sluice.yaml, which is the one that runs.
func TestFunctionsReadTheConfigurationOfTheirCode(t *testing.T) {
	path := settings(t, "", "true")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	code := t.TempDir()
	if err := os.WriteFile(filepath.Join(code, "sluice.yaml"), []byte(strings.Replace(string(text), "name: video", "name: film", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	d := builtIn(t, path)
	for i := range d.Functions {
		d.Functions[i].Code, d.Functions[i].Env = code, map[string]string{"REDIS_URL": "redis://deployed"}
	}
	c, _ := start(t, path, Options{NoSweep: true, Deployment: d})
	res, err := c.Functions().Invoke(t.Context(), Check, []byte(`{"target":"film"}`))
	if err != nil || res.FunctionError != "" || !strings.Contains(string(res.Payload), `"queue_len":0`) {
		t.Errorf("%s, %v", res.Payload, err)
	}

	settings, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	d.Functions[1].Env = nil
	if _, err := Start(t.Context(), Options{Config: settings, ConfigPath: path, Lambdas: lambdas, Deployment: d}); err == nil ||
		!strings.Contains(err.Error(), "REDIS_URL is not in the deployment's function check") {
		t.Errorf("without the variable: %v", err)
	}
}

// Each schedule gives its input to the state machine, at local.sweep_every.
func TestSchedulesGiveTheirInput(t *testing.T) {
	path := settings(t, "", "true")
	d := builtIn(t, path)
	first := d.Schedules[0]
	first.Input, first.Timing = `{"shard":0,"shards":2}`, scheduler.Timing{Every: time.Hour}
	second := first
	second.Name, second.Input, second.Timing.Offset = "sweep-2", `{"shard":1,"shards":2}`, time.Minute
	d.Schedules = []Schedule{first, second}
	_, r := start(t, path, Options{Deployment: d})
	// The second sweep of each comes only because a second stands for the hour.
	sweeps := func(input string) int {
		r.mu.Lock()
		defer r.mu.Unlock()
		n := 0
		for _, h := range r.all {
			if e := h.Execution; e != nil && e.Event != nil && e.Event.State == "Check" && e.Event.Type == asl.Entered && string(e.Event.Data) == input {
				n++
			}
		}
		return n
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		if a, b := sweeps(first.Input), sweeps(second.Input); a < 2 || b < 2 {
			return fmt.Errorf("%d and %d sweeps", a, b)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestLocalTiming(t *testing.T) {
	five := scheduler.Timing{Every: 5 * time.Minute, Clock: true, Offset: 2 * time.Minute}
	for every, want := range map[time.Duration]scheduler.Timing{
		0:                five,
		10 * time.Second: {Every: 10 * time.Second, Offset: 4 * time.Second},
	} {
		c := &Cloud{opts: Options{Config: &config.Config{Local: config.Local{SweepEvery: config.Duration(every)}}}}
		if got := c.localTiming(five); got != want {
			t.Errorf("%v: %+v, want %+v", every, got, want)
		}
	}
}

// The schedules of many targets share them, and the time between two sweeps.
func TestSchedulesOfManyTargets(t *testing.T) {
	text := "version: 1\nbrokers: [{name: r, url_env: REDIS_URL}]\nsweep: {every: %s}\ndeploy: {targets_per_schedule: 2}\ntargets:\n"
	for _, name := range strings.Fields("a b c d e") {
		text += "  - {name: " + name + ", cluster: c, service: " + name + ", queues: [" + name + "], max: 1}\n"
	}
	minute := time.Minute
	for every, want := range map[string][]scheduler.Timing{
		"5m": {{Every: 5 * minute, Clock: true}, {Every: 5 * minute, Clock: true, Offset: minute}, {Every: 5 * minute, Clock: true, Offset: 3 * minute}},
		"7m": {{Every: 7 * minute}, {Every: 7 * minute}, {Every: 7 * minute}}, // Seven minutes do not divide an hour.
	} {
		c, err := config.Parse([]byte(strings.Replace(text, "%s", every, 1)), "sluice.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var got []scheduler.Timing
		for i, s := range schedules(c) {
			got = append(got, s.Timing)
			var in struct{ Shard, Shards int }
			if err := json.Unmarshal([]byte(s.Input), &in); err != nil || in.Shard != i || in.Shards != 3 {
				t.Errorf("input %s", s.Input)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDeploymentsThatCannotRun(t *testing.T) {
	for name, set := range map[string]func(*Deployment){
		"it has to have the functions":         func(d *Deployment) { d.Functions = d.Functions[1:] },
		"and no others":                        func(d *Deployment) { d.Functions = append(d.Functions, Function{Name: "x"}) },
		`rule scale-out has the target "x"`:    func(d *Deployment) { d.Rule.Target = "x" },
		"make rule scale-out":                  func(d *Deployment) { d.Rule.Pattern = "{" },
		"make state machine sluice-sweep":      func(d *Deployment) { d.Machine.Definition = `{"StartAt": "X", "States": {}}` },
		"add function check: /nowhere is no f": func(d *Deployment) { d.Functions[1].Code = "/nowhere" },
	} {
		path := settings(t, "", "true")
		d := builtIn(t, path)
		set(d)
		for i := range d.Functions {
			d.Functions[i].Env = map[string]string{"REDIS_URL": "x"}
		}
		settings, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Start(t.Context(), Options{Config: settings, ConfigPath: path, Lambdas: lambdas, Deployment: d, NoSweep: true})
		if err == nil {
			_ = c.Close()
			t.Errorf("%s: it started", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("error %q, want %q", err, name)
		}
	}
}

// The built-in deployment is where the configuration says that it is deployed.
func TestBuiltInARNs(t *testing.T) {
	d := builtIn(t, settings(t, "events: {bus: mine}\ndeploy: {account: \"123456789012\", region: eu-west-1}", "true"))
	got := []string{d.functionARN(Check), d.queueARN(d.Rule.DeadLetters), d.ruleARN(), d.machineARN(), d.scheduleARN(d.Schedules[0])}
	want := []string{
		"arn:aws:lambda:eu-west-1:123456789012:function:check", "arn:aws:sqs:eu-west-1:123456789012:scale-out-dead-letters",
		"arn:aws:events:eu-west-1:123456789012:rule/mine/scale-out", "arn:aws:states:eu-west-1:123456789012:stateMachine:sluice-sweep",
		"arn:aws:scheduler:eu-west-1:123456789012:schedule/sluice/sweep",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
