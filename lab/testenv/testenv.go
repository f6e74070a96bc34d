// Package testenv finds the real things that the tests need and that Go cannot bring along: a Python with Celery and the
// public AWS clients, a Redis server, Node.js with the public state machine engines. `make test` installs all of them
// (see the Makefile). Where one is missing the test is skipped with the command that installs it, and in CI it fails: a
// skip must never pass for a success there.
package testenv

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Root is the root of the checkout.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Missing skips the test because something is not installed; in CI it fails it.
func Missing(tb testing.TB, what, remedy string) {
	tb.Helper()
	if os.Getenv("CI") != "" {
		tb.Fatalf("%s is missing, and this is CI: %s", what, remedy)
	}
	tb.Skipf("SKIPPED: %s is missing: %s", what, remedy)
}

// Python returns the Python interpreter with the packages of requirements.txt: the newest Celery, boto3, the AWS CLI, moto.
func Python(tb testing.TB) string {
	tb.Helper()
	return python(tb, "venv", "run `make build/venv`")
}

// PythonWithCelery returns a Python interpreter with the newest patch of the given Celery series, such as "5.2".
func PythonWithCelery(tb testing.TB, series string) string {
	tb.Helper()
	return python(tb, "venv-celery-"+series, "run `make build/venv-celery-"+series+"`")
}

func python(tb testing.TB, venv, remedy string) string {
	tb.Helper()
	path := filepath.Join(Root(), "build", venv, "bin", "python")
	if _, err := os.Stat(path); err != nil {
		Missing(tb, path, remedy)
	}
	return path
}

// Node returns a Node.js 22 or newer and the node_modules directory of lab/engines, which hold the public state machine
// engines and validators.
func Node(tb testing.TB) (node, modules string) {
	tb.Helper()
	modules = filepath.Join(Root(), "lab", "engines", "node_modules")
	node = filepath.Join(modules, "node", "bin", "node")
	if _, err := os.Stat(node); err != nil {
		Missing(tb, node, "run `make lab/engines/node_modules`")
	}
	return node, modules
}

// RedisServer starts a real redis-server on a free loopback port with the extra arguments, in which {port} is that port, waits until
// it answers, and stops it at the end of the test. It returns its address, host:port.
func RedisServer(tb testing.TB, args ...string) string {
	tb.Helper()
	bin, err := exec.LookPath("redis-server")
	if err != nil {
		Missing(tb, "redis-server", "install it, on Debian with `apt-get install redis-server`")
	}
	for {
		addr := freeAddr(tb)
		_, port, _ := net.SplitHostPort(addr)
		argv := []string{"--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", tb.TempDir()}
		for _, arg := range args {
			argv = append(argv, strings.ReplaceAll(arg, "{port}", port))
		}
		server, out := exec.Command(bin, argv...), new(Output)
		server.Stdout, server.Stderr = out, out
		if err := Start(server); err != nil {
			tb.Fatal(err)
		}
		tb.Cleanup(func() { Stop(server) })
		// What it prints is its own word; an answer on the port could be another server's.
		taken := false
		if err := WaitFor(tb.Context(), func() error {
			said := out.String()
			taken = strings.Contains(said, "Address already in use") ||
				strings.Contains(said, "port number too high") // In cluster mode it needs the port 10,000 above, too.
			if !taken && !strings.Contains(said, "Ready to accept connections") {
				return errors.New("it does not accept connections")
			}
			return nil
		}); err != nil {
			tb.Fatalf("redis-server on %s: %v\n%s", addr, err, out)
		}
		if !taken {
			return addr
		}
	}
}

// freeAddr returns a loopback address with a port that was free a moment ago, and may be another's by now: see ReservedAddr.
func freeAddr(tb testing.TB) string {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("find a free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// RefusingAddr returns a loopback address that refuses connections until the end of the test: its port is taken, so that
// nobody else gets it meanwhile, and nobody listens.
func RefusingAddr(tb testing.TB) string {
	tb.Helper()
	addr, _ := ReservedAddr(tb)
	return addr
}

// ReservedAddr is RefusingAddr, and what begins to listen there.
func ReservedAddr(tb testing.TB) (addr string, listen func() net.Listener) {
	tb.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		tb.Fatalf("make a socket: %v", err)
	}
	socket := os.NewFile(uintptr(fd), "reserved")
	tb.Cleanup(func() { _ = socket.Close() })
	syscall.CloseOnExec(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		tb.Fatalf("take a port: %v", err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		tb.Fatalf("name the port: %v", err)
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port), func() net.Listener {
		tb.Helper()
		if err := syscall.Listen(fd, 128); err != nil {
			tb.Fatalf("listen: %v", err)
		}
		l, err := net.FileListener(socket)
		if err != nil {
			tb.Fatalf("listen: %v", err)
		}
		return l
	}
}

// waitLimit bounds WaitFor. It judges nobody: on a busy machine a worker takes half a minute to start, and what never comes
// fails its test all the same.
const waitLimit = 3 * time.Minute

// WaitFor calls ready every few milliseconds until it returns nil, for at most waitLimit of real time, and returns its last
// error. It is how a test waits for what another process or goroutine does: by looking at it.
func WaitFor(ctx context.Context, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, waitLimit)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not ready after %v: %w", waitLimit, err)
		case <-tick.C:
		}
	}
}
