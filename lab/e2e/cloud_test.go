package e2e_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/lambda"
	"sluice/lab/testenv"
)

// system is a local cloud and all that has happened in it.
type system struct {
	*cloud.Cloud
	t       *testing.T
	config  string // The path of its sluice.yaml.
	lambdas string // The folder with its functions.

	mu  sync.Mutex
	all []cloud.Happening
}

// start starts a cloud with the configuration, and no sweep but those that the test starts.
func start(t *testing.T, yaml string, o cloud.Options) *system {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	settings, err := config.Load(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, yaml)
	}
	c := &system{t: t, config: path, lambdas: ownFunctions(t)}
	o.Config, o.ConfigPath, o.Lambdas, o.NoSweep, o.Watch = settings, path, c.lambdas, true, c.note
	o.FunctionLog, o.TaskLog = testLog{t}, func(ecs.Spec) io.Writer { return testLog{t} }
	if c.Cloud, err = cloud.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// bootstrap is the command line of the instances of a function. Clouds that run at the same time have to have functions of
// their own, or one test would hit another's: see ownFunctions.
func (c *system) bootstrap(function string) string {
	return filepath.Join(c.lambdas, function, "bootstrap")
}

// ownFunctions is a folder with the functions under names that no other cloud uses.
func ownFunctions(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"scaleout", "check", "scalein", "notify"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Link(filepath.Join(lambdas, name, "bootstrap"), filepath.Join(dir, name, "bootstrap")); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (c *system) note(h cloud.Happening) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, h)
}

// now is how much has happened so far: where a later search may begin.
func (c *system) now() int {
	c.Flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

// since returns what has happened since then, and is as wanted: all that a call did which has been answered.
func (c *system) since(then int, wanted func(cloud.Happening) bool) []cloud.Happening {
	c.Flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []cloud.Happening
	for _, h := range c.all[then:] {
		if wanted(h) {
			found = append(found, h)
		}
	}
	return found
}

// await waits until something has happened since then that is as wanted, and returns the first.
func (c *system) await(what string, then int, wanted func(cloud.Happening) bool) cloud.Happening {
	c.t.Helper()
	var found []cloud.Happening
	eventually(c.t, func() error {
		if found = c.since(then, wanted); len(found) == 0 {
			return errors.New(what + " has not happened")
		}
		return nil
	})
	return found[0]
}

func eventually(t *testing.T, ready func() error) {
	t.Helper()
	if err := testenv.WaitFor(t.Context(), ready); err != nil {
		t.Fatal(err)
	}
}

// service is the service as it is now.
func (c *system) service(name string) ecs.ServiceState {
	c.t.Helper()
	services, _ := c.ECS().Snapshot()
	i := slices.IndexFunc(services, func(s ecs.ServiceState) bool { return s.Name == name })
	if i < 0 {
		c.t.Fatalf("there is no service %s", name)
	}
	return services[i]
}

// tasks are the tasks of the service, by age.
func (c *system) tasks(service string) []ecs.TaskState {
	_, tasks := c.ECS().Snapshot()
	return slices.DeleteFunc(tasks, func(t ecs.TaskState) bool { return t.Service != service })
}

// awaitCounts waits until the service has these counts.
func (c *system) awaitCounts(service string, desired, running int) {
	c.t.Helper()
	eventually(c.t, func() error {
		if s := c.service(service); s.Desired != desired || s.Running != running {
			return fmt.Errorf("service %s: %d desired, %d running; want %d and %d", service, s.Desired, s.Running, desired, running)
		}
		return nil
	})
}

// client is the Go SDK's client of the local ECS.
func (c *system) client() *awsecs.Client {
	return awsecs.New(awsecs.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(c.Endpoint()),
		Credentials: credentials.NewStaticCredentialsProvider("local", "local", ""),
	})
}

// setDesired sets the count of a service, as a person would.
func (c *system) setDesired(service string, n int32) {
	c.t.Helper()
	if _, err := c.client().UpdateService(c.t.Context(), &awsecs.UpdateServiceInput{
		Cluster: aws.String("media"), Service: &service, DesiredCount: &n,
	}); err != nil {
		c.t.Fatal(err)
	}
}

// setDesireds sets the count of several services.
func (c *system) setDesireds(n int32, services ...string) {
	c.t.Helper()
	for _, s := range services {
		c.setDesired(s, n)
	}
}

// result is what a sweep did about one target.
type result struct {
	Target  string
	Outcome string
	Then    string // What ScaleOut answered after ScaleIn, if it was asked.
	Failed  bool
	Error   string
}

// swept is how a sweep ended.
type swept struct {
	asl.Execution
	Results   map[string]result            // By target; those with nothing to do are not there.
	Decisions map[string][]cloud.LogRecord // What its functions decided, by target.
}

// beginSweep starts an execution of the state machine, and returns what waits for its end.
func (c *system) beginSweep() (end func() swept) {
	c.t.Helper()
	then := c.now()
	name, err := c.StartSweep()
	if err != nil {
		c.t.Fatal(err)
	}
	return func() swept {
		c.t.Helper()
		h := c.await("the end of the sweep", then, func(h cloud.Happening) bool {
			return h.Execution != nil && h.Execution.Name == name && h.Execution.Ended != nil
		})
		s := swept{Execution: *h.Execution.Ended, Results: map[string]result{}, Decisions: map[string][]cloud.LogRecord{}}
		// A failed execution has no output, and its cause tells only of what failed.
		for _, h := range c.since(then, func(h cloud.Happening) bool {
			return h.Execution != nil && h.Execution.Name == name && h.Execution.Event != nil &&
				h.Execution.Event.Type == asl.Exited && h.Execution.Event.State == "Summary"
		}) {
			var summary struct{ Results []result }
			if err := json.Unmarshal(h.Execution.Event.Data, &summary); err != nil {
				c.t.Fatalf("read the results of the sweep: %v: %+v", err, s.Execution)
			}
			for _, r := range summary.Results {
				s.Results[r.Target] = r
			}
		}
		for _, h := range c.since(then, func(h cloud.Happening) bool { return h.Invocation != nil && !h.Invocation.Async }) {
			for _, d := range h.Invocation.Decisions() {
				target, _ := d.Fields["target"].(string)
				s.Decisions[target] = append(s.Decisions[target], d)
			}
		}
		return s
	}
}

// sweep runs the state machine once.
func (c *system) sweep() swept {
	c.t.Helper()
	return c.beginSweep()()
}

// decided is the action and the reasons of a decision, as one string: "hold work".
func decided(d cloud.LogRecord) string {
	words := []string{fmt.Sprint(d.Fields["action"])}
	reasons, _ := d.Fields["reasons"].([]any)
	for _, r := range reasons {
		words = append(words, fmt.Sprint(r))
	}
	return strings.Join(words, " ")
}

// last is the last decision of the sweep on a target.
func (s swept) last(t *testing.T, target string) cloud.LogRecord {
	t.Helper()
	list := s.Decisions[target]
	if len(list) == 0 {
		t.Fatalf("the sweep decided nothing about %s: %+v", target, s.Execution)
	}
	return list[len(list)-1]
}

// starved reports whether a worker did not answer in time, or a look did not end in time: on a busy machine that says nothing.
func (s swept) starved() bool {
	for _, list := range s.Decisions {
		for _, d := range list {
			if d.Fields["unheard"] != nil || strings.Contains(fmt.Sprint(d.Fields["cause"]), "in time") ||
				strings.Contains(fmt.Sprint(d.Fields["error"]), "deadline exceeded") {
				return true
			}
		}
	}
	return false
}

// failure is the error of a function, as it reports it.
type failure struct {
	ErrorType, ErrorMessage string
}

// invoke invokes a function with a payload. It returns the error that the function reports, if it does.
func (c *system) invoke(function, payload string, answer any) failure {
	c.t.Helper()
	r, err := c.Functions().Invoke(c.t.Context(), function, []byte(payload))
	if err != nil {
		c.t.Fatalf("invoke %s with %.100s: %v", function, payload, err)
	}
	var f failure
	into := answer
	if r.FunctionError != "" {
		into = &f
	}
	if into == nil {
		return f
	}
	if err := json.Unmarshal(r.Payload, into); err != nil {
		c.t.Fatalf("%s answered %s: %v", function, r.Payload, err)
	}
	return f
}

// coldStarts is how many instances of a function have been started so far, seen by what was invoked.
func (c *system) coldStarts(function string) int {
	return len(c.since(0, func(h cloud.Happening) bool {
		return h.Invocation != nil && h.Invocation.Function == function && h.Invocation.Init > 0
	}))
}

// look is what a check says of one target, as far as the tests look at it.
type look struct {
	Target         string           `json:"target"`
	ShouldScaleIn  bool             `json:"should_scale_in"`
	ShouldScaleOut bool             `json:"should_scale_out"`
	QueueLen       *int             `json:"queue_len"`
	ActiveTasks    *int             `json:"active_tasks"`
	Held           *int             `json:"held"`
	DesiredCount   *int             `json:"desired_count"`
	Error          *string          `json:"error"`
	Decision       policy.Decision  `json:"decision"`
	Seen           *policy.Sighting `json:"seen"`
}

// check looks at one target by the check function.
func (c *system) check(target string) look {
	c.t.Helper()
	var l look
	if f := c.invoke(cloud.Check, fmt.Sprintf(`{"target": %q}`, target), &l); f.ErrorType != "" {
		c.t.Fatalf("check %s: %+v", target, f)
	}
	return l
}

func (l look) error() string {
	if l.Error == nil {
		return ""
	}
	return *l.Error
}

// decided is as for a record of a decision.
func (l look) decided() string {
	words := []string{string(l.Decision.Action)}
	for _, r := range l.Decision.Reasons {
		words = append(words, string(r))
	}
	return strings.Join(words, " ")
}

// shown is a count of a look as one sees it.
func shown(n *int) string {
	if n == nil {
		return "null"
	}
	return fmt.Sprint(*n)
}

// once gives failed events up at once.
var once = lambda.Async{NoRetry: true}

// testLog writes the lines of functions and workers into the test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Logf("%s", strings.TrimSuffix(string(p), "\n"))
	return len(p), nil
}
