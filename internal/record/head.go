package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// State is where an incident stands. Open until a person's decision is carried out.
type State string

const (
	Open       State = "open"
	Terminated State = "terminated"
	Kept       State = "kept"
	Released   State = "released"
	Gone       State = "gone" // the instance does not exist any more, and nobody decided so here
)

// Head is the claim on an instance and the state of its incident.
type Head struct {
	Incident  incident.Incident
	Execution string          // ARN of the execution that works on it
	State     State           //
	Asking    bool            // the execution waits for a person before it isolates
	Again     bool            // the execution asks people once more about what was closed or left
	Decision  incident.Choice // verified by authorize; empty until then
	Decided   Note            // the rest of it
	TakenAt   time.Time       // when the execution took it over from another; zero if it opened it, or asks once more
	ClosedAt  time.Time       // zero while open
}

// Note is who made the decision that authorize verified, for those who may not
// read decisions.
type Note struct {
	Round    int       // of which request; 0 where nobody has decided
	Person   string    // as typed, or as known: see Identity
	Seconds  string    // whose decision it seconds; empty where one person is enough
	Identity string    // how the person is known
	At       time.Time // of the decision
}

func headSK(n int) string { return fmt.Sprintf("incident#%06d", n) }

func headKey(id string) (item, error) {
	k, n, err := incident.SplitID(id)
	if err != nil {
		return nil, err
	}
	return key(k, headSK(n)), nil
}

func decodeHead(i item) (Head, error) {
	var h Head
	if err := decode(i, &h.Incident); err != nil {
		return Head{}, err
	}
	h.Asking, h.Again = text(i, "asking") != "", text(i, "again") != ""
	h.Execution, h.State, h.Decision = text(i, "execution"), State(text(i, "state")), incident.Choice(text(i, "decision"))
	switch h.State {
	case Open, Terminated, Kept, Released, Gone:
	default: // taken for one that is closed, its instance would be left alone
		return Head{}, fmt.Errorf("item %s %s: state %q is not one of an incident", text(i, "pk"), text(i, "sk"), h.State)
	}
	h.Decided.Person, h.Decided.Identity, h.Decided.Seconds = text(i, "decidedBy"), text(i, "decidedAs"), text(i, "decidedAfter")
	if round := text(i, "decidedOn"); round != "" {
		n, err := strconv.Atoi(round)
		if err != nil {
			return Head{}, fmt.Errorf("item %s %s: decidedOn: %w", text(i, "pk"), text(i, "sk"), err)
		}
		h.Decided.Round = n
	}
	for name, to := range map[string]*time.Time{"closedAt": &h.ClosedAt, "decidedAt": &h.Decided.At, "takenAt": &h.TakenAt} {
		if at := text(i, name); at != "" {
			t, err := time.Parse(time.RFC3339Nano, at)
			if err != nil {
				return Head{}, fmt.Errorf("item %s %s: %s: %w", text(i, "pk"), text(i, "sk"), name, err)
			}
			*to = t
		}
	}
	return h, nil
}

// Latest is the newest incident of an instance; false if it never had one.
func Latest(ctx context.Context, db Querier, table, instanceKey string) (Head, bool, error) {
	out, err := db.Query(ctx, &dynamodb.QueryInput{
		TableName: &table, ConsistentRead: aws.Bool(true), ScanIndexForward: aws.Bool(false), Limit: aws.Int32(1),
		KeyConditionExpression:    aws.String("pk = :pk AND begins_with(sk, :sk)"),
		ExpressionAttributeValues: item{":pk": str(instanceKey), ":sk": str("incident#")},
	})
	if err != nil {
		return Head{}, false, fmt.Errorf("look for incidents of %s: %w", instanceKey, err)
	}
	if len(out.Items) == 0 {
		return Head{}, false, nil
	}
	h, err := decodeHead(out.Items[0])
	return h, err == nil, err
}

// LoadHead reads the head of an incident.
func LoadHead(ctx context.Context, db Getter, table, id string) (Head, error) {
	k, n, err := incident.SplitID(id)
	if err != nil {
		return Head{}, err
	}
	i, err := get(ctx, db, table, k, headSK(n))
	if err != nil {
		return Head{}, err
	}
	if i == nil {
		return Head{}, fmt.Errorf("incident %s %w", id, ErrNone)
	}
	return decodeHead(i)
}

// FindHead is LoadHead and Follows in one look, for who may only list.
func FindHead(ctx context.Context, db Querier, table, id string) (h Head, followed bool, err error) {
	k, n, err := incident.SplitID(id)
	if err != nil {
		return Head{}, false, err
	}
	here, next, err := two(ctx, db, table, k, headSK(n), headSK(n+1))
	if err != nil {
		return Head{}, false, err
	}
	if here == nil {
		return Head{}, false, fmt.Errorf("incident %s %w", id, ErrNone)
	}
	h, err = decodeHead(here)
	return h, next != nil, err
}

// Claim opens an incident. If its number is taken, the head that stands comes
// back with ErrTaken; it may be our own, written before an answer was lost.
func Claim(ctx context.Context, db Putter, table string, h Head) (Head, error) {
	k, err := headKey(h.Incident.ID)
	if err != nil {
		return Head{}, err
	}
	i, err := encode(text(k, "pk"), text(k, "sk"), h.Incident)
	if err != nil {
		return Head{}, err
	}
	h.State = Open
	i["execution"], i["state"], i["openedAt"] = str(h.Execution), str(string(h.State)), stamp(h.Incident.OpenedAt)
	standing, err := create(ctx, db, table, i)
	if !errors.Is(err, ErrTaken) {
		return h, err
	}
	if h, err = decodeHead(standing); err != nil {
		return Head{}, err
	}
	return h, ErrTaken
}

// TakeOver moves an open incident to another execution from one that is over, or
// that only asks people once more.
// ErrTaken if a third was faster or the incident is closed.
func TakeOver(ctx context.Context, db Updater, table, id, from, to string, at time.Time) error {
	k, err := headKey(id)
	if err != nil {
		return err
	}
	return update(ctx, db, table, k, "SET #e = :to, #t = :t REMOVE #a, #g", "#e = :from AND #s = :open",
		map[string]string{"#a": "asking", "#e": "execution", "#g": "again", "#s": "state", "#t": "takenAt"},
		item{":to": str(to), ":from": str(from), ":open": str(string(Open)), ":t": stamp(at)})
}

// NoteDecision writes what authorize verified, so that steps under way see it,
// and people on the page, for the execution that has the incident. ErrTaken if
// another has it: that one gathers evidence until people have decided anew. Without an
// execution, as from one that began before the stack was updated, nobody is asked.
func NoteDecision(ctx context.Context, db Updater, table, execution string, d incident.Decision) error {
	k, err := headKey(d.Incident)
	if err != nil {
		return err
	}
	set, names, values := note(d)
	if execution == "" {
		return update(ctx, db, table, k, set, "attribute_exists(pk)", names, values)
	}
	names["#e"], values[":e"] = "execution", str(execution)
	return update(ctx, db, table, k, set, "#e = :e", names, values)
}

// noted are the attributes of a head that note a decision, by their placeholders.
var noted = map[string]string{"#d": "decision", "#t": "decidedAt", "#p": "decidedBy", "#i": "decidedAs", "#r": "decidedOn", "#f": "decidedAfter"}

func note(d incident.Decision) (set string, names map[string]string, values item) {
	return "SET #d = :d, #t = :t, #p = :p, #i = :i, #r = :r, #f = :f", maps.Clone(noted), item{
		":d": str(string(d.Choice)), ":t": stamp(d.DecidedAt), ":p": str(d.Person), ":i": str(d.Identity), ":r": str(strconv.Itoa(d.Round)), ":f": str(d.Seconds),
	}
}

// WithdrawDecision takes back the note of a decision that was not carried out,
// when people are asked anew or not any more, for the execution that has the
// incident. ErrTaken if another has it: the note may be of a decision made to
// that one.
func WithdrawDecision(ctx context.Context, db Updater, table, id, execution string) error {
	k, err := headKey(id)
	if err != nil {
		return err
	}
	names := maps.Clone(noted)
	names["#e"] = "execution"
	return update(ctx, db, table, k, "REMOVE #d, #t, #p, #i, #r, #f", "#e = :e", names, item{":e": str(execution)})
}

// Close ends an incident, for the execution that has it. Closing it again the same
// way changes nothing. What was kept isolated may still be released or terminated,
// by a decision made later; what is terminated or released stays so. ErrTaken
// otherwise, and if another execution has it.
func Close(ctx context.Context, db Updater, table, id, execution string, s State, at time.Time) error {
	k, err := headKey(id)
	if err != nil {
		return err
	}
	names := map[string]string{"#s": "state", "#t": "closedAt", "#a": "again", "#e": "execution"}
	values := item{":s": str(string(s)), ":open": str(string(Open)), ":kept": str(string(Kept)), ":t": stamp(at), ":e": str(execution)}
	err = update(ctx, db, table, k, "SET #s = :s, #t = :t REMOVE #a", "#e = :e AND #s <> :s AND (#s = :open OR #s = :kept)", names, values)
	if !errors.Is(err, ErrTaken) {
		return err
	}
	// The same way again, perhaps because an answer was lost: the first time counts.
	delete(names, "#t")
	delete(values, ":t")
	delete(values, ":open")
	delete(values, ":kept")
	return update(ctx, db, table, k, "REMOVE #a", "#e = :e AND #s = :s", names, values)
}

// ClosingKey is the sort key of the note that a run closes an incident.
func ClosingKey(run string) string { return "closing#" + run }

// BeginClosing notes that a run closes an incident, and is when it first began to:
// what is written then says the same time when the run is repeated. The refusal of
// the second note says what the first was.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
func BeginClosing(ctx context.Context, db Updater, table, id, run string, at time.Time) (time.Time, error) {
	sk := ClosingKey(run)
	_, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &table, Key: key(id, sk), UpdateExpression: aws.String("SET #t = :t"), ConditionExpression: aws.String("attribute_not_exists(#t)"),
		ExpressionAttributeNames: map[string]string{"#t": "at"}, ExpressionAttributeValues: item{":t": stamp(at)},
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var taken *types.ConditionalCheckFailedException
	switch {
	case err == nil:
		return at.UTC(), nil
	case !errors.As(err, &taken):
		return time.Time{}, fmt.Errorf("update %s %s: %w", id, sk, err)
	}
	first, err := time.Parse(time.RFC3339Nano, text(taken.Item, "at"))
	if err != nil {
		return time.Time{}, fmt.Errorf("item %s %s: at: %w", id, sk, err)
	}
	return first, nil
}

// Closing is what an execution that ended left of an incident.
type Closing struct {
	Run      string    // name of the execution
	At       time.Time // when it began to sign
	Ending   string    // how it ended; empty while it signs, or where it could not
	Manifest string    // key in the evidence bucket
	Report   string    // key in the evidence bucket
}

// EndClosing notes what the run that began to close left.
func EndClosing(ctx context.Context, db Updater, table, id, run string, c Closing) error {
	return update(ctx, db, table, key(id, ClosingKey(run)), "SET #e = :e, #m = :m, #r = :r", "attribute_exists(pk)",
		map[string]string{"#e": "ending", "#m": "manifest", "#r": "report"}, item{":e": str(c.Ending), ":m": str(c.Manifest), ":r": str(c.Report)})
}

// Closings are all of an incident, the earliest first.
func Closings(ctx context.Context, db Querier, table, id string) ([]Closing, error) {
	var all []Closing
	err := each(ctx, db, table, id, ClosingKey(""), func(i item) error {
		at, err := time.Parse(time.RFC3339Nano, text(i, "at"))
		if err != nil {
			return fmt.Errorf("item %s %s: at: %w", text(i, "pk"), text(i, "sk"), err)
		}
		all = append(all, Closing{Run: strings.TrimPrefix(text(i, "sk"), ClosingKey("")), At: at, Ending: text(i, "ending"), Manifest: text(i, "manifest"), Report: text(i, "report")})
		return nil
	})
	slices.SortFunc(all, func(a, b Closing) int { return a.At.Compare(b.At) })
	return all, err
}

// Reopen gives an incident that nobody works on to an execution that asks people
// about it once more. Its state stays what it is, so that a new finding is
// treated as before. ErrTaken if a third was faster.
func Reopen(ctx context.Context, db Updater, table string, h Head, to string) error {
	k, err := headKey(h.Incident.ID)
	if err != nil {
		return err
	}
	return update(ctx, db, table, k, "SET #e = :to, #a = :yes REMOVE #t", "#e = :from AND #s = :s",
		map[string]string{"#a": "again", "#e": "execution", "#s": "state", "#t": "takenAt"},
		item{":to": str(to), ":from": str(h.Execution), ":s": str(string(h.State)), ":yes": str("yes")})
}

// Follows says whether the instance of an incident has a newer one. The older
// must not be acted on then: what it would undo is the newer one's doing.
func Follows(ctx context.Context, db Getter, table, id string) (bool, error) {
	k, n, err := incident.SplitID(id)
	if err != nil {
		return false, err
	}
	i, err := get(ctx, db, table, k, headSK(n+1))
	return i != nil, err
}

// AddFinding notes that a finding belongs to an incident; an update of the
// same finding replaces it.
func AddFinding(ctx context.Context, db Putter, table, id string, f incident.Finding) error {
	i, err := encode(id, "finding#"+f.ID, f)
	if err != nil {
		return err
	}
	return put(ctx, db, table, i)
}

// Findings are all that opened or joined an incident.
func Findings(ctx context.Context, db Querier, table, id string) ([]incident.Finding, error) {
	var all []incident.Finding
	err := each(ctx, db, table, id, "finding#", func(i item) error { return appendTo(&all, i) })
	return all, err
}

// Heads are all incidents of the stack, in no order. It reads the whole table,
// because nothing else knows all instances; no step does that.
func Heads(ctx context.Context, db dynamodb.ScanAPIClient, table string) ([]Head, error) {
	var all []Head
	pages := dynamodb.NewScanPaginator(db, &dynamodb.ScanInput{
		TableName: &table, ConsistentRead: aws.Bool(true), FilterExpression: aws.String("begins_with(sk, :sk)"),
		ExpressionAttributeValues: item{":sk": str("incident#")},
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the table %s: %w", table, err)
		}
		for _, i := range page.Items {
			h, err := decodeHead(i)
			if err != nil {
				return nil, err
			}
			all = append(all, h)
		}
	}
	return all, nil
}
