package schema

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/testenv"
)

func TestSchemaIsCurrent(t *testing.T) {
	got, err := Generate("..")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(JSON), string(got)); diff != "" {
		t.Errorf("run `go generate ./internal/config/schema` (-committed +generated):\n%s", diff)
	}
}

func TestReferenceIsCurrent(t *testing.T) {
	page, err := os.ReadFile("../../../docs/config.md")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Reference(string(page), "..")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(page), got); diff != "" {
		t.Errorf("run `go generate ./internal/config/schema` (-committed +generated):\n%s", diff)
	}
	if strings.Contains(got, "|  |\n") {
		t.Error("a field has no comment, so its meaning is empty")
	}
}

// An independent validator, and an independent YAML reader, judge the same files as package config.
func TestSchemaJudgesFiles(t *testing.T) {
	const script = `
import json, sys, yaml, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
for path in sys.argv[2:]:
    print(path, len(list(validator.iter_errors(yaml.safe_load(open(path))))))
`
	valid, _ := filepath.Glob("../testdata/valid/*.yaml")
	args := append([]string{"-c", script, "sluice.schema.json"}, valid...)
	// Those whose faults a schema can see.
	for _, name := range []string{"types", "unknown", "together", "secrets", "deploy", "deploy-hostile", "deploy-half", "deploy-region"} {
		args = append(args, "../testdata/invalid/"+name+".yaml")
	}
	out, err := exec.CommandContext(t.Context(), testenv.Python(t), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("validate: %v\n%s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(valid) == 0 || len(lines) != len(args)-3 {
		t.Fatalf("%d files judged, want %d:\n%s", len(lines), len(args)-3, out)
	}
	for _, line := range lines {
		path, n, _ := strings.Cut(line, " ")
		if isValid := strings.Contains(path, "/valid/"); isValid != (n == "0") {
			t.Errorf("%s has %s faults by the schema", path, n)
		}
	}
}
