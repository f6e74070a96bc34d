package local

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"sluice/internal/local/ecs"
	"sluice/internal/local/events"
	"sluice/internal/local/lambda"
)

// serve answers at the one address until the cloud closes. Requests under way are cut off then.
func (c *Cloud) serve(ln net.Listener) {
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = c.server.Serve(ln)
	}()
	c.onClose(func() {
		_ = c.server.Close()
		<-done
	})
}

// ServeHTTP hands a request to the service that it is for: by its X-Amz-Target, or by its path.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" {
		// A page in a browser may reach a loopback address. No AWS client sends this header.
		http.Error(w, "not for browsers", http.StatusForbidden)
		return
	}
	if err := c.permit(r); err != nil {
		refuse(w, "1.1", "AccessDeniedException", err.Error())
		return
	}
	target := r.Header.Get("X-Amz-Target")
	switch {
	case ecs.Serves(r):
		c.ecs.ServeHTTP(w, r)
	case strings.HasPrefix(target, events.TargetPrefix):
		c.events.ServeHTTP(w, r)
	case strings.HasPrefix(target, statesPrefix):
		c.executions.ServeHTTP(w, r)
	case target == getSecretValue || target == getParameter:
		c.secrets.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, lambda.PathPrefix):
		c.functions.ServeHTTP(w, r)
	default:
		refuse(w, "1.1", "UnknownOperationException", fmt.Sprintf(
			"%s %s %s is not available in the local cloud", r.Method, r.URL.Path, target))
	}
}

// answer writes a result in one of AWS's JSON protocols, version 1.0 or 1.1.
func answer(w http.ResponseWriter, version string, result any) {
	w.Header().Set("Content-Type", "application/x-amz-json-"+version)
	w.Header().Set("X-Amzn-RequestId", randomID())
	_ = json.NewEncoder(w).Encode(result)
}

// refuse writes an error that the client is to blame for.
func refuse(w http.ResponseWriter, version, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-"+version)
	w.Header().Set("X-Amzn-RequestId", randomID())
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}

// randomID is a request id or the name of an execution.
func randomID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails: see crypto/rand.
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}
