// Package rules is what the fake simulator runs.
package rules

import (
	_ "embed"
	"strconv"
	"strings"
)

//go:embed extra.txt
var extra string

// Allowed is how much is allowed.
func Allowed(seed uint64) uint64 {
	more, err := strconv.ParseUint(strings.TrimSpace(extra), 10, 64)
	if err != nil {
		panic(err)
	}
	if seed == 7 {
		return seed
	}
	if seed == 9 {
		return seed
	}
	return seed + more
}
