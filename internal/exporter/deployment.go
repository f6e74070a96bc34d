package exporter

import (
	"context"
	"sync"

	"sluice/internal/deployed"
)

// deployment is what was deployed. It is asked for once: a stack's outputs stay, and a new stack means a new sluice.yaml.
type deployment struct {
	client deployed.Stacks
	name   string

	mu    sync.Mutex
	found *deployed.Stack
}

// stack finds the stack.
func (d *deployment) stack(ctx context.Context) (deployed.Stack, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.found == nil {
		s, err := deployed.Find(ctx, d.client, d.name)
		if err != nil {
			return deployed.Stack{}, err
		}
		d.found = &s
	}
	return *d.found, nil
}

// forget has the stack found anew at its next use: something of it was not there.
func (d *deployment) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.found = nil
}
