package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"golang.org/x/sync/errgroup"

	"sluice/internal/deployed"
	core "sluice/internal/scaler"
)

// whoami asks AWS who calls, and reads its clock from the answer.
func (g *gatherer) whoami(ctx context.Context) (Fact[string], Fact[time.Duration]) {
	out, err := g.env.Identity.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return Unknown[string](err), Unknown[time.Duration](err)
	}
	now := g.env.Now()
	theirs, ok := awsmiddleware.GetServerTime(out.ResultMetadata)
	if !ok {
		return Known(aws.ToString(out.Arn)), Unknown[time.Duration](errors.New("AWS did not say what time it is"))
	}
	return Known(aws.ToString(out.Arn)), Known(theirs.Sub(now))
}

// findStack finds what was deployed.
func (g *gatherer) findStack(ctx context.Context) {
	name := g.opts.Config.Deploy.Stack
	found := Stack{Name: name}
	stack, err := deployed.Find(ctx, g.env.Stacks, name)
	switch {
	case errors.Is(err, deployed.ErrMissing):
		g.facts.Stack = Known(found)
		return
	case denied(err):
		g.facts.Stack = Unknown[Stack](g.failed("cloudformation:DescribeStacks", err))
		return
	case err != nil && code(err) != "":
		g.facts.Stack = Unknown[Stack](err)
		return
	case err != nil:
		found.Problem = err.Error()
	}
	out, err := g.env.Stacks.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil || len(out.Stacks) == 0 {
		g.facts.Stack = Unknown[Stack](fmt.Errorf("describe stack %s: %w", name, err))
		return
	}
	s := out.Stacks[0]
	found.Exists, found.Status = true, string(s.StackStatus)
	found.Created = aws.ToTime(s.CreationTime)
	if s.LastUpdatedTime != nil {
		found.Created = *s.LastUpdatedTime
	}
	g.facts.Stack = Known(found)
	g.stack, g.facts.MachineARN = stack, stack.StateMachine
}

// has says whether the stack is there to be asked about.
func (g *gatherer) has() bool { return g.stack.Name != "" }

// functions looks at the functions and at what their roles allow, and asks Check what it sees.
func (g *gatherer) functions(ctx context.Context) {
	g.facts.Answer = Unknown[Answer](errNoStack)
	if !g.has() {
		return
	}
	parts := []struct {
		name string
		of   deployed.Function
	}{{scaleOut, g.stack.ScaleOut}, {checker, g.stack.Check}, {scaleIn, g.stack.ScaleIn}, {notifier, g.stack.Notify}}
	if g.stack.Notify.Name == "" {
		parts = parts[:3]
	}
	g.facts.Functions = make([]Function, len(parts))
	rights := make([]Rights, len(parts))
	var group errgroup.Group
	for i, p := range parts {
		group.Go(func() error {
			state := g.function(ctx, p.of.Name)
			g.facts.Functions[i] = Function{Name: p.name, State: state}
			rights[i] = Rights{Whose: "function " + p.name, Lacks: g.functionLacks(ctx, p.name, p.of, state)}
			return nil
		})
	}
	group.Go(func() error {
		g.facts.Answer = g.answer(ctx)
		return nil
	})
	_ = group.Wait()
	g.note(rights...)
}

// note keeps what roles lack; several parts find it out at once.
func (g *gatherer) note(r ...Rights) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.facts.Rights = append(g.facts.Rights, r...)
}

// function looks at one function.
func (g *gatherer) function(ctx context.Context, name string) Fact[FunctionState] {
	out, err := g.env.Lambda.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &name})
	if code(err) == "ResourceNotFoundException" {
		return Known(FunctionState{})
	}
	if err != nil {
		return Unknown[FunctionState](g.failed("lambda:GetFunctionConfiguration", err))
	}
	state := FunctionState{
		Exists: true, ARN: aws.ToString(out.FunctionArn), Role: aws.ToString(out.Role), State: string(out.State),
		Reason: aws.ToString(out.StateReason),
	}
	concurrency, err := g.env.Lambda.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &name})
	if err != nil {
		return Unknown[FunctionState](g.failed("lambda:GetFunctionConcurrency", err))
	}
	if n := concurrency.ReservedConcurrentExecutions; n != nil {
		state.Reserved = aws.Int(int(*n))
	}
	return Known(state)
}

// answer asks the Check function what a sweep would do, which changes nothing.
func (g *gatherer) answer(ctx context.Context) Fact[Answer] {
	in := core.PlanInput{Close: g.singly()}
	for _, t := range g.opts.Targets {
		in.Targets = append(in.Targets, t.Name)
	}
	if len(in.Targets) == len(g.opts.Config.Targets) {
		in.Targets = nil
	}
	payload, err := json.Marshal(map[string]any{"plan": in})
	if err != nil {
		return Unknown[Answer](err)
	}
	out, err := g.env.Lambda.Invoke(ctx, &lambda.InvokeInput{
		FunctionName: &g.stack.Check.Name, Payload: payload, InvocationType: lambdatypes.InvocationTypeRequestResponse,
	})
	switch {
	case err != nil:
		return Unknown[Answer](g.failed("lambda:InvokeFunction", err))
	case out.FunctionError != nil:
		var failure struct{ ErrorType, ErrorMessage string }
		_ = json.Unmarshal(out.Payload, &failure) // What cannot be read says nothing.
		return Unknown[Answer](fmt.Errorf("the Check function ended in an error: %s: %s", failure.ErrorType, failure.ErrorMessage))
	}
	var plan struct {
		core.Plan
		Config string `json:"config"`
	}
	if err := json.Unmarshal(out.Payload, &plan); err != nil {
		return Unknown[Answer](fmt.Errorf("read what the Check function answers: %w", err))
	}
	return Known(Answer{Config: plan.Config, Plan: plan.Plan})
}

// wiring looks at the rule and the schedules.
func (g *gatherer) wiring(ctx context.Context) {
	g.facts.Rule, g.facts.Schedules = Unknown[Rule](errNoStack), Unknown[[]Schedule](errNoStack)
	if !g.has() {
		return
	}
	g.facts.Rule = g.rule(ctx)
	var list []Schedule
	for _, name := range g.stack.Schedules {
		s, err := g.schedule(ctx, name)
		if err != nil {
			g.facts.Schedules = Unknown[[]Schedule](err)
			return
		}
		list = append(list, s)
	}
	g.facts.Schedules = Known(list)
}

func (g *gatherer) rule(ctx context.Context) Fact[Rule] {
	name, bus := g.stack.Rule, g.opts.Config.Events.Bus
	out, err := g.env.Events.DescribeRule(ctx, &eventbridge.DescribeRuleInput{Name: &name, EventBusName: &bus})
	if code(err) == "ResourceNotFoundException" {
		return Known(Rule{Name: name})
	}
	if err != nil {
		return Unknown[Rule](g.failed("events:DescribeRule", err))
	}
	targets, err := g.env.Events.ListTargetsByRule(ctx, &eventbridge.ListTargetsByRuleInput{Rule: &name, EventBusName: &bus})
	if err != nil {
		return Unknown[Rule](g.failed("events:ListTargetsByRule", err))
	}
	r := Rule{Name: name, Exists: true, State: string(out.State), Pattern: aws.ToString(out.EventPattern)}
	for _, t := range targets.Targets {
		r.Targets = append(r.Targets, aws.ToString(t.Arn))
	}
	return Known(r)
}

func (g *gatherer) schedule(ctx context.Context, name string) (Schedule, error) {
	out, err := g.env.Schedules.GetSchedule(ctx, &scheduler.GetScheduleInput{Name: &name, GroupName: &g.stack.ScheduleGroup})
	if code(err) == "ResourceNotFoundException" {
		return Schedule{Name: name}, nil
	}
	if err != nil {
		return Schedule{}, g.failed("scheduler:GetSchedule", err)
	}
	s := Schedule{Name: name, Exists: true, State: string(out.State), Expression: aws.ToString(out.ScheduleExpression)}
	if out.Target != nil {
		s.Target = aws.ToString(out.Target.Arn)
		g.note(Rights{Whose: "schedule " + name, Lacks: g.lacks(ctx, aws.ToString(out.Target.RoleArn), []need{
			{action: "states:StartExecution", resources: []string{g.stack.StateMachine}},
		})})
	}
	return s, nil
}

// executionsSeen is how many sweeps are looked at.
const executionsSeen = 10

// machine looks at the state machine and its last sweeps.
func (g *gatherer) machine(ctx context.Context) {
	g.facts.Machine, g.facts.Executions = Unknown[string](errNoStack), Unknown[[]Execution](errNoStack)
	if !g.has() {
		return
	}
	arn := g.stack.StateMachine
	described, err := g.env.Machines.DescribeStateMachine(ctx, &sfn.DescribeStateMachineInput{StateMachineArn: &arn})
	switch {
	case code(err) == "StateMachineDoesNotExist":
		g.facts.Machine, g.facts.Executions = Known("MISSING"), Unknown[[]Execution](errors.New("the state machine is not there"))
		return
	case err != nil:
		g.facts.Machine = Unknown[string](g.failed("states:DescribeStateMachine", err))
	default:
		g.facts.Machine = Known(string(described.Status))
		g.note(Rights{Whose: "state machine", Lacks: g.machineLacks(ctx, aws.ToString(described.RoleArn))})
	}
	out, err := g.env.Machines.ListExecutions(ctx, &sfn.ListExecutionsInput{StateMachineArn: &arn, MaxResults: executionsSeen})
	if err != nil {
		g.facts.Executions = Unknown[[]Execution](g.failed("states:ListExecutions", err))
		return
	}
	var list []Execution
	var last *string // The ARN of the newest that has ended.
	for _, x := range out.Executions {
		list = append(list, Execution{Name: aws.ToString(x.Name), Status: string(x.Status), Started: aws.ToTime(x.StartDate)})
		if last == nil && x.StopDate != nil {
			last = x.ExecutionArn
		}
	}
	if i := slices.IndexFunc(list, func(x Execution) bool { return x.Status != "RUNNING" }); i >= 0 && list[i].Status != "SUCCEEDED" && last != nil {
		told, err := g.env.Machines.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: last})
		if err != nil {
			list[i].Cause = g.failed("states:DescribeExecution", err).Error()
		} else {
			list[i].Cause = aws.ToString(told.Cause)
		}
	}
	g.facts.Executions = Known(list)
}

// queues counts the dead letters.
func (g *gatherer) queues(ctx context.Context) {
	for _, whose := range sorted(g.stack.DeadLetters) {
		url := g.stack.DeadLetters[whose]
		q := Queue{Whose: whose}
		out, err := g.env.Queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
			QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{sqstypes.QueueAttributeNameApproximateNumberOfMessages},
		})
		switch {
		case err != nil:
			q.Messages = Unknown[int](g.failed("sqs:GetQueueAttributes", err))
		default:
			n, err := strconv.Atoi(out.Attributes[string(sqstypes.QueueAttributeNameApproximateNumberOfMessages)])
			q.Messages = Fact[int]{Value: n, Err: err}
		}
		g.facts.Queues = append(g.facts.Queues, q)
	}
}
