package record_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"
)

var hour = record.Limit{Name: "hour", Places: 3}

func young(p record.Place) bool { return at.Sub(p.At) < time.Hour }

func take(t *testing.T, a *sim.Account, l record.Limit, holder string, when time.Time, held []record.Place) (bool, error) {
	t.Helper()
	return record.TakePlace(t.Context(), a.DynamoDB(), table, l, record.Place{Holder: holder, Incident: holder, At: when}, held, young)
}

func held(t *testing.T, a *sim.Account) []record.Place {
	t.Helper()
	all, err := record.Held(t.Context(), a.DynamoDB(), table, hour.Name)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPlaces(t *testing.T) {
	a := world(t)
	for n := range 5 {
		ok, err := take(t, a, hour, fmt.Sprint("i", n), at, held(t, a))
		if err != nil || ok != (n < 3) {
			t.Errorf("the %dth of three places: %v, %v", n+1, ok, err)
		}
	}
	for n := range 5 { // whoever has one has it still, and takes no other
		if ok, err := take(t, a, hour, fmt.Sprint("i", n), at, held(t, a)); err != nil || ok != (n < 3) {
			t.Errorf("asked again, the %dth: %v, %v", n+1, ok, err)
		}
	}
	if n := len(held(t, a)); n != 3 {
		t.Errorf("%d places are held, want three", n)
	}
	if ok, err := take(t, a, record.Limit{Name: "hour", Places: 0}, "i9", at, nil); ok || err != nil {
		t.Errorf("a limit of none: %v, %v", ok, err)
	}
}

// Everybody has read that nobody holds a place: three get one all the same.
func TestPlacesByTheSameReading(t *testing.T) {
	a := world(t)
	got := 0
	for n := range 8 {
		ok, err := take(t, a, hour, fmt.Sprint("i", n), at, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			got++
		}
	}
	if got != 3 {
		t.Errorf("%d got a place of three", got)
	}
	if ok, err := take(t, a, hour, "i0", at, nil); !ok || err != nil {
		t.Errorf("the first one's answer was lost: %v, %v; want its own place found", ok, err)
	}
}

// A place that does not count any more is free, once: who read the old holder
// after another took it does not take it, too.
func TestPlaceThatIsFreeAgain(t *testing.T) {
	a := world(t)
	one := record.Limit{Name: hour.Name, Places: 1}
	if ok, err := take(t, a, one, "old", at.Add(-2*time.Hour), nil); !ok || err != nil {
		t.Fatal(ok, err)
	}
	reading := held(t, a)
	if ok, err := take(t, a, one, "new", at, reading); !ok || err != nil {
		t.Errorf("an hour later: %v, %v", ok, err)
	}
	if ok, err := take(t, a, one, "late", at, reading); ok || err != nil {
		t.Errorf("by the same reading: %v, %v; want it refused", ok, err)
	}
	// A limit that was lowered since counts what is held beyond it.
	if ok, err := take(t, a, record.Limit{Name: hour.Name, Places: 1}, "more", at, []record.Place{{Number: 7, Holder: "far", At: at}}); ok || err != nil {
		t.Errorf("with a place beyond the limit held: %v, %v", ok, err)
	}
}

func TestPlaceWhoseAnswerIsLost(t *testing.T) {
	for _, kind := range []string{"lost", "throttled", "unavailable"} {
		a := world(t, "dynamodb:PutItem#1="+kind)
		if ok, err := take(t, a, hour, "i1", at, nil); ok || err == nil {
			t.Errorf("%s: %v, %v; want an error", kind, ok, err)
		}
		if ok, err := take(t, a, hour, "i1", at, held(t, a)); !ok || err != nil || len(held(t, a)) != 1 {
			t.Errorf("%s: run again: %v, %v, %d held", kind, ok, err, len(held(t, a)))
		}
	}
}

func TestAsking(t *testing.T) {
	a := world(t)
	db, id := a.DynamoDB(), numbered(1).ID
	claim(t, a, 1, "one")
	if err := record.TakeOverAsking(t.Context(), db, table, id, "one", "two", at); !errors.Is(err, record.ErrTaken) {
		t.Errorf("taken over although nobody is asked: %v", err)
	}
	if err := record.Ask(t.Context(), db, table, id, "two"); !errors.Is(err, record.ErrTaken) {
		t.Errorf("asked by an execution that does not have it: %v", err)
	}
	if err := record.Ask(t.Context(), db, table, id, "one"); err != nil || !head(t, a, 1).Asking {
		t.Fatalf("%v, %+v", err, head(t, a, 1))
	}
	if err := record.TakeOverAsking(t.Context(), db, table, id, "one", "two", at); err != nil {
		t.Fatal(err)
	}
	if h := head(t, a, 1); h.Asking || h.Execution != "two" || !h.TakenAt.Equal(at) {
		t.Errorf("%+v: want it with the second, which asks nobody", h)
	}
	if err := record.Answer(t.Context(), db, table, id, "one", incident.Decision{Choice: incident.Isolate, DecidedAt: at}); !errors.Is(err, record.ErrTaken) {
		t.Errorf("the first answers for it: %v", err)
	}
	// Another way round: who was answered first is not taken over.
	claim(t, a, 2, "one")
	id = numbered(2).ID
	if err := record.Ask(t.Context(), db, table, id, "one"); err != nil {
		t.Fatal(err)
	}
	for range 2 { // its answer was lost
		if err := record.Answer(t.Context(), db, table, id, "one", incident.Decision{Choice: incident.Isolate, DecidedAt: at}); err != nil {
			t.Fatal(err)
		}
	}
	if err := record.TakeOverAsking(t.Context(), db, table, id, "one", "two", at); !errors.Is(err, record.ErrTaken) {
		t.Errorf("taken over while it isolates: %v", err)
	}
	if h := head(t, a, 2); h.Decision != incident.Isolate || h.Execution != "one" || h.Asking {
		t.Errorf("%+v", h)
	}
}
