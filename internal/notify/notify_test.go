package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/deployed/decisions"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// fakeLogs is a CloudWatch Logs that gives few lines a page, and an empty page now and then.
type fakeLogs struct {
	groups   map[string][]logLine
	err      error
	patterns []string
	// hangs has it answer no more, once it has given so many pages.
	hangs, pages int
}

type logLine struct {
	at   time.Time
	text string
}

const pageSize = 3

func (f *fakeLogs) FilterLogEvents(
	ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput, _ ...func(*cloudwatchlogs.Options),
) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	f.pages++
	if f.hangs > 0 && f.pages > f.hangs {
		<-ctx.Done()
		return nil, fmt.Errorf("operation error: %w", ctx.Err())
	}
	f.patterns = append(f.patterns, *in.FilterPattern)
	var all []types.FilteredLogEvent
	for _, l := range f.groups[*in.LogGroupName] {
		ms := l.at.UnixMilli()
		if ms >= *in.StartTime && ms <= *in.EndTime { // Both ends are included, as AWS has it.
			all = append(all, types.FilteredLogEvent{Timestamp: &ms, Message: aws.String(l.text)})
		}
	}
	page := 0
	if in.NextToken != nil {
		_, _ = fmt.Sscan(*in.NextToken, &page)
	}
	out := &cloudwatchlogs.FilterLogEventsOutput{}
	if page%2 == 1 { // Every other page is empty.
		out.NextToken = aws.String(fmt.Sprint(page + 1))
		return out, f.err
	}
	from := page / 2 * pageSize
	out.Events = all[min(from, len(all)):min(from+pageSize, len(all))]
	if from+pageSize < len(all) {
		out.NextToken = aws.String(fmt.Sprint(page + 1))
	}
	return out, f.err
}

// fakeSNS keeps what is published.
type fakeSNS struct {
	published []*sns.PublishInput
	err       error
}

func (f *fakeSNS) Publish(_ context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	f.published = append(f.published, in)
	return &sns.PublishOutput{}, f.err
}

// world is a decision log and who is told of it.
type world struct {
	t    *testing.T
	logs *fakeLogs
	sns  *fakeSNS
	n    *Notifier
	seq  int
}

// The day of the tests, and its groups.
const (
	outGroup, checkGroup, inGroup = "/aws/lambda/out", "/aws/lambda/check", "/aws/lambda/in"
	date                          = "2026-11-22T"
)

func newWorld(t *testing.T) *world {
	t.Helper()
	c, err := config.Parse([]byte(`
version: 1
brokers: [{name: main, url: "redis://localhost"}]
targets:
  - {name: worker, cluster: prod, service: worker, queues: [celery], max: 10}
  - {name: video, cluster: prod, service: video, queues: [video], max: 10}
deploy: {stack: sluice, notify: {every: 15m}}
`), "")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, logs: &fakeLogs{groups: map[string][]logLine{}}, sns: &fakeSNS{}}
	w.n = &Notifier{
		config: c, region: "eu-west-1", log: slog.New(slog.NewJSONHandler(io.Discard, nil)), topic: "arn:topic",
		from: decisions.Log{Client: w.logs, Groups: []string{outGroup, checkGroup, inGroup}}, sns: w.sns,
	}
	return w
}

// at is a time of the day, such as "12:05" or "12:05:30".
func at(t *testing.T, clock string) time.Time {
	t.Helper()
	if len(clock) == len("12:05") {
		clock += ":00"
	}
	when, err := time.Parse(time.RFC3339, date+clock+"Z")
	if err != nil {
		t.Fatal(err)
	}
	return when
}

// log writes a line as a function does.
func (w *world) log(group, clock, message, request string, fields any) {
	w.t.Helper()
	line := map[string]any{"timestamp": date + clock, "level": "INFO", "message": message, "requestId": request}
	text, err := json.Marshal(fields)
	if err == nil {
		err = json.Unmarshal(text, &line)
	}
	if err == nil {
		text, err = json.Marshal(line)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.logs.groups[group] = append(w.logs.groups[group], logLine{at(w.t, clock), string(text)})
}

// check logs a look at one target in a sweep.
func (w *world) check(clock, target string, backlog int, reasons ...policy.Reason) {
	w.t.Helper()
	w.seq++
	zero := 0
	r := scaler.Record{UseCase: "check", Target: target, Backlog: &backlog, Active: &zero, Held: &zero, Reasons: reasons}
	if slices.Contains(reasons, policy.ReasonUnknown) {
		r.Backlog, r.Cause = nil, "broker main: WRONGPASS invalid username-password pair"
	}
	w.log(checkGroup, clock, "decision", fmt.Sprint("check-", w.seq), r)
}

// change logs a decision and what came of it.
func (w *world) change(clock, target string, from, to, backlog int, reasons ...policy.Reason) {
	w.t.Helper()
	group, useCase, status := outGroup, "scale_out", "scaled out"
	if to < from {
		group, useCase, status = inGroup, "scale_in", "scaled in"
	}
	w.seq++
	zero, request := 0, fmt.Sprint("change-", w.seq)
	w.log(group, clock, "decision", request, scaler.Record{
		UseCase: useCase, Target: target, Current: from, Desired: to, Backlog: &backlog, Active: &zero, Held: &zero, Reasons: reasons,
	})
	w.log(group, clock, "result", request, scaler.Change{Status: status, Target: target, Previous: from, DesiredCount: to, Reasons: reasons})
}

// run runs the period that ends a minute before the time, and returns what is published: subject and lines, "" if nothing is.
func (w *world) run(clock string) (subject string, lines []string) {
	w.t.Helper()
	w.sns.published = nil
	if _, err := w.n.Run(w.t.Context(), Input{Time: at(w.t, clock)}); err != nil {
		w.t.Fatal(err)
	}
	switch len(w.sns.published) {
	case 0:
		return "", nil
	case 1:
		p := w.sns.published[0]
		told, _, _ := strings.Cut(*p.Message, "\n\n")
		return *p.Subject, strings.Split(told, "\n")
	}
	w.t.Fatalf("%d messages in one period", len(w.sns.published))
	return "", nil
}

// expect is run, held against what is wanted.
func (w *world) expect(clock, subject string, lines ...string) {
	w.t.Helper()
	gotSubject, gotLines := w.run(clock)
	if gotSubject != subject {
		w.t.Errorf("at %s: subject %q, want %q", clock, gotSubject, subject)
	}
	if diff := cmp.Diff(lines, gotLines); diff != "" {
		w.t.Errorf("at %s (-want +got):\n%s", clock, diff)
	}
}

func TestADayInWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, c := range []string{"11:55", "12:00", "12:05", "12:10", "12:15"} {
		w.check(c, "video", 0, policy.ReasonSteady)
	}
	w.check("11:58", "worker", 0, policy.ReasonSteady)
	w.check("12:03", "worker", 0, policy.ReasonSteady)
	w.change("12:04", "worker", 0, 3, 12, policy.ReasonBacklog)
	w.check("12:08", "worker", 4, policy.ReasonWork)
	w.check("12:13", "worker", 0, policy.ReasonSettle)
	w.change("12:15:10", "worker", 3, 0, 0, policy.ReasonIdle)
	w.check("12:18", "worker", 0, policy.ReasonSteady)
	for _, c := range []string{"12:20", "12:25", "12:30", "12:35"} {
		w.check(c, "video", 0, policy.ReasonUnknown)
	}
	w.check("12:40", "video", 0, policy.ReasonSteady)

	w.expect("12:01", "")
	w.expect("12:16",
		"Sluice: worker 0 -> 3", "worker: 0 -> 3, 12 messages waited")
	w.expect("12:31", "Sluice: video cannot be seen; worker 3 -> 0",
		"video: cannot be seen since 12:20: broker main: WRONGPASS invalid username-password pair",
		"worker: 3 -> 0, idle for 2 m")
	w.expect("12:46", "Sluice: video seen again", "video: seen again")
	w.expect("13:01", "")
}

var errRefused = errors.New("AccessDeniedException")
