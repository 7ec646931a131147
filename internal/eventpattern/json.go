package eventpattern

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// object keeps what a map would lose: the order of fields, and those that are
// there twice.
type object []field

type field struct {
	name  string
	value any // object, []any, string, json.Number, bool or nil
}

// decode reads exactly one JSON value. Keys keep their case: encoding/json into
// a struct would take Severity for severity.
func decode(b []byte, refuseTwice bool) (any, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	// The token reader passes over misplaced commas and the like.
	if !json.Valid(b) {
		var v any
		if err := json.Unmarshal(b, &v); err != nil {
			return nil, fmt.Errorf("it is not JSON: %w", err)
		}
		return nil, errors.New("it is not JSON")
	}
	v, err := value(d, refuseTwice)
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON value")
	}
	return v, nil
}

func value(d *json.Decoder, refuseTwice bool) (any, error) {
	t, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch t {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := value(d, refuseTwice)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	case json.Delim('{'):
		o, seen := object{}, map[string]bool{}
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return nil, err
			}
			name := k.(string) // in an object, More is true only before a key
			if seen[name] && refuseTwice {
				return nil, fmt.Errorf("the key %q is there twice in one object", name)
			}
			seen[name] = true
			v, err := value(d, refuseTwice)
			if err != nil {
				return nil, err
			}
			o = append(o, field{name, v})
		}
		_, err := d.Token()
		return o, err
	}
	return t, nil
}
