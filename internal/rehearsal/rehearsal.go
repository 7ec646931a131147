// Package rehearsal runs an event through what is deployed: the rules and
// settings of template.yaml, the state machine as it is, the steps as their
// mains wire them, against an account in memory on a virtual clock. The same
// seed gives the same run, byte for byte.
package rehearsal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"cordon/internal/asl"
	"cordon/internal/eventpattern"
	"cordon/internal/finding"
	"cordon/internal/incident"
	"cordon/internal/journal"
	"cordon/internal/lambdafn"
	"cordon/internal/sim"
	"cordon/internal/template"
	"cordon/internal/vtime"
)

// maxEvent is the largest input Step Functions takes, 256 KiB.
// https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
const maxEvent = 256 << 10

// Options say what to rehearse.
type Options struct {
	Template   []byte // template.yaml
	Definition []byte // the state machine before substitution
	Event      []byte // an EventBridge event
	Account    []byte // in the shape of the AWS CLI's answers; nil: one is built around the event's instance
	Parameters map[string]string
	Faults     []sim.Fault
	Seed       uint64
	Script     *Script        // what else happens; may be nil
	Person     Person         // who decides; nil: nobody does
	Watch      func(Moment)   // told of everything as it happens; may be nil
	Way        func(asl.Move) // told of each state entered, left, retried; may be nil
	Keep       bool           // the result has the evidence bucket as it is afterwards
	Brief      bool           // the result has no account and no report: for whoever tries many

	// Undisturbed is the same run without faults, for whoever tries many: what a
	// run with faults is held against, and the account that it begins with. Nil: it
	// is made when it is wanted.
	Undisturbed *Result
}

// Kind is what a Moment is about.
type Kind int

const (
	Entered Kind = iota // a state was entered
	Changed             // a call changed something outside the stack
	Stepped             // a step's invocation ended
	Mailed              // a mail was accepted
	Visited             // somebody called the page
)

// Moment is something worth a line of a timeline.
type Moment struct {
	At     time.Duration // virtual, since the event
	Kind   Kind
	Name   string // state, action, step, subject, method
	Detail string // resources, status
	Reason string
	Again  bool // the state was entered before
	Mail   *Mail
}

// world is one rehearsal under way.
type world struct {
	Options
	*stack
	clock *vtime.Clock
	start time.Time
	own   string // what this run's streams of random numbers are named for
	byARN map[string]*function
	byID  map[string]*function

	page        http.Handler
	pageTimeout time.Duration
	journal     *journal.Step
	spelled     bool                                            // the journal reads its batches as JSON
	apiURL      string                                          // where links in mails lead
	access      struct{ instance, provider, responders string } // empty where a link is what lets people in
	macKey      string
	number      string // of the account
	region      string
	problem     error // of the rehearsal itself

	account    *sim.Account
	before     Account            // when the event arrived
	pattern    eventpattern.Event // the event, as patterns see it
	finding    incident.Finding
	flags      finding.Flags
	wish       bool                  // no finding: somebody wants to decide once more
	executions map[string]*execution // by ARN
	order      []*execution          // as they began
	first      *execution            // the one the event started
	also       []Arrival             // further findings that were delivered
	asked      map[string]bool       // links that reached the person
	read       int                   // mails that did
	shown      map[int]bool          // calls that were watched, by their place
	entered    map[string]bool
	happened   map[string]int // of the script, and to some effect
	did        map[int]bool   // of the script's others, those who found something to change
	tokens     []string
	log        bytes.Buffer    // what the functions logged
	said       [][]byte        // what they answered: the history has it
	came       map[string]bool // who decided or tried to, as Verified Access or the gateway knows them
	result     Result
}

// pageFunction is the function that speaks HTTP.
const pageFunction = "decide"

// Defaults are the values of parameters that the template leaves to its user.
var Defaults = map[string]string{
	"NotificationEmail": "oncall@example.com",
	"MemoryToolKey":     sim.MemoryToolKey,
	"MemoryToolSha256":  sim.MemoryToolSHA256,
}

// Run rehearses. An error is about the input and says what to do; whatever goes
// wrong in the rehearsed world is in the result.
func Run(o Options) (Result, error) {
	w, err := build(o)
	if err != nil {
		return Result{}, err
	}
	return w.run()
}

func (w *world) run() (Result, error) {
	w.clock.Run(func() { w.play(); w.spread(w.pattern, w.Event) })
	if w.problem != nil {
		return Result{}, w.problem
	}
	return w.finish()
}

var (
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	regionID  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]$`)
)

type envelope struct {
	Source     *string         `json:"source"`
	DetailType *string         `json:"detail-type"`
	Detail     json.RawMessage `json:"detail"`
	Account    string          `json:"account"`
	Region     string          `json:"region"`
	Time       string          `json:"time"`
	ID         string          `json:"id"`
}

// CheckEvent says what keeps data from being an EventBridge event.
func CheckEvent(data []byte) error {
	_, err := readEnvelope(data)
	return err
}

func readEnvelope(data []byte) (envelope, error) {
	const want = "give one EventBridge event, a JSON object with source, detail-type and detail, as in events/"
	if len(data) > maxEvent {
		return envelope{}, fmt.Errorf("the event has %d bytes, and Step Functions takes %d at most; %s", len(data), maxEvent, want)
	}
	if len(strings.TrimSpace(string(data))) == 0 {
		return envelope{}, fmt.Errorf("the event is empty; %s", want)
	}
	if err := shallow(data); err != nil {
		return envelope{}, fmt.Errorf("%w; %s", err, want)
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return envelope{}, fmt.Errorf("the event is not a JSON object (%w); %s", err, want)
	}
	var e envelope
	for _, f := range []struct {
		name string
		to   any
		must bool
	}{
		{"source", &e.Source, true},
		{"detail-type", &e.DetailType, true},
		{"detail", &e.Detail, true},
		{"account", &e.Account, false},
		{"region", &e.Region, false},
		{"time", &e.Time, false},
		{"id", &e.ID, false},
	} {
		raw, ok := members[f.name]
		if !ok || string(raw) == "null" {
			if f.must {
				return envelope{}, fmt.Errorf("the event has no %s; %s", f.name, want)
			}
			continue
		}
		if err := json.Unmarshal(raw, f.to); err != nil {
			return envelope{}, fmt.Errorf("the event's %s is not of the right type (%w); %s", f.name, err, want)
		}
	}
	if !strings.HasPrefix(strings.TrimSpace(string(e.Detail)), "{") {
		return envelope{}, fmt.Errorf("the event's detail is not an object; %s", want)
	}
	return e, nil
}

// shallow refuses nesting that no finding has and that costs stack to read.
func shallow(data []byte) error {
	const most = 100
	depth, quoted, escaped := 0, false, false
	for _, c := range data {
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = c == '\\', c != '"'
		case c == '"':
			quoted = true
		case c == '{' || c == '[':
			if depth++; depth > most {
				return fmt.Errorf("the event is nested more than %d levels deep", most)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}

// given is what an event and an account file say. It is only read, so that all
// rehearsals with the same two share it.
type given struct {
	event, file []byte
	envelope    envelope
	pattern     eventpattern.Event
	account     *sim.File
	newest      time.Time // in the file
	badEvent    error     // for patterns, as the next two
	badFile     error
	wish        incident.Wish
	wishes      bool // the event is the wish to decide
	finding     incident.Finding
	flags       finding.Flags
	badFinding  error
}

// givens are those read last: whoever tries many runs gives the same again.
var givens cache[*given]

// read reads an event and an account file; nil: one is built around the event's instance.
func read(event, file []byte) (*given, error) {
	if g, ok := givens.find(func(g *given) bool {
		return bytes.Equal(g.event, event) && bytes.Equal(g.file, file) && (g.file == nil) == (file == nil)
	}); ok {
		return g, nil
	}
	g := &given{event: slices.Clone(event), file: slices.Clone(file)}
	var err error
	if g.envelope, err = readEnvelope(event); err != nil {
		return nil, err
	}
	g.pattern, g.badEvent = eventpattern.Read(event)
	g.wish, g.wishes = finding.DecodeWish(event)
	g.finding, g.flags, g.badFinding = finding.Decode(event)
	g.account, g.newest, g.badFile = readAccount(event, file)
	givens.keep(g)
	return g, nil
}

func readAccount(event, file []byte) (_ *sim.File, newest time.Time, err error) {
	if file == nil {
		if file, err = sim.Around(event); err != nil {
			return nil, newest, err
		}
	}
	if err := oneObject(file); err != nil {
		return nil, newest, fmt.Errorf("the account is not a JSON object (%w); give the AWS CLI's own answers, merged into one", err)
	}
	account, err := sim.Read(file)
	if err != nil {
		return nil, newest, err
	}
	newest, err = account.Newest()
	return account, newest, err
}

func build(o Options) (*world, error) {
	g, err := read(o.Event, o.Account)
	if err != nil {
		return nil, err
	}
	account, region := g.envelope.Account, g.envelope.Region
	if !accountID.MatchString(account) {
		account = "111122223333"
	}
	if !regionID.MatchString(region) {
		region = "us-east-1"
	}
	s, err := deployed(o, account, region)
	if err != nil {
		return nil, err
	}
	if g.badEvent != nil {
		return nil, g.badEvent
	}
	w := &world{
		Options: o, stack: s, pattern: g.pattern, number: account, region: region, byARN: map[string]*function{}, byID: map[string]*function{},
		executions: map[string]*execution{}, asked: map[string]bool{}, shown: map[int]bool{}, entered: map[string]bool{}, happened: map[string]int{}, did: map[int]bool{}, came: map[string]bool{},
	}
	w.result = Result{States: []string{}, Calls: []Call{}, Mails: []Mail{}, Steps: map[string]StepDone{}, Violations: []string{}}
	w.result.Matched = w.matches(g.pattern)
	if w.result.Matched && g.wishes {
		key, _, err := incident.SplitID(g.wish.Incident)
		if err != nil {
			return nil, fmt.Errorf("the event asks for a decision, but %w; give the ID of an incident", err)
		}
		if o.Account == nil {
			return nil, errors.New("the event asks for a decision about an incident, which only an account's Incidents can hold; give --account with what a rehearsal printed as account")
		}
		owner := strings.Split(key, ".")
		w.wish, w.finding = true, incident.Finding{AccountID: owner[0], Region: owner[1], InstanceID: owner[2]}
	} else if w.result.Matched {
		// The machine keeps and tells what it cannot read; a person who rehearses
		// is told at once.
		if w.finding, w.flags = g.finding, g.flags; g.badFinding != nil {
			return nil, fmt.Errorf("the event matches the rule, but %w; give the event as EventBridge delivers it", g.badFinding)
		}
		if e := g.envelope; account != e.Account || region != e.Region {
			return nil, fmt.Errorf("the event matches the rule, but its account %.20q and region %.20q are not those of an account; give the event as EventBridge delivers it", e.Account, e.Region)
		}
	}
	if w.start, err = time.Parse(time.RFC3339, g.envelope.Time); err != nil {
		w.start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	if g.badFile != nil {
		return nil, g.badFile
	}
	if g.newest.After(w.start) {
		w.start = g.newest
	}
	w.clock = vtime.New(o.Seed, w.start)
	w.own = fmt.Sprintf("%s %x ", w.start.Format(time.RFC3339Nano), sha256.Sum256(w.Event))
	scripted, err := o.Script.faults()
	if err != nil {
		return nil, err
	}
	w.Faults = append(slices.Clone(o.Faults), scripted...)
	if err := w.open(g.account, account, region); err != nil {
		return nil, err
	}
	if o.Undisturbed != nil {
		w.before = o.Undisturbed.before
	} else if err := w.account.Fill(&w.before); err != nil {
		return nil, err
	}
	if !o.Brief {
		if w.result.Before, err = w.account.JSON(); err != nil {
			return nil, err
		}
	}
	return w, w.wire()
}

func oneObject(data []byte) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return err
	}
	if members == nil {
		return errors.New("it is null")
	}
	return nil
}

// open builds the account with the names that the template gives things.
func (w *world) open(file *sim.File, account, region string) error {
	var missing []string
	ref := func(id string) string {
		r, ok := w.deployment.Resource(id)
		if !ok {
			missing = append(missing, id)
		}
		return r.Ref
	}
	var err error
	w.account, err = file.Open(sim.Settings{
		Clock: w.clock, Seed: w.Seed, Faults: w.Faults, Storms: w.storms(), Account: account, Region: region,
		Incidents: ref("IncidentsTable"), Decisions: ref("DecisionsTable"), Bucket: ref("EvidenceBucket"), Topic: ref("Topic"), Escalation: ref("EscalationTopic"),
		DataKey: ref("DataKey"), MACKey: ref("MacKey"), SigningKey: ref("SigningKey"), Roles: w.roles(), Evidence: w.evidence(),
	})
	w.macKey = ref("MacKey")
	pause, _ := w.deployment.Resource("PauseSwitch")
	pauseName := ref("PauseSwitch")
	if len(missing) > 0 {
		return fmt.Errorf("template: there is no %s", strings.Join(missing, ", "))
	}
	if err != nil {
		return err
	}
	value, ok := pause.Properties["Value"].(string)
	if !ok {
		return errors.New("template: PauseSwitch has no value that is a string")
	}
	w.account.SSM().AddParameter(pauseName, value)
	for name, document := range w.documents {
		w.account.SSM().AddDocument(name, document)
	}
	return nil
}

// evidence is the account into which the template has snapshots copied.
func (w *world) evidence() sim.EvidenceAccount {
	for _, f := range w.deployment.Functions() {
		if e := f.Environment; f.LogicalID == "CustodyFunction" && e["EVIDENCE_ROLE_ARN"] != "off" {
			return sim.EvidenceAccount{Role: e["EVIDENCE_ROLE_ARN"], ExternalID: e["EVIDENCE_EXTERNAL_ID"], Key: e["EVIDENCE_KEY_ARN"], Transfer: e["TRANSFER_KEY_ARN"]}
		}
	}
	return sim.EvidenceAccount{}
}

// roles are the ARNs of the functions' roles, by the function's name.
func (w *world) roles() map[string]string {
	all := map[string]string{}
	for _, r := range w.deployment.Roles() {
		all[strings.ToLower(strings.TrimSuffix(r.LogicalID, "Role"))] = r.ARN
	}
	return all
}

// stream is a stream of random numbers of this run's own: a later run on the
// account that this one leaves must not draw the names and secrets again.
func (w *world) stream(name string) *rand.ChaCha8 {
	return w.clock.Rand(w.own + name)
}

// wire makes the functions and the machine as the template declares them.
func (w *world) wire() error {
	env := func(f template.Function) func(string) string {
		return func(name string) string {
			if name == "AWS_REGION" {
				return w.region
			}
			return f.Environment[name]
		}
	}
	for _, f := range w.deployment.Functions() {
		name := strings.ToLower(strings.TrimSuffix(f.LogicalID, "Function"))
		host := incident.Host{Now: w.now(name), Rand: w.stream("function " + name), Each: w.clock.Each, Getenv: env(f)}
		if url := f.Environment["API_URL"]; url != "" {
			w.apiURL = url
		}
		made := &function{name: name, timeout: f.Timeout}
		if name == pageFunction {
			h, err := page(host, w.account)
			if err != nil {
				return fmt.Errorf("function %s: %w", name, err)
			}
			w.page, w.pageTimeout = h, f.Timeout
			w.access.instance, w.access.provider, w.access.responders = f.Environment["ACCESS_INSTANCE"], f.Environment["ACCESS_PROVIDER"], f.Environment["ACCESS_RESPONDERS"]
			continue
		}
		wiring, ok := functions[name]
		if !ok {
			return fmt.Errorf("template: %s has no step to rehearse", f.LogicalID)
		}
		var err error
		if made.run, err = wiring(host, w.account); err != nil {
			return fmt.Errorf("function %s: %w", name, err)
		}
		made.run = lambdafn.Logged(made.run, name, &w.log)
		if name == journalFunction {
			if w.journal, err = journal.New(host, w.account.S3()); err != nil {
				return fmt.Errorf("function %s: %w", name, err)
			}
		}
		w.byARN[f.ARN], w.byID[f.LogicalID] = made, made
	}
	if w.broken != nil {
		return w.broken
	}
	w.listen()
	w.account.SFN().OnSuccess, w.account.SFN().Execution = w.answer, w.describe
	return nil
}

// deliver gives an event to every rule, as EventBridge does.
func (w *world) deliver(event []byte) {
	e, err := eventpattern.Read(event)
	if err != nil {
		return // read as JSON before; what patterns cannot judge they do not match
	}
	w.spread(e, event)
}

// spread does so with one that was read before.
func (w *world) spread(e eventpattern.Event, event []byte) {
	for _, r := range w.rules {
		if !r.pattern.Matches(e) {
			continue
		}
		for _, t := range r.targets {
			payload, err := t.Payload(event)
			if err != nil {
				continue // EventBridge would put it into the dead-letter queue
			}
			if t.Resource == w.machineID {
				w.begin(payload)
			} else if f := w.byID[t.Resource]; f != nil {
				w.clock.Go(func() { w.tell(f, payload) })
			}
		}
	}
}

// asyncRetries is how often Lambda repeats an asynchronous invocation that failed.
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html
const asyncRetries = 2

// tell invokes a function asynchronously, as a rule does.
func (w *world) tell(f *function, event []byte) {
	for n := range asyncRetries + 1 {
		w.clock.Sleep(time.Duration(n) * time.Minute)
		if _, err := w.invoke(context.Background(), f, "", event); err == nil {
			return
		}
	}
}
