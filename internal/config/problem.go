package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with a config file, and what to do about it.
type Problem struct {
	File    string // As it was given to Load or Parse.
	Line    int    // From 1.
	Column  int    // From 1, in characters.
	Field   string // The path of the field, such as targets[0].max; empty if the file as a whole is wrong.
	Message string // What is wrong.
	Remedy  string // What to do about it.
}

// String is file:line:column: field path: what is wrong: remedy.
func (p Problem) String() string {
	field := p.Field
	if field == "" {
		field = "file"
	}
	return fmt.Sprintf("%s:%d:%d: %s: %s: %s", p.File, p.Line, p.Column, field, p.Message, p.Remedy)
}

// Problems is all that is wrong with a config file, in the file's order. It is the error of Load and Parse.
type Problems []Problem

// Error holds one line for each problem.
func (p Problems) Error() string {
	lines := make([]string, len(p))
	for i, problem := range p {
		lines[i] = problem.String()
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds the report: a file with more of them has one cause, such as a wrong indentation.
const maxProblems = 100

// report sorts the problems by their place and cuts what is too many.
func (p Problems) report() Problems {
	slices.SortStableFunc(p, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	if len(p) > maxProblems {
		last := p[maxProblems-1]
		last.Field, last.Message = "", fmt.Sprintf("%d more problems are not shown", len(p)-maxProblems+1)
		last.Remedy = "correct those above first"
		p = append(p[:maxProblems-1:maxProblems-1], last)
	}
	return p
}
