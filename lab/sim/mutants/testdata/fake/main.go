// Command fake answers as the simulator does. Its invariants are that what the rules allow is never more than the seed plus
// ten, and never just 99.
package main

import (
	"encoding/json"
	"flag"
	"os"

	"fake/rules"
)

func main() {
	from := flag.Uint64("from", 1, "")
	seeds := flag.Uint64("seeds", 1, "")
	flag.Bool("stop-at-first", false, "")
	flag.Bool("json", false, "")
	flag.Int("workers", 1, "")
	story := flag.Int("story", 0, "")
	flag.Parse()
	for seed := *from; seed < *from+*seeds; seed++ {
		if rules.Allowed(seed) > seed+10 {
			broken := map[string]any{"seed": seed, "invariant": "bounded", "text": "it was too much"}
			if rules.Allowed(seed) == 99 {
				broken["invariant"] = "odd"
			}
			if *story > 0 {
				broken["story"] = []string{"first one", "then another"}
			}
			_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"broken": []any{broken}})
			os.Exit(1)
		}
	}
}
