package asl_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
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
		synctested(t, tt.name, func(t *testing.T) {
			began := time.Now()
			x := m.Run(context.Background(), json.RawMessage(`{"k":"v","items":`+tt.items+`}`), asl.Env{
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
			if took := time.Since(began); took != tt.took {
				t.Errorf("took %v, want %v", took, tt.took)
			}
		})
	}
}

// synctested runs a subtest in a time that passes only by waiting.
func synctested(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// An inline Map runs 40 at once, as in AWS, where it is not told to run fewer.
func TestAMapRunsFortyAtOnce(t *testing.T) {
	m, err := asl.Parse([]byte(strings.Replace(fanned, `"MaxConcurrency": 2`, `"MaxConcurrency": 0`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	input, _ := json.Marshal(map[string]any{"k": 1, "items": make([]int, 60)})
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		change := func(by int) {
			mu.Lock()
			defer mu.Unlock()
			running += by
			most = max(most, running)
		}
		x := m.Run(t.Context(), input, asl.Env{Invoke: func(_ context.Context, _ string, input json.RawMessage) (json.RawMessage, error) {
			change(1)
			time.Sleep(time.Second)
			change(-1)
			return input, nil
		}})
		if x.Status != asl.Succeeded || most != 40 {
			t.Errorf("%s %s, %d at once, want 40", x.Status, x.Cause, most)
		}
	})
}

func TestEvents(t *testing.T) {
	m, err := asl.Parse([]byte(task(`, "Retry": [{"ErrorEquals": ["E"], "MaxAttempts": 1}], "Catch": [{"ErrorEquals": ["E"], "Next": "D"}]`)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		m.Run(t.Context(), json.RawMessage(`1`), asl.Env{
			Invoke: func(context.Context, string, json.RawMessage) (json.RawMessage, error) {
				return nil, &asl.TaskError{Name: "E", Cause: "why"}
			},
			Observe: func(e asl.Event) {
				got = append(got, fmt.Sprintf("%v %s %s %d %s%s %s %v", e.At.Sub(began), e.Type, e.State, e.Item, e.Data, e.Error, e.Cause, e.Delay))
			},
		})
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
		x := m.Run(t.Context(), json.RawMessage(tt.input), asl.Env{})
		if x.Error != tt.want {
			t.Errorf("%s: %s %s (%s), want %q", tt.name, x.Status, x.Error, x.Cause, tt.want)
		}
	}
}
