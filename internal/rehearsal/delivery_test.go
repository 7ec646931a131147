package rehearsal_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// once visits the page a time after the mail, decides, and never comes back.
func once(after time.Duration, choice string) rehearsal.Person {
	return func(q rehearsal.Question) {
		q.Sleep(after)
		q.Post(choice)
	}
}

// SendTaskSuccess never works, and nobody visits the page again: what was recorded
// is carried out all the same, within minutes in the first hour, and within a
// seventy-second of the request's time later.
func TestUndeliveredDecisions(t *testing.T) {
	plain := readFile(t, "plain.json")
	kept := first(t, "keep").Account
	for name, c := range map[string]struct {
		change func(*rehearsal.Options)
		choice string
		ending string
	}{
		"release":      {func(*rehearsal.Options) {}, "release", "Released"},
		"terminate":    {func(*rehearsal.Options) {}, "terminate", "Terminated"},
		"keep":         {func(*rehearsal.Options) {}, "keep", "Kept isolated"},
		"isolate":      {func(o *rehearsal.Options) { o.Parameters = map[string]string{"MaxIsolationsPerHour": "0"} }, "isolate", "Isolated, undecided"},
		"leave alone":  {func(o *rehearsal.Options) { o.Parameters = map[string]string{"MaxIsolationsPerHour": "0"} }, "leave", "Released"},
		"months later": {func(o *rehearsal.Options) { *o = later(kept, "none") }, "release", "Released"},
	} {
		for after, within := range map[time.Duration]time.Duration{time.Minute: 6 * time.Minute, 10 * time.Hour: 21 * time.Minute} {
			t.Run(fmt.Sprintf("%s, after %s", name, after), func(t *testing.T) {
				o := options(plain)
				c.change(&o)
				// The one delivery that is tried; below, that there is no other.
				o.Faults = []sim.Fault{{Service: "sfn", Action: "SendTaskSuccess", Number: 1, Kind: sim.Unavailable}}
				o.Person = once(after, c.choice)
				r := run(t, o)
				if r.Ending != c.ending {
					t.Fatalf("ended as %q by way of %v", r.Ending, path(t, r))
				}
				if callsTo(r, func(c rehearsal.Call) bool { return c.Action == "SendTaskSuccess" && c.Error == "" }) > 0 {
					t.Fatal("this test wants deliveries that fail")
				}
				decided := firstAfter(r, "SendTaskSuccess", 0)
				if decided == 0 {
					t.Fatal("nobody decided")
				}
				verified := firstAfter(r, "VerifyMac", decided)
				if late := time.Duration((verified - decided) * float64(time.Second)); verified == 0 || late > within {
					t.Errorf("verified %s after it was decided, want %s at most", late, within)
				}
			})
		}
	}
}

// firstAfter is when an action was called first, not before a time; 0 if never.
func firstAfter(r rehearsal.Result, action string, at float64) float64 {
	for _, c := range r.Calls {
		if c.Action == action && float64(c.At) >= at {
			return float64(c.At)
		}
	}
	return 0
}

// Where delivery works, nobody is in its way: the page never says that nobody waits.
func TestDeliveryIsNotOvertaken(t *testing.T) {
	for _, after := range []time.Duration{4*time.Minute + 50*time.Second, 5 * time.Minute, 10*time.Minute + time.Second} {
		o := options(readFile(t, "plain.json"))
		var status int
		o.Person = func(q rehearsal.Question) {
			q.Sleep(after)
			status = q.Post("keep")
		}
		if r := run(t, o); r.Ending != "Kept isolated" || status != http.StatusOK {
			t.Errorf("after %s: ended as %q, the page answered %d", after, r.Ending, status)
		}
	}
}

// Nobody answers for as long as a request may last, in every place where people
// are asked: they are reminded, others are told, and the history stays far below
// its limit.
func TestAWeekOfSilence(t *testing.T) {
	kept := first(t, "keep").Account
	for name, c := range map[string]struct {
		o        rehearsal.Options
		ending   string
		remind   string
		times    int
		escalate bool
	}{
		"isolated":     {options(readFile(t, "plain.json")), "Isolated, undecided", "[DECIDE] Nobody has decided", 7, true},
		"not isolated": {options(readFile(t, "plain.json")), "Not contained", "[DECIDE NOW] Still NOT isolated", 9, true},
		"months later": {later(kept, "none"), "Kept isolated", "[DECIDE] You were asked once more", 7, false},
	} {
		t.Run(name, func(t *testing.T) {
			c.o.Parameters = map[string]string{"ApprovalHours": "168", "EscalationEmail": "boss@example.com"}
			if name == "not isolated" {
				c.o.Parameters["MaxIsolationsPerHour"] = "0"
			}
			r, events, err := rehearsal.Counted(c.o)
			if err != nil || len(r.Broken) > 0 {
				t.Fatal(err, r.Broken)
			}
			reminders, told := mailed(r, c.remind), mailed(r, "[ESCALATION]")
			if r.Ending != c.ending || len(reminders) != c.times || (len(told) == 1) != c.escalate || events > 5000 {
				t.Errorf("ended as %q after %d events, %d reminders, others told %d times\n%s", r.Ending, events, len(reminders), len(told), strings.Join(subjects(r), "\n"))
			}
			last := r.Mails[len(r.Mails)-1]
			if !strings.Contains(last.Body, "cordon decide") && name != "not isolated" {
				t.Errorf("the last mail does not say how to decide later:\n%s", last.Body)
			}
			if !slices.IsSortedFunc(reminders, func(a, b rehearsal.Mail) int { return int(a.At - b.At) }) {
				t.Error("reminders out of order")
			}
			t.Logf("%d events", events)
		})
	}
}

// Five requests of a week each, decided in the last hour and refused, are the most
// that one execution waits for people.
func TestFiveWeeksOfRefusals(t *testing.T) {
	event := readFile(t, "plain.json")
	o := options(event)
	o.Account, o.Parameters = withoutSnapshots(t, event), map[string]string{"ApprovalHours": "168", "EscalationEmail": "boss@example.com"}
	asked := 0
	o.Person = func(q rehearsal.Question) {
		asked++
		once(167*time.Hour, "terminate")(q)
	}
	r, events, err := rehearsal.Counted(o)
	if err != nil || len(r.Broken) > 0 {
		t.Fatal(err, r.Broken)
	}
	// 5,040 and 9,900 events are what looks at snapshots and memory may take besides.
	if r.Ending != "Isolated, undecided" || asked != 5 || events > 25_000-5_040-9_900 {
		t.Errorf("ended as %q after %d questions and %d events", r.Ending, asked, events)
	}
	t.Logf("%d events", events)
}

// While SNS refuses every mail, each reminding call is an invocation that failed,
// which AskingFailedAlarm counts; then reminder and escalation go, late. Nothing
// counts where mails go.
func TestFailedRemindersAlarm(t *testing.T) {
	for _, storm := range []bool{true, false} {
		o := options(readFile(t, "plain.json"))
		o.Parameters = map[string]string{"EscalationEmail": "boss@example.com"}
		if storm {
			o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 3000, Until: 50_000, Calls: "sns:Publish", Kind: "unavailable"}}}
		}
		var failed, first int
		o.Watch = func(m rehearsal.Moment) {
			if m.Kind == rehearsal.Stepped && m.Name == "approval" && m.Detail == "failed" {
				if failed++; failed == 1 {
					first = int(m.At.Seconds())
				}
			}
		}
		r, err := rehearsal.Run(o)
		if err != nil || r.Ending != "Isolated, undecided" || len(r.Broken) > 0 {
			t.Fatal(err, r.Ending, r.Broken)
		}
		if !storm {
			if failed != 0 || len(mailed(r, "[ESCALATION]")) != 1 {
				t.Errorf("%d invocations failed, others told %d times", failed, len(mailed(r, "[ESCALATION]")))
			}
			continue
		}
		// The first reminder is due after an hour; a look may be five minutes later.
		if failed < 3 || first < 3600 || first > 4000 {
			t.Errorf("%d invocations failed, the first after %d s", failed, first)
		}
		if late := mailed(r, "[ESCALATION]"); len(late) != 1 || late[0].At < 50_000 {
			t.Errorf("others are told %d times", len(late))
		}
		if len(mailed(r, "[DECIDE] Nobody")) == 0 {
			t.Error("nobody is reminded once mails go again")
		}
	}
}
