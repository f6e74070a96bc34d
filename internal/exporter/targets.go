package exporter

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// What is shown of targets. The metrics that Sluice also writes to CloudWatch mean the same here (internal/telemetry, names.go).
var (
	backlogMessages    = newFamily("sluice_backlog_messages", "Messages that wait, those that are due later included.", "target")
	dueBacklogMessages = newFamily("sluice_due_backlog_messages", "Messages that wait and are due: what asks for workers.", "target")
	activeTasks        = newFamily("sluice_active_tasks", "Tasks of the application that execute.", "target")
	heldMessages       = newFamily("sluice_held_messages", "Due messages that workers have fetched and not started.", "target")
	headAge            = newFamily("sluice_head_age_seconds",
		"For how long the oldest observed head of a queue has been seen there: a lower bound. Absent where nothing waits.", "target")

	targetDesired = newFamily("sluice_target_desired_workers", "The count that ECS is asked for.", "target")
	targetRunning = newFamily("sluice_target_running_workers", "The tasks of the service that run.", "target")
	targetPending = newFamily("sluice_target_pending_workers", "The tasks of the service that start.", "target")
	targetDrained = newFamily("sluice_target_drained_workers", "Workers that have been told to fetch nothing more.", "target")
	targetWish    = newFamily("sluice_target_wish_workers", "The count that the work alone asks for, before any bound.", "target")
	targetPlanned = newFamily("sluice_target_planned_workers", "The count that a sweep would ask ECS for now.", "target")
	targetMin     = newFamily("sluice_target_min_workers", "The fewest workers, as in effect now.", "target")
	targetMax     = newFamily("sluice_target_max_workers", "The most workers, as in effect now.", "target")
	targetFloor   = newFamily("sluice_target_floor_workers", "The count that an earlier event asked to keep for a while.", "target")

	targetUnknown = newFamily("sluice_target_unknown",
		"1 where not everything could be seen. What could not has no sample among the other metrics.", "target")
	targetPaused  = newFamily("sluice_target_paused", "Whether scaling in this direction is paused.", "target", "direction")
	targetDryRun  = newFamily("sluice_target_dry_run", "Whether decisions are recorded and not carried out.", "target")
	targetReason  = newFamily("sluice_target_reason", "1 for each reason of what a sweep would decide now.", "target", "reason")
	targetUnheard = newFamily("sluice_target_unheard_workers", "Running ECS tasks in which no worker answers.", "target")
	targetUnfed   = newFamily("sluice_target_unfetched_queues", "Queues with messages from which no worker fetches.", "target")
	targetUnnamed = newFamily("sluice_target_unlisted_queues", "Queues that the workers fetch from and no target has.", "target")
	targetInfo    = newFamily("sluice_target_info", "What the target is: always 1.", "target", "cluster", "service", "broker")
)

// planner is a scaler.Scaler.
type planner interface {
	Plan(context.Context, scaler.PlanInput) (scaler.Plan, error)
}

// newTargets looks at all targets.
func newTargets(p planner, c *config.Config, every time.Duration) *source {
	took := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "sluice_look_duration_seconds", Help: "How long a look at all targets took.",
		// A look at few targets takes hundredths of a second; it ends after 4 s, and ECS's part may come on top.
		Buckets: []float64{0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 4, 8, 16},
	})
	return &source{
		name: "targets", every: every, also: []prometheus.Collector{took},
		shown: []family{
			backlogMessages, dueBacklogMessages, activeTasks, heldMessages, headAge, targetDesired, targetRunning, targetPending,
			targetDrained, targetWish, targetPlanned, targetMin, targetMax, targetFloor, targetUnknown, targetPaused, targetDryRun,
			targetReason, targetUnheard, targetUnfed, targetUnnamed, targetInfo,
		},
		look: func(ctx context.Context) ([]prometheus.Metric, error) {
			began := time.Now()
			plan, err := p.Plan(ctx, scaler.PlanInput{})
			if err != nil {
				return nil, fmt.Errorf("look at the targets: %w", err)
			}
			took.Observe(time.Since(began).Seconds())
			metrics := infos(c)
			for _, t := range plan.Targets {
				metrics = append(metrics, ofTarget(t)...)
			}
			return metrics, nil
		},
		blind: func() []prometheus.Metric {
			metrics := infos(c)
			for _, t := range c.Targets {
				metrics = append(metrics, targetUnknown.of(1, t.Name))
			}
			return metrics
		},
	}
}

// infos say what the targets are.
func infos(c *config.Config) []prometheus.Metric {
	metrics := make([]prometheus.Metric, 0, len(c.Targets))
	for _, t := range c.Targets {
		metrics = append(metrics, targetInfo.of(1, t.Name, t.Cluster, t.Service, t.Broker))
	}
	return metrics
}

// ofTarget is what was seen of a target. What was not has no metric.
func ofTarget(p scaler.TargetPlan) []prometheus.Metric {
	r := p.Record
	var out []prometheus.Metric
	add := func(f family, n int) { out = append(out, f.of(float64(n), r.Target)) }
	known := func(f family, n *int) {
		if n != nil {
			add(f, *n)
		}
	}
	known(dueBacklogMessages, r.Backlog)
	known(activeTasks, r.Active)
	known(heldMessages, r.Held)
	if r.Backlog != nil && r.Later != nil {
		add(backlogMessages, *r.Backlog+*r.Later)
	}
	if r.HeadAgeS != nil {
		out = append(out, headAge.of(*r.HeadAgeS, r.Target))
	}
	unknown := r.Error != "" || slices.Contains(r.Reasons, policy.ReasonUnknown)
	add(targetUnknown, number(unknown))
	if r.Running != nil { // Else ECS did not say: nothing is known of the count, and nothing of what the tags say.
		add(targetDesired, r.Current)
		known(targetRunning, r.Running)
		known(targetPending, r.Pending)
		add(targetPlanned, r.Desired)
		add(targetMin, r.Min)
		add(targetMax, r.Max)
		add(targetFloor, r.Floor)
		add(targetDryRun, number(r.DryRun))
		for direction, paused := range map[string]bool{"in": p.Overrides.PausedIn, "out": p.Overrides.PausedOut} {
			out = append(out, targetPaused.of(float64(number(paused || p.Overrides.Paused)), r.Target, direction))
		}
	}
	if r.Backlog != nil && r.Active != nil { // Else the broker was not seen.
		add(targetDrained, r.Drained)
		add(targetWish, r.Wish)
		add(targetUnheard, scaler.Named(r.Unheard))
		add(targetUnfed, scaler.Named(r.Unfetched))
		add(targetUnnamed, scaler.Named(r.Unlisted))
	}
	for _, reason := range r.Reasons {
		out = append(out, targetReason.of(1, r.Target, string(reason)))
	}
	return out
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
