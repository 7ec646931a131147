package release

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/mandate"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// prior is what was recorded of the instance before it was changed.
type prior struct {
	groups   map[string][]string // of each interface
	delete   map[string]bool     // DeleteOnTermination of each volume
	bools    map[types.InstanceAttributeName]bool
	shutdown string               // InstanceInitiatedShutdownBehavior; empty if not recorded
	member   *incident.Membership // nil if it was in no Auto Scaling group
	left     time.Time            // when it was about to leave that group
	targets  []incident.Target
	classics []string
	unknown  []string // recorded by something newer than this step
}

// recorded reads the prior values. Those of an earlier incident that was kept
// isolated fill in what this one never came to record.
func (s *Step) recorded(ctx context.Context, inc incident.Incident) (prior, error) {
	was := prior{groups: map[string][]string{}, delete: map[string]bool{}, bools: map[types.InstanceAttributeName]bool{}}
	if err := record.EachPrior(ctx, s.incidents, s.table, inc, was.add); err != nil {
		return prior{}, err
	}
	return was, nil
}

// add takes in one value. The attributes are those that isolate and preserve
// record.
func (was *prior) add(p record.Prior) error {
	kind, _, _ := strings.Cut(p.Attribute, " ")
	switch a := types.InstanceAttributeName(kind); a {
	case incident.PriorMembership:
		was.member, was.left = &incident.Membership{}, p.At
		return json.Unmarshal(p.Value, was.member)
	case incident.PriorTarget:
		var t incident.Target
		err := json.Unmarshal(p.Value, &t)
		if !slices.Contains(was.targets, t) {
			was.targets = append(was.targets, t)
		}
		return err
	case incident.PriorClassic:
		if !slices.Contains(was.classics, p.Resource) {
			was.classics = append(was.classics, p.Resource)
		}
		return nil
	case incident.PriorRolePolicy:
		return nil // credentials takes it back itself: no other function may touch IAM
	case "groups":
		var groups []string
		err := json.Unmarshal(p.Value, &groups)
		was.groups[p.Resource] = groups
		return err
	case "deleteOnTermination":
		var b bool
		err := json.Unmarshal(p.Value, &b)
		was.delete[p.Resource] = b
		return err
	case types.InstanceAttributeNameDisableApiStop, types.InstanceAttributeNameDisableApiTermination:
		var b bool
		err := json.Unmarshal(p.Value, &b)
		was.bools[a] = b
		return err
	case types.InstanceAttributeNameInstanceInitiatedShutdownBehavior:
		return json.Unmarshal(p.Value, &was.shutdown)
	}
	if u := p.Attribute + " of " + p.Resource; !slices.Contains(was.unknown, u) {
		was.unknown = append(was.unknown, u)
	}
	return nil
}

// world is what stands now, next to what was recorded.
type world struct {
	id       string
	stack    string
	was      prior
	attached []types.NetworkInterface // sorted by ID
	groups   map[string]types.SecurityGroup
	mappings map[string]types.InstanceBlockDeviceMapping // by volume
	bools    map[types.InstanceAttributeName]bool
	shutdown string
	service  service
	step     *Step
	now      time.Time
}

// look describes everything that was recorded and may have to go back.
func (s *Step) look(ctx context.Context, inc incident.Incident, was prior, other bool) (world, error) {
	w := world{
		id: inc.InstanceID, stack: s.stack, was: was, step: s, now: s.host.Now(),
		groups:   map[string]types.SecurityGroup{},
		mappings: map[string]types.InstanceBlockDeviceMapping{},
		bools:    map[types.InstanceAttributeName]bool{},
	}
	attributes := slices.Sorted(maps.Keys(was.bools))
	if was.shutdown != "" {
		attributes = append(attributes, types.InstanceAttributeNameInstanceInitiatedShutdownBehavior)
	}
	answers := make([]*ec2.DescribeInstanceAttributeOutput, len(attributes))
	errs := make([]error, len(attributes)+3)
	s.host.Each(len(errs), func(n int) {
		switch n {
		case len(attributes):
			errs[n] = s.lookAtInterfaces(ctx, &w)
		case len(attributes) + 1:
			errs[n] = s.lookAtVolumes(ctx, inc, &w, other)
		case len(attributes) + 2:
			errs[n] = s.lookAtService(ctx, &w)
		default:
			var err error
			if answers[n], err = s.ec2.DescribeInstanceAttribute(ctx, &ec2.DescribeInstanceAttributeInput{InstanceId: &w.id, Attribute: attributes[n]}); err != nil {
				errs[n] = fmt.Errorf("read %s of %s: %w", attributes[n], w.id, err)
			}
		}
	})
	if err := errors.Join(errs...); err != nil {
		return world{}, err
	}
	for n, a := range attributes {
		switch out := answers[n]; a {
		case types.InstanceAttributeNameDisableApiStop:
			w.bools[a] = out.DisableApiStop != nil && aws.ToBool(out.DisableApiStop.Value)
		case types.InstanceAttributeNameDisableApiTermination:
			w.bools[a] = out.DisableApiTermination != nil && aws.ToBool(out.DisableApiTermination.Value)
		case types.InstanceAttributeNameInstanceInitiatedShutdownBehavior:
			if v := out.InstanceInitiatedShutdownBehavior; v != nil {
				w.shutdown = aws.ToString(v.Value)
			}
		}
	}
	return w, nil
}

func (s *Step) lookAtInterfaces(ctx context.Context, w *world) error {
	pages := ec2.NewDescribeNetworkInterfacesPaginator(s.ec2, &ec2.DescribeNetworkInterfacesInput{
		Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{w.id}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("describe the interfaces of %s: %w", w.id, err)
		}
		w.attached = append(w.attached, page.NetworkInterfaces...)
	}
	slices.SortFunc(w.attached, func(a, b types.NetworkInterface) int {
		return strings.Compare(aws.ToString(a.NetworkInterfaceId), aws.ToString(b.NetworkInterfaceId))
	})
	var ids []string
	for _, i := range w.attached {
		ids = append(ids, groupIDs(i)...)
		ids = append(ids, w.was.groups[aws.ToString(i.NetworkInterfaceId)]...)
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) == 0 {
		return nil
	}
	// A filter, unlike a list of IDs, does not fail over a group that is gone.
	groups := ec2.NewDescribeSecurityGroupsPaginator(s.ec2, &ec2.DescribeSecurityGroupsInput{
		Filters: []types.Filter{{Name: aws.String("group-id"), Values: ids}},
	})
	for groups.HasMorePages() {
		page, err := groups.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("describe the groups of %s: %w", w.id, err)
		}
		for _, g := range page.SecurityGroups {
			w.groups[aws.ToString(g.GroupId)] = g
		}
	}
	return nil
}

func (s *Step) lookAtVolumes(ctx context.Context, inc incident.Incident, w *world, other bool) error {
	i, err := mandate.Machine(ctx, s.ec2, inc)
	if err != nil && !(other && errors.Is(err, incident.ErrRefused)) {
		return err
	}
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil {
			w.mappings[aws.ToString(m.Ebs.VolumeId)] = m
		}
	}
	return nil
}

// thing is one value to put back, and the call that does.
type thing struct {
	name     string
	back     bool
	never    string // why it is not and cannot be put back; empty if it can
	attached bool   // an interface of the instance
	put      func(context.Context) error
}

// move is the call that puts an interface into groups.
func (w world) move(id string, groups []string) func(context.Context) error {
	return func(ctx context.Context) error {
		_, err := w.step.ec2.ModifyNetworkInterfaceAttribute(ctx, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &id, Groups: groups})
		return err
	}
}

// modify is the call that changes an attribute of the instance.
func (w world) modify(in *ec2.ModifyInstanceAttributeInput) func(context.Context) error {
	in.InstanceId = &w.id
	return func(ctx context.Context) error {
		_, err := w.step.ec2.ModifyInstanceAttribute(ctx, in)
		return err
	}
}

// interfaces are those attached, then those recorded and attached no more.
func (w world) interfaces() []thing {
	var all []thing
	seen := map[string]bool{}
	for _, i := range w.attached {
		id := aws.ToString(i.NetworkInterfaceId)
		own, recorded := w.was.groups[id]
		seen[id] = true
		t := thing{name: "groups of " + id, attached: true, back: recorded && slices.Equal(groupIDs(i), slices.Sorted(slices.Values(own)))}
		switch {
		case t.back:
		case !recorded && !w.anyOurs(groupIDs(i)):
			continue // never changed
		default:
			t.never = w.stays(groupIDs(i), own)
			t.put = w.move(id, own)
		}
		all = append(all, t)
	}
	for _, id := range slices.Sorted(maps.Keys(w.was.groups)) {
		if !seen[id] {
			all = append(all, thing{name: "groups of " + id, never: "it is not attached to " + w.id + " any more"})
		}
	}
	return all
}

// stays says why an interface is not moved from the groups it is in to its own;
// empty if it is. Ours to undo is only what we did: it must be in one of our
// groups, and in no stranger's.
func (w world) stays(now, own []string) string {
	if len(own) == 0 {
		return "the groups that it had were never recorded; left isolated"
	}
	var gone []string
	for _, id := range own {
		if _, found := w.groups[id]; !found {
			gone = append(gone, id)
		}
	}
	strange := slices.ContainsFunc(now, func(id string) bool { return !w.ours(id) && !slices.Contains(own, id) })
	switch {
	case strange || !w.anyOurs(now):
		return fmt.Sprintf("somebody has put it into %s since; left as it is", strings.Join(now, ", "))
	case len(gone) > 0:
		return fmt.Sprintf("of its groups %s, %s no longer exists; left isolated", strings.Join(own, ", "), strings.Join(gone, ", "))
	case w.anyOurs(own):
		return fmt.Sprintf("what was recorded, %s, is a group of Cordon's own; left isolated", strings.Join(own, ", "))
	}
	return ""
}

func (w world) ours(id string) bool {
	var group, stack bool
	for _, t := range w.groups[id].Tags {
		group = group || aws.ToString(t.Key) == "cordon:group"
		stack = stack || aws.ToString(t.Key) == "cordon:stack" && aws.ToString(t.Value) == w.stack
	}
	return group && stack
}

func (w world) anyOurs(ids []string) bool { return slices.ContainsFunc(ids, w.ours) }

// flags are all recorded attributes but termination protection.
func (w world) flags() []thing {
	var all []thing
	for _, volume := range slices.Sorted(maps.Keys(w.was.delete)) {
		t, want := thing{name: "deleteOnTermination of " + volume}, w.was.delete[volume]
		if m, found := w.mappings[volume]; !found {
			t.never = "the volume is not attached to " + w.id + " any more"
		} else {
			t.back = aws.ToBool(m.Ebs.DeleteOnTermination) == want
			t.put = w.modify(&ec2.ModifyInstanceAttributeInput{BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{{
				DeviceName: m.DeviceName, Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: &want},
			}}})
		}
		all = append(all, t)
	}
	if want := w.was.shutdown; want != "" {
		all = append(all, thing{
			name: string(types.InstanceAttributeNameInstanceInitiatedShutdownBehavior), back: w.shutdown == want,
			put: w.modify(&ec2.ModifyInstanceAttributeInput{InstanceInitiatedShutdownBehavior: &types.AttributeValue{Value: &want}}),
		})
	}
	if want, recorded := w.was.bools[types.InstanceAttributeNameDisableApiStop]; recorded {
		a := types.InstanceAttributeNameDisableApiStop
		all = append(all, thing{
			name: string(a), back: w.bools[a] == want,
			put: w.modify(&ec2.ModifyInstanceAttributeInput{DisableApiStop: &types.AttributeBooleanValue{Value: &want}}),
		})
	}
	for _, u := range w.was.unknown {
		all = append(all, thing{name: u, never: "recorded, and this version does not know how to put it back"})
	}
	return all
}

// guard is termination protection.
func (w world) guard() []thing {
	a := types.InstanceAttributeNameDisableApiTermination
	want, recorded := w.was.bools[a]
	if !recorded {
		return nil
	}
	return []thing{{
		name: string(a), back: w.bools[a] == want,
		put: w.modify(&ec2.ModifyInstanceAttributeInput{DisableApiTermination: &types.AttributeBooleanValue{Value: &want}}),
	}}
}

// groupIDs are sorted: their order means nothing.
func groupIDs(i types.NetworkInterface) []string {
	ids := make([]string, 0, len(i.Groups))
	for _, g := range i.Groups {
		ids = append(ids, aws.ToString(g.GroupId))
	}
	slices.Sort(ids)
	return ids
}
