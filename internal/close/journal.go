package close

import (
	"context"
	"time"

	"cordon/internal/chain"
	"cordon/internal/evidence"
	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/record"
)

// patience is how long a closing waits for the journal, which is behind the
// record by a second or two, and by minutes in a burst. Then the manifest says
// that it did not come: evidence that is signed without its end is better than
// an incident that stays open.
const patience = 2 * time.Minute

// haste is the patience where the instance is not contained: that the execution
// fails is what alarms, and the next finding takes over only then.
const haste = 20 * time.Second

// lookBack is how many entries may have come behind the note of this closing:
// the partitions of one incident go side by side.
const lookBack = 50

// late is why a manifest waits for its journal, or says that it is not complete.
const late = "the journal does not have yet what was recorded last"

// journal says how far the journal is, and whether it has the note that this
// closing began: what was recorded in the incident's partition before is in it
// then, too. The head, requests and decisions come by other shards; the manifest
// has requests and decisions itself.
func (s *Step) journal(ctx context.Context, id, run string) manifest.Journal {
	var j manifest.Journal
	last, err := evidence.LastEntry(ctx, s.s3, s.bucket, id)
	for n := last; err == nil && n > max(0, last-lookBack); n-- {
		var e chain.Entry
		var sum string
		if e, sum, err = evidence.Entry(ctx, s.s3, s.bucket, id, n); err != nil {
			break
		}
		if n == last {
			j.Entries, j.Last = n, sum
		}
		if e.Table == "incidents" && e.PK == id && e.SK == record.ClosingKey(run) {
			j.Complete = true
			return j
		}
	}
	j.Reason = late
	if err != nil { // after the patience, the manifest says so
		j.Reason = "the journal cannot be read: " + err.Error()
	}
	return j
}

// Output says that the incident is closed and people were told, or that it is
// signed how it stands; or, while it waits for the journal, why.
type Output struct {
	incident.Report
	Waiting bool `json:"waiting"`
}

func waiting(why string) Output {
	return Output{Report: incident.Report{Status: incident.OK, Reason: why}, Waiting: true}
}
