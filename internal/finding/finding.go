// Package finding reads a GuardDuty finding as EventBridge delivers it.
//
// It is strict about what decides, and tolerant of the rest, because shapes
// drift: https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings_eventbridge.html
package finding

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
)

// Instance is the one resource type that is about an EC2 instance and nothing
// else. Access-key findings carry instance details too, so the details say nothing.
const Instance = "Instance"

// sampleInstance is the instance of every sample finding that GuardDuty makes.
const sampleInstance = "i-99999999"

// A finding travels several times in one payload of 256 KiB, and its texts are
// other people's: what goes beyond these bytes is in the raw event.
const (
	longestTitle       = 512
	longestDescription = 4096
)

// Flags are what is asked of a finding before anyone acts on it.
type Flags struct {
	Account      string // of the envelope: where the event was delivered, not whose instance it is
	Region       string // of the envelope
	ResourceType string // "Instance", "AccessKey", "AttackSequence" …
	Sample       bool   // made by somebody who tries GuardDuty out
	Archived     bool   // suppressed by somebody, and emitted all the same
}

// Decode reads an EventBridge event. What is missing or of the wrong type is
// named in the error with its path. A finding about anything but an instance
// may lack an instance; one about an instance may not.
func Decode(event []byte) (incident.Finding, Flags, error) {
	r := &reader{}
	envelope := r.root(event)
	detail := r.object(envelope, "detail", needed)
	resource := r.object(detail, "resource", needed)
	service := r.object(detail, "service", optional)
	info := r.object(service, "additionalInfo", optional)

	flags := Flags{
		Account:      r.text(envelope, "account"),
		Region:       r.text(envelope, "region"),
		ResourceType: r.text(resource, "resourceType"),
		Archived:     r.flag(service, "archived"),
	}
	f := incident.Finding{
		ID:          r.text(detail, "id"),
		Type:        r.text(detail, "type"),
		Severity:    r.number(detail, "severity"),
		AccountID:   r.text(detail, "accountId"),
		Region:      r.text(detail, "region"),
		Title:       short(lenient[string](detail, "title"), longestTitle),
		Description: short(lenient[string](detail, "description"), longestDescription),
		Role:        lenient[string](service, "resourceRole"),
		Count:       lenient[int](service, "count"),
		UpdatedAt:   asReceived(detail, "updatedAt"),
		EventID:     r.text(envelope, "id"),
		EventTime:   r.time(envelope, "time"),
	}
	if flags.ResourceType == Instance {
		f.InstanceID = r.text(r.object(resource, "instanceDetails", needed), "instanceId")
	} else {
		f.InstanceID = lenient[string](lenientObject(resource, "instanceDetails"), "instanceId")
	}
	flags.Sample = f.InstanceID == sampleInstance ||
		strings.HasPrefix(strings.ToUpper(strings.TrimSpace(f.Title)), "[SAMPLE]") ||
		r.flag(info, "sample") || r.flag(r.embedded(info, "value"), "sample")
	if r.wrong != nil {
		return incident.Finding{}, Flags{}, fmt.Errorf("read finding: %w", errors.Join(r.wrong...))
	}
	return f, flags, nil
}

const (
	needed   = true
	optional = false
)

// object is a JSON object and where it stands. encoding/json would match
// struct fields whatever their case; keys of a map are matched exactly.
type object struct {
	path   string
	fields map[string]json.RawMessage
}

// get is a field's text; nil if it is absent or null.
func (o object) get(key string) json.RawMessage {
	if raw := o.fields[key]; string(raw) != "null" {
		return raw
	}
	return nil
}

func (o object) at(key string) string {
	return strings.TrimPrefix(o.path+"."+key, ".")
}

// reader collects everything that is wrong, so that a person who mends an
// event by hand is told once.
type reader struct{ wrong []error }

func (r *reader) complain(format string, a ...any) {
	r.wrong = append(r.wrong, fmt.Errorf(format, a...))
}

// missing names the key that was perhaps meant: findings pasted from
// GetFindings have the keys of the API's own spelling.
func (r *reader) missing(o object, key string) {
	var near []string
	for k := range o.fields {
		if k != key && strings.EqualFold(k, key) {
			near = append(near, k)
		}
	}
	if len(near) == 0 {
		r.complain("%s is missing", o.at(key))
		return
	}
	r.complain("%s is missing (there is %q; case matters)", o.at(key), slices.Min(near))
}

func (r *reader) root(event []byte) object {
	o := object{}
	if err := json.Unmarshal(event, &o.fields); err != nil {
		r.complain("event: %w", err)
	} else if o.fields == nil {
		r.complain("event: null, want an object")
	}
	return o
}

func (r *reader) object(in object, key string, must bool) object {
	o := object{path: in.at(key)}
	raw := in.get(key)
	switch {
	case raw == nil && must && in.fields != nil:
		r.missing(in, key)
	case raw != nil:
		if json.Unmarshal(raw, &o.fields) != nil {
			r.complain("%s is not an object", o.path)
		}
	}
	return o
}

// value decodes a field that must be there. What a missing object would have
// held is not complained about again.
func value[T any](r *reader, o object, key, kind string) T {
	var v T
	raw := o.get(key)
	switch {
	case raw == nil && o.fields != nil:
		r.missing(o, key)
	case raw != nil:
		if json.Unmarshal(raw, &v) != nil {
			r.complain("%s is not a %s", o.at(key), kind)
		}
	}
	return v
}

func (r *reader) text(o object, key string) string {
	s := value[string](r, o, key, "string")
	if s == "" && o.get(key) != nil && string(o.get(key)) == `""` {
		r.complain("%s is empty", o.at(key))
	}
	return s
}

func (r *reader) number(o object, key string) float64 {
	return value[float64](r, o, key, "number")
}

func (r *reader) time(o object, key string) time.Time {
	s := r.text(o, key)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		r.complain("%s is not a time as in 2006-01-02T15:04:05Z", o.at(key))
	}
	return t
}

// flag is false when absent. Another type is an error: "true" as text may mean
// that nothing must be touched.
func (r *reader) flag(o object, key string) bool {
	if o.get(key) == nil {
		return false
	}
	return value[bool](r, o, key, "boolean")
}

// embedded is the object that a JSON text in a field holds: newer findings say
// only there that they are samples. Any other text is somebody's own.
func (r *reader) embedded(o object, key string) object {
	in := object{path: o.at(key)}
	raw := o.get(key)
	var text string
	if json.Unmarshal(raw, &text) == nil {
		raw = json.RawMessage(text)
	}
	if json.Unmarshal(raw, &in.fields) != nil {
		in.fields = nil
	}
	return in
}

// lenient is a field that nothing depends on; zero where it is not a T.
func lenient[T any](o object, key string) T {
	var v, zero T
	if json.Unmarshal(o.get(key), &v) != nil {
		return zero
	}
	return v
}

func lenientObject(in object, key string) object {
	o := object{path: in.at(key)}
	if json.Unmarshal(in.get(key), &o.fields) != nil {
		o.fields = nil
	}
	return o
}

// asReceived is a text as it came, or a number's digits.
func asReceived(o object, key string) string {
	raw := o.get(key)
	var n json.Number
	if s := lenient[string](o, key); s != "" {
		return s
	}
	if json.Unmarshal(raw, &n) != nil {
		return ""
	}
	return n.String()
}

func short(s string, bytes int) string {
	if len(s) <= bytes {
		return s
	}
	return strings.ToValidUTF8(s[:bytes], "")
}
