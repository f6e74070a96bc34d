package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/lipgloss"
	"github.com/charmbracelet/x/ansi"
)

// A topic is what a line of the story is about.
type topic string

const (
	onDeploy topic = "deploy"   // What the demo runs.
	onLoad   topic = "load"     // What the demo's users do.
	onEvent  topic = "event"    // What EventBridge gets.
	onDecide topic = "decision" // What Sluice decides, and why.
	onECS    topic = "ecs"      // What ECS does.
	onSweep  topic = "sweep"    // Where the state machine is.
	onError  topic = "error"
)

// moment is one line of the story.
type moment struct {
	at    time.Duration // Since the start.
	topic topic
	text  string
}

// queueStatus is how far the tasks of one queue are. backlog is what the broker's lists hold; the rest is the ledger's.
type queueStatus struct {
	name    string
	backlog int
	progress
}

// status is how things stand at one time.
type status struct {
	at                         time.Duration
	queues                     []queueStatus
	desired, running, starting int
	stopping                   int
	waitingFor                 string // What the demo waits for.
}

// A view shows the story as it goes.
type view interface {
	tell(moment) // One line, which stays.
	show(status) // How things stand; the next one replaces it.
	close()      // Leaves the lines and takes the status away.
}

// plainView prints lines only, for logs and for terminals that cannot do more. The status is printed when it has changed
// and not more often than every two seconds.
type plainView struct {
	w    io.Writer
	last status
	text string
}

func (v *plainView) tell(m moment) {
	_, _ = fmt.Fprintf(v.w, "%s  %-8s  %s\n", stamp(m.at), m.topic, m.text)
}

func (v *plainView) show(s status) {
	var parts []string
	for _, q := range s.queues {
		parts = append(parts, fmt.Sprintf("%s %d done %d running %d waiting, backlog %d", q.name, q.done, q.running, q.waiting, q.backlog))
	}
	text := fmt.Sprintf("%s; workers %s", strings.Join(parts, "; "), workers(s))
	since := s.at - v.last.at // Negative once, when the story begins and time with it.
	if text == v.text || v.text != "" && since >= 0 && since < 2*time.Second {
		return
	}
	v.last, v.text = s, text
	_, _ = fmt.Fprintf(v.w, "%s  %-8s  %s\n", stamp(s.at), "status", text)
}

func (v *plainView) close() {}

const (
	margin   = 20 // Columns before the text of a line: the time and the topic.
	minWidth = 40 // What a narrower terminal is taken for.
)

// liveView keeps the status as a block below the lines, and draws it anew in place.
type liveView struct {
	w     io.Writer
	width func() int // Columns of the terminal, asked for at each drawing.
	style styles
	drawn int // Lines of the block that stand on the screen.
	block status
}

type styles struct {
	topics          map[topic]lipgloss.Style
	dim, bold, bar  lipgloss.Style
	up, coming, out lipgloss.Style
}

func newLiveView(w io.Writer, width func() int) *liveView {
	r := lipgloss.NewRenderer(w)
	colour := func(c string) lipgloss.Style { return r.NewStyle().Foreground(lipgloss.Color(c)) }
	return &liveView{w: w, width: width, style: styles{
		topics: map[topic]lipgloss.Style{
			onDeploy: colour("2"), onLoad: colour("6"), onEvent: colour("5"), onDecide: colour("3").Bold(true),
			onECS: colour("4"), onSweep: colour("8"), onError: colour("1").Bold(true),
		},
		dim: colour("8"), bold: r.NewStyle().Bold(true), bar: colour("2"),
		up: colour("2"), coming: colour("3"), out: colour("1"),
	}}
}

func (v *liveView) tell(m moment) {
	var b strings.Builder
	v.erase(&b)
	// A long text goes on below its beginning.
	text := ansi.Wordwrap(m.text, max(v.width(), minWidth)-margin-1, "")
	_, _ = fmt.Fprintf(&b, "%s  %s  %s\n", v.style.dim.Render(stamp(m.at)),
		v.style.topics[m.topic].Render(fmt.Sprintf("%-8s", m.topic)),
		strings.ReplaceAll(text, "\n", "\n"+strings.Repeat(" ", margin)))
	v.draw(&b)
}

func (v *liveView) show(s status) {
	v.block = s
	var b strings.Builder
	v.erase(&b)
	v.draw(&b)
}

func (v *liveView) close() {
	var b strings.Builder
	v.erase(&b)
	_, _ = io.WriteString(v.w, b.String())
}

// erase takes the block off the screen.
func (v *liveView) erase(b *strings.Builder) {
	if v.drawn > 0 {
		b.WriteString(ansi.CursorUp(v.drawn) + "\r" + ansi.EraseScreenBelow)
	}
	v.drawn = 0
}

// draw writes the block below what b holds, and b to the terminal in one go, so that nothing flickers. Lines are cut at
// the terminal's width: a line that wraps would take two rows, and the next erase would miss one.
func (v *liveView) draw(b *strings.Builder) {
	if v.block.queues != nil {
		width := max(v.width(), minWidth)
		for _, line := range v.lines(width) {
			b.WriteString(ansi.Truncate(line, width-1, "…") + "\n")
			v.drawn++
		}
	}
	_, _ = io.WriteString(v.w, b.String())
}

// lines are the lines of the block.
func (v *liveView) lines(width int) []string {
	s, st := v.block, v.style
	lines := []string{st.dim.Render(strings.Repeat("─", min(width-1, 78)))}
	for _, q := range s.queues {
		all := q.done + q.running + q.waiting
		lines = append(lines, fmt.Sprintf("%s  %s  %s done  %d running  %d waiting  %s",
			st.bold.Render(fmt.Sprintf("%-8s", q.name)), v.bar(q.done, q.running, all, 24), st.bold.Render(fmt.Sprintf("%3d", q.done)),
			q.running, q.waiting, st.dim.Render(fmt.Sprintf("backlog %d", q.backlog))))
	}
	up := st.up.Render(strings.Repeat("● ", max(s.running, 0)))
	coming := st.coming.Render(strings.Repeat("◌ ", max(s.starting, 0)))
	out := st.out.Render(strings.Repeat("○ ", max(s.stopping, 0)))
	lines = append(lines,
		fmt.Sprintf("%s  %s%s%s %s", st.bold.Render("workers "), up, coming, out, st.dim.Render(workers(s))),
		st.dim.Render(fmt.Sprintf("%s   %s", stamp(s.at), s.waitingFor)))
	return lines
}

// bar is a bar of the tasks that are done and running among all.
func (v *liveView) bar(done, running, all, width int) string {
	if all == 0 {
		return v.style.dim.Render(strings.Repeat("░", width))
	}
	full := done * width / all
	busy := (done+running)*width/all - full
	return v.style.bar.Render(strings.Repeat("█", full)) + v.style.coming.Render(strings.Repeat("▒", busy)) +
		v.style.dim.Render(strings.Repeat("░", width-full-busy))
}

// workers says in words how many workers there are.
func workers(s status) string {
	text := fmt.Sprintf("%d desired, %d running", s.desired, s.running)
	if s.starting > 0 {
		text += fmt.Sprintf(", %d starting", s.starting)
	}
	if s.stopping > 0 {
		text += fmt.Sprintf(", %d stopping", s.stopping)
	}
	return text
}

// stamp is the time since the start, in seconds, of equal width.
func stamp(at time.Duration) string { return fmt.Sprintf("%6.2f s", at.Seconds()) }
