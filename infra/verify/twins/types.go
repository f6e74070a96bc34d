package twins

import (
	"bytes"
	"fmt"
	"strings"
)

// name is how the package e refers to a type, which is then needed.
func (g *generator) name(e *emitted, fqn string) string {
	g.need(fqn)
	p, name := g.of[fqn], g.goName(fqn)
	if p == nil {
		return "interface{}" // emit reports the type that is missing.
	}
	if p.path == e.path {
		return name
	}
	e.use(p.path)
	return p.name + "." + name
}

func (g *generator) goName(fqn string) string {
	t := g.types[fqn]
	if t == nil {
		return ""
	}
	names := []string{t.Name}
	for parent := g.types[strings.TrimSuffix(fqn, "."+t.Name)]; parent != nil; {
		names = append([]string{parent.Name}, names...)
		fqn = parent.FQN
		parent = g.types[strings.TrimSuffix(fqn, "."+parent.Name)]
	}
	return strings.Join(names, "_")
}

// goType is the Go type for a reference: pointers to everything but objects, enums and any.
func (g *generator) goType(e *emitted, r typeRef) string {
	switch {
	case r.Primitive != "":
		switch r.Primitive {
		case "any":
			return "interface{}"
		case "number":
			return "*float64"
		case "boolean":
			return "*bool"
		case "json":
			return "*map[string]interface{}"
		case "date":
			e.use("time")
			return "*time.Time"
		}
		return "*" + r.Primitive
	case r.Collection != nil && r.Collection.Kind == "array":
		return "*[]" + g.goType(e, r.Collection.ElementType)
	case r.Collection != nil:
		return "*map[string]" + g.goType(e, r.Collection.ElementType)
	case r.Intersection != nil:
		var parts []string
		for _, part := range r.Intersection.Types {
			parts = append(parts, g.name(e, part.FQN))
		}
		return "interface{" + strings.Join(parts, ";") + "}"
	case r.FQN != "":
		if t := g.types[r.FQN]; t != nil && t.Datatype {
			return "*" + g.name(e, r.FQN)
		}
		return g.name(e, r.FQN)
	}
	return "interface{}" // a union
}

func (g *generator) enum(e *emitted, t *typeSpec) {
	name := g.goName(t.FQN)
	fmt.Fprintf(&e.types, "\ntype %s string\n\nconst (\n", name)
	var members []string
	for _, m := range t.Members {
		fmt.Fprintf(&e.types, "%s_%s %s = %q\n", name, m.Name, name, m.Name)
		members = append(members, fmt.Sprintf("%q", m.Name))
	}
	e.types.WriteString(")\n")
	e.use(runtimePath)
	fmt.Fprintf(&e.init, "runtime.RegisterEnum[%s](%q, %s)\n", name, t.FQN, strings.Join(members, ", "))
}

// structType has the fields that the code names and those that are required, the inherited ones among them.
func (g *generator) structType(e *emitted, t *typeSpec) {
	name := g.goName(t.FQN)
	fmt.Fprintf(&e.types, "\ntype %s struct {\n", name)
	var checks bytes.Buffer
	for _, p := range g.properties(t) {
		field := pascal(p.Name)
		if p.Optional && !g.uses.names[field] {
			continue
		}
		presence := "required"
		if p.Optional {
			presence = "optional"
		}
		fmt.Fprintf(&e.types, "%s %s `field:%q json:%q`\n", field, g.goType(e, p.Type), presence, p.Name)
		if check := g.check(e, p.Type); check != "" {
			fmt.Fprintf(&checks, "%q: %s,\n", field, check)
		}
	}
	e.types.WriteString("}\n")
	e.use(runtimePath)
	fmt.Fprintf(&e.init, "runtime.RegisterStruct[%s](map[string]runtime.Check{\n%s})\n", name, checks.Bytes())
}

// check is the code for what the real Go module checks of a value when it runs, as Go's types cannot tell: what a union is of.
func (g *generator) check(e *emitted, r typeRef) string {
	switch {
	case r.Collection != nil:
		if items := g.check(e, r.Collection.ElementType); items != "" {
			return "runtime.Each(" + items + ")"
		}
	case r.Union != nil:
		var parts []string
		for _, part := range r.Union.Types {
			inner := g.check(e, part)
			if inner == "" {
				inner = "nil"
			}
			parts = append(parts, fmt.Sprintf("runtime.Is[%s](%s)", g.goType(e, part), inner))
		}
		return "runtime.OneOf(" + strings.Join(parts, ", ") + ")"
	}
	return ""
}

// object makes a class or an interface: an interface in Go, and a struct behind it that records.
func (g *generator) object(e *emitted, t *typeSpec) {
	name := g.goName(t.FQN)
	twin := "twin_" + name
	e.use(runtimePath)
	fmt.Fprintf(&e.types, "\ntype %s interface {\n", name)
	for _, base := range t.bases() {
		e.types.WriteString(g.name(e, base) + "\n")
	}
	e.types.WriteString(marker(g.of[t.FQN], name) + "\nTwinID() int\n")
	var body bytes.Buffer
	for _, ancestor := range g.ancestors(t) {
		fmt.Fprintf(&body, "func (*%s) %s {}\n", twin, marker(g.of[ancestor], g.goName(ancestor)))
	}
	own := func(overrides string) bool { return overrides == "" }
	for _, m := range g.methods(t) {
		if m.Static || !g.uses.names[pascal(m.Name)] {
			continue
		}
		signature := pascal(m.Name) + g.signature(e, m)
		if own(m.Overrides) {
			e.types.WriteString(signature + "\n")
		}
		fmt.Fprintf(&body, "func (t *%s) %s {\n%s}\n", twin, signature, g.call(e, m, "Invoke", "t"))
	}
	for _, p := range g.properties(t) {
		if p.Static {
			continue
		}
		goType := ""
		if g.uses.names[pascal(p.Name)] {
			goType = g.goType(e, p.Type)
			fmt.Fprintf(&body, "func (t *%s) %s() %s { return runtime.Get[%s](t, %q) }\n",
				twin, pascal(p.Name), goType, goType, p.Name)
			if own(p.Overrides) {
				fmt.Fprintf(&e.types, "%s() %s\n", pascal(p.Name), goType)
			}
		}
		if setter := "Set" + pascal(p.Name); !p.Immutable && g.uses.names[setter] {
			goType = g.goType(e, p.Type)
			fmt.Fprintf(&body, "func (t *%s) %s(val %s) { runtime.Set(t, %q, val) }\n", twin, setter, goType, p.Name)
			if own(p.Overrides) {
				fmt.Fprintf(&e.types, "%s(val %s)\n", setter, goType)
			}
		}
	}
	fmt.Fprintf(&e.types, "}\n\ntype %s struct{ *runtime.Object }\n\n%s", twin, body.Bytes())
	fmt.Fprintf(&e.init, "runtime.RegisterObject[%s](%q, func(o *runtime.Object) any { return &%s{o} })\n", name, t.FQN, twin)
	g.statics(e, t, name)
}

// marker is the method that keeps the types apart.
func marker(p *goPackage, name string) string { return fmt.Sprintf("Is_%s_%s()", p.name, name) }

func (g *generator) statics(e *emitted, t *typeSpec, name string) {
	n := g.needed[t.FQN]
	if n.constructor && t.Initializer != nil && !t.Abstract {
		m := *t.Initializer
		fmt.Fprintf(&e.types, "func New%s%s %s {\nreturn runtime.Create[%s](%q%s)\n}\n",
			name, g.signature(e, &m), name, name, t.FQN, arguments(&m))
	}
	for _, m := range g.methods(t) {
		if m.Static && n.statics[pascal(m.Name)] {
			fmt.Fprintf(&e.types, "func %s_%s%s {\n%s}\n", name, pascal(m.Name), g.signature(e, m),
				g.call(e, m, "StaticInvoke", fmt.Sprintf("%q", t.FQN)))
		}
	}
	for _, p := range g.properties(t) {
		if p.Static && n.statics[pascal(p.Name)] {
			goType := g.goType(e, p.Type)
			fmt.Fprintf(&e.types, "func %s_%s() %s { return runtime.StaticGet[%s](%q, %q) }\n",
				name, pascal(p.Name), goType, goType, t.FQN, p.Name)
		}
	}
}

func (g *generator) signature(e *emitted, m *method) string {
	var params []string
	for _, p := range m.Parameters {
		variadic := ""
		if p.Variadic {
			variadic = "..."
		}
		params = append(params, parameterName(p)+" "+variadic+g.goType(e, p.Type))
	}
	returns := ""
	if m.Returns != nil {
		returns = " " + g.goType(e, m.Returns.Type)
	}
	return "(" + strings.Join(params, ", ") + ")" + returns
}

func (g *generator) call(e *emitted, m *method, function, on string) string {
	if m.Returns == nil {
		return fmt.Sprintf("runtime.%sVoid(%s, %q%s)\n", function, on, m.Name, arguments(m))
	}
	return fmt.Sprintf("return runtime.%s[%s](%s, %q%s)\n", function, g.goType(e, m.Returns.Type), on, m.Name, arguments(m))
}

// arguments passes the parameters on with their names, where ? marks the optional ones and ... the variadic one.
func arguments(m *method) string {
	var names, values []string
	for _, p := range m.Parameters {
		name := p.Name
		switch {
		case p.Variadic:
			name += "..."
		case p.Optional:
			name += "?"
		}
		names, values = append(names, name), append(values, parameterName(p))
	}
	return fmt.Sprintf(", %q", strings.Join(names, ",")) + strings.Join(append([]string{""}, values...), ", ")
}

// parameterName keeps clear of Go's keywords and of the packages.
func parameterName(p *parameter) string { return p.Name + "_" }
