package sim

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// What a hook of SFN answers about a task token.
var (
	ErrTaskGone     = errors.New("no task waits under this token") // TaskDoesNotExist
	ErrTaskTimedOut = errors.New("the task is over")               // TaskTimedOut
	ErrTokenInvalid = errors.New("not a token of ours")            // InvalidToken
)

// SFN hands what is sent to a waiting task on to whoever runs the machine. A
// hook that is not set knows no task and no execution. A hook runs in the middle
// of a call: it must not sleep.
type SFN struct {
	a *Account
	// OnSuccess, OnFailure and OnHeartbeat answer with one of the errors above, or nil.
	OnSuccess   func(token, output string) error
	OnFailure   func(token, name, cause string) error
	OnHeartbeat func(token string) error
	// Execution finds an execution by its ARN.
	Execution func(arn string) (Execution, bool)
}

func newSFN(a *Account) *SFN { return &SFN{a: a} }

// Execution is what DescribeExecution tells of one.
type Execution struct {
	Machine string // ARN
	Name    string
	Status  types.ExecutionStatus
	Input   string // JSON
	Output  string // JSON, where it succeeded
	Error   string
	Cause   string
	Started time.Time
	Stopped time.Time // zero while it runs
}

// deliver gives a token to a hook and turns its answer into Step Functions'.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
func deliver(token string, hook func() error) error {
	if token == "" || len(token) > 2048 {
		return &types.InvalidToken{Message: aws.String("Invalid token")}
	}
	switch err := hook(); {
	case errors.Is(err, ErrTaskGone):
		return &types.TaskDoesNotExist{Message: aws.String("Task does not exist anymore")}
	case errors.Is(err, ErrTaskTimedOut):
		return &types.TaskTimedOut{Message: aws.String("Task Timed Out: 'Provided task does not exist anymore'")}
	case errors.Is(err, ErrTokenInvalid):
		return &types.InvalidToken{Message: aws.String("Invalid Token: 'Invalid token'")}
	default:
		return err
	}
}

// SendTaskSuccess ends a waiting task well.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
func (s *SFN) SendTaskSuccess(ctx context.Context, in *sfn.SendTaskSuccessInput, _ ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "sfn", action: "SendTaskSuccess", mutating: true, resources: nil,
		needs: []string{"TaskToken", "Output"},
	}, in, s.sendTaskSuccess)
}

func (s *SFN) sendTaskSuccess(in *sfn.SendTaskSuccessInput, _ bool) (*sfn.SendTaskSuccessOutput, error) {
	if len(*in.Output) > 262144 || !json.Valid([]byte(*in.Output)) {
		return nil, &types.InvalidOutput{Message: aws.String("Invalid Output: 'The output is not JSON, or longer than 262144 bytes'")}
	}
	return &sfn.SendTaskSuccessOutput{}, deliver(*in.TaskToken, func() error {
		if s.OnSuccess == nil {
			return ErrTaskGone
		}
		return s.OnSuccess(*in.TaskToken, *in.Output)
	})
}

// SendTaskFailure ends a waiting task with an error.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html
func (s *SFN) SendTaskFailure(ctx context.Context, in *sfn.SendTaskFailureInput, _ ...func(*sfn.Options)) (*sfn.SendTaskFailureOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "sfn", action: "SendTaskFailure", mutating: true, resources: nil,
		needs: []string{"TaskToken"},
		takes: []string{"Error", "Cause"},
	}, in, s.sendTaskFailure)
}

func (s *SFN) sendTaskFailure(in *sfn.SendTaskFailureInput, _ bool) (*sfn.SendTaskFailureOutput, error) {
	if len(aws.ToString(in.Error)) > 256 || len(aws.ToString(in.Cause)) > 32768 {
		return nil, &types.ValidationException{Message: aws.String("error may have 256 characters, cause 32768")}
	}
	return &sfn.SendTaskFailureOutput{}, deliver(*in.TaskToken, func() error {
		if s.OnFailure == nil {
			return ErrTaskGone
		}
		return s.OnFailure(*in.TaskToken, aws.ToString(in.Error), aws.ToString(in.Cause))
	})
}

// SendTaskHeartbeat keeps a waiting task waiting.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskHeartbeat.html
func (s *SFN) SendTaskHeartbeat(ctx context.Context, in *sfn.SendTaskHeartbeatInput, _ ...func(*sfn.Options)) (*sfn.SendTaskHeartbeatOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "sfn", action: "SendTaskHeartbeat", mutating: true, resources: nil,
		needs: []string{"TaskToken"},
	}, in, s.sendTaskHeartbeat)
}

func (s *SFN) sendTaskHeartbeat(in *sfn.SendTaskHeartbeatInput, _ bool) (*sfn.SendTaskHeartbeatOutput, error) {
	return &sfn.SendTaskHeartbeatOutput{}, deliver(*in.TaskToken, func() error {
		if s.OnHeartbeat == nil {
			return ErrTaskGone
		}
		return s.OnHeartbeat(*in.TaskToken)
	})
}

// DescribeExecution tells of an execution. It is eventually consistent: one that
// has just ended may still run.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
func (s *SFN) DescribeExecution(ctx context.Context, in *sfn.DescribeExecutionInput, _ ...func(*sfn.Options)) (*sfn.DescribeExecutionOutput, error) {
	return invoke(ctx, s.a, operation{
		service: "sfn", action: "DescribeExecution", resources: []string{aws.ToString(in.ExecutionArn)},
		needs: []string{"ExecutionArn"},
	}, in, s.describeExecution)
}

func (s *SFN) describeExecution(in *sfn.DescribeExecutionInput, stale bool) (*sfn.DescribeExecutionOutput, error) {
	arn := *in.ExecutionArn
	if parts := strings.Split(arn, ":"); len(parts) != 8 || parts[0] != "arn" || parts[2] != "states" || parts[5] != "execution" {
		return nil, &types.InvalidArn{Message: aws.String("Invalid Arn: 'Invalid ARN prefix: " + arn + "'")}
	}
	var e Execution
	ok := false
	if s.Execution != nil {
		e, ok = s.Execution(arn)
	}
	if !ok {
		return nil, &types.ExecutionDoesNotExist{Message: aws.String("Execution Does Not Exist: '" + arn + "'")}
	}
	if stale && !e.Stopped.IsZero() {
		e.Status, e.Stopped, e.Output, e.Error, e.Cause = types.ExecutionStatusRunning, time.Time{}, "", "", ""
	}
	out := &sfn.DescribeExecutionOutput{ExecutionArn: &arn, StateMachineArn: &e.Machine, Name: &e.Name, Status: e.Status, StartDate: &e.Started, Input: &e.Input}
	if !e.Stopped.IsZero() {
		out.StopDate = &e.Stopped
	}
	for _, f := range []struct {
		from string
		to   **string
	}{{e.Output, &out.Output}, {e.Error, &out.Error}, {e.Cause, &out.Cause}} {
		if f.from != "" {
			*f.to = &f.from
		}
	}
	return out, nil
}
