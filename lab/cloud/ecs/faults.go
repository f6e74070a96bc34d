package ecs

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"slices"
	"time"
)

// Fault is how a call goes wrong.
type Fault struct {
	// Code names the error, such as "AccessDeniedException"; empty if the call is only late.
	Code    string
	Message string
	Status  int           // HTTP; 0 is 500 for ServerException and 400 for any other.
	Delay   time.Duration // Of real time, before the answer.
	Match   string        // Only calls whose body contains it; empty is every call.
	Applied bool          // The call takes effect all the same: only the answer is lost.
}

type fault struct {
	Fault
	op   string
	left int
}

func (f *fault) err() error {
	if f.Code == "" {
		return nil
	}
	e := &apiError{code: f.Code, message: f.Message, status: f.Status}
	if e.status == 0 && f.Code == "ServerException" {
		e.status = http.StatusInternalServerError
	}
	return e
}

// sleep waits for the fault's delay; it returns false if the client has gone meanwhile.
func (f *fault) sleep(ctx context.Context) bool {
	if f.Delay == 0 {
		return true
	}
	timer := time.NewTimer(f.Delay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// Fail makes the next n calls of an operation go wrong, or all further ones if n is negative; n = 0 ends that.
func (m *Model) Fail(op string, n int, f Fault) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n == 0 {
		m.faults = slices.DeleteFunc(m.faults, func(f *fault) bool { return f.op == op })
		return
	}
	m.faults = append(m.faults, &fault{Fault: f, op: op, left: n})
}

// Calls returns how many calls there were of each operation, refused ones included.
func (m *Model) Calls() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return maps.Clone(m.calls)
}

// call makes one call of the API: it counts it, refuses it if it is beyond the rate limit, and has go wrong what Fail has
// asked for. body returns the request as JSON.
func (m *Model) call(ctx context.Context, op string, body func() ([]byte, error), do func() error) error {
	f, err := m.admit(op, body)
	if err != nil || f == nil {
		if err == nil {
			err = do()
		}
		return err
	}
	if !f.sleep(ctx) {
		return ctx.Err()
	}
	if !f.Applied && f.err() != nil {
		return f.err()
	}
	if err := do(); err != nil {
		return err
	}
	return f.err()
}

// admit counts a call and says what is to go wrong with it; an error if it is beyond the rate limit.
func (m *Model) admit(op string, body func() ([]byte, error)) (*fault, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls[op]++
	if m.opts.Throttle && !m.take(op) {
		return nil, refuse("ThrottlingException", "Rate exceeded")
	}
	for _, f := range m.faults {
		if f.op != op || f.left == 0 {
			continue
		}
		if f.Match != "" {
			request, err := body()
			if err != nil {
				return nil, err
			}
			if !bytes.Contains(request, []byte(f.Match)) {
				continue
			}
		}
		if f.left > 0 {
			f.left--
		}
		return f, nil
	}
	return nil, nil
}

// limits are the token buckets of an account and Region, as AWS documents them ("Request throttling for the Amazon ECS
// API"): the burst, the sustained rate per second, and the calls that share the bucket.
var limits = []struct {
	burst, rate float64
	ops         []string
}{
	{100, 20, []string{"DescribeServices"}},
	{100, 20, []string{"DescribeTasks", "ListTasks"}},
	{50, 5, []string{"CreateService", "DeleteService", "UpdateService"}},
	{200, 80, []string{"GetTaskProtection", "UpdateTaskProtection"}},
	{100, 20, []string{"ListServices", "DescribeClusters", "ListClusters"}},
	{100, 40, []string{"StopTask"}},
	{50, 20, []string{"TagResource", "UntagResource", "ListTagsForResource"}},
}

type bucket struct {
	tokens float64
	at     time.Time
}

func (m *Model) take(op string) bool {
	for _, l := range limits {
		if !slices.Contains(l.ops, op) {
			continue
		}
		now := m.opts.Now()
		b := m.buckets[l.ops[0]]
		if b == nil {
			b = &bucket{tokens: l.burst, at: now}
			m.buckets[l.ops[0]] = b
		}
		b.tokens = min(l.burst, b.tokens+now.Sub(b.at).Seconds()*l.rate)
		b.at = now
		if b.tokens < 1 {
			return false
		}
		b.tokens--
		return true
	}
	return true
}
