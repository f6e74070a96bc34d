package cloud

import (
	"fmt"

	"sluice/lab/cloud/iam"
)

// caller is who makes a call: a role, or a service of AWS in its own name.
type caller struct {
	name    string // For messages.
	role    string // The ARN of what has the role; empty for a service.
	service string // Such as events.amazonaws.com.
	source  string // The ARN of what the service does it for.
}

// The callers in a deployment.
func (d Deployment) functionCaller(name string) caller {
	return caller{name: "function " + name, role: d.functionARN(name)}
}

func (d Deployment) machineCaller() caller {
	return caller{name: "state machine " + d.Machine.Name, role: d.machineARN()}
}

func (d Deployment) scheduleCaller(s Schedule) caller {
	return caller{name: "schedule " + s.Name, role: d.scheduleARN(s)}
}

func (d Deployment) ruleCaller() caller {
	return caller{name: "rule " + d.Rule.Name, service: "events.amazonaws.com", source: d.ruleARN()}
}

// roleARN is the ARN of the role of what has that name.
func (d Deployment) roleARN(name string) string { return "arn:aws:iam::" + d.Account + ":role/" + name }

// deniedError says that somebody has no permission.
type deniedError struct {
	caller           caller
	action, resource string
}

// Error says it as AWS does.
func (e *deniedError) Error() string {
	return fmt.Sprintf("User: %s is not authorized to perform: %s on resource: %s because no policy of the template allows it",
		e.caller.name, e.action, e.resource)
}

// authorize returns a *deniedError unless the caller may do that to all of the resources.
func (d Deployment) authorize(who caller, action string, context map[string][]string, resources ...string) error {
	if d.Access == nil {
		return nil
	}
	given := map[string][]string{"aws:SecureTransport": {"true"}, "aws:SourceAccount": {d.Account}}
	if who.source != "" {
		given["aws:SourceArn"] = []string{who.source}
	}
	for key, values := range context {
		given[key] = values
	}
	for _, resource := range resources {
		r := iam.Request{Principal: who.service, Action: action, Resource: resource, Context: given}
		policies := []iam.Policy{d.Access.Resources[resource]}
		if who.role != "" {
			// What policies of resources say of roles is "*", in CDK's templates.
			policies = append(policies, d.Access.Roles[who.role])
		}
		if !iam.Allowed(r, policies...) {
			return &deniedError{who, action, resource}
		}
	}
	return nil
}
