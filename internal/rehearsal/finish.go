package rehearsal

import (
	"bytes"
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/asl"
	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// since is a moment as the contract gives it.
func (w *world) since(t time.Time) Seconds { return Seconds(t.Sub(w.start).Seconds()) }

// watch tells whoever looks on, changes first.
func (w *world) watch(m Moment) {
	if w.Watch == nil {
		return
	}
	var over []sim.Call
	for n, c := range w.account.Calls() {
		if !c.Ended.IsZero() && !w.shown[n] {
			w.shown[n] = true
			if c.Mutating && outside(c) {
				over = append(over, c)
			}
		}
	}
	slices.SortStableFunc(over, func(a, b sim.Call) int { return a.Ended.Compare(b.Ended) })
	for _, c := range over {
		w.Watch(Moment{At: c.Ended.Sub(w.start), Kind: Changed, Name: c.Action, Detail: strings.Join(c.Resources, " "), Reason: c.Error})
	}
	m.At = w.clock.Now().Sub(w.start)
	w.Watch(m)
}

// finish makes the result and judges it.
func (w *world) finish() (Result, error) {
	r := &w.result
	r.InstanceID = w.finding.InstanceID
	if !w.Brief {
		var err error
		if r.Account, err = w.account.JSON(); err != nil {
			return Result{}, err
		}
	}
	calls := w.account.Calls()
	for _, c := range calls {
		call := Call{Service: c.Service, Action: c.Action, Mutating: c.Mutating, At: w.since(c.At), Error: c.Error, Resources: append([]string{}, c.Resources...), Number: c.Number}
		if c.By != nil {
			call.By = c.By.Function
		}
		r.Calls = append(r.Calls, call)
	}
	if u := w.account.Unknown(); u != nil {
		return Result{}, fmt.Errorf("the rehearsal ends here: %w", u)
	}
	if w.first != nil {
		if refused := w.first.Result().Refused; refused != "" {
			return Result{}, fmt.Errorf("the rehearsal ends here, at a limit of the interpreter: %s", refused)
		}
	}
	t, err := w.trace(calls)
	if err != nil {
		return Result{}, err
	}
	r.Ending, r.Status = t.Ending, t.Status
	if t.Status == running {
		r.Status = ""
	}
	at := func(kinds ...string) *Seconds {
		if when, ok := t.contained(kinds...); ok {
			s := w.since(when)
			return &s
		}
		return nil
	}
	r.IsolatedAt, r.SealedAt = at("quarantine", "capture"), at("quarantine")
	for _, i := range Invariants {
		if how := i.Broken(t); how != "" {
			r.Violations = append(r.Violations, i.Name)
			r.Broken = append(r.Broken, i.Name+": "+how)
		}
	}
	if unmet := w.account.Unmet(); len(unmet) > 0 && w.Script == nil {
		return Result{}, fmt.Errorf("fault %v: that call was never made; count the calls with --json", unmet[0])
	}
	r.Evidence, r.History = evidence(t), t.History
	r.Happened, r.Idle = w.tally(), w.idle()
	if w.Script != nil {
		r.people = w.Script.People
	}
	if !w.Brief {
		if r.Report, err = w.report(); err != nil {
			return Result{}, err
		}
	}
	if w.Keep {
		r.Bucket, err = w.bucket()
	}
	return *r, err
}

// tally counts what was done to the run, and came to something.
func (w *world) tally() map[string]int {
	all := w.account.Happened()
	maps.Copy(all, w.happened)
	for _, e := range w.executions {
		if states := e.Result().States; e != w.first && len(states) > 0 {
			all["event more, "+states[len(states)-1].State]++
		}
	}
	return all
}

// report is the page that closing wrote into the evidence bucket, the last one by
// name if it closed more than once; nil if it did not.
func (w *world) report() ([]byte, error) {
	pages, _, err := w.stored("/reports/")
	if err != nil || len(pages) == 0 {
		return nil, err
	}
	return pages[slices.Max(slices.Collect(maps.Keys(pages)))], nil
}

// stored are the objects of the evidence bucket with in somewhere in their keys,
// and the keys of those of which the model has no bytes.
func (w *world) stored(in string) (all map[string][]byte, without []string, err error) {
	bucket, _ := w.deployment.Resource("EvidenceBucket")
	all = map[string][]byte{}
	for _, o := range w.account.S3().Objects(bucket.Ref) {
		if !strings.Contains(o.Key, in) {
			continue
		}
		var b bytes.Buffer
		if err := w.account.S3().Copy(&b, bucket.Ref, o.Key); err != nil {
			return nil, nil, err
		}
		if int64(b.Len()) != o.Size { // thinned
			without = append(without, o.Key)
			continue
		}
		all[o.Key] = b.Bytes()
	}
	return all, without, nil
}

// kept are the objects of the evidence bucket but for journals, and the key under which
// manifests are signed.
func (w *world) kept() (map[string]Object, *ecdsa.PublicKey, error) {
	bucket, _ := w.deployment.Resource("EvidenceBucket")
	signing, _ := w.deployment.Resource("SigningKey")
	all := map[string]Object{}
	for _, o := range w.account.S3().Objects(bucket.Ref) {
		if strings.Contains(o.Key, "/journal/") {
			continue
		}
		var b bytes.Buffer
		if err := w.account.S3().Copy(&b, bucket.Ref, o.Key); err != nil {
			return nil, nil, err
		}
		k := Object{StoredObject: o, Body: b.Bytes()}
		if int64(b.Len()) != o.Size { // thinned
			k.Body = nil
		}
		all[o.Key] = k
	}
	der, err := w.account.KMS().PublicKey(signing.Ref)
	if err != nil {
		return nil, nil, err
	}
	key, err := manifest.PublicKey(der)
	return all, key, err
}

// bucket is what there is to verify afterwards.
func (w *world) bucket() (b Bucket, err error) {
	if b.Objects, b.Without, err = w.stored(""); err != nil {
		return Bucket{}, err
	}
	key, _ := w.deployment.Resource("SigningKey")
	bucket, _ := w.deployment.Resource("EvidenceBucket")
	table, _ := w.deployment.Resource("IncidentsTable")
	b.Account, b.Name, b.SigningKey, b.Incidents = w.account, bucket.Ref, key.Ref, table.Ref
	b.PublicKey, err = w.account.KMS().PublicKey(key.Ref)
	return b, err
}

const running = string(asl.Running)

func (w *world) trace(calls []sim.Call) (Trace, error) {
	t := Trace{Start: w.start, Before: w.before, Finding: w.finding, Calls: calls, Others: w.account.Changes(), Also: w.also, Mails: w.account.Mails(), Tokens: w.tokens, API: w.apiURL, Sealed: w.sealed}
	var err error
	if t.Journal, _, err = w.stored("/journal/"); err != nil {
		return Trace{}, err
	}
	if t.Bucket, t.Key, err = w.kept(); err != nil {
		return Trace{}, err
	}
	if t.RetentionDays, err = strconv.Atoi(w.parameter("RetentionDays")); err != nil {
		return Trace{}, fmt.Errorf("template: RetentionDays: %w", err)
	}
	if err := w.account.Fill(&t.After); err != nil {
		return Trace{}, err
	}
	w.result.before, w.result.after = t.Before, t.After
	blind := false
	if w.wish {
		_, t.Later = t.Before.Instance(w.finding.InstanceID)
		t.Ours = t.Later
	} else if w.actionable(t.Before) {
		t.Braked, t.PauseEnds = w.braked(t.Before)
		// A pause that could not be read holds nothing back: ADR 7. One that a later
		// attempt did read holds what nothing has been done about yet.
		if blind = t.Braked == pauseSwitch && blindly(calls) && acted(calls); blind {
			t.Braked = ""
		}
		t.Ours = t.Braked == ""
	}
	t.DryRun, t.Two, t.SignIn = w.parameter("DryRun") == "true", w.parameter("ApproversForTermination") == "2", w.parameter("ApprovalIdentity") == "VerifiedAccess"
	escalation, _ := w.deployment.Resource("EscalationTopic")
	t.Escalation = escalation.Ref
	t.Log, t.Said, t.Came, t.Handled = w.log.Bytes(), w.said, sortedKeys(w.came), w.happened["stop"]+w.happened["redrive"] > 0
	for c := range strings.SplitSeq(w.parameter("CentralEndpointCidrs"), ",") {
		if n, err := netip.ParsePrefix(strings.TrimSpace(c)); err == nil {
			t.Central = append(t.Central, n.Masked().String())
		}
	}
	if e := w.first; e != nil {
		r := e.Result()
		t.Status, t.History, t.Payload = string(r.Status), r.History, r.MaxPayload
		if n := len(r.States); n > 0 && r.Status != asl.Running {
			t.Ending = r.States[n-1].State
		}
	}
	for _, e := range w.order {
		r := e.Result()
		t.History, t.Payload = max(t.History, r.History), max(t.Payload, r.MaxPayload)
		t.Unended = t.Unended || r.Status == asl.Running
	}
	t.Blind = blind && t.Ours
	if len(w.Faults) > 0 && !w.eventful() && !blind {
		t.Again = func() (string, Account, error) {
			r := w.Undisturbed
			if r == nil {
				o := w.Options
				o.Faults, o.Script, o.Watch, o.Way, o.Brief = nil, nil, nil, nil, true
				made, err := Run(o)
				if err != nil {
					return "", Account{}, err
				}
				r = &made
			}
			return r.Ending, r.after, nil
		}
	}
	return t, nil
}

// blindly says whether an invocation opened an incident without having read the pause
// switch. One that failed, and whose retry read it, did not.
func blindly(calls []sim.Call) bool {
	blind := map[*sim.Invocation]bool{}
	for _, c := range calls {
		blind[c.By] = blind[c.By] || c.Action == "GetParameter" && c.Error != ""
	}
	return slices.ContainsFunc(calls, func(c sim.Call) bool {
		in, ok := c.Input.(*dynamodb.PutItemInput)
		return ok && c.Effective && blind[c.By] && strings.HasPrefix(stringOf(in.Item["sk"]), "incident#")
	})
}

// acted says whether anything outside the stack was changed.
func acted(calls []sim.Call) bool {
	return slices.ContainsFunc(calls, func(c sim.Call) bool { return c.Effective && c.Mutating && outside(c) })
}

// actionable says whether the event itself lets anybody act on the finding.
func (w *world) actionable(before Account) bool {
	var threshold float64
	if err := json.Unmarshal([]byte(w.parameter("SeverityThreshold")), &threshold); err != nil {
		return false
	}
	i, exists := before.Instance(w.finding.InstanceID)
	gone := !exists || dead(State(i))
	return w.result.Matched && !w.flags.Sample && !w.flags.Archived && !gone && w.finding.Severity >= threshold &&
		w.finding.AccountID == w.flags.Account && w.finding.Region == w.flags.Region
}

func (w *world) parameter(name string) string {
	v, _ := w.deployment.Parameter(name)
	return v
}

const pauseSwitch = "the pause switch"

// braked says which brake holds the finding, as the parameters and the account
// have it when the event arrives, and until when where it is the pause.
func (w *world) braked(before Account) (brake string, until time.Time) {
	list := func(name string) []string {
		return strings.FieldsFunc(w.parameter(name), func(r rune) bool { return r == ',' || r == ' ' })
	}
	ofType := func(name string) bool {
		return slices.ContainsFunc(list(name), func(p string) bool {
			pattern := "(?i)^" + strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*") + "$"
			return regexp.MustCompile(pattern).MatchString(w.finding.Type)
		})
	}
	i, _ := before.Instance(w.finding.InstanceID)
	key, value, one := strings.Cut(w.parameter("ExemptTag"), "=")
	switch {
	case slices.Contains(list("ExemptInstances"), w.finding.InstanceID):
		return "the list of exempt instances", until
	case ofType("NeverFindingTypes"), !ofType("FindingTypes"):
		return "the list of finding types", until
	case key != "" && slices.ContainsFunc(i.Tags, func(t ec2types.Tag) bool {
		return aws.ToString(t.Key) == key && (!one || aws.ToString(t.Value) == value)
	}):
		return "the tag that exempts", until
	}
	hours, err := strconv.ParseFloat(w.parameter("PauseHours"), 64)
	if err != nil {
		return "", until
	}
	pause, _ := w.deployment.Resource("PauseSwitch")
	for _, p := range before.Parameters {
		end, err := time.Parse(time.RFC3339, aws.ToString(p.Value))
		if aws.ToString(p.Name) != pause.Ref || err != nil || p.LastModifiedDate == nil {
			continue
		}
		if most := p.LastModifiedDate.Add(time.Duration(hours * float64(time.Hour))); most.Before(end) {
			end = most
		}
		if w.start.Before(end) {
			return pauseSwitch, end
		}
	}
	return "", until
}

// sealed recomputes the MAC of a decision under the account's key.
func (w *world) sealed(d incident.Decision) bool {
	return w.account.KMS().Verifies(w.macKey, d.Signed(), d.MAC)
}

// evidence lists what there is afterwards.
func evidence(t Trace) []string {
	var all []string
	entries := 0
	for _, s := range t.After.Snapshots {
		if tag(s.Tags, "cordon:incident") == "" {
			continue
		}
		all = append(all, fmt.Sprintf("snapshot %s of %s, %s", aws.ToString(s.SnapshotId), aws.ToString(s.VolumeId), s.State))
	}
	for _, c := range t.Calls {
		if !c.Effective {
			continue
		}
		switch in := c.Input.(type) {
		case *s3.PutObjectInput:
			if strings.Contains(aws.ToString(in.Key), "/journal/") {
				entries++
				continue
			}
			all = append(all, "object "+aws.ToString(in.Key))
		case *s3.CompleteMultipartUploadInput:
			all = append(all, fmt.Sprintf("object %s, %d parts", aws.ToString(in.Key), len(in.MultipartUpload.Parts)))
		}
	}
	if entries > 0 {
		all = append(all, fmt.Sprintf("journal of %d entries", entries))
	}
	slices.Sort(all)
	return slices.Compact(all)
}
