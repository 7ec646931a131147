package asl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"cordon/internal/jsonata"
)

// Machine is a definition, read and checked. It is only read after Parse.
type Machine struct {
	states  *states
	timeout int // seconds, 0 when the definition gives none
	comment string
}

// states is a machine, a branch of a Parallel or the processor of a Map.
type states struct {
	start  string
	order  []string // names as they stand in the definition
	byName map[string]*state
}

type state struct {
	name    string
	kind    string
	comment string
	next    string // empty where end is set, and in Choice, Succeed and Fail
	end     bool
	neutral bool // in JSONPath, in which it queries nothing
	retry   []retrier
	catch   []catcher

	assign *template
	output *template

	// Task
	resource     string
	arguments    *template // Parallel too
	rawArguments json.RawMessage
	timeout      *template
	heartbeat    *template
	credentials  *template

	// Choice
	choices []choice
	byRule  string // Default

	// Wait
	seconds   *template
	timestamp *template

	// Fail
	errorName *template
	cause     *template

	// Parallel, and Map with one
	branches []*states

	// Map
	items          *template
	itemSelector   *template
	maxConcurrency *template

	toleratedCount      *template
	toleratedPercentage *template
}

type choice struct {
	condition *template
	next      string
	assign    *template
	output    *template
}

type retrier struct {
	errors      []string
	interval    int // seconds
	maxAttempts int
	backoff     float64
	maxDelay    int // seconds, 0 for none
	fullJitter  bool
}

type catcher struct {
	errors []string
	next   string
	assign *template
	output *template
}

// member is a field of an object, in its place.
type member struct {
	name string
	raw  json.RawMessage
}

// members reads an object, in order, refusing a name given twice.
func members(at string, raw json.RawMessage) ([]member, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return nil, invalid(at, "must be an object")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil {
		return nil, invalid(at, "%v", err)
	}
	var all []member
	seen := map[string]bool{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, invalid(at, "%v", err)
		}
		name := key.(string) // a key of an object is always one
		if seen[name] {
			return nil, invalid(at, "%q is given twice", name)
		}
		seen[name] = true
		var r json.RawMessage
		if err := d.Decode(&r); err != nil {
			return nil, invalid(at, "%v", err)
		}
		all = append(all, member{name, r})
	}
	return all, nil
}

// fields hands out an object's fields by name, and knows which nobody asked for.
type fields struct {
	at   string
	all  []member
	used map[string]bool
	err  error // the first

	states string // what $states holds in Assign and Output, besides input and context
}

func newFields(at string, raw json.RawMessage) (*fields, error) {
	all, err := members(at, raw)
	return &fields{at: at, all: all, used: map[string]bool{}}, err
}

func (f *fields) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) has(name string) bool {
	return slices.ContainsFunc(f.all, func(m member) bool { return m.name == name })
}

func (f *fields) raw(name string) json.RawMessage {
	f.used[name] = true
	for _, m := range f.all {
		if m.name == name {
			return m.raw
		}
	}
	return nil
}

// into reads a field of a fixed type; false when it is not there or is wrong.
func (f *fields) into(name string, to any, want string) bool {
	raw := f.raw(name)
	if raw == nil {
		return false
	}
	if string(raw) == "null" || json.Unmarshal(raw, to) != nil {
		f.fail(invalid(f.at+"/"+name, "must be %s", want))
		return false
	}
	return true
}

func (f *fields) text(name string) string {
	var s string
	f.into(name, &s, "a string")
	return s
}

func (f *fields) template(name string) *template {
	raw := f.raw(name)
	if raw == nil {
		return nil
	}
	states := ""
	if name == "Assign" || name == "Output" {
		states = f.states
	}
	t, err := parseTemplate(f.at+"/"+name, raw, states)
	if err != nil {
		f.fail(err)
	}
	return t
}

// object is a template that must be an object, or an expression where that may stand for one.
func (f *fields) object(name string) *template {
	t := f.template(name)
	if raw := f.raw(name); t != nil && (raw[0] != '{') {
		f.fail(invalid(f.at+"/"+name, "must be an object"))
	}
	return t
}

// shaped is a template that is an object or an expression: of anything else nobody knows
// whether AWS takes it there.
func (f *fields) shaped(name string) *template {
	t := f.template(name)
	if t != nil && t.expr == nil && f.err == nil && f.raw(name)[0] != '{' {
		f.fail(unsupported(f.at+"/"+name, "what is neither an object nor a JSONata expression"))
	}
	return t
}

// number is a template that is a whole number from low to high, or an expression.
func (f *fields) number(name string, low, high int) *template {
	t := f.template(name)
	if t == nil || t.expr != nil || f.err != nil {
		return t
	}
	n, ok := wholeNumber(t.literal)
	if !ok || n < low || n > high {
		f.fail(invalid(f.at+"/"+name, "must be a whole number from %d to %d or a JSONata expression", low, high))
	}
	return t
}

// textTemplate is a template that is a string or an expression.
func (f *fields) textTemplate(name string) *template {
	t := f.template(name)
	if t != nil && t.expr == nil && f.err == nil && (t.literal == nil || t.literal[0] != '"') {
		f.fail(invalid(f.at+"/"+name, "must be a string"))
	}
	return t
}

// jsonPath are the fields that only machines in JSONPath have.
var jsonPath = set("InputPath OutputPath Parameters ResultSelector ResultPath Result SecondsPath TimestampPath" +
	" TimeoutSecondsPath HeartbeatSecondsPath ItemsPath MaxConcurrencyPath ErrorPath CausePath Variable" +
	" ToleratedFailureCountPath ToleratedFailurePercentagePath")

func set(names string) map[string]bool {
	m := map[string]bool{}
	for _, name := range strings.Fields(names) {
		m[name] = true
	}
	return m
}

// done refuses what nobody asked for.
func (f *fields) done() error {
	if f.err != nil {
		return f.err
	}
	for _, m := range f.all {
		switch {
		case f.used[m.name]:
		case jsonPath[m.name]:
			return invalid(f.at, "%s is a field of JSONPath, the query language is JSONata", m.name)
		default:
			return unsupported(f.at, "the field %s", m.name)
		}
	}
	return nil
}

// Parse reads a definition. The error is an *InvalidError or an *UnsupportedError.
func Parse(definition []byte) (*Machine, error) {
	var raw json.RawMessage
	if err := json.Unmarshal(definition, &raw); err != nil {
		return nil, invalid("the definition", "%v", err)
	}
	if jsonata.HalfCharacter(raw) {
		return nil, unsupported("the definition", "half a character")
	}
	f, err := newFields("the definition", raw)
	if err != nil {
		return nil, err
	}
	f.at = ""
	m := &Machine{comment: f.text("Comment")}
	if v := f.text("Version"); v != "" && v != "1.0" {
		f.fail(invalid("/Version", "must be 1.0"))
	}
	language := "JSONPath" // the default
	if f.has("QueryLanguage") {
		language = f.text("QueryLanguage")
	}
	if f.into("TimeoutSeconds", &m.timeout, "a whole number") && (m.timeout < 1 || m.timeout > maxTimeout) {
		f.fail(invalid("/TimeoutSeconds", "must be from 1 to %d", maxTimeout))
	}
	if f.err != nil {
		return nil, f.err
	}
	p := &parser{language: language, names: map[string]bool{}, mixed: bytes.Contains(definition, []byte(`"JSONata"`))}
	if m.states, err = p.states(f, nil); err != nil {
		return nil, err
	}
	if !slices.ContainsFunc(m.states.order, func(name string) bool { return m.states.byName[name].ends() }) {
		return nil, invalid("", "Workflow has no terminal state")
	}
	return m, f.done()
}

type parser struct {
	language string
	names    map[string]bool // of all states: they are unique in the whole machine
	mixed    bool            // some state says that it is in JSONata
}

// plain are the fields that mean the same in both query languages.
var plain = set(`Type Comment QueryLanguage Next End Error Cause Seconds Timestamp Resource TimeoutSeconds HeartbeatSeconds
	Retry Catch Branches ItemProcessor MaxConcurrency`)

// neutral lets a JSONPath state into a machine that is in JSONata elsewhere where
// the state has nothing to query: its result is its output, as in JSONata.
func neutral(f *fields) error {
	for _, m := range f.all {
		if !plain[m.name] {
			return unsupported(f.at, "the query language JSONPath, of the field %s", m.name)
		}
		var s string
		if json.Unmarshal(m.raw, &s) == nil && isExpression(s) {
			return unsupported(f.at, "the query language JSONPath, of the field %s", m.name)
		}
	}
	var handlers []map[string]json.RawMessage
	if raw := f.raw("Catch"); raw != nil && json.Unmarshal(raw, &handlers) == nil {
		for _, h := range handlers {
			for name := range h {
				if name != "ErrorEquals" && name != "Next" && name != "Comment" {
					return unsupported(f.at, "the query language JSONPath, of a catcher")
				}
			}
		}
	}
	return nil
}

// states reads StartAt and States. outer are the variables that the scopes around assign.
func (p *parser) states(f *fields, outer map[string]bool) (*states, error) {
	s := &states{start: f.text("StartAt"), byName: map[string]*state{}}
	if s.start == "" {
		f.fail(invalid(f.at, "StartAt is missing"))
	}
	raw := f.raw("States")
	if raw == nil {
		f.fail(invalid(f.at, "States is missing"))
	}
	if f.err != nil {
		return nil, f.err
	}
	all, err := members(f.at+"/States", raw)
	if err != nil {
		return nil, err
	}
	if len(all) == 0 {
		return nil, invalid(f.at+"/States", "has no state")
	}
	assigned, err := p.assigned(f.at, all, outer)
	if err != nil {
		return nil, err
	}
	for _, m := range all {
		at := f.at + "/States/" + m.name
		if n := len([]rune(m.name)); n == 0 || n > 80 {
			return nil, invalid(at, "a state's name has 1 to 80 characters")
		}
		if p.names[m.name] {
			return nil, invalid(at, "another state of the machine has this name")
		}
		p.names[m.name] = true
		st, err := p.state(at, m.name, m.raw, assigned)
		if err != nil {
			return nil, err
		}
		s.order = append(s.order, m.name)
		s.byName[m.name] = st
	}
	return s, s.check(f.at)
}

// assigned collects what the states of one scope assign, together with the scopes
// around it. An inner scope must not assign what an outer one does.
// https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
func (p *parser) assigned(at string, all []member, outer map[string]bool) (map[string]bool, error) {
	names := map[string]bool{}
	collect := func(raw json.RawMessage) error {
		if raw == nil || raw[0] != '{' {
			return nil // said where the state is read
		}
		fs, err := members(at, raw)
		for _, f := range fs {
			if outer[f.name] {
				return invalid(at, "the variable %s is assigned in an outer scope", f.name)
			}
			names[f.name] = true
		}
		return err
	}
	for _, m := range all {
		var st struct {
			Assign  json.RawMessage
			Choices []struct{ Assign json.RawMessage }
			Catch   []struct{ Assign json.RawMessage }
		}
		if json.Unmarshal(m.raw, &st) != nil {
			continue // said where the state is read
		}
		raws := []json.RawMessage{st.Assign}
		for _, c := range st.Choices {
			raws = append(raws, c.Assign)
		}
		for _, c := range st.Catch {
			raws = append(raws, c.Assign)
		}
		for _, raw := range raws {
			if err := collect(raw); err != nil {
				return nil, err
			}
		}
	}
	for name := range outer {
		names[name] = true
	}
	return names, nil
}

func (p *parser) state(at, name string, raw json.RawMessage, assigned map[string]bool) (*state, error) {
	f, err := newFields(at, raw)
	if err != nil {
		return nil, err
	}
	s := &state{name: name, kind: f.text("Type"), comment: f.text("Comment")}
	language := p.language
	if f.has("QueryLanguage") {
		own := f.text("QueryLanguage")
		if own == "JSONPath" && p.language == "JSONata" {
			return nil, invalid(at, "a state of a JSONata machine cannot be in JSONPath")
		}
		language = own
	}
	switch {
	case f.err != nil:
		return nil, f.err
	case language == "JSONPath" && p.mixed:
		if err := neutral(f); err != nil {
			return nil, err
		}
		s.neutral = true
	case language != "JSONata":
		return nil, unsupported(at, "the query language %s", language)
	}
	switch s.kind {
	case "Task", "Parallel", "Map":
		f.states = "result"
	}
	switch s.kind {
	case "Task":
		err = p.task(f, s)
	case "Pass":
	case "Wait":
		err = p.wait(f, s)
	case "Choice":
		err = p.choice(f, s)
	case "Parallel":
		err = p.parallel(f, s, assigned)
	case "Map":
		err = p.mapState(f, s, assigned)
	case "Succeed":
	case "Fail":
		s.errorName, s.cause = f.textTemplate("Error"), f.textTemplate("Cause")
	case "":
		err = invalid(at, "Type is missing")
	default:
		err = unsupported(at, "states of type %s", s.kind)
	}
	if err != nil {
		return nil, err
	}
	if s.kind != "Fail" {
		s.output = f.template("Output")
		if s.kind != "Succeed" {
			s.assign = p.assignment(f)
		}
	}
	if s.kind != "Choice" && s.kind != "Succeed" && s.kind != "Fail" {
		s.next = f.text("Next")
		f.into("End", &s.end, "true or false")
		if (s.next != "") == s.end {
			f.fail(invalid(at, "needs Next or End, one of them"))
		}
	}
	return s, f.done()
}

// assignment is an Assign: an object of variables.
func (p *parser) assignment(f *fields) *template {
	t := f.object("Assign")
	raw := f.raw("Assign")
	if t == nil || f.err != nil {
		return t
	}
	fs, err := members(f.at+"/Assign", raw)
	if err != nil {
		f.fail(err)
	}
	for _, m := range fs {
		if m.name == "states" || !isVariable(m.name) {
			f.fail(invalid(f.at+"/Assign", "%q cannot be the name of a variable", m.name))
		}
	}
	if t.literal != nil { // keep the members apart, as those of other templates
		t = &template{object: true}
		for _, m := range fs {
			literal, err := compact(m.raw)
			if err != nil {
				f.fail(invalid(f.at+"/Assign", "%v", err))
			}
			t.keys, t.items = append(t.keys, m.name), append(t.items, &template{literal: literal})
		}
	}
	return t
}

// isVariable: a Unicode identifier, which begins with a letter, of at most 80 characters.
// https://docs.aws.amazon.com/step-functions/latest/dg/workflow-variables.html
func isVariable(name string) bool {
	runes := []rune(name)
	return len(runes) > 0 && len(runes) <= 80 && unicode.IsLetter(runes[0]) && !strings.ContainsFunc(name, func(r rune) bool {
		return r != '_' && !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}

func (p *parser) task(f *fields, s *state) error {
	s.resource = f.text("Resource")
	switch {
	case s.resource == "":
		f.fail(invalid(f.at, "Resource is missing"))
	case !strings.HasPrefix(s.resource, "arn:"): // https://docs.aws.amazon.com/step-functions/latest/dg/state-task.html
		f.fail(invalid(f.at+"/Resource", "must be an ARN"))
	}
	s.arguments, s.rawArguments = f.shaped("Arguments"), f.raw("Arguments")
	s.timeout = f.number("TimeoutSeconds", 1, maxTimeout)
	s.heartbeat = f.number("HeartbeatSeconds", 1, maxTimeout)
	s.credentials = f.object("Credentials") // the role that calls; nothing here depends on it
	if f.err == nil && s.timeout != nil && s.heartbeat != nil && s.timeout.expr == nil && s.heartbeat.expr == nil {
		t, _ := wholeNumber(s.timeout.literal)
		h, _ := wholeNumber(s.heartbeat.literal)
		if h >= t {
			f.fail(invalid(f.at, "HeartbeatSeconds must be below TimeoutSeconds"))
		}
	}
	return p.handlers(f, s)
}

func (p *parser) wait(f *fields, s *state) error {
	s.seconds = f.number("Seconds", 0, maxTimeout)
	s.timestamp = f.textTemplate("Timestamp")
	if (s.seconds == nil) == (s.timestamp == nil) {
		f.fail(invalid(f.at, "needs Seconds or Timestamp, one of them"))
	}
	if s.timestamp != nil && s.timestamp.expr == nil && f.err == nil {
		text := f.text("Timestamp")
		_, err := parseTimestamp(text)
		switch {
		case oddTimestamp(text):
			return unsupported(f.at+"/Timestamp", "the time %s", text)
		case err != nil:
			f.fail(invalid(f.at+"/Timestamp", "String does not match RFC3339 timestamp"))
		}
	}
	return f.err
}

func (p *parser) choice(f *fields, s *state) error {
	s.byRule = f.text("Default")
	var raws []json.RawMessage
	f.into("Choices", &raws, "an array")
	if len(raws) == 0 {
		f.fail(invalid(f.at, "Choices is missing or empty"))
	}
	for i, raw := range raws {
		rule, err := newFields(fmt.Sprintf("%s/Choices/%d", f.at, i), raw)
		if err != nil {
			return err
		}
		rule.text("Comment")
		c := choice{next: rule.text("Next"), condition: rule.template("Condition"), assign: p.assignment(rule), output: rule.template("Output")}
		if c.condition == nil {
			rule.fail(invalid(rule.at, "Condition is missing"))
		} else if rule.err == nil && c.condition.expr == nil && string(c.condition.literal) != "true" && string(c.condition.literal) != "false" {
			rule.fail(invalid(rule.at, "Condition must be a JSONata expression or a boolean"))
		}
		if c.next == "" {
			rule.fail(invalid(rule.at, "Next is missing"))
		}
		if err := rule.done(); err != nil {
			return err
		}
		s.choices = append(s.choices, c)
	}
	return f.err
}

func (p *parser) parallel(f *fields, s *state, assigned map[string]bool) error {
	s.arguments, s.rawArguments = f.shaped("Arguments"), f.raw("Arguments")
	var raws []json.RawMessage
	f.into("Branches", &raws, "an array")
	if len(raws) == 0 {
		f.fail(invalid(f.at, "Branches is missing or empty"))
	}
	for i, raw := range raws {
		b, err := newFields(fmt.Sprintf("%s/Branches/%d", f.at, i), raw)
		if err != nil {
			return err
		}
		b.text("Comment")
		branch, err := p.states(b, assigned)
		if err != nil {
			return err
		}
		if err := b.done(); err != nil {
			return err
		}
		s.branches = append(s.branches, branch)
	}
	return p.handlers(f, s)
}

func (p *parser) mapState(f *fields, s *state, assigned map[string]bool) error {
	s.items = f.template("Items")
	if s.items != nil && s.items.expr == nil && f.err == nil && f.raw("Items")[0] != '[' {
		f.fail(invalid(f.at+"/Items", "must be an array or a JSONata expression"))
	}
	s.itemSelector = f.shaped("ItemSelector")
	s.maxConcurrency = f.number("MaxConcurrency", 0, maxTimeout)
	s.toleratedCount = f.number("ToleratedFailureCount", 0, maxTimeout)
	s.toleratedPercentage = f.number("ToleratedFailurePercentage", 0, 100)
	processor := "ItemProcessor"
	if !f.has(processor) && f.has("Iterator") {
		processor = "Iterator" // its older name: https://docs.aws.amazon.com/step-functions/latest/dg/state-map-inline.html
	}
	raw := f.raw(processor)
	if raw == nil {
		return invalid(f.at, "ItemProcessor is missing")
	}
	b, err := newFields(f.at+"/"+processor, raw)
	if err != nil {
		return err
	}
	b.text("Comment")
	if raw := b.raw("ProcessorConfig"); raw != nil && processor == "Iterator" {
		return unsupported(b.at, "an Iterator with a ProcessorConfig")
	} else if raw != nil {
		c, err := newFields(b.at+"/ProcessorConfig", raw)
		if err != nil {
			return err
		}
		if mode := c.text("Mode"); mode != "" && mode != "INLINE" {
			return unsupported(c.at, "maps of mode %s", mode)
		}
		if err := c.done(); err != nil {
			return err
		}
	}
	branch, err := p.states(b, assigned)
	if err != nil {
		return err
	}
	if err := b.done(); err != nil {
		return err
	}
	s.branches = []*states{branch}
	return p.handlers(f, s)
}

// check looks at the targets: each there, and each state reachable.
func (s *states) check(at string) error {
	if s.byName[s.start] == nil {
		return invalid(at+"/StartAt", "there is no state %q", s.start)
	}
	for _, name := range s.order {
		st := s.byName[name]
		for _, to := range st.targets() {
			if s.byName[to] == nil {
				return invalid(at+"/States/"+name, "there is no state %q", to)
			}
		}
	}
	reached := map[string]bool{s.start: true}
	for todo := []string{s.start}; len(todo) > 0; todo = todo[1:] {
		for _, to := range s.byName[todo[0]].targets() {
			if !reached[to] {
				reached[to] = true
				todo = append(todo, to)
			}
		}
	}
	for _, name := range s.order {
		if !reached[name] {
			return invalid(at+"/States/"+name, "is never reached")
		}
	}
	return nil
}

// ends says whether its scope may end with the state.
func (s *state) ends() bool { return s.end || s.kind == "Succeed" || s.kind == "Fail" }

// targets are the states that may follow, in the order of the definition.
func (s *state) targets() []string {
	var all []string
	for _, c := range s.choices {
		all = append(all, c.next)
	}
	for _, name := range []string{s.byRule, s.next} {
		if name != "" {
			all = append(all, name)
		}
	}
	for _, c := range s.catch {
		all = append(all, c.next)
	}
	return all
}
