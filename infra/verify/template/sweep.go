package template

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/stepfunctions"
)

// machine is a state machine with its placeholders filled in.
type machine struct {
	TimeoutSeconds float64
	tasks          []task // Of all levels.
}

// task is a Task state.
type task struct {
	name           string
	Resource       string // The function's ARN, as the template refers to it.
	TimeoutSeconds float64
}

// definition is the text of a state machine with its placeholders filled in.
func (d *Deployment) definition(r *Resource) (string, error) {
	raw, ok := r.at("DefinitionString").(string)
	if !ok {
		return "", fmt.Errorf("has no DefinitionString: inline the definition, so that the template alone says what runs")
	}
	values := map[string]string{}
	substitutions, _ := r.at("DefinitionSubstitutions").(map[string]any)
	for name, v := range substitutions {
		values[name] = text(v)
	}
	filled, err := stepfunctions.Substitute(raw, values)
	return string(filled), err
}

// Definitions are the state machines as they run, with ARNs as AWS might give them, for tools that know nothing of templates.
func (d *Deployment) Definitions() ([]string, error) {
	var all []string
	for _, r := range d.Sluice.of("AWS::StepFunctions::StateMachine") {
		definition, err := d.definition(r)
		if err != nil {
			return nil, fmt.Errorf("state machine %s: %w", r.ID, err)
		}
		all = append(all, reference.ReplaceAllString(definition, "arn:aws:lambda:eu-central-1:123456789012:function:$1"))
	}
	return all, nil
}

func (d *Deployment) machine(r *Resource) (*machine, error) {
	definition, err := d.definition(r)
	if err != nil {
		return nil, err
	}
	var top struct {
		TimeoutSeconds float64
		States         map[string]any
	}
	if err := json.Unmarshal([]byte(definition), &top); err != nil {
		return nil, fmt.Errorf("its definition: %w", err)
	}
	m := &machine{TimeoutSeconds: top.TimeoutSeconds}
	m.collect(top.States)
	return m, nil
}

func (m *machine) collect(states map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(states)) {
		state := states[name]
		if text(at(state, "Type")) == "Task" {
			seconds, _ := at(state, "TimeoutSeconds").(float64)
			m.tasks = append(m.tasks, task{name, text(at(state, "Resource")), seconds})
		}
		for _, inner := range []string{"ItemProcessor", "Iterator"} {
			if nested, ok := at(state, inner, "States").(map[string]any); ok {
				m.collect(nested)
			}
		}
		for _, branch := range list(at(state, "Branches")) {
			if nested, ok := at(branch, "States").(map[string]any); ok {
				m.collect(nested)
			}
		}
	}
}

func checkMachine(d *Deployment, f *findings) {
	machines := d.Sluice.of("AWS::StepFunctions::StateMachine")
	if len(machines) != 1 {
		f.addAt("the stack "+d.Sluice.Name, "make one", "has %d state machines", len(machines))
		return
	}
	r := machines[0]
	if r.text("DefinitionString") != d.Definition {
		f.add(r, "put stepfunctions/scalein.asl.json there as it is", "DefinitionString is not the given definition")
	}
	bound := map[string]string{
		stepfunctions.CheckFunctionArn: check, stepfunctions.ScaleOutFunctionArn: scaleOut, stepfunctions.ScaleInFunctionArn: scaleIn,
	}
	for _, name := range slices.Sorted(maps.Keys(bound)) {
		if want, got := arnOf(d.Functions[bound[name]]), r.text("DefinitionSubstitutions", name); got != want {
			f.add(r, "bind it to that function's ARN", "the placeholder %s is bound to %q, not %q", name, got, want)
		}
	}
	if _, err := d.machine(r); err != nil {
		f.add(r, "bind each placeholder of the definition, and no others", "%v", err)
	}
	if kind := r.text("StateMachineType"); kind != "STANDARD" && kind != "" {
		f.add(r, "use STANDARD: an express workflow ends after five minutes", "StateMachineType is %s", kind)
	}
	f.want(r, "ALL", "LoggingConfiguration", "Level")
	f.want(r, true, "LoggingConfiguration", "IncludeExecutionData")
	for _, name := range scalers {
		if !d.Sluice.allows(r.text("RoleArn"), "lambda:InvokeFunction", arnOf(d.Functions[name])) {
			f.add(r, "allow its role lambda:InvokeFunction on it", "may not invoke %s", d.Functions[name].ID)
		}
	}
}

func checkSchedules(d *Deployment, f *findings) {
	schedules := d.sweepSchedules()
	perSchedule, targets := d.Config.Deploy.TargetsPerSchedule, len(d.Config.Targets)
	wanted := (targets + perSchedule - 1) / perSchedule
	if len(schedules) != wanted {
		f.addAt("the stack "+d.Sluice.Name, fmt.Sprintf("make %d", wanted), "has %d schedules for %d targets, %d each",
			len(schedules), targets, perSchedule)
	}
	machines := d.Sluice.of("AWS::StepFunctions::StateMachine")
	covered := map[int]*Resource{}
	for _, r := range schedules {
		if len(machines) != 1 || d.Sluice.target(r.text("Target", "Arn"), machines[0].Type) != machines[0] {
			f.add(r, "start the state machine", "its target is %q", r.text("Target", "Arn"))
		} else if !d.Sluice.allows(r.text("Target", "RoleArn"), "states:StartExecution", r.text("Target", "Arn")) {
			f.add(r, "allow its role states:StartExecution on the machine", "may not start its target")
		}
		d.checkTiming(f, r, d.Config.Sweep.Every.Std(), "sweep.every")
		d.cover(f, r, len(schedules), covered)
	}
}

// sweepSchedules are those that start anything but the function of deploy.notify.
func (d *Deployment) sweepSchedules() []*Resource {
	return slices.DeleteFunc(d.Sluice.of("AWS::Scheduler::Schedule"), func(r *Resource) bool { return slices.Contains(d.notifySchedules(), r) })
}

// checkTiming holds a schedule to the time between two starts, which the field of sluice.yaml says.
func (d *Deployment) checkTiming(f *findings, r *Resource, every time.Duration, field string) {
	if !startsEvery(r.text("ScheduleExpression"), every) {
		f.add(r, "let it start each "+field, "ScheduleExpression is %q, which is not each %v", r.text("ScheduleExpression"), every)
	}
	f.want(r, "OFF", "FlexibleTimeWindow", "Mode")
	if state := r.text("State"); state != "ENABLED" && state != "" {
		f.add(r, "enable it", "State is %s", state)
	}
	d.checkGroup(f, r)
}

// checkGroup: the CDK writes the name of a schedule's group, and no reference to it, so that CloudFormation may make the schedule
// first, which fails, unless something else keeps them in order.
func (d *Deployment) checkGroup(f *findings, r *Resource) {
	name := r.text("GroupName")
	for _, g := range d.Sluice.of("AWS::Scheduler::ScheduleGroup") {
		if name != g.text("Name") && d.Sluice.target(name, g.Type) != g {
			continue
		}
		if !d.Sluice.after(r, g) {
			f.add(r, "let it depend on the group", "may be made before its group %s", g.ID)
		}
		return
	}
	f.add(r, "give it a group of the template, whose metrics are then its own", "is in the group %q, which is not of the template", name)
}

// cover notes which shard of the targets a schedule sees to. Check divides the targets by number, each into one shard, so that
// each target is swept once if each shard is.
func (d *Deployment) cover(f *findings, r *Resource, schedules int, covered map[int]*Resource) {
	in := r.text("Target", "Input")
	// A pointer, since a shard that is not said is no shard 0.
	var input struct{ Shard, Shards *int }
	decoder := json.NewDecoder(strings.NewReader(in))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&input); err != nil {
		f.add(r, `give it {} or {"shard": 0, "shards": 2}`, "its input %s: %v", in, err)
		return
	}
	if schedules == 1 {
		if input.Shard != nil || input.Shards != nil {
			f.add(r, "give it {}", "its input is %s, though there is one schedule", in)
		}
		return
	}
	switch {
	case input.Shard == nil || input.Shards == nil || *input.Shards != schedules || *input.Shard < 0 || *input.Shard >= schedules:
		f.add(r, fmt.Sprintf("give it shards: %d, and a shard below", schedules),
			"its input is %s, and there are %d schedules", in, schedules)
	case covered[*input.Shard] != nil:
		f.add(r, "give each its own shard", "sweeps shard %d, as %s does", *input.Shard, covered[*input.Shard].ID)
	default:
		covered[*input.Shard] = r
	}
}

var (
	rate = regexp.MustCompile(`^rate\((\d+) (minute|hour|day)s?\)$`)
	// Minutes alone may be other than *: a number, or START/STEP.
	cron = regexp.MustCompile(`^cron\((\d+)(?:/(\d+))? \* \* \* \? \*\)$`)
)

// startsEvery says whether the schedule starts with this time between two starts. A cron whose step does not divide the hour would
// have a shorter one at its end.
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
