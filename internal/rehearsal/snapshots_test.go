package rehearsal_test

import (
	"slices"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
)

// volumesOf are the IDs of an account's volumes.
func volumesOf(account object) (all []string) {
	for _, v := range account["Volumes"].([]any) {
		all = append(all, v.(object)["VolumeId"].(string))
	}
	return all
}

// bodies are those of all mails, one text.
func bodies(r rehearsal.Result) string {
	var b strings.Builder
	for _, m := range r.Mails {
		b.WriteString(m.Body)
	}
	return b.String()
}

// Snapshots that fail, disappear or are lacking are made again beside the memory
// capture, and what can be had is had before the instance is terminated. What
// cannot be had blocks the termination, which says why.
func TestSnapshotsMadeAgain(t *testing.T) {
	event := readFile(t, "plain.json")
	instance := func(a object) object { return a["Reservations"].([]any)[0].(object)["Instances"].([]any)[0].(object) }
	for _, c := range []struct {
		name    string
		change  func(a object, volumes []string)
		ending  string
		made    int    // snapshots in the account afterwards
		told    string // in a mail
		refused string // why a termination was, if one was
	}{
		{"one fails", func(a object, v []string) { a["Behaviour"] = object{"SnapshotFailures": object{v[1]: 1}} }, "Terminated", 3, "1 failed and were made again", ""},
		{"one fails twice", func(a object, v []string) { a["Behaviour"] = object{"SnapshotFailures": object{v[1]: 2}} }, "Terminated", 4, "2 failed and were made again", ""},
		{
			"one fails always", func(a object, v []string) { a["Behaviour"] = object{"FailingSnapshots": []any{v[1]}} },
			"Isolated, undecided", 5, "failed (Internal error", "evidence is not complete: volume",
		},
		{
			"none ever completes", func(a object, v []string) { a["Behaviour"] = object{"SnapshotSeconds": 100000000} },
			"Isolated, undecided", 2, "not waited for any longer after 7 days", "which is pending (",
		},
		{"a volume is attached since", func(a object, v []string) {
			a["Volumes"] = append(a["Volumes"].([]any), object{"VolumeId": "vol-since"})
			a["Behaviour"] = object{"VolumesMoved": []any{object{"Seconds": 30, "VolumeId": "vol-since", "InstanceId": plainInstance, "Device": "/dev/sdz"}}}
		}, "Terminated", 3, "shows another moment than the others", ""},
		{"a volume is detached since", func(a object, v []string) {
			a["Behaviour"] = object{"VolumesMoved": []any{object{"Seconds": 30, "VolumeId": v[1]}}, "SnapshotFailures": object{v[1]: 1}}
		}, "Terminated", 3, "was detached since", ""},
		{"somebody deletes one meanwhile", func(a object, v []string) {
			a["Behaviour"] = object{"SnapshotsDeleted": []any{object{"Seconds": 200, "VolumeId": v[1]}}, "SnapshotSeconds": 3600}
		}, "Terminated", 2, "made again", ""},
		{"the root is instance store", func(a object, v []string) {
			i := instance(a)
			i["RootDeviceType"], i["RootDeviceName"] = "instance-store", "/dev/sda1"
		}, "Terminated", 2, "The root device /dev/sda1 is instance store", ""},
		{"hibernation", func(a object, v []string) { instance(a)["HibernationOptions"] = object{"Configured": true} }, "Terminated", 2, "may be hibernated", ""},
		{"another instance shares a volume", func(a object, v []string) {
			volume := a["Volumes"].([]any)[1].(object)
			volume["MultiAttachEnabled"] = true
			at, _ := volume["Attachments"].([]any)
			volume["Attachments"] = append(at, object{"InstanceId": "i-0bbbbbbbbbbbbbbbb", "Device": "/dev/sdf"})
		}, "Terminated", 2, "which are not isolated and may change it: VOLUME: i-0bbbbbbbbbbbbbbbb", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var volumes []string
			o := decides(options(event), "terminate")
			o.Account = around(t, event, func(a object) { volumes = volumesOf(a); c.change(a, volumes) })
			r := run(t, o)
			if r.Ending != c.ending {
				t.Errorf("ended as %q, want %q", r.Ending, c.ending)
			}
			if n := len(afterwards(t, r.Account, r.InstanceID).Snapshots); n != c.made {
				t.Errorf("%d snapshots afterwards, want %d", n, c.made)
			}
			if want := strings.ReplaceAll(c.told, "VOLUME", volumes[1]); !strings.Contains(bodies(r), want) {
				t.Errorf("no mail says %q:\n%s", want, bodies(r))
			}
			if refused := slices.Contains(r.States, "May it be asked again?"); refused != (c.refused != "") || !strings.Contains(bodies(r), c.refused) {
				t.Errorf("refused is %v, want it with %q", refused, c.refused)
			}
		})
	}
}

// Whatever is deleted after the snapshots were complete is found when the
// instance is to be terminated: it is refused, made again, and asked again.
func TestSnapshotDeletedBeforeTermination(t *testing.T) {
	event := readFile(t, "plain.json")
	o := decides(options(event), "terminate")
	var volumes []string
	o.Account = around(t, event, func(a object) {
		volumes = volumesOf(a)
		// Memory is captured for minutes after the snapshots are complete.
		a["Behaviour"] = object{"SnapshotSeconds": 60, "MemoryGiB": 64, "SnapshotsDeleted": []any{object{"Seconds": 700, "VolumeId": volumes[1]}}}
	})
	r := run(t, o)
	if r.Ending != "Terminated" || !strings.Contains(bodies(r), "volume "+volumes[1]) || !slices.Contains(r.States, "May it be asked again?") {
		t.Errorf("ended as %q; states %q", r.Ending, r.States)
	}
	if n := len(afterwards(t, r.Account, r.InstanceID).Snapshots); n != 2 {
		t.Errorf("%d snapshots afterwards, want the lost one made again", n)
	}
}
