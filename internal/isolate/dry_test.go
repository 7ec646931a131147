package isolate_test

import (
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/isolate"
)

// file is the whole account.
func (w *world) file() string {
	w.t.Helper()
	b, err := w.aws.JSON()
	if err != nil {
		w.t.Fatal(err)
	}
	return string(b)
}

// A dry run says where each interface would go and touches none of them, nor
// the record: what that says of an interface is what was done.
func TestDryRun(t *testing.T) {
	for name, c := range map[string]struct {
		groups string
		seal   bool
		want   map[string]string
	}{
		"no groups yet": {"", false, map[string]string{
			"eni-1": "from sg-web, sg-admin through the conversion group, which it would make, into the capture group, which it would make",
			"eni-3": "into the quarantine group, which it would make", // no endpoints there
		}},
		"groups of an earlier incident": {prepared(), false, map[string]string{"eni-1": "through the conversion group sg-x1, into the capture group sg-c1", "eni-3": "into the quarantine group sg-q2"}},
		"sealed":                        {prepared(), true, map[string]string{"eni-1": "into the quarantine group sg-q1"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, c.groups)
			w.dry = "true"
			w.build(w.clock.Each)
			before := w.file()
			out, err := w.run(isolate.Input{Incident: inc, Execution: "e", Capture: plans, Seal: c.seal})
			if err != nil {
				t.Fatal(err)
			}
			if out.Status != incident.Skipped || out.Contained || out.Sealed || len(out.Interfaces) != 3 {
				t.Errorf("%+v: want three interfaces that are still open", out)
			}
			for _, i := range out.Interfaces {
				if i.Where != incident.Open || !strings.Contains(i.Reason, c.want[i.ID]) {
					t.Errorf("%s is %s, %q: want it open, and %q", i.ID, i.Where, i.Reason, c.want[i.ID])
				}
			}
			if after := w.file(); before != after {
				t.Errorf("a dry run changed something:\n%s\nwas\n%s", after, before)
			}
		})
	}
}
