// Package scene is an account in memory with one incident open in it: where
// the steps that act on a decision are tested.
package scene

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/google/go-cmp/cmp"
)

const (
	Instance = "i-0aaaaaaaaaaaaaaaa"
	Stack    = "cordon"

	incidents = "cordon-incidents"
	decisions = "cordon-decisions"
	account   = "123456789012"
	region    = "eu-west-1"
	mac       = "mac"
)

// Evidence is the account into which snapshots are copied.
var Evidence = sim.EvidenceAccount{
	Role: "arn:aws:iam::999988887777:role/cordon-evidence", ExternalID: "external", Key: "arn:aws:kms:eu-west-1:999988887777:key/evidence",
	Transfer: "arn:aws:kms:eu-west-1:123456789012:key/transfer",
}

// AttachedAt is when the primary interface was attached, in every account here.
var AttachedAt = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// Scene is one account and its incident.
type Scene struct {
	*sim.Account
	Host     incident.Host
	Incident incident.Incident

	clock    *clock
	settings map[string]string
}

// clock goes on only by what is waited for.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time        { return c.now }
func (c *clock) Sleep(d time.Duration) { c.now = c.now.Add(d) }

// Open makes an account of the file and opens an incident about Instance.
// Faults are as in sim.ParseFault. Side by side is one after another here.
func Open(t testing.TB, file string, faults ...sim.Fault) *Scene {
	t.Helper()
	c := &clock{time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
	a, err := sim.Open(sim.Settings{Clock: c, Account: account, Region: region, Incidents: incidents, Decisions: decisions, MACKey: mac, Evidence: Evidence, Faults: faults}, []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{ //nolint:gosec // CREDENTIAL_ROLES holds a pattern, not a credential
		"EVIDENCE_BUCKET": "cordon-evidence", "SIGNING_KEY_ID": "signing", "INCIDENTS_TABLE": incidents, "DECISIONS_TABLE": decisions, "MAC_KEY_ID": mac, "STACK_NAME": Stack,
		"APPROVERS_FOR_TERMINATION": "1",
		"AUTO_SCALING_ACTION":       "standby", "AUTO_SCALING_CAPACITY": "shrink",
		"EVIDENCE_ROLE_ARN": Evidence.Role, "EVIDENCE_EXTERNAL_ID": Evidence.ExternalID, "EVIDENCE_KEY_ARN": Evidence.Key, "TRANSFER_KEY_ARN": Evidence.Transfer,
		"ISOLATE_ROLE":     "arn:aws:iam::123456789012:role/isolate",
		"CREDENTIAL_ROLES": "arn:aws:iam::123456789012:role/*",
		"RETENTION_DAYS":   "30", "LANGUAGE": "en", "TOPIC_ARN": fmt.Sprintf("arn:aws:sns:%s:%s:cordon", region, account),
	}
	s := &Scene{Account: a, clock: c, settings: settings, Host: incident.Host{
		Now: c.Now, Rand: rand.Reader, Getenv: func(name string) string { return settings[name] },
		Each: func(n int, f func(int)) {
			for i := range n {
				f(i)
			}
		},
	}}
	s.Incident = s.Next(t, 1, "")
	return s
}

// Fault reads SERVICE:ACTION#N=KIND.
func Fault(t testing.TB, text string) sim.Fault {
	t.Helper()
	f, err := sim.ParseFault(text)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Next opens a further incident about the same instance.
func (s *Scene) Next(t testing.TB, number int, inherits string) incident.Incident {
	t.Helper()
	inc := incident.Incident{
		ID: incident.NewID(incident.InstanceKey(account, region, Instance), number), Account: account, Region: region,
		InstanceID: Instance, AttachedAt: AttachedAt, OpenedAt: s.clock.now, Inherits: inherits,
	}
	if _, err := record.Claim(t.Context(), s.DynamoDB(), incidents, record.Head{Incident: inc, Execution: Execution}); err != nil {
		t.Fatal(err)
	}
	return inc
}

// Set changes one setting of the steps.
func (s *Scene) Set(name, value string) { s.settings[name] = value }

// Wait lets time go by.
func (s *Scene) Wait(d time.Duration) { s.clock.Sleep(d) }

// Head is the incident as the record has it.
func (s *Scene) Head(t testing.TB) record.Head {
	t.Helper()
	h, err := record.LoadHead(t.Context(), s.DynamoDB(), incidents, s.Incident.ID)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Note writes a decision on the head, as authorize does.
func (s *Scene) Note(t testing.TB, c incident.Choice) {
	t.Helper()
	if err := record.NoteDecision(t.Context(), s.DynamoDB(), incidents, Execution, incident.Decision{Incident: s.Incident.ID, Round: 1, Choice: c, DecidedAt: s.clock.now}); err != nil {
		t.Fatal(err)
	}
}

// Forget takes the note of a decision back, as where it was not carried out.
func (s *Scene) Forget(t testing.TB) {
	t.Helper()
	if err := record.WithdrawDecision(t.Context(), s.DynamoDB(), incidents, s.Incident.ID, Execution); err != nil {
		t.Fatal(err)
	}
}

// Save stores what a step would have.
func (s *Scene) Save(t testing.TB, step string, v any) {
	t.Helper()
	if err := record.SaveStep(t.Context(), s.DynamoDB(), incidents, s.Incident.ID, step, v); err != nil {
		t.Fatal(err)
	}
}

// Remember records a value as it was, as JSON.
func (s *Scene) Remember(t testing.TB, resource, attribute, value string) {
	t.Helper()
	_, err := record.Remember(t.Context(), s.DynamoDB(), incidents, s.Host, s.Incident, []record.Prior{{
		Resource: resource, Attribute: attribute, Value: []byte(value), At: s.clock.now,
	}})
	if err != nil {
		t.Fatal(err)
	}
}

// Priors are the recorded values, "RESOURCE ATTRIBUTE" to JSON.
func (s *Scene) Priors(t testing.TB) map[string]string {
	t.Helper()
	all, err := record.Priors(t.Context(), s.DynamoDB(), incidents, s.Incident.ID)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, p := range all {
		m[p.Resource+" "+p.Attribute] = string(p.Value)
	}
	return m
}

// Decide records a decision on request 1, sealed as the page seals it. Sealing
// comes after the changes of before, and before those of after.
func (s *Scene) Decide(t testing.TB, c incident.Choice, before, after func(*incident.Decision)) {
	t.Helper()
	d := s.seal(t, c, before, after)
	if _, err := record.Decide(t.Context(), s.DynamoDB(), decisions, d); err != nil {
		t.Fatal(err)
	}
}

func (s *Scene) seal(t testing.TB, c incident.Choice, before, after func(*incident.Decision)) incident.Decision {
	t.Helper()
	d := incident.Decision{
		Version:  incident.DecisionVersion,
		Incident: s.Incident.ID, Round: 1, InstanceID: Instance, AttachedAt: AttachedAt,
		Choice: c, Person: "Sato", Reason: "seen in the logs", DecidedAt: s.clock.now, ExpiresAt: s.clock.now.Add(7 * 24 * time.Hour),
	}
	if before != nil {
		before(&d)
	}
	out, err := s.KMS().GenerateMac(t.Context(), &kms.GenerateMacInput{KeyId: aws.String(mac), MacAlgorithm: types.MacAlgorithmSpecHmacSha256, Message: d.Signed()})
	if err != nil {
		t.Fatal(err)
	}
	d.MAC = out.Mac
	if after != nil {
		after(&d)
	}
	return d
}

// DecideFirst records the decision of the first of two people on request 1, sealed
// as the page seals it. Sealing comes after the changes.
func (s *Scene) DecideFirst(t testing.TB, c incident.Choice, change func(*incident.Decision)) incident.Decision {
	t.Helper()
	var d incident.Decision
	s.seal(t, c, change, func(made *incident.Decision) { d = *made })
	if _, err := record.DecideFirst(t.Context(), s.DynamoDB(), decisions, d); err != nil {
		t.Fatal(err)
	}
	return d
}

// Replay writes a decision under request 1 of the incident, whatever it says of
// itself.
func (s *Scene) Replay(t testing.TB, d incident.Decision) {
	t.Helper()
	body, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	item := map[string]dynamodbtypes.AttributeValue{}
	for k, v := range map[string]string{"pk": s.Incident.ID, "sk": "request#001", "body": string(body)} {
		item[k] = &dynamodbtypes.AttributeValueMemberS{Value: v}
	}
	if _, err := s.DynamoDB().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(decisions), Item: item}); err != nil {
		t.Fatal(err)
	}
}

// times are what two runs that took a different time may differ in.
var times = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z| GMT)`)

// World is the account as it is now, without times and the order of lists.
func (s *Scene) World(t testing.TB) string {
	t.Helper()
	b, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(times.ReplaceAll(b, []byte("TIME")), &v); err != nil {
		t.Fatal(err)
	}
	if b, err = json.MarshalIndent(ordered(v), "", "  "); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// ordered sorts every list in v by what it prints as.
func ordered(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = ordered(e)
		}
	case []any:
		for n, e := range v {
			v[n] = ordered(e)
		}
		slices.SortFunc(v, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	return v
}

// Changes are the calls from the given one on that changed something.
func (s *Scene) Changes(from int) []string {
	var all []string
	for _, c := range s.Calls()[from:] {
		if c.Mutating && c.Effective {
			all = append(all, c.Service+":"+c.Action)
		}
	}
	return all
}

// Kill is the kill test of a step. It takes each call by which an undisturbed
// run changes the world, lets it be refused, lets its answer be lost, and lets
// the invocation die before and after it; then runs again. World and output
// must be those of the undisturbed run.
func Kill[Out any](t *testing.T, open func(t *testing.T, faults ...sim.Fault) *Scene, run func(context.Context, *Scene) (Out, error)) {
	t.Helper()
	calm := open(t)
	from := len(calm.Calls())
	want, err := run(t.Context(), calm)
	if err != nil {
		t.Fatal(err)
	}
	calls := calm.Calls()[from:]
	world := calm.World(t)
	if !slices.ContainsFunc(calls, func(c sim.Call) bool { return c.Mutating }) {
		t.Fatal("the undisturbed run changes nothing: there is nothing to kill")
	}
	if again, err := run(t.Context(), calm); err != nil {
		t.Errorf("run again after an undisturbed run: %v", err)
	} else if d := cmp.Diff(want, again) + cmp.Diff(world, calm.World(t)); d != "" {
		t.Errorf("run again after an undisturbed run (-once +twice):\n%s", d)
	}
	for _, c := range calls {
		if !c.Mutating {
			continue
		}
		for _, kind := range []sim.Kind{sim.Denied, sim.Throttled, sim.Lost, sim.KilledBefore, sim.KilledAfter} {
			f := sim.Fault{Service: c.Service, Action: c.Action, Number: c.Number, Kind: kind}
			t.Run(f.String(), func(t *testing.T) {
				s := open(t, f)
				ctx, end := context.WithCancel(t.Context())
				defer end()
				// Whatever the first run says, the machine may run the step again.
				_, first := run(sim.WithInvocation(ctx, &sim.Invocation{Function: "step", Kill: end}), s)
				got, err := run(t.Context(), s)
				if err != nil {
					t.Fatalf("the second run fails: %v\nafter the first: %v", err, first)
				}
				if len(s.Unmet()) > 0 {
					t.Fatal("the fault never hit")
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Errorf("output (-undisturbed +disturbed):\n%s", d)
				}
				if d := cmp.Diff(world, s.World(t)); d != "" {
					t.Errorf("world (-undisturbed +disturbed):\n%s", d)
				}
			})
		}
	}
}

// Refusal is the error by which a reason is told from others: silence is no refusal.
func Refusal(why string) incident.Error {
	if why == "nobody has decided" {
		return incident.ErrUndecided
	}
	return incident.ErrRefused
}

// Execution is that of every incident here.
const Execution = "arn:aws:states:eu-west-1:123456789012:execution:cordon:run-1"

// AskBefore opens request 1 as one for a decision before anything is isolated,
// and notes that the execution waits for it.
func (s *Scene) AskBefore(t testing.TB) {
	t.Helper()
	r := record.Request{Incident: s.Incident.ID, Round: 1, Before: "too many", OpenedAt: s.clock.now, ExpiresAt: s.clock.now.Add(24 * time.Hour)}
	if _, err := record.OpenRequest(t.Context(), s.DynamoDB(), incidents, r); err != nil {
		t.Fatal(err)
	}
	if err := record.Ask(t.Context(), s.DynamoDB(), incidents, s.Incident.ID, Execution); err != nil {
		t.Fatal(err)
	}
}

// TakeOver gives the incident to another execution, as enrich does for a
// critical finding.
func (s *Scene) TakeOver(t testing.TB) {
	t.Helper()
	if err := record.TakeOverAsking(t.Context(), s.DynamoDB(), incidents, s.Incident.ID, Execution, "arn:another", s.clock.now); err != nil {
		t.Fatal(err)
	}
}

// Reopen gives the incident to an execution that asks people once more.
func (s *Scene) Reopen(t testing.TB, to string) {
	t.Helper()
	if err := record.Reopen(t.Context(), s.DynamoDB(), incidents, s.Head(t), to); err != nil {
		t.Fatal(err)
	}
}

// Ask opens a request for a decision.
func (s *Scene) Ask(t testing.TB, round int) {
	t.Helper()
	r := record.Request{Incident: s.Incident.ID, Round: round, OpenedAt: s.clock.now, ExpiresAt: s.clock.now.Add(24 * time.Hour)}
	if _, err := record.OpenRequest(t.Context(), s.DynamoDB(), incidents, r); err != nil {
		t.Fatal(err)
	}
}
