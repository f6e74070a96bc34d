package fleet_test

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/internal/fleet"
	"sluice/internal/policy"
)

// The ids of two Fargate tasks, and the runtime ids of their containers.
const (
	idA      = "a8378554feab4fd7b82e5530dddd6bf1"
	idB      = "cd189a933e5849daa93386466019ab50"
	runtimeA = idA + "-2515387555"
	runtimeB = idB + "-2495160603"
)

func TestMatch(t *testing.T) {
	a := policy.Task{ID: idA, State: policy.TaskRunning, PrivateIPv4: "10.0.1.1", RuntimeIDs: []string{idA + "-0527074092", runtimeA}}
	b := policy.Task{ID: idB, State: policy.TaskRunning, PrivateIPv4: "10.0.1.10", RuntimeIDs: []string{runtimeB}}
	for _, c := range []struct {
		node string
		want string // The task's ID; empty if it cannot be told.
	}{
		// What Fargate calls the host.
		{"celery@ip-10-0-1-1.ec2.internal", idA},
		{"celery@ip-10-0-1-10.us-west-2.compute.internal", idB},
		{"celery@ip-10-0-1-1", idA},
		{"celery@" + runtimeA, idA},
		{"celery@" + runtimeB, idB},
		{"celery@" + idA + "-0000000001", idA},
		{"celery@" + idB, idB},
		// Names that people give.
		{"worker1@" + runtimeA + ".prod", idA},
		{"mail-ip-10-0-1-1@prod", idA},
		{"ip-10-0-1-10.mail@prod", idB},
		{idA + "@prod", idA},
		{"mail_" + idA + "@prod", idA},
		{"mail." + runtimeB + ".2@prod", idB},
		{"w1@ip-10-0-1-1.ec2.internal", idA},
		{"w2@ip-10-0-1-1.ec2.internal", idA}, // A second worker in the same task.
		{idA + "@ip-10-0-1-1.ec2.internal", idA},
		{"celery@ip-10-0-1-1-mail", idA},
		{"celery@ip-10-0-1-1.5", idA},
		{"celery@ip-10-0-1-1-", idA},
		{"celery@ip-10-0-1-1-:", idA}, // The neighbours of the digits.
		{"celery@ip-10-0-1-1-/", idA},
		// Others' addresses, and what only looks like one.
		{"celery@ip-10-0-1-2.ec2.internal", ""},
		{"celery@ip-10-0-1-11.ec2.internal", ""},
		{"celery@ip-10-0-1-100.ec2.internal", ""},
		{"celery@ip-10-0-1.ec2.internal", ""},
		{"celery@ip-10-0-1-1-5.ec2.internal", ""},
		{"celery@ip-10-0-01-1.ec2.internal", ""},
		{"celery@ip-110-0-1-1.ec2.internal", ""},
		{"celery@zip-10-0-1-1.ec2.internal", ""},
		{"celery@ip-10-0-1-1x.ec2.internal", ""},
		{"celery@ip-10.0.1.1", ""},
		{"celery@IP-10-0-1-1.ec2.internal", ""},
		{"celery@10.0.1.1", ""},
		{"celery@5ip-10-0-1-1", ""},
		{"xip-10-0-1-1@prod", ""},
		{"celery@ip-10-0-1-1-0", ""}, // A fifth number.
		{"celery@ip-10-0-1-1-9", ""},
		{"celery@éip-10-0-1-1", ""},
		{"celery@ip-10-0-1-1é", ""},
		{"ip-10-0-1-1@ip-10-0-1-10", ""}, // It fits two.
		{idA + "@" + runtimeB, ""},
		{idA + "." + idB + "@prod", ""},
		// Others' ids, and parts of ours.
		{"celery@" + idA[:31], ""},
		{"celery@" + idA + "0", ""},
		{"celery@0" + runtimeA, ""},
		{"celery@" + strings.ToUpper(idA), ""},
		{"celery@" + idA[:12], ""},
		// What tells nothing.
		{"celery@prod", ""},
		{"celery@", ""},
		{"@", ""},
		{"", ""},
		{"ip-10-0-1-1.ec2.internal", ""}, // Not a node's name.
		{idA, ""},
		{"celery@ip-", ""},
		{"celery@\x00\xff-", ""},
		{strings.Repeat("ip-", 10_000) + "@" + strings.Repeat("-", 10_000), ""},
	} {
		want := map[string]string{}
		if c.want != "" {
			want[c.node] = c.want
		}
		for _, tasks := range [][]policy.Task{{a, b}, {b, a}} {
			got := (&fleet.Fleet{}).Match([]string{c.node}, tasks)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%.60q (-want +got):\n%s", c.node, diff)
			}
		}
	}
}

// TestMatchWholeWords holds that a letter or digit, and any byte of a letter beyond ASCII, before or behind an address belongs to its word.
func TestMatchWholeWords(t *testing.T) {
	a := policy.Task{ID: idA, PrivateIPv4: "10.0.1.1"}
	for b := range 256 {
		inWord := regexp.MustCompile(`^[0-9A-Za-z\x80-\xff]$`).MatchString(string(rune(b)))
		for _, node := range []string{"celery@" + string([]byte{byte(b)}) + "ip-10-0-1-1", "celery@ip-10-0-1-1" + string([]byte{byte(b)})} {
			got := (&fleet.Fleet{}).Match([]string{node}, []policy.Task{a})
			if told := got[node] == idA; told == inWord {
				t.Errorf("%q: got %v", node, got)
			}
		}
	}
}

// TestMatchTwins holds that an address which has passed from a task to the next tells neither, and an id still does.
func TestMatchTwins(t *testing.T) {
	leaving := policy.Task{ID: idA, State: policy.TaskStopping, PrivateIPv4: "10.0.1.1", RuntimeIDs: []string{runtimeA}}
	coming := policy.Task{ID: idB, State: policy.TaskRunning, PrivateIPv4: "10.0.1.1", RuntimeIDs: []string{runtimeB}}
	nodes := []string{"celery@ip-10-0-1-1.ec2.internal", "celery@" + runtimeA, "celery@" + idB, idA + "@ip-10-0-1-1.ec2.internal"}
	want := map[string]string{"celery@" + runtimeA: idA, "celery@" + idB: idB}
	if diff := cmp.Diff(want, (&fleet.Fleet{}).Match(nodes, []policy.Task{leaving, coming})); diff != "" {
		t.Errorf("twins (-want +got):\n%s", diff)
	}
}

// TestMatchOddTasks holds that what a task lacks, or bears in an odd form, fits nothing.
func TestMatchOddTasks(t *testing.T) {
	nodes := []string{
		"celery@", "celery@ip-", "celery@ip----", "celery@ip-fe80--1", "celery@ip-0-0-0-0", "celery@shared", "celery@-",
		"celery@ip-10-0-1-1", "celery@own", "celery@ip-invalid IP", "celery@ip-fe80::1", "own@nobody's",
	}
	tasks := []policy.Task{
		{},
		{ID: "one", PrivateIPv4: "fe80::1", RuntimeIDs: []string{"", "shared"}},
		{ID: "two", PrivateIPv4: "10.0.1.1.", RuntimeIDs: []string{"shared", "shared"}},
		{ID: "three", PrivateIPv4: "ip-10-0-1-1", RuntimeIDs: []string{"own", "own"}},
		{PrivateIPv4: "10.0.1.1", RuntimeIDs: []string{"nobody's"}},
	}
	want := map[string]string{"celery@own": "three", "own@nobody's": "three"}
	if diff := cmp.Diff(want, (&fleet.Fleet{}).Match(nodes, tasks)); diff != "" {
		t.Errorf("odd tasks (-want +got):\n%s", diff)
	}
	if got := (&fleet.Fleet{}).Match(nil, nil); len(got) != 0 {
		t.Errorf("nothing to match: got %v", got)
	}
}

// FuzzMatch holds that a node is only ever in the one task of which its name contains the address or an id, and in no task
// if it contains those of two.
func FuzzMatch(f *testing.F) {
	f.Add("celery@ip-10-0-1-1.ec2.internal", idA, "10.0.1.1", runtimeA, idB, "10.0.1.10", runtimeB)
	f.Add("ip-10-0-1-1@"+runtimeB, idA, "10.0.1.1", runtimeA, idB, "10.0.1.1", runtimeB)
	f.Add("a@b-c", "a", "", "b-c", "b", "", "a@b")
	f.Fuzz(func(t *testing.T, node, id1, ip1, runtime1, id2, ip2, runtime2 string) {
		tasks := []policy.Task{
			{ID: id1, PrivateIPv4: ip1, RuntimeIDs: []string{runtime1}}, {ID: id2, PrivateIPv4: ip2, RuntimeIDs: []string{runtime2}},
		}
		bears := func(task policy.Task) bool {
			for _, mark := range []string{task.ID, task.RuntimeIDs[0], "ip-" + strings.ReplaceAll(task.PrivateIPv4, ".", "-")} {
				if mark != "" && strings.Contains(node, mark) {
					return true
				}
			}
			return false
		}
		got := (&fleet.Fleet{}).Match([]string{node}, tasks)
		id, ok := got[node]
		if len(got) > 1 || ok && id == "" || len(got) == 1 && !ok {
			t.Fatalf("%q: got %q", node, got)
		}
		for _, task := range tasks {
			if ok && id == task.ID && id1 != id2 && !bears(task) {
				t.Fatalf("%q is said to be in %+v, and bears none of its marks", node, task)
			}
		}
		if ok && id != id1 && id != id2 {
			t.Fatalf("%q is said to be in %q, which is none of the tasks", node, id)
		}
		back := (&fleet.Fleet{}).Match([]string{node, node}, []policy.Task{tasks[1], tasks[0]})
		if diff := cmp.Diff(got, back); diff != "" {
			t.Fatalf("%q: the order of the tasks matters (-one +other):\n%s", node, diff)
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		var tasks []policy.Task
		var nodes []string
		for i := range n {
			id := fmt.Sprintf("%032x", i*7919)
			ip := fmt.Sprintf("10.0.%d.%d", i/250, i%250)
			tasks = append(tasks, policy.Task{ID: id, PrivateIPv4: ip, RuntimeIDs: []string{id + "-2515387555"}})
			nodes = append(nodes, "celery@ip-"+strings.ReplaceAll(ip, ".", "-")+".eu-central-1.compute.internal")
		}
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if got := (&fleet.Fleet{}).Match(nodes, tasks); len(got) != n {
					b.Fatalf("%d of %d nodes matched", len(got), n)
				}
			}
		})
	}
}
