package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/events"
)

func TestTriggerSendsTheEvent(t *testing.T) {
	good := write(t, valid)
	several := write(t, strings.Replace(valid, "events:", "  - {name: audio, cluster: media, service: others, queues: [mix], max: 1}\nevents:", 1))
	t.Chdir(t.TempDir())
	for _, tt := range []struct {
		name, args               string
		source, kind, bus, event string
	}{
		{"without a config", "trigger", "custom.celery.monitor", "celery.task.queue_full", "default", `{}`},
		{
			"with all flags", "trigger video --scale-to 3 --hold 90s --queue encode --source a --detail-type b --bus c",
			"a", "b", "c", `{"hold_seconds":90,"queue":"encode","scale_to":3,"target":"video"}`,
		},
		{"as configured", "trigger --config " + good, "my.app", "work", "jobs", `{}`},
		{"flags before the config", "trigger --bus other --config " + good, "my.app", "work", "other", `{}`},
		{"one of several", "trigger audio --config " + several, "my.app", "work", "jobs", `{"target":"audio"}`},
		{"by queue", "trigger --queue mix --config " + several, "my.app", "work", "jobs", `{"queue":"mix"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			deliveries := make(chan events.Delivery, 1)
			s := events.New(events.Options{OnDelivery: func(d events.Delivery) { deliveries <- d }})
			defer func() { _ = s.Close() }()
			srv := httptest.NewServer(s)
			defer srv.Close()
			client(t, srv.URL)
			status, out, errs := execute(t, append(strings.Fields(tt.args), "-o", "json")...)
			if status != 0 || errs != "" {
				t.Fatalf("exit status %d: %s%s", status, out, errs)
			}
			d := <-deliveries
			var detail map[string]any
			if err := json.Unmarshal(d.Event.Detail, &detail); err != nil {
				t.Fatal(err)
			}
			if at, err := time.Parse(time.RFC3339, fmt.Sprint(detail["sent_at"])); err != nil || time.Since(at) > time.Minute {
				t.Errorf("sent at %v", detail["sent_at"])
			}
			delete(detail, "sent_at")
			text, _ := json.Marshal(detail)
			if d.Event.Source != tt.source || d.Event.DetailType != tt.kind || d.Bus != tt.bus || string(text) != tt.event {
				t.Errorf("delivery %+v", d)
			}
			// What is printed is what was sent, and where.
			var said map[string]any
			if err := json.Unmarshal([]byte(out), &said); err != nil {
				t.Fatal(err)
			}
			for name, want := range map[string]any{"bus": tt.bus, "source": tt.source, "detail_type": tt.kind, "region": "us-east-1"} {
				if said[name] != want {
					t.Errorf("%s: said %v, want %v", name, said[name], want)
				}
				delete(said, name)
			}
			if diff := cmp.Diff(detail, said); diff != "" {
				t.Errorf("said (-sent +said):\n%s", diff)
			}
		})
	}
	t.Run("several and none named", func(t *testing.T) {
		status, _, errs := execute(t, "trigger", "--config", several)
		if status != 1 || !strings.Contains(errs, "video, audio") {
			t.Errorf("exit status %d: %s", status, errs)
		}
	})
	// Queues of one name in two brokers.
	shared := write(t, `version: 1
brokers: [{name: one, url_env: ONE}, {name: two, url_env: TWO}]
targets:
  - {name: video, broker: one, cluster: media, service: workers, queues: [encode], max: 3}
  - {name: audio, broker: two, cluster: media, service: others, queues: [encode, mix], max: 1}
`)
	for _, tt := range []struct {
		name, args, says string
		status           int
	}{
		{"a queue of several", "trigger --queue encode --config " + shared, "name one of video, audio", 1},
		{"a queue of another", "trigger video --queue mix --config " + shared, "target video does not drain queue", 1},
		{"for too long", "trigger --scale-to 1 --hold 30d --config " + good, "--hold: use 7d at most", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			client(t, "http://127.0.0.1:1") // Nothing is sent.
			if status, _, errs := execute(t, strings.Fields(tt.args)...); status != tt.status || !strings.Contains(errs, tt.says) {
				t.Errorf("exit status %d: %s", status, errs)
			}
		})
	}
}

func TestTriggerWithoutARegion(t *testing.T) {
	t.Chdir(t.TempDir())
	client(t, "http://127.0.0.1:1")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	status, _, errs := execute(t, "trigger")
	if status != 1 || !strings.Contains(errs, "set AWS_REGION") {
		t.Errorf("exit status %d: %s", status, errs)
	}
}

// TestTriggerGoesWhereSluiceIs reads the Region out of the signature.
func TestTriggerGoesWhereSluiceIs(t *testing.T) {
	deployed := write(t, valid+"\ndeploy: {account: \"123456789012\", region: eu-central-1}\n")
	t.Chdir(t.TempDir())
	signed := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case signed <- r.Header.Get("Authorization"):
		default:
		}
	}))
	defer srv.Close()
	client(t, srv.URL)
	execute(t, "trigger", "--config", deployed)
	if got := <-signed; !strings.Contains(got, "/eu-central-1/events/") {
		t.Errorf("signed for %s", got)
	}
}

func TestTriggerThatIsRefused(t *testing.T) {
	t.Chdir(t.TempDir())
	s := events.New(events.Options{})
	defer func() { _ = s.Close() }()
	srv := httptest.NewServer(s)
	defer srv.Close()
	client(t, srv.URL)
	status, out, errs := execute(t, "trigger", "--source", "aws.mine")
	if status != 1 || out != "" || !strings.Contains(errs, "NotAuthorizedForSourceException") {
		t.Errorf("exit status %d: %s%s", status, out, errs)
	}
}

// Without credentials the error says what to do, and not what the SDK has tried first.
func TestTriggerWithoutCredentials(t *testing.T) {
	t.Chdir(t.TempDir())
	client(t, "http://127.0.0.1:1")
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	status, out, errs := execute(t, "trigger")
	if status != 1 || out != "" || !strings.HasPrefix(errs, "sluice: load AWS settings: there are no credentials: log in (aws sso login), or set AWS_PROFILE") {
		t.Errorf("exit status %d: %s%s", status, out, errs)
	}
}

func TestTriggerSaysWhatItAsksFor(t *testing.T) {
	t.Chdir(t.TempDir())
	s := events.New(events.Options{})
	defer func() { _ = s.Close() }()
	srv := httptest.NewServer(s)
	defer srv.Close()
	client(t, srv.URL)
	for args, want := range map[string]string{
		"trigger":                        "Sent to bus default in us-east-1: the workers that the queue needs.\n",
		"trigger --scale-to 1 --hold 2h": "Sent to bus default in us-east-1: at least 1 worker, kept for 2h.\n",
	} {
		if status, out, errs := execute(t, strings.Fields(args)...); status != 0 || out != want || errs != "" {
			t.Errorf("%s: exit status %d: %s%s", args, status, out, errs)
		}
	}
}
