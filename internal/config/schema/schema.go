// Package schema makes the JSON Schema of sluice.yaml, for completion and checks in editors, and the tables of its
// reference page, docs/config.md. Both come from the Go types of package config: names, bounds, defaults and patterns from
// the fields' tags, descriptions from their comments. Both are committed; a test says when they are not current.
//
// A stand-alone package, so that the Lambdas, which read the config, do not link the schema library. What a schema cannot
// say (references between sections, bounds of durations, TLS) only package config checks.
package schema

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"

	"github.com/invopop/jsonschema"

	"sluice/internal/config"
)

//go:generate go run ./gen

// JSON is the committed schema.
//
//go:embed sluice.schema.json
var JSON []byte

// Generate makes the schema from the types; dir is the source directory of package config, which holds the comments.
func Generate(dir string) ([]byte, error) {
	comments, err := Comments(dir)
	if err != nil {
		return nil, err
	}
	r := &jsonschema.Reflector{
		Anonymous: true, ExpandedStruct: true, FieldNameTag: "yaml", RequiredFromJSONSchemaTags: true,
		LookupComment: func(t reflect.Type, field string) string {
			if field == "" {
				return comments[t.Name()]
			}
			return comments[t.Name()+"."+field]
		},
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[config.Duration]():
				return &jsonschema.Schema{Type: "string", Pattern: `^[0-9.]+(ns|us|µs|ms|s|m|h)([0-9.]+(ns|us|µs|ms|s|m|h))*$`}
			case reflect.TypeFor[config.Secret]():
				return &jsonschema.Schema{Type: "string"}
			}
			return nil
		},
	}
	s := r.Reflect(config.Config{})
	s.Title = "sluice.yaml"
	if err := complete(s, s, config.Root()); err != nil {
		return nil, err
	}
	broker := s.Definitions["Broker"]
	for _, name := range []string{"url", "url_env", "url_secret", "url_parameter"} {
		broker.OneOf = append(broker.OneOf, &jsonschema.Schema{Required: []string{name}})
	}
	target := s.Definitions["Target"]
	waiting := []string{"max_wait", "task_seconds", "concurrency"}
	target.DependentRequired = map[string][]string{}
	for i, name := range waiting {
		target.DependentRequired[name] = []string{waiting[(i+1)%3], waiting[(i+2)%3]}
	}
	deploy := s.Definitions["Deploy"]
	deploy.DependentRequired = map[string][]string{"account": {"region"}, "region": {"account"}}
	for _, name := range []string{"DeployAlarms", "DeployNotify"} {
		s.Definitions[name].Not = &jsonschema.Schema{Required: []string{"email", "topic"}}
	}
	s.Definitions["Window"].AnyOf = []*jsonschema.Schema{{Required: []string{"min"}}, {Required: []string{"max"}}}
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("encode schema: %w", err)
	}
	return append(text, '\n'), nil
}

// complete adds to a section's schema what its tags say, and descends into the sections within.
func complete(root, s *jsonschema.Schema, section *config.Section) error {
	for _, f := range section.Fields {
		p, ok := s.Properties.Get(f.Name)
		if !ok {
			return fmt.Errorf("describe field %s of %s: the schema lacks it", f.Name, section.Type)
		}
		if f.Required {
			s.Required = append(s.Required, f.Name)
		}
		value := p
		switch f.Kind {
		case config.Count, config.Number:
			p.Minimum, p.Maximum = json.Number(f.Min), json.Number(f.Max)
		case config.Span:
			p.Description += " From " + f.Min + " to " + f.Max + "."
		case config.TextList, config.CountList, config.MappingList:
			p.MinItems, p.MaxItems = length(f.Min), length(f.Max)
			value = p.Items
		case config.TextByText:
			p.MaxProperties = length(f.Max)
			p.PropertyNames = &jsonschema.Schema{Pattern: f.Pattern.Regexp}
			value = nil
		}
		if f.Pattern != nil && value != nil {
			longest := uint64(f.Pattern.Max)
			value.Pattern, value.MaxLength = f.Pattern.Regexp, &longest
		}
		for _, e := range f.Enum {
			if f.Kind == config.Count {
				p.Enum = append(p.Enum, json.Number(e))
			} else {
				p.Enum = append(p.Enum, e)
			}
		}
		if f.Default != "" {
			p.Default = defaultOf(f)
		}
		if f.Nested != nil {
			if err := complete(root, root.Definitions[f.Nested.Type.Name()], f.Nested); err != nil {
				return err
			}
		}
	}
	return nil
}

func length(s string) *uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return nil // No bound.
	}
	return &n
}

func defaultOf(f config.Field) any {
	switch f.Kind {
	case config.Count, config.Switch:
		return json.RawMessage(f.Default)
	case config.CountList:
		return json.RawMessage("[" + f.Default + "]")
	}
	return f.Default
}
