package faults_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
)

var (
	mutate = flag.Bool("mutants", false, "plant every fault of the table and look for it: make test-mutants")
	only   = flag.String("only", "", "with -mutants, those whose name holds this; with -full, that part")
	hunt   = flag.Bool("hunt", false, "say what the first violation is; for a mutant's own binary")
)

// edit is a change of a file of the checkout: old stands there exactly so often.
type edit struct {
	file     string
	old, new string
	times    int // 0: once
}

// mutant is a planted fault, and the invariants of which one must find it.
type mutant struct {
	name  string
	edits []edit
	finds []string
}

const (
	definition = "statemachines/incident-response.asl.json"
	settings   = "template.yaml"
)

var mutants = []mutant{
	// The definition.
	{"a Catch removed", []edit{in(definition, cut("Start the memory capture", "Catch"))}, []string{"Converges"}},
	{"a Retry removed", []edit{in(definition, cut("Read the finding", "Retry"))}, []string{"Converges"}},
	{"a validation error retried for ever", []edit{in(definition, put("Read the finding", "Retry", []any{object{"ErrorEquals": []any{"States.ALL"}, "IntervalSeconds": 1, "MaxAttempts": 99999999, "BackoffRate": 1}})), {
		file: "internal/enrich/enrich.go", old: "\tif out.Verdict != Act {\n\t\treturn out, nil\n\t}\n", new: "\tif out.Verdict == Nothing {\n\t\treturn Output{}, errors.New(out.Reason)\n\t}\n\tif out.Verdict != Act {\n\t\treturn out, nil\n\t}\n",
	}}, []string{"Ends or waits for a human"}},
	{"a loop without an end", []edit{in(definition, never("Are the snapshots done?"))}, []string{"Ends or waits for a human"}},
	{"silence taken for consent", []edit{in(definition, caught("Verify before isolating", "Undecided", "Protect and snapshot"))}, []string{"Asked first, isolated after"}},
	{"an error taken for a release", []edit{
		in(definition, caught("Verify the decision", "Undecided", "Release was decided")),
		{file: "internal/release/release.go", old: "in.Round, in.Execution, incident.Release)\n\tif err != nil {\n\t\treturn Output{}, err\n\t}", new: "in.Round, in.Execution, incident.Release)\n\tif err != nil {\n\t\td, err = incident.Decision{}, nil\n\t}"},
	}, []string{"Never reconnected by an error"}},
	{"the last look left out", []edit{in(definition, otherwise("Is it contained now?", "Carry out the decision"))}, []string{"No silent failure"}},

	// The template.
	{"the setting of a dry run lost", []edit{{file: settings, old: "DRY_RUN: !Ref DryRun", new: "DRY_RUN: 'false'", times: 8}}, []string{"A dry run changes nothing"}},

	// The steps.
	{"time-out taken for approval", []edit{
		{file: "internal/mandate/mandate.go", old: "\tif !found {\n", new: "\tif !found {\n\t\treturn incident.Decision{Version: incident.DecisionVersion, Incident: inc.ID, Round: round, InstanceID: inc.InstanceID, AttachedAt: inc.AttachedAt, Choice: incident.Terminate}, nil\n"},
	}, []string{"No unapproved kill"}},
	{"snapshot check skipped", []edit{{file: "internal/terminate/terminate.go", old: "if !d.Override {", new: "if d.Override {"}}, []string{"No evidence, no kill"}},
	{"act before record, interfaces", []edit{
		{file: "internal/isolate/isolate.go", old: "unrecorded[n] = s.remember(ctx, in, l, l.interfaces[n], groups)", new: "unrecorded[n] = nil"},
		{file: "internal/isolate/isolate.go", old: "\t\tif moves[n].err = unrecorded[n]; ", new: "\t\tdefer func() { _ = s.remember(ctx, in, l, l.interfaces[n], groups) }()\n\t\tif moves[n].err = unrecorded[n]; "},
	}, []string{"Recorded before changed"}},
	{"the pass without a lease", []edit{{file: "internal/isolate/isolate.go", old: "\t\tcase wanted:\n", new: "\t\tcase wanted && !first:\n"}}, []string{"Never reconnected by an error"}},
	{"a set begun by two", []edit{{file: "internal/record/lease.go", old: "attribute_not_exists(pk) OR #body = :new AND #holder = :me\"", new: "attribute_not_exists(pk) OR #body = :new OR #holder = :me OR attribute_exists(pk)\""}}, []string{"One incident an instance"}},
	{"the look whose it is left out", []edit{{file: "internal/record/lease.go", old: "if execution != \"\" && h.Execution != execution {", new: "if execution == h.Incident.ID {"}}, []string{"Who lost an incident leaves it"}},
	{"a decision carried out by whoever has it", []edit{{file: "internal/mandate/mandate.go", old: "if err := h.Own(execution); err != nil {", new: "if err := h.Own(h.Execution); err != nil {"}}, []string{"Who lost an incident leaves it"}},
	{"a capture announced over another's", []edit{{file: "internal/record/lease.go", old: "\"attribute_not_exists(pk) OR #body = :new\"", new: "\"attribute_exists(pk) OR attribute_not_exists(pk) OR #body = :new\""}}, []string{"One incident an instance"}},
	{"act before record, flags", []edit{{
		file: "internal/preserve/preserve.go", old: "\tif err := s.remember(ctx, inc, prior, now); err != nil {\n\t\treturn result{name: name, err: err}\n\t}\n\tif now == want {", new: "\tdefer func() { _ = s.remember(ctx, inc, prior, now) }()\n\tif now == want {",
	}}, []string{"Recorded before changed"}},
	{"second interface forgotten", []edit{{file: "internal/isolate/isolate.go", old: "\treturn all, nil\n}\n\n// close moves", new: "\treturn all[:min(1, len(all))], nil\n}\n\n// close moves"}}, []string{"No silent failure", "Converges"}},
	{"::/0 forgotten", []edit{{file: "internal/isolate/groups.go", old: "if !slices.Contains(want, r.rule) {", new: "if !slices.Contains(want, r.rule) && r.peer != \"::/0\" {"}}, []string{"No silent failure"}},
	{"seal skipped", []edit{{file: "internal/isolate/isolate.go", old: "in.Seal = in.Seal || l.before.Sealed", new: "in.Seal = false"}}, []string{"No silent failure"}},
	{"rollback on error", []edit{{file: "internal/isolate/isolate.go", old: "\tcase got == nil:\n\t\tm.err = err\n", new: "\tcase got == nil:\n\t\tm.err = err\n\t\t_ = s.assign(ctx, i, &group{id: groupIDs(i)[0]})\n"}}, []string{"Never reconnected by an error"}},
	{"left in the conversion group", []edit{{
		file: "internal/isolate/isolate.go", old: "err = errors.Join(err, s.assign(ctx, i, through))\n", new: "err = errors.Join(err, s.assign(ctx, i, through))\n\t\t\tif err == nil {\n\t\t\t\treturn m\n\t\t\t}\n",
	}}, []string{"Never left open"}},
	{"a sample acted on", []edit{{file: "internal/enrich/enrich.go", old: "case flags.Sample:", new: "case flags.Sample && flags.Archived:"}}, []string{"Not ours, not touched"}},
	{"the pause not read", []edit{{file: "internal/enrich/enrich.go", old: "if !pause.until.IsZero() {", new: "if pause.until.IsZero() && !pause.until.IsZero() {"}}, []string{"Not ours, not touched"}},
	{"repeat acts after release", []edit{{file: "internal/enrich/claim.go", old: "return newType || moreSevere, nil", new: "return newType || moreSevere || true, nil"}}, []string{"A decision is not reversed by a repeat"}},
	{"an open incident not joined", []edit{{file: "internal/enrich/claim.go", old: "\tcase h.State == record.Open:\n\t\treturn s.join(ctx, a, h)", new: "\tcase h.State == record.Open:\n\t\treturn s.claim(ctx, a, last)"}}, []string{"One incident an instance"}},
	{"claimed without a condition", []edit{{file: "internal/record/record.go", old: `ConditionExpression: aws.String("attribute_not_exists(pk)"),`, new: ""}}, []string{"One incident an instance", "Recorded before changed", "Never reconnected by an error", "No unapproved kill"}},
	{"snapshots taken again blindly", []edit{{file: "internal/snapshot/set.go", old: "\tshown := l.tagged\n", new: "\tshown := l.tagged[:0]\n"}}, []string{"One incident an instance"}},
	{"capture sent again blindly", []edit{{file: "internal/memory/advance.go", old: `if c.state.Command == "" && !c.state.SentAt.IsZero() {`, new: `if c.state.Command != "" && c.state.SentAt.IsZero() {`}}, []string{"One incident an instance"}},
	{"release forgets the second interface", []edit{{file: "internal/release/world.go", old: "\tfor _, i := range w.attached {\n\t\tid := aws.ToString(i.NetworkInterfaceId)\n\t\town, recorded", new: "\tfor _, i := range w.attached[:min(1, len(w.attached))] {\n\t\tid := aws.ToString(i.NetworkInterfaceId)\n\t\town, recorded"}}, []string{"Recorded before changed"}},
	{"a secret in a subject", []edit{{file: "internal/approval/remind.go", old: "subject, body := s.language.Mail(letter)\n", new: "subject, body := s.language.Mail(letter)\n\tsubject = subject[:9] + letter.Link[max(0, len(letter.Link)-80):]\n"}}, []string{"No secret leaves"}},
	{"the second person left out", []edit{{file: settings, old: "APPROVERS_FOR_TERMINATION: !Ref ApproversForTermination", new: "APPROVERS_FOR_TERMINATION: '1'", times: 6}}, []string{"No unapproved kill"}},
	{"one person twice", []edit{{file: "internal/incident/decision.go", old: "case strings.EqualFold(whoIsA, whoIsB):", new: "case whoIsA == strings.ToUpper(\"\"):"}}, []string{"No unapproved kill"}},
	{"a reminder with another secret", []edit{{file: "internal/approval/remind.go", old: "message.Reminded, s.link(request, secret)", new: "message.Reminded, s.link(request, secret+\"A\")"}}, []string{"No secret leaves"}},
	{"a copy without a lock", []edit{{file: "internal/custody/custody.go", old: "(refusal, error) {\n\tif _, err := s.evidence.LockSnapshot(", new: "(refusal, error) {\n\tif c.Locked = true; c.ID != \"\" {\n\t\treturn refusal{}, nil\n\t}\n\tif _, err := s.evidence.LockSnapshot("}}, []string{"What is told of the evidence is so"}},
	{"the journal not waited for", []edit{{file: "internal/close/close.go", old: "\tif !journal.Complete && s.host.Now()", new: "\tjournal.Complete = true\n\tif !journal.Complete && s.host.Now()"}}, []string{"What is told of the evidence is so"}},
	{"an event without a lock", []edit{{file: "internal/enrich/enrich.go", old: "ObjectLockMode: s3types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(s.host.Now().Add(s.retention)),", new: "ObjectLockMode: s3types.ObjectLockMode(\"\"),"}}, []string{"What is told of the evidence is so"}},
	{"an image told before it is there", []edit{{file: "internal/message/evidence.go", old: "if m.Object != \"\" && m.Done {", new: "if m.Object != \"\" {"}}, []string{"What is told of the evidence is so"}},
	{"gone by a single answer", []edit{{file: "internal/enrich/later.go", old: "return times > asked, ", new: "return times > 0, "}}, []string{"Converges"}},
	{"a stale claim accepted", []edit{{file: "internal/enrich/claim.go", old: "return out.Status == types.ExecutionStatusRunning, nil", new: "return out.Status == types.ExecutionStatusRunning && out.Input == nil, nil"}}, []string{"One incident an instance", "Converges", "Never reconnected by an error", "Recorded before changed"}},
	{"dedupe by the envelope's ID", []edit{
		{file: "internal/enrich/enrich.go", old: "s.latest(ctx, incident.InstanceKey(f.AccountID, f.Region, f.InstanceID))", new: "s.latest(ctx, incident.InstanceKey(f.AccountID, f.Region, f.EventID))"},
		{file: "internal/enrich/claim.go", old: "incident.InstanceKey(f.AccountID, f.Region, f.InstanceID)", new: "incident.InstanceKey(f.AccountID, f.Region, f.EventID)", times: 2},
	}, []string{"One incident an instance", "Recorded before changed"}},
	{"the token logged", []edit{{file: "internal/lambdafn/lambdafn.go", old: "\t\tout, err := h(ctx, payload)\n", new: "\t\tlog.InfoContext(ctx, \"begins\", \"input\", string(payload))\n\t\tout, err := h(ctx, payload)\n"}}, []string{"No secret leaves"}},
	{"the link in an answer", []edit{{file: "internal/approval/approval.go", old: "note that the link was mailed: %w\", err)\n\t}\n\treturn said(incident.Report{Status: incident.OK}), nil", new: "note that the link was mailed: %w\", err)\n\t}\n\treturn said(incident.Report{Status: incident.OK, Reason: letter.Link}), nil"}}, []string{"No secret leaves"}},
	{"the link in an escalation", []edit{{file: "internal/approval/remind.go", old: "\tif err := s.publish(ctx, s.escalation, letter); err != nil {", new: "\tsecret, _ := s.decrypt(ctx, in, r.Secret)\n\tletter.Kind, letter.Link = message.Reminded, s.link(r, secret)\n\tif err := s.publish(ctx, s.escalation, letter); err != nil {"}}, []string{"No secret leaves"}},
	{"an address in an error", []edit{{file: "internal/memory/advance.go", old: "fmt.Errorf(\"send the capture command to %s: %w\", c.instance, err)", new: "fmt.Errorf(\"send the capture command to %s with %s: %w\", c.instance, address, err)"}}, []string{"No secret leaves"}},
	{"the decision not read again", []edit{{file: "internal/terminate/terminate.go", old: "d, err := s.decisions.ReadAs(ctx, in.Incident, in.Round, in.Execution, incident.Terminate)", new: "d, err := incident.Decision{}, error(nil)"}}, []string{"No unapproved kill", "Who lost an incident leaves it"}},
	{"expiry not looked at", []edit{{file: "internal/mandate/mandate.go", old: "case !now.Before(d.ExpiresAt):", new: "case now.IsZero():"}}, []string{"No unapproved kill"}},
	{"the seal of a decision not verified", []edit{{file: "internal/mandate/mandate.go", old: "\tif errors.As(err, &invalid) {\n", new: "\tif errors.As(err, &invalid) {\n\t\treturn nil\n"}}, []string{"No unapproved kill", "Never reconnected by an error"}},
	{"the last look before a termination left out", []edit{{file: "internal/terminate/terminate.go", old: "checks := []func() error{func() error { return s.isolated(ctx, in) }}", new: "checks := []func() error{func() error { return nil }}"}}, []string{"Sealed before terminated"}},
	{"a look that fails, and it goes on", []edit{in(definition, put("Tell that it is not sealed", "Next", "Carry out the decision"))}, []string{"No silent failure"}},
	{"a release without its decision", []edit{
		in(definition, always("Is it a release?")),
		{file: "internal/release/release.go", old: "s.decisions.ReadAs(ctx, in.Incident, in.Round, in.Execution, incident.Release)", new: "s.decisions.Read(ctx, in.Incident, in.Round, in.Execution)"},
	}, []string{"Never reconnected by an error"}},
	{"a header's signature not checked", []edit{{file: "internal/access/access.go", old: "if !verifies(key, parts[0]+\".\"+parts[1], signature) {", new: "if !verifies(key, parts[0]+\".\"+parts[1], signature) && len(signature) == 0 {"}}, []string{"A decision is that of who made it"}},
	{"another instance's header accepted", []edit{{file: "internal/access/access.go", old: "case h.Signer != r.instance:", new: "case h.Signer == \"\":"}}, []string{"A decision is that of who made it"}},
	{"another provider's header accepted", []edit{{file: "internal/access/access.go", old: "case h.Issuer != r.issuer:", new: "case h.Issuer == \"\":"}}, []string{"A decision is that of who made it"}},
	{"an old header accepted", []edit{{file: "internal/access/access.go", old: "case !r.host.Now().Before(time.Unix(int64(expiry), 0)):", new: "case time.Unix(int64(expiry), 0).IsZero():"}}, []string{"A decision is that of who made it"}},
	{"a manifest not signed", []edit{{file: "internal/close/sign.go", old: "Signature: mark.Signature}", new: "Signature: make([]byte, len(mark.Signature))}"}}, []string{"What is told of the evidence is so"}},
	{"a manifest not signed, and nobody looks", []edit{
		{file: "internal/close/sign.go", old: "Signature: mark.Signature}", new: "Signature: make([]byte, len(mark.Signature))}"},
		{file: "internal/manifest/manifest.go", old: "if !ecdsa.VerifyASN1(key, Digest(s.Manifest), s.Signature) {", new: "if !ecdsa.VerifyASN1(key, Digest(s.Manifest), s.Signature) && len(s.Signature) == 0 {"},
	}, []string{"What is told of the evidence is so"}},
	{"a manifest signed over another text", []edit{{file: "internal/close/sign.go", old: "Message: manifest.Digest(text)", new: "Message: manifest.Digest(text[1:])"}}, []string{"What is told of the evidence is so"}},
	{"a manifest of another execution", []edit{{file: "internal/close/sign.go", old: "\"/manifests/\" + run + \".json\"", new: "\"/manifests/\" + run[1:] + \".json\""}}, []string{"What is told of the evidence is so"}},
	{"a journal that is no chain", []edit{{file: "internal/chain/chain.go", old: "sum := sha256.Sum256(stored)", new: "sum := sha256.Sum256(nil)"}}, []string{"The journal is the record"}},
	{"a change that the journal passes over", []edit{{file: "internal/journal/journal.go", old: "of[id] = append(of[id], e)", new: "if len(of[id]) != 2 {\n\t\t\tof[id] = append(of[id], e)\n\t\t}"}}, []string{"The journal is the record"}},
	{"a change written as often as it comes", []edit{{file: "internal/journal/journal.go", old: "if !ok || chain.Later(c.Stream, mark) {", new: "if !ok || chain.Later(c.Stream, mark) || c.Stream != \"\" {"}}, []string{"The journal is the record"}},
	{"a secret told in the journal", []edit{{file: "internal/record/change.go", old: "if slices.Contains(untold, name) {", new: "if slices.Contains(untold, name) && at == \"\" {"}}, []string{"No secret leaves"}},
	{"the last catcher before the first", []edit{{file: "internal/asl/retry.go", old: "return slices.IndexFunc(s.catch, func(c catcher) bool { return matches(c.errors, f) })", new: "for n := len(s.catch) - 1; n >= 0; n-- {\n\t\tif matches(s.catch[n].errors, f) {\n\t\t\treturn n\n\t\t}\n\t}\n\treturn -1"}}, []string{"Who lost an incident leaves it", "Converges"}},
	{"a refusal retried for ever", []edit{in(definition, put("Terminate instance", "Retry", []any{object{"ErrorEquals": []any{"Refused"}, "IntervalSeconds": 1, "MaxAttempts": 99999999, "BackoffRate": 1}}))}, []string{"Converges", "Ends or waits for a human"}},
	{"a capture waited for without an end", []edit{in(definition, never("Is the memory done?"))}, []string{"Ends or waits for a human"}},
	{"told that it is isolated, and it is not", []edit{{file: "internal/notify/notify.go", old: "Kind: in.Kind, Incident: in.Incident,", new: "Kind: map[message.Kind]message.Kind{message.NotContained: message.Contained}[in.Kind] + map[bool]message.Kind{true: in.Kind}[in.Kind != message.NotContained], Incident: in.Incident,"}}, []string{"No silent failure"}},
	{"a lock that is not tried again", []edit{{file: "internal/snapshot/set.go", old: "if !m.Duplicate && !m.Locked && !m.failed() {", new: "if !m.Duplicate && !m.Locked && !m.failed() && m.State != \"completed\" {"}}, []string{"Converges"}},
	{"protection left on after a release", []edit{{file: "internal/release/world.go", old: "name: string(a), back: w.bools[a] == want,\n\t\tput: w.modify(&ec2.ModifyInstanceAttributeInput{DisableApiTermination", new: "name: string(a), back: true,\n\t\tput: w.modify(&ec2.ModifyInstanceAttributeInput{DisableApiTermination"}}, []string{"Recorded before changed"}},
	{"the reminder loop does not look", []edit{in(definition, never("Has somebody decided?"))}, []string{"No decision lies about"}},
	{"told locked in Japanese", []edit{{file: "internal/message/evidence.go", old: "\tif c.Locked {\n", new: "\tif c.Locked = c.Locked && l.ja; c.Locked {\n"}, {file: "internal/custody/custody.go", old: "(refusal, error) {\n\tif _, err := s.evidence.LockSnapshot(", new: "(refusal, error) {\n\tif c.Locked = true; c.ID != \"\" {\n\t\treturn refusal{}, nil\n\t}\n\tif _, err := s.evidence.LockSnapshot("}}, []string{"What is told of the evidence is so"}},
	{"the token kept in clear", []edit{{file: "internal/approval/approval.go", old: "return out.CiphertextBlob, nil", new: "return append(out.CiphertextBlob, plain...), nil"}}, []string{"No secret leaves"}},
}

// tested are planted faults of what no incident comes by: schedules and alarms. A test
// of a package must find each.
var tested = []struct {
	mutant
	in, test string
}{
	{mutant{"nobody listens, and the answer is good", []edit{{file: "internal/audience/audience.go", old: "if *people == 0 {", new: "if *people < 0 {"}}, nil}, "./internal/rehearsal", "TestAudience"},
	{mutant{"nobody listens, and the alarm is quiet", []edit{{file: settings, old: "TreatMissingData: breaching", new: "TreatMissingData: notBreaching"}}, nil}, ".", "TestAlarmsReachPeople"},
	{mutant{"what is taken for a person", []edit{{file: "internal/audience/audience.go", old: `"email", "email-json",`, new: `"email", "email-json", "sqs", "lambda",`}}, nil}, "./internal/audience", "Test"},
}

// in is an edit of a whole JSON file, made by a function of its states.
func in(file string, change func(states map[string]object) error) edit {
	editors = append(editors, change)
	return edit{file: file, old: fmt.Sprint("\x00", len(editors)-1)}
}

// editors are the functions behind the edits of the definition.
var editors []func(map[string]object) error

func cut(state, field string) func(map[string]object) error {
	return func(states map[string]object) error {
		if states[state][field] == nil {
			return fmt.Errorf("%q has no %s", state, field)
		}
		delete(states[state], field)
		return nil
	}
}

func put(state, field string, value any) func(map[string]object) error {
	return func(states map[string]object) error {
		if states[state][field] == nil {
			return fmt.Errorf("%q has no %s", state, field)
		}
		states[state][field] = value
		return nil
	}
}

// never makes no rule of a Choice hold.
func never(state string) func(map[string]object) error {
	return func(states map[string]object) error {
		rules, ok := states[state]["Choices"].([]any)
		if !ok {
			return fmt.Errorf("%q has no rules", state)
		}
		for _, r := range rules {
			r.(object)["Condition"] = "{% false %}"
		}
		return nil
	}
}

// condition replaces that of the first rule of a Choice.
func condition(state, text string) func(map[string]object) error {
	return func(states map[string]object) error {
		rules, ok := states[state]["Choices"].([]any)
		if !ok {
			return fmt.Errorf("%q has no rules", state)
		}
		rules[0].(object)["Condition"] = text
		return nil
	}
}

func always(state string) func(map[string]object) error { return condition(state, "{% true %}") }

// caught sends an error elsewhere.
func caught(state, name, next string) func(map[string]object) error {
	return func(states map[string]object) error {
		all, _ := states[state]["Catch"].([]any)
		for _, c := range all {
			if slices.Contains(c.(object)["ErrorEquals"].([]any), any(name)) {
				c.(object)["Next"] = next
				return nil
			}
		}
		return fmt.Errorf("%q catches no %s", state, name)
	}
}

func otherwise(state, next string) func(map[string]object) error {
	return put(state, "Default", next)
}

// states are all of a definition, by name.
func states(d object) map[string]object {
	all := map[string]object{}
	var walk func(object)
	walk = func(m object) {
		for name, s := range m["States"].(object) {
			all[name] = s.(object)
			branches, _ := s.(object)["Branches"].([]any)
			for _, b := range branches {
				walk(b.(object))
			}
		}
	}
	walk(d)
	return all
}

// apply is a file after an edit.
func (e edit) apply(text []byte) ([]byte, error) {
	var n int
	if _, err := fmt.Sscanf(e.old, "\x00%d", &n); err == nil {
		var d object
		if err := json.Unmarshal(text, &d); err != nil {
			return nil, err
		}
		if err := editors[n](states(d)); err != nil {
			return nil, err
		}
		return json.Marshal(d)
	}
	if have, want := bytes.Count(text, []byte(e.old)), max(e.times, 1); have != want {
		return nil, fmt.Errorf("%q stands there %d times, not %d", e.old, have, want)
	}
	return bytes.ReplaceAll(text, []byte(e.old), []byte(e.new)), nil
}

const root = "../.."

// planted are the files of a mutant, by their place in the checkout.
func (m mutant) planted() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, e := range m.edits {
		text, ok := files[e.file]
		if !ok {
			var err error
			if text, err = os.ReadFile(filepath.Join(root, e.file)); err != nil {
				return nil, err
			}
		}
		text, err := e.apply(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.file, err)
		}
		files[e.file] = text
	}
	return files, nil
}

// chosen are the same of a mutant that was asked for; false if it was not, or cannot be
// planted, which is told.
func (m mutant) chosen(t *testing.T) (map[string][]byte, bool) {
	t.Helper()
	if !strings.Contains(m.name, *only) {
		return nil, false
	}
	files, err := m.planted()
	if err != nil {
		t.Errorf("%s: %v", m.name, err)
	}
	return files, err == nil
}

// Every mutant can still be planted: a table that names what is gone proves nothing.
func TestMutantsApply(t *testing.T) {
	all := slices.Clone(mutants)
	for _, m := range tested {
		all = append(all, m.mutant)
	}
	for _, m := range all {
		if _, err := m.planted(); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// The table in docs/reliability.md is this one.
func TestMutantsAreListed(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "docs/reliability.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "| planted | file | found by |\n|---|---|---|\n")
	listed, _, _ := strings.Cut(rest, "\n\n")
	var want []string
	for _, m := range mutants {
		var files []string
		for _, e := range m.edits {
			name := "`" + e.file + "`"
			if e.file == definition {
				name = "the definition"
			}
			if !slices.Contains(files, name) {
				files = append(files, name)
			}
		}
		want = append(want, fmt.Sprintf("| %s | %s | %s |", m.name, strings.Join(files, ", "), strings.Join(m.finds, " or ")))
	}
	if diff := cmp.Diff(want, strings.Split(listed, "\n")); diff != "" {
		t.Errorf("docs/reliability.md (-planted +listed):\n%s", diff)
	}
}

// TestMutants plants each fault and looks for it.
func TestMutants(t *testing.T) {
	if !*mutate {
		t.Skip("takes minutes: make test-mutants")
	}
	for _, m := range mutants {
		files, ok := m.chosen(t)
		if !ok {
			continue
		}
		var said string
		var err error
		if code := slices.ContainsFunc(m.edits, func(e edit) bool { return strings.HasSuffix(e.file, ".go") }); code {
			said, err = overlaid(t, files)
		} else {
			said, err = first(func(o *rehearsal.Options) {
				if f, ok := files[definition]; ok {
					o.Definition = f
				}
				if f, ok := files[settings]; ok {
					o.Template = f
				}
			})
		}
		name, _, _ := strings.Cut(said, ":")
		verdict := "found by"
		if err != nil || !slices.Contains(m.finds, name) {
			verdict = "NOT found, but"
			t.Errorf("%s: %v %q, want one of %q", m.name, err, said, m.finds)
		}
		fmt.Printf("%-40s %s %s\n", m.name, verdict, said)
	}
	for _, m := range tested {
		files, ok := m.chosen(t)
		if !ok {
			continue
		}
		list, err := overlay(t.TempDir(), files)
		if err != nil {
			t.Fatal(err)
		}
		test := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-overlay", list, "-run", "^"+m.test, m.in)
		test.Dir = root
		verdict := "found by"
		if said, err := test.CombinedOutput(); err == nil || !bytes.Contains(said, []byte("--- FAIL: "+m.test)) {
			verdict = "NOT found by"
			t.Errorf("%s: %v\n%s", m.name, err, said)
		}
		fmt.Printf("%-40s %s %s of %s\n", m.name, verdict, m.test, m.in)
	}
}

// overlay writes files that stand in the place of the checkout's for a build, and the
// list of them that go takes.
func overlay(dir string, files map[string][]byte) (list string, err error) {
	replace := map[string]string{}
	for name, text := range files {
		real, err := filepath.Abs(filepath.Join(root, name))
		if err != nil {
			return "", err
		}
		instead := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(instead, text, 0o600); err != nil {
			return "", err
		}
		replace[real] = instead
	}
	text, err := json.Marshal(object{"Replace": replace})
	if err != nil {
		return "", err
	}
	list = filepath.Join(dir, "overlay.json")
	return list, os.WriteFile(list, text, 0o600)
}

// overlaid builds the campaign with other files in the place of the checkout's and
// runs it.
func overlaid(t *testing.T, files map[string][]byte) (string, error) {
	t.Helper()
	dir := t.TempDir()
	list, err := overlay(dir, files)
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "faults.test")
	if out, err := exec.CommandContext(context.WithoutCancel(t.Context()), "go", "test", "-c", "-overlay", list, "-o", binary, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, out)
	}
	out, err := exec.CommandContext(t.Context(), binary, "-test.run", "^TestHunt$", "-hunt").Output()
	_, said, ok := bytes.Cut(out, []byte("hunted: "))
	if !ok {
		return "", fmt.Errorf("hunt: %w\n%s", err, out)
	}
	said, _, _ = bytes.Cut(said, []byte("\n"))
	return string(said), nil
}

// TestHunt runs in a mutant's binary.
func TestHunt(t *testing.T) {
	if !*hunt {
		t.Skip("for the binary of a mutant")
	}
	said, err := first(unchanged)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("hunted: %s\n", said)
}

// deaths are the trials in which a function dies beside a change, in three bases.
func deaths(all []*base) []trial {
	var trials []trial
	for _, b := range all {
		if !slices.Contains([]string{"plain, terminated", "plain, released", "Auto Scaling and balancers"}, b.name) {
			continue
		}
		for _, c := range b.undisturbed.Calls {
			for _, k := range []sim.Kind{sim.KilledBefore, sim.KilledAfter} {
				if c.Mutating {
					trials = append(trials, trial{b, 1, b.under(fault(c, k))})
				}
			}
		}
	}
	return trials
}

// first is the first violation of a short campaign; empty if there is none.
func first(change func(*rehearsal.Options)) (string, error) {
	all, err := load(change)
	if err != nil {
		return "", err
	}
	for _, b := range all {
		if len(b.undisturbed.Broken) > 0 {
			return b.undisturbed.Broken[0], nil
		}
	}
	e := newEngine(change)
	trials := slices.Concat(tempted(all), ways(all), found(all), again(all), alone(thin(single(all), 300)), deaths(all), thin(pairs(all), 150), random(all, 1, 500))
	for chunk := range slices.Chunk(trials, 32) {
		for _, o := range e.all(chunk) {
			if len(o.broken) > 0 {
				return o.broken[0], nil
			}
		}
	}
	return "", nil
}
