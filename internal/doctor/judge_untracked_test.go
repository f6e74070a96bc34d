package doctor

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/policy"
)

// TestUntrackedIsBounded has a finding name some of the tasks and of the workers, however many there are.
func TestUntrackedIsBounded(t *testing.T) {
	t.Parallel()
	f := fine(t)
	tasks := map[string][]string{}
	f.look().Nodes, f.look().Listeners = nil, policy.Known(20)
	for i := range 20 {
		n := policy.Node{Name: fmt.Sprintf("celery@w%02d", i), Answers: 1, Queues: []string{"a", "b"}, Active: policy.Known(0)}
		f.look().Nodes = append(f.look().Nodes, n)
		tasks[n.Name] = []string{"mail", "batch", "audit", fmt.Sprintf("own%02d", i)}
	}
	f.Brokers[0].Untracked = Known(tasks)
	r := Judge(f, slices.DeleteFunc(Catalogue(), func(c Check) bool { return c.ID != "tasks-untracked" }))
	want := "tasks have a strategy of their own: audit, batch, mail and 20 more; they run in celery@w00, celery@w01, celery@w02 and 17 more"
	if len(r.Findings) != 1 || r.Findings[0].What != want || r.Findings[0].Subject != "target worker" {
		t.Errorf("%+v; want one finding: %s", r.Findings, want)
	}
}

// TestWhoIsAskedForUntrackedTasks holds that no worker is asked that only targets with another source of activity have.
func TestWhoIsAskedForUntrackedTasks(t *testing.T) {
	t.Parallel()
	targets := []config.Target{
		{Name: "video", Queues: []string{"video", "both"}, Activity: config.Activity{Source: config.ActivityInspect}},
		{Name: "counted", Queues: []string{"counted", "shared"}, Activity: config.Activity{Source: config.ActivityCounter}},
	}
	var got []string
	for _, queues := range [][]string{{"video"}, {"counted"}, {"counted", "video"}, {"shared", "both"}, {"elsewhere"}, {}} {
		if inspected(policy.Node{Queues: queues}, targets) {
			got = append(got, fmt.Sprint(queues))
		}
	}
	if diff := cmp.Diff([]string{"[video]", "[counted video]", "[shared both]", "[elsewhere]", "[]"}, got); diff != "" {
		t.Errorf("asked (-want +got):\n%s", diff)
	}
}
