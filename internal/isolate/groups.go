package isolate

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
	"github.com/aws/smithy-go"
)

// kind is what a group of ours is for; the value of its tag cordon:group.
type kind string

const (
	quarantine kind = "quarantine" // nothing in, nothing out
	capture    kind = "capture"    // nothing in; out TCP 443 to the listed endpoints
	conversion kind = "conversion" // everything in and out, for a moment
)

const (
	tagGroup = "cordon:group"
	tagStack = "cordon:stack"
)

var kinds = []kind{quarantine, capture, conversion}

// names are those a group may have, in order. A group of the first name that
// does not carry our tags is somebody else's, and then it is the second.
func (k kind) names() [2]string {
	name := map[kind]string{quarantine: "quarantine-sg", capture: "cordon-capture", conversion: "cordon-conversion"}[k]
	return [2]string{name, name + "-cordon"}
}

func (k kind) description() string {
	return map[kind]string{
		quarantine: "Cordon: nothing in, nothing out. Checked and mended by Cordon.",
		capture:    "Cordon: out to the endpoints of a memory capture. Checked and mended by Cordon.",
		conversion: "Cordon: makes flows untracked. Interfaces pass through, none stays.",
	}[k]
}

// group is one of ours in one VPC. Without an ID it does not exist; err then
// says why, and otherwise why its rules are not known to be right.
type group struct {
	vpc, id, name string
	kind          kind
	fresh         bool // made by this run
	err           error
	rules         []ruled
}

// usable is false for a group that is as open as the day it was made.
func (g *group) usable() bool { return g.id != "" && (g.err == nil || !g.fresh) }

// unseen tells that the answer does not hold a new group's rules yet. EC2 gives every new
// group a rule that lets everything out; if it is not to be seen, the answer is
// older than the group.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
func (g *group) unseen() bool { return g.fresh && len(g.rules) == 0 && g.kind != conversion }

// groups are all of ours in the VPCs of an instance.
type groups struct {
	all   []*group // by VPC, then kind
	notes []string // what people should know of names
}

func (gs *groups) of(vpc string, k kind) *group {
	for _, g := range gs.all {
		if g.vpc == vpc && g.kind == k {
			return g
		}
	}
	return &group{vpc: vpc, kind: k, err: fmt.Errorf("no %s group is known in %q", k, vpc)}
}

// holds tells whether an interface is in our group of that kind, among others.
func (gs *groups) holds(i types.NetworkInterface, k kind) bool {
	g := gs.of(aws.ToString(i.VpcId), k)
	return g.id != "" && slices.Contains(groupIDs(i), g.id)
}

// place is where an interface stands. In one of ours and another group it is
// open, because rules add up.
func (gs *groups) place(i types.NetworkInterface) incident.Place {
	switch {
	case len(i.Groups) == 1 && gs.holds(i, quarantine):
		return incident.Quarantined
	case len(i.Groups) == 1 && gs.holds(i, capture):
		return incident.Capturing
	}
	return incident.Open
}

// holding is our group in which an interface stands.
func (gs *groups) holding(i types.NetworkInterface, p incident.Place) *group {
	return gs.of(aws.ToString(i.VpcId), kind(p))
}

// foreign are the groups of an interface that are not ours.
func (gs *groups) foreign(i types.NetworkInterface) []string {
	return slices.DeleteFunc(groupIDs(i), func(id string) bool {
		return slices.ContainsFunc(gs.all, func(g *group) bool { return g.id == id })
	})
}

// target is where interfaces of a VPC belong. Where the capture group cannot be
// had, or not as it should be, it is quarantine: memory must not cost isolation.
func (gs *groups) target(in Input, vpc string) *group {
	if c := gs.of(vpc, capture); wantsCapture(in, vpc) && c.id != "" && c.err == nil {
		return c
	}
	return gs.of(vpc, quarantine)
}

// insteadOf is why a VPC's interfaces go elsewhere than planned.
func (gs *groups) insteadOf(in Input, vpc string, to *group) string {
	if to.kind == quarantine && wantsCapture(in, vpc) {
		return "memory cannot be captured: " + line(gs.of(vpc, capture).err)
	}
	return ""
}

func wantsCapture(in Input, vpc string) bool { return !in.Seal && plan(in, vpc).Complete }

func plan(in Input, vpc string) incident.Capture {
	for _, c := range in.Capture {
		if c.VPC == vpc {
			return c
		}
	}
	return incident.Capture{}
}

// used are the groups in which an interface may end.
func (gs *groups) used() []*group {
	var used []*group
	for _, g := range gs.all {
		if g.id != "" && g.kind != conversion {
			used = append(used, g)
		}
	}
	return used
}

// opened lists groups in which the last run left interfaces and to which
// somebody has added rules since.
func (gs *groups) opened(in Input, before Output) []string {
	var ids []string
	for _, g := range gs.all {
		if extra, _ := g.compare(in); len(extra) > 0 && slices.ContainsFunc(before.Interfaces, func(i incident.Interface) bool {
			return i.Where != incident.Open && slices.Contains(i.Groups, g.id)
		}) {
			ids = append(ids, g.id)
		}
	}
	return ids
}

// find looks for our groups in the VPCs of the interfaces.
func (s *Step) find(ctx context.Context, interfaces []types.NetworkInterface) (*groups, error) {
	var vpcs []string
	for _, i := range interfaces {
		vpcs = append(vpcs, aws.ToString(i.VpcId))
	}
	slices.Sort(vpcs)
	vpcs = slices.Compact(vpcs)
	gs := &groups{}
	for _, vpc := range vpcs {
		for _, k := range kinds {
			gs.all = append(gs.all, &group{vpc: vpc, kind: k})
		}
	}
	standing, err := s.named(ctx, vpcs, kinds)
	if err != nil {
		return nil, err
	}
	for _, g := range gs.all {
		gs.notes = append(gs.notes, s.recognise(g, standing)...)
	}
	return gs, nil
}

// named describes all groups that have a name of ours.
func (s *Step) named(ctx context.Context, vpcs []string, kinds []kind) ([]types.SecurityGroup, error) {
	var names []string
	for _, k := range kinds {
		n := k.names()
		names = append(names, n[:]...)
	}
	var all []types.SecurityGroup
	pages := ec2.NewDescribeSecurityGroupsPaginator(s.ec2, &ec2.DescribeSecurityGroupsInput{
		Filters: []types.Filter{filter("vpc-id", vpcs...), filter("group-name", names...)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look for groups in %s: %w", strings.Join(vpcs, ", "), err)
		}
		all = append(all, page.SecurityGroups...)
	}
	return all, nil
}

// recognise fills in a group if it stands, else the name to make it under.
// Notes tell of names that somebody else uses.
func (s *Step) recognise(g *group, standing []types.SecurityGroup) (notes []string) {
	g.id, g.name, g.err = "", "", nil
	for _, name := range g.kind.names() {
		n := slices.IndexFunc(standing, func(sg types.SecurityGroup) bool {
			return aws.ToString(sg.VpcId) == g.vpc && aws.ToString(sg.GroupName) == name
		})
		if n < 0 {
			g.name = cmp.Or(g.name, name)
			continue
		}
		if tagged(standing[n].Tags, tagGroup, string(g.kind)) && tagged(standing[n].Tags, tagStack, s.stack) {
			g.id, g.name = aws.ToString(standing[n].GroupId), name
			break
		}
		notes = append(notes, fmt.Sprintf("%s (%s) in %s is not this stack's and is left alone", aws.ToString(standing[n].GroupId), name, g.vpc))
	}
	if g.name == "" {
		g.err = fmt.Errorf("no name is free for the %s group in %s: %s", g.kind, g.vpc, strings.Join(notes, ", "))
	}
	return notes
}

func tagged(tags []types.Tag, key, value string) bool {
	return slices.ContainsFunc(tags, func(t types.Tag) bool {
		return aws.ToString(t.Key) == key && aws.ToString(t.Value) == value
	})
}

// prepare makes the groups that will be needed and reads their rules. It returns
// those that stand. What goes wrong stays with the group.
func (s *Step) prepare(ctx context.Context, in Input, interfaces []types.NetworkInterface, gs *groups) []*group {
	var need, missing []*group
	for _, g := range gs.all {
		// A conversion group that stands is checked whether it is needed or not.
		if !gs.needed(in, interfaces, g) && (g.kind != conversion || g.id == "") || g.kind == conversion && s.direct {
			continue
		}
		need = append(need, g)
		if g.id == "" {
			missing = append(missing, g)
		}
	}
	s.create(ctx, missing)
	need = slices.DeleteFunc(need, func(g *group) bool { return g.id == "" })
	err := s.readRules(ctx, need)
	if err == nil && slices.ContainsFunc(need, (*group).unseen) {
		err = s.readRules(ctx, need) // once: EC2's answers may be older than its groups
	}
	for _, g := range need {
		g.err = err
		if err == nil && g.unseen() {
			g.err = fmt.Errorf("the rules of the new group %s (%s) are not to be seen yet", g.id, g.name)
		}
	}
	return need
}

// needed: quarantine always, as the way out whatever happens; capture where an
// interface is or may go; conversion where one has yet to be cut off.
func (gs *groups) needed(in Input, interfaces []types.NetworkInterface, g *group) bool {
	return slices.ContainsFunc(interfaces, func(i types.NetworkInterface) bool {
		if aws.ToString(i.VpcId) != g.vpc {
			return false
		}
		here := gs.place(i)
		switch g.kind {
		case capture:
			// Another incident may need it with other rules than we know of.
			return plan(in, g.vpc).Complete && (here == incident.Capturing || !in.Seal && here == incident.Open)
		case conversion:
			return here == incident.Open && !gs.holds(i, conversion)
		}
		return true
	})
}

// create makes groups side by side. Another execution may be as fast: then
// theirs is ours.
func (s *Step) create(ctx context.Context, missing []*group) {
	s.host.Each(len(missing), func(n int) {
		g := missing[n]
		if g.id != "" || g.err != nil {
			return
		}
		in := &ec2.CreateSecurityGroupInput{
			GroupName: &g.name, Description: aws.String(g.kind.description()), VpcId: &g.vpc,
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSecurityGroup, Tags: []types.Tag{
				{Key: aws.String("Name"), Value: &g.name},
				{Key: aws.String(tagGroup), Value: aws.String(string(g.kind))},
				{Key: aws.String(tagStack), Value: &s.stack},
			}}},
		}
		out, err := s.ec2.CreateSecurityGroup(ctx, in)
		// Without an answer it may stand or not. A name is free once in a VPC, so
		// asking again makes no second one; left at that, a capture group would be
		// missed, and quarantine would cost the memory image.
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
		var answer smithy.APIError
		lost := err != nil && !errors.As(err, &answer)
		if lost {
			out, err = s.ec2.CreateSecurityGroup(ctx, in)
		}
		switch {
		case err == nil:
			g.id, g.fresh = aws.ToString(out.GroupId), true
			return
		case is(err, "InvalidGroup.Duplicate"):
			var standing []types.SecurityGroup
			if standing, err = s.named(ctx, []string{g.vpc}, []kind{g.kind}); err == nil {
				name := g.name
				s.recognise(g, standing)
				if g.id != "" {
					g.fresh = lost // made a moment ago, by us or another
					return
				}
				err = fmt.Errorf("%s exists and cannot be seen as ours yet", name)
			}
		}
		g.err = fmt.Errorf("make group %s in %s: %w", g.name, g.vpc, err)
	})
}

// rule is one rule of a group, without its ID: two that are equal allow the same.
type rule struct {
	egress   bool
	protocol string
	from, to int32  // 0 where the protocol is all
	peer     string // network, prefix list or group
}

type ruled struct {
	rule
	id string
}

const everything = "-1" // every protocol

// wanted are the rules a group must have, and no others.
func (g *group) wanted(in Input) []rule {
	var want []rule
	switch g.kind {
	case conversion:
		for _, egress := range []bool{false, true} {
			for _, network := range []string{"0.0.0.0/0", "::/0"} {
				want = append(want, rule{egress: egress, protocol: everything, peer: network})
			}
		}
	case capture:
		c := plan(in, g.vpc)
		for _, peer := range slices.Concat(c.CIDRs, c.Prefixes, c.Groups) {
			want = append(want, rule{egress: true, protocol: "tcp", from: 443, to: 443, peer: canonical(peer)})
		}
	}
	return want
}

// canonical is a network as EC2 writes it; anything else is returned as it is.
func canonical(peer string) string {
	if p, err := netip.ParsePrefix(peer); err == nil {
		return p.String()
	}
	return peer
}

// readRules reads the rules of groups, all pages of all of them in one request.
func (s *Step) readRules(ctx context.Context, of []*group) error {
	if len(of) == 0 {
		return nil
	}
	ids := make([]string, len(of))
	rules := map[string][]ruled{}
	for n, g := range of {
		ids[n] = g.id
	}
	pages := ec2.NewDescribeSecurityGroupRulesPaginator(s.ec2, &ec2.DescribeSecurityGroupRulesInput{
		Filters: []types.Filter{filter("group-id", ids...)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read rules of %s: %w", strings.Join(ids, ", "), err)
		}
		for _, r := range page.SecurityGroupRules {
			id := aws.ToString(r.GroupId)
			rules[id] = append(rules[id], ruled{asRule(r), aws.ToString(r.SecurityGroupRuleId)})
		}
	}
	for _, g := range of {
		g.rules = rules[g.id]
	}
	return nil
}

func asRule(r types.SecurityGroupRule) rule {
	peer := cmp.Or(aws.ToString(r.CidrIpv4), aws.ToString(r.CidrIpv6), aws.ToString(r.PrefixListId))
	if r.ReferencedGroupInfo != nil {
		peer = aws.ToString(r.ReferencedGroupInfo.GroupId)
	}
	got := rule{egress: aws.ToBool(r.IsEgress), protocol: aws.ToString(r.IpProtocol), peer: canonical(peer)}
	if got.protocol != everything {
		got.from, got.to = aws.ToInt32(r.FromPort), aws.ToInt32(r.ToPort)
	}
	return got
}

// wrong says how a group's rules, as read last, differ from what they must be.
func (g *group) wrong(in Input) string {
	extra, lacking := g.compare(in)
	if len(extra)+len(lacking) == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s) has %d rules too many and lacks %d", g.id, g.name, len(extra), len(lacking))
}

func (g *group) compare(in Input) (extra []ruled, lacking []rule) {
	want := g.wanted(in)
	for _, r := range g.rules {
		if !slices.Contains(want, r.rule) {
			extra = append(extra, r)
		}
	}
	for _, w := range want {
		if !slices.ContainsFunc(g.rules, func(r ruled) bool { return r.rule == w }) && !slices.Contains(lacking, w) {
			lacking = append(lacking, w)
		}
	}
	return extra, lacking
}

// mend takes away what a group should not allow and adds what it lacks, side by
// side. That another execution does the same at the same moment is no error.
// A group whose rules are not known stays as it is.
func (s *Step) mend(ctx context.Context, in Input, g *group) {
	if g.err != nil {
		return
	}
	extra, lacking := g.compare(in)
	var ingress, egress []string
	for _, r := range extra {
		if r.egress {
			egress = append(egress, r.id)
		} else {
			ingress = append(ingress, r.id)
		}
	}
	var allowIn, allowOut []types.IpPermission
	for _, r := range lacking {
		if r.egress {
			allowOut = append(allowOut, r.permission(in, g.vpc))
		} else {
			allowIn = append(allowIn, r.permission(in, g.vpc))
		}
	}
	errs := make([]error, 4)
	s.host.Each(4, func(n int) {
		switch {
		case n == 0 && len(ingress) > 0:
			_, errs[n] = s.ec2.RevokeSecurityGroupIngress(ctx, &ec2.RevokeSecurityGroupIngressInput{GroupId: &g.id, SecurityGroupRuleIds: ingress})
		case n == 1 && len(egress) > 0:
			_, errs[n] = s.ec2.RevokeSecurityGroupEgress(ctx, &ec2.RevokeSecurityGroupEgressInput{GroupId: &g.id, SecurityGroupRuleIds: egress})
		case n == 2 && len(allowIn) > 0:
			_, errs[n] = s.ec2.AuthorizeSecurityGroupIngress(ctx, &ec2.AuthorizeSecurityGroupIngressInput{GroupId: &g.id, IpPermissions: allowIn})
		case n == 3 && len(allowOut) > 0:
			_, errs[n] = s.ec2.AuthorizeSecurityGroupEgress(ctx, &ec2.AuthorizeSecurityGroupEgressInput{GroupId: &g.id, IpPermissions: allowOut})
		}
		if is(errs[n], "InvalidSecurityGroupRuleId.NotFound", "InvalidPermission.NotFound", "InvalidPermission.Duplicate") {
			errs[n] = nil
		}
	})
	if err := errors.Join(errs...); err != nil {
		g.err = fmt.Errorf("mend the rules of %s (%s): %w", g.id, g.name, err)
	}
}

// permission is a rule as EC2 wants to be told of it.
func (r rule) permission(in Input, vpc string) types.IpPermission {
	p := types.IpPermission{IpProtocol: aws.String(r.protocol)}
	if r.protocol != everything {
		p.FromPort, p.ToPort = aws.Int32(r.from), aws.Int32(r.to)
	}
	c := plan(in, vpc)
	switch {
	case slices.Contains(c.Prefixes, r.peer):
		p.PrefixListIds = []types.PrefixListId{{PrefixListId: aws.String(r.peer)}}
	case slices.Contains(c.Groups, r.peer):
		p.UserIdGroupPairs = []types.UserIdGroupPair{{GroupId: aws.String(r.peer)}}
	case strings.Contains(r.peer, ":"):
		p.Ipv6Ranges = []types.Ipv6Range{{CidrIpv6: aws.String(r.peer)}}
	default:
		p.IpRanges = []types.IpRange{{CidrIp: aws.String(r.peer)}}
	}
	return p
}

// is tells whether EC2 refused with one of the codes.
func is(err error, codes ...string) bool {
	var api smithy.APIError
	return errors.As(err, &api) && slices.Contains(codes, api.ErrorCode())
}
