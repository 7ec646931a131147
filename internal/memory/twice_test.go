package memory_test

import (
	"errors"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/memory"
	"cordon/internal/record"
	"cordon/internal/scene"

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
