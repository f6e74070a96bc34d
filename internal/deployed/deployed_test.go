package deployed

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// stacks answers for one stack, or with an error.
type stacks struct {
	stack types.Stack
	err   error
}

func (s stacks) DescribeStacks(
	_ context.Context, in *cloudformation.DescribeStacksInput, _ ...func(*cloudformation.Options),
) (*cloudformation.DescribeStacksOutput, error) {
	if s.err != nil {
		return nil, s.err
	}
	if *in.StackName != *s.stack.StackName {
		return nil, &smithy.GenericAPIError{Code: "ValidationError", Message: "Stack with id " + *in.StackName + " does not exist"}
	}
	return &cloudformation.DescribeStacksOutput{Stacks: []types.Stack{s.stack}}, nil
}

// stack is a stack with the outputs, less those that are left out.
func stack(outputs map[string]string, without ...string) stacks {
	s := types.Stack{StackName: aws.String("shop"), StackId: aws.String("arn:shop"), StackStatus: types.StackStatusCreateComplete}
	for _, key := range slices.Sorted(maps.Keys(outputs)) {
		if !slices.Contains(without, key) {
			s.Outputs = append(s.Outputs, types.Output{OutputKey: aws.String(key), OutputValue: aws.String(outputs[key])})
		}
	}
	return stacks{stack: s}
}

var least = map[string]string{
	"ScaleOutFunction": "out", "ScaleOutLogs": "/out", "CheckFunction": "check", "CheckLogs": "/check", "ScaleInFunction": "in", "ScaleInLogs": "/in",
	"StateMachine": "arn:machine", "Rule": "rule", "Schedules": "a,b", "ScheduleGroup": "group",
}

func TestFind(t *testing.T) {
	outputs := maps.Clone(least)
	maps.Copy(outputs, map[string]string{
		"Dashboard": "board", "AlarmTopic": "arn:topic", "SecurityGroup1": "sg-1", "SecurityGroup2": "sg-2", "ScaleOutDeadLetters": "https://out", "RuleDeadLetters": "https://rule",
		"NotifyFunction": "notify", "NotifyLogs": "/notify", "NotifyTopic": "arn:digest", "NotifySchedule": "digest",
	})
	got, err := Find(t.Context(), stack(outputs), "shop")
	if err != nil {
		t.Fatal(err)
	}
	want := Stack{
		Name: "shop", ID: "arn:shop", ScaleOut: Function{"out", "/out"}, Check: Function{"check", "/check"}, ScaleIn: Function{"in", "/in"},
		StateMachine: "arn:machine", Rule: "rule", Schedules: []string{"a", "b"}, ScheduleGroup: "group", Dashboard: "board", AlarmTopic: "arn:topic",
		DeadLetters: map[string]string{"ScaleOut": "https://out", "Rule": "https://rule"}, SecurityGroups: []string{"sg-1", "sg-2"},
		Notify: Function{"notify", "/notify"}, NotifyTopic: "arn:digest", NotifySchedule: "digest",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := Find(t.Context(), stack(least), "shop"); err != nil {
		t.Errorf("with what there is at least: %v", err)
	}
}

func TestFindSaysWhatToDo(t *testing.T) {
	failed := stack(nil)
	failed.stack.StackStatus = types.StackStatusRollbackComplete
	for _, tt := range []struct {
		name    string
		c       Stacks
		stack   string
		missing bool
		want    string
	}{
		{"no stack", stack(least), "other", true, "find stack other: there is no such stack here: deploy first"},
		{"an older one", stack(least, "CheckLogs", "Rule"), "shop", false, "it has no output CheckLogs, Rule: it is another stack"},
		{"one that failed", failed, "shop", false, "it is ROLLBACK_COMPLETE and has no outputs"},
		{"no right", stacks{err: &smithy.GenericAPIError{Code: "AccessDenied", Message: "not authorized"}}, "shop", false, "not authorized"},
		{"another validation error", stacks{err: &smithy.GenericAPIError{Code: "ValidationError", Message: "1 validation error"}}, "shop", false, "1 validation error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Find(t.Context(), tt.c, tt.stack)
			if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, ErrMissing) != tt.missing {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}
