package main

import (
	"bytes"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestFunctionLogHandsOnStructuredLinesOnly(t *testing.T) {
	var file bytes.Buffer
	var told []string
	d := &driver{explained: map[string]bool{}}
	l := &functionLog{file: &file, tell: func(r record) { told = append(told, d.describeRecord(r)) }}
	lines := []string{
		`scaleout: {"message":"decision","use_case":"scale_out","action":"scale_out","current":0,"desired":3,"reasons":["backlog"],"backlog":30,"active":0,"held":0}`,
		`check: {"message":"decision","use_case":"check","action":"hold","current":3,"desired":3,"reasons":["unknown","backlog"],"backlog":0,"active":null,"held":2,"cause":"a worker is silent"}`,
		`check: {"message":"decision","use_case":"check","action":"candidate","current":3,"desired":0,"reasons":["idle"],"backlog":0,"active":0,"held":0}`,
		`check: panic: not a structured line`,
		`check: {"message":"something else"}`,
	}
	for _, line := range lines {
		if _, err := l.Write([]byte(line + "\n")); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"scale_out: 0 -> 3, because: backlog (there is more work than the workers are meant to have); backlog 30",
		"check: stays at 3, because: unknown (not everything could be seen, and unknown is never taken for idle), backlog; " +
			"active unknown, held 2, a worker is silent",
		"check: 3 -> 0 unless work comes, because: idle (wholly and certainly idle)",
		"",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
	if n := bytes.Count(file.Bytes(), []byte("\n")); n != len(lines) {
		t.Errorf("%d lines in the file, want %d", n, len(lines))
	}
}
