package celery

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// reply is one worker's answer to one command.
type reply struct {
	method string
	ticket string
	node   string
	value  json.RawMessage
	err    error // Why the value cannot be used; value is then empty.
}

// parseReply reads a reply. It is not ok if it answers no command of ours, or if even the worker's name cannot be read: then
// that worker has not been heard.
func parseReply(message []byte, tickets map[string]string) (reply, bool) {
	var e envelope
	if err := json.Unmarshal(message, &e); err != nil {
		return reply{}, false
	}
	r := reply{method: tickets[e.Headers.Ticket], ticket: e.Headers.Ticket}
	if r.method == "" {
		return reply{}, false
	}
	body, err := e.payload()
	if err != nil {
		return reply{}, false
	}
	if e.ContentType != contentJSON {
		r.node = nameIn(body)
		r.err = fmt.Errorf("answered %s as %q, which only Python can read: its task_serializer is not json", r.method, e.ContentType)
		return r, r.node != ""
	}
	var byNode map[string]json.RawMessage
	if err := json.Unmarshal(body, &byNode); err != nil || len(byNode) != 1 {
		r.node = nameIn(body)
		r.err = fmt.Errorf("answered %s with what is no reply", r.method)
		return r, r.node != ""
	}
	for node, value := range byNode {
		r.node, r.value = node, value
	}
	var failure struct {
		Error *string `json:"error"`
	}
	if json.Unmarshal(r.value, &failure) == nil && failure.Error != nil {
		r.value, r.err = nil, workerError{r.method, shorten(*failure.Error)}
	}
	return r, true
}

// workerError is what a worker answers where it could not carry out a command.
type workerError struct{ method, text string }

func (e workerError) Error() string { return "answered " + e.method + " with the error " + e.text }

var nodeName = regexp.MustCompile(`[A-Za-z0-9_.%+-]+@[A-Za-z0-9_.-]+`)

// nameIn finds the worker's name in a reply of any serializer: it is the first string with an @ in it. Its length, where it
// stands before it, tells it from bytes around it that look like letters: in one byte in new pickles (0x8c) and in
// msgpack (0xd9), in four in old pickles (X).
func nameIn(body []byte) string {
	at := nodeName.FindIndex(body)
	if at == nil {
		return ""
	}
	name, before := body[at[0]:at[1]], body[:at[0]]
	length := len(name)
	if n := len(before); n >= 1 && (before[n-1] == 0x8c || before[n-1] == 0xd9) {
		length, name = int(name[0]), name[1:]
	} else if n >= 2 && (before[n-2] == 0x8c || before[n-2] == 0xd9) {
		length = int(before[n-1])
	} else if n >= 5 && before[n-5] == 'X' {
		length = int(before[n-4])
	}
	return string(name[:min(length, len(name))])
}

// shorten keeps what a worker wrote short enough for a log line.
func shorten(text string) string {
	const most = 200
	text = strings.ToValidUTF8(text, "?")
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "..."
	}
	return text
}
