package main

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"sluice/lab/cloud/ecs"
)

// kind is a kind of fault.
type kind string

const (
	killFunction  kind = "function killed"  // A Lambda process, some time after a sweep has called it.
	stallFunction kind = "function stalled" // It stands still for a while and then goes on with what it has seen.
	killWorker    kind = "worker killed"    // SIGKILL, as when the container runs out of memory.
	killChild     kind = "child killed"     // One process of a prefork pool.
	stopWorker    kind = "worker stopped"   // SIGSTOP, and SIGCONT later.
	stopRedis     kind = "redis stopped"    // The same.
	restartRedis  kind = "redis restarted"  // SIGKILL, and a start from its append-only file.
	cutClients    kind = "clients cut"      // CLIENT KILL of every connection.
	doubleEvents  kind = "events doubled"
	dropEvents    kind = "events dropped"
	moreSweeps    kind = "sweeps overlap" // Some at once, besides the schedule.
	failECS       kind = "ECS fails"      // Calls are late, or err, or take effect and err all the same.
	ambush        kind = "ambush"         // Work comes at some instant of a scale-in, at worst while ECS is slow to lower the count.
	deploy        kind = "deployment"
)

// brokerFaults are what breaks the connections of workers, or makes them time out.
var brokerFaults = []kind{stopRedis, restartRedis, cutClients}

// faultsOn are the kinds by their weight.
var faultsOn = []struct {
	kind   kind
	weight int
}{
	{killFunction, 6},
	{stallFunction, 5},
	{killWorker, 2},
	{killChild, 1},
	{stopWorker, 3},
	{stopRedis, 3},
	{restartRedis, 2},
	{cutClients, 3},
	{doubleEvents, 2},
	{dropEvents, 2},
	{moreSweeps, 4},
	{failECS, 3},
	{ambush, 4},
	{deploy, 1},
}

// fault is something that shall go wrong.
type fault struct {
	kind     kind
	at       time.Duration // Since the start of the round.
	lasts    time.Duration // Of what ends by itself again.
	function string        // Of a function that is killed or stalled.
	call     ecs.Fault     // Of ECS: how it goes wrong.
	op       string        // Of ECS: which.
	jobs     []job         // Of an ambush.
	late     bool          // An ambush comes when the count is about to be changed, which then takes as long as it lasts.
	after    time.Duration // From its call by a sweep.
	number   int           // Of events or sweeps; of the worker, by age, modulo how many there are.
}

// newFaults makes three to seven faults, in the order of their times. One at least is an ambush: it is what a scaler that looks
// and then acts falls into.
func newFaults(r *rand.Rand, window time.Duration) []fault {
	total := 0
	for _, k := range faultsOn {
		total += k.weight
	}
	faults := make([]fault, 3+r.IntN(5))
	for i := range faults {
		f := &faults[i]
		n := r.IntN(total)
		for _, k := range faultsOn {
			if n < k.weight {
				f.kind = k.kind
				break
			}
			n -= k.weight
		}
		if i == 0 {
			f.kind = ambush
		}
		f.at = between(r, 2*time.Second, window)
		switch f.kind {
		case killFunction, stallFunction:
			f.function = pick(r, "scalein", "scalein", "scalein", "check", "scaleout")
			f.after = pick(r, between(r, 0, 300*time.Millisecond), between(r, 0, 4*time.Second))
			f.lasts = between(r, time.Second, 10*time.Second)
		case stopWorker:
			f.lasts = between(r, time.Second, 12*time.Second)
		case stopRedis:
			f.lasts = between(r, 500*time.Millisecond, 6*time.Second)
		case restartRedis:
			f.lasts = between(r, 200*time.Millisecond, 3*time.Second)
		case doubleEvents, dropEvents, moreSweeps:
			f.number = 1 + r.IntN(3)
		case ambush:
			f.late, f.after, f.lasts = i == 0 || r.IntN(2) == 0, between(r, 0, 6*time.Second), between(r, time.Second, 4*time.Second)
			s := &sender{r: r}
			f.jobs = pick(r, s.some(1+r.IntN(3), 2, longest.Seconds()), s.some(5+r.IntN(10), 0.1, 3))
			for j := range f.jobs {
				f.jobs[j].id = fmt.Sprintf("ambush%d-%d", i, j)
			}
		case failECS:
			f.number = 1 + r.IntN(3)
			f.op = pick(r, "UpdateService", "UpdateService", "UpdateTaskProtection", "DescribeTasks", "DescribeServices")
			f.call = pick(r,
				ecs.Fault{Code: "ServerException", Message: "chaos"},
				ecs.Fault{Code: "ServerException", Message: "chaos", Applied: true},
				ecs.Fault{Code: "ThrottlingException", Message: "chaos"},
				ecs.Fault{Delay: between(r, time.Second, 5*time.Second)})
		}
		if f.kind == killWorker || f.kind == killChild || f.kind == stopWorker {
			f.number = r.IntN(12)
		}
	}
	slices.SortFunc(faults, func(a, b fault) int { return int(a.at - b.at) })
	return faults
}

func between(r *rand.Rand, least, most time.Duration) time.Duration {
	return (least + time.Duration(r.Int64N(int64(most-least)))).Round(10 * time.Millisecond)
}

func (f fault) String() string {
	text := fmt.Sprintf("%s at %.1f s", f.kind, f.at.Seconds())
	switch f.kind {
	case killFunction:
		text = fmt.Sprintf("%s killed %.1f s after a call from %.1f s on", f.function, f.after.Seconds(), f.at.Seconds())
	case stallFunction:
		text = fmt.Sprintf("%s stalled for %.1f s, %.1f s after a call from %.1f s on", f.function, f.lasts.Seconds(), f.after.Seconds(), f.at.Seconds())
	case stopWorker, stopRedis, restartRedis:
		text += fmt.Sprintf(" for %.1f s", f.lasts.Seconds())
	case ambush:
		text = fmt.Sprintf("%d messages %.1f s after a call of scalein from %.1f s on", len(f.jobs), f.after.Seconds(), f.at.Seconds())
		if f.late {
			text = fmt.Sprintf("%d messages as ECS takes %.1f s to change the count, from %.1f s on", len(f.jobs), f.lasts.Seconds(), f.at.Seconds())
		}
	case failECS:
		text = fmt.Sprintf("%d calls of %s from %.1f s on ", f.number, f.op, f.at.Seconds())
		switch {
		case f.call.Applied:
			text += "done and answered by " + f.call.Code
		case f.call.Code != "":
			text += "answered by " + f.call.Code
		default:
			text += fmt.Sprintf("late by %.1f s", f.call.Delay.Seconds())
		}
	case doubleEvents, dropEvents, moreSweeps:
		text += fmt.Sprintf(" (%d)", f.number)
	}
	return text
}
