package loopback

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestGuard(t *testing.T) {
	for _, tt := range []struct {
		name, host string
		header     map[string]string
		says       string // Of what is refused.
	}{
		{name: "an AWS client", host: "127.0.0.1:4566"},
		{name: "another loopback address", host: "127.1.2.3:4566"},
		{name: "IPv6", host: "[::1]:4566"},
		{name: "IPv4 in IPv6", host: "[::ffff:127.0.0.1]:4566"},
		{name: "a name", host: "LocalHost:4566"},
		{name: "no port", host: "127.0.0.1"},
		{name: "no port, IPv6", host: "[::1]"},
		{name: "a tunnel's port", host: "localhost:9999"},
		{name: "the address entered in a browser", host: "127.0.0.1:9808", header: map[string]string{"Sec-Fetch-Site": "none"}},
		{name: "a link on our own page", host: "127.0.0.1:9808", header: map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:9808"}},

		{name: "rebound DNS", host: "evil.example:4566", says: `the Host header says "evil.example:4566"`},
		{name: "rebound DNS, no port", host: "evil.example", says: "use the address 127.0.0.1"},
		{name: "a name that begins so", host: "127.0.0.1.evil.example:4566", says: "Host"},
		{name: "a name that begins with localhost", host: "localhost.evil.example:4566", says: "Host"},
		{name: "a name that ends so", host: "evil.localhost:4566", says: "Host"},
		{name: "another machine's address", host: "192.168.0.7:4566", says: "Host"},
		{name: "all addresses", host: "0.0.0.0:4566", says: "Host"},
		{name: "no host", host: "", says: "Host"},
		{name: "a port that is none", host: "127.0.0.1:@evil.example", says: "Host"},
		{name: "two hosts", host: "localhost:1:2", says: "Host"},
		{name: "a page's form", host: "127.0.0.1:4566", header: map[string]string{"Origin": "https://evil.example"}, says: `"https://evil.example"`},
		{name: "a page in a sandbox", host: "127.0.0.1:4566", header: map[string]string{"Origin": "null"}, says: "Origin"},
		{name: "a page of another server here", host: "127.0.0.1:4566", header: map[string]string{"Origin": "http://127.0.0.1:8000"}, says: "Origin"},
		{name: "a page's image", host: "127.0.0.1:4566", header: map[string]string{"Sec-Fetch-Site": "cross-site"}, says: "Sec-Fetch-Site"},
		{name: "an image of a page here", host: "localhost:4566", header: map[string]string{"Sec-Fetch-Site": "same-site"}, says: "Sec-Fetch-Site"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			r.Host = tt.host
			for name, value := range tt.header {
				r.Header.Set(name, value)
			}
			w := httptest.NewRecorder()
			Guard(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })).ServeHTTP(w, r)
			switch body := w.Body.String(); {
			case tt.says == "" && (w.Code != http.StatusOK || body != "served"):
				t.Errorf("status %d, %q; want it served", w.Code, body)
			case tt.says != "" && (w.Code != http.StatusForbidden || !strings.Contains(body, tt.says) || strings.Contains(body, "served")):
				t.Errorf("status %d, %q; want it refused, and %q said", w.Code, body, tt.says)
			}
		})
	}
}

func TestBound(t *testing.T) {
	for addr, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "0.0.0.0:1": false, "[::]:1": false, "192.168.0.7:1": false} {
		tcp, err := net.ResolveTCPAddr("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		if got := Bound(tcp); got != want {
			t.Errorf("Bound(%s) = %t, want %t", addr, got, want)
		}
	}
	if Bound(&net.UnixAddr{Name: "/run/x"}) {
		t.Error("a socket in the file system is no loopback address")
	}
}
