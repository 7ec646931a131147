package memory

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"cordon/internal/evidence"
	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// ending is why a capture is over.
type ending struct {
	said     *line  // the host's last line, if it came
	reason   string // what is wrong, seen from here; empty if nothing is
	skipped  bool   // it never began
	released bool
	cancel   bool // the command may still be under way

	claimedAt time.Time // when the agent says the command ended; zero if it did not
}

// line is the one line of JSON that capture.sh prints. All of it is a claim.
type line struct {
	Status       string `json:"status"`
	Reason       string `json:"reason"`
	Parts        int    `json:"parts"`
	Bytes        int64  `json:"bytes"`
	SHA256       string `json:"sha256"`
	Kernel       string `json:"kernel"`
	Machine      string `json:"machine"`
	Lockdown     string `json:"lockdown"`
	FootprintKiB int64  `json:"footprintKiB"`
	Triage       string `json:"triage"` // SHA-256 of the text it sent; empty if it sent none
	Tool         int    `json:"tool"`   // exit status of the capture program, -1 if it was not run
	Said         string `json:"said"`   // the end of its error output
}

// parseLine reads the last line of the command's output; nil if it is not ours.
func parseLine(output string) *line {
	output = strings.TrimSpace(output)
	l := new(line)
	if json.Unmarshal([]byte(output[strings.LastIndexByte(output, '\n')+1:]), l) != nil || l.Status == "" {
		return nil
	}
	return l
}

// claim is one part as the host says it sent it.
type claim struct {
	Bytes  int64  `json:"bytes"`
	MD5    string `json:"md5"`
	SHA256 string `json:"sha256"`
}

// maxReport is far above 10,000 lines of about 120 bytes.
const maxReport = 4 << 20

// parseReport reads report.txt: one line a part, then the host's last line.
func parseReport(r io.Reader) (map[int32]claim, *line) {
	claims, last := map[int32]claim{}, (*line)(nil)
	lines := bufio.NewScanner(io.LimitReader(r, maxReport))
	for lines.Scan() {
		var n int32
		var c claim
		if rest, ok := strings.CutPrefix(lines.Text(), "end "); ok {
			last = parseLine(rest)
		} else if k, err := fmt.Sscanf(lines.Text(), "part %d %d %32s %64s", &n, &c.Bytes, &c.MD5, &c.SHA256); err == nil && k == 4 {
			claims[n] = c
		}
	}
	return claims, last
}

// finding is one part as S3 has it, next to the host's claim.
type finding struct {
	Number int32  `json:"number"`
	Bytes  int64  `json:"bytes"`
	ETag   string `json:"etag"`
	Claim  *claim `json:"claim"`
	Left   bool   `json:"leftOut"` // too small to be part of an upload
}

// end stops the command where it may still run, decides what the capture has
// come to, records that, and completes or aborts the upload.
func (c *capture) end(ctx context.Context, e ending) (Output, error) {
	if c.state.Upload == "" && c.found && !c.state.Plan.textOnly() {
		if err := c.reopen(ctx); err != nil {
			return Output{}, err
		}
	}
	if e.cancel {
		if c.state.Command == "" && !c.state.SentAt.IsZero() {
			if err := c.adopt(ctx); err != nil {
				return Output{}, err
			}
		}
		if err := c.cancel(ctx, c.state.Command); err != nil {
			return Output{}, err
		}
	}
	parts, gone, err := c.parts(ctx, mostParts)
	if err != nil {
		return Output{}, err
	}
	if len(parts) > 0 {
		c.state.Seen.Last = parts[len(parts)-1].Number
	}
	var claims map[int32]claim
	if len(parts) > 0 {
		var last *line
		if claims, last, err = c.report(ctx); err != nil {
			return Output{}, err
		}
		if e.said == nil {
			e.said = last
		}
	}
	m := c.judge(e, parts, claims)
	if gone && e.reason == "" {
		m.Status, m.Reason = incident.Failed, "the upload was ended by somebody else"
	}
	if len(parts) == 0 && !e.released && !c.state.SentAt.IsZero() {
		if err := c.triage(ctx, e.said, &m); err != nil {
			return Output{}, err
		}
	}
	if len(parts) > 0 {
		if err := c.manifest(ctx, m, e.said, parts); err != nil {
			return Output{}, err
		}
	}
	m.BegunAt, m.ClaimedAt, m.EndedAt = c.state.SentAt, e.claimedAt, c.host.Now().UTC()
	c.state.Outcome = &m
	if err := c.save(ctx); err != nil {
		return Output{}, err
	}
	return c.complete(ctx, parts)
}

// settle is end for a run that finds the outcome recorded: the upload may be
// as it was, or gone because the answer to completing it was lost. A part that
// came after the outcome was recorded stays out.
func (c *capture) settle(ctx context.Context) (Output, error) {
	parts, _, err := c.parts(ctx, c.state.Seen.Last)
	if err != nil {
		return Output{}, err
	}
	return c.complete(ctx, parts)
}

// parts lists the upload up to that part number. A part below S3's least size makes the whole upload
// fail unless it is the last: only a hostile host sends one, and it is left out.
func (c *capture) parts(ctx context.Context, last int32) (parts []finding, gone bool, err error) {
	if c.state.Upload == "" {
		return nil, false, nil
	}
	pages := s3.NewListPartsPaginator(c.s3, &s3.ListPartsInput{Bucket: &c.bucket, Key: c.key("image.lime"), UploadId: &c.state.Upload})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if code(err) == "NoSuchUpload" {
			return nil, true, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("list the parts of %s: %w", *c.key("image.lime"), err)
		}
		for _, p := range page.Parts {
			if aws.ToInt32(p.PartNumber) > last {
				continue
			}
			parts = append(parts, finding{Number: aws.ToInt32(p.PartNumber), Bytes: aws.ToInt64(p.Size), ETag: strings.Trim(aws.ToString(p.ETag), `"`)})
		}
	}
	for n := range parts {
		parts[n].Left = parts[n].Bytes < smallestPart && n < len(parts)-1
	}
	return parts, false, nil
}

// report reads what the host says it sent; nothing if it never said so.
func (c *capture) report(ctx context.Context) (map[int32]claim, *line, error) {
	there, err := evidence.Exists(ctx, c.s3, c.bucket, *c.key("report.txt"))
	if err != nil || !there {
		return nil, nil, err
	}
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: c.key("report.txt")})
	if err != nil {
		return nil, nil, fmt.Errorf("read the host's report: %w", err)
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxReport))
	if err != nil {
		return nil, nil, fmt.Errorf("read the host's report: %w", err)
	}
	claims, last := parseReport(bytes.NewReader(text))
	return claims, last, nil
}

// judge says what the capture has come to. It joins each part to its claim.
func (c *capture) judge(e ending, parts []finding, claims map[int32]claim) incident.Memory {
	m := incident.Memory{Done: true, Released: e.released}
	var wrong []string
	note := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if e.reason != "" {
		note("%s", e.reason)
	}
	said := e.said
	if said != nil && said.Status != string(incident.OK) {
		note("%s", inWords(said.Reason))
	}
	if len(parts) == 0 {
		m.Status = incident.Failed
		if e.skipped || e.released || said != nil && said.Status == string(incident.Skipped) {
			m.Status = incident.Skipped
		}
		if len(wrong) == 0 {
			note("nothing arrived")
		}
		if m.Status == incident.Failed && len(c.assumed) > 0 {
			note("it was taken for granted that %s", strings.Join(c.assumed, ", and that "))
		}
		m.Reason = strings.Join(wrong, "; ")
		return m
	}

	m.Object = *c.key("image.lime")
	var altered, unclaimed, left, missing []int32
	next := int32(1)
	for n := range parts {
		p := &parts[n]
		for ; next < p.Number; next++ {
			missing = append(missing, next)
		}
		next = p.Number + 1
		if p.Left {
			left = append(left, p.Number)
			continue
		}
		m.Parts++
		m.Bytes += p.Bytes
		switch stated, ok := claims[p.Number]; {
		case !ok:
			unclaimed = append(unclaimed, p.Number)
		case stated.Bytes != p.Bytes || !strings.EqualFold(stated.MD5, p.ETag):
			p.Claim = &stated
			altered = append(altered, p.Number)
		default:
			p.Claim = &stated
		}
	}
	list(note, "altered on the way, not what the host says it sent", altered)
	list(note, "missing", missing)
	if said != nil { // else all are, which is said below
		list(note, "without a hash from the host", unclaimed)
	}
	list(note, "too small for an upload and left out", left)
	switch {
	case said == nil:
		note("the host did not report the end of its capture")
	default:
		m.SHA256 = hexOnly(said.SHA256)
		if said.Status == string(incident.OK) && (said.Parts != m.Parts || said.Bytes != m.Bytes) {
			note("the host says %d parts with %d bytes, S3 has %d with %d", said.Parts, said.Bytes, m.Parts, m.Bytes)
		}
	}
	m.Status, m.Reason = incident.OK, strings.Join(wrong, "; ")
	if len(wrong) > 0 {
		m.Status = incident.Partial
	}
	return m
}

// list notes part numbers, the first few by name.
func list(note func(string, ...any), what string, numbers []int32) {
	const most = 5
	if len(numbers) == 0 {
		return
	}
	named := strings.Trim(fmt.Sprint(numbers[:min(most, len(numbers))]), "[]")
	if len(numbers) > most {
		named += " …"
	}
	part := "parts"
	if len(numbers) == 1 {
		part = "part"
	}
	note("%d %s %s: %s", len(numbers), part, what, named)
}

// hexOnly is a SHA-256 as the host gave it, or nothing.
func hexOnly(s string) string {
	if len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return ""
	}
	return s
}

// manifest stores both sides: what the host claims of each part and what S3
// has. It is locked as it is written.
func (c *capture) manifest(ctx context.Context, m incident.Memory, said *line, parts []finding) error {
	text, err := json.MarshalIndent(struct {
		Incident string          `json:"incident"`
		Upload   string          `json:"upload"`
		Memory   incident.Memory `json:"memory"`
		Host     *line           `json:"host"` // a claim
		Parts    []finding       `json:"parts"`
	}{c.id, c.state.Upload, m, said, parts}, "", " ")
	if err != nil {
		return fmt.Errorf("encode the list of parts: %w", err)
	}
	key := c.key("parts.json")
	if _, err := c.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &c.bucket, Key: key, Body: bytes.NewReader(text), ContentType: aws.String("application/json"), ServerSideEncryption: s3types.ServerSideEncryptionAes256,
		ObjectLockMode: s3types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(c.host.Now().Add(c.retention)),
	}); err != nil {
		return fmt.Errorf("write %s: %w", *key, err)
	}
	return nil
}

const (
	triageSent = "triage-sent.txt"
	// maxTriage is what the host sends at most: capture.sh's longest.
	maxTriage = 8 << 20
)

// triage keeps the host's text, if it sent one, under a key that no address of
// the host's leads to, locked as it is written. That makes the capture partial,
// never whole: there is no image.
func (c *capture) triage(ctx context.Context, said *line, m *incident.Memory) error {
	sent := *c.key(triageSent)
	there, err := evidence.Exists(ctx, c.s3, c.bucket, sent)
	if err != nil || !there {
		return err
	}
	out, err := c.s3.GetObject(ctx, &s3.GetObjectInput{Bucket: &c.bucket, Key: &sent})
	if err != nil {
		return fmt.Errorf("read the host's text: %w", err)
	}
	defer out.Body.Close()
	text, err := io.ReadAll(io.LimitReader(out.Body, maxTriage)) // only a hostile host sends more
	if err != nil {
		return fmt.Errorf("read the host's text: %w", err)
	}
	now := c.host.Now()
	key := c.key("triage.txt")
	if _, err := c.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &c.bucket, Key: key, Body: bytes.NewReader(text), ContentType: aws.String("text/plain"), ServerSideEncryption: s3types.ServerSideEncryptionAes256,
		ObjectLockMode: s3types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(now.Add(c.retention)),
	}); err != nil {
		return fmt.Errorf("write %s: %w", *key, err)
	}
	sum := sha256.Sum256(text)
	m.Triage = incident.Kept{Report: incident.Report{Status: incident.OK}, Object: *key, Bytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:]), At: now}
	m.Status, m.Reason = incident.Partial, "no memory image, but text of what ran: "+m.Reason
	if said != nil && said.Triage != m.Triage.SHA256 {
		m.Triage.Report = incident.Report{Status: incident.Partial, Reason: "it is not what the host says it sent"}
		m.Reason += "; the text is not what the host says it sent"
	}
	return nil
}

// complete carries out the recorded outcome. Every path ends with the object
// locked, or with no upload left.
func (c *capture) complete(ctx context.Context, parts []finding) (Output, error) {
	key := c.key("image.lime")
	switch {
	case c.state.Upload == "":
		return c.result(ctx, *c.state.Outcome)
	case c.state.Outcome.Parts == 0:
		_, err := c.s3.AbortMultipartUpload(ctx, &s3.AbortMultipartUploadInput{Bucket: &c.bucket, Key: key, UploadId: &c.state.Upload})
		if err != nil && code(err) != "NoSuchUpload" {
			return Output{}, fmt.Errorf("abort the upload of %s: %w", *key, err)
		}
		return c.result(ctx, *c.state.Outcome)
	case len(parts) > 0:
		var all []s3types.CompletedPart
		for _, p := range parts {
			if !p.Left {
				all = append(all, s3types.CompletedPart{PartNumber: aws.Int32(p.Number), ETag: aws.String(`"` + p.ETag + `"`)})
			}
		}
		if _, err := c.s3.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{
			Bucket: &c.bucket, Key: key, UploadId: &c.state.Upload, MultipartUpload: &s3types.CompletedMultipartUpload{Parts: all},
		}); err != nil {
			return Output{}, fmt.Errorf("complete the upload of %s: %w", *key, err)
		}
	default: // the upload is gone: a run whose answer was lost completed it, or somebody ended it
		there, err := evidence.Exists(ctx, c.s3, c.bucket, *key)
		if err != nil {
			return Output{}, err
		}
		if !there {
			m := *c.state.Outcome
			m.Report = incident.Report{Status: incident.Failed, Reason: "the upload was ended by somebody else before it could be completed"}
			m.Object, m.Parts, m.Bytes = "", 0, 0
			return c.result(ctx, m)
		}
	}

	if _, err := c.s3.PutObjectRetention(ctx, &s3.PutObjectRetentionInput{
		Bucket: &c.bucket, Key: key,
		Retention: &s3types.ObjectLockRetention{Mode: s3types.ObjectLockRetentionModeGovernance, RetainUntilDate: aws.Time(c.host.Now().Add(c.retention))},
	}); err != nil {
		return Output{}, fmt.Errorf("lock %s: %w", *key, err)
	}
	return c.result(ctx, *c.state.Outcome)
}
