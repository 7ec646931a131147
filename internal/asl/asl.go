// Package asl runs a state machine definition as it is: Amazon States Language
// with JSONata, on a virtual clock, in a world of the caller's making.
//
// The language is https://states-language.net/; where AWS departs from it, AWS is
// followed (https://docs.aws.amazon.com/step-functions/latest/dg/). What this
// package does not know, it refuses by name: when it parses, with an
// UnsupportedError (JSONPath, distributed maps, unknown fields), or where an
// execution comes to it, in Result.Refused. It never guesses.
//
// A Machine is parsed once and only read afterwards, so that any number of
// executions may share it, each on a clock of its own.
package asl

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"time"

	"cordon/internal/vtime"
)

// Limits of the service. https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html
const (
	MaxPayload  = 262144           // bytes of one input, output, result or variable
	MaxHistory  = 25000            // events; the one that ends the execution is the last of them
	maxDuration = 365 * 24 * 3600  // seconds an execution may run
	maxTimeout  = 99999999         // seconds, the most that TimeoutSeconds may say
	maxStored   = 10 * 1024 * 1024 // bytes of all variables of an execution
	mapWidth    = 40               // iterations of an inline Map side by side
)

// An InvalidError is a definition that Step Functions would not accept.
type InvalidError struct {
	At  string // where, as in States/Wait a while/Seconds
	Why string
}

func (e *InvalidError) Error() string { return "invalid definition at " + e.At + ": " + e.Why }

// An UnsupportedError is a definition that Step Functions may accept and this
// interpreter does not know.
type UnsupportedError struct {
	At   string
	What string
}

func (e *UnsupportedError) Error() string { return "unsupported at " + e.At + ": " + e.What }

// Failure is an error as the language knows it: a name that ErrorEquals matches,
// and a cause for people. Invoke returns one to fail a task by name.
type Failure struct {
	Name  string
	Cause string

	heartbeat bool // matches States.HeartbeatTimeout too
	own       bool // raised by the interpreter, whose cause AWS begins with the state
	bare      bool // of a Fail state without a Cause, of which nobody knows what a catcher is shown
	raised    bool // such a one whose cause begins with the state
	refused   bool // not AWS's failure but a limit of this interpreter
	guess     bool // AWS fails too, but its words for it are not known
}

func (f *Failure) Error() string {
	if f.Cause == "" {
		return f.Name
	}
	return f.Name + ": " + f.Cause
}

// Task is one attempt of a Task state.
type Task struct {
	State     string
	Resource  string
	Arguments json.RawMessage            // null when the state has none and its input is null
	Members   map[string]json.RawMessage // of Arguments, where the definition names them; else nil
	Token     string                     // empty unless Resource ends in .waitForTaskToken
	Attempt   int                        // 0 for the first, counting the retries of this visit of the state
}

// World is what executions run in.
type World struct {
	Clock *vtime.Clock

	// Rand feeds jitter, $random, $uuid and task tokens; Clock.Rand gives one.
	Rand rand.Source

	// Invoke runs an attempt as a task on the clock and returns the result of the
	// task as Step Functions sees it: for arn:aws:states:::lambda:invoke that is
	// {"ExecutedVersion": …, "Payload": …, "StatusCode": …}, which is for Invoke to
	// wrap. For .waitForTaskToken the result is not used; the token's answer is.
	// An error that is not a *Failure fails the task as States.TaskFailed.
	//
	// The context ends at the task's time-out. What is returned after that, or
	// after the state was left for another reason, has no effect. As in AWS, a
	// state that is aborted because another branch failed does not stop what it
	// has invoked.
	Invoke func(ctx context.Context, task Task) (json.RawMessage, error)

	// Moved, when set, is told of each state as it is entered and left.
	Moved func(Move)

	// Recorded, when set, is told of each event of the history, by its type. Those of
	// a Task are named as those of a service integration, whatever the resource.
	Recorded func(event string)

	// Ended, when set, is told of the end of an execution.
	Ended func(Result)
}

// Move is one step of an execution along its states.
type Move struct {
	At      time.Time
	State   string
	Type    string // Task, Choice, …
	Kind    MoveKind
	Attempt int      // of a retry: the attempt that failed, from 0
	Failure *Failure // of a retry, a catch or a failure
	Next    string   // of an exit or a catch: the state that follows, empty at an end
}

// MoveKind says what happened to the state.
type MoveKind string

// The kinds of moves.
const (
	Entered MoveKind = "entered"
	Left    MoveKind = "left"
	Retried MoveKind = "retried"
	Caught  MoveKind = "caught"
	Failed  MoveKind = "failed"
	Aborted MoveKind = "aborted" // another branch failed, or the execution ended
)

// ExecutionInfo is what $states.context says of the execution.
type ExecutionInfo struct {
	ID          string // the ARN
	Name        string
	RoleArn     string
	StartTime   time.Time // the clock's, when zero
	MachineID   string    // the ARN
	MachineName string
}

// Status is that of an execution.
type Status string

// The statuses of an execution.
const (
	Running    Status = "RUNNING"
	Succeeded  Status = "SUCCEEDED"
	FailedRun  Status = "FAILED"
	TimedOut   Status = "TIMED_OUT"
	AbortedRun Status = "ABORTED" // stopped by somebody
)

// Result is what became of an execution.
type Result struct {
	Status     Status
	Output     json.RawMessage // nil unless it succeeded
	Error      string          // as DescribeExecution tells it: none of one that timed out
	Cause      string
	Refused    string  // what ended the execution, where AWS may have gone on: a limit of this interpreter
	History    int     // events, counted as AWS counts them
	MaxPayload int     // bytes of the largest input, output, result or argument
	States     []Visit // in order of entering
}

// Visit is one stay in a state.
type Visit struct {
	State   string
	Type    string
	Entered time.Time
	Left    time.Time // zero while it lasts, and when the execution ended in it
}

// Errors of SendTaskSuccess, SendTaskFailure and SendTaskHeartbeat, by the names
// that Step Functions gives them.
// https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskSuccess.html
var (
	ErrInvalidToken     = tokenError("InvalidToken")     // not given out by this execution
	ErrTaskDoesNotExist = tokenError("TaskDoesNotExist") // its execution has ended
	ErrTaskTimedOut     = tokenError("TaskTimedOut")     // answered, timed out or left
	ErrInvalidOutput    = tokenError("InvalidOutput")    // not JSON, or too long
)

type tokenError string

func (e tokenError) Error() string { return string(e) }

// unexpected turns an error of Invoke into a failure the machine can match.
func unexpected(err error) *Failure {
	return &Failure{Name: "States.TaskFailed", Cause: err.Error()}
}

func invalid(at, why string, args ...any) error {
	return &InvalidError{At: at, Why: fmt.Sprintf(why, args...)}
}

func unsupported(at, what string, args ...any) error {
	return &UnsupportedError{At: at, What: fmt.Sprintf(what, args...)}
}
