package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"go.opentelemetry.io/otel/attribute"

	"sluice/internal/celery"
	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/internal/telemetry"
)

// broker is a scaler's broker that can be closed.
type broker interface {
	scaler.Broker
	Close() error
}

// lazyBroker opens its broker when it is first used, which may need a secret to be read. A broker that refuses us is closed
// and opened anew at the next use: its password may have been changed, and a warm function must not keep the old one. So is
// one that is out of reach, since it may have moved, but not more often than each rereadAfter: that is a call to AWS.
type lazyBroker struct {
	name string
	open func(context.Context) (broker, error)
	log  *slog.Logger // nil: nobody is told of panics but the caller.

	mu     sync.Mutex
	opened broker
	at     time.Time // When it was opened.
}

const rereadAfter = time.Minute

// Look is scaler.Broker's. A broker that was out of reach is looked at once more while ctx lasts: connections break whenever a
// Redis fails over, and what a sweep does not see waits for the next one. Looking twice changes nothing.
func (b *lazyBroker) Look(ctx context.Context, queues []string, patience time.Duration) (policy.Look, error) {
	return twice(ctx, b, "look", func(opened broker) (policy.Look, error) { return opened.Look(ctx, queues, patience) })
}

// Beats is scaler.Broker's.
func (b *lazyBroker) Beats(ctx context.Context, expect int) (map[string]policy.Beat, error) {
	return with(ctx, b, "beats", func(opened broker) (map[string]policy.Beat, error) { return opened.Beats(ctx, expect) })
}

// Counter is scaler.Broker's.
func (b *lazyBroker) Counter(ctx context.Context, key string) (policy.Count, error) {
	return with(ctx, b, "counter", func(opened broker) (policy.Count, error) { return opened.Counter(ctx, key) })
}

// Cancel is scaler.Broker's. It is repeated as a look is: a worker that is told twice to stop fetching does what one does that
// is told once.
func (b *lazyBroker) Cancel(ctx context.Context, nodes []policy.Node) error {
	return alone(twice(ctx, b, "cancel", func(opened broker) (struct{}, error) { return struct{}{}, opened.Cancel(ctx, nodes) }))
}

// Consume is scaler.Broker's. It is repeated for the same reason.
func (b *lazyBroker) Consume(ctx context.Context, nodes []policy.Node) error {
	return alone(twice(ctx, b, "consume", func(opened broker) (struct{}, error) { return struct{}{}, opened.Consume(ctx, nodes) }))
}

// RateLimited is scaler.Broker's. Asking twice changes nothing.
func (b *lazyBroker) RateLimited(ctx context.Context, nodes []policy.Node) (map[string]bool, error) {
	return twice(ctx, b, "rate_limited", func(opened broker) (map[string]bool, error) { return opened.RateLimited(ctx, nodes) })
}

// Untracked is scaler.Broker's. Asking twice changes nothing.
func (b *lazyBroker) Untracked(ctx context.Context, nodes []policy.Node) (map[string][]string, error) {
	return twice(ctx, b, "untracked", func(opened broker) (map[string][]string, error) { return opened.Untracked(ctx, nodes) })
}

// Lock is scaler.Broker's. It is repeated: if the first attempt took the lock and its answer was lost, the second finds
// its own token there.
func (b *lazyBroker) Lock(ctx context.Context, name, token string, ttl time.Duration) (bool, error) {
	return twice(ctx, b, "lock", func(opened broker) (bool, error) { return opened.Lock(ctx, name, token, ttl) })
}

// Unlock is scaler.Broker's. It is repeated: what another has taken since bears another token.
func (b *lazyBroker) Unlock(ctx context.Context, name, token string) error {
	return alone(twice(ctx, b, "unlock", func(opened broker) (struct{}, error) { return struct{}{}, opened.Unlock(ctx, name, token) }))
}

// alone leaves nothing but the error.
func alone(_ struct{}, err error) error { return err }

// twice uses the broker, and once more if it was out of reach and there is time: for what may be done twice.
func twice[T any](ctx context.Context, b *lazyBroker, what string, use func(broker) (T, error)) (T, error) {
	got, err := with(ctx, b, what, use)
	if e := new(policy.Error); errors.As(err, &e) && e.Kind == policy.BrokerUnavailable && ctx.Err() == nil {
		again, second := with(ctx, b, what, use)
		if second == nil || ctx.Err() == nil {
			return again, second
		}
		// Time ran out: what the first ended with says more of the broker.
	}
	return got, err
}

// with uses the broker, within a span of that name. What panics in the use of one broker is an error of that broker, and no end of the
// process, which has others to look at.
func with[T any](ctx context.Context, b *lazyBroker, what string, use func(broker) (T, error)) (got T, err error) {
	ctx, span := telemetry.Call(ctx, what+" "+b.name, attribute.String("db.system.name", "redis"),
		attribute.String("db.operation.name", what), attribute.String("sluice.broker", b.name))
	defer func() { telemetry.End(span, kind(err), err) }()
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("broker %s: %s: panic: %.500v", b.name, what, r)
			if b.log != nil {
				b.log.ErrorContext(ctx, "broker panicked", "broker", b.name, "error", err.Error(), "stack", string(debug.Stack()))
			}
			err = &policy.Error{Kind: policy.InternalError, Err: err}
			b.drop() // Its connections are in the middle of something.
		}
	}()
	opened, err := b.get(ctx)
	if err != nil {
		return got, fmt.Errorf("broker %s: %w", b.name, err)
	}
	got, err = use(opened)
	if err != nil {
		err = fmt.Errorf("broker %s: %w", b.name, err)
		b.doubt(opened, err)
	}
	return got, err
}

func (b *lazyBroker) get(ctx context.Context) (broker, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened != nil {
		return b.opened, nil
	}
	opened, err := b.open(ctx)
	if err != nil {
		return nil, err
	}
	b.opened, b.at = opened, time.Now()
	return opened, nil
}

// drop has the broker opened anew at its next use.
func (b *lazyBroker) drop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.opened != nil {
		_ = b.opened.Close()
		b.opened = nil
	}
}

// doubt has the broker opened anew at its next use, if the error gives a reason to.
func (b *lazyBroker) doubt(opened broker, err error) {
	var e *policy.Error
	if !errors.As(err, &e) {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	moved := e.Kind == policy.BrokerUnavailable && time.Since(b.at) >= rereadAfter
	if b.opened == opened && (moved || e.Kind == policy.BrokerRefused) {
		b.opened = nil
		_ = opened.Close() // Its connections are of no use any more: there is nothing to lose.
	}
}

// Broker finds out where the broker is and returns a client for it, which is not connected yet. Its errors are of kind
// policy.InvalidConfig, or policy.BrokerUnavailable if AWS could not be asked for the URL.
func Broker(ctx context.Context, sdk aws.Config, b config.Broker, now func() time.Time) (*celery.Broker, error) {
	return openBroker(ctx, sdk, b, now, nil, 0)
}

// answerBytes is each broker's share of what all of them may answer at once. An answer takes some four times as much memory while it is
// read, and the function has 512 MB. A look asks for a megabyte of messages at most (celery.maxRead), and half as much around them: less would be of no use.
func answerBytes(brokers int) int {
	const all, least, most = 48 << 20, 2 << 20, 8 << 20
	return min(max(all/max(brokers, 1), least), most)
}

func openBroker(
	ctx context.Context, sdk aws.Config, b config.Broker, now func() time.Time, called func(string, error), answerBytes int,
) (*celery.Broker, error) {
	url, err := BrokerURL(ctx, sdk, b)
	if err != nil {
		return nil, err
	}
	e, err := b.Endpoint(url)
	if err != nil {
		return nil, &policy.Error{Kind: policy.InvalidConfig, Err: err}
	}
	tls, err := e.TLSConfig()
	if err != nil {
		return nil, &policy.Error{Kind: policy.InvalidConfig, Err: err}
	}
	opened, err := celery.New(celery.Options{
		Addrs: []string{e.Addr()}, Username: e.Username, Password: e.Password.Reveal(), DB: e.DB, TLS: tls,
		ClusterMode: b.ClusterMode, KeyPrefix: b.KeyPrefix, PrioritySteps: b.PrioritySteps, Separator: b.Separator,
		ControlExchange: b.ControlExchange, EventExchange: b.EventExchange,
		VisibilityTimeout: b.VisibilityTimeout.Std(), Horizon: b.Horizon.Std(), Now: now, Called: called,
		AnswerBytes: answerBytes,
	})
	if err != nil {
		return nil, &policy.Error{Kind: policy.InvalidConfig, Err: err}
	}
	return opened, nil
}

// BrokerURL reads the broker's URL from where the configuration says that it is: the environment, a secret, a parameter, or the
// configuration itself. As a rule it holds a password: show none of it but what config.Broker.Endpoint makes of it.
func BrokerURL(ctx context.Context, sdk aws.Config, b config.Broker) (string, error) {
	url, err := b.URL.Reveal(), error(nil)
	switch {
	case b.URLEnv != "":
		if url = os.Getenv(b.URLEnv); url == "" {
			return "", &policy.Error{Kind: policy.InvalidConfig, Err: fmt.Errorf(
				"read broker URL: the environment variable %s is not set: set it where this runs", b.URLEnv)}
		}
	case b.URLSecret != "":
		url, err = secret(ctx, Whole(sdk), b.URLSecret)
	case b.URLParameter != "":
		url, err = parameter(ctx, Whole(sdk), b.URLParameter)
	}
	return strings.TrimSpace(url), err // A secret that was read from a file often ends in a newline.
}
