// Package jsonata evaluates JSONata as Step Functions does: version 2.0.6, with no
// context, within the limits that were measured there, and with the words of the
// reference implementation in its errors.
//
// It is the parser and the evaluator of https://github.com/jsonata-js/jsonata.
package jsonata

import "slices"

// Expression is a compiled expression. It is only read afterwards.
type Expression struct {
	tree *node

	Variables []string // that it reads, without the dollar, sorted; not states, and not its own
	States    []string // of $states.NAME: the names, sorted, "" for $states itself
	Functions []string // that it calls or passes on, sorted
}

// Compile reads an expression. The error is an *Error, Unsupported, or an
// *Unreachable.
func Compile(source string) (*Expression, error) {
	tree, err := parse(source)
	if err != nil {
		return nil, err
	}
	x := &Expression{tree: tree}
	u := &uses{x: x, bound: map[string]bool{}}
	u.binds(tree)
	if err := u.read(tree, false); err != nil {
		return nil, err
	}
	for _, names := range []*[]string{&x.Variables, &x.States, &x.Functions} {
		slices.Sort(*names)
		*names = slices.Compact(*names)
	}
	return x, nil
}

// Unreachable is a reference to a context that is not there.
type Unreachable struct{ Name string }

func (u *Unreachable) Error() string {
	return "Reference to '" + u.Name + "' at the top level is not supported."
}

// uses finds what an expression reads.
type uses struct {
	x     *Expression
	bound map[string]bool
}

// binds notes the variables that an expression makes itself.
func (u *uses) binds(n *node) {
	if n == nil {
		return
	}
	if n.kind == bind {
		u.bound[n.left.text] = true
	}
	if n.kind == position {
		u.bound[n.text] = true
	}
	for _, name := range []string{n.focus, n.index} {
		if name != "" {
			u.bound[name] = true
		}
	}
	for _, param := range n.params {
		u.bound[param] = true
	}
	for _, part := range n.parts() {
		u.binds(part)
	}
}

func (n *node) parts() []*node {
	all := slices.Concat([]*node{n.left, n.right, n.third, n.group}, n.list, n.filters, n.stages)
	for _, pair := range n.pairs {
		all = append(all, pair[0], pair[1])
	}
	for _, t := range n.terms {
		all = append(all, t.by)
	}
	return all
}

// read notes what a node reads. within says that a path has come to a value, of
// which names are fields: at the top there is none, which Step Functions refuses.
// https://github.com/floci-io/floci/pull/2699
func (u *uses) read(n *node, within bool) error {
	if n == nil {
		return nil
	}
	var first error
	all := func(within bool, nodes ...*node) {
		for _, part := range nodes {
			if first == nil {
				first = u.read(part, within)
			}
		}
	}
	switch n.kind {
	case name, wildcard, descendants:
		if !within {
			return &Unreachable{map[kind]string{name: n.text, wildcard: "*", descendants: "**"}[n.kind]}
		}
	case variable:
		switch {
		case n.text == "$":
			return &Unreachable{"$$"}
		case n.text == "" && !within:
			return &Unreachable{"$"}
		case n.text == "":
		case n.text == "states":
			u.x.States = append(u.x.States, "")
		case u.bound[n.text]:
		case signatures[n.text].text != "" || n.text == "millis":
			u.x.Functions = append(u.x.Functions, n.text)
		default:
			u.x.Variables = append(u.x.Variables, n.text)
		}
	case call, partial:
		if v := n.left; v.kind == variable && v.text != "" && v.text != "$" && !u.bound[v.text] {
			u.x.Functions = append(u.x.Functions, v.text)
		} else {
			all(within, v)
		}
		all(within, n.list...)
	case path:
		steps := n.list
		if begin := steps[0]; begin.kind == variable && begin.text == "states" && len(steps) > 1 && steps[1].kind == name && begin.stages == nil {
			u.x.States = append(u.x.States, steps[1].text)
			all(true, steps[1].stages...)
			steps = steps[2:]
		} else {
			all(within, begin)
			all(true, begin.stages...)
			steps = steps[1:]
		}
		for _, step := range steps {
			all(true, step)
			all(true, step.stages...)
			for _, t := range step.terms {
				all(true, t.by)
			}
		}
	case transform:
		all(true, n.left, n.right, n.third)
	default:
		all(within, n.left, n.right, n.third)
		all(within, n.list...)
		for _, pair := range n.pairs {
			all(within, pair[0], pair[1])
		}
	}
	all(true, n.filters...)
	if n.group != nil {
		for _, pair := range n.group.pairs {
			all(true, pair[0], pair[1])
		}
	}
	return first
}
