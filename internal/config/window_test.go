package config

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// clock reads a time as the wall shows it, with its offset: 2026-03-29T02:30:00+01:00.
func clock(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// The year's odd days, in several zones. Each row looks from a time at what comes next.
func TestWindowOpensAndCloses(t *testing.T) {
	const h = Duration(time.Hour)
	office := Window{Cron: "0 8 * * mon-fri", TimeZone: "Europe/Berlin", For: 10 * h}
	warm := Window{Cron: "0 8 * * mon-fri", TimeZone: "Europe/Berlin", For: 10 * h, PreWarm: h / 6}
	gap := Window{Cron: "30 2 * * *", TimeZone: "Europe/Berlin", For: h / 2}
	night := Window{Cron: "0 22 * * *", TimeZone: "America/New_York", For: 8 * h}
	for _, test := range []struct {
		name          string
		w             Window
		at            string
		open          bool
		opens, closes string
	}{
		{"before it opens", office, "2026-11-20T07:59:59+01:00", false, "2026-11-20T08:00:00+01:00", "2026-11-20T18:00:00+01:00"},
		{"as it opens", office, "2026-11-20T08:00:00+01:00", true, "2026-11-23T08:00:00+01:00", "2026-11-20T18:00:00+01:00"},
		{"just before it closes", office, "2026-11-20T17:59:59+01:00", true, "2026-11-23T08:00:00+01:00", "2026-11-20T18:00:00+01:00"},
		{"as it closes, on a Friday", office, "2026-11-20T18:00:00+01:00", false, "2026-11-23T08:00:00+01:00", "2026-11-23T18:00:00+01:00"},
		{"asked in another zone", office, "2026-11-23T09:00:00-05:00", true, "2026-11-24T08:00:00+01:00", "2026-11-23T18:00:00+01:00"},
		{"pre-warm", warm, "2026-11-23T07:49:59+01:00", false, "2026-11-23T07:50:00+01:00", "2026-11-23T18:00:00+01:00"},
		{"pre-warmed", warm, "2026-11-23T07:50:00+01:00", true, "2026-11-24T07:50:00+01:00", "2026-11-23T18:00:00+01:00"},

		// Berlin's clocks go from 02:00 to 03:00 on 29 March 2026, and from 03:00 to 02:00 on 25 October.
		{"over the weekend in spring", office, "2026-03-27T18:00:00+01:00", false, "2026-03-30T08:00:00+02:00", "2026-03-30T18:00:00+02:00"},
		{"over the weekend in autumn", office, "2026-10-23T18:00:00+02:00", false, "2026-10-26T08:00:00+01:00", "2026-10-26T18:00:00+01:00"},
		{"a time that is skipped", gap, "2026-03-29T00:00:00+01:00", false, "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"},
		{"in place of one that is skipped", gap, "2026-03-29T03:00:00+02:00", true, "2026-03-30T02:30:00+02:00", "2026-03-29T03:30:00+02:00"},
		{"the day after", gap, "2026-03-29T03:30:00+02:00", false, "2026-03-30T02:30:00+02:00", "2026-03-30T03:00:00+02:00"},
		{"a time that comes twice", gap, "2026-10-25T00:00:00+02:00", false, "2026-10-25T02:30:00+02:00", "2026-10-25T02:00:00+01:00"},
		{"its second coming", gap, "2026-10-25T02:30:00+01:00", false, "2026-10-26T02:30:00+01:00", "2026-10-26T03:00:00+01:00"},

		// New York: 8 March and 1 November. A window lasts as long as ever; the clock on the wall does not.
		{"a night of spring", night, "2026-03-07T23:00:00-05:00", true, "2026-03-08T22:00:00-04:00", "2026-03-08T07:00:00-04:00"},
		{"a night of autumn", night, "2026-10-31T23:00:00-04:00", true, "2026-11-01T22:00:00-05:00", "2026-11-01T05:00:00-05:00"},

		// The south: Sydney's summer ends on 5 April. Lord Howe's clocks go by half an hour; Cairo's skip midnight itself.
		{
			"Sydney's autumn",
			Window{Cron: "0 1 * * *", TimeZone: "Australia/Sydney", For: 4 * h},
			"2026-04-04T12:00:00+11:00", false, "2026-04-05T01:00:00+11:00", "2026-04-05T04:00:00+10:00",
		},
		{
			"half an hour is skipped",
			Window{Cron: "15 2 * * *", TimeZone: "Australia/Lord_Howe", For: h},
			"2026-10-03T12:00:00+10:30", false, "2026-10-04T02:30:00+11:00", "2026-10-04T03:30:00+11:00",
		},
		{
			"a midnight that is skipped",
			Window{Cron: "0 0 * * fri", TimeZone: "Africa/Cairo", For: h},
			"2026-04-23T12:00:00+02:00", false, "2026-04-24T01:00:00+03:00", "2026-04-24T02:00:00+03:00",
		},
		{
			"a zone between the hours",
			Window{Cron: "0 9 * * *", TimeZone: "Asia/Kathmandu", For: h},
			"2026-11-22T00:00:00Z", false, "2026-11-22T09:00:00+05:45", "2026-11-22T10:00:00+05:45",
		},

		// Each hour that passes counts where the hour is `*`: two of them are called 02 in autumn.
		{
			"each hour, the first 02",
			Window{Cron: "0 * * * *", TimeZone: "Europe/Berlin", For: h / 4},
			"2026-10-25T02:05:00+02:00", true, "2026-10-25T02:00:00+01:00", "2026-10-25T02:15:00+02:00",
		},
		{
			"each hour, the second 02",
			Window{Cron: "0 * * * *", TimeZone: "Europe/Berlin", For: h / 4},
			"2026-10-25T02:05:00+01:00", true, "2026-10-25T03:00:00+01:00", "2026-10-25T02:15:00+01:00",
		},

		{
			"a leap day",
			Window{Cron: "0 0 29 2 *", TimeZone: "UTC", For: 24 * h},
			"2026-11-22T00:00:00Z", false, "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z",
		},
		{
			"on the leap day",
			Window{Cron: "0 0 29 2 *", TimeZone: "UTC", For: 24 * h},
			"2028-02-29T12:00:00Z", true, "2032-02-29T00:00:00Z", "2028-03-01T00:00:00Z",
		},
		{
			"the 31st, in the months that have one",
			Window{Cron: "0 6 31 * *", TimeZone: "UTC", For: h},
			"2026-10-31T07:00:00Z", false, "2026-12-31T06:00:00Z", "2026-12-31T07:00:00Z",
		},
		{
			"a day of the month or of the week",
			Window{Cron: "0 6 1 * mon", TimeZone: "UTC", For: h},
			"2026-11-23T07:00:00Z", false, "2026-11-30T06:00:00Z", "2026-11-30T07:00:00Z",
		},

		{
			"openings that touch are one",
			Window{Cron: "0 8-17 * * *", TimeZone: "UTC", For: h},
			"2026-11-22T12:30:00Z", true, "2026-11-23T08:00:00Z", "2026-11-22T18:00:00Z",
		},
		{
			"openings that pre-warm into one another",
			Window{Cron: "0 8,10 * * *", TimeZone: "UTC", For: h, PreWarm: h},
			"2026-11-22T06:00:00Z", false, "2026-11-22T07:00:00Z", "2026-11-22T11:00:00Z",
		},
		{
			"one that never closes",
			Window{Cron: "0 8 * * *", TimeZone: "UTC", For: 24 * h},
			"2026-11-22T12:00:00Z", true, "", "",
		},
		{
			"one that never opens",
			Window{Cron: "0 0 31 4 *", TimeZone: "UTC", For: h},
			"2026-11-22T12:00:00Z", false, "", "",
		},
		{
			"one that is not valid",
			Window{Cron: "0 0 * * *", TimeZone: "Europe/Berln", For: 24 * h},
			"2026-11-22T12:00:00Z", false, "", "",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := clock(t, test.at)
			if got := test.w.Open(at); got != test.open {
				t.Errorf("Open = %v", got)
			}
			opens, closes := test.w.Next(at)
			for _, one := range []struct {
				name string
				got  time.Time
				want string
			}{{"opens", opens, test.opens}, {"closes", closes, test.closes}} {
				if one.want == "" != one.got.IsZero() || one.want != "" && !one.got.Equal(clock(t, one.want)) {
					t.Errorf("%s at %v, want %s", one.name, one.got, one.want)
				}
			}
		})
	}
}

func TestBounds(t *testing.T) {
	n := func(i int) *int { return &i }
	const h = Duration(time.Hour)
	target := Target{Min: 0, Max: 10, Windows: []Window{
		{Name: "launch", Cron: "0 6 24 11 *", TimeZone: "UTC", For: 24 * h, Min: n(6)},
		{Name: "day", Cron: "0 8 * * *", TimeZone: "UTC", For: 10 * h, Min: n(2), Max: n(20)},
		{Name: "night", Cron: "0 22 * * *", TimeZone: "UTC", For: 8 * h, Max: n(0)},
	}}
	for _, test := range []struct {
		at          string
		least, most int
		by          []string
	}{
		{"2026-11-22T07:00:00Z", 0, 10, nil},
		{"2026-11-22T08:00:00Z", 2, 20, []string{"day"}},
		{"2026-11-22T23:00:00Z", 0, 0, []string{"night"}},
		{"2026-11-24T07:00:00Z", 6, 10, []string{"launch"}},
		{"2026-11-24T09:00:00Z", 6, 20, []string{"launch", "day"}}, // The first one that gives a bound decides it.
	} {
		least, most, by := target.Bounds(clock(t, test.at))
		if least != test.least || most != test.most || !cmp.Equal(by, test.by) {
			t.Errorf("%s: %d to %d by %v, want %d to %d by %v", test.at, least, most, by, test.least, test.most, test.by)
		}
	}
}

func TestHintsOfWindows(t *testing.T) {
	for _, test := range []struct{ name, windows, want string }{
		{"nothing to say", "{name: a, cron: 0 8 * * *, for: 10h, min: 1, pre_warm: 10m}, {name: b, cron: 0 18 * * *, for: 2h, min: 2}", ""},
		{"together with nothing to decide", "{name: a, cron: 0 8 * * *, for: 1h, min: 1}, {name: b, cron: 0 8 * * *, for: 1h, max: 2}", ""},
		{"together and alike", "{name: a, cron: 0 8 * * *, for: 1h, min: 1}, {name: b, cron: 30 8 * * *, for: 1h, min: 1}", ""},
		{
			"together", "{name: a, cron: 0 8 * * *, for: 1h, min: 1}, {name: b, cron: 30 8 * * *, time_zone: UTC, for: 1h, min: 2}",
			"targets[0].windows[1]: is open together with a, as at Sat 2028-01-01 08:30 UTC, which stands before it and decides min:",
		},
		{
			"together in summer", "{name: a, cron: 0 9 * * *, time_zone: Europe/Berlin, for: 1h, min: 1, max: 3}, {name: b, cron: 30 7 * * *, for: 20m, min: 2, max: 2}",
			"targets[0].windows[1]: is open together with a, as at Sun 2028-03-26 07:30 UTC, which stands before it and decides min and max:",
		},
		{
			"together by pre-warm", "{name: a, cron: 0 9 * * *, time_zone: UTC, for: 1h, min: 1}, {name: b, cron: 5 10 * * *, for: 1h, pre_warm: 10m, min: 2}",
			"targets[0].windows[1]: is open together with a, as at Sat 2028-01-01 09:55 UTC",
		},
		{"always open", "{name: a, cron: 0 8 * * *, for: 24h, min: 1}", "targets[0].windows[0].for: the window never closes"},
		{"always open by pre-warm", "{name: a, cron: 0 8 * * *, for: 23h, min: 1, pre_warm: 1h}", "targets[0].windows[0].for: the window never closes"},
		{"too short to be seen", "{name: a, cron: 0 8 * * *, for: 4m, min: 1}", "targets[0].windows[0].for: is shorter than sweep.every, 5m: the window may pass unseen"},
		{"too little pre-warm", "{name: a, cron: 0 8 * * *, for: 1h, min: 1, pre_warm: 4m}", "targets[0].windows[0].pre_warm: is shorter than sweep.every, 5m"},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := open(t, "version: 1\nbrokers: [{name: b, url_env: X}]\n"+
				"targets: [{name: t, cluster: c, service: s, queues: [q], max: 10, windows: ["+test.windows+"]}]\n")
			hints := f.Hints()
			if (test.want == "") != (len(hints) == 0) || len(hints) > 1 || !strings.Contains(hints.Error(), test.want) {
				t.Errorf("hints %q, want %q", hints.Error(), test.want)
			}
		})
	}
}

// A file full of windows is judged in bounded time.
func TestManyWindows(t *testing.T) {
	var b strings.Builder
	b.WriteString("version: 1\nbrokers: [{name: b, url_env: X}]\ntargets:\n")
	for i := range 10 {
		name := string(rune('a'+i/26)) + string(rune('a'+i%26))
		b.WriteString("- {name: " + name + ", cluster: c, service: " + name + ", queues: [" + name + "], min: 3, max: 10, windows: [")
		for j := range 50 {
			b.WriteString("{name: w" + string(rune('0'+j/10)) + string(rune('0'+j%10)) + ", cron: '*/7 * 29 2 *', for: 744h, min: 1, max: 2},")
		}
		b.WriteString("]}\n")
	}
	start := time.Now()
	if _, err := Parse([]byte(b.String()), "sluice.yaml"); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("took %v", took)
	} else {
		t.Logf("took %v", took)
	}
}

// Whatever the window and the time: what Next foretells is what Open then says.
func FuzzWindow(f *testing.F) {
	f.Add("0 8 * * mon-fri", "Europe/Berlin", int64(600), int64(10), int64(1_774_746_000))
	f.Add("30 2 * * *", "America/New_York", int64(60), int64(0), int64(1_793_505_600))
	f.Add("*/20 * 29 2 *", "Australia/Lord_Howe", int64(7), int64(3), int64(1_790_000_000))
	f.Add("0 0 * * fri", "Africa/Cairo", int64(30), int64(0), int64(1_776_900_000))
	f.Fuzz(func(t *testing.T, spec, zone string, minutes, warm, at int64) {
		w := Window{Cron: spec, TimeZone: zone, For: Duration(time.Minute) * Duration(1+abs(minutes)%44640), PreWarm: Duration(time.Minute) * Duration(abs(warm)%1440)}
		if !patterns["cron"].matches(spec) || zone == "Local" {
			return
		}
		if _, err := w.timetable(); err != nil {
			return
		}
		now := time.Unix(abs(at)%4_000_000_000, 0) // Until 2096.
		opens, closes := w.Next(now)
		if isOpen := w.Open(now); isOpen != (!opens.IsZero() && !closes.IsZero() && closes.Before(opens)) && !opens.IsZero() && !closes.IsZero() {
			t.Errorf("open %v, but opens at %v and closes at %v", isOpen, opens, closes)
		}
		if !opens.IsZero() && (!opens.After(now) || !w.Open(opens) || w.Open(opens.Add(-1))) {
			t.Errorf("at %v it is told to open at %v", now, opens)
		}
		if !closes.IsZero() && (!closes.After(now) || w.Open(closes) || !w.Open(closes.Add(-1))) {
			t.Errorf("at %v it is told to close at %v", now, closes)
		}
	})
}

func abs(n int64) int64 { return max(n, -n, 0) }
