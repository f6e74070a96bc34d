// Package decisions reads the log of decisions, results and sweeps back from CloudWatch Logs: what package scaler wrote there as JSON
// lines, in order of time over the functions, page by page. Nothing is kept, so that a day of a thousand targets can be read.
package decisions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs/types"

	"sluice/internal/scaler"
)

// Client is what a Log asks. *cloudwatchlogs.Client is one.
type Client interface {
	FilterLogEvents(context.Context, *cloudwatchlogs.FilterLogEventsInput, ...func(*cloudwatchlogs.Options)) (*cloudwatchlogs.FilterLogEventsOutput, error)
}

// Log is the log groups of Sluice's functions.
type Log struct {
	Client Client
	Groups []string
}

// Message says what a line of the log is.
type Message string

// The messages.
const (
	Decision Message = "decision" // What is to be done and why, before it is done.
	Result   Message = "result"   // What came of it.
	Sweep    Message = "sweep"    // The end of a look at all targets.
)

// Query says what to read.
type Query struct {
	Since, Until time.Time // The latter is not included.
	Targets      []string  // None: all of them, and the sweeps.
	Messages     []Message // None: all of them.
	NewestFirst  bool
}

// Entry is one line of the log: one of Decision, Result, Sweep and Unreadable is set.
type Entry struct {
	Time       time.Time
	Group      string // The log group that it stands in.
	Decision   *scaler.Record
	Result     *scaler.Change
	Sweep      *scaler.Sweep
	Unreadable string // The line, if it is one of those and cannot be read.
}

// Records reads the log. An error is the last that it yields.
func (l Log) Records(ctx context.Context, q Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		var streams []*stream
		for _, group := range l.Groups {
			s := &stream{group: group}
			next, stop := iter.Pull2(l.read(ctx, group, q))
			defer stop()
			s.next = next
			if err := s.advance(); err != nil {
				yield(Entry{}, err)
				return
			}
			streams = append(streams, s)
		}
		for {
			streams = slices.DeleteFunc(streams, func(s *stream) bool { return s.ended })
			if len(streams) == 0 {
				return
			}
			// The first of equals, so that the order is always the same.
			s := slices.MinFunc(streams, func(a, b *stream) int {
				if q.NewestFirst {
					a, b = b, a
				}
				return a.head.Time.Compare(b.head.Time)
			})
			if !yield(s.head, nil) {
				return
			}
			if err := s.advance(); err != nil {
				yield(Entry{}, err)
				return
			}
		}
	}
}

// stream is what is left of one log group.
type stream struct {
	group string
	next  func() (Entry, error, bool)
	head  Entry
	ended bool
}

func (s *stream) advance() error {
	e, err, ok := s.next()
	s.head, s.ended = e, !ok
	return err
}

// read reads one log group.
func (l Log) read(ctx context.Context, group string, q Query) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		in := cloudwatchlogs.FilterLogEventsInput{
			LogGroupName: &group, FilterPattern: q.pattern(),
			// Both are included, in milliseconds: who goes on from an Until within one must not get that one's lines twice.
			StartTime: aws.Int64(q.Since.Add(time.Millisecond - 1).UnixMilli()), EndTime: aws.Int64(q.Until.Add(-1).UnixMilli()),
		}
		if q.NewestFirst {
			in.StartFromHead = aws.Bool(false)
		}
		for {
			out, err := l.Client.FilterLogEvents(ctx, &in, patiently)
			if err != nil {
				yield(Entry{}, explained(group, err))
				return
			}
			for _, line := range out.Events {
				if e, ok := q.parse(group, line); ok && !yield(e, nil) {
					return
				}
			}
			// A page may be empty and not the last.
			if in.NextToken = out.NextToken; aws.ToString(in.NextToken) == "" {
				return
			}
		}
	}
}

// patiently has a call tried again for as long as it takes to get below the quota: 10 calls a second for all who use the account,
// dashboards included, so that one who reads many pages is throttled as a matter of course.
func patiently(o *cloudwatchlogs.Options) {
	o.Retryer = retry.NewStandard(func(s *retry.StandardOptions) {
		s.MaxAttempts, s.MaxBackoff, s.RateLimiter = 12, 5*time.Second, ratelimit.None
	})
}

func explained(group string, err error) error {
	var missing *types.ResourceNotFoundException
	if errors.As(err, &missing) {
		return fmt.Errorf("read log group %s: it is not there: deploy again (make deploy)", group)
	}
	return fmt.Errorf("read log group %s: %w", group, err)
}

// maxPattern is the longest filter pattern that CloudWatch Logs takes.
const maxPattern = 1024

// pattern has CloudWatch leave out most of what is not asked for, so that there are fewer pages to read.
func (q Query) pattern() *string {
	of := q.Messages
	if len(of) == 0 {
		of = []Message{Decision, Result, Sweep}
	}
	var messages, targets []string
	for _, m := range of {
		messages = append(messages, fmt.Sprintf("$.message = %q", m))
	}
	for _, t := range q.Targets {
		targets = append(targets, fmt.Sprintf("$.target = %q", t))
	}
	pattern := "(" + strings.Join(messages, " || ") + ")"
	if whole := pattern + " && (" + strings.Join(targets, " || ") + ")"; len(targets) > 0 && len(whole)+4 <= maxPattern {
		pattern = whole
	}
	return aws.String("{ " + pattern + " }")
}

// parse reads a line. It is not ok if it is none of those asked for.
func (q Query) parse(group string, line types.FilteredLogEvent) (e Entry, ok bool) {
	text := []byte(aws.ToString(line.Message))
	var head struct {
		Message Message `json:"message"`
		Target  string  `json:"target"`
	}
	if json.Unmarshal(text, &head) != nil {
		return Entry{}, false // Lambda's own lines, and what a crash leaves.
	}
	if len(q.Messages) > 0 && !slices.Contains(q.Messages, head.Message) || len(q.Targets) > 0 && !slices.Contains(q.Targets, head.Target) {
		return Entry{}, false
	}
	e = Entry{Time: time.UnixMilli(aws.ToInt64(line.Timestamp)).UTC(), Group: group}
	var err error
	switch head.Message {
	case Decision:
		e.Decision, err = into[scaler.Record](text)
	case Result:
		e.Result, err = into[scaler.Change](text)
	case Sweep:
		e.Sweep, err = into[scaler.Sweep](text)
	default:
		return Entry{}, false
	}
	if err != nil {
		e = Entry{Time: e.Time, Group: group, Unreadable: string(text)}
	}
	return e, true
}

func into[T any](text []byte) (*T, error) {
	v := new(T)
	return v, json.Unmarshal(text, v)
}

// Latest returns the last decision on each target since then. It reads backwards, and no further than it has to.
func (l Log) Latest(ctx context.Context, since, until time.Time, targets []string) (map[string]Entry, error) {
	last := map[string]Entry{}
	q := Query{Since: since, Until: until, Messages: []Message{Decision}, NewestFirst: true, Targets: targets}
	for e, err := range l.Records(ctx, q) {
		if err != nil {
			return nil, err
		}
		if e.Decision == nil {
			continue
		}
		if _, ok := last[e.Decision.Target]; !ok {
			last[e.Decision.Target] = e
		}
		if len(last) == len(targets) {
			break
		}
	}
	return last, nil
}
