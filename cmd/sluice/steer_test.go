package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"sluice/lab/cloud/ecs"
)

// fleetFile has two targets, of which the second has a window that is always open.
const fleetFile = `version: 1
brokers: [{name: redis, url_env: REDIS_URL}]
targets:
  - {name: video, cluster: media, service: workers, queues: [encode], max: 10}
  - name: mail
    cluster: media
    service: mail
    queues: [mail]
    min: 1
    max: 3
    windows: [{name: always, cron: 0 * * * *, time_zone: Europe/Berlin, for: 1h, max: 6}]
`

// steered is an ECS with the services of fleetFile, and the file.
type steered struct {
	*ecs.Model
	t    *testing.T
	file string
}

func newSteered(t *testing.T) steered {
	t.Helper()
	m := ecs.New(ecs.Options{})
	t.Cleanup(m.Close)
	for _, name := range []string{"workers", "mail"} {
		if err := m.CreateService(ecs.ServiceConfig{Cluster: "media", Name: name, Desired: 2, Tags: map[string]string{"team": "media"}}); err != nil {
			t.Fatal(err)
		}
	}
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	client(t, srv.URL)
	return steered{m, t, write(t, fleetFile)}
}

// tags are the tags of a service that are Sluice's.
func (s steered) tags(service string) map[string]string {
	s.t.Helper()
	services, _ := s.Snapshot()
	i := slices.IndexFunc(services, func(o ecs.ServiceState) bool { return o.Name == service })
	tags := maps.Clone(services[i].Tags)
	if tags["team"] != "media" {
		s.t.Errorf("a tag that is none of Sluice's was lost: %v", tags)
	}
	delete(tags, "team")
	return tags
}

// do runs a command line, and returns what it says as JSON.
func (s steered) do(args string) (out steering) {
	s.t.Helper()
	status, text, errs := execute(s.t, append(strings.Fields(args), "--config", s.file, "-o", "json")...)
	if status != 0 || errs != "" {
		s.t.Fatalf("%s: exit status %d: %s%s", args, status, text, errs)
	}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		s.t.Fatalf("%s: %v\n%s", args, err, text)
	}
	return out
}

func TestSteering(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	tomorrow := time.Now().Add(24 * time.Hour).UTC().Format(time.RFC3339)
	over := time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	type tags = map[string]string
	for _, test := range []struct {
		name   string
		before tags
		args   string
		after  tags
	}{
		{"pause", nil, "pause video", tags{"sluice:paused": "true"}},
		{"pause again", tags{"sluice:paused": "true"}, "pause video", tags{"sluice:paused": "true"}},
		{"pause what is over", tags{"sluice:paused": "true@" + over}, "pause video", tags{"sluice:paused": "true"}},
		{"pause for good what ends", tags{"sluice:paused": "true@" + soon}, "pause video", tags{"sluice:paused": "true"}},
		{"pause one direction", nil, "pause video --in", tags{"sluice:paused-in": "true"}},
		{"pause the other", tags{"sluice:paused-in": "true"}, "pause video --out", tags{"sluice:paused-in": "true", "sluice:paused-out": "true"}},
		{"pause with a reason", nil, "pause video --reason migration", tags{"sluice:paused": "true", "sluice:reason": "migration"}},
		{"pause keeps bounds", tags{"sluice:min": "2"}, "pause video", tags{"sluice:min": "2", "sluice:paused": "true"}},

		{"pause again keeps the reason", tags{"sluice:paused": "true@" + soon, "sluice:reason": "migration"}, "pause video", tags{"sluice:paused": "true", "sluice:reason": "migration"}},
		{"pause does not take the reason of one that is over", tags{"sluice:paused-in": "true@" + over, "sluice:reason": "migration"}, "pause video", tags{"sluice:paused": "true", "sluice:paused-in": "true@" + over}},
		{"resume", tags{"sluice:paused": "true", "sluice:reason": "migration"}, "resume video", tags{}},
		{"resume all of it", tags{"sluice:paused": "true", "sluice:paused-in": "true", "sluice:paused-out": "true@" + soon}, "resume video", tags{}},
		{"resume what is not paused", tags{"sluice:max": "4"}, "resume video", tags{"sluice:max": "4"}},
		{"resume what cannot be read", tags{"sluice:paused": "perhaps"}, "resume video", tags{}},
		{"resume in", tags{"sluice:paused-in": "true", "sluice:paused-out": "true"}, "resume video --in", tags{"sluice:paused-out": "true"}},
		{"resume in alone", tags{"sluice:paused-in": "true", "sluice:reason": "x"}, "resume video --in", tags{}},
		{"resume in where all is paused", tags{"sluice:paused": "true", "sluice:reason": "x"}, "resume video --in", tags{"sluice:paused-out": "true", "sluice:reason": "x"}},
		{"resume out where all is paused for a time", tags{"sluice:paused": "true@" + soon}, "resume video --out", tags{"sluice:paused-in": "true@" + soon}},
		{"the longer pause of the other direction stays", tags{"sluice:paused": "true@" + soon, "sluice:paused-in": "true@" + tomorrow}, "resume video --out", tags{"sluice:paused-in": "true@" + tomorrow}},
		{"and gets longer", tags{"sluice:paused": "true@" + tomorrow, "sluice:paused-in": "true@" + soon}, "resume video --out", tags{"sluice:paused-in": "true@" + tomorrow}},
		{"or without an end", tags{"sluice:paused": "true", "sluice:paused-in": "true@" + soon}, "resume video --out", tags{"sluice:paused-in": "true"}},
		{"no end is longer than any", tags{"sluice:paused": "true@" + soon, "sluice:paused-in": "true"}, "resume video --out", tags{"sluice:paused-in": "true"}},
		{"resume in what is not paused in", tags{"sluice:paused-out": "true"}, "resume video --in", tags{"sluice:paused-out": "true"}},
		{"resume in where the pause is over", tags{"sluice:paused": "true@" + over, "sluice:paused-out": "true@" + over}, "resume video --in", tags{}},

		{"set both", nil, "set video --min 2 --max 20", tags{"sluice:min": "2", "sluice:max": "20"}},
		{"set one", tags{"sluice:min": "2"}, "set video --max 4", tags{"sluice:min": "2", "sluice:max": "4"}},
		{"set again", tags{"sluice:min": "2"}, "set video --min 2", tags{"sluice:min": "2"}},
		{"set 0", nil, "set video --min 0 --max 0", tags{"sluice:min": "0", "sluice:max": "0"}},
		{"set over what is over", tags{"sluice:max": "1@" + over}, "set video --min 2", tags{"sluice:min": "2", "sluice:max": "1@" + over}},
		{"set over what cannot be read", tags{"sluice:max": "many"}, "set video --max 2", tags{"sluice:max": "2"}},
		{"clear", tags{"sluice:min": "2", "sluice:max": "20@" + soon, "sluice:paused": "true"}, "set video --clear", tags{"sluice:paused": "true"}},
		{"clear nothing", nil, "set video --clear", tags{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newSteered(t)
			if err := s.SetTags("media", "workers", join(test.before, tags{"team": "media"})); err != nil {
				t.Fatal(err)
			}
			calls := s.Calls()
			out := s.do(test.args)
			if diff := cmp.Diff(test.after, s.tags("workers")); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
			changed := !maps.Equal(test.before, test.after)
			if r := out.Targets[0]; r.Changed != changed || !maps.Equal(r.Before, test.before) || !maps.Equal(r.After, test.after) {
				t.Errorf("said %+v", r)
			}
			if wrote := s.Calls()["TagResource"] + s.Calls()["UntagResource"] - calls["TagResource"] - calls["UntagResource"]; (wrote > 0) != changed {
				t.Errorf("%d calls wrote", wrote)
			}
			if len(s.tags("mail")) > 0 || len(out.Targets) != 1 {
				t.Errorf("another target was changed: %v, %+v", s.tags("mail"), out)
			}
			// Doing it again changes nothing.
			if again := s.do(test.args); again.Targets[0].Changed {
				t.Errorf("again: %+v", again)
			}
		})
	}
}

func join(maps_ ...map[string]string) map[string]string {
	all := map[string]string{}
	for _, m := range maps_ {
		maps.Copy(all, m)
	}
	return all
}

// What is set for a time ends by itself: its tag says when.
func TestSteeringForATime(t *testing.T) {
	s := newSteered(t)
	for args, tag := range map[string]string{
		"pause video --for 2h": "sluice:paused", "pause video --out --for 90m": "sluice:paused-out", "set video --min 3 --for 3d": "sluice:min", "set video --max 7 --for 10m": "sluice:max",
	} {
		lasting := map[string]time.Duration{"2h": 2 * time.Hour, "90m": 90 * time.Minute, "3d": 72 * time.Hour, "10m": 10 * time.Minute}[args[strings.LastIndexByte(args, ' ')+1:]]
		s.do(args)
		_, end, _ := strings.Cut(s.tags("workers")[tag], "@")
		until, err := time.Parse(time.RFC3339, end)
		if off := time.Until(until) - lasting; err != nil || off > time.Second || off < -time.Minute {
			t.Errorf("%s: until %s, %v", args, end, err)
		}
	}
}

func TestSteeringAllTargets(t *testing.T) {
	s := newSteered(t)
	if out := s.do("pause --all"); len(out.Targets) != 2 || s.tags("workers")["sluice:paused"] != "true" || s.tags("mail")["sluice:paused"] != "true" {
		t.Errorf("%+v", out)
	}
	if out := s.do("resume mail video mail"); len(out.Targets) != 2 || len(s.tags("workers"))+len(s.tags("mail")) != 0 {
		t.Errorf("%+v", out)
	}
}

// What is wrong is said before anything is changed.
func TestSteeringThatIsRefused(t *testing.T) {
	s := newSteered(t)
	missing := write(t, strings.Replace(fleetFile, "service: mail", "service: gone", 1))
	if err := s.SetTags("media", "workers", map[string]string{"team": "media", "sluice:max": "4"}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args   string
		status int
		want   string
	}{
		{"pause", 2, "Name targets, or say --all for these: video, mail"},
		{"resume", 2, "Name targets, or say --all"},
		{"pause video --all", 2, "name targets, or say --all"},
		{"pause video --in --out", 2, "--in, --out exclude each other"},
		{"pause audio", 1, `target "audio" is not in`},
		{"pause video --for yesterday", 2, "write it like 90m, 2h or 3d"},
		{"pause video --reason ;", 2, "--reason: AWS takes"},
		{"set video", 2, "give at least one of --min, --max, --clear"},
		{"set video --min 1 --clear", 2, "--clear, --min exclude each other"},
		{"set video --for 1h", 2, "give at least one of --min, --max, --clear"},
		{"set video --min 5 --max 4", 2, "--min 5 is more than --max 4"},
		{"set video --min -1", 2, "--min: use 0 to 5000"},
		{"set video --max 5001", 2, "--max: use 0 to 5000"},
		{"set video mail --max 5", 2, "name one target: video, mail"},
		{"set video --min 5", 1, "target video: tags sluice:min and sluice:max: 5 is more than 4: change one: give both --min and --max, or --clear first"},
		{"drain", 2, "name one target: video, mail"},
		{"pause --all --config " + missing, 1, "target mail: there is no service gone in cluster media"},
	} {
		args := strings.Fields(test.args)
		if !slices.Contains(args, "--config") {
			args = append(args, "--config", s.file)
		}
		status, out, errs := execute(t, args...)
		if status != test.status || !strings.Contains(errs, test.want) || out != "" {
			t.Errorf("%s: exit status %d, want %d with %q:\n%s%s", test.args, status, test.status, test.want, out, errs)
		}
	}
	if diff := cmp.Diff(map[string]string{"sluice:max": "4"}, s.tags("workers")); diff != "" || len(s.tags("mail")) != 0 {
		t.Errorf("something was changed: %s %v", diff, s.tags("mail"))
	}
}

// One service that fails keeps no other from its change, and is told.
func TestSteeringThatFails(t *testing.T) {
	s := newSteered(t)
	s.Fail("TagResource", 1, ecs.Fault{Code: "AccessDeniedException", Message: "no"})
	status, out, errs := execute(t, "pause", "--all", "--config", s.file)
	if status != 1 || !strings.Contains(errs, "target video: tag service ") || !strings.Contains(errs, "lacks this right") {
		t.Errorf("exit status %d: %s", status, errs)
	}
	if !strings.Contains(out, "failed") || len(s.tags("workers")) != 0 || s.tags("mail")["sluice:paused"] != "true" {
		t.Errorf("%s%v %v", out, s.tags("workers"), s.tags("mail"))
	}
}

// The output for people: before and after, the bounds in effect, and 80 columns.
func TestSteeringShowsBeforeAndAfter(t *testing.T) {
	s := newSteered(t)
	for _, test := range []struct{ args, want string }{
		{"set mail --min 4", "TARGET  WHAT        BEFORE  AFTER\nmail    sluice:min  -       4\n        tasks       1 to 6  4 to 6\n"},
		{"set mail --max 2", ""},
		{"set mail --min 0 --max 2", "TARGET  WHAT        BEFORE  AFTER\nmail    sluice:max  -       2\n        sluice:min  4       0\n        tasks       4 to 6  0 to 2\n"},
		{"set mail --clear", "TARGET  WHAT        BEFORE  AFTER\nmail    sluice:max  2       -\n        sluice:min  0       -\n        tasks       0 to 2  1 to 6\n"},
		{"set mail --max 0", "TARGET  WHAT        BEFORE  AFTER\nmail    sluice:max  -       0\n        tasks       1 to 6  0 to 0\n  The configured min gives way, too, as it is more than the max.\n"},
		{"set mail --max 6", "TARGET  WHAT        BEFORE  AFTER\nmail    sluice:max  0       6\n        tasks       0 to 0  1 to 6\n"},
		{"set mail --clear", "TARGET  WHAT        BEFORE  AFTER\nmail    sluice:max  6       -\n"},
		{"set mail --min 8", "TARGET  WHAT        BEFORE  AFTER\nmail    sluice:min  -       8\n        tasks       1 to 6  8 to 8\n  The configured max is raised, too, as it is less than the min.\n"},
		{"pause mail", "TARGET  WHAT           BEFORE  AFTER\nmail    sluice:paused  -       true\n"},
		{"pause mail", "TARGET  WHAT       BEFORE  AFTER\nmail    unchanged\n"},
		{"pause mail --in", "TARGET  WHAT              BEFORE  AFTER\nmail    sluice:paused-in  -       true\n  All scaling is paused already, by the tag sluice:paused (true).\n"},
	} {
		status, out, errs := execute(t, append(strings.Fields(test.args), "--config", s.file)...)
		if test.want == "" {
			if status != 1 {
				t.Errorf("%s: exit status %d", test.args, status)
			}
			continue
		}
		if diff := cmp.Diff(test.want, out); diff != "" || status != 0 {
			t.Errorf("%s: exit status %d%s (-want +got):\n%s", test.args, status, errs, diff)
		}
	}
	if err := s.SetTags("media", "mail", map[string]string{"sluice:min": "some"}); err != nil {
		t.Fatal(err)
	}
	_, out, _ := execute(t, "resume", "mail", "--config", s.file)
	if !strings.HasSuffix(out, "\n  tag sluice:min: \"some\" is not a whole number from 0 to 5000: correct or delete\n  it; until then nothing is let go\n") {
		t.Errorf("a tag that cannot be read is not told:\n%s", out)
	}
	_, out, _ = execute(t, "pause", "video", "--for", "26h", "--reason", "a long story about a migration that takes its time and all that is to be said of it", "--config", s.file)
	fits(t, out)
	if !strings.Contains(out, "true until "+time.Now().Add(26*time.Hour).Format("Mon 15:04")) && !strings.Contains(out, "true until "+time.Now().Add(26*time.Hour-time.Minute).Format("Mon 15:04")) {
		t.Errorf("the end is missing:\n%s", out)
	}
}

// fits fails for lines of more than 80 columns.
func fits(t *testing.T, out string) {
	t.Helper()
	for line := range strings.Lines(out) {
		if n := ansi.StringWidth(strings.TrimSuffix(line, "\n")); n > plainWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// What was done before a change failed is said.
func TestSteeringThatFailsHalfWay(t *testing.T) {
	s := newSteered(t)
	if err := s.SetTags("media", "workers", map[string]string{"sluice:min": "2"}); err != nil {
		t.Fatal(err)
	}
	s.Fail("UntagResource", 2, ecs.Fault{Code: "AccessDeniedException", Message: "no"})
	status, out, errs := execute(t, "drain", "video", "-o", "json", "--config", s.file)
	var said steering
	if err := json.Unmarshal([]byte(out), &said); err != nil || len(said.Targets) != 1 {
		t.Fatalf("exit status %d: %v: %s%s", status, err, out, errs)
	}
	r := said.Targets[0]
	if status != 1 || !r.Changed || r.Error == "" || !maps.Equal(r.After, s.tags("workers")) || s.tags("workers")["sluice:max"] != "0" {
		t.Errorf("exit status %d: %s%s; the tags are %v", status, out, errs, s.tags("workers"))
	}
	if _, out, _ := execute(t, "drain", "video", "--config", s.file); !strings.Contains(out, "untag service") {
		t.Errorf("%s", out)
	}
}

// A thousand services are described ten at a time, in the order of the file.
func TestSteeringManyTargets(t *testing.T) {
	m := ecs.New(ecs.Options{})
	t.Cleanup(m.Close)
	var b strings.Builder
	b.WriteString("version: 1\nbrokers: [{name: redis, url_env: REDIS_URL}]\ntargets:\n")
	for i := range 45 {
		cluster := fmt.Sprintf("c%d", i%3)
		if err := m.CreateService(ecs.ServiceConfig{Cluster: cluster, Name: fmt.Sprintf("s%d", i)}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "  - {name: t%d, cluster: %s, service: s%d, queues: [q%d], max: 1}\n", i, cluster, i, i)
	}
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	client(t, srv.URL)
	s := steered{m, t, write(t, b.String())}
	out := s.do("pause --all")
	for i, r := range out.Targets {
		if r.Target != fmt.Sprintf("t%d", i) || !strings.HasSuffix(r.Service, fmt.Sprintf("/s%d", i)) || !r.Changed {
			t.Errorf("%d: %+v", i, r)
		}
	}
	if n := m.Calls()["DescribeServices"]; n != 6 {
		t.Errorf("%d calls of DescribeServices, want two for each of three clusters", n)
	}
}
