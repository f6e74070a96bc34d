package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExplain: what is told of a finding is what concerns its message, its worker and everybody, up to a little after it, and
// not more than can be read.
func TestExplain(t *testing.T) {
	r := &result{dir: "logs", plan: plan{number: 4, seed: 7}}
	for i := range 40 {
		r.story = append(r.story, line{at(1 + float64(i)/100), "", "", fmt.Sprintf("COUNT %d", i)})
	}
	r.story = append(r.story,
		line{at(2), "a", "h", "h a.0 started"},
		line{at(2.1), "b", "h", "h b.0 started"},
		line{at(2.2), "", "i", "i ready"},
		line{at(2.3), "", "h", "h cancel_consumer"},
		line{at(2.4), "", "", "check says decision"},
		line{at(2.5), "", "", "COUNT 2 -> 1"},
		line{at(60), "a", "i", "long afterwards"},
	)
	var out strings.Builder
	r.explain(&out, finding{harm: killed, cause: byScaleIn, task: "a", host: "h", at: at(3), why: "it was so"})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if got, want := lines[0], "round 4 (seed 7): a killed by scale-in: it was so"; got != want {
		t.Errorf("it begins %q, want %q", got, want)
	}
	var end []string
	for _, l := range lines[len(lines)-4:] {
		end = append(end, strings.TrimSpace(l))
	}
	want := []string{
		"08:00:02.000 h a.0 started", "08:00:02.300 h cancel_consumer", "08:00:02.500 COUNT 2 -> 1", "all of it, and the logs: logs",
	}
	if diff := cmp.Diff(want, end); diff != "" {
		t.Errorf("it ends (-want +got):\n%s", diff)
	}
	if len(lines) != lastLines+2 {
		t.Errorf("%d lines, want %d", len(lines), lastLines+2)
	}
}
