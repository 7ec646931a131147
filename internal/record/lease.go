package record

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Own is LoadHead for a step that is about to change something. It fails with
// incident.ErrSuperseded unless the incident is that execution's: one that was
// stopped and redriven does not know that another took its incident over meanwhile.
// An invocation that had looked before that may still be at work; what must not be
// done beside it is done under a lease.
//
// An incident that was closed may have been followed by another of the same
// instance, and what the instance is in is that one's doing then. An open one is
// followed only where another machine has the ID by now, which steps tell by the
// machine.
func Own(ctx context.Context, db Getter, table, id, execution string) (Head, error) {
	h, err := LoadHead(ctx, db, table, id)
	if err == nil {
		err = h.Own(execution)
	}
	if err == nil && execution != "" && h.State != Open {
		err = Newest(ctx, db, table, id)
	}
	if err != nil {
		return Head{}, fmt.Errorf("look whose incident %s is: %w", id, err)
	}
	return h, nil
}

// Own is the same of a head that was read, whatever follows it. An execution that
// began before the stack was updated goes on by its older definition, which does not
// say who it is and catches no such error: it acts as it did then.
func (h Head) Own(execution string) error {
	if execution != "" && h.Execution != execution {
		return fmt.Errorf("incident %s is another execution's by now: %w", h.Incident.ID, incident.ErrSuperseded)
	}
	return nil
}

// Newest fails with incident.ErrSuperseded if a newer incident of the same instance
// follows.
func Newest(ctx context.Context, db Getter, table, id string) error {
	followed, err := Follows(ctx, db, table, id)
	if followed {
		err = fmt.Errorf("a newer incident than %s is open: %w", id, incident.ErrSuperseded)
	}
	return err
}

// Lease is the right to do what two invocations must not do at once to the
// instance of an incident.
type Lease struct {
	Incident string // its ID
	Act      string // the step that does it
	// Holder is the entry of an execution into a state. One that is retried has
	// the lease again at once: Step Functions says that the attempt before is over,
	// or the function's time-out has.
	Holder string
}

// ahead is how much later another function's clock may be than ours.
const ahead = 2 * time.Second

// Take takes the lease for as long as an invocation may run from now on. ErrTaken
// if another has it. Nobody has it for longer than that, killed or not, and where
// nobody ever had it first is true: what was seen before it was taken holds then.
func (l Lease) Take(ctx context.Context, db Putter, table string, now time.Time, runs time.Duration) (first bool, err error) {
	was, err := swap(ctx, db, table, l.item(now.Add(runs)), "attribute_not_exists(pk) OR #until < :now OR #holder = :me",
		map[string]string{"#until": "until", "#holder": "holder"}, item{":now": millis(now.Add(-ahead)), ":me": str(l.Holder)})
	return err == nil && len(was) == 0, err
}

// Return gives a lease back that this holder took, so that nobody waits for its end.
func (l Lease) Return(ctx context.Context, db Putter, table string) error {
	_, err := swap(ctx, db, table, l.item(time.UnixMilli(0)), "#holder = :me", map[string]string{"#holder": "holder"}, item{":me": str(l.Holder)})
	if errors.Is(err, ErrTaken) { // another's by now
		return nil
	}
	return err
}

func (l Lease) item(until time.Time) item {
	i := key("lease#"+l.Incident, l.Act)
	maps.Copy(i, l.until(until))
	return i
}

func (l Lease) until(end time.Time) item {
	return item{"holder": str(l.Holder), "until": millis(end)}
}

// Stored is what a step stored, as it was read; empty where there was nothing.
type Stored string

// LoadStored is LoadStep for a step that two invocations must not both move on:
// what it stores next takes the place of what it read, and of nothing else.
func LoadStored(ctx context.Context, db Getter, table, id, step string, v any) (Stored, error) {
	i, err := get(ctx, db, table, id, stepSK(step))
	if err != nil || i == nil {
		return "", err
	}
	if err := decode(i, v); err != nil {
		return "", fmt.Errorf("step %s: %w", step, err)
	}
	return Stored(text(i, "body")), nil
}

// Swap stores v in place of what was read, and returns it as stored. ErrTaken if
// something else stands there by now. The same again, perhaps because an answer
// was lost, changes nothing.
func (was Stored) Swap(ctx context.Context, db Putter, table, id, step string, v any) (Stored, error) {
	i, err := encode(id, stepSK(step), v)
	if err != nil {
		return "", err
	}
	condition, values := "attribute_not_exists(pk) OR #body = :new", item{":new": i["body"]}
	if was != "" {
		condition, values[":was"] = "#body IN (:was, :new)", str(string(was))
	}
	_, err = swap(ctx, db, table, i, condition, map[string]string{"#body": "body"}, values)
	return Stored(text(i, "body")), err
}

// Begin is Swap for what is written right before an act that two invocations
// must not do at once. The step's next SaveStep says that it is done: until then,
// or for as long as an invocation may run, nobody but the holder begins it.
func (l Lease) Begin(ctx context.Context, db Putter, table string, was Stored, v any, now time.Time, runs time.Duration) error {
	i, err := encode(l.Incident, stepSK(l.Act), v)
	if err != nil {
		return err
	}
	maps.Copy(i, l.until(now.Add(runs)))
	condition := "attribute_not_exists(pk) OR #body = :new AND #holder = :me"
	names, values := map[string]string{"#body": "body", "#holder": "holder"}, item{":new": i["body"], ":me": str(l.Holder)}
	if was != "" {
		condition = "#body = :was AND (attribute_not_exists(#until) OR #until < :now OR #holder = :me) OR #body = :new AND #holder = :me"
		names["#until"], values[":was"], values[":now"] = "until", str(string(was)), millis(now.Add(-ahead))
	}
	_, err = swap(ctx, db, table, i, condition, names, values)
	return err
}

// swap writes an item on a condition and returns what it takes the place of. ErrTaken
// if the condition does not hold.
func swap(ctx context.Context, db Putter, table string, i item, condition string, names map[string]string, values item) (was item, err error) {
	out, err := db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &table, Item: i, ReturnValues: types.ReturnValueAllOld,
		ConditionExpression: &condition, ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	var taken *types.ConditionalCheckFailedException
	if errors.As(err, &taken) {
		return nil, fmt.Errorf("write %s %s: %w, and may be at work", text(i, "pk"), text(i, "sk"), ErrTaken)
	}
	if err != nil {
		return nil, fmt.Errorf("write %s %s: %w", text(i, "pk"), text(i, "sk"), err)
	}
	return out.Attributes, nil
}
