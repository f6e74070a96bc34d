package permissions

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// tagged is the tag that tells which of the functions a Lambda function of the template is.
const tagged = "sluice:function"

// template is a CloudFormation template, as far as roles go.
type template struct {
	Resources map[string]struct {
		Type       string
		Properties map[string]any
	}
}

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
	var t template
	if err := json.Unmarshal(data, &t); err != nil {
		return nil, fmt.Errorf("read the template: %w", err)
	}
	out := map[string]role{}
	for _, id := range slices.Sorted(maps.Keys(t.Resources)) {
		r := t.Resources[id]
		if r.Type != "AWS::Lambda::Function" {
			continue
		}
		for _, tag := range list(r.Properties["Tags"]) {
			if text(field(tag, "Key")) != tagged {
				continue
			}
			name := text(field(tag, "Value"))
			if _, twice := out[name]; twice {
				return nil, fmt.Errorf("read the template: two functions have the tag %s=%s", tagged, name)
			}
			out[name] = t.role(id)
		}
	}
	for _, name := range wanted {
		if _, ok := out[name]; !ok {
			return nil, fmt.Errorf("read the template: no function has the tag %s=%s", tagged, name)
		}
	}
	return out, nil
}

// role reads the role of a function with everything that is attached to it.
func (t template) role(function string) (r role) {
	p := t.Resources[function].Properties
	if group := text(field(p["LoggingConfig"], "LogGroup")); group != "" {
		r.log = strings.Replace(group, "}", ".Arn}", 1)
	}
	r.deadLetters = text(field(p["DeadLetterConfig"], "TargetArn"))
	environment := field(p["Environment"], "Variables")
	r.near.topic = text(field(environment, "SLUICE_TOPIC_ARN"))
	for group := range strings.SplitSeq(text(field(environment, "SLUICE_LOG_GROUPS")), ",") {
		r.near.logGroups = append(r.near.logGroups, strings.Replace(group, "}", ".Arn}", 1))
	}
	r.traced = text(field(p["TracingConfig"], "Mode")) == "Active"
	r.inVPC = p["VpcConfig"] != nil
	given := text(p["Role"])
	id := strings.TrimSuffix(strings.TrimPrefix(given, "${"), ".Arn}")
	own, ok := t.Resources[id]
	if !ok || own.Type != "AWS::IAM::Role" {
		r.strange = append(r.strange, fmt.Sprintf("its role %q is not in the template", given))
		return r
	}
	for _, arn := range list(own.Properties["ManagedPolicyArns"]) {
		r.strange = append(r.strange, "its role has the managed policy "+text(arn)+", which grants more than is needed")
	}
	for _, policy := range list(own.Properties["Policies"]) {
		r.add(field(policy, "PolicyDocument"), true)
	}
	for _, other := range slices.Sorted(maps.Keys(t.Resources)) {
		o := t.Resources[other]
		inline := o.Type == "AWS::IAM::Policy" || o.Type == "AWS::IAM::RolePolicy"
		if !inline && o.Type != "AWS::IAM::ManagedPolicy" {
			continue
		}
		attached := append(list(o.Properties["Roles"]), o.Properties["RoleName"])
		if slices.ContainsFunc(attached, func(role any) bool { return text(role) == "${"+id+"}" }) {
			r.add(o.Properties["PolicyDocument"], inline)
		}
	}
	return r
}

// add adds what a policy document allows.
func (r *role) add(document any, inline bool) {
	if inline {
		data, _ := json.Marshal(resolved(document)) // It came from JSON.
		r.size += len(longest.Replace(string(data)))
	}
	statements := list(field(document, "Statement"))
	if one, ok := field(document, "Statement").(map[string]any); ok {
		statements = []any{one}
	}
	for _, s := range statements {
		if text(field(s, "Effect")) != "Allow" {
			continue // What is denied can only be less.
		}
		for _, unwanted := range []string{"NotAction", "NotResource"} {
			if field(s, unwanted) != nil {
				r.strange = append(r.strange, "a statement has "+unwanted+": say what is allowed instead")
			}
		}
		only := conditionsOf(field(s, "Condition"))
		for _, a := range texts(field(s, "Action")) {
			r.grants = append(r.grants, grant{a, texts(field(s, "Resource")), only})
		}
	}
}

func conditionsOf(v any) (out []Only) {
	operators, _ := v.(map[string]any)
	for _, operator := range slices.Sorted(maps.Keys(operators)) {
		keys, _ := operators[operator].(map[string]any)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			// To IAM they are the same.
			out = append(out, Only{strings.Replace(operator, "ArnLike", "ArnEquals", 1), key, texts(keys[key])})
		}
	}
	return out
}

func field(v any, name string) any {
	m, _ := v.(map[string]any)
	return m[name]
}

func list(v any) []any {
	l, _ := v.([]any)
	return l
}

// texts are the texts of a list, or the one text.
func texts(v any) (out []string) {
	if v == nil {
		return nil
	}
	if l, ok := v.([]any); ok {
		for _, e := range l {
			out = append(out, text(e))
		}
		return out
	}
	return []string{text(v)}
}

// text is a text of the template; what CloudFormation puts in stands in it as ${Name} or ${Name.Attribute}. What is no text is
// written as JSON.
func text(v any) string {
	switch r := resolved(v).(type) {
	case nil:
		return ""
	case string:
		return r
	default:
		data, _ := json.Marshal(r) // It came from JSON.
		return string(data)
	}
}

// resolved has the functions that make texts (Ref, Fn::GetAtt, Fn::Join, Fn::Sub) replaced by the texts.
func resolved(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = resolved(e)
		}
		return out
	case map[string]any:
		if len(v) == 1 {
			for name, argument := range v {
				if s, ok := intrinsic(name, argument); ok {
					return s
				}
			}
		}
		out := map[string]any{}
		for name, e := range v {
			out[name] = resolved(e)
		}
		return out
	}
	return v
}

func intrinsic(name string, argument any) (string, bool) {
	switch name {
	case "Ref":
		return "${" + text(argument) + "}", true
	case "Fn::GetAtt":
		return "${" + strings.Join(texts(argument), ".") + "}", true
	case "Fn::Join":
		if l := list(argument); len(l) == 2 {
			return strings.Join(texts(l[1]), text(l[0])), true
		}
	case "Fn::Sub":
		l := list(argument)
		if len(l) != 2 {
			return text(argument), true
		}
		values, _ := l[1].(map[string]any)
		return placeholder.ReplaceAllStringFunc(text(l[0]), func(s string) string {
			if value, ok := values[s[2:len(s)-1]]; ok {
				return text(value)
			}
			return s
		}), true
	}
	return "", false
}

var placeholder = regexp.MustCompile(`\$\{[^}]+\}`)
