package local

import (
	"sluice/internal/local/wire"
)

// operations are the calls that the cloud answers itself, by service and operation. The others have a package of their own.
var operations = map[string]func(*Cloud, wire.Call) (map[string]any, error){
	"cloudformation:DescribeStacks": operation((*Cloud).describeStacks),
	"cloudformation:GetTemplate":    operation((*Cloud).getTemplate),

	"secretsmanager:GetSecretValue": part(theSecrets, (*secrets).getSecretValue),
	"ssm:GetParameter":              part(theSecrets, (*secrets).getParameter),

	"states:DescribeExecution":    part(theExecutions, (*executions).describeExecution),
	"states:DescribeStateMachine": part(theExecutions, (*executions).describeStateMachine),
	"states:GetExecutionHistory":  part(theExecutions, (*executions).getExecutionHistory),
	"states:ListExecutions":       part(theExecutions, (*executions).listExecutions),
	"states:ListStateMachines":    part(theExecutions, (*executions).listStateMachines),
	"states:StartExecution":       part(theExecutions, (*executions).startExecution),
	"states:StopExecution":        part(theExecutions, (*executions).stopExecution),
}

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
