// Package cfn reads a CloudFormation template as the CDK synthesizes it, and returns what it deploys, for the local cloud to run.
//
// So what is tried out on a laptop is what deploys: the rule's pattern, target and retries, the schedules, the state machine,
// the functions' code folder, environment, time-outs, concurrency, retries and dead-letter queues, and who may do what. A
// resource that plays no part at run time, such as an alarm, is named as not run. Anything else that is not understood, down to
// a single property, is refused by name rather than ignored: to run a part of a template would prove nothing about it.
//
// The names that CloudFormation would make up are chosen by what a thing is for: the functions' by their tag sluice:function.
package cfn

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"sluice/internal/config"
	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn/template"
)

// Template is a template that was read.
type Template struct {
	Path       string
	Deployment cloud.Deployment
	// NotRun are the resources that play no part at run time: how many there are of each type.
	NotRun map[string]int

	sweepEvery time.Duration // What replaces the schedules' own time here; 0 if nothing does.
}

// Read reads the template at path, beside which its assets have to be. It belongs to the configuration c: the functions have to
// carry the same. The region counts where the configuration has none: see cloud.In.
func Read(path string, c *config.Config, region string) (*Template, error) {
	t, err := read(path, c, region)
	if err != nil {
		return nil, fmt.Errorf("read template %s: %w", path, err)
	}
	return t, nil
}

// resource is one of the template's resources.
type resource struct{ template.Resource }

func (r resource) errorf(format string, args ...any) error {
	return fmt.Errorf("resource %s (%s): %w", r.ID, r.Type, fmt.Errorf(format, args...))
}

// notRun begin the types of resources that play no part at run time, or none on one machine: what watches, the network.
var notRun = []string{
	"AWS::CDK::Metadata", "AWS::CloudWatch::", "AWS::Logs::MetricFilter", "AWS::Logs::QueryDefinition", "AWS::SNS::Subscription", "AWS::EC2::",
}

// reader collects what the template deploys.
type reader struct {
	dir        string // Of the template.
	config     *config.Config
	deployment cloud.Deployment
	parameters map[string]any // By name, where they have a default.
	outputs    map[string]any
	resources  []resource // In the order of the file, which is that in which the CDK app made them.
	byID       map[string]resource
	names      map[string]string    // The names that we choose, by logical id.
	roles      map[string]*heldRole // By their ARNs.
	template   *Template
}

func read(path string, c *config.Config, region string) (*Template, error) {
	text, err := os.ReadFile(path)
	if e := new(os.PathError); errors.As(err, &e) {
		return nil, e.Err // The path is named already.
	}
	if err != nil {
		return nil, err
	}
	r := &reader{
		dir: filepath.Dir(path), config: c, byID: map[string]resource{},
		names: map[string]string{}, roles: map[string]*heldRole{}, template: &Template{Path: path, sweepEvery: c.Local.SweepEvery.Std(), NotRun: map[string]int{}},
		deployment: cloud.In(c, region),
	}
	r.deployment.Access = &cloud.Access{}
	if err := r.parse(text); err != nil {
		return nil, err
	}
	if err := r.choose(); err != nil {
		return nil, err
	}
	if err := r.build(); err != nil {
		return nil, err
	}
	r.template.Deployment = r.deployment
	return r.template, nil
}

// parse reads the file: its resources, and the defaults of its parameters.
func (r *reader) parse(text []byte) error {
	file, err := template.Parse(text)
	if err != nil {
		return err
	}
	if file.Transform != nil {
		return errors.New("its Transform cannot be run here")
	}
	r.deployment.Template, r.parameters, r.outputs = string(text), file.Parameters, file.Outputs
	for _, parsed := range file.Resources {
		res := resource{*parsed}
		r.byID[res.ID] = res
		switch {
		case r.isNotRun(res.ID):
			r.template.NotRun[res.Type]++
		case builders[res.Type] == nil:
			return res.errorf("the local cloud does not know this type")
		case res.Condition != "":
			return res.errorf("Condition: it is not known here whether it is made")
		default:
			r.resources = append(r.resources, res)
		}
	}
	return nil
}

// of returns the resources of a type.
func (r *reader) of(kind string) []resource {
	return slices.DeleteFunc(slices.Clone(r.resources), func(res resource) bool { return res.Type != kind })
}

// choose chooses the names that CloudFormation would make up.
func (r *reader) choose() error {
	// A queue is named after what gives its dead letters to it.
	queue := func(res resource, name string, path ...any) {
		attribute, _ := template.Within(res.Properties, append(path, "Fn::GetAtt", 0)...).(string)
		if r.byID[attribute].Type == "AWS::SQS::Queue" && r.names[attribute] == "" {
			r.names[attribute] = cloud.DeadLettersOf(name)
		}
	}
	for _, res := range r.of("AWS::Lambda::Function") {
		tags, _ := template.Within(res.Properties, "Tags").([]any)
		for _, tag := range tags {
			if template.Within(tag, "Key") == "sluice:function" {
				r.names[res.ID], _ = template.Within(tag, "Value").(string)
			}
		}
		if r.names[res.ID] == "" {
			return res.errorf("it has no tag sluice:function, which says what it does")
		}
		queue(res, r.names[res.ID], "DeadLetterConfig", "TargetArn")
		if group, _ := template.Within(res.Properties, "LoggingConfig", "LogGroup", "Ref").(string); r.byID[group].Type == "AWS::Logs::LogGroup" {
			r.names[group] = cloud.LogGroupOf(r.names[res.ID])
		}
	}
	var sweeps []resource
	for _, res := range r.of("AWS::Scheduler::Schedule") {
		queue(res, cloud.Sweep, "Target", "DeadLetterConfig", "Arn")
		if target, _ := template.Within(res.Properties, "Target", "Arn", "Fn::GetAtt", 0).(string); r.byID[target].Type == "AWS::Lambda::Function" {
			r.names[res.ID] = cloud.ScheduleOfNotify
		} else {
			sweeps = append(sweeps, res)
		}
	}
	for i, name := range cloud.ScheduleNames(len(sweeps)) {
		r.names[sweeps[i].ID] = name
	}
	for _, only := range [][2]string{{"AWS::Events::Rule", cloud.RuleName}, {"AWS::StepFunctions::StateMachine", cloud.StateMachine}} {
		kind, name := only[0], only[1]
		list := r.of(kind)
		if len(list) != 1 {
			return fmt.Errorf("it has %d resources of the type %s: the local cloud runs just one", len(list), kind)
		}
		r.names[list[0].ID] = name
	}
	groups := r.of("AWS::Scheduler::ScheduleGroup")
	if len(groups) > 1 {
		return fmt.Errorf("it has %d schedule groups: the local cloud runs one at most", len(groups))
	}
	for _, res := range groups {
		r.names[res.ID] = cloud.ScheduleGroup
	}
	if err := r.chooseTopics(); err != nil {
		return err
	}
	rule := r.of("AWS::Events::Rule")[0]
	queue(rule, cloud.RuleName, "Targets", 0, "DeadLetterConfig", "Arn")
	for _, res := range slices.Concat(r.of("AWS::SQS::Queue"), r.of("AWS::IAM::Role"), r.of("AWS::Logs::LogGroup")) {
		r.names[res.ID] = cmp.Or(r.names[res.ID], res.ID)
	}
	return nil
}

// chooseTopics names the topics: after the output that shows them.
func (r *reader) chooseTopics() error {
	for _, only := range [][2]string{{"AlarmTopic", cloud.AlarmTopic}, {"NotifyTopic", cloud.NotifyTopic}} {
		id, _ := template.Within(r.outputs[only[0]], "Ref").(string)
		if r.byID[id].Type == "AWS::SNS::Topic" && r.names[id] == "" {
			r.names[id] = only[1]
		}
	}
	for _, res := range r.of("AWS::SNS::Topic") {
		if r.names[res.ID] == "" {
			return res.errorf("no output says what it is for: AlarmTopic or NotifyTopic")
		}
	}
	return nil
}

// build makes the deployment out of the resources. Those that others refer to come first.
func (r *reader) build() error {
	for _, kind := range order {
		for _, res := range r.of(kind) {
			if err := builders[kind](r, res); err != nil {
				return err
			}
		}
	}
	if !slices.ContainsFunc(r.deployment.Schedules, func(s cloud.Schedule) bool { return s.Function == "" }) {
		return errors.New("it has no AWS::Scheduler::Schedule: nothing would start a sweep")
	}
	if err := r.describeOutputs(); err != nil {
		return err
	}
	// As BuiltIn has them.
	rank := map[string]int{cloud.ScaleOut: 0, cloud.Check: 1, cloud.ScaleIn: 2, cloud.Notify: 3}
	slices.SortFunc(r.deployment.Functions, func(a, b cloud.Function) int { return rank[a.Name] - rank[b.Name] })
	slices.SortStableFunc(r.deployment.Schedules, func(a, b cloud.Schedule) int { return cmp.Compare(a.Function, b.Function) })
	return nil
}

// describeOutputs takes over the outputs, less those that are about what is not run, or about another stack.
func (r *reader) describeOutputs() error {
	r.deployment.Outputs = map[string]string{}
	for name, value := range r.outputs {
		if id, _ := template.Within(value, "Ref").(string); r.isNotRun(id) || template.Within(value, "Fn::GetStackOutput") != nil {
			continue
		}
		if id, _ := template.Within(value, "Fn::GetAtt", 0).(string); r.isNotRun(id) {
			continue
		}
		text, err := r.resolve(value)
		if err != nil {
			return fmt.Errorf("output %s: %w", name, err)
		}
		for _, group := range r.of("AWS::Scheduler::ScheduleGroup") {
			if text == template.Within(group.Properties, "Name") {
				text = r.names[group.ID] // The CDK has made the name up already, by a hash.
			}
		}
		r.deployment.Outputs[name] = fmt.Sprint(text)
	}
	return nil
}

// isNotRun says whether a resource plays no part at run time.
func (r *reader) isNotRun(id string) bool {
	return slices.ContainsFunc(notRun, func(prefix string) bool { return strings.HasPrefix(r.byID[id].Type, prefix) })
}

var unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)

// decode resolves the intrinsic functions in the properties of a resource, less those that are ignored, and decodes them into a
// struct that has every property that is understood.
func (r *reader) decode(res resource, into any) error {
	properties, _ := res.Properties.(map[string]any)
	properties = maps.Clone(properties)
	for _, field := range reflect.VisibleFields(reflect.TypeOf(into).Elem()) {
		if _, ok := properties[field.Name]; ok && field.Type == reflect.TypeFor[ignored]() {
			properties[field.Name] = nil
		}
	}
	value, err := r.resolve(properties)
	template.Walk(value, "", func(path, text string) {
		if strings.Contains(text, "{{resolve:") && err == nil {
			err = fmt.Errorf("%s: the dynamic reference %s cannot be resolved here", path, text)
		}
	})
	if err != nil {
		return res.errorf("%w", err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		return res.errorf("%w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
			return res.errorf("the local cloud does not know its property %s", m[1])
		}
		return res.errorf("%w", err)
	}
	return nil
}
