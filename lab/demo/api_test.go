package main

import (
	"io"
	"net/http"
	"path/filepath"
	"testing"

	"sluice/lab/testenv"
)

// A web page that has its own name resolved to 127.0.0.1 reaches no shop.
func TestWebPagesReachNoShop(t *testing.T) {
	python := testenv.Python(t)
	a, err := startAPI(t.Context(), python, filepath.Join(testenv.Root(), shopDir), []string{
		"REDIS_URL=redis://127.0.0.1:1/0", "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID=local", "AWS_SECRET_ACCESS_KEY=local",
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	defer a.stop()
	for host, want := range map[string]int{"": http.StatusOK, "example.com": http.StatusBadRequest, "127.0.0.1.example.com": http.StatusBadRequest} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, a.url+"/health", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("host %q: status %d, want %d", host, resp.StatusCode, want)
		}
	}
}
