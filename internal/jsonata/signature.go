package jsonata

import (
	"regexp"
	"slices"
	"strings"
)

// signatures are those of the functions of JSONata 2.0.6, as its source declares
// them, and how many arguments each takes when a function such as $map calls it.
// https://github.com/jsonata-js/jsonata/blob/v2.0.6/src/jsonata.js
var signatures = map[string]struct {
	text  string
	arity int
}{
	"sum": {"a<n>", 1}, "count": {"a", 1}, "max": {"a<n>", 1}, "min": {"a<n>", 1}, "average": {"a<n>", 1},
	"string": {"x-b?", 1}, "substring": {"s-nn?", 3}, "substringBefore": {"s-s", 2}, "substringAfter": {"s-s", 2},
	"lowercase": {"s-", 1}, "uppercase": {"s-", 1}, "length": {"s-", 1}, "trim": {"s-", 1}, "pad": {"s-ns?", 3},
	"match": {"s-f<s:o>n?", 3}, "contains": {"s-(sf)", 2}, "replace": {"s-(sf)(sf)n?", 4}, "split": {"s-(sf)n?", 3}, "join": {"a<s>s?", 2},
	"formatNumber": {"n-so?", 3}, "formatBase": {"n-n?", 2}, "formatInteger": {"n-s", 2}, "parseInteger": {"s-s", 2},
	"number": {"(nsb)-", 1}, "floor": {"n-", 1}, "ceil": {"n-", 1}, "round": {"n-n?", 2}, "abs": {"n-", 1}, "sqrt": {"n-", 1}, "power": {"n-n", 2},
	"boolean": {"x-", 1}, "not": {"x-", 1}, "map": {"af", 2}, "filter": {"af", 2}, "single": {"af?", 2}, "reduce": {"afj?", 3}, "sift": {"o-f?", 2},
	"keys": {"x-", 1}, "lookup": {"x-s", 2}, "append": {"xx", 2}, "exists": {"x", 1}, "spread": {"x-", 1}, "merge": {"a<o>", 1}, "zip": {"a+", 0},
	"reverse": {"a", 1}, "each": {"o-f", 2}, "error": {"s?", 1}, "assert": {"bs?", 2}, "type": {"x", 1}, "sort": {"af?", 2}, "shuffle": {"a", 1},
	"distinct": {"x", 1}, "base64encode": {"s-", 1}, "base64decode": {"s-", 1}, "encodeUrlComponent": {"s-", 1}, "encodeUrl": {"s-", 1},
	"decodeUrlComponent": {"s-", 1}, "decodeUrl": {"s-", 1}, "toMillis": {"s-s?", 2}, "fromMillis": {"n-s?s?", 3}, "clone": {"(oa)-", 1},
	"now": {"s?s?", 2}, "millis": {"", 0},
}

// parameter is one of a signature.
type parameter struct {
	pattern string // of the letters of arguments
	kind    byte   // 0 for a choice
	of      string // what an array must hold
	context *regexp.Regexp
}

// signature checks arguments as https://github.com/jsonata-js/jsonata/blob/v2.0.6/src/signature.js does.
type signature struct {
	parameters []parameter
	whole      *regexp.Regexp
}

func newSignature(text string) *signature {
	s := &signature{}
	for i := 0; i < len(text); i++ {
		last := len(s.parameters) - 1
		switch c := text[i]; c {
		case '-':
			s.parameters[last].context = regexp.MustCompile(s.parameters[last].pattern)
			s.parameters[last].pattern += "?"
		case '?', '+':
			s.parameters[last].pattern += string(c)
		case '(':
			end := i + strings.IndexByte(text[i:], ')')
			s.parameters = append(s.parameters, parameter{pattern: "[" + text[i+1:end] + "m]"})
			i = end
		case '<':
			end := i + strings.IndexByte(text[i:], '>')
			s.parameters[last].of = text[i+1 : end]
			i = end
		default:
			pattern := map[byte]string{'a': "[asnblfom]", 'x': "[asnblfom]", 'j': "[asnblom]", 'f': "f"}[c]
			if pattern == "" {
				pattern = "[" + string(c) + "m]"
			}
			s.parameters = append(s.parameters, parameter{pattern: pattern, kind: c})
		}
	}
	s.whole = regexp.MustCompile("^" + s.groups(len(s.parameters)) + "$")
	return s
}

func (s *signature) groups(n int) string {
	var b strings.Builder
	for _, p := range s.parameters[:n] {
		b.WriteString("(" + p.pattern + ")")
	}
	return b.String()
}

// arguments are those to call the function with, the context in the place of one
// that is left out, and a value that is no array in one where there must be one.
func (s *signature) arguments(args []any, context any) ([]any, error) {
	letters := make([]byte, len(args))
	for i, arg := range args {
		letters[i] = letter(arg)
	}
	found := s.whole.FindSubmatchIndex(letters)
	if found == nil {
		return nil, s.mismatch(letters)
	}
	checked := make([]any, 0, len(s.parameters))
	next := 0
	for i, p := range s.parameters {
		matched := ""
		if found[2*i+2] >= 0 {
			matched = string(letters[found[2*i+2]:found[2*i+3]])
		}
		if matched == "" {
			switch {
			case p.context == nil:
				checked = append(checked, argument(args, next))
				next++
			case p.context.MatchString(string(letter(context))):
				checked = append(checked, context)
			default:
				return nil, &Error{Code: "T0411", Value: context, Index: next + 1}
			}
			continue
		}
		for _, one := range []byte(matched) {
			arg := argument(args, next)
			next++
			if arg == nil && p.kind == 'a' && one != 'm' {
				return nil, Unsupported("such arguments for a signature that leaves others out")
			}
			if p.kind == 'a' && arg != nil {
				items, is := list(arg)
				if p.of != "" && (!is && matched != p.of || is && slices.ContainsFunc(items, func(v any) bool { return letter(v) != p.of[0] })) {
					return nil, &Error{Code: "T0412", Value: arg, Index: next, Type: map[string]string{"n": "numbers", "s": "strings", "o": "objects", "a": "arrays", "b": "booleans", "f": "functions"}[p.of]}
				}
				if !is {
					arg = []any{arg}
				}
			}
			checked = append(checked, arg)
		}
	}
	return checked, nil
}

// mismatch names the first argument that does not fit.
func (s *signature) mismatch(letters []byte) error {
	good := 0
	for n := 1; n <= len(s.parameters); n++ {
		at := regexp.MustCompile("^" + s.groups(n)).FindIndex(letters)
		if at == nil {
			break
		}
		good = at[1]
	}
	return &Error{Code: "T0410", Index: good + 1}
}

// letter is what signatures have for a value: m for none at all.
func letter(v any) byte {
	if _, is := list(v); is {
		return 'a'
	}
	if _, is := asNumber(v); is {
		return 'n'
	}
	switch v.(type) {
	case nil:
		return 'm'
	case null:
		return 'l'
	case string:
		return 's'
	case bool:
		return 'b'
	case *Object:
		return 'o'
	}
	return 'f'
}
