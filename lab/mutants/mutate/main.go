// Command mutate asks what the tests do not notice: it changes the code in every small way that somebody might get
// wrong, one at a time, and runs the tests. `make mutate`, or with the packages named: go run ./lab/mutants/mutate
// ./internal/policy.
//
// Each comparison is moved by one and each condition forced; each member of a condition, each call, assignment,
// continue and break is left out; numbers and durations become others; + is -, min is max. To build the tests anew for
// each of thousands of such faults would take a day. So the packages are rewritten once, in the compiler's eyes only
// (go build -overlay), to ask at each place whether the fault there is planted (package mutated), and a process is told
// by its environment which one is. Each test is first run alone, to learn which faults would make a difference in it:
// only such tests are run for a fault, the quickest first.
//
// What is left makes no difference to any test. It is a test that is missing; or the fault changes nothing that anybody
// could see, and stands in equivalent.txt with the reason. The exit status is 1 if any other is left, or if one that
// stands there is found after all.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"
)

// runtimePath is the package that the rewritten code calls.
const runtimePath = "sluice/lab/mutants/mutate/mutated"

//go:embed equivalent.txt
var equivalentList string

func main() {
	var o options
	only := flag.String("only", "", "only faults whose line matches this regular `expression`")
	again := flag.String("again", "", "only faults that stand in this `file`, which an earlier run wrote")
	flag.IntVar(&o.jobs, "jobs", 2, "how many `processes` run at a time")
	flag.DurationVar(&o.under, "under", time.Hour, "leave out tests that take longer than this")
	flag.IntVar(&o.seeds, "seeds", 0, "run so many `histories` of the simulator for what the tests leave")
	flag.Parse()
	o.only = regexp.MustCompile(*only).MatchString
	if *again != "" {
		text, err := os.ReadFile(*again)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		keys, matches := map[string]bool{}, o.only
		for line := range strings.Lines(string(text)) {
			_, key, _ := strings.Cut(strings.TrimSpace(line), "\t")
			keys[key] = true
		}
		o.only = func(key string) bool { return keys[key] && matches(key) }
	}
	o.packages = flag.Args()
	if len(o.packages) == 0 {
		o.packages = []string{"./internal/policy", "./internal/fleet", "./internal/scaler", "./internal/celery"}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fine, err := run(ctx, os.Stdout, o, equivalentList)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	if err != nil || !fine {
		os.Exit(1)
	}
}

// run rewrites, tries and reports.
func run(ctx context.Context, out io.Writer, o options, list string) (fine bool, err error) {
	equivalent, err := readEquivalent(list)
	if err != nil {
		return false, err
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := build(ctx, dir, o)
	if err != nil {
		return false, err
	}
	if err := s.trace(ctx, out); err != nil {
		return false, err
	}
	return report(out, s.mutants, s.tryAll(ctx, out, equivalent), equivalent), ctx.Err()
}

// readEquivalent reads which faults change nothing: lines of their keys, below a line "# " with the reason.
func readEquivalent(text string) (map[string]string, error) {
	out := map[string]string{}
	why := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch reason, comment := strings.CutPrefix(line, "# "); {
		case comment:
			why = reason
		case line == "":
			why = ""
		case why == "" || out[line] != "":
			return nil, fmt.Errorf("equivalent.txt: %q has no reason above it, or stands there twice", line)
		default:
			out[line] = why
		}
	}
	return out, nil
}

// figures are how many faults came to what, in one package.
type figures struct{ made, found, late, equivalent, left int }

func report(out io.Writer, mutants []mutant, results []result, equivalent map[string]string) (fine bool) {
	fine = true
	all := map[string]*figures{}
	for i, m := range mutants {
		pkg := path.Dir(m.key[:strings.IndexByte(m.key, ' ')])
		if all[pkg] == nil {
			all[pkg] = &figures{}
		}
		f, r := all[pkg], results[i]
		f.made++
		switch why := equivalent[m.key]; {
		case r.skipped:
			f.made--
		case r.found:
			f.found++
			if r.late {
				f.late++
			}
			if why != "" {
				fine = false
			}
		case why != "":
			f.equivalent++
		default:
			f.left++
			fine = false
		}
		delete(equivalent, m.key)
	}
	say(out, "\n%-10s %6s %6s %10s %10s %6s\n", "package", "made", "found", "(no end)", "equivalent", "left")
	for _, pkg := range slices.Sorted(maps.Keys(all)) {
		f := all[pkg]
		say(out, "%-10s %6d %6d %10d %10d %6d\n", pkg, f.made, f.found, f.late, f.equivalent, f.left)
		for key := range equivalent {
			if strings.HasPrefix(key, pkg+"/") {
				fine = false
				say(out, "no such fault, though it stands in equivalent.txt\t%s\n", key)
			}
		}
	}
	return fine
}

// say prints. What cannot be printed stops nothing.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
