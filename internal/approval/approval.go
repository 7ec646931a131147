// Package approval asks people for a decision, reminds them, and tells others when
// they do not answer. The link it mails belongs to the
// request, which stands in the record; every task of the state machine that
// waits for the decision brings a new token, which is put behind the same link.
package approval

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/message"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// SNS is the part of the SNS API this step calls.
type SNS interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
}

// KMS is the part of the KMS API this step calls. It decrypts what was encrypted
// for purpose=link only.
type KMS interface {
	Encrypt(context.Context, *kms.EncryptInput, ...func(*kms.Options)) (*kms.EncryptOutput, error)
	Decrypt(context.Context, *kms.DecryptInput, ...func(*kms.Options)) (*kms.DecryptOutput, error)
}

// SFN is the part of the Step Functions API this step calls.
type SFN interface {
	SendTaskSuccess(context.Context, *sfn.SendTaskSuccessInput, ...func(*sfn.Options)) (*sfn.SendTaskSuccessOutput, error)
}

// Incidents is the part of DynamoDB this step calls on the incidents table.
type Incidents interface {
	record.Getter
	record.Putter
	record.Updater
}

// Decisions is the part of DynamoDB this step calls on the decisions table.
type Decisions interface {
	record.Getter
}

const (
	// stepName is this step's key in the record: the instance, for the page to show.
	stepName = "approval"
	// secretBytes is twice the 128 bits below which a secret could be guessed.
	secretBytes = 32
)

// Step asks.
type Step struct {
	host      incident.Host
	sns       SNS
	kms       KMS
	sfn       SFN
	incidents Incidents
	decisions Decisions
	language  message.Language
	valid     time.Duration // how long a request waits

	incidentsTable, decisionsTable, topic, key, api string
	escalation                                      string // topic; empty where nobody is to be told
	asked                                           string // mail address of who has the link
	signIn                                          bool   // people are known by Verified Access, not by a link's secret
	two                                             bool   // people must decide on a termination
}

// New reads INCIDENTS_TABLE, DECISIONS_TABLE, TOPIC_ARN, DATA_KEY_ID, LANGUAGE,
// APPROVAL_HOURS, API_URL, APPROVAL_IDENTITY, APPROVERS_FOR_TERMINATION and
// ASKED_EMAIL; ESCALATION_TOPIC_ARN where ESCALATION_EMAIL is not empty.
func New(host incident.Host, sns SNS, kms KMS, sfn SFN, incidents Incidents, decisions Decisions) (*Step, error) {
	s := &Step{host: host, sns: sns, kms: kms, sfn: sfn, incidents: incidents, decisions: decisions}
	var code, identity string
	for _, setting := range []struct {
		name string
		to   *string
	}{
		{"INCIDENTS_TABLE", &s.incidentsTable},
		{"DECISIONS_TABLE", &s.decisionsTable},
		{"TOPIC_ARN", &s.topic},
		{"DATA_KEY_ID", &s.key},
		{"API_URL", &s.api},
		{"LANGUAGE", &code},
		{"APPROVAL_IDENTITY", &identity},
		{"ASKED_EMAIL", &s.asked},
	} {
		v, err := host.Setting(setting.name)
		if err != nil {
			return nil, err
		}
		*setting.to = v
	}
	s.api = strings.TrimRight(s.api, "/")
	if host.Getenv("ESCALATION_EMAIL") != "" {
		topic, err := host.Setting("ESCALATION_TOPIC_ARN")
		if err != nil {
			return nil, err
		}
		s.escalation = topic
	}
	hours, err := host.Number("APPROVAL_HOURS")
	if err != nil {
		return nil, err
	}
	s.valid = time.Duration(hours * float64(time.Hour))
	if s.signIn, err = incident.SignIn(identity); err != nil {
		return nil, fmt.Errorf("environment variable APPROVAL_IDENTITY: %w", err)
	}
	approvers, err := host.Number("APPROVERS_FOR_TERMINATION")
	if err != nil {
		return nil, err
	}
	if s.two, err = incident.Two(approvers); err != nil {
		return nil, fmt.Errorf("environment variable APPROVERS_FOR_TERMINATION: %w", err)
	}
	if s.language, err = message.In(code); err != nil {
		return nil, fmt.Errorf("environment variable LANGUAGE: %w", err)
	}
	return s, nil
}

// Input is the task that waits for a decision.
type Input struct {
	Incident   incident.Incident   `json:"incident"`
	Execution  string              `json:"execution"` // ARN of the execution that asks
	Instance   incident.Instance   `json:"instance"`
	Protection incident.Protection `json:"protection"`
	Round      int                 `json:"round"`   // which request of the incident, from 1
	Problem    incident.Problem    `json:"problem"` // why the last decision was not carried out; empty where none was made
	Before     string              `json:"before"`  // why people are asked before anything is isolated; empty where it is
	Later      string              `json:"later"`   // how it stands, where people are asked once more about what nobody works on; empty otherwise
	Back       bool                `json:"back"`    // it was released in part, and only another release is asked about
	Token      string              `json:"token"`   // of the waiting task: a credential; empty in a reminding call
	Remind     bool                `json:"remind"`  // nothing waits: look for a decision, remind people, tell others
}

// Output says whether people were asked. The state machine waits for the token
// and never sees it, except of a reminding call.
type Output struct {
	incident.Report
	Over bool `json:"over"` // nobody need wait: a decision stands that the waiting task has not got, or another execution has the incident
	Wait int  `json:"wait"` // seconds until the next reminding call
}

func said(r incident.Report) Output { return Output{Report: r} }

// Run is safe to repeat: there is one request a round, with one secret; the
// newest token is behind it; and who was mailed is not mailed again.
//
// The token is replaced before a standing decision is looked for, and the page
// reads the token after it recorded one: so one of the two always delivers.
//
// Its error wraps incident.ErrSuperseded where another execution has the incident
// by now. Two share a round only if the one that lost the incident opened the
// request after the other had counted the rounds, and so after it had taken the
// incident over. That is why whose it is is looked at after the request was opened
// and before anything else is done with it: whoever lost it puts no token behind
// the link, takes back no decision and mails nobody.
func (s *Step) Run(ctx context.Context, in Input) (Output, error) {
	if in.Incident.ID == "" || in.Execution == "" || (in.Token == "") != in.Remind || in.Round < 1 {
		return Output{}, fmt.Errorf("ask about incident %q, round %d: want an incident, an execution, a round from 1, and a task token unless it is to remind", in.Incident.ID, in.Round)
	}
	if in.Remind {
		return s.remind(ctx, in)
	}
	request, secret, err := s.open(ctx, in)
	if err != nil {
		return Output{}, fmt.Errorf("open request %d of incident %s: %w", in.Round, in.Incident.ID, err)
	}
	if ours, err := s.owns(ctx, in); err != nil {
		return Output{}, err
	} else if !ours {
		return Output{}, superseded(in)
	}
	if request.Execution != "" && request.Execution != in.Execution && request.MailedAt.IsZero() {
		if request, secret, err = s.take(ctx, in, request.Execution); err != nil {
			return Output{}, fmt.Errorf("open request %d of incident %s in another's place: %w", in.Round, in.Incident.ID, err)
		}
	}
	if in.Round > 1 && (in.Later == "" || in.Problem != (incident.Problem{})) {
		// What was decided before was not carried out: steps that look for a
		// standing release must not find it. Asked later, what was decided before
		// stands until somebody decides again.
		err := record.WithdrawDecision(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Execution)
		if errors.Is(err, record.ErrTaken) {
			return Output{}, superseded(in)
		}
		if err != nil {
			return Output{}, fmt.Errorf("take back the note of the last decision: %w", err)
		}
	}
	token, err := s.encrypt(ctx, "token", in, []byte(in.Token))
	if err != nil {
		return Output{}, fmt.Errorf("encrypt the task token: %w", err)
	}
	if err := record.ReplaceToken(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Round, token); err != nil {
		return Output{}, fmt.Errorf("put the new token behind the link: %w", err)
	}
	standing, decided, err := record.LoadDecision(ctx, s.decisions, s.decisionsTable, in.Incident.ID, in.Round)
	if err != nil {
		return Output{}, fmt.Errorf("look for a standing decision: %w", err)
	}
	if decided {
		return s.answer(ctx, in, standing)
	}
	switch {
	case !request.MailedAt.IsZero():
		return said(incident.Report{Status: incident.OK}), nil
	case !s.host.Now().Before(request.ExpiresAt):
		return said(incident.Report{Status: incident.Skipped, Reason: "the request has expired"}), nil
	}
	return s.mail(ctx, in, request, secret)
}

// open makes the request of this round, or finds it. Its secret comes back
// only if it is the one just made.
func (s *Step) open(ctx context.Context, in Input) (record.Request, string, error) {
	standing, found, err := record.LoadRequest(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Round)
	if err != nil || found {
		return standing, "", err
	}
	ours, secret, err := s.draw(ctx, in)
	if err != nil {
		return record.Request{}, "", err
	}
	request, err := record.OpenRequest(ctx, s.incidents, s.incidentsTable, ours)
	if err != nil || request.SecretHash != ours.SecretHash {
		return request, "", err
	}
	return request, secret, nil
}

// take opens the request anew where it is another execution's: what that one asked
// may be another question. Nobody was mailed its link.
func (s *Step) take(ctx context.Context, in Input, from string) (record.Request, string, error) {
	ours, secret, err := s.draw(ctx, in)
	if err != nil {
		return record.Request{}, "", err
	}
	request, err := record.TakeRequest(ctx, s.incidents, s.incidentsTable, ours, from)
	if err != nil || request.SecretHash != ours.SecretHash {
		return request, "", err
	}
	return request, secret, nil
}

// owns tells whether the incident is still this execution's.
func (s *Step) owns(ctx context.Context, in Input) (bool, error) {
	h, err := record.LoadHead(ctx, s.incidents, s.incidentsTable, in.Incident.ID)
	if err != nil {
		return false, fmt.Errorf("look whose incident %s is: %w", in.Incident.ID, err)
	}
	return h.Execution == in.Execution, nil
}

func superseded(in Input) error {
	return fmt.Errorf("ask about incident %s: another execution has it by now: %w", in.Incident.ID, incident.ErrSuperseded)
}

// draw makes a request with a secret of its own; nothing has it yet.
func (s *Step) draw(ctx context.Context, in Input) (record.Request, string, error) {
	// Shown on the page; written before there is a link to it.
	if err := record.SaveStep(ctx, s.incidents, s.incidentsTable, in.Incident.ID, stepName, in.Instance); err != nil {
		return record.Request{}, "", err
	}
	random := make([]byte, secretBytes)
	if _, err := io.ReadFull(s.host.Rand, random); err != nil {
		return record.Request{}, "", fmt.Errorf("draw a secret: %w", err)
	}
	secret := base64.RawURLEncoding.EncodeToString(random)
	sealed, err := s.encrypt(ctx, "link", in, []byte(secret))
	if err != nil {
		return record.Request{}, "", fmt.Errorf("encrypt the link's secret: %w", err)
	}
	earlier, err := s.earlier(ctx, in)
	if err != nil {
		return record.Request{}, "", err
	}
	hash := sha256.Sum256([]byte(secret))
	now := s.host.Now()
	ours := record.Request{
		Incident: in.Incident.ID, Round: in.Round, Execution: in.Execution, SecretHash: hex.EncodeToString(hash[:]), Secret: sealed,
		OpenedAt: now, ExpiresAt: now.Add(s.valid), Problem: s.language.Problem(in.Problem), Before: in.Before,
		Later: in.Later, Back: in.Back, Incomplete: in.Problem.Error == string(incident.ErrEvidence), Earlier: earlier,
	}
	return ours, secret, nil
}

// earlier is what was decided on the requests before this one: the page, which
// may not read decisions, shows it.
func (s *Step) earlier(ctx context.Context, in Input) ([]record.Earlier, error) {
	if in.Round == 1 {
		return []record.Earlier{}, nil
	}
	last, _, err := record.LoadRequest(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Round-1)
	if err != nil {
		return nil, err
	}
	d, decided, err := record.LoadDecision(ctx, s.decisions, s.decisionsTable, in.Incident.ID, in.Round-1)
	if err != nil {
		return nil, fmt.Errorf("look for the last decision: %w", err)
	}
	firsts, err := s.firsts(ctx, in.Incident.ID, in.Round-1)
	if err != nil {
		return nil, err
	}
	all := append([]record.Earlier{}, last.Earlier...)
	for _, f := range firsts {
		e := record.OfFirst(f)
		if decided && d.First == f.Mark() {
			e.Part = incident.FirstOfTwo
		}
		all = append(all, e)
	}
	if decided {
		e := record.Earlier{Round: d.Round, Choice: d.Chosen(), Person: d.Person, At: d.DecidedAt}
		if d.First != "" {
			e.Part = incident.Second
		}
		all = append(all, e)
	}
	return all, nil
}

// firsts are the decisions of first people on a request, where two must decide.
func (s *Step) firsts(ctx context.Context, id string, round int) ([]incident.Decision, error) {
	if !s.two {
		return nil, nil
	}
	all, err := record.LoadFirsts(ctx, s.decisions, s.decisionsTable, id, round)
	if err != nil {
		return nil, fmt.Errorf("look for the decisions of first people: %w", err)
	}
	return all, nil
}

// result is what the waiting task gets.
type result struct {
	Decision incident.Choice `json:"decision"`
	Round    int             `json:"round"`
}

// answer delivers a decision that stands. authorize verifies it before anybody acts on it.
func (s *Step) answer(ctx context.Context, in Input, d incident.Decision) (Output, error) {
	output, err := json.Marshal(result{Decision: d.Choice, Round: d.Round})
	if err != nil {
		return Output{}, fmt.Errorf("encode the decision: %w", err)
	}
	text := string(output)
	_, err = s.sfn.SendTaskSuccess(ctx, &sfn.SendTaskSuccessInput{TaskToken: &in.Token, Output: &text})
	var over *sfntypes.TaskTimedOut
	if err != nil && !errors.As(err, &over) { // over: it was delivered, and the answer was lost
		return Output{}, fmt.Errorf("deliver the standing decision: %w", err)
	}
	return said(incident.Report{Status: incident.OK}), nil
}

func (s *Step) mail(ctx context.Context, in Input, request record.Request, secret string) (Output, error) {
	if secret == "" {
		var err error
		if secret, err = s.decrypt(ctx, in, request.Secret); err != nil {
			return Output{}, fmt.Errorf("decrypt the link's secret: %w", err)
		}
	}
	now := s.host.Now()
	letter := s.letter(in, request, now)
	letter.Kind, letter.Link, letter.Problem = message.Asked, s.link(request, secret), in.Problem
	switch {
	case in.Before != "":
		letter.Kind = message.AskedBefore
	case in.Later != "":
		letter.Kind = message.AskedLater
	case in.Problem != (incident.Problem{}):
		letter.Kind = message.AskedAgain
	}
	if err := s.publish(ctx, s.topic, letter); err != nil {
		return Output{}, fmt.Errorf("mail the link: %w", err)
	}
	if err := record.NoteMailed(ctx, s.incidents, s.incidentsTable, in.Incident.ID, in.Round, now); err != nil {
		return Output{}, fmt.Errorf("note that the link was mailed: %w", err)
	}
	return said(incident.Report{Status: incident.OK}), nil
}

// purpose ties a ciphertext to its use and its request: one for another
// purpose, incident or round does not decrypt.
func purpose(what string, in Input) map[string]string {
	return map[string]string{"purpose": what, "incident": in.Incident.ID, "round": strconv.Itoa(in.Round)}
}

func (s *Step) encrypt(ctx context.Context, what string, in Input, plain []byte) ([]byte, error) {
	out, err := s.kms.Encrypt(ctx, &kms.EncryptInput{KeyId: &s.key, Plaintext: plain, EncryptionContext: purpose(what, in)})
	if err != nil {
		return nil, err
	}
	return out.CiphertextBlob, nil
}

func (s *Step) decrypt(ctx context.Context, in Input, sealed []byte) (string, error) {
	out, err := s.kms.Decrypt(ctx, &kms.DecryptInput{KeyId: &s.key, CiphertextBlob: sealed, EncryptionContext: purpose("link", in)})
	if err != nil {
		return "", err
	}
	return string(out.Plaintext), nil
}
