package record

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// Limit is how many may hold a place at once. A limit of n has n places, each
// an item of its own under a number, so that two executions that count at the
// same time cannot both take the last one. There is no counter that a step
// that dies could leave wrong: a place says who holds it and since when.
type Limit struct {
	Name   string // as of a partition: the hour, or an Auto Scaling group
	Places int    // 0: nobody passes
}

// Place is one place of a limit and who holds it.
type Place struct {
	Number   int       `json:"number"` // from 1
	Holder   string    `json:"holder"` // what may hold one place only
	Incident string    `json:"incident"`
	At       time.Time `json:"at"`
}

func placePK(limit string) string { return "brake#" + limit }

func placeSK(number int) string { return fmt.Sprintf("place#%04d", number) }

// Held are the places of a limit that were ever taken, by their number, also
// those beyond a limit that was lowered since.
func Held(ctx context.Context, db Querier, table, limit string) ([]Place, error) {
	var all []Place
	err := each(ctx, db, table, placePK(limit), "place#", func(i item) error {
		var p Place
		if err := decode(i, &p); err != nil {
			return err
		}
		all = append(all, p)
		return nil
	})
	return all, err
}

// TakePlace gives a holder a place of a limit, or says that all are taken. Who
// has one keeps it and takes no other. held is what was read; live says of a
// place in it whether it still counts. ErrTaken if another was faster in a way
// that must be looked at again.
//
// Where the search begins follows from the holder: many at once do not all try
// the same place, and two runs for one holder do.
func TakePlace(ctx context.Context, db Putter, table string, l Limit, p Place, held []Place, live func(Place) bool) (bool, error) {
	taken := map[int]Place{}
	counted := 0
	for _, h := range held {
		taken[h.Number] = h
		switch {
		case !live(h):
		case h.Holder == p.Holder:
			return true, nil
		default:
			counted++
		}
	}
	if counted >= l.Places {
		return false, nil
	}
	from := start(p.Holder, l.Places)
	for n := range l.Places {
		p.Number = (from+n)%l.Places + 1
		old, was := taken[p.Number]
		if was && live(old) {
			continue
		}
		standing, err := putPlace(ctx, db, table, l, p, old, was)
		switch {
		case err == nil:
			return true, nil
		case !errors.Is(err, ErrTaken):
			return false, err
		case standing.Holder == p.Holder: // our own, whose answer was lost
			return true, nil
		}
		// Another was faster; what it took counts from now on.
		if counted++; counted >= l.Places {
			return false, nil
		}
	}
	return false, ErrTaken // only where live changed under our hands
}

// start is where a holder begins to look, FNV-1a of its name.
func start(holder string, places int) int {
	h := 2166136261
	for n := range len(holder) {
		h = (h ^ int(holder[n])) * 16777619 & 0xffffffff
	}
	return h % places
}

// putPlace takes a place that nobody held, or that its holder lost as we read it.
func putPlace(ctx context.Context, db Putter, table string, l Limit, p, old Place, was bool) (Place, error) {
	i, err := encode(placePK(l.Name), placeSK(p.Number), p)
	if err != nil {
		return Place{}, err
	}
	i["held"] = str(p.held())
	in := &dynamodb.PutItemInput{TableName: &table, Item: i, ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld}
	condition := "attribute_not_exists(pk)"
	if was {
		condition = "#h = :old"
		in.ExpressionAttributeNames = map[string]string{"#h": "held"}
		in.ExpressionAttributeValues = item{":old": str(old.held())}
	}
	in.ConditionExpression = &condition
	_, err = db.PutItem(ctx, in)
	var taken *types.ConditionalCheckFailedException
	switch {
	case errors.As(err, &taken):
		var standing Place
		if err := decode(taken.Item, &standing); err != nil {
			return Place{}, err
		}
		return standing, ErrTaken
	case err != nil:
		return Place{}, fmt.Errorf("take place %d of %s: %w", p.Number, l.Name, err)
	}
	return p, nil
}

// held names one holding: the same holder at another time is another.
func (p Place) held() string { return p.Holder + " " + p.At.UTC().Format(time.RFC3339Nano) }

// Ask notes on an open incident that its execution waits for a person before
// anything is isolated. ErrTaken if the execution does not have it any more.
func Ask(ctx context.Context, db Updater, table, id, execution string) error {
	k, err := headKey(id)
	if err != nil {
		return err
	}
	return update(ctx, db, table, k, "SET #a = :yes", "#e = :mine AND #s = :open",
		map[string]string{"#a": "asking", "#e": "execution", "#s": "state"},
		item{":yes": str("yes"), ":mine": str(execution), ":open": str(string(Open))})
}

// Answer ends that waiting: with the decision that was verified, or with none
// where nobody decided. ErrTaken if another execution took the incident over
// meanwhile: what was decided then is not for this one to carry out.
func Answer(ctx context.Context, db Updater, table, id, execution string, d incident.Decision) error {
	k, err := headKey(id)
	if err != nil {
		return err
	}
	set, names, values := "", map[string]string{}, item{}
	if d.Choice != "" {
		set, names, values = note(d)
	}
	names["#a"], names["#e"], values[":mine"] = "asking", "execution", str(execution)
	return update(ctx, db, table, k, strings.TrimSpace(set+" REMOVE #a"), "#e = :mine", names, values)
}

// TakeOverAsking takes an incident from an execution that runs and only waits
// for a person. ErrTaken if it does not wait any more: then it isolates, or is over.
func TakeOverAsking(ctx context.Context, db Updater, table, id, from, to string, at time.Time) error {
	k, err := headKey(id)
	if err != nil {
		return err
	}
	return update(ctx, db, table, k, "SET #e = :to, #t = :t REMOVE #a", "#e = :from AND #s = :open AND attribute_exists(#a)",
		map[string]string{"#a": "asking", "#e": "execution", "#s": "state", "#t": "takenAt"},
		item{":to": str(to), ":from": str(from), ":open": str(string(Open)), ":t": stamp(at)})
}
