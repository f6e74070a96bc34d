package celery

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"sluice/internal/policy"
)

func TestParseTask(t *testing.T) {
	at := time.Date(2026, 11, 21, 20, 30, 29, 0, time.UTC)
	long := strings.Repeat("a", maxName)
	v1 := func(contentType, body string) string {
		return fmt.Sprintf(`{"body": %q, "content-type": %q, "headers": {}, "properties": {"body_encoding": "base64"}}`,
			base64.StdEncoding.EncodeToString([]byte(body)), contentType)
	}
	for name, c := range map[string]struct {
		message string
		want    task
	}{
		"no ETA":                    {taskMessage("a", "q", nil), task{id: "a", name: "tasks.nap"}},
		"ETA":                       {taskMessage("a", "q", "2026-11-21T20:30:29+00:00"), task{"a", "tasks.nap", at}},
		"ETA with a fraction":       {taskMessage("a", "q", "2026-11-21T20:30:29.294805+00:00"), task{"a", "tasks.nap", at.Add(294805 * time.Microsecond)}},
		"ETA with an offset":        {taskMessage("a", "q", "2026-11-21T22:30:29+02:00"), task{"a", "tasks.nap", at}},
		"ETA with Z":                {taskMessage("a", "q", "2026-11-21T20:30:29Z"), task{"a", "tasks.nap", at}},
		"naive ETA":                 {taskMessage("a", "q", "2026-11-21T20:30:29"), task{"a", "tasks.nap", at}},
		"naive ETA with a fraction": {taskMessage("a", "q", "2026-11-21T20:30:29.5"), task{"a", "tasks.nap", at.Add(500 * time.Millisecond)}},
		"ETA as str writes it":      {taskMessage("a", "q", "2026-11-21 20:30:29+00:00"), task{"a", "tasks.nap", at}},
		"ETA that is no time":       {taskMessage("a", "q", "soon"), task{id: "a", name: "tasks.nap"}},
		"ETA that is no text":       {taskMessage("a", "q", 1795293161), task{id: "a", name: "tasks.nap"}},
		"redelivered":               {`{"headers": {"task": "t", "id": "a", "eta": "2026-11-21T20:30:29+00:00", "redelivered": true}}`, task{"a", "t", at}},
		"pickled body":              {`{"body": "gAJ9", "content-type": "application/x-python-serialize", "headers": {"task": "t", "id": "a", "eta": "2026-11-21T20:30:29+00:00"}}`, task{"a", "t", at}},
		"protocol 1":                {v1(contentJSON, `{"id": "a", "task": "t", "args": [], "eta": "2026-11-21T20:30:29+00:00"}`), task{"a", "t", at}},
		"protocol 1, in plain text": {`{"body": "{\"id\": \"a\", \"task\": \"t\"}", "content-type": "application/json", "properties": {}}`, task{id: "a", name: "t"}},
		"protocol 1, of another kind that reads like JSON": {v1("application/x-yaml", `{"id": "a", "task": "t"}`), task{}},
		"the headers go before the body": {
			`{"headers": {"task": "t", "id": "a"}, "content-type": "application/json", "body": "{\"id\": \"b\", \"task\": \"u\", \"eta\": \"2026-11-21T20:30:29Z\"}"}`,
			task{id: "a", name: "t"},
		},
		"an id and a name as long as may be": {`{"headers": {"task": "` + long + `", "id": "` + long + `"}}`, task{id: long, name: long}},
		"an id that is longer":               {`{"headers": {"task": "t", "id": "a` + long + `"}}`, task{name: "t"}},
		"a name that is longer":              {`{"headers": {"task": "t` + long + `", "id": "a"}}`, task{id: "a"}},
		"protocol 1, both longer":            {v1(contentJSON, `{"id": "a`+long+`", "task": "t`+long+`", "eta": "2026-11-21T20:30:29Z"}`), task{eta: at}},
		"an ETA as long as may be":           {taskMessage("a", "q", fmt.Sprintf("%98s", "2026-11-21T20:30:29Z")), task{"a", "tasks.nap", at}},
		"an ETA that is longer":              {taskMessage("a", "q", fmt.Sprintf("%99s", "2026-11-21T20:30:29Z")), task{id: "a", name: "tasks.nap"}},
		"protocol 1, no ETA":                 {v1(contentJSON, `{"id": "a", "task": "t", "eta": null}`), task{id: "a", name: "t"}},
		"protocol 1, pickled":                {v1("application/x-python-serialize", "\x80\x02}"), task{}},
		"protocol 1, body is rubbish":        {v1(contentJSON, `[`), task{}},
		"body is not base64":                 {`{"body": "%", "content-type": "application/json", "properties": {"body_encoding": "base64"}}`, task{}},
		"body is no text":                    {`{"body": {}, "content-type": "application/json"}`, task{}},
		"binary":                             {"\x80\x04\x95\xff\x00", task{}},
		"empty":                              {"", task{}},
		"another kind of JSON":               {`[1, 2]`, task{}},
		"headers of another kind":            {`{"headers": [1]}`, task{}},
		"a message of another library":       {`{"id": "x", "job": "y"}`, task{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := parseTask([]byte(c.message))
			if got.id != c.want.id || got.name != c.want.name || !got.eta.Equal(c.want.eta) {
				t.Errorf("task %+v, want %+v", got, c.want)
			}
		})
	}
}

func TestParseBeat(t *testing.T) {
	event := func(body string) string {
		return fmt.Sprintf(`{"body": %q, "content-type": "application/json", "properties": {"body_encoding": "base64"}}`,
			base64.StdEncoding.EncodeToString([]byte(body)))
	}
	for name, c := range map[string]struct {
		message string
		node    string
		beat    policy.Beat
	}{
		"a heartbeat": {
			event(`{"hostname": "w1@vm", "freq": 2.0, "active": 2, "processed": 5, "sw_ver": "5.6.3", "timestamp": 1795293197.5, "type": "worker-heartbeat"}`),
			"w1@vm",
			policy.Beat{Active: 2, Processed: 5, Version: "5.6.3", At: time.Unix(1795293197, 5e8).UTC()},
		},
		"as large as may be": {
			event(`{"type": "worker-heartbeat", "hostname": "` + strings.Repeat("w", maxName) + `", "active": 4294967295, "processed": 281474976710656, "sw_ver": "` +
				strings.Repeat("5", 41) + `", "timestamp": 4294967295}`),
			strings.Repeat("w", maxName),
			policy.Beat{Active: maxCount, Processed: maxProcessed, Version: strings.Repeat("5", 40) + "...", At: time.Unix(maxCount, 0).UTC()},
		},
		"less than none active":      {event(`{"type": "worker-heartbeat", "hostname": "w1@vm", "active": -1}`), "", policy.Beat{}},
		"more active than are":       {event(`{"type": "worker-heartbeat", "hostname": "w1@vm", "active": 4294967296}`), "", policy.Beat{}},
		"less than none processed":   {event(`{"type": "worker-heartbeat", "hostname": "w1@vm", "processed": -1}`), "", policy.Beat{}},
		"more processed than can be": {event(`{"type": "worker-heartbeat", "hostname": "w1@vm", "processed": 281474976710657}`), "", policy.Beat{}},
		"a time before all others":   {event(`{"type": "worker-heartbeat", "hostname": "w1@vm", "timestamp": -4294967296}`), "", policy.Beat{}},
		"a name too long":            {event(`{"type": "worker-heartbeat", "hostname": "` + strings.Repeat("w", maxName+1) + `"}`), "", policy.Beat{}},
		"going offline":              {event(`{"hostname": "w1@vm", "active": 2, "type": "worker-offline"}`), "", policy.Beat{}},
		"no name":                    {event(`{"type": "worker-heartbeat"}`), "", policy.Beat{}},
		"in a foreign form": {
			strings.Replace(event(`{"hostname": "w1@vm", "type": "worker-heartbeat"}`), "application/json", "application/x-yaml", 1), "", policy.Beat{},
		},
		"in no base64": {strings.Replace(event(`{"hostname": "w1@vm", "type": "worker-heartbeat"}`), `"body": "`, `"body": "%`, 1), "", policy.Beat{}},
		"a list":       {event(`[{"type": "task-received"}]`), "", policy.Beat{}},
		"rubbish":      {"\x80", "", policy.Beat{}},
	} {
		t.Run(name, func(t *testing.T) {
			beat, node, ok := parseBeat([]byte(c.message))
			if beat != c.beat || node != c.node || ok != (c.node != "") {
				t.Errorf("heartbeat %+v of %q, %v", beat, node, ok)
			}
		})
	}
}

// TestParseHeld holds that what is no entry of kombu's is read as none, and nothing breaks over it.
func TestParseHeld(t *testing.T) {
	message := taskMessage("a", "video", nil)
	if h, err := parseHeld([]byte(unackedEntry(message, "media", "video"))); err != nil || h.id != "a" || h.exchange != "media" || h.routingKey != "video" {
		t.Errorf("%+v, %v", h, err)
	}
	for _, value := range []string{
		"", "rubbish", "{}", "null", "[]", "[" + message + "]", "[" + message + `, ""]`, "[" + message + `, 1, "video"]`, "[" + message + `, "", {}]`,
	} {
		if h, err := parseHeld([]byte(value)); err == nil || h != (held{}) {
			t.Errorf("%q is read as %+v", value, h)
		}
	}
}

func TestNameIn(t *testing.T) {
	long := "celery@ip-10-0-10-110.us-west-2.compute.internal" // 48 bytes: its length reads as the letter 0.
	for body, want := range map[string]string{
		"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x05w1@vm\x94]\x94s.": "w1@vm",
		"\x80\x04}\x94\x8c\x30" + long + "\x94]\x94s.":                              long,
		"\x80\x02}q\x00X\x05\x00\x00\x00w1@vmq\x01]q\x02s.":                         "w1@vm",
		"\x81\xa5w1@vm\x90":            "w1@vm",
		"\x81\xd9\x30" + long + "\x90": long,
		"w1@vm: []\n":                  "w1@vm",
		"\x80\x04}\x94\x8c\x05":        "",
		"no name":                      "",
		// The name may be all there is, and letters that are none of it may follow.
		"\x8c\x30" + long + "q":                    long,
		"\xd9\x30" + long + "q":                    long,
		"\x8c\x05w1@vmq":                           "w1@vm",
		"\xd9\x05w1@vmq":                           "w1@vm",
		"X\x05\x00\x00\x00w1@vmq":                  "w1@vm",
		"\x8c\x30w1@vm":                            "w1@vm", // Shorter than it says.
		"\x81w1@vm":                                "w1@vm",
		"\x01\x01\x01\x01w1@vm":                    "w1@vm",
		"\x01\x01\x01\x01\x01w1@vm":                "w1@vm",
		strings.Repeat("w", maxName-2) + "@a":      strings.Repeat("w", maxName-2) + "@a",
		strings.Repeat("w", maxName-1) + "@a":      "",
		strings.Repeat(" ", 2*maxName-5) + "w1@vm": "w1@vm",
		strings.Repeat(" ", 2*maxName) + "w1@vm":   "",
	} {
		if got := nameIn([]byte(body)); got != want {
			t.Errorf("name in %q is %q, want %q", body, got, want)
		}
	}
}

func BenchmarkParseTask(b *testing.B) {
	message := []byte(taskMessage(uuid(), "video", "2026-11-21T20:30:29.294805+00:00"))
	b.ReportAllocs()
	for b.Loop() {
		if parseTask(message).eta.IsZero() {
			b.Fatal("no ETA")
		}
	}
}
