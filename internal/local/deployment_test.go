package local

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/local/asl"
	"sluice/internal/local/delivery"
	"sluice/internal/local/iam"
	"sluice/internal/local/lambda"
	"sluice/internal/local/scheduler"
	"sluice/internal/testenv"
)

// builtIn is the deployment of the configuration at path.
func builtIn(t *testing.T, path string) *Deployment {
	t.Helper()
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	d, err := BuiltIn(c, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	return &d
}

// put sends an event that asks for workers, or one that makes no sense if scaleTo is no number.
func put(t *testing.T, c *Cloud, scaleTo string) {
	t.Helper()
	script(t, c, `
import sys, boto3
boto3.client("events").put_events(Entries=[{"Source": "custom.celery.monitor", "DetailType": "celery.task.queue_full", "Detail": '{"scale_to": %s}' % sys.argv[1]}])
`, scaleTo)
}

// How often a function tries an event, how old it may get, and where it goes then, is the deployment's to say.
func TestDeadLettersAreAsDeployed(t *testing.T) {
	for _, tt := range []struct {
		name     string
		set      func(*Function)
		attempts int
		reason   string
		lost     string
	}{
		{"one retry", func(f *Function) { f.Retry.Retries = 1 }, 2, lambda.RetriesExhausted, ""},
		{"no retry", func(f *Function) { f.Retry.Retries = 0 }, 1, lambda.RetriesExhausted, ""},
		{"too old", func(f *Function) { f.Retry.MaxAge = time.Millisecond }, 1, lambda.EventAgeExceeded, ""},
		{"no queue", func(f *Function) { f.Retry.Retries, f.DeadLetters = 0, "" }, 1, lambda.RetriesExhausted, "the function has no dead-letter queue"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := settings(t, "", "true")
			d := builtIn(t, path)
			tt.set(&d.Functions[0])
			c, r := start(t, path, Options{NoSweep: true, Deployment: d, Retry: lambda.Async{RetryDelays: []time.Duration{2 * time.Millisecond}}})
			put(t, c, `"many"`)
			l := r.wait(t, "a dead letter", func(h Happening) bool { return h.DeadLetter != nil }).DeadLetter
			if l.Attempts != tt.attempts || l.Reason != tt.reason || l.Lost != tt.lost || l.ErrorType != "InvalidEvent" {
				t.Errorf("%+v", l)
			}
			got := c.messages("scaleout-dead-letters")
			if tt.lost != "" {
				if len(got) > 0 {
					t.Errorf("in the queue: %v", got)
				}
				return
			}
			want := []message{{Body: string(l.Payload), Attributes: map[string]string{
				"RequestID": l.RequestID, "ErrorCode": "200", "ErrorMessage": l.ErrorMessage,
			}}}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

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
				"SCHEDULE_ARN": "arn:aws:scheduler:us-east-1:000000000000:schedule/default/sweep",
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
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.all {
		if h.Denied != nil || h.DeadLetter != nil {
			t.Errorf("%+v, %+v", h.Denied, h.DeadLetter)
		}
	}
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
		{getSecretValue, `{"SecretId":"prod/redis"}`, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager" + here + "secret:prod/redis-??????", iam.Condition{}},
		{getSecretValue, `{"SecretId":"arn:aws:secretsmanager:x:1:secret:a"}`, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:x:1:secret:a-??????", iam.Condition{}},
		{getSecretValue, `{"SecretId":"arn:aws:secretsmanager:x:1:secret:a-Ab12Cd"}`, "secretsmanager:GetSecretValue", "arn:aws:secretsmanager:x:1:secret:a-Ab12Cd", iam.Condition{}},
		{getParameter, `{"Name":"/prod/redis"}`, "ssm:GetParameter", "arn:aws:ssm" + here + "parameter/prod/redis", iam.Condition{}},
		{getParameter, `{"Name":"redis"}`, "ssm:GetParameter", "arn:aws:ssm" + here + "parameter/redis", iam.Condition{}},
		{getParameter, `{"Name":"arn:aws:ssm:x:1:parameter/r"}`, "ssm:GetParameter", "arn:aws:ssm:x:1:parameter/r", iam.Condition{}},
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
			"another resource": {iam.Statement{Actions: allowed.Actions, Resources: []string{tt.resource + "/x"}}, false},
		} {
			c := &Cloud{feed: newFeed(), deployment: Deployment{Region: "eu-west-1", Account: Account}}
			c.deployment.Access = &Access{Roles: map[string]iam.Policy{c.deployment.functionARN(Check): {policy.s}}}
			err := c.permit(signed(t, Check, tt.target, tt.body))
			if (err == nil) != policy.want {
				t.Errorf("%s %s, %s: %v", tt.target, tt.body, name, err)
			}
			c.feed.close()
		}
	}
	// A call that nobody has thought of is not let pass.
	c := &Cloud{feed: newFeed(), deployment: Deployment{Access: &Access{}}}
	defer c.feed.close()
	if err := c.permit(signed(t, Check, ecs+"StopTask", "{}")); err == nil || !strings.Contains(err.Error(), "which permission StopTask needs") {
		t.Errorf("StopTask: %v", err)
	}
}

// The deployed code has its own sluice.yaml, which is the one that runs.
func TestFunctionsReadTheConfigurationOfTheirCode(t *testing.T) {
	path := settings(t, "", "true")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	code := t.TempDir()
	if err := os.WriteFile(filepath.Join(code, "sluice.yaml"), []byte(strings.Replace(string(text), "name: video", "name: film", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	d := builtIn(t, path)
	for i := range d.Functions {
		d.Functions[i].Code, d.Functions[i].Env = code, map[string]string{"REDIS_URL": "redis://deployed"}
	}
	c, _ := start(t, path, Options{NoSweep: true, Deployment: d})
	res, err := c.Functions().Invoke(t.Context(), Check, []byte(`{"target":"film"}`))
	if err != nil || res.FunctionError != "" || !strings.Contains(string(res.Payload), `"queue_len":0`) {
		t.Errorf("%s, %v", res.Payload, err)
	}

	settings, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	d.Functions[1].Env = nil
	if _, err := Start(t.Context(), Options{Config: settings, ConfigPath: path, Lambdas: lambdas, Deployment: d}); err == nil ||
		!strings.Contains(err.Error(), "REDIS_URL is not in the deployment's function check") {
		t.Errorf("without the variable: %v", err)
	}
}

// Each schedule gives its input to the state machine, at local.sweep_every.
func TestSchedulesGiveTheirInput(t *testing.T) {
	path := settings(t, "", "true")
	d := builtIn(t, path)
	first := d.Schedules[0]
	first.Input, first.Timing = `{"shard":0,"shards":2}`, scheduler.Timing{Every: time.Hour}
	second := first
	second.Name, second.Input, second.Timing.Offset = "sweep-2", `{"shard":1,"shards":2}`, time.Minute
	d.Schedules = []Schedule{first, second}
	_, r := start(t, path, Options{Deployment: d})
	// The second sweep of each comes only because a second stands for the hour.
	sweeps := func(input string) int {
		r.mu.Lock()
		defer r.mu.Unlock()
		n := 0
		for _, h := range r.all {
			if e := h.Execution; e != nil && e.Event != nil && e.Event.State == "Check" && e.Event.Type == asl.Entered && string(e.Event.Data) == input {
				n++
			}
		}
		return n
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		if a, b := sweeps(first.Input), sweeps(second.Input); a < 2 || b < 2 {
			return fmt.Errorf("%d and %d sweeps", a, b)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestLocalTiming(t *testing.T) {
	five := scheduler.Timing{Every: 5 * time.Minute, Clock: true, Offset: 2 * time.Minute}
	for every, want := range map[time.Duration]scheduler.Timing{
		0:                five,
		10 * time.Second: {Every: 10 * time.Second, Offset: 4 * time.Second},
	} {
		c := &Cloud{opts: Options{Config: &config.Config{Local: config.Local{SweepEvery: config.Duration(every)}}}}
		if got := c.localTiming(five); got != want {
			t.Errorf("%v: %+v, want %+v", every, got, want)
		}
	}
}

// The schedules of many targets share them, and the time between two sweeps.
func TestSchedulesOfManyTargets(t *testing.T) {
	text := "version: 1\nbrokers: [{name: r, url_env: REDIS_URL}]\nsweep: {every: %s}\ndeploy: {targets_per_schedule: 2}\ntargets:\n"
	for _, name := range strings.Fields("a b c d e") {
		text += "  - {name: " + name + ", cluster: c, service: " + name + ", queues: [" + name + "], max: 1}\n"
	}
	minute := time.Minute
	for every, want := range map[string][]scheduler.Timing{
		"5m": {{Every: 5 * minute, Clock: true}, {Every: 5 * minute, Clock: true, Offset: minute}, {Every: 5 * minute, Clock: true, Offset: 3 * minute}},
		"7m": {{Every: 7 * minute}, {Every: 7 * minute}, {Every: 7 * minute}}, // Seven minutes do not divide an hour.
	} {
		c, err := config.Parse([]byte(strings.Replace(text, "%s", every, 1)), "sluice.yaml")
		if err != nil {
			t.Fatal(err)
		}
		var got []scheduler.Timing
		for i, s := range schedules(c) {
			got = append(got, s.Timing)
			var in struct{ Shard, Shards int }
			if err := json.Unmarshal([]byte(s.Input), &in); err != nil || in.Shard != i || in.Shards != 3 {
				t.Errorf("input %s", s.Input)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
}

func TestDeploymentsThatCannotRun(t *testing.T) {
	for name, set := range map[string]func(*Deployment){
		"it has to have the functions":         func(d *Deployment) { d.Functions = d.Functions[1:] },
		"and no others":                        func(d *Deployment) { d.Functions = append(d.Functions, Function{Name: "x"}) },
		`rule scale-out has the target "x"`:    func(d *Deployment) { d.Rule.Target = "x" },
		"make rule scale-out":                  func(d *Deployment) { d.Rule.Pattern = "{" },
		"make state machine sluice-sweep":      func(d *Deployment) { d.Machine.Definition = `{"StartAt": "X", "States": {}}` },
		"add function check: /nowhere is no f": func(d *Deployment) { d.Functions[1].Code = "/nowhere" },
	} {
		path := settings(t, "", "true")
		d := builtIn(t, path)
		set(d)
		for i := range d.Functions {
			d.Functions[i].Env = map[string]string{"REDIS_URL": "x"}
		}
		settings, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		c, err := Start(t.Context(), Options{Config: settings, ConfigPath: path, Lambdas: lambdas, Deployment: d, NoSweep: true})
		if err == nil {
			_ = c.Close()
			t.Errorf("%s: it started", name)
		} else if !strings.Contains(err.Error(), name) {
			t.Errorf("error %q, want %q", err, name)
		}
	}
}

// The built-in deployment is in the account and Region that are asked for.
func TestBuiltInARNs(t *testing.T) {
	d := builtIn(t, settings(t, "events: {bus: mine}", "true"))
	d.Region, d.Account = "eu-west-1", "123456789012"
	got := []string{d.functionARN(Check), d.queueARN(d.Rule.DeadLetters), d.ruleARN(), d.machineARN(), d.scheduleARN(d.Schedules[0])}
	want := []string{
		"arn:aws:lambda:eu-west-1:123456789012:function:check", "arn:aws:sqs:eu-west-1:123456789012:scale-out-dead-letters",
		"arn:aws:events:eu-west-1:123456789012:rule/mine/scale-out", "arn:aws:states:eu-west-1:123456789012:stateMachine:sluice-sweep",
		"arn:aws:scheduler:eu-west-1:123456789012:schedule/default/sweep",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
