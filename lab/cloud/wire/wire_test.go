package wire

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
	"github.com/google/go-cmp/cmp"
)

// The tests of package local have AWS's own clients talk to it. Here is what they do not say.

const (
	form    = "application/x-www-form-urlencoded"
	metrics = "/service/GraniteServiceVersion20100801/operation/GetMetricData"
)

// request is a call by header, path and body.
func request(t *testing.T, path, body string, headers ...string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

func TestRead(t *testing.T) {
	for _, tt := range []struct {
		name               string
		r                  *http.Request
		service, operation string
	}{
		{"JSON", request(t, "/", "{}", "X-Amz-Target", "Logs_20140328.FilterLogEvents"), "logs", "FilterLogEvents"},
		{"JSON of a service that is not known", request(t, "/", "{}", "X-Amz-Target", "DynamoDB_20120810.ListTables"), "", "ListTables"},
		{"Query", request(t, "/", "Action=Publish&Version=2010-03-31", "Content-Type", form+"; charset=utf-8"), "sns", "Publish"},
		{"Query of a service that is not known", request(t, "/", "Action=A&Version=2000-01-01", "Content-Type", form), "", "A"},
		{"CBOR", request(t, metrics, "", "Smithy-Protocol", "rpc-v2-cbor"), "cloudwatch", "GetMetricData"},
		{"CBOR of a service that is not known", request(t, "/service/X/operation/Y", "", "Smithy-Protocol", "rpc-v2-cbor"), "", "Y"},
		{"REST", request(t, "/2015-03-31/functions/f/invocations", "{}"), "", ""},
	} {
		want, err := io.ReadAll(tt.r.Body)
		if err != nil {
			t.Fatal(err)
		}
		tt.r.Body = io.NopCloser(bytes.NewReader(want))
		c, err := Read(tt.r)
		if err != nil || c.Service != tt.service || c.Operation != tt.operation {
			t.Errorf("%s: %s:%s, %v", tt.name, c.Service, c.Operation, err)
		}
		if again, err := io.ReadAll(tt.r.Body); err != nil || !bytes.Equal(again, want) {
			t.Errorf("%s: the body cannot be read again: %q, %v", tt.name, again, err)
		}
	}
	var e *Error
	if _, err := Read(request(t, "/", strings.Repeat("x", maxBody+1))); !errors.As(err, &e) || e.Status != http.StatusRequestEntityTooLarge {
		t.Errorf("a body that is too large: %v", err)
	}
}

type input struct {
	Name    string
	Count   int
	All     bool
	Names   []string
	Entries []struct {
		Key    string
		Values []string
	}
	At Time
}

// The same input comes in every protocol.
func TestDecode(t *testing.T) {
	at := time.UnixMilli(1_800_000_000_500)
	want := input{Name: "a&b", Count: -3, All: true, Names: []string{"x", "y"}}
	want.Entries = append(want.Entries, struct {
		Key    string
		Values []string
	}{"k", []string{"v"}})
	encoded := cbor.Encode(cbor.Map{
		"Name": cbor.String("a&b"), "Count": cbor.NegInt(3), "All": cbor.Bool(true), "Names": cbor.List{cbor.String("x"), cbor.String("y")},
		"Entries": cbor.List{cbor.Map{"Key": cbor.String("k"), "Values": cbor.List{cbor.String("v")}}},
		"At":      &cbor.Tag{ID: 1, Value: cbor.Float64(1_800_000_000.5)},
	})
	for name, r := range map[string]*http.Request{
		"JSON": request(t, "/", `{"name":"a&b","count":-3,"all":true,"names":["x","y"],"entries":[{"key":"k","values":["v"]}],"at":1800000000.5}`,
			"X-Amz-Target", "AmazonSQS.X"),
		"Query": request(t, "/", "Action=X&Version=2010-05-08&Name=a%26b&Count=-3&All=true&Names.member.1=x&Names.member.2=y"+
			"&Entries.member.1.Key=k&Entries.member.1.Values.member.1=v", "Content-Type", form),
		"CBOR": request(t, metrics, string(encoded), "Smithy-Protocol", "rpc-v2-cbor"),
	} {
		c, err := Read(r)
		if err != nil {
			t.Fatal(err)
		}
		var got input
		if err := c.Decode(&got); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if name != "Query" && !got.At.Equal(at) {
			t.Errorf("%s: time %v", name, got.At)
		}
		got.At = Time{}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Clients write an empty list as an empty text.
func TestDecodeEmptyLists(t *testing.T) {
	c, err := Read(request(t, "/", "Action=X&Version=2010-05-08&Names=&Entries=", "Content-Type", form))
	if err != nil {
		t.Fatal(err)
	}
	var got input
	if err := c.Decode(&got); err != nil || got.Names != nil || got.Entries != nil {
		t.Errorf("%+v, %v", got, err)
	}
}

// What nobody here knows is refused by name, unless it is only a look.
func TestUnknownParameters(t *testing.T) {
	for name, r := range map[string]*http.Request{
		"JSON":            request(t, "/", `{"Name":"a","Other":1}`, "X-Amz-Target", "AmazonSQS.X"),
		"Query":           request(t, "/", "Action=X&Version=2010-05-08&Name=a&Other=1", "Content-Type", form),
		"Query in a list": request(t, "/", "Action=X&Version=2010-05-08&Name=a&Entries.member.1.Other=1", "Content-Type", form),
		"CBOR":            request(t, metrics, string(cbor.Encode(cbor.Map{"Name": cbor.String("a"), "Other": cbor.Uint(1)})), "Smithy-Protocol", "rpc-v2-cbor"),
	} {
		c, err := Read(r)
		if err != nil {
			t.Fatal(err)
		}
		var got input
		var e *Error
		if err := c.Decode(&got); !errors.As(err, &e) || e.Code != "ValidationException" || !strings.Contains(e.Message, "Other of ") {
			t.Errorf("%s: %v", name, err)
		}
		if err := c.Peek(&got); err != nil || got.Name != "a" {
			t.Errorf("a look at %s: %+v, %v", name, got, err)
		}
	}
	for name, r := range map[string]*http.Request{
		"JSON":  request(t, "/", `{`, "X-Amz-Target", "AmazonSQS.X"),
		"Query": request(t, "/", "Action=X&Version=2010-05-08&Count=many", "Content-Type", form),
		"CBOR":  request(t, metrics, "\xff", "Smithy-Protocol", "rpc-v2-cbor"),
	} {
		c, err := Read(r)
		if err != nil {
			t.Fatal(err)
		}
		var e *Error
		if err := c.Decode(new(input)); !errors.As(err, &e) || e.Code != "SerializationException" {
			t.Errorf("malformed %s: %v", name, err)
		}
	}
}

// An error has its code where clients of each protocol look for it; what is no refusal is the server's fault.
func TestRefuse(t *testing.T) {
	refusal := Errorf("C", "m < %d", 1)
	for _, tt := range []struct {
		name   string
		call   Call
		err    error
		status int
		in     string // A part of the body.
	}{
		{"JSON", Call{protocol: json11}, fmt.Errorf("wrapped: %w", refusal), 400, `{"__type":"C","message":"m \u003c 1"}`},
		{"REST", Call{}, &Error{Code: "C", Message: "m", Status: 404}, 404, `{"__type":"C","message":"m"}`},
		{"Query", Call{protocol: query}, refusal, 400, "<Error><Code>C</Code><Message>m &lt; 1</Message><Type>Sender</Type></Error>"},
		{"CBOR", Call{protocol: rpcCBOR}, refusal, 400, string(cbor.Encode(cbor.Map{"message": cbor.String("m < 1")}))[1:]},
		{"fault", Call{protocol: query}, errors.New("boom"), 500, "<Code>InternalFailure</Code><Message>boom</Message><Type>Receiver</Type>"},
	} {
		w := httptest.NewRecorder()
		tt.call.Refuse(w, tt.err)
		if w.Code != tt.status || !strings.Contains(w.Body.String(), tt.in) {
			t.Errorf("%s: %d %q", tt.name, w.Code, w.Body)
		}
	}
}
