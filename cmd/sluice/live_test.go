package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	awsconfig "github.com/aws/aws-sdk-go-v2/config"

	"sluice/internal/config"
	"sluice/internal/deployed"
	"sluice/internal/scaler"
)

// asked is a Check function that gives one answer; with failure it is an error of the function.
func asked(t *testing.T, failure, answer string) (l *live, payload func() string) {
	t.Helper()
	var got string
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/2015-03-31/functions/check/invocations" {
			http.Error(w, r.URL.Path, http.StatusNotFound)
			return
		}
		body, _ := io.ReadAll(r.Body)
		got = string(body)
		if failure != "" {
			w.Header().Set("X-Amz-Function-Error", failure)
		}
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(srv.Close)
	client(t, srv.URL)
	sdk, err := awsconfig.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(write(t, valid))
	if err != nil {
		t.Fatal(err)
	}
	return &live{config: c, sdk: sdk, via: viaFunction, stack: &deployed.Stack{Check: deployed.Function{Name: "check"}}}, func() string { return got }
}

func TestPlanByTheFunction(t *testing.T) {
	const plan = `{"at":"2026-11-22T12:00:00Z","targets":[{"record":{"target":"video","action":"hold","backlog":3},"overrides":{"max":2}}],"config":"`
	l, payload := asked(t, "", plan+`x"}`)
	p, note, err := l.plan(t.Context(), scaler.PlanInput{Targets: []string{"video"}, Close: true})
	if err != nil || len(p.Targets) != 1 || !is(p.Targets[0].Record.Backlog, 3) || p.Targets[0].Record.Active != nil || !is(p.Targets[0].Overrides.Max, 2) {
		t.Errorf("%+v, %v", p, err)
	}
	if !strings.Contains(note, "another configuration") {
		t.Errorf("note %q", note)
	}
	if want := `{"plan":{"targets":["video"],"close":true}}`; payload() != want {
		t.Errorf("it was asked %s, want %s", payload(), want)
	}
	l, _ = asked(t, "", plan+l.config.Fingerprint()+`"}`)
	if _, note, err := l.plan(t.Context(), scaler.PlanInput{}); err != nil || note != "" {
		t.Errorf("with the same configuration: %q, %v", note, err)
	}
}

func TestPlanByTheFunctionFails(t *testing.T) {
	for _, tt := range []struct{ name, failure, answer, want string }{
		{"of an older one", "", `{"checked":1,"held":1,"targets":[]}`, "an older Sluice, which knows no plan: deploy again"},
		{"no such target", "Unhandled", `{"errorType":"UnknownTarget","errorMessage":"target \"video\" is not in sluice.yaml"}`, "is not in the deployed configuration yet"},
		{"a crash", "Unhandled", `{"errorType":"Runtime.ExitError","errorMessage":"exit status 2"}`, "Runtime.ExitError: exit status 2"},
		{"an answer of something else", "Unhandled", `oops`, "oops"},
		{"no JSON", "", `oops`, "read its answer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l, _ := asked(t, tt.failure, tt.answer)
			if _, _, err := l.plan(t.Context(), scaler.PlanInput{}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWhoLooks(t *testing.T) {
	client(t, "http://127.0.0.1:1")
	vpc := valid + "deploy: {vpc: {id: vpc-00000001, subnets: [subnet-00000001]}}\n"
	for _, tt := range []struct {
		file string
		flag via
		want via
	}{{valid, viaAuto, viaDirect}, {vpc, viaAuto, viaFunction}, {vpc, viaDirect, viaDirect}, {valid, viaFunction, viaFunction}} {
		c, err := config.Load(write(t, tt.file))
		if err != nil {
			t.Fatal(err)
		}
		cmd := statusCommand()
		cmd.SetContext(t.Context())
		if l, err := newLive(cmd, c, tt.flag); err != nil || l.via != tt.want {
			t.Errorf("--via %s: %v, %v; want %s", tt.flag, l, err, tt.want)
		}
	}
}

// What AWS settings lack is said with its remedy, before anything is asked.
func TestWithoutAWSSettings(t *testing.T) {
	file := write(t, valid)
	client(t, "http://127.0.0.1:1")
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	for _, command := range []string{"status", "plan", "why video"} {
		args := append(strings.Fields(command), "--config", file)
		if status, _, errs := execute(t, args...); status != 1 || !strings.Contains(errs, "there is no Region: set AWS_REGION, or deploy.region") {
			t.Errorf("%s without a Region: exit status %d: %s", command, status, errs)
		}
	}
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if status, _, errs := execute(t, "status", "--config", file); status != 1 || !strings.Contains(errs, "there are no credentials: log in (aws sso login)") {
		t.Errorf("without credentials: exit status %d: %s", status, errs)
	}
}

// AWS's own errors get a remedy, and lose what nobody needs.
func TestErrorsOfAWS(t *testing.T) {
	for code, want := range map[string]string{
		"AccessDeniedException": "lacks this right", "ExpiredTokenException": "log in again", "UnrecognizedClientException": "does not know these credentials",
		"ThrottlingException": "wait a minute",
	} {
		t.Run(code, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("X-Amzn-Errortype", code)
				w.WriteHeader(http.StatusForbidden)
				_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": "no"})
			}))
			defer srv.Close()
			l, _ := asked(t, "", "")
			client(t, srv.URL)
			t.Setenv("AWS_MAX_ATTEMPTS", "1")
			sdk, err := awsconfig.LoadDefaultConfig(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			l.sdk = sdk
			_, _, err = l.plan(t.Context(), scaler.PlanInput{})
			if err == nil || !strings.Contains(remedy(err), want) {
				t.Errorf("remedy of %v: %q, want %q", err, remedy(err), want)
			}
			if text := plainly(err); strings.Contains(text, "RequestID") || !strings.Contains(text, code) {
				t.Errorf("said as %q", text)
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	file := write(t, valid)
	client(t, "http://127.0.0.1:1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	if status := run(ctx, []string{"plan", "--via", "function", "--config", file}, &out, &errs); status != exitProblem || errs.String() != "sluice: interrupted\n" {
		t.Errorf("exit status %d: %s%s", status, out.String(), errs.String())
	}
}
