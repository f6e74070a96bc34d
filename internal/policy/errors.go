package policy

// Kind is the kind of an error: a closed list, because each says whether trying again can help. The name of the kind is
// also the name of the error that the Lambda functions report, which the state machine's Retry and Catch match on.
type Kind string

// The kinds of errors.
const (
	BrokerUnavailable Kind = "BrokerUnavailable" // Refused, timed out, loading, failing over. Try again.
	BrokerRefused     Kind = "BrokerRefused"     // Wrong password, TLS, rights or version. A person has to mend it.
	FleetUnavailable  Kind = "FleetUnavailable"  // ECS answered 5xx or not at all. Try again.
	FleetThrottled    Kind = "FleetThrottled"    // ECS asked to slow down, or our own budget of calls is spent. Try again.
	FleetDenied       Kind = "FleetDenied"       // No permission. A person has to mend it.
	ServiceMissing    Kind = "ServiceMissing"    // The service or cluster does not exist, or is being deleted.
	InvalidEvent      Kind = "InvalidEvent"      // The event or input makes no sense.
	UnknownTarget     Kind = "UnknownTarget"     // The event or input names a target that the config does not have.
	InvalidConfig     Kind = "InvalidConfig"     // sluice.yaml, or what it refers to, cannot be used.
	InternalError     Kind = "InternalError"     // A defect of Sluice. An error without a kind passes for one.
)

// Error is an error of a known kind.
type Error struct {
	Kind Kind
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }
