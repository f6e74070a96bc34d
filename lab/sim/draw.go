package sim

import (
	"math"
	"math/rand/v2"
	"time"
)

// draw is where all chance of a history comes from: its seed.
type draw struct{ *rand.Rand }

// stream returns a source of chance of its own, so that what one part of a history draws does not change what another does.
func stream(seed uint64, part string) draw {
	h := uint64(14695981039346656037)
	for i := range len(part) {
		h = (h ^ uint64(part[i])) * 1099511628211
	}
	return draw{rand.New(rand.NewPCG(seed, h))}
}

// between draws a duration evenly, to the millisecond: from low to high, both included.
func (d draw) between(low, high time.Duration) time.Duration {
	return (low + time.Duration(d.Int64N(int64(high-low)+1))).Round(time.Millisecond)
}

// spread draws a duration from low to high so that each order of magnitude is as likely as the next.
func (d draw) spread(low, high time.Duration) time.Duration {
	x := math.Log(float64(low)) + d.Float64()*(math.Log(float64(high))-math.Log(float64(low)))
	return time.Duration(math.Exp(x)).Round(time.Millisecond)
}

// chance is true in the given share of the cases.
func (d draw) chance(share float64) bool { return d.Float64() < share }

// count draws a whole number from low to high, both included.
func (d draw) count(low, high int) int { return low + d.IntN(high-low+1) }

// one draws one of the choices.
func one[T any](d draw, choices ...T) T { return choices[d.IntN(len(choices))] }
