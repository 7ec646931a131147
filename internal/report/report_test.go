package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/manifest"
	"cordon/internal/message"
	"cordon/internal/report"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

var languages = []string{"en", "ja"}

func in(t *testing.T, code string) message.Language {
	t.Helper()
	l, err := message.In(code)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// at is when the finding arrived.
var at = time.Date(2026, 11, 24, 2, 16, 5, 0, time.UTC)

func ok() incident.Report { return incident.Report{Status: incident.OK} }

func not(s incident.Status, reason string) incident.Report {
	return incident.Report{Status: s, Reason: reason}
}

// terminated is an incident of half an hour in which all went well.
func terminated() report.Facts {
	const id = "111122223333.ap-northeast-1.i-0abcd1234ef567890.1"
	finding := incident.Finding{
		ID: "16afba5c5c43e07c9e3e5e2e544e95df", Type: "CryptoCurrency:EC2/BitcoinTool.B!DNS", Severity: 8, AccountID: "111122223333", Region: "ap-northeast-1",
		InstanceID: "i-0abcd1234ef567890", Title: "Bitcoin-related domain name queried.", Description: "EC2 instance i-0abcd1234ef567890 queries a domain name that is associated with Bitcoin.",
		Role: "ACTOR", Count: 1, EventID: "e-1", EventTime: at,
	}
	inc := incident.Incident{ID: id, Account: "111122223333", Region: "ap-northeast-1", InstanceID: finding.InstanceID, OpenedAt: at.Add(300 * time.Millisecond), Finding: finding}
	key := "incidents/" + id
	hash := strings.Repeat("9f", 32)
	later := func(d time.Duration) time.Time { return at.Add(d) }
	return report.Facts{
		Kind: message.Terminated, ClosedAt: later(31 * time.Minute), Execution: "arn:aws:states:ap-northeast-1:111122223333:execution:cordon-incident-response:run-1",
		Manifest: key + "/manifests/run-1.json", Incident: inc, Findings: []incident.Finding{finding},
		Instance: incident.Instance{ID: finding.InstanceID, Name: "web-1", Type: "m5.large", Platform: "linux", Lifecycle: "normal", Tags: map[string]string{"Name": "web-1"}},
		Isolation: incident.Isolation{
			Report: ok(), Contained: true, Sealed: true, At: later(30 * time.Minute), Since: later(1400 * time.Millisecond), SealedAt: later(96 * time.Second),
			Interfaces: []incident.Interface{{ID: "eni-0a", VPC: "vpc-0a", Groups: []string{"sg-0q"}, Where: incident.Quarantined}},
			StaysOpen:  []string{"tracked-flows", "dns", "credentials"},
		},
		Exposure:   incident.Exposure{Openings: []incident.Opening{{What: "nat", State: incident.None}, {What: "session", State: incident.Unknown, Detail: "AccessDeniedException"}}},
		Protection: incident.Protection{Report: ok(), Set: []string{"disableApiTermination", "deleteOnTermination of vol-0a"}, Scaling: incident.Ungrouped},
		Evidence: incident.Evidence{
			Snapshots: incident.Snapshots{Report: ok(), Done: true, Complete: true, Set: []incident.Snapshot{
				{ID: "snap-0a", VolumeID: "vol-0a", Device: "/dev/xvda", State: "completed", Locked: true, Encrypted: true, KMSKey: "arn:aws:kms:ap-northeast-1:111122223333:key/k", StartedAt: later(time.Second), CompletedAt: later(19 * time.Minute)},
			}},
			Memory: incident.Memory{
				Report: ok(), Done: true, Object: key + "/memory/image.lime", Bytes: 8 << 30, Parts: 103, SHA256: hash,
				BegunAt: later(1900 * time.Millisecond), ClaimedAt: later(90 * time.Second), EndedAt: later(94 * time.Second),
			},
			Digest: incident.Digest{Report: ok(), Done: true, Bytes: 8 << 30, SHA256: hash, Claimed: hash, Agrees: true},
			Console: incident.Console{
				Report:     ok(),
				Output:     incident.Kept{Report: ok(), Object: key + "/console/output.txt", Bytes: 20480, SHA256: hash, At: later(2600 * time.Millisecond)},
				Screenshot: incident.Kept{Report: ok(), Object: key + "/console/screenshot.jpg", Bytes: 40960, SHA256: hash, At: later(2700 * time.Millisecond)},
			},
		},
		Decision: message.Decision{Choice: incident.Terminate, Person: "Aiko Tanaka", Reason: "confirmed by forensics"},
		Requests: []report.Request{{Round: 1, OpenedAt: later(3 * time.Second), MailedAt: later(3 * time.Second), ExpiresAt: later(72 * time.Hour)}},
		Decisions: []incident.Recorded{{Decision: incident.Decision{
			Incident: id, Round: 1, InstanceID: finding.InstanceID, Choice: incident.Terminate, Person: "Aiko Tanaka", Identity: incident.ByLink,
			Reason: "confirmed by forensics", Address: "198.51.100.7", Agent: "Mozilla/5.0", Facts: hash, DecidedAt: later(4 * time.Minute),
		}}},
		Interfaces: []report.Interface{{ID: "eni-0a", Before: []string{"sg-0web", "sg-0ssh"}, Isolated: []string{"sg-0q"}, Where: incident.Quarantined}},
		Objects: []manifest.Object{
			{Key: key + "/console/output.txt", Bytes: 20480, SHA256: hash}, {Key: key + "/memory/image.lime", Bytes: 8 << 30, SHA256: hash},
		},
		Begun: report.Begun{Protecting: later(500 * time.Millisecond), Isolating: later(900 * time.Millisecond), Capturing: later(1900 * time.Millisecond), Terminating: later(30 * time.Minute)},
	}
}

// kept is one in which much went wrong and people took their time.
func kept() report.Facts {
	f := terminated()
	f.Kind, f.Decision.Choice, f.Decisions[0].Choice = message.KeptIsolated, incident.Keep, incident.Keep
	f.ClosedAt, f.Begun.Terminating = at.Add(51*time.Hour), time.Time{}
	f.Evidence.Snapshots = incident.Snapshots{
		Report: not(incident.Partial, "one volume has no snapshot"), Done: true, Missing: []string{"vol-0c"}, NotIn: []string{"ephemeral0"},
		Set: []incident.Snapshot{
			{ID: "snap-0a", VolumeID: "vol-0a", State: "completed", StartedAt: at.Add(time.Second), CompletedAt: at.Add(3 * time.Hour)},
			{ID: "snap-0b", VolumeID: "vol-0b", State: "error", StartedAt: at.Add(time.Second)},
		},
	}
	f.Evidence.Memory.ClaimedAt, f.Evidence.Memory.EndedAt = time.Time{}, at.Add(41*time.Minute)
	f.Evidence.Memory.Report = not(incident.Partial, "no part arrived for 30 minutes: the SSM agent is lost or the host was cut off")
	f.Evidence.Digest.Agrees, f.Evidence.Digest.Claimed = false, strings.Repeat("0a", 32)
	f.Evidence.Console = incident.Console{
		Report: not(incident.Failed, "neither output nor screenshot was kept"), Output: incident.Kept{Report: not(incident.Failed, "UnauthorizedOperation")},
		Screenshot: incident.Kept{Report: not(incident.Skipped, "EC2 has none of this instance")},
	}
	f.Credentials = incident.Credentials{Report: ok(), State: incident.Denied, Role: "arn:aws:iam::111122223333:role/web", Policy: "cordon-i-0abcd1234ef567890"}
	f.Findings = append(f.Findings, incident.Finding{Type: "Trojan:EC2/DNSDataExfiltration", Severity: 9, Title: "<b>Hello</b>", EventID: "e-2", EventTime: at.Add(7 * time.Minute)})
	f.Drifts = []incident.Drift{{
		Number: 1, Undone: []string{"eni-0a"}, Since: at.Add(5 * time.Hour), At: at.Add(5*time.Hour + 2*time.Minute),
		By: []incident.Doer{{Who: "arn:aws:sts::111122223333:assumed-role/Terraform/drift-job", Action: "ModifyNetworkInterfaceAttribute", From: "198.51.100.7", At: at.Add(5*time.Hour + time.Minute)}},
	}}
	f.Requests = append(f.Requests, report.Request{
		Round: 2, OpenedAt: at.Add(50 * time.Hour), ExpiresAt: at.Add(122 * time.Hour), Problem: "Refused: the seal does not fit the decision",
	})
	f.Decisions[0].DecidedAt, f.Decisions[0].Round = at.Add(51*time.Hour-3*time.Minute), 2
	f.Decisions[0].Identity = incident.ByIAM + "arn:aws:sts::111122223333:assumed-role/Responder/tanaka"
	f.Decisions = append([]incident.Recorded{{Part: incident.Unseconded, Decision: incident.Decision{
		Round: 1, Choice: incident.Terminate, Person: "Sato", Identity: incident.ByAccess + "f4-1", Reason: "seen enough", DecidedAt: at.Add(2 * time.Hour),
	}}}, f.Decisions...)
	f.Missing = []string{"incidents/x/memory/parts.json"}
	return f
}

// released is one of which not all came back.
func released() report.Facts {
	f := terminated()
	f.Kind, f.Decision.Choice, f.Decisions[0].Choice, f.Begun.Terminating = message.Released, incident.Release, incident.Release, time.Time{}
	f.Restoration = incident.Restoration{Report: not(incident.Partial, "one attribute is not back"), Connected: true, Restored: []string{"eni-0a: groups sg-0web, sg-0ssh"}, NotBack: []string{"disableApiStop: denied"}}
	f.Evidence.Memory = incident.Memory{Report: not(incident.Skipped, "the instance was released before the capture began"), Done: true, Released: true}
	f.Evidence.Digest, f.Begun.Capturing = incident.Digest{}, time.Time{}
	return f
}

// left is one that was never isolated.
func left() report.Facts {
	f := terminated()
	return report.Facts{
		Kind: message.Released, ClosedAt: at.Add(10 * time.Minute), Execution: f.Execution, Manifest: f.Manifest, Incident: f.Incident, Instance: f.Instance, Findings: f.Findings,
		Isolation: incident.Isolation{Report: not(incident.Skipped, "not yet isolated")},
		Evidence: incident.Evidence{
			Snapshots: incident.Snapshots{Report: not(incident.Skipped, "not yet taken")}, Memory: incident.Memory{Report: not(incident.Skipped, "not yet started")},
			Console: incident.Console{Report: not(incident.Skipped, "nothing was kept")},
		},
		Decision: message.Decision{Choice: incident.Leave, Person: "Aiko Tanaka"}, Requests: f.Requests,
		Decisions: []incident.Recorded{{Decision: incident.Decision{Round: 1, Choice: incident.Leave, Person: "Aiko Tanaka", Identity: incident.ByLink, DecidedAt: at.Add(9 * time.Minute)}}},
	}
}

// undecided is one on which nobody decided, and whose evidence was still under way.
func undecided() report.Facts {
	f := terminated()
	f.Kind, f.Open, f.ClosedAt, f.Begun.Terminating = message.Undecided, true, at.Add(73*time.Hour), time.Time{}
	f.Decision, f.Decisions = message.Decision{}, nil
	f.Evidence.Snapshots.Complete, f.Evidence.Snapshots.Done, f.Evidence.Snapshots.Reason = false, false, "1 of 1 under way"
	n := &f.Evidence.Snapshots.Set[0]
	n.State, n.Progress, n.CompletedAt = "pending", "63%", time.Time{}
	f.Evidence.Digest = incident.Digest{Report: incident.Report{Status: incident.OK, Reason: "268435456 of 8589934592 bytes are hashed"}, Bytes: 256 << 20}
	f.Missing = []string{f.Evidence.Memory.Object}
	f.Objects = f.Objects[:1]
	return f
}

// open is one that could not be contained.
func open() report.Facts {
	f := terminated()
	f.Kind, f.Open, f.ClosedAt, f.Begun.Terminating, f.Begun.Capturing = message.NotContained, true, at.Add(40*time.Minute), time.Time{}, time.Time{}
	f.Decision, f.Decisions, f.Requests = message.Decision{}, nil, nil
	f.Isolation = incident.Isolation{
		Report: not(incident.Failed, "NotContained: isolate i-0abcd1234ef567890: eni-0b: is in sg-0web: UnauthorizedOperation; contained: eni-0a"), At: at.Add(39 * time.Minute),
		Interfaces: []incident.Interface{
			{ID: "eni-0a", VPC: "vpc-0a", Groups: []string{"sg-0q"}, Where: incident.Quarantined},
			{ID: "eni-0b", VPC: "vpc-0a", Groups: []string{"sg-0web"}, Where: incident.Open, Reason: "is in sg-0web: UnauthorizedOperation"},
		},
	}
	f.Interfaces = []report.Interface{
		{ID: "eni-0a", Before: []string{"sg-0web", "sg-0ssh"}, Isolated: []string{"sg-0q"}, Where: incident.Quarantined},
		{ID: "eni-0b", Isolated: []string{"sg-0web"}, Where: incident.Open},
	}
	f.Evidence.Memory = incident.Memory{Report: not(incident.Skipped, "not yet started")}
	f.Evidence.Digest, f.Objects = incident.Digest{}, f.Objects[:1]
	return f
}

var endings = map[string]func() report.Facts{"terminated": terminated, "kept": kept, "released": released, "left": left, "undecided": undecided, "open": open}

func TestPages(t *testing.T) {
	for name, facts := range endings {
		for _, code := range languages {
			t.Run(name+"."+code, func(t *testing.T) {
				got := report.Page(in(t, code), facts())
				file := filepath.Join("testdata", name+"."+code+".html")
				if *update {
					if err := os.WriteFile(file, got, 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(string(want), string(got)); d != "" {
					t.Errorf("(-want +got):\n%s", d)
				}
				if again := report.Page(in(t, code), facts()); !bytes.Equal(got, again) {
					t.Error("the same facts make another page: close could not tell its own from a stranger's")
				}
				alone(t, got)
			})
		}
	}
}

// elements are all that a page may be made of: none loads, runs or leads anywhere.
var elements = []string{
	"html", "head", "meta", "title", "style", "body", "main", "header", "footer", "section", "aside", "div", "h1", "h2", "h3", "p", "ul", "ol", "li", "dl", "dt", "dd",
	"table", "thead", "tbody", "tr", "th", "td", "svg", "path", "circle", "rect", "text",
}

var attributes = []string{"lang", "charset", "http-equiv", "content", "name", "class", "scope", "role", "aria-labelledby", "id", "width", "height", "viewBox", "d", "cx", "cy", "r", "x", "y"}

// alone holds that a page is well formed and stands alone, and gives what a
// reader sees and a screen reader says of it.
func alone(t *testing.T, page []byte) (text []string) {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Entity = xml.HTMLEntity
	pictures := 0
	for {
		tok, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("it is not well formed: %v", err)
		}
		switch tok := tok.(type) {
		case xml.StartElement:
			if !slices.Contains(elements, tok.Name.Local) {
				t.Errorf("there is a <%s>", tok.Name.Local)
			}
			if tok.Name.Local == "svg" {
				pictures++
			}
			for _, a := range tok.Attr {
				if !slices.Contains(attributes, a.Name.Local) {
					t.Errorf("<%s> has %s=%q", tok.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.CharData:
			text = append(text, string(tok))
		case xml.Comment:
			t.Errorf("there is a comment: %s", tok)
		}
	}
	if pictures != 1 {
		t.Errorf("%d pictures, want the timeline", pictures)
	}
	css := page[bytes.Index(page, []byte("<style>")):bytes.Index(page, []byte("</style>"))]
	if m := regexp.MustCompile(`(?i)url|@import|src`).Find(css); m != nil {
		t.Errorf("%q in the style leads out of the page", m)
	}
	return text
}

// Nobody reads a report with a hole in it.
func TestNoHoles(t *testing.T) {
	hole := regexp.MustCompile(`\{[a-z]+\}|%!|&lt;nil|>(report|moment|gap|known|head|choice)\.[a-z]|0001-01-01`)
	for name, facts := range endings {
		for _, code := range languages {
			if m := hole.Find(report.Page(in(t, code), facts())); m != nil {
				t.Errorf("%s in %s: %q is not for readers", name, code, m)
			}
		}
	}
	for _, code := range languages {
		page := report.Page(in(t, code), report.Facts{Kind: message.Terminated, ClosedAt: at})
		if m := hole.Find(page); m != nil {
			t.Errorf("nothing in %s: %q is not for readers", code, m)
		}
		alone(t, page)
	}
}

// The picture says nothing that the list for screen readers does not, and the
// other way round.
func TestTimelineInWords(t *testing.T) {
	for _, code := range languages {
		text := alone(t, report.Page(in(t, code), kept()))
		all := strings.Join(text, "\n")
		for _, want := range []string{"2026-11-24 02:16:05 UTC", "2026-11-24 07:18:05 UTC", "2026-11-26 05:13:05 UTC", "2026-11-26 05:16:05 UTC"} {
			if n := strings.Count(all, want); n < 2 {
				t.Errorf("%s: %s stands %d times, want it in the picture and in the list", code, want, n)
			}
		}
	}
}

// What took its time is a bar from its beginning to its end, dashed to the foot
// where it was still under way; what never began is none.
func TestSpans(t *testing.T) {
	bare := func() report.Facts { // of a version that noted no times
		f := kept()
		f.Evidence.Snapshots.Set[0].CompletedAt, f.Evidence.Memory = time.Time{}, incident.Memory{Report: ok(), Done: true}
		f.Begun.Capturing = time.Time{}
		return f
	}
	for name, c := range map[string]struct {
		facts       report.Facts
		over, going int
		say, not    []string
	}{
		"terminated": {terminated(), 2, 0, []string{"02:35:05 UTC: Snapshots complete", "02:17:35 UTC: Memory sent, says the host", "02:17:39 UTC: Memory capture complete"}, []string{"under way"}},
		"kept":       {kept(), 2, 0, []string{"05:16:05 UTC: Last complete snapshot", "02:57:05 UTC: Memory capture ended early"}, []string{"Snapshots complete", "says the host"}},
		"undecided":  {undecided(), 1, 1, []string{"2026-11-27 03:16:05 UTC: Snapshots still under way"}, []string{"Snapshots complete"}},
		"left":       {left(), 0, 0, nil, []string{"Snapshots show", "Memory capture"}},
		"no times":   {bare(), 0, 0, nil, []string{"Last complete", "Memory capture"}},
	} {
		page := string(report.Page(in(t, "en"), c.facts))
		if over, going := strings.Count(page, `class="span"`), strings.Count(page, `class="span going"`); over != c.over || going != c.going {
			t.Errorf("%s: %d bars and %d dashed, want %d and %d", name, over, going, c.over, c.going)
		}
		for _, s := range c.say {
			if !strings.Contains(page, s) {
				t.Errorf("%s: the timeline does not say %q", name, s)
			}
		}
		timeline, _, _ := strings.Cut(page, "</aside>")
		for _, s := range c.not {
			if strings.Contains(timeline, s) {
				t.Errorf("%s: the timeline says %q", name, s)
			}
		}
	}
}

var hostile = []string{
	`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `</style><script>`, `</svg><a href="javascript:x">`, `--><b>`, `]]>`, `&lt;b&gt;&#60;`,
	"\u202egnp.exe", "a\x00b\x1b[2J", "\xff\xfe", "x\r\n\r\n<p>", "{instance}", `' onload='x`, "https://evil.example/", strings.Repeat("漢", 5000),
}

// fill puts a text wherever there is one, and makes lists long.
func fill(v reflect.Value, s string, length int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s)
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(at))
			return
		}
		for n := range v.NumField() {
			fill(v.Field(n), s, length)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), length, length))
		for n := range length {
			fill(v.Index(n), s, length)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(s), reflect.ValueOf(s))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(1 << 30)
	}
}

// Whatever strangers wrote, and wherever it ends up, it is text.
func TestHostileText(t *testing.T) {
	for _, h := range hostile {
		var f report.Facts
		fill(reflect.ValueOf(&f).Elem(), h, 2)
		for _, kind := range []message.Kind{message.Terminated, message.Released, message.Kind(h)} {
			f.Kind = kind
			for _, code := range languages {
				for _, text := range alone(t, report.Page(in(t, code), f)) {
					if i := strings.IndexFunc(text, func(r rune) bool {
						return r < 0x20 && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r == 0xfffd
					}); i >= 0 {
						t.Errorf("%q gets through invisibly: %q", h, text)
					}
				}
			}
		}
	}
}

// An incident of thousands of everything still makes a page that opens.
func TestSize(t *testing.T) {
	var f report.Facts
	fill(reflect.ValueOf(&f).Elem(), strings.Repeat("漢", 5000), 10)
	f.Kind = message.KeptIsolated
	for n := range 5000 {
		f.Findings = append(f.Findings, incident.Finding{EventID: fmt.Sprint(n), EventTime: at.Add(time.Duration(n) * time.Minute), Title: "x"})
		f.Evidence.Snapshots.Missing = append(f.Evidence.Snapshots.Missing, fmt.Sprint("vol-", n))
		f.Decisions = append(f.Decisions, incident.Recorded{Decision: incident.Decision{Round: n, DecidedAt: at}})
		f.Objects = append(f.Objects, manifest.Object{Key: fmt.Sprint(n)})
	}
	for _, code := range languages {
		if n := len(report.Page(in(t, code), f)); n > 512<<10 {
			t.Errorf("%s: %d bytes", code, n)
		}
	}
}
