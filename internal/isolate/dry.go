package isolate

import (
	"context"
	"fmt"
	"strings"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// rehearse looks as Run does and says of each interface where it would go. It
// records nothing: what the record says of interfaces is what was done.
func (s *Step) rehearse(ctx context.Context, in Input) (Output, error) {
	interfaces, err := s.describe(ctx, in.Incident.InstanceID)
	if err != nil {
		return Output{}, err
	}
	groups, err := s.find(ctx, interfaces)
	if err != nil {
		return Output{}, fmt.Errorf("isolate %s: %w", in.Incident.InstanceID, err)
	}
	out := Output{Contained: len(interfaces) > 0, Sealed: len(interfaces) > 0, Interfaces: []incident.Interface{}, Repaired: []string{}, Undone: []string{}, At: s.host.Now()}
	notes := append([]string{"dry run: nothing was changed"}, groups.notes...)
	for _, i := range interfaces {
		vpc := aws.ToString(i.VpcId)
		seen := incident.Interface{ID: aws.ToString(i.NetworkInterfaceId), VPC: vpc, Groups: groupIDs(i), Where: groups.place(i)}
		if seen.Where == incident.Open {
			to := quarantine
			if wantsCapture(in, vpc) {
				to = capture
			}
			through := "through the " + groups.of(vpc, conversion).told() + ", "
			if s.direct {
				through = ""
			}
			seen.Reason = fmt.Sprintf("dry run: it would go from %s %sinto the %s", strings.Join(seen.Groups, ", "), through, groups.of(vpc, to).told())
			if i.InterfaceType == types.NetworkInterfaceTypeTrunk {
				seen.Reason += "; it is " + branched
			}
		}
		out.Contained = out.Contained && seen.Where != incident.Open
		out.Sealed = out.Sealed && seen.Where == incident.Quarantined
		out.Interfaces = append(out.Interfaces, seen)
	}
	out.StaysOpen = s.staysOpen(in, out)
	out.Status, out.Reason = incident.Skipped, strings.Join(notes, "; ")
	return out, nil
}

// told names a group by what it is for, and says if there is none yet.
func (g *group) told() string {
	if g.id == "" {
		return fmt.Sprintf("%s group, which it would make", g.kind)
	}
	return fmt.Sprintf("%s group %s", g.kind, g.id)
}
