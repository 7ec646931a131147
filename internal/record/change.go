package record

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cordon/internal/incident"
)

// Image is an item as a stream tells it: attribute to type to value.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_AttributeValue.html
type Image map[string]map[string]json.RawMessage

// Text is an attribute that is a string; empty where there is none.
func (i Image) Text(name string) string {
	var s string
	if json.Unmarshal(i[name]["S"], &s) != nil {
		return ""
	}
	return s
}

// untold are members of a body that nobody is told, also not those who may read
// the evidence. They are looked for wherever they stand.
var untold = []string{"secret", "secretHash", "token"}

// Told is what may be told of an item to whoever may read the evidence, and
// what is left out of it, by name. What is binary is a ciphertext here, of a link
// or a task token. "body" is the value that its JSON text stands for.
func (i Image) Told() (told map[string]any, without []string) {
	told = map[string]any{}
	for name, v := range i {
		switch {
		case len(v) == 1 && v["S"] != nil:
			text := i.Text(name)
			told[name] = text
			if body, left, ok := toldOf(text); name == "body" && ok {
				told[name] = body
				without = append(without, left...)
			}
		case len(v) == 1 && v["N"] != nil:
			var n json.Number
			if json.Unmarshal(v["N"], &n) == nil {
				told[name] = n
			}
		case len(v) == 1 && (v["BOOL"] != nil || v["NULL"] != nil):
			told[name] = json.RawMessage(append(slices.Clone(v["BOOL"]), v["NULL"]...))
		default:
			without = append(without, name)
		}
	}
	slices.Sort(without)
	return told, slices.Compact(without)
}

// toldOf is a body without what is not told; false if it is no JSON, which the
// record never writes.
func toldOf(text string) (body any, without []string, ok bool) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber() // as it was written
	if d.Decode(&body) != nil || d.More() {
		return nil, nil, false
	}
	var strip func(at string, v any)
	strip = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for name, member := range v {
				if slices.Contains(untold, name) {
					delete(v, name)
					without = append(without, at+"."+name)
					continue
				}
				strip(at+"."+name, member)
			}
		case []any:
			for _, member := range v {
				strip(at, member)
			}
		}
	}
	strip("body", body)
	return body, without, true
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
