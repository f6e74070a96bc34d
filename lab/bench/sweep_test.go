package main

import (
	"fmt"
	"strings"
	"testing"

	"sluice/internal/config"
	"sluice/lab/cloud/lambda"
)

func TestYAMLIsAWholeConfig(t *testing.T) {
	c, err := config.Parse([]byte(yaml("127.0.0.1:6379", 1000, 50)), "sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range c.Brokers {
		if n := len(c.TargetsOf(b.Name)); n != 20 {
			t.Errorf("broker %s has %d targets, want 20", b.Name, n)
		}
	}
}

func TestRightAnswer(t *testing.T) {
	answer := func(checked, held, failed, deferred, raised, lowered int) string {
		targets := strings.Repeat(`{"should_scale_out":true},`, raised) + strings.Repeat(`{"should_scale_out":false},`, lowered)
		return fmt.Sprintf(`{"checked":%d,"held":%d,"failed":%d,"deferred":%d,"targets":[%s]}`,
			checked, held, failed, deferred, strings.TrimSuffix(targets, ","))
	}
	for _, c := range []struct {
		name   string
		result lambda.Result
		right  bool
	}{
		{"all seen", lambda.Result{Payload: []byte(answer(1000, 600, 0, 0, 200, 200))}, true},
		{"some left to the next sweep", lambda.Result{Payload: []byte(answer(1000, 600, 0, 150, 200, 50))}, true},
		{"one failed", lambda.Result{Payload: []byte(answer(1000, 600, 1, 0, 200, 200))}, false},
		{"one not raised", lambda.Result{Payload: []byte(answer(1000, 600, 0, 0, 199, 201))}, false},
		{"an idle one held", lambda.Result{Payload: []byte(answer(1000, 601, 0, 0, 200, 199))}, false},
		{"one not looked at", lambda.Result{Payload: []byte(answer(999, 599, 0, 0, 200, 200))}, false},
		{"an error", lambda.Result{Payload: []byte(answer(1000, 600, 0, 0, 200, 200)), FunctionError: "Unhandled"}, false},
		{"no JSON", lambda.Result{Payload: []byte("oops")}, false},
	} {
		if err := rightAnswer(c.result); (err == nil) != c.right {
			t.Errorf("%s: got %v", c.name, err)
		}
	}
}

func TestField(t *testing.T) {
	status := []byte("Name:\tbootstrap\nPPid:\t42\nVmHWM:\t   36048 kB\nEmpty:\n")
	for name, want := range map[string]string{"PPid:": "42", "VmHWM:": "36048", "Empty:": "", "VmRSS:": ""} {
		if got := field(status, name); got != want {
			t.Errorf("field %s: got %q, want %q", name, got, want)
		}
	}
}
