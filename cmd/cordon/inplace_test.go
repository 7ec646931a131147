package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// place is what a rehearsed incident left, where it lies.
type place struct {
	*deployed
	t      *testing.T
	aws    *sim.Account
	public []byte // DER
	id     string
	run    string
	at     time.Time
}

func (p *place) Now() time.Time        { return p.at }
func (p *place) Sleep(d time.Duration) { p.at = p.at.Add(d) }

const evidenceAccount = "999988887777"

// lies rehearses an incident and leaves its account as it is afterwards.
func lies(t *testing.T, decision string, parameters map[string]string) *place {
	t.Helper()
	o := rehearsal.Options{Template: cordon.Template, Definition: cordon.Definition, Event: plain(t), Seed: 1, Keep: true, Person: rehearsal.Decides(decision), Parameters: map[string]string{
		"EvidenceRoleArn": "arn:aws:iam::" + evidenceAccount + ":role/cordon-evidence", "EvidenceKeyArn": "arn:aws:kms:us-east-1:" + evidenceAccount + ":key/evidence", "EvidenceExternalId": "external",
	}}
	for k, v := range parameters {
		o.Parameters[k] = v
	}
	r, err := rehearsal.Run(o)
	if err != nil || len(r.Broken) > 0 {
		t.Fatal(err, r.Broken)
	}
	p := &place{t: t, aws: r.Bucket.Account, public: r.Bucket.PublicKey}
	file, err := sim.Read(r.Account)
	if err != nil {
		t.Fatal(err)
	}
	newest, err := file.Newest()
	if err != nil {
		t.Fatal(err)
	}
	p.at = newest.Add(time.Hour)
	p.aws.Use(p)
	for key := range r.Bucket.Objects {
		if at := regexp.MustCompile(`^incidents/(.*)/manifests/(.*)\.json$`).FindStringSubmatch(key); at != nil {
			p.id, p.run = at[1], at[2]
		}
	}
	owner := strings.Split(p.id, ".")
	p.deployed = &deployed{
		stack: "cordon", account: owner[0], region: owner[1], incidentsIn: r.Bucket.Incidents, evidenceIn: r.Bucket.Name, signingKey: r.Bucket.SigningKey, retentionDays: 30,
		records: p.aws.DynamoDB(), objects: p.aws.S3(), keys: p.aws.KMS(), snapshots: p.aws.EC2(), elsewhere: p.aws.Elsewhere(), now: p.Now,
		each: func(n int, f func(int)) {
			for i := range n {
				f(i)
			}
		},
	}
	return p
}

// verify says what the command prints, and its exit status.
func (p *place) verify(change ...func(*verify)) printed {
	p.t.Helper()
	c := verify{What: p.id, HashMemory: true, EvidenceProfile: "evidence"}
	for _, f := range change {
		f(&c)
	}
	var out, said bytes.Buffer
	err := c.inPlace(p.t.Context(), streams{out: &out, err: &said}, p.deployed)
	switch {
	case err == nil:
		return printed{0, out.String(), said.String()}
	case errors.Is(err, errBad):
		return printed{1, out.String(), said.String()}
	}
	return printed{2, out.String(), err.Error()}
}

// put writes a version over an object, unlocked.
func (p *place) put(key, body string) {
	p.t.Helper()
	if _, err := p.aws.S3().PutObject(p.t.Context(), &s3.PutObjectInput{Bucket: &p.evidenceIn, Key: &key, Body: strings.NewReader(body)}); err != nil {
		p.t.Fatal(err)
	}
}

func (p *place) get(key string) []byte {
	p.t.Helper()
	out, err := p.aws.S3().GetObject(p.t.Context(), &s3.GetObjectInput{Bucket: &p.evidenceIn, Key: &key})
	if err != nil {
		p.t.Fatal(err)
	}
	b, err := io.ReadAll(out.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *place) key(rest string) string { return "incidents/" + p.id + "/" + rest }

// says is what the incident's manifest says.
func (p *place) says() says {
	p.t.Helper()
	var file manifest.Signed
	if err := json.Unmarshal(p.get(p.key("manifests/"+p.run+".json")), &file); err != nil {
		p.t.Fatal(err)
	}
	s, err := saysOf(manifest.Claims{Text: file.Manifest})
	if err != nil {
		p.t.Fatal(err)
	}
	return s
}

// write puts a file with the public key beside the test.
func (p *place) write(der []byte) string {
	p.t.Helper()
	name := filepath.Join(p.t.TempDir(), "key.der")
	if err := os.WriteFile(name, der, 0o600); err != nil {
		p.t.Fatal(err)
	}
	return name
}

// TestVerifyInPlace: an incident is verified where it lies: nothing that was done
// to its evidence since goes unseen, and one line says what.
func TestVerifyInPlace(t *testing.T) {
	t.Parallel()
	whole := lies(t, "terminate", nil)
	file := whole.write(whole.public)
	clean := whole.verify(func(c *verify) { c.Key = file })
	want := regexp.MustCompile(`^` + regexp.QuoteMeta(whole.id+"/"+whole.run) + `: holds: Terminated at [0-9TZ:-]+: signature, 6 objects and \d+ entries of the journal\n` +
		regexp.QuoteMeta(whole.id) + `/journal: \d+ entr.* after the last signature: .*\n$`)
	if clean.status != 0 || !want.MatchString(clean.out) {
		t.Fatalf("%+v, want it to hold, and nothing else said", clean)
	}
	if !strings.Contains(clean.err, "public key: SHA-256 of its DER ") {
		t.Errorf("%q, want the key told by its hash", clean.err)
	}

	lock := func(mode types.ObjectLockRetentionMode, until time.Time) *types.ObjectLockRetention {
		return &types.ObjectLockRetention{Mode: mode, RetainUntilDate: &until}
	}
	report := func(p *place) string { return p.key("reports/" + p.run + ".html") }
	signed := func(p *place) string { return p.key("manifests/" + p.run + ".json") }
	for name, c := range map[string]struct {
		spoil func(*place)
		want  string // in a line of its own
	}{
		"an object is written over": {func(p *place) { p.put(report(p), "<p>All is well.</p>") }, "reports/RUN.html was written over 1 time, last at "},
		"a delete marker":           {func(p *place) { p.aws.Others().Hide(p.evidenceIn, report(p)) }, "reports/RUN.html is hidden by a delete marker since "},
		"the journal is hidden":     {func(p *place) { p.aws.Others().Hide(p.evidenceIn, p.key("journal/000007.json")) }, "journal/000007.json is hidden by a delete marker since "},
		"an object is destroyed":    {func(p *place) { p.aws.Others().Destroy(p.evidenceIn, report(p)) }, "reports/RUN.html: it cannot be read: its version "},
		"destroyed and replaced": {func(p *place) {
			body := string(p.get(report(p)))
			p.aws.Others().Destroy(p.evidenceIn, report(p))
			p.put(report(p), body)
		}, "reports/RUN.html: it cannot be read: its version "},
		"the event is destroyed":  {func(p *place) { p.aws.Others().Destroy(p.evidenceIn, p.event()) }, "it cannot be read: its version "},
		"the event is unlocked":   {func(p *place) { p.aws.Others().Relock(p.evidenceIn, p.event(), nil) }, ".json is not locked; it was to be until "},
		"a manifest is replaced":  {func(p *place) { p.put(signed(p), strings.Replace(string(p.get(signed(p))), "Sato", "Ueda", 1)) }, "manifests/RUN.json was written over 1 time"},
		"a manifest is destroyed": {func(p *place) { p.aws.Others().Destroy(p.evidenceIn, signed(p)) }, "it was closed as terminated at "},
		"a lock is shortened": {func(p *place) {
			p.aws.Others().Relock(p.evidenceIn, report(p), lock(types.ObjectLockRetentionModeGovernance, p.at.AddDate(0, 0, 3)))
		}, "reports/RUN.html is locked until "},
		"a lock is gone":        {func(p *place) { p.aws.Others().Relock(p.evidenceIn, signed(p), nil) }, "manifests/RUN.json is not locked; it was to be until "},
		"a lock in the journal": {func(p *place) { p.aws.Others().Relock(p.evidenceIn, p.key("journal/000001.json"), nil) }, "journal/000001.json is not locked"},
		"the image is unlocked": {func(p *place) { p.aws.Others().Relock(p.evidenceIn, p.key("memory/image.lime"), nil) }, "memory/image.lime is not locked"},
		"the image is another": {func(p *place) {
			p.aws.Others().Destroy(p.evidenceIn, p.key("memory/image.lime"))
			p.put(p.key("memory/image.lime"), "EMiL")
		}, "memory/image.lime: it has 4 bytes, the manifest says "},
		"a snapshot is unlocked": {func(p *place) { p.aws.Others().Unlock(p.says().Snapshots.Set[0].ID) }, " is not locked any more"},
		"a snapshot is gone": {func(p *place) {
			s := p.says().Snapshots.Set[1]
			p.aws.Others().Unlock(s.ID)
			p.aws.Others().Delete(s.ID)
		}, "snapshot SNAP of VOL is gone"},
		"a copy is gone": {func(p *place) {
			c := p.says().Custody.Copies[0]
			p.aws.Others().Unlock(c.ID)
			p.aws.Others().Delete(c.ID)
		}, "copy in account " + evidenceAccount + " "},
		"a copy is unlocked": {func(p *place) { p.aws.Others().Unlock(p.says().Custody.Copies[0].ID) }, "copy in account " + evidenceAccount + " "},
		"an entry behind the end": {func(p *place) {
			p.put(p.key(fmt.Sprintf("journal/%06d.json", p.entries()+1)), `{"format":"cordon journal 1"}`)
		}, "is not in its canonical form"},
		"an entry copied to the end": {func(p *place) {
			p.put(p.key(fmt.Sprintf("journal/%06d.json", p.entries()+1)), string(p.get(p.key("journal/000005.json"))))
		}, "says that it is entry 5"},
		"an entry is replaced":  {func(p *place) { p.put(p.key("journal/000003.json"), string(p.get(p.key("journal/000004.json")))) }, "journal/000003.json was written over 1 time"},
		"an entry is destroyed": {func(p *place) { p.aws.Others().Destroy(p.evidenceIn, p.key("journal/000003.json")) }, "entry 3 is gone"},
		"the last signed is destroyed": {func(p *place) {
			for n := p.entries() - 4; n <= p.entries(); n++ {
				p.aws.Others().Destroy(p.evidenceIn, p.key(fmt.Sprintf("journal/%06d.json", n)))
			}
		}, "entries were signed, and "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := lies(t, "terminate", nil)
			before := p.says()
			c.spoil(p)
			got := p.verify(func(c *verify) { c.Key = file })
			want := strings.NewReplacer("RUN", p.run, "SNAP", before.Snapshots.Set[1].ID, "VOL", before.Snapshots.Set[1].VolumeID).Replace(c.want)
			n := 0
			for line := range strings.Lines(got.out) {
				if strings.Contains(line, "DOES NOT HOLD: ") && strings.Contains(line, want) {
					n++
				}
			}
			if got.status != 1 || n != 1 {
				t.Errorf("%+v\n%s%s\nwant status 1 and one line with %q", got.status, got.out, got.err, want)
			}
		})
	}
}

// event is the key of the event that was kept.
func (p *place) event() string {
	p.t.Helper()
	for _, o := range p.aws.S3().Objects(p.evidenceIn) {
		if strings.HasPrefix(o.Key, "events/") {
			return o.Key
		}
	}
	p.t.Fatal("no event was kept")
	return ""
}

// entries is how many entries the journal has.
func (p *place) entries() int {
	n := 0
	for _, o := range p.aws.S3().Objects(p.evidenceIn) {
		if strings.HasPrefix(o.Key, p.key("journal/")) {
			n++
		}
	}
	return n
}

// TestVerifyInPlaceSaysWhatItDidNotDo: what was not looked at is never said to hold.
func TestVerifyInPlaceSaysWhatItDidNotDo(t *testing.T) {
	t.Parallel()
	p := lies(t, "keep", nil)
	got := p.verify(func(c *verify) { c.HashMemory, c.EvidenceProfile = false, "" })
	for _, want := range []string{": NOT HASHED: " + p.key("memory/image.lime"), "NOT LOOKED AT: 2 copies in account " + evidenceAccount, ": signature, 5 objects", "checked with the key that KMS gives now"} {
		if got.status != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%+v, want status 0 and %q", got, want)
		}
	}
	// The length of an image is seen without reading it.
	p.aws.Others().Destroy(p.evidenceIn, p.key("memory/image.lime"))
	p.put(p.key("memory/image.lime"), "EMiL")
	if got := p.verify(func(c *verify) { c.HashMemory = false }); got.status != 1 || !strings.Contains(got.out, "image.lime: it has 4 bytes, the manifest says ") {
		t.Errorf("%+v, want the length found", got)
	}

	// Months later the locks are over, as they were to be.
	p = lies(t, "keep", nil)
	p.at = p.at.AddDate(0, 3, 0)
	got = p.verify()
	for _, want := range []string{"the locks of ", "are over, as they were to be", "the lock of snapshot "} {
		if got.status != 0 || !strings.Contains(got.out, want) {
			t.Errorf("%+v, want status 0 and %q", got, want)
		}
	}
	p.aws.Others().Hold(p.evidenceIn, p.key("memory/image.lime"))
	if got := p.verify(); !strings.Contains(got.out, "1 object is under legal hold") {
		t.Errorf("%+v, want the hold named", got)
	}

	// What was set aside of the journal is told until it is in it.
	p = lies(t, "keep", nil)
	var first struct{ Event string }
	if err := json.Unmarshal(p.get(p.key("journal/000001.json")), &first); err != nil {
		t.Fatal(err)
	}
	p.put(p.key("journal/aside/"+first.Event+".json"), "{}")
	if got := p.verify(); got.status != 0 {
		t.Errorf("%+v, want no word of what is in the journal by now", got)
	}
	p.put(p.key("journal/aside/another.json"), "{}")
	p.put(p.key("journal/aside/another.written.json"), "{}")
	if got := p.verify(); got.status != 1 || !strings.Contains(got.out, "/journal: INCOMPLETE: 1 change is in no chain") {
		t.Errorf("%+v, want what is set aside named", got)
	}

	// A stack that locks for longer by now does not make what was locked then short;
	// what the manifest says was signed.
	p = lies(t, "keep", nil)
	p.retentionDays = 365
	if got := p.verify(); got.status != 0 {
		t.Errorf("%+v, want it to hold", got)
	}
}

// TestVerifyWhatCountsOfSnapshots: a snapshot that was under way at one ending, and
// had failed and was made again by the next, is no evidence that is gone.
func TestVerifyWhatCountsOfSnapshots(t *testing.T) {
	t.Parallel()
	p := lies(t, "keep", nil)
	is := p.says().Snapshots.Set[0]
	manifests := func(all ...incident.Snapshot) (closed []manifest.Claims) {
		for _, s := range all {
			text, err := json.Marshal(says{RetentionDays: 30, Snapshots: incident.Snapshots{Set: []incident.Snapshot{is, s}}})
			if err != nil {
				t.Fatal(err)
			}
			closed = append(closed, manifest.Claims{Text: text})
		}
		return closed
	}
	pending, failed := is, is
	pending.ID, pending.State = "snap-0f", "pending"
	failed.ID, failed.State, failed.Superseded = "snap-0f", "error", true
	for want, closed := range map[string][]manifest.Claims{
		"": manifests(pending, failed),
		p.id + ": DOES NOT HOLD: snapshot snap-0f of " + is.VolumeID + " is gone\n": manifests(failed, pending),
	} {
		var out bytes.Buffer
		taken(t.Context(), p.deployed, nil, p.id, found{closed: closed}, &teller{to: &out})
		if out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
}

// TestVerifyHowLongEachIsLocked: a stack that locked for longer when an incident was
// decided months later does not make short what an earlier ending had signed.
func TestVerifyHowLongEachIsLocked(t *testing.T) {
	said := func(run string, days, entries int) manifest.Claims {
		return manifest.Claims{Run: run, Journal: manifest.Journal{Entries: entries}, Text: fmt.Appendf(nil, `{"retentionDays":%d}`, days)}
	}
	got := map[string]int{}
	entry := func(n int) string { return fmt.Sprintf("incidents/i/journal/%06d.json", n) }
	for _, p := range pieces("i", found{entries: []string{entry(1), entry(2), entry(3)}, closed: []manifest.Claims{said("first", 30, 1), said("second", 90, 2)}}, 365) {
		got[p.key] = p.days
	}
	want := map[string]int{entry(1): 30, entry(2): 90, entry(3): 90, "incidents/i/manifests/first.json": 30, "incidents/i/manifests/second.json": 90}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("days (-want +is):\n%s", d)
	}

	p := lies(t, "keep", nil)
	is := p.says()
	var closed []manifest.Claims
	for _, days := range []int{30, 90} {
		is.RetentionDays = days
		text, err := json.Marshal(is)
		if err != nil {
			t.Fatal(err)
		}
		closed = append(closed, manifest.Claims{Text: text})
	}
	var out bytes.Buffer
	if taken(t.Context(), p.deployed, p.elsewhere, p.id, found{closed: closed}, &teller{to: &out}); out.Len() > 0 {
		t.Errorf("%s: want no word of snapshots and copies that were locked for 30 days, as they were to be", out.String())
	}
}

// TestVerifyTheKey: a key that is not the one that was kept is found, whoever
// signed anew with it.
func TestVerifyTheKey(t *testing.T) {
	t.Parallel()
	p := lies(t, "keep", map[string]string{"MemoryToolKey": "", "MemoryToolSha256": ""})
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(&other.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	got := p.verify(func(c *verify) { c.Key = p.write(der) })
	if got.status != 1 || !strings.Contains(got.out, "the stack signs with another key than that of ") || !strings.Contains(got.out, "the signature is not that of this key") {
		t.Errorf("%+v, want both said", got)
	}
	// KMS gives another key than the one that was kept, which still checks what was signed.
	p.keys = anotherKey{der}
	got = p.verify(func(c *verify) { c.Key = p.write(p.public) })
	if got.status != 1 || !strings.Contains(got.out, "the stack signs with another key") || !strings.Contains(got.out, ": holds: ") {
		t.Errorf("%+v, want the change named and the manifest held", got)
	}
	if got := p.verify(); got.status != 1 || !strings.Contains(got.out, "the signature is not that of this key") {
		t.Errorf("%+v, want the manifest refused", got)
	}
	larger, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if der, err = x509.MarshalPKIXPublicKey(&larger.PublicKey); err != nil {
		t.Fatal(err)
	}
	if got := p.verify(func(c *verify) { c.Key = p.write(der) }); got.status != 2 || !strings.Contains(got.err, "P-256") {
		t.Errorf("%+v, want the curve refused", got)
	}
}

type anotherKey struct{ der []byte }

func (k anotherKey) GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	return &kms.GetPublicKeyOutput{PublicKey: k.der}, nil
}

// denied refuses calls as AWS refuses whoever lacks a right.
type denied struct {
	versions
	publicKeys
	snapshots
	action string
}

func (d denied) refuses(action, code string) error {
	if d.action != action {
		return nil
	}
	return &smithy.GenericAPIError{Code: code, Message: "not authorized", Fault: smithy.FaultClient}
}

func (d denied) ListObjectVersions(ctx context.Context, in *s3.ListObjectVersionsInput, o ...func(*s3.Options)) (*s3.ListObjectVersionsOutput, error) {
	if err := d.refuses("s3:ListBucketVersions", "AccessDenied"); err != nil {
		return nil, err
	}
	return d.versions.ListObjectVersions(ctx, in, o...)
}

func (d denied) GetObject(ctx context.Context, in *s3.GetObjectInput, o ...func(*s3.Options)) (*s3.GetObjectOutput, error) {
	if err := d.refuses("s3:GetObjectVersion", "AccessDenied"); err != nil {
		return nil, err
	}
	return d.versions.GetObject(ctx, in, o...)
}

// HeadObject leaves the lock out for whoever may not see it.
func (d denied) HeadObject(ctx context.Context, in *s3.HeadObjectInput, o ...func(*s3.Options)) (*s3.HeadObjectOutput, error) {
	if err := d.refuses("s3:GetObjectVersion", "Forbidden"); err != nil {
		return nil, err
	}
	out, err := d.versions.HeadObject(ctx, in, o...)
	if err == nil && d.action == "s3:GetObjectRetention" {
		out.ObjectLockMode, out.ObjectLockRetainUntilDate = "", nil
	}
	return out, err
}

func (d denied) GetObjectRetention(ctx context.Context, in *s3.GetObjectRetentionInput, o ...func(*s3.Options)) (*s3.GetObjectRetentionOutput, error) {
	if err := d.refuses("s3:GetObjectRetention", "AccessDenied"); err != nil {
		return nil, err
	}
	return d.versions.GetObjectRetention(ctx, in, o...)
}

func (d denied) GetPublicKey(ctx context.Context, in *kms.GetPublicKeyInput, o ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	if err := d.refuses("kms:GetPublicKey", "AccessDeniedException"); err != nil {
		return nil, err
	}
	return d.publicKeys.GetPublicKey(ctx, in, o...)
}

func (d denied) DescribeSnapshots(ctx context.Context, in *ec2.DescribeSnapshotsInput, o ...func(*ec2.Options)) (*ec2.DescribeSnapshotsOutput, error) {
	if err := d.refuses("ec2:DescribeSnapshots", "UnauthorizedOperation"); err != nil {
		return nil, err
	}
	return d.snapshots.DescribeSnapshots(ctx, in, o...)
}

func (d denied) DescribeLockedSnapshots(ctx context.Context, in *ec2.DescribeLockedSnapshotsInput, o ...func(*ec2.Options)) (*ec2.DescribeLockedSnapshotsOutput, error) {
	if err := d.refuses("ec2:DescribeLockedSnapshots", "UnauthorizedOperation"); err != nil {
		return nil, err
	}
	return d.snapshots.DescribeLockedSnapshots(ctx, in, o...)
}

// TestVerifyNamesTheRightThatLacks: what could not be looked at is not taken for
// whole, nor for gone.
func TestVerifyNamesTheRightThatLacks(t *testing.T) {
	t.Parallel()
	p := lies(t, "keep", map[string]string{"MemoryToolKey": "", "MemoryToolSha256": ""})
	for right, status := range map[string]int{
		"s3:ListBucketVersions": 2, "kms:GetPublicKey": 2, "s3:GetObjectVersion": 1, "s3:GetObjectRetention": 1, "ec2:DescribeSnapshots": 1, "ec2:DescribeLockedSnapshots": 1,
	} {
		q := *p
		d := *p.deployed
		q.deployed = &d
		with := denied{p.objects, p.keys, p.snapshots, right}
		d.objects, d.keys, d.snapshots = with, with, with
		got := q.verify()
		if got.status != status || !strings.Contains(got.out+got.err, "lack "+right) || strings.Contains(got.out, "is not locked") || strings.Contains(got.out, " is gone") {
			t.Errorf("without %s: %d\n%s%s", right, got.status, got.out, got.err)
		}
		if right == "kms:GetPublicKey" {
			if got := q.verify(func(c *verify) { c.Key = p.write(p.public) }); got.status != 0 || !strings.Contains(got.out, "was not held against the stack's") {
				t.Errorf("with a key of one's own, without %s: %+v", right, got)
			}
		}
	}
	for id, want := range map[string]string{
		incident.NewID(p.account+"."+p.region+".i-0ffffffffffffffff", 1): "cordon list shows those that are",
		incident.NewID("999999999999."+p.region+".i-0a", 1):              "credentials of that account",
	} {
		if got := p.verify(func(c *verify) { c.What = id }); got.status != 2 || !strings.Contains(got.err, want) || got.out != "" && !strings.Contains(got.out, "the key that KMS gives") {
			t.Errorf("%s: %+v, want %q", id, got, want)
		}
	}
}

// TestVerifyersRights: the policy in docs/evidence.md allows what verify calls and
// nothing else.
func TestVerifyersRights(t *testing.T) {
	text, err := os.ReadFile("../../docs/evidence.md")
	if err != nil {
		t.Fatal(err)
	}
	var policy struct {
		Statement []struct {
			Effect string
			Action any
		}
	}
	got := map[string]bool{}
	for _, block := range regexp.MustCompile("(?s)```json\n(.*?)```").FindAllSubmatch(text, -1) {
		if !bytes.Contains(block[1], []byte(`"Statement"`)) {
			continue
		}
		if err := json.Unmarshal(block[1], &policy); err != nil {
			t.Fatal(err)
		}
		for _, s := range policy.Statement {
			all, ok := s.Action.([]any)
			if !ok {
				all = []any{s.Action}
			}
			for _, a := range all {
				if s.Effect == "Allow" {
					got[fmt.Sprint(a)] = true
				}
			}
		}
	}
	want := map[string]bool{ // the last two: to find the stack, and a header of HeadObject's that has a right of its own
		"s3:ListBucketVersions": true, "s3:GetObjectVersion": true, "s3:GetObjectRetention": true, "kms:GetPublicKey": true, "ec2:DescribeSnapshots": true,
		"ec2:DescribeLockedSnapshots": true, "dynamodb:GetItem": true, "cloudformation:DescribeStacks": true, "s3:GetObjectLegalHold": true,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("what verify calls and what the policy allows (-called +allowed):\n%s", d)
	}
}
