package template

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Substitute replaces every ${Name} of a state machine's definition, as
// DefinitionSubstitutions does: the text as it is, without escapes. A name
// without a value, and a value without a use, are errors: a definition that
// still holds ${Name} deploys, and fails at night.
func Substitute(definition []byte, substitutions map[string]string) ([]byte, error) {
	used := map[string]bool{}
	var wrong error
	out := placeholder.ReplaceAllFunc(definition, func(found []byte) []byte {
		name := string(found[2 : len(found)-1])
		v, ok := substitutions[name]
		if !ok && wrong == nil {
			line := 1 + bytes.Count(definition[:bytes.Index(definition, found)], []byte("\n"))
			wrong = fmt.Errorf("substituting in the definition: line %d: %s has no value in DefinitionSubstitutions", line, found)
		}
		used[name] = true
		return []byte(v)
	})
	if wrong != nil {
		return nil, wrong
	}
	var unused []string
	for _, name := range slices.Sorted(maps.Keys(substitutions)) {
		if !used[name] {
			unused = append(unused, name)
		}
	}
	if unused != nil {
		return nil, fmt.Errorf("substituting in the definition: it does not use %s of DefinitionSubstitutions; take it out, or use it", strings.Join(unused, ", "))
	}
	if !json.Valid(out) {
		var v any
		return nil, fmt.Errorf("substituting in the definition: the result is not JSON: %w", json.Unmarshal(out, &v))
	}
	return out, nil
}
