package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestMeasured(t *testing.T) {
	for _, c := range []struct {
		name   string
		values []float64
		want   row
	}{
		{"once", []float64{7}, row{N: 1, Min: 7, Median: 7, P95: 7, Max: 7}},
		{"an odd number, unsorted", []float64{9, 1, 5}, row{N: 3, Min: 1, Median: 5, P95: 9, Max: 9}},
		{"an even number: the mean of the middle", []float64{4, 1, 3, 2}, row{N: 4, Min: 1, Median: 2.5, P95: 4, Max: 4}},
		{"a hundred", upTo(100), row{N: 100, Min: 1, Median: 50.5, P95: 95, Max: 100}},
		{"twenty: only the worst is above the 95th", upTo(20), row{N: 20, Min: 1, Median: 10.5, P95: 19, Max: 20}},
	} {
		if diff := cmp.Diff(c.want, measured("", "", c.values)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestMeasuredLeavesTheValuesInTheirOrder(t *testing.T) {
	values := []float64{3, 1, 2}
	measured("", "", values)
	if diff := cmp.Diff([]float64{3, 1, 2}, values); diff != "" {
		t.Error(diff)
	}
}

func TestVerdict(t *testing.T) {
	one := measured("", "", []float64{1, 2, 9})
	for _, c := range []struct {
		name string
		row  row
		want verdict
	}{
		{"no bound", one, unbounded},
		{"a time: the median is at the bound", one.timed(2), within},
		{"a time: the median is beyond it", one.timed(1.9), over},
		{"a count: the worst is at the bound", one.counted(9), within},
		{"a count: the worst alone is beyond it", one.counted(8), broken},
		{"a count that must be none", measured("", "", []float64{0, 0}).counted(0), within},
		{"a count that must be none and is not", measured("", "", []float64{0, 1}).counted(0), broken},
		{"a ratio", ratio("", measured("", "", []float64{6}), one).timed(3), within},
		{"a ratio beyond its bound", ratio("", measured("", "", []float64{6}), one).timed(2.9), over},
	} {
		if c.row.Verdict != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.row.Verdict, c.want)
		}
	}
}

func TestRatio(t *testing.T) {
	got := ratio("a / b", measured("a", "ms", []float64{8, 9, 10}), measured("b", "ms", []float64{2, 3}))
	want := row{What: "a / b", Unit: "times", N: 2, Min: 3.6, Median: 3.6, P95: 3.6, Max: 3.6}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLine(t *testing.T) {
	for _, c := range []struct {
		name string
		row  row
		want string
	}{
		{"a spread and a bound", measured("one look", "ms", []float64{1.234, 12.34, 123.4}).timed(20), "one look 3 1.23 12.3 123 123 ms 20 ok"},
		{"no spread", measured("calls", "calls", []float64{100, 100}).counted(100), "calls 2 100 calls 100 ok"},
		{"a bound of nothing is shown", measured("calls", "calls", []float64{1}).counted(0), "calls 1 1 calls 0 BROKEN"},
		{"no bound", measured("0 -> 1 → ½", "us", []float64{0.1234}), "0 -> 1 → ½ 1 0.123 us"},
	} {
		if got := strings.Join(strings.Fields(c.row.String()), " "); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	if a, b := pad("½"), pad("a"); len([]rune(a)) != len([]rune(b)) {
		t.Errorf("columns of %d and %d characters", len([]rune(a)), len([]rune(b)))
	}
}

func upTo(n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = float64((i*7)%n + 1) // 7 and n have no common divisor here: each once, unsorted.
	}
	return out
}
