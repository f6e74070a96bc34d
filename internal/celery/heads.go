package celery

import (
	"crypto/sha1"
	_ "embed"
	"encoding/hex"
	"strconv"
	"sync"
	"time"
)

// heads.lua tells the messages at the heads of lists, which may be large, by digests. It goes with the lengths, so that it costs no
// round trip.
//
//go:embed heads.lua
var headsScript string

// maxHeads is of how many lists the head is remembered: more than a broker has, unless somebody makes queues up.
const maxHeads = 10_000

// heads remembers which message was seen at the head of each list, and since when. Nothing in Redis tells how long a message has
// waited, and one that is taken and comes again begins anew: so what is told is a lower bound. A new process remembers nothing.
type heads struct {
	mu   sync.Mutex
	seen map[string]head // By key.
}

type head struct {
	digest string
	since  time.Time
}

// since is since when this message has been seen at the head of the list; zero if there is none.
func (h *heads) since(key, digest string, now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	last, known := h.seen[key]
	switch {
	case digest == "":
		delete(h.seen, key)
		return time.Time{}
	case known && last.digest == digest:
		return last.since
	case !known && len(h.seen) >= maxHeads:
		return time.Time{}
	}
	h.seen[key] = head{digest, now}
	return now
}

// headOf is the digest of the message that is the next to be taken and due, of a list that has been read; else of its head, due or not.
func (d depth) headOf(key string, due time.Time) string {
	l := d.lists[key]
	if !l.read {
		return d.heads[key]
	}
	for _, m := range l.messages {
		if !parseTask([]byte(m)).eta.After(due) {
			return digest(m)
		}
	}
	return ""
}

// digestLen is how long a digest is: what is longer is none, and is not remembered.
const digestLen = 2 * sha1.Size

// digest is what heads.lua makes of a message. It has to tell messages apart, and guards nothing.
func digest(message string) string {
	const end = 4096
	sum := sha1.Sum([]byte(strconv.Itoa(len(message)) + message[:min(end, len(message))] + message[max(0, len(message)-end):]))
	return hex.EncodeToString(sum[:])
}

// older is the earlier of two times, where zero is none.
func older(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
