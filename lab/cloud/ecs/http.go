package ecs

import (
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/aws/smithy-go"
)

// operations are the calls that the model answers.
var operations = map[string]func(m *Model, body []byte) (smithy.Serializable, error){
	"CreateService":          answer((*Model).createService),
	"DeleteService":          answer((*Model).deleteService),
	"DescribeClusters":       answer((*Model).describeClusters),
	"DescribeServices":       answer((*Model).describeServices),
	"DescribeTaskDefinition": answer((*Model).describeTaskDefinition),
	"DescribeTasks":          answer((*Model).describeTasks),
	"GetTaskProtection":      answer((*Model).getTaskProtection),
	"ListClusters":           answer((*Model).listClusters),
	"ListServices":           answer((*Model).listServices),
	"ListTagsForResource":    answer((*Model).listTags),
	"ListTasks":              answer((*Model).listTasks),
	"StopTask":               answer((*Model).stopTask),
	"TagResource":            answer((*Model).tagResource),
	"UntagResource":          answer((*Model).untagResource),
	"UpdateService":          answer((*Model).updateService),
	"UpdateTaskProtection":   answer((*Model).updateTaskProtection),
}

// answer makes an operation out of a method that takes one of the SDK's inputs and returns one of its outputs.
func answer[In any, Out smithy.Serializable](
	do func(*Model, *In) (Out, error),
) func(*Model, []byte) (smithy.Serializable, error) {
	return func(m *Model, body []byte) (smithy.Serializable, error) {
		in, err := decode[In](body)
		if err != nil {
			return nil, err
		}
		return perform(m, in, do)
	}
}

// perform does one operation, with the model on the present before it and after it.
func perform[In, Out any](m *Model, in In, do func(*Model, In) (Out, error)) (Out, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick()
	out, err := do(m, in)
	if err != nil {
		var none Out
		return none, err
	}
	m.tick()
	return out, nil
}

// Serves says whether a request is one for ECS, for a server that offers several services on one port.
func Serves(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
}

// ServeHTTP answers one call in the protocol of ECS (AWS JSON 1.1). Signatures are not looked at.
func (m *Model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || !Serves(r) {
		writeError(w, refuse("UnknownOperationException", "%s %s is no call of ECS", r.Method, r.Header.Get("X-Amz-Target")))
		return
	}
	name := strings.TrimPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		writeError(w, refuse("SerializationException", "read request: %v", err))
		return
	}
	var out smithy.Serializable
	err = m.call(r.Context(), name, func() ([]byte, error) { return body, nil }, func() (err error) {
		do, ok := operations[name]
		if !ok {
			return refuse("UnknownOperationException", "the local ECS does not offer %s", name)
		}
		out, err = do(m, body)
		return err
	})
	if err != nil {
		writeError(w, err) // To nobody, if the client has gone meanwhile.
		return
	}
	raw, err := encode(out)
	if err != nil {
		writeError(w, fmt.Errorf("answer %s: %w", name, err))
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_, _ = w.Write(raw)
}
