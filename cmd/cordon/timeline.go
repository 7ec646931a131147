package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"cordon/internal/rehearsal"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// timeline prints an incident as it goes: virtual time, state and why, what
// changed, mails.
type timeline struct {
	out io.Writer
	why map[string]string // comment of each state
}

func newTimeline(out io.Writer, definition []byte) *timeline {
	t := &timeline{out: out, why: map[string]string{}}
	var m struct{ States map[string]json.RawMessage }
	if json.Unmarshal(definition, &m) == nil {
		t.comments(m.States)
	}
	return t
}

func (t *timeline) comments(states map[string]json.RawMessage) {
	for name, raw := range states {
		var s struct {
			Comment  string
			Branches []struct{ States map[string]json.RawMessage }
		}
		if json.Unmarshal(raw, &s) != nil {
			continue
		}
		t.why[name] = s.Comment
		for _, b := range s.Branches {
			t.comments(b.States)
		}
	}
}

// show prints one moment. Waits and looks repeat for hours: what only says
// "nothing new" is left out.
func (t *timeline) show(m rehearsal.Moment) {
	switch m.Kind {
	case rehearsal.Entered:
		if m.Again {
			return
		}
		fmt.Fprintf(t.out, "%s  %s\n", clock(m.At), m.Name)
		if why := t.why[m.Name]; why != "" {
			fmt.Fprint(t.out, wrap(why, "                  "))
		}
	case rehearsal.Changed:
		fmt.Fprintf(t.out, "%s      %-34s %s%s\n", clock(m.At), m.Name, m.Detail, failed(m.Reason))
	case rehearsal.Stepped:
		if m.Detail != "ok" {
			fmt.Fprintf(t.out, "%s      %s: %s: %s\n", clock(m.At), m.Name, m.Detail, m.Reason)
		}
	case rehearsal.Mailed:
		fmt.Fprintf(t.out, "%s      mail\n%s", clock(m.At), indent("Subject: "+m.Mail.Subject+"\n\n"+m.Mail.Body, "                | "))
	case rehearsal.Visited:
		fmt.Fprintf(t.out, "%s      page: %s answered %s\n", clock(m.At), m.Name, m.Detail)
	}
}

func failed(code string) string {
	if code == "" {
		return ""
	}
	return "  (" + code + ")"
}

func clock(d time.Duration) string {
	h, m, s := int(d.Hours()), int(d.Minutes())%60, d.Seconds()
	return fmt.Sprintf("%02d:%02d:%06.3f", h, m, s-float64(int(d.Minutes())*60))
}

func wrap(s, prefix string) string {
	const width = 100
	var b strings.Builder
	line := ""
	for _, w := range strings.Fields(s) {
		if line != "" && len(line)+1+len(w) > width {
			fmt.Fprintf(&b, "%s%s\n", prefix, line)
			line = ""
		}
		line = strings.TrimSpace(line + " " + w)
	}
	fmt.Fprintf(&b, "%s%s\n", prefix, line)
	return b.String()
}

func indent(s, prefix string) string {
	return prefix + strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n"+prefix) + "\n"
}

// summary is the ending, the account before and after, and the evidence.
func summary(out io.Writer, r rehearsal.Result) {
	if !r.Matched {
		fmt.Fprintf(out, "\nThe rule that starts an incident does not match this event: nothing was started, %d mail(s) sent.\n", len(r.Mails))
	} else {
		fmt.Fprintf(out, "\n%s: %s\n", strings.ToUpper(r.Ending), r.Status)
	}
	before, err := rehearsal.ReadAccount(r.Before)
	if err == nil {
		var after rehearsal.Account
		if after, err = rehearsal.ReadAccount(r.Account); err == nil {
			compare(out, r.InstanceID, before, after)
		}
	}
	if err != nil {
		fmt.Fprintln(out, "The account cannot be shown:", err)
	}
	if len(r.Evidence) > 0 {
		fmt.Fprintln(out, "\nEvidence")
		for _, e := range r.Evidence {
			fmt.Fprintln(out, "  "+e)
		}
	}
	if r.IsolatedAt != nil {
		fmt.Fprintf(out, "\nContained after %.1f s", float64(*r.IsolatedAt))
		if r.SealedAt != nil {
			fmt.Fprintf(out, ", sealed after %.1f s", float64(*r.SealedAt))
		}
		fmt.Fprintf(out, " of virtual time; %d calls to AWS, %d states entered.\n", len(r.Calls), len(r.States))
	}
	if len(r.Broken) == 0 {
		fmt.Fprintf(out, "All %d invariants hold.\n", len(rehearsal.Invariants))
	}
}

// compare shows what is different afterwards, and what is not.
func compare(out io.Writer, instance string, before, after rehearsal.Account) {
	i, ok := before.Instance(instance)
	if !ok {
		return
	}
	j, _ := after.Instance(instance)
	fmt.Fprintf(out, "\n%-24s %-34s %s\n", "Account", "before", "after")
	row := func(what, was, is string) { fmt.Fprintf(out, "  %-22s %-34s %s\n", what, was, is) }
	row(instance, string(rehearsal.State(i)), string(rehearsal.State(j)))
	now := map[string]types.NetworkInterface{}
	for _, n := range after.NetworkInterfaces {
		now[aws.ToString(n.NetworkInterfaceId)] = n
	}
	for _, n := range before.Interfaces(instance) {
		id := aws.ToString(n.NetworkInterfaceId)
		is := "gone"
		if m, ok := now[id]; ok {
			is = rehearsal.GroupNames(m)
		}
		row(id, rehearsal.GroupNames(n), is)
	}
	for _, m := range i.BlockDeviceMappings {
		if m.Ebs == nil {
			continue
		}
		row(aws.ToString(m.Ebs.VolumeId), images(before, aws.ToString(m.Ebs.VolumeId)), images(after, aws.ToString(m.Ebs.VolumeId)))
	}
}

func images(a rehearsal.Account, volume string) string {
	var all []string
	for _, s := range a.Snapshots {
		if aws.ToString(s.VolumeId) == volume {
			all = append(all, aws.ToString(s.SnapshotId)+" "+string(s.State))
		}
	}
	if len(all) == 0 {
		return "no snapshot"
	}
	return strings.Join(all, ", ")
}
