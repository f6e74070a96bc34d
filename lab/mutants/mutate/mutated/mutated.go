// Package mutated is what the code calls that Command mutate rewrites: at each place it asks whether the fault there is
// the one that is planted in this process. Nothing else imports it.
//
// The environment says which: MUTANT is the number of the fault. With MUTANTS_REACHED=FILE none is planted, and the
// numbers of those that would have made a difference are written there: a test that does not reach a fault so cannot
// find it.
package mutated

import (
	"cmp"
	"fmt"
	"os"
	"strconv"
	"sync"
)

var (
	active, _ = strconv.Atoi(os.Getenv("MUTANT")) // 0 is none.
	file      = os.Getenv("MUTANTS_REACHED")
	mu        sync.Mutex
	reached   = map[int]bool{}
)

// Is reports whether this fault is planted.
func Is(id int) bool {
	if file != "" {
		note(id)
	}
	return id == active
}

// On reports whether a condition that costs something is to be evaluated before Is.
func On(id int) bool { return file != "" || id == active }

// note appends to the file at once: nothing tells when a process ends.
func note(id int) {
	mu.Lock()
	defer mu.Unlock()
	if reached[id] {
		return
	}
	reached[id] = true
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	if _, err := fmt.Fprintln(f, id); err != nil {
		panic(err)
	}
	if err := f.Close(); err != nil {
		panic(err)
	}
}

// Bool is b, or true with the one fault and false with the other; 0 is no fault.
func Bool(yes, no int, b bool) bool {
	switch {
	case !b && yes != 0:
		return Is(yes)
	case b && no != 0:
		return !Is(no)
	}
	return b
}

type number interface {
	~int | ~int8 | ~int16 | ~int32 | ~int64 | ~uint | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~uintptr | ~float32 | ~float64
}

// Num is v, or with the faults from first on one of the others.
func Num[T number](first int, v T, others ...T) T {
	for i, other := range others {
		if Is(first + i) {
			return other
		}
	}
	return v
}

// Word is v, or with the fault a word that nothing to be compared with it equals.
func Word[T ~string](id int, v T) T {
	if Is(id) {
		return v + "\x00"
	}
	return v
}

// Add, Sub, Mul, Quo and Neg calculate, or do the opposite.
func Add[T number](id int, a, b T) T {
	if Is(id) {
		return a - b
	}
	return a + b
}

func Sub[T number](id int, a, b T) T {
	if Is(id) {
		return a + b
	}
	return a - b
}

func Mul[T number](id int, a, b T) T {
	if Is(id) {
		return a / b
	}
	return a * b
}

func Quo[T number](id int, a, b T) T {
	if Is(id) {
		return a * b
	}
	return a / b
}

func Neg[T number](id int, a T) T {
	if Is(id) {
		return a
	}
	return -a
}

// Min and Max are min and max, or the other one.
func Min[T cmp.Ordered](id int, v ...T) T { return least(v, Is(id)) }

func Max[T cmp.Ordered](id int, v ...T) T { return least(v, !Is(id)) }

func least[T cmp.Ordered](v []T, most bool) T {
	out := v[0]
	for _, x := range v[1:] {
		if most {
			out = max(out, x)
		} else {
			out = min(out, x)
		}
	}
	return out
}
