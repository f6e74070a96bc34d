// Package logs stands in for CloudWatch Logs: it keeps what functions print, by log group, and answers FilterLogEvents.
//
// As there, a page may be short or empty although more is to come, and of the filter patterns those by exact texts of JSON fields are
// understood: other patterns are refused, and not taken to match nothing. What differs: lines can be found the moment they are
// printed, and of each group only the newest are kept, as many as fit into its share of memory.
//
// See https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_FilterLogEvents.html.
package logs

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"sluice/lab/cloud/wire"
)

// The limits of a page: what of it CloudWatch Logs documents, and how many lines are looked through for it. The latter is low, so
// that callers meet empty pages here before they do on AWS.
const (
	maxEvents  = 10_000
	maxBytes   = 1 << 20
	maxScanned = 2_000
)

// keptBytes is how much of a log group is kept.
const keptBytes = 16 << 20

// newestFirstSince is the earliest start of a search that begins with the newest.
var newestFirstSince = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()

// Store keeps log groups. Its methods may be called concurrently.
type Store struct {
	now func() time.Time

	mu     sync.Mutex
	groups map[string]*group
}

// group is a log group.
type group struct {
	lines   []line // In the order of time.
	dropped int    // How many lines before them are no longer kept.
	bytes   int
}

// line is a log event.
type line struct {
	at     int64 // In milliseconds since 1970.
	stream string
	text   string
}

// New returns a store with log groups of these names. The clock is time.Now outside of tests.
func New(now func() time.Time, groups ...string) *Store {
	s := &Store{now: now, groups: map[string]*group{}}
	for _, name := range groups {
		s.groups[name] = new(group)
	}
	return s
}

// Put adds a line to a stream of a log group. A group that does not exist takes nothing.
func (s *Store) Put(name, stream, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[name]
	if g == nil {
		return
	}
	at := s.now().UnixMilli()
	if n := len(g.lines); n > 0 {
		at = max(at, g.lines[n-1].at) // A clock that is set back does not change the order.
	}
	g.lines = append(g.lines, line{at, stream, text})
	g.bytes += len(text)
	for g.bytes > keptBytes && len(g.lines) > 1 {
		g.bytes -= len(g.lines[0].text)
		g.lines[0] = line{} // For its text to be freed.
		g.lines = g.lines[1:]
		g.dropped++
	}
}

// FilterInput is the input of FilterLogEvents.
type FilterInput struct {
	LogGroupName       string `json:"logGroupName"`
	LogGroupIdentifier string `json:"logGroupIdentifier"`
	StartTime          *int64 `json:"startTime"`
	EndTime            *int64 `json:"endTime"`
	FilterPattern      string `json:"filterPattern"`
	StartFromHead      *bool  `json:"startFromHead"`
	Limit              *int   `json:"limit"`
	NextToken          string `json:"nextToken"`
	Interleaved        bool   `json:"interleaved"` // Makes no difference, as AWS has it.
}

// group is the name of the log group.
func (in FilterInput) group() string {
	name := in.LogGroupName
	if name == "" {
		name = in.LogGroupIdentifier
	}
	if _, rest, ok := strings.Cut(name, ":log-group:"); ok {
		name, _, _ = strings.Cut(rest, ":")
	}
	return name
}

// search is where a search goes on: at which line, counted from the first that there ever was, and in which direction.
type search struct {
	next     int
	backward bool
}

// Filter answers FilterLogEvents.
func (s *Store) Filter(in FilterInput) (map[string]any, error) {
	if (in.LogGroupName == "") == (in.LogGroupIdentifier == "") {
		return nil, wire.Errorf("InvalidParameterException", "just one of logGroupName and logGroupIdentifier is to be given")
	}
	matches, err := parse(in.FilterPattern)
	if err != nil {
		return nil, wire.Errorf("InvalidParameterException", "Invalid filter pattern: %v", err)
	}
	limit := maxEvents
	if in.Limit != nil {
		if limit = *in.Limit; limit < 1 || limit > maxEvents {
			return nil, wire.Errorf("InvalidParameterException", "limit is %d, not 1 to %d", limit, maxEvents)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[in.group()]
	if g == nil {
		return nil, wire.Errorf("ResourceNotFoundException", "The specified log group does not exist.")
	}
	first, end := g.between(in.StartTime, in.EndTime)
	at, err := in.begin(g.dropped+first, g.dropped+end-1)
	if err != nil {
		return nil, err
	}
	events, size := []any{}, 0
	for range maxScanned {
		i := at.next - g.dropped
		if i < first && !at.backward {
			i = first // What was next has been dropped meanwhile.
			at.next = i + g.dropped
		}
		if i < first || i >= end {
			break
		}
		if l := g.lines[i]; matches(l.text) {
			if size += len(l.text); len(events) == limit || size > maxBytes && len(events) > 0 {
				break
			}
			events = append(events, map[string]any{
				"eventId": fmt.Sprintf("%056d", at.next), "logStreamName": l.stream, "timestamp": l.at, "ingestionTime": l.at, "message": l.text,
			})
		}
		at.step()
	}
	out := map[string]any{"events": events, "searchedLogStreams": []any{}}
	if i := at.next - g.dropped; i >= first && i < end {
		out["nextToken"] = at.token()
	}
	return out, nil
}

// between are the first line of the time, and the one after the last: both times are part of it.
func (g *group) between(start, end *int64) (first, after int) {
	after = len(g.lines)
	if start != nil {
		first = sort.Search(len(g.lines), func(i int) bool { return g.lines[i].at >= *start })
	}
	if end != nil {
		after = sort.Search(len(g.lines), func(i int) bool { return g.lines[i].at > *end })
	}
	return first, after
}

// begin is where the search begins, or goes on.
func (in FilterInput) begin(first, last int) (search, error) {
	if in.NextToken != "" {
		direction, number, _ := strings.Cut(in.NextToken, "/")
		n, err := strconv.Atoi(number)
		if err != nil || !slices.Contains([]string{"f", "b"}, direction) {
			return search{}, wire.Errorf("InvalidParameterException", "The specified nextToken is invalid.")
		}
		return search{next: n, backward: direction == "b"}, nil
	}
	if in.StartFromHead == nil || *in.StartFromHead {
		return search{next: first}, nil
	}
	if in.StartTime == nil || *in.StartTime < newestFirstSince {
		return search{}, wire.Errorf("InvalidParameterException", "startFromHead is false: startTime has to be 2024 or later")
	}
	return search{next: last, backward: true}, nil
}

func (s *search) step() {
	if s.backward {
		s.next--
	} else {
		s.next++
	}
}

func (s *search) token() string {
	if s.backward {
		return fmt.Sprintf("b/%d", s.next)
	}
	return fmt.Sprintf("f/%d", s.next)
}
