package jsonata

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/recolabs/gnata"
)

// The functions that search, replace and split, and those of URLs and base64, are those
// of gnata, an evaluator whose paths and errors differ from the reference, and which is
// therefore not asked for more.

// library is an environment of gnata.
var library = gnata.NewCustomEnv(nil)

// borrowed calls a function of gnata.
func borrowed(name string) func(e *evaluation, args []any, input any) (any, error) {
	found, _ := library.Lookup(name)
	f := reflect.ValueOf(found)
	if f.Kind() == reflect.Pointer { // with a signature of gnata's own
		f = f.Elem().FieldByName("Fn")
	}
	return func(e *evaluation, args []any, _ any) (any, error) {
		if args[0] == nil {
			return nil, nil
		}
		given := make([]any, len(args))
		for i, arg := range args {
			given[i] = e.lend(arg)
		}
		for len(given) > 1 && given[len(given)-1] == nil {
			given = given[:len(given)-1] // left out
		}
		in := []reflect.Value{reflect.ValueOf(given), reflect.Zero(f.Type().In(1))}
		if f.Type().NumIn() == 3 {
			in = append(in, reflect.ValueOf(library))
		}
		out := f.Call(in)
		if err, failed := out[1].Interface().(error); failed {
			return nil, foreign(err)
		}
		return returned(out[0].Interface()), nil
	}
}

// lend makes of a value what gnata takes for it.
func (e *evaluation) lend(v any) any {
	if items, is := list(v); is && e.enter(len(items)) {
		out := make([]any, len(items))
		for i, item := range items {
			out[i] = e.lend(item)
		}
		return out
	}
	if f, is := asNumber(v); is {
		return f
	}
	switch v := v.(type) {
	case *Object:
		out := map[string]any{}
		for key, item := range v.values {
			if e.enter(0) {
				out[key] = e.lend(item)
			}
		}
		return out
	case *matcher:
		return map[string]any{"pattern": v.pattern, "flags": v.flags}
	case *lambda, *native:
		call := func(args []any, _ any) (any, error) {
			if len(args) == 0 {
				return nil, Unsupported("a matcher of the expression's own")
			}
			given := make([]any, len(args))
			for i, arg := range args {
				given[i] = returned(arg)
			}
			result, err := e.callback(v, given...)
			return e.lend(result), err
		}
		count, _ := library.Lookup("count") // has the type of a function
		return reflect.ValueOf(call).Convert(reflect.TypeOf(count)).Interface()
	}
	return v
}

// returned is what gnata returned, as a value of this package.
func returned(v any) any {
	if gnata.IsNull(v) {
		return Null
	}
	switch v := gnata.NormalizeValue(v).(type) {
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = returned(item)
		}
		return out
	case map[string]any:
		o := newObject()
		for _, key := range slices.Sorted(maps.Keys(v)) {
			o.set(key, returned(v[key]))
		}
		return o
	case int:
		return float64(v)
	default:
		return v
	}
}

// limited are functions of gnata that are asked only where they answer as the
// reference does.
var limited = map[string]func(args []any) error{
	"match":        func(args []any) error { return negative("D3040", argument(args, 2)) },
	"base64encode": func(args []any) error { return ascii("$base64encode", argument(args, 0)) },
	"replace":      replacement,
}

// replacement refuses what may make a text out of all measure.
func replacement(args []any) error {
	s, is := argument(args, 0).(string)
	switch {
	case !is:
		return nil
	case argument(args, 1) == "":
		return &Error{Code: "D3010"}
	}
	if err := negative("D3011", argument(args, 3)); err != nil {
		return err
	}
	by, _ := argument(args, 2).(string)
	places := len(s) + 1 // of a regular expression
	if sought, is := argument(args, 1).(string); is && sought != "" {
		places = strings.Count(s, sought)
	}
	if places*len(by) > 2*maxMemory {
		return Unsupported("$replace of so much")
	}
	return nil
}

// negative refuses a limit below nothing.
func negative(code string, v any) error {
	if f, is := asNumber(v); is && f < 0 {
		return &Error{Code: code}
	}
	return nil
}

func ascii(what string, v any) error {
	if s, is := v.(string); is {
		for i := range len(s) {
			if s[i] >= utf8.RuneSelf {
				return Unsupported(what + " of more than ASCII")
			}
		}
	}
	return nil
}

// checks are the signatures, read once.
var checks = func() map[string]*signature {
	all := map[string]*signature{}
	for name, s := range signatures {
		all[name] = newSignature(s.text)
	}
	return all
}()

// natives are all functions of JSONata but those of time and chance.
var natives = func() map[string]*native {
	all := map[string]*native{}
	for name, s := range signatures {
		call := own[name]
		if call == nil {
			if _, there := library.Lookup(name); !there || s.arity == 0 {
				continue
			}
			call = borrowed(name)
		}
		switch name {
		case "match", "replace", "split", "contains":
			call = regular(name, call)
		}
		if check := limited[name]; check != nil {
			unlimited := call
			call = func(e *evaluation, args []any, input any) (any, error) {
				if err := check(args); err != nil {
					return nil, err
				}
				return unlimited(e, args, input)
			}
		}
		all[name] = &native{arity: s.arity, check: checks[name], call: call, reckons: strings.Contains(s.text, "n") && name != "number"}
	}
	all["match"].call = matches(all["match"].call)
	all["base64decode"].call = asciiOnly(all["base64decode"].call)
	return all
}()

// matches gives the matches of gnata the shape of https://docs.jsonata.org/2.0.0/string-functions#match
func matches(find func(e *evaluation, args []any, input any) (any, error)) func(e *evaluation, args []any, input any) (any, error) {
	return func(e *evaluation, args []any, input any) (any, error) {
		v, err := find(e, args, input)
		if v == nil || err != nil {
			return nil, err
		}
		items, is := v.([]any)
		if !is {
			items = []any{v}
		}
		out := sequence()
		for _, item := range items {
			if m, is := item.(*Object); is {
				out.items = append(out.items, NewObject([]string{"match", "index", "groups"}, m.values["match"], m.values["start"], m.values["groups"]))
			}
		}
		return out, nil
	}
}

func asciiOnly(decode func(e *evaluation, args []any, input any) (any, error)) func(e *evaluation, args []any, input any) (any, error) {
	return func(e *evaluation, args []any, input any) (any, error) {
		v, err := decode(e, args, input)
		if err != nil {
			return nil, err
		}
		return v, ascii("$base64decode", v)
	}
}

// Function is a function that a Runtime adds. Arguments and result are values of
// this package; arrays are []any.
type Function func(args []any) (any, error)

// Runtime is what expressions are evaluated in.
type Runtime struct{ natives map[string]*native }

// NewRuntime makes one with a clock, and with functions of its maker's. A nil function
// takes one away.
func NewRuntime(now func() time.Time, added map[string]Function) *Runtime {
	r := &Runtime{natives: maps.Clone(natives)}
	millis := func() float64 { return float64(now().UnixMilli()) }
	written := natives["fromMillis"].call
	r.natives["millis"] = &native{check: checks["millis"], call: func(*evaluation, []any, any) (any, error) { return millis(), nil }}
	r.natives["now"] = &native{arity: 2, check: checks["now"], call: func(e *evaluation, args []any, input any) (any, error) {
		return written(e, append([]any{millis()}, args...), input)
	}}
	for name, f := range added {
		if f == nil {
			delete(r.natives, name)
			continue
		}
		n := &native{arity: 3, call: func(_ *evaluation, args []any, _ any) (any, error) {
			for i, arg := range args {
				if items, is := list(arg); is {
					args[i] = items
				}
			}
			return f(args)
		}}
		if s, known := signatures[name]; known {
			n.arity, n.check = s.arity, checks[name]
		} else {
			n.added = true
		}
		r.natives[name] = n
	}
	return r
}

// Sequence is an array of which one item stands for itself, and none for nothing.
func Sequence(items []any) any { return sequence(items...) }

// Eval evaluates an expression in at most so many steps, and says how many it took.
// The result is nil for undefined.
func (r *Runtime) Eval(x *Expression, steps int, lookUp func(name string) (any, bool)) (v any, took int, err error) {
	e := &evaluation{Runtime: r, lookUp: lookUp, steps: steps}
	v, err = e.eval(x.tree, nil, &frame{})
	switch {
	case e.steps < 0:
		v, err = nil, errBeyond
	case e.unordered:
		v, err = nil, orderUnknown
	case e.infinite:
		v, err = nil, outOfRange()
	case e.inexact:
		v, err = nil, errLarge
	}
	return v, steps - e.steps, err
}
