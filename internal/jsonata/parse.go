package jsonata

import (
	"slices"
	"strconv"
)

// kind is what a node of the tree is.
type kind string

const (
	operator    kind = "operator" // of a token only, and ? in the place of an argument
	name        kind = "name"
	variable    kind = "variable"
	text        kind = "string"
	literal     kind = "literal" // a number, true, false, null or a regular expression
	path        kind = "path"
	binary      kind = "binary"
	unary       kind = "unary"
	wildcard    kind = "wildcard"
	descendants kind = "descendants"
	condition   kind = "condition"
	block       kind = "block"
	bind        kind = "bind"
	call        kind = "function"
	partial     kind = "partial"
	closure     kind = "lambda"
	apply       kind = "apply"
	transform   kind = "transform"
	order       kind = "sort"
)

// node is a node of the tree. It is only read after Compile.
type node struct {
	kind  kind
	text  string // of a name, a variable, a string or an operator
	value any    // of a literal

	left, right, third *node   // operands; condition, then, else; pattern, update, delete; body and procedure are left
	list               []*node // steps of a path, items of an array, expressions of a block, arguments
	pairs              [][2]*node
	terms              []term // of an order-by
	params             []string

	filters       []*node // predicates
	stages        []*node // predicates of a step of a path
	group         *node   // a grouping, whose pairs count
	keepArray     bool
	keepSingleton bool
	cons          bool // an array that is a step of a path
	thunk         bool // a call in the place of a tail
}

type term struct {
	descending bool
	by         *node
}

// parser is a Pratt parser: https://github.com/jsonata-js/jsonata/blob/v2.0.6/src/parser.js
type parser struct {
	lexer lexer
	token token
	depth int
}

// nesting is how deep brackets and operators may nest in a source: no evaluation
// goes so deep.
const nesting = 500

func parse(source string) (tree *node, err error) {
	p := &parser{lexer: lexer{source: source}}
	defer func() {
		if v := recover(); v != nil {
			thrown, ok := v.(failure)
			if !ok {
				panic(v)
			}
			err = thrown.error
		}
	}()
	p.advance("", false)
	tree = p.expression(0)
	if p.token.id != "(end)" {
		p.fail(&Error{Code: "S0201", Token: p.token.shown()})
	}
	return process(tree), nil
}

// failure carries an error out of the parser.
type failure struct{ error }

func (p *parser) fail(err error) { panic(failure{err}) }

// shown is a token as messages show it.
func (t token) shown() any {
	if t.kind == literal {
		return t.value
	}
	return t.text
}

func (p *parser) advance(id string, infix bool) {
	if id != "" && p.token.id != id {
		code := "S0202"
		if p.token.id == "(end)" {
			code = "S0203"
		}
		p.fail(&Error{Code: code, Token: p.token.shown(), Value: id})
	}
	next, err := p.lexer.next(infix)
	if err != nil {
		p.fail(err)
	}
	p.token = next
}

func (p *parser) power() int {
	if p.token.kind == operator {
		return powers[p.token.id]
	}
	return 0
}

func (p *parser) expression(power int) *node {
	if p.depth++; p.depth > nesting {
		p.fail(Unsupported("an expression that nests deeper than " + strconv.Itoa(nesting)))
	}
	defer func() { p.depth-- }()
	t := p.token
	p.advance("", true)
	left := p.prefix(t)
	for chain := 0; power < p.power(); chain++ {
		if chain > nesting {
			p.fail(Unsupported("more than " + strconv.Itoa(nesting) + " operators in a row"))
		}
		t = p.token
		p.advance("", false)
		left = p.infix(t, left)
	}
	return left
}

func (p *parser) prefix(t token) *node {
	switch t.id {
	case "(name)", "(literal)", "(regex)", "and", "or", "in":
		n := &node{kind: t.kind, text: t.text, value: t.value}
		if t.kind == operator {
			n.kind = name
		}
		return n
	case "-":
		return &node{kind: unary, text: "-", left: p.expression(70)}
	case "*":
		return &node{kind: wildcard}
	case "**":
		return &node{kind: descendants}
	case "%":
		p.fail(Unsupported("the parent operator %"))
	case "(":
		n := &node{kind: block}
		for p.token.id != ")" {
			n.list = append(n.list, p.expression(0))
			if p.token.id != ";" {
				break
			}
			p.advance(";", false)
		}
		p.advance(")", true)
		return n
	case "[":
		n := &node{kind: unary, text: "["}
		for p.token.id != "]" {
			item := p.expression(0)
			if p.token.id == ".." {
				p.advance("..", false)
				item = &node{kind: binary, text: "..", left: item, right: p.expression(0)}
			}
			n.list = append(n.list, item)
			if p.token.id != "," {
				break
			}
			p.advance(",", false)
			if p.token.id == "]" {
				p.fail(&Error{Code: "S0211", Token: "]"})
			}
		}
		p.advance("]", true)
		return n
	case "{":
		n := &node{kind: unary, text: "{"}
		n.pairs = p.object()
		return n
	case "|":
		n := &node{kind: transform, left: p.expression(0)}
		p.advance("|", false)
		n.right = p.expression(0)
		if p.token.id == "," {
			p.advance(",", false)
			n.third = p.expression(0)
		}
		p.advance("|", false)
		return n
	case "(end)":
		p.fail(&Error{Code: "S0207"})
	}
	p.fail(&Error{Code: "S0211", Token: t.text})
	return nil
}

func (p *parser) object() [][2]*node {
	var pairs [][2]*node
	for p.token.id != "}" {
		key := p.expression(0)
		p.advance(":", false)
		pairs = append(pairs, [2]*node{key, p.expression(0)})
		if p.token.id != "," {
			break
		}
		p.advance(",", false)
		if p.token.id == "}" {
			p.fail(&Error{Code: "S0211", Token: "}"})
		}
	}
	p.advance("}", true)
	return pairs
}

func (p *parser) infix(t token, left *node) *node {
	n := &node{kind: binary, text: t.id, left: left}
	switch t.id {
	case "(":
		return p.call(left)
	case "[":
		if p.token.id == "]" {
			step := left
			for step.kind == binary && step.text == "[" {
				step = step.left
			}
			step.keepArray = true
			p.advance("]", false)
			return left
		}
		n.right = p.expression(0)
		p.advance("]", true)
	case "{":
		n.pairs = p.object()
	case "^":
		p.advance("(", false)
		for {
			t := term{descending: p.token.id == ">"}
			if p.token.id == "<" || p.token.id == ">" {
				p.advance("", false)
			}
			t.by = p.expression(0)
			n.terms = append(n.terms, t)
			if p.token.id != "," {
				break
			}
			p.advance(",", false)
		}
		p.advance(")", false)
	case ":=":
		if left.kind != variable {
			p.fail(&Error{Code: "S0212"})
		}
		n.kind = bind
		n.right = p.expression(powers[":="] - 1) // to the right
	case "@", "#":
		p.fail(Unsupported("the operator " + t.id))
	case "?":
		n.kind = condition
		n.right = p.expression(0)
		if p.token.id == ":" {
			p.advance(":", false)
			n.third = p.expression(0)
		}
	case "~>":
		n.kind = apply
		n.right = p.expression(powers[t.id])
	default:
		n.right = p.expression(powers[t.id])
	}
	return n
}

func (p *parser) call(left *node) *node {
	n := &node{kind: call, left: left}
	for p.token.id != ")" {
		if p.token.id == "?" {
			n.kind = partial
			n.list = append(n.list, &node{kind: operator})
			p.advance("?", false)
		} else {
			n.list = append(n.list, p.expression(0))
		}
		if p.token.id != "," {
			break
		}
		p.advance(",", false)
		if p.token.id == ")" {
			p.fail(&Error{Code: "S0211", Token: ")"})
		}
	}
	p.advance(")", true)
	if left.kind != name || left.text != "function" && left.text != "λ" {
		return n
	}
	n = &node{kind: closure, list: n.list}
	for i, param := range n.list {
		if param.kind != variable {
			p.fail(&Error{Code: "S0208", Value: float64(i + 1)})
		}
		n.params = append(n.params, param.text)
	}
	n.list = nil
	if p.token.id == "<" {
		p.fail(Unsupported("the signature of a function"))
	}
	p.advance("{", false)
	n.left = p.expression(0)
	p.advance("}", false)
	return n
}

// process makes the tree that is evaluated of the tree that was parsed: paths with
// their steps, predicates with what they are of.
func process(n *node) *node {
	if n == nil {
		return nil
	}
	var out *node
	switch n.kind {
	case binary:
		out = processBinary(n)
	case apply:
		out = &node{kind: apply, left: process(n.left), right: process(n.right)}
		out.keepArray = out.left.keepArray || out.right.keepArray
	case unary:
		out = &node{kind: unary, text: n.text, left: process(n.left), list: processAll(n.list), pairs: processPairs(n.pairs)}
		if f, ok := out.left.number(); n.text == "-" && ok {
			out = &node{kind: literal, value: -f}
		}
		if len(n.list)+len(n.pairs) > 1 && slices.ContainsFunc(out.parts(), (*node).binds) {
			panic(failure{Unsupported("an assignment beside other items, which the reference evaluates at once")})
		}
	case call, partial, closure, condition, transform, bind, block:
		out = &node{kind: n.kind, text: n.text, left: process(n.left), right: process(n.right), third: process(n.third), list: processAll(n.list), params: n.params}
		switch n.kind {
		case closure:
			out.left = tail(out.left)
		case block:
			for _, part := range out.list {
				out.cons = out.cons || part.cons || part.kind == path && part.list[0].cons
			}
		}
	case name:
		out = &node{kind: path, list: []*node{n}, keepSingleton: n.keepArray}
	default:
		out = n
	}
	out.keepArray = out.keepArray || n.keepArray
	return out
}

// binds says whether a node assigns a variable to the frame that it stands in.
func (n *node) binds() bool {
	return n != nil && n.kind != block && n.kind != closure && (n.kind == bind || slices.ContainsFunc(n.parts(), (*node).binds))
}

func (n *node) number() (float64, bool) {
	if n == nil || n.kind != literal {
		return 0, false
	}
	f, ok := n.value.(float64)
	return f, ok
}

func processAll(list []*node) []*node {
	out := make([]*node, len(list))
	for i, n := range list {
		out[i] = process(n)
	}
	return out
}

func processPairs(pairs [][2]*node) [][2]*node {
	out := make([][2]*node, len(pairs))
	for i, pair := range pairs {
		out[i] = [2]*node{process(pair[0]), process(pair[1])}
	}
	return out
}

func processBinary(n *node) *node {
	switch n.text {
	case ".":
		out := process(n.left)
		if out.kind != path {
			out = &node{kind: path, list: []*node{out}}
		}
		if rest := process(n.right); rest.kind == path {
			out.list = append(out.list, rest.list...)
		} else {
			rest.stages, rest.filters = rest.filters, nil
			out.list = append(out.list, rest)
		}
		for _, step := range out.list {
			if step.kind == literal {
				if _, is := step.value.(*matcher); !is {
					panic(failure{&Error{Code: "S0213", Value: step.value}})
				}
			}
			if step.kind == text {
				step.kind = name
			}
			out.keepSingleton = out.keepSingleton || step.keepArray
		}
		for _, step := range []*node{out.list[0], out.list[len(out.list)-1]} {
			step.cons = step.cons || step.kind == unary && step.text == "["
		}
		return out
	case "[":
		out := process(n.left)
		step, filters := out, &out.filters
		if out.kind == path {
			step = out.list[len(out.list)-1]
			filters = &step.stages
		}
		if step.group != nil {
			panic(failure{&Error{Code: "S0209"}})
		}
		*filters = append(*filters, process(n.right))
		return out
	case "{":
		out := process(n.left)
		if out.group != nil {
			panic(failure{&Error{Code: "S0210"}})
		}
		out.group = &node{pairs: processPairs(n.pairs)}
		return out
	case "^":
		out := process(n.left)
		if out.kind != path {
			out = &node{kind: path, list: []*node{out}}
		}
		step := &node{kind: order}
		for _, t := range n.terms {
			step.terms = append(step.terms, term{t.descending, process(t.by)})
		}
		out.list = append(out.list, step)
		return out
	}
	return &node{kind: binary, text: n.text, left: process(n.left), right: process(n.right)}
}

// tail makes a thunk of a call in the place of a tail, so that it does not nest.
func tail(n *node) *node {
	switch n.kind {
	case call:
		if n.filters == nil {
			return &node{kind: closure, thunk: true, left: n}
		}
	case condition:
		n.right = tail(n.right)
		if n.third != nil {
			n.third = tail(n.third)
		}
	case block:
		if last := len(n.list) - 1; last >= 0 {
			n.list[last] = tail(n.list[last])
		}
	}
	return n
}
