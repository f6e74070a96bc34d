package exporter

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cfntypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	logtypes "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"sluice/internal/policy"
	"sluice/internal/scaler"
)

// fakeStack is a deployed stack: its outputs, its logs and its queues.
type fakeStack struct {
	mu     sync.Mutex
	finds  int
	gone   bool
	broken error
	most   time.Duration // How much of a log can be read at once; 0 is all.
	lines  map[string][]logtypes.FilteredLogEvent
	queues map[string]string // The lengths, by URL.
}

func (f *fakeStack) DescribeStacks(
	context.Context, *cloudformation.DescribeStacksInput, ...func(*cloudformation.Options),
) (*cloudformation.DescribeStacksOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.finds++
	if f.gone {
		return nil, errors.New("no such stack")
	}
	var outputs []cfntypes.Output
	for _, o := range strings.Fields("ScaleOutFunction=out ScaleOutLogs=/out CheckFunction=check CheckLogs=/check ScaleInFunction=in ScaleInLogs=/in " +
		"StateMachine=arn Rule=rule Schedules=s1 ScheduleGroup=g ScaleOutDeadLetters=http://q/out RuleDeadLetters=http://q/rule") {
		key, value, _ := strings.Cut(o, "=")
		outputs = append(outputs, cfntypes.Output{OutputKey: &key, OutputValue: &value})
	}
	return &cloudformation.DescribeStacksOutput{Stacks: []cfntypes.Stack{{Outputs: outputs}}}, nil
}

func (f *fakeStack) FilterLogEvents(
	_ context.Context, in *cloudwatchlogs.FilterLogEventsInput, _ ...func(*cloudwatchlogs.Options),
) (*cloudwatchlogs.FilterLogEventsOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil && *in.LogGroupName == "/in" { // The others have been read by then.
		return nil, f.broken
	}
	if asked := time.Duration(*in.EndTime-*in.StartTime) * time.Millisecond; f.most > 0 && asked > f.most {
		return nil, context.DeadlineExceeded
	}
	out := &cloudwatchlogs.FilterLogEventsOutput{}
	for _, e := range f.lines[*in.LogGroupName] {
		if *e.Timestamp >= *in.StartTime && *e.Timestamp <= *in.EndTime {
			out.Events = append(out.Events, e)
		}
	}
	return out, nil
}

func (f *fakeStack) GetQueueAttributes(
	_ context.Context, in *sqs.GetQueueAttributesInput, _ ...func(*sqs.Options),
) (*sqs.GetQueueAttributesOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	n, ok := f.queues[*in.QueueUrl]
	if !ok {
		return nil, errors.New("no such queue")
	}
	return &sqs.GetQueueAttributesOutput{Attributes: map[string]string{"ApproximateNumberOfMessages": n}}, nil
}

// log adds a line that a function writes now.
func (f *fakeStack) log(t *testing.T, group, message string, fields any) {
	t.Helper()
	f.logLate(t, group, message, fields, 0)
}

// logLate adds a line that a function wrote a while ago, and that the log has only now.
func (f *fakeStack) logLate(t *testing.T, group, message string, fields any, late time.Duration) {
	t.Helper()
	text, err := json.Marshal(fields)
	line := map[string]any{}
	if err == nil {
		err = json.Unmarshal(text, &line)
	}
	line["message"] = message
	if err == nil {
		text, err = json.Marshal(line)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines[group] = append(f.lines[group], logtypes.FilteredLogEvent{Timestamp: aws.Int64(time.Now().Add(-late).UnixMilli()), Message: aws.String(string(text))})
}

// change changes it while it is looked at.
func (f *fakeStack) change(how func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	how()
}

func (f *fakeStack) deployment() *deployment { return &deployment{client: f, name: "sluice"} }

// TestTheLogIsCounted holds that each line is counted once: whenever it comes, and also when a read fails half way.
func TestTheLogIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStack{lines: map[string][]logtypes.FilteredLogEvent{}}
		f.log(t, "/check", "sweep", scaler.Sweep{Checked: 2})
		f.log(t, "/out", "result", scaler.Change{Target: "worker", Previous: 0, DesiredCount: 1})
		swept := time.Now()
		time.Sleep(time.Minute)
		e := start(t, newDecisions(f.deployment(), f, testConfig(t), 30*time.Second))
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{
			`sluice_sweeps_total`: "0", `sluice_changes_total{direction="out",target="worker"}`: "",
			`sluice_last_sweep_timestamp_seconds`: jsonNumber(t, float64(swept.Unix())), `sluice_source_up{source="decisions"}`: "1",
		})
		for i := range 10 {
			f.log(t, "/check", "decision", scaler.Record{Target: "worker", UseCase: "check", Action: policy.Hold, Reasons: []policy.Reason{policy.ReasonSteady}})
			f.log(t, "/check", "decision", scaler.Record{Target: "stranger", UseCase: "check", Action: policy.Hold})
			f.log(t, "/check", "sweep", scaler.Sweep{Checked: 2})
			f.log(t, "/out", "result", scaler.Change{Target: "worker", Previous: i, DesiredCount: i + 1, EventToCountMS: new(int64(400))})
			f.log(t, "/out", "result", scaler.Change{Target: "worker", Previous: i + 1, DesiredCount: i + 1})
			f.log(t, "/in", "result", scaler.Change{Target: "video", Previous: 2, DesiredCount: 1})
			f.log(t, "/in", "decision", scaler.Record{
				Target: "video", UseCase: "scale_in", Action: policy.ScaleIn,
				Reasons: []policy.Reason{policy.ReasonSurplus, policy.ReasonStep}, StartS: new(31.5),
			})
			f.change(func() {
				if f.broken = nil; i%3 == 1 {
					f.broken = errors.New("throttled")
				}
			})
			time.Sleep(17 * time.Second)
			f.logLate(t, "/out", "result", scaler.Change{Target: "video", Previous: 1, DesiredCount: 2}, 12*time.Second)
		}
		last := time.Now().Add(-17 * time.Second)
		f.change(func() { f.broken = nil })
		time.Sleep(2 * time.Minute)
		want(t, scrape(t, e), map[string]string{
			`sluice_sweeps_total`: "10",
			`sluice_decisions_total{action="hold",target="worker",use_case="check"}`:       "10",
			`sluice_decisions_total{action="hold",target="stranger",use_case="check"}`:     "",
			`sluice_decisions_total{action="scale_in",target="video",use_case="scale_in"}`: "10",
			`sluice_decision_reasons_total{reason="surplus",target="video"}`:               "10",
			`sluice_decision_reasons_total{reason="step",target="video"}`:                  "10",
			`sluice_changes_total{direction="out",target="worker"}`:                        "10",
			`sluice_changes_total{direction="out",target="video"}`:                         "10",
			`sluice_changes_total{direction="in",target="worker"}`:                         "",
			`sluice_changes_total{direction="in",target="video"}`:                          "10",
			`sluice_event_to_count_seconds_count{target="worker"}`:                         "10",
			`sluice_event_to_count_seconds_bucket{target="worker",le="0.5"}`:               "10",
			`sluice_event_to_count_seconds_bucket{target="worker",le="0.25"}`:              "0",
			`sluice_count_to_worker_seconds{target="video"}`:                               "31.5",
			`sluice_last_sweep_timestamp_seconds`:                                          jsonNumber(t, float64(last.Unix())),
		})
		synctest.Wait()
		if f.finds > 6 {
			t.Errorf("the stack was looked for %d times: it stays where it is", f.finds)
		}
	})
}

// TestALongOutageIsCaughtUp holds that a log of days, which nobody can read within a look's time, is counted in the end.
func TestALongOutageIsCaughtUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStack{lines: map[string][]logtypes.FilteredLogEvent{}}
		e := start(t, newDecisions(f.deployment(), f, testConfig(t), 30*time.Second))
		synctest.Wait()
		f.change(func() { f.broken, f.most = errors.New("throttled"), time.Hour })
		for range 50 {
			f.log(t, "/check", "sweep", scaler.Sweep{Checked: 2})
			time.Sleep(time.Hour)
		}
		f.change(func() { f.broken = nil })
		time.Sleep(time.Minute)
		want(t, scrape(t, e), map[string]string{`sluice_sweeps_total`: "50", `sluice_source_up{source="decisions"}`: "1"})
	})
}

// jsonNumber is a number as the text form has it.
func jsonNumber(t *testing.T, f float64) string {
	t.Helper()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	// Prometheus's form has an exponent: 9.466848e+08.
	digits := strings.TrimRight(string(text), "0")
	return digits[:1] + "." + digits[1:] + "e+0" + string(rune('0'+len(text)-1))
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStack{queues: map[string]string{"http://q/out": "3", "http://q/rule": "0"}}
		e := start(t, newDeadLetters(f.deployment(), f))
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{
			`sluice_dead_letter_messages{queue="ScaleOut"}`: "3", `sluice_dead_letter_messages{queue="Rule"}`: "0",
			`sluice_source_up{source="dead_letters"}`: "1",
		})
		f.change(func() { delete(f.queues, "http://q/rule") })
		time.Sleep(deadLettersEvery)
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{
			`sluice_dead_letter_messages{queue="ScaleOut"}`: "", `sluice_dead_letter_messages{queue="Rule"}`: "",
			`sluice_source_up{source="dead_letters"}`: "0",
		})
	})
}

// TestAStackThatIsNotThere holds that the others are shown all the same, and that it is found once it is deployed.
func TestAStackThatIsNotThere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStack{gone: true, queues: map[string]string{"http://q/out": "3", "http://q/rule": "0"}}
		d := f.deployment()
		p := &stubPlanner{plan: plan(seen("worker", 12))}
		e := start(t, newTargets(p, testConfig(t), 30*time.Second), newDecisions(d, f, testConfig(t), 30*time.Second), newDeadLetters(d, f))
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{
			`sluice_source_up{source="targets"}`: "1", `sluice_source_up{source="decisions"}`: "0", `sluice_source_up{source="dead_letters"}`: "0",
			`sluice_due_backlog_messages{target="worker"}`: "12",
		})
		f.change(func() { f.gone = false })
		time.Sleep(deadLettersEvery)
		synctest.Wait()
		want(t, scrape(t, e), map[string]string{`sluice_source_up{source="decisions"}`: "1", `sluice_dead_letter_messages{queue="ScaleOut"}`: "3"})
	})
}
