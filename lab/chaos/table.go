package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
)

// table prints the rounds, each as soon as it has ended.
type table struct {
	out io.Writer

	mu  sync.Mutex
	sum verdict
}

// cells is one row: what cannot be long has a width.
const cells = "  %-5v  %-7v  %-6v  %-9v  %-5v  %6v  %5v  %5v  %4v  %6v  %7v  %11v  %4v  %8v  %7v  %7v  %7v  %8v  %6v  %v\n"

func newTable(out io.Writer) *table {
	_, _ = fmt.Fprintf(out, "\n"+cells, "round", "pool", "celery", "load", "acks", "faults", "sent", "done", "lost", "killed", "doubled", "interrupted",
		"left", "in: full", "partial", "drained", "resumed", "worker s", "wait s", "by whom")
	return &table{out: out}
}

// row prints a round.
func (t *table) row(r *result) {
	acks := "early"
	if r.plan.late {
		acks = "late"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.print(r.verdict, fmt.Sprint(r.plan.number), r.plan.pool, r.plan.version, string(r.plan.load), acks, fmt.Sprint(len(r.facts.deeds)))
	t.sum.add(r.verdict)
}

// total prints the sum of all rounds.
func (t *table) total() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.print(t.sum, "all", "", "", "", "", "")
}

func (t *table) print(v verdict, round, pool, version, load, acks, faults string) {
	_, _ = fmt.Fprintf(t.out, cells, round, pool, version, load, acks, faults, v.sent, v.done, v.number(lost, ""), v.number(killed, ""),
		v.number(doubled, ""), v.number(interrupted, ""), v.number(left, ""), v.full, v.partial, v.drained, v.resumed,
		fmt.Sprintf("%.0f", v.seconds), fmt.Sprintf("%.1f", v.waited.Seconds()), v.whom())
}

// add adds up verdicts. Tasks of different rounds are told apart, though their ids are the same.
func (v *verdict) add(o verdict) {
	v.sent += o.sent
	v.done += o.done
	for _, f := range o.findings {
		f.task = fmt.Sprintf("%p/%s", &o, f.task)
		v.findings = append(v.findings, f)
	}
	v.full += o.full
	v.partial += o.partial
	v.drained += o.drained
	v.resumed += o.resumed
	v.seconds += o.seconds
	v.waited = max(v.waited, o.waited)
}

// whom counts the causes of all harm.
func (v verdict) whom() string {
	var causes []string
	for _, c := range []cause{byScaleIn, byDeployment, byKill, byReconnect, byRedis, byVisibility, byClient, byNobody} {
		tasks := map[string]bool{}
		for _, f := range v.findings {
			if f.cause == c {
				tasks[f.task] = true
			}
		}
		if len(tasks) > 0 {
			causes = append(causes, fmt.Sprintf("%s %d", c, len(tasks)))
		}
	}
	if len(causes) == 0 {
		return "-"
	}
	return strings.Join(causes, ", ")
}

// comparison prints the arms side by side.
func comparison(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "  scaled by\tsent\tdone\tlost\tkilled\tdoubled\tinterrupted\tleft\tin: full\tpartial\tworker s\ts to empty")
	for _, r := range results {
		v := r.verdict
		_, _ = fmt.Fprintf(w, "  %s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.0f\t%.1f\n", r.arm, v.sent, v.done, v.number(lost, ""), v.number(killed, ""),
			v.number(doubled, ""), v.number(interrupted, ""), v.number(left, ""), v.full, v.partial, v.seconds, v.emptied.Seconds())
	}
	_ = w.Flush()
}
