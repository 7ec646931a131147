package cordon_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cordon"
	"cordon/internal/enrich"
	"cordon/internal/eventpattern"
	"cordon/internal/incident"
	"cordon/internal/template"
)

// given are values for the parameters that have no default.
var given = map[string]string{
	"NotificationEmail": "oncall@example.com", "MemoryToolKey": "", "MemoryToolSha256": "",
	"EvidenceRoleArn": "arn:aws:iam::999988887777:role/evidence", "EvidenceKeyArn": "arn:aws:kms:us-east-1:999988887777:key/evidence", "EvidenceExternalId": "external",
}

func deployment(t *testing.T) *template.Deployment {
	t.Helper()
	d, err := deploy(cordon.Template)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func deploy(text []byte) (*template.Deployment, error) {
	parsed, err := template.Parse(text)
	if err != nil {
		return nil, err
	}
	return parsed.Deploy(template.Settings{Account: "111122223333", Region: "us-east-1", Stack: "cordon", Parameters: given})
}

// functionName is the directory and package of a function.
func functionName(logicalID string) string {
	return strings.ToLower(strings.TrimSuffix(logicalID, "Function"))
}

func rule(t *testing.T, d *template.Deployment, id string) (template.Rule, *eventpattern.Pattern) {
	t.Helper()
	for _, r := range d.Rules() {
		if r.LogicalID == id {
			p, err := eventpattern.Parse(r.Pattern)
			if err != nil {
				t.Fatalf("%s: %v", id, err)
			}
			return r, p
		}
	}
	t.Fatalf("the template has no rule %s", id)
	return template.Rule{}, nil
}

// TestRulesMatch says which of the findings to try starts an incident, which is
// only told, and which is nobody's business.
func TestRulesMatch(t *testing.T) {
	const starts, told, asks, nothing = "FindingRule", "OtherFindingRule", "WishRule", ""
	want := map[string]string{
		"plain": starts, "repeat": starts, "second-finding": starts, "after-release": starts,
		"dual-stack-interfaces": starts, "command-and-control-dns": starts, "no-ssm": starts, "other-of-group": starts, "critical": starts, "auto-scaling": starts,
		"terminated-instance": starts, "hostile-strings": starts, "delegated-administrator": starts,
		// A rule cannot look into additionalInfo.value: enrich turns these away.
		"sample-flag": starts, "sample-value-only": starts, "archived": starts,
		"access-key-with-instance": told, "attack-sequence": told,
		"below-threshold": nothing,
		"decide-later":    asks,
	}
	d := deployment(t)
	_, first := rule(t, d, starts)
	_, second := rule(t, d, told)
	_, third := rule(t, d, asks)
	for name, event := range events(t) {
		matched := nothing
		for id, p := range map[string]*eventpattern.Pattern{starts: first, told: second, asks: third} {
			hit, err := p.Match(event)
			if err != nil {
				t.Errorf("%s: %s: %v", name, id, err)
			}
			if hit && matched != nothing {
				t.Errorf("%s: matches two rules, so people are told twice", name)
			}
			if hit {
				matched = id
			}
		}
		if rule, ok := want[name]; !ok || matched != rule {
			t.Errorf("%s: matches %q, want %q", name, matched, rule)
		}
	}
	for name := range want {
		if _, ok := events(t)[name]; !ok {
			t.Errorf("events/%s.json is not there", name)
		}
	}
}

// TestOperatorsRouteAsksIam: without authorization on this route nobody is known,
// and with it on those of the page nobody could open a link.
func TestOperatorsRouteAsksIam(t *testing.T) {
	d := deployment(t)
	api, _ := d.Resource("DecisionApi")
	if auth, _ := api.Properties["Auth"].(map[string]any); auth["EnableIamAuthorizer"] != true || len(auth) != 1 {
		t.Errorf("the API's authorization: %v; want IAM, and none that holds for every route", auth)
	}
	f, _ := d.Resource("DecideFunction")
	routes, _ := f.Properties["Events"].(map[string]any)
	for name, r := range routes {
		e, _ := r.(map[string]any)
		p, _ := e["Properties"].(map[string]any)
		auth, _ := p["Auth"].(map[string]any)
		if !strings.HasPrefix(fmt.Sprint(p["Path"]), "/operator/") || auth["Authorizer"] != "AWS_IAM" {
			t.Errorf("route %s, %v: authorizer %v", name, p["Path"], auth["Authorizer"])
		}
	}
	if len(routes) != 1 {
		t.Errorf("%d routes; want that of operators", len(routes))
	}
}

// TestPageIsPublicWithLinksOnly: where Verified Access is the way in, the public API
// has no route to the page and may not invoke the function for one.
func TestPageIsPublicWithLinksOnly(t *testing.T) {
	parsed, err := template.Parse(cordon.Template)
	if err != nil {
		t.Fatal(err)
	}
	for identity, want := range map[string][]string{"Link": {"get", "head", "post"}, "VerifiedAccess": nil} {
		parameters := maps.Clone(given)
		maps.Copy(parameters, map[string]string{
			"ApprovalIdentity": identity, "AccessDomain": "decide.example.com",
			"AccessInstance":   "arn:aws:ec2:us-east-1:111122223333:verified-access-instance/vai-0a",
			"AccessProvider":   "arn:aws:ec2:us-east-1:111122223333:verified-access-trust-provider/vatp-0a",
			"AccessResponders": "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/cordon-responders/0a",
		})
		d, err := parsed.Deploy(template.Settings{Account: "111122223333", Region: "us-east-1", Stack: "cordon", Parameters: parameters})
		if err != nil {
			t.Fatal(err)
		}
		api, _ := d.Resource("DecisionApi")
		body, _ := api.Properties["DefinitionBody"].(map[string]any)
		paths, ok := body["paths"].(map[string]any)
		if !ok {
			t.Fatalf("%s: the API's body is %v", identity, body)
		}
		var methods []string
		for path, route := range paths {
			all, _ := route.(map[string]any)
			if path != "/d/{request}/{secret}" {
				t.Errorf("%s: there is a route %s", identity, path)
			}
			for method, r := range all {
				methods = append(methods, method)
				if one, _ := r.(map[string]any); one["security"] != nil {
					t.Errorf("%s %s asks for an authorization that whoever has a link lacks", method, path)
				}
			}
		}
		slices.Sort(methods)
		if !slices.Equal(methods, want) {
			t.Errorf("%s: the page's routes are %q, want %q", identity, methods, want)
		}
		if _, public := d.Resource("PagePermission"); public != (want != nil) {
			t.Errorf("%s: the API may invoke the function for the page: %v", identity, public)
		}
		approval, _ := d.Resource("ApprovalFunction")
		if link := fmt.Sprint(approval.Properties["Environment"]); strings.Contains(link, "https://decide.example.com") == (want != nil) {
			t.Errorf("%s: links lead to %s", identity, link)
		}
	}
}

// TestWishRuleFilters: nobody is asked about what another stack did, nor by what
// only looks like a wish.
func TestWishRuleFilters(t *testing.T) {
	_, p := rule(t, deployment(t), "WishRule")
	for name, edit := range map[string][2]string{
		"another stack":  {`"stack": "cordon"`, `"stack": "cordon-2"`},
		"no stack":       {`"stack": "cordon",`, ``},
		"another source": {`"source": "cordon"`, `"source": "aws.guardduty"`},
		"another type":   {"Cordon Decision Wanted", "Cordon Decision"},
	} {
		event := strings.Replace(string(events(t)["decide-later"]), edit[0], edit[1], 1)
		if hit, err := p.Match([]byte(event)); err != nil || hit {
			t.Errorf("%s: matches: %v, %v", name, hit, err)
		}
	}
}

// TestFirstRuleFilters changes one thing of a finding that matches.
func TestFirstRuleFilters(t *testing.T) {
	_, p := rule(t, deployment(t), "FindingRule")
	for _, test := range []struct {
		name string
		edit map[string]any
		want bool
	}{
		{"as it is", nil, true},
		{"severity 7", map[string]any{"detail/severity": 7}, true},
		{"severity 10", map[string]any{"detail/severity": 10}, true},
		{"severity 6.9", map[string]any{"detail/severity": 6.9}, false},
		{"severity in words", map[string]any{"detail/severity": "8"}, false},
		{"severity under another name", map[string]any{"detail/severity": nil, "detail/Severity": 8}, false},
		{"another source", map[string]any{"source": "custom.guardduty"}, false},
		{"a call of GuardDuty's API", map[string]any{"detail-type": "AWS API Call via CloudTrail"}, false},
		{"a bucket", map[string]any{"detail/resource/resourceType": "S3Bucket"}, false},
		{"no resource type", map[string]any{"detail/resource/resourceType": nil}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := p.Match(edited(t, events(t)["plain"], test.edit))
			if err != nil {
				t.Fatal(err)
			}
			if got != test.want {
				t.Errorf("matches: %v, want %v", got, test.want)
			}
		})
	}
}

func TestOwnFailuresAreTold(t *testing.T) {
	d := deployment(t)
	r, p := rule(t, d, "OwnFailureRule")
	sm, _ := d.StateMachine()
	if len(r.Targets) != 1 || r.Targets[0].Resource != "NotifyFunction" {
		t.Errorf("the rule tells %v, want notify", r.Targets)
	}
	for _, test := range []struct {
		status, machine string
		want            bool
	}{
		{"FAILED", sm.ARN, true},
		{"TIMED_OUT", sm.ARN, true},
		{"ABORTED", sm.ARN, true},
		{"SUCCEEDED", sm.ARN, false},
		{"RUNNING", sm.ARN, false},
		{"FAILED", sm.ARN + "-of-another", false},
	} {
		event := fmt.Sprintf(`{"source":"aws.states","detail-type":"Step Functions Execution Status Change","account":"111122223333","region":"us-east-1","detail":{"stateMachineArn":%q,"status":%q}}`, test.machine, test.status)
		if got, err := p.Match([]byte(event)); err != nil || got != test.want {
			t.Errorf("%s of %s: matches %v, %v; want %v", test.status, test.machine, got, err, test.want)
		}
	}
}

// TestRulesReachTheirTargets: what EventBridge cannot deliver is lost unless
// somebody keeps it.
func TestRulesReachTheirTargets(t *testing.T) {
	for _, r := range deployment(t).Rules() {
		if !r.Enabled {
			t.Errorf("%s is off", r.LogicalID)
		}
		if r.Schedule != "" {
			continue
		}
		if _, err := eventpattern.Parse(r.Pattern); err != nil {
			t.Errorf("%s: %v", r.LogicalID, err)
		}
		for _, wrong := range wordsAmongNumbers(r.Pattern) {
			t.Errorf("%s: numeric has %s, and EventBridge refuses what is no number", r.LogicalID, wrong)
		}
		for _, target := range r.Targets {
			if target.DeadLetter == "" {
				t.Errorf("%s: what %s does not get is lost", r.LogicalID, target.ID)
			}
		}
	}
}

func TestWordsAmongNumbersAreFound(t *testing.T) {
	if got := wordsAmongNumbers([]byte(`{"detail":{"$or":[{"severity":[{"numeric":[">=","7"]}]}]}}`)); len(got) != 1 {
		t.Errorf("found %q, want one", got)
	}
}

// wordsAmongNumbers are the operands of numeric that are strings. A parameter
// is one, also where its type is Number.
func wordsAmongNumbers(pattern []byte) (wrong []string) {
	var all any
	if err := json.Unmarshal(pattern, &all); err != nil {
		return []string{err.Error()}
	}
	operators := []string{"<", "<=", "=", ">=", ">"}
	var look func(v any)
	look = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				look(e)
			}
		case map[string]any:
			for k, e := range v {
				if operands, ok := e.([]any); ok && k == "numeric" {
					for n, o := range operands {
						if s, ok := o.(string); ok && (n%2 == 1 || !slices.Contains(operators, s)) {
							wrong = append(wrong, fmt.Sprintf("%q", s))
						}
					}
				}
				look(e)
			}
		}
	}
	look(all)
	return wrong
}

// TestThresholdIsThePatterns: the configured threshold can only be above what
// the rule lets through.
func TestThresholdIsThePatterns(t *testing.T) {
	d := deployment(t)
	for _, p := range d.Parameters() {
		if p.Name == "SeverityThreshold" && (p.MinValue != "7" || p.MaxValue != "10" || p.Default != "7") {
			t.Errorf("SeverityThreshold is %s to %s, default %s; the rule lets through 7 and above", p.MinValue, p.MaxValue, p.Default)
		}
	}
	for _, id := range []string{"FindingRule", "OtherFindingRule"} {
		if r, _ := rule(t, d, id); !strings.Contains(string(r.Pattern), `{"numeric":[">=",7]}`) {
			t.Errorf("%s: %s, want severity of 7 and above", id, r.Pattern)
		}
	}
}

// TestTemplateRefuses: what would not deploy, or would deploy something else, is
// not rehearsed either.
func TestTemplateRefuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"a resource that is not there": {"Arn: !Ref IncidentResponse", "Arn: !Ref IncidentResponses"},
		"an attribute that is not":     {"!GetAtt EnrichFunction.Arn", "!GetAtt EnrichFunction.Name"},
		"a default outside its bounds": {"MaxValue: 168", "MaxValue: 12"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(cordon.Template), change[0], change[1], 1)
			if text == string(cordon.Template) {
				t.Fatalf("the template has no %q", change[0])
			}
			if _, err := deploy([]byte(text)); err == nil {
				t.Error("it deploys")
			}
		})
	}
}

// TestEnrichParameters: a pattern that can match no finding type deploys as a brake
// that is none, a wide network as a way out. CloudFormation refuses them, and so
// does the step; what CloudFormation takes, the step takes.
func TestEnrichParameters(t *testing.T) {
	parsed, err := template.Parse(cordon.Template)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, value string
		want        bool
	}{
		{"FindingTypes", "*", true},
		{"FindingTypes", "Backdoor:EC2/*, CryptoCurrency:EC2/BitcoinTool.B!DNS", true},
		{"FindingTypes", "*:EC2/*Tool*", true},
		{"FindingTypes", "", false},
		{"FindingTypes", "Backdoor", false},
		{"FindingTypes", "Backdoor:EC2", false},
		{"FindingTypes", "Backdoor:EC2/*,Recon", false},
		{"NeverFindingTypes", "", true},
		{"NeverFindingTypes", "Recon:*,Impact:EC2/PortSweep", true},
		{"NeverFindingTypes", "Recon:", false},
		{"NeverFindingTypes", "Recon *", false},
		{"ExemptTag", "", true},
		{"ExemptTag", "cordon-exempt", true},
		{"ExemptTag", "tier=core", true},
		{"ExemptTag", "=core", false},
		{"ExemptTag", " tier", false},
		{"PauseHours", "73", false},
		{"PauseHours", "0", false},
		{"MaxIsolationsPerHour", "0", true},
		{"MaxIsolationsPerHour", "-1", false},
		{"MaxGroupPercent", "101", false},
		{"DryRun", "true", true},
		{"DryRun", "yes", false},
		{"CentralEndpointCidrs", "", true},
		{"CentralEndpointCidrs", "10.9.0.0/28, 10.255.0.16/28", true},
		{"CentralEndpointCidrs", "172.16.0.0/16,192.168.255.1/32,100.64.0.0/24", true},
		{"CentralEndpointCidrs", "0.0.0.0/0", false},
		{"CentralEndpointCidrs", "10.0.0.0/8", false},
		{"CentralEndpointCidrs", "10.9.0.0/15", false},
		{"CentralEndpointCidrs", "10.9.0.0/33", false},
		{"CentralEndpointCidrs", "10.9.0.300/32", false},
		{"CentralEndpointCidrs", "10.9.0.0", false},
		{"CentralEndpointCidrs", "172.32.0.0/24", false},
		{"CentralEndpointCidrs", "100.128.0.0/24", false},
		{"CentralEndpointCidrs", "8.8.8.0/24", false},
		{"CentralEndpointCidrs", "fd00::/64", false},
		{"CentralEndpointCidrs", "10.9.0.0/28,::/0", false},
	} {
		parameters := maps.Clone(given)
		parameters[test.name] = test.value
		d, err := parsed.Deploy(template.Settings{Account: "111122223333", Region: "us-east-1", Stack: "cordon", Parameters: parameters})
		if (err == nil) != test.want || err != nil && !strings.Contains(err.Error(), test.name) {
			t.Errorf("%s=%q: %v, want it taken: %v", test.name, test.value, err, test.want)
		}
		if err != nil {
			continue
		}
		for _, f := range d.Functions() {
			if f.LogicalID != "EnrichFunction" {
				continue
			}
			host := incident.Host{Getenv: func(name string) string { return f.Environment[name] }}
			if _, err := enrich.New(host, nil, nil, nil, nil, nil, nil); err != nil {
				t.Errorf("%s=%q deploys, and the step refuses it: %v", test.name, test.value, err)
			}
		}
	}
}

// TestPauseIsTold: whoever writes the switch, and only that, people are told.
func TestPauseIsTold(t *testing.T) {
	d := deployment(t)
	r, p := rule(t, d, "PauseRule")
	if len(r.Targets) != 1 || r.Targets[0].Resource != "NotifyFunction" {
		t.Errorf("the rule tells %v, want notify", r.Targets)
	}
	pause, ok := d.Resource("PauseSwitch")
	if !ok || pause.Ref != "/cordon/pause" || pause.Properties["Value"] != "off" {
		t.Fatalf("the pause switch is %+v", pause)
	}
	for name, want := range map[string]bool{pause.Ref: true, "/another/pause": false} {
		event := fmt.Sprintf(`{"source":"aws.ssm","detail-type":"Parameter Store Change","account":"111122223333","region":"us-east-1","detail":{"operation":"Update","name":%q,"type":"String"}}`, name)
		if got, err := p.Match([]byte(event)); err != nil || got != want {
			t.Errorf("%s: matches %v, %v; want %v", name, got, err, want)
		}
	}
}

// TestSubstitutionsAreExact: a name too many or too few deploys, and fails at night.
func TestSubstitutionsAreExact(t *testing.T) {
	sm, ok := deployment(t).StateMachine()
	if !ok {
		t.Fatal("the template has no state machine")
	}
	if _, err := template.Substitute(cordon.Definition, sm.Substitutions); err != nil {
		t.Error(err)
	}
	for id, value := range sm.Substitutions {
		if name, ok := strings.CutSuffix(id, "FunctionArn"); ok {
			if want := functionARNOf(t, name+"Function"); value != want {
				t.Errorf("%s is %s, want %s", id, value, want)
			}
		}
	}
	more := maps.Clone(sm.Substitutions)
	more["Unused"] = "x"
	if _, err := template.Substitute(cordon.Definition, more); err == nil {
		t.Error("a substitution that nothing uses goes unseen")
	}
	delete(more, "Unused")
	delete(more, "ApprovalHours")
	if _, err := template.Substitute(cordon.Definition, more); err == nil {
		t.Error("a missing substitution goes unseen")
	}
}

func functionARNOf(t *testing.T, id string) string {
	t.Helper()
	for _, f := range deployment(t).Functions() {
		if f.LogicalID == id {
			return f.ARN
		}
	}
	t.Fatalf("the template has no %s", id)
	return ""
}

// events are the findings to try, by name.
func events(t *testing.T) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob("events/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("events/*.json: %v, %v", files, err)
	}
	all := map[string][]byte{}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(filepath.Base(f), ".json")] = b
	}
	return all
}
