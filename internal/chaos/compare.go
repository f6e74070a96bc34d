package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
)

// comparePlan is the load under which the ways to scale are compared: the one with long tasks and pauses, with the defaults of
// Celery, on the newest one.
func comparePlan(seed uint64) plan {
	p := newPlan(seed, 0)
	p.pool, p.version, p.late, p.prefetch, p.min, p.max, p.concurrency = "prefork", newest, false, 4, 0, 4, 2
	p.sameName, p.quiet, p.faults = false, false, nil
	return p
}

// compare runs the same load under each of the ways, one after the other, so that none disturbs another.
func compare(ctx context.Context, o options) ([]*result, error) {
	p := comparePlan(o.seed)
	var results []*result
	for _, a := range []arm{emptyList, checkThenReduce, sluice} {
		dir := fmt.Sprintf("seed-%d-compare-%s", o.seed, strings.ReplaceAll(string(a), " ", "-"))
		r, err := perform(ctx, p, a, o.lambdas, filepath.Join(o.dir, dir))
		if err != nil {
			return nil, fmt.Errorf("scaled by %s: %w", a, err)
		}
		results = append(results, r)
	}
	return results, nil
}
