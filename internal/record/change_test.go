package record_test

import (
	"testing"

	"cordon/internal/record"

	"github.com/google/go-cmp/cmp"
)

// What nobody is told is left out wherever it stands, and named; what has nothing of
// it stays as it was written.
func TestTold(t *testing.T) {
	for _, c := range []struct {
		name, body, want string
		without          []string
	}{
		{"nothing to hide", `{"b":1,"a":{"z":1e3,"y":[1.0]}}`, `{"b":1,"a":{"z":1e3,"y":[1.0]}}`, nil},
		{"a member", `{"b":{"z":1,"y":2},"secret":"s3cr3t","a":1.0}`, `{"a":1.0,"b":{"z":1,"y":2}}`, []string{"body.secret"}},
		{"deep within", `{"a":{"b":{"token":{"x":"s3cr3t"},"c":1}}}`, `{"a":{"b":{"c":1}}}`, []string{"body.a.b.token"}},
		{"in a list", `[{"secretHash":"s3cr3t"},[{"token":"s3cr3t","a":1}]]`, `[{},[{"a":1}]]`, []string{"body.secretHash", "body.token"}},
		{"a name that is escaped", `{"a":{"\u0073ecret":"s3cr3t"}}`, `{"a":{}}`, []string{"body.a.secret"}},
		{"a text that is such a name", `{"b":["secret"],"a":"\"token\""}`, `{"b":["secret"],"a":"\"token\""}`, nil},
		{"null", `null`, `null`, nil},
		{"no JSON", `{"secret":`, `"{\"secret\":"`, nil},
	} {
		told, without := record.Image{"body": {S: &c.body}}.Told()
		if diff := cmp.Diff(c.want, string(told["body"])); diff != "" {
			t.Errorf("%s (-want +told):\n%s", c.name, diff)
		}
		if diff := cmp.Diff(c.without, without); diff != "" {
			t.Errorf("%s: left out (-want +named):\n%s", c.name, diff)
		}
	}
}
