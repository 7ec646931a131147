package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	cftypes "github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/smithy-go"
)

// deployed is a stack as an operator reaches it, with their own credentials.
type deployed struct {
	stack, account, region   string
	url                      string  // of the HTTP API
	incidentsIn, decisionsIn string  // names of the tables
	topics                   []topic // that people must hear: of notifications, and of escalations where somebody is to be told
	evidenceIn               string  // name of the bucket
	signingKey               string  // ARN
	retentionDays            int

	records records
	bus     bus
	sns     topics
	send    func(*http.Request) (*http.Response, error) // signs, too
	now     func() time.Time
	sleep   func(time.Duration)

	objects   versions
	keys      publicKeys
	snapshots snapshots
	elsewhere snapshots // in the evidence account; nil: as --evidence-profile says
	each      func(int, func(int))
}

// records is the part of DynamoDB that an operator reads.
type records interface {
	record.Getter
	record.Querier
	dynamodb.ScanAPIClient
}

// bus is the part of EventBridge that an operator calls.
type bus interface {
	PutEvents(context.Context, *eventbridge.PutEventsInput, ...func(*eventbridge.Options)) (*eventbridge.PutEventsOutput, error)
}

// where is how an operator's command finds its stack.
type where struct {
	Stack  string `help:"Name of the stack." default:"cordon" placeholder:"NAME"`
	Region string `help:"Region of the stack. Without it, that of your AWS configuration." placeholder:"REGION"`
}

// find finds the stack through its outputs.
func (w where) find(ctx context.Context) (*deployed, error) {
	var with []func(*config.LoadOptions) error
	if w.Region != "" {
		with = append(with, config.WithRegion(w.Region))
	}
	cfg, err := config.LoadDefaultConfig(ctx, with...)
	if err != nil {
		return nil, fmt.Errorf("your AWS configuration: %w", err)
	}
	if cfg.Region == "" {
		return nil, errors.New("no Region is configured; give --region, or set AWS_REGION")
	}
	if _, err := cfg.Credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("you have no AWS credentials here: sign in as for the AWS CLI, or name a profile in AWS_PROFILE (%w)", err)
	}
	out, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &w.Stack})
	var answer smithy.APIError
	switch {
	case errors.As(err, &answer) && answer.ErrorCode() == "ValidationError":
		return nil, fmt.Errorf("there is no stack %s in %s in the account of your credentials; give --stack and --region", w.Stack, cfg.Region)
	case err != nil:
		return nil, explain("find the stack "+w.Stack, err)
	case len(out.Stacks) != 1:
		return nil, fmt.Errorf("find the stack %s: %d stacks in the answer", w.Stack, len(out.Stacks))
	}
	d, err := outputs(w.Stack, out.Stacks[0])
	if err != nil {
		return nil, err
	}
	d.records, d.bus, d.sns = dynamodb.NewFromConfig(cfg), eventbridge.NewFromConfig(cfg), sns.NewFromConfig(cfg)
	d.send = signed(cfg, d.region, time.Now, http.DefaultClient.Do)
	d.now, d.sleep, d.each = time.Now, time.Sleep, side
	d.objects, d.keys, d.snapshots = s3.NewFromConfig(cfg), kms.NewFromConfig(cfg), ec2.NewFromConfig(cfg)
	return d, nil
}

// outputs reads what a stack says of itself. Its ID has account and Region.
func outputs(name string, s cftypes.Stack) (*deployed, error) {
	d := &deployed{stack: name}
	part := strings.Split(aws.ToString(s.StackId), ":")
	if len(part) < 6 {
		return nil, fmt.Errorf("stack %s: its ID %q is not an ARN", name, aws.ToString(s.StackId))
	}
	d.region, d.account = part[3], part[4]
	for _, p := range s.Parameters {
		if aws.ToString(p.ParameterKey) == "RetentionDays" {
			var err error
			if d.retentionDays, err = strconv.Atoi(aws.ToString(p.ParameterValue)); err != nil {
				return nil, fmt.Errorf("stack %s: its parameter RetentionDays: %w", name, err)
			}
		}
	}
	said := map[string]string{}
	for _, o := range s.Outputs {
		said[aws.ToString(o.OutputKey)] = aws.ToString(o.OutputValue)
	}
	var notifications string
	for output, to := range map[string]*string{"DecisionUrl": &d.url, "IncidentsTableName": &d.incidentsIn, "DecisionsTableName": &d.decisionsIn, "TopicArn": &notifications, "EvidenceBucketName": &d.evidenceIn, "SigningKeyArn": &d.signingKey} {
		if *to = said[output]; *to == "" {
			return nil, fmt.Errorf("stack %s has no output %s; is it a stack of Cordon, and deployed to its end?", name, output)
		}
	}
	d.topics = []topic{{"notifications", notifications}}
	if escalations := said["EscalationTopicArn"]; escalations != "" {
		d.topics = append(d.topics, topic{"escalations", escalations})
	}
	return d, nil
}

// signed sends requests as who the credentials say, which is what the gateway
// tells the function.
// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-access-control-iam.html
func signed(cfg aws.Config, region string, now func() time.Time, send func(*http.Request) (*http.Response, error)) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		if cfg.Credentials == nil {
			return nil, errors.New("there are no AWS credentials")
		}
		credentials, err := cfg.Credentials.Retrieve(r.Context())
		if err != nil {
			return nil, fmt.Errorf("your AWS credentials: %w", err)
		}
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		hash := sha256.New()
		if _, err := io.Copy(hash, body); err != nil {
			return nil, err
		}
		if err := v4.NewSigner().SignHTTP(r.Context(), credentials, r, hex.EncodeToString(hash.Sum(nil)), "execute-api", region, now()); err != nil {
			return nil, fmt.Errorf("sign the request: %w", err)
		}
		return send(r)
	}
}

// explain says what an operator can do about an answer of AWS.
func explain(what string, err error) error {
	var answer smithy.APIError
	// SNS has a word of its own: https://docs.aws.amazon.com/sns/latest/api/API_ConfirmSubscription.html
	if errors.As(err, &answer) && (strings.Contains(answer.ErrorCode(), "AccessDenied") || answer.ErrorCode() == "AuthorizationError") {
		return fmt.Errorf("%s: your credentials may not (%s); docs/operators.md lists the rights that an operator needs", what, answer.ErrorMessage())
	}
	return fmt.Errorf("%s: %w", what, err)
}

// owns says what keeps an ID from naming an incident of this stack.
func (d *deployed) owns(id string) error {
	key, _, err := incident.SplitID(id)
	if err != nil {
		return fmt.Errorf("%w; cordon list shows them", err)
	}
	owner := strings.Split(key, ".")
	if owner[0] != d.account || owner[1] != d.region {
		return fmt.Errorf("incident %s is of account %s in %s, and the stack %s is in account %s in %s; give --stack and --region, and credentials of that account", id, owner[0], owner[1], d.stack, d.account, d.region)
	}
	return nil
}

// head reads the head of an incident that must be there.
func (d *deployed) head(ctx context.Context, id string) (record.Head, error) {
	if err := d.owns(id); err != nil {
		return record.Head{}, err
	}
	h, err := record.LoadHead(ctx, d.records, d.incidentsIn, id)
	if errors.Is(err, record.ErrNone) {
		return record.Head{}, fmt.Errorf("%w of stack %s; cordon list shows those that are", err, d.stack)
	}
	if err != nil {
		return record.Head{}, explain("read the incident", err)
	}
	return h, nil
}
