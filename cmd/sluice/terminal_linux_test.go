package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"golang.org/x/sys/unix"
)

// pty is a terminal of that size: what is written to it can be read from the screen.
func pty(t *testing.T, rows, columns uint16) (terminal, screen *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	fd := int(screen.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns})
	}
	if err != nil {
		t.Fatal(err)
	}
	if terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return terminal, screen
}

// read returns what has been written to the terminal; line breaks are as they were written.
func read(t *testing.T, screen *os.File) string {
	t.Helper()
	b := make([]byte, 1<<16)
	n, err := screen.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b[:n]), "\r\n", "\n")
}

func TestOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm-256color")
	t.Setenv("NO_COLOR", "")
	terminal, screen := pty(t, 5, 60)
	f := &frames{out: terminal}
	draw := func(lines int) string {
		t.Helper()
		if err := f.draw(func(w *textWriter) {
			for i := range lines {
				w.wrapped(0, "%s", bad(fmt.Sprintf("line %d %s", i, strings.Repeat("word ", 8))))
			}
		}); err != nil {
			t.Fatal(err)
		}
		return read(t, screen)
	}
	first := draw(2)
	if !strings.Contains(first, "\x1b[31mline 0") || strings.Contains(first, ansi.EraseScreenBelow) {
		t.Errorf("first: %q", first)
	}
	if second := draw(1); !strings.HasPrefix(second, "\x1b[3A\r"+ansi.EraseScreenBelow) {
		t.Errorf("the second is not drawn in place of the three lines of the first: %q", second)
	}
	long := draw(20)
	if n := strings.Count(long, "\n"); n != 4 || !strings.Contains(long, "... and more") {
		t.Errorf("%d lines on a screen of 5: %q", n, long)
	}

	t.Setenv("NO_COLOR", "1")
	if plain := draw(1); strings.Contains(plain, "\x1b[31m") {
		t.Errorf("with NO_COLOR: %q", plain)
	}
	w := newTextWriter(terminal)
	if w.width != 60 {
		t.Errorf("width %d", w.width)
	}
}
