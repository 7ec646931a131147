package rehearsal_test

import "testing"

// Whoever ends the instance meanwhile, contained or not, the incident is closed as gone.
func TestEndedByOthers(t *testing.T) {
	for name, s := range map[string]string{
		"contained":                         `{"others": [{"at": 20, "what": "terminate"}]}`,
		"contained, while people are asked": `{"others": [{"at": 400, "what": "terminate"}]}`,
		"never contained":                   `{"storms": [{"from": 0, "until": 1000000, "calls": "ec2:ModifyNetworkInterfaceAttribute", "kind": "denied"}], "others": [{"at": 30, "what": "terminate"}]}`,
		"not contained, evidence gathered":  `{"storms": [{"from": 0, "until": 1000000, "calls": "ec2:ModifyNetworkInterfaceAttribute", "kind": "denied"}], "others": [{"at": 500, "what": "terminate"}]}`,
	} {
		o := decides(options(readFile(t, "plain.json")), "none")
		o.Script = script(t, s)
		if r := run(t, o); r.Ending != "Already gone" {
			t.Errorf("%s: ended as %q by way of %q; mails %q", name, r.Ending, path(t, r), subjects(r))
		}
	}
}
