package function

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"sluice/internal/config"
	"sluice/internal/policy"
)

// stubBroker refuses or not.
type stubBroker struct {
	err    error
	closed bool
}

func (b *stubBroker) Look(context.Context, []string, time.Duration) (policy.Look, error) {
	return policy.Look{}, b.err
}

func (b *stubBroker) Beats(context.Context, int) (map[string]policy.Beat, error) { return nil, b.err }

func (b *stubBroker) Counter(context.Context, string) (policy.Count, error) {
	return policy.Count{}, b.err
}

func (b *stubBroker) Cancel(context.Context, []policy.Node) error { return b.err }

func (b *stubBroker) Consume(context.Context, []policy.Node) error { return b.err }

func (b *stubBroker) RateLimited(context.Context, []policy.Node) (map[string]bool, error) {
	return nil, b.err
}

func (b *stubBroker) Untracked(context.Context, []policy.Node) (map[string][]string, error) {
	return nil, b.err
}

func (b *stubBroker) Lock(context.Context, string, string, time.Duration) (bool, error) {
	return false, b.err
}

func (b *stubBroker) Unlock(context.Context, string, string) error { return b.err }

func (b *stubBroker) Close() error {
	b.closed = true
	return nil
}

func TestABrokerThatRefusesIsOpenedAnew(t *testing.T) {
	t.Parallel()
	old := &stubBroker{err: &policy.Error{Kind: policy.BrokerRefused, Err: errors.New("WRONGPASS")}}
	rotated := &stubBroker{}
	opened := []broker{old, rotated}
	lazy := &lazyBroker{name: "main", open: func(context.Context) (broker, error) {
		b := opened[0]
		opened = opened[1:]
		return b, nil
	}}
	if _, err := lazy.Look(t.Context(), nil, 0); kind(err) != "BrokerRefused" {
		t.Fatalf("error %v", err)
	}
	if !old.closed {
		t.Error("the refused broker was not closed")
	}
	for range 2 { // The second use does not open a third.
		if _, err := lazy.Look(t.Context(), nil, 0); err != nil {
			t.Fatalf("after the password was changed: %v", err)
		}
	}

	// A broker that is out of reach is kept: its client connects again by itself.
	rotated.err = &policy.Error{Kind: policy.BrokerUnavailable, Err: errors.New("refused")}
	if _, err := lazy.Beats(t.Context(), 1); kind(err) != "BrokerUnavailable" || rotated.closed {
		t.Errorf("error %v, closed %v", err, rotated.closed)
	}
	if _, err := lazy.Counter(t.Context(), "k"); kind(err) != "BrokerUnavailable" {
		t.Errorf("error %v", err)
	}
}

// flakyBroker is out of reach for some looks.
type flakyBroker struct {
	stubBroker
	fails, looks int
	late         int // The look during which the time runs out.
	end          func()
}

func (b *flakyBroker) Look(context.Context, []string, time.Duration) (policy.Look, error) {
	b.looks++
	if b.looks == b.late {
		b.end()
	}
	if b.looks <= b.fails {
		return policy.Look{}, &policy.Error{Kind: policy.BrokerUnavailable, Err: fmt.Errorf("connection reset in look %d", b.looks)}
	}
	return policy.Look{Loose: policy.Known(7)}, nil
}

func TestABrokerOutOfReachIsLookedAtOnceMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fails, looks int
		late         int
		err          string
	}{
		"well":                 {looks: 1},
		"a broken connection":  {fails: 1, looks: 2},
		"down":                 {fails: 9, looks: 2, err: "connection reset in look 2"},
		"no time for a second": {fails: 1, looks: 1, late: 1, err: "connection reset in look 1"},
		"no time to end it":    {fails: 9, looks: 2, late: 2, err: "connection reset in look 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			flaky := &flakyBroker{fails: c.fails, late: c.late, end: cancel}
			lazy := &lazyBroker{name: "main", open: func(context.Context) (broker, error) { return flaky, nil }}
			look, err := lazy.Look(ctx, nil, 0)
			if flaky.looks != c.looks {
				t.Errorf("%d looks, want %d", flaky.looks, c.looks)
			}
			switch {
			case c.err == "" && (err != nil || look.Loose.N != 7):
				t.Errorf("look %+v, %v", look, err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("error %v, want %q", err, c.err)
			}
		})
	}
}

// countedBroker is out of reach once, and counts what it is asked.
type countedBroker struct {
	stubBroker
	asked []string
}

func (b *countedBroker) note(what string) error {
	b.asked = append(b.asked, what)
	if len(b.asked) == 1 {
		return &policy.Error{Kind: policy.BrokerUnavailable, Err: errors.New("connection reset")}
	}
	return nil
}

func (b *countedBroker) Cancel(_ context.Context, nodes []policy.Node) error {
	return b.note("cancel " + nodes[0].Name)
}

func (b *countedBroker) Consume(_ context.Context, nodes []policy.Node) error {
	return b.note("consume " + nodes[0].Name)
}

func (b *countedBroker) RateLimited(_ context.Context, nodes []policy.Node) (map[string]bool, error) {
	return map[string]bool{"tasks.slow": true}, b.note("rates " + nodes[0].Name)
}

func (b *countedBroker) Untracked(_ context.Context, nodes []policy.Node) (map[string][]string, error) {
	return map[string][]string{"w1@a": {"tasks.batch"}}, b.note("untracked " + nodes[0].Name)
}

func (b *countedBroker) Lock(_ context.Context, name, token string, ttl time.Duration) (bool, error) {
	return true, b.note(fmt.Sprintf("lock %s %s %v", name, token, ttl))
}

func (b *countedBroker) Unlock(_ context.Context, name, token string) error {
	return b.note("unlock " + name + " " + token)
}

func (b *countedBroker) Counter(context.Context, string) (policy.Count, error) {
	return policy.Known(1), b.note("counter")
}

// What may be done twice is done once more where the broker was out of reach. The rest is not.
func TestWhatIsRepeated(t *testing.T) {
	t.Parallel()
	nodes := []policy.Node{{Name: "w1@a", Queues: []string{"video"}}}
	for name, c := range map[string]struct {
		call  func(ctx context.Context, b *lazyBroker) error
		asked string
		times int
	}{
		"cancel":  {func(ctx context.Context, b *lazyBroker) error { return b.Cancel(ctx, nodes) }, "cancel w1@a", 2},
		"consume": {func(ctx context.Context, b *lazyBroker) error { return b.Consume(ctx, nodes) }, "consume w1@a", 2},
		"rates": {func(ctx context.Context, b *lazyBroker) error {
			got, err := b.RateLimited(ctx, nodes)
			if err == nil && !got["tasks.slow"] {
				err = fmt.Errorf("rate limits %v", got)
			}
			return err
		}, "rates w1@a", 2},
		"untracked": {func(ctx context.Context, b *lazyBroker) error {
			got, err := b.Untracked(ctx, nodes)
			if err == nil && len(got["w1@a"]) != 1 {
				err = fmt.Errorf("untracked tasks %v", got)
			}
			return err
		}, "untracked w1@a", 2},
		"lock": {func(ctx context.Context, b *lazyBroker) error {
			ours, err := b.Lock(ctx, "web", "a", time.Minute)
			if err == nil && !ours {
				err = errors.New("the lock is not ours")
			}
			return err
		}, "lock web a 1m0s", 2},
		"unlock":  {func(ctx context.Context, b *lazyBroker) error { return b.Unlock(ctx, "web", "a") }, "unlock web a", 2},
		"counter": {func(ctx context.Context, b *lazyBroker) error { _, err := b.Counter(ctx, "k"); return err }, "counter", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counted := &countedBroker{}
			err := c.call(t.Context(), &lazyBroker{name: "main", open: func(context.Context) (broker, error) { return counted, nil }})
			if repeated := c.times == 2; repeated != (err == nil) {
				t.Errorf("error %v", err)
			}
			if want := slices.Repeat([]string{c.asked}, c.times); !slices.Equal(counted.asked, want) {
				t.Errorf("asked %q, want %q", counted.asked, want)
			}
		})
	}
}

func TestABrokerThatMayHaveMovedIsOpenedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gone := &stubBroker{err: &policy.Error{Kind: policy.BrokerUnavailable, Err: errors.New("refused")}}
		moved := &stubBroker{}
		opened := []broker{gone, moved}
		lazy := &lazyBroker{name: "main", open: func(context.Context) (broker, error) {
			b := opened[0]
			opened = opened[1:]
			return b, nil
		}}
		for range 3 { // It is not asked for anew each time.
			if _, err := lazy.Counter(t.Context(), "k"); kind(err) != "BrokerUnavailable" || gone.closed {
				t.Fatalf("error %v, closed %v", err, gone.closed)
			}
		}
		time.Sleep(rereadAfter)
		if _, err := lazy.Counter(t.Context(), "k"); kind(err) != "BrokerUnavailable" || !gone.closed {
			t.Fatalf("a minute later: error %v, closed %v", err, gone.closed)
		}
		if _, err := lazy.Counter(t.Context(), "k"); err != nil {
			t.Fatalf("after it was asked for anew: %v", err)
		}
	})
}

func TestBrokerURL(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		broker config.Broker
		status int
		answer string
		want   string
		kind   policy.Kind
		text   string
	}{
		{"given", config.Broker{URL: "redis://given"}, 0, "", "redis://given", "", ""},
		{"a secret", config.Broker{URLSecret: "prod/redis"}, 200, `{"SecretString":"redis://s"}`, "redis://s", "", ""},
		{"a field of a secret", config.Broker{URLSecret: "prod/redis#url"}, 200, `{"SecretString":"{\"url\":\"redis://f\"}"}`, "redis://f", "", ""},
		{"a parameter", config.Broker{URLParameter: "/prod/redis"}, 200, `{"Parameter":{"Value":"redis://p"}}`, "redis://p", "", ""},
		{"a secret that is no JSON", config.Broker{URLSecret: "s#url"}, 200, `{"SecretString":"hunter2"}`, "", policy.InvalidConfig, "no JSON object"},
		{"a secret without the field", config.Broker{URLSecret: "s#url"}, 200, `{"SecretString":"{\"a\":\"hunter2\"}"}`, "", policy.InvalidConfig, `no field "url"`},
		{"a field that is no text", config.Broker{URLSecret: "s#url"}, 200, `{"SecretString":"{\"url\":{\"hunter2\":1}}"}`, "", policy.InvalidConfig, "no text"},
		{"not allowed", config.Broker{URLSecret: "s"}, 400, `{"__type":"AccessDeniedException","message":"no"}`, "", policy.InvalidConfig, "secretsmanager:GetSecretValue"},
		{"not there", config.Broker{URLSecret: "s"}, 400, `{"__type":"ResourceNotFoundException","message":"no"}`, "", policy.InvalidConfig, "correct its name"},
		{"no parameter", config.Broker{URLParameter: "p"}, 400, `{"__type":"ParameterNotFound"}`, "", policy.InvalidConfig, "read parameter p"},
		{"a server fault", config.Broker{URLParameter: "p"}, 500, `{"__type":"InternalServerError"}`, "", policy.BrokerUnavailable, "read parameter p"},
		{"throttled", config.Broker{URLSecret: "s"}, 400, `{"__type":"ThrottlingException"}`, "", policy.BrokerUnavailable, "read secret s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			aws := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				_, _ = fmt.Fprint(w, tt.answer)
			}))
			defer aws.Close()
			got, err := BrokerURL(t.Context(), sdkAt(aws.URL), tt.broker)
			if got != tt.want {
				t.Errorf("URL %q, want %q", got, tt.want)
			}
			if tt.kind == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if kind(err) != string(tt.kind) || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("error %v, want kind %s and %q", err, tt.kind, tt.text)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows the secret: %v", err)
			}
		})
	}
}

func sdkAt(url string) aws.Config {
	return aws.Config{
		Region: "eu-west-1", BaseEndpoint: &url, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
	}
}

// panicking is a broker in which something of ours breaks.
type panicking struct{ stubBroker }

func (p *panicking) Look(context.Context, []string, time.Duration) (policy.Look, error) {
	panic("runtime error: makeslice: len out of range")
}

// A panic is the error of the broker in whose use it happened, is logged with its stack, and leaves nothing half used behind.
func TestAPanicIsTheBrokersError(t *testing.T) {
	t.Parallel()
	broken, next := &panicking{}, &stubBroker{}
	opened := []broker{broken, next}
	var log strings.Builder
	lazy := &lazyBroker{name: "main", log: slog.New(slog.NewJSONHandler(&log, nil)), open: func(context.Context) (broker, error) {
		b := opened[0]
		opened = opened[1:]
		return b, nil
	}}
	_, err := lazy.Look(t.Context(), nil, 0)
	var typed *policy.Error
	if !errors.As(err, &typed) || typed.Kind != policy.InternalError || err.Error() != "broker main: look: panic: runtime error: makeslice: len out of range" {
		t.Errorf("error %v of kind %s", err, kind(err))
	}
	if !strings.Contains(log.String(), "broker panicked") || !strings.Contains(log.String(), "(*panicking).Look") {
		t.Errorf("the log has no stack: %s", log.String())
	}
	if !broken.closed {
		t.Error("the broker was not closed")
	}
	if _, err := lazy.Look(t.Context(), nil, 0); err != nil || len(opened) != 0 {
		t.Errorf("the next look: %v", err)
	}
}

// Together the answers of all brokers fit into the function, and each has room for what a look asks for.
func TestEachBrokerHasItsShare(t *testing.T) {
	t.Parallel()
	for brokers, want := range map[int]int{0: 8 << 20, 1: 8 << 20, 6: 8 << 20, 12: 4 << 20, 24: 2 << 20, 1000: 2 << 20} {
		if got := answerBytes(brokers); got != want {
			t.Errorf("%d brokers: %d bytes each, want %d", brokers, got, want)
		}
	}
}
