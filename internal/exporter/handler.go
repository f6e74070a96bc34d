package exporter

import (
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// handler answers scrapes. It asks nobody.
func (e *Exporter) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(e.registry, promhttp.HandlerOpts{
		ErrorLog: slog.NewLogLogger(e.log.Handler(), slog.LevelError), MaxRequestsInFlight: 8, EnableOpenMetrics: true,
	}))
	mux.HandleFunc("GET /-/healthy", e.healthy)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<title>Sluice exporter</title><h1>Sluice exporter</h1><a href=\"/metrics\">/metrics</a>, <a href=\"/-/healthy\">/-/healthy</a>\n")
	})
	return mux
}

// healthy says whether the exporter still looks. That it sees nothing is no illness of its own: a restart would not mend it.
func (e *Exporter) healthy(w http.ResponseWriter, _ *http.Request) {
	for _, s := range e.sources {
		s.mu.Lock()
		stalled := s.stalled(time.Now())
		s.mu.Unlock()
		if stalled {
			http.Error(w, "the look at "+s.name+" does not end", http.StatusServiceUnavailable)
			return
		}
	}
	_, _ = io.WriteString(w, "ok\n")
}
