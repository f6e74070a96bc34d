package sim

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"sluice/internal/policy"
)

// listener hears what the production code logs: its decisions and results are what the tally counts and the story tells.
type listener struct{ w *world }

// Enabled lets everything through that people would see.
func (listener) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle takes a record apart.
func (l listener) Handle(_ context.Context, r slog.Record) error {
	w := l.w
	var (
		useCase, target, action, status string
		current, desired, previous      int
		reasons                         []policy.Reason
		rest                            []string
	)
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "use_case":
			useCase = a.Value.String()
		case "target":
			target = a.Value.String()
		case "action":
			action = a.Value.String()
		case "status":
			status = a.Value.String()
		case "current":
			current = int(a.Value.Int64())
		case "desired", "desired_count":
			desired = int(a.Value.Int64())
		case "previous":
			previous = int(a.Value.Int64())
		case "reasons":
			reasons, _ = a.Value.Any().([]policy.Reason)
		case "service", "cluster", "ignored":
		default:
			if w.trace.keep {
				if a.Value.Kind() == slog.KindAny && a.Value.Any() == nil {
					rest = append(rest, a.Key+" unknown")
				} else {
					rest = append(rest, fmt.Sprintf("%s %v", a.Key, a.Value))
				}
			}
		}
		return true
	})
	at := w.index(target)
	words := make([]string, len(reasons))
	for i, reason := range reasons {
		words[i] = string(reason)
		w.tally.decisions[useCase+" "+action+" "+words[i]]++
	}
	why := strings.Join(words, ", ")
	switch r.Message {
	case "decision":
		if p := w.loop.current; p != nil && p.owner != nil {
			p.owner.reasons = reasons
		}
		topic := noteDecision
		if action == string(policy.Hold) && why == string(policy.ReasonSteady) {
			topic = noteSteady
		}
		w.note(topic, at, "%s %s: %s %d -> %d (%s)%s", useCase, target, action, current, desired, why, detail(rest))
	case "result":
		w.tally.statuses[status]++
		w.note(noteResult, at, "result for %s: %s, %d -> %d (%s)", target, status, previous, desired, why)
	default:
		w.note(noteResult, at, "%s %s%s", r.Message, target, detail(rest))
	}
	return nil
}

func detail(rest []string) aside {
	if len(rest) == 0 {
		return ""
	}
	return aside(" [" + strings.Join(rest, ", ") + "]")
}

// WithAttrs is not used by the production code.
func (l listener) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is not used by the production code.
func (l listener) WithGroup(string) slog.Handler { return l }
