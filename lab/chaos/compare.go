package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// comparePlan is the load under which the ways to scale are compared, with the defaults of Celery, on the newest one.
func comparePlan(seed uint64) plan {
	p := plan{
		seed: seed, version: newest, pool: "prefork", concurrency: 2, max: 4, perWorker: 4, prefetch: 4,
		settle: 2 * time.Second, grace: time.Second, load: everyday, window: 38 * time.Second,
	}
	p.batches = p.load.batches(newRand(seed, 0), p)
	return p
}

// arms are the ways to scale that are compared.
var arms = []arm{emptyList, checkThenReduce, sluice}

// compare runs the same load under each of the ways.
func compare(ctx context.Context, o options) ([]*result, error) {
	return side(ctx, len(arms), o.parallel, func(ctx context.Context, i int) (*result, error) {
		dir := fmt.Sprintf("seed-%d-compare-%s", o.seed, strings.ReplaceAll(string(arms[i]), " ", "-"))
		r, err := perform(ctx, comparePlan(o.seed), arms[i], o.lambdas, filepath.Join(o.dir, dir))
		if err != nil {
			return nil, fmt.Errorf("scaled by %s: %w", arms[i], err)
		}
		return r, nil
	})
}
