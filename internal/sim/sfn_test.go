package sim_test

import (
	"errors"
	"strings"
	"testing"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
func TestSendTaskSuccess(t *testing.T) {
	waiting := map[string]error{"waits": nil, "over": sim.ErrTaskTimedOut, "gone": sim.ErrTaskGone, "forged": sim.ErrTokenInvalid}
	for _, tt := range []struct{ name, token, output, code string }{
		{"delivered", "waits", `{"decision":"keep"}`, ""},
		{"after the time-out", "over", `{}`, "TaskTimedOut"},
		{"after the execution", "gone", `{}`, "TaskDoesNotExist"},
		{"another's token", "forged", `{}`, "InvalidToken"},
		{"no token", "", `{}`, "InvalidToken"},
		{"a token of more than 2048 characters", strings.Repeat("x", 2049), `{}`, "InvalidToken"},
		{"output that is not JSON", "waits", `keep`, "InvalidOutput"},
		{"output of more than 256 KB", "waits", `"` + strings.Repeat("x", 262143) + `"`, "InvalidOutput"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := services(t).SFN()
			delivered := ""
			s.OnSuccess = func(token, output string) error {
				if err := waiting[token]; err != nil {
					return err
				}
				delivered = output
				return nil
			}
			_, err := s.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: &tt.token, Output: &tt.output})
			if tt.code != "" {
				wantCode(t, err, tt.code, "")
				if delivered != "" {
					t.Errorf("delivered %s", delivered)
				}
				return
			}
			if err != nil || delivered != tt.output {
				t.Errorf("delivered %q, %v", delivered, err)
			}
		})
	}
}

// Whoever runs the machine and set no hook has no task and no execution.
func TestNothingRuns(t *testing.T) {
	s := services(t).SFN()
	_, err := s.SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: aws.String("x"), Output: aws.String("{}")})
	wantCode(t, err, "TaskDoesNotExist", "")
	_, err = s.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: aws.String("x")})
	wantCode(t, err, "TaskDoesNotExist", "")
	_, err = s.SendTaskHeartbeat(t.Context(), &sfn.SendTaskHeartbeatInput{TaskToken: aws.String("x")})
	wantCode(t, err, "TaskDoesNotExist", "")
}

// https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html
func TestSendTaskFailure(t *testing.T) {
	s := services(t).SFN()
	var got []string
	s.OnFailure = func(token, name, cause string) error {
		got = []string{token, name, cause}
		return nil
	}
	_, err := s.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: aws.String("t"), Error: aws.String(strings.Repeat("x", 257))})
	wantCode(t, err, "ValidationException", "")
	if got != nil {
		t.Errorf("delivered %v", got)
	}
	_, err = s.SendTaskFailure(t.Context(), &sfn.SendTaskFailureInput{TaskToken: aws.String("t"), Error: aws.String("E"), Cause: aws.String("c")})
	if err != nil || strings.Join(got, " ") != "t E c" {
		t.Errorf("delivered %v, %v", got, err)
	}
}

// https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
func TestDescribeExecution(t *testing.T) {
	s := services(t).SFN()
	arn := "arn:aws:states:eu-west-1:123456789012:execution:machine:one"
	s.Execution = func(a string) (sim.Execution, bool) {
		return sim.Execution{Status: types.ExecutionStatusRunning, Input: "{}"}, a == arn
	}
	out, err := s.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: &arn})
	if err != nil || out.Status != types.ExecutionStatusRunning || out.StopDate != nil || out.Output != nil {
		t.Errorf("a running execution: %+v, %v", out, err)
	}
	_, err = s.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String(arn + "x")})
	var missing *types.ExecutionDoesNotExist
	if !errors.As(err, &missing) {
		t.Errorf("error is %v, want ExecutionDoesNotExist", err)
	}
	_, err = s.DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String("one")})
	wantCode(t, err, "InvalidArn", "")
}
