package template

import (
	"encoding/json"
	"slices"
)

// checkNotify: what the function is to read and to tell, when, and whom. That it may is held to its code by package permissions.
func checkNotify(d *Deployment, f *findings) {
	given, schedules := d.Config.Deploy.Notify, d.notifySchedules()
	if given == nil {
		return // The check functions finds a function that nobody asked for.
	}
	if len(schedules) != 1 {
		f.addAt("the stack "+d.Sluice.Name, "make one", "has %d schedules for deploy.notify", len(schedules))
		return
	}
	r, fn := schedules[0], d.Functions[notify]
	d.checkTiming(f, r, given.Every.Std(), "deploy.notify.every")
	if !d.Sluice.allows(r.text("Target", "RoleArn"), "lambda:InvokeFunction", arnOf(fn)) {
		f.add(r, "allow its role lambda:InvokeFunction on the function", "may not start its target")
	}
	// What EventBridge Scheduler puts in the place of its words is in RFC 3339.
	var input map[string]string
	if err := json.Unmarshal([]byte(r.text("Target", "Input")), &input); err != nil || input["time"] != "<aws.scheduler.scheduled-time>" || len(input) != 1 {
		f.add(r, `give it {"time": "<aws.scheduler.scheduled-time>"}`, "its input is %s", r.text("Target", "Input"))
	}
	_, topic := d.notifyTopic()
	var want []string
	if given.Email != "" {
		want = []string{given.Email}
	} else if given.Topic == "" && d.Config.Deploy.Alarms.Email != "" {
		want = []string{d.Config.Deploy.Alarms.Email}
	}
	if addresses := d.Sluice.mailedBy([]*Resource{topic}); !slices.Equal(addresses, want) {
		f.add(fn, "follow deploy.notify", "publishes to a topic that mails to %s, not to %s", quoted(addresses), quoted(want))
	}
}

// notifySchedules are the schedules that start the function of deploy.notify.
func (d *Deployment) notifySchedules() (found []*Resource) {
	fn := d.Functions[notify]
	for _, r := range d.Sluice.of("AWS::Scheduler::Schedule") {
		if fn != nil && r.text("Target", "Arn") == arnOf(fn) {
			found = append(found, r)
		}
	}
	return found
}

// notifyTopic is the ARN that messages have to go to, and the topic if the template makes it: that of deploy.notify, one of its own for
// an address, else that of the alarms.
func (d *Deployment) notifyTopic() (arn string, made *Resource) {
	if given := d.Config.Deploy.Notify; given.Topic != "" {
		return given.Topic, nil
	} else if given.Email == "" {
		for _, a := range d.Sluice.of("AWS::CloudWatch::Alarm") {
			for _, arn := range texts(a.at("AlarmActions")) {
				return arn, d.Sluice.target(arn, "AWS::SNS::Topic")
			}
		}
		return "", nil
	}
	for _, t := range d.Sluice.of("AWS::SNS::Topic") {
		if !d.Sluice.alarmed(t) {
			return refTo(t), t
		}
	}
	return "", nil
}

// scalersLogs are the log groups of ScaleOut, Check and ScaleIn.
func (d *Deployment) scalersLogs() (groups []string) {
	for _, name := range []string{scaleOut, check, scaleIn} {
		groups = append(groups, d.Functions[name].text("LoggingConfig", "LogGroup"))
	}
	return groups
}
