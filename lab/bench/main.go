// Command bench measures what Sluice promises about speed and size, and prints one table: `make bench`.
//
// Every row says how often it was measured, and shows the median with what lies around it, never the best. Times are
// shown against their bounds and judge nobody: they are the machine's as much as ours, and the exit status is 0 whatever
// they are. What can be counted is judged: calls to ECS, Redis commands and the sizes of binaries do not depend on how busy
// the machine is, so the exit status is 1 if one of them is beyond its bound, or if something could not be measured.
//
// What is measured is what ships, as far as a laptop allows: the bootstraps under the local Lambda host, the local ECS
// over HTTP, a real redis-server, real Celery workers. Where something stands in for it, the row or docs/benchmarks.md
// says so.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// group is a part of the table.
type group struct {
	name string
	run  func(context.Context, *lab) ([]row, error)
}

var groups = []group{
	{"decide", decide},
	{"config", loading},
	{"size", sizes},
	{"event", events},
	{"look", looks},
	{"nodes", nodes},
	{"drain", drains},
	{"wave", waves},
	{"sweep", sweeps},
	{"cold", coldStarts},
}

func main() {
	testing.Init() // For testing.Benchmark, whose flags are not ours.
	if err := flag.Set("test.benchtime", "200ms"); err != nil {
		panic(err)
	}
	own := flag.NewFlagSet("bench", flag.ExitOnError)
	only := own.String("only", "", "measure only `NAMES`, with commas between: "+names())
	file := own.String("json", "", "write the figures to `FILE` as well")
	runs := own.Int("runs", 40, "how many cold starts of each kind")
	_ = own.Parse(os.Args[1:]) // It exits on an error.

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := bench(ctx, *only, *file, *runs)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

func names() string {
	all := make([]string, len(groups))
	for i, g := range groups {
		all[i] = g.name
	}
	return strings.Join(all, ",")
}

// bench measures the groups and prints each as soon as it is there. A group that fails does not stop the others.
func bench(ctx context.Context, only, file string, runs int) error {
	chosen := groups
	if only != "" {
		chosen = nil
		for name := range strings.SplitSeq(only, ",") {
			i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
			if i < 0 {
				return fmt.Errorf("choose groups: there is no %q: the names are %s", name, names())
			}
			chosen = append(chosen, groups[i])
		}
	}
	l, err := newLab(runs)
	if err != nil {
		return err
	}
	defer l.close()

	m := thisMachine()
	fmt.Printf("%s\n\n%s\n", m, header())
	var rows []row
	var errs []error
	for _, g := range chosen {
		got, err := g.run(ctx, l)
		for _, r := range got {
			r.Group = g.name
			rows = append(rows, r)
			fmt.Println(r)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("measure %s: %w", g.name, err))
		}
	}
	if file != "" {
		text, err := json.MarshalIndent(report{m, rows}, "", "  ")
		if err == nil {
			err = os.WriteFile(file, append(text, '\n'), 0o644)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("write the figures: %w", err))
		}
	}
	for _, r := range rows {
		if r.Verdict == broken {
			errs = append(errs, fmt.Errorf("%s: %s is %g %s, and the bound is %g", r.Group, r.What, r.Max, r.Unit, r.Bound))
		}
	}
	return errors.Join(errs...)
}

// report is what the file of -json holds.
type report struct {
	Machine machine `json:"machine"`
	Rows    []row   `json:"rows"`
}
