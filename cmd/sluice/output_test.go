package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"pgregory.net/rapid"
)

// plainWriter is a textWriter of that width, as for a pipe.
func plainWriter(width int) *textWriter { return &textWriter{width: width} }

func TestTable(t *testing.T) {
	for _, tt := range []struct {
		name  string
		width int
		rows  func(*table)
		want  string
	}{
		{"fits", 80, func(t *table) { t.row("video", 3, good("scale out")) }, `
TARGET  RUN  LAST
video     3  scale out
`},
		{"a note", 40, func(t *table) {
			t.row("video", 3, "hold")
			t.note("unknown: %s", "the broker at redis.internal:6379 cannot be reached")
			t.row("audio", "?", "hold")
		}, `
TARGET  RUN  LAST
video     3  hold
  unknown: the broker at
  redis.internal:6379 cannot be reached
audio     ?  hold
`},
		{"a long name is cut in the middle", 40, func(t *table) {
			t.row("media-production-transcoding-workers-eu-central-1", 12, "hold")
		}, `
TARGET                         RUN  LAST
media-producti…s-eu-central-1   12  hold
`},
		{"a number is shortened last", 30, func(t *table) {
			t.row("video", 123456789012, "a decision of more letters than fit")
		}, `
TARGET           RUN  LAST
video   123456789012  a de…fit
`},
		{"a number is never cut", 20, func(t *table) {
			t.row("video", 123456789012, "a decision of more letters than fit")
		}, `
T…T         RUN  L…T
v…o           …  a…t
`},
		{"wide letters", 40, func(t *table) {
			t.row("動画変換", 12, "hold")
			t.row("emoji👩‍🚀", 1, "hold")
		}, `
TARGET    RUN  LAST
動画変換   12  hold
emoji👩‍🚀     1  hold
`},
		{"what plays with the terminal", 80, func(t *table) { t.row("a\x1b[2Jb\u202ec", "1\n2", "\xff") }, `
TARGET    RUN  LAST
a�[2Jb�c  1 2  �
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := plainWriter(tt.width)
			table := w.table(column{title: "TARGET", names: true}, column{title: "RUN", right: true}, column{title: "LAST"})
			tt.rows(table)
			table.end()
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), w.b.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the cells are, no line is wider than the terminal, and the columns stand below each other.
func TestTablesFit(t *testing.T) {
	cell := rapid.OneOf(rapid.StringN(0, 60, -1), rapid.StringMatching(`[a-zé動👩🏽‍🚀 -]{0,70}`))
	rapid.Check(t, func(t *rapid.T) {
		w := plainWriter(rapid.IntRange(leastWidth, 120).Draw(t, "width"))
		w.colour = rapid.Bool().Draw(t, "colour")
		var columns []column
		for i := range rapid.IntRange(1, 8).Draw(t, "columns") {
			columns = append(columns, column{title: fmt.Sprintf("COLUMN %d", i), right: rapid.Bool().Draw(t, "right"), names: rapid.Bool().Draw(t, "names")})
		}
		table := w.table(columns...)
		for range rapid.IntRange(0, 4).Draw(t, "rows") {
			var cells []any
			for range columns {
				c := cell.Draw(t, "cell")
				cells = append(cells, rapid.SampledFrom([]any{c, bad(c)}).Draw(t, "styled"))
			}
			table.row(cells...)
			if rapid.Bool().Draw(t, "note") {
				table.note("%s", cell.Draw(t, "text"))
			}
		}
		table.end()
		for line := range strings.Lines(w.b.String()) {
			if n := ansi.StringWidth(strings.TrimSuffix(line, "\n")); n > w.width {
				t.Fatalf("%d columns on a terminal of %d: %q", n, w.width, line)
			}
		}
	})
}

func TestWrap(t *testing.T) {
	for _, tt := range []struct {
		text  string
		width int
		want  []string
	}{
		{"where --queue names it", 9, []string{"where", "--queue", "names it"}},
		{"a  b\nc", 9, []string{"a b", "c"}},
		{"動画変換 workers", 8, []string{"動画変換", "workers"}},
		{"see https://example.com/x now", 10, []string{"see", "https://ex", "ample.com/", "x now"}},
		{"", 9, []string{""}},
	} {
		if got := wrap(tt.text, tt.width); !slices.Equal(got, tt.want) {
			t.Errorf("wrap(%q, %d) = %q, want %q", tt.text, tt.width, got, tt.want)
		}
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		in    string
		width int
		want  string
	}{
		{"workers", 7, "workers"},
		{"workers", 6, "wor…rs"},
		{"workers", 3, "w…s"},
		{"workers", 2, "wo"},
		{"動画変換", 7, "動…変換"},
		{"動画変換", 6, "動…換"},
		{"動画変換", 8, "動画変換"},
	} {
		if got := shorten(tt.in, tt.width); got != tt.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", tt.in, tt.width, got, tt.want)
		}
	}
}

func TestColourIsForTerminals(t *testing.T) {
	for _, tt := range []struct {
		colour bool
		want   string
	}{{true, "\x1b[31mbroken\x1b[0m\n"}, {false, "broken\n"}} {
		w := &textWriter{width: 80, colour: tt.colour}
		w.line("%s", bad("broken"))
		if w.b.String() != tt.want {
			t.Errorf("colour %v: %q", tt.colour, w.b.String())
		}
	}
	if newTextWriter(&bytes.Buffer{}).colour {
		t.Error("what is no terminal has colours")
	}
}

// YAML holds what JSON holds, in the same order.
func TestYAMLIsTheJSON(t *testing.T) {
	type inner struct {
		Text  string         `json:"text"`
		Count *int           `json:"count"`
		More  map[string]any `json:"more"`
		Mixed []any          `json:"mixed"`
	}
	type document struct {
		Zulu  float64 `json:"zulu"`
		Alpha bool    `json:"alpha"`
		List  []inner `json:"list"`
	}
	text := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{"true", "null", "~", "1e3", "0x1f", "on", "- a", "a: b", "a #b", "---", "a\nb\n", " a\n", "2026-11-22", "'", `"`, "|"}))
	rapid.Check(t, func(t *rapid.T) {
		d := document{Zulu: rapid.Float64Range(-1e15, 1e15).Draw(t, "zulu"), Alpha: rapid.Bool().Draw(t, "alpha")}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			i := inner{Text: text.Draw(t, "text")}
			if rapid.Bool().Draw(t, "count") {
				n := rapid.Int().Draw(t, "n")
				i.Count = &n
			}
			i.Mixed = rapid.SampledFrom([][]any{
				nil, {}, {1, nil, "no"}, {map[string]any{}}, {map[string]any{"a": 1, "on": []any{}}}, {map[string]any{"a": nil}, 1}, {[]any{"x"}, []any{}},
			}).Draw(t, "mixed")
			if rapid.Bool().Draw(t, "more") {
				i.More = map[string]any{text.Draw(t, "key"): text.Draw(t, "value")}
			}
			d.List = append(d.List, i)
		}
		var asYAML, asJSON bytes.Buffer
		if err := printYAML(&asYAML, d); err != nil {
			t.Fatal(err)
		}
		if err := printJSON(&asJSON, d, ""); err != nil {
			t.Fatal(err)
		}
		var fromYAML, fromJSON any
		if err := yaml.Unmarshal(asYAML.Bytes(), &fromYAML); err != nil {
			t.Fatalf("%v\n%s", err, asYAML.String())
		}
		back, err := json.Marshal(fromYAML)
		if err != nil {
			t.Fatal(err)
		}
		fromYAML = nil
		for _, p := range []struct {
			text []byte
			v    *any
		}{{back, &fromYAML}, {asJSON.Bytes(), &fromJSON}} {
			if err := json.Unmarshal(p.text, p.v); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(fromJSON, fromYAML); diff != "" {
			t.Fatalf("(-JSON +YAML):\n%s\n%s", diff, asYAML.String())
		}
		if !strings.HasPrefix(asYAML.String(), "zulu: ") {
			t.Fatalf("another order:\n%s", asYAML.String())
		}
	})
}

// all returns every command that is ours, the root first.
func all(cmd *cobra.Command) []*cobra.Command {
	list := []*cobra.Command{cmd}
	for _, c := range cmd.Commands() {
		if c.Name() != "help" && c.Name() != "completion" {
			list = append(list, all(c)...)
		}
	}
	return list
}

func TestEachCommandExplainsItself(t *testing.T) {
	for _, c := range all(command()) {
		if c.Long == "" || c.Example == "" {
			t.Errorf("%s lacks its Long or its Example", c.CommandPath())
		}
		if c.HasParent() && c.GroupID == "" {
			t.Errorf("%s is in no group", c.CommandPath())
		}
		args := append(strings.Fields(c.CommandPath())[1:], "--help")
		status, out, errs := execute(t, args...)
		if status != 0 || errs != "" {
			t.Errorf("%s: exit status %d, %s", args, status, errs)
		}
		for line := range strings.Lines(out) {
			if strings.Contains(line, "(default )") {
				t.Errorf("%s: a default of nothing: %s", args, line)
			}
			if n := ansi.StringWidth(strings.TrimSuffix(line, "\n")); n > helpWidth {
				t.Errorf("%s: a line of %d columns: %s", args, n, line)
			}
		}
	}
}

func TestCompletion(t *testing.T) {
	path := write(t, strings.Replace(valid, "events:", "  - {name: audio, cluster: media, service: others, queues: [mix], max: 1}\nevents:", 1))
	for _, tt := range []struct {
		args string
		want []string
	}{
		{"__complete --output ", []string{"text", "json", "yaml"}},
		{"__complete trigger --config " + path + " ", []string{"video", "audio"}},
		{"__complete trigger --config nowhere.yaml ", nil},
	} {
		_, out, _ := execute(t, append(strings.Fields(tt.args), "")...)
		got := strings.Fields(out)
		got = got[:max(0, len(got)-1)] // The last line is a directive for the shell.
		if !slices.Equal(got, tt.want) && len(got)+len(tt.want) > 0 {
			t.Errorf("%s: %q, want %q", tt.args, got, tt.want)
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if status, out, errs := execute(t, "completion", shell); status != 0 || !strings.Contains(out, "sluice") || errs != "" {
			t.Errorf("completion %s: exit status %d, %s", shell, status, errs)
		}
	}
}
