package scaler

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"sluice/internal/policy"
)

// fakeFleet is a set of services. Like ECS it stops any tasks that are not protected when a count is lowered: here those that a
// test likes least to see stopped.
type fakeFleet struct {
	*ports
	mu        sync.Mutex
	now       func() time.Time
	services  map[string]policy.Service
	errs      map[string]error
	tasks     map[string][]policy.Task
	tasksErr  error
	setErr    error
	described int // Services asked for.

	protectErr error
	answerLost bool                // SetDesired does what it is asked to, and errs.
	idles      bool                // A lower count stops nothing.
	worth      func(id string) int // Tasks of a higher one are stopped first; nil: all alike.
	onStop     func(id string)     // Called for each task that is told to stop; nil: it is gone at once.
	stopped    []string            // Which were told to stop, by ID.
}

func (f *fakeFleet) Describe(_ context.Context, refs []policy.ServiceRef) map[policy.ServiceRef]policy.Described {
	defer f.enter("describe")()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.described += len(refs)
	out := map[policy.ServiceRef]policy.Described{}
	for _, ref := range refs {
		if err := f.errs[ref.Service]; err != nil {
			out[ref] = policy.Described{Err: err}
		} else if svc, ok := f.services[ref.Service]; ok {
			out[ref] = policy.Described{Service: svc}
		}
	}
	return out
}

func (f *fakeFleet) Tasks(ctx context.Context, ref policy.ServiceRef) ([]policy.Task, error) {
	defer f.enter("tasks")()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return slices.Clone(f.tasks[ref.Service]), f.tasksErr
}

func (f *fakeFleet) SetDesired(_ context.Context, ref policy.ServiceRef, n int) error {
	defer f.enter(fmt.Sprintf("set desired %d", n))()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.setErr != nil && !f.answerLost {
		return f.setErr
	}
	svc := f.services[ref.Service]
	svc.Desired = n
	f.services[ref.Service] = svc
	if !f.idles {
		f.stopExcess(ref.Service)
	}
	return f.setErr
}

// stopExcess stops as many tasks as are too many, if they are not protected.
func (f *fakeFleet) stopExcess(service string) {
	var alive []string
	excess := -f.services[service].Desired
	for _, t := range f.tasks[service] {
		if t.State == policy.TaskStopping {
			continue
		}
		excess++
		if !t.ProtectedUntil.After(f.now()) {
			alive = append(alive, t.ID)
		}
	}
	if f.worth != nil {
		slices.SortStableFunc(alive, func(a, b string) int { return cmp.Compare(f.worth(b), f.worth(a)) })
	}
	for _, id := range alive[:max(0, min(excess, len(alive)))] {
		f.stopped = append(f.stopped, id)
		if f.onStop != nil {
			f.change(service, id, func(t *policy.Task) { t.State = policy.TaskStopping })
			f.onStop(id)
		} else {
			f.tasks[service] = slices.DeleteFunc(slices.Clone(f.tasks[service]), func(t policy.Task) bool { return t.ID == id })
		}
	}
}

// change changes a task.
func (f *fakeFleet) change(service, id string, change func(*policy.Task)) {
	f.tasks[service] = slices.Clone(f.tasks[service])
	for i := range f.tasks[service] {
		if f.tasks[service][i].ID == id {
			change(&f.tasks[service][i])
		}
	}
}

// changeService changes a service.
func (f *fakeFleet) changeService(service string, change func(*policy.Service)) {
	svc := f.services[service]
	change(&svc)
	f.services[service] = svc
}

// Match takes the host of a node for the ID of its task.
func (f *fakeFleet) Match(nodes []string, tasks []policy.Task) map[string]string {
	out := map[string]string{}
	for _, n := range nodes {
		for _, t := range tasks {
			if _, host, _ := strings.Cut(n, "@"); host == t.ID {
				out[n] = t.ID
			}
		}
	}
	return out
}

func (f *fakeFleet) Protect(_ context.Context, ref policy.ServiceRef, ids []string, d time.Duration) (map[string]time.Time, error) {
	slices.Sort(ids)
	defer f.enter("protect " + strings.Join(ids, " "))()
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]time.Time{}
	for _, id := range ids {
		if f.protectErr != nil && len(out) == len(ids)-1 {
			return out, f.protectErr // The last of them cannot be protected.
		}
		f.change(ref.Service, id, func(t *policy.Task) {
			t.ProtectedUntil = f.now().Add(d)
			out[id] = t.ProtectedUntil
		})
	}
	return out, nil
}

func (f *fakeFleet) Release(_ context.Context, ref policy.ServiceRef, ids []string) error {
	slices.Sort(ids)
	defer f.enter("release " + strings.Join(ids, " "))()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.change(ref.Service, id, func(t *policy.Task) { t.ProtectedUntil = time.Time{} })
	}
	return nil
}

func (f *fakeFleet) SetTags(_ context.Context, arn string, tags map[string]string) error {
	defer f.enter("set tags")()
	f.mu.Lock()
	defer f.mu.Unlock()
	for name, svc := range f.services {
		if svc.ARN == arn {
			svc.Tags = tags
			f.services[name] = svc
		}
		for _, t := range f.tasks[name] {
			if t.ARN == arn && arn != "" {
				f.change(name, t.ID, func(t *policy.Task) { t.Tags = tags })
			}
		}
	}
	return nil
}

// count is how many calls of that kind there were.
func (f *fakeFleet) count(call string) int { return len(f.made(call)) }
