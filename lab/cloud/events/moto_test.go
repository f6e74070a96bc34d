package events

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"sluice/lab/testenv"
)

// motoMatches asks moto's matcher about all cases at once.
func motoMatches(t *testing.T, cases []matchCase) []bool {
	t.Helper()
	var in, stderr bytes.Buffer
	enc := json.NewEncoder(&in)
	for _, c := range cases {
		if err := enc.Encode(c); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(testenv.Python(t), "testdata/moto_match.py")
	cmd.Stdin, cmd.Stderr = &in, &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("moto: %v\n%s", err, stderr.String())
	}
	lines := strings.Fields(string(out))
	if len(lines) != len(cases) {
		t.Fatalf("%d answers for %d cases\n%s", len(lines), len(cases), stderr.String())
	}
	answers := make([]bool, len(cases))
	for i, l := range lines {
		answers[i] = l == "1"
	}
	return answers
}

type matchCase struct {
	Pattern json.RawMessage `json:"pattern"`
	Event   json.RawMessage `json:"event"`
}

func ours(t *testing.T, c matchCase) bool {
	t.Helper()
	p, err := ParsePattern(c.Pattern)
	if err != nil {
		t.Fatalf("pattern %s: %v", c.Pattern, err)
	}
	return p.Matches(c.Event)
}

// Random patterns and events, with a fixed seed: an independent matcher says the same. What the generator leaves out
// is in TestWhereMotoIsWrong.
func TestMatcherAgainstMoto(t *testing.T) {
	g := generator{rand.New(rand.NewPCG(20, 26))}
	cases := make([]matchCase, 6000)
	for i := range cases {
		cases[i] = matchCase{encode(g.pattern(2)), encode(g.event(2))}
	}
	matched := 0
	for i, want := range motoMatches(t, cases) {
		got := ours(t, cases[i])
		if got != want {
			t.Errorf("pattern %s\nevent %s\nmatches %v, in moto %v", cases[i].Pattern, cases[i].Event, got, want)
		}
		if got {
			matched++
		}
	}
	if matched < len(cases)/10 || matched > len(cases)*9/10 {
		t.Errorf("%d of %d cases match: the cases say little", matched, len(cases))
	}
}

// The cases in which moto differs from AWS's documentation, or from event-ruler, the matcher that AWS publishes. If moto
// changes its mind the entry has to go, and the generator may make such cases.
func TestWhereMotoIsWrong(t *testing.T) {
	list := []struct {
		reason, pattern, event string
		aws                    bool
	}{
		{"documented: 300 and 300.0 are not equal, numbers are compared as written", `{"a":[300]}`, `{"a":300.0}`, false},
		{"true is not 1", `{"a":[1]}`, `{"a":true}`, false},
		{"true is no number", `{"a":[{"numeric":["=",1]}]}`, `{"a":true}`, false},
		{"a number is no address", `{"a":[{"cidr":"0.0.0.0/8"}]}`, `{"a":5}`, false},
		{"fields of objects in an array are looked at", `{"a":{"b":[2]}}`, `{"a":[{"b":2}]}`, true},
		{"an object has no value of its own", `{"a":[{"anything-but":"x"}]}`, `{"a":[{"b":2}]}`, false},
		{"an array in an array is flattened", `{"a":["x"]}`, `{"a":[["x"]]}`, true},
		{"exists works on leaves, and an empty object has none", `{"a":[{"exists":true}]}`, `{"a":{}}`, false},
		{"exists works on leaves, and an empty array has none", `{"a":[{"exists":true}]}`, `{"a":[]}`, false},
		{"a name with a dot is no path", `{"a":{"b":["x"]}}`, `{"a.b":"x"}`, false},
		{"an asterisk stands for a line feed, too", `{"a":[{"wildcard":"x*y"}]}`, `{"a":"x\ny"}`, true},
	}
	cases := make([]matchCase, len(list))
	for i, c := range list {
		cases[i] = matchCase{json.RawMessage(c.pattern), json.RawMessage(c.event)}
	}
	for i, moto := range motoMatches(t, cases) {
		c := list[i]
		if got := ours(t, cases[i]); got != c.aws {
			t.Errorf("%s: %s on %s matches: %v", c.reason, c.pattern, c.event, got)
		}
		if moto == c.aws {
			t.Errorf("%s: moto is right by now", c.reason)
		}
	}
}

// generator makes cases. Each field name has values of its own kind, so that it makes none of the cases above.
type generator struct{ *rand.Rand }

func encode(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("encode a generated value: %v", err))
	}
	return b
}

func pick[T any](g generator, list ...T) T { return list[g.IntN(len(list))] }

var fieldNames = []string{"text", "word", "number", "flag", "ip", "mixed"}

// scalar makes a value for a field of that name.
func (g generator) scalar(name string) any {
	switch {
	case name == "flag":
		return pick[any](g, true, false, nil, "true", "")
	case name == "ip":
		return pick[any](g, "10.0.0.1", "10.0.1.1", "192.168.7.9", "fe80::1", "no address", nil)
	case name == "number" || name == "mixed" && g.IntN(2) == 0:
		return pick[any](g, 2, 3, -5, 2.5, 100, 4e9, nil)
	}
	return g.text()
}

func (g generator) text() string {
	b := make([]byte, g.IntN(4))
	for i := range b {
		b[i] = pick(g, byte('a'), 'b', 'A', '*', '\\', '.')
	}
	return string(b)
}

func (g generator) event(depth int) map[string]any {
	event := map[string]any{}
	for _, name := range fieldNames {
		switch n := g.IntN(10); {
		case n < 2:
		case n < 4:
			list := make([]any, 1+g.IntN(3))
			for i := range list {
				list[i] = g.scalar(name)
			}
			event[name] = list
		default:
			event[name] = g.scalar(name)
		}
	}
	if depth > 0 && g.IntN(4) > 0 {
		event["inner"] = g.event(depth - 1)
		if len(event["inner"].(map[string]any)) == 0 {
			delete(event, "inner")
		}
	} else if g.IntN(3) == 0 {
		event["inner"] = g.text() // A scalar where the pattern may want an object.
	}
	return event
}

func (g generator) pattern(depth int) map[string]any {
	pattern := map[string]any{}
	for range 1 + g.IntN(2) {
		name := pick(g, fieldNames...)
		list := make([]any, 1+g.IntN(3))
		for i := range list {
			list[i] = g.match(name)
		}
		pattern[name] = list
	}
	if depth > 0 && g.IntN(3) == 0 {
		pattern["inner"] = g.pattern(depth - 1)
	}
	if depth > 0 && g.IntN(4) == 0 {
		pattern["$or"] = []any{g.pattern(depth - 1), g.pattern(depth - 1)}
	}
	return pattern
}

func (g generator) match(name string) any {
	op := func(name string, argument any) any { return map[string]any{name: argument} }
	switch g.IntN(12) {
	case 0:
		return op("exists", g.IntN(2) == 0)
	case 1:
		return op("prefix", g.text())
	case 2:
		return op("suffix", g.text())
	case 3:
		return op("equals-ignore-case", g.text())
	case 4:
		return op(pick(g, "prefix", "suffix"), op("equals-ignore-case", g.text()))
	case 5:
		return op("wildcard", g.wildcard())
	case 6:
		return op("anything-but", pick[any](g, g.text(), 3, []any{g.text(), g.text()}, []any{2, 3}))
	case 7:
		inner := pick(g, "prefix", "suffix", "equals-ignore-case")
		return op("anything-but", op(inner, pick[any](g, g.text(), []any{g.text(), g.text()})))
	case 8:
		return op("anything-but", op("wildcard", pick[any](g, g.wildcard(), []any{g.wildcard(), g.wildcard()})))
	case 9:
		if name == "flag" {
			return true
		}
		bound := pick[any](g, 2, 2.5, 50, -5)
		if g.IntN(2) == 0 {
			return op("numeric", []any{pick(g, "<", "<=", "=", ">=", ">"), bound})
		}
		return op("numeric", []any{pick(g, ">=", ">"), -10, pick(g, "<", "<="), bound})
	case 10:
		if name == "ip" {
			return op("cidr", pick(g, "10.0.0.0/24", "10.0.0.0/8", "0.0.0.0/0", "fe80::/10"))
		}
	}
	return g.scalar(name)
}

// wildcard makes a text with asterisks, escapes, and no two asterisks in a row.
func (g generator) wildcard() string {
	var b strings.Builder
	star := false
	for range 1 + g.IntN(4) {
		part := pick(g, "a", "b", "A", ".", `\*`, `\\`, "*")
		if part == "*" && star {
			continue
		}
		star = part == "*"
		b.WriteString(part)
	}
	return b.String()
}
