package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// Tags of a snapshot. A copy of it made elsewhere names a volume that does not
// exist, so volume and device stand in tags.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
const (
	tagIncident  = "cordon:incident"
	tagStack     = "cordon:stack"
	tagInstance  = "cordon:instance"
	tagVolume    = "cordon:volume"
	tagDevice    = "cordon:device"
	tagDuplicate = "cordon:duplicate" // its value is the snapshot that is the evidence
)

// set is the incident's snapshots: the evidence, then duplicates.
type set []*member

type member struct {
	incident.Snapshot
	tags   map[string]string
	known  bool   // EC2 shows it, so that tags are what is there
	broken string // what EC2 says of a snapshot that failed
	twin   string // the evidence of the same volume, where this is a duplicate
}

func (st set) snapshots() []incident.Snapshot {
	all := make([]incident.Snapshot, len(st))
	for n, m := range st {
		all[n] = m.Snapshot
	}
	return all
}

// evidence are those that are no duplicates.
func (st set) evidence() set {
	return slices.DeleteFunc(slices.Clone(st), func(m *member) bool { return m.Duplicate })
}

// find puts together what EC2 shows and what the record knows, and what is
// locked. EC2 may show neither the tag nor the snapshot for a while after it
// was made.
func (s *Step) find(ctx context.Context, l look) (set, error) {
	shown := l.tagged
	var hidden []string
	for _, r := range l.recorded.Set {
		if !slices.ContainsFunc(shown, func(sn types.Snapshot) bool { return aws.ToString(sn.SnapshotId) == r.ID }) {
			hidden = append(hidden, r.ID)
		}
	}
	if len(hidden) > 0 {
		more, err := s.describe(ctx, filter("snapshot-id", hidden...))
		if err != nil {
			return nil, err
		}
		shown = append(shown, more...)
	}
	st := arrange(shown, devices(l.instance))
	for _, r := range l.recorded.Set {
		if slices.ContainsFunc(st, func(m *member) bool { return m.ID == r.ID }) {
			continue
		}
		m := &member{Snapshot: r}
		if r.State == string(types.SnapshotStateCompleted) {
			m.State, m.broken = string(types.SnapshotStateError), "EC2 does not show it any more: it was deleted"
		}
		st = append(st, m)
	}
	return st, s.markLocked(ctx, st)
}

// arrange tells evidence from duplicates: of each volume the snapshots of the
// earliest request are the evidence. Within it, and in the same second, the ID
// decides, so that every run decides alike.
func arrange(shown []types.Snapshot, devices map[string]string) set {
	slices.SortFunc(shown, func(a, b types.Snapshot) int {
		return cmp.Or(aws.ToTime(a.StartTime).Compare(aws.ToTime(b.StartTime)), strings.Compare(aws.ToString(a.SnapshotId), aws.ToString(b.SnapshotId)))
	})
	first := map[string]string{} // evidence by volume
	var evidence, duplicates set
	for _, sn := range shown {
		m := &member{Snapshot: incident.Snapshot{
			ID: aws.ToString(sn.SnapshotId), VolumeID: aws.ToString(sn.VolumeId), State: string(sn.State), Progress: aws.ToString(sn.Progress),
			Encrypted: aws.ToBool(sn.Encrypted), KMSKey: aws.ToString(sn.KmsKeyId),
		}, tags: tagMap(sn.Tags), known: true, broken: aws.ToString(sn.StateMessage)}
		m.Device = cmp.Or(m.tags[tagDevice], devices[m.VolumeID])
		m.twin = first[m.VolumeID]
		// A volume that only a later set has was attached between the two requests:
		// that snapshot is the only one, not a duplicate.
		m.Duplicate = m.twin != ""
		if m.Duplicate {
			duplicates = append(duplicates, m)
			continue
		}
		first[m.VolumeID] = m.ID
		evidence = append(evidence, m)
	}
	return append(evidence, duplicates...)
}

// once keeps the SDK from sending a call again by itself. CreateSnapshots has no
// client token: sent again after a lost answer it makes a second set. The machine
// runs the step again instead, which first looks for the set by its tag.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html
func once(o *ec2.Options) { o.RetryMaxAttempts = 1 }

// create asks for the set. The point in time is fixed when EC2 answers.
func (s *Step) create(ctx context.Context, inc incident.Incident, i types.Instance) (set, error) {
	out, err := s.ec2.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: &inc.InstanceID},
		Description:           aws.String("Cordon: evidence of incident " + inc.ID),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: []types.Tag{
			tag(tagIncident, inc.ID), tag(tagStack, s.stack), tag(tagInstance, inc.InstanceID), tag("Name", "cordon "+inc.ID),
		}}},
	}, once)
	if err != nil {
		return nil, fmt.Errorf("snapshot the volumes of %s: %w", inc.InstanceID, err)
	}
	device := devices(i)
	var st set
	for _, sn := range out.Snapshots {
		volume := aws.ToString(sn.VolumeId)
		st = append(st, &member{Snapshot: incident.Snapshot{
			ID: aws.ToString(sn.SnapshotId), VolumeID: volume, Device: device[volume], State: string(sn.State), Progress: aws.ToString(sn.Progress),
			Encrypted: aws.ToBool(sn.Encrypted),
		}, tags: tagMap(sn.Tags), known: true})
	}
	slices.SortFunc(st, func(a, b *member) int { return strings.Compare(a.ID, b.ID) })
	return st, nil
}

// secure locks the evidence, names volume and device on it, and marks
// duplicates. What EC2 refuses is trouble to tell of and to try again at the
// next look; it is no reason to give up what there is.
func (s *Step) secure(ctx context.Context, st set) (trouble []string, err error) {
	troubles, errs := make([][]string, len(st)), make([]error, len(st))
	s.host.Each(len(st), func(n int) {
		m := st[n]
		var failed []error
		if !m.Duplicate && !m.Locked && m.State != string(types.SnapshotStateError) {
			if err := s.lock(ctx, m.ID); err != nil {
				failed = append(failed, err)
			} else {
				m.Locked = true
			}
		}
		failed = append(failed, s.mark(ctx, m))
		for _, err := range failed {
			var answer smithy.APIError
			switch {
			case errors.As(err, &answer):
				troubles[n] = append(troubles[n], err.Error())
			case err != nil:
				errs[n] = errors.Join(errs[n], err)
			}
		}
	})
	return slices.Concat(troubles...), errors.Join(errs...)
}

// lock protects a snapshot from deletion, also while it is pending: the days
// count from its completion, and a failed snapshot loses its lock.
// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-snapshot-lock.html
func (s *Step) lock(ctx context.Context, id string) error {
	if _, err := s.ec2.LockSnapshot(ctx, &ec2.LockSnapshotInput{SnapshotId: &id, LockMode: types.LockModeGovernance, LockDuration: &s.days}); err != nil {
		return fmt.Errorf("lock %s: %w", id, err)
	}
	return nil
}

// mark writes the tags that differ from snapshot to snapshot.
func (s *Step) mark(ctx context.Context, m *member) error {
	want := map[string]string{tagVolume: m.VolumeID, tagDevice: m.Device}
	if m.Duplicate {
		want = map[string]string{tagDuplicate: m.twin}
	}
	var lacking []types.Tag
	for _, key := range []string{tagDevice, tagDuplicate, tagVolume} {
		if v := want[key]; v != "" && m.tags[key] != v {
			lacking = append(lacking, tag(key, v))
		}
	}
	if len(lacking) == 0 || !m.known {
		return nil
	}
	if _, err := s.ec2.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{m.ID}, Tags: lacking}); err != nil {
		return fmt.Errorf("tag %s: %w", m.ID, err)
	}
	return nil
}

// markLocked notes which snapshots are locked.
func (s *Step) markLocked(ctx context.Context, st set) error {
	var ids []string
	for _, m := range st {
		m.Locked = false
		if m.known {
			ids = append(ids, m.ID)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	in := &ec2.DescribeLockedSnapshotsInput{SnapshotIds: ids}
	for {
		out, err := s.ec2.DescribeLockedSnapshots(ctx, in)
		if err != nil {
			return fmt.Errorf("read which snapshots are locked: %w", err)
		}
		for _, locked := range out.Snapshots {
			for _, m := range st {
				if m.ID == aws.ToString(locked.SnapshotId) {
					m.Locked = locked.LockState != types.LockStateExpired
				}
			}
		}
		if aws.ToString(out.NextToken) == "" {
			return nil
		}
		in.NextToken = out.NextToken
	}
}

// judge says how far the set is.
func judge(in Input, l look, st set, trouble []string) Output {
	out := Output{Set: st.snapshots(), Released: l.released}
	evidence := st.evidence()
	completed := map[string]bool{}
	var pending, broken []string
	locked := true
	for _, m := range evidence {
		switch m.State {
		case string(types.SnapshotStateCompleted):
			completed[m.VolumeID] = true
		case string(types.SnapshotStateError):
			broken = append(broken, fmt.Sprintf("%s of %s failed (%s)", m.ID, m.VolumeID, cmp.Or(m.broken, "EC2 does not say why")))
		default:
			pending = append(pending, fmt.Sprintf("%s %s", m.ID, cmp.Or(m.Progress, "0%")))
		}
		locked = locked && m.Locked
	}
	out.Complete = len(pending)+len(broken) == 0
	for _, v := range volumes(l.instance) {
		if !slices.ContainsFunc(evidence, func(m *member) bool { return m.VolumeID == v }) {
			out.Missing = append(out.Missing, v)
		}
		out.Complete = out.Complete && completed[v]
	}
	// What could not be locked or tagged gets one more look.
	settled := len(pending) == 0 && (len(trouble) == 0 || finished(l.recorded))
	out.Done = settled || out.Released || !in.Contained && locked
	out.Report = report(out, evidence, pending, broken, trouble)
	return out
}

// finished tells whether the last look already saw nothing under way.
func finished(last Output) bool {
	return len(last.Set) > 0 && !slices.ContainsFunc(last.Set, func(sn incident.Snapshot) bool {
		return !sn.Duplicate && sn.State == string(types.SnapshotStatePending)
	})
}

// report puts the worst into Status and all of it into Reason.
func report(out Output, evidence set, pending, broken, trouble []string) incident.Report {
	r := incident.Report{Status: incident.OK}
	var reasons []string
	add := func(status incident.Status, why string) {
		if status == incident.Failed || r.Status == incident.OK {
			r.Status = status
		}
		reasons = append(reasons, why)
	}
	if len(broken) > 0 {
		add(incident.Failed, strings.Join(broken, ", "))
	}
	if len(out.Missing) > 0 {
		add(incident.Partial, "attached after the snapshots were taken: "+strings.Join(out.Missing, ", "))
	}
	if len(trouble) > 0 {
		add(incident.Partial, strings.Join(trouble, ", "))
	}
	if len(pending) > 0 {
		status := incident.OK // under way
		why := fmt.Sprintf("%d of %d completed; under way: %s", len(evidence)-len(pending)-len(broken), len(evidence), strings.Join(pending, ", "))
		if out.Released {
			status, why = incident.Partial, "ended early, the instance was released; "+why
		}
		add(status, why)
	}
	if n := len(out.Set) - len(evidence); n > 0 {
		add(incident.OK, fmt.Sprintf("%d more were made because an answer was lost; they are tagged %s", n, tagDuplicate))
	}
	r.Reason = strings.Join(reasons, "; ")
	return r
}

func tag(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }

func tagMap(tags []types.Tag) map[string]string {
	m := map[string]string{}
	for _, t := range tags {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}
