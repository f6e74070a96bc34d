package exporter

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
)

// everywhere is a listener that says it listens on all addresses.
type everywhere struct{ net.Listener }

func (everywhere) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4zero, Port: 9808} }

// On a loopback address the exporter answers no page of another site. On others it has whatever name people give it.
func TestWebPagesReadNoMetrics(t *testing.T) {
	for _, tt := range []struct {
		name, host string
		bound      func(net.Listener) net.Listener
		want       int
	}{
		{"by its address", "", nil, http.StatusOK},
		{"by a name", "example.com", nil, http.StatusForbidden},
		{"by a name, from outside", "exporter.internal:9808", func(ln net.Listener) net.Listener { return everywhere{ln} }, http.StatusOK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			url := "http://" + ln.Addr().String() + "/metrics"
			if tt.bound != nil {
				ln = tt.bound(ln)
			}
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- empty(slog.New(slog.DiscardHandler)).Run(ctx, ln) }()
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.host != "" {
				r.Host = tt.host
			}
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode != tt.want {
				t.Errorf("status %d, want %d: %s", resp.StatusCode, tt.want, body)
			}
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}
