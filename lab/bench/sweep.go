package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/lambda"
)

// The largest set-up that a sweep is built for. Of the twenty targets of each broker twelve have no worker, and messages
// wait for four of those; eight have one worker each, of which four execute a task and four are idle.
const (
	sweepTargets = 1000
	sweepBrokers = 50
	perBroker    = sweepTargets / sweepBrokers
	sweepRuns    = 3 // Of each kind.
	waitingUpTo  = 4 // Of a broker's targets, the first ones have waiting messages,
	busyFrom     = 12
	idleFrom     = 16
)

// maxPerQueue is how many Redis commands one check may take for each queue, whatever waits in it: four lists are measured
// and measured once more where messages are read, and what is asked once of each broker is shared by its queues. Reading the
// messages of a short list adds one for each, and is bounded by 200.
const maxPerQueue = 15

// sweeps measures one check of a thousand targets on fifty brokers by the function as it ships, in a process of its own.
func sweeps(ctx context.Context, l *lab) ([]row, error) {
	bootstrap, err := l.built("local", "check", "bootstrap")
	if err != nil {
		return nil, err
	}
	addr, stop, err := l.redis(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	config, err := l.write("sluice.yaml", yaml(addr, sweepTargets, sweepBrokers))
	if err != nil {
		return nil, err
	}
	workers, err := startStandIns(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer workers.end()

	var all []swept
	var rows []row
	for _, waiting := range []int{10, 10_000} {
		if err := fill(ctx, addr, waiting); err != nil {
			return rows, err
		}
		var commands []float64
		for range sweepRuns {
			s, err := sweep(ctx, l, bootstrap, config, addr, workers)
			if err != nil {
				return rows, err
			}
			all = append(all, s)
			n := float64(s.commands)
			if waiting <= 200 {
				n -= float64(waiting * waitingUpTo * sweepBrokers) // Each message is read.
			}
			commands = append(commands, n/sweepTargets)
		}
		rows = append(rows, measured(fmt.Sprintf("Redis commands per queue, %d messages in every fifth queue", waiting),
			"commands", commands).counted(maxPerQueue))
	}
	pick := func(f func(swept) float64) []float64 {
		var out []float64
		for _, s := range all {
			out = append(out, f(s))
		}
		return out
	}
	name := fmt.Sprintf("check of %d targets on %d brokers", sweepTargets, sweepBrokers)
	return append([]row{
		measured(name+", first invocation", "s", pick(func(s swept) float64 { return s.took })).timed(5),
		measured("  and before it: process start, configuration", "s", pick(func(s swept) float64 { return s.init })),
		measured("  peak memory of the function (RSS)", "MB", pick(func(s swept) float64 { return s.memory })),
		measured("DescribeServices calls", "calls", pick(func(s swept) float64 { return s.describes })).counted(100),
		measured("other calls to ECS", "calls", pick(func(s swept) float64 { return s.others })).counted(0),
	}, rows...), nil
}

// swept is what one check took.
type swept struct {
	took, init        float64 // Seconds.
	memory            float64 // MB.
	describes, others float64 // Calls to ECS.
	commands          int     // Redis commands, those inside of scripts included.
}

// sweep runs one check in a new process against an ECS whose rate limits nobody has used yet, and holds its answer against
// what is there: a check that is fast and wrong would be of no use.
func sweep(ctx context.Context, l *lab, bootstrap, config, addr string, workers *standIns) (swept, error) {
	var services []ecs.ServiceConfig
	for i := range sweepTargets {
		c := ecs.ServiceConfig{Cluster: "bench", Name: targetName(i)}
		if i/sweepBrokers >= busyFrom {
			c.Desired = 1
		}
		services = append(services, c)
	}
	model, url, closeECS, err := l.ecs(services)
	if err != nil {
		return swept{}, err
	}
	defer closeECS()
	var attempt lambda.Attempt
	host, err := lambda.Start(lambda.Options{
		Functions: []lambda.Function{{
			Name: "check", Bootstrap: bootstrap, Timeout: time.Minute,
			Env: map[string]string{"SLUICE_CONFIG": config, "AWS_ENDPOINT_URL": url},
		}},
		OnAttempt: func(a lambda.Attempt) { attempt = a },
	})
	if err != nil {
		return swept{}, err
	}
	defer func() { _ = host.Close() }()
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	if err := c.ConfigResetStat(ctx).Err(); err != nil {
		return swept{}, fmt.Errorf("reset the server's statistics: %w", err)
	}
	theirs := workers.sent.Load()
	result, err := host.Invoke(ctx, "check", []byte("{}"))
	if err != nil {
		return swept{}, err
	}
	s := swept{took: attempt.Duration.Seconds(), init: attempt.Init.Seconds()}
	if s.commands, err = commands(ctx, c); err != nil {
		return s, err
	}
	s.commands -= int(workers.sent.Load() - theirs)
	s.describes = float64(model.Calls()["DescribeServices"])
	s.others = float64(calls(model)) - s.describes
	if s.memory, err = peakMemory(bootstrap); err != nil {
		return s, err
	}
	return s, rightAnswer(result)
}

// rightAnswer errs if the check did not see what is there.
func rightAnswer(r lambda.Result) error {
	var got struct {
		Checked  int `json:"checked"`
		Held     int `json:"held"`
		Failed   int `json:"failed"`
		Deferred int `json:"deferred"`
		Targets  []struct {
			Out bool `json:"should_scale_out"`
		} `json:"targets"`
	}
	if r.FunctionError != "" || json.Unmarshal(r.Payload, &got) != nil {
		return fmt.Errorf("check all targets: the function answered %.300s", r.Payload)
	}
	raised := 0
	for _, t := range got.Targets {
		if t.Out {
			raised++
		}
	}
	// Those with messages are to be raised, the idle ones are candidates, and the rest, busy or at zero, is held.
	acts := waitingUpTo*sweepBrokers + (perBroker-idleFrom)*sweepBrokers
	if got.Checked != sweepTargets || got.Failed != 0 || len(got.Targets)+got.Deferred != acts ||
		got.Held != sweepTargets-acts || raised != waitingUpTo*sweepBrokers {
		return fmt.Errorf("check all targets: checked %d, held %d, failed %d, to act on %d, of which raised %d: not what is there",
			got.Checked, got.Held, got.Failed, len(got.Targets)+got.Deferred, raised)
	}
	return nil
}

// startStandIns starts the workers of all targets that have one.
func startStandIns(ctx context.Context, addr string) (*standIns, error) {
	s := &standIns{}
	for db := range sweepBrokers {
		client := redis.NewClient(&redis.Options{Addr: addr, DB: db, PoolSize: 1})
		s.atEnd(func() { _ = client.Close() })
		if err := client.Ping(ctx).Err(); err != nil { // What a connection costs at first must not count later.
			s.end()
			return nil, fmt.Errorf("start stand-ins: %w", err)
		}
		for i := busyFrom; i < perBroker; i++ {
			n := i*sweepBrokers + db // Target n is of broker n % sweepBrokers.
			w := standIn{name: fmt.Sprintf("celery@ip-10-0-%d-%d", db, i), queue: queueName(n), db: db, client: client}
			if i < idleFrom {
				w.active = 1
			}
			if _, err := s.begin(ctx, w); err != nil {
				s.end()
				return nil, err
			}
		}
	}
	return s, nil
}

// fill has so many messages wait in the queues that are to have some.
func fill(ctx context.Context, addr string, waiting int) error {
	text := message([]any{[]any{}, map[string]any{}, map[string]any{}}, map[string]any{"task": "t", "id": "1", "eta": nil})
	messages := make([]any, waiting)
	for i := range messages {
		messages[i] = text
	}
	for db := range sweepBrokers {
		c := redis.NewClient(&redis.Options{Addr: addr, DB: db})
		for i := range waitingUpTo {
			key := queueName(i*sweepBrokers + db)
			err := errors.Join(c.Del(ctx, key).Err(), c.LPush(ctx, key, messages...).Err())
			if err != nil {
				_ = c.Close()
				return fmt.Errorf("fill %s: %w", key, err)
			}
		}
		_ = c.Close()
	}
	return nil
}

// commands is how many commands the server has executed since its statistics were reset, without those that asked it.
func commands(ctx context.Context, c *redis.Client) (int, error) {
	text, err := c.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, fmt.Errorf("read the server's statistics: %w", err)
	}
	sum := 0
	for line := range strings.Lines(text) {
		name, rest, ok := strings.Cut(strings.TrimSpace(line), ":calls=")
		if !ok || slices.Contains([]string{"cmdstat_info", "cmdstat_config|resetstat"}, name) {
			continue
		}
		digits, _, _ := strings.Cut(rest, ",")
		n, err := strconv.Atoi(digits)
		if err != nil {
			return 0, fmt.Errorf("read the server's statistics: %q", line)
		}
		sum += n
	}
	return sum, nil
}

// peakMemory is the most memory that the one process of the bootstrap has had resident, in MB, as Linux tells it.
func peakMemory(bootstrap string) (float64, error) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return 0, fmt.Errorf("find the function's process: %w", err)
	}
	for _, link := range links {
		status := filepath.Join(filepath.Dir(link), "status")
		if target, err := os.Readlink(link); err != nil || target != bootstrap {
			continue
		}
		text, err := os.ReadFile(status)
		if err != nil || !childOfOurs(text) {
			continue
		}
		kB, err := strconv.ParseFloat(field(text, "VmHWM:"), 64)
		if err != nil {
			return 0, fmt.Errorf("read the function's memory: %w", err)
		}
		return kB * 1024 / 1e6, nil
	}
	return 0, errors.New("find the function's process: it is not there, or this is no Linux")
}

func childOfOurs(status []byte) bool { return field(status, "PPid:") == strconv.Itoa(os.Getpid()) }

// field is the first word after the name in a file such as /proc/PID/status.
func field(status []byte, name string) string {
	for line := range bytes.Lines(status) {
		if f := strings.Fields(string(line)); len(f) > 1 && f[0] == name {
			return f[1]
		}
	}
	return ""
}
