package sim

import (
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"
)

// clone is a deep copy of a value of SDK types, so that nobody holds what the
// account holds.
func clone[T any](v T) T {
	deepen(reflect.ValueOf(&v).Elem())
	return v
}

// deepen puts copies into the places of everything that v shares.
func deepen(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		if v.IsNil() || copied(v.Addr().Interface()) {
			return
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		to := reflect.New(v.Type().Elem())
		to.Elem().Set(v.Elem())
		deepen(to.Elem())
		v.Set(to)
	case reflect.Struct:
		for _, n := range sharing(v.Type()) {
			deepen(v.Field(n))
		}
	case reflect.Slice:
		to := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(to, v)
		if shares(v.Type().Elem()) {
			for n := range to.Len() {
				deepen(to.Index(n))
			}
		}
		v.Set(to)
	case reflect.Map:
		to := reflect.MakeMapWithSize(v.Type(), v.Len())
		for all := v.MapRange(); all.Next(); {
			e := reflect.New(v.Type().Elem()).Elem()
			e.Set(all.Value())
			deepen(e)
			to.SetMapIndex(all.Key(), e)
		}
		v.Set(to)
	}
}

// copied copies what most pointers, slices and maps of the SDK are, without reflection.
func copied(pointer any) bool {
	switch p := pointer.(type) {
	case *[]string:
		*p = slices.Clone(*p)
	case *[]byte:
		*p = slices.Clone(*p)
	case *map[string]string:
		*p = maps.Clone(*p)
	case *item: // of interfaces
		*p = maps.Clone(*p)
	case **string:
		*p = new(**p)
	case **bool:
		*p = new(**p)
	case **int32:
		*p = new(**p)
	case **int64:
		*p = new(**p)
	case **time.Time:
		*p = new(**p)
	default:
		return false
	}
	return true
}

// shares tells whether an assignment of that type leaves something shared. What
// an interface holds is never changed in place.
func shares(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return true
	case reflect.Struct:
		return len(sharing(t)) > 0
	}
	return false
}

var sharingFields sync.Map // []int by reflect.Type

// sharing are the exported fields of a struct that share something. Asked of
// reflect once a type: that costs more than many a copy.
func sharing(t reflect.Type) []int {
	if known, ok := sharingFields.Load(t); ok {
		return known.([]int)
	}
	var all []int
	for n := range t.NumField() {
		if f := t.Field(n); f.IsExported() && shares(f.Type) {
			all = append(all, n)
		}
	}
	sharingFields.Store(t, all)
	return all
}
