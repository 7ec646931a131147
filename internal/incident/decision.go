package incident

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Choice is what a person may decide.
type Choice string

const (
	Terminate Choice = "terminate"
	Keep      Choice = "keep"
	Release   Choice = "release"
	// Before anything is isolated, where a brake asks first.
	Isolate Choice = "isolate"
	Leave   Choice = "leave"
)

// TerminateAnyway is how a request offers to terminate without complete evidence,
// once that was refused. What is recorded is Terminate, with Override.
const TerminateAnyway Choice = "terminate-anyway"

// Choices are all that a person may decide, whatever was asked.
var Choices = []Choice{Terminate, Keep, Release, Isolate, Leave}

// ParseChoice refuses everything that is not a decision.
func ParseChoice(s string) (Choice, error) {
	if slices.Contains(Choices, Choice(s)) {
		return Choice(s), nil
	}
	return "", fmt.Errorf("decision %q: want terminate, keep or release, or isolate or leave where it was asked before isolating", s)
}

// DecisionVersion is the form of Decision and of its seal. One of another version
// is refused, by name: people decide again.
const DecisionVersion = 5

// Decision is what a person decided, once, for one request about one machine.
type Decision struct {
	Version    int       `json:"version"` // DecisionVersion
	Incident   string    `json:"incident"`
	Round      int       `json:"round"` // which request of the incident, from 1
	InstanceID string    `json:"instanceId"`
	AttachedAt time.Time `json:"attachedAt"`
	Choice     Choice    `json:"choice"`
	Person     string    `json:"person"`   // by link: a claim, not an identity
	Identity   string    `json:"identity"` // how the person is known: ByLink, or ByIAM or ByAccess and who it is
	Reason     string    `json:"reason"`   // as typed; may be empty
	Override   bool      `json:"override"` // terminate although evidence is incomplete, chosen by name
	Force      bool      `json:"force"`    // release although it is not the same machine any more: do what can be done
	Address    string    `json:"address"`  // where the request came from, as the gateway says
	Agent      string    `json:"agent"`    // what the browser calls itself: a claim
	Facts      string    `json:"facts"`    // SHA-256 of Shown, hex; empty where it was not decided on the page
	Shown      string    `json:"shown"`    // what the page showed before, JSON; bound to the seal by Facts
	First      string    `json:"first"`    // the decision of the person before, which this one seconds, by its Mark; empty where it needs none
	Seconds    string    `json:"seconds"`  // the Person of that decision
	DecidedAt  time.Time `json:"decidedAt"`
	ExpiresAt  time.Time `json:"expiresAt"` // no termination after it
	MAC        []byte    `json:"mac"`       // KMS HMAC over Signed
}

// The event by which an operator asks to decide once more about an incident that
// nobody works on. Its detail is a Wish.
const (
	WishSource = "cordon"
	WishType   = "Cordon Decision Wanted"
)

// Wish names the incident, and the stack that has it: several may share a bus.
type Wish struct {
	Stack    string `json:"stack"`
	Incident string `json:"incident"`
}

// How a person is known.
const (
	ByLink = "link" // whoever had the mail; the name is a claim
	ByIAM  = "iam " // verified by the gateway; the ARN of the caller follows
	// ByAccess is verified by Verified Access; the user's ID in IAM Identity Center follows.
	ByAccess = "identity-center "
)

// Signed is what the MAC covers: everything but the MAC, and Shown, which Facts
// stands for. Each field is written with its length, so that no two decisions
// share a text; what may be long, as its SHA-256, because KMS seals 4,096 bytes at
// most: https://docs.aws.amazon.com/kms/latest/APIReference/API_GenerateMac.html
func (d Decision) Signed() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "cordon decision %d", d.Version)
	for _, f := range []string{
		d.Incident, fmt.Sprint(d.Round), d.InstanceID, d.AttachedAt.UTC().Format(time.RFC3339),
		string(d.Choice), fmt.Sprint(d.Override), fmt.Sprint(d.Force), d.Identity, d.Person,
		Hash(d.Reason), d.Address, Hash(d.Agent), d.Facts, d.First, Hash(d.Seconds),
		d.DecidedAt.UTC().Format(time.RFC3339), d.ExpiresAt.UTC().Format(time.RFC3339),
	} {
		fmt.Fprintf(&b, "\n%d:%s", len(f), f)
	}
	return []byte(b.String())
}

// Hash is the SHA-256 of a text, hex.
func Hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// SignIn reads how people are known: by signing in through Verified Access, or by
// possession of a link.
func SignIn(identity string) (bool, error) {
	switch identity {
	case "VerifiedAccess":
		return true, nil
	case "Link":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither Link nor VerifiedAccess", identity)
}

// Two tells whether so many approvers are two people.
func Two(approvers float64) (bool, error) {
	if approvers != 1 && approvers != 2 {
		return false, fmt.Errorf("%g people for a termination: neither 1 nor 2", approvers)
	}
	return approvers == 2, nil
}

// Chosen is what the person chose, as the request offered it.
func (d Decision) Chosen() Choice {
	if d.Choice == Terminate && d.Override {
		return TerminateAnyway
	}
	return d.Choice
}

// Mark names a decision to whoever seconds it, so that it is this one and no other.
func (d Decision) Mark() string { return Hash(string(d.MAC)) }

// Part is what a recorded decision is, where two people must decide.
type Part string

const (
	Alone      Part = ""           // one person's, and one is enough
	Unseconded Part = "unseconded" // the first of two, and nobody's is the second: nothing comes of it
	FirstOfTwo Part = "first"      // the first of two, and seconded
	Second     Part = "second"     // the second of two
)

// Recorded is a decision as it stands among the others on its request.
type Recorded struct {
	Decision
	Part Part `json:"part"`
}

// Why two decisions may be those of one person.
var (
	ErrUnproven   = errors.New("nothing tells this person from another")
	ErrSamePerson = errors.New("both are the same person")
	ErrOtherWay   = errors.New("one is known through Verified Access and the other through IAM, so they cannot be told apart")
)

// TwoPeople fails unless two decisions are surely those of two people.
//
// Only IAM Identity Center tells people apart: by the ID of a user, or by the name
// of a session of one of its roles, which Identity Center gives it (the user's, as
// CloudTrail shows it; no page of AWS promises more). Whoever takes another role
// names the session as they like, and could be two. Nothing says which session is
// which user, so both must be known in one way.
func TwoPeople(a, b Decision) error {
	wayOfA, whoIsA := a.known()
	wayOfB, whoIsB := b.known()
	switch {
	case whoIsA == "" || whoIsB == "":
		return ErrUnproven
	case wayOfA != wayOfB:
		return ErrOtherWay
	case strings.EqualFold(whoIsA, whoIsB):
		return ErrSamePerson
	}
	return nil
}

// Proven tells whether who decided could be told from everybody else.
func (d Decision) Proven() bool {
	_, who := d.known()
	return who != ""
}

// ssoRole begins the name of every role that Identity Center makes.
const ssoRole = "AWSReservedSSO_"

func (d Decision) known() (way, who string) {
	if id, ok := strings.CutPrefix(d.Identity, ByAccess); ok {
		return ByAccess, id
	}
	arn, ok := strings.CutPrefix(d.Identity, ByIAM)
	if !ok {
		return "", ""
	}
	part := strings.SplitN(arn, ":", 6) // arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION
	if len(part) != 6 || part[2] != "sts" {
		return "", ""
	}
	resource := strings.Split(part[5], "/")
	if len(resource) != 3 || resource[0] != "assumed-role" || !strings.HasPrefix(resource[1], ssoRole) {
		return "", ""
	}
	return ByIAM, resource[2]
}
