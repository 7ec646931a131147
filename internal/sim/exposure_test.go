package sim_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// A VPC's resolver answers unless somebody switched it off.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeVpcAttribute.html
func TestDescribeVpcAttribute(t *testing.T) {
	for off, file := range map[bool][]byte{
		false: changed(t, func(map[string]any) {}),
		true: changed(t, func(f map[string]any) {
			vpc := entry(f, "NetworkInterfaces", 0)["VpcId"].(string)
			f["VpcAttributes"] = map[string]any{vpc: map[string]any{"VpcId": vpc, "EnableDnsSupport": map[string]any{"Value": false}}}
		}),
	} {
		var vpc string
		changed(t, func(f map[string]any) { vpc = entry(f, "NetworkInterfaces", 0)["VpcId"].(string) })
		a, _ := world(t, file)
		out, err := a.EC2().DescribeVpcAttribute(t.Context(), &ec2.DescribeVpcAttributeInput{VpcId: &vpc, Attribute: types.VpcAttributeNameEnableDnsSupport})
		if err != nil || aws.ToBool(out.EnableDnsSupport.Value) == off {
			t.Errorf("switched off %v: %+v, %v", off, out, err)
		}
		_, err = a.EC2().DescribeVpcAttribute(t.Context(), &ec2.DescribeVpcAttributeInput{VpcId: aws.String("vpc-none"), Attribute: types.VpcAttributeNameEnableDnsSupport})
		wantCode(t, err, "InvalidVpcID.NotFound", "vpc-none")
	}
}

// Active are sessions that are not over, connected or not; others are history.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_DescribeSessions.html
func TestDescribeSessions(t *testing.T) {
	a, _ := world(t, changed(t, func(f map[string]any) {
		f["Sessions"] = []any{
			map[string]any{"SessionId": "a", "Target": "i-1", "Status": "Disconnected"},
			map[string]any{"SessionId": "b", "Target": "i-1", "Status": "Terminated"},
			map[string]any{"SessionId": "c", "Target": "i-2", "Status": "Connected"},
		}
	}))
	for state, want := range map[ssmtypes.SessionState]string{ssmtypes.SessionStateActive: "a", ssmtypes.SessionStateHistory: "b"} {
		out, err := a.SSM().DescribeSessions(t.Context(), &ssm.DescribeSessionsInput{State: state, Filters: []ssmtypes.SessionFilter{{Key: ssmtypes.SessionFilterKeyTargetId, Value: aws.String("i-1")}}})
		if err != nil || len(out.Sessions) != 1 || *out.Sessions[0].SessionId != want {
			t.Errorf("%s: %+v, %v", state, out, err)
		}
	}
}
