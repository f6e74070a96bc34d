package sim

import (
	"embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// kept are the histories in which an invariant ever broke, made short. They are kept as plans, since another way of drawing would make
// another history of the seed. Keep adds one.
//
//go:embed kept/*.json
var kept embed.FS

// keptPlans are the kept histories.
func keptPlans() ([]*plan, error) {
	entries, err := kept.ReadDir("kept")
	if err != nil {
		return nil, err
	}
	var plans []*plan
	for _, e := range entries {
		text, err := kept.ReadFile("kept/" + e.Name())
		if err != nil {
			return nil, err
		}
		p := &plan{}
		if err := json.Unmarshal(text, p); err != nil {
			return nil, fmt.Errorf("read kept history %s: %w", e.Name(), err)
		}
		plans = append(plans, p)
	}
	return plans, nil
}

// runKept runs the kept histories, and returns those that break an invariant, and how many do not.
func runKept() (broken []Broken, held int) {
	plans, err := keptPlans()
	if err != nil {
		panic(err) // They are embedded, and a test reads them.
	}
	var pool coroutines
	defer pool.close()
	for _, p := range plans {
		r := pool.run(p, true)
		if r.Breach == nil {
			held++
			continue
		}
		broken = append(broken, Broken{Seed: p.Seed, Breach: *r.Breach, Story: r.story(p, maxLines)})
	}
	return broken, held
}

// Keep writes the history of a seed that breaks an invariant to a file of the directory, made short.
func Keep(seed uint64, dir string, tries int) (path string, err error) {
	var pool coroutines
	defer pool.close()
	p := newPlan(seed)
	r := pool.run(p, false)
	if r.Breach == nil {
		return "", fmt.Errorf("keep history of seed %d: it breaks no invariant", seed)
	}
	p, b := pool.shrink(p, r.Breach, tries)
	text, err := json.MarshalIndent(p, "", " ")
	if err != nil {
		return "", fmt.Errorf("keep history of seed %d: %w", seed, err)
	}
	path = filepath.Join(dir, fmt.Sprintf("%s-%d.json", b.Invariant, seed))
	if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("keep history of seed %d: %w", seed, err)
	}
	return path, nil
}
