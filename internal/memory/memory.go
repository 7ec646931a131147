// Package memory captures the RAM of an isolated instance: an SSM command
// streams it, part by part, into a multipart upload in the evidence bucket.
//
// The host gets no AWS key. It gets pre-signed addresses, in batches that stand
// as objects next to the image; each batch names the address of the next, which
// this step writes before the earlier one dies. What the host reports is a
// claim: the hash that S3 made of each part is held against it.
//
//	incidents/ID/memory/image.lime     the image
//	incidents/ID/memory/batch-000001   addresses for the host
//	incidents/ID/memory/report.txt     what the host says it sent
//	incidents/ID/memory/parts.json     that, and what S3 says it got
//
// Where there can be no image, and on Windows, the host sends text about what runs on it:
//
//	incidents/ID/memory/triage-sent.txt  as the host sent it
//	incidents/ID/memory/triage.txt       the same, out of its reach: written by us, locked
package memory

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"slices"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeInstanceTypesAPIClient
}

// SSM is the part of the Systems Manager API this step calls.
type SSM interface {
	ssm.DescribeInstanceInformationAPIClient
	ssm.GetCommandInvocationAPIClient
	ssm.ListCommandsAPIClient
	SendCommand(context.Context, *ssm.SendCommandInput, ...func(*ssm.Options)) (*ssm.SendCommandOutput, error)
	CancelCommand(context.Context, *ssm.CancelCommandInput, ...func(*ssm.Options)) (*ssm.CancelCommandOutput, error)
}

// S3 is the part of the S3 API this step calls, on the evidence bucket.
type S3 interface {
	s3.ListMultipartUploadsAPIClient
	s3.ListPartsAPIClient
	CreateMultipartUpload(context.Context, *s3.CreateMultipartUploadInput, ...func(*s3.Options)) (*s3.CreateMultipartUploadOutput, error)
	CompleteMultipartUpload(context.Context, *s3.CompleteMultipartUploadInput, ...func(*s3.Options)) (*s3.CompleteMultipartUploadOutput, error)
	AbortMultipartUpload(context.Context, *s3.AbortMultipartUploadInput, ...func(*s3.Options)) (*s3.AbortMultipartUploadOutput, error)
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
	GetObject(context.Context, *s3.GetObjectInput, ...func(*s3.Options)) (*s3.GetObjectOutput, error)
	ListObjectsV2(context.Context, *s3.ListObjectsV2Input, ...func(*s3.Options)) (*s3.ListObjectsV2Output, error)
	PutObjectRetention(context.Context, *s3.PutObjectRetentionInput, ...func(*s3.Options)) (*s3.PutObjectRetentionOutput, error)
}

// Presign signs addresses with this function's own credentials: its role needs
// s3:GetObject and s3:PutObject below incidents/, and s3:GetObject of the tool.
type Presign interface {
	PresignGetObject(context.Context, *s3.GetObjectInput, ...func(*s3.PresignOptions)) (*v4.PresignedHTTPRequest, error)
	PresignPutObject(context.Context, *s3.PutObjectInput, ...func(*s3.PresignOptions)) (*v4.PresignedHTTPRequest, error)
	PresignUploadPart(context.Context, *s3.UploadPartInput, ...func(*s3.PresignOptions)) (*v4.PresignedHTTPRequest, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
}

// Input is the incident, where memory can be captured under isolation, and
// where the interfaces were put.
type Input struct {
	Incident  incident.Incident  `json:"incident"`
	Execution string             `json:"execution"` // ARN of the one that asks
	Capture   []incident.Capture `json:"capture"`
	Isolation incident.Isolation `json:"isolation"`
}

// Output says how far the capture is. Until Done the machine asks again.
type Output = incident.Memory

// Step captures memory.
type Step struct {
	host      incident.Host
	ec2       EC2
	ssm       SSM
	s3        S3
	presign   Presign
	incidents Incidents

	table, bucket       string
	document, windows   string // for Linux, for Windows
	toolKey, toolSHA256 string // toolKey empty: memory is off
	armKey, armSHA256   string // of the tool for arm64; empty: it is the same
	retention           time.Duration
	dry                 bool // a dry run: say what would be done
}

// New reads INCIDENTS_TABLE, EVIDENCE_BUCKET and RETENTION_DAYS, and where
// memory is on (MEMORY_TOOL_KEY) also MEMORY_TOOL_SHA256, MEMORY_DOCUMENT and
// MEMORY_WINDOWS_DOCUMENT, with MEMORY_TOOL_ARM64_KEY also MEMORY_TOOL_ARM64_SHA256;
// DRY_RUN where it is set.
func New(host incident.Host, ec2 EC2, ssm SSM, s3 S3, presign Presign, incidents Incidents) (*Step, error) {
	s := &Step{
		host: host, ec2: ec2, ssm: ssm, s3: s3, presign: presign, incidents: incidents, toolKey: host.Getenv("MEMORY_TOOL_KEY"), armKey: host.Getenv("MEMORY_TOOL_ARM64_KEY"),
		dry: host.Getenv("DRY_RUN") == "true",
	}
	for _, setting := range []struct {
		name   string
		to     *string
		needed bool
	}{
		{"INCIDENTS_TABLE", &s.table, true},
		{"EVIDENCE_BUCKET", &s.bucket, true},
		{"MEMORY_TOOL_SHA256", &s.toolSHA256, s.toolKey != ""},
		{"MEMORY_TOOL_ARM64_SHA256", &s.armSHA256, s.armKey != ""},
		{"MEMORY_DOCUMENT", &s.document, s.toolKey != ""},
		{"MEMORY_WINDOWS_DOCUMENT", &s.windows, s.toolKey != ""},
	} {
		v, err := host.Setting(setting.name)
		if err != nil && setting.needed {
			return nil, err
		}
		*setting.to = v
	}
	days, err := host.Number("RETENTION_DAYS")
	if err != nil {
		return nil, err
	}
	s.retention = time.Duration(days * float64(24*time.Hour))
	return s, nil
}

// stepName is the record key of this step.
const stepName = "memory"

// state is what the step knows when it runs again. Each field is written before
// the call that it announces, or right after the call whose answer it is.
type state struct {
	// By is the invocation that wrote it. Two that begin at one moment would write the
	// same otherwise, and each take it for its own.
	By      string    `json:"by"`
	Plan    plan      `json:"plan"`
	Upload  string    `json:"upload"` // ID of the multipart upload; empty until it is known
	Batch   batch     `json:"batch"`  // the newest
	SentAt  time.Time `json:"sentAt"` // when the command was about to be sent; zero before
	Command string    `json:"command"`
	Seen    seen      `json:"seen"`
	// Outcome is what the capture will have been once the upload is completed
	// or aborted; Result is that it has been.
	Outcome *incident.Memory `json:"outcome"`
	Result  *incident.Memory `json:"result"`
}

// seen is how much of the image has arrived.
type seen struct {
	Parts int       `json:"parts"`
	Bytes int64     `json:"bytes"`
	Last  int32     `json:"last"` // highest part number
	At    time.Time `json:"at"`   // when more was seen than before
}

// Run begins the capture, or looks how far it is and moves it on. It is safe to
// repeat: it picks up where an earlier run stopped. Of two runs at once one moves
// it on: the other fails before it does what its state would have announced. Its
// error wraps incident.ErrSuperseded where another execution has the incident.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if s.dry {
		return s.rehearse(ctx, in)
	}
	var st state
	stored, err := record.LoadStored(ctx, s.incidents, s.table, in.Incident.ID, stepName, &st)
	if err != nil {
		return Output{}, err
	}
	if st.Result != nil {
		return *st.Result, nil
	}
	head, err := record.Own(ctx, s.incidents, s.table, in.Incident.ID, in.Execution)
	if err != nil {
		return Output{}, err
	}
	begun, released := stored != "", head.Decision == incident.Release
	if st.By, err = s.name(); err != nil {
		return Output{}, err
	}
	c := &capture{Step: s, id: in.Incident.ID, instance: in.Incident.InstanceID, state: &st, stored: stored, found: begun, assumed: assumed(in.Capture)}
	switch {
	case !begun && released:
		return c.result(ctx, incident.Memory{Report: skipped("the instance was released before the capture began"), Done: true, Released: true})
	case !begun:
		p, reason, err := s.plan(ctx, in)
		if err != nil {
			return Output{}, err
		}
		if reason != "" {
			return c.result(ctx, incident.Memory{Report: skipped(reason), Done: true})
		}
		st.Plan = p
		if err := c.save(ctx); err != nil {
			return Output{}, err
		}
	}
	if st.Outcome != nil {
		return c.settle(ctx)
	}
	if released {
		return c.end(ctx, ending{reason: "the instance was released", released: true, cancel: true})
	}
	return c.advance(ctx)
}

// rehearse says whether memory would be captured, were the interfaces where
// isolate would have put them. It records nothing.
func (s *Step) rehearse(ctx context.Context, in Input) (Output, error) {
	in.Isolation.Interfaces = nil
	for _, c := range in.Capture {
		where := incident.Quarantined
		if c.Complete {
			where = incident.Capturing
		}
		in.Isolation.Interfaces = append(in.Isolation.Interfaces, incident.Interface{VPC: c.VPC, Where: where})
	}
	p, reason, err := s.plan(ctx, in)
	if err != nil {
		return Output{}, err
	}
	switch {
	case reason != "":
	case p.textOnly():
		reason = "it would ask the host over SSM what runs on it and keep that text in the evidence bucket; there would be no memory image"
	default:
		reason = fmt.Sprintf("it would stream the memory over SSM into the evidence bucket, %d parts of %d MiB at most", p.MaxParts, p.PartBytes>>20)
	}
	return Output{Report: skipped("dry run: " + reason), Done: true}, nil
}

// name is one that no other invocation has.
func (s *Step) name() (string, error) {
	b := make([]byte, 8)
	if _, err := io.ReadFull(s.host.Rand, b); err != nil {
		return "", fmt.Errorf("draw a name for this invocation: %w", err)
	}
	return hex.EncodeToString(b), nil
}

func skipped(reason string) incident.Report {
	return incident.Report{Status: incident.Skipped, Reason: reason}
}

// capture is one run's work on one incident.
type capture struct {
	*Step
	id, instance string
	state        *state
	stored       record.Stored // state as it stands in the record
	found        bool          // an earlier run got at least as far as its plan
	assumed      []string      // what was taken for granted of central endpoints
}

// assumed is what was taken for granted where interfaces may capture.
func assumed(all []incident.Capture) (what []string) {
	for _, c := range all {
		if c.Complete {
			what = append(what, c.Assumed...)
		}
	}
	slices.Sort(what)
	return slices.Compact(what)
}

func (c *capture) key(name string) *string {
	k := "incidents/" + c.id + "/memory/" + name
	return &k
}

// save announces what is about to be done, or keeps the answer to it, unless
// another invocation did something meanwhile that this one does not know.
func (c *capture) save(ctx context.Context) error {
	stored, err := c.stored.Swap(ctx, c.incidents, c.table, c.id, stepName, c.state)
	if err == nil {
		c.stored = stored
	}
	return err
}

// result ends the capture for good: whoever asks again gets this answer.
func (c *capture) result(ctx context.Context, m incident.Memory) (Output, error) {
	c.state.Result = &m
	return m, c.save(ctx)
}

// underWay is the answer while there is something to wait for.
func (c *capture) underWay(format string, args ...any) Output {
	return Output{
		Report: incident.Report{Status: incident.OK, Reason: fmt.Sprintf(format, args...)},
		Object: *c.key("image.lime"), Bytes: c.state.Seen.Bytes, Parts: c.state.Seen.Parts, BegunAt: c.state.SentAt,
	}
}
