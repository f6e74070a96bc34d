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

// Kept returns what came of the histories that once broke an invariant, by the name of their file.
func Kept() (map[string]Result, error) {
	entries, err := kept.ReadDir("kept")
	if err != nil {
		return nil, err
	}
	var pool coroutines
	defer pool.close()
	results := map[string]Result{}
	for _, e := range entries {
		text, err := kept.ReadFile("kept/" + e.Name())
		if err != nil {
			return nil, err
		}
		p := &plan{}
		if err := json.Unmarshal(text, p); err != nil {
			return nil, fmt.Errorf("read kept history %s: %w", e.Name(), err)
		}
		results[e.Name()] = pool.run(p, true)
	}
	return results, nil
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
