// Package celery sees Celery workers and their queues through Redis, on the wire, as an adapter of scaler.Broker.
//
// Redis's keys alone cannot tell who is busy: with Celery's defaults a task that executes is in no key at all. So one
// Look has two halves. First the keys, in one pipeline: the length of each queue's priority lists and the hash of what
// workers have fetched and not acknowledged; only where these are few are the messages themselves read, to tell those
// that are due from those with an ETA. Then, last, because work only moves forward from a list to unacked to active, one
// broadcast over Celery's remote control, which asks each worker for its queues and its active tasks.
//
// Everything is bounded, whatever the backlog and the size of arguments, and whatever a server or a worker sends: the number of
// commands per queue, the bytes and items of one answer, the messages and bytes that are read, the replies, the names and tasks in
// them, the time. See bounds.go. What lies beyond is counted on the side that loses no work. A part that cannot be read is an unknown policy.Count with its cause; only a broker that could not be
// asked at all is an error, a *policy.Error. docs/design/0003-celery-look.md has the reasons.
package celery

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// The defaults of Options: Celery's and kombu's own, and time limits that fit a function that runs for seconds.
const (
	DefaultSeparator         = "\x06\x16"
	DefaultControlExchange   = "celery"
	DefaultEventExchange     = "celeryev"
	DefaultVisibilityTimeout = time.Hour
	DefaultDialTimeout       = 2 * time.Second
	DefaultCommandTimeout    = 2 * time.Second
)

// DefaultPrioritySteps are kombu's. Step 0 is the queue's own list.
func DefaultPrioritySteps() []int { return []int{0, 3, 6, 9} }

// Options say where a broker is and how its Celery application uses it. They have to be the same as the application's:
// nothing in Redis announces them.
type Options struct {
	// Addrs is the one address, host:port, of the server; with ClusterMode one or more addresses of the cluster.
	Addrs    []string
	Username string
	Password string
	DB       int         // It is part of the channels' names, too. 0 in cluster mode.
	TLS      *tls.Config // nil: no TLS.
	// ClusterMode is for a Redis in cluster mode. Celery itself works there only if all its keys are in one slot, which a
	// KeyPrefix with a hash tag such as "{celery}:" makes them.
	ClusterMode bool

	KeyPrefix       string // global_keyprefix of the broker_transport_options.
	PrioritySteps   []int  // priority_steps of the broker_transport_options; nil: 0, 3, 6, 9.
	Separator       string // sep of the broker_transport_options; "": the bytes 06 16.
	ControlExchange string // control_exchange; "": celery.
	EventExchange   string // event_exchange; "": celeryev.
	// VisibilityTimeout is visibility_timeout of the broker_transport_options; 0: one hour.
	VisibilityTimeout time.Duration

	// Horizon is how far ahead a message with an ETA counts as due. 0 counts what is due now only.
	Horizon time.Duration

	DialTimeout    time.Duration // Of one connection, TLS included; 0: 2 s.
	CommandTimeout time.Duration // Of one round trip; 0: 2 s. A context that ends earlier bounds it further.

	// AnswerBytes is how many bytes the server may send in answer to one request, at most 8 MiB, which 0 stands for. One answer takes about
	// four times as much memory while it is read.
	AnswerBytes int

	// Now is the clock that ETAs are held against; nil: time.Now.
	Now func() time.Time
	// Dial opens connections; nil: TCP, with TLS if TLS is set.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Called is told of each request to Redis that has been answered or has failed, by the command's name or "pipeline", with its error
	// or nil: for counting. It may be called by several goroutines at once; nil: nobody is told.
	Called func(operation string, err error)
}

// Broker is one Celery broker: one database of one Redis. It satisfies scaler.Broker, and may be used from several
// goroutines at once.
type Broker struct {
	opts   Options
	keys   keys
	client redis.UniversalClient
	waits  waits
	sweep  atomic.Uint64 // Where the next sweep of stale reply bindings goes on: the cursor of SSCAN.

	heads heads

	mu     sync.Mutex
	tooOld map[string]string // Workers before Celery 5.2, by node name: their version, or "" while only their answer told.
}

// waits are how long workers are waited for where the caller does not say. They are no options: a test that has to judge something
// else on a busy machine waits longer.
type waits struct{ control, linger, beats time.Duration }

// New returns the broker. It connects to nothing yet: the first use does.
func New(o Options) (*Broker, error) {
	switch {
	case len(o.Addrs) == 0:
		return nil, errors.New("create celery broker: no address given")
	case len(o.Addrs) > 1 && !o.ClusterMode:
		return nil, fmt.Errorf("create celery broker: %d addresses given without cluster mode; give the primary's", len(o.Addrs))
	case o.DB < 0:
		return nil, fmt.Errorf("create celery broker: database %d is negative", o.DB)
	case o.ClusterMode && o.DB != 0:
		return nil, fmt.Errorf("create celery broker: database %d in cluster mode, which has database 0 only", o.DB)
	case o.AnswerBytes < 0:
		return nil, errors.New("create celery broker: the bytes of an answer are negative")
	case o.Horizon < 0 || o.VisibilityTimeout < 0 || o.DialTimeout < 0 || o.CommandTimeout < 0:
		return nil, errors.New("create celery broker: a duration is negative")
	case slices.ContainsFunc(o.PrioritySteps, func(step int) bool { return step < 0 }):
		return nil, fmt.Errorf("create celery broker: priority steps %v: a step is negative", o.PrioritySteps)
	}
	o = withDefaults(o)
	return &Broker{
		opts:   o,
		keys:   keys{prefix: o.KeyPrefix, sep: o.Separator, steps: o.PrioritySteps, db: o.DB, control: o.ControlExchange, events: o.EventExchange},
		client: newClient(o),
		waits:  waits{control: controlPatience, linger: controlLinger, beats: beatWindow},
		tooOld: map[string]string{},
		heads:  heads{seen: map[string]head{}},
	}, nil
}

// Close closes the connections.
func (b *Broker) Close() error {
	if err := b.client.Close(); err != nil {
		return fmt.Errorf("close broker: %w", err)
	}
	return nil
}

func withDefaults(o Options) Options {
	if o.PrioritySteps == nil {
		o.PrioritySteps = DefaultPrioritySteps()
	}
	if !slices.Contains(o.PrioritySteps, 0) {
		// A message without priority always lands in the queue's own list.
		o.PrioritySteps = append([]int{0}, o.PrioritySteps...)
	}
	o.Separator = cmp.Or(o.Separator, DefaultSeparator)
	o.ControlExchange = cmp.Or(o.ControlExchange, DefaultControlExchange)
	o.EventExchange = cmp.Or(o.EventExchange, DefaultEventExchange)
	o.VisibilityTimeout = cmp.Or(o.VisibilityTimeout, DefaultVisibilityTimeout)
	o.DialTimeout = cmp.Or(o.DialTimeout, DefaultDialTimeout)
	o.CommandTimeout = cmp.Or(o.CommandTimeout, DefaultCommandTimeout)
	o.AnswerBytes = min(cmp.Or(o.AnswerBytes, maxAnswer), maxAnswer)
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}
