package custody

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// once keeps the SDK from sending a copy again by itself: sent again after a lost
// answer it makes a second one. The next look finds the first by its tags.
func once(o *ec2.Options) { o.RetryMaxAttempts = 1 }

// session is the shortest that a role's session may be, in seconds.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
const session = 900

// assume takes the evidence account's role, for the calls that are given what it
// returns. Its credentials are kept nowhere.
func (s *Step) assume(ctx context.Context, inc incident.Incident) (func(*ec2.Options), error) {
	out, err := s.sts.AssumeRole(ctx, &sts.AssumeRoleInput{
		RoleArn: &s.role, ExternalId: &s.externalID, DurationSeconds: aws.Int32(session), RoleSessionName: aws.String("cordon-" + inc.InstanceID),
	})
	if err != nil {
		return nil, err
	}
	if out.Credentials == nil {
		return nil, fmt.Errorf("the session of %s has no credentials", s.role)
	}
	c := credentials.NewStaticCredentialsProvider(aws.ToString(out.Credentials.AccessKeyId), aws.ToString(out.Credentials.SecretAccessKey), aws.ToString(out.Credentials.SessionToken))
	return func(o *ec2.Options) { o.Credentials = c }, nil
}

// described lists an account's own snapshots with a tag.
func described(ctx context.Context, client ec2.DescribeSnapshotsAPIClient, tag, value string, as ...func(*ec2.Options)) ([]types.Snapshot, error) {
	var all []types.Snapshot
	pages := ec2.NewDescribeSnapshotsPaginator(client, &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"}, Filters: []types.Filter{{Name: aws.String("tag:" + tag), Values: []string{value}}},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, as...)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Snapshots...)
	}
	return all, nil
}

// locked says which of the evidence account's snapshots are locked.
func (s *Step) locked(ctx context.Context, all []types.Snapshot, as func(*ec2.Options)) (map[string]bool, error) {
	found := map[string]bool{}
	if len(all) == 0 {
		return found, nil
	}
	in := &ec2.DescribeLockedSnapshotsInput{}
	for _, sn := range all {
		in.SnapshotIds = append(in.SnapshotIds, aws.ToString(sn.SnapshotId))
	}
	for {
		out, err := s.evidence.DescribeLockedSnapshots(ctx, in, as)
		if err != nil {
			return nil, err
		}
		for _, l := range out.Snapshots {
			found[aws.ToString(l.SnapshotId)] = l.LockState != types.LockStateExpired
		}
		if aws.ToString(out.NextToken) == "" {
			return found, nil
		}
		in.NextToken = out.NextToken
	}
}

// of are the copies of one snapshot, the earliest first.
func of(all []types.Snapshot, source string) []types.Snapshot {
	var found []types.Snapshot
	for _, sn := range all {
		if slices.ContainsFunc(sn.Tags, func(t types.Tag) bool { return aws.ToString(t.Key) == tagSource && aws.ToString(t.Value) == source }) {
			found = append(found, sn)
		}
	}
	slices.SortFunc(found, func(a, b types.Snapshot) int {
		if n := aws.ToTime(a.StartTime).Compare(aws.ToTime(b.StartTime)); n != 0 {
			return n
		}
		return strings.Compare(aws.ToString(a.SnapshotId), aws.ToString(b.SnapshotId))
	})
	return found
}

// best is the earliest that did not fail, and how many did. A second one that
// did not can come only from an answer that was lost.
func best(all []types.Snapshot) (found *types.Snapshot, failed int) {
	for n := range all {
		switch {
		case all[n].State == types.SnapshotStateError:
			failed++
		case found == nil:
			found = &all[n]
		}
	}
	return found, failed
}

// why is what EC2 said of those that failed. A key that may not be used shows
// only here.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CopySnapshot.html
func why(all []types.Snapshot) string {
	said := map[string]bool{}
	for _, sn := range all {
		if m := aws.ToString(sn.StateMessage); m != "" {
			said[m] = true
		}
	}
	if len(said) == 0 {
		return "EC2 does not say why"
	}
	return strings.Join(slices.Sorted(maps.Keys(said)), "; ")
}

func tags(all map[string]string) []types.Tag {
	var list []types.Tag
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if all[k] != "" {
			list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(all[k])})
		}
	}
	return list
}

// judge says how far the copies are, and whether there is anything to wait for.
func (s *Step) judge(in Input, out *Output, refused []refusal) {
	count, last := false, false
	var whys []string
	for _, r := range refused {
		count, last = count || r.count, last || r.last
		if !slices.Contains(whys, r.why) {
			whys = append(whys, r.why)
		}
	}
	if out.Refusals++; !count {
		out.Refusals = 0
	}
	copied, failed := 0, 0
	for _, c := range out.Copies {
		switch {
		case c.State == incident.Copied && c.Locked:
			copied++
		case c.State == incident.NotCopied:
			failed++
			whys = append(whys, c.Source+": "+c.Reason)
		}
	}
	all := len(out.Copies)
	settled := copied+failed == all && len(refused) == 0
	late := s.host.Now().Sub(out.BegunAt) > patienceThere
	// A decision does not wait for snapshots that are not complete, so neither do
	// copies.
	out.Done = last || late || out.Refusals >= mostRefusals || settled && (in.Snapshots.Done || out.Decided)
	reason := fmt.Sprintf("%d of %d copied into account %s", copied, all, s.account)
	switch {
	case !out.Done && all == 0:
		reason = "no snapshot is complete yet"
	case late && !settled:
		reason += fmt.Sprintf("; not waited for any longer after %d days", int(patienceThere.Hours()/24))
	}
	if len(whys) > 0 {
		reason += "; " + strings.Join(whys, "; ")
	}
	switch {
	case !out.Done && len(whys) > 0:
		out.Report = incident.Report{Status: incident.Partial, Reason: reason}
	case !out.Done:
		out.Report = incident.Report{Status: incident.OK, Reason: reason}
	case all == 0 && len(whys) == 0:
		out.Report = incident.Report{Status: incident.Skipped, Reason: "there is no completed snapshot to copy"}
	case copied == all && len(whys) == 0:
		out.Report = incident.Report{Status: incident.OK}
	case copied == 0 && last:
		out.Report = incident.Report{Status: incident.Skipped, Reason: reason}
	case copied == 0:
		out.Report = incident.Report{Status: incident.Failed, Reason: reason}
	default:
		out.Report = incident.Report{Status: incident.Partial, Reason: reason}
	}
}

// listed makes an empty list of one that is nil: the machine counts on lists.
func listed(out Output) Output {
	if out.Copies == nil {
		out.Copies = []incident.Copy{}
	}
	return out
}
