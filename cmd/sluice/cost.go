package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/internal/config"
	"sluice/internal/price"
)

// costFlags are the flags of `sluice cost`.
type costFlags struct {
	events, runs float64
	since        span
}

func costCommand() *cobra.Command {
	var f costFlags
	cmd := &cobra.Command{
		Use:   "cost",
		Short: "Show what Sluice costs a month, and what it saved",
		Long: "Shows what Sluice itself costs a month with this configuration, line by line, by AWS's list prices of the Region of " +
			"deploy.region. No account is asked for it; what is assumed of events and of how often targets go up and down can be " +
			"given.\n\n" +
			"With --since the log of decisions is read as well, for the worker hours that ran in that time, against running the most " +
			"that ran around the clock: that is what a fixed count would take to serve the same.",
		Example: "  sluice cost\n  sluice cost --events 10000 --runs 500\n  sluice cost --since 7d",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(cmd)
			if err != nil {
				return err
			}
			return f.show(cmd, c, time.Now())
		},
	}
	flags := cmd.Flags()
	flags.Float64Var(&f.events, "events", 0, fmt.Sprintf("events a month, `N`, of all targets together (default %d for each)", price.DefaultEvents))
	flags.Float64Var(&f.runs, "runs", 0, fmt.Sprintf("how many times a month targets go up and down again, `N`, all together (default %d for each)", price.DefaultRuns))
	flags.Var(&f.since, "since", "what was saved since then, such as 24h or 7d ago")
	return cmd
}

// costs is what `sluice cost` shows.
type costs struct {
	Bill  price.Bill `json:"month"`
	Saved *savings   `json:"saved,omitempty"`
}

func (f costFlags) show(cmd *cobra.Command, c *config.Config, now time.Time) error {
	use := price.DefaultUse(c)
	for name, n := range map[string]*float64{"events": &use.Events, "runs": &use.Runs} {
		if !cmd.Flags().Changed(name) {
			continue
		}
		if *n, _ = cmd.Flags().GetFloat64(name); !(*n >= 0 && *n <= 1e12) {
			return misused("--%s: use a number of a month, 0 or more", name)
		}
	}
	k := costs{Bill: price.Monthly(c, use)}
	var unread error
	if f.since > 0 {
		k.Saved, unread = readSavings(cmd, c, now.Add(-time.Duration(f.since)), now)
	}
	err := print(cmd, k, func(w *textWriter) {
		k.month(w)
		if k.Saved != nil {
			k.Saved.print(w, k.Bill)
		}
		k.small(w)
	})
	if unread != nil {
		unread = fmt.Errorf("what was saved is unknown: %w", unread)
	}
	return errors.Join(err, unread)
}

// month writes the bill.
func (k costs) month(w *textWriter) {
	b := k.Bill
	w.wrapped(0, "A month of Sluice with %s in %s, in US dollars, by public price tables as of %s; AWS's pages have the last word.", count(b.Targets, "target"), b.Region, b.AsOf)
	w.line("")
	t := w.table(column{title: "WHAT"}, column{title: "HOW MUCH", names: true}, column{title: "$", right: true})
	for _, l := range b.Lines {
		t.row(l.Name, l.How, dollars(l.USD))
		if l.Name == price.LastOfController {
			t.row(bold("controller"), "", bold(dollars(b.Controller)))
		}
	}
	t.row(bold("together"), "", bold(dollars(b.Total)))
	t.end()
	w.line("")
}

// print writes what was saved.
func (s savings) print(w *textWriter, b price.Bill) {
	w.wrapped(0, "Since %s, worker hours that ran, against the most that ran at once, around the clock:", s.Since.Local().Format("Mon Jan 2 15:04"))
	w.line("")
	number := func(title string) column { return column{title: title, right: true} }
	t := w.table(column{title: "TARGET", names: true}, number("SEEN"), number("RAN"), number("PEAK"), number("AT PEAK"), number("SAVED"), number("$"))
	var seen float64
	for _, one := range s.Targets {
		seen = max(seen, one.Seen)
		usd := "?"
		if one.USD != nil {
			usd = dollars(*one.USD)
		}
		t.row(one.Target, hours(one.Seen), hours(one.Ran), fmt.Sprint(one.Peak), hours(one.Constant), hours(one.Saved), usd)
		if one.Note != "" {
			t.note("%s", one.Note)
		}
	}
	t.end()
	w.line("")
	w.wrapped(0, "Saved %s on %s of %s; in that time Sluice itself cost %s, by the month above. Workers are counted as each sweep saw them running, at "+
		"Fargate's on-demand price; times that no sweep saw are left out. Whether you would have run the peak around the clock only you know.",
		money(s.USD), commas(s.Priced), count(len(s.Targets), "target"), money(b.Total*seen/price.Month.Hours()))
	w.line("")
}

// small writes the small print.
func (k costs) small(w *textWriter) {
	b := k.Bill
	w.wrapped(0, "Assumed (--events and --runs say otherwise): %s.", b.Assumptions)
	w.wrapped(0, "Not counted: %s.", b.NotCounted)
	w.wrapped(0, "The prices are from public tables, not from AWS's price API. AWS's own pages have the last word (-o json names each line's): %s",
		strings.Join(b.Sources(), " "))
	if b.Borrowed() {
		w.wrapped(0, "The list does not have all prices of %s: the others are those of %s.", b.Region, price.Reference)
	}
}

// dollars is an amount to the cent; one that is less, and not nothing, is said to be so.
func dollars(usd float64) string {
	if usd > 0 && usd < 0.005 {
		return "<0.01"
	}
	whole, cents := math.Modf(math.Round(usd*100) / 100)
	return fmt.Sprintf("%s.%02d", commas(int(whole)), int(math.Round(math.Abs(cents)*100)))
}

// money is an amount in a sentence.
func money(usd float64) string {
	if s := dollars(usd); s[0] != '<' {
		return "$" + s
	}
	return "less than a cent"
}

// hours is a number of hours.
func hours(h float64) string {
	switch {
	case h > 0 && h < 1:
		return fmt.Sprintf("%.0f m", h*60)
	case h < 100:
		return fmt.Sprintf("%.1f h", h)
	}
	return commas(int(math.Round(h))) + " h"
}

// commas is a number with its thousands apart.
func commas(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
