package lambda

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"sluice/lab/cloud/wire"
)

// PathPrefix begins the path of every request that ServeHTTP answers.
const PathPrefix = "/2015-03-31/functions/"

// maxLogTail is how many bytes of the log X-Amz-Log-Result returns.
const maxLogTail = 4096

// ServeHTTP answers the Invoke operation of the Lambda API: POST /2015-03-31/functions/{name}/invocations with the
// invocation types RequestResponse, Event and DryRun.
func (h *Host) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, PathPrefix), "/invocations")
	if !ok || r.Method != http.MethodPost {
		writeError(w, &Error{Status: 404, Code: "UnknownOperationException", Message: "only Invoke is available here"})
		return
	}
	payload, err := io.ReadAll(io.LimitReader(r.Body, MaxSyncPayload+1))
	if err != nil {
		writeError(w, &Error{Status: 400, Code: "InvalidRequestContentException", Message: err.Error()})
		return
	}
	trace := r.Header.Get("X-Amzn-Trace-Id")
	switch kind := r.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", "RequestResponse":
		f, payload, err := h.admit(name, payload, MaxSyncPayload, "RequestResponse")
		if err != nil {
			writeError(w, err)
			return
		}
		res, err := h.attempt(r.Context(), f, call{
			id: wire.RandomID(), payload: payload, number: 1, trace: trace, clientContext: decoded(r.Header.Get("X-Amz-Client-Context")),
		})
		if err != nil {
			writeError(w, err)
			return
		}
		writeResult(w, res, r.Header.Get("X-Amz-Log-Type") == "Tail")
	case "Event":
		id, err := h.invokeAsync(name, payload, trace)
		if err != nil {
			writeError(w, err)
			return
		}
		w.Header().Set("X-Amzn-RequestId", id)
		w.WriteHeader(http.StatusAccepted)
	case "DryRun":
		if err := h.Check(name, payload); err != nil {
			writeError(w, err)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		writeError(w, &Error{Status: 400, Code: "InvalidParameterValueException", Message: "invocation type " + kind})
	}
}

func writeResult(w http.ResponseWriter, res Result, tail bool) {
	head := w.Header()
	head.Set("Content-Type", "application/json")
	head.Set("X-Amzn-RequestId", res.RequestID)
	head.Set("X-Amz-Executed-Version", "$LATEST")
	if res.FunctionError != "" {
		head.Set("X-Amz-Function-Error", res.FunctionError)
	}
	if tail {
		text := strings.Join(res.Log, "\n")
		text = text[max(0, len(text)-maxLogTail):]
		head.Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte(text)))
	}
	_, _ = w.Write(res.Payload)
}

func writeError(w http.ResponseWriter, err error) {
	var e *Error
	if !errors.As(err, &e) {
		e = &Error{Status: 500, Code: "ServiceException", Message: err.Error()}
	}
	kind := "User"
	if e.Status >= 500 {
		kind = "Service"
	}
	body := map[string]string{"Type": kind, "message": e.Message, "Message": e.Message}
	if e.Reason != "" {
		body["Reason"] = e.Reason
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-ErrorType", e.Code)
	w.WriteHeader(e.Status)
	_ = json.NewEncoder(w).Encode(body)
}

// decoded returns the client context, which comes base64-encoded and goes to the runtime as JSON.
func decoded(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}
