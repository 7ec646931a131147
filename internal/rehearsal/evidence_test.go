package rehearsal_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/google/go-cmp/cmp"
)

// Where memory cannot be captured under isolation, isolation is as fast and as
// complete as anywhere; memory is skipped with the reason, and the instance is
// sealed with nothing to wait for.
func TestNoMemoryNoDelay(t *testing.T) {
	plain := readFile(t, "plain.json")
	windows := plainEvent(t, func(d object) { d["resource"].(object)["instanceDetails"].(object)["platform"] = "windows" })
	without := around(t, windows, func(a object) { delete(a, "VpcEndpoints") })
	for _, c := range []struct {
		name     string
		event    []byte
		account  []byte
		settings map[string]string
		reason   string
		within   float64 // seconds from the event until it is sealed
	}{
		{"switched off", plain, nil, map[string]string{"MemoryToolKey": "", "MemoryToolSha256": ""}, "memory capture is switched off", 2},
		{"no agent", plain, around(t, plain, func(a object) { delete(a, "InstanceInformationList") }), nil, "no SSM agent", 4},
		{"no endpoints", plain, around(t, plain, func(a object) { delete(a, "VpcEndpoints") }), nil, "no usable endpoint for ssm", 2},
		{"Windows without endpoints", windows, without, nil, "no usable endpoint for ssm", 2},
		{
			"interfaces with IPv6 in two VPCs without endpoints", readFile(t, "dual-stack-interfaces.json"), readFile(t, "accounts/dual-stack-interfaces.json"), nil,
			"vpc-0ee55ff6600112233: no usable endpoint for ssm", 2,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := decides(options(c.event), "keep")
			o.Account, o.Parameters = c.account, c.settings
			r := run(t, o)
			if r.Ending != "Kept isolated" || r.IsolatedAt == nil || *r.IsolatedAt > 2 {
				t.Errorf("ended as %q, isolated after %v s", r.Ending, show(r.IsolatedAt))
			}
			if m := r.Steps["memory"]; m.Status != "skipped" || !strings.Contains(m.Reason, c.reason) {
				t.Errorf("memory is %s (%s), want it skipped with %q", m.Status, m.Reason, c.reason)
			}
			if r.SealedAt == nil || float64(*r.SealedAt) > c.within {
				t.Errorf("sealed after %v s, want it within %v s: there is nothing to wait for", show(r.SealedAt), c.within)
			}
			if diff := cmp.Diff([]string{"quarantine-sg"}, afterwards(t, r.Account, r.InstanceID).groupsOf()); diff != "" {
				t.Errorf("interfaces stand elsewhere:\n%s", diff)
			}
			if n := callsTo(r, func(c rehearsal.Call) bool { return c.Action == "SendCommand" }); n > 0 {
				t.Error("a command was sent to a host that cannot answer")
			}
		})
	}
}

func show(s *rehearsal.Seconds) string {
	if s == nil {
		return "never"
	}
	return fmt.Sprint(*s)
}

// A false alarm does not wait for hours of capture.
func TestReleaseComesAtOnce(t *testing.T) {
	event := readFile(t, "plain.json")
	for _, gib := range []int{8, 512} {
		o := decides(options(event), "release")
		o.Account = around(t, event, func(a object) { a["Behaviour"] = object{"MemoryGiB": gib, "SnapshotSeconds": 36000} })
		var decided time.Duration
		o.Watch = func(m rehearsal.Moment) {
			if m.Kind == rehearsal.Visited && m.Name == "POST" {
				decided = m.At
			}
		}
		r, calls, err := rehearsal.Recorded(o, func(string, []byte, []byte) {})
		if err != nil || len(r.Broken) > 0 {
			t.Fatal(err, r.Broken)
		}
		start, back := calls[0].At, time.Duration(0)
		for _, c := range calls {
			if c.Action == "ModifyNetworkInterfaceAttribute" && c.By.Function == "release" {
				back = c.Ended.Sub(start)
			}
		}
		if decided == 0 || back == 0 || back-decided > time.Minute || r.Ending != "Released" {
			t.Errorf("%d GiB: decided at %s, interfaces back at %s, ended as %q; want them back within a minute", gib, decided, back, r.Ending)
		}
	}
}

// Evidence never keeps an instance connected: what preserve and snapshot cannot
// do in ten seconds is left for later, and then it is done.
func TestIsolationWaitsForNothing(t *testing.T) {
	fault := func(service, action string, number int, k sim.Kind) sim.Fault {
		return sim.Fault{Service: service, Action: action, Number: number, Kind: k}
	}
	for name, faults := range map[string][]sim.Fault{
		"nothing fails": nil,
		"preserve and snapshot get no answer": {
			fault("ec2", "DescribeInstanceAttribute", 1, sim.Timeout), fault("ec2", "CreateSnapshots", 1, sim.Timeout),
		},
		"their answers come too late": {
			fault("ec2", "ModifyInstanceAttribute", 1, sim.Late), fault("ec2", "CreateSnapshots", 1, sim.Late),
		},
		"locking gets no answer": {fault("ec2", "LockSnapshot", 1, sim.Timeout), fault("ec2", "ModifyInstanceAttribute", 2, sim.Timeout)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := decides(options(readFile(t, "plain.json")), "keep")
			o.Faults = faults
			var read, isolating time.Duration
			o.Watch = func(m rehearsal.Moment) {
				switch {
				case m.Kind == rehearsal.Stepped && m.Name == "enrich":
					read = m.At
				case m.Kind == rehearsal.Entered && m.Name == "Isolate instance":
					isolating = m.At
				}
			}
			r := run(t, o)
			if read == 0 || isolating == 0 || isolating-read >= 15*time.Second {
				t.Errorf("read at %s, isolating from %s: 15 s is too long", read, isolating)
			}
			most := 6
			if faults != nil {
				most += 2 // that each of the two is left for later
			}
			if n := slices.Index(r.States, "Isolate instance") + 1; n < 1 || n > most {
				t.Errorf("%d states are entered before containment, %d at most: %q", n, most, r.States[:n])
			}
			after := afterwards(t, r.Account, r.InstanceID)
			want := contained("running")
			if faults != nil && len(after.Snapshots) > 2 { // an answer lost: the second set is a duplicate, and tagged
				after.Snapshots = after.Snapshots[:2]
			}
			if diff := cmp.Diff(want, after); diff != "" {
				t.Errorf("what was left for later was not done (-want +is):\n%s", diff)
			}
		})
	}
}

// Round trips are what isolation takes: however many interfaces, four before the
// first change and three from it, when the groups exist.
func TestRoundTripsOfIsolation(t *testing.T) {
	second := readFile(t, "second-finding.json")
	for _, interfaces := range []int{2, 15} {
		plain := readFile(t, "plain.json")
		o := decides(options(plain), "release")
		o.Account = around(t, plain, func(a object) {
			all := a["NetworkInterfaces"].([]any)
			for n := 2; n < interfaces; n++ {
				more := changed(t, asJSONBytes(all[1]), func(i object) {
					i["NetworkInterfaceId"] = fmt.Sprintf("eni-more-%02d", n)
					i["PrivateIpAddress"] = fmt.Sprintf("10.0.1.%d", 40+n)
					delete(i, "Ipv6Addresses")
					i["Attachment"].(object)["DeviceIndex"], i["Attachment"].(object)["AttachmentId"] = n, fmt.Sprintf("eni-attach-more-%02d", n)
				})
				all = append(all, jsonOf(t, more))
			}
			a["NetworkInterfaces"] = all
		})
		o = decides(rehearsal.Options{Template: o.Template, Definition: o.Definition, Seed: 1, Event: second, Account: run(t, o).Account}, "keep")
		r, calls, err := rehearsal.Recorded(o, func(string, []byte, []byte) {})
		if err != nil || len(r.Broken) > 0 {
			t.Fatal(err, r.Broken)
		}
		first := invocation(calls, "isolate")
		before := slices.IndexFunc(first, moves)
		if before < 0 {
			t.Fatal("isolate changed nothing")
		}
		if n := trips(first[:before]); n > 4 {
			t.Errorf("%d interfaces: %d round trips before the first change, want four:\n%s", interfaces, n, list(first[:before]))
		}
		// From it: every interface into the conversion group at once, each into its
		// final group when its own answer came, one look.
		moved := map[string][]sim.Call{}
		rest := first[before:]
		for len(rest) > 0 && moves(rest[0]) {
			id := aws.ToString(rest[0].Input.(*ec2.ModifyNetworkInterfaceAttributeInput).NetworkInterfaceId)
			moved[id] = append(moved[id], rest[0])
			rest = rest[1:]
		}
		if len(moved) != interfaces {
			t.Errorf("%d of %d interfaces were moved", len(moved), interfaces)
		}
		answered := first[before].Ended
		for _, m := range moved {
			if m[0].Ended.Before(answered) {
				answered = m[0].Ended
			}
		}
		for id, m := range moved {
			if len(m) != 2 || !m[0].At.Before(answered) || !m[1].At.Equal(m[0].Ended) {
				t.Errorf("%d interfaces: %s was not moved at once, and then again without delay:\n%s", interfaces, id, list(m))
			}
		}
		looks := slices.DeleteFunc(slices.Clone(rest), func(c sim.Call) bool { return c.Service == "dynamodb" })
		if n := trips(looks); n != 1 {
			t.Errorf("%d interfaces: %d round trips to look, want one:\n%s", interfaces, n, list(rest))
		}
	}
}

func moves(c sim.Call) bool { return c.Action == "ModifyNetworkInterfaceAttribute" }

// invocation are the calls of a function's first invocation, in order.
func invocation(calls []sim.Call, function string) []sim.Call {
	var all []sim.Call
	for _, c := range calls {
		if c.By != nil && c.By.Function == function && (len(all) == 0 || c.By == all[0].By) {
			all = append(all, c)
		}
	}
	return all
}

// trips is how many round trips follow one another: a call that begins when all
// before it have ended begins the next.
func trips(calls []sim.Call) int {
	n := 0
	var over time.Time
	for _, c := range calls {
		if n == 0 || !c.At.Before(over) {
			n++
		}
		if c.Ended.After(over) {
			over = c.Ended
		}
	}
	return n
}

func list(calls []sim.Call) string {
	var b strings.Builder
	for _, c := range calls {
		fmt.Fprintf(&b, "\t%s to %s %s:%s %v\n", c.At.Format("05.000"), c.Ended.Format("05.000"), c.Service, c.Action, c.Resources)
	}
	return b.String()
}
