package celery

import (
	"crypto/tls"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/lab/testenv"
)

// cutter passes connections on to a server, until they are cut.
type cutter struct {
	net.Listener
	server string
	mu     sync.Mutex
	passed []net.Conn
}

func newCutter(t *testing.T, l net.Listener, server string) *cutter {
	t.Helper()
	c := &cutter{Listener: l, server: server}
	t.Cleanup(func() {
		_ = l.Close()
		c.cut()
	})
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.pass(conn)
		}
	}()
	return c
}

func (c *cutter) pass(conn net.Conn) {
	server, err := net.Dial("tcp", c.server)
	if err != nil {
		_ = conn.Close()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.passed = append(c.passed, conn, server)
	go func() { _, _ = io.Copy(server, conn) }()
	go func() { _, _ = io.Copy(conn, server) }()
}

// cut closes all connections so far, as a server does that is restarted, or that has waited for too long.
func (c *cutter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.passed {
		_ = conn.(*net.TCPConn).CloseWrite() // At once: Close waits for those who read.
		_ = conn.Close()
	}
	c.passed = nil
}

// A connection that the server has closed since the last look is not used again, with and without TLS.
func TestLookAfterTheServerClosedItsConnections(t *testing.T) {
	plain := miniredis.RunT(t).Addr()
	secure, roots := tlsRedis(t)
	for _, tt := range []struct {
		name, addr string
		tls        *tls.Config
	}{
		{"plain", plain, nil},
		{"TLS", secure, &tls.Config{RootCAs: roots, ServerName: "localhost"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, listen := testenv.ReservedAddr(t)
			c := newCutter(t, listen(), tt.addr)
			o := lookOptions(c.Addr().String())
			o.TLS = tt.tls
			b := newBroker(t, o)
			for i := range 3 {
				if _, err := b.Look(t.Context(), []string{"celery"}, time.Second); err != nil {
					t.Errorf("look %d: %v", i, err)
				}
				c.cut()
			}
		})
	}
}

// However often it was out of reach, a server that is back is found at once.
func TestLookAtAServerThatIsBack(t *testing.T) {
	addr, listen := testenv.ReservedAddr(t)
	b := newBroker(t, lookOptions(addr))
	for range 10 {
		if _, err := b.Look(t.Context(), []string{"celery"}, time.Second); err == nil || !strings.Contains(err.Error(), "dial tcp "+addr+": connect: connection refused") {
			t.Fatalf("error %v, want that the connection to %s was refused", err, addr)
		}
	}
	newCutter(t, listen(), miniredis.RunT(t).Addr())
	if _, err := b.Look(t.Context(), []string{"celery"}, time.Second); err != nil {
		t.Errorf("the server is back: %v", err)
	}
}
