package record

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Request is one request for a decision. The link belongs to it; the task
// token behind the link is replaced whenever the machine asks anew.
type Request struct {
	Incident   string    `json:"incident"`
	Round      int       `json:"round"`      // from 1
	SecretHash string    `json:"secretHash"` // SHA-256 of the link's secret, hex
	Secret     []byte    `json:"secret"`     // encrypted, context purpose=link: only approval may read it
	OpenedAt   time.Time `json:"openedAt"`
	Problem    string    `json:"problem"`    // why it is asked again; empty the first time
	Before     string    `json:"before"`     // why it is asked before anything is isolated; empty where the instance is isolated
	Later      string    `json:"later"`      // how the incident stood when people were asked once more; empty while an execution worked on it
	Back       bool      `json:"back"`       // it was released and not everything came back: it is about another release alone
	Incomplete bool      `json:"incomplete"` // a termination was refused because evidence is not complete, so that one without it is offered
	Earlier    []Earlier `json:"earlier"`    // what was decided on the requests before, the oldest first
	ExpiresAt  time.Time `json:"expiresAt"`  // no decision after it
	Execution  string    `json:"-"`          // ARN of the one that asks
	Token      []byte    `json:"-"`          // task token, encrypted, context purpose=token
	MailedAt   time.Time `json:"-"`          // zero until the mail was accepted

	Firsts []Earlier `json:"-"` // decisions of first people that wait for a second, as people were told of them

	Reminders   int       `json:"-"` // how many were due when people were reminded last
	EscalatedAt time.Time `json:"-"` // zero until others were told
}

// Earlier is a decision on an earlier request, as the table has it: for people to
// read, and for nobody to act on.
type Earlier struct {
	Round  int             `json:"round"`
	Choice incident.Choice `json:"choice"` // TerminateAnyway where that was chosen
	Person string          `json:"person"`
	At     time.Time       `json:"at"`
	Part   incident.Part   `json:"part"`
}

// OfFirst is the decision of a first person that waits for a second's.
func OfFirst(d incident.Decision) Earlier {
	return Earlier{Round: d.Round, Choice: d.Chosen(), Person: d.Person, At: d.DecidedAt, Part: incident.Unseconded}
}

// Choices are those that the request is about.
func (r Request) Choices() []incident.Choice {
	switch {
	case r.Before != "":
		return []incident.Choice{incident.Isolate, incident.Leave}
	case r.Back:
		return []incident.Choice{incident.Release}
	case r.Incomplete:
		return []incident.Choice{incident.Terminate, incident.TerminateAnyway, incident.Keep, incident.Release}
	}
	return []incident.Choice{incident.Terminate, incident.Keep, incident.Release}
}

func requestSK(round int) string { return fmt.Sprintf("request#%03d", round) }

// requestPK is a partition apart from the incident's, so that a policy can name
// it (dynamodb:LeadingKeys): whoever may write a request may make a link of
// their own, and decide. Only approval may.
func requestPK(id string) string { return "request#" + id }

func decodeRequest(i item) (Request, error) {
	var r Request
	if err := decode(i, &r); err != nil {
		return Request{}, err
	}
	r.Execution = text(i, "execution")
	if b, ok := i["token"].(*types.AttributeValueMemberB); ok {
		r.Token = b.Value
	}
	for _, at := range []struct {
		name string
		to   *time.Time
	}{{"mailedAt", &r.MailedAt}, {"escalatedAt", &r.EscalatedAt}} {
		var err error
		if v := text(i, at.name); v != "" {
			if *at.to, err = time.Parse(time.RFC3339Nano, v); err != nil {
				return Request{}, fmt.Errorf("item %s %s: %s: %w", text(i, "pk"), text(i, "sk"), at.name, err)
			}
		}
	}
	if v := text(i, "firsts"); v != "" {
		if err := json.Unmarshal([]byte(v), &r.Firsts); err != nil {
			return Request{}, fmt.Errorf("item %s %s: firsts: %w", text(i, "pk"), text(i, "sk"), err)
		}
	}
	if n, ok := i["reminders"].(*types.AttributeValueMemberN); ok {
		var err error
		if r.Reminders, err = strconv.Atoi(n.Value); err != nil {
			return Request{}, fmt.Errorf("item %s %s: reminders: %w", text(i, "pk"), text(i, "sk"), err)
		}
	}
	return r, nil
}

// OpenRequest stores a new request, or returns the one that stands under its
// incident and round.
func OpenRequest(ctx context.Context, db Putter, table string, r Request) (Request, error) {
	i, err := encodeRequest(r)
	if err != nil {
		return Request{}, err
	}
	standing, err := create(ctx, db, table, i)
	if errors.Is(err, ErrTaken) {
		return decodeRequest(standing)
	}
	return r, err
}

// TakeRequest puts a request in the place of one of another execution, or returns
// the one that stands there by now.
func TakeRequest(ctx context.Context, db Putter, table string, r Request, from string) (Request, error) {
	i, err := encodeRequest(r)
	if err != nil {
		return Request{}, err
	}
	_, err = db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &table, Item: i, ConditionExpression: aws.String("#e = :from"),
		ExpressionAttributeNames: map[string]string{"#e": "execution"}, ExpressionAttributeValues: item{":from": str(from)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var taken *types.ConditionalCheckFailedException
	if errors.As(err, &taken) && taken.Item != nil {
		return decodeRequest(taken.Item)
	}
	if err != nil {
		return Request{}, fmt.Errorf("write request %d of %s anew: %w", r.Round, r.Incident, err)
	}
	return r, nil
}

func encodeRequest(r Request) (item, error) {
	i, err := encode(requestPK(r.Incident), requestSK(r.Round), r)
	if err != nil {
		return nil, err
	}
	i["openedAt"], i["execution"] = stamp(r.OpenedAt), str(r.Execution)
	return i, nil
}

// LoadRequest reads a request; false if there is none.
func LoadRequest(ctx context.Context, db Getter, table, id string, round int) (Request, bool, error) {
	i, err := get(ctx, db, table, requestPK(id), requestSK(round))
	if err != nil || i == nil {
		return Request{}, false, err
	}
	r, err := decodeRequest(i)
	return r, err == nil, err
}

// FindRequest is LoadRequest for who may only list, and the request that people were
// asked next; nil where there is none.
func FindRequest(ctx context.Context, db Querier, table, id string, round int) (r, next *Request, err error) {
	here, after, err := two(ctx, db, table, requestPK(id), requestSK(round), requestSK(round+1))
	if err != nil {
		return nil, nil, err
	}
	for _, one := range []struct {
		item item
		to   **Request
	}{{here, &r}, {after, &next}} {
		if one.item == nil {
			continue
		}
		decoded, err := decodeRequest(one.item)
		if err != nil {
			return nil, nil, err
		}
		*one.to = &decoded
	}
	return r, next, nil
}

// LastRound is the newest request of an incident; 0 if nobody was asked yet.
func LastRound(ctx context.Context, db Querier, table, id string) (int, error) {
	all, err := Requests(ctx, db, table, id)
	last := 0
	for _, r := range all {
		last = max(last, r.Round)
	}
	return last, err
}

// ReplaceToken puts a new task token behind the link of a request.
func ReplaceToken(ctx context.Context, db Updater, table, id string, round int, token []byte) error {
	return update(ctx, db, table, key(requestPK(id), requestSK(round)), "SET #t = :t", "attribute_exists(pk)",
		map[string]string{"#t": "token"}, item{":t": &types.AttributeValueMemberB{Value: token}})
}

// NoteMailed marks that the mail of a request was accepted.
func NoteMailed(ctx context.Context, db Updater, table, id string, round int, at time.Time) error {
	return update(ctx, db, table, key(requestPK(id), requestSK(round)), "SET #m = :m", "attribute_exists(pk)",
		map[string]string{"#m": "mailedAt"}, item{":m": stamp(at)})
}

// NoteReminders marks how many reminders were due when people were reminded.
func NoteReminders(ctx context.Context, db Updater, table, id string, round, due int) error {
	return update(ctx, db, table, key(requestPK(id), requestSK(round)), "SET #r = :r", "attribute_exists(pk)",
		map[string]string{"#r": "reminders"}, item{":r": &types.AttributeValueMemberN{Value: strconv.Itoa(due)}})
}

// NoteFirsts shows on the page whose decision waits for a second person's.
func NoteFirsts(ctx context.Context, db Updater, table, id string, round int, firsts []Earlier) error {
	b, err := json.Marshal(firsts)
	if err != nil {
		return fmt.Errorf("encode the decisions of first people: %w", err)
	}
	return update(ctx, db, table, key(requestPK(id), requestSK(round)), "SET #f = :f", "attribute_exists(pk)",
		map[string]string{"#f": "firsts"}, item{":f": str(string(b))})
}

// NoteEscalated marks that others were told that nobody decides.
func NoteEscalated(ctx context.Context, db Updater, table, id string, round int, at time.Time) error {
	return update(ctx, db, table, key(requestPK(id), requestSK(round)), "SET #e = :e", "attribute_exists(pk)",
		map[string]string{"#e": "escalatedAt"}, item{":e": stamp(at)})
}

// Decide stores a decision, once: ErrTaken with the standing one if there is one.
// It, DecideFirst and DecideOverride are the only writes to the decisions table anywhere.
func Decide(ctx context.Context, db Putter, table string, d incident.Decision) (incident.Decision, error) {
	return decided(ctx, db, table, requestSK(d.Round), d)
}

func decided(ctx context.Context, db Putter, table, sk string, d incident.Decision) (incident.Decision, error) {
	i, err := encode(d.Incident, sk, d)
	if err != nil {
		return incident.Decision{}, err
	}
	i["decidedAt"] = stamp(d.DecidedAt)
	standing, err := create(ctx, db, table, i)
	if !errors.Is(err, ErrTaken) {
		return d, err
	}
	var first incident.Decision
	if err := decode(standing, &first); err != nil {
		return incident.Decision{}, err
	}
	return first, ErrTaken
}

// firstSK is where the decision of the first of two people stands. Nothing that
// waits for a decision looks there.
func firstSK(round int) string { return requestSK(round) + firstMark }

const firstMark = "#first"

// DecideFirst stores the decision of the first of two people, once: ErrTaken with
// the standing one if there is one.
func DecideFirst(ctx context.Context, db Putter, table string, d incident.Decision) (incident.Decision, error) {
	return decided(ctx, db, table, firstSK(d.Round), d)
}

// overrideSK is where a first decision to terminate without complete evidence stands
// beside one to terminate with it: whoever is for that may be for this too, or
// somebody else may be.
func overrideSK(round int) string { return firstSK(round) + "#override" }

// DecideOverride is DecideFirst for the place beside.
func DecideOverride(ctx context.Context, db Putter, table string, d incident.Decision) (incident.Decision, error) {
	return decided(ctx, db, table, overrideSK(d.Round), d)
}

// LoadFirsts reads what first people decided on a request where two must: two
// decisions at most, the older first.
func LoadFirsts(ctx context.Context, db Getter, table, id string, round int) ([]incident.Decision, error) {
	var all []incident.Decision
	for _, sk := range []string{firstSK(round), overrideSK(round)} {
		d, found, err := loadDecision(ctx, db, table, id, sk)
		if err != nil {
			return nil, err
		}
		if found {
			all = append(all, d)
		}
	}
	return all, nil
}

// LoadDecision reads the decision on a request; false if there is none. What it
// returns is as good as the table: verify its MAC before acting on it.
func LoadDecision(ctx context.Context, db Getter, table, id string, round int) (incident.Decision, bool, error) {
	return loadDecision(ctx, db, table, id, requestSK(round))
}

func loadDecision(ctx context.Context, db Getter, table, id, sk string) (incident.Decision, bool, error) {
	i, err := get(ctx, db, table, id, sk)
	if err != nil || i == nil {
		return incident.Decision{}, false, err
	}
	var d incident.Decision
	err = decode(i, &d)
	return d, err == nil, err
}

// Decisions are all decisions about an incident, the oldest request first, and on
// each those of first people before the one that counts. What it returns is as good
// as the table, too.
func Decisions(ctx context.Context, db Querier, table, id string) ([]incident.Recorded, error) {
	all, final := []incident.Recorded{}, map[int]incident.Decision{}
	err := each(ctx, db, table, id, "request#", func(i item) error {
		r := incident.Recorded{Part: incident.Unseconded}
		if err := decode(i, &r.Decision); err != nil {
			return err
		}
		if !strings.Contains(text(i, "sk"), firstMark) {
			final[r.Round] = r.Decision
			if r.Part = incident.Alone; r.First != "" {
				r.Part = incident.Second
			}
		}
		all = append(all, r)
		return nil
	})
	for n, r := range all {
		if r.Part == incident.Unseconded && r.Mark() == final[r.Round].First {
			all[n].Part = incident.FirstOfTwo
		}
	}
	slices.SortStableFunc(all, func(a, b incident.Recorded) int {
		return cmp.Or(cmp.Compare(a.Round, b.Round), cmp.Compare(counts(a), counts(b)))
	})
	return all, err
}

// counts is 1 for a decision that is carried out, 0 for one that waits for another.
func counts(r incident.Recorded) int {
	if r.Part == incident.Alone || r.Part == incident.Second {
		return 1
	}
	return 0
}

// Requests are all requests of an incident, the oldest first.
func Requests(ctx context.Context, db Querier, table, id string) ([]Request, error) {
	var all []Request
	err := each(ctx, db, table, requestPK(id), "request#", func(i item) error {
		r, err := decodeRequest(i)
		all = append(all, r)
		return err
	})
	return all, err
}
