package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/internal/price"
	"sluice/internal/scaler"
	"sluice/lab/testenv"
)

var update = flag.Bool("update", false, "write docs/decision.schema.json, and the computed tables of docs/observability.md, anew")

const (
	page       = "../../docs/observability.md"
	schemaFile = "../../docs/decision.schema.json"
)

// section is the part of the page between the marks of that name.
func section(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, begun := strings.Cut(string(text), "<!-- "+name+" -->\n")
	part, _, ended := strings.Cut(rest, "<!-- end of "+name+" -->")
	if !begun || !ended {
		t.Fatalf("docs/observability.md has no part %q", name)
	}
	return part
}

// computed holds the part of the page to what it has to be, or writes it.
func computed(t *testing.T, name, want string) {
	t.Helper()
	got := section(t, name)
	if *update && got != want {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		mark := "<!-- " + name + " -->\n"
		if err := os.WriteFile(page, bytes.Replace(text, []byte(mark+got), []byte(mark+want), 1), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/observability.md: run `go test ./internal/telemetry -run Docs -update` (-want +got):\n%s", diff)
	}
}

// row is a row of a table of fields.
type row struct{ field, kind, none, meaning string }

func rows(t *testing.T, name string) (out []row) {
	t.Helper()
	for line := range strings.Lines(section(t, name)) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 4 || cells[3] == "" {
			t.Fatalf("%s: %q is no row of four cells", name, line)
		}
		if strings.HasPrefix(cells[0], "`") {
			out = append(out, row{strings.Trim(cells[0], "`"), cells[1], cells[2], cells[3]})
		}
	}
	return out
}

// TestDocsOfTheLines holds the tables of fields to the types that the lines are made of: names, kinds, and what stands for nothing.
func TestDocsOfTheLines(t *testing.T) {
	for name, of := range map[string]any{"record": scaler.Record{}, "change": scaler.Change{}, "sweep": scaler.Sweep{}} {
		var want []row
		for _, f := range reflect.VisibleFields(reflect.TypeOf(of)) {
			tag, rule, _ := strings.Cut(f.Tag.Get("json"), ",")
			r := row{field: tag, kind: kindOf(f.Type), none: "always there"}
			switch {
			case rule == "omitempty":
				r.none = "absent"
			case f.Type.Kind() == reflect.Pointer:
				r.none = "`null`: unknown"
			}
			want = append(want, r)
		}
		got := rows(t, name)
		for i := range got {
			got[i].meaning = ""
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(row{})); diff != "" {
			t.Errorf("%s (-the type +docs/observability.md):\n%s", name, diff)
		}
	}
}

// kindOf is a type in the words of the tables.
func kindOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return kindOf(t.Elem())
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "list of " + kindOf(t.Elem()) + "s"
	}
	return "unheard of: " + t.String()
}

// schemaOf is the JSON Schema of the record, from its table.
func schemaOf(t *testing.T) []byte {
	t.Helper()
	types := map[string]any{
		"whole number": "integer", "number": "number", "true or false": "boolean", "text": "string", "list of texts": "array",
	}
	properties, required := map[string]any{}, []string{}
	for _, r := range rows(t, "record") {
		p := map[string]any{"type": types[r.kind], "description": r.meaning}
		switch r.none {
		case "`null`: unknown":
			p["type"] = []any{types[r.kind], "null"}
			required = append(required, r.field)
		case "always there":
			required = append(required, r.field)
		}
		if r.kind == "list of texts" {
			p["items"] = map[string]any{"type": "string"}
		}
		if r.field == "v" {
			p["const"] = scaler.RecordVersion
		}
		properties[r.field] = p
	}
	text, err := json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Sluice's decision record", "type": "object",
		"properties": properties, "required": required,
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

// TestDocsOfTheRecordAsASchema holds the committed schema to the table, and records to the schema by an independent validator.
func TestDocsOfTheRecordAsASchema(t *testing.T) {
	want := schemaOf(t)
	if *update {
		if err := os.WriteFile(schemaFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("run `go test ./internal/telemetry -run Docs -update` (-want +committed):\n%s", diff)
	}
	full := record("film", 1, 2, 3, 4, policy.ReasonIdle)
	full.V, full.HeadAgeS, full.EventAgeMS, full.StartS, full.Unheard = scaler.RecordVersion, ptr(1.5), ptr(int64(7)), ptr(2.0), []string{"a"}
	bare := scaler.Record{V: scaler.RecordVersion, Reasons: []policy.Reason{policy.ReasonUnknown}}
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(text), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	lines, err := json.Marshal([]any{full, bare, json.RawMessage(example), map[string]any{"v": "1"}})
	if err != nil {
		t.Fatal(err)
	}
	const script = `
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
print([len(list(jsonschema.Draft202012Validator(schema).iter_errors(r))) > 0 for r in json.load(sys.stdin)])
`
	python := exec.CommandContext(t.Context(), testenv.Python(t), "-c", script, schemaFile)
	python.Stdin = bytes.NewReader(lines)
	if out, err := python.CombinedOutput(); err != nil || string(out) != "[False, False, False, True]\n" {
		t.Errorf("records that the schema refuses: %s, %v; want the last one only", out, err)
	}
}

func TestDocsOfTheMetrics(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | unit | of all | of each target | written | meaning |\n| --- | --- | --- | --- | --- | --- |\n")
	yes := func(b bool) string {
		if b {
			return "yes"
		}
		return "no"
	}
	for _, m := range Metrics {
		when := "in each sweep"
		switch {
		case m.Name == Decisions:
			when = "with each decision"
		case m.Unit == "Count" && !m.Target:
			when = "with each invocation"
		}
		if m.Seldom {
			when = "where there is something to say"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", m.Name, m.Unit, yes(m.Total || m.Name == Decisions), yes(m.Target), when, m.Meaning)
	}
	computed(t, "metrics", b.String())
}

// TestDocsOfThePrices computes what a month costs from what is written in an hour.
func TestDocsOfThePrices(t *testing.T) {
	each := price.Of(price.Metric, "us-east-1").USD
	var b strings.Builder
	b.WriteString("| level | targets | metrics, quiet | a month | metrics, everything | a month |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, level := range []Level{Off, Totals, Targets} {
		for _, n := range []int{1, 10, 100, 1000} {
			if level != Targets && n > 1 {
				continue // As much for any number.
			}
			quiet, busy := 0, 0
			if level != Off {
				quiet = distinct(t, recorded(t, level, func(r *Recorder) { quietHour(r, n) }))
				busy = distinct(t, recorded(t, level, func(r *Recorder) { busyHour(r, n, allReasons(t)) }))
			}
			targets := fmt.Sprint(n)
			if level != Targets {
				targets = "any number"
			}
			fmt.Fprintf(&b, "| `%s` | %s | %d | $%.2f | %d | $%.2f |\n", level, targets, quiet, float64(quiet)*each, busy, float64(busy)*each)
		}
	}
	computed(t, "prices", b.String())
}

// allReasons are those of the README's table, which a test of package policy holds to the code.
func allReasons(t *testing.T) (out []policy.Reason) {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| reason | in words |\n")
	for line := range strings.Lines(table) {
		name, ok := strings.CutPrefix(line, "| `")
		switch {
		case ok:
			name, _, _ = strings.Cut(name, "`")
			out = append(out, policy.Reason(name))
		case !strings.HasPrefix(line, "|"):
			if len(out) < 20 {
				t.Fatalf("the README's reasons are %q", out)
			}
			return out
		}
	}
	return out
}

// quietHour is a sweep that finds nothing to do.
func quietHour(r *Recorder, targets int) {
	r.Called("ecs", "DescribeServices", nil)
	r.Called("redis", "pipeline", nil)
	for i := range targets {
		r.Decided(context.Background(), record(fmt.Sprint(i), 0, 0, 0, 1, policy.ReasonSteady))
	}
	r.Swept(context.Background(), scaler.Sweep{})
}

// busyHour is all that can happen, to every target.
func busyHour(r *Recorder, targets int, reasons []policy.Reason) {
	quietHour(r, targets)
	for i := range targets {
		d := record(fmt.Sprint(i), 1, 1, 1, 1, reasons...)
		d.HeadAgeS, d.StartS = ptr(1.0), ptr(30.0)
		r.Decided(context.Background(), d)
		r.Changed(context.Background(), scaler.Change{Target: fmt.Sprint(i), EventToCountMS: ptr(int64(100))})
	}
	r.Swept(context.Background(), scaler.Sweep{})
	r.Called("ecs", "DescribeServices", os.ErrDeadlineExceeded)
	r.Called("redis", "pipeline", os.ErrDeadlineExceeded)
}

// distinct is how many metrics the lines make, as CloudWatch bills them: by name and dimensions.
func distinct(t *testing.T, lines string) int {
	t.Helper()
	seen := map[string]bool{}
	for line := range strings.Lines(lines) {
		var members map[string]any
		var l struct {
			AWS emfMetadata `json:"_aws"`
		}
		if json.Unmarshal([]byte(line), &members) != nil || json.Unmarshal([]byte(line), &l) != nil {
			t.Fatalf("no JSON: %s", line)
		}
		for _, d := range l.AWS.CloudWatchMetrics {
			for _, set := range d.Dimensions {
				of := ""
				for _, name := range set {
					of += fmt.Sprintf(" %s=%v", name, members[name])
				}
				for _, m := range d.Metrics {
					seen[d.Namespace+" "+m.Name+of] = true
				}
			}
		}
	}
	return len(seen)
}
