package sluicecdk

import (
	"reflect"
	"testing"
	"time"
)

func TestShards(t *testing.T) {
	all := map[string]any{}
	part := func(i, n int) map[string]any { return map[string]any{"shard": i, "shards": n} }
	tests := []struct {
		name                 string
		targets, perSchedule int
		every                time.Duration
		minutes              []string
		inputs               []map[string]any
	}{
		{"one schedule", 1000, 1000, 5 * time.Minute, []string{""}, []map[string]any{all}},
		{"one more target", 1001, 1000, 5 * time.Minute, []string{"0/5", "2/5"}, []map[string]any{part(0, 2), part(1, 2)}},
		{"spread evenly", 40, 10, 20 * time.Minute, []string{"0/20", "5/20", "10/20", "15/20"}, []map[string]any{part(0, 4), part(1, 4), part(2, 4), part(3, 4)}},
		{"more schedules than minutes", 3, 1, 2 * time.Minute, []string{"0/2", "0/2", "1/2"}, []map[string]any{part(0, 3), part(1, 3), part(2, 3)}},
		{"each minute", 2, 1, time.Minute, []string{"0/1", "0/1"}, []map[string]any{part(0, 2), part(1, 2)}},
		{"each hour", 2, 1, time.Hour, []string{"0", "30"}, []map[string]any{part(0, 2), part(1, 2)}},
		{"cron cannot say it", 2, 1, 7 * time.Minute, []string{"", ""}, []map[string]any{part(0, 2), part(1, 2)}},
		{"over an hour", 2, 1, 2 * time.Hour, []string{"", ""}, []map[string]any{part(0, 2), part(1, 2)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var minutes []string
			var inputs []map[string]any
			ids := make(map[string]bool)
			for _, s := range shards(tt.targets, tt.perSchedule, tt.every) {
				minutes, inputs, ids[s.id] = append(minutes, s.minutes), append(inputs, s.input), true
			}
			if !reflect.DeepEqual(minutes, tt.minutes) || !reflect.DeepEqual(inputs, tt.inputs) {
				t.Errorf("%q with %v, want %q with %v", minutes, inputs, tt.minutes, tt.inputs)
			}
			if len(ids) != len(tt.minutes) {
				t.Errorf("%d ids for %d schedules", len(ids), len(tt.minutes))
			}
		})
	}
}
