package iam

import (
	"maps"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// role is what CDK makes of the rights of a function.
const role = `{"Version": "2012-10-17", "Statement": [
	{"Effect": "Allow", "Action": ["ecs:DescribeServices", "ecs:Update*"], "Resource": "arn:aws:ecs:eu-west-1:1:service/shop/workers"},
	{"Effect": "Allow", "Action": "ecs:ListTasks", "Resource": "*",
		"Condition": {"ArnEquals": {"ecs:cluster": ["arn:aws:ecs:eu-west-1:1:cluster/shop", "arn:aws:ecs:eu-west-1:1:cluster/x*"]}}},
	{"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "arn:aws:ssm:*:1:parameter/shop/?/url"},
	{"Effect": "Allow", "Action": "ecs:TagResource", "Resource": "*", "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": ["a", "b"]}}},
	{"Effect": "Deny", "Action": "ecs:UpdateClusterSettings", "Resource": "*"}]}`

// queue is what CDK makes of the rights on a dead-letter queue.
const queue = `{"Version": "2012-10-17", "Statement": [
	{"Sid": "Tls", "Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sqs:*", "Resource": "arn:q", "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
	{"Effect": "Allow", "Principal": {"Service": "events.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "arn:q",
		"Condition": {"ArnLike": {"aws:SourceArn": "arn:aws:events:*:1:rule/*"}, "StringEquals": {"aws:SourceAccount": "1"}}}]}`

func parse(t *testing.T, document string) Policy {
	t.Helper()
	p, err := Parse([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAllowed(t *testing.T) {
	const service = "arn:aws:ecs:eu-west-1:1:service/shop/workers"
	cluster := func(name string) map[string][]string {
		return map[string][]string{"ecs:cluster": {"arn:aws:ecs:eu-west-1:1:cluster/" + name}}
	}
	event := map[string][]string{"aws:SecureTransport": {"true"}, "aws:SourceArn": {"arn:aws:events:eu-west-1:1:rule/r"}, "aws:SourceAccount": {"1"}}
	with := func(key, value string) map[string][]string {
		m := maps.Clone(event)
		m[key] = []string{value}
		return m
	}
	tags := func(keys ...string) map[string][]string { return map[string][]string{"aws:TagKeys": keys} }
	for _, tt := range []struct {
		name     string
		document string
		request  Request
		want     bool
	}{
		{"allowed", role, Request{Action: "ecs:DescribeServices", Resource: service}, true},
		{"actions know no case", role, Request{Action: "ECS:describeservices", Resource: service}, true},
		{"a wildcard in the action", role, Request{Action: "ecs:UpdateService", Resource: service}, true},
		{"another action", role, Request{Action: "ecs:DeleteService", Resource: service}, false},
		{"another resource", role, Request{Action: "ecs:UpdateService", Resource: service + "2"}, false},
		{"resources know case", role, Request{Action: "ecs:UpdateService", Resource: strings.ToUpper(service)}, false},
		{"denied wins", role, Request{Action: "ecs:UpdateClusterSettings", Resource: service}, false},
		{"a condition that holds", role, Request{Action: "ecs:ListTasks", Resource: "*", Context: cluster("shop")}, true},
		{"by another of its values", role, Request{Action: "ecs:ListTasks", Resource: "*", Context: cluster("xyz")}, true},
		{"a condition that does not hold", role, Request{Action: "ecs:ListTasks", Resource: "*", Context: cluster("y")}, false},
		{"a condition about what is not known", role, Request{Action: "ecs:ListTasks", Resource: "*"}, false},
		{"wildcards in the resource", role, Request{Action: "ssm:GetParameter", Resource: "arn:aws:ssm:us-east-1:1:parameter/shop/a/url"}, true},
		{"? is one character", role, Request{Action: "ssm:GetParameter", Resource: "arn:aws:ssm:us-east-1:1:parameter/shop/ab/url"}, false},
		{"all values", role, Request{Action: "ecs:TagResource", Resource: "*", Context: tags("a", "b")}, true},
		{"not all values", role, Request{Action: "ecs:TagResource", Resource: "*", Context: tags("a", "c")}, false},
		{"no values", role, Request{Action: "ecs:TagResource", Resource: "*"}, true},

		{"a service", queue, Request{"events.amazonaws.com", "sqs:SendMessage", "arn:q", event}, true},
		{"another service", queue, Request{"sns.amazonaws.com", "sqs:SendMessage", "arn:q", event}, false},
		{"not by TLS", queue, Request{"events.amazonaws.com", "sqs:SendMessage", "arn:q", with("aws:SecureTransport", "false")}, false},
		{"another account", queue, Request{"events.amazonaws.com", "sqs:SendMessage", "arn:q", with("aws:SourceAccount", "2")}, false},
		{
			"no wildcard reaches over a colon", queue,
			Request{"events.amazonaws.com", "sqs:SendMessage", "arn:q", with("aws:SourceArn", "arn:aws:events:x:y:1:rule/r")},
			false,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Allowed(tt.request, parse(t, tt.document)); got != tt.want {
				t.Errorf("%v, want %v", got, tt.want)
			}
		})
	}
	denied := Request{Action: "ecs:UpdateClusterSettings", Resource: service}
	if Allowed(denied, parse(t, strings.ReplaceAll(role, "Deny", "Allow")), parse(t, role)) {
		t.Error("the Deny of one policy does not win over the Allow of another")
	}
}

func TestParseRefuses(t *testing.T) {
	for _, tt := range []struct{ document, want string }{
		{`{"Version": "2008-10-17", "Statement": []}`, `version "2008-10-17": only 2012-10-17`},
		{`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "NotAction": "a:b", "Resource": "*"}]}`, `unknown field "NotAction"`},
		{`{"Version": "2012-10-17", "Statement": [{"Effect": "Maybe", "Action": "a:b", "Resource": "*"}]}`, `effect "Maybe" is neither`},
		{`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*"}]}`, `statement 0 has no Action`},
		{`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "a:b", "Resource": "*", "Condition": {"IpAddress": {"aws:SourceIp": "1.2.3.4"}}}]}`, `operator IpAddress is not understood`},
		{`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": "x"}, "Action": "a:b", "Resource": "*"}]}`, `kind Federated are not understood`},
		{`{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": 1, "Action": "a:b", "Resource": "*"}]}`, `Principal is neither`},
	} {
		if p, err := Parse([]byte(tt.document)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Parse(%s) = %v, %v; want %q", tt.document, p, err, tt.want)
		}
	}
	got := parse(t, `{"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "a:b", "Resource": ["x", "y"]}]}`)
	if diff := cmp.Diff(Policy{{Deny: true, Principals: []string{"*"}, Actions: []string{"a:b"}, Resources: []string{"x", "y"}}}, got); diff != "" {
		t.Error(diff)
	}
}
