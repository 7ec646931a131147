package rehearsal

import (
	"crypto/ecdsa"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbtypes "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing/types"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// Trace is what the invariants judge: the calls and the account before and
// after, nothing that a step or the record says of itself.
type Trace struct {
	Start   time.Time // when the event arrived
	Finding incident.Finding
	Ours    bool // the finding passes every guard that its event and the parameters decide
	// Braked is what keeps an actionable finding from being acted on: a list, a
	// tag, a pause. Nothing may be touched then, and people must be told.
	Braked    string
	PauseEnds time.Time // where that is the pause switch
	Blind     bool      // the pause switch could not be read; it holds nothing back then
	Later     bool      // the event is no finding but the wish to decide once more about an incident in the record
	DryRun    bool      // by the template's parameter
	Two       bool      // people must decide on a termination, by the template's parameter
	Central   []string  // networks of central endpoints, by the template's parameter
	Calls     []sim.Call
	Others    []sim.Change // of interfaces and of our groups, by others than the stack
	Also      []Arrival    // further findings, while it lasted
	Mails     []sim.Mail
	Before    Account
	After     Account
	Ending    string
	Status    string // empty when no execution was started
	History   int    // events
	Payload   int    // largest, bytes
	Tokens    []string
	API       string            // address of the decision page
	Journal   map[string][]byte // entries of journals in the bucket, by key
	Bucket    map[string]Object // what else the bucket holds, by key
	Key       *ecdsa.PublicKey  // of the stack's SigningKey
	// RetentionDays is for how long evidence is locked, by the template's parameter.
	RetentionDays int
	Sealed        func(d incident.Decision) bool  // recomputes the MAC
	Again         func() (string, Account, error) // ending and account of the undisturbed run; nil without faults

	Escalation string   // ARN of the topic of those who are told that nobody decides
	Log        []byte   // of all functions
	Said       [][]byte // what functions answered, errors too: it stands in the history
	Came       []string // who came to decide, as a Decision's Identity names those who sign in or are IAM's
	SignIn     bool     // people sign in to decide, by the template's parameter
	Handled    bool     // an operator stopped or redrove an execution
	Unended    bool     // an execution, this event's or another's, neither ended nor waits
}

// Arrival is a further finding that came.
type Arrival struct {
	At      time.Time
	Finding incident.Finding
}

// Account is the part of an account that invariants look at.
type Account struct {
	Reservations      []types.Reservation
	NetworkInterfaces []types.NetworkInterface
	SecurityGroups    []types.SecurityGroup
	VpcEndpoints      []types.VpcEndpoint
	PrefixLists       []types.PrefixList
	Volumes           []types.Volume
	Snapshots         []types.Snapshot
	LockedSnapshots   []types.LockedSnapshotsInfo

	EvidenceSnapshots       []types.Snapshot // in the evidence account
	EvidenceLockedSnapshots []types.LockedSnapshotsInfo
	Parameters              []ssmtypes.Parameter

	InstanceAttributes       map[string]*ec2.DescribeInstanceAttributeOutput
	AutoScalingInstances     []autoscalingtypes.AutoScalingInstanceDetails
	TargetHealthDescriptions map[string][]elbv2types.TargetHealthDescription // by ARN of the target group
	LoadBalancerDescriptions []elbtypes.LoadBalancerDescription

	Incidents []Row
}

// Row is an item of the stack's tables.
type Row struct {
	Table string // incidents or decisions
	Item  record.Image
}

// ReadAccount reads an account file.
func ReadAccount(b []byte) (Account, error) {
	var a Account
	if err := json.Unmarshal(b, &a); err != nil {
		return Account{}, fmt.Errorf("read the account: %w", err)
	}
	return a, nil
}

// Instance is the instance of that ID; false if the account does not know it.
func (a Account) Instance(id string) (types.Instance, bool) {
	for _, r := range a.Reservations {
		for _, i := range r.Instances {
			if aws.ToString(i.InstanceId) == id {
				return i, true
			}
		}
	}
	return types.Instance{}, false
}

// Interfaces are the interfaces attached to an instance.
func (a Account) Interfaces(instance string) []types.NetworkInterface {
	var all []types.NetworkInterface
	for _, i := range a.NetworkInterfaces {
		if i.Attachment != nil && aws.ToString(i.Attachment.InstanceId) == instance {
			all = append(all, i)
		}
	}
	return all
}

// Places are where balancers send work to an instance: target groups by the ID
// of the instance, and classic balancers.
func (a Account) Places(instance string) []string {
	var all []string
	for _, arn := range sortedKeys(a.TargetHealthDescriptions) {
		for _, d := range a.TargetHealthDescriptions[arn] {
			draining := d.TargetHealth != nil && d.TargetHealth.State == elbv2types.TargetHealthStateEnumDraining
			if d.Target != nil && aws.ToString(d.Target.Id) == instance && !draining {
				all = append(all, fmt.Sprintf("%s:%d", arn, aws.ToInt32(d.Target.Port)))
			}
		}
	}
	for _, b := range a.LoadBalancerDescriptions {
		if slices.ContainsFunc(b.Instances, func(i elbtypes.Instance) bool { return aws.ToString(i.InstanceId) == instance }) {
			all = append(all, aws.ToString(b.LoadBalancerName))
		}
	}
	slices.Sort(all)
	return all
}

// lockedOf says whether a snapshot of a volume is locked, as evidence of an incident.
func (a Account) lockedOf(volume, incident string) bool {
	return slices.ContainsFunc(a.Snapshots, func(s types.Snapshot) bool {
		return aws.ToString(s.VolumeId) == volume && tag(s.Tags, "cordon:incident") == incident && slices.ContainsFunc(a.LockedSnapshots, func(l types.LockedSnapshotsInfo) bool {
			return aws.ToString(l.SnapshotId) == aws.ToString(s.SnapshotId)
		})
	})
}

// flags are what an instance is protected by, and how it is in its Auto Scaling group:
// what a release puts back beside its interfaces and balancers, by the names that it tells.
func (a Account) flags(instance string) map[string]string {
	all := map[string]string{"disableApiTermination": "false", "disableApiStop": "false", "instanceInitiatedShutdownBehavior": "stop"}
	if at := a.InstanceAttributes[instance]; at != nil {
		if v := at.DisableApiTermination; v != nil {
			all["disableApiTermination"] = fmt.Sprint(aws.ToBool(v.Value))
		}
		if v := at.DisableApiStop; v != nil {
			all["disableApiStop"] = fmt.Sprint(aws.ToBool(v.Value))
		}
		if v := at.InstanceInitiatedShutdownBehavior; v != nil {
			all["instanceInitiatedShutdownBehavior"] = aws.ToString(v.Value)
		}
	}
	i, _ := a.Instance(instance)
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil {
			all["deleteOnTermination of "+aws.ToString(m.Ebs.VolumeId)] = fmt.Sprint(aws.ToBool(m.Ebs.DeleteOnTermination))
		}
	}
	for _, i := range a.AutoScalingInstances {
		if aws.ToString(i.InstanceId) == instance {
			// Out of standby it is Pending for a while before it is in service.
			// https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-enter-exit-standby.html
			all["service in Auto Scaling group "+aws.ToString(i.AutoScalingGroupName)] = strings.Replace(aws.ToString(i.LifecycleState), "Pending", "InService", 1)
		}
	}
	return all
}

// AttachedAt is when the primary interface was attached: which machine it is.
func (a Account) AttachedAt(instance string) time.Time {
	all := a.Interfaces(instance)
	for _, i := range all {
		if aws.ToInt32(i.Attachment.DeviceIndex) == 0 {
			return aws.ToTime(i.Attachment.AttachTime)
		}
	}
	return time.Time{}
}

// Decisions are the decisions in the account's table.
func (a Account) Decisions() []incident.Decision {
	var all []incident.Decision
	for _, i := range a.Incidents {
		var d incident.Decision
		if i.Table == "decisions" && json.Unmarshal([]byte(i.Item.Text("body")), &d) == nil {
			all = append(all, d)
		}
	}
	return all
}

// kind is what one of our groups is for: quarantine, capture, conversion; empty
// for a group that is not ours.
type kinds map[string]string

func (t Trace) kinds() kinds {
	k := kinds{}
	for _, a := range []Account{t.Before, t.After} {
		for _, g := range a.SecurityGroups {
			if v := tag(g.Tags, "cordon:group"); v != "" && tag(g.Tags, "cordon:stack") == stackName {
				k[aws.ToString(g.GroupId)] = v
			}
		}
	}
	// One that somebody deleted since.
	for _, c := range t.effective("ec2", "CreateSecurityGroup") {
		in, made := c.Input.(*ec2.CreateSecurityGroupInput)
		out, answered := c.Output.(*ec2.CreateSecurityGroupOutput)
		if !made || !answered {
			continue
		}
		for _, s := range in.TagSpecifications {
			if v := tag(s.Tags, "cordon:group"); v != "" {
				k[aws.ToString(out.GroupId)] = v
			}
		}
	}
	return k
}

func tag(tags []types.Tag, key string) string {
	for _, t := range tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// all says whether an interface in these groups is in groups of these kinds only.
func (k kinds) all(groups []string, want ...string) bool {
	for _, g := range groups {
		if !slices.Contains(want, k[g]) {
			return false
		}
	}
	return len(groups) > 0
}

// swap is one change of an interface's groups.
type swap struct {
	at       time.Time // when it was effective
	call     sim.Call
	eni      string
	from, to []string
}

// swaps are all changes of groups by the stack, in order of time.
func (t Trace) swaps() []swap {
	now := map[string][]string{}
	for _, i := range t.Before.NetworkInterfaces {
		now[aws.ToString(i.NetworkInterfaceId)] = groupIDs(i)
	}
	var all []swap
	for _, c := range t.effective("ec2", "ModifyNetworkInterfaceAttribute") {
		in, ok := c.Input.(*ec2.ModifyNetworkInterfaceAttributeInput)
		if !ok || in.Groups == nil {
			continue
		}
		all = append(all, swap{at: c.Made, call: c, eni: aws.ToString(in.NetworkInterfaceId), to: in.Groups})
	}
	for _, o := range t.Others {
		if o.NetworkInterface == "" {
			continue
		}
		all = append(all, swap{at: o.At, eni: o.NetworkInterface, to: o.Groups})
	}
	slices.SortStableFunc(all, func(a, b swap) int { return a.at.Compare(b.at) })
	for n, s := range all {
		all[n].from, now[s.eni] = now[s.eni], s.to
	}
	return slices.DeleteFunc(all, func(s swap) bool { return s.call.Action == "" })
}

// GroupNames are the names of an interface's groups, sorted.
func GroupNames(i types.NetworkInterface) string {
	var all []string
	for _, g := range i.Groups {
		all = append(all, aws.ToString(g.GroupName))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// State is that of an instance; one that an account file does not tell is running.
func State(i types.Instance) types.InstanceStateName {
	if i.State == nil {
		return types.InstanceStateNameRunning
	}
	return i.State.Name
}

func groupIDs(i types.NetworkInterface) []string {
	var ids []string
	for _, g := range i.Groups {
		ids = append(ids, aws.ToString(g.GroupId))
	}
	return ids
}

// effective are the calls of an action that had their effect, whatever was answered.
func (t Trace) effective(service, action string) []sim.Call {
	var all []sim.Call
	for n := range t.Calls { // a call is large, and this is asked often
		if c := &t.Calls[n]; c.Action == action && c.Service == service && c.Effective {
			all = append(all, *c)
		}
	}
	return all
}

// contained is when the last interface of the instance came to stand in groups
// of these kinds; false if that never was.
func (t Trace) contained(want ...string) (time.Time, bool) {
	k, places := t.kinds(), map[string][]string{}
	for _, i := range t.Before.Interfaces(t.Finding.InstanceID) {
		places[aws.ToString(i.NetworkInterfaceId)] = groupIDs(i)
	}
	if len(places) == 0 {
		return time.Time{}, false
	}
	everywhere := func() bool {
		for _, groups := range places {
			if !k.all(groups, want...) {
				return false
			}
		}
		return true
	}
	if everywhere() {
		return t.Start, true
	}
	for _, s := range t.swaps() {
		if _, ok := places[s.eni]; !ok {
			continue
		}
		places[s.eni] = s.to
		if everywhere() {
			return s.at, true
		}
	}
	return time.Time{}, false
}

// stands says whether an earlier run's incident goes on here, or hands on what it
// recorded: one that was released has given it back.
func (t Trace) stands(incidentID string) bool {
	for _, i := range t.Before.Incidents {
		var was incident.Incident
		if i.Table == "incidents" && json.Unmarshal([]byte(i.Item.Text("body")), &was) == nil && was.ID == incidentID && strings.HasPrefix(i.Item.Text("sk"), "incident#") {
			return t.Later || i.Item.Text("state") == "open" || i.Item.Text("state") == "kept"
		}
	}
	return false
}

// heads are the incidents of the record, by their IDs.
func (a Account) heads() (ids []string) {
	for _, i := range a.Incidents {
		var was incident.Incident
		if i.Table == "incidents" && strings.HasPrefix(i.Item.Text("sk"), "incident#") && json.Unmarshal([]byte(i.Item.Text("body")), &was) == nil {
			ids = append(ids, was.ID)
		}
	}
	return ids
}

// written says whether an item whose sort key has that prefix stood in the
// incidents table before a call began: from an earlier run, or put since.
func (t Trace) written(prefix string, c sim.Call) bool {
	for _, i := range t.Before.Incidents {
		if i.Table == "incidents" && strings.HasPrefix(i.Item.Text("sk"), prefix) && t.stands(i.Item.Text("pk")) {
			return true
		}
	}
	for _, p := range t.effective("dynamodb", "PutItem") {
		in, ok := p.Input.(*dynamodb.PutItemInput)
		if ok && !p.Made.After(c.At) && strings.HasPrefix(stringOf(in.Item["sk"]), prefix) {
			return true
		}
	}
	return false
}
