package template_test

import (
	"regexp"
	"strings"
	"testing"
)

func matches(pattern, s string) bool {
	return regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(s)
}

// function is a template with one function, whose further properties follow.
const function = `Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Handler: bootstrap
      Runtime: provided.al2023
`

// variable is a template with one function, whose variable V follows.
const variable = function + `      Environment:
        Variables:
          V: `

const topic = "\n  T: {Type: AWS::SNS::Topic}"

// A rehearsal of something else than what is deployed is worse than none: what
// is not known is refused, by name and line.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
	}{
		{"not YAML", "a: [", []string{"reading the template"}},
		{"empty", "", []string{"reading the template"}},
		{"a list", "- a", []string{"must be a map"}},
		{"two documents", "Resources: {}\n---\nResources: {}", []string{"more than one"}},
		{"no resources", "Parameters: {}", []string{"no section Resources"}},
		{"unknown section", "Resources: {}\nMappings: {}", []string{"line 2", "Mappings"}},
		{"rule without assertions", "Rules:\n  R: {}\nResources: {}", []string{"line 2", "R", "Assertions"}},
		{"assertion without a text", "Rules:\n  R: {Assertions: [{Assert: !Equals [a, a]}]}\nResources: {}", []string{"line 2", "R", "AssertDescription"}},
		{"another key of a rule", "Rules:\n  R: {Assert: [a]}\nResources: {}", []string{"line 2", "Assert"}},
		{"a function of rules that is not known", "Rules:\n  R: {Assertions: [{Assert: !Contains [[a], a], AssertDescription: x}]}\nResources: {}", []string{"line 2", "Fn::Contains"}},
		{"another transform", "Transform: AWS::LanguageExtensions\nResources: {}", []string{"line 1", "the transform"}},
		{"two transforms", "Transform: [AWS::Serverless-2016-10-31, X]\nResources: {}", []string{"line 1", "the transform"}},
		{"another Globals", "Globals:\n  HttpApi: {}\nResources: {}", []string{"line 2", "HttpApi"}},
		{"alias", "Resources:\n  A: &x {Type: AWS::SNS::Topic}\n  B: *x", []string{"line 3", "aliases"}},
		{"key twice", "Resources:\n  A: {Type: AWS::SNS::Topic}\n  A: {Type: AWS::SNS::Topic}", []string{"line 3", `"A" is there twice`}},
		{"null", "Resources:\n  A:\n    Type: AWS::SNS::Topic\n    Properties:", []string{"line 4", "no value"}},
		{"YAML 1.1 boolean", variable + "no", []string{"line 9", "boolean"}},
		{"hexadecimal", variable + "0x10", []string{"line 9", "0x10"}},
		{"unknown type", "Resources:\n  A: {Type: AWS::EC2::Instance}", []string{"line 2", "A", "AWS::EC2::Instance"}},
		{"no type", "Resources:\n  A: {Properties: {}}", []string{"line 2", "no Type"}},
		{"unknown attribute of a resource", "Resources:\n  A: {Type: AWS::SNS::Topic, UpdatePolicy: {}}", []string{"line 2", "UpdatePolicy"}},
		{"unknown condition", "Resources:\n  A: {Type: AWS::SNS::Topic, Condition: C}", []string{"line 2", `"C"`}},
		{"unknown dependency", "Resources:\n  A: {Type: AWS::SNS::Topic, DependsOn: B}", []string{"line 2", `"B"`}},
		{"output without value", "Resources: {}\nOutputs:\n  O: {Description: x}", []string{"line 3", "no Value"}},

		{"parameter type", "Parameters:\n  P: {Type: List<Number>}\nResources: {}", []string{"line 2", "P", "List<Number>"}},
		{"parameter attribute", "Parameters:\n  P: {Type: String, Min: 1}\nResources: {}", []string{"line 2", "Min"}},
		{"parameter pattern", "Parameters:\n  P: {Type: String, AllowedPattern: '(?=x)'}\nResources: {}", []string{"line 2", "AllowedPattern", "P"}},
		{"parameter default", "Parameters:\n  P: {Type: Number, Default: 1, MinValue: 2}\nResources: {}", []string{"line 2", "default", "P", "least is 2"}},
		{"parameter range of a string", "Parameters:\n  P: {Type: String, MinValue: 2}\nResources: {}", []string{"line 2", "P", "MinValue"}},
		{"parameter and resource", "Parameters:\n  P: {Type: String}\nResources:\n  P: {Type: AWS::SNS::Topic}", []string{"line 4", "P"}},

		{"short function", variable + "!ImportValue x", []string{"line 9", "Fn::ImportValue"}},
		{"long function", variable + "{'Fn::FindInMap': [a, b, c]}", []string{"line 9", "Fn::FindInMap"}},
		{"function in a branch not taken", "Conditions: {C: !Equals [a, a]}\n" + variable + "!If [C, a, !Base64 x]", []string{"line 10", "Fn::Base64"}},
		{"function beside a key", variable + "{Ref: T, x: y}", []string{"line 9", "Ref", "alone"}},
		{"unknown Ref", variable + "!Ref X", []string{"line 9", `"X"`}},
		{"unknown pseudo parameter", variable + "!Ref AWS::NotificationARNs", []string{"line 9", "AWS::NotificationARNs"}},
		{"unknown GetAtt", variable + "!GetAtt T.Arn" + topic, []string{"line 9", "Arn", "T", "AWS::SNS::Topic"}},
		{"GetAtt without attribute", variable + "!GetAtt T" + topic, []string{"line 9", "Fn::GetAtt"}},
		{"unknown in Sub", variable + `!Sub "a ${X}"`, []string{"line 9", "${X}"}},
		{"unknown attribute in Sub", variable + `!Sub "a ${T.Arn}"` + topic, []string{"line 9", "${T.Arn}", "AWS::SNS::Topic"}},
		{"list in Sub", "Parameters: {P: {Type: CommaDelimitedList, Default: a}}\n" + variable + `!Sub "${P}"`, []string{"line 10", "list"}},
		{"list as a value", "Parameters: {P: {Type: CommaDelimitedList, Default: a}}\n" + variable + "!Ref P", []string{"F", "list"}},
		{"Join of no list", variable + "!Join [a, b]", []string{"line 9", "Fn::Join"}},
		{"Select beyond", variable + "!Select [2, [a, b]]", []string{"line 9", "no element 2"}},
		{"Split at nothing", variable + `!Select [0, !Split ["", ab]]`, []string{"line 9", "empty"}},
		{"If of an unknown condition", variable + "!If [C, a, b]", []string{"line 9", `"C"`}},
		{"NoValue in a Join", variable + `!Join ["", [!Sub "${AWS::NoValue}"]]`, []string{"line 9", "NoValue"}},
		{"Equals outside Conditions", variable + "!Equals [a, a]", []string{"line 9", "Conditions only"}},
		{"condition of a resource", "Conditions: {C: !Equals [!Ref T, a]}\nResources:" + topic, []string{"line 1", `"T"`}},
		{"conditions in a circle", "Conditions:\n  A: !Not [!Condition B]\n  B: !Not [!Condition A]\nResources: {}", []string{"depends on itself"}},
		{"condition of something else", "Conditions:\n  A: true\nResources: {}", []string{"line 2", "Fn::Equals"}},
		{"Ref to what is not deployed", "Conditions: {C: !Equals [a, b]}\n" + variable + "!Ref U\n  U: {Type: AWS::SNS::Topic, Condition: C}", []string{"line 10", "U", "not deployed"}},

		{
			"circle of resources", variable + "!Ref G\n  G:\n    Type: AWS::Serverless::Function\n    Properties: {Handler: bootstrap, Runtime: provided.al2023, Environment: {Variables: {V: !Ref F}}}",
			[]string{"circular", "F → G → F"},
		},
		{
			"circle through the API", variable + "!Ref A\n      Events: {E: {Type: HttpApi, Properties: {ApiId: !Ref A, Path: /, Method: GET}}}\n  A: {Type: AWS::Serverless::HttpApi}",
			[]string{"circular", "F → A → F"},
		},
		{"circle of names", "Resources:\n  A: {Type: AWS::SNS::Topic, Properties: {TopicName: !GetAtt B.TopicName}}\n  B: {Type: AWS::SNS::Topic, Properties: {TopicName: !GetAtt A.TopicName}}", []string{"itself"}},
		{"refers to itself", "Resources:\n  A: {Type: AWS::SQS::Queue, Properties: {RedrivePolicy: !GetAtt A.Arn}}", []string{"line 2", "itself"}},

		{"property of a function", function + "      Layers: [x]", []string{"line 7", "F", "Layers"}},
		{"property of Globals", "Globals: {Function: {VpcConfig: {}}}\n" + function, []string{"line 1", "VpcConfig"}},
		{"list in Globals and function", "Globals: {Function: {Architectures: [arm64]}}\n" + function + "      Architectures: [arm64]", []string{"line 8", "line 1", "append"}},
		{"another runtime", "Resources:\n  F: {Type: AWS::Serverless::Function, Properties: {Handler: bootstrap, Runtime: go1.x}}", []string{"line 2", "F", "go1.x"}},
		{"time-out", function + "      Timeout: 901", []string{"F", `Timeout is "901"`}},
		{"time-out in words", function + "      Timeout: long", []string{"F", "Timeout"}},
		{"managed policy", function + "      Policies: [AWSLambdaExecute]", []string{"F", "AWSLambdaExecute"}},
		{"policy template", function + "      Policies: [{SNSPublishMessagePolicy: {TopicName: x}}]", []string{"F", "SNSPublishMessagePolicy"}},
		{"role of elsewhere", function + "      Role: arn:aws:iam::1:role/x", []string{"F", "arn:aws:iam::1:role/x"}},
		{"role and policies", function + "      Role: x\n      Policies: []", []string{"F", "passes over Policies"}},
		{"event of another type", function + "      Events: {E: {Type: SQS}}", []string{"F", "E", "SQS"}},
		{"route without API", function + "      Events: {E: {Type: HttpApi, Properties: {Path: /, Method: GET}}}", []string{"F", "E", "ApiId"}},
		{"managed policy of a role", "Resources:\n  R: {Type: AWS::IAM::Role, Properties: {ManagedPolicyArns: [x]}}", []string{"line 2", "R", "ManagedPolicyArns"}},
		{"misspelled statement", "Resources:\n  R: {Type: AWS::IAM::Role, Properties: {Policies: [{PolicyName: p, PolicyDocument: {Version: '2012-10-17', Statement: [{Effect: Allow, Actions: x, Resource: y}]}}]}}", []string{"line 2", "R", "Actions"}},
		{"old policy version", "Resources:\n  R: {Type: AWS::IAM::Role, Properties: {Policies: [{PolicyName: p, PolicyDocument: {Statement: []}}]}}", []string{"R", "2012-10-17"}},
		{"effect", "Resources:\n  R: {Type: AWS::IAM::Role, Properties: {Policies: [{PolicyName: p, PolicyDocument: {Version: '2012-10-17', Statement: [{Effect: allow, Action: x, Resource: y}]}}]}}", []string{"R", `"allow"`}},

		{"rule on another bus", "Resources:\n  R: {Type: AWS::Events::Rule, Properties: {EventBusName: x}}", []string{"line 2", "EventBusName"}},
		{"rule without target", "Resources:\n  R: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [x]}}}", []string{"R", "targets"}},
		{"rule with a foreign target", "Resources:\n  R: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [x]}, Targets: [{Id: a, Arn: arn:x}]}}", []string{"R", `"a"`, "arn:x"}},
		{"rule with a transformer", "Resources:\n  R: {Type: AWS::Events::Rule, Properties: {EventPattern: {source: [x]}, Targets: [{Id: a, Arn: arn:x, InputTransformer: {}}]}}", []string{"R", "InputTransformer"}},
		{"rule of nothing", "Resources:\n  R: {Type: AWS::Events::Rule, Properties: {Targets: [{Id: a, Arn: arn:x}]}}", []string{"R", "pattern or a schedule"}},
		{"express machine", "Resources:\n  M: {Type: AWS::Serverless::StateMachine, Properties: {DefinitionUri: x, Type: EXPRESS}}", []string{"line 2", "M", "EXPRESS"}},
		{"inline machine", "Resources:\n  M: {Type: AWS::Serverless::StateMachine, Properties: {Definition: {}}}", []string{"line 2", "M", "Definition"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := deployed(c.text, nil)
			for _, w := range c.want {
				if err == nil || !strings.Contains(err.Error(), w) {
					t.Errorf("error is %v, should say %q", err, w)
				}
			}
		})
	}
}

// Nothing that is read may panic, however mad.
func FuzzTemplate(f *testing.F) {
	f.Add(small)
	f.Add(variable + "!Sub [a, {b: !Ref c}]")
	f.Add("Resources: {a: {Type: !Ref x, Properties: !Ref y}}")
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := deployed(text, map[string]string{"Mail": "a@b"}); err == nil && d.StackID() == "" {
			t.Error("a deployment without an ID")
		}
	})
}
