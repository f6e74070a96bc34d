package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"sluice/internal/config"
)

func TestConfigShowsWhatIsInEffect(t *testing.T) {
	path := write(t, `version: 1
brokers: [{name: redis, url: "rediss://user:hunter2@redis.internal:6380/1", tls: {server_name: x}}]
targets:
  - {name: video, cluster: media, service: workers, queues: ["on", a b], max: 3, max_wait: 60s, task_seconds: 2.5, concurrency: 2, windows: [{name: office hours, cron: 0 8 * * mon-fri, for: 10h, max: 0}]}
traces: {endpoint: "http://collector:4318"}
local:
  services:
    - {cluster: media, service: workers, command: [run, "redis://:hunter2@h/1"], env: {A: "1", DB_PASSWORD: hunter2, REDIS: "redis://hunter2@h"}}
`)
	const yaml = `# What is in effect, by ` + "`sluice config`" + `. Values without a comment are the file's own.
version: 1
brokers:
  - name: redis
    kind: celery # default
    url: "rediss://user:redacted@redis.internal:6380/1" # the password is not shown
    tls:
      server_name: x
      insecure_skip_verify: false # default
    cluster_mode: false # default
    priority_steps: [0, 3, 6, 9] # default
    separator: "\x06\x16" # default
    control_exchange: celery # default
    event_exchange: celeryev # default
    visibility_timeout: 1h # default
    horizon: 6m # default
targets:
  - name: video
    cluster: media
    service: workers
    broker: redis # the only one
    queues: ["on", "a b"]
    min: 0 # default
    max: 3
    messages_per_worker: 48 # from max_wait, task_seconds and concurrency
    max_wait: 1m
    task_seconds: 2.5
    concurrency: 2
    activity:
      source: inspect # default
    settle: 1m # default
    grace: 1m30s # default
    floor_hold: 0s # default
    scale_in_step: 0 # default
    shield: false # default
    dry_run: false # default
    windows:
      - name: "office hours"
        cron: "0 8 * * mon-fri"
        time_zone: UTC # default
        for: 10h
        max: 0
        pre_warm: 0s # default
events:
  source: custom.celery.monitor # default
  detail_type: celery.task.queue_full # default
  bus: default # default
  coalesce: 1s # default
sweep:
  every: 5m # default
metrics:
  level: "off" # default
traces:
  endpoint: "http://collector:4318"
  sample: 1 # default
local:
  redis: embedded # default
  services:
    - cluster: media
      service: workers
      command: [run, "redis://:redacted@h/1"] # the password is not shown
      dir: "." # default
      env:
        A: "1"
        DB_PASSWORD: redacted # not shown
        REDIS: "redis://redacted@h" # not shown
      start_delay: 1s # default
      stop_timeout: 30s # default
deploy:
  stack: sluice # default
  log_retention: 30 # default
  alarms:
    workers: true # default
  targets_per_schedule: 1000 # default
`
	status, out, errs := execute(t, "config", path)
	if diff := cmp.Diff(yaml, out); diff != "" || status != 0 || errs != "" {
		t.Errorf("exit status %d, %s\n(-want +got):\n%s", status, errs, diff)
	}
	status, out, errs = execute(t, "config", "-o", "json", path)
	if status != 0 || errs != "" || strings.Contains(out, "hunter2") {
		t.Errorf("exit status %d, %s\n%s", status, errs, out)
	}
	for _, want := range []string{
		"{\n  \"version\": 1,\n  \"brokers\": [\n    {\n      \"name\": \"redis\"",
		`"messages_per_worker": 48,`, `"task_seconds": 2.5,`, "\"queues\": [\n        \"on\",\n        \"a b\"\n      ],", `"separator": "\u0006\u0016",`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("JSON lacks %q:\n%s", want, out)
		}
	}
}

// The output is a configuration file that means the same, whatever the file was.
func TestConfigIsAConfig(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "internal", "config", "testdata", "valid", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	ca, err := os.ReadFile(filepath.Join("..", "..", "internal", "config", "testdata", "valid", "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.pem"), ca, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range append(files, filepath.Join("..", "..", "examples", "shop", "sluice.yaml")) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			meansTheSame(t, dir, text)
		})
	}
	for name, text := range map[string]string{
		"with a byte order mark": "\ufeff" + strings.ReplaceAll(valid, "\n", "\r\n"),
		"with a CA as text":      strings.Replace(valid, "url_env: REDIS_URL", "url_env: X, tls: {ca_pem: "+strconv.Quote(string(ca))+"}", 1),
		"with an odd CA":         strings.Replace(valid, "url_env: REDIS_URL", "url_env: X, tls: {ca_pem: "+strconv.Quote("\n\n"+string(ca)+"\n\n\tend")+"}", 1),
		"with empty lists":       valid + "local: {services: []}\ndeploy: {keys: [], vpc: {id: vpc-00000001, subnets: [subnet-00000001], security_groups: []}}\n",
		"with an empty mapping":  valid + "local: {services: [{cluster: c, service: s, command: [x], env: {}}]}\n",
		"with all in JSON":       `{"version": 1, "brokers": [{"name": "b", "url_env": "X"}], "targets": [{"name": "t", "cluster": "c", "service": "s", "queues": ["q"], "max": 1}]}`,
	} {
		t.Run(name, func(t *testing.T) { meansTheSame(t, dir, []byte(text)) })
	}
	t.Run("any", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			text := drawFile(rt)
			if _, err := config.Parse([]byte(text), "drawn"); err != nil {
				rt.Fatalf("the generator drew an invalid file: %v\n%s", err, text)
			}
			meansTheSame(rt, dir, []byte(text))
		})
	})
}

type tester interface {
	Helper()
	Fatalf(string, ...any)
}

// meansTheSame prints a file as YAML and JSON, loads these, and compares the configs.
func meansTheSame(t tester, dir string, text []byte) {
	t.Helper()
	open := func(text []byte) *config.File {
		path := filepath.Join(dir, "sluice.yaml")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatalf("%v", err)
		}
		f, err := config.Open(path)
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		return f
	}
	f := open(text)
	want := withoutSecrets(f.Config)
	asJSON := func(f *config.File) string {
		var b bytes.Buffer
		if err := printJSON(&b, effective(f), "  "); err != nil {
			t.Fatalf("%v", err)
		}
		return b.String()
	}
	json := asJSON(f)
	for _, printed := range [][]byte{[]byte(effective(f).yaml()), []byte(json)} {
		got := open(printed)
		if diff := cmp.Diff(want, got.Config, cmpopts.IgnoreUnexported(config.Config{})); diff != "" {
			t.Fatalf("loaded from what was printed (-want +got):\n%s\nprinted:\n%s", diff, printed)
		}
		if diff := cmp.Diff(json, asJSON(got)); diff != "" {
			t.Fatalf("printed again (-first +second):\n%s", diff)
		}
	}
}

// withoutSecrets is the config with what is not shown as it is shown.
func withoutSecrets(c *config.Config) *config.Config {
	for i := range c.Brokers {
		c.Brokers[i].URL = config.Secret(withoutPassword(c.Brokers[i].URL.Reveal()))
	}
	for _, s := range c.Local.Services {
		for i := range s.Command {
			s.Command[i] = withoutPassword(s.Command[i])
		}
		for name, value := range s.Env {
			s.Env[name] = shownVariable(name, value)
		}
	}
	return c
}

// drawFile draws a valid file: fields are given or not, with odd texts, in YAML's flow style with all but ASCII escaped.
func drawFile(t *rapid.T) string {
	words := rapid.SampledFrom([]string{"true", "No", "null", "~", "1e3", "0x1f", "1_000", ".inf", "2026-11-22", "12:30", "- a", "a: b", "a #b", "---", "é"})
	text := rapid.OneOf(words, rapid.StringMatching(`[^\x00]{1,12}`))
	printable := rapid.OneOf(words, rapid.StringMatching(`[^\x00-\x1f\x7f]{1,12}`))
	span := rapid.Custom(func(t *rapid.T) string { return fmt.Sprintf("%dms", rapid.IntRange(1000, 3_600_000).Draw(t, "ms")) })
	count := rapid.Custom(func(t *rapid.T) string { return strconv.Itoa(rapid.IntRange(1, 2000).Draw(t, "n")) })
	boolean := rapid.Custom(func(t *rapid.T) string { return strconv.FormatBool(rapid.Bool().Draw(t, "bool")) })
	quoted := func(g *rapid.Generator[string]) *rapid.Generator[string] { return rapid.Map(g, strconv.QuoteToASCII) }
	list := func(g *rapid.Generator[string], least int) *rapid.Generator[string] {
		return rapid.Map(rapid.SliceOfNDistinct(g, least, 4, rapid.ID[string]), func(s []string) string { return "[" + strings.Join(s, ", ") + "]" })
	}
	// fields draws those that are always there, and some of the others.
	fields := func(always string, optional map[string]*rapid.Generator[string]) string {
		out := []string{always}
		var names []string
		for name := range optional {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			if rapid.Bool().Draw(t, "has "+name) {
				out = append(out, name+": "+optional[name].Draw(t, name))
			}
		}
		return "{" + strings.Join(slices.DeleteFunc(out, func(s string) bool { return s == "" }), ", ") + "}"
	}
	type optional = map[string]*rapid.Generator[string]
	mapped := func(draw func(t *rapid.T) string) *rapid.Generator[string] { return rapid.Custom(draw) }

	urls := rapid.SampledFrom([]string{
		"url_env: REDIS_URL", "url_secret: prod/redis#url", `url_secret: "arn:aws:secretsmanager:eu-central-1:123456789012:secret:on"`,
		"url_parameter: /prod/redis", "url: redis://h:1/2", `url: "redis://:p%40w@h"`, `url: " rediss://a:b@c:d@[::1]:6380//3?client_name=x%3A "`,
		`url: "redis://token@h?socket_timeout=5"`,
	})
	var brokers, targets, services []string
	n := rapid.IntRange(1, 3).Draw(t, "brokers")
	for i := range n {
		brokers = append(brokers, fields(fmt.Sprintf("name: b%d, %s", i, urls.Draw(t, "url")), optional{
			"kind": rapid.Just("celery"), "key_prefix": quoted(printable), "separator": quoted(text),
			"control_exchange": rapid.StringMatching(`[A-Za-z][A-Za-z0-9._-]{0,5}`).Filter(func(s string) bool { return !yamlWords.MatchString(s) && !number.MatchString(s) }),
			"priority_steps":   rapid.Just("[0, 1, 255]"), "visibility_timeout": span, "horizon": span,
			"tls": mapped(func(t *rapid.T) string {
				return rapid.SampledFrom([]string{"{}", "{insecure_skip_verify: false}", "{ca_file: ca.pem}", "{server_name: a.b}"}).Draw(t, "tls")
			}),
		}))
	}
	for i := range rapid.IntRange(n, n+3).Draw(t, "targets") {
		broker := fmt.Sprintf(", broker: b%d", i%n)
		if n == 1 && rapid.Bool().Draw(t, "broker left out") {
			broker = ""
		}
		size := rapid.SampledFrom([]string{
			"", ", messages_per_worker: 7", ", max_wait: 1m, task_seconds: 2.5, concurrency: 2",
			", max_wait: 1s, task_seconds: 0.001, concurrency: 3, messages_per_worker: 3000",
		}).Draw(t, "size")
		// A queue is one target's only.
		queue := rapid.Map(printable, func(s string) string { return fmt.Sprintf("%s%d", s, i) })
		targets = append(targets, fields(fmt.Sprintf("name: t%d, cluster: c, service: s%d, max: 2000, queues: %s%s%s",
			i, i, list(quoted(queue), 1).Draw(t, "queues"), broker, size), optional{
			"dry_run": boolean, "windows": mapped(func(t *rapid.T) string {
				bound := rapid.SampledFrom([]string{"min: 0", "min: 0, max: 0", "max: 2000"}).Draw(t, "bound")
				if rapid.Bool().Draw(t, "zone") {
					bound += ", time_zone: Europe/Berlin, pre_warm: " + span.Draw(t, "pre-warm")
				}
				return "[{name: \"1 a\", cron: \"*/5 0-6,9 * jan mon\", for: 90m, " + bound + "}]"
			}),
			"min": count, "settle": span, "grace": span, "floor_hold": span, "scale_in_step": count,
			"activity": mapped(func(t *rapid.T) string {
				if rapid.Bool().Draw(t, "counter") {
					return "{source: counter, key: " + quoted(printable).Draw(t, "key") + "}"
				}
				return "{source: none}"
			}),
		}))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "services") {
		services = append(services, fields(fmt.Sprintf("cluster: c, service: s%d, command: %s", i, list(quoted(text), 1).Draw(t, "command")), optional{
			"dir": quoted(printable),
			"env": mapped(func(t *rapid.T) string {
				names := rapid.SampledFrom([]string{"A", "Y", "no", "On", "NULL", "API_TOKEN", "PASSWORD", "_"})
				var vars []string
				for _, name := range rapid.SliceOfNDistinct(names, 0, 4, rapid.ID[string]).Draw(t, "names") {
					vars = append(vars, strconv.Quote(name)+": "+quoted(rapid.StringMatching(`(https?://)?[^\x00]{0,9}@?[^\x00]{0,9}`)).Draw(t, "value"))
				}
				return "{" + strings.Join(vars, ", ") + "}"
			}),
			"start_delay": span.Filter(func(s string) bool { return len(s) < 8 }),
		}))
	}
	file := fields("version: 1, brokers: ["+strings.Join(brokers, ", ")+"], targets: ["+strings.Join(targets, ", ")+"]", optional{
		"events": mapped(func(t *rapid.T) string {
			return "{detail_type: " + quoted(printable).Draw(t, "detail type") + "}"
		}),
		"sweep":   rapid.Just("{every: 7m}"),
		"metrics": rapid.SampledFrom([]string{"{level: off}", "{level: \"off\"}", "{level: totals}", "{level: targets}"}),
		"traces":  rapid.SampledFrom([]string{"{endpoint: \"https://[::1]:4318\", sample: 0}", "{endpoint: \"http://a/b\", sample: 0.125}"}),
		"local":   rapid.Just("{redis: none, services: [" + strings.Join(services, ", ") + "]}"),
		"deploy": mapped(func(t *rapid.T) string {
			return fields("", optional{
				"stack": rapid.Just("s"), "log_retention": rapid.Just("365"), "targets_per_schedule": count,
				"vpc":    rapid.Just("{id: vpc-00000001, subnets: [subnet-00000001, subnet-00000002], security_groups: [sg-00000001]}"),
				"keys":   list(quoted(rapid.StringMatching(`arn:aws:kms:eu-central-1:[0-9]{12}:key/[A-Za-z0-9-]{1,9}`)), 0),
				"notify": rapid.SampledFrom([]string{"{}", "{every: 1h, email: a@b.c}"}),
				"alarms": rapid.SampledFrom([]string{"{email: a@b.c}", "{workers: false}", `{topic: "arn:aws:sns:eu-central-1:123456789012:t"}`}),
				"example": mapped(func(t *rapid.T) string {
					return "{image: \"s:1\", redis: external, api: " + boolean.Draw(t, "api") + "}"
				}),
			})
		}),
	})
	return file
}

// number is a text that YAML takes for a number.
var number = regexp.MustCompile(`^[0-9.+-]`)

func TestConfigOfAnInvalidFile(t *testing.T) {
	status, out, errs := execute(t, "config", write(t, invalid))
	if status != 1 || out != "" {
		t.Errorf("exit status %d, standard output %q", status, out)
	}
	var fields []string
	for line := range strings.Lines(errs) {
		if parts := strings.SplitN(line, ": ", 3); len(parts) == 3 {
			fields = append(fields, parts[1])
		}
	}
	if want := []string{"targets[0].color", "targets[1].name", "targets[1].max"}; !slices.Equal(fields, want) {
		t.Errorf("problems of %v, want of %v:\n%s", fields, want, errs)
	}
}
