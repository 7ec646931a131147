package decide

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"net/http"

	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"
)

//go:embed page.html
var source string

//go:embed page.css
var style string

// page writes answers. The style is allowed by its hash, and nothing else is.
type page struct {
	l      message.Language
	html   *template.Template
	policy string
}

func newPage(l message.Language) *page {
	t := template.Must(template.New("page").Funcs(template.FuncMap{"t": l.Text}).Parse(source))
	hash := sha256.Sum256([]byte(style))
	return &page{l: l, html: t, policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
		"'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"}
}

// answer is what a visitor is told: the form, or a notice.
type answer struct {
	status      int
	notice      string             // page.NOTICE and page.NOTICE.title; empty for the form
	decision    *incident.Decision // the one that stands
	undelivered bool               // it stands, and the machine has not got it yet
	wrong       []string           // what an operator must mend
	form        *view
}

// view is the form and what is known. Every text in it is harmless as text, and
// html/template escapes it besides.
type view struct {
	Problem   string
	Before    string // why it is asked before anything is isolated; empty where it is
	Later     string // how it stands, where people are asked once more; else empty
	Verified  string // a decision that was verified before
	Facts     []fact
	State     string
	Contained bool
	Done      []fact
	Lists     []list
	Choices   []choice
	Instance  string // ID, to be typed
	Typed     typed
	Wrong     []wrong
	Until     string
}

type fact struct{ Label, Value string }

type list struct {
	Title string
	Items []string
}

type choice struct {
	Value, Label, Does string
	Checked            bool
}

type typed struct {
	Instance, Name, Reason string
}

// wrong is one thing to mend, and the field it is about.
type wrong struct{ Field, Text string }

// fields are the ids of the inputs in page.html, by what is wrong.
var fields = map[string]string{"instance": "instance", "name": "name", "long": "name"}

// form gathers what the record knows. A step that has recorded nothing yet is
// left out; one that cannot be read is an error, because a decision on half the
// facts is worse than a page that says to come back.
func (h *Handler) form(ctx context.Context, q *request, f form, mend []string) answer {
	var known struct {
		instance    incident.Instance
		isolation   incident.Isolation
		exposure    incident.Exposure
		protection  incident.Protection
		credentials incident.Credentials
		snapshots   incident.Snapshots
		custody     incident.Custody
		console     incident.Console
		memory      struct {
			Outcome *incident.Memory `json:"outcome"`
			Result  *incident.Memory `json:"result"`
		}
	}
	steps := []struct {
		name string
		to   any
	}{
		{"approval", &known.instance},
		{"isolate", &known.isolation},
		{"exposure", &known.exposure},
		{"preserve", &known.protection},
		{"credentials", &known.credentials},
		{"snapshot", &known.snapshots},
		{"custody", &known.custody},
		{"console", &known.console},
		{"memory", &known.memory},
	}
	found, errs := make([]bool, len(steps)), make([]error, len(steps))
	h.host.Each(len(steps), func(n int) {
		found[n], errs[n] = record.LoadStep(ctx, h.incidents, h.incidentsTable, q.Incident, steps[n].name, steps[n].to)
	})
	for _, err := range errs {
		if err != nil {
			return broken
		}
	}
	var memory incident.Memory
	switch {
	case known.memory.Result != nil:
		memory = *known.memory.Result
	case known.memory.Outcome != nil:
		memory = *known.memory.Outcome
		memory.Done = false // it will have been so once the upload is ended
	case found[len(steps)-1]: // begun, and no end is known
		memory.Status = incident.OK
	}

	l, inc := h.page.l, q.head.Incident
	v := &view{
		Instance: inc.InstanceID, Until: l.Time(q.ExpiresAt), Problem: message.Plain(q.Problem, 800), Before: message.Plain(q.Before, 800),
		Later: message.Plain(q.Later, 800),
		Typed: typed{Instance: f.instance, Name: f.name, Reason: f.reason},
		Facts: facts(
			l.Text("instanceID"), message.ID(inc.InstanceID), l.Text("name"), l.Stranger(known.instance.Name),
			l.Text("account"), message.ID(inc.Account), l.Text("region"), message.ID(inc.Region),
			l.Text("instanceType"), message.ID(known.instance.Type), l.Text("threat"), message.Plain(inc.Finding.Type, 120),
			l.Text("severity"), l.Severity(inc.Finding.Severity), l.Text("title"), l.Stranger(inc.Finding.Title),
			l.Text("role"), l.Role(inc.Finding.Role), l.Text("finding"), message.ID(inc.Finding.ID),
			l.Text("incident"), message.ID(inc.ID),
		),
		Contained: known.isolation.Contained,
		Done:      facts(l.Text("page.isolatedAt"), l.Time(known.isolation.At)),
	}
	switch {
	case known.isolation.Status == "":
		v.State = l.Text("page.nothingYet")
	case known.isolation.Sealed:
		v.State = l.Text("page.sealed")
	case known.isolation.Contained:
		v.State = l.Text("page.contained")
	default:
		v.State = l.Text("page.open")
	}
	if q.head.Decision != "" {
		v.Verified = l.Choice(q.head.Decision)
	}
	evidence := incident.Evidence{Snapshots: known.snapshots, Custody: known.custody, Memory: memory, Console: known.console}
	for _, s := range []list{
		{"head.notContained", l.Interfaces(known.isolation, false)},
		{"head.contained", l.Interfaces(known.isolation, true)},
		{"head.repaired", plain(known.isolation.Repaired)},
		{"head.staysOpen", l.StaysOpen(known.isolation, known.credentials, known.exposure)},
		{"head.notTaken", l.NotTaken(evidence)},
		{"head.taken", l.Taken(evidence)},
		{"head.protection", l.Protection(known.protection)},
		{"head.credentials", l.Credentials(known.credentials)},
	} {
		if len(s.Items) > 0 {
			v.Lists = append(v.Lists, list{l.Text(s.Title), s.Items})
		}
	}
	for _, c := range q.Choices() {
		v.Choices = append(v.Choices, choice{Value: string(c), Label: l.Choice(c), Does: l.Text("does." + string(c)), Checked: f.choice == string(c)})
	}
	for _, m := range mend {
		field := fields[m]
		if m == "choice" || m == "override" {
			field = "decision-" + string(q.Choices()[0])
		}
		v.Wrong = append(v.Wrong, wrong{field, l.Text("page.wrong." + m)})
	}
	a := answer{status: http.StatusOK, form: v}
	if len(mend) > 0 {
		a.status = http.StatusUnprocessableEntity
	}
	return a
}

// facts are pairs of label and value; those without a value are left out.
func facts(pairs ...string) []fact {
	var all []fact
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			all = append(all, fact{pairs[i], pairs[i+1]})
		}
	}
	return all
}

func plain(in []string) []string {
	out := make([]string, len(in))
	for i, s := range in {
		out[i] = message.Plain(s, 300)
	}
	return out
}

// shown is what page.html is filled with.
type shown struct {
	Lang, Title, Notice, More string
	Style                     template.CSS
	Standing                  []fact
	Form                      *view
}

func (p *page) write(w http.ResponseWriter, method string, a answer) {
	s := shown{Lang: p.l.Code(), Style: template.CSS(style), Form: a.form, Title: p.l.Text("page.title")} //nolint:gosec // style.css is embedded
	if a.form != nil && a.form.Before != "" {
		s.Title = p.l.Text("page.before.title")
	}
	if a.notice != "" {
		s.Title, s.Notice = p.l.Text("page."+a.notice+".title"), p.l.Text("page."+a.notice)
	}
	if a.undelivered {
		s.More = p.l.Text("page.undelivered")
	}
	if d := a.decision; d != nil {
		s.Standing = facts(p.l.Text("choice"), p.l.Choice(d.Choice), p.l.Text("person"), p.l.Stranger(d.Person),
			p.l.Text("reason"), p.l.Stranger(d.Reason), p.l.Text("decidedAt"), p.l.Time(d.DecidedAt))
	}
	var b bytes.Buffer
	if err := p.html.Execute(&b, s); err != nil {
		http.Error(w, "page", http.StatusInternalServerError)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", p.policy)
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Strict-Transport-Security", "max-age=31536000")
	if a.status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD, POST")
	}
	w.WriteHeader(a.status)
	if method != http.MethodHead {
		// A visitor who has gone away is nothing to act on.
		_, _ = w.Write(b.Bytes())
	}
}
