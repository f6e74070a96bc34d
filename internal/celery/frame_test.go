package celery

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// goldenFrame is one command as record_frames.py recorded it from kombu.
type goldenFrame struct {
	Method    string `json:"method"`
	Arguments struct {
		TaskInfoItems []string `json:"taskinfoitems"`
	} `json:"arguments"`
	Channel string         `json:"channel"`
	Message map[string]any `json:"message"`
}

func goldenFrames(t *testing.T) map[string][]goldenFrame {
	t.Helper()
	paths, err := filepath.Glob("testdata/frames-kombu-*.json")
	if err != nil || len(paths) < 3 {
		t.Fatalf("find recorded frames of at least 3 versions: %v, %v", paths, err)
	}
	byFile := map[string][]goldenFrame{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var recorded struct {
			Frames []goldenFrame `json:"frames"`
		}
		if err := json.Unmarshal(text, &recorded); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		byFile[filepath.Base(path)] = recorded.Frames
	}
	return byFile
}

// name tells the commands apart: registered is recorded with each attribute that is asked for.
func (g goldenFrame) name() string {
	return strings.Join(append([]string{g.Method}, g.Arguments.TaskInfoItems...), " ")
}

// opened replaces the body of a decoded frame by what is in it, and the parts that differ from one message to the next by
// their types.
func opened(t *testing.T, frame map[string]any) map[string]any {
	t.Helper()
	text, err := base64.StdEncoding.DecodeString(frame["body"].(string))
	if err != nil {
		t.Fatalf("frame's body: %v", err)
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil {
		t.Fatalf("frame's body: %v", err)
	}
	for _, path := range [][]string{{"ticket"}, {"reply_to", "routing_key"}} {
		typed(t, body, path)
	}
	frame["body"] = body
	for _, path := range [][]string{{"headers", "clock"}, {"headers", "expires"}, {"properties", "delivery_tag"}} {
		typed(t, frame, path)
	}
	return frame
}

func typed(t *testing.T, in map[string]any, path []string) {
	t.Helper()
	for ; len(path) > 1; path = path[1:] {
		in = in[path[0]].(map[string]any)
	}
	value, ok := in[path[0]]
	if !ok || reflect.ValueOf(value).IsZero() {
		t.Errorf("frame has no %s", path[0])
	}
	in[path[0]] = reflect.TypeOf(value).String()
}

// TestUUID holds the form of version 4: a kombu of any version takes a delivery tag as it is.
func TestUUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen, bits := map[string]bool{}, map[byte]bool{}
	for range 1000 {
		id := uuid()
		if !form.MatchString(id) || seen[id] {
			t.Errorf("%s, seen before: %v", id, seen[id])
		}
		seen[id], bits[id[15]], bits[id[20]] = true, true, true
	}
	if len(bits) != 16 {
		t.Errorf("beside the version and the variant only %d digits are drawn", len(bits))
	}
}

func TestFrameIsKombus(t *testing.T) {
	k := testKeys()
	ours := map[string]command{
		"ping":                             {method: "ping", ticket: uuid()},
		methodQueues:                       askQueues(),
		methodActive:                       askActive(),
		methodRegistered + " " + rateLimit: askTasks(rateLimit, []string{"w1@host", "w2@host"}, 2),
		methodRegistered + " " + strategy:  askTasks(strategy, []string{"w1@host", "w2@host"}, 2),
		methodCancel:                       consumer(methodCancel, "video", []string{"w1@host", "w2@host"}, 2),
		methodAdd:                          consumer(methodAdd, "video", []string{"w1@host"}, 1),
	}
	for file, frames := range goldenFrames(t) {
		if len(frames) != len(ours) {
			t.Errorf("%s has %d commands, want %d", file, len(frames), len(ours))
		}
		for _, golden := range frames {
			t.Run(file+"/"+golden.name(), func(t *testing.T) {
				frame, err := k.frame(ours[golden.name()], "sluice-1-x", time.Now(), time.Second)
				if err != nil {
					t.Fatal(err)
				}
				var got map[string]any
				if err := json.Unmarshal(frame, &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(opened(t, golden.Message), opened(t, got)); diff != "" {
					t.Errorf("frame (-kombu +ours):\n%s", diff)
				}
				if k.controlChannel() != golden.Channel {
					t.Errorf("channel %q, kombu's is %q", k.controlChannel(), golden.Channel)
				}
			})
		}
	}
}

// A worker that reads a frame without one of these shuts down or goes deaf.
func TestFrameOmitsNothing(t *testing.T) {
	frame, err := testKeys().frame(command{}, "", noon, 1500*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Body       *string
		Headers    controlHeaders
		Properties *struct {
			DeliveryTag *string `json:"delivery_tag"`
		}
	}
	if err := json.Unmarshal(frame, &got); err != nil {
		t.Fatal(err)
	}
	if got.Properties == nil || got.Properties.DeliveryTag == nil || len(*got.Properties.DeliveryTag) != 36 {
		t.Errorf("frame has no properties.delivery_tag: %s", frame)
	}
	if want := (controlHeaders{Clock: 1, Expires: float64(noon.Unix()) + 1.5}); got.Headers != want {
		t.Errorf("headers %+v, want %+v", got.Headers, want)
	}
	body, err := base64.StdEncoding.DecodeString(*got.Body)
	if err != nil || !json.Valid(body) || body[0] != '{' {
		t.Errorf("the body of a frame is no JSON object: %s, %v", body, err)
	}
	// The zero values of all types on the way must be written, too: none may have omitempty, none may be left out.
	for _, v := range []any{controlFrame{}, controlBody{}, controlHeaders{}, controlProperties{}, deliveryInfo{}, replyTo{}} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var fields map[string]any
		if err := json.Unmarshal(text, &fields); err != nil {
			t.Fatal(err)
		}
		if n := reflect.TypeOf(v).NumField(); len(fields) != n {
			t.Errorf("%T has %d fields and writes %d: %s", v, n, len(fields), text)
		}
	}
}

func testKeys() keys {
	o := withDefaults(Options{})
	return keys{sep: o.Separator, steps: o.PrioritySteps, control: o.ControlExchange, events: o.EventExchange}
}

// Workers take an empty destination for all of them.
func TestFrameRefusesNobody(t *testing.T) {
	if _, err := testKeys().frame(consumer(methodCancel, "video", []string{}, 0), "", time.Time{}, 0); err == nil {
		t.Error("a command to no node was encoded")
	}
	if frame, err := testKeys().frame(command{method: "x", arguments: map[string]any{"y": func() {}}}, "", time.Time{}, 0); err == nil {
		t.Errorf("an argument that cannot be written was encoded: %s", frame)
	}
}
