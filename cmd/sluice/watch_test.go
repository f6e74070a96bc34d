package main

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
)

// watchedLooks watches what the looks say, one after the other, and is interrupted after the last. It returns what is printed.
func watchedLooks(t *testing.T, args []string, looks ...any) (out string, status int) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		root := &cobra.Command{Use: "sluice", SilenceErrors: true, SilenceUsage: true}
		addOutput(root)
		i := 0
		root.AddCommand(&cobra.Command{Use: "watch", RunE: func(cmd *cobra.Command, _ []string) error {
			return watch(cmd, func(context.Context) (view, error) {
				look := looks[i]
				if i++; i == len(looks) {
					time.AfterFunc(watchEvery/2, cancel)
				}
				if err, ok := look.(error); ok {
					return view{}, err
				}
				return view{map[string]any{"look": look}, func(w *textWriter) { w.line("n is %v", look) }}, nil
			})
		}})
		var b bytes.Buffer
		root.SetArgs(append([]string{"watch"}, args...))
		root.SetOut(&b)
		root.SetErr(&b)
		if err := root.ExecuteContext(ctx); err != nil {
			status = 1
			b.WriteString("ended: " + err.Error() + "\n")
		}
		out = b.String()
	})
	return out, status
}

func TestWatch(t *testing.T) {
	throttled := errors.New("throttled")
	for _, tt := range []struct {
		name   string
		args   []string
		looks  []any
		status int
		want   string
	}{
		{"one after the other", nil, []any{1, 2}, 0, "00:00:00 UTC\nn is 1\n\n00:00:02 UTC\nn is 2\n\n"},
		{"as JSON", []string{"-o", "json"}, []any{1, 2}, 0, "{\"look\":1}\n{\"look\":2}\n"},
		{"as YAML", []string{"-o", "yaml"}, []any{1, 2}, 0, "---\nlook: 1\n---\nlook: 2\n"},
		{"an error in between", nil, []any{1, throttled, 3}, 0, "00:00:00 UTC\nn is 1\n\n00:00:02 UTC\nthrottled\n\n00:00:04 UTC\nn is 3\n\n"},
		{"an error in between, as JSON", []string{"-o", "json"}, []any{1, throttled, 3}, 0, "{\"look\":1}\nsluice: throttled\n{\"look\":3}\n"},
		{"an error at once", nil, []any{throttled}, 1, "ended: throttled\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, status := watchedLooks(t, tt.args, tt.looks...)
			if diff := cmp.Diff(tt.want, out); diff != "" || status != tt.status {
				t.Errorf("status %d (-want +got):\n%s", status, diff)
			}
		})
	}
}
