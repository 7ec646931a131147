//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/e2e"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"
)

// probes say whether a limit is still there. One that is gone is to be taken
// out, here and in docs/e2e.md, together with what was done about it.
var probes = map[string]func(*testing.T, *deployment) bool{
	"SSM documents": func(t *testing.T, d *deployment) bool {
		const template = "Resources: {Capture: {Type: AWS::SSM::Document, Properties: {Content: {schemaVersion: '2.2'}}}}\n"
		if err := os.WriteFile(filepath.Join(d.build, "document.yaml"), []byte(template), 0o600); err != nil {
			t.Fatal(err)
		}
		err := d.deploy(t, "document", "document.yaml")
		return err != nil && strings.HasPrefix(err.Error(), "the template does not deploy: ") &&
			strings.Contains(err.Error(), "Unrecognized resource types: [AWS::SSM::Document]") && !strings.Contains(err.Error(), "\n")
	},
	// What is looked for was looked for before it was switched on.
	"Object Lock": func(_ *testing.T, d *deployment) bool { return d.unlocked },
	// On AWS the task fails with the function's error, at once.
	// https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html
	"A callback whose function fails": func(t *testing.T, d *deployment) bool {
		out, _ := d.execute(t, "callback", strings.ReplaceAll(callback, "FUNCTION", d.function(t, "ApprovalFunction")))
		return aws.ToString(out.Error) == "States.Timeout"
	},
	// On AWS the history has the states of branches, too.
	// https://docs.aws.amazon.com/step-functions/latest/apireference/API_GetExecutionHistory.html
	"States inside branches": func(t *testing.T, d *deployment) bool {
		_, entered := d.execute(t, "inside", branches)
		return cmp.Equal([]string{"Both"}, entered)
	},
}

const (
	branches = `{"QueryLanguage": "JSONata", "StartAt": "Both", "States": {"Both": {"Type": "Parallel", "End": true, "Branches": [
		{"StartAt": "Fails", "States": {"Fails": {"Type": "Fail", "Error": "Failed", "Cause": "It fails."}}},
		{"StartAt": "Waits", "States": {"Waits": {"Type": "Wait", "Seconds": 25, "End": true}}}]}}}`
	callback = `{"QueryLanguage": "JSONata", "StartAt": "Asks", "States": {"Asks": {"Type": "Task", "End": true, "TimeoutSeconds": 2,
		"Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "Arguments": {"FunctionName": "FUNCTION", "Payload": {"token": "{% $states.context.Task.Token %}"}}}}}`
)

func limits(t *testing.T, d *deployment) {
	var probed []string
	for name := range probes {
		probed = append(probed, name)
	}
	if diff := cmp.Diff(slices.Sorted(slices.Values(e2e.Limits)), slices.Sorted(slices.Values(probed))); diff != "" {
		t.Errorf("limits (-listed +probed):\n%s", diff)
	}
	for name, still := range probes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if !still(t, d) {
				t.Error("the stand-in can do it now: take this limit out")
			}
		})
	}
}

// lockBucket switches on Object Lock, which the stack asked for.
func (d *deployment) lockBucket(t *testing.T, bucket *string) {
	t.Helper()
	_, err := d.s3.GetObjectLockConfiguration(t.Context(), &s3.GetObjectLockConfigurationInput{Bucket: bucket})
	d.unlocked = err != nil
	if _, err := d.s3.PutObjectLockConfiguration(t.Context(), &s3.PutObjectLockConfigurationInput{
		Bucket: bucket, ObjectLockConfiguration: &s3types.ObjectLockConfiguration{ObjectLockEnabled: s3types.ObjectLockEnabledEnabled},
	}); err != nil {
		t.Fatalf("switch on Object Lock of the evidence bucket: %v", err)
	}
}

// execute runs a definition to its end; entered are the states in its history.
func (d *deployment) execute(t *testing.T, name, definition string) (out *sfn.DescribeExecutionOutput, entered []string) {
	t.Helper()
	if !json.Valid([]byte(definition)) {
		t.Fatalf("%s is no JSON", definition)
	}
	made, err := d.sfn.CreateStateMachine(t.Context(), &sfn.CreateStateMachineInput{Name: &name, Definition: &definition, RoleArn: aws.String("arn:aws:iam::" + account + ":role/" + name)})
	if err != nil {
		t.Fatal(err)
	}
	started, err := d.sfn.StartExecution(t.Context(), &sfn.StartExecutionInput{StateMachineArn: made.StateMachineArn})
	if err != nil {
		t.Fatal(err)
	}
	for out == nil || out.Status == sfntypes.ExecutionStatusRunning {
		time.Sleep(100 * time.Millisecond)
		if out, err = d.sfn.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: started.ExecutionArn}); err != nil {
			t.Fatal(err)
		}
	}
	history, err := d.sfn.GetExecutionHistory(t.Context(), &sfn.GetExecutionHistoryInput{ExecutionArn: started.ExecutionArn})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range history.Events {
		if e.StateEnteredEventDetails != nil {
			entered = append(entered, *e.StateEnteredEventDetails.Name)
		}
	}
	return out, entered
}

// function is the physical name of a function of the stack.
func (d *deployment) function(t *testing.T, id string) string {
	t.Helper()
	var out struct {
		Name string `xml:"DescribeStackResourceResult>StackResourceDetail>PhysicalResourceId"`
	}
	d.query(t, "cloudformation", url.Values{"Action": {"DescribeStackResource"}, "Version": {"2010-05-15"}, "StackName": {stack}, "LogicalResourceId": {id}}, &out)
	if out.Name == "" {
		t.Fatalf("the stack has no %s", id)
	}
	return out.Name
}
