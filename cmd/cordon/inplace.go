package main

import (
	"context"
	"crypto/ecdsa"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// publicKeys is the part of KMS that verify reads.
type publicKeys interface {
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

// snapshots is the part of EC2 that verify reads, of an account.
type snapshots interface {
	ec2.DescribeSnapshotsAPIClient
	DescribeLockedSnapshots(context.Context, *ec2.DescribeLockedSnapshotsInput, ...func(*ec2.Options)) (*ec2.DescribeLockedSnapshotsOutput, error)
}

// inPlace verifies an incident where it lies: every version of its objects, their
// locks, its snapshots.
func (c verify) inPlace(ctx context.Context, s streams, d *deployed) error {
	if err := d.owns(c.What); err != nil {
		return err
	}
	b, err := openBucket(ctx, d.objects, d.evidenceIn, c.What, c.HashMemory)
	if err != nil {
		return err
	}
	t := &teller{to: s.out}
	key, err := c.publicKey(ctx, d, t)
	if err != nil {
		return err
	}
	elsewhere, err := c.elsewhere(ctx, d)
	if err != nil {
		return err
	}
	if len(b.all) == 0 { // an ID that was misspelt is no incident without evidence
		if _, err := d.head(ctx, c.What); err != nil {
			return err
		}
	}
	fmt.Fprintln(s.err, fingerprint(key))
	f := check(b, key, c.What, t)
	if len(f.files) == 0 {
		d.unsigned(ctx, c.What, t)
	}
	all := pieces(c.What, f, d.retentionDays)
	b.layers(c.What, all, t)
	b.locks(c.What, all, d.now(), d.each, t)
	taken(ctx, d, elsewhere, c.What, f, t)
	return t.verdict()
}

// publicKey is the key in the file, held against that of the stack, or the stack's.
func (c verify) publicKey(ctx context.Context, d *deployed, t *teller) (*ecdsa.PublicKey, error) {
	var kept *ecdsa.PublicKey
	if c.Key != "" {
		var err error
		if kept, err = c.keyFile(); err != nil {
			return nil, err
		}
	}
	out, err := d.keys.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &d.signingKey})
	if err != nil {
		err = lacks("read the public key of "+d.signingKey, "kms:GetPublicKey", err)
		if kept == nil {
			return nil, fmt.Errorf("%w; or give --key", err)
		}
		t.say(c.What, "the key of %s was not held against the stack's: %v", c.Key, err)
		return kept, nil
	}
	is, err := manifest.PublicKey(out.PublicKey)
	switch {
	case kept == nil && err != nil:
		return nil, fmt.Errorf("%s: %w", d.signingKey, err)
	case kept == nil:
		t.say(c.What, "checked with the key that KMS gives now, which is as good as those who may change this stack; --key takes one that was kept elsewhere")
		return is, nil
	case err != nil || !kept.Equal(is):
		t.wrong(c.What, "the stack signs with another key than that of %s", c.Key)
	}
	return kept, nil
}

// elsewhere is EC2 in the evidence account; nil without a profile for it.
func (c verify) elsewhere(ctx context.Context, d *deployed) (snapshots, error) {
	if c.EvidenceProfile == "" {
		return nil, nil
	}
	if d.elsewhere != nil {
		return d.elsewhere, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(d.region), config.WithSharedConfigProfile(c.EvidenceProfile))
	if err != nil {
		return nil, fmt.Errorf("--evidence-profile: %w", err)
	}
	return ec2.NewFromConfig(cfg), nil
}

// unsigned says what the record has of an incident without a manifest.
func (d *deployed) unsigned(ctx context.Context, id string, t *teller) {
	h, err := record.LoadHead(ctx, d.records, d.incidentsIn, id)
	switch {
	case errors.Is(err, record.ErrNone):
		t.wrong(id, "the record has no such incident any more")
	case err != nil:
		t.lacking(id, "the record was not looked at: %v", lacks("read the incident", "dynamodb:GetItem", err))
	case h.State != record.Open:
		t.wrong(id, "it was closed as %s at %s: its manifest is gone", h.State, stamp(&h.ClosedAt))
	default:
		t.say(id, "the record has it open since %s", stamp(&h.Incident.OpenedAt))
	}
}

// says is what a manifest says beside its claims.
type says struct {
	RetentionDays int
	Snapshots     incident.Snapshots
	Custody       incident.Custody
}

// saysOf reads what was signed. What an older Cordon did not write is empty.
func saysOf(m manifest.Claims) (s says, err error) {
	err = json.Unmarshal(m.Text, &s)
	return s, err
}

// evidenceOf is a snapshot that a manifest names.
type evidenceOf struct {
	id, of, key string
	locked      bool
	days        int
}

// taken holds the snapshots that the manifests name, and their copies, against
// what EC2 has. The last manifest that names one is the one that counts, but for how
// long it is locked: that the first that found it locked says.
func taken(ctx context.Context, d *deployed, elsewhere snapshots, id string, f found, t *teller) {
	here, there := map[string]evidenceOf{}, map[string]evidenceOf{}
	named := func(all map[string]evidenceOf, e evidenceOf) {
		if was := all[e.id]; was.locked {
			e.days = was.days
		}
		all[e.id] = e
	}
	var account string
	for _, m := range f.closed {
		s, err := saysOf(m)
		if err != nil {
			t.lacking(id+"/"+m.Run, "what it says of snapshots cannot be read: %v", err)
			continue
		}
		if s.RetentionDays == 0 {
			s.RetentionDays = d.retentionDays
		}
		for _, sn := range s.Snapshots.Set {
			if sn.Duplicate || sn.Superseded || sn.State == string(ec2types.SnapshotStateError) {
				delete(here, sn.ID) // an earlier one may have taken it for evidence
				continue
			}
			named(here, evidenceOf{sn.ID, sn.VolumeID, sn.KMSKey, sn.Locked, s.RetentionDays})
		}
		for _, c := range s.Custody.Copies {
			if c.State == incident.Copied {
				account = s.Custody.Account
				named(there, evidenceOf{c.ID, c.Source, c.KMSKey, c.Locked, s.RetentionDays})
			}
		}
	}
	look{d.snapshots, id, "snapshot"}.all(ctx, here, t)
	switch {
	case len(there) == 0:
	case elsewhere == nil:
		t.say(id, "NOT LOOKED AT: %s in account %s; --evidence-profile takes credentials of it", count(len(there), "copy", "copies"), account)
	default:
		look{elsewhere, id, "copy in account " + account}.all(ctx, there, t)
	}
}

// look looks at snapshots in an account.
type look struct {
	ec2  snapshots
	id   string
	what string
}

// together is how many snapshots one request asks for: a filter takes 200 values.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/Query-Requests.html
const together = 200

func (l look) all(ctx context.Context, want map[string]evidenceOf, t *teller) {
	var ids []string
	for k := range want {
		ids = append(ids, k)
	}
	slices.Sort(ids)
	for some := range slices.Chunk(ids, together) {
		if err := l.some(ctx, some, want, t); err != nil {
			t.lacking(l.id, "not looked at, each %s: %v", l.what, err)
			return
		}
	}
}

func (l look) some(ctx context.Context, ids []string, want map[string]evidenceOf, t *teller) error {
	// By filter: asked for by their IDs, one that is gone makes an error of all.
	is := map[string]ec2types.Snapshot{}
	pages := ec2.NewDescribeSnapshotsPaginator(l.ec2, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []ec2types.Filter{{Name: aws.String("snapshot-id"), Values: ids}}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return lacks("look for snapshots", "ec2:DescribeSnapshots", err)
		}
		for _, s := range page.Snapshots {
			is[aws.ToString(s.SnapshotId)] = s
		}
	}
	var there []string
	for _, id := range ids {
		if _, ok := is[id]; ok {
			there = append(there, id)
		}
	}
	locks, err := l.locks(ctx, there)
	if err != nil {
		return lacks("look at the locks of snapshots", "ec2:DescribeLockedSnapshots", err)
	}
	for _, id := range ids {
		if s, ok := is[id]; ok {
			l.one(want[id], s, locks[id], t)
		} else {
			t.wrong(l.id, "%s %s of %s is gone", l.what, id, want[id].of)
		}
	}
	return nil
}

func (l look) locks(ctx context.Context, ids []string) (map[string]*ec2types.LockedSnapshotsInfo, error) {
	found := map[string]*ec2types.LockedSnapshotsInfo{}
	if len(ids) == 0 {
		return found, nil // without IDs EC2 tells of all
	}
	in := &ec2.DescribeLockedSnapshotsInput{SnapshotIds: ids}
	for {
		out, err := l.ec2.DescribeLockedSnapshots(ctx, in)
		if err != nil {
			return nil, err
		}
		for n, s := range out.Snapshots {
			found[aws.ToString(s.SnapshotId)] = &out.Snapshots[n]
		}
		if aws.ToString(out.NextToken) == "" {
			return found, nil
		}
		in.NextToken = out.NextToken
	}
}

// one holds a snapshot against what a manifest says of it.
func (l look) one(want evidenceOf, is ec2types.Snapshot, lock *ec2types.LockedSnapshotsInfo, t *teller) {
	what := l.what + " " + want.id + " of " + want.of
	switch is.State {
	case ec2types.SnapshotStateCompleted:
	case ec2types.SnapshotStatePending:
		t.lacking(l.id, "%s is not complete yet: %s", what, aws.ToString(is.Progress))
	default:
		t.wrong(l.id, "%s is in state %s: %s", what, is.State, aws.ToString(is.StateMessage))
	}
	if aws.ToString(is.KmsKeyId) != want.key {
		t.wrong(l.id, "%s is under the key %q; the manifest says %q", what, aws.ToString(is.KmsKeyId), want.key)
	}
	switch {
	case lock == nil && want.locked:
		t.wrong(l.id, "%s is not locked any more", what)
	case lock == nil:
		t.lacking(l.id, "%s was never locked", what)
	case int(aws.ToInt32(lock.LockDuration)) < want.days:
		t.wrong(l.id, "%s is locked for %s; it was to be for %d", what, count(int(aws.ToInt32(lock.LockDuration)), "day", "days"), want.days)
	case lock.LockState == ec2types.LockStateExpired:
		t.say(l.id, "the lock of %s is over, as it was to be: whoever may delete snapshots may delete it", what)
	}
}

// side runs f for each of n side by side, a few at once.
func side(n int, f func(int)) {
	const most = 16
	places := make(chan struct{}, most)
	for i := range n {
		places <- struct{}{}
		go func() {
			defer func() { <-places }()
			f(i)
		}()
	}
	for range most {
		places <- struct{}{}
	}
}
