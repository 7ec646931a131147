package rehearsal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"cordon/internal/asl"
	"cordon/internal/lambdafn"
	"cordon/internal/sim"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// warm is what it takes from the call to the first line of a warm function.
const warm = 15 * time.Millisecond

// function is a Lambda function: a step in the environment the template gives it.
type function struct {
	name    string
	timeout time.Duration
	run     lambdafn.Handler
}

// task answers a Task state as the optimized integration does, whose result is
// the Lambda API's answer with the payload parsed.
// https://docs.aws.amazon.com/step-functions/latest/dg/connect-lambda.html
//
// Lambda does not know that a state has timed out: the invocation goes on to its
// own end, beside the state's retry. So it does not run under the state's context.
func (w *world) task(execution string, t asl.Task) (json.RawMessage, error) {
	var name string
	if err := json.Unmarshal(t.Members["FunctionName"], &name); err != nil {
		return nil, &asl.Failure{Name: "States.Runtime", Cause: "FunctionName: " + err.Error()}
	}
	if t.Token != "" {
		w.tokens = append(w.tokens, t.Token)
	}
	f, ok := w.byARN[name]
	if !ok {
		return nil, &asl.Failure{Name: "Lambda.ResourceNotFoundException", Cause: "Function not found: " + name}
	}
	out, err := w.invoke(context.Background(), f, execution, t.Members["Payload"])
	if err != nil {
		return nil, err
	}
	return slices.Concat([]byte(`{"ExecutedVersion":"$LATEST","Payload":`), out, []byte(`,"StatusCode":200}`)), nil
}

// invoke runs a function as Lambda does: within its time-out, and with nothing
// of it left once it was killed. Every error is an *asl.Failure. The execution is the
// one whose task it is; empty if it is none's.
func (w *world) invoke(ctx context.Context, f *function, execution string, payload []byte) ([]byte, error) {
	w.clock.Sleep(warm)
	ctx, end := w.clock.Deadline(ctx, w.clock.Now().Add(f.timeout))
	defer end()
	killed := false
	ctx = sim.WithInvocation(ctx, &sim.Invocation{Function: f.name, Execution: execution, Began: w.clock.Now(), Kill: func() { killed = true; end() }})

	out, err := f.run(ctx, payload)
	var named messages.InvokeResponse_Error
	switch {
	case killed:
		named = messages.InvokeResponse_Error{Type: "Runtime.ExitError", Message: "Error: Runtime exited with error: signal: killed"}
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		named = messages.InvokeResponse_Error{Type: "Sandbox.Timedout", Message: fmt.Sprintf("Error: Task timed out after %.2f seconds", f.timeout.Seconds())}
	case err == nil:
		w.said = append(w.said, out)
		w.noteStep(f.name, out, nil)
		return out, nil
	case !errors.As(err, &named):
		named = messages.InvokeResponse_Error{Type: "Unnamed", Message: err.Error()}
	}
	w.noteStep(f.name, nil, &named)
	cause, err := json.Marshal(map[string]string{"errorMessage": named.Message, "errorType": named.Type})
	if err != nil {
		return nil, err
	}
	w.said = append(w.said, cause)
	return nil, &asl.Failure{Name: named.Type, Cause: string(cause)}
}

// noteStep keeps how a step's newest invocation ended.
func (w *world) noteStep(name string, out []byte, failed *messages.InvokeResponse_Error) {
	done := StepDone{Status: "ok"}
	if failed != nil {
		done = StepDone{Status: "failed", Reason: failed.Type + ": " + failed.Message}
	} else {
		// Every step's output embeds a report; enrich's, whose verdict has a
		// reason of its own, has it as a member.
		var o struct {
			StepDone
			Report StepDone `json:"report"`
		}
		if json.Unmarshal(out, &o) == nil && o.Status+o.Report.Status != "" {
			done = o.StepDone
			if o.Report.Status != "" {
				done = o.Report
			}
		}
	}
	w.result.Steps[name] = done
	w.watch(Moment{Kind: Stepped, Name: name, Detail: done.Status, Reason: done.Reason})
	w.letters()
}
