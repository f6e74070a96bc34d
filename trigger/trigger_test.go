package trigger

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"
)

// fake is an EventBridge that keeps what it gets, takes a while, and can be told to fail.
type fake struct {
	mu     sync.Mutex
	start  time.Time
	delay  time.Duration
	fails  int                          // How many of the next calls fail.
	answer *eventbridge.PutEventsOutput // In place of success.
	got    []sent
	raw    []string // The details as they came.
}

// untimed is the detail without the time, which is the last in it.
func untimed(detail string) string {
	return regexp.MustCompile(`,?"sent_at":"[^"]*"}$`).ReplaceAllString(detail, "}")
}

// sent is a call that the fake took.
type sent struct {
	At     time.Duration
	Detail string
}

// becomes has calls take so long from now on, and so many of them fail.
func (f *fake) becomes(delay time.Duration, fails int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.delay, f.fails = delay, fails
}

var errDown = errors.New("EventBridge is down")

func (f *fake) PutEvents(ctx context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	f.mu.Lock()
	delay := f.delay
	f.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails > 0 {
		f.fails--
		return nil, errDown
	}
	if f.answer != nil {
		return f.answer, nil
	}
	f.got = append(f.got, sent{time.Since(f.start), untimed(*in.Entries[0].Detail)})
	f.raw = append(f.raw, *in.Entries[0].Detail)
	return &eventbridge.PutEventsOutput{}, nil
}

func to(n int) Event { return Event{Target: "video", ScaleTo: aws.Int(n)} }

// story runs f in a bubble with its own time, and compares what was sent.
func story(t *testing.T, opts Options, f func(*Trigger, *fake), want ...sent) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		api := &fake{start: time.Now()}
		tr := New(api, opts)
		f(tr, api)
		time.Sleep(time.Hour)
		if err := tr.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
		if diff := cmp.Diff(want, api.got); diff != "" {
			t.Error(diff)
		}
		if n := len(tr.keys); n != 0 {
			t.Errorf("%d keys are kept", n)
		}
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func TestTheFirstCallGoesOutAtOnce(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, _ *fake) {
		must(t, tr.Trigger(context.Background(), to(1)))
	}, sent{0, `{"target":"video","scale_to":1}`})
}

func TestTheSameDemandIsSentOnce(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, _ *fake) {
		for range 1000 {
			must(t, tr.Trigger(context.Background(), to(2)))
		}
		must(t, tr.Trigger(context.Background(), to(1)))
	}, sent{0, `{"target":"video","scale_to":2}`})
}

func TestAHigherDemandIsSentAtTheEndOfTheWindow(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, _ *fake) {
		for n := 1; n <= 1000; n++ {
			must(t, tr.Trigger(context.Background(), to(n)))
		}
	}, sent{0, `{"target":"video","scale_to":1}`}, sent{time.Second, `{"target":"video","scale_to":1000}`})
}

func TestALongBurstCostsOneEventPerWindow(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, _ *fake) {
		for n := 1; n <= 500; n++ { // For 3.5 seconds.
			must(t, tr.Trigger(context.Background(), to(n)))
			time.Sleep(7 * time.Millisecond) // No call falls on the end of a window.
		}
	}, sent{0, `{"target":"video","scale_to":1}`}, sent{time.Second, `{"target":"video","scale_to":143}`},
		sent{2 * time.Second, `{"target":"video","scale_to":286}`}, sent{3 * time.Second, `{"target":"video","scale_to":429}`},
		sent{4 * time.Second, `{"target":"video","scale_to":500}`})
}

// The instant at which a window ends and the next call comes may fall together: either order is right, so the test stays
// clear of it.
func TestAfterTheWindowTheSameDemandIsSentAgain(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, _ *fake) {
		must(t, tr.Trigger(context.Background(), to(2)))
		time.Sleep(1100 * time.Millisecond)
		must(t, tr.Trigger(context.Background(), to(2)))
	}, sent{0, `{"target":"video","scale_to":2}`}, sent{1100 * time.Millisecond, `{"target":"video","scale_to":2}`})
}

func TestWithoutAScaleToTheLastCallIsNeverSwallowed(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, _ *fake) {
		for range 1000 {
			must(t, tr.Trigger(context.Background(), Event{Queue: "orders"}))
		}
	}, sent{0, `{"queue":"orders"}`}, sent{time.Second, `{"queue":"orders"}`})
}

func TestTargetsDoNotWaitForEachOther(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, _ *fake) {
		must(t, tr.Trigger(context.Background(), Event{Target: "a"}))
		must(t, tr.Trigger(context.Background(), Event{Target: "b"}))
		must(t, tr.Trigger(context.Background(), Event{Queue: "a"}))
	}, sent{0, `{"target":"a"}`}, sent{0, `{"target":"b"}`}, sent{0, `{"queue":"a"}`})
}

func TestTheLongerHoldIsAskedFor(t *testing.T) {
	hold := func(n int, d time.Duration) Event { e := to(n); e.Hold = d; return e }
	story(t, Options{}, func(tr *Trigger, _ *fake) {
		must(t, tr.Trigger(context.Background(), hold(5, 0)))
		must(t, tr.Trigger(context.Background(), hold(2, 90*time.Second)))
		must(t, tr.Trigger(context.Background(), hold(3, 1500*time.Millisecond)))
	}, sent{0, `{"target":"video","scale_to":5}`}, sent{time.Second, `{"target":"video","scale_to":3,"hold_seconds":90}`})
}

func TestANegativeWindowSendsAll(t *testing.T) {
	story(t, Options{Window: -1}, func(tr *Trigger, _ *fake) {
		must(t, tr.Trigger(context.Background(), to(1)))
		must(t, tr.Trigger(context.Background(), to(1)))
	}, sent{0, `{"target":"video","scale_to":1}`}, sent{0, `{"target":"video","scale_to":1}`})
}

func TestAFailedFirstCallIsTheCallersAndLeavesNothingBehind(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, api *fake) {
		api.becomes(0, 1)
		if err := tr.Trigger(context.Background(), to(1)); !errors.Is(err, errDown) {
			t.Errorf("error %v", err)
		}
		must(t, tr.Trigger(context.Background(), to(1))) // The next call does not believe that it has been sent.
	}, sent{0, `{"target":"video","scale_to":1}`})
}

// A call that joins while the first one is on its way gets no error, so that what it wants has to be sent all the same.
func TestWhatJoinedAFailedCallIsSentLater(t *testing.T) {
	var heard []error
	story(t, Options{OnError: func(err error) { heard = append(heard, err) }}, func(tr *Trigger, api *fake) {
		api.becomes(100*time.Millisecond, 3)
		go func() {
			if err := tr.Trigger(context.Background(), to(1)); !errors.Is(err, errDown) {
				t.Errorf("error %v", err)
			}
		}()
		time.Sleep(50 * time.Millisecond)
		must(t, tr.Trigger(context.Background(), to(1)))
	}, sent{7400 * time.Millisecond, `{"target":"video","scale_to":1}`}) // After pauses of 1, 2 and 4 s, and 4 times 100 ms.
	if len(heard) != 2 || !errors.Is(heard[0], errDown) {
		t.Errorf("OnError heard %v", heard)
	}
}

// While the end of a window fails, a lower demand comes: the higher one is still to be sent.
func TestALowerCallDoesNotReplaceAFailedHigherOne(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, api *fake) {
		must(t, tr.Trigger(context.Background(), to(1)))
		must(t, tr.Trigger(context.Background(), to(9)))
		api.becomes(100*time.Millisecond, 1)
		time.Sleep(1050 * time.Millisecond) // The 9 is on its way, to fail.
		must(t, tr.Trigger(context.Background(), to(5)))
	}, sent{0, `{"target":"video","scale_to":1}`}, sent{2200 * time.Millisecond, `{"target":"video","scale_to":9}`})
}

func TestFlushSendsWhatWaits(t *testing.T) {
	story(t, Options{}, func(tr *Trigger, api *fake) {
		api.becomes(100*time.Millisecond, 0)
		go func() { must(t, tr.Trigger(context.Background(), to(1))) }()
		time.Sleep(50 * time.Millisecond)
		must(t, tr.Trigger(context.Background(), to(7)))
		must(t, tr.Flush(context.Background()))
		if n := len(api.got); n != 2 {
			t.Errorf("%d events were sent when Flush returned", n)
		}
	}, sent{100 * time.Millisecond, `{"target":"video","scale_to":1}`}, sent{200 * time.Millisecond, `{"target":"video","scale_to":7}`})
}

func TestCloseSendsWhatWaitsAndTakesNoMore(t *testing.T) {
	story(t, Options{Window: time.Minute}, func(tr *Trigger, _ *fake) {
		must(t, tr.Trigger(context.Background(), to(1)))
		must(t, tr.Trigger(context.Background(), to(2)))
		must(t, tr.Close(context.Background()))
		if err := tr.Trigger(context.Background(), to(3)); !errors.Is(err, ErrClosed) {
			t.Errorf("error %v", err)
		}
	}, sent{0, `{"target":"video","scale_to":1}`}, sent{0, `{"target":"video","scale_to":2}`})
}

func TestCloseSaysWhatItCouldNotSend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fake{start: time.Now()}
		tr := New(api, Options{})
		must(t, tr.Trigger(context.Background(), to(1)))
		must(t, tr.Trigger(context.Background(), to(2)))
		api.becomes(0, 1)
		if err := tr.Close(context.Background()); !errors.Is(err, errDown) {
			t.Errorf("error %v", err)
		}
		must(t, tr.Close(context.Background()))
	})
}

func TestFlushIsBoundedByItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fake{start: time.Now()}
		tr := New(api, Options{})
		must(t, tr.Trigger(context.Background(), to(1)))
		must(t, tr.Trigger(context.Background(), to(2)))
		api.becomes(time.Hour, 0)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := tr.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAnEntryThatIsRefusedIsAnError(t *testing.T) {
	api := &fake{answer: &eventbridge.PutEventsOutput{
		FailedEntryCount: 1,
		Entries:          []types.PutEventsResultEntry{{ErrorCode: aws.String("NotAuthorizedForSourceException"), ErrorMessage: aws.String("no")}},
	}}
	err := New(api, Options{}).Trigger(context.Background(), to(1))
	var e *EntryError
	if !errors.As(err, &e) || e.Code != "NotAuthorizedForSourceException" || e.Message != "no" {
		t.Errorf("error %v", err)
	}
	api.answer = &eventbridge.PutEventsOutput{FailedEntryCount: 1}
	if err := New(api, Options{}).Trigger(context.Background(), to(1)); !errors.As(err, &e) {
		t.Errorf("error %v", err)
	}
}

func TestEventsThatMakeNoSense(t *testing.T) {
	for name, e := range map[string]Event{
		"zero": to(0), "negative": to(-1), "negative hold": {Hold: -1}, "hold of nothing": {Hold: time.Minute},
	} {
		api := &fake{}
		if err := New(api, Options{}).Trigger(context.Background(), e); err == nil || len(api.got) > 0 {
			t.Errorf("%s: error %v, sent %v", name, err, api.got)
		}
	}
}

// recorder keeps whole requests.
type recorder struct{ got []*eventbridge.PutEventsInput }

func (r *recorder) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	r.got = append(r.got, in)
	return &eventbridge.PutEventsOutput{}, nil
}

func TestWhereEventsGo(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		opts                    Options
		source, detailType, bus string
	}{
		{"by default", Options{}, "custom.celery.monitor", "celery.task.queue_full", ""},
		{"as told", Options{Source: "a", DetailType: "b", Bus: "c"}, "a", "b", "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var api recorder
			must(t, New(&api, tt.opts).Trigger(context.Background(), Event{}))
			e := api.got[0].Entries[0]
			got := []string{aws.ToString(e.Source), aws.ToString(e.DetailType), aws.ToString(e.EventBusName), untimed(*e.Detail)}
			if diff := cmp.Diff([]string{tt.source, tt.detailType, tt.bus, "{}"}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// spanned is a context within a span: number n of trace n.
func spanned(n byte) context.Context {
	state, err := trace.ParseTraceState("vendor=x")
	if err != nil {
		panic(err)
	}
	return trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{15: n}, SpanID: trace.SpanID{7: n}, TraceFlags: trace.FlagsSampled, TraceState: state,
	}))
}

// TestAnEventSaysWhoAskedAndWhen holds that Sluice can continue the trace, and measure from when somebody asked: the first, where an event
// is for many.
func TestAnEventSaysWhoAskedAndWhen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fake{start: time.Now(), fails: 1}
		tr := New(api, Options{})
		if err := tr.Trigger(spanned(1), to(1)); !errors.Is(err, errDown) {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		must(t, tr.Trigger(spanned(2), to(2)))
		time.Sleep(250 * time.Millisecond)
		must(t, tr.Trigger(spanned(3), to(3)))
		time.Sleep(250 * time.Millisecond)
		must(t, tr.Trigger(spanned(4), to(4)))
		time.Sleep(time.Hour)
		must(t, tr.Trigger(context.Background(), to(5)))
		must(t, tr.Close(context.Background()))
		want := []string{
			`{"target":"video","scale_to":2,"traceparent":"00-00000000000000000000000000000002-0000000000000002-01","tracestate":"vendor=x",` +
				`"sent_at":"2000-01-01T00:00:01.5Z"}`,
			`{"target":"video","scale_to":4,"traceparent":"00-00000000000000000000000000000003-0000000000000003-01","tracestate":"vendor=x",` +
				`"sent_at":"2000-01-01T00:00:01.75Z"}`,
			`{"target":"video","scale_to":5,"sent_at":"2000-01-01T01:00:02Z"}`,
		}
		if diff := cmp.Diff(want, api.raw); diff != "" {
			t.Errorf("details (-want +got):\n%s", diff)
		}
	})
}

// Whatever the calls and their timing, the highest count is sent, and there are no more events than windows, plus one.
func TestBurstsFromManyProducers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &fake{start: time.Now(), delay: 30 * time.Millisecond, fails: 2}
		tr := New(api, Options{})
		var wg sync.WaitGroup
		for p := range 10 {
			wg.Go(func() {
				for i := range 300 {
					// Some calls fail with the API: their callers know.
					_ = tr.Trigger(context.Background(), to(1+(p*100+i*7)%997))
					time.Sleep(time.Duration(1+(p*13+i*29)%50) * time.Millisecond)
				}
			})
		}
		wg.Wait()
		busy := time.Since(api.start)
		must(t, tr.Close(context.Background()))
		highest := 0
		for _, s := range api.got {
			var d struct {
				ScaleTo int `json:"scale_to"`
			}
			if err := json.Unmarshal([]byte(s.Detail), &d); err != nil {
				t.Fatal(err)
			}
			highest = max(highest, d.ScaleTo)
		}
		want := 0
		for p := range 10 {
			for i := range 300 {
				want = max(want, 1+(p*100+i*7)%997)
			}
		}
		if highest != want {
			t.Errorf("the highest count sent is %d, asked for %d", highest, want)
		}
		if limit := int(busy/time.Second) + 2; len(api.got) > limit {
			t.Errorf("%d events in %v", len(api.got), busy)
		}
	})
}

func Example() {
	// In a program: eventbridge.NewFromConfig(cfg), with cfg from config.LoadDefaultConfig.
	var client API = printer{}

	t := New(client, Options{})
	defer func() { _ = t.Close(context.Background()) }()
	for range 1000 {
		// ... put a message into the queue, and then:
		if err := t.Trigger(context.Background(), Event{Queue: "orders", ScaleTo: aws.Int(1)}); err != nil {
			fmt.Println(err) // The next sweep makes it good.
		}
	}
	// Output: custom.celery.monitor celery.task.queue_full {"queue":"orders","scale_to":1}
}

type printer struct{}

func (printer) PutEvents(_ context.Context, in *eventbridge.PutEventsInput, _ ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error) {
	for _, e := range in.Entries {
		fmt.Println(*e.Source, *e.DetailType, untimed(*e.Detail))
	}
	return &eventbridge.PutEventsOutput{}, nil
}
