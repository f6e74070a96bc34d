// Package wire reads requests and writes answers in the protocols of AWS that have one address for all calls of a service:
// AWS JSON 1.0 and 1.1, Query with its XML, and RPC v2 with CBOR. To whoever answers a call they look the same: the input is decoded
// into a struct, and the answer is made of maps, slices, texts, numbers, booleans and times.
//
// What a call holds and the struct has no field for is refused, for the answer might depend on it. See
// https://smithy.io/2.0/aws/protocols/index.html. The protocols of REST have a path for each call: see the services.
package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/aws/smithy-go/encoding/cbor"
)

// maxBody is how many bytes of a request are read: PutEvents takes the most.
const maxBody = 8 << 20

// protocol is a way to write calls and answers.
type protocol int

const (
	none protocol = iota
	json10
	json11
	query
	rpcCBOR
)

// Call is a request for one operation of a service.
type Call struct {
	Service   string // As IAM names it, such as "logs".
	Operation string
	protocol  protocol
	version   string // Of the API, which is part of the names of an answer in XML.
	body      []byte
}

// targets are the services of the header X-Amz-Target, and the version of their JSON.
var targets = map[string]struct {
	service  string
	protocol protocol
}{
	"AmazonEC2ContainerServiceV20141113": {"ecs", json11},
	"AWSEvents":                          {"events", json11},
	"AWSStepFunctions":                   {"states", json10},
	"AmazonSQS":                          {"sqs", json10},
	"AmazonSSM":                          {"ssm", json11},
	"AnyScaleFrontendService":            {"application-autoscaling", json11},
	"Logs_20140328":                      {"logs", json11},
	"secretsmanager":                     {"secretsmanager", json11},
}

// versions are the services of the parameter Version in Query.
var versions = map[string]string{
	"2010-03-31": "sns",
	"2010-05-08": "iam",
	"2010-05-15": "cloudformation",
	"2011-06-15": "sts",
}

// operationPath is the path of RPC v2.
var operationPath = regexp.MustCompile(`^/service/([^/]+)/operation/([^/]+)$`)

// Read reads a request, whose body can be read again afterwards. The Call has no Service if the request is in none of the protocols,
// or for a service that is not known.
func Read(r *http.Request) (Call, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if large := new(http.MaxBytesError); errors.As(err, &large) {
		return Call{}, &Error{Code: "RequestTooLargeException", Message: err.Error(), Status: http.StatusRequestEntityTooLarge}
	}
	if err != nil {
		return Call{}, fmt.Errorf("read request: %w", err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	c := Call{body: body}
	if prefix, operation, ok := strings.Cut(r.Header.Get("X-Amz-Target"), "."); ok {
		t := targets[prefix]
		c.Service, c.Operation, c.protocol = t.service, operation, t.protocol
		return c, nil
	}
	if m := operationPath.FindStringSubmatch(r.URL.Path); m != nil && r.Header.Get("Smithy-Protocol") == "rpc-v2-cbor" {
		if m[1] == "GraniteServiceVersion20100801" {
			c.Service = "cloudwatch"
		}
		c.Operation, c.protocol = m[2], rpcCBOR
		return c, nil
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return Call{}, fmt.Errorf("read request: %w", err)
		}
		c.Operation, c.version, c.protocol = form.Get("Action"), form.Get("Version"), query
		c.Service = versions[c.version]
	}
	return c, nil
}

// Error is a refusal, with the code that clients look at.
type Error struct {
	Code, Message string
	Status        int // Of HTTP; 0 is 400.
}

func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes a refusal.
func Errorf(code, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

var unknownField = regexp.MustCompile(`unknown field "([^"]*)"`)

// Decode reads the input of the call into a struct.
func (c Call) Decode(into any) error { return c.decode(into, true) }

// Peek reads a part of the input into a struct: what it has no field for is left alone.
func (c Call) Peek(into any) error { return c.decode(into, false) }

func (c Call) decode(into any, strict bool) error {
	input := c.body
	var err error
	switch c.protocol {
	case query:
		input, err = nil, decodeQuery(c.body, reflect.ValueOf(into).Elem(), strict)
	case rpcCBOR:
		input, err = decodeCBOR(c.body)
	}
	if err == nil && len(input) > 0 {
		d := json.NewDecoder(bytes.NewReader(input))
		if strict {
			d.DisallowUnknownFields()
		}
		err = d.Decode(into)
	}
	if err == nil {
		return nil
	}
	if m := unknownField.FindStringSubmatch(err.Error()); m != nil {
		return Errorf("ValidationException", "the local cloud does not know the parameter %s of %s", m[1], c.Operation)
	}
	return Errorf("SerializationException", "read the input of %s: %v", c.Operation, err)
}

// Answer writes the answer to the call.
func (c Call) Answer(w http.ResponseWriter, result map[string]any) {
	id := RandomID()
	w.Header().Set("X-Amzn-Requestid", id)
	switch c.protocol {
	case query:
		w.Header().Set("Content-Type", "text/xml")
		_, _ = w.Write(encodeXML(c.Operation, c.namespace(), id, result))
	case rpcCBOR:
		w.Header().Set("Content-Type", "application/cbor")
		w.Header().Set("Smithy-Protocol", "rpc-v2-cbor")
		_, _ = w.Write(cbor.Encode(encodeCBOR(result)))
	default:
		w.Header().Set("Content-Type", c.contentType())
		_ = json.NewEncoder(w).Encode(JSON(result))
	}
}

// Refuse writes an error. One that is no *Error is a fault of the server.
func (c Call) Refuse(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Code: "InternalFailure", Message: err.Error(), Status: http.StatusInternalServerError}
	}
	status := e.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	id := RandomID()
	head := w.Header()
	head.Set("X-Amzn-Requestid", id)
	switch c.protocol {
	case query:
		head.Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, _ = w.Write(encodeXMLError(c.namespace(), id, e, status))
	case rpcCBOR:
		head.Set("Content-Type", "application/cbor")
		head.Set("Smithy-Protocol", "rpc-v2-cbor")
		w.WriteHeader(status)
		_, _ = w.Write(cbor.Encode(encodeCBOR(map[string]any{"__type": e.Code, "message": e.Message})))
	default:
		head.Set("Content-Type", c.contentType())
		head.Set("X-Amzn-Errortype", e.Code) // Where REST has it, too.
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"__type": e.Code, "message": e.Message})
	}
}

func (c Call) contentType() string {
	switch c.protocol {
	case json10:
		return "application/x-amz-json-1.0"
	case none:
		return "application/json"
	}
	return "application/x-amz-json-1.1"
}

// JSON is a value with its times as AWS's JSON protocols write them: as seconds.
func JSON(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, item := range v {
			out[key] = JSON(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = JSON(item)
		}
		return out
	case time.Time:
		return float64(v.UnixMilli()) / 1000
	}
	return value
}

// RandomID is the id of a request or an event, or the name of an execution: a random UUID.
func RandomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails: see crypto/rand.
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
