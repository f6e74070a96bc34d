package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"sluice/lab/mutants"
)

// mutant is one planted fault.
type mutant struct {
	Name      string // The name of its file, without its ending.
	Breaks    string // What the fault breaks, in words.
	Invariant string // Which invariant has to break. Another one that breaks as well proves nothing.
	Seeds     int    // The simulator has to find it within so many seeds; with 0 among the histories that are kept.
	Hunks     []planted.Hunk
}

// load reads all mutants of a directory, in the order of their names.
func load(dir fs.FS) ([]mutant, error) {
	faults, err := planted.Load(dir, "breaks", "invariant", "seeds")
	if err != nil {
		return nil, err
	}
	var all []mutant
	var errs []error
	for _, f := range faults {
		m := mutant{Name: f.Name, Breaks: f.Head["breaks"], Invariant: f.Head["invariant"], Hunks: f.Hunks}
		err = nil
		if f.Head["seeds"] != "kept" {
			m.Seeds, err = strconv.Atoi(f.Head["seeds"])
		}
		switch {
		case m.Breaks == "":
			err = errors.New("it does not say what it breaks")
		case m.Invariant == "":
			err = errors.New("it does not say which invariant has to break")
		case err != nil || m.Seeds <= 0 && f.Head["seeds"] != "kept":
			err = fmt.Errorf("it does not say within how many seeds it has to be found: seeds is %q", f.Head["seeds"])
		case len(m.Hunks) == 0:
			err = errors.New("it changes nothing")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("read mutant %s: %w", m.Name, err))
		}
		all = append(all, m)
	}
	return all, errors.Join(errs...)
}
