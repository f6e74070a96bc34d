package events

import (
	"strings"
	"testing"
)

func TestPatterns(t *testing.T) {
	const event = `{"source":"custom.celery.monitor","detail-type":"celery.task.queue_full","detail":{"source":"other"}}`
	for _, tt := range []struct {
		name, pattern, event string
		want                 bool
	}{
		{"the rule of the product", `{"source":["custom.celery.monitor"],"detail-type":["celery.task.queue_full"]}`, event, true},
		{"any of a list", `{"source":["other","custom.celery.monitor"]}`, event, true},
		{"none of a list", `{"source":["other","another"]}`, event, false},
		{"all of the fields", `{"source":["custom.celery.monitor"],"detail-type":["other"]}`, event, false},
		{"exact is case-sensitive", `{"source":["Custom.celery.monitor"]}`, event, false},
		{"exact is the whole text", `{"source":["custom"]}`, event, false},
		{"the envelope's field, not the detail's", `{"source":["other"]}`, event, false},
		{"an event without the field", `{"source":["x"]}`, `{"detail-type":"x"}`, false},
		{"an event with a list there", `{"source":["x"]}`, `{"source":["x"]}`, false},
		{"an event with nothing there", `{"source":[""]}`, `{"source":null}`, false},
		{"no event", `{"source":["x"]}`, ``, false},
		{"half an event", `{"source":["x"]}`, `{"source":"x"`, false},
		{"two events", `{"source":["x"]}`, `{"source":"x"} {"source":"x"}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := ParsePattern([]byte(tt.pattern))
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Matches([]byte(tt.event)); got != tt.want {
				t.Errorf("%s matches %s: %v", tt.pattern, tt.event, got)
			}
		})
	}
}

// What the matcher does not know is refused by name, and never matched in some other way.
func TestPatternsThatAreRefused(t *testing.T) {
	for pattern, want := range map[string]string{
		``: "JSON", `{`: "JSON", `[]`: "array", `"x"`: "string", `{} {}`: "after top-level value", `null`: "names no field", `{}`: "names no field",
		`{"source":"x"}`:                    `"source": give a list of one or more texts`,
		`{"source":[]}`:                     `"source": give a list of one or more texts`,
		`{"source":{"a":["x"]}}`:            `"source": give a list of one or more texts`,
		`{"source":[null]}`:                 `"source": it may not be <nil>; list exact texts`,
		`{"source":[1]}`:                    `"source": it may not be 1; list exact texts`,
		`{"source":["x",{"prefix":"y"}]}`:   `"source": the local cloud does not know the operator [prefix]; list exact texts instead`,
		`{"detail-type":[{"exists":true}]}`: `"detail-type": the local cloud does not know the operator [exists]; list exact texts instead`,
		`{"source":["x"],"$or":[{},{}]}`:    `"$or": the local cloud matches source and detail-type only; leave it out`,
		`{"detail":{"queue":["video"]}}`:    `"detail": the local cloud matches source and detail-type only; leave it out`,
	} {
		if _, err := ParsePattern([]byte(pattern)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", pattern, err, want)
		}
	}
}
