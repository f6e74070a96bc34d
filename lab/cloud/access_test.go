package cloud

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/iam"
	"sluice/lab/cloud/wire"
)

// everything are roles and policies of resources that allow everything.
func everything(d *Deployment) *Access {
	all := iam.Policy{{Actions: []string{"*"}, Resources: []string{"*"}}}
	events := iam.Policy{{Principals: []string{"events.amazonaws.com"}, Actions: []string{"*"}, Resources: []string{"*"}}}
	a := &Access{Roles: map[string]iam.Policy{d.machineARN(): all}, Resources: map[string]iam.Policy{
		d.functionARN(ScaleOut): events, d.queueARN(d.Rule.DeadLetters): events,
	}}
	for _, f := range d.Functions {
		a.Roles[d.functionARN(f.Name)] = all
	}
	for _, s := range d.Schedules {
		a.Roles[d.scheduleARN(s)] = all
	}
	return a
}

// signed is a call by a function.
func signed(t *testing.T, function, target, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(body))
	r.Header.Set("X-Amz-Target", target)
	if target == "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+keyPrefix+function+"/20260101/us-east-1/ecs/aws4_request, SignedHeaders=host, Signature=0")
	return r
}

func deny(action string) iam.Statement {
	return iam.Statement{Deny: true, Actions: []string{action}, Resources: []string{"*"}}
}

// Whatever the deployment's policies do not allow is not done, and is told or kept as a dead letter as on AWS.
func TestWhatIsNotAllowedIsNotDone(t *testing.T) {
	const service = "arn:aws:ecs:us-east-1:000000000000:service/media/workers"
	for _, tt := range []struct {
		name     string
		set      func(d *Deployment)
		sweep    bool
		scaleTo  string
		happened func(h Happening) bool
		queue    string // The dead-letter queue that then holds one message.
		holds    map[string]string
	}{
		{
			name: "a call of a function",
			set: func(d *Deployment) {
				role := d.functionARN(ScaleOut)
				d.Access.Roles[role] = append(iam.Policy{deny("ecs:UpdateService")}, d.Access.Roles[role]...)
			},
			scaleTo: "1",
			happened: func(h Happening) bool {
				return h.Denied != nil && *h.Denied == Denied{ScaleOut, "ecs:UpdateService", service}
			},
			queue: "scaleout-dead-letters",
			holds: map[string]string{"ErrorMessage": "is not authorized to perform: ecs:UpdateService on resource: " + service},
		},
		{
			name:    "the dead letters of a function",
			set:     func(d *Deployment) { delete(d.Access.Roles, d.functionARN(ScaleOut)) },
			scaleTo: `"many"`,
			happened: func(h Happening) bool {
				return h.DeadLetter != nil && strings.Contains(h.DeadLetter.Lost, "function scaleout is not authorized to perform: sqs:SendMessage")
			},
		},
		{
			name:    "the rule's function",
			set:     func(d *Deployment) { delete(d.Access.Resources, d.functionARN(ScaleOut)) },
			scaleTo: "1",
			happened: func(h Happening) bool {
				return h.Undelivered != nil && h.Undelivered.From == "rule scale-out" && h.Undelivered.Lost == ""
			},
			queue: "scale-out-dead-letters",
			holds: map[string]string{
				"ERROR_CODE": "NO_PERMISSIONS", "ERROR_MESSAGE": "rule scale-out is not authorized to perform: lambda:InvokeFunction",
				"RETRY_ATTEMPTS": "0", "RULE_ARN": "arn:aws:events:us-east-1:000000000000:rule/scale-out",
				"TARGET_ARN": "arn:aws:lambda:us-east-1:000000000000:function:scaleout",
			},
		},
		{
			name:    "the rule's dead letters",
			set:     func(d *Deployment) { d.Access.Resources = nil },
			scaleTo: "1",
			happened: func(h Happening) bool {
				return h.Undelivered != nil && strings.Contains(h.Undelivered.Lost, "rule scale-out is not authorized to perform: sqs:SendMessage")
			},
		},
		{
			name:    "the rule without a dead-letter queue",
			set:     func(d *Deployment) { d.Rule.DeadLetters, d.Access.Resources = "", nil },
			scaleTo: "1",
			happened: func(h Happening) bool {
				return h.Undelivered != nil && h.Undelivered.Lost == "there is no dead-letter queue"
			},
		},
		{
			name:  "the schedule's state machine",
			sweep: true,
			set: func(d *Deployment) {
				d.Schedules[0].Retry = delivery.Policy{Retries: 1, MaxAge: time.Minute}
				role := d.scheduleARN(d.Schedules[0])
				d.Access.Roles[role] = append(iam.Policy{deny("states:*")}, d.Access.Roles[role]...)
			},
			happened: func(h Happening) bool { return h.Undelivered != nil && h.Undelivered.From == "schedule sweep" },
			queue:    "sweep-dead-letters",
			holds: map[string]string{
				"ERROR_CODE": "AccessDeniedException", "RETRY_ATTEMPTS": "1", "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts",
				"SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:000000000000:schedule/sluice/sweep",
				"TARGET_ARN":   "arn:aws:states:us-east-1:000000000000:stateMachine:sluice-sweep",
			},
		},
		{
			name:  "the state machine's functions",
			sweep: true,
			set:   func(d *Deployment) { delete(d.Access.Roles, d.machineARN()) },
			happened: func(h Happening) bool {
				return h.Execution != nil && h.Execution.Ended != nil && h.Execution.Ended.Error == "Lambda.AWSLambdaException" &&
					strings.Contains(h.Execution.Ended.Cause, "state machine sluice-sweep is not authorized to perform: lambda:InvokeFunction")
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := settings(t, "", "true")
			d := builtIn(t, path)
			d.Access = everything(d)
			// What is denied is tried again otherwise, at the pace of the state machine's Retry.
			d.Machine.Definition = strings.ReplaceAll(d.Machine.Definition, `"Lambda.AWSLambdaException",`, "")
			tt.set(d)
			c, r := start(t, path, Options{NoSweep: !tt.sweep, Deployment: d, Retry: once})
			if tt.scaleTo != "" {
				put(t, c, tt.scaleTo)
			}
			r.wait(t, tt.name, tt.happened)
			if tt.queue == "" {
				for _, queue := range d.Queues() {
					if m := c.messages(queue); len(m) > 0 {
						t.Errorf("queue %s holds %v", queue, m)
					}
				}
				return
			}
			r.wait(t, "a dead letter", func(Happening) bool { return len(c.messages(tt.queue)) > 0 })
			got := c.messages(tt.queue)[0]
			for name, want := range tt.holds {
				if !strings.Contains(got.Attributes[name], want) {
					t.Errorf("%s is %q, want %q in it", name, got.Attributes[name], want)
				}
			}
			if n := c.ECS().Calls()["UpdateService"]; n > 0 {
				t.Errorf("%d calls of UpdateService", n)
			}
		})
	}
}

// With all that they need allowed and no more, functions work as ever.
func TestWhatIsAllowedIsDone(t *testing.T) {
	path := settings(t, "", "sleep", "1000")
	d := builtIn(t, path)
	d.Access = everything(d)
	const here = ":us-east-1:000000000000:"
	d.Access.Roles[d.functionARN(ScaleOut)] = iam.Policy{{
		Actions:   []string{"ecs:DescribeServices", "ecs:UpdateService"},
		Resources: []string{"arn:aws:ecs" + here + "service/media/workers"},
	}, {
		Actions: []string{"ecs:TagResource"}, Resources: []string{"arn:aws:ecs" + here + "service/media/workers"},
		Conditions: []iam.Condition{{Operator: "ForAllValues:StringEquals", Key: "aws:TagKeys", Values: []string{"sluice:floor"}}},
	}, {
		Actions: []string{"ecs:ListTasks"}, Resources: []string{"*"},
		Conditions: []iam.Condition{{Operator: "ArnEquals", Key: "ecs:cluster", Values: []string{"arn:aws:ecs" + here + "cluster/media"}}},
	}, {
		Actions: []string{"ecs:DescribeTasks", "ecs:GetTaskProtection"}, Resources: []string{"arn:aws:ecs" + here + "task/media/*"},
	}}
	c, r := start(t, path, Options{NoSweep: true, Deployment: d})
	for _, detail := range []string{"1", `2, "hold_seconds": 60`} {
		put(t, c, detail)
	}
	r.wait(t, "two workers", func(h Happening) bool { return h.Task != nil && h.Task.Task == "" && h.Task.Desired == 2 })
	r.wait(t, "the tag", func(Happening) bool { return c.ECS().Calls()["TagResource"] > 0 })
	r.wait(t, "the end of the second call", func(h Happening) bool {
		return h.Invocation != nil && h.Invocation.Err == nil && strings.Contains(string(h.Invocation.Payload), `"hold_seconds"`)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.all {
		if h.Denied != nil || h.DeadLetter != nil {
			t.Errorf("%+v, %+v", h.Denied, h.DeadLetter)
		}
	}
}

// permitted is what permit says of a request.
func permitted(c *Cloud, r *http.Request) error {
	call, err := wire.Read(r)
	if err != nil {
		return err
	}
	return c.permit(r, call)
}

// What a call is about, as IAM sees it: the action, its resources and what its conditions may depend on.
func TestWhatCallsNeed(t *testing.T) {
	const ecs = "AmazonEC2ContainerServiceV20141113."
	const here = ":eu-west-1:000000000000:"
	for _, tt := range []struct {
		target, body     string
		action, resource string
		context          iam.Condition
	}{
		{ecs + "DescribeServices", `{"cluster":"c","services":["s"]}`, "ecs:DescribeServices", "arn:aws:ecs" + here + "service/c/s", iam.Condition{}},
		{
			ecs + "UpdateService", `{"cluster":"arn:aws:ecs:eu-west-1:000000000000:cluster/c","service":"s","desiredCount":1}`,
			"ecs:UpdateService", "arn:aws:ecs" + here + "service/c/s",
			iam.Condition{Operator: "ArnEquals", Key: "ecs:cluster", Values: []string{"arn:aws:ecs" + here + "cluster/c"}},
		},
		{ecs + "UpdateService", `{"service":"arn:aws:ecs:eu-west-1:1:service/c/s"}`, "ecs:UpdateService", "arn:aws:ecs:eu-west-1:1:service/c/s", iam.Condition{}},
		{ecs + "ListTasks", `{"serviceName":"s"}`, "ecs:ListTasks", "arn:aws:ecs" + here + "container-instance/default/any", iam.Condition{}},
		{ecs + "DescribeTasks", `{"cluster":"c","tasks":["t"]}`, "ecs:DescribeTasks", "arn:aws:ecs" + here + "task/c/t", iam.Condition{}},
		{ecs + "GetTaskProtection", `{"cluster":"c","tasks":["arn:aws:ecs:x:1:task/c/t"]}`, "ecs:GetTaskProtection", "arn:aws:ecs:x:1:task/c/t", iam.Condition{}},
		{ecs + "UpdateTaskProtection", `{"cluster":"c","tasks":["t"]}`, "ecs:UpdateTaskProtection", "arn:aws:ecs" + here + "task/c/t", iam.Condition{}},
		{
			ecs + "TagResource", `{"resourceArn":"arn:r","tags":[{"key":"k","value":"v"}]}`, "ecs:TagResource", "arn:r",
			iam.Condition{Operator: "StringEquals", Key: "aws:TagKeys", Values: []string{"k"}},
		},
		{ecs + "DescribeTaskDefinition", `{"taskDefinition":"d"}`, "ecs:DescribeTaskDefinition", "*", iam.Condition{}},
		{"Logs_20140328.FilterLogEvents", `{"logGroupName":"/g"}`, "logs:FilterLogEvents", "arn:aws:logs" + here + "log-group:/g:*", iam.Condition{}},
		{"", "Action=Publish&Version=2010-03-31&TopicArn=arn:t&Message=m", "sns:Publish", "arn:t", iam.Condition{}},
		{"secretsmanager.GetSecretValue", `{"SecretId":"prod/redis"}`, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager" + here + "secret:prod/redis-??????", iam.Condition{}},
		{"secretsmanager.GetSecretValue", `{"SecretId":"arn:aws:secretsmanager:x:1:secret:a"}`, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:x:1:secret:a-??????", iam.Condition{}},
		{"secretsmanager.GetSecretValue", `{"SecretId":"arn:aws:secretsmanager:x:1:secret:a-Ab12Cd"}`, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:x:1:secret:a-Ab12Cd", iam.Condition{}},
		{"AmazonSSM.GetParameter", `{"Name":"/prod/redis"}`, "ssm:GetParameter", "arn:aws:ssm" + here + "parameter/prod/redis", iam.Condition{}},
		{"AmazonSSM.GetParameter", `{"Name":"redis"}`, "ssm:GetParameter", "arn:aws:ssm" + here + "parameter/redis", iam.Condition{}},
		{"AmazonSSM.GetParameter", `{"Name":"arn:aws:ssm:x:1:parameter/r"}`, "ssm:GetParameter", "arn:aws:ssm:x:1:parameter/r", iam.Condition{}},
	} {
		allowed := iam.Statement{Actions: []string{tt.action}, Resources: []string{tt.resource}}
		if tt.context.Key != "" {
			allowed.Conditions = []iam.Condition{tt.context}
		}
		for name, policy := range map[string]struct {
			s    iam.Statement
			want bool
		}{
			"allowed":          {allowed, true},
			"another action":   {iam.Statement{Actions: []string{"x:" + tt.action}, Resources: allowed.Resources}, false},
			"another resource": {iam.Statement{Actions: allowed.Actions, Resources: []string{"x" + tt.resource}}, false},
		} {
			c := &Cloud{feed: newFeed(), deployment: Deployment{Region: "eu-west-1", Account: Account}}
			c.deployment.Access = &Access{Roles: map[string]iam.Policy{c.deployment.functionARN(Check): {policy.s}}}
			err := permitted(c, signed(t, Check, tt.target, tt.body))
			if (err == nil) != policy.want {
				t.Errorf("%s %s, %s: %v", tt.target, tt.body, name, err)
			}
			c.feed.close()
		}
	}
	// A call that nobody has thought of is not let pass.
	c := &Cloud{feed: newFeed(), deployment: Deployment{Access: &Access{}}}
	defer c.feed.close()
	if err := permitted(c, signed(t, Check, ecs+"StopTask", "{}")); err == nil || !strings.Contains(err.Error(), "which permission ecs:StopTask needs") {
		t.Errorf("StopTask: %v", err)
	}
}
