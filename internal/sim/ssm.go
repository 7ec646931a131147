package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
	"github.com/aws/smithy-go"
)

// SSM is Run Command and the agents it commands. The hosts have no task of
// their own: whenever SSM is asked, they do what they would have done by then.
type SSM struct {
	a         *Account
	agents    []*types.InstanceInformation
	documents map[string]*Document
	commands  []*command
	host      hostQuirks

	parameters []*types.Parameter
	sessions   []*types.Session
}

// hostQuirks are the keys of the account file's Behaviour about a host that
// runs the capture. What is not set is as on a common Linux host.
type hostQuirks struct {
	agentLostAfter int    // AgentLostAfterSeconds: of the capture, then the agent is heard of no more; 0 never
	lockdown       string // Lockdown: "confidentiality" keeps the tool from reading memory
	noCurl         bool   // NoCurl: the host lacks curl
	memoryGiB      int    // MemoryGiB: of the host, where it is not its type's
	throughput     int    // ThroughputMiBps: bytes read, hashed and sent; 0 is 80
	partAltered    int    // PartAltered: number of a part that arrives altered
}

// systems are those that a document's one step may be for, by its action, as the
// agent calls them: it skips a step that is for another.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/documents-schemas-features.html
var systems = map[string]types.PlatformType{
	"aws:runShellScript":      types.PlatformTypeLinux,
	"aws:runPowerShellScript": types.PlatformTypeWindows,
}

// Document is what SSM knows of a document: its parameters, and its one step.
type Document struct {
	SchemaVersion string
	Parameters    map[string]struct {
		AllowedPattern string
		Default        *string
	}
	MainSteps []struct {
		Action, Name string
		Inputs       struct{ TimeoutSeconds string }
		Precondition struct{ StringEquals []string }
	}
	patterns map[string]*regexp.Regexp
}

func newSSM(a *Account) *SSM { return &SSM{a: a, documents: map[string]*Document{}} }

// ReadDocument reads a document's content, which is JSON.
func ReadDocument(content []byte) (*Document, error) {
	d := &Document{patterns: map[string]*regexp.Regexp{}}
	if err := json.Unmarshal(content, d); err != nil {
		return nil, err
	}
	if d.SchemaVersion != "2.2" || len(d.MainSteps) != 1 || systems[d.MainSteps[0].Action] == "" {
		return nil, errors.New("the simulation knows documents of schema 2.2 with one step aws:runShellScript or aws:runPowerShellScript")
	}
	if c := d.MainSteps[0].Precondition.StringEquals; c != nil && !slices.Equal(c, []string{"platformType", string(systems[d.MainSteps[0].Action])}) {
		return nil, errors.New("the simulation knows a precondition only on the platformType that its step is for")
	}
	for _, n := range sortedKeys(d.Parameters) {
		pattern, err := regexp.Compile(d.Parameters[n].AllowedPattern)
		if err != nil {
			return nil, fmt.Errorf("parameter %s: %w", n, err)
		}
		d.patterns[n] = pattern
	}
	return d, nil
}

// AddDocument adds the document that the stack's template makes. It is only read.
func (s *SSM) AddDocument(name string, d *Document) { s.documents[name] = d }

func (s *SSM) sections() []section {
	return []section{kept("InstanceInformationList", &s.agents), kept("Parameters", &s.parameters), kept("Sessions", &s.sessions)}
}

func (s *SSM) behaviours() []section {
	return []section{
		optional("AgentLostAfterSeconds", &s.host.agentLostAfter),
		optional("Lockdown", &s.host.lockdown),
		optional("NoCurl", &s.host.noCurl),
		optional("MemoryGiB", &s.host.memoryGiB),
		optional("ThroughputMiBps", &s.host.throughput),
		optional("PartAltered", &s.host.partAltered),
	}
}

// command is one command for one instance.
type command struct {
	types.Command
	instance  string
	step      string             // of its document
	system    types.PlatformType // that the step is for
	status    types.CommandInvocationStatus
	details   string
	output    string
	exit      int32
	delivery  time.Duration
	execution time.Duration
	began     time.Time // on the host; zero before
	ended     time.Time
	silent    bool // its agent is not heard of
	host      *hostRun
}

func (c *command) over() bool { return !c.ended.IsZero() }

func (c *command) end(at time.Time, s types.CommandInvocationStatus, details string, exit int32) {
	c.ended, c.status, c.details, c.exit = at, s, details, exit
}

// invokeSSM makes a call; the hosts have done by then what they do.
// A stale read does not know the newest command.
func invokeSSM[I, O any](ctx context.Context, s *SSM, op operation, in *I, effect func(*I) (*O, error)) (*O, error) {
	op.service = "ssm"
	return invoke(ctx, s.a, op, in, func(in *I, stale bool) (*O, error) {
		s.pass()
		if all := s.commands; stale && len(all) > 0 {
			s.commands = all[:len(all)-1]
			defer func() { s.commands = all }()
		}
		return effect(in)
	})
}

func isNoValue(format string, args ...any) error {
	return &smithy.GenericAPIError{Code: "ValidationException", Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}

// ssmPage cuts a list as SSM does: the token is a position.
func ssmPage[T any](all []T, most *int32, limit int, token *string) (page []T, next *string, err error) {
	from := 0
	if token != nil {
		if from, err = strconv.Atoi(*token); err != nil || from < 0 || from > len(all) {
			return nil, nil, &types.InvalidNextToken{Message: aws.String("The specified token isn't valid.")}
		}
	}
	to := min(from+int(cmp.Or(aws.ToInt32(most), int32(limit))), len(all))
	if to < len(all) {
		next = aws.String(strconv.Itoa(to))
	}
	return all[from:to], next, nil
}

// DescribeSessions tells of sessions that are open, or were.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html
func (s *SSM) DescribeSessions(ctx context.Context, in *ssm.DescribeSessionsInput, _ ...func(*ssm.Options)) (*ssm.DescribeSessionsOutput, error) {
	return invokeSSM(ctx, s, operation{action: "DescribeSessions", needs: []string{"State"}, takes: []string{"Filters", "MaxResults", "NextToken"}}, in,
		func(in *ssm.DescribeSessionsInput) (*ssm.DescribeSessionsOutput, error) {
			var all []types.Session
			for _, x := range s.sessions {
				ended := x.Status == types.SessionStatusTerminated || x.Status == types.SessionStatusTerminating || x.Status == types.SessionStatusFailed
				keep := ended == (in.State == types.SessionStateHistory)
				for _, f := range in.Filters {
					if f.Key != types.SessionFilterKeyTargetId {
						return nil, unknown("ssm", "DescribeSessions", "filter "+string(f.Key))
					}
					keep = keep && aws.ToString(x.Target) == aws.ToString(f.Value)
				}
				if keep {
					all = append(all, *x)
				}
			}
			page, next, err := ssmPage(all, in.MaxResults, 10, in.NextToken)
			if err != nil {
				return nil, err
			}
			return &ssm.DescribeSessionsOutput{Sessions: page, NextToken: next}, nil
		})
}

// DescribeInstanceInformation tells which agents there are. An instance without
// one is not in the list; Online is what was true some minutes ago.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeInstanceInformation.html
func (s *SSM) DescribeInstanceInformation(ctx context.Context, in *ssm.DescribeInstanceInformationInput, _ ...func(*ssm.Options)) (*ssm.DescribeInstanceInformationOutput, error) {
	return invokeSSM(ctx, s, operation{action: "DescribeInstanceInformation", takes: []string{"Filters", "MaxResults", "NextToken"}}, in, s.describeInstanceInformation)
}

func (s *SSM) describeInstanceInformation(in *ssm.DescribeInstanceInformationInput) (*ssm.DescribeInstanceInformationOutput, error) {
	if n := in.MaxResults; n != nil && (*n < 5 || *n > 50) {
		return nil, isNoValue("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value between 5 and 50", *n)
	}
	var all []types.InstanceInformation
	for _, i := range s.agents {
		keep := true
		for _, f := range in.Filters {
			switch aws.ToString(f.Key) {
			case "InstanceIds":
				keep = keep && slices.Contains(f.Values, aws.ToString(i.InstanceId))
			case "PingStatus":
				keep = keep && slices.Contains(f.Values, string(ping(i)))
			default:
				return nil, &types.InvalidFilterKey{}
			}
		}
		if keep {
			told := *i
			told.PingStatus = ping(i)
			all = append(all, told)
		}
	}
	page, next, err := ssmPage(all, in.MaxResults, 10, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &ssm.DescribeInstanceInformationOutput{InstanceInformationList: page, NextToken: next}, nil
}

func ping(i *types.InstanceInformation) types.PingStatus {
	return cmp.Or(i.PingStatus, types.PingStatusOnline)
}

// SendCommand takes a command for an instance that has an agent, reachable or
// not. There is no client token: sent twice, it runs twice.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html
func (s *SSM) SendCommand(ctx context.Context, in *ssm.SendCommandInput, _ ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	return invokeSSM(ctx, s, operation{
		action: "SendCommand", mutating: true, resources: append(slices.Clone(in.InstanceIds), aws.ToString(in.DocumentName)),
		needs: []string{"DocumentName"}, takes: []string{"InstanceIds", "Comment", "Parameters", "TimeoutSeconds"},
	}, in, s.sendCommand)
}

func (s *SSM) sendCommand(in *ssm.SendCommandInput) (*ssm.SendCommandOutput, error) {
	d, ok := s.documents[*in.DocumentName]
	if !ok {
		return nil, &types.InvalidDocument{Message: aws.String("Document with name " + *in.DocumentName + " does not exist.")}
	}
	if len(in.InstanceIds) != 1 {
		return nil, unknown("ssm", "SendCommand", "more or less than one instance")
	}
	if len(aws.ToString(in.Comment)) > 100 {
		return nil, isNoValue("1 validation error detected: Value at 'comment' failed to satisfy constraint: Member must have length less than or equal to 100")
	}
	delivery := int32(3600)
	if in.TimeoutSeconds != nil {
		if delivery = *in.TimeoutSeconds; delivery < 30 || delivery > 2_592_000 {
			return nil, isNoValue("1 validation error detected: Value '%d' at 'timeoutSeconds' failed to satisfy constraint: Member must have value between 30 and 2592000", delivery)
		}
	}
	id := in.InstanceIds[0]
	if !s.managed(id) {
		return nil, &types.InvalidInstanceId{Message: aws.String("Instances [[" + id + "]] not in a valid state for account " + s.a.account())}
	}
	given := map[string]string{}
	for _, name := range sortedKeys(d.Parameters) {
		v, ok := in.Parameters[name]
		switch def := d.Parameters[name].Default; {
		case !ok && def != nil:
			given[name] = *def
		case len(v) != 1:
			return nil, &types.InvalidParameters{Message: aws.String("Parameter " + name + " must be provided once")}
		case !d.patterns[name].MatchString(v[0]):
			return nil, &types.InvalidParameters{Message: aws.String("Parameter " + name + " does not match its allowedPattern " + d.Parameters[name].AllowedPattern)}
		default:
			given[name] = v[0]
		}
	}
	for _, name := range sortedKeys(in.Parameters) {
		if _, ok := d.Parameters[name]; !ok {
			return nil, &types.InvalidParameters{Message: aws.String("Parameter " + name + " is not defined in the document")}
		}
	}
	execution := d.MainSteps[0].Inputs.TimeoutSeconds
	if name, ok := strings.CutPrefix(execution, "{{"); ok {
		execution = given[strings.TrimSpace(strings.TrimSuffix(name, "}}"))]
	}
	seconds, err := strconv.Atoi(cmp.Or(execution, "3600"))
	if err != nil || seconds > 172_800 {
		return nil, &types.InvalidParameters{Message: aws.String("timeoutSeconds " + execution + " is not a number of seconds up to 172800")}
	}

	now := s.a.now()
	t := s.a.token("command", len(s.commands)+1)
	c := &command{
		instance: id, status: types.CommandInvocationStatusPending, details: "Pending", exit: -1,
		delivery: time.Duration(delivery) * time.Second, execution: time.Duration(seconds) * time.Second,
		Command: types.Command{
			CommandId:    aws.String(t[:8] + "-" + t[8:12] + "-" + t[12:16] + "-" + t[16:20] + "-" + t[20:32]),
			DocumentName: in.DocumentName, Comment: in.Comment, InstanceIds: []string{id}, Parameters: in.Parameters,
			RequestedDateTime: aws.Time(now), TimeoutSeconds: &delivery, TargetCount: 1,
		},
	}
	c.host = &hostRun{s: s, c: c, given: given}
	c.step, c.system = d.MainSteps[0].Name, systems[d.MainSteps[0].Action]
	s.commands = append(s.commands, c)
	return &ssm.SendCommandOutput{Command: c.told()}, nil
}

// system is what an instance's agent says it runs on; where the account file does
// not tell, what EC2 says.
func (s *SSM) system(id string) types.PlatformType {
	for _, a := range s.agents {
		if aws.ToString(a.InstanceId) == id && a.PlatformType != "" {
			return a.PlatformType
		}
	}
	if i := s.a.ec2.instance(id); i != nil && strings.EqualFold(string(i.Platform), "windows") {
		return types.PlatformTypeWindows
	}
	return types.PlatformTypeLinux
}

// managed tells whether an instance takes commands: it has an agent, and is not gone.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_SendCommand.html#API_SendCommand_Errors
func (s *SSM) managed(id string) bool {
	if i := s.a.ec2.instance(id); i == nil || i.State != nil && (i.State.Name == "terminated" || i.State.Name == "shutting-down") {
		return false
	}
	return slices.ContainsFunc(s.agents, func(i *types.InstanceInformation) bool { return aws.ToString(i.InstanceId) == id })
}

// told is the command as ListCommands tells it, whose states are fewer.
func (c *command) told() *types.Command {
	out := c.Command
	out.StatusDetails = aws.String(c.details)
	switch c.status {
	case types.CommandInvocationStatusDelayed:
		out.Status = types.CommandStatusPending
	default:
		out.Status = types.CommandStatus(c.status)
	}
	return &out
}

// consistent is how long SSM may not know of a command it took.
const consistent = time.Second

func (s *SSM) command(id, instance *string) *command {
	for _, c := range s.commands {
		if *c.CommandId == aws.ToString(id) && (instance == nil || c.instance == *instance) {
			return c
		}
	}
	return nil
}

// GetCommandInvocation tells how a command is. Just after sending it does not
// know it; while it runs there is no output.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetCommandInvocation.html
func (s *SSM) GetCommandInvocation(ctx context.Context, in *ssm.GetCommandInvocationInput, _ ...func(*ssm.Options)) (*ssm.GetCommandInvocationOutput, error) {
	return invokeSSM(ctx, s, operation{
		action: "GetCommandInvocation", resources: []string{aws.ToString(in.CommandId), aws.ToString(in.InstanceId)},
		needs: []string{"CommandId", "InstanceId"},
	}, in, s.getCommandInvocation)
}

func (s *SSM) getCommandInvocation(in *ssm.GetCommandInvocationInput) (*ssm.GetCommandInvocationOutput, error) {
	c := s.command(in.CommandId, in.InstanceId)
	if c == nil || s.a.now().Before(c.RequestedDateTime.Add(consistent)) {
		return nil, &types.InvocationDoesNotExist{}
	}
	out := &ssm.GetCommandInvocationOutput{
		CommandId: c.CommandId, InstanceId: &c.instance, Comment: c.Comment, DocumentName: c.DocumentName, Status: c.status, StatusDetails: &c.details,
		ResponseCode: c.exit, StandardOutputContent: aws.String(""), StandardErrorContent: aws.String(""), ExecutionStartDateTime: aws.String(""), ExecutionEndDateTime: aws.String(""),
	}
	if !c.began.IsZero() {
		out.ExecutionStartDateTime = aws.String(c.began.UTC().Format("2006-01-02T15:04:05.000Z"))
	}
	if c.over() {
		out.ExecutionEndDateTime = aws.String(c.ended.UTC().Format("2006-01-02T15:04:05.000Z"))
		out.StandardOutputContent = aws.String(c.output[:min(len(c.output), 24_000)])
	}
	return out, nil
}

// ListCommands lists commands, newest first. Asked for those of an instance, it
// leaves out what has not reached it yet.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_ListCommands.html
func (s *SSM) ListCommands(ctx context.Context, in *ssm.ListCommandsInput, _ ...func(*ssm.Options)) (*ssm.ListCommandsOutput, error) {
	return invokeSSM(ctx, s, operation{
		action: "ListCommands", resources: []string{aws.ToString(in.CommandId), aws.ToString(in.InstanceId)},
		takes: []string{"CommandId", "InstanceId", "Filters", "MaxResults", "NextToken"},
	}, in, s.listCommands)
}

func (s *SSM) listCommands(in *ssm.ListCommandsInput) (*ssm.ListCommandsOutput, error) {
	if n := in.MaxResults; n != nil && (*n < 1 || *n > 50) {
		return nil, isNoValue("1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and 50", *n)
	}
	var all []types.Command
	for _, c := range slices.Backward(s.commands) {
		if s.a.now().Before(c.RequestedDateTime.Add(consistent)) || in.CommandId != nil && *in.CommandId != *c.CommandId ||
			in.InstanceId != nil && (*in.InstanceId != c.instance || c.began.IsZero() && !c.over()) {
			continue
		}
		keep, err := c.matches(in.Filters)
		if err != nil {
			return nil, err
		}
		if keep {
			all = append(all, *c.told())
		}
	}
	page, next, err := ssmPage(all, in.MaxResults, 50, in.NextToken)
	if err != nil {
		return nil, err
	}
	return &ssm.ListCommandsOutput{Commands: page, NextToken: next}, nil
}

func (c *command) matches(filters []types.CommandFilter) (bool, error) {
	for _, f := range filters {
		v := aws.ToString(f.Value)
		switch f.Key {
		case types.CommandFilterKeyDocumentName:
			if v != *c.DocumentName {
				return false, nil
			}
		case types.CommandFilterKeyInvokedAfter, types.CommandFilterKeyInvokedBefore:
			at, err := time.Parse(time.RFC3339, v)
			if err != nil {
				return false, isNoValue("%s: %q is not a time", f.Key, v)
			}
			if after := !c.RequestedDateTime.Before(at); after != (f.Key == types.CommandFilterKeyInvokedAfter) {
				return false, nil
			}
		default:
			return false, &types.InvalidFilterKey{}
		}
	}
	return true, nil
}

// CancelCommand tries to end a command. An agent that is not heard of does not
// hear it; a command that is over stays as it ended.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_CancelCommand.html
func (s *SSM) CancelCommand(ctx context.Context, in *ssm.CancelCommandInput, _ ...func(*ssm.Options)) (*ssm.CancelCommandOutput, error) {
	return invokeSSM(ctx, s, operation{
		action: "CancelCommand", mutating: true, resources: append(slices.Clone(in.InstanceIds), aws.ToString(in.CommandId)),
		needs: []string{"CommandId"}, takes: []string{"InstanceIds"},
	}, in, s.cancelCommand)
}

func (s *SSM) cancelCommand(in *ssm.CancelCommandInput) (*ssm.CancelCommandOutput, error) {
	c := s.command(in.CommandId, nil)
	if c == nil {
		return nil, &types.InvalidCommandId{}
	}
	if len(in.InstanceIds) > 0 && !slices.Contains(in.InstanceIds, c.instance) {
		return nil, &types.InvalidInstanceId{Message: aws.String("the command was not sent there")}
	}
	switch {
	case c.over():
	case c.began.IsZero() || !c.silent:
		c.end(s.a.now(), types.CommandInvocationStatusCancelled, "Cancelled", -1)
	default:
		c.status, c.details = types.CommandInvocationStatusCancelling, "Cancelling"
	}
	return &ssm.CancelCommandOutput{}, nil
}

// startDelay is how long a command takes to reach an agent that is heard of.
const startDelay = 2 * time.Second

// pass lets the hosts do what they have done by now. Whether one can reach its
// endpoints is looked at now: what it did since the last look counts only if it
// still can.
func (s *SSM) pass() {
	now := s.a.now()
	for _, c := range s.commands {
		if c.over() {
			continue
		}
		heard := s.managed(c.instance) && s.hears(c.instance)
		if c.began.IsZero() {
			arrives := c.RequestedDateTime.Add(startDelay)
			switch {
			case heard && !now.Before(arrives):
				c.began, c.status, c.details = arrives, types.CommandInvocationStatusInProgress, "In Progress"
				c.host.at = arrives
				// As the agent does it: skipped is no failure.
				// https://github.com/aws/amazon-ssm-agent/blob/mainline/agent/framework/runpluginutil/run.go
				if is := s.system(c.instance); is != c.system {
					c.output = fmt.Sprintf("Step execution skipped due to unsatisfied preconditions: '\"StringEquals\": [platformType, %s]'. Step name: %s", c.system, c.step)
					c.end(arrives, types.CommandInvocationStatusSuccess, "Success", 0)
					continue
				}
			case !now.Before(c.RequestedDateTime.Add(c.delivery)):
				c.end(c.RequestedDateTime.Add(c.delivery), types.CommandInvocationStatusTimedOut, "Delivery Timed Out", -1)
				continue
			case !heard:
				c.status, c.details = types.CommandInvocationStatusDelayed, "Delayed"
				continue
			default:
				continue
			}
		}
		end := c.began.Add(c.execution)
		limit, lost := earlier(now, end), false
		if n := s.host.agentLostAfter; n > 0 {
			if at := c.began.Add(time.Duration(n) * time.Second); at.Before(now) {
				limit, lost = earlier(limit, at), true
			}
		}
		if heard {
			c.host.run(limit)
		}
		c.silent = lost || !heard
		if !c.over() && !now.Before(end) {
			c.end(end, types.CommandInvocationStatusTimedOut, "Execution Timed Out", -1)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
