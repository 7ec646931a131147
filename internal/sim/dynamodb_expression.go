package sim

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The grammar and the functions:
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.OperatorsAndFunctions.html
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html

// scope is what the placeholders of a request's expressions stand for, and
// which of them were used: one left over is an error.
type scope struct {
	names      map[string]string
	values     item
	usedNames  map[string]bool
	usedValues map[string]bool
}

func newScope(names map[string]string, values item, expressions ...*string) (*scope, error) {
	asked := slices.ContainsFunc(expressions, func(e *string) bool { return e != nil })
	s := &scope{names: names, values: item{}, usedNames: map[string]bool{}, usedValues: map[string]bool{}}
	for _, m := range []struct {
		what string
		sent bool
		n    int
	}{{"ExpressionAttributeNames", names != nil, len(names)}, {"ExpressionAttributeValues", values != nil, len(values)}} {
		if m.sent && m.n == 0 {
			return nil, invalid("%s must not be empty", m.what)
		}
		if m.sent && !asked {
			return nil, invalid("%s can only be specified when using expressions", m.what)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(names)) {
		if !placeholder(k, '#') {
			return nil, invalid("ExpressionAttributeNames contains invalid key: Syntax error; key: %q", k)
		}
		if names[k] == "" {
			return nil, invalid("ExpressionAttributeNames contains invalid value: an attribute name must not be empty; key: %s", k)
		}
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if !placeholder(k, ':') {
			return nil, invalid("ExpressionAttributeValues contains invalid key: Syntax error; key: %q", k)
		}
		v, err := normal(values[k])
		if err != nil {
			return nil, invalid("ExpressionAttributeValues contains invalid value: %v for key %s", err, k)
		}
		s.values[k] = v
	}
	return s, nil
}

func placeholder(k string, mark byte) bool {
	return len(k) > 1 && k[0] == mark && strings.Trim(strings.ToLower(k[1:]), "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// leftOver is the error for placeholders that no expression used.
func (s *scope) leftOver() error {
	var names, values []string
	for k := range s.names {
		if !s.usedNames[k] {
			names = append(names, k)
		}
	}
	for k := range s.values {
		if !s.usedValues[k] {
			values = append(values, k)
		}
	}
	slices.Sort(names)
	slices.Sort(values)
	switch {
	case len(names) > 0:
		return invalid("Value provided in ExpressionAttributeNames unused in expressions: keys: {%s}", strings.Join(names, ", "))
	case len(values) > 0:
		return invalid("Value provided in ExpressionAttributeValues unused in expressions: keys: {%s}", strings.Join(values, ", "))
	}
	return nil
}

// segment is one part of a document path: a name, or an index if name is empty.
type segment struct {
	name  string
	index int
}

type path []segment

func (p path) String() string {
	parts := make([]string, len(p))
	for n, s := range p {
		parts[n] = s.name
		if s.name == "" {
			parts[n] = fmt.Sprintf("[%d]", s.index)
		}
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// find is the value at a path, nil if there is none.
func (p path) find(i item) types.AttributeValue {
	var at types.AttributeValue = &types.AttributeValueMemberM{Value: i}
	for _, s := range p {
		switch v := at.(type) {
		case *types.AttributeValueMemberM:
			at = nil
			if s.name != "" {
				at = v.Value[s.name]
			}
		case *types.AttributeValueMemberL:
			at = nil
			if s.name == "" && s.index < len(v.Value) {
				at = v.Value[s.index]
			}
		default:
			return nil
		}
		if at == nil {
			return nil
		}
	}
	return at
}

// operand is a path, a literal, or a function of operands.
type operand struct {
	path    path
	literal types.AttributeValue
	fn      string // size, if_not_exists, list_append, + or -
	args    []operand
}

// kind is what is known of an operand before there is an item; empty if nothing is.
func (o operand) kind() string {
	switch {
	case o.fn == "size":
		return "N"
	case o.literal != nil:
		return kind(o.literal)
	}
	return ""
}

// condition is a comparison, a function or a combination of conditions.
type condition struct {
	op    string // and, or, not; =, <>, <, <=, >, >=, between, in; a function's name
	args  []operand
	parts []condition
}

func (c condition) holds(i item) bool {
	switch c.op {
	case "and":
		return c.parts[0].holds(i) && c.parts[1].holds(i)
	case "or":
		return c.parts[0].holds(i) || c.parts[1].holds(i)
	case "not":
		return !c.parts[0].holds(i)
	}
	v := make([]types.AttributeValue, len(c.args))
	for n, a := range c.args {
		v[n] = a.value(i)
	}
	switch c.op {
	case "attribute_exists":
		return v[0] != nil
	case "attribute_not_exists":
		return v[0] == nil
	case "attribute_type":
		want, ok := v[1].(*types.AttributeValueMemberS)
		return ok && v[0] != nil && kind(v[0]) == want.Value
	case "begins_with":
		return beginsWith(v[0], v[1])
	case "contains":
		return contains(v[0], v[1])
	case "=":
		return v[0] != nil && v[1] != nil && equal(v[0], v[1])
	case "<>": // holds too where an attribute is missing
		return v[0] == nil || v[1] == nil || !equal(v[0], v[1])
	case "in":
		return v[0] != nil && slices.ContainsFunc(v[1:], func(e types.AttributeValue) bool { return e != nil && equal(v[0], e) })
	case "between":
		low, ok := compare(v[0], v[1])
		high, ok2 := compare(v[0], v[2])
		return ok && ok2 && low >= 0 && high <= 0
	}
	n, ok := compare(v[0], v[1])
	if !ok {
		return false
	}
	switch c.op {
	case "<":
		return n < 0
	case "<=":
		return n <= 0
	case ">":
		return n > 0
	default:
		return n >= 0
	}
}

func beginsWith(v, prefix types.AttributeValue) bool {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		p, ok := prefix.(*types.AttributeValueMemberS)
		return ok && strings.HasPrefix(v.Value, p.Value)
	case *types.AttributeValueMemberB:
		p, ok := prefix.(*types.AttributeValueMemberB)
		return ok && strings.HasPrefix(string(v.Value), string(p.Value))
	}
	return false
}

func contains(v, part types.AttributeValue) bool {
	switch v := v.(type) {
	case *types.AttributeValueMemberS:
		p, ok := part.(*types.AttributeValueMemberS)
		return ok && strings.Contains(v.Value, p.Value)
	case *types.AttributeValueMemberB:
		p, ok := part.(*types.AttributeValueMemberB)
		return ok && strings.Contains(string(v.Value), string(p.Value))
	case *types.AttributeValueMemberL:
		return part != nil && slices.ContainsFunc(v.Value, func(e types.AttributeValue) bool { return equal(e, part) })
	case *types.AttributeValueMemberSS:
		p, ok := part.(*types.AttributeValueMemberS)
		return ok && slices.Contains(v.Value, p.Value)
	case *types.AttributeValueMemberNS:
		p, ok := part.(*types.AttributeValueMemberN)
		return ok && slices.Contains(v.Value, p.Value)
	case *types.AttributeValueMemberBS:
		p, ok := part.(*types.AttributeValueMemberB)
		return ok && slices.ContainsFunc(v.Value, func(e []byte) bool { return string(e) == string(p.Value) })
	}
	return false
}

// value is an operand of a condition on an item; nil if there is none.
func (o operand) value(i item) types.AttributeValue {
	switch {
	case o.literal != nil:
		return o.literal
	case o.path != nil:
		return o.path.find(i)
	}
	size := -1 // the only function that is an operand of a condition
	switch v := o.args[0].value(i).(type) {
	case *types.AttributeValueMemberS:
		size = len(v.Value)
	case *types.AttributeValueMemberB:
		size = len(v.Value)
	case *types.AttributeValueMemberM:
		size = len(v.Value)
	case *types.AttributeValueMemberL:
		size = len(v.Value)
	case *types.AttributeValueMemberSS:
		size = len(v.Value)
	case *types.AttributeValueMemberNS:
		size = len(v.Value)
	case *types.AttributeValueMemberBS:
		size = len(v.Value)
	}
	if size < 0 {
		return nil
	}
	return &types.AttributeValueMemberN{Value: strconv.Itoa(size)}
}

// parser reads one expression. what is the request's name for it.
type parser struct {
	what   string
	text   string
	tokens []string
	at     int
	scope  *scope
}

func (s *scope) parser(what, text string) (*parser, error) {
	p := &parser{what: what, text: text, scope: s}
	if strings.TrimSpace(text) == "" {
		return nil, p.wrong("The expression can not be empty;")
	}
	if len(text) > 4096 {
		return nil, p.wrong("Expression size has exceeded the maximum allowed size;")
	}
	for i := 0; i < len(text); {
		c := text[i]
		switch {
		case strings.IndexByte(" \t\r\n", c) >= 0:
			i++
			continue
		case strings.IndexByte("()[],.+-=", c) >= 0:
			p.tokens = append(p.tokens, text[i:i+1])
			i++
			continue
		case c == '<' || c == '>':
			n := 1
			if i+1 < len(text) && (text[i+1] == '=' || c == '<' && text[i+1] == '>') {
				n = 2
			}
			p.tokens = append(p.tokens, text[i:i+n])
			i += n
			continue
		}
		j := i
		if c == '#' || c == ':' {
			j++
		}
		for j < len(text) && (text[j] == '_' || '0' <= text[j] && text[j] <= '9' || 'a' <= text[j]|32 && text[j]|32 <= 'z') {
			j++
		}
		if j == i {
			return nil, p.syntax(text[i : i+1])
		}
		p.tokens = append(p.tokens, text[i:j])
		i = j
	}
	return p, nil
}

func (p *parser) wrong(format string, args ...any) error {
	return invalid("Invalid %s: %s", p.what, fmt.Sprintf(format, args...))
}

func (p *parser) syntax(token string) error {
	if token == "" {
		token = "<EOF>"
	}
	return p.wrong("Syntax error; token: %q, near: %q", token, p.text)
}

func (p *parser) peek() string {
	if p.at < len(p.tokens) {
		return p.tokens[p.at]
	}
	return ""
}

func (p *parser) next() string {
	t := p.peek()
	p.at++
	return t
}

// take reads a word or sign, whatever its case, if it comes next.
func (p *parser) take(word string) bool {
	if !strings.EqualFold(p.peek(), word) {
		return false
	}
	p.at++
	return true
}

func (p *parser) need(sign string) error {
	if t := p.next(); t != sign {
		return p.syntax(t)
	}
	return nil
}

func isWord(t string) bool {
	return t != "" && (t[0] == '_' || 'a' <= t[0]|32 && t[0]|32 <= 'z')
}

// condition reads a whole condition expression.
func (s *scope) condition(what, text string) (condition, error) {
	p, err := s.parser(what, text)
	if err != nil {
		return condition{}, err
	}
	c, err := p.or()
	if err == nil && p.at < len(p.tokens) {
		err = p.syntax(p.peek())
	}
	return c, err
}

func (p *parser) or() (condition, error) {
	c, err := p.and()
	for err == nil && p.take("OR") {
		var right condition
		right, err = p.and()
		c = condition{op: "or", parts: []condition{c, right}}
	}
	return c, err
}

func (p *parser) and() (condition, error) {
	c, err := p.not()
	for err == nil && p.take("AND") {
		var right condition
		right, err = p.not()
		c = condition{op: "and", parts: []condition{c, right}}
	}
	return c, err
}

func (p *parser) not() (condition, error) {
	if p.take("NOT") {
		c, err := p.not()
		return condition{op: "not", parts: []condition{c}}, err
	}
	if p.peek() != "(" {
		return p.comparison()
	}
	p.at++
	redundant, start := p.peek() == "(", p.at
	c, err := p.or()
	if err != nil {
		return c, err
	}
	if redundant && p.closes(start) == p.at-1 && p.peek() == ")" {
		return c, p.wrong("The expression has redundant parentheses;")
	}
	return c, p.need(")")
}

// closes is the place of the parenthesis that closes the one at i.
func (p *parser) closes(i int) int {
	for depth := 0; i < len(p.tokens); i++ {
		switch p.tokens[i] {
		case "(":
			depth++
		case ")":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// arity is how many operands the functions of conditions take.
var arity = map[string]int{"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}

func (p *parser) comparison() (condition, error) {
	if t := p.peek(); isWord(t) && t != "size" && p.at+1 < len(p.tokens) && p.tokens[p.at+1] == "(" {
		return p.function()
	}
	left, err := p.operand()
	if err != nil {
		return condition{}, err
	}
	c := condition{args: []operand{left}}
	switch t := strings.ToLower(p.next()); t {
	case "=", "<>", "<", "<=", ">", ">=":
		c.op = t
		right, err := p.operand()
		if err != nil {
			return c, err
		}
		c.args = append(c.args, right)
	case "between":
		c.op = t
		low, err := p.operand()
		if err != nil {
			return c, err
		}
		if !p.take("AND") {
			return c, p.syntax(p.peek())
		}
		high, err := p.operand()
		if err != nil {
			return c, err
		}
		c.args = append(c.args, low, high)
		if k, l := low.kind(), high.kind(); k != "" && l != "" && k != l {
			return c, p.wrong("The BETWEEN operator requires same data type for lower and upper bounds; lower bound operand: %s, upper bound operand: %s", k, l)
		}
		if low.literal != nil && high.literal != nil {
			if n, ok := compare(low.literal, high.literal); ok && n > 0 {
				return c, p.wrong("The BETWEEN operator requires upper bound to be greater than or equal to lower bound;")
			}
		}
	case "in":
		c.op = t
		if err := p.need("("); err != nil {
			return c, err
		}
		for {
			o, err := p.operand()
			if err != nil {
				return c, err
			}
			c.args = append(c.args, o)
			if !p.take(",") {
				break
			}
		}
		if len(c.args) > 101 {
			return c, p.wrong("Too many operands for operator or function; operator: IN")
		}
		if err := p.need(")"); err != nil {
			return c, err
		}
	default:
		return c, p.syntax(t)
	}
	if slices.Contains([]string{"<", "<=", ">", ">=", "between"}, c.op) {
		for _, a := range c.args {
			if k := a.kind(); k != "" && k != "S" && k != "N" && k != "B" {
				return c, p.wrong("Incorrect operand type for operator or function; operator: %s, operand type: %s", strings.ToUpper(c.op), k)
			}
		}
	}
	return c, p.distinct(c)
}

// distinct refuses a path held against itself.
func (p *parser) distinct(c condition) error {
	for _, a := range c.args[1:] {
		if c.args[0].path != nil && slices.Equal(c.args[0].path, a.path) {
			return p.wrong("The first operand must be distinct from the remaining operands for this operator or function; operator: %s, first operand: %s", c.op, a.path)
		}
	}
	return nil
}

func (p *parser) function() (condition, error) {
	c := condition{op: p.next()}
	want, ok := arity[c.op]
	if !ok {
		return c, p.wrong("Invalid function name; function: %s", c.op)
	}
	args, err := p.arguments()
	if err != nil {
		return c, err
	}
	if c.args = args; len(args) != want {
		return c, p.wrong("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", c.op, len(args))
	}
	const operandType = "Incorrect operand type for operator or function; operator or function: %s, operand type: %s"
	switch c.op {
	case "attribute_exists", "attribute_not_exists":
		if args[0].path == nil {
			return c, p.wrong("Operator or function requires a document path; operator or function: %s", c.op)
		}
	case "begins_with":
		for _, a := range args {
			if k := a.kind(); k != "" && k != "S" && k != "B" {
				return c, p.wrong(operandType, c.op, k)
			}
		}
	case "attribute_type":
		s, ok := args[1].literal.(*types.AttributeValueMemberS)
		if !ok {
			return c, p.wrong(operandType, c.op, args[1].kind())
		}
		if !slices.Contains([]string{"S", "N", "B", "BOOL", "NULL", "M", "L", "SS", "NS", "BS"}, s.Value) {
			return c, p.wrong("Invalid attribute type name found; type: %s, valid types: {B,NULL,SS,BOOL,L,BS,N,NS,S,M}", s.Value)
		}
	}
	return c, p.distinct(c)
}

func (p *parser) arguments() ([]operand, error) {
	if err := p.need("("); err != nil {
		return nil, err
	}
	var args []operand
	for {
		o, err := p.operand()
		if err != nil {
			return nil, err
		}
		args = append(args, o)
		if !p.take(",") {
			return args, p.need(")")
		}
	}
}

// operand reads a placeholder for a value, a path, or size(path) where a
// condition may have it.
func (p *parser) operand() (operand, error) {
	t := p.peek()
	switch {
	case t == "size" && p.at+1 < len(p.tokens) && p.tokens[p.at+1] == "(":
		p.at++
		args, err := p.arguments()
		if err != nil {
			return operand{}, err
		}
		if len(args) != 1 {
			return operand{}, p.wrong("Incorrect number of operands for operator or function; operator or function: size, number of operands: %d", len(args))
		}
		if k := args[0].kind(); k == "N" || k == "BOOL" || k == "NULL" {
			return operand{}, p.wrong("Incorrect operand type for operator or function; operator or function: size, operand type: %s", k)
		}
		return operand{fn: "size", args: args}, nil
	case strings.HasPrefix(t, ":"):
		p.at++
		v, ok := p.scope.values[t]
		if !ok {
			return operand{}, p.wrong("An expression attribute value used in expression is not defined; attribute value: %s", t)
		}
		p.scope.usedValues[t] = true
		return operand{literal: v}, nil
	}
	at, err := p.path()
	return operand{path: at}, err
}

func (p *parser) path() (path, error) {
	name, err := p.name()
	if err != nil {
		return nil, err
	}
	at := path{{name: name}}
	for {
		switch {
		case p.take("."):
			name, err := p.name()
			if err != nil {
				return nil, err
			}
			at = append(at, segment{name: name})
		case p.take("["):
			t := p.next()
			n, err := strconv.Atoi(t)
			if err != nil || n < 0 {
				return nil, p.syntax(t)
			}
			at = append(at, segment{index: n})
			if err := p.need("]"); err != nil {
				return nil, err
			}
		default:
			return at, nil
		}
	}
}

func (p *parser) name() (string, error) {
	t := p.next()
	if strings.HasPrefix(t, "#") {
		name, ok := p.scope.names[t]
		if !ok {
			return "", p.wrong("An expression attribute name used in the document path is not defined; attribute name: %s", t)
		}
		p.scope.usedNames[t] = true
		return name, nil
	}
	if !isWord(t) || t[0] == '_' {
		return "", p.syntax(t)
	}
	if reserved[strings.ToUpper(t)] {
		return "", p.wrong("Attribute name is a reserved keyword; reserved keyword: %s", t)
	}
	return t, nil
}

// assignment is one action of an update expression: SET path = value, or
// REMOVE path where value is nil.
type assignment struct {
	path  path
	value *operand
}

// update reads an update expression of SET and REMOVE clauses.
func (s *scope) update(text string) ([]assignment, error) {
	p, err := s.parser("UpdateExpression", text)
	if err != nil {
		return nil, err
	}
	var all []assignment
	seen := map[string]bool{}
	for p.at < len(p.tokens) {
		clause := strings.ToUpper(p.next())
		switch clause {
		case "SET", "REMOVE":
		case "ADD", "DELETE":
			return nil, unknown("dynamodb", "UpdateItem", "clause "+clause)
		default:
			return nil, p.syntax(p.tokens[p.at-1])
		}
		if seen[clause] {
			return nil, p.wrong("The %q section can only be used once in an update expression;", clause)
		}
		seen[clause] = true
		for {
			var a assignment
			if a.path, err = p.path(); err != nil {
				return nil, err
			}
			if clause == "SET" {
				if err := p.need("="); err != nil {
					return nil, err
				}
				v, err := p.assigned()
				if err != nil {
					return nil, err
				}
				a.value = &v
			}
			all = append(all, a)
			if !p.take(",") {
				break
			}
		}
	}
	for n, a := range all {
		for _, b := range all[:n] {
			m := min(len(a.path), len(b.path))
			if slices.Equal(a.path[:m], b.path[:m]) {
				return nil, p.wrong("Two document paths overlap with each other; must remove or rewrite one of these paths; path one: %s, path two: %s", b.path, a.path)
			}
		}
	}
	return all, nil
}

// assigned reads the right side of SET: an operand, a sum or a difference.
func (p *parser) assigned() (operand, error) {
	left, err := p.source()
	if err != nil {
		return left, err
	}
	sign := p.peek()
	if sign != "+" && sign != "-" {
		return left, nil
	}
	p.at++
	right, err := p.source()
	for _, o := range []operand{left, right} {
		if o.literal != nil && kind(o.literal) != "N" {
			return left, p.wrong("Incorrect operand type for operator or function; operator or function: %s, operand type: %s", sign, kind(o.literal))
		}
	}
	return operand{fn: sign, args: []operand{left, right}}, err
}

// source reads what SET may take a value from: an operand, if_not_exists or list_append.
func (p *parser) source() (operand, error) {
	t := p.peek()
	if !isWord(t) || p.at+1 >= len(p.tokens) || p.tokens[p.at+1] != "(" {
		return p.operand()
	}
	p.at++
	if t != "if_not_exists" && t != "list_append" {
		return operand{}, p.wrong("Invalid function name; function: %s", t)
	}
	o := operand{fn: t}
	if err := p.need("("); err != nil {
		return o, err
	}
	for {
		a, err := p.source()
		if err != nil {
			return o, err
		}
		o.args = append(o.args, a)
		if !p.take(",") {
			break
		}
	}
	if err := p.need(")"); err != nil {
		return o, err
	}
	if len(o.args) != 2 {
		return o, p.wrong("Incorrect number of operands for operator or function; operator or function: %s, number of operands: %d", t, len(o.args))
	}
	if t == "if_not_exists" && o.args[0].path == nil {
		return o, p.wrong("Operator or function requires a document path; operator or function: %s", t)
	}
	return o, nil
}

// from is the value that SET takes from the item as it was before the update.
func (o operand) from(i item) (types.AttributeValue, error) {
	if o.literal != nil {
		return o.literal, nil
	}
	if o.path != nil {
		if v := o.path.find(i); v != nil {
			return v, nil
		}
		return nil, invalid("The provided expression refers to an attribute that does not exist in the item")
	}
	if o.fn == "if_not_exists" {
		if v := o.args[0].path.find(i); v != nil {
			return v, nil
		}
		return o.args[1].from(i)
	}
	left, err := o.args[0].from(i)
	if err != nil {
		return nil, err
	}
	right, err := o.args[1].from(i)
	if err != nil {
		return nil, err
	}
	wrongType := invalid("An operand in the update expression has an incorrect data type")
	if o.fn == "list_append" {
		a, ok := left.(*types.AttributeValueMemberL)
		b, ok2 := right.(*types.AttributeValueMemberL)
		if !ok || !ok2 {
			return nil, wrongType
		}
		return &types.AttributeValueMemberL{Value: append(slices.Clone(a.Value), b.Value...)}, nil
	}
	a, ok := left.(*types.AttributeValueMemberN)
	b, ok2 := right.(*types.AttributeValueMemberN)
	if !ok || !ok2 {
		return nil, wrongType
	}
	sign := int64(1)
	if o.fn == "-" {
		sign = -1
	}
	n, err := addNumbers(a.Value, b.Value, sign)
	return &types.AttributeValueMemberN{Value: n}, err
}

// apply is the item after an update; the item it is given stays as it is.
func apply(all []assignment, old item) (item, error) {
	out := copyItem(old)
	for _, a := range all {
		var v types.AttributeValue
		if a.value != nil {
			var err error
			if v, err = a.value.from(old); err != nil {
				return nil, err
			}
			if v, err = normal(v); err != nil {
				return nil, err
			}
		}
		if err := assign(out, a.path, v); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// assign sets or, with a nil value, removes what is at a path. What holds it must be there.
func assign(i item, at path, v types.AttributeValue) error {
	var holder types.AttributeValue = &types.AttributeValueMemberM{Value: i}
	if len(at) > 1 {
		holder = at[:len(at)-1].find(i)
	}
	last := at[len(at)-1]
	switch h := holder.(type) {
	case *types.AttributeValueMemberM:
		if last.name != "" {
			if v == nil {
				delete(h.Value, last.name)
			} else {
				h.Value[last.name] = v
			}
			return nil
		}
	case *types.AttributeValueMemberL:
		if last.name == "" {
			switch {
			case v == nil && last.index < len(h.Value):
				h.Value = slices.Delete(h.Value, last.index, last.index+1)
			case v != nil && last.index < len(h.Value):
				h.Value[last.index] = v
			case v != nil:
				h.Value = append(h.Value, v)
			}
			return nil
		}
	}
	return invalid("The document path provided in the update expression is invalid for update")
}
