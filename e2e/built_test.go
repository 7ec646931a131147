package e2e_test

import (
	"strings"
	"testing"

	"cordon"
	"cordon/e2e"
	"cordon/internal/template"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// built is a template as sam build writes it: functions in their long form.
const built = `
Globals:
  Function: {Architectures: [arm64], MemorySize: 256}
Resources:
  MemoryDocument: {Type: AWS::SSM::Document, Properties: {DocumentType: Command}}
  MemoryWindowsDocument: {Type: AWS::SSM::Document, Properties: {DocumentType: Command}}
  MemoryFunction:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {Variables: {MEMORY_DOCUMENT: {Ref: MemoryDocument}, MEMORY_WINDOWS_DOCUMENT: {Ref: MemoryWindowsDocument}, TABLE: {Ref: Table}}}
  Role:
    Type: AWS::IAM::Role
    Properties: {Resource: {"Fn::Sub": "arn:${AWS::Partition}:ssm:${AWS::Region}:1:document/${MemoryDocument}"}}
`

func TestOnlyWhatIsListedIsLeftOut(t *testing.T) {
	text, err := e2e.Deployable([]byte(built), "x86_64")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.NewReplacer(
		"  MemoryDocument: {Type: AWS::SSM::Document, Properties: {DocumentType: Command}}\n", "",
		"  MemoryWindowsDocument: {Type: AWS::SSM::Document, Properties: {DocumentType: Command}}\n", "", "{Ref: MemoryWindowsDocument}", "cordon-MemoryWindowsDocument",
		"{Ref: MemoryDocument}", "cordon-MemoryDocument", "${MemoryDocument}", "cordon-MemoryDocument", "[arm64]", "[x86_64]").Replace(built)
	var was, is any
	if err := yaml.Unmarshal([]byte(want), &was); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &is); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(was, is); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTemplatesThatAreNotAsListed(t *testing.T) {
	for name, change := range map[string][2]string{
		"take it off the list":         {"MemoryDocument: {Type: AWS::SSM::Document", "OtherDocument: {Type: AWS::SSM::Document"},
		"AWS::SSM::Document":           {"{Type: AWS::SSM::Document", "{Type: AWS::SQS::Queue"},
		"an attribute of":              {"{Ref: MemoryDocument}", "{\"Fn::GetAtt\": [MemoryDocument, Arn]}"},
		"depends on MemoryDocument":    {"Type: AWS::IAM::Role", "Type: AWS::IAM::Role\n    DependsOn: [MemoryDocument]"},
		"do not name one architecture": {"[arm64]", "[arm64, x86_64]"},
	} {
		if text, err := e2e.Deployable([]byte(strings.Replace(built, change[0], change[1], 1)), "x86_64"); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("with %s in place of %s: %v\n%s", change[1], change[0], err, text)
		}
	}
}

// TestWhatIsLeftOutIsInTheTemplate fails without a deployment, where nobody
// waits for one.
func TestWhatIsLeftOutIsInTheTemplate(t *testing.T) {
	parsed, err := template.Parse(cordon.Template)
	if err != nil {
		t.Fatal(err)
	}
	deployed, err := parsed.Deploy(template.Settings{Account: "111122223333", Region: "us-east-1", Stack: "cordon", Parameters: map[string]string{
		"NotificationEmail": "oncall@example.com", "MemoryToolKey": "", "MemoryToolSha256": "",
	}})
	if err != nil {
		t.Fatal(err)
	}
	for id, lacking := range e2e.Lacking {
		if r, ok := deployed.Resource(id); !ok || r.Type != lacking.Type {
			t.Errorf("the template has no %s %s", lacking.Type, id)
		}
	}
}
