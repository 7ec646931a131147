package jsonata

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Functions on texts, which are counted in characters and not in UTF-16, as the
// reference does.

var spaces = regexp.MustCompile(`[ \t\n\r]+`)

func trim(args []any) (any, error) {
	text, _ := args[0].(string)
	return strings.Trim(spaces.ReplaceAllString(text, " "), " "), nil
}

// substring counts from the end where start is negative.
func substring(args []any) (any, error) {
	text, _ := args[0].(string)
	start, begins := asNumber(argument(args, 1))
	length, ends := asNumber(argument(args, 2))
	chars := []rune(text)
	count := float64(len(chars))
	switch {
	case ends && (length <= 0 || !begins):
		return "", nil
	case !begins:
		return text, nil
	case count+start < 0:
		start = 0
	}
	end := count
	if ends {
		if end = start + length; start < 0 {
			end += count
		}
	}
	// place is where JavaScript's slice cuts.
	place := func(at float64) int {
		if at = math.Trunc(at); at < 0 {
			at = max(0, at+count)
		}
		return int(min(at, count))
	}
	from, to := place(start), place(end)
	return string(chars[from:max(from, to)]), nil
}

// pad fills a text up to a width, before it where that is negative.
func pad(args []any) (any, error) {
	text, _ := args[0].(string)
	width, given := asNumber(argument(args, 1))
	fill, _ := argument(args, 2).(string)
	if fill == "" {
		fill = " "
	}
	missing := math.Abs(width) - float64(utf8.RuneCountInString(text))
	switch {
	case !given || missing <= 0:
		return text, nil
	case missing != math.Trunc(missing), missing > maxMemory:
		return nil, Unsupported("$pad to a width such as that")
	}
	chars := []rune(fill)
	padding := strings.Repeat(fill, int(missing)/len(chars)) + string(chars[:int(missing)%len(chars)])
	if width > 0 {
		return text + padding, nil
	}
	return padding + text, nil
}

// cased is a change of case that JavaScript makes of each letter what Go makes of it, but
// for what is refused.
func cased(change func(string) string, differs func(rune) bool) func(args []any) (any, error) {
	return func(args []any) (any, error) {
		text, _ := args[0].(string)
		if i := strings.IndexFunc(text, differs); i >= 0 {
			return nil, Unsupported("the case of " + text[i:])
		}
		return change(text), nil
	}
}

// https://www.unicode.org/Public/UCD/latest/ucd/SpecialCasing.txt: letters that become
// several, and the sigma, which is another at the end of a word.
var (
	uppercase = cased(strings.ToUpper, func(r rune) bool {
		return r > unicode.MaxASCII && unicode.IsLower(r) && unicode.ToUpper(r) == r || r >= 0x1f80 && r <= 0x1fff
	})
	lowercase = cased(strings.ToLower, func(r rune) bool { return slices.Contains([]rune{'İ', 'Σ'}, r) })
)
