package rehearsal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/asl"
	"cordon/internal/finding"
	"cordon/internal/incident"
	"cordon/internal/sim"
)

// Script is what happens besides the event and the decision: `--script FILE`.
// Times are virtual seconds from the event.
type Script struct {
	Faults   []string        `json:"faults,omitempty"` // SERVICE:ACTION#N=KIND; one whose call never comes is no error
	Storms   []Storm         `json:"storms,omitempty"`
	Others   []Doing         `json:"others,omitempty"`
	Events   []Delivery      `json:"events,omitempty"`
	People   []Choosing      `json:"people,omitempty"`
	Stops    []Moving        `json:"stops,omitempty"`    // of the newest execution that runs then
	Redrives []Moving        `json:"redrives,omitempty"` // of the newest that failed, timed out or was stopped
	Skew     map[string]Skew `json:"skew,omitempty"`     // of the clocks of functions
}

// Skew is how far a function's clock is ahead, in seconds.
type Skew float64

// Storm refuses calls for a while.
type Storm struct {
	From  float64  `json:"from"`
	Until float64  `json:"until"`
	Calls string   `json:"calls"`        // SERVICE:ACTION, or its beginning and a *
	By    string   `json:"by,omitempty"` // of one function, whose role has lost a right
	Kind  sim.Kind `json:"kind"`         // denied, notfound, throttled, unavailable
}

// Doing is what somebody else does to the instance, or to the stack; Doings says what
// there is.
type Doing struct {
	At   float64 `json:"at"`
	What string  `json:"what"`
}

// Delivery brings an event: the same again, or another.
type Delivery struct {
	At    float64         `json:"at"`
	Event json.RawMessage `json:"event,omitempty"`
}

// Moving is when an operator does something to an execution.
type Moving struct {
	At    float64 `json:"at"`
	First bool    `json:"first,omitempty"` // to the one that the event of the rehearsal started, instead
}

// Choosing is one more person who got the mail. Where two people must decide on a
// termination, one without a name has a colleague who decides the same.
type Choosing struct {
	After  float64         `json:"after"` // the mail
	Choice incident.Choice `json:"choice"`
	As     string          `json:"as,omitempty"`     // a user of Identity Center, who decides alone
	Order  bool            `json:"order,omitempty"`  // by cordon decide, not on the page
	Forged string          `json:"forged,omitempty"` // how: somebody else who says that they are As; sim.Forgeries
}

var userName = regexp.MustCompile(`^[A-Za-z0-9]{1,60}$`)

// longest is a year, which no execution outlives.
const longest = 366 * 24 * 3600

// ParseScript reads a script and says what is wrong with it.
func ParseScript(b []byte) (*Script, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	s := &Script{}
	if err := d.Decode(s); err != nil {
		return nil, fmt.Errorf("the script: %w; docs/rehearsal.md says what may stand in it", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("the script: more than one JSON value")
	}
	if _, err := s.faults(); err != nil {
		return nil, err
	}
	wrong := func(what string, n int, why string, args ...any) error {
		return fmt.Errorf("the script: %s: entry %d: %s", what, n+1, fmt.Sprintf(why, args...))
	}
	within := func(seconds float64) bool { return seconds >= 0 && seconds < longest }
	for n, t := range s.Storms {
		switch {
		case !within(t.From) || !within(t.Until):
			return nil, wrong("storms", n, "from and until are seconds, 0 or more and below a year")
		case t.Until <= t.From:
			return nil, wrong("storms", n, "until is not after from: it would never come")
		case t.By != "" && !isFunction(t.By):
			return nil, wrong("storms", n, "by: there is no function %q", t.By)
		case t.Calls == "":
			return nil, wrong("storms", n, "calls is lacking: SERVICE:ACTION, or its beginning and a *")
		case !sim.Storms(t.Calls):
			return nil, wrong("storms", n, "calls %q are none: want SERVICE:ACTION, or its beginning and a *, with a service as in --fault", t.Calls)
		case !slices.Contains([]sim.Kind{sim.Denied, sim.NotFound, sim.Throttled, sim.Unavailable}, t.Kind):
			return nil, wrong("storms", n, "kind %q is not denied, notfound, throttled or unavailable", t.Kind)
		}
	}
	for n, o := range s.Others {
		if !slices.Contains(Doings(), o.What) || !within(o.At) {
			return nil, wrong("others", n, "at is seconds, what one of %s", strings.Join(Doings(), ", "))
		}
	}
	for n, e := range s.Events {
		if !within(e.At) {
			return nil, wrong("events", n, "at is seconds, 0 or more and below a year")
		}
		if e.Event != nil {
			if err := CheckEvent(e.Event); err != nil {
				return nil, wrong("events", n, "%v", err)
			}
		}
	}
	for n, m := range slices.Concat(s.Stops, s.Redrives) {
		if !within(m.At) {
			return nil, wrong("stops, redrives", n, "at is seconds, 0 or more and below a year")
		}
	}
	for n, p := range s.People {
		if _, err := incident.ParseChoice(string(p.Choice)); err != nil || !within(p.After) {
			return nil, wrong("people", n, "after is seconds, choice what --decision takes")
		}
		if p.Forged != "" && (!slices.Contains(sim.Forgeries, p.Forged) || p.As == "" || p.Order) {
			return nil, wrong("people", n, "forged is what is wrong with a header that names as, one of %s, and no order", strings.Join(sim.Forgeries, ", "))
		}
		if p.As != "" && !userName.MatchString(p.As) {
			return nil, wrong("people", n, "as is the name of a user: letters and digits")
		}
	}
	for name, by := range s.Skew {
		if !isFunction(name) {
			return nil, fmt.Errorf("the script: skew: there is no function %q", name)
		}
		if by < -60 || by > 60 {
			return nil, fmt.Errorf("the script: skew: %q: a minute at most", name)
		}
	}
	return s, nil
}

func isFunction(name string) bool {
	_, ok := functions[name]
	return ok || name == pageFunction
}

func (s *Script) faults() ([]sim.Fault, error) {
	if s == nil {
		return nil, nil
	}
	var all []sim.Fault
	for _, text := range s.Faults {
		f, err := sim.ParseFault(text)
		if err != nil {
			return nil, err
		}
		all = append(all, f)
	}
	return all, nil
}

// eventful says whether more happens than faults, and than people who decide as they
// do in the run without: then the end need not be that of the undisturbed run. A storm
// or others come at a time of the clock, which a fault may put before or behind.
func (w *world) eventful() bool {
	var planned []Choosing
	if w.Undisturbed != nil {
		planned = w.Undisturbed.people
	}
	s := w.Script
	return s != nil && (len(s.Storms)+len(s.Others)+len(s.Events)+len(s.Skew)+len(s.Stops)+len(s.Redrives) > 0 || !slices.Equal(s.People, planned))
}

func seconds(f float64) time.Duration { return time.Duration(f * float64(time.Second)) }

// storms are the script's, on the clock.
func (w *world) storms() []sim.Storm {
	var all []sim.Storm
	if w.Script != nil {
		for _, s := range w.Script.Storms {
			all = append(all, sim.Storm{From: w.start.Add(seconds(s.From)), Until: w.start.Add(seconds(s.Until)), Calls: s.Calls, By: s.By, Kind: s.Kind})
		}
	}
	return all
}

// play lets the script's events, others and operators come.
func (w *world) play() {
	if w.Script == nil {
		return
	}
	for _, e := range w.Script.Events {
		event := []byte(e.Event)
		if event == nil {
			event = w.Event
		}
		w.clock.At(w.start.Add(seconds(e.At)), func() {
			if f, _, err := finding.Decode(event); err == nil {
				w.also = append(w.also, Arrival{At: w.clock.Now(), Finding: f})
			}
			w.deliver(event)
		})
	}
	for _, m := range w.Script.Stops {
		w.clock.At(w.start.Add(seconds(m.At)), func() { w.stop(w.moving(m)) })
	}
	for _, m := range w.Script.Redrives {
		w.clock.At(w.start.Add(seconds(m.At)), func() { w.redrive(w.moving(m)) })
	}
	for n, o := range w.Script.Others {
		w.clock.At(w.start.Add(seconds(o.At)), func() {
			if !w.running() {
				return // what is done after the end shows nothing
			}
			changed := false
			if _, ok := forgeries[o.What]; ok {
				changed = w.forge(o.What)
			} else {
				var err error
				if changed, err = w.account.Others().Do(o.What, w.finding.InstanceID); err != nil {
					panic(err) // what others can do was checked
				}
			}
			if changed {
				w.did[n] = true
			}
		})
	}
}

// Doings are what others can do: to the instance, and to the table of decisions.
func Doings() []string {
	return slices.Sorted(slices.Values(append(sortedKeys(forgeries), sim.Doings()...)))
}

// forgeries are decisions that somebody writes who may write the table and has no key
// to seal them with.
var forgeries = map[string]incident.Choice{"forge decision": incident.Terminate, "forge release": incident.Release}

// forge writes a decision on the newest request that people were mailed about, as if
// its page had; false where there is none, or somebody has decided.
func (w *world) forge(what string) bool {
	for _, m := range slices.Backward(w.account.Mails()) {
		_, request, _ := strings.Cut(w.link(m.Body), "/d/") // INCIDENT.ROUND/SECRET
		request, _, _ = strings.Cut(request, "/")
		dot := strings.LastIndexByte(request, '.')
		round, err := strconv.Atoi(request[dot+1:])
		if dot < 0 || err != nil {
			continue
		}
		now := w.clock.Now().UTC()
		body, err := json.Marshal(incident.Decision{
			Version: incident.DecisionVersion, Incident: request[:dot], Round: round, InstanceID: w.finding.InstanceID, AttachedAt: w.before.AttachedAt(w.finding.InstanceID),
			Choice: forgeries[what], Person: "Somebody", Identity: incident.ByLink, DecidedAt: now, ExpiresAt: now.Add(24 * time.Hour), MAC: bytes.Repeat([]byte{1}, 32),
		})
		if err != nil {
			panic(err) // strings and numbers only
		}
		table, _ := w.deployment.Resource("DecisionsTable")
		wrote := w.account.Others().Write(table.Ref, map[string]string{"pk": request[:dot], "sk": fmt.Sprintf("request#%03d", round), "body": string(body)})
		if wrote {
			w.happened["others "+what]++
		}
		return wrote
	}
	return false
}

// idle are the parts of the script that came to nothing: people may have mistyped
// them, or the incident was over.
func (w *world) idle() []string {
	if w.Script == nil {
		return nil
	}
	var all []string
	for _, f := range w.account.Unmet() {
		all = append(all, fmt.Sprintf("fault %v: that call was never made", f))
	}
	for n, hit := range w.account.Stormed() {
		if !hit {
			s := w.Script.Storms[n]
			all = append(all, fmt.Sprintf("storm %s=%s from %g s to %g s: no call came into it", s.Calls, s.Kind, s.From, s.Until))
		}
	}
	for n, o := range w.Script.Others {
		if !w.did[n] {
			all = append(all, fmt.Sprintf("others, %q at %g s: that changed nothing", o.What, o.At))
		}
	}
	for what, at := range map[string][]Moving{"stop": w.Script.Stops, "redrive": w.Script.Redrives} {
		if n := len(at) - w.happened[what]; n > 0 {
			all = append(all, fmt.Sprintf("%d of %d of kind %s: there was no execution to do it to", n, len(at), what))
		}
	}
	slices.Sort(all)
	return all
}

// moving are the executions to which an operator may do it.
func (w *world) moving(m Moving) []*execution {
	if m.First && len(w.order) > 0 {
		return w.order[:1]
	}
	return w.order
}

// running says whether any execution is.
func (w *world) running() bool {
	for _, e := range w.executions {
		if e.Status() == asl.Running {
			return true
		}
	}
	return false
}

// people are those of the script who got a mail.
func (w *world) people(ask func(Person)) {
	if w.Script == nil {
		return
	}
	for _, p := range w.Script.People {
		ask(func(q Question) {
			q.Sleep(seconds(p.After))
			said := p.decides(q)
			w.happened[fmt.Sprintf("person more, %s", strings.ToLower(http.StatusText(said)))]++
		})
	}
}

// decides returns how the page, or the command's route, answered at last.
func (p Choosing) decides(q Question) int {
	switch {
	case p.Order:
		return q.orders(p.As, p.Choice)
	case p.As != "":
		q.forged = p.Forged
		return decideAs(q.As(p.As), string(p.Choice))
	}
	return decides(q, string(p.Choice))
}

// now is a function's clock.
func (w *world) now(function string) func() time.Time {
	if w.Script == nil || w.Script.Skew[function] == 0 {
		return w.clock.Now
	}
	by := seconds(float64(w.Script.Skew[function]))
	asked := false
	return func() time.Time {
		if !asked {
			asked = true
			w.happened["clock ahead or behind"]++
		}
		return w.clock.Now().Add(by)
	}
}
