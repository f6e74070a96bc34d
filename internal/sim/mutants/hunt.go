package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"
)

// patience is how long one binary may look for a fault. A fault may also make a history that never ends.
const patience = 10 * time.Minute

// finding is a broken invariant, as the simulator's command says it in JSON.
type finding struct {
	Seed      uint64 `json:"seed"`
	Invariant string `json:"invariant"`
	Story     string `json:"story"`
}

// hunt runs a binary of the simulator over the seeds 1 to n, one after another, until an invariant breaks; nil if none does.
func hunt(ctx context.Context, binary string, n int) (*finding, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, binary, "-from", "1", "-seeds", strconv.Itoa(n), "-stop-at-first", "-json")
	// One at a time: so the first seed that finds it is the same at each run, and two binaries share two processors.
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	exit := (*exec.ExitError)(nil)
	switch {
	case err == nil:
		return nil, nil
	case ctx.Err() != nil:
		return nil, fmt.Errorf("run the simulator: %w", ctx.Err())
	case !errors.As(err, &exit) || exit.ExitCode() != 1:
		return nil, fmt.Errorf("run the simulator: %w\n%s", err, tail(stderr.Bytes()))
	}
	var f finding
	if err := json.Unmarshal(stdout.Bytes(), &f); err != nil || f.Invariant == "" || f.Seed == 0 {
		return nil, fmt.Errorf("read what the simulator found: no seed with an invariant in %s\n%s", tail(stdout.Bytes()), tail(stderr.Bytes()))
	}
	return &f, nil
}

// tail is the end of what a program printed.
func tail(b []byte) []byte {
	const most = 2000
	b = bytes.TrimSpace(b)
	if len(b) > most {
		return append([]byte("... "), b[len(b)-most:]...)
	}
	return b
}
