package cloud

import (
	"net/http"

	"sluice/lab/cloud/logs"
	"sluice/lab/cloud/metrics"
	"sluice/lab/cloud/wire"
)

// operations are the calls that the cloud answers itself, by service and operation. The others have a package of their own.
var operations = map[string]func(*Cloud, wire.Call) (map[string]any, error){
	"application-autoscaling:DeregisterScalableTarget": operation((*Cloud).deregisterScalableTarget),
	"application-autoscaling:DescribeScalableTargets":  operation((*Cloud).describeScalableTargets),
	"application-autoscaling:RegisterScalableTarget":   operation((*Cloud).registerScalableTarget),

	"cloudformation:DescribeStacks": operation((*Cloud).describeStacks),
	"cloudformation:GetTemplate":    operation((*Cloud).getTemplate),

	"cloudwatch:GetMetricData": part(theMetrics, (*metrics.Store).Get),

	"events:DescribeRule":      operation((*Cloud).describeRule),
	"events:ListTargetsByRule": operation((*Cloud).listTargetsByRule),

	"iam:SimulatePrincipalPolicy": operation((*Cloud).simulatePrincipalPolicy),

	"logs:FilterLogEvents": part(theLogs, (*logs.Store).Filter),

	"secretsmanager:GetSecretValue": part(theSecrets, (*secrets).getSecretValue),
	"sns:Publish":                   operation((*Cloud).publish),

	"sqs:DeleteMessage":      operation((*Cloud).deleteMessage),
	"sqs:GetQueueAttributes": operation((*Cloud).getQueueAttributes),
	"sqs:GetQueueUrl":        operation((*Cloud).getQueueURL),
	"sqs:ReceiveMessage":     operation((*Cloud).receiveMessage),
	"sqs:SendMessage":        operation((*Cloud).sendMessage),

	"ssm:GetParameter": part(theSecrets, (*secrets).getParameter),

	"states:DescribeExecution":    part(theExecutions, (*executions).describeExecution),
	"states:DescribeStateMachine": part(theExecutions, (*executions).describeStateMachine),
	"states:GetExecutionHistory":  part(theExecutions, (*executions).getExecutionHistory),
	"states:ListExecutions":       part(theExecutions, (*executions).listExecutions),
	"states:ListStateMachines":    part(theExecutions, (*executions).listStateMachines),
	"states:StartExecution":       part(theExecutions, (*executions).startExecution),
	"states:StopExecution":        part(theExecutions, (*executions).stopExecution),

	"sts:GetCallerIdentity": operation((*Cloud).getCallerIdentity),
}

func theLogs(c *Cloud) *logs.Store       { return c.logs }
func theMetrics(c *Cloud) *metrics.Store { return &c.metrics }
func theSecrets(c *Cloud) *secrets       { return c.secrets }
func theExecutions(c *Cloud) *executions { return c.executions }

// operation makes an operation of a method, with its input decoded.
func operation[In any](do func(*Cloud, In) (map[string]any, error)) func(*Cloud, wire.Call) (map[string]any, error) {
	return func(c *Cloud, call wire.Call) (map[string]any, error) {
		var in In
		if err := call.Decode(&in); err != nil {
			return nil, err
		}
		return do(c, in)
	}
}

// part is an operation of a part of the cloud.
func part[Part, In any](of func(*Cloud) Part, do func(Part, In) (map[string]any, error)) func(*Cloud, wire.Call) (map[string]any, error) {
	return operation(func(c *Cloud, in In) (map[string]any, error) { return do(of(c), in) })
}

// rest are the calls with a path for each, as http.ServeMux matches them.
var rest = map[string]func(*Cloud, *http.Request) (map[string]any, error){
	"GET /2015-03-31/functions/{name}/configuration": (*Cloud).getFunctionConfiguration,
	"GET /2019-09-30/functions/{name}/concurrency":   (*Cloud).getFunctionConcurrency,
	"GET /schedules/{name}":                          (*Cloud).getSchedule,
}
