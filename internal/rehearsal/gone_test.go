package rehearsal_test

import (
	"slices"
	"strings"
	"testing"
)

// Whoever ends the instance meanwhile, contained or not, the incident is closed as
// gone, and not before the snapshots that were begun of it are complete: they would be
// signed as under way, and never be copied.
func TestEndedByOthers(t *testing.T) {
	for name, s := range map[string]string{
		"while it is isolated":              `{"others": [{"at": 1, "what": "terminate"}]}`,
		"contained":                         `{"others": [{"at": 20, "what": "terminate"}]}`,
		"contained, while people are asked": `{"others": [{"at": 400, "what": "terminate"}]}`,
		"never contained":                   `{"storms": [{"from": 0, "until": 1000000, "calls": "ec2:ModifyNetworkInterfaceAttribute", "kind": "denied"}], "others": [{"at": 30, "what": "terminate"}]}`,
		"not contained, evidence gathered":  `{"storms": [{"from": 0, "until": 1000000, "calls": "ec2:ModifyNetworkInterfaceAttribute", "kind": "denied"}], "others": [{"at": 500, "what": "terminate"}]}`,
		"and the snapshots are not seen":    `{"storms": [{"from": 60, "until": 1000, "calls": "ec2:DescribeSnapshots", "kind": "denied"}], "others": [{"at": 20, "what": "terminate"}]}`,
	} {
		o := decides(options(readFile(t, "plain.json")), "none")
		o.Parameters = elsewhere
		o.Script = script(t, s)
		r := run(t, o)
		if r.Ending != "Already gone" {
			t.Errorf("%s: ended as %q by way of %q; mails %q", name, r.Ending, path(t, r), subjects(r))
		}
		// EC2 may have hidden the interfaces of an instance that is there.
		if slices.Contains(r.States, "There is nothing to look at") && !slices.Contains(r.States, "The decision does not hold") {
			t.Errorf("%s: people would not be asked again if it were there after all", name)
		}
		if last := r.Mails[len(r.Mails)-1].Body; !strings.Contains(last, "Snapshots of the volumes: ok") {
			t.Errorf("%s: closed before the snapshots are complete:\n%s", name, last)
		}
		if copies, _ := custodyOf(t, r); copies != 2 {
			t.Errorf("%s: %d of 2 snapshots are in the evidence account", name, copies)
		}
	}
}
