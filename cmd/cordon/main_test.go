package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// object is a JSON object to be spoiled for a test.
type object = map[string]any

type printed struct {
	status   int
	out, err string
}

// invoke runs the command as a script would: no terminal.
func invoke(t *testing.T, stdin []byte, args ...string) printed {
	t.Helper()
	var out, err bytes.Buffer
	status := run(args, streams{in: bytes.NewReader(stdin), out: &out, err: &err})
	return printed{status, out.String(), err.String()}
}

func plain(t *testing.T) []byte {
	t.Helper()
	b, err := os.ReadFile("../../events/plain.json")
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// changed is the plain event with changes.
func changed(t *testing.T, change func(event, detail object)) []byte {
	t.Helper()
	var e object
	if err := json.Unmarshal(plain(t), &e); err != nil {
		t.Fatal(err)
	}
	detail, _ := e["detail"].(object)
	change(e, detail)
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func file(t *testing.T, content string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file.json")
	if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// refused holds what a command may print about bad input: one line on stderr
// that is for people and says says.
func refused(t *testing.T, p printed, says string) {
	t.Helper()
	if p.status != exitUse {
		t.Errorf("exit status %d, want %d", p.status, exitUse)
	}
	if p.out != "" {
		t.Errorf("stdout must be empty, so that a script takes nothing for a result: %.200q", p.out)
	}
	if !regexp.MustCompile(`\Acordon: [^\n]+\n\z`).MatchString(p.err) || len(p.err) > 900 { // one of them lists every parameter
		t.Errorf("want one sentence on stderr: %.2000q", p.err)
	}
	for _, wrong := range []string{"panic", "goroutine", "runtime error", "0x"} {
		if strings.Contains(p.err, wrong) {
			t.Errorf("%q tells nobody what to do: %.600q", wrong, p.err)
		}
	}
	if !strings.Contains(p.err, says) {
		t.Errorf("the error does not say %q: %q", says, p.err)
	}
}

func TestBadEvents(t *testing.T) {
	deep := strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000)
	instance := func(detail object) object {
		return detail["resource"].(object)["instanceDetails"].(object)
	}
	for _, c := range []struct {
		name  string
		event []byte
		says  string
	}{
		{"empty", nil, "empty"},
		{"blank", []byte(" \n"), "empty"},
		{"not JSON", []byte("hello"), "not a JSON object"},
		{"cut short", plain(t)[:400], "not a JSON object"},
		{"an array", []byte(`[{}]`), "not a JSON object"},
		{"a string", []byte(`"x"`), "not a JSON object"},
		{"null", []byte(`null`), "source"},
		{"more than one", append(plain(t), plain(t)...), "not a JSON object"},
		{"no source", changed(t, func(e, _ object) { delete(e, "source") }), "no source"},
		{"no detail-type", changed(t, func(e, _ object) { delete(e, "detail-type") }), "no detail-type"},
		{"no detail", changed(t, func(e, _ object) { delete(e, "detail") }), "no detail"},
		{"detail null", changed(t, func(e, _ object) { e["detail"] = nil }), "no detail"},
		{"detail a string", changed(t, func(e, _ object) { e["detail"] = "{}" }), "detail is not an object"},
		{"source a number", changed(t, func(e, _ object) { e["source"] = 1 }), "source"},
		{"enormous", changed(t, func(_, d object) { d["description"] = strings.Repeat("a", 256<<10) }), "bytes"},
		{"deep", []byte(deep), "nested"},
		{"deep inside", append(bytes.TrimSuffix(bytes.TrimSpace(plain(t)), []byte("}")), []byte(`,"x":`+deep+`}`)...), "nested"},
		{"no instance ID", changed(t, func(_, d object) { delete(instance(d), "instanceId") }), "instanceId is missing"},
		{"instance ID a number", changed(t, func(_, d object) { instance(d)["instanceId"] = 7 }), "instanceId is not a string"},
		{"no finding ID", changed(t, func(_, d object) { delete(d, "id") }), "detail.id is missing"},
		{"type a number", changed(t, func(_, d object) { d["type"] = 7 }), "detail.type is not a string"},
		{"no account ID", changed(t, func(_, d object) { delete(d, "accountId") }), "detail.accountId is missing"},
		{"archived a string", changed(t, func(_, d object) { d["service"].(object)["archived"] = "true" }), "archived is not a boolean"},
		{"no account", changed(t, func(e, _ object) { delete(e, "account") }), "account is missing"},
		{"account no account", changed(t, func(e, _ object) { e["account"] = "x/y" }), "account"},
		{"no time", changed(t, func(e, _ object) { delete(e, "time") }), "time"},
		{"time no time", changed(t, func(e, _ object) { e["time"] = "yesterday" }), "time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			refused(t, invoke(t, c.event, "rehearse", "--json", "--decision", "terminate", "-"), c.says)
			refused(t, invoke(t, c.event, "rehearse", "--decision", "none", "-"), c.says)
		})
	}
}

func TestBadAccounts(t *testing.T) {
	for _, c := range []struct{ name, account, says string }{
		{"empty", "", "account"},
		{"not JSON", "hello", "not a JSON object"},
		{"an array", "[]", "not a JSON object"},
		{"more than one", `{"Reservations": [], "NetworkInterfaces": []} {}`, "not a JSON object"},
		{"null", "null", "not a JSON object"},
		{"deep", `{"Reservations": ` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `}`, ""},
		{"no NetworkInterfaces", `{"Reservations": []}`, "NetworkInterfaces"},
		{"no Reservations", `{"NetworkInterfaces": []}`, "Reservations"},
		{"no AttachTime", `{"Reservations": [{"Instances": [{"InstanceId": "i-1"}]}],
			"NetworkInterfaces": [{"NetworkInterfaceId": "eni-1", "VpcId": "vpc-1", "Attachment": {"InstanceId": "i-1", "DeviceIndex": 0}}]}`, "AttachTime"},
		{"an instance without an interface", `{"Reservations": [{"Instances": [{"InstanceId": "i-1"}]}], "NetworkInterfaces": []}`, "i-1"},
		{"Reservations of the wrong type", `{"Reservations": "none", "NetworkInterfaces": []}`, "Reservations"},
		{"NetworkInterfaces of the wrong type", `{"Reservations": [], "NetworkInterfaces": {"a": 1}}`, "NetworkInterfaces"},
		{"a reservation null", `{"Reservations": [null], "NetworkInterfaces": [null]}`, ""},
		{"an item that is none", `{"Reservations": [], "NetworkInterfaces": [], "Incidents": [{"Table": "incidents", "Item": {"pk": {"X": 1}}}]}`, "Incidents"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			refused(t, invoke(t, plain(t), "rehearse", "--json", "--decision", "none", "--account", file(t, c.account), "-"), c.says)
		})
	}
}

func TestBadUse(t *testing.T) {
	for _, c := range []struct {
		name string
		args []string
		says string
	}{
		{"no command", nil, "rehearse"},
		{"no such command", []string{"deploy"}, "deploy"},
		{"no event", []string{"rehearse", "--decision", "none"}, "event"},
		{"two events", []string{"rehearse", "--decision", "none", "-", "-"}, "-"},
		{"no such file", []string{"rehearse", "--decision", "none", "nowhere.json"}, "nowhere.json"},
		{"a directory", []string{"rehearse", "--decision", "none", "."}, "."},
		{"no such account file", []string{"rehearse", "--decision", "none", "--account", "nowhere.json", "-"}, "nowhere.json"},
		{"no such flag", []string{"rehearse", "--colour", "-"}, "--colour"},
		{"nobody could decide", []string{"rehearse", "-"}, "--decision"},
		{"nobody could decide, JSON", []string{"rehearse", "--json", "-"}, "--decision"},
		{"no such decision", []string{"rehearse", "--decision", "destroy", "-"}, "destroy"},
		{"no such parameter", []string{"rehearse", "--decision", "none", "--parameter", "Colour=red", "-"}, "Colour"},
		{"no parameter", []string{"rehearse", "--decision", "none", "--parameter", "Colour", "-"}, "NAME=VALUE"},
		{"parameter too large", []string{"rehearse", "--decision", "none", "--parameter", "SeverityThreshold=11", "-"}, "SeverityThreshold"},
		{"parameter too small", []string{"rehearse", "--decision", "none", "--parameter", "SeverityThreshold=6", "-"}, "SeverityThreshold"},
		{"parameter no number", []string{"rehearse", "--decision", "none", "--parameter", "SeverityThreshold=high", "-"}, "SeverityThreshold"},
		{"fault without a number", []string{"rehearse", "--decision", "none", "--fault", "ec2:CreateSnapshots=lost", "-"}, "SERVICE:ACTION#N=KIND"},
		{"fault number 0", []string{"rehearse", "--decision", "none", "--fault", "ec2:CreateSnapshots#0=lost", "-"}, "first is 1"},
		{"no such kind of fault", []string{"rehearse", "--decision", "none", "--fault", "ec2:CreateSnapshots#1=odd", "-"}, "odd"},
		{"no such service", []string{"rehearse", "--decision", "none", "--fault", "lambda:Invoke#1=lost", "-"}, "lambda"},
		{"a change cannot be stale", []string{"rehearse", "--decision", "none", "--fault", "ec2:CreateSnapshots#1=stale", "-"}, "stale"},
		{"a call that is never made", []string{"rehearse", "--json", "--decision", "none", "--fault", "ec2:CreateSnapshots#99=lost", "-"}, "never made"},
		{"two faults on one call", []string{"rehearse", "--decision", "none", "--fault", "ec2:CreateSnapshots#1=lost", "--fault", "ec2:CreateSnapshots#1=late", "-"}, "same call"},
		{"seed no number", []string{"rehearse", "--decision", "none", "--seed", "x", "-"}, "seed"},
		{"seed negative", []string{"rehearse", "--decision", "none", "--seed=-1", "-"}, "seed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			refused(t, invoke(t, plain(t), c.args...), c.says)
		})
	}
}

func TestHelp(t *testing.T) {
	p := invoke(t, nil, "--help")
	if p.status != exitOK || p.err != "" || !strings.Contains(p.out, "rehearse") {
		t.Errorf("%+v", p)
	}
}

func TestExitStatus(t *testing.T) {
	for _, c := range []struct {
		event, decision string
		want            int
	}{
		{"plain.json", "terminate", exitOK},
		{"sample-flag.json", "none", exitOK},
		{"below-threshold.json", "none", exitOK},
		{"attack-sequence.json", "none", exitOK},
		{"delegated-administrator.json", "none", exitBad},
	} {
		for _, form := range [][]string{{"--json"}, nil} {
			args := slices.Concat([]string{"rehearse", "--decision", c.decision}, form, []string{"../../events/" + c.event})
			if p := invoke(t, nil, args...); p.status != c.want || p.out == "" || p.err != "" {
				t.Errorf("%q: exit status %d, want %d; stderr %q", args, p.status, c.want, p.err)
			}
		}
	}
}

// What other programs read must be there, of the same shape, whatever happened.
func TestJSONContract(t *testing.T) {
	for _, c := range []struct{ event, decision string }{
		{"plain.json", "terminate"}, {"plain.json", "release"}, {"sample-flag.json", "none"}, {"below-threshold.json", "none"}, {"delegated-administrator.json", "none"},
	} {
		t.Run(c.event+" "+c.decision, func(t *testing.T) {
			p := invoke(t, nil, "rehearse", "--json", "--decision", c.decision, "../../events/"+c.event)
			var r object
			d := json.NewDecoder(strings.NewReader(p.out))
			d.UseNumber()
			if err := d.Decode(&r); err != nil {
				t.Fatal(err)
			}
			if d.More() {
				t.Error("there is more than one object on stdout")
			}
			keys(t, "result", r, "account", "calls", "ending", "isolatedAt", "mails", "matched", "sealedAt", "states", "status", "steps", "violations")
			last := -1.0
			for _, c := range r["calls"].([]any) {
				c := c.(object)
				keys(t, "call", c, "action", "at", "error", "mutating", "resources", "service")
				if _, ok := c["error"].(string); !ok {
					t.Errorf("error is %T, always a string is promised", c["error"])
				}
				at := moment(t, c["at"])
				if at < last {
					t.Errorf("a call at %v follows one at %v: calls are promised in order of time", at, last)
				}
				last = at
				var ids []string
				for _, id := range c["resources"].([]any) {
					ids = append(ids, id.(string))
				}
				if !slices.IsSorted(ids) {
					t.Errorf("resources are not sorted: %q", ids)
				}
			}
			last = -1
			for _, m := range r["mails"].([]any) {
				keys(t, "mail", m.(object), "at", "body", "subject")
				at := moment(t, m.(object)["at"])
				if at < last {
					t.Errorf("a mail at %v follows one at %v", at, last)
				}
				last = at
			}
			for name, s := range r["steps"].(object) {
				keys(t, "step "+name, s.(object), "reason", "status")
				if status := s.(object)["status"]; !slices.Contains([]any{"ok", "partial", "failed", "skipped"}, status) {
					t.Errorf("step %s is %v", name, status)
				}
			}
			for _, at := range []string{"isolatedAt", "sealedAt"} {
				if r[at] != nil {
					moment(t, r[at])
				}
			}
			for _, list := range []string{"states", "violations"} {
				if _, ok := r[list].([]any); !ok {
					t.Errorf("%s is %v: a list is promised, never null", list, r[list])
				}
			}
		})
	}
}

func keys(t *testing.T, what string, o object, want ...string) {
	t.Helper()
	var have []string
	for k := range o {
		have = append(have, k)
	}
	slices.Sort(have)
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("keys of a %s (-promised +there):\n%s", what, diff)
	}
}

func moment(t *testing.T, v any) float64 {
	t.Helper()
	n, ok := v.(json.Number)
	if !ok || !regexp.MustCompile(`^\d+\.\d{3}$`).MatchString(n.String()) {
		t.Errorf("%v is no time in seconds with three decimals", v)
		return 0
	}
	f, err := n.Float64()
	if err != nil {
		t.Error(err)
	}
	return f
}

// An account goes through a rehearsal that changes nothing and comes back whole:
// what the AWS CLI says and nobody here reads is not lost.
func TestAccountComesBackWhole(t *testing.T) {
	b, err := os.ReadFile("../../events/accounts/dual-stack-interfaces.json")
	if err != nil {
		t.Fatal(err)
	}
	var given object
	if err := json.Unmarshal(b, &given); err != nil {
		t.Fatal(err)
	}
	given["NatGateways"] = []any{object{"NatGatewayId": "nat-1", "VpcId": "vpc-1"}}
	given["AutoScalingInstances"] = []any{object{"InstanceId": "i-9", "AutoScalingGroupName": "web"}}
	given["TargetHealthDescriptions"] = object{"arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/a/1": []any{}}
	instance := given["Reservations"].([]any)[0].(object)["Instances"].([]any)[0].(object)
	instance["MetadataOptions"] = object{"HttpTokens": "optional"}
	instance["EnclaveOptions"] = object{"Enabled": false}
	given["Volumes"].([]any)[0].(object)["Iops"] = 3000.0
	b, err = json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	first := account(t, file(t, string(b)), "../../events/sample-flag.json", "none")
	for _, lost := range missing("", given, first) {
		t.Errorf("lost: %s", lost)
	}
	text, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	again := account(t, file(t, string(text)), "../../events/sample-flag.json", "none")
	if diff := cmp.Diff(first, again); diff != "" {
		t.Errorf("the account that came out came out otherwise when it went in (-first +second):\n%s", diff)
	}
}

// What an incident leaves is a next rehearsal's account, incident and all.
func TestIncidentsAccountGoesIn(t *testing.T) {
	for _, decision := range []string{"terminate", "keep", "release", "none"} {
		t.Run(decision, func(t *testing.T) {
			t.Parallel()
			left := account(t, "", "../../events/plain.json", decision)
			for _, s := range left["Snapshots"].([]any) {
				if s := s.(object); s["State"] == "pending" {
					delete(s, "Progress") // it goes with the clock, which begins at what was recorded last
				}
			}
			b, err := json.Marshal(left)
			if err != nil {
				t.Fatal(err)
			}
			again := account(t, file(t, string(b)), "../../events/sample-flag.json", "none")
			for _, lost := range missing("", left, again) {
				t.Errorf("lost: %s", lost)
			}
		})
	}
}

// account is the account after a rehearsal.
func account(t *testing.T, from, event, decision string) object {
	t.Helper()
	args := []string{"rehearse", "--json", "--decision", decision}
	if from != "" {
		args = append(args, "--account", from)
	}
	p := invoke(t, nil, append(args, event)...)
	if p.status != exitOK {
		t.Fatalf("exit status %d: %s", p.status, p.err)
	}
	var r struct{ Account object }
	if err := json.Unmarshal([]byte(p.out), &r); err != nil {
		t.Fatal(err)
	}
	return r.Account
}

// missing lists what of a is not in b. An empty list or object may be left out;
// more may be there.
func missing(at string, a, b any) []string {
	switch a := a.(type) {
	case object:
		other, _ := b.(object)
		var all []string
		for k, v := range a {
			all = append(all, missing(at+"."+k, v, other[k])...)
		}
		slices.Sort(all)
		return all
	case []any:
		other, _ := b.([]any)
		if len(other) < len(a) {
			return []string{at + " is shorter"}
		}
		var all []string
		for n, v := range a {
			all = append(all, missing(at, v, other[n])...)
		}
		return all
	}
	if a != nil && !cmp.Equal(a, b) {
		return []string{at}
	}
	return nil
}
