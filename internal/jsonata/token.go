package jsonata

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// token is a word of an expression. What kind of symbol it is for the parser is in
// id: an operator, "(name)", "(literal)", "(regex)" or "(end)".
type token struct {
	id    string
	kind  kind
	text  string // of an operator, a name, a variable or a string
	value any    // of a number, true, false, null or a regular expression
}

// powers are the binding powers of the operators.
var powers = map[string]int{
	".": 75, "[": 80, "{": 70, "(": 80, "@": 80, "#": 80, "?": 20, "+": 50, "-": 50, "*": 60, "/": 60, "%": 60,
	"=": 40, "<": 40, ">": 40, "^": 40, ":=": 10, "!=": 40, "<=": 40, ">=": 40, "~>": 40, "and": 30, "or": 25, "in": 40, "&": 50,
}

const (
	space = " \t\n\r\v"
	stops = space + `.[]{}(),@#;:?+-*/%|=<>^&!~` // what ends a name
)

type lexer struct {
	source string
	at     int
}

// next reads a token. A slash divides where an infix operator may stand, else it
// begins a regular expression.
func (l *lexer) next(infix bool) (token, error) {
	for {
		rest := strings.TrimLeft(l.source[l.at:], space)
		l.at = len(l.source) - len(rest)
		if !strings.HasPrefix(rest, "/*") {
			break
		}
		end := strings.Index(rest[2:], "*/")
		if end < 0 {
			return token{}, &Error{Code: "S0106"}
		}
		l.at += end + 4
	}
	rest := l.source[l.at:]
	if rest == "" {
		return token{id: "(end)", kind: operator, text: "(end)"}, nil
	}
	if !infix && rest[0] == '/' {
		return l.regex()
	}
	for _, op := range []string{"..", ":=", "!=", ">=", "<=", "**", "~>", "??", "?:"} {
		if strings.HasPrefix(rest, op) {
			if op[0] == '?' {
				return token{}, Unsupported("the operator " + op + ", which is newer than JSONata 2.0.6")
			}
			return l.operator(op), nil
		}
	}
	switch c := rest[0]; {
	case strings.IndexByte(stops, c) >= 0:
		return l.operator(rest[:1]), nil
	case c == '"' || c == '\'':
		return l.text(c)
	case c >= '0' && c <= '9':
		text := number.FindString(rest)
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || math.IsInf(f, 0) {
			return token{}, &Error{Code: "S0102", Token: text}
		}
		l.at += len(text)
		return token{id: "(literal)", kind: literal, value: f}, nil
	case c == '`':
		end := strings.IndexByte(rest[1:], '`')
		if end < 0 {
			return token{}, &Error{Code: "S0105"}
		}
		l.at += end + 2
		return token{id: "(name)", kind: name, text: rest[1 : end+1]}, nil
	}
	end := strings.IndexAny(rest, stops)
	if end < 0 {
		end = len(rest)
	}
	l.at += end
	word := rest[:end]
	if word[0] == '$' {
		return token{id: "(name)", kind: variable, text: word[1:]}, nil
	}
	switch word {
	case "and", "or", "in":
		return token{id: word, kind: operator, text: word}, nil
	case "true", "false":
		return token{id: "(literal)", kind: literal, value: word == "true"}, nil
	case "null":
		return token{id: "(literal)", kind: literal, value: Null}, nil
	}
	return token{id: "(name)", kind: name, text: word}, nil
}

var number = regexp.MustCompile(`^(0|([1-9][0-9]*))(\.[0-9]+)?([Ee][-+]?[0-9]+)?`)

func (l *lexer) operator(text string) token {
	l.at += len(text)
	return token{id: text, kind: operator, text: text}
}

// text reads a string with the escapes of JSON.
func (l *lexer) text(quote byte) (token, error) {
	var b strings.Builder
	var units []uint16 // of \u, which may come in pairs
	half := false
	flush := func() {
		half = half || !paired(units)
		b.WriteString(string(utf16.Decode(units)))
		units = nil
	}
	s := l.source
	for l.at++; l.at < len(s); l.at++ {
		c := s[l.at]
		if c == quote {
			l.at++
			flush()
			if half {
				return token{}, Unsupported("half a character")
			}
			return token{id: "(literal)", kind: text, text: b.String()}, nil
		}
		if c != '\\' {
			flush()
			b.WriteByte(c)
			continue
		}
		if l.at++; l.at == len(s) {
			break
		}
		if s[l.at] == 'u' {
			unit, err := strconv.ParseUint(s[min(l.at+1, len(s)):min(l.at+5, len(s))], 16, 16)
			if err != nil || l.at+5 > len(s) {
				return token{}, &Error{Code: "S0104"}
			}
			units = append(units, uint16(unit))
			l.at += 4
			continue
		}
		flush()
		i := strings.IndexByte(`"\/bfnrt`, s[l.at])
		if i < 0 {
			return token{}, &Error{Code: "S0103", Token: s[l.at : l.at+1]}
		}
		b.WriteByte("\"\\/\b\f\n\r\t"[i])
	}
	return token{}, &Error{Code: "S0101"}
}

// regex reads a regular expression and its flags.
func (l *lexer) regex() (token, error) {
	s, depth := l.source, 0
	for i := l.at + 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		case '/':
			if depth != 0 {
				continue
			}
			pattern := s[l.at+1 : i]
			if pattern == "" {
				return token{}, &Error{Code: "S0301"}
			}
			end := i + 1
			for end < len(s) && (s[end] == 'i' || s[end] == 'm') {
				end++
			}
			flags := s[i+1 : end]
			l.at = end
			prefix := ""
			if flags != "" {
				prefix = "(?" + flags + ")"
			}
			if _, err := regexp.Compile(prefix + pattern); err != nil {
				return token{}, Unsupported("the regular expression /" + pattern + "/")
			}
			return token{id: "(regex)", kind: literal, value: &matcher{pattern: pattern, flags: flags}}, nil
		}
	}
	return token{}, &Error{Code: "S0302"}
}
