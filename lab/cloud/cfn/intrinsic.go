package cfn

import (
	"fmt"

	"sluice/lab/cloud/cfn/template"
	"sluice/lab/cloud/events"
)

// resolve replaces the intrinsic functions in a value by what they come to here.
func (r *reader) resolve(value any) (any, error) {
	return template.Resolve(value, scope{r})
}

// scope says what the names of the template stand for here.
type scope struct{ *reader }

// Ref satisfies template.Scope, as the other two do.
func (s scope) Ref(id string) (any, error) { return s.ref(id) }

func (s scope) Attribute(id, attribute string) (any, error) { return s.attribute(id, attribute) }

func (scope) Call(name string, argument any) (any, error) {
	if name != "Fn::Split" && name != "Fn::Select" {
		return nil, fmt.Errorf("the local cloud does not know %s", name)
	}
	return template.Select(name, argument)
}

// ref is a pseudo parameter, a parameter, or what Ref gives of a resource.
func (r *reader) ref(id string) (any, error) {
	switch id {
	case "AWS::Region":
		return r.deployment.Region, nil
	case "AWS::AccountId":
		return r.deployment.Account, nil
	case "AWS::Partition":
		return "aws", nil
	case "AWS::URLSuffix":
		return "amazonaws.com", nil
	case "AWS::StackName":
		return r.config.Deploy.Stack, nil
	case "AWS::NoValue":
		return template.NoValue, nil
	}
	if value, ok := r.parameters[id]; ok {
		if value == nil {
			return nil, fmt.Errorf("parameter %s has no default", id)
		}
		return value, nil
	}
	res, ok := r.byID[id]
	if !ok {
		return nil, fmt.Errorf("there is no %s in the template", id)
	}
	switch res.Type {
	case "AWS::StepFunctions::StateMachine":
		return r.attribute(id, "Arn")
	case "AWS::SQS::Queue":
		return r.deployment.QueueURL(r.names[id]), nil
	case "AWS::SNS::Topic":
		return r.deployment.ARN("sns", r.names[id]), nil
	case "AWS::Events::Rule":
		if bus, err := r.busOf(res); err != nil || bus != events.DefaultBus {
			return bus + "|" + r.names[id], err // As CloudFormation does, though its documentation does not say so.
		}
	}
	if name := r.names[id]; name != "" {
		return name, nil
	}
	return "not-run-" + id, nil
}

// attribute is what Fn::GetAtt gives of a resource. What is not run has attributes that are like nothing that is.
func (r *reader) attribute(id, attribute string) (any, error) {
	res, ok := r.byID[id]
	name := r.names[id]
	switch {
	case !ok:
		return nil, fmt.Errorf("Fn::GetAtt: there is no %s in the template", id)
	case name == "":
		return r.deployment.ARN("not-run", id+"/"+attribute), nil
	case attribute == "Arn":
		switch res.Type {
		case "AWS::Lambda::Function":
			return r.deployment.ARN("lambda", "function:"+name), nil
		case "AWS::SQS::Queue":
			return r.deployment.ARN("sqs", name), nil
		case "AWS::StepFunctions::StateMachine":
			return r.deployment.ARN("states", "stateMachine:"+name), nil
		case "AWS::IAM::Role":
			return "arn:aws:iam::" + r.deployment.Account + ":role/" + name, nil
		case "AWS::Events::Rule":
			return r.ruleARN(res)
		case "AWS::Logs::LogGroup":
			return r.deployment.ARN("logs", "log-group:"+name+":*"), nil
		case "AWS::SNS::Topic":
			return r.deployment.ARN("sns", name), nil
		case "AWS::Scheduler::ScheduleGroup":
			return r.deployment.ARN("scheduler", "schedule-group/"+name), nil
		}
	case attribute == "QueueName" && res.Type == "AWS::SQS::Queue", attribute == "Name" && res.Type == "AWS::StepFunctions::StateMachine":
		return name, nil
	}
	return nil, fmt.Errorf("Fn::GetAtt: the local cloud does not know the attribute %s of %s (%s)", attribute, id, res.Type)
}
