package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/chain"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	autoscalingtypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
)

var (
	zero     = time.Date(2026, 3, 14, 2, 0, 0, 0, time.UTC)
	attached = zero.Add(-24 * time.Hour)
)

const (
	victim = "i-victim"
	key    = "111122223333.us-east-1.i-victim"
)

// second is a moment of the run.
func second(n float64) time.Time { return zero.Add(time.Duration(n * float64(time.Second))) }

// clean is a run in which everything is as it should be: recorded, isolated,
// told, decided, terminated with its evidence. Each test spoils one thing.
func clean() rehearsal.Trace {
	account := rehearsal.Account{
		Reservations: []types.Reservation{{Instances: []types.Instance{{
			InstanceId:          aws.String(victim),
			BlockDeviceMappings: []types.InstanceBlockDeviceMapping{{Ebs: &types.EbsInstanceBlockDevice{VolumeId: aws.String("vol-1")}}},
		}}}},
		NetworkInterfaces: []types.NetworkInterface{eni("eni-1", "web")},
		SecurityGroups: []types.SecurityGroup{
			{GroupId: aws.String("web"), IpPermissionsEgress: []types.IpPermission{{IpProtocol: aws.String("-1")}}},
			ours("conversion"), ours("quarantine"), ours("capture"),
		},
	}
	after := account
	after.NetworkInterfaces = []types.NetworkInterface{eni("eni-1", "quarantine")}
	after.Snapshots = []types.Snapshot{{
		SnapshotId: aws.String("snap-1"), VolumeId: aws.String("vol-1"), State: types.SnapshotStateCompleted,
		Tags: []types.Tag{{Key: aws.String("cordon:incident"), Value: aws.String(key + ".1")}},
	}}
	t := rehearsal.Trace{
		Finding: incident.Finding{ID: "f1", Type: "Backdoor", Severity: 8, InstanceID: victim}, Ours: true,
		Before: account, After: after, Ending: "Terminated", Status: "SUCCEEDED", History: 500, Payload: 9000,
		Tokens: []string{"task-token"}, API: "https://api.example", Sealed: func(d incident.Decision) bool { return string(d.MAC) == "sealed" },
		Mails: []sim.Mail{{At: second(3), Subject: "Isolated", Body: "Decide: https://api.example/d/request/s3cr3t-s3cr3t\n"}},
		Calls: []sim.Call{
			put(0.5, "incident#000001"),
			put(1, "prior#i-victim#disableApiTermination"),
			change(1.2),
			put(1.8, "prior#eni-1#groups"),
			move(2, "eni-1", "conversion"),
			move(2.2, "eni-1", "quarantine"),
			call(90, "ec2", "TerminateInstances", &ec2.TerminateInstancesInput{InstanceIds: []string{victim}}, victim),
			manifest,
		},
	}
	return decided(t, decision(incident.Terminate))
}

// terminates is the invocation that terminates.
var terminates = &sim.Invocation{Function: "terminate"}

// manifest is what signs the ending of a run.
var manifest = call(95, "s3", "PutObject", &s3.PutObjectInput{Key: aws.String("incidents/" + key + ".1/manifests/run.json")})

// week is how long a decision holds, in seconds.
const week = 7 * 24 * 3600

func decision(c incident.Choice) incident.Decision {
	return incident.Decision{
		Incident: key + ".1", Round: 1, InstanceID: victim, AttachedAt: attached, Choice: c,
		DecidedAt: second(60), ExpiresAt: second(week), MAC: []byte("sealed"),
	}
}

// pair is a termination on which two people decided, and must have; spoil changes
// what they did. A first without an incident is none. Without others, it is they who
// came.
func pair(spoil func(first, second *incident.Decision), came ...string) rehearsal.Trace {
	first, last := decision(incident.Terminate), decision(incident.Terminate)
	first.Identity, last.Identity = "identity-center u1", "identity-center u2"
	first.DecidedAt, last.First = second(55), first.Mark()
	spoil(&first, &last)
	t := decided(clean(), last)
	if first.Incident != "" {
		t.After.Incidents = append(t.After.Incidents, row("decisions", map[string]string{"pk": first.Incident, "sk": "request#001#first", "body": asJSON(first)}))
	}
	if t.Two, t.Came = true, came; len(came) == 0 {
		t.Came = []string{first.Identity, last.Identity}
	}
	return t
}

// decided replaces what the decisions table holds.
func decided(t rehearsal.Trace, all ...incident.Decision) rehearsal.Trace {
	t.After.Incidents = nil
	for _, d := range all {
		t.After.Incidents = append(t.After.Incidents, row("decisions", map[string]string{"pk": d.Incident, "sk": "request#001", "body": asJSON(d)}))
	}
	return journaled(t)
}

// journaled gives a trace the journal of what its tables hold.
func journaled(t rehearsal.Trace) rehearsal.Trace {
	t.Journal = map[string][]byte{}
	entries, sums := map[string]int{}, map[string]string{}
	for n, i := range t.After.Incidents {
		image := i.Item
		id, ok := record.Whose(image.Text("pk"), image.Text("sk"))
		if !ok {
			continue
		}
		entries[id]++
		e := chain.Entry{Format: chain.Format, Sequence: entries[id], Incident: id, Previous: sums[id], Event: fmt.Sprint(n), Table: i.Table, Change: "INSERT", PK: image.Text("pk"), SK: image.Text("sk")}
		e.New, e.Without = image.Told()
		key, err := chain.Key(id, entries[id])
		if err != nil {
			panic(err)
		}
		if t.Journal[key], err = e.Bytes(); err != nil {
			panic(err)
		}
		sums[id] = chain.Sum(t.Journal[key])
	}
	return t
}

// rewritten is a clean run in which one item was written three times, with its journal
// as the changes are after spoil, chained anew, and without one of the entries.
func rewritten(spoil func([]chain.Entry) []chain.Entry, gone int) rehearsal.Trace {
	t := clean()
	var all []chain.Entry
	var before chain.Item
	for n, body := range []string{"1", "2", "3"} {
		r := row("incidents", map[string]string{"pk": key + ".1", "sk": "step#isolate", "body": body, "of": "isolate"})
		e := chain.Entry{Format: chain.Format, Incident: key + ".1", Event: body, Table: "incidents", Change: "MODIFY", PK: key + ".1", SK: "step#isolate", Old: chain.Item{}}
		e.New, e.Without = r.Item.Told()
		if n == 0 {
			e.Change = "INSERT"
		} else {
			e.Old["body"] = before["body"]
		}
		all, before = append(all, e), e.New
		t.After.Incidents = append(slices.DeleteFunc(slices.Clone(t.After.Incidents), func(i rehearsal.Row) bool { return i.Item.Text("sk") == "step#isolate" }), r)
	}
	t.Journal = maps.Clone(t.Journal)
	stood := len(t.Journal) // decisions of this incident
	last, err := chain.Key(key+".1", stood)
	if err != nil {
		panic(err)
	}
	sum := chain.Sum(t.Journal[last])
	for n, e := range spoil(all) {
		e.Sequence, e.Previous = stood+n+1, sum
		k, err := chain.Key(key+".1", e.Sequence)
		if err != nil {
			panic(err)
		}
		if t.Journal[k], err = e.Bytes(); err != nil {
			panic(err)
		}
		if sum = chain.Sum(t.Journal[k]); n+1 == gone {
			delete(t.Journal, k)
		}
	}
	return t
}

func row(table string, attributes map[string]string) rehearsal.Row {
	r := rehearsal.Row{Table: table, Item: record.Image{}}
	for k, v := range attributes {
		r.Item[k] = record.Value{S: &v}
	}
	return r
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

func ours(kind string) types.SecurityGroup {
	return types.SecurityGroup{GroupId: aws.String(kind), Tags: []types.Tag{{Key: aws.String("cordon:group"), Value: aws.String(kind)}, {Key: aws.String("cordon:stack"), Value: aws.String("cordon")}}}
}

func eni(id string, groups ...string) types.NetworkInterface {
	n := types.NetworkInterface{
		NetworkInterfaceId: aws.String(id), VpcId: aws.String("vpc-1"),
		Attachment: &types.NetworkInterfaceAttachment{InstanceId: aws.String(victim), DeviceIndex: aws.Int32(0), AttachTime: aws.Time(attached)},
	}
	for _, g := range groups {
		n.Groups = append(n.Groups, types.GroupIdentifier{GroupId: aws.String(g), GroupName: aws.String(g)})
	}
	return n
}

func call(at float64, service, action string, in any, resources ...string) sim.Call {
	return sim.Call{Service: service, Action: action, Mutating: true, At: second(at), Ended: second(at + 0.1), Made: second(at + 0.1), Effective: true, Resources: resources, Input: in, By: &sim.Invocation{Function: "isolate"}}
}

func put(at float64, sk string) sim.Call {
	return call(at, "dynamodb", "PutItem", &dynamodb.PutItemInput{Item: map[string]dynamodbtypes.AttributeValue{
		"pk": &dynamodbtypes.AttributeValueMemberS{Value: key}, "sk": &dynamodbtypes.AttributeValueMemberS{Value: sk},
	}})
}

// takes looks at an execution, and takes its incident over.
func takes(at float64, status sfntypes.ExecutionStatus) []sim.Call {
	look := call(at, "sfn", "DescribeExecution", &sfn.DescribeExecutionInput{ExecutionArn: aws.String("arn:first")})
	take := call(at+0.2, "dynamodb", "UpdateItem", &dynamodb.UpdateItemInput{ExpressionAttributeValues: map[string]dynamodbtypes.AttributeValue{
		":from": &dynamodbtypes.AttributeValueMemberS{Value: "arn:first"}, ":to": &dynamodbtypes.AttributeValueMemberS{Value: "arn:second"},
	}})
	look.Mutating, look.Output, look.By = false, &sfn.DescribeExecutionOutput{Status: status}, take.By
	return []sim.Call{look, take}
}

// lost is a run in which another execution took the incident over after six seconds,
// and that invocation terminated.
func lost(by *sim.Invocation) rehearsal.Trace {
	x := clean()
	x.Calls = slices.Clone(x.Calls)
	for n := range x.Calls {
		if x.Calls[n].Action == "TerminateInstances" {
			x.Calls[n].By = by
		}
	}
	for _, c := range takes(6, sfntypes.ExecutionStatusAborted) {
		if in, ok := c.Input.(*dynamodb.UpdateItemInput); ok {
			in.Key = map[string]dynamodbtypes.AttributeValue{"pk": &dynamodbtypes.AttributeValueMemberS{Value: key}, "sk": &dynamodbtypes.AttributeValueMemberS{Value: "incident#000001"}}
		}
		x.Calls = append(x.Calls, c)
	}
	opened := put(0.5, "incident#000001")
	opened.Input.(*dynamodb.PutItemInput).Item["execution"] = &dynamodbtypes.AttributeValueMemberS{Value: "arn:first"}
	x.Calls[0] = opened
	return x
}

// asSeen is what a mail says of eni-1 that was seen contained at some second.
func asSeen(at float64) string {
	return "\nContained, as seen at " + second(at).UTC().Format("2006-01-02 15:04:05") + " UTC\n  - eni-1 (vpc-1): quarantine\n"
}

// tellsIsolated is a mail of an execution's invocation that began at some second.
func tellsIsolated(execution string, began float64) sim.Call {
	c := call(50, "sns", "Publish", &sns.PublishInput{Subject: aws.String("[URGENT] EC2 instance isolated automatically: " + victim)})
	c.By = &sim.Invocation{Function: "notify", Execution: execution, Began: second(began)}
	return c
}

// What is told by the owner, by whom had it when it began to tell, or by whom could not
// look, or as it was seen, is no lie.
func TestToldAsItWas(t *testing.T) {
	unread := tellsIsolated("arn:first", 49)
	looks := call(49.5, "dynamodb", "GetItem", &dynamodb.GetItemInput{})
	looks.By, looks.Error, looks.Mutating, looks.Effective = unread.By, "AccessDeniedException", false, false
	but := func(change func(*rehearsal.Trace)) rehearsal.Trace { x := clean(); change(&x); return x }
	for name, run := range map[string]rehearsal.Trace{
		"by the owner":             with(lost(nil), tellsIsolated("arn:second", 49)),
		"begun before it was lost": with(lost(nil), tellsIsolated("arn:first", 5.5)),
		"it could not be read":     with(lost(nil), looks, unread),
		"contained as it was seen": but(func(x *rehearsal.Trace) {
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "Told", Body: asSeen(3)})
		}),
		"nothing was decided, and others opened it since": but(func(x *rehearsal.Trace) {
			*x = without(without(*x, "ModifyNetworkInterfaceAttribute", ""), "TerminateInstances", "")
			x.Before.NetworkInterfaces, x.Ending = x.After.NetworkInterfaces, "Not contained"
			x.After.SecurityGroups = slices.Clone(x.After.SecurityGroups)
			x.After.SecurityGroups[2].IpPermissionsEgress = []types.IpPermission{{IpProtocol: aws.String("-1")}}
			x.Others = []sim.Change{{At: second(80), Groups: []string{"quarantine"}}}
			x.Mails = []sim.Mail{{At: second(96), Subject: "Asked once more, and nothing was decided: " + victim, Body: asSeen(3)}}
		}),
	} {
		for _, i := range rehearsal.Invariants {
			if i.Name == "No silent failure" && i.Broken(run) != "" {
				t.Errorf("%s: %s", name, i.Broken(run))
			}
		}
	}
}

// What the owner does, or what had begun when it was lost, or what only closes breaks
// nothing.
func TestLostAndLeft(t *testing.T) {
	closes := move(50, "eni-1", "quarantine")
	closes.Number, closes.By = 4, &sim.Invocation{Function: "isolate", Execution: "arn:first", Began: second(49)}
	caught := with(lost(nil), move(5, "eni-1", "conversion"), closes)
	other := move(49.5, "eni-1", "quarantine")
	other.Number, other.By = 5, &sim.Invocation{Function: "isolate", Execution: "arn:second", Began: second(49)}
	for name, run := range map[string]rehearsal.Trace{
		"by the owner":                lost(&sim.Invocation{Function: "terminate", Execution: "arn:second", Began: second(89)}),
		"begun before it was lost":    lost(&sim.Invocation{Function: "terminate", Execution: "arn:first", Began: second(6)}),
		"what stands open was closed": caught,
		"it was closed meanwhile":     with(lost(nil), move(5, "eni-1", "conversion"), other, closes),
	} {
		for _, i := range rehearsal.Invariants {
			if i.Name == "Who lost an incident leaves it" && i.Broken(run) != "" {
				t.Errorf("%s: %s", name, i.Broken(run))
			}
		}
	}
}

// opens opens an incident about the victim, under some key.
func opens(at float64, pk string, machine time.Time) sim.Call {
	c := put(at, "incident#000001")
	item := c.Input.(*dynamodb.PutItemInput).Item
	item["pk"] = &dynamodbtypes.AttributeValueMemberS{Value: pk}
	item["body"] = &dynamodbtypes.AttributeValueMemberS{Value: asJSON(incident.Incident{ID: pk + ".1", InstanceID: victim, AttachedAt: machine})}
	return c
}

func move(at float64, id string, groups ...string) sim.Call {
	return call(at, "ec2", "ModifyNetworkInterfaceAttribute", &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &id, Groups: groups}, id)
}

// lets lets the capture group out.
func lets(p types.IpPermission) sim.Call {
	return call(2, "ec2", "AuthorizeSecurityGroupEgress", &ec2.AuthorizeSecurityGroupEgressInput{GroupId: aws.String("capture"), IpPermissions: []types.IpPermission{p}}, "capture")
}

func change(at float64) sim.Call {
	return call(at, "ec2", "ModifyInstanceAttribute", &ec2.ModifyInstanceAttributeInput{InstanceId: aws.String(victim), DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(true)}}, victim)
}

// without is the trace less the calls of an action.
func without(t rehearsal.Trace, action string, sk string) rehearsal.Trace {
	t.Calls = slices.DeleteFunc(slices.Clone(t.Calls), func(c sim.Call) bool {
		in, ok := c.Input.(*dynamodb.PutItemInput)
		return c.Action == action && (sk == "" || ok && in.Item["sk"].(*dynamodbtypes.AttributeValueMemberS).Value == sk)
	})
	return t
}

func with(t rehearsal.Trace, calls ...sim.Call) rehearsal.Trace {
	t.Calls = append(slices.Clone(t.Calls), calls...)
	return t
}

func broken(t rehearsal.Trace) []string {
	var names []string
	for _, i := range rehearsal.Invariants {
		if i.Broken(t) != "" {
			names = append(names, i.Name)
		}
	}
	return names
}

func TestACleanRunBreaksNothing(t *testing.T) {
	for _, i := range rehearsal.Invariants {
		if how := i.Broken(clean()); how != "" {
			t.Errorf("%s is said to be broken by a run in which all is well: %s", i.Name, how)
		}
		if how := i.Broken(rewritten(func(all []chain.Entry) []chain.Entry { return all }, 0)); how != "" {
			t.Errorf("%s is said to be broken by an item that is written three times: %s", i.Name, how)
		}
	}
}

// Seconds later than undisturbed is as good: the instance is dead either way.
// TestTwoPeopleBreakNothing: what two people decided is a decision.
func TestTwoPeopleBreakNothing(t *testing.T) {
	for name, run := range map[string]rehearsal.Trace{
		"users": pair(func(_, _ *incident.Decision) {}),
		"sessions of Identity Center": pair(func(first, second *incident.Decision) {
			first.Identity = "iam arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_A_0/sato"
			second.Identity = "iam arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_A_0/tanaka"
		}),
	} {
		for _, i := range rehearsal.Invariants {
			if i.Name == "The journal is the record" { // which this run has none of
				continue
			}
			if how := i.Broken(run); how != "" {
				t.Errorf("%s: %s: %s", name, i.Name, how)
			}
		}
	}
}

func TestConvergesWhileShuttingDown(t *testing.T) {
	x := clean()
	in := func(s types.InstanceStateName) rehearsal.Account {
		a := x.After
		a.Reservations = []types.Reservation{{Instances: []types.Instance{{InstanceId: aws.String(victim), State: &types.InstanceState{Name: s}}}}}
		return a
	}
	x.After = in(types.InstanceStateNameTerminated)
	x.Again = func() (string, rehearsal.Account, error) {
		return "Terminated", in(types.InstanceStateNameShuttingDown), nil
	}
	if got := broken(x); len(got) > 0 {
		t.Errorf("a termination that came seconds later is said to break %q", got)
	}
}

// askedFirst is a run in which people were asked before isolating, a minute ago
// decided, and the instance isolated at some time.
func askedFirst(d incident.Decision, at float64) rehearsal.Trace {
	x := clean()
	x.Ending = "Isolated, undecided"
	x.Calls = []sim.Call{put(0.5, "incident#000001"), put(at-1, "prior#eni-1#groups"), move(at, "eni-1", "conversion"), move(at+0.2, "eni-1", "quarantine"), manifest}
	return decided(x, d)
}

func TestTakenFromOneThatIsOver(t *testing.T) {
	if got := broken(with(clean(), takes(6, sfntypes.ExecutionStatusAborted)...)); len(got) > 0 {
		t.Errorf("an incident whose execution is over was taken: said to break %q", got)
	}
}

func TestIsolatedAsDecided(t *testing.T) {
	if got := broken(askedFirst(decision(incident.Isolate), 70)); len(got) > 0 {
		t.Errorf("an isolation that a person decided is said to break %q", got)
	}
}

// Each invariant finds a run that violates it: one that cannot fail would let
// anything through.
func TestEachInvariantFindsItsViolation(t *testing.T) {
	spoil := func(f func(*rehearsal.Trace)) rehearsal.Trace {
		x := clean()
		f(&x)
		return x
	}
	released := func(d ...incident.Decision) rehearsal.Trace {
		x := with(without(clean(), "TerminateInstances", ""), move(80, "eni-1", "web"))
		x.Ending, x.After.NetworkInterfaces = "Released", []types.NetworkInterface{eni("eni-1", "web")}
		return decided(x, d...)
	}
	for _, c := range []struct {
		name string
		want string
		run  rehearsal.Trace
	}{
		{"nobody told and not isolated", "No silent failure", spoil(func(x *rehearsal.Trace) {
			*x = without(without(*x, "ModifyNetworkInterfaceAttribute", ""), "TerminateInstances", "")
			x.Mails, x.After.NetworkInterfaces = nil, x.Before.NetworkInterfaces
		})},
		{"told of something else, and not isolated", "No silent failure", spoil(func(x *rehearsal.Trace) {
			*x = without(without(*x, "ModifyNetworkInterfaceAttribute", ""), "TerminateInstances", "")
			x.Mails, x.After.NetworkInterfaces = []sim.Mail{{At: second(5), Subject: "Another finding about an open incident: " + victim}}, x.Before.NetworkInterfaces
		})},
		{"quarantine lets everything out", "No silent failure", spoil(func(x *rehearsal.Trace) {
			x.Mails = nil
			x.After.SecurityGroups = slices.Clone(x.After.SecurityGroups)
			x.After.SecurityGroups[2].IpPermissionsEgress = []types.IpPermission{{IpProtocol: aws.String("-1")}}
		})},
		{"kept isolated, and it is not", "No silent failure", spoil(func(x *rehearsal.Trace) {
			x.Ending, x.After.NetworkInterfaces = "Kept isolated", []types.NetworkInterface{eni("eni-1", "web")}
		})},
		{"no decision", "No unapproved kill", decided(clean())},
		{"a forged decision", "No unapproved kill", decided(clean(), func() incident.Decision { d := decision(incident.Terminate); d.MAC = []byte("forged"); return d }())},
		{"keep was decided", "No unapproved kill", decided(clean(), decision(incident.Keep))},
		{"decided about another machine", "No unapproved kill", decided(clean(), func() incident.Decision {
			d := decision(incident.Terminate)
			d.AttachedAt = attached.Add(-time.Hour)
			return d
		}())},
		{"keep was decided since", "No unapproved kill", decided(clean(), decision(incident.Terminate), func() incident.Decision {
			d := decision(incident.Keep)
			d.Round, d.DecidedAt = 2, second(80)
			return d
		}())},
		{"decided afterwards", "No unapproved kill", decided(clean(), func() incident.Decision { d := decision(incident.Terminate); d.DecidedAt = second(200); return d }())},
		{"expired", "No unapproved kill", decided(clean(), func() incident.Decision { d := decision(incident.Terminate); d.ExpiresAt = second(70); return d }())},
		{"no snapshot of a volume attached since", "No evidence, no kill", spoil(func(x *rehearsal.Trace) {
			c := call(80, "ec2", "DescribeInstances", nil, victim)
			c.Mutating, c.Output = false, &ec2.DescribeInstancesOutput{Reservations: []types.Reservation{{Instances: []types.Instance{{
				InstanceId: aws.String(victim), BlockDeviceMappings: []types.InstanceBlockDeviceMapping{
					{Ebs: &types.EbsInstanceBlockDevice{VolumeId: aws.String("vol-1")}}, {Ebs: &types.EbsInstanceBlockDevice{VolumeId: aws.String("vol-2")}},
				},
			}}}}}
			x.Calls = slices.Insert(x.Calls, len(x.Calls)-1, c)
		})},
		{"one person where two must decide", "No unapproved kill", pair(func(first, second *incident.Decision) { *first = incident.Decision{}; second.First = "" })},
		{"a second without the first", "No unapproved kill", pair(func(first, _ *incident.Decision) { *first = incident.Decision{} })},
		{"a second of another first", "No unapproved kill", pair(func(_, second *incident.Decision) { second.First = strings.Repeat("0", 64) })},
		{"one person twice", "No unapproved kill", pair(func(first, second *incident.Decision) { second.Identity = first.Identity })},
		{"one person with two roles", "No unapproved kill", pair(func(first, second *incident.Decision) {
			first.Identity = "iam arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_A_0/sato"
			second.Identity = "iam arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_B_0/Sato"
		})},
		{"two with the mail", "No unapproved kill", pair(func(first, second *incident.Decision) { first.Identity, second.Identity = "link", "link" })},
		{"two sessions that anybody names", "No unapproved kill", pair(func(first, second *incident.Decision) {
			first.Identity, second.Identity = "iam arn:aws:sts::111122223333:assumed-role/R/sato", "iam arn:aws:sts::111122223333:assumed-role/R/tanaka"
		})},
		{"the first forged", "No unapproved kill", pair(func(first, second *incident.Decision) { first.MAC = []byte("forged"); second.First = first.Mark() })},
		{"the first decided to keep", "No unapproved kill", pair(func(first, _ *incident.Decision) { first.Choice = incident.Keep })},
		{"the first about another machine", "No unapproved kill", pair(func(first, _ *incident.Decision) { first.AttachedAt = attached.Add(-time.Hour) })},
		{"the first expired", "No unapproved kill", pair(func(first, _ *incident.Decision) { first.ExpiresAt = second(70) })},
		{"no snapshot", "No evidence, no kill", spoil(func(x *rehearsal.Trace) { x.After.Snapshots = nil })},
		{"snapshot completed later", "No evidence, no kill", spoil(func(x *rehearsal.Trace) {
			x.After.Snapshots = slices.Clone(x.After.Snapshots)
			x.After.Snapshots[0].CompletionTime = aws.Time(second(300))
		})},
		{"reconnected without a release", "Never reconnected by an error", released(decision(incident.Keep))},
		{"opened again", "Never reconnected by an error", with(clean(), move(50, "eni-1", "conversion"), move(50.2, "eni-1", "quarantine"))},
		{"groups not recorded", "Recorded before changed", without(clean(), "PutItem", "prior#eni-1#groups")},
		{"recorded afterwards", "Recorded before changed", with(without(clean(), "PutItem", "prior#eni-1#groups"), put(5, "prior#eni-1#groups"))},
		{"attributes not recorded", "Recorded before changed", without(clean(), "PutItem", "prior#i-victim#disableApiTermination")},
		{"released but not back", "Recorded before changed", spoil(func(x *rehearsal.Trace) {
			*x = released(decision(incident.Release))
			x.After.NetworkInterfaces = []types.NetworkInterface{eni("eni-1", "quarantine")}
		})},
		{"released into other groups", "Recorded before changed", spoil(func(x *rehearsal.Trace) {
			*x = released(decision(incident.Release))
			x.After.NetworkInterfaces = []types.NetworkInterface{eni("eni-1", "default")}
		})},
		{"released, and still protected", "Recorded before changed", spoil(func(x *rehearsal.Trace) {
			*x = released(decision(incident.Release))
			x.After.InstanceAttributes = map[string]*ec2.DescribeInstanceAttributeOutput{victim: {DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(true)}}}
		})},
		{"released, and its volume no longer goes with it", "Recorded before changed", spoil(func(x *rehearsal.Trace) {
			*x = released(decision(incident.Release))
			x.Before.Reservations = []types.Reservation{{Instances: []types.Instance{{InstanceId: aws.String(victim), BlockDeviceMappings: []types.InstanceBlockDeviceMapping{
				{Ebs: &types.EbsInstanceBlockDevice{VolumeId: aws.String("vol-1"), DeleteOnTermination: aws.Bool(true)}},
			}}}}}
		})},
		{"released, and left in standby", "Recorded before changed", spoil(func(x *rehearsal.Trace) {
			*x = released(decision(incident.Release))
			member := func(state string) []autoscalingtypes.AutoScalingInstanceDetails {
				return []autoscalingtypes.AutoScalingInstanceDetails{{InstanceId: aws.String(victim), AutoScalingGroupName: aws.String("shop"), LifecycleState: aws.String(state)}}
			}
			x.Before.AutoScalingInstances, x.After.AutoScalingInstances = member("InService"), member("Standby")
		})},
		{"the snapshot of an earlier incident", "No evidence, no kill", spoil(func(x *rehearsal.Trace) {
			x.After.Snapshots = slices.Clone(x.After.Snapshots)
			x.After.Snapshots[0].Tags = []types.Tag{{Key: aws.String("cordon:incident"), Value: aws.String(key + ".0")}}
		})},
		{"decided in an earlier incident", "No unapproved kill", decided(with(without(clean(), "PutItem", "incident#000001"), opens(0.5, key, attached)), func() incident.Decision { d := decision(incident.Terminate); d.Incident = key + ".0"; return d }())},
		{"standby not recorded", "Recorded before changed", with(clean(), call(3, "autoscaling", "EnterStandby",
			&autoscaling.EnterStandbyInput{AutoScalingGroupName: aws.String("asg"), InstanceIds: []string{victim}}, "asg", victim))},
		{"a target not recorded", "Recorded before changed", with(clean(), put(2, "prior#arn#target i-victim:80"), call(3, "elasticloadbalancingv2", "DeregisterTargets",
			&elbv2.DeregisterTargetsInput{TargetGroupArn: aws.String("arn"), Targets: []elbv2types.TargetDescription{{Id: aws.String(victim), Port: aws.Int32(8080)}}}, "arn", victim))},
		{"released, and its balancer knows nothing of it", "Recorded before changed", spoil(func(x *rehearsal.Trace) {
			*x = released(decision(incident.Release))
			x.Before.TargetHealthDescriptions = map[string][]elbv2types.TargetHealthDescription{"arn": {{Target: &elbv2types.TargetDescription{Id: aws.String(victim), Port: aws.Int32(80)}}}}
		})},
		{"a denial not recorded", "Recorded before changed", with(clean(), call(3, "iam", "PutRolePolicy", &iam.PutRolePolicyInput{RoleName: aws.String("web")}, "web"))},
		{"credentials allowed by an error", "Never reconnected by an error", with(clean(), call(3, "iam", "DeleteRolePolicy", &iam.DeleteRolePolicyInput{RoleName: aws.String("web")}, "web"))},
		{"a sample was acted on", "Not ours, not touched", spoil(func(x *rehearsal.Trace) { x.Ours = false })},
		{"another machine was changed", "Not ours, not touched", spoil(func(x *rehearsal.Trace) {
			x.Before.Reservations = append(slices.Clone(x.Before.Reservations), types.Reservation{Instances: []types.Instance{{InstanceId: aws.String("i-other")}}})
			*x = with(*x, call(5, "ec2", "ModifyInstanceAttribute", &ec2.ModifyInstanceAttributeInput{InstanceId: aws.String("i-other")}, "i-other"))
		})},
		{"two incidents", "One incident an instance", with(clean(), put(6, "incident#000002"))},
		{"a capture group out to everything", "No silent failure", with(clean(), lets(types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}}))},
		{"a capture group out to a network that nobody named", "No silent failure", with(clean(), lets(types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), IpRanges: []types.IpRange{{CidrIp: aws.String("10.9.0.0/28")}}}))},
		{"a capture group out to another port", "No silent failure", with(clean(), lets(types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(22), ToPort: aws.Int32(22)}))},
		{"a capture group out to another prefix list", "No silent failure", with(clean(), lets(types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), PrefixListIds: []types.PrefixListId{{PrefixListId: aws.String("pl-cloudfront")}}}))},
		{"an incident taken from one that runs", "One incident an instance", with(clean(), takes(6, sfntypes.ExecutionStatusRunning)...)},
		{"two captures", "One incident an instance", with(clean(), call(5, "ssm", "SendCommand", &ssm.SendCommandInput{}, victim), call(9, "ssm", "SendCommand", &ssm.SendCommandInput{}, victim))},
		{"ended otherwise than undisturbed", "Converges", spoil(func(x *rehearsal.Trace) {
			x.Again = func() (string, rehearsal.Account, error) { return "Kept isolated", x.After, nil }
		})},
		{"interfaces elsewhere than undisturbed", "Converges", spoil(func(x *rehearsal.Trace) {
			x.Again = func() (string, rehearsal.Account, error) { return "Terminated", x.Before, nil }
		})},
		{"said to be terminated and still running", "Converges", spoil(func(x *rehearsal.Trace) {
			ended := x.After
			ended.Reservations = []types.Reservation{{Instances: []types.Instance{{InstanceId: aws.String(victim), State: &types.InstanceState{Name: types.InstanceStateNameTerminated}}}}}
			x.Again = func() (string, rehearsal.Account, error) { return "Terminated", ended, nil }
		})},
		{"a reminder with another link", "No secret leaves", spoil(func(x *rehearsal.Trace) {
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{Body: "https://api.example/d/request/0ther-s3cr3t\n"})
		})},
		{"a secret in a subject", "No secret leaves", spoil(func(x *rehearsal.Trace) {
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{Subject: "s3cr3t-s3cr3t"})
		})},
		{"a token in a mail", "No secret leaves", spoil(func(x *rehearsal.Trace) { x.Mails = append(slices.Clone(x.Mails), sim.Mail{Body: "task-token"}) })},
		{"a secret in a table", "No secret leaves", with(clean(), put(5, "request#s3cr3t-s3cr3t"))},
		{"two addresses in a command", "No secret leaves", with(clean(), call(5, "ssm", "SendCommand", &ssm.SendCommandInput{
			Parameters: map[string][]string{"Batch": {"https://a?X-Amz-Signature=1 https://b?X-Amz-Signature=2"}},
		}, victim))},
		{"neither ended nor waiting", "Ends or waits for a human", spoil(func(x *rehearsal.Trace) { x.Status = "RUNNING" })},
		{"too long a history", "Ends or waits for a human", spoil(func(x *rehearsal.Trace) { x.History = 25000 })},
		{"too large a payload", "Ends or waits for a human", spoil(func(x *rehearsal.Trace) { x.Payload = 262145 })},
		{"left in the conversion group", "Never left open", spoil(func(x *rehearsal.Trace) {
			x.Calls = slices.DeleteFunc(slices.Clone(x.Calls), func(c sim.Call) bool { return c.At.Equal(second(2.2)) })
			x.After.NetworkInterfaces = []types.NetworkInterface{eni("eni-1", "conversion")}
		})},
		{"in the conversion group for a minute", "Never left open", spoil(func(x *rehearsal.Trace) {
			for n := range x.Calls {
				if x.Calls[n].At.Equal(second(2.2)) {
					x.Calls[n].Ended, x.Calls[n].Made = second(62), second(62)
				}
			}
			*x = with(*x, call(2.5, "ec2", "DescribeNetworkInterfaces", &ec2.DescribeNetworkInterfacesInput{}))
		})},
		{"acted on a repeat after a release", "A decision is not reversed by a repeat", spoil(func(x *rehearsal.Trace) {
			was := incident.Incident{ID: key + ".1", InstanceID: victim, AttachedAt: attached, Finding: x.Finding}
			x.Before.Incidents = append(slices.Clone(x.Before.Incidents), row("incidents", map[string]string{"pk": key, "sk": "incident#000001", "state": "released", "body": asJSON(was)}))
		})},
		{"opened again for a repeat of what was just released", "A decision is not reversed by a repeat", with(released(decision(incident.Release)), put(100, "incident#000002"))},
		{"held by a brake, and nobody told", "No silent failure", spoil(func(x *rehearsal.Trace) {
			*x = without(without(*x, "ModifyNetworkInterfaceAttribute", ""), "TerminateInstances", "")
			x.Ours, x.Braked, x.Mails = false, "the pause switch", nil
		})},
		{"held by a brake, and told of something else", "No silent failure", spoil(func(x *rehearsal.Trace) {
			*x = without(without(*x, "ModifyNetworkInterfaceAttribute", ""), "TerminateInstances", "")
			x.Ours, x.Braked, x.Mails = false, "the pause switch", []sim.Mail{{At: second(5), Subject: "Another finding about an open incident: " + victim}}
		})},
		{"isolated before the answer", "Asked first, isolated after", askedFirst(decision(incident.Isolate), 30)},
		{"isolated although left alone", "Asked first, isolated after", askedFirst(decision(incident.Leave), 70)},
		{"isolated by a forged decision", "Asked first, isolated after", askedFirst(func() incident.Decision { d := decision(incident.Isolate); d.MAC = []byte("forged"); return d }(), 70)},
		{"isolated by a decision about another machine", "Asked first, isolated after", askedFirst(func() incident.Decision {
			d := decision(incident.Isolate)
			d.AttachedAt = attached.Add(-time.Hour)
			return d
		}(), 70)},
		{"an ending without a manifest", "Every ending is signed", without(clean(), "PutObject", "")},
		{"nobody decided, and no manifest says so", "Every ending is signed", spoil(func(x *rehearsal.Trace) {
			*x = without(without(*x, "PutObject", ""), "TerminateInstances", "")
			x.Ending = "Isolated, undecided"
		})},
		{"not contained, and no manifest says so", "Every ending is signed", spoil(func(x *rehearsal.Trace) {
			*x = with(without(*x, "PutObject", ""), call(94, "sns", "Publish", &sns.PublishInput{}))
			x.Ending, x.Status = "Not contained", "FAILED"
		})},
		{"a decision that is in no journal", "The journal is the record", spoil(func(x *rehearsal.Trace) { x.Journal = nil })},
		{"a record changed behind the journal's back", "The journal is the record", spoil(func(x *rehearsal.Trace) {
			x.After.Incidents = append(slices.Clone(x.After.Incidents), row("incidents", map[string]string{"pk": key + ".1", "sk": "step#isolate", "body": "{}"}))
		})},
		{"an entry written anew", "The journal is the record", spoil(func(x *rehearsal.Trace) {
			x.After.Incidents = append(slices.Clone(x.After.Incidents), row("incidents", map[string]string{"pk": key + ".1", "sk": "step#isolate", "body": "{}"}))
			*x = journaled(*x)
			first := "incidents/" + key + ".1/journal/000001.json"
			x.Journal[first] = bytes.Replace(x.Journal[first], []byte(`"choice":"terminate"`), []byte(`"choice":"release"`), 1)
		})},
		{"an entry that is gone", "The journal is the record", rewritten(func(all []chain.Entry) []chain.Entry { return all }, 2)},
		{"a change that was left out", "The journal is the record", rewritten(func(all []chain.Entry) []chain.Entry { return slices.Delete(all, 1, 2) }, 0)},
		{"a change that says otherwise what was before", "The journal is the record", rewritten(func(all []chain.Entry) []chain.Entry {
			all[2].Old["of"] = json.RawMessage(`"others"`)
			return all
		}, 0)},
		{"a change that stands there twice", "The journal is the record", rewritten(func(all []chain.Entry) []chain.Entry { return append(all, all[len(all)-1]) }, 0)},
		{"an entry of another incident", "The journal is the record", rewritten(func(all []chain.Entry) []chain.Entry {
			all[0].Incident = key + ".2"
			return all
		}, 0)},
		{"a secret in a journal", "No secret leaves", spoil(func(x *rehearsal.Trace) { x.Journal["incidents/x/journal/000001.json"] = []byte("s3cr3t-s3cr3t") })},
		{"a token in a log", "No secret leaves", spoil(func(x *rehearsal.Trace) { x.Log = []byte(`{"msg":"asks","input":"{\"token\":\"task-token\"}"}`) })},
		{"a link in an escalation", "No secret leaves", spoil(func(x *rehearsal.Trace) {
			x.Escalation = "arn:escalation"
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{Topic: "arn:escalation", Body: "https://api.example/d/request/s3cr3t-s3cr3t\n"})
		})},
		{"another incident under another key", "One incident an instance", with(clean(), opens(6, "111122223333.us-east-1.event-2", attached), opens(7, "111122223333.us-east-1.event-3", attached))},
		{"another incident while one was open", "One incident an instance", spoil(func(x *rehearsal.Trace) {
			was := incident.Incident{ID: key + ".1", InstanceID: victim, AttachedAt: attached}
			x.Before.Incidents = []rehearsal.Row{row("incidents", map[string]string{"pk": key, "sk": "incident#000001", "state": "open", "body": asJSON(was)})}
			*x = with(decided(without(*x, "PutItem", "incident#000001")), opens(6, "111122223333.us-east-1.event-2", attached))
		})},
		{"a link in a report", "No secret leaves", spoil(func(x *rehearsal.Trace) {
			x.Bucket = map[string]rehearsal.Object{"incidents/x/reports/run.html": {Body: []byte("<a>s3cr3t-s3cr3t</a>")}}
		})},
		{"another's execution neither ends nor waits", "Ends or waits for a human", spoil(func(x *rehearsal.Trace) { x.Unended = true })},
		{"said to be isolated, and it is not", "No silent failure", spoil(func(x *rehearsal.Trace) {
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(1.5), Subject: "[URGENT] EC2 instance isolated automatically: i-victim"})
		})},
		{"said to stay isolated in Japanese, and others put it back before the last look", "No silent failure", spoil(func(x *rehearsal.Trace) {
			x.Others = []sim.Change{{At: second(40), NetworkInterface: "eni-1", Groups: []string{"web"}}}
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "対応完了: EC2インスタンスの隔離を継続します: i-victim"})
		})},
		{"said to be contained, and not as of when", "No silent failure", spoil(func(x *rehearsal.Trace) {
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "Told", Body: "\nContained\n  - eni-1 (vpc-1): quarantine\n"})
		})},
		{"said to have been contained when it was not", "No silent failure", spoil(func(x *rehearsal.Trace) {
			x.Others = []sim.Change{{At: second(20), NetworkInterface: "eni-1", Groups: []string{"web"}}}
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "Told", Body: asSeen(50)})
		})},
		{"said to have been contained in Japanese when it was not", "No silent failure", spoil(func(x *rehearsal.Trace) {
			x.Others = []sim.Change{{At: second(20), NetworkInterface: "eni-1", Groups: []string{"web"}}}
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "Told", Body: strings.Replace(strings.Replace(asSeen(50), "Contained, as seen at ", "隔離済み(", 1), "UTC", "UTC 時点)", 1)})
		})},
		{"said to be contained by a mail that nothing was decided, and it was not when that was seen", "No silent failure", spoil(func(x *rehearsal.Trace) {
			*x = without(without(*x, "ModifyNetworkInterfaceAttribute", ""), "TerminateInstances", "")
			x.Before.NetworkInterfaces = x.After.NetworkInterfaces
			x.After.SecurityGroups = slices.Clone(x.After.SecurityGroups)
			x.After.SecurityGroups[2].IpPermissionsEgress = []types.IpPermission{{IpProtocol: aws.String("-1")}}
			x.Mails = []sim.Mail{{At: second(96), Subject: "Asked once more, and nothing was decided: " + victim, Body: asSeen(3)}}
		})},
		{"said to be isolated by whom had lost the incident", "No silent failure", with(lost(nil), tellsIsolated("arn:first", 49))},
		{"two snapshots that are the evidence", "One incident an instance", spoil(func(x *rehearsal.Trace) {
			twin := x.After.Snapshots[0]
			twin.SnapshotId = aws.String("snap-2")
			x.After.Snapshots = append(slices.Clone(x.After.Snapshots), twin)
		})},
		{"no snapshot, and undisturbed there is one", "Converges", spoil(func(x *rehearsal.Trace) {
			undisturbed := x.After
			x.Again = func() (string, rehearsal.Account, error) { return "Terminated", undisturbed, nil }
			x.After.Snapshots = nil
		})},
		{"no lock, and undisturbed there is one", "Converges", spoil(func(x *rehearsal.Trace) {
			undisturbed := x.After
			undisturbed.LockedSnapshots = []types.LockedSnapshotsInfo{{SnapshotId: aws.String("snap-1")}}
			x.Again = func() (string, rehearsal.Account, error) { return "Terminated", undisturbed, nil }
		})},
		{"a link in a log", "No secret leaves", spoil(func(x *rehearsal.Trace) {
			x.Log = []byte(`{"msg":"mailed https://api.example/d/request/s3cr3t-s3cr3t"}`)
		})},
		{"an address in a log", "No secret leaves", spoil(func(x *rehearsal.Trace) { x.Log = []byte("https://b?X-Amz-Signature=2") })},
		{"a link in an answer", "No secret leaves", spoil(func(x *rehearsal.Trace) { x.Said = [][]byte{[]byte("{}"), []byte(`{"reason":"s3cr3t-s3cr3t"}`)} })},
		{"an address in an answer", "No secret leaves", spoil(func(x *rehearsal.Trace) { x.Said = [][]byte{[]byte("https://b?X-Amz-Signature=2")} })},
		{"credentials of a role in an answer", "No secret leaves", spoil(func(x *rehearsal.Trace) {
			took := call(5, "sts", "AssumeRole", &sts.AssumeRoleInput{})
			took.Output = &sts.AssumeRoleOutput{Credentials: &ststypes.Credentials{SecretAccessKey: aws.String("s3cr3t-k3y"), SessionToken: aws.String("s3ss1on")}}
			*x = with(*x, took)
			x.Said = [][]byte{[]byte(`{"reason":"s3ss1on"}`)}
		})},
		{"an entry that follows none", "The journal is the record", spoil(func(x *rehearsal.Trace) {
			first := "incidents/" + key + ".1/journal/000001.json"
			x.Journal[first] = bytes.Replace(x.Journal[first], []byte(`"previous":""`), []byte(`"previous":"00"`), 1)
		})},
		{"decided by whom nobody saw", "A decision is that of who made it", pair(func(first, _ *incident.Decision) { first.Identity = "identity-center u3" }, "identity-center u1", "identity-center u2")},
		{"decided by a caller whom the gateway did not name", "A decision is that of who made it", pair(func(_, second *incident.Decision) { second.Identity = "iam arn:aws:iam::111122223333:user/u2" }, "identity-center u1", "identity-center u2")},
		{"decided by a link where people sign in", "A decision is that of who made it", spoil(func(x *rehearsal.Trace) { x.SignIn = true })},
		{"decided, and nobody looked", "No decision lies about", with(decided(clean(), decision(incident.Keep)), call(20_000, "dynamodb", "GetItem", &dynamodb.GetItemInput{}))},
		{"terminated in the capture group", "Sealed before terminated", spoil(func(x *rehearsal.Trace) {
			x.Calls = slices.DeleteFunc(slices.Clone(x.Calls), func(c sim.Call) bool { return c.At.Equal(second(2.2)) })
			*x = with(*x, move(2.2, "eni-1", "capture"))
		})},
		{"terminated although others put it back", "Sealed before terminated", spoil(func(x *rehearsal.Trace) {
			looked := call(89, "ec2", "DescribeNetworkInterfaces", &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{victim}}}})
			x.Calls = slices.Insert(slices.Clone(x.Calls), 6, looked)
			for n := range x.Calls {
				if x.Calls[n].Action == "TerminateInstances" || x.Calls[n].At.Equal(second(89)) {
					x.Calls[n].By = terminates
				}
			}
			x.Others = []sim.Change{{At: second(70), NetworkInterface: "eni-1", Groups: []string{"web"}}}
		})},
		{"terminated by whom had lost the incident", "Who lost an incident leaves it", lost(&sim.Invocation{Function: "terminate", Execution: "arn:first", Began: second(89)})},
		{"opened by whom had lost the incident", "Who lost an incident leaves it", with(lost(nil), func() sim.Call {
			c := move(50, "eni-1", "conversion")
			c.Number, c.By = 3, &sim.Invocation{Function: "isolate", Execution: "arn:first", Began: second(49)}
			return c
		}())},
		{"put elsewhere by whom had lost the incident", "Who lost an incident leaves it", with(lost(nil), func() sim.Call {
			c := move(50, "eni-1", "capture")
			c.Number, c.By = 3, &sim.Invocation{Function: "isolate", Execution: "arn:first", Began: second(49)}
			return c
		}())},
		{"a dry run that changes something", "A dry run changes nothing", spoil(func(x *rehearsal.Trace) { x.DryRun = true })},
		{"a dry run that scales something", "A dry run changes nothing", spoil(func(x *rehearsal.Trace) {
			x.DryRun, x.Calls = true, []sim.Call{call(1, "autoscaling", "EnterStandby", nil, victim)}
		})},
	} {
		t.Run(fmt.Sprintf("%s/%s", c.want, c.name), func(t *testing.T) {
			if got := broken(c.run); !slices.Contains(got, c.want) {
				t.Errorf("a run in which %q happens breaks %q, and only %q were found: it would pass unseen", c.name, c.want, got)
			}
		})
	}
	if n := len(rehearsal.Invariants); n != 21 {
		t.Errorf("%d invariants; the README promises 21", n)
	}
}
