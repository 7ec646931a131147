// Package report writes one incident as a page that people read and print: what
// happened, when, what was taken and what was not. It is one file without script,
// link or anything from elsewhere, and the same facts make the same bytes.
//
// Titles, tags, names and reasons are strangers' text: package message makes them
// harmless as text, and here everything is escaped besides.
package report

import (
	"html"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/message"
)

// Facts are what the page is made of. What is zero is left out, or said to be
// missing where a reader would look for it.
type Facts struct {
	Kind        message.Kind // of the last mail: how it ended
	Open        bool         // the incident is open all the same
	ClosedAt    time.Time    // or, where it is open, when this was written
	Execution   string       // ARN of the one that ends so
	Manifest    string       // key of the manifest that names this page
	Incident    incident.Incident
	Instance    incident.Instance
	Findings    []incident.Finding // all that came
	Isolation   incident.Isolation
	Exposure    incident.Exposure
	Protection  incident.Protection
	Credentials incident.Credentials
	Evidence    incident.Evidence
	Restoration incident.Restoration
	Problem     incident.Problem // that came last, where it is open
	Drifts      []incident.Drift
	Decision    message.Decision // that was carried out
	Requests    []Request        // for a decision, the first first
	Decisions   []incident.Recorded
	Interfaces  []Interface
	Objects     []manifest.Object // of the evidence bucket, but the page itself
	Missing     []string          // keys that the record names and the bucket has not, or without a hash
	Begun       Begun
}

// Begun are times at which something was about to be done, as the record has
// them; zero where it was not.
type Begun struct {
	Protecting  time.Time `json:"protecting"`
	Isolating   time.Time `json:"isolating"`
	Capturing   time.Time `json:"capturing"`
	Terminating time.Time `json:"terminating"`
}

// Request is when people were asked.
type Request struct {
	Round     int
	OpenedAt  time.Time
	MailedAt  time.Time // zero if no mail of it was accepted
	ExpiresAt time.Time
	Problem   string // why it was asked again
}

// Interface is what became of the security groups of one.
type Interface struct {
	ID       string
	Before   []string // null where they were not changed
	Isolated []string
	Where    incident.Place
}

// shown is how many entries of one list the page has: the manifest has them all.
const shown = 100

// page is the file as it grows.
type page struct {
	b strings.Builder
	l message.Language
}

// raw writes markup of our own. Nothing else may come here.
func (p *page) raw(s string) { p.b.WriteString(s) }

// text writes what is escaped.
func (p *page) text(s string) { p.b.WriteString(html.EscapeString(s)) }

// el is an element with nothing but text in it. What opens it is ours.
func (p *page) el(open, s string) {
	name, _, _ := strings.Cut(open, " ")
	p.raw("<" + open + ">")
	p.text(s)
	p.raw("</" + name + ">")
}

// t is an entry of the catalogue.
func (p *page) t(key string, facts ...string) string { return p.l.Text(key, facts...) }

// section is a heading and what is below it.
func (p *page) section(key string, body func()) {
	p.raw("\n<section>\n")
	p.el("h2", p.t(key))
	p.raw("\n")
	body()
	p.raw("</section>\n")
}

// list is a list with a heading above; nothing where it is empty.
func (p *page) list(key, class string, items []string) {
	if len(items) == 0 {
		return
	}
	p.el("h3", p.t(key))
	p.raw("\n<ul" + class + ">\n")
	p.items(items)
	p.raw("</ul>\n")
}

func (p *page) items(all []string) {
	for _, s := range all[:min(len(all), shown)] {
		p.el("li", s)
		p.raw("\n")
	}
	if n := len(all) - shown; n > 0 {
		p.el("li", p.t("report.more", "n", strconv.Itoa(n)))
		p.raw("\n")
	}
}

// facts are labels and values, given in pairs; those without a value are left out.
func (p *page) facts(pairs ...string) {
	p.raw("<dl>\n")
	for n := 0; n+1 < len(pairs); n += 2 {
		if pairs[n+1] != "" {
			p.el("dt", p.t(pairs[n]))
			p.el("dd", pairs[n+1])
			p.raw("\n")
		}
	}
	p.raw("</dl>\n")
}

// table is rows below headings; nothing where there are no rows.
func (p *page) table(columns []string, rows [][]string) {
	if len(rows) == 0 {
		return
	}
	p.raw("<table>\n<thead><tr>")
	for _, c := range columns {
		p.el(`th scope="col"`, p.t(c))
	}
	p.raw("</tr></thead>\n<tbody>\n")
	for _, row := range rows[:min(len(rows), shown)] {
		p.raw("<tr>")
		for _, cell := range row {
			p.el("td", cell)
		}
		p.raw("</tr>\n")
	}
	p.raw("</tbody>\n</table>\n")
	if n := len(rows) - shown; n > 0 {
		p.el("p", p.t("report.more", "n", strconv.Itoa(n)))
		p.raw("\n")
	}
}

// Page is the report, UTF-8, at most half a megabyte.
func Page(l message.Language, f Facts) []byte {
	p := &page{l: l}
	instance := message.ID(f.Incident.InstanceID)
	p.raw("<!doctype html>\n<html lang=\"" + l.Code() + "\">\n<head>\n<meta charset=\"utf-8\"/>\n" +
		"<meta http-equiv=\"Content-Security-Policy\" content=\"" + policy + "\"/>\n" +
		"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n<meta name=\"color-scheme\" content=\"light dark\"/>\n" +
		"<meta name=\"robots\" content=\"noindex, nofollow\"/>\n<meta name=\"referrer\" content=\"no-referrer\"/>\n")
	p.el("title", p.t("report.title", "instance", instance))
	p.raw("\n<style>" + style + "</style>\n</head>\n<body>\n<main>\n<header>\n")
	p.el(`p class="kicker"`, p.t("report.title", "instance", instance))
	p.raw("\n")
	p.el("h1", l.Story(f.letter()))
	p.raw("\n")
	p.figures(f)
	p.raw("</header>\n<div class=\"columns\">\n<aside>\n")
	p.timeline(f)
	p.raw("</aside>\n<div>\n")
	p.found(f)
	p.evidence(f)
	p.done(f)
	p.open(f)
	p.decisions(f)
	p.next(f)
	p.raw("</div>\n</div>\n")
	p.objects(f)
	p.raw("\n<footer>\n")
	p.el("p", p.t("report.check", "manifest", message.Plain(f.Manifest, 400)))
	p.raw("\n")
	p.el("p", p.t("incident")+": "+message.ID(f.Incident.ID))
	p.raw("\n")
	p.el("p", p.t("report.execution")+": "+message.Plain(f.Execution, 300))
	p.raw("\n")
	p.el("p", p.t("footer"))
	p.raw("\n</footer>\n</main>\n</body>\n</html>\n")
	return []byte(p.b.String())
}

// figures are what a reader asks first.
func (p *page) figures(f Facts) {
	contained := p.t("report.never")
	if at := f.Isolation.Since; !at.IsZero() {
		contained = p.gap(at.Sub(first(f.Incident.Finding.EventTime, f.Incident.OpenedAt)))
	}
	missing, n, going := p.t("report.nothing"), len(p.l.NotTaken(f.Evidence)), len(p.underWay(f))
	switch {
	case n > 0 && going > 0:
		missing = p.t("report.gapsGoing", "n", strconv.Itoa(n), "going", strconv.Itoa(going))
	case n > 0:
		missing = p.t("report.gaps", "n", strconv.Itoa(n))
	case going > 0:
		missing = p.t("report.going", "going", strconv.Itoa(going))
	}
	p.raw("<dl class=\"figures\">\n")
	for _, pair := range [][2]string{
		{"report.ending", p.l.Ending(f.letter())},
		{"severity", p.l.Severity(f.Incident.Finding.Severity)},
		{"report.containedAfter", contained},
		{"head.notTaken", missing},
	} {
		p.raw("<div>")
		p.el("dt", p.t(pair[0]))
		p.el("dd", pair[1])
		p.raw("</div>\n")
	}
	p.raw("</dl>\n")
}

// letter is the last mail, as far as it tells how the incident ended.
func (f Facts) letter() message.Letter {
	return message.Letter{
		Kind: f.Kind, Incident: f.Incident, Finding: f.Incident.Finding, Instance: f.Instance, Isolation: f.Isolation,
		Decision: f.Decision, Restoration: f.Restoration,
	}
}

func first(these ...time.Time) time.Time {
	for _, t := range these {
		if !t.IsZero() {
			return t
		}
	}
	return time.Time{}
}

func (p *page) found(f Facts) {
	l, n, x := p.l, f.Instance, f.Incident.Finding
	p.section("head.finding", func() {
		lifecycle := message.ID(n.Lifecycle)
		if lifecycle == "normal" {
			lifecycle = ""
		}
		p.facts(
			"instanceID", message.ID(f.Incident.InstanceID), "name", l.Stranger(n.Name), "account", message.ID(f.Incident.Account),
			"region", message.ID(f.Incident.Region), "instanceType", message.ID(n.Type), "platform", message.ID(n.Platform), "lifecycle", lifecycle,
			"threat", message.Plain(x.Type, 120), "severity", l.Severity(x.Severity), "title", l.Stranger(x.Title), "report.description", l.Stranger(x.Description),
			"role", l.Role(x.Role), "finding", message.ID(x.ID),
		)
		if len(f.Findings) > 1 {
			p.el("h3", p.t("report.findings"))
			var rows [][]string
			for _, x := range f.Findings {
				rows = append(rows, []string{l.Time(x.EventTime), message.Plain(x.Type, 120), l.Severity(x.Severity), l.Stranger(x.Title)})
			}
			p.table([]string{"report.time", "threat", "severity", "title"}, rows)
		}
	})
}

func (p *page) evidence(f Facts) {
	p.section("report.evidence", func() {
		taken, not := p.l.Taken(f.Evidence), p.l.NotTaken(f.Evidence)
		if len(taken) == 0 {
			p.el("p", p.t("report.nothingTaken"))
			p.raw("\n")
		}
		p.list("head.taken", "", taken)
		p.list("head.notTaken", ` class="gaps"`, not)
		p.list("report.underWay", ` class="gaps"`, p.underWay(f))
	})
}

// underWay is what had not come to its end yet: it may or may not have since.
func (p *page) underWay(f Facts) []string {
	e, copying, hashing := f.Evidence, "report.copying", "report.hashing"
	if f.Open { // the execution ends, and another goes on where people decide
		copying, hashing = "report.copyingLater", "report.hashingLater"
	}
	all := p.l.UnderWay(e)
	if c := e.Custody; c.Status == incident.OK && !c.Done && !c.Off {
		all = append(all, p.t(copying, "reason", message.Plain(c.Reason, 300)))
	}
	if d := e.Digest; !d.Done && e.Memory.Done && e.Memory.Object != "" {
		all = append(all, p.t(hashing, "reason", message.Plain(d.Reason, 300)))
	}
	return all
}

func (p *page) done(f Facts) {
	p.section("page.done", func() {
		var rows [][]string
		for _, i := range f.Interfaces {
			rows = append(rows, []string{message.ID(i.ID), p.or(ids(i.Before), "report.unchanged"), p.or(ids(i.Isolated), "report.unseen"), p.or(p.l.Place(i.Where), "report.unseen")})
		}
		p.table([]string{"report.interface", "report.before", "report.isolated", "report.where"}, rows)
		if r := f.Isolation.Reason; r != "" {
			p.el("p", message.Plain(r, 600))
			p.raw("\n")
		}
		if !f.Isolation.Contained {
			p.list("head.notContained", ` class="gaps"`, p.l.Interfaces(f.Isolation, false))
		}
		p.list("head.protection", "", p.l.Protection(f.Protection))
		p.list("head.credentials", "", p.l.Credentials(f.Credentials))
		if f.Restoration.Connected {
			p.el("p", p.t("report.connected"))
			p.raw("\n")
		}
		p.list("head.restored", "", plain(f.Restoration.Restored))
		p.list("head.notBack", ` class="gaps"`, plain(f.Restoration.NotBack))
	})
}

func (p *page) open(f Facts) {
	p.section("head.staysOpen", func() {
		all := p.l.StaysOpen(f.Isolation, f.Credentials, f.Exposure)
		if f.Isolation.Since.IsZero() {
			p.el("p", p.t("report.notStopped"))
			p.raw("\n")
		}
		if len(all) > 0 {
			p.raw("<ul>\n")
			p.items(all)
			p.raw("</ul>\n")
		}
		p.list("head.drifts", ` class="gaps"`, p.l.Drifts(f.Drifts))
	})
}

func (p *page) decisions(f Facts) {
	p.section("report.decisions", func() {
		if len(f.Decisions) == 0 {
			p.el("p", p.t("report.nobody"))
			p.raw("\n")
		}
		for _, d := range f.Decisions[:min(len(f.Decisions), shown)] {
			consent := ""
			switch {
			case d.Override:
				consent = p.t("report.override")
			case d.Force:
				consent = p.t("report.force")
			}
			p.facts(
				"choice", p.l.Choice(d.Choice), "report.consent", consent, "report.part", p.l.Part(d.Part), "person", p.l.Stranger(d.Person), "seconds", p.l.Stranger(d.Seconds), "report.known", p.l.Known(d.Identity), "reason", p.l.Stranger(d.Reason),
				"decidedAt", p.l.Time(d.DecidedAt), "report.request", strconv.Itoa(d.Round), "report.from", message.ID(d.Address), "report.agent", p.l.Stranger(d.Agent),
				"report.shown", message.ID(d.Facts),
			)
		}
		var asked []string
		for _, r := range f.Requests {
			s := p.t("report.asked", "round", strconv.Itoa(r.Round), "at", p.l.Time(r.OpenedAt), "until", p.l.Time(r.ExpiresAt))
			if r.MailedAt.IsZero() {
				s += p.t("report.unmailed")
			}
			if r.Problem != "" {
				s += p.t("report.again", "reason", message.Plain(r.Problem, 300))
			}
			asked = append(asked, s)
		}
		p.list("report.requests", "", asked)
	})
}

// next is what is left to do, and what people were asked so far.
func (p *page) next(f Facts) {
	p.section("head.next", func() {
		if s := p.l.Because(f.Problem, ""); s != "" {
			p.el("p", p.t("because", "reason", s))
			p.raw("\n")
		}
		p.raw("<ul>\n")
		p.items(p.l.Next(f.letter()))
		p.raw("</ul>\n")
	})
}

// or is a cell that may be empty, which would look like nothing at all.
func (p *page) or(s, key string) string {
	if s == "" {
		return p.t(key)
	}
	return s
}

func (p *page) objects(f Facts) {
	if len(f.Objects)+len(f.Missing) == 0 {
		return
	}
	p.section("report.objects", func() {
		var rows [][]string
		for _, o := range f.Objects {
			rows = append(rows, []string{message.Plain(o.Key, 300), strconv.FormatInt(o.Bytes, 10), message.ID(o.SHA256)})
		}
		p.table([]string{"report.key", "report.bytes", "SHA-256"}, rows)
		p.list("report.missing", ` class="gaps"`, plain(f.Missing))
	})
}

func plain(in []string) []string {
	out := make([]string, len(in))
	for n, s := range in {
		out[n] = message.Plain(s, 300)
	}
	return out
}

// ids are identifiers on one line.
func ids(in []string) string {
	out := make([]string, len(in))
	for n, s := range in {
		out[n] = message.ID(s)
	}
	return strings.Join(out[:min(len(out), 20)], ", ")
}
