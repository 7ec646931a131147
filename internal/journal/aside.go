package journal

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cordon/internal/chain"
	"cordon/internal/evidence"
	"cordon/internal/manifest"
)

// aside is a change as it is set aside: an entry without its place in the chain.
type aside struct {
	Entry  json.RawMessage `json:"entry"`
	Reason string          `json:"reason"` // why it could not be written into the journal then
}

// What is set aside of a change lies under the ID of its event; a second object
// says that it is in the journal by now, so that it is looked for there once.
const (
	setAside = ".json"
	written  = ".written.json"
)

// setAside keeps changes beside a journal that cannot be written on. One that is
// there already was set aside by an earlier run.
func (j *journal) setAside(ctx context.Context, changes []chain.Entry, why error) error {
	for _, e := range changes {
		e.Marks = map[string]string{}
		text, err := e.Bytes()
		if err != nil {
			return fmt.Errorf("event %s: %w", e.Event, err)
		}
		if text, err = manifest.Canonical(aside{text, why.Error()}); err != nil {
			return fmt.Errorf("event %s: %w", e.Event, err)
		}
		key := chain.Prefix(j.id) + chain.Aside + e.Event + setAside
		if err := j.put(ctx, key, text); err != nil && !evidence.Taken(err) {
			return fmt.Errorf("write %s: %w", key, err)
		}
	}
	return nil
}

// recall writes into the journal what was set aside, as the table was changed.
func (j *journal) recall(ctx context.Context) error {
	var waiting []chain.Entry
	for _, name := range j.aside {
		event, ok := strings.CutSuffix(name, setAside)
		if !ok || strings.HasSuffix(name, written) || slices.Contains(j.aside, event+written) {
			continue
		}
		key := chain.Prefix(j.id) + chain.Aside + name
		text, err := evidence.Read(ctx, j.s3, j.bucket, key, chain.MaxEntry)
		if err != nil {
			return err
		}
		var a aside
		if err := json.Unmarshal(text, &a); err != nil {
			return fmt.Errorf("%w: %s: %w", chain.ErrBroken, key, err)
		}
		e, err := chain.Read(a.Entry)
		if err != nil {
			return fmt.Errorf("%w: %s: %w", chain.ErrBroken, key, err)
		}
		if e.Incident != j.id || e.Event != event {
			return fmt.Errorf("%w: %s is event %q of incident %q", chain.ErrBroken, key, e.Event, e.Incident)
		}
		waiting = append(waiting, e)
	}
	slices.SortFunc(waiting, func(a, b chain.Entry) int {
		if n := cmp.Or(a.At.Compare(b.At), strings.Compare(a.Partition(), b.Partition())); n != 0 {
			return n
		}
		return map[bool]int{true: 1, false: -1}[chain.Later(a.Stream, b.Stream)]
	})
	for _, e := range waiting {
		if err := j.add(ctx, e); err != nil {
			return err
		}
		key := chain.Prefix(j.id) + chain.Aside + e.Event + written
		if err := j.put(ctx, key, []byte("{}")); err != nil && !evidence.Taken(err) {
			return fmt.Errorf("write %s: %w", key, err)
		}
	}
	return nil
}
