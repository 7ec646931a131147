package incident_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
)

func TestIDs(t *testing.T) {
	key := incident.InstanceKey("123456789012", "eu-west-1", "i-0a")
	for _, number := range []int{1, 9, 10, 11, 999999} {
		id := incident.NewID(key, number)
		k, n, err := incident.SplitID(id)
		if err != nil || k != key || n != number {
			t.Errorf("SplitID(%q) = %q, %d, %v; want %q, %d", id, k, n, err, key, number)
		}
	}
}

func TestSplitIDRefuses(t *testing.T) {
	for _, id := range []string{
		"", "1", "...1", "123456789012.eu-west-1.i-0a", "123456789012.eu-west-1..1", ".eu-west-1.i-0a.1",
		"123456789012.eu-west-1.i-0a.1.1", "123456789012.eu-west-1.i-0a.", "123456789012.eu-west-1.i-0a.0",
		"123456789012.eu-west-1.i-0a.-1", "123456789012.eu-west-1.i-0a.x", "123456789012.eu-west-1.i-0a.1 ",
		"123456789012.eu-west-1.i-0a.99999999999999999999",
		// Other spellings of a number would be other partitions of the same incident.
		"123456789012.eu-west-1.i-0a.+1", "123456789012.eu-west-1.i-0a.01", "123456789012.eu-west-1.i-0a.1_0",
	} {
		if k, n, err := incident.SplitID(id); err == nil {
			t.Errorf("SplitID(%q) = %q, %d; want an error", id, k, n)
		} else if id != "" && !strings.Contains(err.Error(), id) {
			t.Errorf("SplitID(%q): %q does not name the ID", id, err)
		}
	}
}

func TestParseChoice(t *testing.T) {
	for _, c := range []incident.Choice{incident.Terminate, incident.Keep, incident.Release, incident.Isolate, incident.Leave} {
		if got, err := incident.ParseChoice(string(c)); err != nil || got != c {
			t.Errorf("ParseChoice(%q) = %q, %v", c, got, err)
		}
	}
	for _, s := range []string{"", "Terminate", "TERMINATE", " terminate", "terminate\n", "terminated", "none", "terminate,keep"} {
		if got, err := incident.ParseChoice(s); err == nil || got != "" {
			t.Errorf("ParseChoice(%q) = %q, %v; want nothing and an error", s, got, err)
		}
	}
}

var decision = incident.Decision{
	Version:  incident.DecisionVersion,
	Incident: "123456789012.eu-west-1.i-0a.1", Round: 1, InstanceID: "i-0a", AttachedAt: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC),
	Choice: incident.Keep, Person: "Sato", Identity: incident.ByLink, Reason: "seen in the logs", Address: "192.0.2.1", Agent: "curl", Facts: incident.Hash("{}"), Shown: "{}",
	DecidedAt: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC), ExpiresAt: time.Date(2026, 3, 8, 3, 0, 0, 0, time.UTC), MAC: []byte("mac"),
}

// TestSignedCovers changes each field of a decision alone. A field that is added
// is covered, or named here as one that nothing is decided by.
func TestSignedCovers(t *testing.T) {
	unsigned := []string{"Shown", "MAC"} // Facts stands for Shown
	fields := reflect.TypeFor[incident.Decision]()
	for n := range fields.NumField() {
		name := fields.Field(n).Name
		d := decision
		switch f := reflect.ValueOf(&d).Elem().Field(n); v := f.Interface().(type) {
		case time.Time:
			f.Set(reflect.ValueOf(v.Add(time.Second)))
		case []byte:
			f.SetBytes([]byte("another"))
		case int:
			f.SetInt(int64(v) + 1)
		case bool:
			f.SetBool(!v)
		default:
			f.SetString(f.String() + "x")
		}
		if changed, want := !bytes.Equal(d.Signed(), decision.Signed()), !slices.Contains(unsigned, name); changed != want {
			t.Errorf("with another %s the signed text differs: %v, want %v", name, changed, want)
		}
	}
}

// TestSignedIsUnambiguous moves text from one field to another, and puts into a
// field what would end it and begin the next, were there no lengths.
func TestSignedIsUnambiguous(t *testing.T) {
	change := func(f func(*incident.Decision)) incident.Decision {
		d := decision
		f(&d)
		return d
	}
	all := map[string]incident.Decision{
		"plain":                    decision,
		"two fields moved":         change(func(d *incident.Decision) { d.Incident, d.InstanceID = d.Incident+"i", "-0a" }),
		"no person":                change(func(d *incident.Decision) { d.Person = "" }),
		"a line break":             change(func(d *incident.Decision) { d.Person = "Sato\n" }),
		"another line":             change(func(d *incident.Decision) { d.Person = "Sato\n20:2026-03-01T03:00:00Z" }),
		"a whole tail":             change(func(d *incident.Decision) { d.Person = "Sato\n20:2026-03-01T03:00:00Z\n20:2099-03-08T03:00:00Z" }),
		"a length of its own":      change(func(d *incident.Decision) { d.Person = "4:Sato" }),
		"the identity in the name": change(func(d *incident.Decision) { d.Identity, d.Person = "", d.Identity+d.Person }),
		"choice with a tail":       change(func(d *incident.Decision) { d.Choice = "keep\n4:true\n4:Sato" }),
		"a letter of two bytes":    change(func(d *incident.Decision) { d.Person = "Satō" }),
		"the same, decomposed":     change(func(d *incident.Decision) { d.Person = "Sato\u0304" }),
		"round 11":                 change(func(d *incident.Decision) { d.Round = 11 }),
	}
	seen := map[string]string{}
	for name, d := range all {
		text := string(d.Signed())
		if other, ok := seen[text]; ok {
			t.Errorf("%q and %q share a signed text: one MAC is good for both", name, other)
		}
		seen[text] = name
		fields, err := read(text)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if want := []string{d.Incident, d.InstanceID, string(d.Choice), d.Person}; !slices.Equal(want, []string{fields[0], fields[2], fields[4], fields[8]}) {
			t.Errorf("%s: the signed text reads as %q, want %q in it", name, fields, want)
		}
	}
}

// TestSignedFits: KMS seals 4,096 bytes at most, and a decision that cannot be
// sealed is lost.
func TestSignedFits(t *testing.T) {
	d := decision
	d.Person, d.Reason, d.Agent = strings.Repeat("\U0001f600", 200), strings.Repeat("\U0001f600", 1000), strings.Repeat("\U0001f600", 300)
	d.Seconds, d.First = d.Person, incident.Hash("")
	d.Address, d.Identity = "2001:db8:1234:5678:9abc:def0:1234:5678", incident.ByIAM+strings.Repeat("a", 2048) // the longest ARN there is
	d.Incident, d.InstanceID = strings.Repeat("a", 300), strings.Repeat("a", 100)
	if n := len(d.Signed()); n > 4096 {
		t.Errorf("the longest decision comes to %d bytes", n)
	}
}

// TestSignedIsStable: the decision that is verified came out of the record, in
// JSON, in another process.
func TestSignedIsStable(t *testing.T) {
	d := decision
	d.Person = "<Satō>\u2028&\n"
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back incident.Decision
	if err := json.Unmarshal(b, &back); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back.Signed(), d.Signed()) {
		t.Errorf("after JSON:\n%q, want\n%q", back.Signed(), d.Signed())
	}
	tokyo := time.FixedZone("JST", 9*60*60)
	for _, at := range []*time.Time{&back.AttachedAt, &back.DecidedAt, &back.ExpiresAt} {
		*at = at.In(tokyo)
	}
	if !bytes.Equal(back.Signed(), d.Signed()) {
		t.Errorf("in another time zone:\n%q, want\n%q", back.Signed(), d.Signed())
	}
}

func TestSettings(t *testing.T) {
	env := map[string]string{"TABLE": "t", "DAYS": "30", "THRESHOLD": "7.5", "WORD": "many", "ZERO": "0", "BELOW": "-1", "NAN": "NaN"}
	h := incident.Host{Getenv: func(name string) string { return env[name] }}
	if v, err := h.Setting("TABLE"); err != nil || v != "t" {
		t.Errorf("Setting(TABLE) = %q, %v", v, err)
	}
	for name, want := range map[string]float64{"DAYS": 30, "THRESHOLD": 7.5} {
		if n, err := h.Number(name); err != nil || n != want {
			t.Errorf("Number(%s) = %v, %v; want %v", name, n, err, want)
		}
	}
	for _, name := range []string{"WORD", "ZERO", "BELOW", "NAN", "ABSENT", "TABLE"} {
		if n, err := h.Number(name); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Number(%s) = %v, %v; want an error that names it", name, n, err)
		}
	}
	if v, err := h.Setting("ABSENT"); err == nil || !strings.Contains(err.Error(), "ABSENT") {
		t.Errorf("Setting(ABSENT) = %q, %v; want an error that names it", v, err)
	}
}

// read takes a signed text apart by its lengths alone.
func read(text string) ([]string, error) {
	rest, ok := strings.CutPrefix(text, "cordon decision 5")
	if !ok {
		return nil, fmt.Errorf("%q does not begin with what it is", text)
	}
	var all []string
	for rest != "" {
		length, tail, ok := strings.Cut(rest, ":")
		n, err := strconv.Atoi(strings.TrimPrefix(length, "\n"))
		if !ok || err != nil || length[0] != '\n' || n > len(tail) {
			return nil, fmt.Errorf("field %d has no length: %q", len(all), rest)
		}
		all, rest = append(all, tail[:n]), tail[n:]
	}
	if len(all) != 17 {
		return nil, fmt.Errorf("%d fields in %q, want 17", len(all), text)
	}
	return all, nil
}

// TestTwoPeople: whoever could be both is not two people.
func TestTwoPeople(t *testing.T) {
	const (
		session = incident.ByIAM + "arn:aws:sts::123456789012:assumed-role/"
		sso     = session + "AWSReservedSSO_CordonResponder_0123456789abcdef/"
	)
	known := func(identity string) incident.Decision { return incident.Decision{Identity: identity, Person: "Sato"} }
	for _, c := range []struct {
		name, a, b string
		want       error
	}{
		{"two users", incident.ByAccess + "f4-1", incident.ByAccess + "f4-2", nil},
		{"two users' sessions", sso + "sato", sso + "tanaka", nil},
		{"one user twice", incident.ByAccess + "f4-1", incident.ByAccess + "f4-1", incident.ErrSamePerson},
		{"one user's ID in capitals", incident.ByAccess + "F4-1", incident.ByAccess + "f4-1", incident.ErrSamePerson},
		{"one user's session in capitals", sso + "Sato", sso + "sato", incident.ErrSamePerson},
		{"one user, two permission sets", sso + "sato", session + "AWSReservedSSO_Administrator_fedcba9876543210/sato", incident.ErrSamePerson},
		{"one user, two accounts", sso + "sato", strings.Replace(sso, "1234", "9999", 1) + "sato", incident.ErrSamePerson},
		{"the page and the command", incident.ByAccess + "f4-1", sso + "tanaka", incident.ErrOtherWay},
		{"sessions of a role that anybody names", session + "Responder/sato", session + "Responder/tanaka", incident.ErrUnproven},
		{"a role that is named like Identity Center's", session + "x/AWSReservedSSO_x/sato", sso + "tanaka", incident.ErrUnproven},
		{"an IAM user", incident.ByIAM + "arn:aws:iam::123456789012:user/tanaka", sso + "sato", incident.ErrUnproven},
		{"the root user", incident.ByIAM + "arn:aws:iam::123456789012:root", sso + "sato", incident.ErrUnproven},
		{"links", incident.ByLink, incident.ByLink, incident.ErrUnproven},
		{"a link and a user", incident.ByLink, incident.ByAccess + "f4-1", incident.ErrUnproven},
		{"no ID", incident.ByAccess, incident.ByAccess + "f4-1", incident.ErrUnproven},
		{"no session", sso, sso + "sato", incident.ErrUnproven},
		{"nothing", "", "", incident.ErrUnproven},
	} {
		for _, both := range [][2]string{{c.a, c.b}, {c.b, c.a}} {
			if err := incident.TwoPeople(known(both[0]), known(both[1])); !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("%s: %v, want %v", c.name, err, c.want)
			}
		}
	}
}
