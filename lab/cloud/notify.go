package cloud

import (
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/scheduler"
)

// notify adds what `deploy.notify` deploys: the function that tells in words what the others did, its schedule, and the topic of its
// messages if that is neither an existing one nor that of the alarms. It returns the topic.
func (d *Deployment) notify(c *config.Config, alarms string) (topic string) {
	given := c.Deploy.Notify
	switch {
	case given.Topic != "":
		topic = given.Topic
	case given.Email != "":
		topic = d.topicARN(NotifyTopic)
		d.Topics = append(d.Topics, topic)
	default:
		topic = alarms
	}
	var groups []string
	for _, f := range d.Functions {
		groups = append(groups, f.LogGroup)
	}
	d.Functions = append(d.Functions, Function{
		Name: Notify, Timeout: 5 * time.Minute, MemoryMB: 256, LogFormat: "JSON", LogGroup: LogGroupOf(Notify),
		Retry: delivery.Policy{Retries: 1, MaxAge: 15 * time.Minute}, DeadLetters: DeadLettersOf(Notify),
		Env: map[string]string{
			"SLUICE_TOPIC_ARN": topic, "SLUICE_LOG_GROUPS": strings.Join(groups, ","), "SLUICE_NOTIFY_EVERY": given.Every.Std().String(),
			"SLUICE_STACK": c.Deploy.Stack,
		},
	})
	d.Schedules = append(d.Schedules, Schedule{
		Name: ScheduleOfNotify, Function: Notify, Timing: scheduler.Timing{Every: given.Every.Std()}, Input: `{"time":"` + scheduledTime + `"}`,
		Retry: delivery.Policy{Retries: 10, MaxAge: 15 * time.Minute}, DeadLetters: DeadLettersOf(Sweep),
	})
	return topic
}
