package memory

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

const (
	// settling is how long a command may be under way before ListCommands is
	// believed when it says there is none: Run Command is eventually consistent.
	// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
	settling = time.Minute
	// stalled ends a capture that moves no more: SSM itself would wait for the
	// lost agent until executionTimeout. Longer than the host's own patience.
	stalled = 30 * time.Minute
	// grace is what is added to SSM's own time-outs before ours ends the wait.
	grace = 10 * time.Minute
)

// advance does the next thing that is not done yet: upload, addresses, command;
// then it looks.
func (c *capture) advance(ctx context.Context) (Output, error) {
	if err := c.open(ctx); err != nil {
		return Output{}, err
	}
	if c.state.Command == "" && !c.state.SentAt.IsZero() {
		if err := c.adopt(ctx); err != nil {
			return Output{}, err
		}
		if c.state.Command == "" && c.host.Now().Sub(c.state.SentAt) < settling {
			return c.underWay("looking whether the capture command was sent"), nil
		}
	}
	if c.state.Command == "" {
		if err := c.supply(ctx); err != nil {
			return Output{}, err
		}
		if reason, err := c.send(ctx); err != nil {
			return Output{}, err
		} else if reason != "" {
			return c.end(ctx, ending{reason: reason, skipped: true})
		}
		return c.underWay("the capture command was sent"), nil
	}
	return c.look(ctx)
}

// once is how often the SDK may send a call that has no client token. Sent again
// by itself after a lost answer, CreateMultipartUpload begins a second upload and
// SendCommand starts a second capture. The machine runs the step again instead,
// which first looks for the upload by its key, for the command by its comment.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
const once = 1

// open finds or begins the upload. SSE-S3 is asked for, whatever the bucket's
// default is: only then is the ETag of a part the MD5 of its bytes, and that is
// how a part that was altered on its way is found.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html
func (c *capture) open(ctx context.Context) error {
	if c.state.Upload != "" || c.state.Plan.textOnly() {
		return nil
	}
	if c.found {
		if err := c.reopen(ctx); err != nil || c.state.Upload != "" {
			return err
		}
	}
	key := c.key("image.lime")
	out, err := c.s3.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{
		Bucket: &c.bucket, Key: key, ContentType: aws.String("application/octet-stream"), ServerSideEncryption: s3types.ServerSideEncryptionAes256,
	}, func(o *s3.Options) { o.RetryMaxAttempts = once })
	if err != nil {
		return fmt.Errorf("begin the upload of %s: %w", *key, err)
	}
	c.state.Upload = aws.ToString(out.UploadId)
	return c.save(ctx)
}

// reopen finds the upload that an earlier run began and did not record. Of
// several the first is ours to use; nothing was ever sent to the others.
func (c *capture) reopen(ctx context.Context) error {
	key := c.key("image.lime")
	var all []s3types.MultipartUpload
	pages := s3.NewListMultipartUploadsPaginator(c.s3, &s3.ListMultipartUploadsInput{Bucket: &c.bucket, Prefix: key})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("look for an upload of %s: %w", *key, err)
		}
		for _, u := range page.Uploads {
			if aws.ToString(u.Key) == *key {
				all = append(all, u)
			}
		}
	}
	if len(all) == 0 {
		return nil
	}
	first := all[0]
	for _, u := range all[1:] {
		if aws.ToTime(u.Initiated).Before(aws.ToTime(first.Initiated)) {
			first = u
		}
	}
	c.state.Upload = aws.ToString(first.UploadId)
	if err := c.save(ctx); err != nil {
		return err
	}
	for _, u := range all {
		if aws.ToString(u.UploadId) == c.state.Upload {
			continue
		}
		_, err := c.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: key, UploadId: u.UploadId})
		if err != nil && code(err) != "NoSuchUpload" {
			return fmt.Errorf("abort a second upload of %s: %w", *key, err)
		}
	}
	return nil
}

// code is the service's error code; empty if err is none of a service's.
func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

func (c *capture) comment() string { return "cordon memory " + c.id }

// send sends the command. The reason is why SSM does not take it.
func (c *capture) send(ctx context.Context) (string, error) {
	address, err := c.first(ctx)
	if err != nil {
		return "", err
	}
	c.state.SentAt = c.host.Now()
	if err := c.save(ctx); err != nil {
		return "", err
	}
	tool, sha256 := c.tool()
	out, err := c.ssm.SendCommand(ctx, &ssm.SendCommandInput{
		DocumentName: c.documentName(), InstanceIds: []string{c.instance}, Comment: aws.String(c.comment()),
		TimeoutSeconds: aws.Int32(int32(deliverySpan / time.Second)),
		Parameters:     c.state.Plan.parameters(c.id, address, tool, sha256),
	}, func(o *ssm.Options) { o.RetryMaxAttempts = once })
	var unreachable *ssmtypes.InvalidInstanceId
	if errors.As(err, &unreachable) {
		return "SSM takes no command for the instance: " + unreachable.ErrorMessage(), nil
	}
	if err != nil {
		return "", fmt.Errorf("send the capture command to %s: %w", c.instance, err)
	}
	if out.Command == nil || aws.ToString(out.Command.CommandId) == "" {
		return "", fmt.Errorf("send the capture command to %s: the answer has no command ID", c.instance)
	}
	c.state.Command = *out.Command.CommandId
	return "", c.save(ctx)
}

// adopt finds the command whose answer was lost. Of several the first is the
// capture; the host runs one at a time, and the others are cancelled. It does
// not ask by instance: that leaves out what has not reached the instance yet.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommands.html
func (c *capture) adopt(ctx context.Context) error {
	var first *ssmtypes.Command
	var others []string
	pages := ssm.NewListCommandsPaginator(c.ssm, &ssm.ListCommandsInput{Filters: []ssmtypes.CommandFilter{
		{Key: ssmtypes.CommandFilterKeyDocumentName, Value: c.documentName()},
		// It keeps the list short; clocks differ by less than the minutes taken off.
		{Key: ssmtypes.CommandFilterKeyInvokedAfter, Value: aws.String(c.state.SentAt.Add(-5 * time.Minute).UTC().Format(time.RFC3339))},
	}})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("look for the capture command of %s: %w", c.instance, err)
		}
		for _, found := range page.Commands {
			if aws.ToString(found.Comment) != c.comment() {
				continue
			}
			switch {
			case first == nil:
				first = &found
			case aws.ToTime(found.RequestedDateTime).Before(aws.ToTime(first.RequestedDateTime)):
				others = append(others, aws.ToString(first.CommandId))
				first = &found
			default:
				others = append(others, aws.ToString(found.CommandId))
			}
		}
	}
	if first == nil {
		return nil
	}
	for _, id := range others {
		if err := c.cancel(ctx, id); err != nil {
			return err
		}
	}
	c.state.Command = aws.ToString(first.CommandId)
	return c.save(ctx)
}

func (c *capture) cancel(ctx context.Context, command string) error {
	if command == "" {
		return nil
	}
	_, err := c.ssm.CancelCommand(ctx, &ssm.CancelCommandInput{CommandId: &command, InstanceIds: []string{c.instance}})
	// SSM that knows neither the command nor the instance runs nothing there.
	if err != nil && code(err) != "InvalidCommandId" && code(err) != "InvalidInstanceId" {
		return fmt.Errorf("cancel command %s: %w", command, err)
	}
	return nil
}

// look asks how the command is, counts what arrived, and hands out addresses.
func (c *capture) look(ctx context.Context) (Output, error) {
	now := c.host.Now()
	waited := now.Sub(c.state.SentAt)
	out, err := c.ssm.GetCommandInvocation(ctx, &ssm.GetCommandInvocationInput{CommandId: &c.state.Command, InstanceId: &c.instance})
	var unknown *ssmtypes.InvocationDoesNotExist
	if errors.As(err, &unknown) {
		if waited > deliverySpan+grace {
			return c.end(ctx, ending{reason: "SSM has no record of the command", cancel: true})
		}
		return c.underWay("the capture command was sent"), nil
	}
	if err != nil {
		return Output{}, fmt.Errorf("ask how command %s is: %w", c.state.Command, err)
	}
	switch out.Status {
	case ssmtypes.CommandInvocationStatusPending, ssmtypes.CommandInvocationStatusDelayed:
		if waited > deliverySpan+grace {
			return c.end(ctx, ending{reason: "the command did not reach the host", cancel: true})
		}
		return c.underWay("the capture command waits for the host"), nil
	case ssmtypes.CommandInvocationStatusInProgress, ssmtypes.CommandInvocationStatusCancelling:
	default:
		return c.end(ctx, ended(out))
	}

	gone, err := c.count(ctx)
	switch {
	case err != nil:
		return Output{}, err
	case gone:
		return c.end(ctx, ending{reason: "the upload was ended by somebody else", cancel: true})
	case waited > deliverySpan+time.Duration(c.state.Plan.RunSeconds)*time.Second+grace:
		return c.end(ctx, ending{reason: "the capture took longer than the time it has", cancel: true})
	case now.Sub(latest(c.state.Seen.At, c.state.SentAt)) > stalled:
		return c.end(ctx, ending{reason: fmt.Sprintf("no part arrived for %d minutes: the SSM agent is lost or the host was cut off", stalled/time.Minute), cancel: true})
	}
	if err := c.supply(ctx); err != nil {
		return Output{}, err
	}
	if c.state.Plan.textOnly() {
		return c.underWay("no capture program is known for the host: it is asked what runs on it"), nil
	}
	return c.underWay("capturing: %d parts of about %d are there", c.state.Seen.Parts, c.state.Plan.MaxParts), nil
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// count adds the parts that arrived since the last look, and records them if
// there are any. gone says that the upload is not there any more.
func (c *capture) count(ctx context.Context) (gone bool, err error) {
	if c.state.Plan.textOnly() {
		return false, nil
	}
	s := c.state.Seen
	in := &s3.ListPartsInput{Bucket: &c.bucket, Key: c.key("image.lime"), UploadId: &c.state.Upload}
	if s.Last > 0 {
		in.PartNumberMarker = aws.String(strconv.Itoa(int(s.Last)))
	}
	pages := s3.NewListPartsPaginator(c.s3, in)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if code(err) == "NoSuchUpload" {
			return true, nil
		}
		if err != nil {
			return false, fmt.Errorf("list the parts of %s: %w", *in.Key, err)
		}
		for _, p := range page.Parts {
			s.Parts++
			s.Bytes += aws.ToInt64(p.Size)
			s.Last = aws.ToInt32(p.PartNumber)
		}
	}
	if s.Parts == c.state.Seen.Parts {
		return false, nil
	}
	s.At = c.host.Now()
	c.state.Seen = s
	return false, c.save(ctx)
}

// ended is what a finished invocation says of itself.
func ended(out *ssm.GetCommandInvocationOutput) ending {
	e := ending{said: parseLine(aws.ToString(out.StandardOutputContent))}
	// ISO 8601, empty where it did not begin; in another form it is no time to us:
	// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
	if at, err := time.Parse(time.RFC3339, aws.ToString(out.ExecutionEndDateTime)); err == nil {
		e.claimedAt = at.UTC()
	}
	if out.Status == ssmtypes.CommandInvocationStatusSuccess {
		return e
	}
	if e.said == nil || e.said.Status == string(incident.OK) {
		e.reason = "the command ended " + invocationState(out)
	}
	return e
}

// invocationState is SSM's own word: "Delivery Timed Out", "Undeliverable",
// "Terminated", "Failed" …
// https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
func invocationState(out *ssm.GetCommandInvocationOutput) string {
	if d := aws.ToString(out.StatusDetails); d != "" {
		return d
	}
	return string(out.Status)
}
