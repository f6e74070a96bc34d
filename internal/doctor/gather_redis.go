package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"golang.org/x/sync/errgroup"

	"sluice/internal/config"
	"sluice/internal/policy"
)

// brokersAtOnce is how many brokers are looked at at a time.
const brokersAtOnce = 8

// brokers looks at the brokers of the targets.
func (g *gatherer) brokers(ctx context.Context) {
	used := g.brokersUsed()
	g.facts.Brokers = make([]Broker, len(used))
	var group errgroup.Group
	group.SetLimit(brokersAtOnce)
	for i, b := range used {
		group.Go(func() error {
			g.facts.Brokers[i] = g.broker(ctx, b)
			return nil
		})
	}
	_ = group.Wait()
}

func (g *gatherer) broker(ctx context.Context, b config.Broker) Broker {
	out := Broker{Broker: b}
	out.Endpoint = g.endpoint(ctx, b)
	if out.Endpoint.Err != nil {
		out.Probe = Probe{NoURL, out.Endpoint.Err}
	} else {
		out.Probe = g.probe(ctx, out.Endpoint.Value)
	}
	if out.Probe.Obstacle != Open {
		out.close()
		return out
	}
	client := g.client(out.Endpoint.Value)
	defer func() { _ = client.Close() }()
	keys := keyring{prefix: b.KeyPrefix, db: out.Endpoint.Value.DB, control: b.ControlExchange}
	out.Server = g.server(ctx, client)
	out.Channels = asFact(client.PubSubChannels(ctx, "*.pidbox").Result())
	out.Clients = waiting(ctx, client, keys.db)
	out.Oldest = oldest(ctx, client, keys)
	g.hear(ctx, &out, listeners(ctx, client, keys))
	return out
}

// close leaves nothing but the cause of what is not known.
func (b *Broker) close() {
	err := b.shut()
	b.Server, b.Channels, b.Clients = Unknown[Server](err), Unknown[[]string](err), Unknown[int](err)
	b.Look, b.Beats, b.Oldest = Unknown[policy.Look](err), Unknown[map[string]policy.Beat](err), Unknown[time.Time](err)
}

func (g *gatherer) endpoint(ctx context.Context, b config.Broker) Fact[config.Endpoint] {
	url, err := g.env.URL(ctx, b)
	if err != nil {
		return Unknown[config.Endpoint](err)
	}
	return asFact(b.Endpoint(url))
}

func asFact[T any](v T, err error) Fact[T] { return Fact[T]{Value: v, Err: err} }

// client connects as Sluice does.
func (g *gatherer) client(e config.Endpoint) *redis.Client {
	settings, err := e.TLSConfig()
	o := &redis.Options{
		Addr: e.Addr(), Username: e.Username, Password: e.Password.Reveal(), DB: e.DB, TLSConfig: settings, Protocol: 2,
		MaxRetries: -1, DialerRetries: 1, ContextTimeoutEnabled: true, DialTimeout: connectTimeout, ReadTimeout: answerTimeout,
		DisableIdentity: true, MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if err != nil {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12} // It was probed before: see probe.
	}
	return redis.NewClient(o)
}

// keyring makes the names of the few keys and channels that are looked at here beside those that package celery looks at.
type keyring struct {
	prefix  string
	db      int
	control string
}

func (k keyring) controlChannel() string {
	return fmt.Sprintf("%s/%d.%s.pidbox", k.prefix, k.db, k.control)
}
func (k keyring) unackedIndex() string { return k.prefix + "unacked_index" }

// server asks a Redis what it is.
func (g *gatherer) server(ctx context.Context, c *redis.Client) Fact[Server] {
	text, err := c.Info(ctx).Result()
	if err != nil {
		return Unknown[Server](fmt.Errorf("ask Redis for INFO: %w", err))
	}
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[key] = value
		}
	}
	s := Server{Mode: info["redis_mode"], Role: info["role"], Policy: info["maxmemory_policy"]}
	s.MaxMemory, _ = strconv.ParseInt(info["maxmemory"], 10, 64) // Where it is missing there is no limit to be told of.
	before := g.env.Now()
	theirs, err := c.Time(ctx).Result()
	if err != nil {
		return Unknown[Server](fmt.Errorf("ask Redis for TIME: %w", err))
	}
	now := g.env.Now()
	s.Clock = theirs.Sub(before.Add(now.Sub(before) / 2))
	return Known(s)
}

// waiting counts the clients that wait for messages of the database.
func waiting(ctx context.Context, c *redis.Client, db int) Fact[int] {
	list, err := c.ClientList(ctx).Result()
	if err != nil {
		return Unknown[int](fmt.Errorf("ask Redis for CLIENT LIST: %w", err))
	}
	n, ours := 0, "db="+strconv.Itoa(db)
	for line := range strings.Lines(list) {
		if fields := strings.Fields(line); slices.Contains(fields, "cmd=brpop") && slices.Contains(fields, ours) {
			n++
		}
	}
	return Known(n)
}

// oldest is when the oldest message that is not acknowledged was fetched.
func oldest(ctx context.Context, c *redis.Client, k keyring) Fact[time.Time] {
	first, err := c.ZRangeWithScores(ctx, k.unackedIndex(), 0, 0).Result()
	if err != nil {
		return Unknown[time.Time](fmt.Errorf("look at what is not acknowledged: %w", err))
	}
	if len(first) == 0 {
		return Known(time.Time{})
	}
	whole, part := math.Modf(first[0].Score)
	return Known(time.Unix(int64(whole), int64(part*1e9)))
}

// listeners is how many workers listen for commands; 0 if the server does not tell.
func listeners(ctx context.Context, c *redis.Client, k keyring) int {
	n, err := c.PubSubNumSub(ctx, k.controlChannel()).Result()
	if err != nil {
		return 0
	}
	return int(n[k.controlChannel()])
}

// hear listens to the workers, and then asks them: one that is too old must not be asked, and its heartbeats tell its version.
func (g *gatherer) hear(ctx context.Context, b *Broker, listening int) {
	workers, err := g.env.Celery(ctx, b.Broker)
	if err != nil {
		b.Look, b.Beats = Unknown[policy.Look](err), Unknown[map[string]policy.Beat](err)
		return
	}
	defer func() { _ = workers.Close() }()
	expected := listening
	if expected == 0 && (b.Clients.Err != nil || b.Clients.Value > 0) {
		expected = 1 // Somebody fetches messages and hears no commands: is it a worker?
	}
	b.Beats = asFact(workers.Beats(ctx, expected))
	var queues []string
	for _, t := range g.opts.Config.TargetsOf(b.Name) {
		queues = append(queues, t.Queues...)
	}
	b.Look = asFact(workers.Look(ctx, queues, patience))
	if err := b.Look.Err; err != nil && strings.Contains(err.Error(), "NOPERM") {
		b.Probe = Probe{NoRight, err}
	}
}
