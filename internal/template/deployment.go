package template

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Settings is what a deployment is made with.
type Settings struct {
	Account string // twelve digits
	Region  string
	Stack   string
	// Parameters that are not given take their default.
	Parameters map[string]string
}

// Deployment is a template deployed: parameters, conditions and functions are
// resolved, every resource has its name. The same settings give the same names.
// It is never changed; what it returns must not be changed either.
type Deployment struct {
	template   *Template
	pseudo     map[string]string
	parameters map[string]Parameter
	conditions map[string]bool
	declared   map[string]declaration // resources whose condition holds
	identities map[string]identity
	needs      map[string]map[string]bool // resource → those it refers to
	evaluating map[string]bool            // conditions and names, against circles

	resources []Resource
	functions []Function
	machines  []StateMachine
	roles     []Role
	rules     []Rule
	mappings  []Mapping
	outputs   map[string]string
}

// Resource is a resource whose condition holds.
type Resource struct {
	LogicalID string
	Type      string
	// Name is the physical name: of a table its name, of a key its ID.
	Name string
	// Ref and Attributes are what Ref and Fn::GetAtt give.
	Ref        string
	Attributes map[string]string
	// Properties are resolved, Globals included: string, json.Number, bool,
	// []any and map[string]any.
	Properties map[string]any
}

// ARN is empty if the type has none that a template can get.
func (r Resource) ARN() string { return identity{r.Name, r.Ref, r.Attributes}.arn() }

// identity is what others can know of a resource before its properties are.
type identity struct {
	Name       string
	Ref        string
	Attributes map[string]string
}

func (i identity) arn() string {
	for _, v := range []string{i.Attributes["Arn"], i.Attributes["TopicArn"]} {
		if v != "" {
			return v
		}
	}
	return ""
}

var (
	accountID = regexp.MustCompile(`^[0-9]{12}$`)
	regionID  = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-[0-9]+$`)
	stackName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,127}$`)
)

// Deploy resolves the template as CloudFormation would. Its errors say which
// parameter, or which line of the template, is wrong.
func (t *Template) Deploy(s Settings) (*Deployment, error) {
	if !accountID.MatchString(s.Account) {
		return nil, fmt.Errorf("deploying the template: %q is no account ID, which is twelve digits", s.Account)
	}
	if !regionID.MatchString(s.Region) {
		return nil, fmt.Errorf("deploying the template: %q is no Region, such as eu-central-1", s.Region)
	}
	if !stackName.MatchString(s.Stack) {
		return nil, fmt.Errorf("deploying the template: %q is no name for a stack: a letter, then letters, digits and hyphens, 128 in all", s.Stack)
	}
	d := &Deployment{
		template:   t,
		pseudo:     pseudoParameters(s),
		parameters: map[string]Parameter{},
		conditions: map[string]bool{},
		declared:   map[string]declaration{},
		identities: map[string]identity{},
		needs:      map[string]map[string]bool{},
		evaluating: map[string]bool{},
		outputs:    map[string]string{},
	}
	for _, step := range []func() error{
		func() error { return d.setParameters(s.Parameters) },
		d.setConditions,
		d.setResources,
		d.findCircle,
		d.setRoles,
		d.setMachines,
		d.setFunctions,
		d.setRules,
		d.setMappings,
		d.setOutputs,
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("deploying the template: %w", err)
		}
	}
	return d, nil
}

// https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/pseudo-parameter-reference.html
func pseudoParameters(s Settings) map[string]string {
	partition, suffix := "aws", "amazonaws.com"
	switch {
	case strings.HasPrefix(s.Region, "cn-"):
		partition, suffix = "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(s.Region, "us-gov-"):
		partition = "aws-us-gov"
	}
	id := uuid("", "", sha256.Sum256([]byte(s.Account+"\n"+s.Region+"\n"+s.Stack)))
	return map[string]string{
		"AWS::AccountId": s.Account,
		"AWS::Partition": partition,
		"AWS::Region":    s.Region,
		"AWS::StackId":   "arn:" + partition + ":cloudformation:" + s.Region + ":" + s.Account + ":stack/" + s.Stack + "/" + id,
		"AWS::StackName": s.Stack,
		"AWS::URLSuffix": suffix,
	}
}

// setParameters tells of everything that is wrong at once.
func (d *Deployment) setParameters(given map[string]string) error {
	var wrong []error
	var names []string
	for _, p := range d.template.parameters {
		names = append(names, p.Name)
		v, ok := given[p.Name]
		switch {
		case ok:
			if err := p.check(v); err != nil {
				wrong = append(wrong, err)
			}
		case p.Required:
			wrong = append(wrong, fmt.Errorf("parameter %s has no default, give it a value: %s", p.Name, p.Description))
		default:
			v = p.Default
		}
		p.Value = v
		d.parameters[p.Name] = p
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			wrong = append(wrong, fmt.Errorf("the template has no parameter %s; it has %s", name, strings.Join(names, ", ")))
		}
	}
	return errors.Join(wrong...)
}

// setConditions comes before resources are known, because a condition cannot
// refer to them.
func (d *Deployment) setConditions() error {
	for _, name := range slices.Sorted(maps.Keys(d.template.conditions)) {
		if _, err := d.condition(name); err != nil {
			return fmt.Errorf("the condition %s: %w", name, err)
		}
	}
	for _, r := range d.template.resources {
		if d.holds(r) {
			d.declared[r.name] = r
		}
	}
	return nil
}

func (d *Deployment) holds(r declaration) bool {
	c := r.fields["Condition"]
	return c == nil || d.conditions[c.Value]
}

// identity names a resource. A name of its own may refer to others.
func (d *Deployment) identity(name, from string) (identity, error) {
	r, ok := d.declared[name]
	if !ok {
		for _, r := range d.template.resources {
			if r.name == name && r.fields["Condition"] != nil && !d.holds(r) {
				return identity{}, fmt.Errorf("the resource %s is not deployed, its condition %s does not hold", name, r.fields["Condition"].Value)
			}
		}
		return identity{}, fmt.Errorf("there is no parameter or resource %q here (a condition can refer to parameters only)", name)
	}
	if from != "" && from != name {
		d.need(from, name)
	}
	if from == name {
		return identity{}, fmt.Errorf("the resource %s refers to itself", name)
	}
	if i, ok := d.identities[name]; ok {
		return i, nil
	}
	if d.evaluating["resource "+name] {
		return identity{}, fmt.Errorf("the name of %s depends on itself", name)
	}
	d.evaluating["resource "+name] = true
	defer delete(d.evaluating, "resource "+name)

	own := ""
	if p := r.fields["Properties"]; p != nil {
		entries, err := mapping(p, name)
		if err != nil {
			return identity{}, err
		}
		for _, e := range entries {
			if e.key == kinds[r.typ].property {
				if own, err = d.text(e.value, name); err != nil {
					return identity{}, err
				}
			}
		}
	}
	i := d.name(r.typ, name, own)
	d.identities[name] = i
	return i, nil
}

// name gives a resource its own name, or one as CloudFormation makes it.
func (d *Deployment) name(typ, logicalID, own string) identity {
	k := kinds[typ]
	if own == "" {
		own = k.generate(d.pseudo["AWS::StackName"], logicalID, sha256.Sum256([]byte(d.pseudo["AWS::StackId"]+"\n"+logicalID)))
	}
	fill := strings.NewReplacer("{name}", own, "{account}", d.pseudo["AWS::AccountId"], "{partition}", d.pseudo["AWS::Partition"],
		"{region}", d.pseudo["AWS::Region"], "{suffix}", d.pseudo["AWS::URLSuffix"])
	i := identity{Name: own, Ref: fill.Replace(k.ref), Attributes: map[string]string{}}
	for a, v := range k.attributes {
		i.Attributes[a] = fill.Replace(v)
	}
	return i
}

func (d *Deployment) need(from, to string) {
	if d.needs[from] == nil {
		d.needs[from] = map[string]bool{}
	}
	d.needs[from][to] = true
}

// setResources resolves the properties of every resource.
func (d *Deployment) setResources() error {
	for _, r := range d.template.resources {
		if !d.holds(r) {
			continue
		}
		i, err := d.identity(r.name, "")
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, locate(r.node.Line, err))
		}
		properties := map[string]any{}
		entries, err := d.entries(r)
		if err != nil {
			return err
		}
		for _, e := range entries {
			from := r.name
			// SAM makes resources of their own out of these.
			if strings.HasPrefix(r.typ, "AWS::Serverless::") && slices.Contains([]string{"Events", "EventInvokeConfig", "AccessLogSettings"}, e.key) {
				from = ""
			}
			v, err := d.resolve(e.value, from)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if v != (noValue{}) {
				properties[e.key] = v
			}
		}
		for _, name := range r.depends {
			if _, ok := d.declared[name]; ok {
				d.need(r.name, name)
			}
		}
		d.resources = append(d.resources, Resource{r.name, r.typ, i.Name, i.Ref, i.Attributes, properties})
	}
	return nil
}

// entries lists the properties of a resource, those of Globals included.
func (d *Deployment) entries(r declaration) ([]entry, error) {
	own := r.fields["Properties"]
	if r.typ == "AWS::Serverless::Function" && d.template.globals != nil {
		if own == nil {
			own = d.template.globals
		} else {
			var err error
			if own, err = merge(d.template.globals, own); err != nil {
				return nil, fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	if own == nil {
		return nil, nil
	}
	entries, err := mapping(own, "the properties of "+r.name)
	if err != nil {
		return nil, err
	}
	known := properties[r.typ]
	for _, e := range entries {
		if known != nil && !slices.Contains(known, e.key) {
			return nil, at(e.node, "%s has the property %s, which is not supported by a rehearsal", r.name, e.key)
		}
	}
	return entries, nil
}

// merge puts what a function says over what Globals says: maps are merged, the
// rest is replaced.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-template-anatomy-globals.html
func merge(global, own *yaml.Node) (*yaml.Node, error) {
	for _, n := range []*yaml.Node{global, own} {
		if name, _, err := function(n); name != "" || err != nil {
			return own, err
		}
	}
	if global.Kind == yaml.SequenceNode && own.Kind == yaml.SequenceNode {
		return nil, at(own, "this list stands in Globals too (line %d), and SAM would append one to the other; write it in one place", global.Line)
	}
	if global.Kind != yaml.MappingNode || own.Kind != yaml.MappingNode {
		return own, nil
	}
	all := *own
	all.Content = slices.Clone(own.Content)
next:
	for i := 0; i < len(global.Content); i += 2 {
		for j := 0; j < len(own.Content); j += 2 {
			if own.Content[j].Value == global.Content[i].Value {
				m, err := merge(global.Content[i+1], own.Content[j+1])
				if err != nil {
					return nil, err
				}
				all.Content[j+1] = m
				continue next
			}
		}
		all.Content = append(all.Content, global.Content[i], global.Content[i+1])
	}
	return &all, nil
}

// findCircle refuses what CloudFormation refuses as a circular dependency.
func (d *Deployment) findCircle() error {
	// SAM writes the functions' ARNs into the API.
	for _, r := range d.resources {
		for _, e := range events(r) {
			if api, ok := d.byRef(e.properties["ApiId"]); ok && e.typ == "HttpApi" {
				d.need(api, r.LogicalID)
			}
		}
	}
	done := map[string]bool{}
	var visit func(name string, path []string) error
	visit = func(name string, path []string) error {
		if n := slices.Index(path, name); n >= 0 {
			return fmt.Errorf("a circular dependency: %s", strings.Join(append(path[n:], name), " → "))
		}
		if done[name] {
			return nil
		}
		for _, next := range slices.Sorted(maps.Keys(d.needs[name])) {
			if err := visit(next, append(slices.Clone(path), name)); err != nil {
				return err
			}
		}
		done[name] = true
		return nil
	}
	for _, r := range d.template.resources {
		if err := visit(r.name, nil); err != nil {
			return locate(r.node.Line, err)
		}
	}
	return nil
}

func (d *Deployment) byRef(ref any) (string, bool) {
	for _, r := range d.resources {
		if r.Ref == ref {
			return r.LogicalID, true
		}
	}
	return "", false
}

func (d *Deployment) byARN(arn string) (Resource, bool) {
	for _, r := range d.resources {
		if arn != "" && r.ARN() == arn {
			return r, true
		}
	}
	return Resource{}, false
}

func (d *Deployment) setOutputs() error {
	for _, o := range d.template.outputs {
		if !d.holds(o) {
			continue
		}
		v, err := d.text(o.fields["Value"], "")
		if err != nil {
			return fmt.Errorf("the output %s: %w", o.name, err)
		}
		d.outputs[o.name] = v
	}
	return nil
}

// Parameters lists the parameters with their values, in the template's order.
func (d *Deployment) Parameters() []Parameter {
	all := d.template.Parameters()
	for n, p := range all {
		all[n] = d.parameters[p.Name]
	}
	return all
}

// Parameter gives the value of a parameter, and false if there is none of that
// name.
func (d *Deployment) Parameter(name string) (string, bool) {
	p, ok := d.parameters[name]
	return p.Value, ok
}

// Resource gives a resource by its logical ID, and false if there is none, or
// none under this deployment's conditions.
func (d *Deployment) Resource(logicalID string) (Resource, bool) {
	for _, r := range d.resources {
		if r.LogicalID == logicalID {
			return r, true
		}
	}
	return Resource{}, false
}

// Resources lists the resources in the template's order.
func (d *Deployment) Resources() []Resource { return slices.Clone(d.resources) }

// Functions lists the functions in the template's order.
func (d *Deployment) Functions() []Function { return slices.Clone(d.functions) }

// Roles lists the roles that the template writes out, in its order.
func (d *Deployment) Roles() []Role { return slices.Clone(d.roles) }

// Rules lists the EventBridge rules, those of Events included.
func (d *Deployment) Rules() []Rule { return slices.Clone(d.rules) }

// Mappings lists the event source mappings in the template's order.
func (d *Deployment) Mappings() []Mapping { return slices.Clone(d.mappings) }

// StateMachine gives the template's state machine, and false if there is none.
func (d *Deployment) StateMachine() (StateMachine, bool) {
	if len(d.machines) == 0 {
		return StateMachine{}, false
	}
	return d.machines[0], true
}

// Outputs gives the stack's outputs by name.
func (d *Deployment) Outputs() map[string]string { return maps.Clone(d.outputs) }

// StackID is the stack's ARN.
func (d *Deployment) StackID() string { return d.pseudo["AWS::StackId"] }
