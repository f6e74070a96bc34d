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
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	ecstypes "github.com/aws/aws-sdk-go-v2/service/ecs/types"
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

// fakeECS has services of one kind each.
type fakeECS struct {
	service    ecstypes.Service
	definition ecstypes.TaskDefinition
	err        error
}

func (f *fakeECS) DescribeServices(
	_ context.Context, in *ecs.DescribeServicesInput, _ ...func(*ecs.Options),
) (*ecs.DescribeServicesOutput, error) {
	s := f.service
	s.ServiceName, s.TaskDefinition = &in.Services[0], aws.String("arn:definition")
	return &ecs.DescribeServicesOutput{Services: []ecstypes.Service{s}}, f.err
}

func (f *fakeECS) DescribeTaskDefinition(
	context.Context, *ecs.DescribeTaskDefinitionInput, ...func(*ecs.Options),
) (*ecs.DescribeTaskDefinitionOutput, error) {
	return &ecs.DescribeTaskDefinitionOutput{TaskDefinition: &f.definition}, f.err
}

// world is a decision log and who is told of it.
type world struct {
	t    *testing.T
	logs *fakeLogs
	sns  *fakeSNS
	ecs  *fakeECS
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
`), "")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, logs: &fakeLogs{groups: map[string][]logLine{}}, sns: &fakeSNS{}, ecs: &fakeECS{
		service:    ecstypes.Service{LaunchType: ecstypes.LaunchTypeFargate},
		definition: ecstypes.TaskDefinition{Cpu: aws.String("1024"), Memory: aws.String("2048")},
	}}
	w.n = &Notifier{
		config: c, region: "eu-west-1", every: 15 * time.Minute, stack: "sluice", log: slog.New(slog.NewJSONHandler(io.Discard, nil)), topic: "arn:topic",
		from: decisions.Log{Client: w.logs, Groups: []string{outGroup, checkGroup, inGroup}}, sns: w.sns, ecs: w.ecs,
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
		// 3 workers at $0.04937 an hour, but for 11 m 10 s of the 12 h 30 m.
		"worker: 3 -> 0, idle for 2 m; $1.82 saved today")
	w.expect("12:46", "Sluice: video seen again", "video: seen again")
	w.expect("13:01", "")
}

// TestSavings holds the amount against a day by hand, and that it is left out where it is not known.
func TestSavings(t *testing.T) {
	t.Parallel()
	const amount = "; $0.30 saved today"
	spot := []ecstypes.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE")}, {CapacityProvider: aws.String("FARGATE_SPOT")}}
	for name, tt := range map[string]struct {
		change func(w *world)
		want   string
	}{
		"on Fargate":           {func(*world) {}, amount},
		"by capacity provider": {func(w *world) { w.ecs.service = ecstypes.Service{CapacityProviderStrategy: spot[:1]} }, amount},
		"on Spot":              {func(w *world) { w.ecs.service = ecstypes.Service{CapacityProviderStrategy: spot} }, ""},
		"on EC2":               {func(w *world) { w.ecs.service.LaunchType = ecstypes.LaunchTypeEc2 }, ""},
		"on Arm": {func(w *world) {
			w.ecs.definition.RuntimePlatform = &ecstypes.RuntimePlatform{CpuArchitecture: ecstypes.CPUArchitectureArm64}
		}, "; $0.24 saved today"},
		"on Windows": {func(w *world) {
			w.ecs.definition.RuntimePlatform = &ecstypes.RuntimePlatform{OperatingSystemFamily: ecstypes.OSFamilyWindowsServer2022Core}
		}, ""},
		"without sizes":          {func(w *world) { w.ecs.definition.Cpu = nil }, ""},
		"in a Region like no":    {func(w *world) { w.n.region = "xx-north-9" }, ""},
		"where ECS says nothing": {func(w *world) { w.ecs.err = errRefused }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			// The peak is 4. Until 04:00: 2 h with 4 workers, 1 h with 2 and 1 h with none are 10 hours of 16; 6 x $0.04937.
			w.change("02:00", "worker", 4, 2, 0, policy.ReasonSurplus)
			w.check("02:50", "worker", 0, policy.ReasonSettle)
			w.change("03:00", "worker", 2, 0, 0, policy.ReasonIdle)
			tt.change(w)
			w.n.every = time.Hour + time.Minute
			w.expect("04:01", "Sluice: worker 2 -> 0", "worker: 2 -> 0, idle for 10 m"+tt.want)
		})
	}
}

// TestSavingsStandOnce holds that they stand beside the change, and not beside what else there is to tell of the target.
func TestSavingsStandOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.change("12:01", "worker", 2, 0, 0, policy.ReasonIdle)
	w.check("12:05", "worker", 0, policy.ReasonUnknown)
	w.check("12:10", "worker", 0, policy.ReasonUnknown)
	w.expect("12:16", "Sluice: worker cannot be seen; worker 2 -> 0",
		"worker: cannot be seen since 12:05: broker main: WRONGPASS invalid username-password pair",
		"worker: 2 -> 0, wholly and certainly idle; $0.02 saved today")
}

// TestTheRemedyIsTold holds that a long cause is told up to its end, where the remedy stands.
func TestTheRemedyIsTold(t *testing.T) {
	t.Parallel()
	const cause = "worker celery@ip-10-0-0-11.ec2.internal runs task shop.tasks.reports.batch and 3 more with a strategy of its own (as celery-batches " +
		"does), so what it executes cannot be seen: set activity: counter or none for this target"
	shown := (&target{name: "video", sight: sight{fails: 2, since: time.Date(2026, 11, 22, 12, 5, 0, 0, time.UTC), cause: cause}}).lines()
	if want := "video: cannot be seen since 12:05: " + cause; len(shown) != 1 || shown[0].text != want {
		t.Errorf("%+v, want %s", shown, want)
	}
}

// TestWords holds the sentence of each kind of change.
func TestWords(t *testing.T) {
	t.Parallel()
	type step struct {
		from, to, backlog int
		reasons           []policy.Reason
	}
	because := func(r ...policy.Reason) []policy.Reason { return r }
	for want, steps := range map[string][]step{
		"worker: 0 -> 1, 1 message waited":                                      {{0, 1, 1, because(policy.ReasonBacklog)}},
		"worker: 0 -> 2, as an event asked":                                     {{0, 2, 0, because(policy.ReasonDemand)}},
		"worker: 0 -> 2, min asks for this many workers":                        {{0, 2, 0, because(policy.ReasonMin)}},
		"worker: 1 -> 2, since messages waited beside idle workers":             {{1, 2, 9, because(policy.ReasonStuck)}},
		"worker: 3 -> 1, there are more workers than the work at hand asks for": {{3, 1, 2, because(policy.ReasonSurplus)}},
		"worker: 0 -> 3 -> 5, 12 messages waited":                               {{0, 3, 12, because(policy.ReasonBacklog)}, {3, 5, 40, because(policy.ReasonBacklog)}},
		"worker: 1 -> 2 -> 0 -> 1, as an event asked":                           {{1, 2, 0, because(policy.ReasonDemand)}, {0, 1, 0, because(policy.ReasonDemand)}},
		"worker: 0 -> 1 -> 2 -> ... -> 5 -> 6 -> 7, 3 messages waited":          nil,
		"worker: 0 -> 3 -> 2, 12 messages waited, there are more workers than the work at hand asks for": {
			{0, 3, 12, because(policy.ReasonBacklog)}, {3, 2, 1, because(policy.ReasonSurplus)},
		},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.ecs.err = errRefused // Without amounts.
			for i, s := range steps {
				w.change(fmt.Sprintf("12:0%d", i), "worker", s.from, s.to, s.backlog, s.reasons...)
			}
			for i := range 7 {
				if steps == nil {
					w.change(fmt.Sprintf("12:0%d", i), "worker", i, i+1, 3, policy.ReasonBacklog)
				}
			}
			if _, lines := w.run("12:16"); !slices.Equal(lines, []string{want}) {
				t.Errorf("got %q", lines)
			}
		})
	}
}

// TestOneLookThatFailsIsNoNews holds that a message is sent for what lasts, once, with its beginning; and that each period knows
// what the one before has told.
func TestOneLookThatFailsIsNoNews(t *testing.T) {
	t.Parallel()
	const seen, lost = policy.ReasonSteady, policy.ReasonUnknown
	for name, tt := range map[string]struct {
		looks []policy.Reason // Each five minutes, from 11:45 on; the periods begin at 12:00, 12:15 and 12:30.
		want  [3]string
	}{
		"always seen":              {[]policy.Reason{seen, seen, seen, seen, seen, seen, seen, seen, seen, seen, seen, seen}, [3]string{}},
		"one look":                 {[]policy.Reason{seen, seen, seen, seen, lost, seen, seen, seen, seen, seen, seen, seen}, [3]string{}},
		"one at a period's end":    {[]policy.Reason{seen, seen, seen, seen, seen, lost, seen, seen, seen, seen, seen, seen}, [3]string{}},
		"two about a period's end": {[]policy.Reason{seen, seen, seen, seen, seen, lost, lost, seen, seen, seen, seen, seen}, [3]string{}},
		"over a period's end":      {[]policy.Reason{seen, seen, seen, seen, seen, lost, lost, lost, lost, seen, seen, seen}, [3]string{"", "since 12:10", "again"}},
		"for long":                 {[]policy.Reason{seen, seen, seen, seen, lost, lost, lost, lost, lost, lost, lost, lost}, [3]string{"since 12:05", "", ""}},
		"from the beginning":       {[]policy.Reason{lost, lost, lost, lost, lost, lost, lost, seen, lost, lost, lost, lost}, [3]string{"", "seen again", "since 12:25"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			for i, reason := range tt.looks {
				w.check(at(t, "11:45").Add(time.Duration(i)*5*time.Minute).Format("15:04"), "video", 0, reason)
			}
			for i, clock := range []string{"12:16", "12:31", "12:46"} {
				_, lines := w.run(clock)
				got := strings.Join(lines, "; ")
				if tt.want[i] == "" && got != "" || !strings.Contains(got, tt.want[i]) {
					t.Errorf("at %s: %q, want %q", clock, got, tt.want[i])
				}
			}
		})
	}
}

// TestBounds holds that a message is fit for SNS and for people, however much has happened.
func TestBounds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 262 {
		w.change("12:04", fmt.Sprintf("target-%03d", i), 0, 1+i%5, 7, policy.ReasonBacklog)
	}
	for _, c := range []string{"12:05", "12:10"} {
		w.check(c, "video", 0, policy.ReasonUnknown)
	}
	subject, lines := w.run("12:16")
	if want := "Sluice: video cannot be seen; target-004 0 -> 5; target-009 0 -> 5; target-014 0 -> 5; 259 more"; subject != want {
		t.Errorf("subject %q, want %q", subject, want)
	}
	if len(subject) > maxSubject || len(lines) != maxLines+1 || !strings.HasPrefix(lines[0], "video: cannot be seen") ||
		lines[1] != "target-004: 0 -> 5, 7 messages waited" || lines[maxLines] != "and 213 more" {
		t.Errorf("%d lines: %q ... %q", len(lines), lines[:3], lines[len(lines)-2:])
	}
	long := message{stack: "Prüfung-" + strings.Repeat("x", 200), lines: []line{{short: strings.Repeat("y", 63) + " cannot be seen"}}}
	if s := long.subject(); len(s) > maxSubject || strings.ContainsFunc(s, func(r rune) bool { return r > '~' || r < ' ' }) {
		t.Errorf("subject %q", s)
	}
}

// TestALogThatIsTooLong holds that what could be read is told, and that the rest was not.
func TestALogThatIsTooLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.change("12:04", "worker", 0, 3, 12, policy.ReasonBacklog)
		w.change("12:06", "video", 0, 1, 2, policy.ReasonBacklog)
		w.check("12:10", "worker", 0, policy.ReasonSteady)
		w.logs.hangs = 3 // The first page of each group, and none of what follows.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := w.n.Run(ctx, Input{Time: at(t, "12:16")}); err != nil {
			t.Fatal(err)
		}
		body := *w.sns.published[0].Message
		for _, part := range []string{"worker: 0 -> 3, 12 messages waited\n", "nothing is told of what came after 12:06:00"} {
			if !strings.Contains(body, part) {
				t.Errorf("%q is not in:\n%s", part, body)
			}
		}
	})
}

var errRefused = errors.New("AccessDeniedException")

// TestErrors holds that what cannot be read or told is an error, so that Lambda tries again and the dead letters have it.
func TestErrors(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.logs.err = errRefused
	if _, err := w.n.Run(t.Context(), Input{Time: at(t, "12:16")}); !errors.Is(err, errRefused) || len(w.sns.published) > 0 {
		t.Errorf("a log that cannot be read: %v, %d published", err, len(w.sns.published))
	}
	w = newWorld(t)
	w.sns.err = errRefused
	w.change("12:04", "worker", 0, 3, 12, policy.ReasonBacklog)
	if _, err := w.n.Run(t.Context(), Input{Time: at(t, "12:16")}); !errors.Is(err, errRefused) {
		t.Errorf("a topic that refuses: %v", err)
	}
	for payload, want := range map[string]policy.Kind{`{"time": "2026-11-22T12:15:00Z"}`: "", `{}`: policy.InvalidEvent, `x`: policy.InvalidEvent} {
		var e *policy.Error
		if _, err := ParseInput([]byte(payload)); (want == "") != (err == nil) || err != nil && (!errors.As(err, &e) || e.Kind != want) {
			t.Errorf("%s: %v", payload, err)
		}
	}
}
