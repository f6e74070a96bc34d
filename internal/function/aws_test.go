package function

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

// closable is a body that cannot be read any more once it has been closed.
type closable struct {
	io.Reader
	closed bool
}

func (b *closable) Read(p []byte) (int, error) {
	if b.closed {
		return 0, errors.New("it is closed")
	}
	return b.Reader.Read(p)
}

func (b *closable) Close() error {
	b.closed = true
	return nil
}

// clientFunc is an HTTP client.
type clientFunc func(*http.Request) (*http.Response, error)

func (f clientFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestRequestOutlivesTheBodyThatTheSDKCloses(t *testing.T) {
	body := &closable{Reader: strings.NewReader("payload")}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1", body)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = int64(len("payload"))
	_, err = wholeRequests{clientFunc(func(sent *http.Request) (*http.Response, error) {
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(sent.Body)
		if err != nil || string(got) != "payload" || sent.ContentLength != r.ContentLength {
			t.Errorf("sent %q with length %d, %v, want the whole payload", got, sent.ContentLength, err)
		}
		return &http.Response{}, nil
	})}.Do(r)
	if err != nil {
		t.Error(err)
	}
}

func TestRequestWithoutBody(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://127.0.0.1:1", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = wholeRequests{clientFunc(func(sent *http.Request) (*http.Response, error) {
		if sent.Body != nil {
			t.Error("a request without a body got one")
		}
		return &http.Response{}, nil
	})}.Do(r)
	if err != nil {
		t.Error(err)
	}
}

func TestRequestThatCannotBeRead(t *testing.T) {
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1:1", &closable{closed: true})
	if err != nil {
		t.Fatal(err)
	}
	_, err = wholeRequests{clientFunc(func(*http.Request) (*http.Response, error) {
		t.Error("half a request was sent")
		return nil, nil
	})}.Do(r)
	if err == nil || !strings.Contains(err.Error(), "it is closed") {
		t.Errorf("got %v, want the cause", err)
	}
}
