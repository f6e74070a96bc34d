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
	"strings"
	"time"
)

// patience is how long one binary may look for a fault. A fault may also make a history that never ends.
const patience = 10 * time.Minute

// finding is a broken invariant, as the simulator's command says it in JSON.
type finding struct {
	Seed      uint64   `json:"seed"`
	Invariant string   `json:"invariant"`
	Text      string   `json:"text"`
	Story     []string `json:"story"` // Empty unless it was asked for.
}

// String tells what broke, and how it came to it.
func (f finding) String() string { return strings.Join(append([]string{f.Text}, f.Story...), "\n    ") }

// manner says how to hunt.
type manner struct {
	invariant string // The one that has to break; "" is any.
	seeds     int    // From 1 on; 0 is the histories that are kept.
	workers   int    // How many histories run at a time. With 1 the seed that is found is the first that there is.
	story     bool   // Whether to tell how it came to it, which takes hundreds of histories.
}

// hunt runs a binary of the simulator until the invariant breaks; nil if it does not.
func hunt(ctx context.Context, binary string, how manner) (*finding, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if how.seeds == 0 {
		return huntKept(ctx, binary, how)
	}
	for from := uint64(1); from <= uint64(how.seeds); {
		f, err := huntFrom(ctx, binary, from, how)
		if f == nil || err != nil || how.invariant == "" || f.Invariant == how.invariant {
			return f, err
		}
		from = f.Seed + 1
	}
	return nil, nil
}

// huntKept runs the histories that are kept, and returns the first that breaks the invariant.
func huntKept(ctx context.Context, binary string, how manner) (*finding, error) {
	all, err := runBinary(ctx, binary, how, "-kept", "-json")
	for _, f := range all {
		if f.Invariant == how.invariant {
			return &f, err
		}
	}
	return nil, err
}

func huntFrom(ctx context.Context, binary string, from uint64, how manner) (*finding, error) {
	story := "0"
	if how.story {
		story = "400"
	}
	all, err := runBinary(ctx, binary, how, "-from", strconv.FormatUint(from, 10), "-seeds", strconv.FormatUint(uint64(how.seeds)-from+1, 10),
		"-stop-at-first", "-json", "-workers", strconv.Itoa(how.workers), "-story", story)
	if len(all) == 0 {
		return nil, err
	}
	return &all[0], err
}

// runBinary runs a binary of the simulator, and returns what it found.
func runBinary(ctx context.Context, binary string, how manner, args ...string) ([]finding, error) {
	cmd := exec.CommandContext(ctx, binary, args...)
	// The collector of garbage too is to leave room for the other binary.
	cmd.Env = append(os.Environ(), "GOMAXPROCS="+strconv.Itoa(how.workers))
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
	var report struct{ Broken []finding }
	if err := json.Unmarshal(stdout.Bytes(), &report); err != nil || len(report.Broken) == 0 {
		return nil, fmt.Errorf("read what the simulator found: nothing is broken in %s\n%s", tail(stdout.Bytes()), tail(stderr.Bytes()))
	}
	return report.Broken, nil
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
