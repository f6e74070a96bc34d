package twins

import (
	"maps"
	"slices"
)

// bases are the types whose methods a type has by embedding them.
func (t *typeSpec) bases() []string {
	if t.Base == "" {
		return t.Interfaces
	}
	return append([]string{t.Base}, t.Interfaces...)
}

// ancestors are the type itself and all that it is, too.
func (g *generator) ancestors(t *typeSpec) []string {
	seen := map[string]bool{}
	var walk func(fqn string)
	walk = func(fqn string) {
		if seen[fqn] || g.types[fqn] == nil {
			return
		}
		seen[fqn] = true
		for _, base := range g.types[fqn].bases() {
			walk(base)
		}
	}
	walk(t.FQN)
	return slices.Sorted(maps.Keys(seen))
}

// methods are those of a type and its ancestors, each in its most special form.
func (g *generator) methods(t *typeSpec) []*method {
	return inherited(g, t, func(t *typeSpec) []*method { return t.Methods }, func(m *method) string { return m.Name })
}

func (g *generator) properties(t *typeSpec) []*property {
	return inherited(g, t, func(t *typeSpec) []*property { return t.Properties }, func(p *property) string { return p.Name })
}

func inherited[M any](g *generator, t *typeSpec, own func(*typeSpec) []M, name func(M) string) []M {
	members := map[string]M{}
	var walk func(t *typeSpec)
	walk = func(t *typeSpec) {
		for _, m := range own(t) {
			if _, ok := members[name(m)]; !ok {
				members[name(m)] = m
			}
		}
		for _, base := range t.bases() {
			if b := g.types[base]; b != nil {
				walk(b)
			}
		}
	}
	walk(t)
	var list []M
	for _, n := range slices.Sorted(maps.Keys(members)) {
		list = append(list, members[n])
	}
	return list
}
