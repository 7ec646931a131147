package cordon_test

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon"
)

// holders are the variables that hold what a step answered.
var holders = map[string]string{
	"protection": "preserve", "credentials": "credentials", "snapshots": "snapshot", "snapshotsNow": "snapshot", "custody": "custody", "custodyNow": "custody", "isolation": "isolate", "isolationNow": "isolate", "isolationSeen": "isolate", "exposure": "exposure",
	"memory": "memory", "memoryNow": "memory", "digest": "digest", "restoration": "release",
}

// fields are the JSON names of a struct; those of embedded ones are its own.
// Where times are of no use, as in an answer that somebody else writes, they
// are left out.
func fields(t reflect.Type, times bool) (all []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "":
			all = append(all, fields(f.Type, times)...)
		case name != "" && name != "-" && (times || f.Type != reflect.TypeFor[time.Time]()):
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

// contract is the Input and the Output of a function's step.
func contract(name string) (in, out reflect.Type) {
	run, ok := reflect.TypeOf(news[name]).Out(0).MethodByName("Run")
	if !ok {
		return nil, nil
	}
	return run.Type.In(2), run.Type.Out(0)
}

// TestPayloadsFit: encoding/json drops a name that it does not know and leaves
// empty what it is not given, so a slip between machine and step is silent.
func TestPayloadsFit(t *testing.T) {
	for _, wrong := range misfits(parseMachine(t, cordon.Definition)) {
		t.Error(wrong)
	}
	const isolate = "States/Isolate instance/"
	for name, test := range map[string]struct {
		edits map[string]any
		want  string
	}{
		"a name that the step does not know":     {map[string]any{isolate + "Arguments/Payload/sealed": true}, "Isolate instance: passes sealed"},
		"a name of another case":                 {map[string]any{isolate + "Arguments/Payload/seal": nil, isolate + "Arguments/Payload/Seal": true}, "Isolate instance: passes Seal"},
		"a field that is not given":              {map[string]any{isolate + "Arguments/Payload/capture": nil}, "Isolate instance: does not pass capture"},
		"an answer that the step does not give":  {map[string]any{"States/Read the finding/Assign/reason": "{% $states.result.Payload.why %}"}, "Read the finding: reads why"},
		"a field that no answer has":             {map[string]any{"States/Is it contained now?/Choices/0/Condition": "{% $isolation.isContained %}"}, "Is it contained now?: reads $isolation.isContained"},
		"a stand-in that lacks a field":          {map[string]any{"States/Read the finding/Assign/snapshots/done": nil}, "Read the finding: a stand-in for snapshot"},
		"a stand-in of a Catch that lacks one":   {map[string]any{isolate + "Catch/2/Assign/isolation": "{% {'status': 'failed', 'reason': ''} %}"}, "Isolate instance: a stand-in for isolate"},
		"a stand-in in a branch that lacks one":  {map[string]any{"States/Protect and snapshot/Branches/0/States/Protect the instance/Catch/0/Output": "{% {'status': 'failed'} %}"}, "Protect the instance: a stand-in for preserve"},
		"a stand-in with a field of its own":     {map[string]any{"States/Read the finding/Assign/protection/extra": 1}, "Read the finding: a stand-in for preserve"},
		"a kind that people are not told by":     {map[string]any{"States/Tell people/Arguments/Payload/kinds": "contained"}, "Tell people: passes kinds"},
		"a field of a variable within a payload": {map[string]any{isolate + "Arguments/Payload/capture": "{% $memory.size %}"}, "Isolate instance: reads $memory.size"},
	} {
		t.Run(name, func(t *testing.T) {
			found := misfits(parseMachine(t, edited(t, cordon.Definition, test.edits)))
			if !slices.ContainsFunc(found, func(w string) bool { return strings.Contains(w, test.want) }) {
				t.Errorf("found %q, want one with %q", found, test.want)
			}
		})
	}
}

var (
	answered = regexp.MustCompile(`\$states\.result\.Payload\.(\w+)`)
	held     = regexp.MustCompile(`\$(\w+)\.(\w+)`)
	object   = regexp.MustCompile(`^\{%\s*\{(.*)\}\s*%\}$`)
	member   = regexp.MustCompile(`'(\w+)':`)
)

func misfits(m machine) (wrong []string) {
	m.walk(func(name string, s *state) {
		fail := func(format string, a ...any) { wrong = append(wrong, name+": "+fmt.Sprintf(format, a...)) }
		values := []any{s.Arguments, s.Seconds}
		for _, c := range s.Choices {
			values = append(values, c.Condition)
		}
		for _, e := range s.edges() {
			values = append(values, e.output, e.assign)
			for _, v := range slices.Sorted(maps.Keys(e.assign)) {
				if step := holders[v]; step != "" {
					if diff := standIn(e.assign[v], step); diff != "" {
						fail("a stand-in for %s %s", step, diff)
					}
				}
			}
		}
		step := s.function()
		if step != "" {
			in, out := contract(step)
			payload, _ := s.Arguments.(map[string]any)["Payload"].(map[string]any)
			for _, k := range slices.Sorted(maps.Keys(payload)) {
				if !slices.Contains(fields(in, true), k) {
					fail("passes %s, which %s does not know", k, step)
				}
			}
			for _, k := range fields(in, true) {
				// notify is given what there is to tell.
				if _, ok := payload[k]; !ok && step != "notify" {
					fail("does not pass %s to %s", k, step)
				}
			}
			for _, e := range texts(values) {
				for _, m := range answered.FindAllStringSubmatch(e, -1) {
					if !slices.Contains(fields(out, true), m[1]) {
						fail("reads %s, which %s does not answer", m[1], step)
					}
				}
			}
			for _, c := range s.Catch {
				if diff := standIn(c.Output, step); diff != "" {
					fail("a stand-in for %s %s", step, diff)
				}
			}
		}
		for _, e := range texts(values) {
			for _, m := range held.FindAllStringSubmatch(quoted.ReplaceAllString(e, "''"), -1) {
				if step := holders[m[1]]; step != "" {
					if _, out := contract(step); !slices.Contains(fields(out, true), m[2]) {
						fail("reads $%s.%s, which %s does not answer", m[1], m[2], step)
					}
				}
			}
		}
	})
	return wrong
}

// standIn says how an object that is written out differs from what the step
// would answer; nothing where v is no such object.
func standIn(v any, step string) string {
	var is []string
	switch v := v.(type) {
	case map[string]any:
		is = slices.Sorted(maps.Keys(v))
	case string:
		o := object.FindStringSubmatch(v)
		if o == nil {
			return ""
		}
		for _, m := range member.FindAllStringSubmatch(o[1], -1) {
			is = append(is, m[1])
		}
		slices.Sort(is)
	default:
		return ""
	}
	_, out := contract(step)
	if want := fields(out, false); !slices.Equal(is, want) {
		return fmt.Sprintf("has %v, want %v", is, want)
	}
	return ""
}

// texts are all strings within v.
func texts(v any) (all []string) {
	switch v := v.(type) {
	case string:
		all = append(all, v)
	case []any:
		for _, e := range v {
			all = append(all, texts(e)...)
		}
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(v)) {
			all = append(all, texts(v[k])...)
		}
	}
	return all
}
