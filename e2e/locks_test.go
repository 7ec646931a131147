package e2e_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"cordon/e2e"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// snapshots are those that EC2 has, with their states.
type snapshots map[string]types.SnapshotState

func (all snapshots) DescribeSnapshots(_ context.Context, in *ec2.DescribeSnapshotsInput, _ ...func(*ec2.Options)) (*ec2.DescribeSnapshotsOutput, error) {
	out := &ec2.DescribeSnapshotsOutput{}
	for _, id := range in.SnapshotIds {
		state, ok := all[id]
		if !ok {
			return nil, &smithy.GenericAPIError{Code: "InvalidSnapshot.NotFound", Message: "The snapshot '" + id + "' does not exist."}
		}
		out.Snapshots = append(out.Snapshots, types.Snapshot{SnapshotId: &id, State: state})
	}
	return out, nil
}

// locking is the SDK's own client in front of the stand-in.
func locking(t *testing.T, all snapshots) *ec2.Client {
	t.Helper()
	server := httptest.NewServer(&e2e.Ours{Locks: &e2e.Locks{EC2: all}})
	t.Cleanup(server.Close)
	return ec2.New(ec2.Options{Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
	})})
}

func TestSnapshotsAreLocked(t *testing.T) {
	c := locking(t, snapshots{"snap-1": types.SnapshotStatePending, "snap-2": types.SnapshotStateCompleted})
	out, err := c.LockSnapshot(t.Context(), &ec2.LockSnapshotInput{SnapshotId: aws.String("snap-1"), LockMode: types.LockModeGovernance, LockDuration: aws.Int32(30)})
	if err != nil {
		t.Fatal(err)
	}
	if *out.SnapshotId != "snap-1" || out.LockState != types.LockStateGovernance || *out.LockDuration != 30 || out.LockExpiresOn.Sub(*out.LockCreatedOn).Hours() != 30*24 {
		t.Errorf("the lock: %+v", out)
	}
	found, err := c.DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{SnapshotIds: []string{"snap-1", "snap-2"}})
	if err != nil {
		t.Fatal(err)
	}
	var locked []string
	for _, s := range found.Snapshots {
		locked = append(locked, *s.SnapshotId+" "+string(s.LockState))
	}
	if diff := cmp.Diff([]string{"snap-1 governance"}, locked); diff != "" {
		t.Errorf("locked snapshots (-want +got):\n%s", diff)
	}
}

func TestLocksThatAreRefused(t *testing.T) {
	c := locking(t, snapshots{"snap-1": types.SnapshotStateCompleted, "snap-3": types.SnapshotStateError})
	lock := func(id string, mode types.LockMode, days int32) *ec2.LockSnapshotInput {
		return &ec2.LockSnapshotInput{SnapshotId: &id, LockMode: mode, LockDuration: &days}
	}
	cool := lock("snap-1", types.LockModeGovernance, 1)
	cool.CoolOffPeriod = aws.Int32(1)
	for name, try := range map[string]struct {
		in   *ec2.LockSnapshotInput
		want string
	}{
		"no such snapshot":       {lock("snap-2", types.LockModeGovernance, 1), "InvalidSnapshot.NotFound"},
		"a snapshot that failed": {lock("snap-3", types.LockModeGovernance, 1), "IncorrectState"},
		"compliance mode":        {lock("snap-1", types.LockModeCompliance, 1), "InvalidParameterValue"},
		"no day":                 {lock("snap-1", types.LockModeGovernance, 0), "InvalidParameterValue"},
		"a century":              {lock("snap-1", types.LockModeGovernance, 36501), "InvalidParameterValue"},
		"a cooling-off period":   {cool, "UnknownParameter"},
	} {
		_, err := c.LockSnapshot(t.Context(), try.in)
		var answer smithy.APIError
		if !errors.As(err, &answer) || answer.ErrorCode() != try.want {
			t.Errorf("%s is answered with %v; want %s", name, err, try.want)
		}
	}
	if _, err := c.DescribeLockedSnapshots(t.Context(), &ec2.DescribeLockedSnapshotsInput{SnapshotIds: []string{"snap-2"}}); err == nil {
		t.Error("a lock of a snapshot that does not exist is described")
	}
	ours := &e2e.Ours{Locks: &e2e.Locks{EC2: snapshots{}}}
	w := httptest.NewRecorder()
	ours.ServeHTTP(w, signed("ec2", "POST", "/", url.Values{"Action": {"LockSnapshot"}, "SnapshotId": {"snap-1"}}.Encode()))
	if !strings.Contains(w.Body.String(), "MissingParameter") {
		t.Errorf("without a mode: %s", w.Body)
	}
}
