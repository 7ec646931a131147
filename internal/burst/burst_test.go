package burst_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"cordon"
	"cordon/internal/sim"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
)

const (
	warm     = 15 * time.Millisecond  // from the call to the first line of a warm function
	cold     = 200 * time.Millisecond // more, in a new environment
	refusing = 20 * time.Millisecond  // what it takes EC2 to say no
)

type options struct {
	instances, interfaces, volumes int
	concurrency                    int // invocations that Lambda runs at once
	parameters                     map[string]string
	retryer                        func() aws.Retryer // nil: the product's
	seed                           uint64
	failed                         func(function string, e messages.InvokeResponse_Error)
}

// bucket is a token bucket of EC2's. What is refused takes no token.
type bucket struct {
	tokens, most, refill int
	filled               time.Time
}

// take is called with the account locked.
func (w *world) take(action string) bool {
	b, ok := w.buckets[action]
	if !ok {
		most, refill := limits(action)
		b = &bucket{tokens: most, most: most, refill: refill, filled: time.Now()}
		w.buckets[action] = b
	}
	for now := time.Now(); !b.filled.Add(time.Second).After(now); b.filled = b.filled.Add(time.Second) {
		b.tokens = min(b.most, b.tokens+b.refill)
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

func limits(action string) (most, refill int) {
	switch {
	case action == "ModifyNetworkInterfaceAttribute":
		return 100, 5
	case len(action) > 8 && action[:8] == "Describe":
		return 100, 20
	}
	return 50, 5
}

func (o options) definition(*testing.T) []byte { return cordon.Definition }

func instanceID(n int) string     { return fmt.Sprintf("i-0%016x", n) }
func interfaceID(n, k int) string { return fmt.Sprintf("eni-0%08x%08x", n, k) }

func (o options) file(t *testing.T) []byte {
	t.Helper()
	var instances, enis, volumes []any
	born := start.AddDate(0, 0, -40).Format(time.RFC3339)
	for n := range o.instances {
		var devices []any
		for k := range o.volumes {
			v := fmt.Sprintf("vol-0%08x%08x", n, k)
			devices = append(devices, map[string]any{"DeviceName": fmt.Sprintf("/dev/sd%c", 'a'+k), "Ebs": map[string]any{"VolumeId": v, "DeleteOnTermination": k == 0}})
			volumes = append(volumes, map[string]any{"VolumeId": v, "Size": 8, "Encrypted": true, "KmsKeyId": "arn:aws:kms:us-east-1:111122223333:key/theirs"})
		}
		for k := range o.interfaces {
			enis = append(enis, map[string]any{"NetworkInterfaceId": interfaceID(n, k), "VpcId": "vpc-1", "SubnetId": "subnet-1", "Groups": []any{map[string]any{"GroupId": "sg-web", "GroupName": "web"}},
				"Attachment": map[string]any{"AttachmentId": fmt.Sprintf("eni-attach-%d-%d", n, k), "InstanceId": instanceID(n), "DeviceIndex": k, "AttachTime": born}})
		}
		instances = append(instances, map[string]any{"InstanceId": instanceID(n), "InstanceType": "m6i.large", "State": map[string]any{"Code": 16, "Name": "running"},
			"RootDeviceName": "/dev/sda", "BlockDeviceMappings": devices})
	}
	b, err := json.Marshal(map[string]any{
		"Reservations":      []any{map[string]any{"ReservationId": "r-1", "OwnerId": accountID, "Instances": instances}},
		"NetworkInterfaces": enis, "Volumes": volumes,
		"SecurityGroups": []any{map[string]any{"GroupId": "sg-web", "GroupName": "web", "VpcId": "vpc-1"}},
		"InstanceTypes":  []any{map[string]any{"InstanceType": "m6i.large", "MemoryInfo": map[string]any{"SizeInMiB": 8192}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var plain = func() map[string]any {
	b, err := os.ReadFile("../../events/plain.json")
	if err != nil {
		panic(err)
	}
	var e map[string]any
	if err := json.Unmarshal(b, &e); err != nil {
		panic(err)
	}
	return e
}()

func finding(n int) []byte {
	d := plain["detail"].(map[string]any)
	d["id"] = fmt.Sprintf("%032x", n)
	d["resource"].(map[string]any)["instanceDetails"].(map[string]any)["instanceId"] = instanceID(n)
	plain["id"] = fmt.Sprintf("5f1d3c20-7b1a-4c7e-9d7e-%012x", n)
	b, err := json.Marshal(plain)
	if err != nil {
		panic(err)
	}
	return b
}

func TestTry(t *testing.T) {
	for k, v := range map[string]string{"AWS_REGION": region, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull} {
		t.Setenv(k, v)
	}
	n := 1
	fmt.Sscan(os.Getenv("N"), &n)
	c := 1000
	fmt.Sscan(os.Getenv("C"), &c)
	real := time.Now()
	synctest.Test(t, func(t *testing.T) {
		fails := map[string]int{}
		o := options{instances: n, interfaces: 1, volumes: 2, concurrency: c, parameters: map[string]string{"ApprovalHours": "1"}}
		o.failed = func(f string, e messages.InvokeResponse_Error) { fails[f+" "+e.Type]++; if len(e.Message) > 300 { e.Message = e.Message[:300] }; if n == 1 { t.Log(time.Since(start), f, e.Type, e.Message) } }
		w := deploy(t, o)
		all := w.run()
		ends := map[string]int{}
		for _, e := range all {
			r := e.Result()
			last := ""
			if len(r.States) > 0 {
				last = r.States[len(r.States)-1].State
			}
			ends[last+" "+string(r.Status)+" "+r.Error]++
			if n == 1 {
				for _, v := range r.States {
					t.Log(v.Entered.Sub(start), v.State)
				}
			}
		}
		t.Log(ends, "calls", w.calls, "throttled", w.throttled, w.refused, "lambda refused", w.invoked, fails)
		report(t, w)
		if err := w.account.Unknown(); err != nil {
			t.Error(err)
		}
	})
	t.Log("real", time.Since(real))
}

func report(t *testing.T, w *world) {
	kind := map[string]string{}
	for _, c := range w.account.Calls() {
		if c.Action == "CreateSecurityGroup" && c.Effective {
			kind[*c.Output.(*ec2.CreateSecurityGroupOutput).GroupId] = *c.Input.(*ec2.CreateSecurityGroupInput).GroupName
		}
	}
	entered := map[string]time.Time{}
	in := map[string]time.Time{}
	var last, dwell time.Duration
	byAction := map[string]int{}
	for _, c := range w.account.Calls() {
		byAction[c.Action]++
		if c.Action != "ModifyNetworkInterfaceAttribute" || !c.Effective {
			continue
		}
		i := c.Input.(*ec2.ModifyNetworkInterfaceAttributeInput)
		if k := kind[i.Groups[0]]; k == "quarantine-sg" {
			in[*i.NetworkInterfaceId] = c.Ended
			dwell = max(dwell, c.Ended.Sub(entered[*i.NetworkInterfaceId]))
			last = max(last, c.Ended.Sub(start))
		} else {
			entered[*i.NetworkInterfaceId] = c.At
		}
	}
	t.Log("contained", len(in), "last", last, "longest open", dwell, byAction, kind)
	var _ sim.Call
}
