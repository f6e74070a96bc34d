package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"
)

// order and report are what the shop's API takes; see examples/shop/app.py.
type order struct {
	Number  int      `json:"number"`
	Lines   [][2]int `json:"lines"` // Pairs of quantity and unit price in cents.
	Rounds  int      `json:"rounds"`
	Express bool     `json:"express"`
}

type report struct {
	Number        int     `json:"number"`
	Days          int     `json:"days"`
	SecondsPerDay float64 `json:"seconds_per_day"`
}

// result is what the shop's confirm task has to come to, computed without any of its code.
func (o order) result() json.RawMessage {
	net := 0
	for _, l := range o.Lines {
		net += l[0] * l[1]
	}
	total := net + (net*19+50)/100
	return jsonOf(map[string]any{
		"number": o.Number, "total": total, "receipt": chain(fmt.Sprintf("%d:%d", o.Number, total), o.Rounds),
	})
}

// result is what the shop's report task has to come to.
func (r report) result() json.RawMessage {
	turnover, digest := int64(0), strconv.Itoa(r.Number)
	for day := range r.Days {
		digest = chain(fmt.Sprintf("%s:%d", digest, day), 200)
		n, err := strconv.ParseInt(digest[:6], 16, 64)
		if err != nil {
			panic(err) // A hex digest is a number.
		}
		turnover += n % 100_000
	}
	return jsonOf(map[string]any{"number": r.Number, "turnover": turnover, "digest": digest})
}

// chain is SHA-256 over and over.
func chain(seed string, rounds int) string {
	link := []byte(seed)
	for range rounds {
		sum := sha256.Sum256(link)
		link = sum[:]
	}
	return hex.EncodeToString(link)
}

func jsonOf(v any) json.RawMessage {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // Maps of strings and integers are always representable.
	}
	return raw
}

// shop is a client of the shop's API.
type shop struct {
	url    string
	client http.Client
}

func newShop(url string) *shop {
	return &shop{url: url, client: http.Client{Timeout: 20 * time.Second}}
}

// healthy returns nil once the API answers.
func (s *shop) healthy(ctx context.Context) error {
	return s.call(ctx, http.MethodGet, "/health", nil, &struct{}{})
}

// postOrders and postReports return the ids of the tasks, in the order of what was posted.
func (s *shop) postOrders(ctx context.Context, orders []order) ([]string, error) {
	return s.post(ctx, "/orders", orders, len(orders))
}

func (s *shop) postReports(ctx context.Context, reports []report) ([]string, error) {
	return s.post(ctx, "/reports", reports, len(reports))
}

func (s *shop) post(ctx context.Context, path string, body any, want int) ([]string, error) {
	var accepted []struct{ Task string }
	if err := s.call(ctx, http.MethodPost, path, body, &accepted); err != nil {
		return nil, err
	}
	if len(accepted) != want {
		return nil, fmt.Errorf("post %s: %d tasks accepted of %d", path, len(accepted), want)
	}
	ids := make([]string, len(accepted))
	for i, a := range accepted {
		ids[i] = a.Task
	}
	return ids, nil
}

// results returns the results of the tasks that have ended well, by id.
func (s *shop) results(ctx context.Context) (map[string]json.RawMessage, error) {
	var results map[string]json.RawMessage
	err := s.call(ctx, http.MethodGet, "/results", nil, &results)
	return results, err
}

func (s *shop) call(ctx context.Context, method, path string, body, into any) error {
	var reader io.Reader
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		reader = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+path, reader)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s: %s: %.300s", method, path, resp.Status, raw)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
