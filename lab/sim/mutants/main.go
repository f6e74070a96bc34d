// Command mutants plants faults in the production code and has the simulator find them: `make sim-mutants`.
//
// A proof by a simulator is worth what the simulator notices. So each file of planted/ is one small, exact, textual fault in
// the code that ships (the use cases, the policy, the state machine), such as somebody might make: it is compiled into the
// simulator's binary with `go build -overlay`, nothing in the checkout is touched, and no hook for it stands in production
// code. The simulator then has to break the invariant that the file names, within the number of seeds that it states, or ("kept")
// in one of the histories that are kept because they once broke. A fault whose place is
// not found exactly once, that does not compile, or that leaves the binary as it is, is a failure as well: it tests nothing.
//
// The simulator has a model in the place of internal/celery, so that faults of that adapter cannot be planted here: its own
// tests, with real workers, are there for them. What would be a forgotten priority list there is a forgotten queue here.
//
// The table says for each fault how many seeds it took and which invariant broke. The exit status is 1 if one was not found,
// or if the code as it is breaks an invariant within the largest of the bounds.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"syscall"
)

//go:embed planted/*.diff
var faults embed.FS

// clean is the least number of seeds over which the code as it is has to break nothing.
const clean = 2000

func main() {
	only := flag.String("only", "", "plant only the faults whose names match `REGEXP`; the code as it is runs all the same")
	stories := flag.Bool("stories", false, "tell the story of each finding")
	simulator := flag.String("sim", "./lab/sim/cmd", "the `PACKAGE` of the simulator's command, from the root of the module")
	jobs := flag.Int("jobs", 2, "build and run so many at a time")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, *simulator, *only, *jobs, *stories)
	stop()
	if err != nil {
		fmt.Fprintf(os.Stderr, "mutants: %v\n", err)
		os.Exit(1)
	}
}

// run plants the chosen faults and prints the table.
func run(ctx context.Context, w io.Writer, simulator, only string, jobs int, stories bool) error {
	pattern, err := regexp.Compile(only)
	if err != nil {
		return err
	}
	dir, err := fs.Sub(faults, "planted")
	if err != nil {
		return err
	}
	all, err := load(dir)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(m mutant) bool { return !pattern.MatchString(m.Name) })
	root, err := moduleRoot(ctx)
	if err != nil {
		return err
	}
	scratch, err := os.MkdirTemp("", "sluice-mutants-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if !survey(ctx, w, builder{root: root, sim: simulator, dir: scratch}, all, jobs, stories) {
		return errors.New("not all is as it has to be")
	}
	return nil
}
