package message_test

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"cordon/internal/incident"
	"cordon/internal/message"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write golden files anew")

var at = time.Date(2026, 11, 24, 2, 16, 5, 0, time.UTC)

// letter has every fact that a mail of any kind may have.
func letter(kind message.Kind) message.Letter {
	f := incident.Finding{
		ID: "16afba5c5c43e07c9e3e5e2e544e95df", Type: "CryptoCurrency:EC2/BitcoinTool.B!DNS", Severity: 8, AccountID: "111122223333",
		Region: "ap-northeast-1", InstanceID: "i-0abcd1234ef567890", Title: "Bitcoin-related domain name queried.", Role: "ACTOR", Count: 3,
	}
	m := message.Letter{
		Kind: kind, Finding: f,
		Incident: incident.Incident{ID: "111122223333.ap-northeast-1.i-0abcd1234ef567890.1", Account: "111122223333", Region: "ap-northeast-1", InstanceID: f.InstanceID, Finding: f},
		Instance: incident.Instance{ID: f.InstanceID, Name: "web-1", Type: "m5.large", Platform: "linux", Lifecycle: "spot", Tags: map[string]string{"aws:autoscaling:groupName": "web-asg"}},
	}
	isolation := incident.Isolation{
		Report: incident.Report{Status: incident.OK}, Contained: true, At: at,
		Interfaces: []incident.Interface{{ID: "eni-0a", VPC: "vpc-0a", Where: incident.Capturing}, {ID: "eni-0b", VPC: "vpc-0b", Where: incident.Quarantined}},
		StaysOpen:  []string{"tracked-flows", "dns", "metadata", "time", "credentials", "endpoints", "central", "a-code-of-tomorrow"},
	}
	snapshots := incident.Snapshots{
		Report: incident.Report{Status: incident.Partial, Reason: "one volume has no snapshot"},
		Set: []incident.Snapshot{
			{ID: "snap-0a", VolumeID: "vol-0a", Device: "/dev/xvda", State: "pending", Progress: "42%", Locked: true, KMSKey: "arn:aws:kms:ap-northeast-1:111122223333:key/k"},
			{ID: "snap-0c", VolumeID: "vol-0a", Device: "/dev/xvda", State: "error", Reason: "Client error", Superseded: true},
			{ID: "snap-0b", VolumeID: "vol-0a", Device: "/dev/xvda", State: "completed", Duplicate: true},
		},
		Missing: []string{"vol-0c"}, NotIn: []string{"ephemeral0"},
		Notes: []incident.Note{
			{What: "hibernation"},
			{What: "shared", Detail: "vol-0a: i-0ffff"},
			{What: "later", Detail: "snap-0a: 2026-03-01T03:30:01Z of vol-0a, the first of 2026-03-01T03:00:00Z"},
			{What: "a-note-of-tomorrow", Detail: "x"},
		},
	}
	custody := incident.Custody{
		Report: incident.Report{Status: incident.Partial, Reason: "1 of 2 copied into account 999988887777; take the role: AccessDenied"}, Done: true, Account: "999988887777",
		Copies: []incident.Copy{
			{Source: "snap-0a", ID: "snap-0copy", State: incident.Copied, KMSKey: "arn:aws:kms:ap-northeast-1:999988887777:key/e", Locked: true},
			{Source: "snap-0d", State: incident.Transferring},
		},
	}
	memory := incident.Memory{Report: incident.Report{Status: incident.Skipped, Reason: "memory is off"}}
	protection := incident.Protection{
		Report: incident.Report{Status: incident.Partial, Reason: "not everything could be protected"},
		Set:    []string{"disableApiStop"}, Refused: []string{"disableApiTermination: not possible on Spot"},
		Scaling: incident.InService, Hazards: []string{"Auto Scaling group web-asg replaces instances older than 7 days"},
	}
	credentials := incident.Credentials{
		Report: incident.Report{Status: incident.OK}, State: incident.Narrowed, Role: "arn:aws:iam::111122223333:role/web", Policy: "cordon-" + f.InstanceID, Shared: []string{"i-0ffff"},
	}
	work := func() {
		m.Credentials = credentials
		m.Isolation, m.Snapshots, m.Memory, m.Protection, m.Custody = isolation, snapshots, memory, protection, custody
		m.Exposure = incident.Exposure{Openings: []incident.Opening{
			{What: "nat", State: incident.Found, Detail: "eni-0nat in vpc-0a"},
			{What: "transit", State: incident.None},
			{What: "session", State: incident.Unknown, Detail: "AccessDeniedException"},
			{What: "metadata", State: incident.Found, Detail: "IMDSv1"},
			{What: "cluster", State: incident.Found, Detail: "kubernetes.io/cluster/prod=owned"},
		}}
	}
	asked := []incident.Choice{incident.Terminate, incident.Keep, incident.Release}
	person := message.Decision{Choice: incident.Terminate, Person: "Aiko Tanaka", Reason: "confirmed by forensics", At: at}
	switch kind {
	case message.Contained:
		work()
	case message.NotContained:
		work()
		m.Isolation.Contained, m.Isolation.Interfaces[0].Where, m.Isolation.Interfaces[0].Reason = false, incident.Open, "requester-managed"
		m.Problem = incident.Problem{Error: "NotContained", Cause: `{"errorMessage":"isolate i-0abcd1234ef567890: eni-0a: requester-managed","errorType":"NotContained"}`}
	case message.Joined:
		m.Reason = "incident 111122223333.ap-northeast-1.i-0abcd1234ef567890.1 is open"
	case message.Decided:
		m.Reason = "a person decided on incident 111122223333.ap-northeast-1.i-0abcd1234ef567890.1 (released), and this finding is neither of a new type nor more severe"
	case message.Exempt:
		m.Reason = "i-0abcd1234ef567890 is on the list of exempt instances"
	case message.Foreign:
		m.Reason = "i-0abcd1234ef567890 belongs to account 999988887777, in which Cordon has no rights here"
	case message.NotRead:
		m.Incident, m.Instance = incident.Incident{}, incident.Instance{}
		m.Problem = incident.Problem{Error: "States.Timeout"}
	case message.Gone, message.Unreadable:
		m.Incident, m.Instance = incident.Incident{}, incident.Instance{}
		m.Problem = incident.Problem{Error: "InstanceNotFound", Cause: `{"errorMessage":"describe i-0abcd1234ef567890: InstanceNotFound","errorType":"InstanceNotFound"}`}
	case message.Undecided, message.NotSealed, message.CloseFailed:
		work()
		m.Isolation.Repaired = []string{"eni-0a: somebody had put it into sg-0evil"}
		m.Problem = incident.Problem{Error: "States.Timeout", Cause: ""}
	case message.Told:
		m.Incident, m.Instance, m.Finding.InstanceID, m.Finding.Type = incident.Incident{}, incident.Instance{}, "", "AttackSequence:IAM/CompromisedCredentials"
	case message.Stopped:
		m = message.Letter{Kind: kind, Execution: message.Execution{
			ARN: "arn:aws:states:ap-northeast-1:111122223333:execution:cordon:4b1d", Name: "4b1d", Status: "TIMED_OUT",
		}}
	case message.Asked:
		m.Choices = asked
		m.Link, m.Until = "https://api.example.com/d/111122223333.ap-northeast-1.i-0abcd1234ef567890.1.1/c2VjcmV0", at.Add(24*time.Hour)
	case message.Reminded, message.RemindedLater, message.OneOfTwo:
		if kind == message.OneOfTwo {
			m.Decision, m.Two, m.SignIn = person, true, true
			m.Decision.Part = incident.Unseconded
		}
		m.Choices, m.Left = asked, 20*time.Hour+59*time.Minute+40*time.Second
		m.Link, m.Until = "https://api.example.com/d/111122223333.ap-northeast-1.i-0abcd1234ef567890.1.1/c2VjcmV0", at.Add(24*time.Hour)
	case message.RemindedBefore:
		m.Choices, m.Left = []incident.Choice{incident.Isolate, incident.Leave}, 45*time.Minute
		m.Link, m.Until = "https://api.example.com/d/111122223333.ap-northeast-1.i-0abcd1234ef567890.1.1/c2VjcmV0", at.Add(time.Hour)
		m.Reason = "10 isolations began within an hour, and more are not begun without a person"
	case message.Escalated:
		work()
		m.Choices, m.Left, m.Until, m.Asked = asked, 12*time.Hour, at.Add(24*time.Hour), "security@example.com"
	case message.EscalatedBefore:
		m.Choices, m.Left, m.Until, m.Asked = []incident.Choice{incident.Isolate, incident.Leave}, 21*time.Hour, at.Add(24*time.Hour), "security@example.com"
		m.Reason = "10 isolations began within an hour, and more are not begun without a person"
	case message.AskedAgain:
		m.Choices = append([]incident.Choice{incident.Terminate, incident.TerminateAnyway}, asked[1:]...)
		m.Link, m.Until = "https://api.example.com/d/111122223333.ap-northeast-1.i-0abcd1234ef567890.1.2/c2VjcmV0", at.Add(24*time.Hour)
		m.Problem = incident.Problem{Error: "EvidenceIncomplete", Cause: `{"errorMessage":"evidence is not complete: volume vol-0a (/dev/xvda) has snapshot snap-0a, which is error (42%)","errorType":"EvidenceIncomplete"}`}
	case message.Terminated, message.KeptIsolated:
		work()
		if m.Decision = person; kind == message.KeptIsolated {
			m.Decision.Choice = incident.Keep
		}
	case message.Paused, message.Unlisted:
		m.Incident, m.Instance = incident.Incident{}, incident.Instance{}
		m.Reason = "Cordon is paused until 2026-11-24T08:00:00Z by /cordon/pause"
	case message.AskedBefore:
		m.Choices = []incident.Choice{incident.Isolate, incident.Leave}
		m.Link, m.Until = "https://api.example.com/d/111122223333.ap-northeast-1.i-0abcd1234ef567890.1.1/c2VjcmV0", at.Add(24*time.Hour)
		m.Reason = "10 isolations began within an hour, and more are not begun without a person"
	case message.NotIsolated:
		m.Reason, m.Problem = "10 isolations began within an hour, and more are not begun without a person", incident.Problem{Error: "States.Timeout"}
	case message.Rehearsed:
		m.Isolation = incident.Isolation{
			Report:     incident.Report{Status: incident.Skipped, Reason: "dry run"},
			Interfaces: []incident.Interface{{ID: "eni-0a", VPC: "vpc-0a", Where: incident.Open, Reason: "dry run: it would go from sg-0web into the capture group"}},
		}
		m.Snapshots = incident.Snapshots{Report: incident.Report{Status: incident.Skipped, Reason: "dry run: it would take one set of vol-0a"}, Done: true}
		m.Memory = incident.Memory{Report: incident.Report{Status: incident.Skipped, Reason: "dry run: it would capture 8 GiB"}, Done: true}
		m.Protection = incident.Protection{Report: incident.Report{Status: incident.Skipped, Reason: "dry run: it would set disableApiTermination"}}
		m.Brakes = []string{"a person would have been asked first: 10 isolations began within an hour"}
	case message.AskedLater:
		m.Link, m.Until = "https://api.example.com/d/111122223333.ap-northeast-1.i-0abcd1234ef567890.1.3/c2VjcmV0", at.Add(24*time.Hour)
		m.Choices, m.Reason = []incident.Choice{incident.Release}, "it was released, and not everything came back"
	case message.Unchanged:
		m.Reason, m.Problem = "it was kept isolated", incident.Problem{Error: "States.Timeout"}
	case message.ClosedGone:
		m.Snapshots, m.Memory = snapshots, memory
	case message.Answered:
		work()
		m.Decision = person
	case message.HalfReleased:
		m.Drifts = []incident.Drift{{Number: 1, Undone: []string{"eni-0a"}, Since: at, At: at.Add(2 * time.Minute), Unknown: "its events come some minutes after the call, and it has none yet"}}
	case message.Drifted, message.DriftedBy:
		work()
		m.Drifts = []incident.Drift{
			{Number: 2, Undone: []string{"eni-0a"}, Since: at, At: at.Add(5 * time.Minute), By: []incident.Doer{{
				Who: "arn:aws:sts::111122223333:assumed-role/Terraform/drift-job", Action: "ModifyNetworkInterfaceAttribute", From: "198.51.100.7", At: at.Add(time.Minute),
			}}},
		}
		if kind == message.Drifted {
			m.Drifts = append(m.Drifts, incident.Drift{Number: 3, Undone: []string{"sg-0quarantine"}, Since: at.Add(5 * time.Minute), At: at.Add(10 * time.Minute), Unknown: "it has none yet"})
		}
	case message.Switched:
		m = message.Letter{Kind: kind, Reason: "/cordon/pause: Update"}
	case message.Released:
		m.Snapshots, m.Memory, m.Decision = snapshots, memory, person
		m.Decision.Choice = incident.Release
		m.Restoration = incident.Restoration{
			Report: incident.Report{Status: incident.Partial, Reason: "one attribute is not back"}, Connected: true,
			Restored: []string{"eni-0a: groups sg-0web"}, NotBack: []string{"disableApiStop: denied"},
		}
	}
	return m
}

var languages = []string{"en", "ja"}

func in(t *testing.T, code string) message.Language {
	t.Helper()
	l, err := message.In(code)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestMails(t *testing.T) {
	for _, kind := range message.Kinds {
		for _, code := range languages {
			name := strings.ReplaceAll(string(kind), " ", "-") + "." + code + ".txt"
			t.Run(name, func(t *testing.T) {
				subject, body := in(t, code).Mail(letter(kind))
				got := "Subject: " + subject + "\n\n" + body
				file := filepath.Join("testdata", name)
				if *update {
					if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("mail differs from its golden file (-want +got):\n%s", diff)
				}
			})
		}
	}
}

// TestStoryComesFirst: on a lock screen there is the subject and the beginning of
// the first line. It names the instance, says what happened in one line, and what
// a person must do, the link once, the way without it, and what silence does.
func TestStoryComesFirst(t *testing.T) {
	const link, instance = "https://api.example.com/", "i-0abcd1234ef567890"
	asks := []message.Kind{message.Asked, message.AskedAgain, message.AskedBefore, message.AskedLater, message.Reminded, message.RemindedBefore, message.RemindedLater, message.OneOfTwo}
	tells := append(slices.Clone(asks), message.Escalated, message.EscalatedBefore, message.Joined, message.Undecided) // what to do without the link
	nameless := []message.Kind{message.Told, message.Stopped, message.Switched, message.Unreadable, message.CloseFailed}
	silence := map[string]string{"en": "If nobody decides", "ja": "決定がなければ"}
	for _, kind := range message.Kinds {
		for _, code := range languages {
			subject, body := in(t, code).Mail(letter(kind))
			first, _, _ := strings.Cut(body, "\n")
			if n := len([]rune(first)); n < 20 || n > 220 {
				t.Errorf("%s in %s: the first line has %d characters: %s", kind, code, n, first)
			}
			at := strings.Index(first, instance)
			if wanted := !slices.Contains(nameless, kind); wanted && (at < 0 || at > 90) {
				t.Errorf("%s in %s: the instance is not at the beginning: %s", kind, code, first)
			}
			if !slices.Contains(nameless, kind) && !strings.Contains(subject, instance) {
				t.Errorf("%s in %s: whose is the subject %s", kind, code, subject)
			}
			want := 0
			if slices.Contains(asks, kind) {
				want = 1
			}
			if n := strings.Count(body, link); n != want {
				t.Errorf("%s in %s: the link stands there %d times, want %d", kind, code, n, want)
			}
			if strings.Contains(subject, link) {
				t.Errorf("%s in %s: the link is in the subject", kind, code)
			}
			if has := strings.Contains(body, "cordon decide 111122223333."); slices.Contains(tells, kind) && !has {
				t.Errorf("%s in %s does not say how to decide without the link", kind, code)
			}
			if kind != message.Undecided && slices.Contains(tells, kind) && !strings.Contains(body, silence[code]) {
				t.Errorf("%s in %s does not say what happens if nobody decides", kind, code)
			}
		}
	}
}

// Nobody reads a mail with a hole in it.
func TestMailsHaveNoHoles(t *testing.T) {
	hole := regexp.MustCompile(`\{[a-z]+\}|%!|<nil>|\b(head|open|place|status|choice|does|page)\.[a-z]|0001-01-01`)
	for _, kind := range append(message.Kinds, "a kind of tomorrow") {
		for _, code := range languages {
			subject, body := in(t, code).Mail(letter(kind))
			bare, bareBody := in(t, code).Mail(message.Letter{Kind: kind})
			for _, s := range []string{subject, body, bare, bareBody} {
				if m := hole.FindString(s); m != "" {
					t.Errorf("%s in %s: %q is not for readers:\n%s", kind, code, m, s)
				}
			}
		}
	}
}

// Released names two endings of the world more: not all is back, and nothing
// was ever isolated.
func TestLeftAlone(t *testing.T) {
	m := letter(message.Released)
	m.Decision.Choice, m.Restoration = incident.Leave, incident.Restoration{Report: incident.Report{Status: incident.Skipped, Reason: "not released"}}
	for code, want := range map[string]string{"en": "left alone", "ja": "隔離しませんでした"} {
		subject, body := in(t, code).Mail(m)
		if !strings.Contains(subject, want) || strings.Contains(body, "put back") {
			t.Errorf("%s: %s\n%s", code, subject, body)
		}
	}
}

// What could not be processed is a finding, or an operator's wish: of that the incident
// is known, and what is to be done is to decide again.
func TestWishThatWasNotRead(t *testing.T) {
	m := message.Letter{Kind: message.NotRead, Incident: letter(message.Contained).Incident, Problem: incident.Problem{Error: "States.Timeout"}}
	for code, want := range map[string]string{"en": "no signed report", "ja": "署名付き報告はありません"} {
		subject, body := in(t, code).Mail(m)
		if !strings.Contains(subject, m.Incident.InstanceID) || !strings.Contains(body, "cordon decide "+m.Incident.ID) || !strings.Contains(body, want) {
			t.Errorf("%s: %s\n%s", code, subject, body)
		}
	}
}

// A closing that failed after a release: people are told what is not back, and not
// that the instance is isolated.
func TestClosingFailedAfterARelease(t *testing.T) {
	m := letter(message.CloseFailed)
	m.Decision = message.Decision{Choice: incident.Release, Person: "Aiko Tanaka"}
	m.Restoration = incident.Restoration{Report: incident.Report{Status: incident.Partial}, NotBack: []string{"eni-0a: sg-0web no longer exists"}}
	for code, want := range map[string]string{"en": "NOT all is back", "ja": "一部未復元"} {
		subject, body := in(t, code).Mail(m)
		if !strings.Contains(subject, want) || !strings.Contains(body, "eni-0a: sg-0web no longer exists") || strings.Contains(body, in(t, code).Text("head.contained")) {
			t.Errorf("%s: %s\n%s", code, subject, body)
		}
	}
}

// A release that failed before people decided otherwise is not what was done.
func TestClosingFailedAfterAReleaseThatFailed(t *testing.T) {
	m := letter(message.CloseFailed)
	m.Restoration = incident.Restoration{Report: incident.Report{Status: incident.Failed, Reason: "AccessDenied"}}
	for code, released := range map[string]string{"en": "NOT all is back", "ja": "一部未復元"} {
		for _, m.Decision.Choice = range []incident.Choice{incident.Keep, incident.Terminate} {
			if subject, body := in(t, code).Mail(m); strings.Contains(subject, released) {
				t.Errorf("%s, %s: %s\n%s", code, m.Decision.Choice, subject, body)
			}
		}
	}
}

// What the guide asks of the first mail.
func TestContainedInJapanese(t *testing.T) {
	subject, body := in(t, "ja").Mail(letter(message.Contained))
	if want := "[緊急] EC2インスタンスを自動隔離しました: i-0abcd1234ef567890"; subject != want {
		t.Errorf("subject %q, want %q", subject, want)
	}
	for _, want := range []string{
		"インスタンスID: i-0abcd1234ef567890", "脅威タイプ: CryptoCurrency:EC2/BitcoinTool.B!DNS", "重大度: 8 (高)",
		"GuardDutyコンソールで検出結果を確認してください",
		"https://ap-northeast-1.console.aws.amazon.com/guardduty/home?region=ap-northeast-1#/findings?search=id%3D16afba5c5c43e07c9e3e5e2e544e95df",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the body lacks %q:\n%s", want, body)
		}
	}
}

// hostile is what an intruder who names things may write.
var hostile = []string{
	"x\r\nDecide here:\r\nhttps://evil.example/d/1/2",
	"x\u2028Contained\u2029", "x\x00\x1b[2J\x7f\u0085", "\u202egnp.exe\u2066\u2069\u200e", "a\u200bb\u200d\ufeff\u00adc",
	"\u3164\u115f\u1160\uffa0\u2800\u034f\ufe0f\U000e0041", "\xff\xfe", "Z" + strings.Repeat("\u0301", 50), strings.Repeat("漢", 5000),
	`" (Contained) "`, "」隔離済み「", "{instance}{at}", "<script>alert(1)</script>",
}

func TestHostileText(t *testing.T) {
	for _, h := range hostile {
		for _, kind := range message.Kinds {
			for _, code := range languages {
				m := letter(kind)
				if kind != message.Stopped {
					m.Finding.Title, m.Finding.Type, m.Finding.Role = h, h, h
					m.Instance.Name, m.Instance.Type, m.Instance.Platform, m.Instance.Lifecycle = h, h, h, h
					m.Instance.Tags = map[string]string{"aws:autoscaling:groupName": h}
					m.Decision.Reason, m.Decision.Person = h, h
				}
				m.Reason, m.Problem, m.Brakes = h, incident.Problem{Error: h, Cause: h}, []string{h}
				m.Execution = message.Execution{Name: h, Status: h, Error: h, ARN: h}
				m.Isolation.StaysOpen = append(m.Isolation.StaysOpen, h)
				m.Isolation.Interfaces = append(m.Isolation.Interfaces, incident.Interface{ID: h, VPC: h, Where: incident.Place(h), Reason: h})
				m.Isolation.Repaired, m.Restoration.NotBack, m.Restoration.Restored = []string{h}, []string{h}, []string{h}
				m.Credentials.Role, m.Credentials.Policy, m.Credentials.Shared, m.Credentials.Reason = h, h, []string{h}, h
				m.Protection.Refused, m.Protection.Hazards, m.Snapshots.Missing, m.Snapshots.NotIn = []string{h}, []string{h}, []string{h}, []string{h}
				m.Snapshots.Set = append(m.Snapshots.Set, incident.Snapshot{ID: h, VolumeID: h, Device: h, State: h, KMSKey: h, Progress: h, Reason: h})
				m.Snapshots.Notes = append(m.Snapshots.Notes, incident.Note{What: h, Detail: h}, incident.Note{What: "shared", Detail: h})
				m.Memory.Object, m.Memory.SHA256, m.Memory.Reason = h, h, h
				subject, body := in(t, code).Mail(m)

				if strings.ContainsFunc(subject+strings.ReplaceAll(body, "\n", ""), forbidden) {
					t.Errorf("%s, %s: %q gets through invisibly:\n%q\n%q", kind, code, h, subject, body)
				}
				for _, line := range strings.Split(body, "\n") {
					if strings.HasPrefix(line, "https://") && !strings.HasPrefix(line, "https://api.example.com/") && !strings.HasPrefix(line, "https://ap-northeast-1.console.aws.amazon.com/") {
						t.Errorf("%s, %s: %q makes a line of its own: %q", kind, code, h, line)
					}
					if utf8.RuneCountInString(line) > 1600 {
						t.Errorf("%s, %s: a line of %d characters", kind, code, utf8.RuneCountInString(line))
					}
				}
				if strings.Contains(body, "://evil") {
					t.Errorf("%s, %s: a stranger's link can be clicked:\n%s", kind, code, body)
				}
				if len(body) > 60<<10 {
					t.Errorf("%s, %s: a body of %d bytes", kind, code, len(body))
				}
			}
		}
	}
}

// forbidden are characters that a reader does not see, or that move others.
func forbidden(r rune) bool {
	return r < 0x20 || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f ||
		r == 0xfeff || r == 0xad || r == 0xfffd || r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0000 || r == 0x3164 || r == 0x115f || r == 0x2800 || r == 0x34f
}

// A subject that SNS refuses is a mail that nobody gets.
func TestSubjects(t *testing.T) {
	ids := append([]string{"i-0abcd1234ef567890", "", "i-" + strings.Repeat("a", 300), "i-1 released, all is well"}, hostile...)
	for _, id := range ids {
		for _, kind := range message.Kinds {
			for _, code := range languages {
				m := letter(kind)
				m.Incident.InstanceID, m.Instance.ID, m.Finding.InstanceID = id, id, id
				subject, _ := in(t, code).Mail(m)
				n := utf8.RuneCountInString(subject)
				if n == 0 || n >= 100 || !utf8.ValidString(subject) || strings.ContainsFunc(subject, forbidden) {
					t.Errorf("%s, %s: subject of %d characters: %q", kind, code, n, subject)
				}
				if id == "i-0abcd1234ef567890" && kind != message.Stopped && kind != message.Switched && !strings.Contains(subject, id) {
					t.Errorf("%s, %s: the subject has lost the instance: %q", kind, code, subject)
				}
				if strings.Contains(subject, "all is well") {
					t.Errorf("%s, %s: an identifier reads like a sentence: %q", kind, code, subject)
				}
			}
		}
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"日本語 テキスト　全角":         "日本語 テキスト　全角",
		"café":                "café",
		"a\nb":                "a[U+000A]b",
		"\u202eb":             "[U+202E]b",
		"https://a.example/b": "https[:]//a.example/b",
		"0123456789abcdef":    "012345678…",
	} {
		limit := 40
		if strings.HasPrefix(in, "0123") {
			limit = 10
		}
		if got := message.Plain(in, limit); got != want {
			t.Errorf("Plain(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestProblem(t *testing.T) {
	l := in(t, "en")
	for _, c := range []struct {
		problem incident.Problem
		want    string
	}{
		{incident.Problem{}, ""},
		{incident.Problem{Error: "States.Timeout"}, "a step did not answer in time (States.Timeout)"},
		{
			incident.Problem{Error: "UnauthorizedOperation", Cause: `{"errorMessage":"describe i-1: denied","errorType":"UnauthorizedOperation"}`},
			"AWS denied the call: the function's role or a service control policy forbids it (UnauthorizedOperation): describe i-1: denied",
		},
		{incident.Problem{Error: "Odd", Cause: `{"errorType":"Odd"}`}, "Odd"},
		{incident.Problem{Error: "Odd", Cause: `["not ours"]`}, `Odd: ["not ours"]`},
	} {
		if got := l.Problem(c.problem); got != c.want {
			t.Errorf("%+v: %q, want %q", c.problem, got, c.want)
		}
	}
}

func TestFindingURL(t *testing.T) {
	for _, c := range []struct{ region, id, want string }{
		{"us-east-1", "16af", "https://us-east-1.console.aws.amazon.com/guardduty/home?region=us-east-1#/findings?search=id%3D16af"},
		{"cn-north-1", "16af", "https://cn-north-1.console.amazonaws.cn/guardduty/home?region=cn-north-1#/findings?search=id%3D16af"},
		{"us-gov-west-1", "16af", "https://us-gov-west-1.console.amazonaws-us-gov.com/guardduty/home?region=us-gov-west-1#/findings?search=id%3D16af"},
		{"us-east-1", "a b&c\n", "https://us-east-1.console.aws.amazon.com/guardduty/home?region=us-east-1#/findings?search=id%3Da+b%26c%0A"},
		{"evil.example/", "16af", ""},
		{"", "16af", ""},
		{"us-east-1", "", ""},
	} {
		if got := message.FindingURL(c.region, c.id); got != c.want {
			t.Errorf("FindingURL(%q, %q) = %q, want %q", c.region, c.id, got, c.want)
		}
	}
}

// What was isolated is said of what still is, and only of that.
func TestEndingsTellTheEnd(t *testing.T) {
	for _, kind := range []message.Kind{message.Terminated, message.Released} {
		m, held := letter(kind), letter(message.KeptIsolated)
		m.Isolation, m.Protection = held.Isolation, held.Protection
		_, body := in(t, "en").Mail(m)
		if strings.Contains(body, "eni-0b (vpc-0b)") || strings.Contains(body, "disableApiTermination") {
			t.Errorf("%s: the mail says that it is isolated or protected:\n%s", kind, body)
		}
	}
	whole := letter(message.Released)
	whole.Restoration = incident.Restoration{Report: incident.Report{Status: incident.OK}, Connected: true, Restored: []string{"eni-0a: groups sg-0web"}}
	subject, body := in(t, "en").Mail(whole)
	if story, _, _ := strings.Cut(body, "\n"); strings.Contains(subject+story, "NOT") {
		t.Errorf("everything is back, and the mail says otherwise: %s\n%s", subject, story)
	}
}

// A group that may destroy the evidence is told while somebody can act, as
// text that a stranger wrote; an instance without one is not worth a warning.
func TestAutoScalingGroup(t *testing.T) {
	const quoted = "Auto Scaling group \"web-asg\""
	warned := []message.Kind{message.Contained, message.NotContained, message.Asked}
	for _, kind := range message.Kinds {
		m := letter(kind)
		_, body := in(t, "en").Mail(m)
		if got, want := strings.Contains(body, quoted), slices.Contains(warned, kind); got != want {
			t.Errorf("%s: warns of the group: %v, want %v:\n%s", kind, got, want, body)
		}
		for _, scaling := range []incident.Scaling{incident.Ungrouped, incident.Standby, incident.Detached} {
			safe := m
			safe.Protection.Scaling = scaling
			if _, body := in(t, "en").Mail(safe); strings.Contains(body, "ReplaceUnhealthy") {
				t.Errorf("%s: warns of a group that the instance is out of (%s):\n%s", kind, scaling, body)
			}
		}
		for name, tags := range map[string]map[string]string{
			"no tags": nil, "no group": {"Name": "web-asg"}, "a tag much like it": {"autoscaling:groupName": "web-asg"}, "a nameless group": {"aws:autoscaling:groupName": ""},
		} {
			m.Instance.Tags = tags
			for _, code := range languages {
				if _, body := in(t, code).Mail(m); strings.Contains(body, "ReplaceUnhealthy") {
					t.Errorf("%s in %s, %s: warns of a group that is none:\n%s", kind, code, name, body)
				}
			}
		}
	}
}

// Evidence that is still on its way is not called done.
func TestEvidenceUnderWay(t *testing.T) {
	ok := incident.Report{Status: incident.OK}
	l := in(t, "en")
	for _, c := range []struct {
		done bool
		want []string
	}{
		{false, []string{"Snapshots of the volumes: under way", "Memory: under way"}},
		{true, []string{"Snapshots of the volumes: ok", "Memory: ok"}},
	} {
		got := l.Taken(incident.Evidence{Snapshots: incident.Snapshots{Report: ok, Done: true, Complete: c.done}, Memory: incident.Memory{Report: ok, Done: c.done}})
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("done %v (-want +got):\n%s", c.done, diff)
		}
	}
}

// TestImageIsNoneBeforeItsEnd: until the upload is completed there is no image under
// the key that its record names, however the capture went.
func TestImageIsNoneBeforeItsEnd(t *testing.T) {
	for _, status := range []incident.Status{incident.OK, incident.Partial} {
		for _, done := range []bool{true, false} {
			m := incident.Memory{Report: incident.Report{Status: status, Reason: "8 of 16 bytes"}, Done: done, Object: "memory/image.lime", Bytes: 8}
			said := strings.Contains(strings.Join(in(t, "en").Taken(incident.Evidence{Memory: m}), "\n"), m.Object)
			if said != done {
				t.Errorf("%s, done %v: that an image was taken is said: %v", status, done, said)
			}
		}
	}
}

func TestUnknownLanguage(t *testing.T) {
	if _, err := message.In("fr"); err == nil || !strings.Contains(err.Error(), "en or ja") {
		t.Errorf("error %v, want one that names en and ja", err)
	}
}
