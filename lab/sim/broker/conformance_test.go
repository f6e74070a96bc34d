package broker_test

import (
	"cmp"
	"os"
	"slices"
	"testing"
	"time"

	"sluice/lab/sim/broker"
	"sluice/lab/testenv"
)

// behaviour is a script that is played on the model and on the real thing.
type behaviour struct {
	name       string
	visibility time.Duration // 0: an hour.
	pop        time.Duration // The time of a pop that finds nothing; 0: a second.
	before57   bool          // Celery 5.7 cannot be brought to it.
	play       func(s *script)
}

// What the proof rests on: every script shows on real workers, through the production adapter, just what it shows on the model.
func TestModelIsLikeCelery(t *testing.T) {
	t.Run("newest", func(t *testing.T) { conform(t, testenv.Python(t), broker.V57) })
	if os.Getenv("SLUICE_COMPAT") == "" {
		t.Log("SKIPPED: older versions of Celery: set SLUICE_COMPAT=1 (`make test-model` does)")
		return
	}
	t.Run("5.6", func(t *testing.T) { conform(t, testenv.PythonWithCelery(t, "5.6"), broker.V55) })
	t.Run("5.2", func(t *testing.T) { conform(t, testenv.PythonWithCelery(t, "5.2"), broker.V52) })
}

// conform plays each behaviour on the model, and then on the real thing, which has to look the same.
func conform(t *testing.T, python string, v broker.Version) {
	t.Helper()
	for _, b := range slices.Concat(executing, stopping, told) {
		if b.before57 && v == broker.V57 {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			visibility, pop := cmp.Or(b.visibility, time.Hour), cmp.Or(b.pop, time.Second)
			pictures := play(t, newModelStage(t, visibility, pop, v), v, b.play, nil)
			play(t, newRealStage(t, python, visibility, pop), v, b.play, pictures)
		})
	}
}
