package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// CloudTrail holds who changed what in EC2: the calls of the steps, those of an
// account file, and those of others in Behaviour.
type CloudTrail struct {
	a      *Account
	Events []*types.Event // of the account file, and of others since
	delay  int            // Behaviour CloudTrailSeconds: how late an event is to be seen; 0 is 300
	undone []*undoing     // Behaviour Undone
	moves  []*attaching   // Behaviour Attached

	changes []Change
}

// Change is what others did: put an interface into groups, or opened groups.
type Change struct {
	At               time.Time
	NetworkInterface string // empty where groups were opened
	Groups           []string
}

// Changes are what others have done so far, in order of time.
func (a *Account) Changes() []Change { return slices.Clone(a.cloudtrail.changes) }

// undoing is somebody who puts an interface into other groups.
type undoing struct {
	Seconds            int // after the account was opened
	NetworkInterfaceId string
	Groups             []string
	Arn                string // who does it

	at   time.Time
	done bool
}

// attaching is somebody who attaches an interface, or takes it off.
type attaching struct {
	Seconds            int
	NetworkInterfaceId string
	InstanceId         string // empty takes it off

	at   time.Time
	done bool
}

func newCloudTrail(a *Account) *CloudTrail { return &CloudTrail{a: a} }

func (c *CloudTrail) sections() []section { return []section{kept("Events", &c.Events)} }

func (c *CloudTrail) behaviours() []section {
	return []section{optional("CloudTrailSeconds", &c.delay), optional("Undone", &c.undone), optional("Attached", &c.moves)}
}

func (c *CloudTrail) settle() error {
	for n, u := range c.undone {
		if c.a.ec2.networkInterface(u.NetworkInterfaceId) == nil || len(u.Groups) == 0 || u.Arn == "" || u.Seconds < 1 {
			return fmt.Errorf("Behaviour: Undone: entry %d needs Seconds, a NetworkInterfaceId of NetworkInterfaces, Groups and an Arn", n+1)
		}
		u.at = c.a.now().Add(time.Duration(u.Seconds) * time.Second)
	}
	for n, m := range c.moves {
		if c.a.ec2.networkInterface(m.NetworkInterfaceId) == nil || m.InstanceId != "" && c.a.ec2.instance(m.InstanceId) == nil || m.Seconds < 1 {
			return fmt.Errorf("Behaviour: Attached: entry %d needs Seconds and a NetworkInterfaceId of NetworkInterfaces, and an InstanceId of Reservations if it is not taken off", n+1)
		}
		m.at = c.a.now().Add(time.Duration(m.Seconds) * time.Second)
	}
	return nil
}

// pass lets others do what they have done by now.
func (c *CloudTrail) pass() {
	for _, m := range c.moves {
		if m.done || m.at.After(c.a.now()) {
			continue
		}
		m.done = true
		i := c.a.ec2.networkInterface(m.NetworkInterfaceId)
		i.Attachment, i.Status = nil, ec2types.NetworkInterfaceStatusAvailable
		if m.InstanceId != "" {
			next := int32(len(c.a.ec2.attached(m.InstanceId)))
			i.Attachment, i.Status = &ec2types.NetworkInterfaceAttachment{
				AttachmentId: aws.String("eni-attach-" + c.a.token("attach", m.NetworkInterfaceId)[:17]), InstanceId: &m.InstanceId, DeviceIndex: &next,
				AttachTime: &m.at, Status: ec2types.AttachmentStatusAttached, DeleteOnTermination: aws.Bool(false),
			}, ec2types.NetworkInterfaceStatusInUse
		}
	}
	for _, u := range c.undone {
		if u.done || u.at.After(c.a.now()) {
			continue
		}
		u.done = true
		in := &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &u.NetworkInterfaceId, Groups: u.Groups}
		_, err := c.a.ec2.modifyNetworkInterfaceAttribute(in)
		if err == nil {
			c.changes = append(c.changes, Change{At: u.at, NetworkInterface: u.NetworkInterfaceId, Groups: u.Groups})
		}
		c.Events = append(c.Events, c.event("ModifyNetworkInterfaceAttribute", u.at, identity{Type: "AssumedRole", ARN: u.Arn}, "198.51.100.7", in, err))
	}
}

type identity struct {
	Type           string          `json:"type"`
	ARN            string          `json:"arn"`
	SessionContext *sessionContext `json:"sessionContext,omitempty"`
}

type sessionContext struct {
	SessionIssuer struct {
		Type string `json:"type"`
		ARN  string `json:"arn"`
	} `json:"sessionIssuer"`
}

// event is one record, as LookupEvents has it: what stands in a call's parameters
// is in the record only, as text.
// https://docs.aws.amazon.com/awscloudtrail/latest/userguide/cloudtrail-event-reference-record-contents.html
func (c *CloudTrail) event(action string, at time.Time, who identity, from string, in any, failed error) *types.Event {
	at = at.Truncate(time.Second)
	record := map[string]any{
		"eventTime": at.UTC().Format(time.RFC3339), "eventSource": "ec2.amazonaws.com", "eventName": action,
		"sourceIPAddress": from, "userIdentity": who, "requestParameters": parameters(in),
	}
	if failed != nil {
		record["errorCode"] = code(failed)
	}
	b, err := json.Marshal(record)
	if err != nil {
		panic(err) // strings, numbers and lists of them
	}
	id := c.a.token("event", action, at, string(b))[:32]
	return &types.Event{
		EventId: &id, EventName: &action, EventTime: &at, EventSource: aws.String("ec2.amazonaws.com"), ReadOnly: aws.String("false"),
		Username: aws.String(who.ARN[strings.LastIndex(who.ARN, "/")+1:]), CloudTrailEvent: aws.String(string(b)),
	}
}

// parameters is a call's input as CloudTrail writes it: names begin with a small
// letter, and the groups of an interface are items of a set.
func parameters(in any) any {
	m, ok := pruned(in).(map[string]any)
	if !ok {
		return nil
	}
	out := map[string]any{}
	for k, v := range m {
		if groups, ok := v.([]any); ok && k == "Groups" {
			var items []any
			for _, g := range groups {
				items = append(items, map[string]any{"groupId": g})
			}
			out["groupSet"] = map[string]any{"items": items}
			continue
		}
		out[string(unicode.ToLower(rune(k[0])))+k[1:]] = v
	}
	return out
}

// all are the events of now, the newest first, with the calls of the steps.
func (c *CloudTrail) all() []*types.Event {
	all := slices.Clone(c.Events)
	for _, call := range c.a.calls {
		if call.Service != "ec2" || !call.Mutating || call.By == nil || call.Ended.IsZero() || !call.Effective && call.Error == "" {
			continue
		}
		who := identity{Type: "AssumedRole", SessionContext: &sessionContext{}}
		role := c.a.role(call.By.Function)
		who.ARN = strings.NewReplacer(":iam:", ":sts:", ":role/", ":assumed-role/").Replace(role) + "/" + call.By.Function
		who.SessionContext.SessionIssuer.Type, who.SessionContext.SessionIssuer.ARN = "Role", role
		var failed error
		if !call.Effective {
			failed = &smithy.GenericAPIError{Code: call.Error}
		}
		all = append(all, c.event(call.Action, call.Ended, who, "203.0.113.9", call.Input, failed))
	}
	slices.SortStableFunc(all, func(a, b *types.Event) int { return aws.ToTime(b.EventTime).Compare(aws.ToTime(a.EventTime)) })
	return all
}

// LookupEvents tells of the last ninety days, minutes late.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
func (c *CloudTrail) LookupEvents(ctx context.Context, in *cloudtrail.LookupEventsInput, _ ...func(*cloudtrail.Options)) (*cloudtrail.LookupEventsOutput, error) {
	return invoke(ctx, c.a, operation{
		service: "cloudtrail", action: "LookupEvents",
		takes: []string{"LookupAttributes", "StartTime", "EndTime", "MaxResults", "NextToken"},
	}, in, c.lookupEvents)
}

func (c *CloudTrail) lookupEvents(in *cloudtrail.LookupEventsInput, _ bool) (*cloudtrail.LookupEventsOutput, error) {
	c.a.ec2.pass()
	if len(in.LookupAttributes) > 1 {
		return nil, &types.InvalidLookupAttributesException{Message: aws.String("You can only specify one lookup attribute")}
	}
	if in.StartTime != nil && in.EndTime != nil && in.StartTime.After(*in.EndTime) {
		return nil, &types.InvalidTimeRangeException{Message: aws.String("Start time is after end time")}
	}
	most := 50
	if in.MaxResults != nil {
		if most = int(*in.MaxResults); most < 1 || most > 50 {
			return nil, &types.InvalidMaxResultsException{Message: aws.String("Max results must be between 1 and 50")}
		}
	}
	delay := time.Duration(c.delay) * time.Second
	if delay == 0 {
		delay = 5 * time.Minute
	}
	var found []types.Event
	for _, e := range c.all() {
		at := aws.ToTime(e.EventTime)
		for _, l := range in.LookupAttributes {
			switch l.AttributeKey {
			case types.LookupAttributeKeyEventName:
				if aws.ToString(e.EventName) != aws.ToString(l.AttributeValue) {
					at = time.Time{}
				}
			default:
				return nil, unknown("cloudtrail", "LookupEvents", "attribute "+string(l.AttributeKey))
			}
		}
		if at.IsZero() || at.Add(delay).After(c.a.now()) || in.StartTime != nil && at.Before(*in.StartTime) || in.EndTime != nil && at.After(*in.EndTime) {
			continue
		}
		found = append(found, *e)
	}
	from := 0
	if in.NextToken != nil {
		var err error
		if from, err = strconv.Atoi(*in.NextToken); err != nil || from > len(found) {
			return nil, &types.InvalidNextTokenException{Message: aws.String("The next token is not valid")}
		}
	}
	out := &cloudtrail.LookupEventsOutput{Events: found[from:min(from+most, len(found))]}
	if from+most < len(found) {
		out.NextToken = aws.String(strconv.Itoa(from + most))
	}
	return clone(out), nil
}
