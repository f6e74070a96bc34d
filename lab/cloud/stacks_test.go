package cloud

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// client is the settings of an AWS client that uses the cloud, and tries nothing again.
func client(c *Cloud) aws.Config {
	return aws.Config{
		Region: c.deployed().Region, BaseEndpoint: aws.String(c.Endpoint()),
		Credentials:      credentials.NewStaticCredentialsProvider("local", "local", ""),
		RetryMaxAttempts: 1,
	}
}

// code is the code of an AWS error; empty if it is none.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}

func TestStacks(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true, Region: "eu-west-1"})
	ctx := t.Context()
	api := cloudformation.NewFromConfig(client(c))
	stacks, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("sluice")})
	if err != nil || len(stacks.Stacks) != 1 {
		t.Fatal(stacks, err)
	}
	s := stacks.Stacks[0]
	if s.StackStatus != "CREATE_COMPLETE" || s.CreationTime.IsZero() || *s.StackId != "arn:aws:cloudformation:eu-west-1:000000000000:stack/sluice/local" {
		t.Errorf("stack %v of %v: %v", *s.StackId, s.CreationTime, s.StackStatus)
	}
	got := map[string]string{}
	for _, o := range s.Outputs {
		got[*o.OutputKey] = *o.OutputValue
	}
	const queues = "https://sqs.eu-west-1.amazonaws.com/000000000000/"
	want := map[string]string{
		"ScaleOutFunction": "scaleout", "ScaleOutLogs": "/aws/lambda/scaleout", "ScaleOutDeadLetters": queues + "scaleout-dead-letters",
		"CheckFunction": "check", "CheckLogs": "/aws/lambda/check", "CheckDeadLetters": queues + "check-dead-letters",
		"ScaleInFunction": "scalein", "ScaleInLogs": "/aws/lambda/scalein", "ScaleInDeadLetters": queues + "scalein-dead-letters",
		"Rule": "scale-out", "RuleDeadLetters": queues + "scale-out-dead-letters",
		"Schedules": "sweep", "ScheduleGroup": "sluice", "SchedulesDeadLetters": queues + "sweep-dead-letters",
		"StateMachine": "arn:aws:states:eu-west-1:000000000000:stateMachine:sluice-sweep",
		"AlarmTopic":   "arn:aws:sns:eu-west-1:000000000000:sluice-alarms",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}

	if err := c.AddStack("shop", `{"Resources": "<&>"}`); err != nil {
		t.Fatal(err)
	}
	if err := c.AddStack("shop", "{}"); err == nil {
		t.Error("a stack was added twice")
	}
	all, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{})
	if err != nil || len(all.Stacks) != 2 || *all.Stacks[1].StackName != "shop" || len(all.Stacks[1].Outputs) != 0 {
		t.Errorf("stacks %v, %v", all, err)
	}
	for _, name := range []string{"shop", *all.Stacks[1].StackId} {
		template, err := api.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: &name})
		if err != nil || *template.TemplateBody != `{"Resources": "<&>"}` {
			t.Errorf("template %v, %v", template, err)
		}
	}
	for name, call := range map[string]func(context.Context) error{
		"DescribeStacks": func(ctx context.Context) error {
			_, err := api.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: aws.String("none")})
			return err
		},
		"GetTemplate": func(ctx context.Context) error {
			_, err := api.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: aws.String("none")})
			return err
		},
	} {
		var e smithy.APIError
		if err := call(ctx); !errors.As(err, &e) || e.ErrorCode() != "ValidationError" || e.ErrorMessage() != "Stack with id none does not exist" {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A call with something that would be passed over is refused.
	_, err = api.GetTemplate(ctx, &cloudformation.GetTemplateInput{StackName: aws.String("shop"), ChangeSetName: aws.String("x")})
	if code(err) != "ValidationException" {
		t.Errorf("a change set: %v", err)
	}
	if _, err := api.ListStacks(ctx, &cloudformation.ListStacksInput{}); code(err) != "UnknownOperationException" {
		t.Errorf("ListStacks: %v", err)
	}
}
