// Package tiny is code with tests that do not hold all of it.
package tiny

import (
	"errors"
	"time"
)

const limit = 10 // Its use is held, and how large it is.

const patience = 2 * time.Second // Nobody holds how long.

// Fits is held at its limit.
func Fits(n int) bool { return n >= 0 && n <= limit }

// Grow is not held at its limit, nor are its members alone.
func Grow(n int, open, paused bool) int {
	if n < limit && (open || paused) {
		n++
	}
	return n
}

// Sum leaves out what is negative; there is no test with such a number behind others.
func Sum(numbers []int) (sum int, err error) {
	for _, n := range numbers {
		if n < 0 {
			err = errors.New("negative")
			continue
		}
		sum += n
	}
	return max(sum, 0), err
}

// Wait is never called.
func Wait() { time.Sleep(patience) }

// Kind knows a word that no test does.
func Kind(s string) string {
	switch s {
	case "one":
		return "first"
	case "other":
		return "last"
	}
	return ""
}
