package jsonata

import (
	"math"
	"math/big"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
)

// What the borrowed functions are asked for is what was compared with the reference.

// power is a power that all implementations agree about: what is halfway between two
// numbers, near enough for an error of 0.7 units in the last place, is refused.
func power(x, y float64) (float64, error) {
	if y != math.Trunc(y) || math.Abs(y) > 1100 || x == 0 && y < 0 {
		return 0, Unsupported("a $power that has to be rounded")
	}
	base := new(big.Rat).SetFloat64(x)
	if y < 0 {
		base.Inv(base)
	}
	n := big.NewInt(int64(math.Abs(y)))
	num, den := new(big.Int).Exp(base.Num(), n, nil), new(big.Int).Exp(base.Denom(), n, nil)
	exact := new(big.Rat).SetFrac(num, den)
	near, is := exact.Float64()
	if is {
		return near, nil
	}
	unit := math.Nextafter(math.Abs(near), math.Inf(1)) - math.Abs(near)
	away, _ := new(big.Rat).Sub(exact, new(big.Rat).SetFloat64(near)).Float64()
	if math.Abs(near) < 1e-290 || math.Abs(near) > 1e300 || math.Abs(away) > 0.25*unit {
		return 0, Unsupported("a $power that has to be rounded")
	}
	return near, nil
}

// regular is a function that searches with a regular expression: those of Go find what
// those of JavaScript find but for what is refused here.
func regular(name string, search func(e *evaluation, args []any, input any) (any, error)) func(e *evaluation, args []any, input any) (any, error) {
	return func(e *evaluation, args []any, input any) (any, error) {
		s, is := argument(args, 0).(string)
		if err := e.searchable(name, s, args); is && err != nil {
			return nil, err
		}
		return search(e, args, input)
	}
}

// halves are what may match a half of a character of JavaScript's.
var halves = regexp.MustCompile(`[^\x00-\x7f]|\.|\[\^|\\[WDSB]`)

var (
	// foreignSyntax is what only one of both languages reads as more than letters.
	foreignSyntax = regexp.MustCompile(`\\[pPQEAzaCx]|\[:|\(\?[^:]`)

	// repeatedPlace is what JavaScript does not take, once characters, in which ^ and $
	// are no places, are taken away.
	repeatedPlace = regexp.MustCompile(`(\\[bB]|[\^$])[*+?{]`)
	characters    = regexp.MustCompile(`\\[^bB]|\[(\\.|[^\]\\])*\]`)
)

func (e *evaluation) searchable(name, s string, args []any) error {
	rx, is := argument(args, 1).(*matcher)
	if !is {
		if name == "split" && argument(args, 1) == "" && strings.ContainsFunc(s, func(r rune) bool { return r > 0xffff }) {
			return Unsupported("$split between the halves of a character")
		}
		return nil
	}
	_, plain := argument(args, 2).(string)
	told := name == "match" || name == "replace" && !plain                        // where and what it found
	lines := strings.Contains(rx.pattern, ".") || strings.Contains(rx.flags, "m") // which JavaScript ends at \r, too
	folds := strings.Contains(rx.flags, "i")
	foreign := folds && strings.ContainsFunc(rx.pattern, func(r rune) bool { return r > unicode.MaxASCII })
	for _, r := range s {
		switch {
		case r > 0xffff && (told || halves.MatchString(rx.pattern)),
			r == '\v', r == '\r' && lines,
			r > unicode.MaxASCII && (unicode.IsSpace(r) || r == '\ufeff' || foreign),
			folds && (r == 'ſ' || r == '\u212a'): // for Go an s and a k
			return Unsupported("a regular expression on such a text")
		}
	}
	if foreignSyntax.MatchString(rx.pattern) || repeatedPlace.MatchString(characters.ReplaceAllString(rx.pattern, "_")) {
		return Unsupported("the regular expression " + rx.pattern)
	}
	re, mayBeEmpty := rx.compiled()
	if re == nil {
		return nil // the library says why
	}
	all := re.FindAllStringSubmatchIndex(s, -1)
	if len(all) == 0 {
		return nil
	}
	first := all[0]
	_, limited := asNumber(args[len(args)-1])
	switch {
	case name == "contains":
		return nil
	case first[0] == first[1] && first[1] < len(s) && !limited && (name != "replace" || plain):
		return &Error{Code: "D1004"} // once the next is sought
	case first[0] == first[1], first[1] < len(s) && mayBeEmpty:
		return Unsupported("a regular expression that may match nothing")
	}
	if told {
		e.steps -= len(all) * len(s) / 1024 // the library counts the characters before each
	}
	if e.steps < 0 {
		return errBeyond
	}
	for _, m := range all {
		if told && slices.Contains(m, -1) {
			return Unsupported("a group that matches nothing")
		}
	}
	return nil
}

// compiled is the expression as Go's, and whether it may match nothing.
func (m *matcher) compiled() (*regexp.Regexp, bool) {
	m.once.Do(func() {
		pattern := m.pattern
		if m.flags != "" {
			pattern = "(?" + m.flags + ")" + pattern
		}
		parsed, err := syntax.Parse(pattern, syntax.Perl)
		if err == nil {
			m.re, err = regexp.Compile(pattern)
		}
		m.empty = err != nil || empty(parsed)
	})
	return m.re, m.empty
}

// empty says whether a regular expression may match nothing.
func empty(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune) == 0
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return empty(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || empty(re.Sub[0])
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			if !empty(sub) {
				return false
			}
		}
	case syntax.OpAlternate:
		for _, sub := range re.Sub {
			if empty(sub) {
				return true
			}
		}
		return false
	}
	return true
}
