package function

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

func quiet() *slog.Logger { return slog.New(slog.NewJSONHandler(io.Discard, nil)) }

const oneTarget = `
version: 1
brokers:
  - name: main
    url_env: TEST_REDIS_URL
targets:
  - {name: worker, cluster: prod, service: svc, queues: [celery], max: 4}
`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inLambda sets what Lambda sets.
func inLambda(t *testing.T, config string) {
	t.Helper()
	t.Setenv("AWS_REGION", "eu-west-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "key")
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("SLUICE_CONFIG", writeConfig(t, config))
}

// loaded is the scaler that a function has.
func loaded(t *testing.T) *scaler.Scaler {
	t.Helper()
	setup, err := load(quiet())
	if err != nil {
		t.Fatal(err)
	}
	s, err := Scaler(setup)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestErrorsLeaveUnderTheNameOfTheirKind(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"of a kind", &policy.Error{Kind: policy.FleetThrottled, Err: errors.New("slow down")}, "FleetThrottled"},
		{"wrapped", fmt.Errorf("broker main: %w", &policy.Error{Kind: policy.BrokerRefused, Err: errors.New("no")}), "BrokerRefused"},
		{"joined", errors.Join(nil, &policy.Error{Kind: policy.FleetDenied, Err: errors.New("no")}), "FleetDenied"},
		{"of no kind", errors.New("a defect"), "InternalError"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &handler{log: quiet(), use: func(context.Context, []byte) (any, error) { return nil, tt.err }}
			_, err := h.Invoke(t.Context(), nil)
			var got messages.InvokeResponse_Error
			if !errors.As(err, &got) || got.Type != tt.want || got.Message != tt.err.Error() {
				t.Errorf("got %+v, want type %s", err, tt.want)
			}
		})
	}
}

// TestAnErrorsTextIsBounded: the history of an execution has room for 32,768 characters of what Lambda makes of it.
func TestAnErrorsTextIsBounded(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"x", "\x00", "é", `"`, "\U0001F600"} {
		h := &handler{log: quiet(), use: func(context.Context, []byte) (any, error) {
			return nil, &policy.Error{Kind: policy.InvalidConfig, Err: errors.New("begins" + strings.Repeat(text, 10000))}
		}}
		_, err := h.Invoke(t.Context(), nil)
		raw, _ := json.Marshal(err)
		var got messages.InvokeResponse_Error
		if !errors.As(err, &got) || len(raw) > 32768 || len(got.Message) > 4096 || len(got.Message) < 4090 || !utf8.ValidString(got.Message) ||
			!strings.HasPrefix(got.Message, "begins") || !strings.HasSuffix(got.Message, "...") {
			t.Errorf("%q: %d bytes, %d of JSON: %.50q", text, len(got.Message), len(raw), got.Message)
		}
	}
}

func TestAnswersAreJSON(t *testing.T) {
	t.Parallel()
	h := &handler{log: quiet(), use: func(_ context.Context, payload []byte) (any, error) {
		return map[string]string{"got": string(payload)}, nil
	}}
	got, err := h.Invoke(t.Context(), []byte("not JSON"))
	if err != nil || string(got) != `{"got":"not JSON"}` {
		t.Errorf("%s, %v", got, err)
	}
}

// TestAnInvocationAnswersBeforeItsTimeIsUp holds that something is left of the function's time for the answer, when what was to
// be looked at does not answer at all.
func TestAnInvocationAnswersBeforeItsTimeIsUp(t *testing.T) {
	t.Parallel()
	for given, want := range map[time.Duration]time.Duration{
		time.Minute: 58 * time.Second,
		time.Second: 800 * time.Millisecond,
	} {
		t.Run(given.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), given)
				defer cancel()
				h := &handler{log: quiet(), use: func(ctx context.Context, _ []byte) (any, error) {
					<-ctx.Done()
					return "what was seen", nil
				}}
				begin := time.Now()
				got, err := h.Invoke(ctx, nil)
				if took := time.Since(begin); took != want || err != nil || string(got) != `"what was seen"` {
					t.Errorf("answered %s, %v after %v of %v, want %v", got, err, took, given, want)
				}
			})
		})
	}
}

// TestAnUnusableConfigurationIsAnswered holds that the function lives on and names every problem to whoever invokes it.
func TestAnUnusableConfigurationIsAnswered(t *testing.T) {
	tests := []struct {
		name, config string
		prepare      func(t *testing.T)
		want         []string
	}{
		{"two problems", strings.Replace(strings.Replace(oneTarget, "max: 4", "max: 0", 1), "queues", "quues", 1), nil, []string{"max", "quues"}},
		{"no YAML", "{{{", nil, []string{"sluice.yaml:1"}},
		{"no file", oneTarget, func(t *testing.T) { t.Setenv("SLUICE_CONFIG", "/nowhere/sluice.yaml") }, []string{"/nowhere/sluice.yaml"}},
		{"beside the code by default", oneTarget, func(t *testing.T) {
			t.Setenv("SLUICE_CONFIG", "")
			t.Setenv("LAMBDA_TASK_ROOT", "/task")
		}, []string{"/task/sluice.yaml"}},
		{"no Region", oneTarget, func(t *testing.T) { t.Setenv("AWS_REGION", "") }, []string{"AWS_REGION is not set"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inLambda(t, tt.config)
			if tt.prepare != nil {
				tt.prepare(t)
			}
			h := newHandler("check", quiet(), io.Discard, func(Setup) (Handler, error) { return nil, nil })
			_, err := h.Invoke(t.Context(), []byte("{}"))
			var got messages.InvokeResponse_Error
			if !errors.As(err, &got) || got.Type != "InvalidConfig" {
				t.Fatalf("answer %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(got.Message, want) {
					t.Errorf("the answer does not name %q: %s", want, got.Message)
				}
			}
		})
	}
}

// TestABrokerOutOfReachIsFoundAtItsFirstUse holds that neither a missing environment variable nor a broker that is down
// keeps the function from starting.
func TestABrokerOutOfReachIsFoundAtItsFirstUse(t *testing.T) {
	tests := []struct {
		name, url string
		kind      policy.Kind
		text      string
	}{
		{"not set", "", policy.InvalidConfig, "TEST_REDIS_URL is not set"},
		{"no URL", "localhost", policy.InvalidConfig, "read broker URL"},
		{"refused", "redis://127.0.0.1:1/0\n", policy.BrokerUnavailable, "look at broker"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inLambda(t, oneTarget)
			t.Setenv("TEST_REDIS_URL", tt.url)
			_, err := loaded(t).Brokers["main"].Look(t.Context(), []string{"celery"}, 0)
			if kind(err) != string(tt.kind) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), "broker main") {
				t.Errorf("error %v, want kind %s and %q", err, tt.kind, tt.text)
			}
		})
	}
}

func TestTargetsAreCarriedOver(t *testing.T) {
	inLambda(t, `
version: 1
brokers: [{name: main, url: "redis://h/0"}]
targets:
  - name: worker
    cluster: prod
    service: svc
    queues: [a, b]
    min: 1
    max: 4
    messages_per_worker: 7
    settle: 2m
    grace: 3m
    floor_hold: 4m
    scale_in_step: 2
    activity: {source: counter, key: celery:active_tasks}
events: {source: my.app, detail_type: full, coalesce: 2s}
`)
	s := loaded(t)
	want := []scaler.Target{{
		Name: "worker", Ref: policy.ServiceRef{Cluster: "prod", Service: "svc"}, Broker: "main", Queues: []string{"a", "b"},
		Limits: policy.Limits{Min: 1, Max: 4, MessagesPerWorker: 7, Grace: 180e9, Settle: 120e9, ScaleInStep: 2},
		Source: scaler.SourceCounter, CounterKey: "celery:active_tasks", FloorHold: 240e9,
	}}
	if diff := cmp.Diff(want, s.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	if s.EventSource != "my.app" || s.EventDetailType != "full" || s.Coalesce != 2e9 {
		t.Errorf("events: %q %q %v", s.EventSource, s.EventDetailType, s.Coalesce)
	}
}

// TestOutsideOfLambda holds that a scaler with AWS's settings from elsewhere calls AWS with them, and needs nothing of Lambda's
// environment, nor a log or a clock.
func TestOutsideOfLambda(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("TEST_REDIS_URL", "redis://127.0.0.1:1/0")
	var called []string
	cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		called = append(called, r.Header.Get("X-Amz-Target")+" by "+strings.Split(r.Header.Get("Authorization"), "/")[2])
		_, _ = io.WriteString(w, `{"services": [], "failures": [{"arn": "svc", "reason": "MISSING"}]}`)
	}))
	defer cloud.Close()
	c, err := config.Load(writeConfig(t, oneTarget))
	if err != nil {
		t.Fatal(err)
	}
	s, err := Scaler(Setup{Config: c, AWS: aws.Config{
		Region: "eu-west-1", BaseEndpoint: &cloud.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
	}})
	if err != nil {
		t.Fatal(err)
	}
	answer := s.CheckAll(t.Context(), scaler.Shard{})
	want := []string{"AmazonEC2ContainerServiceV20141113.DescribeServices by eu-west-1"}
	if answer.Failed != 1 || !slices.Equal(called, want) {
		t.Errorf("calls %q, want %q; answer %+v", called, want, answer)
	}
}

// TestWhatAHandlerIsMadeOf holds that a function without a scaler has what one is made of, with the client that loses no answers.
func TestWhatAHandlerIsMadeOf(t *testing.T) {
	inLambda(t, oneTarget)
	h := newHandler("notify", quiet(), io.Discard, func(s Setup) (Handler, error) {
		if _, ok := s.AWS.HTTPClient.(wholeRequests); !ok || s.AWS.Region != "eu-west-1" || len(s.Config.Targets) != 1 || s.Log == nil || s.Now == nil {
			t.Errorf("setup %+v", s)
		}
		return func(context.Context, []byte) (any, error) { return "done", nil }, nil
	})
	if got, err := h.Invoke(t.Context(), nil); err != nil || string(got) != `"done"` {
		t.Errorf("%s, %v", got, err)
	}
}
