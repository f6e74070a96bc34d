package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"time"

	"sluice/lab/cloud/ecs"
)

// api is the shop's API server, a process of its own that does not outlive this one.
type api struct {
	url     string
	process ecs.Process
	ended   chan ecs.Exit
}

// startAPI starts uvicorn on a free port, with the environment that a user of the local cloud would use, and returns when
// it answers. The port is free now and may be taken a moment later, in which case uvicorn says so in its log and ends.
func startAPI(ctx context.Context, python, dir string, env []string, log io.Writer) (*api, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	if err := listener.Close(); err != nil {
		return nil, fmt.Errorf("find a free port: %w", err)
	}
	a := &api{url: fmt.Sprintf("http://127.0.0.1:%d", port), ended: make(chan ecs.Exit, 1)}
	runner := &ecs.Processes{Log: func(ecs.Spec) io.Writer { return log }, SharePIDs: true}
	a.process, err = runner.Start(ecs.Spec{
		TaskID:  "api",
		Command: []string{python, "-m", "uvicorn", "app:api", "--host", "127.0.0.1", "--port", strconv.Itoa(port)},
		Env:     append(slices.Clip(env), "SHOP_HOSTS=127.0.0.1"),
		Dir:     dir,
	}, func(e ecs.Exit) { a.ended <- e })
	if err != nil {
		return nil, fmt.Errorf("start the shop's API: %w", err)
	}
	if err := a.wait(ctx); err != nil {
		a.stop()
		return nil, err
	}
	return a, nil
}

// wait waits until the API answers.
func (a *api) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	client := newShop(a.url)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		err := client.healthy(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the shop's API: %w", err)
		case e := <-a.ended:
			a.ended <- e
			return fmt.Errorf("wait for the shop's API: it ended with exit status %d", e.Code)
		case <-tick.C:
		}
	}
}

// stop stops the API and returns when nothing of it is left.
func (a *api) stop() {
	a.process.Terminate()
	select {
	case <-a.ended:
	case <-time.After(5 * time.Second):
		a.process.Kill()
		<-a.ended
	}
}
