package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

// row is one row of the ledger: see testdata/ledger.py.
type row struct {
	Event       string  `json:"event"`
	At          float64 `json:"at"` // Unix seconds.
	Host        string  `json:"host"`
	Task        string  `json:"task"`
	Attempt     int     `json:"attempt"`
	Pid         int     `json:"pid"`
	Tag         string  `json:"tag"`
	Redelivered bool    `json:"redelivered"`
	Due         float64 `json:"due"`
	Error       string  `json:"error"`
}

// moment is a time in the ledger; zero for 0.
func moment(seconds float64) time.Time {
	if seconds == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(seconds * 1e6))
}

// readLedger reads the rows that are complete.
func readLedger(path string) ([]row, error) {
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil // Nothing has happened.
	}
	if err != nil {
		return nil, fmt.Errorf("read the ledger: %w", err)
	}
	var rows []row
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break
		}
		var r row
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("read the ledger: %w: %s", err, line)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// enter takes the rows into the facts. The workers are known already.
func (f *facts) enter(rows []row) {
	for _, r := range rows {
		at := moment(r.At)
		switch w := f.workers[r.Host]; r.Event {
		case "cancel_consumer":
			f.drained++
			if w != nil {
				w.drained = append(w.drained, at)
			}
		case "add_consumer":
			f.resumed++
			if w != nil {
				w.resumed = append(w.resumed, at)
			}
		}
		if r.Task == "" {
			continue
		}
		m := f.messages[r.Task]
		if m == nil {
			m = &message{id: r.Task}
			f.messages[r.Task] = m
		}
		switch r.Event {
		case "sending":
			m.sending = at
			a := m.attempt(0)
			a.from, a.due = at, moment(r.Due)
		case "sent":
			m.sent = at
		case "received":
			a := m.attempt(r.Attempt)
			a.received = append(a.received, receipt{at, r.Host, r.Tag, r.Redelivered})
		case "started":
			a := m.attempt(r.Attempt)
			a.runs = append(a.runs, &run{host: r.Host, pid: r.Pid, start: at})
		case "ended", "retrying":
			if open := m.attempt(r.Attempt).open(r.Host, r.Pid); open != nil {
				open.end, open.outcome = at, outcome(r.Event)
			}
			if r.Event == "retrying" {
				next := m.attempt(r.Attempt + 1)
				next.from, next.due = at, moment(r.Due)
			}
		case "failed":
			// Written by the process that noticed it, not always by the one that ran it.
			if open := m.openOn(r.Host); open != nil {
				open.end, open.outcome, open.err = at, broke, r.Error
			}
		}
	}
}

// open is the run of this process that has not ended; nil if there is none.
func (a *attempt) open(host string, pid int) *run {
	for i := len(a.runs) - 1; i >= 0; i-- {
		if r := a.runs[i]; r.host == host && r.pid == pid && r.outcome == cut {
			return r
		}
	}
	return nil
}

// openOn is the newest run on the host that has not ended; nil if there is none. A run that published its retry has ended, unless
// the publishing is what failed.
func (m *message) openOn(host string) *run {
	for i := len(m.attempts) - 1; i >= 0; i-- {
		for j := len(m.attempts[i].runs) - 1; j >= 0; j-- {
			if r := m.attempts[i].runs[j]; r.host == host && (r.outcome == cut || r.outcome == retrying) {
				return r
			}
		}
	}
	return nil
}
