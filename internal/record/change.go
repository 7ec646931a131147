package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"cordon/internal/incident"
)

// Image is an item as a stream tells it: attribute to value.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_AttributeValue.html
type Image map[string]Value

// Value has one member, that of its type. The record writes no list, no map and no set.
type Value struct {
	S, N       *string
	BOOL, NULL *bool
	B, L, M    json.RawMessage
	SS, NS, BS json.RawMessage
}

// Text is an attribute that is a string; empty where there is none.
func (i Image) Text(name string) string {
	if s := i[name].S; s != nil {
		return *s
	}
	return ""
}

// untold are members of a body that nobody is told, also not those who may read
// the evidence. They are looked for wherever they stand.
var untold = []string{"secret", "secretHash", "token"}

// Told is what may be told of an item to whoever may read the evidence, each
// attribute as JSON, and what is left out of it, by name. What is binary
// is a ciphertext here, of a link or a task token. "body" is the value that its JSON
// text stands for.
func (i Image) Told() (told map[string]json.RawMessage, without []string) {
	told = map[string]json.RawMessage{}
	for name, v := range i {
		switch {
		case v.S != nil && name == "body":
			var left []string
			told[name], left = toldOf(*v.S)
			without = append(without, left...)
		case v.S != nil:
			told[name] = quoted(*v.S)
		case v.N != nil && json.Valid([]byte(*v.N)):
			told[name] = json.RawMessage(*v.N)
		case v.N != nil:
			told[name] = quoted(*v.N)
		case v.BOOL != nil:
			told[name] = strconv.AppendBool(nil, *v.BOOL)
		case v.NULL != nil:
			told[name] = strconv.AppendBool(nil, *v.NULL)
		default:
			without = append(without, name)
		}
	}
	slices.Sort(without)
	return told, slices.Compact(without)
}

// quoted is a text as JSON.
func quoted(text string) json.RawMessage {
	b, _ := json.Marshal(text) // a string has a form in JSON, whatever it holds
	return b
}

// toldOf is a body without what is not told; the text itself if it is no JSON,
// which the record never writes.
func toldOf(text string) (told json.RawMessage, without []string) {
	if !json.Valid([]byte(text)) {
		return quoted(text), nil
	}
	return strip("body", json.RawMessage(text))
}

// strip leaves out of a value the members that nobody is told, and names them. What
// has none stays as it was written.
func strip(at string, value json.RawMessage) (rest json.RawMessage, without []string) {
	// A name could be escaped.
	if !bytes.Contains(value, []byte(`\u00`)) && !slices.ContainsFunc(untold, func(name string) bool { return bytes.Contains(value, []byte(`"`+name+`"`)) }) {
		return value, nil
	}
	var whole any
	var members map[string]json.RawMessage
	var elements []json.RawMessage
	switch {
	case json.Unmarshal(value, &members) == nil:
		for _, name := range slices.Sorted(maps.Keys(members)) {
			if slices.Contains(untold, name) {
				delete(members, name)
				without = append(without, at+"."+name)
				continue
			}
			var left []string
			members[name], left = strip(at+"."+name, members[name])
			without = append(without, left...)
		}
		whole = members
	case json.Unmarshal(value, &elements) == nil:
		for n := range elements {
			var left []string
			elements[n], left = strip(at, elements[n])
			without = append(without, left...)
		}
		whole = elements
	}
	if len(without) == 0 {
		return value, nil
	}
	rest, err := json.Marshal(whole)
	if err != nil {
		return json.RawMessage("null"), []string{at} // not reached: it has been JSON
	}
	return rest, without
}

// Whose is the incident that an item of either table belongs to; false for what
// belongs to none: places of limits and turns of queues.
func Whose(pk, sk string) (id string, ok bool) {
	id = strings.TrimPrefix(pk, requestPK(""))
	if number, head := strings.CutPrefix(sk, "incident#"); head {
		var n int
		if _, err := fmt.Sscanf(number, "%06d", &n); err != nil || headSK(n) != sk {
			return "", false
		}
		id = incident.NewID(pk, n)
	}
	if _, _, err := incident.SplitID(id); err != nil || strings.ContainsFunc(id, func(r rune) bool {
		return r <= ' ' || r == '/' || r == '\\' || r == '#' || r > '~'
	}) {
		return "", false
	}
	return id, true
}
