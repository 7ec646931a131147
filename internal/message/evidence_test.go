package message_test

import (
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"

	"github.com/google/go-cmp/cmp"
)

// evidence has some of everything, taken and not.
var evidence = incident.Evidence{
	Snapshots: incident.Snapshots{
		Report: incident.Report{Status: incident.Partial, Reason: "one failed"}, Missing: []string{"vol-c"}, NotIn: []string{"ephemeral0"},
		Set: []incident.Snapshot{{ID: "snap-a", VolumeID: "vol-a", State: "completed", Locked: true}, {ID: "snap-b", VolumeID: "vol-b", State: "error"}},
	},
	Memory: incident.Memory{Report: incident.Report{Status: incident.Partial, Reason: "the agent was lost"}, Done: true, Object: "incidents/1/memory/image.lime", Bytes: 7, SHA256: "aa"},
	Digest: incident.Digest{Report: incident.Report{Status: incident.OK}, Done: true, Bytes: 7, SHA256: "bb", Claimed: "aa"},
	Console: incident.Console{
		Report:     incident.Report{Status: incident.Partial, Reason: "not all could be had"},
		Output:     incident.Kept{Report: incident.Report{Status: incident.OK}, Object: "incidents/1/console/output.txt", Bytes: 3, SHA256: "cc", At: time.Unix(0, 0)},
		Screenshot: incident.Kept{Report: incident.Report{Status: incident.Skipped, Reason: "its type has none"}},
	},
}

// What is missing is never among what was taken, and half an image is not called one.
func TestTakenAndNot(t *testing.T) {
	l := in(t, "en")
	taken := []string{
		"snap-a (vol-a): completed, locked against deletion",
		"PART of the memory image: incidents/1/memory/image.lime in the evidence bucket, 7 bytes",
		"SHA-256 as the host claims it: aa",
		"SHA-256 of the image in the bucket, computed by Cordon: bb",
		"THE HOST CLAIMED ANOTHER: aa. What it sent is not what it says it read; do not take either for the truth without a look.",
		"Console output: incidents/1/console/output.txt in the evidence bucket, 3 bytes, SHA-256 cc",
	}
	not := []string{
		"Snapshots of the volumes: partial: one failed",
		"snap-b (vol-b): failed, NOT locked",
		"NO snapshot of volume vol-c",
		"ephemeral0 is instance store: it is in no snapshot and is lost when the instance stops",
		"Memory: partial: the agent was lost",
		"Console screenshot: not done: its type has none",
	}
	if d := cmp.Diff(taken, l.Taken(evidence)); d != "" {
		t.Errorf("taken (-want +got):\n%s", d)
	}
	if d := cmp.Diff(not, l.NotTaken(evidence)); d != "" {
		t.Errorf("not taken (-want +got):\n%s", d)
	}
}

// A console that could not even be begun with is said to be missing.
func TestNoConsole(t *testing.T) {
	all := in(t, "en").NotTaken(incident.Evidence{Console: incident.Console{Report: incident.Report{Status: incident.Failed, Reason: "States.Timeout"}}})
	if d := cmp.Diff([]string{"Console: failed: States.Timeout"}, all); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func TestEvidenceIsHarmless(t *testing.T) {
	for _, h := range hostile {
		e := evidence
		e.Console.Output = incident.Kept{Report: incident.Report{Status: incident.OK}, Object: h, SHA256: h}
		e.Console.Screenshot.Reason, e.Digest.SHA256, e.Digest.Claimed, e.Memory.Object = h, h, h, h
		for _, code := range languages {
			l := in(t, code)
			for _, line := range append(l.Taken(e), l.NotTaken(e)...) {
				if strings.ContainsFunc(line, forbidden) || strings.Contains(line, "://") {
					t.Errorf("%s: %q gets through: %q", code, h, line)
				}
			}
		}
	}
}
