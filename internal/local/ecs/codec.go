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

// encode writes an answer as ECS does. The SDK's own serializer writes requests, and so leaves out numbers that are zero;
// ECS does send the counts of an idle service, and clients that read "desiredCount" of one rely on it. Those of the
// fields that ECS always sends are put in.
func encode(out smithy.Serializable) ([]byte, error) {
	req := smithyhttp.NewStackRequest().(*smithyhttp.Request)
	if err := protocol.SerializeRequest(context.Background(), shape, out, req); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	raw, err := io.ReadAll(req.GetStream())
	if err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber() // Or 1795293161.123 would come out in exponential form.
	var v map[string]any
	if err := dec.Decode(&v); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	always(v)
	return json.Marshal(v)
}

// alwaysSent names, for the field that holds them, the numbers that ECS sends even when they are zero.
var alwaysSent = map[string][]string{
	"services":    {"desiredCount", "runningCount", "pendingCount"},
	"service":     {"desiredCount", "runningCount", "pendingCount"},
	"deployments": {"desiredCount", "runningCount", "pendingCount", "failedTasks"},
	"clusters":    {"activeServicesCount", "runningTasksCount", "pendingTasksCount", "registeredContainerInstancesCount"},
}

func always(v map[string]any) {
	for field, inner := range v {
		var objects []any
		switch inner := inner.(type) {
		case []any:
			objects = inner
		case map[string]any:
			objects = []any{inner}
		}
		for _, o := range objects {
			o, ok := o.(map[string]any)
			if !ok {
				continue
			}
			for _, name := range alwaysSent[field] {
				if _, ok := o[name]; !ok {
					o[name] = 0
				}
			}
			always(o)
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

func writeError(w http.ResponseWriter, err error) {
	var e *apiError
	if !errors.As(err, &e) {
		e = &apiError{code: "ServerException", message: err.Error(), status: http.StatusInternalServerError}
	}
	if e.status == 0 {
		e.status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Errortype", e.code)
	w.WriteHeader(e.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": e.code, "message": e.message})
}
