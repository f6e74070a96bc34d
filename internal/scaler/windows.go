package scaler

import (
	"time"

	"sluice/internal/policy"
)

// Window is a time with bounds of its own, such as office hours with a higher min.
type Window struct {
	Name     string
	Min, Max *int // nil: the window leaves this bound as it is.
	// Open says whether the window is open at that time.
	Open func(at time.Time) bool
}

// opened is what the windows say at one time.
type opened struct {
	min, max *int
	names    []string // Of those that gave a bound.
}

// windows asks the windows in their order: for each bound the first open one that gives it decides. Where two of them are at
// odds, the one that comes later gives way.
func (t Target) windows(at time.Time) opened {
	var o opened
	for _, w := range t.Windows {
		low, high := w.Min, w.Max
		if o.min != nil {
			low = nil
		}
		if o.max != nil {
			high = nil
		}
		if low == nil && high == nil || !w.Open(at) {
			continue
		}
		if low != nil {
			n := *low
			if o.max != nil {
				n = min(n, *o.max)
			}
			o.min = &n
		}
		if high != nil {
			n := *high
			if o.min != nil {
				n = max(n, *o.min)
			}
			o.max = &n
		}
		o.names = append(o.names, w.Name)
	}
	return o
}

// limitsAt are the limits by the configuration, with those of its windows over them.
func (t Target) limitsAt(at time.Time) policy.Limits {
	o := t.windows(at)
	return bounded(t.Limits, o.min, o.max)
}

// overrides is what the tags of the target's service say at that time, over the configuration and its windows.
func (t Target) overrides(tags map[string]string, at time.Time) Overrides {
	return ParseTags(tags, t.limitsAt(at), at)
}

// dry says whether nothing is to be done for the target: by its tags, or else by the configuration.
func (t Target) dry(o Overrides) bool {
	if o.DryRun != nil {
		return *o.DryRun
	}
	return t.DryRun
}
