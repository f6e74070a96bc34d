// Command chaos tries to make Sluice lose work, and says whether it could: `make chaos ROUNDS=20 SEED=1`.
//
// Each round is a small production of its own: a real Redis, real Celery workers of one version and one pool as tasks of the
// local ECS, the three Lambda functions as they ship, the state machine as it is deployed. Load and faults come from the
// seed and are printed before anything runs: functions killed or stalled at any point, workers killed or stopped, Redis stopped
// or restarted, connections cut, events doubled and lost, sweeps that overlap, deployments.
//
// The judgement rests on what others saw: a ledger that the tasks themselves keep, a witness that looks into the broker, and what
// the local ECS did. Every message that was lost, killed or done twice is blamed on its cause. The exit status is 1 if that is
// a scale-in, or if nothing explains it; if a due message got no worker although the faults had ended; or if there were
// no scale-ins to judge. At the end the same load runs without faults under the two usual ways to scale to zero and under
// Sluice (-compare=false leaves that out).
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/redis/go-redis/v9"

	"sluice/lab/testenv"
)

// options are what a run is asked to do.
type options struct {
	rounds, first int
	seed          uint64
	parallel      int
	compare       bool
	lambdas       string // The folder with the functions.
	dir           string // For logs.
}

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 8, "how many rounds")
	flag.IntVar(&o.first, "first", 0, "the number of the first round: `-first 7 -rounds 1` runs round 7 of a seed again")
	flag.Uint64Var(&o.seed, "seed", 1, "of the load and the faults")
	flag.IntVar(&o.parallel, "parallel", 3, "how many rounds run side by side")
	flag.BoolVar(&o.compare, "compare", true, "compare Sluice with the usual ways at the end")
	flag.StringVar(&o.lambdas, "functions", filepath.Join(testenv.Root(), "build", "local"), "the `folder` with the Lambda functions")
	flag.Parse()
	o.dir = filepath.Join(testenv.Root(), "build", "chaos")
	redis.SetLogger(silent{})        // That a broker which was killed does not answer is no news.
	_ = os.Unsetenv("AWS_CA_BUNDLE") // A certificate bundle of the machine's own must not reach the clients of the local cloud.

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	go func() {
		<-ctx.Done()
		stop() // A second Ctrl-C ends this process at once; the kernel then ends the others.
	}()
	status := conduct(ctx, o, os.Stdout)
	if ctx.Err() != nil {
		status = 130
	}
	stop()
	os.Exit(status)
}

// silent is a logger for the Redis client.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

// conduct does all rounds and the comparison, prints what came of them, and returns the exit status.
func conduct(ctx context.Context, o options, out io.Writer) int {
	plans := make([]plan, o.rounds)
	for i := range plans {
		plans[i] = newPlan(o.seed, o.first+i)
		_, _ = fmt.Fprintln(out, plans[i])
	}
	var t *table
	if len(plans) > 0 {
		t = newTable(out)
	}
	results, err := side(ctx, len(plans), o.parallel, func(ctx context.Context, i int) (*result, error) {
		p := plans[i]
		r, err := perform(ctx, p, sluice, o.lambdas, filepath.Join(o.dir, fmt.Sprintf("seed-%d-round-%d", p.seed, p.number)))
		if err != nil {
			return nil, fmt.Errorf("round %d: %w", p.number, err)
		}
		t.row(r)
		return r, nil
	})
	if err != nil {
		_, _ = fmt.Fprintf(out, "\nchaos: %v\n", err)
		return 1
	}
	if len(plans) > 0 {
		t.total()
	}
	broken := reproaches(results)
	if o.compare {
		compared, err := compare(ctx, o)
		if err != nil {
			_, _ = fmt.Fprintf(out, "\nchaos: compare: %v\n", err)
			return 1
		}
		p := compared[0].plan
		_, _ = fmt.Fprintf(out, "\n  The same load without faults: %s; %d messages, a look each %v\n\n", p.label(), p.jobs(), sweepEvery)
		comparison(out, compared)
		for _, r := range compared {
			if r.arm == sluice {
				results = append(results, r)
				broken = append(broken, reproach(r)...)
			}
		}
	}
	if len(broken) == 0 {
		_, _ = fmt.Fprintf(out, "\n  No work was lost, killed or interrupted by a scale-in, and no due message was left.\n")
		return 0
	}
	_, _ = fmt.Fprintln(out)
	for _, text := range broken {
		_, _ = fmt.Fprintln(out, "  BROKEN: "+text)
	}
	for _, r := range results {
		for i, f := range r.verdict.guilty() {
			if i == 3 {
				_, _ = fmt.Fprintf(out, "    and %d more\n", len(r.verdict.guilty())-i)
				break
			}
			r.explain(out, f)
		}
	}
	return 1
}

// side does n things, so many side by side, and returns what came of them in order. The first error ends them all.
func side(ctx context.Context, n, parallel int, do func(context.Context, int) (*result, error)) ([]*result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	results := make([]*result, n)
	places := make(chan struct{}, max(1, parallel))
	var wg sync.WaitGroup
	for i := range n {
		places <- struct{}{}
		if ctx.Err() != nil {
			break
		}
		wg.Go(func() {
			defer func() { <-places }()
			r, err := do(ctx, i)
			if err != nil {
				cancel(err)
			}
			results[i] = r
		})
	}
	wg.Wait()
	return results, context.Cause(ctx)
}

// reproaches are the promises that broke in these rounds, in words.
func reproaches(results []*result) []string {
	var broken []string
	full, partial := 0, 0
	for _, r := range results {
		broken = append(broken, reproach(r)...)
		full += r.verdict.full
		partial += r.verdict.partial
	}
	if len(results) >= 4 && (full == 0 || partial == 0) {
		broken = append(broken, fmt.Sprintf("there were %d scale-ins to zero and %d to fewer: nothing was shown", full, partial))
	}
	return broken
}

// reproach is what broke in one round.
func reproach(r *result) []string {
	var broken []string
	say := func(n int, format string) {
		if n > 0 {
			broken = append(broken, fmt.Sprintf("round %d: %d %s", r.plan.number, n, format))
		}
	}
	for _, h := range []harm{lost, killed, doubled, interrupted} {
		say(r.verdict.number(h, byScaleIn), fmt.Sprintf("%s by a scale-in", h))
		say(r.verdict.number(h, byNobody), fmt.Sprintf("%s, and nothing explains it", h))
	}
	say(r.verdict.number(left, byNobody), "left without a worker, though they were due and the faults had ended")
	for _, c := range r.facts.counts {
		if c.to < r.plan.min || c.to > r.plan.max {
			broken = append(broken, fmt.Sprintf("round %d: the count was set to %d at %s, beyond %d..%d", r.plan.number, c.to, clock(c.at), r.plan.min, r.plan.max))
		}
	}
	if r.verdict.sent == 0 {
		broken = append(broken, fmt.Sprintf("round %d: nothing was sent, so nothing was shown", r.plan.number))
	}
	return broken
}
