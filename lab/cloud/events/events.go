// Package events stands in for EventBridge: it takes events by PutEvents, matches them against the patterns of rules, and
// delivers each match to the rule's target, again and again while that fails and the target's retry policy allows.
//
// It does what EventBridge does where producers and functions can tell: results per entry, the documented limits, the
// envelope of an event, and delivery at least once and in no order. Of patterns it knows what Sluice's rule uses, and refuses
// the rest. As in EventBridge an event for a bus that does not exist is accepted and vanishes. There are switches to lose or
// double the next events, since that is what a consumer of events has to live with.
//
// See https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEvents.html.
package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/wire"
)

// The documented limits of PutEvents: 10 entries in a request, and 1 MB for all of them together (1,048,576 bytes; it was
// 256 KB until 2026).
const (
	MaxEntries   = 10
	MaxTotalSize = 1 << 20
)

// maxDetailType is how many characters the detail type of an event may have.
const maxDetailType = 128

// DefaultBus is the bus of events that name none.
const DefaultBus = "default"

// Entry is one event as a producer sends it.
type Entry struct {
	Time         time.Time // Zero means now.
	Source       string
	Resources    []string
	DetailType   string
	Detail       string // A JSON object.
	EventBusName string // Name or ARN; empty means the default bus.
}

// EntryResult says what became of an entry: it has an EventID, or an error.
type EntryResult struct {
	EventID      string `json:"EventId,omitempty"`
	ErrorCode    string `json:"ErrorCode,omitempty"`
	ErrorMessage string `json:"ErrorMessage,omitempty"`
}

// Event is the envelope that a target receives, with the names and the order that EventBridge uses.
type Event struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       string          `json:"time"` // RFC 3339, whole seconds, UTC.
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

// Rule sends the events of a bus that match a pattern to a target.
type Rule struct {
	Name    string
	Bus     string // Name or ARN; empty means the default bus.
	Pattern *Pattern
	// Disabled rules match nothing.
	Disabled bool
	// Target gets each matching event as JSON. It is called from goroutines of the service. A Lambda target takes an event as
	// soon as it is queued there: what becomes of it then is no matter of the rule.
	Target func(ctx context.Context, event []byte) error
	Retry  delivery.Policy // Of the target.
	// GiveUp, if not nil, gets each event that could not be delivered: to put it into a dead-letter queue.
	GiveUp func(event []byte, why *delivery.GaveUp)
}

// Delivery is one event on its way to one rule, or on its way to none.
type Delivery struct {
	Event   Event
	Bus     string
	Rule    string // Empty if no rule matched.
	Dropped bool   // By Drop.
	Err     error  // What the target answered in the end: a *delivery.GaveUp, unless the service was closed meanwhile.
}

// Options configure a Service.
type Options struct {
	Region  string   // us-east-1 if empty.
	Account string   // 000000000000 if empty.
	Buses   []string // Buses besides the default one, by name or ARN.
	// OnDelivery is called for each event and rule, and once for an event without one. It must not block, and may be
	// called from several goroutines at once.
	OnDelivery func(Delivery)
}

// Service takes and delivers events. Its methods may be called concurrently.
type Service struct {
	opts   Options
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu           sync.Mutex
	closed       bool
	rules        []Rule
	drop, double int
}

// New makes a service without rules.
func New(opts Options) *Service {
	if opts.Region == "" {
		opts.Region = "us-east-1"
	}
	if opts.Account == "" {
		opts.Account = "000000000000"
	}
	if opts.OnDelivery == nil {
		opts.OnDelivery = func(Delivery) {}
	}
	opts.Buses = slices.Clone(opts.Buses)
	for i, bus := range opts.Buses {
		opts.Buses[i] = BusName(bus)
	}
	s := &Service{opts: opts}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// SetRule adds a rule, or replaces the one of that name. It returns an error if its bus does not exist.
func (s *Service) SetRule(r Rule) error {
	r.Bus = BusName(r.Bus)
	if !s.hasBus(r.Bus) {
		return fmt.Errorf("add rule %s: event bus %s does not exist", r.Name, r.Bus)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(slices.DeleteFunc(s.rules, func(old Rule) bool { return old.Name == r.Name }), r)
	return nil
}

// RemoveRule removes the rule of that name, if there is one.
func (s *Service) RemoveRule(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = slices.DeleteFunc(s.rules, func(r Rule) bool { return r.Name == name })
}

// Drop makes the service lose the next n events that a rule matches, after it has accepted them.
func (s *Service) Drop(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop = n
}

// Double makes the service deliver the next n events that a rule matches twice.
func (s *Service) Double(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.double = n
}

// Close ends the deliveries under way and returns when they have ended. Events put afterwards are lost.
func (s *Service) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.cancel()
	s.wg.Wait()
	return nil
}

func (s *Service) hasBus(name string) bool {
	return name == DefaultBus || slices.Contains(s.opts.Buses, name)
}

// Put accepts entries and delivers them in the background. The results are in the order of the entries.
func (s *Service) Put(entries []Entry) []EntryResult {
	results := make([]EntryResult, len(entries))
	for i, e := range entries {
		if code, message := check(e); code != "" {
			results[i] = EntryResult{ErrorCode: code, ErrorMessage: message}
			continue
		}
		event := s.envelope(e)
		results[i].EventID = event.ID
		s.route(BusName(e.EventBusName), event)
	}
	return results
}

// check says what is wrong with an entry, in EventBridge's words.
func check(e Entry) (code, message string) {
	required := []struct{ name, value string }{{"Source", e.Source}, {"DetailType", e.DetailType}, {"Detail", e.Detail}}
	for _, f := range required {
		if f.value == "" {
			return "InvalidArgument", fmt.Sprintf("Parameter %s is not valid. Reason: %s is a required argument.", f.name, f.name)
		}
	}
	if len([]rune(e.DetailType)) > maxDetailType {
		return "InvalidArgument", fmt.Sprintf("Parameter DetailType is not valid. Reason: it is longer than %d characters.", maxDetailType)
	}
	if strings.HasPrefix(e.Source, "aws.") {
		return "NotAuthorizedForSourceException", "Not authorized for the source."
	}
	var detail map[string]json.RawMessage
	if err := json.Unmarshal([]byte(e.Detail), &detail); err != nil || detail == nil {
		return "MalformedDetail", "Detail is malformed."
	}
	return "", ""
}

// size is the size of an entry as EventBridge counts it for its limit.
func (e Entry) size() int {
	n := len(e.Source) + len(e.DetailType) + len(e.Detail)
	if !e.Time.IsZero() {
		n += 14
	}
	for _, r := range e.Resources {
		n += len(r)
	}
	return n
}

func (s *Service) envelope(e Entry) Event {
	if e.Time.IsZero() {
		e.Time = time.Now()
	}
	if e.Resources == nil {
		e.Resources = []string{}
	}
	return Event{
		Version: "0", ID: wire.RandomID(), DetailType: e.DetailType, Source: e.Source, Account: s.opts.Account,
		Time: e.Time.UTC().Format("2006-01-02T15:04:05Z"), Region: s.opts.Region, Resources: e.Resources,
		Detail: json.RawMessage(e.Detail),
	}
}

// route sends an event to the rules that match it.
func (s *Service) route(bus string, event Event) {
	body, err := json.Marshal(event)
	if err != nil { // The detail was parsed before and the rest are strings.
		panic(fmt.Sprintf("encode an event that was checked: %v", err))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	var matched []Rule
	for _, r := range s.rules {
		if r.Bus == bus && !r.Disabled && r.Pattern.Matches(body) {
			matched = append(matched, r)
		}
	}
	if len(matched) == 0 {
		s.wg.Go(func() { s.opts.OnDelivery(Delivery{Event: event, Bus: bus}) })
		return
	}
	copies := 1
	switch {
	case s.drop > 0:
		s.drop--
		copies = 0
	case s.double > 0:
		s.double--
		copies = 2
	}
	for _, r := range matched {
		if copies == 0 {
			s.wg.Go(func() { s.opts.OnDelivery(Delivery{Event: event, Bus: bus, Rule: r.Name, Dropped: true}) })
		}
		for range copies {
			s.wg.Go(func() {
				err := r.Retry.Do(s.ctx, func(ctx context.Context) error { return r.Target(ctx, body) })
				var why *delivery.GaveUp
				if errors.As(err, &why) && r.GiveUp != nil {
					r.GiveUp(body, why)
				}
				s.opts.OnDelivery(Delivery{Event: event, Bus: bus, Rule: r.Name, Err: err})
			})
		}
	}
}

// BusName is the name of a bus that is given by name or ARN.
func BusName(s string) string {
	if s == "" {
		return DefaultBus
	}
	if _, name, ok := strings.Cut(s, ":event-bus/"); ok {
		return name
	}
	return s
}
