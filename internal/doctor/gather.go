package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/smithy-go"
	"golang.org/x/sync/errgroup"

	"sluice/internal/config"
	"sluice/internal/deployed"
)

// Options say what to look at.
type Options struct {
	Config  *config.Config
	Targets []config.Target // Those to look at.
	// Events has an event sent for the first of the targets, and waits for what comes of it: up to EventsWait.
	Events     bool
	EventsWait time.Duration
	// IdleFor is how long a target has to have been without work before its min is worth a word.
	IdleFor time.Duration
}

// patience is how long a worker has to answer.
const patience = 500 * time.Millisecond

// Gather looks at everything once. Whatever goes wrong is in the facts.
func Gather(ctx context.Context, e Environment, o Options) *Facts {
	g := &gatherer{env: e, opts: o, facts: &Facts{At: e.Now(), Config: o.Config, Region: e.Region, IdleFor: o.IdleFor}}
	g.facts.Caller, g.facts.Clock = g.whoami(ctx)
	g.findStack(ctx)
	// What knows nothing of each other, at once.
	parts := []func(context.Context){g.functions, g.wiring, g.machine, g.queues, g.services, g.brokers}
	var group errgroup.Group
	for _, part := range parts {
		group.Go(func() error {
			part(ctx)
			return nil
		})
	}
	_ = group.Wait()
	g.workers(ctx)
	g.worked(ctx)
	if o.Events {
		g.roundTrip(ctx)
	}
	slices.Sort(g.facts.Denied)
	g.facts.Denied = slices.Compact(g.facts.Denied)
	return g.facts
}

// gatherer gathers facts.
type gatherer struct {
	env   Environment
	opts  Options
	facts *Facts
	stack deployed.Stack // What the stack's outputs name; empty if it is not there.

	mu sync.Mutex // Held to note what the caller may not do.
}

// brokersUsed are the brokers of the targets that are looked at.
func (g *gatherer) brokersUsed() (used []config.Broker) {
	for _, b := range g.opts.Config.Brokers {
		if slices.ContainsFunc(g.opts.Targets, func(t config.Target) bool { return t.Broker == b.Name }) {
			used = append(used, b)
		}
	}
	return used
}

// failed makes the cause of what a call ended with, and notes a right that the caller lacks.
func (g *gatherer) failed(action string, err error) error {
	if denied(err) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.facts.Denied = append(g.facts.Denied, action)
		return fmt.Errorf("you may not call %s", action)
	}
	return fmt.Errorf("%s: %w", action, err)
}

// denied tells an answer that says that the caller may not ask.
func denied(err error) bool {
	var e smithy.APIError
	return errors.As(err, &e) && (strings.HasPrefix(e.ErrorCode(), "AccessDenied") || e.ErrorCode() == "UnauthorizedOperation" ||
		e.ErrorCode() == "AuthorizationError")
}

// code is the code of an error of AWS; "" for others.
func code(err error) string {
	var e smithy.APIError
	if errors.As(err, &e) {
		return e.ErrorCode()
	}
	return ""
}
