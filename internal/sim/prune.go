package sim

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
)

// pruned is a value of SDK types as JSON has it, without the fields that say
// nothing: nil, an enum without a value, a struct without fields. An empty list
// or text that somebody wrote stays: no rules is not the same as not told.
func pruned(v any) any { return prune(reflect.ValueOf(v)) }

var marshaler = reflect.TypeFor[json.Marshaler]()

func prune(v reflect.Value) any {
	if !v.IsValid() {
		return nil
	}
	if v.Type().Implements(marshaler) && !(v.Kind() == reflect.Pointer && v.IsNil()) {
		return v.Interface()
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			return nil
		}
		if v.Elem().Kind() == reflect.String {
			return v.Elem().String()
		}
		return prune(v.Elem())
	case reflect.String:
		if v.String() == "" {
			return nil
		}
		return v.String()
	case reflect.Struct:
		m := map[string]any{}
		for n := range v.NumField() {
			if f := v.Type().Field(n); f.IsExported() {
				if p := prune(v.Field(n)); p != nil {
					m[f.Name] = p
				}
			}
		}
		if len(m) == 0 {
			return nil
		}
		return m
	case reflect.Slice:
		if v.IsNil() {
			return nil
		}
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return v.Interface()
		}
		l := make([]any, v.Len())
		for n := range l {
			if l[n] = prune(v.Index(n)); l[n] == nil {
				l[n] = map[string]any{}
			}
		}
		return l
	case reflect.Map:
		if v.Len() == 0 {
			return nil
		}
		m := map[string]any{}
		for _, k := range v.MapKeys() {
			m[k.String()] = prune(v.MapIndex(k))
		}
		return m
	}
	return v.Interface()
}

func sortedKeys[K cmp.Ordered, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }

// optional is a section that is told only where it was set.
func optional[T any](key string, v *T) section {
	s := kept(key, v)
	s.save = func() any {
		if reflect.ValueOf(*v).IsZero() {
			return nil
		}
		return *v
	}
	return s
}
