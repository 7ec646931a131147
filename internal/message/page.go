package message

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"
)

// What the decision page says besides what the mails say.

// Found says in plain words what kind of threat a finding type names, by its
// purpose, which stands before the colon.
// https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html
func (l Language) Found(findingType string) string {
	purpose, _, _ := strings.Cut(findingType, ":")
	if key := "purpose." + strings.ToLower(purpose); l.known(key) {
		return l.Text(key)
	}
	return l.Text("purpose.other")
}

// owners are words in the keys of tags by which people say whose a machine is.
var owners = []string{"owner", "team", "contact", "maintainer", "service", "application", "project", "environment", "stage", "cost"}

// ownersMax is as many of those tags as are shown.
const ownersMax = 8

// Owners are the tags that say whose the instance is, one a line: "key: value".
func (l Language) Owners(tags map[string]string) []string {
	var all []string
	for k, v := range tags {
		if strings.HasPrefix(k, "aws:") || v == "" {
			continue
		}
		low := strings.ToLower(k)
		if low == "env" || slices.ContainsFunc(owners, func(word string) bool { return strings.Contains(low, word) }) {
			all = append(all, Plain(k, 60)+": "+l.Stranger(v))
		}
	}
	slices.Sort(all)
	return all[:min(len(all), ownersMax)]
}

// Left is how long it is until a request ends, to the minute.
func (l Language) Left(d time.Duration) string {
	minutes := int(d / time.Minute)
	hours, days := minutes/60, minutes/60/24
	switch {
	case minutes < 1:
		return l.Text("left.none")
	case hours < 1:
		return l.Text("left.minutes", "minutes", strconv.Itoa(minutes))
	case days < 2:
		return l.Text("left.hours", "hours", strconv.Itoa(hours), "minutes", strconv.Itoa(minutes%60))
	}
	return l.Text("left.days", "days", strconv.Itoa(days), "hours", strconv.Itoa(hours%24))
}

// Gaps are what was not taken, and what of the rest is in doubt: what a reader of
// the whole list must not miss.
func (l Language) Gaps(e incident.Evidence) []string {
	all := l.NotTaken(e)
	if e.Snapshots.Status == "" {
		all = append(all, l.Text("gap.noSnapshots"))
	}
	for _, n := range e.Snapshots.Set {
		if n.State != snapshotFailed && !n.Locked && !n.Duplicate && !n.Superseded {
			all = append(all, l.Text("gap.unlocked", "snapshot", ID(n.ID), "volume", ID(n.VolumeID)))
		}
	}
	if e.Memory.Status == "" {
		all = append(all, l.Text("gap.noMemory"))
	}
	if d := e.Digest; d.Done && !d.Agrees && d.SHA256 != "" && d.Claimed != "" {
		all = append(all, l.Text("digestDiffers", "sha256", ID(d.Claimed)))
	}
	return all
}

// UnderWay are the snapshots and the memory capture that have not come to their end.
func (l Language) UnderWay(e incident.Evidence) []string {
	all := l.pending(e.Snapshots)
	if underWay(e.Memory) {
		all = append(all, l.Text("waits.memory"))
	}
	return all
}

// Waits are what a termination would still wait for.
func (l Language) Waits(e incident.Evidence, i incident.Isolation) []string {
	all := l.pending(e.Snapshots)
	for _, v := range e.Snapshots.Missing {
		all = append(all, l.Text("waits.missing", "volume", Plain(v, 200)))
	}
	if underWay(e.Memory) {
		all = append(all, l.Text("waits.memory"))
	}
	if !i.Sealed {
		all = append(all, l.Text("waits.seal"))
	}
	return all
}

// Cuts are what an early release would cut short.
func (l Language) Cuts(e incident.Evidence) []string {
	var all []string
	if underWay(e.Memory) {
		all = append(all, l.Text("cuts.memory"))
	}
	for _, v := range e.Snapshots.Missing {
		all = append(all, l.Text("cuts.missing", "volume", Plain(v, 200)))
	}
	if len(l.pending(e.Snapshots)) > 0 {
		all = append(all, l.Text("cuts.snapshots"))
	}
	return all
}

func underWay(m incident.Memory) bool { return m.Status == incident.OK && !m.Done }

// pending are the snapshots that are not complete yet.
func (l Language) pending(s incident.Snapshots) []string {
	var all []string
	for _, n := range s.Set {
		if n.State == "pending" {
			all = append(all, l.Text("waits.snapshot", "snapshot", ID(n.ID), "volume", ID(n.VolumeID), "progress", Plain(n.Progress, 10)))
		}
	}
	return all
}

// Drifted says how often others undid the isolation, and what they did last; ""
// where nobody did.
func (l Language) Drifted(i incident.Isolation) string {
	if i.Drifts == 0 {
		return ""
	}
	return l.Text("drifted", "number", strconv.Itoa(i.Drifts), "what", strings.Join(each(i.Undone), ", "), "at", l.Time(i.UndoneAt))
}

// Known says how the person of a decision is known: a claim, or who vouches.
func (l Language) Known(identity string) string {
	kind, who, _ := strings.Cut(identity, " ")
	if l.known("known." + kind) {
		return l.Text("known."+kind, "who", Plain(who, 300))
	}
	return Plain(identity, 300)
}
