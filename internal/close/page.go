package close

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"cordon/internal/evidence"
	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/message"
	"cordon/internal/record"
	"cordon/internal/report"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// noted is what steps left in the record and the machine does not carry: a
// release that ends the other branches loses nothing of it.
type noted struct {
	Snapshots *incident.Snapshots // nil where nothing was noted
	Console   incident.Console
	Custody   incident.Custody
	Exposure  incident.Exposure
	Drift     struct{ Known []incident.Drift }
	Memory    struct{ SentAt time.Time }
	Terminate struct{ CalledAt time.Time }
}

func (n noted) begun() report.Begun {
	return report.Begun{Capturing: n.Memory.SentAt, Terminating: n.Terminate.CalledAt}
}

func (s *Step) noted(ctx context.Context, id string) (noted, error) {
	n := noted{
		Console: incident.Console{Report: incident.Report{Status: incident.Skipped, Reason: "nothing was kept"}},
		Custody: incident.Custody{Report: incident.Report{Status: incident.Skipped, Reason: "nothing was copied"}, Off: true, Copies: []incident.Copy{}},
	}
	steps, err := record.Steps(ctx, s.incidents, s.table, id)
	if err != nil {
		return noted{}, fmt.Errorf("read what the steps noted of incident %s: %w", id, err)
	}
	for _, step := range []struct {
		name string
		to   any
	}{{"snapshot", &n.Snapshots}, {"console", &n.Console}, {"custody", &n.Custody}, {"exposure", &n.Exposure}, {"drift", &n.Drift}, {"memory", &n.Memory}, {"terminate", &n.Terminate}} {
		if body, ok := steps[step.name]; ok {
			if err := json.Unmarshal(body, step.to); err != nil {
				return noted{}, fmt.Errorf("what step %s noted of incident %s: %w", step.name, id, err)
			}
		}
	}
	if n.Drift.Known == nil {
		n.Drift.Known = []incident.Drift{}
	}
	return n, nil
}

// report writes the page that people read and says how the manifest names it. One
// that is there and is the same stays: a run whose answer was lost wrote it. One
// that is another is left alone and named nowhere; this run's stands beside it,
// under its hash: a finding joined between two runs, or somebody was there first.
func (s *Step) report(ctx context.Context, b body, kind message.Kind, manifestKey, name string) (manifest.Object, error) {
	page := report.Page(s.language, b.facts(kind, manifestKey))
	sum := sha256.Sum256(page)
	hash := hex.EncodeToString(sum[:])
	for _, key := range []string{name + ".html", name + "." + hash[:12] + ".html"} {
		out, err := s.s3.PutObject(ctx, &s3.PutObjectInput{
			Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(page), ContentType: aws.String("text/html; charset=utf-8"), IfNoneMatch: aws.String("*"),
			ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(s.host.Now().Add(s.retention)),
		})
		if err == nil {
			return manifest.Object{Key: key, Version: aws.ToString(out.VersionId), Bytes: int64(len(page)), SHA256: hash}, nil
		}
		if !evidence.Taken(err) {
			return manifest.Object{}, fmt.Errorf("write %s: %w", key, err)
		}
		there, err := evidence.Hash(ctx, s.s3, s.bucket, key)
		if err != nil {
			return manifest.Object{}, err
		}
		if there.SHA256 == hash {
			return there, nil
		}
	}
	return manifest.Object{}, fmt.Errorf("others wrote what stands under %s and under its hash", name)
}

// facts are what the page is made of: nothing that the manifest has not.
func (b body) facts(kind message.Kind, manifestKey string) report.Facts {
	f := report.Facts{
		Kind: kind, ClosedAt: b.ClosedAt, Execution: b.Execution, Manifest: manifestKey, Incident: b.Incident, Instance: b.Instance, Findings: b.Findings,
		Isolation: b.Isolation, Exposure: b.Exposure, Protection: b.Protection, Credentials: b.Credentials, Restoration: b.Restoration, Drifts: b.Drifts,
		Evidence: incident.Evidence{Snapshots: b.Snapshots, Custody: b.Custody, Memory: b.Memory, Digest: b.Digest, Console: b.Console},
		Decision: message.Decision{Choice: b.Decision.Choice, Person: b.Decision.Person, Seconds: b.Decision.Seconds, Reason: b.Decision.Reason}, Decisions: b.Decisions,
		Objects: b.Objects, Missing: b.Missing, Begun: b.Begun,
	}
	for _, r := range b.Requests {
		asked := report.Request{Round: r.Round, OpenedAt: r.OpenedAt}
		if r.MailedAt != nil {
			asked.MailedAt = *r.MailedAt
		}
		f.Requests = append(f.Requests, asked)
	}
	where := map[string]incident.Place{}
	for _, i := range b.Isolation.Interfaces {
		where[i.ID] = i.Where
	}
	for _, g := range b.Groups {
		f.Interfaces = append(f.Interfaces, report.Interface{ID: g.Interface, Before: g.Before, Isolated: g.Isolated, Where: where[g.Interface]})
	}
	return f
}
