package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"sluice/internal/terminal"
	"sluice/lab/cloud"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/lambda"
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

// What others say in the local cloud is told without what they do to a terminal; a task's colours are left out.
func TestStoryPlaysNotWithTheTerminal(t *testing.T) {
	for _, text := range []string{
		"\x1b]0;owned\x07", "\x1b[1Aok\x1b[31m", "a\r\x08\x08b", "one\ntwo\x7f\x00", "a\u202eb\u202c", "a\u200b\ufeff", "\u009b2J", "\xff\xfe\x9b",
	} {
		var out bytes.Buffer
		s := &story{w: &out}
		for _, h := range []cloud.Happening{
			{Published: &cloud.Published{Topic: "x:" + text, Subject: text, Message: text}},
			{Denied: &cloud.Denied{Function: text, Action: text, Resource: text}},
			{DeadLetter: &lambda.DeadLetter{Function: text, Reason: text, ErrorType: text, ErrorMessage: text, Payload: []byte(text)}},
		} {
			s.happening(h)
		}
		for _, w := range []interface{ Write([]byte) (int, error) }{s.task(ecs.Spec{Service: text, TaskID: "0"}), s.lines("function " + text)} {
			_, _ = fmt.Fprintln(w, text)
		}
		var cleaned bytes.Buffer
		_, _ = terminal.Writer{Out: &cleaned}.Write(out.Bytes())
		if out.String() != cleaned.String() {
			t.Errorf("%q: told as\n%q", text, out.String())
		}
	}
	var out bytes.Buffer
	_, _ = fmt.Fprintln((&story{w: &out}).lines("task: "), "\x1b[36mready\x1b[0m")
	if out.String() != "task: ready\n" {
		t.Errorf("colours: %q", out.String())
	}
}

func TestLinesOfTheStory(t *testing.T) {
	var out bytes.Buffer
	s := &story{w: &out}
	w := s.lines("task: ")
	for _, part := range []string{"one\ntw", "o\r\n", "\n", strings.Repeat("x", maxLine), "end"} {
		if n, err := w.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatalf("wrote %d, %v", n, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	want := "task: one\ntask: two\ntask: \ntask: " + strings.Repeat("x", maxLine) + "\ntask: end\n"
	if out.String() != want {
		t.Errorf("got %.200q", out.String())
	}
}
