package template

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"sluice/internal/config"
)

// seconds are the time-outs of the functions, as README.md has them.
var seconds = map[string]int{scaleOut: 30, check: 60, scaleIn: 120, notify: 300}

// retries are how often Lambda tries again what was asynchronous.
var retries = map[string]int{scaleOut: 2, check: 0, scaleIn: 0, notify: 1}

func checkFunctions(d *Deployment, f *findings) {
	d.each(func(_ *Stack, r *Resource) {
		if !slices.Contains(d.functionNames(), r.tag(functionTag)) {
			f.add(r, "find out which construct makes it, such as one with autoDeleteObjects, and do without it",
				"is a function that nobody asked for")
			return
		}
		f.want(r, "provided.al2023", "Runtime")
		f.want(r, []any{"arm64"}, "Architectures")
		f.want(r, "bootstrap", "Handler")
		if kind := r.text("PackageType"); kind != "" && kind != "Zip" {
			f.add(r, "use Code_FromAsset", "PackageType is %s", kind)
		}
		if memory, ok := r.number("MemorySize"); !ok || memory < 128 || memory > 1769 {
			f.add(r, "choose it: 128 MB, which is the default, are slow, and 1,769 are a whole processor",
				"MemorySize is %v", r.at("MemorySize"))
		}
		if r.text("Description") == "" {
			f.add(r, "say what it is for", "has no Description")
		}
	}, "AWS::Lambda::Function")
	d.each(func(_ *Stack, r *Resource) {
		f.add(r, "the functions are invoked by the rule and the machine alone", "is another way to a function")
	}, "AWS::Lambda::Url", "AWS::Lambda::EventSourceMapping")
}

// checkEnvironment: what stands in a function's environment can be read by whoever may look at the function.
func checkEnvironment(d *Deployment, f *findings) {
	for _, name := range d.functionNames() {
		r, want := d.Functions[name], d.environment(name)
		got, _ := r.at("Environment", "Variables").(map[string]any)
		for _, variable := range slices.Sorted(maps.Keys(got)) {
			value, wanted := want[variable]
			switch {
			case variable == "SLUICE_CONFIG":
				if v := text(got[variable]); v != "sluice.yaml" && v != "/var/task/sluice.yaml" {
					f.add(r, "leave it out: the file lies beside the bootstrap", "SLUICE_CONFIG is %q, where no file is", v)
				}
			case !wanted:
				f.add(r, "remove it", "has the variable %s, which nothing reads", variable)
			case text(got[variable]) != value:
				f.add(r, "pass the value on as it is", "%s is not what it has to be", variable)
			}
		}
		for _, variable := range slices.Sorted(maps.Keys(want)) {
			if text(got[variable]) == "" {
				f.add(r, "set it", "has no value for %s, which it reads", variable)
			}
		}
	}
}

// environment is what a function has to have in its environment.
func (d *Deployment) environment(name string) map[string]string {
	want := map[string]string{}
	if name == notify {
		want["SLUICE_TOPIC_ARN"], _ = d.notifyTopic()
		want["SLUICE_STACK"] = d.Config.Deploy.Stack
		want["SLUICE_LOG_GROUPS"] = strings.Join(d.scalersLogs(), ",")
		want["SLUICE_NOTIFY_EVERY"] = d.Config.Deploy.Notify.Every.Std().String()
		return want
	}
	for _, b := range d.Config.Brokers {
		if b.URLEnv != "" {
			want[b.URLEnv] = d.URLs[b.URLEnv]
		}
	}
	if d.Config.Metrics.Level != config.MetricsOff {
		want["SLUICE_METRICS_NAMESPACE"] = d.namespace()
	}
	return want
}

// namespace is that of the metrics of the deployment: of the metric filters, too.
func (d *Deployment) namespace() string {
	for _, r := range d.Sluice.of("AWS::Logs::MetricFilter") {
		for _, t := range r.list("MetricTransformations") {
			return text(at(t, "MetricNamespace"))
		}
	}
	return ""
}

// checkConcurrency: two ScaleOuts at once could each read a count, and the later one overwrite the higher of both.
func checkConcurrency(d *Deployment, f *findings) {
	for _, name := range d.functionNames() {
		r := d.Functions[name]
		if name == scaleOut {
			f.want(r, 1, "ReservedConcurrentExecutions")
		} else if got := r.at("ReservedConcurrentExecutions"); got != nil {
			f.add(r, "remove it: reserved concurrency is taken from all others in the account", "ReservedConcurrentExecutions is %v", got)
		}
	}
}

func checkTracing(d *Deployment, f *findings) {
	for _, name := range d.functionNames() {
		f.want(d.Functions[name], "Active", "TracingConfig", "Mode")
	}
	for _, r := range d.Sluice.of("AWS::StepFunctions::StateMachine") {
		f.want(r, true, "TracingConfiguration", "Enabled")
	}
}

// checkTimeouts: a state that gives up before its function would have a second one run beside the first.
func checkTimeouts(d *Deployment, f *findings) {
	for _, name := range d.functionNames() {
		f.want(d.Functions[name], seconds[name], "Timeout")
	}
	for _, r := range d.Sluice.of("AWS::StepFunctions::StateMachine") {
		m, err := d.machine(r)
		if err != nil {
			f.add(r, "see the check machine", "%v", err)
			continue
		}
		if m.TimeoutSeconds == 0 {
			f.add(r, "set it in the definition", "has no TimeoutSeconds")
		}
		for _, t := range m.tasks {
			fn := d.Sluice.target(t.Resource, "AWS::Lambda::Function")
			if fn == nil {
				continue // The check machine says so.
			}
			limit, _ := fn.number("Timeout")
			switch {
			case t.TimeoutSeconds == 0:
				f.add(r, "set it: 60 s is no default, a year is", "state %s has no TimeoutSeconds", t.name)
			case t.TimeoutSeconds <= limit:
				f.add(r, "give the state more than the function has", "state %s ends after %v s, and its function %s only after %v s",
					t.name, t.TimeoutSeconds, fn.ID, limit)
			case m.TimeoutSeconds != 0 && m.TimeoutSeconds <= t.TimeoutSeconds:
				f.add(r, "give the machine more", "ends after %v s, and its state %s only after %v s", m.TimeoutSeconds, t.name, t.TimeoutSeconds)
			}
		}
	}
}

// checkRetries: without limits Lambda keeps an event for six hours, EventBridge for a day and 185 times.
func checkRetries(d *Deployment, f *findings) {
	configs := map[string]*Resource{}
	for _, r := range d.Sluice.of("AWS::Lambda::EventInvokeConfig") {
		if fn := d.Sluice.target(r.text("FunctionName"), "AWS::Lambda::Function"); fn != nil {
			configs[fn.ID] = r
		}
	}
	for _, name := range d.functionNames() {
		fn := d.Functions[name]
		r := configs[fn.ID]
		if r == nil {
			f.add(fn, "set RetryAttempts and, for ScaleOut, MaxEventAge", "has no AWS::Lambda::EventInvokeConfig")
			continue
		}
		f.want(r, "$LATEST", "Qualifier")
		f.want(r, retries[name], "MaximumRetryAttempts")
		if retries[name] > 0 {
			f.want(r, 900, "MaximumEventAgeInSeconds")
		}
	}
	limited := func(r *Resource, policy any, maxAge float64) {
		attempts, ok := at(policy, "MaximumRetryAttempts").(float64)
		if !ok || attempts < 1 || attempts > 185 {
			f.add(r, "set RetryAttempts to 1 to 185", "its retry attempts are %v", at(policy, "MaximumRetryAttempts"))
		}
		age, ok := at(policy, "MaximumEventAgeInSeconds").(float64)
		if !ok || age < 60 || age > maxAge {
			f.add(r, "set MaxEventAge to 60 to "+strconv.Itoa(int(maxAge))+" seconds: later the next sweep has done the work",
				"its maximum event age is %v", at(policy, "MaximumEventAgeInSeconds"))
		}
	}
	for _, r := range d.Sluice.of("AWS::Events::Rule") {
		for _, t := range r.list("Targets") {
			limited(r, at(t, "RetryPolicy"), 900)
		}
	}
	for _, r := range d.sweepSchedules() {
		limited(r, r.at("Target", "RetryPolicy"), d.Config.Sweep.Every.Std().Seconds())
	}
	for _, r := range d.notifySchedules() {
		limited(r, r.at("Target", "RetryPolicy"), 900)
	}
}
