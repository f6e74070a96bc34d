package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/celery"
	"sluice/internal/policy"
	"sluice/lab/testenv"
)

const (
	lookWorkers  = 4
	lookPool     = 2 // Pool processes of each worker.
	lookCount    = 100
	lookPatience = time.Second // As long as a check waits for workers that do not answer.
)

// looks measures one look at one target with four real workers, and beside it what Celery's own client takes for a part of
// the same question.
func looks(ctx context.Context, l *lab) ([]row, error) {
	addr, stop, err := l.redis(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	app, err := l.celeryApp(addr)
	if err != nil {
		return nil, err
	}
	for i := range lookWorkers {
		worker := app("-m", "celery", "-A", "app", "worker", "-n", fmt.Sprintf("w%d@bench", i),
			"-c", fmt.Sprint(lookPool), "--loglevel", "WARNING")
		if err := testenv.Start(worker); err != nil {
			return nil, err
		}
		defer testenv.Stop(worker)
	}
	broker, err := celery.New(celery.Options{Addrs: []string{addr}})
	if err != nil {
		return nil, err
	}
	defer func() { _ = broker.Close() }()
	seen := func(active int) error {
		look, err := broker.Look(ctx, []string{"celery"}, lookPatience)
		return asExpected(look, err, active)
	}
	if err := testenv.WaitFor(ctx, func() error { return seen(0) }); err != nil {
		return nil, fmt.Errorf("wait for the workers: %w", err)
	}
	idle, err := timeLooks(ctx, broker, 0)
	if err != nil {
		return nil, err
	}
	rows := []row{measured("one look, 4 workers, idle", "ms", idle).timed(20)}

	// Every pool process holds a task: first without using the processor, then computing.
	const all = lookWorkers * lookPool
	gate := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = gate.Close() }()
	for _, c := range []struct {
		task, what string
		bounded    bool
	}{
		{"hold", "one look, 4 workers, all 8 pool processes busy, waiting", true},
		{"compute", "one look, 4 workers, all 8 pool processes busy, computing", false},
	} {
		if out, err := app("app.py", c.task, fmt.Sprint(all)).CombinedOutput(); err != nil {
			return rows, fmt.Errorf("send tasks: %w\n%s", err, out)
		}
		if err := testenv.WaitFor(ctx, func() error { return seen(all) }); err != nil {
			return rows, fmt.Errorf("wait for the tasks: %w", err)
		}
		took, err := timeLooks(ctx, broker, all)
		if err != nil {
			return rows, err
		}
		r := measured(c.what, "ms", took)
		if c.bounded {
			r = r.timed(20)
		}
		rows = append(rows, r)
		if c.task == "compute" {
			break // They end with their workers.
		}
		python, err := inspectTimes(app)
		if err != nil {
			return rows, err
		}
		theirs := measured("Celery's own inspect(timeout=1).active(), the same 4 workers", "ms", python)
		rows = append(rows, theirs, ratio("Celery's own / one look", theirs, r))
		for range all {
			if err := gate.LPush(ctx, "gate", "go").Err(); err != nil {
				return rows, fmt.Errorf("let the tasks go: %w", err)
			}
		}
		if err := testenv.WaitFor(ctx, func() error { return seen(0) }); err != nil {
			return rows, fmt.Errorf("wait for the tasks' end: %w", err)
		}
	}
	return rows, nil
}

// celeryApp returns what makes a command of the Python application in testdata.
func (l *lab) celeryApp(addr string) (func(args ...string) *exec.Cmd, error) {
	python, err := l.python()
	if err != nil {
		return nil, err
	}
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(python, args...)
		cmd.Dir = filepath.Join(l.root, "lab", "bench", "testdata")
		cmd.Env = append(os.Environ(), "BENCH_REDIS=redis://"+addr+"/0", "PYTHONDONTWRITEBYTECODE=1")
		return cmd
	}, nil
}

// timeLooks looks a hundred times, in milliseconds. A look that does not see everything is no look.
func timeLooks(ctx context.Context, b *celery.Broker, active int) ([]float64, error) {
	took := make([]float64, 0, lookCount)
	for range lookCount {
		began := time.Now()
		look, err := b.Look(ctx, []string{"celery"}, lookPatience)
		took = append(took, time.Since(began).Seconds()*1e3)
		if err := asExpected(look, err, active); err != nil {
			return nil, err
		}
	}
	return took, nil
}

// asExpected errs if a look did not see all workers and just so many active tasks.
func asExpected(look policy.Look, err error, active int) error {
	if err != nil {
		return err
	}
	sum := policy.Known(0)
	for _, n := range look.Nodes {
		sum = sum.Add(n.Active)
	}
	if look.Heard() != lookWorkers || sum != policy.Known(active) {
		return fmt.Errorf("look at the workers: heard %d of %d, active %+v, want %d", look.Heard(), lookWorkers, sum, active)
	}
	return nil
}

// inspectTimes runs Celery's own client, which prints how long each of its calls took, in milliseconds.
func inspectTimes(app func(...string) *exec.Cmd) ([]float64, error) {
	cmd := app("app.py", "inspect", "5", fmt.Sprint(lookWorkers))
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("inspect by Celery: %w\n%s", err, errs.Bytes())
	}
	var took []float64
	if err := json.Unmarshal(out, &took); err != nil {
		return nil, fmt.Errorf("read the times of Celery's inspect: %w", err)
	}
	return took, nil
}
