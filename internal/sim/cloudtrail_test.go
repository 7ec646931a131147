package sim_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail"
	"github.com/aws/aws-sdk-go-v2/service/cloudtrail/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

func lookUp(t *testing.T, a *sim.Account, change func(*cloudtrail.LookupEventsInput)) (*cloudtrail.LookupEventsOutput, error) {
	t.Helper()
	in := &cloudtrail.LookupEventsInput{LookupAttributes: []types.LookupAttribute{{
		AttributeKey: types.LookupAttributeKeyEventName, AttributeValue: aws.String("ModifyNetworkInterfaceAttribute"),
	}}}
	if change != nil {
		change(in)
	}
	return a.CloudTrail().LookupEvents(t.Context(), in)
}

// Calls are to be seen minutes later, the newest first, fifty at a time, those of
// others among our own; what they were about stands in the record's text only.
// https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_LookupEvents.html
func TestLookupEvents(t *testing.T) {
	var eni, group string
	a, clock := world(t, changed(t, func(f map[string]any) {
		i := entry(f, "NetworkInterfaces", 0)
		eni, group = i["NetworkInterfaceId"].(string), i["Groups"].([]any)[0].(map[string]any)["GroupId"].(string)
		f["Behaviour"] = map[string]any{"Undone": []any{map[string]any{"Seconds": 90, "NetworkInterfaceId": eni, "Groups": []any{group}, "Arn": "arn:aws:sts::1:assumed-role/T/job"}}}
	}))
	ours := sim.WithInvocation(t.Context(), &sim.Invocation{Function: "isolate"})
	for range 60 {
		if _, err := a.EC2().ModifyNetworkInterfaceAttribute(ours, &ec2.ModifyNetworkInterfaceAttributeInput{NetworkInterfaceId: &eni, Groups: []string{group}}); err != nil {
			t.Fatal(err)
		}
	}
	clock.Sleep(2 * time.Minute)
	if out, err := lookUp(t, a, nil); err != nil || len(out.Events) != 0 {
		t.Fatalf("%d events within five minutes, %v", len(out.Events), err)
	}
	clock.Sleep(10 * time.Minute)
	out, err := lookUp(t, a, nil)
	if err != nil || len(out.Events) != 50 || out.NextToken == nil {
		t.Fatalf("%d events, %v; want a first page of fifty", len(out.Events), err)
	}
	e := out.Events[0]
	if got := aws.ToString(e.CloudTrailEvent); !strings.Contains(got, "assumed-role/T/job") || !strings.Contains(got, `"networkInterfaceId":"`+eni+`"`) || !strings.Contains(got, `"groupId":"`+group+`"`) {
		t.Errorf("the newest event is %s", got)
	}
	if got := aws.ToString(out.Events[1].CloudTrailEvent); !strings.Contains(got, "role/isolate") {
		t.Errorf("a call of ours is %s", got)
	}
	out, err = lookUp(t, a, func(in *cloudtrail.LookupEventsInput) { in.NextToken = out.NextToken })
	if err != nil || len(out.Events) != 11 || out.NextToken != nil {
		t.Errorf("the second page has %d events, %v", len(out.Events), err)
	}
	out, err = lookUp(t, a, func(in *cloudtrail.LookupEventsInput) {
		in.StartTime, in.EndTime = aws.Time(begun.Add(80*time.Second)), aws.Time(begun.Add(100*time.Second))
	})
	if err != nil || len(out.Events) != 1 {
		t.Errorf("%d events in the twenty seconds around one, %v", len(out.Events), err)
	}
	if out, err = lookUp(t, a, func(in *cloudtrail.LookupEventsInput) {
		in.LookupAttributes[0].AttributeValue = aws.String("StopInstances")
	}); err != nil || len(out.Events) != 0 {
		t.Errorf("%d events of a call that nobody made, %v", len(out.Events), err)
	}
	_, err = lookUp(t, a, func(in *cloudtrail.LookupEventsInput) {
		in.LookupAttributes = append(in.LookupAttributes, in.LookupAttributes[0])
	})
	wantCode(t, err, "InvalidLookupAttributesException", "")
	_, err = lookUp(t, a, func(in *cloudtrail.LookupEventsInput) {
		in.StartTime, in.EndTime = aws.Time(begun.Add(time.Hour)), &begun
	})
	wantCode(t, err, "InvalidTimeRangeException", "")
	_, err = lookUp(t, a, func(in *cloudtrail.LookupEventsInput) { in.MaxResults = aws.Int32(51) })
	wantCode(t, err, "InvalidMaxResultsException", "")
	_, err = lookUp(t, a, func(in *cloudtrail.LookupEventsInput) { in.NextToken = aws.String("x") })
	wantCode(t, err, "InvalidNextTokenException", "")
}

// An entry of Undone that cannot be is refused when the file is read.
func TestUndoneIsChecked(t *testing.T) {
	for _, wrong := range []string{
		`{"Seconds": 0, "NetworkInterfaceId": "ENI", "Groups": ["sg-1"], "Arn": "arn"}`,
		`{"Seconds": 5, "NetworkInterfaceId": "eni-none", "Groups": ["sg-1"], "Arn": "arn"}`,
		`{"Seconds": 5, "NetworkInterfaceId": "ENI", "Groups": [], "Arn": "arn"}`,
		`{"Seconds": 5, "NetworkInterfaceId": "ENI", "Groups": ["sg-1"]}`,
	} {
		file := changed(t, func(f map[string]any) { f["Behaviour"] = map[string]any{"Undone": []any{"HERE"}} })
		var eni string
		changed(t, func(f map[string]any) { eni = entry(f, "NetworkInterfaces", 0)["NetworkInterfaceId"].(string) })
		text := strings.Replace(string(file), `"HERE"`, strings.ReplaceAll(wrong, "ENI", eni), 1)
		if _, err := sim.Open(sim.Settings{Clock: &wall{begun}}, []byte(text)); err == nil || !strings.Contains(fmt.Sprint(err), "Undone: entry 1 needs") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
