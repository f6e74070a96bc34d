package runtime

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What the generator makes of a small API.
type (
	IThing interface{ Twin }
	thing  struct{ *Object }
	Colour string
	Props  struct {
		Name   *string             `field:"required" json:"name"`
		Colour Colour              `field:"optional" json:"colour"`
		Sizes  *[]*float64         `field:"optional" json:"sizes"`
		Parent IThing              `field:"optional" json:"parent"`
		Open   *bool               `field:"optional" json:"open"`
		Of     interface{}         `field:"optional" json:"of"`
		Ofs    *[]any              `field:"optional" json:"ofs"`
		More   *Props              `field:"optional" json:"more"`
		Others *[]IThing           `field:"optional" json:"others"`
		Table  *map[string]*string `field:"optional" json:"table"`
	}
)

func init() {
	RegisterObject[IThing]("lib.IThing", func(o *Object) any { return &thing{o} })
	RegisterEnum[Colour]("lib.Colour", "RED", "BLUE")
	union := OneOf(Is[IThing](nil), Is[*string](nil), Is[*float64](nil), Is[*Props](nil))
	RegisterStruct[Props](map[string]Check{"Of": union, "Ofs": Each(union)})
}

// recorded runs f and returns the record of it, as JSON without the callers, and what it panicked with.
func recorded(t *testing.T, f func()) (lines []string, panicked string) {
	t.Helper()
	var b bytes.Buffer
	out, last = bufio.NewWriter(&b), 0
	func() {
		defer func() {
			if r := recover(); r != nil {
				panicked = fmt.Sprint(r)
			}
		}()
		f()
	}()
	out = nil
	for line := range strings.Lines(b.String()) {
		var o map[string]any
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		delete(o, "at")
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, string(text))
	}
	return lines, panicked
}

func ptr[T any](v T) *T { return &v }

func TestArguments(t *testing.T) {
	parent := &thing{&Object{7}}
	for name, c := range map[string]struct {
		arg  any
		want string // the argument in the record
	}{
		"nothing":                 {(*Props)(nil), `null`},
		"an enum that is not set": {&Props{Name: ptr("a")}, `{"name":"a"}`},
		"an enum":                 {&Props{Name: ptr("a"), Colour: "BLUE"}, `{"colour":{"$enum":"lib.Colour.BLUE"},"name":"a"}`},
		"false is not nothing":    {&Props{Name: ptr(""), Open: ptr(false)}, `{"name":"","open":false}`},
		"numbers":                 {&Props{Name: ptr("a"), Sizes: &[]*float64{ptr(1.5), ptr(0.0)}}, `{"name":"a","sizes":[1.5,0]}`},
		"an empty list":           {&Props{Name: ptr("a"), Sizes: &[]*float64{}}, `{"name":"a","sizes":[]}`},
		"a list that is nil":      {&Props{Name: ptr("a"), Sizes: ptr([]*float64(nil))}, `{"name":"a","sizes":[]}`},
		"an object":               {&Props{Name: ptr("a"), Parent: parent}, `{"name":"a","parent":{"$ref":7}}`},
		"a nested struct":         {&Props{Name: ptr("a"), More: &Props{Name: ptr("b")}}, `{"more":{"name":"b"},"name":"a"}`},
		"a map":                   {&Props{Name: ptr("a"), Table: &map[string]*string{"$ref": ptr("x")}}, `{"name":"a","table":{"$map":{"$ref":"x"}}}`},
		"one of a union":          {&Props{Name: ptr("a"), Of: parent}, `{"name":"a","of":{"$ref":7}}`},
		"a value for its pointer": {&Props{Name: ptr("a"), Of: "b"}, `{"name":"a","of":"b"}`},
		"an int for a number":     {&Props{Name: ptr("a"), Of: 3}, `{"name":"a","of":3}`},
		"a time":                  {ptr(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), `{"$date":"2026-01-02T03:04:05Z"}`},
		"any of Go's own types":   {map[string]any{"a": []string{"b"}, "c": []any{1, true, nil}}, `{"$map":{"a":["b"],"c":[1,true,null]}}`},
	} {
		t.Run(name, func(t *testing.T) {
			lines, panicked := recorded(t, func() { InvokeVoid(parent, "do", "arg?", c.arg) })
			if panicked != "" {
				t.Fatal(panicked)
			}
			want := []string{`{"args":[` + c.want + `],"id":1,"member":"do","on":7,"op":"call"}`}
			if diff := cmp.Diff(want, lines); diff != "" {
				t.Errorf("the record (-want +got):\n%s", diff)
			}
		})
	}
}

func TestResultsAreTokens(t *testing.T) {
	on := &thing{&Object{7}}
	lines, panicked := recorded(t, func() {
		name := Get[*string](on, "name")
		size := Get[*float64](on, "size")
		names := Get[*[]*string](on, "names")
		others := Get[*[]IThing](on, "others")
		parent := Invoke[IThing](on, "parent", "deep?", ptr(true))
		InvokeVoid(parent, "do", "name,size,names,others,copied...", ptr("<"+*name+">"), size, names, others, *names)
	})
	if panicked != "" {
		t.Fatal(panicked)
	}
	want := []string{
		`{"id":1,"member":"name","on":7,"op":"get"}`,
		`{"id":2,"member":"size","on":7,"op":"get"}`,
		`{"id":3,"member":"names","on":7,"op":"get"}`,
		`{"id":4,"member":"others","on":7,"op":"get"}`,
		`{"args":[true],"id":5,"member":"parent","on":7,"op":"call"}`,
		`{"args":["\u003c${Token[Twin.1]}\u003e",{"$ref":2},{"$ref":3},{"$ref":4},"#{Token[Twin.3]}"],"id":6,"member":"do","on":5,"op":"call"}`,
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Errorf("the record (-want +got):\n%s", diff)
	}
}

func TestStructResult(t *testing.T) {
	on := &thing{&Object{7}}
	lines, panicked := recorded(t, func() {
		p := Invoke[*Props](on, "props", "")
		if p.Open != nil {
			t.Error("a bool of a result is known only at synthesis: it has to be nil")
		}
		InvokeVoid(on, "do", "name,props", p.Name, p)
	})
	if panicked != "" {
		t.Fatal(panicked)
	}
	want := `{"args":["${Token[Twin.2]}",{"$ref":1}],"id":` + fmt.Sprint(len(lines)) + `,"member":"do","on":7,"op":"call"}`
	if got := lines[len(lines)-1]; got != want {
		t.Errorf("the last call is %s, want %s", got, want)
	}
}

func TestFaults(t *testing.T) {
	on := &thing{&Object{7}}
	do := func(arg any) func() { return func() { InvokeVoid(on, "do", "arg", arg) } }
	type embeds struct{ IThing }
	for name, c := range map[string]struct {
		call func()
		want string
	}{
		"a required field":            {do(&Props{}), "arg.Name: required, but not set"},
		"a required field, deep":      {do(&Props{Name: ptr("a"), More: &Props{}}), "arg.More.Name: required, but not set"},
		"a required parameter":        {do((*Props)(nil)), "parameter arg is required, but nil was provided"},
		"a member the enum has not":   {do(&Props{Name: ptr("a"), Colour: "GREEN"}), `arg.Colour: lib.Colour has no member "GREEN"`},
		"none of the union":           {do(&Props{Name: ptr("a"), Of: true}), "arg.Of must be one of the allowed types"},
		"none of the union in a list": {do(&Props{Name: ptr("a"), Ofs: &[]any{1, []string{}}}), "arg.Ofs[1] must be one of the allowed types"},
		"a struct of the app's own":   {do(struct{ A int }{1}), "arg: a struct { A int } cannot be passed"},
		"a pointer that embeds one":   {do(&Props{Name: ptr("a"), Parent: &embeds{on}}), "embeds an object of the CDK and is none"},
		"a value that embeds one":     {do(&Props{Name: ptr("a"), Parent: embeds{on}}), "embeds an object of the CDK and is none"},
		"a bool that is not known":    {func() { Get[*bool](on, "open") }, "the result is a *bool, which is known only at synthesis"},
		"an enum that is not known":   {func() { Get[Colour](on, "colour") }, "the result is a runtime.Colour, which is known only at synthesis"},
		"arithmetic":                  {func() { do(ptr(*Get[*float64](on, "size") / 2))() }, "computed from one that is known only at synthesis"},
		"an item of a list":           {func() { Get[*string]((*Get[*[]IThing](on, "others"))[0].(Twin), "name") }, "the items of a list"},
		"an item of a list, passed":   {func() { do((*Get[*[]IThing](on, "others"))[0])() }, "the items of a list"},
		"a cast of the app's own":     {func() { var to IThing; Cast("a", &to) }, "only an object of the CDK can be cast"},
	} {
		t.Run(name, func(t *testing.T) {
			_, panicked := recorded(t, c.call)
			if !strings.Contains(panicked, c.want) {
				t.Errorf("it panics with %q, want %q", panicked, c.want)
			}
		})
	}
}
