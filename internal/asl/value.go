package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/recolabs/gnata"
)

// value is a JSON text and, once somebody has asked for it, what it means to
// JSONata. It never changes; an execution runs on one goroutine at a time.
type value struct {
	raw     json.RawMessage
	decoded any
	ready   bool
	lazy    func() (any, error) // makes decoded, where there is no text
}

func newValue(raw json.RawMessage) *value { return &value{raw: raw} }

func (v *value) data() (any, error) {
	if !v.ready {
		decode := v.lazy
		if decode == nil {
			decode = func() (any, error) { return decodeJSON(v.raw) }
		}
		d, err := decode()
		if err != nil {
			return nil, err
		}
		v.decoded, v.ready = d, true
	}
	return v.decoded, nil
}

// decodeJSON reads a JSON text as JavaScript does: every number is a float64, so
// that 1.50 is 1.5 as a text too. Objects keep the order of their keys.
func decodeJSON(raw json.RawMessage) (any, error) {
	v, err := gnata.DecodeJSON(raw)
	if err != nil {
		return nil, err
	}
	return floats(v)
}

func floats(v any) (any, error) {
	switch v := v.(type) {
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil, errNotJSON{"the number " + v.String()}
		}
		return f, nil
	case []any:
		for i, item := range v {
			f, err := floats(item)
			if err != nil {
				return nil, err
			}
			v[i] = f
		}
	case interface {
		ordered
		Set(key string, v any)
	}:
		for _, key := range v.Keys() {
			item, _ := v.Get(key)
			f, err := floats(item)
			if err != nil {
				return nil, err
			}
			v.Set(key, f)
		}
	}
	return v, nil
}

// compact is raw without white space, or an error when it is not one JSON value.
func compact(raw json.RawMessage) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// ordered is an object of JSONata, keys in order.
type ordered interface {
	Keys() []string
	Get(key string) (any, bool)
}

// errNotJSON is a value that JSON cannot hold: a function, or a number that is none.
type errNotJSON struct{ what string }

func (e errNotJSON) Error() string { return e.what + " cannot be written as JSON" }

// appendJSON writes what JSONata made of it. Undefined members of objects and
// arrays are left out, as JSON.stringify does with a sequence of JSONata.
func appendJSON(b []byte, v any) ([]byte, error) {
	if gnata.IsNull(v) {
		return append(b, "null"...), nil
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case string:
		return appendString(b, v), nil
	case float64:
		return appendNumber(b, v)
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case json.Number:
		f, err := v.Float64()
		if err != nil {
			return nil, errNotJSON{"the number " + v.String()}
		}
		return appendNumber(b, f)
	case []any:
		return appendArray(b, v)
	case map[string]any:
		return appendObject(b, sorted(v))
	case ordered:
		return appendObject(b, v)
	case json.Marshaler:
		return nil, errNotJSON{fmt.Sprintf("a %T", v)}
	}
	if n := gnata.NormalizeValue(v); !sameType(n, v) {
		return appendJSON(b, n)
	}
	return nil, errNotJSON{"a function"}
}

func sameType(a, b any) bool { return fmt.Sprintf("%T", a) == fmt.Sprintf("%T", b) }

func appendArray(b []byte, items []any) ([]byte, error) {
	b = append(b, '[')
	first := true
	for _, item := range items {
		if item == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		var err error
		if b, err = appendJSON(b, item); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}

func appendObject(b []byte, o ordered) ([]byte, error) {
	b = append(b, '{')
	first := true
	for _, key := range o.Keys() {
		item, _ := o.Get(key)
		if item == nil {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(appendString(b, key), ':')
		var err error
		if b, err = appendJSON(b, item); err != nil {
			return nil, err
		}
	}
	return append(b, '}'), nil
}

// appendNumber writes a number as JavaScript does, which JSONata is defined by:
// 1 and not 1.0, and an exponent only from 1e21 on and below 1e-6.
// https://tc39.es/ecma262/#sec-numeric-types-number-tostring
func appendNumber(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, errNotJSON{"the number " + strconv.FormatFloat(f, 'g', -1, 64)}
	}
	if f == 0 {
		return append(b, '0'), nil
	}
	if a := math.Abs(f); a >= 1e21 || a < 1e-6 {
		s := strconv.AppendFloat(nil, f, 'e', -1, 64)
		if i := bytes.IndexByte(s, 'e'); len(s) > i+2 && s[i+2] == '0' {
			s = append(s[:i+2], s[i+3:]...) // e-07 is e-7
		}
		return append(b, s...), nil
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64), nil
}

// appendString writes a string as JSON, escaping no more than JSON asks for.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	for i := 0; i < len(s); {
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
		case c < 0x20:
			b = fmt.Appendf(b, `\u%04x`, c)
		case c < utf8.RuneSelf:
			b = append(b, c)
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
