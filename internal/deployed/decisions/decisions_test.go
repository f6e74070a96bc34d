package decisions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	diff "github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// logs answers as CloudWatch Logs does, two events to a page, with an empty page first. It filters by time only: a pattern may let
// through more than was asked for, and does here.
type logs struct {
	groups map[string][]types.FilteredLogEvent
	calls  []cloudwatchlogs.FilterLogEventsInput
}

// add adds a line to a group, so many seconds after noon.
func (l *logs) add(group string, second int, format string, args ...any) {
	if l.groups == nil {
		l.groups = map[string][]types.FilteredLogEvent{}
	}
	at := noon.Add(time.Duration(second) * time.Second).UnixMilli()
	l.groups[group] = append(l.groups[group], types.FilteredLogEvent{Timestamp: &at, Message: aws.String(fmt.Sprintf(format, args...))})
}

func (l *logs) decision(group string, second int, target string) {
	l.add(group, second, `{"message":"decision","v":1,"target":%q,"wish":%d,"later":null}`, target, second)
}

func (l *logs) FilterLogEvents(
	ctx context.Context, in *cloudwatchlogs.FilterLogEventsInput, _ ...func(*cloudwatchlogs.Options),
) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	l.calls = append(l.calls, *in)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	all, ok := l.groups[*in.LogGroupName]
	if !ok {
		return nil, &types.ResourceNotFoundException{}
	}
	var found []types.FilteredLogEvent
	for _, e := range all {
		if *e.Timestamp >= *in.StartTime && *e.Timestamp <= *in.EndTime {
			found = append(found, e)
		}
	}
	slices.SortStableFunc(found, func(a, b types.FilteredLogEvent) int { return cmp.Compare(*a.Timestamp, *b.Timestamp) })
	if in.StartFromHead != nil && !*in.StartFromHead {
		slices.Reverse(found)
	}
	if in.NextToken == nil {
		return &cloudwatchlogs.FilterLogEventsOutput{NextToken: aws.String("0")}, nil
	}
	at, err := strconv.Atoi(*in.NextToken)
	if err != nil {
		return nil, err
	}
	end := min(at+2, len(found))
	out := &cloudwatchlogs.FilterLogEventsOutput{Events: found[at:end]}
	if end < len(found) {
		out.NextToken = aws.String(strconv.Itoa(end))
	}
	return out, nil
}

// told is what is read, as texts.
func told(t *testing.T, l Log, q Query) (lines []string) {
	t.Helper()
	if q.Until.IsZero() {
		q.Since, q.Until = noon, noon.Add(time.Hour)
	}
	for e, err := range l.Records(t.Context(), q) {
		if err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprintf("%d %s ", int(e.Time.Sub(noon).Seconds()), e.Group)
		switch {
		case e.Decision != nil:
			lines = append(lines, fmt.Sprintf("%sdecision %s %d", at, e.Decision.Target, e.Decision.Wish))
		case e.Result != nil:
			lines = append(lines, at+"result "+e.Result.Target+" "+e.Result.Status)
		case e.Sweep != nil:
			lines = append(lines, fmt.Sprintf("%ssweep %d", at, e.Sweep.Checked))
		default:
			lines = append(lines, at+"unreadable "+e.Unreadable)
		}
	}
	return lines
}

func filled() *logs {
	l := &logs{}
	for i := range 5 {
		l.decision("/check", 10*i, "video")
		l.decision("/check", 10*i, "audio")
		l.add("/check", 10*i+1, `{"message":"sweep","checked":2,"held":2}`)
	}
	l.decision("/in", 11, "video")
	l.add("/in", 12, `{"message":"result","target":"video","status":"scaled in"}`)
	l.add("/in", 12, `{"type":"platform.report","record":{}}`)
	l.add("/in", 12, `panic: no JSON`)
	l.add("/in", 12, `{"message":"another","target":"video"}`)
	l.add("/out", 31, `{"message":"decision","target":"video","wish":"many"}`)
	return l
}

func TestRecords(t *testing.T) {
	all := []string{
		"0 /check decision video 0", "0 /check decision audio 0", "1 /check sweep 2",
		"10 /check decision video 10", "10 /check decision audio 10", "11 /check sweep 2", "11 /in decision video 11", "12 /in result video scaled in",
		"20 /check decision video 20", "20 /check decision audio 20", "21 /check sweep 2",
		"30 /check decision video 30", "30 /check decision audio 30", `31 /out unreadable {"message":"decision","target":"video","wish":"many"}`, "31 /check sweep 2",
		"40 /check decision video 40", "40 /check decision audio 40", "41 /check sweep 2",
	}
	for _, tt := range []struct {
		name string
		q    Query
		want []string
	}{
		{"all", Query{}, all},
		{"one target", Query{Targets: []string{"audio"}}, []string{
			"0 /check decision audio 0", "10 /check decision audio 10", "20 /check decision audio 20", "30 /check decision audio 30", "40 /check decision audio 40",
		}},
		{"results", Query{Messages: []Message{Result}}, []string{"12 /in result video scaled in"}},
		{"a time", Query{Since: noon.Add(10 * time.Second), Until: noon.Add(12 * time.Second)}, all[3:7]},
		{"newest first", Query{Since: noon.Add(11 * time.Second), Until: noon.Add(21 * time.Second), NewestFirst: true}, []string{
			"20 /check decision audio 20", "20 /check decision video 20", "12 /in result video scaled in", "11 /check sweep 2", "11 /in decision video 11",
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if d := diff.Diff(tt.want, told(t, Log{filled(), []string{"/out", "/check", "/in"}}, tt.q)); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// TestNoLineTwice holds that who goes on where they ended reads each line once, wherever within a millisecond that was.
func TestNoLineTwice(t *testing.T) {
	l := &logs{}
	l.decision("/check", 10, "worker")
	log := Log{Client: l, Groups: []string{"/check"}}
	for _, within := range []time.Duration{-1, 0, 1, time.Millisecond / 2, time.Millisecond - 1, time.Millisecond} {
		cut := noon.Add(10*time.Second + within)
		before, after := told(t, log, Query{Since: noon, Until: cut}), told(t, log, Query{Since: cut, Until: noon.Add(time.Minute)})
		if len(before)+len(after) != 1 || (len(before) == 1) != (within > 0) {
			t.Errorf("cut %v after the line: %d before it, %d from it on", within, len(before), len(after))
		}
	}
}

func TestLatestReadsNoFurtherThanItHasTo(t *testing.T) {
	l := filled()
	last, err := Log{l, []string{"/out", "/check", "/in"}}.Latest(t.Context(), noon, noon.Add(time.Hour), []string{"video", "audio"})
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{"video", "audio"} {
		if e := last[target]; e.Decision == nil || e.Decision.Wish != 40 || !e.Time.Equal(noon.Add(40*time.Second)) {
			t.Errorf("%s: %+v", target, e)
		}
	}
	if len(l.calls) > 10 { // All of it are 15.
		t.Errorf("%d pages were read", len(l.calls))
	}
	last, err = Log{l, []string{"/check"}}.Latest(t.Context(), noon, noon.Add(time.Hour), []string{"new"})
	if err != nil || len(last) != 0 {
		t.Errorf("of a target without any: %v, %v", last, err)
	}
}

func TestPattern(t *testing.T) {
	for _, tt := range []struct {
		q    Query
		want string
	}{
		{Query{}, `{ ($.message = "decision" || $.message = "result" || $.message = "sweep") }`},
		{
			Query{Messages: []Message{Decision}, Targets: []string{"a", "b"}},
			`{ ($.message = "decision") && ($.target = "a" || $.target = "b") }`,
		},
		{Query{Messages: []Message{Result}, Targets: slices.Repeat([]string{"a"}, 100)}, `{ ($.message = "result") }`},
	} {
		if got := *tt.q.pattern(); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

func TestErrorsEndIt(t *testing.T) {
	var errs []error
	for _, err := range (Log{filled(), []string{"/check", "/gone"}}).Records(t.Context(), Query{Since: noon, Until: noon.Add(time.Hour)}) {
		errs = append(errs, err)
	}
	if len(errs) != 1 || !strings.Contains(fmt.Sprint(errs[0]), "read log group /gone: it is not there") {
		t.Errorf("%v", errs)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, err := range (Log{filled(), []string{"/check"}}).Records(ctx, Query{Since: noon, Until: noon.Add(time.Hour)}) {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
	}
}

// busy is CloudWatch Logs beyond its quota: it refuses a number of requests before it answers.
type busy struct{ refuse int }

func (b *busy) Do(*http.Request) (*http.Response, error) {
	status, body := http.StatusOK, `{"events":[]}`
	if b.refuse > 0 {
		b.refuse--
		status, body = http.StatusBadRequest, `{"__type":"ThrottlingException","message":"Rate exceeded"}`
	}
	return &http.Response{
		StatusCode: status, Body: io.NopCloser(strings.NewReader(body)),
		Header: http.Header{"Content-Type": {"application/x-amz-json-1.1"}},
	}, nil
}

func TestThrottlingIsWaitedFor(t *testing.T) {
	for _, tt := range []struct {
		refused int
		ok      bool
	}{{0, true}, {11, true}, {12, false}} {
		t.Run(strconv.Itoa(tt.refused), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				c := cloudwatchlogs.New(cloudwatchlogs.Options{
					Region: "eu-central-1", Credentials: credentials.NewStaticCredentialsProvider("a", "b", ""), HTTPClient: &busy{tt.refused},
				})
				for _, err := range (Log{c, []string{"/check"}}).Records(t.Context(), Query{Since: noon, Until: noon.Add(time.Hour)}) {
					if (err == nil) != tt.ok {
						t.Errorf("error %v", err)
					}
				}
				if waited := time.Since(start); !tt.ok && waited < 10*time.Second {
					t.Errorf("it gave up after %v", waited)
				}
			})
		})
	}
}
