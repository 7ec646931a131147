package enrich

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Standing is how an incident that nobody works on stands.
type Standing string

const (
	Undecided Standing = "undecided"    // open, and contained as seen now
	Open      Standing = "notContained" // open, and not contained as seen now
	Kept      Standing = "kept"         // isolated by a person's decision
	Released  Standing = "released"     // released, and not everything came back
	Vanished  Standing = "gone"         // open or kept, and the instance does not exist any more: to be closed
)

// Known is what steps recorded of an incident, for the mails of an execution that
// did none of it.
type Known struct {
	Isolation   incident.Isolation   `json:"isolation"`
	Protection  incident.Protection  `json:"protection"`
	Credentials incident.Credentials `json:"credentials"`
	Snapshots   incident.Snapshots   `json:"snapshots"`
	Memory      incident.Memory      `json:"memory"`
}

// later looks at the incident about which somebody wants to decide once more, and
// takes it over if nobody works on it, it is the newest of its instance and there
// is something to decide. It decides nothing and opens no request: whoever may put
// an event on the bus gets people asked, and no more: a wish that leads nowhere
// ends without an alarm, and keeps no finding from being acted on (join).
func (s *Step) later(ctx context.Context, in Input, here place, id string) (Output, error) {
	out := Output{
		Brakes: []string{}, Capture: []incident.Capture{}, Known: []Known{}, Instance: incident.Instance{Tags: map[string]string{}, VPCs: []string{}},
		Report: incident.Report{Status: incident.OK},
	}
	end := func(v Verdict, why string, with ...any) (Output, error) {
		out.Verdict, out.Reason = v, "An operator asked to decide about it once more: "+fmt.Sprintf(why, with...)
		return out, nil
	}
	var err error
	if out.Evidence, err = s.keep(ctx, in.Event, incident.Finding{}); err != nil {
		return Output{}, err
	}
	key, _, err := incident.SplitID(id)
	if err != nil {
		return end(Decided, "%v", err)
	}
	owner := strings.Split(key, ".")
	out.Finding = incident.Finding{AccountID: owner[0], Region: owner[1], InstanceID: owner[2]}
	if owner[0] != here.account || owner[1] != here.region {
		return end(Decided, "incident %s is of account %s in %s, and this stack is in account %s in %s", id, owner[0], owner[1], here.account, here.region)
	}
	last, err := s.latest(ctx, key)
	if err != nil {
		return Output{}, err
	}
	h := last.head
	switch {
	case !last.found || number(h.Incident.ID) < number(id):
		return end(Decided, "incident %s is not in the record; cordon list shows those that are", id)
	case h.Incident.ID != id && h.State == record.Open:
		out.Incident, out.Finding = h.Incident, h.Incident.Finding
		return end(Joined, "incident %s is over, and %s is open; decide on that one", id, h.Incident.ID)
	case h.Incident.ID != id:
		out.Incident, out.Finding = h.Incident, h.Incident.Finding
		return end(Decided, "incident %s is over, and %s came after it; decide on that one", id, h.Incident.ID)
	}
	out.Incident, out.Finding = h.Incident, h.Incident.Finding
	if h.Execution != in.Execution {
		running, err := s.running(ctx, h.Execution)
		if err != nil {
			return Output{}, err
		}
		if running {
			return end(Joined, "incident %s is being worked on; decide on the request that is open", id)
		}
	}
	switch {
	case s.dry:
		return end(Decided, "Cordon runs dry here (DryRun is true), and nothing is released or terminated")
	case h.State == record.Terminated:
		return end(Gone, "incident %s ended with the termination of the instance", id)
	case h.State == record.Gone:
		return end(Gone, "incident %s is closed: the instance was gone", id)
	case h.State == record.Kept:
		out.Standing = Kept
	case h.State == record.Released:
		var r incident.Restoration
		found, err := record.LoadStep(ctx, s.db, s.table, id, "release", &r)
		if err != nil {
			return Output{}, err
		}
		if !found {
			return end(Decided, "incident %s was left alone, and nothing of the instance had been changed", id)
		}
		if r.Status == incident.OK {
			return end(Decided, "incident %s was released, and all that was recorded is back", id)
		}
		out.Standing = Released
	}
	described, err := s.describe(ctx, h.Incident.InstanceID)
	// EC2 may not know for a moment what it knew: an hour after an instance was seen,
	// and asked as often as for a finding, it is believed.
	if errors.Is(err, incident.ErrInstanceNotFound) && s.host.Now().Sub(h.Incident.OpenedAt) > time.Hour {
		gone, err := s.absent(ctx, in, id)
		if err != nil {
			return Output{}, err
		}
		if gone {
			return s.vanished(ctx, in, h, out, wished(h, "the account does not know it any more"))
		}
	}
	if err != nil {
		return Output{}, err
	}
	out.Instance = instance(described)
	if state := described.State; state != nil && (state.Name == types.InstanceStateNameTerminated || state.Name == types.InstanceStateNameShuttingDown) {
		return s.vanished(ctx, in, h, out, wished(h, fmt.Sprintf("it is %s", state.Name)))
	}
	v, err := s.look(ctx, id, described.NetworkInterfaces)
	if err != nil {
		return Output{}, err
	}
	if out.Standing == "" {
		if out.Standing = Open; v.contained() {
			out.Standing = Undecided
		}
	}
	if h.Execution != in.Execution {
		if err := record.Reopen(ctx, s.db, s.table, h, in.Execution); err != nil {
			return Output{}, fmt.Errorf("ask once more about incident %s: %w", id, err)
		}
	}
	if out.Round, err = s.round(ctx, id); err != nil {
		return Output{}, err
	}
	known, err := s.known(ctx, id)
	if err != nil {
		return Output{}, err
	}
	known.Isolation.Contained = v.contained()
	if out.Standing == Released || !known.Isolation.Contained { // where it was is not where it is, and the reason says what is open
		known.Isolation.Interfaces, known.Isolation.StaysOpen = []incident.Interface{}, []string{}
	}
	out.Known = append(out.Known, known)
	out.Capture = s.capture(ctx, here, key, out.Instance, described)
	out.Verdict, out.Reason = Later, stands(id, out.Standing, v)
	if out.Standing != Open {
		return out, nil
	}
	decided, err := s.letBe(ctx, h)
	if err != nil {
		return Output{}, err
	}
	switch decided {
	case incident.Release:
		out.Reason = fmt.Sprintf("incident %s was decided to be released, and never closed: decide to release it once more to have it closed; as seen when people were asked: %s", id, v)
	case incident.Leave:
		out.Reason = fmt.Sprintf("incident %s was decided to be left alone, and never closed: decide to release it to have it closed; as seen when people were asked: %s", id, v)
	}
	return out, nil
}

// asked is how often the machine asks again about an instance that the account does
// not know.
const asked = 4

// stepName is the record key of this step.
const stepName = "enrich"

// absent counts how often the account has not known the instance of an incident that
// an execution knew, and says whether it is believed by now. The machine's own count
// of attempts holds every error: four throttles and one such answer would do.
// https://docs.aws.amazon.com/step-functions/latest/dg/input-output-contextobject.html
func (s *Step) absent(ctx context.Context, in Input, id string) (bool, error) {
	times, err := record.Count(ctx, s.db, s.table, id, stepName, in.Execution)
	return times > asked, err
}

// wished says why an incident is closed about which an operator wanted to decide.
func wished(h record.Head, why string) string {
	return fmt.Sprintf("An operator asked to decide about incident %s once more; %s is gone: %s", h.Incident.ID, h.Incident.InstanceID, why)
}

// vanished has an incident closed whose instance does not exist any more: nobody
// can decide about it, and open it would stand in every list for ever.
func (s *Step) vanished(ctx context.Context, in Input, h record.Head, out Output, why string) (Output, error) {
	id := h.Incident.ID
	out.Verdict, out.Reason = Gone, why
	if h.State == record.Released {
		return out, nil // closed by a decision, and that stands
	}
	known, err := s.known(ctx, id)
	if err != nil {
		return Output{}, err
	}
	if h.Execution != in.Execution {
		if err := record.Reopen(ctx, s.db, s.table, h, in.Execution); err != nil {
			return Output{}, fmt.Errorf("close incident %s: %w", id, err)
		}
	}
	out.Standing, out.Known = Vanished, append(out.Known, known)
	return out, nil
}

// stands says how an incident stands, in a sentence. It is told again when the time to
// answer is over, days later.
func stands(id string, how Standing, v view) string {
	then := "contained as seen when people were asked"
	if !v.contained() {
		then = "NOT contained as seen when people were asked: " + v.String()
	}
	switch how {
	case Kept:
		return fmt.Sprintf("incident %s was closed by the decision to keep the instance isolated; %s", id, then)
	case Released:
		return fmt.Sprintf("incident %s was closed by a release that did not bring everything back; what is left can be tried again", id)
	}
	return fmt.Sprintf("incident %s is open, nobody works on it any more, and no decision of it was carried out; %s", id, then)
}

func number(id string) int {
	_, n, err := incident.SplitID(id)
	if err != nil {
		return 0 // of no incident: none is before it
	}
	return n
}

// known reads what steps left in the record. What is not there was never done.
func (s *Step) known(ctx context.Context, id string) (Known, error) {
	k := Known{
		Isolation:   incident.Isolation{Report: undone, Interfaces: []incident.Interface{}, Repaired: []string{}, StaysOpen: []string{}},
		Protection:  incident.Protection{Report: undone, Set: []string{}, Refused: []string{}, Hazards: []string{}},
		Credentials: incident.Credentials{Report: undone, Shared: []string{}},
		Snapshots:   incident.Snapshots{Report: undone, Set: []incident.Snapshot{}, Missing: []string{}, NotIn: []string{}, Volumes: []incident.Volume{}, Notes: []incident.Note{}},
		Memory:      incident.Memory{Report: undone},
	}
	var memory incident.CaptureRecord
	for _, step := range []struct {
		name string
		to   any
	}{
		{"isolate", &k.Isolation}, {"preserve", &k.Protection}, {"credentials", &k.Credentials}, {"snapshot", &k.Snapshots}, {"memory", &memory},
	} {
		if _, err := record.LoadStep(ctx, s.db, s.table, id, step.name, step.to); err != nil {
			return Known{}, err
		}
	}
	if memory.Result != nil || memory.Outcome != nil {
		k.Memory = memory.Memory()
	}
	return k, nil
}

// undone is the report of a step that left nothing in the record.
var undone = incident.Report{Status: incident.Skipped, Reason: "nothing of it is in the record"}
