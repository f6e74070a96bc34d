package config

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// A hostile file is refused in bounded time, and never takes the process down: a parser that descends a million times would
// overflow the stack, which nothing can recover from.
func TestHostileFilesAreRefused(t *testing.T) {
	fill := func(s string) string { return strings.Repeat(s, (maxSize-20)/len(s)) }
	laughs := "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"
	for _, test := range []struct{ name, text, want string }{
		{"over 1 MiB", strings.Repeat(" ", maxSize+1), "keep it under 1 MiB"},
		{"billion laughs", laughs, "an anchor (&) is not supported"},
		{"open lists", fill("["), "nested more than 40 deep"},
		{"open mappings", fill("{a: "), "nested more than 40 deep"},
		{"lists on one line", fill("- "), "nested more than 40 deep"},
		{"complex keys", fill("? "), "a complex key (?) is not supported"},
		{"complex keys in a list", "[" + fill("? "), "a complex key (?) is not supported"},
		{"colons", fill("a: "), ""},
		{"colons in a mapping", "{" + fill("a: "), ""},
		{"tags", fill("!a "), "a tag (!) is not supported"},
		{"anchors", fill("&a "), "an anchor (&) is not supported"},
		{"staircase", func() string {
			var b strings.Builder
			for i := 0; b.Len() < maxSize/2; i++ {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(), "nested more than 40 deep"},
		{"long mapping", fill("a: 1\n"), "more than 1100 entries"},
		{"documents", fill("---\n"), ""},
		{"quotes", fill(`"`), ""},
		{"single quotes", fill("'"), ""},
		{"comments", fill("#\n"), "is empty"},
		{"newlines", fill("\n"), "is empty"},
		{"long key", fill("a") + ": 1", ""},
		{"long block", "a: |\n" + fill("  x\n"), "unknown field"},
		{"many empty targets", "targets:\n" + fill("- {}\n"), "targets"},
		{"empty flow entries", "targets: [" + fill(",") + "]", ""},
		{"brokers of one letter", "brokers: [" + fill("a,") + "]", ""},
		{"binary", fill("\x80"), "is not UTF-8"},
		{"NUL", fill("\x00"), "NUL"},
		{"carriage returns", fill("\r"), "U+000D"},
	} {
		t.Run(test.name, func(t *testing.T) {
			start := time.Now()
			c, err := Parse([]byte(test.text), "sluice.yaml")
			var problems Problems
			if c != nil || !errors.As(err, &problems) {
				t.Fatalf("Parse = %v, %v, want Problems", c, err)
			}
			if len(problems) > maxProblems {
				t.Errorf("%d problems, want at most %d", len(problems), maxProblems)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("Parse = %.300s, want %q in it", err, test.want)
			}
			t.Logf("%v: %.100s", time.Since(start), err)
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/valid/*.yaml", "testdata/invalid/*.yaml"} {
		for _, file := range files(f, pattern) {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Add([]byte("[{]}:"))
	f.Add([]byte("targets: [{name: a, env: {? b}}]"))
	f.Add([]byte("version: 0x1\nbrokers: [.inf, .nan, 0o7, 1_0, 1e999, ~]"))
	f.Fuzz(func(t *testing.T, data []byte) {
		// The fuzzer does not report an input that never returns.
		hang := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("Parse does not return for %q", data)) })
		c, err := Parse(data, "fuzz.yaml")
		hang.Stop()
		if (c == nil) == (err == nil) {
			t.Fatalf("Parse = %v, %v", c, err)
		}
		if err != nil {
			for _, p := range err.(Problems) {
				if p.Line < 1 || p.Column < 1 || p.Message == "" || p.Remedy == "" || strings.Contains(p.String(), "\n") {
					t.Errorf("odd problem %+v", p)
				}
			}
			return
		}
		for _, target := range c.Targets {
			if _, ok := c.Broker(target.Broker); !ok || target.Min > target.Max || target.Max < 1 || target.MessagesPerWorker < 1 {
				t.Errorf("accepted %+v", target)
			}
		}
	})
}
