package sluicecdk_test

import (
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/infra/lab"
	"sluice/lab/cloud/cfn/template"
	"sluice/stepfunctions"
)

// lastPart is the name at the end of an ARN, or the bare name.
func lastPart(nameOrARN string) string { return nameOrARN[strings.LastIndexByte(nameOrARN, '/')+1:] }

// checkRule: one rule matches what is configured on the configured bus, and invokes ScaleOut with the whole event, as
// it may.
func checkRule(t lab.T, d *lab.Deployment) {
	events, function := d.Config.Events, d.Function(scaleOut)
	d.Sluice.Counts(t, 1, "AWS::Events::Rule", "AWS::Lambda::Permission")
	d.Sluice.Every(t, "AWS::Events::Rule", lab.Props{"State": "ENABLED"})
	for _, r := range d.Sluice.Of("AWS::Events::Rule") {
		want := map[string]any{"source": []any{events.Source}, "detail-type": []any{events.DetailType}}
		if got := r.At("EventPattern"); !reflect.DeepEqual(got, any(want)) {
			t.Errorf("EventPattern is %v, want %v", got, want)
		}
		if bus := lastPart(r.Text("EventBusName")); bus != lastPart(events.Bus) && (bus != "" || events.Bus != "default") {
			t.Errorf("EventBusName is %q, want %q", bus, events.Bus)
		}
		target, _ := r.At("Targets", 0).(map[string]any)
		if len(template.List(r.At("Targets"))) != 1 || target["Arn"] != function.ARN() {
			t.Errorf("its targets are %v, want ScaleOut alone", r.At("Targets"))
		}
		for _, key := range []string{"Input", "InputPath", "InputTransformer"} {
			if target[key] != nil {
				t.Errorf("it sets %s of its target, and ScaleOut reads the whole event", key)
			}
		}
		d.Sluice.Every(t, "AWS::Lambda::Permission", lab.Props{
			"Action": "lambda:InvokeFunction", "Principal": "events.amazonaws.com",
			"FunctionName": lab.Props{"Fn::GetAtt": []string{function.ID, "Arn"}},
			"SourceArn":    lab.Props{"Fn::GetAtt": []string{r.ID, "Arn"}},
		})
	}
}

// task is a Task state.
type task struct {
	name           string
	Resource       string // The function's ARN, as the template refers to it.
	TimeoutSeconds float64
}

// definition is the time-out of the state machine, and its Task states of all levels, with the placeholders filled in.
func definition(t lab.T, d *lab.Deployment) (timeout float64, tasks []task) {
	for _, r := range d.Sluice.Of("AWS::StepFunctions::StateMachine") {
		values := map[string]string{}
		substitutions, _ := r.At("DefinitionSubstitutions").(map[string]any)
		for name, v := range substitutions {
			values[name] = template.Text(v)
		}
		filled, err := stepfunctions.Substitute(r.Text("DefinitionString"), values)
		var top struct {
			TimeoutSeconds float64
			States         map[string]any
		}
		if err == nil {
			err = json.Unmarshal(filled, &top)
		}
		if err != nil {
			t.Errorf("the definition of the state machine: %v", err)
		}
		timeout, tasks = top.TimeoutSeconds, tasksOf(top.States)
	}
	return timeout, tasks
}

func tasksOf(states map[string]any) (tasks []task) {
	for _, name := range slices.Sorted(maps.Keys(states)) {
		state := states[name]
		if template.Within(state, "Type") == "Task" {
			seconds, _ := template.Within(state, "TimeoutSeconds").(float64)
			tasks = append(tasks, task{name, template.Text(template.Within(state, "Resource")), seconds})
		}
		for _, inner := range append(template.List(template.Within(state, "Branches")), template.Within(state, "ItemProcessor")) {
			nested, _ := template.Within(inner, "States").(map[string]any)
			tasks = append(tasks, tasksOf(nested)...)
		}
	}
	return tasks
}

// checkMachine: the machine is the given one, each placeholder bound to its function, which it may invoke, logged in
// full.
func checkMachine(t lab.T, d *lab.Deployment) {
	d.Sluice.Counts(t, 1, "AWS::StepFunctions::StateMachine")
	arn := func(name string) lab.Props { return lab.Props{"Fn::GetAtt": []string{d.Function(name).ID, "Arn"}} }
	d.Sluice.Every(t, "AWS::StepFunctions::StateMachine", lab.Props{
		"DefinitionString": d.Definition, // Inlined, so that the template alone says what runs.
		"DefinitionSubstitutions": lab.Props{
			stepfunctions.CheckFunctionArn:    arn(check),
			stepfunctions.ScaleOutFunctionArn: arn(scaleOut),
			stepfunctions.ScaleInFunctionArn:  arn(scaleIn),
		},
		"StateMachineType":     "STANDARD", // An express workflow ends after five minutes.
		"LoggingConfiguration": lab.Props{"Level": "ALL", "IncludeExecutionData": true},
	})
	for _, r := range d.Sluice.Of("AWS::StepFunctions::StateMachine") {
		for _, name := range scalers {
			if !allows(d.Sluice, r.Text("RoleArn"), "lambda:InvokeFunction", d.Function(name).ARN()) {
				t.Errorf("the state machine may not invoke %s", name)
			}
		}
	}
	if _, tasks := definition(t, d); len(tasks) == 0 {
		t.Errorf("the state machine calls nothing")
	}
}

// checkSchedules: they start the machine each sweep.every, and their shards cover each target once.
func checkSchedules(t lab.T, d *lab.Deployment) {
	schedules := sweepSchedules(d)
	perSchedule, targets := d.Config.Deploy.TargetsPerSchedule, len(d.Config.Targets)
	if wanted := (targets + perSchedule - 1) / perSchedule; len(schedules) != wanted {
		t.Errorf("there are %d schedules for %d targets, %d each, want %d", len(schedules), targets, perSchedule, wanted)
	}
	covered := map[int]bool{}
	for _, r := range schedules {
		machine := d.Sluice.Target(r.Text("Target", "Arn"), "AWS::StepFunctions::StateMachine")
		if machine == nil || !allows(d.Sluice, r.Text("Target", "RoleArn"), "states:StartExecution", r.Text("Target", "Arn")) {
			t.Errorf("%s may not start the state machine, its target is %q", r.ID, r.Text("Target", "Arn"))
		}
		checkTiming(t, d, r, d.Config.Sweep.Every.Std())
		cover(t, r, len(schedules), covered)
	}
}

// notifySchedules are the schedules that start the function of deploy.notify, and sweepSchedules all others.
func notifySchedules(d *lab.Deployment) []*template.Resource {
	f := d.Function(notify)
	return slices.DeleteFunc(d.Sluice.Of("AWS::Scheduler::Schedule"), func(r *template.Resource) bool {
		return f == nil || r.Text("Target", "Arn") != f.ARN()
	})
}

func sweepSchedules(d *lab.Deployment) []*template.Resource {
	others := notifySchedules(d)
	return slices.DeleteFunc(d.Sluice.Of("AWS::Scheduler::Schedule"), func(r *template.Resource) bool { return slices.Contains(others, r) })
}

// checkTiming holds a schedule to the time between two starts.
func checkTiming(t lab.T, d *lab.Deployment, r *template.Resource, every time.Duration) {
	if !startsEvery(r.Text("ScheduleExpression"), every) {
		t.Errorf("%s: ScheduleExpression is %q, which is not each %v", r.ID, r.Text("ScheduleExpression"), every)
	}
	lab.Want(t, r, "OFF", "FlexibleTimeWindow", "Mode")
	if state := r.Text("State"); state != "ENABLED" && state != "" {
		t.Errorf("%s: State is %s", r.ID, state)
	}
	// The CDK writes the name of a schedule's group, and no reference to it, so that CloudFormation may make the
	// schedule first, which fails, unless something else keeps them in order.
	for _, g := range d.Sluice.Of("AWS::Scheduler::ScheduleGroup") {
		if r.Text("GroupName") == g.Text("Name") || r.Text("GroupName") == g.Ref() {
			if !after(d.Sluice, r, g, map[*template.Resource]bool{}) {
				t.Errorf("%s may be made before its group", r.ID)
			}
			return
		}
	}
	t.Errorf("%s is in the group %q, which is not of the template", r.ID, r.Text("GroupName"))
}

// after reports whether a resource is made only after another one: it refers to it, or to something that does.
func after(s *lab.Stack, r, other *template.Resource, seen map[*template.Resource]bool) bool {
	if r == nil || seen[r] {
		return false
	}
	seen[r] = true
	leads := func(r *template.Resource) bool { return after(s, r, other, seen) }
	return r == other || slices.ContainsFunc(s.References(r.Properties), leads) ||
		slices.ContainsFunc(template.Texts(r.DependsOn), func(id string) bool { return leads(s.Resource(id)) })
}

// cover notes which shard of the targets a schedule sees to. Check divides the targets by number, each into one shard,
// so that each target is swept once if each shard is.
func cover(t lab.T, r *template.Resource, schedules int, covered map[int]bool) {
	in := r.Text("Target", "Input")
	var input struct{ Shard, Shards *int } // Pointers, since a shard that is not said is no shard 0.
	decoder := json.NewDecoder(strings.NewReader(in))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&input)
	switch whole := input.Shard == nil && input.Shards == nil; {
	case err != nil:
		t.Errorf("%s: its input %s: %v", r.ID, in, err)
	case schedules == 1 && !whole:
		t.Errorf("%s: its input is %s, though there is one schedule", r.ID, in)
	case schedules == 1:
	case input.Shard == nil || input.Shards == nil || *input.Shards != schedules || *input.Shard < 0 || *input.Shard >= schedules:
		t.Errorf("%s: its input is %s, and there are %d schedules", r.ID, in, schedules)
	case covered[*input.Shard]:
		t.Errorf("%s sweeps shard %d, as another does", r.ID, *input.Shard)
	default:
		covered[*input.Shard] = true
	}
}

var (
	rate = regexp.MustCompile(`^rate\((\d+) (minute|hour|day)s?\)$`)
	// Minutes alone may be other than *: a number, or START/STEP.
	cron = regexp.MustCompile(`^cron\((\d+)(?:/(\d+))? \* \* \* \? \*\)$`)
)

// startsEvery reports whether the schedule starts with this time between two starts. A cron whose step does not divide
// the hour would have a shorter one at its end.
func startsEvery(expression string, every time.Duration) bool {
	if m := rate.FindStringSubmatch(expression); m != nil {
		n, _ := strconv.Atoi(m[1])
		return time.Duration(n)*map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}[m[2]] == every
	}
	m := cron.FindStringSubmatch(expression)
	if m == nil {
		return false
	}
	start, _ := strconv.Atoi(m[1])
	step := 60
	if m[2] != "" {
		step, _ = strconv.Atoi(m[2])
	}
	return step > 0 && 60%step == 0 && start < step && time.Duration(step)*time.Minute == every
}

func TestStartsEvery(t *testing.T) {
	for _, tt := range []struct {
		expression string
		every      time.Duration
		want       bool
	}{
		{"rate(5 minutes)", 5 * time.Minute, true},
		{"rate(60 minutes)", time.Hour, true},
		{"rate(5 hours)", 5 * time.Minute, false},
		{"cron(3/5 * * * ? *)", 5 * time.Minute, true},
		{"cron(5/5 * * * ? *)", 5 * time.Minute, false}, // Leaves one out each hour.
		{"cron(0/7 * * * ? *)", 7 * time.Minute, false}, // 56 and 0 are four minutes apart.
		{"cron(30 * * * ? *)", time.Hour, true},
		{"cron(0/0 * * * ? *)", time.Hour, false},
		{"cron(0 12 * * ? *)", 24 * time.Hour, false}, // Not a form that is used.
	} {
		if got := startsEvery(tt.expression, tt.every); got != tt.want {
			t.Errorf("%s starts every %v: %t, want %t", tt.expression, tt.every, got, tt.want)
		}
	}
}

// checkNotify: what the function is to tell, when, and whom. That it may is seen to by the check permissions.
func checkNotify(t lab.T, d *lab.Deployment) {
	given, schedules := d.Config.Deploy.Notify, notifySchedules(d)
	if given == nil {
		return
	}
	if len(schedules) != 1 {
		t.Errorf("there are %d schedules for deploy.notify", len(schedules))
		return
	}
	r, f := schedules[0], d.Function(notify)
	checkTiming(t, d, r, given.Every.Std())
	if !allows(d.Sluice, r.Text("Target", "RoleArn"), "lambda:InvokeFunction", f.ARN()) {
		t.Errorf("%s may not start its target", r.ID)
	}
	// What EventBridge Scheduler puts in the place of its words is in RFC 3339.
	if in := r.Text("Target", "Input"); in != `{"time":"<aws.scheduler.scheduled-time>"}` {
		t.Errorf("%s: its input is %s", r.ID, in)
	}
	_, topic := notifyTopic(d)
	var want []string
	if given.Email != "" {
		want = []string{given.Email}
	} else if given.Topic == "" && d.Config.Deploy.Alarms.Email != "" {
		want = []string{d.Config.Deploy.Alarms.Email}
	}
	if addresses := mailedBy(d.Sluice, topic); !slices.Equal(addresses, want) {
		t.Errorf("it publishes to a topic that mails to %q, not to %q", addresses, want)
	}
}

// notifyTopic is the ARN that messages have to go to, and the topic if the template makes it: that of deploy.notify,
// one of its own for an address, else that of the alarms.
func notifyTopic(d *lab.Deployment) (arn string, made *template.Resource) {
	if given := d.Config.Deploy.Notify; given.Topic != "" {
		return given.Topic, nil
	} else if given.Email == "" {
		for _, a := range d.Sluice.Of("AWS::CloudWatch::Alarm") {
			arn := a.Text("AlarmActions", 0)
			return arn, d.Sluice.Target(arn, "AWS::SNS::Topic")
		}
	}
	for _, topic := range d.Sluice.Of("AWS::SNS::Topic") {
		if !alarmed(d.Sluice, topic) {
			return topic.Ref(), topic
		}
	}
	return "", nil
}

// mailedBy are the addresses that a topic mails to.
func mailedBy(s *lab.Stack, topics ...*template.Resource) (addresses []string) {
	for _, r := range s.Of("AWS::SNS::Subscription") {
		topic := s.Target(r.Text("TopicArn"), "AWS::SNS::Topic")
		if topic != nil && slices.Contains(topics, topic) && r.Text("Protocol") == "email" {
			addresses = append(addresses, r.Text("Endpoint"))
		}
	}
	return addresses
}
