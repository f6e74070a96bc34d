package e2e_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/function"
	"sluice/internal/policy"
	"sluice/lab/cloud"
)

// TestPlanByTheFunction asks the Check function what a sweep would do, as somebody does who cannot reach the broker himself: it says
// so, and for which configuration, and leaves everything as it was.
func TestPlanByTheFunction(t *testing.T) {
	t.Parallel()
	c := start(t, one(`["sleep", "1000"]`, idle), cloud.Options{})
	c.setDesired("workers", 2)
	c.awaitCounts("workers", 2, 2)
	before := c.now()
	var got function.Plan
	if f := c.invoke(cloud.Check, `{"plan": {"targets": ["video"], "close": true, "explain": true}}`, &got); f.ErrorType != "" {
		t.Fatalf("refused: %+v", f)
	}
	settings, err := config.Load(c.config)
	if err != nil {
		t.Fatal(err)
	}
	if got.Config != settings.Fingerprint() {
		t.Errorf("the plan is of the configuration %q, not %q", got.Config, settings.Fingerprint())
	}
	if len(got.Targets) != 1 || len(got.Targets[0].Tasks) != 2 {
		t.Fatalf("the plan is %+v", got)
	}
	r := got.Targets[0].Record
	if r.Action != policy.Candidate || r.Current != 2 || r.Desired != 0 || r.Target != "video" {
		t.Errorf("decision %+v", r)
	}
	said := c.since(before, func(h cloud.Happening) bool { return h.Invocation != nil && len(h.Invocation.Decisions()) > 0 })
	calls := c.ECS().Calls()
	if diff := cmp.Diff([]int{0, 1, 0, 0}, []int{len(said), calls["UpdateService"], calls["TagResource"], calls["UpdateTaskProtection"]}); diff != "" {
		t.Errorf("decisions, and calls that change something, the test's own one included (-want +got):\n%s", diff)
	}
	if f := c.invoke(cloud.Check, `{"plan": {"targets": ["nobody"]}}`, nil); f.ErrorType != "UnknownTarget" || !strings.Contains(f.ErrorMessage, "nobody") {
		t.Errorf("a plan for nobody: %+v", f)
	}
}
