//go:build e2e && linux

package e2e_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon/e2e"
	"cordon/internal/rehearsal"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// TestIncidents runs every scene on an instance of its own, side by side, in one
// deployment.
func TestIncidents(t *testing.T) {
	d := deploy(t)
	all := map[string]func(*testing.T, *deployment){
		"terminate": terminate, "keep, with a scanner": scanned, "release": release, "release into service": intoService, "no agent": noAgent, "seven findings at once": crowd,
		"isolate is killed": killed, "EC2 throttles": throttled, "EC2 throttles for long": throttledForLong, "posted twice at once": twice, "nobody answers for long": reminded,
		"undone while asked": undone,
	}
	if why := noGuest(); why == "" {
		all["memory of a guest"] = capturesAGuest
	} else {
		tell("memory of a guest: left out: %s", why)
	}
	t.Run("scenes", func(t *testing.T) {
		t.Run("limits", func(t *testing.T) {
			t.Parallel()
			limits(t, d)
		})
		for name, scene := range all {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				began := time.Now()
				scene(t, d)
				if !t.Failed() {
					tell("%s: as rehearsed, %.1f s", name, time.Since(began).Seconds())
				}
			})
		}
	})
	if n := d.proxy.Left(); n > 0 {
		t.Errorf("%d faults never hit", n)
	}
	for _, odd := range d.proxy.Odd() {
		t.Error(odd)
	}
}

// decide opens the page and posts a choice, as a person does.
func (sc *scene) decide(link, choice string) {
	sc.Helper()
	status, page := sc.visit(http.MethodGet, link, nil)
	if status != http.StatusOK || !strings.Contains(page, sc.instance) {
		sc.Fatalf("the page is %d:\n%s", status, page)
	}
	status, page = sc.visit(http.MethodPost, link, rehearsal.Form(page, choice, sc.instance))
	if status != http.StatusOK {
		sc.Fatalf("the decision is answered with %d:\n%s", status, page)
	}
}

// decisions are the choices in the decisions table for this scene's instance.
func (sc *scene) decisions() []string {
	sc.Helper()
	pages := dynamodb.NewScanPaginator(sc.d.dynamodb, &dynamodb.ScanInput{TableName: aws.String(sc.d.outputs["DecisionsTableName"])})
	var all []string
	for pages.HasMorePages() {
		page, err := pages.NextPage(sc.Context())
		sc.must(err)
		for _, item := range page.Items {
			body, ok := item["body"].(*dynamodbtypes.AttributeValueMemberS)
			if ok && strings.Contains(body.Value, sc.instance) {
				_, choice, _ := strings.Cut(body.Value, `"choice":"`)
				choice, _, _ = strings.Cut(choice, `"`)
				all = append(all, choice)
			}
		}
	}
	return all
}

// kept holds what every incident leaves behind: two snapshots, complete, tagged
// and locked, and an incident in the record that ended so.
func (sc *scene) kept(state string) {
	sc.Helper()
	var volumes []string
	for _, s := range sc.snapshots() {
		volumes = append(volumes, *s.VolumeId)
		tags := map[string]string{}
		for _, t := range s.Tags {
			tags[*t.Key] = *t.Value
		}
		if s.State != types.SnapshotStateCompleted || tags["cordon:instance"] != sc.instance || tags["cordon:stack"] != stack || tags["cordon:volume"] != *s.VolumeId {
			sc.Errorf("snapshot %s is %s and has the tags %v", *s.SnapshotId, s.State, tags)
		}
		if !sc.d.ours.Locks.Locked(*s.SnapshotId) {
			sc.Errorf("snapshot %s is not locked", *s.SnapshotId)
		}
	}
	slices.Sort(volumes)
	if diff := cmp.Diff(slices.Sorted(slices.Values(sc.volumes)), volumes); diff != "" {
		sc.Errorf("volumes that have a snapshot (-want +got):\n%s", diff)
	}
	out, err := sc.d.dynamodb.GetItem(sc.Context(), &dynamodb.GetItemInput{TableName: aws.String(sc.d.outputs["IncidentsTableName"]), Key: map[string]dynamodbtypes.AttributeValue{
		"pk": &dynamodbtypes.AttributeValueMemberS{Value: account + "." + region + "." + sc.instance}, "sk": &dynamodbtypes.AttributeValueMemberS{Value: "incident#000001"},
	}})
	sc.must(err)
	if got, ok := out.Item["state"].(*dynamodbtypes.AttributeValueMemberS); !ok || got.Value != state {
		sc.Errorf("the incident in the record: %v; want state %q", out.Item["state"], state)
	}
}

// image holds that the host's memory is in the evidence bucket, locked.
func (sc *scene) image() {
	sc.Helper()
	out, err := sc.d.s3.HeadObject(sc.Context(), &s3.HeadObjectInput{
		Bucket: aws.String(sc.d.outputs["EvidenceBucketName"]), Key: aws.String("incidents/" + account + "." + region + "." + sc.instance + ".1/memory/image.lime"),
	})
	sc.must(err)
	if *out.ContentLength != 20<<20 || out.ObjectLockMode != "GOVERNANCE" {
		sc.Errorf("the memory image has %d bytes and lock %q", *out.ContentLength, out.ObjectLockMode)
	}
}

func (sc *scene) in(want map[string][]string) {
	sc.Helper()
	if diff := cmp.Diff(want, sc.groups()); diff != "" {
		sc.Errorf("groups of the interfaces (-want +got):\n%s", diff)
	}
}

func (sc *scene) decided(want ...string) {
	sc.Helper()
	if diff := cmp.Diff(want, sc.decisions()); diff != "" {
		sc.Errorf("decisions in the record (-want +got):\n%s", diff)
	}
}

// incident runs one finding to its decision.
func (sc *scene) incident(choice string, faults ...string) {
	sc.Helper()
	sc.publish(sc.finding(nil))
	link := sc.link()
	sc.evidence()
	sc.decide(link, choice)
	x := sc.ended(1)[0]
	sc.same(x, sc.rehearse(sc.before, x.input, choice, faults...))
	sc.decided(choice)
}

func terminate(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 2, agent: true})
	sc.incident("terminate")
	if state := sc.described().State.Name; state != types.InstanceStateNameTerminated {
		t.Errorf("the instance is %s", state)
	}
	sc.kept("terminated")
	sc.image()
}

// scanned is a mail scanner that opens the link, in both ways that decide
// nothing, before a person does.
func scanned(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 2, agent: true})
	sc.publish(sc.finding(nil))
	link := sc.link()
	sc.evidence()
	for range 5 {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if status, page := sc.visit(method, link, nil); status != http.StatusOK {
				t.Errorf("%s is answered with %d:\n%s", method, status, page)
			}
		}
	}
	sc.decided()
	if all := sc.executions(); len(all) != 1 || all[0].ending != "" {
		t.Fatalf("after a scanner's visits: %v", all)
	}
	sc.decide(link, "keep")
	x := sc.ended(1)[0]
	sc.same(x, sc.rehearse(sc.before, x.input, "keep"))
	sc.decided("keep")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")
	sc.image()
}

func release(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 2, agent: true})
	sc.incident("release")
	sc.in(sc.everywhere("web"))
	sc.kept("released")
}

// intoService is an instance that is sent work, and whose role's credentials are
// denied to it meanwhile.
func intoService(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 1, agent: true, served: true})
	before := sc.working()
	sc.publish(sc.finding(nil))
	link := sc.link()
	sc.evidence()
	if diff := cmp.Diff([]string{sc.served + " Standby"}, sc.working()); diff != "" {
		t.Errorf("where the instance works while it is isolated (-want +got):\n%s", diff)
	}
	sc.eventually("the credentials are denied", func() bool { return len(sc.policies()) == 1 })
	sc.decide(link, "release")
	x := sc.ended(1)[0]
	sc.same(x, sc.rehearse(sc.before, x.input, "release"))
	sc.in(sc.everywhere("web"))
	sc.kept("released")
	if diff := cmp.Diff(before, sc.working()); diff != "" || len(before) != 5 {
		t.Errorf("where the instance works (-before +after):\n%s", diff)
	}
	if left := sc.policies(); len(left) > 0 {
		t.Errorf("the role still has the policies %v", left)
	}
}

func noAgent(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 2})
	sc.incident("keep")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")
	if !slices.ContainsFunc(sc.mails(), func(m mail) bool { return strings.Contains(m.Message, "no SSM agent") }) {
		t.Error("no mail tells that there is no SSM agent")
	}
}

// reminded are people who do not answer for half of the time that they have: they
// are reminded with the link that they have, which decides, and others are told
// without it.
func reminded(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 1})
	sc.publish(sc.finding(nil))
	link := sc.link()
	sc.evidence()
	const long = 13 * time.Hour
	sc.passes(long)
	about := func(begins string) (all []mail) {
		for _, m := range sc.mails() {
			if strings.HasPrefix(m.Subject, begins) {
				all = append(all, m)
			}
		}
		return all
	}
	sc.eventually("people are reminded and others told", func() bool { return len(about("[DECIDE] Nobody")) > 0 && len(about("[ESCALATION]")) > 0 })
	if m := about("[DECIDE] Nobody")[0].Message; strings.Count(m, link) != 1 {
		t.Errorf("the reminder has not the link of the first mail, once:\n%s", m)
	}
	if m := about("[ESCALATION]")[0].Message; strings.Contains(m, "/d/") || !strings.Contains(m, "cordon decide") {
		t.Errorf("the escalation has a link, or no way to decide:\n%s", m)
	}
	sc.decide(link, "keep")
	x := sc.ended(1)[0]
	sc.sameInTime(x, sc.rehearseWith(sc.before, x.input, func(q rehearsal.Question) {
		q.Sleep(long)
		rehearsal.Decides("keep")(q)
	}))
	sc.decided("keep")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")
}

// passes makes time pass for the request that is open: it was opened, and ends, so
// much earlier.
func (sc *scene) passes(long time.Duration) {
	sc.Helper()
	table, key := aws.String(sc.d.outputs["IncidentsTableName"]), map[string]dynamodbtypes.AttributeValue{
		"pk": &dynamodbtypes.AttributeValueMemberS{Value: "request#" + account + "." + region + "." + sc.instance + ".1"}, "sk": &dynamodbtypes.AttributeValueMemberS{Value: "request#001"},
	}
	out, err := sc.d.dynamodb.GetItem(sc.Context(), &dynamodb.GetItemInput{TableName: table, Key: key, ConsistentRead: aws.Bool(true)})
	sc.must(err)
	text, ok := out.Item["body"].(*dynamodbtypes.AttributeValueMemberS)
	if !ok {
		sc.Fatalf("the request is %v", out.Item)
	}
	var body map[string]any
	sc.must(json.Unmarshal([]byte(text.Value), &body))
	for _, name := range []string{"openedAt", "expiresAt"} {
		at, err := time.Parse(time.RFC3339Nano, fmt.Sprint(body[name]))
		sc.must(err)
		body[name] = at.Add(-long).Format(time.RFC3339Nano)
	}
	earlier, err := json.Marshal(body)
	sc.must(err)
	_, err = sc.d.dynamodb.UpdateItem(sc.Context(), &dynamodb.UpdateItemInput{
		TableName: table, Key: key, UpdateExpression: aws.String("SET body = :b"),
		ExpressionAttributeValues: map[string]dynamodbtypes.AttributeValue{":b": &dynamodbtypes.AttributeValueMemberS{Value: string(earlier)}},
	})
	sc.must(err)
}

// undone is an isolation that somebody undoes while people are asked: the next look
// puts it right, and they are told before they decide.
func undone(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 2})
	sc.publish(sc.finding(nil))
	link := sc.link()
	sc.evidence()
	_, err := d.ec2.ModifyNetworkInterfaceAttribute(t.Context(), &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &sc.interfaces[0], Groups: []string{sc.web}})
	sc.must(err)
	told := func() bool {
		return slices.ContainsFunc(sc.mails(), func(m mail) bool {
			return strings.Contains(m.Subject, "undid") && strings.Contains(m.Message, sc.interfaces[0])
		})
	}
	sc.eventually("it is put right, and people are told", func() bool {
		return told() && maps.EqualFunc(sc.groups(), sc.everywhere("quarantine-sg"), slices.Equal)
	})
	sc.decide(link, "keep")
	x := sc.ended(1)[0]
	var before map[string]any
	sc.must(json.Unmarshal(sc.before, &before))
	before["Behaviour"] = map[string]any{
		"CloudTrailSeconds": 1e6, // nobody says here who it was
		"Undone":            []any{map[string]any{"Seconds": 1800, "NetworkInterfaceId": sc.interfaces[0], "Groups": []string{sc.web}, "Arn": "arn:aws:iam::" + account + ":user/somebody"}},
	}
	undoing, err := json.Marshal(before)
	sc.must(err)
	sc.same(x, sc.rehearse(undoing, x.input, "keep"))
	sc.decided("keep")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")
}

// crowd is the same finding five times and two others, all at once.
func crowd(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 2, agent: true})
	other := func(kind, id string) map[string]any {
		return sc.finding(func(detail map[string]any) { detail["type"], detail["id"] = kind, id })
	}
	same := sc.finding(nil)
	sc.publish(same, same, same, same, same,
		other("CryptoCurrency:EC2/BitcoinTool.B!DNS", "000000000000000000000000000000b2"), other("Backdoor:EC2/Spambot", "000000000000000000000000000000b3"))
	link := sc.link()
	sc.evidence()
	sc.eventually("six executions that ended", func() bool {
		n := 0
		for _, x := range sc.executions() {
			if x.ending != "" {
				n++
			}
		}
		return n == 6
	})
	sc.decide(link, "keep")
	all := sc.ended(7)
	n := slices.IndexFunc(all, func(x execution) bool { return x.ending == "Kept isolated" })
	if n < 0 {
		t.Fatalf("none was kept isolated: %v", all)
	}
	first := sc.rehearse(sc.before, all[n].input, "keep")
	sc.sameWay(all[n], first)
	// The others come while it is open, as it is where nobody decides.
	open := sc.rehearse(sc.before, all[n].input, "").Account
	mails := rehearsedSubjects(first)
	for _, x := range slices.Delete(slices.Clone(all), n, n+1) {
		joined := sc.rehearse(open, x.input, "")
		if joined.Ending != "Joined open incident" {
			t.Errorf("rehearsed, a second finding ends %q", joined.Ending)
		}
		sc.sameWay(x, joined)
		if diff := cmp.Diff(rehearsed(sc, joined).of(x.event(sc)), sc.changes().of(x.event(sc))); diff != "" {
			t.Errorf("other changes of a finding that joins (-rehearsed +run):\n%s", diff)
		}
		mails = append(mails, rehearsedSubjects(joined)...)
	}
	sc.eventually("as many mails as in the rehearsals", func() bool { return len(sc.mails()) >= len(mails) })
	if diff := cmp.Diff(slices.Sorted(slices.Values(mails)), slices.Sorted(slices.Values(subjects(sc.mails())))); diff != "" {
		t.Errorf("other mails (-rehearsed +run):\n%s", diff)
	}
	sc.decided("keep")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")
	// What is done to the instance is what one finding does; the record has more.
	want, got := rehearsed(sc, first), sc.changes()
	for _, c := range []changes{want, got} {
		for subject := range c {
			if strings.HasPrefix(subject, account) || strings.HasPrefix(subject, "bucket events/") {
				delete(c, subject)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("other changes (-rehearsed once +run):\n%s", diff)
	}
}

// killed is isolate ended by SIGKILL while an interface is open to the world.
func killed(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 1, agent: true})
	d.proxy.Spoil(e2e.Fault{Hits: sc.moves, Times: 1, Kill: true})
	sc.incident("keep", "ec2:ModifyNetworkInterfaceAttribute#1=killed-after")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")
}

// moves says whether a call moves an interface of this scene.
func (sc *scene) moves(c e2e.Call) bool {
	return c.Action == "ModifyNetworkInterfaceAttribute" && slices.Contains(sc.interfaces, c.Parameters.Value("NetworkInterfaceId"))
}

// throttled is EC2 that refuses for as long as the SDK is patient.
func throttled(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 1, agent: true})
	d.proxy.Spoil(e2e.Fault{Hits: sc.moves, Times: 3, Code: "RequestLimitExceeded"})
	sc.incident("keep")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")
}

// throttledForLong is EC2 that refuses for longer: the interface goes straight
// into its group, and people are told what may live on.
func throttledForLong(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 1, agent: true})
	d.proxy.Spoil(e2e.Fault{Hits: sc.moves, Times: 6, Code: "RequestLimitExceeded"})
	sc.incident("keep", "ec2:ModifyNetworkInterfaceAttribute#1=throttled")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")
}

// twice is a form that is posted twice at once with different choices: one of
// them stands, and the other is told so.
func twice(t *testing.T, d *deployment) {
	sc := newScene(t, d, setting{interfaces: 1, agent: true})
	sc.publish(sc.finding(nil))
	link := sc.link()
	sc.evidence()
	_, page := sc.visit(http.MethodGet, link, nil)
	var posted sync.WaitGroup
	status := make([]int, 2)
	choices := []string{"keep", "terminate"}
	for n, choice := range choices {
		posted.Go(func() {
			status[n], _ = sc.visit(http.MethodPost, link, rehearsal.Form(page, choice, sc.instance))
		})
	}
	posted.Wait()
	// Who was not first delivers what stands, and if that is faster, the first finds
	// that nobody waits any more.
	first := slices.IndexFunc(status, func(s int) bool { return s == http.StatusOK || s == http.StatusGone })
	if first < 0 || status[1-first] != http.StatusConflict {
		t.Fatalf("the two are answered with %v", status)
	}
	x := sc.ended(1)[0]
	sc.same(x, sc.rehearse(sc.before, x.input, choices[first]))
	sc.decided(choices[first])
	sc.kept(map[string]string{"keep": "kept", "terminate": "terminated"}[choices[first]])
}
