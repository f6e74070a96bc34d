package main

import (
	"context"
	"io"
	"strings"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"sluice/internal/terminal"
)

// view is what is shown at one time: the value, and how people read it.
type view struct {
	value any
	text  func(w *textWriter)
}

// watchEvery is the time between two looks.
const watchEvery = 2 * time.Second

// watch shows a view again and again until the command's context ends, which is no error. On a terminal it is drawn in place; else
// one follows the other, as JSON each on a line of its own. A first look that fails ends it; a later one is said, since the next may
// succeed.
func watch(cmd *cobra.Command, look func(context.Context) (view, error)) error {
	out := cmd.OutOrStdout()
	frames := &frames{out: terminal.Behind(out)}
	ticks := time.NewTicker(watchEvery)
	defer ticks.Stop()
	for first := true; ; first = false {
		v, err := look(cmd.Context())
		switch {
		case cmd.Context().Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil && format(cmd) != formatText:
			cmd.PrintErrln("sluice: " + plainly(err))
			err = nil
		case err != nil:
			err = frames.draw(func(w *textWriter) { w.wrapped(0, "%s", bad(plainly(err))) })
		case format(cmd) == formatJSON:
			err = printJSON(out, v.value, "")
		case format(cmd) == formatYAML:
			if _, err = io.WriteString(out, "---\n"); err == nil {
				err = printYAML(out, v.value)
			}
		default:
			err = frames.draw(v.text)
		}
		if err != nil {
			return err
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-ticks.C:
		}
	}
}

// frames draws texts, on a terminal each in the place of the one before.
type frames struct {
	out   io.Writer
	drawn int // Lines on the screen.
}

func (f *frames) draw(text func(w *textWriter)) error {
	w := newTextWriter(f.out)
	w.line("%s", dim(time.Now().Local().Format("15:04:05 MST")))
	text(w)
	lines := strings.SplitAfter(strings.TrimSuffix(w.b.String(), "\n"), "\n")
	var b strings.Builder
	if height, ok := screen(f.out); !ok {
		b.WriteString(strings.Join(lines, "") + "\n\n")
	} else {
		if room := height - 1; room > 1 && len(lines) > room { // What has left the screen above cannot be drawn over.
			lines = append(lines[:room-1], "... and more: name fewer targets, or make the window higher")
		}
		if f.drawn > 0 {
			b.WriteString(ansi.CursorUp(f.drawn) + "\r" + ansi.EraseScreenBelow)
		}
		b.WriteString(strings.Join(lines, "") + "\n")
		f.drawn = len(lines)
	}
	_, err := io.WriteString(f.out, b.String())
	return err
}

// screen is the height of the terminal that is written to, if it is one.
func screen(out io.Writer) (height int, ok bool) {
	f, isFile := out.(interface{ Fd() uintptr })
	if !isFile || !term.IsTerminal(f.Fd()) {
		return 0, false
	}
	_, height, err := term.GetSize(f.Fd())
	return height, err == nil && height > 0
}
