package template

import (
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Parameter is a parameter of the template with its rules:
// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/parameters-section-structure.html
type Parameter struct {
	Name        string
	Type        string // String, Number or CommaDelimitedList
	Description string
	Default     string
	Required    bool // there is no default
	Secret      bool // NoEcho
	// Value is what it has in a Deployment.
	Value string

	AllowedValues []string
	// AllowedPattern matches the whole value, of a list every element of it.
	AllowedPattern string
	// MinValue, MaxValue, MinLength and MaxLength are empty where there is no
	// such rule.
	MinValue, MaxValue   string
	MinLength, MaxLength string
	// Constraint is the rule in words: "must be " comes before it.
	Constraint string

	pattern *regexp.Regexp
}

func readParameter(name string, n *yaml.Node) (Parameter, error) {
	p := Parameter{Name: name, Required: true}
	f, err := fields(n, "the parameter "+name, "Type", "Description", "Default", "AllowedValues", "AllowedPattern",
		"MinValue", "MaxValue", "MinLength", "MaxLength", "NoEcho", "ConstraintDescription")
	if err != nil {
		return p, err
	}
	for key, to := range map[string]*string{
		"Type": &p.Type, "Description": &p.Description, "Default": &p.Default, "AllowedPattern": &p.AllowedPattern,
		"MinValue": &p.MinValue, "MaxValue": &p.MaxValue, "MinLength": &p.MinLength, "MaxLength": &p.MaxLength,
		"ConstraintDescription": &p.Constraint,
	} {
		v := f[key]
		if v == nil {
			continue
		}
		if v.Kind != yaml.ScalarNode {
			return p, at(v, "%s of the parameter %s must be a single value", key, name)
		}
		*to = v.Value
	}
	switch p.Type {
	case "String", "Number", "CommaDelimitedList":
	case "":
		return p, at(n, "the parameter %s has no Type", name)
	default:
		return p, at(f["Type"], "the parameter %s is of the type %s; String, Number and CommaDelimitedList are supported", name, p.Type)
	}
	if v := f["AllowedValues"]; v != nil {
		if v.Kind != yaml.SequenceNode || len(v.Content) == 0 {
			return p, at(v, "AllowedValues of the parameter %s must be a list", name)
		}
		for _, e := range v.Content {
			p.AllowedValues = append(p.AllowedValues, e.Value)
		}
	}
	for _, key := range []string{"MinValue", "MaxValue", "MinLength", "MaxLength"} {
		v := f[key]
		if v == nil {
			continue
		}
		if (p.Type == "Number") != strings.HasSuffix(key, "Value") || p.Type == "CommaDelimitedList" {
			return p, at(v, "the parameter %s is a %s and cannot have %s", name, p.Type, key)
		}
		if _, err := number(v.Value); err != nil {
			return p, at(v, "%s of the parameter %s: %w", key, name, err)
		}
	}
	if v := f["AllowedPattern"]; v != nil {
		if p.pattern, err = regexp.Compile(`\A(?:` + p.AllowedPattern + `)\z`); err != nil {
			return p, at(v, "AllowedPattern of the parameter %s: %w", name, err)
		}
	}
	if v := f["NoEcho"]; v != nil {
		if p.Secret, err = strconv.ParseBool(v.Value); err != nil {
			return p, at(v, "NoEcho of the parameter %s must be true or false", name)
		}
	}
	if v := f["Default"]; v != nil {
		p.Required = false
		if err := p.check(p.Default); err != nil {
			return p, at(v, "the default does not hold: %w", err)
		}
	}
	return p, nil
}

// number takes what CloudFormation takes for a Number: an integer or a float.
func number(s string) (*big.Float, error) {
	f, _, err := big.ParseFloat(s, 10, 64, big.ToNearestEven)
	if err != nil || f.IsInf() {
		return nil, fmt.Errorf("%q is not a number", s)
	}
	return f, nil
}

// check tells whether the parameter takes the value; if not, the error names
// the parameter, the value, the rule and what to do.
func (p Parameter) check(value string) error {
	shown := strconv.Quote(value)
	if p.Secret {
		shown = "the given value (not shown)"
	}
	refuse := func(format string, args ...any) error {
		rule := fmt.Sprintf(format, args...)
		if p.Constraint != "" {
			rule += ": it must be " + strings.TrimPrefix(p.Constraint, "must be ")
		}
		return fmt.Errorf("parameter %s does not take %s: %s", p.Name, shown, rule)
	}
	switch p.Type {
	case "Number":
		n, err := number(value)
		if err != nil {
			return refuse("it is a Number, give one such as %s", example(p))
		}
		if min, err := number(p.MinValue); err == nil && n.Cmp(min) < 0 {
			return refuse("the least is %s", p.MinValue)
		}
		if max, err := number(p.MaxValue); err == nil && n.Cmp(max) > 0 {
			return refuse("the most is %s", p.MaxValue)
		}
	case "String":
		n := big.NewFloat(float64(utf8.RuneCountInString(value)))
		if min, err := number(p.MinLength); err == nil && n.Cmp(min) < 0 {
			return refuse("the least length is %s", p.MinLength)
		}
		if max, err := number(p.MaxLength); err == nil && n.Cmp(max) > 0 {
			return refuse("the greatest length is %s", p.MaxLength)
		}
	}
	for _, v := range p.values(value) {
		if p.AllowedValues != nil && !slices.Contains(p.AllowedValues, v) {
			return refuse("give one of %s", strings.Join(p.AllowedValues, ", "))
		}
		if p.pattern != nil && !p.pattern.MatchString(v) {
			return refuse("it has to match %s", p.AllowedPattern)
		}
	}
	return nil
}

// values gives the elements of a list, or the one value that is no list.
func (p Parameter) values(value string) []string {
	if p.Type != "CommaDelimitedList" {
		return []string{value}
	}
	list := strings.Split(value, ",") // an empty list has one empty element, as in CloudFormation
	for n := range list {
		list[n] = strings.TrimSpace(list[n])
	}
	return list
}

func example(p Parameter) string {
	for _, s := range []string{p.Default, p.MinValue, p.MaxValue} {
		if s != "" {
			return s
		}
	}
	return "1"
}
