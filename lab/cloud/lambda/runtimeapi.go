package lambda

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// runtimeAPI serves the Runtime API of one instance, version 2018-06-01:
// https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
func (in *instance) runtimeAPI() http.Handler {
	const root = "/2018-06-01/runtime/"
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+root+"invocation/next", in.serveNext)
	mux.HandleFunc("POST "+root+"invocation/{id}/response", func(w http.ResponseWriter, r *http.Request) {
		in.serveAnswer(w, r, false)
	})
	mux.HandleFunc("POST "+root+"invocation/{id}/error", func(w http.ResponseWriter, r *http.Request) {
		in.serveAnswer(w, r, true)
	})
	mux.HandleFunc("POST "+root+"init/error", in.serveInitError)
	return mux
}

// serveNext gives the runtime its next invocation, however long it takes until there is one.
func (in *instance) serveNext(w http.ResponseWriter, r *http.Request) {
	var job *work
	select {
	case job = <-in.next:
	case <-r.Context().Done():
		return
	}
	now := time.Now()
	in.mu.Lock()
	in.current = job
	in.mu.Unlock()
	job.taken <- now
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", job.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(now.Add(in.fn.Timeout).UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", in.host.ARN(in.fn.Name))
	h.Set("Lambda-Runtime-Trace-Id", job.trace)
	if job.clientContext != "" {
		h.Set("Lambda-Runtime-Client-Context", job.clientContext)
	}
	_, _ = w.Write(job.payload) // A runtime that is gone by now is noticed by the death of its process.
}

// serveAnswer takes the answer to the current invocation, or its error.
func (in *instance) serveAnswer(w http.ResponseWriter, r *http.Request, failed bool) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxSyncPayload+1))
	if err != nil {
		reply(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	in.mu.Lock()
	job := in.current
	if job == nil || job.id != r.PathValue("id") {
		in.mu.Unlock()
		reply(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	}
	in.current = nil
	in.mu.Unlock()
	if len(body) > MaxSyncPayload {
		const kind = "Function.ResponseSizeTooLarge"
		text := fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", MaxSyncPayload)
		payload, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": text})
		job.outcome <- answer{payload: payload, failed: true}
		reply(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", text)
		return
	}
	job.outcome <- answer{payload: body, failed: failed}
	reply(w, http.StatusAccepted, "", "")
}

// serveInitError takes the error of a runtime that could not start; its process ends next.
func (in *instance) serveInitError(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, MaxAsyncPayload))
	if err != nil {
		reply(w, http.StatusBadRequest, "InvalidRequest", err.Error())
		return
	}
	in.mu.Lock()
	in.initErr = body
	in.mu.Unlock()
	reply(w, http.StatusAccepted, "", "")
}

// reply answers the runtime: with a status, or with an error if kind is not empty.
func reply(w http.ResponseWriter, status int, kind, message string) {
	body := map[string]string{"status": "OK"}
	if kind != "" {
		body = map[string]string{"errorType": kind, "errorMessage": message}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
