// Package isolate cuts an instance off from the network, interface by
// interface, by changing security groups.
//
// A change of group leaves tracked connections alive. So each interface passes
// through a group that allows everything both ways, which makes its flows
// untracked, and at once into one that allows nothing, which ends them:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/security-group-connection-tracking.html
// An interface caught between the two is open to the world. Closing it comes
// before everything else, and nothing that fails ever puts old groups back.
package isolate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// EC2 is the part of the EC2 API this step calls. Groups are tagged as they are
// made, which takes ec2:CreateTags under the condition ec2:CreateAction.
type EC2 interface {
	ec2.DescribeNetworkInterfacesAPIClient
	ec2.DescribeSecurityGroupsAPIClient
	ec2.DescribeSecurityGroupRulesAPIClient
	ModifyNetworkInterfaceAttribute(context.Context, *ec2.ModifyNetworkInterfaceAttributeInput, ...func(*ec2.Options)) (*ec2.ModifyNetworkInterfaceAttributeOutput, error)
	CreateSecurityGroup(context.Context, *ec2.CreateSecurityGroupInput, ...func(*ec2.Options)) (*ec2.CreateSecurityGroupOutput, error)
	AuthorizeSecurityGroupIngress(context.Context, *ec2.AuthorizeSecurityGroupIngressInput, ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupIngressOutput, error)
	AuthorizeSecurityGroupEgress(context.Context, *ec2.AuthorizeSecurityGroupEgressInput, ...func(*ec2.Options)) (*ec2.AuthorizeSecurityGroupEgressOutput, error)
	RevokeSecurityGroupIngress(context.Context, *ec2.RevokeSecurityGroupIngressInput, ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupIngressOutput, error)
	RevokeSecurityGroupEgress(context.Context, *ec2.RevokeSecurityGroupEgressInput, ...func(*ec2.Options)) (*ec2.RevokeSecurityGroupEgressOutput, error)
}

// Incidents is the part of DynamoDB this step calls, on the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
	record.Querier
}

const (
	// stepName is this step's key in the record.
	stepName = "isolate"
	// bareName is the key of how often the instance had no interfaces, and believed how
	// often that is taken for its end: five times in each of four states that ask.
	bareName = "bare"
	believed = 20
	// priorGroups is the attribute under which an interface's own groups are
	// remembered: a JSON list of group IDs, as described.
	priorGroups = "groups"
	// branched is why a trunk, whatever group it is in itself, is never contained.
	// The branch interfaces hang on it, not on the instance: they are not found
	// by attachment.instance-id, and their traffic is judged by their own groups.
	// https://docs.aws.amazon.com/eks/latest/userguide/security-groups-for-pods.html
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/container-instance-eni.html
	branched = "a trunk: branch interfaces of pods or tasks have groups of their own, which are not changed"
)

// Runs is how long one invocation may run: the function's time-out. What it holds
// is another's after that.
const Runs = 14 * time.Second

// Step isolates.
type Step struct {
	host  incident.Host
	ec2   EC2
	db    Incidents
	table string
	stack string
	dry   bool // a dry run: say what would be done
	// direct is conversion switched off: connections that are established stay.
	direct bool
}

// New reads INCIDENTS_TABLE and STACK_NAME, and, where they are set, DRY_RUN and
// CONVERT_CONNECTIONS, of which only "false" switches conversion off.
func New(host incident.Host, ec2 EC2, db Incidents) (*Step, error) {
	table, err := host.Setting("INCIDENTS_TABLE")
	if err != nil {
		return nil, err
	}
	stack, err := host.Setting("STACK_NAME")
	if err != nil {
		return nil, err
	}
	return &Step{host: host, ec2: ec2, db: db, table: table, stack: stack, dry: host.Getenv("DRY_RUN") == "true", direct: host.Getenv("CONVERT_CONNECTIONS") == "false"}, nil
}

// Input says which instance, and how far it is to be cut off.
type Input struct {
	Incident  incident.Incident  `json:"incident"`
	Execution string             `json:"execution"` // ARN of the one that asks
	Entry     string             `json:"entry"`     // of that execution into the state that asks: the same when it is retried
	Capture   []incident.Capture `json:"capture"`   // one a VPC
	Seal      bool               `json:"seal"`      // quarantine for all, whatever Capture says
}

// Output is what was found by describing again, after everything was done.
type Output = incident.Isolation

// look is what a run finds before it changes anything.
type look struct {
	interfaces []types.NetworkInterface // sorted by ID
	before     Output                   // as the last run left it
	inherited  []record.Prior           // of an earlier incident that was kept isolated
	incomplete error                    // what of the record could not be read
}

// Run is safe to repeat: it closes what an earlier run left open, then picks up
// where that one stopped. Its error wraps incident.ErrNotContained if, looked
// at again, an interface is not where it belongs, incident.ErrInstanceNotFound if
// there is no interface any more (ErrNotContained where it was said too often), and
// incident.ErrSuperseded if another execution has the incident: then only what
// stands in the conversion group is closed.
//
// Two invocations may be at it at once: of two executions, or of one that was
// stopped and redriven. One of them at a time may lead interfaces through the
// conversion group; what that one has contained the other would open again. It
// fails, and finds it contained when it is run again.
//
// When the groups exist and are as they should be, four calls one after another
// come before the first change and two after it, however many interfaces there
// are; then the result is saved.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if s.dry {
		return s.rehearse(ctx, in)
	}
	id := in.Incident.InstanceID
	l, err := s.look(ctx, in)
	if err != nil {
		return Output{}, err
	}
	if len(l.interfaces) == 0 && !errors.Is(l.incomplete, incident.ErrSuperseded) {
		return Output{}, fmt.Errorf("isolate %s: it has no network interfaces, as after a termination: %w", id, s.bare(ctx, in))
	}
	// What was sealed stays sealed: whoever looks again need not know how far the
	// incident is.
	in.Seal = in.Seal || l.before.Sealed
	groups, err := s.find(ctx, l.interfaces)
	if err != nil {
		return Output{}, fmt.Errorf("isolate %s: %w", id, err)
	}
	drift := undone(l.before, l.interfaces, groups)
	s.close(ctx, in, l.interfaces, groups)
	if l.incomplete != nil {
		return Output{}, fmt.Errorf("isolate %s: %w", id, l.incomplete)
	}

	need := s.prepare(ctx, in, l.interfaces, groups)
	drift = append(drift, groups.opened(in, l.before)...)
	if err := s.note(ctx, in, &l.before, drift); err != nil {
		return Output{}, fmt.Errorf("isolate %s: %w", id, err)
	}
	s.host.Each(len(need), func(n int) { s.mend(ctx, in, need[n]) })
	unrecorded, pass := s.begin(ctx, in, l, groups)
	moves := make([]move, len(l.interfaces))
	s.host.Each(len(moves), func(n int) {
		if moves[n].err = unrecorded[n]; moves[n].err == nil {
			moves[n] = s.contain(ctx, in, l.interfaces[n], groups, pass)
		}
	})
	return s.verify(ctx, in, l, groups, moves, pass)
}

// look describes the interfaces and reads the record, side by side. What is
// wrong with the record is kept for later, also that the incident is another's: it
// must not keep an open interface from being closed.
func (s *Step) look(ctx context.Context, in Input) (look, error) {
	var l look
	var failed error
	unread := make([]error, 4)
	s.host.Each(len(unread), func(n int) {
		switch n {
		case 0:
			l.interfaces, failed = s.describe(ctx, in.Incident.InstanceID)
		case 1:
			_, unread[n] = record.LoadStep(ctx, s.db, s.table, in.Incident.ID, stepName, &l.before)
		case 2:
			if in.Incident.Inherits != "" {
				l.inherited, unread[n] = record.Priors(ctx, s.db, s.table, in.Incident.Inherits)
			}
		case 3:
			_, unread[n] = record.Own(ctx, s.db, s.table, in.Incident.ID, in.Execution)
		}
	})
	l.incomplete = errors.Join(unread...)
	return l, failed
}

// bare is what it means that the instance has no interfaces: that it is gone, for which
// the machine reads the finding again. Where that sees it alive, and this one none of its
// interfaces still, nobody would ever be told: it is not contained.
func (s *Step) bare(ctx context.Context, in Input) error {
	times, err := record.Count(ctx, s.db, s.table, in.Incident.ID, bareName, in.Execution)
	switch {
	case err != nil:
		return err
	case times > believed:
		return incident.ErrNotContained
	}
	return incident.ErrInstanceNotFound
}

// describe lists the instance's interfaces, by their ID.
func (s *Step) describe(ctx context.Context, instanceID string) ([]types.NetworkInterface, error) {
	var all []types.NetworkInterface
	pages := ec2.NewDescribeNetworkInterfacesPaginator(s.ec2, &ec2.DescribeNetworkInterfacesInput{
		Filters: []types.Filter{filter("attachment.instance-id", instanceID)},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("describe interfaces of %s: %w", instanceID, err)
		}
		all = append(all, page.NetworkInterfaces...)
	}
	slices.SortFunc(all, func(a, b types.NetworkInterface) int {
		return strings.Compare(aws.ToString(a.NetworkInterfaceId), aws.ToString(b.NetworkInterfaceId))
	})
	return all, nil
}

// close moves interfaces out of the conversion group, where an earlier run left
// them, to where they were going. That a target's rules are not looked at yet
// does not matter: everything is better than this. An interface that does not
// move stays as it is here and is tried again with the others.
func (s *Step) close(ctx context.Context, in Input, interfaces []types.NetworkInterface, groups *groups) {
	var caught []int
	for n, i := range interfaces {
		if groups.holds(i, conversion) {
			caught = append(caught, n)
		}
	}
	if len(caught) == 0 {
		return
	}
	var missing []*group
	for _, n := range caught {
		vpc := aws.ToString(interfaces[n].VpcId)
		if q := groups.of(vpc, quarantine); groups.target(in, vpc).id == "" && !slices.Contains(missing, q) {
			missing = append(missing, q)
		}
	}
	s.create(ctx, missing)
	s.host.Each(len(caught), func(k int) {
		i := &interfaces[caught[k]]
		vpc := aws.ToString(i.VpcId)
		if to, _ := s.enter(ctx, *i, groups.target(in, vpc), groups.of(vpc, quarantine)); to != nil {
			i.Groups = []types.GroupIdentifier{{GroupId: &to.id, GroupName: &to.name}}
		}
	})
}

// note writes down what others had undone before it is put right, so that a
// later look at the same facts tells the same and counts it once.
func (s *Step) note(ctx context.Context, in Input, before *Output, drift []string) error {
	if len(drift) == 0 {
		return nil
	}
	drifted(before, drift, s.host.Now())
	for n := range before.Interfaces {
		i := &before.Interfaces[n]
		if slices.Contains(drift, i.ID) || slices.ContainsFunc(i.Groups, func(g string) bool { return slices.Contains(drift, g) }) {
			i.Where = incident.Open // as it is found: it is put right from here
		}
	}
	return record.SaveStep(ctx, s.db, s.table, in.Incident.ID, stepName, before)
}

// drifted adds to an isolation that it was found undone.
func drifted(o *Output, drift []string, now time.Time) {
	o.Repaired = union(o.Repaired, drift)
	o.Drifts, o.Undone, o.UndoneSince, o.UndoneAt = o.Drifts+1, union(drift, nil), o.At, now
}

// pass is the right to lead interfaces through the conversion group.
type pass struct {
	lease record.Lease
	taken bool
	err   error // why it is not had, or what was seen may not hold any more
}

// begin records what the interfaces had and, where one of them is to go through the
// conversion group, takes the lease of that, side by side. If somebody had the
// lease before, the interfaces may be elsewhere since they were looked at.
func (s *Step) begin(ctx context.Context, in Input, l look, groups *groups) (unrecorded []error, p pass) {
	p.lease = record.Lease{Incident: in.Incident.ID, Act: stepName, Holder: in.Execution + " " + in.Entry}
	wanted := slices.ContainsFunc(l.interfaces, func(i types.NetworkInterface) bool { return s.passes(i, groups) })
	unrecorded = make([]error, len(l.interfaces))
	first := true
	s.host.Each(len(unrecorded)+1, func(n int) {
		switch {
		case n < len(unrecorded):
			unrecorded[n] = s.remember(ctx, in, l, l.interfaces[n], groups)
		case wanted:
			first, p.err = p.lease.Take(ctx, s.db, s.table, s.host.Now(), Runs)
			p.taken = p.err == nil
		}
	})
	if !p.taken || first {
		return unrecorded, p
	}
	var now []types.NetworkInterface
	if now, p.err = s.describe(ctx, in.Incident.InstanceID); p.err != nil {
		return unrecorded, p
	}
	for n, was := range l.interfaces {
		for _, i := range now {
			if aws.ToString(i.NetworkInterfaceId) == aws.ToString(was.NetworkInterfaceId) {
				l.interfaces[n].Groups = i.Groups
			}
		}
	}
	return unrecorded, p
}

// passes says whether an interface is to go through the conversion group. Out of
// the capture group the way is direct: through the conversion group it would be
// open, and what flows it has go to the listed endpoints only.
func (s *Step) passes(i types.NetworkInterface, groups *groups) bool {
	return !s.direct && groups.place(i) == incident.Open && !groups.holds(i, conversion)
}

// move is what became of one interface on its way.
type move struct {
	err     error  // it did not reach its group, or nobody answered
	remains string // why it is less cut off than it should be, although contained
}

// contain brings one interface to its target.
func (s *Step) contain(ctx context.Context, in Input, i types.NetworkInterface, groups *groups, p pass) move {
	vpc := aws.ToString(i.VpcId)
	to, last := groups.target(in, vpc), groups.of(vpc, quarantine)
	here := groups.place(i)
	switch {
	case here == incident.Quarantined, here == incident.Capturing && to.kind == capture:
		return move{}
	case !to.usable():
		return move{err: fmt.Errorf("there is no %s group in %s to move to: %w", to.kind, vpc, to.err)}
	case s.passes(i, groups) && p.err != nil:
		return move{err: p.err}
	}
	m := move{remains: groups.insteadOf(in, vpc, to)}
	if s.passes(i, groups) {
		through := groups.of(vpc, conversion)
		err := through.err
		if through.id != "" {
			err = errors.Join(err, s.assign(ctx, i, through))
		}
		if err != nil {
			m.remains = join(m.remains, "connections that it had may live on: "+line(err))
		}
	}
	// Whatever became of that, it must not stay where it is.
	switch got, err := s.enter(ctx, i, to, last); {
	case got == nil:
		m.err = err
	case got != to:
		m.remains = join(m.remains, "memory cannot be captured: "+line(err))
	}
	return m
}

// remember stores the groups an interface had before it was ours. One that is
// in our groups only has nothing to remember but what an earlier incident knew.
func (s *Step) remember(ctx context.Context, in Input, l look, i types.NetworkInterface, groups *groups) error {
	id := aws.ToString(i.NetworkInterfaceId)
	own := groups.foreign(i)
	if len(own) == 0 && !slices.ContainsFunc(l.inherited, func(p record.Prior) bool {
		return p.Resource == id && p.Attribute == priorGroups
	}) {
		return nil
	}
	value, err := json.Marshal(own)
	if err != nil {
		return fmt.Errorf("encode groups of %s: %w", id, err)
	}
	_, err = record.Remember(ctx, s.db, s.table, s.host, in.Incident, []record.Prior{
		{Resource: id, Attribute: priorGroups, Value: value, At: s.host.Now()},
	})
	return err
}

// enter moves an interface to a group, and to the last one if that fails, which
// is a second attempt if they are the same: an interface on its way is between
// two groups, and the worse one is behind it. It returns the group that was
// reached, nil if none was, and what failed on the way.
func (s *Step) enter(ctx context.Context, i types.NetworkInterface, to, last *group) (*group, error) {
	first := s.assign(ctx, i, to)
	if first == nil {
		return to, nil
	}
	if err := s.assign(ctx, i, last); err != nil {
		return nil, errors.Join(first, err)
	}
	return last, first
}

// assign makes a group the only one of an interface.
func (s *Step) assign(ctx context.Context, i types.NetworkInterface, g *group) error {
	if g.id == "" {
		return fmt.Errorf("move %s: there is no %s group in %s: %w", aws.ToString(i.NetworkInterfaceId), g.kind, g.vpc, g.err)
	}
	_, err := s.ec2.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{
		NetworkInterfaceId: i.NetworkInterfaceId, Groups: []string{g.id},
	})
	if err != nil {
		return fmt.Errorf("move %s to %s (%s): %w", aws.ToString(i.NetworkInterfaceId), g.id, g.name, err)
	}
	return nil
}

// verify looks again, at interfaces and rules side by side, and says and saves
// what it finds: nothing is contained because a call was accepted. Nothing is
// changed any more, so that the lease goes back meanwhile.
func (s *Step) verify(ctx context.Context, in Input, l look, groups *groups, moves []move, p pass) (Output, error) {
	var interfaces []types.NetworkInterface
	var failed, unread, kept error
	s.host.Each(3, func(n int) {
		switch {
		case n == 0:
			interfaces, failed = s.describe(ctx, in.Incident.InstanceID)
		case n == 1:
			unread = s.readRules(ctx, groups.used())
		case p.taken:
			kept = p.lease.Return(ctx, s.db, s.table)
		}
	})
	if err := errors.Join(failed, unread); err != nil {
		return Output{}, fmt.Errorf("verify isolation: %w", err)
	}

	known := map[string]int{}
	for n, i := range l.interfaces {
		known[aws.ToString(i.NetworkInterfaceId)] = n
	}
	out := Output{
		Contained: len(interfaces) > 0, Sealed: len(interfaces) > 0, Interfaces: []incident.Interface{},
		Repaired: union(l.before.Repaired, nil), At: l.before.At, Since: l.before.Since, SealedAt: l.before.SealedAt,
		Drifts: l.before.Drifts, Undone: union(l.before.Undone, nil), UndoneSince: l.before.UndoneSince, UndoneAt: l.before.UndoneAt,
	}
	// Somebody may have been as fast as this run.
	if drift := undone(l.before, interfaces, groups); len(drift) > 0 {
		drifted(&out, drift, s.host.Now())
	}
	out.At = s.host.Now()
	var wrong, trunks, remains []string
	for _, i := range interfaces {
		id := aws.ToString(i.NetworkInterfaceId)
		seen := incident.Interface{ID: id, VPC: aws.ToString(i.VpcId), Groups: groupIDs(i), Where: groups.place(i), Remains: remainedBefore(l.before, id)}
		n, moved := known[id]
		if moved && moves[n].remains != "" {
			seen.Remains = moves[n].remains
		}
		if seen.Where != incident.Open {
			if seen.Reason = groups.holding(i, seen.Where).wrong(in); seen.Reason != "" {
				seen.Where = incident.Open
			}
		} else {
			seen.Reason = "is in " + strings.Join(seen.Groups, ", ") + because(moves, n, moved)
		}
		switch {
		case seen.Where == incident.Open:
			wrong = append(wrong, id+": "+seen.Reason)
		case in.Seal && seen.Where != incident.Quarantined:
			wrong = append(wrong, id+": is not sealed"+because(moves, n, moved))
		}
		if i.InterfaceType == types.NetworkInterfaceTypeTrunk {
			trunks = append(trunks, id+": is "+branched)
			seen.Where, seen.Reason = incident.Open, join(seen.Reason, "is "+branched)
		}
		if seen.Remains != "" {
			remains = append(remains, id+": "+seen.Remains)
		}
		out.Contained = out.Contained && seen.Where != incident.Open
		out.Sealed = out.Sealed && seen.Where == incident.Quarantined
		out.Interfaces = append(out.Interfaces, seen)
	}
	if len(interfaces) == 0 {
		wrong = append(wrong, "its interfaces are no longer to be seen")
	}
	if out.Contained && out.Since.IsZero() {
		out.Since = out.At
	}
	if out.Sealed && out.SealedAt.IsZero() {
		out.SealedAt = out.At
	}
	out.StaysOpen = s.staysOpen(in, out)
	out.Status, out.Reason = incident.OK, strings.Join(append(remains, groups.notes...), "; ")
	open := slices.Concat(wrong, trunks)
	switch {
	case len(open) > 0:
		out.Status, out.Reason = incident.Failed, strings.Join(append(open, remains...), "; ")
		if len(wrong) == 0 {
			out.Status = incident.Partial // all that can be done here is done
		}
	case len(remains) > 0:
		out.Status = incident.Partial
	}

	saved := errors.Join(record.SaveStep(ctx, s.db, s.table, in.Incident.ID, stepName, out), kept)
	if len(open) > 0 {
		return Output{}, errors.Join(fmt.Errorf("isolate %s: %s%s: %w", in.Incident.InstanceID, strings.Join(open, "; "), contained(out), incident.ErrNotContained), saved)
	}
	if saved != nil {
		return Output{}, fmt.Errorf("isolate %s: %w", in.Incident.InstanceID, saved)
	}
	return out, nil
}

// contained names the interfaces that are, beside those that are not: all that
// the mail about a failure has is its text.
func contained(o Output) string {
	var all []string
	for _, i := range o.Interfaces {
		if i.Where != incident.Open {
			all = append(all, i.ID)
		}
	}
	if len(all) == 0 {
		return ""
	}
	return "; contained: " + strings.Join(all, ", ")
}

// because is why an interface did not arrive, if that is known.
func because(moves []move, n int, moved bool) string {
	switch {
	case !moved:
		return ": it was attached meanwhile"
	case moves[n].err != nil:
		return ": " + line(moves[n].err)
	}
	return ""
}

// remainedBefore is what an earlier run could not do for an interface.
func remainedBefore(before Output, id string) string {
	for _, i := range before.Interfaces {
		if i.ID == id {
			return i.Remains
		}
	}
	return ""
}

// undone lists interfaces that had been contained and are not any more.
func undone(before Output, interfaces []types.NetworkInterface, groups *groups) []string {
	var ids []string
	for _, was := range before.Interfaces {
		for _, i := range interfaces {
			if was.Where != incident.Open && aws.ToString(i.NetworkInterfaceId) == was.ID && groups.place(i) == incident.Open {
				ids = append(ids, was.ID)
			}
		}
	}
	return ids
}

// staysOpen names what security groups do not stop. Texts are message's.
func (s *Step) staysOpen(in Input, o Output) []string {
	open := []string{"tracked-flows", "dns", "metadata", "time", "credentials"}
	if s.direct {
		open[0] = "established-flows"
	}
	central := false
	for _, i := range o.Interfaces {
		if i.Where == incident.Capturing {
			open = append(open, "endpoints")
			central = central || len(plan(in, i.VPC).Central) > 0
		}
	}
	if central {
		open = append(open, "central")
	}
	open = slices.Compact(open) // one line, however many interfaces
	return open
}

func groupIDs(i types.NetworkInterface) []string {
	ids := make([]string, len(i.Groups))
	for n, g := range i.Groups {
		ids[n] = aws.ToString(g.GroupId)
	}
	return ids
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

// union is both lists, sorted, each entry once, never nil.
func union(a, b []string) []string {
	all := append(append([]string{}, a...), b...)
	slices.Sort(all)
	return slices.Compact(all)
}

// line is an error's text on one line; joined errors come on several.
func line(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
