package decide

import (
	"context"
	"fmt"
	"slices"
	"time"

	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"
)

// facts are what a person is shown before they decide, in the words of the page.
// They stand in the decision as JSON, under its seal by their hash. Every text in
// them is harmless as text, and html/template escapes it besides.
type facts struct {
	Language  string   `json:"language"`
	Incident  string   `json:"incident"`
	Round     int      `json:"round"`
	Problem   string   `json:"problem"` // why the last decision was not carried out; or empty
	Before    string   `json:"before"`  // why it is asked before anything is isolated; or empty
	Later     string   `json:"later"`   // how it stands, where people are asked once more; or empty
	Earlier   []string `json:"earlier"` // who decided so far
	Instance  []fact   `json:"instance"`
	Owners    []string `json:"owners"`
	Found     []fact   `json:"found"`
	State     string   `json:"state"`
	Contained bool     `json:"contained"`
	LookedAt  string   `json:"lookedAt"` // when the isolation was last verified
	Drifted   string   `json:"drifted"`  // how often others undid it; or empty
	Done      []list   `json:"done"`
	Gaps      []string `json:"gaps"`
	Evidence  []string `json:"evidence"`
	Choices   []choice `json:"choices"`
	Until     string   `json:"until"`
	Left      string   `json:"left"`
}

type fact struct {
	Label string `json:"label"`
	Value string `json:"value"`
}

type list struct {
	Title string   `json:"title"`
	Items []string `json:"items"`
}

// choice is one decision: what it does, and what that means as things stand.
type choice struct {
	Value string   `json:"value"`
	Label string   `json:"label"`
	Does  string   `json:"does"`
	Now   string   `json:"now"` // what Items are, or that there are none; or empty
	Items []string `json:"items"`
}

// known is the record of one incident as it stands now, step by step. What a
// step has not recorded yet is zero.
type known struct {
	instance    incident.Instance
	isolation   incident.Isolation
	exposure    incident.Exposure
	protection  incident.Protection
	credentials incident.Credentials
	evidence    incident.Evidence
	termination struct {
		CalledAt time.Time `json:"calledAt"`
	}
	restoration incident.Restoration
}

// know reads what the steps have recorded. One that cannot be read is an error: a
// decision on half the facts is worse than a page that says to come back.
func (h *Handler) know(ctx context.Context, id string) (known, error) {
	var k known
	var capture incident.CaptureRecord
	var hash struct {
		Result *incident.Digest `json:"result"`
	}
	steps, err := record.Steps(ctx, h.incidents, h.incidentsTable, id)
	if err != nil {
		return known{}, fmt.Errorf("read what the steps recorded: %w", err)
	}
	if err := steps.Into(map[string]any{
		"approval":    &k.instance,
		"isolate":     &k.isolation,
		"exposure":    &k.exposure,
		"preserve":    &k.protection,
		"credentials": &k.credentials,
		"snapshot":    &k.evidence.Snapshots,
		"custody":     &k.evidence.Custody,
		"console":     &k.evidence.Console,
		"digest":      &hash,
		"terminate":   &k.termination,
		"release":     &k.restoration,
		"memory":      &capture,
	}); err != nil {
		return known{}, err
	}
	switch _, begun := steps["memory"]; {
	case capture.Result != nil || capture.Outcome != nil:
		k.evidence.Memory = capture.Memory()
	case begun:
		k.evidence.Memory.Status = incident.OK // and no end is known
	}
	if hash.Result != nil {
		k.evidence.Digest = *hash.Result
	}
	return k, nil
}

// facts are what the page says of a request, as the record stands now.
func (h *Handler) facts(q *request, k known) facts {
	l, inc := h.page.l, q.head.Incident
	f := facts{
		Language: l.Code(), Incident: inc.ID, Round: q.Round,
		Problem: message.Plain(q.Problem, 800), Before: message.Plain(q.Before, 800), Later: message.Plain(q.Later, 800),
		Earlier: h.earlier(q),
		Instance: pairs(
			l.Text("name"), l.Stranger(k.instance.Name), l.Text("instanceID"), message.ID(inc.InstanceID),
			l.Text("account"), message.ID(inc.Account), l.Text("region"), message.ID(inc.Region),
			l.Text("instanceType"), message.ID(k.instance.Type), l.Text("incident"), message.ID(inc.ID),
		),
		Owners: l.Owners(k.instance.Tags),
		Found: pairs(
			l.Text("threat"), message.Plain(inc.Finding.Type, 120), l.Text("page.means"), l.Found(inc.Finding.Type),
			l.Text("severity"), l.Severity(inc.Finding.Severity), l.Text("title"), l.Stranger(inc.Finding.Title),
			l.Text("role"), l.Role(inc.Finding.Role), l.Text("finding"), message.ID(inc.Finding.ID),
		),
		State: l.Text(stateOf(k.isolation)), Contained: k.isolation.Contained,
		LookedAt: l.Time(k.isolation.At), Drifted: l.Drifted(k.isolation),
		Done: []list{},
		Gaps: []string{}, Evidence: append([]string{}, l.Taken(k.evidence)...),
		Until: l.Time(q.ExpiresAt), Left: l.Left(q.ExpiresAt.Sub(h.host.Now())),
	}
	if q.Before == "" { // before anything is isolated there is no evidence that could have gaps
		f.Gaps = append(f.Gaps, l.Gaps(k.evidence)...)
	}
	for _, s := range []list{
		{"head.notContained", l.Interfaces(k.isolation, false)},
		{"head.contained", l.Interfaces(k.isolation, true)},
		{"head.repaired", plain(k.isolation.Repaired)},
		{"head.staysOpen", l.StaysOpen(k.isolation, k.credentials, k.exposure)},
		{"head.protection", l.Protection(k.protection)},
		{"head.credentials", l.Credentials(k.credentials)},
	} {
		if len(s.Items) > 0 {
			f.Done = append(f.Done, list{l.Text(s.Title), s.Items})
		}
	}
	for _, c := range q.Choices() {
		f.Choices = append(f.Choices, h.choice(c, k))
	}
	return f
}

// choice says what a decision does, and what it would still wait for or cut short.
func (h *Handler) choice(c incident.Choice, k known) choice {
	l := h.page.l
	out := choice{Value: string(c), Label: l.Choice(c), Does: l.Text("does." + string(c)), Items: []string{}}
	switch c {
	case incident.Terminate:
		out.Now, out.Items = l.Text("page.waits"), l.Waits(k.evidence, k.isolation)
		if len(out.Items) == 0 {
			out.Now = l.Text("page.waits.none")
		}
	case incident.Release:
		if out.Items = l.Cuts(k.evidence); len(out.Items) > 0 {
			out.Now = l.Text("page.cuts")
		}
	}
	return out
}

// earlier is who decided so far, on this request and on those before: of decisions
// that wait for a second person those that people were told of, and more that are
// known.
func (h *Handler) earlier(q *request, more ...record.Earlier) []string {
	l, all := h.page.l, []string{}
	for _, e := range append(slices.Clone(q.Firsts), more...) {
		one := l.Text("page.earlier.first", "choice", l.Choice(e.Choice), "person", l.Stranger(e.Person), "at", l.Time(e.At))
		if !slices.Contains(all, one) {
			all = append(all, one)
		}
	}
	for _, e := range q.Earlier {
		key := "page.earlier.one"
		if e.Part == incident.Unseconded {
			key = "page.earlier.unseconded"
		}
		all = append(all, l.Text(key, "round", fmt.Sprint(e.Round), "choice", l.Choice(e.Choice), "person", l.Stranger(e.Person), "at", l.Time(e.At)))
	}
	return all
}

func stateOf(i incident.Isolation) string {
	switch {
	case i.Status == "":
		return "page.nothingYet"
	case i.Sealed:
		return "page.sealed"
	case i.Contained:
		return "page.contained"
	}
	return "page.open"
}

// pairs are facts, given as label and value; those without a value are left out.
func pairs(texts ...string) []fact {
	all := []fact{}
	for i := 0; i+1 < len(texts); i += 2 {
		if texts[i+1] != "" {
			all = append(all, fact{texts[i], texts[i+1]})
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
