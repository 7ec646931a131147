package rehearsal_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"slices"
	"testing"

	"cordon/internal/approval"
	"cordon/internal/authorize"
	closing "cordon/internal/close"
	"cordon/internal/console"
	"cordon/internal/credentials"
	"cordon/internal/custody"
	"cordon/internal/digest"
	"cordon/internal/drift"
	"cordon/internal/enrich"
	"cordon/internal/exposure"
	"cordon/internal/isolate"
	"cordon/internal/memory"
	"cordon/internal/notify"
	"cordon/internal/preserve"
	"cordon/internal/rehearsal"
	"cordon/internal/release"
	"cordon/internal/snapshot"
	"cordon/internal/terminate"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/state.json")

const stateFile = "testdata/state.json"

// passed is what a step was given and what it answered.
type passed struct {
	Input  json.RawMessage `json:"input"`
	Output json.RawMessage `json:"output"`
}

// letter is notify's input as the machine gives it: its own UnmarshalJSON takes
// events of any shape.
type letter notify.Input

// shapes are the types that each step reads and writes. decide has none: it
// speaks HTTP.
var shapes = map[string]func() (in, out any){
	"approval":    func() (any, any) { return new(approval.Input), new(approval.Output) },
	"authorize":   func() (any, any) { return new(authorize.Input), new(authorize.Output) },
	"close":       func() (any, any) { return new(closing.Input), new(closing.Output) },
	"console":     func() (any, any) { return new(console.Input), new(console.Output) },
	"credentials": func() (any, any) { return new(credentials.Input), new(credentials.Output) },
	"custody":     func() (any, any) { return new(custody.Input), new(custody.Output) },
	"digest":      func() (any, any) { return new(digest.Input), new(digest.Output) },
	"drift":       func() (any, any) { return new(drift.Input), new(drift.Output) },
	"enrich":      func() (any, any) { return new(enrich.Input), new(enrich.Output) },
	"exposure":    func() (any, any) { return new(exposure.Input), new(exposure.Output) },
	"isolate":     func() (any, any) { return new(isolate.Input), new(isolate.Output) },
	"memory":      func() (any, any) { return new(memory.Input), new(memory.Output) },
	"notify":      func() (any, any) { return new(letter), new(notify.Output) },
	"preserve":    func() (any, any) { return new(preserve.Input), new(preserve.Output) },
	"release":     func() (any, any) { return new(release.Input), new(release.Output) },
	"snapshot":    func() (any, any) { return new(snapshot.Input), new(snapshot.Output) },
	"terminate":   func() (any, any) { return new(terminate.Input), new(terminate.Output) },
}

// state is what goes between machine and steps in one incident: each step's
// newest invocation. release is from the same incident decided otherwise.
func state(t *testing.T) map[string]passed {
	t.Helper()
	if testing.Short() {
		t.Skip("nothing here runs beside anything else")
	}
	all := map[string]passed{}
	for _, decision := range []string{"release", "terminate"} {
		note := func(step string, in, out []byte) {
			if step != "journal" { // Lambda hands it what the tables say, not the machine
				all[step] = passed{bytes.Clone(in), bytes.Clone(out)}
			}
		}
		o := decides(options(readFile(t, "plain.json")), decision)
		o.Parameters = elsewhere            // else nothing is copied, and custody never asked
		o.Account = undone(t, o.Event, 600) // the decision has fallen; the memory is being captured
		r, _, err := rehearsal.Recorded(o, note)
		if err != nil || len(r.Broken) > 0 {
			t.Fatal(err, r.Broken)
		}
	}
	return all
}

// What the machine hands a step and what the step answers fit the step's types
// exactly: a field that only one side knows is a field that nobody reads. The
// file shows what they look like.
func TestState(t *testing.T) {
	all := state(t)
	for step := range shapes {
		if _, ok := all[step]; !ok {
			t.Errorf("%s was never invoked", step)
		}
	}
	for step, p := range all {
		shape, ok := shapes[step]
		if !ok {
			t.Errorf("%s has no types here", step)
			continue
		}
		in, out := shape()
		if err := strictly(p.Input, in); err != nil {
			t.Errorf("%s cannot read what the machine gives it: %v", step, err)
		}
		if err := strictly(p.Output, out); err != nil {
			t.Errorf("%s answers otherwise than its Output says: %v", step, err)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(all); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(stateFile, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	is, err := os.ReadFile(stateFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b.String(), string(is)); diff != "" {
		t.Errorf("%s is not current; run go test ./internal/rehearsal -run TestState -update (-want +is):\n%s", stateFile, diff)
	}
}

func strictly(b []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return err
	}
	return nil
}

// No list is null between steps: JSONata would take it for something.
func TestStateHasNoNulls(t *testing.T) {
	for step, p := range state(t) {
		var v any
		if err := json.Unmarshal(p.Output, &v); err != nil {
			t.Fatal(err)
		}
		if at := null(v, step); at != "" {
			t.Errorf("%s is null", at)
		}
	}
}

func null(v any, at string) string {
	switch v := v.(type) {
	case nil:
		return at
	case map[string]any:
		var keys []string
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			if found := null(v[k], at+"."+k); found != "" {
				return found
			}
		}
	case []any:
		for _, e := range v {
			if found := null(e, at+"[]"); found != "" {
				return found
			}
		}
	}
	return ""
}
