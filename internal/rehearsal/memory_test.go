package rehearsal_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"cordon/internal/rehearsal"

	gocmp "github.com/google/go-cmp/cmp"
)

const (
	memoryDocs = "../../docs/memory.md"
	tableBegin = "<!-- made by: go test ./internal/rehearsal -run TestMemoryTable -update -->\n"
	tableEnd   = "<!-- end -->\n"
)

// TestMemoryTable rehearses what a capture may meet, and holds docs/memory.md to
// what came of it. The invariants hold in each, or run fails.
func TestMemoryTable(t *testing.T) {
	plain := readFile(t, "plain.json")
	behaves := func(b object) []byte { return around(t, plain, func(a object) { a["Behaviour"] = b }) }
	// typed is an instance whose type has that much memory, as the plan is made by it.
	typed := func(gib int, more object) []byte {
		return around(t, plain, func(a object) {
			for _, i := range a["InstanceTypes"].([]any) {
				i.(object)["MemoryInfo"].(object)["SizeInMiB"] = gib << 10
			}
			if more != nil {
				a["Behaviour"] = more
			}
		})
	}
	// central is an account whose endpoints are in another VPC, over a transit gateway.
	central := around(t, plain, func(a object) {
		delete(a, "VpcEndpoints")
		table := a["RouteTables"].([]any)[0].(object)
		table["Routes"] = append(table["Routes"].([]any), object{"DestinationCidrBlock": "10.9.0.0/16", "TransitGatewayId": "tgw-1", "State": "active"})
		a["Behaviour"] = object{"Resolves": object{"ssm": "10.9.0.10", "ssmmessages": "10.9.0.11", "s3": "10.9.0.12"}}
	})
	// strayed is the same, but the hosted zones lead elsewhere than the parameter says.
	strayed := around(t, plain, func(a object) {
		delete(a, "VpcEndpoints")
		table := a["RouteTables"].([]any)[0].(object)
		table["Routes"] = append(table["Routes"].([]any), object{"DestinationCidrBlock": "10.9.0.0/16", "TransitGatewayId": "tgw-1", "State": "active"})
		a["Behaviour"] = object{"Resolves": object{"ssm": "10.9.7.10", "ssmmessages": "10.9.7.11", "s3": "10.9.7.12"}}
	})
	windows := plainEvent(t, func(d object) { d["resource"].(object)["instanceDetails"].(object)["platform"] = "windows" })
	var rows strings.Builder
	rows.WriteString("| what it meets | memory | isolated | sealed | whole run | calls to AWS | history events |\n|---|---|---|---|---|---|---|\n")
	for _, c := range []struct {
		name    string
		event   []byte
		account []byte
		central string // CentralEndpointCidrs
		status  string
		reason  string // part of it
		agrees  bool   // the image was hashed on our side, and the host said the same
	}{
		{"1 GiB of memory", plain, typed(1, nil), "", "ok", "", true},
		{"768 GiB of memory", plain, typed(768, nil), "", "ok", "", true},
		{"no endpoints", plain, around(t, plain, func(a object) { delete(a, "VpcEndpoints") }), "", "skipped", "no usable endpoint for ssm", false},
		{"a gateway endpoint for S3 only", plain, around(t, plain, func(a object) {
			var doors []any
			for _, e := range a["VpcEndpoints"].([]any) {
				if e.(object)["VpcEndpointType"] == "Gateway" {
					doors = append(doors, e)
				}
			}
			if len(doors) != 1 {
				t.Fatalf("%d gateway endpoints in the account, want one", len(doors))
			}
			a["VpcEndpoints"] = doors
		}), "", "skipped", "no usable endpoint for ssm", false},
		{"central endpoints", plain, central, "10.9.0.0/28", "ok", "", true},
		{"central endpoints, elsewhere than named", plain, strayed, "10.9.0.0/28", "failed", "it was taken for granted", false},
		{"SSM agent offline", plain, around(t, plain, func(a object) {
			for _, i := range a["InstanceInformationList"].([]any) {
				i.(object)["PingStatus"] = "ConnectionLost"
			}
		}), "", "skipped", "ConnectionLost", false},
		{"agent lost half-way", plain, behaves(object{"AgentLostAfterSeconds": 60}), "", "partial", "no part arrived for 30 minutes", false},
		{"kernel locked down", plain, behaves(object{"Lockdown": "confidentiality"}), "", "partial", "no memory image, but text of what ran: the kernel is locked down", false},
		{"a processor without a capture program", plain, around(t, plain, func(a object) {
			a["Reservations"].([]any)[0].(object)["Instances"].([]any)[0].(object)["Architecture"] = "i386"
		}), "", "partial", "no capture program is known", false},
		{"a part altered on its way", plain, typed(1, object{"PartAltered": 3}), "", "partial", "altered on the way", false},
		{"Windows", windows, nil, "", "partial", "no memory image, but text of what ran: memory of Windows is not captured", false},
	} {
		o := decides(options(c.event), "keep")
		o.Account = c.account
		if c.central != "" {
			o.Parameters = map[string]string{"CentralEndpointCidrs": c.central}
		}
		var ended time.Duration
		o.Watch = func(m rehearsal.Moment) { ended = max(ended, m.At) }
		r := run(t, o)
		if m := r.Steps["memory"]; m.Status != c.status || !strings.Contains(m.Reason, c.reason) {
			t.Errorf("%s: memory is %s (%s), want %s (%s)", c.name, m.Status, m.Reason, c.status, c.reason)
		}
		if d := r.Steps["digest"]; (d.Status == "ok") != c.agrees {
			t.Errorf("%s: digest is %s (%s)", c.name, d.Status, d.Reason)
		}
		if r.Ending != "Kept isolated" || r.IsolatedAt == nil || r.SealedAt == nil {
			t.Errorf("%s: ended as %q, isolated %s, sealed %s", c.name, r.Ending, show(r.IsolatedAt), show(r.SealedAt))
			continue
		}
		m := r.Steps["memory"]
		fmt.Fprintf(&rows, "| %s | %s | %.1f s | %s | %s | %d | %d |\n", c.name, strings.TrimSuffix(m.Status+": "+m.Reason, ": "), float64(*r.IsolatedAt),
			span(time.Duration(float64(*r.SealedAt)*float64(time.Second))), span(ended), len(r.Calls), r.History)
	}

	text, err := os.ReadFile(memoryDocs)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), tableBegin)
	was, after, ok2 := strings.Cut(rest, tableEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no table between %q and %q", memoryDocs, tableBegin, tableEnd)
	}
	if *update {
		if err := os.WriteFile(memoryDocs, []byte(before+tableBegin+rows.String()+tableEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := gocmp.Diff(rows.String(), was); d != "" {
		t.Errorf("%s is not current; run go test ./internal/rehearsal -run TestMemoryTable -update (-want +is):\n%s", memoryDocs, d)
	}
}

// span is a time as people say it: 4.0 s, 3 min, 2 h 44 min.
func span(d time.Duration) string {
	minutes := int(d.Round(time.Minute) / time.Minute)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case minutes < 60:
		return fmt.Sprintf("%d min", minutes)
	}
	return strings.TrimSuffix(fmt.Sprintf("%d h %d min", minutes/60, minutes%60), " 0 min")
}
