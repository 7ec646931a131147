package e2e_test

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"cordon/e2e"

	"github.com/google/go-cmp/cmp"
)

func TestLimitsAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/e2e.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "\n## Limits\n")
	section, _, _ := strings.Cut(rest, "\n## ")
	var told []string
	for _, m := range regexp.MustCompile(`(?m)^- \*\*(.+?)\.\*\*`).FindAllStringSubmatch(section, -1) {
		told = append(told, m[1])
	}
	if diff := cmp.Diff(e2e.Limits, told); diff != "" {
		t.Errorf("docs/e2e.md's limits (-listed +documented):\n%s", diff)
	}
}
