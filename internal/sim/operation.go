package sim

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"

	"github.com/aws/smithy-go"
)

// operation is one call of a service's API.
type operation struct {
	service, action string
	mutating        bool
	resources       []string
	needs           []string // parameters without which the SDK sends nothing
	takes           []string // further parameters that the simulation knows
}

// invoke makes a call: parameters that are missing, or that the simulation does
// not know, are errors before anything is sent.
func invoke[I, O any](ctx context.Context, a *Account, op operation, in *I, effect func(in *I, stale bool) (*O, error)) (*O, error) {
	if err := op.check(in); err != nil {
		a.note(err)
		return nil, op.wrap(err)
	}
	in = new(clone(*in)) // what the caller does with its own afterwards changes nothing
	var out *O
	err := a.call(ctx, op, in, func(stale bool) (any, error) {
		var err error
		out, err = effect(in, stale)
		return out, err
	})
	if err != nil {
		a.note(err)
		return nil, err
	}
	return out, nil
}

// withPast makes a call's effect on the state of a service, and keeps what that
// was before the newest write: a stale read answers from there. What is answered
// is nobody else's: neither the state nor a later call changes it.
func withPast[S, O any](a *Account, op operation, state *S, before **S, stale bool, effect func() (*O, error)) (*O, error) {
	if stale && *before != nil {
		a.happened["fault "+string(Stale)]++
		now := *state
		*state = clone(**before)
		defer func() { *state = now }()
	}
	var was *S
	if op.mutating && a.asksForStale(op.service) {
		was = new(clone(*state))
	}
	out, err := effect()
	if err != nil {
		return nil, err
	}
	if op.mutating {
		*before = was
	}
	return clone(out), nil
}

// asksForStale tells whether some read will ask a service for what was before a write.
func (a *Account) asksForStale(service string) bool {
	return slices.ContainsFunc(a.settings.Faults, func(f Fault) bool { return f.Service == service && f.Kind == Stale })
}

func (op operation) check(in any) error {
	missing := smithy.InvalidParamsError{Context: op.action + "Input"}
	v := reflect.ValueOf(in).Elem()
	for n, name := range fieldNames(v.Type()) {
		switch needed := slices.Contains(op.needs, name); {
		case name == "":
		case needed && v.Field(n).IsZero():
			missing.Add(smithy.NewErrParamRequired(name))
		case !needed && !v.Field(n).IsZero() && !slices.Contains(op.takes, name):
			return unknown(op.service, op.action, "parameter "+name)
		}
	}
	if missing.Len() > 0 {
		return missing
	}
	return nil
}

var namesOfFields sync.Map // []string by reflect.Type

// fieldNames are the names of an input's fields by their place, "" for one that
// is not exported. Asked of reflect once a type.
func fieldNames(t reflect.Type) []string {
	if known, ok := namesOfFields.Load(t); ok {
		return known.([]string)
	}
	all := make([]string, t.NumField())
	for n := range all {
		if f := t.Field(n); f.IsExported() {
			all[n] = f.Name
		}
	}
	namesOfFields.Store(t, all)
	return all
}

// Unknown is the answer to what the simulation does not know: it says so, it
// does not guess. It is no answer of AWS, and no step can mend it.
type Unknown struct {
	Service, Action string
	What            string
}

func (u *Unknown) Error() string {
	return fmt.Sprintf("the simulation does not know %s of %s:%s", u.What, u.Service, u.Action)
}

// Unknown is the first call that the simulation did not know; nil if it knew all.
func (a *Account) Unknown() error {
	if a.unknown == nil {
		return nil
	}
	return a.unknown
}

func (a *Account) note(err error) {
	if a.unknown == nil {
		errors.As(err, &a.unknown)
	}
}

func unknown(service, action, what string) error { return &Unknown{service, action, what} }
