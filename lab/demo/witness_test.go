package main

import "testing"

// TestARecordInOneLine tells what the functions log, as a viewer of the demo reads it.
func TestARecordInOneLine(t *testing.T) {
	t.Parallel()
	decision := func(action string, desired, resume float64, reasons ...any) record {
		return record{
			"message": "decision", "use_case": "check", "action": action, "current": 3.0, "desired": desired, "resume": resume, "reasons": reasons,
			"backlog": 12.0, "active": 0.0, "held": nil,
		}
	}
	for _, tt := range []struct {
		name   string
		record record
		want   string
	}{
		{"hold", decision("hold", 3, 0, "steady"), "check: stays at 3, because: steady (the number of workers fits); backlog 12, held unknown"},
		{"a candidate", decision("candidate", 1, 0, "steady"), "check: 3 -> 1 unless work comes, because: steady (the number of workers fits); backlog 12, held unknown"},
		{
			"workers are resumed, and more are started", decision("scale_out", 4, 2, "steady"),
			"check: 3 -> 4 and 2 fetch again, because: steady (the number of workers fits); backlog 12, held unknown",
		},
		{"nobody could go at once", record{"message": "result", "status": "draining"}, "result: workers fetch no more, and go when they are done"},
		{"work came", record{"message": "result", "status": "resumed"}, "result: drained workers fetch again"},
		{"the count shows it", record{"message": "result", "status": "scaled in"}, ""},
		{"something else", record{"message": "floor"}, ""},
	} {
		d := &driver{explained: map[string]bool{}}
		if got := d.describeRecord(tt.record); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}
