package asl

import "strings"

// Two functions of the library differ from JSONata 2.0.6: $filter keeps an array
// when one item matches, and $match says start and end where it should say index.
// Calls of them are put inside these, which no source can name.
const (
	singleton = "__one"
	matched   = "__matched"
)

// $now reads the machine's clock: $now(…) is written as $fromMillis($millis(), …).
var mended = map[string]string{"filter": singleton, "match": matched}

// mend rewrites a source so that the library evaluates it as JSONata does.
func mend(at, source string) (string, error) {
	tokens := scan(source)
	op := func(i int, text string) bool {
		return i >= 0 && i < len(tokens) && tokens[i].kind == tokenOperator && tokens[i].text == text
	}
	before, after := map[int]string{}, map[int]string{} // text to insert at a token
	drop := map[int]bool{}                              // tokens to leave out
	for i, t := range tokens {
		wrap := mended[t.text]
		if t.kind != tokenVariable || wrap == "" && t.text != "now" {
			continue
		}
		if !op(i+1, "(") {
			return "", unsupported(at, "$%s passed on as a function", t.text)
		}
		end, partial := arguments(tokens, i+1)
		switch chained := op(i-1, "~>"); {
		case t.text == "now" && !chained && !partial:
			before[i] += "$fromMillis($millis()"
			if end > i+2 {
				before[i] += ","
			}
			drop[i], drop[i+1] = true, true
		case partial || t.text == "now":
			return "", unsupported(at, "$%s applied in part", t.text)
		case chained && (op(end+1, "[") || op(end+1, ".")):
			return "", unsupported(at, "a step after a chained $%s", t.text)
		case chained:
			after[end] += " ~> $" + wrap
		default:
			before[i] += "$" + wrap + "("
			after[end] += ")"
		}
	}
	if len(before)+len(after) == 0 {
		return source, nil
	}
	var b strings.Builder
	done := 0
	for i, t := range tokens {
		b.WriteString(source[done:t.begin])
		b.WriteString(before[i])
		if !drop[i] {
			b.WriteString(source[t.begin:t.end])
		}
		b.WriteString(after[i])
		done = t.end
	}
	b.WriteString(source[done:])
	return b.String(), nil
}

// arguments finds the token that closes the call opened at a token, and says
// whether one of the arguments is left open with a question mark.
func arguments(tokens []token, open int) (end int, partial bool) {
	depth := 0
	for i := open; i < len(tokens); i++ {
		if tokens[i].kind != tokenOperator {
			continue
		}
		switch tokens[i].text {
		case "(", "[", "{":
			depth++
		case ")", "]", "}":
			if depth--; depth == 0 {
				return i, partial
			}
		case "?":
			before, after := tokens[i-1].text, ""
			if i+1 < len(tokens) {
				after = tokens[i+1].text
			}
			if depth == 1 && (before == "(" || before == ",") && (after == "," || after == ")") {
				partial = true
			}
		}
	}
	return len(tokens) - 1, partial
}

// single is what a sequence of JSONata comes to: nothing, its one item, or itself.
func single(v any) any {
	items, ok := v.([]any)
	switch {
	case !ok:
		return v
	case len(items) == 0:
		return nil
	case len(items) == 1:
		return items[0]
	}
	return items
}

// asMatches gives matches the shape of https://docs.jsonata.org/2.0.0/string-functions#match
func asMatches(v any) any {
	switch v := v.(type) {
	case []any:
		all := make([]any, len(v))
		for i, one := range v {
			all[i] = asMatches(one)
		}
		return all
	case map[string]any:
		return map[string]any{"match": v["match"], "index": v["start"], "groups": v["groups"]}
	}
	return v
}
