package events

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"time"

	"sluice/lab/cloud/wire"
)

// TargetPrefix begins the X-Amz-Target header of every request that ServeHTTP answers.
const TargetPrefix = "AWSEvents."

// maxBody is how many bytes of a request are read: the largest entries with every byte escaped, and some room.
const maxBody = 8 << 20

// putEntry is an entry in awsJson1.1, where a time is a number of seconds.
type putEntry struct {
	Time         *float64
	Source       string
	Resources    []string
	DetailType   string
	Detail       string
	EventBusName string
}

// ServeHTTP answers the PutEvents operation in the protocol awsJson1.1.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if target := r.Header.Get("X-Amz-Target"); target != TargetPrefix+"PutEvents" {
		refuse(w, "UnknownOperationException", fmt.Sprintf("%s: only PutEvents is available here", target))
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody+1))
	if err != nil || len(body) > maxBody {
		refuse(w, "ValidationException", "Total size of the entries in the request is over the limit.")
		return
	}
	var req struct{ Entries []putEntry }
	if err := json.Unmarshal(body, &req); err != nil {
		refuse(w, "SerializationException", err.Error())
		return
	}
	if n := len(req.Entries); n < 1 || n > MaxEntries {
		bound := fmt.Sprintf("less than or equal to %d", MaxEntries)
		if n < 1 {
			bound = "greater than or equal to 1"
		}
		refuse(w, "ValidationException", "1 validation error detected: Value at 'entries' failed to satisfy constraint: "+
			"Member must have length "+bound)
		return
	}
	entries, total := make([]Entry, len(req.Entries)), 0
	complete := 0
	for i, e := range req.Entries {
		entries[i] = Entry{
			Source: e.Source, Resources: e.Resources, DetailType: e.DetailType, Detail: e.Detail, EventBusName: e.EventBusName,
		}
		if e.Time != nil {
			whole, part := math.Modf(*e.Time)
			entries[i].Time = time.Unix(int64(whole), int64(part*1e9))
		}
		total += entries[i].size()
		if e.Source != "" && e.DetailType != "" && e.Detail != "" {
			complete++
		}
	}
	if total >= MaxTotalSize {
		refuse(w, "ValidationException", "Total size of the entries in the request is over the limit.")
		return
	}
	if complete == 0 {
		// As documented: one bad entry fails alone, but a request in which none is complete fails as a whole.
		_, message := check(entries[0])
		refuse(w, "ValidationException", message)
		return
	}
	results, failed := s.Put(entries), 0
	for _, res := range results {
		if res.ErrorCode != "" {
			failed++
		}
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", wire.RandomID())
	_ = json.NewEncoder(w).Encode(map[string]any{"FailedEntryCount": failed, "Entries": results})
}

func refuse(w http.ResponseWriter, code, message string) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-RequestId", wire.RandomID())
	w.WriteHeader(http.StatusBadRequest)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": code, "message": message})
}
