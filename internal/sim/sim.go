// Package sim is an AWS account in memory: the services that the steps call,
// as far as they call them. It answers what AWS answers, not what the steps
// expect, and fails on calls and parameters that it does not know. The clients
// have the method signatures of the SDK's own.
//
// An Account is for one task at a time: whoever runs several side by side runs
// one until it sleeps or ends. Same settings, same file, same order of calls:
// same answers, byte for byte.
package sim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/smithy-go"
)

// Clock is the only time there is.
type Clock interface {
	Now() time.Time
	Sleep(time.Duration)
}

// Settings are what is fixed before a run. Every zero value but Clock has a
// default, given with the field.
type Settings struct {
	Clock      Clock
	Seed       uint64
	Account    string            // 123456789012
	Region     string            // eu-west-1
	Incidents  string            // table name; cordon-incidents
	Decisions  string            // table name; cordon-decisions
	Bucket     string            // of the evidence; cordon-evidence
	Topic      string            // ARN; topic cordon of the account and Region
	Escalation string            // ARN of the topic of those who are told when nobody decides; topic cordon-escalation
	DataKey    string            // ID of the key that encrypts; data
	MACKey     string            // ID of the key that authenticates; mac
	SigningKey string            // ID of the key that signs; signing
	Roles      map[string]string // ARN of a function's role; of the function's name
	Evidence   EvidenceAccount   // none
	Faults     []Fault
	Storms     []Storm
}

// EvidenceAccount is a second account, into which snapshots are copied.
type EvidenceAccount struct {
	Role       string // ARN of the role that may be assumed there
	ExternalID string // without which it may not
	Key        string // ARN of its key
	Transfer   string // ARN of the key of the first account that it may use
}

func (s Settings) withDefaults() Settings {
	s.Account = cmp.Or(s.Account, "123456789012")
	s.Region = cmp.Or(s.Region, "eu-west-1")
	s.Incidents = cmp.Or(s.Incidents, "cordon-incidents")
	s.Decisions = cmp.Or(s.Decisions, "cordon-decisions")
	s.Bucket = cmp.Or(s.Bucket, "cordon-evidence")
	s.Topic = cmp.Or(s.Topic, "arn:aws:sns:"+s.Region+":"+s.Account+":cordon")
	s.Escalation = cmp.Or(s.Escalation, "arn:aws:sns:"+s.Region+":"+s.Account+":cordon-escalation")
	s.DataKey = cmp.Or(s.DataKey, "data")
	s.MACKey = cmp.Or(s.MACKey, "mac")
	s.SigningKey = cmp.Or(s.SigningKey, "signing")
	return s
}

// Account is the account: its services, and what has been done in it.
type Account struct {
	settings Settings
	faults   map[Fault]Kind // by what they hit, which is a fault without its kind
	calls    []*Call
	started  map[string]int // calls so far, by SERVICE:ACTION
	attempts map[string]int // calls so far, by action and resources
	mails    []Mail
	unknown  *Unknown                   // the first call that nobody here knows
	happened map[string]int             // what went wrong or was done by others
	stormed  []bool                     // which of the storms refused a call
	others   map[string]json.RawMessage // keys of the account file that nobody here knows

	ec2      *EC2
	dynamodb *DynamoDB
	s3       *S3
	sns      *SNS
	kms      *KMS
	sfn      *SFN
	ssm      *SSM
	sts      *STS

	autoscaling *AutoScaling
	balancers   *ElasticLoadBalancingV2
	classics    *ElasticLoadBalancing
	iam         *IAM
	cloudtrail  *CloudTrail
	access      *VerifiedAccess
}

func (a *Account) EC2() *EC2           { return a.ec2 }
func (a *Account) DynamoDB() *DynamoDB { return a.dynamodb }
func (a *Account) S3() *S3             { return a.s3 }
func (a *Account) SNS() *SNS           { return a.sns }
func (a *Account) KMS() *KMS           { return a.kms }
func (a *Account) SFN() *SFN           { return a.sfn }
func (a *Account) SSM() *SSM           { return a.ssm }
func (a *Account) STS() *STS           { return a.sts }

// Elsewhere is EC2 in the evidence account, for whoever has credentials of it.
func (a *Account) Elsewhere() *EC2 { return a.sts.there }

// Use gives the account another clock: for those who look at it when a run is
// over and its clock stands still.
func (a *Account) Use(c Clock) { a.settings.Clock = c }

func (a *Account) CloudTrail() *CloudTrail                         { return a.cloudtrail }
func (a *Account) IAM() *IAM                                       { return a.iam }
func (a *Account) AutoScaling() *AutoScaling                       { return a.autoscaling }
func (a *Account) ElasticLoadBalancingV2() *ElasticLoadBalancingV2 { return a.balancers }
func (a *Account) ElasticLoadBalancing() *ElasticLoadBalancing     { return a.classics }

// role is the ARN of a function's role.
func (a *Account) role(function string) string {
	return cmp.Or(a.settings.Roles[function], "arn:aws:iam::"+a.account()+":role/"+function)
}

func (a *Account) now() time.Time  { return a.settings.Clock.Now() }
func (a *Account) seed() uint64    { return a.settings.Seed }
func (a *Account) account() string { return a.settings.Account }
func (a *Account) region() string  { return a.settings.Region }

// Call is one call as it went. Input and Output are the SDK's structs: they may
// hold secrets and are for looking at, never for printing.
type Call struct {
	Service   string // the SDK's package name
	Action    string
	Mutating  bool
	Number    int // of the calls of this action, from 1 in order of start
	At        time.Time
	Ended     time.Time
	Made      time.Time // when the effect was; zero where there was none
	Error     string    // the code; empty when there was none
	Effective bool      // the effect was made, whatever was answered
	Resources []string  // IDs, sorted
	By        *Invocation
	Input     any
	Output    any // nil where the effect was not made or was an error
}

// Calls are all calls, in order of start.
func (a *Account) Calls() []Call {
	all := make([]Call, len(a.calls))
	for n, c := range a.calls {
		all[n] = *c
	}
	return all
}

// Mail is one message as the topic accepted it.
type Mail struct {
	At      time.Time
	Topic   string // ARN of the topic whose subscribers get it
	Subject string
	Body    string
}

// Mails are all mails, in order of time.
func (a *Account) Mails() []Mail { return slices.Clone(a.mails) }

// mail keeps a message and answers its ID.
func (a *Account) mail(topic, subject, body string) string {
	a.mails = append(a.mails, Mail{a.now(), topic, subject, body})
	h := a.token("mail", len(a.mails))
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:32]
}

// Invocation is one run of a function. Kill ends it: its context is ended when Kill returns.
type Invocation struct {
	Function  string
	Kill      func()
	Execution string    // ARN of the execution of a state machine that asked for it; empty if none did
	Began     time.Time // its first line
}

type invocationKey struct{}

// WithInvocation tells the account who makes the calls under this context.
func WithInvocation(ctx context.Context, i *Invocation) context.Context {
	return context.WithValue(ctx, invocationKey{}, i)
}

func invocation(ctx context.Context) *Invocation {
	i, _ := ctx.Value(invocationKey{}).(*Invocation)
	return i
}

// token is 64 hexadecimal digits that look drawn and are a function of the seed
// and what they are for.
func (a *Account) token(what ...any) string {
	h := hash(a.seed(), what...)
	return hex.EncodeToString(h[:])
}

func hash(seed uint64, what ...any) [sha256.Size]byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 256), seed)
	for _, w := range what {
		at := len(b)
		b = binary.BigEndian.AppendUint32(b, 0)
		switch w := w.(type) { // as fmt writes it
		case string:
			b = append(b, w...)
		case int:
			b = strconv.AppendInt(b, int64(w), 10)
		default:
			b = fmt.Append(b, w)
		}
		binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-4))
	}
	return sha256.Sum256(b)
}

// forever is how long a call waits that nobody's deadline ends.
const forever = 15 * time.Minute

// call makes a call of the API. The effect is made once, in the middle of the
// call's latency, unless the context has ended by then or a fault forbids it.
// stale asks a read to answer from before the newest write.
func (a *Account) call(ctx context.Context, op operation, in any, effect func(stale bool) (any, error)) error {
	name := op.service + ":" + op.action
	if err := ctx.Err(); err != nil {
		// The SDK sends nothing under an ended context: this is no call.
		return op.wrap(&smithy.CanceledError{Err: err})
	}
	a.started[name]++
	c := &Call{
		Service: op.service, Action: op.action, Mutating: op.mutating, Number: a.started[name],
		At: a.now(), Resources: resources(op.resources), By: invocation(ctx), Input: in,
	}
	a.calls = append(a.calls, c)
	fault, storm := a.faults[Fault{Service: op.service, Action: op.action, Number: c.Number}], a.storming(name, c.By)
	if fault != "" && fault != Stale { // which is counted where there is something to be stale about
		a.happened["fault "+string(fault)]++
	}

	key := name + " " + strings.Join(c.Resources, " ")
	a.attempts[key]++
	latency := a.latency(op, key, a.attempts[key])

	answer := func() error {
		a.settings.Clock.Sleep(latency / 2)
		switch {
		case fault == KilledBefore:
			return kill(ctx)
		case fault == Timeout:
			return a.wait(ctx)
		case ctx.Err() != nil:
			return &smithy.CanceledError{Err: ctx.Err()}
		}
		if err := refusalOf(fault, op); err != nil {
			return err
		}
		// What a storm refuses has no effect, whatever becomes of the answer.
		err, out := a.refusedBy(storm, op), any(nil)
		if err == nil {
			out, err = effect(fault == Stale)
		}
		if err == nil {
			c.Effective, c.Output, c.Made = true, out, a.now()
		}
		switch fault {
		case KilledAfter:
			return kill(ctx)
		case Late:
			return a.wait(ctx)
		}
		a.settings.Clock.Sleep(latency - latency/2)
		switch {
		case ctx.Err() != nil:
			return &smithy.CanceledError{Err: ctx.Err()}
		case fault == Lost:
			return lostAnswer()
		}
		return err
	}
	err := answer()
	c.Ended, c.Error = a.now(), code(err)
	if err != nil {
		return op.wrap(err)
	}
	return nil
}

// kill ends the invocation that makes the call.
func kill(ctx context.Context) error {
	if i := invocation(ctx); i != nil && i.Kill != nil {
		i.Kill()
	}
	return &smithy.CanceledError{Err: cmp.Or(ctx.Err(), context.Canceled)}
}

// wait ends when the context does.
func (a *Account) wait(ctx context.Context) error {
	d := forever
	if end, ok := ctx.Deadline(); ok {
		d = min(d, max(0, end.Sub(a.now())))
	}
	a.settings.Clock.Sleep(d)
	return &smithy.CanceledError{Err: cmp.Or(ctx.Err(), context.DeadlineExceeded)}
}

// latencies are from how long to how long a service takes, in milliseconds.
var latencies = map[string][2]int{
	"ec2": {25, 120}, "ssm": {25, 100}, "s3": {15, 60}, "dynamodb": {5, 15}, "sns": {10, 40}, "kms": {5, 20}, "sfn": {10, 40},
	"autoscaling": {40, 150}, "iam": {30, 120}, "elasticloadbalancing": {30, 120}, "elasticloadbalancingv2": {30, 120}, "cloudtrail": {100, 500}, "sts": {20, 80},
}

// latency is how long a call takes, both ways.
func (a *Account) latency(op operation, key string, attempt int) time.Duration {
	between := latencies[op.service]
	h := hash(a.seed(), "latency", key, attempt)
	us := (between[1] - between[0]) * 1000
	return time.Duration(between[0])*time.Millisecond + time.Duration(binary.BigEndian.Uint64(h[:8])%uint64(us+1))*time.Microsecond
}

// resources are the IDs that a call concerns, sorted, each once.
func resources(ids []string) []string {
	all := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return id == "" })
	slices.Sort(all)
	return slices.Compact(all)
}

// code names an error as a trace does: the service's code, else what kept the answer away.
func code(err error) string {
	var api smithy.APIError
	switch {
	case err == nil:
		return ""
	case errors.As(err, &api):
		return api.ErrorCode()
	case errors.Is(err, context.DeadlineExceeded):
		return "DeadlineExceeded"
	case errors.Is(err, context.Canceled):
		return "Canceled"
	}
	return "RequestSendError"
}
