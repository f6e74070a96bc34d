package events

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/lab/cloud/delivery"
	"sluice/lab/testenv"
)

// inbox is a rule's target that keeps what it gets.
type inbox struct {
	mu  sync.Mutex
	got []string
	err error
}

func (b *inbox) take(_ context.Context, event []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.got = append(b.got, string(event))
	return b.err
}

func (b *inbox) events() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.got
}

func pattern(t *testing.T, text string) *Pattern {
	t.Helper()
	p, err := ParsePattern([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// service makes a service with one rule for the events of source "test".
func service(t *testing.T, opts Options, b *inbox) *Service {
	t.Helper()
	s := New(opts)
	t.Cleanup(func() { _ = s.Close() })
	if err := s.SetRule(Rule{Name: "all", Pattern: pattern(t, `{"source":["test"]}`), Target: b.take}); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestEnvelope(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // Where the time is 2000-01-01T00:00:00Z.
		var b inbox
		s := service(t, Options{Region: "eu-west-1", Account: "123456789012"}, &b)
		res := s.Put([]Entry{{Source: "test", DetailType: "queue <full>", Detail: `{"scale_to": 1, "n": 12345678901234567890}`}})
		synctest.Wait()
		want := `{"version":"0","id":"` + res[0].EventID + `","detail-type":"queue \u003cfull\u003e","source":"test","account":"123456789012",` +
			`"time":"2000-01-01T00:00:00Z","region":"eu-west-1","resources":[],"detail":{"scale_to":1,"n":12345678901234567890}}`
		if diff := cmp.Diff([]string{want}, b.events()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestDelivery(t *testing.T) {
	entry := Entry{Source: "test", DetailType: "x", Detail: `{}`}
	boom := errors.New("the target refused")
	for _, tt := range []struct {
		name   string
		entry  Entry
		set    func(*Service)
		target error
		want   int // Copies that the target gets of two events.
		first  Delivery
	}{
		{name: "matched", entry: entry, want: 2, first: Delivery{Bus: "default", Rule: "all"}},
		{name: "no rule", entry: Entry{Source: "other", DetailType: "x", Detail: `{}`}, first: Delivery{Bus: "default"}},
		{
			name: "a bus that does not exist takes events and drops them", first: Delivery{Bus: "nowhere"},
			entry: Entry{Source: "test", DetailType: "x", Detail: `{}`, EventBusName: "nowhere"},
		},
		{
			name: "the default bus by its ARN", want: 2, first: Delivery{Bus: "default", Rule: "all"},
			entry: Entry{Source: "test", DetailType: "x", Detail: `{}`, EventBusName: "arn:aws:events:us-east-1:000000000000:event-bus/default"},
		},
		{name: "dropped", entry: entry, set: func(s *Service) { s.Drop(1) }, want: 1, first: Delivery{Bus: "default", Rule: "all", Dropped: true}},
		{name: "doubled", entry: entry, set: func(s *Service) { s.Double(1) }, want: 3, first: Delivery{Bus: "default", Rule: "all"}},
		{name: "target error", entry: entry, target: boom, want: 2, first: Delivery{Bus: "default", Rule: "all", Err: boom}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := inbox{err: tt.target}
				deliveries := make(chan Delivery, 4)
				s := service(t, Options{OnDelivery: func(d Delivery) { deliveries <- d }}, &b)
				if tt.set != nil {
					tt.set(s)
				}
				for range 2 {
					if res := s.Put([]Entry{tt.entry}); res[0].EventID == "" {
						t.Errorf("refused: %+v", res[0])
					}
					synctest.Wait()
				}
				if n := len(b.events()); n != tt.want {
					t.Errorf("the target got %d events, want %d", n, tt.want)
				}
				if diff := cmp.Diff(tt.first, <-deliveries, cmpopts.IgnoreFields(Delivery{}, "Event"), cmpopts.EquateErrors()); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// What a target refuses is tried again as its retry policy says, and goes to whoever takes what was given up.
func TestRefusedEventsAreTriedAgainAndGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, boom := time.Now(), errors.New("the target refused")
		var at []time.Duration
		var letters []string
		var gaveUp *delivery.GaveUp
		deliveries := make(chan Delivery, 4)
		s := New(Options{OnDelivery: func(d Delivery) { deliveries <- d }})
		t.Cleanup(func() { _ = s.Close() })
		if err := s.SetRule(Rule{
			Name: "r", Pattern: pattern(t, `{"source":["test"]}`), Retry: delivery.Policy{Retries: 2, MaxAge: time.Minute},
			Target: func(context.Context, []byte) error { at = append(at, time.Since(began)); return boom },
			GiveUp: func(event []byte, why *delivery.GaveUp) { letters, gaveUp = append(letters, string(event)), why },
		}); err != nil {
			t.Fatal(err)
		}
		s.Put([]Entry{{Source: "test", DetailType: "x", Detail: `{"n":1}`}})
		d := <-deliveries
		if diff := cmp.Diff([]time.Duration{0, time.Second, 3 * time.Second}, at); diff != "" {
			t.Errorf("attempts: %s", diff)
		}
		if !errors.Is(d.Err, boom) || gaveUp == nil || d.Err != error(gaveUp) || gaveUp.Exhausted != delivery.MaximumRetryAttempts {
			t.Errorf("delivery %+v, given up %+v", d, gaveUp)
		}
		if len(letters) != 1 || !strings.Contains(letters[0], `"detail":{"n":1}`) {
			t.Errorf("letters %q", letters)
		}
	})
}

func TestEntriesThatAreRefused(t *testing.T) {
	var b inbox
	s := service(t, Options{}, &b)
	good := Entry{Source: "test", DetailType: "x", Detail: `{}`}
	with := func(f func(*Entry)) Entry { e := good; f(&e); return e }
	res := s.Put([]Entry{
		good,
		with(func(e *Entry) { e.Source = "" }),
		with(func(e *Entry) { e.DetailType = "" }),
		with(func(e *Entry) { e.Detail = "" }),
		with(func(e *Entry) { e.Detail = "{" }),
		with(func(e *Entry) { e.Detail = "[]" }),
		with(func(e *Entry) { e.Detail = "null" }),
		with(func(e *Entry) { e.Source = "aws.ecs" }),
		with(func(e *Entry) { e.DetailType = strings.Repeat("x", 129) }),
		good,
	})
	var codes []string
	for _, r := range res {
		codes = append(codes, r.ErrorCode)
		if (r.EventID == "") == (r.ErrorCode == "") {
			t.Errorf("result %+v", r)
		}
	}
	want := []string{
		"", "InvalidArgument", "InvalidArgument", "InvalidArgument", "MalformedDetail", "MalformedDetail", "MalformedDetail",
		"NotAuthorizedForSourceException", "InvalidArgument", "",
	}
	if diff := cmp.Diff(want, codes); diff != "" {
		t.Error(diff)
	}
}

func TestRuleOnAMissingBus(t *testing.T) {
	s := New(Options{Buses: []string{"mine"}})
	if err := s.SetRule(Rule{Name: "r", Bus: "mine", Pattern: pattern(t, `{"source":["b"]}`)}); err != nil {
		t.Error(err)
	}
	if err := s.SetRule(Rule{Name: "r", Bus: "yours", Pattern: pattern(t, `{"source":["b"]}`)}); err == nil {
		t.Error("a rule was added to a bus that does not exist")
	}
}

func TestNothingIsDeliveredAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b inbox
		s := service(t, Options{}, &b)
		if err := s.SetRule(Rule{Name: "slow", Pattern: pattern(t, `{"source":["test"]}`), Target: func(ctx context.Context, _ []byte) error {
			<-ctx.Done()
			return ctx.Err()
		}}); err != nil {
			t.Fatal(err)
		}
		s.Put([]Entry{{Source: "test", DetailType: "x", Detail: `{}`}})
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		s.Put([]Entry{{Source: "test", DetailType: "x", Detail: `{}`}})
		synctest.Wait()
		if n := len(b.events()); n != 1 {
			t.Errorf("the target got %d events", n)
		}
	})
}

func client(url string) *eventbridge.Client {
	return eventbridge.New(eventbridge.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(url), Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

func TestGoSDK(t *testing.T) {
	var b inbox
	s := service(t, Options{}, &b)
	srv := httptest.NewServer(s)
	defer srv.Close()
	entry := func(source, detail string) types.PutEventsRequestEntry {
		return types.PutEventsRequestEntry{
			Source: aws.String(source), DetailType: aws.String("x"), Detail: aws.String(detail),
			Time: aws.Time(time.Unix(1_700_000_000, 0)), Resources: []string{"arn:a"},
		}
	}
	out, err := client(srv.URL).PutEvents(t.Context(), &eventbridge.PutEventsInput{
		Entries: []types.PutEventsRequestEntry{entry("test", `{"n":1}`), entry("test", `{`)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.FailedEntryCount != 1 || aws.ToString(out.Entries[0].EventId) == "" || aws.ToString(out.Entries[1].ErrorCode) != "MalformedDetail" {
		t.Errorf("answer %+v", out)
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		if len(b.events()) == 0 {
			return errors.New("nothing was delivered")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var e Event
	if err := json.Unmarshal([]byte(b.events()[0]), &e); err != nil {
		t.Fatal(err)
	}
	want := Event{
		Version: "0", ID: aws.ToString(out.Entries[0].EventId), DetailType: "x", Source: "test", Account: "000000000000",
		Time: "2023-11-14T22:13:20Z", Region: "us-east-1", Resources: []string{"arn:a"}, Detail: json.RawMessage(`{"n":1}`),
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}

	for name, entries := range map[string][]types.PutEventsRequestEntry{
		"eleven entries": make([]types.PutEventsRequestEntry, 11),
		"none":           {},
		"none complete":  {{Source: aws.String("test")}},
		"1 MB":           {entry("test", `{"x":"`+strings.Repeat("x", MaxTotalSize-30)+`"}`)},
	} {
		_, err := client(srv.URL).PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: entries})
		if err == nil || !strings.Contains(err.Error(), "ValidationException") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client(srv.URL).ListRules(t.Context(), &eventbridge.ListRulesInput{}); err == nil || !strings.Contains(err.Error(), "UnknownOperationException") {
		t.Errorf("an operation that is not there: %v", err)
	}
	resp, err := http.Post(srv.URL, "application/x-amz-json-1.1", strings.NewReader("{"))
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("status %d without a target header", resp.StatusCode)
	}
}

// TestPublicClients sends the original event with boto3 and with the AWS CLI, unchanged but for the endpoint.
func TestPublicClients(t *testing.T) {
	python := testenv.Python(t)
	deliveries := make(chan Delivery, 10)
	s := New(Options{OnDelivery: func(d Delivery) { deliveries <- d }})
	defer func() { _ = s.Close() }()
	var b inbox
	p := pattern(t, `{"source":["custom.celery.monitor"],"detail-type":["celery.task.queue_full"]}`)
	if err := s.SetRule(Rule{Name: "scale-out", Pattern: p, Target: b.take}); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(s)
	defer srv.Close()
	for name, args := range map[string][]string{
		"boto3": {"-c", `
import boto3, json
r = boto3.client("events").put_events(Entries=[{"Source": "custom.celery.monitor", "DetailType": "celery.task.queue_full", "Detail": json.dumps({"scale_to": 1})}])
assert r["FailedEntryCount"] == 0 and r["Entries"][0]["EventId"], r
`},
		"CLI": {"-m", "awscli", "events", "put-events", "--entries", `[{"Source":"custom.celery.monitor","DetailType":"celery.task.queue_full","Detail":"{\"scale_to\":1}"}]`},
	} {
		cmd := exec.Command(python, args...)
		for _, kv := range os.Environ() {
			if !strings.HasPrefix(kv, "AWS_") {
				cmd.Env = append(cmd.Env, kv)
			}
		}
		cmd.Env = append(cmd.Env, "AWS_ENDPOINT_URL="+srv.URL, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_DEFAULT_REGION=us-east-1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		if d := <-deliveries; d.Rule != "scale-out" || string(d.Event.Detail) != `{"scale_to": 1}` && string(d.Event.Detail) != `{"scale_to":1}` {
			t.Errorf("%s: delivery %+v", name, d)
		}
	}
}
