package doctor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"sluice/internal/config"
	"sluice/internal/deployed/decisions"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// workers holds the running tasks against the workers that are heard: from here where the broker can be reached, else as the Check
// function sees it.
func (g *gatherer) workers(ctx context.Context) {
	here := g.planHere(ctx)
	for i, t := range g.facts.Targets {
		b := g.facts.broker(t.Broker)
		switch {
		case b.Probe.Obstacle != Open:
			g.facts.Targets[i].Workers = g.fromAnswer(t.Target)
		case tooOldOn(b):
			g.facts.Targets[i].Workers = Unknown[Workers](errTooOld)
		default:
			g.facts.Targets[i].Workers = g.hinted(fromPlan(here, t.Target, b))
		}
	}
}

// grant is how package fleet tells of a right that is lacking: here it is the caller's.
var grant = regexp.MustCompile(`not allowed; grant (ecs:[A-Za-z]+) on it`)

// hinted notes a right that the caller lacks, where the error of a plan tells of one.
func (g *gatherer) hinted(f Fact[Workers]) Fact[Workers] {
	if f.Err == nil {
		return f
	}
	if m := grant.FindStringSubmatch(f.Err.Error()); m != nil {
		g.facts.Denied = append(g.facts.Denied, m[1])
		f.Err = fmt.Errorf("you may not call %s", m[1])
	}
	return f
}

// errTooOld is why workers are not asked.
var errTooOld = errors.New("a worker is too old to be asked")

func tooOldOn(b *Broker) bool {
	for _, beat := range b.Beats.Value {
		if tooOld(beat.Version) {
			return true
		}
	}
	return false
}

// planHere looks at the targets whose broker can be asked.
func (g *gatherer) planHere(ctx context.Context) Fact[scaler.Plan] {
	var in scaler.PlanInput
	for _, t := range g.opts.Targets {
		if b := g.facts.broker(t.Broker); b.Probe.Obstacle == Open && !tooOldOn(b) {
			in.Targets = append(in.Targets, t.Name)
		}
	}
	if len(in.Targets) == 0 {
		return Known(scaler.Plan{})
	}
	in.Close = g.singly()
	return asFact(g.env.Plan(ctx, in))
}

// singleTargets is for how many targets each task is looked at: that costs some four calls to ECS for each target.
const singleTargets = 25

func (g *gatherer) singly() bool { return len(g.opts.Targets) <= singleTargets }

// fromAnswer takes from the Check function what cannot be seen from here. Without the workers' names nothing is said of them.
func (g *gatherer) fromAnswer(t config.Target) Fact[Workers] {
	if g.facts.Answer.Err != nil {
		return Unknown[Workers](g.facts.Answer.Err)
	}
	return fromPlan(Known(g.facts.Answer.Value.Plan), t, nil)
}

// fromPlan reads of a plan how many tasks run and which of them are not heard from.
func fromPlan(f Fact[scaler.Plan], t config.Target, b *Broker) Fact[Workers] {
	if f.Err != nil {
		return Unknown[Workers](f.Err)
	}
	i := slices.IndexFunc(f.Value.Targets, func(p scaler.TargetPlan) bool { return p.Record.Target == t.Name })
	if i < 0 {
		return Unknown[Workers](errors.New("it was not looked at"))
	}
	p := f.Value.Targets[i]
	if text := unseen(p); text != "" {
		return Unknown[Workers](errors.New(text))
	}
	if p.Tasks == nil {
		if p.Record.Running == nil {
			return Unknown[Workers](errors.New("ECS does not say how many tasks run"))
		}
		return Known(Workers{Settled: *p.Record.Running})
	}
	w := Workers{Singly: true}
	var hosts []string
	for _, task := range p.Tasks {
		if task.State != policy.TaskRunning || task.AgeS < t.Grace.Std().Seconds() {
			continue
		}
		w.Settled++
		if slices.Contains(p.Record.Unheard, task.ID) {
			w.Unheard = append(w.Unheard, task.ID)
		}
	}
	for _, task := range p.Tasks {
		_, host, _ := strings.Cut(task.Node, "@")
		hosts = append(hosts, host)
	}
	if b == nil || t.Activity.Source != config.ActivityInspect {
		return Known(w)
	}
	for _, n := range b.Look.Value.Nodes {
		_, host, _ := strings.Cut(n.Name, "@")
		ours := slices.ContainsFunc(n.Queues, func(q string) bool { return slices.Contains(t.Queues, q) })
		if ours && !slices.Contains(hosts, host) {
			w.Unmapped = append(w.Unmapped, n.Name)
		}
	}
	return Known(w)
}

// worked reads in the decision log which targets with a min had work.
func (g *gatherer) worked(ctx context.Context) {
	var names []string
	for _, t := range g.opts.Targets {
		if t.Min > 0 {
			names = append(names, t.Name)
		}
	}
	switch {
	case len(names) == 0:
		return
	case !g.has():
		g.facts.Worked = Unknown[map[string]bool](errNoStack)
		return
	}
	until := g.facts.At
	since := until.Add(-g.opts.IdleFor)
	worked, first := map[string]bool{}, map[string]time.Time{}
	for e, err := range g.stack.Log(g.env.Logs).Records(ctx, decisions.Query{
		Since: since, Until: until, Targets: names, Messages: []decisions.Message{decisions.Decision},
	}) {
		switch {
		case err != nil:
			g.facts.Worked = Unknown[map[string]bool](g.failed("logs:FilterLogEvents", err))
			return
		case e.Decision == nil:
			continue
		}
		r := e.Decision
		if first[r.Target].IsZero() {
			first[r.Target] = e.Time
		}
		worked[r.Target] = worked[r.Target] || some(r.Backlog) || some(r.Active) || some(r.Held)
	}
	// A log that does not reach back so far says nothing: two sweeps at its beginning may be missing.
	slack := 2 * g.opts.Config.Sweep.Every.Std()
	if slack > g.opts.IdleFor/2 {
		slack = g.opts.IdleFor / 2
	}
	for name := range worked {
		if first[name].Sub(since) > slack {
			delete(worked, name)
		}
	}
	g.facts.Worked = Known(worked)
}

// some says whether a count is above none; one that is not known may be.
func some(n *int) bool { return n == nil || *n > 0 }

// roundTrip sends an event that asks for nothing by itself (scale_to 0: the queue alone tells, as in a sweep), and waits for ScaleOut's
// decision in the log.
func (g *gatherer) roundTrip(ctx context.Context) {
	result := g.sendAndWait(ctx)
	g.facts.RoundTrip = &result
}

func (g *gatherer) sendAndWait(ctx context.Context) Fact[time.Duration] {
	if !g.has() {
		return Unknown[time.Duration](errNoStack)
	}
	t, events := g.opts.Targets[0], g.opts.Config.Events
	detail, err := json.Marshal(map[string]any{"target": t.Name, "scale_to": 0})
	if err != nil {
		return Unknown[time.Duration](err)
	}
	// The log's clock is not ours.
	query := decisions.Query{Since: g.env.Now().Add(-skew), Targets: []string{t.Name}, Messages: []decisions.Message{decisions.Decision}}
	log := decisions.Log{Client: g.env.Logs, Groups: []string{g.stack.ScaleOut.Logs}}
	before, err := g.decided(ctx, log, query)
	if err != nil {
		return Unknown[time.Duration](g.failed("logs:FilterLogEvents", err))
	}
	began := g.env.Now()
	out, err := g.env.Events.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []types.PutEventsRequestEntry{{
		EventBusName: &events.Bus, Source: &events.Source, DetailType: &events.DetailType, Detail: aws.String(string(detail)),
	}}})
	switch {
	case err != nil:
		return Unknown[time.Duration](g.failed("events:PutEvents", err))
	case out.FailedEntryCount > 0:
		return Unknown[time.Duration](fmt.Errorf("EventBridge refuses the event: %s", aws.ToString(out.Entries[0].ErrorMessage)))
	}
	ctx, cancel := context.WithTimeout(ctx, g.opts.EventsWait)
	defer cancel()
	for {
		select {
		case <-ctx.Done():
			return Unknown[time.Duration](fmt.Errorf("no decision of ScaleOut on target %s within %v", t.Name, g.opts.EventsWait))
		case <-time.After(g.env.pollEvents):
		}
		now, err := g.decided(ctx, log, query)
		switch {
		case err != nil && ctx.Err() == nil:
			return Unknown[time.Duration](g.failed("logs:FilterLogEvents", err))
		case now > before:
			return Known(g.env.Now().Sub(began))
		}
	}
}

// decided counts the decisions in the log.
func (g *gatherer) decided(ctx context.Context, log decisions.Log, q decisions.Query) (n int, err error) {
	q.Until = g.env.Now().Add(skew)
	for _, err := range log.Records(ctx, q) {
		if err != nil {
			return 0, err
		}
		n++
	}
	return n, nil
}
