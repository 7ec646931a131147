//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"cordon"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

// decides is a person of the rehearsal who waits, as a scene does, until the
// evidence is at its end.
func decides(choice string) rehearsal.Person {
	return func(q rehearsal.Question) {
		q.Sleep(50 * time.Minute) // an hour after it was asked people are reminded
		rehearsal.Decides(choice)(q)
	}
}

// rehearse rehearses the very event that the machine got, on the account as
// moto described it before.
func (sc *scene) rehearse(account []byte, event, choice string, faults ...string) rehearsal.Result {
	sc.Helper()
	if choice == "" {
		return sc.rehearseWith(account, event, nil, faults...)
	}
	return sc.rehearseWith(account, event, decides(choice), faults...)
}

func (sc *scene) rehearseWith(account []byte, event string, person rehearsal.Person, faults ...string) rehearsal.Result {
	sc.Helper()
	parameters := maps.Clone(sc.d.parameters)
	maps.DeleteFunc(parameters, func(name, _ string) bool { return strings.HasPrefix(name, "MemoryTool") }) // it has a tool of its own
	o := rehearsal.Options{Template: cordon.Template, Definition: cordon.Definition, Event: []byte(event), Account: account, Seed: 1, Parameters: parameters, Person: person}
	for _, f := range faults {
		fault, err := sim.ParseFault(f)
		sc.must(err)
		o.Faults = append(o.Faults, fault)
	}
	r, err := rehearsal.Run(o)
	sc.must(err)
	for _, how := range r.Broken {
		sc.Errorf("the rehearsal is violated: %s", how)
	}
	return r
}

// same compares an execution, and all that was changed meanwhile, with its rehearsal.
func (sc *scene) same(x execution, r rehearsal.Result) {
	sc.Helper()
	sc.sameWay(x, r)
	if diff := cmp.Diff(rehearsed(sc, r), sc.changes()); diff != "" {
		sc.Errorf("other changes (-rehearsed +run):\n%s", diff)
	}
	mails := rehearsedSubjects(r)
	sc.eventually("as many mails as in the rehearsal", func() bool { return len(sc.mails()) >= len(mails) })
	if diff := cmp.Diff(mails, subjects(sc.mails())); diff != "" {
		sc.Errorf("other mails (-rehearsed +run):\n%s", diff)
	}
}

// sameInTime is same where time was made to pass, so that what is said again and
// again was said once: when it comes, and how much time it says is left, is not
// compared.
func (sc *scene) sameInTime(x execution, r rehearsal.Result) {
	sc.Helper()
	sc.sameWay(x, r)
	if diff := cmp.Diff(rehearsed(sc, r), sc.changes()); diff != "" {
		sc.Errorf("other changes (-rehearsed +run):\n%s", diff)
	}
	timeless := func(subjects []string) []string {
		var all []string
		for _, s := range subjects {
			all = append(all, left.ReplaceAllString(s, "$1"))
		}
		slices.Sort(all)
		return slices.Compact(all)
	}
	want := timeless(rehearsedSubjects(r))
	sc.eventually("the mails of the rehearsal", func() bool { return len(timeless(subjects(sc.mails()))) >= len(want) })
	if diff := cmp.Diff(want, timeless(subjects(sc.mails()))); diff != "" {
		sc.Errorf("other mails (-rehearsed +run):\n%s", diff)
	}
}

var left = regexp.MustCompile(`\b[0-9][0-9a-z ]* (left)\b`)

// sameWay compares the way through the machine.
func (sc *scene) sameWay(x execution, r rehearsal.Result) {
	sc.Helper()
	if diff := cmp.Diff(r.Ending, x.ending); diff != "" {
		sc.Errorf("another ending (-rehearsed +run):\n%s", diff)
	}
	if diff := cmp.Diff(topLevel(r.States), x.states); diff != "" {
		sc.Errorf("another way through the machine (-rehearsed +run):\n%s", diff)
	}
	sc.Cleanup(func() {
		if sc.Failed() && len(x.failed) > 0 {
			sc.Logf("attempts that failed on the way; a States.Timeout that is none of the scene's tells that this machine was too busy:\n%s", strings.Join(x.failed, "\n"))
		}
	})
}

func rehearsedSubjects(r rehearsal.Result) []string {
	var all []string
	for _, m := range r.Mails {
		all = append(all, m.Subject)
	}
	return all
}

// topLevel is a way through the machine without the states inside branches,
// which ministack does not tell.
func topLevel(states []string) []string {
	var m struct{ States map[string]json.RawMessage }
	if err := json.Unmarshal(cordon.Definition, &m); err != nil {
		panic(err) // it is parsed by every other test
	}
	return slices.DeleteFunc(slices.Clone(states), func(name string) bool { _, ok := m.States[name]; return !ok })
}

// changes are what was changed, by what it concerns: the calls, in order.
type changes map[string][]string

// rehearsed are the changes of a rehearsal.
func rehearsed(sc *scene, r rehearsal.Result) changes {
	sc.Helper()
	a, err := rehearsal.ReadAccount(r.Account)
	sc.must(err)
	names := naming(a.SecurityGroups, a.Snapshots)
	all := changes{}
	for _, c := range r.Calls {
		// An answer that a killed function did not get was given nevertheless.
		if c.Mutating && (c.Error == "" || c.Error == "Canceled") {
			all.add(c.Service, c.Action, c.Resources, names)
		}
	}
	return all.settled()
}

// changes are those of this scene that went over the wire and were done.
func (sc *scene) changes() changes {
	sc.Helper()
	a, err := rehearsal.ReadAccount(sc.account())
	sc.must(err)
	names := naming(a.SecurityGroups, sc.snapshots())
	all := changes{}
	for _, c := range sc.calls() {
		if c.Mutating && c.Code == "" {
			all.add(c.Service, c.Action, c.Resources, names)
		}
	}
	return all.settled()
}

// naming gives names to what is made in a run, whose IDs are its own: a group by
// what it is for, a snapshot by its volume.
func naming(groups []types.SecurityGroup, snapshots []types.Snapshot) map[string]string {
	names := map[string]string{}
	for _, g := range groups {
		for _, t := range g.Tags {
			if aws.ToString(t.Key) == "cordon:group" {
				names[*g.GroupId] = "group " + aws.ToString(t.Value)
			}
		}
	}
	for _, s := range snapshots {
		names[*s.SnapshotId] = "snapshot of " + aws.ToString(s.VolumeId)
	}
	return names
}

var (
	ruleID = regexp.MustCompile(`^sgr-`)
	byRun  = regexp.MustCompile(`(/manifests/|/reports/|closing#)[^/.]+`) // named by the execution
	// served are the balancers of the scene's Auto Scaling group.
	served = regexp.MustCompile(`^app-\d+-group$|:targetgroup/app-\d+-group/`)
	called = map[string]*regexp.Regexp{
		"incidents": regexp.MustCompile(`IncidentsTable`), "decisions": regexp.MustCompile(`DecisionsTable`),
		"bucket": regexp.MustCompile(`(?i)^[^/]*evidencebucket[^/]*$`), "document": regexp.MustCompile(`Memory(Windows)?Document`),
	}
)

// add adds a call under what it concerns: an interface, or else all it names.
// SNS is left out, whose topic is everybody's: mails are compared as such. So is
// what Step Functions is told, which names nothing, and what all incidents share
// in the record: the queue of turns and the places of the brakes; and leases, which
// each attempt takes. The journal has an entry for each change of the record, so also for each look.
func (all changes) add(service, action string, resources []string, names map[string]string) {
	if service == "sns" || service == "sfn" || slices.ContainsFunc(resources, func(r string) bool {
		return strings.HasPrefix(r, "queue#") || strings.HasPrefix(r, "brake#") || strings.HasPrefix(r, "lease#") || strings.Contains(r, "/journal/")
	}) {
		return
	}
	// An instance that leaves its group leaves the group's balancers, too: whether we
	// find it there still is a matter of which is first. That it comes back is compared.
	if strings.HasPrefix(action, "Deregister") && slices.ContainsFunc(resources, served.MatchString) {
		return
	}
	var subject string
	var rest []string
	for _, r := range resources {
		if ruleID.MatchString(r) {
			continue // of rules that a group had when it was made
		}
		if n, ok := names[r]; ok {
			r = n
		}
		r = byRun.ReplaceAllString(r, "${1}RUN")
		for n, pattern := range called {
			if pattern.MatchString(r) {
				r = n
			}
		}
		if strings.HasPrefix(r, "eni-") && service == "ec2" {
			subject = r
			continue
		}
		rest = append(rest, r)
	}
	slices.Sort(rest)
	call := service + ":" + action
	if action == "CreateSnapshots" { // of the volumes; what protects the instance goes on beside it
		subject = "volumes of " + strings.Join(rest, " ")
		rest = nil
	}
	if subject == "" {
		subject = strings.Join(rest, " ")
	} else if len(rest) > 0 {
		call += " " + strings.Join(rest, " ")
	}
	all[subject] = append(all[subject], call)
}

// settled takes out what has no order or no number. A step that is asked again
// how far it is saves that each time: how often is a matter of time. So is how
// often people were reminded, which their request notes. And isolate
// mends the rules of a group by calls that it makes side by side.
func (all changes) settled() changes {
	for subject, calls := range all {
		if strings.Contains(subject, " step#") || strings.HasPrefix(subject, "request#") || strings.Contains(subject, " request#") {
			calls = slices.Compact(calls)
		}
		if strings.HasPrefix(subject, "group ") {
			slices.Sort(calls)
		}
		all[subject] = calls
	}
	return all
}

// of are the changes that name something.
func (all changes) of(what string) changes {
	some := changes{}
	for subject, calls := range all {
		if strings.Contains(subject, what) {
			some[subject] = calls
		}
	}
	return some
}

func (all changes) String() string {
	var b strings.Builder
	for _, subject := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(&b, "%s: %s\n", subject, strings.Join(all[subject], ", "))
	}
	return b.String()
}
