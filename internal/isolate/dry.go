package isolate

import (
	"context"
	"fmt"
	"slices"
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
	out := Output{Contained: len(interfaces) > 0, Sealed: len(interfaces) > 0, Interfaces: []incident.Interface{}, Repaired: []string{}, At: s.host.Now()}
	notes := append([]string{"dry run: nothing was changed"}, groups.notes...)
	for _, i := range interfaces {
		vpc := aws.ToString(i.VpcId)
		seen := incident.Interface{ID: aws.ToString(i.NetworkInterfaceId), VPC: vpc, Groups: groupIDs(i), Where: groups.place(i)}
		if seen.Where == incident.Open {
			to := quarantine
			if wantsCapture(in, vpc) {
				to = capture
			}
			seen.Reason = fmt.Sprintf("dry run: it would go from %s through the %s group into the %s group", strings.Join(seen.Groups, ", "), conversion, to)
			for _, k := range []kind{conversion, to} {
				if note := fmt.Sprintf("it would make a %s group in %s", k, vpc); groups.of(vpc, k).id == "" && !slices.Contains(notes, note) {
					notes = append(notes, note)
				}
			}
			if i.InterfaceType == types.NetworkInterfaceTypeTrunk {
				seen.Reason += "; it is " + branched
			}
		}
		out.Contained = out.Contained && seen.Where != incident.Open
		out.Sealed = out.Sealed && seen.Where == incident.Quarantined
		out.Interfaces = append(out.Interfaces, seen)
	}
	out.StaysOpen = staysOpen(out)
	out.Status, out.Reason = incident.Skipped, strings.Join(notes, "; ")
	return out, nil
}
