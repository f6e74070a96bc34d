package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"pgregory.net/rapid"

	"sluice/internal/config"
	"sluice/internal/deployed/decisions"
	"sluice/internal/doctor"
	"sluice/internal/policy"
	"sluice/internal/scaler"
	"sluice/internal/terminal"
)

// evil are texts that play with a terminal, or with who reads there: a new title, a cleared screen, a line drawn over,
// text that runs backwards, letters that nobody sees, C1 controls, and bytes that are no text.
var evil = []string{
	"\x1b]0;owned\x07", "\x1b[2J\x1b[1;1H", "\x1b[1Aok\x1b[31m", "a@\x1b[2J", "a\r\x08\x08b", "one\ntwo\x7f\x00",
	"a\u202eb\u202c", "\u202a\u202b\u202d", "\u2066\u2067\u2068\u2069", "\u200e\u200f\u061c",
	"a\u200b\u2060\ufeff\u00ad\u180eb", "\u3164\u115f\u034f\uffa0", "\U000e0041\U000e007f",
	"\u0085\u009b2J\u009d", "\u2028\u2029", "\xff\xfe\x9b",
}

// raw is what of a text plays with a terminal.
func raw(text string) string {
	for _, r := range text {
		switch {
		case r == '\n', r == '\t', r == '\u200c', r == '\u200d':
		case unicode.In(r, unicode.Cc, unicode.Cf, unicode.Bidi_Control, unicode.Other_Default_Ignorable_Code_Point, unicode.Zl, unicode.Zp):
			return fmt.Sprintf("%U", r)
		}
	}
	if !utf8.ValidString(text) {
		return "bytes that are no text"
	}
	return ""
}

// fill fills all that can be reached from v, with evil texts and with those that the code knows.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if rapid.IntRange(0, 4).Draw(t, "nil") > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Struct:
		if at, ok := v.Addr().Interface().(*time.Time); ok {
			*at = time.Date(2026, 11, 22, 10, rapid.IntRange(0, 59).Draw(t, "minute"), 0, 0, time.UTC)
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				fill(t, v.Field(i))
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), rapid.IntRange(0, 2).Draw(t, "items"), 2))
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range rapid.IntRange(0, 2).Draw(t, "entries") {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(t, key)
			fill(t, value)
			v.SetMapIndex(key, value)
		}
	case reflect.String:
		known := []string{"hold", "candidate", "scale_in", "scale_out", "check", "confirm", "fail", "unchecked", "held", "sluice:min", "settle"}
		v.SetString(rapid.SampledFrom(append(known, evil...)).Draw(t, "text"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64Range(0, 3).Draw(t, "int"))
	case reflect.Float64:
		v.SetFloat(rapid.Float64Range(0, 1e5).Draw(t, "float"))
	case reflect.Interface: // Nothing that is shown has a type that nobody knows.
	default:
		t.Fatalf("what to fill a %s with?", v.Type())
	}
}

// filled is a pointer to a filled T.
func filled[T any](t *rapid.T) *T {
	v := new(T)
	fill(t, reflect.ValueOf(v).Elem())
	return v
}

// views are what commands show, each with how people read it.
var views = map[string]func(*rapid.T) view{
	"status": func(t *rapid.T) view { s := filled[status](t); return view{s, s.text} },
	"plan": func(t *rapid.T) view {
		p := filled[scaler.Plan](t)
		return view{p, func(w *textWriter) { planText(w, *p, nil) }}
	},
	"why": func(t *rapid.T) view { y := filled[why](t); return view{y, y.text} },
	"doctor": func(t *rapid.T) view {
		r := filled[doctorReport](t)
		return view{r, func(w *textWriter) { writeReport(w, *r) }}
	},
	"steering": func(t *rapid.T) view { s := filled[steering](t); return view{s, s.write} },
	"drain":    func(t *rapid.T) view { d := filled[drained](t); return view{d, d.write} },
	"checks": func(t *rapid.T) view {
		c := filled[struct{ Checks []struct{ ID string } }](t)
		return view{c, func(w *textWriter) { writeChecks(w, checksOf(c.Checks)) }}
	},
	"schedule": func(t *rapid.T) view {
		s := filled[targetSchedule](t)
		return view{s, func(w *textWriter) { s.print(w, time.Now()) }}
	},
	"cost": func(t *rapid.T) view {
		k := filled[costs](t)
		return view{k, func(w *textWriter) {
			k.month(w)
			if k.Saved != nil {
				k.Saved.print(w, k.Bill)
			}
		}}
	},
	"validate": func(t *rapid.T) view {
		v := filled[validation](t)
		return view{v, func(w *textWriter) { w.line("%s %v", v.File, v.Problems) }}
	},
}

func checksOf(list []struct{ ID string }) (checks []doctor.Check) {
	for _, c := range list {
		checks = append(checks, doctor.Check{ID: c.ID, Finds: c.ID, Area: doctor.Area(c.ID), Severity: doctor.Severity(c.ID)})
	}
	return checks
}

// Whatever stands in whichever field: it reaches no terminal as it is, in no form, and JSON and YAML hold it all the
// same.
func TestNothingPlaysWithTheTerminal(t *testing.T) {
	for name, draw := range views {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				v := draw(t)
				outputs := map[outputFormat]string{}
				for _, f := range []outputFormat{formatText, formatJSON, formatYAML} {
					var out bytes.Buffer
					cmd := &cobra.Command{}
					cmd.SetOut(&out) // No wall stands before it: each form is fit by itself.
					cmd.Flags().VarP(&f, "output", "o", "")
					if err := print(cmd, v.value, v.text); err != nil {
						t.Fatal(err)
					}
					if r := raw(out.String()); r != "" {
						t.Fatalf("%s has %s in\n%q", f, r, out.String())
					}
					outputs[f] = out.String()
				}
				plain, err := json.Marshal(v.value)
				if err != nil {
					t.Fatal(err)
				}
				var want, asJSON, asYAML any
				if err := errors.Join(json.Unmarshal(plain, &want), json.Unmarshal([]byte(outputs[formatJSON]), &asJSON),
					yaml.Unmarshal([]byte(outputs[formatYAML]), &asYAML)); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, asJSON); diff != "" {
					t.Fatalf("JSON (-want +got):\n%s", diff)
				}
				if back, err := json.Marshal(asYAML); err != nil || json.Unmarshal(back, &asYAML) != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, asYAML); diff != "" {
					t.Fatalf("YAML (-want +got):\n%s", diff)
				}
			})
		})
	}
}

// Every command, however it is asked, and whatever its file says. What a command prints past the forms above meets the
// wall.
func TestCommandsPlayNotWithTheTerminal(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "nowhere")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "nowhere")
	odd := write(t, strings.Replace(valid, "queues: [encode]", `queues: ["a\u202eb", "c\u009b2J\u3164", "d\U000e0041"]`, 1))
	files := []string{
		odd, "\x1b[2J\u202e.yaml", write(t, "a\u202eb: \"\\e[2J\"\n"), write(t, valid+"\u202e: \x1b[2J\n"),
		write(t, valid+"x: \"\\u202e\\x9b\\e]0;t\\a\"\n"),
		write(t, strings.Replace(valid, "name: video", `name: "v\u202e\e[2J"`, 1)),
	}
	for _, c := range all(command()) {
		for _, file := range files {
			for _, more := range [][]string{nil, {"\x1b[2J\u202e"}, {"-o", "json"}, {"-o", "yaml"}, {"-o", "\x1b[2J\u202e"}, {"--\x1b[2J\u202e"}} {
				args := append(append(strings.Fields(c.CommandPath())[1:], "--config", file), more...)
				_, out, errs := execute(t, args...)
				if r := raw(out + errs); r != "" {
					t.Errorf("%q: %s in\n%q\n%q", args, r, out, errs)
				}
			}
		}
	}
	status, out, _ := execute(t, "config", "-o", "json", odd)
	var c struct{ Targets []struct{ Queues []string } }
	if err := json.Unmarshal([]byte(out), &c); err != nil || status != exitOK || c.Targets[0].Queues[2] != "d\U000e0041" {
		t.Errorf("config -o json: exit status %d, %v, %q", status, err, out)
	}
}

// What a command prints by itself, in whatever way, meets the wall; its own colours do not.
func TestWall(t *testing.T) {
	t.Setenv("AWS_REGION", "")
	root := command()
	root.AddCommand(&cobra.Command{Use: "careless", RunE: func(cmd *cobra.Command, _ []string) error {
		cmd.Print("\u202e")
		cmd.PrintErr("\x1b[2J")
		return nil
	}})
	var out, errs bytes.Buffer
	if status := runRoot(t.Context(), root, []string{"careless"}, &out, &errs); status != exitOK || out.String()+errs.String() != "��[2J" {
		t.Errorf("careless: exit status %d, %q and %q", status, out.String(), errs.String())
	}
}

// Whatever a stranger's name is long: what is said of it stays short, with its beginning, and with what we say behind
// it.
func TestLongNamesAreCut(t *testing.T) {
	name := strings.Repeat("é", 150_000)
	one := 1
	r := scaler.Record{Target: "video", Backlog: &one, Active: &one, Held: &one, Running: &one, Unlisted: []string{name}, Action: policy.Hold}
	ts := targetStatusOf(config.Target{Name: "video"}, scaler.TargetPlan{Record: r}, time.Now(), decisions.Entry{}, 0)
	s := status{Targets: []targetStatus{ts}}
	w := plainWriter(80)
	s.text(w)
	lines := strings.Split(w.b.String(), "\n")
	said := w.b.String()
	if len(lines) > 20 || !strings.Contains(said, "its workers also fetch from") || !strings.Contains(said, "list it under queues") {
		t.Errorf("%d lines:\n%s", len(lines), w.b.String())
	}
	code, _, errs := execute(t, "why", name, "--config", write(t, valid))
	if code != exitProblem || len(errs) > 2*terminal.MostShown+200 || !strings.Contains(errs, "name one of video") {
		t.Errorf("exit status %d, %d bytes on standard error: %s", code, len(errs), errs)
	}
	var out bytes.Buffer
	if err := printJSON(&out, s, ""); err != nil || !strings.Contains(out.String(), name) {
		t.Errorf("JSON is for programs, and holds it all: %v, %d bytes", err, out.Len())
	}
}
