package template

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// properties are those that a rehearsal knows of the types that it runs. One
// that changes how a function runs must not be passed over.
var properties = map[string][]string{
	"AWS::Serverless::Function": {
		"Architectures", "CodeUri", "DeadLetterQueue", "Description", "Environment", "EventInvokeConfig", "Events",
		"FunctionName", "Handler", "LoggingConfig", "MemorySize", "Policies", "ReservedConcurrentExecutions", "Role", "Runtime", "Tags", "Timeout", "Tracing",
	},
	"AWS::Serverless::StateMachine":   {"DefinitionSubstitutions", "DefinitionUri", "Events", "Logging", "Name", "Policies", "Role", "Tags", "Tracing", "Type"},
	"AWS::Events::Rule":               {"Description", "EventPattern", "Name", "ScheduleExpression", "State", "Targets"},
	"AWS::Lambda::EventSourceMapping": {"BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "EventSourceArn", "FunctionName", "MaximumBatchingWindowInSeconds", "MaximumRecordAgeInSeconds", "StartingPosition"},
	"AWS::IAM::Role":                  {"AssumeRolePolicyDocument", "Description", "MaxSessionDuration", "Policies", "RoleName", "Tags"},
	"AWS::IAM::Policy":                {"PolicyDocument", "PolicyName", "Roles"},
}

// Function is a Lambda function as it runs.
type Function struct {
	LogicalID, Name, ARN string
	Timeout              time.Duration
	Memory               int // MiB
	Environment          map[string]string
	// Role is the logical ID of its role; empty if SAM makes one of Policies.
	Role string
	// Statements are those that the template writes out; what SAM adds for
	// logs and tracing is not among them.
	Statements []Statement
	Routes     []Route
}

// Route is a route of an HTTP API that invokes a function.
type Route struct {
	API          string // logical ID
	Method, Path string
	Authorizer   string // AWS_IAM, or empty for none
}

// Role is a role that the template writes out.
type Role struct {
	LogicalID, Name, ARN string
	Statements           []Statement
}

// Statement is one of a role's policies.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html
type Statement struct {
	Sid          string
	Effect       string // Allow or Deny
	Actions      []string
	NotActions   []string
	Resources    []string
	NotResources []string
	Condition    map[string]map[string][]string // operator, key, values
}

// StateMachine is a Standard Step Functions state machine.
type StateMachine struct {
	LogicalID, Name, ARN string
	DefinitionURI        string // relative to the template
	Substitutions        map[string]string
	Role                 string // as that of a Function
	Statements           []Statement
}

// Rule is an EventBridge rule on the default bus.
type Rule struct {
	LogicalID, Name, ARN string
	Enabled              bool
	Pattern              json.RawMessage // nil if it has a schedule
	Schedule             string          // rate(…) or cron(…); empty if it has a pattern
	Targets              []Target
}

// Mapping is an event source mapping of a table's stream: each change of the
// table is handed to a function, in order within a shard, again and again until
// it is taken or too old.
// https://docs.aws.amazon.com/lambda/latest/dg/services-ddb-params.html
type Mapping struct {
	LogicalID  string
	Table      string // logical ID
	StreamARN  string
	Function   string // logical ID
	BatchSize  int
	Window     time.Duration // how long a batch that is not full is waited for
	MaximumAge time.Duration // of a record, before it is given up
	Bisects    bool          // a batch that fails is split in two
	DeadLetter string        // logical ID of the queue that is told of what was given up; empty if there is none
	Keeps      string        // logical ID of the bucket that keeps what was given up; empty if there is none
}

// Target is what a rule invokes.
type Target struct {
	ID, ARN    string
	Resource   string          // logical ID
	Role       string          // logical ID; empty for a function
	Input      json.RawMessage // sent in place of the event; nil if it is not
	InputPath  string          // the part of the event that is sent, such as $.detail; empty for all of it
	DeadLetter string          // logical ID of a queue; empty if there is none
	// EventBridge tries again until one of these is used up.
	MaximumAge     time.Duration
	MaximumRetries int
}

// scalarText is a string, number or boolean, which SAM makes a string.
type scalarText string

func (s *scalarText) UnmarshalJSON(b []byte) error {
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	t, err := text(v)
	*s = scalarText(t)
	return err
}

func texts(m map[string]scalarText) map[string]string {
	all := make(map[string]string, len(m))
	for k, v := range m {
		all[k] = string(v)
	}
	return all
}

// oneOrMore is a list, or one value without the brackets.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(b, []byte("[")) {
		return strict(b, (*[]T)(l))
	}
	var v T
	err := strict(b, &v)
	*l = []T{v}
	return err
}

// strict refuses keys that the target does not know.
func strict(b []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(to); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return fmt.Errorf("%s cannot be a %s", kind.Field, kind.Value)
		}
		return errors.New(strings.TrimPrefix(strings.Replace(err.Error(), "unknown field", "not supported:", 1), "json: "))
	}
	return nil
}

// plain is JSON without the escapes that are for HTML.
func plain(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

func decode(v, to any) error {
	b, err := plain(v)
	if err != nil {
		return err
	}
	return strict(b, to)
}

// wrong gives an error of a resource its name and line.
func (d *Deployment) wrong(logicalID string, err error) error {
	if err == nil {
		return nil
	}
	return locate(d.declared[logicalID].node.Line, fmt.Errorf("%s: %w", logicalID, err))
}

type document struct {
	Version   string
	Statement oneOrMore[statement]
}

type statement struct {
	Sid, Effect                              string
	Action, NotAction, Resource, NotResource oneOrMore[string]
	Condition                                map[string]map[string]oneOrMore[scalarText]
}

func (o document) statements() ([]Statement, error) {
	if o.Version != "2012-10-17" {
		return nil, fmt.Errorf("a policy has the version %q; write 2012-10-17", o.Version)
	}
	var all []Statement
	for _, s := range o.Statement {
		if s.Effect != "Allow" && s.Effect != "Deny" {
			return nil, fmt.Errorf("the statement %q has the effect %q; it is Allow or Deny", s.Sid, s.Effect)
		}
		if (len(s.Action) == 0) == (len(s.NotAction) == 0) || (len(s.Resource) == 0) == (len(s.NotResource) == 0) {
			return nil, fmt.Errorf("the statement %q needs Action or NotAction, and Resource or NotResource", s.Sid)
		}
		one := Statement{s.Sid, s.Effect, s.Action, s.NotAction, s.Resource, s.NotResource, nil}
		for operator, keys := range s.Condition {
			for key, values := range keys {
				if one.Condition == nil {
					one.Condition = map[string]map[string][]string{}
				}
				if one.Condition[operator] == nil {
					one.Condition[operator] = map[string][]string{}
				}
				for _, v := range values {
					one.Condition[operator][key] = append(one.Condition[operator][key], string(v))
				}
			}
		}
		all = append(all, one)
	}
	return all, nil
}

func (d *Deployment) setRoles() error {
	for _, r := range d.resources {
		if r.Type != "AWS::IAM::Role" {
			continue
		}
		role := Role{LogicalID: r.LogicalID, Name: r.Name, ARN: r.ARN()}
		var p struct {
			Policies []struct {
				PolicyName     string
				PolicyDocument document
			}
		}
		if err := decode(map[string]any{"Policies": r.Properties["Policies"]}, &p); err != nil {
			return d.wrong(r.LogicalID, err)
		}
		for _, policy := range p.Policies {
			s, err := policy.PolicyDocument.statements()
			if err != nil {
				return d.wrong(r.LogicalID, err)
			}
			role.Statements = append(role.Statements, s...)
		}
		d.roles = append(d.roles, role)
	}
	for _, r := range d.resources {
		if r.Type != "AWS::IAM::Policy" {
			continue
		}
		var p struct {
			PolicyName     string
			PolicyDocument document
			Roles          []string
		}
		err := decode(r.Properties, &p)
		if err != nil {
			return d.wrong(r.LogicalID, err)
		}
		s, err := p.PolicyDocument.statements()
		if err != nil {
			return d.wrong(r.LogicalID, err)
		}
		for _, name := range p.Roles {
			n := slices.IndexFunc(d.roles, func(o Role) bool { return o.Name == name })
			if n < 0 {
				return d.wrong(r.LogicalID, fmt.Errorf("%q is no role of the template", name))
			}
			d.roles[n].Statements = append(d.roles[n].Statements, s...)
		}
	}
	return nil
}

// role reads Role or Policies of a function or state machine.
func (d *Deployment) role(r Resource) (logicalID string, all []Statement, err error) {
	if arn, ok := r.Properties["Role"]; ok {
		if r.Properties["Policies"] != nil {
			return "", nil, errors.New("it has Role and Policies; with a Role, SAM passes over Policies")
		}
		for _, o := range d.roles {
			if o.ARN == arn {
				return o.LogicalID, o.Statements, nil
			}
		}
		return "", nil, fmt.Errorf("its Role %v is no role of the template", arn)
	}
	var p struct{ Policies oneOrMore[json.RawMessage] }
	if err := decode(map[string]any{"Policies": r.Properties["Policies"]}, &p); err != nil {
		return "", nil, err
	}
	for _, policy := range p.Policies {
		var o document
		if string(policy) == "null" {
			continue
		}
		if err := strict(policy, &o); err != nil {
			return "", nil, fmt.Errorf("a managed policy or policy template is not supported in Policies, write its statements out: %s", policy)
		}
		s, err := o.statements()
		if err != nil {
			return "", nil, err
		}
		all = append(all, s...)
	}
	return "", all, nil
}

func (d *Deployment) setMachines() error {
	for _, r := range d.resources {
		if r.Type != "AWS::Serverless::StateMachine" {
			continue
		}
		if len(d.machines) == 1 {
			return d.wrong(r.LogicalID, fmt.Errorf("a second state machine, after %s, is not supported by a rehearsal", d.machines[0].LogicalID))
		}
		m := StateMachine{LogicalID: r.LogicalID, Name: r.Name, ARN: r.ARN()}
		var p struct {
			DefinitionUri           string
			DefinitionSubstitutions map[string]scalarText
			Type                    string
		}
		err := decode(pick(r.Properties, "DefinitionUri", "DefinitionSubstitutions", "Type"), &p)
		if err == nil && p.DefinitionUri == "" {
			err = errors.New("it has no DefinitionUri")
		}
		if err == nil && p.Type != "" && p.Type != "STANDARD" {
			err = fmt.Errorf("the type %s is not supported: only a STANDARD one waits for people", p.Type)
		}
		if err == nil {
			m.Role, m.Statements, err = d.role(r)
		}
		if err != nil {
			return d.wrong(r.LogicalID, err)
		}
		m.DefinitionURI, m.Substitutions = p.DefinitionUri, texts(p.DefinitionSubstitutions)
		d.machines = append(d.machines, m)
	}
	return nil
}

func pick(m map[string]any, keys ...string) map[string]any {
	some := map[string]any{}
	for _, k := range keys {
		if v, ok := m[k]; ok {
			some[k] = v
		}
	}
	return some
}

func (d *Deployment) setFunctions() error {
	for _, r := range d.resources {
		if r.Type != "AWS::Serverless::Function" {
			continue
		}
		f, err := d.function(r)
		if err != nil {
			return d.wrong(r.LogicalID, err)
		}
		d.functions = append(d.functions, f)
	}
	return nil
}

func (d *Deployment) function(r Resource) (Function, error) {
	f := Function{LogicalID: r.LogicalID, Name: r.Name, ARN: r.ARN()}
	p := struct {
		Handler, Runtime    string
		Timeout, MemorySize scalarText
		Environment         struct{ Variables map[string]scalarText }
	}{Timeout: "3", MemorySize: "128"} // Lambda's own defaults
	if err := decode(pick(r.Properties, "Handler", "Runtime", "Timeout", "MemorySize", "Environment"), &p); err != nil {
		return f, err
	}
	if p.Runtime != "provided.al2023" || p.Handler != "bootstrap" {
		return f, fmt.Errorf("runtime %q with handler %q is not supported; provided.al2023 with bootstrap is", p.Runtime, p.Handler)
	}
	seconds, err := between("Timeout", p.Timeout, 1, 900)
	if err != nil {
		return f, err
	}
	f.Timeout = time.Duration(seconds) * time.Second
	if f.Memory, err = between("MemorySize", p.MemorySize, 128, 10240); err != nil {
		return f, err
	}
	f.Environment = texts(p.Environment.Variables)
	if f.Role, f.Statements, err = d.role(r); err != nil {
		return f, err
	}
	for _, e := range events(r) {
		if e.typ != "HttpApi" {
			continue
		}
		route, err := d.route(e)
		if err != nil {
			return f, fmt.Errorf("the event %s: %w", e.name, err)
		}
		f.Routes = append(f.Routes, route)
	}
	return f, nil
}

func (d *Deployment) setMappings() error {
	for _, r := range d.resources {
		if r.Type != "AWS::Lambda::EventSourceMapping" {
			continue
		}
		m, err := d.mapping(r)
		if err != nil {
			return d.wrong(r.LogicalID, err)
		}
		d.mappings = append(d.mappings, m)
	}
	return nil
}

func (d *Deployment) mapping(r Resource) (Mapping, error) {
	m := Mapping{LogicalID: r.LogicalID}
	p := struct {
		EventSourceArn, FunctionName, StartingPosition string
		BatchSize, MaximumRecordAgeInSeconds           scalarText
		MaximumBatchingWindowInSeconds                 scalarText
		BisectBatchOnFunctionError                     scalarText
		DestinationConfig                              struct{ OnFailure struct{ Destination string } }
	}{BatchSize: "100", MaximumBatchingWindowInSeconds: "0", MaximumRecordAgeInSeconds: "86400"}
	err := decode(r.Properties, &p)
	if err != nil {
		return m, err
	}
	if p.StartingPosition != "TRIM_HORIZON" {
		return m, fmt.Errorf("its StartingPosition is %q; only TRIM_HORIZON passes over no change", p.StartingPosition)
	}
	if m.BatchSize, err = between("BatchSize", p.BatchSize, 1, 10000); err != nil {
		return m, err
	}
	window, err := between("MaximumBatchingWindowInSeconds", p.MaximumBatchingWindowInSeconds, 0, 300)
	if err != nil {
		return m, err
	}
	m.Window = time.Duration(window) * time.Second
	age, err := between("MaximumRecordAgeInSeconds", p.MaximumRecordAgeInSeconds, 60, 604800)
	if err != nil {
		return m, err
	}
	m.MaximumAge = time.Duration(age) * time.Second
	switch p.BisectBatchOnFunctionError {
	case "true":
		m.Bisects = true
	case "", "false":
	default:
		return m, fmt.Errorf("BisectBatchOnFunctionError is %q; it is true or false", p.BisectBatchOnFunctionError)
	}
	for _, o := range d.resources {
		if o.Type == "AWS::DynamoDB::Table" && o.Attributes["StreamArn"] == p.EventSourceArn {
			m.Table, m.StreamARN = o.LogicalID, p.EventSourceArn
			if view, _ := o.Properties["StreamSpecification"].(map[string]any); view["StreamViewType"] != "NEW_AND_OLD_IMAGES" {
				return m, fmt.Errorf("the stream of %s has the view %v; only NEW_AND_OLD_IMAGES is supported", o.LogicalID, view["StreamViewType"])
			}
		}
	}
	if m.Table == "" {
		return m, fmt.Errorf("its source %q is no stream of a table of the template", p.EventSourceArn)
	}
	f, ok := d.byRef(p.FunctionName)
	if o, known := d.byARN(p.FunctionName); known {
		f, ok = o.LogicalID, true
	}
	if !ok {
		return m, fmt.Errorf("%q is no function of the template", p.FunctionName)
	}
	m.Function = f
	if to := p.DestinationConfig.OnFailure.Destination; to != "" {
		o, ok := d.byARN(to)
		switch {
		case ok && o.Type == "AWS::SQS::Queue":
			m.DeadLetter = o.LogicalID
		case ok && o.Type == "AWS::S3::Bucket":
			m.Keeps = o.LogicalID
		default:
			return m, fmt.Errorf("%q is no queue and no bucket of the template", to)
		}
	}
	return m, nil
}

func between(name string, n scalarText, least, most int) (int, error) {
	i, err := strconv.Atoi(string(n))
	if err != nil || i < least || i > most {
		return 0, fmt.Errorf("%s is %q; it is a whole number from %d to %d", name, n, least, most)
	}
	return i, nil
}

// event is one entry of SAM's Events.
type event struct {
	name, typ  string
	properties map[string]any
}

// events lists them by name, so that the order is always the same.
func events(r Resource) []event {
	all, _ := r.Properties["Events"].(map[string]any)
	var list []event
	for name, v := range all {
		m, _ := v.(map[string]any)
		typ, _ := m["Type"].(string)
		p, _ := m["Properties"].(map[string]any)
		list = append(list, event{name, typ, p})
	}
	slices.SortFunc(list, func(a, b event) int { return strings.Compare(a.name, b.name) })
	return list
}

func (d *Deployment) route(e event) (Route, error) {
	var p struct {
		ApiId, Path, Method  string
		PayloadFormatVersion scalarText
		TimeoutInMillis      scalarText
		Auth                 struct{ Authorizer string }
	}
	if err := decode(e.properties, &p); err != nil {
		return Route{}, err
	}
	api, ok := d.byRef(p.ApiId)
	if !ok {
		return Route{}, errors.New("its ApiId is no HTTP API of the template")
	}
	if p.PayloadFormatVersion != "" && p.PayloadFormatVersion != "2.0" {
		return Route{}, fmt.Errorf("the payload format %s is not supported; 2.0 is", p.PayloadFormatVersion)
	}
	if !strings.HasPrefix(p.Path, "/") || p.Method == "" {
		return Route{}, errors.New("it needs a Path, which begins with /, and a Method")
	}
	if p.Auth.Authorizer == "" {
		r, _ := d.Resource(api)
		auth, _ := r.Properties["Auth"].(map[string]any)
		p.Auth.Authorizer, _ = auth["DefaultAuthorizer"].(string)
	}
	switch p.Auth.Authorizer {
	case "NONE":
		p.Auth.Authorizer = ""
	case "", "AWS_IAM":
	default:
		return Route{}, fmt.Errorf("the authorizer %s is not supported; AWS_IAM is", p.Auth.Authorizer)
	}
	return Route{api, strings.ToUpper(p.Method), p.Path, p.Auth.Authorizer}, nil
}

// target is a rule's target as CloudFormation writes it.
type target struct {
	Id, Arn, RoleArn, Input, InputPath string
	RetryPolicy                        struct{ MaximumEventAgeInSeconds, MaximumRetryAttempts scalarText }
	DeadLetterConfig                   struct{ Arn string }
}

func (d *Deployment) setRules() error {
	for _, r := range d.resources {
		if r.Type == "AWS::Events::Rule" {
			var p struct {
				ScheduleExpression, State string
				EventPattern              any
				Targets                   []target
			}
			if err := decode(pick(r.Properties, "ScheduleExpression", "State", "EventPattern", "Targets"), &p); err != nil {
				return d.wrong(r.LogicalID, err)
			}
			rule := Rule{LogicalID: r.LogicalID, Name: r.Name, ARN: r.ARN()}
			if err := d.setRule(&rule, r.Properties["EventPattern"], p.ScheduleExpression, p.State, p.Targets); err != nil {
				return d.wrong(r.LogicalID, err)
			}
		}
		if r.Type != "AWS::Serverless::Function" && r.Type != "AWS::Serverless::StateMachine" {
			continue
		}
		for _, e := range events(r) {
			if err := d.setEventRule(r, e); err != nil {
				return d.wrong(r.LogicalID, fmt.Errorf("the event %s: %w", e.name, err))
			}
		}
	}
	return nil
}

// setEventRule makes the rule that SAM makes of an event.
func (d *Deployment) setEventRule(r Resource, e event) error {
	var p struct {
		RuleName, Name, Description, State, Schedule, Input, InputPath string
		Enabled                                                        *bool
		Pattern                                                        any
		Target                                                         struct{ Id string }
		RetryPolicy                                                    struct{ MaximumEventAgeInSeconds, MaximumRetryAttempts scalarText }
		DeadLetterConfig                                               struct{ Arn string }
	}
	switch e.typ {
	case "HttpApi":
		if r.Type == "AWS::Serverless::Function" {
			return nil
		}
	case "EventBridgeRule", "Schedule":
		if err := decode(e.properties, &p); err != nil {
			return err
		}
		if p.Enabled != nil && !*p.Enabled {
			p.State = "DISABLED"
		}
		logical := r.LogicalID + e.name
		i := d.name("AWS::Events::Rule", logical, p.RuleName+p.Name) // one of the two, by the type of the event
		rule := Rule{LogicalID: logical, Name: i.Name, ARN: i.arn()}
		t := target{Id: p.Target.Id, Arn: r.ARN(), Input: p.Input, InputPath: p.InputPath, RetryPolicy: p.RetryPolicy, DeadLetterConfig: p.DeadLetterConfig}
		if t.Id == "" {
			t.Id = logical
		}
		return d.setRule(&rule, e.properties["Pattern"], p.Schedule, p.State, []target{t})
	}
	return fmt.Errorf("the type %q is not supported by a rehearsal", e.typ)
}

func (d *Deployment) setRule(rule *Rule, pattern any, schedule, state string, targets []target) error {
	if (pattern == nil) == (schedule == "") {
		return errors.New("a rule has a pattern or a schedule")
	}
	switch state {
	case "", "ENABLED":
		rule.Enabled = true
	case "DISABLED":
	default:
		return fmt.Errorf("the state %q is not supported; ENABLED and DISABLED are", state)
	}
	rule.Schedule = schedule
	if pattern != nil {
		var err error
		if rule.Pattern, err = plain(pattern); err != nil {
			return err
		}
	}
	if len(targets) == 0 {
		return errors.New("a rule without targets does nothing")
	}
	for _, t := range targets {
		one, err := d.target(t)
		if err != nil {
			return fmt.Errorf("the target %q: %w", t.Id, err)
		}
		rule.Targets = append(rule.Targets, one)
	}
	d.rules = append(d.rules, *rule)
	return nil
}

var inputPath = regexp.MustCompile(`^\$(\.[A-Za-z0-9_-]+)*$`)

func (d *Deployment) target(t target) (Target, error) {
	one := Target{ID: t.Id, ARN: t.Arn, InputPath: t.InputPath, MaximumAge: 24 * time.Hour, MaximumRetries: 185} // EventBridge's own defaults
	r, ok := d.byARN(t.Arn)
	if !ok {
		return one, fmt.Errorf("%q is no resource of the template", t.Arn)
	}
	one.Resource = r.LogicalID
	if t.RoleArn != "" {
		role, ok := d.byARN(t.RoleArn)
		if !ok || role.Type != "AWS::IAM::Role" {
			return one, fmt.Errorf("its RoleArn %q is no role of the template", t.RoleArn)
		}
		one.Role = role.LogicalID
	}
	if t.DeadLetterConfig.Arn != "" {
		queue, ok := d.byARN(t.DeadLetterConfig.Arn)
		if !ok || queue.Type != "AWS::SQS::Queue" {
			return one, fmt.Errorf("its dead-letter queue %q is no queue of the template", t.DeadLetterConfig.Arn)
		}
		one.DeadLetter = queue.LogicalID
	}
	if t.Input != "" {
		if t.InputPath != "" {
			return one, errors.New("it has Input and InputPath; one of them is possible")
		}
		if !json.Valid([]byte(t.Input)) {
			return one, errors.New("its Input is not JSON")
		}
		one.Input = json.RawMessage(t.Input)
	}
	if t.InputPath != "" && !inputPath.MatchString(t.InputPath) {
		return one, fmt.Errorf("the InputPath %q is not supported; names after $ are, such as $.detail", t.InputPath)
	}
	if n := t.RetryPolicy.MaximumEventAgeInSeconds; n != "" {
		seconds, err := between("MaximumEventAgeInSeconds", n, 60, 86400)
		if err != nil {
			return one, err
		}
		one.MaximumAge = time.Duration(seconds) * time.Second
	}
	if n := t.RetryPolicy.MaximumRetryAttempts; n != "" {
		var err error
		if one.MaximumRetries, err = between("MaximumRetryAttempts", n, 0, 185); err != nil {
			return one, err
		}
	}
	return one, nil
}

// Payload is what the target gets of an event: all of it, a part, or Input. A
// part that is not there is null.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
func (t Target) Payload(event json.RawMessage) (json.RawMessage, error) {
	if t.Input != nil {
		return t.Input, nil
	}
	for _, name := range strings.Split(t.InputPath, ".")[1:] {
		var o map[string]json.RawMessage
		if err := json.Unmarshal(event, &o); err != nil {
			return nil, fmt.Errorf("reading %s of an event: %w", t.InputPath, err)
		}
		if event = o[name]; event == nil {
			return json.RawMessage("null"), nil
		}
	}
	return event, nil
}
