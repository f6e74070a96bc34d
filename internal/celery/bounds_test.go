package celery

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"

	"sluice/internal/celery/resp"
)

// TestBounds holds what docs/design/0003-celery-look.md promises.
func TestBounds(t *testing.T) {
	for name, c := range map[string][2]int{
		"messages read per list":    {maxMessages, 200},
		"entries read of unacked":   {maxHeld, 2000},
		"bytes of messages":         {maxRead, 1 << 20},
		"bytes of an answer":        {maxAnswer, 8 << 20},
		"replies":                   {maxReplies, 5000},
		"bytes of all replies":      {maxReplyBytes, 32 << 20},
		"values of one reply":       {maxValues, 65_536},
		"queues of one worker":      {maxQueues, 1000},
		"bytes of a name":           {maxName, 1024},
		"a count":                   {maxCount, 4_294_967_295},
		"bytes of an error's cause": {maxCause, 500},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %d, want %d", name, c[0], c[1])
		}
	}
	for bytes, want := range map[int]int{0: 32_768, 2 << 20: 32_768, 4 << 20: 65_536, 8 << 20: 131_072} {
		if got := bounds(Options{AnswerBytes: bytes}); got != (resp.Bounds{Bytes: bytes, Items: want}) {
			t.Errorf("an answer of %d bytes: %+v, want %d items", bytes, got, want)
		}
	}
	for given, want := range map[int]int{0: 8 << 20, 1: 1, 8 << 20: 8 << 20, 8<<20 + 1: 8 << 20} {
		if got := withDefaults(Options{AnswerBytes: given}).AnswerBytes; got != want {
			t.Errorf("%d bytes of an answer are taken for %d, want %d", given, got, want)
		}
	}
}

func TestValues(t *testing.T) {
	for document, want := range map[string]int{
		``: 1, `1`: 1, `[]`: 2, `[1, 2]`: 3, `{"a": 1}`: 2, `{"a": [1], "b": 2}`: 4, `",[{"`: 1, `["\",[", 1]`: 3, `["\\", 1]`: 3, `["`: 2, `["\`: 2, `[\,1]`: 3,
	} {
		if got := values([]byte(document)); got != want {
			t.Errorf("%s has %d values, want %d", document, got, want)
		}
	}
}

func TestCountOf(t *testing.T) {
	for _, n := range []int64{0, 1, maxCount} {
		if got, err := countOf(n); err != nil || got != int(n) {
			t.Errorf("%d is %d, %v", n, got, err)
		}
	}
	for _, n := range []int64{-1, math.MinInt64, maxCount + 1, math.MaxInt64} {
		if got, err := countOf(n); err == nil || got != 0 {
			t.Errorf("%d is %d, %v", n, got, err)
		}
	}
}

func TestRoom(t *testing.T) {
	left := room(10)
	for _, c := range []struct {
		bytes int
		fits  bool
		left  room
	}{{4, true, 6}, {7, false, 6}, {6, true, 0}, {1, false, 0}, {0, true, 0}} {
		if fits := left.take(c.bytes); fits != c.fits || left != c.left {
			t.Errorf("%d bytes fit: %v, and %d are left; want %v, %d", c.bytes, fits, left, c.fits, c.left)
		}
	}
}

func TestClip(t *testing.T) {
	for text, want := range map[string]string{"": "", "abc": "abc", "abcd": "abc...", "a\x80c": "a?c", "abé": "ab...", "\x80bcd": "bc..."} {
		if got := clip(text, 3); got != want {
			t.Errorf("%q is clipped to %q, want %q", text, got, want)
		}
	}
	if got := shorten(strings.Repeat("a", 201)); got != strings.Repeat("a", 200)+"..." {
		t.Errorf("what a worker wrote is shortened to %d bytes", len(got))
	}
	long := brief{fmt.Errorf("%w: %s", io.ErrUnexpectedEOF, strings.Repeat("a", 1000))}
	if !errors.Is(long, io.ErrUnexpectedEOF) || len(long.Error()) != maxCause+len("...") {
		t.Errorf("an error is told in %d bytes: %v", len(long.Error()), long)
	}
}
