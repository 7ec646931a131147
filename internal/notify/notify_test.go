package notify_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/lambdafn"
	"cordon/internal/notify"
	"cordon/internal/record"
	"cordon/internal/sim"
	"cordon/internal/vtime"
)

var begun = time.Date(2026, 11, 24, 2, 0, 0, 0, time.UTC)

const incidents = "incidents"

func host(clock *vtime.Clock, change map[string]string) incident.Host {
	env := map[string]string{"TOPIC_ARN": "arn:aws:sns:eu-west-1:123456789012:cordon", "LANGUAGE": "en", "INCIDENTS_TABLE": incidents}
	for k, v := range change {
		env[k] = v
	}
	return incident.Host{Now: clock.Now, Rand: clock.Rand("host"), Each: clock.Each, Getenv: func(name string) string { return env[name] }}
}

// tell gives the function what Lambda gives it, and returns what it answers and
// what people got.
func tell(t *testing.T, payload string, faults ...sim.Fault) (incident.Report, []sim.Mail, error) {
	t.Helper()
	return tellOf(t, func(context.Context, *sim.Account) error { return nil }, payload, faults...)
}

// tellOf is tell where there is something in the record.
func tellOf(t *testing.T, before func(context.Context, *sim.Account) error, payload string, faults ...sim.Fault) (incident.Report, []sim.Mail, error) {
	t.Helper()
	clock := vtime.New(1, begun)
	account, err := sim.Open(sim.Settings{Clock: clock, Seed: 1, Faults: faults, Incidents: incidents}, nil)
	if err != nil {
		t.Fatal(err)
	}
	handle, err := lambdafn.Handle(notify.New(host(clock, nil), account.SNS(), account.DynamoDB()))
	if err != nil {
		t.Fatal(err)
	}
	var report incident.Report
	clock.Run(func() {
		if err := before(t.Context(), account); err != nil {
			t.Error(err)
		}
		ctx, end := clock.Deadline(t.Context(), begun.Add(25*time.Second))
		defer end()
		var out []byte
		if out, err = handle(sim.WithInvocation(ctx, &sim.Invocation{Function: "notify", Kill: end}), []byte(payload)); err == nil {
			if err := json.Unmarshal(out, &report); err != nil {
				t.Errorf("output %s: %v", out, err)
			}
		}
	})
	return report, account.Mails(), err
}

const finding = `{"id": "e-1", "source": "aws.guardduty", "detail-type": "GuardDuty Finding", "account": "123456789012", "region": "eu-west-1",
	"time": "2026-11-24T02:00:00Z", "detail": {"id": "f1", "type": "AttackSequence:IAM/CompromisedCredentials", "severity": 9.1, "accountId": "123456789012",
	"region": "eu-west-1", "title": "%s", "resource": {"resourceType": "AttackSequence"}, "service": {"archived": %t%s}}}`

func TestFindingsThatAreToldOnly(t *testing.T) {
	for _, c := range []struct {
		name, event, skipped string
		want                 []string
	}{
		{"told", fmt.Sprintf(finding, "Odd", false, ""), "", []string{"AttackSequence:IAM/CompromisedCredentials", "9.1 (critical)", "a person must look at it", "search=id%3Df1"}},
		{"archived", fmt.Sprintf(finding, "Odd", true, ""), "archived", nil},
		{"sample by title", fmt.Sprintf(finding, "[SAMPLE] Odd", false, ""), "sample", nil},
		{"sample by flag", fmt.Sprintf(finding, "Odd", false, `, "additionalInfo": {"sample": true}`), "sample", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, mails, err := tell(t, c.event)
			if err != nil {
				t.Fatal(err)
			}
			if c.skipped != "" {
				if len(mails) != 0 || report.Status != incident.Skipped || !strings.Contains(report.Reason, c.skipped) {
					t.Errorf("%+v and %d mails, want none because it is %s", report, len(mails), c.skipped)
				}
				return
			}
			if len(mails) != 1 || report.Status != incident.OK {
				t.Fatalf("%+v and %d mails, want one", report, len(mails))
			}
			for _, want := range c.want {
				if !strings.Contains(mails[0].Body, want) {
					t.Errorf("the mail lacks %q:\n%s", want, mails[0].Body)
				}
			}
		})
	}
}

// Input and output of an execution hold findings and tokens.
func TestExecutionThatEndedBadly(t *testing.T) {
	_, mails, err := tell(t, `{"id": "e-2", "source": "aws.states", "detail-type": "Step Functions Execution Status Change", "region": "eu-west-1", "detail": {
		"executionArn": "arn:aws:states:eu-west-1:123456789012:execution:cordon:run-7", "name": "run-7", "status": "TIMED_OUT", "startDate": 1551225271984, "stopDate": null,
		"input": "{\"token\":\"SECRET\"}", "output": "SECRET", "error": "States.Timeout", "cause": "SECRET", "inputDetails": {"included": true}}}`)
	if err != nil || len(mails) != 1 {
		t.Fatalf("%d mails, %v", len(mails), err)
	}
	for _, want := range []string{"run-7", "TIMED_OUT", "States.Timeout"} {
		if !strings.Contains(mails[0].Body, want) {
			t.Errorf("the mail lacks %q:\n%s", want, mails[0].Body)
		}
	}
	if strings.Contains(mails[0].Body+mails[0].Subject, "SECRET") {
		t.Errorf("the mail holds what the execution worked on:\n%s", mails[0].Body)
	}
}

// https://docs.aws.amazon.com/systems-manager/latest/userguide/monitoring-systems-manager-event-examples.html
func TestSwitchThatWasChanged(t *testing.T) {
	_, mails, err := tell(t, `{"id": "e-3", "source": "aws.ssm", "detail-type": "Parameter Store Change", "region": "eu-west-1",
		"resources": ["arn:aws:ssm:eu-west-1:123456789012:parameter/cordon/pause"], "detail": {"operation": "Update", "name": "/cordon/pause", "type": "String"}}`)
	if err != nil || len(mails) != 1 || !strings.Contains(mails[0].Subject, "pause switch") || !strings.Contains(mails[0].Body, "/cordon/pause: Update") {
		t.Errorf("%v, %+v", err, mails)
	}
}

// Whatever a rule delivers, somebody gets to know of it.
func TestEventsNobodyExpected(t *testing.T) {
	for _, event := range []string{
		`{"detail-type": "GuardDuty Finding", "detail": {"severity": "high"}}`,
		`{"detail-type": "GuardDuty Finding", "detail": 7, "region": 5, "finding": [], "incident": "x"}`,
		`{"detail-type": "Step Functions Execution Status Change", "detail": {"name": 7}}`,
		`{"detail-type": "Parameter Store Change", "detail": {"name": 7}}`,
		`{"detail-type": 7}`, `{"detail-type": "Something\nelse"}`, `{}`, `[]`, `null`, `"text"`, `7`,
	} {
		report, mails, err := tell(t, event)
		if err != nil || report.Status != incident.OK || len(mails) != 1 {
			t.Errorf("%s: %+v, %d mails, %v: nobody is told", event, report, len(mails), err)
			continue
		}
		if !strings.Contains(mails[0].Subject, "URGENT") || !strings.Contains(mails[0].Body, "Why: ") {
			t.Errorf("%s: %s\n%s", event, mails[0].Subject, mails[0].Body)
		}
	}
}

func TestWhatTheMachineTells(t *testing.T) {
	event := fmt.Sprintf(finding, "Odd", false, "")
	for _, c := range []struct {
		name, payload string
		subject       string
		want          []string
	}{
		{
			"contained", `{"kind": "contained", "incident": {"id": "1.eu-west-1.i-1.1", "instanceId": "i-1", "region": "eu-west-1", "account": "1"},
				"finding": {"id": "f1", "region": "eu-west-1", "type": "Backdoor:EC2/C&CActivity.B", "severity": 8}, "instance": {"id": "i-1", "name": "web"},
				"isolation": {"status": "ok", "contained": true, "at": "2026-11-24T02:00:09Z", "interfaces": [{"id": "eni-1", "vpc": "vpc-1", "where": "quarantine"}], "staysOpen": ["dns"]},
				"problem": {"Error": "", "Cause": ""}, "reason": ""}`,
			"[URGENT] EC2 instance isolated automatically: i-1",
			[]string{"2026-11-24 02:00:09 UTC", "eni-1", "Backdoor:EC2/C&CActivity.B", "\"web\""},
		},
		{
			// The first step failed: there is only the event.
			"nothing but the event", `{"kind": "notRead", "problem": {"Error": "AccessDenied", "Cause": "{\"errorMessage\":\"keep event: denied\",\"errorType\":\"AccessDenied\"}"}, "event": ` + event + `}`,
			"NOT isolated",
			[]string{"AttackSequence:IAM/CompromisedCredentials", "keep event: denied", "AWS denied the call", "there is no signed report of it"},
		},
		{
			// The same, and the event is an operator's wish.
			"nothing but a wish", `{"kind": "notRead", "problem": {"Error": "States.Timeout", "Cause": ""}, "event": {"source": "` + incident.WishSource + `", "detail-type": "` + incident.WishType + `", "detail": {"incident": "1.eu-west-1.i-1.1"}}}`,
			"asked once more: i-1",
			[]string{"cordon decide 1.eu-west-1.i-1.1 ", "no signed report of this attempt"},
		},
		{
			"an event that cannot be read", `{"kind": "unreadable", "incident": null, "isolation": null, "problem": null, "event": {"detail": {}}}`,
			"could not be read",
			[]string{"detail.severity is missing"},
		},
		{"a time-out", `{"kind": "undecided", "incident": {"instanceId": "i-1"}, "problem": {"Error": "States.Timeout", "Cause": ""}}`, "i-1", []string{"did not answer in time"}},
		{"a kind of tomorrow", `{"kind": "somethingNew", "incident": {"instanceId": "i-1"}}`, "i-1", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			report, mails, err := tell(t, c.payload)
			if err != nil || report.Status != incident.OK || len(mails) != 1 {
				t.Fatalf("%+v, %d mails, %v", report, len(mails), err)
			}
			if !strings.Contains(mails[0].Subject, c.subject) {
				t.Errorf("subject %q lacks %q", mails[0].Subject, c.subject)
			}
			for _, want := range c.want {
				if !strings.Contains(mails[0].Body, want) {
					t.Errorf("the mail lacks %q:\n%s", want, mails[0].Body)
				}
			}
		})
	}
}

// A mail that SNS refuses is an error: the machine retries, and the execution's
// own failure alarms.
func TestRefusedMail(t *testing.T) {
	for _, kind := range []sim.Kind{sim.Denied, sim.Unavailable, sim.Lost, sim.KilledBefore} {
		_, _, err := tell(t, fmt.Sprintf(finding, "Odd", false, ""), sim.Fault{Service: "sns", Action: "Publish", Number: 1, Kind: kind})
		if err == nil {
			t.Errorf("%s: the step says that people were told", kind)
		}
	}
}

// An execution from which another took the incident over, redriven, would tell how it
// stood when it was stopped. Where nobody can say whose it is, people are told all the
// same: of an isolation, and that there is none.
func TestWhoseIncidentItIs(t *testing.T) {
	const id = "123456789012.eu-west-1.i-1.1"
	look := func(n int, kind sim.Kind) sim.Fault {
		return sim.Fault{Service: "dynamodb", Action: "GetItem", Number: n, Kind: kind}
	}
	opened := func(ctx context.Context, a *sim.Account) error {
		_, err := record.Claim(ctx, a.DynamoDB(), incidents, record.Head{Incident: incident.Incident{ID: id, InstanceID: "i-1", OpenedAt: begun}, Execution: "first"})
		return err
	}
	taken := func(ctx context.Context, a *sim.Account) error {
		return errors.Join(opened(ctx, a), record.TakeOver(ctx, a.DynamoDB(), incidents, id, "first", "second", begun))
	}
	followed := func(ctx context.Context, a *sim.Account) error {
		_, err := record.Claim(ctx, a.DynamoDB(), incidents, record.Head{Incident: incident.Incident{ID: "123456789012.eu-west-1.i-1.2", OpenedAt: begun}, Execution: "second"})
		return errors.Join(opened(ctx, a), record.Close(ctx, a.DynamoDB(), incidents, id, "first", record.Released, begun), err)
	}
	for _, c := range []struct {
		name      string
		before    func(context.Context, *sim.Account) error
		execution string
		faults    []sim.Fault
		told      bool
		unknown   bool
	}{
		{name: "its own", before: opened, execution: "first", told: true},
		{name: "another's", before: taken, execution: "first"},
		{name: "taken over", before: taken, execution: "second", told: true},
		{name: "followed by another's", before: followed, execution: "first"},
		{name: "of an older definition", before: taken, told: true},
		{name: "it cannot be read", before: taken, execution: "first", faults: []sim.Fault{look(1, sim.Denied)}, told: true, unknown: true},
		{name: "what follows cannot be read", before: followed, execution: "first", faults: []sim.Fault{look(2, sim.Unavailable)}, told: true, unknown: true},
		{name: "there is none", before: func(context.Context, *sim.Account) error { return nil }, execution: "first", told: true, unknown: true},
	} {
		for _, kind := range []string{"contained", "notContained"} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				payload := fmt.Sprintf(`{"kind": %q, "execution": %q, "incident": {"id": %q, "instanceId": "i-1"}}`, kind, c.execution, id)
				report, mails, err := tellOf(t, c.before, payload, c.faults...)
				if err != nil {
					t.Fatal(err)
				}
				if told := len(mails) == 1; told != c.told || told != (report.Status == incident.OK) {
					t.Errorf("%d mails, %+v; want one: %t", len(mails), report, c.told)
				}
				if unknown := c.told && report.Reason != ""; unknown != c.unknown || report.Status == incident.Skipped && report.Reason == "" {
					t.Errorf("%+v does not say what was not known", report)
				}
			})
		}
	}
}

func TestSettings(t *testing.T) {
	clock := vtime.New(1, begun)
	for name, value := range map[string]string{"TOPIC_ARN": "", "LANGUAGE": "", " LANGUAGE": "fr", "INCIDENTS_TABLE": ""} {
		name = strings.TrimSpace(name)
		_, err := notify.New(host(clock, map[string]string{name: value}), nil, nil)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%q: %v, want an error that names it", name, value, err)
		}
	}
}
