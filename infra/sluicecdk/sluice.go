package sluicecdk

import (
	"fmt"

	"github.com/aws/aws-cdk-go/awscdk/v2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awscloudwatch"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsec2"
	"github.com/aws/aws-cdk-go/awscdk/v2/awslambda"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssns"
	"github.com/aws/aws-cdk-go/awscdk/v2/awssqs"
	"github.com/aws/aws-cdk-go/awscdk/v2/awsstepfunctions"
	"github.com/aws/constructs-go/constructs/v10"
)

// SluiceProps says what to deploy. What is not here stands in the `deploy:` section of sluice.yaml.
type SluiceProps struct {
	// Config is the path of sluice.yaml. Required.
	Config *string
	// Functions is the folder with scaleout/bootstrap, check/bootstrap, scalein/bootstrap and, with `deploy.notify`,
	// notify/bootstrap, built for linux/arm64 (`make lambdas` writes them to build/lambda). Required.
	Functions *string

	// Vpc is where the functions run, in place of `deploy.vpc`. They have to reach Redis, ECS and, where used, Secrets
	// Manager or Systems Manager from there. Without either they run outside any VPC.
	Vpc awsec2.IVpc
	// VpcSubnets chooses among the subnets of Vpc. Its private ones by default.
	VpcSubnets *awsec2.SubnetSelection
	// SecurityGroups of the functions in Vpc. By default one is made: see Sluice.SecurityGroups.
	SecurityGroups *[]awsec2.ISecurityGroup

	// Environment holds the values of the variables that brokers name in `url_env`, and no others. They can be read in the
	// template and in Lambda's console, so that a URL with a password is refused: use `url_secret` or `url_parameter` for it.
	Environment *map[string]*string

	// AlarmTopic is told of every alarm, in place of `deploy.alarms`; and of what Sluice does, with a `deploy.notify` that names no
	// topic or address of its own.
	AlarmTopic awssns.ITopic
}

// Sluice is one Sluice with all that belongs to it.
type Sluice interface {
	// Construct holds everything, for whatever takes a construct: tags, aspects, dependencies. Sluice is none itself, since the CDK
	// takes a Go struct that embeds one for something new, and what is done to that has no effect on the template.
	Construct() constructs.Construct
	// ScaleOut, Check and ScaleIn are the three functions.
	ScaleOut() awslambda.Function
	Check() awslambda.Function
	ScaleIn() awslambda.Function
	// StateMachine is a sweep over all targets.
	StateMachine() awsstepfunctions.StateMachine
	// Notify tells in words what the others did. Nil without `deploy.notify`.
	Notify() awslambda.Function
	// DeadLetterQueues hold what failed for good, by whose it is: "ScaleOut", "Check", "ScaleIn", "Rule", "Schedules" and, with
	// `deploy.notify`, "Notify". A message in one of them is a reason to look.
	DeadLetterQueues() map[string]awssqs.Queue
	// SecurityGroups are those of the functions: what they connect to, such as Redis, has to let them in. Empty outside a VPC.
	SecurityGroups() []awsec2.ISecurityGroup
	// AlarmTopic is told of every alarm: the one that was given, or one that was made.
	AlarmTopic() awssns.ITopic
	// Dashboard shows how the targets and Sluice itself are doing.
	Dashboard() awscloudwatch.Dashboard
	// MakeOutputs has the stack tell where all this is, in outputs of fixed names. The commands (`sluice status`, `why`, `doctor` and
	// others) look for them in the stack that `deploy.stack` names. Call it once at most for each stack.
	MakeOutputs(stack awscdk.Stack)
}

type sluice struct{ r *resources }

func (s sluice) Construct() constructs.Construct { return s.r.scope }
func (s sluice) ScaleOut() awslambda.Function    { return s.r.scaleOut.lambda }
func (s sluice) Check() awslambda.Function       { return s.r.check.lambda }
func (s sluice) ScaleIn() awslambda.Function     { return s.r.scaleIn.lambda }
func (s sluice) Notify() awslambda.Function {
	if s.r.notify == nil {
		return nil
	}
	return s.r.notify.lambda
}
func (s sluice) StateMachine() awsstepfunctions.StateMachine { return s.r.machine }
func (s sluice) DeadLetterQueues() map[string]awssqs.Queue   { return s.r.deadLetterQueuesByName() }
func (s sluice) SecurityGroups() []awsec2.ISecurityGroup     { return s.r.network.securityGroups }
func (s sluice) AlarmTopic() awssns.ITopic                   { return s.r.topic }
func (s sluice) Dashboard() awscloudwatch.Dashboard          { return s.r.board }
func (s sluice) MakeOutputs(stack awscdk.Stack)              { s.r.makeOutputs(stack) }

// Refusal is what constructs panic with where the props, sluice.yaml or the functions cannot be deployed. Its text names every field
// that is wrong, and what to do, for whoever wrote them: an app can show it without the stack trace of a defect.
type Refusal struct{ Err error }

func (r Refusal) Error() string { return r.Err.Error() }
func (r Refusal) Unwrap() error { return r.Err }

// NewSluice deploys Sluice within the scope. It panics with a Refusal if it cannot.
func NewSluice(scope constructs.Construct, id *string, props *SluiceProps) Sluice {
	p, err := newPlan(props)
	if err != nil {
		panic(Refusal{fmt.Errorf("deploy Sluice: %w", err)})
	}
	r := &resources{plan: *p, props: props, scope: constructs.NewConstruct(scope, id)}
	r.makeNetwork()
	r.makeFunctions()
	r.makeRule()
	r.makeMachine()
	r.makeSchedules()
	r.topic = r.alarmTopic()
	if r.config.Deploy.Notify != nil {
		r.makeNotify()
	}
	r.metrics()
	r.alarms()
	r.dashboard()
	r.saveQueries()
	return sluice{r}
}
