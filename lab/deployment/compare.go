package deployment

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sluice/internal/config"
)

// Finding is one thing that a function's role allows and ought not to, or the other way round.
type Finding struct {
	Function string
	Action   string // Empty if it is about the role as a whole.
	Text     string
}

// String is one line for people.
func (f Finding) String() string {
	if f.Action == "" {
		return f.Function + ": " + f.Text
	}
	return f.Function + ": " + f.Action + ": " + f.Text
}

// What IAM allows the inline policies of a role to have, in characters without white space, and from when on it is fair to name services
// together: what a template says beside these needs has to fit in, too.
const (
	mostCharacters = 10_240
	collapseFrom   = 7_500
)

// Compare holds the roles of the functions in a synthesized template to what their code calls under the configuration. calls
// is what Calls returned. It errs if the template cannot be read, or if a call is not known.
func Compare(template []byte, calls map[string][]Call, c *config.Config) ([]Finding, error) {
	found, err := roles(template, deployed(c))
	if err != nil {
		return nil, err
	}
	var findings []Finding
	for _, function := range deployed(c) {
		of, err := compare(function, found[function], calls[function], c)
		if err != nil {
			return nil, err
		}
		findings = append(findings, of...)
	}
	return findings, nil
}

func compare(function string, r role, calls []Call, c *config.Config) ([]Finding, error) {
	var findings []Finding
	add := func(action, format string, args ...any) {
		findings = append(findings, Finding{function, action, fmt.Sprintf(format, args...)})
	}
	for _, s := range r.strange {
		add("", "%s", s)
	}
	if r.size > mostCharacters {
		add("", "its inline policies may have %d characters, more than IAM's %d", r.size, mostCharacters)
	}
	// The narrowest that fits; but a wider one that the template has, and may have, is not held against it.
	var best []Finding
	for w := exact; w <= everything; w++ {
		wanted, err := needs(function, calls, c, r.near, w)
		if err != nil {
			return nil, err
		}
		differences := r.differences(function, append(wanted, r.platform()...), c)
		if w == exact || len(differences) < len(best) {
			best = differences
		}
		if length(wanted) < collapseFrom {
			break
		}
	}
	return append(findings, best...), nil
}

// platform is what Lambda needs of the role by itself.
func (r role) platform() (out []Need) {
	add := func(actions []string, resource, why string) {
		for _, a := range actions {
			out = append(out, Need{a, []string{resource}, nil, why})
		}
	}
	// Without a resource of its own nothing is to be granted, and what is granted is one too many.
	if r.log != "" {
		add(platform.logs, r.log, "its log lines")
	}
	if r.deadLetters != "" {
		add(platform.deadLetters, r.deadLetters, "asynchronous invocations that failed for good")
	}
	if r.traced {
		add(platform.tracing, "*", "active tracing")
	}
	if r.inVPC {
		add(platform.network, "*", "its network interfaces in the VPC")
	}
	return out
}

// differences compares what is granted with what is needed.
func (r role) differences(function string, wanted []Need, c *config.Config) (findings []Finding) {
	granted := map[string][]grant{}
	for _, g := range r.grants {
		granted[g.action] = append(granted[g.action], g)
	}
	for _, need := range wanted {
		add := func(format string, args ...any) {
			findings = append(findings, Finding{function, need.Action, fmt.Sprintf(format, args...)})
		}
		grants := granted[need.Action]
		delete(granted, need.Action)
		if len(grants) == 0 {
			add("is missing, though needed: %s", need.Why)
			continue
		}
		var resources []string
		for _, g := range grants {
			resources = append(resources, canonicalAll(g.resources, c)...)
			if got, want := conditionText(g.only, c), conditionText(need.Only, c); got != want {
				add("is granted %s, but ought to be %s", got, want)
			}
		}
		for _, resource := range need.Resources {
			if !slices.ContainsFunc(resources, func(pattern string) bool { return matches(pattern, resource) }) {
				add("is missing on %s, though needed: %s", resource, need.Why)
			}
		}
		for _, resource := range set(resources) {
			if !slices.Contains(need.Resources, resource) {
				add("is granted on %s, which is more than %s", resource, atMost(need.Resources))
			}
		}
	}
	for _, a := range slices.Sorted(maps.Keys(granted)) {
		text := "is granted, but nothing calls it"
		if strings.ContainsAny(a, "*?") {
			text = "is granted, which is more than one action: name those that are needed"
		}
		findings = append(findings, Finding{function, a, text})
	}
	return findings
}

func conditionText(only []Only, c *config.Config) string {
	if len(only) == 0 {
		return "without a condition"
	}
	var out []string
	for _, o := range only {
		out = append(out, fmt.Sprintf("%s %s %s", o.Operator, o.Key, strings.Join(canonicalAll(o.Values, c), " or ")))
	}
	return "if " + strings.Join(set(out), " and ")
}

// atMost lists the resources, unless they are many.
func atMost(resources []string) string {
	if len(resources) > 5 {
		return fmt.Sprintf("the %d resources needed", len(resources))
	}
	return strings.Join(resources, ", ")
}

// matches says whether a resource of a policy, in which * stands for any characters and ? for any one, covers another.
func matches(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return matches(pattern[1:], s) || s != "" && matches(pattern, s[1:])
	case s == "" || pattern[0] != s[0] && (pattern[0] != '?' || s[0] == '*'):
		return false
	}
	return matches(pattern[1:], s[1:])
}
