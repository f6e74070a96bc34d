package e2e_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"

	"sluice/lab/cloud"
	"sluice/trigger"
)

// TestCommandAsProducer sends the event by `sluice trigger`, with nothing but the environment that the cloud gives.
func TestCommandAsProducer(t *testing.T) {
	t.Parallel()
	sluice := filepath.Join(t.TempDir(), "sluice")
	if out, err := exec.Command("go", "build", "-o", sluice, "sluice/cmd/sluice").CombinedOutput(); err != nil {
		t.Fatalf("build the command: %v\n%s", err, out)
	}
	c := start(t, one(`["sleep", "1000"]`, idle), cloud.Options{})
	for _, tt := range []struct {
		args []string
		want int // The count; what the floor asks for is kept by the sweep.
		code int
	}{
		{[]string{"trigger", "--scale-to", "2", "--hold", "1h"}, 2, 0},
		{[]string{"trigger", "--config", c.config, "nobody"}, 2, 1},
		{[]string{"trigger", "--config", c.config, "video", "--scale-to", "99"}, 3, 0},
	} {
		cmd := exec.Command(sluice, tt.args...)
		cmd.Env, cmd.Dir = append(os.Environ(), c.Env()...), t.TempDir()
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != tt.code {
			t.Fatalf("sluice %q: %v\n%s", tt.args, err, out)
		}
		c.awaitCounts("workers", tt.want, tt.want)
	}
	if got := c.service("workers").Tags["sluice:floor"]; got == "" {
		t.Error("the event with --hold left no floor")
	}
	// Wholly idle, and yet two are kept.
	if s := c.sweep(); s.Results["video"].Outcome != "scaled in" {
		t.Errorf("a sweep with a floor: %+v", s.Execution)
	}
	c.awaitCounts("workers", 2, 2)
}

// TestPackageAsProducer has a Go producer ask for workers for each of a hundred messages.
func TestPackageAsProducer(t *testing.T) {
	t.Parallel()
	c := start(t, one(`["sleep", "1000"]`, idle), cloud.Options{})
	ask := trigger.New(eventbridge.New(eventbridge.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(c.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	}), trigger.Options{Window: time.Hour}) // However long the loop takes, it ends within the window.
	b := newBroker(t, c.RedisURL())
	for i := range 100 {
		if err := b.LPush(t.Context(), "video", "{}").Err(); err != nil {
			t.Fatal(err)
		}
		if err := ask.Trigger(t.Context(), trigger.Event{Target: "video", ScaleTo: aws.Int(1 + i/40)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := ask.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	c.awaitCounts("workers", 3, 3)
	events := len(c.since(0, func(h cloud.Happening) bool { return h.Delivery != nil }))
	if events != 2 {
		t.Errorf("a hundred messages made %d events; want one at once and one with the last demand", events)
	}
	if n := c.ECS().Calls()["UpdateService"]; n > 3 {
		t.Errorf("they made %d calls of UpdateService", n)
	}
}
