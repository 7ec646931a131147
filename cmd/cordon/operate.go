package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	api "cordon/internal/decide"
	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

type list struct {
	where `embed:""`
	JSON  bool `name:"json" help:"Print one JSON object."`
}

type show struct {
	where    `embed:""`
	Incident string `arg:"" help:"ID of an incident, as in mails and in cordon list."`
	JSON     bool   `name:"json" help:"Print one JSON object."`
}

type decide struct {
	where    `embed:""`
	Incident string `arg:"" help:"ID of an incident, as in mails and in cordon list."`
	Decision string `arg:"" help:"terminate, keep or release; isolate or leave where it is asked before isolating."`
	Reason   string `help:"Why; it stands in the record and in the last mail." required:"" placeholder:"TEXT"`
	Override bool   `help:"Terminate although evidence is incomplete. Only after a termination was refused for that reason."`
	Force    bool   `help:"Release although it is not the same machine any more: put back what can be put back."`
	Again    bool   `help:"Have a new request opened although a decision stands that nothing came of. Refused, by mail, while an execution works on the incident."`
	Second   string `help:"Second a termination that another person decided on, where two must: the mark that this command prints without it, beside who that was." placeholder:"MARK"`
	JSON     bool   `name:"json" help:"Print the receipt as one JSON object."`
}

// summed is one line of a list.
type summed struct {
	Incident  string          `json:"incident"`
	State     record.State    `json:"state"`
	Asking    bool            `json:"asking"` // before it isolates
	Again     bool            `json:"again"`  // once more, after it was closed or left
	First     bool            `json:"first"`  // one person decided to terminate, and a second is wanted
	Decision  incident.Choice `json:"decision"`
	OpenedAt  time.Time       `json:"openedAt"`
	ClosedAt  time.Time       `json:"closedAt"` // zero while open
	Type      string          `json:"type"`     // of the finding that opened it
	Severity  float64         `json:"severity"`
	Execution string          `json:"execution"`
}

// Run lists incidents.
func (c *list) Run(s streams) error {
	ctx := context.Background()
	d, err := c.find(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, s, d)
}

func (c *list) run(ctx context.Context, s streams, d *deployed) error {
	d.warn(ctx, s.err)
	heads, err := record.Heads(ctx, d.records, d.incidentsIn)
	if err != nil {
		return explain("list the incidents", err)
	}
	slices.SortFunc(heads, func(a, b record.Head) int {
		if n := b.Incident.OpenedAt.Compare(a.Incident.OpenedAt); n != 0 {
			return n
		}
		return strings.Compare(a.Incident.ID, b.Incident.ID)
	})
	all := []summed{}
	for _, h := range heads {
		i, err := d.sum(ctx, h)
		if err != nil {
			return err
		}
		all = append(all, i)
	}
	if c.JSON {
		return printJSON(s.out, map[string]any{"incidents": all})
	}
	if len(all) == 0 {
		fmt.Fprintln(s.out, "There are no incidents.")
	}
	for _, i := range all {
		fmt.Fprintf(s.out, "%s  %-10s  %-4g  %s  %s\n", i.OpenedAt.UTC().Format(time.RFC3339), i.state(), i.Severity, i.Incident, message.Plain(i.Type, 120))
	}
	return nil
}

// sum is a line, and says whether people are asked. That they were stands in an
// incident's head until it is closed; whether they still are, its requests say.
func (d *deployed) sum(ctx context.Context, h record.Head) (summed, error) {
	i := summed{
		Incident: h.Incident.ID, State: h.State, Decision: h.Decision, OpenedAt: h.Incident.OpenedAt,
		ClosedAt: h.ClosedAt, Type: h.Incident.Finding.Type, Severity: h.Incident.Finding.Severity, Execution: h.Execution,
	}
	if h.State != record.Open && !h.Again {
		return i, nil
	}
	last, err := d.newest(ctx, i.Incident)
	if err != nil || last.Round == 0 || !d.now().Before(last.ExpiresAt) {
		return i, err
	}
	_, decided, err := record.LoadDecision(ctx, d.records, d.decisionsIn, i.Incident, last.Round)
	if err != nil {
		return i, explain("read the decisions", err)
	}
	if decided {
		return i, nil
	}
	i.Asking, i.Again = h.Asking, h.Again
	firsts, err := record.LoadFirsts(ctx, d.records, d.decisionsIn, i.Incident, last.Round)
	if err != nil {
		return i, explain("read the decisions", err)
	}
	i.First = len(firsts) > 0
	return i, nil
}

func (i summed) state() string {
	switch {
	case i.First:
		return string(i.State) + ", one of two decided to terminate"
	case i.Asking || i.Again:
		return string(i.State) + ", asking"
	case i.Decision != "" && i.State == record.Open:
		return string(i.State) + ", " + string(i.Decision)
	}
	return string(i.State)
}

// shown is an incident as the record has it, without what is secret.
type shown struct {
	summed
	InstanceID string             `json:"instanceId"`
	AttachedAt time.Time          `json:"attachedAt"` // of the primary interface
	Root       string             `json:"root"`       // volume
	Inherits   string             `json:"inherits"`
	Findings   []incident.Finding `json:"findings"`
	Requests   []asked            `json:"requests"`
	Decisions  []said             `json:"decisions"` // as the table has them: their seals are not verified here
	Priors     []record.Prior     `json:"priors"`    // what a release puts back

	Isolation   *incident.Isolation   `json:"isolation"` // null where the step has recorded nothing; so are the others
	Protection  *incident.Protection  `json:"protection"`
	Credentials *incident.Credentials `json:"credentials"`
	Snapshots   *incident.Snapshots   `json:"snapshots"`
	Release     *incident.Restoration `json:"release"`

	Reports []left `json:"reports"` // what each execution that ended left, the earliest first
}

// left is what an execution left in the evidence bucket when it ended.
type left struct {
	At       time.Time `json:"at"`
	Ending   string    `json:"ending"` // empty where it has signed nothing: it is at it, or could not
	Manifest string    `json:"manifest"`
	Report   string    `json:"report"`
}

// said is a decision, and what it is where two people must decide.
type said struct {
	api.Standing
	Round int           `json:"round"`
	Part  incident.Part `json:"part"` // "unseconded", "first", "second"; empty where one person is enough
}

// asked is a request for a decision, without its link.
type asked struct {
	Round     int               `json:"round"`
	OpenedAt  time.Time         `json:"openedAt"`
	ExpiresAt time.Time         `json:"expiresAt"`
	Choices   []incident.Choice `json:"choices"`
	Problem   string            `json:"problem"` // why it was asked again
	Later     string            `json:"later"`   // how it stood when it was asked once more
}

// Run shows an incident.
func (c *show) Run(s streams) error {
	ctx := context.Background()
	d, err := c.find(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, s, d)
}

func (c *show) run(ctx context.Context, s streams, d *deployed) error {
	d.warn(ctx, s.err)
	i, err := d.gather(ctx, c.Incident)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(s.out, i)
	}
	i.print(s.out)
	return nil
}

func (d *deployed) gather(ctx context.Context, id string) (shown, error) {
	h, err := d.head(ctx, id)
	if err != nil {
		return shown{}, err
	}
	head, err := d.sum(ctx, h)
	if err != nil {
		return shown{}, err
	}
	i := shown{
		summed: head, InstanceID: h.Incident.InstanceID, AttachedAt: h.Incident.AttachedAt, Root: h.Incident.Root, Inherits: h.Incident.Inherits,
		Findings: []incident.Finding{}, Requests: []asked{}, Decisions: []said{}, Priors: []record.Prior{}, Reports: []left{},
	}
	findings, err := record.Findings(ctx, d.records, d.incidentsIn, id)
	if err != nil {
		return shown{}, explain("read the findings", err)
	}
	i.Findings = append(i.Findings, findings...)
	requests, err := record.Requests(ctx, d.records, d.incidentsIn, id)
	if err != nil {
		return shown{}, explain("read the requests", err)
	}
	for _, r := range requests {
		i.Requests = append(i.Requests, asked{r.Round, r.OpenedAt, r.ExpiresAt, r.Choices(), r.Problem, r.Later})
	}
	decisions, err := record.Decisions(ctx, d.records, d.decisionsIn, id)
	if err != nil {
		return shown{}, explain("read the decisions", err)
	}
	for _, r := range decisions {
		i.Decisions = append(i.Decisions, said{*api.Stands(r.Decision), r.Round, r.Part})
	}
	closings, err := record.Closings(ctx, d.records, d.incidentsIn, id)
	if err != nil {
		return shown{}, explain("read what was signed", err)
	}
	for _, c := range closings {
		i.Reports = append(i.Reports, left{c.At, c.Ending, c.Manifest, c.Report})
	}
	err = record.EachPrior(ctx, d.records, d.incidentsIn, h.Incident, func(p record.Prior) error {
		i.Priors = append(i.Priors, p)
		return nil
	})
	if err != nil {
		return shown{}, explain("read what a release puts back", err)
	}
	return i, errors.Join(
		load(ctx, d, id, "isolate", &i.Isolation), load(ctx, d, id, "preserve", &i.Protection), load(ctx, d, id, "credentials", &i.Credentials),
		load(ctx, d, id, "snapshot", &i.Snapshots), load(ctx, d, id, "release", &i.Release),
	)
}

// load reads what a step has recorded; to stays nil where that is nothing.
func load[T any](ctx context.Context, d *deployed, id, step string, to **T) error {
	var v T
	found, err := record.LoadStep(ctx, d.records, d.incidentsIn, id, step, &v)
	if err != nil {
		return explain("read what "+step+" recorded", err)
	}
	if found {
		*to = &v
	}
	return nil
}

// print writes what there is, a line a fact. Texts of strangers are made harmless.
func (i shown) print(out io.Writer) {
	line := func(what, value string, with ...any) {
		if value = fmt.Sprintf(value, with...); value != "" {
			fmt.Fprintf(out, "%-12s %s\n", what, message.Plain(value, 600))
		}
	}
	stamp := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339)
	}
	line("incident", "%s", i.Incident)
	line("state", "%s", i.state())
	line("opened", "%s", stamp(i.OpenedAt))
	line("closed", "%s", stamp(i.ClosedAt))
	line("instance", "%s, primary interface attached %s, root volume %s", i.InstanceID, stamp(i.AttachedAt), i.Root)
	for _, f := range i.Findings {
		line("finding", "%s, severity %g", f.Type, f.Severity)
	}
	if v := i.Isolation; v != nil {
		line("isolation", "contained %t, sealed %t, as looked at %s; %s", v.Contained, v.Sealed, stamp(v.At), v.Reason)
	}
	if v := i.Protection; v != nil {
		line("protection", "%s; %s", v.Status, v.Reason)
	}
	if v := i.Credentials; v != nil {
		line("credentials", "%s; %s", v.State, v.Reason)
	}
	if v := i.Snapshots; v != nil {
		for _, s := range v.Set {
			line("snapshot", "%s of %s, %s", s.ID, s.VolumeID, s.State)
		}
	}
	for _, p := range i.Priors {
		line("had before", "%s of %s: %s", p.Attribute, p.Resource, p.Value)
	}
	for _, r := range i.Requests {
		line("asked", "%d, %s until %s: %v %s%s", r.Round, stamp(r.OpenedAt), stamp(r.ExpiresAt), r.Choices, r.Problem, r.Later)
	}
	for _, d := range i.Decisions {
		line("decided", "%s, %s%s by %s (%s)%s: %s", stamp(d.DecidedAt), d.Decision, consents[d.Override], d.Person, d.Identity, parts[d.Part], d.Reason)
	}
	if v := i.Release; v != nil {
		line("released", "%s; %s", v.Status, v.Reason)
	}
	for _, r := range i.Reports {
		switch {
		case r.Ending == "":
			line("report", "%s: none is signed: it is being written, or could not be", stamp(r.At))
		default:
			line("report", "%s, %s: %s, signed by %s", stamp(r.At), r.Ending, r.Report, r.Manifest)
		}
	}
}

// consents and parts are what a decision is besides.
var (
	consents = map[bool]string{true: " without complete evidence"}
	parts    = map[incident.Part]string{
		incident.Unseconded: ", the first of two, not seconded", incident.FirstOfTwo: ", the first of two", incident.Second: ", the second of two",
	}
)

// Run decides.
func (c *decide) Run(s streams) error {
	ctx := context.Background()
	d, err := c.find(ctx)
	if err != nil {
		return err
	}
	return c.run(ctx, s, d)
}

// errNoRequest: nobody waits for a decision on any request.
var errNoRequest = errors.New("no request is open")

func (c *decide) run(ctx context.Context, s streams, d *deployed) error {
	choice, err := incident.ParseChoice(c.Decision)
	if err != nil {
		return err
	}
	if strings.TrimSpace(c.Reason) == "" {
		return errors.New("--reason is empty; say why, it stands in the record")
	}
	h, err := d.head(ctx, c.Incident)
	if err != nil {
		return err
	}
	followed, err := record.Follows(ctx, d.records, d.incidentsIn, c.Incident)
	switch {
	case err != nil:
		return explain("look for newer incidents", err)
	case followed:
		return fmt.Errorf("incident %s is over: %s has a newer one; cordon list shows it, decide on that one", c.Incident, h.Incident.InstanceID)
	case h.State == record.Terminated:
		return fmt.Errorf("incident %s ended with the termination of %s; nothing is left to decide", c.Incident, h.Incident.InstanceID)
	case h.State == record.Gone:
		return fmt.Errorf("incident %s is closed: %s does not exist any more; nothing is left to decide", c.Incident, h.Incident.InstanceID)
	}
	last, err := d.newest(ctx, c.Incident)
	if err != nil {
		return err
	}
	order := api.Order{Round: last.Round, Decision: choice, Reason: c.Reason, Override: c.Override, Force: c.Force, First: c.Second}
	receipt := api.Receipt{Notice: api.NoticeGone}
	if last.Round > 0 && d.now().Before(last.ExpiresAt) && !c.Again {
		if receipt, err = d.order(ctx, c.Incident, order); err != nil {
			return err
		}
	}
	if receipt.Notice == api.NoticeGone || receipt.Notice == api.NoticeNobody {
		if !c.Again {
			fmt.Fprintf(s.err, "Nobody works on incident %s any more. ", c.Incident)
		}
		fmt.Fprintln(s.err, "Asking for a new request, which takes up to a minute …")
		if order.Round, err = d.reopen(ctx, c.Incident, last.Round); err != nil {
			return err
		}
		if receipt, err = d.order(ctx, c.Incident, order); err != nil {
			return err
		}
	}
	if c.JSON {
		if err := printJSON(s.out, receipt); err != nil {
			return err
		}
	}
	return c.tell(s, receipt)
}

// newest is the newest request of an incident; without a round if it never had one.
func (d *deployed) newest(ctx context.Context, id string) (record.Request, error) {
	all, err := record.Requests(ctx, d.records, d.incidentsIn, id)
	if err != nil {
		return record.Request{}, explain("read the requests", err)
	}
	var last record.Request
	for _, r := range all {
		if r.Round > last.Round {
			last = r
		}
	}
	return last, nil
}

// patience is how long the machine may take to open a request, start included.
const patience = 3 * time.Minute

// reopen has people asked once more, and returns the round that is open then. The
// event decides nothing: the decision is made on the request that it opens.
func (d *deployed) reopen(ctx context.Context, id string, last int) (round int, err error) {
	detail, err := json.Marshal(incident.Wish{Stack: d.stack, Incident: id})
	if err != nil {
		return 0, fmt.Errorf("encode the event: %w", err)
	}
	out, err := d.bus.PutEvents(ctx, &eventbridge.PutEventsInput{Entries: []eventtypes.PutEventsRequestEntry{{
		Source: aws.String(incident.WishSource), DetailType: aws.String(incident.WishType), Detail: aws.String(string(detail)),
	}}})
	if err != nil {
		return 0, explain("ask for a new request", err)
	}
	if out.FailedEntryCount > 0 { // the call succeeds all the same
		e := out.Entries[0]
		return 0, fmt.Errorf("ask for a new request: EventBridge did not take the event: %s (%s); try again", aws.ToString(e.ErrorMessage), aws.ToString(e.ErrorCode))
	}
	for until := d.now().Add(patience); d.now().Before(until); d.sleep(2 * time.Second) {
		r, err := d.newest(ctx, id)
		if err != nil {
			return 0, err
		}
		if r.Round > last {
			return r.Round, nil
		}
		h, err := d.head(ctx, id)
		if err != nil {
			return 0, err
		}
		if h.State == record.Gone {
			return 0, fmt.Errorf("%s does not exist any more, so there is nothing to decide; incident %s is closed now, and a mail says what is kept", h.Incident.InstanceID, id)
		}
	}
	return 0, fmt.Errorf("no request was opened within %s: %w. If there is nothing to decide, a mail says so and why; otherwise look at the newest executions of the state machine, and try again", patience, errNoRequest)
}

// order posts a decision.
func (d *deployed) order(ctx context.Context, id string, o api.Order) (api.Receipt, error) {
	body, err := json.Marshal(o)
	if err != nil {
		return api.Receipt{}, fmt.Errorf("encode the decision: %w", err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimRight(d.url, "/")+"/operator/"+id, bytes.NewReader(body))
	if err != nil {
		return api.Receipt{}, fmt.Errorf("the stack's DecisionUrl %q: %w", d.url, err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "cordon")
	answer, err := d.send(r)
	if err != nil {
		return api.Receipt{}, fmt.Errorf("post the decision: %w; whether it was recorded is not known, and posting it again is safe", err)
	}
	defer answer.Body.Close()
	var receipt api.Receipt
	text, err := io.ReadAll(io.LimitReader(answer.Body, 64<<10))
	if err != nil {
		return api.Receipt{}, fmt.Errorf("read the receipt: %w; posting the decision again is safe", err)
	}
	// What is no receipt is the gateway's own answer.
	if json.Unmarshal(text, &receipt) == nil && receipt.Notice != "" {
		return receipt, nil
	}
	if answer.StatusCode == http.StatusForbidden || answer.StatusCode == http.StatusUnauthorized {
		return api.Receipt{}, fmt.Errorf("the gateway refused your credentials (%d): they may not execute-api:Invoke POST/operator/* of %s; docs/operators.md lists the rights that an operator needs. Nothing was recorded", answer.StatusCode, d.url)
	}
	return api.Receipt{}, fmt.Errorf("the gateway answered %d and no receipt; posting the decision again is safe", answer.StatusCode)
}

// sentences say what a receipt means.
var sentences = map[string]string{
	api.NoticeRecorded:    "The decision is recorded and delivered. It is verified once more before anything is done, and a mail tells how it ended.",
	api.NoticeUndelivered: "The decision is recorded and stands. It could not be delivered yet; it is looked for every few minutes and carried out then. To have it at once, run the same command again.",
	api.NoticeOwn:         "This decision stood already. If nothing came of it, and no execution works on the incident any more, decide with --again.",
	api.NoticeTaken:       "Somebody else has decided already; theirs stands. If nothing came of it, and no execution works on the incident any more, decide with --again.",
	api.NoticeNobody:      "The decision is recorded, and nothing waits for it any more. Run the same command again.",
	api.NoticeGone:        "The request is over, or the instance has a newer incident: cordon list shows it.",
	api.NoticeUnknown:     "There is no such request any more. Run the same command again.",
	api.NoticeBroken:      "AWS does not answer the function behind the gateway. Run the same command again.",
	api.NoticeFirst:       "Your decision is recorded, and nothing is terminated until another person decides the same. If nobody does, the instance stays isolated.",
	api.NoticeSecond:      "Another person has decided to terminate, and yours would be the second. Nothing of yours is recorded yet: read whose it is below.",
	api.NoticeUnproven:    "A termination needs two people that are known for sure: sessions of IAM Identity Center's roles. Yours is none, and nothing was recorded.",
	api.NoticeOtherWay:    "The first person decided on the page and you use the command, or the other way round, so nobody can tell that you are two. Decide as the first did. Nothing of yours was recorded.",
	api.NoticeOwnFirst:    "Your first decision stands as it was recorded, and what you sent now is not: it waits for a second person. To keep or to release takes you alone.",
	api.NoticeStranger:    "The gateway did not say who you are: the route has no IAM authorization. Deploy the stack anew.",
}

// refusals say what is wrong with an order.
var refusals = map[string]string{
	"choice":   "that decision is not among those that the request is about; cordon show lists them",
	"override": "--override belongs to terminate only, and only after a termination was refused because evidence is not complete; people are asked again then, and told what is missing",
	"force":    "--force belongs to release only",
	"reason":   "a reason is wanted: it stands in the record",
	"long":     "the reason has more than 1,000 characters",
	"name":     "the name of who you are in IAM is empty",
}

// tell says what became of a decision. Where it does not stand, that is an error.
func (c *decide) tell(s streams, r api.Receipt) error {
	if r.Notice == api.NoticeWrong {
		var why []string
		for _, w := range r.Wrong {
			if t := refusals[w]; t != "" {
				w = t
			}
			why = append(why, w)
		}
		return fmt.Errorf("nothing was recorded: %s", strings.Join(why, "; "))
	}
	text := sentences[r.Notice]
	if text == "" {
		text = "The function answered " + r.Notice + "."
	}
	if r.Undelivered && r.Notice != api.NoticeUndelivered {
		text += " It could not be delivered yet; run the same command again to deliver it."
	}
	stands := r.Notice == api.NoticeFirst || r.Notice == api.NoticeRecorded || r.Notice == api.NoticeUndelivered || r.Notice == api.NoticeOwn
	if !stands && r.Standing == nil {
		return errors.New(text)
	}
	to := s.out
	if c.JSON {
		to = s.err
	}
	fmt.Fprintln(to, text)
	if d := r.Standing; d != nil && d.Decision != "" {
		fmt.Fprintf(to, "%s by %s: %s\n", d.Decision, message.Plain(d.Person, 200), message.Plain(d.Reason, 1000))
	}
	if r.First != "" {
		fmt.Fprintf(to, "To second it, run the same command with --second %s\n", message.Plain(r.First, 64))
	}
	if !stands {
		return errBad
	}
	return nil
}
