package rehearsal_test

import (
	"strings"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// A journal whose role lost its right for longer than Lambda keeps a change lacks what
// was given up. That is meant so, and kept; what came when the right was back is written.
func TestAGapOfWhatWasGivenUp(t *testing.T) {
	o := options(readFile(t, "plain.json"))
	o.Parameters, o.Keep = map[string]string{"ApprovalHours": "72"}, true
	o.Script = &rehearsal.Script{Storms: []rehearsal.Storm{{From: 20, Until: 26 * 3600, Calls: "s3:PutObject", By: "journal", Kind: sim.Denied}}}
	r, err := rehearsal.Run(o)
	if err != nil {
		t.Fatal(err)
	}
	given, entries := 0, 0
	for key := range r.Bucket.Objects {
		switch {
		case strings.HasPrefix(key, "aws/lambda/"):
			given++
		case strings.Contains(key, "/journal/"):
			entries++
		}
	}
	if given == 0 || entries == 0 {
		t.Fatalf("%d batches were given up, and %d entries written: this tries nothing", given, entries)
	}
	if len(r.Broken) > 0 {
		t.Errorf("%q", r.Broken)
	}
}
