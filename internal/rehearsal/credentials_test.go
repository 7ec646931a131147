package rehearsal_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
)

// The credentials of the instance's role are denied in two stages, so that the
// agent lives as long as the capture needs it; only a release allows them again.
func TestCredentialsAreDenied(t *testing.T) {
	for decision, left := range map[string]bool{"keep": true, "terminate": true, "release": false} {
		t.Run(decision, func(t *testing.T) {
			event := readFile(t, "plain.json")
			o := decides(options(event), decision)
			o.Account = around(t, event, func(a object) { a["Behaviour"] = object{"MemoryGiB": 1} })
			o.Parameters = map[string]string{"CredentialRoles": "arn:aws:iam::111122223333:role/*"}
			r := run(t, o)
			var after struct{ RolePolicies map[string]map[string]string }
			if err := json.Unmarshal(r.Account, &after); err != nil {
				t.Fatal(err)
			}
			policy, ok := after.RolePolicies["web"]["cordon-"+plainInstance]
			if ok != left || ok && !strings.Contains(policy, `"Action":"*"`) {
				t.Errorf("afterwards the role has %q", policy)
			}
			var order []string
			for _, c := range r.Calls {
				if c.Mutating && (c.Service == "iam" || c.Action == "SendCommand" || c.Action == "CompleteMultipartUpload") && c.Error == "" {
					order = append(order, c.Action)
				}
			}
			want := "PutRolePolicy SendCommand CompleteMultipartUpload PutRolePolicy"
			if decision == "release" {
				want = "DeleteRolePolicy" // last, whatever the capture had come to
			}
			if got := strings.Join(order, " "); got != want && !(decision == "release" && strings.HasPrefix(got, "PutRolePolicy SendCommand") && strings.Contains(got, want)) {
				t.Errorf("changes came as %q, want %q", got, want)
			}
			if s := r.Steps["credentials"]; s.Status != "ok" {
				t.Errorf("the step ended %+v", s)
			}
		})
	}
}

// Off, which it is unless somebody says otherwise, it asks AWS for nothing.
func TestCredentialsAreLeftAlone(t *testing.T) {
	r := run(t, decides(options(readFile(t, "plain.json")), "keep"))
	if n := callsTo(r, func(c rehearsal.Call) bool { return c.Service == "iam" }); n > 0 {
		t.Errorf("%d calls of IAM", n)
	}
	if s := r.Steps["credentials"]; s.Status != "skipped" || !strings.Contains(s.Reason, "CredentialRoles is empty") {
		t.Errorf("the step ended %+v", s)
	}
}
