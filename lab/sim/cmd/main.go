// Command cmd runs seeded histories of Sluice in virtual time, and exits with 1 if an invariant is broken in one of them: see
// package sim.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"

	"sluice/lab/sim"
)

func main() {
	os.Exit(run())
}

func run() int {
	var o sim.Options
	flag.IntVar(&o.Seeds, "seeds", 1000, "how many histories to run")
	flag.Uint64Var(&o.From, "from", 1, "the first seed")
	flag.BoolVar(&o.StopAtFirst, "stop-at-first", false, "begin no further history once an invariant has been broken")
	flag.IntVar(&o.Workers, "workers", runtime.GOMAXPROCS(0), "how many run at the same time")
	flag.Uint64Var(&o.Again, "again", 50, "run every history whose seed this divides twice, and compare; 0 is none")
	flag.IntVar(&o.Story, "story", 400, "how many histories may be run to make a broken one shorter; 0 tells none")
	flag.BoolVar(&o.Kept, "kept", false, "run only the histories that once broke an invariant")
	asJSON := flag.Bool("json", false, "print the report as JSON")
	tell := flag.Uint64("tell", 0, "tell the story of this seed instead, made short if an invariant is broken in it")
	all := flag.Bool("all", false, "with -tell: all that happened, not made short")
	keep := flag.String("keep", "", "with -tell: write the short history to a file of this directory (lab/sim/kept), so that it is run for ever")
	profile := flag.String("cpuprofile", "", "write a profile of the processor's time to this file")
	flag.Parse()
	if *tell > 0 && *keep != "" {
		path, err := sim.Keep(*tell, *keep, o.Story)
		if err != nil {
			return fail(err)
		}
		fmt.Println(path)
		return 0
	}
	if *tell > 0 {
		for _, line := range sim.Tell(*tell, *all, o.Story) {
			fmt.Println(line)
		}
		return 0
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			return fail(err)
		}
		defer func() { _ = f.Close() }()
		if err := pprof.StartCPUProfile(f); err != nil {
			return fail(err)
		}
		defer pprof.StopCPUProfile()
	}
	// A history leaves much garbage and keeps little: memory is cheaper here than the collector's time.
	debug.SetGCPercent(3200)
	if !*asJSON {
		fmt.Printf("the first seed is %d (make sim FROM=%d SEEDS=%d)\n", o.From, o.From, o.Seeds)
	}
	report := sim.RunAll(o)
	var err error
	if *asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report.Summary())
	} else {
		err = report.Write(os.Stdout)
	}
	switch {
	case err != nil:
		return fail(err)
	case len(report.Broken) > 0:
		return 1
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 2
}
