package lambda

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/lab/testenv"
)

// clientEnv is the environment of a public AWS client for the endpoint at url.
func clientEnv(url string) []string {
	env := []string{"AWS_ENDPOINT_URL=" + url, "AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_MAX_ATTEMPTS=1", "AWS_EC2_METADATA_DISABLED=true"}
	for _, kv := range os.Environ() {
		if !strings.HasPrefix(kv, "AWS_") {
			env = append(env, kv)
		}
	}
	return env
}

// TestPublicClients calls the host with boto3 and with the AWS CLI, unchanged but for the endpoint.
func TestPublicClients(t *testing.T) {
	python := testenv.Python(t)
	h := start(t, Function{Async: Async{NoRetry: true}}, Options{})
	srv := httptest.NewServer(h)
	defer srv.Close()

	const script = `
import base64, json, boto3
c = boto3.client("lambda")
out = {}
def call(name, **kw):
    try:
        r = c.invoke(**kw)
        out[name] = {"status": r["StatusCode"], "error": r.get("FunctionError"), "version": r.get("ExecutedVersion")}
        if "LogResult" in r: out[name]["log"] = base64.b64decode(r["LogResult"]).decode()
        body = r["Payload"].read()
        if out[name]["error"]: out[name]["payload"] = json.loads(body)
    except c.exceptions.ClientError as e:
        out[name] = {"refused": e.response["Error"]["Code"]}
call("sync", FunctionName="fn", Payload=b"{}")
call("arn", FunctionName="arn:aws:lambda:us-east-1:000000000000:function:fn", Payload=b"{}")
call("tail", FunctionName="fn", Payload=b'{"do":"log"}', LogType="Tail")
call("fail", FunctionName="fn", Payload=b'{"do":"fail"}')
call("event", FunctionName="fn", InvocationType="Event", Payload=b'{"do":"fail"}')
call("dry run", FunctionName="fn", InvocationType="DryRun")
call("unknown", FunctionName="other")
call("not json", FunctionName="fn", Payload=b"{")
print(json.dumps(out))
`
	cmd := exec.Command(python, "-c", script)
	cmd.Env = clientEnv(srv.URL)
	cmd.Stderr = os.Stderr
	raw, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("%v: %s", err, raw)
	}
	if log, _ := got["tail"]["log"].(string); !strings.Contains(log, "plain text") {
		t.Errorf("log tail %q", log)
	}
	delete(got["tail"], "log")
	ok := map[string]any{"status": 200.0, "error": nil, "version": "$LATEST"}
	want := map[string]map[string]any{
		"sync": ok, "arn": ok, "tail": ok,
		"fail": {
			"status": 200.0, "error": "Unhandled", "version": "$LATEST",
			"payload": map[string]any{"errorMessage": "it went wrong", "errorType": "errorString"},
		},
		"event":    {"status": 202.0, "error": nil, "version": nil},
		"dry run":  {"status": 204.0, "error": nil, "version": nil},
		"unknown":  {"refused": "ResourceNotFoundException"},
		"not json": {"refused": "InvalidRequestContentException"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if l := waitLetters(t, h, 1)[0]; l.ErrorMessage != "it went wrong" {
		t.Errorf("letter %+v", l)
	}

	file := t.TempDir() + "/out.json"
	cmd = exec.Command(python, "-m", "awscli", "lambda", "invoke", "--function-name", "fn", "--payload", `{"do":"env","name":"AWS_LAMBDA_FUNCTION_NAME"}`, file)
	cmd.Env = clientEnv(srv.URL)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `"StatusCode": 200`) {
		t.Fatalf("aws lambda invoke: %v\n%s", err, out)
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != `"fn"` {
		t.Errorf("the CLI got %s, %v", b, err)
	}
}

// A web page cannot take an invocation from a function: neither by a name of its own for 127.0.0.1, nor by an image.
func TestRuntimeAPIIsForTheRuntime(t *testing.T) {
	h := start(t, Function{}, Options{})
	var addr string
	if err := json.Unmarshal(invoke(t, h, `{"do":"env","name":"AWS_LAMBDA_RUNTIME_API"}`).Payload, &addr); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second) // Whoever is let in waits for an invocation.
	defer cancel()
	for name, change := range map[string]func(*http.Request){
		"rebound DNS":    func(r *http.Request) { r.Host = "example.com" },
		"a page's image": func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") },
	} {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/2018-06-01/runtime/invocation/next", nil)
		if err != nil {
			t.Fatal(err)
		}
		change(r)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d, want %d", name, resp.StatusCode, http.StatusForbidden)
		}
	}
}
