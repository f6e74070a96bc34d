// Package notify tells people in words what has changed: at most one message a period, and none if nothing has.
//
// It runs beside the three functions and not in them, so that none of them waits for it. A schedule starts it at the end of
// each period. It reads the decision log of that period, and as much of the time before as it takes to know what is new, and
// publishes one message to an SNS topic. So it is limited by construction, however much happens, and it remembers nothing:
// what has been told follows from the log alone.
//
// Three things are told of a target: that its count was changed, and why; that it cannot be seen any more, and since when;
// and that it is seen again. What it costs not to have workers around the clock is said where it can be known.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"sluice/internal/config"
	"sluice/internal/deployed/decisions"
	"sluice/internal/policy"
	"sluice/internal/price/fargate"
)

// lag is how far a period ends before the time at which it is asked about: a line is in the log some seconds after it was written.
const lag = time.Minute

// snsAPI is the call that sends a digest.
type snsAPI interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Options are what a Notifier is made of.
type Options struct {
	Config    *config.Config
	AWS       aws.Config
	Log       *slog.Logger
	Every     time.Duration // How long a period is.
	Topic     string        // The ARN of the SNS topic.
	LogGroups []string      // Where the functions' decisions are.
	Stack     string        // The name of the stack that tells; "" if that is not known.
}

// Notifier tells what has changed.
type Notifier struct {
	config *config.Config
	region string
	log    *slog.Logger
	every  time.Duration
	stack  string
	topic  string
	from   decisions.Log
	sns    snsAPI
	ecs    fargate.API
}

// New returns a notifier. It errs if it is not told where to read or to publish.
func New(o Options) (*Notifier, error) {
	switch {
	case o.Every <= 0:
		return nil, invalidConfig("the environment variable SLUICE_NOTIFY_EVERY is not set to a time such as 15m: the deployment sets it: deploy again")
	case o.Topic == "":
		return nil, invalidConfig("the environment variable SLUICE_TOPIC_ARN is not set: the deployment sets it: deploy again")
	case len(o.LogGroups) == 0:
		return nil, invalidConfig("the environment variable SLUICE_LOG_GROUPS is not set: the deployment sets it: deploy again")
	}
	return &Notifier{
		config: o.Config, region: o.AWS.Region, log: o.Log, every: o.Every, stack: o.Stack, topic: o.Topic,
		from: decisions.Log{Client: cloudwatchlogs.NewFromConfig(o.AWS), Groups: o.LogGroups},
		sns:  sns.NewFromConfig(o.AWS), ecs: ecs.NewFromConfig(o.AWS),
	}, nil
}

// Input is what the schedule sends: the time for which it was due, which is that of the retries, too.
type Input struct {
	Time time.Time `json:"time"`
}

// ParseInput reads the payload of an invocation.
func ParseInput(payload []byte) (Input, error) {
	var in Input
	if err := json.Unmarshal(payload, &in); err != nil {
		return in, &policy.Error{Kind: policy.InvalidEvent, Err: fmt.Errorf("input of notify: %w", err)}
	}
	if in.Time.IsZero() {
		return in, &policy.Error{Kind: policy.InvalidEvent, Err: errors.New(
			`input of notify: time is missing: give the end of the period, as in {"time": "2026-11-22T12:15:00Z"}`)}
	}
	return in, nil
}

// Answer is what came of an invocation.
type Answer struct {
	Status string    `json:"status"` // "published", or "quiet" if nothing has changed.
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until"`
	Lines  int       `json:"lines"` // How much there was to tell.
}

// Run tells what has changed in the period that ends at the input's time.
func (n *Notifier) Run(ctx context.Context, in Input) (Answer, error) {
	until := in.Time.UTC().Add(-lag)
	since := until.Add(-n.every)
	d := newDigest(since)
	reading, cancel := mostOf(ctx)
	defer cancel()
	read, err := n.read(reading, decisions.Query{
		Since: d.before(n.config.Sweep.Every.Std()), Until: until, Messages: []decisions.Message{decisions.Decision, decisions.Result},
	}, d.add)
	if err != nil {
		return Answer{}, err
	}
	lines := d.lines()
	n.addSavings(reading, lines, until)
	a := Answer{Status: "quiet", Since: since, Until: until, Lines: len(lines)}
	if len(lines) == 0 && !read.Before(until) {
		return a, nil
	}
	m := message{stack: n.stack, since: since, until: until, read: read, lines: lines}
	subject, body := m.subject(), m.body()
	if _, err := n.sns.Publish(ctx, &sns.PublishInput{TopicArn: &n.topic, Subject: &subject, Message: &body}); err != nil {
		return a, fmt.Errorf("publish to topic %s: %w", n.topic, err)
	}
	a.Status = "published"
	n.log.InfoContext(ctx, "published", "subject", subject, "lines", len(lines))
	return a, nil
}

// mostOf leaves a part of the time for telling what was read.
func mostOf(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-time.Until(deadline)/5))
}

// read reads the log, and returns up to when: to the end, unless ctx ended before. What has been read is better than nothing.
func (n *Notifier) read(ctx context.Context, q decisions.Query, add func(decisions.Entry)) (time.Time, error) {
	read := q.Since
	for e, err := range n.from.Records(ctx, q) {
		switch {
		case err != nil && ctx.Err() != nil:
			return read, nil
		case err != nil:
			return read, err
		}
		add(e)
		read = e.Time
	}
	return q.Until, nil
}

// addSavings says of each target that was scaled in, and that there is room to tell of, what that saves today. What cannot be known is
// left out, and the rest is told.
func (n *Notifier) addSavings(ctx context.Context, lines []line, until time.Time) {
	lines = lines[:min(len(lines), maxLines)]
	var names []string
	for _, l := range lines {
		if l.scaledIn {
			names = append(names, l.target)
		}
	}
	if len(names) == 0 {
		return
	}
	saved := n.savedToday(ctx, names, until)
	for i := range lines {
		if lines[i].scaledIn {
			lines[i].saved = saved[lines[i].target]
		}
	}
}

func invalidConfig(text string) error {
	return &policy.Error{Kind: policy.InvalidConfig, Err: errors.New(text)}
}
