// Command fake answers as the simulator does. Its only invariant is that what the rules allow is never more than the seed
// plus ten.
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
	flag.Parse()
	for seed := *from; seed < *from+*seeds; seed++ {
		if rules.Allowed(seed) > seed+10 {
			_ = json.NewEncoder(os.Stdout).Encode(map[string]any{"seed": seed, "invariant": "bounded", "story": "it was too much"})
			os.Exit(1)
		}
	}
}
