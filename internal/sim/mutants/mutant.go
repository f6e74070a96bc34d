package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// mutant is one planted fault.
type mutant struct {
	Name      string // The name of its file, without its ending.
	Breaks    string // What the fault breaks, in words.
	Invariant string // Which invariant has to break. Another one that breaks as well proves nothing.
	Seeds     int    // The simulator has to find it within so many seeds.
	Hunks     []hunk
}

// hunk is one exact textual change. Its old lines have to stand in the file exactly once.
type hunk struct {
	File     string // Its path from the root of the module, with slashes.
	Old, New []string
}

// load reads all mutants of a directory, in the order of their names.
func load(dir fs.FS) ([]mutant, error) {
	names, err := fs.Glob(dir, "*.diff")
	if err != nil {
		return nil, err
	}
	var all []mutant
	var errs []error
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		m, err := parse(string(text))
		if err != nil {
			errs = append(errs, fmt.Errorf("read mutant %s: %w", name, err))
			continue
		}
		m.Name = strings.TrimSuffix(path.Base(name), ".diff")
		all = append(all, m)
	}
	if len(names) == 0 {
		errs = append(errs, errors.New("read mutants: there are none"))
	}
	return all, errors.Join(errs...)
}

// parse reads one mutant: lines "breaks: TEXT", "invariant: NAME" and "seeds: N", and then, as in a unified diff without its numbers, for each
// file a line "--- PATH" and for each change in it a line "@@" and the lines as they are (" "), were ("-") and will be ("+").
func parse(text string) (mutant, error) {
	var m mutant
	file, inside, blank := "", false, 0
	for i, line := range strings.Split(text, "\n") {
		err := error(nil)
		switch {
		case line == "": // Between two changes, or in one, if its space has been cut off.
			blank++
			continue
		case strings.HasPrefix(line, "--- "):
			file, inside = strings.TrimPrefix(line, "--- "), false
		case line == "@@" && file != "":
			m.Hunks = append(m.Hunks, hunk{File: file})
			inside = true
		case inside:
			err = m.Hunks[len(m.Hunks)-1].add(blank, line)
		case file == "":
			err = m.head(line)
		default:
			err = fmt.Errorf("%q stands in no change: is its @@ missing?", line)
		}
		blank = 0
		if err != nil {
			return m, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	switch {
	case m.Breaks == "":
		return m, errors.New("it does not say what it breaks")
	case m.Invariant == "":
		return m, errors.New("it does not say which invariant has to break")
	case m.Seeds <= 0:
		return m, errors.New("it does not say within how many seeds it has to be found")
	case len(m.Hunks) == 0:
		return m, errors.New("it changes nothing")
	}
	for _, h := range m.Hunks {
		if len(h.Old) == 0 {
			return m, fmt.Errorf("a change of %s does not say where: it has no old lines", h.File)
		}
		if slices.Equal(h.Old, h.New) {
			return m, fmt.Errorf("a change of %s changes nothing", h.File)
		}
	}
	return m, nil
}

// head reads a line above the changes.
func (m *mutant) head(line string) error {
	key, value, _ := strings.Cut(line, ": ")
	switch key {
	case "breaks":
		m.Breaks = value
	case "invariant":
		m.Invariant = value
	case "seeds":
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("seeds: %q is no number", value)
		}
		m.Seeds = n
	default:
		return fmt.Errorf("%q is none of breaks, invariant and seeds", key)
	}
	return nil
}

// add reads a line of a change, with the empty lines before it.
func (h *hunk) add(blank int, line string) error {
	for range blank {
		h.Old, h.New = append(h.Old, ""), append(h.New, "")
	}
	switch line[0] {
	case ' ':
		h.Old, h.New = append(h.Old, line[1:]), append(h.New, line[1:])
	case '-':
		h.Old = append(h.Old, line[1:])
	case '+':
		h.New = append(h.New, line[1:])
	default:
		return fmt.Errorf("%q begins with none of space, - and +", line)
	}
	return nil
}

// apply makes the change in the text of its file.
func (h hunk) apply(text string) (string, error) {
	lines := strings.Split(text, "\n")
	at := -1
	for i := 0; i+len(h.Old) <= len(lines); i++ {
		if !slices.Equal(lines[i:i+len(h.Old)], h.Old) {
			continue
		}
		if at >= 0 {
			return "", fmt.Errorf("change %s: the old lines stand there twice, in lines %d and %d: %q", h.File, at+1, i+1, h.Old[0])
		}
		at = i
	}
	if at < 0 {
		return "", fmt.Errorf("change %s: the old lines do not stand there: %q", h.File, strings.Join(h.Old, "\n"))
	}
	return strings.Join(slices.Replace(lines, at, at+len(h.Old), h.New...), "\n"), nil
}
