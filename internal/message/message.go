// Package message turns facts into what people read: every mail and every text
// of the decision page, in English and Japanese. Facts come in as they are;
// titles, tags, names and reasons are written by strangers and are made
// harmless here, visibly.
package message

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"
)

// Language writes in one language. The zero value writes English.
type Language struct{ ja bool }

// Languages are all there are.
var Languages = []Language{{}, {ja: true}}

// In is the language of a code, "en" or "ja".
func In(code string) (Language, error) {
	switch code {
	case "en":
		return Language{}, nil
	case "ja":
		return Language{ja: true}, nil
	}
	return Language{}, fmt.Errorf("language %q: want en or ja", code)
}

// Code is "en" or "ja".
func (l Language) Code() string {
	if l.ja {
		return "ja"
	}
	return "en"
}

// Kind says what a mail is about.
type Kind string

const (
	Contained    Kind = "contained"
	NotContained Kind = "notContained" // the instance is known and could not be cut off
	NotRead      Kind = "notRead"      // the finding, or the wish to decide once more, could not be processed
	Joined       Kind = "joined"
	Decided      Kind = "decided"
	Exempt       Kind = "exempt"
	Foreign      Kind = "foreign"
	Gone         Kind = "gone"
	Unreadable   Kind = "unreadable"
	Undecided    Kind = "undecided"
	NotSealed    Kind = "notSealed"
	CloseFailed  Kind = "closeFailed"
	Told         Kind = "told"          // a finding that nobody acts on by machine
	Stopped      Kind = "stopped"       // an execution ended FAILED, TIMED_OUT or ABORTED
	Asked        Kind = "asked"         // a decision is asked for
	AskedAgain   Kind = "askedAgain"    // the last one could not be carried out: Problem says why
	Terminated   Kind = "Terminated"    // the last mails are named as the endings are
	KeptIsolated Kind = "Kept isolated" //
	Released     Kind = "Released"      //
	ClosedGone   Kind = "Already gone"  //
	Paused       Kind = "paused"        // somebody switched Cordon off for a while
	Unlisted     Kind = "unlisted"      // a type that is not to be acted on
	AskedBefore  Kind = "askedBefore"   // a decision is asked for before anything is isolated
	NotIsolated  Kind = "notIsolated"   // it was asked for, and nobody answered
	Rehearsed    Kind = "Rehearsed"     // a dry run: what would have been done
	Switched     Kind = "switched"      // the pause switch was written or removed
	AskedLater   Kind = "askedLater"    // a decision is asked for once more, about an incident that nobody works on
	Unchanged    Kind = "unchanged"     // it was asked for once more, and nothing came of it
	Drifted      Kind = "drifted"       // others undid the isolation, and it was put right
	DriftedBy    Kind = "driftedBy"     // who it was, once that is known
	HalfReleased Kind = "halfReleased"  // a release of ours failed half-way, and was undone
	Answered     Kind = "answered"      // a person decided, and it is not carried out yet
	Unsigned     Kind = "unsigned"      // how it stands could not be signed

	Reminded        Kind = "reminded"        // nobody has decided yet
	OneOfTwo        Kind = "oneOfTwo"        // one person decided to terminate, and a second is wanted
	RemindedBefore  Kind = "remindedBefore"  // the same, where nothing is isolated yet
	RemindedLater   Kind = "remindedLater"   // the same, where people were asked once more
	Escalated       Kind = "escalated"       // others are told that nobody has decided
	EscalatedBefore Kind = "escalatedBefore" // the same, where nothing is isolated yet
)

// Kinds are all kinds of mail.
var Kinds = []Kind{
	Contained, NotContained, NotRead, Joined, Decided, Exempt, Foreign, Gone, Unreadable, Undecided, NotSealed,
	CloseFailed, Told, Stopped, Asked, AskedAgain, Terminated, KeptIsolated, Released, ClosedGone,
	Paused, Unlisted, AskedBefore, NotIsolated, Rehearsed, Switched, Drifted, DriftedBy, AskedLater, Unchanged,
	HalfReleased, Answered, Unsigned, Reminded, OneOfTwo, RemindedBefore, RemindedLater, Escalated, EscalatedBefore,
}

// Letter is the facts of one mail. What is zero is not mentioned.
type Letter struct {
	Kind        Kind
	Incident    incident.Incident
	Finding     incident.Finding
	Instance    incident.Instance
	Isolation   incident.Isolation
	Exposure    incident.Exposure
	Protection  incident.Protection
	Credentials incident.Credentials
	Snapshots   incident.Snapshots
	Custody     incident.Custody
	Memory      incident.Memory
	Digest      incident.Digest
	Console     incident.Console
	Restoration incident.Restoration
	Problem     incident.Problem // what went wrong, as Step Functions hands it to a Catch
	Reason      string           // why, in a sentence of ours
	Drifts      []incident.Drift // what others undid
	Brakes      []string         // what is to be known of the brakes, in sentences of ours
	Decision    Decision
	Execution   Execution
	Report      string            // key of the signed report in the evidence bucket, in the last mails
	Link        string            // of the decision page; in the mails that ask only
	SignIn      bool              // who opens it must sign in; else it lets in whoever has it
	Two         bool              // two people must decide on a termination
	Until       time.Time         // when the request ends
	Left        time.Duration     // until then; in reminders
	Asked       string            // mail address of those who have the link; in mails to others
	Choices     []incident.Choice // what it is about
}

// Decision is what people are told of one.
type Decision struct {
	Choice  incident.Choice
	Person  string
	Seconds string        // whose decision it seconds; empty where one person is enough
	Part    incident.Part // Unseconded where it waits for a second person's
	Reason  string
	At      time.Time // zero where it is not known
}

// Execution is one run of the state machine that did not end well.
type Execution struct {
	ARN    string
	Name   string
	Status string // FAILED, TIMED_OUT, ABORTED
	Error  string // its name only; a cause may hold anything
}

// subjectMax is the most characters a subject may have. SNS wants less than
// 100, UTF-8, without line breaks or control characters:
// https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
const subjectMax = 99

// Mail is a subject of at most 99 characters on one line, and a plain-text body.
// The body's first line tells the story: it is what a locked phone shows.
func (l Language) Mail(m Letter) (subject, body string) {
	kind := l.kind(m)
	return l.subject(string(kind)+".subject", m), l.body(kind, m)
}

// Story is the first line of a mail's body: what happened, in a sentence.
func (l Language) Story(m Letter) string {
	return l.Text(string(l.kind(m))+".story", l.facts(m)...)
}

// Ending names in a word or two how the incident of a last mail ended.
func (l Language) Ending(m Letter) string {
	return l.coded("ending.", string(l.kind(m)))
}

// kind is that of a letter as people are told of it.
func (l Language) kind(m Letter) Kind {
	switch {
	case !l.known(string(m.Kind) + ".subject"):
		return "other"
	case m.Kind == NotRead && m.Finding.ID == "" && m.Incident.ID != "":
		return notReadLater
	case m.Kind == CloseFailed && m.Decision.Choice == incident.Release && slices.Contains([]incident.Status{incident.Partial, incident.Failed}, m.Restoration.Status):
		return closeFailedPartly
	case m.Kind != Released:
		return m.Kind
	case m.Decision.Choice == incident.Leave:
		return leftAlone
	case m.Restoration.Status != incident.OK:
		return releasedPartly
	}
	return m.Kind
}

// releasedPartly is Released where not everything is as it was.
const releasedPartly Kind = "Released.partly"

// closeFailedPartly is CloseFailed after such a release.
const closeFailedPartly Kind = "closeFailed.partly"

// notReadLater is NotRead where an operator wanted people to be asked once more.
const notReadLater Kind = "notRead.later"

// leftAlone is Released where nothing had been isolated.
const leftAlone Kind = "Released.left"

// subject keeps the whole instance ID as long as it fits; IDs are the only
// thing in it that is not ours.
func (l Language) subject(key string, m Letter) string {
	id := instanceID(m)
	if id == "" {
		id = l.Text("unknownInstance")
	} else {
		room := subjectMax - runes(l.Text(key, "instance", "", "left", l.Left(m.Left), "choice", l.Choice(m.Decision.Choice)))
		id = cut(ID(id), room)
	}
	return cut(l.Text(key, "instance", id, "left", l.Left(m.Left), "choice", l.Choice(m.Decision.Choice)), subjectMax)
}

func instanceID(m Letter) string {
	return first(m.Incident.InstanceID, m.Instance.ID, m.Finding.InstanceID)
}

// paper is a body as it grows.
type paper struct {
	l Language
	b strings.Builder
}

func (p *paper) line(s string) { p.b.WriteString(s + "\n") }

// head begins a paragraph.
func (p *paper) head(key string) { p.line("\n" + p.l.Text(key)) }

// fact is "Label: value", one line; nothing where there is no value.
func (p *paper) fact(key, value string) {
	if value != "" {
		p.line("  " + p.l.Text(key) + ": " + value)
	}
}

func (p *paper) item(s string) { p.line("  - " + s) }

// list is a heading, with what is to be said beside it, and its items; nothing where
// there are none.
func (p *paper) list(key string, items []string, beside ...string) {
	if len(items) == 0 {
		return
	}
	p.line("\n" + p.l.Text(key) + strings.Join(beside, ""))
	for _, s := range items {
		p.item(s)
	}
}

func (l Language) body(kind Kind, m Letter) string {
	p := &paper{l: l}
	p.line(l.Story(m))
	if s := l.Because(m.Problem, m.Reason); s != "" {
		p.line(l.Text("because", "reason", s))
	}
	warnings := l.scaling(m)
	for _, s := range warnings {
		p.line("\n" + s)
	}
	if stake := string(kind) + ".stake"; l.known(stake) {
		p.list("head.stake", strings.Split(l.Text(stake, l.facts(m)...), "\n"))
	}
	switch {
	case m.Link != "":
		l.ask(p, m)
	case m.Asked != "":
		p.line("\n" + l.Text("ask.others", "asked", Plain(m.Asked, 320)))
		l.command(p, m)
	}
	if u := FindingURL(m.Finding.Region, m.Finding.ID); u != "" {
		p.line("\n" + l.Text("seeFinding"))
		p.line(u)
	}
	p.list("head.drifts", l.Drifts(m.Drifts))
	p.list("head.brakes", cutEach(m.Brakes, 600))
	l.what(p, m)
	l.decision(p, m)
	// Once it is gone or back, how it was isolated is no longer true.
	over := slices.Contains([]Kind{Terminated, Released, ClosedGone}, m.Kind) ||
		m.Kind == CloseFailed && m.Decision.Choice != "" && m.Decision.Choice != incident.Keep
	if !over {
		contained := l.Interfaces(m.Isolation, true)
		if m.Isolation.Contained && m.Isolation.Reason != "" {
			contained = append(contained, each([]string{m.Isolation.Reason})...)
		}
		// The look may be of hours or months ago, and others may have changed it since.
		seen := ""
		if !m.Isolation.At.IsZero() {
			seen = l.Text("head.seen", "at", l.Time(m.Isolation.At))
		}
		p.list("head.contained", contained, seen)
		p.list("head.notContained", l.Interfaces(m.Isolation, false), seen)
		p.list("head.staysOpen", l.StaysOpen(m.Isolation, m.Credentials, m.Exposure))
		p.list("head.repaired", each(m.Isolation.Repaired))
	}
	p.list("head.restored", each(m.Restoration.Restored))
	p.list("head.notBack", each(m.Restoration.NotBack))
	evidence := incident.Evidence{Snapshots: m.Snapshots, Custody: m.Custody, Memory: m.Memory, Digest: m.Digest, Console: m.Console}
	p.list("head.taken", l.Taken(evidence))
	p.list("head.notTaken", l.NotTaken(evidence))
	if !over {
		protection := m.Protection
		if len(warnings) > 0 {
			protection.Hazards = nil // said above
		}
		p.list("head.protection", l.Protection(protection))
	}
	p.list("head.credentials", l.Credentials(m.Credentials))
	next := l.next(string(kind)+".next", m)
	if m.Incident.ID != "" && slices.Contains([]Kind{Undecided, Unchanged, NotContained, NotIsolated, NotSealed}, m.Kind) {
		next = append(next, l.Text("reportFollows", l.facts(m)...))
	}
	p.list("head.next", next)
	p.line("")
	if m.Incident.ID != "" {
		p.line(l.Text("incident") + ": " + ID(m.Incident.ID))
	}
	if m.Report != "" {
		p.line(l.Text("reportIs", "object", Plain(m.Report, 400)))
	}
	p.line(l.Text("footer"))
	return p.b.String()
}

// Next is what there is left to do once an incident has ended so, item by item.
func (l Language) Next(m Letter) []string {
	kind := string(l.kind(m))
	if l.known("after." + kind) { // what its mail says is of the hour in which it went out
		return l.next("after."+kind, m)
	}
	return l.next(kind+".next", m)
}

func (l Language) next(key string, m Letter) []string {
	if next := l.Text(key, l.facts(m)...); next != "" {
		return strings.Split(next, "\n")
	}
	return nil
}

func (l Language) facts(m Letter) []string {
	id := ID(instanceID(m))
	if id == "" {
		id = l.Text("unknownInstance")
	}
	since := m.Isolation.Since
	if since.IsZero() {
		since = m.Isolation.At
	}
	return []string{
		"instance", id, "at", l.Time(since), "person", l.Stranger(m.Decision.Person), "until", l.Time(m.Until),
		"left", l.Left(m.Left), "choice", l.Choice(m.Decision.Choice), "incident", ID(m.Incident.ID), "status", ID(m.Execution.Status), "type", Plain(m.Finding.Type, 120), "account", ID(first(m.Incident.Account, m.Finding.AccountID)),
	}
}

// first is the first that is there.
func first(these ...string) string {
	for _, s := range these {
		if s != "" {
			return s
		}
	}
	return ""
}

// Drifts says of each what was undone and when, and then who did it.
func (l Language) Drifts(all []incident.Drift) []string {
	var lines []string
	for _, d := range all {
		lines = append(lines, l.Text("drift", "number", strconv.Itoa(d.Number), "what", strings.Join(each(d.Undone), ", "), "since", l.Time(d.Since), "at", l.Time(d.At)))
		for _, by := range d.By[:min(len(d.By), 10)] {
			lines = append(lines, l.Text("drift.by", "who", l.Stranger(by.Who), "action", ID(by.Action), "from", Plain(by.From, 100), "at", l.Time(by.At)))
		}
		if d.Unknown != "" {
			lines = append(lines, l.Text("drift.unknown", "reason", Plain(d.Unknown, 300)))
		}
	}
	return lines
}

// groupTag is on every instance that an Auto Scaling group launched.
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-tagging.html
const groupTag = "aws:autoscaling:groupName"

// scaling warns of the group that may destroy the instance, in the mails that
// ask people to act. Isolation fails the group's health checks, and termination
// protection does not bind the group:
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Using_ChangingDisableAPITermination.html
// https://docs.aws.amazon.com/autoscaling/ec2/userguide/suspend-resume-considerations.html
func (l Language) scaling(m Letter) []string {
	if !slices.Contains([]Kind{Contained, NotContained, Asked}, m.Kind) {
		return nil
	}
	var all []string
	group := l.Stranger(m.Instance.Tags[groupTag])
	safe := slices.Contains([]incident.Scaling{incident.Ungrouped, incident.Standby, incident.Detached}, m.Protection.Scaling)
	if group != "" && !safe {
		all = append(all, l.Text("scaling", "group", group))
	}
	for _, h := range m.Protection.Hazards {
		all = append(all, l.Text("hazard", "what", Plain(h, 400)))
	}
	return all
}

// ask is the link and what it is for. The link stands alone on its line, once.
func (l Language) ask(p *paper, m Letter) {
	p.line("\n" + l.Text("ask.link"))
	p.line(m.Link)
	p.head("ask.choices")
	silence := "ask.silence"
	switch m.Kind {
	case AskedBefore, RemindedBefore:
		silence = "ask.before.silence"
	case AskedLater, RemindedLater:
		silence = "ask.later.silence"
	case OneOfTwo:
		if m.Reason != "" { // people were asked once more
			silence = "ask.later.silence"
		}
	}
	for _, c := range m.Choices {
		p.item(l.Choice(c) + ": " + l.Text("does."+string(c)))
	}
	p.line("")
	p.line(l.Text(silence, "until", l.Time(m.Until)))
	if m.Two && slices.Contains(m.Choices, incident.Terminate) {
		p.line(l.Text("ask.two"))
	}
	if m.SignIn {
		p.line(l.Text("ask.signIn"))
	} else {
		p.line(l.Text("ask.secret"))
	}
	l.command(p, m)
}

// command is the way to decide without the link.
func (l Language) command(p *paper, m Letter) {
	var choices []string
	for _, c := range m.Choices {
		if c != incident.TerminateAnyway { // an option of terminate: docs/operators.md
			choices = append(choices, string(c))
		}
	}
	p.line(l.Text("ask.command", "command", "cordon decide "+ID(m.Incident.ID)+" "+strings.Join(choices, "|")+" --reason TEXT"))
}

// what was found, and on which machine.
func (l Language) what(p *paper, m Letter) {
	if m.Kind == Switched { // no finding is about it
		return
	}
	p.head("head.finding")
	p.fact("instanceID", ID(instanceID(m)))
	p.fact("name", l.Stranger(m.Instance.Name))
	p.fact("account", ID(first(m.Incident.Account, m.Finding.AccountID)))
	p.fact("region", ID(first(m.Incident.Region, m.Finding.Region)))
	p.fact("instanceType", ID(m.Instance.Type))
	p.fact("platform", ID(m.Instance.Platform))
	if m.Instance.Lifecycle != "normal" {
		p.fact("lifecycle", ID(m.Instance.Lifecycle))
	}
	p.fact("threat", Plain(m.Finding.Type, 120))
	p.fact("severity", l.Severity(m.Finding.Severity))
	p.fact("title", l.Stranger(m.Finding.Title))
	p.fact("role", l.Role(m.Finding.Role))
	if m.Finding.Count > 1 {
		p.fact("count", strconv.Itoa(m.Finding.Count))
	}
	p.fact("finding", ID(m.Finding.ID))
	p.fact("execution", Plain(m.Execution.Name, 100))
	p.fact("executionStatus", ID(m.Execution.Status))
	p.fact("executionError", Plain(m.Execution.Error, 100))
	p.fact("executionARN", Plain(m.Execution.ARN, 300))
}

func (l Language) decision(p *paper, m Letter) {
	d := m.Decision
	if d.Choice == "" || d.Choice == "none" {
		return
	}
	p.head("head.decision")
	p.fact("choice", l.Choice(d.Choice))
	p.fact("report.part", l.Part(d.Part))
	p.fact("person", l.Stranger(d.Person))
	p.fact("seconds", l.Stranger(d.Seconds))
	p.fact("reason", l.Stranger(d.Reason))
	p.fact("decidedAt", l.Time(d.At))
}

// Because says why in words: what went wrong, or a step's own reason, or "".
func (l Language) Because(problem incident.Problem, reason string) string {
	var parts []string
	if s := l.Problem(problem); s != "" {
		parts = append(parts, s)
	}
	if reason != "" {
		parts = append(parts, Plain(reason, 600))
	}
	return strings.Join(parts, "; ")
}

// Severity is GuardDuty's number and its word:
// https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings-severity.html
func (l Language) Severity(v float64) string {
	if v == 0 {
		return ""
	}
	word := "severity.low"
	switch {
	case v >= 9:
		word = "severity.critical"
	case v >= 7:
		word = "severity.high"
	case v >= 4:
		word = "severity.medium"
	}
	return strconv.FormatFloat(v, 'f', -1, 64) + " (" + l.Text(word) + ")"
}

// Role says what the instance was in what GuardDuty saw.
func (l Language) Role(role string) string {
	switch role {
	case "":
		return ""
	case "TARGET", "ACTOR":
		return l.Text("role." + role)
	}
	return Plain(role, 40)
}

// Choice names a decision.
func (l Language) Choice(c incident.Choice) string {
	return l.coded("choice.", string(c))
}

// Part says what a decision is where two people must decide; empty where one is
// enough.
func (l Language) Part(p incident.Part) string {
	if p == incident.Alone {
		return ""
	}
	return l.coded("part.", string(p))
}

// coded is the text of a code; a code without one is shown as it is, so that
// nothing that a newer step reports is lost.
func (l Language) coded(prefix, code string) string {
	if l.known(prefix + code) {
		return l.Text(prefix + code)
	}
	return Plain(code, 200)
}

// Interfaces lists the network interfaces that are contained, or those that are not.
func (l Language) Interfaces(i incident.Isolation, contained bool) []string {
	var all []string
	for _, n := range i.Interfaces {
		if (n.Where == incident.Quarantined || n.Where == incident.Capturing) != contained {
			continue
		}
		s := ID(n.ID) + " (" + ID(n.VPC) + "): " + l.Place(n.Where)
		if n.Reason != "" {
			s += "; " + Plain(n.Reason, 300)
		}
		all = append(all, s)
	}
	return all
}

// Place says where an interface stands.
func (l Language) Place(p incident.Place) string { return l.coded("place.", string(p)) }

// StaysOpen says what isolation does not stop: what was worked out for this
// instance, and what holds for every one.
func (l Language) StaysOpen(i incident.Isolation, c incident.Credentials, e incident.Exposure) []string {
	var all []string
	for _, code := range i.StaysOpen {
		if slices.ContainsFunc(e.Openings, func(o incident.Opening) bool { return o.What == code && o.State != incident.Unknown }) {
			continue // said below, of this one
		}
		if code == "credentials" && (c.State == incident.Narrowed || c.State == incident.Denied) {
			code = "otherCredentials"
		}
		all = append(all, l.coded("open.", code))
	}
	for _, o := range e.Openings {
		key := "opening." + o.What
		switch {
		case !l.known(key): // a code of tomorrow
			all = append(all, Plain(o.What+": "+string(o.State)+" "+o.Detail, 400))
		case o.State == incident.Found:
			all = append(all, l.Text(key+".found", "detail", Plain(o.Detail, 400)))
		case o.State == incident.None:
			all = append(all, l.Text("opening.none", "what", l.Text(key)))
		default:
			all = append(all, l.Text("opening.unknown", "what", l.Text(key), "reason", Plain(o.Detail, 300)))
		}
	}
	return all
}

// Credentials says what became of the credentials of the instance's own role.
func (l Language) Credentials(c incident.Credentials) []string {
	if c.Status == "" || c.Status == incident.Skipped && c.Role == "" {
		return nil
	}
	all := []string{l.report(c.Report)}
	if c.State != "" {
		all = append(all, l.coded("denial.", string(c.State)))
	}
	if c.Role != "" {
		all = append(all, l.Text("credentials.role", "role", Plain(c.Role, 200)))
	}
	if c.Policy != "" {
		all = append(all, l.Text("credentials.policy", "policy", Plain(c.Policy, 200)))
	}
	for _, id := range c.Shared {
		all = append(all, l.Text("credentials.shared", "instance", ID(id)))
	}
	return all
}

// Protection says what keeps the instance from being destroyed, and what does not.
func (l Language) Protection(p incident.Protection) []string {
	if p.Status == "" {
		return nil
	}
	all := []string{l.report(p.Report)}
	for _, s := range p.Set {
		all = append(all, l.Text("protected", "what", Plain(s, 200)))
	}
	for _, s := range p.Refused {
		all = append(all, l.Text("notProtected", "what", Plain(s, 300)))
	}
	for _, s := range p.Hazards {
		all = append(all, l.Text("hazard", "what", Plain(s, 400)))
	}
	return all
}

// report is a status and its reason. Reasons are the steps' own English
// sentences in either language.
func (l Language) report(r incident.Report) string {
	s := l.coded("status.", string(r.Status))
	if r.Reason != "" {
		s += ": " + Plain(r.Reason, 400)
	}
	return s
}

func each(in []string) []string { return cutEach(in, 300) }

func cutEach(in []string, limit int) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = Plain(s, limit)
	}
	return out
}

// Time is a time in UTC that says so; "" for none.
func (l Language) Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04:05") + " UTC"
}

// FindingURL opens the finding in the GuardDuty console of its Region; "" where
// either is not known. The form is that of AWS's own tutorial:
// https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html
func FindingURL(region, id string) string {
	if region == "" || id == "" || ID(region) != region {
		return ""
	}
	host := ".console.aws.amazon.com"
	switch {
	case strings.HasPrefix(region, "cn-"):
		host = ".console.amazonaws.cn"
	case strings.HasPrefix(region, "us-gov-"):
		host = ".console.amazonaws-us-gov.com"
	}
	if strings.ContainsAny(region, "./:") {
		return ""
	}
	return "https://" + region + host + "/guardduty/home?region=" + region + "#/findings?search=id%3D" + url.QueryEscape(id)
}
