package price_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/price"
)

var update = flag.Bool("update", false, "write the table of docs/deploy.md anew")

// The lines of docs/deploy.md that the table stands between.
const (
	begin = "<!-- by `go test ./internal/price -run Table -update` -->\n"
	end   = "<!-- end of the table -->"
	page  = "../../docs/deploy.md"
)

// docs/deploy.md shows what the model says, of a config with nothing but defaults.
func TestTableIsCurrent(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	old, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s lacks %q and %q", page, begin, end)
	}
	made := table(t)
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+made+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(old, made); diff != "" {
		t.Errorf("run `go test ./internal/price -run Table -update` (-page +model):\n%s", diff)
	}
	if !strings.Contains(before, price.AsOf) {
		t.Errorf("%s does not say that prices are as of %s", page, price.AsOf)
	}
}

var sizes = []int{1, 10, 100, 1000}

func table(t *testing.T) string {
	var b strings.Builder
	b.WriteString("\n| a month, in $ | 1 target | 10 | 100 | 1,000 |\n| --- | ---: | ---: | ---: | ---: |\n")
	row := func(what string, of func(targets int) float64) {
		b.WriteString("| " + what + " |")
		for _, n := range sizes {
			fmt.Fprintf(&b, " %s |", cents(of(n)))
		}
		b.WriteByte('\n')
	}
	bill := func(more string, n int, u price.Use) price.Bill { return price.Monthly(parseOf(t, n, more), u) }
	idle := bill("", 1, price.Use{})
	for i, l := range idle.Lines {
		if l.Quantity > 0 {
			how := map[string]string{
				"looks": "Check with 512 MB, from 0.3 s a sweep to about 6 s with 1,000 targets", "logs": "about 10 KB a sweep and 0.6 KB a target in it",
				"metrics": "two, whatever the targets", "alarms of workers": "`deploy.alarms.workers`: CPU and memory of each target; over 100 targets, of each service of their clusters",
			}[l.Name]
			if how == "" {
				how = l.How
			}
			row(l.Name+": "+how, func(n int) float64 { return bill("", n, price.Use{}).Lines[i].USD })
		}
		if l.Name == price.LastOfController {
			row("**the controller, idle**", func(n int) float64 { return bill("", n, price.Use{}).Controller })
		}
	}
	row("**together, idle**", func(n int) float64 { return bill("", n, price.Use{}).Total })
	for _, m := range []struct {
		what, yaml string
		use        price.Use
	}{
		{"1,000 runs from zero and back", "", price.Use{Runs: 1000}},
		{"10,000 events", "", price.Use{Events: 10_000}},
		{"`metrics: {level: totals}`", "metrics: {level: totals}\n", price.Use{}},
		{"`metrics: {level: targets}`", "metrics: {level: targets}\n", price.Use{}},
	} {
		row("and for "+m.what, func(n int) float64 { return bill(m.yaml, n, m.use).Total - bill("", n, price.Use{}).Total })
	}
	b.WriteByte('\n')
	return b.String()
}

// cents is an amount as the page has it.
func cents(usd float64) string {
	switch {
	case usd == 0:
		return "0"
	case usd < 0.005:
		return "<0.01"
	}
	return fmt.Sprintf("%.2f", usd)
}
