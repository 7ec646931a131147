package rehearsal

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"cordon/internal/asl"
	"cordon/internal/sim"

	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
)

// execution is one run of the machine.
type execution struct {
	*asl.Execution
	arn     string
	name    string
	started time.Time
	stopped time.Time
	input   string
}

// begin starts an execution, as a rule does: under a name of its own choosing.
func (w *world) begin(event []byte) {
	b, stream := make([]byte, 16), "execution names"
	if n := len(w.executions); n > 0 {
		stream = fmt.Sprint(stream, n) // of an event that somebody puts on the bus meanwhile
	}
	if _, err := w.stream(stream).Read(b); err != nil {
		panic(err) // a stream of the clock's never ends
	}
	name := hex.EncodeToString(b)
	arn := strings.Replace(w.machineARN, ":stateMachine:", ":execution:", 1) + ":" + name
	e := &execution{arn: arn, name: name, started: w.clock.Now(), input: string(event)}
	w.executions[arn] = e
	w.order = append(w.order, e)
	e.Execution = w.machine.Start(&asl.World{Clock: w.clock, Rand: w.stream("machine"), Invoke: func(_ context.Context, t asl.Task) (json.RawMessage, error) { return w.task(arn, t) }, Moved: w.moved},
		asl.ExecutionInfo{ID: arn, Name: name, MachineID: w.machineARN, MachineName: w.machineARN[strings.LastIndexByte(w.machineARN, ':')+1:]}, event)
	if w.first == nil {
		w.first = e
	}
	w.attend(e)
}

// attend waits for an execution's end, its next one where it is redriven.
func (w *world) attend(e *execution) {
	w.clock.Go(func() {
		e.Wait()
		w.over(e, e.Result())
	})
}

// stop is an operator's, of the newest of these that runs.
func (w *world) stop(of []*execution) {
	for _, e := range slices.Backward(of) {
		if e.Status() == asl.Running {
			e.Stop()
			w.happened["stop"]++
			return
		}
	}
}

// redrive is an operator's, of the newest of these that did not end well. What Step
// Functions would not redrive stays as it is.
func (w *world) redrive(of []*execution) {
	for _, e := range slices.Backward(of) {
		if s := e.Status(); s == asl.Running || s == asl.Succeeded {
			continue
		}
		switch err := e.Redrive(); {
		case err == nil:
			e.stopped = time.Time{}
			w.happened["redrive"]++
			w.attend(e)
		case !errors.Is(err, asl.ErrNotRedrivable):
			w.problem = fmt.Errorf("the rehearsal ends here, at a limit of the interpreter: %w", err)
		}
		return
	}
}

// moved keeps the way through the states.
func (w *world) moved(m asl.Move) {
	if w.Way != nil {
		w.Way(m)
	}
	if m.Kind != asl.Entered {
		return
	}
	w.result.States = append(w.result.States, m.State)
	w.watch(Moment{Kind: Entered, Name: m.State, Again: w.entered[m.State]})
	w.entered[m.State] = true
}

// over is what AWS tells of an execution that ended: an event that rules match.
// https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
func (w *world) over(e *execution, r asl.Result) {
	e.stopped = w.clock.Now()
	event, err := json.Marshal(map[string]any{
		"version": "0", "id": e.name, "source": "aws.states", "detail-type": "Step Functions Execution Status Change",
		"account": w.number, "region": w.region, "time": e.stopped.UTC().Format(time.RFC3339), "resources": []string{e.arn},
		"detail": map[string]any{
			"executionArn": e.arn, "stateMachineArn": w.machineARN, "name": e.name, "status": r.Status,
			"startDate": e.started.UnixMilli(), "stopDate": e.stopped.UnixMilli(), "input": e.input, "error": r.Error, "cause": r.Cause,
		},
	})
	if err != nil {
		panic(err) // strings and numbers only
	}
	w.deliver(event)
}

// answer brings a decision to the execution whose token it is.
func (w *world) answer(token, output string) error {
	err := error(asl.ErrInvalidToken)
	for _, arn := range sortedKeys(w.executions) {
		if err = w.executions[arn].SendTaskSuccess(token, json.RawMessage(output)); !errors.Is(err, asl.ErrInvalidToken) {
			break
		}
	}
	switch {
	case errors.Is(err, asl.ErrInvalidToken):
		return sim.ErrTokenInvalid
	case errors.Is(err, asl.ErrTaskTimedOut):
		return sim.ErrTaskTimedOut
	}
	return err
}

// describe is what DescribeExecution tells.
func (w *world) describe(arn string) (sim.Execution, bool) {
	e, ok := w.executions[arn]
	if !ok {
		return sim.Execution{}, false
	}
	r := e.Result()
	return sim.Execution{
		Machine: w.machineARN, Name: e.name, Status: sfntypes.ExecutionStatus(r.Status), Started: e.started, Stopped: e.stopped,
		Input: e.input, Output: string(r.Output), Error: r.Error, Cause: r.Cause,
	}, true
}
