package asl

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// reading is what an expression uses, read off its source.
type reading struct {
	variables []string // without the dollar, sorted, without states and what it binds itself
	states    []string // of $states.NAME: the names, sorted
	calls     []string // names of functions that it calls or passes on, sorted
	all       []string // both: a variable of the name of a function hides it
	newer     string   // an operator that JSONata 2.0.6 does not have
}

type tokenKind int

const (
	tokenVariable tokenKind = iota
	tokenName
	tokenOperator
	tokenLiteral
)

type token struct {
	kind       tokenKind
	text       string
	begin, end int // in the source
}

// scan reads an expression's tokens. It need not parse: a compiler of JSONata
// has accepted the source, or will refuse it.
// https://docs.jsonata.org/2.0.0/overview
func scan(source string) []token {
	var tokens []token
	add := func(kind tokenKind, text string, begin, end int) {
		tokens = append(tokens, token{kind, text, begin, end})
	}
	// A slash begins a pattern where an operand is due, else it divides.
	operandDue := func() bool {
		if len(tokens) == 0 {
			return true
		}
		last := tokens[len(tokens)-1]
		if last.kind == tokenOperator {
			return last.text != ")" && last.text != "]" && last.text != "}"
		}
		return last.kind == tokenName && slices.Contains([]string{"and", "or", "in"}, last.text)
	}
	for i := 0; i < len(source); {
		c := source[i]
		rest := source[i:]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
		case strings.HasPrefix(rest, "/*"):
			end := strings.Index(rest[2:], "*/")
			if end < 0 {
				return tokens
			}
			i += 2 + end + 2
		case c == '"' || c == '\'' || c == '`':
			end := closing(rest, c, c != '`')
			kind := tokenLiteral
			if c == '`' {
				kind = tokenName
			}
			add(kind, strings.Trim(rest[:end], string(c)), i, i+end)
			i += end
		case c == '/' && operandDue():
			end := pattern(rest)
			add(tokenLiteral, rest[:end], i, i+end)
			i += end
		case c == '$':
			n := wordLength(rest[1:])
			if n == 0 && strings.HasPrefix(rest, "$$") {
				n = 1
			}
			add(tokenVariable, rest[1:1+n], i, i+1+n)
			i += 1 + n
		case c >= '0' && c <= '9':
			n := 1
			for n < len(rest) && (rest[n] >= '0' && rest[n] <= '9' || rest[n] == 'e' || rest[n] == 'E' ||
				rest[n] == '.' && n+1 < len(rest) && rest[n+1] >= '0' && rest[n+1] <= '9' ||
				(rest[n] == '+' || rest[n] == '-') && (rest[n-1] == 'e' || rest[n-1] == 'E')) {
				n++
			}
			add(tokenLiteral, rest[:n], i, i+n)
			i += n
		default:
			if n := wordLength(rest); n > 0 {
				add(tokenName, rest[:n], i, i+n)
				i += n
				continue
			}
			op := string(c)
			for _, two := range []string{":=", "!=", ">=", "<=", "**", "..", "~>", "??", "?:"} {
				if strings.HasPrefix(rest, two) {
					op = two
				}
			}
			add(tokenOperator, op, i, i+len(op))
			i += len(op)
		}
	}
	return tokens
}

// closing is the length of a quoted text that begins s.
func closing(s string, quote byte, escapes bool) int {
	for i := 1; i < len(s); i++ {
		if escapes && s[i] == '\\' {
			i++
		} else if s[i] == quote {
			return i + 1
		}
	}
	return len(s)
}

// pattern is the length of a regular expression that begins s, its flags included.
func pattern(s string) int {
	depth := 0
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\\':
			i++
		case c == '(' || c == '[' || c == '{':
			depth++
		case c == ')' || c == ']' || c == '}':
			depth--
		case c == '/' && depth == 0:
			i++
			for i < len(s) && (s[i] == 'i' || s[i] == 'm') {
				i++
			}
			return i
		}
	}
	return len(s)
}

func wordLength(s string) int {
	for i, r := range s {
		if r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != utf8.RuneError && !unicode.IsMark(r) {
			return i
		}
	}
	return len(s)
}

// read finds what an expression uses.
func read(source string) reading {
	tokens := scan(source)
	var r reading
	bound := map[string]bool{}
	at := func(i int) token {
		if i < 0 || i >= len(tokens) {
			return token{kind: tokenOperator}
		}
		return tokens[i]
	}
	op := func(i int, text string) bool { return at(i).kind == tokenOperator && at(i).text == text }
	for i, t := range tokens {
		switch {
		case t.kind == tokenOperator && (t.text == "??" || t.text == "?:"):
			r.newer = t.text
		case t.kind == tokenVariable && (op(i+1, ":=") || op(i-1, "@") || op(i-1, "#")):
			bound[t.text] = true
		case t.kind == tokenName && (t.text == "function" || t.text == "λ") && op(i+1, "("):
			for j := i + 2; j < len(tokens) && !op(j, ")"); j++ {
				if at(j).kind == tokenVariable {
					bound[at(j).text] = true
				}
			}
		}
	}
	for i, t := range tokens {
		if t.kind != tokenVariable || t.text == "" || t.text == "$" || bound[t.text] {
			continue
		}
		switch {
		case t.text == "states":
			if op(i+1, ".") && at(i+2).kind == tokenName {
				r.states = append(r.states, at(i+2).text)
			} else {
				r.states = append(r.states, "")
			}
		case known[t.text], op(i+1, "("):
			r.calls = append(r.calls, t.text)
		default:
			r.variables = append(r.variables, t.text)
		}
	}
	r.all = append(append(r.all, r.variables...), r.calls...)
	for _, list := range []*[]string{&r.variables, &r.states, &r.calls} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	return r
}

// known are the functions of JSONata 2.0.6, https://docs.jsonata.org/2.0.0/string-functions
// and on, without $eval, which Step Functions has taken out, and with those that it adds,
// https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html
var known = set(`
	string length substring substringBefore substringAfter uppercase lowercase trim pad contains split join match replace
	base64encode base64decode encodeUrlComponent encodeUrl decodeUrlComponent decodeUrl
	number abs floor ceil round power sqrt random formatNumber formatBase formatInteger parseInteger
	sum max min average boolean not exists count append sort reverse shuffle distinct zip
	keys lookup spread merge sift each error assert type now millis fromMillis toMillis
	map filter single reduce eval partition range hash uuid parse`)
