package report

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"
)

// moment is one point of the timeline.
type moment struct {
	at   time.Time
	mark string // which shape: also without colour each kind is another
	what string
}

// moments are what happened, in order, as far as it is known when.
func (p *page) moments(f Facts) []moment {
	var all []moment
	add := func(at time.Time, mark, key string, facts ...string) {
		if !at.IsZero() {
			all = append(all, moment{at, mark, p.t(key, facts...)})
		}
	}
	add(f.Incident.Finding.EventTime, "found", "moment.found")
	for _, x := range f.Findings {
		if x.EventID != f.Incident.Finding.EventID {
			add(x.EventTime, "found", "moment.joined")
		}
	}
	add(f.Incident.OpenedAt, "done", "moment.opened")
	add(f.Begun.Protecting, "done", "moment.protecting")
	add(f.Begun.Isolating, "done", "moment.isolating")
	add(f.Isolation.Since, "safe", "moment.contained")
	add(f.Isolation.SealedAt, "safe", "moment.sealed")
	add(f.Evidence.Console.Output.At, "done", "moment.output")
	add(f.Evidence.Console.Screenshot.At, "done", "moment.screenshot")
	for _, r := range f.Requests {
		add(first(r.MailedAt, r.OpenedAt), "person", "moment.asked", "round", strconv.Itoa(r.Round))
	}
	for _, d := range f.Decisions {
		key := "moment.decided"
		if d.Part == incident.Unseconded || d.Part == incident.FirstOfTwo {
			key = "moment.first"
		}
		add(d.DecidedAt, "person", key, "choice", p.l.Choice(d.Choice))
	}
	for _, d := range f.Drifts {
		add(d.At, "found", "moment.undone")
	}
	add(f.Begun.Terminating, "done", "moment.terminating")
	for _, w := range p.spans(f) {
		add(w.from, "begin", w.began)
		add(w.claimed, "done", "moment.claimed")
		if w.to.IsZero() {
			add(f.ClosedAt, "begin", w.open)
		} else {
			add(w.to, "done", w.ended)
		}
	}
	slices.SortStableFunc(all, func(a, b moment) int { return a.at.Compare(b.at) })
	closed := "moment.closed"
	if f.Open {
		closed = "moment.stands"
	}
	add(f.ClosedAt, "end", closed, "ending", p.l.Ending(f.letter()))
	return all
}

// span is what took its time, from a moment to another; to is zero where it was
// still under way. What it says at its moments are keys of the catalogue.
type span struct {
	from, to           time.Time
	claimed            time.Time // when the host says that it ended; zero where it said nothing
	began, ended, open string
}

// spans are the evidence that takes hours, one a lane of the picture, as far as it
// began and it is known when it ended.
func (p *page) spans(f Facts) []span {
	var all []span
	shots := span{began: "moment.snapshots", ended: "moment.complete", open: "moment.incomplete"}
	pending := false
	for _, n := range f.Evidence.Snapshots.Set {
		if n.Duplicate || n.Superseded {
			continue
		}
		if shots.from.IsZero() || !n.StartedAt.IsZero() && n.StartedAt.Before(shots.from) {
			shots.from = n.StartedAt
		}
		if n.CompletedAt.After(shots.to) {
			shots.to = n.CompletedAt
		}
		pending = pending || n.State == "pending"
	}
	if !f.Evidence.Snapshots.Complete {
		shots.ended = "moment.last" // of those that are
	}
	if pending {
		shots.to = time.Time{}
	}
	if !shots.from.IsZero() && (pending || !shots.to.IsZero()) {
		all = append(all, shots)
	}
	m := f.Evidence.Memory
	if began := first(m.BegunAt, f.Begun.Capturing); !began.IsZero() {
		w := span{from: began, to: m.EndedAt, claimed: m.ClaimedAt, began: "moment.capturing", ended: "moment.captured", open: "moment.uncaptured"}
		if m.Status != incident.OK {
			w.ended = "moment.captureEnded"
		}
		if m.Done && w.to.IsZero() { // recorded by a version that did not note when
			w.open = "moment.captureEndUnknown"
		}
		all = append(all, w)
	}
	return all
}

// drawn is how many moments the picture has, half from each end: the list below
// it has them all, up to shown.
const drawn = 24

// The picture is as wide as a phone's screen, in its pixels.
const (
	width = 320
	left  = 30 // of the line
	lane  = 9  // between the line and the first span, and to the next
	step  = 46 // from one moment to the next, at least
)

// timeline is a picture and, for whoever does not see it, the same as a list.
func (p *page) timeline(f Facts) {
	all := p.moments(f)
	if len(all) == 0 {
		return
	}
	cut := 0
	seen := all
	if len(all) > drawn {
		cut = len(all) - drawn
		seen = slices.Concat(all[:drawn/2], all[len(all)-drawn/2:])
	}
	ys := make([]int, len(seen))
	y := 16
	for n := range seen {
		if n > 0 {
			y += step + stretch(seen[n].at.Sub(seen[n-1].at))
		}
		ys[n] = y
	}
	height := y + 34
	at := func(when time.Time) int { // of the last that is drawn and not after it
		n := 0
		for n+1 < len(seen) && !seen[n+1].at.After(when) {
			n++
		}
		return ys[n]
	}

	p.el("h2", p.t("report.timeline"))
	fmt.Fprintf(&p.b, "\n<svg role=\"img\" aria-labelledby=\"timeline-title\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\">\n", width, height, width, height)
	p.el(`title id="timeline-title"`, p.t("report.picture", "n", strconv.Itoa(len(all))))
	fmt.Fprintf(&p.b, "\n<path class=\"line\" d=\"M%d %dV%d\"/>\n", left, ys[0], ys[len(ys)-1])
	for n, w := range p.spans(f) {
		x, class, to := left-lane*(n+1)-2, "span", at(w.to)
		if w.to.IsZero() {
			class, to = "span going", at(f.ClosedAt)
		}
		fmt.Fprintf(&p.b, "<path class=\"%s\" d=\"M%d %dH%dV%dH%d\"/>\n", class, left, at(w.from), x, to, left)
	}
	for n, m := range seen {
		p.raw(shape(m.mark, ys[n]))
		p.words(left+18, ys[n]+4, "what", m.what)
		when := p.l.Time(m.at)
		if n > 0 {
			when += "  +" + p.gap(m.at.Sub(seen[n-1].at))
		}
		if cut > 0 && n == drawn/2 {
			when += "  " + p.t("report.left", "n", strconv.Itoa(cut))
		}
		p.words(left+18, ys[n]+21, "when", when)
	}
	p.raw("</svg>\n<ol class=\"unseen\">\n")
	var items []string
	for _, m := range all {
		items = append(items, p.l.Time(m.at)+": "+m.what)
	}
	p.items(items)
	p.raw("</ol>\n")
}

// words are one line of text in the picture.
func (p *page) words(x, y int, class, s string) {
	fmt.Fprintf(&p.b, "<text class=\"%s\" x=\"%d\" y=\"%d\">%s</text>\n", class, x, y, html.EscapeString(s))
}

// stretch is how much further apart two moments stand for the time between them:
// an hour is seen to be longer than a minute, and a month still fits.
func stretch(d time.Duration) int {
	if d <= time.Second {
		return 0
	}
	return int(math.Round(min(48, 9*math.Log10(d.Seconds()))))
}

// shape is the mark of a moment.
func shape(mark string, y int) string {
	switch mark {
	case "found":
		return fmt.Sprintf("<path class=\"found\" d=\"M%d %dl8 8l-8 8l-8-8z\"/>\n", left, y-8)
	case "safe":
		return fmt.Sprintf("<circle class=\"safe\" cx=\"%d\" cy=\"%d\" r=\"8\"/>\n<path class=\"tick\" d=\"M%d %dl3 3l5-6\"/>\n", left, y, left-4, y)
	case "person":
		return fmt.Sprintf("<rect class=\"person\" x=\"%d\" y=\"%d\" width=\"14\" height=\"14\"/>\n", left-7, y-7)
	case "end":
		return fmt.Sprintf("<circle class=\"end\" cx=\"%d\" cy=\"%d\" r=\"8\"/>\n<circle class=\"core\" cx=\"%d\" cy=\"%d\" r=\"3\"/>\n", left, y, left, y)
	}
	if mark == "begin" {
		return fmt.Sprintf("<path class=\"begin\" d=\"M%d %dl6 9h-12z\"/>\n", left, y-6)
	}
	return fmt.Sprintf("<circle class=\"done\" cx=\"%d\" cy=\"%d\" r=\"5\"/>\n", left, y)
}

// gap is a length of time in words, its two largest units at most.
func (p *page) gap(d time.Duration) string {
	n := func(i time.Duration) string { return strconv.FormatInt(int64(i), 10) }
	switch {
	case d < 0:
		return p.t("gap.s", "n", "0")
	case d < 100*time.Second:
		return p.t("gap.s", "n", strings.TrimSuffix(strconv.FormatFloat(d.Seconds(), 'f', 1, 64), ".0"))
	case d < 100*time.Minute:
		return p.t("gap.min", "n", n(d/time.Minute))
	case d < 48*time.Hour:
		return p.t("gap.h", "h", n(d/time.Hour), "min", n(d%time.Hour/time.Minute))
	}
	return p.t("gap.d", "d", n(d/(24*time.Hour)), "h", n(d%(24*time.Hour)/time.Hour))
}
