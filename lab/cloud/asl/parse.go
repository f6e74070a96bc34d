package asl

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Parse reads a definition. It refuses whatever this package does not support, and what AWS would refuse of the rest: an
// unknown field, a transition to nowhere, a state that cannot be reached. The error joins all findings, each with its
// place.
func Parse(definition []byte) (*Machine, error) {
	r := &reader{}
	if !json.Valid(definition) {
		return nil, errors.New("parse state machine: is not JSON")
	}
	f := r.object("", definition)
	f.text("Comment")
	f.fixed("Version", "1.0")
	f.fixed("QueryLanguage", "JSONPath")
	m := &Machine{timeout: f.seconds("TimeoutSeconds", 1)}
	m.graph = f.graph(false)
	f.done()
	if len(r.errs) > 0 {
		return nil, fmt.Errorf("parse state machine: %w", errors.Join(r.errs...))
	}
	return m, nil
}

// fixed reads a field that may be left out, and that has one supported value.
func (f *fields) fixed(name, want string) {
	if got := f.text(name); got != "" && got != want {
		f.r.refuse(join(f.path, name), "%q is not supported, only %q is", got, want)
	}
}

// graph reads StartAt and States.
func (f *fields) graph(inMap bool) *graph {
	g := &graph{start: f.need("StartAt"), states: map[string]*state{}}
	raw, ok := f.take("States")
	if !ok {
		f.r.refuse(join(f.path, "States"), "is missing")
		return g
	}
	states := f.r.object(join(f.path, "States"), raw)
	for _, name := range states.names() {
		if n := len([]rune(name)); n == 0 || n > 80 {
			f.r.refuse(states.path, "the name %q is not of 1 to 80 characters", name)
		}
		g.states[name] = f.r.object(join(states.path, name), states.raw[name]).state(name, inMap)
	}
	f.r.connect(g, f.path)
	return g
}

// state reads one state.
func (f *fields) state(name string, inMap bool) *state {
	s := &state{name: name, path: f.path, kind: kind(f.need("Type"))}
	f.text("Comment")
	f.fixed("QueryLanguage", "JSONPath")
	switch s.kind {
	case kindTask:
		s.parameters = f.template("Parameters", false)
		s.resultPath = f.jsonPath("ResultPath", field)
		s.task = f.task()
	case kindChoice:
		s.choice = f.choice()
	case kindWait:
		s.wait = f.wait()
	case kindPass:
		s.parameters = f.template("Parameters", false)
		s.resultPath = f.jsonPath("ResultPath", field)
		s.result = f.result()
	case kindMap:
		s.resultPath = f.jsonPath("ResultPath", field)
		if inMap {
			f.r.refuse(f.path, "a Map within a Map is not supported")
			f.raw = nil
			return s
		}
		s.fan = f.fan()
	case kindSucceed:
	case kindFail:
		s.fail = f.fail()
	default:
		f.r.refuse(join(f.path, "Type"), "%q is not supported", s.kind)
		return s // Its fields are of no interest then.
	}
	switch s.kind {
	case kindTask, kindWait, kindPass, kindMap:
		f.leave(s)
	}
	f.done()
	return s
}

// leave reads where a state leads: Next, or End.
func (f *fields) leave(s *state) {
	end := f.has("End") && f.flag("End")
	s.next = f.text("Next")
	if end == (s.next != "") {
		f.r.refuse(f.path, "needs either Next or End")
	}
}

func (f *fields) task() *task {
	t := &task{resource: f.need("Resource"), selector: f.template("ResultSelector", false)}
	if t.resource != "" && !isFunction(t.resource) {
		f.r.refuse(join(f.path, "Resource"), "%q is not the ARN of a Lambda function, which alone is supported", t.resource)
	}
	t.timeout = f.seconds("TimeoutSeconds", 1)
	for i, raw := range f.list("Retry") {
		t.retry = append(t.retry, f.r.object(fmt.Sprintf("%s.Retry[%d]", f.path, i), raw).retrier())
	}
	for i, raw := range f.list("Catch") {
		t.catch = append(t.catch, f.r.object(fmt.Sprintf("%s.Catch[%d]", f.path, i), raw).catcher())
	}
	for i, retrier := range t.retry {
		f.r.checkErrors(fmt.Sprintf("%s.Retry[%d]", f.path, i), retrier.errors, i == len(t.retry)-1)
	}
	for i, catcher := range t.catch {
		f.r.checkErrors(fmt.Sprintf("%s.Catch[%d]", f.path, i), catcher.errors, i == len(t.catch)-1)
	}
	return t
}

// isFunction recognizes arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME, with a version or alias or without.
func isFunction(arn string) bool {
	parts := strings.Split(arn, ":")
	return (len(parts) == 7 || len(parts) == 8) && parts[0] == "arn" && parts[2] == "lambda" && parts[5] == "function" &&
		!slices.Contains(parts, "") && !strings.Contains(arn, "${")
}

func (f *fields) retrier() retrier {
	f.text("Comment")
	r := retrier{
		errors:      f.errorNames(),
		interval:    time.Duration(f.whole("IntervalSeconds", 1, 1)) * time.Second,
		maxAttempts: f.whole("MaxAttempts", 0, 3),
		maxDelay:    f.seconds("MaxDelaySeconds", 1),
		backoff:     2,
	}
	if raw, ok := f.take("BackoffRate"); ok {
		rate, err := strconv.ParseFloat(string(raw), 64)
		if err != nil || rate < 1 {
			f.r.refuse(join(f.path, "BackoffRate"), "is no number of at least 1")
		}
		r.backoff = rate
	}
	switch jitter := f.text("JitterStrategy"); jitter {
	case "", "NONE":
	case "FULL":
		r.jitter = true
	default:
		f.r.refuse(join(f.path, "JitterStrategy"), "%q is neither FULL nor NONE", jitter)
	}
	if r.maxDelay != 0 && r.maxDelay <= r.interval {
		f.r.refuse(join(f.path, "MaxDelaySeconds"), "is not above IntervalSeconds")
	}
	f.done()
	return r
}

func (f *fields) catcher() catcher {
	f.text("Comment")
	c := catcher{errors: f.errorNames(), resultPath: f.jsonPath("ResultPath", field), next: f.need("Next")}
	f.done()
	return c
}

func (f *fields) errorNames() []string {
	var names []string
	for i, raw := range f.list("ErrorEquals") {
		var name string
		if err := json.Unmarshal(raw, &name); err != nil || name == "" {
			f.r.refuse(fmt.Sprintf("%s.ErrorEquals[%d]", f.path, i), "is no name")
		}
		names = append(names, name)
	}
	if names == nil {
		f.r.refuse(join(f.path, "ErrorEquals"), "is missing")
	}
	return names
}

// checkErrors refuses names that AWS reserves and does not know, and a States.ALL that is not the last word.
func (r *reader) checkErrors(at string, names []string, last bool) {
	for _, name := range names {
		if strings.HasPrefix(name, "States.") && !slices.Contains(reserved, name) {
			r.refuse(at, "there is no error called %s", name)
		}
		if name == All && (len(names) > 1 || !last) {
			r.refuse(at, "States.ALL has to stand alone, and last")
		}
	}
}

func (f *fields) wait() *wait {
	if f.has("SecondsPath") {
		return &wait{secondsPath: f.jsonPath("SecondsPath", one)}
	}
	if !f.has("Seconds") {
		f.r.refuse(f.path, "needs Seconds or SecondsPath")
	}
	return &wait{seconds: f.seconds("Seconds", 0)}
}

func (f *fields) result() any {
	raw, ok := f.take("Result")
	if !ok {
		return nil
	}
	v, err := decode(raw)
	if err != nil {
		f.r.refuse(join(f.path, "Result"), "is not JSON: %v", err)
	}
	if v == nil {
		return json.RawMessage("null")
	}
	return v
}

func (f *fields) fan() *fan {
	m := &fan{
		items:       f.jsonPath("ItemsPath", one),
		selector:    f.template("ItemSelector", true),
		concurrency: f.whole("MaxConcurrency", 0, 0),
	}
	raw, ok := f.take("ItemProcessor")
	if !ok {
		f.r.refuse(join(f.path, "ItemProcessor"), "is missing")
		return m
	}
	p := f.r.object(join(f.path, "ItemProcessor"), raw)
	if raw, ok := p.take("ProcessorConfig"); ok {
		config := f.r.object(join(p.path, "ProcessorConfig"), raw)
		config.fixed("Mode", "INLINE")
		config.done()
	}
	p.text("Comment")
	m.graph = p.graph(true)
	p.done()
	return m
}

func (f *fields) fail() *fail {
	out := &fail{err: f.text("Error"), cause: f.text("Cause"), causePath: f.jsonPath("CausePath", one)}
	if utf8.RuneCountInString(out.err) > maxError {
		f.r.refuse(join(f.path, "Error"), "has more than %d characters", maxError)
	}
	if out.cause != "" && out.causePath != nil {
		f.r.refuse(f.path, "has both Cause and CausePath")
	}
	return out
}

// connect refuses transitions to nowhere and states that nothing leads to.
func (r *reader) connect(g *graph, at string) {
	reached := map[string]bool{}
	var visit func(from, name string)
	visit = func(from, name string) {
		if name == "" || reached[name] {
			return
		}
		s, ok := g.states[name]
		if !ok {
			r.refuse(from, "leads to %q, which does not exist", name)
			return
		}
		reached[name] = true
		for _, next := range s.leadsTo() {
			visit(s.path, next)
		}
	}
	visit(join(at, "StartAt"), g.start)
	for _, name := range slices.Sorted(maps.Keys(g.states)) {
		if !reached[name] {
			r.refuse(g.states[name].path, "cannot be reached")
		}
	}
}

// leadsTo lists the states that may follow.
func (s *state) leadsTo() []string {
	next := []string{s.next}
	if s.choice != nil {
		for _, r := range s.choice.rules {
			next = append(next, r.next)
		}
		next = append(next, s.choice.fallback)
	}
	if s.task != nil {
		for _, c := range s.task.catch {
			next = append(next, c.next)
		}
	}
	return next
}
