package jsonata

import (
	"errors"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Unsupported is what JSONata has and this package has not.
type Unsupported string

func (u Unsupported) Error() string { return string(u) }

// errBeyond ends an evaluation that would go on where JSONata does.
var errBeyond = errors.New("the evaluation takes too long")

// Beyond says whether an evaluation ended at a limit of this package, so that
// nobody knows what JSONata would have come to.
func Beyond(err error) bool {
	var u Unsupported
	return errors.Is(err, errBeyond) || errors.As(err, &u)
}

// Error is an error of JSONata. Without a code it is a limit of Step Functions.
type Error struct {
	Code  string
	Token any // the operator or function
	Value any
	Other any // the second value
	Index int
	Type  string
	Text  string // instead of the code's message, or a part of it

	unsure bool // the message may be another
}

// Known says whether the message is, word for word, the reference's.
func (e *Error) Known() bool {
	return !e.unsure && !slices.ContainsFunc([]any{e.Value, e.Other}, func(v any) bool {
		f, is := v.(float64)
		return is && (math.IsNaN(f) || math.IsInf(f, 0)) // for which the reference puts null
	})
}

// Error is the code and the message, as the reference implementation puts it.
func (e *Error) Error() string {
	if e.Code == "" {
		return e.Text
	}
	message, there := messages[e.Code]
	if !there {
		return e.Code + ": " + e.Text
	}
	return e.Code + ": " + insert.ReplaceAllStringFunc(message, func(part string) string {
		switch part {
		case "{{{message}}}":
			return e.Text
		case "{{{token}}}":
			s, _ := e.Token.(string)
			return s
		case "{{token}}":
			return shown(e.Token)
		case "{{index}}":
			return strconv.Itoa(e.Index)
		case "{{type}}":
			return shown(e.Type)
		case "{{value2}}":
			return shown(e.Other)
		}
		return shown(e.Value)
	})
}

func shown(v any) string {
	if v == nil {
		return "undefined"
	}
	b, err := encode(nil, v, false)
	if err != nil {
		return "undefined"
	}
	return string(b)
}

var insert = regexp.MustCompile(`\{\{\{?\w+\}\}\}?`)

// messages are those of https://github.com/jsonata-js/jsonata/blob/v2.0.6/src/jsonata.js
// that this package makes.
var messages = map[string]string{
	"S0101": "String literal must be terminated by a matching quote",
	"S0102": "Number out of range: {{token}}",
	"S0103": "Unsupported escape sequence: \\{{token}}",
	"S0104": "The escape sequence \\u must be followed by 4 hex digits",
	"S0105": "Quoted property name must be terminated with a backquote (`)",
	"S0106": "Comment has no closing tag",
	"S0201": "Syntax error: {{token}}",
	"S0202": "Expected {{value}}, got {{token}}",
	"S0203": "Expected {{value}} before end of expression",
	"S0207": "Unexpected end of expression",
	"S0208": "Parameter {{value}} of function definition must be a variable name (start with $)",
	"S0209": "A predicate cannot follow a grouping expression in a step",
	"S0210": "Each step can only have one grouping expression",
	"S0211": "The symbol {{token}} cannot be used as a unary operator",
	"S0212": "The left side of := must be a variable name (start with $)",
	"S0213": "The literal value {{value}} cannot be used as a step within a path expression",
	"S0214": "The right side of {{token}} must be a variable name (start with $)",
	"S0215": "A context variable binding must precede any predicates on a step",
	"S0216": "A context variable binding must precede the 'order-by' clause on a step",
	"S0217": "The object representing the 'parent' cannot be derived from this expression",
	"S0301": "Empty regular expressions are not allowed",
	"S0302": "No terminating / in regular expression",
	"T0410": "Argument {{index}} of function {{token}} does not match function signature",
	"T0411": "Context value is not a compatible type with argument {{index}} of function {{token}}",
	"T0412": "Argument {{index}} of function {{token}} must be an array of {{type}}",
	"D1001": "Number out of range: {{value}}",
	"D1002": "Cannot negate a non-numeric value: {{value}}",
	"D1004": "Regular expression matches zero length string",
	"T1003": "Key in object structure must evaluate to a string; got: {{value}}",
	"T1005": "Attempted to invoke a non-function. Did you mean ${{{token}}}?",
	"T1006": "Attempted to invoke a non-function",
	"T1007": "Attempted to partially apply a non-function. Did you mean ${{{token}}}?",
	"T1008": "Attempted to partially apply a non-function",
	"D1009": "Multiple key definitions evaluate to same key: {{value}}",
	"T2001": "The left side of the {{token}} operator must evaluate to a number",
	"T2002": "The right side of the {{token}} operator must evaluate to a number",
	"T2003": "The left side of the range operator (..) must evaluate to an integer",
	"T2004": "The right side of the range operator (..) must evaluate to an integer",
	"T2006": "The right side of the function application operator ~> must be a function",
	"T2007": "Type mismatch when comparing values {{value}} and {{value2}} in order-by clause",
	"T2008": "The expressions within an order-by clause must evaluate to numeric or string values",
	"T2009": "The values {{value}} and {{value2}} either side of operator {{token}} must be of the same data type",
	"T2010": "The expressions either side of operator {{token}} must evaluate to numeric or string values",
	"T2011": "The insert/update clause of the transform expression must evaluate to an object: {{value}}",
	"T2012": "The delete clause of the transform expression must evaluate to a string or array of strings: {{value}}",
	"D2014": "The size of the sequence allocated by the range operator (..) must not exceed 1e6.  Attempted to allocate {{value}}.",
	"D3001": "Attempting to invoke string function on Infinity or NaN",
	"D3020": "Third argument of split function must evaluate to a positive number",
	"D3030": "Unable to cast value to a number: {{value}}",
	"D3050": "The second argument of reduce function must be a function with at least two arguments",
	"D3060": "The sqrt function cannot be applied to a negative number: {{value}}",
	"D3070": "The single argument form of the sort function can only be applied to an array of strings or an array of numbers.  Use the second argument to specify a comparison function",
	"D3010": "Second argument of replace function cannot be an empty string",
	"D3011": "Fourth argument of replace function must evaluate to a positive number",
	"D3012": "Attempted to replace a matched string with a non-string value",
	"D3040": "Third argument of match function must evaluate to a positive number",
	"D3061": "The power function has resulted in a value that cannot be represented as a JSON number: base={{value}}, exponent={{value2}}",
	"D3080": "The picture string must only contain a maximum of two sub-pictures",
	"D3081": "The sub-picture must not contain more than one instance of the 'decimal-separator' character",
	"D3082": "The sub-picture must not contain more than one instance of the 'percent' character",
	"D3083": "The sub-picture must not contain more than one instance of the 'per-mille' character",
	"D3084": "The sub-picture must not contain both a 'percent' and a 'per-mille' character",
	"D3085": "The mantissa part of a sub-picture must contain at least one character that is either an 'optional digit character' or a member of the 'decimal digit family'",
	"D3086": "The sub-picture must not contain a passive character that is preceded by an active character and that is followed by another active character",
	"D3087": "The sub-picture must not contain a 'grouping-separator' character that appears adjacent to a 'decimal-separator' character",
	"D3088": "The sub-picture must not contain a 'grouping-separator' at the end of the integer part",
	"D3089": "The sub-picture must not contain two adjacent instances of the 'grouping-separator' character",
	"D3090": "The integer part of the sub-picture must not contain a member of the 'decimal digit family' that is followed by an instance of the 'optional digit character'",
	"D3091": "The fractional part of the sub-picture must not contain an instance of the 'optional digit character' that is followed by a member of the 'decimal digit family'",
	"D3092": "A sub-picture that contains a 'percent' or 'per-mille' character must not contain a character treated as an 'exponent-separator'",
	"D3093": "The exponent part of the sub-picture must comprise only of one or more characters that are members of the 'decimal digit family'",
	"D3100": "The radix of the formatBase function must be between 2 and 36.  It was given {{value}}",
	"D3110": "The argument of the toMillis function must be an ISO 8601 formatted timestamp. Given {{value}}",
	"D3130": "Formatting or parsing an integer as a sequence starting with {{value}} is not supported by this implementation",
	"D3132": "Unknown component specifier {{value}} in date/time picture string",
	"D3133": "The 'name' modifier can only be applied to months and days in the date/time picture string, not {{value}}",
	"D3134": "The timezone integer format specifier cannot have more than four digits",
	"D3135": "No matching closing bracket ']' in date/time picture string",
	"D3136": "The date/time picture string is missing specifiers required to parse the timestamp",
	"D3137": "{{{message}}}",
	"D3138": "The $single() function expected exactly 1 matching result.  Instead it matched more.",
	"D3139": "The $single() function expected exactly 1 matching result.  Instead it matched 0.",
	"D3141": "{{{message}}}",
}

// named gives an error of an operator or function its name, unless it has one or there is none.
func named(err error, token string) error {
	var e *Error
	if token == "" {
		return err
	}
	if errors.As(err, &e) && e.Token == nil {
		e.Token = token
	}
	return err
}

// renamed gives an error the name of the operator around it: and and or do so, even
// to errors of what stands on their right.
func renamed(err error, token string) error {
	var e *Error
	if errors.As(err, &e) {
		e.Token = token
	}
	return err
}

// Unworded is an error that certainly comes, though perhaps in other words.
func Unworded(err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	other := *e
	other.unsure = true
	return &other
}

// foreign is an error of the library's: but for two it is not sure that the reference
// fails there, and then it has other words.
func foreign(err error) error {
	switch code, words, _ := strings.Cut(err.Error(), ": "); code {
	case "D3012":
		return &Error{Code: code}
	case "D3020":
		return &Error{Code: code, Text: words}
	}
	if Beyond(err) {
		return err
	}
	return Unsupported("what the library refuses: " + err.Error())
}
