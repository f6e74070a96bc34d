package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestWriter(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"plain\ttext 動画\n", "plain\ttext 動画\n"},
		{"a\x1b[2Jb\u202ec\u0085\xff\r\n", "a�[2Jb�c � \n"},
	} {
		var out bytes.Buffer
		if n, err := fmt.Fprint(Writer{&out}, tt.in); err != nil || n != len(tt.in) || out.String() != tt.want {
			t.Errorf("%q: %q, %d, %v; want %q", tt.in, out.String(), n, err, tt.want)
		}
	}
	broken := errors.New("broken")
	if _, err := (Writer{failing{broken}}).Write([]byte("x")); !errors.Is(err, broken) {
		t.Errorf("%v, want %v", err, broken)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestCut(t *testing.T) {
	if got, want := Cut(strings.Repeat("é", 30)+"end", 9), "éééééé… (24 characters more) …end"; got != want {
		t.Errorf("cut: %q, want %q", got, want)
	}
	if got := Cut("ééé", 3); got != "ééé" {
		t.Errorf("what fits is cut: %q", got)
	}
}
