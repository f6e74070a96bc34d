package scaler

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sluice/internal/policy"
)

func TestTagsWithAnEnd(t *testing.T) {
	t.Parallel()
	yes, no, two, nine, most := true, false, 2, 9, 5000
	later := start.Add(90 * time.Minute)
	between := policy.Limits{Min: 1, Max: 4}
	tests := []struct {
		name string
		tags map[string]string
		want Overrides
	}{
		{"none", nil, Overrides{Limits: between}},
		{"a pause that goes on", map[string]string{TagPaused: TagValue("true", later)}, Overrides{
			Paused: true, Until: map[string]time.Time{TagPaused: later}, Limits: between,
		}},
		{"an empty value with an end", map[string]string{TagPausedIn: "@2026-11-21T14:30:00+01:00"}, Overrides{
			PausedIn: true, Until: map[string]time.Time{TagPausedIn: later}, Limits: between,
		}},
		{"each pause has its reason", map[string]string{TagPaused: "", TagReason: "upgrade"}, Overrides{Paused: true, Reason: "upgrade", Limits: between}},
		{"each pause has its reason, that of starting as well", map[string]string{TagPausedOut: "", TagReason: "upgrade"}, Overrides{
			PausedOut: true, Reason: "upgrade", Limits: between,
		}},
		{"a pause that is over, to the second", map[string]string{TagPaused: TagValue("true", start)}, Overrides{Limits: between}},
		{"a pause without an end", map[string]string{TagPausedOut: "1"}, Overrides{PausedOut: true, Limits: between}},
		{"a pause with a reason, in which an end is no end", map[string]string{TagPausedIn: "true", TagReason: "ask me@noon"}, Overrides{
			PausedIn: true, Reason: "ask me@noon", Limits: between,
		}},
		{"a reason that is left over", map[string]string{TagPaused: TagValue("true", start), TagReason: "upgrade"}, Overrides{Limits: between}},
		{"no pause", map[string]string{TagPausedOut: "false", TagPausedIn: "f"}, Overrides{Limits: between}},
		{"a dry run", map[string]string{TagDryRun: ""}, Overrides{DryRun: &yes, Limits: between}},
		{"no dry run", map[string]string{TagDryRun: "false"}, Overrides{DryRun: &no, Limits: between}},
		{"a dry run that is over", map[string]string{TagDryRun: "true@2026-11-21T11:59:59Z"}, Overrides{Limits: between}},
		{"bounds", map[string]string{TagMin: TagValue("2", later), TagMax: "9"}, Overrides{
			Min: &two, Max: &nine, Until: map[string]time.Time{TagMin: later}, Limits: policy.Limits{Min: 2, Max: 9},
		}},
		{"both bounds alike, each with an end", map[string]string{TagMin: TagValue("2", later), TagMax: TagValue("2", later.Add(1))}, Overrides{
			Min: &two, Max: &two, Until: map[string]time.Time{TagMin: later, TagMax: later}, Limits: policy.Limits{Min: 2, Max: 2},
		}},
		{"all that ECS runs in one service", map[string]string{TagMax: "5000"}, Overrides{Max: &most, Limits: policy.Limits{Min: 1, Max: 5000}}},
		{"more", map[string]string{TagMax: "5001"}, Overrides{Limits: between, Bad: []string{
			`tag sluice:max: "5001" is not a whole number from 0 to 5000: correct or delete it`,
		}}},
		{"a floor of none", map[string]string{TagFloor: TagValue("0", later)}, Overrides{
			Floor: Floor{0, later}, Until: map[string]time.Time{TagFloor: later}, Limits: between,
		}},
		{"a floor that is no number", map[string]string{TagFloor: TagValue("x", later)}, Overrides{
			Until: map[string]time.Time{TagFloor: later}, Limits: between, Bad: []string{`tag sluice:floor: "x@2026-11-21T13:30:00Z" is not COUNT@TIME: delete it`},
		}},
		{"a floor below none", map[string]string{TagFloor: TagValue("-1", later)}, Overrides{
			Until: map[string]time.Time{TagFloor: later}, Limits: between, Bad: []string{`tag sluice:floor: "-1@2026-11-21T13:30:00Z" is not COUNT@TIME: delete it`},
		}},
		{"one of two bounds that would be at odds is over", map[string]string{TagMin: "9@2026-11-21T11:00:00Z", TagMax: "2"}, Overrides{
			Max: &two, Limits: policy.Limits{Min: 1, Max: 2},
		}},
		{"what is over need not be understood", map[string]string{TagMin: "many@2026-11-21T11:00:00Z"}, Overrides{Limits: between}},
		{"a floor", map[string]string{TagFloor: "9@2026-11-21T13:30:00Z"}, Overrides{
			Floor: Floor{9, later}, Until: map[string]time.Time{TagFloor: later}, Limits: between,
		}},
		{"a floor that is over", map[string]string{TagFloor: "9@2026-11-21T12:00:00Z"}, Overrides{Limits: between}},
		{
			"an end that is no time: the tag does not count, and holds",
			map[string]string{TagPaused: "true@tomorrow"},
			Overrides{Limits: between, Bad: []string{
				`tag sluice:paused: "true@tomorrow" does not end in a time such as 2026-11-21T22:40:00Z: correct or delete it`,
			}},
		},
		{
			"several that cannot be understood",
			map[string]string{TagMin: "x", TagDryRun: "perhaps", TagPaused: "?", TagPausedIn: "?", TagPausedOut: "?"},
			Overrides{Limits: between, Bad: []string{
				`tag sluice:dry-run: "perhaps" is neither true nor false: correct or delete it`,
				`tag sluice:min: "x" is not a whole number from 0 to 5000: correct or delete it`,
				`tag sluice:paused-in: "?" is neither true nor false: correct or delete it`,
				`tag sluice:paused-out: "?" is neither true nor false: correct or delete it`,
				`tag sluice:paused: "?" is neither true nor false: correct or delete it`,
			}},
		},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, ParseTags(tt.tags, between, start)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

func TestTagValue(t *testing.T) {
	t.Parallel()
	if got := TagValue("true", time.Time{}); got != "true" {
		t.Errorf("without an end %q", got)
	}
	if got := TagValue("3", start.In(time.FixedZone("", 3600))); got != "3@2026-11-21T12:00:00Z" {
		t.Errorf("with one %q", got)
	}
}

// TestATagCountsUntilItsEnd holds any tag with an end against the same without: they say the same before it, and from then on it is
// as if there were none.
func TestATagCountsUntilItsEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.SampledFrom([]string{TagPaused, TagPausedIn, TagPausedOut, TagDryRun, TagMin, TagMax}).Draw(t, "tag")
		value := rapid.SampledFrom([]string{"", "true", "false", "0", "1", "7", "5001", "x"}).Draw(t, "value")
		l := policy.Limits{Min: rapid.IntRange(0, 5).Draw(t, "min"), Max: rapid.IntRange(5, 10).Draw(t, "max"), MessagesPerWorker: 1}
		left := time.Duration(rapid.IntRange(-90, 90).Draw(t, "seconds left")) * time.Second
		got := ParseTags(map[string]string{tag: TagValue(value, start.Add(left))}, l, start)
		want := ParseTags(nil, l, start)
		if left > 0 {
			want = ParseTags(map[string]string{tag: value}, l, start)
		}
		got.Until = nil
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s=%q with %v left (-want +got):\n%s", tag, value, left, diff)
		}
	})
}

// between is a window that is open from one time to another.
func between(name string, from, to time.Duration, low, high *int) Window {
	return Window{Name: name, Min: low, Max: high, Open: func(at time.Time) bool {
		return !at.Before(start.Add(from)) && at.Before(start.Add(to))
	}}
}

func TestWindows(t *testing.T) {
	t.Parallel()
	n := func(n int) *int { return &n }
	tg := target("worker", "celery")
	tg.Limits.Min, tg.Limits.Max = 1, 10
	tg.Windows = []Window{
		between("peak", 2*time.Hour, 4*time.Hour, n(5), n(20)),
		between("day", time.Hour, 6*time.Hour, n(2), nil),
		between("night", 5*time.Hour, 8*time.Hour, nil, n(0)),
		between("rush", 9*time.Hour, 10*time.Hour, n(30), nil),
		between("calm", 9*time.Hour, 11*time.Hour, nil, n(3)),
	}
	for _, tt := range []struct {
		at       time.Duration
		tags     map[string]string
		min, max int
		names    []string
	}{
		{0, nil, 1, 10, nil},
		{time.Hour, nil, 2, 10, []string{"day"}},
		{2 * time.Hour, nil, 5, 20, []string{"peak"}}, // day gives nothing that peak has not given.
		{4 * time.Hour, nil, 2, 10, []string{"day"}},
		{5 * time.Hour, nil, 2, 2, []string{"day", "night"}}, // At odds: the later one gives way.
		{6 * time.Hour, nil, 0, 0, []string{"night"}},        // min gives way to a window's max.
		{9 * time.Hour, nil, 30, 30, []string{"rush", "calm"}},
		{10 * time.Hour, nil, 1, 3, []string{"calm"}},
		{2 * time.Hour, map[string]string{TagMax: "6"}, 5, 6, []string{"peak"}},
		{2 * time.Hour, map[string]string{TagMax: "3"}, 3, 3, []string{"peak"}},
		{6 * time.Hour, map[string]string{TagMin: TagValue("4", start.Add(7*time.Hour))}, 4, 4, []string{"night"}},
		{7 * time.Hour, map[string]string{TagMin: TagValue("4", start.Add(7*time.Hour))}, 0, 0, []string{"night"}},
	} {
		at := start.Add(tt.at)
		o := tg.overrides(tt.tags, at)
		if o.Limits.Min != tt.min || o.Limits.Max != tt.max || o.Limits.MessagesPerWorker != 10 {
			t.Errorf("after %v, with %v: %+v, want %d to %d", tt.at, tt.tags, o.Limits, tt.min, tt.max)
		}
		if got := tg.windows(at).names; !slices.Equal(got, tt.names) {
			t.Errorf("after %v: windows %v, want %v", tt.at, got, tt.names)
		}
	}
}

// TestBoundsStayBounds draws windows and tags: whatever they say, min is at most max, a tag decides its bound, else the first open
// window that gives it, and else the configuration, but for giving way to the other bound.
func TestBoundsStayBounds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		bound := func(label string) *int {
			if n := rapid.IntRange(-8, 12).Draw(t, label); n >= 0 {
				return &n
			}
			return nil
		}
		tg := target("worker", "celery")
		tg.Limits.Min = rapid.IntRange(0, 10).Draw(t, "min")
		tg.Limits.Max = tg.Limits.Min + rapid.IntRange(0, 10).Draw(t, "max")
		var low, high *int // The first that a window gives.
		for range rapid.IntRange(0, 4).Draw(t, "windows") {
			w := Window{Min: bound("window's min"), Max: bound("window's max")}
			if w.Min != nil && w.Max != nil && *w.Min > *w.Max {
				w.Min = nil // Refused by the configuration.
			}
			open := rapid.Bool().Draw(t, "open")
			w.Open = func(time.Time) bool { return open }
			tg.Windows = append(tg.Windows, w)
			if open && low == nil {
				low = w.Min
			}
			if open && high == nil {
				high = w.Max
			}
		}
		tags := map[string]string{}
		tagged := tg.overrides(tags, start)
		if n := rapid.IntRange(-8, 12).Draw(t, "tag"); n >= 0 {
			maps.Copy(tags, map[string]string{rapid.SampledFrom([]string{TagMin, TagMax}).Draw(t, "which"): Floor{Count: n}.String()})
			tagged = tg.overrides(tags, start)
			if tagged.Min != nil && tagged.Limits.Min != n || tagged.Max != nil && tagged.Limits.Max != n {
				t.Fatalf("a tag of %d gives %+v", n, tagged.Limits)
			}
		}
		if l := tagged.Limits; l.Min < 0 || l.Min > l.Max {
			t.Fatalf("min %d and max %d", l.Min, l.Max)
		}
		l := tg.limitsAt(start)
		switch {
		case low == nil && high == nil && (l.Min != tg.Limits.Min || l.Max != tg.Limits.Max):
			t.Fatalf("no window is open, and gives %+v", l)
		case low != nil && high == nil && l.Min != *low, high != nil && low == nil && l.Max != *high:
			t.Fatalf("the only bound of a window does not hold: %+v", l)
		case low != nil && high != nil && *low <= *high && (l.Min != *low || l.Max != *high):
			t.Fatalf("the windows give %d to %d, and it is %+v", *low, *high, l)
		}
	})
}
