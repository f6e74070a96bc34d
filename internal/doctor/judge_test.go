package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/config"
	"sluice/internal/policy"
	"sluice/internal/scaler"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// fine are facts in which nothing is wrong: one target with one worker that is heard.
func fine(t *testing.T) *Facts {
	t.Helper()
	c, err := config.Parse([]byte(`version: 1
brokers: [{name: main, url: "redis://redis:6379/1"}]
targets: [{name: worker, cluster: prod, service: svc, queues: [a, b], max: 3, min: 1, messages_per_worker: 5}]
`), "sluice.yaml")
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := config.ParseBrokerURL("redis://redis:6379/1")
	if err != nil {
		t.Fatal(err)
	}
	const node = "celery@ip-10-0-0-1"
	one := 1
	f := &Facts{
		At: noon, Config: c, Region: "eu-central-1", Caller: Known("arn:aws:iam::123456789012:user/ann"),
		Stack: Known(Stack{Name: "sluice", Exists: true, Status: "UPDATE_COMPLETE", Created: noon.Add(-time.Hour)}),
		Rule: Known(Rule{
			Name: "rule", Exists: true, State: "ENABLED", Targets: []string{"arn:ScaleOut"},
			Pattern: `{"source": ["custom.celery.monitor"], "detail-type": ["celery.task.queue_full"]}`,
		}),
		Schedules:  Known([]Schedule{{Name: "every", Exists: true, State: "ENABLED", Expression: "rate(5 minutes)", Target: "arn:machine"}}),
		MachineARN: "arn:machine", Machine: Known("ACTIVE"),
		Executions: Known([]Execution{{Status: "RUNNING", Started: noon}, {Status: "SUCCEEDED", Started: noon.Add(-5 * time.Minute)}, {Status: "FAILED"}}),
		Queues:     []Queue{{Whose: "Rule", Messages: Known(0)}},
		Answer:     Known(Answer{Config: c.Fingerprint(), Plan: scaler.Plan{Targets: []scaler.TargetPlan{{Record: scaler.Record{Target: "worker"}}}}}),
		Worked:     Known(map[string]bool{"worker": true}), IdleFor: 6 * time.Hour,
		RoundTrip: &Fact[time.Duration]{Value: time.Second},
		Targets: []Target{{
			Target: c.Targets[0],
			Service: Known(Service{
				Exists: true, Status: "ACTIVE", Desired: 1, Running: 1, Rollout: Rollout{State: "COMPLETED"},
				Tags: map[string]string{"team": "x", "sluice:paused": "true@2026-11-22T11:00:00Z"},
			}),
			Definition: Known(Definition{Containers: []Container{
				{Name: "sidecar", Command: []string{"/proxy"}},
				{Name: "worker", Command: strings.Fields("celery -A app worker -Q a,b -c 4 -n celery@%h"), StopTimeout: number(120), Env: map[string]string{
					"CELERY_BROKER_URL": "redis://redis/1",
				}},
			}}),
			Scalers: Known([]string{}), Template: Known(Template{Stack: "app", Resource: "Svc"}),
			Workers: Known(Workers{Singly: true, Settled: 1}),
		}},
		Brokers: []Broker{{
			Broker: c.Brokers[0], Endpoint: Known(endpoint), Server: Known(Server{Mode: "standalone", Role: "master", Policy: "noeviction", MaxMemory: 1 << 30}),
			Waiting: Known(map[int]int{1: 1}), Oldest: Known(noon.Add(-time.Minute)),
			Beats: Known(map[string]policy.Beat{node: {Version: "5.2.0"}}), Untracked: Known(map[string][]string{}),
			Look: Known(policy.Look{
				At: noon, Listeners: policy.Known(1),
				Nodes:  []policy.Node{{Name: node, Answers: 1, Queues: []string{"a", "b"}, Active: policy.Known(1), OldestStart: noon.Add(-time.Minute)}},
				Queues: map[string]policy.Queue{"a": {Backlog: policy.Known(0), Held: policy.Known(8)}, "b": {Backlog: policy.Known(3)}},
			}),
		}},
	}
	for _, n := range []string{scaleOut, checker, scaleIn} {
		f.Functions = append(f.Functions, Function{Name: n, State: Known(FunctionState{Exists: true, ARN: "arn:" + n, State: "Active", Reserved: &one})})
		f.Rights = append(f.Rights, Rights{Whose: "function " + n, Lacks: Known([]string{})})
	}
	return f
}

func number(n int) *int { return &n }

// ids are the ids of the findings, with "?" behind those that could not look.
func ids(r Report) []string {
	out := []string{}
	for _, f := range r.Findings {
		id := f.ID
		if f.Severity == Unchecked {
			id += "?"
		}
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	slices.Sort(out)
	return out
}

func TestFineFactsHaveNoFindings(t *testing.T) {
	t.Parallel()
	r := Judge(fine(t), Catalogue())
	if len(r.Findings) > 0 || r.Checked != len(Catalogue()) || r.Fine() != r.Checked {
		t.Errorf("%d of %d checked: %+v", r.Checked, len(Catalogue()), r.Findings)
	}
}

// wrongs are single things that are wrong, each with what has to be found. Each check has to be among them.
var wrongs = []struct {
	what   string
	change func(*Facts)
	want   string // Ids, by name; "?" behind those that could not look.
}{
	{"no credentials", func(f *Facts) { f.Caller = Unknown[string](errors.New("expired")) }, "aws-identity"},
	{"no right to look", func(f *Facts) { f.Denied = []string{"sqs:GetQueueAttributes"} }, "caller-rights"},
	{"no stack", func(f *Facts) { f.Stack.Value.Exists = false }, "dead-letters? function-blind? function-missing? function-rights? " +
		"function-stopped? machine-missing? rule-disabled? rule-missing? rule-pattern? rule-target? schedule-disabled? schedule-missing? " +
		"schedule-rate? schedule-target? stack-missing stack-unsettled? stale-deployment? sweeps-failing? sweeps-silent?"},
	{"rolled back", func(f *Facts) { f.Stack.Value.Status = "UPDATE_ROLLBACK_COMPLETE" }, "stack-unsettled"},
	{"under way", func(f *Facts) { f.Stack.Value.Status = "UPDATE_IN_PROGRESS" }, "stack-unsettled"},
	{"other sluice.yaml", func(f *Facts) { f.Answer.Value.Config = "0123" }, "stale-deployment"},
	{"older functions", func(f *Facts) { f.Answer.Value.Config = "" }, "stale-deployment?"},
	{"function gone", func(f *Facts) { f.Functions[1].State.Value = FunctionState{} }, "function-missing function-stopped?"},
	{"function stopped", func(f *Facts) { f.Functions[2].State.Value.Reserved = number(0) }, "function-stopped"},
	{"function inactive", func(f *Facts) { f.Functions[2].State.Value.State = "Failed" }, "function-stopped"},
	{"right gone", func(f *Facts) { f.Rights[0].Lacks = Known([]string{"ecs:UpdateService on x"}) }, "function-rights"},
	{"not seen by Check", func(f *Facts) { f.Answer.Value.Plan.Targets[0].Record.Error = "NOAUTH" }, "function-blind"},
	{"rule gone", func(f *Facts) { f.Rule = Known(Rule{}) }, "rule-disabled? rule-missing rule-pattern? rule-target?"},
	{"rule off", func(f *Facts) { f.Rule.Value.State = "DISABLED" }, "rule-disabled"},
	{"rule of CloudTrail", func(f *Facts) { f.Rule.Value.State = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS" }, ""},
	{"other source", func(f *Facts) { f.Rule.Value.Pattern = `{"source": ["x"], "detail-type": ["celery.task.queue_full"]}` }, "rule-pattern"},
	{"other detail type", func(f *Facts) { f.Config.Events.DetailType = "y" }, "rule-pattern stale-deployment"},
	{"further condition", func(f *Facts) {
		f.Rule.Value.Pattern = `{"source": ["custom.celery.monitor"], "detail-type": ["celery.task.queue_full"], "account": ["1"]}`
	}, "rule-pattern"},
	{"no pattern", func(f *Facts) { f.Rule.Value.Pattern = "" }, "rule-pattern"},
	{"rule to Check", func(f *Facts) { f.Rule.Value.Targets = []string{"arn:Check"} }, "rule-target"},
	{"rule to nobody", func(f *Facts) { f.Rule.Value.Targets = nil }, "rule-target"},
	{"schedule gone", func(f *Facts) { f.Schedules.Value[0].Exists = false }, "schedule-disabled? schedule-missing schedule-rate? schedule-target?"},
	{"schedule off", func(f *Facts) { f.Schedules.Value[0].State = "DISABLED" }, "schedule-disabled"},
	{"schedule of an hour", func(f *Facts) { f.Schedules.Value[0].Expression = "rate(1 hour)" }, "schedule-rate"},
	{"schedule by cron", func(f *Facts) { f.Schedules.Value[0].Expression = "cron(2/5 * * * ? *)" }, ""},
	{"schedule by hand", func(f *Facts) { f.Schedules.Value[0].Expression = "cron(0 8 ? * MON *)" }, "schedule-rate?"},
	{"schedule to another", func(f *Facts) { f.Schedules.Value[0].Target = "arn:other" }, "schedule-target"},
	{"machine gone", func(f *Facts) { f.Machine = Known("MISSING") }, "machine-missing"},
	{"sweep failed", func(f *Facts) { f.Executions.Value[1].Status = "FAILED" }, "sweeps-failing"},
	{"no sweep", func(f *Facts) { f.Executions.Value = nil }, "sweeps-silent"},
	{"no sweep yet", func(f *Facts) { f.Executions.Value, f.Stack.Value.Created = nil, noon.Add(-11*time.Minute) }, ""},
	{"dead letter", func(f *Facts) { f.Queues[0].Messages = Known(1) }, "dead-letters"},
	{"event lost", func(f *Facts) { f.RoundTrip = &Fact[time.Duration]{Err: errors.New("nothing")} }, "event-round-trip"},
	{"AWS ahead", func(f *Facts) { f.Clock = Known(31 * time.Second) }, "clock-skew"},
	{"Redis behind", func(f *Facts) { f.Brokers[0].Server.Value.Clock = -31 * time.Second }, "clock-skew"},

	{"service gone", func(f *Facts) { f.Targets[0].Service = Known(Service{}) }, "beat-in-worker? broker-unlike? concurrency-unlike? " +
		"desired-in-template? group-signal? no-heartbeats? node-name-fixed? pool-solo? queues-unlike-command? rollout-failing? " +
		"second-scaler? service-missing shell-in-front? stop-timeout? tag-unclear? tag-without-end?"},
	{"service being deleted", func(f *Facts) { f.Targets[0].Service.Value.Status = "DRAINING" }, "service-missing"},
	{"rolled back by the circuit breaker", func(f *Facts) { f.Targets[0].Service.Value.Rollout.State = "FAILED" }, "rollout-failing"},
	{"tasks fail", func(f *Facts) { s := &f.Targets[0].Service.Value; s.Desired, s.Rollout.Failed = 2, 3 }, "rollout-failing"},
	{"tasks failed once", func(f *Facts) { f.Targets[0].Service.Value.Rollout.Failed = 3 }, ""},
	{"Application Auto Scaling", func(f *Facts) { f.Targets[0].Scalers = Known([]string{"x"}) }, "second-scaler"},
	{"DesiredCount", func(f *Facts) { f.Targets[0].Template.Value.DesiredCount = "2" }, "desired-in-template"},
	{"stopTimeout 30", func(f *Facts) { f.container().StopTimeout = number(30) }, "stop-timeout"},
	{"no stopTimeout", func(f *Facts) { f.container().StopTimeout = nil }, "stop-timeout"},
	{"sh -c", func(f *Facts) { f.container().Command = []string{"sh", "-c", "celery worker -Q a,b"} }, "shell-in-front"},
	{"a script", func(f *Facts) { f.container().EntryPoint = []string{"/run.sh"} }, "shell-in-front?"},
	{"dumb-init", func(f *Facts) { f.container().EntryPoint = []string{"dumb-init", "--"} }, "group-signal"},
	{"dumb-init, threads", func(f *Facts) { f.container().EntryPoint = []string{"dumb-init"}; f.add("-P", "threads") }, ""},
	{"beat", func(f *Facts) { f.add("-B") }, "beat-in-worker"},
	{"other queues", func(f *Facts) { f.container().Command = strings.Fields("celery worker -Q a,c") }, "queues-unlike-command"},
	{"more queues", func(f *Facts) { f.container().Command = strings.Fields("celery worker --queues=a,b,c") }, ""},
	{"fixed name", func(f *Facts) { f.add("-n", "worker@prod") }, "node-name-fixed"},
	{"other concurrency", func(f *Facts) { f.Targets[0].Concurrency = 8 }, "concurrency-unlike"},
	{"too few messages for a worker", func(f *Facts) { f.Targets[0].MessagesPerWorker = 3 }, "concurrency-unlike"},
	{"autoscale", func(f *Facts) { f.container().Command = strings.Fields("celery worker --autoscale=10,1") }, "concurrency-unlike"},
	{"solo", func(f *Facts) { f.add("--pool=solo") }, "pool-solo"},
	{"no heartbeat", func(f *Facts) { f.add("--without-heartbeat") }, "no-heartbeats"},
	{"other broker", func(f *Facts) { f.container().Env["CELERY_BROKER_URL"] = "redis://redis/2" }, "broker-unlike"},
	{"other broker on the command line", func(f *Facts) { f.add("-b", "redis://elsewhere/1") }, "broker-unlike"},
	{"RabbitMQ", func(f *Facts) { f.container().Env["CELERY_BROKER_URL"] = "amqp://x" }, "broker-unlike?"},
	{"only the image knows", func(f *Facts) { f.Targets[0].Definition.Value.Containers = []Container{{Name: "c"}} }, "beat-in-worker? " +
		"broker-unlike? concurrency-unlike? group-signal? no-heartbeats? node-name-fixed? pool-solo? queues-unlike-command? shell-in-front? stop-timeout?"},
	{"a tag misspelt", func(f *Facts) { f.tag("sluice:min", "two") }, "tag-unclear"},
	{"paused for ever", func(f *Facts) { f.tag("sluice:paused", "true") }, "tag-without-end"},
	{"paused in", func(f *Facts) { f.tag("sluice:paused-in", "") }, "tag-without-end"},
	{"not paused", func(f *Facts) { f.tag("sluice:paused", "false") }, ""},
	{"idle", func(f *Facts) { f.Worked.Value["worker"] = false }, "min-idle"},
	{"a log too short", func(f *Facts) { f.Worked.Value = nil }, ""},

	{"a secret that you may not read", func(f *Facts) { f.shut(Hidden) }, "broker-url? redis-certificate? redis-database? redis-no-tls? redis-password? " +
		"redis-rights? redis-unreachable? redis-wants-tls? " + blind},
	{"no URL", func(f *Facts) { f.shut(NoURL) }, "broker-url redis-certificate? redis-database? redis-no-tls? redis-password? redis-rights? " +
		"redis-unreachable? redis-wants-tls? " + blind},
	{"no connection", func(f *Facts) { f.shut(Unreachable) }, "redis-certificate? redis-database? redis-no-tls? redis-password? redis-rights? " +
		"redis-unreachable redis-wants-tls? " + blind},
	{"in a VPC", func(f *Facts) { f.shut(Unreachable); f.Config.Deploy.VPC = &config.DeployVPC{} }, "redis-certificate? redis-database? " +
		"redis-no-tls? redis-password? redis-rights? redis-wants-tls? " + blind},
	{"out of the functions' reach", func(f *Facts) {
		f.shut(Unreachable)
		f.Config.Deploy.VPC = &config.DeployVPC{}
		f.Answer.Value.Plan.Targets[0].Record.Error = "broker main: look at broker: dial tcp: i/o timeout"
	}, "function-blind redis-certificate? redis-database? redis-no-tls? redis-password? redis-rights? redis-unreachable redis-wants-tls? " + blind},
	{"TLS there", func(f *Facts) { f.shut(WantsTLS) }, "redis-certificate? redis-database? redis-no-tls? redis-password? redis-rights? redis-wants-tls " + blind},
	{"TLS here", func(f *Facts) { f.shut(NoTLS) }, "redis-certificate? redis-database? redis-no-tls redis-password? redis-rights? " + blind},
	{"certificate", func(f *Facts) { f.shut(Certificate) }, "redis-certificate redis-database? redis-password? redis-rights? " + blind},
	{"password", func(f *Facts) { f.shut(Password) }, "redis-database? redis-password redis-rights? " + blind},
	{"database", func(f *Facts) { f.shut(Database) }, "redis-database redis-rights? " + blind},
	{"rights", func(f *Facts) { f.Brokers[0].Probe = Probe{NoRight, errors.New("NOPERM")} }, "redis-rights"},
	{"unverified", func(f *Facts) { f.Brokers[0].TLS = &config.TLS{InsecureSkipVerify: true} }, "redis-unverified"},
	{"replica", func(f *Facts) { f.Brokers[0].Server.Value.Role = "slave" }, "redis-read-only"},
	{"cluster", func(f *Facts) { f.Brokers[0].Server.Value.Mode = "cluster" }, "redis-cluster-mode"},
	{"no cluster", func(f *Facts) { f.Brokers[0].ClusterMode = true }, "broker-unlike? redis-cluster-mode"},
	{"eviction", func(f *Facts) { f.Brokers[0].Server.Value.Policy = "allkeys-lru" }, "redis-evicts"},
	{"eviction without a limit", func(f *Facts) {
		f.Brokers[0].Server.Value.Policy, f.Brokers[0].Server.Value.MaxMemory = "allkeys-lru", 0
	}, ""},
	{"a queue that is none", func(f *Facts) { f.look().Queues["a"] = policy.Queue{Backlog: policy.Unknown("WRONGTYPE")} }, "queue-unreadable"},

	{"nobody heard", func(f *Facts) { f.silence(nil) }, "workers-unheard" + unheard},
	{"other database", func(f *Facts) { f.silence(map[int]int{3: 1}) }, "wrong-database" + unheard},
	{"other prefix", func(f *Facts) { f.silence(map[int]int{1: 1, 3: 1}, "acme:_kombu.binding.celery.pidbox") }, "wrong-prefix" + unheard},
	{"other exchange", func(f *Facts) { f.silence(map[int]int{1: 1}, "_kombu.binding.mine.pidbox") }, "wrong-control-exchange" + unheard},
	{"control off", func(f *Facts) {
		f.silence(map[int]int{1: 1}, "_kombu.binding.reply.celery.pidbox", "_kombu.binding.celery.pidbox")
	}, "remote-control-off" + unheard},
	{"control off beside another application", func(f *Facts) {
		f.silence(map[int]int{1: 1}, "_kombu.binding.celery.pidbox", "acme:_kombu.binding.celery.pidbox")
	}, "remote-control-off" + unheard},
	{"nobody heard, and nobody asked", func(f *Facts) {
		f.silence(map[int]int{1: 1})
		f.Targets[0].Activity.Source = config.ActivityNone
	}, ""},
	{"control off, by heartbeat", func(f *Facts) {
		f.silence(nil)
		f.Brokers[0].Beats.Value = map[string]policy.Beat{"w@h": {Version: "5.6"}}
	}, "remote-control-off" + unheard},
	{"nobody heard, and no CLIENT LIST", func(f *Facts) { f.silence(nil); f.Brokers[0].Waiting = Unknown[map[int]int](errors.New("NOPERM")) }, "workers-unheard" + unheard},
	{"no task runs", func(f *Facts) { f.silence(map[int]int{3: 1}); f.Targets[0].Workers = Known(Workers{}) }, "remote-control-off? " +
		"workers-unheard? wrong-control-exchange? wrong-database? wrong-prefix?" + unheard},
	{"one of two tasks unheard", func(f *Facts) {
		f.Targets[0].Workers = Known(Workers{Singly: true, Settled: 2, Unheard: []string{"t2"}})
	}, "workers-unheard"},
	{"one listens and is silent", func(f *Facts) { f.look().Listeners = policy.Known(2) }, "tasks-untracked? workers-silent"},
	{"one listens and is silent, and b is unfetched", func(f *Facts) {
		f.look().Listeners = policy.Known(2)
		f.look().Nodes[0].Queues = []string{"a"}
	}, "queue-unfetched? tasks-untracked? workers-silent"},
	{"a tag misspelt, as Check sees it", func(f *Facts) {
		f.tag("sluice:min", "two")
		p := &f.Answer.Value.Plan.Targets[0]
		p.Overrides = scaler.ParseTags(f.Targets[0].Service.Value.Tags, policy.Limits{}, noon)
		p.Record.Error = p.Overrides.Bad[0]
	}, "tag-unclear"},
	{"pickle", func(f *Facts) { f.look().Nodes[0].Active = policy.Unknown("pickle") }, "answers-unreadable tasks-untracked?"},
	{"celery-batches", func(f *Facts) { f.batches("celery@ip-10-0-0-1") }, "tasks-untracked"},
	{"celery-batches, drained", func(f *Facts) {
		f.batches("celery@ip-10-0-0-1")
		f.look().Nodes[0].Queues = nil
	}, "queue-unfetched? tasks-untracked"},
	{"celery-batches, counted by the application", func(f *Facts) {
		f.batches("celery@ip-10-0-0-1")
		f.Targets[0].Activity.Source = config.ActivityCounter
	}, ""},
	{"celery-batches, of another target", func(f *Facts) {
		f.batches("celery@other")
		f.another("c")
		f.look().Nodes = append(f.look().Nodes, policy.Node{Name: "celery@other", Answers: 1, Queues: []string{"c"}, Active: policy.Known(0)})
		f.Brokers[0].Beats.Value["celery@other"] = policy.Beat{Version: "5.6.3"}
	}, ""},
	{"only another target's worker is heard", func(f *Facts) {
		f.another("a", "b")
		f.Config.Targets[0].Queues, f.Targets[0].Queues = []string{"c"}, []string{"c"}
		f.Answer.Value.Config = f.Config.Fingerprint()
		f.container().Command = strings.Fields("celery worker -Q c")
		f.Targets[0].Workers.Value.Settled = 0
	}, "queue-unfetched? tasks-untracked?"},
	{"Celery 5.1", func(f *Facts) { f.Brokers[0].Beats.Value["celery@ip-10-0-0-1"] = policy.Beat{Version: "5.1.2"} }, "celery-too-old"},
	{"Celery 4", func(f *Facts) { f.Brokers[0].Beats.Value["celery@ip-10-0-0-1"] = policy.Beat{Version: "4.4.7"} }, "celery-too-old"},
	{"no version", func(f *Facts) { f.Brokers[0].Beats.Value = nil }, "celery-too-old?"},
	{"queue b forgotten", func(f *Facts) { f.look().Nodes[0].Queues = []string{"a"} }, "queue-unfetched"},
	{"drained", func(f *Facts) { f.look().Nodes[0].Queues = nil }, "queue-unfetched?"},
	{"queue c unlisted", func(f *Facts) { f.look().Nodes[0].Queues = []string{"a", "b", "c"} }, "queue-unlisted"},
	{"twins", func(f *Facts) { f.look().Nodes[0].Answers = 2 }, "node-names-equal"},
	{"one of very many targets", func(f *Facts) { f.Targets[0].Workers.Value.Singly = false }, "node-unmapped?"},
	{"a worker elsewhere", func(f *Facts) { f.Targets[0].Workers.Value.Unmapped = []string{"celery@laptop"} }, "node-unmapped"},
	{"hoarding", func(f *Facts) { q := f.look().Queues["a"]; q.Held = policy.Known(33); f.look().Queues["a"] = q }, "prefetch"},
	{"hoarding, who knows", func(f *Facts) {
		f.container().Command = strings.Fields("celery worker -Q a,b")
		f.look().Queues["a"] = policy.Queue{Backlog: policy.Known(0), Held: policy.Known(9)}
	}, "prefetch?"},
	{"long task", func(f *Facts) { f.look().Nodes[0].OldestStart = noon.Add(-61 * time.Minute) }, "visibility-timeout"},
	{"far ETA", func(f *Facts) { f.look().Fetched = []policy.Fetched{{Due: noon.Add(61 * time.Minute)}} }, "visibility-timeout"},
	{"not given back", func(f *Facts) { f.Brokers[0].Oldest = Known(noon.Add(-64 * time.Minute)) }, "visibility-unlike"},
	{"about to be given back", func(f *Facts) { f.Brokers[0].Oldest = Known(noon.Add(-62 * time.Minute)) }, ""},
}

const (
	// blind is what cannot be looked at where a Redis cannot.
	blind = "answers-unreadable? celery-too-old? clock-skew? node-names-equal? prefetch? queue-unfetched? queue-unlisted? queue-unreadable? " +
		"redis-cluster-mode? redis-evicts? redis-read-only? remote-control-off? tasks-untracked? visibility-timeout? visibility-unlike? " +
		"workers-silent? workers-unheard? wrong-control-exchange? wrong-database? wrong-prefix?"
	// unheard is the same where no worker is heard.
	unheard = " answers-unreadable? node-names-equal? prefetch? queue-unfetched? queue-unlisted? tasks-untracked? visibility-timeout? " +
		"visibility-unlike? workers-silent?"
)

func (f *Facts) container() *Container { return &f.Targets[0].Definition.Value.Containers[1] }
func (f *Facts) look() *policy.Look    { return &f.Brokers[0].Look.Value }
func (f *Facts) tag(key, value string) { f.Targets[0].Service.Value.Tags[key] = value }
func (f *Facts) add(args ...string)    { c := f.container(); c.Command = append(c.Command, args...) }

// another adds a target with those queues to sluice.yaml, which is not looked at.
func (f *Facts) another(queues ...string) {
	other := f.Config.Targets[0]
	other.Name, other.Queues = "other", queues
	f.Config.Targets = append(f.Config.Targets, other)
	f.Answer.Value.Config = f.Config.Fingerprint()
	f.look().Queues["c"] = policy.Queue{Backlog: policy.Known(0)}
}

// batches has a worker with a task of celery-batches.
func (f *Facts) batches(node string) {
	f.Brokers[0].Untracked = Known(map[string][]string{node: {"batch"}})
}

func (f *Facts) shut(o Obstacle) {
	f.Brokers[0].Probe = Probe{o, errors.New("no")}
	f.Brokers[0].close()
}

func (f *Facts) silence(waiting map[int]int, bindings ...string) {
	*f.look() = policy.Look{At: noon, Listeners: policy.Known(0), Queues: f.look().Queues}
	b := &f.Brokers[0]
	b.Beats, b.Waiting, b.Bindings = Known(map[string]policy.Beat{}), Known(waiting), Known(bindings)
}

func TestJudge(t *testing.T) {
	t.Parallel()
	found := map[string]bool{}
	for _, tt := range wrongs {
		f := fine(t)
		tt.change(f)
		r := Judge(f, Catalogue())
		want := strings.Fields(tt.want)
		slices.Sort(want)
		if diff := cmp.Diff(want, ids(r)); diff != "" && len(want)+len(ids(r)) > 0 {
			t.Errorf("%s (-want +got):\n%s", tt.what, diff)
		}
		for _, f := range r.Findings {
			found[f.ID] = found[f.ID] || f.Severity != Unchecked
			if f.What == "" || strings.Contains(f.What, "%!") || f.Severity != Unchecked && (f.Why == "" || f.Mend == "") {
				t.Errorf("%s: %+v", tt.what, f)
			}
		}
	}
	for _, c := range Catalogue() {
		if !found[c.ID] {
			t.Errorf("nothing that is wrong is found by %s", c.ID)
		}
	}
}

// TestUnknownIsNeverFine takes each fact away, one at a time: something has to say that it could not look.
func TestUnknownIsNeverFine(t *testing.T) {
	t.Parallel()
	cause := errors.New("no answer")
	for i, take := range []func(*Facts){
		func(f *Facts) { f.Clock = Unknown[time.Duration](cause) },
		func(f *Facts) { f.Stack = Unknown[Stack](cause) },
		func(f *Facts) { f.Functions[0].State = Unknown[FunctionState](cause) },
		func(f *Facts) { f.Rights[0].Lacks = Unknown[[]string](cause) },
		func(f *Facts) { f.Rule = Unknown[Rule](cause) },
		func(f *Facts) { f.Schedules = Unknown[[]Schedule](cause) },
		func(f *Facts) { f.Machine = Unknown[string](cause) },
		func(f *Facts) { f.Executions = Unknown[[]Execution](cause) },
		func(f *Facts) { f.Queues[0].Messages = Unknown[int](cause) },
		func(f *Facts) { f.Answer = Unknown[Answer](cause) },
		func(f *Facts) { f.Worked = Unknown[map[string]bool](cause) },
		func(f *Facts) { f.Targets[0].Service = Unknown[Service](cause) },
		func(f *Facts) { f.Targets[0].Definition = Unknown[Definition](cause) },
		func(f *Facts) { f.Targets[0].Scalers = Unknown[[]string](cause) },
		func(f *Facts) { f.Targets[0].Template = Unknown[Template](cause) },
		func(f *Facts) { f.Targets[0].Workers = Unknown[Workers](cause) },
		func(f *Facts) { f.Brokers[0].Server = Unknown[Server](cause) },
		func(f *Facts) { f.Brokers[0].Beats = Unknown[map[string]policy.Beat](cause) },
		func(f *Facts) { f.Brokers[0].Look = Unknown[policy.Look](cause) },
		func(f *Facts) { f.Brokers[0].Untracked = Unknown[map[string][]string](cause) },
		func(f *Facts) { f.Brokers[0].Oldest = Unknown[time.Time](cause) },
	} {
		f := fine(t)
		take(f)
		r := Judge(f, Catalogue())
		if r.Count(Unchecked) == 0 || len(r.Findings) != r.Count(Unchecked) || r.Fine() >= r.Checked {
			t.Errorf("fact %d: %+v", i, r.Findings)
		}
		if r.Bad(false) {
			t.Errorf("fact %d: what could not be looked at counts as a failure", i)
		}
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	check := func(id string, s Severity, judge func(*judgement, *Facts)) Check {
		return Check{ID: id, Severity: s, judge: judge, Why: "why", Mend: "mend"}
	}
	find := func(j *judgement, _ *Facts) { j.find("x", "found %d", 1) }
	fail := func(j *judgement, _ *Facts) {
		for range 2 { // The same cause is told once.
			j.unchecked("x", errors.New("no answer"))
		}
	}
	checks := []Check{
		check("n", Note, find), check("w", Warn, find), check("u", Fail, fail), check("f", Fail, find), check("fine", Fail, func(*judgement, *Facts) {}),
		{ID: "asked", asked: func(*Facts) bool { return false }},
	}
	r := Judge(&Facts{At: noon}, checks)
	var got []string
	for _, f := range r.Findings {
		got = append(got, fmt.Sprintf("%s %s %s %s", f.Severity, f.ID, f.Subject, f.What))
	}
	want := []string{"fail f x found 1", "warn w x found 1", "note n x found 1", "unchecked u x no answer"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if r.Checked != 5 || r.Fine() != 1 || !slices.Equal(r.NotAsked, []string{"asked"}) {
		t.Errorf("%+v, %d fine", r, r.Fine())
	}
	for _, tt := range []struct {
		of          []Check
		bad, strict bool
	}{{checks, true, true}, {checks[:2], false, true}, {checks[:1], false, false}, {checks[2:3], false, false}} {
		if r := Judge(&Facts{}, tt.of); r.Bad(false) != tt.bad || r.Bad(true) != tt.strict {
			t.Errorf("%+v: bad %v, strictly %v", r, r.Bad(false), r.Bad(true))
		}
	}
}

func TestCatalogue(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range Catalogue() {
		if seen[c.ID] || c.Finds == "" || c.Why == "" || c.Mend == "" || c.judge == nil || !slices.Contains(order[:3], c.Severity) {
			t.Errorf("%+v", c)
		}
		seen[c.ID] = true
	}
}
