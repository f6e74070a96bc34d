package cfn

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"sluice/lab/cloud/events"
)

// resolve replaces the intrinsic functions in a value by what they come to here.
// See https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html.
func (r *reader) resolve(value any) (any, error) {
	switch v := value.(type) {
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if name == "Ref" || strings.HasPrefix(name, "Fn::") {
					return r.call(name, argument)
				}
			}
		}
		out := make(map[string]any, len(v))
		for key, item := range v {
			resolved, err := r.resolve(item)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			if resolved != absent {
				out[key] = resolved
			}
		}
		return out, nil
	case []any:
		out := make([]any, 0, len(v))
		for _, item := range v {
			resolved, err := r.resolve(item)
			if err != nil {
				return nil, err
			}
			if resolved != absent {
				out = append(out, resolved)
			}
		}
		return out, nil
	case string:
		if strings.Contains(v, "{{resolve:") {
			return nil, fmt.Errorf("the dynamic reference %s cannot be resolved here", v)
		}
	}
	return value, nil
}

// absent is the value of AWS::NoValue: the property is as if it were not there.
var absent any = new(struct{ _ byte })

// call evaluates an intrinsic function.
func (r *reader) call(name string, argument any) (any, error) {
	switch name {
	case "Ref":
		id, ok := argument.(string)
		if !ok {
			return nil, errors.New("the argument of Ref is no text")
		}
		return r.ref(id)
	case "Fn::GetAtt":
		list, _ := argument.([]any)
		if text, ok := argument.(string); ok {
			id, attribute, _ := strings.Cut(text, ".")
			list = []any{id, attribute}
		}
		if len(list) != 2 {
			return nil, errors.New("Fn::GetAtt: its argument is no pair")
		}
		return r.attribute(fmt.Sprint(list[0]), fmt.Sprint(list[1]))
	case "Fn::Sub":
		return r.sub(argument)
	case "Fn::Join":
		separator, list, err := r.textAndList(argument)
		return strings.Join(list, separator), err
	case "Fn::Split":
		return r.split(argument)
	case "Fn::Select":
		return r.pick(argument)
	}
	return nil, fmt.Errorf("the local cloud does not know %s", name)
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
		return absent, nil
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

// placeholder is ${Name}, ${Name.Attribute} or ${!Literal}.
var placeholder = regexp.MustCompile(`\$\{(!?)([^{}]*)\}`)

// sub fills in a text, given alone or in a pair with values for some of its placeholders.
func (r *reader) sub(argument any) (any, error) {
	text, ok := argument.(string)
	values := map[string]any{}
	if list, isList := argument.([]any); isList && len(list) == 2 {
		text, ok = list[0].(string)
		values, _ = list[1].(map[string]any)
	}
	if !ok {
		return nil, errors.New("Fn::Sub: its argument is neither a text nor a text and values")
	}
	var failed error
	filled := placeholder.ReplaceAllStringFunc(text, func(p string) string {
		m := placeholder.FindStringSubmatch(p)
		name := strings.TrimSpace(m[2])
		if m[1] == "!" {
			return "${" + name + "}"
		}
		given, isGiven := values[name]
		id, attribute, isAttribute := strings.Cut(name, ".")
		var value any
		var err error
		switch {
		case isGiven:
			value, err = r.resolve(given)
		case isAttribute:
			value, err = r.attribute(id, attribute)
		default:
			value, err = r.ref(name)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("Fn::Sub: %w", err))
		}
		return fmt.Sprint(value)
	})
	return filled, failed
}

// textAndList reads the arguments of Fn::Join: a text, and a list of texts.
func (r *reader) textAndList(argument any) (string, []string, error) {
	value, err := r.resolve(argument)
	if err != nil {
		return "", nil, err
	}
	pair, _ := value.([]any)
	if len(pair) != 2 {
		return "", nil, errors.New("Fn::Join: its argument is no pair")
	}
	text, ok := pair[0].(string)
	items, isList := pair[1].([]any)
	if !ok || !isList {
		return "", nil, errors.New("Fn::Join: its argument is not a text and a list")
	}
	var list []string
	for _, item := range items {
		switch item.(type) {
		case string, json.Number, bool:
			list = append(list, fmt.Sprint(item))
		default:
			return "", nil, errors.New("Fn::Join: one of its values is no text")
		}
	}
	return text, list, nil
}

func (r *reader) split(argument any) (any, error) {
	value, err := r.resolve(argument)
	if err != nil {
		return nil, err
	}
	separator, ok := within(value, 0).(string)
	text, isText := within(value, 1).(string)
	if !ok || !isText {
		return nil, errors.New("Fn::Split: its argument is not a separator and a text")
	}
	var list []any
	for _, part := range strings.Split(text, separator) {
		list = append(list, part)
	}
	return list, nil
}

func (r *reader) pick(argument any) (any, error) {
	value, err := r.resolve(argument)
	if err != nil {
		return nil, err
	}
	var index int
	if _, err := fmt.Sscan(fmt.Sprint(within(value, 0)), &index); err != nil {
		return nil, errors.New("Fn::Select: its index is no number")
	}
	item := within(value, 1, index)
	if item == nil {
		return nil, fmt.Errorf("Fn::Select: there is no item %d", index)
	}
	return item, nil
}
