package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/lambda"
	"sluice/lab/testenv"
)

// once gives failed events up at once.
var once = lambda.Async{NoRetry: true}

// lambdas is the folder with the functions, built as they ship by TestMain.
var lambdas string

func TestMain(m *testing.M) {
	_ = os.Unsetenv("AWS_CA_BUNDLE") // Or the AWS clients would read it, for a server without TLS.
	dir, err := os.MkdirTemp("", "sluice-local")
	if err != nil {
		panic(err)
	}
	if err := BuildFunctions(testenv.Root(), dir); err != nil {
		panic(err)
	}
	lambdas = dir
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// settings is a config with one target whose workers run the command.
func settings(t *testing.T, extra string, command ...string) string {
	t.Helper()
	argv, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "sluice.yaml")
	text := fmt.Sprintf(`version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets:
  - {name: video, cluster: media, service: workers, queues: [celery], max: 3, settle: 1s, grace: 0s}
%s
local:
  sweep_every: 1s
  services:
    - {cluster: media, service: workers, command: %s, dir: %s, start_delay: 10ms, stop_timeout: 10s}
`, extra, argv, dir)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// record keeps happenings.
type record struct {
	mu  sync.Mutex
	all []Happening
}

func (r *record) add(h Happening) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, h)
}

// wait waits until one of the happenings is as wanted, and returns the first.
func (r *record) wait(t *testing.T, what string, wanted func(Happening) bool) Happening {
	t.Helper()
	var found Happening
	if err := testenv.WaitFor(t.Context(), func() error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, h := range r.all {
			if wanted(h) {
				found = h
				return nil
			}
		}
		return errors.New(what + " has not happened")
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

func start(t *testing.T, path string, o Options) (*Cloud, *record) {
	t.Helper()
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	r := new(record)
	o.Config, o.ConfigPath, o.Lambdas, o.Watch = c, path, lambdas, r.add
	o.FunctionLog = t.Output()
	cloud, err := Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cloud.Close(); err != nil {
			t.Error(err)
		}
	})
	return cloud, r
}

// script runs Python with the environment of the cloud's clients and returns what it prints.
func script(t *testing.T, c *Cloud, text string, args ...string) string {
	t.Helper()
	cmd := exec.Command(testenv.Python(t), append([]string{"-c", text}, args...)...)
	cmd.Dir = "testdata"
	cmd.Env = append(os.Environ(), c.Env()...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("python: %v\n%s", err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// TestTheWholeWay is the product in small: a message and its event bring a real Celery worker up from zero, it does the
// work, and the sweep lets it go.
func TestTheWholeWay(t *testing.T) {
	path := settings(t, "", testenv.Python(t), "-m", "celery", "-A", "app", "worker", "--pool", "solo", "--loglevel", "WARNING")
	c, r := start(t, path, Options{})
	got := script(t, c, `
import json, boto3
from app import add
result = add.delay(2, 3)
boto3.client("events").put_events(Entries=[{"Source": "custom.celery.monitor", "DetailType": "celery.task.queue_full", "Detail": json.dumps({"scale_to": 1})}])
print(result.get(timeout=150))
`)
	if got != "5" {
		t.Errorf("got %q", got)
	}
	r.wait(t, "one worker", func(h Happening) bool { return h.Task != nil && h.Task.Task == "" && h.Task.Desired == 1 })
	r.wait(t, "the task of the worker", func(h Happening) bool { return h.Task != nil && h.Task.Status == "RUNNING" })
	d := r.wait(t, "a delivery", func(h Happening) bool { return h.Delivery != nil }).Delivery
	if d.Rule != RuleName || string(d.Event.Detail) != `{"scale_to": 1}` {
		t.Errorf("delivery %+v", d)
	}
	i := r.wait(t, "a scale-out", func(h Happening) bool {
		return h.Invocation != nil && h.Invocation.Function == ScaleOut && h.Invocation.Err == nil
	}).Invocation
	if ds := i.Decisions(); len(ds) != 1 || ds[0].Fields["target"] != "video" || ds[0].Fields["desired"] != 1.0 {
		t.Errorf("decisions %v of %q", ds, i.Log)
	}
	r.wait(t, "the scale-in", func(h Happening) bool {
		return h.Task != nil && h.Task.Task == "" && h.Task.Previous == 1 && h.Task.Desired == 0
	})
	r.wait(t, "the end of the task", func(h Happening) bool { return h.Task != nil && h.Task.Status == "STOPPED" })
	e := r.wait(t, "the end of a sweep", func(h Happening) bool {
		return h.Execution != nil && h.Execution.Ended != nil && strings.Contains(string(h.Execution.Ended.Output), "scaled in")
	}).Execution
	if e.Ended.Status != "SUCCEEDED" {
		t.Errorf("the sweep ended as %+v", e.Ended)
	}
	if l := c.Functions().DeadLetters(); len(l) != 0 {
		t.Errorf("dead letters %v", l)
	}
}

// Events that make no sense end in the dead-letter queue, with the reason, and never reach ECS.
func TestSenselessEventsBecomeDeadLetters(t *testing.T) {
	c, r := start(t, settings(t, "", "true"), Options{NoSweep: true, Retry: once})
	script(t, c, `
import boto3
for detail in '{"scale_to": "many"}', '{"target": "nobody"}':
    boto3.client("events").put_events(Entries=[{"Source": "custom.celery.monitor", "DetailType": "celery.task.queue_full", "Detail": detail}])
`)
	kinds := map[string]bool{}
	r.wait(t, "both dead letters", func(h Happening) bool {
		if h.DeadLetter != nil {
			kinds[h.DeadLetter.ErrorType] = true
		}
		return len(kinds) == 2
	})
	if !kinds["InvalidEvent"] || !kinds["UnknownTarget"] {
		t.Errorf("kinds %v", kinds)
	}
	if n := c.ECS().Calls()["UpdateService"]; n != 0 {
		t.Errorf("%d calls of UpdateService", n)
	}
}

// The sweep can be started and followed by public clients, and one that finds nothing ends at once.
func TestSweepByPublicClients(t *testing.T) {
	c, r := start(t, settings(t, "", "true"), Options{NoSweep: true})
	got := script(t, c, `
import json, time, boto3
c = boto3.client("stepfunctions")
machine = c.list_state_machines()["stateMachines"][0]["stateMachineArn"]
arn = c.start_execution(stateMachineArn=machine, name="by-hand", input="{}")["executionArn"]
while c.describe_execution(executionArn=arn)["status"] == "RUNNING": time.sleep(0.01)
d = c.describe_execution(executionArn=arn)
out = {"status": d["status"], "checked": json.loads(d["output"])["checked"], "types": [e["type"] for e in c.get_execution_history(executionArn=arn)["events"]]}
out["list"] = [e["name"] for e in c.list_executions(stateMachineArn=machine, statusFilter="SUCCEEDED")["executions"]]
def code(call, **kw):
    try: call(**kw)
    except c.exceptions.ClientError as e: return e.response["Error"]["Code"]
out["errors"] = [code(c.start_execution, stateMachineArn=machine, name="by-hand", input="{}"), code(c.describe_execution, executionArn=arn + "x"),
    code(c.start_execution, stateMachineArn=machine + "x"), code(c.start_execution, stateMachineArn=machine, input="{"), code(c.list_activities)]
print(json.dumps(out))
`)
	want := `{"status": "SUCCEEDED", "checked": 1, "types": ["ExecutionStarted", "TaskStateEntered", "TaskStateExited", ` +
		`"ChoiceStateEntered", "ChoiceStateExited", "SucceedStateEntered", "SucceedStateExited", "ExecutionSucceeded"], ` +
		`"list": ["by-hand"], "errors": ["ExecutionAlreadyExists", "ExecutionDoesNotExist", "StateMachineDoesNotExist", ` +
		`"InvalidExecutionInput", "UnknownOperationException"]}`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if e := r.wait(t, "its end", func(h Happening) bool { return h.Execution != nil && h.Execution.Ended != nil }).Execution; e.Name != "by-hand" {
		t.Errorf("execution %q", e.Name)
	}
}

func TestTheCLI(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true, Region: "eu-west-1"})
	for _, tt := range []struct{ args, want string }{
		{"ecs describe-services --cluster media --services workers --query services[0].desiredCount", "0"},
		{"ecs list-tasks --cluster media --query length(taskArns)", "0"},
		{`events put-events --entries [{"Source":"a","DetailType":"b","Detail":"{}"}] --query FailedEntryCount`, "0"},
		{"lambda invoke --function-name check --query StatusCode /dev/null", "200"},
		{"stepfunctions list-state-machines --query stateMachines[0].stateMachineArn", `"arn:aws:states:eu-west-1:000000000000:stateMachine:sluice-sweep"`},
		{"ecs describe-services --cluster media --services none --query failures[0].reason", `"MISSING"`},
	} {
		cmd := exec.Command(testenv.Python(t), append([]string{"-m", "awscli"}, strings.Fields(tt.args)...)...)
		cmd.Env = append(os.Environ(), c.Env()...)
		out, err := cmd.CombinedOutput()
		if err != nil || strings.TrimSpace(string(out)) != tt.want {
			t.Errorf("aws %s: %v\n%s\nwant %s", tt.args, err, out, tt.want)
		}
	}
}

func TestBrokerURLFromSecretsAndParameters(t *testing.T) {
	path := settings(t, "", "true")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{"url_secret: broker", `url_secret: "broker#url"`, "url_parameter: /broker/url"} {
		t.Run(where, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sluice.yaml")
			if err := os.WriteFile(path, []byte(strings.Replace(string(text), "url_env: REDIS_URL", where, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			c, r := start(t, path, Options{NoSweep: true})
			if _, err := c.StartSweep(); err != nil {
				t.Fatal(err)
			}
			e := r.wait(t, "the end", func(h Happening) bool { return h.Execution != nil && h.Execution.Ended != nil }).Execution
			if e.Ended.Status != "SUCCEEDED" {
				t.Errorf("%+v", e.Ended)
			}
			// A secret that no broker has is not there.
			got := script(t, c, `
import boto3
for call in lambda: boto3.client("secretsmanager").get_secret_value(SecretId="x"), lambda: boto3.client("ssm").get_parameter(Name="x"):
    try: call()
    except Exception as e: print(e.response["Error"]["Code"])
`)
			if got != "ResourceNotFoundException\nParameterNotFound" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestWhatCannotStart(t *testing.T) {
	good := settings(t, "", "true")
	for _, tt := range []struct {
		name string
		set  func(*Options)
		want string
	}{
		{"no functions", func(o *Options) { o.Lambdas = t.TempDir() }, "run `make build`"},
		{"an address for others", func(o *Options) { o.Addr = "0.0.0.0:0" }, "only a loopback address"},
		{"no address", func(o *Options) { o.Addr = "x" }, "listen on x"},
		{"no Redis", func(o *Options) { o.Config.Local.Redis = config.RedisNone }, "the environment variable REDIS_URL is not set"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("REDIS_URL", "")
			c, err := config.Load(good)
			if err != nil {
				t.Fatal(err)
			}
			o := Options{Config: c, ConfigPath: good, Lambdas: lambdas}
			tt.set(&o)
			cloud, err := Start(t.Context(), o)
			if err == nil {
				_ = cloud.Close()
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q", err, tt.want)
			}
		})
	}
}

// One ScaleOut at a time: so bursts are coalesced in the memory of one instance.
func TestScaleOutRunsOnceAtATime(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	c.ECS().Fail("DescribeServices", -1, ecs.Fault{Delay: time.Minute}) // However late the second call is, the first is under way.
	event := []byte(`{"source":"custom.celery.monitor","detail-type":"celery.task.queue_full","detail":{"scale_to":1}}`)
	if _, err := c.Functions().InvokeAsync(ScaleOut, event); err != nil {
		t.Fatal(err)
	}
	if err := testenv.WaitFor(t.Context(), func() error {
		if c.ECS().Calls()["DescribeServices"] == 0 {
			return errors.New("ECS was not asked yet")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	var e *lambda.Error
	if _, err := c.Functions().Invoke(t.Context(), ScaleOut, event); !errors.As(err, &e) || e.Code != "TooManyRequestsException" {
		t.Errorf("the second call: %v", err)
	}
}

func TestBrowsersAndUnknownCallsAreRefused(t *testing.T) {
	c, _ := start(t, settings(t, "", "true"), Options{NoSweep: true})
	for name, tt := range map[string]struct {
		header, value string
		want          int
	}{
		"browser":     {"Origin", "https://example.com", http.StatusForbidden},
		"rebound DNS": {"Host", "example.com", http.StatusForbidden},
		"unknown":     {"X-Amz-Target", "DynamoDB_20120810.ListTables", http.StatusBadRequest},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.Endpoint(), strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set(tt.header, tt.value)
		if tt.header == "Host" {
			req.Host = tt.value // The client takes it from there.
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: status %d", name, resp.StatusCode)
		}
	}
}
