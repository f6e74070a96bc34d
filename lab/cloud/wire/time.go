package wire

import (
	"encoding/json"
	"fmt"
	"math"
	"time"
)

// Time is a time in the input of a call: seconds since 1970.
type Time struct{ time.Time }

// UnmarshalJSON satisfies json.Unmarshaler.
func (t *Time) UnmarshalJSON(raw []byte) error {
	var seconds float64
	if err := json.Unmarshal(raw, &seconds); err != nil {
		return fmt.Errorf("%s is no time in seconds", raw)
	}
	whole, part := math.Modf(seconds)
	t.Time = time.Unix(int64(whole), int64(part*1e9))
	return nil
}
