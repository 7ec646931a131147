package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Host runs what an agent is told to run.
type Host interface {
	// Runs says whether there is such an instance, running.
	Runs(ctx context.Context, instance string) (bool, error)
	// Hears says whether the agent of an instance that runs reaches SSM.
	Hears(ctx context.Context, instance string) (bool, error)
	// Run runs a script on an instance to its end.
	Run(ctx context.Context, instance, script string) (output string, exit int, err error)
}

// SSM is Run Command, as far as the functions call it. What it does not know it
// refuses. The sources are beside each action.
type SSM struct {
	Host Host

	mu        sync.Mutex
	documents map[string]document
	agents    []string // instances that have one
	commands  []*command
	running   sync.WaitGroup
}

// document is one of schema 2.2 with a single shell script.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
type document struct {
	SchemaVersion string
	Parameters    map[string]struct {
		Type, AllowedPattern string
		Default              *string
	}
	MainSteps []struct {
		Action string
		Inputs struct {
			TimeoutSeconds string
			RunCommand     []string
		}
	}
}

type command struct {
	id, document, comment, instance string
	parameters                      map[string][]string
	requested                       time.Time
	delivery                        time.Duration
	status, details, output         string
	exit                            int
	began, ended                    time.Time
	cancel                          context.CancelFunc
}

// AddDocument adds a document, as the template has its content.
func (s *SSM) AddDocument(name string, content []byte) error {
	var d document
	if err := json.Unmarshal(content, &d); err != nil {
		return fmt.Errorf("document %s: %w", name, err)
	}
	if d.SchemaVersion != "2.2" || len(d.MainSteps) != 1 || d.MainSteps[0].Action != "aws:runShellScript" {
		return fmt.Errorf("document %s: only schema 2.2 with one step aws:runShellScript is known", name)
	}
	for _, p := range sortedKeys(d.Parameters) {
		if _, err := regexp.Compile(d.Parameters[p].AllowedPattern); err != nil {
			return fmt.Errorf("document %s: parameter %s: %w", name, p, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.documents == nil {
		s.documents = map[string]document{}
	}
	s.documents[name] = d
	return nil
}

// AddAgent gives an instance an agent.
func (s *SSM) AddAgent(instance string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agents = append(s.agents, instance)
}

// Close ends what still runs on hosts, and waits for it.
func (s *SSM) Close() {
	s.mu.Lock()
	for _, c := range s.commands {
		c.cancel()
	}
	s.mu.Unlock()
	s.running.Wait()
}

func (s *SSM) serve(ctx context.Context, action string, body []byte) (any, error) {
	switch action {
	case "DescribeInstanceInformation":
		return take(ctx, body, s.describe)
	case "DescribeSessions":
		return take(ctx, body, s.sessions)
	case "SendCommand":
		return take(ctx, body, s.send)
	case "GetCommandInvocation":
		return take(ctx, body, s.get)
	case "ListCommands":
		return take(ctx, body, s.list)
	case "CancelCommand":
		return take(ctx, body, s.cancel)
	}
	return nil, refused("UnknownOperationException", "%s is not known here", action)
}

// take reads the input of an action. A field that is not known here is refused,
// rather than to be answered as if it were not there.
func take[I any](ctx context.Context, body []byte, do func(context.Context, I) (any, error)) (any, error) {
	var in I
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil {
		return nil, refused("SerializationException", "%v", err)
	}
	return do(ctx, in)
}

func invalid(format string, args ...any) error {
	return refused("ValidationException", "1 validation error detected: "+format, args...)
}

type filter struct {
	Key    string
	Values []string
}

// describe lists the instances that have an agent.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
func (s *SSM) describe(ctx context.Context, in struct {
	Filters    []filter
	MaxResults *int
	NextToken  string
},
) (any, error) {
	if n := in.MaxResults; n != nil && (*n < 5 || *n > 50) {
		return nil, invalid("Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value between 5 and 50", *n)
	}
	if in.NextToken != "" {
		return nil, refused("InvalidNextToken", "The specified token isn't valid.")
	}
	type information struct {
		InstanceId, PingStatus, PlatformType string
		LastPingDateTime                     float64
	}
	out := []information{}
	s.mu.Lock()
	agents := slices.Clone(s.agents)
	s.mu.Unlock()
	for _, id := range agents {
		keep := true
		for _, f := range in.Filters {
			if f.Key != "InstanceIds" || len(f.Values) == 0 {
				return nil, refused("InvalidFilterKey", "The specified key isn't valid.")
			}
			keep = keep && slices.Contains(f.Values, id)
		}
		if keep {
			out = append(out, information{InstanceId: id, PingStatus: "Online", PlatformType: "Linux", LastPingDateTime: epoch(time.Now())})
		}
	}
	return map[string]any{"InstanceInformationList": out}, nil
}

// sessions lists the sessions of an instance, of which there are none here.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html
func (s *SSM) sessions(_ context.Context, in struct {
	State      string
	Filters    []struct{ Key, Value string } // in lower case on the wire; JSON does not mind
	MaxResults *int
	NextToken  string
},
) (any, error) {
	if in.State != "Active" && in.State != "History" {
		return nil, invalid("Value '%s' at 'state' failed to satisfy constraint: Member must satisfy enum value set: [Active, History]", in.State)
	}
	if n := in.MaxResults; n != nil && (*n < 1 || *n > 200) {
		return nil, invalid("Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and 200", *n)
	}
	if in.NextToken != "" {
		return nil, refused("InvalidNextToken", "The specified token isn't valid.")
	}
	for _, f := range in.Filters {
		if f.Key != "Target" {
			return nil, refused("InvalidFilterKey", "The specified key isn't valid.")
		}
	}
	return map[string]any{"Sessions": []any{}}, nil
}

func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

type sendInput struct {
	DocumentName   string
	InstanceIds    []string
	Comment        string
	TimeoutSeconds *int
	Parameters     map[string][]string
}

// send takes a command for one instance. Sent twice it runs twice.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
func (s *SSM) send(ctx context.Context, in sendInput) (any, error) {
	if in.DocumentName == "" {
		return nil, invalid("Value null at 'documentName' failed to satisfy constraint: Member must not be null")
	}
	s.mu.Lock()
	d, known := s.documents[in.DocumentName]
	s.mu.Unlock()
	if !known {
		return nil, refused("InvalidDocument", "Document with name %s does not exist.", in.DocumentName)
	}
	if len(in.InstanceIds) != 1 {
		return nil, refused("InvalidInstanceId", "this stand-in takes commands for one instance")
	}
	if len(in.Comment) > 100 {
		return nil, invalid("Value at 'comment' failed to satisfy constraint: Member must have length less than or equal to 100")
	}
	delivery := 3600
	if in.TimeoutSeconds != nil {
		if delivery = *in.TimeoutSeconds; delivery < 30 || delivery > 2_592_000 {
			return nil, invalid("Value '%d' at 'timeoutSeconds' failed to satisfy constraint: Member must have value between 30 and 2592000", delivery)
		}
	}
	id := in.InstanceIds[0]
	running, err := s.Host.Runs(ctx, id)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	agent := slices.Contains(s.agents, id)
	s.mu.Unlock()
	if !running || !agent {
		return nil, refused("InvalidInstanceId", "Instances [[%s]] not in a valid state for account", id)
	}
	script, execution, err := d.fill(in.Parameters)
	if err != nil {
		return nil, err
	}
	live, stop := context.WithTimeout(context.WithoutCancel(ctx), execution)
	c := &command{
		id: commandID(), document: in.DocumentName, comment: in.Comment, instance: id, parameters: in.Parameters,
		requested: time.Now(), delivery: time.Duration(delivery) * time.Second, status: "Pending", details: "Pending", exit: -1, cancel: stop,
	}
	s.mu.Lock()
	s.commands = append(s.commands, c)
	s.mu.Unlock()
	s.running.Go(func() { s.run(live, c, script) })
	return map[string]any{"Command": c.told()}, nil
}

// fill puts parameters into the document's script.
func (d document) fill(given map[string][]string) (string, time.Duration, error) {
	values := map[string]string{}
	for _, name := range sortedKeys(d.Parameters) {
		p := d.Parameters[name]
		v, ok := given[name]
		switch {
		case !ok && p.Default != nil:
			v = []string{*p.Default}
		case len(v) != 1:
			return "", 0, refused("InvalidParameters", "Parameter %s must be provided once", name)
		}
		if !regexp.MustCompile(p.AllowedPattern).MatchString(v[0]) {
			return "", 0, refused("InvalidParameters", "Parameter %s does not match its allowedPattern %s", name, p.AllowedPattern)
		}
		values[name] = v[0]
	}
	for _, name := range sortedKeys(given) {
		if _, ok := d.Parameters[name]; !ok {
			return "", 0, refused("InvalidParameters", "Parameter %s is not defined in the document", name)
		}
	}
	put := func(text string) string {
		for name, v := range values {
			text = strings.ReplaceAll(text, "{{ "+name+" }}", v)
		}
		return text
	}
	step := d.MainSteps[0].Inputs
	seconds, err := strconv.Atoi(put(step.TimeoutSeconds))
	if err != nil || seconds < 1 || seconds > 172_800 {
		return "", 0, refused("InvalidParameters", "timeoutSeconds %q is not a number of seconds up to 172800", put(step.TimeoutSeconds))
	}
	return put(strings.Join(step.RunCommand, "\n")), time.Duration(seconds) * time.Second, nil
}

func commandID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// run brings a command to its host and runs it there. A host that is not heard
// of gets it when it is, or never.
func (s *SSM) run(ctx context.Context, c *command, script string) {
	defer c.cancel()
	for {
		hears, err := s.Host.Hears(ctx, c.instance)
		switch {
		case err != nil || ctx.Err() != nil:
			s.end(c, ctx, "", -1, err)
			return
		case time.Since(c.requested) > c.delivery:
			s.set(c, "TimedOut", "Delivery Timed Out")
			return
		case !hears:
			s.set(c, "Delayed", "Delayed")
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
			continue
		}
		break
	}
	s.set(c, "InProgress", "In Progress")
	output, exit, err := s.Host.Run(ctx, c.instance, script)
	s.end(c, ctx, output, exit, err)
}

func (s *SSM) set(c *command, status, details string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.began.IsZero() && status == "InProgress" {
		c.began = time.Now()
	}
	c.status, c.details = status, details
}

// end notes how a command ended.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/monitor-commands.html
func (s *SSM) end(c *command, ctx context.Context, output string, exit int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.ended, c.output, c.exit = time.Now(), output, exit
	switch {
	case ctx.Err() == context.Canceled:
		c.status, c.details = "Cancelled", "Cancelled"
	case ctx.Err() == context.DeadlineExceeded:
		c.status, c.details = "TimedOut", "Execution Timed Out"
	case err != nil:
		c.status, c.details, c.output = "Failed", "Failed", err.Error()
	case exit != 0:
		c.status, c.details = "Failed", "Failed"
	default:
		c.status, c.details = "Success", "Success"
	}
}

// told is a command as SendCommand and ListCommands tell it.
func (c *command) told() map[string]any {
	status := c.status
	if status == "Delayed" { // only invocations are
		status = "Pending"
	}
	return map[string]any{
		"CommandId": c.id, "DocumentName": c.document, "Comment": c.comment, "InstanceIds": []string{c.instance}, "Parameters": c.parameters,
		"RequestedDateTime": epoch(c.requested), "Status": status, "StatusDetails": c.details, "TimeoutSeconds": int(c.delivery / time.Second), "TargetCount": 1,
	}
}

// consistent is how long SSM does not know of a command that it took: Run
// Command is eventually consistent.
const consistent = 300 * time.Millisecond

// find is a command; nil if SSM does not know it, or not yet.
func (s *SSM) find(id string) *command {
	for _, c := range s.commands {
		if c.id == id && time.Since(c.requested) > consistent {
			return c
		}
	}
	return nil
}

// get tells how a command is on its host. While it runs there is no output.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
func (s *SSM) get(_ context.Context, in struct{ CommandId, InstanceId string }) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.find(in.CommandId)
	if c == nil || c.instance != in.InstanceId {
		return nil, refused("InvocationDoesNotExist", "")
	}
	out := map[string]any{
		"CommandId": c.id, "InstanceId": c.instance, "Comment": c.comment, "DocumentName": c.document, "Status": c.status, "StatusDetails": c.details,
		"ResponseCode": c.exit, "StandardOutputContent": "", "StandardErrorContent": "", "ExecutionStartDateTime": "", "ExecutionEndDateTime": "",
	}
	if !c.began.IsZero() {
		out["ExecutionStartDateTime"] = stamp(c.began.UTC())
	}
	if !c.ended.IsZero() {
		out["ExecutionEndDateTime"] = stamp(c.ended.UTC())
		out["StandardOutputContent"] = c.output[:min(len(c.output), 24_000)]
	}
	return out, nil
}

// list lists commands, newest first.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommands.html
func (s *SSM) list(_ context.Context, in struct {
	Filters    []struct{ Key, Value string } // in lower case on the wire; JSON does not mind
	MaxResults *int
	NextToken  string
},
) (any, error) {
	if n := in.MaxResults; n != nil && (*n < 1 || *n > 50) {
		return nil, invalid("Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and 50", *n)
	}
	if in.NextToken != "" {
		return nil, refused("InvalidNextToken", "The specified token isn't valid.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []any{}
	for _, c := range slices.Backward(s.commands) {
		keep := time.Since(c.requested) > consistent
		for _, f := range in.Filters {
			switch f.Key {
			case "DocumentName":
				keep = keep && c.document == f.Value
			case "InvokedAfter":
				at, err := time.Parse(time.RFC3339, f.Value)
				if err != nil {
					return nil, invalid("%q is not a time", f.Value)
				}
				keep = keep && !c.requested.Before(at)
			default:
				return nil, refused("InvalidFilterKey", "The specified key isn't valid.")
			}
		}
		if keep {
			out = append(out, c.told())
		}
	}
	return map[string]any{"Commands": out}, nil
}

// cancel tries to end a command; one that is over stays as it ended.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CancelCommand.html
func (s *SSM) cancel(_ context.Context, in struct {
	CommandId   string
	InstanceIds []string
},
) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.find(in.CommandId); c == nil {
		return nil, refused("InvalidCommandId", "")
	} else if len(in.InstanceIds) > 0 && !slices.Contains(in.InstanceIds, c.instance) {
		return nil, refused("InvalidInstanceId", "the command was not sent there")
	} else {
		c.cancel()
	}
	return struct{}{}, nil
}

// HasAgent says whether an instance was given an agent.
func (s *SSM) HasAgent(instance string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.agents, instance)
}
