package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// result is what came of a variant or a fault.
type result struct {
	name   string
	by     string // The check that had to find something; empty where nothing was to be found.
	says   string
	breaks string
	found  []caught
	err    error // Why it could not be told.
	took   time.Duration
}

// fine says whether it is as it has to be.
func (r result) fine() bool {
	if r.by == "" {
		return r.err == nil && len(r.found) == 0
	}
	return r.err == nil && slices.ContainsFunc(r.found, func(c caught) bool { return c.by == r.by && strings.Contains(c.text, r.says) })
}

func (r result) verdict() string {
	switch {
	case r.err != nil:
		return "FAILED"
	case r.by == "" && r.fine():
		return "clean"
	case r.by == "":
		return "NOT CLEAN"
	case r.fine():
		return "found"
	case len(r.found) > 0:
		return "OTHERWISE"
	}
	return "NOT FOUND"
}

// catchers are the checks that found something, the one that had to first.
func (r result) catchers() string {
	var out []string
	for _, c := range r.found {
		if !slices.Contains(out, c.by) {
			out = append(out, c.by)
		}
	}
	slices.SortStableFunc(out, func(a, b string) int {
		switch {
		case a == b:
			return 0
		case a == r.by:
			return -1
		case b == r.by:
			return 1
		}
		return 0
	})
	return strings.Join(out, ", ")
}

// survey tries the variants, and then the faults, and prints a row for each as soon as it is there, and then what was not as it
// has to be. It says whether all was.
func (l *lab) survey(ctx context.Context, w io.Writer, sound []variant, faults []fault, jobs int, verbose bool) bool {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) } // Nobody would hear of an error.
	width, try := len("fault"), []func(context.Context) result{}
	for _, v := range sound {
		width = max(width, len(v.name))
		try = append(try, func(ctx context.Context) result { return l.tryVariant(ctx, v) })
	}
	for _, f := range faults {
		width = max(width, len(f.Name))
		try = append(try, func(ctx context.Context) result { return l.tryFault(ctx, f) })
	}
	row := fmt.Sprintf("%%-9v  %%-%dv  %%7v  %%-40v  %%v\n", width)
	say(row, "verdict", "fault", "seconds", "found by", "what the fault breaks")
	began, fine, found := time.Now(), true, 0
	var notes strings.Builder
	for _, done := range inOrder(ctx, jobs, try) {
		r := <-done
		say(row, r.verdict(), r.name, fmt.Sprintf("%.1f", r.took.Seconds()), r.catchers(), r.breaks)
		fine = fine && r.fine()
		if r.by != "" && r.fine() {
			found++
		}
		if r.err != nil {
			fmt.Fprintf(&notes, "\n%s: %v\n", r.name, r.err)
		}
		if !r.fine() && r.by != "" {
			fmt.Fprintf(&notes, "\n%s: had to be found by %s, with the words %q\n", r.name, r.by, r.says)
		}
		if verbose || !r.fine() {
			for _, c := range r.found {
				fmt.Fprintf(&notes, "\n%s: %s\n", r.name, c.text)
			}
		}
	}
	say("%s\n%d of %d faults were found, in %.0f s\n", notes.String(), found, len(faults), time.Since(began).Seconds())
	return fine
}

// inOrder runs so many at a time, and gives each its own channel for its result.
func inOrder(ctx context.Context, jobs int, try []func(context.Context) result) []chan result {
	results := make([]chan result, len(try))
	queue := make(chan int, len(try))
	for i := range try {
		results[i] = make(chan result, 1)
		queue <- i
	}
	close(queue)
	for range jobs {
		go func() {
			for i := range queue {
				if err := ctx.Err(); err != nil {
					results[i] <- result{err: err}
					continue
				}
				results[i] <- try[i](ctx)
			}
		}()
	}
	return results
}

func (l *lab) tryVariant(ctx context.Context, v variant) result {
	began := time.Now()
	r := result{name: v.name}
	d, err := l.sound(v.name)
	if err == nil {
		r.found, err = l.assess(ctx, d)
	}
	r.err, r.took = err, time.Since(began)
	return r
}

func (l *lab) tryFault(ctx context.Context, f fault) result {
	began := time.Now()
	r := result{name: f.Name, by: f.By, says: f.Says, breaks: f.Breaks}
	d, err := l.plant(ctx, f)
	if err == nil {
		r.found, err = l.assess(ctx, d)
	}
	r.err, r.took = err, time.Since(began)
	return r
}
