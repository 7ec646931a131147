package canonical_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"strings"
	"testing"

	"cordon/internal/canonical"
)

// byStandard is the same by the standard library: read into maps, written again.
func byStandard(text []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, io.ErrUnexpectedEOF
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

var texts = []string{
	`{}`, `[]`, ` { "b" : [ 1 , 2.50, -0, 1E+5, 1e-7 ] , "a" : { } } `, `{"a":1,"b":2,"a":3}`, `{"a":{"x":1},"a":{"y":[]}}`,
	`"<b>&\u003c\/\"\\\u0008\f\n\r\t\u001f\u2028\u2029` + "\u2028\u00e9\U0001F600\x7f\xff" + `\ud83d\ude00\ud83d"`, `{"\"":1,"#":2,"\u0041":3,"A":4,"é":5,"e":6}`,
	`null`, `true`, `false`, `[[[{"z":[{"b":1,"a":2}],"a":"` + strings.Repeat("x", 300) + `"}]]]`, "\t\r\n 9007199254740993 ", `{"":{"":0}}`,
	``, ` `, `{`, `[`, `"`, `"\`, `"\"`, `"\x"`, `"\u12"`, "\"\n\"", `tru`, `nul`, `truex`, `01`, `-`, `1.`, `.1`, `1e`, `1e+`, `+1`, `--1`, `{"a"}`, `{"a":}`, `{"a":1,}`, `{,}`, `{a:1}`, `{"a":1 "b":2}`,
	`[1,]`, `[,]`, `[1 2]`, `1 2`, `{}}`, `[]]`, "\x00", "1\x00", `"a` + "\x00" + `"`, strings.Repeat("[", 20_000), strings.Repeat("[", 9_000) + strings.Repeat("]", 9_000), "\ufeff1",
}

// Whatever the text, it comes out as the standard library writes it, or is refused
// as there.
func FuzzAppend(f *testing.F) {
	for _, text := range texts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want, wrong := byStandard(text)
		got, err := canonical.Append([]byte("x"), text)
		if (err != nil) != (wrong != nil) {
			t.Fatalf("%q: %v, and by the standard library %v", text, err, wrong)
		}
		if err == nil && string(got) != "x"+string(want) {
			t.Errorf("%q is %s, by the standard library x%s", text, got, want)
		}
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(false)
		valid := strings.ToValidUTF8(string(text), "\uFFFD") // for what is invalid there is another escape, of the same meaning
		if err := e.Encode(valid); err != nil {
			t.Fatal(err)
		}
		if got := canonical.AppendString(nil, valid); string(got)+"\n" != b.String() {
			t.Errorf("%q is %s, by the standard library %s", text, got, b.String())
		}
		if got := canonical.AppendString(nil, string(text)); !json.Valid(got) {
			t.Errorf("%q is no JSON: %s", text, got)
		}
	})
}

func TestWithout(t *testing.T) {
	for text, want := range map[string]string{
		`{"new":{"a":1},"b":{"new":2},"old":null}`:       `{"b":{"new":2}}`,
		`{"z":1,"new":[1,2],"a":{"old":1},"\u006eew":0}`: `{"a":{"old":1},"z":1}`,
		`{"new":1}`:   `{}`,
		`[{"new":1}]`: `[{"new":1}]`,
	} {
		if got, err := canonical.Append(nil, []byte(text), "new", "old"); err != nil || string(got) != want {
			t.Errorf("%s is %s (%v), want %s", text, got, err, want)
		}
	}
	if _, err := canonical.Append(nil, []byte(`{"new":{"a":},"b":1}`), "new"); err == nil {
		t.Error("what is left out need not be JSON")
	}
}

func TestMembers(t *testing.T) {
	for _, text := range texts {
		var want map[string]json.RawMessage
		wrong := json.Unmarshal([]byte(text), &want)
		got := map[string]json.RawMessage{}
		err := canonical.Members([]byte(text), func(name string, value []byte) error {
			got[name] = bytes.TrimSpace(value)
			return nil
		})
		if (err != nil) != (wrong != nil || want == nil) {
			t.Errorf("%.100q: %v, and by the standard library %v", text, err, wrong)
		}
		if err == nil && !maps.EqualFunc(got, want, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
			t.Errorf("%q has %s, by the standard library %s", text, got, want)
		}
	}
	enough := errors.New("enough")
	if err := canonical.Members([]byte(`{"a":1,"b"}`), func(string, []byte) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("%v, want what the caller says", err)
	}
}

func BenchmarkAppend(b *testing.B) {
	text := []byte(`{"id":"123456789012.eu-west-1.i-1.1","body":{"title":"a finding of some length, as they are","severity":8.5,"list":["a","b","c"],"at":"2026-11-28T09:00:00Z"},"aa":{"z":1,"y":2}}`)
	for _, c := range []struct {
		name string
		f    func([]byte) ([]byte, error)
	}{{"here", func(t []byte) ([]byte, error) { return canonical.Append(nil, t) }}, {"standard", byStandard}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				if _, err := c.f(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
