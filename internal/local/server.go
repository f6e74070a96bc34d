package local

import (
	"cmp"
	"net"
	"net/http"
	"strings"
	"time"

	"sluice/internal/local/ecs"
	"sluice/internal/local/lambda"
	"sluice/internal/local/wire"
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

// ServeHTTP hands a request to the service that it is for.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Origin") != "" {
		// A page in a browser may reach a loopback address. No AWS client sends this header.
		http.Error(w, "not for browsers", http.StatusForbidden)
		return
	}
	call, err := wire.Read(r)
	if err == nil {
		err = c.permit(r, call)
	}
	if err != nil {
		call.Refuse(w, err)
		return
	}
	name := call.Service + ":" + call.Operation
	switch do := operations[name]; {
	case do != nil:
		result, err := do(c, call)
		if err != nil {
			call.Refuse(w, err)
			return
		}
		call.Answer(w, result)
	case ecs.Serves(r):
		c.ecs.ServeHTTP(w, r)
	case name == "events:PutEvents":
		c.events.ServeHTTP(w, r)
	case strings.HasPrefix(r.URL.Path, lambda.PathPrefix):
		c.functions.ServeHTTP(w, r)
	default:
		call.Refuse(w, wire.Errorf("UnknownOperationException", "%s is not available in the local cloud", cmp.Or(strings.Trim(name, ":"), r.Method+" "+r.URL.Path)))
	}
}
