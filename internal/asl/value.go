package asl

import (
	"bytes"
	"encoding/json"

	"cordon/internal/jsonata"
)

// value is a JSON text and, once somebody has asked for it, what it means to
// JSONata. It never changes; an execution runs on one goroutine at a time.
type value struct {
	raw     json.RawMessage
	decoded any
	ready   bool
	lazy    func() (any, error)        // makes decoded, where there is no text
	members map[string]json.RawMessage // parts of raw, where a template made it an object
}

func newValue(raw json.RawMessage) *value { return &value{raw: raw} }

func (v *value) data() (any, error) {
	if !v.ready {
		decode := v.lazy
		if decode == nil {
			decode = func() (any, error) { return jsonata.Decode(v.raw) }
		}
		d, err := decode()
		if err != nil {
			return nil, err
		}
		v.decoded, v.ready = d, true
	}
	return v.decoded, nil
}

// compact is raw without white space, or an error when it is not one JSON value.
func compact(raw json.RawMessage) (json.RawMessage, error) {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}
