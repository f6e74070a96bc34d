package ecs

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"
)

// samples returns the bodies of the sample messages that the SDK ships, by operation.
func samples(t *testing.T, dir, suffix string) map[string][]byte {
	t.Helper()
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/ecs").Output()
	if err != nil {
		t.Fatalf("find the SDK: %v", err)
	}
	paths, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(root)), dir, "*"+suffix))
	if err != nil || len(paths) == 0 {
		t.Fatalf("the SDK ships no samples any more: %v", err)
	}
	out := map[string][]byte{}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		// The body is what follows the last line of the head.
		r := bufio.NewReader(bytes.NewReader(raw))
		for seen := false; ; {
			line, err := r.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: %v", path, err)
			}
			seen = seen || strings.Contains(line, ": ")
			if seen && strings.TrimSpace(line) == "" {
				break
			}
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(path), suffix)] = body
	}
	return out
}

// messages returns a new input and output of an operation of the SDK.
func messages(t *testing.T, op string) (in, out any) {
	t.Helper()
	method, ok := reflect.TypeFor[*ecs.Client]().MethodByName(op)
	if !ok {
		t.Fatalf("the SDK has no operation %s", op)
	}
	return reflect.New(method.Type.In(2).Elem()).Interface(), reflect.New(method.Type.Out(0).Elem()).Interface()
}

func parsed(t *testing.T, raw []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return v
}

// The SDK reads each sample answer, and what the codec writes of it must be the sample again.
func TestEncodeSampleAnswers(t *testing.T) {
	all := samples(t, "response_snapshot", ".response.snap")
	for op, body := range all {
		_, out := messages(t, op)
		err := protocol.DeserializeResponse(context.Background(), shape, ecs.TypeRegistry, &smithyhttp.Response{
			Response: &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(body))},
		}, out.(smithy.Deserializable))
		if err != nil {
			t.Errorf("%s: %v", op, err)
			continue
		}
		write := serialize
		if _, ours := operations[op]; ours {
			write = encode
		}
		raw, err := write(out.(smithy.Serializable))
		if err != nil {
			t.Errorf("%s: %v", op, err)
			continue
		}
		if diff := cmp.Diff(parsed(t, body), parsed(t, raw)); diff != "" {
			t.Errorf("%s (-sample +ours):\n%s", op, diff)
		}
	}
	t.Logf("%d sample answers written as they are", len(all))
}

// The codec reads each sample request, and what the SDK writes of it must be the sample again.
func TestDecodeSampleRequests(t *testing.T) {
	all := samples(t, "request_snapshot", ".request.snap")
	// encoding/json cannot choose the member of a union, nor read a time or a document. Of our operations, CreateService and
	// UpdateService have them, in fields that the model has no use for.
	var unread []string
	for op, body := range all {
		in, _ := messages(t, op)
		var raw []byte
		err := json.Unmarshal(body, in)
		if err == nil {
			raw, err = serialize(in.(smithy.Serializable))
		}
		if err != nil || !cmp.Equal(parsed(t, body), parsed(t, raw)) {
			unread = append(unread, op)
			if _, ours := operations[op]; ours && op != "CreateService" && op != "UpdateService" {
				t.Errorf("%s: %v (-sample +ours):\n%s", op, err, cmp.Diff(parsed(t, body), parsed(t, raw)))
			}
		}
	}
	slices.Sort(unread)
	t.Logf("%d of %d sample requests read as they are; not: %s", len(all)-len(unread), len(all), strings.Join(unread, " "))
	if len(all)-len(unread) < 78 {
		t.Errorf("78 were read once")
	}
}

func TestZeroIsSent(t *testing.T) {
	m := New(Options{})
	if err := m.CreateService(ServiceConfig{Name: "idle"}); err != nil {
		t.Fatal(err)
	}
	out, err := m.describeServices(&ecs.DescribeServicesInput{Services: []string{"idle"}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := encode(out)
	if err != nil {
		t.Fatal(err)
	}
	s := parsed(t, raw).(map[string]any)["services"].([]any)[0].(map[string]any)
	for _, name := range []string{"desiredCount", "runningCount", "pendingCount"} {
		if got, ok := s[name]; !ok || got != 0.0 {
			t.Errorf("%s: got %v, %v, and ECS sends 0", name, got, ok)
		}
	}
	// Times are seconds since 1970, as a number.
	if created, ok := s["createdAt"].(float64); !ok || created < 1e9 {
		t.Errorf("createdAt: got %v", s["createdAt"])
	}
}
