package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sluice/lab/mutants"
	"sluice/stepfunctions"
)

// fault is one planted fault.
type fault struct {
	Name       string         // The name of its file, without its ending.
	Breaks     string         // What the fault breaks, in words.
	By         string         // The check that has to find it.
	Says       string         // What it has to say, as a part of it.
	Variant    string         // The configuration that shows it; the basic one if empty.
	Bootstraps string         // In which way a bootstrap is spoilt; empty if none is.
	Hunks      []planted.Hunk // Their files are paths from the project's root; sluice.yaml is the variant's.
}

// configFile is what faults call the configuration of their variant, and machineFile the state machine.
const (
	configFile  = "sluice.yaml"
	machineFile = "stepfunctions/scalein.asl.json"
)

// load reads all faults of a directory, in the order of their names.
func load(dir fs.FS) ([]fault, error) {
	files, err := planted.Load(dir, "breaks", "by", "says", "variant", "bootstraps")
	if err != nil {
		return nil, err
	}
	var all []fault
	var errs []error
	for _, p := range files {
		f := fault{
			Name: p.Name, Breaks: p.Head["breaks"], By: p.Head["by"], Says: p.Head["says"],
			Variant: p.Head["variant"], Bootstraps: p.Head["bootstraps"], Hunks: p.Hunks,
		}
		switch {
		case f.Breaks == "" || f.By == "" || f.Says == "":
			errs = append(errs, fmt.Errorf("read fault %s: it does not say what it breaks, by which check that has to be found, and what this says",
				f.Name))
		case len(f.Hunks) == 0 && f.Bootstraps == "":
			errs = append(errs, fmt.Errorf("read fault %s: it changes nothing", f.Name))
		}
		all = append(all, f)
	}
	return all, errors.Join(errs...)
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
		if changed[h.File], err = h.Apply(text); err != nil {
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
