package close

import (
	"context"
	"fmt"
	"time"

	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"
	"cordon/internal/report"
)

// noted is what the steps left in the record, nil where a step left nothing, and what
// else stands beside it.
type noted struct {
	Isolation   *incident.Isolation
	Protection  *incident.Protection
	Credentials *incident.Credentials
	Snapshots   *incident.Snapshots
	Custody     *incident.Custody
	Memory      *incident.CaptureRecord
	Digest      *struct{ Result *incident.Digest }
	Restoration *struct {
		incident.Restoration
		EndedAt time.Time // zero where it did not end
	}
	Console   *incident.Console
	Exposure  incident.Exposure
	Drift     struct{ Known []incident.Drift }
	Terminate struct{ CalledAt time.Time }

	findings []incident.Finding
	priors   []record.Prior
}

func (s *Step) noted(ctx context.Context, id string) (noted, error) {
	all, err := record.ReadAll(ctx, s.incidents, s.table, id)
	if err != nil {
		return noted{}, fmt.Errorf("read what is noted of incident %s: %w", id, err)
	}
	n := noted{findings: all.Findings, priors: all.Priors}
	if err := all.Steps.Into(map[string]any{
		"isolate":     &n.Isolation,
		"preserve":    &n.Protection,
		"credentials": &n.Credentials,
		"snapshot":    &n.Snapshots,
		"custody":     &n.Custody,
		"memory":      &n.Memory,
		"digest":      &n.Digest,
		"release":     &n.Restoration,
		"console":     &n.Console,
		"exposure":    &n.Exposure,
		"drift":       &n.Drift,
		"terminate":   &n.Terminate,
	}); err != nil {
		return noted{}, fmt.Errorf("read incident %s: %w", id, err)
	}
	return n, nil
}

// facts puts what the steps noted in the place of what the execution carries, and
// adds what it does not carry. The record is what each step answered last: an
// execution that took the incident over, or whose branches a release ended, carries
// something older. What only the execution knows is that a step had no answer.
func (n noted) facts(in Input) (b body) {
	// The failures that it carries of these are from before the release.
	ended := in.Decision.Choice == incident.Release
	in.Isolation = latest(n.Isolation, in.Isolation, ended, func(i *incident.Isolation) *incident.Report {
		i.Contained, i.Sealed = false, false // whether it is, nobody knows
		return &i.Report
	})
	in.Protection = latest(n.Protection, in.Protection, ended, func(p *incident.Protection) *incident.Report { return &p.Report })
	in.Snapshots = latest(n.Snapshots, in.Snapshots, ended, func(s *incident.Snapshots) *incident.Report { return &s.Report })
	in.Credentials = latest(n.Credentials, in.Credentials, false, func(c *incident.Credentials) *incident.Report { return &c.Report })
	// A release after which it was isolated again is history: nothing is back.
	if r := n.Restoration; r != nil && (n.Isolation == nil || r.EndedAt.IsZero() || !n.Isolation.At.After(r.EndedAt)) {
		in.Restoration = latest(&r.Restoration, in.Restoration, false, func(r *incident.Restoration) *incident.Report { return &r.Report })
	}
	in.Custody = latest(n.Custody, in.Custody, false, func(c *incident.Custody) *incident.Report { return &c.Report })
	if n.Custody == nil && in.Custody.Status != incident.Failed {
		// An execution of an older definition says nothing of copies.
		off := in.Custody.Off || in.Custody.Status == ""
		in.Custody = incident.Custody{Report: incident.Report{Status: incident.Skipped, Reason: "nothing was copied"}, Off: off, Copies: []incident.Copy{}}
	}
	if n.Memory != nil {
		m := n.Memory.Memory()
		settled := m.Done
		in.Memory = latest(&m, in.Memory, settled, func(m *incident.Memory) *incident.Report { return &m.Report })
		b.Begun.Capturing = n.Memory.SentAt
	}
	if n.Digest != nil && n.Digest.Result != nil {
		in.Digest = *n.Digest.Result
	}
	b.Findings = n.findings
	b.Input, b.Exposure, b.Drifts, b.Begun.Terminating = in, n.Exposure, n.Drift.Known, n.Terminate.CalledAt
	b.Console = incident.Console{Report: incident.Report{Status: incident.Skipped, Reason: "nothing was kept"}}
	if n.Console != nil {
		b.Console = *n.Console
	}
	if b.Drifts == nil {
		b.Drifts = []incident.Drift{}
	}
	return b
}

// latest is what is known of a step: what it noted, and with it the failure that
// the execution carries, unless that is older.
func latest[T any](noted *T, carried T, older bool, report func(*T) *incident.Report) T {
	if noted == nil {
		return carried
	}
	known := *noted
	if failed := *report(&carried); failed.Status == incident.Failed && !older {
		*report(&known) = failed
	}
	return known
}

// facts are what the page is made of: nothing that the manifest has not.
func (b body) facts(kind message.Kind, manifestKey string) report.Facts {
	f := report.Facts{
		Kind: kind, ClosedAt: b.ClosedAt, Execution: b.Execution, Manifest: manifestKey, Incident: b.Incident, Instance: b.Instance, Findings: b.Findings,
		Isolation: b.Isolation, Exposure: b.Exposure, Protection: b.Protection, Credentials: b.Credentials, Restoration: b.Restoration, Drifts: b.Drifts,
		Evidence: incident.Evidence{Snapshots: b.Snapshots, Custody: b.Custody, Memory: b.Memory, Digest: b.Digest, Console: b.Console},
		Decision: message.Decision{Choice: b.Decision.Choice, Person: b.Decision.Person, Seconds: b.Decision.Seconds, Reason: b.Decision.Reason}, Decisions: b.Decisions,
		Objects: b.Objects, Missing: b.Missing, Begun: b.Begun, Open: b.State == record.Open, Problem: b.Problem,
	}
	for _, r := range b.Requests {
		asked := report.Request{Round: r.Round, OpenedAt: r.OpenedAt, ExpiresAt: r.ExpiresAt, Problem: r.Problem}
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
