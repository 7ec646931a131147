package snapshot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

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
	tags  map[string]string
	known bool   // EC2 shows it, so that tags are what is there
	twin  string // the evidence of the same volume, where this is a duplicate
}

func (m *member) failed() bool { return m.State == string(types.SnapshotStateError) }

func (st set) snapshots() []incident.Snapshot {
	all := make([]incident.Snapshot, len(st))
	for n, m := range st {
		all[n] = m.Snapshot
	}
	return all
}

// evidence is one a volume: the earliest that did not fail, or the last that did.
func (st set) evidence() set {
	return slices.DeleteFunc(slices.Clone(st), func(m *member) bool { return m.Duplicate || m.Superseded })
}

func (st set) count(is func(*member) bool) (n int) {
	for _, m := range st {
		if is(m) {
			n++
		}
	}
	return n
}

func completed(m *member) bool { return m.State == string(types.SnapshotStateCompleted) }

// of are the snapshots of a volume.
func (st set) of(volume string) set {
	return slices.DeleteFunc(slices.Clone(st), func(m *member) bool { return m.VolumeID != volume })
}

// first is the moment that the earliest of them shows; zero if there is none.
func (st set) first() time.Time {
	var first time.Time
	for _, m := range st {
		if !m.StartedAt.IsZero() && (first.IsZero() || m.StartedAt.Before(first)) {
			first = m.StartedAt
		}
	}
	return first
}

// lacking are the volumes without a snapshot that is completed or under way.
func (st set) lacking(known []incident.Volume) []string {
	var all []string
	for _, v := range known {
		if !slices.ContainsFunc(st, func(m *member) bool { return m.VolumeID == v.ID && !m.Duplicate && !m.failed() }) {
			all = append(all, v.ID)
		}
	}
	return all
}

// hiding is how long EC2 may not show a snapshot that it made. AWS names no
// bound for that and says minutes.
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
const hiding = 15 * time.Minute

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
	st := members(shown, l, s.host.Now())
	for _, r := range l.recorded.Set {
		if slices.ContainsFunc(st, func(m *member) bool { return m.ID == r.ID }) {
			continue
		}
		m := &member{Snapshot: r}
		hidden := !r.StartedAt.IsZero() && s.host.Now().Sub(r.StartedAt) > hiding
		if !m.failed() && (hidden || r.State == string(types.SnapshotStateCompleted)) {
			m.State, m.Reason = string(types.SnapshotStateError), "EC2 does not show it any more: it was deleted"
		}
		st = append(st, m)
	}
	st = arrange(st)
	return st, s.markLocked(ctx, st)
}

// members are the snapshots that EC2 shows.
func members(shown []types.Snapshot, l look, now time.Time) set {
	device := map[string]string{}
	for _, v := range remember(l) {
		device[v.ID] = v.Device
	}
	var st set
	for _, sn := range shown {
		m := &member{Snapshot: incident.Snapshot{
			ID: aws.ToString(sn.SnapshotId), VolumeID: aws.ToString(sn.VolumeId), State: string(sn.State), Progress: aws.ToString(sn.Progress),
			Encrypted: aws.ToBool(sn.Encrypted), KMSKey: aws.ToString(sn.KmsKeyId), StartedAt: aws.ToTime(sn.StartTime).UTC(),
		}, tags: tagMap(sn.Tags), known: true}
		if completed(m) {
			m.CompletedAt = completedAt(sn, l.recorded.Set, now)
		}
		if m.failed() {
			m.Reason = cmp.Or(aws.ToString(sn.StateMessage), "EC2 does not say why")
		}
		m.Device = cmp.Or(m.tags[tagDevice], device[m.VolumeID])
		st = append(st, m)
	}
	return st
}

// completedAt is when a snapshot was completed: as EC2 says, else when a look first
// saw it so, which may be an hour later. EC2 need not say.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
func completedAt(sn types.Snapshot, recorded []incident.Snapshot, now time.Time) time.Time {
	if at := aws.ToTime(sn.CompletionTime); !at.IsZero() {
		return at.UTC()
	}
	for _, r := range recorded {
		if r.ID == aws.ToString(sn.SnapshotId) && !r.CompletedAt.IsZero() {
			return r.CompletedAt
		}
	}
	return now.UTC()
}

// arrange tells evidence from what failed before and from duplicates: of each
// volume the earliest that did not fail is the evidence. In the same second the
// ID decides, so that every run decides alike. Evidence comes first, then what
// failed, then duplicates.
func arrange(st set) set {
	slices.SortFunc(st, func(a, b *member) int {
		return cmp.Or(a.StartedAt.Compare(b.StartedAt), strings.Compare(a.ID, b.ID))
	})
	best := map[string]*member{} // by volume
	for _, m := range st {
		if b := best[m.VolumeID]; b == nil || b.failed() {
			best[m.VolumeID] = m
		}
	}
	var evidence, failed, duplicates set
	for _, m := range st {
		b := best[m.VolumeID]
		m.Duplicate, m.Superseded, m.twin = false, false, ""
		switch {
		case m == b:
			evidence = append(evidence, m)
		case m.failed():
			m.Superseded = true
			failed = append(failed, m)
		default:
			m.Duplicate, m.twin = true, b.ID
			duplicates = append(duplicates, m)
		}
	}
	return slices.Concat(evidence, failed, duplicates)
}

// once keeps the SDK from sending a call again by itself. CreateSnapshots has no
// client token, nor has CreateSnapshot: sent again after a lost answer it makes a
// second set. The machine
// runs the step again instead, which first looks for the set by its tag.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSnapshots.html
func once(o *ec2.Options) { o.RetryMaxAttempts = 1 }

// create asks for the set. The point in time is fixed when EC2 answers.
func (s *Step) create(ctx context.Context, inc incident.Incident, i types.Instance) (set, error) {
	out, err := s.ec2.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: &inc.InstanceID},
		Description:           description(inc),
		TagSpecifications:     s.tags(inc),
	}, once)
	if err != nil {
		return nil, fmt.Errorf("snapshot the volumes of %s: %w", inc.InstanceID, err)
	}
	device := map[string]string{}
	for _, v := range remember(look{instance: i}) {
		device[v.ID] = v.Device
	}
	var st set
	for _, sn := range out.Snapshots {
		volume := aws.ToString(sn.VolumeId)
		st = append(st, &member{Snapshot: incident.Snapshot{
			ID: aws.ToString(sn.SnapshotId), VolumeID: volume, Device: device[volume], State: string(sn.State), Progress: aws.ToString(sn.Progress),
			Encrypted: aws.ToBool(sn.Encrypted), StartedAt: aws.ToTime(sn.StartTime).UTC(),
		}, tags: tagMap(sn.Tags), known: true})
	}
	return arrange(st), nil
}

func description(inc incident.Incident) *string {
	return aws.String("Cordon: evidence of incident " + inc.ID)
}

// tags are those that a snapshot is made with.
func (s *Step) tags(inc incident.Incident) []types.TagSpecification {
	return []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: []types.Tag{
		tag(tagIncident, inc.ID), tag(tagStack, s.stack), tag(tagInstance, inc.InstanceID), tag("Name", "cordon "+inc.ID),
	}}}
}

const (
	// mostOf is how many snapshots of one volume there may be, duplicates aside:
	// the first, and three that make it again.
	mostOf = 4
	// mostRefusals is how many looks in a row may be refused one.
	mostRefusals = 10
	// patience is how long a set is waited for. Snapshots of the largest volumes
	// take a day or more; one that has not moved in a week is not going to.
	patience = 7 * 24 * time.Hour
)

// wanted are the volumes whose snapshot is to be made again now: the last look
// found it lacking too, and wrote that down; it was not tried too often; and
// there is something to snapshot.
func wanted(in Input, l look, st set, known []incident.Volume, now time.Time) []string {
	if !in.Contained || l.released || overdue(st, now) || l.recorded.Refusals >= mostRefusals {
		return nil
	}
	return slices.DeleteFunc(st.lacking(known), func(volume string) bool {
		return !slices.Contains(l.recorded.Missing, volume) || !worthwhile(st, known, volume)
	})
}

// worthwhile says whether a volume's snapshot may be made again.
func worthwhile(st set, known []incident.Volume, volume string) bool {
	made := slices.DeleteFunc(st.of(volume), func(m *member) bool { return m.Duplicate })
	gone := slices.ContainsFunc(known, func(v incident.Volume) bool { return v.ID == volume && v.Gone })
	return len(made) < mostOf && !gone
}

func overdue(st set, now time.Time) bool {
	first := st.first()
	return !first.IsZero() && now.Sub(first) > patience
}

// again makes the snapshots that are wanted, each alone, and writes down at once
// what was made. What EC2 refuses is told, and tried again at the next look.
func (s *Step) again(ctx context.Context, in Input, l look, st set, known []incident.Volume) (set, refusals, error) {
	volumes := wanted(in, l, st, known, s.host.Now())
	if len(volumes) == 0 {
		return st, refusals{}, nil
	}
	made, refused, patient, errs := make([]*member, len(volumes)), make([]string, len(volumes)), make([]bool, len(volumes)), make([]error, len(volumes))
	s.host.Each(len(volumes), func(n int) {
		volume := volumes[n]
		out, err := s.ec2.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{VolumeId: &volume, Description: description(in.Incident), TagSpecifications: s.tags(in.Incident)}, once)
		var answer smithy.APIError
		switch {
		case errors.As(err, &answer):
			refused[n] = fmt.Sprintf("snapshot %s again: %v", volume, err)
			// Others' snapshots of the volume are under way: that ends by itself.
			// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html
			patient[n] = answer.ErrorCode() == "ConcurrentSnapshotLimitExceeded"
		case err != nil:
			errs[n] = fmt.Errorf("snapshot %s again: %w", volume, err)
		default:
			m := &member{Snapshot: incident.Snapshot{
				ID: aws.ToString(out.SnapshotId), VolumeID: volume, State: string(out.State), Progress: aws.ToString(out.Progress),
				Encrypted: aws.ToBool(out.Encrypted), KMSKey: aws.ToString(out.KmsKeyId), StartedAt: aws.ToTime(out.StartTime).UTC(),
			}, tags: tagMap(out.Tags), known: true}
			for _, v := range known {
				if v.ID == volume {
					m.Device = v.Device
				}
			}
			made[n] = m
		}
	})
	for _, m := range made {
		if m != nil {
			st = append(st, m)
		}
	}
	st = arrange(st)
	errs = append(errs, s.save(ctx, in, Output{
		Report: incident.Report{Status: incident.Partial, Reason: "made again"}, Set: st.snapshots(), Volumes: known, Missing: st.lacking(known),
		NotIn: l.recorded.NotIn, Notes: l.recorded.Notes, Refusals: l.recorded.Refusals,
	}))
	var r refusals
	for n, why := range refused {
		if why != "" {
			r.told, r.count = append(r.told, why), r.count || !patient[n]
		}
	}
	return st, r, errors.Join(errs...)
}

// refusals are what EC2 answered at one look instead of making a snapshot again.
type refusals struct {
	told  []string
	count bool // one of them is not going to end by itself
}

// secure locks the evidence, names volume and device on it, and marks
// duplicates. What EC2 refuses is trouble to tell of and to try again at the
// next look; it is no reason to give up what there is.
func (s *Step) secure(ctx context.Context, st set) (trouble []string, err error) {
	troubles, errs := make([][]string, len(st)), make([]error, len(st))
	s.host.Each(len(st), func(n int) {
		m := st[n]
		var failed []error
		if !m.Duplicate && !m.Locked && !m.failed() {
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
	} else if m.tags[tagDuplicate] != "" {
		// What it was a duplicate of has failed. No role may remove a tag; an empty
		// one says nothing.
		want[tagDuplicate] = ""
	}
	var lacking []types.Tag
	for _, key := range []string{tagDevice, tagDuplicate, tagVolume} {
		v, wanted := want[key]
		if wanted && m.tags[key] != v && (v != "" || key == tagDuplicate) {
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
func judge(in Input, l look, st set, known []incident.Volume, trouble []string, refused refusals, now time.Time) Output {
	out := Output{Set: st.snapshots(), Released: l.released, Volumes: known, Missing: st.lacking(known)}
	var pending []string
	locked := true
	for _, m := range st.evidence() {
		if m.State == string(types.SnapshotStatePending) {
			pending = append(pending, fmt.Sprintf("%s %s", m.ID, cmp.Or(m.Progress, "0%")))
		}
		locked = locked && m.Locked
	}
	if refused.count {
		out.Refusals = l.recorded.Refusals + 1
	}
	out.Complete = len(st) > 0 && len(pending)+len(out.Missing) == 0
	late := overdue(st, now)
	// What is lacking is made again at the next look, while that can help.
	open := !late && out.Refusals < mostRefusals && slices.ContainsFunc(out.Missing, func(v string) bool { return worthwhile(st, known, v) })
	// What could not be locked or tagged gets one more look.
	settled := (len(pending) == 0 || late) && !open && (len(trouble) == 0 || late || finished(l.recorded))
	out.Done = settled || out.Released || !in.Contained && locked
	out.Report = report(out, st, pending, slices.Concat(trouble, refused.told), open, late)
	return out
}

// finished tells whether the last look already saw nothing under way.
func finished(last Output) bool {
	return len(last.Set) > 0 && !slices.ContainsFunc(last.Set, func(sn incident.Snapshot) bool {
		return !sn.Duplicate && sn.State == string(types.SnapshotStatePending)
	})
}

// report puts the worst into Status and all of it into Reason.
func report(out Output, st set, pending, trouble []string, open, late bool) incident.Report {
	r := incident.Report{Status: incident.OK}
	var reasons []string
	add := func(status incident.Status, why string) {
		if status == incident.Failed || r.Status == incident.OK {
			r.Status = status
		}
		reasons = append(reasons, why)
	}
	for _, volume := range out.Missing {
		var why []string
		for _, m := range st.of(volume) {
			if m.failed() {
				why = append(why, fmt.Sprintf("%s of %s failed (%s)", m.ID, volume, m.Reason))
			}
		}
		status, what := incident.Failed, strings.Join(why, ", ")
		if what == "" {
			status, what = incident.Partial, "no snapshot of "+volume
		}
		if open {
			status, what = incident.Partial, what+"; it is made again"
		}
		add(status, what)
	}
	if len(trouble) > 0 {
		add(incident.Partial, strings.Join(trouble, ", "))
	}
	if len(pending) > 0 {
		status := incident.OK // under way
		why := fmt.Sprintf("%d of %d completed; under way: %s", st.evidence().count(completed), len(st.evidence()), strings.Join(pending, ", "))
		switch {
		case out.Released:
			status, why = incident.Partial, "ended early, the instance was released; "+why
		case late:
			status, why = incident.Partial, fmt.Sprintf("not waited for any longer after %d days; %s", int(patience.Hours()/24), why)
		}
		add(status, why)
	}
	if n := st.count(func(m *member) bool { return m.Duplicate }); n > 0 {
		add(incident.OK, fmt.Sprintf("%d more were made because an answer was lost; they are tagged %s", n, tagDuplicate))
	}
	if n := st.count(func(m *member) bool { return m.Superseded }); n > 0 && len(out.Missing) == 0 {
		add(incident.OK, fmt.Sprintf("%d failed and were made again", n))
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
