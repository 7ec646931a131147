package snapshot_test

import (
	"strings"
	"testing"

	"cordon/internal/incident"
	"cordon/internal/scene"
)

// A dry run names the volumes that would be in the set, and makes none.
func TestDryRun(t *testing.T) {
	s := scene.Open(t, scene.File)
	settings := s.Host.Getenv
	s.Host.Getenv = func(name string) string {
		if name == "DRY_RUN" {
			return "true"
		}
		return settings(name)
	}
	from, before := len(s.Calls()), s.World(t)
	out, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if out.Status != incident.Skipped || !out.Done || out.Complete || len(out.Set) > 0 || !strings.Contains(out.Reason, "vol-") || !strings.Contains(out.Reason, "30 days") {
		t.Errorf("%+v: want it said of which volumes", out)
	}
	if changes := s.Changes(from); len(changes) > 0 || s.World(t) != before {
		t.Errorf("a dry run changed %v", changes)
	}
}
