// Package mandate is what a step needs before it acts on a person's word: the
// decision as that person made it, and the machine it was made about.
package mandate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/smithy-go"
)

// Tag is what authorize writes on an instance that a person decided to
// terminate, and what the role of terminate asks for. Its value is TagValue.
const Tag = "cordon:decision"

// TagValue names one decision.
func TagValue(incidentID string, round int) string { return fmt.Sprintf("%s/%d", incidentID, round) }

// Verifier is the part of the KMS API that verifying a decision takes.
type Verifier interface {
	VerifyMac(context.Context, *kms.VerifyMacInput, ...func(*kms.Options)) (*kms.VerifyMacOutput, error)
}

// Reader reads decisions and believes none without its seal.
type Reader struct {
	host      incident.Host
	kms       Verifier
	incidents record.Getter
	decisions record.Getter

	incidentsTable, decisionsTable, key string
	two                                 bool // people must decide on a termination
}

// NewReader reads INCIDENTS_TABLE, DECISIONS_TABLE, MAC_KEY_ID and
// APPROVERS_FOR_TERMINATION.
func NewReader(host incident.Host, kms Verifier, incidents, decisions record.Getter) (*Reader, error) {
	r := &Reader{host: host, kms: kms, incidents: incidents, decisions: decisions}
	for _, setting := range []struct {
		name string
		to   *string
	}{{"INCIDENTS_TABLE", &r.incidentsTable}, {"DECISIONS_TABLE", &r.decisionsTable}, {"MAC_KEY_ID", &r.key}} {
		v, err := host.Setting(setting.name)
		if err != nil {
			return nil, err
		}
		*setting.to = v
	}
	approvers, err := host.Number("APPROVERS_FOR_TERMINATION")
	if err != nil {
		return nil, err
	}
	if r.two, err = incident.Two(approvers); err != nil {
		return nil, fmt.Errorf("environment variable APPROVERS_FOR_TERMINATION: %w", err)
	}
	return r, nil
}

// Read returns the decision of a round if it is one: of this incident and
// round, about this machine, sealed, not expired, people were not asked anew
// since, and the machine has no newer incident. Otherwise the error wraps
// incident.ErrRefused, or incident.ErrUndecided where there is none, and says why. A
// failure to find out is neither. Whatever was decided, it is the execution that has
// the incident that carries it out: for another the error wraps
// incident.ErrSuperseded.
func (r *Reader) Read(ctx context.Context, inc incident.Incident, round int, execution string) (incident.Decision, error) {
	if err := r.own(ctx, inc, execution); err != nil {
		return incident.Decision{}, err
	}
	d, found, err := record.LoadDecision(ctx, r.decisions, r.decisionsTable, inc.ID, round)
	if err != nil {
		return incident.Decision{}, err
	}
	if !found {
		return incident.Decision{}, fmt.Errorf("nobody has decided: there is no decision on request %d of incident %s: %w", round, inc.ID, incident.ErrUndecided)
	}
	about := fmt.Sprintf("the decision on request %d of incident %s", round, inc.ID)
	if err := r.check(ctx, about, inc, round, d); err != nil {
		return incident.Decision{}, err
	}
	if r.two && d.Choice == incident.Terminate {
		if err := r.seconded(ctx, about, inc, round, d); err != nil {
			return incident.Decision{}, err
		}
	}
	_, newer, err := record.LoadRequest(ctx, r.incidents, r.incidentsTable, inc.ID, round+1)
	if err != nil {
		return incident.Decision{}, err
	}
	if newer {
		return incident.Decision{}, Refuse("the decision on request %d of incident %s is superseded: people were asked again since", round, inc.ID)
	}
	return d, nil
}

// own fails unless the incident is that execution's, and the newest of its instance.
// One that began before the stack was updated does not say who it is: it is refused
// where a newer incident is open, and acts without a look otherwise, as it did.
func (r *Reader) own(ctx context.Context, inc incident.Incident, execution string) error {
	h, err := record.LoadHead(ctx, r.incidents, r.incidentsTable, inc.ID)
	if err != nil {
		return fmt.Errorf("look whose incident %s is: %w", inc.ID, err)
	}
	if err := h.Own(execution); err != nil {
		return err
	}
	err = record.Newest(ctx, r.incidents, r.incidentsTable, inc.ID)
	if errors.Is(err, incident.ErrSuperseded) && execution == "" {
		return Refuse("incident %s is over: a newer one is open about %s; decide on that one", inc.ID, inc.InstanceID)
	}
	return err
}

// ReadAs is Read for a step that carries out one choice; a decision for another
// is refused.
func (r *Reader) ReadAs(ctx context.Context, inc incident.Incident, round int, execution string, want incident.Choice) (incident.Decision, error) {
	d, err := r.Read(ctx, inc, round, execution)
	if err != nil {
		return incident.Decision{}, err
	}
	if d.Choice != want {
		return incident.Decision{}, Refuse("the decision on request %d of incident %s is %s, not %s", round, inc.ID, d.Choice, want)
	}
	return d, nil
}

// seconded refuses a termination that one person alone decided on: both decisions
// are verified, and that they are of two people.
func (r *Reader) seconded(ctx context.Context, about string, inc incident.Incident, round int, d incident.Decision) error {
	if d.First == "" {
		return Refuse("%s is of one person, and a termination needs two; decide again", about)
	}
	firsts, err := record.LoadFirsts(ctx, r.decisions, r.decisionsTable, inc.ID, round)
	if err != nil {
		return err
	}
	n := slices.IndexFunc(firsts, func(f incident.Decision) bool { return f.Mark() == d.First })
	if n < 0 {
		return Refuse("%s seconds another one that is not there", about)
	}
	first := firsts[n]
	if err := r.check(ctx, "the first of two decisions on request "+fmt.Sprintf("%d of incident %s", round, inc.ID), inc, round, first); err != nil {
		return err
	}
	switch err := incident.TwoPeople(first, d); {
	case err != nil:
		return Refuse("%s needs two people: %v", about, err)
	case first.Choice != incident.Terminate:
		return Refuse("%s seconds one to %s", about, first.Choice)
	case d.Seconds != first.Person:
		return Refuse("%s says that it seconds one of %q, and that is of %q", about, d.Seconds, first.Person)
	case d.Override && !first.Override:
		return Refuse("%s is to terminate although evidence is incomplete, and the first person's is not", about)
	}
	return nil
}

func (r *Reader) check(ctx context.Context, about string, inc incident.Incident, round int, d incident.Decision) error {
	if d.Version != incident.DecisionVersion {
		return Refuse("%s was recorded by another version of Cordon (%d, this one is %d), so its seal cannot be checked; decide again", about, d.Version, incident.DecisionVersion)
	}
	// The seal first: without it nothing else in the item means anything.
	if err := r.verify(ctx, about, d); err != nil {
		return err
	}
	now := r.host.Now()
	switch {
	case d.Incident != inc.ID:
		return Refuse("%s was made for another incident, %s", about, d.Incident)
	case d.Facts != "" && incident.Hash(d.Shown) != d.Facts:
		return Refuse("what %s says was shown to the person was changed after it was made", about)
	case d.Round != round:
		return Refuse("%s was made for another request, %d", about, d.Round)
	case d.InstanceID != inc.InstanceID:
		return Refuse("%s was made about another instance, %s", about, d.InstanceID)
	case !sameTime(d.AttachedAt, inc.AttachedAt):
		return Refuse("%s was made about another machine: its primary interface was attached at %s, this one's at %s", about, stamp(d.AttachedAt), stamp(inc.AttachedAt))
	case !now.Before(d.ExpiresAt):
		return Refuse("%s expired at %s; decide again", about, stamp(d.ExpiresAt))
	}
	if _, err := incident.ParseChoice(string(d.Choice)); err != nil {
		return Refuse("%s cannot be read: %v", about, err)
	}
	return nil
}

// macBytes is the length of an HMAC_SHA_256. KMS refuses a request whose Mac is
// empty or overlong as malformed, which is not an answer about the decision.
const macBytes = 32

// verify asks KMS, which answers a seal that does not fit with an error.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_VerifyMac.html
func (r *Reader) verify(ctx context.Context, about string, d incident.Decision) error {
	if len(d.MAC) != macBytes {
		return Refuse("%s bears no valid seal: somebody other than the decision page wrote it", about)
	}
	out, err := r.kms.VerifyMac(ctx, &kms.VerifyMacInput{
		KeyId: &r.key, MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256, Message: d.Signed(), Mac: d.MAC,
	})
	var invalid *kmstypes.KMSInvalidMacException
	if errors.As(err, &invalid) {
		return Refuse("the seal of %s does not fit: it was changed after it was made, or somebody other than the decision page wrote it", about)
	}
	if err != nil {
		return fmt.Errorf("verify the seal of %s: %w", about, err)
	}
	if !out.MacValid {
		return Refuse("the seal of %s does not fit", about)
	}
	return nil
}

// Machine describes the instance of an incident. The error wraps
// incident.ErrInstanceNotFound if the account does not know it, and
// incident.ErrRefused if it is there and is not the machine of the incident. A
// terminated one has no interfaces left to tell it by and comes back as it is.
func Machine(ctx context.Context, api ec2.DescribeInstancesAPIClient, inc incident.Incident) (ec2types.Instance, error) {
	out, err := api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{inc.InstanceID}})
	var answer smithy.APIError
	if errors.As(err, &answer) && answer.ErrorCode() == "InvalidInstanceID.NotFound" {
		return ec2types.Instance{}, fmt.Errorf("describe %s: %w: %w", inc.InstanceID, err, incident.ErrInstanceNotFound)
	}
	if err != nil {
		return ec2types.Instance{}, fmt.Errorf("describe %s: %w", inc.InstanceID, err)
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			if aws.ToString(i.InstanceId) == inc.InstanceID {
				return i, same(i, inc)
			}
		}
	}
	return ec2types.Instance{}, fmt.Errorf("describe %s: no such instance in the answer: %w", inc.InstanceID, incident.ErrInstanceNotFound)
}

func same(i ec2types.Instance, inc incident.Incident) error {
	if Dead(i) {
		return nil
	}
	for _, n := range i.NetworkInterfaces {
		if a := n.Attachment; a != nil && aws.ToInt32(a.DeviceIndex) == 0 && aws.ToInt32(a.NetworkCardIndex) == 0 {
			if at := aws.ToTime(a.AttachTime); !sameTime(at, inc.AttachedAt) {
				return Refuse("%s is not the machine of the incident any more: its primary interface was attached at %s, that one's at %s", inc.InstanceID, stamp(at), stamp(inc.AttachedAt))
			}
			return nil
		}
	}
	return Refuse("%s shows no primary interface, so nobody can tell whether it is the machine of the incident", inc.InstanceID)
}

// Root refuses a machine whose root volume is not the one that the incident was
// opened about: EC2 can replace it, and what runs then is another system under
// the same ID.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/replace-root.html
func Root(i ec2types.Instance, inc incident.Incident) error {
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs == nil || inc.Root == "" || aws.ToString(m.DeviceName) != aws.ToString(i.RootDeviceName) {
			continue
		}
		if v := aws.ToString(m.Ebs.VolumeId); v != inc.Root {
			return Refuse("%s is not the machine of the incident any more: its root volume is %s, that one's was %s", inc.InstanceID, v, inc.Root)
		}
	}
	return nil
}

// Dead tells whether an instance is terminated or about to be.
func Dead(i ec2types.Instance) bool {
	if i.State == nil {
		return false
	}
	return i.State.Name == ec2types.InstanceStateNameShuttingDown || i.State.Name == ec2types.InstanceStateNameTerminated
}

// Refuse is an error that wraps incident.ErrRefused. The text is a sentence for
// whoever is asked again.
func Refuse(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{incident.ErrRefused}, args...)...)
}

// sameTime compares whole seconds: that is what EC2 tells and the seal covers.
func sameTime(a, b time.Time) bool {
	return a.Truncate(time.Second).Equal(b.Truncate(time.Second))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
