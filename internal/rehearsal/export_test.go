package rehearsal

import (
	"context"

	"cordon/internal/sim"
)

// Recorded runs as Run does, and hands note every invocation of a step that
// answered: what it was given and what it said. The calls come with who made them.
func Recorded(o Options, note func(step string, in, out []byte)) (Result, []sim.Call, error) {
	w, err := build(o)
	if err != nil {
		return Result{}, nil, err
	}
	for _, f := range w.byARN {
		run := f.run
		f.run = func(ctx context.Context, in []byte) ([]byte, error) {
			out, err := run(ctx, in)
			if err == nil {
				note(f.name, in, out)
			}
			return out, err
		}
	}
	r, err := w.run()
	return r, w.account.Calls(), err
}

// Counted runs as Run does, and tells how many events the history has.
func Counted(o Options) (Result, int, error) {
	w, err := build(o)
	if err != nil {
		return Result{}, 0, err
	}
	r, err := w.run()
	if err != nil {
		return Result{}, 0, err
	}
	return r, w.first.Result().History, nil
}
