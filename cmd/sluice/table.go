package main

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// A column of a table.
type column struct {
	title string
	right bool // Numbers stand to the right.
	names bool // Where the table is too wide such columns are shortened first, in the middle: names tell most at their ends.
}

// table is written when it is complete, so that it can be fitted to the width.
type table struct {
	w       *textWriter
	columns []column
	rows    []tableRow
}

type tableRow struct {
	cells []string
	note  []any // The format and arguments of what stands below the row.
}

// gap stands between two columns.
const gap = "  "

// table begins a table. Its titles are written in small letters.
func (w *textWriter) table(columns ...column) *table { return &table{w: w, columns: columns} }

// row adds a row. A cell is a text, a styled one, or a number.
func (t *table) row(cells ...any) {
	texts := make([]string, len(t.columns))
	for i, c := range cells {
		texts[i] = t.w.show(c)
	}
	t.rows = append(t.rows, tableRow{cells: texts})
}

// note adds lines below the last row: wrapped, and indented by two.
func (t *table) note(format string, args ...any) {
	t.rows = append(t.rows, tableRow{note: append([]any{format}, args...)})
}

// end writes the table.
func (t *table) end() {
	widths := t.fit()
	titles := make([]string, len(t.columns))
	for i, c := range t.columns {
		titles[i] = t.w.show(bold(c.title))
	}
	t.write(titles, widths, true)
	for _, r := range t.rows {
		if r.note != nil {
			t.w.wrapped(2, r.note[0].(string), r.note[1:]...)
			continue
		}
		t.write(r.cells, widths, false)
	}
}

func (t *table) write(cells []string, widths []int, title bool) {
	var b strings.Builder
	for i, c := range cells {
		if i > 0 {
			b.WriteString(gap)
		}
		if t.columns[i].right && !title && ansi.StringWidth(c) > widths[i] {
			c = "…" // Part of a number would be another number.
		}
		c = shorten(c, widths[i])
		fill := strings.Repeat(" ", widths[i]-ansi.StringWidth(c))
		if t.columns[i].right {
			b.WriteString(fill + c)
		} else {
			b.WriteString(c + fill)
		}
	}
	t.w.b.WriteString(strings.TrimRight(b.String(), " ") + "\n")
}

// fit returns the columns' widths: as wide as their cells, and where that is too much names shortened first, and numbers last.
func (t *table) fit() []int {
	widths := make([]int, len(t.columns))
	total := len(gap) * (len(t.columns) - 1)
	for i, c := range t.columns {
		widths[i] = ansi.StringWidth(c.title)
		for _, r := range t.rows {
			if r.note == nil {
				widths[i] = max(widths[i], ansi.StringWidth(r.cells[i]))
			}
		}
		total += widths[i]
	}
	for _, pass := range []struct {
		least int
		of    func(column) bool
	}{
		{12, func(c column) bool { return c.names }},
		{3, func(c column) bool { return !c.right }},
		{3, func(column) bool { return true }},
	} {
		for total > t.w.width {
			widest := -1
			for i, c := range t.columns {
				if pass.of(c) && widths[i] > pass.least && (widest < 0 || widths[i] > widths[widest]) {
					widest = i
				}
			}
			if widest < 0 {
				break
			}
			widths[widest]--
			total--
		}
	}
	return widths
}

// shorten returns the text in at most width columns, with an ellipsis in the middle if it has to be cut.
func shorten(s string, width int) string {
	have := ansi.StringWidth(s)
	switch {
	case have <= width:
		return s
	case width < 3:
		return ansi.Truncate(s, width, "")
	}
	head := ansi.Truncate(s, width/2, "")
	// A wide character is taken away whole.
	for cut := have - (width - 1 - width/2); ; cut++ {
		if tail := ansi.TruncateLeft(s, cut, ""); ansi.StringWidth(head)+1+ansi.StringWidth(tail) <= width {
			return head + "…" + tail
		}
	}
}
