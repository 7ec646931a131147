package sim

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
)

// STS gives out credentials of the evidence account's role. Calls of EC2 that
// carry them are made in that account, of which there are snapshots only.
type STS struct {
	a        *Account
	there    *EC2
	sessions map[string]time.Time // when they end, by access key
	refuses  bool                 // Behaviour EvidenceRoleRefuses
}

func newSTS(a *Account) *STS {
	s := &STS{a: a, there: newEC2(a), sessions: map[string]time.Time{}}
	if parts := strings.Split(a.settings.Evidence.Role, ":"); len(parts) > 4 {
		s.there.owner = parts[4]
	}
	return s
}

func (s *STS) sections() []section {
	snapshots := kept("EvidenceSnapshots", &s.there.Snapshots)
	snapshots.save = func() any { s.there.completeSnapshots(); return s.there.Snapshots }
	return []section{snapshots, kept("EvidenceLockedSnapshots", &s.there.Locks)}
}

func (s *STS) behaviours() []section {
	return []section{optional("EvidenceRoleRefuses", &s.refuses), optional("EvidenceKeyRefuses", &s.there.quirks.keyRefuses), optional("CopySeconds", &s.a.ec2.quirks.copySeconds)}
}

// AssumeRole gives credentials that end. STS tells nobody whether it was the
// role, its trust or the external ID.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html
// https://docs.aws.amazon.com/IAM/latest/UserGuide/confused-deputy.html
func (s *STS) AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	op := operation{
		service: "sts", action: "AssumeRole", resources: []string{aws.ToString(in.RoleArn)},
		needs: []string{"RoleArn", "RoleSessionName"}, takes: []string{"DurationSeconds", "ExternalId"},
	}
	return invoke(ctx, s.a, op, in, func(in *sts.AssumeRoleInput, _ bool) (*sts.AssumeRoleOutput, error) {
		e := s.a.settings.Evidence
		if s.refuses || e.Role == "" || *in.RoleArn != e.Role || aws.ToString(in.ExternalId) != e.ExternalID {
			return nil, roleRefuses(*in.RoleArn)
		}
		seconds := aws.ToInt32(in.DurationSeconds)
		if seconds == 0 {
			seconds = 3600
		}
		if seconds < 900 || seconds > 43200 {
			return nil, &smithy.GenericAPIError{Code: "ValidationError", Message: "The requested DurationSeconds is not between 900 and the MaxSessionDuration set for this role.", Fault: smithy.FaultClient}
		}
		n := len(s.sessions)
		key, end := "ASIA"+strings.ToUpper(s.a.token("session", n)[:16]), s.a.now().Add(time.Duration(seconds)*time.Second)
		s.sessions[key] = end
		return &sts.AssumeRoleOutput{Credentials: &types.Credentials{
			AccessKeyId: &key, SecretAccessKey: aws.String(s.a.token("secret", n)[:40]), SessionToken: aws.String(s.a.token("token", n)), Expiration: &end,
		}}, nil
	})
}

func roleRefuses(arn string) error {
	return &smithy.GenericAPIError{Code: "AccessDenied", Message: "User: arn:aws:sts::123456789012:assumed-role/simulated/function is not authorized to perform: sts:AssumeRole on resource: " + arn, Fault: smithy.FaultClient}
}

// as is the EC2 of the account whose credentials a call carries: this one's, if
// it carries none.
func (c *EC2) as(ctx context.Context, opts []func(*ec2.Options)) (*EC2, error) {
	var o ec2.Options
	for _, f := range opts {
		f(&o)
	}
	if o.Credentials == nil {
		return c, nil
	}
	with, err := o.Credentials.Retrieve(ctx)
	if err != nil {
		return nil, fmt.Errorf("credentials of a call: %w", err)
	}
	end, ok := c.a.sts.sessions[with.AccessKeyID]
	switch {
	case !ok:
		return nil, ec2Error("AuthFailure", "AWS was not able to validate the provided access credentials")
	case c.a.now().After(end):
		return nil, ec2Error("RequestExpired", "Request has expired.")
	}
	return c.a.sts.there, nil
}
