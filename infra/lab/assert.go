package lab

import (
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-cdk-go/awscdk/v2/assertions"
	"github.com/aws/jsii-runtime-go"

	"sluice/lab/cloud/cfn/template"
)

// Check holds one matter of a deployment to what was promised of it.
type Check struct {
	Name string
	Run  func(T, *Deployment)
}

// Props are properties of a resource as package assertions compares them: literal ones, or matchers.
type Props = map[string]any

// None is the matcher of a property that is not there, and Some of one that is.
func None() assertions.Matcher { return assertions.Match_Absent() }

// Some is the matcher of any value.
func Some() assertions.Matcher { return assertions.Match_AnyValue() }

// Every holds all resources of a type to each of the properties.
func (s *Stack) Every(t T, kind string, p Props) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(p)) {
		if len(s.Of(kind)) > 0 {
			s.assert(t, name, func(a assertions.Template) { a.AllResourcesProperties(&kind, Props{name: p[name]}) })
		}
	}
}

// Has wants a resource of a type with the properties.
func (s *Stack) Has(t T, kind string, p Props) {
	t.Helper()
	s.assert(t, kind, func(a assertions.Template) { a.HasResourceProperties(&kind, p) })
}

// Counts wants so many resources of a type.
func (s *Stack) Counts(t T, n int, kinds ...string) {
	t.Helper()
	for _, kind := range kinds {
		s.assert(t, kind, func(a assertions.Template) { a.ResourceCountIs(&kind, jsii.Number(n)) })
	}
}

// assert runs an assertion of package assertions, which panics where it fails.
func (s *Stack) assert(t T, what string, f func(assertions.Template)) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Errorf("%s: %v", what, p)
		}
	}()
	if s.asserted == nil {
		s.asserted = assertions.Template_FromString(jsii.String(string(s.Text)), nil)
	}
	f(s.asserted)
}

// Want finds fault with a property of a resource that is not the one wanted. Numbers are compared as JSON writes them.
func Want(t T, r *template.Resource, want any, path ...any) {
	t.Helper()
	if got := r.At(path...); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v is %v, want %v", r.ID, path, got, want)
	}
}

// Function returns the Lambda function with the tag sluice:function; nil if there is none.
func (d *Deployment) Function(name string) *template.Resource {
	return d.Sluice.Tagged("AWS::Lambda::Function", "sluice:function", name)
}

// Each calls f for every resource of the types in every stack.
func (d *Deployment) Each(f func(*Stack, *template.Resource), types ...string) {
	for _, s := range d.Stacks {
		for _, r := range s.Of(types...) {
			f(s, r)
		}
	}
}
