package scaler

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/policy"
)

// TestTheLockIsLost has another get it before each time that a scale-in asks for it again, since Redis has lost it.
func TestTheLockIsLost(t *testing.T) {
	t.Parallel()
	const locks = 3 // At the beginning, before the last look, and after it.
	for lost := 2; lost <= locks; lost++ {
		w := crew(t, []hand{{}, {}, {}}, oneByOne, keep(1))
		w.before = func(_ int, call string) {
			if call == "lock" && len(w.made("lock")) == lost {
				w.broker.locks = map[string]fakeLock{"prod/worker-svc": {"another", w.now.Add(time.Minute)}}
			}
		}
		change, err := w.letGo(t)
		if err != nil || change.Status != "draining" || w.desired("worker") != 3 {
			t.Errorf("lost at %d: %+v, %v, count %d", lost, change, err, w.desired("worker"))
		}
		if diff := cmp.Diff([]policy.Reason{policy.ReasonOverlap}, change.Reasons); diff != "" {
			t.Errorf("lost at %d: reasons (-want +got):\n%s", lost, diff)
		}
		if diff := cmp.Diff([]string{"protect worker2", "release worker2"}, w.made("protect", "set", "release", "consume")); diff != "" {
			t.Errorf("lost at %d: calls (-want +got):\n%s", lost, diff)
		}
		if w.broker.locks["prod/worker-svc"].token != "another" {
			t.Errorf("lost at %d: the other's lock is gone", lost)
		}
	}
}

// TestAnotherHadTheLockForAMoment has Redis lose the lock, and another have a victim fetch again and be gone.
func TestAnotherHadTheLockForAMoment(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}, {}}, oneByOne, keep(1))
	w.before = func(_ int, call string) {
		if call == "lock" && len(w.made("lock")) == 2 {
			delete(w.broker.locks, "prod/worker-svc")
			w.broker.setQueues("celery@worker0", []string{"celery"})
		}
	}
	if change, err := w.letGo(t); err != nil || change.Status != "draining" || w.desired("worker") != 3 {
		t.Errorf("%+v, %v, count %d", change, err, w.desired("worker"))
	}
}

// TestTheLockIsFreedThroughAFailover has the broker refuse to free it for a while: nobody else could wake drained workers meanwhile.
func TestTheLockIsFreedThroughAFailover(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}})
	w.broker.stuckLock = 3
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" {
		t.Errorf("%+v, %v", change, err)
	}
	if n := len(w.made("unlock")); n != 4 || len(w.broker.locks) != 0 {
		t.Errorf("tried to free it %d times, held: %v", n, w.broker.locks)
	}
}
