package rehearsal_test

import (
	"testing"

	"cordon/internal/rehearsal"
)

func BenchmarkSmallIncident(b *testing.B) {
	// A t3.nano: the same calls, only fewer parts of memory.
	event := plainEvent(b, func(detail object) {
		detail["resource"].(object)["instanceDetails"].(object)["instanceType"] = "t3.nano"
	})
	o := decides(options(event), "terminate")
	for b.Loop() {
		r, err := rehearsal.Run(o)
		if err != nil {
			b.Fatal(err)
		}
		if r.Ending != "Terminated" {
			b.Fatalf("ended as %q", r.Ending)
		}
	}
}
