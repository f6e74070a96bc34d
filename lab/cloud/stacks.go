package cloud

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/lab/cloud/wire"
)

// stackARN is the id of a CloudFormation stack.
func (d Deployment) stackARN(name string) string {
	return d.ARN("cloudformation", "stack/"+name+"/local")
}

// stackInput names a stack by its name or its id.
type stackInput struct {
	StackName     string
	TemplateStage string
	NextToken     string
}

// name is the name of the stack.
func (in stackInput) name() string {
	if _, rest, ok := strings.Cut(in.StackName, ":stack/"); ok {
		name, _, _ := strings.Cut(rest, "/")
		return name
	}
	return in.StackName
}

func (in stackInput) missing() error {
	return wire.Errorf("ValidationError", "Stack with id %s does not exist", in.StackName)
}

// describeStacks describes one stack, or all of them: that of Sluice with its outputs, and those of AddStack.
func (c *Cloud) describeStacks(in stackInput) (map[string]any, error) {
	d := c.deployed()
	stacks := []any{}
	for _, name := range c.stackNames() {
		if in.StackName != "" && in.name() != name {
			continue
		}
		outputs := []any{}
		if name == c.opts.Config.Deploy.Stack {
			for _, key := range slices.Sorted(maps.Keys(d.Outputs)) {
				outputs = append(outputs, map[string]any{"OutputKey": key, "OutputValue": d.Outputs[key]})
			}
		}
		stacks = append(stacks, map[string]any{
			"StackName": name, "StackId": d.stackARN(name), "StackStatus": "CREATE_COMPLETE", "CreationTime": c.began, "Outputs": outputs,
		})
	}
	if len(stacks) == 0 && in.StackName != "" {
		return nil, in.missing()
	}
	return map[string]any{"Stacks": stacks}, nil
}

// getTemplate returns the template of a stack. That of Sluice is known only if it is run from one.
func (c *Cloud) getTemplate(in stackInput) (map[string]any, error) {
	if in.name() == c.opts.Config.Deploy.Stack {
		template := c.deployed().Template
		if template == "" {
			return nil, wire.Errorf("ValidationError", "Stack %s has no template: the local cloud runs it from sluice.yaml alone", in.StackName)
		}
		return map[string]any{"TemplateBody": template}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	template, ok := c.stacks[in.name()]
	if !ok {
		return nil, in.missing()
	}
	return map[string]any{"TemplateBody": template}, nil
}

// stackNames are the names of all stacks, that of Sluice first.
func (c *Cloud) stackNames() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string{c.opts.Config.Deploy.Stack}, slices.Sorted(maps.Keys(c.stacks))...)
}

// AddStack adds a CloudFormation stack that is not Sluice's, such as the one that an application's services are deployed by. Nothing
// of it is run: clients can read its template. Services are part of it by their tags aws:cloudformation:stack-name.
func (c *Cloud) AddStack(name, template string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.stacks[name]; ok || name == c.opts.Config.Deploy.Stack {
		return fmt.Errorf("add stack %s: it is there already", name)
	}
	c.stacks[name] = template
	return nil
}
