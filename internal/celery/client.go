package celery

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"sluice/internal/celery/resp"
)

// The client logs some of the errors that it returns, too, and its logger is one for the whole process.
func init() { redis.SetLogger(silence{}) }

type silence struct{}

func (silence) Printf(context.Context, string, ...any) {}

// newClient makes a client that connects when it is first used.
func newClient(o Options) redis.UniversalClient {
	dial := o.Dial
	if dial == nil {
		dial = dialer(o)
	}
	limited := func(ctx context.Context, network, addr string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, o.DialTimeout)
		defer cancel()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return unreached{fmt.Errorf("%w", err)}, nil // The client takes one layer off.
		}
		return resp.Limit(conn, bounds(o)), nil
	}
	u := &redis.UniversalOptions{
		Addrs:    o.Addrs,
		Username: o.Username,
		Password: o.Password,
		DB:       o.DB,
		Dialer:   limited,
		Protocol: 2,

		// Nothing is sent twice. Reading twice would be harmless, but a broadcast that is published twice is answered
		// twice, and then every worker seems to have a twin of the same name. The caller decides whether to look again.
		MaxRetries:    -1,
		DialerRetries: 1,

		ContextTimeoutEnabled: true,                        // Without it a context's deadline is ignored.
		DialTimeout:           o.DialTimeout + time.Second, // Ours ends first (see limited), and says why.
		ReadTimeout:           o.CommandTimeout,
		WriteTimeout:          o.CommandTimeout,
		PoolTimeout:           o.CommandTimeout,

		// A look needs one connection at a time. A frozen Lambda's idle connections may be dead without a sign of it.
		PoolSize:         4,
		PipelinePoolSize: -1,
		ConnMaxIdleTime:  30 * time.Second,

		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	var client redis.UniversalClient
	if o.ClusterMode {
		client = redis.NewClusterClient(u.Cluster())
	} else {
		client = redis.NewClient(u.Simple())
	}
	if o.Called != nil {
		client.AddHook(requests(o.Called))
	}
	return client
}

func dialer(o Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	plain := &net.Dialer{KeepAlive: 30 * time.Second}
	if o.TLS == nil {
		return plain.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		raw, err := plain.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		conn := tls.Client(raw, named(o.TLS, addr))
		if err := conn.HandshakeContext(ctx); err != nil {
			_ = raw.Close()
			if past(ctx) {
				// A Redis without TLS does not refuse it: it waits for the end of a line, which TLS never sends.
				err = fmt.Errorf("TLS handshake: %w: connected, and not answered; does this port speak TLS?", err)
			}
			return nil, err
		}
		return conn, nil
	}
}

// named is the TLS settings with the name that the certificate has to bear: the host's, where they say none.
func named(c *tls.Config, addr string) *tls.Config {
	if c.ServerName != "" {
		return c
	}
	c = c.Clone()
	c.ServerName, _, _ = net.SplitHostPort(addr)
	return c
}
