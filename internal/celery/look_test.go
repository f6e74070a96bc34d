package celery

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"sluice/internal/policy"
	"sluice/lab/testenv"
)

var (
	noon      = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	videoOnly = []any{map[string]any{"name": "video"}}
	noTasks   = []any{}
	// withoutHeads leaves to TestHeads since when heads have been seen.
	withoutHeads = cmpopts.IgnoreFields(policy.Queue{}, "HeadSince")
)

func activeTasks(starts ...float64) []any {
	tasks := []any{}
	for i, start := range starts {
		tasks = append(tasks, map[string]any{"id": "t" + strconv.Itoa(i), "args": "(1,)", "kwargs": "{}", "time_start": start})
	}
	return tasks
}

func lookOptions(addr string) Options {
	return Options{Addrs: []string{addr}, Horizon: time.Minute, Now: func() time.Time { return noon }}
}

func TestLookAtQueues(t *testing.T) {
	const (
		soon = "2026-11-21T12:00:30+00:00"
		late = "2026-11-21T13:00:00.123456+00:00"
	)
	lateAt := time.Date(2026, 11, 21, 13, 0, 0, 123456000, time.UTC)
	aged := float64(noon.Add(-61 * time.Minute).Unix())
	young := float64(noon.Add(-59 * time.Minute).Unix()) // Celery gives a worker an hour.
	later := time.Date(2026, 11, 21, 14, 0, 0, 0, time.UTC).Format(time.RFC3339)
	past := noon.Add(-time.Second)
	for name, c := range map[string]struct {
		lists   map[string][]string
		unacked map[string]string
		index   map[string]float64
		active  []any
		video   policy.Queue
		loose   policy.Count
		fetched []policy.Fetched
		unread  bool // Whether some of what is fetched cannot be told.
	}{
		"nothing": {video: queue(0, 0, 0)},
		"waiting, of all priorities": {
			lists: map[string][]string{
				"video": {taskMessage("a", "video", nil)}, "video\x06\x163": {taskMessage("b", "video", nil)},
				"video\x06\x166": {taskMessage("c", "video", nil)}, "video\x06\x169": {taskMessage("d", "video", nil)},
				"mail": {taskMessage("e", "mail", nil)},
			},
			video: queue(4, 0, 0),
		},
		"waiting, due later": {
			lists: map[string][]string{"video": {taskMessage("a", "video", soon), taskMessage("b", "video", late), taskMessage("c", "video", nil)}},
			video: policy.Queue{Backlog: policy.Known(2), Held: policy.Known(0), Later: 1, NextDue: lateAt},
		},
		"waiting, due later, the first of them in the middle": {
			lists: map[string][]string{"video": {taskMessage("a", "video", later), taskMessage("b", "video", late), taskMessage("c", "video", later)}},
			video: policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0), Later: 3, NextDue: lateAt},
		},
		"waiting, due later, as many as are looked into": {
			lists: map[string][]string{"video": repeat(maxMessages, taskMessage("a", "video", late))},
			video: policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0), Later: maxMessages, NextDue: lateAt},
		},
		"waiting, not to be read": {
			lists: map[string][]string{"video": {"\x80\x04binary", "", "{}", `{"headers": 7}`, `{"headers": {"eta": "tomorrow"}}`}},
			video: queue(5, 0, 0),
		},
		"waiting, too many to look into": {
			lists: map[string][]string{"video": repeat(maxMessages+1, taskMessage("a", "video", late))},
			video: queue(maxMessages+1, 0, 0),
		},
		"waiting, too large to look into": {
			lists: map[string][]string{"video": repeat(3, taskMessage(strings.Repeat("a", maxRead/2), "video", late))},
			video: queue(3, 0, 0),
		},
		"held, of this queue and another": {
			unacked: map[string]string{
				"1": unackedEntry(taskMessage("a", "video", nil), "", "video"), "2": unackedEntry(taskMessage("b", "mail", nil), "", "mail"),
				"3": unackedEntry(taskMessage("c", "video", soon), "video", "video"),
			},
			index: map[string]float64{"1": young, "2": young, "3": young},
			video: queue(0, 2, 0),
			fetched: []policy.Fetched{
				{Tag: "1", Queue: "video", Task: "tasks.nap"},
				{Tag: "3", Queue: "video", Task: "tasks.nap", Due: noon.Add(30 * time.Second)},
			},
		},
		"held, due later": {
			unacked: map[string]string{"1": unackedEntry(taskMessage("a", "video", late), "", "video")},
			index:   map[string]float64{"1": young},
			video:   policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0), Later: 1, NextDue: lateAt},
			fetched: []policy.Fetched{
				{Tag: "1", Queue: "video", Task: "tasks.nap", Due: lateAt, Later: true},
			},
		},
		"held, and nobody knows of which queue": {
			unacked: map[string]string{
				"1": unackedEntry(taskMessage("a", "media.video", nil), "media", "media.video"),
				"2": unackedEntry(taskMessage("a", "media.video", late), "media", "media.video"),
				"3": "rubbish", "4": unackedEntry(taskMessage("a", "", nil), "", ""),
			},
			video: queue(0, 0, 0),
			loose: policy.Known(3),
			fetched: []policy.Fetched{
				{Tag: "1", Task: "tasks.nap"},
				{Tag: "2", Task: "tasks.nap", Due: lateAt, Later: true},
				{Tag: "3"},
				{Tag: "4", Task: "tasks.nap"},
			},
			unread: true,
		},
		"held, too many to look into": {
			unacked: many(maxHeld+1, unackedEntry(taskMessage("a", "video", late), "", "video")),
			video:   queue(0, 0, 0),
			loose:   policy.Known(maxHeld + 1),
			unread:  true,
		},
		"held, one too large to look into": {
			unacked: map[string]string{
				"1": unackedEntry(taskMessage(strings.Repeat("a", maxRead), "mail", nil), "", "mail"),
				"2": unackedEntry(taskMessage("b", "video", nil), "", "video"),
			},
			video: queue(0, 1, 0),
			loose: policy.Known(1),
			fetched: []policy.Fetched{
				{Tag: "1"},
				{Tag: "2", Queue: "video", Task: "tasks.nap"},
			},
			unread: true,
		},
		"held past the visibility timeout": {
			unacked: map[string]string{
				"1": unackedEntry(taskMessage("a", "video", nil), "", "video"), "2": unackedEntry(taskMessage("b", "video", nil), "", "video"),
				"3": unackedEntry(taskMessage("c", "media.video", nil), "media", "media.video"),
				"4": unackedEntry(taskMessage("d", "video", late), "", "video"),
			},
			index: map[string]float64{"1": aged, "2": young, "3": aged, "4": aged},
			video: policy.Queue{Backlog: policy.Known(1), Held: policy.Known(1), Later: 1, NextDue: lateAt},
			loose: policy.Known(1),
			fetched: []policy.Fetched{
				{Tag: "1", Queue: "video", Task: "tasks.nap", Expired: true},
				{Tag: "2", Queue: "video", Task: "tasks.nap"},
				{Tag: "3", Task: "tasks.nap", Expired: true},
				{Tag: "4", Queue: "video", Task: "tasks.nap", Due: lateAt, Expired: true, Later: true},
			},
			unread: true,
		},
		"held, of another queue alone": {
			unacked: map[string]string{"1": unackedEntry(taskMessage("a", "mail", nil), "", "mail")},
			video:   queue(0, 0, 0),
		},
		"held, of which the task cannot be read": {
			unacked: map[string]string{"1": unackedEntry(`{"content-type": "application/x-python-serialize", "body": "gAJ9"}`, "", "video")},
			video:   queue(0, 1, 0),
			fetched: []policy.Fetched{{Tag: "1", Queue: "video"}},
			unread:  true,
		},
		"held, more than lists are read": {
			unacked: many(maxMessages+1, unackedEntry(taskMessage("a", "mail", late), "", "mail")),
			lists:   map[string][]string{"video": {taskMessage("b", "video", late)}},
			video:   policy.Queue{Backlog: policy.Known(0), Held: policy.Known(0), Later: 1, NextDue: lateAt},
		},
		"held, and executing": {
			unacked: map[string]string{
				"1": unackedEntry(taskMessage("t0", "video", nil), "", "video"), "2": unackedEntry(taskMessage("t7", "video", nil), "", "video"),
				"3": unackedEntry(taskMessage("t1", "media.video", nil), "media", "media.video"),
			},
			active: activeTasks(1, 2),
			video:  queue(0, 1, 0),
			fetched: []policy.Fetched{
				{Tag: "2", Queue: "video", Task: "tasks.nap"},
			},
		},
		"held under the id of one that executes, too slowly for the visibility timeout: it has been fetched again": {
			unacked: map[string]string{
				"1": unackedEntry(taskMessage("t0", "video", nil), "", "video"), "2": unackedEntry(taskMessage("t0", "video", nil), "", "video"),
			},
			index:   map[string]float64{"1": aged, "2": young},
			active:  activeTasks(1),
			video:   queue(0, 1, 0),
			fetched: []policy.Fetched{{Tag: "2", Queue: "video", Task: "tasks.nap"}},
		},
		"held under the id of one that executes: of two that are due it is the one without an ETA, as a retry has one": {
			unacked: map[string]string{
				"1": unackedEntry(taskMessage("t0", "video", past.Format(time.RFC3339)), "", "video"), "2": unackedEntry(taskMessage("t0", "video", nil), "", "video"),
			},
			active:  activeTasks(1),
			video:   queue(0, 1, 0),
			fetched: []policy.Fetched{{Tag: "1", Queue: "video", Task: "tasks.nap", Due: past}},
		},
		"held under the id of one that executes and was acknowledged: a retry of it": {
			unacked: map[string]string{"1": unackedEntry(taskMessage("t0", "video", soon), "", "video")},
			active:  activeTasks(1),
			video:   queue(0, 1, 0),
			fetched: []policy.Fetched{{Tag: "1", Queue: "video", Task: "tasks.nap", Due: noon.Add(30 * time.Second)}},
		},
		"held, through an exchange of the name of a queue that nobody asked for: it may be bound to this one": {
			unacked: map[string]string{"1": unackedEntry(taskMessage("a", "mail", nil), "mail", "mail")},
			video:   queue(0, 0, 0),
			loose:   policy.Known(1),
			fetched: []policy.Fetched{{Tag: "1", Task: "tasks.nap"}},
			unread:  true,
		},
		"held, through another exchange than the queue's": {
			unacked: map[string]string{"1": unackedEntry(taskMessage("a", "video", nil), "media", "video")},
			video:   queue(0, 0, 0),
			loose:   policy.Known(1),
			fetched: []policy.Fetched{{Tag: "1", Task: "tasks.nap"}},
			unread:  true,
		},
		"held under the id of one that executes, which was sent again": {
			unacked: map[string]string{
				"1": unackedEntry(taskMessage("t0", "video", soon), "", "video"), "2": unackedEntry(taskMessage("t0", "video", nil), "", "video"),
			},
			active:  activeTasks(1),
			video:   queue(0, 1, 0),
			fetched: []policy.Fetched{{Tag: "1", Queue: "video", Task: "tasks.nap", Due: time.Date(2026, 11, 21, 12, 0, 30, 0, time.UTC)}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := miniredis.RunT(t)
			for key, messages := range c.lists {
				if _, err := m.Lpush(key, messages[0]); err != nil {
					t.Fatal(err)
				}
				for _, message := range messages[1:] {
					_, _ = m.Lpush(key, message)
				}
			}
			for tag, value := range c.unacked {
				m.HSet("unacked", tag, value)
			}
			for tag, score := range c.index {
				_, _ = m.ZAdd("unacked_index", score, tag)
			}
			if c.active != nil {
				startFake(t, m.Addr(), "w1@a", says{methodQueues: videoOnly, methodActive: c.active})
			}
			if !c.loose.Known {
				c.loose = policy.Known(0)
			}
			look, err := newBroker(t, lookOptions(m.Addr())).Look(t.Context(), []string{"video"}, testPatience)
			if err != nil {
				t.Fatal(err)
			}
			want := policy.Look{
				At: noon, Queues: map[string]policy.Queue{"video": c.video}, Loose: c.loose, Listeners: look.Listeners, Nodes: look.Nodes,
				Fetched: c.fetched, FetchedKnown: !c.unread,
			}
			if diff := cmp.Diff(want, look, withoutHeads); diff != "" {
				t.Errorf("look (-want +got):\n%s", diff)
			}
		})
	}
}

func repeat(n int, message string) []string {
	messages := make([]string, n)
	for i := range messages {
		messages[i] = message
	}
	return messages
}

func many(n int, value string) map[string]string {
	values := map[string]string{}
	for i := range n {
		values[strconv.Itoa(i)] = value
	}
	return values
}

func TestLookAtWorkers(t *testing.T) {
	start := float64(noon.Unix()) + 0.5
	startAt := noon.Add(500 * time.Millisecond)
	pickled := "\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x04w1@a\x94]\x94s."
	video := []string{"video"}
	for name, c := range map[string]struct {
		workers   map[string]says
		twins     bool // Starts each worker twice.
		listeners int
		nodes     []policy.Node
	}{
		"none": {},
		"idle and executing": {
			workers: map[string]says{
				"w1@a": {methodQueues: videoOnly, methodActive: noTasks},
				"w2@b": {methodQueues: []any{map[string]any{"name": "video"}, map[string]any{"name": "mail"}}, methodActive: activeTasks(start+9, start)},
			},
			listeners: 2,
			nodes: []policy.Node{
				{Name: "w1@a", Answers: 1, Queues: video, Active: policy.Known(0)},
				{Name: "w2@b", Answers: 1, Queues: []string{"mail", "video"}, Active: policy.Known(2), OldestStart: startAt},
			},
		},
		"drained": {
			workers:   map[string]says{"w1@a": {methodQueues: []any{}, methodActive: noTasks}},
			listeners: 1,
			nodes:     []policy.Node{{Name: "w1@a", Answers: 1, Active: policy.Known(0)}},
		},
		"silent": {
			workers:   map[string]says{"w1@a": {}, "w2@b": {methodQueues: videoOnly, methodActive: noTasks}},
			listeners: 2,
			nodes:     []policy.Node{{Name: "w2@b", Answers: 1, Queues: video, Active: policy.Known(0)}},
		},
		"answers one and not the other": {
			workers:   map[string]says{"w1@a": {methodQueues: videoOnly}, "w2@b": {methodActive: activeTasks(start)}},
			listeners: 2,
			nodes: []policy.Node{
				{Name: "w1@a", Answers: 1, Queues: video, Active: policy.Unknown("w1@a did not answer active in time")},
				{Name: "w2@b", Answers: 1, Active: policy.AtLeast(1, "w2@b did not answer active_queues in time"), OldestStart: startAt},
			},
		},
		"answers with an error": {
			workers:   map[string]says{"w1@a": {methodQueues: videoOnly, methodActive: map[string]any{"error": "KeyError('active')"}}},
			listeners: 1,
			nodes:     []policy.Node{{Name: "w1@a", Answers: 1, Queues: video, Active: policy.Unknown("w1@a answered active with the error KeyError('active')")}},
		},
		"answers in pickle": {
			workers:   map[string]says{"w1@a": {methodQueues: answerAs{"application/x-python-serialize", pickled}, methodActive: answerAs{"application/x-python-serialize", pickled}}},
			listeners: 1,
			nodes: []policy.Node{{Name: "w1@a", Answers: 1, Active: policy.Unknown(
				`w1@a answered active_queues as "application/x-python-serialize", which only Python can read: its task_serializer is not json`)}},
		},
		"answers with rubbish": {
			workers: map[string]says{
				"w1@a": {methodQueues: videoOnly, methodActive: "yes"},
				"w2@b": {methodQueues: answerAs{contentJSON, "["}, methodActive: answerAs{contentJSON, "[]"}},
				"w3@c": {methodQueues: videoOnly, methodActive: answerAs{contentJSON, `["w3@c"]`}},
				"w4@d": {methodQueues: nil, methodActive: noTasks},
			},
			listeners: 4,
			nodes: []policy.Node{
				{Name: "w1@a", Answers: 1, Queues: video, Active: policy.Unknown("w1@a answered active with what is no list of tasks")},
				{Name: "w3@c", Answers: 1, Queues: video, Active: policy.Unknown("w3@c answered active with what is no reply")},
				{Name: "w4@d", Answers: 1, Active: policy.Unknown("w4@d answered active_queues with what is no list of queues")},
			},
		},
		"equal names": {
			workers:   map[string]says{"w1@a": {methodQueues: videoOnly, methodActive: activeTasks(start)}},
			twins:     true,
			listeners: 2,
			nodes:     []policy.Node{{Name: "w1@a", Answers: 2, Queues: video, Active: policy.Known(2), OldestStart: startAt}},
		},
		"equal names, one of them half": {
			workers:   map[string]says{"w1@a": {methodQueues: videoOnly, methodActive: answerAs{contentJSON, "[]"}}},
			twins:     true,
			listeners: 2,
			nodes:     []policy.Node{{Name: "w1@a", Answers: 2, Queues: video, Active: policy.Unknown("w1@a did not answer active in time")}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := miniredis.RunT(t)
			for node, say := range c.workers {
				startFake(t, m.Addr(), node, say)
				if c.twins {
					startFake(t, m.Addr(), node, say)
				}
			}
			look, err := newBroker(t, lookOptions(m.Addr())).Look(t.Context(), []string{"video"}, 3*time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if look.Listeners != policy.Known(c.listeners) {
				t.Errorf("%+v listeners, want %d", look.Listeners, c.listeners)
			}
			if diff := cmp.Diff(c.nodes, look.Nodes); diff != "" {
				t.Errorf("nodes (-want +got):\n%s", diff)
			}
			for _, key := range m.Keys() {
				t.Errorf("the look left the key %q behind", key)
			}
		})
	}
}

// A cancelled look ends at once, and still clears up after itself.
func TestLookCancelled(t *testing.T) {
	m := miniredis.RunT(t)
	ctx, cancel := context.WithCancel(t.Context())
	startFake(t, m.Addr(), "w1@a", says{methodQueues: called(cancel)})
	begin := time.Now()
	look, err := newBroker(t, lookOptions(m.Addr())).Look(ctx, []string{"video"}, time.Hour)
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("the look went on for %v after it was cancelled: %+v, %v", took, look, err)
	}
	if left := m.Keys(); slices.Contains(left, testKeys().replyBindings()) {
		t.Errorf("the look left %q behind", left)
	}
}

// called is an answer that calls a function when it is given.
type called func()

func (c called) MarshalJSON() ([]byte, error) {
	c()
	return []byte("[]"), nil
}

// In cluster mode nobody can tell how many listen: the look waits for its whole patience.
func TestLookAtCluster(t *testing.T) {
	client, addr := realRedis(t, "--cluster-enabled", "yes")
	if err := client.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	prefixed := testKeys()
	prefixed.prefix = "{celery}:"
	if err := testenv.WaitFor(t.Context(), func() error {
		return client.LPush(t.Context(), prefixed.lists("video")[1], taskMessage("a", "video", nil)).Err()
	}); err != nil {
		t.Fatal(err)
	}
	startFakeOf(t, prefixed, addr, "w1@a", says{methodQueues: videoOnly, methodActive: noTasks})
	o := lookOptions(addr)
	o.ClusterMode, o.KeyPrefix = true, prefixed.prefix
	o.AnswerBytes = 2 << 20 // The least share that a broker gets: a cluster's client asks for COMMAND, which has 15,000 items.
	look, err := newBroker(t, o).Look(t.Context(), []string{"video"}, 3*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	want := policy.Look{
		At: noon, Queues: map[string]policy.Queue{"video": queue(1, 0, 0)}, Loose: policy.Known(0), FetchedKnown: true,
		Listeners: policy.Unknown("a Redis in cluster mode counts the listeners of one node only"),
		Nodes:     []policy.Node{{Name: "w1@a", Answers: 1, Queues: []string{"video"}, Active: policy.Known(0)}},
	}
	if diff := cmp.Diff(want, look, withoutHeads); diff != "" {
		t.Errorf("look (-want +got):\n%s", diff)
	}
}

// What a look that died left behind is cleared up by a later one; what is young, or another client's, is left alone.
func TestLookSweeps(t *testing.T) {
	m := miniredis.RunT(t)
	k := testKeys()
	dead := oidPrefix + strconv.FormatInt(time.Now().Add(-11*time.Minute).Unix(), 10) + "-x"
	young := oidPrefix + strconv.FormatInt(time.Now().Add(-9*time.Minute).Unix(), 10) + "-y"
	other, odd, hex := uuid(), oidPrefix+"soon-z", oidPrefix+"0x1-z"
	for _, oid := range []string{dead, young, other, odd, hex} {
		_, _ = m.SAdd(k.replyBindings(), k.replyBinding(oid))
		_, _ = m.Lpush(k.replyQueue(oid), "a late reply")
	}
	if _, err := newBroker(t, lookOptions(m.Addr())).Look(t.Context(), []string{"video"}, time.Second); err != nil {
		t.Fatal(err)
	}
	for oid, want := range map[string]bool{dead: false, young: true, other: true, odd: true, hex: true} {
		bound, _ := m.SIsMember(k.replyBindings(), k.replyBinding(oid))
		if bound != want || m.Exists(k.replyQueue(oid)) != want {
			t.Errorf("%s: bound %v, with replies %v; want %v", oid, bound, m.Exists(k.replyQueue(oid)), want)
		}
	}
}

// What workers hold gets three quarters of the bytes at most: the lists are read all the same.
func TestHeldLeavesRoomForLists(t *testing.T) {
	m := miniredis.RunT(t)
	long := strings.Repeat("a", maxRead/10) // It is twice in a message.
	for tag, value := range many(20, unackedEntry(taskMessage(long, "video", nil), "", "video")) {
		m.HSet("unacked", tag, value)
	}
	_, _ = m.Lpush("video", taskMessage(long, "video", "2026-11-21T13:00:00+00:00"))
	look, err := newBroker(t, lookOptions(m.Addr())).Look(t.Context(), []string{"video"}, testPatience)
	if err != nil {
		t.Fatal(err)
	}
	q := look.Queues["video"]
	if q.Later != 1 || q.Backlog != policy.Known(0) || q.Held != policy.Known(3) || look.Loose != policy.Known(17) {
		t.Errorf("look: %+v; want 3 messages told, 17 not, and the list read", look)
	}
	if len(look.Fetched) != 20 || look.FetchedKnown {
		t.Errorf("%d are fetched, known %v", len(look.Fetched), look.FetchedKnown)
	}
}
