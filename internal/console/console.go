// Package console keeps what an instance shows on its console: its output, as
// text, and a picture of its screen. Both are evidence that termination destroys.
// They may hold secrets, so they go into the evidence bucket and nowhere else.
//
//	incidents/ID/console/output.txt
//	incidents/ID/console/screenshot.jpg
package console

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"cordon/internal/evidence"
	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// EC2 is the part of the EC2 API this step calls.
type EC2 interface {
	GetConsoleOutput(context.Context, *ec2.GetConsoleOutputInput, ...func(*ec2.Options)) (*ec2.GetConsoleOutputOutput, error)
	GetConsoleScreenshot(context.Context, *ec2.GetConsoleScreenshotInput, ...func(*ec2.Options)) (*ec2.GetConsoleScreenshotOutput, error)
}

// S3 is the part of the S3 API this step calls, on the evidence bucket.
type S3 interface {
	evidence.Lister
	evidence.Getter
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Incidents is the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
}

// stepName is this step's key in the record.
const stepName = "console"

// Step keeps consoles.
type Step struct {
	host      incident.Host
	ec2       EC2
	s3        S3
	incidents Incidents

	table, bucket string
	retention     time.Duration
	dry           bool // a dry run: nothing is looked at or kept
}

// New reads INCIDENTS_TABLE, EVIDENCE_BUCKET, RETENTION_DAYS, and, where it is
// set, DRY_RUN.
func New(host incident.Host, ec2 EC2, s3 S3, incidents Incidents) (*Step, error) {
	s := &Step{host: host, ec2: ec2, s3: s3, incidents: incidents, dry: host.Getenv("DRY_RUN") == "true"}
	var err error
	if s.table, err = host.Setting("INCIDENTS_TABLE"); err != nil {
		return nil, err
	}
	if s.bucket, err = host.Setting("EVIDENCE_BUCKET"); err != nil {
		return nil, err
	}
	days, err := host.Number("RETENTION_DAYS")
	s.retention = time.Duration(days * float64(24*time.Hour))
	return s, err
}

// Input is the incident.
type Input struct {
	Incident incident.Incident `json:"incident"`
}

// Output is what was kept, and why what was not.
type Output = incident.Console

// Run keeps output and picture, side by side. What was kept, or cannot be had, in
// an earlier run stays as it is. Where something failed, the record says so and
// the error lets the machine try again.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if s.dry {
		skipped := incident.Report{Status: incident.Skipped, Reason: "dry run"}
		return Output{Report: skipped, Output: incident.Kept{Report: skipped}, Screenshot: incident.Kept{Report: skipped}}, nil
	}
	var out Output
	if _, err := record.LoadStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, &out); err != nil {
		return Output{}, err
	}
	prefix := "incidents/" + in.Incident.ID + "/console/"
	there, err := s.objects(ctx, prefix)
	if err != nil {
		return Output{}, err
	}
	parts := []struct {
		to        *incident.Kept
		key, kind string
		have      func(ctx context.Context, instance string) (data []byte, note string, err error)
	}{
		{&out.Output, prefix + "output.txt", "text/plain", s.output},
		{&out.Screenshot, prefix + "screenshot.jpg", "image/jpeg", s.screenshot},
	}
	errs := make([]error, len(parts))
	s.host.Each(len(parts), func(n int) {
		p := parts[n]
		if p.to.Status == incident.OK || p.to.Status == incident.Skipped {
			return
		}
		*p.to, errs[n] = s.keep(ctx, there, p.key, p.kind, func() ([]byte, string, error) { return p.have(ctx, in.Incident.InstanceID) })
		if errs[n] != nil {
			*p.to = incident.Kept{Report: incident.Report{Status: incident.Failed, Reason: errs[n].Error()}}
			errs[n] = fmt.Errorf("keep %s: %w", p.key, errs[n])
		}
	})
	out.Report = together(out.Output.Status, out.Screenshot.Status)
	return out, errors.Join(append(errs, record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, out))...)
}

func together(output, screenshot incident.Status) incident.Report {
	switch {
	case output == incident.OK && screenshot == incident.OK:
		return incident.Report{Status: incident.OK}
	case output == incident.OK || screenshot == incident.OK:
		return incident.Report{Status: incident.Partial, Reason: "one of output and screenshot was not kept"}
	case output == incident.Failed || screenshot == incident.Failed:
		return incident.Report{Status: incident.Failed, Reason: "neither output nor screenshot was kept"}
	}
	return incident.Report{Status: incident.Skipped, Reason: "there was neither output nor screenshot"}
}

// errNone is why there is nothing to keep: an answer, not a failure.
type errNone string

func (e errNone) Error() string { return string(e) }

// keep stores an object, or finds the one that an earlier run stored before its
// answer was lost: the first stays, because it was nearer to the deed.
func (s *Step) keep(ctx context.Context, there map[string]time.Time, key, kind string, have func() ([]byte, string, error)) (incident.Kept, error) {
	if at, ok := there[key]; ok {
		return s.kept(ctx, key, at)
	}
	data, note, err := have()
	if none := errNone(""); errors.As(err, &none) {
		return incident.Kept{Report: incident.Report{Status: incident.Skipped, Reason: none.Error()}}, nil
	}
	if err != nil {
		return incident.Kept{}, err
	}
	now := s.host.Now().UTC()
	_, err = s.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &s.bucket, Key: &key, Body: bytes.NewReader(data), ContentType: &kind, IfNoneMatch: aws.String("*"),
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(now.Add(s.retention)),
	})
	if evidence.Taken(err) { // another run was faster
		return s.kept(ctx, key, now)
	}
	if err != nil {
		return incident.Kept{}, fmt.Errorf("write: %w", err)
	}
	sum := sha256.Sum256(data)
	return incident.Kept{Report: incident.Report{Status: incident.OK, Reason: note}, Object: key, Bytes: int64(len(data)), SHA256: hex.EncodeToString(sum[:]), At: now}, nil
}

// kept is an object that is there.
func (s *Step) kept(ctx context.Context, key string, at time.Time) (incident.Kept, error) {
	o, err := evidence.Hash(ctx, s.s3, s.bucket, key)
	if err != nil {
		return incident.Kept{}, err
	}
	return incident.Kept{Report: incident.Report{Status: incident.OK}, Object: key, Bytes: o.Bytes, SHA256: o.SHA256, At: at}, nil
}

// objects are those below a prefix, two at most, with the time they were stored.
func (s *Step) objects(ctx context.Context, prefix string) (map[string]time.Time, error) {
	out, err := s.s3.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &s.bucket, Prefix: &prefix})
	if err != nil {
		return nil, fmt.Errorf("look for %s: %w", prefix, err)
	}
	there := map[string]time.Time{}
	for _, o := range out.Contents {
		there[aws.ToString(o.Key)] = aws.ToTime(o.LastModified).UTC()
	}
	return there, nil
}

// output is the serial console as it is now. Instances before Nitro have only
// what EC2 posted when they last started, stopped or rebooted; Windows has its
// last three errors there.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-unreachable-instance.html#instance-console-console-output
func (s *Step) output(ctx context.Context, instance string) (data []byte, note string, err error) {
	out, err := s.ec2.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: &instance, Latest: aws.Bool(true)})
	if unsupported(err) || err == nil && aws.ToString(out.Output) == "" {
		out, err = s.ec2.GetConsoleOutput(ctx, &ec2.GetConsoleOutputInput{InstanceId: &instance})
		if err == nil {
			note = "as EC2 posted it at " + aws.ToTime(out.Timestamp).UTC().Format(time.RFC3339) + "; there is no later one"
		}
	}
	if err != nil {
		return nil, "", none(err)
	}
	if aws.ToString(out.Output) == "" {
		return nil, "", errNone("EC2 has no output of this instance")
	}
	data, err = base64.StdEncoding.DecodeString(*out.Output)
	return data, note, err
}

// screenshot never wakes the screen up: that is a key pressed on the machine.
// Metal, Graviton and some others have none.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/troubleshoot-unreachable-instance.html#instance-console-screenshot
func (s *Step) screenshot(ctx context.Context, instance string) (data []byte, note string, err error) {
	out, err := s.ec2.GetConsoleScreenshot(ctx, &ec2.GetConsoleScreenshotInput{InstanceId: &instance})
	if err != nil {
		return nil, "", none(err)
	}
	if aws.ToString(out.ImageData) == "" {
		return nil, "", errNone("EC2 has no screenshot of this instance")
	}
	data, err = base64.StdEncoding.DecodeString(*out.ImageData)
	return data, "", err
}

// none makes of what EC2 does not offer for an instance, and will not, that there
// is nothing. Every other error may pass.
func none(err error) error {
	var answer smithy.APIError
	if unsupported(err) && errors.As(err, &answer) {
		return errNone("EC2 has none of this instance: " + answer.ErrorMessage())
	}
	return err
}

func unsupported(err error) bool {
	var answer smithy.APIError
	return errors.As(err, &answer) && answer.ErrorCode() == "UnsupportedOperation"
}
