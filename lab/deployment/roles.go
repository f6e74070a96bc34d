package deployment

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/lab/cloud/cfn/template"
)

// tagged is the tag that tells which of the functions a Lambda function of the template is.
const tagged = "sluice:function"

// role is what the template says of one of the functions and of its role.
type role struct {
	grants      []grant
	size        int      // Characters of its inline policies, as IAM counts them.
	strange     []string // What cannot be told, or ought not to be there.
	log         string   // Its own log group's ARN; empty if it has none.
	deadLetters string   // Its own dead-letter queue's; empty if it has none.
	near        surroundings
	traced      bool
	inVPC       bool
}

// grant is one action of one statement that allows something.
type grant struct {
	action    string
	resources []string
	only      []Only
}

// roles returns the roles of the functions, by the functions' names. Each of the wanted ones has to be there.
func roles(data []byte, wanted []string) (map[string]role, error) {
	parsed, err := template.Parse(data)
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	t, err := parsed.Symbolic()
	if err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	out := map[string]role{}
	for _, f := range t.Of("AWS::Lambda::Function") {
		name := f.Tag(tagged)
		if _, twice := out[name]; twice && name != "" {
			return nil, fmt.Errorf("read the template: two functions have the tag %s=%s", tagged, name)
		}
		out[name] = roleOf(t, f)
	}
	for _, name := range wanted {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("read the template: no function has the tag %s=%s", tagged, name)
		}
	}
	return out, nil
}

// roleOf reads the role of a function with everything that is attached to it.
func roleOf(t *template.Template, f *template.Resource) (r role) {
	arn := func(group string) string { return strings.Replace(group, "}", ".Arn}", 1) }
	r.log = arn(f.Text("LoggingConfig", "LogGroup"))
	r.deadLetters = f.Text("DeadLetterConfig", "TargetArn")
	r.near.topic = f.Text("Environment", "Variables", "SLUICE_TOPIC_ARN")
	for group := range strings.SplitSeq(f.Text("Environment", "Variables", "SLUICE_LOG_GROUPS"), ",") {
		r.near.logGroups = append(r.near.logGroups, arn(group))
	}
	r.traced = f.Text("TracingConfig", "Mode") == "Active"
	r.inVPC = f.At("VpcConfig") != nil
	own := t.Target(f.Text("Role"), "AWS::IAM::Role")
	if own == nil {
		r.strange = append(r.strange, fmt.Sprintf("its role %q is not in the template", f.Text("Role")))
		return r
	}
	for _, arn := range template.Texts(own.At("ManagedPolicyArns")) {
		r.strange = append(r.strange, "its role has the managed policy "+arn+", which grants more than is needed")
	}
	for _, policy := range template.List(own.At("Policies")) {
		r.add(template.Within(policy, "PolicyDocument"), true)
	}
	for _, other := range t.Of("AWS::IAM::Policy", "AWS::IAM::RolePolicy", "AWS::IAM::ManagedPolicy") {
		if slices.Contains(append(template.Texts(other.At("Roles")), other.Text("RoleName")), own.Ref()) {
			r.add(other.At("PolicyDocument"), other.Type != "AWS::IAM::ManagedPolicy")
		}
	}
	return r
}

// add adds what a policy document allows.
func (r *role) add(document any, inline bool) {
	if inline {
		data, _ := json.Marshal(document) // It came from JSON.
		r.size += len(longest.Replace(string(data)))
	}
	for _, s := range template.List(template.Within(document, "Statement")) {
		if template.Within(s, "Effect") != "Allow" {
			continue // What is denied can only be less.
		}
		for _, unwanted := range []string{"NotAction", "NotResource"} {
			if template.Within(s, unwanted) != nil {
				r.strange = append(r.strange, "a statement has "+unwanted+": say what is allowed instead")
			}
		}
		only := conditionsOf(template.Within(s, "Condition"))
		for _, a := range template.Texts(template.Within(s, "Action")) {
			r.grants = append(r.grants, grant{a, template.Texts(template.Within(s, "Resource")), only})
		}
	}
}

func conditionsOf(v any) (out []Only) {
	operators, _ := v.(map[string]any)
	for _, operator := range slices.Sorted(maps.Keys(operators)) {
		keys, _ := operators[operator].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			// To IAM they are the same.
			out = append(out, Only{strings.Replace(operator, "ArnLike", "ArnEquals", 1), key, template.Texts(keys[key])})
		}
	}
	return out
}
