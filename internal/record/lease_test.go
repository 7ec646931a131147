package record_test

import (
	"errors"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"
)

const leased = "123456789012.eu-west-1.i-1.1"

func lease(holder string) record.Lease {
	return record.Lease{Incident: leased, Act: "isolate", Holder: holder}
}

// taken is how one draw ends: "first", "held before", "another's" or the error.
func taken(t *testing.T, a *sim.Account, holder string, after time.Duration) string {
	t.Helper()
	first, err := lease(holder).Take(t.Context(), a.DynamoDB(), table, at.Add(after), 10*time.Second)
	switch {
	case errors.Is(err, record.ErrTaken):
		return "another's"
	case err != nil:
		return err.Error()
	case first:
		return "first"
	}
	return "held before"
}

func TestOneHasTheLease(t *testing.T) {
	a := world(t)
	for _, draw := range []struct {
		holder string
		after  time.Duration
		want   string
	}{
		{"one", 0, "first"},
		{"two", time.Second, "another's"},
		{"one", 2 * time.Second, "held before"},  // retried: what was before is over
		{"two", 13 * time.Second, "another's"},   // its clock may be ahead
		{"two", 15 * time.Second, "held before"}, // nobody has it for longer than it may run
		{"one", 16 * time.Second, "another's"},   // which has lost it
	} {
		if got := taken(t, a, draw.holder, draw.after); got != draw.want {
			t.Errorf("%s after %s: %s, want %s", draw.holder, draw.after, got, draw.want)
		}
	}
	// Who has lost it gives nothing back; who has it does.
	for _, holder := range []string{"one", "two"} {
		if got := taken(t, a, "three", 17*time.Second); got != "another's" {
			t.Errorf("before %s gives it back: %s", holder, got)
		}
		if err := lease(holder).Return(t.Context(), a.DynamoDB(), table); err != nil {
			t.Fatal(err)
		}
	}
	if got := taken(t, a, "three", 17*time.Second); got != "held before" {
		t.Errorf("given back: %s", got)
	}
}

// An answer that was lost leaves the lease with who asked, who asks again.
func TestLostLease(t *testing.T) {
	a := world(t, "dynamodb:PutItem#1=lost")
	if got := taken(t, a, "one", 0); got == "first" {
		t.Fatal("a lost answer is none")
	}
	if two, one := taken(t, a, "two", time.Second), taken(t, a, "one", time.Second); two != "another's" || one != "held before" {
		t.Errorf("another: %s, again: %s", two, one)
	}
}

// What began before an update of the stack runs on by the definition it began with,
// which passes no execution. It must still seal what it isolated.
func TestAnOlderDefinitionIsNotAsked(t *testing.T) {
	h := record.Head{Execution: "one"}
	for execution, want := range map[string]error{"": nil, "one": nil, "two": incident.ErrSuperseded} {
		if err := h.Own(execution); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", execution, err, want)
		}
	}
}

type told struct{ N int }

// Of two that read the same, one writes.
func TestSwap(t *testing.T) {
	a := world(t)
	load := func() (record.Stored, told) {
		var v told
		was, err := record.LoadStored(t.Context(), a.DynamoDB(), table, leased, "memory", &v)
		if err != nil {
			t.Fatal(err)
		}
		return was, v
	}
	swap := func(was record.Stored, n int) (record.Stored, error) {
		return was.Swap(t.Context(), a.DynamoDB(), table, leased, "memory", told{n})
	}
	none, _ := load()
	one, err := swap(none, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := swap(none, 2); !errors.Is(err, record.ErrTaken) {
		t.Errorf("over what was not read: %v", err)
	}
	if again, err := swap(none, 1); err != nil || again != one {
		t.Errorf("the same again: %q, %v", again, err)
	}
	if _, err := swap(one, 3); err != nil {
		t.Error(err)
	}
	if _, err := swap(one, 4); !errors.Is(err, record.ErrTaken) {
		t.Errorf("over what is not there any more: %v", err)
	}
	if _, v := load(); v.N != 3 {
		t.Errorf("stored is %d, want 3", v.N)
	}
}

// What is about to be done is begun by one, until it says how it went or is over.
func TestBegin(t *testing.T) {
	a := world(t)
	begin := func(holder string, after time.Duration) error {
		l := record.Lease{Incident: leased, Act: "snapshot", Holder: holder}
		var v told
		was, err := record.LoadStored(t.Context(), a.DynamoDB(), table, leased, "snapshot", &v)
		if err != nil {
			t.Fatal(err)
		}
		return l.Begin(t.Context(), a.DynamoDB(), table, was, told{1}, at.Add(after), 10*time.Second)
	}
	if err := begin("one", 0); err != nil {
		t.Fatal(err)
	}
	stale := record.Lease{Incident: leased, Act: "snapshot", Holder: "two"}
	if err := stale.Begin(t.Context(), a.DynamoDB(), table, "", told{1}, at.Add(time.Hour), 10*time.Second); !errors.Is(err, record.ErrTaken) {
		t.Errorf("by one that had read before: %v", err)
	}
	if err := begin("two", time.Second); !errors.Is(err, record.ErrTaken) {
		t.Errorf("by another meanwhile: %v", err)
	}
	if err := begin("one", 2*time.Second); err != nil {
		t.Errorf("retried: %v", err)
	}
	if err := begin("two", 15*time.Second); err != nil {
		t.Errorf("by another when it is over: %v", err)
	}
	if err := record.SaveStep(t.Context(), a.DynamoDB(), table, leased, "snapshot", told{2}); err != nil {
		t.Fatal(err)
	}
	if err := begin("one", 16*time.Second); err != nil {
		t.Errorf("by another when it is done: %v", err)
	}
}

func TestOwn(t *testing.T) {
	a := world(t)
	inc := incident.Incident{ID: leased, OpenedAt: at}
	if _, err := record.Own(t.Context(), a.DynamoDB(), table, leased, "one"); !errors.Is(err, record.ErrNone) || errors.Is(err, incident.ErrSuperseded) {
		t.Errorf("nobody's: %v", err)
	}
	if _, err := record.Claim(t.Context(), a.DynamoDB(), table, record.Head{Incident: inc, Execution: "one"}); err != nil {
		t.Fatal(err)
	}
	if err := record.TakeOver(t.Context(), a.DynamoDB(), table, leased, "one", "two", at); err != nil {
		t.Fatal(err)
	}
	if _, err := record.Own(t.Context(), a.DynamoDB(), table, leased, "one"); !errors.Is(err, incident.ErrSuperseded) {
		t.Errorf("taken over: %v", err)
	}
	if _, err := record.Own(t.Context(), a.DynamoDB(), table, leased, "two"); err != nil {
		t.Errorf("by whom: %v", err)
	}
}

// A late execution has the incident that it asks about once more, until a finding opens
// the next one: what it sealed then would be under that one's capture.
func TestOwnWhatIsFollowed(t *testing.T) {
	a := world(t)
	claim(t, a, 1, "late")
	id := incident.NewID(machine, 1)
	if err := record.Close(t.Context(), a.DynamoDB(), table, id, "late", record.Kept, at); err != nil {
		t.Fatal(err)
	}
	if h, err := record.Own(t.Context(), a.DynamoDB(), table, id, "late"); err != nil || h.State != record.Kept {
		t.Errorf("kept: %+v, %v", h, err)
	}
	claim(t, a, 2, "new")
	if _, err := record.Own(t.Context(), a.DynamoDB(), table, id, "late"); !errors.Is(err, incident.ErrSuperseded) {
		t.Errorf("followed: %v, want ErrSuperseded", err)
	}
	if _, err := record.Own(t.Context(), a.DynamoDB(), table, id, ""); err != nil {
		t.Errorf("of an execution that began before an update: %v", err)
	}
}
