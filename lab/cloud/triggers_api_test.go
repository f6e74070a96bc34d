package cloud

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
)

func TestRuleAndScheduleAPI(t *testing.T) {
	c, r := start(t, settings(t, "", "true"), Options{NoSweep: true})
	rules, schedules := eventbridge.NewFromConfig(client(c)), scheduler.NewFromConfig(client(c))
	rule := func() *eventbridge.DescribeRuleOutput {
		out, err := rules.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("scale-out"), EventBusName: aws.String("default")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	target := func() string {
		out, err := rules.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: aws.String("scale-out")})
		if err != nil || len(out.Targets) != 1 || *out.Targets[0].RetryPolicy.MaximumRetryAttempts != 20 ||
			*out.Targets[0].DeadLetterConfig.Arn != "arn:aws:sqs:us-east-1:000000000000:scale-out-dead-letters" {
			t.Fatal(out, err)
		}
		return *out.Targets[0].Arn
	}
	schedule := func() *scheduler.GetScheduleOutput {
		out, err := schedules.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("sweep"), GroupName: aws.String("sluice")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := rule(); got.State != "ENABLED" || *got.Arn != "arn:aws:events:us-east-1:000000000000:rule/scale-out" ||
		*got.EventPattern != `{"detail-type":["celery.task.queue_full"],"source":["custom.celery.monitor"]}` {
		t.Errorf("rule %+v", got)
	}
	if got := target(); got != "arn:aws:lambda:us-east-1:000000000000:function:scaleout" {
		t.Errorf("target %s", got)
	}
	if got := schedule(); got.State != "ENABLED" || *got.ScheduleExpression != "rate(5 minutes)" || *got.Target.Input != "{}" || got.CreationDate.IsZero() ||
		*got.Target.Arn != "arn:aws:states:us-east-1:000000000000:stateMachine:sluice-sweep" {
		t.Errorf("schedule %+v", got)
	}

	undo, err := c.Change(func(d *Deployment) {
		d.Rule.Disabled, d.Rule.Pattern, d.Rule.Target, d.Schedules[0].Disabled = true, `{"source":["other"]}`, Check, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := rule(); got.State != "DISABLED" || *got.EventPattern != `{"source":["other"]}` || !strings.HasSuffix(target(), ":check") {
		t.Errorf("changed rule %+v", got)
	}
	if got := schedule(); got.State != "DISABLED" {
		t.Errorf("changed schedule %+v", got)
	}
	put(t, c, "1")
	if d := r.wait(t, "the event", func(h Happening) bool { return h.Delivery != nil }).Delivery; d.Rule != "" {
		t.Errorf("the event went to rule %s", d.Rule)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	put(t, c, "1")
	r.wait(t, "the event by the rule", func(h Happening) bool { return h.Delivery != nil && h.Delivery.Rule == RuleName })

	if _, err := c.Change(func(d *Deployment) { d.Rule.Pattern = "{}" }); err == nil {
		t.Error("a rule without a pattern")
	}
	if _, err := c.Change(func(d *Deployment) { d.Rule.Name, d.Rule.Disabled, d.Schedules = "renamed", true, nil }); err != nil {
		t.Fatal(err)
	}
	put(t, c, "3")
	third := r.wait(t, "the last event", func(h Happening) bool {
		return h.Delivery != nil && string(h.Delivery.Event.Detail) == `{"scale_to": 3}`
	}).Delivery
	if third.Rule != "" {
		t.Errorf("the event went to rule %s, which is no longer there", third.Rule)
	}
	if _, err := rules.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("scale-out")}); code(err) != "ResourceNotFoundException" {
		t.Errorf("the rule that was: %v", err)
	}
	if _, err := schedules.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("sweep"), GroupName: aws.String("sluice")}); code(err) != "ResourceNotFoundException" {
		t.Errorf("the schedule that was: %v", err)
	}
}

// A schedule that is disabled starts nothing, and goes on when it is enabled.
func TestDisabledSchedule(t *testing.T) {
	path := settings(t, "", "true")
	d := builtIn(t, path)
	d.Schedules[0].Disabled = true
	c, r := start(t, path, Options{Deployment: d})
	if _, err := c.Change(func(d *Deployment) { d.Schedules[0].Name = "renamed" }); err != nil {
		t.Fatal(err)
	}
	put(t, c, "1") // Takes its time, in which the first sweep would have begun at once.
	enabled := time.Now()
	if _, err := c.Change(func(d *Deployment) { d.Schedules[0].Name, d.Schedules[0].Disabled = Sweep, false }); err != nil {
		t.Fatal(err)
	}
	if h := r.wait(t, "a sweep", func(h Happening) bool { return h.Execution != nil }); h.At.Before(enabled) {
		t.Error("a sweep began although the schedule was disabled")
	}
}
