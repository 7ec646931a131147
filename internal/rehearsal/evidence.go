package rehearsal

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/chain"
	"cordon/internal/manifest"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// Object is an object of the evidence bucket.
type Object struct {
	sim.StoredObject
	Body []byte // nil where the model has none, as of a memory image
}

// What a mail, a report or a manifest says of the evidence is so, in the account and
// in the bucket: a snapshot that is told completed was, one told locked was, an image
// has the bytes it is told to have. A manifest's signature holds; each object it
// names is there, unaltered and under retention; the journal is as far as it says.
func untrue(t Trace) string {
	for _, m := range t.Mails {
		if wrong := t.claims(m.Body, m.At); wrong != "" {
			return fmt.Sprintf("the mail %q says that %s", m.Subject, wrong)
		}
	}
	for _, key := range sortedKeys(t.Bucket) {
		o := t.Bucket[key]
		switch {
		case strings.Contains(key, "/reports/"):
			if wrong := t.claims(untagged(string(o.Body)), t.stored(key)); wrong != "" {
				return fmt.Sprintf("the report %s says that %s", key, wrong)
			}
		case strings.Contains(key, "/manifests/"):
			if wrong := t.manifest(o); wrong != "" {
				return fmt.Sprintf("the manifest %s: %s", key, wrong)
			}
		}
	}
	return ""
}

// untagged is the text of a page, with a space for each tag.
func untagged(page string) string {
	var text strings.Builder
	for {
		before, tag, opened := strings.Cut(page, "<")
		_, after, closed := strings.Cut(tag, ">")
		if !opened || !closed {
			text.WriteString(page)
			return text.String()
		}
		text.WriteString(before)
		text.WriteByte(' ')
		page = after
	}
}

var (
	// As mails and reports put them, in both languages.
	snapshotClaim = regexp.MustCompile(`(snap-[0-9a-z]+) \(([^,)]*)[^)]*\):\s+(completed|完了)?[^,、\n]*(, locked against deletion|、削除ロックあり)?`)
	copyClaim     = regexp.MustCompile(`(?:Copy of \S+:\s+|のコピー: アカウント \d+ の )(snap-[0-9a-z]+)(?: in account \d+, under |、キー )[^,、\n]*(, locked against deletion|、削除ロックあり)?`)
	objectClaims  = map[string]*regexp.Regexp{ // key, bytes, and the hash where one is told; by a part of it
		" in the evidence bucket, ": regexp.MustCompile(`^(\S+) in the evidence bucket, (\d+) bytes(?:, SHA-256(?: computed by Cordon:)? ([0-9a-f]{64}))?`),
		"証拠バケットの ":                  regexp.MustCompile(`^証拠バケットの (\S+) \((\d+) バイト(?:、SHA-256 ([0-9a-f]{64}))?\)(?:、SHA-256 \(Cordonが計算\): ([0-9a-f]{64}))?`),
	}
	reportClaim = regexp.MustCompile(`(?:Signed report: |署名付き報告: 証拠バケットの )(\S+)`)
)

// claims says what of a text about the evidence is not so at a moment.
func (t Trace) claims(text string, at time.Time) string {
	for _, m := range snapshotClaim.FindAllStringSubmatch(text, -1) {
		if m[3] != "" {
			if wrong := t.notCompleted(m[1], m[2], at); wrong != "" {
				return m[1] + " is completed: " + wrong
			}
		}
		if m[4] != "" && !t.locked(m[1], at) {
			return m[1] + " is locked, and it was not"
		}
	}
	for _, m := range found(copyClaim, text, "Copy of ", "のコピー: ") {
		n := slices.IndexFunc(t.After.EvidenceSnapshots, func(s types.Snapshot) bool { return aws.ToString(s.SnapshotId) == m[1] })
		if n < 0 || t.After.EvidenceSnapshots[n].State != types.SnapshotStateCompleted {
			return m[1] + " is a copy, and the evidence account has none that is completed"
		}
		if m[2] != "" && !slices.ContainsFunc(t.After.EvidenceLockedSnapshots, func(l types.LockedSnapshotsInfo) bool { return aws.ToString(l.SnapshotId) == m[1] }) {
			return "the copy " + m[1] + " is locked, and it is not"
		}
	}
	for _, part := range sortedKeys(objectClaims) {
		for _, m := range foundAt(objectClaims[part], text, part) {
			o, ok := t.Bucket[m[1]]
			if !ok && !t.earlier(m[1]) || ok && strconv.FormatInt(o.Size, 10) != m[2] {
				return fmt.Sprintf("there is an object %s of %s bytes, and the bucket has %d", m[1], m[2], o.Size)
			}
			sum := sha256.Sum256(o.Body)
			if hash := strings.Join(m[3:], ""); hash != "" && o.Body != nil && hash != hex.EncodeToString(sum[:]) {
				return fmt.Sprintf("the SHA-256 of %s is %s, and it is another", m[1], hash)
			}
		}
	}
	for _, m := range found(reportClaim, text, "Signed report: ", "署名付き報告: ") {
		if _, ok := t.Bucket[m[1]]; !ok && !t.earlier(m[1]) {
			return "there is a report " + m[1] + ", and the bucket has none"
		}
	}
	return ""
}

// found are the matches of a claim in a text, which holds one of these parts where it
// has any. Most texts have none, and an expression takes fifty times as long to say so.
func found(claim *regexp.Regexp, text string, parts ...string) [][]string {
	if !slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(text, p) }) {
		return nil
	}
	return claim.FindAllStringSubmatch(text, -1)
}

// foundAt are the matches of a claim that begin with this part of it, or with the word
// before where it begins with a space. An expression that had to find that word would
// try every letter of the text.
func foundAt(claim *regexp.Regexp, text, part string) (all [][]string) {
	for end := 0; ; {
		next := strings.Index(text[end:], part)
		if next < 0 {
			return all
		}
		from := end + next
		end = from + len(part)
		if part[0] == ' ' {
			from = strings.LastIndexAny(text[:from], "\t\n\f\r ") + 1
		}
		if m := claim.FindStringSubmatch(text[from:]); m != nil {
			all = append(all, m)
		}
	}
}

// earlier says whether an object is of an incident that an earlier run had, and its
// record tells of it: an account file has no bucket, so that what was kept then is not
// in this one's.
func (t Trace) earlier(key string) bool {
	return slices.ContainsFunc(t.Before.heads(), func(id string) bool { return strings.HasPrefix(key, "incidents/"+id+"/") }) &&
		slices.ContainsFunc(t.Before.Incidents, func(i Row) bool { return strings.Contains(i.Item.Text("body"), key) })
}

// slack is how much later than told a thing may have happened: a clock that is wrong,
// and the account's times have whole seconds.
const slack = 2 * time.Second

// notCompleted says why a snapshot was not a completed one of a volume by then.
func (t Trace) notCompleted(id, volume string, at time.Time) string {
	n := slices.IndexFunc(t.After.Snapshots, func(s types.Snapshot) bool { return aws.ToString(s.SnapshotId) == id })
	if n < 0 {
		return "the account does not know it"
	}
	switch s := t.After.Snapshots[n]; {
	case aws.ToString(s.VolumeId) != volume:
		return "it is of " + aws.ToString(s.VolumeId)
	case s.State != types.SnapshotStateCompleted:
		return "it is " + string(s.State)
	case s.CompletionTime != nil && s.CompletionTime.After(at.Add(slack)):
		return "that was so only at " + s.CompletionTime.String()
	}
	return ""
}

// locked says whether a lock was put on a snapshot by then. It may have expired since:
// what is told months later is what was recorded.
func (t Trace) locked(id string, at time.Time) bool {
	// One that fails afterwards loses it.
	for _, c := range t.effective("ec2", "LockSnapshot") {
		if slices.Contains(c.Resources, id) && !c.Made.After(at.Add(slack)) {
			return true
		}
	}
	return slices.ContainsFunc(t.After.LockedSnapshots, func(l types.LockedSnapshotsInfo) bool {
		return aws.ToString(l.SnapshotId) == id && !aws.ToTime(l.LockCreatedOn).After(at.Add(slack))
	})
}

// stored is when an object was put; ever where it was there before.
func (t Trace) stored(key string) time.Time {
	at := ever
	for _, c := range t.effective("s3", "PutObject") {
		if slices.Contains(c.Resources, key) {
			at = c.Made
		}
	}
	return at
}

// manifest says what of a manifest does not hold.
func (t Trace) manifest(file Object) string {
	said, err := manifest.Read(file.Body, t.Key)
	if err != nil {
		return err.Error()
	}
	// Read has said that it holds, and is what verify trusts. This does without it.
	var stored struct {
		Manifest  json.RawMessage
		Signature []byte
	}
	if err := json.Unmarshal(file.Body, &stored); err != nil {
		return err.Error()
	}
	sum := sha256.Sum256(stored.Manifest)
	switch own := fmt.Sprintf("incidents/%s/manifests/%s.json", said.Incident, said.Run); {
	case !ecdsa.VerifyASN1(t.Key, sum[:], stored.Signature):
		return "the signature is not that of the stack's key over it"
	case file.Key != own:
		return "it is of another incident or execution: " + own
	case !t.retained(file):
		return "it is not under retention"
	}
	for _, o := range said.Objects {
		is, ok := t.Bucket[o.Key]
		sum := sha256.Sum256(is.Body)
		switch {
		case !ok && t.earlier(o.Key):
		case !ok:
			return o.Key + " is not in the bucket"
		case is.Size != o.Bytes:
			return fmt.Sprintf("%s has %d bytes, and not %d", o.Key, is.Size, o.Bytes)
		case is.Body != nil && hex.EncodeToString(sum[:]) != o.SHA256:
			return o.Key + " has another SHA-256"
		case !t.retained(is):
			return o.Key + " is not under retention"
		}
	}
	if n := said.Journal.Entries; n > 0 {
		key, err := chain.Key(said.Incident, n)
		if last := t.Journal[key]; err != nil || last == nil || chain.Sum(last) != said.Journal.Last {
			return fmt.Sprintf("entry %d of the journal is not the one that it signs", n)
		}
	}
	if said.Journal.Complete && !t.noted(said) {
		return "the journal is said to be complete, and lacks the note that the closing began"
	}
	var m struct {
		ClosedAt  time.Time
		Snapshots struct {
			Complete bool
			Set      []struct {
				ID, VolumeID, State string
				Locked              bool
			}
			Volumes []struct {
				ID   string
				Gone bool
			}
		}
		Memory struct {
			Object string
			Bytes  int64
		}
	}
	if err := json.Unmarshal(stored.Manifest, &m); err != nil {
		return err.Error()
	}
	snapshots, complete := m.Snapshots, map[string]bool{}
	for _, s := range snapshots.Set {
		if s.State == "completed" {
			if wrong := t.notCompleted(s.ID, s.VolumeID, m.ClosedAt); wrong != "" {
				return s.ID + " is said to be completed: " + wrong
			}
			complete[s.VolumeID] = true
		}
		if s.Locked && !t.locked(s.ID, m.ClosedAt) {
			return s.ID + " is said to be locked"
		}
	}
	if snapshots.Complete {
		for _, v := range snapshots.Volumes {
			if !v.Gone && !complete[v.ID] {
				return "all are said to be completed, and " + v.ID + " has no snapshot that is"
			}
		}
	}
	if memory := m.Memory; memory.Object != "" {
		is, ok := t.Bucket[memory.Object]
		if !ok && !t.earlier(memory.Object) || ok && is.Size != memory.Bytes {
			return fmt.Sprintf("an image %s of %d bytes is told of, and the bucket has %d", memory.Object, memory.Bytes, is.Size)
		}
		if ok && !t.retained(is) {
			return memory.Object + " is not under retention"
		}
	}
	return ""
}

// noted says whether the entries that a manifest signs hold the note of its own closing.
func (t Trace) noted(said manifest.Claims) bool {
	for n := said.Journal.Entries; n >= 1; n-- { // it is among the last
		key, err := chain.Key(said.Incident, n)
		if err != nil {
			continue
		}
		if e, err := chain.Head(t.Journal[key]); err == nil && e.SK == "closing#"+said.Run {
			return true
		}
	}
	return false
}

// retained says whether nobody may delete an object for as long as the template's
// parameter says.
func (t Trace) retained(o Object) bool {
	r := o.Retention
	return r != nil && r.Mode != "" && r.RetainUntilDate != nil && !r.RetainUntilDate.Before(t.Start.AddDate(0, 0, t.RetentionDays).Add(-slack))
}
