// Package drift tells people that others undid an isolation, each time once, and
// who it was as soon as CloudTrail can say. Isolate has put it right by then;
// nothing here delays that.
package drift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// CloudTrail is the part of the CloudTrail API this step calls. It takes two
// requests a second, from everybody in the account and Region together:
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
type CloudTrail interface {
	cloudtrail.LookupEventsAPIClient
}

// SNS is the part of the SNS API this step calls.
type SNS interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
}

const (
	// stepName is this step's key in the record.
	stepName = "drift"
	// patience is how long CloudTrail is asked about a drift. Events come about
	// five minutes after the call, which is not guaranteed; looks at the isolation
	// may lie two hours apart.
	// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/get-and-view-cloudtrail-log-files.html
	patience = 6 * time.Hour
	// pages of fifty events each that are read of a kind of call: many isolations
	// at once fill CloudTrail with calls of our own.
	pages = 4
	// alarmed is how long a drift counts as new for the alarm, so that a run that
	// is repeated says the same.
	alarmed = 10 * time.Minute
)

// Again is the alarm of an isolation that was undone a second time, or more often.
const Again = "drifted again"

// Step tells of drifts.
type Step struct {
	host      incident.Host
	trail     CloudTrail
	sns       SNS
	incidents Incidents

	table, topic, ours string
	language           message.Language
}

// New reads INCIDENTS_TABLE, TOPIC_ARN, LANGUAGE and ISOLATE_ROLE, the ARN of the
// role whose changes are repairs.
func New(host incident.Host, trail CloudTrail, sns SNS, incidents Incidents) (*Step, error) {
	s := &Step{host: host, trail: trail, sns: sns, incidents: incidents}
	var language string
	var err error
	for name, to := range map[string]*string{"INCIDENTS_TABLE": &s.table, "TOPIC_ARN": &s.topic, "LANGUAGE": &language, "ISOLATE_ROLE": &s.ours} {
		if *to, err = host.Setting(name); err != nil {
			return nil, err
		}
	}
	s.language, err = message.In(language)
	return s, err
}

// Input is what isolate found when it looked last.
type Input struct {
	Incident  incident.Incident  `json:"incident"`
	Execution string             `json:"execution"` // ARN of the execution that looked
	Instance  incident.Instance  `json:"instance"`
	Isolation incident.Isolation `json:"isolation"`
}

// Output says how many drifts people know of.
type Output struct {
	incident.Report
	Told    int    `json:"told"`
	Pending bool   `json:"pending"` // CloudTrail may still say who it was
	Alarm   string `json:"alarm"`   // Again, or empty; the log has it
}

// told is what the record keeps.
type told struct {
	Drifts int              `json:"drifts"`
	Ours   int              `json:"ours"` // of them, releases of ours that failed half-way
	At     time.Time        `json:"at"`   // of the newest mail about a new one
	Open   []incident.Drift `json:"open"`
	Known  []incident.Drift `json:"known"` // all, the newest of them, for the report
}

// Run is safe to repeat: what was told is not told again, but for a mail whose
// answer was lost, or a death before that was written down. Nothing is told where
// another execution has the incident: that it was put right need not be so any more,
// and the other one's next look finds the same number of drifts and tells of them.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if _, err := record.Own(ctx, s.incidents, s.table, in.Incident.ID, in.Execution); errors.Is(err, incident.ErrSuperseded) {
		return Output{Report: incident.Report{Status: incident.Skipped, Reason: err.Error()}}, nil
	} else if err != nil {
		return Output{}, fmt.Errorf("tell of drifts of %s: %w", in.Incident.InstanceID, err)
	}
	var known told
	if _, err := record.LoadStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, &known); err != nil {
		return Output{}, fmt.Errorf("tell of drifts of %s: %w", in.Incident.InstanceID, err)
	}
	now := s.host.Now()
	fresh := in.Isolation.Drifts > known.Drifts
	if fresh {
		known.Open = append(known.Open, newest(in.Isolation, known, in.Incident.OpenedAt))
		known.Drifts, known.At = in.Isolation.Drifts, now
	}
	ours, err := s.byUs(ctx, in.Incident.ID, known, fresh)
	if err != nil {
		return Output{}, err
	}
	var tell, open []incident.Drift
	for n, d := range known.Open {
		isNew := fresh && n == len(known.Open)-1
		d.By, d.Unknown = s.ask(ctx, in.Incident, d)
		known.keep(d)
		if isNew || len(d.By) > 0 {
			tell = append(tell, d)
		}
		if len(d.By) == 0 && now.Sub(d.At) < patience {
			open = append(open, d)
		}
	}
	changed := fresh || len(open) != len(known.Open)
	known.Open = open
	if len(tell) > 0 {
		kind := message.DriftedBy
		switch {
		case fresh && ours:
			kind = message.HalfReleased
		case fresh:
			kind = message.Drifted
		}
		if err := s.mail(ctx, message.Letter{
			Kind: kind, Incident: in.Incident, Finding: in.Incident.Finding, Instance: in.Instance, Isolation: in.Isolation, Drifts: tell,
		}); err != nil {
			return Output{}, err
		}
	}
	if ours {
		known.Ours++
	}
	if changed {
		if err := record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, known); err != nil {
			return Output{}, fmt.Errorf("tell of drifts of %s: %w", in.Incident.InstanceID, err)
		}
	}
	out := Output{Report: incident.Report{Status: incident.OK}, Told: known.Drifts, Pending: len(open) > 0}
	if known.Drifts-known.Ours > 1 && now.Sub(known.At) < alarmed {
		out.Alarm = Again
	}
	return out, nil
}

// byUs tells whether the newest drift is a release of ours that began between the
// two looks and did not end well: who it was is known then, and nobody is to be
// looked for.
func (s *Step) byUs(ctx context.Context, id string, known told, fresh bool) (bool, error) {
	if !fresh {
		return false, nil
	}
	var release struct {
		incident.Report
		BeganAt time.Time `json:"beganAt"` // zero where it ended
	}
	if _, err := record.LoadStep(ctx, s.incidents, s.table, id, "release", &release); err != nil {
		return false, fmt.Errorf("look for a release that failed: %w", err)
	}
	d := known.Open[len(known.Open)-1]
	return release.Status == incident.Failed && release.BeganAt.After(d.Since) && release.BeganAt.Before(d.At), nil
}

// kept is how many drifts the record keeps: an item of the table holds 400 KB.
const kept = 50

// keep puts what is known of a drift into its place.
func (t *told) keep(d incident.Drift) {
	if n := slices.IndexFunc(t.Known, func(k incident.Drift) bool { return k.Number == d.Number }); n >= 0 {
		t.Known[n] = d
		return
	}
	t.Known = append(t.Known, d)
	t.Known = t.Known[max(0, len(t.Known)-kept):]
}

// newest is what isolate found since people were told last. Where that is more
// than one drift, all that was ever undone may be concerned.
func newest(i incident.Isolation, known told, opened time.Time) incident.Drift {
	d := incident.Drift{Number: i.Drifts, Undone: i.Undone, Since: i.UndoneSince, At: i.UndoneAt}
	if i.Drifts > known.Drifts+1 {
		d.Undone = i.Repaired
		if d.Since = known.At; known.Drifts == 0 {
			d.Since = opened
		}
	}
	return d
}

func (s *Step) mail(ctx context.Context, letter message.Letter) error {
	subject, body := s.language.Mail(letter)
	if _, err := s.sns.Publish(ctx, &sns.PublishInput{TopicArn: &s.topic, Subject: &subject, Message: &body}); err != nil {
		return fmt.Errorf("send the mail about drifts of %s: %w", letter.Incident.InstanceID, err)
	}
	return nil
}

// calls are those by which others undo an isolation: what an interface is in, and
// what a group allows.
var (
	ofInterfaces = []string{"ModifyNetworkInterfaceAttribute", "ModifyInstanceAttribute"}
	ofGroups     = []string{"AuthorizeSecurityGroupEgress", "AuthorizeSecurityGroupIngress", "ModifySecurityGroupRules"}
)

// ask asks CloudTrail who made such calls between the two looks. By the name of
// the call: which resources an event is listed under is nowhere said for EC2.
// An answer that is not to be had is told as such and delays nothing.
func (s *Step) ask(ctx context.Context, inc incident.Incident, d incident.Drift) (by []incident.Doer, unknown string) {
	var calls []string
	if slices.ContainsFunc(d.Undone, func(id string) bool { return !strings.HasPrefix(id, "sg-") }) {
		calls = append(calls, ofInterfaces...)
	}
	if slices.ContainsFunc(d.Undone, func(id string) bool { return strings.HasPrefix(id, "sg-") }) {
		calls = append(calls, ofGroups...)
	}
	about := append([]string{inc.InstanceID}, d.Undone...)
	unknown = "its events come some minutes after the call, and it has none yet"
	for _, name := range calls {
		found, err := s.lookUp(ctx, name, about, d)
		if err != nil {
			unknown = err.Error()
			continue
		}
		by = append(by, found...)
	}
	if len(by) > 0 {
		unknown = ""
	}
	slices.SortStableFunc(by, func(a, b incident.Doer) int { return a.At.Compare(b.At) })
	return by, unknown
}

// lookUp reads the events of one call in the time of a drift. CloudTrail's times
// are whole seconds.
func (s *Step) lookUp(ctx context.Context, name string, about []string, d incident.Drift) ([]incident.Doer, error) {
	var by []incident.Doer
	events := cloudtrail.NewLookupEventsPaginator(s.trail, &cloudtrail.LookupEventsInput{
		LookupAttributes: []types.LookupAttribute{{AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String(name)}},
		StartTime:        aws.Time(d.Since.Truncate(time.Second)), EndTime: aws.Time(d.At.Truncate(time.Second).Add(time.Second)),
	})
	for n := 0; events.HasMorePages(); n++ {
		if n == pages {
			return nil, fmt.Errorf("it has more than %d calls of %s in that time, of which ours are the most likely; look there by hand", pages*50, name)
		}
		page, err := events.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("look up %s in CloudTrail: %w", name, err)
		}
		for _, e := range page.Events {
			doer, ok, err := s.judge(e, about)
			if err != nil {
				return nil, err
			}
			if ok {
				by = append(by, doer)
			}
		}
	}
	return by, nil
}

// event is what is read of a CloudTrail record.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
type event struct {
	ErrorCode         string `json:"errorCode"`
	SourceIPAddress   string `json:"sourceIPAddress"` // of a service, its name
	RequestParameters any    `json:"requestParameters"`
	UserIdentity      struct {
		Type           string `json:"type"`
		ARN            string `json:"arn"`
		InvokedBy      string `json:"invokedBy"`
		SessionContext struct {
			SessionIssuer struct {
				ARN string `json:"arn"`
			} `json:"sessionIssuer"`
		} `json:"sessionContext"`
	} `json:"userIdentity"`
}

// judge says who made a call, if it succeeded, is about one of the resources, and
// is not a repair of ours.
func (s *Step) judge(e types.Event, about []string) (incident.Doer, bool, error) {
	var r event
	if err := json.Unmarshal([]byte(aws.ToString(e.CloudTrailEvent)), &r); err != nil {
		return incident.Doer{}, false, fmt.Errorf("read event %s of CloudTrail: %w", aws.ToString(e.EventId), err)
	}
	if r.ErrorCode != "" || r.UserIdentity.SessionContext.SessionIssuer.ARN == s.ours || !mentions(r.RequestParameters, about) {
		return incident.Doer{}, false, nil
	}
	// The calls on interfaces and instances change many attributes; only groups
	// undo an isolation.
	parameters, _ := r.RequestParameters.(map[string]any)
	if _, groups := parameters["groupSet"]; slices.Contains(ofInterfaces, aws.ToString(e.EventName)) && !groups {
		return incident.Doer{}, false, nil
	}
	who := r.UserIdentity.ARN
	for _, other := range []string{r.UserIdentity.InvokedBy, r.UserIdentity.Type, aws.ToString(e.Username)} {
		if who == "" {
			who = other
		}
	}
	return incident.Doer{Who: who, Action: aws.ToString(e.EventName), From: r.SourceIPAddress, At: aws.ToTime(e.EventTime)}, true, nil
}

// mentions tells whether one of the IDs stands anywhere in a call's parameters.
func mentions(v any, ids []string) bool {
	switch v := v.(type) {
	case string:
		return slices.Contains(ids, v)
	case []any:
		return slices.ContainsFunc(v, func(e any) bool { return mentions(e, ids) })
	case map[string]any:
		for _, e := range v {
			if mentions(e, ids) {
				return true
			}
		}
	}
	return false
}
