package rehearsal_test

import (
	"strings"
	"testing"

	"cordon/internal/rehearsal"
)

// interfaces changes the interfaces of the account around the plain event.
func interfaces(t testing.TB, change func(account object, all []any)) []byte {
	t.Helper()
	return around(t, readFile(t, "plain.json"), func(a object) { change(a, a["NetworkInterfaces"].([]any)) })
}

// Where an interface refuses or is a trunk, each has its result in the mail and
// in the record, the others are cut off, and nothing calls the instance contained.
func TestInterfacesThatRefuse(t *testing.T) {
	for name, change := range map[string]func(object){
		"requester-managed": func(i object) { i["RequesterManaged"] = true },
		"a trunk":           func(i object) { i["InterfaceType"] = "trunk" },
	} {
		var first, second string
		o := decides(options(readFile(t, "plain.json")), "none")
		o.Account = interfaces(t, func(_ object, all []any) {
			first, second = all[0].(object)["NetworkInterfaceId"].(string), all[1].(object)["NetworkInterfaceId"].(string)
			change(all[1].(object))
		})
		r := run(t, o)
		told := mailed(r, "NOT isolated")
		if r.Ending != "Not contained" || len(told) == 0 || !strings.Contains(told[0].Body, second+": is ") || !strings.Contains(told[0].Body, "contained: "+first) {
			t.Errorf("%s: ends as %q; the mail should say what is contained and what is not:\n%v", name, r.Ending, told)
		}
		want := map[string]string{first: "quarantine-sg", second: "quarantine-sg"}
		status := `"status":"partial"`
		if name == "requester-managed" {
			want[second], status = "web", `"status":"failed"`
		}
		for id, groups := range placed(t, r) {
			if w, ok := want[id]; ok && groups != w {
				t.Errorf("%s: %s ends in %s, want %s", name, id, groups, w)
			}
		}
		if !strings.Contains(strings.ReplaceAll(string(r.Account), `\"`, `"`), status) {
			t.Errorf("%s: the record does not say %s", name, status)
		}
	}
}

// placed are the names of the groups that every attached interface ends in.
func placed(t testing.TB, r rehearsal.Result) map[string]string {
	t.Helper()
	a, err := rehearsal.ReadAccount(r.Account)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, i := range a.Interfaces(plainInstance) {
		all[*i.NetworkInterfaceId] = rehearsal.GroupNames(i)
	}
	return all
}

// An interface that comes while people decide is cut off at the next look, one
// that goes is not missed; the rest stays as it is.
func TestInterfacesComeAndGo(t *testing.T) {
	var primary, gone string
	o := decides(options(readFile(t, "plain.json")), "none")
	o.Account = interfaces(t, func(a object, all []any) {
		primary, gone = all[0].(object)["NetworkInterfaceId"].(string), all[1].(object)["NetworkInterfaceId"].(string)
		came := object{"NetworkInterfaceId": "eni-0late", "VpcId": all[0].(object)["VpcId"], "SubnetId": all[0].(object)["SubnetId"], "Groups": all[0].(object)["Groups"], "PrivateIpAddress": "10.0.0.99"}
		a["NetworkInterfaces"] = append(all, came)
		a["Behaviour"] = object{"Attached": []any{
			object{"Seconds": 1000, "NetworkInterfaceId": "eni-0late", "InstanceId": plainInstance},
			object{"Seconds": 2000, "NetworkInterfaceId": gone},
		}}
	})
	r := run(t, o)
	where := placed(t, r)
	if r.Ending != "Isolated, undecided" || len(where) != 2 || where[primary] != "quarantine-sg" || where["eni-0late"] != "quarantine-sg" {
		t.Errorf("ends as %q, with %v", r.Ending, where)
	}
	for _, c := range r.Calls {
		if c.Action == "ModifyNetworkInterfaceAttribute" && strings.Contains(strings.Join(c.Resources, " "), "eni-0late") {
			if c.At < 1000 || c.At > 1310 {
				t.Errorf("the interface that came at 1000 is moved at %v", c.At)
			}
			break
		}
	}
}

// With conversion off nothing is ever open, half as many changes are made, and
// the mail says what that leaves.
func TestConversionOff(t *testing.T) {
	calls := map[string]int{}
	for _, convert := range []string{"true", "false"} {
		o := decides(options(readFile(t, "plain.json")), "keep")
		o.Parameters = map[string]string{"ConvertConnections": convert}
		r := run(t, o)
		if r.Ending != "Kept isolated" {
			t.Errorf("%s: ends as %q", convert, r.Ending)
		}
		calls[convert] = callsTo(r, func(c rehearsal.Call) bool { return c.Action == "ModifyNetworkInterfaceAttribute" })
		if body := r.Mails[0].Body; strings.Contains(body, "ConvertConnections is false") != (convert == "false") || strings.Contains(body, "passed through an open group") != (convert == "true") {
			t.Errorf("%s: the mail does not say what it leaves open:\n%s", convert, body)
		}
	}
	if calls["true"]-calls["false"] != 2 {
		t.Errorf("changes of two interfaces: %v", calls)
	}
}
