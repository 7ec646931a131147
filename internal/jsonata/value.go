package jsonata

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Values of JSONata are nil for undefined, Null, bool, string, float64, arrays,
// *Object and functions. An integer of JSON that is no float64 stays a json.Number.
type null struct{}

// Null is the null of JSON.
var Null any = null{}

// Object is an object, its keys in the order of their coming.
type Object struct {
	keys   []string
	values map[string]any
	mixed  bool // JavaScript, in which keys that are numbers come first, has another order
}

const orderUnknown = Unsupported("the order of keys that are numbers")

func newObject() *Object { return &Object{values: map[string]any{}} }

func (o *Object) set(key string, v any) {
	if _, there := o.values[key]; !there {
		if n, is := arrayIndex(key); is && len(o.keys) > 0 {
			before, isToo := arrayIndex(o.keys[len(o.keys)-1])
			o.mixed = o.mixed || !isToo || n < before
		}
		o.keys = append(o.keys, key)
	}
	o.values[key] = v
}

// arrayIndex is a key that JavaScript orders as a number.
// https://tc39.es/ecma262/#sec-ordinaryownpropertykeys
func arrayIndex(key string) (uint64, bool) {
	if key == "" || key[0] < '0' || key[0] > '9' || key[0] == '0' && key != "0" {
		return 0, false
	}
	n, err := strconv.ParseUint(key, 10, 32)
	return n, err == nil && n < math.MaxUint32
}

func (o *Object) remove(key string) {
	if _, there := o.values[key]; there {
		delete(o.values, key)
		o.keys = slices.DeleteFunc(o.keys, func(k string) bool { return k == key })
	}
}

// NewObject makes an object of keys and their values, in that order.
func NewObject(keys []string, values ...any) *Object {
	o := newObject()
	for i, key := range keys {
		o.set(key, values[i])
	}
	return o
}

// array is an array with what JSONata notes on it. Arrays of data, and those that
// most functions make, are []any: nothing is noted on them.
type array struct {
	items    []any
	sequence bool // one item stands for itself, none for nothing
	keep     bool // one item stays in it
	cons     bool // is not flattened into the sequence around it
}

func sequence(items ...any) *array { return &array{items: items, sequence: true} }

// list is what is in an array.
func list(v any) (items []any, is bool) {
	switch v := v.(type) {
	case []any:
		return v, true
	case *array:
		return v.items, true
	}
	return nil, false
}

// asNumber is the value of a number.
func asNumber(v any) (f float64, is bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case json.Number:
		f, err := v.Float64()
		return f, err == nil
	}
	return 0, false
}

// large says whether a value is a whole number that no double holds. AWS keeps its
// digits (https://github.com/floci-io/floci/pull/2676); how it reckons with them nobody
// has measured.
func large(v any) bool {
	_, is := v.(json.Number)
	return is
}

const errLarge = Unsupported("to reckon with whole numbers beyond 2^53")

// outOfRange is the error of a number without end, whose words are not known: the
// reference puts null there.
func outOfRange() error { return &Error{Code: "D1001", unsure: true} }

// finite says whether a value is a number that can be counted with.
func finite(v any) (f float64, is bool, err error) {
	f, is = asNumber(v)
	switch {
	case large(v):
		return 0, false, errLarge
	case !is || math.IsNaN(f):
		return 0, false, nil
	case math.IsInf(f, 0):
		return 0, false, outOfRange()
	}
	return f, true, nil
}

// equal compares as = does.
func (e *evaluation) equal(a, b any) bool {
	if x, is := asNumber(a); is {
		y, is := asNumber(b)
		e.inexact = e.inexact || is && x == y && a != b && (large(a) || large(b)) // alike as doubles
		return is && x == y
	}
	if x, is := list(a); is {
		y, is := list(b)
		return is && e.enter(len(x)) && slices.EqualFunc(x, y, e.equal)
	}
	switch x := a.(type) {
	case *Object:
		y, is := b.(*Object)
		if !is || len(x.keys) != len(y.keys) || !e.enter(len(x.keys)) {
			return false
		}
		for key, v := range x.values {
			w, there := y.values[key]
			if !there || !e.equal(v, w) {
				return false
			}
		}
		return true
	case nil, null, bool, string:
		return a == b
	}
	return false
}

// same compares as the operator in does: arrays and objects are equal to nothing
// but themselves.
func (e *evaluation) same(a, b any) bool {
	switch a.(type) {
	case []any, *array:
		return false
	case *Object:
		return a == b
	}
	return e.equal(a, b)
}

// Decode reads a JSON text.
func Decode(raw json.RawMessage) (any, error) {
	if !json.Valid(raw) {
		return nil, errors.New("not JSON")
	}
	d := decoder{raw: raw}
	v := d.value()
	return v, d.err
}

// decoder reads a text that is known to be JSON.
type decoder struct {
	raw []byte
	at  int
	err error // of a number that no float64 holds
}

func (d *decoder) peek() byte {
	for d.raw[d.at] <= ' ' {
		d.at++
	}
	return d.raw[d.at]
}

func (d *decoder) value() any {
	switch d.peek() {
	case '{':
		o := newObject()
		for d.at++; d.peek() != '}'; {
			if d.raw[d.at] == ',' {
				d.at++
				d.peek()
			}
			key := d.text()
			d.peek()
			d.at++ // the colon
			o.set(key, d.value())
		}
		d.at++
		return o
	case '[':
		items := []any{}
		for d.at++; d.peek() != ']'; {
			if d.raw[d.at] == ',' {
				d.at++
			}
			items = append(items, d.value())
		}
		d.at++
		return items
	case '"':
		return d.text()
	case 't':
		d.at += 4
		return true
	case 'f':
		d.at += 5
		return false
	case 'n':
		d.at += 4
		return Null
	}
	begin := d.at
	for d.at < len(d.raw) && strings.IndexByte("+-.0123456789eE", d.raw[d.at]) >= 0 {
		d.at++
	}
	digits := string(d.raw[begin:d.at])
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		d.err = err
	}
	if math.Abs(f) >= 1<<53 {
		if _, err := strconv.ParseInt(digits, 10, 64); err == nil {
			return json.Number(digits)
		}
	}
	return f
}

func (d *decoder) text() string {
	begin := d.at
	plain := true
	for d.at++; d.raw[d.at] != '"'; d.at++ {
		if c := d.raw[d.at]; c == '\\' {
			plain = false
			d.at++
		} else if c >= utf8.RuneSelf {
			plain = false
		}
	}
	d.at++
	if plain {
		return string(d.raw[begin+1 : d.at-1])
	}
	var s string
	if err := json.Unmarshal(d.raw[begin:d.at], &s); err != nil {
		d.err = err
	}
	return s
}

// HalfCharacter says whether a JSON text escapes one half of a pair of UTF-16 alone,
// which is no character: Go has none such in a string, and JavaScript has.
func HalfCharacter(raw []byte) bool {
	for rest := raw; ; {
		at := bytes.IndexByte(rest, '\\')
		if at < 0 {
			return false
		}
		var units []uint16
		for rest = rest[at:]; len(rest) >= 6 && rest[0] == '\\' && rest[1] == 'u'; rest = rest[6:] {
			unit, err := strconv.ParseUint(string(rest[2:6]), 16, 16)
			if err != nil {
				return false // no JSON
			}
			units = append(units, uint16(unit))
		}
		if !paired(units) {
			return true
		}
		if units == nil {
			rest = rest[min(2, len(rest)):]
		}
	}
}

// paired says whether each half of a character is beside the other.
func paired(units []uint16) bool {
	for i := 0; i < len(units); i++ {
		if !utf16.IsSurrogate(rune(units[i])) {
			continue
		}
		if i++; i == len(units) || utf16.DecodeRune(rune(units[i-1]), rune(units[i])) == utf8.RuneError {
			return false
		}
	}
	return true
}

// Encode appends a value as JSON. Undefined members are left out.
func Encode(b []byte, v any) ([]byte, error) { return encode(b, v, false) }

// encode writes for people, as $string does, or as it is: for people fractions have 15
// digits at most, and a function is "".
func encode(b []byte, v any, people bool) ([]byte, error) {
	if len(b) > 2*maxMemory {
		return nil, Unsupported("a value of such a size") // one that holds another many times takes little memory
	}
	if items, is := list(v); is {
		b = append(b, '[')
		for _, item := range items {
			if item == nil {
				return nil, Unsupported("an array with nothing in a place")
			}
			if b[len(b)-1] != '[' {
				b = append(b, ',')
			}
			var err error
			if b, err = encode(b, item, people); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	}
	switch v := v.(type) {
	case nil, null:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return AppendString(b, v), nil
	case json.Number:
		return append(b, v...), nil
	case float64:
		if people {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, outOfRange()
			}
			short, _ := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 15, 64), 64)
			if short != v && whole(v) {
				return nil, Unsupported("a whole number of more than 15 digits within another value")
			}
			v = short
		}
		return appendNumber(b, v), nil
	case *Object:
		if people && v.mixed {
			return nil, orderUnknown
		}
		b = append(b, '{')
		for _, key := range v.keys {
			item := v.values[key]
			if item == nil {
				continue
			}
			if b[len(b)-1] != '{' {
				b = append(b, ',')
			}
			b = append(AppendString(b, key), ':')
			var err error
			if b, err = encode(b, item, people); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	if people {
		return append(b, `""`...), nil
	}
	return nil, errors.New("a function cannot be written as JSON")
}

// whole says whether a number is one that AWS writes in all its digits as a text, where
// the reference keeps 15 of them: https://github.com/floci-io/floci/pull/2683
func whole(f float64) bool { return f == math.Trunc(f) && math.Abs(f) < 1e21 }

// appendNumber writes a number as JavaScript does, which JSONata is defined by:
// 1 and not 1.0, and an exponent only from 1e21 on and below 1e-6.
// https://tc39.es/ecma262/#sec-numeric-types-number-tostring
// What JSON has no number for, AWS writes as a text: https://github.com/floci-io/floci/issues/2737
func appendNumber(b []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	case f == 0:
		return append(b, '0')
	}
	if a := math.Abs(f); a >= 1e21 || a < 1e-6 {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		return append(b, strings.Replace(s, "e-0", "e-", 1)...) // e-07 is e-7
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// AppendString writes a string as JSON, escaping no more than JSON asks for.
func AppendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	for i := 0; i < len(s); {
		plain := i
		for i < len(s) && s[i] >= 0x20 && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\' {
			i++
		}
		b = append(b, s[plain:i]...)
		if i == len(s) {
			break
		}
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c == '\n':
			b = append(b, '\\', 'n')
		case c == '\r':
			b = append(b, '\\', 'r')
		case c == '\t':
			b = append(b, '\\', 't')
		case c == '\b':
			b = append(b, '\\', 'b')
		case c == '\f':
			b = append(b, '\\', 'f')
		case c < 0x20:
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r) // what is no rune becomes U+FFFD
			i += size
			continue
		}
		i++
	}
	return append(b, '"')
}

// less orders strings as JavaScript does, by their UTF-16 units.
func less(a, b string) bool {
	for a != "" && b != "" {
		x, n := utf8.DecodeRuneInString(a)
		y, m := utf8.DecodeRuneInString(b)
		if x != y {
			return unit(x) < unit(y)
		}
		a, b = a[n:], b[m:]
	}
	return len(a) < len(b)
}

func unit(r rune) rune {
	if high, _ := utf16.EncodeRune(r); high != utf8.RuneError {
		return high
	}
	return r
}
