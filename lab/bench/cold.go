package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"sluice/internal/loopback"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/lambda"
)

// cold is one kind of cold start.
type cold struct {
	what      string
	bootstrap string
	payload   func(run int) string
	answer    string // What the answer has to hold.
	config    string // The sluice.yaml; that of all others if it is empty.
}

// coldStarts measures the time from the start of a process until its first answer is there, each in a new process under
// the local Lambda host, all kinds in turn within one round, so that whatever else the machine does meets all of them.
//
// Ours answer twice: something that needs neither ECS nor Redis (an event that is not ours, an input without a target), as
// hello-world does; and something real. The original is written anew in Python, as the three-function fix that Sluice
// replaces: boto3, and redis where it reads the queue. One of ours is started with metrics, and with traces, which are sent before
// the answer.
func coldStarts(ctx context.Context, l *lab) ([]row, error) {
	addr, stop, err := l.redis(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	_, url, closeECS, err := l.ecs([]ecs.ServiceConfig{
		{Cluster: "bench", Name: targetName(0)}, {Cluster: "bench", Name: "original"},
	})
	if err != nil {
		return nil, err
	}
	defer closeECS()
	config, err := l.write("sluice.yaml", yaml(addr, 1, 1))
	if err != nil {
		return nil, err
	}
	env := map[string]string{
		"SLUICE_CONFIG": config, "AWS_ENDPOINT_URL": url,
		"CLUSTER": "bench", "SERVICE": "original", "REDIS_URL": "redis://" + addr + "/0",
	}
	kinds, err := l.kinds(ctx)
	if err != nil {
		return nil, err
	}
	collector := httptest.NewServer(loopback.Guard(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
	})))
	defer collector.Close()
	for i, more := range []struct{ what, config string }{
		{"scaleout, an event that is not ours, with metrics", "metrics: {level: targets}\n"},
		{"scaleout, an event that is not ours, with traces", fmt.Sprintf("traces: {endpoint: %q}\n", collector.URL)},
	} {
		k := kinds[1]
		k.what = more.what
		if k.config, err = l.write("sluice.yaml", yaml(addr, 1, 1)+more.config); err != nil {
			return nil, err
		}
		kinds = slices.Insert(kinds, 7+i, k)
	}
	took := make([][]float64, len(kinds))
	for run := range l.runs + 1 {
		for i := range kinds {
			k := (i + run) % len(kinds) // Nobody is always the first.
			ms, err := coldStart(ctx, kinds[k], env, run)
			if err != nil {
				return nil, fmt.Errorf("cold start of %s: %w", kinds[k].what, err)
			}
			if run > 0 { // The first round has the files read from the disk.
				took[k] = append(took[k], ms)
			}
		}
	}
	rows := make([]row, len(kinds))
	for i, k := range kinds {
		rows[i] = measured(k.what, "ms", took[i])
	}
	out := rows
	for i := 1; i <= len(shipped); i++ {
		out = append(out, ratio(rows[i].What+" / "+rows[0].What, rows[i], rows[0]).timed(1.5))
	}
	n := len(rows)
	return append(out,
		ratio(rows[7].What+" / without", rows[7], rows[1]),
		ratio(rows[8].What+" / without", rows[8], rows[1]),
		ratio(rows[n-2].What+" / scaleout, the same event", rows[n-2], rows[4]),
		ratio(rows[n-1].What+" / check, the same target", rows[n-1], rows[5])), nil
}

// kinds lists what is started: hello-world first, then ours without and with something real, then the original.
func (l *lab) kinds(ctx context.Context) ([]cold, error) {
	hello, err := l.hello(ctx, runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	always := func(payload string) func(int) string { return func(int) string { return payload } }
	// Each event asks for one worker more than the last, so that each changes the count.
	rising := func(run int) string { return event(run + 1) }
	seen := `{"target":"target-0","previous":{"at":"2026-11-21T22:00:00Z","processed":0,"heard":0}}`
	kinds := []cold{{"hello-world in Go", hello, always("{}"), "world", ""}}
	ours := map[string]string{}
	for _, name := range shipped {
		if ours[name], err = l.built("local", name, "bootstrap"); err != nil {
			return nil, err
		}
	}
	python, err := l.python()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(l.root + "/lab/bench/testdata/original.py")
	if err != nil {
		return nil, fmt.Errorf("read the original: %w", err)
	}
	original := map[string]string{}
	for _, name := range []string{"scale_out", "check"} {
		program := "#!" + python + "\n" + strings.ReplaceAll(string(text), "@HANDLER@", name)
		if original[name], err = l.write("bootstrap", program); err != nil {
			return nil, err
		}
	}
	return append(kinds,
		cold{"scaleout, an event that is not ours", ours["scaleout"], always(strings.Replace(event(1), "custom.celery", "other", 1)), "InvalidEvent", ""},
		cold{"check, an input without a target", ours["check"], always(`{"previous":{}}`), "InvalidEvent", ""},
		cold{"scalein, an input without a target", ours["scalein"], always("{}"), "InvalidEvent", ""},
		cold{"scaleout, event: Redis, DescribeServices, UpdateService", ours["scaleout"], rising, "scaled out", ""},
		cold{"check, one target: Redis, DescribeServices", ours["check"], always(`{"target":"target-0"}`), `"failed":false`, ""},
		cold{"scalein, one target: Redis, its service and tasks", ours["scalein"], always(seen), "held", ""},
		cold{"original in Python: boto3, UpdateService", original["scale_out"], rising, "scaled", ""},
		cold{"original in Python: boto3, redis, DescribeServices", original["check"], always("{}"), "should_scale_in", ""},
	), nil
}

// coldStart starts one process and returns how many milliseconds it took until its answer was there.
func coldStart(ctx context.Context, k cold, env map[string]string, run int) (float64, error) {
	if k.config != "" {
		env = maps.Clone(env)
		env["SLUICE_CONFIG"] = k.config
	}
	host, err := lambda.Start(lambda.Options{Functions: []lambda.Function{{
		Name: "function", Bootstrap: k.bootstrap, Env: env, Timeout: 30 * time.Second,
	}}})
	if err != nil {
		return 0, err
	}
	defer func() { _ = host.Close() }()
	payload := []byte(k.payload(run))
	began := time.Now()
	result, err := host.Invoke(ctx, "function", payload)
	took := time.Since(began)
	if err != nil {
		return 0, err
	}
	if !strings.Contains(string(result.Payload), k.answer) {
		return 0, fmt.Errorf("it answered %.300s, not %q", result.Payload, k.answer)
	}
	return took.Seconds() * 1e3, nil
}
