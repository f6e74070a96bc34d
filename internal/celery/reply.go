package celery

import (
	"encoding/json"
	"fmt"
	"regexp"
)

// reply is one worker's answer to one command.
type reply struct {
	method string
	ticket string
	node   string
	err    error // Why the answer cannot be used; there is then nothing of it.

	queues []string     // The answer to active_queues: their names.
	tasks  []activeTask // The answer to active.
	info   []string     // The answer to registered: see taskInfo.
}

// parseReply reads a reply, as far as there is room for what it says. It is not ok if it answers no command of ours, or if even the
// worker's name cannot be read: then that worker has not been heard.
func parseReply(message []byte, tickets map[string]string, left *room) (reply, bool) {
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
	if n := values(body); n > maxValues {
		r.node = nameIn(body)
		r.err = fmt.Errorf("answered %s with more than %d values", r.method, maxValues)
		return r, r.node != ""
	}
	var byNode map[string]json.RawMessage
	if err := json.Unmarshal(body, &byNode); err != nil || len(byNode) != 1 {
		r.node = nameIn(body)
		r.err = fmt.Errorf("answered %s with what is no reply", r.method)
		return r, r.node != ""
	}
	for node, value := range byNode {
		r.node, r.err = node, r.read(value, left)
	}
	if r.err != nil {
		r.queues, r.tasks, r.info = nil, nil, nil
	}
	return r, r.node != "" && len(r.node) <= maxName
}

// read takes from the worker's answer what its command is for.
func (r *reply) read(value json.RawMessage, left *room) error {
	var failure struct {
		Error *string `json:"error"`
	}
	if json.Unmarshal(value, &failure) == nil && failure.Error != nil {
		return workerError{r.method, shorten(*failure.Error)}
	}
	size, err := 0, error(nil)
	switch r.method {
	case methodQueues:
		if r.queues, err = queuesIn(value); err != nil {
			return err
		}
		for _, name := range r.queues {
			size += perValue + len(name)
		}
	case methodActive:
		if r.tasks, err = tasksIn(value); err != nil {
			return err
		}
		for _, t := range r.tasks {
			size += perValue + len(t.ID)
		}
	case methodRegistered:
		if r.info, err = taskInfo(value); err != nil {
			return err
		}
		for _, task := range r.info {
			size += perValue + len(task)
		}
	}
	if !left.take(size) {
		return fmt.Errorf("answered %s, and the workers of this broker say more than is remembered of one look", r.method)
	}
	return nil
}

// perValue is the memory that a name or a task takes beside its letters.
const perValue = 64

// workerError is what a worker answers where it could not carry out a command.
type workerError struct{ method, text string }

func (e workerError) Error() string { return "answered " + e.method + " with the error " + e.text }

var nodeName = regexp.MustCompile(`[A-Za-z0-9_.%+-]+@[A-Za-z0-9_.-]+`)

// nameIn finds the worker's name in a reply of any serializer: it is the first string with an @ in it. Its length, where it
// stands before it, tells it from bytes around it that look like letters: in one byte in new pickles (0x8c) and in
// msgpack (0xd9), in four in old pickles (X).
func nameIn(body []byte) string {
	at := nodeName.FindIndex(body[:min(len(body), 2*maxName)]) // Whatever comes behind it may be long.
	if at == nil || at[1]-at[0] > maxName {
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
