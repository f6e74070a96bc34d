package doctor_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"sluice/internal/config"
	"sluice/internal/doctor"
	"sluice/lab/cloud"
	"sluice/lab/cloud/lambda"
	"sluice/lab/testenv"
)

// TestEmbeddedRedis has the doctor find nothing in `sluice-local` as it comes, with the Redis that is embedded in it and the broker's URL in a
// secret.
func TestEmbeddedRedis(t *testing.T) {
	if err := built(); err != nil {
		t.Fatal(err)
	}
	w := &ward{t: t, path: filepath.Join(t.TempDir(), "sluice.yaml")}
	yaml := fmt.Sprintf(`version: 1
brokers: [{name: redis, url_secret: ward/redis}]
targets: [{name: clean, cluster: ward, service: clean, queues: [work], min: 1, max: 3, grace: 0s}]
local:
  services:
    - {cluster: ward, service: clean, command: %s, dir: %q, start_delay: 10ms, stop_timeout: 120s}
`, text(worker(t, testenv.Python(t), "--queues", "work")), filepath.Join(testenv.Root(), "internal", "doctor", "testdata"))
	if err := os.WriteFile(w.path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.config, err = config.Load(w.path); err != nil {
		t.Fatal(err)
	}
	if w.Cloud, err = cloud.Start(t.Context(), cloud.Options{
		Config: w.config, ConfigPath: w.path, Lambdas: functions, NoSweep: true, Retry: lambda.Async{NoRetry: true},
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	// Whether the worker is up yet, only the doctor tells here.
	if err := testenv.WaitFor(t.Context(), func() error {
		r := doctor.Judge(w.examine(t, exam{targets: []string{clean}, idleFor: time.Hour}), doctor.Catalogue())
		if len(r.Findings) > 0 {
			return errors.New("nothing is wrong, and it was found:\n" + told(r))
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}
