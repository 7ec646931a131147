package e2e

import (
	"bytes"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Lacking are the resources that ministack cannot make, with the name that each
// has then: what refers to it gets the name. Nothing else is left out, and what
// is listed here must be in the template.
var Lacking = map[string]struct{ Type, Name string }{
	"MemoryDocument":        {"AWS::SSM::Document", "cordon-MemoryDocument"},
	"MemoryWindowsDocument": {"AWS::SSM::Document", "cordon-MemoryWindowsDocument"},
}

// Architecture is this machine's, as Lambda calls it; empty where it has no name for it.
func Architecture() string {
	return map[string]string{"amd64": "x86_64", "arm64": "arm64"}[runtime.GOARCH]
}

// Deployable is a template that sam built, as ministack can take it: without
// what is lacking, and for the architecture that it was built for.
func Deployable(built []byte, architecture string) ([]byte, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(built, &document); err != nil {
		return nil, fmt.Errorf("the built template: %w", err)
	}
	root := document.Content[0]
	resources := member(root, "Resources")
	if resources == nil {
		return nil, fmt.Errorf("the built template has no Resources")
	}
	for _, id := range sortedKeys(Lacking) {
		typ := member(member(resources, id), "Type")
		if typ == nil || typ.Value != Lacking[id].Type {
			return nil, fmt.Errorf("the template has no %s %s any more; take it off the list of what is left out", Lacking[id].Type, id)
		}
		drop(resources, id)
		if err := name(root, id, Lacking[id].Name); err != nil {
			return nil, err
		}
	}
	architectures := member(member(member(root, "Globals"), "Function"), "Architectures")
	if architectures == nil || len(architectures.Content) != 1 {
		return nil, fmt.Errorf("the template's Globals do not name one architecture for all functions")
	}
	architectures.Content[0].Value = architecture
	var text bytes.Buffer
	if err := yaml.NewEncoder(&text).Encode(&document); err != nil {
		return nil, err
	}
	return text.Bytes(), nil
}

// member is the value under a key of a mapping; nil if there is none.
func member(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func drop(n *yaml.Node, key string) {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			n.Content = slices.Delete(n.Content, i, i+2)
			return
		}
	}
}

// name puts a name where the template refers to a resource that is left out.
func name(n *yaml.Node, id, to string) error {
	switch ref, get := member(n, "Ref"), member(n, "Fn::GetAtt"); {
	case ref != nil && ref.Value == id:
		*n = yaml.Node{Kind: yaml.ScalarNode, Value: to}
		return nil
	case get != nil && (strings.HasPrefix(get.Value, id+".") || len(get.Content) > 0 && get.Content[0].Value == id):
		return fmt.Errorf("line %d: an attribute of %s, which is left out, is not known", get.Line, id)
	}
	if sub := member(n, "Fn::Sub"); sub != nil && sub.Kind == yaml.ScalarNode {
		sub.Value = strings.ReplaceAll(sub.Value, "${"+id+"}", to)
		if strings.Contains(sub.Value, "${"+id+".") {
			return fmt.Errorf("line %d: an attribute of %s, which is left out, is not known", sub.Line, id)
		}
	}
	if depends := member(n, "DependsOn"); depends != nil && (depends.Value == id || slices.ContainsFunc(depends.Content, func(d *yaml.Node) bool { return d.Value == id })) {
		return fmt.Errorf("line %d: something depends on %s, which is left out", depends.Line, id)
	}
	for _, inner := range n.Content {
		if err := name(inner, id, to); err != nil {
			return err
		}
	}
	return nil
}

func sortedKeys[V any](m map[string]V) []string {
	all := make([]string, 0, len(m))
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}
