package cloud

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/events"
	"sluice/lab/cloud/scheduler"
)

// startRule makes the rule that sends the configured events to ScaleOut, which takes them from its own queue.
func (c *Cloud) startRule() error {
	d := c.deployed()
	c.events = events.New(events.Options{
		Region: d.Region, Account: d.Account, Buses: []string{d.Rule.Bus}, OnDelivery: c.feed.delivery,
	})
	c.onClose(func() { _ = c.events.Close() })
	rule, err := c.rule(d)
	if err != nil {
		return err
	}
	return c.events.SetRule(rule)
}

// rule is the rule of a deployment.
func (c *Cloud) rule(d Deployment) (events.Rule, error) {
	rule := d.Rule
	pattern, err := events.ParsePattern([]byte(rule.Pattern))
	if err != nil {
		return events.Rule{}, fmt.Errorf("make rule %s: %w", rule.Name, err)
	}
	return events.Rule{
		Name: rule.Name, Bus: rule.Bus, Pattern: pattern, Retry: rule.Retry, Disabled: rule.Disabled,
		Target: func(_ context.Context, event []byte) error {
			d := c.deployed()
			if err := d.authorize(d.ruleCaller(), "lambda:InvokeFunction", nil, d.functionARN(rule.Target)); err != nil {
				return &delivery.Error{Code: "NO_PERMISSIONS", Message: err.Error(), Permanent: true}
			}
			_, err := c.functions.InvokeAsync(rule.Target, event)
			return err
		},
		GiveUp: func(event []byte, why *delivery.GaveUp) {
			c.giveUp(d.ruleCaller(), rule.DeadLetters, event, why, map[string]string{
				"RULE_ARN": d.ruleARN(), "TARGET_ARN": d.functionARN(rule.Target),
			})
		},
	}, nil
}

// startSchedules starts what the schedules start: each as deployed, unless `local.sweep_every` has the sweeps come at another pace.
func (c *Cloud) startSchedules() {
	d := c.deployed()
	for _, s := range d.Schedules {
		timing := s.Timing
		if s.Function == "" {
			timing = c.localTiming(timing)
		}
		schedule := scheduler.Start(scheduler.Options{
			Timing: timing, Retry: s.Retry,
			Target: func(_ context.Context, at time.Time) error { return c.callTarget(s, at) },
			GiveUp: func(why *delivery.GaveUp) {
				c.giveUp(d.scheduleCaller(s), s.DeadLetters, []byte(s.Input), why, map[string]string{
					"SCHEDULE_ARN": d.scheduleARN(s), "TARGET_ARN": d.targetARN(s),
				})
			},
		})
		c.onClose(func() { _ = schedule.Close() })
	}
}

// callTarget does what a schedule is there for, if that is still deployed and enabled.
func (c *Cloud) callTarget(s Schedule, at time.Time) error {
	d := c.deployed()
	if !d.enabled(s.Name) {
		return nil
	}
	action := "states:StartExecution"
	if s.Function != "" {
		action = "lambda:InvokeFunction"
	}
	if err := d.authorize(d.scheduleCaller(s), action, nil, d.targetARN(s)); err != nil {
		return &delivery.Error{Code: "AccessDeniedException", Message: err.Error()}
	}
	input := []byte(strings.ReplaceAll(s.Input, scheduledTime, at.UTC().Format("2006-01-02T15:04:05Z")))
	var err error
	if s.Function != "" {
		_, err = c.functions.InvokeAsync(s.Function, input)
	} else {
		_, err = c.executions.start("", input)
	}
	return err
}

// targetARN is what a schedule calls.
func (d Deployment) targetARN(s Schedule) string {
	if s.Function != "" {
		return d.functionARN(s.Function)
	}
	return d.machineARN()
}

// localTiming is the timing with the time between sweeps of `local.sweep_every`, if there is one. Several schedules stay apart by
// the same part of it.
func (c *Cloud) localTiming(t scheduler.Timing) scheduler.Timing {
	every := c.opts.Config.Local.SweepEvery.Std()
	if every == 0 {
		return t
	}
	return scheduler.Timing{Every: every, Offset: time.Duration(float64(t.Offset) / float64(t.Every) * float64(every))}
}

// giveUp puts what could not be delivered into the dead-letter queue, and tells of it.
func (c *Cloud) giveUp(who caller, queue string, payload []byte, why *delivery.GaveUp, attributes map[string]string) {
	attributes["ERROR_CODE"], attributes["ERROR_MESSAGE"] = why.Code, why.Error()
	attributes["RETRY_ATTEMPTS"] = strconv.Itoa(why.Retries)
	if why.Exhausted != "" {
		attributes["EXHAUSTED_RETRY_CONDITION"] = why.Exhausted
	}
	u := Undelivered{From: who.name, Payload: payload, Why: why}
	if queue == "" {
		u.Lost = "there is no dead-letter queue"
	} else if err := c.send(who, queue, message{Body: string(payload), Attributes: attributes}); err != nil {
		u.Lost = err.Error()
	}
	c.feed.undelivered(u)
}
