package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/deployed"
	"sluice/internal/function"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// via says who looks at the targets.
type via string

const (
	viaAuto     via = "auto"
	viaDirect   via = "direct"   // This program, from this machine.
	viaFunction via = "function" // The Check function, which can reach a Redis in a VPC.
)

func (v *via) String() string { return string(*v) }

func (v *via) Type() string { return "way" }

func (v *via) Set(s string) error {
	if !slices.Contains([]via{viaAuto, viaDirect, viaFunction}, via(s)) {
		return errors.New("use auto, direct or function")
	}
	*v = via(s)
	return nil
}

// addVia gives a command the flag --via.
func addVia(cmd *cobra.Command, v *via) {
	*v = viaAuto
	cmd.Flags().Var(v, "via", "who looks: direct is this program, function the deployed Check function, auto the latter if there is a deploy.vpc")
	_ = cmd.RegisterFlagCompletionFunc("via", cobra.FixedCompletions([]string{"auto", "direct", "function"}, cobra.ShellCompDirectiveNoFileComp))
}

// viaHelp explains --via in a command's Long.
const viaHelp = "Usually this program itself looks at ECS and at the broker. A Redis in a VPC cannot be reached from most machines: where " +
	"sluice.yaml has a `deploy.vpc`, the deployed Check function is asked to look instead (--via)."

// live looks at what is deployed, as it is now.
type live struct {
	config *config.Config
	sdk    aws.Config
	via    via
	direct *scaler.Scaler // With viaDirect.

	mu    sync.Mutex
	stack *deployed.Stack // Once it was found.
}

func newLive(cmd *cobra.Command, c *config.Config, v via) (*live, error) {
	sdk, err := awsSettings(cmd, c)
	if err != nil {
		return nil, err
	}
	l := &live{config: c, sdk: sdk, via: v}
	if l.via == viaAuto {
		l.via = viaDirect
		if c.Deploy.VPC != nil {
			l.via = viaFunction
		}
	}
	if l.via == viaDirect {
		l.direct, err = function.Scaler(function.Setup{Config: c, AWS: sdk})
	}
	return l, err
}

// find finds the stack, once. The log is read while the targets are looked at.
func (l *live) find(ctx context.Context) (deployed.Stack, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stack == nil {
		s, err := deployed.Find(ctx, cloudformation.NewFromConfig(l.sdk), l.config.Deploy.Stack)
		if err != nil {
			return s, err
		}
		l.stack = &s
	}
	return *l.stack, nil
}

// logs is the client for the log of decisions.
func (l *live) logs() *cloudwatchlogs.Client { return cloudwatchlogs.NewFromConfig(l.sdk) }

// lookLimit bounds a look: a broker or a service that does not answer is unknown long before.
const lookLimit = 45 * time.Second

// plan looks at targets and says what a sweep would do. The note is what whoever reads the plan should know about it.
func (l *live) plan(ctx context.Context, in scaler.PlanInput) (p scaler.Plan, note string, err error) {
	ctx, cancel := context.WithTimeout(ctx, lookLimit)
	defer cancel()
	if l.via == viaDirect {
		p, err = l.direct.Plan(ctx, in)
		if err == nil && slices.ContainsFunc(p.Targets, func(t scaler.TargetPlan) bool { return t.Record.Backlog == nil && t.Record.Running != nil }) {
			note = "A broker could not be reached from here. If it is in a VPC: --via function has the deployed Check function look."
		}
		return p, note, err
	}
	s, err := l.find(ctx)
	if err != nil {
		return p, "", err
	}
	answer, err := l.ask(ctx, s.Check.Name, in)
	if err == nil && answer.Config != "" && answer.Config != l.config.Fingerprint() {
		note = "The Check function is deployed with another configuration than the file has now: what it says goes by that one."
	}
	return answer.Plan, note, err
}

// ask invokes the Check function.
func (l *live) ask(ctx context.Context, name string, in scaler.PlanInput) (answer function.Plan, err error) {
	payload, err := json.Marshal(map[string]any{"plan": in})
	if err != nil {
		return answer, fmt.Errorf("ask function %s: %w", name, err)
	}
	out, err := lambda.NewFromConfig(l.sdk).Invoke(ctx, &lambda.InvokeInput{FunctionName: &name, Payload: payload})
	if err != nil {
		return answer, fmt.Errorf("ask function %s: %w", name, err)
	}
	if out.FunctionError != nil {
		var failure struct{ ErrorType, ErrorMessage string }
		if json.Unmarshal(out.Payload, &failure) != nil || failure.ErrorMessage == "" {
			failure.ErrorMessage = string(out.Payload)
		}
		if failure.ErrorType == string(policy.UnknownTarget) {
			failure.ErrorMessage += ": it is not in the deployed configuration yet (make deploy)"
		}
		return answer, fmt.Errorf("ask function %s: %s: %s", name, failure.ErrorType, failure.ErrorMessage)
	}
	if err := json.Unmarshal(out.Payload, &answer); err != nil {
		return answer, fmt.Errorf("ask function %s: read its answer: %w", name, err)
	}
	if answer.At.IsZero() {
		return answer, fmt.Errorf("ask function %s: it is of an older Sluice, which knows no plan: deploy again (make deploy)", name)
	}
	return answer, nil
}

// unseen says whether a target could not be seen as far as a decision needs it. What executes, or is held, may be unknown for a moment
// that matters to nobody, as while a worker comes or goes: that is shown as ?, and is no problem.
func unseen(p scaler.TargetPlan) bool {
	return blind(p.Record) || p.Record.Error != "" && len(p.Overrides.Bad) == 0 // A tag that is wrong was seen well.
}

// blind says whether the decision had to do without something that it needs.
func blind(r scaler.Record) bool {
	return r.Backlog == nil || r.Running == nil || slices.Contains(r.Reasons, policy.ReasonUnknown)
}
