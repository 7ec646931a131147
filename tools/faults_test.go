// Package tools proves that the checks see what they are there for: each is
// given what it must refuse. They are installed by make tools.
package tools

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// root is the project, absolute, so that a check may run in another folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// run is how a command of the project ended in a folder, and what it said.
func run(t *testing.T, dir, command string, arguments ...string) (said string, ok bool) {
	t.Helper()
	c := exec.CommandContext(t.Context(), filepath.Join(root(t), command), arguments...)
	c.Dir = dir
	c.Env = append(os.Environ(), "SAM_CLI_TELEMETRY=0")
	var out bytes.Buffer
	c.Stdout, c.Stderr = &out, &out
	err := c.Run()
	if err != nil && c.ProcessState == nil {
		t.Fatalf("%v; make tools installs it", err)
	}
	return out.String(), err == nil
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

const (
	templateFile   = "template.yaml"
	definitionFile = "statemachines/incident-response.asl.json"
	accessFile     = "stacks/access.yaml"
	identityFile   = "stacks/identity-center.yaml"
)

// fault is a text that takes the place of another, and what must be said of it.
type fault struct{ file, right, wrong, says string }

// planted is a copy of the template and the definition with faults in them.
func planted(t *testing.T, faults ...fault) (dir string) {
	t.Helper()
	dir = t.TempDir()
	files := map[string]string{}
	for _, name := range []string{templateFile, definitionFile, accessFile, identityFile} {
		b, err := os.ReadFile(filepath.Join(root(t), name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(b)
	}
	for _, f := range faults {
		if !strings.Contains(files[f.file], f.right) {
			t.Fatalf("%s no longer has %q to plant a fault in", f.file, f.right)
		}
		files[f.file] = strings.Replace(files[f.file], f.right, f.wrong, 1)
	}
	write(t, dir, files)
	return dir
}

func expand(t *testing.T, dir string) (said string, ok bool) {
	t.Helper()
	return run(t, dir, ".venv/bin/python", filepath.Join(root(t), "tools/expand.py"))
}

// refused holds that a check failed and said what it must.
func refused(t *testing.T, said string, ok bool, faults ...fault) {
	t.Helper()
	if ok {
		t.Error("it passes")
	}
	for _, f := range faults {
		if !strings.Contains(said, f.says) {
			t.Errorf("%q instead of %q goes unseen", f.wrong, f.right)
		}
	}
	if t.Failed() {
		t.Log(said)
	}
}

func TestExpandRefuses(t *testing.T) {
	for name, f := range map[string]fault{
		"a definition that is not there": {templateFile, "DefinitionUri: statemachines/incident-response", "DefinitionUri: statemachines/incident", "cannot be read"},
		"a name without a substitution":  {definitionFile, "${CloseFunctionArn}", "${ClosingFunctionArn}", "${ClosingFunctionArn}, which DefinitionSubstitutions lacks"},
		"a definition that is no JSON":   {definitionFile, "{", "", "no JSON"},
		"a setting that SAM has not":     {templateFile, "Runtime: provided", "RunTime: provided", "'RunTime' is not a supported property"},
		"a template that is no YAML":     {templateFile, "Resources:", "Resources: [", "template cannot be read"},
		"a template without a machine":   {templateFile, "Type: AWS::Serverless::StateMachine", "Type: AWS::SNS::Topic", "0 state machines"},
	} {
		t.Run(name, func(t *testing.T) {
			said, ok := expand(t, planted(t, f))
			refused(t, said, ok, f)
			if strings.Contains(said, "Traceback") {
				t.Errorf("it breaks down instead of saying what is wrong:\n%s", said)
			}
		})
	}
}

// TestCfnLintRefuses: what cfn-lint and sam validate both pass in the template
// as it is, cfn-lint finds in what it expands to.
func TestCfnLintRefuses(t *testing.T) {
	faults := []fault{
		{templateFile, "Arn: !GetAtt DeadLetters.Arn", "Arn: !GetAtt DeadLetters.Arm", "'Arm' is not one of"},
		{templateFile, "Action: states:StartExecution", "Action: states:StartExecutions", "startexecutions"},
		{templateFile, "Architectures: [arm64]", "Architectures: [arm65]", "arm65"},
		{templateFile, "TreatMissingData: notBreaching", "TreatMissingDate: notBreaching", "TreatMissingDate"},
	}
	dir := planted(t, faults...)
	if said, ok := expand(t, dir); !ok {
		t.Fatal(said)
	}
	said, ok := run(t, dir, ".venv/bin/cfn-lint", "--regions", "us-east-1", "--template", ".aws-sam/expanded.json")
	refused(t, said, ok, faults...)
}

// TestCfnLintRefusesInStacks: they have no transform, so they are judged as they are.
func TestCfnLintRefusesInStacks(t *testing.T) {
	faults := []fault{
		{accessFile, "!GetAtt ReaderEndpoint.EndpointDomain", "!GetAtt ReaderEndpoint.Domain", "'Domain' is not one of"},
		{accessFile, "PolicyEnabled: true", "PolicyEnable: true", "PolicyEnable"},
		{accessFile, "VpcId: !Ref VpcId", "VpcId: !Ref Vpc", "'Vpc' is not one of"},
		{identityFile, "Action: execute-api:Invoke", "Action: execute-api:Invok", "invok"},
		{identityFile, "PrincipalType: GROUP", "PrincipalType: GROUPS", "GROUPS"},
	}
	said, ok := run(t, planted(t, faults...), ".venv/bin/cfn-lint", "--regions", "us-east-1", "--template", accessFile, identityFile)
	refused(t, said, ok, faults...)
}

func TestSamValidateRefuses(t *testing.T) {
	f := fault{templateFile, "LogGroup: !Ref EnrichLogs", "LogGroup: !Ref EnrichLog", "'EnrichLog' is not one of"}
	said, ok := run(t, planted(t, f), ".venv/bin/sam", "validate", "--lint")
	refused(t, said, ok, f)
}

func TestASLValidatorRefuses(t *testing.T) {
	for name, f := range map[string]fault{
		"an unknown field":       {definitionFile, `"TimeoutSeconds":`, `"TimeOutSeconds": 1, "TimeoutSeconds":`, "must NOT have additional properties"},
		"a state that is not":    {definitionFile, `"Next": "Isolate instance"`, `"Next": "Isolate instances"`, "Isolate instances"},
		"an expression's syntax": {definitionFile, `{% $`, `{% ($`, "Read the finding/Arguments/Payload/event is invalid"},
		// Step Functions has JSONata 2.0.6, which does not know it.
		"an operator of a newer JSONata": {definitionFile, `"{% ${ApprovalHours} * 3600 %}"`, `"{% (${ApprovalHours} ?? 24) * 3600 %}"`, "Ask whether to isolate/TimeoutSeconds is invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := planted(t, f)
			if said, ok := expand(t, dir); !ok {
				t.Fatal(said)
			}
			said, ok := run(t, dir, "tools/node_modules/.bin/asl-validator", "--json-path", ".aws-sam/definition.json")
			refused(t, said, ok, f)
		})
	}
}

// TestLintRefuses lints a small project of the same name and shape: a fault a
// file, and files without one.
func TestLintRefuses(t *testing.T) {
	const (
		aws   = "github.com/aws/aws-sdk-go-v2"
		gnata = "github.com/recolabs/gnata"
	)
	importing := func(pkg, path string) string { return "package " + pkg + "\n\nimport _ \"" + path + "\"\n" }
	config, err := os.ReadFile(filepath.Join(root(t), ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, map[string]string{
		".golangci.yml":                   string(config),
		"go.mod":                          "module cordon\n\ngo 1.26\n\nrequire (\n\t" + aws + " v1.0.0\n\t" + gnata + " v1.0.0\n)\n\nreplace (\n\t" + aws + " => ./stand-in/aws\n\t" + gnata + " => ./stand-in/gnata\n)\n",
		"stand-in/aws/go.mod":             "module " + aws + "\n",
		"stand-in/aws/aws.go":             "package aws\n",
		"stand-in/aws/service/ec2/ec2.go": "package ec2\n",
		"stand-in/gnata/go.mod":           "module " + gnata + "\n",
		"stand-in/gnata/gnata.go":         "package gnata\n",
	})

	none := map[string]string{
		"internal/incident/incident.go": importing("incident", "context"),
		"internal/lambdafn/lambdafn.go": "package lambdafn\n",
		"internal/notify/notify.go":     "package notify\n",
		"internal/scene/scene.go":       importing("scene", "cordon/internal/sim"),
		"internal/sim/sim.go":           importing("sim", aws+"/service/ec2"),
		"internal/jsonata/library.go":   importing("jsonata", gnata),
		"internal/decide/page.go":       importing("decide", "html/template"),
		"internal/isolate/isolate.go":   importing("isolate", aws+"/service/ec2"),
		"internal/isolate/fine_test.go": importing("isolate_test", "cordon/internal/scene"),
		"functions/notify/main.go":      "package main\n\nimport (\n\t_ \"cordon/internal/lambdafn\"\n\t_ \"cordon/internal/notify\"\n)\n\nfunc main() {}\n",
	}
	faults := map[string]struct{ linter, text string }{
		"internal/isolate/another.go":  {"depguard", importing("isolate", "cordon/internal/notify")},
		"internal/isolate/lambda.go":   {"depguard", importing("isolate", "cordon/internal/lambdafn")},
		"internal/isolate/os.go":       {"depguard", importing("isolate", "os")},
		"internal/isolate/exec.go":     {"depguard", importing("isolate", "os/exec")},
		"internal/isolate/sync.go":     {"depguard", importing("isolate", "sync")},
		"internal/isolate/rand.go":     {"depguard", importing("isolate", "math/rand/v2")},
		"internal/isolate/sim.go":      {"depguard", importing("isolate", "cordon/internal/sim")},
		"internal/isolate/template.go": {"depguard", importing("isolate", "text/template")},
		"internal/isolate/gnata.go":    {"depguard", importing("isolate", gnata)},
		"internal/newstep/another.go":  {"depguard", importing("newstep", "cordon/internal/isolate")},
		"internal/incident/aws.go":     {"depguard", importing("incident", aws)},
		"internal/lambdafn/sim.go":     {"depguard", importing("lambdafn", "cordon/internal/sim")},
		"internal/asl/aws.go":          {"depguard", importing("asl", aws)},
		"cmd/asl/sim.go":               {"depguard", importing("asl", "cordon/internal/sim")},
		"cmd/cordon/scene.go":          {"depguard", importing("cordon", "cordon/internal/scene")},
		"cmd/cordon/template.go":       {"depguard", importing("cordon", "html/template")},
		"functions/isolate/main.go":    {"depguard", importing("main", "cordon/internal/sim") + "\nfunc main() {}\n"},
		"functions/isolate_os/main.go": {"depguard", importing("main", "os") + "\nfunc main() {}\n"},
		"cmd/cordon/layout.go":         {"gofumpt", "package cordon\n\nfunc Layout() int {\n\n\treturn 1\n}\n"},
		"cmd/cordon/nilerr.go":         {"nilerr", "package cordon\n\nfunc Swallow(f func() error) error {\n\tif err := f(); err != nil {\n\t\treturn nil\n\t}\n\treturn nil\n}\n"},
		"cmd/cordon/errcheck.go":       {"errcheck", "package cordon\n\nfunc Drop(f func() error) { f() }\n"},
		"cmd/cordon/errorlint.go":      {"errorlint", "package cordon\n\nimport \"io\"\n\nfunc Compare(err error) bool { return err == io.EOF }\n"},
		"cmd/cordon/gosec.go":          {"gosec", "package cordon\n\nimport \"os\"\n\nfunc Open(name string) (*os.File, error) { return os.Open(name) }\n"},
		"cmd/cordon/staticcheck.go":    {"staticcheck", "package cordon\n\nfunc Same(n int) bool { return n == n }\n"},
		"cmd/cordon/unparam.go":        {"unparam", "package cordon\n\nfunc add(a, b int) int {\n\tif a > 1 {\n\t\treturn a\n\t}\n\treturn a * 2\n}\n\nfunc Sum() int { return add(1, 5) + add(2, 6) }\n"},
		"cmd/cordon/unused.go":         {"unused", "package cordon\n\nfunc nobody() {}\n"},
		"cmd/cordon/ineffassign.go":    {"ineffassign", "package cordon\n\nfunc Lost() int {\n\tn := 1\n\tn = 2\n\treturn n\n}\n"},
		"cmd/cordon/nolint.go":         {"nolintlint", "package cordon\n\nimport \"io\"\n\nfunc Silence(err error) bool { return err == io.EOF } //nolint:errorlint\n"},
		"cmd/cordon/govet.go":          {"govet", "package cordon\n\nimport \"fmt\"\n\nfunc Verb() string { return fmt.Sprintf(\"%d\", \"one\") }\n"},
	}
	write(t, dir, none)
	want := map[string][]string{}
	for name, f := range faults {
		write(t, dir, map[string]string{name: f.text})
		want[name] = []string{f.linter}
	}

	said, ok := run(t, dir, "bin/golangci-lint", "run", "--output.json.path", "report.json", "--output.text.path", "stdout")
	if ok {
		t.Error("it passes")
	}
	b, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	var report struct {
		Issues []struct {
			FromLinter string
			Pos        struct{ Filename string }
		}
	}
	if err := json.Unmarshal(b, &report); err != nil {
		t.Fatal(err)
	}
	found := map[string][]string{}
	for _, i := range report.Issues {
		if name := i.Pos.Filename; !slices.Contains(found[name], i.FromLinter) {
			found[name] = append(found[name], i.FromLinter)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if !slices.Equal(found[name], want[name]) {
			t.Errorf("%s: found by %q, want %q", name, found[name], want[name])
		}
	}
	for name, linters := range found {
		if want[name] == nil {
			t.Errorf("%s: has no fault and is refused by %q", name, linters)
		}
	}
	if t.Failed() {
		t.Log(said)
	}
}

// TestPowerShell plants what triage.ps1 must not do, and what would fail on a host
// without a word.
func TestPowerShell(t *testing.T) {
	right, err := os.ReadFile(filepath.Join(root(t), "internal/memory/triage.ps1"))
	if err != nil {
		t.Fatal(err)
	}
	reads := func(text string) (string, bool) {
		dir := t.TempDir()
		write(t, dir, map[string]string{"script.ps1": text})
		return run(t, dir, ".venv/bin/python", filepath.Join(root(t), "tools/powershell.py"), "script.ps1")
	}
	if said, ok := reads(string(right)); !ok || said != "" {
		t.Errorf("the script as it is: %s", said)
	}
	for _, f := range []fault{
		{right: "foreach ($pipe in", wrong: "foreach ($pipe on", says: "the grammar does not know this"},
		{right: "Get-Owner $found", wrong: "Get-Process", says: "Get-Process is none of the script's own functions"},
		{right: "Get-Text $pipe 0", wrong: "Get-Text $pipe", says: "Get-Text wants 2 arguments and is given 1"},
		{right: "$found.$name 0", wrong: "$fund.$name 0", says: "$fund is nowhere set"},
		{right: "& $block", wrong: "& $block > C:\\said", says: "a redirection"},
		{right: "[wmisearcher]::new(", wrong: "[IO.File]::WriteAllText(", says: "[IO.File]::WriteAllText is not in the list"},
		{right: "-is [array]", wrong: "-is [xml]", says: "[xml] is not in the list"},
		{right: ".TrimEnd()", wrong: ".Delete()", says: ".Delete() is not in the list"},
		{right: "out of time", wrong: "out of time\u2026", says: "not ASCII"},
	} {
		text := strings.Replace(string(right), f.right, f.wrong, 1)
		if text == string(right) {
			t.Fatalf("the script no longer has %q to plant a fault in", f.right)
		}
		if said, ok := reads(text); ok || !strings.Contains(said, f.says) {
			t.Errorf("with %q: passed %t, and it says\n%s\nwant %q", f.wrong, ok, said, f.says)
		}
	}
}
