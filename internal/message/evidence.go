package message

import (
	"strconv"

	"cordon/internal/incident"
)

// What was taken of an instance and what was not are two lists, and nowhere else
// is it said: mails, page and report have the same.

// Taken is what was taken, or is being taken, item by item.
func (l Language) Taken(e incident.Evidence) []string {
	var all []string
	if s := e.Snapshots; s.Status == incident.OK {
		all = append(all, l.Text("snapshots")+": "+l.progress(s.Report, s.Complete))
	}
	for _, n := range e.Snapshots.Set {
		if n.State != snapshotFailed {
			all = append(all, l.snapshot(n))
		}
	}
	if c := e.Custody; c.Status == incident.OK {
		all = append(all, l.Text("copies")+": "+l.progress(c.Report, c.Done))
	}
	for _, c := range e.Custody.Copies {
		if c.State == incident.Copied {
			all = append(all, l.copied(e.Custody.Account, c))
		}
	}
	m := e.Memory
	if m.Status == incident.OK {
		all = append(all, l.Text("memory")+": "+l.progress(m.Report, m.Done))
	}
	if m.Object != "" && m.Done { // before, there is nothing under that key
		key := "memoryObject"
		if m.Status != incident.OK {
			key = "memoryPart"
		}
		all = append(all, l.Text(key, "object", Plain(m.Object, 400), "bytes", strconv.FormatInt(m.Bytes, 10)))
	}
	if t := m.Triage; t.Object != "" {
		all = append(all, l.Text("triage", "object", Plain(t.Object, 400), "bytes", strconv.FormatInt(t.Bytes, 10), "sha256", ID(t.SHA256)))
	}
	if m.SHA256 != "" {
		all = append(all, l.Text("memoryHash", "sha256", ID(m.SHA256)))
	}
	all = append(all, l.digest(e.Digest)...)
	for _, k := range l.console(e.Console) {
		if k.Object != "" {
			all = append(all, l.Text("consoleObject", "what", k.what, "object", Plain(k.Object, 400), "bytes", strconv.FormatInt(k.Bytes, 10), "sha256", ID(k.SHA256)))
		}
	}
	return all
}

// NotTaken is what is missing, each with the reason as far as it is known.
func (l Language) NotTaken(e incident.Evidence) []string {
	var all []string
	not := func(what string, r incident.Report) {
		if r.Status != "" && r.Status != incident.OK {
			all = append(all, what+": "+l.report(r))
		}
	}
	s := e.Snapshots
	not(l.Text("snapshots"), s.Report)
	for _, n := range s.Set {
		if n.State == snapshotFailed {
			all = append(all, l.snapshot(n))
		}
	}
	if !e.Custody.Off {
		not(l.Text("copies"), e.Custody.Report)
	}
	for _, v := range s.Missing {
		all = append(all, l.Text("missing", "volume", Plain(v, 200)))
	}
	for _, v := range s.NotIn {
		all = append(all, l.Text("notIn", "device", Plain(v, 200)))
	}
	for _, n := range s.Notes {
		if key := "note." + n.What; l.known(key) {
			all = append(all, l.Text(key, "detail", Plain(n.Detail, 400)))
		} else { // a code of tomorrow
			all = append(all, Plain(n.What+": "+n.Detail, 400))
		}
	}
	not(l.Text("memory"), e.Memory.Report)
	if e.Digest.Done {
		not(l.Text("digest"), e.Digest.Report)
	}
	kept := l.console(e.Console)
	for _, k := range kept {
		not(k.what, k.Report)
	}
	if len(kept) == 0 {
		not(l.Text("console"), e.Console.Report)
	}
	return all
}

// snapshotFailed is EC2's state of a snapshot that holds nothing.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_Snapshot.html
const snapshotFailed = "error"

// digest says what our side found the image's hash to be. That the host said
// otherwise is never left out.
func (l Language) digest(d incident.Digest) []string {
	if !d.Done || d.SHA256 == "" {
		return nil
	}
	all := []string{l.Text("digestFound", "sha256", ID(d.SHA256))}
	switch {
	case d.Agrees:
		all = append(all, l.Text("digestAgrees"))
	case d.Claimed != "":
		all = append(all, l.Text("digestDiffers", "sha256", ID(d.Claimed)))
	}
	return all
}

// kept is an object with its name.
type kept struct {
	what string
	incident.Kept
}

// console is what was tried of the console; nothing where it was not begun.
func (l Language) console(c incident.Console) []kept {
	var all []kept
	for _, k := range []kept{{l.Text("consoleOutput"), c.Output}, {l.Text("consoleScreenshot"), c.Screenshot}} {
		if k.Status != "" {
			all = append(all, k)
		}
	}
	return all
}

// copied is a snapshot's copy in the evidence account.
func (l Language) copied(account string, c incident.Copy) string {
	s := l.Text("copy", "source", ID(c.Source), "id", ID(c.ID), "account", ID(account), "key", Plain(c.KMSKey, 200))
	if c.Locked {
		return s + l.Text("snapshot.locked")
	}
	return s + l.Text("snapshot.unlocked")
}

func (l Language) snapshot(n incident.Snapshot) string {
	s := ID(n.ID) + " (" + ID(n.VolumeID)
	if n.Device != "" {
		s += ", " + ID(n.Device)
	}
	s += "): " + l.coded("snapshot.", n.State)
	if n.State == "pending" && n.Progress != "" {
		s += " " + Plain(n.Progress, 10)
	}
	if n.Reason != "" {
		s += " (" + Plain(n.Reason, 300) + ")"
	}
	if n.Superseded {
		return s + l.Text("snapshot.again")
	}
	if n.Locked {
		s += l.Text("snapshot.locked")
	} else {
		s += l.Text("snapshot.unlocked")
	}
	if n.KMSKey != "" {
		s += l.Text("snapshot.key", "key", Plain(n.KMSKey, 200))
	}
	if n.Duplicate {
		s += l.Text("snapshot.duplicate")
	}
	return s
}

// progress is report for what takes its time: that it goes well does not mean
// that it is done.
func (l Language) progress(r incident.Report, done bool) string {
	if r.Status == incident.OK && !done {
		r.Status = "underway"
	}
	return l.report(r)
}
