package rehearsal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"cordon/internal/chain"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// Invariant is something that always holds. Broken says how it does not; empty
// when it does.
type Invariant struct {
	Name   string
	Broken func(Trace) string
}

// Invariants are checked after every rehearsal, on the trace alone.
var Invariants = []Invariant{
	{"No silent failure", silentFailure},
	{"No unapproved kill", unapprovedKill},
	{"No evidence, no kill", killWithoutEvidence},
	{"Never reconnected by an error", reconnected},
	{"Recorded before changed", changedUnrecorded},
	{"Not ours, not touched", touchedNotOurs},
	{"One incident an instance", secondIncident},
	{"Converges", diverged},
	{"No secret leaves", secretLeft},
	{"Ends or waits for a human", endless},
	{"Never left open", leftOpen},
	{"A decision is not reversed by a repeat", reversed},
	{"Asked first, isolated after", isolatedUnasked},
	{"A dry run changes nothing", dryRunChanged},
	{"The journal is the record", unjournaled},
	{"Every ending is signed", unsigned},
	{"What is told of the evidence is so", untrue},
	{"A decision is that of who made it", impostor},
	{"No decision lies about", lying},
	{"Sealed before terminated", unsealedKill},
	{"Who lost an incident leaves it", changedByAnother},
}

// An actionable finding ends contained, or people were told that it is not; an
// ending that says isolated is one.
func silentFailure(t Trace) string {
	if wide := t.widened(); wide != "" {
		return wide
	}
	for _, told := range []func() string{t.toldIsolated, t.toldPlaces, t.toldByAnother} {
		if lie := told(); lie != "" {
			return lie
		}
	}
	// Whoever stopped it before it could say so must look; the rule on ends tells people.
	stopped := t.Status == "ABORTED" && len(t.Mails) > 0
	if t.Blind && !stopped && !slices.ContainsFunc(t.Mails, func(m sim.Mail) bool { return strings.Contains(m.Body, "the pause switch") }) {
		return "it was acted on although the pause switch could not be read, and nobody was told"
	}
	if t.Ending == "Kept isolated" || t.Ending == "Isolated, undecided" {
		k := t.kinds()
		for _, i := range t.After.Interfaces(t.Finding.InstanceID) {
			if id := aws.ToString(i.NetworkInterfaceId); !k.all(groupIDs(i), "quarantine") && !t.undoneUnseen(func(o sim.Change) bool { return o.NetworkInterface == id }) {
				return fmt.Sprintf("ended as %q, and %s is in %s", t.Ending, aws.ToString(i.NetworkInterfaceId), GroupNames(i))
			}
		}
		if open := t.closed(); open != "" {
			return fmt.Sprintf("ended as %q, and %s", t.Ending, open)
		}
	}
	_, contained := t.contained("quarantine", "capture")
	contained = contained && t.closed() == ""
	left := t.Status == "FAILED" || t.Status == "TIMED_OUT" || slices.ContainsFunc(t.Mails, t.left)
	switch {
	case left, contained && len(t.Mails) > 0:
		return ""
	case t.Braked != "":
		return fmt.Sprintf("the finding was actionable, %s kept it from being acted on, and nobody was told", t.Braked)
	case t.Ours && !contained:
		return "the finding was actionable, the instance is not contained, and nobody was told"
	}
	return ""
}

// undoneUnseen says whether others undid this after the last look at the isolation
// had begun: nobody could know. What they did to something else excuses nothing, and
// nothing does where nobody looked once it was known what was decided.
func (t Trace) undoneUnseen(which func(sim.Change) bool) bool {
	var last, verified time.Time
	for n := range t.Calls {
		switch c := &t.Calls[n]; {
		case c.By == nil:
		case c.By.Function == "isolate":
			last = c.At
		case c.By.Function == "authorize":
			verified = c.At
		}
	}
	if last.Before(verified) {
		return false
	}
	return slices.ContainsFunc(t.Others, func(o sim.Change) bool { return o.At.After(last.Add(-time.Second)) && which(o) })
}

// closed says which of our closed groups, with an interface of the instance in it,
// is not closed at the end. One that stands empty is mended before it is used.
func (t Trace) closed() string {
	used := map[string]bool{}
	for _, i := range t.After.Interfaces(t.Finding.InstanceID) {
		for _, g := range groupIDs(i) {
			used[g] = true
		}
	}
	for _, g := range t.After.SecurityGroups {
		id := aws.ToString(g.GroupId)
		if !used[id] || t.undoneUnseen(func(o sim.Change) bool { return o.NetworkInterface == "" && slices.Contains(o.Groups, id) }) {
			continue
		}
		switch t.kinds()[id] {
		case "quarantine":
			if len(g.IpPermissions)+len(g.IpPermissionsEgress) > 0 {
				return id + " has rules"
			}
		case "capture":
			if len(g.IpPermissions) > 0 {
				return id + " lets something in"
			}
			for _, p := range g.IpPermissionsEgress {
				if !t.listed(p) {
					return id + " lets more out than TCP 443 to the listed endpoints"
				}
			}
		}
	}
	return ""
}

// widened says which of our calls let a capture group out to more than that,
// though it may have been put right since.
func (t Trace) widened() string {
	for _, c := range t.effective("ec2", "AuthorizeSecurityGroupEgress") {
		in, ok := c.Input.(*ec2.AuthorizeSecurityGroupEgressInput)
		if !ok || t.kinds()[aws.ToString(in.GroupId)] != "capture" {
			continue
		}
		for _, p := range in.IpPermissions {
			if !t.listed(p) {
				return aws.ToString(in.GroupId) + " was let out to more than TCP 443 of the listed endpoints"
			}
		}
	}
	return ""
}

// listed tells whether a rule lets out TCP 443 to endpoints and to nothing else:
// to addresses and groups of the account's endpoints, to S3's prefix list, or to
// the networks of central endpoints that the stack's parameter names.
func (t Trace) listed(p types.IpPermission) bool {
	if aws.ToString(p.IpProtocol) != "tcp" || aws.ToInt32(p.FromPort) != 443 || aws.ToInt32(p.ToPort) != 443 {
		return false
	}
	networks, groups := slices.Clone(t.Central), []string(nil)
	for _, e := range t.Before.VpcEndpoints {
		for _, g := range e.Groups {
			groups = append(groups, aws.ToString(g.GroupId))
		}
		for _, i := range t.Before.NetworkInterfaces {
			if !slices.Contains(e.NetworkInterfaceIds, aws.ToString(i.NetworkInterfaceId)) {
				continue
			}
			networks = append(networks, aws.ToString(i.PrivateIpAddress)+"/32")
			for _, a := range i.Ipv6Addresses {
				networks = append(networks, aws.ToString(a.Ipv6Address)+"/128")
			}
		}
	}
	return !slices.ContainsFunc(p.IpRanges, func(r types.IpRange) bool { return !slices.Contains(networks, aws.ToString(r.CidrIp)) }) &&
		!slices.ContainsFunc(p.Ipv6Ranges, func(r types.Ipv6Range) bool { return !slices.Contains(networks, aws.ToString(r.CidrIpv6)) }) &&
		!slices.ContainsFunc(p.UserIdGroupPairs, func(g types.UserIdGroupPair) bool { return !slices.Contains(groups, aws.ToString(g.GroupId)) }) &&
		!slices.ContainsFunc(p.PrefixListIds, func(l types.PrefixListId) bool { return !t.ofS3(aws.ToString(l.PrefixListId)) })
}

func (t Trace) ofS3(list string) bool {
	return slices.ContainsFunc(t.Before.PrefixLists, func(l types.PrefixList) bool {
		return aws.ToString(l.PrefixListId) == list && strings.HasSuffix(aws.ToString(l.PrefixListName), ".s3")
	})
}

// standing is the newest decision on the instance, if it is this choice: for
// that machine, with a valid seal, made before a moment and not expired then.
func (t Trace) standing(instance string, c incident.Choice, at time.Time) (incident.Decision, bool) {
	machine := t.Before.AttachedAt(instance)
	var newest incident.Decision
	var when time.Time
	for _, d := range t.After.Decisions() {
		if made := t.made(d); d.InstanceID == instance && !made.After(at) && made.After(when) && t.about(d, machine) && t.Sealed(d) && t.enough(d, at) {
			newest, when = d, made
		}
	}
	return newest, newest.Choice == c && at.Before(newest.ExpiresAt)
}

// enough says whether a decision counts by itself: where two people must decide on
// a termination, it names another one, of somebody else who is known, that counts
// for this machine too. What a first person alone decided is no decision.
func (t Trace) enough(d incident.Decision, at time.Time) bool {
	if !t.Two || d.Choice != incident.Terminate {
		return true
	}
	return slices.ContainsFunc(t.After.Decisions(), func(first incident.Decision) bool {
		mark := sha256.Sum256(first.MAC)
		return d.First == hex.EncodeToString(mark[:]) && t.Sealed(first) && first.Choice == incident.Terminate && first.First == "" &&
			first.Incident == d.Incident && first.Round == d.Round && first.AttachedAt.Equal(d.AttachedAt) && first.InstanceID == d.InstanceID &&
			at.Before(first.ExpiresAt) && (first.Override || !d.Override) && apart(first.Identity, d.Identity)
	})
}

// apart says whether two identities are two people's: users of Identity Center, or
// sessions of its roles, which have the user's name.
func apart(a, b string) bool {
	kind, who := func(s string) string { k, _, _ := strings.Cut(s, " "); return k }, func(s string) string {
		return strings.ToLower(s[strings.LastIndexAny(s, " /")+1:])
	}
	personal := kind(a) == "identity-center" || kind(a) == "iam" && strings.Contains(a, ":assumed-role/AWSReservedSSO_") && strings.Contains(b, ":assumed-role/AWSReservedSSO_")
	return personal && kind(a) == kind(b) && who(a) != who(b)
}

// made is when a decision was recorded: as the trace has it, since the clock of who
// records it may be wrong, or by an earlier run as it says.
func (t Trace) made(d incident.Decision) time.Time {
	seal, err := json.Marshal(d.MAC)
	if err != nil {
		return d.DecidedAt
	}
	for _, c := range t.effective("dynamodb", "PutItem") {
		if in, ok := c.Input.(*dynamodb.PutItemInput); ok && strings.Contains(stringOf(in.Item["body"]), string(seal)) {
			return c.Made
		}
	}
	return d.DecidedAt
}

// about says whether a decision is about this machine. A release may be forced
// although it is another one by now.
func (t Trace) about(d incident.Decision, machine time.Time) bool {
	return d.AttachedAt.Equal(machine) || d.Force && d.Choice == incident.Release
}

// TerminateInstances only after a recorded, verified, unexpired decision for
// this incident and this machine.
func unapprovedKill(t Trace) string {
	for _, c := range t.effective("ec2", "TerminateInstances") {
		in, ok := c.Input.(*ec2.TerminateInstancesInput)
		if !ok {
			return "a termination without a readable input"
		}
		for _, id := range in.InstanceIds {
			d, ok := t.standing(id, incident.Terminate, c.At)
			if !ok {
				return id + " was terminated and no valid decision says so"
			}
			if newest := t.newest(id, c.At); newest != "" && newest != d.Incident {
				return fmt.Sprintf("%s was terminated in incident %s, and what was decided was decided in %s", id, newest, d.Incident)
			}
		}
	}
	return ""
}

// newest is the incident about an instance that was opened last by then, by what was
// written when it was opened or stood there before; empty if none is known.
func (t Trace) newest(instance string, at time.Time) (id string) {
	number := -1
	take := func(body string) {
		var inc incident.Incident
		if json.Unmarshal([]byte(body), &inc) != nil || inc.InstanceID != instance {
			return
		}
		if _, n, err := incident.SplitID(inc.ID); err == nil && n >= number {
			id, number = inc.ID, n
		}
	}
	for _, i := range t.Before.Incidents {
		if i.Table == "incidents" && strings.HasPrefix(i.Item.Text("sk"), "incident#") {
			take(i.Item.Text("body"))
		}
	}
	for _, c := range t.effective("dynamodb", "PutItem") {
		if in, ok := c.Input.(*dynamodb.PutItemInput); ok && !c.At.After(at) && strings.HasPrefix(stringOf(in.Item["sk"]), "incident#") {
			take(stringOf(in.Item["body"]))
		}
	}
	return id
}

// Termination needs every snapshot completed, unless a person chose otherwise.
func killWithoutEvidence(t Trace) string {
	for _, c := range t.effective("ec2", "TerminateInstances") {
		in, ok := c.Input.(*ec2.TerminateInstancesInput)
		if !ok {
			return "a termination without a readable input"
		}
		for _, id := range in.InstanceIds {
			d, decided := t.standing(id, incident.Terminate, c.At)
			if decided && d.Override {
				continue
			}
			for _, volume := range t.attached(id, c.At) {
				if !t.imaged(volume, d.Incident, c.At) {
					return fmt.Sprintf("%s was terminated without a completed snapshot of %s", id, volume)
				}
			}
		}
	}
	return ""
}

// attached are the volumes of an instance as EC2 last described it by then.
func (t Trace) attached(instance string, at time.Time) []string {
	i, _ := t.Before.Instance(instance)
	for _, c := range t.effective("ec2", "DescribeInstances") {
		out, ok := c.Output.(*ec2.DescribeInstancesOutput)
		if !ok || c.At.After(at) {
			continue
		}
		for _, r := range out.Reservations {
			for _, now := range r.Instances {
				if aws.ToString(now.InstanceId) == instance {
					i = now
				}
			}
		}
	}
	var all []string
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil {
			all = append(all, aws.ToString(m.Ebs.VolumeId))
		}
	}
	return all
}

// imaged says whether a snapshot of a volume was completed by then, as evidence of an
// incident; empty: of any. What the account shows afterwards may have completed later,
// so its time counts.
func (t Trace) imaged(volume, of string, at time.Time) bool {
	for _, s := range t.After.Snapshots {
		whose := tag(s.Tags, "cordon:incident")
		if aws.ToString(s.VolumeId) == volume && s.State == types.SnapshotStateCompleted && whose != "" && (of == "" || whose == of) &&
			(s.CompletionTime == nil || !s.CompletionTime.After(at)) {
			return true
		}
	}
	return false
}

// Groups once changed return to what they were only by a release decision, and
// nothing contained passes through the open group again.
func reconnected(t Trace) string {
	k := t.kinds()
	for _, s := range t.swaps() {
		was := k.all(s.from, "quarantine", "capture", "conversion")
		if !was || k.all(s.to, "quarantine", "capture") {
			continue
		}
		if k.all(s.from, "quarantine", "capture") && k.all(s.to, "conversion") {
			return s.eni + " was contained and went through the open group again"
		}
		if k.all(s.to, "conversion") {
			continue
		}
		instance := t.owner(s.eni)
		if _, ok := t.standing(instance, incident.Release, s.call.At); !ok {
			return fmt.Sprintf("%s was put back into %v, and no valid release says so", s.eni, s.to)
		}
	}
	return t.allowedAgain()
}

// allowedAgain says which denial of credentials went without a release.
func (t Trace) allowedAgain() string {
	for _, c := range t.effective("iam", "DeleteRolePolicy") {
		if _, ok := t.standing(t.Finding.InstanceID, incident.Release, c.At); !ok {
			return fmt.Sprintf("the credentials of %v were allowed again, and no valid release says so", c.Resources)
		}
	}
	return ""
}

// owner is the instance that an interface was attached to.
func (t Trace) owner(eni string) string {
	for _, i := range slices.Concat(t.Before.NetworkInterfaces, t.After.NetworkInterfaces) {
		if aws.ToString(i.NetworkInterfaceId) == eni && i.Attachment != nil {
			return aws.ToString(i.Attachment.InstanceId)
		}
	}
	return ""
}

// Whatever is changed had its prior value stored first; a release restores it.
func changedUnrecorded(t Trace) string {
	k := t.kinds()
	for _, s := range t.swaps() {
		if !k.all(s.from, "quarantine", "capture", "conversion") && !t.written("prior#"+s.eni+"#", s.call) {
			return s.eni + " was moved before its groups were recorded"
		}
	}
	for _, c := range t.effective("ec2", "ModifyInstanceAttribute") {
		in, ok := c.Input.(*ec2.ModifyInstanceAttributeInput)
		if !ok {
			continue
		}
		for _, what := range attributes(in) {
			if !t.written("prior#"+what, c) {
				return fmt.Sprintf("%s of %s was changed before it was recorded", what, aws.ToString(in.InstanceId))
			}
		}
	}
	for _, c := range t.Calls {
		if !c.Effective {
			continue
		}
		var what string
		switch in := c.Input.(type) {
		case *autoscaling.EnterStandbyInput:
			what = in.InstanceIds[0] + "#" + incident.PriorMembership
		case *autoscaling.DetachInstancesInput:
			what = in.InstanceIds[0] + "#" + incident.PriorMembership
		case *elbv2.DeregisterTargetsInput:
			what = fmt.Sprintf("%s#%s %s:%d", aws.ToString(in.TargetGroupArn), incident.PriorTarget, aws.ToString(in.Targets[0].Id), aws.ToInt32(in.Targets[0].Port))
		case *elb.DeregisterInstancesFromLoadBalancerInput:
			what = aws.ToString(in.LoadBalancerName) + "#" + incident.PriorClassic
		case *iam.PutRolePolicyInput:
			what = aws.ToString(in.RoleName) + "#" + incident.PriorRolePolicy
		default:
			continue
		}
		if !t.written("prior#"+what, c) {
			return fmt.Sprintf("%s of %s before it was recorded", c.Action, what)
		}
	}
	if t.Ending != "Released" {
		return ""
	}
	after := t.After.Places(t.Finding.InstanceID)
	for _, place := range t.Before.Places(t.Finding.InstanceID) {
		// What cannot come back until people change something else is told.
		if !slices.Contains(after, place) && !t.died() && !t.lastTells(place) {
			return fmt.Sprintf("%s sends the instance nothing after a release", place)
		}
	}
	now := map[string][]string{}
	for _, i := range t.After.NetworkInterfaces {
		now[aws.ToString(i.NetworkInterfaceId)] = groupIDs(i)
	}
	for _, i := range t.Before.Interfaces(t.Finding.InstanceID) {
		id, before := aws.ToString(i.NetworkInterfaceId), groupIDs(i)
		// Groups of ours from an earlier incident are not what a release restores.
		if k.all(before, "quarantine", "capture", "conversion") {
			before = nil
		}
		switch after := now[id]; {
		case k.all(after, "quarantine", "capture", "conversion") && before == nil && (t.lastTells(id) || t.Later && !t.decidedSince(ever)):
			// What it had before is gone since, and people know: from this run, or from
			// the earlier one about which nobody decided once more.
		case t.died():
			// Somebody ended it meanwhile.
		case t.isolatedAnew(id):
			// A later finding opened an incident of its own.
		case t.putThere(id, after) && (t.recorded(id, after) || t.lastTells(id)):
			// Others put it there since, and a release leaves what it does not find in
			// our groups; it is what they were asked to restore, or people know.
		case k.all(after, "quarantine", "capture", "conversion"):
			return id + " is still in our groups after a release"
		case before != nil && !sameGroups(before, after):
			return fmt.Sprintf("%s was in %v and is in %v after a release", id, before, after)
		}
	}
	return t.notBack()
}

// notBack says which flag is not as it was before a release. Where an earlier run had
// an incident, that changed it, and the account of before does not tell from what.
func (t Trace) notBack() string {
	if !slices.ContainsFunc(t.decided(), func(d incident.Decision) bool { return d.Choice == incident.Release }) || len(t.Before.heads()) > 0 || t.died() || slices.ContainsFunc(t.Before.Interfaces(t.Finding.InstanceID), func(i types.NetworkInterface) bool {
		return t.isolatedAnew(aws.ToString(i.NetworkInterfaceId))
	}) {
		return ""
	}
	before, after := t.Before.flags(t.Finding.InstanceID), t.After.flags(t.Finding.InstanceID)
	for _, name := range sortedKeys(before) {
		if before[name] != after[name] && !t.lastTells(name) {
			return fmt.Sprintf("%s was %q and is %q after a release", name, before[name], after[name])
		}
	}
	return ""
}

// attributes are what a call changes of an instance, as the record names it.
func attributes(in *ec2.ModifyInstanceAttributeInput) []string {
	var all []string
	for name, set := range map[string]bool{
		"disableApiTermination": in.DisableApiTermination != nil, "disableApiStop": in.DisableApiStop != nil,
		"instanceInitiatedShutdownBehavior": in.InstanceInitiatedShutdownBehavior != nil,
	} {
		if set {
			all = append(all, aws.ToString(in.InstanceId)+"#"+name)
		}
	}
	for _, m := range in.BlockDeviceMappings {
		volume := "vol-" // the call may name the device alone
		if m.Ebs != nil && m.Ebs.VolumeId != nil {
			volume = *m.Ebs.VolumeId + "#deleteOnTermination"
		}
		all = append(all, volume)
	}
	slices.Sort(all)
	return all
}

// isolatedAnew says whether an interface came into our groups for an incident that
// was opened after a person had decided.
func (t Trace) isolatedAnew(eni string) bool {
	var last time.Time // of its changes by us
	for _, s := range t.swaps() {
		if s.eni == eni {
			last = s.call.At
		}
	}
	return slices.ContainsFunc(t.effective("dynamodb", "PutItem"), func(c sim.Call) bool {
		in, ok := c.Input.(*dynamodb.PutItemInput)
		return ok && strings.HasPrefix(stringOf(in.Item["sk"]), "incident#") && c.Made.Before(last) && t.decidedSince(c.At)
	})
}

// putThere says whether others put an interface into its groups, and nobody has moved
// it since.
func (t Trace) putThere(eni string, groups []string) bool {
	var last sim.Change
	for _, o := range t.Others {
		if o.NetworkInterface == eni {
			last = o
		}
	}
	return sameGroups(last.Groups, groups) && len(groups) > 0 &&
		!slices.ContainsFunc(t.swaps(), func(s swap) bool { return s.eni == eni && s.at.After(last.At) })
}

// recorded says whether an earlier run recorded these as an interface's groups.
func (t Trace) recorded(eni string, groups []string) bool {
	return slices.ContainsFunc(t.Before.Incidents, func(i Row) bool {
		var was struct{ Value []string }
		return i.Table == "incidents" && i.Item.Text("sk") == "prior#"+eni+"#groups" && json.Unmarshal([]byte(i.Item.Text("body")), &was) == nil && sameGroups(was.Value, groups)
	})
}

// died says whether the instance ended and nobody here terminated it.
func (t Trace) died() bool {
	i, exists := t.After.Instance(t.Finding.InstanceID)
	return (!exists || dead(State(i))) && len(t.effective("ec2", "TerminateInstances")) == 0
}

// lastTells says whether the last mail is the one of a release that did not bring
// everything back, and names something. What tells of an execution that ended badly
// may come a second time at any moment, and says nothing of what is back.
func (t Trace) lastTells(what string) bool {
	all := slices.DeleteFunc(slices.Clone(t.Mails), func(m sim.Mail) bool { return begins(m.Subject, endedBadly) })
	if len(all) == 0 {
		return false
	}
	last := all[len(all)-1]
	return (strings.Contains(last.Subject, "NOT all is back") || strings.Contains(last.Subject, "一部未復元")) && strings.Contains(last.Body, what)
}

func sameGroups(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// inside are the services in which the steps change only what is of the stack:
// its tables, bucket, topic, keys and executions.
var inside = []string{"dynamodb", "kms", "s3", "sfn", "sns"}

// outside tells whether a call is about what belongs to the account, not to this
// stack. What a new service is about is outside until somebody says otherwise.
func outside(c sim.Call) bool { return !slices.Contains(inside, c.Service) }

// Nothing outside the stack is changed for a finding that is not ours to act
// on, and for one that is, only what belongs to its instance.
func touchedNotOurs(t Trace) string {
	for _, c := range t.Calls {
		if !c.Effective || !c.Mutating || !outside(c) {
			continue
		}
		if !t.Ours && !t.resumed(c.At) {
			return fmt.Sprintf("%s:%s for a finding that nobody may act on", c.Service, c.Action)
		}
		in, moves := c.Input.(*ec2.ModifyNetworkInterfaceAttributeInput)
		for _, r := range c.Resources {
			if moves && slices.Contains(in.Groups, r) {
				continue // the interface changes, not the group it is put into
			}
			if !t.belongs(r) && !slices.Contains(t.attached(t.Finding.InstanceID, c.At), r) {
				return fmt.Sprintf("%s:%s changed %s, which has nothing to do with %s", c.Service, c.Action, r, t.Finding.InstanceID)
			}
		}
	}
	return ""
}

// resumed says whether the pause that held the finding was over by then: an operator
// may redrive what it held, and a finding that comes then is not held.
func (t Trace) resumed(at time.Time) bool {
	return (t.Handled || len(t.Also) > 0) && t.Braked == pauseSwitch && !t.PauseEnds.IsZero() && at.After(t.PauseEnds)
}

// belongs says whether a resource is the instance, attached to it, ours, or new.
func (t Trace) belongs(id string) bool {
	instance := t.Finding.InstanceID
	if id == instance {
		return true
	}
	for _, i := range t.After.Interfaces(instance) {
		if id == aws.ToString(i.NetworkInterfaceId) || id == aws.ToString(i.VpcId) {
			return true
		}
	}
	for _, i := range t.Before.Interfaces(instance) {
		if id == aws.ToString(i.NetworkInterfaceId) || id == aws.ToString(i.VpcId) || slices.Contains(groupIDs(i), id) {
			return true
		}
	}
	if i, ok := t.Before.Instance(instance); ok {
		for _, m := range i.BlockDeviceMappings {
			if m.Ebs != nil && id == aws.ToString(m.Ebs.VolumeId) {
				return true
			}
		}
	}
	if _, ok := t.kinds()[id]; ok {
		return true
	}
	if slices.ContainsFunc(t.Others, func(o sim.Change) bool { return o.NetworkInterface == id }) {
		return true // one that somebody attached to it
	}
	for _, s := range t.After.Snapshots {
		if id == aws.ToString(s.SnapshotId) && (tag(s.Tags, "cordon:incident") != "" || tag(s.Tags, "cordon:transfer") != "") {
			return true
		}
	}
	// Rules of our groups, commands and documents are ours by their making.
	for _, a := range []Account{t.Before, t.After} {
		if a.knows(id) {
			return false
		}
	}
	return true
}

// knows says whether the account has a machine, interface, group or volume of that ID.
func (a Account) knows(id string) bool {
	if _, ok := a.Instance(id); ok {
		return true
	}
	return slices.ContainsFunc(a.NetworkInterfaces, func(i types.NetworkInterface) bool { return aws.ToString(i.NetworkInterfaceId) == id }) ||
		slices.ContainsFunc(a.SecurityGroups, func(g types.SecurityGroup) bool { return aws.ToString(g.GroupId) == id }) ||
		slices.ContainsFunc(a.Volumes, func(v types.Volume) bool { return aws.ToString(v.VolumeId) == id }) ||
		slices.ContainsFunc(a.Snapshots, func(s types.Snapshot) bool { return aws.ToString(s.SnapshotId) == id })
}

// One incident, one snapshot set and one capture an instance. A second one can
// come only from an answer that was lost.
func secondIncident(t Trace) string {
	if from := t.takenFrom(); from != "" {
		return "an incident was taken from " + from + ", and whoever took it had not seen that this one is over"
	}
	opened := map[string]time.Time{}
	incidents := 0
	for _, c := range t.effective("dynamodb", "PutItem") {
		in, ok := c.Input.(*dynamodb.PutItemInput)
		if !ok || !strings.HasPrefix(stringOf(in.Item["sk"]), "incident#") {
			continue
		}
		instance := stringOf(in.Item["pk"])
		var inc incident.Incident // the key may be anything; what it is about is not
		if json.Unmarshal([]byte(stringOf(in.Item["body"])), &inc) == nil && inc.InstanceID != "" {
			instance = inc.InstanceID
			if open := t.wasOpen(inc); open != "" && !t.decidedSince(c.At) {
				return instance + " has two incidents: " + open + " was open"
			}
		}
		if last, again := opened[instance]; again && !t.decidedBetween(last, c.At) {
			return instance + " has two incidents"
		}
		opened[instance] = c.At
		incidents++
	}
	evidence := map[string]string{}
	for _, s := range t.After.Snapshots {
		of := tag(s.Tags, "cordon:incident") + " of " + aws.ToString(s.VolumeId)
		stopped := t.Status == "ABORTED" // before it could mark one
		if s.State == types.SnapshotStateError || tag(s.Tags, "cordon:incident") == "" || tag(s.Tags, "cordon:duplicate") != "" || stopped {
			continue
		}
		if first, again := evidence[of]; again {
			return fmt.Sprintf("%s and %s are both the evidence of %s", first, aws.ToString(s.SnapshotId), of)
		}
		evidence[of] = aws.ToString(s.SnapshotId)
	}
	for _, one := range []struct{ service, action string }{{"ec2", "CreateSnapshots"}, {"ssm", "SendCommand"}} {
		answered, all := map[string]int{}, 0
		for _, c := range t.effective(one.service, one.action) {
			if c.Error != "" {
				continue
			}
			all++
			if in, ok := c.Input.(*ec2.CreateSnapshotsInput); ok && len(in.TagSpecifications) > 0 {
				whose := tag(in.TagSpecifications[0].Tags, "cordon:incident")
				if answered[whose]++; answered[whose] > 1 {
					return fmt.Sprintf("%s was answered %d times for %s", one.action, answered[whose], whose)
				}
			}
		}
		if all > max(1, incidents) {
			return fmt.Sprintf("%s was answered %d times", one.action, all)
		}
	}
	return ""
}

// takenFrom is the execution that lost an incident to somebody who had not seen that it
// was over; empty if there is none. Not where a critical finding takes over from one
// that asks, which is written on the condition that it asks, nor where people are
// only asked once more: nobody isolates then.
func (t Trace) takenFrom() string {
	for _, c := range t.effective("dynamodb", "UpdateItem") {
		in, ok := c.Input.(*dynamodb.UpdateItemInput)
		if !ok || t.Later || strings.Contains(aws.ToString(in.ConditionExpression), "attribute_exists") {
			continue
		}
		from, to := stringOf(in.ExpressionAttributeValues[":from"]), stringOf(in.ExpressionAttributeValues[":to"])
		if from == "" || to == "" || from == to {
			continue
		}
		if !slices.ContainsFunc(t.Calls, func(d sim.Call) bool {
			in, looks := d.Input.(*sfn.DescribeExecutionInput)
			out, answered := d.Output.(*sfn.DescribeExecutionOutput)
			return looks && d.By == c.By && aws.ToString(in.ExecutionArn) == from &&
				(answered && out.Status != sfntypes.ExecutionStatusRunning || d.Error == "ExecutionDoesNotExist")
		}) {
			return from
		}
	}
	return ""
}

// wasOpen is the incident of an earlier run that was open about the same machine; empty
// if none was.
func (t Trace) wasOpen(inc incident.Incident) string {
	for _, i := range t.Before.Incidents {
		var was incident.Incident
		if i.Table == "incidents" && i.Item.Text("state") == "open" && json.Unmarshal([]byte(i.Item.Text("body")), &was) == nil &&
			was.InstanceID == inc.InstanceID && was.AttachedAt.Equal(inc.AttachedAt) {
			return was.ID
		}
	}
	return ""
}

// After faults that end, the end is that of an undisturbed run.
func diverged(t Trace) string {
	if t.Again == nil {
		return ""
	}
	ending, after, err := t.Again()
	if err != nil {
		return "the undisturbed run: " + err.Error()
	}
	if t.Ending != ending {
		return fmt.Sprintf("ended as %q, undisturbed as %q", t.Ending, ending)
	}
	if ending != "Released" { // which ends what is under way
		for _, s := range after.Snapshots {
			volume, whose := aws.ToString(s.VolumeId), tag(s.Tags, "cordon:incident")
			switch {
			case whose == "" || s.State != types.SnapshotStateCompleted:
			case !t.imaged(volume, whose, ever):
				return fmt.Sprintf("there is no completed snapshot of %s, undisturbed there is", volume)
			case after.lockedOf(volume, whose) && !t.After.lockedOf(volume, whose):
				return fmt.Sprintf("no snapshot of %s is locked, undisturbed one is", volume)
			}
		}
	}
	for _, i := range after.Interfaces(t.Finding.InstanceID) {
		id := aws.ToString(i.NetworkInterfaceId)
		for _, j := range t.After.NetworkInterfaces {
			if aws.ToString(j.NetworkInterfaceId) == id && GroupNames(j) != GroupNames(i) {
				return fmt.Sprintf("%s is in %s, undisturbed in %s", id, GroupNames(j), GroupNames(i))
			}
		}
	}
	a, _ := t.After.Instance(t.Finding.InstanceID)
	b, _ := after.Instance(t.Finding.InstanceID)
	if x, y := State(a), State(b); x != y && (!dead(x) || !dead(y)) {
		return fmt.Sprintf("the instance is %s, undisturbed %s", x, y)
	}
	return ""
}

// dead says whether an instance has ended: which of the two it shows is a
// question of seconds.
func dead(s types.InstanceStateName) bool {
	return s == types.InstanceStateNameShuttingDown || s == types.InstanceStateNameTerminated
}

// No token, link secret, pre-signed URL or key in a subject, a log, the history, a
// table or a command, but for one URL in the command that starts the capture.
func secretLeft(t Trace) string {
	secrets, links := append(slices.Clone(t.Tokens), t.credentials()...), map[string]string{}
	for _, m := range t.Mails {
		if _, rest, ok := strings.Cut(m.Body, t.API+"/d/"); ok {
			link := strings.FieldsFunc(rest, func(r rune) bool { return r <= ' ' || r == '>' || r == ')' })[0]
			request, secret, carries := strings.Cut(link, "/")
			if was, again := links[request]; again && was != secret {
				return request + " has two links: people hold one that does not work, or a second secret is about"
			}
			if links[request] = secret; carries && secret == "" {
				return request + " has a link with an empty secret"
			}
			secrets = append(secrets, link[strings.LastIndexByte(link, '/')+1:])
		}
	}
	slices.Sort(secrets)
	secrets = slices.DeleteFunc(slices.Compact(secrets), func(s string) bool { return s == "" })
	shortest := len(presigned)
	for _, s := range secrets {
		shortest = min(shortest, len(s))
	}
	for _, m := range t.Mails {
		// A pager or a ticket that many read, for ever: whoever has a link can decide.
		if m.Topic != "" && m.Topic == t.Escalation && strings.Contains(m.Body, t.API+"/d/") {
			return "an escalation holds a link"
		}
		for _, s := range secrets {
			if strings.Contains(m.Subject, s) {
				return "a subject holds a secret"
			}
		}
		for _, s := range t.Tokens {
			if strings.Contains(m.Body, s) {
				return "a mail holds a task token"
			}
		}
		if strings.Contains(m.Body, presigned) {
			return "a mail holds a pre-signed URL"
		}
	}
	if what := secretIn(t.Log, secrets); what != "" {
		return "a function logged " + what
	}
	for _, said := range t.Said {
		if what := secretIn(said, secrets); what != "" {
			return "a function answered, for the history to keep, " + what
		}
	}
	var hashes []string
	for _, s := range secrets {
		hash := sha256.Sum256([]byte(s))
		hashes = append(hashes, s, hex.EncodeToString(hash[:]))
	}
	for _, key := range sortedKeys(t.Bucket) {
		if !strings.Contains(key, "/reports/") && !strings.Contains(key, "/manifests/") {
			continue // batches of the capture hold addresses, and the event is as it came
		}
		if what := secretIn(t.Bucket[key].Body, secrets); what != "" {
			return key + " holds " + what
		}
	}
	for _, key := range sortedKeys(t.Journal) {
		text := string(t.Journal[key])
		if slices.ContainsFunc(hashes, func(s string) bool { return holds(text, s) }) {
			return key + " holds a secret, or the hash of one"
		}
		if strings.Contains(text, presigned) {
			return key + " holds a pre-signed URL"
		}
	}
	for _, c := range t.Calls {
		if c.Service != "dynamodb" && c.Service != "ssm" && c.Service != "ec2" {
			continue // KMS encrypts them, SNS mails the link, Step Functions takes the token, S3 holds the batches
		}
		urls, secret := 0, false
		texts(reflect.ValueOf(c.Input), func(text string) {
			if len(text) >= shortest { // few are
				urls += strings.Count(text, presigned)
				secret = secret || slices.ContainsFunc(secrets, func(s string) bool { return holds(text, s) })
			}
		})
		if secret {
			return fmt.Sprintf("%s:%s holds a secret in clear", c.Service, c.Action)
		}
		if urls > 1 || urls == 1 && c.Action != "SendCommand" {
			return fmt.Sprintf("%s:%s holds %d pre-signed URLs", c.Service, c.Action, urls)
		}
	}
	return ""
}

// presigned is a part of every pre-signed URL.
const presigned = "X-Amz-Signature"

// holds is strings.Contains. What is longer than 63 bytes, as a token or a hash, that
// looks for one byte after the other; its beginning is found, and mostly not, at once.
func holds(text, s string) bool {
	return strings.Contains(text, s[:min(len(s), 32)]) && strings.Contains(text, s)
}

// secretIn says which kind of secret a text holds; empty if none. JSON escapes what
// stands in none of them.
func secretIn(said []byte, secrets []string) string {
	text := string(said)
	if strings.Contains(text, presigned) {
		return "a pre-signed URL"
	}
	if slices.ContainsFunc(secrets, func(s string) bool { return holds(text, s) }) {
		return "a secret"
	}
	return ""
}

// credentials are those that a role of another account was taken with.
func (t Trace) credentials() (all []string) {
	for _, c := range t.effective("sts", "AssumeRole") {
		if out, ok := c.Output.(*sts.AssumeRoleOutput); ok && out.Credentials != nil {
			all = append(all, aws.ToString(out.Credentials.SecretAccessKey), aws.ToString(out.Credentials.SessionToken))
		}
	}
	return all
}

// Every journal holds, and what its newest entry says of an item is the item as
// the table has it.
func unjournaled(t Trace) string {
	texts := map[string]map[int][]byte{} // of an incident, by number
	for key, text := range t.Journal {
		id, object, _ := strings.Cut(strings.TrimPrefix(key, "incidents/"), "/journal/")
		n, ok := chain.NumberOf(object)
		if !ok {
			return key + " is no entry of a journal"
		}
		if texts[id] == nil {
			texts[id] = map[int][]byte{}
		}
		texts[id][n] = text
	}
	given := t.givenUp()
	newest := map[string]chain.Item{}
	for _, id := range sortedKeys(texts) {
		items, broken, gap := followed(id, texts[id])
		if broken != "" {
			return "the journal of " + id + ": " + broken
		}
		if gap {
			// A change that was given up may lack, or stand behind later ones, if it was handed over again.
			c := chain.Check(id, slices.Collect(maps.Keys(texts[id])), func(n int) ([]byte, error) { return texts[id][n], nil })
			if broken := slices.DeleteFunc(c.Broken, gaps(given)); len(broken) > 0 {
				return fmt.Sprintf("the journal of %s: %s", id, broken[0])
			}
			items = c.Newest
		}
		maps.Copy(newest, items)
	}
	stood := map[string]record.Image{}
	for _, i := range t.Before.Incidents {
		stood[i.Table+" "+i.Item.Text("pk")+" "+i.Item.Text("sk")] = i.Item
	}
	for _, i := range t.After.Incidents {
		pk, sk := i.Item.Text("pk"), i.Item.Text("sk")
		at := i.Table + " " + pk + " " + sk
		whose, ok := record.Whose(pk, sk)
		if !ok || reflect.DeepEqual(stood[at], i.Item) {
			continue
		}
		if is, _ := i.Item.Told(); !newest[at].Same(is) && !t.heldUp(whose) && !slices.ContainsFunc(given, func(g record.Image) bool {
			was, _ := g.Told() // the last change of it was given up
			return g.Text("pk") == pk && g.Text("sk") == sk && chain.Item(was).Same(is)
		}) {
			return fmt.Sprintf("the record has %s as %s, and the journal as %s", at, is, newest[at])
		}
	}
	return ""
}

// followed reads a journal, entries by number, without the code that writes and
// verifies it: numbers without a gap, each entry with the hash of the one before,
// each change once. It gives what was last said of each item, by table and keys, and
// whether a change of one does not follow what was said of it before.
func followed(id string, texts map[int][]byte) (newest map[string]chain.Item, broken string, gap bool) {
	newest = map[string]chain.Item{}
	events := map[string]bool{}
	before := ""
	for n := 1; n <= len(texts); n++ {
		text, ok := texts[n]
		if !ok {
			return nil, fmt.Sprintf("entry %d is gone", n), false
		}
		var e struct {
			Incident, Change, Event, Table, PK, SK, Previous string
			Sequence                                         int
			New, Old                                         chain.Item
		}
		switch err := json.Unmarshal(text, &e); {
		case err != nil:
			return nil, fmt.Sprintf("entry %d: %v", n, err), false
		case e.Incident != id || e.Sequence != n:
			return nil, fmt.Sprintf("entry %d is entry %d of %s", n, e.Sequence, e.Incident), false
		case e.Previous != before:
			return nil, fmt.Sprintf("entry %d does not follow the one before", n), false
		case events[e.Event]:
			return nil, fmt.Sprintf("entry %d is a change that stands there before", n), false
		}
		events[e.Event] = true
		at := e.Table + " " + e.PK + " " + e.SK
		if was, told := newest[at]; told {
			gap = gap || !follows(e.Change, was, e.New, e.Old)
		}
		newest[at] = e.New
		sum := sha256.Sum256(text)
		before = hex.EncodeToString(sum[:])
	}
	return newest, "", gap
}

// follows says whether an item was as a change of it says: each attribute that the
// change leaves alone as it is, and each other as it was.
func follows(change string, was, is, changed chain.Item) bool {
	if change == "INSERT" {
		return len(was) == 0
	}
	for name, value := range was {
		said, ok := changed[name]
		if !ok {
			said, ok = is[name]
		}
		if !ok || !bytes.Equal(said, value) {
			return false
		}
	}
	for name := range changed {
		if _, ok := was[name]; !ok {
			return false
		}
	}
	return true
}

// heldUp says whether an incident's journal could not be written to the last: what is
// lacking then is told by verify, and by the manifest, which says that it is not complete.
func (t Trace) heldUp(incidentID string) bool {
	for n := range slices.Backward(t.Calls) {
		last := &t.Calls[n]
		if last.Service == "s3" && last.By != nil && last.By.Function == "journal" && strings.Contains(plain(last.Input), "incidents/"+incidentID+"/") {
			return last.Error != "" && last.Error != "PreconditionFailed" && !last.Effective // that is an entry which another try wrote
		}
	}
	return false
}

// givenUp are the changes of the record that Lambda gave up, and kept in the bucket
// for people to hand over again, as the items were then.
func (t Trace) givenUp() (all []record.Image) {
	for _, key := range sortedKeys(t.Bucket) {
		if !strings.HasPrefix(key, "aws/lambda/") {
			continue
		}
		var kept struct{ Payload string }
		var batch struct {
			Records []struct {
				Dynamodb struct{ NewImage record.Image }
			}
		}
		if json.Unmarshal(t.Bucket[key].Body, &kept) != nil || json.Unmarshal([]byte(kept.Payload), &batch) != nil {
			continue
		}
		for _, r := range batch.Records {
			all = append(all, r.Dynamodb.NewImage)
		}
	}
	return all
}

// gaps are the lines about a journal that tell of changes which were given up: until
// they are handed over again, that is so, and verify says it.
func gaps(given []record.Image) func(line string) bool {
	return func(line string) bool {
		return slices.ContainsFunc(given, func(i record.Image) bool {
			return strings.HasSuffix(line, fmt.Sprintf("%q was changed, and no entry says so", i.Text("sk")))
		})
	}
}

// plain is every text in a call's input, one a line.
func plain(in any) string {
	var b strings.Builder
	texts(reflect.ValueOf(in), func(text string) {
		b.WriteString(text)
		b.WriteByte('\n')
	})
	return b.String()
}

// texts gives each text in a value to a function.
func texts(v reflect.Value, each func(string)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			texts(v.Elem(), each)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for n := range v.NumField() {
			texts(v.Field(n), each)
		}
	case reflect.Map:
		for all := v.MapRange(); all.Next(); {
			texts(all.Key(), each)
			texts(all.Value(), each)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			each(string(v.Bytes()))
			return
		}
		for n := range v.Len() {
			texts(v.Index(n), each)
		}
	case reflect.String:
		each(v.String())
	}
}

const (
	// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
	mostEvents  = 25000
	mostPayload = 256 << 10
)

// No loop for ever; within the limits of Step Functions.
func endless(t Trace) string {
	switch {
	case t.Status == running, t.Unended:
		return "the execution neither ended nor waits for anybody"
	case t.History >= mostEvents:
		return fmt.Sprintf("%d history events", t.History)
	case t.Payload > mostPayload:
		return fmt.Sprintf("a payload of %d bytes", t.Payload)
	}
	return ""
}

// ranOut says whether the invocation that opened an interface ran into its time-out.
func (t Trace) ranOut(s swap) bool {
	return s.call.By != nil && slices.ContainsFunc(t.Calls, func(c sim.Call) bool { return c.By == s.call.By && c.Error == "DeadlineExceeded" })
}

// stoppedInTheAct says whether an operator stopped the execution while the invocation
// that opened an interface was at work, which was cut off before it looked again, so
// that nothing was invoked that could have closed it, and people are told that it was
// stopped.
func (t Trace) stoppedInTheAct(s swap) bool {
	by := s.call.By
	return t.Handled && t.Status == "ABORTED" && by != nil &&
		!slices.ContainsFunc(t.Calls, func(c sim.Call) bool {
			looked := c.By == by && c.Action == "DescribeNetworkInterfaces" && c.At.After(s.call.At) && c.Error == ""
			return looked || c.By != nil && c.By.Function == "isolate" && c.By.Began.After(by.Began)
		}) &&
		slices.ContainsFunc(t.Mails, func(m sim.Mail) bool { return m.At.After(s.call.At) && begins(m.Subject, endedBadly) })
}

// limit is how long an interface may stay in the conversion group once EC2
// accepts calls and an invocation runs.
const limit = 5 * time.Second

// An interface in the conversion group is moved on at once, and none is there
// at the end.
func leftOpen(t Trace) string {
	k := t.kinds()
	all, refused := t.swaps(), map[string]bool{}
	for n, s := range all {
		if !k.all(s.to, "conversion") {
			continue
		}
		// From the first call that EC2 answered well after it was opened, and
		// after it last failed to answer a call that would have closed it.
		next, moved := slices.IndexFunc(all[n+1:], func(o swap) bool { return o.eni == s.eni }), ever
		if next >= 0 {
			moved = all[n+1+next].at
		}
		from, ok := t.firstWell(t.lastRefused(s, moved))
		if next < 0 && (t.refusedToTheEnd(s) || t.stoppedInTheAct(s)) {
			refused[s.eni] = true
			continue
		}
		if next < 0 && t.died() && t.loose(s.eni) && (t.refusedOnce(s) || t.ranOut(s)) {
			continue
		}
		if next < 0 {
			return s.eni + " was left in the conversion group"
		}
		if ok && moved.Sub(from) > limit {
			return fmt.Sprintf("%s was in the conversion group for %s", s.eni, moved.Sub(from))
		}
	}
	for _, i := range t.After.Interfaces(t.Finding.InstanceID) {
		if !refused[aws.ToString(i.NetworkInterfaceId)] && slices.ContainsFunc(groupIDs(i), func(g string) bool { return k[g] == "conversion" }) {
			return aws.ToString(i.NetworkInterfaceId) + " is in the conversion group at the end"
		}
	}
	return ""
}

// leastTried is for how long, at least, an interface is tried to be moved out of the
// conversion group before people have to.
const leastTried = 5 * time.Minute

// refusedToTheEnd says whether EC2 let an interface into the conversion group and
// refused, to the last of many attempts, to let it out, and people know: nobody else
// can do anything.
func (t Trace) refusedToTheEnd(s swap) bool {
	var last sim.Call
	for _, c := range t.Calls {
		if in, ok := c.Input.(*ec2.ModifyNetworkInterfaceAttributeInput); ok && aws.ToString(in.NetworkInterfaceId) == s.eni && c.At.After(s.call.At) {
			last = c
		}
	}
	return t.Ending == "Not contained" && len(t.Mails) > 0 && last.Error != "" && !last.Effective && last.At.Sub(s.at) >= leastTried
}

// loose says whether an interface is attached to nothing any more, or gone with its
// instance. Nobody finds it by its instance then, and nobody talks through it.
func (t Trace) loose(eni string) bool {
	n := slices.IndexFunc(t.After.NetworkInterfaces, func(i types.NetworkInterface) bool { return aws.ToString(i.NetworkInterfaceId) == eni })
	return n < 0 || t.After.NetworkInterfaces[n].Attachment == nil
}

// refusedOnce says whether EC2 refused to let an interface out again.
func (t Trace) refusedOnce(s swap) bool {
	return slices.ContainsFunc(t.Calls, func(c sim.Call) bool {
		in, ok := c.Input.(*ec2.ModifyNetworkInterfaceAttributeInput)
		return ok && aws.ToString(in.NetworkInterfaceId) == s.eni && c.At.After(s.call.At) && c.Error != "" && !c.Effective
	})
}

// lastRefused is when the last failed attempt to move an interface on was over, of
// those that began before it was moved.
func (t Trace) lastRefused(s swap, moved time.Time) time.Time {
	at := s.at
	if s.call.Error != "" { // whoever opened it waited for the answer, or died of it
		at = s.call.Ended
	}
	for _, c := range t.Calls {
		in, ok := c.Input.(*ec2.ModifyNetworkInterfaceAttributeInput)
		if ok && c.Error != "" && !c.Effective && aws.ToString(in.NetworkInterfaceId) == s.eni && !c.At.Before(s.call.At) && c.At.Before(moved) && c.Ended.After(at) {
			at = c.Ended
		}
	}
	return at
}

// firstWell is when EC2 first did what isolate asked, at or after a moment.
func (t Trace) firstWell(at time.Time) (time.Time, bool) {
	for _, c := range t.Calls {
		if c.Service == "ec2" && c.By != nil && c.By.Function == "isolate" && c.Error == "" && !c.At.Before(at) {
			return c.At, true
		}
	}
	return time.Time{}, false
}

// What a person released or kept is not touched for a repeat of the same finding.
func reversed(t Trace) string {
	if again := t.openedForARepeat(); again != "" {
		return again
	}
	for _, i := range t.Before.Incidents {
		s := i.Item.Text("state")
		if i.Table != "incidents" || s != "released" && s != "kept" {
			continue
		}
		var was incident.Incident
		if json.Unmarshal([]byte(i.Item.Text("body")), &was) != nil || was.InstanceID != t.Finding.InstanceID || !was.AttachedAt.Equal(t.Before.AttachedAt(was.InstanceID)) {
			continue
		}
		if was.Finding.Type != t.Finding.Type || t.Finding.Severity > was.Finding.Severity {
			continue
		}
		for _, c := range t.Calls {
			news := func(f incident.Finding) bool { return f.Type != was.Finding.Type || f.Severity > was.Finding.Severity }
			if c.Effective && c.Mutating && outside(c) && !t.decidedSince(c.At) && !t.since(c.At, news) {
				return fmt.Sprintf("%s:%s after a person's decision on the same finding", c.Service, c.Action)
			}
		}
	}
	return ""
}

// ever is later than anything that is rehearsed.
var ever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// decidedSince says whether a person has decided anew, between the event and a
// moment.
func (t Trace) decidedSince(at time.Time) bool { return t.decidedBetween(t.Start, at) }

func (t Trace) decidedBetween(from, at time.Time) bool {
	return slices.ContainsFunc(t.After.Decisions(), func(d incident.Decision) bool {
		return d.InstanceID == t.Finding.InstanceID && t.about(d, t.Before.AttachedAt(d.InstanceID)) &&
			!t.made(d).Before(from) && !t.made(d).After(at) && t.Sealed(d)
	})
}

// critical is the severity from which nobody is asked before an instance is isolated.
const critical = 9

// since says whether another finding about the instance, of that kind, had come by
// then.
func (t Trace) since(at time.Time, of func(incident.Finding) bool) bool {
	return slices.ContainsFunc(t.Also, func(o Arrival) bool {
		return o.Finding.InstanceID == t.Finding.InstanceID && !o.At.After(at) && of(o.Finding)
	})
}

// Where people are asked about an instance that is not contained, nothing is
// changed unless a person decided to isolate it: verified, unexpired, about this
// machine, and before the change.
func isolatedUnasked(t Trace) string {
	n := slices.IndexFunc(t.Mails, func(m sim.Mail) bool { return strings.Contains(m.Body, t.API+"/d/") })
	if n < 0 {
		return ""
	}
	if when, ok := t.contained("quarantine", "capture"); ok && !when.After(t.Mails[n].At) {
		return "" // it is asked what becomes of an isolated instance
	}
	for _, c := range t.Calls {
		if !c.Effective || !c.Mutating || !outside(c) || t.since(c.At, func(f incident.Finding) bool { return f.Severity >= critical }) {
			continue
		}
		if !slices.ContainsFunc(t.After.Decisions(), func(d incident.Decision) bool {
			return (d.Choice == incident.Isolate || t.Later) && d.InstanceID == t.Finding.InstanceID && t.about(d, t.Before.AttachedAt(d.InstanceID)) &&
				!t.made(d).After(c.At) && (c.At.Before(d.ExpiresAt) || t.keptSince(c, d.ExpiresAt)) && t.Sealed(d)
		}) {
			return fmt.Sprintf("%s:%s, and people were asked whether to isolate: no valid decision says so", c.Service, c.Action)
		}
	}
	return ""
}

// keptSince says whether a call only keeps isolated what was isolated by then: whoever
// redrives an execution days later lets it seal what it had isolated.
func (t Trace) keptSince(c sim.Call, by time.Time) bool {
	in, ok := c.Input.(*ec2.ModifyNetworkInterfaceAttributeInput)
	when, isolated := t.contained("quarantine", "capture")
	return ok && isolated && when.Before(by) && t.kinds().all(in.Groups, "quarantine", "capture")
}

// A dry run changes nothing outside the stack, whatever was decided.
func dryRunChanged(t Trace) string {
	for _, c := range t.Calls {
		if t.DryRun && c.Effective && c.Mutating && outside(c) {
			return fmt.Sprintf("%s:%s in a dry run", c.Service, c.Action)
		}
	}
	return ""
}

// notSigned is how the subjects begin, in both languages, that tell of no manifest.
var notSigned = []string{
	"No signed report", "状況の署名付き報告を作成できません",
	"Done, but the incident stays open", "実行済みですが、インシデントを閉じられません",
	"NOT all is back, and the incident stays open", "一部未復元、インシデントも閉じられません",
	"[URGENT] Finding not processed", "[緊急・要対応] 検出結果を処理できず",
	"[URGENT] You could not be asked once more", "[緊急・要対応] 再度の決定をお願いできません",
}

// endedBadly is how the subjects begin that a rule has mailed of every execution that
// failed: it says no more of this one than the alarm does.
var endedBadly = []string{"[URGENT] Incident response itself ended badly", "[緊急・要対応] インシデント対応の処理自体が異常終了しました"}

func begins(subject string, with []string) bool {
	return slices.ContainsFunc(with, func(b string) bool { return strings.HasPrefix(subject, b) })
}

// An execution that had an incident leaves a manifest of how it ended, or people are
// told that there is none; unless they could not be told at all, of which there is an
// alarm: on notify, and of what is not contained on the execution, which fails at once.
func unsigned(t Trace) string {
	if !slices.Contains([]string{"Terminated", "Kept isolated", "Released", "Isolated, undecided", "Not contained", "Already gone"}, t.Ending) {
		return ""
	}
	had, signed, told := false, false, true
	for _, c := range t.Calls {
		switch in := c.Input.(type) {
		case *dynamodb.PutItemInput:
			had = had || c.Effective && strings.HasPrefix(stringOf(in.Item["sk"]), "incident#")
		case *dynamodb.UpdateItemInput:
			sk := stringOf(in.Key["sk"])
			had = had || c.Effective && strings.HasPrefix(sk, "incident#") && !(t.Ending == "Already gone" && t.stayedReleased(sk))
		case *s3.PutObjectInput:
			signed = signed || c.Effective && strings.Contains(aws.ToString(in.Key), "/manifests/")
		case *kms.SignInput:
			told = true // a mail that failed before this was about something else
		case *sns.PublishInput:
			if !begins(aws.ToString(in.Subject), endedBadly) {
				told = c.Error == ""
			}
		}
	}
	if !had || signed || !told || slices.ContainsFunc(t.Mails, func(m sim.Mail) bool { return begins(m.Subject, notSigned) }) {
		return ""
	}
	return fmt.Sprintf("ended as %q, there is no manifest of it, and nobody was told so", t.Ending)
}

// stayedReleased says whether an incident was closed by a release before, and is still:
// that stands, with the manifest of then, whoever wanted to decide once more.
func (t Trace) stayedReleased(sk string) bool {
	released := func(a Account) bool {
		return slices.ContainsFunc(a.Incidents, func(i Row) bool {
			return i.Table == "incidents" && i.Item.Text("sk") == sk && i.Item.Text("state") == "released"
		})
	}
	return released(t.Before) && released(t.After)
}

func stringOf(v dynamodbtypes.AttributeValue) string {
	if s, ok := v.(*dynamodbtypes.AttributeValueMemberS); ok {
		return s.Value
	}
	return ""
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
