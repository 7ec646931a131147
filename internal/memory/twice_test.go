package memory_test

import (
	"context"
	"errors"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/memory"
	"cordon/internal/record"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

// An execution that was stopped and redriven runs beside what it had invoked
// before, wherever that one is: there is one capture, and it ends as ever.
func TestTwoAtOnce(t *testing.T) {
	f := account()
	f.behave("MemoryGiB", 1)
	want := newRun(t, f).end()
	for n := 1; ; n++ {
		r := newRun(t, f)
		db := &scene.Beside{DynamoDB: r.DynamoDB(), At: n}
		db.Do = func() {
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
		if db.Calls < n {
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

// early is the record for an invocation that read it before the other wrote.
type early struct{ *sim.DynamoDB }

func (e early) GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	if sk, ok := in.Key["sk"].(*types.AttributeValueMemberS); ok && sk.Value == "step#memory" {
		return &dynamodb.GetItemOutput{}, nil
	}
	return e.DynamoDB.GetItem(ctx, in, opts...)
}

// Two that begin at one moment have both read that nothing was begun. One of them begins
// the upload: of two, one would stay unrecorded.
func TestTwoBeginAtOneMoment(t *testing.T) {
	for n := 1; ; n++ {
		r := newRun(t, account())
		made := func(db memory.Incidents) error {
			step, err := memory.New(host(memoryOn(), r.clock.Now), r.EC2(), r.SSM(), r.S3(), r.S3().Presign(), db)
			if err != nil {
				t.Fatal(err)
			}
			_, err = step.Run(t.Context(), r.in)
			return err
		}
		db := &scene.Beside{DynamoDB: r.DynamoDB(), At: n}
		db.Do = func() {
			if err := made(early{r.DynamoDB()}); err != nil && !errors.Is(err, record.ErrTaken) {
				t.Errorf("before call %d: %v", n, err)
			}
		}
		if err := made(db); err != nil && !errors.Is(err, record.ErrTaken) {
			t.Errorf("before call %d: %v", n, err)
		}
		if db.Calls < n {
			break
		}
		if begun := r.count("s3:CreateMultipartUpload"); begun != 1 {
			t.Errorf("before call %d: %d uploads were begun, want 1", n, begun)
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
