package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud"
	"sluice/lab/cloud/ecs"
	"sluice/stepfunctions"
)

// TestBlameStops has ECS stop workers with the words that it always uses, and tells a lower count from a deployment.
func TestBlameStops(t *testing.T) {
	const scaling = "Scaling activity initiated by (deployment new)"
	task := func(deployment, reason string) ecs.TaskState {
		return ecs.TaskState{
			Hostname: "h", StartedAt: at(1), StoppingAt: at(10), StoppedAt: at(12), Deployment: deployment, Reason: reason,
			Exit: &ecs.Exit{},
		}
	}
	rolling := []deed{{kind: deploy, from: at(8), until: at(8)}}
	for _, c := range []struct {
		name   string
		task   ecs.TaskState
		deeds  []deed
		counts []count
		want   stopper
	}{
		{"it runs", ecs.TaskState{Hostname: "h", StartedAt: at(1)}, nil, nil, nobody},
		{"its process ended", task("new", "Essential container in task exited"), nil, nil, itself},
		{"a lower count", task("new", scaling), nil, []count{{at(9), 3, 2}}, scaleIn},
		{"replaced", task("old", scaling), rolling, nil, deployment},
		{"replaced, the count having been lowered before that", task("old", scaling), rolling, []count{{at(7), 3, 2}}, deployment},
		{"the count was lowered during a deployment", task("old", scaling), rolling, []count{{at(9), 3, 2}}, scaleIn},
		{"the count was raised during a deployment", task("old", scaling), rolling, []count{{at(9), 2, 3}}, deployment},
	} {
		f := &facts{workers: map[string]*worker{"h": newWorker(c.task)}, deeds: c.deeds, counts: c.counts}
		f.blameStops()
		if got := f.workers["h"].by; got != c.want {
			t.Errorf("%s: stopped by %q, want %q", c.name, got, c.want)
		}
	}
}

// TestReproaches: a run in which nothing was let go shows nothing.
func TestReproaches(t *testing.T) {
	rounds := func(verdicts ...verdict) []*result {
		var results []*result
		for _, v := range verdicts {
			v.sent = 1
			results = append(results, &result{verdict: v, facts: &facts{}})
		}
		return results
	}
	counted := func(from, to int) []*result {
		return []*result{{
			plan: plan{min: 1, max: 3}, verdict: verdict{sent: 1}, facts: &facts{counts: []count{{at(1), from, to}}},
		}}
	}
	both, full, partial, none := verdict{full: 1, partial: 1}, verdict{full: 1}, verdict{partial: 1}, verdict{}
	for _, c := range []struct {
		name    string
		results []*result
		fails   bool
	}{
		{"four rounds with both", rounds(both, none, none, none), false},
		{"four rounds with each once", rounds(full, partial, none, none), false},
		{"four rounds without one to fewer", rounds(full, full, full, full), true},
		{"four rounds without one to zero", rounds(partial, partial, partial, partial), true},
		{"three rounds, too few to ask for it", rounds(none, none, none), false},
		{"a round that sent nothing", []*result{{facts: &facts{}}}, true},
		{"a count above the maximum", counted(0, 4), true},
		{"a count below the minimum", counted(3, 0), true},
		{"counts within the bounds", counted(1, 3), false},
	} {
		if broken := reproaches(c.results); (len(broken) > 0) != c.fails {
			t.Errorf("%s: %q", c.name, broken)
		}
	}
}

// TestPlans: a seed is a plan, and the pools and versions come in turn.
func TestPlans(t *testing.T) {
	seen, tails := map[string]bool{}, 0
	for i := range 8 {
		p := newPlan(7, i)
		if again := newPlan(7, i).String(); again != p.String() {
			t.Errorf("round %d of one seed is two plans:\n%s\n%s", i, p, again)
		}
		if other := newPlan(8, i).String(); other == p.String() {
			t.Errorf("round %d of two seeds is one plan: %s", i, p)
		}
		seen[p.pool+" "+p.version] = true
		if p.load == tail {
			tails++
		}
		for _, b := range p.batches {
			for _, j := range b.jobs {
				if j.seconds <= 0 || j.seconds > longest.Seconds() || j.countdown > (visibility/2).Seconds() {
					t.Errorf("round %d: %+v", i, j)
				}
			}
		}
		for _, f := range p.faults {
			if f.at <= 0 || f.at > p.window {
				t.Errorf("round %d: %v", i, f)
			}
		}
	}
	if want := len(pools) * len(versions); len(seen) != want {
		t.Errorf("eight rounds have %d kinds of workers, want %d: %v", len(seen), want, seen)
	}
	if tails < 2 {
		t.Errorf("eight rounds have %d times the load that shows partial scale-ins", tails)
	}
	if newPlan(7, 0).faults != nil {
		t.Error("the first round has faults: it is to show a partial scale-in")
	}
}

// TestFaults: every kind of fault comes up, and all that is decided by chance is in what is printed.
func TestFaults(t *testing.T) {
	shown := map[kind]map[string]bool{}
	for i := range 400 {
		for _, f := range newPlan(3, i).faults {
			if shown[f.kind] == nil {
				shown[f.kind] = map[string]bool{}
			}
			shown[f.kind][f.String()] = true
		}
	}
	for _, k := range faultsOn {
		if len(shown[k.kind]) < 10 {
			t.Errorf("%s comes up in %d ways in 400 rounds", k.kind, len(shown[k.kind]))
		}
	}
}

// TestFunctionsOf: a fault that waits for a call of a function knows the states that call it.
func TestFunctionsOf(t *testing.T) {
	got := map[string]string{}
	if err := functionsOf([]byte(stepfunctions.ScaleIn), got); err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	for _, function := range got {
		called[function] = true
	}
	want := map[string]bool{cloud.Check: true, cloud.ScaleIn: true, cloud.ScaleOut: true}
	if diff := cmp.Diff(want, called); diff != "" || got["ScaleIn"] != cloud.ScaleIn {
		t.Errorf("functions of states: %v (-want +got):\n%s", got, diff)
	}
}
