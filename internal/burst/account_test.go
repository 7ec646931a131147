package burst_test

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"
)

func instanceID(n int) string     { return fmt.Sprintf("i-0%016x", n) }
func interfaceID(n, k int) string { return fmt.Sprintf("eni-0%08x%08x", n, k) }

// file is an account of that many running instances in one VPC, in which no
// group of ours stands yet: the first of them make the groups, all at once.
func (o options) file(t *testing.T) []byte {
	t.Helper()
	type m = map[string]any
	var instances, interfaces, volumes []m
	born := start.AddDate(0, 0, -40)
	for n := range o.findings {
		var devices []m
		for k := range o.volumes {
			v, ends := fmt.Sprintf("vol-0%08x%08x", n, k), k == 0
			devices = append(devices, m{"DeviceName": fmt.Sprintf("/dev/sd%c", 'a'+k), "Ebs": m{"VolumeId": v, "DeleteOnTermination": ends}})
			volumes = append(volumes, m{"VolumeId": v, "Size": 8, "Encrypted": true, "KmsKeyId": "arn:aws:kms:" + region + ":" + accountID + ":key/theirs"})
		}
		for k := range o.interfaces {
			interfaces = append(interfaces, m{
				"NetworkInterfaceId": interfaceID(n, k), "VpcId": "vpc-1", "SubnetId": "subnet-1", "Groups": []m{{"GroupId": "sg-web", "GroupName": "web"}},
				"Attachment": m{"AttachmentId": fmt.Sprintf("eni-attach-%d-%d", n, k), "InstanceId": instanceID(n), "DeviceIndex": k, "AttachTime": born.Format(time.RFC3339)},
			})
		}
		instances = append(instances, m{
			"InstanceId": instanceID(n), "InstanceType": "m6i.large", "State": m{"Code": 16, "Name": "running"},
			"RootDeviceName": "/dev/sda", "BlockDeviceMappings": devices,
		})
	}
	b, err := json.Marshal(m{
		"Reservations":      []m{{"ReservationId": "r-1", "OwnerId": accountID, "Instances": instances}},
		"NetworkInterfaces": interfaces, "Volumes": volumes,
		"SecurityGroups": []m{{"GroupId": "sg-web", "GroupName": "web", "VpcId": "vpc-1"}},
		"InstanceTypes":  []m{{"InstanceType": "m6i.large", "MemoryInfo": m{"SizeInMiB": 8192}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// events are events/plain.json, one about each instance.
func (o options) events(t *testing.T) [][]byte {
	t.Helper()
	plain, err := os.ReadFile("../../events/plain.json")
	if err != nil {
		t.Fatal(err)
	}
	var e map[string]any
	if err := json.Unmarshal(plain, &e); err != nil {
		t.Fatal(err)
	}
	detail := e["detail"].(map[string]any)
	instance := detail["resource"].(map[string]any)["instanceDetails"].(map[string]any)
	all := make([][]byte, o.findings)
	for n := range all {
		e["id"], detail["id"], instance["instanceId"] = fmt.Sprintf("5f1d3c20-7b1a-4c7e-9d7e-%012x", n), fmt.Sprintf("%032x", n), instanceID(n)
		if all[n], err = json.Marshal(e); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
