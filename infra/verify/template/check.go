package template

import (
	"fmt"
	"slices"
	"strings"

	"sluice/internal/config"
)

// Given is what a template was made from.
type Given struct {
	Config     *config.Config    // The whole sluice.yaml, as config.Load reads it.
	Bootstraps string            // The folder with scaleout/bootstrap and so on.
	Definition string            // The state machine with its placeholders.
	URLs       map[string]string // The values of the variables that brokers name in url_env.
	Secrets    []string          // Texts that may be nowhere in what is synthesized.
}

// Deployment is a template together with what it was made from.
type Deployment struct {
	*Assembly
	Given
	Sluice    *Stack               // The stack with the functions.
	Functions map[string]*Resource // By the tag sluice:function, within Sluice.
}

// The values of the tag sluice:function.
const (
	scaleOut = "scaleout"
	check    = "check"
	scaleIn  = "scalein"
	notify   = "notify" // With deploy.notify.
)

// functionTag marks the functions, whatever their logical ids.
const functionTag = "sluice:function"

// New finds the functions. It is an error if they are not there, each once and in one stack: without them nothing can be told.
func New(a *Assembly, given Given) (*Deployment, error) {
	d := &Deployment{Assembly: a, Given: given, Functions: map[string]*Resource{}}
	for _, s := range a.Stacks {
		for _, r := range s.of("AWS::Lambda::Function") {
			name := r.tag(functionTag)
			if name == "" {
				continue
			}
			if d.Functions[name] != nil || d.Sluice != nil && d.Sluice != s {
				return nil, fmt.Errorf("find the functions: %s of stack %s is another one with the tag %s = %s", r.ID, s.Name, functionTag, name)
			}
			d.Sluice, d.Functions[name] = s, r
		}
	}
	for _, name := range d.functionNames() {
		if d.Functions[name] == nil {
			return nil, fmt.Errorf("find the functions: none has the tag %s = %s", functionTag, name)
		}
	}
	return d, nil
}

// tag is the value of a resource's tag; empty if it has none.
func (r *Resource) tag(key string) string {
	for _, t := range r.list("Tags") {
		if text(at(t, "Key")) == key {
			return text(at(t, "Value"))
		}
	}
	return ""
}

// Finding is something that is not as it has to be.
type Finding struct {
	Check    string // The name of the check.
	Resource string // The logical id with its path, or the file.
	Problem  string
	Remedy   string
}

func (f Finding) String() string {
	return fmt.Sprintf("%s: %s: %s: %s", f.Check, f.Resource, f.Problem, f.Remedy)
}

// Check looks at one matter.
type Check struct {
	Name string
	Says string // What holds if it finds nothing.
	run  func(*Deployment, *findings)
}

// Checks are all checks, in the order of the documentation.
var Checks = []Check{
	{"functions", "three functions, four with deploy.notify, and no others: provided.al2023, arm64, zip, handler bootstrap, memory set", checkFunctions},
	{"assets", "each function's code is its bootstrap (static ELF for arm64), sluice.yaml and the CA files, and no more", checkAssets},
	{"environment", "the functions' environment is what each of them reads, with the right values, and no more", checkEnvironment},
	{"concurrency", "ScaleOut runs once at a time, and nothing else is reserved", checkConcurrency},
	{"tracing", "functions and state machine are traced", checkTracing},
	{"time-outs", "functions end before the states that call them, and these before the machine", checkTimeouts},
	{"retries", "what is asynchronous is tried again as often and as long as is meant, and no more", checkRetries},
	{"dead letters", "functions, rule and schedules have dead-letter queues of their own that they may write to", checkDeadLetters},
	{"logs", "all logs have a log group of the template that expires as configured; functions log JSON", checkLogs},
	{"encryption", "queues and topics are encrypted, refuse plain HTTP, and let in who has to write to them", checkEncryption},
	{"actions", "no policy allows a wildcard of actions", checkActions},
	{"resources", "no policy of a role has a wildcard but those of the documented list", checkResources},
	{"trust", "each role is trusted by the one service that uses it, and each function has its own", checkTrust},
	{"managed policies", "there are none, neither AWS's nor our own", checkManaged},
	{"rule", "one rule matches source and detail type on the configured bus, and invokes ScaleOut as it may", checkRule},
	{"schedules", "schedules start the machine each sweep.every, and their shards cover each target once", checkSchedules},
	{"machine", "the machine is the given one, each placeholder bound to its function, logged in full", checkMachine},
	{"alarms", "each alarm is there, tells somebody, and watches what exists", checkAlarms},
	{"dashboard", "the dashboard is JSON and shows what exists", checkDashboard},
	{"notify", "with deploy.notify its function is started each `every`, reads the three logs and publishes to the topic asked for", checkNotify},
	{"outputs", "the outputs by which the command line finds everything are there, and tell of the right thing", checkOutputs},
	{"queries", "the queries for people are saved, in a folder of the stack's own, for log groups of the template", checkQueries},
	{"price", "alarms, metrics and memory are those that internal/price counts", checkPrice},
	{"network", "the functions run where they are configured to", checkNetwork},
	{"desired counts", "no service sets DesiredCount, which Sluice changes", checkDesiredCounts},
	{"example", "the example's tasks are private, small, stop slowly; its Redis is encrypted, has two zones and a password", checkExample},
	{"secrets", "nothing that is uploaded holds a secret in plain text", checkSecrets},
	{"limits", "everything is within CloudFormation's and IAM's limits", checkLimits},
}

// Run runs all checks.
func Run(d *Deployment) []Finding {
	var all []Finding
	for _, c := range Checks {
		f := &findings{check: c.Name}
		c.run(d, f)
		all = append(all, f.found...)
	}
	return all
}

// findings collects what a check finds.
type findings struct {
	check string
	found []Finding
}

// add notes a finding about a resource.
func (f *findings) add(r *Resource, remedy, format string, args ...any) {
	where := r.ID
	if r.Path != "" {
		where += " (" + r.Path + ")"
	}
	f.addAt(where, remedy, format, args...)
}

func (f *findings) addAt(where, remedy, format string, args ...any) {
	f.found = append(f.found, Finding{Check: f.check, Resource: where, Problem: fmt.Sprintf(format, args...), Remedy: remedy})
}

// want notes a finding if a property is not as it has to be. Numbers are compared as JSON writes them.
func (f *findings) want(r *Resource, want any, path ...string) {
	got := r.at(path...)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		f.add(r, fmt.Sprintf("set it to %v", want), "%s is %v", strings.Join(path, "."), got)
	}
}

// each calls g for every resource of the types in every stack.
func (d *Deployment) each(g func(*Stack, *Resource), types ...string) {
	for _, s := range d.Stacks {
		for _, r := range s.of(types...) {
			g(s, r)
		}
	}
}

// scalers are the names of the functions that scale, sorted.
var scalers = []string{check, scaleIn, scaleOut}

// functionNames are these and, with deploy.notify, that of the function which tells of them.
func (d *Deployment) functionNames() []string {
	if d.Config.Deploy.Notify == nil {
		return scalers
	}
	return append([]string{notify}, scalers...)
}

// quoted lists texts for a message.
func quoted(all []string) string {
	all = slices.Clone(all)
	for i, s := range all {
		all[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(all, ", ")
}
