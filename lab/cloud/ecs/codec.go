package ecs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/service/ecs/schemas"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/aws/smithy-go/transport/http/protocol/awsjson"
)

// targetPrefix stands before the operation's name in the header X-Amz-Target.
const targetPrefix = "AmazonEC2ContainerServiceV20141113."

var (
	protocol = awsjson.New11(schemas.AmazonEC2ContainerServiceV20141113)
	// shape stands in where the protocol wants to know whether a message streams; none of ECS's does.
	shape = smithy.NewOperationSchema(
		schemas.DescribeServices, schemas.DescribeServicesRequest, schemas.DescribeServicesResponse)
)

// serialize writes a message with the SDK's own serializer.
func serialize(message smithy.Serializable) ([]byte, error) {
	req := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if err := protocol.SerializeRequest(context.Background(), shape, message, req); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	raw, err := io.ReadAll(req.GetStream())
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return raw, nil
}

// encode writes an answer as ECS does. The SDK's serializer is made for requests and leaves out numbers that are zero; ECS
// does send the counts of an idle service, and clients that read its "desiredCount" rely on that. They are put in.
func encode(answer smithy.Serializable) ([]byte, error) {
	raw, err := serialize(answer)
	if err != nil {
		return nil, err
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // Or times would come out in exponential form.
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	always(v)
	return json.Marshal(v)
}

// always puts in the numbers that ECS sends even when they are zero.
func always(answer map[string]any) {
	counts := []string{"desiredCount", "runningCount", "pendingCount"}
	for _, s := range append(objects(answer["services"]), objects(answer["service"])...) {
		zero(s, counts...)
		for _, d := range objects(s["deployments"]) {
			zero(d, append(counts, "failedTasks")...)
		}
	}
	for _, c := range objects(answer["clusters"]) {
		zero(c, "activeServicesCount", "runningTasksCount", "pendingTasksCount", "registeredContainerInstancesCount")
	}
	for _, p := range objects(answer["protectedTasks"]) {
		if _, ok := p["protectionEnabled"]; !ok {
			p["protectionEnabled"] = false
		}
	}
}

func objects(v any) []map[string]any {
	var out []map[string]any
	switch v := v.(type) {
	case map[string]any:
		out = append(out, v)
	case []any:
		for _, v := range v {
			out = append(out, objects(v)...)
		}
	}
	return out
}

func zero(o map[string]any, names ...string) {
	for _, name := range names {
		if _, ok := o[name]; !ok {
			o[name] = 0
		}
	}
}

// decode reads a request into the SDK's own input type, whose field names are those of the wire but for their first letter.
func decode[In any](body []byte) (*In, error) {
	in := new(In)
	if err := json.Unmarshal(body, in); err != nil {
		return nil, &apiError{code: "SerializationException", message: err.Error()}
	}
	return in, nil
}

// apiError is an answer of ECS that says no.
type apiError struct {
	code    string
	message string
	status  int // HTTP; 0 is 400.
}

func (e *apiError) Error() string { return e.code + ": " + e.message }

func refuse(code, format string, args ...any) error {
	return &apiError{code: code, message: fmt.Sprintf(format, args...)}
}

// asAPIError returns an error as ECS's answer: what is none of the model's own refusals is a fault of the server.
func asAPIError(err error) apiError {
	var e *apiError
	if !errors.As(err, &e) {
		return apiError{code: "ServerException", message: err.Error(), status: http.StatusInternalServerError}
	}
	answer := *e
	if answer.status == 0 {
		answer.status = http.StatusBadRequest
	}
	return answer
}

func writeError(w http.ResponseWriter, err error) {
	e := asAPIError(err)
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Errortype", e.code)
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": e.code, "message": e.message})
}
