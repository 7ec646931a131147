package rehearsal

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

// decided are the decisions that were recorded meanwhile under a valid seal.
func (t Trace) decided() []incident.Decision {
	before := t.Before.Decisions()
	return slices.DeleteFunc(t.After.Decisions(), func(d incident.Decision) bool {
		return !t.Sealed(d) || slices.ContainsFunc(before, func(b incident.Decision) bool { return string(b.MAC) == string(d.MAC) })
	})
}

// Whom a decision names as verified had come and was: signed in through Verified
// Access, or let in by the gateway. Where people sign in, possession of a link
// decides nothing.
func impostor(t Trace) string {
	for _, d := range t.decided() {
		verified := strings.HasPrefix(d.Identity, incident.ByAccess) || strings.HasPrefix(d.Identity, incident.ByIAM)
		switch {
		case verified && !slices.Contains(t.Came, d.Identity):
			return fmt.Sprintf("%q decided to %s, and never came", d.Identity, d.Choice)
		case !verified && t.SignIn:
			return fmt.Sprintf("%q decided to %s where people sign in", d.Identity, d.Choice)
		}
	}
	return ""
}

// longestIdle is how long a decision may lie that could not be delivered: longer than
// the longest time between two calls that look for it.
const longestIdle = 3 * time.Hour

// Where a person decided and nobody could deliver it, an execution that waits finds
// it, and what was decided is verified within hours. Not where those who look were
// refused something, where an operator stopped it, or where another finding came.
func lying(t Trace) string {
	if t.Handled || len(t.Also) > 0 || len(t.Calls) == 0 {
		return ""
	}
	end := t.Calls[len(t.Calls)-1].At
	for _, d := range t.decided() {
		made := t.made(d)
		if until := made.Add(longestIdle); until.After(end) || until.After(d.ExpiresAt) || d.InstanceID != t.Finding.InstanceID || !t.enough(d, made) {
			continue
		}
		found := false
		for n := range t.Calls {
			if c := &t.Calls[n]; c.By != nil && !c.At.Before(made) && c.At.Before(made.Add(longestIdle)) {
				found = found || c.By.Function == "authorize" || c.By.Function == "approval" && c.Error != ""
			}
		}
		if !found {
			return fmt.Sprintf("a person decided to %s, and nothing looked at it for %s", d.Choice, longestIdle)
		}
	}
	return ""
}

// No instance is terminated that is not sealed, as whoever terminates it saw it last
// or, not having looked, as it was.
func unsealedKill(t Trace) string {
	k := t.kinds()
	for _, c := range t.effective("ec2", "TerminateInstances") {
		in, ok := c.Input.(*ec2.TerminateInstancesInput)
		if !ok {
			return "a termination without a readable input"
		}
		looked := c.At
		for n := range t.Calls {
			if l := &t.Calls[n]; l.By == c.By && l.Action == "DescribeNetworkInterfaces" && l.Effective && l.At.Before(c.At) {
				looked = l.Made
			}
		}
		for _, id := range in.InstanceIds {
			for eni, groups := range t.places(id, looked) {
				if !k.all(groups, "quarantine") {
					return fmt.Sprintf("%s was terminated while %s was in %v", id, eni, groups)
				}
			}
		}
	}
	return ""
}

// places are the groups of an instance's interfaces at a moment.
func (t Trace) places(instance string, at time.Time) map[string][]string {
	all := map[string][]string{}
	for _, i := range t.Before.Interfaces(instance) {
		all[aws.ToString(i.NetworkInterfaceId)] = groupIDs(i)
	}
	type moved struct {
		at     time.Time
		eni    string
		groups []string
	}
	var moves []moved
	for _, s := range t.swaps() {
		moves = append(moves, moved{s.at, s.eni, s.to})
	}
	for _, o := range t.Others { // an interface that they attached is the instance's
		if o.NetworkInterface != "" {
			moves = append(moves, moved{o.At, o.NetworkInterface, o.Groups})
		}
	}
	slices.SortStableFunc(moves, func(a, b moved) int { return a.at.Compare(b.at) })
	for _, m := range moves {
		if !m.at.After(at) {
			all[m.eni] = m.groups
		}
	}
	return all
}
