// Package deployed finds what was deployed: from the name of a CloudFormation stack, which stands in sluice.yaml, to the functions,
// their logs, the rule, the schedules and the state machine, by the stack's outputs.
//
// Outputs are the one thing that says all of it in one call, whatever names CloudFormation gave, and wherever the construct of
// package sluicecdk was put. Their names are fixed; infra/sluicecdk/outputs.go makes them.
package deployed

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/smithy-go"

	"sluice/internal/deployed/decisions"
)

// Stacks is what Find asks. *cloudformation.Client is one.
type Stacks interface {
	DescribeStacks(context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options)) (*cloudformation.DescribeStacksOutput, error)
}

// Stack is Sluice as it is deployed.
type Stack struct {
	Name string
	ID   string // Its ARN.

	ScaleOut, Check, ScaleIn Function

	StateMachine  string // ARN.
	Rule          string // Name; its bus stands in sluice.yaml.
	Schedules     []string
	ScheduleGroup string
	Dashboard     string // Name.
	AlarmTopic    string // ARN.
	// DeadLetters are queue URLs, by whose they are, such as "ScaleOut" or "Rule".
	DeadLetters    map[string]string
	SecurityGroups []string

	Notify         Function // With deploy.notify.
	NotifyTopic    string   // ARN.
	NotifySchedule string
}

// Function is a Lambda function of the stack.
type Function struct {
	Name string
	Logs string // The name of its log group.
}

// ErrMissing is the error of Find where there is no such stack.
var ErrMissing = errors.New("there is no such stack")

// Find returns the stack of that name. Its error wraps ErrMissing if there is none, and says the remedy.
func Find(ctx context.Context, c Stacks, name string) (Stack, error) {
	out, err := c.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	var e smithy.APIError
	if errors.As(err, &e) && e.ErrorCode() == "ValidationError" && strings.Contains(e.ErrorMessage(), "does not exist") || err == nil && len(out.Stacks) == 0 {
		return Stack{}, fmt.Errorf("find stack %s: %w here: deploy first (make deploy), name another deploy.stack, or look in another account or Region", name, ErrMissing)
	}
	if err != nil {
		return Stack{}, fmt.Errorf("find stack %s: %w", name, err)
	}
	return read(name, out.Stacks[0])
}

// read reads the outputs of a stack.
func read(name string, s types.Stack) (Stack, error) {
	outputs := map[string]string{}
	for _, o := range s.Outputs {
		outputs[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	var missing []string
	needed := func(key string) string {
		if outputs[key] == "" {
			missing = append(missing, key)
		}
		return outputs[key]
	}
	function := func(whose string) Function { return Function{needed(whose + "Function"), needed(whose + "Logs")} }
	d := Stack{
		Name: name, ID: aws.ToString(s.StackId),
		ScaleOut: function("ScaleOut"), Check: function("Check"), ScaleIn: function("ScaleIn"),
		StateMachine: needed("StateMachine"), Rule: needed("Rule"), Schedules: strings.Split(needed("Schedules"), ","), ScheduleGroup: needed("ScheduleGroup"),
		Dashboard: outputs["Dashboard"], AlarmTopic: outputs["AlarmTopic"],
		Notify: Function{outputs["NotifyFunction"], outputs["NotifyLogs"]}, NotifyTopic: outputs["NotifyTopic"], NotifySchedule: outputs["NotifySchedule"],
		DeadLetters: map[string]string{},
	}
	for _, key := range slices.Sorted(maps.Keys(outputs)) {
		if whose, ok := strings.CutSuffix(key, "DeadLetters"); ok {
			d.DeadLetters[whose] = outputs[key]
		}
	}
	for i := 1; outputs["SecurityGroup"+strconv.Itoa(i)] != ""; i++ {
		d.SecurityGroups = append(d.SecurityGroups, outputs["SecurityGroup"+strconv.Itoa(i)])
	}
	switch {
	case len(outputs) == 0:
		return Stack{}, fmt.Errorf("find stack %s: it is %s and has no outputs: see its events in CloudFormation, and deploy again (make deploy)", name, s.StackStatus)
	case len(missing) > 0:
		return Stack{}, fmt.Errorf("find stack %s: it has no output %s: it is another stack than Sluice's (deploy.stack), or was deployed by an older "+
			"Sluice (make deploy)", name, strings.Join(missing, ", "))
	}
	return d, nil
}

// Log is the log of the stack's decisions.
func (s Stack) Log(c decisions.Client) decisions.Log {
	return decisions.Log{Client: c, Groups: []string{s.ScaleOut.Logs, s.Check.Logs, s.ScaleIn.Logs}}
}
