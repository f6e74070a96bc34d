package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// at is a time of a test: so many seconds after its beginning.
func at(seconds float64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return moment(1_800_000_000 + seconds)
}

// rowsOf reads a ledger in short: a line is "seconds host event task attempt flags", "-" for no host. Flags are "redelivered",
// "due=seconds", "tag=text" and "pid=number".
func rowsOf(t *testing.T, text string) []row {
	t.Helper()
	var rows []row
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		r := row{Event: words[2], Tag: "tag"}
		scan := func(word, format string, into any) {
			t.Helper()
			if _, err := fmt.Sscanf(word, format, into); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
		}
		scan(words[0], "%g", &r.At)
		r.At += 1_800_000_000
		if words[1] != "-" {
			r.Host = words[1]
		}
		if len(words) > 3 {
			r.Task, _, _ = strings.Cut(words[3], ".")
			if _, n, ok := strings.Cut(words[3], "."); ok {
				scan(n, "%d", &r.Attempt)
			}
		}
		for _, flag := range words[min(4, len(words)):] {
			name, value, _ := strings.Cut(flag, "=")
			switch name {
			case "redelivered":
				r.Redelivered = true
			case "due":
				scan(value, "%g", &r.Due)
				r.Due += 1_800_000_000
			case "tag":
				r.Tag = value
			case "pid":
				scan(value, "%d", &r.Pid)
			default:
				t.Fatalf("%q: unknown flag", line)
			}
		}
		rows = append(rows, r)
	}
	return rows
}

// gone is a worker that was told to stop at one time and had stopped at another.
func gone(host string, by stopper, stopping, stopped float64) *worker {
	return &worker{host: host, started: at(1), stopping: at(stopping), stopped: at(stopped), by: by}
}

func alive(host string) *worker { return &worker{host: host, started: at(1)} }

// TestJudge has ledgers made by hand, each with one thing that went wrong, and who did it.
func TestJudge(t *testing.T) {
	const sent = `
		1 - sending a
		1 - sent a`
	for _, c := range []struct {
		name    string
		ledger  string
		workers []*worker
		deeds   []deed
		listed  []span // Of a's first attempt.
		left    string // The same.
		pool    string
		want    string // "task harm cause", with commas between.
		fails   bool   // Whether it is Sluice's fault.
	}{
		{
			name: "a task that is done, on a worker that is let go afterwards",
			ledger: sent + `
				2 h received a
				2 h started a
				5 h ended a`,
			workers: []*worker{gone("h", scaleIn, 6, 7)},
		},
		{
			name: "a retry that is done by another worker",
			ledger: sent + `
				2 h received a
				2 h started a
				3 h retrying a due=5
				3 i received a.1
				5 i started a.1
				6 i ended a.1`,
			workers: []*worker{gone("h", scaleIn, 4, 5), alive("i")},
		},
		{
			name: "a scale-in stops a worker that executes: the task is cut short and never done",
			ledger: sent + `
				2 h received a
				2 h started a`,
			workers: []*worker{gone("h", scaleIn, 5, 13)},
			want:    "a killed scale-in, a lost scale-in", fails: true,
		},
		{
			name: "the same, and late acknowledgement saves the task: it is killed all the same",
			ledger: sent + `
				2 h received a
				2 h started a
				50 i received a redelivered
				50 i started a
				53 i ended a`,
			workers: []*worker{gone("h", scaleIn, 5, 13), alive("i")},
			want:    "a killed scale-in", fails: true,
		},
		{
			name: "a scale-in stops a worker that executes, and it ends within the stop timeout: luck",
			ledger: sent + `
				2 h received a
				2 h started a
				6 h ended a`,
			workers: []*worker{gone("h", scaleIn, 5, 7)},
			want:    "a interrupted scale-in", fails: true,
		},
		{
			name: "a scale-in stops a worker that holds a due message, which goes back",
			ledger: sent + `
				2 h received a
				8 i received a redelivered
				8 i started a
				9 i ended a`,
			workers: []*worker{gone("h", scaleIn, 5, 7), alive("i")},
			want:    "a interrupted scale-in", fails: true,
		},
		{
			name: "a message that is not due does not keep a worker",
			ledger: `
				1 - sending a due=15
				1 - sent a
				2 h received a
				8 i received a redelivered
				15 i started a
				16 i ended a`,
			workers: []*worker{gone("h", scaleIn, 5, 7), alive("i")},
		},
		{
			name: "a message that had gone back before is not held any more",
			ledger: sent + `
				2 h received a
				8 i received a redelivered
				8 i started a
				9 i ended a`,
			workers: []*worker{gone("h", scaleIn, 5, 7), alive("i")},
			listed:  []span{{at(3), at(7), at(8)}},
		},
		{
			name: "a worker dies while it holds a message that it was given before it was let go: lost by the scale-in",
			ledger: sent + `
				2 h received a`,
			workers: []*worker{gone("h", scaleIn, 5, 7)},
			want:    "a lost scale-in, a interrupted scale-in", fails: true,
		},
		{
			name:    "a message vanishes as a worker is stopped that nobody had drained",
			ledger:  sent,
			workers: []*worker{gone("h", scaleIn, 3, 4), alive("i")},
			listed:  []span{{at(1.1), at(2.9), at(3.2)}},
			want:    "a lost scale-in", fails: true,
		},
		{
			name:    "a message vanishes, the stopped worker had been drained, and connections were cut",
			ledger:  sent + "\n2 h cancel_consumer",
			workers: []*worker{gone("h", scaleIn, 3, 4), alive("i")},
			deeds:   []deed{{kind: cutClients, from: at(3), until: at(3)}},
			listed:  []span{{at(1.1), at(2.9), at(3.2)}},
			want:    "a lost reconnect",
		},
		{
			name: "a drained worker that was told to fetch again was not drained when it was stopped",
			ledger: sent + `
				2 h cancel_consumer
				2.5 h add_consumer`,
			workers: []*worker{gone("h", scaleIn, 3, 4)},
			deeds:   []deed{{kind: cutClients, from: at(3), until: at(3)}},
			listed:  []span{{at(1.1), at(2.9), at(3.2)}},
			want:    "a lost scale-in", fails: true,
		},
		{
			name:    "a message vanishes and nothing explains it",
			ledger:  sent,
			workers: []*worker{alive("i")},
			want:    "a lost nobody", fails: true,
		},
		{
			name:    "a message vanishes long after the connections were cut",
			ledger:  sent,
			workers: []*worker{alive("i")},
			deeds:   []deed{{kind: cutClients, from: at(3), until: at(3)}},
			listed:  []span{{at(1.1), at(20), at(20.3)}},
			want:    "a lost nobody", fails: true,
		},
		{
			name: "the chaos kills a worker",
			ledger: sent + `
				2 h received a
				2 h started a`,
			workers: []*worker{gone("h", itself, 5, 5)},
			deeds:   []deed{{kind: killWorker, host: "h", from: at(5), until: at(5)}},
			want:    "a killed kill, a lost kill",
		},
		{
			name: "a worker ends by itself, and the chaos killed another one",
			ledger: sent + `
				2 h received a
				2 h started a`,
			workers: []*worker{gone("h", itself, 5, 5)},
			deeds:   []deed{{kind: killWorker, host: "i", from: at(5), until: at(5)}},
			want:    "a killed nobody, a lost nobody", fails: true,
		},
		{
			name: "the chaos kills a process of a pool",
			ledger: sent + `
				2 h received a
				2 h started a`,
			workers: []*worker{alive("h")},
			deeds:   []deed{{kind: killChild, host: "h", from: at(3), until: at(3)}},
			want:    "a killed kill, a lost kill",
		},
		{
			name: "a deployment",
			ledger: sent + `
				2 h received a
				2 h started a`,
			workers: []*worker{gone("h", deployment, 5, 13)},
			want:    "a killed deployment, a lost deployment",
		},
		{
			name: "done twice since the acknowledgement was lost with the connection",
			ledger: sent + `
				2 h received a
				2 h started a
				8 h ended a
				9 i received a redelivered
				9 i started a
				15 i ended a`,
			workers: []*worker{alive("h"), alive("i")},
			deeds:   []deed{{kind: restartRedis, from: at(7), until: at(8)}},
			want:    "a doubled reconnect",
		},
		{
			name: "done twice by the worker that had it twice, since its connection was cut before it began",
			ledger: sent + `
				2 h received a
				5 h received a redelivered
				6 h started a
				7 h ended a
				7 h started a
				8 h ended a`,
			workers: []*worker{alive("h")},
			deeds:   []deed{{kind: cutClients, from: at(4), until: at(4)}},
			want:    "a doubled reconnect",
		},
		{
			name: "done twice by a worker that had it once",
			ledger: sent + `
				2 h received a
				6 h started a
				7 h ended a
				7 h started a
				8 h ended a`,
			workers: []*worker{alive("h")},
			deeds:   []deed{{kind: cutClients, from: at(4), until: at(4)}},
			want:    "a doubled nobody", fails: true,
		},
		{
			name: "done twice since one worker had it for too long",
			ledger: sent + `
				2 h received a
				41 h started a
				43 i received a redelivered
				43 i started a
				44 i ended a
				45 h ended a`,
			workers: []*worker{alive("h"), alive("i")},
			want:    "a doubled visibility",
		},
		{
			name: "done twice since a worker was let go as it had just ended it",
			ledger: sent + `
				2 h received a
				2 h started a
				4.9 h ended a
				8 i received a redelivered
				8 i started a
				9 i ended a`,
			workers: []*worker{gone("h", scaleIn, 5, 7), alive("i")},
			want:    "a doubled scale-in", fails: true,
		},
		{
			name: "the same message twice in the list",
			ledger: sent + `
				2 h received a
				2 h started a
				3 h ended a
				4 i received a
				4 i started a
				5 i ended a`,
			workers: []*worker{alive("h"), alive("i")},
			want:    "a doubled client",
		},
		{
			name: "done twice, and nothing explains it",
			ledger: sent + `
				2 h received a
				2 h started a
				3 h ended a
				4 i received a redelivered
				4 i started a
				5 i ended a`,
			workers: []*worker{alive("h"), alive("i")},
			want:    "a doubled nobody", fails: true,
		},
		{
			name:    "no worker came",
			ledger:  sent,
			listed:  []span{{at(1), at(99), at(0)}},
			left:    "waiting",
			want:    "a left nobody",
			fails:   true,
			workers: nil,
		},
		{
			name: "a worker has it and does not begin",
			ledger: sent + `
				2 h received a`,
			workers: []*worker{alive("h")}, left: "held",
			want: "a left nobody", fails: true,
		},
		{
			name: "no worker with the pool gevent gives back what a killed one held",
			ledger: sent + `
				2 h received a
				2 h started a`,
			workers: []*worker{gone("h", itself, 5, 5), alive("i")},
			deeds:   []deed{{kind: killWorker, host: "h", from: at(5), until: at(5)}},
			left:    "held", pool: "gevent",
			want: "a killed kill, a left kill",
		},
		{
			name: "nor does one that started when it had to",
			ledger: sent + `
				2 h received a
				2 h started a`,
			workers: []*worker{gone("h", itself, 5, 5), {host: "i", started: at(6 + visibility.Seconds())}},
			deeds:   []deed{{kind: killWorker, host: "h", from: at(5), until: at(5)}},
			left:    "held", pool: "gevent",
			want: "a killed kill, a left nobody", fails: true,
		},
		{
			name: "no worker with the pool prefork does",
			ledger: sent + `
				2 h received a
				2 h started a`,
			workers: []*worker{gone("h", itself, 5, 5), alive("i")},
			deeds:   []deed{{kind: killWorker, host: "h", from: at(5), until: at(5)}},
			left:    "held", pool: "prefork",
			want: "a killed kill, a left nobody", fails: true,
		},
		{
			name:   "a message of which its sender cannot say whether it was sent is nobody's",
			ledger: "1 - sending a\n2 - unsure a",
		},
		{
			name:    "a message vanishes as redis is killed, which had not written it down",
			ledger:  sent,
			workers: []*worker{alive("i")},
			deeds:   []deed{{kind: restartRedis, from: at(3), until: at(4)}},
			listed:  []span{{at(1), at(2.9), at(4.2)}},
			want:    "a lost redis",
		},
		{
			name: "the message of a retry vanishes in an outage",
			ledger: sent + `
				2 h received a
				2 h started a
				3 h retrying a due=5`,
			workers: []*worker{alive("h")},
			deeds:   []deed{{kind: stopRedis, from: at(3), until: at(5)}},
			want:    "a lost reconnect",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &facts{
				messages: map[string]*message{}, workers: map[string]*worker{}, deeds: c.deeds, pool: c.pool,
				ended: at(100), visibility: visibility,
			}
			for _, w := range c.workers {
				f.workers[w.host] = w
			}
			f.enter(rowsOf(t, c.ledger))
			a := f.messages["a"].attempt(0)
			a.listed, a.left = c.listed, c.left
			v := judge(f)
			var got []string
			for _, found := range v.findings {
				got = append(got, fmt.Sprintf("%s %s %s", found.task, found.harm, found.cause))
			}
			want := strings.Split(c.want, ", ")
			if c.want == "" {
				want = nil
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s\n%v", diff, v.findings)
			}
			r := &result{plan: plan{max: 3}, facts: f, verdict: v}
			if v.sent == 0 {
				v.sent = 1 // Some other one was.
				r.verdict = v
			}
			if told := v.guilty(); (len(told) > 0) != c.fails {
				t.Errorf("it tells the story of %v; want it to tell one: %t", told, c.fails)
			}
			if broken := reproach(r); (len(broken) > 0) != c.fails {
				t.Errorf("it fails with %q; want it to fail: %t", broken, c.fails)
			}
		})
	}
}
