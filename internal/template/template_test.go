package template_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cordon/internal/template"
)

// small holds one of everything that a rehearsal asks for.
const small = `AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Parameters:
  Mail: {Type: String, Description: Who is told., AllowedPattern: '[^@]+@[^@]+', ConstraintDescription: a mail address}
  Threshold: {Type: Number, Default: 7, MinValue: 7, MaxValue: 10}
  Language: {Type: String, Default: en, AllowedValues: [en, ja]}
  Exempt: {Type: CommaDelimitedList, Default: ""}
  Key: {Type: String, Default: "", NoEcho: true, MaxLength: 4}
Conditions:
  Japanese: !Equals [!Ref Language, ja]
  English: !Not [!Condition Japanese]
  Quiet: {"Fn::And": [{Condition: English}, !Equals [!Ref Key, ""]]}
Globals:
  Function:
    CodeUri: .
    Handler: bootstrap
    Runtime: provided.al2023
    Architectures: [arm64]
    Timeout: 20
    Environment:
      Variables:
        STACK: !Ref AWS::StackName
        MODE: global
Resources:
  Table:
    Type: AWS::DynamoDB::Table
    Properties: {BillingMode: PAY_PER_REQUEST}
  Named:
    Type: AWS::DynamoDB::Table
    Properties: {TableName: !Sub "${AWS::StackName}-named"}
  Bucket: {Type: AWS::S3::Bucket}
  Dead: {Type: AWS::SQS::Queue}
  Mac: {Type: AWS::KMS::Key}
  Topic: {Type: AWS::SNS::Topic}
  Furigana: {Type: AWS::SNS::Topic, Condition: Japanese}
  Api: {Type: AWS::Serverless::HttpApi, Properties: {Auth: {EnableIamAuthorizer: true}}}
  Machine:
    Type: AWS::Serverless::StateMachine
    Properties:
      DefinitionUri: machine.asl.json
      DefinitionSubstitutions: {StepArn: !GetAtt Step.Arn, Hours: 24}
      Policies:
        - Version: "2012-10-17"
          Statement: {Effect: Allow, Action: lambda:InvokeFunction, Resource: !GetAtt [Step, Arn]}
  Step:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: makefile}
    Properties:
      Role: !GetAtt StepRole.Arn
      MemorySize: 512
      Environment:
        Variables:
          MODE: own
          TABLE: !Ref Table
          THRESHOLD: !Ref Threshold
          EXEMPT: !Join [",", !Ref Exempt]
          NUMBER: 8.5
          SWITCH: true
          URL: {"Fn::Sub": ["https://${Bucket}.s3.${AWS::Region}.${AWS::URLSuffix}/${path}?${!literal}", {path: !Select [1, !Split ["/", a/b]]}]}
          TOPIC: !If [Japanese, !Ref Furigana, !Ref Topic]
          GONE: !If [Japanese, yes!, !Ref AWS::NoValue]
      Events:
        Show: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: "/d/{id}", Method: get}}
        Command: {Type: HttpApi, Properties: {ApiId: !Ref Api, Path: /decide, Method: POST, Auth: {Authorizer: AWS_IAM}}}
        Nightly: {Type: Schedule, Properties: {Schedule: rate(1 day), Enabled: false, Input: '{"check":true}'}}
  StepRole:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {}
      Policies:
        - PolicyName: step
          PolicyDocument:
            Version: 2012-10-17
            Statement:
              - Sid: Read
                Effect: Allow
                Action: [dynamodb:GetItem, dynamodb:Query]
                Resource: !GetAtt Table.Arn
              - Sid: Mark
                Effect: Allow
                Action: ec2:CreateTags
                Resource: "*"
                Condition:
                  ForAllValues:StringEquals: {aws:TagKeys: cordon:decision}
                  Bool: {aws:SecureTransport: true}
  More:
    Type: AWS::IAM::Policy
    Properties:
      PolicyName: more
      Roles: [!Ref StepRole]
      PolicyDocument:
        Version: "2012-10-17"
        Statement: {Effect: Deny, NotAction: "s3:*", NotResource: !Sub "${Bucket.Arn}/*"}
  RuleRole: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
  Rule:
    Type: AWS::Events::Rule
    Properties:
      EventPattern:
        source: [aws.guardduty]
        detail: {severity: [{numeric: [">=", 7]}], service: {archived: [false]}}
      Targets:
        - Id: start
          Arn: !Ref Machine
          RoleArn: !GetAtt RuleRole.Arn
          InputPath: $.detail
          RetryPolicy: {MaximumEventAgeInSeconds: 3600, MaximumRetryAttempts: 2}
          DeadLetterConfig: {Arn: !GetAtt Dead.Arn}
Outputs:
  Url: {Description: Where., Value: !GetAtt Api.ApiEndpoint}
  Other: {Condition: Japanese, Value: !Ref Furigana}
`

var settings = template.Settings{Account: "111122223333", Region: "eu-central-1", Stack: "cordon", Parameters: map[string]string{"Mail": "a@example.com"}}

func deploy(t *testing.T, text string, parameters map[string]string) *template.Deployment {
	t.Helper()
	d, err := deployed(text, parameters)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func deployed(text string, parameters map[string]string) (*template.Deployment, error) {
	tmpl, err := template.Parse([]byte(text))
	if err != nil {
		return nil, err
	}
	s := settings
	s.Parameters = parameters
	return tmpl.Deploy(s)
}

func resource(t *testing.T, d *template.Deployment, logicalID string) template.Resource {
	t.Helper()
	r, ok := d.Resource(logicalID)
	if !ok {
		t.Fatalf("no resource %s", logicalID)
	}
	return r
}

func TestFunctionRunsAsDeployed(t *testing.T) {
	d := deploy(t, small, map[string]string{"Mail": "a@example.com", "Threshold": "8.0", "Exempt": "i-1, i-2"})
	step := d.Functions()[0]
	table := resource(t, d, "Table")
	want := template.Function{
		LogicalID: "Step", Name: step.Name, ARN: "arn:aws:lambda:eu-central-1:111122223333:function:" + step.Name,
		Timeout: 20 * time.Second, Memory: 512,
		Environment: map[string]string{
			"STACK": "cordon", "MODE": "own", "TABLE": table.Name, "THRESHOLD": "8.0", "EXEMPT": "i-1,i-2", "NUMBER": "8.5", "SWITCH": "true",
			"URL":   "https://" + resource(t, d, "Bucket").Name + ".s3.eu-central-1.amazonaws.com/b?${literal}",
			"TOPIC": resource(t, d, "Topic").Ref,
		},
		Role: "StepRole",
		Statements: []template.Statement{
			{Sid: "Read", Effect: "Allow", Actions: []string{"dynamodb:GetItem", "dynamodb:Query"}, Resources: []string{table.ARN()}},
			{Sid: "Mark", Effect: "Allow", Actions: []string{"ec2:CreateTags"}, Resources: []string{"*"}, Condition: map[string]map[string][]string{
				"ForAllValues:StringEquals": {"aws:TagKeys": {"cordon:decision"}}, "Bool": {"aws:SecureTransport": {"true"}},
			}},
			{Effect: "Deny", NotActions: []string{"s3:*"}, NotResources: []string{resource(t, d, "Bucket").ARN() + "/*"}},
		},
		Routes: []template.Route{{API: "Api", Method: "POST", Path: "/decide", Authorizer: "AWS_IAM"}, {API: "Api", Method: "GET", Path: "/d/{id}"}},
	}
	if diff := cmp.Diff(want, step); diff != "" {
		t.Errorf("the function would not run as deployed (-want +got):\n%s", diff)
	}
}

func TestConditionsDecideWhatIsDeployed(t *testing.T) {
	d := deploy(t, small, map[string]string{"Mail": "a@example.com"})
	if _, ok := d.Resource("Furigana"); ok {
		t.Error("a resource whose condition does not hold is deployed")
	}
	if _, ok := d.Outputs()["Other"]; ok {
		t.Error("an output whose condition does not hold is there")
	}
	d = deploy(t, small, map[string]string{"Mail": "a@example.com", "Language": "ja"})
	furigana := resource(t, d, "Furigana")
	if got := d.Outputs()["Other"]; got != furigana.Ref {
		t.Errorf("output is %q, want the topic %q", got, furigana.Ref)
	}
	env := d.Functions()[0].Environment
	if env["TOPIC"] != furigana.Ref || env["GONE"] != "yes!" {
		t.Errorf("Fn::If took the wrong branch: %v", env)
	}
}

func TestNamesAreShapedAsAWSShapesThem(t *testing.T) {
	d := deploy(t, small, map[string]string{"Mail": "a@example.com"})
	for id, want := range map[string]struct{ name, ref, arn string }{
		"Table":    {`cordon-Table-[A-Za-z0-9]{12}`, "NAME", "arn:aws:dynamodb:eu-central-1:111122223333:table/NAME"},
		"Named":    {`cordon-named`, "NAME", "arn:aws:dynamodb:eu-central-1:111122223333:table/NAME"},
		"Bucket":   {`cordon-bucket-[a-z0-9]{12}`, "NAME", "arn:aws:s3:::NAME"},
		"Dead":     {`cordon-Dead-[A-Za-z0-9]{12}`, "https://sqs.eu-central-1.amazonaws.com/111122223333/NAME", "arn:aws:sqs:eu-central-1:111122223333:NAME"},
		"Mac":      {`[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}`, "NAME", "arn:aws:kms:eu-central-1:111122223333:key/NAME"},
		"Topic":    {`cordon-Topic-[A-Za-z0-9]{12}`, "arn:aws:sns:eu-central-1:111122223333:NAME", "arn:aws:sns:eu-central-1:111122223333:NAME"},
		"Api":      {`[a-z0-9]{10}`, "NAME", ""},
		"Machine":  {`Machine-[A-Za-z0-9]{12}`, "arn:aws:states:eu-central-1:111122223333:stateMachine:NAME", "arn:aws:states:eu-central-1:111122223333:stateMachine:NAME"},
		"Step":     {`cordon-Step-[A-Za-z0-9]{12}`, "NAME", "arn:aws:lambda:eu-central-1:111122223333:function:NAME"},
		"StepRole": {`cordon-StepRole-[A-Za-z0-9]{12}`, "NAME", "arn:aws:iam::111122223333:role/NAME"},
		"Rule":     {`cordon-Rule-[A-Za-z0-9]{12}`, "NAME", "arn:aws:events:eu-central-1:111122223333:rule/NAME"},
	} {
		r := resource(t, d, id)
		if !matches(want.name, r.Name) {
			t.Errorf("%s is named %q, want %s", id, r.Name, want.name)
		}
		if w := strings.ReplaceAll(want.ref, "NAME", r.Name); r.Ref != w {
			t.Errorf("Ref of %s is %q, want %q", id, r.Ref, w)
		}
		if w := strings.ReplaceAll(want.arn, "NAME", r.Name); r.ARN() != w {
			t.Errorf("ARN of %s is %q, want %q", id, r.ARN(), w)
		}
	}
	again := deploy(t, small, map[string]string{"Mail": "a@example.com"})
	if diff := cmp.Diff(d.Resources(), again.Resources()); diff != "" {
		t.Errorf("the same settings give other names, a run could not be replayed:\n%s", diff)
	}
	tmpl, err := template.Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	other, err := tmpl.Deploy(template.Settings{Account: "111122223333", Region: "cn-north-1", Stack: strings.Repeat("long", 32), Parameters: settings.Parameters})
	if err != nil {
		t.Fatal(err)
	}
	if r := resource(t, other, "Step"); len(r.Name) > 64 || !strings.HasPrefix(r.ARN(), "arn:aws-cn:lambda:cn-north-1:") {
		t.Errorf("function of a long stack name in China: %q", r.ARN())
	}
	if r := resource(t, other, "Bucket"); len(r.Name) > 63 || r.Name == resource(t, d, "Bucket").Name {
		t.Errorf("bucket of a long stack name: %q", r.Name)
	}
	if got := resource(t, other, "Api").Attributes["ApiEndpoint"]; !strings.HasSuffix(got, ".execute-api.cn-north-1.amazonaws.com.cn") {
		t.Errorf("API in China: %q", got)
	}
}

func TestRules(t *testing.T) {
	d := deploy(t, small, map[string]string{"Mail": "a@example.com"})
	rules := d.Rules()
	if len(rules) != 2 {
		t.Fatalf("%d rules, want the written one and the one of Events", len(rules))
	}
	nightly, rule := rules[0], rules[1]
	if nightly.LogicalID != "StepNightly" || nightly.Enabled || nightly.Schedule != "rate(1 day)" || nightly.Targets[0].Resource != "Step" {
		t.Errorf("the rule of the schedule is %+v", nightly)
	}
	// A number in the template stays one: EventBridge refuses a string here.
	if want := `{"detail":{"service":{"archived":[false]},"severity":[{"numeric":[">=",7]}]},"source":["aws.guardduty"]}`; string(rule.Pattern) != want {
		t.Errorf("pattern is\n%s, want\n%s", rule.Pattern, want)
	}
	want := []template.Target{{
		ID: "start", ARN: resource(t, d, "Machine").ARN(), Resource: "Machine", Role: "RuleRole", InputPath: "$.detail",
		DeadLetter: "Dead", MaximumAge: time.Hour, MaximumRetries: 2,
	}}
	if diff := cmp.Diff(want, rule.Targets); diff != "" {
		t.Errorf("targets (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		target      template.Target
		event, want string
	}{
		{rule.Targets[0], `{"detail":{"severity":8.0}}`, `{"severity":8.0}`},
		{rule.Targets[0], `{}`, `null`},
		{nightly.Targets[0], `{"x":1}`, `{"check":true}`},
		{template.Target{}, `{"x": 1}`, `{"x": 1}`},
		{template.Target{InputPath: "$"}, `{"x": 1}`, `{"x": 1}`},
	} {
		got, err := c.target.Payload(json.RawMessage(c.event))
		if err != nil || string(got) != c.want {
			t.Errorf("payload of %s is %s (%v), want %s", c.event, got, err, c.want)
		}
	}
	if _, err := (template.Target{InputPath: "$.a.b"}).Payload(json.RawMessage(`{"a":1}`)); err == nil {
		t.Error("a path into a number gives no error")
	}
}

func TestStateMachine(t *testing.T) {
	d := deploy(t, small, map[string]string{"Mail": "a@example.com"})
	m, ok := d.StateMachine()
	if !ok {
		t.Fatal("no state machine")
	}
	arn := d.Functions()[0].ARN
	want := template.StateMachine{
		LogicalID: "Machine", Name: m.Name, ARN: resource(t, d, "Machine").Ref, DefinitionURI: "machine.asl.json",
		Substitutions: map[string]string{"StepArn": arn, "Hours": "24"},
		Statements:    []template.Statement{{Effect: "Allow", Actions: []string{"lambda:InvokeFunction"}, Resources: []string{arn}}},
	}
	if diff := cmp.Diff(want, m); diff != "" {
		t.Errorf("state machine (-want +got):\n%s", diff)
	}
}

func TestSubstitute(t *testing.T) {
	definition := []byte("{\"a\": \"${Arn}\",\n \"b\": [\"${Arn}\", ${Hours}], \"c\": \"{% $x %}\"}")
	got, err := template.Substitute(definition, map[string]string{"Arn": "arn:x", "Hours": "24"})
	if want := "{\"a\": \"arn:x\",\n \"b\": [\"arn:x\", 24], \"c\": \"{% $x %}\"}"; err != nil || string(got) != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
	for _, c := range []struct {
		name   string
		values map[string]string
		want   string
	}{
		{"unknown", map[string]string{"Arn": "x"}, "line 2: ${Hours} has no value"},
		{"unused", map[string]string{"Arn": "x", "Hours": "1", "Days": "2"}, "does not use Days"},
		{"breaks the JSON", map[string]string{"Arn": `"`, "Hours": "1"}, "not JSON"},
	} {
		if _, err := template.Substitute(definition, c.values); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error is %v, should say %q", c.name, err, c.want)
		}
	}
}

func TestParameters(t *testing.T) {
	tmpl, err := template.Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range tmpl.Parameters() {
		names = append(names, p.Name)
	}
	if diff := cmp.Diff([]string{"Mail", "Threshold", "Language", "Exempt", "Key"}, names); diff != "" {
		t.Errorf("parameters are not in the template's order:\n%s", diff)
	}
	if p := tmpl.Parameters()[1]; p.Default != "7" || p.Required || p.MinValue != "7" || p.MaxValue != "10" {
		t.Errorf("threshold: %+v", p)
	}
	if p := tmpl.Parameters()[0]; !p.Required || p.Description != "Who is told." {
		t.Errorf("mail: %+v", p)
	}
	d := deploy(t, small, map[string]string{"Mail": "a@example.com", "Threshold": "10"})
	if v, ok := d.Parameter("Threshold"); v != "10" || !ok {
		t.Errorf("threshold is %q, %t", v, ok)
	}
	if _, ok := d.Parameter("Nothing"); ok {
		t.Error("a parameter that is not there has a value")
	}
	if v := d.Parameters()[2].Value; v != "en" {
		t.Errorf("language is %q, not its default", v)
	}

	for _, c := range []struct {
		name       string
		parameters map[string]string
		want       []string
	}{
		{"missing", nil, []string{"parameter Mail has no default", "Who is told."}},
		{"unknown", map[string]string{"Mail": "a@b", "threshold": "8"}, []string{"no parameter threshold", "Threshold"}},
		{"pattern, all of the value", map[string]string{"Mail": "a@b@c"}, []string{`parameter Mail does not take "a@b@c"`, "[^@]+@[^@]+", "a mail address"}},
		{"too low", map[string]string{"Mail": "a@b", "Threshold": "6.9"}, []string{`Threshold does not take "6.9"`, "the least is 7"}},
		{"too high", map[string]string{"Mail": "a@b", "Threshold": "1e1000"}, []string{"the most is 10"}},
		{"no number", map[string]string{"Mail": "a@b", "Threshold": "high"}, []string{`Threshold does not take "high"`, "a Number", "7"}},
		{"infinite", map[string]string{"Mail": "a@b", "Threshold": "Inf"}, []string{"a Number"}},
		{"empty number", map[string]string{"Mail": "a@b", "Threshold": ""}, []string{"a Number"}},
		{"not allowed", map[string]string{"Mail": "a@b", "Language": "EN"}, []string{`Language does not take "EN"`, "en, ja"}},
		{"too long", map[string]string{"Mail": "a@b", "Key": "hunter2"}, []string{"Key does not take", "the greatest length is 4"}},
		{"all at once", map[string]string{"Language": "fr", "Threshold": "1"}, []string{"Mail", "Language", "Threshold"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := deployed(small, c.parameters)
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("error is %v, should say %q", err, w)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a NoEcho value is shown: %v", err)
			}
		})
	}
}

func TestSettingsAreChecked(t *testing.T) {
	tmpl, err := template.Parse([]byte(small))
	if err != nil {
		t.Fatal(err)
	}
	for want, s := range map[string]template.Settings{
		"account": {Account: "1111", Region: "eu-central-1", Stack: "cordon"},
		"Region":  {Account: "111122223333", Region: "Frankfurt", Stack: "cordon"},
		"stack":   {Account: "111122223333", Region: "eu-central-1", Stack: "1 cordon"},
	} {
		if _, err := tmpl.Deploy(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, should name the %s", err, want)
		}
	}
}

// TestAssertions: what CloudFormation refuses before it makes anything, a rehearsal
// refuses, with the rule's own words and all of them at once.
func TestAssertions(t *testing.T) {
	const text = `
Parameters:
  Who: {Type: String, Default: link, AllowedValues: [link, known]}
  People: {Type: Number, Default: 1}
  Name: {Type: String, Default: ""}
Rules:
  TwoAreKnown:
    RuleCondition: !Equals [!Ref People, 2]
    Assertions:
      - {Assert: !Equals [!Ref Who, known], AssertDescription: two people must be known}
  KnownHasAName:
    RuleCondition: !Equals [!Ref Who, known]
    Assertions:
      - {Assert: !Not [!Equals [!Ref Name, ""]], AssertDescription: known needs a Name}
      - {Assert: !Not [!Equals [!Ref Name, x]], AssertDescription: the Name must not be x}
Resources: {}
`
	parsed, err := template.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		who, people, name string
		want              []string
	}{
		{"link", "1", "", nil},
		{"known", "2", "n", nil},
		{"link", "2", "", []string{"TwoAreKnown", "two people must be known"}},
		{"known", "1", "", []string{"KnownHasAName", "known needs a Name"}},
		{"known", "1", "x", []string{"the Name must not be x"}},
	} {
		_, err := parsed.Deploy(template.Settings{Account: "111122223333", Region: "eu-west-1", Stack: "s", Parameters: map[string]string{"Who": c.who, "People": c.people, "Name": c.name}})
		if (err == nil) != (c.want == nil) {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%+v: %v, want %q in it", c, err, w)
			}
		}
	}
}
