package credentials_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"cordon/internal/credentials"
	"cordon/internal/incident"
	"cordon/internal/scene"
	"cordon/internal/sim"

	"github.com/google/go-cmp/cmp"
)

const (
	role   = "arn:aws:iam::123456789012:role/web"
	policy = "cordon-" + scene.Instance
)

// file is the scene's account, its instance with a role that another instance has too.
var file = strings.NewReplacer(
	`"InstanceType": "m5d.large", "State"`, `"InstanceType": "m5d.large", "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/web"}, "State"`,
	`"Reservations": [`, `"Reservations": [{"Instances": [
	  {"InstanceId": "i-0shared", "State": {"Name": "running", "Code": 16}, "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/web"}},
	  {"InstanceId": "i-0gone", "State": {"Name": "terminated", "Code": 48}, "IamInstanceProfile": {"Arn": "arn:aws:iam::123456789012:instance-profile/web"}}]},`,
	`"NetworkInterfaces": [`, `"NetworkInterfaces": [
    {"NetworkInterfaceId": "eni-3", "VpcId": "vpc-1", "SubnetId": "subnet-1", "Groups": [{"GroupId": "sg-web"}],
     "Attachment": {"InstanceId": "i-0shared", "DeviceIndex": 0, "AttachTime": "2026-01-01T12:00:00Z"}},`,
).Replace(scene.File)

func open(t *testing.T, faults ...sim.Fault) *scene.Scene {
	t.Helper()
	return scene.Open(t, file, faults...)
}

func want(denial incident.Denial) func(context.Context, *scene.Scene) (credentials.Output, error) {
	return func(ctx context.Context, s *scene.Scene) (credentials.Output, error) {
		step, err := credentials.New(s.Host, s.EC2(), s.IAM(), s.KMS(), s.DynamoDB(), s.DynamoDB())
		if err != nil {
			return credentials.Output{}, err
		}
		return step.Run(ctx, credentials.Input{Incident: s.Incident, Want: denial, Round: 1, Execution: scene.Execution})
	}
}

// denied is what the account's role policies say.
func denied(t *testing.T, s *scene.Scene) map[string]map[string]any {
	t.Helper()
	b, err := s.JSON()
	if err != nil {
		t.Fatal(err)
	}
	var account struct{ RolePolicies map[string]map[string]string }
	if err := json.Unmarshal(b, &account); err != nil {
		t.Fatal(err)
	}
	all := map[string]map[string]any{}
	for role, policies := range account.RolePolicies {
		for name, text := range policies {
			var document struct{ Statement []map[string]any }
			if err := json.Unmarshal([]byte(text), &document); err != nil || len(document.Statement) != 1 {
				t.Fatalf("%s of %s: %s: %v", name, role, text, err)
			}
			all[role+" "+name] = document.Statement[0]
		}
	}
	return all
}

// Narrowed leaves the agent alive and nothing else; denied leaves nothing. Both
// are for this one instance.
func TestDenies(t *testing.T) {
	s := open(t)
	for _, denial := range []incident.Denial{incident.Narrowed, incident.Denied} {
		got, err := want(denial)(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(credentials.Output{Report: incident.Report{Status: incident.OK}, State: denial, Role: role, Policy: policy, Shared: []string{"i-0shared"}}, got); d != "" {
			t.Errorf("(-want +got):\n%s", d)
		}
		all := denied(t, s)
		p := all["web "+policy]
		if len(all) != 1 || p["Effect"] != "Deny" || p["Resource"] != "*" {
			t.Fatalf("policies are %v", all)
		}
		if d := cmp.Diff(map[string]any{"ArnEquals": map[string]any{"ec2:SourceInstanceARN": "arn:aws:ec2:eu-west-1:123456789012:instance/" + scene.Instance}}, p["Condition"]); d != "" {
			t.Errorf("others with the role are hit (-want +got):\n%s", d)
		}
		switch denial {
		case incident.Narrowed:
			for _, a := range p["NotAction"].([]any) {
				if a := a.(string); !strings.HasPrefix(a, "ssm:") && a != "ssmmessages:*" && a != "ec2messages:*" || a == "ssm:*" || strings.Contains(a, "Parameter") {
					t.Errorf("the agent does not need %s", a)
				}
			}
		case incident.Denied:
			if p["Action"] != "*" || p["NotAction"] != nil {
				t.Errorf("not everything is denied: %v", p)
			}
		}
	}
	// What is denied stays denied: a step that runs late does not open it again.
	if got, err := want(incident.Narrowed)(t.Context(), s); err != nil || got.State != incident.Denied || denied(t, s)["web "+policy]["Action"] != "*" {
		t.Errorf("narrowed after denied: %+v, %v", got, err)
	}
	if p := s.Priors(t)["web rolePolicy"]; p != `"`+policy+`"` {
		t.Errorf("recorded is %s", p)
	}
}

// What this step must not touch, it leaves alone and says why.
func TestSkips(t *testing.T) {
	profile := func(roles string) string {
		return strings.Replace(file, "{", `{"InstanceProfiles": [{"InstanceProfileName": "web", "Arn": "arn:aws:iam::123456789012:instance-profile/web", "Roles": [`+roles+`]}],`, 1)
	}
	for _, c := range []struct{ name, account, roles, why string }{
		{"off", file, "off", "CredentialRoles is empty"},
		{"no role", scene.File, "*", "the instance has no role"},
		{"a profile without a role", profile(""), "*", "has no role"},
		{"another pattern", file, "arn:aws:iam::123456789012:role/app-*", "does not match CredentialRoles"},
		{"an exact pattern", file, "arn:aws:iam::123456789012:role/we", "does not match CredentialRoles"},
		{"ours", profile(`{"RoleName": "cordon-IsolateRole-1", "Arn": "arn:aws:iam::123456789012:role/cordon-IsolateRole-1", "Path": "/"}`), "*", "one of Cordon's own"},
		{"AWS's", profile(`{"RoleName": "x", "Arn": "arn:aws:iam::123456789012:role/aws-reserved/x", "Path": "/aws-reserved/"}`), "*", "AWS's own"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scene.Open(t, c.account)
			s.Set("CREDENTIAL_ROLES", c.roles)
			got, err := want(incident.Denied)(t.Context(), s)
			if err != nil || got.Status != incident.Skipped || !strings.Contains(got.Reason, c.why) || got.State != incident.Allowed {
				t.Errorf("got %+v, %v, want skipped: %q", got, err, c.why)
			}
			if all := denied(t, s); len(all) > 0 {
				t.Errorf("and changed %v", all)
			}
		})
	}
}

// A dry run says what it would do, and does nothing.
func TestDryRun(t *testing.T) {
	s := open(t)
	s.Set("DRY_RUN", "true")
	from := len(s.Calls())
	got, err := want(incident.Denied)(t.Context(), s)
	if err != nil || got.Status != incident.Skipped || !strings.Contains(got.Reason, role+" would be denied") || got.State != incident.Allowed {
		t.Errorf("got %+v, %v", got, err)
	}
	if changes := s.Changes(from); len(changes) > 0 {
		t.Errorf("and changed %v", changes)
	}
}

func TestPattern(t *testing.T) {
	for _, pattern := range []string{"*", "arn:*", "*/web", "arn:aws:iam::*:role/w*b", role, "arn*iam*role*web"} {
		s := open(t)
		s.Set("CREDENTIAL_ROLES", pattern)
		if got, err := want(incident.Denied)(t.Context(), s); err != nil || got.State != incident.Denied {
			t.Errorf("%s: %+v, %v", pattern, got, err)
		}
	}
}

// IAM's no is an answer that people are told.
func TestNoRoom(t *testing.T) {
	s := scene.Open(t, strings.Replace(file, "{", `{"RolePolicies": {"web": {"large": "`+strings.Repeat("x", 10200)+`"}},`, 1))
	got, err := want(incident.Denied)(t.Context(), s)
	if err != nil || got.Status != incident.Failed || !strings.Contains(got.Reason, "no room") || got.State != incident.Allowed {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Only a person's release takes it back.
func TestAllows(t *testing.T) {
	s := open(t)
	if _, err := want(incident.Denied)(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	if _, err := want(incident.Allowed)(t.Context(), s); !errors.Is(err, incident.ErrUndecided) {
		t.Errorf("nobody decided: %v", err)
	}
	if len(denied(t, s)) != 1 {
		t.Fatal("and allowed all the same")
	}
	s.Decide(t, incident.Release, nil, nil)
	for range 2 {
		got, err := want(incident.Allowed)(t.Context(), s)
		if err != nil || got.Status != incident.OK || got.State != incident.Allowed {
			t.Errorf("got %+v, %v", got, err)
		}
		if all := denied(t, s); len(all) > 0 {
			t.Errorf("still there: %v", all)
		}
	}
}

func TestAllowsNothing(t *testing.T) {
	s := open(t)
	s.Decide(t, incident.Release, nil, nil)
	if got, err := want(incident.Allowed)(t.Context(), s); err != nil || got.Status != incident.Skipped {
		t.Errorf("got %+v, %v", got, err)
	}
	s = open(t)
	s.Decide(t, incident.Keep, nil, nil)
	if _, err := want(incident.Allowed)(t.Context(), s); !errors.Is(err, incident.ErrRefused) {
		t.Errorf("keep was decided: %v", err)
	}
}

// A record that somebody edited does not delete another's policy.
func TestForeignPolicy(t *testing.T) {
	s := scene.Open(t, strings.Replace(file, "{", `{"RolePolicies": {"web": {"theirs": "{\"Statement\":[{}]}"}},`, 1))
	s.Remember(t, "web", "rolePolicy", `"theirs"`)
	s.Decide(t, incident.Release, nil, nil)
	if _, err := want(incident.Allowed)(t.Context(), s); err == nil || !strings.Contains(err.Error(), "not a policy of ours") {
		t.Errorf("error is %v", err)
	}
	if len(denied(t, s)) != 1 {
		t.Error("another's policy is gone")
	}
}

func TestAnotherMachine(t *testing.T) {
	s := open(t)
	s.Incident.AttachedAt = s.Incident.AttachedAt.Add(time.Hour)
	if _, err := want(incident.Denied)(t.Context(), s); !errors.Is(err, incident.ErrRefused) {
		t.Errorf("error is %v", err)
	}
}

func TestKill(t *testing.T) {
	t.Run("deny", func(t *testing.T) { scene.Kill(t, open, want(incident.Denied)) })
	t.Run("allow", func(t *testing.T) {
		scene.Kill(t, func(t *testing.T, faults ...sim.Fault) *scene.Scene {
			s := open(t, faults...)
			if _, err := want(incident.Denied)(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			s.Decide(t, incident.Release, nil, nil)
			return s
		}, want(incident.Allowed))
	})
}

// Another execution may have released the instance: denied then, its credentials would
// stay so for ever.
func TestSuperseded(t *testing.T) {
	for _, denial := range []incident.Denial{incident.Narrowed, incident.Denied, incident.Allowed} {
		s := open(t)
		s.Decide(t, incident.Release, nil, nil)
		if denial == incident.Allowed {
			if _, err := want(incident.Denied)(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		was := denied(t, s)
		s.Reopen(t, "arn:another")
		if out, err := want(denial)(t.Context(), s); !errors.Is(err, incident.ErrSuperseded) {
			t.Errorf("%s: %+v, %v; want ErrSuperseded", denial, out, err)
		}
		if d := cmp.Diff(was, denied(t, s)); d != "" {
			t.Errorf("%s: (-before +after):\n%s", denial, d)
		}
	}
}
