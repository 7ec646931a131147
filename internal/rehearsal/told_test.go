package rehearsal_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"cordon/internal/chain"
	paper "cordon/internal/manifest"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
)

// object30 is an object of the bucket under retention for 30 days.
func object30(key, body string) rehearsal.Object {
	return rehearsal.Object{
		StoredObject: sim.StoredObject{Key: key, Size: int64(len(body)), Retention: &s3types.ObjectLockRetention{Mode: "GOVERNANCE", RetainUntilDate: aws.Time(second(31 * 24 * 3600))}},
		Body:         []byte(body),
	}
}

// asTold is a run whose mail, report and manifest tell of the evidence as it is. change
// spoils what the manifest says before it is signed.
func asTold(t *testing.T, change func(says object)) rehearsal.Trace {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := clean()
	x.Start, x.Key, x.RetentionDays = zero, &key.PublicKey, 30
	x.After.Snapshots = []ec2types.Snapshot{{
		SnapshotId: aws.String("snap-1"), VolumeId: aws.String("vol-1"), State: ec2types.SnapshotStateCompleted, CompletionTime: aws.Time(second(20)),
		Tags: []ec2types.Tag{{Key: aws.String("cordon:incident"), Value: aws.String(plainIncidentKey)}},
	}}
	x.After.LockedSnapshots = []ec2types.LockedSnapshotsInfo{{SnapshotId: aws.String("snap-1"), LockState: ec2types.LockStateGovernance, LockCreatedOn: aws.Time(second(2))}}
	x.After.EvidenceSnapshots = []ec2types.Snapshot{{SnapshotId: aws.String("snap-c"), State: ec2types.SnapshotStateCompleted}}
	x.After.EvidenceLockedSnapshots = []ec2types.LockedSnapshotsInfo{{SnapshotId: aws.String("snap-c")}}
	event, image := object30("events/2026/e.json", "{}"), object30("incidents/"+plainIncidentKey+"/memory/image.lime", "")
	image.Size, image.Body = 512, nil
	const line = "snap-1 (vol-1, /dev/xvda): completed, locked against deletion, encrypted"
	report := object30("incidents/"+plainIncidentKey+"/reports/run.html", "<li>"+line+"</li>")
	sum := func(o rehearsal.Object) string { s := sha256.Sum256(o.Body); return hex.EncodeToString(s[:]) }
	first, err := chain.Key(plainIncidentKey, 1)
	if err != nil {
		t.Fatal(err)
	}
	says := object{
		"format": paper.Format, "incident": object{"id": plainIncidentKey}, "execution": "arn:aws:states:us-east-1:111122223333:execution:m:run", "ending": "Terminated", "closedAt": second(95),
		"snapshots": object{
			"complete": true, "set": []any{object{"id": "snap-1", "volumeId": "vol-1", "state": "completed", "locked": true}}, "volumes": []any{object{"id": "vol-1"}},
		},
		"memory": object{"status": "ok", "object": image.Key, "bytes": 512},
		"objects": []any{
			object{"key": event.Key, "bytes": event.Size, "sha256": sum(event)}, object{"key": image.Key, "bytes": 512, "sha256": "0"}, object{"key": report.Key, "bytes": report.Size, "sha256": sum(report)},
		},
		"journal": object{"entries": 1, "last": chain.Sum(x.Journal[first])},
	}
	change(says)
	body, err := paper.Canonical(says)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := ecdsa.SignASN1(rand.Reader, key, paper.Digest(body))
	if err != nil {
		t.Fatal(err)
	}
	file, err := paper.Canonical(paper.Signed{Manifest: json.RawMessage(body), Signature: signature})
	if err != nil {
		t.Fatal(err)
	}
	signed := object30("incidents/"+plainIncidentKey+"/manifests/run.json", string(file))
	x.Bucket = map[string]rehearsal.Object{event.Key: event, image.Key: image, report.Key: report, signed.Key: signed}
	x.Mails = append(slices.Clone(x.Mails), sim.Mail{At: second(96), Subject: "Closed", Body: "- " + line + "\n- Memory image: " + image.Key + " in the evidence bucket, 512 bytes\n- Copy of snap-1: snap-c in account 999988887777, under arn:key, locked against deletion\n"})
	return x
}

const plainIncidentKey = key + ".1"

// TestUntrueOfTheEvidence: what is told and is not so is found, wherever it is told.
func TestUntrueOfTheEvidence(t *testing.T) {
	n := slices.IndexFunc(rehearsal.Invariants, func(i rehearsal.Invariant) bool { return i.Name == "What is told of the evidence is so" })
	if n < 0 {
		t.Fatal("there is no such invariant")
	}
	broken := rehearsal.Invariants[n].Broken
	same := func(object) {}
	if how := broken(asTold(t, same)); how != "" {
		t.Fatalf("all is as it is told, and it is said that %s", how)
	}
	in := func(part string, set object) func(object) {
		return func(says object) { maps.Copy(says[part].(object), set) }
	}
	snapshot := func(set object) func(object) {
		return func(says object) { maps.Copy(says["snapshots"].(object)["set"].([]any)[0].(object), set) }
	}
	bucket := func(name string, change func(*rehearsal.Object)) func(*rehearsal.Trace) {
		return func(x *rehearsal.Trace) {
			for key, o := range x.Bucket {
				if strings.Contains(key, name) {
					change(&o)
					x.Bucket[key] = o
				}
			}
		}
	}
	text := func(all string) func(*rehearsal.Object) {
		return func(o *rehearsal.Object) { o.Body, o.Size = []byte(all), int64(len(all)) }
	}
	unlocked := func(o *rehearsal.Object) { o.Retention = nil }
	nothing := func(*rehearsal.Trace) {}
	for name, c := range map[string]struct {
		says  func(object)
		spoil func(*rehearsal.Trace)
	}{
		"the snapshot is pending":   {same, func(x *rehearsal.Trace) { x.After.Snapshots[0].State = ec2types.SnapshotStatePending }},
		"it was completed later":    {same, func(x *rehearsal.Trace) { x.After.Snapshots[0].CompletionTime = aws.Time(second(200)) }},
		"it is of another volume":   {same, func(x *rehearsal.Trace) { x.After.Snapshots[0].VolumeId = aws.String("vol-2") }},
		"there is no such snapshot": {same, func(x *rehearsal.Trace) { x.After.Snapshots = nil }},
		"nobody locked it":          {same, func(x *rehearsal.Trace) { x.After.LockedSnapshots = nil }},
		"the mail was before that":  {same, func(x *rehearsal.Trace) { x.Mails[len(x.Mails)-1].At = second(10) }},
		"the mail tells of another image": {same, func(x *rehearsal.Trace) {
			x.Mails[0].Body = "Memory image: incidents/x in the evidence bucket, 0 bytes"
		}},
		"there is no copy":              {same, func(x *rehearsal.Trace) { x.After.EvidenceSnapshots = nil }},
		"the copy is not locked":        {same, func(x *rehearsal.Trace) { x.After.EvidenceLockedSnapshots = nil }},
		"the copy is under way":         {same, func(x *rehearsal.Trace) { x.After.EvidenceSnapshots[0].State = ec2types.SnapshotStatePending }},
		"the image is shorter":          {same, bucket("image", func(o *rehearsal.Object) { o.Size = 511 })},
		"the image is not locked":       {same, bucket("image", unlocked)},
		"the event is not locked":       {same, bucket("events", unlocked)},
		"the event is locked for a day": {same, bucket("events", func(o *rehearsal.Object) { o.Retention.RetainUntilDate = aws.Time(second(24 * 3600)) })},
		"the event is another":          {same, bucket("events", text("[]"))},
		"the event is gone":             {same, func(x *rehearsal.Trace) { delete(x.Bucket, "events/2026/e.json") }},
		"the report says more":          {func(says object) { says["objects"] = []any{} }, bucket("reports", text("snap-9 (vol-9): completed"))},
		"the manifest is not locked":    {same, bucket("manifests", unlocked)},
		"the manifest was altered": {same, bucket("manifests", func(o *rehearsal.Object) {
			o.Body = []byte(strings.Replace(string(o.Body), "Terminated", "Released", 1))
		})},
		"another journal":                      {same, func(x *rehearsal.Trace) { x.Journal = map[string][]byte{} }},
		"it says that its journal is complete": {in("journal", object{"complete": true}), nothing},
		"it signs another entry":               {in("journal", object{"last": "0"}), nothing},
		"it signs one snapshot more":           {snapshot(object{"id": "snap-2"}), nothing},
		"all complete, and one is not":         {in("snapshots", object{"volumes": []any{object{"id": "vol-1"}, object{"id": "vol-2"}}}), nothing},
		"all complete, and there is no set":    {in("snapshots", object{"set": []any{}}), nothing},
		"it signs a longer image":              {in("memory", object{"bytes": 1024}), nothing},
		"it signs an image that is nowhere":    {in("memory", object{"object": "incidents/x/memory/image.lime"}), nothing},
	} {
		x := asTold(t, c.says)
		c.spoil(&x)
		if broken(x) == "" {
			t.Errorf("%s: nobody sees it", name)
		}
	}
}
