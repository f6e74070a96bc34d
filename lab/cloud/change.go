package cloud

import (
	"fmt"
	"maps"
	"slices"
)

// deployed is what is deployed now.
func (c *Cloud) deployed() Deployment {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deployment
}

// Change changes what is deployed while it runs, as somebody with a console might, and returns what puts the deployment back. These
// have an effect: the rule's name, state, pattern and target, the schedules' state and whether they are there, what is allowed, and
// functions that are stopped. Of the rest, clients are told what it says.
func (c *Cloud) Change(change func(*Deployment)) (undo func() error, err error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	before := c.deployed()
	after := before.clone()
	change(&after)
	if err := c.redeploy(after); err != nil {
		return nil, fmt.Errorf("change the deployment: %w", err)
	}
	return func() error {
		c.changing.Lock()
		defer c.changing.Unlock()
		return c.redeploy(before)
	}, nil
}

// redeploy has a deployment take effect, as far as Change says.
func (c *Cloud) redeploy(d Deployment) error {
	if err := d.check(); err != nil {
		return err
	}
	rule, err := c.rule(d)
	if err != nil {
		return err
	}
	if was := c.deployed().Rule.Name; was != rule.Name {
		c.events.RemoveRule(was)
	}
	if err := c.events.SetRule(rule); err != nil {
		return err
	}
	c.stopFunctions(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deployment = d
	return nil
}

// stopFunctions stops the functions that are to be stopped, and no others.
func (c *Cloud) stopFunctions(d Deployment) {
	for _, f := range d.Functions {
		c.functions.Stop(f.Name, f.Stopped)
	}
}

// enabled says whether there is a schedule of that name, and it is enabled.
func (d Deployment) enabled(schedule string) bool {
	return slices.ContainsFunc(d.Schedules, func(s Schedule) bool { return s.Name == schedule && !s.Disabled })
}

// clone is a copy that shares nothing that a change may touch.
func (d Deployment) clone() Deployment {
	d.Functions, d.Schedules = slices.Clone(d.Functions), slices.Clone(d.Schedules)
	for i, f := range d.Functions {
		d.Functions[i].Env = maps.Clone(f.Env)
	}
	d.Topics, d.Outputs = slices.Clone(d.Topics), maps.Clone(d.Outputs)
	if d.Access != nil {
		d.Access = &Access{Roles: maps.Clone(d.Access.Roles), Resources: maps.Clone(d.Access.Resources)}
	}
	return d
}
