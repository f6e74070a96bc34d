package logs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/lab/cloud/wire"
)

const began = 1_800_000_000_000 // A time in 2027, in milliseconds.

// filled is a store with a group g of n lines {"n":"0"}, {"n":"1"} and so on, 1 s apart.
func filled(n int) *Store {
	now := time.UnixMilli(began)
	s := New(func() time.Time { return now }, "g")
	for i := range n {
		s.Put("g", "s", fmt.Sprintf(`{"n":"%d"}`, i))
		now = now.Add(time.Second)
	}
	return s
}

// search returns the messages of all pages, and how many pages there were.
func searchAll(t *testing.T, s *Store, in FilterInput) (messages []string, pages int) {
	t.Helper()
	in.LogGroupName = "g"
	for {
		out, err := s.Filter(in)
		if err != nil {
			t.Fatal(err)
		}
		pages++
		for _, e := range out["events"].([]any) {
			messages = append(messages, e.(map[string]any)["message"].(string))
		}
		token, more := out["nextToken"].(string)
		if !more {
			return messages, pages
		}
		in.NextToken = token
	}
}

func of[T any](v T) *T { return &v }

func TestFilter(t *testing.T) {
	s := filled(5)
	newest := of(false)
	for _, tt := range []struct {
		name  string
		in    FilterInput
		want  string
		pages int
	}{
		{"all", FilterInput{}, "01234", 1},
		{"both ends of the time are part of it", FilterInput{StartTime: of[int64](began + 1000), EndTime: of[int64](began + 3000)}, "123", 1},
		{"a time before", FilterInput{EndTime: of[int64](began - 1)}, "", 1},
		{"a time after", FilterInput{StartTime: of[int64](began + 5000)}, "", 1},
		{"a pattern", FilterInput{FilterPattern: `{ $.n = "3" || $.n = "4" }`}, "34", 1},
		{"pages", FilterInput{Limit: of(2)}, "01234", 3},
		{"full pages", FilterInput{Limit: of(2), StartTime: of[int64](began + 1000)}, "1234", 2},
		{"newest first", FilterInput{StartFromHead: newest, StartTime: of[int64](began)}, "43210", 1},
		{"newest first in pages", FilterInput{StartFromHead: newest, StartTime: of[int64](began + 1000), EndTime: of[int64](began + 3000), Limit: of(1)}, "321", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, pages := searchAll(t, s, tt.in)
			var short strings.Builder
			for _, m := range got {
				short.WriteString(strings.Trim(m, `{"n:}`))
			}
			if short.String() != tt.want || pages != tt.pages {
				t.Errorf("%s in %d pages, want %s in %d", short.String(), pages, tt.want, tt.pages)
			}
		})
	}
}

// Pages may be empty, though more is to come.
func TestEmptyPages(t *testing.T) {
	s := filled(3 * maxScanned)
	got, pages := searchAll(t, s, FilterInput{FilterPattern: fmt.Sprintf(`{ $.n = "%d" }`, 3*maxScanned-1)})
	if len(got) != 1 || pages != 3 {
		t.Errorf("%v in %d pages", got, pages)
	}
}

// A page holds at most a megabyte; and what was searched and dropped meanwhile does no harm.
func TestOldLinesAreDropped(t *testing.T) {
	s := filled(0)
	const size = 600 << 10
	put := func(n int) {
		for i := range n {
			s.Put("g", "s", fmt.Sprintf("%03d%s", i, strings.Repeat("x", size)))
		}
	}
	put(40)
	if got, pages := searchAll(t, s, FilterInput{}); len(got) != keptBytes/size || pages != len(got) {
		t.Errorf("%d lines are kept, in %d pages", len(got), pages)
	}
	in := FilterInput{LogGroupName: "g"}
	page, err := s.Filter(in)
	if err != nil {
		t.Fatal(err)
	}
	in.NextToken = page["nextToken"].(string)
	put(30)
	page, err = s.Filter(in)
	if err != nil {
		t.Fatal(err)
	}
	if got := page["events"].([]any)[0].(map[string]any)["message"].(string)[:3]; got != "003" {
		t.Errorf("the search goes on at %s", got)
	}
}

func TestRefusals(t *testing.T) {
	s := filled(1)
	for name, tt := range map[string]struct {
		in   FilterInput
		code string
	}{
		"no group":           {FilterInput{}, "InvalidParameterException"},
		"two groups":         {FilterInput{LogGroupName: "g", LogGroupIdentifier: "g"}, "InvalidParameterException"},
		"an unknown group":   {FilterInput{LogGroupName: "x"}, "ResourceNotFoundException"},
		"limit":              {FilterInput{LogGroupName: "g", Limit: of(0)}, "InvalidParameterException"},
		"high limit":         {FilterInput{LogGroupName: "g", Limit: of(10_001)}, "InvalidParameterException"},
		"token":              {FilterInput{LogGroupName: "g", NextToken: "x"}, "InvalidParameterException"},
		"newest first, ever": {FilterInput{LogGroupName: "g", StartFromHead: of(false)}, "InvalidParameterException"},
		"pattern":            {FilterInput{LogGroupName: "g", FilterPattern: "ERROR"}, "InvalidParameterException"},
	} {
		var e *wire.Error
		if _, err := s.Filter(tt.in); !errors.As(err, &e) || e.Code != tt.code {
			t.Errorf("%s: %v, want %s", name, err, tt.code)
		}
	}
	if out, err := s.Filter(FilterInput{LogGroupIdentifier: "arn:aws:logs:r:1:log-group:g:*"}); err != nil || len(out["events"].([]any)) != 1 {
		t.Errorf("by ARN: %v, %v", out, err)
	}
}

func TestPatterns(t *testing.T) {
	lines := []string{
		`{"target": "worker", "message": "decision"}`,
		`{"target": "web-worker", "message": "decision", "n": 1}`,
		`{"n": "1", "quote": "a\"b"}`,
		`no JSON`,
		`["worker"]`,
	}
	for _, tt := range []struct {
		pattern string
		want    []int // The lines that match.
	}{
		{"", []int{0, 1, 2, 3, 4}},
		{" ", []int{0, 1, 2, 3, 4}},
		{`{ $.target = "worker" }`, []int{0}},
		{`{$.target="worker"}`, []int{0}},
		{`{ $.target = "Worker" }`, nil},
		{`{ $.target = "" }`, nil}, // Not where there is none.
		{`{ $.quote = "a\"b" }`, []int{2}},
		{`{ $.n = "1" }`, []int{2}}, // The number is no text.
		{`{ $.target = "worker" && $.n = "x" || $.quote = "a\"b" }`, []int{2}},
		{`{ $.message = "decision" && ($.n = "1" || $.target = "worker") }`, []int{0}},
	} {
		matches, err := parse(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		var got []int
		for i, l := range lines {
			if matches(l) {
				got = append(got, i)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s matches %v, want %v", tt.pattern, got, tt.want)
		}
	}
	for _, pattern := range []string{
		"ERROR", `"a b"`, "?a ?b", "[a, b]", "{", "{}", "{ $.a }", "{ $.a = }", `{ a = "b" }`, `{ $.a < "b" }`, `{ $.a != "b" }`, "{ $.a = %x% }",
		`{ $.a[0] = "b" }`, `{ $.a.b = "c" }`, "{ $.a = 1 }", "{ $.a = b }", `{ $.a = "b*" }`, "{ $.a IS TRUE }", "{ $.a NOT EXISTS }", "{ $.a = null }",
		`{ ($.a = "b" }`, `{ $.a = "b") }`, `{ $.a = "b" $.b = "c" }`, `{ $.a = "b" && }`, `{ $.a = "b }`, `{ $.a = "\x" }`,
		`{ $.a = "` + strings.Repeat("b", maxPattern) + `" }`,
	} {
		if _, err := parse(pattern); err == nil {
			t.Errorf("%s is not refused", pattern)
		}
	}
}
