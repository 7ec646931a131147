package record_test

import (
	"errors"
	"testing"
	"time"

	"cordon/internal/record"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// A queue whose places take a second each and of which five may be taken at once.
func turns(t *testing.T, draws []time.Duration) (waits []time.Duration) {
	t.Helper()
	a := world(t)
	for _, d := range draws {
		now := at.Add(d)
		turn, err := record.Turn(t.Context(), a.DynamoDB(), table, "calls", now, time.Second, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		waits = append(waits, turn.Sub(now).Round(10*time.Millisecond))
	}
	return waits
}

func TestTurnsAreInOrder(t *testing.T) {
	const s = time.Second
	for name, test := range map[string]struct{ draws, waits []time.Duration }{
		"all at once":                         {[]time.Duration{0, 0, 0, 0, 0, 0, 0, 0}, []time.Duration{0, 0, 0, 0, 0, 1 * s, 2 * s, 3 * s}},
		"time gives places back":              {[]time.Duration{0, 0, 0, 0, 0, 3 * s, 3 * s, 3 * s, 3 * s}, []time.Duration{0, 0, 0, 0, 0, 0, 0, 0, 1 * s}},
		"a queue that has passed begins anew": {[]time.Duration{0, 0, 0, 0, 0, 0, 0, time.Hour, time.Hour}, []time.Duration{0, 0, 0, 0, 0, 1 * s, 2 * s, 0, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.waits, turns(t, test.draws)); diff != "" {
				t.Errorf("waits (-want +got):\n%s", diff)
			}
		})
	}
}

func TestQueuesAreApart(t *testing.T) {
	a := world(t)
	for _, queue := range []string{"one", "other"} {
		turn, err := record.Turn(t.Context(), a.DynamoDB(), table, queue, at, 10*time.Second, 10*time.Second)
		if err != nil || !turn.Equal(at) {
			t.Errorf("turn of %s is at %v (%v), want now", queue, turn, err)
		}
	}
}

// An answer that was lost draws a second place: late is fine, early is not.
func TestLostTurn(t *testing.T) {
	a := world(t, "dynamodb:PutItem#1=lost")
	if _, err := record.Turn(t.Context(), a.DynamoDB(), table, "calls", at, time.Second, time.Second); err == nil {
		t.Fatal("a lost answer is none")
	}
	turn, err := record.Turn(t.Context(), a.DynamoDB(), table, "calls", at, time.Second, time.Second)
	if want := at.Add(time.Second); err != nil || turn.Before(want.Truncate(time.Millisecond)) {
		t.Errorf("turn is at %v (%v), want %v", turn, err, want)
	}
}

func TestTurnNamesWhatFailed(t *testing.T) {
	a := world(t, "dynamodb:UpdateItem#1=denied")
	_, err := record.Turn(t.Context(), a.DynamoDB(), table, "calls", at, time.Second, time.Second)
	var api smithy.APIError
	if !errors.As(err, &api) {
		t.Errorf("error is %v, want DynamoDB's", err)
	}
}
