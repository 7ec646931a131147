package release_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/release"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"
)

func run(ctx context.Context, s *scene.Scene) (release.Output, error) {
	step, err := release.New(s.Host, s.EC2(), s.AutoScaling(), s.ElasticLoadBalancingV2(), s.ElasticLoadBalancing(), s.KMS(), s.DynamoDB(), s.DynamoDB())
	if err != nil {
		return release.Output{}, err
	}
	return step.Run(ctx, release.Input{Incident: s.Incident, Round: 1, Execution: scene.Execution})
}

func isolated(t *testing.T, faults ...sim.Fault) *scene.Scene {
	t.Helper()
	s := scene.Open(t, scene.File, faults...)
	s.Isolate(t)
	return s
}

func decided(t *testing.T, faults ...sim.Fault) *scene.Scene {
	t.Helper()
	s := isolated(t, faults...)
	s.Decide(t, incident.Release, nil, nil)
	return s
}

var (
	before = map[string][]string{"eni-1": {"sg-ssh", "sg-web"}, "eni-2": {"sg-db"}}
	flags  = scene.Flags{Shutdown: "terminate", Delete: map[string]bool{"vol-root": true, "vol-data": true}}
)

func TestPutsBack(t *testing.T) {
	s := decided(t)
	from := len(s.Calls())
	got, err := run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	want := release.Output{
		Report: incident.Report{Status: incident.OK}, Connected: true, NotBack: []string{}, Person: "Sato", Because: "seen in the logs",
		Restored: []string{"groups of eni-1", "groups of eni-2", "deleteOnTermination of vol-data", "deleteOnTermination of vol-root", "instanceInitiatedShutdownBehavior", "disableApiStop", "disableApiTermination"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(before, s.Groups(t)); d != "" {
		t.Errorf("groups (-before +after):\n%s", d)
	}
	if d := cmp.Diff(flags, s.Flags(t)); d != "" {
		t.Errorf("flags (-before +after):\n%s", d)
	}
	changes := slices.DeleteFunc(s.Changes(from), func(c string) bool { return strings.HasPrefix(c, "dynamodb:") })
	if changes[0] != "ec2:ModifyNetworkInterfaceAttribute" {
		t.Errorf("people wait for the network and %s came first", changes[0])
	}
}

// What never had been otherwise stays: protection that the owner had set.
func TestOwnersProtectionStays(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Remember(t, scene.Instance, "disableApiTermination", "true")
	s.Isolate(t)
	s.Decide(t, incident.Release, nil, nil)
	if _, err := run(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if !s.Flags(t).Termination {
		t.Error("the owner's own termination protection is gone")
	}
}

func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		doubt func(*testing.T, *scene.Scene)
		why   string
	}{
		{"nobody decided", func(*testing.T, *scene.Scene) {}, "nobody has decided"},
		{"keep", func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Keep, nil, nil) }, "is keep, not release"},
		{"terminate", func(t *testing.T, s *scene.Scene) { s.Decide(t, incident.Terminate, nil, nil) }, "is terminate, not release"},
		{"forged", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Keep, nil, func(d *incident.Decision) { d.Choice = incident.Release })
		}, "seal"},
		{"another round", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Release, func(d *incident.Decision) { d.Round = 2 }, nil)
		}, "nobody has decided"},
		{"expired", func(t *testing.T, s *scene.Scene) {
			s.Decide(t, incident.Release, nil, nil)
			s.Wait(8 * 24 * time.Hour)
		}, "expired"},
		{"another machine", func(t *testing.T, s *scene.Scene) {
			s.Incident.AttachedAt = s.Incident.AttachedAt.Add(time.Hour)
			s.Decide(t, incident.Release, func(d *incident.Decision) { d.AttachedAt = s.Incident.AttachedAt }, nil)
		}, "not the machine of the incident"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := isolated(t)
			c.doubt(t, s)
			from := len(s.Calls())
			_, err := run(t.Context(), s)
			if !errors.Is(err, scene.Refusal(c.why)) || !strings.Contains(fmt.Sprint(err), c.why) {
				t.Errorf("error is %v, want a refusal that says %q", err, c.why)
			}
			if changes := s.Changes(from); len(changes) > 0 {
				t.Errorf("it refuses and changes all the same: %v", changes)
			}
		})
	}
}

// TestForced: where it is another machine by now, and the decision says so, what
// was recorded and is still there goes back, and people are told what it is.
func TestForced(t *testing.T) {
	force := func(d *incident.Decision) { d.Force = true }
	attached := func(t *testing.T, faults ...sim.Fault) *scene.Scene {
		s := isolated(t, faults...)
		s.Incident.AttachedAt = s.Incident.AttachedAt.Add(time.Hour)
		s.Decide(t, incident.Release, func(d *incident.Decision) { d.AttachedAt, d.Force = s.Incident.AttachedAt, true }, nil)
		return s
	}
	for name, c := range map[string]struct {
		open func(*testing.T, ...sim.Fault) *scene.Scene
		says string
	}{
		"attached at another time": {attached, "its primary interface was attached at"},
		"another root volume": {func(t *testing.T, faults ...sim.Fault) *scene.Scene {
			s := isolated(t, faults...)
			s.Incident.Root = "vol-before"
			s.Decide(t, incident.Release, force, nil)
			return s
		}, "its root volume is vol-root, that one's was vol-before"},
	} {
		t.Run(name, func(t *testing.T) {
			s := c.open(t)
			got, err := run(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != incident.Partial || !got.Connected || len(got.NotBack) != 1 || !strings.Contains(got.NotBack[0], c.says) {
				t.Errorf("%+v: want it told that %s", got, c.says)
			}
			if d := cmp.Diff(before, s.Groups(t)) + cmp.Diff(flags, s.Flags(t)); d != "" {
				t.Errorf("(-before +after):\n%s", d)
			}
			scene.Kill(t, c.open, run)
		})
	}
	s := isolated(t)
	s.Incident.Root = "vol-before"
	s.Decide(t, incident.Release, nil, nil)
	from := len(s.Calls())
	if _, err := run(t.Context(), s); !errors.Is(err, incident.ErrRefused) || !strings.Contains(err.Error(), "--force") || len(s.Changes(from)) > 0 {
		t.Errorf("not forced: %v, changes %v; want a refusal that says how", err, s.Changes(from))
	}
	s = isolated(t)
	s.Incident.Root = "vol-root"
	s.Decide(t, incident.Release, nil, nil)
	if got, err := run(t.Context(), s); err != nil || got.Status != incident.OK {
		t.Errorf("the same root volume: %+v, %v", got, err)
	}
}

// What cannot go back is told; everything else goes back. An interface goes into
// its own groups, all of them, or stays where it is.
func TestNotBack(t *testing.T) {
	for _, c := range []struct {
		name      string
		meanwhile func(*testing.T, *scene.Scene)
		notBack   string
		groups    map[string][]string
		connected bool
	}{
		{
			"one of its groups was deleted", func(t *testing.T, s *scene.Scene) { s.Remember(t, "eni-1", "groups", `["sg-web","sg-deleted"]`) },
			"groups of eni-1: of its groups sg-web, sg-deleted, sg-deleted no longer exists; left isolated",
			map[string][]string{"eni-1": {"sg-q1"}, "eni-2": {"sg-db"}},
			false,
		},
		{
			"somebody moved it", func(*testing.T, *scene.Scene) {},
			"groups of eni-1: somebody has put it into sg-other since; left as it is",
			map[string][]string{"eni-1": {"sg-other"}, "eni-2": {"sg-db"}},
			false,
		},
		{
			"somebody left it one of its own", func(*testing.T, *scene.Scene) {},
			"groups of eni-1: somebody has put it into sg-web since; left as it is",
			map[string][]string{"eni-1": {"sg-web"}, "eni-2": {"sg-db"}},
			false,
		},
		{
			"in another stack's quarantine", func(t *testing.T, s *scene.Scene) { s.Tag(t, "sg-other", "cordon:group", "quarantine") },
			"groups of eni-1: somebody has put it into sg-other since; left as it is",
			map[string][]string{"eni-1": {"sg-other"}, "eni-2": {"sg-db"}},
			false,
		},
		{
			"somebody added a group", func(*testing.T, *scene.Scene) {},
			"groups of eni-1: somebody has put it into sg-other, sg-q1 since; left as it is",
			map[string][]string{"eni-1": {"sg-other", "sg-q1"}, "eni-2": {"sg-db"}},
			false,
		},
		{
			"never recorded", func(t *testing.T, s *scene.Scene) { s.Remember(t, "eni-1", "groups", `[]`) },
			"groups of eni-1: the groups that it had were never recorded; left isolated",
			map[string][]string{"eni-1": {"sg-q1"}, "eni-2": {"sg-db"}},
			false,
		},
		{
			"ours was recorded", func(t *testing.T, s *scene.Scene) { s.Remember(t, "eni-1", "groups", `["sg-c1"]`) },
			"groups of eni-1: what was recorded, sg-c1, is a group of Cordon's own; left isolated",
			map[string][]string{"eni-1": {"sg-q1"}, "eni-2": {"sg-db"}},
			false,
		},
		{
			"an interface that is gone", func(t *testing.T, s *scene.Scene) { s.Remember(t, "eni-9", "groups", `["sg-web"]`) },
			"groups of eni-9: it is not attached to " + scene.Instance + " any more", before, true,
		},
		{
			"a volume that is gone", func(t *testing.T, s *scene.Scene) { s.Remember(t, "vol-9", "deleteOnTermination", "true") },
			"deleteOnTermination of vol-9: the volume is not attached to " + scene.Instance + " any more", before, true,
		},
		{
			"something newer", func(t *testing.T, s *scene.Scene) { s.Remember(t, scene.Instance, "standby", `"asg"`) },
			"standby of " + scene.Instance + ": recorded, and this version does not know how to put it back", before, true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, scene.File)
			c.meanwhile(t, s) // what is remembered first stands
			s.Isolate(t)
			if g := c.groups["eni-1"]; g[0] != before["eni-1"][0] {
				s.Put(t, "eni-1", g...)
			}
			s.Decide(t, incident.Release, nil, nil)
			for range 2 { // and again: it says the same
				got, err := run(t.Context(), s)
				if err != nil {
					t.Fatal(err)
				}
				if got.Status != incident.Partial || got.Connected != c.connected || !cmp.Equal(got.NotBack, []string{c.notBack}) {
					t.Errorf("got %+v, want partial, connected %t, not back %q", got, c.connected, c.notBack)
				}
				if d := cmp.Diff(c.groups, s.Groups(t)); d != "" {
					t.Errorf("groups (-want +got):\n%s", d)
				}
				if d := cmp.Diff(flags, s.Flags(t)); d != "" {
					t.Errorf("the flags waited for it (-before +after):\n%s", d)
				}
			}
		})
	}
}

func TestPages(t *testing.T) {
	s := scene.Open(t, scene.Paged)
	s.Isolate(t)
	s.Decide(t, incident.Release, nil, nil)
	if out, err := run(t.Context(), s); err != nil || !out.Connected {
		t.Errorf("got %+v, %v", out, err)
	}
	if d := cmp.Diff(before, s.Groups(t)); d != "" {
		t.Errorf("groups (-before +after):\n%s", d)
	}
}

// An interface that was never changed is none of the release's business.
func TestNeverChanged(t *testing.T) {
	s := scene.Open(t, scene.File)
	s.Remember(t, "eni-1", "groups", `["sg-web","sg-ssh"]`)
	s.Put(t, "eni-1", "sg-q1")
	s.Decide(t, incident.Release, nil, nil)
	out, err := run(t.Context(), s)
	if err != nil || !out.Connected || out.Status != incident.OK || !cmp.Equal(out.Restored, []string{"groups of eni-1"}) {
		t.Errorf("got %+v, %v", out, err)
	}
}

// EC2 accepted it and does not show it yet: nobody is told that it is back.
func TestStaleVerification(t *testing.T) {
	s := decided(t, sim.Fault{Service: "ec2", Action: "DescribeInstanceAttribute", Number: 5, Kind: sim.Stale})
	if out, err := run(t.Context(), s); err == nil || errors.Is(err, incident.ErrRefused) {
		t.Errorf("got %+v, %v, want an error that is tried again", out, err)
	}
	if out, err := run(t.Context(), s); err != nil || !out.Connected || out.Status != incident.OK {
		t.Errorf("the next run: %+v, %v", out, err)
	}
}

// One call that fails does not keep the rest; the machine runs the step again.
func TestOneFailure(t *testing.T) {
	// The first two moves are those of Isolate.
	s := decided(t, sim.Fault{Service: "ec2", Action: "ModifyNetworkInterfaceAttribute", Number: 3, Kind: sim.Throttled})
	if _, err := run(t.Context(), s); err == nil || errors.Is(err, incident.ErrRefused) {
		t.Errorf("error is %v, want one that is tried again", err)
	}
	if d := cmp.Diff(map[string][]string{"eni-1": {"sg-q1"}, "eni-2": {"sg-db"}}, s.Groups(t)); d != "" {
		t.Errorf("groups (-want +got):\n%s", d)
	}
	if d := cmp.Diff(flags, s.Flags(t)); d != "" {
		t.Errorf("flags (-want +got):\n%s", d)
	}
	if out, err := run(t.Context(), s); err != nil || !out.Connected {
		t.Errorf("run again: %+v, %v", out, err)
	}
}

// An incident that took over from one that was kept isolated puts back what that
// one found, also where it has recorded nothing itself.
func TestInherits(t *testing.T) {
	s := isolated(t)
	s.Incident = s.Next(t, 2, s.Incident.ID)
	s.Decide(t, incident.Release, nil, nil)
	out, err := run(t.Context(), s)
	if err != nil || !out.Connected {
		t.Errorf("got %+v, %v", out, err)
	}
	if d := cmp.Diff(before, s.Groups(t)); d != "" {
		t.Errorf("groups (-before +after):\n%s", d)
	}
}

func TestGone(t *testing.T) {
	s := decided(t)
	off := &types.AttributeBooleanValue{Value: aws.Bool(false)}
	s.Modify(t, &ec2.ModifyInstanceAttributeInput{DisableApiStop: off})
	s.Modify(t, &ec2.ModifyInstanceAttributeInput{DisableApiTermination: off})
	s.Terminate(t)
	if out, err := run(t.Context(), s); !errors.Is(err, incident.ErrInstanceNotFound) {
		t.Errorf("got %+v, %v: people are told to mend what is not back, and release it again", out, err)
	}
}

func TestKill(t *testing.T) { scene.Kill(t, decided, run) }

// What another execution has isolated since stays isolated: people are asked anew.
func TestSuperseded(t *testing.T) {
	s := decided(t)
	was := s.Groups(t)
	s.Reopen(t, "arn:another")
	if out, err := run(t.Context(), s); !errors.Is(err, incident.ErrSuperseded) {
		t.Errorf("%+v, %v; want ErrSuperseded", out, err)
	}
	if d := cmp.Diff(was, s.Groups(t)); d != "" {
		t.Errorf("(-before +after):\n%s", d)
	}
}
