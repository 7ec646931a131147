// Package chain is the form of an incident's journal: one object for each change
// of the record, under incidents/ID/journal/NUMBER.json, numbered from 1 without
// a gap. Each holds the SHA-256 of the one before, as it is stored, so that the
// hash of the last one stands for all of them. An entry is JSON without white
// space, its members and those of its items sorted by their names.
package chain

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"cordon/internal/manifest"
)

// ErrBroken is a journal that cannot be written on: what is there is not what was
// written, or there is no number left. Trying again does not help.
var ErrBroken = errors.New("no entry can follow it")

// Format is what an entry says it is.
const Format = "cordon journal 1"

// MaxEntry is above what an entry can have: an item has 400 KiB at most, and two
// of them stand in it. JSON may write a byte as six.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
const MaxEntry = 8 << 20

// last is the highest number that keys of six digits hold in their order.
const last = 999_999

// Item is what is told of an item: attributes by name, each as JSON without white
// space, as whoever recorded it wrote it. Equal ones have the same bytes, but for
// those of entries of an older version, which sorted the members.
type Item map[string]json.RawMessage

// Same says whether two items have the same attributes.
func (i Item) Same(other Item) bool {
	return maps.EqualFunc(i, other, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) || sameValue(a, b) })
}

func sameValue(a, b json.RawMessage) bool {
	one, err := manifest.Canonical(a)
	other, wrong := manifest.Canonical(b)
	return err == nil && wrong == nil && bytes.Equal(one, other)
}

// Entry is one change of the record. Its members stand in the order of their
// names, so that there is one form of it.
type Entry struct {
	At       time.Time `json:"at"`     // when the table was changed, to the second
	Change   string    `json:"change"` // INSERT, MODIFY or REMOVE
	Event    string    `json:"event"`  // ID of the stream's record
	Format   string    `json:"format"`
	Incident string    `json:"incident"`
	// Marks are the highest Stream of each partition up to this entry, by table
	// and pk: what a record that comes again is known by.
	Marks map[string]string `json:"marks"`
	// New is the item as it was then; null where it was removed. Old holds what an
	// attribute was before, of those that changed.
	New      Item     `json:"new"`
	Old      Item     `json:"old"`
	PK       string   `json:"pk"`
	Previous string   `json:"previous"` // SHA-256 of the entry before, lower-case hex; empty in the first
	Sequence int      `json:"sequence"` // from 1
	SK       string   `json:"sk"`
	Stream   string   `json:"stream"`  // number of the record in its shard
	Table    string   `json:"table"`   // incidents or decisions
	Without  []string `json:"without"` // what is left out of New and Old, by name
}

// Partition is where an entry's item stands.
func (e Entry) Partition() string { return e.Table + " " + e.PK }

// Prefix is what the keys of an incident's journal begin with.
func Prefix(incident string) string { return "incidents/" + incident + "/journal/" }

// Key is the key of an entry.
func Key(incident string, sequence int) (string, error) {
	if sequence < 1 || sequence > last {
		return "", fmt.Errorf("%w: the journal of incident %s has no place for entry %d", ErrBroken, incident, sequence)
	}
	return fmt.Sprintf("%s%06d.json", Prefix(incident), sequence), nil
}

// Aside is where the entries of changes lie that could not be written into the
// journal: below its prefix, so that only its role may put them there.
const Aside = "aside/"

// Late says whether an entry was written behind a later change of its partition:
// it had been given up, or set aside, before.
func (e Entry) Late() bool { return Later(e.Marks[e.Partition()], e.Stream) }

// NumberOf is the number of an entry by the name of its object, without the
// prefix; false if it is no name of one.
func NumberOf(object string) (int, bool) {
	digits, ok := strings.CutSuffix(object, ".json")
	if !ok || len(digits) != 6 || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.Atoi(digits)
	return n, err == nil && n > 0
}

// Sum is what the next entry, or a manifest, says of an entry.
func Sum(stored []byte) string {
	sum := sha256.Sum256(stored)
	return hex.EncodeToString(sum[:])
}

// Bytes is an entry as it is stored.
func (e Entry) Bytes() ([]byte, error) {
	var b bytes.Buffer
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	if err := to.Encode(e); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// Read takes a stored entry apart. Its error says in one line why it is none.
func Read(stored []byte) (Entry, error) {
	var e Entry
	if err := json.Unmarshal(stored, &e); err != nil {
		return Entry{}, fmt.Errorf("it is no entry of a journal: %w", err)
	}
	if err := e.known(); err != nil {
		return Entry{}, err
	}
	again, err := e.Bytes()
	if err != nil || !bytes.Equal(again, stored) {
		return Entry{}, errors.New("it is not in its canonical form: somebody wrote it anew")
	}
	return e, nil
}

// Head takes a stored entry apart, but for its items: New and Old stay empty, and
// whether it is canonical is not looked at. Who writes or looks for the next entry
// needs no more, and entries are mostly items.
func Head(stored []byte) (Entry, error) {
	var e struct {
		Entry
		New unread `json:"new"`
		Old unread `json:"old"`
	}
	if err := json.Unmarshal(stored, &e); err != nil {
		return Entry{}, fmt.Errorf("it is no entry of a journal: %w", err)
	}
	return e.Entry, e.known()
}

// unread is passed over, and not copied.
type unread struct{}

func (*unread) UnmarshalJSON([]byte) error { return nil }

func (e Entry) known() error {
	if e.Format != Format {
		return fmt.Errorf("its format is %.40q, and only %q is known", e.Format, Format)
	}
	return nil
}

// Later says whether a number of a shard comes after another. They are whole
// numbers of up to 40 digits, and within a shard and those that follow it they grow.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_streams_StreamRecord.html
func Later(a, b string) bool {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), strings.Compare(a, b)) > 0
}
