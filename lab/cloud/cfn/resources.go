package cfn

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"sluice/lab/cloud"
	"sluice/lab/cloud/cfn/template"
	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/events"
	"sluice/lab/cloud/iam"
	"sluice/lab/cloud/scheduler"
	"sluice/stepfunctions"
)

// builders put a resource into the deployment, by its type.
var builders = map[string]func(*reader, resource) error{
	"AWS::SQS::Queue":                  (*reader).queue,
	"AWS::IAM::Role":                   (*reader).role,
	"AWS::IAM::Policy":                 (*reader).policy,
	"AWS::IAM::ManagedPolicy":          (*reader).policy,
	"AWS::Lambda::Function":            (*reader).function,
	"AWS::Lambda::EventInvokeConfig":   (*reader).eventInvokeConfig,
	"AWS::Events::Rule":                (*reader).rule,
	"AWS::StepFunctions::StateMachine": (*reader).machine,
	"AWS::Scheduler::Schedule":         (*reader).schedule,
	"AWS::Lambda::Permission":          (*reader).permission,
	"AWS::SQS::QueuePolicy":            (*reader).queuePolicy,
	"AWS::Logs::LogGroup":              (*reader).logGroup,
	"AWS::SNS::Topic":                  (*reader).topic,
	"AWS::SNS::TopicPolicy":            (*reader).topicPolicy,
	"AWS::Scheduler::ScheduleGroup":    (*reader).scheduleGroup,
}

// order is the order in which the types are built: what others need comes first.
var order = []string{
	"AWS::Logs::LogGroup", "AWS::SNS::Topic", "AWS::Scheduler::ScheduleGroup",
	"AWS::SQS::Queue", "AWS::IAM::Role", "AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::Lambda::Function",
	"AWS::Lambda::EventInvokeConfig", "AWS::Events::Rule", "AWS::StepFunctions::StateMachine", "AWS::Scheduler::Schedule",
	"AWS::Lambda::Permission", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy",
}

// ignored is a property that changes nothing on one machine. Its value may be of what is not here, such as another stack.
type ignored struct{}

// UnmarshalJSON satisfies json.Unmarshaler.
func (ignored) UnmarshalJSON([]byte) error { return nil }

// retryPolicy is that of a target. Without one, or a part of it, AWS's own holds.
type retryPolicy struct {
	MaximumRetryAttempts     *int
	MaximumEventAgeInSeconds *int
}

func (p retryPolicy) or(d delivery.Policy) delivery.Policy {
	if p.MaximumRetryAttempts != nil {
		d.Retries = *p.MaximumRetryAttempts
	}
	if p.MaximumEventAgeInSeconds != nil {
		d.MaxAge = time.Duration(*p.MaximumEventAgeInSeconds) * time.Second
	}
	return d
}

// named is the name in an ARN of something of the type in this template.
func (r *reader) named(kind, arn string) (string, error) {
	for _, res := range r.of(kind) {
		if own, err := r.attribute(res.ID, "Arn"); err == nil && own == arn {
			return r.names[res.ID], nil
		}
	}
	return "", fmt.Errorf("%s is no %s of this template", arn, kind)
}

// deadLetters is the name of a dead-letter queue; empty for no ARN.
func (r *reader) deadLetters(arn string) (string, error) {
	if arn == "" {
		return "", nil
	}
	name, err := r.named("AWS::SQS::Queue", arn)
	if err != nil {
		return "", fmt.Errorf("its dead-letter queue: %w", err)
	}
	return name, nil
}

func (r *reader) queue(res resource) error {
	return r.decode(res, &struct {
		MessageRetentionPeriod, SqsManagedSseEnabled, KmsMasterKeyId, KmsDataKeyReusePeriodSeconds, Tags ignored
	}{})
}

func (r *reader) logGroup(res resource) error {
	return r.decode(res, &struct {
		LogGroupName, RetentionInDays, KmsKeyId, LogGroupClass, Tags ignored
	}{})
}

func (r *reader) scheduleGroup(res resource) error {
	return r.decode(res, &struct{ Name, Tags ignored }{})
}

func (r *reader) topic(res resource) error {
	if err := r.decode(res, &struct{ TopicName, DisplayName, KmsMasterKeyId, Tags ignored }{}); err != nil {
		return err
	}
	r.deployment.Topics = append(r.deployment.Topics, r.deployment.ARN("sns", r.names[res.ID]))
	return nil
}

func (r *reader) topicPolicy(res resource) error {
	var p struct {
		PolicyDocument json.RawMessage
		Topics         []string
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	policy, err := iam.Parse(p.PolicyDocument)
	if err != nil {
		return res.errorf("%w", err)
	}
	for _, arn := range p.Topics {
		r.allow(arn, policy...)
	}
	return nil
}

func (r *reader) function(res resource) error {
	var p struct {
		Code             struct{ S3Bucket, S3Key string }
		Runtime, Handler string
		Role             string
		Environment      struct{ Variables map[string]string }
		Timeout          int
		MemorySize       int

		ReservedConcurrentExecutions *int
		DeadLetterConfig             struct{ TargetArn string }
		LoggingConfig                struct {
			LogFormat string
			LogGroup  string
		}
		Architectures, TracingConfig, VpcConfig, Description, Tags ignored
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	if p.Runtime != "provided.al2023" || p.Handler != "bootstrap" {
		return res.errorf("runtime %q with handler %q: only provided.al2023 with bootstrap can be run here", p.Runtime, p.Handler)
	}
	f := cloud.Function{
		Name: r.names[res.ID], Env: p.Environment.Variables, MemoryMB: cmp.Or(p.MemorySize, 128), LogFormat: cmp.Or(p.LoggingConfig.LogFormat, "Text"),
		LogGroup: cmp.Or(p.LoggingConfig.LogGroup, cloud.LogGroupOf(r.names[res.ID])),
		Timeout:  time.Duration(cmp.Or(p.Timeout, 3)) * time.Second, Retry: delivery.Policy{Retries: 2, MaxAge: 6 * time.Hour},
	}
	if reserved := p.ReservedConcurrentExecutions; reserved != nil {
		if *reserved == 0 {
			return res.errorf("ReservedConcurrentExecutions is 0: it would never run")
		}
		f.Reserved = *reserved
	}
	var noCode, noQueue error
	f.Code, noCode = r.codeOf(p.Code.S3Key)
	f.DeadLetters, noQueue = r.deadLetters(p.DeadLetterConfig.TargetArn)
	if err := errors.Join(noCode, noQueue, r.take(p.Role, r.deployment.ARN("lambda", "function:"+f.Name), "lambda.amazonaws.com")); err != nil {
		return res.errorf("%w", err)
	}
	r.deployment.Functions = append(r.deployment.Functions, f)
	return nil
}

// functionNamed is the deployment's function with this name or ARN.
func (r *reader) functionNamed(ref string) (*cloud.Function, error) {
	for i := range r.deployment.Functions {
		f := &r.deployment.Functions[i]
		if ref == f.Name || ref == r.deployment.ARN("lambda", "function:"+f.Name) {
			return f, nil
		}
	}
	return nil, fmt.Errorf("%s is no function of this template", ref)
}

func (r *reader) eventInvokeConfig(res resource) error {
	var p struct {
		FunctionName, Qualifier string
		retryPolicy
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	if p.Qualifier != "$LATEST" {
		return res.errorf("qualifier %q: only $LATEST is run here", p.Qualifier)
	}
	f, err := r.functionNamed(p.FunctionName)
	if err != nil {
		return res.errorf("%w", err)
	}
	f.Retry = p.or(f.Retry)
	return nil
}

// busOf is the bus of a rule.
func (r *reader) busOf(res resource) (string, error) {
	bus, err := r.resolve(template.Within(res.Properties, "EventBusName"))
	if err != nil || bus == nil {
		return events.DefaultBus, err
	}
	return events.BusName(fmt.Sprint(bus)), nil
}

func (r *reader) ruleARN(res resource) (any, error) {
	bus, err := r.busOf(res)
	if bus != events.DefaultBus {
		bus += "/"
	} else {
		bus = ""
	}
	return r.deployment.ARN("events", "rule/"+bus+r.names[res.ID]), err
}

func (r *reader) rule(res resource) error {
	var p struct {
		EventPattern json.RawMessage
		EventBusName ignored
		State        string
		Targets      []struct {
			Arn, Id          string
			DeadLetterConfig struct{ Arn string }
			RetryPolicy      retryPolicy
		}
		Description, Tags ignored
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	if len(p.Targets) != 1 {
		return res.errorf("it has %d targets: the local cloud runs just one", len(p.Targets))
	}
	if p.State != "ENABLED" && p.State != "" {
		return res.errorf("its state is %s: nothing would be run", p.State)
	}
	if _, err := events.ParsePattern(p.EventPattern); err != nil {
		return res.errorf("%w", err)
	}
	target := p.Targets[0]
	bus, noBus := r.busOf(res)
	function, noFunction := r.named("AWS::Lambda::Function", target.Arn)
	queue, noQueue := r.deadLetters(target.DeadLetterConfig.Arn)
	if err := errors.Join(noBus, noFunction, noQueue); err != nil {
		return res.errorf("%w", err)
	}
	r.deployment.Rule = cloud.Rule{
		Name: r.names[res.ID], Bus: bus, Pattern: string(p.EventPattern), Target: function,
		Retry: target.RetryPolicy.or(delivery.Default), DeadLetters: queue,
	}
	return nil
}

func (r *reader) machine(res resource) error {
	var p struct {
		DefinitionString        string
		DefinitionSubstitutions map[string]string
		RoleArn                 string
		StateMachineType        string

		LoggingConfiguration, TracingConfiguration, Tags ignored
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	if p.StateMachineType != "STANDARD" && p.StateMachineType != "" {
		return res.errorf("type %s: only STANDARD can be run here", p.StateMachineType)
	}
	definition, err := stepfunctions.Substitute(p.DefinitionString, p.DefinitionSubstitutions)
	if err != nil {
		return res.errorf("%w", err)
	}
	if r.deployment.Machine, err = cloud.NewMachine(r.names[res.ID], definition); err != nil {
		return res.errorf("%w", err)
	}
	if err := r.take(p.RoleArn, r.deployment.ARN("states", "stateMachine:"+r.names[res.ID]), "states.amazonaws.com"); err != nil {
		return res.errorf("%w", err)
	}
	return nil
}

func (r *reader) schedule(res resource) error {
	var p struct {
		ScheduleExpression         string
		ScheduleExpressionTimezone string
		FlexibleTimeWindow         struct{ Mode string }
		State                      string
		GroupName                  ignored
		Target                     struct {
			Arn, RoleArn, Input string
			DeadLetterConfig    struct{ Arn string }
			RetryPolicy         retryPolicy
		}
		Description ignored
	}
	if err := r.decode(res, &p); err != nil {
		return err
	}
	if p.FlexibleTimeWindow.Mode != "OFF" {
		return res.errorf("FlexibleTimeWindow %s: only OFF can be run here", p.FlexibleTimeWindow.Mode)
	}
	if zone := p.ScheduleExpressionTimezone; zone != "" && zone != "Etc/UTC" && zone != "UTC" {
		return res.errorf("ScheduleExpressionTimezone %s: only UTC can be run here", zone)
	}
	if p.State != "ENABLED" && p.State != "" {
		return res.errorf("its state is %s: nothing would be run", p.State)
	}
	s := cloud.Schedule{Name: r.names[res.ID], Input: cmp.Or(p.Target.Input, "{}"), Retry: p.Target.RetryPolicy.or(delivery.Default)}
	if !json.Valid([]byte(s.Input)) {
		return res.errorf("its input %q is no JSON", s.Input)
	}
	var noTiming, noQueue error
	s.Timing, noTiming = scheduler.Parse(p.ScheduleExpression)
	s.DeadLetters, noQueue = r.deadLetters(p.Target.DeadLetterConfig.Arn)
	var noTarget error
	if s.Function, noTarget = r.named("AWS::Lambda::Function", p.Target.Arn); noTarget != nil {
		_, noTarget = r.named("AWS::StepFunctions::StateMachine", p.Target.Arn)
	}
	noRole := r.take(p.Target.RoleArn, r.deployment.ARN("scheduler", "schedule/"+cloud.ScheduleGroup+"/"+s.Name), "scheduler.amazonaws.com")
	if err := errors.Join(noTiming, noQueue, noTarget, noRole); err != nil {
		return res.errorf("%w", err)
	}
	r.deployment.Schedules = append(r.deployment.Schedules, s)
	return nil
}
