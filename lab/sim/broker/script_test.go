package broker_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
	"sluice/lab/sim/broker"
)

// order is one task to be sent: hold, hold_late, seldom or again, of testdata/app.py. It executes until it is ended.
type order struct {
	task      string // "": hold.
	label     string
	queue     string // "": celery.
	priority  int
	countdown time.Duration // 0: due at once.
	expires   time.Duration // 0: never.
	set       bool          // With an argument that only pickle can carry.
	retries   int           // Of again, each ahead by an hour.
}

// stage is where a script is played: on the model or on a real Redis with real workers.
type stage interface {
	send(o order)
	start(s broker.Spec) // Returns when the worker is ready.
	twin(s broker.Spec)  // Starts another worker of a name.
	end(label string)    // Ends one execution of the task.
	terminate(worker string)
	kill(worker string)
	freeze(worker string)
	thaw(worker string)
	cut() // Cuts the connections of all workers.
	wedge(worker string)
	killChild(worker string) // Kills the pool's process that executes.
	elapse(d time.Duration)
	client() client
	lists() (waiting map[string]int, unacked int)
	log() []string // What began and ended, in order: "start LABEL", "end LABEL".
	gone() []string
	// settle has want (the picture that the model showed) come true, if it can be waited for, and returns the last picture.
	settle(look func() (picture, error), want *picture) picture
}

// client is the part of scaler.Broker that scripts use.
type client interface {
	Look(ctx ctx, queues []string, patience time.Duration) (policy.Look, error)
	Cancel(ctx ctx, nodes []policy.Node) error
	Consume(ctx ctx, nodes []policy.Node) error
	RateLimited(ctx ctx, nodes []policy.Node) (map[string]bool, error)
}

// picture is all that can be seen from outside at one time.
type picture struct {
	Waiting   map[string]int // By queue, whatever their ETA; none that are empty.
	Unacked   int
	Queues    map[string]string // As the look counts them.
	Loose     policy.Count
	Listeners policy.Count
	Nodes     []string
	Fetched   []string // Sorted; without tags.
	Known     bool     // Whether Fetched is all.
	Began     map[string]int
	Ended     map[string]int
	Gone      []string // Workers whose process has ended.
	Order     []string // What began, in order, where the script asks for it.
	Limited   []string // The tasks whose rates are limited, where the script asks for it.
}

// script plays a behaviour and gathers what is seen of it.
type script struct {
	t *testing.T
	stage
	version  broker.Version
	model    []picture // What the model showed, when it is played on the real thing.
	pictures []picture
	ordered  bool
	asked    string // Who is asked for its rate limits.
}

// play plays a behaviour on the model.
func play(t *testing.T, s stage, v broker.Version, behaviour func(s *script), model []picture) []picture {
	t.Helper()
	sc := &script{t: t, stage: s, version: v, model: model}
	behaviour(sc)
	return sc.pictures
}

// queues are the queues that every look asks for.
var queues = []string{"celery", "video"}

func (s *script) look() (picture, error) {
	l, err := s.client().Look(s.t.Context(), queues, 400*time.Millisecond)
	if err != nil {
		return picture{}, err
	}
	p := picture{
		Queues: map[string]string{}, Loose: l.Loose, Listeners: l.Listeners, Known: l.FetchedKnown,
		Began: map[string]int{}, Ended: map[string]int{}, Gone: s.gone(),
	}
	p.Waiting, p.Unacked = s.lists()
	for name, q := range l.Queues {
		p.Queues[name] = fmt.Sprintf("backlog %d, held %d, later %d, next %v", q.Backlog.N, q.Held.N, q.Later, !q.NextDue.IsZero())
	}
	for _, n := range l.Nodes {
		p.Nodes = append(p.Nodes, fmt.Sprintf("%s x%d %v active %d, known %v, start %v", n.Name, n.Answers, n.Queues, n.Active.N, n.Active.Known, !n.OldestStart.IsZero()))
	}
	for _, f := range l.Fetched {
		p.Fetched = append(p.Fetched, fmt.Sprintf("%s of %s, eta %v, later %v, expired %v", f.Task, f.Queue, !f.Due.IsZero(), f.Later, f.Expired))
	}
	slices.Sort(p.Fetched)
	for _, line := range s.log() {
		what, label, _ := strings.Cut(line, " ")
		if what == "start" {
			p.Began[label]++
		} else {
			p.Ended[label]++
		}
	}
	if s.ordered {
		for _, line := range s.log() {
			if label, ok := strings.CutPrefix(line, "start "); ok {
				p.Order = append(p.Order, label)
			}
		}
	}
	if s.asked != "" {
		limited, err := s.client().RateLimited(s.t.Context(), of(s.asked))
		if err != nil {
			return picture{}, err
		}
		p.Limited = slices.Sorted(maps.Keys(limited))
	}
	return p, nil
}

// limits takes a picture with the answer of a worker to what rates it limits.
func (s *script) limits(worker string) {
	s.t.Helper()
	s.asked = worker
	s.see("asked for its rate limits")
	s.asked = ""
}

// inOrder ends n tasks as they begin, one at a time, and adds their order to the pictures.
func (s *script) inOrder(n int) {
	s.t.Helper()
	for i := range n {
		s.ends(s.next(i))
	}
	s.ordered = true
}

// next is the task that began as the i-th.
func (s *script) next(i int) string {
	s.t.Helper()
	var began []string
	for range 10_000 { // Of 10 ms: a busy machine takes its time.
		began = began[:0]
		for _, line := range s.log() {
			if label, ok := strings.CutPrefix(line, "start "); ok {
				began = append(began, label)
			}
		}
		if len(began) > i {
			return began[i]
		}
		s.elapse(10 * time.Millisecond)
	}
	s.t.Fatalf("only %d tasks began: %v", len(began), began)
	return ""
}

// see takes a picture when all is quiet. On the real thing that is when it looks as on the model; it fails if it never does.
func (s *script) see(title string) {
	s.t.Helper()
	var want *picture
	if s.model != nil {
		want = &s.model[len(s.pictures)]
	}
	got := s.settle(s.look, want)
	s.pictures = append(s.pictures, got)
	if want != nil {
		if diff := cmp.Diff(*want, got); diff != "" {
			s.t.Fatalf("%s (-model +real):\n%s", title, diff)
		}
		return
	}
	s.t.Logf("%s: waiting %v, unacked %d, %v, loose %d, %d listen, %v, fetched %q, began %v, ended %v, gone %v", title, p(got.Waiting), got.Unacked,
		p(got.Queues), got.Loose.N, got.Listeners.N, got.Nodes, got.Fetched, p(got.Began), p(got.Ended), got.Gone)
}

// p prints a map in order.
func p[V any](m map[string]V) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s: %v; ", k, m[k])
	}
	return "{" + strings.TrimSuffix(b.String(), "; ") + "}"
}

// sends sends tasks with these labels.
func (s *script) sends(o order, labels ...string) {
	s.t.Helper()
	for _, l := range labels {
		o.label = l
		s.send(o)
	}
}

// labels makes n labels.
func labels(prefix string, n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("%s%02d", prefix, i+1))
	}
	return out
}

// ends ends tasks as soon as they execute, in this order.
func (s *script) ends(labels ...string) {
	s.t.Helper()
	for _, l := range labels {
		s.end(l)
	}
}

// of is the node of a worker with its queues.
func of(name string, queues ...string) []policy.Node {
	return []policy.Node{{Name: name, Answers: 1, Queues: queues}}
}

func (s *script) cancels(name string, queues ...string) {
	s.t.Helper()
	if err := s.client().Cancel(s.t.Context(), of(name, queues...)); err != nil {
		s.t.Fatalf("cancel: %v", err)
	}
}

func (s *script) consumes(name string, queues ...string) {
	s.t.Helper()
	if err := s.client().Consume(s.t.Context(), of(name, queues...)); err != nil {
		s.t.Fatalf("consume: %v", err)
	}
}
