package enrich

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"
	"cordon/internal/record"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	astypes "github.com/aws/aws-sdk-go-v2/service/autoscaling/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
)

// brakes are what keeps Cordon from isolating by itself. Where one of them
// cannot be looked at, isolation goes on and people are told: an intruder must
// not win by breaking a switch.
type brakes struct {
	act, never []incident.Pattern
	tag        string // KEY or KEY=VALUE of instances that are exempt; empty: no tag counts
	pause      string // name of the SSM parameter
	pauseMost  time.Duration
	perHour    int // isolations
	percent    int // of an Auto Scaling group
}

// critical is the severity from which the breaker lets a finding pass: 9.0 and
// above is GuardDuty's Critical.
// https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_findings-severity.html
const critical = 9

func (b *brakes) read(host incident.Host) error {
	list, err := host.Setting("FINDING_TYPES")
	if err != nil {
		return err
	}
	if b.act, err = patterns("FINDING_TYPES", list); err != nil {
		return err
	}
	if b.never, err = patterns("NEVER_FINDING_TYPES", host.Getenv("NEVER_FINDING_TYPES")); err != nil {
		return err
	}
	if b.pause, err = host.Setting("PAUSE_PARAMETER"); err != nil {
		return err
	}
	hours, err := host.Number("PAUSE_HOURS")
	if err != nil {
		return err
	}
	b.pauseMost = time.Duration(hours * float64(time.Hour))
	for name, to := range map[string]*int{"MAX_ISOLATIONS_PER_HOUR": &b.perHour, "MAX_GROUP_PERCENT": &b.percent} {
		v, err := host.Setting(name)
		if err != nil {
			return err
		}
		// 0 is one that always asks.
		if *to, err = strconv.Atoi(v); err != nil || *to < 0 {
			return fmt.Errorf("environment variable %s: %q is not a whole number from 0", name, v)
		}
	}
	b.tag = host.Getenv("EXEMPT_TAG")
	return nil
}

var (
	starred = regexp.MustCompile(`^[A-Za-z0-9:/.!&_-]*\*[A-Za-z0-9:/.!&_*-]*$`)
	// https://docs.aws.amazon.com/guardduty/latest/ug/guardduty_finding-format.html
	whole = regexp.MustCompile(`^[A-Za-z0-9]+:[A-Za-z0-9]+/[A-Za-z0-9:/.!&_-]+$`)
)

// patterns reads a list of them. One that can match no type is refused: left
// in, it would look like a brake and be none.
func patterns(name, list string) (all []incident.Pattern, err error) {
	for p := range strings.SplitSeq(list, ",") {
		p = strings.TrimSpace(p)
		switch {
		case p == "":
		case !starred.MatchString(p) && !whole.MatchString(p):
			return nil, fmt.Errorf("environment variable %s: %q matches no finding type; write a whole one (Backdoor:EC2/C&CActivity.B) or use * (Backdoor:EC2/*)", name, p)
		default:
			all = append(all, incident.Pattern(strings.ToLower(p)))
		}
	}
	return all, nil
}

// matching finds the pattern that a finding type fits, whatever its upper and
// lower case: patterns are lower case.
func matching(all []incident.Pattern, findingType string) (incident.Pattern, bool) {
	n := slices.IndexFunc(all, func(p incident.Pattern) bool { return p.Matches(strings.ToLower(findingType)) })
	if n < 0 {
		return "", false
	}
	return all[n], true
}

// unlisted says why findings of a type are not acted on, or nothing.
func (b brakes) unlisted(findingType string) string {
	if p, ok := matching(b.never, findingType); ok {
		return fmt.Sprintf("findings of type %s are never acted on: %s is on the list of such types", findingType, p)
	}
	if _, ok := matching(b.act, findingType); !ok {
		return fmt.Sprintf("findings of type %s are not on the list of types that are acted on", findingType)
	}
	return ""
}

// tagged says that the instance carries the tag that exempts. Whoever may tag
// the instance may set it, so it counts only where a parameter names one.
func (b brakes) tagged(i incident.Instance) string {
	if b.tag == "" {
		return ""
	}
	key, value, one := strings.Cut(b.tag, "=")
	if v, ok := i.Tags[key]; !ok || one && v != value {
		return ""
	}
	return fmt.Sprintf("%s carries the tag %s, which exempts it", i.ID, b.tag)
}

// switched is the pause switch as it was read.
type switched struct {
	until time.Time // zero: nothing is paused
	since time.Time // when it was written, as SSM dates it
	note  string    // what people are to know of a switch that does not pause
}

// off is what the switch says where nothing is paused.
const off = "off"

// paused reads the switch. A pause lasts until the time that stands there, and
// never longer than so many hours after it was written.
func (s *Step) paused(ctx context.Context) switched {
	name := s.brakes.pause
	goesOn := func(format string, a ...any) switched {
		return switched{note: "the pause switch " + name + " " + fmt.Sprintf(format, a...) + "; nothing is paused"}
	}
	out, err := s.ssm.GetParameter(ctx, &ssm.GetParameterInput{Name: &name})
	if err != nil {
		return goesOn("could not be read: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if out.Parameter == nil || out.Parameter.LastModifiedDate == nil {
		return goesOn("came without a value or a date")
	}
	value := strings.TrimSpace(aws.ToString(out.Parameter.Value))
	if strings.EqualFold(value, off) {
		return switched{}
	}
	until, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return goesOn("holds %.100q, which is neither %s nor a time such as 2026-03-01T18:00:00Z", value, off)
	}
	most := out.Parameter.LastModifiedDate.Add(s.brakes.pauseMost)
	end, limited := until, ""
	if most.Before(until) {
		end, limited = most, fmt.Sprintf(" (it says %s; %v after it was written is the most)", stamp(until), s.brakes.pauseMost)
	}
	if !s.host.Now().Before(end) {
		return goesOn("ended at %s%s; set it to %s", stamp(end), limited, off)
	}
	return switched{until: end, since: *out.Parameter.LastModifiedDate}
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// fleet is the Auto Scaling group of an instance.
type fleet struct {
	name    string
	members []string // instance IDs, those in standby too
	size    int      // how many there should be, or are
}

// fleet is the group an instance is in; without a name if it is in none.
func (s *Step) fleet(ctx context.Context, id string) (fleet, error) {
	in, err := s.scaling.DescribeAutoScalingInstances(ctx, &autoscaling.DescribeAutoScalingInstancesInput{InstanceIds: []string{id}})
	if err != nil {
		return fleet{}, fmt.Errorf("ask for the Auto Scaling group of %s: %w", id, err)
	}
	var name string
	for _, i := range in.AutoScalingInstances {
		if aws.ToString(i.InstanceId) == id {
			name = aws.ToString(i.AutoScalingGroupName)
		}
	}
	if name == "" {
		return fleet{}, nil
	}
	out, err := s.scaling.DescribeAutoScalingGroups(ctx, &autoscaling.DescribeAutoScalingGroupsInput{AutoScalingGroupNames: []string{name}})
	if err != nil {
		return fleet{}, fmt.Errorf("describe the Auto Scaling group %s: %w", name, err)
	}
	n := slices.IndexFunc(out.AutoScalingGroups, func(g astypes.AutoScalingGroup) bool { return aws.ToString(g.AutoScalingGroupName) == name })
	if n < 0 {
		return fleet{}, fmt.Errorf("describe the Auto Scaling group %s: it is not in the answer", name)
	}
	f := fleet{name: name}
	for _, i := range out.AutoScalingGroups[n].Instances {
		f.members = append(f.members, aws.ToString(i.InstanceId))
	}
	f.size = max(len(f.members), int(aws.ToInt32(out.AutoScalingGroups[n].DesiredCapacity)))
	return f, nil
}

// breaker says why people must be asked before an instance is isolated; nothing
// where it may be. It takes a place of each limit for the incident, so that what
// others count includes it; that a critical finding finds none is no matter.
func (s *Step) breaker(ctx context.Context, inc incident.Incident, f fleet) (string, error) {
	var full []string
	hour := record.Limit{Name: "hour", Places: s.brakes.perHour}
	now := s.host.Now().UTC()
	ok, err := s.place(ctx, hour, inc.ID, inc, func(p record.Place) (bool, error) { return now.Sub(p.At) < time.Hour, nil })
	if err != nil {
		return "", err
	}
	if !ok {
		full = append(full, fmt.Sprintf("%d isolations began within an hour, and more are not begun without a person", hour.Places))
	}
	// A group of one has no share.
	if f.size > 1 {
		group := record.Limit{Name: "group#" + f.name, Places: f.size * s.brakes.percent / 100}
		ok, err := s.place(ctx, group, inc.InstanceID, inc, func(p record.Place) (bool, error) { return s.missing(ctx, f, p) })
		if err != nil {
			return "", err
		}
		if !ok {
			full = append(full, fmt.Sprintf("it would be more than %d %% of the Auto Scaling group %s, which has %d instances", s.brakes.percent, f.name, f.size))
		}
	}
	return strings.Join(full, "; "), nil
}

// missing tells whether the instance of a place is still one that its group is
// short of: a member, isolated, and not released since.
func (s *Step) missing(ctx context.Context, f fleet, p record.Place) (bool, error) {
	if !slices.Contains(f.members, p.Holder) {
		return false, nil
	}
	h, err := record.LoadHead(ctx, s.db, s.table, p.Incident)
	if err != nil {
		return false, err
	}
	return h.State == record.Open || h.State == record.Kept, nil
}

// place takes a place of a limit; a dry run only looks whether there is one.
func (s *Step) place(ctx context.Context, l record.Limit, holder string, inc incident.Incident, live func(record.Place) (bool, error)) (bool, error) {
	for range races {
		held, err := record.Held(ctx, s.db, s.table, l.Name)
		if err != nil {
			return false, err
		}
		lives, errs := make([]bool, len(held)), make([]error, len(held))
		s.host.Each(len(held), func(n int) { lives[n], errs[n] = live(held[n]) })
		if err := errors.Join(errs...); err != nil {
			return false, err
		}
		counts, taken := map[int]bool{}, 0
		for n, p := range held {
			if counts[p.Number] = lives[n]; lives[n] && p.Holder != holder {
				taken++
			}
		}
		if s.dry {
			return taken < l.Places, nil
		}
		p := record.Place{Holder: holder, Incident: inc.ID, At: s.host.Now().UTC()}
		ok, err := record.TakePlace(ctx, s.db, s.table, l, p, held, func(p record.Place) bool { return counts[p.Number] })
		if !errors.Is(err, record.ErrTaken) {
			return ok, err
		}
	}
	return false, fmt.Errorf("take a place of %s: %w, %d times", l.Name, record.ErrTaken, races)
}
