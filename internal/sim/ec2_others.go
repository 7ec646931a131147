package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// volumeMoving is somebody who attaches a volume to an instance, or takes it off
// and deletes it.
type volumeMoving struct {
	Seconds    int // after the account was opened
	VolumeId   string
	InstanceId string // empty takes it off every instance
	Device     string
	Deleted    bool // and deletes it

	at   time.Time
	done bool
}

// snapshotDeletion is somebody who deletes the snapshots of a volume. Whoever may
// unlock one in governance mode can.
// https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-lock-concepts.html
type snapshotDeletion struct {
	Seconds  int // after the account was opened
	VolumeId string

	at   time.Time
	done bool
}

// settleOthers checks what others do to volumes and snapshots.
func (c *EC2) settleOthers() error {
	for n, m := range c.quirks.volumesMoved {
		if c.volume(m.VolumeId) == nil || m.InstanceId != "" && (c.instance(m.InstanceId) == nil || m.Device == "") || m.Seconds < 1 {
			return fmt.Errorf("Behaviour: VolumesMoved: entry %d needs Seconds and a VolumeId of Volumes, and an InstanceId of Reservations with a Device if it is not taken off", n+1)
		}
		m.at = c.a.now().Add(time.Duration(m.Seconds) * time.Second)
	}
	for n, d := range c.quirks.snapshotsDeleted {
		if c.volume(d.VolumeId) == nil || d.Seconds < 1 {
			return fmt.Errorf("Behaviour: SnapshotsDeleted: entry %d needs Seconds and a VolumeId of Volumes", n+1)
		}
		d.at = c.a.now().Add(time.Duration(d.Seconds) * time.Second)
	}
	return nil
}

// changeVolumes lets others do what they have done by now.
func (c *EC2) changeVolumes() {
	for _, m := range c.quirks.volumesMoved {
		if m.done || m.at.After(c.a.now()) {
			continue
		}
		m.done = true
		c.moveVolume(m)
	}
	for _, d := range c.quirks.snapshotsDeleted {
		if d.done || d.at.After(c.a.now()) {
			continue
		}
		d.done = true
		for _, s := range c.Snapshots {
			if aws.ToString(s.VolumeId) == d.VolumeId {
				c.Locks = slices.DeleteFunc(c.Locks, func(l *types.LockedSnapshotsInfo) bool { return *l.SnapshotId == *s.SnapshotId })
			}
		}
		c.Snapshots = slices.DeleteFunc(c.Snapshots, func(s *types.Snapshot) bool { return aws.ToString(s.VolumeId) == d.VolumeId })
	}
}

func (c *EC2) moveVolume(m *volumeMoving) {
	v := c.volume(m.VolumeId)
	if v == nil {
		return
	}
	if m.InstanceId != "" {
		i := c.instance(m.InstanceId)
		v.State = types.VolumeStateInUse
		v.Attachments = append(v.Attachments, types.VolumeAttachment{
			InstanceId: i.InstanceId, VolumeId: v.VolumeId, Device: &m.Device, AttachTime: &m.at, State: types.VolumeAttachmentStateAttached, DeleteOnTermination: aws.Bool(false),
		})
		i.BlockDeviceMappings = append(i.BlockDeviceMappings, types.InstanceBlockDeviceMapping{
			DeviceName: &m.Device,
			Ebs:        &types.EbsInstanceBlockDevice{VolumeId: v.VolumeId, AttachTime: &m.at, Status: types.AttachmentStatusAttached, DeleteOnTermination: aws.Bool(false)},
		})
		return
	}
	v.State, v.Attachments = types.VolumeStateAvailable, nil
	for _, i := range c.instances() {
		i.BlockDeviceMappings = slices.DeleteFunc(i.BlockDeviceMappings, func(b types.InstanceBlockDeviceMapping) bool {
			return b.Ebs != nil && aws.ToString(b.Ebs.VolumeId) == m.VolumeId
		})
	}
	if m.Deleted {
		c.Volumes = slices.DeleteFunc(c.Volumes, func(o *types.Volume) bool { return o == v })
	}
}
