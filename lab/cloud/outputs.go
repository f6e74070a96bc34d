package cloud

import (
	"fmt"
	"strings"
)

// outputsOf are the outputs of the stack, as far as they name what is run here: the functions, their log groups, the rule, the
// schedules, the state machine, the dead-letter queues, and the topics of the alarms and of Notify's messages, if there are any.
func (d Deployment) outputsOf(alarms, digests string) map[string]string {
	var sweeps []string
	for _, s := range d.Schedules {
		if s.Function == "" {
			sweeps = append(sweeps, s.Name)
		}
	}
	out := map[string]string{
		"StateMachine": d.machineARN(), "Rule": d.Rule.Name, "Schedules": strings.Join(sweeps, ","), "ScheduleGroup": ScheduleGroup,
		"AlarmTopic":      alarms,
		"RuleDeadLetters": d.QueueURL(d.Rule.DeadLetters), "SchedulesDeadLetters": d.QueueURL(DeadLettersOf(Sweep)),
	}
	for _, f := range d.Functions {
		whose := outputNames[f.Name]
		out[whose+"Function"], out[whose+"Logs"], out[whose+"DeadLetters"] = f.Name, f.LogGroup, d.QueueURL(f.DeadLetters)
	}
	if digests != "" {
		out["NotifyTopic"], out["NotifySchedule"] = digests, ScheduleOfNotify
	}
	return out
}

// outputNames begin the names of the outputs that are about a function.
var outputNames = map[string]string{ScaleOut: "ScaleOut", Check: "Check", ScaleIn: "ScaleIn", Notify: "Notify"}

// QueueURL is the URL of a queue, as AWS has it. Clients send it to the local cloud all the same, as a part of the request.
func (d Deployment) QueueURL(name string) string {
	return fmt.Sprintf("https://sqs.%s.amazonaws.com/%s/%s", d.Region, d.Account, name)
}
