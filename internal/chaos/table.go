package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// table prints the rounds.
func table(out io.Writer, results []*result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...any) {
		text := make([]string, len(cells))
		for i, c := range cells {
			text[i] = fmt.Sprint(c)
		}
		_, _ = fmt.Fprintln(w, "  "+strings.Join(text, "\t"))
	}
	row("round", "pool", "celery", "load", "acks", "faults", "sent", "done", "lost", "killed", "doubled", "interrupted", "left", "by whom",
		"in: full", "partial", "drained", "resumed", "worker s")
	var sum verdict
	for _, r := range results {
		v, acks := r.verdict, "early"
		if r.plan.late {
			acks = "late"
		}
		row(r.plan.number, r.plan.pool, r.plan.version, r.plan.load, acks, len(r.facts.deeds), v.sent, v.done,
			v.number(lost, ""), v.number(killed, ""), v.number(doubled, ""), v.number(interrupted, ""), v.number(left, ""), v.whom(),
			v.full, v.partial, v.drained, v.resumed, fmt.Sprintf("%.0f", v.seconds))
		sum.add(v)
	}
	row("all", "", "", "", "", "", sum.sent, sum.done, sum.number(lost, ""), sum.number(killed, ""), sum.number(doubled, ""),
		sum.number(interrupted, ""), sum.number(left, ""), "", sum.full, sum.partial, sum.drained, sum.resumed, fmt.Sprintf("%.0f", sum.seconds))
	_ = w.Flush()
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
}

// whom counts the causes of all harm.
func (v verdict) whom() string {
	var causes []string
	for _, c := range []cause{byScaleIn, byDeployment, byKill, byReconnect, byVisibility, byClient, byNobody} {
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
