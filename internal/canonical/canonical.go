// Package canonical writes JSON in the one form in which it is signed and chained:
// UTF-8, no white space, members sorted by the bytes of their names, of those with
// one name the last, numbers as they were written, nothing escaped that JSON lets
// stand but U+2028 and U+2029. It is what encoding/json makes of a text that it
// reads into maps and writes again without HTML's escapes, in a sixth of the time:
// a journal is read and written in this form at every change.
package canonical

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Append appends the canonical form of a JSON text to b, but for the members of
// the outermost object that have one of the names.
func Append(b, text []byte, without ...string) ([]byte, error) {
	var room [32]member
	r := reader{text: text, without: without, members: room[:0]}
	r.space()
	b, err := r.value(slices.Grow(b, len(text)), 0)
	if err == nil && r.at < len(text) {
		err = r.wrong("the end")
	}
	return b, err
}

// Members calls each for the members of a JSON object, in their order: its name, and
// its value as it stands. It is for who wants few of many; a text that is no object
// is an error, as is what each returns.
func Members(text []byte, each func(name string, value []byte) error) error {
	r := reader{text: text}
	r.space()
	if !r.take('{') {
		return r.wrong("an object")
	}
	var skipped []byte
	for first := true; !r.take('}'); first = false {
		if !first && !r.take(',') {
			return r.wrong("a comma")
		}
		_, name, err := r.str(skipped[:0])
		if err != nil {
			return err
		}
		if !r.take(':') {
			return r.wrong("a colon")
		}
		from := r.at
		if skipped, err = r.value(skipped[:0], 1); err != nil {
			return err
		}
		if err := each(string(name), text[from:r.at]); err != nil {
			return err
		}
	}
	if r.at < len(text) {
		return r.wrong("the end")
	}
	return nil
}

// deepest is how deep encoding/json reads.
const deepest = 10_000

// reader writes values as it reads them.
type reader struct {
	text    []byte
	at      int // white space before it is read
	without []string
	members []member // of the objects that are not at their end
	spare   []byte
}

// member is one of an object: its name, and where it stands in what was written.
type member struct {
	name     []byte
	from, to int
}

func (r *reader) wrong(want string) error {
	return fmt.Errorf("it is no JSON: at byte %d there should be %s", r.at, want)
}

func (r *reader) space() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || r.text[r.at] == '\n' || r.text[r.at] == '\t' || r.text[r.at] == '\r') {
		r.at++
	}
}

// next is the byte that is to be read; 0, which no JSON has outside a text, at the end.
func (r *reader) next() byte {
	if r.at >= len(r.text) {
		return 0
	}
	return r.text[r.at]
}

// take reads a byte and the white space behind it, if it is this one.
func (r *reader) take(c byte) bool {
	if r.next() != c {
		return false
	}
	r.at++
	r.space()
	return true
}

func (r *reader) value(b []byte, depth int) ([]byte, error) {
	if depth > deepest {
		return b, r.wrong("nothing that is so deep")
	}
	switch c := r.next(); {
	case c == '{':
		return r.object(b, depth)
	case c == '[':
		return r.array(b, depth)
	case c == '"':
		b, _, err := r.str(b)
		return b, err
	case c == '-' || '0' <= c && c <= '9':
		return r.number(b)
	}
	for _, name := range []string{"null", "true", "false"} {
		if bytes.HasPrefix(r.text[r.at:], []byte(name)) {
			r.at += len(name)
			r.space()
			return append(b, name...), nil
		}
	}
	return b, r.wrong("a value")
}

func (r *reader) array(b []byte, depth int) ([]byte, error) {
	r.take('[')
	b = append(b, '[')
	for first := true; !r.take(']'); first = false {
		if !first {
			if !r.take(',') {
				return b, r.wrong("a comma")
			}
			b = append(b, ',')
		}
		var err error
		if b, err = r.value(b, depth+1); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

func (r *reader) object(b []byte, depth int) ([]byte, error) {
	r.take('{')
	b = append(b, '{')
	begin, mine, sorted := len(b), len(r.members), true
	for first := true; !r.take('}'); first = false {
		if !first && !r.take(',') {
			return b, r.wrong("a comma")
		}
		before := len(b)
		if len(b) > begin {
			b = append(b, ',')
		}
		m := member{from: len(b)}
		var err error
		if b, m.name, err = r.str(b); err != nil {
			return b, err
		}
		if !r.take(':') {
			return b, r.wrong("a colon")
		}
		if b, err = r.value(append(b, ':'), depth+1); err != nil {
			return b, err
		}
		if depth == 0 && slices.Contains(r.without, string(m.name)) {
			b = b[:before]
			continue
		}
		m.to = len(b)
		if n := len(r.members); n > mine && bytes.Compare(r.members[n-1].name, m.name) >= 0 {
			sorted = false
		}
		r.members = append(r.members, m)
	}
	if !sorted {
		b = r.sort(b, begin, r.members[mine:])
	}
	r.members = r.members[:mine]
	return append(b, '}'), nil
}

// sort writes an object's members once more, in their order.
func (r *reader) sort(b []byte, begin int, all []member) []byte {
	slices.SortStableFunc(all, func(a, b member) int { return bytes.Compare(a.name, b.name) })
	was := append(r.spare[:0], b[begin:]...)
	r.spare, b = was, b[:begin]
	for n, m := range all {
		if n+1 < len(all) && bytes.Equal(all[n+1].name, m.name) {
			continue // the last one counts
		}
		if len(b) > begin {
			b = append(b, ',')
		}
		b = append(b, was[m.from-begin:m.to-begin]...)
	}
	return b
}

// plain are the bytes that stand in a string as they are, and end nothing.
var plain = func() (is [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		is[c] = c != '"' && c != '\\'
	}
	return is
}()

// str reads a string. Most stand as they are.
func (r *reader) str(b []byte) (_, content []byte, err error) {
	if r.next() != '"' {
		return b, nil, r.wrong("a string")
	}
	from, asIs := r.at, true
	for r.at++; ; r.at++ {
		for r.at < len(r.text) && plain[r.text[r.at]] {
			r.at++
		}
		switch c := r.next(); {
		case c == '"':
			r.at++
			whole := r.text[from:r.at]
			r.space()
			if asIs {
				return append(b, whole...), whole[1 : len(whole)-1], nil
			}
			var s string
			if err := json.Unmarshal(whole, &s); err != nil {
				return b, nil, fmt.Errorf("it is no JSON: %w", err)
			}
			return AppendString(b, s), []byte(s), nil
		case c < ' ':
			return b, nil, r.wrong("the end of a string")
		case c == '\\':
			r.at++ // what follows, a quote too, is of the string
			asIs = false
		case c >= utf8.RuneSelf:
			asIs = false
		}
	}
}

// number reads one as it is written.
// https://www.rfc-editor.org/rfc/rfc8259#section-6
func (r *reader) number(b []byte) ([]byte, error) {
	from := r.at
	digits := func() bool {
		first := r.at
		for '0' <= r.next() && r.next() <= '9' {
			r.at++
		}
		return r.at > first
	}
	if r.next() == '-' {
		r.at++
	}
	if r.next() == '0' {
		r.at++
	} else if !digits() {
		return b, r.wrong("a digit")
	}
	if r.next() == '.' {
		if r.at++; !digits() {
			return b, r.wrong("a digit")
		}
	}
	if r.next() == 'e' || r.next() == 'E' {
		if r.at++; r.next() == '+' || r.next() == '-' {
			r.at++
		}
		if !digits() {
			return b, r.wrong("a digit")
		}
	}
	b = append(b, r.text[from:r.at]...)
	r.space()
	return b, nil
}

// AppendString appends a text as a canonical string.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	done := 0 // so much of it is written
	for i := 0; i < len(s); {
		if plain[s[i]] {
			i++
			continue
		}
		c, size := rune(s[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(s[i:])
		}
		instead := ""
		switch {
		case c == '"' || c == '\\' || c < ' ' || c == '\u2028' || c == '\u2029':
		case c == utf8.RuneError && size == 1:
			instead = "\uFFFD"
		default:
			i += size
			continue
		}
		b = append(b, s[done:i]...)
		if at := strings.IndexRune("\"\\\b\f\n\r\t", c); instead != "" {
			b = append(b, instead...)
		} else if at >= 0 {
			b = append(b, '\\', `"\bfnrt`[at])
		} else {
			b = append(b, '\\', 'u', hex[c>>12&15], hex[c>>8&15], hex[c>>4&15], hex[c&15])
		}
		i += size
		done = i
	}
	return append(append(b, s[done:]...), '"')
}
