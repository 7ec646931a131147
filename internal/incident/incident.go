// Package incident holds the nouns that every part of Cordon shares: the
// finding, the incident, what was done and how far it came. It imports the
// standard library only.
package incident

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Finding is what is used of one GuardDuty finding. Titles and descriptions are
// written by whoever named the resources: hostile text until it is escaped.
type Finding struct {
	ID          string    `json:"id"`
	Type        string    `json:"type"`
	Severity    float64   `json:"severity"`  // 1.0 to 10.0
	AccountID   string    `json:"accountId"` // owner of the instance
	Region      string    `json:"region"`
	InstanceID  string    `json:"instanceId"` // empty where the finding names none
	Title       string    `json:"title"`
	Description string    `json:"description"`
	Role        string    `json:"role"`      // TARGET or ACTOR; empty when not told
	Count       int       `json:"count"`     // how often GuardDuty saw it; 0 when not told
	UpdatedAt   string    `json:"updatedAt"` // as received; formats drift
	EventID     string    `json:"eventId"`   // of the EventBridge envelope
	EventTime   time.Time `json:"eventTime"`
}

// Incident is one compromised machine from the first finding to its ending.
type Incident struct {
	ID         string    `json:"id"` // ACCOUNT.REGION.INSTANCE.NUMBER
	Account    string    `json:"account"`
	Region     string    `json:"region"`
	InstanceID string    `json:"instanceId"`
	AttachedAt time.Time `json:"attachedAt"` // of the primary interface: tells a machine from its successor
	Root       string    `json:"root"`       // ID of the root volume when it was opened; empty where there was none
	Inherits   string    `json:"inherits"`   // the earlier incident, kept isolated or released in part, whose prior values are still the true ones; or empty
	OpenedAt   time.Time `json:"openedAt"`
	Finding    Finding   `json:"finding"` // the one that opened it
}

// InstanceKey is the key under which all incidents of one instance stand.
func InstanceKey(account, region, instanceID string) string {
	return account + "." + region + "." + instanceID
}

// NewID names the incident with that number of an instance.
func NewID(instanceKey string, number int) string {
	return instanceKey + "." + strconv.Itoa(number)
}

// SplitID is the inverse of NewID.
func SplitID(id string) (instanceKey string, number int, err error) {
	i := strings.LastIndexByte(id, '.')
	if i < 0 || strings.Count(id, ".") != 3 {
		return "", 0, fmt.Errorf("incident ID %q: want ACCOUNT.REGION.INSTANCE.NUMBER", id)
	}
	for _, part := range strings.Split(id[:i], ".") {
		if part == "" {
			return "", 0, fmt.Errorf("incident ID %q: want ACCOUNT.REGION.INSTANCE.NUMBER, none of them empty", id)
		}
	}
	number, err = strconv.Atoi(id[i+1:])
	// One incident has one ID: not +1, not 01.
	if err != nil || number < 1 || NewID(id[:i], number) != id {
		return "", 0, fmt.Errorf("incident ID %q: %q is not an incident number", id, id[i+1:])
	}
	return id[:i], number, nil
}

// Instance is what a responder wants to see of the machine, as described.
type Instance struct {
	ID        string            `json:"id"`
	Name      string            `json:"name"` // tag Name; hostile text
	Type      string            `json:"type"`
	Platform  string            `json:"platform"` // "linux" or "windows"
	State     string            `json:"state"`
	Lifecycle string            `json:"lifecycle"` // "normal", "spot", "scheduled"
	Metadata  Metadata          `json:"metadata"`
	Tags      map[string]string `json:"tags"` // hostile text
	VPCs      []string          `json:"vpcs"`
}

// Metadata says how an instance's metadata service answers; empty is not known.
type Metadata string

const (
	MetadataOff Metadata = "off"
	MetadataV1  Metadata = "IMDSv1" // to whoever asks, without a token
	MetadataV2  Metadata = "IMDSv2"
)

// Capture says of one VPC whether memory can be captured under isolation there,
// and what an interface in its capture group may reach, TCP 443 only.
type Capture struct {
	VPC      string   `json:"vpc"`
	Complete bool     `json:"complete"`
	Reason   string   `json:"reason"`   // why not, when not complete
	Prefixes []string `json:"prefixes"` // prefix-list IDs (gateway endpoints)
	CIDRs    []string `json:"cidrs"`    // addresses of interface endpoints, /32 and /128, and Central
	Groups   []string `json:"groups"`   // groups of endpoints whose addresses could not be described
	Notes    []string `json:"notes"`    // what stays open through these endpoints
	Central  []string `json:"central"`  // those of CIDRs that are networks of a central VPC, not addresses
	Assumed  []string `json:"assumed"`  // what was taken for granted of central endpoints; empty where all was seen
}

// Status is how far a step came.
type Status string

const (
	OK      Status = "ok"
	Partial Status = "partial"
	Failed  Status = "failed"
	Skipped Status = "skipped"
)

// Report is the part of a step's output that people are told. Reason is empty
// only when Status is OK.
type Report struct {
	Status Status `json:"status"`
	Reason string `json:"reason"`
}

// Interface is one network interface as isolate left it.
type Interface struct {
	ID     string   `json:"id"`
	VPC    string   `json:"vpc"`
	Groups []string `json:"groups"` // as last described
	Where  Place    `json:"where"`
	Reason string   `json:"reason"` // why it is not contained
	// Remains is why it is less cut off than it should be, although contained:
	// connections that may live on, no capture.
	Remains string `json:"remains"`
}

// Place is where an interface stands.
type Place string

const (
	Quarantined Place = "quarantine" // nothing in, nothing out
	Capturing   Place = "capture"    // nothing in; out TCP 443 to the listed endpoints
	Open        Place = "open"       // not contained
)

// Isolation is what isolate found when it looked last.
type Isolation struct {
	Report
	Contained  bool        `json:"contained"` // every interface quarantined or capturing
	Sealed     bool        `json:"sealed"`    // every interface quarantined
	Interfaces []Interface `json:"interfaces"`
	Repaired   []string    `json:"repaired"`  // what had been undone by others since and was put right
	StaysOpen  []string    `json:"staysOpen"` // codes of message: what isolation does not stop
	At         time.Time   `json:"at"`
	Since      time.Time   `json:"since"`    // when it was first found contained; zero while it never was
	SealedAt   time.Time   `json:"sealedAt"` // when it was first found sealed

	Drifts      int       `json:"drifts"`      // how often a look found it undone by others
	Undone      []string  `json:"undone"`      // interfaces and groups that the newest such look found undone
	UndoneSince time.Time `json:"undoneSince"` // when they were last seen as they should be
	UndoneAt    time.Time `json:"undoneAt"`
}

// Exposure is what isolation leaves open around an instance.
type Exposure struct {
	Report
	Openings []Opening `json:"openings"`
}

// Opening is one way that may be open, as far as it could be found out.
type Opening struct {
	What   string      `json:"what"` // code of message
	State  Established `json:"state"`
	Detail string      `json:"detail"` // what was found, or why it is not known; tags are hostile text
}

// Established says whether something could be found out.
type Established string

const (
	Found   Established = "found"
	None    Established = "none"
	Unknown Established = "unknown"
)

// Drift is one time that others undid an isolation. It was put right at once.
type Drift struct {
	Number  int       `json:"number"` // of the incident's drifts, from 1
	Undone  []string  `json:"undone"` // interfaces and groups
	Since   time.Time `json:"since"`  // when they were last seen as they should be
	At      time.Time `json:"at"`     // when they were found undone
	By      []Doer    `json:"by"`     // empty while nobody is known
	Unknown string    `json:"unknown"`
}

// Doer is who undid something, as CloudTrail has it. Session names are chosen by
// whoever took the role: hostile text.
type Doer struct {
	Who    string    `json:"who"`    // ARN, or a service
	Action string    `json:"action"` // name of the call
	From   string    `json:"from"`   // address, or a service
	At     time.Time `json:"at"`
}

// Snapshot is one EBS snapshot of the incident's set.
type Snapshot struct {
	ID        string `json:"id"`
	VolumeID  string `json:"volumeId"`
	Device    string `json:"device"`
	State     string `json:"state"`    // pending, completed, error
	Progress  string `json:"progress"` // "100%"
	Encrypted bool   `json:"encrypted"`
	KMSKey    string `json:"kmsKey"` // whoever may disable it destroys the evidence
	Locked    bool   `json:"locked"`
	Duplicate bool   `json:"duplicate"` // of a set made twice because an answer was lost

	StartedAt   time.Time `json:"startedAt"`   // the moment that it shows of the volume
	CompletedAt time.Time `json:"completedAt"` // when EC2 says it was; else when a look first saw it so; zero until then
	Reason      string    `json:"reason"`      // why it failed; empty if it did not
	Superseded  bool      `json:"superseded"`  // it failed, and was made again
}

// Volume is an EBS volume that a look saw attached to the instance.
type Volume struct {
	ID       string   `json:"id"`
	Device   string   `json:"device"`   // where it was seen last
	Attached bool     `json:"attached"` // as last seen
	Gone     bool     `json:"gone"`     // it does not exist any more
	Deleted  bool     `json:"deleted"`  // it would be deleted with the instance, as last seen
	Shared   []string `json:"shared"`   // other instances that it is attached to
}

// Note is what a reader of the evidence must know of it.
type Note struct {
	What   string `json:"what"`   // code of message
	Detail string `json:"detail"` // what was found, or why it is not known
}

// Snapshots is how far the incident's snapshots are.
type Snapshots struct {
	Report
	Done     bool       `json:"done"`     // nothing is left to wait for
	Complete bool       `json:"complete"` // every volume has a completed snapshot
	Released bool       `json:"released"` // ended early by a standing release
	Set      []Snapshot `json:"set"`
	Missing  []string   `json:"missing"` // volumes without a snapshot that is completed or under way
	NotIn    []string   `json:"notIn"`   // instance-store devices: never in a snapshot
	Volumes  []Volume   `json:"volumes"` // all that were ever seen attached
	Notes    []Note     `json:"notes"`
	Refusals int        `json:"refusals"` // looks in a row at which a snapshot could not be made again
}

// Custody is how far the copies in the evidence account are. While Done is false
// Status is OK and Reason says what is under way.
type Custody struct {
	Report
	Done     bool      `json:"done"`
	Off      bool      `json:"off"`      // no evidence account is configured
	Decided  bool      `json:"decided"`  // a decision stands, which must not wait for copies
	Released bool      `json:"released"` // a release ended them
	Account  string    `json:"account"`  // the evidence account's ID
	Copies   []Copy    `json:"copies"`
	BegunAt  time.Time `json:"begunAt"`
	Refusals int       `json:"refusals"` // looks in a row at which something was refused
}

// Copy is a snapshot's way into the evidence account: copied here under a key
// that can be shared, and from there, by the evidence account, under its own.
type Copy struct {
	Source   string    `json:"source"` // the incident's snapshot
	VolumeID string    `json:"volumeId"`
	Device   string    `json:"device"`
	State    CopyState `json:"state"`
	Transfer string    `json:"transfer"` // the copy in this account; deleted once the other is locked
	ID       string    `json:"id"`       // the copy in the evidence account
	Progress string    `json:"progress"`
	KMSKey   string    `json:"kmsKey"` // of the evidence account
	Locked   bool      `json:"locked"`
	Reason   string    `json:"reason"`
	AskedAt  time.Time `json:"askedAt"` // when the newest of both was asked for
}

// CopyState is how far a copy is.
type CopyState string

const (
	Waiting      CopyState = "waiting"      // not begun
	Transferring CopyState = "transferring" // on its way under the key that is shared
	Copying      CopyState = "copying"      // on its way in the evidence account
	Copied       CopyState = "copied"
	NotCopied    CopyState = "failed" // given up
)

// Memory is how far the memory capture is. Status is Skipped, Partial or Failed
// with the reason, or OK; while Done is false it is OK and Reason says what is
// under way.
type Memory struct {
	Report
	Done     bool   `json:"done"`
	Released bool   `json:"released"` // ended early by a standing release
	Object   string `json:"object"`   // key in the evidence bucket
	Bytes    int64  `json:"bytes"`
	Parts    int    `json:"parts"`
	SHA256   string `json:"sha256"` // as the host reported it: a claim
	Triage   Kept   `json:"triage"` // text about the host where there can be no image; a claim, too

	BegunAt   time.Time `json:"begunAt"`   // when the host was about to be told to begin; zero before
	ClaimedAt time.Time `json:"claimedAt"` // when the host's agent says that the capture ended: a claim; zero where it said nothing
	EndedAt   time.Time `json:"endedAt"`   // when we found that it had, and what it had come to; zero while it is under way
}

// CaptureRecord is what the memory step keeps in the record, as far as others read it.
type CaptureRecord struct {
	SentAt time.Time `json:"sentAt"`
	Seen   struct {
		Parts int   `json:"parts"`
		Bytes int64 `json:"bytes"`
	} `json:"seen"`
	Outcome *Memory `json:"outcome"` // what it will have been once the upload is ended
	Result  *Memory `json:"result"`  // what it was
}

// Memory is how far the capture is.
func (c CaptureRecord) Memory() Memory {
	switch {
	case c.Result != nil:
		return *c.Result
	case c.Outcome != nil:
		m := *c.Outcome
		m.Done = false
		return m
	}
	return Memory{Report: Report{Status: OK, Reason: "under way"}, Bytes: c.Seen.Bytes, Parts: c.Seen.Parts, BegunAt: c.SentAt}
}

// Digest is what the memory image was found to be, next to what the host said.
type Digest struct {
	Report
	Done    bool   `json:"done"`
	Bytes   int64  `json:"bytes"`   // hashed so far
	SHA256  string `json:"sha256"`  // of the object in the bucket; empty until it is done
	Claimed string `json:"claimed"` // by the host; empty if it said nothing
	Agrees  bool   `json:"agrees"`
}

// Console is what could be had of an instance's console.
type Console struct {
	Report
	Output     Kept `json:"output"`     // text, as the serial console or the system log had it
	Screenshot Kept `json:"screenshot"` // JPEG
}

// Kept is one object of the evidence bucket, or why there is none.
type Kept struct {
	Report
	Object string    `json:"object"` // key in the evidence bucket; empty where nothing was kept
	Bytes  int64     `json:"bytes"`
	SHA256 string    `json:"sha256"` // lower-case hex, of the object
	At     time.Time `json:"at"`     // when it was kept
}

// Evidence is what was taken of an instance, and what was not.
type Evidence struct {
	Snapshots Snapshots
	Custody   Custody
	Memory    Memory
	Digest    Digest
	Console   Console
}

// Protection is what preserve did to keep the instance alive for evidence.
type Protection struct {
	Report
	Set     []string `json:"set"`     // what is now as it should be
	Refused []string `json:"refused"` // "what: why"
	Scaling Scaling  `json:"scaling"` // whether an Auto Scaling group may end it
	Hazards []string `json:"hazards"` // what may end it all the same, and what the group does meanwhile
}

// Scaling is how an instance stands to an Auto Scaling group. Empty is not known.
type Scaling string

const (
	Ungrouped Scaling = "none"     // it is in no group
	Standby   Scaling = "standby"  // in its group, out of service: no health check ends it
	Detached  Scaling = "detached" // taken out of its group
	InService Scaling = "service"  // its group may end it
)

// What preserve records besides attributes of EC2, as the first word of a prior's
// attribute.
const (
	PriorMembership = "autoScalingGroup" // a Membership
	PriorTarget     = "target"           // a Target; ID and port follow
	PriorClassic    = "classicBalancer"  // true, under the balancer's name
	PriorRolePolicy = "rolePolicy"       // name of the inline policy that credentials writes, under its role
)

// Membership is an instance's place in an Auto Scaling group before it was taken
// out of service.
type Membership struct {
	Group    string `json:"group"`
	Detached bool   `json:"detached"` // taken out of the group; else put in standby
	Desired  *int32 `json:"desired"`  // capacity of the group then; null where it could not be read
}

// Target is one place where a balancer sent work to an instance.
type Target struct {
	Group string `json:"group"` // ARN of a target group
	ID    string `json:"id"`    // of the instance, or an address of it
	Port  int32  `json:"port"`
}

// Credentials is what was done about the credentials of the instance's own role.
type Credentials struct {
	Report
	State  Denial   `json:"state"`  // as last verified
	Role   string   `json:"role"`   // ARN; empty if it has none
	Policy string   `json:"policy"` // inline policy of that role that denies
	Shared []string `json:"shared"` // other instances with that role: not affected
}

// Denial says how much the credentials of one instance are denied.
type Denial string

const (
	Allowed  Denial = "allowed"  // nothing is denied
	Narrowed Denial = "narrowed" // all but what the SSM agent needs
	Denied   Denial = "denied"   // everything
)

// Restoration is what release put back.
type Restoration struct {
	Report
	Connected bool     `json:"connected"` // every interface has its own groups again
	Restored  []string `json:"restored"`
	NotBack   []string `json:"notBack"` // "what: why"
	Person    string   `json:"person"`  // who decided, as verified
	Because   string   `json:"because"` // why, as typed
}

// Problem is an error as Step Functions hands it to a Catch.
type Problem struct {
	Error string `json:"Error"`
	Cause string `json:"Cause"`
}
