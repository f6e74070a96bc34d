package celery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"sluice/lab/testenv"
)

// TestNewClient holds what the client makes of the options, and what of it nobody can wait for in a test.
func TestNewClient(t *testing.T) {
	b, err := New(Options{Addrs: []string{"a:1"}})
	if err != nil {
		t.Fatal(err)
	}
	o := b.client.(*redis.Client).Options()
	if o.ReadTimeout != 2*time.Second || o.WriteTimeout != 2*time.Second || o.PoolTimeout != 2*time.Second || o.ConnMaxIdleTime != 30*time.Second {
		t.Errorf("by default a command takes %v, %v and %v, and a connection is idle for %v", o.ReadTimeout, o.WriteTimeout, o.PoolTimeout, o.ConnMaxIdleTime)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if err := b.Close(); !errors.Is(err, redis.ErrClosed) || !strings.HasPrefix(err.Error(), "close broker: ") {
		t.Errorf("closed twice: %v", err)
	}
	cluster := newBroker(t, Options{Addrs: []string{"a:1"}, ClusterMode: true})
	if _, ok := cluster.client.(*redis.ClusterClient); !ok {
		t.Errorf("in cluster mode the client is a %T", cluster.client)
	}
}

// A connection has the time that it is given, and is tried once.
func TestDialTimeout(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: 2 * time.Second, 5 * time.Second: 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			var left []time.Duration
			b, err := New(Options{Addrs: []string{"a:1"}, DialTimeout: given, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
				deadline, _ := ctx.Deadline()
				left = append(left, time.Until(deadline))
				return nil, io.EOF
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = b.Close() }()
			if _, err := b.Counter(t.Context(), "n"); err == nil || len(left) != 1 || left[0] != want {
				t.Errorf("a connection has %v, want %v once: %v", left, want, err)
			}
		})
	}
}

// A look, with its pipelines and without, takes one connection.
func TestLookTakesOneConnection(t *testing.T) {
	dials := &atomic.Int64{}
	m := miniredis.RunT(t)
	_, _ = m.Lpush("video", taskMessage("a", "video", nil)) // It is read by itself.
	o := lookOptions(m.Addr())
	o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	broker := newBroker(t, o)
	for range 2 {
		if _, err := broker.Look(t.Context(), []string{"video"}, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if n := dials.Load(); n != 1 {
		t.Errorf("two looks took %d connections", n)
	}
}

// Where the settings of TLS name nobody, the certificate has to bear the name of the host, and the settings are left as they are.
func TestTLSNamesTheHost(t *testing.T) {
	addr, roots := tlsRedis(t)
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	for host, fails := range map[string]string{"localhost": "", "127.0.0.1": "127.0.0.1"} {
		o := lookOptions(net.JoinHostPort(host, port))
		o.TLS = &tls.Config{RootCAs: roots}
		_, err := newBroker(t, o).Counter(t.Context(), "n")
		if fails == "" && err != nil || fails != "" && !errors.As(err, new(x509.HostnameError)) {
			t.Errorf("counter at %s: %v", host, err)
		}
		if o.TLS.ServerName != "" {
			t.Errorf("the settings now name %q", o.TLS.ServerName)
		}
	}
}

// A connection on which TLS fails is closed, and one that is refused is not taken for one that does not speak TLS.
func TestTLSFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "-ERR this is no TLS\r\n")
		_, _ = io.Copy(io.Discard, conn) // Until the other side closes.
	}()
	o := lookOptions(l.Addr().String())
	o.TLS = &tls.Config{ServerName: "localhost"}
	if _, err := newBroker(t, o).Counter(t.Context(), "n"); !errors.As(err, new(tls.RecordHeaderError)) || strings.Contains(err.Error(), "does this port speak TLS?") {
		t.Errorf("a server without TLS: %v", err)
	}
	<-ended
	o.Addrs = []string{testenv.RefusingAddr(t)}
	if _, err := newBroker(t, o).Counter(t.Context(), "n"); err == nil || !strings.Contains(err.Error(), "connection refused") || strings.Contains(err.Error(), "TLS") {
		t.Errorf("nobody there: %v", err)
	}
}
