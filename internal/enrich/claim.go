package enrich

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// standing is the newest incident of an instance, if it ever had one.
type standing struct {
	head  record.Head
	found bool
}

// races bounds how often another execution may be faster before this one gives
// up and is run again.
const races = 5

func (s *Step) latest(ctx context.Context, instanceKey string) (standing, error) {
	h, found, err := record.Latest(ctx, s.db, s.table, instanceKey)
	return standing{h, found}, err
}

// arrival is a finding as it reached an execution, and the machine it is about
// as that execution saw it.
type arrival struct {
	execution  string
	finding    incident.Finding
	attached   time.Time
	root       string // volume ID
	interfaces []ec2types.InstanceNetworkInterface
	held       ruling // what keeps it from being acted on anew; without a verdict nothing does
	group      fleet
}

// ruling is what is to be done about a finding, and the incident it belongs to.
type ruling struct {
	verdict  Verdict
	why      string // empty for Act
	incident incident.Incident
	round    int       // of the next request for a decision; 0 unless Act or Ask
	begun    bool      // the instance was isolated before: putting that right asks nobody
	since    time.Time // with Paused: when the switch was written
	opened   bool      // the incident is this execution's, and is not acted on
	notes    []string  // what people are to know of the brakes
}

// open finds the incident a finding belongs to, or opens one.
func (s *Step) open(ctx context.Context, a arrival, last standing) (ruling, error) {
	f := a.finding
	for range races {
		r, err := s.settle(ctx, a, last)
		if err == nil && slices.Contains([]Verdict{Act, Joined, Decided}, r.verdict) {
			err = s.add(ctx, r.incident.ID, f)
		}
		if err == nil && r.verdict == Act {
			r.round, err = s.round(ctx, r.incident.ID)
		}
		if err == nil {
			r, err = s.brake(ctx, a, r)
		}
		if !errors.Is(err, record.ErrTaken) {
			return r, err
		}
		if last, err = s.latest(ctx, incident.InstanceKey(f.AccountID, f.Region, f.InstanceID)); err != nil {
			return ruling{}, err
		}
	}
	return ruling{}, fmt.Errorf("open an incident for %s: %w, %d times", f.InstanceID, record.ErrTaken, races)
}

// brake makes an Act of an Ask where too many are isolated at once. A critical
// finding passes, and people are told of what it passed.
func (s *Step) brake(ctx context.Context, a arrival, r ruling) (ruling, error) {
	if r.verdict != Act && r.verdict != Rehearse || r.begun {
		return r, nil
	}
	why, err := s.breaker(ctx, r.incident, a.group)
	switch {
	case err != nil || why == "":
		return r, err
	case a.finding.Severity >= critical:
		r.notes = append(r.notes, "the finding is critical, so nobody was asked first, although "+why)
	case r.verdict == Rehearse:
		r.notes = append(r.notes, "a person would have been asked first: "+why)
	default:
		r.verdict, r.why = Ask, why
		return r, record.Ask(ctx, s.db, s.table, r.incident.ID, a.execution)
	}
	return r, nil
}

// round is the first request for a decision that nobody has seen yet. An earlier
// one may bear a decision on what was known before this finding.
func (s *Step) round(ctx context.Context, id string) (int, error) {
	last, err := record.LastRound(ctx, s.db, s.table, id)
	if err != nil {
		return 0, fmt.Errorf("look for requests of incident %s: %w", id, err)
	}
	return last + 1, nil
}

// settle decides once, on the newest incident as it was read; record.ErrTaken
// if that has changed.
func (s *Step) settle(ctx context.Context, a arrival, last standing) (ruling, error) {
	h := last.head
	same := last.found && h.Incident.AttachedAt.Equal(a.attached)
	switch {
	case !same || h.State == record.Terminated || h.State == record.Gone:
		return s.claim(ctx, a, last)
	case h.State == record.Open && h.Execution == a.execution:
		return s.again(ctx, a, h)
	case h.State == record.Open:
		return s.join(ctx, a, h)
	}
	news, err := s.news(ctx, h.Incident, a.finding)
	if err != nil {
		return ruling{}, err
	}
	if news {
		return s.claim(ctx, a, last)
	}
	why := fmt.Sprintf("a person decided on incident %s (%s), and this finding is neither of a new type nor more severe", h.Incident.ID, h.State)
	if h.State == record.Kept {
		v, err := s.look(ctx, h.Incident.ID, a.interfaces)
		if err != nil {
			return ruling{}, err
		}
		if !v.contained() {
			why += "; it is NOT isolated any more: " + v.String()
		}
	}
	return ruling{verdict: Decided, why: why, incident: h.Incident}, nil
}

// claim opens the next incident of the instance.
func (s *Step) claim(ctx context.Context, a arrival, last standing) (ruling, error) {
	if a.held.verdict != "" {
		return a.held, nil
	}
	f := a.finding
	inc := incident.Incident{
		Account: f.AccountID, Region: f.Region, InstanceID: f.InstanceID, AttachedAt: a.attached, Root: a.root, OpenedAt: s.host.Now().UTC(), Finding: f,
	}
	number := 1
	if last.found {
		_, n, err := incident.SplitID(last.head.Incident.ID)
		if err != nil {
			return ruling{}, err
		}
		number = n + 1
		if inc.Inherits, err = s.inherits(ctx, a, last.head); err != nil {
			return ruling{}, err
		}
	}
	inc.ID = incident.NewID(incident.InstanceKey(f.AccountID, f.Region, f.InstanceID), number)
	if s.dry {
		return ruling{verdict: Rehearse, incident: inc}, nil
	}
	h, err := record.Claim(ctx, s.db, s.table, record.Head{Incident: inc, Execution: a.execution, State: record.Open})
	if errors.Is(err, record.ErrTaken) && h.Execution == a.execution && h.State == record.Open {
		err = nil // our own, whose answer was lost
	}
	return ruling{verdict: Act, incident: h.Incident}, err
}

// inherits names the earlier incident whose prior values are still the true
// ones. A machine that was kept isolated, or that a release could not bring out
// of our groups, stands where that incident put it: what it had before is known
// to that incident only.
func (s *Step) inherits(ctx context.Context, a arrival, h record.Head) (string, error) {
	if !h.Incident.AttachedAt.Equal(a.attached) {
		return "", nil
	}
	switch h.State {
	case record.Kept:
		return h.Incident.ID, nil
	case record.Released:
		var r incident.Restoration
		found, err := record.LoadStep(ctx, s.db, s.table, h.Incident.ID, "release", &r)
		if err != nil {
			return "", err
		}
		if found && !r.Connected {
			return h.Incident.ID, nil
		}
	}
	return "", nil
}

// join leaves an incident to the execution that has it, or takes it over from
// one that ended, if the instance is not contained.
func (s *Step) join(ctx context.Context, a arrival, h record.Head) (ruling, error) {
	inc := h.Incident
	running, err := s.running(ctx, h.Execution)
	if err != nil {
		return ruling{}, err
	}
	v, err := s.look(ctx, inc.ID, a.interfaces)
	if err != nil {
		return ruling{}, err
	}
	// Where people are only asked once more, nobody isolates what is open.
	running = running && (!h.Again || v.contained())
	joined := func(format string, with ...any) (ruling, error) {
		return ruling{verdict: Joined, why: "incident " + inc.ID + " is open " + fmt.Sprintf(format, with...), incident: inc}, nil
	}
	switch {
	case running && h.Asking && a.finding.Severity >= critical && a.held.verdict == "" && !s.dry:
		// Nobody has to be asked any more. Whoever still waits for an answer
		// finds that the incident is not its own.
		if err := record.TakeOverAsking(ctx, s.db, s.table, inc.ID, h.Execution, a.execution, s.host.Now()); err != nil {
			return ruling{}, err
		}
		return s.resume(ctx, a, h)
	case running && h.Asking:
		return joined("and a person is asked before it is isolated; NOT contained: %s", v)
	case running && v.contained():
		return joined("and being worked on; contained as seen now")
	case running && !v.looked:
		return joined("and being worked on; isolation is under way, and not contained as seen now: %s", v)
	case running:
		return joined("and being worked on, but not contained as seen now: %s", v)
	case v.contained():
		return joined("and contained as seen now, but nobody works on it any more: decide by hand")
	}
	// Released or left alone, and not closed, it is open by name only: what was
	// decided on must not be isolated again.
	decided, err := s.letBe(ctx, h)
	if err != nil {
		return ruling{}, err
	}
	if decided != "" {
		news, err := s.news(ctx, inc, a.finding)
		if err != nil {
			return ruling{}, err
		}
		if !news {
			return ruling{verdict: Decided, incident: inc, why: fmt.Sprintf(
				"a person decided on incident %s (%s; nobody works on it any more, and it was not closed), and this finding is neither of a new type nor more severe; not contained as seen now: %s", inc.ID, decided, v)}, nil
		}
	}
	switch {
	case a.held.verdict != "":
		held := a.held
		held.incident = inc
		return held, nil
	case s.dry:
		return ruling{verdict: Rehearse, incident: inc, begun: v.looked}, nil
	}
	if err := record.TakeOver(ctx, s.db, s.table, inc.ID, h.Execution, a.execution, s.host.Now()); err != nil {
		return ruling{}, err
	}
	r, err := s.resume(ctx, a, h)
	r.begun = v.looked
	return r, err
}

// letBe is the decision to let the instance be, a release or to leave it alone, if
// that is the last thing that was done, or is to be done; else empty. The note of a
// release in the head is not enough: people who are asked once more, because it
// could not be closed, may decide otherwise and be refused, and the note is of that
// decision then, or none.
func (s *Step) letBe(ctx context.Context, h record.Head) (incident.Choice, error) {
	if h.Decision == incident.Release || h.Decision == incident.Leave {
		return h.Decision, nil
	}
	var release struct {
		EndedAt time.Time `json:"endedAt"` // zero where it did not end
	}
	var isolation incident.Isolation
	if _, err := record.LoadStep(ctx, s.db, s.table, h.Incident.ID, "release", &release); err != nil {
		return "", err
	}
	if _, err := record.LoadStep(ctx, s.db, s.table, h.Incident.ID, "isolate", &isolation); err != nil {
		return "", err
	}
	if release.EndedAt.After(isolation.At) {
		return incident.Release, nil
	}
	return "", nil
}

// again goes on with what an earlier attempt of this execution opened or took over,
// unless that attempt could not read a pause that was in force by then, and nothing was
// isolated since. The incident stays open for the next finding.
func (s *Step) again(ctx context.Context, a arrival, h record.Head) (ruling, error) {
	got := h.Incident.OpenedAt
	if !h.TakenAt.IsZero() {
		got = h.TakenAt
	}
	if a.held.verdict != Paused || !a.held.since.Before(got) {
		return s.resume(ctx, a, h)
	}
	v, err := s.look(ctx, h.Incident.ID, a.interfaces)
	if err != nil {
		return ruling{}, err
	}
	if v.looked {
		r, err := s.resume(ctx, a, h)
		r.notes = append(r.notes, "isolation had begun before that could be read, and goes on: "+a.held.why)
		return r, err
	}
	held := a.held
	held.incident, held.opened = h.Incident, true
	held.why += "; incident " + h.Incident.ID + " was begun before that could be read: it stays open, and nobody works on it"
	return held, nil
}

// resume begins an incident that is this execution's by now. People are asked
// anew, so a decision that an earlier execution noted must not end the evidence
// that this one gathers. None can be this execution's own: it has only begun.
func (s *Step) resume(ctx context.Context, a arrival, h record.Head) (ruling, error) {
	if h.Decision != "" {
		if err := record.WithdrawDecision(ctx, s.db, s.table, h.Incident.ID, a.execution); err != nil {
			return ruling{}, err
		}
	}
	verdict := Act
	if s.dry { // switched on since the incident was opened
		verdict = Rehearse
	}
	return ruling{verdict: verdict, incident: h.Incident}, nil
}

// view is how an instance stands next to what isolate recorded of it.
type view struct {
	looked bool     // isolate has left a record
	open   []string // of each interface that is not contained, where it is
}

func (v view) contained() bool { return v.looked && len(v.open) == 0 }

func (v view) String() string { return strings.Join(v.open, "; ") }

// look holds what isolate recorded last against the interfaces as they are: one
// that was attached since, or moved since, is not contained.
func (s *Step) look(ctx context.Context, id string, interfaces []ec2types.InstanceNetworkInterface) (view, error) {
	var isolation incident.Isolation
	var v view
	var err error
	if v.looked, err = record.LoadStep(ctx, s.db, s.table, id, "isolate", &isolation); err != nil {
		return view{}, err
	}
	for _, i := range interfaces {
		eni, groups := aws.ToString(i.NetworkInterfaceId), groupIDs(i)
		n := slices.IndexFunc(isolation.Interfaces, func(r incident.Interface) bool { return r.ID == eni })
		here := fmt.Sprintf("%s is in %s", eni, strings.Join(groups, ", "))
		switch {
		case n < 0 || !slices.Equal(groups, slices.Sorted(slices.Values(isolation.Interfaces[n].Groups))):
			v.open = append(v.open, here)
		case isolation.Interfaces[n].Where == incident.Quarantined, isolation.Interfaces[n].Where == incident.Capturing:
		default:
			v.open = append(v.open, here+", which did not contain it: "+isolation.Interfaces[n].Reason)
		}
	}
	slices.Sort(v.open)
	return v, nil
}

// groupIDs are an interface's groups, sorted.
func groupIDs(i ec2types.InstanceNetworkInterface) []string {
	ids := make([]string, len(i.Groups))
	for n, g := range i.Groups {
		ids[n] = aws.ToString(g.GroupId)
	}
	slices.Sort(ids)
	return ids
}

func (s *Step) running(ctx context.Context, execution string) (bool, error) {
	out, err := s.sfn.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &execution})
	var none *types.ExecutionDoesNotExist
	if errors.As(err, &none) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("describe execution %s: %w", execution, err)
	}
	return out.Status == types.ExecutionStatusRunning, nil
}

// news tells whether a finding is of a new type, or more severe than all that
// were decided on with an incident.
func (s *Step) news(ctx context.Context, inc incident.Incident, f incident.Finding) (bool, error) {
	known, err := record.Findings(ctx, s.db, s.table, inc.ID)
	if err != nil {
		return false, err
	}
	known = append(known, inc.Finding)
	newType := !slices.ContainsFunc(known, func(k incident.Finding) bool { return k.Type == f.Type })
	moreSevere := !slices.ContainsFunc(known, func(k incident.Finding) bool { return k.Severity >= f.Severity })
	return newType || moreSevere, nil
}

// add notes that a finding belongs to an incident. An update that is less severe
// must not hide how severe it was: a repeat would then look like news.
func (s *Step) add(ctx context.Context, id string, f incident.Finding) error {
	known, err := record.Findings(ctx, s.db, s.table, id)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(known, func(k incident.Finding) bool { return k.ID == f.ID && k.Severity > f.Severity }) {
		return nil
	}
	return record.AddFinding(ctx, s.db, s.table, id, f)
}
