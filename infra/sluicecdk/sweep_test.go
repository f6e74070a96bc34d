package sluicecdk

import (
	"reflect"
	"testing"
	"time"
)

func TestShards(t *testing.T) {
	all := []map[string]any{{}}
	parts := func(n int) (out []map[string]any) {
		for i := range n {
			out = append(out, map[string]any{"shard": i, "shards": n})
		}
		return out
	}
	tests := []struct {
		name    string
		n       int
		every   time.Duration
		minutes []string
		inputs  []map[string]any
	}{
		{"one schedule", 1, 5 * time.Minute, []string{""}, all},
		{"two", 2, 5 * time.Minute, []string{"0/5", "2/5"}, parts(2)},
		{"spread evenly", 4, 20 * time.Minute, []string{"0/20", "5/20", "10/20", "15/20"}, parts(4)},
		{"more schedules than minutes", 3, 2 * time.Minute, []string{"0/2", "0/2", "1/2"}, parts(3)},
		{"each minute", 2, time.Minute, []string{"0/1", "0/1"}, parts(2)},
		{"each hour", 2, time.Hour, []string{"0", "30"}, parts(2)},
		{"cron cannot say it", 2, 7 * time.Minute, []string{"", ""}, parts(2)},
		{"over an hour", 2, 2 * time.Hour, []string{"", ""}, parts(2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var minutes []string
			var inputs []map[string]any
			ids := make(map[string]bool)
			for _, s := range shards(tt.n, tt.every) {
				minutes, inputs, ids[s.id] = append(minutes, s.minutes), append(inputs, s.input), true
			}
			if !reflect.DeepEqual(minutes, tt.minutes) || !reflect.DeepEqual(inputs, tt.inputs) {
				t.Errorf("%q with %v, want %q with %v", minutes, inputs, tt.minutes, tt.inputs)
			}
			if len(ids) != tt.n {
				t.Errorf("%d ids for %d schedules", len(ids), tt.n)
			}
		})
	}
}
