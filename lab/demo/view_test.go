package main

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
)

func someStatus(at time.Duration, done int) status {
	return status{
		at: at, desired: 3, running: 2, starting: 1,
		queues: []queueStatus{
			{name: "orders", backlog: 4, progress: progress{waiting: 5, running: 1, done: done}},
			{name: "reports", progress: progress{running: 2}},
		},
		waitingFor: "waiting for the tasks",
	}
}

func TestPlainViewPrintsEachLineAndTheStatusWhenItChanges(t *testing.T) {
	var out bytes.Buffer
	v := &plainView{w: &out}
	v.show(someStatus(time.Second, 1))
	v.show(someStatus(1500*time.Millisecond, 2)) // Too soon after the one before.
	v.tell(moment{at: 2 * time.Second, topic: onDecide, text: "0 -> 3: backlog"})
	v.show(someStatus(4*time.Second, 2))
	v.show(someStatus(8*time.Second, 2)) // Nothing has changed.
	v.close()
	want := `  1.00 s  status    orders 1 done 1 running 5 waiting, backlog 4; reports 0 done 2 running 0 waiting, backlog 0; workers 3 desired, 2 running, 1 starting
  2.00 s  decision  0 -> 3: backlog
  4.00 s  status    orders 2 done 1 running 5 waiting, backlog 4; reports 0 done 2 running 0 waiting, backlog 0; workers 3 desired, 2 running, 1 starting
`
	if out.String() != want {
		t.Errorf("got\n%s\nwant\n%s", out.String(), want)
	}
}

// screen plays what was written to a terminal and returns what stands on it. It knows what the live view uses: lines, the
// cursor going up, and erasing all below it.
func screen(t *testing.T, written string) string {
	t.Helper()
	lines := []string{""}
	for rest := written; rest != ""; {
		switch {
		case rest[0] == '\n':
			lines = append(lines, "")
			rest = rest[1:]
		case strings.HasPrefix(rest, "\x1b["):
			end := strings.IndexAny(rest, "AJm")
			if end < 0 {
				t.Fatalf("unknown sequence %q", rest)
			}
			if rest[end] == 'A' { // Up n lines, then to the left and erase below, which the test asks to follow.
				n := 0
				for _, c := range rest[2:end] {
					n = 10*n + int(c-'0')
				}
				if n == 0 {
					n = 1
				}
				if !strings.HasPrefix(rest[end+1:], "\r"+ansi.EraseScreenBelow) {
					t.Fatalf("the cursor goes up and nothing is erased: %q", rest)
				}
				lines = append(lines[:len(lines)-1-n], "")
				end += len("\r" + ansi.EraseScreenBelow)
			}
			rest = rest[end+1:]
		default:
			lines[len(lines)-1] += rest[:1]
			rest = rest[1:]
		}
	}
	return strings.Join(lines, "\n")
}

func TestLiveViewKeepsTheStatusBelowTheLines(t *testing.T) {
	var out bytes.Buffer
	v := newLiveView(&out, func() int { return 50 })
	v.tell(moment{at: time.Second, topic: onLoad, text: "30 orders"})
	v.show(someStatus(time.Second, 1))
	v.tell(moment{at: 2 * time.Second, topic: onDecide, text: "0 -> 3: backlog, of which there is rather much"})
	v.show(someStatus(3*time.Second, 20))

	got := screen(t, out.String())
	want := `  1.00 s  load      30 orders
  2.00 s  decision  0 -> 3: backlog, of which
                    there is rather much
─────────────────────────────────────────────────
orders    ██████████████████▒░░░░░   20 done  1 …
reports   ▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒▒    0 done  2 …
workers   ● ● ◌  3 desired, 2 running, 1 starting
  3.00 s   waiting for the tasks
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}

	v.close()
	want, _, _ = strings.Cut(want, "──")
	if got := screen(t, out.String()); got != want {
		t.Errorf("after close: got\n%s\nwant\n%s", got, want)
	}
}
