package rehearsal_test

import (
	"slices"
	"strings"
	"testing"

	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// signedIn are the parameters of a deployment behind Verified Access.
func signedIn(approvers string) map[string]string {
	return map[string]string{
		"ApprovalIdentity": "VerifiedAccess", "ApproversForTermination": approvers, "AccessDomain": "decide.example.com",
		"AccessInstance":   "arn:aws:ec2:us-east-1:111122223333:verified-access-instance/vai-0123456789abcdef0",
		"AccessProvider":   "arn:aws:ec2:us-east-1:111122223333:verified-access-trust-provider/vatp-0123456789abcdef0",
		"AccessResponders": "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/cordon-responders/6d0ecf831eec9f09",
	}
}

// TestSignedIn: behind Verified Access an incident goes as with links, the mails
// hold no secret, and the record has the user.
func TestSignedIn(t *testing.T) {
	for choice, ending := range map[string]string{"terminate": "Terminated", "keep": "Kept isolated", "release": "Released"} {
		o := decides(options(readFile(t, "plain.json")), choice)
		o.Parameters = signedIn("1")
		r := run(t, o)
		if r.Ending != ending || len(r.Violations) > 0 {
			t.Errorf("%s: ended as %q, violations %v", choice, r.Ending, r.Violations)
		}
		links := 0
		for _, m := range r.Mails {
			for _, line := range strings.Split(m.Body, "\n") {
				if strings.HasPrefix(line, "https://decide.example.com/d/") {
					links++
					if strings.Count(line, "/") != 4 {
						t.Errorf("the link %q is more than a request", line)
					}
				}
			}
		}
		if links == 0 {
			t.Error("no mail has a link")
		}
		if !strings.Contains(string(r.Account), `identity-center rehearsal`) {
			t.Errorf("%s: the record does not say who it was", choice)
		}
	}
}

// TestTwoPeopleDecide: a termination takes two people, everything else one, and a
// second who is no second changes nothing.
func TestTwoPeopleDecide(t *testing.T) {
	const nobody = "Isolated, undecided"
	and := func(all ...rehearsal.Person) rehearsal.Person {
		return func(q rehearsal.Question) {
			for _, p := range all {
				p(q)
			}
		}
	}
	first := rehearsal.DecidesAs("sato", "terminate")
	for _, c := range []struct {
		name   string
		people rehearsal.Person
		ending string
	}{
		{"two people", rehearsal.Decides("terminate"), "Terminated"},
		{"two people, by name", and(first, rehearsal.DecidesAs("tanaka", "terminate")), "Terminated"},
		{"the second is the same person", and(first, first, first), nobody},
		{"the second is the same person in capitals", and(first, rehearsal.DecidesAs("SATO", "terminate")), nobody},
		{"the second disagrees: keep", and(first, rehearsal.DecidesAs("tanaka", "keep")), "Kept isolated"},
		{"the second disagrees: release", and(first, rehearsal.DecidesAs("tanaka", "release")), "Released"},
		{"the first thinks better of it", and(first, rehearsal.DecidesAs("sato", "keep")), "Kept isolated"},
		{"nobody seconds it", first, nobody},
		{"a third comes too late", and(first, rehearsal.DecidesAs("tanaka", "keep"), rehearsal.DecidesAs("suzuki", "terminate")), "Kept isolated"},
		{"one is enough to keep", rehearsal.DecidesAs("sato", "keep"), "Kept isolated"},
		{"one is enough to release", rehearsal.DecidesAs("sato", "release"), "Released"},
		{"nobody at all", nil, nobody},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(readFile(t, "plain.json"))
			o.Parameters, o.Person = signedIn("2"), c.people
			r := run(t, o)
			if r.Ending != c.ending || len(r.Violations) > 0 {
				t.Errorf("ended as %q, violations %v, want %q", r.Ending, r.Violations, c.ending)
			}
			killed := slices.ContainsFunc(r.Calls, func(c rehearsal.Call) bool { return c.Action == "TerminateInstances" && c.Error == "" })
			if killed != (c.ending == "Terminated") {
				t.Errorf("terminated: %v", killed)
			}
			last := r.Mails[len(r.Mails)-1].Body
			if told := strings.Contains(last, "Seconding the decision of"); told != (c.ending == "Terminated") {
				t.Errorf("the last mail names the first person: %v\n%s", told, last)
			}
			if !strings.Contains(r.Mails[1].Body+r.Mails[0].Body, "needs two people") {
				t.Error("the mail does not say that it takes two")
			}
		})
	}
}

// TestTwoPeopleAtFaults: calls of deciding and of verifying fail, and the same two
// people end it the same way.
func TestTwoPeopleAtFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("a dozen incidents")
	}
	for _, fault := range []string{
		"kms:VerifyMac#1=throttled", "kms:VerifyMac#2=lost", "kms:GenerateMac#2=lost", "kms:GenerateMac#4=killed-after",
		"sfn:SendTaskSuccess#1=lost", "sfn:SendTaskSuccess#1=killed-before", "ec2:CreateTags#1=lost", "ec2:TerminateInstances#1=killed-after",
	} {
		o := decides(options(readFile(t, "plain.json")), "terminate")
		o.Parameters = signedIn("2")
		f, err := sim.ParseFault(fault)
		if err != nil {
			t.Fatal(err)
		}
		o.Faults = []sim.Fault{f}
		if r := run(t, o); r.Ending != "Terminated" || len(r.Violations) > 0 {
			t.Errorf("%s: ended as %q, violations %v", fault, r.Ending, r.Violations)
		}
	}
}

// TestTwoPeopleNeedAnIdentity: what CloudFormation would refuse, the rehearsal
// refuses, in the template's words.
func TestTwoPeopleNeedAnIdentity(t *testing.T) {
	for want, parameters := range map[string]map[string]string{
		"needs ApprovalIdentity VerifiedAccess": {"ApproversForTermination": "2"},
		"needs AccessDomain":                    {"ApprovalIdentity": "VerifiedAccess"},
	} {
		o := options(readFile(t, "plain.json"))
		o.Parameters = parameters
		if _, err := rehearsal.Run(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want an error with %q", parameters, err, want)
		}
	}
}
