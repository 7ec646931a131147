package record_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/google/go-cmp/cmp"
)

const (
	table     = "cordon-incidents"
	decisions = "cordon-decisions"
	machine   = "123456789012.eu-west-1.i-0a"
)

var at = time.Date(2026, 3, 1, 3, 0, 0, 123456789, time.UTC)

type clock struct{ now time.Time }

func (c *clock) Now() time.Time        { return c.now }
func (c *clock) Sleep(d time.Duration) { c.now = c.now.Add(d) }

// world is an account with the two tables, empty.
func world(t *testing.T, faults ...string) *sim.Account {
	t.Helper()
	s := sim.Settings{Clock: &clock{at}, Incidents: table, Decisions: decisions}
	for _, text := range faults {
		f, err := sim.ParseFault(text)
		if err != nil {
			t.Fatal(err)
		}
		s.Faults = append(s.Faults, f)
	}
	a, err := sim.Open(s, []byte(`{"Reservations": [], "NetworkInterfaces": []}`))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// host runs side by side from the last to the first: the order is nobody's promise.
var host = incident.Host{Each: func(n int, f func(int)) {
	for i := range n {
		f(n - 1 - i)
	}
}}

func numbered(number int) incident.Incident {
	return incident.Incident{
		ID: incident.NewID(machine, number), Account: "123456789012", Region: "eu-west-1", InstanceID: "i-0a",
		AttachedAt: at.Add(-time.Hour), OpenedAt: at, Finding: incident.Finding{ID: "f1", Severity: 8, Title: "<b>\n"},
	}
}

func claim(t *testing.T, a *sim.Account, number int, execution string) record.Head {
	t.Helper()
	h, err := record.Claim(t.Context(), a.DynamoDB(), table, record.Head{Incident: numbered(number), Execution: execution})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func head(t *testing.T, a *sim.Account, number int) record.Head {
	t.Helper()
	h, err := record.LoadHead(t.Context(), a.DynamoDB(), table, incident.NewID(machine, number))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// stored is everything in both tables.
func stored(t *testing.T, a *sim.Account) string {
	t.Helper()
	b, err := a.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Incidents json.RawMessage }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	return string(file.Incidents)
}

func same(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func TestClaim(t *testing.T) {
	a := world(t)
	want := record.Head{Incident: numbered(1), Execution: "ours", State: record.Open}
	same(t, "claimed", claim(t, a, 1, "ours"), want)
	same(t, "the head", head(t, a, 1), want)
	for _, execution := range []string{"ours", "another"} {
		again := record.Head{Incident: numbered(1), Execution: execution}
		again.Incident.Finding.ID = "f2"
		standing, err := record.Claim(t.Context(), a.DynamoDB(), table, again)
		if !errors.Is(err, record.ErrTaken) {
			t.Errorf("claimed again by %s: %v, want ErrTaken: the instance would have two incidents", execution, err)
		}
		same(t, "what stands", standing, want)
	}
	same(t, "the head after further claims", head(t, a, 1), want)

	// Racing for the same number there is one winner; the next number is free.
	same(t, "the next number", claim(t, a, 2, "another").Execution, "another")
	if _, err := record.Claim(t.Context(), a.DynamoDB(), table, record.Head{Incident: incident.Incident{ID: "i-0a"}}); err == nil {
		t.Error("an incident was claimed under an ID that is none")
	}
}

func TestClaimWhoseAnswerIsLost(t *testing.T) {
	a := world(t, "dynamodb:PutItem#1=lost")
	h := record.Head{Incident: numbered(1), Execution: "ours"}
	if _, err := record.Claim(t.Context(), a.DynamoDB(), table, h); err == nil || errors.Is(err, record.ErrTaken) {
		t.Fatalf("claim without an answer: %v, want the network's error", err)
	}
	standing, err := record.Claim(t.Context(), a.DynamoDB(), table, h)
	if !errors.Is(err, record.ErrTaken) || standing.Execution != "ours" || standing.State != record.Open {
		t.Errorf("claimed again: %+v, %v; want our own with ErrTaken, so that it is known for ours", standing, err)
	}
}

func TestLatest(t *testing.T) {
	a := world(t)
	if _, found, err := record.Latest(t.Context(), a.DynamoDB(), table, machine); found || err != nil {
		t.Fatalf("an instance that never had one has one: %v, %v", found, err)
	}
	// Other instances, one of whose keys begins with ours; and what stands in an
	// incident's own partition.
	for _, other := range []string{machine + "b", "123456789012.us-east-1.i-0a"} {
		inc := numbered(1)
		inc.ID = incident.NewID(other, 99)
		if _, err := record.Claim(t.Context(), a.DynamoDB(), table, record.Head{Incident: inc}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 12 {
		claim(t, a, n+1, "x")
		if err := record.AddFinding(t.Context(), a.DynamoDB(), table, incident.NewID(machine, n+1), incident.Finding{ID: "f"}); err != nil {
			t.Fatal(err)
		}
		h, found, err := record.Latest(t.Context(), a.DynamoDB(), table, machine)
		if want := incident.NewID(machine, n+1); err != nil || !found || h.Incident.ID != want {
			t.Fatalf("newest of %d: %s, %v, %v; want %s", n+1, h.Incident.ID, found, err, want)
		}
	}
	claimed := claim(t, a, 999999, "x")
	if h, _, err := record.Latest(t.Context(), a.DynamoDB(), table, machine); err != nil || h.Incident.ID != claimed.Incident.ID {
		t.Errorf("newest: %s, %v; want %s", h.Incident.ID, err, claimed.Incident.ID)
	}
}

func TestTakeOver(t *testing.T) {
	a := world(t)
	claim(t, a, 1, "dead")
	id := incident.NewID(machine, 1)
	over := func(from, to string) error {
		return record.TakeOver(t.Context(), a.DynamoDB(), table, id, from, to, at)
	}
	if err := over("nobody", "thief"); !errors.Is(err, record.ErrTaken) {
		t.Errorf("taken from one that does not have it: %v, want ErrTaken", err)
	}
	if err := over("dead", "new"); err != nil {
		t.Error(err)
	}
	if err := over("dead", "slower"); !errors.Is(err, record.ErrTaken) {
		t.Errorf("taken over twice: %v, want ErrTaken", err)
	}
	same(t, "who has it, since when", head(t, a, 1), record.Head{Incident: numbered(1), Execution: "new", State: record.Open, TakenAt: at})
	if err := record.Close(t.Context(), a.DynamoDB(), table, id, "new", record.Kept, at); err != nil {
		t.Fatal(err)
	}
	if err := over("new", "late"); !errors.Is(err, record.ErrTaken) {
		t.Errorf("a closed incident was taken over: %v, want ErrTaken", err)
	}
	same(t, "who had it last", head(t, a, 1).Execution, "new")
}

func TestClose(t *testing.T) {
	for _, s := range []record.State{record.Terminated, record.Kept, record.Released} {
		t.Run(string(s), func(t *testing.T) {
			a := world(t)
			claim(t, a, 1, "x")
			id := incident.NewID(machine, 1)
			closed := func(s record.State, at time.Time) error {
				return record.Close(t.Context(), a.DynamoDB(), table, id, "x", s, at)
			}
			if err := closed(s, at); err != nil {
				t.Fatal(err)
			}
			want := record.Head{Incident: numbered(1), Execution: "x", State: s, ClosedAt: at}
			same(t, "closed", head(t, a, 1), want)
			if err := closed(s, at.Add(time.Hour)); err != nil {
				t.Errorf("closed again the same way: %v", err)
			}
			for _, other := range []record.State{record.Terminated, record.Kept, record.Released} {
				if s == record.Kept {
					continue // below
				}
				if err := closed(other, at.Add(time.Hour)); other != s && !errors.Is(err, record.ErrTaken) {
					t.Errorf("%s, then closed as %s: %v, want ErrTaken", s, other, err)
				}
			}
			same(t, "after all", head(t, a, 1), want)
		})
	}
}

// TestCloseLater: what was kept isolated may be released or terminated months
// later, and the record then says that and when.
func TestCloseLater(t *testing.T) {
	for _, s := range []record.State{record.Terminated, record.Released} {
		a := world(t)
		claim(t, a, 1, "x")
		id, later := incident.NewID(machine, 1), at.Add(90*24*time.Hour)
		for _, c := range []struct {
			state record.State
			at    time.Time
		}{{record.Kept, at}, {s, later}, {s, later.Add(time.Hour)}} {
			if err := record.Close(t.Context(), a.DynamoDB(), table, id, "x", c.state, c.at); err != nil {
				t.Fatalf("closed as %s: %v", c.state, err)
			}
		}
		if err := record.Close(t.Context(), a.DynamoDB(), table, id, "x", record.Kept, later); !errors.Is(err, record.ErrTaken) {
			t.Errorf("%s, then kept: %v, want ErrTaken", s, err)
		}
		same(t, "closed later", head(t, a, 1), record.Head{Incident: numbered(1), Execution: "x", State: s, ClosedAt: later})
	}
}

// The first time counts, for each run alone: what is written at closing says the
// same when a run is repeated.
func TestBeginClosing(t *testing.T) {
	a := world(t, "dynamodb:UpdateItem#1=lost")
	id := machine + ".1"
	if _, err := record.BeginClosing(t.Context(), a.DynamoDB(), table, id, "run-1", at); err == nil {
		t.Fatal("the answer was to be lost")
	}
	for _, c := range []struct {
		run       string
		now, want time.Time
	}{
		{"run-1", at.Add(time.Minute), at},
		{"run-1", at.Add(time.Hour), at},
		{"run-10", at.Add(2 * time.Hour), at.Add(2 * time.Hour)},
		{"run-1", at.Add(3 * time.Hour), at},
		{"run-10", at.Add(3 * time.Hour), at.Add(2 * time.Hour)},
	} {
		if got, err := record.BeginClosing(t.Context(), a.DynamoDB(), table, id, c.run, c.now); err != nil || !got.Equal(c.want) || got.Location() != time.UTC {
			t.Errorf("%s at %v: %v, %v; want %v", c.run, c.now, got, err, c.want)
		}
	}
}

func TestReopen(t *testing.T) {
	a := world(t)
	claim(t, a, 1, "first")
	id := incident.NewID(machine, 1)
	if err := record.Close(t.Context(), a.DynamoDB(), table, id, "first", record.Kept, at); err != nil {
		t.Fatal(err)
	}
	was := head(t, a, 1)
	if err := record.Reopen(t.Context(), a.DynamoDB(), table, was, "second"); err != nil {
		t.Fatal(err)
	}
	if err := record.Reopen(t.Context(), a.DynamoDB(), table, was, "slower"); !errors.Is(err, record.ErrTaken) {
		t.Errorf("reopened by two at once: %v, want ErrTaken", err)
	}
	same(t, "people are asked once more, and it is kept as before", head(t, a, 1),
		record.Head{Incident: numbered(1), Execution: "second", State: record.Kept, Again: true, ClosedAt: at})
	if err := record.Close(t.Context(), a.DynamoDB(), table, id, "second", record.Kept, at.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	same(t, "decided the same way", head(t, a, 1), record.Head{Incident: numbered(1), Execution: "second", State: record.Kept, ClosedAt: at})
}

func TestFollows(t *testing.T) {
	a := world(t)
	claim(t, a, 1, "x")
	for n, want := range []bool{false, true} {
		if n == 1 {
			claim(t, a, 2, "y")
		}
		if got, err := record.Follows(t.Context(), a.DynamoDB(), table, incident.NewID(machine, 1)); err != nil || got != want {
			t.Errorf("with %d incidents, the first is followed: %v, %v; want %v", n+1, got, err, want)
		}
	}
	if _, err := record.Follows(t.Context(), a.DynamoDB(), table, "x"); err == nil {
		t.Error("what is no incident: no error")
	}
}

func TestNoteDecision(t *testing.T) {
	a := world(t)
	claim(t, a, 1, "x")
	id := incident.NewID(machine, 1)
	if err := record.NoteDecision(t.Context(), a.DynamoDB(), table, "x", incident.Decision{
		Incident: id, Round: 2, Choice: incident.Release, Person: "Satō", Identity: incident.ByLink, DecidedAt: at,
	}); err != nil {
		t.Fatal(err)
	}
	want := record.Head{
		Incident: numbered(1), Execution: "x", State: record.Open, Decision: incident.Release,
		Decided: record.Note{Round: 2, Person: "Satō", Identity: incident.ByLink, At: at},
	}
	same(t, "the head", head(t, a, 1), want)
	if err := record.WithdrawDecision(t.Context(), a.DynamoDB(), table, id, "y"); !errors.Is(err, record.ErrTaken) {
		t.Errorf("for an execution that has not the incident: %v", err)
	}
	same(t, "the head, after another's withdrawal", head(t, a, 1), want)
	if err := record.WithdrawDecision(t.Context(), a.DynamoDB(), table, id, "x"); err != nil {
		t.Fatal(err)
	}
	want.Decision, want.Decided = "", record.Note{}
	same(t, "the head, asked anew", head(t, a, 1), want)
}

// TestNoItemFromAnUpdate: an update of what was never opened must not make half
// an item that reads as damaged for ever.
func TestNoItemFromAnUpdate(t *testing.T) {
	id := incident.NewID(machine, 1)
	for name, update := range map[string]func(context.Context, *sim.DynamoDB) error{
		"TakeOver": func(ctx context.Context, db *sim.DynamoDB) error {
			return record.TakeOver(ctx, db, table, id, "", "x", at)
		},
		"Reopen": func(ctx context.Context, db *sim.DynamoDB) error {
			return record.Reopen(ctx, db, table, record.Head{Incident: numbered(1)}, "x")
		},
		"NoteDecision": func(ctx context.Context, db *sim.DynamoDB) error {
			return record.NoteDecision(ctx, db, table, "", incident.Decision{Incident: id, Choice: incident.Keep, DecidedAt: at})
		},
		"Close": func(ctx context.Context, db *sim.DynamoDB) error {
			return record.Close(ctx, db, table, id, "x", record.Kept, at)
		},
		"ReplaceToken": func(ctx context.Context, db *sim.DynamoDB) error {
			return record.ReplaceToken(ctx, db, table, id, 1, []byte("t"))
		},
		"NoteMailed": func(ctx context.Context, db *sim.DynamoDB) error { return record.NoteMailed(ctx, db, table, id, 1, at) },
	} {
		a := world(t)
		before := stored(t, a)
		if err := update(t.Context(), a.DynamoDB()); err == nil {
			t.Errorf("%s of what is not there: no error", name)
		}
		same(t, name, stored(t, a), before)
	}
}

func TestFindings(t *testing.T) {
	a := world(t)
	id := incident.NewID(machine, 1)
	add := func(id string, f incident.Finding) {
		t.Helper()
		if err := record.AddFinding(t.Context(), a.DynamoDB(), table, id, f); err != nil {
			t.Fatal(err)
		}
	}
	add(id, incident.Finding{ID: "f1", Severity: 5})
	add(id, incident.Finding{ID: "f2", Severity: 8, Title: "\x00\u202e<script>"})
	add(id, incident.Finding{ID: "f1", Severity: 9})
	add(incident.NewID(machine, 11), incident.Finding{ID: "f3"})
	all, err := record.Findings(t.Context(), a.DynamoDB(), table, id)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "findings", all, []incident.Finding{{ID: "f1", Severity: 9}, {ID: "f2", Severity: 8, Title: "\x00\u202e<script>"}})
}

// TestFindingsOverPages: DynamoDB ends a page at one megabyte; what comes after
// it may be the most severe.
func TestFindingsOverPages(t *testing.T) {
	a := world(t)
	id := incident.NewID(machine, 1)
	for n := range 8 {
		f := incident.Finding{ID: fmt.Sprint(n), Description: strings.Repeat("x", 300<<10)}
		if err := record.AddFinding(t.Context(), a.DynamoDB(), table, id, f); err != nil {
			t.Fatal(err)
		}
	}
	all, err := record.Findings(t.Context(), a.DynamoDB(), table, id)
	if err != nil || len(all) != 8 {
		t.Errorf("%d findings, %v; want 8", len(all), err)
	}
}

func prior(resource, attribute, value string) record.Prior {
	return record.Prior{Resource: resource, Attribute: attribute, Value: json.RawMessage(value), At: at}
}

func remember(t *testing.T, a *sim.Account, inc incident.Incident, now ...record.Prior) []record.Prior {
	t.Helper()
	all, err := record.Remember(t.Context(), a.DynamoDB(), table, host, inc, now)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestRemember(t *testing.T) {
	a := world(t)
	first := []record.Prior{prior("eni-2", "groups", `["sg-b"]`), prior("eni-1", "groups", `["sg-a"]`), prior("vol-1", "deleteOnTermination:/dev/xvda", `true`)}
	same(t, "remembered, in the order asked", remember(t, a, numbered(1), first...), first)

	// A run that comes later sees what the first one made of it, and a new interface.
	later := []record.Prior{prior("eni-3", "groups", `["sg-c"]`), prior("eni-1", "groups", `["sg-quarantine"]`), prior("eni-2", "groups", `["sg-quarantine"]`)}
	for n := range later {
		later[n].At = at.Add(time.Minute)
	}
	same(t, "remembered again", remember(t, a, numbered(1), later...), []record.Prior{later[0], first[1], first[0]})

	all, err := record.Priors(t.Context(), a.DynamoDB(), table, incident.NewID(machine, 1))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "priors", all, []record.Prior{first[1], first[0], later[0], first[2]})
	none, err := record.Priors(t.Context(), a.DynamoDB(), table, incident.NewID(machine, 10))
	if err != nil || len(none) != 0 {
		t.Errorf("priors of another incident: %v, %v", none, err)
	}
}

// TestRememberAfterAFault: one of several writes fails. The rerun is given what
// the world has become meanwhile.
func TestRememberAfterAFault(t *testing.T) {
	for _, fault := range []string{"lost", "throttled", "denied", "unavailable"} {
		t.Run(fault, func(t *testing.T) {
			a := world(t, "dynamodb:PutItem#2="+fault)
			now := []record.Prior{prior("eni-1", "groups", `["sg-a"]`), prior("eni-2", "groups", `["sg-b"]`), prior("eni-3", "groups", `["sg-c"]`)}
			if _, err := record.Remember(t.Context(), a.DynamoDB(), table, host, numbered(1), now); err == nil {
				t.Fatal("a value that may not be stored was reported as stored")
			}
			same(t, "rerun", remember(t, a, numbered(1), now...), now)
			changed := slices.Clone(now)
			changed[1] = prior("eni-2", "groups", `["sg-quarantine"]`)
			same(t, "after the change", remember(t, a, numbered(1), changed...), now)
		})
	}
}

func TestRememberInherits(t *testing.T) {
	a := world(t)
	kept := []record.Prior{prior("eni-1", "groups", `["sg-a"]`)}
	remember(t, a, numbered(1), kept...)

	second := numbered(2)
	second.Inherits = numbered(1).ID
	found := []record.Prior{prior("eni-2", "groups", `["sg-new"]`), prior("eni-1", "groups", `["sg-quarantine"]`)}
	same(t, "inherited", remember(t, a, second, found...), []record.Prior{found[0], kept[0]})

	// The chain is flat: a third inherits from the second alone.
	third := numbered(3)
	third.Inherits = second.ID
	same(t, "inherited twice", remember(t, a, third, found[1]), kept)
	all, err := record.Priors(t.Context(), a.DynamoDB(), table, third.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "what a release of the third puts back", all, kept)
}

// TestRememberCannotInherit: what was before is not known, so nothing may be
// stored as if it were.
func TestRememberCannotInherit(t *testing.T) {
	a := world(t, "dynamodb:GetItem#1=unavailable")
	inc := numbered(2)
	inc.Inherits = numbered(1).ID
	before := stored(t, a)
	if _, err := record.Remember(t.Context(), a.DynamoDB(), table, host, inc, []record.Prior{prior("eni-1", "groups", `["sg-quarantine"]`)}); err == nil {
		t.Error("no error")
	}
	same(t, "the record", stored(t, a), before)
}

func TestSteps(t *testing.T) {
	type state struct{ Command, Upload string }
	a := world(t)
	id := incident.NewID(machine, 1)
	load := func(id, step string) (state, bool) {
		t.Helper()
		var v state
		found, err := record.LoadStep(t.Context(), a.DynamoDB(), table, id, step, &v)
		if err != nil {
			t.Fatal(err)
		}
		return v, found
	}
	if v, found := load(id, "memory"); found || v != (state{}) {
		t.Errorf("a step that never ran: %v, %v", v, found)
	}
	for _, v := range []state{{"c1", "u1"}, {"c2", ""}} {
		if err := record.SaveStep(t.Context(), a.DynamoDB(), table, id, "memory", v); err != nil {
			t.Fatal(err)
		}
		if got, found := load(id, "memory"); !found || got != v {
			t.Errorf("loaded %v, %v; want %v", got, found, v)
		}
	}
	for _, other := range [][2]string{{id, "isolate"}, {incident.NewID(machine, 10), "memory"}} {
		if v, found := load(other[0], other[1]); found {
			t.Errorf("%v has %v of another", other, v)
		}
	}
	if err := record.SaveStep(t.Context(), a.DynamoDB(), table, id, "memory", func() {}); err == nil || !strings.Contains(err.Error(), "step#memory") {
		t.Errorf("what cannot be stored: %v, want an error that names the item", err)
	}
}

func request(round int) record.Request {
	return record.Request{
		Incident: incident.NewID(machine, 1), Round: round, SecretHash: "hash", Secret: []byte("sealed"),
		OpenedAt: at, Problem: "", ExpiresAt: at.Add(24 * time.Hour),
	}
}

// All steps' notes are read at once, and nothing else of the incident.
func TestAllSteps(t *testing.T) {
	a := world(t)
	id := machine + ".1"
	for _, step := range []string{"isolate", "console"} {
		if err := record.SaveStep(t.Context(), a.DynamoDB(), table, id, step, step); err != nil {
			t.Fatal(err)
		}
	}
	if err := record.AddFinding(t.Context(), a.DynamoDB(), table, id, incident.Finding{ID: "f"}); err != nil {
		t.Fatal(err)
	}
	all, err := record.Steps(t.Context(), a.DynamoDB(), table, id)
	if d := cmp.Diff(record.Notes{"isolate": json.RawMessage(`"isolate"`), "console": json.RawMessage(`"console"`)}, all); err != nil || d != "" {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
}

// TestReadAll: an incident's own partition at once, over pages, and nothing of another's.
func TestReadAll(t *testing.T) {
	a := world(t)
	id := incident.NewID(machine, 1)
	long := strings.Repeat("x", 300<<10)
	for _, f := range []string{"a", "b", "c", "d", "e"} {
		if err := record.AddFinding(t.Context(), a.DynamoDB(), table, id, incident.Finding{ID: f, Description: long}); err != nil {
			t.Fatal(err)
		}
	}
	remember(t, a, numbered(1), prior("eni-1", "groups", `["sg-a"]`), prior("i-1", "disableApiStop", "false"))
	for _, of := range []string{id, incident.NewID(machine, 11)} {
		if err := record.SaveStep(t.Context(), a.DynamoDB(), table, of, "isolate", of); err != nil {
			t.Fatal(err)
		}
		if _, err := record.BeginClosing(t.Context(), a.DynamoDB(), table, of, "run", at); err != nil {
			t.Fatal(err)
		}
	}
	all, err := record.ReadAll(t.Context(), a.DynamoDB(), table, id)
	if err != nil {
		t.Fatal(err)
	}
	var want record.Everything
	if want.Findings, err = record.Findings(t.Context(), a.DynamoDB(), table, id); err != nil || len(want.Findings) != 5 {
		t.Fatal(len(want.Findings), err)
	}
	if want.Priors, err = record.Priors(t.Context(), a.DynamoDB(), table, id); err != nil || len(want.Priors) != 2 {
		t.Fatal(want.Priors, err)
	}
	want.Steps = map[string]json.RawMessage{"isolate": json.RawMessage(`"` + id + `"`)}
	same(t, "everything", all, want)
}

func TestRequest(t *testing.T) {
	a := world(t)
	id := incident.NewID(machine, 1)
	open := func(r record.Request) record.Request {
		t.Helper()
		r, err := record.OpenRequest(t.Context(), a.DynamoDB(), table, r)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	if _, found, err := record.LoadRequest(t.Context(), a.DynamoDB(), table, id, 1); found || err != nil {
		t.Fatalf("a request that nobody opened: %v, %v", found, err)
	}
	want := request(1)
	same(t, "opened", open(want), want)

	if err := record.ReplaceToken(t.Context(), a.DynamoDB(), table, id, 1, []byte("token 1")); err != nil {
		t.Fatal(err)
	}
	if err := record.NoteMailed(t.Context(), a.DynamoDB(), table, id, 1, at.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if err := record.ReplaceToken(t.Context(), a.DynamoDB(), table, id, 1, []byte("token 2")); err != nil {
		t.Fatal(err)
	}
	want.Token, want.MailedAt = []byte("token 2"), at.Add(time.Second)

	// The machine asks anew: a new secret would make the mailed link a dead one.
	again := request(1)
	again.SecretHash, again.Secret, again.ExpiresAt = "another", []byte("another"), at.Add(48*time.Hour)
	same(t, "opened again", open(again), want)
	got, found, err := record.LoadRequest(t.Context(), a.DynamoDB(), table, id, 1)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	same(t, "loaded", got, want)

	for _, want := range []int{1, 2} {
		if n, err := record.LastRound(t.Context(), a.DynamoDB(), table, id); err != nil || n != want {
			t.Errorf("asked %d times, %v; want %d", n, err, want)
		}
		if want == 2 {
			break
		}
		second := request(2)
		second.Problem = "Refused"
		same(t, "the next round", open(second), second)
	}
}

// TestFind: one look is what two reads are.
func TestFind(t *testing.T) {
	a := world(t)
	id := incident.NewID(machine, 1)
	for _, round := range []int{1, 2, 4, 9, 10} {
		if _, err := record.OpenRequest(t.Context(), a.DynamoDB(), table, request(round)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ round, here, next int }{{1, 1, 2}, {2, 2, 0}, {3, 0, 4}, {4, 4, 0}, {9, 9, 10}, {10, 10, 0}, {11, 0, 0}, {math.MaxInt, 0, 0}} {
		r, next, err := record.FindRequest(t.Context(), a.DynamoDB(), table, id, c.round)
		if err != nil {
			t.Fatal(err)
		}
		got := [2]int{}
		for n, r := range []*record.Request{r, next} {
			if r != nil {
				got[n] = r.Round
			}
		}
		if got != [2]int{c.here, c.next} {
			t.Errorf("from %d: %v, want %d and %d", c.round, got, c.here, c.next)
		}
	}
	for n, followed := range []bool{false, true, false} {
		h, got, err := record.FindHead(t.Context(), a.DynamoDB(), table, incident.NewID(machine, n))
		if n == 0 {
			if err == nil {
				t.Error("a head that is not there is found")
			}
			claim(t, a, 1, "first")
			claim(t, a, 2, "second")
			continue
		}
		if err != nil || h.Incident.ID != incident.NewID(machine, n) || got != followed {
			t.Errorf("incident %d: %+v, followed %v, %v", n, h, got, err)
		}
	}
	if _, _, err := record.FindHead(t.Context(), a.DynamoDB(), table, incident.NewID(machine, 3)); !errors.Is(err, record.ErrNone) {
		t.Errorf("%v, want that there is none", err)
	}
}

func TestRequestWhoseAnswerIsLost(t *testing.T) {
	a := world(t, "dynamodb:PutItem#1=lost")
	if _, err := record.OpenRequest(t.Context(), a.DynamoDB(), table, request(1)); err == nil {
		t.Fatal("no error")
	}
	rerun := request(1)
	rerun.Secret, rerun.SecretHash = []byte("another"), "another"
	got, err := record.OpenRequest(t.Context(), a.DynamoDB(), table, rerun)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the request", got, request(1))
}

func TestDecide(t *testing.T) {
	a := world(t)
	id := incident.NewID(machine, 1)
	if _, found, err := record.LoadDecision(t.Context(), a.DynamoDB(), decisions, id, 1); found || err != nil {
		t.Fatalf("a decision that nobody made: %v, %v", found, err)
	}
	first := incident.Decision{
		Incident: id, Round: 1, InstanceID: "i-0a", AttachedAt: at, Choice: incident.Keep, Person: "Satō\n", Reason: "<b>",
		DecidedAt: at, ExpiresAt: at.Add(time.Hour), MAC: []byte{0, 255},
	}
	if d, err := record.Decide(t.Context(), a.DynamoDB(), decisions, first); err != nil {
		t.Fatal(err)
	} else {
		same(t, "decided", d, first)
	}
	second := first
	second.Choice, second.Person = incident.Terminate, "Mallory"
	if d, err := record.Decide(t.Context(), a.DynamoDB(), decisions, second); !errors.Is(err, record.ErrTaken) {
		t.Errorf("decided twice: %v, want ErrTaken", err)
	} else {
		same(t, "the one that stands", d, first)
	}
	d, found, err := record.LoadDecision(t.Context(), a.DynamoDB(), decisions, id, 1)
	if err != nil || !found {
		t.Fatal(found, err)
	}
	same(t, "loaded", d, first)
	if !bytes.Equal(d.Signed(), first.Signed()) {
		t.Error("the decision does not verify after it was stored")
	}
	second.Round = 2
	if _, err := record.Decide(t.Context(), a.DynamoDB(), decisions, second); err != nil {
		t.Errorf("the next round: %v", err)
	}
	for _, c := range a.Calls() {
		in, ok := c.Input.(*dynamodb.PutItemInput)
		if c.Mutating && (!ok || !strings.Contains(aws.ToString(in.ConditionExpression), "attribute_not_exists")) {
			t.Errorf("%s without attribute_not_exists: a decision could be replaced", c.Action)
		}
	}
}

// TestDecisionsTellWhatEachIs: where two must decide, the first's is not told as a
// decision of its own.
func TestDecisionsTellWhatEachIs(t *testing.T) {
	a := world(t)
	id := incident.NewID(machine, 1)
	made := func(round int, c incident.Choice, person, first string) incident.Decision {
		return incident.Decision{Incident: id, Round: round, Choice: c, Person: person, First: first, DecidedAt: at, MAC: []byte(person + fmt.Sprint(round))}
	}
	store := func(put func(context.Context, record.Putter, string, incident.Decision) (incident.Decision, error), d incident.Decision) incident.Decision {
		t.Helper()
		if _, err := put(t.Context(), a.DynamoDB(), decisions, d); err != nil {
			t.Fatal(err)
		}
		return d
	}
	one := store(record.DecideFirst, made(1, incident.Terminate, "sato", ""))
	two := store(record.Decide, made(1, incident.Keep, "tanaka", ""))
	three := store(record.DecideFirst, made(2, incident.Terminate, "sato", ""))
	four := store(record.DecideOverride, made(2, incident.Terminate, "suzuki", ""))
	five := store(record.Decide, made(2, incident.Terminate, "tanaka", four.Mark()))
	six := store(record.DecideFirst, made(3, incident.Terminate, "sato", ""))
	got, err := record.Decisions(t.Context(), a.DynamoDB(), decisions, id)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "the decisions", got, []incident.Recorded{
		{Decision: one, Part: incident.Unseconded},
		{Decision: two, Part: incident.Alone},
		{Decision: three, Part: incident.Unseconded},
		{Decision: four, Part: incident.FirstOfTwo},
		{Decision: five, Part: incident.Second},
		{Decision: six, Part: incident.Unseconded},
	})
	firsts, err := record.LoadFirsts(t.Context(), a.DynamoDB(), decisions, id, 2)
	if err != nil {
		t.Fatal(err)
	}
	same(t, "those of first people", firsts, []incident.Decision{three, four})
	if d, err := record.DecideOverride(t.Context(), a.DynamoDB(), decisions, made(2, incident.Terminate, "mallory", "")); !errors.Is(err, record.ErrTaken) || d.Person != "suzuki" {
		t.Errorf("written over: %+v, %v", d, err)
	}
}

// TestReadsAreConsistent makes each read answer from before the newest write,
// which a consistent one never does.
func TestReadsAreConsistent(t *testing.T) {
	id := incident.NewID(machine, 1)
	for name, tt := range map[string]struct {
		fault string
		run   func(ctx context.Context, db *sim.DynamoDB) (found bool, err error)
	}{
		"Latest": {"Query", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_, _ = record.Claim(ctx, db, table, record.Head{Incident: numbered(1)})
			_, found, err := record.Latest(ctx, db, table, machine)
			return found, err
		}},
		"LoadHead": {"GetItem", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_, _ = record.Claim(ctx, db, table, record.Head{Incident: numbered(1)})
			h, err := record.LoadHead(ctx, db, table, id)
			return h.State == record.Open, err
		}},
		"Findings": {"Query", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_ = record.AddFinding(ctx, db, table, id, incident.Finding{ID: "f"})
			all, err := record.Findings(ctx, db, table, id)
			return len(all) == 1, err
		}},
		"FindHead": {"Query", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_, _ = record.Claim(ctx, db, table, record.Head{Incident: numbered(1)})
			_, _ = record.Claim(ctx, db, table, record.Head{Incident: numbered(2)})
			_, followed, err := record.FindHead(ctx, db, table, id)
			return followed, err
		}},
		"FindRequest": {"Query", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_, _ = record.OpenRequest(ctx, db, table, request(1))
			r, _, err := record.FindRequest(ctx, db, table, id, 1)
			return r != nil, err
		}},
		"ReadAll": {"Query", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_ = record.SaveStep(ctx, db, table, id, "isolate", 1)
			all, err := record.ReadAll(ctx, db, table, id)
			return len(all.Steps) == 1, err
		}},
		"Priors": {"Query", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_, _ = record.Remember(ctx, db, table, host, numbered(1), []record.Prior{prior("eni-1", "groups", `[]`)})
			all, err := record.Priors(ctx, db, table, id)
			return len(all) == 1, err
		}},
		"Remember": {"GetItem", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_, _ = record.Remember(ctx, db, table, host, numbered(1), []record.Prior{prior("eni-1", "groups", `["sg-a"]`)})
			inc := numbered(2)
			inc.Inherits = id
			all, err := record.Remember(ctx, db, table, host, inc, []record.Prior{prior("eni-1", "groups", `["sg-quarantine"]`)})
			return err == nil && string(all[0].Value) == `["sg-a"]`, err
		}},
		"LoadStep": {"GetItem", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_ = record.SaveStep(ctx, db, table, id, "isolate", 1)
			var v int
			return record.LoadStep(ctx, db, table, id, "isolate", &v)
		}},
		"LoadRequest": {"GetItem", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_, _ = record.OpenRequest(ctx, db, table, request(1))
			_, found, err := record.LoadRequest(ctx, db, table, id, 1)
			return found, err
		}},
		"LoadDecision": {"GetItem", func(ctx context.Context, db *sim.DynamoDB) (bool, error) {
			_, _ = record.Decide(ctx, db, decisions, incident.Decision{Incident: id, Round: 1})
			_, found, err := record.LoadDecision(ctx, db, decisions, id, 1)
			return found, err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := world(t, "dynamodb:"+tt.fault+"#1=stale")
			if found, err := tt.run(t.Context(), a.DynamoDB()); err != nil || !found {
				t.Errorf("what was just written is not found: %v", err)
			}
			if left := a.Unmet(); len(left) > 0 {
				t.Errorf("%v never came: nothing was tried", left)
			}
		})
	}
}

// TestDamaged: an item that cannot be read is an error that names it; taken for
// an empty one it would be an incident that is over, or a value never changed.
func TestDamaged(t *testing.T) {
	id := incident.NewID(machine, 1)
	whole := `{"incident":"` + id + `","round":1}`
	for name, tt := range map[string]struct {
		table, pk, sk string
		item          map[string]string
		read          func(ctx context.Context, db *sim.DynamoDB) error
	}{
		"LoadHead, no body": {table, machine, "incident#000001", map[string]string{"state": "open"}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.LoadHead(ctx, db, table, id)
			return err
		}},
		"LoadHead, no state": {table, machine, "incident#000001", map[string]string{"body": `{}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.LoadHead(ctx, db, table, id)
			return err
		}},
		"LoadHead, strange state": {table, machine, "incident#000001", map[string]string{"body": `{}`, "state": "Open"}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.LoadHead(ctx, db, table, id)
			return err
		}},
		"Latest, closedAt": {table, machine, "incident#000001", map[string]string{"body": `{}`, "state": "kept", "closedAt": "yesterday"}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, found, err := record.Latest(ctx, db, table, machine)
			if found {
				return nil
			}
			return err
		}},
		"Claim over it": {table, machine, "incident#000001", map[string]string{"body": `{`, "state": "open"}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.Claim(ctx, db, table, record.Head{Incident: numbered(1)})
			if errors.Is(err, record.ErrTaken) {
				return nil
			}
			return err
		}},
		"Findings": {table, id, "finding#f1", map[string]string{"body": `[]`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.Findings(ctx, db, table, id)
			return err
		}},
		"ReadAll, a finding": {table, id, "finding#f1", map[string]string{"body": `[]`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.ReadAll(ctx, db, table, id)
			return err
		}},
		"ReadAll, a prior": {table, id, "prior#eni-1#groups", map[string]string{"body": `{"at":1}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.ReadAll(ctx, db, table, id)
			return err
		}},
		"BeginClosing": {table, id, "closing#run", map[string]string{"at": "yesterday"}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.BeginClosing(ctx, db, table, id, "run", at)
			return err
		}},
		"Priors": {table, id, "prior#eni-1#groups", map[string]string{"body": `{"at":1}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.Priors(ctx, db, table, id)
			return err
		}},
		"Remember over it": {table, id, "prior#eni-1#groups", map[string]string{}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.Remember(ctx, db, table, host, numbered(1), []record.Prior{prior("eni-1", "groups", `["sg-quarantine"]`)})
			return err
		}},
		"Remember, inherited": {table, id, "prior#eni-1#groups", map[string]string{"body": `"x"`}, func(ctx context.Context, db *sim.DynamoDB) error {
			inc := numbered(2)
			inc.Inherits = id
			_, err := record.Remember(ctx, db, table, host, inc, []record.Prior{prior("eni-1", "groups", `["sg-quarantine"]`)})
			return err
		}},
		"LoadStep": {table, id, "step#isolate", map[string]string{"body": `{"contained":"yes"}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			var v incident.Isolation
			_, err := record.LoadStep(ctx, db, table, id, "isolate", &v)
			return err
		}},
		"LoadRequest": {table, "request#" + id, "request#001", map[string]string{"body": `{"round":"1"}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, _, err := record.LoadRequest(ctx, db, table, id, 1)
			return err
		}},
		"FindRequest": {table, "request#" + id, "request#001", map[string]string{"body": `{"round":"1"}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, _, err := record.FindRequest(ctx, db, table, id, 1)
			return err
		}},
		"FindRequest, the next": {table, "request#" + id, "request#002", map[string]string{"body": `{"round":"1"}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, _, err := record.FindRequest(ctx, db, table, id, 1)
			return err
		}},
		"FindHead": {table, machine, "incident#000001", map[string]string{"body": `{}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, _, err := record.FindHead(ctx, db, table, id)
			return err
		}},
		"OpenRequest over it": {table, "request#" + id, "request#001", map[string]string{"body": whole, "mailedAt": "yesterday"}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.OpenRequest(ctx, db, table, request(1))
			return err
		}},
		"LoadDecision": {decisions, id, "request#001", map[string]string{"body": `{"mac":"?"}`}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, found, err := record.LoadDecision(ctx, db, decisions, id, 1)
			if found {
				return nil
			}
			return err
		}},
		"Decide over it": {decisions, id, "request#001", map[string]string{}, func(ctx context.Context, db *sim.DynamoDB) error {
			_, err := record.Decide(ctx, db, decisions, incident.Decision{Incident: id, Round: 1, Choice: incident.Terminate})
			if errors.Is(err, record.ErrTaken) {
				return nil
			}
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			a := world(t)
			item := map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: tt.pk}, "sk": &types.AttributeValueMemberS{Value: tt.sk}}
			for k, v := range tt.item {
				item[k] = &types.AttributeValueMemberS{Value: v}
			}
			if _, err := a.DynamoDB().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(tt.table), Item: item}); err != nil {
				t.Fatal(err)
			}
			before := stored(t, a)
			err := tt.read(t.Context(), a.DynamoDB())
			if err == nil || !strings.Contains(err.Error(), tt.pk+" "+tt.sk) {
				t.Errorf("error %v, want one that names %s %s", err, tt.pk, tt.sk)
			}
			same(t, "the record", stored(t, a), before)
		})
	}
}

func TestHeadThatIsNotThere(t *testing.T) {
	a := world(t)
	id := incident.NewID(machine, 7)
	if _, err := record.LoadHead(t.Context(), a.DynamoDB(), table, id); err == nil || !strings.Contains(err.Error(), id) {
		t.Errorf("error %v, want one that names %s", err, id)
	}
	if _, err := record.LoadHead(t.Context(), a.DynamoDB(), table, "i-0a"); err == nil {
		t.Error("an ID that is none: no error")
	}
}
