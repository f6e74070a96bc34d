package main

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// wrap breaks a text into lines of at most width columns, at spaces only, so that flags and names stay whole; a word that is wider than a
// line is broken. Line breaks of its own stay.
func wrap(text string, width int) []string {
	var lines []string
	for paragraph := range strings.SplitSeq(text, "\n") {
		line, have := "", 0
		for word := range strings.FieldsSeq(paragraph) {
			n := ansi.StringWidth(word)
			if have > 0 && have+1+n > width {
				lines = append(lines, line)
				line, have = "", 0
			}
			if have > 0 {
				line, have = line+" ", have+1
			}
			if n > width {
				parts := strings.Split(ansi.Hardwrap(word, width, true), "\n")
				lines = append(lines, parts[:len(parts)-1]...)
				word = parts[len(parts)-1]
				n = ansi.StringWidth(word)
			}
			line, have = line+word, have+n
		}
		lines = append(lines, line)
	}
	return lines
}
