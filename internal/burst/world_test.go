package burst_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/internal/approval"
	"cordon/internal/asl"
	"cordon/internal/authorize"
	closing "cordon/internal/close"
	"cordon/internal/console"
	"cordon/internal/credentials"
	"cordon/internal/custody"
	"cordon/internal/digest"
	"cordon/internal/drift"
	"cordon/internal/enrich"
	"cordon/internal/exposure"
	"cordon/internal/incident"
	"cordon/internal/isolate"
	"cordon/internal/lambdafn"
	"cordon/internal/memory"
	"cordon/internal/notify"
	"cordon/internal/preserve"
	"cordon/internal/release"
	"cordon/internal/sim"
	"cordon/internal/snapshot"
	"cordon/internal/template"
	"cordon/internal/terminate"
	"cordon/internal/vtime"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// mains are what the functions' mains wire up, on clients that reach the account.
var mains = map[string]func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error){
	"approval": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		db := dynamodb.NewFromConfig(cfg)
		return lambdafn.Handle(approval.New(h, sns.NewFromConfig(cfg), kms.NewFromConfig(cfg), sfn.NewFromConfig(cfg), db, db))
	},
	"authorize": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		db := dynamodb.NewFromConfig(cfg)
		return lambdafn.Handle(authorize.New(h, ec2.NewFromConfig(cfg), kms.NewFromConfig(cfg), db, db))
	},
	"close": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(closing.New(h, sns.NewFromConfig(cfg), s3.NewFromConfig(cfg), kms.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"console": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(console.New(h, ec2.NewFromConfig(cfg), s3.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"credentials": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		db := dynamodb.NewFromConfig(cfg)
		return lambdafn.Handle(credentials.New(h, ec2.NewFromConfig(cfg), iam.NewFromConfig(cfg), kms.NewFromConfig(cfg), db, db))
	},
	"custody": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(custody.New(h, ec2.NewFromConfig(cfg), ec2.NewFromConfig(cfg), sts.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"digest": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(digest.New(h, s3.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"drift": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(drift.New(h, cloudtrail.NewFromConfig(cfg), sns.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"exposure": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(exposure.New(h, ec2.NewFromConfig(cfg), ssm.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"enrich": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(enrich.New(h, ec2.NewFromConfig(cfg), s3.NewFromConfig(cfg), ssm.NewFromConfig(cfg), autoscaling.NewFromConfig(cfg), sfn.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"isolate": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(isolate.New(h, ec2.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"memory": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		bucket := s3.NewFromConfig(cfg)
		return lambdafn.Handle(memory.New(h, ec2.NewFromConfig(cfg), ssm.NewFromConfig(cfg), bucket, s3.NewPresignClient(bucket), dynamodb.NewFromConfig(cfg)))
	},
	"notify": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(notify.New(h, sns.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"preserve": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(preserve.New(h, ec2.NewFromConfig(cfg), autoscaling.NewFromConfig(cfg), elbv2.NewFromConfig(cfg), elb.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"release": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		db := dynamodb.NewFromConfig(cfg)
		return lambdafn.Handle(release.New(h, ec2.NewFromConfig(cfg), autoscaling.NewFromConfig(cfg), elbv2.NewFromConfig(cfg), elb.NewFromConfig(cfg), kms.NewFromConfig(cfg), db, db))
	},
	"snapshot": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		return lambdafn.Handle(snapshot.New(h, ec2.NewFromConfig(cfg), dynamodb.NewFromConfig(cfg)))
	},
	"terminate": func(h incident.Host, cfg aws.Config) (lambdafn.Handler, error) {
		db := dynamodb.NewFromConfig(cfg)
		return lambdafn.Handle(terminate.New(h, ec2.NewFromConfig(cfg), kms.NewFromConfig(cfg), db, db))
	},
}

const (
	accountID = "111122223333"
	region    = "us-east-1"

	warm     = 15 * time.Millisecond  // from the call to the first line of a warm function
	cold     = 200 * time.Millisecond // more, in a new environment
	refusing = 20 * time.Millisecond  // until EC2 has said no
)

// start is when the findings arrive.
var start = time.Date(2026, 3, 14, 1, 59, 26, 0, time.UTC)

// options are one run: so many findings at once, each about an instance of its own.
type options struct {
	findings, interfaces, volumes int
	concurrency                   int // invocations that Lambda runs at once
	seed                          uint64
	retryer                       func() aws.Retryer                     // nil: the product's
	change                        func(definition map[string]any)        // nil: the definition as it is
	missing                       []string                               // functions that are not there
	braked                        bool                                   // by the breaker as it is by default
	heard                         func(operation string, told, read any) // of what a client read, beside what the account told; may be nil
}

// world is an account, a stack in it, and the findings that reach it.
type world struct {
	options
	account   *sim.Account
	clock     *vtime.Clock
	done      chan func() // what an invocation that ended wakes
	machine   *asl.Machine
	functions map[string]*function // by ARN

	mu        sync.Mutex // around the account, which is for one at a time
	running   int        // invocations
	buckets   map[string]*bucket
	calls     int            // requests of EC2
	throttled map[string]int // of these, by action
	turned    int            // invocations that Lambda refused
	events    [][]byte
}

// function is a Lambda function: each environment of it runs one invocation at a
// time and has SDK clients of its own.
type function struct {
	name    string
	timeout time.Duration
	make    func() (lambdafn.Handler, error)
	idle    []lambdafn.Handler
}

// Now and Sleep are the account's clock: while a call is under way, others may begin.
func (w *world) Now() time.Time { return time.Now() }

func (w *world) Sleep(d time.Duration) {
	w.mu.Unlock()
	time.Sleep(d)
	w.mu.Lock()
}

// deploy sets up the stack as its template says. It is called inside the bubble.
func deploy(t *testing.T, o options) *world {
	t.Helper()
	time.Sleep(time.Until(start))
	w := &world{options: o, done: make(chan func(), 1<<16), functions: map[string]*function{}, buckets: map[string]*bucket{}, throttled: map[string]int{}, events: o.events(t)}
	parsed, err := template.Parse(cordon.Template)
	if err != nil {
		t.Fatal(err)
	}
	parameters := map[string]string{"NotificationEmail": "oncall@example.com", "MemoryToolKey": "", "MemoryToolSha256": "", "ApprovalHours": "1"}
	if !o.braked {
		parameters["MaxIsolationsPerHour"] = "1000"
	}
	d, err := parsed.Deploy(template.Settings{Account: accountID, Region: region, Stack: "cordon", Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	ref := func(id string) string {
		r, ok := d.Resource(id)
		if !ok {
			t.Fatalf("the template has no %s", id)
		}
		return r.Ref
	}
	w.account, err = sim.Open(sim.Settings{
		Clock: w, Seed: o.seed, Account: accountID, Region: region, Incidents: ref("IncidentsTable"), Decisions: ref("DecisionsTable"),
		Bucket: ref("EvidenceBucket"), Topic: ref("Topic"), DataKey: ref("DataKey"), MACKey: ref("MacKey"),
	}, o.file(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg := lambdafn.Config()
	cfg.HTTPClient = &http.Client{Transport: w}
	if o.heard != nil {
		cfg.APIOptions = append(cfg.APIOptions, listen(o.heard))
	}
	if o.retryer != nil {
		cfg.Retryer = o.retryer
	}
	for _, f := range d.Functions() {
		name := strings.ToLower(strings.TrimSuffix(f.LogicalID, "Function"))
		host := lambdafn.Host()
		host.Getenv = func(key string) string {
			if key == "AWS_REGION" {
				return region
			}
			return f.Environment[key]
		}
		if wire, ok := mains[name]; ok && !slices.Contains(o.missing, name) {
			w.functions[f.ARN] = &function{name: name, timeout: f.Timeout, make: func() (lambdafn.Handler, error) { return wire(host, cfg) }}
		}
	}
	m, ok := d.StateMachine()
	if !ok {
		t.Fatal("the template has no state machine")
	}
	definition, err := template.Substitute(o.definition(t), m.Substitutions)
	if err != nil {
		t.Fatal(err)
	}
	if w.machine, err = asl.Parse(definition); err != nil {
		t.Fatal(err)
	}
	w.clock = vtime.New(0, start)
	w.clock.Idle = w.wait
	return w
}

// run starts an execution for each finding, all at once, and lets them end.
func (w *world) run() []*asl.Execution {
	all := make([]*asl.Execution, w.findings)
	w.clock.Run(func() {
		for n := range all {
			arn := fmt.Sprintf("arn:aws:states:%s:%s:execution:cordon-incident-response:%d", region, accountID, n)
			all[n] = w.machine.Start(&asl.World{Clock: w.clock, Rand: rand.NewPCG(w.seed, uint64(n)), Invoke: w.invoke},
				asl.ExecutionInfo{ID: arn, Name: fmt.Sprint(n), MachineID: "arn", MachineName: "cordon-incident-response"}, w.events[n])
		}
	})
	return all
}

// definition is the state machine, changed where a run is to show what it is worth.
func (o options) definition(t *testing.T) []byte {
	t.Helper()
	if o.change == nil {
		return cordon.Definition
	}
	var d map[string]any
	if err := json.Unmarshal(cordon.Definition, &d); err != nil {
		t.Fatal(err)
	}
	o.change(d)
	b, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// wait is where the machine's clock follows the bubble's: until its next task is
// due, or an invocation ends.
func (w *world) wait() bool {
	for {
		next, due := w.clock.Next()
		if due && !next.After(time.Now()) {
			return false
		}
		var timer <-chan time.Time
		if due {
			timer = time.After(time.Until(next))
		} else if w.clock.Parked() == 0 || w.alive() == 0 {
			return false
		}
		select {
		case wake := <-w.done:
			w.clock.At(time.Now(), wake)
		case <-timer:
			return false
		}
	}
}

func (w *world) alive() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.running + len(w.done)
}

// invoke answers a Task state. Lambda does not know that a state has timed out:
// the invocation goes on to its own end.
func (w *world) invoke(_ context.Context, task asl.Task) (json.RawMessage, error) {
	var a struct {
		FunctionName string
		Payload      json.RawMessage
	}
	if err := json.Unmarshal(task.Arguments, &a); err != nil {
		return nil, err
	}
	var out json.RawMessage
	var err error
	f, ok := w.functions[a.FunctionName]
	if !ok {
		return nil, &asl.Failure{Name: "Lambda.ResourceNotFoundException", Cause: "Function not found: " + a.FunctionName}
	}
	w.clock.Wait(func(wake func()) {
		go func() {
			out, err = w.lambda(f, a.Payload)
			w.done <- wake
		}()
	})
	return out, err
}

// lambda runs a function as Lambda does, if one more may run.
// https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
func (w *world) lambda(f *function, payload []byte) (json.RawMessage, error) {
	time.Sleep(warm)
	w.mu.Lock()
	if w.running >= w.concurrency {
		w.turned++
		w.mu.Unlock()
		return nil, &asl.Failure{Name: "Lambda.TooManyRequestsException", Cause: "Rate Exceeded."}
	}
	w.running++
	var h lambdafn.Handler
	if n := len(f.idle) - 1; n >= 0 {
		h, f.idle = f.idle[n], f.idle[:n]
	}
	w.mu.Unlock()
	defer func() { w.mu.Lock(); w.running--; w.mu.Unlock() }()
	if h == nil {
		time.Sleep(cold)
		var err error
		if h, err = f.make(); err != nil {
			return nil, err
		}
	}
	ctx, end := context.WithTimeout(context.Background(), f.timeout)
	defer end()
	out, err := h(ctx, payload)
	var named messages.InvokeResponse_Error
	switch {
	case ctx.Err() != nil: // the environment is gone with it
		named = messages.InvokeResponse_Error{Type: "Sandbox.Timedout", Message: fmt.Sprintf("Error: Task timed out after %.2f seconds", f.timeout.Seconds())}
	default:
		w.mu.Lock()
		f.idle = append(f.idle, h)
		w.mu.Unlock()
		if err == nil {
			return json.Marshal(map[string]any{"ExecutedVersion": "$LATEST", "Payload": json.RawMessage(out), "StatusCode": 200})
		}
		if !errors.As(err, &named) {
			return nil, err
		}
	}
	cause, err := json.Marshal(map[string]string{"errorMessage": named.Message, "errorType": named.Type})
	if err != nil {
		return nil, err
	}
	return nil, &asl.Failure{Name: named.Type, Cause: string(cause)}
}

// RoundTrip is the network: EC2 takes a token from the action's bucket or refuses.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		if err := r.Body.Close(); err != nil {
			return nil, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if strings.HasPrefix(r.URL.Host, "ec2.") {
		form, err := url.ParseQuery(string(bytes.TrimSpace(body)))
		if err != nil {
			return nil, err
		}
		w.calls++
		if action := form.Get("Action"); !w.take(action) {
			w.throttled[action]++
			w.Sleep(refusing)
			if err := r.Context().Err(); err != nil {
				return nil, err
			}
			return refusedXML(http.StatusServiceUnavailable, "RequestLimitExceeded", "Request limit exceeded."), nil
		}
	}
	answer, err := serve(w.account, r, body)
	if err != nil && r.Context().Err() == nil {
		panic(err) // a call that nobody knows; the SDK would call it a connection that broke
	}
	return answer, err
}
