// Package planted reads faults that are planted in the project's own files, to see that the checks find them.
//
// A fault is a file NAME.diff: lines "field: TEXT", and then, as in a unified diff without its numbers, for each file a line "--- PATH"
// and for each change in it a line "@@" and the lines as they are (" "), were ("-") and will be ("+"). A change finds its place by its
// lines alone, which have to stand in the file exactly once, so that a fault says so when the code has moved away from under it.
package planted

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// Fault is one planted fault.
type Fault struct {
	Name  string            // The name of its file, without its ending.
	Head  map[string]string // What stands above its changes, by field.
	Hunks []Hunk
}

// Hunk is one exact textual change.
type Hunk struct {
	File     string // Its path as the fault has it, with slashes.
	Old, New []string
}

// Load reads all faults of a directory, in the order of their names. They may have the given fields and no others. It goes on past
// a fault that cannot be read, and names each in its error.
func Load(dir fs.FS, fields ...string) ([]Fault, error) {
	names, err := fs.Glob(dir, "*.diff")
	if err != nil {
		return nil, err
	}
	var all []Fault
	var errs []error
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		f, err := Parse(string(text), fields...)
		if err != nil {
			errs = append(errs, fmt.Errorf("read planted fault %s: %w", name, err))
			continue
		}
		f.Name = strings.TrimSuffix(path.Base(name), ".diff")
		all = append(all, f)
	}
	if len(names) == 0 {
		errs = append(errs, errors.New("read planted faults: there are none"))
	}
	return all, errors.Join(errs...)
}

// Parse reads one fault.
func Parse(text string, fields ...string) (Fault, error) {
	f := Fault{Head: map[string]string{}}
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
			f.Hunks = append(f.Hunks, Hunk{File: file})
			inside = true
		case inside:
			err = f.Hunks[len(f.Hunks)-1].add(blank, line)
		case file == "":
			key, value, _ := strings.Cut(line, ": ")
			if !slices.Contains(fields, key) {
				err = fmt.Errorf("%q is none of %s", line, strings.Join(fields, ", "))
			}
			f.Head[key] = value
		default:
			err = fmt.Errorf("%q stands in no change: is its @@ missing?", line)
		}
		blank = 0
		if err != nil {
			return f, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	for _, h := range f.Hunks {
		if len(h.Old) == 0 {
			return f, fmt.Errorf("a change of %s does not say where: it has no old lines", h.File)
		}
		if slices.Equal(h.Old, h.New) {
			return f, fmt.Errorf("a change of %s changes nothing", h.File)
		}
	}
	return f, nil
}

// add reads a line of a change, with the empty lines before it.
func (h *Hunk) add(blank int, line string) error {
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

// Apply makes the change in the text of its file.
func (h Hunk) Apply(text string) (string, error) {
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
