package telemetry

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sluice/lab/testenv"
)

// TestLinesAreEmbeddedMetrics holds every line to the schema that AWS publishes, by an independent validator, and to the rules that a
// schema cannot say.
func TestLinesAreEmbeddedMetrics(t *testing.T) {
	t.Parallel()
	lines := recorded(t, Targets, everything)
	const script = `
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft7Validator.check_schema(schema)
validator = jsonschema.Draft7Validator(schema)
for line in sys.stdin:
    for error in validator.iter_errors(json.loads(line)):
        print(error.message, "in", line)
print("done")
`
	python := exec.CommandContext(t.Context(), testenv.Python(t), "-c", script, "testdata/emf.schema.json")
	python.Stdin = strings.NewReader(lines)
	if out, err := python.CombinedOutput(); err != nil || string(out) != "done\n" {
		t.Errorf("%v\n%s", err, out)
	}
	for line := range strings.Lines(lines) {
		followsTheRules(t, line)
	}
	if n := strings.Count(lines, "\n"); n < 7 {
		t.Errorf("%d lines: 260 values need three, of all and of each target", n)
	}
}

// followsTheRules holds the line to the text of the specification.
func followsTheRules(t *testing.T, line string) {
	t.Helper()
	var members map[string]json.RawMessage
	var meta struct {
		AWS struct {
			Timestamp         int64
			CloudWatchMetrics []struct {
				Dimensions [][]string
				Metrics    []struct{ Name string }
			}
		} `json:"_aws"`
	}
	if json.Unmarshal([]byte(line), &members) != nil || json.Unmarshal([]byte(line), &meta) != nil {
		t.Fatalf("no JSON: %s", line)
	}
	if len(line) > 1<<20 {
		t.Errorf("%d bytes in a line", len(line))
	}
	if at := time.UnixMilli(meta.AWS.Timestamp); !at.Equal(noon) {
		t.Errorf("time stamp %v, want %v", at, noon)
	}
	for _, d := range meta.AWS.CloudWatchMetrics {
		for _, set := range d.Dimensions {
			for _, name := range set {
				var value string
				if json.Unmarshal(members[name], &value) != nil || value == "" || len(value) > 1024 {
					t.Errorf("dimension %s is %s", name, members[name])
				}
			}
		}
		if len(d.Metrics) == 0 || len(d.Metrics) > 100 {
			t.Errorf("%d metrics", len(d.Metrics))
		}
		seen := map[string]bool{}
		for _, m := range d.Metrics {
			var one float64
			var many []float64
			if json.Unmarshal(members[m.Name], &one) != nil && (json.Unmarshal(members[m.Name], &many) != nil || len(many) == 0 || len(many) > 100) {
				t.Errorf("metric %s is %.80s, with %d values", m.Name, members[m.Name], len(many))
			}
			if seen[m.Name] {
				t.Errorf("metric %s twice", m.Name)
			}
			seen[m.Name] = true
		}
	}
}
