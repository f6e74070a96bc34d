package lab

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// Fault is something wrong that is planted in a synthesized deployment.
type Fault struct {
	Breaks string // In words.
	By     string // The check that has to find it.
	Says   string // A part of what it has to say.
	In     string // The variant that it is planted in; Basic if empty.
	Plant  Change
}

// By are faults that the check has to find.
func By(check string, faults ...Fault) []Fault {
	for i := range faults {
		faults[i].By = check
	}
	return faults
}

// Broken is a fault: what it breaks, a part of what is said of it, and how it is planted.
func Broken(what, says string, plant Change) Fault {
	return Fault{Breaks: what, Says: says, Plant: plant}
}

// On is the fault in another variant than Basic.
func (f Fault) On(variant string) Fault {
	f.In = variant
	return f
}

// Change makes a change of a deployment. An error is that there is nothing to change.
type Change func(*Deployment) error

// Planted plants each fault and has its check find it. A check that never has to find anything may be blind.
func Planted(t *testing.T, checks []Check, faults []Fault) {
	for _, f := range faults {
		t.Run(f.By+"/"+f.Breaks, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == f.By })
			if i < 0 {
				t.Fatalf("there is no check %q", f.By)
			}
			variant := f.In
			if variant == "" {
				variant = Basic
			}
			sound, err := Synth(variant)
			if err != nil {
				t.Fatal(err)
			}
			d := sound.clone()
			if err := f.Plant(d); err != nil {
				t.Fatalf("plant it: %v", err)
			}
			r := &Recorder{}
			checks[i].Run(r, d)
			if !slices.ContainsFunc(r.Found, func(s string) bool { return strings.Contains(s, f.Says) }) {
				t.Errorf("it had to be found with the words %q, and found was:\n%s", f.Says, strings.Join(r.Found, "\n"))
			}
		})
	}
	for _, c := range checks {
		if !slices.ContainsFunc(faults, func(f Fault) bool { return f.By == c.Name }) {
			t.Errorf("no fault is planted for the check %q", c.Name)
		}
	}
}

func (d *Deployment) clone() *Deployment {
	out := *d
	given := *d.Config
	out.Config, out.Stacks = &given, nil
	for _, s := range d.Stacks {
		copied := *s
		copied.Assets = maps.Clone(s.Assets)
		out.Stacks = append(out.Stacks, &copied)
	}
	out.Sluice = out.Stacks[len(out.Stacks)-1]
	return &out
}

// Set sets a value in the first resource that the selector names, TYPE or TYPE/PART OF THE ID. The path has dots; a
// number is an index, and "-" stands for a new item at the end of a list. A func(*Deployment) any is called for the
// value.
func Set(selector, path string, value any) Change {
	return func(d *Deployment) error {
		return edit(selector, path, func(any) (any, error) { return d.value(value), nil })(d)
	}
}

func (d *Deployment) value(v any) any {
	if f, ok := v.(func(*Deployment) any); ok {
		return f(d)
	}
	return v
}

// Cut removes what is at the path: a property, or an item of a list.
func Cut(selector, path string) Change { return edit(selector, path, nil) }

// Reword replaces a text within the text, or the JSON, that is at the path.
func Reword(selector, path, from, to string) Change {
	return edit(selector, path, func(was any) (any, error) {
		if text, ok := was.(string); ok && strings.Contains(text, from) {
			return strings.ReplaceAll(text, from, to), nil
		}
		data, err := json.Marshal(was)
		if err != nil || !bytes.Contains(data, []byte(from)) {
			return nil, fmt.Errorf("%s has no %q there: %s", selector, from, data)
		}
		var is any
		err = json.Unmarshal(bytes.ReplaceAll(data, []byte(from), []byte(to)), &is)
		return is, err
	})
}

// Add adds a resource.
func Add(id, kind string, properties any) Change {
	return func(d *Deployment) error {
		return d.Sluice.change(func(file map[string]any) error {
			file["Resources"].(map[string]any)[id] = map[string]any{"Type": kind, "Properties": properties}
			return nil
		})
	}
}

// Remove removes the first resource that the selector names.
func Remove(selector string) Change {
	return func(d *Deployment) error {
		return d.within(selector, func(resources map[string]any, id string) error {
			delete(resources, id)
			return nil
		})
	}
}

// Output changes the value of an output; nil removes it.
func Output(id string, value any) Change {
	return func(d *Deployment) error {
		return d.Sluice.change(func(file map[string]any) error {
			outputs := file["Outputs"].(map[string]any)
			if outputs[id] == nil {
				return fmt.Errorf("there is no output %s", id)
			}
			outputs[id] = map[string]any{"Value": d.value(value)}
			if value == nil {
				delete(outputs, id)
			}
			return nil
		})
	}
}

// All makes several changes.
func All(changes ...Change) Change {
	return func(d *Deployment) error {
		for _, c := range changes {
			if err := c(d); err != nil {
				return err
			}
		}
		return nil
	}
}

// edit changes the value at the path; without to it is removed.
func edit(selector, path string, to func(was any) (any, error)) Change {
	return func(d *Deployment) error {
		return d.within(selector, func(resources map[string]any, id string) error {
			resource := resources[id].(map[string]any)
			changed, err := at(resource["Properties"], strings.Split(path, "."), to)
			if err != nil {
				return fmt.Errorf("%s: %w", id, err)
			}
			resource["Properties"] = changed
			return nil
		})
	}
}

// at returns the value with the change made in it.
func at(value any, path []string, to func(any) (any, error)) (any, error) {
	if len(path) == 0 {
		return to(value)
	}
	step := path[0]
	remove := len(path) == 1 && to == nil
	switch v := value.(type) {
	case map[string]any:
		was, ok := v[step]
		switch {
		case !ok && (remove || len(path) > 1):
			return nil, fmt.Errorf("there is no %s", strings.Join(path, "."))
		case remove:
			delete(v, step)
			return v, nil
		}
		is, err := at(was, path[1:], to)
		v[step] = is
		return v, err
	case []any:
		i, err := strconv.Atoi(step)
		if step == "-" {
			i, v, err = len(v), append(v, nil), nil
		}
		switch {
		case err != nil || i >= len(v):
			return nil, fmt.Errorf("there is no item %s of %d", step, len(v))
		case remove:
			return slices.Delete(v, i, i+1), nil
		}
		v[i], err = at(v[i], path[1:], to)
		return v, err
	case nil:
		if to != nil && len(path) == 1 {
			is, err := to(nil)
			return map[string]any{step: is}, err
		}
	}
	return nil, fmt.Errorf("nothing is within %T at %s", value, step)
}

// within finds the resource that the selector names, and has its stack's template changed.
func (d *Deployment) within(selector string, f func(resources map[string]any, id string) error) error {
	kind, part, _ := strings.Cut(selector, "/")
	for _, s := range d.Stacks {
		for _, r := range s.Of(kind) {
			if strings.Contains(r.ID, part) {
				return s.change(func(file map[string]any) error { return f(file["Resources"].(map[string]any), r.ID) })
			}
		}
	}
	return fmt.Errorf("there is no %s", selector)
}

// change changes the text of the template. The resources are then in the order of their ids.
func (s *Stack) change(f func(file map[string]any) error) error {
	var file map[string]any
	if err := json.Unmarshal(s.Text, &file); err != nil {
		return err
	}
	if err := f(file); err != nil {
		return err
	}
	text, err := json.Marshal(file)
	if err != nil {
		return err
	}
	return s.parse(text)
}
