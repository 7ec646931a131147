package rehearsal

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
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
// refused something, where an operator stopped it, or where a finding came that does not
// wait for what was asked.
func lying(t Trace) string {
	overtaken := t.since(ever, func(f incident.Finding) bool { return f.Severity >= critical })
	if t.Handled || overtaken || len(t.Calls) == 0 {
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
			if l := &t.Calls[n]; l.By == c.By && l.At.Before(c.At) && l.Error == "" && looksAt(l.Input, in.InstanceIds) {
				looked = l.Made
			}
		}
		for _, id := range in.InstanceIds {
			places := t.places(id, looked)
			for _, eni := range sortedKeys(places) {
				if groups := places[eni]; !k.all(groups, "quarantine") {
					return fmt.Sprintf("%s was terminated while %s was in %v", id, eni, groups)
				}
			}
		}
	}
	return ""
}

// looksAt says whether a call asks for the interfaces of one of these instances and of
// no other. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeNetworkInterfaces.html
func looksAt(call any, instances []string) bool {
	in, ok := call.(*ec2.DescribeNetworkInterfacesInput)
	return ok && slices.ContainsFunc(in.Filters, func(f types.Filter) bool {
		return aws.ToString(f.Name) == "attachment.instance-id" && slices.Equal(f.Values, instances)
	})
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

// saysIsolated is how the subjects begin, in both languages, of mails that say that the
// instance is isolated.
var saysIsolated = []string{
	"[URGENT] EC2 instance isolated automatically", "[緊急] EC2インスタンスを自動隔離しました",
	"[URGENT] Somebody undid the isolation, it was put right", "[緊急] 隔離が解除されたため修復しました",
	"Closed: EC2 instance stays isolated", "対応完了: EC2インスタンスの隔離を継続します",
	"Isolated, undecided", "隔離中・未決定のままです",
}

// saysLeft are parts of the subjects, in both languages, of mails from which people know
// that nobody isolates the instance, or no more: it could not be done, or may not, it is
// gone, it was decided so and stands as before, or the response itself has failed.
var saysLeft = []string{
	"NOT isolated", "隔離していません", "隔離できていません", "隔離しておらず",
	"Isolation could not be verified", "隔離を確認できません",
	"already decided", "決定済みの検出結果",
	"is gone", "存在しません",
	"EC2 instance left alone", "隔離しませんでした",
	"EC2 instance released", "解放しました",
	"ended badly", "異常終了しました",
}

// toldIsolated says which mail says that the instance is isolated, and it was not then,
// though somebody had looked since others changed anything of it.
func (t Trace) toldIsolated() string {
	k := t.kinds()
	for _, m := range t.Mails {
		if !slices.ContainsFunc(saysIsolated, func(s string) bool { return strings.HasPrefix(m.Subject, s) }) {
			continue
		}
		var looked time.Time
		for n := range t.Calls {
			if c := &t.Calls[n]; c.By != nil && c.By.Function == "isolate" && !c.At.After(m.At) {
				looked = c.At.Add(-time.Second)
			}
		}
		places := t.places(t.Finding.InstanceID, m.At)
		for _, eni := range sortedKeys(places) {
			groups := places[eni]
			if k.all(groups, "quarantine", "capture") || slices.ContainsFunc(t.Others, func(o sim.Change) bool { return o.NetworkInterface == eni && o.At.After(looked) }) {
				continue
			}
			return fmt.Sprintf("the mail %q was sent while %s was in %v", m.Subject, eni, groups)
		}
	}
	return ""
}

// saysUndecided is the same of mails that say that nothing was decided, and how the
// network of the instance was last seen.
var saysUndecided = []string{"nothing was decided", "決定はありません"}

// left says whether people know from a mail that nobody isolates the instance, or no
// more. From one that says how it was last seen they do if it was not contained then, or
// if others changed it after: it says the time.
func (t Trace) left(m sim.Mail) bool {
	says := func(part string) bool { return strings.Contains(m.Subject, part) }
	if !slices.ContainsFunc(saysUndecided, says) {
		return slices.ContainsFunc(saysLeft, says)
	}
	told := toldWhere.FindStringSubmatch(m.Body)
	if told == nil {
		return true
	}
	seen, err := time.Parse(asOf, told[1])
	return err == nil && slices.ContainsFunc(t.Others, func(o sim.Change) bool { return o.At.After(seen) })
}

// asOf is how mails write when somebody looked, in UTC.
const asOf = "2006-01-02 15:04:05"

// toldWhere is what a mail says of where interfaces are contained, in both languages:
// the heading, with the second of the look, and the lines below it.
var toldWhere = regexp.MustCompile(`(?m)^(?:Contained|隔離済み)(?:(?:, as seen at |\()(\S+ \S+) UTC(?: 時点\))?)?\n((?:  - .*\n)+)`)

// toldPlaces says which mail says that an interface is contained and not as of when, or
// as of a time at which it was not: others may have moved it since somebody looked.
func (t Trace) toldPlaces() string {
	if t.DryRun { // tells what would be
		return ""
	}
	k := t.kinds()
	for _, m := range t.Mails {
		told := toldWhere.FindStringSubmatch(m.Body)
		if told == nil {
			continue
		}
		seen, err := time.Parse(asOf, told[1])
		if err != nil {
			return fmt.Sprintf("the mail %q says what is contained, and not as of when", m.Subject)
		}
		if seen.Before(t.Start.Truncate(time.Second)) {
			continue // by an earlier run, whose calls are not here
		}
		// The look was some time in that second, by a clock that may differ.
		from, until := seen.Add(-clocks), seen.Add(time.Second+clocks)
		places, then := t.places(t.Finding.InstanceID, seen), t.places(t.Finding.InstanceID, until)
		for _, eni := range sortedKeys(places) {
			if !strings.Contains(told[2], "  - "+eni+" ") || k.all(places[eni], "quarantine", "capture") || k.all(then[eni], "quarantine", "capture") ||
				slices.ContainsFunc(t.Others, func(o sim.Change) bool {
					return o.NetworkInterface == eni && o.At.After(from.Add(-aLook)) && o.At.Before(until)
				}) {
				continue
			}
			return fmt.Sprintf("the mail %q says that %s was contained at %s, and it was in %v", m.Subject, eni, told[1], places[eni])
		}
	}
	return ""
}

// aLook is the longest that isolate looks and acts: its time-out.
const aLook = 15 * time.Second

// clocks is how much a function's may differ from another's.
const clocks = 2 * time.Second

// toldByAnother says which mail says that the instance is isolated, and was sent by an
// invocation that began after its execution had lost the incident to another. Where
// that could not be read it is told rather than not.
func (t Trace) toldByAnother() string {
	owners := t.owners()
	if len(owners) < 2 {
		return ""
	}
	unread := map[*sim.Invocation]bool{}
	for n := range t.Calls {
		c := &t.Calls[n]
		if in, ok := c.Input.(*sns.PublishInput); ok && c.Effective && !unread[c.By] && begins(aws.ToString(in.Subject), saysIsolated) && owners.lost(c.By) {
			return fmt.Sprintf("the mail %q was sent by an execution that had lost the incident to another", aws.ToString(in.Subject))
		}
		if c.By != nil && c.Service == "dynamodb" && c.Error != "" {
			unread[c.By] = true
		}
	}
	return ""
}

// openedForARepeat says which incident was opened after a person had let the instance
// be, although no finding of another type or a higher severity had come.
func (t Trace) openedForARepeat() string {
	if t.Later {
		return ""
	}
	for _, c := range t.effective("dynamodb", "PutItem") {
		in, ok := c.Input.(*dynamodb.PutItemInput)
		if !ok || !strings.HasPrefix(stringOf(in.Item["sk"]), "incident#") {
			continue
		}
		let := slices.ContainsFunc(t.decided(), func(d incident.Decision) bool {
			return (d.Choice == incident.Release || d.Choice == incident.Keep || d.Choice == incident.Leave) && d.InstanceID == t.Finding.InstanceID && t.made(d).Before(c.At)
		})
		if let && !t.since(c.At, func(f incident.Finding) bool { return f.Type != t.Finding.Type || f.Severity > t.Finding.Severity }) {
			return fmt.Sprintf("%s was opened after a person's decision on the same finding", stringOf(in.Item["sk"]))
		}
	}
	return ""
}
