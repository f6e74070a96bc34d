package ecs_test

import (
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sluice/lab/cloud/ecs"
	"sluice/lab/testenv"
)

// A real Celery worker with a pool of processes, told to stop while it works: SIGTERM alone lets it finish, and the stop
// timeout ends it if it does not.
func TestCeleryWorker(t *testing.T) {
	python, began := testenv.Python(t), time.Now()
	for _, c := range []struct {
		name   string
		shared bool
		nap    string
		says   string
		want   ecs.Exit
	}{
		{"finishes its work, in namespaces of its own", false, "1.5", "nap ends", ecs.Exit{}},
		{"finishes its work, in ours", true, "1.5", "nap ends", ecs.Exit{}},
		{"works for too long", false, "1000", "nap begins", ecs.Exit{Code: 137, Killed: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			broker := "redis://" + testenv.RedisServer(t) + "/0"
			out := new(testenv.Output)
			const timeout = time.Minute
			var passed atomic.Int64 // ECS's clock stands still until the test has heard what the worker says to SIGTERM.
			m := ecs.New(ecs.Options{Now: func() time.Time { return began.Add(time.Duration(passed.Load())) }, Runner: &ecs.Processes{
				SharePIDs: c.shared, Log: func(ecs.Spec) io.Writer { return out },
			}})
			defer m.Close()
			if err := m.CreateService(ecs.ServiceConfig{
				Name: "worker", Desired: 1, StopTimeout: timeout, Dir: "testdata", Env: []string{"BROKER=" + broker},
				Command: []string{
					python, "-B", "-m", "celery", "-A", "app", "worker", "-c", "2", "-l", "INFO", "-n", "celery@{hostname}",
				},
			}); err != nil {
				t.Fatal(err)
			}
			go m.Run(t.Context())
			hear := func(what string) {
				t.Helper()
				if err := testenv.WaitFor(t.Context(), func() error {
					if !strings.Contains(out.String(), what) {
						return fmt.Errorf("%q is not in %s", what, out.String())
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			hear("celery@ip-10-0-0-11.ec2.internal ready.")
			send := exec.Command(python, "-B", "-c", "import app; app.nap.delay("+c.nap+")")
			send.Dir, send.Env = "testdata", append(send.Environ(), "BROKER="+broker)
			if said, err := send.CombinedOutput(); err != nil {
				t.Fatalf("send a task: %v\n%s", err, said)
			}
			hear("nap begins")
			_, client := serve(t, m)
			setDesired(t, client, "worker", 0)
			hear("Warm shutdown")
			if c.want.Killed {
				passed.Store(int64(timeout))
			}
			var end *ecs.Exit
			if err := testenv.WaitFor(t.Context(), func() error {
				m.Tick()
				_, tasks := m.Snapshot()
				if end = tasks[0].Exit; end == nil {
					return fmt.Errorf("the worker is %s", tasks[0].Status)
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if *end != c.want || !strings.Contains(out.String(), c.says) {
				t.Errorf("got %+v, want %+v; it said\n%s", *end, c.want, out.String())
			}
		})
	}
}
