package chain

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Checked is what Check found of a journal.
type Checked struct {
	Entries int      // that are there, without a gap from the first on
	Sums    []string // of each of them
	Broken  []string // what does not hold, a line each; none: all of it holds
	// Newest is what the journal last said of each item, by partition and sk with
	// a space between; nil of one that was removed.
	Newest map[string]Item
	Events map[string]int // number of the entry of each change, by the ID of its event
	Late   []int          // entries that were written behind a later change, in order
}

// maxLines bounds what is told of one journal: what follows a gap is often
// broken as well, and says nothing new.
const maxLines = 20

// tell adds a line, as long as there are few.
func (c *Checked) tell(format string, args ...any) {
	switch {
	case len(c.Broken) < maxLines:
		c.Broken = append(c.Broken, fmt.Sprintf(format, args...))
	case len(c.Broken) == maxLines:
		c.Broken = append(c.Broken, "and more")
	}
}

// Check reads the journal of an incident: the entries of these numbers, each by
// read. It holds every entry against the one before, and every change of an item
// against the one that the table made before it, whichever was written first.
func Check(incident string, numbers []int, read func(number int) ([]byte, error)) Checked {
	c := Checked{Newest: map[string]Item{}, Events: map[string]int{}}
	numbers = slices.Clone(numbers)
	slices.Sort(numbers)
	sum, next := "", 1
	var sound, all []Entry
	for _, n := range slices.Compact(numbers) {
		if n != next {
			if n == next+1 {
				c.tell("entry %d is gone", next)
			} else {
				c.tell("entries %d to %d are gone", next, n-1)
			}
		}
		text, err := read(n)
		if err != nil {
			c.tell("entry %d cannot be read: %v", n, err)
			sum, next = "", n+1
			continue
		}
		e, err := Read(text)
		follows := n == next && (sum != "" || n == 1)
		switch {
		case err != nil:
			c.tell("entry %d: %v", n, err)
		case e.Incident != incident:
			c.tell("entry %d is one of incident %.100q", n, e.Incident)
		case e.Sequence != n:
			c.tell("entry %d says that it is entry %d", n, e.Sequence)
		case follows && e.Previous != sum:
			c.tell("entry %d does not follow entry %d: one of them is not what was written", n, n-1)
		default:
			if before, twice := c.Events[e.Event]; twice {
				c.tell("entry %d is the same change as entry %d", n, before)
			}
			c.Events[e.Event] = n
			sound = append(sound, e)
			if e.Late() {
				c.Late = append(c.Late, n)
			}
		}
		if err == nil {
			all = append(all, e)
		}
		if n == next && c.Entries == n-1 {
			c.Entries, c.Sums = n, append(c.Sums, Sum(text))
		}
		sum, next = Sum(text), n+1
	}
	broken, order := continued(sound), all
	if len(broken) > 0 {
		// AWS does not promise in so many words that the numbers of a stream grow, so
		// they are only believed where they explain more than the journal's own order.
		if made := continued(asMade(sound)); len(made) < len(broken) {
			broken, order = made, asMade(all)
		}
	}
	for _, line := range broken {
		c.tell("%s", line)
	}
	for _, e := range order {
		c.Newest[e.Partition()+" "+e.SK] = e.New
	}
	return c
}

// continued holds each change against what was last said of its item.
func continued(all []Entry) (broken []string) {
	items := map[string]known{}
	for _, e := range all {
		if err := e.continues(items); err != nil {
			broken = append(broken, fmt.Sprintf("entry %d: %v", e.Sequence, err))
		}
	}
	return broken
}

// asMade are entries as the table was changed: those of a partition in the order
// of its stream, which is that of the journal but where one was written late.
func asMade(all []Entry) []Entry {
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b Entry) int {
		if a.Partition() != b.Partition() {
			return strings.Compare(a.Partition(), b.Partition())
		}
		switch {
		case Later(a.Stream, b.Stream):
			return 1
		case Later(b.Stream, a.Stream):
			return -1
		}
		return 0
	})
	return all
}

// known is what a journal last said of an item.
type known struct {
	entry int
	item  Item
}

// continues holds a change against what the journal last said of its item.
func (e Entry) continues(items map[string]known) error {
	at := e.Partition() + " " + e.SK
	before, ok := items[at]
	items[at] = known{e.Sequence, e.New}
	if !ok {
		return nil // the table may be older than its journal
	}
	was := Item{}
	maps.Copy(was, e.New)
	for name := range e.New {
		if _, there := before.item[name]; !there {
			delete(was, name) // it is new, or was left out
		}
	}
	maps.Copy(was, e.Old)
	if e.Change == "INSERT" {
		was = nil
	}
	if was.Same(before.item) {
		return nil
	}
	return fmt.Errorf("between entry %d and it, %s was changed, and no entry says so", before.entry, printed(e.SK))
}

// printed is text from the record as it may stand in a line.
func printed(s string) string {
	text, err := json.Marshal(s)
	if err != nil {
		return "an item"
	}
	return fmt.Sprintf("%.120s", text)
}

// Holds says whether a journal begins with what a manifest signed: so many
// entries, and the hash of the last of them.
func (c Checked) Holds(entries int, last string) error {
	switch {
	case entries == 0 && last == "":
		return nil
	case entries < 1:
		return errors.New("the manifest's word about the journal makes no sense")
	case entries > c.Entries:
		return fmt.Errorf("%d entries were signed, and %d of them are there without a gap", entries, c.Entries)
	case c.Sums[entries-1] != last:
		return fmt.Errorf("entry %d is not the one that was signed as the last", entries)
	}
	return nil
}
