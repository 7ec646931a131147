package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who runs the demo sees the report of what was just decided, or of how it stands
// where nobody decided; where nothing was opened there is none, and no file says
// otherwise.
func TestDemoWritesTheReport(t *testing.T) {
	for decision, want := range map[string]string{"keep": "Closed: Kept isolated", "none": "Reported, still open", "sample": ""} {
		file, event := filepath.Join(t.TempDir(), "report.html"), "../../events/plain.json"
		if want == "" {
			decision, event = "none", "../../events/sample-flag.json"
		}
		got := invoke(t, nil, "demo", "--decision", decision, "--report", file, event)
		if got.status != 0 {
			t.Fatalf("%s: exit status %d\n%s%s", decision, got.status, got.out, got.err)
		}
		page, err := os.ReadFile(file)
		if want == "" {
			if err == nil || strings.Contains(got.out, file) {
				t.Errorf("%s: there is a report of an incident that nobody closed: %v", decision, err)
			}
			continue
		}
		if err != nil || !strings.Contains(string(page), want) || !strings.Contains(got.out, file) {
			t.Errorf("%s: %v; the page does not say %q, or nobody is told of %s:\n%s", decision, err, want, file, got.out)
		}
	}
}
