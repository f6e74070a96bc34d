package scaler

import (
	"os"
	"regexp"
	"strconv"
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

// TestTheLockOutlivesItsHolder holds the lock's time against what rests on it. Whoever took it may be at work for as long as the state
// machine waits for the function, and ECS for a moment longer; and if it died, the next sweep but one finds it free.
func TestTheLockOutlivesItsHolder(t *testing.T) {
	t.Parallel()
	machine, err := os.ReadFile("../../stepfunctions/scalein.asl.json")
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`"\$\{ScaleInFunctionArn\}",\s+"Parameters": [^\n]+\s+"TimeoutSeconds": (\d+)`).FindSubmatch(machine)
	if found == nil {
		t.Fatal("the state machine's time-out of ScaleIn is not found")
	}
	seconds, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	life := time.Duration(seconds) * time.Second
	const sweeps = 5 * time.Minute
	w := crew(t, []hand{{}, {}}, oneByOne)
	var until time.Time
	w.after = func(_ int, call string) {
		if call == "lock" {
			until = w.broker.locks["prod/worker-svc"].until
			if left := until.Sub(w.now); left < life+stopPatience || left > sweeps {
				t.Errorf("the lock is for %v, and the function may live for %v, ECS take %v more, and sweeps come each %v", left, life, stopPatience, sweeps)
			}
		}
	}
	if change, err := w.letGo(t); err != nil || change.Status != "scaled in" || until.IsZero() {
		t.Errorf("%+v, %v, lock until %v", change, err, until)
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
