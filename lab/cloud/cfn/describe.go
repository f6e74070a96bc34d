package cfn

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/internal/config"
)

// Describe says in a few lines what is run of the template and what is not.
func (t *Template) Describe() []string {
	d := t.Deployment
	var others []string
	for _, kind := range slices.Sorted(maps.Keys(t.NotRun)) {
		others = append(others, fmt.Sprintf("%d %s", t.NotRun[kind], kind))
	}
	lines := []string{
		fmt.Sprintf("from the template %s: %d functions with their environment and time-outs, the rule, the state machine, "+
			"schedules: %d, dead-letter queues: %d, and who may do what", t.Path, len(d.Functions), len(d.Schedules), len(d.Queues())),
		"the functions run as built for this machine, in place of the template's for arm64, with the sluice.yaml of the template",
	}
	if every := t.sweepEvery; every > 0 {
		lines = append(lines, fmt.Sprintf("a sweep each %v, as local.sweep_every has it, in place of each %v; waits before retries are shorter, too",
			config.Duration(every), config.Duration(d.Schedules[0].Timing.Every)))
	}
	if len(others) > 0 {
		lines = append(lines, "not run here: "+strings.Join(others, ", "))
	}
	return lines
}
