package enrich

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// network is what is read of an instance's VPCs to say whether memory can be
// captured there while the instance is isolated.
type network struct {
	endpoints  []types.VpcEndpoint
	tables     []types.RouteTable
	lists      []types.PrefixList
	interfaces []types.NetworkInterface  // of interface endpoints
	blind      error                     // why they could not be described
	rules      []types.SecurityGroupRule // of the endpoints' groups
	closed     error                     // why they could not be read
}

// capture says of each VPC whether an isolated instance could reach SSM and the
// evidence bucket there. It never fails: what cannot be read makes a capture
// incomplete, because isolation must not wait for memory.
func (s *Step) capture(ctx context.Context, here place, instanceKey string, i incident.Instance, described types.Instance) []incident.Capture {
	var off string
	switch {
	case s.memory == "":
		off = "memory captures are switched off"
	case i.State != string(types.InstanceStateNameRunning):
		off = "the instance is " + i.State
	}
	var net network
	if off == "" {
		var err error
		if net, err = s.read(ctx, here, i.VPCs); err != nil {
			off = "the network could not be read: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
	}
	all := make([]incident.Capture, len(i.VPCs))
	for n, vpc := range i.VPCs {
		c := incident.Capture{VPC: vpc, Prefixes: []string{}, CIDRs: []string{}, Groups: []string{}, Notes: []string{}, Central: []string{}, Assumed: []string{}}
		if off == "" {
			net.judge(&c, s.needs(here, instanceKey, described), here.region, described, s.central)
		} else {
			c.Reason = off
		}
		all[n] = c
	}
	return all
}

// read asks EC2 twice, side by side each time.
func (s *Step) read(ctx context.Context, here place, vpcs []string) (network, error) {
	var n network
	errs := make([]error, 3)
	s.host.Each(3, func(k int) {
		switch k {
		case 0:
			n.endpoints, errs[k] = s.endpoints(ctx, vpcs)
		case 1:
			n.tables, errs[k] = s.tables(ctx, vpcs)
		case 2:
			n.lists, errs[k] = s.lists(ctx, here.region)
		}
	})
	if err := errors.Join(errs...); err != nil {
		return n, err
	}
	var interfaces, groups []string
	for _, e := range n.endpoints {
		interfaces = append(interfaces, e.NetworkInterfaceIds...)
		for _, g := range e.Groups {
			groups = append(groups, aws.ToString(g.GroupId))
		}
	}
	slices.Sort(groups)
	s.host.Each(2, func(k int) {
		if k == 0 {
			n.interfaces, n.blind = s.interfaces(ctx, interfaces)
		} else {
			n.rules, n.closed = s.rules(ctx, slices.Compact(groups))
		}
	})
	return n, nil
}

func (s *Step) endpoints(ctx context.Context, vpcs []string) (all []types.VpcEndpoint, err error) {
	pages := ec2.NewDescribeVpcEndpointsPaginator(s.ec2, &ec2.DescribeVpcEndpointsInput{Filters: []types.Filter{filter("vpc-id", vpcs...)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe endpoints: %w", err)
		}
		all = append(all, page.VpcEndpoints...)
	}
	slices.SortFunc(all, func(a, b types.VpcEndpoint) int {
		return strings.Compare(aws.ToString(a.VpcEndpointId), aws.ToString(b.VpcEndpointId))
	})
	return all, nil
}

func (s *Step) tables(ctx context.Context, vpcs []string) (all []types.RouteTable, err error) {
	pages := ec2.NewDescribeRouteTablesPaginator(s.ec2, &ec2.DescribeRouteTablesInput{Filters: []types.Filter{filter("vpc-id", vpcs...)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe route tables: %w", err)
		}
		all = append(all, page.RouteTables...)
	}
	return all, nil
}

func (s *Step) lists(ctx context.Context, region string) (all []types.PrefixList, err error) {
	pages := ec2.NewDescribePrefixListsPaginator(s.ec2, &ec2.DescribePrefixListsInput{
		Filters: []types.Filter{filter("prefix-list-name", "com.amazonaws."+region+".s3")},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe prefix lists: %w", err)
		}
		all = append(all, page.PrefixLists...)
	}
	return all, nil
}

func (s *Step) interfaces(ctx context.Context, ids []string) (all []types.NetworkInterface, err error) {
	if len(ids) == 0 {
		return nil, nil
	}
	pages := ec2.NewDescribeNetworkInterfacesPaginator(s.ec2, &ec2.DescribeNetworkInterfacesInput{
		Filters: []types.Filter{filter("network-interface-id", ids...)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe interfaces of endpoints: %w", err)
		}
		all = append(all, page.NetworkInterfaces...)
	}
	return all, nil
}

func (s *Step) rules(ctx context.Context, groups []string) (all []types.SecurityGroupRule, err error) {
	if len(groups) == 0 {
		return nil, nil
	}
	pages := ec2.NewDescribeSecurityGroupRulesPaginator(s.ec2, &ec2.DescribeSecurityGroupRulesInput{
		Filters: []types.Filter{filter("group-id", groups...)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read rules of endpoints' groups: %w", err)
		}
		all = append(all, page.SecurityGroupRules...)
	}
	return all, nil
}

// needs are the requests to S3 that a capture makes from the host; from Windows
// it is text that is sent.
func (s *Step) needs(here place, instanceKey string, i types.Instance) []request {
	tool := s.memory
	if i.Architecture == types.ArchitectureValuesArm64 {
		tool = cmp.Or(s.arm64, s.memory)
	}
	bucket := "arn:" + here.partition + ":s3:::" + s.bucket + "/"
	below := bucket + "incidents/" + incident.NewID(instanceKey, 1) + "/memory/"
	if strings.EqualFold(string(i.Platform), string(types.PlatformValuesWindows)) {
		return []request{{"s3:GetObject", below + "batch-000001"}, {"s3:PutObject", below + "triage-sent.txt"}}
	}
	return []request{
		{"s3:GetObject", bucket + tool},
		{"s3:GetObject", below + "batch-000001"},
		{"s3:PutObject", below + "image.lime"},
		{"s3:PutObject", below + "report.txt"},
	}
}

// judge fills in the capture of one VPC. What its capture group may reach is the
// same for every instance there, so that two incidents do not undo each other.
// A service that has no usable endpoint in the VPC may have one in a central VPC,
// if networks of such are named and the VPC leads there.
func (n network) judge(c *incident.Capture, needs []request, region string, i types.Instance, networks []netip.Prefix) {
	var lacking, remote []string
	lack := func(format string, a ...any) { lacking = append(lacking, fmt.Sprintf(format, a...)) }

	for _, service := range []string{"ssm", "ssmmessages", "ec2messages"} {
		e, why := n.private(c.VPC, region, service)
		switch {
		case e != nil:
			n.reach(c, *e)
			n.admits(*e, c.VPC, i, lack)
		case service == "ec2messages" && why == "": // newer agents do without
		case len(networks) > 0:
			remote = append(remote, service)
		default:
			lack("no usable endpoint for %s%s", service, why)
		}
	}

	gateway := n.gateway(c.VPC, region)
	var unled []string // what keeps the instance from the gateway endpoint
	if gateway != nil {
		for _, l := range n.lists {
			c.Prefixes = append(c.Prefixes, aws.ToString(l.PrefixListId))
		}
		if len(c.Prefixes) == 0 {
			unled = append(unled, "the prefix list of S3 is not to be seen")
		}
		for _, subnet := range subnets(i, c.VPC) {
			if !slices.Contains(gateway.RouteTableIds, n.table(c.VPC, subnet)) {
				unled = append(unled, fmt.Sprintf("the route table of %s does not lead to %s", subnet, aws.ToString(gateway.VpcEndpointId)))
			}
		}
	}
	private, why := n.private(c.VPC, region, "s3")
	var way *types.VpcEndpoint
	switch {
	case private != nil: // names resolve to it, as it has private DNS
		way = private
		n.reach(c, *private)
		n.admits(*private, c.VPC, i, lack)
	case gateway != nil && len(unled) == 0:
		way = gateway
	case len(networks) > 0:
		remote = append(remote, "s3")
	case gateway != nil:
		way = gateway
		lacking = append(lacking, unled...)
	default:
		lack("no usable endpoint for S3%s", why)
	}
	if way != nil {
		document := aws.ToString(way.PolicyDocument)
		for _, need := range needs {
			if why := allows(document, need); why != "" {
				lack("the policy of %s: %s", aws.ToString(way.VpcEndpointId), why)
				break
			}
		}
		if elsewhere(document, needs) {
			c.Notes = append(c.Notes, fmt.Sprintf("%s lets through to buckets other than the evidence bucket", aws.ToString(way.VpcEndpointId)))
		}
	}
	if len(remote) > 0 {
		led := n.central(c.VPC, networks)
		c.Central = written(led)
		c.Assumed = assumed(remote, region)
		c.CIDRs = append(c.CIDRs, c.Central...)
		for _, subnet := range subnets(i, c.VPC) {
			if !n.leadsToAny(c.VPC, subnet, led) {
				lack("no usable endpoint for %s, and the route table of %s leads to no central endpoint (%s)", strings.Join(remote, ", "), subnet, strings.Join(written(networks), ", "))
			}
		}
	}
	slices.Sort(c.CIDRs)
	c.CIDRs = slices.Compact(c.CIDRs)
	slices.Sort(c.Groups)
	c.Groups = slices.Compact(c.Groups)
	c.Complete, c.Reason = len(lacking) == 0, strings.Join(lacking, "; ")
}

// assumed is what nobody can see from here of endpoints in another VPC: often it
// is another account's. The two minutes that SSM has for the command's delivery
// tell. S3 has to answer under the bucket's own name, which is in the addresses.
// https://docs.aws.amazon.com/whitepapers/latest/building-scalable-secure-multi-vpc-network-infrastructure/centralized-access-to-vpc-private-endpoints.html
func assumed(services []string, region string) []string {
	var names []string
	for _, s := range services {
		name := s + "." + region
		if s == "s3" {
			name += " and *." + name
		}
		names = append(names, name)
	}
	return []string{
		"a private hosted zone that the VPC uses leads these names to central endpoints: " + strings.Join(names, ", "),
		"the groups and policies of the central endpoints let the instance in, and what it needs of S3 through",
	}
}

// of lists a VPC's endpoints of a service, available ones.
func (n network) of(vpc, region, service string, kind types.VpcEndpointType) (found []types.VpcEndpoint) {
	for _, e := range n.endpoints {
		// Services are named com.amazonaws.REGION.NAME, with cn. before it in China.
		if aws.ToString(e.VpcId) == vpc && e.VpcEndpointType == kind && strings.HasSuffix(aws.ToString(e.ServiceName), "."+region+"."+service) {
			found = append(found, e)
		}
	}
	return found
}

// private is the interface endpoint to which the service's own name leads; why
// says what is wrong with those that are there.
func (n network) private(vpc, region, service string) (_ *types.VpcEndpoint, why string) {
	for _, e := range n.of(vpc, region, service, types.VpcEndpointTypeInterface) {
		id := aws.ToString(e.VpcEndpointId)
		switch {
		case !strings.EqualFold(string(e.State), string(types.StateAvailable)):
			why = fmt.Sprintf(" (%s is %s)", id, e.State)
		case !aws.ToBool(e.PrivateDnsEnabled):
			why = fmt.Sprintf(" (%s has no private DNS)", id)
		case e.DnsOptions != nil && aws.ToBool(e.DnsOptions.PrivateDnsOnlyForInboundResolverEndpoint):
			why = fmt.Sprintf(" (%s has private DNS for inbound resolvers only)", id)
		default:
			return &e, ""
		}
	}
	return nil, why
}

func (n network) gateway(vpc, region string) *types.VpcEndpoint {
	for _, e := range n.of(vpc, region, "s3", types.VpcEndpointTypeGateway) {
		if strings.EqualFold(string(e.State), string(types.StateAvailable)) {
			return &e
		}
	}
	return nil
}

// reach adds the addresses of an endpoint, or its groups where those are not
// to be had.
func (n network) reach(c *incident.Capture, e types.VpcEndpoint) {
	var addresses []string
	for _, i := range n.interfaces {
		if !slices.Contains(e.NetworkInterfaceIds, aws.ToString(i.NetworkInterfaceId)) {
			continue
		}
		if a := aws.ToString(i.PrivateIpAddress); a != "" {
			addresses = append(addresses, a+"/32")
		}
		for _, a := range i.Ipv6Addresses {
			addresses = append(addresses, aws.ToString(a.Ipv6Address)+"/128")
		}
	}
	if len(addresses) > 0 && n.blind == nil {
		c.CIDRs = append(c.CIDRs, addresses...)
		return
	}
	for _, g := range e.Groups {
		c.Groups = append(c.Groups, aws.ToString(g.GroupId))
	}
}

// admits complains unless an endpoint's groups let each interface of the
// instance in by its address. A rule that names another group does not count:
// the instance leaves its groups when it is isolated.
func (n network) admits(e types.VpcEndpoint, vpc string, i types.Instance, lack func(string, ...any)) {
	id := aws.ToString(e.VpcEndpointId)
	if n.closed != nil {
		lack("who may reach %s is not known: %v", id, n.closed)
		return
	}
	for _, eni := range i.NetworkInterfaces {
		if aws.ToString(eni.VpcId) != vpc {
			continue
		}
		if !slices.ContainsFunc(n.rules, func(r types.SecurityGroupRule) bool {
			return in443(r, eni) && slices.ContainsFunc(e.Groups, func(g types.SecurityGroupIdentifier) bool {
				return aws.ToString(g.GroupId) == aws.ToString(r.GroupId)
			})
		}) {
			lack("the groups of %s do not let %s in", id, aws.ToString(eni.NetworkInterfaceId))
		}
	}
}

// in443 tells whether a rule lets an interface in to TCP 443 by its address.
func in443(r types.SecurityGroupRule, eni types.InstanceNetworkInterface) bool {
	port := aws.ToString(r.IpProtocol) == "-1" ||
		aws.ToString(r.IpProtocol) == "tcp" && aws.ToInt32(r.FromPort) <= 443 && aws.ToInt32(r.ToPort) >= 443
	from, err := netip.ParsePrefix(cmp.Or(aws.ToString(r.CidrIpv4), aws.ToString(r.CidrIpv6)))
	if err != nil || aws.ToBool(r.IsEgress) || !port {
		return false
	}
	address, err := netip.ParseAddr(aws.ToString(eni.PrivateIpAddress))
	return err == nil && from.Contains(address)
}

// table is the route table of a subnet: its own, or the VPC's main one.
func (n network) table(vpc, subnet string) string {
	var main string
	for _, t := range n.tables {
		for _, a := range t.Associations {
			if aws.ToString(a.SubnetId) == subnet {
				return aws.ToString(t.RouteTableId)
			}
			if aws.ToBool(a.Main) && aws.ToString(t.VpcId) == vpc {
				main = aws.ToString(t.RouteTableId)
			}
		}
	}
	return main
}

// subnets are those in which an instance has interfaces.
func subnets(i types.Instance, vpc string) (ids []string) {
	for _, n := range i.NetworkInterfaces {
		if aws.ToString(n.VpcId) == vpc && !slices.Contains(ids, aws.ToString(n.SubnetId)) {
			ids = append(ids, aws.ToString(n.SubnetId))
		}
	}
	return ids
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}
