package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/doctor"
	"sluice/lab/testenv"
)

func TestDoctorReport(t *testing.T) {
	t.Parallel()
	finding := func(id string, s doctor.Severity, subject, what string) doctor.Finding {
		f := doctor.Finding{ID: id, Severity: s, Subject: subject, What: what}
		if s != doctor.Unchecked {
			f.Why, f.Mend = "it matters", "mend it"
		}
		return f
	}
	r := doctorReport{Report: doctor.Report{
		Checked: 5, NotAsked: []string{"event-round-trip"},
		Findings: []doctor.Finding{
			finding("one", doctor.Fail, "target video", "it is\x1b[31m broken"), finding("two", doctor.Note, "", "a word"),
			finding("three", doctor.Unchecked, "broker redis", "no answer"), finding("four", doctor.Unchecked, "broker redis", "no answer"),
			finding("four", doctor.Unchecked, "target audio", "no answer"),
		},
	}, Fine: 1, Failed: 1, Noted: 1, Unchecked: 3}
	w := plainWriter(80)
	writeReport(w, r)
	want := `fail  one  target video
  it is�[31m broken
  Why: it matters.
  Mend: mend it.

note  two
  a word
  Why: it matters.
  Mend: mend it.

unchecked  broker redis
  no answer
  Not checked: three, four

unchecked  target audio
  no answer
  Not checked: four

5 checks: 1 fine, 1 failed, 1 noted, 3 times something could not be looked at
Not run: event-round-trip (--events sends an event).
`
	if diff := cmp.Diff(want, w.b.String()); diff != "" {
		t.Error(diff)
	}
}

func TestDoctorList(t *testing.T) {
	t.Parallel()
	status, stdout, stderr := execute(t, "doctor", "--list", "-o", "json")
	var list struct {
		Checks []struct{ ID, Finds, Why, Mend string }
	}
	if err := json.Unmarshal([]byte(stdout), &list); err != nil || status != exitOK || len(list.Checks) != len(doctor.Catalogue()) {
		t.Errorf("status %d, %d checks, %v\n%s", status, len(list.Checks), err, stderr)
	}
	status, stdout, _ = execute(t, "doctor", "--list", "--only", "stop-timeout,rule-disabled")
	for _, want := range []string{"DEPLOYMENT", "rule-disabled", "SERVICE", "stop-timeout"} {
		if !strings.Contains(stdout, want) || status != exitOK {
			t.Errorf("status %d, without %s:\n%s", status, want, stdout)
		}
	}
	if strings.Contains(stdout, "dead-letters") {
		t.Errorf("more than was asked for:\n%s", stdout)
	}
	status, _, stderr = execute(t, "doctor", "--only", "nonsense")
	if status != exitUsage || !strings.Contains(stderr, `no check "nonsense"`) {
		t.Errorf("status %d: %s", status, stderr)
	}
}

// TestDoctorWhoMayNothing has the doctor called by somebody whom AWS knows and allows nothing, and somebody whom it does not know.
func TestDoctorWhoMayNothing(t *testing.T) {
	path := write(t, "version: 1\nbrokers: [{name: redis, url: \"redis://"+testenv.RefusingAddr(t)+"/0\"}]\n"+
		"targets: [{name: video, cluster: prod, service: video, queues: [video], max: 3}]\n")
	for _, tt := range []struct {
		known  bool
		only   string
		status int
		want   string
	}{
		{known: true, status: exitProblem, want: "redis-unreachable"},
		{known: true, only: "caller-rights", status: exitOK, want: "arn:aws:iam::1:user/ann may not call cloudformation:DescribeStacks"},
		{known: true, only: "second-scaler", status: exitOK, want: "you may not call ecs:DescribeServices"},
		{only: "aws-identity", status: exitProblem, want: "AWS does not take the credentials"},
	} {
		cloud := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			if tt.known && strings.Contains(string(body), "GetCallerIdentity") {
				_, _ = io.WriteString(w, `<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult>`+
					`<Arn>arn:aws:iam::1:user/ann</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>`)
				return
			}
			w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
			w.WriteHeader(http.StatusForbidden)
			if r.Header.Get("X-Amz-Target") != "" {
				_, _ = io.WriteString(w, `{"__type": "AccessDeniedException"}`)
				return
			}
			_, _ = io.WriteString(w, `<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>`)
		}))
		client(t, cloud.URL)
		args := []string{"doctor", "--config", path}
		if tt.only != "" {
			args = append(args, "--only", tt.only)
		}
		status, stdout, stderr := execute(t, args...)
		cloud.Close()
		if status != tt.status || !strings.Contains(strings.Join(strings.Fields(stdout), " "), tt.want) {
			t.Errorf("%q: status %d, want %d and %q\n%s%s", args, status, tt.status, tt.want, stdout, stderr)
		}
	}
}

func TestDoctorCompletesChecks(t *testing.T) {
	t.Parallel()
	_, stdout, _ := execute(t, "__complete", "doctor", "--only", "")
	ids := []string{}
	for line := range strings.Lines(stdout) {
		id, _, _ := strings.Cut(line, "\t")
		ids = append(ids, id)
	}
	for _, c := range doctor.Catalogue() {
		if !slices.Contains(ids, c.ID) {
			t.Errorf("%s is not completed", c.ID)
		}
	}
}
