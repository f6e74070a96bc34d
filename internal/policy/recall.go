package policy

// recalled is how many drained tasks fetch again because nobody is to be let go: whoever says so wants the workers that run to work.
func (s Signals) recalled() int {
	if s.Overlap {
		return 0
	}
	return min(s.Drained.Tasks, s.Desired)
}

// recall has so many drained workers fetch again, besides what the decision asks for in new ones. Whatever else it would do
// has to wait until they do. why is what keeps them.
func recall(d Decision, n int, why Reason) Decision {
	if d.Action != ScaleOut {
		d.Action, d.Desired, d.Reasons = Hold, d.Current, []Reason{why}
	}
	if n > 0 {
		d.Action, d.Resume, d.Reasons = ScaleOut, n, append(d.Reasons, ReasonResume)
	}
	return d
}
