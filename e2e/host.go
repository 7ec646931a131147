//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// Network is the part of EC2 that says what an instance can reach.
type Network interface {
	ec2.DescribeInstancesAPIClient
	ec2.DescribeNetworkInterfacesAPIClient
	ec2.DescribeSecurityGroupsAPIClient
}

// Shell runs what instances are told to run as processes here, each in a
// directory of its own that stands for the host's memory and kernel.
type Shell struct {
	EC2         Network
	Dir         string
	Certificate string // that curl is to trust
}

// Runs asks EC2.
func (h *Shell) Runs(ctx context.Context, instance string) (bool, error) {
	out, err := h.EC2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{instance}})
	var answer smithy.APIError
	if errors.As(err, &answer) && answer.ErrorCode() == "InvalidInstanceID.NotFound" {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	running := false
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			running = i.State != nil && i.State.Name == types.InstanceStateNameRunning
		}
	}
	return running, nil
}

// Hears looks at the groups of the instance's interfaces: an agent calls out to
// TCP 443, so that a group with no way out cuts it off.
// https://docs.aws.amazon.com/systems-manager/latest/userguide/setup-create-vpc.html
func (h *Shell) Hears(ctx context.Context, instance string) (bool, error) {
	if running, err := h.Runs(ctx, instance); err != nil || !running {
		return false, err
	}
	interfaces, err := h.EC2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{
		Filters: []types.Filter{{Name: aws.String("attachment.instance-id"), Values: []string{instance}}},
	})
	if err != nil {
		return false, err
	}
	var ids []string
	for _, i := range interfaces.NetworkInterfaces {
		for _, g := range i.Groups {
			ids = append(ids, aws.ToString(g.GroupId))
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	groups, err := h.EC2.DescribeSecurityGroups(ctx, &ec2.DescribeSecurityGroupsInput{GroupIds: ids})
	if err != nil {
		return false, err
	}
	hears := false
	for _, g := range groups.SecurityGroups {
		for _, p := range g.IpPermissionsEgress {
			all := aws.ToString(p.IpProtocol) == "-1"
			hears = hears || all || aws.ToInt32(p.FromPort) <= 443 && aws.ToInt32(p.ToPort) >= 443
		}
	}
	return hears, nil
}

// Run runs a script with a small host around it, and everything it started ends
// with it.
func (h *Shell) Run(ctx context.Context, instance, script string) (string, int, error) {
	dir := filepath.Join(h.Dir, instance)
	for name, text := range map[string]string{
		"proc/mounts":   "tmpfs " + dir + "/memory tmpfs rw,nosuid,nodev 0 0\n",
		"proc/meminfo":  "MemTotal: 1000000 kB\nMemAvailable: 800000 kB\n",
		"lockdown":      "[none] integrity confidentiality\n",
		"memory/script": script,
	} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			return "", -1, err
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return "", -1, err
		}
	}
	c := exec.CommandContext(ctx, "sh", filepath.Join(dir, "memory/script"))
	c.Env = []string{
		"PATH=" + os.Getenv("PATH"), "CURL_CA_BUNDLE=" + h.Certificate, "CORDON_PROC=" + dir + "/proc", "CORDON_LOCKDOWN=" + dir + "/lockdown",
		"CORDON_ROOTS=" + dir + "/memory", "CORDON_LOCKS=" + dir, "CORDON_PAUSE=0.2", Mark + "=" + os.Getenv(Mark),
	}
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 5 * time.Second
	var output, trouble bytes.Buffer
	c.Stdout, c.Stderr = &output, &trouble
	err := c.Run()
	var ended *exec.ExitError
	switch {
	case errors.As(err, &ended):
		return output.String(), ended.ExitCode(), nil
	case err != nil:
		return output.String(), -1, fmt.Errorf("run the script: %w: %s", err, trouble.String())
	}
	return output.String(), 0, nil
}
