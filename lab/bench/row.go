package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// verdict is how a figure stands to its bound.
type verdict string

const (
	unbounded verdict = ""       // There is no bound.
	within    verdict = "ok"     // The median is within the bound.
	over      verdict = "over"   // The median is beyond it; a time is the machine's as much as ours.
	broken    verdict = "BROKEN" // A count is beyond it, even once: a promise is broken, on any machine.
)

// row is one line of the table: what was measured, how often, and what came out.
type row struct {
	Group   string  `json:"group"`
	What    string  `json:"what"`
	Unit    string  `json:"unit"`
	N       int     `json:"n"` // How often it was measured.
	Min     float64 `json:"min"`
	Median  float64 `json:"median"`
	P95     float64 `json:"p95"`
	Max     float64 `json:"max"`
	Bound   float64 `json:"bound,omitempty"` // The most that is allowed; meant only if there is a verdict.
	Verdict verdict `json:"verdict,omitempty"`
}

// measured makes a row without a bound out of the values, of which there is at least one.
func measured(what, unit string, values []float64) row {
	v := slices.Sorted(slices.Values(values))
	return row{
		What: what, Unit: unit, N: len(v),
		Min: v[0], Median: percentile(v, 50), P95: percentile(v, 95), Max: v[len(v)-1],
	}
}

// timed holds the row's median against a bound.
func (r row) timed(bound float64) row {
	r.Bound, r.Verdict = bound, within
	if r.Median > bound {
		r.Verdict = over
	}
	return r
}

// counted holds every value of the row against a bound that does not depend on the machine.
func (r row) counted(bound float64) row {
	r.Bound, r.Verdict = bound, within
	if r.Max > bound {
		r.Verdict = broken
	}
	return r
}

// ratio is how many times the median of one row is that of another, each measured n times.
func ratio(what string, a, b row) row {
	q := a.Median / b.Median
	return row{What: what, Unit: "times", N: min(a.N, b.N), Min: q, Median: q, P95: q, Max: q}
}

// percentile is the smallest of the sorted values that at least p percent of them do not exceed (nearest rank); the
// median of an even number of values is the mean of the two in the middle.
func percentile(sorted []float64, p float64) float64 {
	n := len(sorted)
	if p == 50 && n%2 == 0 {
		return (sorted[n/2-1] + sorted[n/2]) / 2
	}
	rank := int(math.Ceil(p / 100 * float64(n)))
	return sorted[max(rank, 1)-1]
}

const layout = "%-7s %s %5s %10s %10s %10s %10s  %-8s %8s %s"

func header() string {
	return fmt.Sprintf(layout, "", pad("what"), "n", "min", "median", "p95", "max", "unit", "bound", "")
}

// String is the row as a line of the table. The spread of a value that was taken once, or never varied, is left out.
func (r row) String() string {
	low, p95, high := short(r.Min), short(r.P95), short(r.Max)
	if r.Min == r.Max {
		low, p95, high = "", "", ""
	}
	bound := ""
	if r.Verdict != unbounded {
		bound = short(r.Bound)
	}
	return fmt.Sprintf(layout, r.Group, pad(r.What), strconv.Itoa(r.N), low, short(r.Median), p95, high, r.Unit, bound, r.Verdict)
}

// pad fills a text up to the width of its column, counting characters and not bytes.
func pad(s string) string {
	const width = 62
	return s + fmt.Sprintf("%*s", max(0, width-utf8.RuneCountInString(s)), "")
}

// short writes a number with three digits that count, and whole ones in full.
func short(v float64) string {
	switch {
	case v == math.Trunc(v) || math.Abs(v) >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case math.Abs(v) >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	case math.Abs(v) >= 1:
		return strconv.FormatFloat(v, 'f', 2, 64)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}
