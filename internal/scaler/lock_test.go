package scaler

import (
	"context"
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

// TestWhoCannotBeAskedForTheLock: nothing is done then, and the lock is tried to be freed once, since it may have been taken all the same.
func TestWhoCannotBeAskedForTheLock(t *testing.T) {
	t.Parallel()
	w := crew(t, []hand{{}, {}})
	w.broker.lockErr = broken(policy.BrokerUnavailable, "gone")
	if change, err := w.letGo(t); kindOf(err) != policy.BrokerUnavailable || change.Status != "" {
		t.Errorf("%+v, %v", change, err)
	}
	if diff := cmp.Diff([]string{"lock", "unlock"}, w.calls); diff != "" {
		t.Errorf("calls (-want +got):\n%s", diff)
	}
}

// mindful does nothing for a context that has ended.
type mindful struct{ *fakeBroker }

func (b mindful) Unlock(ctx context.Context, name, token string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return b.fakeBroker.Unlock(ctx, name, token)
}

// TestTheLockIsFreedThoughTheFunctionEnds: else nobody could wake drained workers until it expires.
func TestTheLockIsFreedThoughTheFunctionEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Brokers["main"] = mindful{w.broker}
	ctx, cancel := context.WithCancel(t.Context())
	l, free, err := w.lock(ctx, w.Targets[0])
	if err != nil || !free {
		t.Fatal(free, err)
	}
	cancel()
	l.unlock(ctx)
	if len(w.broker.locks) != 0 {
		t.Error("it is still held")
	}
}

// TestTheLockIsGivenUp has a broker that never comes back: once a second is often enough, for as long as a failover takes, and a function
// that has nothing else to do is not to last for much longer. The lock then expires.
func TestTheLockIsGivenUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, free, err := w.lock(t.Context(), w.Targets[0])
	if err != nil || !free {
		t.Fatal(free, err)
	}
	w.broker.stuckLock = 1e6
	l.unlock(t.Context())
	const failover, patience = 10 * time.Second, 30 * time.Second
	took, tries := w.now.Sub(start), time.Duration(len(w.made("unlock")))
	if took < failover || took > patience || tries*time.Second > took+time.Second || tries < 5 {
		t.Errorf("it was tried %d times in %v", tries, took)
	}
	w.Sleep = func(context.Context, time.Duration) error { return context.DeadlineExceeded }
	if l.unlock(t.Context()); len(w.made("unlock")) != int(tries)+1 {
		t.Error("it goes on though the function cannot wait")
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
