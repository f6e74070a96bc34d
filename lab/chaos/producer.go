package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"sluice/lab/testenv"
)

// producer is the process that sends the messages, with the round's version of Celery.
type producer struct {
	cmd *exec.Cmd
	log *os.File

	mu    sync.Mutex
	stdin io.WriteCloser
}

func startProducer(python, app, dir string, env []string) (*producer, error) {
	log, err := os.Create(filepath.Join(dir, "producer.log"))
	if err != nil {
		return nil, fmt.Errorf("make a log: %w", err)
	}
	cmd := exec.Command(python, "producer.py")
	cmd.Dir, cmd.Env = app, append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = log, log
	p := &producer{cmd: cmd, log: log}
	if p.stdin, err = cmd.StdinPipe(); err == nil {
		err = testenv.Start(cmd)
	}
	if err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("start the producer: %w", err)
	}
	return p, nil
}

// send has the jobs sent. It returns before they are.
func (p *producer) send(jobs []job) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, j := range jobs {
		args := []any{j.seconds}
		if j.retries > 0 {
			args = append(args, j.retries)
		}
		line, err := json.Marshal(map[string]any{
			"task": j.id, "name": j.name, "args": args, "countdown": j.countdown, "priority": j.priority,
		})
		if err != nil {
			return fmt.Errorf("send %s: %w", j.id, err)
		}
		if _, err := p.stdin.Write(append(line, '\n')); err != nil {
			return fmt.Errorf("send %s: %w", j.id, err)
		}
	}
	return nil
}

// finish waits until all has been sent.
func (p *producer) finish(ctx context.Context) error {
	_ = p.stdin.Close()
	var err error
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err = p.cmd.Wait()
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		_ = p.cmd.Process.Kill()
		<-ended
	}
	p.cmd = nil
	if err != nil {
		return fmt.Errorf("send the messages: %w (see %s)", err, p.log.Name())
	}
	return nil
}

func (p *producer) close() {
	if p.cmd != nil {
		testenv.Stop(p.cmd)
	}
	_ = p.log.Close()
}
