//go:build e2e && linux

package e2e_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cordon/e2e"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// scene is one instance in a VPC of its own, and what happens to it.
type scene struct {
	*testing.T
	d *deployment

	vpc, instance, web string
	interfaces         []string // by device index
	volumes            []string
	served             string        // name of what sends work to the instance, and of its role; empty if nothing does
	before             []byte        // the account when the first finding came
	n                  int           // which scene it is, for addresses
	patience           time.Duration // how long anything in it may take

	inputs map[string]string // of all executions, by ARN; they stay as they are
}

type setting struct {
	interfaces int
	agent      bool
	served     bool // in an Auto Scaling group, behind balancers, with a role
}

var scenes atomic.Int32

// newScene makes an instance in moto, with all in its VPC that a capture of
// memory needs.
func newScene(t *testing.T, d *deployment, s setting) *scene {
	t.Helper()
	sc := &scene{T: t, d: d, patience: patience, n: int(scenes.Add(1)), inputs: map[string]string{}}
	ctx := t.Context()
	network := func(rest string) *string { return aws.String(fmt.Sprintf("10.%d.%s", sc.n, rest)) }
	vpc, err := d.ec2.CreateVpc(ctx, &ec2.CreateVpcInput{CidrBlock: network("0.0/16")})
	sc.must(err)
	sc.vpc = *vpc.Vpc.VpcId
	subnet, err := d.ec2.CreateSubnet(ctx, &ec2.CreateSubnetInput{VpcId: &sc.vpc, CidrBlock: network("1.0/24"), AvailabilityZone: aws.String(region + "a")})
	sc.must(err)
	table, err := d.ec2.CreateRouteTable(ctx, &ec2.CreateRouteTableInput{VpcId: &sc.vpc})
	sc.must(err)
	_, err = d.ec2.AssociateRouteTable(ctx, &ec2.AssociateRouteTableInput{RouteTableId: table.RouteTable.RouteTableId, SubnetId: subnet.Subnet.SubnetId})
	sc.must(err)
	sc.web = sc.group("web", "0.0.0.0/0")
	sc.endpoints(*subnet.Subnet.SubnetId, *table.RouteTable.RouteTableId, sc.group("endpoints", *network("0.0/16")))

	images, err := d.ec2.DescribeImages(ctx, &ec2.DescribeImagesInput{})
	sc.must(err)
	i := slices.IndexFunc(images.Images, func(i types.Image) bool {
		return i.Platform == "" && i.Architecture == types.ArchitectureValuesX8664 && i.RootDeviceName != nil
	})
	in := &ec2.RunInstancesInput{
		ImageId: images.Images[i].ImageId, InstanceType: types.InstanceTypeT3Nano, MinCount: aws.Int32(1), MaxCount: aws.Int32(1),
		SubnetId: subnet.Subnet.SubnetId, SecurityGroupIds: []string{sc.web},
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeInstance, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("web-17")}}}},
	}
	if s.served {
		sc.served = fmt.Sprintf("app-%02d", sc.n)
		sc.role()
		in.IamInstanceProfile = &types.IamInstanceProfileSpecification{Name: &sc.served}
	}
	made, err := d.ec2.RunInstances(ctx, in)
	sc.must(err)
	sc.instance = *made.Instances[0].InstanceId
	for n := 1; n < s.interfaces; n++ {
		eni, err := d.ec2.CreateNetworkInterface(ctx, &ec2.CreateNetworkInterfaceInput{SubnetId: subnet.Subnet.SubnetId, Groups: []string{sc.web}})
		sc.must(err)
		_, err = d.ec2.AttachNetworkInterface(ctx, &ec2.AttachNetworkInterfaceInput{
			InstanceId: &sc.instance, NetworkInterfaceId: eni.NetworkInterface.NetworkInterfaceId, DeviceIndex: aws.Int32(int32(n)),
		})
		sc.must(err)
	}
	volume, err := d.ec2.CreateVolume(ctx, &ec2.CreateVolumeInput{AvailabilityZone: aws.String(region + "a"), Size: aws.Int32(10), VolumeType: types.VolumeTypeGp3})
	sc.must(err)
	_, err = d.ec2.AttachVolume(ctx, &ec2.AttachVolumeInput{InstanceId: &sc.instance, VolumeId: volume.VolumeId, Device: aws.String("/dev/sdf")})
	sc.must(err)
	for _, e := range sc.attached() {
		sc.interfaces = append(sc.interfaces, *e.NetworkInterfaceId)
	}
	for _, m := range sc.described().BlockDeviceMappings {
		sc.volumes = append(sc.volumes, *m.Ebs.VolumeId)
	}
	if len(sc.interfaces) != s.interfaces || len(sc.volumes) != 2 {
		t.Fatalf("the instance has interfaces %v and volumes %v", sc.interfaces, sc.volumes)
	}
	if s.served {
		sc.serve(*subnet.Subnet.SubnetId)
	}
	if s.agent {
		d.ours.SSM.AddAgent(sc.instance)
	}
	sc.before = sc.account()
	return sc
}

func (sc *scene) must(err error) {
	sc.Helper()
	if err != nil {
		sc.Fatal(err)
	}
}

func (sc *scene) group(name, from string) string {
	g, err := sc.d.ec2.CreateSecurityGroup(sc.Context(), &ec2.CreateSecurityGroupInput{GroupName: &name, Description: &name, VpcId: &sc.vpc})
	sc.must(err)
	_, err = sc.d.ec2.AuthorizeSecurityGroupIngress(sc.Context(), &ec2.AuthorizeSecurityGroupIngressInput{GroupId: g.GroupId, IpPermissions: []types.IpPermission{
		{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(443), ToPort: aws.Int32(443), IpRanges: []types.IpRange{{CidrIp: &from}}},
	}})
	sc.must(err)
	return *g.GroupId
}

func (sc *scene) endpoints(subnet, table, group string) {
	for _, service := range []string{"ssm", "ssmmessages", "s3"} {
		in := &ec2.CreateVpcEndpointInput{VpcId: &sc.vpc, ServiceName: aws.String("com.amazonaws." + region + "." + service), VpcEndpointType: types.VpcEndpointTypeGateway, RouteTableIds: []string{table}}
		if service != "s3" {
			in.VpcEndpointType, in.RouteTableIds, in.SubnetIds, in.SecurityGroupIds, in.PrivateDnsEnabled = types.VpcEndpointTypeInterface, nil, []string{subnet}, []string{group}, aws.Bool(true)
		}
		_, err := sc.d.ec2.CreateVpcEndpoint(sc.Context(), in)
		sc.must(err)
	}
}

// described is the instance as moto describes it now.
func (sc *scene) described() types.Instance {
	sc.Helper()
	out, err := sc.d.ec2.DescribeInstances(sc.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{sc.instance}})
	sc.must(err)
	return out.Reservations[0].Instances[0]
}

// attached are the instance's interfaces now, by device index.
func (sc *scene) attached() []types.NetworkInterface {
	sc.Helper()
	out, err := sc.d.ec2.DescribeNetworkInterfaces(sc.Context(), &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{sc.instance}}}})
	sc.must(err)
	slices.SortFunc(out.NetworkInterfaces, func(a, b types.NetworkInterface) int {
		return int(*a.Attachment.DeviceIndex - *b.Attachment.DeviceIndex)
	})
	return out.NetworkInterfaces
}

// groups are the names of the groups that the interfaces are in now.
func (sc *scene) groups() map[string][]string {
	sc.Helper()
	all := map[string][]string{}
	for _, i := range sc.attached() {
		for _, g := range i.Groups {
			all[*i.NetworkInterfaceId] = append(all[*i.NetworkInterfaceId], *g.GroupName)
		}
	}
	return all
}

// everywhere is every interface in that one group.
func (sc *scene) everywhere(name string) map[string][]string {
	all := map[string][]string{}
	for _, i := range sc.interfaces {
		all[i] = []string{name}
	}
	return all
}

// account is the account in the shape of cordon rehearse --account: what EC2
// describes of this scene's VPC, and the agents that SSM knows.
func (sc *scene) account() []byte {
	sc.Helper()
	ctx, in := sc.Context(), []types.Filter{{Name: aws.String("vpc-id"), Values: []string{sc.vpc}}}
	all := map[string]any{}
	instances, err := sc.d.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{Filters: in})
	sc.must(err)
	all["Reservations"] = instances.Reservations
	interfaces, err := sc.d.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: in})
	sc.must(err)
	all["NetworkInterfaces"] = interfaces.NetworkInterfaces
	volumes, err := sc.d.ec2.DescribeVolumes(ctx, &ec2.DescribeVolumesInput{Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{sc.instance}}}})
	sc.must(err)
	all["Volumes"] = volumes.Volumes
	groups, err := sc.d.ec2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{Filters: in})
	sc.must(err)
	all["SecurityGroups"] = groups.SecurityGroups
	endpoints, err := sc.d.ec2.DescribeVpcEndpoints(ctx, &ec2.DescribeVpcEndpointsInput{Filters: in})
	sc.must(err)
	all["VpcEndpoints"] = endpoints.VpcEndpoints
	tables, err := sc.d.ec2.DescribeRouteTables(ctx, &ec2.DescribeRouteTablesInput{Filters: in})
	sc.must(err)
	all["RouteTables"] = tables.RouteTables
	lists, err := sc.d.ec2.DescribePrefixLists(ctx, &ec2.DescribePrefixListsInput{})
	sc.must(err)
	all["PrefixLists"] = lists.PrefixLists
	kinds, err := sc.d.ec2.DescribeInstanceTypes(ctx, &ec2.DescribeInstanceTypesInput{InstanceTypes: []types.InstanceType{types.InstanceTypeT3Nano}})
	sc.must(err)
	all["InstanceTypes"] = kinds.InstanceTypes
	console, err := sc.d.ec2.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: &sc.instance})
	sc.must(err)
	text, err := base64.StdEncoding.DecodeString(aws.ToString(console.Output))
	sc.must(err)
	all["ConsoleOutputs"] = map[string]ec2.GetConsoleOutputOutput{sc.instance: {Output: aws.String(string(text)), Timestamp: console.Timestamp}} // as the CLI prints them
	agents := []map[string]string{}
	if sc.d.ours.SSM.HasAgent(sc.instance) {
		agents = append(agents, map[string]string{"InstanceId": sc.instance, "PingStatus": "Online"})
	}
	all["InstanceInformationList"] = agents
	if sc.served != "" {
		maps.Copy(all, sc.service())
	}
	made, err := json.Marshal(all)
	sc.must(err)
	return made
}

// finding is events/plain.json about this scene's instance, with changes.
func (sc *scene) finding(change func(detail map[string]any)) map[string]any {
	sc.Helper()
	text, err := os.ReadFile("../events/plain.json")
	sc.must(err)
	text = []byte(strings.ReplaceAll(string(text), "i-0c0ffee0c0ffee001", sc.instance))
	// Every scene's finding is one of its own.
	text = []byte(strings.ReplaceAll(string(text), "000000000000000000000000000000a1", fmt.Sprintf("%032x", 0xa1000+sc.n)))
	var event map[string]any
	sc.must(json.Unmarshal(text, &event))
	if change != nil {
		change(event["detail"].(map[string]any))
	}
	return event
}

// publish puts events onto the default bus, as GuardDuty does.
func (sc *scene) publish(events ...map[string]any) {
	sc.Helper()
	var entries []map[string]any
	for _, e := range events {
		detail, err := json.Marshal(e["detail"])
		sc.must(err)
		entries = append(entries, map[string]any{"Source": e["source"], "DetailType": e["detail-type"], "Detail": string(detail)})
	}
	body, err := json.Marshal(map[string]any{"Entries": entries})
	sc.must(err)
	text, err := sc.d.post(sc.Context(), "events", map[string]string{"X-Amz-Target": "AWSEvents.PutEvents", "Content-Type": "application/x-amz-json-1.1"}, string(body))
	sc.must(err)
	var out struct{ FailedEntryCount int }
	sc.must(json.Unmarshal(text, &out))
	if out.FailedEntryCount != 0 {
		sc.Fatalf("EventBridge did not take the finding: %s", text)
	}
}

// patience is how long anything in a scene may take, as a rule.
const patience = 3 * time.Minute

// eventually waits until something is so. All scenes ask the same two servers,
// whose time the functions need.
func (sc *scene) eventually(what string, so func() bool) {
	sc.Helper()
	for end := time.Now().Add(sc.patience); time.Now().Before(end); time.Sleep(time.Second) {
		if so() {
			return
		}
	}
	sc.Fatalf("after %v: %s is not so; mails: %v; executions: %v; wire:\n%s", sc.patience, what, subjects(sc.mails()), sc.executions(), sc.trace())
}

// trace is what was changed or refused over the wire in this scene, for whoever must find out
// why it went wrong.
func (sc *scene) trace() string {
	var b strings.Builder
	for _, c := range sc.calls() {
		if !c.Mutating && c.Code == "" {
			continue
		}
		fmt.Fprintf(&b, "%s %s %s:%s %v %s\n", c.Began.Format("15:04:05.000"), c.Function, c.Service, c.Action, c.Resources, c.Code)
	}
	return b.String()
}

func (sc *scene) mails() []mail { return sc.d.mailsAbout(sc.instance) }

func subjects(mails []mail) []string {
	all := []string{}
	for _, m := range mails {
		all = append(all, m.Subject)
	}
	return all
}

// execution is one of the machine on this scene's instance.
type execution struct {
	arn    string
	input  string
	status sfntypes.ExecutionStatus
	states []string // at the top level, in order
	failed []string // attempts of tasks
	ending string
}

// event is the ID of the event that it was started by.
func (e execution) event(sc *scene) string {
	sc.Helper()
	var event struct{ ID string }
	sc.must(json.Unmarshal([]byte(e.input), &event))
	return event.ID
}

func (e execution) String() string { return fmt.Sprintf("%s %v", e.status, e.states) }

// executions are those on this scene's instance, in order of start.
func (sc *scene) executions() []execution {
	sc.Helper()
	ctx := sc.Context()
	var all []execution
	pages := sfn.NewListExecutionsPaginator(sc.d.sfn, &sfn.ListExecutionsInput{StateMachineArn: aws.String(sc.d.outputs["StateMachineArn"])})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		sc.must(err)
		for _, e := range page.Executions {
			input, ok := sc.inputs[*e.ExecutionArn]
			if !ok {
				out, err := sc.d.sfn.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: e.ExecutionArn})
				sc.must(err)
				input = aws.ToString(out.Input)
				sc.inputs[*e.ExecutionArn] = input
			}
			if !strings.Contains(input, sc.instance) {
				continue
			}
			x := execution{arn: *e.ExecutionArn, input: input, status: e.Status}
			history := sfn.NewGetExecutionHistoryPaginator(sc.d.sfn, &sfn.GetExecutionHistoryInput{ExecutionArn: e.ExecutionArn})
			for history.HasMorePages() {
				page, err := history.NextPage(ctx)
				sc.must(err)
				for _, event := range page.Events {
					if event.StateEnteredEventDetails != nil {
						x.states = append(x.states, *event.StateEnteredEventDetails.Name)
					}
					if f := event.TaskFailedEventDetails; f != nil {
						x.failed = append(x.failed, aws.ToString(f.Error)+": "+aws.ToString(f.Cause))
					}
				}
			}
			if x.status != sfntypes.ExecutionStatusRunning && len(x.states) > 0 {
				x.ending = x.states[len(x.states)-1]
			}
			all = append(all, x)
		}
	}
	slices.Reverse(all) // the newest comes first
	return all
}

// ended waits until so many executions have ended, all there are.
func (sc *scene) ended(number int) []execution {
	sc.Helper()
	var all []execution
	sc.eventually(fmt.Sprintf("%d executions ended", number), func() bool {
		all = sc.executions()
		return len(all) == number && !slices.ContainsFunc(all, func(e execution) bool { return e.status == sfntypes.ExecutionStatusRunning })
	})
	return all
}

// link waits for the mail that asks for a decision.
func (sc *scene) link() string {
	sc.Helper()
	link := ""
	sc.eventually("a mail with a link", func() bool {
		for _, m := range sc.mails() {
			if _, rest, ok := strings.Cut(m.Message, sc.d.outputs["DecisionUrl"]+"/d/"); ok {
				rest, _, _ = strings.Cut(rest, "\n")
				link = "/d/" + strings.TrimSpace(rest)
				return true
			}
		}
		return false
	})
	return link
}

// visit calls the page as a browser does, through the gateway.
func (sc *scene) visit(method, link string, form url.Values) (int, string) {
	sc.Helper()
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	r, err := http.NewRequestWithContext(sc.Context(), method, sc.d.aws+link, body)
	sc.must(err)
	id, _, _ := strings.Cut(strings.TrimPrefix(sc.d.outputs["DecisionUrl"], "https://"), ".")
	r.Host = id + ".execute-api.localhost"
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	a, err := http.DefaultClient.Do(r)
	sc.must(err)
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	sc.must(err)
	return a.StatusCode, string(text)
}

// evidence waits until the snapshots are complete and the instance is sealed:
// then what a decision leads to is the same, however long each part took.
func (sc *scene) evidence() {
	sc.Helper()
	sc.eventually("the evidence is at its end, sealed", func() bool {
		return len(sc.snapshots()) == len(sc.volumes) && maps.EqualFunc(sc.groups(), sc.everywhere("quarantine-sg"), slices.Equal) && !slices.ContainsFunc(sc.snapshots(), func(s types.Snapshot) bool {
			return s.State != types.SnapshotStateCompleted
		})
	})
}

// snapshots are those of this scene's volumes.
func (sc *scene) snapshots() []types.Snapshot {
	sc.Helper()
	out, err := sc.d.ec2.DescribeSnapshots(sc.Context(), &ec2.DescribeSnapshotsInput{Filters: []types.Filter{{Name: aws.String("volume-id"), Values: sc.volumes}}})
	sc.must(err)
	return out.Snapshots
}

// calls are those on the wire that name something of this scene: the instance
// and what is around it, what was made for it, and its events.
func (sc *scene) calls() []e2e.Call {
	sc.Helper()
	names := append(append([]string{sc.instance, sc.vpc}, sc.interfaces...), sc.volumes...)
	if sc.served != "" {
		names = append(names, sc.served)
	}
	groups, err := sc.d.ec2.DescribeSecurityGroups(sc.Context(), &ec2.DescribeSecurityGroupsInput{Filters: []types.Filter{{Name: aws.String("vpc-id"), Values: []string{sc.vpc}}}})
	sc.must(err)
	for _, g := range groups.SecurityGroups {
		names = append(names, *g.GroupId)
	}
	for _, s := range sc.snapshots() {
		names = append(names, *s.SnapshotId)
	}
	for _, x := range sc.executions() {
		names = append(names, x.event(sc))
	}
	var all []e2e.Call
	for _, c := range sc.d.proxy.Calls() {
		if slices.ContainsFunc(c.Resources, func(r string) bool {
			return slices.ContainsFunc(names, func(n string) bool { return strings.Contains(r, n) })
		}) {
			all = append(all, c)
		}
	}
	return all
}
