package cloud

import (
	"context"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
)

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
