package cloud

import (
	"encoding/json"
	"sync"
	"time"

	"sluice/lab/cloud/asl"
	"sluice/lab/cloud/delivery"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/events"
	"sluice/lab/cloud/lambda"
)

// Happening is something that happened in the cloud. Just one of the pointers is set.
type Happening struct {
	At          time.Time
	Delivery    *events.Delivery   // An event was put, and delivered, dropped, or matched by no rule.
	Undelivered *Undelivered       // An event, or the start of a sweep, could not be delivered.
	Invocation  *Invocation        // A function ran, or was throttled.
	DeadLetter  *lambda.DeadLetter // A function gave an event up.
	Denied      *Denied            // A function called what its role does not allow.
	Execution   *ExecutionStep     // A sweep began, went a step further, or ended.
	Published   *Published         // A message went to an SNS topic.
	Task        *ecs.Event         // A service or a task of ECS changed.
}

// Undelivered is an event that the rule, or a start that a schedule, could not hand over to its target.
type Undelivered struct {
	From    string // Such as "rule scale-out" or "schedule sweep".
	Payload []byte
	Why     *delivery.GaveUp
	Lost    string // Why it is in no dead-letter queue; empty if it is in one.
}

// Denied is a call that was refused because the caller's role does not allow it.
type Denied struct{ Function, Action, Resource string }

// Invocation is an attempt to run a function, with what the function logged.
type Invocation struct {
	lambda.Attempt
	Records []LogRecord
}

// LogRecord is a structured log line of a function.
type LogRecord struct {
	Level   string
	Message string
	Fields  map[string]any // All but the time, the level, the message and the request id.
}

// Decisions returns the records of decisions among the function's log lines.
func (i Invocation) Decisions() []LogRecord {
	var list []LogRecord
	for _, r := range i.Records {
		if r.Message == "decision" {
			list = append(list, r)
		}
	}
	return list
}

// ExecutionStep is a step of an execution of the state machine. The first one has neither Event nor Ended, the last one has
// Ended.
type ExecutionStep struct {
	Name  string         // Of the execution.
	Event *asl.Event     // What a state did.
	Ended *asl.Execution // How the execution ended.
}

// feed hands happenings to subscribers from one goroutine, in order. It takes them without ever blocking, since some come
// with locks held: its queue has no bound but the pace of the subscribers.
type feed struct {
	mu     sync.Mutex
	queue  []Happening
	wake   *sync.Cond
	subs   map[int]func(Happening)
	last   int
	closed bool
	done   chan struct{}

	told, handed int // How many happenings the feed was told, and how many every subscriber has got.
	caughtUp     *sync.Cond
}

func newFeed() *feed {
	f := &feed{subs: map[int]func(Happening){}, done: make(chan struct{})}
	f.wake, f.caughtUp = sync.NewCond(&f.mu), sync.NewCond(&f.mu)
	go f.run()
	return f
}

func (f *feed) subscribe(watch func(Happening)) (cancel func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.last++
	id := f.last
	f.subs[id] = watch
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.subs, id)
	}
}

// close returns when everything that was told has been handed out.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.wake.Signal()
	f.mu.Unlock()
	<-f.done
}

func (f *feed) tell(h Happening) {
	h.At = time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return
	}
	f.queue = append(f.queue, h)
	f.told++
	f.wake.Signal()
}

// flush returns when everything that was told before has been handed out.
func (f *feed) flush() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for told := f.told; f.handed < told; {
		f.caughtUp.Wait()
	}
}

func (f *feed) run() {
	defer close(f.done)
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		for len(f.queue) == 0 && !f.closed {
			f.wake.Wait()
		}
		if len(f.queue) == 0 {
			return
		}
		batch := f.queue
		f.queue = nil
		for _, h := range batch {
			for id := 1; id <= f.last; id++ {
				watch, ok := f.subs[id]
				if !ok {
					continue
				}
				f.mu.Unlock()
				watch(h)
				f.mu.Lock()
			}
			f.handed++
			f.caughtUp.Broadcast()
		}
	}
}

func (f *feed) delivery(d events.Delivery)     { f.tell(Happening{Delivery: &d}) }
func (f *feed) deadLetter(l lambda.DeadLetter) { f.tell(Happening{DeadLetter: &l}) }
func (f *feed) undelivered(u Undelivered)      { f.tell(Happening{Undelivered: &u}) }
func (f *feed) denied(d Denied)                { f.tell(Happening{Denied: &d}) }
func (f *feed) published(p Published)          { f.tell(Happening{Published: &p}) }
func (f *feed) task(e ecs.Event)               { f.tell(Happening{Task: &e}) }
func (f *feed) execution(s ExecutionStep)      { f.tell(Happening{Execution: &s}) }

func (f *feed) attempt(a lambda.Attempt) {
	i := &Invocation{Attempt: a}
	for _, line := range a.Log {
		if r, ok := parseRecord(line); ok {
			i.Records = append(i.Records, r)
		}
	}
	f.tell(Happening{Invocation: i})
}

// parseRecord reads a log line as the logger of aws-lambda-go writes it in JSON.
func parseRecord(line string) (LogRecord, bool) {
	var fields map[string]any
	if err := json.Unmarshal([]byte(line), &fields); err != nil {
		return LogRecord{}, false
	}
	r := LogRecord{Fields: fields}
	r.Level, _ = fields["level"].(string)
	r.Message, _ = fields["message"].(string)
	for _, name := range []string{"timestamp", "level", "message", "requestId"} {
		delete(fields, name)
	}
	return r, r.Message != ""
}
