package cloud

import (
	"fmt"
	"net/http"

	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/events"
	"sluice/lab/cloud/wire"
)

// ruleInput names a rule.
type ruleInput struct {
	Name, Rule, EventBusName string // DescribeRule has Name, ListTargetsByRule has Rule.
	NextToken                string
	Limit                    int
}

// theRule is the rule, if that is what is asked for.
func (d Deployment) theRule(in ruleInput) (Rule, error) {
	name, bus := in.Name+in.Rule, events.BusName(in.EventBusName)
	if name != d.Rule.Name || bus != events.BusName(d.Rule.Bus) {
		return Rule{}, wire.Errorf("ResourceNotFoundException", "Rule %s does not exist on EventBus %s.", name, bus)
	}
	return d.Rule, nil
}

// describeRule answers events:DescribeRule.
func (c *Cloud) describeRule(in ruleInput) (map[string]any, error) {
	d := c.deployed()
	rule, err := d.theRule(in)
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"Name": rule.Name, "Arn": d.ruleARN(), "EventBusName": events.BusName(rule.Bus), "EventPattern": rule.Pattern, "State": state(rule.Disabled),
	}, nil
}

// listTargetsByRule answers events:ListTargetsByRule.
func (c *Cloud) listTargetsByRule(in ruleInput) (map[string]any, error) {
	d := c.deployed()
	rule, err := d.theRule(in)
	if err != nil {
		return nil, err
	}
	target := map[string]any{"Id": "Target0", "Arn": d.functionARN(rule.Target)}
	d.describeDelivery(target, rule.Retry, rule.DeadLetters)
	return map[string]any{"Targets": []any{target}}, nil
}

// describeDelivery adds to a target how often it is tried, and where what fails goes.
func (d Deployment) describeDelivery(target map[string]any, retry delivery.Policy, deadLetters string) {
	target["RetryPolicy"] = map[string]any{
		"MaximumRetryAttempts": retry.Retries, "MaximumEventAgeInSeconds": int(retry.MaxAge.Seconds()),
	}
	if deadLetters != "" {
		target["DeadLetterConfig"] = map[string]any{"Arn": d.queueARN(deadLetters)}
	}
}

func state(disabled bool) string {
	if disabled {
		return "DISABLED"
	}
	return "ENABLED"
}

// getSchedule answers scheduler:GetSchedule: with the time as deployed, also where `local.sweep_every` replaces it.
func (c *Cloud) getSchedule(r *http.Request) (map[string]any, error) {
	d := c.deployed()
	name, group := r.PathValue("name"), r.URL.Query().Get("groupName")
	for _, s := range d.Schedules {
		if s.Name != name || group != ScheduleGroup {
			continue
		}
		target := map[string]any{"Arn": d.targetARN(s), "RoleArn": d.roleARN(s.Name), "Input": s.Input}
		d.describeDelivery(target, s.Retry, s.DeadLetters)
		return map[string]any{
			"Name": s.Name, "GroupName": ScheduleGroup, "Arn": d.scheduleARN(s), "State": state(s.Disabled),
			"ScheduleExpression": s.Timing.String(), "ScheduleExpressionTimezone": "Etc/UTC",
			"FlexibleTimeWindow": map[string]any{"Mode": "OFF"}, "Target": target, "CreationDate": c.began,
		}, nil
	}
	return nil, &wire.Error{
		Code: "ResourceNotFoundException", Message: fmt.Sprintf("Schedule %s does not exist in group %q.", name, group), Status: http.StatusNotFound,
	}
}
