package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/lab/testenv"
)

// redisServer is a redis-server of our own, which keeps what it is told in an append-only file. It can be stopped and started.
type redisServer struct {
	dir, port string
	client    *redis.Client // Never tries anything twice, and gives up soon.

	mu  sync.Mutex // One fault at a time.
	cmd *exec.Cmd  // Nil while it is down.
}

// startRedis starts a redis-server on a free port with its files in dir, and returns when it answers.
func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make a folder for redis: %w", err)
	}
	for {
		free, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		_, port, _ := net.SplitHostPort(free.Addr().String())
		_ = free.Close()
		s := &redisServer{dir: dir, port: port}
		taken, err := s.launch(ctx)
		if err != nil {
			return nil, err
		}
		if taken {
			continue
		}
		s.client = redis.NewClient(&redis.Options{
			Addr: s.addr(), MaxRetries: -1, ContextTimeoutEnabled: true,
			DialTimeout: time.Second, ReadTimeout: time.Second, WriteTimeout: time.Second,
		})
		return s, nil
	}
}

func (s *redisServer) addr() string { return net.JoinHostPort("127.0.0.1", s.port) }
func (s *redisServer) url() string  { return "redis://" + s.addr() + "/0" }

// launch starts the process and waits until it accepts connections. It says if somebody else has taken the port.
func (s *redisServer) launch(ctx context.Context) (taken bool, err error) {
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		return false, errors.New("redis-server is missing: run `make redis-server`")
	}
	log, err := os.OpenFile(filepath.Join(s.dir, "redis.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return false, fmt.Errorf("make a log for redis: %w", err)
	}
	defer func() { _ = log.Close() }()
	said := new(testenv.Output)
	cmd := exec.Command(bin, "--bind", "127.0.0.1", "--port", s.port, "--save", "", "--appendonly", "yes", "--dir", s.dir)
	cmd.Stdout, cmd.Stderr = both{said, log}, both{said, log}
	if err := testenv.Start(cmd); err != nil {
		return false, err
	}
	err = testenv.WaitFor(ctx, func() error {
		// What it prints is its own word; an answer on the port could be another server's.
		taken = strings.Contains(said.String(), "Address already in use")
		if !taken && !strings.Contains(said.String(), "Ready to accept connections") {
			return errors.New("it does not accept connections")
		}
		return nil
	})
	if err != nil || taken {
		testenv.Stop(cmd)
		if err != nil {
			return false, fmt.Errorf("start redis-server: %w", err)
		}
		return true, nil
	}
	s.cmd = cmd
	return false, nil
}

// both writes to a text in memory and to a file.
type both struct {
	memory *testenv.Output
	file   *os.File
}

func (b both) Write(p []byte) (int, error) {
	_, _ = b.memory.Write(p) // It never fails.
	return b.file.Write(p)
}

// restart kills the server, and starts it again some time later from what it has written down.
func (s *redisServer) restart(ctx context.Context, down time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	testenv.Stop(s.cmd)
	s.cmd = nil
	pause(ctx, down)
	for range 100 {
		taken, err := s.launch(ctx)
		if err != nil {
			return err
		}
		if !taken {
			return nil
		}
	}
	return fmt.Errorf("start redis-server again: port %s is taken", s.port)
}

// freeze has the server stand still for some time.
func (s *redisServer) freeze(ctx context.Context, d time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pid := s.cmd.Process.Pid
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		return fmt.Errorf("stop redis-server: %w", err)
	}
	pause(ctx, d)
	if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
		return fmt.Errorf("let redis-server go on: %w", err)
	}
	return nil
}

// cut ends every connection.
func (s *redisServer) cut(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, kind := range []string{"normal", "pubsub"} {
		if err := s.client.ClientKillByFilter(ctx, "TYPE", kind, "SKIPME", "yes").Err(); err != nil {
			return fmt.Errorf("end the %s connections: %w", kind, err)
		}
	}
	return nil
}

func (s *redisServer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.client.Close()
	if s.cmd != nil {
		testenv.Stop(s.cmd)
		s.cmd = nil
	}
}

// pause waits, or returns as soon as the context is done.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
