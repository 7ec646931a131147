package cordon_test

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"cordon/internal/template"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// The questions an auditor asks, and what IAM must answer. Each is asked of
// every role of the stack, and of an administrator of another account: whoever
// is not named may not. docs/permissions.md has the answers in words;
// `make permissions` has them from an evaluator that others wrote.

// request is one question.
type request struct {
	ask    string // what somebody tries
	action string
	on     []target // as IAM asks: every one must be allowed; none is "*"
	with   keys     // condition keys of the request
	may    []string // short names of roles; of those who ask, if by names them
	// never are refused by an explicit deny, so that no later right lets them.
	never []string
	by    string // who asks, if not every role: a service, or somebody with every right of IAM
}

// target is a resource as it stands when the request is made.
type target struct {
	arn  string
	with keys // condition keys of the resource
}

// keys are condition keys with their values, separated by a comma.
type keys map[string]string

const (
	administrator = "an administrator of this account"
	stranger      = "an administrator of another account"
	evidence      = "the role of the evidence account"
	evidenceRole  = "arn:aws:iam::999988887777:role/evidence"
	// anyKey stands for every key of the account.
	anyKey = ":key/volume"
)

// section is what an auditor looks at together.
type section struct {
	title string
	all   []request
}

// everyone are the short names of all roles, except.
func everyone(p policies, except ...string) (all []string) {
	for _, r := range p.roles {
		if name := shortRole(r); !slices.Contains(except, name) {
			all = append(all, name)
		}
	}
	return all
}

// and gives keys with more of them, each followed by its value.
func (k keys) and(more ...string) keys {
	all := maps.Clone(k)
	if all == nil {
		all = keys{}
	}
	for n := 0; n < len(more); n += 2 {
		all[more[n]] = more[n+1]
	}
	return all
}

func (o target) and(more ...string) target { return target{o.arn, o.with.and(more...)} }

// tagged is a resource that carries a tag. EC2 knows it by two keys.
func tagged(o target, key, value string) target {
	return o.and("aws:ResourceTag/"+key, value, "ec2:ResourceTag/"+key, value)
}

// otherAttributes are all of an instance but those that steps set.
func otherAttributes() []string {
	var all []string
	for _, a := range types.InstanceAttributeName("").Values() {
		all = append(all, string(a))
	}
	return withoutAny(append(all, fieldsOf(ec2.ModifyInstanceAttributeInput{})...),
		"attribute", "value", "dryRun", "instanceId", "blockDeviceMapping", "blockDeviceMappings", "disableApiStop", "disableApiTermination", "instanceInitiatedShutdownBehavior")
}

// otherInterfaceAttributes are all of an interface but its groups.
func otherInterfaceAttributes() []string {
	return withoutAny(fieldsOf(ec2.ModifyNetworkInterfaceAttributeInput{}), "dryRun", "networkInterfaceId", "groups")
}

// fieldsOf are the parameters of a call, written as EC2's attributes are.
func fieldsOf(input any) (all []string) {
	for f := range reflect.TypeOf(input).Fields() {
		if f.IsExported() && f.Name != "ResultMetadata" {
			all = append(all, strings.ToLower(f.Name[:1])+f.Name[1:])
		}
	}
	return all
}

func withoutAny(all []string, known ...string) []string {
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(a string) bool { return slices.Contains(known, a) })
}

func requestTable(d *template.Deployment, p policies) []section {
	arn := func(id string) string {
		r, ok := d.Resource(id)
		if !ok {
			panic("the template has no " + id)
		}
		if r.ARN() == "" {
			return r.Ref
		}
		return r.ARN()
	}
	on := func(all ...target) []target { return all }
	the := func(ids ...string) (all []target) {
		for _, id := range ids {
			all = append(all, target{arn: arn(id)})
		}
		return all
	}
	at := func(arn string) []target { return []target{{arn: arn}} }
	may := func(names ...string) []string { return names }
	const here = "arn:aws:ec2:us-east-1:111122223333:"
	instance, volume := target{arn: here + "instance/i-0abc"}, target{arn: here + "volume/vol-0abc"}
	eni, group, vpc := target{arn: here + "network-interface/eni-0abc"}, target{arn: here + "security-group/sg-0abc"}, target{arn: here + "vpc/vpc-0abc"}
	snapshot := target{arn: "arn:aws:ec2:us-east-1::snapshot/snap-0abc"}
	decided := tagged(instance, "cordon:decision", "111122223333.us-east-1.i-0abc.1/1")
	ours, foreign := tagged(group, "cordon:stack", "cordon"), tagged(group, "cordon:stack", "another")
	ourSnapshot := tagged(snapshot, "cordon:stack", "cordon")
	sets := func(o target, attribute, value string) target {
		if value != "" {
			o = o.and("ec2:Attribute/"+attribute, value)
		}
		return o.and("ec2:Attribute", attribute)
	}
	asTag := func(all string, value string) keys {
		k := keys{"aws:TagKeys": all}
		for key := range strings.SplitSeq(all, ",") {
			k["aws:RequestTag/"+key] = value
		}
		return k
	}
	bucket, table, decisions := arn("EvidenceBucket"), the("IncidentsTable"), the("DecisionsTable")
	memoryDocument := target{arn: "arn:aws:ssm:us-east-1:111122223333:document/" + arn("MemoryDocument")}
	windowsDocument := target{arn: "arn:aws:ssm:us-east-1:111122223333:document/" + arn("MemoryWindowsDocument")}
	execution := strings.Replace(arn("IncidentResponse"), ":stateMachine:", ":execution:", 1) + ":0f7a"
	head, ask := keys{"dynamodb:LeadingKeys": "111122223333.us-east-1.i-0abc"}, keys{"dynamodb:LeadingKeys": "request#111122223333.us-east-1.i-0abc.1"}
	plain := keys{"aws:SecureTransport": "false"}
	from := func(source string) keys {
		return keys{"aws:SourceArn": source, "aws:SourceAccount": "111122223333"}
	}
	const another = "arn:aws:%s:us-east-1:111122223333:%s"
	guarded := everyone(p, "authorize") // by the policy Guards
	attributes := []string{"preserve", "release", "terminate"}

	sections := []section{
		{"Ending an instance", []request{
			{ask: "terminates an instance that carries `cordon:decision`", action: "ec2:TerminateInstances", on: on(decided), may: may("terminate")},
			{ask: "terminates an instance without a tag", action: "ec2:TerminateInstances", on: on(instance)},
			{ask: "terminates an instance that only we tagged otherwise", action: "ec2:TerminateInstances", on: on(tagged(instance, "cordon:incident", "x"))},
			{ask: "terminates one that carries it and one that does not", action: "ec2:TerminateInstances", on: on(decided, target{arn: here + "instance/i-0def"})},
			{ask: "sends the tag with the request, not on the instance", action: "ec2:TerminateInstances", on: on(instance.and("aws:RequestTag/cordon:decision", "x"))},
			{ask: "stops an instance", action: "ec2:StopInstances", on: on(decided)},
			{ask: "starts an instance", action: "ec2:StartInstances", on: on(decided)},
			{ask: "reboots an instance", action: "ec2:RebootInstances", on: on(decided)},
			{ask: "starts a new instance", action: "ec2:RunInstances", on: on(instance)},
			{ask: "lifts the termination protection where it was decided", action: "ec2:ModifyInstanceAttribute", on: on(sets(decided, "DisableApiTermination", "false")), may: may("release", "terminate"), never: may("preserve")},
			{ask: "lifts the termination protection where nothing was decided", action: "ec2:ModifyInstanceAttribute", on: on(sets(instance, "DisableApiTermination", "false")), may: may("release"), never: may("preserve")},
			{ask: "lifts the stop protection where it was decided", action: "ec2:ModifyInstanceAttribute", on: on(sets(decided, "DisableApiStop", "false")), may: attributes},
			{ask: "protects an instance from termination", action: "ec2:ModifyInstanceAttribute", on: on(sets(instance, "DisableApiTermination", "true")), may: may("preserve", "release")},
			{ask: "makes a shutdown from inside a stop", action: "ec2:ModifyInstanceAttribute", on: on(sets(instance, "InstanceInitiatedShutdownBehavior", "stop")), may: may("preserve", "release")},
			{ask: "makes a shutdown of a decided instance end it", action: "ec2:ModifyInstanceAttribute", on: on(sets(decided, "InstanceInitiatedShutdownBehavior", "terminate")), may: may("preserve", "release"), never: may("terminate")},
			{ask: "keeps a volume when its instance goes", action: "ec2:ModifyInstanceAttribute", on: on(decided, volume), may: may("preserve", "release")},
		}},
	}
	for _, attribute := range otherAttributes() {
		sections[0].all = append(sections[0].all, request{
			ask: "changes `" + attribute + "` of an instance", action: "ec2:ModifyInstanceAttribute", on: on(sets(decided, attribute, "")), never: guarded,
		})
	}
	for _, attribute := range []string{"blockDeviceMapping", "BlockDeviceMappings"} {
		sections[0].all = append(sections[0].all, request{
			ask: "changes `" + attribute + "` where EC2 names it", action: "ec2:ModifyInstanceAttribute", on: on(sets(decided, attribute, ""), volume), may: may("preserve", "release"), never: may("terminate"),
		})
	}
	sections[0].all = append(sections[0].all,
		request{ask: "changes the user data, named by its own key alone", action: "ec2:ModifyInstanceAttribute", on: on(decided.and("ec2:Attribute/UserData", "IyE=")), never: guarded},
		request{ask: "changes the groups of an instance with one interface", action: "ec2:ModifyInstanceAttribute", on: on(decided, group)},
		request{ask: "gives an instance another profile", action: "ec2:AssociateIamInstanceProfile", on: on(decided)},
		request{ask: "replaces the profile of an instance", action: "ec2:ReplaceIamInstanceProfileAssociation", on: on(decided)},
		request{ask: "changes the metadata options of an instance", action: "ec2:ModifyInstanceMetadataOptions", on: on(decided)},
	)

	sections = append(sections, section{"The tag `cordon:decision`", []request{
		{ask: "writes it on an instance", action: "ec2:CreateTags", on: on(instance), with: asTag("cordon:decision", "x"), may: may("authorize"), never: guarded},
		{ask: "writes it over another decision", action: "ec2:CreateTags", on: on(decided), with: asTag("cordon:decision", "x"), may: may("authorize"), never: guarded},
		{ask: "writes it together with another tag", action: "ec2:CreateTags", on: on(instance), with: asTag("cordon:decision,Name", "x"), never: guarded},
		{ask: "writes another tag on an instance", action: "ec2:CreateTags", on: on(instance), with: asTag("Name", "x")},
		{ask: "writes tags of which the request names no key", action: "ec2:CreateTags", on: on(instance)},
		{ask: "writes it in another case, which a condition on it would take", action: "ec2:CreateTags", on: on(instance), with: asTag("Cordon:Decision", "x"), never: guarded},
		{ask: "writes it as an instance is made", action: "ec2:CreateTags", on: on(instance), with: asTag("cordon:decision", "x").and("ec2:CreateAction", "RunInstances"), may: may("authorize"), never: guarded},
		{ask: "writes it on a snapshot of ours", action: "ec2:CreateTags", on: on(ourSnapshot), with: asTag("cordon:decision", "x"), never: guarded},
		{ask: "writes it on a snapshot as it is made", action: "ec2:CreateTags", on: on(snapshot), with: asTag("cordon:stack,cordon:decision", "cordon").and("ec2:CreateAction", "CreateSnapshots"), never: guarded},
		{ask: "writes it on a group as it is made", action: "ec2:CreateTags", on: on(group), with: asTag("cordon:stack,cordon:decision", "cordon").and("ec2:CreateAction", "CreateSecurityGroup"), never: guarded},
		{ask: "writes it on a volume", action: "ec2:CreateTags", on: on(volume), with: asTag("cordon:decision", "x"), never: guarded},
		{ask: "removes it", action: "ec2:DeleteTags", on: on(decided), with: keys{"aws:TagKeys": "cordon:decision"}, never: guarded},
		{ask: "removes all tags by naming none", action: "ec2:DeleteTags", on: on(decided), never: guarded},
		{ask: "removes another tag", action: "ec2:DeleteTags", on: on(decided), with: keys{"aws:TagKeys": "Name"}, never: guarded},
		{ask: "removes a tag of a snapshot of ours", action: "ec2:DeleteTags", on: on(ourSnapshot), with: keys{"aws:TagKeys": "cordon:stack"}, never: guarded},
	}})

	moves := "ec2:ModifyNetworkInterfaceAttribute"
	sections = append(sections, section{"Interfaces and groups", []request{
		{ask: "puts an interface into a group of ours", action: moves, on: on(eni, instance, ours), may: may("isolate"), never: may("release")},
		{ask: "puts an interface into a group that is not ours", action: moves, on: on(eni, instance, group), may: may("release")},
		{ask: "puts an interface into a group of another stack of ours", action: moves, on: on(eni, instance, foreign), may: may("release")},
		{ask: "puts an interface into a group of ours and one that is not", action: moves, on: on(eni, instance, ours, target{arn: here + "security-group/sg-0def"}), never: may("release")},
		{ask: "puts an interface that hangs on no instance into a group of ours", action: moves, on: on(eni, ours), may: may("isolate"), never: may("release")},
		{ask: "puts an interface that carries our tag into a group of ours", action: moves, on: on(tagged(eni, "cordon:stack", "cordon"), tagged(instance, "cordon:stack", "cordon"), ours), may: may("isolate"), never: may("release")},
		{ask: "detaches an interface", action: "ec2:DetachNetworkInterface", on: on(eni, instance)},
		{ask: "attaches an interface", action: "ec2:AttachNetworkInterface", on: on(eni, instance)},
		{ask: "deletes an interface", action: "ec2:DeleteNetworkInterface", on: on(eni)},
		{ask: "makes a group that carries our tag", action: "ec2:CreateSecurityGroup", on: on(group.and("aws:RequestTag/cordon:stack", "cordon"), vpc), with: keys{"aws:TagKeys": "cordon:stack,cordon:group,Name"}, may: may("isolate")},
		{ask: "makes a group without our tag", action: "ec2:CreateSecurityGroup", on: on(group, vpc)},
		{ask: "makes a group that carries the tag of another stack", action: "ec2:CreateSecurityGroup", on: on(group.and("aws:RequestTag/cordon:stack", "another"), vpc)},
		{ask: "tags a group as it is made", action: "ec2:CreateTags", on: on(group), with: asTag("cordon:stack,cordon:group,Name", "cordon").and("ec2:CreateAction", "CreateSecurityGroup"), may: may("isolate")},
		{ask: "tags a group that was there, so that it seems ours", action: "ec2:CreateTags", on: on(group), with: asTag("cordon:stack", "cordon")},
		{ask: "tags a snapshot in the name of a group", action: "ec2:CreateTags", on: on(snapshot), with: asTag("cordon:stack", "cordon").and("ec2:CreateAction", "CreateSecurityGroup")},
		{ask: "opens a group of ours inwards", action: "ec2:AuthorizeSecurityGroupIngress", on: on(ours), may: may("isolate")},
		{ask: "opens a group of ours outwards", action: "ec2:AuthorizeSecurityGroupEgress", on: on(ours), may: may("isolate")},
		{ask: "closes a group of ours inwards", action: "ec2:RevokeSecurityGroupIngress", on: on(ours), may: may("isolate")},
		{ask: "closes a group of ours outwards", action: "ec2:RevokeSecurityGroupEgress", on: on(ours), may: may("isolate")},
		{ask: "opens a group that is not ours inwards", action: "ec2:AuthorizeSecurityGroupIngress", on: on(group)},
		{ask: "opens a group that is not ours outwards", action: "ec2:AuthorizeSecurityGroupEgress", on: on(foreign)},
		{ask: "closes a group that is not ours inwards", action: "ec2:RevokeSecurityGroupIngress", on: on(group)},
		{ask: "closes a group that is not ours outwards", action: "ec2:RevokeSecurityGroupEgress", on: on(foreign)},
		{ask: "changes a rule of a group of ours", action: "ec2:ModifySecurityGroupRules", on: on(ours)},
		{ask: "deletes a group of ours", action: "ec2:DeleteSecurityGroup", on: on(ours)},
	}})

	interfaces := &sections[len(sections)-1]
	for _, attribute := range otherInterfaceAttributes() {
		interfaces.all = append(interfaces.all, request{
			ask: "changes `" + attribute + "` of an interface", action: moves, on: on(sets(eni, attribute, "")), never: guarded,
		})
	}

	scaling := at("arn:aws:autoscaling:us-east-1:111122223333:autoScalingGroup:0f7a:autoScalingGroupName/web")
	targets := at("arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/web/0f7a")
	classic := at("arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/web")
	sections = append(sections, section{"Auto Scaling groups and balancers", []request{
		{ask: "puts an instance into standby", action: "autoscaling:EnterStandby", on: scaling, may: may("preserve")},
		{ask: "takes an instance out of its group", action: "autoscaling:DetachInstances", on: scaling, may: may("preserve")},
		{ask: "takes an instance out of standby", action: "autoscaling:ExitStandby", on: scaling, may: may("release")},
		{ask: "puts an instance into a group", action: "autoscaling:AttachInstances", on: scaling, may: may("release")},
		{ask: "terminates an instance through its group", action: "autoscaling:TerminateInstanceInAutoScalingGroup", on: scaling},
		{ask: "calls an instance unhealthy, so that its group ends it", action: "autoscaling:SetInstanceHealth", on: scaling},
		{ask: "replaces the instances of a group", action: "autoscaling:StartInstanceRefresh", on: scaling},
		{ask: "changes how many instances a group has", action: "autoscaling:SetDesiredCapacity", on: scaling},
		{ask: "lifts the protection from scaling in", action: "autoscaling:SetInstanceProtection", on: scaling},
		{ask: "suspends the processes of a group", action: "autoscaling:SuspendProcesses", on: scaling},
		{ask: "changes a group", action: "autoscaling:UpdateAutoScalingGroup", on: scaling},
		{ask: "deletes a group", action: "autoscaling:DeleteAutoScalingGroup", on: scaling},
		{ask: "takes an instance out of a target group", action: "elasticloadbalancing:DeregisterTargets", on: targets, may: may("preserve")},
		{ask: "puts an instance into a target group", action: "elasticloadbalancing:RegisterTargets", on: targets, may: may("release")},
		{ask: "takes an instance out of a classic balancer", action: "elasticloadbalancing:DeregisterInstancesFromLoadBalancer", on: classic, may: may("preserve")},
		{ask: "puts an instance into a classic balancer", action: "elasticloadbalancing:RegisterInstancesWithLoadBalancer", on: classic, may: may("release")},
		{ask: "changes a target group", action: "elasticloadbalancing:ModifyTargetGroup", on: targets},
		{ask: "deletes a target group", action: "elasticloadbalancing:DeleteTargetGroup", on: targets},
		{ask: "deletes a classic balancer", action: "elasticloadbalancing:DeleteLoadBalancer", on: classic},
	}})

	made := target{snapshot.arn, keys{"aws:RequestTag/cordon:stack": "cordon", "aws:TagKeys": "cordon:incident,cordon:stack,cordon:instance,Name"}}
	untagged := target{snapshot.arn, keys{"aws:RequestTag/Name": "x", "aws:TagKeys": "Name"}}
	locks := func(o target, days string) target { return o.and("ec2:SnapshotLockDuration", days) }
	sections = append(sections, section{"Snapshots and volumes", []request{
		{ask: "snapshots the volumes of an instance with our tag", action: "ec2:CreateSnapshots", on: on(instance, volume, made), may: may("snapshot")},
		{ask: "snapshots the volumes of an instance without our tag", action: "ec2:CreateSnapshots", on: on(instance, volume, untagged)},
		{ask: "snapshots one volume with our tag", action: "ec2:CreateSnapshot", on: on(volume, made), may: may("snapshot")},
		{ask: "snapshots one volume without our tag", action: "ec2:CreateSnapshot", on: on(volume, untagged)},
		{ask: "tags a snapshot of one volume as it is made", action: "ec2:CreateTags", on: on(snapshot), with: asTag("cordon:incident,cordon:stack,cordon:instance,Name", "cordon").and("ec2:CreateAction", "CreateSnapshot"), may: may("snapshot")},
		{ask: "tags a snapshot as it is made", action: "ec2:CreateTags", on: on(snapshot), with: asTag("cordon:incident,cordon:stack,cordon:instance,Name", "cordon").and("ec2:CreateAction", "CreateSnapshots"), may: may("snapshot")},
		{ask: "tags a volume in the name of a snapshot", action: "ec2:CreateTags", on: on(volume), with: asTag("cordon:stack", "cordon").and("ec2:CreateAction", "CreateSnapshots")},
		{ask: "notes volume and device on a snapshot of ours", action: "ec2:CreateTags", on: on(ourSnapshot), with: asTag("cordon:volume,cordon:device", "x"), may: may("snapshot")},
		{ask: "marks a snapshot of ours as a duplicate", action: "ec2:CreateTags", on: on(ourSnapshot), with: asTag("cordon:duplicate", "snap-0def"), may: may("snapshot")},
		{ask: "gives a snapshot of ours to another incident", action: "ec2:CreateTags", on: on(ourSnapshot), with: asTag("cordon:incident", "x")},
		{ask: "gives a snapshot of ours to another stack", action: "ec2:CreateTags", on: on(ourSnapshot), with: asTag("cordon:stack", "x")},
		{ask: "tags a snapshot of ours without naming a key", action: "ec2:CreateTags", on: on(ourSnapshot)},
		{ask: "tags a snapshot that is not ours", action: "ec2:CreateTags", on: on(snapshot), with: asTag("cordon:duplicate", "x")},
		{ask: "tags a snapshot that was there, so that it seems ours", action: "ec2:CreateTags", on: on(snapshot), with: asTag("cordon:stack", "cordon")},
		{ask: "locks a snapshot of ours for the days that were set", action: "ec2:LockSnapshot", on: on(locks(ourSnapshot, "30")), may: may("snapshot")},
		{ask: "shortens the lock of a snapshot of ours", action: "ec2:LockSnapshot", on: on(locks(ourSnapshot, "29"))},
		{ask: "shortens the lock of a snapshot of ours to a day", action: "ec2:LockSnapshot", on: on(locks(ourSnapshot, "1"))},
		{ask: "locks a snapshot of ours for ever", action: "ec2:LockSnapshot", on: on(locks(ourSnapshot, "36500"))},
		{ask: "locks a snapshot of ours without saying for how long", action: "ec2:LockSnapshot", on: on(ourSnapshot)},
		{ask: "locks a snapshot that is not ours", action: "ec2:LockSnapshot", on: on(locks(snapshot, "30"))},
		{ask: "unlocks a snapshot of ours", action: "ec2:UnlockSnapshot", on: on(ourSnapshot)},
		{ask: "deletes a snapshot of ours", action: "ec2:DeleteSnapshot", on: on(ourSnapshot)},
		{ask: "shares a snapshot of ours", action: "ec2:ModifySnapshotAttribute", on: on(ourSnapshot)},
		{ask: "archives a snapshot of ours", action: "ec2:ModifySnapshotTier", on: on(ourSnapshot)},
		{ask: "makes a volume of a snapshot of ours", action: "ec2:CreateVolume", on: on(volume, ourSnapshot)},
		{ask: "deletes a volume", action: "ec2:DeleteVolume", on: on(volume)},
		{ask: "detaches a volume", action: "ec2:DetachVolume", on: on(volume, instance)},
		{ask: "reads the blocks of a snapshot", action: "ebs:GetSnapshotBlock", on: on(snapshot)},
	}})

	transfer := tagged(ourSnapshot, "cordon:transfer", "x")
	theirTransfer := tagged(tagged(snapshot, "cordon:stack", "another"), "cordon:transfer", "x")
	shared := func(o target, account string) []target { return on(o.and("ec2:Add/userId", account)) }
	volumeKey, transferKey := at("arn:aws:kms:us-east-1:111122223333"+anyKey), the("TransferKey")
	viaEC2 := keys{"kms:ViaService": "ec2.us-east-1.amazonaws.com"}
	forEC2 := viaEC2.and("kms:GrantIsForAWSResource", "true")
	copies := section{"Copies in the evidence account", []request{
		{ask: "copies a snapshot", action: "ec2:CopySnapshot", on: on(snapshot), may: may("custody")},
		{ask: "tags a copy as it is made", action: "ec2:CreateTags", on: on(snapshot), with: asTag("cordon:transfer,cordon:source,cordon:stack,Name", "cordon").and("ec2:CreateAction", "CopySnapshot"), may: may("custody")},
		{ask: "tags a copy as another stack's", action: "ec2:CreateTags", on: on(snapshot), with: asTag("cordon:transfer,cordon:stack", "another").and("ec2:CreateAction", "CopySnapshot")},
		{ask: "marks a snapshot of ours as one on its way", action: "ec2:CreateTags", on: on(ourSnapshot), with: asTag("cordon:transfer,cordon:stack", "cordon")},
		{ask: "shares a copy on its way with the evidence account", action: "ec2:ModifySnapshotAttribute", on: shared(transfer, "999988887777"), may: may("custody")},
		{ask: "shares a copy on its way with another account", action: "ec2:ModifySnapshotAttribute", on: shared(transfer, "444455556666")},
		{ask: "shares a copy on its way with everybody", action: "ec2:ModifySnapshotAttribute", on: on(transfer.and("ec2:Add/group", "all"))},
		{ask: "shares the evidence itself with the evidence account", action: "ec2:ModifySnapshotAttribute", on: shared(ourSnapshot, "999988887777")},
		{ask: "shares another stack's copy with the evidence account", action: "ec2:ModifySnapshotAttribute", on: shared(theirTransfer, "999988887777")},
		{ask: "deletes a copy that was on its way", action: "ec2:DeleteSnapshot", on: on(transfer), may: may("custody")},
		{ask: "deletes another stack's copy", action: "ec2:DeleteSnapshot", on: on(theirTransfer)},
		{ask: "grants a key to itself", action: "kms:CreateGrant", on: volumeKey, with: viaEC2},
		{ask: "grants a key to another service", action: "kms:CreateGrant", on: volumeKey, with: keys{"kms:GrantIsForAWSResource": "true", "kms:ViaService": "rds.us-east-1.amazonaws.com"}},
		{ask: "has EC2 grant itself the key of a volume", action: "kms:CreateGrant", on: volumeKey, with: forEC2, may: may("custody")},
		{ask: "has EC2 grant itself the key of copies on their way", action: "kms:CreateGrant", on: transferKey, with: forEC2, by: evidence, may: may(evidence)},
		{ask: "grants the key of copies on their way to itself", action: "kms:CreateGrant", on: transferKey, with: viaEC2, by: evidence},
		{ask: "grants the key of copies on their way to another service", action: "kms:CreateGrant", on: transferKey, with: keys{"kms:GrantIsForAWSResource": "true", "kms:ViaService": "rds.us-east-1.amazonaws.com"}, by: evidence},
		{ask: "has EC2 grant itself the key of copies on their way", action: "kms:CreateGrant", on: transferKey, with: forEC2, by: stranger},
		{ask: "administers the key of copies on their way", action: "kms:EnableKeyRotation", on: transferKey, by: administrator, may: may(administrator)},
		{ask: "administers the key of copies on their way", action: "kms:EnableKeyRotation", on: transferKey, by: stranger},
		{ask: "takes the role of the evidence account", action: "sts:AssumeRole", on: at(evidenceRole), may: may("custody")},
		{ask: "takes another role of the evidence account", action: "sts:AssumeRole", on: at(evidenceRole + "-2")},
	}}
	for _, action := range []string{"Decrypt", "DescribeKey", "GenerateDataKeyWithoutPlaintext", "ReEncryptFrom", "ReEncryptTo"} {
		copies.all = append(copies.all,
			request{ask: "has EC2 use the key of a volume (" + action + ")", action: "kms:" + action, on: volumeKey, with: viaEC2, may: may("custody")},
			request{ask: "has another service use the key of a volume (" + action + ")", action: "kms:" + action, on: volumeKey, with: keys{"kms:ViaService": "rds.us-east-1.amazonaws.com"}},
			request{ask: "uses the key of a volume itself (" + action + ")", action: "kms:" + action, on: volumeKey},
			request{ask: "has EC2 use the key of copies on their way (" + action + ")", action: "kms:" + action, on: transferKey, with: viaEC2, by: evidence, may: may(evidence)},
			request{ask: "uses the key of copies on their way itself (" + action + ")", action: "kms:" + action, on: transferKey, by: evidence},
			request{ask: "has EC2 use the key of copies on their way (" + action + ")", action: "kms:" + action, on: transferKey, with: viaEC2, by: stranger},
		)
	}
	sections = append(sections, copies)

	lock := func(mode string) keys { return keys{"s3:object-lock-mode": mode} }
	entry := at(bucket + "/incidents/x/journal/000001.json")
	image, event, tool := at(bucket+"/incidents/x/memory/image.lime"), at(bucket+"/events/2026/x.json"), at(bucket+"/tools/avml")
	s3s := section{"The evidence bucket", []request{
		{ask: "keeps a raw event", action: "s3:PutObject", on: event, may: may("enrich")},
		{ask: "writes below an incident's `memory/`", action: "s3:PutObject", on: image, may: may("memory")},
		{ask: "replaces the memory tool", action: "s3:PutObject", on: tool},
		{ask: "writes elsewhere in the bucket", action: "s3:PutObject", on: at(bucket + "/x")},
		{ask: "reads an image", action: "s3:GetObject", on: image, may: may("digest", "memory")},
		{ask: "reads what is beside an image", action: "s3:GetObject", on: at(bucket + "/incidents/x/memory/batch-000001"), may: may("memory")},
		{ask: "reads the memory tool", action: "s3:GetObject", on: tool, may: may("memory")},
		{ask: "reads a raw event", action: "s3:GetObject", on: event, may: may("close")},
		{ask: "reads the list of an image's parts", action: "s3:GetObject", on: at(bucket + "/incidents/x/memory/parts.json"), may: may("close", "memory")},
		{ask: "writes an entry of a journal", action: "s3:PutObject", on: entry, may: may("journal"), never: everyone(p, "journal")},
		{ask: "keeps what Lambda gave up of a journal", action: "s3:PutObject", on: at(bucket + "/aws/lambda/x/shard/2026/01/01/x"), may: may("journal"), never: everyone(p, "journal")},
		{ask: "reads an entry of a journal", action: "s3:GetObject", on: entry, may: may("close", "journal")},
		{ask: "locks an entry in governance mode", action: "s3:PutObjectRetention", on: entry, with: lock("GOVERNANCE"), may: may("journal")},
		{ask: "locks an entry so that nobody can undo it", action: "s3:PutObjectRetention", on: entry, with: lock("COMPLIANCE")},
		{ask: "deletes an entry of a journal", action: "s3:DeleteObject", on: entry, never: everyone(p)},
		{ask: "lists a journal", action: "s3:ListBucket", on: at(bucket), with: keys{"s3:prefix": "incidents/x/journal/"}, may: may("close", "console", "journal", "memory")},
		{ask: "reads the text of a host without an image", action: "s3:GetObject", on: at(bucket + "/incidents/x/memory/triage.txt"), may: may("close", "memory")},
		{ask: "keeps the console of an instance", action: "s3:PutObject", on: at(bucket + "/incidents/x/console/output.txt"), may: may("console")},
		{ask: "reads the console that was kept", action: "s3:GetObject", on: at(bucket + "/incidents/x/console/output.txt"), may: may("close", "console")},
		{ask: "locks an event in governance mode", action: "s3:PutObjectRetention", on: event, with: lock("GOVERNANCE"), may: may("enrich")},
		{ask: "locks an event so that nobody can undo it", action: "s3:PutObjectRetention", on: event, with: lock("COMPLIANCE")},
		{ask: "locks the console in governance mode", action: "s3:PutObjectRetention", on: at(bucket + "/incidents/x/console/output.txt"), with: lock("GOVERNANCE"), may: may("console")},
		{ask: "locks the console so that nobody can undo it", action: "s3:PutObjectRetention", on: at(bucket + "/incidents/x/console/output.txt"), with: lock("COMPLIANCE")},
		{ask: "reads a manifest", action: "s3:GetObject", on: at(bucket + "/incidents/x/manifests/y.json"), may: may("close")},
		{ask: "writes a report", action: "s3:PutObject", on: at(bucket + "/incidents/x/reports/y.html"), may: may("close")},
		{ask: "reads a report", action: "s3:GetObject", on: at(bucket + "/incidents/x/reports/y.html"), may: may("close")},
		{ask: "locks a report in governance mode", action: "s3:PutObjectRetention", on: at(bucket + "/incidents/x/reports/y.html"), with: lock("GOVERNANCE"), may: may("close")},
		{ask: "writes a manifest", action: "s3:PutObject", on: at(bucket + "/incidents/x/manifests/y.json"), may: may("close")},
		{ask: "locks a manifest in governance mode", action: "s3:PutObjectRetention", on: at(bucket + "/incidents/x/manifests/y.json"), with: lock("GOVERNANCE"), may: may("close")},
		{ask: "locks a manifest so that nobody can undo it", action: "s3:PutObjectRetention", on: at(bucket + "/incidents/x/manifests/y.json"), with: lock("COMPLIANCE")},
		{ask: "lists the bucket", action: "s3:ListBucket", on: at(bucket), may: may("close", "console", "journal", "memory")},
		{ask: "lists uploads", action: "s3:ListBucketMultipartUploads", on: at(bucket), may: may("memory")},
		{ask: "lists the parts of an upload", action: "s3:ListMultipartUploadParts", on: image, may: may("memory")},
		{ask: "gives an upload up", action: "s3:AbortMultipartUpload", on: image, may: may("memory")},
		{ask: "sets retention in governance mode", action: "s3:PutObjectRetention", on: image, with: lock("GOVERNANCE"), may: may("memory")},
		{ask: "sets retention that nobody can undo", action: "s3:PutObjectRetention", on: image, with: lock("COMPLIANCE")},
		{ask: "takes retention away by naming no mode", action: "s3:PutObjectRetention", on: image},
		{ask: "shortens retention", action: "s3:BypassGovernanceRetention", on: image, never: everyone(p)},
		{ask: "deletes an object", action: "s3:DeleteObject", on: image, never: everyone(p)},
		{ask: "deletes a version", action: "s3:DeleteObjectVersion", on: event, never: everyone(p)},
		{ask: "keeps a raw event without TLS", action: "s3:PutObject", on: event, with: plain, never: everyone(p)},
		{ask: "reads an image without TLS", action: "s3:GetObject", on: image, with: plain, never: everyone(p)},
		{ask: "lists the bucket without TLS", action: "s3:ListBucket", on: at(bucket), with: plain, never: everyone(p)},
	}}
	for _, r := range slices.Clone(s3s.all) {
		for _, who := range []string{administrator, stranger} {
			if len(r.never) > 0 {
				s3s.all = append(s3s.all, request{ask: r.ask, action: r.action, on: r.on, with: r.with, by: who, never: may(who)})
			}
		}
	}
	s3s.all = append(s3s.all,
		request{ask: "reads an image", action: "s3:GetObject", on: image, by: administrator, may: may(administrator)},
		request{ask: "reads an image", action: "s3:GetObject", on: image, by: stranger},
		request{ask: "keeps a raw event", action: "s3:PutObject", on: event, by: stranger},
		request{ask: "writes an access log", action: "s3:PutObject", on: event, by: "logging.s3.amazonaws.com"},
	)
	sections = append(sections, s3s)

	wrote := everyone(p, "approval", "audience", "journal", "notify", "decide", "machine", "rule")
	record := section{"The record", []request{
		{ask: "reads an incident", action: "dynamodb:GetItem", on: table, with: head, may: everyone(p, "audience", "close", "decide", "exposure", "journal", "machine", "rule")},
		{ask: "lists an incident", action: "dynamodb:Query", on: table, with: head, may: may("close", "credentials", "decide", "enrich", "isolate", "preserve", "release")},
		{ask: "writes an incident", action: "dynamodb:PutItem", on: table, with: head, may: everyone(p, "audience", "authorize", "close", "decide", "journal", "notify", "machine", "rule")},
		{ask: "changes an incident", action: "dynamodb:UpdateItem", on: table, with: head, may: may("approval", "authorize", "close", "enrich")},
		{ask: "reads a request for a decision", action: "dynamodb:GetItem", on: table, with: ask, may: everyone(p, "audience", "notify", "close", "decide", "exposure", "journal", "machine", "rule"), never: may("notify")},
		{ask: "lists the requests for a decision", action: "dynamodb:Query", on: table, with: ask, may: may("close", "credentials", "decide", "enrich", "isolate", "preserve", "release")},
		{ask: "makes a request for a decision", action: "dynamodb:PutItem", on: table, with: ask, may: may("approval"), never: slices.DeleteFunc(slices.Clone(wrote), func(r string) bool { return r == "authorize" || r == "close" })},
		{ask: "changes a request for a decision", action: "dynamodb:UpdateItem", on: table, with: ask, may: may("approval"), never: may("authorize", "close", "enrich")},
		{ask: "hides a request among other writes of a transaction", action: "dynamodb:PutItem", on: table, with: keys{"dynamodb:LeadingKeys": "111122223333.us-east-1.i-0abc,request#111122223333.us-east-1.i-0abc.1"}, may: may("approval"), never: may("console", "credentials", "custody", "enrich", "isolate", "memory", "preserve", "release", "snapshot", "terminate")},
		{ask: "records a decision", action: "dynamodb:PutItem", on: decisions, with: head, may: may("decide")},
		{ask: "reads a decision", action: "dynamodb:GetItem", on: decisions, with: head, may: may("approval", "authorize", "credentials", "release", "terminate")},
		{ask: "lists decisions", action: "dynamodb:Query", on: decisions, with: head, may: may("close")},
		{ask: "changes a decision", action: "dynamodb:UpdateItem", on: decisions, with: head},
	}}
	for _, t := range []struct {
		name string
		on   []target
	}{{"the incidents table", table}, {"the decisions table", decisions}} {
		for _, a := range [][2]string{
			{"deletes an item of", "DeleteItem"},
			{"writes in batches to", "BatchWriteItem"},
			{"reads in batches from", "BatchGetItem"},
			{"reads all of", "Scan"},
			{"inserts with PartiQL into", "PartiQLInsert"},
			{"updates with PartiQL", "PartiQLUpdate"},
			{"deletes with PartiQL from", "PartiQLDelete"},
			{"selects with PartiQL from", "PartiQLSelect"},
			{"deletes", "DeleteTable"},
			{"changes", "UpdateTable"},
			{"lets items expire in", "UpdateTimeToLive"},
			{"gives a policy to", "PutResourcePolicy"},
			{"switches off the backups of", "UpdateContinuousBackups"},
			{"exports", "ExportTableToPointInTime"},
		} {
			record.all = append(record.all, request{ask: a[0] + " " + t.name, action: "dynamodb:" + a[1], on: t.on})
		}
	}
	sections = append(sections, record)

	for _, t := range []struct {
		name, id string
	}{{"the incidents table", "IncidentsTable"}, {"the decisions table", "DecisionsTable"}} {
		for _, a := range [][2]string{{"sees the stream of", "DescribeStream"}, {"reads the changes of", "GetRecords"}, {"begins to read the changes of", "GetShardIterator"}} {
			r, ok := d.Resource(t.id)
			if !ok {
				panic("the template has no " + t.id)
			}
			sections[len(sections)-1].all = append(sections[len(sections)-1].all, request{ask: a[0] + " " + t.name, action: "dynamodb:" + a[1], on: at(r.Attributes["StreamArn"]), may: may("journal")})
		}
	}
	sections[len(sections)-1].all = append(sections[len(sections)-1].all, request{ask: "lists streams", action: "dynamodb:ListStreams", may: may("journal")})

	purpose := func(p string) keys { return keys{"kms:EncryptionContext:purpose": p} }
	dataKey, macKey, signingKey := the("DataKey"), the("MacKey"), the("SigningKey")
	seals := section{"Keys, links and seals", []request{
		{ask: "seals a decision", action: "kms:GenerateMac", on: macKey, may: may("decide"), never: everyone(p, "decide")},
		{ask: "seals a decision", action: "kms:GenerateMac", on: macKey, by: administrator, never: may(administrator)},
		{ask: "verifies a seal", action: "kms:VerifyMac", on: macKey, may: may("authorize", "credentials", "release", "terminate")},
		{ask: "signs a manifest", action: "kms:Sign", on: signingKey, may: may("close"), never: everyone(p, "close")},
		{ask: "signs a manifest", action: "kms:Sign", on: signingKey, by: administrator, never: may(administrator)},
		{ask: "signs a manifest", action: "kms:Sign", on: signingKey, by: stranger, never: may(stranger)},
		{ask: "reads the public key of the manifests", action: "kms:GetPublicKey", on: signingKey, may: may("close")},
		{ask: "administers the key of the manifests", action: "kms:GetPublicKey", on: signingKey, by: administrator, may: may(administrator)},
		{ask: "encrypts a link", action: "kms:Encrypt", on: dataKey, with: purpose("link"), may: may("approval")},
		{ask: "encrypts a task token", action: "kms:Encrypt", on: dataKey, with: purpose("token"), may: may("approval")},
		{ask: "encrypts anything else", action: "kms:Encrypt", on: dataKey, with: purpose("another")},
		{ask: "encrypts without a purpose", action: "kms:Encrypt", on: dataKey},
		{ask: "reads a link", action: "kms:Decrypt", on: dataKey, with: purpose("link"), may: may("approval")},
		{ask: "reads a task token", action: "kms:Decrypt", on: dataKey, with: purpose("token"), may: may("decide")},
		{ask: "reads what was encrypted without a purpose", action: "kms:Decrypt", on: dataKey},
		{ask: "administers the key of the seals", action: "kms:EnableKeyRotation", on: macKey, by: administrator, may: may(administrator)},
		{ask: "administers the key of the links", action: "kms:DescribeKey", on: dataKey, by: administrator, may: may(administrator)},
		{ask: "uses the key of the links", action: "kms:Decrypt", on: dataKey, with: purpose("link"), by: stranger},
		{ask: "verifies a seal", action: "kms:VerifyMac", on: macKey, by: stranger},
		{ask: "seals a decision", action: "kms:GenerateMac", on: macKey, by: stranger, never: may(stranger)},
	}}
	for _, a := range [][2]string{
		{"disables", "DisableKey"}, {"schedules the deletion of", "ScheduleKeyDeletion"}, {"changes the policy of", "PutKeyPolicy"}, {"hands out", "CreateGrant"}, {"stops the rotation of", "DisableKeyRotation"},
	} {
		seals.all = append(seals.all,
			request{ask: a[0] + " the key of the seals", action: "kms:" + a[1], on: macKey},
			request{ask: a[0] + " the key of the links", action: "kms:" + a[1], on: dataKey},
			request{ask: a[0] + " the key of the manifests", action: "kms:" + a[1], on: signingKey})
	}
	seals.all = append(seals.all, request{ask: "makes a data key", action: "kms:GenerateDataKey", on: dataKey}, request{ask: "encrypts anew what was encrypted", action: "kms:ReEncryptFrom", on: dataKey})
	sections = append(sections, seals)

	machine := the("IncidentResponse")
	invokes := section{"The machine and the functions", []request{
		{ask: "starts this machine", action: "states:StartExecution", on: machine, may: may("rule")},
		{ask: "starts another machine", action: "states:StartExecution", on: at(fmt.Sprintf(another, "states", "stateMachine:another"))},
		{ask: "answers a waiting task", action: "states:SendTaskSuccess", may: may("approval", "decide")},
		{ask: "fails a waiting task", action: "states:SendTaskFailure"},
		{ask: "keeps a waiting task alive", action: "states:SendTaskHeartbeat"},
		{ask: "looks whether an execution of this machine runs", action: "states:DescribeExecution", on: at(execution), may: may("enrich")},
		{ask: "looks at an execution of another machine", action: "states:DescribeExecution", on: at(fmt.Sprintf(another, "states", "execution:another:0f7a"))},
		{ask: "reads the history of an execution", action: "states:GetExecutionHistory", on: at(execution)},
		{ask: "stops an execution", action: "states:StopExecution", on: at(execution)},
		{ask: "changes this machine", action: "states:UpdateStateMachine", on: machine},
		{ask: "deletes this machine", action: "states:DeleteStateMachine", on: machine},
		{ask: "invokes another function of the account", action: "lambda:InvokeFunction", on: at(fmt.Sprintf(another, "lambda", "function:another"))},
		{ask: "invokes `notify`", action: "lambda:InvokeFunction", on: the("NotifyFunction"), with: from(arn("OtherFindingRule")), by: "events.amazonaws.com", may: may("events.amazonaws.com")},
		{ask: "invokes `notify` for the rule on our own failures", action: "lambda:InvokeFunction", on: the("NotifyFunction"), with: from(arn("OwnFailureRule")), by: "events.amazonaws.com", may: may("events.amazonaws.com")},
		{ask: "invokes `notify` for the rule on the pause switch", action: "lambda:InvokeFunction", on: the("NotifyFunction"), with: from(arn("PauseRule")), by: "events.amazonaws.com", may: may("events.amazonaws.com")},
		{ask: "invokes `notify` for the rule on the pause switch", action: "lambda:InvokeFunction", on: the("NotifyFunction"), with: from(arn("PauseRule")), by: "sns.amazonaws.com"},
		{ask: "invokes `notify` for the rule that starts the machine", action: "lambda:InvokeFunction", on: the("NotifyFunction"), with: from(arn("FindingRule")), by: "events.amazonaws.com"},
		{ask: "invokes `notify` for a rule of another account", action: "lambda:InvokeFunction", on: the("NotifyFunction"), with: keys{"aws:SourceArn": "arn:aws:events:us-east-1:444455556666:rule/x", "aws:SourceAccount": "444455556666"}, by: "events.amazonaws.com"},
		{ask: "invokes `notify` without saying for whom", action: "lambda:InvokeFunction", on: the("NotifyFunction"), by: "events.amazonaws.com"},
		{ask: "invokes `notify`", action: "lambda:InvokeFunction", on: the("NotifyFunction"), with: from(arn("OtherFindingRule")), by: "sns.amazonaws.com"},
		{ask: "invokes `notify` for the rule on our own failures", action: "lambda:InvokeFunction", on: the("NotifyFunction"), with: from(arn("OwnFailureRule")), by: "sns.amazonaws.com"},
		{ask: "invokes `audience` on schedule", action: "lambda:InvokeFunction", on: the("AudienceFunction"), with: from(arn("AudienceRule")), by: "events.amazonaws.com", may: may("events.amazonaws.com")},
		{ask: "invokes `audience` on schedule", action: "lambda:InvokeFunction", on: the("AudienceFunction"), with: from(arn("AudienceRule")), by: "sns.amazonaws.com"},
		{ask: "invokes `audience` for another rule", action: "lambda:InvokeFunction", on: the("AudienceFunction"), with: from(arn("OtherFindingRule")), by: "events.amazonaws.com"},
		{ask: "invokes `decide`", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: from(arn("OtherFindingRule")), by: "events.amazonaws.com"},
	}}
	api, _ := d.Resource("DecisionApi")
	route := func(id, method, path string) keys {
		return from("arn:aws:execute-api:us-east-1:111122223333:" + id + "/$default/" + method + path)
	}
	for _, method := range []string{"GET", "HEAD", "POST"} {
		invokes.all = append(invokes.all, request{ask: "invokes `decide` for a " + method + " of the page", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: route(api.Name, method, "/d/x/y"), by: "apigateway.amazonaws.com", may: may("apigateway.amazonaws.com")},
			request{ask: "invokes `decide` for a " + method + " of the page", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: route(api.Name, method, "/d/x/y"), by: "events.amazonaws.com"})
	}
	invokes.all = append(invokes.all,
		request{ask: "invokes `decide` for a POST of an operator", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: route(api.Name, "POST", "/operator/x"), by: "apigateway.amazonaws.com", may: may("apigateway.amazonaws.com")},
		request{ask: "invokes `decide` for a POST of an operator", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: route(api.Name, "POST", "/operator/x"), by: "events.amazonaws.com"},
		request{ask: "invokes `decide` for a GET of an operator", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: route(api.Name, "GET", "/operator/x"), by: "apigateway.amazonaws.com"},
		request{ask: "invokes `decide` for another path", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: route(api.Name, "GET", "/x"), by: "apigateway.amazonaws.com"},
		// One permission for all methods: the API has routes for three, and decide refuses the rest.
		request{ask: "invokes `decide` for a method that has no route", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: route(api.Name, "DELETE", "/d/x/y"), by: "apigateway.amazonaws.com", may: may("apigateway.amazonaws.com")},
		request{ask: "invokes `decide` for another API", action: "lambda:InvokeFunction", on: the("DecideFunction"), with: route("another", "POST", "/d/x/y"), by: "apigateway.amazonaws.com"},
		request{ask: "invokes `terminate` for a page", action: "lambda:InvokeFunction", on: the("TerminateFunction"), with: route(api.Name, "POST", "/d/x/y"), by: "apigateway.amazonaws.com"},
	)
	logs := section{"Logs", nil}
	for _, f := range d.Functions() {
		name := functionName(f.LogicalID)
		r := request{ask: "invokes `" + name + "`", action: "lambda:InvokeFunction", on: the(f.LogicalID), may: may("machine")}
		if name == page || name == "journal" || name == "audience" { // which Lambda itself invokes, for the streams, and a schedule
			r.may = nil
		}
		invokes.all = append(invokes.all, r)
		for _, a := range []string{"CreateLogStream", "PutLogEvents"} {
			group := strings.TrimSuffix(arn(strings.TrimSuffix(f.LogicalID, "Function")+"Logs"), ":*")
			logs.all = append(logs.all, request{ask: map[string]string{"CreateLogStream": "begins", "PutLogEvents": "writes"}[a] + " the log of `" + name + "`", action: "logs:" + a, on: at(group + ":log-stream:x"), may: may(name)})
		}
	}
	for _, a := range [][2]string{
		{"changes the code of", "UpdateFunctionCode"}, {"changes the settings of", "UpdateFunctionConfiguration"}, {"lets others invoke", "AddPermission"}, {"deletes", "DeleteFunction"}, {"publishes an address for", "CreateFunctionUrlConfig"},
	} {
		for _, f := range []string{"DecideFunction", "TerminateFunction"} {
			invokes.all = append(invokes.all, request{ask: a[0] + " `" + functionName(f) + "`", action: "lambda:" + a[1], on: the(f)})
		}
	}
	sections = append(sections, invokes)

	trust := section{"Roles", nil}
	for _, r := range p.roles {
		short := shortRole(r)
		service := map[string]string{"machine": "states.amazonaws.com", "rule": "events.amazonaws.com"}[short]
		if service == "" {
			service = "lambda.amazonaws.com"
		}
		mine, theirs := from("arn:aws:lambda:us-east-1:111122223333:function:x"), keys{"aws:SourceAccount": "444455556666"}
		if short == "machine" {
			mine = from(arn("IncidentResponse"))
		}
		trust.all = append(trust.all, request{ask: "takes the role of `" + short + "`", action: "sts:AssumeRole", on: the(r), with: mine, by: service, may: may(service)})
		for _, other := range []string{"lambda.amazonaws.com", "states.amazonaws.com", "events.amazonaws.com", "ec2.amazonaws.com"} {
			if other != service {
				trust.all = append(trust.all, request{ask: "takes the role of `" + short + "`", action: "sts:AssumeRole", on: the(r), with: mine, by: other})
			}
		}
		if short == "machine" || short == "rule" {
			trust.all = append(trust.all,
				request{ask: "takes the role of `" + short + "` for another account", action: "sts:AssumeRole", on: the(r), with: theirs, by: service},
				request{ask: "takes the role of `" + short + "` without saying for whom", action: "sts:AssumeRole", on: the(r), by: service})
		}
		if short == "machine" {
			trust.all = append(trust.all,
				request{ask: "takes the role of `machine` for another machine", action: "sts:AssumeRole", on: the(r), with: from(fmt.Sprintf(another, "states", "stateMachine:another")), by: service},
				request{ask: "takes the role of `machine` for an account that does not fit", action: "sts:AssumeRole", on: the(r), with: mine.and("aws:SourceAccount", "444455556666"), by: service})
		}
		trust.all = append(trust.all,
			request{ask: "takes the role of `" + short + "`", action: "sts:AssumeRole", on: the(r)},
			request{ask: "takes the role of `" + short + "`", action: "sts:AssumeRole", on: the(r), by: administrator},
			request{ask: "takes the role of `" + short + "`", action: "sts:AssumeRole", on: the(r), by: stranger})
	}
	trust.all = append(trust.all,
		request{ask: "takes a role that trusts all of this account", action: "sts:AssumeRole", on: at("arn:aws:iam::111122223333:role/another")})
	for _, a := range [][2]string{
		{"hands a role to a service", "PassRole"},
		{"writes a policy into a role", "PutRolePolicy"},
		{"attaches a policy to a role", "AttachRolePolicy"},
		{"takes a policy out of a role", "DeleteRolePolicy"},
		{"changes who may take a role", "UpdateAssumeRolePolicy"},
		{"makes a role", "CreateRole"},
		{"tags a role", "TagRole"},
		{"lifts the boundary of a role", "DeleteRolePermissionsBoundary"},
		{"deletes a role", "DeleteRole"},
	} {
		trust.all = append(trust.all, request{ask: a[0], action: "iam:" + a[1], on: the("TerminateRole")})
	}
	sections = append(sections, trust)

	// Off, as it is unless somebody names roles: the one that it may change is one that nobody has.
	off, theirs := at("arn:aws:iam::111122223333:role/switched-off/none"), at("arn:aws:iam::111122223333:role/another")
	sections = append(sections, section{"Credentials of instances", []request{
		{ask: "looks up the role of an instance", action: "iam:GetInstanceProfile", on: at("arn:aws:iam::111122223333:instance-profile/web"), may: may("credentials")},
		{ask: "writes a policy of a role that `CredentialRoles` names", action: "iam:PutRolePolicy", on: off, may: may("credentials")},
		{ask: "reads a policy of a role that `CredentialRoles` names", action: "iam:GetRolePolicy", on: off, may: may("credentials")},
		{ask: "deletes a policy of a role that `CredentialRoles` names", action: "iam:DeleteRolePolicy", on: off, may: may("credentials")},
		{ask: "writes a policy of another role", action: "iam:PutRolePolicy", on: theirs},
		{ask: "deletes a policy of another role", action: "iam:DeleteRolePolicy", on: theirs},
		{ask: "writes a policy of a role of this stack", action: "iam:PutRolePolicy", on: at("arn:aws:iam::111122223333:role/cordon-TerminateRole-1A"), never: may("credentials")},
		{ask: "deletes a policy of a role of this stack", action: "iam:DeleteRolePolicy", on: at("arn:aws:iam::111122223333:role/cordon-TerminateRole-1A"), never: may("credentials")},
		// IAM itself refuses this to everybody, before it comes to our explicit deny.
		{ask: "writes a policy of a role of AWS's", action: "iam:PutRolePolicy", on: at("arn:aws:iam::111122223333:role/aws-reserved/sso.amazonaws.com/admin")},
		{ask: "writes a policy of a service's role", action: "iam:PutRolePolicy", on: at("arn:aws:iam::111122223333:role/aws-service-role/ec2.amazonaws.com/x"), never: may("credentials")},
	}})

	topic, others, queue := the("Topic"), the("EscalationTopic"), the("DeadLetters")
	alarm := arn("DeadLettersAlarm")
	people := section{"People and letters that were not delivered", []request{
		{ask: "mails people", action: "sns:Publish", on: topic, may: may("approval", "close", "drift", "notify")},
		{ask: "tells others that nobody decides", action: "sns:Publish", on: others, may: may("approval")},
		{ask: "tells others without TLS", action: "sns:Publish", on: others, with: plain, never: everyone(p)},
		{ask: "tells others for an alarm of this account", action: "sns:Publish", on: others, with: from(fmt.Sprintf(another, "cloudwatch", "alarm:another")), by: "cloudwatch.amazonaws.com"},
		{ask: "tells others for our alarm and an account that does not fit", action: "sns:Publish", on: others, with: from(alarm).and("aws:SourceAccount", "444455556666"), by: "cloudwatch.amazonaws.com"},
		{ask: "tells others", action: "sns:Publish", on: others, with: from(alarm), by: "events.amazonaws.com"},
		{ask: "tells others", action: "sns:Publish", on: others, by: stranger},
		{ask: "subscribes somebody to what others are told", action: "sns:Subscribe", on: others},
		{ask: "sees who is subscribed", action: "sns:ListSubscriptionsByTopic", on: topic, may: may("audience")},
		{ask: "sees who is subscribed to what others are told", action: "sns:ListSubscriptionsByTopic", on: others, may: may("audience")},
		{ask: "sees who is subscribed to another topic", action: "sns:ListSubscriptionsByTopic", on: at(fmt.Sprintf(another, "sns", "another"))},
		{ask: "confirms a subscription", action: "sns:ConfirmSubscription", on: topic},
		{ask: "ends a subscription", action: "sns:Unsubscribe", on: topic},
		{ask: "mails people without TLS", action: "sns:Publish", on: topic, with: plain, never: everyone(p)},
		{ask: "mails people without TLS", action: "sns:Publish", on: topic, with: plain, by: administrator, never: may(administrator)},
		{ask: "publishes to another topic", action: "sns:Publish", on: at(fmt.Sprintf(another, "sns", "another"))},
		{ask: "subscribes somebody", action: "sns:Subscribe", on: topic},
		{ask: "changes the topic's policy", action: "sns:SetTopicAttributes", on: topic},
		{ask: "deletes the topic", action: "sns:DeleteTopic", on: topic},
		{ask: "mails people for another alarm", action: "sns:Publish", on: topic, with: from(fmt.Sprintf(another, "cloudwatch", "alarm:another")), by: "cloudwatch.amazonaws.com"},
		{ask: "mails people for another account", action: "sns:Publish", on: topic, with: keys{"aws:SourceArn": strings.Replace(alarm, "111122223333", "444455556666", 1), "aws:SourceAccount": "444455556666"}, by: "cloudwatch.amazonaws.com"},
		{ask: "mails people for our alarm and an account that does not fit", action: "sns:Publish", on: topic, with: from(alarm).and("aws:SourceAccount", "444455556666"), by: "cloudwatch.amazonaws.com"},
		{ask: "mails people without saying for whom", action: "sns:Publish", on: topic, by: "cloudwatch.amazonaws.com"},
		{ask: "mails people", action: "sns:Publish", on: topic, with: from(alarm), by: "events.amazonaws.com"},
		{ask: "mails people", action: "sns:Publish", on: topic, by: stranger},
		{ask: "keeps what could not be told", action: "sqs:SendMessage", on: queue, may: may("notify")},
		{ask: "keeps what could not be told without TLS", action: "sqs:SendMessage", on: queue, with: plain, never: everyone(p)},
		{ask: "sends to another queue", action: "sqs:SendMessage", on: at(fmt.Sprintf(another, "sqs", "another"))},
		{ask: "reads letters", action: "sqs:ReceiveMessage", on: queue},
		{ask: "deletes letters", action: "sqs:DeleteMessage", on: queue},
		{ask: "empties the queue", action: "sqs:PurgeQueue", on: queue},
		{ask: "changes the queue's policy", action: "sqs:SetQueueAttributes", on: queue},
		{ask: "keeps a finding for another rule", action: "sqs:SendMessage", on: queue, with: from(fmt.Sprintf(another, "events", "rule/another")), by: "events.amazonaws.com"},
		{ask: "keeps a finding for another account", action: "sqs:SendMessage", on: queue, with: keys{"aws:SourceArn": "arn:aws:events:us-east-1:444455556666:rule/x", "aws:SourceAccount": "444455556666"}, by: "events.amazonaws.com"},
		{ask: "keeps a finding without saying for whom", action: "sqs:SendMessage", on: queue, by: "events.amazonaws.com"},
		{ask: "keeps a letter", action: "sqs:SendMessage", on: queue, with: from(arn("FindingRule")), by: "sns.amazonaws.com"},
		{ask: "sends a letter", action: "sqs:SendMessage", on: queue, by: stranger},
		{ask: "reads letters", action: "sqs:ReceiveMessage", on: queue, by: administrator, may: may(administrator)},
	}}
	for _, a := range alarms(d) {
		tells := request{ask: "tells others for `" + a.LogicalID + "`", action: "sns:Publish", on: others, with: from(a.ARN()), by: "cloudwatch.amazonaws.com"}
		if slices.Contains(untold, a.LogicalID) {
			tells.may = may("cloudwatch.amazonaws.com")
		}
		people.all = append(people.all, tells,
			request{ask: "mails people for `" + a.LogicalID + "`", action: "sns:Publish", on: topic, with: from(a.ARN()), by: "cloudwatch.amazonaws.com", may: may("cloudwatch.amazonaws.com")})
	}
	for _, r := range d.Rules() {
		if r.Schedule != "" {
			continue // a look that does not take place is told by its alarm
		}
		people.all = append(people.all, request{ask: "keeps a finding that `" + r.LogicalID + "` could not deliver", action: "sqs:SendMessage", on: queue, with: from(r.ARN), by: "events.amazonaws.com", may: may("events.amazonaws.com")})
	}
	sections = append(sections, people)

	sections = append(sections, section{"Commands on instances", []request{
		{ask: "runs our document on an instance", action: "ssm:SendCommand", on: on(memoryDocument, instance), may: may("memory")},
		{ask: "runs our document for Windows on an instance", action: "ssm:SendCommand", on: on(windowsDocument, instance), may: may("memory")},
		{ask: "runs another document on an instance", action: "ssm:SendCommand", on: on(target{arn: fmt.Sprintf(another, "ssm", "document/another")}, instance)},
		{ask: "runs a document of AWS on an instance", action: "ssm:SendCommand", on: on(target{arn: "arn:aws:ssm:us-east-1::document/AWS-RunShellScript"}, instance)},
		{ask: "runs our document on an instance of another account", action: "ssm:SendCommand", on: on(memoryDocument, target{arn: "arn:aws:ec2:us-east-1:444455556666:instance/i-0abc"})},
		{ask: "runs our document on a machine outside EC2", action: "ssm:SendCommand", on: on(memoryDocument, target{arn: fmt.Sprintf(another, "ssm", "managed-instance/mi-0abc")})},
		{ask: "writes the output of a command into a bucket of its choice", action: "ssm:SendCommand", on: on(memoryDocument, instance, target{arn: "arn:aws:s3:::another"})},
		{ask: "ends a command", action: "ssm:CancelCommand", may: may("memory")},
		{ask: "opens a shell", action: "ssm:StartSession", on: on(instance)},
		{ask: "starts an automation", action: "ssm:StartAutomationExecution", on: at(fmt.Sprintf(another, "ssm", "automation-definition/x:1"))},
		{ask: "changes our document", action: "ssm:UpdateDocument", on: on(memoryDocument)},
		{ask: "changes our document for Windows", action: "ssm:UpdateDocument", on: on(windowsDocument)},
		{ask: "makes another version of our document the default", action: "ssm:UpdateDocumentDefaultVersion", on: on(memoryDocument)},
		{ask: "shares our document", action: "ssm:ModifyDocumentPermission", on: on(memoryDocument)},
		{ask: "reads the pause switch", action: "ssm:GetParameter", on: at("arn:aws:ssm:us-east-1:111122223333:parameter/cordon/pause"), may: may("enrich")},
		{ask: "writes the pause switch", action: "ssm:PutParameter", on: at("arn:aws:ssm:us-east-1:111122223333:parameter/cordon/pause")},
		{ask: "reads a parameter", action: "ssm:GetParameter", on: at(fmt.Sprintf(another, "ssm", "parameter/x"))},
	}})

	for _, a := range []string{"CreateLogDelivery", "DeleteLogDelivery", "DescribeLogGroups", "DescribeResourcePolicies", "GetLogDelivery", "ListLogDeliveries", "PutResourcePolicy", "UpdateLogDelivery"} {
		r := request{ask: "delivers the machine's log (`" + a + "`)", action: "logs:" + a, may: may("machine")}
		logs.all = append(logs.all, r)
	}
	decideLog := strings.TrimSuffix(arn("DecideLogs"), ":*")
	logs.all = append(logs.all,
		request{ask: "deletes a log", action: "logs:DeleteLogGroup", on: at(decideLog)},
		request{ask: "deletes a stream of a log", action: "logs:DeleteLogStream", on: at(decideLog + ":log-stream:x")},
		request{ask: "reads a log", action: "logs:GetLogEvents", on: at(decideLog + ":log-stream:x")},
		request{ask: "keeps a log for a shorter time", action: "logs:PutRetentionPolicy", on: at(decideLog)},
	)
	sections = append(sections, logs)

	reads := section{"Reading", nil}
	for _, r := range []struct {
		what, action string
		may          []string
	}{
		{"instances", "ec2:DescribeInstances", everyone(p, "approval", "audience", "close", "console", "custody", "decide", "digest", "drift", "exposure", "isolate", "journal", "notify", "machine", "rule")},
		{"interfaces", "ec2:DescribeNetworkInterfaces", may("enrich", "exposure", "isolate", "release", "terminate")},
		{"groups", "ec2:DescribeSecurityGroups", may("isolate", "release", "terminate")},
		{"rules of groups", "ec2:DescribeSecurityGroupRules", may("enrich", "isolate")},
		{"endpoints", "ec2:DescribeVpcEndpoints", may("enrich")},
		{"route tables", "ec2:DescribeRouteTables", may("enrich", "exposure")},
		{"prefix lists", "ec2:DescribePrefixLists", may("enrich")},
		{"instance types", "ec2:DescribeInstanceTypes", may("memory", "snapshot")},
		{"volumes", "ec2:DescribeVolumes", may("snapshot")},
		{"snapshots", "ec2:DescribeSnapshots", may("custody", "snapshot", "terminate")},
		{"locked snapshots", "ec2:DescribeLockedSnapshots", may("snapshot")},
		{"instances with an agent", "ssm:DescribeInstanceInformation", may("memory")},
		{"open sessions", "ssm:DescribeSessions", may("exposure")},
		{"commands", "ssm:ListCommands", may("memory")},
		{"the output of a command", "ssm:GetCommandInvocation", may("memory")},
		{"Auto Scaling groups", "autoscaling:DescribeAutoScalingGroups", may("enrich", "preserve", "release")},
		{"who is in an Auto Scaling group", "autoscaling:DescribeAutoScalingInstances", may("enrich", "preserve", "release")},
		{"refreshes of Auto Scaling groups", "autoscaling:DescribeInstanceRefreshes", may("preserve")},
		{"balancers", "elasticloadbalancing:DescribeLoadBalancers", may("preserve", "release")},
		{"target groups", "elasticloadbalancing:DescribeTargetGroups", may("preserve")},
		{"the health of targets", "elasticloadbalancing:DescribeTargetHealth", may("preserve", "release")},
		{"who called what, in CloudTrail", "cloudtrail:LookupEvents", may("drift")},
		{"users", "iam:ListUsers", nil},
		{"buckets", "s3:ListAllMyBuckets", nil},
	} {
		reads.all = append(reads.all, request{ask: "reads " + r.what, action: r.action, may: r.may})
	}
	reads.all = append(reads.all,
		request{ask: "reads an attribute of a VPC", action: "ec2:DescribeVpcAttribute", on: on(vpc), may: may("exposure")},
		request{ask: "reads an attribute of an instance", action: "ec2:DescribeInstanceAttribute", on: on(instance), may: attributes},
		request{ask: "reads the console of an instance", action: "ec2:GetConsoleOutput", on: on(instance), may: may("console")},
		request{ask: "pictures the screen of an instance", action: "ec2:GetConsoleScreenshot", on: on(instance), may: may("console")},
		request{ask: "reads the password of an instance", action: "ec2:GetPasswordData", on: on(instance)},
		request{ask: "reads a secret", action: "secretsmanager:GetSecretValue", on: at(fmt.Sprintf(another, "secretsmanager", "secret:x"))},
	)
	sections = append(sections, reads)

	sections = append(sections, section{"Switching the guards off", []request{
		{ask: "switches a rule of ours off", action: "events:DisableRule", on: the("FindingRule")},
		{ask: "changes the targets of a rule of ours", action: "events:PutTargets", on: the("FindingRule")},
		{ask: "makes up an event", action: "events:PutEvents", on: at(fmt.Sprintf(another, "events", "event-bus/default"))},
		{ask: "switches our alarm off", action: "cloudwatch:DisableAlarmActions", on: at(alarm)},
		{ask: "archives a finding", action: "guardduty:ArchiveFindings"},
		{ask: "switches GuardDuty off", action: "guardduty:DeleteDetector", on: at(fmt.Sprintf(another, "guardduty", "detector/x"))},
		{ask: "stops the trail", action: "cloudtrail:StopLogging", on: at(fmt.Sprintf(another, "cloudtrail", "trail/x"))},
		{ask: "changes this stack", action: "cloudformation:UpdateStack", on: at(fmt.Sprintf(another, "cloudformation", "stack/cordon/x"))},
		{ask: "takes the bucket's policy away", action: "s3:DeleteBucketPolicy", on: at(bucket)},
		{ask: "changes the bucket's policy", action: "s3:PutBucketPolicy", on: at(bucket)},
		{ask: "lets objects expire", action: "s3:PutLifecycleConfiguration", on: at(bucket)},
		{ask: "suspends the bucket's versions", action: "s3:PutBucketVersioning", on: at(bucket)},
		{ask: "changes the bucket's Object Lock", action: "s3:PutBucketObjectLockConfiguration", on: at(bucket)},
		{ask: "opens the bucket to the public", action: "s3:PutBucketPublicAccessBlock", on: at(bucket)},
		{ask: "shares an object", action: "s3:PutObjectAcl", on: image},
		{ask: "holds an object for ever", action: "s3:PutObjectLegalHold", on: image},
		{ask: "deletes the bucket", action: "s3:DeleteBucket", on: at(bucket)},
	}})
	return sections
}
