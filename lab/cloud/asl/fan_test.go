package asl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/asl"
)

// fanned waits as long as each item says, calls, and keeps what came of it.
const fanned = `{"StartAt": "M", "States": {"M": {"Type": "Map", "ItemsPath": "$.items", "MaxConcurrency": 2, "ResultPath": "$.out", "End": true,
	"ItemSelector": {"i.$": "$$.Map.Item.Index", "s.$": "$$.Map.Item.Value", "k.$": "$.k"},
	"ItemProcessor": {"StartAt": "W", "States": {
		"W": {"Type": "Wait", "SecondsPath": "$.s", "Next": "T"},
		"T": {"Type": "Task", "Resource": ` + function + `, "End": true}}}}}}`

func TestMap(t *testing.T) {
	tests := []struct {
		name, items, output, err string
		paths                    string
		took                     time.Duration
	}{
		{
			name: "two at a time, results in the order of the items", items: `[3, 1, 1, 5]`, paths: "[[W T] [W T] [W T] [W T]]", took: 7 * time.Second,
			output: `{"items":[3,1,1,5],"k":"v","out":[{"i":0,"k":"v","s":3},{"i":1,"k":"v","s":1},{"i":2,"k":"v","s":1},{"i":3,"k":"v","s":5}]}`,
		},
		{name: "no items", items: `[]`, paths: "[]", output: `{"items":[],"k":"v","out":[]}`},
		{name: "no list", items: `{}`, err: "States.Runtime", paths: "[]"},
		{name: "a failing item ends the others at once", items: `[1000, 2, 9]`, err: "Bad", paths: "[[W] [W T] []]", took: 2 * time.Second},
		{name: "an item that cannot be run", items: `["x"]`, err: "States.Runtime", paths: "[[W]]"},
	}
	m, err := asl.Parse([]byte(fanned))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		check := func(t *testing.T, clock asl.Clock) {
			t.Helper()
			began := clock.Now()
			x := m.Run(context.Background(), json.RawMessage(`{"k":"v","items":`+tt.items+`}`), asl.Env{
				Clock: clock,
				Invoke: func(_ context.Context, _ string, input json.RawMessage) (json.RawMessage, error) {
					if strings.Contains(string(input), `"s":2}`) {
						return nil, &asl.TaskError{Name: "Bad"}
					}
					return input, nil
				},
			})
			if string(x.Output) != tt.output || x.Error != tt.err {
				t.Errorf("output %s, error %s (%s), want %s, %s", x.Output, x.Error, x.Cause, tt.output, tt.err)
			}
			if got := fmt.Sprint(x.Items["M"]); got != tt.paths {
				t.Errorf("paths %s, want %s", got, tt.paths)
			}
			if took := clock.Now().Sub(began); took != tt.took {
				t.Errorf("took %v, want %v", took, tt.took)
			}
		}
		t.Run(tt.name+"/virtual", func(t *testing.T) { check(t, asl.NewVirtualClock(start)) })
		t.Run(tt.name+"/real", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { check(t, asl.RealClock{}) })
		})
	}
}

// In virtual time every event, not only the result, comes in the same order each time.
func TestVirtualTimeIsDeterministic(t *testing.T) {
	m, err := asl.Parse([]byte(strings.Replace(fanned, `"MaxConcurrency": 2`, `"MaxConcurrency": 0`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	items := []int{}
	for i := range 60 { // More than the 40 that run at once.
		items = append(items, i*7%5)
	}
	input, _ := json.Marshal(map[string]any{"k": 1, "items": items})
	events := func() []asl.Event {
		var out []asl.Event
		running, most := 0, 0
		clock := asl.NewVirtualClock(start)
		x := m.Run(context.Background(), input, asl.Env{
			Clock: clock,
			Invoke: func(ctx context.Context, _ string, input json.RawMessage) (json.RawMessage, error) {
				return input, clock.Sleep(ctx, time.Second)
			},
			Observe: func(e asl.Event) {
				if e.State == "W" && e.Type == asl.Entered {
					running++
					most = max(most, running)
				}
				if e.State == "T" && e.Type == asl.Exited {
					running--
				}
				out = append(out, e)
			},
		})
		if x.Status != asl.Succeeded || most != 40 {
			t.Fatalf("%s %s, %d at once, want 40", x.Status, x.Cause, most)
		}
		return out
	}
	first := events()
	for range 3 {
		if diff := cmp.Diff(first, events()); diff != "" {
			t.Fatalf("the events differ:\n%.1000s", diff)
		}
	}
}

// Among those whose time has come, the one that has waited longest is next.
func TestVirtualClockIsFair(t *testing.T) {
	clock := asl.NewVirtualClock(start)
	var order []string
	sleeper := func(name string, naps ...time.Duration) func() {
		return func() {
			for _, d := range naps {
				_ = clock.Sleep(context.Background(), d)
				order = append(order, fmt.Sprint(name, " ", clock.Now().Sub(start)))
			}
		}
	}
	clock.Join(sleeper("a", 2, 2), sleeper("b", 1, 1), sleeper("c", 2, 1))
	want := []string{"b 1ns", "a 2ns", "c 2ns", "b 2ns", "c 3ns", "a 4ns"}
	if diff := cmp.Diff(want, order); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestEvents(t *testing.T) {
	m, err := asl.Parse([]byte(task(`, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["E"], "Next": "D"}]`)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	m.Run(t.Context(), json.RawMessage(`1`), asl.Env{
		Clock: asl.NewVirtualClock(start),
		Invoke: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
			return nil, &asl.TaskError{Name: "E", Cause: "why"}
		},
		Observe: func(e asl.Event) {
			got = append(got, fmt.Sprintf("%v %s %s %d %s%s %s %v", e.At.Sub(start), e.Type, e.State, e.Item, e.Data, e.Error, e.Cause, e.Delay))
		},
	})
	want := []string{
		`0s entered S -1 1  0s`,
		`0s retried S -1 E why 1s`,
		`1s caught S -1 E why 0s`,
		`1s exited S -1 {"Cause":"why","Error":"E"}  0s`,
		`1s entered D -1 {"Cause":"why","Error":"E"}  0s`,
		`1s exited D -1 {"Cause":"why","Error":"E"}  0s`,
		`1s entered C -1 {"Cause":"why","Error":"E"}  0s`,
		`1s exited C -1 {"Cause":"why","Error":"E"}  0s`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
}

// A Map counts in the history, and so does each item; what an item begins with is held to the limit of data.
func TestAMapHasLimits(t *testing.T) {
	m, err := asl.Parse([]byte(`{"StartAt": "M", "States": {"M": {"Type": "Map", "End": true, "MaxConcurrency": 1,
		"ItemSelector": {"a.$": "$$.Map.Item.Value", "b.$": "$$.Map.Item.Value"},
		"ItemProcessor": {"StartAt": "P", "States": {"P": {"Type": "Pass", "Result": 1, "End": true}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	list := func(n int) string { return "[" + strings.Repeat("1,", n-1) + "1]" }
	for _, tt := range []struct{ name, input, want string }{
		{"as long as a history may be", list(6248), ""}, // 4 of the Map and 4 of each item.
		{"too long for a history", list(6249), asl.Runtime},
		{"as large as an item may be", `["` + strings.Repeat("x", (256<<10-15)/2) + `"]`, ""}, // {"a":"...","b":"..."}
		{"an item that is too large", `["` + strings.Repeat("x", (256<<10-15)/2+1) + `"]`, asl.DataLimit},
	} {
		x := m.Run(t.Context(), json.RawMessage(tt.input), asl.Env{Clock: asl.NewVirtualClock(start)})
		if x.Error != tt.want {
			t.Errorf("%s: %s %s (%s), want %q", tt.name, x.Status, x.Error, x.Cause, tt.want)
		}
	}
}
