package scaler

import (
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"time"
	"unicode/utf8"

	"sluice/internal/policy"
)

// Input is the input of a check and of a scale-in: a target, and what was seen when it was first found idle. Where no target is
// named, Sweep may say which of them all are meant. A check may be asked for a plan instead.
type Input struct {
	Target   string           `json:"target"`
	Previous *policy.Sighting `json:"previous"`
	Sweep    Shard            `json:"sweep"`
	// Plan asks what a sweep would do now, and for nothing else: see Scaler.Plan.
	Plan *PlanInput `json:"plan"`
}

// Shard is one of Shards parts of the targets, of about the same size, counted from 0: too many targets for one sweep are
// looked at by several. The zero Shard is all targets.
type Shard struct {
	Shard  int `json:"shard"`
	Shards int `json:"shards"`
}

// of returns the shard's targets. Those that share a broker stay together as far as the sizes allow, since each sweep looks at the
// whole of a broker.
func (s Shard) of(targets []Target) []Target {
	if s.Shards <= 1 {
		return targets
	}
	byBroker := slices.Clone(targets)
	slices.SortStableFunc(byBroker, func(a, b Target) int { return cmp.Compare(a.Broker, b.Broker) })
	return byBroker[s.Shard*len(targets)/s.Shards : (s.Shard+1)*len(targets)/s.Shards]
}

// CheckInput reads the payload of a check: {} for all targets, a shard of them, or one target, with previous to confirm a
// candidate. Other fields are let pass: whoever starts a sweep may send their own.
func CheckInput(payload []byte) (Input, error) {
	var in Input
	if err := json.Unmarshal(payload, &in); err != nil {
		return in, invalid("input of check: %w", err)
	}
	if in.Plan != nil && (in.Target != "" || in.Previous != nil || in.Sweep != (Shard{})) {
		return in, invalid("input of check: plan beside target, previous or sweep: name the targets within plan, as in " +
			`{"plan": {"targets": ["worker"]}}`)
	}
	if in.Target == "" && in.Previous != nil {
		return in, invalid("input of check: previous without target: name the target that was seen")
	}
	if s := in.Sweep; s != (Shard{}) && (s.Shard < 0 || s.Shard >= s.Shards) {
		return in, invalid("input of check: shard %d of %d shards: shards are counted from 0, as in {\"shard\": 0, \"shards\": 2}",
			s.Shard, s.Shards)
	}
	return in, nil
}

// TargetCheck is what a check says of one target. The counts are null where they are not known.
type TargetCheck struct {
	Target         string          `json:"target"`
	ShouldScaleIn  bool            `json:"should_scale_in"`
	ShouldScaleOut bool            `json:"should_scale_out"`
	QueueLen       *int            `json:"queue_len"`    // Due messages that wait.
	ActiveTasks    *int            `json:"active_tasks"` // Tasks that execute.
	Held           *int            `json:"held"`         // Messages that workers have fetched and that are due.
	DesiredCount   *int            `json:"desired_count"`
	RunningCount   *int            `json:"running_count"`
	Error          *string         `json:"error"`  // What kept it from being looked at properly; null if nothing did.
	Failed         bool            `json:"failed"` // Whether there is an error.
	SettleSeconds  int             `json:"settle_seconds"`
	Seen           policy.Sighting `json:"seen"` // To be given back as previous.
	Decision       policy.Decision `json:"decision"`
}

// SweepCheck is the answer of a check of all targets. It lists those to act on and those that failed; of the others the
// log has a record each. All of them would be too much for the state machine's data.
type SweepCheck struct {
	Checked  int           `json:"checked"`
	Held     int           `json:"held"`     // Nothing to do.
	Failed   int           `json:"failed"`   // Could not be looked at properly.
	Deferred int           `json:"deferred"` // To be acted on or reported, but left to the next sweep: there are too many.
	Targets  []TargetCheck `json:"targets"`
}

// CheckAll looks at every target of the shard. It always answers: what is broken is in the answer, beside what is not.
func (s *Scaler) CheckAll(ctx context.Context, shard Shard) SweepCheck {
	observations := s.observe(ctx, shard.of(s.Targets), budget{look: checkLook, patience: checkPatience})
	s.askUntracked(ctx, observations)
	s.addBeatsOfCandidates(ctx, observations)
	s.shield(ctx, observations)
	answer := SweepCheck{Checked: len(observations), Targets: []TargetCheck{}}
	sum := Sweep{Shard: shard.Shard, Shards: max(shard.Shards, 1)} // For the alarms: see infra.
	for _, o := range observations {
		c := s.judge(ctx, "check", o)
		if c.Failed || slices.Contains(c.Decision.Reasons, policy.ReasonUnknown) {
			sum.Unknown++ // Where nothing runs a broken broker holds nothing, and hides that work has come.
		}
		if c.stranded() {
			sum.Stranded++
		}
		if c.Failed {
			answer.Failed++
		}
		if c.ShouldScaleIn || c.ShouldScaleOut || c.Failed {
			answer.Targets = append(answer.Targets, c)
		} else {
			answer.Held++
		}
	}
	answer.bound()
	sum.Checked, sum.Held, sum.Failed, sum.Deferred = answer.Checked, answer.Held, answer.Failed, answer.Deferred
	s.swept(ctx, sum)
	return answer
}

// stranded says whether work waits and no task runs that could do it, though nobody wanted it so by a tag or a window.
func (c TargetCheck) stranded() bool {
	d := c.Decision
	wanted := because(d, policy.ReasonPaused, policy.ReasonPausedOut, policy.ReasonDryRun) ||
		d.Desired == 0 && because(d, policy.ReasonMax)
	return !wanted && c.QueueLen != nil && *c.QueueLen > 0 && c.RunningCount != nil && *c.RunningCount == 0
}

// because says whether one of the reasons is among the decision's.
func because(d policy.Decision, reasons ...policy.Reason) bool {
	return slices.ContainsFunc(reasons, func(r policy.Reason) bool { return slices.Contains(d.Reasons, r) })
}

// bound leaves to the next sweep what would be too much for this one.
func (a *SweepCheck) bound() {
	// Who waits for workers comes first, and who merely costs money last; of those the quick ones first, since they free
	// their places for others.
	slices.SortStableFunc(a.Targets, func(x, y TargetCheck) int {
		return cmp.Or(cmp.Compare(urgency(x), urgency(y)), cmp.Compare(x.SettleSeconds, y.SettleSeconds))
	})
	settling, size := 0, len(`{"checked":,"held":,"failed":,"deferred":,"targets":[]}`)+4*len("2147483647")
	for i := range a.Targets {
		c := &a.Targets[i]
		if urgency(*c) == settles {
			// A second apart, since one that is scaled in costs up to 18 calls of a bucket that gains 20 a second, and no function
			// knows of the others.
			c.SettleSeconds += settling % mapWidth
			settling++
		}
		waves := (settling + mapWidth - 1) / mapWidth
		wave := time.Duration(c.SettleSeconds)*time.Second + maxThrottled
		raw, _ := json.Marshal(c) // As the function answers it; nothing in it can fail.
		size += len(raw) + len(",")
		if i >= maxActs || size > maxAnswer || time.Duration(waves)*wave > maxSweep {
			a.Deferred = len(a.Targets) - i
			a.Targets = a.Targets[:i]
			return
		}
	}
}

// settles is the urgency of a candidate.
const settles = 2

func urgency(c TargetCheck) int {
	switch {
	case c.ShouldScaleOut:
		return 0
	case c.Failed:
		return 1
	default:
		return settles
	}
}

// CheckOne looks at one target: closely, in order to confirm, if it was seen before.
func (s *Scaler) CheckOne(ctx context.Context, in Input) (TargetCheck, error) {
	t, err := s.target(in.Target)
	if err != nil {
		return TargetCheck{}, err
	}
	if in.Previous != nil {
		return s.judge(ctx, "confirm", s.observeClosely(ctx, t, in.Previous)), nil
	}
	observations := s.observe(ctx, []Target{t}, budget{look: checkLook, patience: checkPatience})
	s.askUntracked(ctx, observations)
	s.addBeatsOfCandidates(ctx, observations)
	return s.judge(ctx, "check", observations[0]), nil
}

// addBeatsOfCandidates listens to the heartbeats of the brokers that have workers of candidates. It takes two seconds, so
// it is done for nobody else.
func (s *Scaler) addBeatsOfCandidates(ctx context.Context, observations []observation) {
	expect := map[string]int{}
	for _, o := range observations {
		if o.decide(s.Now(), 0).Action == policy.Candidate {
			if n := len(o.view.heard(o.target)); n > 0 {
				expect[o.target.Broker] = len(o.view.look.Nodes)
			}
		}
	}
	brokers := slices.Sorted(maps.Keys(expect))
	heard := make([]map[string]policy.Beat, len(brokers))
	var calls []func()
	for i, broker := range brokers {
		calls = append(calls, func() { heard[i] = s.beats(ctx, broker, expect[broker]) })
	}
	s.Together(calls...)
	beats := map[string]map[string]policy.Beat{}
	for i, broker := range brokers {
		beats[broker] = heard[i]
	}
	for i := range observations {
		o := &observations[i]
		o.at = s.Now()
		o.addBeats(beats[o.target.Broker])
	}
}

// judgement is a decision, and what it rests on.
type judgement struct {
	policy.Decision
	signals policy.Signals
	limits  policy.Limits // In effect.
	at      time.Time
}

// decide decides on the observation. A service that could not be described is held: there is no count to change.
func (o observation) decide(now time.Time, demand int) judgement {
	j := judgement{at: now}
	j.signals, j.limits = o.signals(now, demand)
	if o.serviceErr != nil {
		j.Decision = policy.Decision{Action: policy.Hold, Reasons: []policy.Reason{policy.ReasonUnknown}}
	} else {
		j.Decision = policy.Decide(j.signals, j.limits, now)
	}
	return j
}

// judge decides, records the decision and puts it into the form of the answer.
//
// A dry run goes on to the confirmation, which alone tells whether a candidate would have been let go, and ends there: a scale-in
// would decide on the same, and do nothing. A scale-out ends with the check, unless drained workers are to fetch again.
func (s *Scaler) judge(ctx context.Context, what string, o observation) TargetCheck {
	j := o.decide(s.Now(), 0)
	s.decided(ctx, o.record(what, j))
	sig := j.signals
	// A worker beside stuck ones is started by the scale-in, which alone is given what was seen before.
	beside := j.Action == policy.ScaleOut && slices.Contains(j.Reasons, policy.ReasonStuck)
	c := TargetCheck{
		Target:         o.target.Name,
		ShouldScaleIn:  j.Action == policy.Candidate || !sig.DryRun && (j.Action == policy.ScaleIn || beside),
		ShouldScaleOut: j.Action == policy.ScaleOut && !beside && (!sig.DryRun || j.Resume > 0),
		QueueLen:       orNull(sig.Backlog),
		ActiveTasks:    orNull(sig.Active),
		Held:           orNull(sig.Held),
		// A second more than the settle time, rounded up: the waiting and the measuring are done by different clocks.
		SettleSeconds: int(math.Ceil(j.limits.Settle.Seconds())) + 1,
		Seen:          o.seen,
		Decision:      j.Decision,
	}
	c.Seen.Workers, c.Seen.Stuck = policy.Want(sig, j.limits), sig.Stuck
	if o.serviceErr == nil {
		c.DesiredCount, c.RunningCount = &o.service.Desired, &o.service.Running
	}
	if err := o.err(); err != nil {
		text := clipJSON(oneLine(err), maxErrorBytes) // The record has all of it.
		c.Error, c.Failed = &text, true
	}
	return c
}

// clipJSON shortens a text to a number of bytes of JSON, its quotes included. A control character takes six of them, and so does `<`.
func clipJSON(s string, most int) string {
	left, cut := most-len(`""`), 0
	for i := 0; i < len(s); {
		_, width := utf8.DecodeRuneInString(s[i:])
		raw, _ := json.Marshal(s[i : i+width])
		if left -= len(raw) - len(`""`); left < 0 {
			return s[:cut] + "..."
		}
		i += width
		if left >= len("...") {
			cut = i
		}
	}
	return s
}
