package e2e

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// Locks locks snapshots that moto has.
//
//   - https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LockSnapshot.html
//   - https://docs.aws.amazon.com/ebs/latest/userguide/ebs-snapshot-lock.html
type Locks struct {
	EC2 ec2.DescribeSnapshotsAPIClient

	mu    sync.Mutex
	locks []lock // in the order in which they were made
}

// lock is one, in the words of EC2's answers.
type lock struct {
	XMLName  xml.Name `xml:"answer"`
	Owner    string   `xml:"ownerId,omitempty"`
	Snapshot string   `xml:"snapshotId"`
	State    string   `xml:"lockState"`
	Duration int      `xml:"lockDuration"`
	Created  string   `xml:"lockCreatedOn"`
	Expires  string   `xml:"lockExpiresOn"`
	Starts   string   `xml:"lockDurationStartTime"`
}

type locked struct {
	XMLName xml.Name `xml:"answer"`
	Items   []struct {
		lock
		XMLName xml.Name `xml:"item"`
	} `xml:"snapshotSet>item"`
}

const longestLock = 36500 // days

func (l *Locks) serve(ctx context.Context, action string, p Parameters) (any, error) {
	known := map[string][]string{
		"LockSnapshot":            {"SnapshotId", "LockMode", "LockDuration"},
		"DescribeLockedSnapshots": {"SnapshotId"},
	}[action]
	for name := range p {
		if name != "Action" && name != "Version" && !slices.Contains(known, name) {
			return nil, refused("UnknownParameter", "The parameter %s is not recognized", name)
		}
	}
	if action == "LockSnapshot" {
		return l.lock(ctx, p)
	}
	return l.describe(ctx, p["SnapshotId"])
}

// lock takes the mode governance with a number of days, which is all that the
// functions use; compliance mode, which nobody can undo, is not for them.
func (l *Locks) lock(ctx context.Context, p Parameters) (any, error) {
	id := p.Value("SnapshotId")
	for _, name := range []string{"SnapshotId", "LockMode"} {
		if p.Value(name) == "" {
			return nil, refused("MissingParameter", "The request must contain the parameter %s", name)
		}
	}
	if mode := p.Value("LockMode"); mode != "governance" {
		return nil, refused("InvalidParameterValue", "Value (%s) for parameter LockMode is invalid.", mode)
	}
	days, err := strconv.Atoi(p.Value("LockDuration"))
	if err != nil || days < 1 || days > longestLock {
		return nil, refused("InvalidParameterValue", "Value (%s) for parameter LockDuration is invalid. It must be from 1 to %d.", p.Value("LockDuration"), longestLock)
	}
	found, err := l.snapshots(ctx, []string{id})
	if err != nil {
		return nil, err
	}
	if found[0].State == types.SnapshotStateError {
		return nil, refused("IncorrectState", "The snapshot %s is in state error.", id)
	}
	now := time.Now().UTC()
	made := lock{Snapshot: id, State: "governance", Duration: days, Created: stamp(now), Starts: stamp(now), Expires: stamp(now.AddDate(0, 0, days))}
	l.mu.Lock()
	defer l.mu.Unlock()
	if n := slices.IndexFunc(l.locks, func(o lock) bool { return o.Snapshot == id }); n >= 0 {
		made.Created = l.locks[n].Created
		l.locks[n] = made
	} else {
		l.locks = append(l.locks, made)
	}
	return made, nil
}

func stamp(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z") }

// describe lists the locks of snapshots; one that is not locked is left out, one
// that does not exist is an error.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeLockedSnapshots.html
func (l *Locks) describe(ctx context.Context, ids []string) (any, error) {
	if len(ids) > 0 {
		if _, err := l.snapshots(ctx, ids); err != nil {
			return nil, err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	out := locked{}
	for _, o := range l.locks {
		if len(ids) == 0 || slices.Contains(ids, o.Snapshot) {
			o.Owner = "self"
			out.Items = append(out.Items, struct {
				lock
				XMLName xml.Name `xml:"item"`
			}{lock: o})
		}
	}
	return out, nil
}

func (l *Locks) snapshots(ctx context.Context, ids []string) ([]types.Snapshot, error) {
	out, err := l.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: ids})
	var answer smithy.APIError
	switch {
	case errors.As(err, &answer):
		return nil, refused(answer.ErrorCode(), "%s", answer.ErrorMessage())
	case err != nil:
		return nil, fmt.Errorf("look for the snapshots: %w", err)
	case len(out.Snapshots) == 0:
		return nil, refused("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", ids[0])
	}
	return out.Snapshots, nil
}

// Locked says whether a snapshot is locked.
func (l *Locks) Locked(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.ContainsFunc(l.locks, func(o lock) bool { return o.Snapshot == id })
}
