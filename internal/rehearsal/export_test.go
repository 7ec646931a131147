package rehearsal

import (
	"context"
	"fmt"
	"time"

	"cordon/internal/journal"
	"cordon/internal/lambdafn"
	"cordon/internal/sim"
)

// Recorded runs as Run does, and hands note every invocation of a step that
// answered: what it was given and what it said. The calls come with who made them.
func Recorded(o Options, note func(step string, in, out []byte)) (Result, []sim.Call, error) {
	w, err := build(o)
	if err != nil {
		return Result{}, nil, err
	}
	w.spelled = true
	for _, f := range w.byARN {
		run := f.run
		f.run = func(ctx context.Context, in []byte) ([]byte, error) {
			out, err := run(ctx, in)
			if err == nil {
				note(f.name, in, out)
			}
			return out, err
		}
	}
	r, err := w.run()
	return r, w.account.Calls(), err
}

// Counted runs as Run does, and tells how many events the history has.
func Counted(o Options) (Result, int, error) {
	w, err := build(o)
	if err != nil {
		return Result{}, 0, err
	}
	r, err := w.run()
	if err != nil {
		return Result{}, 0, err
	}
	return r, w.first.Result().History, nil
}

// Streamed runs as Run does, with before done to the account and the function
// journal as wrap makes it, and then afterwards, when all is quiet.
func Streamed(o Options, before func(a *sim.Account, bucket string), wrap func(lambdafn.Handler) lambdafn.Handler, afterwards func(a *sim.Account, bucket string, journal lambdafn.Handler)) (Result, error) {
	w, err := build(o)
	if err != nil {
		return Result{}, err
	}
	bucket, _ := w.deployment.Resource("EvidenceBucket")
	before(w.account, bucket.Ref)
	f := w.byID["JournalFunction"]
	whole := f.run
	f.run, w.spelled = wrap(whole), true
	w.clock.Run(func() { w.play(); w.deliver(w.Event) })
	w.clock.Run(func() { afterwards(w.account, bucket.Ref, whole) })
	if w.problem != nil {
		return Result{}, w.problem
	}
	return w.finish()
}

// Handed runs as Run does, and shows look each change as Lambda hands it over, and as
// the journal of a rehearsal reads it.
func Handed(o Options, look func(payload []byte, read journal.Input)) (Result, error) {
	w, err := build(o)
	if err != nil {
		return Result{}, err
	}
	s := &streams{w: w}
	add := w.account.DynamoDB().OnChange
	w.account.DynamoDB().OnChange = func(r sim.StreamRecord) {
		for _, m := range w.deployment.Mappings() {
			if table, _ := w.deployment.Resource(m.Table); table.Ref == r.Table {
				look(s.payload(m, []sim.StreamRecord{r}), changes(m, []sim.StreamRecord{r}))
			}
		}
		add(r)
	}
	return w.run()
}

// Scheduled lets time pass in which nothing happens but what the template has on a
// schedule. Before each look something may happen to the topics, those of people
// and of others. It tells of each look whether an invocation of it answered, or a
// repetition.
func Scheduled(o Options, looks int, before func(look int, s *sim.SNS, topic, others string)) ([]bool, []sim.Call, error) {
	w, err := build(o)
	if err != nil {
		return nil, nil, err
	}
	topic, _ := w.deployment.Resource("Topic")
	others, _ := w.deployment.Resource("EscalationTopic")
	var answered []bool
	for _, r := range w.deployment.Rules() {
		minutes := 0
		if _, err := fmt.Sscanf(r.Schedule, "rate(%d minutes)", &minutes); r.Schedule == "" || err != nil {
			continue
		}
		f := w.byID[r.Targets[0].Resource]
		run := f.run
		f.run = func(ctx context.Context, in []byte) ([]byte, error) {
			out, err := run(ctx, in)
			answered[len(answered)-1] = err == nil
			return out, err
		}
		w.clock.Run(func() {
			for n := range looks {
				before(n, w.account.SNS(), topic.Ref, others.Ref)
				answered = append(answered, false)
				next := w.clock.Now().Add(time.Duration(minutes) * time.Minute)
				w.tell(f, []byte(`{"version":"0","detail-type":"Scheduled Event","source":"aws.events","detail":{}}`))
				w.clock.Sleep(next.Sub(w.clock.Now()))
			}
		})
	}
	return answered, w.account.Calls(), nil
}
