package celery

import (
	"fmt"
	"math"
	"strings"

	"sluice/internal/celery/resp"
)

// What is taken of what servers and workers send. All of it is counted before anything is built of it: a broker's targets have a share
// of the process's memory and time, and those of other brokers have theirs.
const (
	// maxAnswer is how many bytes the server may send in answer to one request. The largest that a look asks for are the lengths of
	// thousands of lists (some bytes each), one script's answer (maxRead) and one worker's reply; a worker that answers with more
	// than this stays unknown.
	maxAnswer = 8 << 20
	// leastItems is how many items an answer may have at least, however few its bytes: a look at some two thousand queues has as many.
	leastItems = 1 << 15
	// maxValues bounds the values of one JSON document. A task in the reply to active has 15, a queue in that to active_queues 29.
	maxValues = 1 << 16
	// maxQueues is from how many queues a worker may fetch.
	maxQueues = 1000
	// maxName is how many bytes the name of a queue, a worker, a task or a message may have. sluice.yaml takes queues of 255
	// characters, which are 1,020 bytes at most. A longer name is never cut, as it might become another's: what bears it is unknown.
	maxName = 1 << 10
	// maxCount is the most that Redis can count: the elements of a list.
	maxCount = math.MaxUint32
	// maxCause bounds the text of an error that comes from outside.
	maxCause = 500
)

// bounds are those of one answer. A value takes some 50 bytes of memory, however few it has on the wire.
func bounds(o Options) resp.Bounds {
	return resp.Bounds{Bytes: o.AnswerBytes, Items: max(leastItems, o.AnswerBytes/64)}
}

// values counts the values of a JSON document, without reading them: an upper bound, as it takes two for an array or object.
func values(data []byte) int {
	n, text := 1, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case !text && (c == ',' || c == '[' || c == '{'):
			n++
		}
	}
	return n
}

// countOf is a count as the server gives it.
func countOf(n int64) (int, error) {
	if n < 0 || n > maxCount {
		return 0, fmt.Errorf("the server says %d, which is no count", n)
	}
	return int(n), nil
}

// room is how many bytes are left for what the workers of one look say.
type room int

// take reports whether so much is left, and takes it.
func (r *room) take(bytes int) bool {
	if bytes > int(*r) {
		return false
	}
	*r -= room(bytes)
	return true
}

// shorten keeps what a worker wrote short enough for a log line.
func shorten(text string) string { return clip(text, 200) }

// clip returns the beginning of a text from outside, as UTF-8.
func clip(text string, most int) string {
	if len(text) <= most {
		return strings.ToValidUTF8(text, "?")
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// brief is an error with a text that is not too long.
type brief struct{ error }

func (b brief) Error() string { return clip(b.error.Error(), maxCause) }

func (b brief) Unwrap() error { return b.error }
