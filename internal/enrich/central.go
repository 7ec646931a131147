package enrich

import (
	"cmp"
	"fmt"
	"net/netip"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// widestCentral is the shortest prefix that CENTRAL_ENDPOINT_CIDRS may have:
// an isolated host may connect to everything in these networks.
const widestCentral = 16

// carrier is what VPCs may use besides the private networks.
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-cidr-blocks.html
var carrier = netip.MustParsePrefix("100.64.0.0/10")

// centralNetworks reads the networks in which endpoints of a central VPC stand.
// Private ones only: a public network would be a way out.
func centralNetworks(list string) (all []netip.Prefix, err error) {
	for s := range strings.SplitSeq(list, ",") {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		p, err := netip.ParsePrefix(s)
		wrong := ""
		switch {
		case err != nil:
			wrong = "is not a network such as 10.9.0.0/24"
		case !p.Addr().Is4():
			wrong = "is IPv6; central endpoints are named by IPv4"
		case p.Bits() < widestCentral:
			wrong = fmt.Sprintf("is wider than /%d; name the subnets of the endpoints", widestCentral)
		case !p.Addr().IsPrivate() && !carrier.Contains(p.Addr()):
			wrong = "is not private: an isolated host would have a way out"
		}
		if wrong != "" {
			return nil, fmt.Errorf("environment variable CENTRAL_ENDPOINT_CIDRS: %q %s", s, wrong)
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// leads tells whether a route table sends what is for a network to another VPC:
// over a transit gateway, a peering or a core network. Where a route names a
// managed prefix list, what is in it is not known here, and it counts.
// https://docs.aws.amazon.com/vpc/latest/userguide/how-aws-works.html#route-tables-priority
func leads(t types.RouteTable, to netip.Prefix) bool {
	best, elsewhere := -1, false
	for _, r := range t.Routes {
		away := cmp.Or(aws.ToString(r.TransitGatewayId), aws.ToString(r.VpcPeeringConnectionId), aws.ToString(r.CoreNetworkArn)) != ""
		if r.State == types.RouteStateBlackhole {
			away = false
		}
		if r.DestinationPrefixListId != nil && away {
			return true
		}
		d, err := netip.ParsePrefix(aws.ToString(r.DestinationCidrBlock))
		if err == nil && d.Bits() <= to.Bits() && d.Contains(to.Addr()) && d.Bits() > best {
			best, elsewhere = d.Bits(), away
		}
	}
	return elsewhere
}

// central are those of the networks to which a VPC leads at all. They do not
// depend on the instance: its capture group is the VPC's.
func (n network) central(vpc string, networks []netip.Prefix) (led []netip.Prefix) {
	for _, p := range networks {
		for _, t := range n.tables {
			if aws.ToString(t.VpcId) == vpc && leads(t, p) {
				led = append(led, p)
				break
			}
		}
	}
	return led
}

// leadsToAny tells whether a subnet leads to one of the networks.
func (n network) leadsToAny(vpc, subnet string, networks []netip.Prefix) bool {
	id := n.table(vpc, subnet)
	for _, t := range n.tables {
		for _, p := range networks {
			if aws.ToString(t.RouteTableId) == id && leads(t, p) {
				return true
			}
		}
	}
	return false
}

// written is networks as text.
func written(networks []netip.Prefix) []string {
	all := make([]string, len(networks))
	for n, p := range networks {
		all[n] = p.String()
	}
	return all
}
