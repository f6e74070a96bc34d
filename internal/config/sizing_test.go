package config

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func TestMessagesPerWorker(t *testing.T) {
	for _, test := range []struct {
		fields string
		want   int
	}{
		{"settle: 60s", 5}, // Nothing said.
		{"messages_per_worker: 10", 10},
		{"max_wait: 60s, task_seconds: 5, concurrency: 4", 48},
		{"max_wait: 60s, task_seconds: 5, concurrency: 4, messages_per_worker: 48", 48}, // It says the same.
		{"max_wait: 10s, task_seconds: 3, concurrency: 1", 3},                           // Rounded down.
		{"max_wait: 1s, task_seconds: 3600, concurrency: 1", 1},                         // At least 1.
		{"max_wait: 3s, task_seconds: 0.1, concurrency: 1", 30},                         // Not 29 by floating point.
		{"max_wait: 1m, task_seconds: 0.001, concurrency: 1", 60e3},                     // Many short tasks.
	} {
		c, err := Parse([]byte("version: 1\nbrokers: [{name: b, url_env: X}]\n"+
			"targets: [{name: a, cluster: c, service: s, queues: [q], max: 1, "+test.fields+"}]\n"), "sluice.yaml")
		if err != nil {
			t.Errorf("%s: %v", test.fields, err)
			continue
		}
		got, ok := c.Target("a")
		if !ok || got.MessagesPerWorker != test.want {
			t.Errorf("%s: %d messages per worker, want %d", test.fields, got.MessagesPerWorker, test.want)
		}
		if _, ok := c.Target("b"); ok {
			t.Error("a target was found that does not exist")
		}
	}
}

func TestDurationForms(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "5m": 5 * time.Minute, "1h30m": 90 * time.Minute, "0s": 0, "1.5s": 1500 * time.Millisecond,
	} {
		var d Duration
		if err := json.Unmarshal([]byte(`"`+text+`"`), &d); err != nil || d.Std() != want {
			t.Errorf("%s = %v, %v, want %v", text, d, err, want)
		}
		back, err := json.Marshal(d)
		var again Duration
		if err == nil {
			err = json.Unmarshal(back, &again)
		}
		if err != nil || again != d {
			t.Errorf("%s written as %s is %v, %v", text, back, again, err)
		}
	}
	for d, want := range map[Duration]string{Duration(time.Hour): "1h", Duration(5 * time.Minute): "5m", 0: "0s"} {
		if d.String() != want {
			t.Errorf("String = %s, want %s", d, want)
		}
	}
	for _, text := range []string{"", "0", "90", "1.5", "5 m", "1d", "soon", "9999999999h"} {
		var d Duration
		if err := d.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was accepted as %v", text, d)
		} else if !strings.HasPrefix(err.Error(), "parse duration") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
