package template

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// functions are the intrinsic functions that are known; those of conditions
// stand in the section Conditions only.
var (
	functions          = []string{"Ref", "Fn::GetAtt", "Fn::Sub", "Fn::If", "Fn::Join", "Fn::Select", "Fn::Split"}
	conditionFunctions = []string{"Condition", "Fn::Equals", "Fn::And", "Fn::Or", "Fn::Not"}
)

// noValue stands for AWS::NoValue until what holds it leaves it out.
type noValue struct{}

// function tells which function a node calls, short or long, and with what; the
// name is empty if it calls none.
func function(n *yaml.Node) (name string, argument *yaml.Node, err error) {
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		name = n.Tag[1:]
		if name != "Ref" && name != "Condition" {
			name = "Fn::" + name
		}
		bare := *n
		bare.Tag = map[yaml.Kind]string{yaml.MappingNode: "!!map", yaml.SequenceNode: "!!seq"}[n.Kind]
		if n.Kind == yaml.ScalarNode {
			bare.Tag = "!!str"
		}
		argument = &bare
	} else if n.Kind == yaml.MappingNode {
		for i := 0; i < len(n.Content); i += 2 {
			if k := n.Content[i].Value; k == "Ref" || strings.HasPrefix(k, "Fn::") {
				if len(n.Content) != 2 {
					return "", nil, at(n.Content[i], "%s must stand alone in its map", k)
				}
				name, argument = k, n.Content[1]
			}
		}
	}
	if name != "" && !slices.Contains(functions, name) && !slices.Contains(conditionFunctions, name) {
		return "", nil, at(n, "the function %s is not supported by a rehearsal", name)
	}
	return name, argument, nil
}

// resolve gives the value of a node as CloudFormation would deploy it: string,
// json.Number, bool, []any, map[string]any, or noValue. It notes that the
// resource from needs those it refers to; from is empty where that does not
// matter.
func (d *Deployment) resolve(n *yaml.Node, from string) (any, error) {
	name, argument, err := function(n)
	if err != nil {
		return nil, err
	}
	if name != "" {
		v, err := d.call(name, argument, from)
		if err != nil {
			return nil, locate(n.Line, fmt.Errorf("%s: %w", name, err))
		}
		return v, nil
	}
	switch n.Kind {
	case yaml.MappingNode:
		all := make(map[string]any, len(n.Content)/2)
		for i := 0; i < len(n.Content); i += 2 {
			v, err := d.resolve(n.Content[i+1], from)
			if err != nil {
				return nil, err
			}
			if v != (noValue{}) {
				all[n.Content[i].Value] = v
			}
		}
		return all, nil
	case yaml.SequenceNode:
		all := make([]any, 0, len(n.Content))
		for _, c := range n.Content {
			v, err := d.resolve(c, from)
			if err != nil {
				return nil, err
			}
			if v != (noValue{}) {
				all = append(all, v)
			}
		}
		return all, nil
	}
	return scalar(n)
}

// scalar keeps a number as it is written.
func scalar(n *yaml.Node) (any, error) {
	switch n.ShortTag() {
	case "!!bool":
		return strconv.ParseBool(strings.ToLower(n.Value))
	case "!!int", "!!float":
		if !json.Valid([]byte(n.Value)) {
			return nil, at(n, "%s is a number to some and a string to others; write it in decimal or in quotes", n.Value)
		}
		return json.Number(n.Value), nil
	case "!!binary":
		return nil, at(n, "binary values are not supported")
	}
	return n.Value, nil
}

func (d *Deployment) call(name string, argument *yaml.Node, from string) (any, error) {
	switch name {
	case "Ref":
		if argument.Kind != yaml.ScalarNode {
			return nil, errors.New("it takes a name")
		}
		return d.ref(argument.Value, from)
	case "Fn::GetAtt":
		return d.getAtt(argument, from)
	case "Fn::Sub":
		return d.sub(argument, from)
	case "Fn::If":
		if argument.Kind != yaml.SequenceNode || len(argument.Content) != 3 || argument.Content[0].Kind != yaml.ScalarNode {
			return nil, errors.New("it takes a list of a condition's name and two values")
		}
		yes, err := d.condition(argument.Content[0].Value)
		if err != nil {
			return nil, err
		}
		if yes {
			return d.resolve(argument.Content[1], from)
		}
		return d.resolve(argument.Content[2], from)
	case "Fn::Join":
		delimiter, list, err := d.pair(argument, from)
		if err != nil {
			return nil, err
		}
		texts := make([]string, len(list))
		for n, e := range list {
			if texts[n], err = text(e); err != nil {
				return nil, err
			}
		}
		return strings.Join(texts, delimiter), nil
	case "Fn::Select":
		index, list, err := d.pair(argument, from)
		if err != nil {
			return nil, err
		}
		n, err := strconv.Atoi(index)
		if err != nil || n < 0 || n >= len(list) {
			return nil, fmt.Errorf("there is no element %s in a list of %d", index, len(list))
		}
		return list[n], nil
	case "Fn::Split":
		if argument.Kind != yaml.SequenceNode || len(argument.Content) != 2 {
			return nil, errors.New("it takes a list of a delimiter and a string")
		}
		delimiter, err := d.text(argument.Content[0], from)
		if err != nil {
			return nil, err
		}
		s, err := d.text(argument.Content[1], from)
		if err != nil {
			return nil, err
		}
		if delimiter == "" {
			return nil, errors.New("the delimiter is empty")
		}
		var all []any
		for _, part := range strings.Split(s, delimiter) {
			all = append(all, part)
		}
		return all, nil
	}
	return nil, errors.New("it may stand in the section Conditions only")
}

// pair reads the arguments of Join and Select: a string and a list.
func (d *Deployment) pair(argument *yaml.Node, from string) (string, []any, error) {
	if argument.Kind != yaml.SequenceNode || len(argument.Content) != 2 {
		return "", nil, errors.New("it takes a list of a value and a list")
	}
	first, err := d.text(argument.Content[0], from)
	if err != nil {
		return "", nil, err
	}
	v, err := d.resolve(argument.Content[1], from)
	if err != nil {
		return "", nil, err
	}
	list, ok := v.([]any)
	if !ok {
		return "", nil, errors.New("its second argument is not a list")
	}
	return first, list, nil
}

// text resolves a node that has to be a single value.
func (d *Deployment) text(n *yaml.Node, from string) (string, error) {
	v, err := d.resolve(n, from)
	if err != nil {
		return "", err
	}
	s, err := text(v)
	if err != nil {
		return "", at(n, "%w", err)
	}
	return s, nil
}

func text(v any) (string, error) {
	switch v := v.(type) {
	case string:
		return v, nil
	case json.Number:
		return v.String(), nil
	case bool:
		return strconv.FormatBool(v), nil
	case noValue:
		return "", errors.New("AWS::NoValue stands where a value is needed")
	}
	return "", errors.New("a list or a map stands where a single value is needed")
}

// ref gives what Ref gives: of a Number parameter a string, as CloudFormation
// does, of a list a list.
func (d *Deployment) ref(name, from string) (any, error) {
	if p, ok := d.parameters[name]; ok {
		if p.Type != "CommaDelimitedList" {
			return p.Value, nil
		}
		var list []any
		for _, v := range p.values(p.Value) {
			list = append(list, v)
		}
		return list, nil
	}
	if name == "AWS::NoValue" {
		return noValue{}, nil
	}
	if v, ok := d.pseudo[name]; ok {
		return v, nil
	}
	if strings.HasPrefix(name, "AWS::") {
		return nil, fmt.Errorf("the pseudo parameter %s is not supported", name)
	}
	i, err := d.identity(name, from)
	return i.Ref, err
}

func (d *Deployment) getAtt(argument *yaml.Node, from string) (any, error) {
	var name, attribute string
	switch {
	case argument.Kind == yaml.ScalarNode:
		name, attribute, _ = strings.Cut(argument.Value, ".")
	case argument.Kind == yaml.SequenceNode && len(argument.Content) == 2 &&
		argument.Content[0].Kind == yaml.ScalarNode && argument.Content[1].Kind == yaml.ScalarNode:
		name, attribute = argument.Content[0].Value, argument.Content[1].Value
	}
	if name == "" || attribute == "" {
		return nil, errors.New("it takes a resource and an attribute, written Resource.Attribute or as a list of two")
	}
	return d.attribute(name, attribute, from)
}

func (d *Deployment) attribute(name, attribute, from string) (string, error) {
	i, err := d.identity(name, from)
	if err != nil {
		return "", err
	}
	v, ok := i.Attributes[attribute]
	if !ok {
		return "", fmt.Errorf("the attribute %s of %s (%s) is not supported", attribute, name, d.declared[name].typ)
	}
	return v, nil
}

var placeholder = regexp.MustCompile(`\$\{([^}]*)\}`)

func (d *Deployment) sub(argument *yaml.Node, from string) (any, error) {
	template, own := argument, map[string]string{}
	if argument.Kind == yaml.SequenceNode {
		if len(argument.Content) != 2 {
			return nil, errors.New("it takes a string, or a list of a string and a map")
		}
		template = argument.Content[0]
		values, err := mapping(argument.Content[1], "the second argument")
		if err != nil {
			return nil, err
		}
		for _, e := range values {
			if own[e.key], err = d.text(e.value, from); err != nil {
				return nil, err
			}
		}
	}
	if template.Kind != yaml.ScalarNode {
		return nil, errors.New("it takes a string, or a list of a string and a map")
	}
	var wrong error
	s := placeholder.ReplaceAllStringFunc(template.Value, func(found string) string {
		name := strings.TrimSpace(found[2 : len(found)-1])
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			return "${" + literal + "}"
		}
		s, err := d.substitute(name, own, from)
		if err != nil && wrong == nil {
			wrong = fmt.Errorf("%s: %w", found, err)
		}
		return s
	})
	if wrong != nil {
		return nil, wrong
	}
	return s, nil
}

func (d *Deployment) substitute(name string, own map[string]string, from string) (string, error) {
	if v, ok := own[name]; ok {
		return v, nil
	}
	if resource, attribute, ok := strings.Cut(name, "."); ok {
		return d.attribute(resource, attribute, from)
	}
	v, err := d.ref(name, from)
	if err != nil {
		return "", err
	}
	return text(v)
}

// condition evaluates a condition by its name.
func (d *Deployment) condition(name string) (bool, error) {
	if v, ok := d.conditions[name]; ok {
		return v, nil
	}
	n, ok := d.template.conditions[name]
	if !ok {
		return false, fmt.Errorf("there is no condition %q in Conditions", name)
	}
	if d.evaluating[name] {
		return false, at(n, "the condition %s depends on itself", name)
	}
	d.evaluating[name] = true
	defer delete(d.evaluating, name)
	v, err := d.evaluate(n)
	if err != nil {
		return false, err
	}
	d.conditions[name] = v
	return v, nil
}

func (d *Deployment) evaluate(n *yaml.Node) (bool, error) {
	name, argument, err := function(n)
	if err != nil {
		return false, err
	}
	if name == "" && n.Kind == yaml.MappingNode && len(n.Content) == 2 && n.Content[0].Value == "Condition" {
		name, argument = "Condition", n.Content[1]
	}
	switch name {
	case "Condition":
		v, err := d.condition(argument.Value)
		return v, locate(n.Line, err)
	case "Fn::Equals":
		if argument.Kind != yaml.SequenceNode || len(argument.Content) != 2 {
			return false, at(n, "Fn::Equals takes a list of two values")
		}
		a, err := d.text(argument.Content[0], "")
		if err != nil {
			return false, err
		}
		b, err := d.text(argument.Content[1], "")
		return a == b, err
	case "Fn::Not", "Fn::And", "Fn::Or":
		least, most := 2, 10
		if name == "Fn::Not" {
			least, most = 1, 1
		}
		if argument.Kind != yaml.SequenceNode || len(argument.Content) < least || len(argument.Content) > most {
			return false, at(n, "%s takes a list of %d to %d conditions", name, least, most)
		}
		all, some := true, false
		for _, c := range argument.Content {
			v, err := d.evaluate(c)
			if err != nil {
				return false, err
			}
			all, some = all && v, some || v
		}
		switch name {
		case "Fn::Not":
			return !all, nil
		case "Fn::And":
			return all, nil
		}
		return some, nil
	}
	return false, at(n, "a condition is made of Fn::Equals, Fn::Not, Fn::And, Fn::Or and Condition")
}
