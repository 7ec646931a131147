package close

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/evidence"
	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/message"
	"cordon/internal/record"
	"cordon/internal/report"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// body is a manifest: everything that the machine knows of the incident, what
// the record has of it, and the hashes of the objects.
type body struct {
	Format    string              `json:"format"`
	ClosedAt  time.Time           `json:"closedAt"` // when this execution began to sign
	State     record.State        `json:"state"`    // of the incident from now on
	Input                         // as the machine hands it over
	Console   incident.Console    `json:"console"`
	Exposure  incident.Exposure   `json:"exposure"`
	Drifts    []incident.Drift    `json:"drifts"` // by others, as far as it is known whom
	Begun     report.Begun        `json:"begun"`
	Findings  []incident.Finding  `json:"findings"`  // all that came
	Requests  []request           `json:"requests"`  // what people were asked, the first first
	Decisions []incident.Recorded `json:"decisions"` // what they answered, each with its MAC
	Before    []record.Prior      `json:"before"`    // each value as it was before it was changed, also by an incident that this one inherits from
	Groups    []groups            `json:"groups"`
	Journal   manifest.Journal    `json:"journal"`
	Retention int                 `json:"retentionDays"` // for how long what is written of the incident is locked
	Objects   []manifest.Object   `json:"objects"`
	Missing   []string            `json:"missing"` // keys that the record names and the bucket does not have any more, that have no hash, or are not what was kept
}

// request is what a manifest says of a request for a decision: nothing by which
// it could be answered.
type request struct {
	Round     int        `json:"round"`
	OpenedAt  time.Time  `json:"openedAt"`
	MailedAt  *time.Time `json:"mailedAt"` // null if no mail of it was accepted
	ExpiresAt time.Time  `json:"expiresAt"`
	Problem   string     `json:"problem"` // why it was asked again
	Before    string     `json:"before"`  // why it was asked before anything was isolated
	Later     string     `json:"later"`   // how the incident stood when it was asked once more
}

// groups are the security groups of an interface.
type groups struct {
	Interface string   `json:"interface"`
	Before    []string `json:"before"`   // as the record has them from before the first change; null where it has none
	Isolated  []string `json:"isolated"` // as isolate saw them last; null where it did not see it
}

// signed are the keys of what an ending left.
type signed struct{ manifest, report string }

// sign writes this run's manifest, signed and locked. One that is there stays, if
// it holds: a run whose answer was lost wrote it. An incident that was undecided or
// kept may be released months later, by another execution: each has a manifest of
// its own.
func (s *Step) sign(ctx context.Context, b body, own []record.Prior, run string, kind message.Kind) (signed, error) {
	in := b.Input
	var err error
	if err = s.recorded(ctx, in, own, &b); err != nil {
		return signed{}, fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	if b.Objects, b.Missing, err = s.objects(ctx, in, b.Console); err != nil {
		return signed{}, fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	key := "incidents/" + in.Incident.ID + "/manifests/" + run + ".json"
	page, err := s.report(ctx, b, kind, key, "incidents/"+in.Incident.ID+"/reports/"+run)
	if err != nil {
		return signed{}, fmt.Errorf("report of incident %s: %w", in.Incident.ID, err)
	}
	b.Objects = append(b.Objects, page)
	manifest.Sort(b.Objects)
	text, err := manifest.Canonical(b)
	if err != nil {
		return signed{}, fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	mark, err := s.kms.Sign(ctx, &kms.SignInput{
		KeyId: &s.key, Message: manifest.Digest(text), MessageType: kmstypes.MessageTypeDigest, SigningAlgorithm: kmstypes.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return signed{}, fmt.Errorf("sign the manifest of incident %s: %w", in.Incident.ID, err)
	}
	file, err := manifest.Signed{Manifest: text, Signature: mark.Signature}.File()
	if err != nil {
		return signed{}, fmt.Errorf("manifest of incident %s: %w", in.Incident.ID, err)
	}
	_, err = s.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(file), ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*"),
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(s.host.Now().Add(s.retention)),
	})
	switch {
	case evidence.Taken(err):
		if page.Key, err = s.standing(ctx, key, run, in); err != nil {
			return signed{}, err
		}
	case err != nil:
		return signed{}, fmt.Errorf("write %s: %w", key, err)
	}
	return signed{manifest: key, report: page.Key}, nil
}

// standing says whether what is under a manifest's key is one, and of this run, and
// which page it names. Whoever could write there before us must not thereby close an
// incident that nobody signed for.
func (s *Step) standing(ctx context.Context, key, run string, in Input) (page string, err error) {
	file, err := evidence.Read(ctx, s.s3, s.bucket, key, manifest.MaxFile)
	if err != nil {
		return "", err
	}
	public, err := s.kms.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &s.key})
	if err != nil {
		return "", fmt.Errorf("read the public key of the manifests: %w", err)
	}
	k, err := manifest.PublicKey(public.PublicKey)
	if err != nil {
		return "", fmt.Errorf("the public key of the manifests: %w", err)
	}
	m, err := manifest.Read(file, k)
	if err != nil {
		return "", fmt.Errorf("%s is there, and does not hold: %w", key, err)
	}
	if m.Incident != in.Incident.ID || m.Run != run || m.Ending != in.Ending {
		return "", fmt.Errorf("%s is there, and is that of incident %q, execution %q, which ended %q", key, m.Incident, m.Run, m.Ending)
	}
	for _, o := range m.Objects {
		if strings.HasPrefix(o.Key, "incidents/"+in.Incident.ID+"/reports/") {
			page = o.Key
		}
	}
	return page, nil
}

// recorded adds what the tables have of an incident; own are its own prior values.
func (s *Step) recorded(ctx context.Context, in Input, own []record.Prior, b *body) error {
	var err error
	if b.Decisions, err = record.Decisions(ctx, s.decisions, s.decisionsTable, in.Incident.ID); err != nil {
		return err
	}
	asked, err := record.Requests(ctx, s.incidents, s.table, in.Incident.ID)
	if err != nil {
		return err
	}
	b.Requests = []request{}
	for _, r := range asked {
		q := request{Round: r.Round, OpenedAt: r.OpenedAt, ExpiresAt: r.ExpiresAt, Problem: r.Problem, Before: r.Before, Later: r.Later}
		if !r.MailedAt.IsZero() {
			q.MailedAt = &r.MailedAt
		}
		b.Requests = append(b.Requests, q)
	}
	var inherited []record.Prior
	if in.Incident.Inherits != "" {
		if inherited, err = record.Priors(ctx, s.incidents, s.table, in.Incident.Inherits); err != nil {
			return err
		}
	}
	// A value that this incident inherited stands in its own record, too, as
	// soon as it was about to change it.
	place := map[string]int{}
	b.Before = []record.Prior{}
	for _, p := range slices.Concat(inherited, own) {
		what := p.Resource + " " + p.Attribute
		if n, ok := place[what]; ok {
			b.Before[n] = p
			continue
		}
		place[what] = len(b.Before)
		b.Before = append(b.Before, p)
	}
	for _, p := range b.Before {
		at := &b.Begun.Protecting
		if p.Attribute == "groups" {
			at = &b.Begun.Isolating
		}
		// What was inherited was done in another incident.
		if !p.At.Before(in.Incident.OpenedAt) && (at.IsZero() || p.At.Before(*at)) {
			*at = p.At
		}
	}
	b.Groups = []groups{}
	at := map[string]int{}
	for _, i := range in.Isolation.Interfaces {
		at[i.ID] = len(b.Groups)
		b.Groups = append(b.Groups, groups{Interface: i.ID, Isolated: i.Groups})
	}
	for _, p := range b.Before {
		if p.Attribute != "groups" {
			continue
		}
		n, ok := at[p.Resource]
		if !ok {
			n = len(b.Groups)
			b.Groups = append(b.Groups, groups{Interface: p.Resource})
		}
		if err := json.Unmarshal(p.Value, &b.Groups[n].Before); err != nil {
			return fmt.Errorf("groups of %s before: %w", p.Resource, err)
		}
	}
	return nil
}

// objects are those of the incident, with their hashes. That of the image was
// computed before, as it takes longer than this step may.
// What is gone is named: an incident that is closed months later may have outlived
// its evidence. So is an image that could not be hashed.
func (s *Step) objects(ctx context.Context, in Input, console incident.Console) (all []manifest.Object, missing []string, err error) {
	all, missing = []manifest.Object{}, []string{}
	small := []string{}
	if in.Event != "" {
		small = append(small, in.Event)
	}
	if in.Memory.Object != "" {
		small = append(small, "incidents/"+in.Incident.ID+"/memory/parts.json")
	}
	kept := map[string]string{} // the hash that whoever kept it wrote down
	for _, k := range []incident.Kept{console.Output, console.Screenshot, in.Memory.Triage} {
		if k.Object != "" {
			small = append(small, k.Object)
			kept[k.Object] = k.SHA256
		}
	}
	for _, key := range small {
		o, err := evidence.Hash(ctx, s.s3, s.bucket, key)
		if err != nil { // which may say that it is not there, and be wrong
			there, unlisted := evidence.Exists(ctx, s.s3, s.bucket, key)
			if there || unlisted != nil {
				return nil, nil, errors.Join(err, unlisted)
			}
			missing = append(missing, key)
			continue
		}
		if sum := kept[key]; sum != "" && sum != o.SHA256 { // written over since: nothing to sign for
			missing = append(missing, key)
			continue
		}
		all = append(all, o)
	}
	switch {
	case in.Digest.SHA256 != "":
		all = append(all, manifest.Object{Key: in.Memory.Object, Bytes: in.Digest.Bytes, SHA256: in.Digest.SHA256})
	case in.Memory.Object != "":
		missing = append(missing, in.Memory.Object)
	}
	manifest.Sort(all)
	return all, missing, nil
}
