package sim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// happened is what the account takes from an event; whatever it lacks is made up.
type happened struct {
	Account string
	Region  string
	Time    string
	Detail  struct {
		Resource struct {
			InstanceDetails struct {
				InstanceID         string `json:"instanceId"`
				InstanceType       string
				Platform           string
				IamInstanceProfile struct{ Arn string }
				NetworkInterfaces  []struct {
					NetworkInterfaceID string `json:"networkInterfaceId"`
					SubnetID           string `json:"subnetId"`
					VpcID              string `json:"vpcId"`
					PrivateIPAddress   string `json:"privateIpAddress"`
				}
				Tags []struct{ Key, Value string }
			}
		}
	}
}

// Around is an account file for an event that comes without one: its instance
// runs since forty days with two interfaces and two volumes, and its VPC has
// all that a capture of memory needs. Where the event names no instance, the
// account has none. The same event makes the same account.
func Around(event []byte) ([]byte, error) {
	var e happened
	// A field of another type than is usual is left out, as far as JSON goes.
	if err := json.Unmarshal(event, &e); err != nil && !json.Valid(event) {
		return nil, fmt.Errorf("event: %w", err)
	}
	file := map[string]any{"Reservations": []any{}, "NetworkInterfaces": []any{}}
	if e.Detail.Resource.InstanceDetails.InstanceID != "" {
		file = e.surroundings()
	}
	b, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("build an account around the event: %w", err)
	}
	return append(b, '\n'), nil
}

func (e happened) surroundings() map[string]any {
	d := e.Detail.Resource.InstanceDetails
	account, region := cmp.Or(e.Account, "123456789012"), cmp.Or(e.Region, "eu-west-1")
	at, err := time.Parse(time.RFC3339, e.Time)
	if err != nil {
		at = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	born := at.UTC().Truncate(time.Second).AddDate(0, 0, -40)
	suffix := strings.TrimPrefix(d.InstanceID, "i-")
	id := func(prefix, n string) *string {
		h := hash(0, "around", d.InstanceID, prefix, n)
		return aws.String(fmt.Sprintf("%s-0%x", prefix, h[:8]))
	}
	vpc, subnet, primary, address := id("vpc", ""), id("subnet", ""), id("eni", "primary"), aws.String("10.0.1.23")
	if len(d.NetworkInterfaces) > 0 {
		n := d.NetworkInterfaces[0]
		for _, f := range []struct {
			from string
			to   **string
		}{{n.VpcID, &vpc}, {n.SubnetID, &subnet}, {n.NetworkInterfaceID, &primary}, {n.PrivateIPAddress, &address}} {
			if f.from != "" {
				*f.to = &f.from
			}
		}
	}
	second, group, doorGroup := id("eni", "second"), id("sg", "web"), id("sg", "endpoints")
	table, list := id("rtb", ""), id("pl", "s3")
	zone := aws.String(region + "a")
	owner := aws.String(account)

	tags := []types.Tag{{Key: aws.String("Name"), Value: aws.String("web-" + suffix[max(0, len(suffix)-4):])}, {Key: aws.String("Owner"), Value: aws.String("team-web")}}
	for _, t := range d.Tags {
		for n := range tags {
			if *tags[n].Key == t.Key && t.Value != "" {
				tags[n].Value = aws.String(t.Value)
			}
		}
	}

	root, data := id("vol", "root"), id("vol", "data")
	volume := func(v *string, device string, size int32, ends bool) *types.Volume {
		return &types.Volume{
			VolumeId: v, Size: &size, VolumeType: types.VolumeTypeGp3, Encrypted: aws.Bool(true), State: types.VolumeStateInUse, CreateTime: &born, AvailabilityZone: zone,
			KmsKeyId: aws.String("arn:aws:kms:" + region + ":" + account + ":key/victim"),
			Attachments: []types.VolumeAttachment{{
				InstanceId: &d.InstanceID, VolumeId: v, Device: &device, AttachTime: &born,
				State: types.VolumeAttachmentStateAttached, DeleteOnTermination: &ends,
			}},
		}
	}
	device := func(v *string, name string, ends bool) types.InstanceBlockDeviceMapping {
		return types.InstanceBlockDeviceMapping{DeviceName: &name, Ebs: &types.EbsInstanceBlockDevice{VolumeId: v, AttachTime: &born, Status: types.AttachmentStatusAttached, DeleteOnTermination: &ends}}
	}

	eni := func(i *string, index int32, v4 *string, v6, what string) *types.NetworkInterface {
		return &types.NetworkInterface{
			NetworkInterfaceId: i, VpcId: vpc, SubnetId: subnet, OwnerId: owner, AvailabilityZone: zone, Description: &what,
			Status: types.NetworkInterfaceStatusInUse, PrivateIpAddress: v4, Ipv6Addresses: []types.NetworkInterfaceIpv6Address{{Ipv6Address: &v6}},
			Groups: []types.GroupIdentifier{{GroupId: group, GroupName: aws.String("web")}},
			Attachment: &types.NetworkInterfaceAttachment{
				InstanceId: &d.InstanceID, InstanceOwnerId: owner, AttachmentId: id("eni-attach", what), AttachTime: &born,
				DeviceIndex: &index, Status: types.AttachmentStatusAttached, DeleteOnTermination: aws.Bool(index == 0),
			},
		}
	}
	interfaces := []*types.NetworkInterface{
		eni(primary, 0, address, "2001:db8:0:1::23", "primary"),
		eni(second, 1, aws.String("10.0.1.24"), "2001:db8:0:1::24", "second"),
	}

	var doors []*types.VpcEndpoint
	for n, service := range []string{"ssm", "ssmmessages", "ec2messages"} {
		in := id("eni", service)
		interfaces = append(interfaces, &types.NetworkInterface{
			NetworkInterfaceId: in, VpcId: vpc, SubnetId: subnet, OwnerId: owner, AvailabilityZone: zone,
			Description: aws.String("VPC Endpoint Interface " + *id("vpce", service)), InterfaceType: types.NetworkInterfaceTypeVpcEndpoint, RequesterManaged: aws.Bool(true),
			Status: types.NetworkInterfaceStatusInUse, PrivateIpAddress: aws.String(fmt.Sprintf("10.0.1.%d", 200+n)),
			Groups:     []types.GroupIdentifier{{GroupId: doorGroup, GroupName: aws.String("endpoints")}},
			Attachment: &types.NetworkInterfaceAttachment{AttachmentId: id("ela-attach", service), InstanceOwnerId: aws.String("amazon-aws"), DeviceIndex: aws.Int32(1), Status: types.AttachmentStatusAttached},
		})
		doors = append(doors, &types.VpcEndpoint{
			VpcEndpointId: id("vpce", service), VpcEndpointType: types.VpcEndpointTypeInterface, VpcId: vpc, OwnerId: owner,
			ServiceName: aws.String("com.amazonaws." + region + "." + service), State: "available", PrivateDnsEnabled: aws.Bool(true), PolicyDocument: aws.String(fullAccess),
			SubnetIds: []string{*subnet}, NetworkInterfaceIds: []string{*in}, Groups: []types.SecurityGroupIdentifier{{GroupId: doorGroup, GroupName: aws.String("endpoints")}},
		})
	}
	doors = append(doors, &types.VpcEndpoint{
		VpcEndpointId: id("vpce", "s3"), VpcEndpointType: types.VpcEndpointTypeGateway, VpcId: vpc, OwnerId: owner,
		ServiceName: aws.String("com.amazonaws." + region + ".s3"), State: "available", PrivateDnsEnabled: aws.Bool(false), PolicyDocument: aws.String(fullAccess), RouteTableIds: []string{*table},
	})

	anywhere := types.IpPermission{IpProtocol: aws.String("-1"), IpRanges: []types.IpRange{{CidrIp: aws.String("0.0.0.0/0")}}, Ipv6Ranges: []types.Ipv6Range{{CidrIpv6: aws.String("::/0")}}}
	web := types.IpPermission{IpProtocol: aws.String("tcp"), FromPort: aws.Int32(httpsPort), ToPort: aws.Int32(httpsPort), IpRanges: anywhere.IpRanges, Ipv6Ranges: anywhere.Ipv6Ranges}
	fromVPC := types.IpPermission{
		IpProtocol: aws.String("tcp"), FromPort: aws.Int32(httpsPort), ToPort: aws.Int32(httpsPort),
		IpRanges: []types.IpRange{{CidrIp: aws.String("10.0.0.0/8")}, {CidrIp: aws.String("172.16.0.0/12")}, {CidrIp: aws.String("192.168.0.0/16")}},
	}

	kind := types.InstanceType(cmp.Or(d.InstanceType, "m6i.large"))
	info := byName(kind)
	if info == nil {
		info = &types.InstanceTypeInfo{
			InstanceType: kind, MemoryInfo: &types.MemoryInfo{SizeInMiB: aws.Int64(16 << 10)},
			ProcessorInfo: &types.ProcessorInfo{SupportedArchitectures: []types.ArchitectureType{types.ArchitectureTypeX8664}},
		}
	}
	instance := types.Instance{
		InstanceId: &d.InstanceID, InstanceType: kind, State: state(types.InstanceStateNameRunning), LaunchTime: &born, Tags: tags,
		Architecture: types.ArchitectureValues(info.ProcessorInfo.SupportedArchitectures[0]), ImageId: id("ami", ""), Placement: &types.Placement{AvailabilityZone: zone},
		PlatformDetails: aws.String("Linux/UNIX"), PrivateIpAddress: address, VpcId: vpc, SubnetId: subnet, RootDeviceName: aws.String("/dev/xvda"), RootDeviceType: types.DeviceTypeEbs,
		BlockDeviceMappings: []types.InstanceBlockDeviceMapping{device(root, "/dev/xvda", true), device(data, "/dev/sdf", false)},
	}
	agent := ssmtypes.InstanceInformation{
		InstanceId: &d.InstanceID, PingStatus: ssmtypes.PingStatusOnline, AgentVersion: aws.String("3.3.1957.0"), LastPingDateTime: aws.Time(at.UTC().Truncate(time.Second)),
		PlatformType: ssmtypes.PlatformTypeLinux, PlatformName: aws.String("Amazon Linux"), PlatformVersion: aws.String("2023"), ResourceType: ssmtypes.ResourceTypeEc2Instance, IPAddress: address,
	}
	if strings.EqualFold(d.Platform, "windows") {
		instance.Platform, instance.PlatformDetails = types.PlatformValuesWindows, aws.String("Windows")
		agent.PlatformType, agent.PlatformName, agent.PlatformVersion = ssmtypes.PlatformTypeWindows, aws.String("Microsoft Windows Server 2022 Datacenter"), aws.String("10.0.20348")
	}

	if arn := d.IamInstanceProfile.Arn; arn != "" {
		instance.IamInstanceProfile = &types.IamInstanceProfile{Arn: &arn}
	}

	file := map[string]any{}
	for key, v := range map[string]any{
		"Reservations":      []types.Reservation{{ReservationId: id("r", ""), OwnerId: owner, Instances: []types.Instance{instance}}},
		"NetworkInterfaces": interfaces,
		"Volumes":           []*types.Volume{volume(root, "/dev/xvda", 8, true), volume(data, "/dev/sdf", 100, false)},
		"SecurityGroups": []types.SecurityGroup{
			{GroupId: group, GroupName: aws.String("web"), Description: aws.String("web servers"), VpcId: vpc, OwnerId: owner, IpPermissions: []types.IpPermission{web}, IpPermissionsEgress: []types.IpPermission{anywhere}},
			{GroupId: doorGroup, GroupName: aws.String("endpoints"), Description: aws.String("endpoints of the VPC"), VpcId: vpc, OwnerId: owner, IpPermissions: []types.IpPermission{fromVPC}, IpPermissionsEgress: []types.IpPermission{}},
		},
		"VpcEndpoints": doors,
		"RouteTables": []types.RouteTable{{
			RouteTableId: table, VpcId: vpc, OwnerId: owner,
			Associations: []types.RouteTableAssociation{{RouteTableAssociationId: id("rtbassoc", ""), RouteTableId: table, SubnetId: subnet, Main: aws.Bool(false)}},
			Routes: []types.Route{
				{DestinationCidrBlock: aws.String("10.0.0.0/16"), GatewayId: aws.String("local"), State: types.RouteStateActive},
				{DestinationCidrBlock: aws.String("0.0.0.0/0"), GatewayId: id("igw", ""), State: types.RouteStateActive},
				{DestinationPrefixListId: list, GatewayId: id("vpce", "s3"), State: types.RouteStateActive},
			},
		}},
		"Subnets": []types.Subnet{{SubnetId: subnet, VpcId: vpc, CidrBlock: aws.String("10.0.1.0/24"), AvailabilityZone: zone, OwnerId: owner}},
		"Vpcs": []types.Vpc{{
			VpcId: vpc, CidrBlock: aws.String("10.0.0.0/16"), OwnerId: owner,
			Ipv6CidrBlockAssociationSet: []types.VpcIpv6CidrBlockAssociation{{Ipv6CidrBlock: aws.String("2001:db8::/56"), AssociationId: id("vpc-cidr-assoc", "")}},
		}},
		"PrefixLists":   []types.PrefixList{{PrefixListId: list, PrefixListName: aws.String("com.amazonaws." + region + ".s3"), Cidrs: []string{"52.218.0.0/17", "3.5.64.0/21"}}},
		"InstanceTypes": []*types.InstanceTypeInfo{info},
		"ConsoleOutputs": map[string]ec2.GetConsoleOutputOutput{d.InstanceID: {
			InstanceId: &d.InstanceID, Timestamp: &born, Output: aws.String("[    0.000000] Linux version 6.1.0\r\n[    4.217313] systemd[1]: Reached target multi-user.target.\r\n"),
		}},
		"InstanceInformationList": []ssmtypes.InstanceInformation{agent},
	} {
		file[key] = pruned(v)
	}
	return file
}

// fullAccess is the policy of an endpoint that nobody gave one.
// https://docs.aws.amazon.com/vpc/latest/privatelink/vpc-endpoints-access.html
const fullAccess = `{"Version":"2008-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"*","Resource":"*"}]}`
