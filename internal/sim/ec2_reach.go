package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// httpsPort is the port on which all services answer.
const httpsPort = 443

// internet stands for any public address of a service.
var internet = []netip.Addr{netip.MustParseAddr("52.94.0.1"), netip.MustParseAddr("2600:1f00::1")}

// peer is what may be at the other end of a connection. Where its addresses are
// not known, those of its subnet stand for them.
type peer struct {
	groups    []string
	addresses []netip.Addr
	blocks    []netip.Prefix // one of them holds it, which one is not known
}

// reaches tells whether a new connection from an instance to TCP 443 of a
// service ("ssm", "ssmmessages", "s3", …) comes about now: over a VPC endpoint
// or the Internet, by the groups that each end is in. If not, why.
func (a *Account) reaches(instanceID, service string) (bool, string) {
	c := a.ec2
	all := c.attached(instanceID)
	if len(all) == 0 {
		return false, "the instance has no network interface"
	}
	var why []string
	for _, i := range all {
		ok, reason := c.leads(i, service)
		if ok {
			return true, ""
		}
		why = append(why, *i.NetworkInterfaceId+": "+reason)
	}
	return false, strings.Join(why, "; ")
}

// leads tells whether an interface leads to a service. Private DNS of an
// interface endpoint takes the service's name for the whole VPC: then there is
// no other way.
// https://docs.aws.amazon.com/vpc/latest/privatelink/privatelink-access-aws-services.html
func (c *EC2) leads(i *types.NetworkInterface, service string) (bool, string) {
	for _, e := range c.VpcEndpoints {
		name := strings.HasSuffix(aws.ToString(e.ServiceName), "."+service)
		if !name || aws.ToString(e.VpcId) != aws.ToString(i.VpcId) || !strings.EqualFold(string(e.State), "available") {
			continue
		}
		switch e.VpcEndpointType {
		case types.VpcEndpointTypeInterface:
			if !aws.ToBool(e.PrivateDnsEnabled) {
				continue
			}
			return c.leadsToEndpoint(i, e)
		case types.VpcEndpointTypeGateway:
			if !c.routed(i, func(t *types.RouteTable) bool { return slices.Contains(e.RouteTableIds, *t.RouteTableId) }) {
				continue
			}
			if c.allows(i.Groups, true, c.listed(service)) {
				return true, ""
			}
			return false, fmt.Sprintf("its groups do not let it out to the prefix list of %s", service)
		}
	}
	if to, ok := c.quirks.resolves[service]; ok {
		return c.leadsAway(i, netip.MustParseAddr(to))
	}
	if !c.routed(i, leavesVPC) {
		return false, fmt.Sprintf("no endpoint of %s and no route to the Internet", service)
	}
	to := c.listed(service)
	to.addresses = append(to.addresses, internet...)
	if !c.allows(i.Groups, true, to) {
		return false, "its groups do not let it out to the Internet"
	}
	return true, ""
}

// leadsAway tells whether an interface leads to an address in another VPC: where
// the most specific route says, which a transit gateway, a peering or a core
// network must be. What is at the other end lets it in, if it is not told of.
// https://docs.aws.amazon.com/vpc/latest/userguide/how-aws-works.html
func (c *EC2) leadsAway(i *types.NetworkInterface, to netip.Addr) (bool, string) {
	if !c.routed(i, func(t *types.RouteTable) bool {
		best, away := -1, false
		for _, r := range t.Routes {
			for _, d := range prefixes(aws.ToString(r.DestinationCidrBlock)) {
				if d.Contains(to) && d.Bits() > best {
					best = d.Bits()
					away = r.State != types.RouteStateBlackhole && (r.TransitGatewayId != nil || r.VpcPeeringConnectionId != nil || r.CoreNetworkArn != nil)
				}
			}
		}
		return away
	}) {
		return false, fmt.Sprintf("no route to the central endpoint %s", to)
	}
	if !c.allows(i.Groups, true, peer{addresses: []netip.Addr{to}}) {
		return false, fmt.Sprintf("its groups do not let it out to the central endpoint %s", to)
	}
	for _, end := range c.NetworkInterfaces {
		if aws.ToString(end.PrivateIpAddress) == to.String() && !c.allows(end.Groups, false, c.peerOf(i)) {
			return false, fmt.Sprintf("the groups of the central endpoint %s do not let it in", to)
		}
	}
	return true, ""
}

// leadsToEndpoint: one of the endpoint's interfaces is enough, and both ends must allow it.
func (c *EC2) leadsToEndpoint(i *types.NetworkInterface, e *types.VpcEndpoint) (bool, string) {
	from := c.peerOf(i)
	var ends []*types.NetworkInterface
	for _, id := range e.NetworkInterfaceIds {
		if end := c.networkInterface(id); end != nil {
			ends = append(ends, end)
		}
	}
	if len(ends) == 0 {
		// Not told of: then all that is known is the endpoint's subnets and groups.
		for _, s := range e.SubnetIds {
			ends = append(ends, &types.NetworkInterface{SubnetId: aws.String(s), VpcId: e.VpcId})
		}
	}
	why := fmt.Sprintf("endpoint %s has no network interface", *e.VpcEndpointId)
	for _, end := range ends {
		groups := end.Groups
		if len(groups) == 0 {
			for _, g := range e.Groups {
				groups = append(groups, types.GroupIdentifier{GroupId: g.GroupId})
			}
			end = new(*end)
			end.Groups = groups
		}
		switch {
		case !c.allows(i.Groups, true, c.peerOf(end)):
			why = fmt.Sprintf("its groups do not let it out to endpoint %s", *e.VpcEndpointId)
		case !c.allows(groups, false, from):
			why = fmt.Sprintf("the groups of endpoint %s do not let it in", *e.VpcEndpointId)
		default:
			return true, ""
		}
	}
	return false, why
}

// peerOf is an interface as rules see it.
func (c *EC2) peerOf(i *types.NetworkInterface) peer {
	var p peer
	for _, g := range i.Groups {
		p.groups = append(p.groups, aws.ToString(g.GroupId))
	}
	add := func(s *string) {
		if a, err := netip.ParseAddr(aws.ToString(s)); err == nil {
			p.addresses = append(p.addresses, a)
		}
	}
	add(i.PrivateIpAddress)
	for _, a := range i.PrivateIpAddresses {
		add(a.PrivateIpAddress)
	}
	for _, a := range i.Ipv6Addresses {
		add(a.Ipv6Address)
	}
	if len(p.addresses) == 0 {
		if s := c.subnet(aws.ToString(i.SubnetId)); s != nil {
			p.blocks = prefixes(aws.ToString(s.CidrBlock))
		} else if v := c.vpc(aws.ToString(i.VpcId)); v != nil {
			p.blocks = prefixes(aws.ToString(v.CidrBlock))
		}
		if len(p.blocks) == 0 {
			p.blocks = prefixes("0.0.0.0/0")
		}
	}
	return p
}

// listed are the addresses in the prefix list of a service, which only a gateway endpoint has.
func (c *EC2) listed(service string) peer {
	var p peer
	for _, l := range c.PrefixLists {
		if strings.HasSuffix(aws.ToString(l.PrefixListName), "."+service) {
			p.blocks = append(p.blocks, prefixes(l.Cidrs...)...)
			p.groups = append(p.groups, *l.PrefixListId) // a rule may name the list itself
		}
	}
	return p
}

func prefixes(all ...string) []netip.Prefix {
	var to []netip.Prefix
	for _, s := range all {
		if p, err := netip.ParsePrefix(s); err == nil {
			to = append(to, p.Masked())
		}
	}
	return to
}

// allows tells whether any rule of the groups allows TCP 443 with a peer.
// https://docs.aws.amazon.com/vpc/latest/userguide/security-group-rules.html
func (c *EC2) allows(groups []types.GroupIdentifier, egress bool, with peer) bool {
	for _, g := range groups {
		for _, r := range c.rules(aws.ToString(g.GroupId), egress) {
			if *r.IpProtocol != "-1" && (*r.IpProtocol != "tcp" || *r.FromPort > httpsPort || *r.ToPort < httpsPort) {
				continue
			}
			blocks := prefixes(aws.ToString(r.CidrIpv4), aws.ToString(r.CidrIpv6))
			if r.PrefixListId != nil {
				if slices.Contains(with.groups, *r.PrefixListId) {
					return true
				}
				if l := c.prefixList(*r.PrefixListId); l != nil {
					blocks = append(blocks, prefixes(l.Cidrs...)...)
				}
			}
			if r.ReferencedGroupInfo != nil && slices.Contains(with.groups, aws.ToString(r.ReferencedGroupInfo.GroupId)) {
				return true
			}
			for _, b := range blocks {
				if slices.ContainsFunc(with.addresses, b.Contains) ||
					slices.ContainsFunc(with.blocks, func(o netip.Prefix) bool { return b.Bits() <= o.Bits() && b.Contains(o.Addr()) }) {
					return true
				}
			}
		}
	}
	return false
}

// routed tells whether the route table of an interface's subnet is such a one.
// A subnet that no table names uses the VPC's main table.
// https://docs.aws.amazon.com/vpc/latest/userguide/subnet-route-tables.html
func (c *EC2) routed(i *types.NetworkInterface, such func(*types.RouteTable) bool) bool {
	var main *types.RouteTable
	for _, t := range c.RouteTables {
		for _, a := range t.Associations {
			if a.SubnetId != nil && *a.SubnetId == aws.ToString(i.SubnetId) {
				return such(t)
			}
			if aws.ToBool(a.Main) && aws.ToString(t.VpcId) == aws.ToString(i.VpcId) {
				main = t
			}
		}
	}
	return main != nil && such(main)
}

// leavesVPC: anything but local routes and gateway endpoints leads out.
func leavesVPC(t *types.RouteTable) bool {
	return slices.ContainsFunc(t.Routes, func(r types.Route) bool {
		all := aws.ToString(r.DestinationCidrBlock) == "0.0.0.0/0" || aws.ToString(r.DestinationIpv6CidrBlock) == "::/0"
		return all && r.State != types.RouteStateBlackhole
	})
}
