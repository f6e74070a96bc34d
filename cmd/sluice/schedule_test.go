package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
)

const windows = `version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets:
  - name: video
    cluster: media
    service: workers
    queues: [encode]
    max: 10
    windows:
      - {name: launch, cron: 0 6 24 11 *, for: 36h, min: 6, max: 20}
      - {name: office hours, cron: 0 8 * * mon-fri, time_zone: Europe/Berlin, for: 10h, min: 2, max: 20, pre_warm: 10m}
      - {name: night, cron: 0 22 * * *, time_zone: America/Los_Angeles, for: 8h, max: 0}
      - {name: always, cron: 0 * * * *, for: 1h, max: 15}
      - {name: leap day, cron: 0 0 29 2 *, time_zone: Asia/Tokyo, for: 24h, max: 1}
  - {name: mail, cluster: media, service: mail, queues: [mail], max: 3}
`

// scheduleAt runs the command at a time of the test's choice.
func scheduleAt(t *testing.T, file string, now time.Time, named bool) string {
	t.Helper()
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := scheduleCommand()
	cmd.SetContext(t.Context())
	cmd.SetOut(&out)
	if err := showSchedule(cmd, c, c.Targets, named, now); err != nil {
		t.Fatal(err)
	}
	fits(t, out.String())
	return out.String()
}

func TestSchedule(t *testing.T) {
	s := newSteered(t)
	file := write(t, windows)
	friday := time.Date(2026, 10, 23, 15, 30, 0, 0, time.UTC)
	// On the weekend Berlin's clocks change: 07:50 is 06:50 UTC on Monday.
	if diff := cmp.Diff(`video: 2 to 20 tasks now, by office hours (else 0 to 10)
  WINDOW        TASKS    NOW     OPENS NEXT            CLOSES NEXT
  launch        6 to 20  closed  Nov 24 06:00 UTC      Nov 25 18:00 UTC
  office hours  2 to 20  open    Mon 07:50 CET         Fri 18:00 CEST
                                 Mon 06:50 UTC         Fri 16:00 UTC
  night         max 0    closed  Fri 22:00 PDT         Sat 06:00 PDT
                                 Sat 05:00 UTC         Sat 13:00 UTC
  always        max 15   open    never                 never
  leap day      max 1    closed  2028-02-29 00:00 JST  2028-03-01 00:00 JST
                                 2028-02-28 15:00 UTC  2028-02-29 15:00 UTC

1 target without windows.
`, scheduleAt(t, file, friday, false)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}

	// A tag comes before any window, until its time is over.
	if err := s.SetTags("media", "workers", map[string]string{"sluice:max": "4@2026-10-23T16:00:00Z", "sluice:min": "many"}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(`video: 2 to 4 tasks now, by office hours and sluice:max (else 0 to 10)
  tag sluice:min: "many" is not a whole number from 0 to 5000: correct or delete
  it
`, strings.SplitAfter(scheduleAt(t, file, friday, true), "  it\n")[0]); diff != "" {
		t.Errorf("with a tag (-want +got):\n%s", diff)
	}
	if err := s.SetTags("media", "workers", map[string]string{"sluice:min": "1"}); err != nil {
		t.Fatal(err)
	}
	if got := scheduleAt(t, file, friday, true); !strings.HasPrefix(got, "video: 1 to 4 tasks now, by sluice:min and sluice:max (else 0 to 10)\n  WINDOW") {
		t.Errorf("with two tags:\n%s", got)
	}
	if err := s.SetTags("media", "workers", map[string]string{"sluice:min": ""}); err != nil {
		t.Fatal(err)
	}
	if got := scheduleAt(t, file, friday.Add(time.Hour), true); !strings.HasPrefix(got, "video: 0 to 15 tasks now, by always (else 0 to 10)\n") || !strings.Contains(got, "\nmail: 0 to 3 tasks now\n") {
		t.Errorf("after the tag's time:\n%s", got)
	}
}

// A service that is not there leaves the bounds of its own target unknown, and no other's.
func TestScheduleWithoutAService(t *testing.T) {
	newSteered(t)
	status, out, _ := execute(t, "schedule", "video", "mail", "-o", "json", "--config", write(t, strings.Replace(windows, "service: mail", "service: gone", 1)))
	var got schedule
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 0 {
		t.Fatalf("exit status %d: %v", status, err)
	}
	if got.Targets[0].InEffect == nil || got.Targets[1].InEffect != nil || len(got.Unknown) != 1 || !strings.Contains(got.Unknown["mail"], "no service gone") {
		t.Errorf("%s", out)
	}
}

// Without an answer of ECS the tags are unknown, and so are the bounds.
func TestScheduleWithoutECS(t *testing.T) {
	client(t, "http://127.0.0.1:1")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	status, out, errs := execute(t, "schedule", "--config", write(t, windows))
	if status != 0 || errs != "" || !strings.HasPrefix(out, "video: ? tasks now, by ") || !strings.Contains(out, "The bounds in effect are unknown") {
		t.Errorf("exit status %d: %s%s", status, errs, out)
	}
	status, out, _ = execute(t, "schedule", "mail", "--config", write(t, windows), "-o", "json")
	var got schedule
	if err := json.Unmarshal([]byte(out), &got); err != nil || status != 0 {
		t.Fatalf("exit status %d: %v", status, err)
	}
	if len(got.Targets) != 1 || got.Targets[0].InEffect != nil || !strings.Contains(got.Unknown["mail"], "no credentials") || !strings.Contains(out, `"in_effect": null`) {
		t.Errorf("%s", out)
	}
}
