package cordon_test

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"reflect"
	"slices"
	"strings"
	"testing"

	"cordon"
	"cordon/e2e"
	"cordon/internal/approval"
	"cordon/internal/audience"
	"cordon/internal/authorize"
	closing "cordon/internal/close"
	"cordon/internal/console"
	"cordon/internal/credentials"
	"cordon/internal/custody"
	"cordon/internal/decide"
	"cordon/internal/digest"
	"cordon/internal/drift"
	"cordon/internal/enrich"
	"cordon/internal/exposure"
	"cordon/internal/incident"
	"cordon/internal/isolate"
	"cordon/internal/journal"
	"cordon/internal/memory"
	"cordon/internal/notify"
	"cordon/internal/preserve"
	"cordon/internal/release"
	"cordon/internal/snapshot"
	"cordon/internal/template"
	"cordon/internal/terminate"

	gocmp "github.com/google/go-cmp/cmp"
)

// news are the constructors; the interfaces they take are what a role allows.
var news = map[string]any{
	"approval": approval.New, "audience": audience.New, "authorize": authorize.New, "close": closing.New, "console": console.New, "credentials": credentials.New, "custody": custody.New, "decide": decide.New, "digest": digest.New, "drift": drift.New, "enrich": enrich.New, "exposure": exposure.New, "isolate": isolate.New, "journal": journal.New,
	"memory": memory.New, "notify": notify.New, "preserve": preserve.New, "release": release.New, "snapshot": snapshot.New, "terminate": terminate.New,
}

// s3Actions are those whose IAM action is not the call's name.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
var s3Actions = map[string]string{
	"HeadObject": "GetObject", "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject", "CompleteMultipartUpload": "PutObject",
	"ListParts": "ListMultipartUploadParts", "ListMultipartUploads": "ListBucketMultipartUploads", "ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket",
	"PresignGetObject": "GetObject", "PresignPutObject": "PutObject", "PresignUploadPart": "PutObject",
}

// called are the IAM actions of what New takes; those on a table say which.
func called(t *testing.T, construct any) []string {
	t.Helper()
	all := map[string]bool{}
	n := reflect.TypeOf(construct)
	for i := 1; i < n.NumIn(); i++ {
		p := n.In(i)
		for j := range p.NumMethod() {
			m := p.Method(j).Name
			switch p.Name() {
			case "Keys": // public, and asks no rights
			case "Incidents", "Decisions":
				all["dynamodb:"+m+" "+p.Name()+"Table"] = true
			case "S3", "Presign":
				all["s3:"+cmp.Or(s3Actions[m], m)] = true
			case "SFN":
				all["states:"+m] = true
			case "Evidence": // with the role of another account: TestEvidenceRoleAllowsWhatIsCalled
			case "EC2":
				all["ec2:"+m] = true
				// Tags given in the call need a right of their own.
				// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html
				if m == "CreateSnapshot" || m == "CreateSnapshots" || m == "CopySnapshot" || m == "CreateSecurityGroup" {
					all["ec2:CreateTags"] = true
				}
			case "ElasticLoadBalancing", "ElasticLoadBalancingV2":
				all["elasticloadbalancing:"+m] = true
			case "AutoScaling", "CloudTrail", "IAM", "KMS", "SNS", "SSM", "STS":
				all[strings.ToLower(p.Name())+":"+m] = true
			default:
				t.Errorf("%v takes a %v, whose service nobody knows", n, p)
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// allowed are the actions that a role allows, logs aside.
func allowed(d *template.Deployment, r template.Role) []string {
	all := map[string]bool{}
	for _, s := range r.Statements {
		if s.Effect != "Allow" {
			continue
		}
		for _, a := range s.Actions {
			switch {
			case a == "logs:CreateLogStream" || a == "logs:PutLogEvents": // lambdafn writes to stderr, Lambda to the log
			case strings.HasPrefix(a, "dynamodb:"):
				for _, arn := range s.Resources {
					all[a+" "+tableOf(d, arn)] = true
				}
			default:
				all[a] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func tableOf(d *template.Deployment, arn string) string {
	for _, id := range []string{"IncidentsTable", "DecisionsTable"} {
		if r, ok := d.Resource(id); ok && (r.ARN() == arn || r.Attributes["StreamArn"] == arn) {
			return id
		}
	}
	return arn
}

// TestRolesAllowWhatIsCalled: a right that lacks stops a step in production
// only; one too many waits for an intruder.
func TestRolesAllowWhatIsCalled(t *testing.T) {
	d := deployment(t)
	if diff := gocmp.Diff(functionNames(t), slices.Sorted(maps.Keys(news))); diff != "" {
		t.Fatalf("functions/ and this test differ (-functions +test):\n%s", diff)
	}
	for name := range news {
		if diff := gocmp.Diff(wanted(t, name), allowed(d, roleOf(t, d, name))); diff != "" {
			t.Errorf("%s: calls and role differ (-called +allowed):\n%s", name, diff)
		}
	}
}

// TestWireKnowsEveryCall: the proxy of make test-e2e refuses a call that it does
// not know, and one that no step makes any more would go unnoticed.
func TestWireKnowsEveryCall(t *testing.T) {
	all := map[string]bool{}
	for _, construct := range news {
		n := reflect.TypeOf(construct)
		for i := 1; i < n.NumIn(); i++ {
			p := n.In(i)
			for j := 0; p.Name() != "Presign" && p.Name() != "Keys" && j < p.NumMethod(); j++ { // neither is a call of the SDK
				m := p.Method(j)
				all[path.Base(m.Type.In(1).Elem().PkgPath())+":"+m.Name] = true
			}
		}
	}
	if diff := gocmp.Diff(slices.Sorted(maps.Keys(all)), e2e.Actions()); diff != "" {
		t.Errorf("calls of the steps and those that e2e/wire.go knows (-steps +wire):\n%s", diff)
	}
}

// wanted are the rights that a step needs.
func wanted(t *testing.T, name string) []string {
	t.Helper()
	all := called(t, news[name])
	if name == "notify" {
		// Lambda itself sends what notify failed to tell, with notify's role.
		// https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html
		all = append(all, "sqs:SendMessage")
	}
	if name == "custody" {
		// EC2 uses the keys in its name, and asks for its rights.
		// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-encryption-requirements.html
		all = append(all, "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo")
		slices.Sort(all)
	}
	if name == "journal" {
		// Lambda itself reads the streams, with journal's role.
		// https://docs.aws.amazon.com/lambda/latest/dg/services-dynamodb-eventsourcemapping.html
		for _, a := range []string{"DescribeStream", "GetRecords", "GetShardIterator"} {
			all = append(all, "dynamodb:"+a+" DecisionsTable", "dynamodb:"+a+" IncidentsTable")
		}
		all = append(all, "dynamodb:ListStreams *")
	}
	if slices.Contains([]string{"close", "console", "enrich", "journal"}, name) {
		// S3 asks for it where an object is locked as it is written.
		// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock-managing.html
		all = append(all, "s3:PutObjectRetention")
		slices.Sort(all)
	}
	return all
}

// TestRightsTakenOrGivenAreSeen: a right less or more in any role is found by
// TestRolesAllowWhatIsCalled. What two statements allow under two conditions
// is told apart by the requests only.
func TestRightsTakenOrGivenAreSeen(t *testing.T) {
	d := deployment(t)
	twice := map[string][]string{
		"memory": {"s3:GetObject"}, "isolate": {"ec2:CreateSecurityGroup", "ec2:ModifyNetworkInterfaceAttribute"},
		"snapshot": {"ec2:CreateSnapshot", "ec2:CreateSnapshots", "ec2:CreateTags"},
	}
	taken := 0
	for name := range news {
		want, r := wanted(t, name), roleOf(t, d, name)
		for n, s := range r.Statements {
			for a, action := range s.Actions {
				if s.Effect != "Allow" || strings.HasPrefix(action, "logs:") {
					continue
				}
				less := r
				less.Statements = slices.Clone(r.Statements)
				less.Statements[n].Actions = slices.Delete(slices.Clone(s.Actions), a, a+1)
				if same := slices.Equal(want, allowed(d, less)); same != slices.Contains(twice[name], action) {
					t.Errorf("%s without %s in %s: seen is %v", name, action, s.Sid, !same)
				}
				taken++
			}
		}
		for _, action := range []string{"ec2:TerminateInstances", "ec2:DeleteTags", "iam:PassRole", "states:StartExecution", "kms:ScheduleKeyDeletion"} {
			if slices.Contains(want, action) {
				continue
			}
			more := r
			more.Statements = append(slices.Clone(r.Statements), template.Statement{Sid: "More", Effect: "Allow", Actions: []string{action}, Resources: []string{"*"}})
			if slices.Equal(want, allowed(d, more)) {
				t.Errorf("%s with %s goes unseen", name, action)
			}
		}
	}
	if taken < 80 {
		t.Errorf("%d rights were taken away, so they are not all", taken)
	}
}

func roleOf(t *testing.T, d *template.Deployment, name string) template.Role {
	t.Helper()
	for _, f := range d.Functions() {
		if functionName(f.LogicalID) != name {
			continue
		}
		for _, r := range d.Roles() {
			if r.LogicalID == f.Role {
				return r
			}
		}
	}
	t.Fatalf("%s has no role of its own", name)
	return template.Role{}
}

// TestMachineInvokesItsFunctions: its role lets it invoke what the definition
// names, and nothing else; only the page waits for people instead, and the
// journal for what is recorded.
func TestMachineInvokesItsFunctions(t *testing.T) {
	d := deployment(t)
	sm, ok := d.StateMachine()
	if !ok {
		t.Fatal("the template has no state machine")
	}
	var may []string
	for _, r := range d.Roles() {
		if r.LogicalID != sm.Role {
			continue
		}
		for _, s := range r.Statements {
			if slices.Contains(s.Actions, "lambda:InvokeFunction") {
				may = append(may, s.Resources...)
			}
		}
	}
	used := map[string]bool{}
	var fed []string // by a stream or a schedule, not by the machine
	for _, m := range d.Mappings() {
		fed = append(fed, functionName(m.Function))
	}
	for _, r := range d.Rules() {
		if r.Schedule != "" {
			fed = append(fed, functionName(r.Targets[0].Resource))
		}
	}
	parseMachine(t, cordon.Definition).walk(func(_ string, s *state) { used[s.function()] = true })
	var does []string
	for _, f := range d.Functions() {
		name := functionName(f.LogicalID)
		switch {
		case used[name]:
			does = append(does, f.ARN)
		case name != page && !slices.Contains(fed, name):
			t.Errorf("neither a state, a stream nor a schedule invokes %s", name)
		}
		// https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-quotas.html
		if name == page && f.Timeout.Seconds() >= 30 {
			t.Errorf("the gateway gives up on %s after 30 s, the function after %v", name, f.Timeout)
		}
	}
	slices.Sort(may)
	slices.Sort(does)
	if diff := gocmp.Diff(does, may); diff != "" {
		t.Errorf("the machine's role and its definition differ (-invoked +allowed):\n%s", diff)
	}
}

// TestRolesAreNarrow: what may kill, decide, or write a decision down is one
// function each, and nothing is changed everywhere without a condition.
func TestRolesAreNarrow(t *testing.T) {
	for _, wrong := range wide(deployment(t)) {
		t.Error(wrong)
	}
	// Each change is made once, after the Sid.
	for name, change := range map[string]struct{ sid, old, new, want string }{
		"a kill without the tag":    {"TerminateWhatWasDecided", "cordon:decision", "Name", "terminates what nobody decided"},
		"another who may kill":      {"ReadTheInstanceAndItsNetwork", "ec2:DescribeInstances", "ec2:TerminateInstances", "EnrichRole: may ec2:TerminateInstances"},
		"a decision changed":        {"RecordTheDecisionOnce", "dynamodb:PutItem", "dynamodb:UpdateItem", "DecideRole: may dynamodb:UpdateItem DecisionsTable"},
		"a decision from elsewhere": {"SeeAStandingDecision", "dynamodb:GetItem", "dynamodb:PutItem", "ApprovalRole: may dynamodb:PutItem DecisionsTable"},
		"a seal from elsewhere":     {"EncryptLinkAndToken", "kms:Encrypt", "kms:GenerateMac", "ApprovalRole: may kms:GenerateMac"},
		"a mark from elsewhere":     {"NoteVolumeAndDuplicateOnOurOwn", "::snapshot/", "::instance/", "SnapshotRole: may mark an instance"},
		"a change everywhere":       {"KeepTheRawEvent", "!Sub ${EvidenceBucket.Arn}/events/*", `"*"`, "EnrichRole: s3:PutObject on everything"},
		"a wildcard":                {"KeepTheRawEvent", "s3:PutObject", "s3:*", "EnrichRole: s3:* is a wildcard"},
		"no sentence":               {"KeepTheRawEvent", "KeepTheRawEvent", `""`, "EnrichRole: a statement does not say"},
	} {
		t.Run(name, func(t *testing.T) {
			before, after, ok := strings.Cut(string(cordon.Template), "Sid: "+change.sid+"\n")
			if !ok || !strings.Contains(after, change.old) && change.old != change.sid {
				t.Fatalf("the template has no %s with %q", change.sid, change.old)
			}
			text := before + strings.Replace("Sid: "+change.sid+"\n"+after, change.old, change.new, 1)
			d, err := deploy([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			if found := wide(d); !slices.ContainsFunc(found, func(w string) bool { return strings.Contains(w, change.want) }) {
				t.Errorf("found %q, want one with %q", found, change.want)
			}
		})
	}
}

// TestDryRunDenies: in a dry run no role may change what is not of the stack,
// whatever the step that has it forgets, and nothing of the policy is there in
// earnest.
func TestDryRunDenies(t *testing.T) {
	for _, wrong := range changing(dryRun(t, cordon.Template)) {
		t.Error(wrong)
	}
	if found := changing(deployment(t)); len(found) == 0 {
		t.Error("in earnest nothing may be changed: this test sees nothing")
	}
	for name, change := range map[string]struct{ old, new, want string }{
		"a role that is left out":       {"        - !Ref IsolateRole\n", "", "IsolateRole: may ec2:ModifyNetworkInterfaceAttribute"},
		"a change among what is read":   {"              - ec2:Describe*\n", "              - ec2:*\n", "PreserveRole: may ec2:ModifyInstanceAttribute"},
		"a policy that allows":          {"Effect: Deny\n            NotAction", "Effect: Allow\n            NotAction", "IsolateRole: may ec2:CreateSecurityGroup"},
		"a policy under a condition":    {"              - ssm:DescribeInstanceInformation\n            Resource: \"*\"\n", "              - ssm:DescribeInstanceInformation\n            Resource: \"*\"\n            Condition:\n              Bool:\n                aws:SecureTransport: \"true\"\n", "TerminateRole: may ec2:TerminateInstances"},
		"a policy for some things only": {"              - ssm:DescribeInstanceInformation\n            Resource: \"*\"\n", "              - ssm:DescribeInstanceInformation\n            Resource: !GetAtt IncidentsTable.Arn\n", "MemoryRole: may ssm:SendCommand"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(string(cordon.Template), change.old, change.new, 1)
			if text == string(cordon.Template) {
				t.Fatalf("the template has no %q", change.old)
			}
			if found := changing(dryRun(t, []byte(text))); !slices.ContainsFunc(found, func(w string) bool { return strings.Contains(w, change.want) }) {
				t.Errorf("found %q, want one with %q", found, change.want)
			}
		})
	}
}

func dryRun(t *testing.T, text []byte) *template.Deployment {
	t.Helper()
	parsed, err := template.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	parameters := maps.Clone(given)
	parameters["DryRun"] = "true"
	d, err := parsed.Deploy(template.Settings{Account: "111122223333", Region: "us-east-1", Stack: "cordon", Parameters: parameters})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// changing are the rights of functions' roles to change what is not of the stack.
func changing(d *template.Deployment) (wrong []string) {
	inside := []string{"dynamodb", "kms", "lambda", "logs", "s3", "sns", "sqs", "states"}
	matches := func(patterns []string, action string) bool {
		return slices.ContainsFunc(patterns, func(p string) bool {
			prefix, wild := strings.CutSuffix(p, "*")
			return p == action || wild && strings.HasPrefix(action, prefix)
		})
	}
	for _, r := range d.Roles() {
		for _, allow := range r.Statements {
			for _, a := range allow.Actions {
				service, name, _ := strings.Cut(a, ":")
				reads := slices.ContainsFunc([]string{"Describe", "Get", "List", "Lookup"}, func(p string) bool { return strings.HasPrefix(name, p) })
				if allow.Effect != "Allow" || reads || slices.Contains(inside, service) {
					continue
				}
				if !slices.ContainsFunc(r.Statements, func(s template.Statement) bool {
					return s.Effect == "Deny" && len(s.Condition) == 0 && slices.Equal(s.Resources, []string{"*"}) &&
						(matches(s.Actions, a) || len(s.NotActions) > 0 && !matches(s.NotActions, a))
				}) {
					wrong = append(wrong, r.LogicalID+": may "+a)
				}
			}
		}
	}
	return wrong
}

// only are actions that one role alone may have.
var only = map[string]string{
	"ec2:TerminateInstances":             "TerminateRole",
	"iam:PutRolePolicy":                  "CredentialsRole",
	"iam:DeleteRolePolicy":               "CredentialsRole",
	"dynamodb:PutItem DecisionsTable":    "DecideRole",
	"kms:GenerateMac":                    "DecideRole",
	"kms:Sign":                           "CloseRole",
	"dynamodb:UpdateItem DecisionsTable": "", // nobody
	"dynamodb:DeleteItem DecisionsTable": "",
	"dynamodb:DeleteItem IncidentsTable": "",
	"ec2:DeleteTags":                     "",
	"s3:DeleteObject":                    "",
	"s3:DeleteObjectVersion":             "",
	"s3:BypassGovernanceRetention":       "",
	"ec2:DeleteSnapshot":                 "CustodyRole", // what carries the tag of a transfer
	"ec2:ModifySnapshotAttribute":        "CustodyRole", // the same
	"sts:AssumeRole":                     "CustodyRole",
	"ec2:UnlockSnapshot":                 "",
	"states:StartExecution":              "FindingRuleRole",
	"cloudtrail:LookupEvents":            "DriftRole", // who did what in the whole account
}

// unscoped are changes for which IAM knows no resource, and what that means.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
var unscoped = map[string]string{
	"states:SendTaskSuccess": "May answer any waiting task of the account whose token it has; the tokens it can read are those of our requests.",
	"ssm:CancelCommand":      "May end any command of the account whose ID it has; it knows those that it sent.",
	"logs:CreateLogDelivery": "Step Functions needs it to write the machine's log.",
	"logs:DeleteLogDelivery": "The same.",
	"logs:PutResourcePolicy": "The same; it may also change which services write to the account's logs.",
	"logs:UpdateLogDelivery": "The same.",
}

func wide(d *template.Deployment) (wrong []string) {
	for _, r := range d.Roles() {
		fail := func(format string, a ...any) {
			wrong = append(wrong, r.LogicalID+": "+fmt.Sprintf(format, a...))
		}
		for _, a := range allowed(d, r) {
			if who, ok := only[a]; ok && who != r.LogicalID {
				fail("may %s; that is for %s", a, cmp.Or(who, "nobody"))
			}
		}
		for _, s := range r.Statements {
			if s.Sid == "" {
				fail("a statement does not say what it is for")
			}
			if s.Effect != "Allow" {
				continue
			}
			if len(s.NotActions) > 0 || len(s.NotResources) > 0 {
				fail("%s allows everything but something", s.Sid)
			}
			for _, a := range s.Actions {
				_, name, _ := strings.Cut(a, ":")
				reads := slices.ContainsFunc([]string{"Describe", "Get", "List", "Lookup"}, func(p string) bool { return strings.HasPrefix(name, p) })
				switch {
				case strings.Contains(a, "*"):
					fail("%s is a wildcard", a)
				case slices.Contains(s.Resources, "*") && len(s.Condition) == 0 && !reads && unscoped[a] == "":
					fail("%s on everything, without a condition", a)
				case a == "ec2:TerminateInstances" && s.Condition["StringLike"]["aws:ResourceTag/cordon:decision"] == nil:
					fail("terminates what nobody decided to")
				case a == "ec2:CreateTags" && marks(s) && r.LogicalID != "AuthorizeRole":
					fail("may mark an instance as decided")
				}
			}
		}
	}
	return wrong
}

// marks tells whether a statement lets its role write a tag on an instance.
func marks(s template.Statement) bool {
	return slices.ContainsFunc(s.Resources, func(r string) bool { return r == "*" || strings.Contains(r, ":instance/") })
}

// TestEvidenceRoleAllowsWhatIsCalled: what custody does in the evidence account
// it does with the role of stacks/evidence.yaml, which may that and no more, and
// which only custody of that stack may take.
func TestEvidenceRoleAllowsWhatIsCalled(t *testing.T) {
	parsed, err := template.Parse([]byte(read(t, "stacks/evidence.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	d, err := parsed.Deploy(template.Settings{Account: "999988887777", Region: "us-east-1", Stack: "evidence", Parameters: map[string]string{
		"SourceAccount": "111122223333", "SourceStack": "cordon", "ExternalId": "external",
	}})
	if err != nil {
		t.Fatal(err)
	}
	roles := d.Roles()
	if len(roles) != 1 {
		t.Fatalf("%d roles, want one", len(roles))
	}
	want := []string{"ec2:CreateTags", "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo"}
	there := reflect.TypeFor[custody.Evidence]()
	for n := range there.NumMethod() {
		want = append(want, "ec2:"+there.Method(n).Name)
	}
	slices.Sort(want)
	if diff := gocmp.Diff(want, allowed(d, roles[0])); diff != "" {
		t.Errorf("calls in the evidence account and its role differ (-called +allowed):\n%s", diff)
	}
	for _, s := range roles[0].Statements {
		for _, a := range s.Actions {
			if !strings.HasPrefix(a, "ec2:Describe") && a != "ec2:CopySnapshot" && len(s.Condition) == 0 {
				t.Errorf("%s: %s without a condition", s.Sid, a)
			}
		}
	}
	trust, ok := d.Resource("EvidenceRole")
	if !ok {
		t.Fatal("no EvidenceRole")
	}
	var p policy
	if err := decodeProperty(trust.Properties["AssumeRolePolicyDocument"], &p); err != nil {
		t.Fatal(err)
	}
	ours, conditions := roleOf(t, deployment(t), "custody"), p.Statement[0].Condition
	if len(p.Statement) != 1 || conditions["StringEquals"]["sts:ExternalId"][0] != "external" || !incident.Pattern(conditions["ArnLike"]["aws:PrincipalArn"][0]).Matches(ours.ARN) {
		t.Errorf("%s cannot take the role, or others can: %+v", ours.ARN, p.Statement)
	}
}
