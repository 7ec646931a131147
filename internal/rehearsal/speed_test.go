package rehearsal_test

import (
	"testing"

	"cordon/internal/rehearsal"
)

func BenchmarkSmallIncident(b *testing.B) {
	event := readFile(b, "plain.json")
	o := decides(options(event), "terminate")
	o.Account = around(b, event, func(a object) { a["Behaviour"] = object{"MemoryGiB": 1} })
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
