// Package policy decides how many workers a target should have.
//
// It is pure: signals, limits and the time go in, a decision with its reasons comes out. It knows no context, logger,
// error, clock or network, and imports the standard library only, so that every decision can be written down as a row
// of a table, replayed from a log, and run millions of times by the simulator.
//
// The decision is an ordered list of small steps. First the wish: how many workers the work asks for. Then what raises
// it (an event's demand, a floor, min) and what caps it (max). A wish above the current count is acted on at once: a
// doubt never blocks a scale-out. A wish below it has to pass everything that may hold a scale-in back, and each thing
// that does says why with a Reason of a closed list. A part of the signals that is not known is a value of its own: it
// is never taken for zero and never for an error.
package policy

import "math"

// Count is a number that was read, or the cause why it could not be. The zero Count is unknown: what nobody has filled
// in must never pass for "none".
type Count struct {
	N     int    // The number; 0 unless Known. A lower bound may stand here beside Known == false.
	Known bool   // Whether N is the whole truth.
	Cause string // Why it is not known, for people; empty if Known.
}

// Known returns the count n.
func Known(n int) Count { return Count{N: n, Known: true} }

// Unknown returns a count that could not be read, with its cause.
func Unknown(cause string) Count { return Count{Cause: cause} }

// AtLeast returns a count of which only a lower bound is known: it can justify a scale-out and never a scale-in.
func AtLeast(n int, cause string) Count { return Count{N: n, Cause: cause} }

// Add sums two counts. The sum is known if both are; else it is the sum of the lower bounds, with the first cause.
func (c Count) Add(o Count) Count {
	sum := Count{N: c.N + o.N, Known: c.Known && o.Known, Cause: c.Cause}
	if sum.N < c.N {
		sum.N = math.MaxInt // A counter that the application keeps may hold any number: it must not wrap to "idle".
	}
	if c.Known {
		sum.Cause = o.Cause
	}
	return sum
}
