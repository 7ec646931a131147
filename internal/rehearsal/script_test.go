package rehearsal_test

import (
	"slices"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
)

func script(t testing.TB, text string) *rehearsal.Script {
	t.Helper()
	s, err := rehearsal.ParseScript([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each thing a script can say leaves its mark on the run.
func TestScript(t *testing.T) {
	event := readFile(t, "plain.json")
	for name, c := range map[string]struct {
		script, decision string
		shows            func(r rehearsal.Result) bool
	}{
		"a fault": {`{"faults": ["ec2:DescribeInstances#1=throttled", "ec2:DescribeInstances#9999=denied"]}`, "keep", func(r rehearsal.Result) bool {
			return slices.ContainsFunc(r.Calls, func(c rehearsal.Call) bool {
				return c.Action == "DescribeInstances" && c.Error == "RequestLimitExceeded"
			})
		}},
		"a storm": {`{"storms": [{"from": 0, "until": 5, "calls": "kms:*", "kind": "throttled"}, {"from": 0, "until": 20, "calls": "ec2:Describe*", "kind": "unavailable"}]}`, "keep", func(r rehearsal.Result) bool {
			for _, c := range r.Calls {
				if c.Service == "ec2" && strings.HasPrefix(c.Action, "Describe") && (c.Error == "Unavailable") != (c.At < 19.9) && c.At < 20 {
					return false
				}
			}
			return r.Ending == "Kept isolated"
		}},
		"the event again": {`{"events": [{"at": 5}]}`, "keep", func(r rehearsal.Result) bool {
			return slices.Contains(r.States, "Joined open incident") && r.Ending == "Kept isolated"
		}},
		"two people": {`{"people": [{"after": 30, "choice": "release"}]}`, "terminate", func(r rehearsal.Result) bool { return r.Ending == "Released" }},
		"a clock":    {`{"skew": {"decide": 1.5, "approval": -1}}`, "keep", func(r rehearsal.Result) bool { return r.Ending == "Kept isolated" }},
		"somebody ends it": {`{"others": [{"at": 100, "what": "terminate"}]}`, "keep", func(r rehearsal.Result) bool {
			return !strings.Contains(string(r.Account), `"Name": "running"`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := decides(options(event), c.decision)
			o.Script = script(t, c.script)
			if r := run(t, o); !c.shows(r) {
				t.Errorf("nothing of it is to be seen: %q by %q", r.Ending, r.States)
			}
		})
	}
}

// What of a script came to nothing is told: a word that was mistyped looks like a run
// that held.
func TestWhatCameToNothingIsTold(t *testing.T) {
	o := decides(options(readFile(t, "plain.json")), "keep")
	o.Script = script(t, `{
		"faults": ["ec2:DescribeInstances#1=throttled", "ec2:DescribeInstances#9999=denied"],
		"storms": [{"from": 0, "until": 5, "calls": "ec2:Descrybe*", "kind": "denied"}, {"from": 0, "until": 5, "calls": "ec2:Describe*", "by": "close", "kind": "denied"},
			{"from": 0, "until": 5, "calls": "dynamodb:*", "kind": "throttled"}],
		"others": [{"at": 0, "what": "remove tags"}, {"at": 40, "what": "attach"}],
		"stops": [{"at": 1}, {"at": 2}], "redrives": [{"at": 100}]}`)
	want := []string{
		"1 of 2 of kind stop: there was no execution to do it to",
		"fault ec2:DescribeInstances#9999=denied: that call was never made",
		`others, "attach" at 40 s: that changed nothing`, // nothing runs then: it was stopped
		`others, "remove tags" at 0 s: that changed nothing`,
		"storm ec2:Describe*=denied from 0 s to 5 s: no call came into it",
		"storm ec2:Descrybe*=denied from 0 s to 5 s: no call came into it",
	}
	if diff := cmp.Diff(want, run(t, o).Idle); diff != "" {
		t.Error(diff)
	}
}

// A storm counts where it refused something, not where a fault was before it.
func TestAFaultBeforeAStorm(t *testing.T) {
	for _, fault := range []string{"ec2:DescribeInstances#1=killed-before", "ec2:DescribeInstances#1=throttled", "ec2:DescribeInstances#1=timeout"} {
		o := decides(options(readFile(t, "plain.json")), "keep")
		o.Script = script(t, `{"faults": ["`+fault+`"], "storms": [{"from": 0, "until": 0.5, "calls": "ec2:DescribeInstances", "kind": "denied"}]}`)
		r := run(t, o)
		if r.Happened["storm denied"] != 0 || len(r.Idle) != 1 {
			t.Errorf("%s: %v, %q", fault, r.Happened, r.Idle)
		}
	}
}

// What others do shows in the account, as EC2 would tell it.
func TestOthers(t *testing.T) {
	event := readFile(t, "plain.json")
	for _, what := range sim.Doings() {
		o := decides(options(event), "none")
		o.Parameters = map[string]string{"MemoryToolKey": ""}
		quiet := run(t, o)
		o.Script = script(t, `{"others": [{"at": 40, "what": "`+what+`"}]}`)
		r, err := rehearsal.Run(o)
		if err != nil {
			t.Fatal(err)
		}
		if string(quiet.Account) == string(r.Account) && len(quiet.Calls) == len(r.Calls) && what != "remove tags" {
			t.Errorf("%q leaves no trace", what)
		}
	}
}

func TestScriptsThatAreNone(t *testing.T) {
	for text, why := range map[string]string{
		`{`:                                    "unexpected EOF",
		`{} {}`:                                "more than one",
		`{"fault": []}`:                        "unknown field",
		`{"faults": ["x"]}`:                    "want SERVICE:ACTION#N=KIND",
		`{"others": [{}]}`:                     "what one of attach, ",
		`{"events": [{"at": 1, "event": {}}]}`: "has no source",
		`{"events": [{"at": -1}]}`:             "0 or more",
		`{"storms": [{"until": 1, "kind": "denied"}]}`:                       "calls is lacking",
		`{"storms": [{"until": 1, "calls": "ecc:*", "kind": "denied"}]}`:     "are none",
		`{"storms": [{"until": 1, "calls": "ec2:", "kind": "denied"}]}`:      "are none",
		`{"storms": [{"until": 1, "calls": "Describe*", "kind": "denied"}]}`: "are none",
		`{"storms": [{"until": 1, "calls": "*", "kind": "lost"}]}`:           "is not denied",
		`{"storms": [{"from": 9, "until": 5, "calls": "*"}]}`:                "would never come",
		`{"storms": [{"until": 1e99, "calls": "*", "kind": "denied"}]}`:      "below a year",
		`{"stops": [{"at": -1}]}`:                                            "0 or more",
		`{"redrives": [{"at": 1e99}]}`:                                       "below a year",
		`{"people": [{"after": 1, "choice": "perhaps"}]}`:                    "what --decision takes",
		`{"skew": {"nobody": 1}}`:                                            "no function",
		`{"skew": {"decide": 100}}`:                                          "a minute at most",
	} {
		if _, err := rehearsal.ParseScript([]byte(text)); err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
}
