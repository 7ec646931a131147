package enrich_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/enrich"
	"cordon/internal/incident"
	"cordon/internal/record"
	"cordon/internal/sim"

	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/google/go-cmp/cmp"
)

// changedFile is the account file with changes to its top level.
func changedFile(t *testing.T, change map[string]any) string {
	t.Helper()
	var all map[string]any
	if err := json.Unmarshal([]byte(file), &all); err != nil {
		t.Fatal(err)
	}
	for k, v := range change {
		all[k] = v
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// paused is an account whose switch was written an hour ago.
func paused(t *testing.T, value string) string {
	t.Helper()
	return changedFile(t, map[string]any{"Parameters": []any{map[string]any{
		"Name": pauseSwitch, "Type": "String", "Value": value, "LastModifiedDate": begun.Add(-time.Hour).Format(time.RFC3339),
	}}})
}

// many is an account with instances i-1 to i-n; the first of them make up a group.
func many(t *testing.T, n, grouped, desired int) string {
	t.Helper()
	var instances, interfaces, members []any
	for k := range n {
		id := fmt.Sprintf("i-%d", k+1)
		instances = append(instances, map[string]any{"InstanceId": id, "InstanceType": "m7g.large", "State": map[string]any{"Code": 16, "Name": "running"}})
		interfaces = append(interfaces, map[string]any{
			"NetworkInterfaceId": "eni-" + id, "VpcId": "vpc-1", "SubnetId": "subnet-1", "Groups": []any{map[string]any{"GroupId": "sg-web"}},
			"Attachment": map[string]any{"AttachmentId": "a-" + id, "InstanceId": id, "DeviceIndex": 0, "AttachTime": attached},
		})
		if k < grouped {
			members = append(members, map[string]any{"InstanceId": id, "AutoScalingGroupName": "web", "LifecycleState": "InService"})
		}
	}
	change := map[string]any{"Reservations": []any{map[string]any{"Instances": instances}}, "NetworkInterfaces": interfaces, "AutoScalingInstances": members, "VpcEndpoints": []any{}}
	if desired > 0 {
		change["AutoScalingGroups"] = []any{map[string]any{"AutoScalingGroupName": "web", "DesiredCapacity": desired, "MinSize": 0, "MaxSize": 100}}
	}
	return changedFile(t, change)
}

// on is the finding about another instance.
func on(id string, pairs ...string) string {
	return strings.NewReplacer(append([]string{`"instanceId": "i-1"`, `"instanceId": "` + id + `"`, `"id": "f-1"`, `"id": "f-` + id + `"`}, pairs...)...).Replace(event)
}

var severe = []string{`"severity": 8`, `"severity": 9`}

func arn(n any) string {
	return fmt.Sprintf("arn:aws:states:eu-west-1:123456789012:execution:cordon:of-%v", n)
}

func TestPause(t *testing.T) {
	for name, c := range map[string]struct {
		value   string
		verdict enrich.Verdict
		says    string // in the reason, or in what is said of the brakes
	}{
		"off":                      {"off", enrich.Act, ""},
		"off, otherwise written":   {" OFF\\n", enrich.Act, ""},
		"until later":              {"2026-03-01T13:00:00Z", enrich.Paused, "until 2026-03-01T13:00:00Z"},
		"until later, with offset": {"2026-03-01T22:00:00+09:00", enrich.Paused, "until 2026-03-01T13:00:00Z"},
		"until now":                {"2026-03-01T12:00:00Z", enrich.Act, "ended at"},
		"for ever":                 {"2099-01-01T00:00:00Z", enrich.Paused, "until 2026-03-01T23:00:00Z"}, // twelve hours after it was written
		"ended":                    {"2026-03-01T11:30:00Z", enrich.Act, "ended at 2026-03-01T11:30:00Z; set it to off"},
		"not a time":               {"yes", enrich.Act, "neither off nor a time"},
		"a time without a zone":    {"2026-03-01T13:00:00", enrich.Act, "neither off nor a time"},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, paused(t, strings.ReplaceAll(c.value, "\\n", "\n")))
			out := w.must(event, execution)
			if out.Verdict != c.verdict {
				t.Fatalf("verdict %q, want %q", out.Verdict, c.verdict)
			}
			said := out.Reason + strings.Join(out.Brakes, "; ")
			if !strings.Contains(said, c.says) || c.says == "" && said != "" {
				t.Errorf("says %q, want %q", said, c.says)
			}
			if c.verdict == enrich.Paused && w.opened() != 0 {
				t.Error("an incident was opened while paused: the next finding would join it and be left")
			}
		})
	}
}

// opened counts the incidents in the record.
func (w *world) opened() (n int) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		for k := range 400 {
			_, found, err := record.Latest(ctx, w.aws.DynamoDB(), table, fmt.Sprintf("123456789012.eu-west-1.i-%d", k))
			if err != nil {
				w.t.Fatal(err)
			}
			if found {
				n++
			}
		}
	})
	return n
}

// A switch that long ago paused, and ended since, pauses nothing.
func TestPauseIsLimited(t *testing.T) {
	w := open(t, changedFile(t, map[string]any{"Parameters": []any{map[string]any{
		"Name": pauseSwitch, "Value": "2099-01-01T00:00:00Z", "LastModifiedDate": begun.Add(-13 * time.Hour).Format(time.RFC3339),
	}}}))
	out := w.must(event, execution)
	if said := strings.Join(out.Brakes, "; "); out.Verdict != enrich.Act || !strings.Contains(said, "is the most") {
		t.Errorf("verdict %q, %q: want it acted on, and said why", out.Verdict, said)
	}
}

// An intruder who breaks the switch must not have paused anything.
func TestPauseThatCannotBeRead(t *testing.T) {
	for _, kind := range []sim.Kind{sim.Denied, sim.NotFound, sim.Throttled, sim.Unavailable} {
		out := open(t, paused(t, "2026-03-01T18:00:00Z"), sim.Fault{Service: "ssm", Action: "GetParameter", Number: 1, Kind: kind}).must(event, execution)
		if said := strings.Join(out.Brakes, "; "); out.Verdict != enrich.Act || !strings.Contains(said, "could not be read") {
			t.Errorf("%s: verdict %q, %q: want containment to go on, and people told", kind, out.Verdict, said)
		}
	}
}

// A pause that the attempt which opened the incident could not read holds it as long
// as nothing is isolated: somebody paused, and now that is known.
func TestPauseThatIsReadTooLate(t *testing.T) {
	for _, isolated := range []bool{false, true} {
		w := open(t, paused(t, "2026-03-01T18:00:00Z"), sim.Fault{Service: "ssm", Action: "GetParameter", Number: 1, Kind: sim.Denied})
		first := w.must(event, execution)
		if isolated {
			w.save(first.Incident.ID, "isolate", contained)
		}
		out, said := w.must(event, execution), ""
		if said = strings.Join(out.Brakes, "; "); isolated {
			if out.Verdict != enrich.Act || !strings.Contains(said, "goes on: Cordon is paused") {
				t.Errorf("verdict %q, %q: want it brought to its end, and said why", out.Verdict, said)
			}
			continue
		}
		if out.Verdict != enrich.Paused || out.Standing != enrich.Open || out.Incident.ID != first.Incident.ID || !strings.Contains(out.Reason, "stays open") {
			t.Errorf("verdict %q, standing %q, %q: want it held, and people told of the incident that is open", out.Verdict, out.Standing, out.Reason)
		}
	}
}

// The same of one that was taken over: the pause came after the incident was opened, and
// before this execution had anything to do with it.
func TestPauseThatIsReadTooLateAfterATakeOver(t *testing.T) {
	for _, since := range []bool{false, true} {
		w := open(t, file, sim.Fault{Service: "ssm", Action: "GetParameter", Number: 2, Kind: sim.Denied})
		w.must(event, another)
		w.runs(sfntypes.ExecutionStatusFailed)
		w.settings["PAUSE_PARAMETER"] = "/cordon/later"
		w.build()
		pause := func() {
			w.clock.Run(func() { w.clock.Sleep(time.Minute) })
			w.aws.SSM().AddParameter("/cordon/later", "2026-03-01T18:00:00Z")
			w.clock.Run(func() { w.clock.Sleep(time.Minute) })
		}
		want := enrich.Paused
		if !since {
			pause()
		}
		if out := w.must(event, execution); out.Verdict != enrich.Act {
			t.Fatalf("verdict %q of the attempt that cannot read the switch", out.Verdict)
		}
		if since { // holds what is new, and no more
			pause()
			want = enrich.Act
		}
		if out := w.must(event, execution); out.Verdict != want {
			t.Errorf("paused after it was taken over, %v: verdict %q, want %q", since, out.Verdict, want)
		}
	}
}

// A second finding joins while paused: whoever works on the incident goes on.
func TestPauseHoldsOnlyWhatIsNew(t *testing.T) {
	w := open(t, file)
	w.must(event, execution)
	w.aws.SFN().Execution = func(string) (sim.Execution, bool) {
		return sim.Execution{Status: sfntypes.ExecutionStatusRunning}, true
	}
	w.settings["PAUSE_PARAMETER"] = "/cordon/paused"
	w.aws.SSM().AddParameter("/cordon/paused", "2026-03-01T13:00:00Z")
	w.build()
	if out := w.must(event, another); out.Verdict != enrich.Joined {
		t.Errorf("verdict %q, want joined", out.Verdict)
	}
	// The execution that opened it runs its first step again.
	if out := w.must(event, execution); out.Verdict != enrich.Act {
		t.Errorf("verdict %q of the execution that has the incident, want act: it would be left half-way", out.Verdict)
	}
	w.aws.SFN().Execution = func(string) (sim.Execution, bool) {
		return sim.Execution{Status: sfntypes.ExecutionStatusFailed}, true
	}
	if out := w.must(event, another); out.Verdict != enrich.Paused {
		t.Errorf("verdict %q for an incident that nobody works on, want paused", out.Verdict)
	}
}

func TestFindingTypes(t *testing.T) {
	for _, c := range []struct {
		act, never, kind string
		want             enrich.Verdict
	}{
		{"*", "", "Backdoor:EC2/C&CActivity.B", enrich.Act},
		{"Backdoor:EC2/*", "", "Backdoor:EC2/C&CActivity.B", enrich.Act},
		{"Backdoor:*, CryptoCurrency:*", "", "CryptoCurrency:EC2/BitcoinTool.B!DNS", enrich.Act},
		{"backdoor:ec2/*", "", "Backdoor:EC2/C&CActivity.B", enrich.Act},
		{"*!DNS", "", "CryptoCurrency:EC2/BitcoinTool.B!DNS", enrich.Act},
		{"*:EC2/*Tool*", "", "CryptoCurrency:EC2/BitcoinTool.B!DNS", enrich.Act},
		{"Backdoor:EC2/*", "", "CryptoCurrency:EC2/BitcoinTool.B!DNS", enrich.Unlisted},
		{"Backdoor:EC2/C&CActivity.B", "", "Backdoor:EC2/C&CActivity.B!DNS", enrich.Unlisted}, // without * it is the whole type
		{"*!DNS", "", "Backdoor:EC2/C&CActivity.B", enrich.Unlisted},
		{"*", "Backdoor:*", "Backdoor:EC2/C&CActivity.B", enrich.Unlisted},
		{"Backdoor:EC2/*", "*", "Backdoor:EC2/C&CActivity.B", enrich.Unlisted}, // never wins
		{"*", "Recon:*,Backdoor:EC2/C&CActivity.B", "Backdoor:EC2/C&CActivity.B", enrich.Unlisted},
		{"*", "aba*aba", "abaBackdoor:EC2/x", enrich.Act}, // one text does not match two parts
	} {
		w := open(t, file)
		w.settings["FINDING_TYPES"], w.settings["NEVER_FINDING_TYPES"] = c.act, c.never
		w.build()
		out := w.must(change(`"type": "Backdoor:EC2/C&CActivity.B"`, `"type": "`+c.kind+`"`), execution)
		if out.Verdict != c.want {
			t.Errorf("act on %q, never on %q: %s is %q, want %q", c.act, c.never, c.kind, out.Verdict, c.want)
		}
		if c.want == enrich.Unlisted && !strings.Contains(out.Reason, c.kind) {
			t.Errorf("%s: the reason %q does not name it", c.kind, out.Reason)
		}
	}
}

func TestExemptTag(t *testing.T) {
	for tag, want := range map[string]enrich.Verdict{
		"": enrich.Act, "Name": enrich.Exempt, "Name=web": enrich.Exempt, "Name=": enrich.Act, "Name=db": enrich.Act, "name": enrich.Act, "exempt": enrich.Act,
	} {
		w := open(t, file)
		w.settings["EXEMPT_TAG"] = tag
		w.build()
		out := w.must(event, execution)
		if out.Verdict != want || want == enrich.Exempt && (!strings.Contains(out.Reason, tag) || w.opened() > 0) {
			t.Errorf("EXEMPT_TAG %q: verdict %q, %q, %d opened, want %q", tag, out.Verdict, out.Reason, w.opened(), want)
		}
	}
}

// An intruder who tags the instance once it is being dealt with has come too late.
func TestExemptTagComesTooLate(t *testing.T) {
	w := open(t, file)
	w.must(event, execution)
	w.settings["EXEMPT_TAG"] = "Name"
	w.build()
	if out := w.must(event, execution); out.Verdict != enrich.Act {
		t.Errorf("verdict %q for the execution that has the incident, want act", out.Verdict)
	}
}

// However the executions run beside each other, no more pass than the limit.
func TestHour(t *testing.T) {
	const n, limit = 24, 5
	w := open(t, many(t, n, 0, 0))
	w.settings["MAX_ISOLATIONS_PER_HOUR"], w.settings["EXEMPT_INSTANCES"] = fmt.Sprint(limit), ""
	w.build()
	verdicts := w.side(n)
	if got := verdicts[enrich.Act]; got != limit || verdicts[enrich.Ask] != n-limit {
		t.Errorf("%v, want %d to act and the others to ask", verdicts, limit)
	}

	w.clock.Run(func() { w.clock.Sleep(time.Hour) })
	out := w.must(on(fmt.Sprintf("i-%d", n)), arn("later"))
	if out.Verdict != enrich.Act {
		t.Errorf("an hour later the verdict is %q, %q: want act", out.Verdict, out.Reason)
	}
}

// side runs enrich for i-1 to i-n side by side, each in an execution of its own,
// and counts the verdicts.
func (w *world) side(n int) map[enrich.Verdict]int {
	w.t.Helper()
	verdicts := make([]enrich.Verdict, n)
	errs := make([]error, n)
	w.do(func(ctx context.Context) {
		w.clock.Each(n, func(k int) {
			var out enrich.Output
			out, errs[k] = w.step.Run(ctx, enrich.Input{Event: json.RawMessage(on(fmt.Sprintf("i-%d", k+1))), Execution: arn(k)})
			verdicts[k] = out.Verdict
		})
	})
	count := map[enrich.Verdict]int{}
	for k, v := range verdicts {
		if errs[k] != nil {
			w.t.Fatal(errs[k])
		}
		count[v]++
	}
	return count
}

func TestNobodyIsIsolatedUnasked(t *testing.T) {
	w := open(t, file)
	w.settings["MAX_ISOLATIONS_PER_HOUR"] = "0"
	w.build()
	out := w.must(event, execution)
	if out.Verdict != enrich.Ask || out.Round != 1 || out.Incident.ID != key+".1" || out.Reason == "" {
		t.Errorf("%q, round %d, incident %q, %q: want an incident that asks", out.Verdict, out.Round, out.Incident.ID, out.Reason)
	}
	if again := w.must(event, execution); cmp.Diff(out, again) != "" {
		t.Errorf("run again it says something else:\n%s", cmp.Diff(out, again))
	}
}

func TestCriticalPasses(t *testing.T) {
	w := open(t, file)
	w.settings["MAX_ISOLATIONS_PER_HOUR"] = "0"
	w.build()
	out := w.must(change(severe...), execution)
	if said := strings.Join(out.Brakes, "; "); out.Verdict != enrich.Act || !strings.Contains(said, "critical") {
		t.Errorf("verdict %q, %q: want it acted on, and said what it passed", out.Verdict, said)
	}
}

func TestShare(t *testing.T) {
	for name, c := range map[string]struct {
		grouped, desired, findings int
		percent                    string
		act                        int
	}{
		"half of four":                   {4, 4, 4, "50", 2},
		"half of five":                   {5, 5, 5, "50", 2},
		"a quarter of four":              {4, 4, 4, "25", 1},
		"less than one of four":          {4, 4, 4, "24", 0},
		"all of four":                    {4, 4, 4, "100", 4},
		"half of what there should be":   {2, 6, 2, "50", 2},
		"a group that is named only":     {4, 0, 4, "50", 2},
		"a group of one has no share":    {1, 1, 1, "50", 1},
		"a group of one, and no percent": {1, 1, 1, "0", 1},
		"one is not in it":               {3, 4, 4, "25", 2},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, many(t, c.findings, c.grouped, c.desired))
			w.settings["MAX_GROUP_PERCENT"] = c.percent
			w.build()
			verdicts := w.side(c.findings)
			if verdicts[enrich.Act] != c.act || verdicts[enrich.Ask] != c.findings-c.act {
				t.Errorf("%v, want %d to act and the others to ask", verdicts, c.act)
			}
		})
	}
}

// What was released, or left the group, is no longer missing from it.
func TestShareIsFreedByARelease(t *testing.T) {
	w := open(t, many(t, 3, 2, 2))
	first := w.must(on("i-1"), arn(1))
	if out := w.must(on("i-2"), arn(2)); first.Verdict != enrich.Act || out.Verdict != enrich.Ask || !strings.Contains(out.Reason, "Auto Scaling group web") {
		t.Fatalf("verdicts %q and %q, %q: want the second to ask", first.Verdict, out.Verdict, out.Reason)
	}
	w.end(first.Incident.ID, record.Released)
	if out := w.must(on("i-2"), arn(2)); out.Verdict != enrich.Act {
		t.Errorf("verdict %q, %q: the first was released", out.Verdict, out.Reason)
	}
}

// A group that cannot be asked for holds nothing up, and is told.
func TestShareThatIsNotKnown(t *testing.T) {
	for _, action := range []string{"DescribeAutoScalingInstances", "DescribeAutoScalingGroups"} {
		w := open(t, many(t, 1, 1, 2), sim.Fault{Service: "autoscaling", Action: action, Number: 1, Kind: sim.Denied})
		w.settings["MAX_GROUP_PERCENT"] = "0"
		w.build()
		out := w.must(event, execution)
		if said := strings.Join(out.Brakes, "; "); out.Verdict != enrich.Act || !strings.Contains(said, "could not be held") {
			t.Errorf("%s: verdict %q, %q", action, out.Verdict, said)
		}
	}
}

// Whatever call is refused, killed or answered to nobody, the run after it says
// what an undisturbed one does, and the places that are taken are the same.
func TestKilledAtTheBreaker(t *testing.T) {
	calm, want := breakerRun(t, nil)
	if diff := cmp.Diff([]enrich.Verdict{enrich.Act, enrich.Ask}, want); diff != "" {
		t.Fatal(diff)
	}
	calls, places := calm.aws.Calls(), calm.places()
	for _, c := range calls {
		kinds := []sim.Kind{sim.KilledBefore, sim.KilledAfter, sim.Throttled, sim.Lost}
		if c.Service == "autoscaling" || c.Service == "ssm" {
			kinds = kinds[:2] // what cannot be asked for holds nothing up: another verdict, see above
		}
		for _, kind := range kinds {
			f := sim.Fault{Service: c.Service, Action: c.Action, Number: c.Number, Kind: kind}
			w, got := breakerRun(t, []sim.Fault{f})
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%v: verdicts (-want +got):\n%s", f, diff)
			}
			if diff := cmp.Diff(places, w.places()); diff != "" {
				t.Errorf("%v: places (-want +got):\n%s", f, diff)
			}
		}
	}
}

// breakerRun isolates one of two and has the other ask; each is run again until
// it has an answer.
func breakerRun(t *testing.T, faults []sim.Fault) (*world, []enrich.Verdict) {
	t.Helper()
	w := open(t, many(t, 2, 2, 2), faults...)
	w.settings["MAX_ISOLATIONS_PER_HOUR"] = "3"
	w.build()
	var all []enrich.Verdict
	for _, id := range []string{"i-1", "i-2"} {
		for try := 0; ; try++ {
			out, err := w.run(on(id), arn(id))
			if err == nil {
				all = append(all, out.Verdict)
				break
			}
			if try == 3 {
				t.Fatal(err)
			}
		}
	}
	return w, all
}

// places are who holds what, without the times.
func (w *world) places() (all []string) {
	w.t.Helper()
	w.do(func(ctx context.Context) {
		for _, limit := range []string{"hour", "group#web"} {
			held, err := record.Held(ctx, w.aws.DynamoDB(), table, limit)
			if err != nil {
				w.t.Fatal(err)
			}
			for _, p := range held {
				all = append(all, fmt.Sprintf("%s %d %s", limit, p.Number, p.Holder))
			}
		}
	})
	slices.Sort(all)
	return all
}

// A critical finding does not wait for the answer that another one waits for:
// it takes the incident over, and whoever waits has it no more.
func TestCriticalTakesOverWhatIsAsked(t *testing.T) {
	w := open(t, file)
	w.settings["MAX_ISOLATIONS_PER_HOUR"] = "0"
	w.build()
	asked := w.must(event, execution)
	w.aws.SFN().Execution = func(string) (sim.Execution, bool) {
		return sim.Execution{Status: sfntypes.ExecutionStatusRunning}, true
	}
	if out := w.must(event, another); out.Verdict != enrich.Joined || !strings.Contains(out.Reason, "a person is asked") {
		t.Errorf("verdict %q, %q: another finding that is not critical joins", out.Verdict, out.Reason)
	}
	out := w.must(change(severe...), another)
	if out.Verdict != enrich.Act || out.Incident.ID != asked.Incident.ID {
		t.Fatalf("verdict %q, incident %q: want act on %s", out.Verdict, out.Incident.ID, asked.Incident.ID)
	}
	w.do(func(ctx context.Context) {
		err := record.Answer(ctx, w.aws.DynamoDB(), table, asked.Incident.ID, execution, incident.Decision{Choice: incident.Isolate, DecidedAt: begun})
		if !errors.Is(err, record.ErrTaken) {
			t.Errorf("the first execution answers for an incident that is not its own: %v", err)
		}
	})
	if out := w.must(event, execution); out.Verdict != enrich.Joined {
		t.Errorf("the first execution's verdict is %q now, want joined", out.Verdict)
	}
}

// A dry run opens nothing, takes nothing, and says what would have happened.
func TestDryRun(t *testing.T) {
	w := open(t, file)
	w.settings["DRY_RUN"], w.settings["MAX_ISOLATIONS_PER_HOUR"] = "true", "0"
	w.build()
	out := w.must(event, execution)
	if said := strings.Join(out.Brakes, "; "); out.Verdict != enrich.Rehearse || out.Incident.ID != key+".1" || !strings.Contains(said, "would have been asked") {
		t.Errorf("verdict %q, incident %q, %q", out.Verdict, out.Incident.ID, said)
	}
	if len(w.places()) > 0 || w.opened() > 0 || len(w.findings(key+".1")) > 0 {
		t.Error("a dry run left something that later runs would take for real")
	}
	w.settings["DRY_RUN"], w.settings["MAX_ISOLATIONS_PER_HOUR"] = "", "1"
	w.build()
	if out := w.must(event, another); out.Verdict != enrich.Act || out.Incident.ID != key+".1" {
		t.Errorf("afterwards, in earnest: verdict %q, incident %q", out.Verdict, out.Incident.ID)
	}
}
