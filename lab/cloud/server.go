package cloud

import (
	"net"
	"net/http"
	"time"

	"sluice/internal/loopback"
	"sluice/lab/cloud/ecs"
	"sluice/lab/cloud/lambda"
	"sluice/lab/cloud/wire"
)

// serve answers at the one address until the cloud closes. Requests under way are cut off then.
func (c *Cloud) serve(ln net.Listener) {
	c.paths = c.newPaths()
	c.server = &http.Server{Handler: loopback.Guard(c), ReadHeaderTimeout: 10 * time.Second}
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

// ServeHTTP answers those who may call, and hands a request to the service that it is for.
func (c *Cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
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
	case call.Operation == "":
		c.paths.ServeHTTP(w, r)
	default:
		call.Refuse(w, notAvailable(name))
	}
}

// newPaths answers the calls that have a path for each.
func (c *Cloud) newPaths() http.Handler {
	mux := http.NewServeMux()
	for path, do := range rest {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			result, err := do(c, r)
			if err != nil {
				wire.Call{}.Refuse(w, err)
				return
			}
			wire.Call{}.Answer(w, result)
		})
	}
	mux.Handle(lambda.PathPrefix, c.functions)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		wire.Call{}.Refuse(w, notAvailable(r.Method+" "+r.URL.Path))
	})
	return mux
}

func notAvailable(name string) error {
	return wire.Errorf("UnknownOperationException", "%s is not available in the local cloud", name)
}
