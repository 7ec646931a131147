package cordon_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/audience"
	"cordon/internal/template"

	gocmp "github.com/google/go-cmp/cmp"
)

// untold are the alarms of what keeps people from hearing of an incident. They go
// to both topics, since one of the two may be what is broken, or has nobody.
var untold = []string{"AskingFailedAlarm", "AudienceAlarm", "DeadLettersAlarm", "DriftUntoldAlarm", "TellingFailedAlarm"}

func alarms(d *template.Deployment) (all []template.Resource) {
	for _, r := range d.Resources() {
		if r.Type == "AWS::CloudWatch::Alarm" {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b template.Resource) int { return strings.Compare(a.LogicalID, b.LogicalID) })
	return all
}

// TestAlarmsReachPeople: an alarm that looks at nothing, or may not publish, is
// the silence that it is there to end.
func TestAlarmsReachPeople(t *testing.T) {
	d := deployment(t)
	topic, _ := d.Resource("Topic")
	others, _ := d.Resource("EscalationTopic")
	operators, err := os.ReadFile("docs/operators.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{} // whether others are said to be told, too
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+Alarm)`( \\*)? \\|").FindAllStringSubmatch(string(operators), -1) {
		rows[m[1]] = m[2] != ""
	}
	heard := map[string]string{} // metrics that filters write, with the log they read
	for _, r := range d.Resources() {
		if r.Type == "AWS::Logs::MetricFilter" {
			m, _ := r.Properties["MetricTransformations"].([]any)[0].(map[string]any)
			heard[fmt.Sprint(m["MetricNamespace"], " ", m["MetricName"])] = fmt.Sprint(r.Properties["LogGroupName"])
		}
	}
	watched := map[string]string{}
	for _, a := range alarms(d) {
		p := a.Properties
		want := []any{topic.Ref}
		if slices.Contains(untold, a.LogicalID) {
			want = append(want, others.Ref)
		}
		if diff := gocmp.Diff(want, p["AlarmActions"]); diff != "" {
			t.Errorf("%s tells (-want +got):\n%s", a.LogicalID, diff)
		}
		if a.LogicalID == "AudienceAlarm" { // its end is the first mail to whoever has just confirmed
			if diff := gocmp.Diff(want, p["OKActions"]); diff != "" {
				t.Errorf("%s tells of its end (-want +got):\n%s", a.LogicalID, diff)
			}
		}
		if text, _ := p["AlarmDescription"].(string); text == "" {
			t.Errorf("%s does not say what to do", a.LogicalID)
		}
		if both, said := rows[a.LogicalID]; !said || both != slices.Contains(untold, a.LogicalID) {
			t.Errorf("docs/operators.md does not say what %s means, or not whom it tells", a.LogicalID)
		}
		delete(rows, a.LogicalID)
		of := heard[fmt.Sprint(p["Namespace"], " ", p["MetricName"])]
		for _, one := range all(p["Dimensions"]) {
			of = fmt.Sprint(one.(map[string]any)["Value"])
		}
		watched[a.LogicalID] = fmt.Sprint(p["Namespace"], " ", p["MetricName"], " of ", owner(d, of))
		missing := "notBreaching"
		if a.LogicalID == "AudienceAlarm" {
			missing = "breaching"
		}
		if p["TreatMissingData"] != missing {
			t.Errorf("%s takes missing data for %v, want %s", a.LogicalID, p["TreatMissingData"], missing)
		}
	}
	if diff := gocmp.Diff(map[string]string{
		"AbortedAlarm":       "AWS/States ExecutionsAborted of IncidentResponse",
		"AskingFailedAlarm":  "AWS/Lambda Errors of ApprovalFunction",
		"AudienceAlarm":      "cordon SomebodyListens of AudienceLogs",
		"DeadLettersAlarm":   "AWS/SQS ApproximateNumberOfMessagesVisible of DeadLetters",
		"DriftAlarm":         "cordon DriftedAgain of DriftLogs",
		"DriftUntoldAlarm":   "AWS/Lambda Errors of DriftFunction",
		"JournalAlarm":       "AWS/Lambda IteratorAge of JournalFunction",
		"JournalAsideAlarm":  "cordon JournalSetAside of JournalLogs",
		"NotContainedAlarm":  "AWS/States ExecutionsFailed of IncidentResponse",
		"TellingFailedAlarm": "AWS/Lambda Errors of NotifyFunction",
		"TimedOutAlarm":      "AWS/States ExecutionsTimedOut of IncidentResponse",
	}, watched); diff != "" {
		t.Errorf("the alarms look at (-want +got):\n%s", diff)
	}
	for name := range rows {
		t.Errorf("docs/operators.md explains %s, which is no alarm", name)
	}
}

func all(v any) []any {
	list, _ := v.([]any)
	return list
}

// owner is the resource that a name or an ARN in a template's property is of.
func owner(d *template.Deployment, name string) string {
	for _, r := range d.Resources() {
		if name != "" && (r.Ref == name || r.Name == name) {
			return r.LogicalID
		}
	}
	return name
}

// TestAudienceIsLookedFor: the filter sees what the function logs, and the alarm
// waits for two looks, so that one that is late is not taken for one that lacks.
func TestAudienceIsLookedFor(t *testing.T) {
	d := deployment(t)
	filter, _ := d.Resource("AudienceFilter")
	path := regexp.MustCompile(`^\{ \$\.(\w+)\.(\w+) > 0 \}$`).FindStringSubmatch(fmt.Sprint(filter.Properties["FilterPattern"]))
	if path == nil {
		t.Fatalf("the filter is %v", filter.Properties["FilterPattern"])
	}
	b, err := json.Marshal(audience.Output{Counts: audience.Counts{Notifications: 3}})
	if err != nil {
		t.Fatal(err)
	}
	var said map[string]map[string]int
	if err := json.Unmarshal(b, &said); err != nil || said[path[1]][path[2]] != 3 {
		t.Errorf("the filter looks for %v in %s, %v", path[1:], b, err)
	}
	for _, r := range d.Rules() {
		if r.Schedule == "" {
			continue
		}
		minutes := 0
		if _, err := fmt.Sscanf(r.Schedule, "rate(%d minutes)", &minutes); err != nil || len(r.Targets) != 1 || r.Targets[0].Resource != "AudienceFunction" {
			t.Fatalf("%s: %s, %v, %v", r.LogicalID, r.Schedule, r.Targets, err)
		}
		alarm, _ := d.Resource("AudienceAlarm")
		if period := alarm.Properties["Period"]; fmt.Sprint(period) != fmt.Sprint((2 * time.Duration(minutes) * time.Minute).Seconds()) {
			t.Errorf("it looks every %d minutes, and the alarm's period is %v s", minutes, period)
		}
		return
	}
	t.Error("no rule has a schedule")
}
