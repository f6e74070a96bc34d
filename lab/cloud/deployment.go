package cloud

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/events"
	"sluice/lab/cloud/iam"
	"sluice/lab/cloud/scheduler"
	"sluice/stepfunctions"
)

// Deployment is what is deployed, as far as it plays a part at run time. BuiltIn makes one of a sluice.yaml, and package cfn reads
// one out of the template that deploys it. The tests hold the two to be equal, so that what runs here is what deploys.
type Deployment struct {
	Region, Account string
	Functions       []Function // ScaleOut, Check and ScaleIn, and Notify if there is one.
	Rule            Rule
	Machine         Machine
	Schedules       []Schedule
	Topics          []string          // The ARNs of the SNS topics.
	Outputs         map[string]string // What the stack says of itself, for other programs to find.
	Template        string            // That it was read from; empty if it is built in.
	// Access says who may do what; nil lets everybody do everything.
	Access *Access
}

// Function is one of the functions.
type Function struct {
	Name string // ScaleOut, Check or ScaleIn: on AWS it has another name, which CloudFormation makes.
	// Code is the folder of its deployed code, with sluice.yaml in it. Where there is none, the function reads Options.ConfigPath.
	Code        string
	Env         map[string]string
	Timeout     time.Duration
	MemoryMB    int
	Reserved    int  // Reserved concurrency; 0 means none is reserved.
	Stopped     bool // Its reserved concurrency is zero: nobody can call it.
	LogFormat   string
	LogGroup    string
	Retry       delivery.Policy // Of events that it fails on.
	DeadLetters string          // The name of its dead-letter queue; empty if it has none.
}

// Rule sends events to a function.
type Rule struct {
	Name, Bus   string
	Pattern     string // JSON.
	Target      string // The name of the function.
	Retry       delivery.Policy
	DeadLetters string
	Disabled    bool
}

// Machine is the state machine.
type Machine struct {
	Name       string
	Definition string // JSON without spaces, with the ARNs of the functions in it.
}

// Schedule starts the state machine, or calls a function.
type Schedule struct {
	Name        string
	Function    string // The function's name; empty if it starts the state machine.
	Timing      scheduler.Timing
	Input       string // JSON, in which scheduledTime stands for the time of the call.
	Retry       delivery.Policy
	DeadLetters string
	Disabled    bool
}

// scheduledTime is replaced in the input of a schedule.
const scheduledTime = "<aws.scheduler.scheduled-time>"

// Access is who may do what, as policies of roles and of resources say it.
type Access struct {
	// Roles are the policies of the roles of functions, of the state machine and of schedules, by their ARNs.
	Roles map[string]iam.Policy
	// Resources are the policies of functions and queues, by their ARNs.
	Resources map[string]iam.Policy
}

// The names that are ours to choose, as on AWS they are CloudFormation's. The functions' bootstraps are in folders of their names.
const (
	ScaleOut     = "scaleout"
	Check        = "check"
	ScaleIn      = "scalein"
	Notify       = "notify"
	RuleName     = "scale-out"
	StateMachine = "sluice-sweep"
	Sweep        = "sweep" // The schedule; where there are several they are sweep-1, sweep-2 and so on.
	// ScheduleGroup is the group of the schedules.
	ScheduleGroup    = "sluice"
	ScheduleOfNotify = "digest"
	AlarmTopic       = "sluice-alarms"
	NotifyTopic      = "sluice-digest"
)

// LogGroupOf is the name of the log group of a function.
func LogGroupOf(function string) string { return "/aws/lambda/" + function }

// Account is the account that everything belongs to, unless the deployment says another.
const Account = "000000000000"

// In is a deployment with nothing in it yet but the topics that exist already, where `deploy.region` and `deploy.account` say; else in
// the Region, or us-east-1 if that is empty, and in Account.
func In(c *config.Config, region string) Deployment {
	d := Deployment{Region: cmp.Or(c.Deploy.Region, region, "us-east-1"), Account: cmp.Or(c.Deploy.Account, Account)}
	if c.Deploy.Alarms.Topic != "" {
		d.Topics = append(d.Topics, c.Deploy.Alarms.Topic)
	}
	if n := c.Deploy.Notify; n != nil && n.Topic != "" {
		d.Topics = append(d.Topics, n.Topic)
	}
	return d
}

// DeadLettersOf is the name of the dead-letter queue of what has that name.
func DeadLettersOf(name string) string { return name + "-dead-letters" }

// ScheduleNames are the names of n schedules.
func ScheduleNames(n int) []string {
	if n == 1 {
		return []string{Sweep}
	}
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("%s-%d", Sweep, i+1)
	}
	return names
}

// ARN is the ARN of something that belongs to the deployment, such as ("lambda", "function:check").
func (d Deployment) ARN(service, resource string) string {
	return strings.Join([]string{"arn", "aws", service, d.Region, d.Account, resource}, ":")
}

// The ARNs of what is in a deployment, by name.
func (d Deployment) functionARN(name string) string { return d.ARN("lambda", "function:"+name) }
func (d Deployment) topicARN(name string) string    { return d.ARN("sns", name) }
func (d Deployment) queueARN(name string) string    { return d.ARN("sqs", name) }
func (d Deployment) machineARN() string             { return d.ARN("states", "stateMachine:"+d.Machine.Name) }

func (d Deployment) scheduleARN(s Schedule) string {
	return d.ARN("scheduler", "schedule/"+ScheduleGroup+"/"+s.Name)
}

func (d Deployment) ruleARN() string {
	if bus := events.BusName(d.Rule.Bus); bus != events.DefaultBus {
		return d.ARN("events", "rule/"+bus+"/"+d.Rule.Name)
	}
	return d.ARN("events", "rule/"+d.Rule.Name)
}

// BuiltIn is what the CDK app in infra/ deploys for the configuration, less the permissions: with it, everybody may do everything.
// Where it is: see In.
func BuiltIn(c *config.Config, region string) (Deployment, error) {
	d := In(c, region)
	function := func(name string, timeout time.Duration, memory int, retry delivery.Policy) Function {
		return Function{
			Name: name, Timeout: timeout, MemoryMB: memory, LogFormat: "JSON", LogGroup: LogGroupOf(name), Retry: retry,
			DeadLetters: DeadLettersOf(name),
		}
	}
	d.Functions = []Function{
		function(ScaleOut, 30*time.Second, 512, delivery.Policy{Retries: 2, MaxAge: 15 * time.Minute}),
		function(Check, time.Minute, 512, delivery.Policy{MaxAge: 6 * time.Hour}),
		function(ScaleIn, 2*time.Minute, 256, delivery.Policy{MaxAge: 6 * time.Hour}),
	}
	// Two at once could overwrite each other's count: ECS has no compare-and-set.
	d.Functions[0].Reserved = 1

	pattern, err := json.Marshal(map[string][]string{"source": {c.Events.Source}, "detail-type": {c.Events.DetailType}})
	if err != nil {
		return Deployment{}, fmt.Errorf("make rule %s: %w", RuleName, err)
	}
	d.Rule = Rule{
		Name: RuleName, Bus: events.BusName(c.Events.Bus), Pattern: string(pattern), Target: ScaleOut,
		Retry: delivery.Policy{Retries: 20, MaxAge: 15 * time.Minute}, DeadLetters: DeadLettersOf(RuleName),
	}

	definition, err := stepfunctions.Substitute(stepfunctions.ScaleIn, map[string]string{
		stepfunctions.ScaleOutFunctionArn: d.functionARN(ScaleOut),
		stepfunctions.CheckFunctionArn:    d.functionARN(Check),
		stepfunctions.ScaleInFunctionArn:  d.functionARN(ScaleIn),
	})
	if err != nil {
		return Deployment{}, fmt.Errorf("make the state machine: %w", err)
	}
	if d.Machine, err = NewMachine(StateMachine, definition); err != nil {
		return Deployment{}, err
	}
	d.Schedules = schedules(c)
	alarms := c.Deploy.Alarms.Topic
	if alarms == "" {
		alarms = d.topicARN(AlarmTopic)
		d.Topics = append(d.Topics, alarms)
	}
	digests := ""
	if c.Deploy.Notify != nil {
		digests = d.notify(c, alarms)
	}
	if c.Metrics.Level != config.MetricsOff {
		for i := range d.Functions[:3] {
			d.Functions[i].Env = map[string]string{"SLUICE_METRICS_NAMESPACE": "Sluice/" + c.Deploy.Stack + "/Sluice"}
		}
	}
	d.Outputs = d.outputsOf(alarms, digests)
	return d, nil
}

// NewMachine is the state machine with this definition, in which the placeholders are filled in.
func NewMachine(name string, definition []byte) (Machine, error) {
	var short bytes.Buffer
	if err := json.Compact(&short, definition); err != nil {
		return Machine{}, fmt.Errorf("make state machine %s: %w", name, err)
	}
	return Machine{Name: name, Definition: short.String()}, nil
}

// schedules are one over all targets, or several over a part each. Those start one after the other, spread over the time between
// two sweeps, where that divides an hour: a cron expression can say it then.
func schedules(c *config.Config) []Schedule {
	every, n := c.Sweep.Every.Std(), c.Schedules()
	list := make([]Schedule, n)
	for i, name := range ScheduleNames(n) {
		s := Schedule{
			Name: name, Timing: scheduler.Timing{Every: every}, Input: "{}",
			Retry: delivery.Policy{Retries: 10, MaxAge: every}, DeadLetters: DeadLettersOf(Sweep),
		}
		if n > 1 {
			s.Input = fmt.Sprintf(`{"shard":%d,"shards":%d}`, i, n)
			if time.Hour%every == 0 {
				s.Timing.Clock = true
				s.Timing.Offset = (time.Duration(i) * every / time.Duration(n)).Truncate(time.Minute)
			}
		}
		list[i] = s
	}
	return list
}

// check refuses a deployment that cannot run here.
func (d Deployment) check() error {
	names := map[string]bool{}
	for _, f := range d.Functions {
		names[f.Name] = true
	}
	for _, name := range []string{ScaleOut, Check, ScaleIn} {
		if others := len(d.Functions) - 3; !names[name] || others > 1 || others == 1 && !names[Notify] {
			return fmt.Errorf("run the deployment: it has to have the functions %s, %s and %s and no others, but for %s",
				ScaleOut, Check, ScaleIn, Notify)
		}
	}
	for _, s := range d.Schedules {
		if s.Function != "" && !names[s.Function] {
			return fmt.Errorf("run the deployment: schedule %s calls %q, which is none of its functions", s.Name, s.Function)
		}
	}
	if !names[d.Rule.Target] {
		return fmt.Errorf("run the deployment: rule %s has the target %q, which is none of its functions", d.Rule.Name, d.Rule.Target)
	}
	return nil
}

// Queues are the names of all dead-letter queues.
func (d Deployment) Queues() []string {
	names := []string{d.Rule.DeadLetters}
	for _, f := range d.Functions {
		names = append(names, f.DeadLetters)
	}
	for _, s := range d.Schedules {
		names = append(names, s.DeadLetters)
	}
	slices.Sort(names)
	return slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
}

// bootstrap is the binary that stands for the function's, which is for another processor.
func bootstrap(lambdas, name string) string { return filepath.Join(lambdas, name, "bootstrap") }
