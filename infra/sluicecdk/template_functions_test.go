package sluicecdk_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/infra/lab"
	"sluice/internal/config"
	"sluice/lab/cloud/cfn/template"
)

// The values of the tag sluice:function.
const (
	scaleOut = "scaleout"
	check    = "check"
	scaleIn  = "scalein"
	notify   = "notify" // With deploy.notify.
)

// scalers are the functions that scale.
var scalers = []string{scaleOut, check, scaleIn}

// functionNames are these and, with deploy.notify, that of the function which tells of them.
func functionNames(d *lab.Deployment) []string {
	if d.Config.Deploy.Notify == nil {
		return scalers
	}
	return append(slices.Clone(scalers), notify)
}

// checkFunctions: these functions and no others, since some constructs bring functions of their own, each as it has to
// run.
func checkFunctions(t lab.T, d *lab.Deployment) {
	names := functionNames(d)
	for _, s := range d.Stacks {
		if s.Counts(t, 0, "AWS::Lambda::Url", "AWS::Lambda::EventSourceMapping"); s != d.Sluice {
			s.Counts(t, 0, "AWS::Lambda::Function")
		}
	}
	d.Sluice.Counts(t, len(names), "AWS::Lambda::Function")
	d.Sluice.Every(t, "AWS::Lambda::Function", lab.Props{
		"Runtime": "provided.al2023", "Architectures": []string{"arm64"}, "Handler": "bootstrap", "PackageType": lab.None(),
		"Description": lab.Some(), "TracingConfig": lab.Props{"Mode": "Active"},
	})
	d.Sluice.Every(t, "AWS::StepFunctions::StateMachine", lab.Props{"TracingConfiguration": lab.Props{"Enabled": true}})
	for _, name := range names {
		tagged := lab.Props{"Tags": []lab.Props{{"Key": "sluice:function", "Value": name}}, "ReservedConcurrentExecutions": lab.None()}
		if name == scaleOut {
			// Two at once could each read a count, and the later one overwrite the higher of both. What others reserve
			// is taken from all functions of the account.
			tagged["ReservedConcurrentExecutions"] = 1
		}
		d.Sluice.Has(t, "AWS::Lambda::Function", tagged)
	}
}

// checkAssets: each function's code is its own program, the configuration and what that names, and no more.
func checkAssets(t lab.T, d *lab.Deployment) {
	want := []string{"-rwxr-xr-x bootstrap", "-rw-r--r-- sluice.yaml"}
	for _, b := range d.Config.Brokers {
		if b.TLS != nil && b.TLS.CAFile != "" {
			want = append(want, "-rw-r--r-- "+filepath.Clean(b.TLS.CAFile))
		}
	}
	slices.Sort(want)
	for _, name := range functionNames(d) {
		dir, ok := d.Sluice.Assets[d.Function(name).Text("Code", "S3Key")]
		if !ok {
			t.Errorf("%s: its code is no folder of the assembly that is zipped", name)
			continue
		}
		var got []string
		err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			info, err := e.Info()
			if err != nil {
				return err
			}
			relative, err := filepath.Rel(dir, path)
			got = append(got, info.Mode().String()+" "+relative)
			return err
		})
		slices.Sort(got)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: its code: %v, files (-want +got):\n%s", name, err, diff)
			continue
		}
		given, err := os.ReadFile(filepath.Join(d.Bootstraps, name, "bootstrap"))
		own, err2 := os.ReadFile(filepath.Join(dir, "bootstrap"))
		if err != nil || err2 != nil || !bytes.Equal(given, own) {
			t.Errorf("%s: its bootstrap is not that of %s", name, name)
		}
		checkConfigFile(t, d, filepath.Join(dir, "sluice.yaml"))
	}
}

// checkConfigFile: the functions need not have the file to the letter, but have to read the same in it, less what they
// do not read.
func checkConfigFile(t lab.T, d *lab.Deployment, path string) {
	got, err := config.Load(path)
	if err != nil {
		t.Errorf("its sluice.yaml cannot be read: %v", err)
		return
	}
	want := *d.Config
	for _, c := range []*config.Config{got, &want} {
		c.Deploy, c.Local, c.Dir = config.Deploy{}, config.Local{}, ""
	}
	if !reflect.DeepEqual(got, &want) {
		t.Errorf("its sluice.yaml means something else than the one given")
	}
}

// checkEnvironment: what each function reads, and no more, since whoever may look at a function can read it.
func checkEnvironment(t lab.T, d *lab.Deployment) {
	for _, name := range functionNames(d) {
		want := map[string]any{}
		if name == notify {
			want["SLUICE_TOPIC_ARN"], _ = notifyTopic(d)
			want["SLUICE_STACK"] = d.Config.Deploy.Stack
			want["SLUICE_LOG_GROUPS"] = logGroupOf(d, scaleOut) + "," + logGroupOf(d, check) + "," + logGroupOf(d, scaleIn)
			want["SLUICE_NOTIFY_EVERY"] = d.Config.Deploy.Notify.Every.Std().String()
		} else {
			for _, b := range d.Config.Brokers {
				if b.URLEnv != "" {
					want[b.URLEnv] = d.URLs[b.URLEnv]
				}
			}
			if d.Config.Metrics.Level != config.MetricsOff {
				want["SLUICE_METRICS_NAMESPACE"] = namespace(d)
			}
		}
		got, _ := d.Function(name).At("Environment", "Variables").(map[string]any)
		if got == nil {
			got = map[string]any{}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: environment (-want +got):\n%s", name, diff)
		}
		size := 0
		for k, v := range got {
			size += len(k) + len(fmt.Sprint(v))
		}
		if size > 3000 { // Of 4096 with what CloudFormation puts in the place of references.
			t.Errorf("%s: its environment has %d bytes", name, size)
		}
	}
}

func logGroupOf(d *lab.Deployment, name string) string {
	return d.Function(name).Text("LoggingConfig", "LogGroup")
}

// namespace is that of the metrics of the deployment: of the metric filters, too.
func namespace(d *lab.Deployment) string {
	for _, r := range d.Sluice.Of("AWS::Logs::MetricFilter") {
		return r.Text("MetricTransformations", 0, "MetricNamespace")
	}
	return ""
}

// seconds are the time-outs of the functions, as README.md has them.
var seconds = map[string]int{scaleOut: 30, check: 60, scaleIn: 120, notify: 300}

// checkTimeouts: a state that gives up before its function would have a second one run beside the first.
func checkTimeouts(t lab.T, d *lab.Deployment) {
	for _, name := range functionNames(d) {
		lab.Want(t, d.Function(name), seconds[name], "Timeout")
	}
	top, tasks := definition(t, d)
	if top == 0 {
		t.Errorf("the state machine has no TimeoutSeconds")
	}
	for _, s := range tasks {
		for _, name := range scalers {
			if f := d.Function(name); s.Resource == f.ARN() && s.TimeoutSeconds <= number(f.At("Timeout")) {
				t.Errorf("state %s ends after %v s, and its function %s after %v s", s.name, s.TimeoutSeconds, name, f.At("Timeout"))
			}
		}
		if s.TimeoutSeconds >= top {
			t.Errorf("state %s ends after %v s, and the machine after %v s", s.name, s.TimeoutSeconds, top)
		}
	}
}

// number is a number of the template; 0 if it is none.
func number(v any) float64 {
	n, _ := v.(json.Number)
	f, _ := n.Float64()
	return f
}

// retries are how often Lambda tries again what was asynchronous.
var retries = map[string]int{scaleOut: 2, check: 0, scaleIn: 0, notify: 1}

// checkRetries: without limits Lambda keeps an event for six hours, EventBridge for a day and 185 times.
func checkRetries(t lab.T, d *lab.Deployment) {
	for _, name := range functionNames(d) {
		p := lab.Props{
			"FunctionName": lab.Props{"Ref": d.Function(name).ID}, "Qualifier": "$LATEST", "MaximumRetryAttempts": retries[name],
		}
		if retries[name] > 0 {
			p["MaximumEventAgeInSeconds"] = 900
		}
		d.Sluice.Has(t, "AWS::Lambda::EventInvokeConfig", p)
	}
	limited := func(r *template.Resource, policy any, maxAge time.Duration) {
		attempts := number(template.Within(policy, "MaximumRetryAttempts"))
		age := number(template.Within(policy, "MaximumEventAgeInSeconds"))
		if attempts < 1 || attempts > 185 || age < 60 || age > maxAge.Seconds() {
			t.Errorf("%s: %v retries within %v s; by then the next sweep has done the work", r.ID, attempts, age)
		}
	}
	for _, r := range d.Sluice.Of("AWS::Events::Rule") {
		for _, target := range template.List(r.At("Targets")) {
			limited(r, template.Within(target, "RetryPolicy"), 15*time.Minute)
		}
	}
	for _, r := range sweepSchedules(d) {
		limited(r, r.At("Target", "RetryPolicy"), d.Config.Sweep.Every.Std())
	}
	for _, r := range notifySchedules(d) {
		limited(r, r.At("Target", "RetryPolicy"), 15*time.Minute)
	}
}

// checkLogs: a log group that nobody made is made by AWS, with logs that never expire.
func checkLogs(t lab.T, d *lab.Deployment) {
	for _, s := range d.Stacks {
		s.Every(t, "AWS::Logs::LogGroup", lab.Props{"RetentionInDays": d.Config.Deploy.LogRetention})
	}
	d.Sluice.Every(t, "AWS::Lambda::Function", lab.Props{"LoggingConfig": lab.Props{"LogFormat": "JSON"}})
	taken := map[string]string{}
	own := func(whose, group string) {
		g := d.Sluice.Target(group, "AWS::Logs::LogGroup")
		switch {
		case g == nil:
			t.Errorf("%s logs to %q, which is no log group of the template", whose, group)
		case taken[g.ID] != "":
			t.Errorf("%s shares its log group with %s", whose, taken[g.ID])
		default:
			taken[g.ID] = whose
		}
	}
	for _, name := range functionNames(d) {
		own(name, logGroupOf(d, name))
	}
	for _, r := range d.Sluice.Of("AWS::StepFunctions::StateMachine") {
		own("the state machine", r.Text("LoggingConfiguration", "Destinations", 0, "CloudWatchLogsLogGroup", "LogGroupArn"))
	}
}

var (
	// passwordInURL is what stands between the user and the @ of a URL.
	passwordInURL = regexp.MustCompile(`[A-Za-z][A-Za-z0-9+.-]*://[^\s/:@"'<>]*:([^\s@"'<>]+)@`)
	accessKey     = regexp.MustCompile(`\b(?:AKIA|ASIA)[A-Z0-9]{16}\b`)
	privateKey    = regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`)
	// secretName is what properties and variables that hold a secret are called.
	secretName = regexp.MustCompile(`(?i)(passwords?|passwd|secret_?string|auth_?token|secret_?key|api_?key|credentials?)$`)
)

// dynamic reports whether a value is a reference that CloudFormation resolves: to a secret, or to something else of the
// template.
func dynamic(s string) bool { return strings.Contains(s, "{{resolve:") || strings.Contains(s, "${") }

// checkSecrets looks at everything that is uploaded, and at what the synthesis writes beside it.
func checkSecrets(t lab.T, d *lab.Deployment) {
	d.Each(func(s *lab.Stack, r *template.Resource) {
		template.Walk(r.Properties, "", func(path, text string) {
			name, _, _ := strings.Cut(path[strings.LastIndexByte(path, '.')+1:], "[")
			if secretName.MatchString(name) && !dynamic(text) {
				t.Errorf("%s: %s is a plain text", r.ID, path)
			}
			if what := secretIn(text); what != "" {
				t.Errorf("%s: %s holds %s", r.ID, path, what)
			}
		})
		for _, container := range template.List(r.At("ContainerDefinitions")) { // A list of names and values.
			for _, v := range template.List(template.Within(container, "Environment")) {
				name, value := template.Text(template.Within(v, "Name")), template.Text(template.Within(v, "Value"))
				if secretName.MatchString(name) && !dynamic(value) {
					t.Errorf("%s: the variable %s is a plain text", r.ID, name)
				}
			}
		}
	}, types(d)...)
	err := filepath.WalkDir(d.Dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		name := filepath.Base(path)
		for _, secret := range d.Secrets {
			if bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s holds a secret of sluice.yaml", name)
			}
		}
		if what := secretIn(string(data)); what != "" && !bytes.HasPrefix(data, []byte("\x7fELF")) {
			t.Errorf("%s holds %s", name, what)
		}
		return err
	})
	if err != nil {
		t.Errorf("read what is uploaded: %v", err)
	}
}

// types are all types of resources that are there.
func types(d *lab.Deployment) []string {
	all := map[string]bool{}
	for _, s := range d.Stacks {
		for _, r := range s.Resources {
			all[r.Type] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// secretIn says what secret a text holds, without repeating it; empty if none.
func secretIn(text string) string {
	for _, m := range passwordInURL.FindAllStringSubmatch(text, -1) {
		if !dynamic(m[1]) {
			return "a URL with a password"
		}
	}
	switch {
	case accessKey.MatchString(text):
		return "an access key"
	case privateKey.MatchString(text):
		return "a private key"
	}
	return ""
}
