package close

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cordon/internal/chain"
	"cordon/internal/evidence"
	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/record"
)

// patience is how long a closing waits for the journal, which is behind the
// record by a second or so, and by minutes in a burst. Then the manifest says
// that it did not come: evidence that is signed without its end is better than
// an incident that stays open.
const patience = 2 * time.Minute

// mark is what a closing records before it signs. Once it is in the journal, so
// is what was recorded of the incident before it.
type mark struct {
	Run    string    `json:"run"`
	Ending string    `json:"ending"`
	At     time.Time `json:"at"`
}

// lookBack is how many entries may have come behind the mark: the partitions of
// one incident go side by side.
const lookBack = 50

// journal says how far the journal is, and why it is waited for; empty once it
// is not any more.
func (s *Step) journal(ctx context.Context, in Input, run string, noted json.RawMessage) (j manifest.Journal, wait string, err error) {
	var m mark
	if noted != nil {
		if err := json.Unmarshal(noted, &m); err != nil {
			return j, "", fmt.Errorf("step %s of incident %s: %w", stepName, in.Incident.ID, err)
		}
	}
	if m.Run != run || m.Ending != in.Ending {
		m = mark{run, in.Ending, s.host.Now().UTC()}
		if err := record.SaveStep(ctx, s.incidents, s.table, in.Incident.ID, stepName, m); err != nil {
			return j, "", err
		}
	}
	j, err = s.look(ctx, in.Incident.ID, m)
	if err != nil {
		j.Reason = "the journal cannot be read: " + err.Error()
	}
	if !j.Complete && s.host.Now().Sub(m.At) < patience {
		return j, j.Reason, nil
	}
	return j, "", nil
}

// look finds the end of the journal, and the mark in it.
func (s *Step) look(ctx context.Context, id string, m mark) (manifest.Journal, error) {
	var j manifest.Journal
	last, err := evidence.LastEntry(ctx, s.s3, s.bucket, id)
	if err != nil {
		return j, err
	}
	for n := last; n > max(0, last-lookBack); n-- {
		e, sum, err := evidence.Entry(ctx, s.s3, s.bucket, id, n)
		if err != nil {
			return j, err
		}
		if n == last {
			j.Entries, j.Last = n, sum
		}
		if m.in(e) {
			j.Complete = true
			return j, nil
		}
	}
	j.Reason = "the journal does not have yet what was recorded last"
	return j, nil
}

// in says whether an entry is that of the mark.
func (m mark) in(e chain.Entry) bool {
	if e.Table != "incidents" || e.PK != e.Incident || e.SK != record.StepKey(stepName) {
		return false
	}
	body, _ := e.New["body"].(map[string]any)
	return body["run"] == m.Run && body["ending"] == m.Ending
}

const stepName = "close"

// Output says that the incident is closed and people were told, or, while it
// waits for the journal, why.
type Output struct {
	incident.Report
	Waiting bool `json:"waiting"`
}
