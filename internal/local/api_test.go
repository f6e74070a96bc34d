package local

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/applicationautoscaling"
	scalable "github.com/aws/aws-sdk-go-v2/service/applicationautoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	policies "sluice/internal/local/iam"
)

// What functions print is found in their log groups.
func TestLogs(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	if res, err := c.Functions().Invoke(t.Context(), Check, []byte(`{}`)); err != nil || res.FunctionError != "" {
		t.Fatalf("%s, %v", res.Payload, err)
	}
	api := cloudwatchlogs.NewFromConfig(client(c))
	for pattern, want := range map[string]int{`{ $.message = "decision" && $.target = "video" }`: 1, `{ $.target = "nobody" }`: 0} {
		out, err := api.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: aws.String("/aws/lambda/check"), FilterPattern: &pattern, StartTime: aws.Int64(time.Now().Add(-time.Minute).UnixMilli()),
		})
		if err != nil || len(out.Events) != want {
			t.Fatalf("%s: %v, %v", pattern, out, err)
		}
		for _, e := range out.Events {
			if age := time.Since(time.UnixMilli(*e.Timestamp)); age < 0 || age > time.Minute || !strings.Contains(*e.LogStreamName, "[$LATEST]") {
				t.Errorf("a line of %v ago in %s", age, *e.LogStreamName)
			}
		}
	}
	out, err := api.FilterLogEvents(t.Context(), &cloudwatchlogs.FilterLogEventsInput{LogGroupName: aws.String("/aws/lambda/scalein")})
	if err != nil || len(out.Events) != 0 {
		t.Errorf("a function that never ran: %v, %v", out, err)
	}
}

func TestFunctionsAPI(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := lambda.NewFromConfig(client(c))
	for _, name := range []string{"scaleout", "arn:aws:lambda:us-east-1:000000000000:function:scaleout"} {
		f, err := api.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: &name})
		if err != nil || *f.Role != "arn:aws:iam::000000000000:role/scaleout" || f.State != "Active" || *f.Timeout != 30 || *f.MemorySize != 512 ||
			*f.FunctionArn != "arn:aws:lambda:us-east-1:000000000000:function:scaleout" || *f.LoggingConfig.LogGroup != "/aws/lambda/scaleout" ||
			*f.DeadLetterConfig.TargetArn != "arn:aws:sqs:us-east-1:000000000000:scaleout-dead-letters" {
			t.Errorf("%s: %+v, %v", name, f, err)
		}
	}
	if _, err := api.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("none")}); code(err) != "ResourceNotFoundException" {
		t.Errorf("a function that is not there: %v", err)
	}
	concurrency := func(name string) *int32 {
		out, err := api.GetFunctionConcurrency(t.Context(), &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
		if err != nil {
			t.Fatal(err)
		}
		return out.ReservedConcurrentExecutions
	}
	if one, none := concurrency(ScaleOut), concurrency(Check); one == nil || *one != 1 || none != nil {
		t.Errorf("concurrency %v and %v", one, none)
	}
	undo, err := c.Change(func(d *Deployment) { d.Functions[1].Stopped = true })
	if err != nil {
		t.Fatal(err)
	}
	invoke := func() error {
		_, err := api.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String(Check)})
		return err
	}
	if n := concurrency(Check); n == nil || *n != 0 || code(invoke()) != "TooManyRequestsException" {
		t.Errorf("a function that is stopped: %v, %v", n, invoke())
	}
	if err := undo(); err != nil || invoke() != nil {
		t.Errorf("and one that is not: %v, %v", err, invoke())
	}
}

func TestRuleAndScheduleAPI(t *testing.T) {
	c, r := start(t, settings(t, "", "true"), Options{NoSweep: true})
	rules, schedules := eventbridge.NewFromConfig(client(c)), scheduler.NewFromConfig(client(c))
	rule := func() *eventbridge.DescribeRuleOutput {
		out, err := rules.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("scale-out"), EventBusName: aws.String("default")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	target := func() string {
		out, err := rules.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: aws.String("scale-out")})
		if err != nil || len(out.Targets) != 1 || *out.Targets[0].RetryPolicy.MaximumRetryAttempts != 20 ||
			*out.Targets[0].DeadLetterConfig.Arn != "arn:aws:sqs:us-east-1:000000000000:scale-out-dead-letters" {
			t.Fatal(out, err)
		}
		return *out.Targets[0].Arn
	}
	schedule := func() *scheduler.GetScheduleOutput {
		out, err := schedules.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("sweep"), GroupName: aws.String("sluice")})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := rule(); got.State != "ENABLED" || *got.Arn != "arn:aws:events:us-east-1:000000000000:rule/scale-out" ||
		*got.EventPattern != `{"detail-type":["celery.task.queue_full"],"source":["custom.celery.monitor"]}` {
		t.Errorf("rule %+v", got)
	}
	if got := target(); got != "arn:aws:lambda:us-east-1:000000000000:function:scaleout" {
		t.Errorf("target %s", got)
	}
	if got := schedule(); got.State != "ENABLED" || *got.ScheduleExpression != "rate(5 minutes)" || *got.Target.Input != "{}" || got.CreationDate.IsZero() ||
		*got.Target.Arn != "arn:aws:states:us-east-1:000000000000:stateMachine:sluice-sweep" {
		t.Errorf("schedule %+v", got)
	}

	undo, err := c.Change(func(d *Deployment) {
		d.Rule.Disabled, d.Rule.Pattern, d.Rule.Target, d.Schedules[0].Disabled = true, `{"source":["other"]}`, Check, true
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := rule(); got.State != "DISABLED" || *got.EventPattern != `{"source":["other"]}` || !strings.HasSuffix(target(), ":check") {
		t.Errorf("changed rule %+v", got)
	}
	if got := schedule(); got.State != "DISABLED" {
		t.Errorf("changed schedule %+v", got)
	}
	put(t, c, "1")
	if d := r.wait(t, "the event", func(h Happening) bool { return h.Delivery != nil }).Delivery; d.Rule != "" {
		t.Errorf("the event went to rule %s", d.Rule)
	}
	if err := undo(); err != nil {
		t.Fatal(err)
	}
	put(t, c, "1")
	r.wait(t, "the event by the rule", func(h Happening) bool { return h.Delivery != nil && h.Delivery.Rule == RuleName })

	if _, err := c.Change(func(d *Deployment) { d.Rule.Pattern = "{}" }); err == nil {
		t.Error("a rule without a pattern")
	}
	if _, err := c.Change(func(d *Deployment) { d.Rule.Name, d.Schedules = "renamed", nil }); err != nil {
		t.Fatal(err)
	}
	if _, err := rules.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("scale-out")}); code(err) != "ResourceNotFoundException" {
		t.Errorf("the rule that was: %v", err)
	}
	if _, err := schedules.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("sweep"), GroupName: aws.String("sluice")}); code(err) != "ResourceNotFoundException" {
		t.Errorf("the schedule that was: %v", err)
	}
}

// A schedule that is disabled starts nothing, and goes on when it is enabled.
func TestDisabledSchedule(t *testing.T) {
	path := settings(t, "", "true")
	d := builtIn(t, path)
	d.Schedules[0].Disabled = true
	c, r := start(t, path, Options{Deployment: d})
	if _, err := c.Change(func(d *Deployment) { d.Schedules[0].Name = "renamed" }); err != nil {
		t.Fatal(err)
	}
	put(t, c, "1") // Takes its time, in which the first sweep would have begun at once.
	enabled := time.Now()
	if _, err := c.Change(func(d *Deployment) { d.Schedules[0].Name, d.Schedules[0].Disabled = Sweep, false }); err != nil {
		t.Fatal(err)
	}
	if h := r.wait(t, "a sweep", func(h Happening) bool { return h.Execution != nil }); h.At.Before(enabled) {
		t.Error("a sweep began although the schedule was disabled")
	}
}

func TestQueuesAPI(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := sqs.NewFromConfig(client(c))
	url := aws.String(c.deployed().Outputs["CheckDeadLetters"])
	if err := c.send(c.deployed().functionCaller(Check), "check-dead-letters", message{Body: `{"a":1}`, Attributes: map[string]string{"ErrorMessage": "x"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: url, MessageBody: aws.String("second")}); err != nil {
		t.Fatal(err)
	}
	count := func() map[string]string {
		out, err := api.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: url, AttributeNames: []sqstypes.QueueAttributeName{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"}})
		if err != nil {
			t.Fatal(err)
		}
		return out.Attributes
	}
	want := func(visible, hidden string) {
		t.Helper()
		if diff := cmp.Diff(map[string]string{"ApproximateNumberOfMessages": visible, "ApproximateNumberOfMessagesNotVisible": hidden}, count()); diff != "" {
			t.Error(diff)
		}
	}
	want("2", "0")
	// A look leaves the messages where they are. And the URL that AWS has leads to no other place than the cloud, from Python neither.
	got := script(t, c, `
import sys, boto3
q = boto3.client("sqs")
for _ in range(2):
    messages = q.receive_message(QueueUrl=sys.argv[1], VisibilityTimeout=0, MaxNumberOfMessages=10, MessageAttributeNames=["All"])["Messages"]
    print(messages[0]["Body"], messages[0]["MessageAttributes"]["ErrorMessage"]["StringValue"], messages[1]["Body"], q.meta.endpoint_url)
`, *url)
	if line := `{"a":1} x second ` + c.Endpoint(); got != line+"\n"+line {
		t.Errorf("by boto3: %s", got)
	}
	want("2", "0")
	out, err := api.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: url})
	if err != nil || len(out.Messages) != 1 {
		t.Fatal(out, err)
	}
	want("1", "1")
	if _, err := api.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: url, ReceiptHandle: out.Messages[0].ReceiptHandle}); err != nil {
		t.Fatal(err)
	}
	want("1", "0")
	if _, err := api.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String("https://x/y/none")}); code(err) != "QueueDoesNotExist" {
		t.Errorf("a queue that is not there: %v", err)
	}
}

func TestSimulatePrincipalPolicy(t *testing.T) {
	path := settings(t, "", "true")
	c, _ := start(t, path, Options{NoSweep: true})
	api := iam.NewFromConfig(client(c))
	const service = "arn:aws:ecs:us-east-1:000000000000:service/media/workers"
	simulate := func(principal, action string, context ...iamtypes.ContextEntry) string {
		t.Helper()
		out, err := api.SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{
			PolicySourceArn: aws.String("arn:aws:iam::000000000000:" + principal), ActionNames: []string{action}, ResourceArns: []string{service},
			ContextEntries: context,
		})
		if err != nil || len(out.EvaluationResults) != 1 || *out.EvaluationResults[0].EvalActionName != action || *out.EvaluationResults[0].EvalResourceName != service {
			t.Fatal(out, err)
		}
		return string(out.EvaluationResults[0].EvalDecision)
	}
	if got := simulate("role/scaleout", "ecs:UpdateService"); got != "allowed" {
		t.Errorf("without policies: %s", got)
	}
	_, err := c.Change(func(d *Deployment) {
		d.Access = everything(d)
		d.Access.Roles[d.functionARN(ScaleOut)] = policies.Policy{
			{Actions: []string{"ecs:Describe*"}, Resources: []string{"*"}},
			{Actions: []string{"ecs:UpdateService"}, Resources: []string{service}, Conditions: []policies.Condition{{Operator: "ArnEquals", Key: "ecs:cluster", Values: []string{"arn:c"}}}},
			{Deny: true, Actions: []string{"ecs:DescribeTasks"}, Resources: []string{"*"}},
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	cluster := iamtypes.ContextEntry{ContextKeyName: aws.String("ecs:cluster"), ContextKeyType: iamtypes.ContextKeyTypeEnumString, ContextKeyValues: []string{"arn:c"}}
	for _, tt := range []struct {
		principal, action string
		context           []iamtypes.ContextEntry
		want              string
	}{
		{"role/scaleout", "ecs:DescribeServices", nil, "allowed"},
		{"role/scaleout", "ecs:DescribeTasks", nil, "explicitDeny"},
		{"role/scaleout", "ecs:TagResource", nil, "implicitDeny"},
		{"role/scaleout", "ecs:UpdateService", nil, "implicitDeny"},
		{"role/scaleout", "ecs:UpdateService", []iamtypes.ContextEntry{cluster}, "allowed"},
		{"role/check", "ecs:TagResource", nil, "allowed"},
		{"role/sweep", "ecs:TagResource", nil, "allowed"},
		{"user/local", "ecs:TagResource", nil, "allowed"},
	} {
		if got := simulate(tt.principal, tt.action, tt.context...); got != tt.want {
			t.Errorf("%s: %s: %s, want %s", tt.principal, tt.action, got, tt.want)
		}
	}
	_, err = api.SimulatePrincipalPolicy(t.Context(), &iam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String("arn:aws:iam::000000000000:role/none"), ActionNames: []string{"a:b"},
	})
	if code(err) != "NoSuchEntity" {
		t.Errorf("a role that is not there: %v", err)
	}
	who, err := sts.NewFromConfig(client(c)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Arn != "arn:aws:iam::000000000000:user/local" || *who.Account != Account {
		t.Errorf("caller %+v, %v", who, err)
	}
}

func TestScalableTargets(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := applicationautoscaling.NewFromConfig(client(c))
	find := func(ids ...string) int {
		out, err := api.DescribeScalableTargets(t.Context(), &applicationautoscaling.DescribeScalableTargetsInput{ServiceNamespace: "ecs", ResourceIds: ids})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range out.ScalableTargets {
			if *s.ResourceId != "service/media/workers" || *s.MinCapacity != 1 || *s.MaxCapacity != 9 || s.CreationTime.IsZero() {
				t.Errorf("scalable target %+v", s)
			}
		}
		return len(out.ScalableTargets)
	}
	id, dimension := aws.String("service/media/workers"), scalable.ScalableDimensionECSServiceDesiredCount
	for _, most := range []int32{5, 9} { // The same one.
		if _, err := api.RegisterScalableTarget(t.Context(), &applicationautoscaling.RegisterScalableTargetInput{
			ServiceNamespace: "ecs", ResourceId: id, ScalableDimension: dimension, MinCapacity: aws.Int32(1), MaxCapacity: aws.Int32(most),
		}); err != nil {
			t.Fatal(err)
		}
	}
	if all, mine, others := find(), find("service/media/workers"), find("service/media/x"); all != 1 || mine != 1 || others != 0 {
		t.Errorf("%d, %d, %d scalable targets", all, mine, others)
	}
	for _, want := range []string{"", "ObjectNotFoundException"} {
		_, err := api.DeregisterScalableTarget(t.Context(), &applicationautoscaling.DeregisterScalableTargetInput{ServiceNamespace: "ecs", ResourceId: id, ScalableDimension: dimension})
		if code(err) != want || err != nil != (want != "") {
			t.Errorf("deregister: %v, want %q", err, want)
		}
	}
	if n := find(); n != 0 {
		t.Errorf("%d scalable targets are left", n)
	}
}

func TestPublish(t *testing.T) {
	c, r := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := sns.NewFromConfig(client(c))
	topic := c.deployed().Outputs["AlarmTopic"]
	out, err := api.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Subject: aws.String("a < b"), Message: aws.String("0 -> 3\n")})
	if err != nil || *out.MessageId == "" {
		t.Fatal(out, err)
	}
	got := r.wait(t, "the message", func(h Happening) bool { return h.Published != nil }).Published
	if diff := cmp.Diff(&Published{topic, "a < b", "0 -> 3\n"}, got); diff != "" {
		t.Error(diff)
	}
	if _, err := api.Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String(topic + "x"), Message: aws.String("m")}); code(err) != "NotFound" {
		t.Errorf("a topic that is not there: %v", err)
	}
}

func TestStateMachineAPI(t *testing.T) {
	c, r := start(t, settings(t, "", "true"), Options{NoSweep: true})
	api := sfn.NewFromConfig(client(c))
	machine := aws.String(c.deployed().Outputs["StateMachine"])
	m, err := api.DescribeStateMachine(t.Context(), &sfn.DescribeStateMachineInput{StateMachineArn: machine})
	if err != nil || m.Status != "ACTIVE" || *m.Definition != c.deployed().Machine.Definition || *m.RoleArn != "arn:aws:iam::000000000000:role/sluice-sweep" {
		t.Errorf("%+v, %v", m, err)
	}
	for _, name := range []string{"first", "second"} {
		if _, err := api.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: machine, Name: &name, Input: aws.String("{}")}); err != nil {
			t.Fatal(err)
		}
		r.wait(t, "the end of "+name, func(h Happening) bool {
			return h.Execution != nil && h.Execution.Name == name && h.Execution.Ended != nil
		})
	}
	list, err := api.ListExecutions(t.Context(), &sfn.ListExecutionsInput{StateMachineArn: machine})
	if err != nil || len(list.Executions) != 2 || *list.Executions[0].Name != "second" || list.Executions[0].Status != "SUCCEEDED" || list.Executions[0].StartDate.IsZero() {
		t.Errorf("%+v, %v", list, err)
	}
	for name, call := range map[string]func(context.Context) error{
		"describe": func(ctx context.Context) error {
			_, err := api.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: aws.String(*machine + "x")})
			return err
		},
		"list": func(ctx context.Context) error {
			_, err := api.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: aws.String(*machine + "x")})
			return err
		},
	} {
		if err := call(t.Context()); code(err) != "StateMachineDoesNotExist" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A service shows what its tasks run; and what a test plants there.
func TestTaskDefinition(t *testing.T) {
	c, _ := start(t, settings(t, "", "sh", "-c", "true"), Options{NoSweep: true})
	api := ecs.NewFromConfig(client(c))
	describe := func() *ecstypes.TaskDefinition {
		t.Helper()
		s, err := api.DescribeServices(t.Context(), &ecs.DescribeServicesInput{Cluster: aws.String("media"), Services: []string{"workers"}, Include: []ecstypes.ServiceField{"TAGS"}})
		if err != nil || len(s.Services) != 1 {
			t.Fatal(s, err)
		}
		d, err := api.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: s.Services[0].TaskDefinition})
		if err != nil {
			t.Fatal(err)
		}
		return d.TaskDefinition
	}
	d := describe()
	if *d.Cpu != "256" || *d.Memory != "512" || *d.Family != "workers" || d.Revision != 1 || len(d.ContainerDefinitions) != 1 {
		t.Errorf("%+v", d)
	}
	if w := d.ContainerDefinitions[0]; *w.Name != "workers" || *w.StopTimeout != 10 || strings.Join(w.Command, " ") != "sh -c true" || !*w.Essential {
		t.Errorf("%+v", w)
	}
	if err := c.ECS().SetContainers("media", "workers", ecstypes.ContainerDefinition{Name: aws.String("a"), EntryPoint: []string{"dumb-init"}}); err != nil {
		t.Fatal(err)
	}
	if d := describe(); *d.ContainerDefinitions[0].Name != "a" || d.ContainerDefinitions[0].EntryPoint[0] != "dumb-init" {
		t.Errorf("%+v", d)
	}
	if err := c.ECS().SetContainers("media", "none"); err == nil {
		t.Error("containers of a service that is not there")
	}
	if _, err := api.DescribeTaskDefinition(t.Context(), &ecs.DescribeTaskDefinitionInput{TaskDefinition: aws.String("none")}); code(err) != "ClientException" {
		t.Errorf("a definition that is not there: %v", err)
	}

	arn := aws.String("arn:aws:ecs:us-east-1:000000000000:service/media/workers")
	if err := c.ECS().SetTags("media", "workers", map[string]string{"aws:cloudformation:stack-name": "shop", "b": "1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := api.UntagResource(t.Context(), &ecs.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"b"}}); err != nil {
		t.Fatal(err)
	}
	tags, err := api.ListTagsForResource(t.Context(), &ecs.ListTagsForResourceInput{ResourceArn: arn})
	if err != nil || len(tags.Tags) != 1 || *tags.Tags[0].Value != "shop" {
		t.Errorf("tags %v, %v", tags, err)
	}
	if err := c.ECS().SetTags("media", "workers", map[string]string{"aws:cloudformation:stack-name": ""}); err != nil {
		t.Fatal(err)
	}
	if tags, err := api.ListTagsForResource(t.Context(), &ecs.ListTagsForResourceInput{ResourceArn: arn}); err != nil || len(tags.Tags) != 0 {
		t.Errorf("tags %v, %v", tags, err)
	}
}
