package config

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

var update = flag.Bool("update", false, "write the golden files anew")

func files(t testing.TB, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil || len(found) == 0 {
		t.Fatalf("find %s: %v, %d files", pattern, err, len(found))
	}
	return found
}

func TestValidFilesLoad(t *testing.T) {
	for _, file := range files(t, "testdata/valid/*.yaml") {
		if _, err := Load(file); err != nil {
			t.Errorf("%s:\n%v", file, err)
		}
	}
}

// Each invalid file shows several problems, and each has to be reported in the same run, at its place.
func TestInvalidFilesReportAllProblems(t *testing.T) {
	for _, file := range files(t, "testdata/invalid/*.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file)
			var problems Problems
			if !errors.As(err, &problems) || c != nil {
				t.Fatalf("Load = %v, %v, want Problems", c, err)
			}
			got := err.Error() + "\n"
			golden := strings.TrimSuffix(file, ".yaml") + ".golden"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			for _, p := range problems {
				if p.Line < 1 || p.Column < 1 || p.Message == "" || p.Remedy == "" {
					t.Errorf("incomplete problem %+v", p)
				}
			}
			if bytes.Contains([]byte(got), []byte("hunter2")) {
				t.Errorf("the report holds the password:\n%s", got)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	got, err := Load("testdata/valid/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	const minute = Duration(60e9)
	want := &Config{
		Version: 1,
		Brokers: []Broker{{
			Name: "main", Kind: KindCelery, URL: "redis://localhost:6379/0",
			PrioritySteps: []int{0, 3, 6, 9}, Separator: "\x06\x16", ControlExchange: "celery", EventExchange: "celeryev",
			VisibilityTimeout: 60 * minute, Horizon: 6 * minute,
		}},
		Targets: []Target{{
			Name: "worker", Cluster: "prod", Service: "celery-worker", Broker: "main", Queues: []string{"celery"},
			Min: 0, Max: 10, MessagesPerWorker: 5, Activity: Activity{Source: ActivityInspect},
			Settle: minute, Grace: minute * 3 / 2,
		}},
		Events: Events{
			Source: "custom.celery.monitor", DetailType: "celery.task.queue_full", Bus: "default", Coalesce: minute / 60,
		},
		Sweep:   Sweep{Every: 5 * minute},
		Metrics: Metrics{Level: MetricsOff},
		Local:   Local{Redis: RedisEmbedded},
		Deploy: Deploy{
			Stack: "sluice", LogRetention: 30, TargetsPerSchedule: 1000, Alarms: DeployAlarms{Workers: true},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(Config{}), cmpopts.IgnoreFields(Config{}, "Dir")); diff != "" {
		t.Errorf("config (-want +got):\n%s", diff)
	}
	if !filepath.IsAbs(got.Dir) || filepath.Base(got.Dir) != "valid" {
		t.Errorf("Dir = %q, want the absolute path of testdata/valid", got.Dir)
	}
	if got.LocalSweepEvery() != got.Sweep.Every.Std() {
		t.Errorf("LocalSweepEvery = %v, want sweep.every", got.LocalSweepEvery())
	}
}
