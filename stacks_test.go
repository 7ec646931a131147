package cordon_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/cedar-policy/cedar-go"
	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// stack is a template of stacks/ as CloudFormation would fill it in. What it does
// not know of the template language it leaves, as text with the function's tag.
type stack struct {
	parameters map[string]string
	mappings   map[string]map[string]map[string]string
	resources  map[string]resource
}

type resource struct {
	Type       string
	Condition  string
	Properties map[string]any
}

// stackOf reads a template with these parameters; the others are named after
// themselves.
func stackOf(t *testing.T, file string, parameters map[string]string) stack {
	t.Helper()
	var written struct {
		Parameters map[string]struct {
			Default        any    `yaml:"Default"`
			AllowedPattern string `yaml:"AllowedPattern"`
		} `yaml:"Parameters"`
		Mappings  map[string]map[string]map[string]string `yaml:"Mappings"`
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Condition  string    `yaml:"Condition"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal([]byte(read(t, file)), &written); err != nil {
		t.Fatal(err)
	}
	s := stack{parameters: map[string]string{"AWS::Region": "eu-west-1", "AWS::AccountId": "111122223333"}, mappings: written.Mappings, resources: map[string]resource{}}
	for name, p := range written.Parameters {
		s.parameters[name] = "<" + name + ">"
		if p.Default != nil {
			s.parameters[name] = fmt.Sprint(p.Default)
		}
		if v, ok := parameters[name]; ok {
			s.parameters[name] = v
			if !regexp.MustCompile(p.AllowedPattern).MatchString(v) {
				t.Errorf("%s: %s refuses %q", file, name, v)
			}
		}
	}
	for name, r := range written.Resources {
		properties, ok := s.resolve(t, &r.Properties).(map[string]any)
		if !ok {
			t.Fatalf("%s: %s has no properties", file, name)
		}
		s.resources[name] = resource{r.Type, r.Condition, properties}
	}
	return s
}

func (s stack) resolve(t *testing.T, n *yaml.Node) any {
	t.Helper()
	var items []any
	switch n.Kind {
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = s.resolve(t, n.Content[i+1])
		}
		return m
	case yaml.SequenceNode:
		for _, c := range n.Content {
			items = append(items, s.resolve(t, c))
		}
	case yaml.ScalarNode, yaml.DocumentNode, yaml.AliasNode: // CloudFormation takes no alias; cfn-lint says so
	}
	switch {
	case n.Tag == "!Ref" && s.parameters[n.Value] != "":
		return s.parameters[n.Value]
	case n.Tag == "!Sub" && n.Kind == yaml.ScalarNode:
		return s.fill(n.Value, nil)
	case n.Tag == "!Sub":
		with := map[string]string{}
		for name, v := range items[1].(map[string]any) { //nolint:forcetypeassert // else the test fails here
			with[name] = fmt.Sprint(v)
		}
		return s.fill(fmt.Sprint(items[0]), with)
	case n.Tag == "!FindInMap":
		v, ok := s.mappings[fmt.Sprint(items[0])][fmt.Sprint(items[1])][fmt.Sprint(items[2])]
		if !ok {
			t.Fatalf("line %d: there is no %v", n.Line, items)
		}
		return v
	case strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!"):
		return fmt.Sprint(n.Tag, " ", n.Value)
	case n.Kind == yaml.SequenceNode:
		return items
	}
	return n.Value
}

func (s stack) fill(text string, with map[string]string) string {
	return regexp.MustCompile(`\$\{([A-Za-z:]+)\}`).ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-1]
		if v, ok := with[name]; ok {
			return v
		}
		if v, ok := s.parameters[name]; ok {
			return v
		}
		return "<" + name + ">"
	})
}

const (
	responders = "c242c5b0-6081-1845-6fa8-6e0d9513c107"
	readers    = "90670f1cf2-0a1b2c3d-1111-2222-3333-444455556666"
)

// visit is a request as Verified Access puts it to Cedar.
// https://docs.aws.amazon.com/verified-access/latest/ug/trust-data-iam.html
// https://docs.aws.amazon.com/verified-access/latest/ug/trust-data-default-context.html
func visit(method string, groups []string, device any) map[string]any {
	all := map[string]any{}
	for _, g := range groups {
		all[g] = map[string]any{"group_name": "responders"} // a name that anybody may give a group
	}
	context := map[string]any{
		"people": map[string]any{
			"user":   map[string]any{"user_id": "f478d4c8-a001-7064-6ea6-12423523", "user_name": "sato", "email": map[string]any{"address": "sato@example.com", "verified": true}},
			"groups": all,
		},
		"http_request": map[string]any{
			"http_method": method, "hostname": "decide.example.com", "path": "/d/x.1", "query": "", "port": 443, "client_ip": "203.0.113.7",
		},
	}
	if device != nil {
		context["device"] = device
	}
	return context
}

// permits asks Cedar as Verified Access does: the document of the group and that
// of the endpoint must both permit.
// https://docs.aws.amazon.com/verified-access/latest/ug/auth-policies-policy-eval.html
func (s stack) permits(t *testing.T, endpoint string, context map[string]any) bool {
	t.Helper()
	var asked cedar.Record
	if err := asked.UnmarshalJSON([]byte(jsonText(t, context))); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Group", endpoint} {
		document, ok := s.resources[name].Properties["PolicyDocument"].(string)
		if !ok || strings.Contains(document, "<") {
			t.Fatalf("%s: its policy is %q", name, document)
		}
		policies, err := cedar.NewPolicySetFromBytes(name, []byte(document))
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, document)
		}
		if decision, _ := cedar.Authorize(policies, nil, cedar.Request{Context: asked}); decision != cedar.Allow {
			return false
		}
	}
	return true
}

// TestCedarPolicies puts people and devices to the policies as they stand in the
// template. What is not said is refused: an error in Cedar permits nothing.
func TestCedarPolicies(t *testing.T) {
	devices := map[string]struct{ fit, unfit []any }{
		"none": {fit: []any{nil, map[string]any{"risk": "HIGH"}}},
		"jamf": {
			fit:   []any{map[string]any{"risk": "LOW"}, map[string]any{"risk": "SECURE"}},
			unfit: []any{nil, map[string]any{}, map[string]any{"risk": "HIGH"}, map[string]any{"risk": "MEDIUM"}, map[string]any{"risk": "NOT_APPLICABLE"}, map[string]any{"risk": "low"}},
		},
		"crowdstrike": {
			fit:   []any{map[string]any{"assessment": map[string]any{"overall": 51}}},
			unfit: []any{nil, map[string]any{}, map[string]any{"assessment": map[string]any{"overall": 50}}, map[string]any{"assessment": map[string]any{"overall": "99"}}},
		},
		"jumpcloud": {
			fit:   []any{map[string]any{"device": map[string]any{"is_managed": true}}},
			unfit: []any{nil, map[string]any{}, map[string]any{"device": map[string]any{"is_managed": false}}, map[string]any{"device": map[string]any{"is_managed": "true"}}},
		},
	}
	people := []struct {
		groups               []string
		decides, reads, asks bool // at the responders' address; at the readers', by GET; at the readers', by POST
	}{
		{groups: []string{responders}, decides: true, reads: true},
		{groups: []string{readers}, reads: true},
		{groups: []string{responders, readers}, decides: true, reads: true},
		{groups: []string{"00000000-0000-0000-0000-000000000000"}},
		{groups: []string{"responders"}}, // a group's name is not its ID
		{groups: []string{strings.ToUpper(responders)}},
		{groups: nil},
	}
	asked := 0
	for provider, d := range devices {
		tenant := ""
		if provider != "none" {
			tenant = "tenant-1"
		}
		s := stackOf(t, "stacks/access.yaml", map[string]string{
			"ResponderGroupId": responders, "ReaderGroupId": readers, "DeviceProvider": provider, "DeviceTenantId": tenant,
		})
		if p, _ := s.mappings["Devices"][provider]; p == nil {
			t.Errorf("nothing says what a fit device of %s is", provider)
		}
		ask := func(endpoint, method string, groups []string, device any, want bool) {
			asked++
			if got := s.permits(t, endpoint, visit(method, groups, device)); got != want {
				t.Errorf("%s, %s of %s, groups %q, device %v: permitted %v", provider, method, endpoint, groups, device, got)
			}
		}
		for _, p := range people {
			for fit, all := range map[bool][]any{true: d.fit, false: d.unfit} {
				for _, device := range all {
					for _, method := range []string{"GET", "HEAD", "POST"} {
						ask("ResponderEndpoint", method, p.groups, device, fit && p.decides)
					}
					for _, method := range []string{"GET", "HEAD"} {
						ask("ReaderEndpoint", method, p.groups, device, fit && p.reads)
					}
					for _, method := range []string{"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", ""} {
						ask("ReaderEndpoint", method, p.groups, device, false)
					}
				}
			}
		}
		// Nobody that Identity Center does not know.
		for _, endpoint := range []string{"ResponderEndpoint", "ReaderEndpoint"} {
			context := visit("GET", []string{responders}, d.fit[0])
			delete(context, "people")
			asked++
			if s.permits(t, endpoint, context) {
				t.Errorf("%s: %s permits somebody without an identity", provider, endpoint)
			}
		}
	}
	t.Logf("asked %d times", asked)
}

// TestAccessStack: what a reader may not do is refused at four places, of which
// two are here: Cedar, above, and the balancer. Nothing but the endpoints reaches
// the balancer, and nothing but it invokes the function.
func TestAccessStack(t *testing.T) {
	s := stackOf(t, "stacks/access.yaml", map[string]string{"Name": "cordon"})
	property := func(name string, path ...string) any {
		var v any = s.resources[name].Properties
		for _, p := range path {
			switch at := v.(type) {
			case map[string]any:
				v = at[p]
			case []any:
				var n int
				if _, err := fmt.Sscan(p, &n); err != nil || n >= len(at) {
					t.Fatalf("%s has no %v", name, path)
				}
				v = at[n]
			}
		}
		return v
	}
	for _, kind := range []struct {
		endpoint, listener, rule, targets, permission, port string
		methods                                             []any
	}{
		{"ResponderEndpoint", "ResponderListener", "ResponderRule", "Responders", "RespondersMayInvoke", "443", []any{"GET", "HEAD", "POST"}},
		{"ReaderEndpoint", "ReaderListener", "ReaderRule", "Readers", "ReadersMayInvoke", "8443", []any{"GET", "HEAD"}},
	} {
		got := []any{
			property(kind.endpoint, "LoadBalancerOptions", "Port"), property(kind.endpoint, "LoadBalancerOptions", "Protocol"), property(kind.endpoint, "PolicyEnabled"),
			property(kind.listener, "Port"), property(kind.listener, "Protocol"), property(kind.listener, "DefaultActions", "0", "Type"),
			property(kind.rule, "ListenerArn"), property(kind.rule, "Actions", "0", "TargetGroupArn"),
			property(kind.rule, "Conditions", "1", "HttpRequestMethodConfig", "Values"),
			property(kind.targets, "TargetGroupAttributes", "0", "Key"), property(kind.targets, "TargetGroupAttributes", "0", "Value"),
			strings.TrimSuffix(fmt.Sprint(property(kind.permission, "SourceArn")), "/*"), property(kind.permission, "SourceAccount"),
		}
		want := []any{
			kind.port, "https", "true", kind.port, "HTTPS", "fixed-response", "!Ref " + kind.listener, "!Ref " + kind.targets, kind.methods,
			"lambda.multi_value_headers.enabled", "true",
			"arn:aws:elasticloadbalancing:eu-west-1:111122223333:targetgroup/" + fmt.Sprint(property(kind.targets, "Name")), "111122223333",
		}
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +is):\n%s", kind.endpoint, diff)
		}
	}
	if got := property("Balancer", "Scheme"); got != "internal" {
		t.Errorf("the balancer is %v", got)
	}
	for n := range property("BalancerGroup", "SecurityGroupIngress").([]any) { //nolint:forcetypeassert // else it panics, which fails
		if from := property("BalancerGroup", "SecurityGroupIngress", fmt.Sprint(n), "SourceSecurityGroupId"); from != "!Ref EndpointGroup" {
			t.Errorf("the balancer lets in %v", from)
		}
	}
	if enabled := property("Instance", "LoggingConfigurations", "CloudWatchLogs", "Enabled"); enabled != "true" {
		t.Error("Verified Access keeps no log")
	}
}

// TestIdentityCenterStack: two permission sets for groups, with short sessions,
// and no more in them than what the command calls. There is no IAM user.
func TestIdentityCenterStack(t *testing.T) {
	s := stackOf(t, "stacks/identity-center.yaml", nil)
	want := map[string]string{
		"Responder": "AWS::SSO::PermissionSet", "Reader": "AWS::SSO::PermissionSet",
		"ResponderAssignment": "AWS::SSO::Assignment", "ReaderAssignment": "AWS::SSO::Assignment",
	}
	got := map[string]string{}
	for name, r := range s.resources {
		got[name] = r.Type
		if strings.HasSuffix(name, "Assignment") {
			group := strings.TrimSuffix(name, "Assignment")
			if r.Properties["PrincipalType"] != "GROUP" || r.Properties["PrincipalId"] != "<"+group+"GroupId>" || r.Properties["PermissionSetArn"] != "!GetAtt "+group+".PermissionSetArn" {
				t.Errorf("%s: %v", name, r.Properties)
			}
			continue
		}
		if r.Properties["SessionDuration"] != "PT1H" || r.Properties["ManagedPolicies"] != nil {
			t.Errorf("%s: sessions of %v, managed policies %v", name, r.Properties["SessionDuration"], r.Properties["ManagedPolicies"])
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("resources (-want +is):\n%s", diff)
	}
	reads := []string{"cloudformation:DescribeStacks", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "sns:ListSubscriptionsByTopic"}
	allowed := map[string][]string{
		"Reader": reads,
		"Responder": append([]string{
			"ec2:DescribeLockedSnapshots", "ec2:DescribeSnapshots", "events:PutEvents", "execute-api:Invoke", "kms:GetPublicKey", "s3:GetObject", "s3:GetObjectLegalHold",
			"s3:GetObjectRetention", "s3:GetObjectVersion", "s3:ListBucket", "s3:ListBucketVersions", "sns:ConfirmSubscription", "sns:GetSubscriptionAttributes",
		}, reads...),
	}
	for name, actions := range allowed {
		all := map[string]bool{}
		for _, s := range permissionSet(t, s, name).Statement {
			for _, a := range s.Action {
				if s.Effect == "Allow" {
					all[a] = true
				}
			}
			if s.Effect == "Allow" && s.Sid != "SeeSnapshotsAndTheirLocks" && s.Sid != "SeeHowTheyConfirmed" && slices.ContainsFunc(s.Resource, func(r string) bool { return !strings.HasPrefix(r, "arn:") && !strings.HasPrefix(r, "<") }) {
				t.Errorf("%s: %s is allowed on %q", name, s.Sid, s.Resource)
			}
		}
		slices.Sort(actions)
		if diff := gocmp.Diff(actions, slices.Sorted(maps.Keys(all))); diff != "" {
			t.Errorf("%s (-want +may):\n%s", name, diff)
		}
	}
}

// permissionSet is the policy of a permission set.
func permissionSet(t *testing.T, s stack, name string) policy {
	t.Helper()
	var p policy
	fromJSON(t, jsonText(t, s.resources[name].Properties["InlinePolicy"]), &p)
	return p
}

func jsonText(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func fromJSON(t *testing.T, text string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), to); err != nil {
		t.Fatal(err)
	}
}
