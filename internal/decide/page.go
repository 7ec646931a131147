package decide

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
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

// pages are page.html in every language. To parse and escape it takes longer than to
// fill it, so that is not done again for each handler of a process.
var pages = func() map[message.Language]*template.Template {
	all := map[message.Language]*template.Template{}
	for _, l := range message.Languages {
		all[l] = template.Must(template.New("page").Funcs(template.FuncMap{"t": l.Text}).Parse(source))
	}
	return all
}()

func newPage(l message.Language) *page {
	hash := sha256.Sum256([]byte(style))
	return &page{l: l, html: pages[l], policy: "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) +
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
	stages      []stage            // how far a decision is
	again       bool               // the page that says how far it is, is worth a look
	back        bool               // so is the form
	incident    string             // ID, where people need it to go on
	why         string             // in one word, why somebody is not let in
	first       *incident.Decision // that whoever asks may second, once they have seen it
}

// view is the form and the facts around it.
type view struct {
	facts
	InstanceID string // to be typed
	Typed      typed
	Ticket     ticket
	Wrong      []wrong
	Visitor    string // who has signed in; empty with a link
	Decides    bool   // else they may only look
	First      string // the mark of the decision that this one would second
}

type typed struct {
	Choice, Instance, Name, Reason string
}

// wrong is one thing to mend, and the field it is about.
type wrong struct{ Field, Text string }

// fields are the ids of the inputs in page.html, by what is wrong.
var fields = map[string]string{"instance": "instance", "name": "name", "reason": "reason", "long": "name", "stale": "decide"}

// form is the page on which a person decides, with what the record holds now.
func (h *Handler) form(ctx context.Context, q *request, who visitor, f form, mend []string) answer {
	return h.formAfter(ctx, q, who, f, mend, nil)
}

// second is the page on which a second person decides, who sees the first's
// decision.
func (h *Handler) second(ctx context.Context, q *request, who visitor, f form, first incident.Decision) answer {
	a := h.formAfter(ctx, q, who, f, nil, &first)
	if a.form != nil {
		a.status, a.notice, a.decision, a.form.First = http.StatusConflict, NoticeSecond, &first, first.Mark()
	}
	return a
}

func (h *Handler) formAfter(ctx context.Context, q *request, who visitor, f form, mend []string, first *incident.Decision) answer {
	k, err := h.know(ctx, q.Incident)
	if err != nil {
		return broken
	}
	l := h.page.l
	v := &view{
		facts: h.facts(q, k), InstanceID: q.head.Incident.InstanceID, Decides: who.decides,
		Typed: typed{Choice: f.choice, Instance: f.instance, Name: f.name, Reason: f.reason},
	}
	if who.name != "" {
		v.Visitor = l.Stranger(who.name)
	}
	if first != nil {
		v.Earlier = h.earlier(q, record.OfFirst(*first))
	}
	if !who.decides {
		return answer{status: http.StatusOK, form: v}
	}
	shown, err := json.Marshal(v.facts)
	if err != nil {
		return broken
	}
	if v.Ticket, err = h.issue(ctx, q, who, shown); err != nil {
		return broken
	}
	for _, m := range mend {
		field := fields[m]
		if field == "" { // the choice
			field = "decision-" + string(q.Choices()[0])
		}
		key := "page.wrong." + m
		if m == "stale" {
			key = "page.stale"
		}
		v.Wrong = append(v.Wrong, wrong{field, l.Text(key)})
	}
	a := answer{status: http.StatusOK, form: v}
	if len(mend) > 0 {
		a.status = http.StatusUnprocessableEntity
	}
	return a
}

// shown is what page.html is filled with.
type shown struct {
	Lang, Title, Notice, More string
	Alert                     bool // the notice is none to pass over
	Style                     template.CSS
	Standing                  []fact
	Stages                    []stage
	Again, Back               bool
	Incident                  string
	Form                      *view
}

func (p *page) write(w http.ResponseWriter, method string, a answer) {
	s := shown{
		Lang: p.l.Code(), Style: template.CSS(style), Form: a.form, Title: p.l.Text("page.title"), //nolint:gosec // page.css is embedded
		Stages: a.stages, Again: a.again, Back: a.back, Alert: a.status >= http.StatusBadRequest,
	}
	if a.incident != "" {
		s.Incident = p.l.Text("incident") + ": " + message.ID(a.incident)
	}
	if a.form != nil && a.form.Before != "" {
		s.Title = p.l.Text("page.before.title")
	}
	if a.notice != "" {
		s.Title, s.Notice = p.l.Text("page."+a.notice+".title"), p.l.Text("page."+a.notice, "why", a.why)
	}
	if a.undelivered {
		s.More = p.l.Text("page.undelivered")
	}
	if d := a.decision; d != nil {
		s.Standing = pairs(
			p.l.Text("choice"), p.l.Choice(d.Chosen()), p.l.Text("person"), p.l.Stranger(d.Person), p.l.Text("seconds"), p.l.Stranger(d.Seconds), p.l.Text("page.how"), p.l.Known(d.Identity),
			p.l.Text("reason"), p.l.Stranger(d.Reason), p.l.Text("decidedAt"), p.l.Time(d.DecidedAt), p.l.Text("page.hash"), message.ID(d.Facts),
		)
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
