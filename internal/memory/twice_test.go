package memory_test

import (
	"context"
	"errors"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/memory"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/google/go-cmp/cmp"
)

// beside runs something right before one of an invocation's calls of the record.
type beside struct {
	memory.Incidents
	calls, at int
	do        func()
}

func (b *beside) call() {
	if b.calls++; b.calls == b.at {
		b.do()
	}
}

func (b *beside) GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	b.call()
	return b.Incidents.GetItem(ctx, in, opts...)
}

func (b *beside) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	b.call()
	return b.Incidents.PutItem(ctx, in, opts...)
}

// An execution that was stopped and redriven runs beside what it had invoked
// before, wherever that one is: there is one capture, and it ends as ever.
func TestTwoAtOnce(t *testing.T) {
	f := account()
	f.behave("MemoryGiB", 1)
	want := newRun(t, f).end()
	for n := 1; ; n++ {
		r := newRun(t, f)
		db := &beside{Incidents: r.DynamoDB(), at: n}
		db.do = func() {
			if _, err := r.look(); err != nil && !errors.Is(err, record.ErrTaken) {
				t.Errorf("before call %d: %v", n, err)
			}
		}
		one, err := memory.New(host(memoryOn(), r.clock.Now), r.EC2(), r.SSM(), r.S3(), r.S3().Presign(), db)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := one.Run(t.Context(), r.in); err != nil && !errors.Is(err, record.ErrTaken) {
			t.Errorf("before call %d: %v", n, err)
		}
		if db.calls < n {
			break
		}
		if d := cmp.Diff(timeless(want), timeless(r.end())); d != "" {
			t.Errorf("before call %d: %s", n, d)
		}
		if sent := r.count("ssm:SendCommand"); sent != 1 {
			t.Errorf("before call %d: %d commands took effect, want 1", n, sent)
		}
	}
}

// Whoever had the incident before sends nothing.
func TestSuperseded(t *testing.T) {
	r := newRun(t, account())
	from := len(r.Calls())
	r.in.Execution = "another"
	if out, err := r.look(); !errors.Is(err, incident.ErrSuperseded) {
		t.Errorf("%+v, %v", out, err)
	}
	for _, c := range r.Calls()[from:] {
		if c.Mutating {
			t.Errorf("%s:%s", c.Service, c.Action)
		}
	}
}
