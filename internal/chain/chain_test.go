package chain_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/chain"
	"cordon/internal/manifest"
)

const id = "123456789012.eu-west-1.i-1.1"

// journal is a chain about two items, as it is stored.
func journal(t testing.TB, n int) [][]byte {
	t.Helper()
	var all [][]byte
	sum := ""
	was := map[string]chain.Item{}
	for i := range n {
		sk := fmt.Sprint("step#", i%2)
		e := chain.Entry{
			Format: chain.Format, Sequence: i + 1, Incident: id, Previous: sum, At: time.Unix(int64(1_700_000_000+i), 0).UTC(), Event: fmt.Sprint("e", i), Stream: fmt.Sprint(100 + i),
			Table: "incidents", Change: "MODIFY", PK: id, SK: sk, Without: []string{}, Marks: map[string]string{"incidents " + id: fmt.Sprint(100 + i)},
			New: item(t, map[string]any{"pk": id, "sk": sk, "body": map[string]any{"title": "<b>\"\\\u2028\u00e9\U0001F600\x07&", "big": json.Number("9007199254740993"), "n": json.Number(fmt.Sprint(i)), "list": []any{"a", nil, true}}}),
		}
		if was[sk] == nil {
			e.Change = "INSERT"
		} else {
			e.Old = chain.Item{"body": was[sk]["body"]}
		}
		was[sk] = e.New
		text, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		all, sum = append(all, text), chain.Sum(text)
	}
	return all
}

func item(t testing.TB, attributes map[string]any) chain.Item {
	t.Helper()
	i := chain.Item{}
	for name, v := range attributes {
		text, err := manifest.Canonical(v)
		if err != nil {
			t.Fatal(err)
		}
		i[name] = text
	}
	return i
}

func check(all [][]byte) chain.Checked {
	var numbers []int
	for n, text := range all {
		if text != nil {
			numbers = append(numbers, n+1)
		}
	}
	return chain.Check(id, numbers, func(n int) ([]byte, error) { return all[n-1], nil })
}

func TestAJournalHolds(t *testing.T) {
	all := journal(t, 9)
	c := check(all)
	if len(c.Broken) > 0 || c.Entries != 9 || c.Sums[8] != chain.Sum(all[8]) || len(c.Newest) != 2 {
		t.Fatalf("%+v", c)
	}
	for _, signed := range []int{0, 1, 5, 9} {
		last := ""
		if signed > 0 {
			last = chain.Sum(all[signed-1])
		}
		if err := c.Holds(signed, last); err != nil {
			t.Errorf("%d signed: %v", signed, err)
		}
	}
	for _, text := range all {
		canonical, err := manifest.Canonical(json.RawMessage(text))
		if err != nil || !bytes.Equal(canonical, text) {
			t.Fatalf("an entry is not canonical: %v\n%s\n%s", err, text, canonical)
		}
	}
}

// An update of the stack in the middle of an incident: what the entries before it
// say of an item is what those after it say, in another order.
func TestAJournalHoldsAcrossAnUpdate(t *testing.T) {
	for after, holds := range map[string]bool{`{"status":"ok","reason":"a \u003c b"}`: true, `{"status":"ok","reason":"a > b"}`: false} {
		e := chain.Entry{
			Format: chain.Format, Sequence: 1, Incident: id, Event: "e0", Stream: "100", Table: "incidents", Change: "INSERT", PK: id, SK: "step#isolate",
			Without: []string{}, Marks: map[string]string{"incidents " + id: "100"}, New: chain.Item{"body": json.RawMessage(`{"reason":"a < b","status":"ok"}`)},
		}
		first, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		e.Sequence, e.Event, e.Stream, e.Change, e.Previous = 2, "e1", "101", "MODIFY", chain.Sum(first)
		e.Marks = map[string]string{"incidents " + id: "101"}
		e.Old, e.New = chain.Item{"body": json.RawMessage(after)}, chain.Item{"body": json.RawMessage(`{"status":"failed","reason":""}`)}
		second, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		if c := check([][]byte{first, second}); (len(c.Broken) == 0) != holds {
			t.Errorf("%s: %q", after, c.Broken)
		}
	}
}

// Every bit of every byte of every entry that was signed is found; the last entry
// is held by what the manifest says.
func TestAnyByteThatIsFlippedIsFound(t *testing.T) {
	all := journal(t, 4)
	last := chain.Sum(all[3])
	for n := range all {
		for at := range all[n] {
			for bit := range 8 {
				all[n][at] ^= 1 << bit
				if c := check(all); len(c.Broken) == 0 && c.Holds(4, last) == nil {
					t.Fatalf("entry %d, byte %d, bit %d: goes unseen", n+1, at, bit)
				}
				all[n][at] ^= 1 << bit
			}
		}
	}
}

func TestWhatDoesNotHoldIsNamed(t *testing.T) {
	rewritten := func(text []byte, change func(*chain.Entry)) []byte {
		e, err := chain.Read(text)
		if err != nil {
			t.Fatal(err)
		}
		change(&e)
		again, err := e.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return again
	}
	for name, c := range map[string]struct {
		spoil func(all [][]byte) [][]byte
		want  string
	}{
		"one is gone":       {func(all [][]byte) [][]byte { all[2] = nil; return all }, "entry 3 is gone"},
		"some are gone":     {func(all [][]byte) [][]byte { all[2], all[3] = nil, nil; return all }, "entries 3 to 4 are gone"},
		"the first is gone": {func(all [][]byte) [][]byte { all[0] = nil; return all }, "entry 1 is gone"},
		"written anew":      {func(all [][]byte) [][]byte { all[2] = append(all[2], '\n'); return all }, "entry 3: it is not in its canonical form"},
		"changed, well-formed": {func(all [][]byte) [][]byte {
			all[2] = rewritten(all[2], func(e *chain.Entry) { e.Change = "REMOVE" })
			return all
		}, "entry 4 does not follow entry 3"},
		"of another incident": {func(all [][]byte) [][]byte {
			all[2] = rewritten(all[2], func(e *chain.Entry) { e.Incident = "x" })
			return all
		}, `entry 3 is one of incident "x"`},
		"under another number": {func(all [][]byte) [][]byte { all[2], all[3] = all[3], all[2]; return all }, "entry 3 says that it is entry 4"},
		"no entry":             {func(all [][]byte) [][]byte { all[2] = []byte(`{"format":"x"}`); return all }, `entry 3: its format is "x"`},
		"no JSON":              {func(all [][]byte) [][]byte { all[2] = []byte(`[[[[`); return all }, "entry 3: it is no entry of a journal"},
		"empty":                {func(all [][]byte) [][]byte { all[2] = []byte{}; return all }, "entry 3: it is no entry of a journal"},
		"the same change twice": {func(all [][]byte) [][]byte {
			return chained(t, all, func(n int, e *chain.Entry) {
				if n == 3 {
					e.Event = "e1"
				}
			})
		}, "entry 4 is the same change as entry 2"},
		"a change nobody wrote": {func(all [][]byte) [][]byte {
			return chained(t, all, func(n int, e *chain.Entry) {
				if n == 3 {
					e.Old["body"] = json.RawMessage(`"other"`)
				}
			})
		}, `between entry 2 and it, "step#1" was changed`},
		"made twice": {func(all [][]byte) [][]byte {
			return chained(t, all, func(n int, e *chain.Entry) {
				if n == 3 {
					e.Change, e.Old = "INSERT", nil
				}
			})
		}, `between entry 2 and it, "step#1" was changed`},
	} {
		all := c.spoil(journal(t, 6))
		got := check(all)
		if len(got.Broken) == 0 || !strings.Contains(strings.Join(got.Broken, "\n"), c.want) {
			t.Errorf("%s: %q, want %q", name, got.Broken, c.want)
		}
	}
	if c := chain.Check(id, []int{1}, func(int) ([]byte, error) { return nil, errors.New("input/output error") }); !slices.Contains(c.Broken, "entry 1 cannot be read: input/output error") {
		t.Errorf("%q", c.Broken)
	}
	c := check(journal(t, 3))
	for _, signed := range []struct {
		entries int
		last    string
		want    string
	}{{4, "x", "3 of them are there"}, {3, "x", "not the one that was signed"}, {-1, "", "no sense"}, {0, "x", "no sense"}} {
		if err := c.Holds(signed.entries, signed.last); err == nil || !strings.Contains(err.Error(), signed.want) {
			t.Errorf("%+v: %v", signed, err)
		}
	}
	// What is all broken is told in few lines.
	all := journal(t, 500)
	for n := range all {
		all[n] = []byte("{}")
	}
	if c := check(all); len(c.Broken) != 21 {
		t.Errorf("%d lines", len(c.Broken))
	}
}

// chained changes entries and chains them anew: what somebody could do who may
// write all of them.
func chained(t *testing.T, all [][]byte, change func(n int, e *chain.Entry)) [][]byte {
	t.Helper()
	sum := ""
	for n := range all {
		e, err := chain.Read(all[n])
		if err != nil {
			t.Fatal(err)
		}
		e.Previous = sum
		change(n, &e)
		if all[n], err = e.Bytes(); err != nil {
			t.Fatal(err)
		}
		sum = chain.Sum(all[n])
	}
	return all
}

func TestKeys(t *testing.T) {
	if key, err := chain.Key(id, 7); err != nil || key != "incidents/"+id+"/journal/000007.json" {
		t.Errorf("%q, %v", key, err)
	}
	for _, n := range []int{0, -1, 1_000_000} {
		if _, err := chain.Key(id, n); err == nil {
			t.Errorf("entry %d has a key", n)
		}
	}
	for name, want := range map[string]int{"000007.json": 7, "999999.json": 999999} {
		if n, ok := chain.NumberOf(name); !ok || n != want {
			t.Errorf("%s: %d, %v", name, n, ok)
		}
	}
	for _, name := range []string{"000000.json", "7.json", "0000007.json", "000007.json.bak", "x/000007.json", "-00007.json", ""} {
		if _, ok := chain.NumberOf(name); ok {
			t.Errorf("%q is the name of an entry", name)
		}
	}
	for _, c := range [][2]string{{"10", "9"}, {"100000000000000000001", "99999999999999999999"}, {"0010", "9"}} {
		if !chain.Later(c[0], c[1]) || chain.Later(c[1], c[0]) || chain.Later(c[0], c[0]) {
			t.Errorf("%s is not later than %s", c[0], c[1])
		}
	}
}

// What somebody hostile puts there is told, not trusted, and crashes nothing.
func FuzzRead(f *testing.F) {
	for _, text := range journal(f, 3) {
		f.Add(text)
	}
	f.Add([]byte(`{"new":null,"format":"cordon journal 1"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := chain.Read(text)
		if err != nil {
			return
		}
		again, err := e.Bytes()
		if err != nil || !bytes.Equal(again, text) {
			t.Errorf("%q was taken for an entry", text)
		}
		chain.Check(e.Incident, []int{1}, func(int) ([]byte, error) { return text, nil })
	})
}
