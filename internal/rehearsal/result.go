package rehearsal

import (
	"encoding/json"
	"strconv"

	"cordon/internal/sim"
)

// Result is what a rehearsal shows: the contract of `cordon rehearse --json`.
// Times are virtual seconds from the moment the event arrives, three decimals.
type Result struct {
	Matched    bool                `json:"matched"` // did the first rule's pattern match
	Ending     string              `json:"ending"`  // name of the last state; empty when not matched
	Status     string              `json:"status"`  // SUCCEEDED, FAILED, TIMED_OUT, ABORTED; empty when not matched
	States     []string            `json:"states"`  // names entered, in order
	Calls      []Call              `json:"calls"`   // every AWS call, by time, then start
	Mails      []Mail              `json:"mails"`
	Account    json.RawMessage     `json:"account"`    // afterwards, fit to be the next rehearsal's account
	IsolatedAt *Seconds            `json:"isolatedAt"` // until the last interface was contained; null if never
	SealedAt   *Seconds            `json:"sealedAt"`   // until the last interface was in quarantine; null if never
	Steps      map[string]StepDone `json:"steps"`
	Violations []string            `json:"violations"` // names of invariants that did not hold

	// What only people are shown.
	InstanceID string          `json:"-"`
	Before     json.RawMessage `json:"-"` // the account when the event arrived
	Broken     []string        `json:"-"` // each violation with how it came about
	Evidence   []string        `json:"-"`
	History    int             `json:"-"` // events of the execution, as AWS counts them
	Report     []byte          `json:"-"` // the page that closing wrote; nil where nothing was closed
	Bucket     Bucket          `json:"-"` // empty unless Options.Keep
	Happened   map[string]int  `json:"-"` // faults, storms and others that hit, further events by their ending, people by what they were answered

	Idle []string `json:"-"` // parts of the script that came to nothing, a line each

	before, after Account    // what Before and Account say, also where they are left out
	people        []Choosing // of the script
}

// Bucket is the evidence bucket after a run.
type Bucket struct {
	Objects   map[string][]byte // by key
	Without   []string          // keys of memory images: a model of memory has no bytes to give
	PublicKey []byte            // of the stack's SigningKey, DER

	Account                     *sim.Account // that it is in, as it was left; it needs another clock
	Name, SigningKey, Incidents string       // bucket, key and table, as the stack calls them
}

// Call is one call to AWS.
type Call struct {
	Service   string   `json:"service"` // the SDK's package name
	Action    string   `json:"action"`
	Mutating  bool     `json:"mutating"`
	At        Seconds  `json:"at"`
	Error     string   `json:"error"` // the code; empty when there was none
	Resources []string `json:"resources"`

	By     string `json:"-"` // the function that made it
	Number int    `json:"-"` // of the calls of its action, as a fault counts them
}

// Mail is one mail as SNS accepted it.
type Mail struct {
	At      Seconds `json:"at"`
	Subject string  `json:"subject"`
	Body    string  `json:"body"`
}

// StepDone is how a step's newest invocation ended.
type StepDone struct {
	Status string `json:"status"` // ok, partial, failed, skipped
	Reason string `json:"reason"`
}

// Seconds is a time with three decimals.
type Seconds float64

// MarshalJSON rounds to milliseconds.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, float64(s), 'f', 3, 64), nil
}
