package rehearsal

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"cordon/internal/sim"
	"cordon/internal/template"
)

// streams feeds what the tables' streams hold to the functions that the template
// maps them to, as Lambda does: a batch of a shard at a time, in order, and the
// same batch again while it fails. The shards of a stream go side by side.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
type streams struct {
	w      *world
	shards map[string]*shard
	of     map[string]template.Mapping // by the table's name
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
	f, clock := s.w.byID[one.mapping.Function], s.w.clock
	for len(one.waiting) > 0 {
		batch := one.waiting[:min(len(one.waiting), one.mapping.BatchSize)]
		for wait := firstRetry; !s.hand(f, one.mapping, batch); wait = min(2*wait, lastRetry) {
			if clock.Now().Sub(batch[0].At) >= one.mapping.MaximumAge {
				break // given up: the queue is told of it
			}
			clock.Sleep(wait)
		}
		one.waiting = one.waiting[len(batch):]
	}
	one.busy = false
}

func (s *streams) hand(f *function, m template.Mapping, batch []sim.StreamRecord) bool {
	records := make([][]byte, len(batch))
	for n, r := range batch {
		event, err := r.Event(m.StreamARN)
		if err != nil {
			panic(err) // strings and numbers only
		}
		records[n] = event
	}
	payload := slices.Concat([]byte(`{"Records":[`), bytes.Join(records, []byte(",")), []byte(`]}`))
	_, err := s.w.invoke(context.Background(), f, payload)
	return err == nil
}
