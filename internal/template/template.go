// Package template reads a SAM template just far enough that a rehearsal runs
// with what is deployed: parameters, conditions, intrinsic functions, Globals,
// and of the resources their names, ARNs, settings, rules and roles.
//
// What it does not know it refuses by name and line, rather than to rehearse
// something else than what CloudFormation would make.
//
//   - https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/template-anatomy.html
//   - https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/intrinsic-function-reference.html
//   - https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy.html
package template

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const transform = "AWS::Serverless-2016-10-31"

// Template is a template that was read. It is never changed: deploy it as often
// as wanted.
type Template struct {
	parameters []Parameter
	assertions []assertion
	conditions map[string]*yaml.Node
	globals    *yaml.Node // properties of every function; nil if there are none
	resources  []declaration
	outputs    []declaration
}

// declaration is a resource or an output as it is written.
type declaration struct {
	name    string
	node    *yaml.Node // its name
	fields  map[string]*yaml.Node
	typ     string // of a resource
	depends []string
}

// assertion is what a rule of the section Rules asks of the parameters.
type assertion struct {
	rule      string
	condition *yaml.Node // nil: always
	assert    *yaml.Node
	text      string // what is wrong where it does not hold
}

// Parse reads a template in YAML. Every error gives the line.
func Parse(text []byte) (*Template, error) {
	d := yaml.NewDecoder(bytes.NewReader(text))
	var document yaml.Node
	if err := d.Decode(&document); err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	if err := d.Decode(&yaml.Node{}); !errors.Is(err, io.EOF) {
		return nil, errors.New("reading the template: there is more than one YAML document in it")
	}
	t := &Template{conditions: map[string]*yaml.Node{}}
	if err := t.read(document.Content[0]); err != nil {
		return nil, fmt.Errorf("reading the template: %w", err)
	}
	return t, nil
}

func (t *Template) read(root *yaml.Node) error {
	if err := check(root); err != nil {
		return err
	}
	sections, err := fields(root, "the template", "AWSTemplateFormatVersion", "Transform", "Description", "Metadata",
		"Parameters", "Rules", "Conditions", "Globals", "Resources", "Outputs")
	if err != nil {
		return err
	}
	if s := sections["Transform"]; s != nil && (s.Kind != yaml.ScalarNode || s.Value != transform) {
		return at(s, "the transform is not %s; no other is supported", transform)
	}
	if s := sections["AWSTemplateFormatVersion"]; s != nil && s.Value != "2010-09-09" {
		return at(s, "AWSTemplateFormatVersion is %q; there is only 2010-09-09", s.Value)
	}
	if s := sections["Parameters"]; s != nil {
		entries, err := mapping(s, "Parameters")
		if err != nil {
			return err
		}
		for _, e := range entries {
			p, err := readParameter(e.key, e.value)
			if err != nil {
				return err
			}
			t.parameters = append(t.parameters, p)
		}
	}
	if s := sections["Rules"]; s != nil {
		if err := t.readRules(s); err != nil {
			return err
		}
	}
	if s := sections["Conditions"]; s != nil {
		entries, err := mapping(s, "Conditions")
		if err != nil {
			return err
		}
		for _, e := range entries {
			t.conditions[e.key] = e.value
		}
	}
	if s := sections["Globals"]; s != nil {
		globals, err := fields(s, "Globals", "Function")
		if err != nil {
			return err
		}
		if t.globals = globals["Function"]; t.globals != nil {
			if _, err := mapping(t.globals, "Globals.Function"); err != nil {
				return err
			}
		}
	}
	if sections["Resources"] == nil {
		return at(root, "there is no section Resources")
	}
	if t.resources, err = declarations(sections["Resources"], "Resources",
		"Type", "Properties", "Condition", "DependsOn", "Metadata", "DeletionPolicy", "UpdateReplacePolicy"); err != nil {
		return err
	}
	if s := sections["Outputs"]; s != nil {
		if t.outputs, err = declarations(s, "Outputs", "Description", "Value", "Condition", "Export"); err != nil {
			return err
		}
	}
	return t.checkDeclarations()
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/rules-section-structure.html
func (t *Template) readRules(s *yaml.Node) error {
	entries, err := mapping(s, "Rules")
	if err != nil {
		return err
	}
	for _, e := range entries {
		rule, err := fields(e.value, "the rule "+e.key, "RuleCondition", "Assertions")
		if err != nil {
			return err
		}
		all := rule["Assertions"]
		if all == nil || all.Kind != yaml.SequenceNode || len(all.Content) == 0 {
			return at(e.node, "the rule %s has no list of Assertions", e.key)
		}
		for _, a := range all.Content {
			one, err := fields(a, "an assertion of the rule "+e.key, "Assert", "AssertDescription")
			if err != nil {
				return err
			}
			text := one["AssertDescription"]
			if one["Assert"] == nil || text == nil || text.Kind != yaml.ScalarNode {
				return at(a, "an assertion of the rule %s needs Assert and AssertDescription", e.key)
			}
			t.assertions = append(t.assertions, assertion{e.key, rule["RuleCondition"], one["Assert"], text.Value})
		}
	}
	return nil
}

func (t *Template) checkDeclarations() error {
	for n := range t.resources {
		r := &t.resources[n]
		typ := r.fields["Type"]
		if typ == nil || typ.Kind != yaml.ScalarNode {
			return at(r.node, "the resource %s has no Type", r.name)
		}
		if _, known := kinds[typ.Value]; !known {
			return at(typ, "the resource %s is of the type %s, which is not supported by a rehearsal", r.name, typ.Value)
		}
		r.typ = typ.Value
		if slices.ContainsFunc(t.parameters, func(p Parameter) bool { return p.Name == r.name }) {
			return at(r.node, "%s is a parameter and a resource", r.name)
		}
		if d := r.fields["DependsOn"]; d != nil {
			for _, e := range elements(d) {
				if !slices.ContainsFunc(t.resources, func(o declaration) bool { return o.name == e.Value }) {
					return at(e, "%s depends on %q, which is no resource of the template", r.name, e.Value)
				}
				r.depends = append(r.depends, e.Value)
			}
		}
	}
	for _, d := range slices.Concat(t.resources, t.outputs) {
		if c := d.fields["Condition"]; c != nil && t.conditions[c.Value] == nil {
			return at(c, "%s has the condition %q, which is not in Conditions", d.name, c.Value)
		}
	}
	for _, o := range t.outputs {
		if o.fields["Value"] == nil {
			return at(o.node, "the output %s has no Value", o.name)
		}
	}
	return nil
}

// elements gives the elements of a list, or the one value that is no list.
func elements(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.SequenceNode {
		return n.Content
	}
	return []*yaml.Node{n}
}

// Parameters lists the template's parameters in its order, without values.
func (t *Template) Parameters() []Parameter { return slices.Clone(t.parameters) }

type entry struct {
	key   string
	node  *yaml.Node // of the key
	value *yaml.Node
}

// mapping lists the entries of a mapping; check has seen to its keys.
func mapping(n *yaml.Node, what string) ([]entry, error) {
	if n.Kind != yaml.MappingNode || strings.HasPrefix(n.Tag, "!") && n.Tag != "!!map" {
		return nil, at(n, "%s must be a map", what)
	}
	entries := make([]entry, 0, len(n.Content)/2)
	for i := 0; i < len(n.Content); i += 2 {
		entries = append(entries, entry{n.Content[i].Value, n.Content[i], n.Content[i+1]})
	}
	return entries, nil
}

// fields reads a mapping whose keys are known.
func fields(n *yaml.Node, what string, known ...string) (map[string]*yaml.Node, error) {
	entries, err := mapping(n, what)
	if err != nil {
		return nil, err
	}
	all := map[string]*yaml.Node{}
	for _, e := range entries {
		if !slices.Contains(known, e.key) {
			return nil, at(e.node, "%s has the key %q, which is not supported; known are %s", what, e.key, strings.Join(known, ", "))
		}
		all[e.key] = e.value
	}
	return all, nil
}

func declarations(n *yaml.Node, section string, known ...string) ([]declaration, error) {
	entries, err := mapping(n, section)
	if err != nil {
		return nil, err
	}
	var all []declaration
	for _, e := range entries {
		f, err := fields(e.value, e.key, known...)
		if err != nil {
			return nil, err
		}
		if c := f["Condition"]; c != nil && c.Kind != yaml.ScalarNode {
			return nil, at(c, "%s: Condition must be the name of a condition", e.key)
		}
		all = append(all, declaration{name: e.key, node: e.node, fields: f})
	}
	return all, nil
}

// check refuses what CloudFormation reads otherwise than this package would, and
// functions that it does not know, everywhere: a branch of Fn::If that is not
// taken today must not be a surprise tomorrow.
func check(n *yaml.Node) error {
	switch n.Kind {
	case yaml.AliasNode:
		return at(n, "YAML aliases (*%s) are not supported; write it out", n.Value)
	case yaml.ScalarNode:
		if n.ShortTag() == "!!null" {
			return at(n, "there is no value here; CloudFormation refuses null")
		}
		if n.Style == 0 && slices.Contains([]string{"yes", "no", "on", "off"}, strings.ToLower(n.Value)) && n.ShortTag() == "!!str" {
			return at(n, "%s is a boolean to CloudFormation (YAML 1.1) and a string to others; write true, false or %q", n.Value, n.Value)
		}
	case yaml.MappingNode:
		seen := map[string]bool{}
		for i := 0; i < len(n.Content); i += 2 {
			k := n.Content[i]
			if k.Kind != yaml.ScalarNode {
				return at(k, "a key must be a string")
			}
			if k.ShortTag() == "!!merge" {
				return at(k, "YAML merge keys (<<) are not supported; write it out")
			}
			if seen[k.Value] {
				return at(k, "the key %q is there twice", k.Value)
			}
			seen[k.Value] = true
		}
	}
	if _, _, err := function(n); err != nil {
		return err
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 {
			continue
		}
		if err := check(c); err != nil {
			return err
		}
	}
	return nil
}

// located is an error with the line that it is about.
type located struct {
	line int
	err  error
}

func (e *located) Error() string { return fmt.Sprintf("line %d: %v", e.line, e.err) }
func (e *located) Unwrap() error { return e.err }

// locate gives an error a line, unless it has one from deeper inside already.
func locate(line int, err error) error {
	var l *located
	if err == nil || errors.As(err, &l) {
		return err
	}
	return &located{line, err}
}

func at(n *yaml.Node, format string, args ...any) error {
	return locate(n.Line, fmt.Errorf(format, args...))
}
