package sim

import "reflect"

// clone is a deep copy of a value of SDK types, so that nobody holds what the account holds.
func clone[T any](v T) T { return copied(reflect.ValueOf(&v).Elem()).Interface().(T) }

func copied(v reflect.Value) reflect.Value {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return v
		}
		to := reflect.New(v.Type().Elem())
		to.Elem().Set(copied(v.Elem()))
		return to
	case reflect.Struct:
		to := reflect.New(v.Type()).Elem()
		to.Set(v)
		for n := range v.NumField() {
			if v.Type().Field(n).IsExported() && deep(v.Field(n).Kind()) {
				to.Field(n).Set(copied(v.Field(n)))
			}
		}
		return to
	case reflect.Slice:
		if v.IsNil() {
			return v
		}
		to := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
		reflect.Copy(to, v)
		if deep(v.Type().Elem().Kind()) {
			for n := range v.Len() {
				to.Index(n).Set(copied(v.Index(n)))
			}
		}
		return to
	case reflect.Map:
		if v.IsNil() {
			return v
		}
		to := reflect.MakeMapWithSize(v.Type(), v.Len())
		for _, k := range v.MapKeys() {
			to.SetMapIndex(k, copied(v.MapIndex(k)))
		}
		return to
	}
	return v
}

func deep(k reflect.Kind) bool {
	return k == reflect.Pointer || k == reflect.Struct || k == reflect.Slice || k == reflect.Map
}
