package incident

// Error is a failure that the state machine acts on by name. Its text is what
// ErrorEquals matches. A name exists only if the machine branches on it.
type Error string

func (e Error) Error() string { return string(e) }

const (
	// ErrInstanceNotFound: the account does not know the instance. EC2 is
	// eventually consistent, so the machine asks again before it believes it.
	ErrInstanceNotFound Error = "InstanceNotFound"
	// ErrNotContained: at least one interface is not where it belongs.
	ErrNotContained Error = "NotContained"
	// ErrUndecided: nobody has decided on the request. Silence is no refusal.
	ErrUndecided Error = "Undecided"
	// ErrRefused: a decision cannot be carried out as things stand; asking the
	// same again will not help, people must be asked.
	ErrRefused Error = "Refused"
	// ErrEvidence: a termination is refused because evidence is not complete, and
	// for nothing else. Whoever is asked again may choose to do without it.
	ErrEvidence Error = "EvidenceIncomplete"
	// ErrSuperseded: another execution took the incident over while this one
	// waited for a person. What is to be done is that one's to do.
	ErrSuperseded Error = "Superseded"
	// ErrNotTold: the incident is closed and signed, and its last mail was not
	// accepted. All that is left to do is to tell people.
	ErrNotTold Error = "NotTold"
)
