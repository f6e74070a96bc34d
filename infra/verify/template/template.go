// Package template holds what the CDK app synthesizes to what Sluice promises of it.
//
// Load reads a cloud assembly (cdk.out): the stacks with their templates, and the files that are uploaded with them. CloudFormation's
// functions are resolved as far as that goes without AWS, into plain texts: what a Ref gives is written ${LogicalId}, an attribute
// ${LogicalId.Arn}, and a Join or Sub of them is the text that it makes. So an ARN can be compared as a text, and a
// reference be found in it.
//
// Each Check looks at one matter and returns findings: the resource, what is wrong, and what to do. Checks are told where the
// template came from (Given), and expect no logical ids: resources are found by their types and by what they refer to.
package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Assembly is what a synthesis wrote.
type Assembly struct {
	Dir    string
	Stacks []*Stack // In the order of their names.
}

// Stack is one stack of an assembly.
type Stack struct {
	Name      string
	Raw       []byte // The template as it is uploaded.
	Resources map[string]*Resource
	Template  map[string]any // The whole template, resolved.
	Assets    map[string]Asset
}

// Resource is one resource of a template. Its properties are resolved.
type Resource struct {
	ID         string
	Type       string
	Properties map[string]any
	DependsOn  []string // The ids that it says to be made after, beside those that it refers to.
	Path       string   // Its path in the construct tree, as CDK notes it; empty if it does not.
}

// Asset is something that is uploaded before the deployment.
type Asset struct {
	Path string // On this machine.
	Zip  bool   // Whether it is a folder that is zipped.
}

// Load reads the assembly in a folder.
func Load(dir string) (*Assembly, error) {
	var manifest struct {
		Artifacts map[string]struct {
			Type        string
			DisplayName string
			Properties  struct {
				TemplateFile string
				StackName    string
			}
		}
	}
	if err := readJSON(filepath.Join(dir, "manifest.json"), &manifest); err != nil {
		return nil, err
	}
	a := &Assembly{Dir: dir}
	for _, id := range slices.Sorted(maps.Keys(manifest.Artifacts)) {
		artifact := manifest.Artifacts[id]
		if artifact.Type != "aws:cloudformation:stack" {
			continue
		}
		s, err := loadStack(dir, artifact.Properties.TemplateFile)
		if err != nil {
			return nil, err
		}
		if s.Name = artifact.Properties.StackName; s.Name == "" {
			s.Name = id
		}
		a.Stacks = append(a.Stacks, s)
	}
	if len(a.Stacks) == 0 {
		return nil, fmt.Errorf("read assembly %s: it has no stack", dir)
	}
	return a, nil
}

func loadStack(dir, file string) (*Stack, error) {
	s := &Stack{Assets: map[string]Asset{}}
	var err error
	if s.Raw, err = os.ReadFile(filepath.Join(dir, file)); err != nil {
		return nil, err
	}
	if err := s.parse(); err != nil {
		return nil, fmt.Errorf("read template %s: %w", file, err)
	}
	var assets struct {
		Files map[string]struct {
			Source       struct{ Path, Packaging string }
			Destinations map[string]struct{ ObjectKey string }
		}
		DockerImages map[string]any
	}
	name := strings.TrimSuffix(file, ".template.json") + ".assets.json"
	if err := readJSON(filepath.Join(dir, name), &assets); err != nil {
		return nil, err
	}
	if len(assets.DockerImages) > 0 {
		return nil, fmt.Errorf("read assets %s: it has an image to build, for which a deployment would need Docker", name)
	}
	for _, f := range assets.Files {
		for _, d := range f.Destinations {
			s.Assets[d.ObjectKey] = Asset{Path: filepath.Join(dir, f.Source.Path), Zip: f.Source.Packaging == "zip"}
		}
	}
	return s, nil
}

// parse reads the template again from Raw.
func (s *Stack) parse() error {
	var raw map[string]any
	if err := json.Unmarshal(s.Raw, &raw); err != nil {
		return err
	}
	s.Template, _ = resolve(raw).(map[string]any)
	resources, ok := s.Template["Resources"].(map[string]any)
	if !ok {
		return errors.New("it has no Resources")
	}
	s.Resources = make(map[string]*Resource, len(resources))
	for id, v := range resources {
		properties, _ := at(v, "Properties").(map[string]any)
		s.Resources[id] = &Resource{
			ID: id, Type: text(at(v, "Type")), Properties: properties,
			DependsOn: texts(at(v, "DependsOn")), Path: text(at(v, "Metadata", "aws:cdk:path")),
		}
	}
	return nil
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w", path, err)
	}
	return nil
}

// of are the resources of a type, in the order of their ids.
func (s *Stack) of(types ...string) (found []*Resource) {
	for _, id := range slices.Sorted(maps.Keys(s.Resources)) {
		if r := s.Resources[id]; slices.Contains(types, r.Type) {
			found = append(found, r)
		}
	}
	return found
}

// at is the property at a path of keys; nil if it is not there.
func (r *Resource) at(path ...string) any { return at(r.Properties, path...) }

// text is the property at a path as a text; empty if it is not there.
func (r *Resource) text(path ...string) string { return text(r.at(path...)) }

// list is the property at a path as a list; a single value is a list of one.
func (r *Resource) list(path ...string) []any { return list(r.at(path...)) }

// number is the property at a path as a number; ok is false if it is not there.
func (r *Resource) number(path ...string) (n float64, ok bool) {
	n, ok = r.at(path...).(float64)
	return n, ok
}

// refer are the resources that a value refers to, anywhere in it, each once and in order. What is no resource of the stack, such as a
// parameter, is left out.
func (s *Stack) refer(v any) (found []*Resource) {
	var ids []string
	walk(v, "", func(_, t string) {
		for _, m := range reference.FindAllStringSubmatch(t, -1) {
			ids = append(ids, m[1])
		}
	})
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		if r := s.Resources[id]; r != nil {
			found = append(found, r)
		}
	}
	return found
}

// after says whether a resource is made only after another one: it refers to it, or to something that does.
func (s *Stack) after(r, other *Resource) bool {
	seen := map[*Resource]bool{}
	var leads func(*Resource) bool
	leads = func(r *Resource) bool {
		if r == nil || seen[r] {
			return false
		}
		seen[r] = true
		return r == other || slices.ContainsFunc(s.refer(r.Properties), leads) ||
			slices.ContainsFunc(r.DependsOn, func(id string) bool { return leads(s.Resources[id]) })
	}
	return leads(r)
}

// target is the one resource of a type that a text is the Ref or an attribute of; nil if it is none.
func (s *Stack) target(t string, types ...string) *Resource {
	m := reference.FindStringSubmatch(t)
	if m == nil || m[0] != t {
		return nil
	}
	if r := s.Resources[m[1]]; r != nil && slices.Contains(types, r.Type) {
		return r
	}
	return nil
}

// walk calls f with every text in v and the path to it, in a fixed order.
func walk(v any, path string, f func(path, text string)) {
	switch v := v.(type) {
	case string:
		f(path, v)
	case []any:
		for i, e := range v {
			walk(e, fmt.Sprintf("%s[%d]", path, i), f)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walk(v[key], strings.TrimPrefix(path+"."+key, "."), f)
		}
	}
}
