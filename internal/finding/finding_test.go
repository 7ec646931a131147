package finding_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"cordon/internal/finding"
	"cordon/internal/incident"

	"github.com/google/go-cmp/cmp"
)

const plain = `{
 "version": "0", "id": "e-1", "detail-type": "GuardDuty Finding", "source": "aws.guardduty",
 "account": "111122223333", "time": "2026-03-01T03:00:00Z", "region": "eu-central-1", "resources": [],
 "detail": {
  "id": "f-1", "type": "Backdoor:EC2/C&CActivity.B", "severity": 8, "accountId": "444455556666", "region": "eu-central-1",
  "title": "t", "description": "d", "updatedAt": "2026-03-01T02:59:00.000Z",
  "resource": {"resourceType": "Instance", "instanceDetails": {"instanceId": "i-1", "launchTime": 1760000000000, "platform": null, "networkInterfaces": [{}]}},
  "service": {"archived": false, "count": 13793, "resourceRole": "TARGET", "action": {}, "evidence": null, "additionalInfo": {"value": "{\"a\":1}", "type": "default"}}
 }
}`

// change sets the value at a path of the plain event; nil takes the key away.
func change(t *testing.T, path string, v any) []byte {
	t.Helper()
	var event map[string]any
	if err := json.Unmarshal([]byte(plain), &event); err != nil {
		t.Fatal(err)
	}
	if path != "" {
		in, keys := event, strings.Split(path, ".")
		for _, k := range keys[:len(keys)-1] {
			in = in[k].(map[string]any)
		}
		if last := keys[len(keys)-1]; v == nil {
			delete(in, last)
		} else {
			in[last] = v
		}
	}
	b, err := json.Marshal(event)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecode(t *testing.T) {
	f, flags, err := finding.Decode([]byte(plain))
	if err != nil {
		t.Fatal(err)
	}
	wantFinding := incident.Finding{
		ID: "f-1", Type: "Backdoor:EC2/C&CActivity.B", Severity: 8, AccountID: "444455556666", Region: "eu-central-1", InstanceID: "i-1",
		Title: "t", Description: "d", Role: "TARGET", Count: 13793, UpdatedAt: "2026-03-01T02:59:00.000Z",
		EventID: "e-1", EventTime: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC),
	}
	if d := cmp.Diff(wantFinding, f); d != "" {
		t.Errorf("finding (-want +got):\n%s", d)
	}
	wantFlags := finding.Flags{Account: "111122223333", Region: "eu-central-1", ResourceType: "Instance"}
	if d := cmp.Diff(wantFlags, flags); d != "" {
		t.Errorf("flags (-want +got):\n%s", d)
	}
}

func TestTolerated(t *testing.T) {
	null := json.RawMessage("null")
	for path, v := range map[string]any{
		"version": 7, "source": nil,
		"detail.title": nil, "detail.description": 3, "detail.updatedAt": 1760000000000,
		"detail.service": nil, "detail.service.count": "many", "detail.service.resourceRole": []int{1},
		"detail.service.archived": nil, "detail.service.additionalInfo": null, "detail.service.additionalInfo.value": "not {JSON",
		"detail.service.additionalInfo.sample": null, "detail.severity": 8.7,
	} {
		_, flags, err := finding.Decode(change(t, path, v))
		if err != nil || flags.Sample || flags.Archived {
			t.Errorf("%s = %v: a finding must not be lost for it: %+v, %v", path, v, flags, err)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		path string
		v    any
		want string
	}{
		{"id", nil, "id is missing"},
		{"account", nil, "account is missing"},
		{"account", 111122223333, "account is not a string"},
		{"region", nil, "region is missing"},
		{"time", nil, "time is missing"},
		{"time", "yesterday", "time is not a time"},
		{"detail", nil, "detail is missing"},
		{"detail", "text", "detail is not an object"},
		{"detail.id", "", "detail.id is empty"},
		{"detail.type", nil, "detail.type is missing"},
		{"detail.severity", nil, "detail.severity is missing"},
		{"detail.severity", "8", "detail.severity is not a number"},
		{"detail.severity", json.RawMessage("1e999"), "detail.severity is not a number"},
		{"detail.accountId", json.RawMessage("null"), "detail.accountId is missing"},
		{"detail.region", nil, "detail.region is missing"},
		{"detail.resource", []int{}, "detail.resource is not an object"},
		{"detail.resource.resourceType", nil, "detail.resource.resourceType is missing"},
		{"detail.resource.instanceDetails", nil, "detail.resource.instanceDetails is missing"},
		{"detail.resource.instanceDetails.instanceId", nil, "detail.resource.instanceDetails.instanceId is missing"},
		{"detail.resource.instanceDetails.instanceId", 7, "detail.resource.instanceDetails.instanceId is not a string"},
		{"detail.service", 7, "detail.service is not an object"},
		{"detail.service.archived", "true", "detail.service.archived is not a boolean"},
		{"detail.service.additionalInfo", "x", "detail.service.additionalInfo is not an object"},
		{"detail.service.additionalInfo.sample", "true", "detail.service.additionalInfo.sample is not a boolean"},
		{"detail.service.additionalInfo.sample", 1, "detail.service.additionalInfo.sample is not a boolean"},
		{"detail.service.additionalInfo.value", `{"sample":"yes"}`, "detail.service.additionalInfo.value.sample is not a boolean"},
	} {
		f, _, err := finding.Decode(change(t, c.path, c.v))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s = %v: %v, want an error that says %q", c.path, c.v, err, c.want)
		}
		if f != (incident.Finding{}) {
			t.Errorf("%s = %v: half a finding came back with the error: %+v", c.path, c.v, f)
		}
	}
}

func TestKeysAreCaseSensitive(t *testing.T) {
	pasted := strings.NewReplacer(`"severity"`, `"Severity"`, `"accountId"`, `"AccountId"`).Replace(plain)
	_, _, err := finding.Decode([]byte(pasted))
	if err == nil || !strings.Contains(err.Error(), `detail.severity is missing (there is "Severity"; case matters)`) ||
		!strings.Contains(err.Error(), "detail.accountId") {
		t.Errorf("a finding of another shape was not named as such: %v", err)
	}
	both := strings.Replace(plain, `"severity": 8`, `"severity": 8, "Severity": 1, "SEVERITY": "x"`, 1)
	f, _, err := finding.Decode([]byte(both))
	if err != nil || f.Severity != 8 {
		t.Errorf("severity %v, %v: another key's value was taken for it", f.Severity, err)
	}
}

func TestLastDuplicateWins(t *testing.T) {
	f, flags, err := finding.Decode([]byte(strings.NewReplacer(
		`"severity": 8`, `"severity": 1, "severity": 9`, `"archived": false`, `"archived": false, "archived": true`).Replace(plain)))
	if err != nil || f.Severity != 9 || !flags.Archived {
		t.Errorf("severity %v, archived %v, %v: want the last of each, as EventBridge reads it", f.Severity, flags.Archived, err)
	}
}

func TestSample(t *testing.T) {
	for path, v := range map[string]any{
		"detail.service.additionalInfo.sample":       true,
		"detail.service.additionalInfo.value":        `{"sample": true}`,
		"detail.service.additionalInfo":              map[string]any{"value": map[string]any{"sample": true}},
		"detail.title":                               "[SAMPLE] EC2 instance i-1",
		"detail.resource.instanceDetails.instanceId": "i-99999999",
	} {
		_, flags, err := finding.Decode(change(t, path, v))
		if err != nil || !flags.Sample {
			t.Errorf("%s = %v: a sample finding would have been acted on (%v)", path, v, err)
		}
	}
}

func TestArchived(t *testing.T) {
	_, flags, err := finding.Decode(change(t, "detail.service.archived", true))
	if err != nil || !flags.Archived {
		t.Errorf("archived %v, %v: a suppressed finding would have been acted on", flags.Archived, err)
	}
}

func TestLongTextsAreCut(t *testing.T) {
	f, _, err := finding.Decode(change(t, "detail.description", strings.Repeat("é", 100000)))
	if err != nil || len(f.Description) > 4096 || strings.Trim(f.Description, "é") != "" {
		t.Errorf("%d bytes of description, %v: the payload limit would stop the incident", len(f.Description), err)
	}
}

func TestNotAboutAnInstance(t *testing.T) {
	for _, c := range []struct {
		details any
		want    string
	}{
		{nil, ""},
		{"odd", ""},
		{map[string]any{}, ""},
		{map[string]any{"instanceId": 3}, ""},
		{map[string]any{"instanceId": "i-2"}, "i-2"},
	} {
		var event map[string]any
		if err := json.Unmarshal(change(t, "detail.resource.instanceDetails", c.details), &event); err != nil {
			t.Fatal(err)
		}
		event["detail"].(map[string]any)["resource"].(map[string]any)["resourceType"] = "AttackSequence"
		b, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		f, flags, err := finding.Decode(b)
		if err != nil || flags.ResourceType != "AttackSequence" || f.InstanceID != c.want {
			t.Errorf("details %v: instance %q, type %q, %v: people must be told of it", c.details, f.InstanceID, flags.ResourceType, err)
		}
	}
}

func TestHostile(t *testing.T) {
	deep := strings.Repeat(`{"a":`, 100000) + "1" + strings.Repeat("}", 100000)
	for name, event := range map[string]string{
		"empty": "", "null": "null", "list": "[]", "text": `"x"`, "two": plain + plain, "cut": plain[:200],
		"deep":        strings.Replace(plain, `"action": {}`, `"action": `+deep, 1),
		"deep string": strings.Replace(plain, `"severity": 8`, `"severity": `+strings.Repeat("[", 100000)+strings.Repeat("]", 100000), 1),
	} {
		if _, _, err := finding.Decode([]byte(event)); err == nil {
			t.Errorf("%s: read as a finding", name)
		}
	}
	escaped, err := json.Marshal(strings.Repeat("[", 1_000_000))
	if err != nil {
		t.Fatal(err)
	}
	if _, flags, err := finding.Decode([]byte(strings.Replace(plain, `"{\"a\":1}"`, string(escaped), 1))); err != nil || flags.Sample {
		t.Errorf("a text that is not JSON hid a finding: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(plain))
	f.Fuzz(func(t *testing.T, event []byte) {
		got, flags, err := finding.Decode(event)
		if err == nil && (got.ID == "" || got.Type == "" || got.AccountID == "" || flags.Account == "" || flags.ResourceType == "" || got.EventTime.IsZero() && !strings.Contains(string(event), "0001")) {
			t.Errorf("accepted without what decides: %+v %+v", got, flags)
		}
	})
}
