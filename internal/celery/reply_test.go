package celery

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
)

// A worker is heard if its name can be read, and what it says is taken if all of it can be.
func TestParseReply(t *testing.T) {
	tickets := map[string]string{"q": methodQueues, "a": methodActive, "r": methodRegistered}
	pickled := func(body string) string {
		return fmt.Sprintf(`{"body": %q, "content-type": "application/x-python-serialize", "headers": {"ticket": "q"}, "properties": {"body_encoding": "base64"}}`,
			base64.StdEncoding.EncodeToString([]byte(body)))
	}
	const tasks = (maxValues - 2) / 2
	many := strings.Repeat("{},", tasks-1)
	long := strings.Repeat("w", maxName-2) + "@a"
	const noReply, noQueues = "answered active_queues with what is no reply", "answered active_queues with what is no list of queues"
	for name, c := range map[string]struct {
		message string
		node    string // "": it is not heard.
		err     string
		uses    int // What it takes of the room.
	}{
		"queues":               {message: replyOf("q", `{"w1@a": [{"name": "video"}, {"name": "a"}]}`), node: "w1@a", uses: 2*64 + 6},
		"tasks":                {message: replyOf("a", `{"w1@a": [{"id": "abc"}, {"id": "d"}]}`), node: "w1@a", uses: 2*64 + 4},
		"registered":           {message: replyOf("r", `{"w1@a": ["abc", "d"]}`), node: "w1@a", uses: 2*64 + 4},
		"no JSON":              {message: "["},
		"to nobody's command":  {message: replyOf("x", `{"w1@a": []}`)},
		"a body of no text":    {message: `{"body": 7, "content-type": "application/json", "headers": {"ticket": "q"}}`},
		"a kind of no text":    {message: `{"body": "w1@a", "content-type": 7, "headers": {"ticket": "q"}}`},
		"pickled":              {message: pickled("\x80\x02w1@a"), node: "w1@a", err: `answered active_queues as "application/x-python-serialize", which only Python can read: its task_serializer is not json`},
		"pickled, no name":     {message: pickled("\x80\x02")},
		"two workers in one":   {message: replyOf("q", `{"w1@a": [], "w2@b": []}`), node: "w1@a", err: noReply},
		"no worker":            {message: replyOf("q", `{}`)},
		"a list":               {message: replyOf("q", `["w1@a"]`), node: "w1@a", err: noReply},
		"a list without name":  {message: replyOf("q", `[]`)},
		"an empty name":        {message: replyOf("q", `{"": []}`)},
		"a long name":          {message: replyOf("q", `{"`+long+`": []}`), node: long},
		"a longer name":        {message: replyOf("q", `{"w`+long+`": []}`)},
		"as many values":       {message: replyOf("a", `{"w1@a": [`+many+`{}]}`), node: "w1@a", uses: 64 * tasks},
		"more values":          {message: replyOf("a", `{"w1@a": [`+many+`{}, 1]}`), node: "w1@a", err: "answered active with more than 65536 values"},
		"more values, no name": {message: replyOf("a", `[`+strings.Repeat("{},", maxValues)+`{}]`)},
		"an error":             {message: replyOf("q", `{"w1@a": {"error": "x"}}`), node: "w1@a", err: "answered active_queues with the error x"},
		"an error of null":     {message: replyOf("q", `{"w1@a": {"error": null}}`), node: "w1@a", err: noQueues},
		"an error of no text":  {message: replyOf("q", `{"w1@a": {"error": "x", "error": 7}}`), node: "w1@a", err: noQueues},
	} {
		t.Run(name, func(t *testing.T) {
			left := room(1 << 22)
			r, ok := parseReply([]byte(c.message), tickets, &left)
			if ok != (c.node != "") || ok && (r.node != c.node || message(r.err) != c.err) {
				t.Fatalf("reply of %.50q, heard %v, %v; want %.50q, %q", r.node, ok, r.err, c.node, c.err)
			}
			if used := 1<<22 - int(left); used != c.uses {
				t.Errorf("it takes %d of the room; want %d", used, c.uses)
			}
		})
	}
}

// What cannot be taken whole leaves nothing of itself.
func TestParseReplyTakesNothingOfAHalf(t *testing.T) {
	for ticket, body := range map[string]string{
		methodQueues: `{"w1@a": [{"name": "video"}]}`, methodActive: `{"w1@a": [{"id": "a"}]}`, methodRegistered: `{"w1@a": ["a"]}`,
	} {
		var left room
		r, ok := parseReply([]byte(replyOf(ticket, body)), map[string]string{ticket: ticket}, &left)
		if !ok || r.node != "w1@a" || r.err == nil || r.queues != nil || r.tasks != nil || r.info != nil {
			t.Errorf("%s without room: %+v, %v", ticket, r, ok)
		}
	}
}
