// Package journal copies each change of the record into the incident's journal:
// one locked object a change, chained to the one before. It reads the streams of
// the two tables, so no step waits for it and none can write the journal itself.
//
// Records of a stream come in the order in which a partition was changed, and
// come again where an invocation failed. The two tables, and the partitions of
// one, come side by side: whoever finds a number taken takes the next.
//
// A batch that fails comes again and holds its shard, and so the journals of other
// incidents. So only what may pass by itself is an error. Where an incident's
// journal cannot be written on, because what is there is not what was written, its
// changes are set aside, as locked objects of their own, and go into the journal
// once it can be written on again.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
package journal

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"cordon/internal/chain"
	"cordon/internal/evidence"
	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// S3 is the part of the S3 API this step calls, on the evidence bucket.
type S3 interface {
	evidence.Lister
	evidence.Getter
	PutObject(context.Context, *s3.PutObjectInput, ...func(*s3.Options)) (*s3.PutObjectOutput, error)
}

// Input is a batch of one shard, as Lambda hands it over.
type Input struct {
	Records []Change `json:"Records"`
}

// Change is one record of a stream.
type Change struct {
	EventID        string `json:"eventID"`
	EventName      string `json:"eventName"` // INSERT, MODIFY or REMOVE
	EventSourceARN string `json:"eventSourceARN"`
	DynamoDB       struct {
		ApproximateCreationDateTime float64      `json:"ApproximateCreationDateTime"` // seconds since 1970
		Keys                        record.Image `json:"Keys"`
		NewImage                    record.Image `json:"NewImage"`
		OldImage                    record.Image `json:"OldImage"`
		SequenceNumber              string       `json:"SequenceNumber"`
	} `json:"dynamodb"`
}

// Output says how many changes were of incidents.
type Output struct {
	incident.Report
	Entries int    `json:"entries"` // that are in a journal now, or set aside, those of an earlier invocation included
	Others  int    `json:"others"`  // of no incident
	Aside   int    `json:"aside"`   // of the entries, those that are set aside
	Alarm   string `json:"alarm"`   // what a metric filter looks for: alarmAside, or empty
}

// alarmAside is what the template's metric filter looks for.
const alarmAside = "journal set aside"

// Step writes journals.
type Step struct {
	host      incident.Host
	s3        S3
	tables    map[string]string // by name: what an entry calls them
	bucket    string
	retention time.Duration
}

// New reads EVIDENCE_BUCKET, INCIDENTS_TABLE, DECISIONS_TABLE and RETENTION_DAYS.
func New(host incident.Host, s3 S3) (*Step, error) {
	s := &Step{host: host, s3: s3, tables: map[string]string{}}
	var err error
	if s.bucket, err = host.Setting("EVIDENCE_BUCKET"); err != nil {
		return nil, err
	}
	for setting, called := range map[string]string{"INCIDENTS_TABLE": "incidents", "DECISIONS_TABLE": "decisions"} {
		name, err := host.Setting(setting)
		if err != nil {
			return nil, err
		}
		s.tables[name] = called
	}
	days, err := host.Number("RETENTION_DAYS")
	if err != nil {
		return nil, err
	}
	s.retention = time.Duration(days * float64(24*time.Hour))
	return s, nil
}

// Run writes a batch. It is safe to repeat: what is in a journal already is
// found there. Its error is that of the whole batch, which then comes again; the
// changes of other incidents are written all the same.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	out := Output{Report: incident.Report{Status: incident.OK}}
	var ids []string
	var unread []error
	of := map[string][]chain.Entry{}
	for _, c := range in.Records {
		id, ok := record.Whose(c.DynamoDB.Keys.Text("pk"), c.DynamoDB.Keys.Text("sk"))
		if !ok {
			out.Others++
			continue
		}
		e, err := s.entry(id, c)
		if err != nil {
			unread = append(unread, err)
			continue
		}
		if of[id] == nil {
			ids = append(ids, id)
		}
		of[id] = append(of[id], e)
		out.Entries++
	}
	errs, aside := make([]error, len(ids)), make([]int, len(ids))
	s.host.Each(len(ids), func(n int) { aside[n], errs[n] = s.write(ctx, ids[n], of[ids[n]]) })
	for _, n := range aside {
		out.Aside += n
	}
	if out.Aside > 0 {
		out.Alarm = alarmAside
		out.Report = incident.Report{Status: incident.Partial, Reason: fmt.Sprintf("%d of %d entries are set aside", out.Aside, out.Entries)}
	}
	return out, errors.Join(append(unread, errs...)...)
}

// entry is a change as an entry, without its place in the chain.
func (s *Step) entry(id string, c Change) (chain.Entry, error) {
	_, rest, _ := strings.Cut(c.EventSourceARN, ":table/") // NAME/stream/TIME
	name, _, _ := strings.Cut(rest, "/")
	table := s.tables[name]
	if table == "" || c.EventID == "" || c.DynamoDB.SequenceNumber == "" {
		return chain.Entry{}, fmt.Errorf("a change of incident %s is not one of the stack's tables: event %q of %q", id, c.EventID, c.EventSourceARN)
	}
	seconds, part := math.Modf(c.DynamoDB.ApproximateCreationDateTime)
	e := chain.Entry{
		Format: chain.Format, Incident: id, At: time.Unix(int64(seconds), int64(part*1e9)).UTC(), Event: c.EventID, Stream: c.DynamoDB.SequenceNumber,
		Table: table, Change: c.EventName, PK: c.DynamoDB.Keys.Text("pk"), SK: c.DynamoDB.Keys.Text("sk"),
	}
	var left, leftOld []string
	if c.DynamoDB.NewImage != nil {
		e.New, left = c.DynamoDB.NewImage.Told()
	}
	if c.DynamoDB.OldImage != nil {
		e.Old, leftOld = c.DynamoDB.OldImage.Told()
		maps.DeleteFunc(e.Old, func(name string, was json.RawMessage) bool { return bytes.Equal(e.New[name], was) })
	}
	e.Without = append(left, leftOld...)
	slices.Sort(e.Without)
	e.Without = append([]string{}, slices.Compact(e.Without)...)
	return e, nil
}

// journal is one incident's, as far as it is known.
type journal struct {
	*Step
	id   string
	tail chain.Entry // the last entry; its Sequence is 0 where there is none
	sum  string      // of the tail
	seen map[int]chain.Entry
	// aside are the names of what was set aside, and of what says that it was written since.
	aside []string
}

// write appends the changes that the journal does not have, behind those that were
// set aside before. It says how many it set aside.
func (s *Step) write(ctx context.Context, id string, changes []chain.Entry) (aside int, err error) {
	j := &journal{Step: s, id: id, seen: map[int]chain.Entry{}}
	err = j.open(ctx)
	if err == nil {
		err = j.recall(ctx)
	}
	for err == nil && len(changes) > 0 {
		if err = j.add(ctx, changes[0]); err == nil {
			changes = changes[1:]
		}
	}
	if errors.Is(err, chain.ErrBroken) {
		aside, err = len(changes), j.setAside(ctx, changes, err)
	}
	if err != nil {
		return 0, fmt.Errorf("journal of incident %s: %w", id, err)
	}
	return aside, nil
}

// add appends a change that the journal does not have.
func (j *journal) add(ctx context.Context, e chain.Entry) error {
	there, err := j.has(ctx, e)
	if err == nil && !there {
		err = j.append(ctx, e)
	}
	if err != nil {
		return fmt.Errorf("event %s: %w", e.Event, err)
	}
	return nil
}

// open finds the last entry.
func (j *journal) open(ctx context.Context) error {
	number, aside, err := evidence.Journal(ctx, j.s3, j.bucket, j.id)
	if j.aside = aside; err != nil || number == 0 {
		return err
	}
	return j.follow(ctx, number)
}

// follow reads an entry and takes it for the last one.
func (j *journal) follow(ctx context.Context, number int) error {
	e, sum, err := evidence.Entry(ctx, j.s3, j.bucket, j.id, number)
	if err != nil {
		return err
	}
	j.tail, j.sum, j.seen[number] = e, sum, e
	return nil
}

// has says whether the journal has a change, which an earlier invocation wrote.
// One that is later than all that its partition has is new, and nothing is read.
func (j *journal) has(ctx context.Context, c chain.Entry) (bool, error) {
	mark, ok := j.tail.Marks[c.Partition()]
	if !ok || chain.Later(c.Stream, mark) {
		return false, nil
	}
	for n := j.tail.Sequence; n > 0; n-- {
		e, ok := j.seen[n]
		if !ok {
			var err error
			if e, _, err = evidence.Entry(ctx, j.s3, j.bucket, j.id, n); err != nil {
				return false, err
			}
			j.seen[n] = e
		}
		switch {
		case e.Event == c.Event:
			return true, nil
		case e.Partition() == c.Partition() && chain.Later(c.Stream, e.Stream) && !e.Late():
			return false, nil
		}
	}
	return false, nil
}

// races bounds how often others may be faster. Only the four partitions of one
// incident can be.
const races = 20

// append writes a change behind the last entry, whoever wrote that meanwhile.
func (j *journal) append(ctx context.Context, e chain.Entry) error {
	for range races {
		e.Sequence, e.Previous = j.tail.Sequence+1, j.sum
		e.Marks = maps.Clone(j.tail.Marks)
		if e.Marks == nil {
			e.Marks = map[string]string{}
		}
		if mark, ok := e.Marks[e.Partition()]; !ok || chain.Later(e.Stream, mark) {
			e.Marks[e.Partition()] = e.Stream
		}
		key, err := chain.Key(j.id, e.Sequence)
		if err != nil {
			return err
		}
		text, err := e.Bytes()
		if err != nil {
			return err
		}
		err = j.put(ctx, key, text)
		var answer smithy.APIError
		switch {
		case err == nil:
			j.tail, j.sum, j.seen[e.Sequence] = e, chain.Sum(text), e
			return nil
		case evidence.Taken(err):
			// By another, or by ourselves, where the answer was lost and the SDK sent it again.
			if err := j.follow(ctx, e.Sequence); err != nil {
				return err
			}
			if j.tail.Event == e.Event {
				return nil
			}
		case errors.As(err, &answer) && answer.ErrorCode() == "ConditionalRequestConflict":
			// Another writes it at this moment. S3 asks to try again.
			// https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
		default:
			return fmt.Errorf("write %s: %w", key, err)
		}
	}
	return fmt.Errorf("others were faster %d times", races)
}

// put writes an object that is not there yet, locked.
func (j *journal) put(ctx context.Context, key string, text []byte) error {
	_, err := j.s3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &j.bucket, Key: &key, Body: bytes.NewReader(text), ContentType: aws.String("application/json"), IfNoneMatch: aws.String("*"),
		ObjectLockMode: types.ObjectLockModeGovernance, ObjectLockRetainUntilDate: aws.Time(j.host.Now().Add(j.retention)),
	})
	return err
}
