package memory_test

import (
	"encoding/json"
	"os"
	"testing"

	"cordon/internal/memory"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// What is deployed is what is tested here: the template's documents, scripts
// included, are Document and WindowsDocument.
func TestTheTemplateHoldsTheDocuments(t *testing.T) {
	text, err := os.ReadFile("../../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var template struct {
		Resources map[string]yaml.Node `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(text, &template); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]map[string]any{"MemoryDocument": memory.Document(), "MemoryWindowsDocument": memory.WindowsDocument()} {
		var resource struct {
			Properties struct {
				Content map[string]any `yaml:"Content"`
			} `yaml:"Properties"`
		}
		node := template.Resources[id]
		if err := node.Decode(&resource); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(asJSON(t, want), asJSON(t, resource.Properties.Content)); d != "" {
			t.Errorf("template.yaml's %s is not what internal/memory makes it:\n%s", id, d)
		}
	}
}

func asJSON(t *testing.T, v any) (out any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
