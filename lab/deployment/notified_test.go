package deployment

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"sluice/internal/notify"
	"sluice/lab/cloud/ecs"
)

// notified has Notify do all that it does: tell of a scale-in that is in the log, with what that saves.
func notified(t *testing.T) map[string]map[string]bool {
	t.Helper()
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := &cloud{now: now, as: Notify, called: map[string]map[string]bool{}}
	c.Model = ecs.New(ecs.Options{Now: c.clock})
	t.Cleanup(c.Close)
	if err := c.CreateService(ecs.ServiceConfig{Name: "worker", Cluster: "prod", Desired: 1}); err != nil {
		t.Fatal(err)
	}
	published := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch action := r.FormValue("Action"); { // SNS's protocol has the operation in a form.
		case action != "":
			c.note("sns." + action)
			published = r.FormValue("Message")
			_, _ = fmt.Fprintf(w, `<%[1]sResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><%[1]sResult/></%[1]sResponse>`, action)
		case r.Header.Get("X-Amz-Target") == "Logs_20140328.FilterLogEvents":
			c.note("cloudwatchlogs.FilterLogEvents")
			line := `{"message": "result", "status": "scaled in", "target": "worker", "service": "worker", "desired_count": 1, "previous": 3, "reasons": ["idle"]}`
			_ = json.NewEncoder(w).Encode(map[string]any{"events": []any{
				map[string]any{"timestamp": now.Add(-10 * time.Minute).UnixMilli(), "message": line},
			}})
		default:
			c.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	n, err := notify.New(notify.Options{
		Config: parse(t, "version: 1\nbrokers: [{name: b, url: redis://h}]\n"+
			"targets: [{name: worker, cluster: prod, service: worker, queues: [q], max: 3}]\n"),
		AWS: aws.Config{
			Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: credentials.NewStaticCredentialsProvider("id", "key", ""),
		},
		Log: slog.New(slog.DiscardHandler), Every: time.Hour, Topic: "arn:aws:sns:us-east-1:123456789012:topic", LogGroups: []string{"group"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := n.Run(t.Context(), notify.Input{Time: now}); err != nil || answer.Status != "published" || published == "" {
		t.Fatalf("notify: %+v, %v, and published %q", answer, err, published)
	}
	return c.called
}

// note notes that the function which is under way has called an operation.
func (c *cloud) note(operation string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.called[c.as] == nil {
		c.called[c.as] = map[string]bool{}
	}
	c.called[c.as][operation] = true
}
