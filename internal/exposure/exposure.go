// Package exposure works out what isolation leaves open around one instance: by
// which ways flows may live on, who sits on the same network, what answers
// still. It only reads, after the instance is cut off, and nothing waits for it.
package exposure

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	ec2.DescribeNetworkInterfacesAPIClient
	ec2.DescribeRouteTablesAPIClient
	DescribeVpcAttribute(context.Context, *ec2.DescribeVpcAttributeInput, ...func(*ec2.Options)) (*ec2.DescribeVpcAttributeOutput, error)
}

// SSM is the part of the SSM API this step calls.
type SSM interface {
	ssm.DescribeSessionsAPIClient
}

// Incidents is the incidents table.
type Incidents interface {
	record.Putter
}

const (
	// stepName is this step's key in the record.
	stepName = "exposure"
	// shown is how many of a kind are named.
	shown = 5
)

// Step works out what stays open.
type Step struct {
	host      incident.Host
	ec2       EC2
	ssm       SSM
	incidents Incidents
	table     string
	dry       bool // a dry run: nothing is recorded
}

// New reads INCIDENTS_TABLE, and, where it is set, DRY_RUN.
func New(host incident.Host, ec2 EC2, ssm SSM, incidents Incidents) (*Step, error) {
	table, err := host.Setting("INCIDENTS_TABLE")
	if err != nil {
		return nil, err
	}
	return &Step{host: host, ec2: ec2, ssm: ssm, incidents: incidents, table: table, dry: host.Getenv("DRY_RUN") == "true"}, nil
}

// Input is the instance as it was described when the incident was opened, and what
// its memory may be captured through.
type Input struct {
	Incident incident.Incident  `json:"incident"`
	Instance incident.Instance  `json:"instance"`
	Capture  []incident.Capture `json:"capture"` // one a VPC
}

// Output is what was found.
type Output = incident.Exposure

// Run asks side by side. What cannot be looked up is said to be unknown, with the
// reason: an answer that is not to be had never fails the step.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	parts := make([][]incident.Opening, 5)
	s.host.Each(len(parts), func(n int) {
		switch n {
		case 0:
			parts[n] = s.ways(ctx, in.Instance.VPCs)
		case 1:
			parts[n] = s.routes(ctx, in)
		case 2:
			parts[n] = []incident.Opening{s.resolver(ctx, in.Instance.VPCs)}
		case 3:
			parts[n] = []incident.Opening{metadata(in.Instance), cluster(in.Instance)}
		case 4:
			parts[n] = []incident.Opening{s.sessions(ctx, in.Incident.InstanceID)}
		}
	})
	out := Output{Report: incident.Report{Status: incident.OK}, Openings: append(slices.Concat(parts...), buckets(in.Capture)...)}
	unseen(out.Openings)
	var unknown []string
	for _, o := range out.Openings {
		if o.State == incident.Unknown {
			unknown = append(unknown, o.What)
		}
	}
	if len(unknown) > 0 {
		out.Status, out.Reason = incident.Partial, "not known: "+strings.Join(unknown, ", ")
	}
	if s.dry {
		return out, nil
	}
	if err := record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, out); err != nil {
		return Output{}, fmt.Errorf("keep what stays open of %s: %w", in.Incident.InstanceID, err)
	}
	return out, nil
}

// buckets says whether what a capture goes through leads to other buckets, too:
// nothing where there is no capture, and not known of endpoints that are another
// account's.
func buckets(all []incident.Capture) []incident.Opening {
	var notes, assumed []string
	captures := false
	for _, c := range all {
		if c.Complete {
			captures, notes, assumed = true, append(notes, c.Notes...), append(assumed, c.Assumed...)
		}
	}
	switch {
	case !captures:
		return nil
	case len(notes) == 0 && len(assumed) > 0:
		return []incident.Opening{unknown("buckets", fmt.Errorf("taken for granted: %s", strings.Join(assumed, ", ")))}
	}
	return []incident.Opening{found("buckets", notes)}
}

func found(what string, all []string) incident.Opening {
	if len(all) == 0 {
		return incident.Opening{What: what, State: incident.None}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	detail := strings.Join(all[:min(len(all), shown)], ", ")
	if n := len(all) - shown; n > 0 {
		detail += fmt.Sprintf(" (+%d)", n)
	}
	return incident.Opening{What: what, State: incident.Found, Detail: detail}
}

// unseen makes unknown what was not found in a VPC that another account shares:
// whoever takes part in it sees none of its owner's resources.
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-sharing.html
func unseen(all []incident.Opening) {
	n := slices.IndexFunc(all, func(o incident.Opening) bool { return o.What == "shared" && o.State == incident.Found })
	if n < 0 {
		return
	}
	for i, o := range all {
		if slices.Contains([]string{"nat", "balancer", "transit", "endpoint", "connect"}, o.What) && o.State == incident.None {
			all[i] = unknown(o.What, fmt.Errorf("not seen from this account in %s", all[n].Detail))
		}
	}
}

func unknown(what string, err error) incident.Opening {
	return incident.Opening{What: what, State: incident.Unknown, Detail: err.Error()}
}

// kinds are the interfaces of services by which flows stay tracked whatever group
// they pass through, and tunnels to instances. A NAT gateway's type is written
// in two ways.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/connect-with-ec2-instance-connect-endpoint.html
var kinds = map[string]string{
	"nat_gateway": "nat", "natGateway": "nat", "network_load_balancer": "balancer", "gateway_load_balancer": "balancer",
	"transit_gateway": "transit", "vpc_endpoint": "endpoint", "gateway_load_balancer_endpoint": "endpoint", "ec2_instance_connect_endpoint": "connect",
}

// ways are what stands in the VPCs by which flows may live on, as the interfaces
// of services show it: one request in place of five.
func (s *Step) ways(ctx context.Context, vpcs []string) []incident.Opening {
	all := map[string][]string{"nat": nil, "balancer": nil, "transit": nil, "endpoint": nil, "connect": nil}
	names := slices.Sorted(maps.Keys(all))
	var failed error
	pages := ec2.NewDescribeNetworkInterfacesPaginator(s.ec2, &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{
		filter("vpc-id", vpcs...),
		filter("interface-type", "nat_gateway", "network_load_balancer", "gateway_load_balancer", "transit_gateway", "vpc_endpoint", "gateway_load_balancer_endpoint", "ec2_instance_connect_endpoint"),
	}})
	for failed == nil && pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			failed = fmt.Errorf("describe interfaces of services: %w", err)
			break
		}
		for _, i := range page.NetworkInterfaces {
			if what, ok := kinds[string(i.InterfaceType)]; ok {
				all[what] = append(all[what], aws.ToString(i.NetworkInterfaceId)+" in "+aws.ToString(i.VpcId))
			}
		}
	}
	var openings []incident.Opening
	for _, what := range names {
		if failed != nil {
			openings = append(openings, unknown(what, failed))
		} else {
			openings = append(openings, found(what, all[what]))
		}
	}
	return openings
}

// routes tell of peered VPCs, and of a VPC that another account shares: whoever
// takes part in it sees the tables of its subnets, under their owner.
// https://docs.aws.amazon.com/vpc/latest/userguide/vpc-sharing.html
func (s *Step) routes(ctx context.Context, in Input) []incident.Opening {
	var peered, shared []string
	pages := ec2.NewDescribeRouteTablesPaginator(s.ec2, &ec2.DescribeRouteTablesInput{Filters: []types.Filter{filter("vpc-id", in.Instance.VPCs...)}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			err = fmt.Errorf("describe route tables: %w", err)
			return []incident.Opening{unknown("peering", err), unknown("shared", err)}
		}
		for _, t := range page.RouteTables {
			if owner := aws.ToString(t.OwnerId); owner != "" && owner != in.Incident.Account {
				shared = append(shared, aws.ToString(t.VpcId)+" of "+owner)
			}
			for _, r := range t.Routes {
				if id := aws.ToString(r.VpcPeeringConnectionId); id != "" && r.State != types.RouteStateBlackhole {
					peered = append(peered, id)
				}
			}
		}
	}
	return []incident.Opening{found("peering", peered), found("shared", shared)}
}

// resolver is whether the VPCs' own resolver answers.
// https://docs.aws.amazon.com/vpc/latest/userguide/AmazonDNS-concepts.html
func (s *Step) resolver(ctx context.Context, vpcs []string) incident.Opening {
	var answers []string
	for _, vpc := range vpcs {
		out, err := s.ec2.DescribeVpcAttribute(ctx, &ec2.DescribeVpcAttributeInput{VpcId: &vpc, Attribute: types.VpcAttributeNameEnableDnsSupport})
		if err != nil {
			return unknown("dns", fmt.Errorf("describe the DNS support of %s: %w", vpc, err))
		}
		if out.EnableDnsSupport == nil || aws.ToBool(out.EnableDnsSupport.Value) {
			answers = append(answers, vpc)
		}
	}
	return found("dns", answers)
}

func metadata(i incident.Instance) incident.Opening {
	switch i.Metadata {
	case incident.MetadataOff:
		return incident.Opening{What: "metadata", State: incident.None}
	case "":
		return incident.Opening{What: "metadata", State: incident.Unknown, Detail: "EC2 did not tell the instance's metadata options"}
	}
	return incident.Opening{What: "metadata", State: incident.Found, Detail: string(i.Metadata)}
}

// clusters are how the tags of a node begin that say so.
// https://docs.aws.amazon.com/eks/latest/userguide/eks-using-tags.html
// https://karpenter.sh/docs/concepts/nodeclasses/
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/asg-capacity-providers.html
var clusters = []string{"kubernetes.io/cluster/", "eks:cluster-name", "aws:eks:cluster-name", "karpenter.sh/", "AmazonECSManaged", "aws:ecs:"}

// cluster goes by tags: an ECS instance that joined by hand has none.
func cluster(i incident.Instance) incident.Opening {
	var tags []string
	for key, value := range i.Tags {
		if slices.ContainsFunc(clusters, func(p string) bool { return strings.HasPrefix(key, p) }) {
			tags = append(tags, key+"="+value)
		}
	}
	return found("cluster", tags)
}

// sessions are those of Session Manager that are open at the time, whether
// somebody is connected or not.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html
func (s *Step) sessions(ctx context.Context, instance string) incident.Opening {
	var all []string
	pages := ssm.NewDescribeSessionsPaginator(s.ssm, &ssm.DescribeSessionsInput{
		State: ssmtypes.SessionStateActive, Filters: []ssmtypes.SessionFilter{{Key: ssmtypes.SessionFilterKeyTargetId, Value: &instance}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return unknown("session", fmt.Errorf("describe sessions: %w", err))
		}
		for _, x := range page.Sessions {
			all = append(all, aws.ToString(x.SessionId)+" of "+aws.ToString(x.Owner))
		}
	}
	return found("session", all)
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}
