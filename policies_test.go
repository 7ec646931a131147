package cordon_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"cordon/internal/template"
)

// The policies of a deployment as IAM sees them. internal/template knows the
// statements of roles only; who is trusted and what resources admit is here.

// policy is a policy document. What it does not know it refuses, so that no
// NotAction or NotResource goes unseen.
type policy struct {
	Version   string
	Statement []statement
}

type statement struct {
	Sid       string `json:",omitempty"`
	Effect    string
	Principal any `json:",omitempty"`
	Action    oneOrMore
	Resource  oneOrMore                       `json:",omitempty"`
	Condition map[string]map[string]oneOrMore `json:",omitempty"`
}

// oneOrMore is one value or several; numbers and booleans are text.
type oneOrMore []string

func (l *oneOrMore) UnmarshalJSON(b []byte) error {
	var one any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&one); err != nil {
		return err
	}
	all, ok := one.([]any)
	if !ok {
		all = []any{one}
	}
	*l = nil
	for _, v := range all {
		*l = append(*l, fmt.Sprint(v))
	}
	return nil
}

// MarshalJSON leaves the brackets off one value, as the template does: not every
// tool takes them.
func (l oneOrMore) MarshalJSON() ([]byte, error) {
	if len(l) == 1 {
		return json.Marshal(l[0])
	}
	return json.Marshal([]string(l))
}

// policies are all of a deployment's.
type policies struct {
	roles   []string            // logical IDs, in the template's order
	of      map[string][]policy // by role
	trust   map[string]policy   // by role
	on      map[string]policy   // by the resource that it protects
	tags    map[string]keys     // by role
	ordered []string            // keys of on, in the template's order
}

func policiesOf(d *template.Deployment) (policies, error) {
	p := policies{of: map[string][]policy{}, trust: map[string]policy{}, on: map[string]policy{}, tags: map[string]keys{}}
	for _, r := range d.Resources() {
		read := func(to any, property string) error {
			if err := decodeProperty(r.Properties[property], to); err != nil {
				return fmt.Errorf("%s: %s: %w", r.LogicalID, property, err)
			}
			return nil
		}
		var err error
		switch r.Type {
		case "AWS::IAM::Role":
			var own []struct {
				PolicyName     string
				PolicyDocument policy
			}
			var trust policy
			var tags []struct{ Key, Value string }
			if err = read(&own, "Policies"); err == nil {
				err = read(&trust, "AssumeRolePolicyDocument")
			}
			if err == nil {
				err = read(&tags, "Tags")
			}
			for _, tag := range tags {
				if p.tags[r.LogicalID] == nil {
					p.tags[r.LogicalID] = keys{}
				}
				p.tags[r.LogicalID][tag.Key] = tag.Value
			}
			p.roles = append(p.roles, r.LogicalID)
			p.trust[r.LogicalID] = trust
			for _, o := range own {
				p.of[r.LogicalID] = append(p.of[r.LogicalID], o.PolicyDocument)
			}
		case "AWS::S3::BucketPolicy":
			err = p.put(d, r, "PolicyDocument", r.Properties["Bucket"])
		case "AWS::SQS::QueuePolicy":
			err = p.put(d, r, "PolicyDocument", r.Properties["Queues"])
		case "AWS::SNS::TopicPolicy":
			err = p.put(d, r, "PolicyDocument", r.Properties["Topics"])
		case "AWS::KMS::Key":
			err = p.put(d, r, "KeyPolicy", r.Ref)
		}
		if err != nil {
			return p, err
		}
	}
	for _, r := range d.Resources() {
		switch r.Type {
		case "AWS::IAM::Policy": // once the roles are known
			var names []string
			var shared policy
			if err := decodeProperty(r.Properties["Roles"], &names); err != nil {
				return p, fmt.Errorf("%s: Roles: %w", r.LogicalID, err)
			}
			if err := decodeProperty(r.Properties["PolicyDocument"], &shared); err != nil {
				return p, fmt.Errorf("%s: %w", r.LogicalID, err)
			}
			for _, name := range names {
				id, err := byRef(d, name)
				if err != nil {
					return p, fmt.Errorf("%s: %w", r.LogicalID, err)
				}
				p.of[id] = append(p.of[id], shared)
			}
		case "AWS::Lambda::Permission":
			id, err := byRef(d, r.Properties["FunctionName"])
			if err != nil {
				return p, fmt.Errorf("%s: %w", r.LogicalID, err)
			}
			p.admit(d, id, r.LogicalID, fmt.Sprint(r.Properties["Principal"]), fmt.Sprint(r.Properties["SourceArn"]))
		}
	}
	for _, added := range samAdds(d) {
		p.admit(d, added.function, added.id, "apigateway.amazonaws.com", added.withAPI(added.api))
	}
	return p, nil
}

// admit is what Lambda makes of a permission.
// https://docs.aws.amazon.com/lambda/latest/dg/access-control-resource-based.html
func (p *policies) admit(d *template.Deployment, function, sid, service, source string) {
	f, _ := d.Resource(function)
	o, known := p.on[function]
	if !known {
		p.ordered = append(p.ordered, function)
	}
	o.Version = "2012-10-17"
	o.Statement = append(o.Statement, statement{
		Sid: sid, Effect: "Allow", Principal: map[string]any{"Service": service}, Action: oneOrMore{"lambda:InvokeFunction"}, Resource: oneOrMore{f.ARN()},
		Condition: map[string]map[string]oneOrMore{"ArnLike": {"aws:SourceArn": {source}}},
	})
	p.on[function] = o
}

func (p *policies) put(d *template.Deployment, r template.Resource, property string, of any) error {
	if all, ok := of.([]any); ok {
		if len(all) != 1 {
			return fmt.Errorf("%s protects %d resources; write one policy for each", r.LogicalID, len(all))
		}
		of = all[0]
	}
	id, err := byRef(d, of)
	if err != nil {
		return fmt.Errorf("%s: %w", r.LogicalID, err)
	}
	var o policy
	if err := decodeProperty(r.Properties[property], &o); err != nil {
		return fmt.Errorf("%s: %w", r.LogicalID, err)
	}
	p.on[id] = o
	p.ordered = append(p.ordered, id)
	return nil
}

// permission is one that no line of the template writes out.
type permission struct{ id, function, api, method, path string }

// withAPI is the source that the permission admits, for an API of that ID.
func (p permission) withAPI(id string) string {
	return "arn:aws:execute-api:us-east-1:111122223333:" + id + "/*/" + p.method + p.path
}

// samAdds are the permissions that SAM adds for the routes of an API: the
// expanded template must have these and no others.
// https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-specification-generated-resources-function-httpapi.html
func samAdds(d *template.Deployment) (all []permission) {
	for _, f := range d.Functions() {
		r, _ := d.Resource(f.LogicalID)
		events, _ := r.Properties["Events"].(map[string]any)
		for _, name := range slices.Sorted(maps.Keys(events)) {
			e, _ := events[name].(map[string]any)
			if e["Type"] != "HttpApi" {
				continue
			}
			p, _ := e["Properties"].(map[string]any)
			path := strings.Split(fmt.Sprint(p["Path"]), "/")
			for n := range path {
				if strings.HasPrefix(path[n], "{") {
					path[n] = "*"
				}
			}
			all = append(all, permission{f.LogicalID + name + "Permission", f.LogicalID, fmt.Sprint(p["ApiId"]), fmt.Sprint(p["Method"]), strings.Join(path, "/")})
		}
	}
	return all
}

func byRef(d *template.Deployment, ref any) (string, error) {
	for _, r := range d.Resources() {
		if r.Ref == ref {
			return r.LogicalID, nil
		}
	}
	return "", fmt.Errorf("%v is no resource of the template", ref)
}

// decode reads a resolved property.
func decodeProperty(v, to any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(to)
}

func allPolicies(t *testing.T, d *template.Deployment) policies {
	t.Helper()
	p, err := policiesOf(d)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// shortRole is how people call a role: by its function, or by what takes it.
func shortRole(logicalID string) string {
	switch logicalID {
	case "IncidentResponseRole":
		return "machine"
	case "FindingRuleRole":
		return "rule"
	}
	return strings.ToLower(strings.TrimSuffix(logicalID, "Role"))
}

// edit is a policy with one thing changed.
type edit struct {
	what    string   // in words
	actions []string // that it is about
	kind    string   // of policies: "of", "trust" or "on"
	where   string   // the role, or the resource that it protects
	number  int      // of the policy, among those of a role
	policy  policy
	denies  bool     // more than before: a condition of a Deny is gone
	notice  *request // the one that it changes; nil if that is not known
}

// cuts are all ways to take one thing out of the policies: a statement, an
// action, a resource, a condition or one of its values.
func (p policies) cuts() (all []edit) {
	p.each(func(at edit) {
		for n, s := range at.policy.Statement {
			take := func(what string, actions []string, from func(*statement)) {
				all = append(all, at.change(n, "without "+what, actions, from))
			}
			if len(s.Action) == 1 {
				e := at.change(n, "without it", s.Action, func(*statement) {})
				e.policy.Statement = slices.Delete(e.policy.Statement, n, n+1)
				all = append(all, e)
			} else {
				for a := range s.Action {
					take(s.Action[a], s.Action[a:a+1], func(s *statement) { s.Action = slices.Delete(s.Action, a, a+1) })
				}
			}
			if len(s.Resource) > 1 {
				for r := range s.Resource {
					take(s.Resource[r], s.Action, func(s *statement) { s.Resource = slices.Delete(s.Resource, r, r+1) })
				}
			}
			for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
				for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
					take(operator+" "+key, s.Action, func(s *statement) {
						if delete(s.Condition[operator], key); len(s.Condition[operator]) == 0 {
							delete(s.Condition, operator)
						}
					})
					all[len(all)-1].denies = s.Effect == "Deny"
					if values := s.Condition[operator][key]; len(values) > 1 {
						for v := range values {
							take(operator+" "+key+" "+values[v], s.Action, func(s *statement) {
								s.Condition[operator][key] = slices.Delete(s.Condition[operator][key], v, v+1)
							})
						}
					}
				}
			}
		}
	})
	return all
}

// widenings are all ways to allow a statement everywhere, or everybody.
func (p policies) widenings() (all []edit) {
	p.each(func(at edit) {
		for n, s := range at.policy.Statement {
			if s.Effect != "Allow" {
				continue
			}
			for r := range s.Resource {
				if s.Resource[r] != "*" && at.kind == "of" { // what protects one resource cannot reach another
					all = append(all, at.change(n, "on everything, not "+s.Resource[r], s.Action, func(s *statement) { s.Resource[r] = "*" }))
				}
			}
			if s.Principal != nil {
				all = append(all, at.change(n, "for everybody", s.Action, func(s *statement) { s.Principal = "*" }))
			}
		}
	})
	return all
}

// each visits every policy as an edit that changes nothing.
func (p policies) each(visit func(edit)) {
	for _, r := range p.roles {
		visit(edit{kind: "trust", where: r, policy: p.trust[r]})
		for n, o := range p.of[r] {
			visit(edit{kind: "of", where: r, number: n, policy: o})
		}
	}
	for _, r := range p.ordered {
		visit(edit{kind: "on", where: r, policy: p.on[r]})
	}
}

// change gives a copy in which one statement is changed.
func (e edit) change(n int, what string, actions []string, how func(*statement)) edit {
	e.what = e.where + ", " + e.policy.Statement[n].Sid + ": " + what
	e.actions = slices.Clone(actions)
	e.policy = e.policy.clone()
	how(&e.policy.Statement[n])
	return e
}

// with are the policies with that edit made.
func (p policies) with(e edit) policies {
	p.of, p.trust, p.on = maps.Clone(p.of), maps.Clone(p.trust), maps.Clone(p.on)
	switch e.kind {
	case "of":
		p.of[e.where] = slices.Clone(p.of[e.where])
		p.of[e.where][e.number] = e.policy
	case "trust":
		p.trust[e.where] = e.policy
	case "on":
		p.on[e.where] = e.policy
	}
	return p
}

func (o policy) clone() policy {
	var c policy
	b, err := json.Marshal(o)
	if err == nil {
		err = json.Unmarshal(b, &c)
	}
	if err != nil {
		panic(err) // it was JSON before
	}
	return c
}

// named is the role with that short name; empty if there is none.
func (p policies) named(short string) string {
	for _, r := range p.roles {
		if shortRole(r) == short {
			return r
		}
	}
	return ""
}
