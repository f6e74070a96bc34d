// Package iam decides whether policies allow a call, as AWS Identity and Access Management does.
//
// It knows what the policies of a CDK template are made of: Allow and Deny, actions and resources with wildcards,
// principals, and a few operators of conditions. Whatever else a policy may hold, Parse refuses by name, so that nothing is
// allowed or denied by an oversight. A Deny wins over every Allow, and what nothing allows is denied.
//
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html.
package iam

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Policy is the statements of one or several policy documents.
type Policy []Statement

// Statement allows or denies something.
type Statement struct {
	Deny       bool
	Principals []string // Of a policy of a resource: services such as events.amazonaws.com, ARNs, or "*". Empty in one of a role.
	Actions    []string
	Resources  []string
	Conditions []Condition // All of them have to hold.
}

// Condition compares what the request says of Key with each of the values. It holds if one of them matches; with the prefix
// ForAllValues: if one of them matches each value of the request, also where the request has none.
type Condition struct {
	Operator string
	Key      string
	Values   []string
}

// forAll begins the operators that look at each of several values in the request.
const forAll = "ForAllValues:"

// Request is a call that somebody wants to make.
type Request struct {
	Principal string              // Who calls: looked at by policies of resources only.
	Action    string              // Such as ecs:UpdateService.
	Resource  string              // Its ARN.
	Context   map[string][]string // What is known beside, by condition key such as aws:SourceArn.
}

// Decision is what policies come to, in the words of the policy simulator.
type Decision string

// The decisions. What no statement allows is denied implicitly.
const (
	Allow        Decision = "allowed"
	ImplicitDeny Decision = "implicitDeny"
	ExplicitDeny Decision = "explicitDeny"
)

// Decide says whether the policies allow the request: one of their statements does, and none denies it.
func Decide(r Request, policies ...Policy) Decision {
	decision := ImplicitDeny
	for _, s := range slices.Concat(policies...) {
		if s.about(r) {
			if s.Deny {
				return ExplicitDeny
			}
			decision = Allow
		}
	}
	return decision
}

// Allowed says whether the policies allow the request.
func Allowed(r Request, policies ...Policy) bool { return Decide(r, policies...) == Allow }

// about says whether a statement applies to the request.
func (s Statement) about(r Request) bool {
	principal := len(s.Principals) == 0 || slices.ContainsFunc(s.Principals, func(p string) bool { return p == "*" || p == r.Principal })
	action := slices.ContainsFunc(s.Actions, func(a string) bool { return like(strings.ToLower(a), strings.ToLower(r.Action)) })
	resource := slices.ContainsFunc(s.Resources, func(a string) bool { return like(a, r.Resource) })
	return principal && action && resource && !slices.ContainsFunc(s.Conditions, func(c Condition) bool { return !c.holds(r.Context) })
}

// operators are the ways to compare a value of a policy with one of the request. AWS has both ArnEquals and ArnLike take wildcards.
var operators = map[string]func(policy, request string) bool{
	"ArnEquals":    arnLike,
	"ArnLike":      arnLike,
	"Bool":         strings.EqualFold,
	"StringEquals": func(policy, request string) bool { return policy == request },
	"StringLike":   like,
}

// holds says whether a condition holds.
func (c Condition) holds(context map[string][]string) bool {
	operator, all := strings.CutPrefix(c.Operator, forAll)
	matches := func(request string) bool {
		return slices.ContainsFunc(c.Values, func(policy string) bool { return operators[operator](policy, request) })
	}
	if all {
		return !slices.ContainsFunc(context[c.Key], func(request string) bool { return !matches(request) })
	}
	return slices.ContainsFunc(context[c.Key], matches)
}

// like matches a text with a pattern, in which * stands for any characters and ? for one.
func like(pattern, text string) bool {
	for pattern != "" {
		switch {
		case pattern[0] == '*':
			rest := strings.TrimLeft(pattern, "*")
			for i := len(text); i >= 0; i-- {
				if like(rest, text[i:]) {
					return true
				}
			}
			return false
		case text == "" || pattern[0] != '?' && pattern[0] != text[0]:
			return false
		}
		pattern, text = pattern[1:], text[1:]
	}
	return text == ""
}

// arnLike compares the six parts of an ARN one by one, so that no wildcard reaches over a colon into the next part.
func arnLike(pattern, arn string) bool {
	p, a := strings.SplitN(pattern, ":", 6), strings.SplitN(arn, ":", 6)
	return slices.EqualFunc(p, a, like)
}

// texts is a string, or a list of them.
type texts []string

// UnmarshalJSON satisfies json.Unmarshaler.
func (t *texts) UnmarshalJSON(raw []byte) error {
	var one string
	if err := json.Unmarshal(raw, &one); err == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(raw, (*[]string)(t))
}

// Parse reads a policy document whose intrinsic functions are resolved.
func Parse(document json.RawMessage) (Policy, error) {
	var doc struct {
		Version   string
		ID        string `json:"Id"`
		Statement []struct {
			Sid, Effect      string
			Principal        json.RawMessage
			Action, Resource texts
			Condition        map[string]map[string]texts
		}
	}
	d := json.NewDecoder(bytes.NewReader(document))
	d.DisallowUnknownFields()
	if err := d.Decode(&doc); err != nil {
		return nil, fmt.Errorf("parse policy: %w", err)
	}
	if doc.Version != "2012-10-17" {
		return nil, fmt.Errorf("parse policy: version %q: only 2012-10-17 is understood", doc.Version)
	}
	var policy Policy
	for i, s := range doc.Statement {
		statement := Statement{Deny: s.Effect == "Deny", Actions: s.Action, Resources: s.Resource}
		principals, err := principals(s.Principal)
		switch {
		case err != nil:
			return nil, fmt.Errorf("parse policy: statement %d: %w", i, err)
		case s.Effect != "Allow" && s.Effect != "Deny":
			return nil, fmt.Errorf("parse policy: statement %d: effect %q is neither Allow nor Deny", i, s.Effect)
		case len(s.Action) == 0:
			return nil, fmt.Errorf("parse policy: statement %d has no Action", i)
		}
		statement.Principals = principals
		for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
			if operators[strings.TrimPrefix(operator, forAll)] == nil {
				return nil, fmt.Errorf("parse policy: statement %d: the condition operator %s is not understood: there are %s, and these after %s",
					i, operator, strings.Join(slices.Sorted(maps.Keys(operators)), ", "), forAll)
			}
			for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
				statement.Conditions = append(statement.Conditions, Condition{operator, key, s.Condition[operator][key]})
			}
		}
		policy = append(policy, statement)
	}
	return policy, nil
}

// principals reads "*", {"AWS": ...} or {"Service": ...}.
func principals(raw json.RawMessage) ([]string, error) {
	if len(raw) == 0 {
		return nil, nil
	}
	var all string
	if err := json.Unmarshal(raw, &all); err == nil {
		return []string{all}, nil
	}
	var byKind map[string]texts
	if err := json.Unmarshal(raw, &byKind); err != nil {
		return nil, errors.New("its Principal is neither a text nor an object of texts")
	}
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		if kind != "AWS" && kind != "Service" {
			return nil, fmt.Errorf("principals of the kind %s are not understood: there are AWS and Service", kind)
		}
		list = append(list, byKind[kind]...)
	}
	return list, nil
}
