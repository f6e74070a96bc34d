package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"
)

// asItIs is the name of the code without a fault.
const asItIs = "the code as it is"

// survey hunts through the code as it is, over as many seeds as the largest bound, and through each fault, and prints a row for
// each as soon as it is there, then what failed, and the stories if they are wanted. It says whether all is as it has to be.
func survey(ctx context.Context, w io.Writer, b builder, faults []mutant, jobs int, stories bool) bool {
	plain := mutant{Name: asItIs, Breaks: "nothing was planted", Seeds: clean}
	width := len(asItIs)
	for _, m := range faults {
		width, plain.Seeds = max(width, len(m.Name)), max(plain.Seeds, m.Seeds)
	}
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Nobody would hear of an error.
	row := fmt.Sprintf("%%-9v  %%-%dv  %%5v  %%5v  %%-9v  %%6v  %%v\n", width)
	say(row, "verdict", "fault", "seeds", "bound", "invariant", "took", "what the fault breaks")

	began, found, fine := time.Now(), 0, true
	var notes strings.Builder
	print := func(r result) {
		seeds, invariant := "", r.Invariant
		if r.found != nil {
			seeds, invariant = fmt.Sprint(r.found.Seed), r.found.Invariant
		}
		bound := fmt.Sprint(r.Seeds)
		if r.Seeds == 0 {
			bound = "kept"
		}
		say(row, r.verdict(), r.Name, seeds, bound, invariant, fmt.Sprintf("%.1fs", r.took.Seconds()), r.Breaks)
		if r.err != nil {
			fmt.Fprintf(&notes, "\n%s: %v\n", r.Name, r.err)
		} else if r.found != nil && (stories || !r.fine()) {
			fmt.Fprintf(&notes, "\n%s, seed %d, %s: %v\n", r.Name, r.found.Seed, r.found.Invariant, r.found)
		}
		fine = fine && r.fine()
		if r.found != nil && r.Name != asItIs {
			found++
		}
	}
	print(b.try(ctx, plain, manner{seeds: plain.Seeds, workers: jobs, story: true}))
	for _, r := range tryAll(ctx, b, faults, jobs, stories) {
		print(<-r)
	}
	say("%s\n%d of %d faults were found, in %.0f s\n", notes.String(), found, len(faults), time.Since(began).Seconds())
	return fine
}

// result is what came of hunting for one fault, or for any in the code as it is.
type result struct {
	mutant
	found *finding // Nil if nothing was found.
	err   error    // Why it could not be told.
	took  time.Duration
}

// fine says whether it is as it has to be: a fault is found, and where there is none, none is.
func (r result) fine() bool { return r.err == nil && (r.found != nil) == (r.Name != asItIs) }

func (r result) verdict() string {
	switch {
	case r.err != nil:
		return "FAILED"
	case r.Name == asItIs && r.found != nil:
		return "BROKEN"
	case r.Name == asItIs:
		return "clean"
	case r.found == nil:
		return "NOT FOUND"
	}
	return "found"
}

// try builds the simulator with the fault, if it is one, and hunts.
func (b builder) try(ctx context.Context, m mutant, how manner) result {
	began := time.Now()
	r := result{mutant: m}
	var binary string
	if m.Name == asItIs {
		binary, r.err = b.plain(ctx)
	} else {
		binary, r.err = b.planted(ctx, m)
	}
	if r.err == nil {
		r.found, r.err = hunt(ctx, binary, how)
	}
	r.took = time.Since(began)
	return r
}

// tryAll tries the faults, so many at a time, and gives each its own channel for its result, in order.
func tryAll(ctx context.Context, b builder, faults []mutant, jobs int, stories bool) []chan result {
	results := make([]chan result, len(faults))
	for i := range results {
		results[i] = make(chan result, 1)
	}
	queue := make(chan int, len(faults))
	for i := range faults {
		queue <- i
	}
	close(queue)
	for range jobs {
		go func() {
			for i := range queue {
				results[i] <- b.try(ctx, faults[i], manner{invariant: faults[i].Invariant, seeds: faults[i].Seeds, workers: 1, story: stories})
			}
		}()
	}
	return results
}
