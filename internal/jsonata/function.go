package jsonata

import (
	"errors"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// lambda is a function of the expression's own.
type lambda struct {
	params []string
	body   *node
	input  any
	frame  *frame
	thunk  bool
	check  *signature // nil for none
}

// native is a function of this package.
type native struct {
	arity   int
	check   *signature // nil for none
	added   bool       // not JSONata's
	reckons bool       // with numbers
	call    func(e *evaluation, args []any, input any) (any, error)
}

// matcher is a regular expression.
type matcher struct {
	pattern, flags string

	once  sync.Once
	re    *regexp.Regexp
	empty bool
}

func isFunction(v any) bool {
	switch v.(type) {
	case *lambda, *native, *matcher:
		return true
	}
	return false
}

// IsLambda says whether a value is a function that the expression itself defines.
func IsLambda(v any) bool {
	_, is := v.(*lambda)
	return is
}

func arity(v any) int {
	switch v := v.(type) {
	case *lambda:
		return len(v.params)
	case *native:
		return v.arity
	}
	return 2
}

// callee is what a call calls, and the name that errors give it.
func (e *evaluation) callee(n *node, input any, f *frame, code string) (any, string, error) {
	v, err := e.eval(n.left, input, f)
	called := n.left.text
	if n.left.kind == path {
		called = n.left.list[0].text
		if v == nil && err == nil && e.variable(called, f) != nil {
			err = &Error{Code: code, Token: called}
		}
	}
	return v, called, err
}

func (e *evaluation) call(n *node, input any, f *frame, before []any) (any, error) {
	proc, called, err := e.callee(n, input, f, "T1005")
	if err != nil {
		return nil, err
	}
	args := before
	for _, one := range n.list {
		v, err := e.eval(one, input, f)
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	v, err := e.invoke(proc, args, input)
	return v, named(err, called)
}

// invoke calls a function, and what it calls in the place of its tail.
func (e *evaluation) invoke(proc any, args []any, input any) (any, error) {
	called := "" // in the place of a tail
	for {
		v, err := e.invokeOnce(proc, args, input)
		if called != "" {
			err = named(err, called)
		}
		next, is := v.(*lambda)
		if err != nil || !is || !next.thunk {
			return v, err
		}
		tail := next.body
		called = tail.left.text
		if proc, err = e.eval(tail.left, next.input, next.frame); err != nil {
			return nil, err
		}
		args = nil
		for _, one := range tail.list {
			v, err := e.eval(one, next.input, next.frame)
			if err != nil {
				return nil, err
			}
			args = append(args, v)
		}
	}
}

func (e *evaluation) invokeOnce(proc any, args []any, input any) (any, error) {
	switch proc := proc.(type) {
	case *lambda:
		if proc.check != nil {
			var err error
			if args, err = proc.check.arguments(args, input); err != nil {
				return nil, err
			}
		}
		f := proc.frame.inner()
		for i, param := range proc.params {
			if i < len(args) {
				f.bind(param, args[i])
			} else {
				f.bind(param, nil)
			}
		}
		return e.eval(proc.body, proc.input, f)
	case *native:
		if e.steps--; e.steps < 0 {
			return nil, errBeyond
		}
		for _, arg := range args {
			e.charge(arg)
		}
		if proc.check != nil {
			var err error
			if args, err = proc.check.arguments(args, input); err != nil {
				return nil, err
			}
		}
		if proc.reckons && slices.ContainsFunc(args, func(v any) bool {
			items, _ := list(v)
			return large(v) || slices.ContainsFunc(items, large)
		}) {
			return nil, errLarge
		}
		return proc.call(e, args, input)
	case *matcher:
		return nil, Unsupported("a regular expression that is called")
	}
	return nil, &Error{Code: "T1006"}
}

// callback calls a function for a value, with as much of its place as it takes.
func (e *evaluation) callback(proc any, args ...any) (any, error) {
	args = args[:max(1, min(len(args), arity(proc)))]
	if n, is := proc.(*native); is && n.added && len(args) > 1 {
		return nil, Unsupported("how many arguments such a function is given by another")
	}
	v, err := e.invoke(proc, args, Null)
	if _, is := proc.(*native); is {
		var unnamed *Error
		if errors.As(err, &unnamed) && unnamed.Token == nil {
			unnamed.unsure = true // the reference names what was last called by this name
		}
	}
	return v, err
}

func (e *evaluation) partial(n *node, input any, f *frame) (any, error) {
	var open []int
	args := make([]any, len(n.list))
	for i, one := range n.list {
		if one.kind == operator {
			open = append(open, i)
			continue
		}
		v, err := e.eval(one, input, f)
		if err != nil {
			return nil, err
		}
		args[i] = v
	}
	proc, called, err := e.callee(n, input, f, "T1007")
	if err != nil {
		return nil, err
	}
	if !isFunction(proc) {
		return nil, &Error{Code: "T1008", Token: called}
	}
	if proc == e.natives["string"] {
		return nil, Unsupported("a part of string's arguments") // the reference fails: it reads "prettify = false" as a name
	}
	if l, is := proc.(*lambda); is && l.check != nil {
		return nil, Unsupported("a part of the arguments of a function with a signature") // the reference looks at none
	}
	return &native{arity: len(open), call: func(e *evaluation, rest []any, _ any) (any, error) {
		all := slices.Clone(args)
		for i, at := range open {
			if i < len(rest) {
				all[at] = rest[i]
			}
		}
		if n, is := proc.(*native); is {
			for len(all) < n.arity {
				all = append(all, nil)
			}
			if !asGiven(n, all) {
				return nil, Unsupported("a part of " + called + "'s arguments that its signature would change") // the reference looks at none
			}
			return n.call(e, all, nil)
		}
		return e.invoke(proc, all, nil)
	}}, nil
}

// asGiven says whether a function takes arguments as they are.
func asGiven(n *native, args []any) bool {
	if n.check == nil {
		return true
	}
	checked, err := n.check.arguments(slices.Clone(args), nil)
	return err == nil && len(checked) >= len(args) && slices.EqualFunc(args, checked[:len(args)], func(a, b any) bool { return reflect.TypeOf(a) == reflect.TypeOf(b) })
}

func (e *evaluation) apply(n *node, input any, f *frame) (any, error) {
	left, err := e.eval(n.left, input, f)
	if err != nil {
		return nil, err
	}
	if n.right.kind == call {
		v, err := e.call(n.right, input, f, []any{left})
		return v, err
	}
	proc, err := e.eval(n.right, input, f)
	switch {
	case err != nil:
		return nil, err
	case !isFunction(proc):
		return nil, &Error{Code: "T2006", Value: proc}
	case isFunction(left):
		return &native{arity: 1, call: func(e *evaluation, args []any, _ any) (any, error) {
			v, err := e.invoke(left, args, Null)
			if err != nil {
				return nil, err
			}
			return e.invoke(proc, []any{v}, Null)
		}}, nil
	}
	return e.invoke(proc, []any{left}, Null)
}

// truth is what $boolean makes of a value, and false of none.
func (e *evaluation) truth(v any) bool {
	if items, is := list(v); is {
		return e.enter(len(items)) && slices.ContainsFunc(items, e.truth)
	}
	if f, is := asNumber(v); is {
		e.infinite = e.infinite || math.IsInf(f, 0)
		return f != 0 && !math.IsNaN(f)
	}
	switch v := v.(type) {
	case bool:
		return v
	case string:
		return v != ""
	case *Object:
		return len(v.keys) > 0
	}
	return false
}

// asText is what $string makes of a value, and "" of none.
func asText(v any, pretty bool) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", nil
	case string:
		return v, nil
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return "", &Error{Code: "D3001"}
		}
		if whole(v) {
			return string(appendNumber(nil, v)), nil
		}
	}
	if isFunction(v) {
		return "", nil
	}
	b, err := encode(nil, v, true)
	if err == nil && pretty {
		b = indented(b)
	}
	return string(b), err
}

// indented lays JSON out as JSON.stringify does with two spaces.
func indented(b []byte) []byte {
	var out []byte
	depth, quoted := 0, false
	line := func() {
		out = append(append(out, '\n'), strings.Repeat("  ", depth)...)
	}
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case quoted:
			out = append(out, c)
			if c == '\\' {
				i++
				out = append(out, b[i])
			}
			quoted = c != '"'
		case c == '{' || c == '[':
			out = append(out, c)
			if b[i+1] == c+2 { // its end: an empty one
				i++
				out = append(out, b[i])
				continue
			}
			depth++
			line()
		case c == '}' || c == ']':
			depth--
			line()
			out = append(out, c)
		case c == ',':
			out = append(out, c)
			line()
		case c == ':':
			out = append(out, ':', ' ')
		default:
			out = append(out, c)
			quoted = c == '"'
		}
	}
	return out
}

func appended(a, b any) any {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	x, is := list(a)
	if !is {
		x = []any{a}
	}
	y, is := list(b)
	if !is {
		y = []any{b}
	}
	return slices.Concat(x, y)
}

func (e *evaluation) keysOf(v any) *array {
	keys := sequence()
	if items, is := list(v); is && e.enter(len(items)) {
		seen := newObject()
		for _, item := range items {
			for _, key := range e.keysOf(item).items {
				seen.set(key.(string), true)
			}
		}
		v = seen
	}
	if o, is := v.(*Object); is {
		for _, key := range e.keys(o) {
			keys.items = append(keys.items, key)
		}
	}
	return keys
}

func (e *evaluation) spreadOf(v any) any {
	out := sequence()
	if items, is := list(v); is {
		all := []any{}
		some := false
		if !e.enter(len(items)) {
			return nil
		}
		for _, item := range items {
			one := e.spreadOf(item)
			if parts, is := list(one); is {
				all, some = append(all, parts...), true
			} else if one != nil {
				all, some = append(all, one), true
			}
		}
		if some {
			return all
		}
		return out
	}
	o, is := v.(*Object)
	if !is {
		return v
	}
	for _, key := range e.keys(o) {
		out.items = append(out.items, NewObject([]string{key}, o.values[key]))
	}
	return out
}

var decimal = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?([Ee][-+]?[0-9]+)?$`)

func toNumber(v any) (any, error) {
	switch v := v.(type) {
	case bool:
		if v {
			return 1.0, nil
		}
		return 0.0, nil
	case string:
		if decimal.MatchString(v) {
			if f, err := strconv.ParseFloat(v, 64); err == nil {
				return f, nil
			}
		} else if len(v) > 2 && v[0] == '0' && strings.IndexByte("xXoObB", v[1]) >= 0 {
			if n, err := strconv.ParseUint(v, 0, 64); err == nil {
				return float64(n), nil
			}
		}
		return nil, &Error{Code: "D3030", Value: v}
	}
	return v, nil
}

// numbers are the items of an array of numbers.
func numbers(v any) []float64 {
	items, _ := list(v)
	out := make([]float64, len(items))
	for i, item := range items {
		out[i], _ = asNumber(item)
	}
	return out
}

// simple is a native function of its arguments alone, undefined when the first is.
func simple(f func(args []any) (any, error)) func(*evaluation, []any, any) (any, error) {
	return func(_ *evaluation, args []any, _ any) (any, error) {
		if len(args) > 0 && args[0] == nil {
			return nil, nil
		}
		return f(args)
	}
}

func argument(args []any, i int) any {
	if i < len(args) {
		return args[i]
	}
	return nil
}

// own are the functions of JSONata that this package evaluates itself.
var own = map[string]func(e *evaluation, args []any, input any) (any, error){
	"sum": simple(func(args []any) (any, error) {
		total := 0.0
		for _, f := range numbers(args[0]) {
			total += f
		}
		return total, nil
	}),
	"count": func(_ *evaluation, args []any, _ any) (any, error) {
		items, _ := list(args[0])
		return float64(len(items)), nil
	},
	"max": simple(func(args []any) (any, error) { return extreme(args[0], math.Max) }),
	"min": simple(func(args []any) (any, error) { return extreme(args[0], math.Min) }),
	"average": simple(func(args []any) (any, error) {
		all := numbers(args[0])
		if len(all) == 0 {
			return nil, nil
		}
		total := 0.0
		for _, f := range all {
			total += f
		}
		return total / float64(len(all)), nil
	}),
	"string": simple(func(args []any) (any, error) { return asText(args[0], argument(args, 1) == true) }),
	"number": simple(func(args []any) (any, error) { return toNumber(args[0]) }),
	"floor":  simple(func(args []any) (any, error) { return rounded(args[0], math.Floor) }),
	"ceil":   simple(func(args []any) (any, error) { return rounded(args[0], math.Ceil) }),
	"abs":    simple(func(args []any) (any, error) { return rounded(args[0], math.Abs) }),
	"sqrt": simple(func(args []any) (any, error) {
		f, _ := asNumber(args[0])
		if f < 0 {
			return nil, &Error{Code: "D3060", Index: 1, Value: args[0]}
		}
		return math.Sqrt(f), nil
	}),
	"power": simple(func(args []any) (any, error) {
		x, _ := asNumber(args[0])
		y, is := asNumber(argument(args, 1))
		if f := math.Pow(x, y); !is || math.IsNaN(f) || math.IsInf(f, 0) {
			return nil, &Error{Code: "D3061", Value: args[0], Other: argument(args, 1)}
		}
		return power(x, y)
	}),
	"round": simple(func(args []any) (any, error) {
		x, _ := asNumber(args[0])
		places, _ := asNumber(argument(args, 1))
		if places != math.Trunc(places) || math.Abs(places) > 400 {
			return nil, Unsupported("$round to such a precision")
		}
		return round(x, int(places)), nil
	}),
	"formatNumber":  simple(formatNumber),
	"formatInteger": simple(formatInteger),
	"parseInteger":  simple(parseInteger),
	"toMillis":      toMillis,
	"trim":          simple(trim),
	"substring":     simple(substring),
	"pad":           simple(pad),
	"uppercase":     simple(uppercase),
	"lowercase":     simple(lowercase),
	"fromMillis":    simple(fromMillis),
	"formatBase":    simple(formatBase),
	"boolean": func(e *evaluation, args []any, _ any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		return e.truth(args[0]), nil
	},
	"not": func(e *evaluation, args []any, _ any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		return !e.truth(args[0]), nil
	},
	"exists": func(_ *evaluation, args []any, _ any) (any, error) { return args[0] != nil, nil },
	"type": simple(func(args []any) (any, error) {
		if f, is := asNumber(args[0]); is && math.IsInf(f, 0) {
			return nil, outOfRange()
		}
		return map[byte]string{'l': "null", 'n': "number", 's': "string", 'b': "boolean", 'a': "array", 'f': "function", 'o': "object"}[letter(args[0])], nil
	}),
	"keys": func(e *evaluation, args []any, _ any) (any, error) { return e.keysOf(args[0]), nil },
	"lookup": func(e *evaluation, args []any, _ any) (any, error) {
		key, is := argument(args, 1).(string)
		if !is {
			return nil, nil
		}
		return e.lookup(args[0], key), nil
	},
	"append": func(_ *evaluation, args []any, _ any) (any, error) { return appended(args[0], argument(args, 1)), nil },
	"spread": func(e *evaluation, args []any, _ any) (any, error) { return e.spreadOf(args[0]), nil },
	"merge": simple(func(args []any) (any, error) {
		out := newObject()
		items, _ := list(args[0])
		for _, item := range items {
			if o, is := item.(*Object); is {
				for _, key := range o.keys {
					out.set(key, o.values[key])
				}
			}
		}
		return out, nil
	}),
	"reverse": simple(func(args []any) (any, error) {
		items, _ := list(args[0])
		if len(items) <= 1 {
			return args[0], nil
		}
		items = slices.Clone(items)
		slices.Reverse(items)
		return items, nil
	}),
	"zip": func(_ *evaluation, args []any, _ any) (any, error) {
		length := math.MaxInt
		for _, arg := range args {
			items, _ := list(arg)
			length = min(length, len(items))
		}
		out := []any{}
		for i := range length {
			tuple := []any{}
			for _, arg := range args {
				items, _ := list(arg)
				tuple = append(tuple, items[i])
			}
			out = append(out, tuple)
		}
		return out, nil
	},
	"distinct": func(e *evaluation, args []any, _ any) (any, error) {
		items, is := list(args[0])
		if !is || len(items) <= 1 {
			return args[0], nil
		}
		var out []any
		for _, item := range items {
			if e.charge(out); e.steps < 0 {
				return nil, errBeyond
			}
			if !slices.ContainsFunc(out, func(v any) bool { return e.equal(v, item) }) {
				out = append(out, item)
			}
		}
		if s, is := args[0].(*array); is && s.sequence {
			return sequence(out...), nil
		}
		return out, nil
	},
	"join": simple(func(args []any) (any, error) {
		items, _ := list(args[0])
		texts := make([]string, len(items))
		size := 0
		for i, item := range items {
			texts[i], _ = item.(string)
			size += len(texts[i])
		}
		separator, _ := argument(args, 1).(string)
		if size+len(separator)*len(items) > maxMemory {
			return nil, memoryError()
		}
		return strings.Join(texts, separator), nil
	}),
	"substringBefore": simple(func(args []any) (any, error) {
		s := args[0].(string)
		if i := strings.Index(s, sought(args)); i >= 0 {
			return s[:i], nil
		}
		return s, nil
	}),
	"substringAfter": simple(func(args []any) (any, error) {
		s, chars := args[0].(string), sought(args)
		if i := strings.Index(s, chars); i >= 0 {
			return s[i+len(chars):], nil
		}
		return s, nil
	}),
	"clone": func(e *evaluation, args []any, _ any) (any, error) { return e.clone(args[0]), nil },
	"error": func(_ *evaluation, args []any, _ any) (any, error) {
		message, is := argument(args, 0).(string)
		if !is || message == "" {
			message = "$error() function evaluated"
		}
		return nil, &Error{Code: "D3137", Text: message}
	},
	"assert": func(_ *evaluation, args []any, _ any) (any, error) {
		if args[0] == true {
			return nil, nil
		}
		message, is := argument(args, 1).(string)
		if !is || message == "" {
			message = "$assert() statement failed"
		}
		return nil, &Error{Code: "D3141", Text: message}
	},
	"map": func(e *evaluation, args []any, _ any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		out := sequence()
		items, _ := list(args[0])
		for i, item := range items {
			v, err := e.callback(args[1], item, float64(i), args[0])
			if err != nil {
				return nil, err
			}
			if v != nil {
				out.items = append(out.items, v)
			}
		}
		return out, nil
	},
	"filter": func(e *evaluation, args []any, _ any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		out := sequence()
		items, _ := list(args[0])
		for i, item := range items {
			v, err := e.callback(args[1], item, float64(i), args[0])
			if err != nil {
				return nil, err
			}
			if e.truth(v) {
				out.items = append(out.items, item)
			}
		}
		return out, nil
	},
	"single": func(e *evaluation, args []any, _ any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		var found []any
		items, _ := list(args[0])
		for i, item := range items {
			var v any = true
			if len(args) > 1 && args[1] != nil {
				var err error
				if v, err = e.callback(args[1], item, float64(i), args[0]); err != nil {
					return nil, err
				}
			}
			if e.truth(v) {
				if found = append(found, item); len(found) > 1 {
					return nil, &Error{Code: "D3138", Index: i}
				}
			}
		}
		if len(found) == 0 {
			return nil, &Error{Code: "D3139"}
		}
		return found[0], nil
	},
	"reduce": func(e *evaluation, args []any, _ any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		takes := arity(args[1])
		if takes < 2 {
			return nil, &Error{Code: "D3050", Index: 1}
		}
		items, _ := list(args[0])
		result, at := argument(args, 2), 0
		if result == nil && len(items) > 0 {
			result, at = items[0], 1
		}
		for ; at < len(items); at++ {
			var err error
			if result, err = e.invoke(args[1], []any{result, items[at], float64(at), args[0]}[:min(takes, 4)], Null); err != nil {
				return nil, err
			}
		}
		return result, nil
	},
	"sift": func(e *evaluation, args []any, _ any) (any, error) {
		out := newObject()
		o, is := args[0].(*Object)
		if !is {
			return nil, nil
		}
		for _, key := range o.keys {
			v, err := e.callback(argument(args, 1), o.values[key], key, o)
			if err != nil {
				return nil, err
			}
			if e.truth(v) {
				out.set(key, o.values[key])
			}
		}
		if len(out.keys) == 0 {
			return nil, nil
		}
		return out, nil
	},
	"each": func(e *evaluation, args []any, _ any) (any, error) {
		out := sequence()
		o, is := args[0].(*Object)
		if !is {
			return out, nil
		}
		for _, key := range e.keys(o) {
			v, err := e.callback(args[1], o.values[key], key, o)
			if err != nil {
				return nil, err
			}
			if v != nil {
				out.items = append(out.items, v)
			}
		}
		return out, nil
	},
	"sort": func(e *evaluation, args []any, _ any) (any, error) {
		items, _ := list(args[0])
		if len(items) <= 1 {
			return args[0], nil
		}
		after := func(a, b any) (bool, error) {
			v, err := e.invoke(args[1], []any{a, b}, Null)
			return jsTruth(v), err
		}
		if len(args) < 2 || args[1] == nil {
			kinds := map[byte]bool{}
			for _, item := range items {
				kinds[letter(item)] = true
			}
			if len(kinds) > 1 || !kinds['n'] && !kinds['s'] {
				return nil, &Error{Code: "D3070", Index: 1}
			}
			after = func(a, b any) (bool, error) {
				v, err := compare(">", a, b)
				return v == true, err
			}
		}
		return mergeSort(items, after)
	},
}

// sought is what a text is looked through for: JavaScript looks for "undefined" where
// there is nothing to look for.
func sought(args []any) string {
	if s, is := argument(args, 1).(string); is {
		return s
	}
	return "undefined"
}

// jsTruth is what JavaScript takes for true.
func jsTruth(v any) bool {
	if f, is := asNumber(v); is {
		return f != 0 && !math.IsNaN(f)
	}
	switch v := v.(type) {
	case nil, null:
		return false
	case bool:
		return v
	case string:
		return v != ""
	}
	return true
}

func extreme(v any, of func(a, b float64) float64) (any, error) {
	all := numbers(v)
	if len(all) == 0 {
		return nil, nil
	}
	result := all[0]
	for _, f := range all[1:] {
		result = of(result, f)
	}
	return result, nil
}

func rounded(v any, f func(float64) float64) (any, error) {
	x, is := asNumber(v)
	if !is {
		return nil, errors.New("no number")
	}
	return f(x), nil
}
