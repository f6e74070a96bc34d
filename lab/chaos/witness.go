package main

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"sluice/lab/cloud"
	"sluice/lab/cloud/asl"
)

// lookEvery is how often the witness looks into the broker.
const lookEvery = 250 * time.Millisecond

// queueKeys are the lists of the one queue, by priority.
var queueKeys = []string{"work", "work\x06\x163", "work\x06\x166", "work\x06\x169"}

// key names a message in the broker.
type key struct {
	task    string
	attempt int
}

// witness watches the broker and the cloud.
type witness struct {
	functions map[string]string // What each state of the state machine calls.

	mu      sync.Mutex
	spans   map[key][]span
	looked  time.Time // The last time that it could look.
	waiting map[key]bool
	held    map[key]bool
	all     []cloud.Happening
	calls   map[string][]chan struct{} // Closed at the next call of a function.
}

func newWitness(functions map[string]string) *witness {
	return &witness{functions: functions, spans: map[key][]span{}, calls: map[string][]chan struct{}{}}
}

// hear takes in what happens in the cloud.
func (w *witness) hear(h cloud.Happening) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = append(w.all, h)
	if e := h.Execution; e != nil && e.Event != nil && e.Event.Type == asl.Entered {
		name := w.functions[e.Event.State]
		for _, c := range w.calls[name] {
			close(c)
		}
		w.calls[name] = nil
	}
}

// nextCall returns a channel that is closed when a sweep next calls the function.
func (w *witness) nextCall(function string) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	c := make(chan struct{})
	w.calls[function] = append(w.calls[function], c)
	return c
}

// happenings is all that has happened in the cloud so far.
func (w *witness) happenings() []cloud.Happening {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.all[:len(w.all):len(w.all)]
}

// watch looks into the broker again and again until the context is done.
func (w *witness) watch(ctx context.Context, s *redisServer) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		w.look(ctx, s)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// look takes down which messages wait and which are held. A broker that does not answer is left alone.
func (w *witness) look(ctx context.Context, s *redisServer) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	pipe := s.client.TxPipeline()
	for _, k := range queueKeys {
		pipe.LRange(ctx, k, 0, -1)
	}
	held := pipe.HVals(ctx, "unacked")
	results, err := pipe.Exec(ctx)
	if err != nil {
		return
	}
	at := time.Now()
	waiting := map[key]bool{}
	for _, r := range results {
		list, ok := r.(interface{ Val() []string })
		if !ok || r == held {
			continue
		}
		for _, text := range list.Val() {
			if k, ok := messageKey([]byte(text)); ok {
				waiting[k] = true
			}
		}
	}
	holds := map[key]bool{}
	for _, text := range held.Val() {
		var entry []json.RawMessage
		if err := json.Unmarshal([]byte(text), &entry); err != nil || len(entry) == 0 {
			continue
		}
		if k, ok := messageKey(entry[0]); ok {
			holds[k] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for k, spans := range w.spans {
		if last := &spans[len(spans)-1]; last.gone.IsZero() && !waiting[k] {
			last.gone = at
		}
	}
	for k := range waiting {
		spans := w.spans[k]
		if n := len(spans); n > 0 && spans[n-1].gone.IsZero() {
			spans[n-1].to = at
		} else {
			w.spans[k] = append(spans, span{from: at, to: at})
		}
	}
	w.waiting, w.held, w.looked = waiting, holds, at
}

// messageKey reads the name of a message in Celery's protocol 2.
func messageKey(text []byte) (key, bool) {
	var m struct {
		Headers struct {
			ID      string
			Retries int
		}
	}
	if err := json.Unmarshal(text, &m); err != nil || m.Headers.ID == "" {
		return key{}, false
	}
	return key{m.Headers.ID, m.Headers.Retries}, true
}

// testify takes what was seen in the broker into the facts.
func (w *witness) testify(f *facts) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at := func(k key) *attempt {
		m := f.messages[k.task]
		if m == nil {
			m = &message{id: k.task}
			f.messages[k.task] = m
		}
		return m.attempt(k.attempt)
	}
	for k, spans := range w.spans {
		at(k).listed = append([]span(nil), spans...)
	}
	for k := range w.held {
		at(k).left = "held"
	}
	for k := range w.waiting {
		at(k).left = "waiting"
	}
	for _, h := range w.all {
		if e := h.Task; e != nil && e.Task == "" && e.Desired != e.Previous {
			f.counts = append(f.counts, count{e.At, e.Previous, e.Desired})
		}
	}
}

// quiet says whether the broker had nothing in it at the last look, and when that was.
func (w *witness) quiet() (bool, time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.waiting) == 0 && len(w.held) == 0, w.looked
}

// functionsOf finds in the definition of the state machine which function each state calls.
func functionsOf(definition []byte, into map[string]string) error {
	var graph struct {
		States map[string]json.RawMessage
	}
	if err := json.Unmarshal(definition, &graph); err != nil {
		return err
	}
	names := map[string]string{
		"${CheckFunctionArn}": cloud.Check, "${ScaleInFunctionArn}": cloud.ScaleIn, "${ScaleOutFunctionArn}": cloud.ScaleOut,
	}
	for name, raw := range graph.States {
		var state struct {
			Resource      string
			ItemProcessor json.RawMessage
		}
		if err := json.Unmarshal(raw, &state); err != nil {
			return err
		}
		if function, ok := names[state.Resource]; ok {
			into[name] = function
		}
		if state.ItemProcessor != nil {
			if err := functionsOf(state.ItemProcessor, into); err != nil {
				return err
			}
		}
	}
	return nil
}
