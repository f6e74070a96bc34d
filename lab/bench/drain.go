package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"sluice/internal/function"
	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/lab/cloud/ecs"
)

// drainRuns is how often each scale-in is measured, each time with a new service, new workers and unused rate limits.
const drainRuns = 3

// drains measures whole scale-ins by the use case as it ships: from so many workers to none, all of them idle; and to half of
// them, the others each executing a task, told apart by the names that Fargate gives their hosts.
func drains(ctx context.Context, l *lab) ([]row, error) {
	addr, stop, err := l.redis(ctx)
	if err != nil {
		return nil, err
	}
	defer stop()
	var rows []row
	for _, c := range []struct {
		from, to int
		calls    bool // Whether the calls to ECS are shown: those to none are the same for one worker as for ten.
	}{{1, 0, false}, {10, 0, false}, {100, 0, true}, {10, 5, true}, {100, 50, true}} {
		var all []drained
		for range drainRuns {
			d, err := l.drain(ctx, addr, c.from, c.to)
			if err != nil {
				return rows, fmt.Errorf("scale in from %d to %d: %w", c.from, c.to, err)
			}
			all = append(all, d)
		}
		rows = append(rows, drainRows(fmt.Sprintf("scale in %d -> %d", c.from, c.to), c.from, all)...)
		if c.calls {
			rows = append(rows, callRows(all)...)
		}
	}
	return rows, nil
}

// drained is what one scale-in took.
type drained struct {
	took     time.Duration
	waited   time.Duration // Of it: what it waits by design, in pauses and for heartbeats.
	commands int           // Redis commands, those inside of scripts included.
	calls    map[string]int
}

// bucket is a rate limit of an account and Region: so many calls of these operations at once, and a second in the long run.
type bucket struct {
	burst, rate int
	ops         []string
}

// buckets are those that a scale-in draws on, as AWS documents them ("Request throttling for the Amazon ECS API").
var buckets = []bucket{
	{100, 20, []string{"DescribeServices"}},
	{100, 20, []string{"ListTasks", "DescribeTasks"}},
	{200, 80, []string{"GetTaskProtection", "UpdateTaskProtection"}},
	{50, 5, []string{"UpdateService"}},
}

// Redis commands of a scale-in: five looks, in each of which every worker answers two questions, and one order, which it answers,
// make 11 for each worker. The bound leaves room for four looks more, at workers that a busy machine keeps from answering.
const (
	maxPerDrain  = 150
	maxPerWorker = 20
)

func drainRows(what string, workers int, all []drained) []row {
	pick := func(f func(drained) float64) []float64 { return each(all, f) }
	return []row{
		measured(what, "s", pick(func(d drained) float64 { return d.took.Seconds() })),
		measured("  of it waiting by design: pauses, heartbeats", "s", pick(func(d drained) float64 { return d.waited.Seconds() })),
		measured("  and the rest", "s", pick(func(d drained) float64 { return (d.took - d.waited).Seconds() })),
		measured("  Redis commands", "commands", pick(func(d drained) float64 { return float64(d.commands) })).counted(float64(maxPerDrain + maxPerWorker*workers)),
	}
}

// callRows hold the calls to ECS against what an account may make at once.
func callRows(all []drained) []row {
	var rows []row
	for _, b := range buckets {
		rows = append(rows, measured("  "+b.String(), "calls", each(all, func(d drained) float64 {
			return float64(b.sum(d.calls))
		})).counted(float64(b.burst)))
	}
	return rows
}

func each[T any](all []T, f func(T) float64) []float64 {
	out := make([]float64, len(all))
	for i, v := range all {
		out[i] = f(v)
	}
	return out
}

func (b bucket) String() string { return fmt.Sprintf("%s (%d/s)", strings.Join(b.ops, " + "), b.rate) }

// sum is how many calls there were of the bucket's operations together.
func (b bucket) sum(calls map[string]int) int {
	n := 0
	for _, op := range b.ops {
		n += calls[op]
	}
	return n
}

// drain scales one service in, and errs unless it came out as it should: a scale-in that is fast and does something else would
// be of no use.
func (l *lab) drain(ctx context.Context, addr string, from, to int) (drained, error) {
	t, err := l.theatre(ctx, addr, 1, from, to)
	if err != nil {
		return drained{}, err
	}
	defer t.close()
	s, waits, err := t.scaler()
	if err != nil {
		return drained{}, err
	}
	c := redis.NewClient(&redis.Options{Addr: addr})
	defer func() { _ = c.Close() }()
	if err := c.ConfigResetStat(ctx).Err(); err != nil {
		return drained{}, fmt.Errorf("reset the server's statistics: %w", err)
	}
	theirs, calls := t.workers.sent.Load(), t.model.Calls()
	began := time.Now()
	change, err := s.ScaleIn(ctx, t.input(0))
	d := drained{took: time.Since(began), waited: time.Duration(waits.Load()), calls: t.model.Calls()}
	if err != nil {
		return d, err
	}
	if d.commands, err = commands(ctx, c); err != nil {
		return d, err
	}
	d.commands -= int(t.workers.sent.Load() - theirs)
	for op, n := range calls {
		d.calls[op] -= n
	}
	return d, t.cameOut(change)
}

// theatre is a number of services with stand-ins for workers in their tasks, each service with a broker of its own.
type theatre struct {
	model    *ecs.Model
	workers  *standIns
	config   string
	from, to int
	close    func()
}

// theatre raises the services, each of which has from tasks, with as many of them at work as it is to be left with.
func (l *lab) theatre(ctx context.Context, addr string, services, from, to int) (*theatre, error) {
	return l.theatreBehind(ctx, addr, services, from, to, func(m *ecs.Model) http.Handler { return m })
}

// theatreBehind puts what before returns before the model.
func (l *lab) theatreBehind(
	ctx context.Context, addr string, services, from, to int, before func(*ecs.Model) http.Handler,
) (*theatre, error) {
	config, err := l.write("sluice.yaml", drainYAML(addr, services))
	if err != nil {
		return nil, err
	}
	t := &theatre{workers: &standIns{}, config: config, from: from, to: to}
	var all []ecs.ServiceConfig
	troupe := &troupe{ctx: ctx, workers: t.workers, clients: map[string]*redis.Client{}, dbs: map[string]int{}, left: map[string]int{}}
	for i := range services {
		all = append(all, ecs.ServiceConfig{Cluster: "bench", Name: targetName(i), Desired: from})
		client := redis.NewClient(&redis.Options{Addr: addr, DB: i})
		t.workers.atEnd(func() { _ = client.Close() })
		troupe.clients[targetName(i)], troupe.dbs[targetName(i)], troupe.left[targetName(i)] = client, i, to
	}
	t.model = ecs.New(ecs.Options{Throttle: true, Runner: troupe})
	url, stop, err := l.serve(t.model, before(t.model), all)
	if err != nil {
		return nil, err
	}
	t.close = func() {
		stop()
		t.workers.end()
	}
	t.model.Tick()
	if err := callInstead(url); err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

// drainYAML is a sluice.yaml with as many brokers as targets, each of which wants one worker for each task at work.
func drainYAML(addr string, targets int) string {
	const one = "    max: 5000\n"
	return strings.ReplaceAll(yaml(addr, targets, targets), one, one+"    messages_per_worker: 1\n    grace: 0s\n    settle: 1s\n")
}

// scaler returns the use cases as they ship, with clients and a budget of calls of their own, as a function has them. waits adds up what they wait by
// design, in nanoseconds.
func (t *theatre) scaler() (s *scaler.Scaler, waits *atomic.Int64, err error) {
	s, err = function.New(t.config, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		return nil, nil, err
	}
	waits = &atomic.Int64{}
	sleep := s.Sleep
	s.Sleep = func(ctx context.Context, d time.Duration) error {
		defer since(time.Now(), waits)
		return sleep(ctx, d)
	}
	for name, b := range s.Brokers {
		s.Brokers[name] = listening{b, waits}
	}
	return s, waits, nil
}

func since(began time.Time, sum *atomic.Int64) { sum.Add(int64(time.Since(began))) }

// listening is a broker that adds up how long its workers' heartbeats were waited for.
type listening struct {
	scaler.Broker
	waits *atomic.Int64
}

func (l listening) Beats(ctx context.Context, expect int) (map[string]policy.Beat, error) {
	defer since(time.Now(), l.waits)
	return l.Broker.Beats(ctx, expect)
}

// input is that of a scale-in whose target was seen as it is now, and long enough ago.
func (t *theatre) input(service int) scaler.Input {
	return scaler.Input{Target: targetName(service), Previous: &policy.Sighting{
		At: time.Now().Add(-time.Hour), Processed: int64(processed * t.from), Heard: t.from, Workers: t.to,
	}}
}

// cameOut errs unless a scale-in did what was to be done.
func (t *theatre) cameOut(c scaler.Change) error {
	if c.Status != "scaled in" || c.DesiredCount != t.to || c.Previous != t.from {
		return fmt.Errorf("scale in: it is %q, %d -> %d, because of %v", c.Status, c.Previous, c.DesiredCount, c.Reasons)
	}
	return nil
}

// troupe is the Runner whose tasks are stand-ins.
type troupe struct {
	ctx     context.Context
	workers *standIns
	clients map[string]*redis.Client // By service, as all here.
	dbs     map[string]int
	left    map[string]int // How many of its next tasks are to be at work.
}

// Start begins a worker, named as a worker on Fargate is.
func (t *troupe) Start(spec ecs.Spec, ended func(ecs.Exit)) (ecs.Process, error) {
	db := t.dbs[spec.Service]
	w := standIn{name: "celery@" + spec.Hostname, queue: queueName(db), db: db, client: t.clients[spec.Service]}
	if t.left[spec.Service] > 0 {
		t.left[spec.Service]--
		w.active = 1
	}
	stop, err := t.workers.begin(t.ctx, w)
	if err != nil {
		return nil, err
	}
	var once sync.Once
	return player(func(e ecs.Exit) {
		once.Do(func() {
			stop()
			ended(e)
		})
	}), nil
}

// player ends a stand-in, as a task's process, at the first call.
type player func(ecs.Exit)

// Terminate satisfies ecs.Process.
func (p player) Terminate() { go p(ecs.Exit{}) }

// Kill satisfies ecs.Process.
func (p player) Kill() { go p(ecs.Exit{Code: 137, Killed: true}) }
