package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"cordon/internal/incident"
)

// Prior is a value as it was before Cordon first changed it.
type Prior struct {
	Resource  string          `json:"resource"`  // ID of an interface, volume, instance …
	Attribute string          `json:"attribute"` // "groups", "disableApiTermination", "deleteOnTermination:/dev/xvda" …
	Value     json.RawMessage `json:"value"`
	At        time.Time       `json:"at"`
}

// Remember stores values before they are changed, the first time only, and
// returns what is stored: a step that runs again gets the true prior values,
// not what it made of them. Where the incident inherits from one that was kept
// isolated, that one's values win, because what is found now is our own doing.
// Writes run side by side.
func Remember(ctx context.Context, db interface {
	Getter
	Putter
}, table string, h incident.Host, inc incident.Incident, now []Prior,
) ([]Prior, error) {
	stored, errs := make([]Prior, len(now)), make([]error, len(now))
	h.Each(len(now), func(n int) {
		stored[n], errs[n] = remember(ctx, db, table, inc, now[n])
	})
	return stored, errors.Join(errs...)
}

func remember(ctx context.Context, db interface {
	Getter
	Putter
}, table string, inc incident.Incident, p Prior,
) (Prior, error) {
	sk := "prior#" + p.Resource + "#" + p.Attribute
	if inc.Inherits != "" {
		i, err := get(ctx, db, table, inc.Inherits, sk)
		if err != nil {
			return Prior{}, err
		}
		if i != nil {
			p = Prior{}
			if err := decode(i, &p); err != nil {
				return Prior{}, err
			}
		}
	}
	i, err := encode(inc.ID, sk, p)
	if err != nil {
		return Prior{}, err
	}
	standing, err := create(ctx, db, table, i)
	if errors.Is(err, ErrTaken) {
		var first Prior
		err = decode(standing, &first)
		return first, err
	}
	return p, err
}

// Priors are all prior values of an incident, in the order of their keys.
func Priors(ctx context.Context, db Querier, table, id string) ([]Prior, error) {
	var all []Prior
	err := each(ctx, db, table, id, "prior#", func(i item) error { return appendTo(&all, i) })
	return all, err
}

// EachPrior hands over every prior value that an incident's release puts back:
// those of the incident it inherits from, then its own. Its errors, also those
// of f, name the value.
func EachPrior(ctx context.Context, db Querier, table string, inc incident.Incident, f func(Prior) error) error {
	for _, id := range []string{inc.Inherits, inc.ID} {
		if id == "" {
			continue
		}
		all, err := Priors(ctx, db, table, id)
		if err != nil {
			return err
		}
		for _, p := range all {
			if err := f(p); err != nil {
				return fmt.Errorf("prior %s of %s in incident %s: %w", p.Attribute, p.Resource, id, err)
			}
		}
	}
	return nil
}

// SaveStep stores what a step must know when it runs again, or what others are
// shown of it. v is that step's own type.
func SaveStep(ctx context.Context, db Putter, table, id, step string, v any) error {
	i, err := encode(id, stepSK(step), v)
	if err != nil {
		return err
	}
	return put(ctx, db, table, i)
}

// Notes are what steps of an incident stored, by name, as JSON.
type Notes map[string]json.RawMessage

// Into decodes them into what to has by the step's name. What no step stored stays as
// it is.
func (n Notes) Into(to map[string]any) error {
	for _, step := range slices.Sorted(maps.Keys(to)) {
		if body, ok := n[step]; ok {
			if err := json.Unmarshal(body, to[step]); err != nil {
				return fmt.Errorf("what step %s noted: %w", step, err)
			}
		}
	}
	return nil
}

// Steps is what all steps of an incident stored.
func Steps(ctx context.Context, db Querier, table, id string) (Notes, error) {
	all := Notes{}
	err := each(ctx, db, table, id, "step#", func(i item) error {
		all[strings.TrimPrefix(text(i, "sk"), "step#")] = json.RawMessage(text(i, "body"))
		return nil
	})
	return all, err
}

// Everything is what an incident's own partition holds, but for its closings.
type Everything struct {
	Steps    Notes
	Findings []incident.Finding // all that opened or joined it
	Priors   []Prior            // in the order of their keys; not those of an incident that it inherits from
}

// ReadAll reads it at once, for who needs most of it.
func ReadAll(ctx context.Context, db Querier, table, id string) (Everything, error) {
	all := Everything{Steps: Notes{}}
	err := each(ctx, db, table, id, "", func(i item) error {
		switch kind, name, _ := strings.Cut(text(i, "sk"), "#"); kind {
		case "step":
			all.Steps[name] = json.RawMessage(text(i, "body"))
		case "finding":
			return appendTo(&all.Findings, i)
		case "prior":
			return appendTo(&all.Priors, i)
		}
		return nil
	})
	return all, err
}

// LoadStep reads what SaveStep stored into v; false if nothing is.
func LoadStep(ctx context.Context, db Getter, table, id, step string, v any) (bool, error) {
	was, err := LoadStored(ctx, db, table, id, step, v)
	return was != "", err
}

// Count counts under a step's name how often an execution has met something, this
// time with them.
func Count(ctx context.Context, db interface {
	Getter
	Putter
}, table, id, step, execution string,
) (int, error) {
	var met struct {
		Execution string `json:"execution"`
		Times     int    `json:"times"`
	}
	if _, err := LoadStep(ctx, db, table, id, step, &met); err != nil {
		return 0, err
	}
	if met.Execution != execution {
		met.Execution, met.Times = execution, 0
	}
	met.Times++
	return met.Times, SaveStep(ctx, db, table, id, step, met)
}

func stepSK(step string) string { return "step#" + step }
