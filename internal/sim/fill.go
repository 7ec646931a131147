package sim

import (
	"encoding/json"
	"fmt"
	"reflect"
)

// Fill sets the fields of the struct that to points to: each to what the account file
// would hold now under the key of its name, copied. It says what JSON and reading that
// would, for a tenth of the work.
func (a *Account) Fill(to any) error {
	all := map[string]section{}
	for _, s := range a.sections() {
		all[s.key] = s
	}
	v := reflect.ValueOf(to).Elem()
	for n := range v.NumField() {
		name := v.Type().Field(n).Name
		s, ok := all[name]
		if !ok {
			return fmt.Errorf("the account file has no key %q", name)
		}
		if err := fill(v.Field(n), reflect.ValueOf(s.save())); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

var text = reflect.TypeFor[json.RawMessage]()

// fill copies a value into one of the same form: of the same type, or with values
// where the other has pointers or their JSON.
func fill(to, from reflect.Value) error {
	switch {
	case to.Type() == from.Type():
		to.Set(from)
		deepen(to)
	case from.Type() == text:
		return json.Unmarshal(from.Bytes(), to.Addr().Interface())
	case from.Kind() == reflect.Pointer:
		if !from.IsNil() {
			return fill(to, from.Elem())
		}
	case from.Kind() == reflect.Slice && to.Kind() == reflect.Slice:
		all := reflect.MakeSlice(to.Type(), from.Len(), from.Len())
		for n := range from.Len() {
			if err := fill(all.Index(n), from.Index(n)); err != nil {
				return err
			}
		}
		to.Set(all)
	case from.Kind() == reflect.Map && to.Kind() == reflect.Map:
		all := reflect.MakeMapWithSize(to.Type(), from.Len())
		for each := from.MapRange(); each.Next(); {
			v := reflect.New(to.Type().Elem()).Elem()
			if err := fill(v, each.Value()); err != nil {
				return err
			}
			all.SetMapIndex(each.Key(), v)
		}
		to.Set(all)
	case from.Kind() == reflect.Struct && to.Kind() == reflect.Struct:
		for n := range to.NumField() {
			if err := fill(to.Field(n), from.FieldByName(to.Type().Field(n).Name)); err != nil {
				return err
			}
		}
	default:
		return fmt.Errorf("a %s is no %s", from.Type(), to.Type())
	}
	return nil
}
