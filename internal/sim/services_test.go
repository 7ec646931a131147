package sim_test

import (
	"testing"
	"time"

	"cordon/internal/sim"
)

const (
	incidentsTable = "cordon-incidents"
	evidenceBucket = "cordon-evidence"
	topicARN       = "arn:aws:sns:eu-west-1:123456789012:cordon"
	dataKey        = "data"
	macKey         = "mac"
)

// begun is when every test's clock starts.
var begun = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// wall is a clock that moves only when it is told to.
type wall struct{ now time.Time }

func (w *wall) Now() time.Time        { return w.now }
func (w *wall) Sleep(d time.Duration) { w.now = w.now.Add(d) }

func services(t *testing.T) *sim.Account { return servicesWithSeed(t, 1) }

func servicesWithSeed(t *testing.T, seed uint64) *sim.Account {
	t.Helper()
	a, _ := open(t, seed)
	return a
}

func servicesWithClock(t *testing.T) (*sim.Account, *wall) {
	t.Helper()
	return open(t, 1)
}

func open(t *testing.T, seed uint64, faults ...sim.Fault) (*sim.Account, *wall) {
	t.Helper()
	clock := &wall{begun}
	a, err := sim.Open(sim.Settings{Clock: clock, Seed: seed, Faults: faults}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return a, clock
}
