package stepfunctions

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// scenario is one entry of testdata/scenarios.txt, in the form that the engines run: the definition with function ARNs of
// its own, and what each function answers, by "FUNCTION INPUT" with the input as canonical JSON.
type scenario struct {
	Name       string              `json:"name"`
	Definition json.RawMessage     `json:"definition"`
	Input      json.RawMessage     `json:"input"`     // Of the execution.
	Functions  map[string]string   `json:"functions"` // ARN to the function's name.
	Answers    map[string][]answer `json:"answers"`

	want run
}

type answer struct {
	Returns any    `json:"returns,omitempty"`
	Fails   string `json:"fails,omitempty"`
	Hangs   bool   `json:"hangs,omitempty"`
}

// run is what an execution did, as every engine reports it.
type run struct {
	Status string         `json:"status"`
	Output any            `json:"output"`
	Error  string         `json:"error"`
	Cause  any            `json:"cause"` // As JSON where it is JSON.
	Path   []string       `json:"path"`
	Items  [][]string     `json:"items"`
	Calls  map[string]int `json:"calls"`
}

// scenarios reads the table, each scenario on the given definition.
func scenarios(t *testing.T, definition string) []scenario {
	t.Helper()
	text, err := os.ReadFile("testdata/scenarios.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, text2, _ := strings.Cut(string(text), "\n== ")
	var out []scenario
	for i, section := range strings.Split(text2, "\n== ") {
		s, err := parseScenario(section)
		if err != nil {
			t.Fatalf("scenarios.txt: %s: %v", strings.SplitN(section, "\n", 2)[0], err)
		}
		arns := map[string]string{}
		s.Functions = map[string]string{}
		for placeholder, function := range map[string]string{
			CheckFunctionArn: "check", ScaleOutFunctionArn: "scaleout", ScaleInFunctionArn: "scalein",
		} {
			arn := fmt.Sprintf("arn:aws:lambda:us-east-1:123456789012:function:s%d-%s", i, function)
			arns[placeholder], s.Functions[arn] = arn, function
		}
		if s.Definition, err = Substitute(definition, arns); err != nil {
			t.Fatal(err)
		}
		out = append(out, s)
	}
	return out
}

// shard is the input of every execution, and checkAll the key of Check's answers about all its targets.
const (
	shard    = `{"shard":1,"shards":2}`
	checkAll = `check {"sweep":` + shard + `}`
)

// reader collects one scenario line by line.
type reader struct {
	s       scenario
	targets []string // In the order of Check's answer.
	results map[string]map[string]any
	paths   map[string][]string
}

func parseScenario(text string) (scenario, error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	r := &reader{results: map[string]map[string]any{}, paths: map[string][]string{}}
	r.s = scenario{Name: lines[0], Input: json.RawMessage(shard), Answers: map[string][]answer{}, want: run{Status: "SUCCEEDED", Items: [][]string{}}}
	for _, line := range lines[1:] {
		key, value, ok := strings.Cut(line, ":")
		if !ok {
			return r.s, fmt.Errorf("line %q has no colon", line)
		}
		if err := r.line(strings.TrimSpace(key), strings.TrimSpace(value)); err != nil {
			return r.s, fmt.Errorf("line %q: %w", line, err)
		}
	}
	return r.s, r.finish()
}

func (r *reader) line(key, value string) error {
	if key == "path" {
		r.s.want.Path = strings.Fields(value)
		return nil
	}
	if key == "fails" {
		r.s.want.Status, r.s.want.Error = "FAILED", value
		return nil
	}
	if key == "check" {
		return r.answers(checkAll, value, r.lookAtAll)
	}
	function, names, scripted := strings.Cut(key, " ")
	if !scripted {
		names = key
	}
	for _, target := range expand(names) {
		if !scripted {
			way, outcome, _ := strings.Cut(value, " = ")
			outcome, message, failed := strings.Cut(outcome, " !! ")
			r.paths[target] = strings.Fields(way)
			outcome, then, restored := strings.Cut(outcome, ", then ")
			r.results[target] = map[string]any{"target": target, "outcome": outcome, "then": nil, "failed": failed, "error": nil}
			if restored {
				r.results[target]["then"] = then
			}
			if failed {
				r.results[target]["error"] = message
			}
			continue
		}
		input := map[string]any{"target": target}
		if function == "confirm" || function == "scalein" {
			input["previous"] = seen(1)
		}
		answerer, ok := map[string]func(string) any{
			"confirm":  func(l string) any { return look(target, l, 2) },
			"verify":   func(l string) any { return look(target, l, 3) },
			"scaleout": func(status string) any { return done(target, status) },
			"scalein":  func(status string) any { return done(target, status) },
		}[function]
		if !ok {
			return fmt.Errorf("there is no %s", function)
		}
		name := strings.NewReplacer("confirm", "check", "verify", "check").Replace(function)
		if err := r.answers(name+" "+canonical(input), value, answerer); err != nil {
			return err
		}
	}
	return nil
}

var repeated = regexp.MustCompile(`^(.*) x(\d+)$`)

func (r *reader) answers(key, value string, returns func(string) any) error {
	for _, text := range strings.Split(value, "; ") {
		times := 1
		if m := repeated.FindStringSubmatch(text); m != nil {
			text = m[1]
			times, _ = strconv.Atoi(m[2])
		}
		var a answer
		if name, fails := strings.CutPrefix(text, "!"); fails {
			a.Fails = name
		} else if text == "hang" {
			a.Hangs = true
		} else if a.Returns = returns(text); a.Returns == nil {
			return fmt.Errorf("there is no answer %q", text)
		}
		for range times {
			r.s.Answers[key] = append(r.s.Answers[key], a)
		}
	}
	return nil
}

// lookAtAll is Check's answer about all targets.
func (r *reader) lookAtAll(text string) any {
	if text == "nonsense" {
		return map[string]any{"hello": "world"}
	}
	targets := []any{}
	failed := 0
	if text != "none" {
		for _, part := range strings.Fields(text) {
			names, kind, _ := strings.Cut(part, "=")
			for _, target := range expand(names) {
				l := look(target, kind, 1)
				if l == nil {
					return nil
				}
				if l.(map[string]any)["failed"] == true {
					failed++
				}
				targets = append(targets, l)
				r.targets = append(r.targets, target)
			}
		}
	}
	return map[string]any{"checked": len(targets) + 2, "held": 2, "failed": failed, "deferred": 0, "targets": targets}
}

// finish works out what the execution as a whole has to give.
func (r *reader) finish() error {
	want := &r.s.want
	want.Calls = map[string]int{}
	for key, answers := range r.s.Answers {
		want.Calls[key] = len(answers)
	}
	results := []any{}
	for _, target := range r.targets {
		if r.paths[target] == nil {
			return fmt.Errorf("nothing is said of %s", target)
		}
		results = append(results, r.results[target])
		want.Items = append(want.Items, r.paths[target])
	}
	answers := r.s.Answers[checkAll]
	switch last := answers[len(answers)-1]; {
	case want.Error == "TargetsFailed":
		want.Cause = cause(results)
	case want.Status == "FAILED": // Engines word the cause in their own ways.
	case len(r.targets) == 0:
		want.Output = last.Returns
	default:
		all := last.Returns.(map[string]any)
		want.Output = map[string]any{
			"checked": all["checked"], "held": all["held"], "deferred": all["deferred"], "results": results, "failed": false,
		}
	}
	return nil
}

// cause is what the execution tells of targets that failed.
func cause(results []any) map[string]any {
	var names, failed []any
	for _, r := range results {
		if r := r.(map[string]any); r["failed"] == true {
			names, failed = append(names, r["target"]), append(failed, r)
		}
	}
	return map[string]any{"acted": len(results), "failed": len(failed), "targets": names, "first": failed[:min(len(failed), 20)]}
}

// expand reads a name, or a range such as t1..t50.
func expand(names string) []string {
	from, to, ok := strings.Cut(names, "..")
	if !ok {
		return []string{names}
	}
	first, _ := strconv.Atoi(from[1:])
	last, _ := strconv.Atoi(to[1:])
	var out []string
	for i := first; i <= last; i++ {
		out = append(out, from[:1]+strconv.Itoa(i))
	}
	return out
}

// seen is what the nth look at a target saw of its workers' totals.
func seen(nth int) map[string]any {
	return map[string]any{"at": fmt.Sprintf("2026-11-01T12:0%d:00Z", nth), "processed": 40 + nth, "heard": 2}
}

// look is the answer to a look at one target; nil for a word that is not known.
func look(target, word string, nth int) any {
	if !slices.Contains([]string{"held", "lost", "candidate", "blind", "blindlost"}, word) {
		return nil
	}
	blind := strings.HasPrefix(word, "blind")
	l := map[string]any{
		"target": target, "should_scale_in": word == "candidate", "should_scale_out": strings.HasSuffix(word, "lost"),
		"queue_len": 0, "active_tasks": 0, "desired_count": 2, "running_count": 2, "held": 0,
		"error": nil, "failed": blind, "settle_seconds": 0, "seen": seen(nth),
		"decision": map[string]any{"action": "hold", "current": 2, "desired": 2, "wish": 2, "reasons": []any{"busy"}},
	}
	if blind {
		maps.Copy(l, map[string]any{"queue_len": nil, "active_tasks": nil, "error": "broker main: connection refused"})
	}
	return l
}

// done is the answer of ScaleOut and of ScaleIn.
func done(target, status string) any {
	return map[string]any{
		"status": status, "target": target, "service": "workers", "desired_count": 1, "previous": 0, "reasons": []any{"backlog"},
	}
}

// canonical writes JSON with the fields of objects in order and no spaces.
func canonical(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}
