package doctor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"sluice/internal/awsname"
	"sluice/internal/config"
	"sluice/internal/deployed"
)

// need is a right that a role has to have: the README's table "On AWS" in the form in which IAM can be asked.
type need struct {
	action    string
	resources []string
	context   map[string]string // Condition keys that the call would have.
}

// tagKeys is the condition key of the tags that a call would set: the only one here that has several values.
const tagKeys = "aws:TagKeys"

// place is where a deployment is.
type place struct{ partition, region, account string }

func (p place) arn(service, resource string) string {
	return arn.ARN{Partition: p.partition, Service: service, Region: p.region, AccountID: p.account, Resource: resource}.String()
}

// service is the ARN of a target's service, and task that of one of its tasks, whichever: rights are for all of a cluster.
func (p place) service(t config.Target) string {
	if strings.HasPrefix(t.Service, "arn:") {
		return t.Service
	}
	return p.arn("ecs", "service/"+awsname.Last(t.Cluster)+"/"+t.Service)
}

func (p place) task(t config.Target) string {
	return p.arn("ecs", "task/"+awsname.Last(t.Cluster)+"/0123456789abcdef0123456789abcdef")
}

// needs are the rights that the function of that name has to have.
func needs(c *config.Config, function string, p place) []need {
	asked := slices.DeleteFunc(slices.Clone(c.Targets), func(t config.Target) bool { return t.Activity.Source != config.ActivityInspect })
	shielded := slices.DeleteFunc(slices.Clone(asked), func(t config.Target) bool { return !t.Shield })
	services := each(c.Targets, p.service)
	out := []need{{action: "ecs:DescribeServices", resources: services}}
	look := c.Targets
	switch function {
	case notifier: // Which reads logs, and asks no broker.
		return append(out, need{action: "ecs:DescribeTaskDefinition", resources: []string{"*"}})
	case scaleOut:
		look = asked
		out = append(out, need{action: "ecs:UpdateService", resources: services},
			need{action: "ecs:TagResource", resources: services, context: map[string]string{tagKeys: "sluice:floor"}})
	case checker:
		out = append(out, need{action: "ecs:UpdateTaskProtection", resources: each(shielded, p.task)},
			need{action: "ecs:TagResource", resources: each(shielded, p.task), context: map[string]string{tagKeys: "sluice:shield"}})
	case scaleIn:
		out = append(out, need{action: "ecs:UpdateService", resources: services},
			need{action: "ecs:UpdateTaskProtection", resources: each(asked, p.task)})
	}
	for _, cluster := range each(look, func(t config.Target) string { return p.arn("ecs", "cluster/"+awsname.Last(t.Cluster)) }) {
		out = append(out, need{action: "ecs:ListTasks", resources: []string{"*"}, context: map[string]string{"ecs:cluster": cluster}})
	}
	tasks := each(look, p.task)
	out = append(out, need{action: "ecs:DescribeTasks", resources: tasks}, need{action: "ecs:GetTaskProtection", resources: tasks})
	for _, b := range c.Brokers {
		via := ""
		switch {
		case b.URLSecret != "":
			via = "secretsmanager"
			out = append(out, need{action: "secretsmanager:GetSecretValue", resources: []string{p.secret(b.URLSecret)}})
		case b.URLParameter != "":
			via = "ssm"
			out = append(out, need{action: "ssm:GetParameter", resources: []string{p.parameter(b.URLParameter)}})
		default:
			continue
		}
		// Which key which of them is encrypted with nobody says: each has to be good for all.
		out = append(out, need{
			action: "kms:Decrypt", resources: c.Deploy.Keys, context: map[string]string{"kms:ViaService": via + "." + p.region + ".amazonaws.com"},
		})
	}
	return slices.DeleteFunc(out, func(n need) bool { return len(n.resources) == 0 })
}

// each makes a text of each target, each text once.
func each(targets []config.Target, of func(config.Target) string) []string {
	var out []string
	for _, t := range targets {
		out = append(out, of(t))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// fullSecret ends in what Secrets Manager appends to a name: a hyphen and six characters.
var fullSecret = regexp.MustCompile(`^arn:.*-[A-Za-z0-9]{6}$`)

// secret is the ARN of a secret. Of one that is given by its name the last six characters are not known, and do not matter.
func (p place) secret(ref string) string {
	id, _, _ := strings.Cut(ref, "#")
	switch {
	case fullSecret.MatchString(id):
		return id
	case strings.HasPrefix(id, "arn:"):
		return id + "-AbCdEf"
	}
	return p.arn("secretsmanager", "secret:"+id+"-AbCdEf")
}

func (p place) parameter(ref string) string {
	if strings.HasPrefix(ref, "arn:") {
		return ref
	}
	return p.arn("ssm", "parameter/"+strings.TrimPrefix(ref, "/"))
}

// functionLacks asks IAM what the role of a function lacks.
func (g *gatherer) functionLacks(ctx context.Context, function string, of deployed.Function, state Fact[FunctionState]) Fact[[]string] {
	if state.Err != nil {
		return Unknown[[]string](state.Err)
	}
	at, err := arn.Parse(state.Value.ARN)
	if err != nil {
		return Unknown[[]string](errors.New("the function is not there"))
	}
	p := place{at.Partition, at.Region, at.AccountID}
	all := append(needs(g.opts.Config, function, p),
		need{action: "logs:CreateLogStream", resources: []string{p.arn("logs", "log-group:"+of.Logs+":log-stream:any")}},
		need{action: "logs:PutLogEvents", resources: []string{p.arn("logs", "log-group:"+of.Logs+":log-stream:any")}},
	)
	if function == notifier {
		for _, f := range []deployed.Function{g.stack.ScaleOut, g.stack.Check, g.stack.ScaleIn} {
			all = append(all, need{action: "logs:FilterLogEvents", resources: []string{p.arn("logs", "log-group:"+f.Logs+":*")}})
		}
		all = append(all, need{action: "sns:Publish", resources: []string{g.stack.NotifyTopic}})
	}
	if url := g.stack.DeadLetters[function]; url != "" {
		all = append(all, need{action: "sqs:SendMessage", resources: []string{p.arn("sqs", awsname.Last(url))}})
	}
	return g.lacks(ctx, state.Value.Role, all)
}

// machineLacks asks IAM what the role of the state machine lacks.
func (g *gatherer) machineLacks(ctx context.Context, role string) Fact[[]string] {
	at, err := arn.Parse(g.stack.StateMachine)
	if err != nil {
		return Unknown[[]string](fmt.Errorf("read the ARN of the state machine: %w", err))
	}
	p := place{at.Partition, at.Region, at.AccountID}
	var functions []string
	for _, f := range []deployed.Function{g.stack.ScaleOut, g.stack.Check, g.stack.ScaleIn} {
		functions = append(functions, p.arn("lambda", "function:"+f.Name))
	}
	return g.lacks(ctx, role, []need{{action: "lambda:InvokeFunction", resources: functions}})
}

// resourcesAtOnce is how many resources IAM is asked about in one call.
const resourcesAtOnce = 25

// lacks asks IAM which of the rights a role does not have.
func (g *gatherer) lacks(ctx context.Context, role string, all []need) Fact[[]string] {
	if role == "" {
		return Unknown[[]string](errors.New("AWS does not tell its role"))
	}
	lacking := []string{}
	for _, n := range all {
		for resources := range slices.Chunk(n.resources, resourcesAtOnce) {
			in := &iam.SimulatePrincipalPolicyInput{PolicySourceArn: &role, ActionNames: []string{n.action}, ResourceArns: resources}
			for key, value := range n.context {
				kind := types.ContextKeyTypeEnumString
				if key == tagKeys {
					kind = types.ContextKeyTypeEnumStringList
				}
				in.ContextEntries = append(in.ContextEntries, types.ContextEntry{
					ContextKeyName: aws.String(key), ContextKeyType: kind, ContextKeyValues: []string{value},
				})
			}
			refused, err := g.refused(ctx, in)
			if err != nil {
				return Unknown[[]string](g.failed("iam:SimulatePrincipalPolicy", err))
			}
			for _, resource := range refused {
				lacking = append(lacking, n.action+" on "+resource)
			}
		}
	}
	return Known(lacking)
}

// refused are the resources on which a simulated action is not allowed.
func (g *gatherer) refused(ctx context.Context, in *iam.SimulatePrincipalPolicyInput) ([]string, error) {
	var out []string
	pages := iam.NewSimulatePrincipalPolicyPaginator(g.env.Rights, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, r := range page.EvaluationResults {
			if len(r.ResourceSpecificResults) == 0 && r.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed {
				out = append(out, aws.ToString(r.EvalResourceName))
			}
			for _, one := range r.ResourceSpecificResults {
				if one.EvalResourceDecision != types.PolicyEvaluationDecisionTypeAllowed {
					out = append(out, aws.ToString(one.EvalResourceName))
				}
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
