package preserve_test

import (
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/scene"
)

// A dry run says what is not as it should be, and leaves it.
func TestDryRun(t *testing.T) {
	s := scene.Open(t, scene.File)
	settings := s.Host.Getenv
	s.Host.Getenv = func(name string) string {
		if name == "DRY_RUN" {
			return "true"
		}
		return settings(name)
	}
	from := len(s.Calls())
	out, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if out.Status != incident.Skipped || !strings.HasPrefix(out.Reason, "dry run: it would see to ") || !strings.Contains(out.Reason, "disableApiTermination") {
		t.Errorf("%+v: want it said what would be set", out)
	}
	if changes := s.Changes(from); len(changes) > 0 || len(s.Priors(t)) > 0 {
		t.Errorf("a dry run changed %v, recorded %v", changes, s.Priors(t))
	}
}
