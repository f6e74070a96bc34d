package lambda

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
)

// lineLog writes the lines of all functions to one writer, each line whole, and tells of them. Both may be nil.
type lineLog struct {
	mu     sync.Mutex
	w      io.Writer
	onLine func(Line)
}

// Line is a line that a function has printed.
type Line struct {
	Function string
	Stream   string // The log stream, which is the instance's own.
	Text     string
}

func (l *lineLog) line(line Line) {
	if l.onLine != nil {
		l.onLine(line)
	}
	if l.w == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = fmt.Fprintf(l.w, "%s: %s\n", line.Function, line.Text) // A log that cannot be written stops no function.
}

// maxLogLines is how many lines of one invocation are kept; more are passed on and forgotten.
const maxLogLines = 1000

// logPipe is where an instance prints to. The host writes marks into the same pipe: when a mark has come out, everything
// printed before it has, too. So the lines of an invocation are complete when its result is handed out.
type logPipe struct {
	name   string
	stream string
	out    *lineLog
	w      *os.File
	done   chan struct{} // Closed when the pipe has been read to its end.

	mu     sync.Mutex
	closed bool
	marks  int
	seen   map[int]chan struct{}
	lines  []string
}

// markPrefix begins a mark. No program prints a zero byte followed by this.
const markPrefix = "\x00sluice mark "

func newLogPipe(name, stream string, out *lineLog) (*logPipe, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a log pipe: %w", err)
	}
	p := &logPipe{name: name, stream: stream, out: out, w: w, done: make(chan struct{}), seen: map[int]chan struct{}{}}
	go p.read(r)
	return p, nil
}

// take returns the lines printed since the last take.
func (p *logPipe) take() []string {
	p.mu.Lock()
	if !p.closed {
		p.marks++
		n, seen := p.marks, make(chan struct{})
		p.seen[n] = seen
		p.mu.Unlock()
		_, err := fmt.Fprintf(p.w, "%s%d\n", markPrefix, n)
		if err == nil {
			select {
			case <-seen:
			case <-p.done:
			}
		}
		p.mu.Lock()
	} else {
		p.mu.Unlock()
		<-p.done
		p.mu.Lock()
	}
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

// close ends the pipe after the process has ended; what it printed is still read.
func (p *logPipe) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.w.Close()
	<-p.done
}

func (p *logPipe) read(f *os.File) {
	defer close(p.done)
	defer func() { _ = f.Close() }()
	r := bufio.NewReaderSize(f, 64<<10)
	for {
		// A line longer than the buffer comes in pieces; that is good enough for a log.
		piece, err := r.ReadSlice('\n')
		piece = bytes.TrimSuffix(piece, []byte("\n"))
		text, mark, marked := bytes.Cut(piece, []byte(markPrefix))
		if len(text) > 0 {
			p.add(string(text))
		}
		if n, convErr := strconv.Atoi(string(mark)); marked && convErr == nil {
			p.mu.Lock()
			close(p.seen[n])
			delete(p.seen, n)
			p.mu.Unlock()
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

func (p *logPipe) add(text string) {
	p.out.line(Line{p.name, p.stream, text})
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) < maxLogLines {
		p.lines = append(p.lines, text)
	}
}
