package eventpattern

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
)

// matcher is one element of a field's list.
type matcher struct {
	value  func(any) bool // nil only where absent is set
	absent bool           // matches where the event has no such field: {"exists": false}
}

// limit bounds what EventBridge compares as numbers, either sign. Beyond it a
// number equals only what is written the same.
const limit = 5e9

// operators reads what stands to the right of an operator.
var operators = map[string]func(any) (matcher, error){
	"anything-but":       anythingBut,
	"cidr":               func(any) (matcher, error) { return matcher{}, errors.New("is not supported by Cordon") },
	"equals-ignore-case": ofString(stringOperators["equals-ignore-case"]),
	"exists":             exists,
	"numeric":            numeric,
	"prefix":             ofString(stringOperators["prefix"]),
	"suffix":             ofString(stringOperators["suffix"]),
	"wildcard":           ofString(wildcard),
}

// stringOperators are those that anything-but can turn round.
var stringOperators = map[string]func(any) (func(string) bool, error){
	"equals-ignore-case": func(v any) (func(string) bool, error) {
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("takes a string, not %s", text(v))
		}
		return func(e string) bool { return strings.EqualFold(e, s) }, nil
	},
	"prefix":   affix(strings.HasPrefix),
	"suffix":   affix(strings.HasSuffix),
	"wildcard": wildcard,
}

func matchers(path string, list []any) ([]matcher, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: an empty list is not allowed in a pattern", path)
	}
	all := make([]matcher, len(list))
	for n, v := range list {
		var err error
		if all[n], err = element(v); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return all, nil
}

func element(v any) (matcher, error) {
	switch v := v.(type) {
	case object:
		name, argument, err := single(v)
		if err != nil {
			return matcher{}, err
		}
		read, ok := operators[name]
		if !ok {
			return matcher{}, fmt.Errorf("the operator %q is unknown", name)
		}
		m, err := read(argument)
		if err != nil {
			return matcher{}, fmt.Errorf("%q %w", name, err)
		}
		return m, nil
	case []any:
		return matcher{}, errors.New("a list within a list is not allowed in a pattern")
	}
	return matcher{value: exactly(v)}, nil
}

// exactly takes a string, number, boolean or null.
func exactly(v any) func(any) bool {
	if n, ok := v.(json.Number); ok {
		return func(e any) bool { return sameNumber(e, n) }
	}
	return func(e any) bool { return e == v }
}

func single(o object) (name string, argument any, err error) {
	if len(o) != 1 {
		return "", nil, fmt.Errorf("an operator stands in an object of its own, this one has %d keys", len(o))
	}
	return o[0].name, o[0].value, nil
}

// sameNumber compares 8, 8.0 and 8e0 as equal. A string is never a number.
func sameNumber(v any, n json.Number) bool {
	e, ok := v.(json.Number)
	if !ok {
		return false
	}
	if e == n {
		return true
	}
	a, ok := asNumber(e)
	if !ok {
		return false
	}
	b, ok := asNumber(n)
	return ok && a == b
}

// asNumber gives a number that EventBridge compares as one.
func asNumber(n json.Number) (float64, bool) {
	f, err := n.Float64()
	return f, err == nil && math.Abs(f) <= limit
}

func exists(v any) (matcher, error) {
	switch v {
	case true:
		return matcher{value: func(any) bool { return true }}, nil
	case false:
		return matcher{absent: true}, nil
	}
	return matcher{}, fmt.Errorf("takes true or false, not %s", text(v))
}

// numeric reads [">=", 7], ["=", 5] or [">", 0, "<=", 5].
func numeric(v any) (matcher, error) {
	terms, ok := v.([]any)
	if !ok || len(terms) != 2 && len(terms) != 4 {
		return matcher{}, errors.New(`takes a list of an operator and a number, such as [">=", 7], or of two of each`)
	}
	var tests []func(float64) bool
	for i := 0; i < len(terms); i += 2 {
		operator, ok := terms[i].(string)
		if !ok {
			return matcher{}, fmt.Errorf("has %s where an operator belongs", text(terms[i]))
		}
		number, ok := terms[i+1].(json.Number)
		if !ok {
			// What a Number parameter of a template becomes through Ref.
			return matcher{}, fmt.Errorf("compares with %s, which is no number: EventBridge refuses a string here", text(terms[i+1]))
		}
		n, ok := asNumber(number)
		if !ok {
			return matcher{}, fmt.Errorf("compares with %s; EventBridge takes -5e9 to 5e9", number)
		}
		test, ok := map[string]func(float64) bool{
			"=":  func(e float64) bool { return e == n },
			">":  func(e float64) bool { return e > n },
			">=": func(e float64) bool { return e >= n },
			"<":  func(e float64) bool { return e < n },
			"<=": func(e float64) bool { return e <= n },
		}[operator]
		if !ok {
			return matcher{}, fmt.Errorf("has the unknown operator %q", operator)
		}
		tests = append(tests, test)
	}
	if len(terms) == 4 {
		low, high := terms[0].(string), terms[2].(string)
		if low[0] != '>' || high[0] != '<' {
			return matcher{}, fmt.Errorf("has the range %q, %q: the lower end comes first, with > or >=, then the upper, with < or <=", low, high)
		}
		bottom, _ := asNumber(terms[1].(json.Number))
		top, _ := asNumber(terms[3].(json.Number))
		if bottom > top || bottom == top && (low != ">=" || high != "<=") {
			return matcher{}, errors.New("has a range that no number is in")
		}
	}
	return matcher{value: func(e any) bool {
		number, ok := e.(json.Number)
		if !ok {
			return false
		}
		f, ok := asNumber(number)
		if !ok {
			return false
		}
		for _, test := range tests {
			if !test(f) {
				return false
			}
		}
		return true
	}}, nil
}

// ofString is a matcher for strings only, as the prefix of a number is not.
func ofString(read func(any) (func(string) bool, error)) func(any) (matcher, error) {
	return func(v any) (matcher, error) {
		test, err := read(v)
		if err != nil {
			return matcher{}, err
		}
		return matcher{value: onStrings(test)}, nil
	}
}

func onStrings(test func(string) bool) func(any) bool {
	return func(e any) bool {
		s, ok := e.(string)
		return ok && test(s)
	}
}

// affix reads "text" or {"equals-ignore-case": "text"}.
func affix(has func(s, affix string) bool) func(any) (func(string) bool, error) {
	return func(v any) (func(string) bool, error) {
		if o, ok := v.(object); ok {
			inner, argument, err := single(o)
			if err != nil {
				return nil, err
			}
			s, ok := argument.(string)
			if inner != "equals-ignore-case" || !ok {
				return nil, fmt.Errorf(`takes a string or {"equals-ignore-case": "string"}, not %q`, inner)
			}
			folded := strings.ToLower(s)
			return func(e string) bool { return has(strings.ToLower(e), folded) }, nil
		}
		s, ok := v.(string)
		if !ok {
			return nil, fmt.Errorf("takes a string, not %s", text(v))
		}
		return func(e string) bool { return has(e, s) }, nil
	}
}

// wildcard reads text in which * stands for any run of characters, \* for an
// asterisk and \\ for a backslash.
func wildcard(v any) (func(string) bool, error) {
	s, ok := v.(string)
	if !ok {
		return nil, fmt.Errorf("takes a string, not %s", text(v))
	}
	var parts []string // between the asterisks
	var part strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '*' && i > 0 && s[i-1] == '*' && part.Len() == 0:
			return nil, fmt.Errorf("has two asterisks in a row in %q", s)
		case s[i] == '*':
			parts = append(parts, part.String())
			part.Reset()
		case s[i] == '\\' && (i+1 == len(s) || s[i+1] != '*' && s[i+1] != '\\'):
			return nil, fmt.Errorf(`has a backslash in %q that is not followed by * or \`, s)
		case s[i] == '\\':
			i++
			part.WriteByte(s[i])
		default:
			part.WriteByte(s[i])
		}
	}
	parts = append(parts, part.String())
	return func(e string) bool {
		if len(parts) == 1 {
			return e == parts[0]
		}
		e, ok := strings.CutPrefix(e, parts[0])
		if !ok {
			return false
		}
		// The earliest place of every middle part leaves the most for the rest.
		for _, p := range parts[1 : len(parts)-1] {
			_, after, ok := strings.Cut(e, p)
			if !ok {
				return false
			}
			e = after
		}
		return strings.HasSuffix(e, parts[len(parts)-1])
	}, nil
}

// anythingBut reads a string, a number, a list of either, or an operator on
// strings over one or a list. It matches every other value that is there, of
// whatever type; an absent field it does not match.
func anythingBut(v any) (matcher, error) {
	var excluded []func(any) bool
	if o, ok := v.(object); ok {
		name, argument, err := single(o)
		if err != nil {
			return matcher{}, err
		}
		read, ok := stringOperators[name]
		if !ok {
			return matcher{}, fmt.Errorf("of %q is unknown", name)
		}
		arguments, err := several(argument)
		if err != nil {
			return matcher{}, err
		}
		for _, a := range arguments {
			if a == "" {
				return matcher{}, fmt.Errorf("of %q takes no empty string", name)
			}
			test, err := read(a)
			if err != nil {
				return matcher{}, fmt.Errorf("of %q %w", name, err)
			}
			excluded = append(excluded, onStrings(test))
		}
	} else {
		values, err := several(v)
		if err != nil {
			return matcher{}, err
		}
		texts := 0
		for _, e := range values {
			switch e.(type) {
			case string:
				texts++
			case json.Number:
			default:
				return matcher{}, fmt.Errorf("takes strings or numbers, not %s", text(e))
			}
			excluded = append(excluded, exactly(e))
		}
		if texts != 0 && texts != len(values) {
			return matcher{}, errors.New("takes strings or numbers, not both in one list")
		}
	}
	return matcher{value: func(e any) bool {
		for _, is := range excluded {
			if is(e) {
				return false
			}
		}
		return true
	}}, nil
}

// several gives the elements of a list, or the one value that is no list.
func several(v any) ([]any, error) {
	list, ok := v.([]any)
	if !ok {
		return []any{v}, nil
	}
	if len(list) == 0 {
		return nil, errors.New("takes no empty list")
	}
	return list, nil
}
