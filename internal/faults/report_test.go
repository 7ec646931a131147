package faults_test

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"testing"

	"cordon"
	"cordon/internal/asl"
	"cordon/internal/rehearsal"
	"cordon/internal/template"
)

// report is what a campaign comes to.
type report struct {
	strings.Builder
	digest hash.Hash
}

func (r *report) bases(all []*base) {
	r.digest = sha256.New()
	calls := 0
	for _, b := range all {
		calls += len(b.undisturbed.Calls)
	}
	fmt.Fprintf(r, "%d base incidents, %d calls of AWS in their undisturbed runs\n", len(all), calls)
	for _, b := range all {
		fmt.Fprintf(r, "  %-30s %4d calls, ends as %q\n", b.name, len(b.undisturbed.Calls), b.undisturbed.Ending)
		for _, how := range b.undisturbed.Broken {
			fmt.Fprintf(r, "    violated: %s\n", how)
		}
	}
}

// reach says how much the runs with one fault came to, of all that there is.
func (r *report) reach(got, of reach) {
	fmt.Fprintf(r, "one fault came to %d of %d calls, to %d of %d of the incidents that are not thinned, and to %d of %d kinds of fault at what a function calls\n",
		got.calls, of.calls, got.whole, of.whole, got.whats, of.whats)
}

// most is how many violations of a part are shrunk and told.
const most = 20

// part runs trials and tells what came of them.
func (r *report) part(t *testing.T, e *engine, name string, trials []trial) {
	t.Helper()
	drawn, runs, happened, endings, violations := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	told := map[string]bool{}
	for n, o := range e.all(trials) {
		tr := trials[n]
		_, _ = r.digest.Write(o.digest[:]) // a hash takes everything
		for what, n := range o.happened {
			happened[what] += n
		}
		for _, k := range o.hit(tr) {
			runs[k]++
		}
		for _, k := range drawnKinds(tr) {
			drawn[k]++
		}
		endings[o.ending]++
		for n, broken := range o.names() {
			violations[broken]++
			if key := tr.base.name + broken; n == 0 && !told[key] && len(told) < most {
				told[key] = true
				t.Errorf("%s", violation(t, e, tr, o))
			}
		}
	}
	fmt.Fprintf(r, "%s: %d runs\n", name, len(trials))
	counts := func(what string, m map[string]int) {
		var all []string
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if m[k] > 0 {
				all = append(all, fmt.Sprintf("%s %d", k, m[k]))
			}
		}
		fmt.Fprintf(r, "  %s: %s\n", what, strings.Join(all, ", "))
	}
	counts("in so many runs", drawn)
	counts("to some effect", runs)
	counts("how often", happened)
	for k, n := range drawn {
		// Nothing is shown by what is drawn and never comes to anything.
		if runs[k] == 0 && n >= 100 {
			t.Errorf("%s: %s was drawn in %d runs and had an effect in none", name, k, n)
		}
	}
	counts("endings", endings)
	total := 0
	for _, n := range violations {
		total += n
	}
	fmt.Fprintf(r, "  violations: %d\n", total)
	if total > 0 {
		counts("violated", violations)
		t.Errorf("%s: %d violations: %v", name, total, violations)
	}
}

// drawnKinds are the kinds of what a trial does to its incident.
func drawnKinds(tr trial) []string {
	var all []string
	for _, f := range tr.script.Faults {
		all = append(all, "fault "+f[strings.LastIndexByte(f, '=')+1:])
	}
	for _, s := range tr.script.Storms {
		all = append(all, "storm "+string(s.Kind))
	}
	for _, s := range tr.script.Others {
		all = append(all, "others "+s.What)
	}
	for kind, n := range map[string]int{"event more": len(tr.script.Events), "person more": len(tr.script.People), "clock ahead or behind": len(tr.script.Skew), "stop": len(tr.script.Stops), "redrive": len(tr.script.Redrives)} {
		if n > 0 {
			all = append(all, kind)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// hit are those of them that came to something.
func (o outcome) hit(tr trial) []string {
	return slices.DeleteFunc(drawnKinds(tr), func(kind string) bool {
		for what := range o.happened {
			if what == kind || strings.HasPrefix(what, kind+", ") {
				return false
			}
		}
		return true
	})
}

// coverage holds what was seen against the definition itself. A whole campaign sees
// all but what nothing can reach.
func (r *report) coverage(t *testing.T, seen way, whole bool) {
	t.Helper()
	missed, total := missing(t, seen)
	fmt.Fprintf(r, "states and transitions: %d of %d seen\n", total-len(missed), total)
	for _, m := range missed {
		if whole && unreached[m] == "" {
			t.Errorf("no run came to %s, and no reason is known", m)
		}
		fmt.Fprintf(r, "  never: %s: %s\n", m, cmp.Or(unreached[m], "not in this run; TestEveryWay comes to it"))
	}
}

// missing are the states ("A") and transitions ("A -> B") of the definition that
// were not seen, of how many.
func missing(t *testing.T, seen way) (missed []string, total int) {
	t.Helper()
	reached := map[string]bool{}
	note := func(what string, was bool) {
		if !reached[what] {
			reached[what] = true
			total++
			if !was {
				missed = append(missed, what)
			}
		}
	}
	for _, s := range machine(t).States() {
		note(s.Name, seen.states[s.Name])
		for _, to := range s.Targets {
			note(s.Name+" -> "+to, seen.moves[move{s.Name, to}])
		}
	}
	return missed, total
}

// machine is the definition as it is deployed.
func machine(t *testing.T) *asl.Machine {
	t.Helper()
	tm, err := template.Parse(cordon.Template)
	if err != nil {
		t.Fatal(err)
	}
	d, err := tm.Deploy(template.Settings{Account: "111122223333", Region: "us-east-1", Stack: "cordon", Parameters: rehearsal.Defaults})
	if err != nil {
		t.Fatal(err)
	}
	declared, ok := d.StateMachine()
	if !ok {
		t.Fatal("there is no state machine")
	}
	text, err := template.Substitute(cordon.Definition, declared.Substitutions)
	if err != nil {
		t.Fatal(err)
	}
	m, err := asl.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}
