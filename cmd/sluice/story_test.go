package main

import (
	"bytes"
	"testing"

	"sluice/lab/cloud"
)

// A message is told with its subject and all of its lines.
func TestStoryOfAMessage(t *testing.T) {
	var out bytes.Buffer
	s := &story{w: &out}
	s.happening(cloud.Happening{Published: &cloud.Published{
		Topic: "arn:aws:sns:eu-west-1:000000000000:sluice-alarms", Subject: "Sluice: 1 change", Message: "worker: 0 -> 3\n12 messages waited",
	}})
	if want := "message to sluice-alarms: Sluice: 1 change\n    worker: 0 -> 3\n    12 messages waited\n"; out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
}
