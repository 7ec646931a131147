package rehearsal_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// elsewhere are the parameters with which snapshots are copied.
var elsewhere = map[string]string{
	"EvidenceRoleArn": "arn:aws:iam::999988887777:role/cordon-evidence", "EvidenceKeyArn": "arn:aws:kms:us-east-1:999988887777:key/evidence", "EvidenceExternalId": "external",
}

// custodyOf counts the copies in the evidence account that are complete and
// locked, and the snapshots here that are no evidence.
func custodyOf(t *testing.T, r rehearsal.Result) (copies, left int) {
	t.Helper()
	var a struct {
		EvidenceSnapshots, Snapshots []types.Snapshot
		EvidenceLockedSnapshots      []types.LockedSnapshotsInfo
	}
	if err := json.Unmarshal(r.Account, &a); err != nil {
		t.Fatal(err)
	}
	for _, s := range a.EvidenceSnapshots {
		locked := slices.ContainsFunc(a.EvidenceLockedSnapshots, func(l types.LockedSnapshotsInfo) bool { return *l.SnapshotId == *s.SnapshotId })
		if s.State == types.SnapshotStateCompleted && locked && *s.KmsKeyId == elsewhere["EvidenceKeyArn"] {
			copies++
		}
	}
	for _, s := range a.Snapshots {
		if slices.ContainsFunc(s.Tags, func(t types.Tag) bool { return *t.Key == "cordon:transfer" }) {
			left++
		}
	}
	return copies, left
}

// Snapshots are copied into the evidence account while people decide and after,
// hold up no termination, and what goes wrong with them is told.
func TestCopiesInTheEvidenceAccount(t *testing.T) {
	event := readFile(t, "plain.json")
	for _, c := range []struct {
		name, decision string
		behaviour      object
		faults         []string
		ending         string
		copies         int
		told           string
		most           float64 // seconds until the instance is terminated; 0 where it is not
	}{
		{"terminated", "terminate", object{}, nil, "Terminated", 2, "in account 999988887777, under arn:aws:kms:us-east-1:999988887777:key/evidence, locked against deletion", 3600},
		{"kept", "keep", object{}, nil, "Kept isolated", 2, "in account 999988887777", 0},
		{"nobody decides", "none", object{}, nil, "Isolated, undecided", 2, "in account 999988887777", 0},
		{"released at once", "release", object{"CopySeconds": 36000}, nil, "Released", 0, "the instance was released", 0},
		{"slow", "terminate", object{"CopySeconds": 40000}, nil, "Terminated", 2, "in account 999988887777", 3600},
		{"for ever", "terminate", object{"CopySeconds": 100000000}, nil, "Terminated", 0, "not waited for any longer after 3 days", 3600},
		{"the role refuses", "terminate", object{"EvidenceRoleRefuses": true}, nil, "Terminated", 0, "0 of 2 copied into account 999988887777; take the role", 3600},
		{"the key refuses", "keep", object{"EvidenceKeyRefuses": true}, nil, "Kept isolated", 0, "Given key ID is not accessible", 0},
		{"killed and lost", "keep", object{}, []string{
			"sts:AssumeRole#2=killed-before", "ec2:CopySnapshot#1=killed-after", "ec2:CopySnapshot#3=lost", "ec2:ModifySnapshotAttribute#1=denied", "ec2:DeleteSnapshot#1=unavailable",
		}, "Kept isolated", 2, "in account 999988887777", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := decides(options(event), c.decision)
			o.Parameters = elsewhere
			o.Account = around(t, event, func(a object) { a["Behaviour"] = c.behaviour })
			for _, f := range c.faults {
				fault, err := sim.ParseFault(f)
				if err != nil {
					t.Fatal(err)
				}
				o.Faults = append(o.Faults, fault)
			}
			r := run(t, o)
			copies, left := custodyOf(t, r)
			if r.Ending != c.ending || copies < c.copies || c.copies == 0 && copies > 0 {
				t.Errorf("ended as %q with %d copies, want %q with %d", r.Ending, copies, c.ending, c.copies)
			}
			if left > 0 && c.copies > 0 {
				t.Errorf("%d copies on their way are left here", left)
			}
			if last := r.Mails[len(r.Mails)-1].Body; !strings.Contains(last, c.told) {
				t.Errorf("the last mail does not say %q:\n%s", c.told, last)
			}
			for _, call := range r.Calls {
				if call.Action == "TerminateInstances" && float64(call.At) > c.most {
					t.Errorf("terminated after %v s: a decision waits for copies", call.At)
				}
			}
		})
	}
}

// Without an evidence account nothing of it is done, nobody is asked, and nothing
// waits, whatever is decided.
func TestNoEvidenceAccount(t *testing.T) {
	for _, decision := range []string{"keep", "release", "terminate", "none"} {
		r := run(t, decides(options(readFile(t, "plain.json")), decision))
		for _, state := range []string{"Copy the snapshots", "Wait for the copies", "Copy what is left"} {
			if slices.Contains(r.States, state) {
				t.Errorf("%s: %q is entered", decision, state)
			}
		}
		noCopies(t, r)
	}
}

func noCopies(t *testing.T, r rehearsal.Result) {
	t.Helper()
	if n := callsTo(r, func(c rehearsal.Call) bool { return c.Service == "sts" || c.Action == "CopySnapshot" }); n > 0 {
		t.Errorf("%d calls", n)
	}
}
