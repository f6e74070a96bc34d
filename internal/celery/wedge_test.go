package celery

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

// Why a look asks what it asks: a task whose arguments the application's serializer cannot carry executes, and others wait
// prefetched. Look upon look leaves the worker well. One active without safe, or one reserved, and the worker is
// deaf: it answers nobody, fetches nothing, and lives on. Celery 5.2 to 5.6 do so, 5.7 no more.
func TestOthersWedge(t *testing.T) {
	if os.Getenv("SLUICE_COMPAT") == "" {
		t.Skip("SKIPPED: set SLUICE_COMPAT=1 (`make test-compat` does)")
	}
	for _, method := range []string{"active", "reserved"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			testWedge(t, testenv.PythonWithCelery(t, "5.6"), method)
		})
	}
}

func testWedge(t *testing.T, python, method string) {
	addr := testenv.RedisServer(t)
	lab := newLab(t, python, addr, nil)
	worker := lab.start("w1@vm", "-P", "prefork", "-c", "1")
	broker := newBroker(t, Options{Addrs: []string{addr}})
	lab.send(order{Task: "hold", Args: []string{"gate"}, Count: 3, Set: true, Options: map[string]any{"serializer": "pickle"}})
	well := func() error {
		look, err := broker.Look(t.Context(), []string{"celery"}, testPatience)
		if err != nil {
			return err
		}
		if len(look.Nodes) != 1 || look.Nodes[0].Active != policy.Known(1) || look.Queues["celery"].Held != policy.Known(2) {
			return fmt.Errorf("look: %+v", look)
		}
		return nil
	}
	lab.until("one task executes, two are held", well)
	for range 20 { // One of them may fall between the start of the task and its acknowledgement.
		lab.until("a look after others", well)
	}
	frame, err := broker.keys.frame(command{method: method, ticket: uuid()}, "nobody", time.Now(), time.Second)
	if err = errors.Join(err, broker.client.Publish(t.Context(), broker.keys.controlChannel(), frame).Err()); err != nil {
		t.Fatal(err)
	}
	lab.until("the worker cannot encode its answer", func() error {
		if !strings.Contains(worker.log.String(), "EncodeError") {
			return errors.New("it has not complained")
		}
		return nil
	})
	lab.until("the worker is deaf", func() error {
		look, err := broker.Look(t.Context(), []string{"celery"}, 200*time.Millisecond)
		if err != nil || look.Heard() != 0 {
			return fmt.Errorf("look: %+v, %w", look, err)
		}
		return nil
	})
}
