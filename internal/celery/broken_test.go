package celery

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// respServer answers Redis's protocol with what the test says for each command; "" is silence.
func respServer(t testing.TB, answer func(command []string) string) string {
	t.Helper()
	return testenv.RESPServer(t, nil, testenv.Answers(answer))
}

// refusing answers all commands but those that open a connection with an error; with a command given, that one only.
func refusing(message, only string) func([]string) string {
	return func(command []string) string {
		name := strings.ToUpper(command[0])
		switch {
		case name == "HELLO":
			return "-ERR unknown command 'HELLO'\r\n"
		case only == "" || name == only:
			return "-" + message + "\r\n"
		case name == "EVAL":
			return "-ERR unknown command 'EVAL'\r\n"
		case name == "SSCAN":
			return "*2\r\n$1\r\n0\r\n*0\r\n"
		case name == "LLEN":
			return ":1\r\n"
		}
		return ":0\r\n"
	}
}

func TestLookAtBrokenBroker(t *testing.T) {
	const password = "hunter2-secret"
	closed := testenv.RefusingAddr(t)
	silent := respServer(t, func([]string) string { return "" })
	plain := respServer(t, refusing("ERR", ""))
	guarded := miniredis.RunT(t)
	guarded.RequireAuth("another")
	secure, pool := tlsRedis(t)
	options := func(addr string) Options {
		return Options{Addrs: []string{addr}}
	}
	// impatient is for a server that never answers.
	impatient := func(o Options) Options {
		o.DialTimeout, o.CommandTimeout = time.Second, time.Second
		return o
	}
	withPassword := options(guarded.Addr())
	withPassword.Password = password
	withTLS := func(addr string, roots *x509.CertPool, name string) Options {
		o := options(addr)
		o.TLS = &tls.Config{RootCAs: roots, ServerName: name}
		return o
	}
	for name, c := range map[string]struct {
		options Options
		kind    policy.Kind
		says    string
	}{
		"refused":               {options(closed), policy.BrokerUnavailable, "connection refused"},
		"black hole":            {impatient(options(silent)), policy.BrokerUnavailable, "timeout"},
		"loading":               {options(respServer(t, refusing("LOADING Redis is loading the dataset in memory", ""))), policy.BrokerUnavailable, "LOADING"},
		"master down":           {options(respServer(t, refusing("MASTERDOWN Link with MASTER is down", ""))), policy.BrokerUnavailable, "MASTERDOWN"},
		"cluster down":          {options(respServer(t, refusing("CLUSTERDOWN Hash slot not served", ""))), policy.BrokerUnavailable, "CLUSTERDOWN"},
		"busy with a script":    {options(respServer(t, refusing("BUSY Redis is busy running a script", ""))), policy.BrokerUnavailable, "BUSY"},
		"read-only replica":     {options(respServer(t, refusing("READONLY You can't write against a read only replica.", "SADD"))), policy.BrokerUnavailable, "READONLY"},
		"out of memory":         {options(respServer(t, refusing("OOM command not allowed", "SADD"))), policy.BrokerUnavailable, "OOM"},
		"no password":           {options(guarded.Addr()), policy.BrokerRefused, "NOAUTH"},
		"wrong password":        {withPassword, policy.BrokerRefused, "WRONGPASS"},
		"no rights to lists":    {options(respServer(t, refusing("NOPERM this user has no permissions", "LLEN"))), policy.BrokerRefused, "NOPERM"},
		"no rights to a hash":   {options(respServer(t, refusing("NOPERM this user has no permissions", "HLEN"))), policy.BrokerRefused, "NOPERM"},
		"no rights to a set":    {options(respServer(t, refusing("NOPERM this user has no permissions", "ZCOUNT"))), policy.BrokerRefused, "NOPERM"},
		"no rights":             {options(respServer(t, refusing("NOPERM this user has no permissions", "PUBLISH"))), policy.BrokerRefused, "NOPERM"},
		"TLS to a plain Redis":  {impatient(withTLS(testenv.RedisServer(t), nil, "localhost")), policy.BrokerUnavailable, "does this port speak TLS?"},
		"TLS to a plain server": {withTLS(plain, nil, "localhost"), policy.BrokerRefused, "does not look like a TLS handshake"},
		"plain to a TLS server": {options(secure), policy.BrokerUnavailable, "does it want TLS?"},
		"unknown authority":     {withTLS(secure, nil, "localhost"), policy.BrokerRefused, "certificate"},
		"wrong host name":       {withTLS(secure, pool, "elsewhere"), policy.BrokerRefused, "elsewhere"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := newBroker(t, c.options).Look(t.Context(), []string{"video"}, 100*time.Millisecond)
			if took := time.Since(begin); took > testPatience {
				t.Errorf("the look took %v", took)
			}
			var typed *policy.Error
			if !errors.As(err, &typed) || typed.Kind != c.kind {
				t.Fatalf("look: %v; want kind %s", err, c.kind)
			}
			if !strings.HasPrefix(err.Error(), "look at broker: ") || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), password) ||
				strings.Contains(err.Error(), "TLS?") != strings.Contains(c.says, "TLS?") {
				t.Errorf("look: %v; want %q in it, no password, and TLS asked for where it may be that", err, c.says)
			}
		})
	}
	if _, err := newBroker(t, withTLS(secure, pool, "localhost")).Look(t.Context(), []string{"video"}, time.Second); err != nil {
		t.Errorf("look over TLS that is well: %v", err)
	}
}

// A context that ends earlier than any time-out bounds all three.
func TestBlackHoleEndsWithContext(t *testing.T) {
	o := lookOptions(respServer(t, func([]string) string { return "" }))
	o.DialTimeout, o.CommandTimeout = time.Hour, time.Hour
	broker := newBroker(t, o)
	for name, call := range map[string]func(ctx context.Context) error{
		"look": func(ctx context.Context) error {
			_, err := broker.Look(ctx, []string{"video"}, time.Second)
			return err
		},
		"beats":   func(ctx context.Context) error { _, err := broker.Beats(ctx, 1); return err },
		"counter": func(ctx context.Context) error { _, err := broker.Counter(ctx, "n"); return err },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begin := time.Now()
		err := call(ctx)
		cancel()
		var typed *policy.Error
		if !errors.As(err, &typed) || typed.Kind != policy.BrokerUnavailable || time.Since(begin) > time.Minute {
			t.Errorf("%s: %v after %v", name, err, time.Since(begin))
		}
	}
}

// Where scripts are not allowed, messages are not looked into: all of them count as due.
func TestLookWithoutScripts(t *testing.T) {
	for _, refusal := range []string{
		"NOPERM this user has no permissions to run the 'eval' command", "NOSCRIPT No matching script. Please use EVAL.",
		"ERR unknown command 'eval'", "CROSSSLOT Keys in request don't hash to the same slot",
	} {
		broker := newBroker(t, lookOptions(respServer(t, refusing(refusal, "EVAL"))))
		look, err := broker.Look(t.Context(), []string{"video"}, time.Second)
		if err != nil || look.Queues["video"].Backlog != policy.Known(4) {
			t.Errorf("%s: look %+v, %v; want a backlog of 4", refusal, look, err)
		}
	}
}

// A key of another type spoils its own queue only.
func TestLookAtWrongTypes(t *testing.T) {
	m := miniredis.RunT(t)
	_ = m.Set("video", "text")
	_, _ = m.Lpush("video\x06\x163", taskMessage("a", "video", nil))
	_, _ = m.Lpush("mail", taskMessage("b", "mail", nil))
	broker := newBroker(t, lookOptions(m.Addr()))
	look, err := broker.Look(t.Context(), []string{"video", "mail"}, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got := look.Queues["video"].Backlog; got.Known || got.N != 1 || !strings.Contains(got.Cause, `read the length of "video": WRONGTYPE`) {
		t.Errorf("backlog of a queue whose key is no list: %+v", got)
	}
	if got := look.Queues["mail"].Backlog; got != policy.Known(1) {
		t.Errorf("backlog of the other queue: %+v", got)
	}
	for _, key := range []string{"unacked", "unacked_index"} {
		_ = m.Set(key, "text")
		look, err = broker.Look(t.Context(), []string{"mail"}, time.Second)
		if err != nil || look.Loose.Known || !strings.HasPrefix(look.Loose.Cause, "read what workers hold: WRONGTYPE") || look.Queues["mail"].Backlog != policy.Known(1) {
			t.Errorf("look with %s of another type: %+v, %v", key, look, err)
		}
		m.Del(key)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []struct {
		want    string
		options Options
	}{
		{"no address", Options{}},
		{"2 addresses", Options{Addrs: []string{"a:1", "b:1"}}},
		{"database -1 is negative", Options{Addrs: []string{"a:1"}, DB: -1}},
		{"database 3 in cluster", Options{Addrs: []string{"a:1"}, DB: 3, ClusterMode: true}},
		{"a duration is negative", Options{Addrs: []string{"a:1"}, Horizon: -1}},
		{"a duration is negative", Options{Addrs: []string{"a:1"}, VisibilityTimeout: -1}},
		{"a duration is negative", Options{Addrs: []string{"a:1"}, DialTimeout: -1}},
		{"a duration is negative", Options{Addrs: []string{"a:1"}, CommandTimeout: -1}},
		{"priority steps [0 -3]: a", Options{Addrs: []string{"a:1"}, PrioritySteps: []int{0, -3}}},
		{"the bytes of an answer", Options{Addrs: []string{"a:1"}, AnswerBytes: -1}},
	} {
		if _, err := New(c.options); err == nil || !strings.HasPrefix(err.Error(), "create celery broker: "+c.want) {
			t.Errorf("new broker: %v; want %q", err, c.want)
		}
	}
}

// TestNewTakes holds what is put in the place of what is not given, and that what is given is kept.
func TestNewTakes(t *testing.T) {
	b := newBroker(t, Options{Addrs: []string{"a:1", "b:1"}, ClusterMode: true})
	want := keys{sep: "\x06\x16", steps: []int{0, 3, 6, 9}, control: "celery", events: "celeryev"}
	if !reflect.DeepEqual(b.keys, want) || b.opts.VisibilityTimeout != time.Hour { // Kombu's and Celery's own.
		t.Errorf("by default %+v and %v", b.keys, b.opts.VisibilityTimeout)
	}
	given := Options{
		Addrs: []string{"a:1"}, DB: 3, KeyPrefix: "p:", PrioritySteps: []int{0, 1}, Separator: "-", ControlExchange: "c", EventExchange: "e",
		VisibilityTimeout: 1, DialTimeout: 2, CommandTimeout: 3,
	}
	b = newBroker(t, given)
	want = keys{prefix: "p:", sep: "-", steps: []int{0, 1}, db: 3, control: "c", events: "e"}
	if !reflect.DeepEqual(b.keys, want) || b.opts.VisibilityTimeout != 1 || b.opts.DialTimeout != 2 || b.opts.CommandTimeout != 3 {
		t.Errorf("%+v, %+v", b.keys, b.opts)
	}
	b = newBroker(t, Options{Addrs: []string{"a:1"}, PrioritySteps: []int{3}})
	if !reflect.DeepEqual(b.keys.steps, []int{0, 3}) {
		t.Errorf("the queue's own list is not looked at: %v", b.keys.steps)
	}
}

// TestLookAtAnAnswerInPart has the server answer the script with less than it was asked for: that is no look, and nothing breaks over it.
func TestLookAtAnAnswerInPart(t *testing.T) {
	for name, c := range map[string]struct {
		eval    string
		backlog policy.Count // Of a look that is one.
	}{
		"nothing":             {"*0\r\n", policy.Count{}},
		"a key too few":       {"*4\r\n*0\r\n*0\r\n*0\r\n*0\r\n", policy.Count{}},
		"nothing of each key": {"*5\r\n*0\r\n*0\r\n*0\r\n*0\r\n*0\r\n", policy.Known(4)},
		"other things":        {"*5\r\n:1\r\n:1\r\n*1\r\n:1\r\n*1\r\n:1\r\n:1\r\n", policy.Known(4)},
		"words for numbers":   {"*5\r\n*2\r\n$1\r\na\r\n:1\r\n*2\r\n$1\r\na\r\n:0\r\n*0\r\n*0\r\n*0\r\n", policy.Known(4)},
		"what is no answer":   {"%1\r\n", policy.Count{}},
		"a broken entry":      {"*5\r\n*4\r\n:1\r\n:1\r\n$1\r\n7\r\n:0\r\n*0\r\n*0\r\n*0\r\n*0\r\n", policy.Known(4)},
	} {
		t.Run(name, func(t *testing.T) {
			evals := 0
			plain := refusing("", "none of them")
			broker := newBroker(t, lookOptions(respServer(t, func(command []string) string {
				if strings.EqualFold(command[0], "EVAL") {
					if evals++; evals > 1 { // The first is for the heads.
						return c.eval
					}
				}
				return plain(command)
			})))
			look, err := broker.Look(t.Context(), []string{"video"}, time.Second)
			if c.backlog.Known && (err != nil || look.Queues["video"].Backlog != c.backlog) || !c.backlog.Known && err == nil {
				t.Errorf("look %+v, %v; want a backlog of %+v", look, err, c.backlog)
			}
		})
	}
}

// TestOfTLS holds each way in which two sides do not agree on TLS, by itself.
func TestOfTLS(t *testing.T) {
	for _, err := range []error{
		&tls.CertificateVerificationError{Err: errors.New("x")},
		tls.RecordHeaderError{Msg: "x"},
		tls.AlertError(40),
		x509.UnknownAuthorityError{},
		x509.HostnameError{Certificate: &x509.Certificate{}},
		x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired},
		errors.New("remote error: tls: handshake failure"), errors.New(`redis: can't parse "\x15\x03\x03\x00\x02\x02P"`),
	} {
		if kind := failure("look", fmt.Errorf("dial: %w", err)).(*policy.Error).Kind; kind != policy.BrokerRefused {
			t.Errorf("%T %v: %s", err, err, kind)
		}
	}
	if kind := failure("look", errors.New("i/o timeout")).(*policy.Error).Kind; kind != policy.BrokerUnavailable {
		t.Errorf("a timeout: %s", kind)
	}
}

// TestRefusals holds what only a person can mend against the texts of several versions of Redis.
func TestRefusals(t *testing.T) {
	m := miniredis.RunT(t)
	for _, text := range []string{
		"NOAUTH Authentication required.", "WRONGPASS invalid username-password pair", "NOPERM this user has no permissions", "ERR invalid password",
		"ERR AUTH <password> called without any password configured", "ERR Client sent AUTH, but no password is set", "ERR invalid username",
		"ERR DB index is out of range", "ERR invalid DB index", "ERR SELECT is not allowed in cluster mode", "DENIED Redis is running in protected mode",
		"CROSSSLOT Keys in request don't hash to the same slot",
	} {
		m.SetError(text)
		_, err := newBroker(t, lookOptions(m.Addr())).Counter(t.Context(), "n")
		var typed *policy.Error
		if !errors.As(err, &typed) || typed.Kind != policy.BrokerRefused {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// tlsRedis serves Redis over TLS with a certificate for localhost, and returns its authority.
func tlsRedis(t *testing.T) (addr string, roots *x509.CertPool) {
	t.Helper()
	cert := testenv.Certificate(t, "localhost")
	m := miniredis.NewMiniRedis()
	if err := m.StartTLS(&tls.Config{Certificates: []tls.Certificate{cert}}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	roots = x509.NewCertPool()
	roots.AddCert(cert.Leaf)
	return m.Addr(), roots
}
