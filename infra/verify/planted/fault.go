package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"sluice/stepfunctions"
)

// fault is one planted fault.
type fault struct {
	Name       string // The name of its file, without its ending.
	Breaks     string // What the fault breaks, in words.
	By         string // The check that has to find it.
	Says       string // What it has to say, as a part of it.
	Variant    string // The configuration that shows it; the basic one if empty.
	Bootstraps string // In which way a bootstrap is spoilt; empty if none is.
	Hunks      []hunk
}

// hunk is one exact textual change. Its old lines have to stand in the file exactly once.
type hunk struct {
	File     string // Its path from the project's root, with slashes; sluice.yaml is the variant's.
	Old, New []string
}

// configFile is what faults call the configuration of their variant, and machineFile the state machine.
const (
	configFile  = "sluice.yaml"
	machineFile = "stepfunctions/scalein.asl.json"
)

// load reads all faults of a directory, in the order of their names.
func load(dir fs.FS) ([]fault, error) {
	names, err := fs.Glob(dir, "*.diff")
	if err != nil {
		return nil, err
	}
	var all []fault
	var errs []error
	for _, name := range names {
		text, err := fs.ReadFile(dir, name)
		if err != nil {
			return nil, err
		}
		f, err := parse(string(text))
		if err != nil {
			errs = append(errs, fmt.Errorf("read fault %s: %w", name, err))
			continue
		}
		f.Name = strings.TrimSuffix(path.Base(name), ".diff")
		all = append(all, f)
	}
	if len(names) == 0 {
		errs = append(errs, errors.New("read faults: there are none"))
	}
	return all, errors.Join(errs...)
}

// parse reads one fault: lines "breaks: TEXT", "by: CHECK", "says: TEXT" and, where they are needed, "variant: NAME" and
// "bootstraps: WAY"; and then, as in a unified diff without its numbers, for each file a line "--- PATH" and for each change in
// it a line "@@" and the lines as they are (" "), were ("-") and will be ("+").
func parse(text string) (fault, error) {
	var f fault
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
			f.Hunks = append(f.Hunks, hunk{File: file})
			inside = true
		case inside:
			err = f.Hunks[len(f.Hunks)-1].add(blank, line)
		case file == "":
			err = f.head(line)
		default:
			err = fmt.Errorf("%q stands in no change: is its @@ missing?", line)
		}
		blank = 0
		if err != nil {
			return f, fmt.Errorf("line %d: %w", i+1, err)
		}
	}
	switch {
	case f.Breaks == "" || f.By == "" || f.Says == "":
		return f, errors.New("it does not say what it breaks, by which check that has to be found, and what this says")
	case len(f.Hunks) == 0 && f.Bootstraps == "":
		return f, errors.New("it changes nothing")
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

// head reads a line above the changes.
func (f *fault) head(line string) error {
	key, value, _ := strings.Cut(line, ": ")
	field, ok := map[string]*string{
		"breaks": &f.Breaks, "by": &f.By, "says": &f.Says, "variant": &f.Variant, "bootstraps": &f.Bootstraps,
	}[key]
	if !ok {
		return fmt.Errorf("%q is none of breaks, by, says, variant and bootstraps", line)
	}
	*field = value
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

// plant makes the deployment with the fault in it.
func (l *lab) plant(ctx context.Context, f fault) (deployment, error) {
	d, err := l.sound(f.Variant)
	if err != nil {
		return d, err
	}
	// What takes long looks only where it has to find something.
	d.name, d.rules, d.lint, d.twice = f.Name, f.By == "default rules", f.By == "cfn-lint", f.By == twice
	changed := map[string]string{configFile: d.config}
	for _, h := range f.Hunks {
		text, ok := changed[h.File]
		if !ok {
			data, err := os.ReadFile(filepath.Join(l.root, filepath.FromSlash(h.File)))
			if err != nil {
				return d, err
			}
			text = string(data)
		}
		if changed[h.File], err = h.apply(text); err != nil {
			return d, err
		}
	}
	d.config = changed[configFile]
	delete(changed, configFile)
	// What is planted in the machine is then the given one: it is not to be found by comparing the two.
	if text, ok := changed[machineFile]; ok {
		d.definition = text
	}
	if len(changed) > 0 {
		if d.overlay, err = l.overlay(f.Name, changed); err != nil {
			return d, err
		}
	}
	if f.Bootstraps != "" {
		d.given, d.bootstraps = d.bootstraps, filepath.Join(l.dir, f.Name, "bootstraps")
		return d, l.spoil(ctx, d.bootstraps, f.Bootstraps)
	}
	return d, nil
}

// overlay writes files as they are with the fault, and the file that tells the compiler to read them in the place of the project's.
func (l *lab) overlay(name string, changed map[string]string) (string, error) {
	dir := filepath.Join(l.dir, name, "overlay")
	replaced := map[string]string{}
	for file, text := range changed {
		to := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		replaced[filepath.Join(l.root, filepath.FromSlash(file))] = to
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return "", err
		}
		if err := os.WriteFile(to, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	list, err := json.Marshal(map[string]any{"Replace": replaced})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, list, 0o644)
}

// sound is a variant as a deployment.
func (l *lab) sound(name string) (deployment, error) {
	name = cmp.Or(name, basic)
	i := slices.IndexFunc(variants(), func(v variant) bool { return v.name == name })
	if i < 0 {
		return deployment{}, fmt.Errorf("there is no variant %q", name)
	}
	v := variants()[i]
	d := deployment{
		name: v.name, config: v.config, files: v.files, urls: v.urls, secrets: v.secrets,
		bootstraps: l.bootstrapsDir(), definition: stepfunctions.ScaleIn, rules: true, lint: true, twice: v.twice,
	}
	if v.ships {
		shop, err := os.ReadFile(filepath.Join(l.root, "examples", "shop", "sluice.yaml"))
		if err != nil {
			return d, err
		}
		d.config, d.bootstraps = string(shop), l.shippedDir()
	}
	return d, nil
}
