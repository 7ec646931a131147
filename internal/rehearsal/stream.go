package rehearsal

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"cordon/internal/journal"
	"cordon/internal/lambdafn"
	"cordon/internal/record"
	"cordon/internal/sim"
	"cordon/internal/template"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// streams feeds what the tables' streams hold to the functions that the template
// maps them to, as Lambda does: a batch of a shard at a time, in order, and the
// same batch again while it fails, in halves where the mapping says so. A record
// that is too old is given up before it is handed over, and kept. The shards of a
// stream go side by side. A batch that is not full is handed over when the mapping's
// window is over; that it begins with the first record that is read, and anew after
// each batch, is our reading, as AWS does not say.
// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-errors.html
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
// https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventsourcemapping.html
type streams struct {
	w      *world
	shards map[string]*shard
	of     map[string]template.Mapping // by the table's name
	given  int                         // how often something was given up
}

type shard struct {
	mapping template.Mapping
	waiting []sim.StreamRecord
	busy    bool
}

// Lambda asks each shard four times a second. What it waits between two tries of
// a batch it does not say; it grows.
const (
	poll       = 250 * time.Millisecond
	firstRetry = time.Second
	lastRetry  = time.Minute
)

// listen follows the tables that the template maps to a function.
func (w *world) listen() {
	s := &streams{w: w, shards: map[string]*shard{}, of: map[string]template.Mapping{}}
	for _, m := range w.deployment.Mappings() {
		table, _ := w.deployment.Resource(m.Table)
		s.of[table.Ref] = m
	}
	w.account.DynamoDB().OnChange = s.add
}

func (s *streams) add(r sim.StreamRecord) {
	m, ok := s.of[r.Table]
	if !ok {
		return
	}
	key := fmt.Sprint(r.Table, " ", r.Shard)
	if s.shards[key] == nil {
		s.shards[key] = &shard{mapping: m}
	}
	one := s.shards[key]
	one.waiting = append(one.waiting, r)
	if !one.busy {
		one.busy = true
		// The next time that Lambda asks: it began to on the whole second.
		at := r.At.Truncate(poll).Add(poll)
		s.w.clock.At(at, func() { s.drain(one) })
	}
}

// drain hands over what a shard holds until it holds nothing.
func (s *streams) drain(one *shard) {
	for len(one.waiting) > 0 {
		if len(one.waiting) < one.mapping.BatchSize {
			s.w.clock.Sleep(one.mapping.Window)
		}
		batch := one.waiting[:min(len(one.waiting), one.mapping.BatchSize)]
		s.take(one.mapping, batch)
		one.waiting = one.waiting[len(batch):]
	}
	one.busy = false
}

// take hands a batch over until each record of it was taken or is too old.
func (s *streams) take(m template.Mapping, batch []sim.StreamRecord) {
	clock := s.w.clock
	for wait := firstRetry; ; wait = min(2*wait, lastRetry) {
		fresh := slices.IndexFunc(batch, func(r sim.StreamRecord) bool { return clock.Now().Sub(r.At) < m.MaximumAge })
		if fresh < 0 {
			fresh = len(batch)
		}
		s.giveUp(m, batch[:fresh])
		if batch = batch[fresh:]; len(batch) == 0 || s.hand(m, batch) {
			return
		}
		if m.Bisects && len(batch) > 1 {
			s.take(m, batch[:len(batch)/2])
			s.take(m, batch[len(batch)/2:])
			return
		}
		clock.Sleep(wait)
	}
}

// giveUp keeps records that were too old, as a whole where it is a bucket that
// keeps them. A queue is told which they were, and nobody has them then.
func (s *streams) giveUp(m template.Mapping, batch []sim.StreamRecord) {
	bucket, ok := s.w.deployment.Resource(m.Keeps)
	if len(batch) == 0 || !ok {
		return
	}
	now := s.w.clock.Now().UTC()
	text, err := json.Marshal(map[string]any{
		"requestContext":     map[string]any{"condition": "RecordAgeExceeded"},
		"DDBStreamBatchInfo": map[string]any{"batchSize": len(batch), "streamArn": m.StreamARN, "shardId": fmt.Sprint("shardId-", batch[0].Shard)},
		"payload":            string(s.payload(m, batch)),
	})
	if err != nil {
		panic(err) // strings and numbers only
	}
	s.given++
	key := fmt.Sprintf("aws/lambda/%s/shardId-%d/%s-%06d", m.LogicalID, batch[0].Shard, now.Format("2006/01/02/2006-01-02T15.04.05"), s.given)
	if err := s.w.account.S3().Hold(bucket.Ref, key, sim.Bytes(text)); err != nil {
		panic(err) // the bucket is the template's
	}
}

func (s *streams) hand(m template.Mapping, batch []sim.StreamRecord) bool {
	f := s.w.byID[m.Function]
	if f.name != journalFunction || s.w.spelled {
		_, err := s.w.invoke(context.Background(), f, "", s.payload(m, batch))
		return err == nil
	}
	run, err := lambdafn.Handle(reader{s.w.journal, changes(m, batch)}, nil)
	if err != nil {
		panic(err) // the step was made before
	}
	_, err = s.w.invoke(context.Background(), &function{name: f.name, timeout: f.timeout, run: lambdafn.Logged(run, f.name, &s.w.log)}, "", []byte("{}"))
	return err == nil
}

// journalFunction is the function that streams are handed to.
const journalFunction = "journal"

// reader is the journal with a batch that it has read: to write a run's changes as
// JSON and to read them again is a twentieth of what the run costs. A test holds what
// is handed over against what is read of the payload.
type reader struct {
	step  *journal.Step
	batch journal.Input
}

func (r reader) Run(ctx context.Context, _ struct{}) (journal.Output, error) {
	return r.step.Run(ctx, r.batch)
}

// changes is a batch as the journal reads it.
func changes(m template.Mapping, batch []sim.StreamRecord) journal.Input {
	in := journal.Input{Records: make([]journal.Change, len(batch))}
	for n, r := range batch {
		c := &in.Records[n]
		c.EventID, c.EventName, c.EventSourceARN = r.ID, r.Name, m.StreamARN
		c.DynamoDB.ApproximateCreationDateTime, c.DynamoDB.SequenceNumber = float64(r.At.Unix()), r.Sequence
		c.DynamoDB.Keys, c.DynamoDB.NewImage, c.DynamoDB.OldImage = image(r.Keys), image(r.New), image(r.Old)
	}
	return in
}

// image is an item as a stream tells it; nil of none.
func image(item map[string]types.AttributeValue) record.Image {
	if item == nil {
		return nil
	}
	i := make(record.Image, len(item))
	for name, v := range item {
		switch v := v.(type) {
		case *types.AttributeValueMemberS:
			i[name] = record.Value{S: &v.Value}
		case *types.AttributeValueMemberN:
			i[name] = record.Value{N: &v.Value}
		case *types.AttributeValueMemberBOOL:
			i[name] = record.Value{BOOL: &v.Value}
		case *types.AttributeValueMemberNULL:
			i[name] = record.Value{NULL: &v.Value}
		case *types.AttributeValueMemberB:
			text, err := json.Marshal(v.Value)
			if err != nil {
				panic(err) // bytes only
			}
			i[name] = record.Value{B: text}
		default:
			panic(fmt.Sprintf("the record writes no %T", v))
		}
	}
	return i
}

// payload is a batch as a function gets it.
func (s *streams) payload(m template.Mapping, batch []sim.StreamRecord) []byte {
	records := make([][]byte, len(batch))
	for n, r := range batch {
		event, err := r.Event(m.StreamARN)
		if err != nil {
			panic(err) // strings and numbers only
		}
		records[n] = event
	}
	return slices.Concat([]byte(`{"Records":[`), bytes.Join(records, []byte(",")), []byte(`]}`))
}
