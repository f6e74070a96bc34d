package stepfunctions

import (
	"bytes"
	"context"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/asl"
	"sluice/lab/testenv"
)

func TestScenariosInOurInterpreter(t *testing.T) {
	for _, s := range scenarios(t, ScaleIn) {
		t.Run(s.Name, func(t *testing.T) {
			m, err := asl.Parse(s.Definition)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, s.want, interpret(t, m, s))
		})
	}
}

func TestScenariosInAWSLocal(t *testing.T) {
	node, _ := testenv.Node(t)
	inEngine(t, node, "../lab/engines/run-aws-local.mjs")
}

func TestScenariosInMoto(t *testing.T) {
	inEngine(t, testenv.Python(t), "../lab/engines/run-moto.py")
}

// inEngine runs all scenarios in one process of a public engine.
func inEngine(t *testing.T, program, script string) {
	all := scenarios(t, ScaleIn)
	var results []run
	runTool(t, program, script, all, &results)
	if len(results) != len(all) {
		t.Fatalf("%s gave %d results for %d scenarios", script, len(results), len(all))
	}
	for i, s := range all {
		t.Run(s.Name, func(t *testing.T) { compare(t, s.want, results[i]) })
	}
}

// runTool gives a script JSON on its standard input and reads JSON from its standard output.
func runTool(t *testing.T, program, script string, in, out any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute) // A loaded machine needs minutes.
	defer cancel()
	cmd := exec.CommandContext(ctx, program, filepath.FromSlash(script))
	cmd.Stdin = bytes.NewReader([]byte(canonical(in)))
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, stderr.String())
	}
	if err := json.Unmarshal(stdout.Bytes(), out); err != nil {
		t.Fatalf("%s: %v\n%.2000s\n%s", script, err, stdout.String(), stderr.String())
	}
}

// interpret runs a scenario in our interpreter, in a time that passes only by waiting.
func interpret(t *testing.T, m *asl.Machine, s scenario) (out run) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { out = interpreted(t.Context(), m, s) })
	return out
}

func interpreted(ctx context.Context, m *asl.Machine, s scenario) run {
	var mu sync.Mutex
	calls := map[string]int{}
	x := m.Run(ctx, s.Input, asl.Env{
		Invoke: func(ctx context.Context, arn string, input json.RawMessage) (json.RawMessage, error) {
			key := s.Functions[arn] + " " + string(input)
			mu.Lock()
			nth := calls[key]
			calls[key]++
			mu.Unlock()
			script := s.Answers[key]
			switch {
			case nth >= len(script):
				return nil, &asl.TaskError{Name: "Unscripted", Cause: key}
			case script[nth].Hangs:
				return nil, asl.RealClock{}.Sleep(ctx, 24*time.Hour)
			case script[nth].Fails != "":
				return nil, &asl.TaskError{Name: script[nth].Fails, Cause: "scripted"}
			}
			return json.RawMessage(canonical(script[nth].Returns)), nil
		},
	})
	out := run{Status: string(x.Status), Error: x.Error, Cause: x.Cause, Path: x.Path, Items: x.Items["Sweep"], Calls: calls}
	if x.Output != nil {
		out.Output = x.Output
	}
	return out
}

func compare(t *testing.T, want, got run) {
	t.Helper()
	if diff := difference(want, got); diff != "" {
		t.Errorf("run (-want +got):\n%s", diff)
	}
}

// difference compares two runs. The order of fields and the wording of the causes of other errors are an engine's own.
func difference(want, got run) string {
	return cmp.Diff(plain(want), plain(got))
}

// plain brings a run into the form of what has come out of JSON.
func plain(r run) any {
	if text, ok := r.Cause.(string); ok {
		var v any
		if r.Error != "TargetsFailed" || json.Unmarshal([]byte(text), &v) != nil {
			v = nil
		}
		r.Cause = v
	}
	if r.Items == nil {
		r.Items = [][]string{}
	}
	var v any
	if err := json.Unmarshal([]byte(canonical(r)), &v); err != nil {
		panic(err)
	}
	return v
}
