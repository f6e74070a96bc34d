package template

import (
	"fmt"
	"slices"
	"strings"
)

// titles are how outputs call the functions.
var titles = map[string]string{scaleOut: "ScaleOut", check: "Check", scaleIn: "ScaleIn", notify: "Notify"}

// checkOutputs: the command line finds everything of a deployment by the outputs of its stack alone, so that one which is missing, or
// tells of something else, has it look at the wrong thing or at nothing.
func checkOutputs(d *Deployment, f *findings) {
	where := "the stack " + d.Sluice.Name
	for id, want := range d.outputs() {
		// Lists of names have no order.
		got, wanted := strings.Split(d.Sluice.output(id), ","), strings.Split(want, ",")
		switch {
		case d.Sluice.output(id) == "":
			f.addAt(where, "make it: "+want, "has no output %s", id)
		case !sameSet(got, wanted):
			f.addAt(where, "let it tell of "+want, "has the output %s, which tells of %s", id, strings.Join(got, ","))
		}
	}
}

// output is the value of an output; empty if there is none.
func (s *Stack) output(id string) string { return text(at(s.Template, "Outputs", id, "Value")) }

// outputs are those that there have to be, with what they have to tell.
func (d *Deployment) outputs() map[string]string {
	want := map[string]string{}
	queue := func(whose string, arn any) {
		if q := d.Sluice.target(text(arn), "AWS::SQS::Queue"); q != nil {
			want[whose+"DeadLetters"] = refTo(q) // A queue's is its URL.
		}
	}
	for _, name := range d.functionNames() {
		r := d.Functions[name]
		want[titles[name]+"Function"] = refTo(r)
		want[titles[name]+"Logs"] = r.text("LoggingConfig", "LogGroup")
		queue(titles[name], r.at("DeadLetterConfig", "TargetArn"))
	}
	for i, group := range texts(d.Functions[check].at("VpcConfig", "SecurityGroupIds")) {
		want[fmt.Sprintf("SecurityGroup%d", i+1)] = group
	}
	for _, r := range d.Sluice.of("AWS::Events::Rule") {
		want["Rule"] = refTo(r)
		if lastPart(d.Config.Events.Bus) != "default" { // There the reference is BUS|RULE.
			want["Rule"] = fmt.Sprintf("${Fn::Select [1,'${Fn::Split ['|','%s']}']}", refTo(r))
		}
		for _, t := range r.list("Targets") {
			queue("Rule", at(t, "DeadLetterConfig", "Arn"))
		}
	}
	for _, r := range d.Sluice.of("AWS::StepFunctions::StateMachine") {
		want["StateMachine"] = refTo(r)
	}
	for _, r := range d.Sluice.of("AWS::CloudWatch::Dashboard") {
		want["Dashboard"] = refTo(r)
	}
	var schedules []string
	for _, r := range d.sweepSchedules() {
		schedules = append(schedules, refTo(r))
		queue("Schedules", r.at("Target", "DeadLetterConfig", "Arn"))
	}
	want["Schedules"] = strings.Join(schedules, ",")
	for _, r := range d.Sluice.of("AWS::Scheduler::ScheduleGroup") {
		want["ScheduleGroup"] = r.text("Name")
	}
	// Whom the alarms tell: the check alarms sees that it is the right one.
	for _, a := range d.Sluice.of("AWS::CloudWatch::Alarm") {
		want["AlarmTopic"] = slices.Concat(texts(a.at("AlarmActions")), []string{""})[0]
	}
	for _, r := range d.notifySchedules() {
		want["NotifySchedule"] = refTo(r)
		want["NotifyTopic"] = d.Functions[notify].text("Environment", "Variables", "SLUICE_TOPIC_ARN")
	}
	return want
}

func refTo(r *Resource) string { return "${" + r.ID + "}" }
