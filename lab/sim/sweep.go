package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"sluice/lab/cloud/asl"
	"sluice/stepfunctions"
)

// machine is the state machine as it ships, with ARNs of functions that exist here only.
var machine = sync.OnceValue(func() *asl.Machine {
	definition, err := stepfunctions.Substitute(stepfunctions.ScaleIn, map[string]string{
		stepfunctions.ScaleOutFunctionArn: arn(scaleOut),
		stepfunctions.CheckFunctionArn:    arn(check),
		stepfunctions.ScaleInFunctionArn:  arn(scaleIn),
	})
	if err != nil {
		panic(err) // The file is embedded, and its own tests parse it.
	}
	m, err := asl.Parse(definition)
	if err != nil {
		panic(err)
	}
	return m
})

func arn(function string) string { return "arn:aws:lambda:us-east-1:000000000000:function:" + function }

// schedule starts a sweep at once and then at every interval, whether or not the one before has ended, as EventBridge Scheduler
// does: late, twice or not at all, if that is the fault of the hour.
func (w *world) schedule() {
	first := epoch.Add(w.draw.between(0, w.plan.SweepEvery))
	interval := func() time.Duration { return w.plan.SweepEvery }
	w.loop.every(first, interval, func() bool {
		delay := w.draw.between(0, time.Second+w.plan.SweepJitter)
		if w.faults.take(sweepLost, -1, w.loop.now) != nil {
			w.note(noteFault, -1, "the schedule's event is lost: no sweep")
			return true
		}
		if f := w.faults.take(sweepLate, -1, w.loop.now); f != nil {
			w.note(noteFault, -1, "the schedule's event is late by %v", f.Length)
			delay += f.Length
		}
		w.loop.after(delay, w.sweep)
		if f := w.faults.take(sweepDouble, -1, w.loop.now); f != nil {
			w.note(noteFault, -1, "the schedule's event comes twice, %v apart", f.Length)
			w.loop.after(delay+f.Length, w.sweep)
		}
		return true
	})
}

// sweep starts an execution of the state machine.
func (w *world) sweep() {
	w.tally.count("sweeps")
	number := w.tally.other["sweeps"]
	w.note(noteSweep, -1, "sweep %d begins", number)
	w.loop.spawn(nil, func() {
		began := w.loop.now
		done := w.machine.Run(context.Background(), json.RawMessage("{}"), asl.Env{
			Invoke: w.callFunction, Clock: clock{w.loop}, Jitter: w.jitter,
		})
		status := string(done.Status)
		if done.Error != "" {
			status += " " + done.Error
		}
		w.tally.executions[status]++
		w.path(done.Path)
		for _, item := range done.Items {
			for _, path := range item {
				w.path(path)
			}
		}
		if took := w.loop.now.Sub(began); took > time.Minute || done.Error != "" {
			w.note(noteSweep, -1, "sweep %d has ended after %v: %s", number, took, status)
		}
		w.judge.swept(done)
	}, func(p *process) {
		if p.crashed != "" {
			w.broken(invariantPanic, "the state machine's interpreter panicked: %s", p.crashed)
		}
	})
}

func (w *world) jitter(d time.Duration) time.Duration { return w.draw.between(0, d) }

// path counts the transitions of one sequence of states.
func (w *world) path(states []string) {
	for i := 1; i < len(states); i++ {
		w.tally.transitions[transition{states[i-1], states[i]}]++
	}
}

// transitions are all ways from state to state that the machine's definition has.
func transitions() []transition {
	type state struct {
		Next, Default  string
		Choices, Catch []struct{ Next string }
		ItemProcessor  *struct{ States map[string]json.RawMessage }
	}
	var all []transition
	var read func(states map[string]json.RawMessage)
	read = func(states map[string]json.RawMessage) {
		for name, raw := range states {
			var s state
			if err := json.Unmarshal(raw, &s); err != nil {
				panic(fmt.Sprintf("state %s: %v", name, err)) // Its own tests parse it.
			}
			leads := []string{s.Next, s.Default}
			for _, c := range s.Choices {
				leads = append(leads, c.Next)
			}
			for _, c := range s.Catch {
				leads = append(leads, c.Next)
			}
			for _, to := range leads {
				if to != "" {
					all = append(all, transition{name, to})
				}
			}
			if s.ItemProcessor != nil {
				read(s.ItemProcessor.States)
			}
		}
	}
	var definition struct{ States map[string]json.RawMessage }
	if err := json.Unmarshal([]byte(stepfunctions.ScaleIn), &definition); err != nil {
		panic(err)
	}
	read(definition.States)
	return all
}
