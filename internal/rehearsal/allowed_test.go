package rehearsal_test

import (
	"slices"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	elbv2types "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// cutOff is an invocation of isolate that comes to no end.
var cutOff = &sim.Invocation{Function: "isolate", Began: second(1.9)}

// halted is a run that an operator stopped while that invocation led an interface
// through the conversion group.
func halted() rehearsal.Trace {
	x := without(clean(), "TerminateInstances", "")
	x.Calls = slices.DeleteFunc(x.Calls, func(c sim.Call) bool { return c.At.Equal(second(2.2)) })
	for n := range x.Calls {
		if x.Calls[n].At.Equal(second(2)) {
			x.Calls[n].By = cutOff
		}
	}
	x.Ending, x.Status, x.Handled = "Isolate instance", "ABORTED", true
	x.After.NetworkInterfaces = []types.NetworkInterface{eni("eni-1", "conversion")}
	x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(10), Subject: "[URGENT] Incident response itself ended badly"})
	return x
}

// TestExceptionsAreNarrow: what an invariant lets pass for a reason, and right
// beside it the defects that look much like it and must not pass with it.
func TestExceptionsAreNarrow(t *testing.T) {
	spoil := func(x rehearsal.Trace, all ...func(*rehearsal.Trace)) rehearsal.Trace {
		for _, f := range all {
			f(&x)
		}
		return x
	}
	verified := func(at float64) sim.Call {
		c := call(at, "kms", "VerifyMac", &kms.VerifyMacInput{})
		c.Mutating, c.By = false, &sim.Invocation{Function: "authorize"}
		return c
	}
	described := func(at float64, i *sim.Invocation) sim.Call {
		c := call(at, "ec2", "DescribeNetworkInterfaces", &ec2.DescribeNetworkInterfacesInput{
			Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{victim}}},
		})
		c.Mutating, c.By = false, i
		return c
	}
	others := func(at float64, eni string, groups ...string) func(*rehearsal.Trace) {
		return func(x *rehearsal.Trace) {
			x.Others = append(slices.Clone(x.Others), sim.Change{At: second(at), NetworkInterface: eni, Groups: groups})
		}
	}
	now := func(all ...types.NetworkInterface) func(*rehearsal.Trace) {
		return func(x *rehearsal.Trace) { x.After.NetworkInterfaces = all }
	}
	ends := func(as string) func(*rehearsal.Trace) { return func(x *rehearsal.Trace) { x.Ending = as } }
	opened := func(kind string) func(*rehearsal.Trace) {
		return func(x *rehearsal.Trace) {
			x.After.SecurityGroups = slices.Clone(x.After.SecurityGroups)
			for n, g := range x.After.SecurityGroups {
				if aws.ToString(g.GroupId) == kind {
					x.After.SecurityGroups[n].IpPermissionsEgress = []types.IpPermission{{IpProtocol: aws.String("-1")}}
				}
			}
		}
	}
	mail := func(subject, body string) func(*rehearsal.Trace) {
		return func(x *rehearsal.Trace) {
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(100), Subject: subject, Body: body})
		}
	}
	also := func(at, severity float64) func(*rehearsal.Trace) {
		return func(x *rehearsal.Trace) {
			f := x.Finding
			f.Severity = severity
			x.Also = append(slices.Clone(x.Also), rehearsal.Arrival{At: second(at), Finding: f})
		}
	}

	kept := spoil(decided(without(clean(), "TerminateInstances", ""), decision(incident.Keep)), ends("Kept isolated"))
	released := spoil(decided(with(without(clean(), "TerminateInstances", ""), move(80, "eni-1", "web")), decision(incident.Release)), ends("Released"), now(eni("eni-1", "web")))
	// An earlier release left an interface in our groups; this one tries again.
	again := spoil(decided(without(without(clean(), "TerminateInstances", ""), "ModifyNetworkInterfaceAttribute", ""), decision(incident.Release)), ends("Released"), func(x *rehearsal.Trace) {
		x.Before.NetworkInterfaces = x.After.NetworkInterfaces
	})
	balanced := spoil(released, func(x *rehearsal.Trace) {
		x.Before.TargetHealthDescriptions = map[string][]elbv2types.TargetHealthDescription{"arn:shop": {{Target: &elbv2types.TargetDescription{Id: aws.String(victim), Port: aws.Int32(80)}}}}
	})
	protected := func(x *rehearsal.Trace) {
		x.After.InstanceAttributes = map[string]*ec2.DescribeInstanceAttributeOutput{victim: {DisableApiTermination: &types.AttributeBooleanValue{Value: aws.Bool(true)}}}
	}
	dead := func(x *rehearsal.Trace) {
		x.After.Reservations = []types.Reservation{{Instances: []types.Instance{{InstanceId: aws.String(victim), State: &types.InstanceState{Name: types.InstanceStateNameTerminated}}}}}
	}
	anew := func(opened float64) rehearsal.Trace {
		return spoil(with(released, put(opened, "incident#000002"), move(101, "eni-1", "conversion"), move(101.2, "eni-1", "quarantine")), now(eni("eni-1", "quarantine")))
	}
	a := &sim.Invocation{Function: "isolate"}
	refused := func(until float64) rehearsal.Trace {
		x := spoil(without(clean(), "TerminateInstances", ""), ends("Not contained"), now(eni("eni-1", "conversion")))
		x.Status = "FAILED"
		x.Calls = slices.DeleteFunc(slices.Clone(x.Calls), func(c sim.Call) bool { return c.At.Equal(second(2.2)) })
		for at := 2.2; at <= until; at += 10 {
			c := move(at, "eni-1", "quarantine")
			c.Error, c.Effective = "UnauthorizedOperation", false
			x.Calls = append(x.Calls, c)
		}
		return decided(x)
	}
	loose := eni("eni-1", "conversion")
	loose.Attachment = nil
	// held is an incident of a finding that a pause held until then.
	held := func(until float64) rehearsal.Trace {
		return spoil(kept, func(x *rehearsal.Trace) {
			x.Ours, x.Braked, x.PauseEnds, x.Handled = false, "the pause switch", second(until), true
		})
	}
	// unsigned is a closing whose signature is refused, and a mail that is too.
	unsigned := func(mailed float64) rehearsal.Trace {
		sign, publish := call(92, "kms", "Sign", &kms.SignInput{}), call(mailed, "sns", "Publish", &sns.PublishInput{})
		for _, c := range []*sim.Call{&sign, &publish} {
			c.Error, c.Effective = "AccessDenied", false
		}
		if mailed < 92 {
			return with(without(kept, "PutObject", ""), publish, sign)
		}
		return with(without(kept, "PutObject", ""), sign, publish)
	}
	// failed is an ending of which nobody could be told in time, or somebody was, and
	// what the rule then mails of every execution that failed.
	failed := func(own, rule string) rehearsal.Trace {
		x := spoil(without(kept, "PutObject", ""), ends("Not contained"))
		for at, publish := range map[float64][2]string{94: {own, "[URGENT] Nobody decided, EC2 instance NOT isolated: i-victim"}, 96: {rule, "[URGENT] Incident response itself ended badly"}} {
			c := call(at, "sns", "Publish", &sns.PublishInput{Subject: aws.String(publish[1])})
			c.Error, c.Effective = publish[0], publish[0] == ""
			if x = with(x, c); c.Effective {
				x = spoil(x, mail(publish[1], ""))
			}
		}
		slices.SortStableFunc(x.Calls, func(a, b sim.Call) int { return a.At.Compare(b.At) })
		return x
	}
	// byHand is a release of what others had put elsewhere before, and elsewhere again.
	byHand := func(recorded, moved, stands string) rehearsal.Trace {
		x := spoil(again, now(eni("eni-1", stands)), others(70, "eni-1", moved))
		x.Before.NetworkInterfaces = []types.NetworkInterface{eni("eni-1", "other")}
		x.Before.Incidents = append(slices.Clone(x.Before.Incidents),
			row("incidents", map[string]string{"pk": key + ".1", "sk": "prior#eni-1#groups", "body": asJSON(map[string]any{"value": []string{recorded}})}))
		return x
	}
	// clock is a termination whose decision says one time and was recorded at another.
	clock := func(says, recorded float64) rehearsal.Trace {
		d := decision(incident.Terminate)
		d.DecidedAt = second(says)
		return with(decided(clean(), d), call(recorded, "dynamodb", "PutItem", &dynamodb.PutItemInput{Item: map[string]dynamodbtypes.AttributeValue{
			"pk": &dynamodbtypes.AttributeValueMemberS{Value: d.Incident}, "sk": &dynamodbtypes.AttributeValueMemberS{Value: "request#001"},
			"body": &dynamodbtypes.AttributeValueMemberS{Value: asJSON(d)},
		}}))
	}
	// late is a closing whose answer came after two minutes.
	late := func(made float64) rehearsal.Trace {
		x := with(kept, described(2.5, a))
		for n, c := range x.Calls {
			if c.At.Equal(second(2.2)) {
				x.Calls[n].Made, x.Calls[n].Ended, x.Calls[n].Error = second(made), second(122), "DeadlineExceeded"
			}
		}
		return x
	}
	// opening is answered, or given up, at one time, and closed at another.
	opening := func(ended, closed float64) rehearsal.Trace {
		x := with(without(kept, "ModifyNetworkInterfaceAttribute", ""), move(2, "eni-1", "conversion"), described(ended+0.5, a), move(closed, "eni-1", "quarantine"))
		o := &x.Calls[len(x.Calls)-3]
		if o.Made, o.Ended = second(2.1), second(ended); ended > 3 {
			o.Error = "DeadlineExceeded"
		}
		return x
	}
	// twice is an incident with two snapshots of its volume that an operator handled.
	twice := func(status string) rehearsal.Trace {
		return spoil(kept, func(x *rehearsal.Trace) {
			second := x.After.Snapshots[0]
			second.SnapshotId = aws.String("snap-2")
			x.After.Snapshots = append(slices.Clone(x.After.Snapshots), second)
			x.Status, x.Handled = status, true
		})
	}
	refusedOnce := func(x rehearsal.Trace, at float64) rehearsal.Trace {
		c := move(at, "eni-1", "quarantine")
		c.Error, c.Effective = "UnauthorizedOperation", false
		return with(x, c)
	}
	elses := func(x *rehearsal.Trace) {
		i := eni("eni-9", "web")
		i.Attachment.InstanceId = aws.String("i-other")
		x.Before.NetworkInterfaces = append(slices.Clone(x.Before.NetworkInterfaces), i)
	}
	inherited := func(state string) rehearsal.Trace {
		was := incident.Incident{ID: key + ".0", InstanceID: victim, AttachedAt: attached, Finding: incident.Finding{Type: "other"}}
		x := without(clean(), "PutItem", "prior#eni-1#groups")
		x.Before.Incidents = append(slices.Clone(x.Before.Incidents),
			row("incidents", map[string]string{"pk": key, "sk": "incident#000000", "state": state, "body": asJSON(was)}),
			row("incidents", map[string]string{"pk": key + ".0", "sk": "prior#eni-1#groups", "body": "{}"}))
		return x
	}
	// told is a mail of a report that is not in the bucket, and what the record of before
	// has of another one's incident and report.
	told := func(of, report string) rehearsal.Trace {
		x := spoil(kept, mail("Closed: EC2 instance stays isolated: i-victim", "Signed report: incidents/"+key+".0/reports/a.html"))
		x.Before.Incidents = []rehearsal.Row{
			row("incidents", map[string]string{"pk": key, "sk": "incident#000000", "state": "kept", "body": asJSON(incident.Incident{ID: of, InstanceID: victim, AttachedAt: attached})}),
			row("incidents", map[string]string{"pk": of, "sk": "step#close", "body": asJSON(map[string]string{"report": report})}),
		}
		return x
	}
	repeat := spoil(kept, func(x *rehearsal.Trace) {
		x.Calls = slices.DeleteFunc(slices.Clone(x.Calls), func(c sim.Call) bool { return c.At.Before(second(1.5)) && c.Service == "ec2" })
		was := incident.Incident{ID: key + ".0", InstanceID: victim, AttachedAt: attached, Finding: x.Finding}
		x.Before.Incidents = []rehearsal.Row{row("incidents", map[string]string{"pk": key, "sk": "incident#000000", "state": "kept", "body": asJSON(was)})}
	})
	unasked := func() rehearsal.Trace { return decided(askedFirst(decision(incident.Isolate), 70)) }
	sets := func(first, second string) rehearsal.Trace {
		set := func(at float64, whose string) sim.Call {
			return call(at, "ec2", "CreateSnapshots", &ec2.CreateSnapshotsInput{TagSpecifications: []types.TagSpecification{{Tags: []types.Tag{{Key: aws.String("cordon:incident"), Value: aws.String(whose)}}}}}, victim)
		}
		return with(anew(100), set(1, first), set(100.5, second))
	}

	unwritten := spoil(kept, func(x *rehearsal.Trace) {
		x.After.Incidents = append(slices.Clone(x.After.Incidents), row("incidents", map[string]string{"pk": key + ".1", "sk": "step#isolate", "body": "{}"}))
	})
	// wishedFor is an incident that somebody wanted to decide about once more, and gone by then.
	wishedFor := func(before, after string) rehearsal.Trace {
		x := spoil(with(without(without(without(clean(), "PutObject", ""), "TerminateInstances", ""), "PutItem", "incident#000001"),
			call(94, "dynamodb", "UpdateItem", &dynamodb.UpdateItemInput{Key: map[string]dynamodbtypes.AttributeValue{"sk": &dynamodbtypes.AttributeValueMemberS{Value: "incident#000001"}}})), ends("Already gone"))
		head := func(state string) rehearsal.Row {
			return row("incidents", map[string]string{"pk": key, "sk": "incident#000001", "state": state})
		}
		x.Before.Incidents, x.After.Incidents = []rehearsal.Row{head(before)}, []rehearsal.Row{head(after)}
		return x
	}
	journal := func(failed, whose string) rehearsal.Trace {
		c := call(95, "s3", "PutObject", &s3.PutObjectInput{Key: aws.String("incidents/" + whose + "/journal/000002.json")})
		c.By, c.Error, c.Effective = &sim.Invocation{Function: "journal"}, failed, failed == ""
		return with(unwritten, c)
	}

	refusedTo := func(function string, at float64) sim.Call {
		c := call(at, "dynamodb", "GetItem", &dynamodb.GetItemInput{})
		c.Mutating, c.Effective, c.Error, c.By = false, false, "AccessDeniedException", &sim.Invocation{Function: function}
		return c
	}
	// left is a decision that nobody verifies, and a run that lasts so long.
	left := func(c sim.Call, last float64) rehearsal.Trace {
		return with(kept, c, call(last, "dynamodb", "GetItem", &dynamodb.GetItemInput{}))
	}
	// looked is a termination that looks at the interfaces at some time.
	looked := func(at float64, changed ...func(*sim.Call)) rehearsal.Trace {
		look := described(at, terminates)
		for _, change := range changed {
			change(&look)
		}
		x := with(clean(), look)
		for n := range x.Calls {
			if x.Calls[n].Action == "TerminateInstances" {
				x.Calls[n].By = terminates
			}
		}
		return x
	}
	// givenUp is a change that no journal has, with what the bucket has of one.
	givenUp := func(object, sk, body string) rehearsal.Trace {
		image := row("", map[string]string{"pk": key + ".1", "sk": sk, "body": body}).Item
		return spoil(unwritten, func(x *rehearsal.Trace) {
			batch := asJSON(map[string]any{"Records": []any{map[string]any{"dynamodb": map[string]any{"NewImage": image}}}})
			x.Bucket = map[string]rehearsal.Object{object: {Body: []byte(asJSON(map[string]string{"payload": batch}))}}
		})
	}

	for _, c := range []struct {
		name, invariant string
		passes          rehearsal.Trace
		caught          map[string]rehearsal.Trace
	}{
		{"put back after the last look", "No silent failure", spoil(with(kept, verified(80)), others(120, "eni-1", "web"), now(eni("eni-1", "web"))), map[string]rehearsal.Trace{
			"another one was":                      spoil(kept, others(120, "eni-9", "web"), now(eni("eni-1", "web"))),
			"groups were opened meanwhile":         spoil(kept, others(120, "", "quarantine"), now(eni("eni-1", "web"))),
			"it was before the last look":          spoil(with(kept, described(130, a)), others(120, "eni-1", "web"), now(eni("eni-1", "web"))),
			"it is terminated, and its other open": spoil(kept, others(120, "eni-1", "web"), now(eni("eni-2", "web"))),
			"nobody looked after the decision":     spoil(with(kept, verified(110)), others(120, "eni-1", "web"), now(eni("eni-1", "web"))),
		}},
		{"a mail that says isolated, and others were faster", "No silent failure", spoil(kept, others(95.5, "eni-1", "web"), func(x *rehearsal.Trace) {
			x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "Closed: EC2 instance stays isolated: i-victim"})
		}, now(eni("eni-1", "web"))), map[string]rehearsal.Trace{
			"they were before the last look": spoil(kept, others(90, "eni-1", "web"), func(x *rehearsal.Trace) {
				x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "Closed: EC2 instance stays isolated: i-victim"})
			}),
			"they changed another": spoil(with(kept, move(94, "eni-1", "web")), others(95.5, "eni-2", "web"), func(x *rehearsal.Trace) {
				x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "Closed: EC2 instance stays isolated: i-victim"})
			}),
		}},
		{"opened after the last look", "No silent failure", spoil(kept, others(120, "", "quarantine", "capture"), opened("quarantine")), map[string]rehearsal.Trace{
			"another group was":           spoil(kept, others(120, "", "capture"), opened("quarantine")),
			"it was before the last look": spoil(with(kept, described(130, a)), others(120, "", "quarantine"), opened("quarantine")),
		}},
		{"a capture group that is open, and empty", "No silent failure", spoil(kept, opened("capture"), func(x *rehearsal.Trace) { x.Mails = nil }), map[string]rehearsal.Trace{
			"the instance is in it": spoil(kept, opened("capture"), now(eni("eni-1", "capture")), ends("Terminated"), func(x *rehearsal.Trace) { x.Mails = nil }),
		}},
		{"the pause could not be read", "No silent failure", spoil(kept, func(x *rehearsal.Trace) { x.Blind = true }, mail("Isolated", "- the pause switch /cordon/pause cannot be read; nothing is paused")), map[string]rehearsal.Trace{
			"and nobody knows": spoil(kept, func(x *rehearsal.Trace) { x.Blind = true }),
		}},
		{"the pause could not be read, and it was stopped", "No silent failure", spoil(kept, func(x *rehearsal.Trace) { x.Blind, x.Status = true, "ABORTED" }, mail("[URGENT] Incident response itself ended badly", "stopped")), map[string]rehearsal.Trace{
			"nobody knows of the stop": spoil(kept, func(x *rehearsal.Trace) { x.Blind, x.Status, x.Mails = true, "ABORTED", nil }),
			"it failed":                spoil(kept, func(x *rehearsal.Trace) { x.Blind, x.Status = true, "FAILED" }, mail("[URGENT] Incident response itself ended badly", "failed")),
		}},
		{"what it had is gone since", "Recorded before changed", spoil(again, mail("Closed: EC2 instance released, NOT all is back: i-victim", "eni-1: sg-web no longer exists")), map[string]rehearsal.Trace{
			"nobody is told":                      again,
			"it is named, and said to be back":    spoil(again, mail("Closed: EC2 instance released: i-victim", "eni-1 is back")),
			"something else is said not to be":    spoil(again, mail("Closed: EC2 instance released, NOT all is back: i-victim", "eni-2: sg-web no longer exists")),
			"it was in its own group before this": spoil(released, now(eni("eni-1", "quarantine")), mail("Closed: EC2 instance released, NOT all is back: i-victim", "eni-1")),
			"what ended badly is told, no more":   spoil(again, mail("[URGENT] Incident response itself ended badly", "eni-1: sg-web no longer exists")),
			"all is said to be back after that":   spoil(again, mail("Closed: EC2 instance released, NOT all is back: i-victim", "eni-1: sg-web no longer exists"), mail("Closed: EC2 instance released: i-victim", "eni-1")),
		}},
		{"what it had is gone since, and what ended badly before is told once more", "Recorded before changed", spoil(again, mail("Closed: EC2 instance released, NOT all is back: i-victim", "eni-1: sg-web no longer exists"), mail("[URGENT] Incident response itself ended badly", "stopped")), map[string]rehearsal.Trace{
			"nobody is told the first": spoil(again, mail("[URGENT] Incident response itself ended badly", "stopped")),
		}},
		{"nobody decided about it once more", "Recorded before changed", spoil(decided(again), func(x *rehearsal.Trace) { x.Later = true }), map[string]rehearsal.Trace{
			"somebody did": spoil(again, func(x *rehearsal.Trace) { x.Later = true }),
			"it is new":    decided(again),
		}},
		{"others put it back where it was recorded to be", "Recorded before changed", byHand("web", "web", "web"), map[string]rehearsal.Trace{
			"elsewhere, and nobody is told":  byHand("web", "third", "third"),
			"it stands elsewhere":            byHand("web", "web", "third"),
			"another one was put there":      spoil(byHand("web", "web", "web"), func(x *rehearsal.Trace) { x.Others = nil }, others(70, "eni-9", "web")),
			"we moved it after that":         with(byHand("web", "web", "web"), move(80, "eni-1", "third"), move(81, "eni-1", "web")),
			"another's groups were recorded": byHand("third", "web", "web"),
		}},
		{"others put it elsewhere, and people know", "Recorded before changed", spoil(byHand("web", "third", "third"), mail("Closed: EC2 instance released, NOT all is back: i-victim", "groups of eni-1: somebody has put it into third since")), map[string]rehearsal.Trace{
			"another one is named": spoil(byHand("web", "third", "third"), mail("Closed: EC2 instance released, NOT all is back: i-victim", "groups of eni-2: somebody has put it into third since")),
			"nobody had moved it":  spoil(byHand("web", "third", "third"), func(x *rehearsal.Trace) { x.Others = nil }, mail("Closed: EC2 instance released, NOT all is back: i-victim", "groups of eni-1")),
		}},
		{"not all is back, and it could not be closed", "Recorded before changed", spoil(again, mail("NOT all is back, and the incident stays open: i-victim", "eni-1: sg-web no longer exists")), map[string]rehearsal.Trace{
			"said to be done": spoil(again, mail("Done, but the incident stays open in the record: i-victim", "eni-1: quarantined, nothing in, nothing out")),
		}},
		{"the balancer is gone", "Recorded before changed", spoil(balanced, mail("Closed: EC2 instance released, NOT all is back: i-victim", "target i-victim:80 of arn:shop:80: no such group")), map[string]rehearsal.Trace{
			"it is said to be back": spoil(balanced, mail("Closed: EC2 instance released: i-victim", "arn:shop:80 sends it requests again")),
		}},
		{"its protection cannot be taken off", "Recorded before changed", spoil(released, protected, mail("Closed: EC2 instance released, NOT all is back: i-victim", "disableApiTermination: denied")), map[string]rehearsal.Trace{
			"something else is said not to be": spoil(released, protected, mail("Closed: EC2 instance released, NOT all is back: i-victim", "target i-victim:80 of arn:shop:80: no such group")),
		}},
		{"somebody ended it", "Recorded before changed", spoil(released, now(eni("eni-1", "quarantine")), dead), map[string]rehearsal.Trace{
			"we did":          spoil(with(released, call(90, "ec2", "TerminateInstances", &ec2.TerminateInstancesInput{InstanceIds: []string{victim}}, victim)), now(eni("eni-1", "quarantine")), dead),
			"nobody ended it": spoil(released, now(eni("eni-1", "quarantine"))),
		}},
		{"a later finding isolated it anew", "Recorded before changed", anew(100), map[string]rehearsal.Trace{
			"it was opened afterwards":        anew(150),
			"it was opened before a decision": anew(50),
		}},
		{"EC2 refuses to let it out, to the end", "Never left open", refused(900), map[string]rehearsal.Trace{
			"tried for two minutes":   refused(120),
			"said to be isolated":     spoil(refused(900), ends("Kept isolated")),
			"nobody told":             spoil(refused(900), func(x *rehearsal.Trace) { x.Mails = nil }),
			"EC2 would have let it":   spoil(refused(900), func(x *rehearsal.Trace) { x.Calls[len(x.Calls)-1].Error = "" }),
			"another was let out":     spoil(refused(900), func(x *rehearsal.Trace) { *x = with(*x, move(905, "eni-9", "quarantine")) }, now(eni("eni-1", "conversion"), eni("eni-2", "conversion"))),
			"opened, and never tried": spoil(refused(0), now(eni("eni-1", "conversion"))),
		}},
		{"stopped while it was led through, and cut off", "Never left open", halted(), map[string]rehearsal.Trace{
			"nobody stopped it": spoil(halted(), func(x *rehearsal.Trace) { x.Handled = false }),
			"nobody told":       spoil(halted(), func(x *rehearsal.Trace) { x.Mails = x.Mails[:1] }),
			"it went on":        spoil(halted(), func(x *rehearsal.Trace) { *x = with(*x, described(2.5, cutOff)) }),
			"invoked once more": spoil(halted(), func(x *rehearsal.Trace) {
				*x = with(*x, described(9, &sim.Invocation{Function: "isolate", Began: second(8.9)}))
			}),
		}},
		{"the instance ends while EC2 refuses to let it out", "Never left open", spoil(refused(30), dead, now(loose)), map[string]rehearsal.Trace{
			"it is attached still": spoil(refused(30), dead),
			"the instance lives":   spoil(refused(30), now(loose)),
			"it was never tried":   spoil(refused(0), dead, now(loose)),
		}},
		{"what a pause held is redriven when it is over", "Not ours, not touched", held(0.5), map[string]rehearsal.Trace{
			"the pause is in force": held(200),
			"nobody redrove it":     spoil(held(0.5), func(x *rehearsal.Trace) { x.Handled = false }),
			"it is on a list":       spoil(held(0.5), func(x *rehearsal.Trace) { x.Braked = "the list of exempt instances" }),
		}},
		{"a clock that is ahead", "No unapproved kill", clock(91, 60), map[string]rehearsal.Trace{
			"recorded after it was done": clock(60, 95),
		}},
		{"an answer that came late", "Never left open", late(2.4), map[string]rehearsal.Trace{
			"the effect came late": late(62),
		}},
		{"an opening whose answer came late", "Never left open", opening(15, 16), map[string]rehearsal.Trace{
			"closed long after that": opening(15, 31),
			"refused long after it":  refusedOnce(opening(15, 31), 40),
			"it was answered":        opening(2.1, 16),
		}},
		{"one that others attached is moved", "Not ours, not touched", spoil(with(kept, put(3, "prior#eni-9#groups"), move(4, "eni-9", "quarantine")), elses, others(3, "eni-9", "web")), map[string]rehearsal.Trace{
			"another machine's is": spoil(with(kept, put(3, "prior#eni-9#groups"), move(4, "eni-9", "quarantine")), elses, others(3, "eni-8", "web")),
		}},
		{"recorded by an earlier incident that was kept", "Recorded before changed", inherited("kept"), map[string]rehearsal.Trace{
			"that was released": inherited("released"),
		}},
		{"a report of an earlier run, which left no bucket", "What is told of the evidence is so", told(key+".0", "incidents/"+key+".0/reports/a.html"), map[string]rehearsal.Trace{
			"nobody wrote that one":  told(key+".0", "incidents/"+key+".0/reports/b.html"),
			"it is another incident": told(key+".9", "incidents/"+key+".0/reports/a.html"),
		}},
		{"a worse finding after a decision", "A decision is not reversed by a repeat", spoil(repeat, also(0, 9)), map[string]rehearsal.Trace{
			"it came later":    spoil(repeat, also(3, 9)),
			"it is no worse":   spoil(repeat, also(0, 8)),
			"it never came":    repeat,
			"somebody decided": spoil(repeat, func(x *rehearsal.Trace) { *x = decided(*x, decision(incident.Keep)) }),
		}},
		{"a critical one while people are asked", "Asked first, isolated after", spoil(unasked(), also(60, 9)), map[string]rehearsal.Trace{
			"it came later":     spoil(unasked(), also(90, 9)),
			"it is no critical": spoil(unasked(), also(60, 8.9)),
			"it never came":     unasked(),
		}},
		{"sealed long after it was isolated", "Asked first, isolated after", with(askedFirst(decision(incident.Isolate), 70), move(week+100, "eni-1", "quarantine")), map[string]rehearsal.Trace{
			"it is led through the open group": with(askedFirst(decision(incident.Isolate), 70), move(week+100, "eni-1", "conversion")),
			"it was not isolated before":       decided(askedFirst(decision(incident.Isolate), week+100)),
		}},
		{"a journal that cannot be written to the last", "The journal is the record", journal("AccessDenied", key+".1"), map[string]rehearsal.Trace{
			"it was written at last":       with(journal("AccessDenied", key+".1"), journal("", key+".1").Calls[len(kept.Calls)]),
			"another try had written that": journal("PreconditionFailed", key+".1"),
			"another's is held up":         journal("AccessDenied", key+".2"),
			"nobody tried":                 unwritten,
		}},
		{"a change that was given up", "The journal is the record", givenUp("aws/lambda/x", "step#isolate", "{}"), map[string]rehearsal.Trace{
			"it was changed once more since": givenUp("aws/lambda/x", "step#isolate", `{"status":"ok"}`),
			"another item's was":             givenUp("aws/lambda/x", "step#preserve", "{}"),
			"somebody put it elsewhere":      givenUp("events/x", "step#isolate", "{}"),
		}},
		{"nobody can be told that it is not signed", "Every ending is signed", unsigned(94), map[string]rehearsal.Trace{
			"a mail before that failed": unsigned(90),
			"the last mail was taken":   with(unsigned(94), call(95, "sns", "Publish", &sns.PublishInput{})),
		}},
		{"those who look are refused", "No decision lies about", left(refusedTo("approval", 5000), 20_000), map[string]rehearsal.Trace{
			"others are":         left(refusedTo("drift", 5000), 20_000),
			"it was before that": left(refusedTo("approval", 50), 20_000),
			"it was much later":  left(refusedTo("approval", 15_000), 20_000),
		}},
		{"a critical finding waits for no answer", "No decision lies about", spoil(left(refusedTo("drift", 5000), 20_000), also(95, 9)), map[string]rehearsal.Trace{
			"it is no critical": spoil(left(refusedTo("drift", 5000), 20_000), also(95, 8.9)),
		}},
		{"it ended before anybody could", "No decision lies about", left(refusedTo("drift", 5000), 9000), map[string]rehearsal.Trace{
			"it went on": left(refusedTo("drift", 5000), 20_000),
		}},
		{"others put it back after the last look at a termination", "Sealed before terminated", spoil(looked(89), others(89.5, "eni-1", "web")), map[string]rehearsal.Trace{
			"it was before that":           spoil(looked(89), others(88, "eni-1", "web")),
			"they attached another before": spoil(looked(89), others(88, "eni-9", "web")),
			"that look was at another": spoil(looked(89, func(c *sim.Call) {
				c.Input = &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{"i-other"}}}}
			}), others(89.5, "eni-1", "web")),
			"that look was at an endpoint": spoil(looked(89, func(c *sim.Call) {
				c.Input = &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{"eni-endpoint"}}
			}), others(89.5, "eni-1", "web")),
			"that look was refused": spoil(looked(89, func(c *sim.Call) { c.Error = "UnauthorizedOperation" }), others(89.5, "eni-1", "web")),
		}},
		{"only the rule could tell that it failed", "Every ending is signed", failed("Throttled", ""), map[string]rehearsal.Trace{
			"it could tell by itself":          failed("", ""),
			"it could, and the rule could not": failed("", "Throttled"),
		}},
		{"told that the finding was not processed", "Every ending is signed", spoil(failed("", ""), mail("[URGENT] Finding not processed, EC2 instance NOT isolated: i-victim", "")), map[string]rehearsal.Trace{
			"told that it is not contained": spoil(failed("", ""), mail("[URGENT] EC2 instance NOT isolated, act now: i-victim", "")),
		}},
		{"gone, and released before", "Every ending is signed", wishedFor("released", "released"), map[string]rehearsal.Trace{
			"it was open":                wishedFor("open", "open"),
			"it was released only since": wishedFor("open", "released"),
			"it is open again":           wishedFor("released", "open"),
		}},
		{"stopped before a duplicate could be marked", "One incident an instance", twice("ABORTED"), map[string]rehearsal.Trace{
			"it was redriven": twice("SUCCEEDED"),
		}},
		{"a set for each of two incidents", "One incident an instance", sets(key+".1", key+".2"), map[string]rehearsal.Trace{
			"two for one": sets(key+".1", key+".1"),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			broken := func(x rehearsal.Trace) string {
				for _, i := range rehearsal.Invariants {
					if i.Name == c.invariant {
						return i.Broken(x)
					}
				}
				t.Fatalf("there is no invariant %q", c.invariant)
				return ""
			}
			if how := broken(c.passes); how != "" {
				t.Errorf("that is meant so, and is said to break it: %s", how)
			}
			for name, x := range c.caught {
				if broken(x) == "" {
					t.Errorf("%s: that passes with it unseen", name)
				}
			}
		})
	}
}
