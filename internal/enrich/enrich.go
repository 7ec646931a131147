// Package enrich decides what a finding means for this account: it keeps the
// event, passes it through the guards, describes the instance, and opens the
// incident or joins the one that is open. It changes nothing outside this stack.
package enrich

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"cordon/internal/finding"
	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/smithy-go"
)

// EC2 is the part of the EC2 API this step calls. It reads only.
type EC2 interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeVpcEndpointsAPIClient
	ec2.DescribeRouteTablesAPIClient
	ec2.DescribePrefixListsAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
	ec2.DescribeSecurityGroupRulesAPIClient
}

// S3 is the part of the S3 API this step calls, on the evidence bucket.
type S3 interface {
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// SSM is the part of the SSM API this step calls, on the pause switch.
type SSM interface {
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// AutoScaling is the part of the EC2 Auto Scaling API this step calls.
type AutoScaling interface {
	DescribeAutoScalingInstances(context.Context, *autoscaling.DescribeAutoScalingInstancesInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingInstancesOutput, error)
	DescribeAutoScalingGroups(context.Context, *autoscaling.DescribeAutoScalingGroupsInput, ...func(*autoscaling.Options)) (*autoscaling.DescribeAutoScalingGroupsOutput, error)
}

// SFN is the part of the Step Functions API this step calls.
type SFN interface {
	DescribeExecution(context.Context, *sfn.DescribeExecutionInput, ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error)
}

// Incidents is the part of DynamoDB this step calls, on the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
	record.Updater
	record.Querier
}

// Verdict says what is to be done about a finding.
type Verdict string

const (
	Act        Verdict = "act"
	Ask        Verdict = "ask"        // only after a person said so: too many at once
	Rehearse   Verdict = "rehearse"   // a dry run: what Act would do is said and not done
	Joined     Verdict = "joined"     // an open incident has it
	Decided    Verdict = "decided"    // a repeat of what a person decided on
	Nothing    Verdict = "nothing"    // sample, archived, below the threshold, not an instance
	Exempt     Verdict = "exempt"     // an instance that is on our list, or carries the tag
	Unlisted   Verdict = "unlisted"   // a finding of a type that is not to be acted on
	Paused     Verdict = "paused"     // somebody switched Cordon off for a while
	Foreign    Verdict = "foreign"    // another account's or Region's instance
	Gone       Verdict = "gone"       // terminated, or about to be
	Later      Verdict = "later"      // no finding: people are to be asked once more about an incident that nobody works on
	Unreadable Verdict = "unreadable" // not a finding as we know them
)

// Step enriches.
type Step struct {
	host      incident.Host
	ec2       EC2
	s3        S3
	ssm       SSM
	scaling   AutoScaling
	sfn       SFN
	db        Incidents
	table     string
	bucket    string
	threshold float64
	exempt    []string
	memory    string         // key of the memory tool; empty: captures are off
	arm64     string         // key of the one for arm64, if there is one
	central   []netip.Prefix // where endpoints of a central VPC stand
	brakes    brakes
	dry       bool          // nothing is opened, and nothing taken
	retention time.Duration // of the events that are kept
}

// New reads INCIDENTS_TABLE, EVIDENCE_BUCKET, RETENTION_DAYS, SEVERITY_THRESHOLD, FINDING_TYPES,
// PAUSE_PARAMETER, PAUSE_HOURS, MAX_ISOLATIONS_PER_HOUR, MAX_GROUP_PERCENT, and,
// where they are set, EXEMPT_INSTANCES, EXEMPT_TAG, NEVER_FINDING_TYPES,
// MEMORY_TOOL_KEY, MEMORY_TOOL_ARM64_KEY, CENTRAL_ENDPOINT_CIDRS and DRY_RUN.
func New(host incident.Host, ec2 EC2, s3 S3, ssm SSM, scaling AutoScaling, sfn SFN, db Incidents) (*Step, error) {
	s := &Step{
		host: host, ec2: ec2, s3: s3, ssm: ssm, scaling: scaling, sfn: sfn, db: db,
		memory: host.Getenv("MEMORY_TOOL_KEY"), arm64: host.Getenv("MEMORY_TOOL_ARM64_KEY"), dry: host.Getenv("DRY_RUN") == "true",
	}
	err := s.brakes.read(host)
	if err != nil {
		return nil, err
	}
	if s.table, err = host.Setting("INCIDENTS_TABLE"); err != nil {
		return nil, err
	}
	if s.bucket, err = host.Setting("EVIDENCE_BUCKET"); err != nil {
		return nil, err
	}
	if s.threshold, err = host.Number("SEVERITY_THRESHOLD"); err != nil {
		return nil, err
	}
	days, err := host.Number("RETENTION_DAYS")
	if err != nil {
		return nil, err
	}
	s.retention = time.Duration(days * 24 * float64(time.Hour))
	if s.central, err = centralNetworks(host.Getenv("CENTRAL_ENDPOINT_CIDRS")); err != nil {
		return nil, err
	}
	for id := range strings.SplitSeq(host.Getenv("EXEMPT_INSTANCES"), ",") {
		if id = strings.TrimSpace(id); id != "" {
			s.exempt = append(s.exempt, id)
		}
	}
	return s, nil
}

// Input is the event as EventBridge delivered it.
type Input struct {
	Event     json.RawMessage `json:"event"`
	Execution string          `json:"execution"` // ARN of the execution that asks
}

// Output is what the rest of the machine works on.
type Output struct {
	Verdict  Verdict            `json:"verdict"`
	Reason   string             `json:"reason"`   // why, in a sentence; empty for Act and Rehearse
	Brakes   []string           `json:"brakes"`   // what people are to know of the brakes, where it is acted on
	Incident incident.Incident  `json:"incident"` // without an ID where there is none
	Round    int                `json:"round"`    // of the request for a decision to begin with, from 1; 0 unless Act or Ask
	Wait     int                `json:"wait"`     // seconds until it is its turn to be isolated
	Finding  incident.Finding   `json:"finding"`
	Instance incident.Instance  `json:"instance"`
	Capture  []incident.Capture `json:"capture"`  // one a VPC
	Evidence string             `json:"evidence"` // key of the event in the evidence bucket; empty if it could not be kept
	Report   incident.Report    `json:"report"`
	Standing Standing           `json:"standing"` // how the incident stands, with Later; and with Paused one that was opened before
	Known    []Known            `json:"known"`    // what steps recorded of it; one with Later, else none
}

// Run is safe to repeat: an incident that this execution opened before is
// found, and the verdict is the same. An instance that EC2 does not know is
// incident.ErrInstanceNotFound, because EC2 may come to know it.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	out := Output{Brakes: []string{}, Capture: []incident.Capture{}, Known: []Known{}, Instance: incident.Instance{Tags: map[string]string{}, VPCs: []string{}}}
	here, err := home(in.Execution)
	if err != nil {
		return Output{}, err
	}
	if w, wanted := finding.DecodeWish(in.Event); wanted {
		return s.later(ctx, in, here, w.Incident)
	}
	f, flags, unread := finding.Decode(in.Event)
	if unread == nil {
		out.Finding = f
		out.Verdict, out.Reason = s.guard(f, flags, here)
	} else {
		out.Verdict, out.Reason = Unreadable, unread.Error()
	}

	var kept error
	var described types.Instance
	var missing, unknown error
	var last standing
	var pause switched
	var group fleet
	var blind error // where the group is not known, its share is not held
	s.host.Each(5, func(n int) {
		switch {
		case n == 0:
			out.Evidence, kept = s.keep(ctx, in.Event, f)
		case out.Verdict != Act: // nothing else is touched, nor looked at
		case n == 1:
			described, missing = s.describe(ctx, f.InstanceID)
		case n == 2:
			last, unknown = s.latest(ctx, incident.InstanceKey(f.AccountID, f.Region, f.InstanceID))
		case n == 3:
			pause = s.paused(ctx)
		case n == 4:
			group, blind = s.fleet(ctx, f.InstanceID)
		}
	})
	// An event that is not understood must be kept, or it is lost. One that is
	// understood must not wait for the bucket: isolation comes first.
	if kept != nil {
		if out.Verdict != Act {
			return Output{}, kept
		}
		out.Evidence, out.Report = "", incident.Report{Status: incident.Partial, Reason: kept.Error()}
	} else {
		out.Report.Status = incident.OK
	}
	if out.Verdict != Act {
		return out, nil
	}
	// Whether there is an incident to be closed with it comes before that it is gone.
	if unknown != nil {
		return Output{}, unknown
	}
	// An incident that this execution opened at an earlier attempt is closed with it.
	own := last.found && last.head.State == record.Open && last.head.Execution == in.Execution
	if own && errors.Is(missing, incident.ErrInstanceNotFound) {
		gone, err := s.absent(ctx, in, last.head.Incident.ID)
		if err != nil {
			return Output{}, err
		}
		if gone {
			out.Incident = last.head.Incident
			return s.vanished(ctx, in, last.head, out, f.InstanceID+" is gone: the account does not know it any more")
		}
	}
	if missing != nil {
		return Output{}, missing
	}

	out.Instance = instance(described)
	if slices.Contains([]string{"terminated", "shutting-down"}, out.Instance.State) {
		if own {
			out.Incident = last.head.Incident
			return s.vanished(ctx, in, last.head, out, f.InstanceID+" is "+out.Instance.State)
		}
		out.Verdict, out.Reason = Gone, f.InstanceID+" is "+out.Instance.State
		return out, nil
	}
	attached, err := attachedAt(described)
	if err != nil {
		return Output{}, err
	}
	s.host.Each(2, func(n int) {
		if n == 0 {
			var r ruling
			r, err = s.open(ctx, arrival{in.Execution, f, attached, rootVolume(described), described.NetworkInterfaces, s.held(out.Instance, pause), group}, last)
			out.Verdict, out.Reason, out.Incident, out.Round = r.verdict, r.why, r.incident, r.round
			out.Brakes = append(out.Brakes, r.notes...)
			if r.opened {
				out.Standing = Open
			}
		} else {
			out.Capture = s.capture(ctx, here, incident.InstanceKey(f.AccountID, f.Region, f.InstanceID), out.Instance, described)
		}
	})
	if err != nil {
		return Output{}, err
	}
	if out.Verdict == Act {
		if out.Wait, err = s.turn(ctx, len(described.NetworkInterfaces)); err != nil {
			out.Report = incident.Report{Status: incident.Partial, Reason: strings.TrimPrefix(out.Report.Reason+"; "+err.Error(), "; ")}
		}
	}
	if slices.Contains([]Verdict{Act, Ask, Rehearse}, out.Verdict) {
		if pause.note != "" {
			out.Brakes = append(out.Brakes, pause.note)
		}
		if blind != nil {
			out.Brakes = append(out.Brakes, "the share of its Auto Scaling group could not be held: "+strings.ReplaceAll(blind.Error(), "\n", "; "))
		}
	}
	return out, nil
}

// held is what keeps a new incident from being opened, if anything does.
func (s *Step) held(i incident.Instance, pause switched) ruling {
	if why := s.brakes.tagged(i); why != "" {
		return ruling{verdict: Exempt, why: why}
	}
	if !pause.until.IsZero() {
		return ruling{verdict: Paused, since: pause.since, why: fmt.Sprintf("Cordon is paused until %s by %s", stamp(pause.until), s.brakes.pause)}
	}
	return ruling{}
}

// place is the account and Region this stack lives in.
type place struct{ partition, region, account string }

// home reads them from the execution's ARN, which no event can claim:
// arn:aws:states:REGION:ACCOUNT:execution:MACHINE:NAME
func home(execution string) (place, error) {
	p := strings.Split(execution, ":")
	if len(p) < 8 || p[2] != "states" || p[3] == "" || p[4] == "" {
		return place{}, fmt.Errorf("execution %q: want the ARN of an execution", execution)
	}
	return place{partition: p[1], region: p[3], account: p[4]}, nil
}

// guard says why a finding must not be acted on, if so. What touches nothing
// comes first, then what people are told of.
func (s *Step) guard(f incident.Finding, flags finding.Flags, here place) (Verdict, string) {
	switch {
	case flags.Sample:
		return Nothing, "it is a sample finding"
	case flags.Archived:
		return Nothing, "the finding was archived"
	case flags.ResourceType != finding.Instance:
		return Nothing, fmt.Sprintf("the finding is about a resource of type %q, not an instance", flags.ResourceType)
	case f.Severity < s.threshold:
		return Nothing, fmt.Sprintf("its severity %g is below the threshold of %g", f.Severity, s.threshold)
	case f.AccountID != flags.Account || f.AccountID != here.account:
		return Foreign, fmt.Sprintf("%s belongs to account %s, in which Cordon has no rights here", f.InstanceID, f.AccountID)
	case f.Region != flags.Region || f.Region != here.region:
		return Foreign, fmt.Sprintf("%s is in Region %s, in which Cordon does not work here", f.InstanceID, f.Region)
	case slices.Contains(s.exempt, f.InstanceID):
		return Exempt, f.InstanceID + " is on the list of exempt instances"
	}
	if why := s.brakes.unlisted(f.Type); why != "" {
		return Unlisted, why
	}
	return Act, ""
}

// eventID is what may stand in a key; EventBridge's own are UUIDs.
var eventID = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// keep stores the event as it came, under retention: it is evidence. The same event has the same key, and what
// is there stays: whoever sends another event with its ID replaces nothing.
func (s *Step) keep(ctx context.Context, event []byte, f incident.Finding) (string, error) {
	sum := sha256.Sum256(event)
	name, day := f.EventID, "undated"
	if !eventID.MatchString(name) {
		name = hex.EncodeToString(sum[:])
	}
	if !f.EventTime.IsZero() {
		day = f.EventTime.UTC().Format("2006/01/02")
	}
	key := "events/" + day + "/" + name + ".json"
	_, err := s.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: strings.NewReader(string(event)), ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*"),
		ChecksumSHA256: aws.String(base64.StdEncoding.EncodeToString(sum[:])),
		ObjectLockMode: s3types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(s.host.Now().Add(s.retention)),
	})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "PreconditionFailed" {
		return key, nil
	}
	if err != nil {
		return "", fmt.Errorf("keep the event as %s: %w", key, err)
	}
	return key, nil
}

func (s *Step) describe(ctx context.Context, id string) (types.Instance, error) {
	pages := ec2.NewDescribeInstancesPaginator(s.ec2, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		var api smithy.APIError
		if errors.As(err, &api) && api.ErrorCode() == "InvalidInstanceID.NotFound" {
			return types.Instance{}, fmt.Errorf("describe %s: %w: %w", id, incident.ErrInstanceNotFound, err)
		}
		if err != nil {
			return types.Instance{}, fmt.Errorf("describe %s: %w", id, err)
		}
		for _, r := range page.Reservations {
			for _, i := range r.Instances {
				if aws.ToString(i.InstanceId) == id {
					return i, nil
				}
			}
		}
	}
	return types.Instance{}, fmt.Errorf("describe %s: %w", id, incident.ErrInstanceNotFound)
}

func instance(i types.Instance) incident.Instance {
	got := incident.Instance{
		ID: aws.ToString(i.InstanceId), Type: string(i.InstanceType), Platform: "linux", Lifecycle: "normal",
		State: "running", Tags: map[string]string{}, VPCs: []string{},
	}
	if strings.EqualFold(string(i.Platform), string(types.PlatformValuesWindows)) {
		got.Platform = "windows"
	}
	if o := i.MetadataOptions; o != nil {
		switch {
		case o.HttpEndpoint == types.InstanceMetadataEndpointStateDisabled:
			got.Metadata = incident.MetadataOff
		case o.HttpTokens == types.HttpTokensStateRequired:
			got.Metadata = incident.MetadataV2
		case o.HttpTokens == types.HttpTokensStateOptional:
			got.Metadata = incident.MetadataV1
		}
	}
	if i.InstanceLifecycle != "" {
		got.Lifecycle = string(i.InstanceLifecycle)
	}
	if i.State != nil && i.State.Name != "" {
		got.State = string(i.State.Name)
	}
	for _, t := range i.Tags {
		got.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	got.Name = got.Tags["Name"]
	for _, n := range i.NetworkInterfaces {
		got.VPCs = append(got.VPCs, aws.ToString(n.VpcId))
	}
	slices.Sort(got.VPCs)
	got.VPCs = slices.Compact(got.VPCs)
	return got
}

// attachedAt is when the primary interface was attached: it tells a machine
// from its successor, while the launch time changes at every start.
func attachedAt(i types.Instance) (time.Time, error) {
	for _, n := range i.NetworkInterfaces {
		if a := n.Attachment; a != nil && a.AttachTime != nil && aws.ToInt32(a.DeviceIndex) == 0 && aws.ToInt32(a.NetworkCardIndex) == 0 {
			return a.AttachTime.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("describe %s: its primary interface is not to be seen", aws.ToString(i.InstanceId))
}

// rootVolume is the ID of the volume an instance starts from, empty if that is none.
func rootVolume(i types.Instance) string {
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs != nil && aws.ToString(m.DeviceName) == aws.ToString(i.RootDeviceName) {
			return aws.ToString(m.Ebs.VolumeId)
		}
	}
	return ""
}
