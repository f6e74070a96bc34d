package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"maps"
	"math"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
	"golang.org/x/sync/errgroup"

	"sluice/internal/celery/resp"
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
	switch err := out.Endpoint.Err; {
	case err == nil:
		out.Probe = g.probe(ctx, out.Endpoint.Value)
	case denied(err) && b.URLParameter != "":
		out.Probe = Probe{Hidden, g.failed("ssm:GetParameter", err)}
	case denied(err):
		out.Probe = Probe{Hidden, g.failed("secretsmanager:GetSecretValue", err)}
	default:
		out.Probe = Probe{NoURL, err}
	}
	if out.Probe.Obstacle != Open {
		out.close()
		return out
	}
	client := g.client(out.Endpoint.Value)
	defer func() { _ = client.Close() }()
	out.Server = g.server(ctx, client)
	out.Waiting = waiting(ctx, client)
	out.Oldest = oldest(ctx, client, b)
	g.hear(ctx, &out)
	out.Waiting = most(out.Waiting, waiting(ctx, client))
	if look := out.Look; look.Err == nil && len(look.Value.Nodes) == 0 && !listening(look.Value) {
		out.Bindings = bindings(ctx, client)
	}
	return out
}

// close leaves nothing but the cause of what is not known.
func (b *Broker) close() {
	err := b.shut()
	b.Server, b.Bindings, b.Waiting = Unknown[Server](err), Unknown[[]string](err), Unknown[map[int]int](err)
	b.Look, b.Beats, b.Oldest = Unknown[policy.Look](err), Unknown[map[string]policy.Beat](err), Unknown[time.Time](err)
	b.Untracked = Unknown[map[string][]string](err)
}

func (g *gatherer) endpoint(ctx context.Context, b config.Broker) Fact[config.Endpoint] {
	url, err := g.env.URL(ctx, b)
	if err != nil {
		return Unknown[config.Endpoint](err)
	}
	return asFact(b.Endpoint(url))
}

func asFact[T any](v T, err error) Fact[T] { return Fact[T]{Value: v, Err: err} }

// answers bounds what a server may answer: CLIENT LIST has 400 bytes for a client, and a step of SCAN a thousand keys or so.
var answers = resp.Bounds{Bytes: 8 << 20, Items: 1 << 16}

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
	dial := redis.NewDialer(o)
	o.Dialer = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return resp.Limit(conn, answers), nil
	}
	return redis.NewClient(o)
}

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

// waiting counts the clients that wait for messages, by database: a worker does so on one connection, whatever else it has. Those
// whose last command was the same and that wait no more, as Sluice's own are after a look, are none.
func waiting(ctx context.Context, c *redis.Client) Fact[map[int]int] {
	list, err := c.ClientList(ctx).Result()
	if err != nil {
		return Unknown[map[int]int](fmt.Errorf("ask Redis for CLIENT LIST: %w", err))
	}
	clients := map[int]int{}
	for line := range strings.Lines(list) {
		fields := strings.Fields(line)
		i := slices.IndexFunc(fields, func(f string) bool { return strings.HasPrefix(f, "db=") })
		blocked := slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "flags=") && strings.Contains(f, "b") })
		if i < 0 || !blocked || !slices.Contains(fields, "cmd=brpop") {
			continue
		}
		if db, err := strconv.Atoi(fields[i][len("db="):]); err == nil {
			clients[db]++
		}
	}
	return Known(clients)
}

// most joins two looks at who waits: a worker waits a second at a time, and is between two of them now and then.
func most(a, b Fact[map[int]int]) Fact[map[int]int] {
	if a.Err != nil || b.Err != nil {
		return a
	}
	for db, n := range b.Value {
		a.Value[db] = max(a.Value[db], n)
	}
	return a
}

// bindingsScanned is how many keys are looked through for bindings: beside a result backend there may be millions.
const bindingsScanned = 100_000

// What is kept of them: an application has one, of some 50 bytes.
const (
	maxBindings = 1000
	maxBinding  = 512
)

// bindings are the keys by which workers of the database listen for commands, with whatever prefix and exchange.
func bindings(ctx context.Context, c *redis.Client) Fact[[]string] {
	var found []string
	var cursor uint64
	const batch = 1000
	for range bindingsScanned / batch {
		keys, next, err := c.Scan(ctx, cursor, "*"+binding+"*.pidbox", batch).Result()
		if err != nil {
			return Unknown[[]string](fmt.Errorf("look for the keys of workers: %w", err))
		}
		for _, key := range keys {
			if len(key) <= maxBinding && len(found) < maxBindings {
				found = append(found, key)
			}
		}
		if cursor = next; cursor == 0 {
			break
		}
	}
	slices.Sort(found)
	return Known(slices.Compact(found))
}

// binding stands in the name of the set of what listens on an exchange, before the exchange. Source: kombu.transport.redis.
const binding = "_kombu.binding."

// oldest is when the oldest message that is not acknowledged was fetched.
func oldest(ctx context.Context, c *redis.Client, b config.Broker) Fact[time.Time] {
	first, err := c.ZRangeWithScores(ctx, b.KeyPrefix+"unacked_index", 0, 0).Result()
	if err != nil {
		return Unknown[time.Time](fmt.Errorf("look at what is not acknowledged: %w", err))
	}
	if len(first) == 0 {
		return Known(time.Time{})
	}
	whole, part := math.Modf(first[0].Score)
	return Known(time.Unix(int64(whole), int64(part*1e9)))
}

// hear listens to the workers, and then asks them: one that is too old must not be asked, and its heartbeats tell its version.
func (g *gatherer) hear(ctx context.Context, b *Broker) {
	workers, err := g.env.Celery(ctx, b.Broker)
	if err != nil {
		b.Look, b.Beats, b.Untracked = Unknown[policy.Look](err), Unknown[map[string]policy.Beat](err), Unknown[map[string][]string](err)
		return
	}
	defer func() { _ = workers.Close() }()
	// Where it is not known how many there are, each is waited for as long as there can be another.
	expected := math.MaxInt
	if b.Waiting.Err == nil {
		expected = max(1, b.Waiting.Value[b.Endpoint.Value.DB])
	}
	b.Beats = asFact(workers.Beats(ctx, expected))
	var queues []string
	for _, t := range g.opts.Config.TargetsOf(b.Name) {
		queues = append(queues, t.Queues...)
	}
	b.Look = asFact(workers.Look(ctx, queues, patience))
	if b.Look.Err == nil && b.Beats.Err == nil && unheardOf(b) {
		more, err := workers.Beats(ctx, len(b.Look.Value.Nodes))
		if err != nil {
			b.Beats.Err = err
		}
		maps.Copy(b.Beats.Value, more)
	}
	b.Untracked = g.untracked(ctx, workers, b)
	if err := b.Look.Err; err != nil && strings.Contains(err.Error(), "NOPERM") {
		b.Probe = Probe{NoRight, err}
	}
}

// untracked asks the workers that answered a look for tasks that no look shows. One whose answers cannot be read is not asked.
func (g *gatherer) untracked(ctx context.Context, workers celery, b *Broker) Fact[map[string][]string] {
	if b.Look.Err != nil {
		return Unknown[map[string][]string](b.Look.Err)
	}
	var nodes []policy.Node
	for _, n := range b.Look.Value.Nodes {
		if n.Active.Known && inspected(n, g.opts.Config.TargetsOf(b.Name)) {
			nodes = append(nodes, n)
		}
	}
	return asFact(workers.Untracked(ctx, nodes))
}

// unheardOf says whether a worker has answered that has sent no heartbeat yet.
func unheardOf(b *Broker) bool {
	return slices.ContainsFunc(b.Look.Value.Nodes, func(n policy.Node) bool {
		_, heard := b.Beats.Value[n.Name]
		return !heard
	})
}
