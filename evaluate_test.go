//go:build permissions

package cordon_test

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"cordon"
	"cordon/internal/template"

	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"
)

// What these tests need besides Go, `make permissions` installs.

// question is a request as it is put to the evaluator: by one, about one resource.
type question struct {
	Principal      string              `json:"principal"`
	Action         string              `json:"action"`
	Resource       string              `json:"resource"`
	Account        string              `json:"account"`
	Context        map[string][]string `json:"context"`
	Identity       []string            `json:"identity"`
	ResourcePolicy string              `json:"resource_policy,omitempty"`
}

// Answers of the evaluator.
const (
	isAllowed = "Allowed"
	isDenied  = "ImplicitlyDenied"
	isNever   = "ExplicitlyDenied"
)

// judge runs a tool with JSON on stdin and reads JSON from its stdout.
func judge(t *testing.T, ask, answer any, command ...string) {
	t.Helper()
	in, err := json.Marshal(ask)
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), command[0], command[1:]...)
	var stderr bytes.Buffer
	c.Stdin, c.Stderr = bytes.NewReader(in), &stderr
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v; make permissions installs what it needs\n%s", strings.Join(command, " "), err, stderr.Bytes())
	}
	if err := json.Unmarshal(out, answer); err != nil {
		t.Fatalf("%s: %v: %.300s", strings.Join(command, " "), err, out)
	}
}

// asked is a request of one caller, and what the table wants for an answer.
type asked struct {
	request
	who, want string
	edit      int   // of the policies it was asked under
	questions []int // every one must be allowed
	got       string
}

func (a asked) String() string {
	return fmt.Sprintf("%s %s (%s): %s, want %s", a.who, a.ask, a.action, a.got, a.want)
}

// wrong tells whether the answer is not the one that the table wants. More
// denied than it wants is not wrong.
func (a asked) wrong() bool {
	return a.got != a.want && (a.want != isDenied || a.got != isNever)
}

// trial is many requests for one run of the evaluator: to start it takes longer
// than a hundred answers.
type trial struct {
	d         *template.Deployment
	policies  map[string]policy
	questions []question
	all       []asked
}

func newTrial(d *template.Deployment) *trial {
	everything := policy{Version: "2012-10-17", Statement: []statement{{Effect: "Allow", Action: oneOrMore{"*"}, Resource: oneOrMore{"*"}}}}
	account := policy{Version: "2012-10-17", Statement: []statement{{
		Effect: "Allow", Principal: map[string]any{"AWS": "arn:aws:iam::111122223333:root"}, Action: oneOrMore{"*"}, Resource: oneOrMore{"*"},
	}}}
	return &trial{d: d, policies: map[string]policy{"everything": everything, "the account": account}}
}

// callers are all who make a request.
func callers(p policies, r request) []string {
	switch {
	case r.by != "":
		return []string{r.by}
	case len(r.on) == 0 || strings.Contains(r.on[0].arn, ":444455556666:"): // of the stranger's own account
		return everyone(p)
	}
	return append(everyone(p), stranger)
}

func (tr *trial) ask(edit int, under policies, r request, who string) {
	a := asked{request: r, who: who, want: isDenied, edit: edit}
	switch {
	case slices.Contains(r.may, who):
		a.want = isAllowed
	case slices.Contains(r.never, who):
		a.want = isNever
	}
	on := r.on
	if len(on) == 0 {
		on = []target{{arn: "*"}}
	}
	for _, o := range on {
		a.questions = append(a.questions, len(tr.questions))
		tr.questions = append(tr.questions, tr.question(edit, under, r, who, o))
	}
	tr.all = append(tr.all, a)
}

func (tr *trial) question(edit int, under policies, r request, who string, o target) question {
	q := question{Action: r.action, Resource: o.arn, Account: "111122223333", Context: map[string][]string{}, Identity: []string{}}
	if strings.Contains(o.arn, ":444455556666:") {
		q.Account = "444455556666"
	}
	context := keys{"aws:SecureTransport": "true", "aws:PrincipalIsAWSService": "false"}
	name := func(n string, p policy) string {
		n = fmt.Sprint(edit, " ", n)
		tr.policies[n] = p
		return n
	}
	role := under.named(who)
	switch {
	case role != "":
		res, _ := tr.d.Resource(role)
		q.Principal = "arn:aws:sts::111122223333:assumed-role/" + res.Name + "/cordon"
		context["aws:PrincipalAccount"], context["aws:PrincipalArn"] = "111122223333", res.ARN()
		for key, value := range under.tags[role] {
			context["aws:PrincipalTag/"+key] = value
		}
		for n, p := range under.of[role] {
			q.Identity = append(q.Identity, name(fmt.Sprint(role, n), p))
		}
	case who == administrator || who == stranger:
		home := map[string]string{administrator: "111122223333", stranger: "444455556666"}[who]
		q.Principal = "arn:aws:sts::" + home + ":assumed-role/Administrator/somebody"
		context["aws:PrincipalAccount"], context["aws:PrincipalArn"] = home, "arn:aws:iam::"+home+":role/Administrator"
		q.Identity = []string{"everything"}
	case who == evidence:
		q.Principal = "arn:aws:sts::999988887777:assumed-role/evidence/cordon"
		context["aws:PrincipalAccount"], context["aws:PrincipalArn"] = "999988887777", evidenceRole
		q.Identity = []string{"everything"}
	default:
		q.Principal = who
		context["aws:PrincipalIsAWSService"], context["aws:PrincipalServiceName"] = "true", who
	}
	// A key has a policy and a role somebody it trusts: elsewhere, the account.
	if strings.Contains(o.arn, ":111122223333:key/") || r.action == "sts:AssumeRole" {
		q.ResourcePolicy = "the account"
	}
	if kind, id := under.protects(tr.d, r.action, o.arn); id != "" {
		q.ResourcePolicy = name(kind+" "+id, map[string]map[string]policy{"on": under.on, "trust": under.trust}[kind][id])
	}
	for _, k := range []keys{context, r.with, o.with} {
		for key, value := range k {
			q.Context[key] = strings.Split(value, ",")
		}
	}
	return q
}

// protects finds the policy, of a resource or of who may take a role, that a
// request meets.
func (p policies) protects(d *template.Deployment, action, arn string) (kind, id string) {
	for _, id := range p.ordered {
		r, _ := d.Resource(id)
		if whole := cmp.Or(r.ARN(), r.Ref); arn == whole || strings.HasPrefix(arn, whole+"/") {
			return "on", id
		}
	}
	for _, id := range p.roles {
		if r, _ := d.Resource(id); action == "sts:AssumeRole" && arn == r.ARN() {
			return "trust", id
		}
	}
	return "", ""
}

// covers tells whether an action of a policy is that action.
func covers(pattern, action string) bool {
	before, wild := strings.CutSuffix(pattern, "*")
	return pattern == action || wild && strings.HasPrefix(action, before)
}

// run puts everything to the evaluator.
func (tr *trial) run(t *testing.T) {
	t.Helper()
	var answers []string
	judge(t, map[string]any{"policies": tr.policies, "questions": tr.questions}, &answers, "node", "tools/evaluate.mjs")
	for n := range tr.all {
		a := &tr.all[n]
		a.got = isAllowed
		for _, q := range a.questions {
			// The worst answer counts.
			for _, worse := range []string{isDenied, isNever} {
				if answers[q] == worse && a.got != isNever {
					a.got = worse
				}
			}
			if strings.HasPrefix(answers[q], "wrong: ") {
				t.Errorf("%s %s: %s", a.who, a.ask, answers[q])
			}
		}
	}
}

// elsewhere asks again for what somebody may do: in another Region, another
// account and on another resource of the kind, where nobody may.
func elsewhere(r request) (all []request) {
	if len(r.may) == 0 || len(r.on) == 0 || r.by != "" {
		return nil
	}
	move := func(how, old, now string) {
		moved, same := r, true
		moved.ask, moved.may, moved.never, moved.on = r.ask+", "+how, nil, nil, nil
		for _, o := range r.on {
			arn := strings.Replace(o.arn, old, now, 1)
			same = same && arn == o.arn
			moved.on = append(moved.on, target{arn, o.with})
		}
		if !same {
			all = append(all, moved)
		}
	}
	move("in another Region", ":us-east-1:", ":eu-west-1:")
	move("in another account", ":111122223333:", ":444455556666:")
	move("in another bucket", "arn:aws:s3:::", "arn:aws:s3:::another-")
	for _, kind := range []string{":table/", ":key/", ":log-group:", ":function:"} {
		if kind == ":key/" && strings.HasSuffix(r.on[0].arn, anyKey) {
			continue
		}
		move("on another", kind, kind+"another-")
	}
	return all
}

// everyRequest is the table, and then what is asked elsewhere.
func everyRequest(d *template.Deployment, p policies) (here, all []request) {
	for _, s := range requestTable(d, p) {
		here = append(here, s.all...)
	}
	all = slices.Clone(here)
	for _, r := range here {
		all = append(all, elsewhere(r)...)
	}
	return here, all
}

// TestRequestsAreAnswered puts the whole table to the policies as they are.
func TestRequestsAreAnswered(t *testing.T) {
	d := deployment(t)
	p := allPolicies(t, d)
	tr := newTrial(d)
	here, requests := everyRequest(d, p)
	for _, r := range requests {
		for _, who := range callers(p, r) {
			tr.ask(0, p, r, who)
		}
	}
	tr.run(t)
	for _, a := range tr.all {
		if a.wrong() {
			t.Error(a)
		}
	}
	t.Logf("%d requests, %d with those elsewhere; asked %d times", len(here), len(requests), len(tr.all))
}

// TestRequestsOfOperators puts to the permission sets of stacks/identity-center.yaml
// what the cordon command calls, and what its users must not.
func TestRequestsOfOperators(t *testing.T) {
	const account, bucket = "111122223333", "arn:aws:s3:::evidence"
	s := stackOf(t, "stacks/identity-center.yaml", map[string]string{
		"CordonAccount": account, "CordonRegion": "eu-west-1", "CordonStack": "cordon", "DecisionApiId": "abcdefghij", "EvidenceBucket": "evidence",
		"IncidentsTable": "incidents", "DecisionsTable": "decisions", "SigningKeyArn": "arn:aws:kms:eu-west-1:111122223333:key/12345678-1234-1234-1234-123456789012",
	})
	const api, table = "arn:aws:execute-api:eu-west-1:111122223333:abcdefghij/$default/", "arn:aws:dynamodb:eu-west-1:111122223333:table/"
	wish := map[string][]string{"events:source": {"cordon"}, "events:detail-type": {"Cordon Decision Wanted"}}
	const both, responder, nobody = "Reader Responder", "Responder", ""
	var questions []question
	var said []string
	ask := func(may, action, resource string, context map[string][]string) {
		for _, set := range []string{"Reader", "Responder"} {
			c := map[string][]string{"aws:PrincipalAccount": {account}}
			maps.Copy(c, context)
			own := ""
			if strings.HasPrefix(action, "kms:") {
				own = "the account" // as in the key's own policy
			}
			questions = append(questions, question{
				ResourcePolicy: own, Principal: "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Cordon" + set + "_0123456789abcdef/sato",
				Action: action, Resource: resource, Account: account, Context: c, Identity: []string{set},
			})
			want := isDenied
			if strings.Contains(may, set) {
				want = isAllowed
			}
			said = append(said, fmt.Sprintf("%s %s on %s: %s", set, action, resource, want))
		}
	}
	ask(both, "cloudformation:DescribeStacks", "arn:aws:cloudformation:eu-west-1:111122223333:stack/cordon/1", nil)
	ask(nobody, "cloudformation:DescribeStacks", "arn:aws:cloudformation:eu-west-1:111122223333:stack/another/1", nil)
	for _, topic := range []string{"cordon-Topic-0a1B", "cordon-EscalationTopic-0a1B"} {
		arn := "arn:aws:sns:eu-west-1:111122223333:" + topic
		ask(both, "sns:ListSubscriptionsByTopic", arn, nil)
		ask(responder, "sns:ConfirmSubscription", arn, nil)
		ask(responder, "sns:GetSubscriptionAttributes", arn, nil)
		for _, action := range []string{"Subscribe", "Unsubscribe", "Publish", "SetTopicAttributes"} {
			ask(nobody, "sns:"+action, arn, nil)
		}
	}
	ask(nobody, "sns:ListSubscriptionsByTopic", "arn:aws:sns:eu-west-1:111122223333:another", nil)
	ask(nobody, "sns:ConfirmSubscription", "arn:aws:sns:eu-west-1:111122223333:another", nil)
	for _, name := range []string{"incidents", "decisions"} {
		for _, action := range []string{"GetItem", "Query", "Scan"} {
			ask(both, "dynamodb:"+action, table+name, nil)
			ask(nobody, "dynamodb:"+action, table+"another", nil)
		}
		for _, action := range []string{"PutItem", "UpdateItem", "DeleteItem"} {
			ask(nobody, "dynamodb:"+action, table+name, nil)
		}
	}
	ask(responder, "execute-api:Invoke", api+"POST/operator/111122223333.eu-west-1.i-0a.1", nil)
	ask(nobody, "execute-api:Invoke", api+"GET/operator/x", nil)
	ask(nobody, "execute-api:Invoke", api+"POST/d/x/y", nil)
	ask(nobody, "execute-api:Invoke", strings.Replace(api, "abcdefghij", "zzzzzzzzzz", 1)+"POST/operator/x", nil)
	ask(responder, "events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/default", wish)
	ask(nobody, "events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/default", map[string][]string{"events:source": {"cordon", "aws.guardduty"}, "events:detail-type": {"Cordon Decision Wanted", "GuardDuty Finding"}})
	ask(nobody, "events:PutEvents", "arn:aws:events:eu-west-1:111122223333:event-bus/default", nil)
	ask(responder, "s3:GetObject", bucket+"/incidents/x/manifests/1.json", nil)
	ask(responder, "s3:ListBucket", bucket, nil)
	ask(responder, "s3:ListBucketVersions", bucket, nil)
	ask(responder, "s3:GetObjectVersion", bucket+"/events/2026/03/01/1.json", nil)
	ask(responder, "s3:GetObjectVersion", bucket+"/incidents/x/journal/000001.json", nil)
	ask(nobody, "s3:GetObjectVersion", bucket+"/incidents/x/memory/batch-000001", nil)
	for _, action := range []string{"GetObjectRetention", "GetObjectLegalHold"} {
		ask(responder, "s3:"+action, bucket+"/incidents/x/journal/000001.json", nil)
		ask(nobody, "s3:"+action, bucket+"/tools/avml", nil)
	}
	for _, action := range []string{"PutObjectRetention", "PutObjectLegalHold", "BypassGovernanceRetention", "DeleteObjectVersion"} {
		ask(nobody, "s3:"+action, bucket+"/incidents/x/journal/000001.json", nil)
	}
	ask(responder, "ec2:DescribeSnapshots", "*", nil)
	ask(responder, "ec2:DescribeLockedSnapshots", "*", nil)
	for _, action := range []string{"UnlockSnapshot", "DeleteSnapshot", "LockSnapshot"} {
		ask(nobody, "ec2:"+action, "arn:aws:ec2:eu-west-1::snapshot/snap-1", nil)
	}
	ask(nobody, "s3:GetObject", bucket+"/incidents/x/memory/batch-000001", nil)
	ask(nobody, "s3:GetObject", bucket+"/tools/avml", nil)
	ask(nobody, "s3:PutObject", bucket+"/incidents/x/manifests/1.json", nil)
	ask(nobody, "s3:DeleteObject", bucket+"/incidents/x/manifests/1.json", nil)
	ask(responder, "kms:GetPublicKey", s.parameters["SigningKeyArn"], nil)
	ask(nobody, "kms:Sign", s.parameters["SigningKeyArn"], nil)
	ask(nobody, "lambda:InvokeFunction", "arn:aws:lambda:eu-west-1:111122223333:function:decide", nil)
	ask(nobody, "states:StartExecution", "arn:aws:states:eu-west-1:111122223333:stateMachine:incident", nil)
	ask(nobody, "ec2:TerminateInstances", "arn:aws:ec2:eu-west-1:111122223333:instance/i-0a", nil)
	ask(nobody, "sts:AssumeRole", "arn:aws:iam::111122223333:role/DecideRole", nil)

	policies := newTrial(nil).policies
	policies["Reader"], policies["Responder"] = permissionSet(t, s, "Reader"), permissionSet(t, s, "Responder")
	var answers []string
	judge(t, map[string]any{"policies": policies, "questions": questions}, &answers, "node", "tools/evaluate.mjs")
	for n, q := range questions {
		allowed, want := answers[n] == isAllowed, strings.HasSuffix(said[n], isAllowed)
		if allowed != want || strings.HasPrefix(answers[n], "wrong: ") {
			t.Errorf("%s, and it is %s (%s)", said[n], answers[n], q.Principal)
		}
	}
}

// gifts give each role each action of the table that it must not have anywhere.
func (p policies) gifts(table []request) (all []edit) {
	notice := map[string]*request{} // by role and action: the last request that would be allowed
	may := map[string]bool{}
	for _, r := range table {
		if r.by != "" {
			continue
		}
		for _, role := range everyone(p) {
			switch key := role + " " + r.action; {
			case slices.Contains(r.may, role):
				may[key] = true
			case !slices.Contains(r.never, role): // what is denied whatever is allowed is no gift
				notice[key] = &r
			}
		}
	}
	for _, role := range p.roles {
		for key, r := range notice {
			if !strings.HasPrefix(key, shortRole(role)+" ") || may[key] {
				continue
			}
			own := p.of[role][0].clone()
			own.Statement = append(own.Statement, statement{Effect: "Allow", Action: oneOrMore{r.action}, Resource: oneOrMore{"*"}})
			all = append(all, edit{what: role + " with " + r.action, actions: []string{r.action}, kind: "of", where: role, policy: own, notice: r})
		}
	}
	return all
}

// unnoticed are edits that no request can notice, with the reason.
var unnoticed = map[string]string{
	"SnapshotRole, MakeSnapshotsOfOurOwn: on everything, not arn:aws:ec2:us-east-1::snapshot/*":                 "only what is made has tags in the request",
	"IsolateRole, CreateGroupsOfOurOwn: on everything, not arn:aws:ec2:us-east-1:111122223333:security-group/*": "only what is made has tags in the request",
	"CredentialsRole, NeverOurOwnOrThoseOfAws: without arn:aws:iam::111122223333:role/aws-reserved/*":           "IAM itself refuses to change those, before any policy",
	"CredentialsRole, FindItsRole: on everything, not arn:aws:iam::111122223333:instance-profile/*":             "there are no profiles but those of this account",
}

// TestEveryPermissionIsAsked takes each action, resource and condition away,
// widens each resource and principal, and gives each role what it must not
// have. Some answer must change each time, or nobody would notice.
func TestEveryPermissionIsAsked(t *testing.T) {
	d := deployment(t)
	p := allPolicies(t, d)
	here, requests := everyRequest(d, p)
	edits := slices.Concat(p.gifts(here), p.cuts(), p.widenings())
	tr := newTrial(d)
	for n, e := range edits {
		under := p.with(e)
		rows := requests
		if e.notice != nil {
			rows = []request{*e.notice}
		}
		for _, r := range rows {
			if !slices.ContainsFunc(e.actions, func(a string) bool { return covers(a, r.action) }) {
				continue
			}
			for _, who := range callers(p, r) {
				if e.kind == "of" && who != shortRole(e.where) {
					continue // nobody else has that policy
				}
				if e.kind != "of" && !slices.ContainsFunc(r.on, func(o target) bool {
					kind, id := p.protects(d, r.action, o.arn)
					return kind == e.kind && id == e.where
				}) {
					continue
				}
				tr.ask(n, under, r, who)
			}
		}
	}
	tr.run(t)
	seen, allowed := map[int]bool{}, map[int]bool{}
	for _, a := range tr.all {
		seen[a.edit] = seen[a.edit] || a.wrong()
		allowed[a.edit] = allowed[a.edit] || a.want == isAllowed
	}
	for n, e := range edits {
		_, excused := unnoticed[e.what]
		switch {
		case seen[n] && excused:
			t.Errorf("%s is noticed; it needs no excuse", e.what)
		case seen[n] || excused:
		case e.denies && !allowed[n]: // denies more to somebody who may not do it anyway
		default:
			t.Errorf("no request notices %s", e.what)
		}
	}
	t.Logf("%d edits, %d requests, %d questions", len(edits), len(tr.all), len(tr.questions))
}

// excused are beginnings of findings of parliament that are wrong, with the
// reason.
var excused = map[string]string{
	"DataKey 0: RESOURCE_STAR: ":     "in the policy of a key, * is that key",
	"TransferKey 0: RESOURCE_STAR: ": "in the policy of a key, * is that key",
	"MacKey 0: RESOURCE_STAR: ":      "in the policy of a key, * is that key",
	"SigningKey 0: RESOURCE_STAR: ":  "in the policy of a key, * is that key",
	"EnrichRole 0: RESOURCE_MISMATCH: No resources match for the given action: [{'action': 'states:DescribeExecution', 'required_format': 'arn:*:states:*:*:express:":         "our machine is no express one",
	"IsolateRole 0: RESOURCE_MISMATCH: No resources match for the given action: [{'action': 'ec2:CreateSecurityGroup', 'required_format': 'arn:*:ec2:*:*:security-group/":     "the group is in a statement with a condition that the VPC does not meet",
	"IsolateRole 0: RESOURCE_MISMATCH: No resources match for the given action: [{'action': 'ec2:ModifyNetworkInterfaceAttribute', 'required_format': 'arn:*:ec2:*:*:network": "the interface is in a statement without the condition on groups",
	"JournalRole 0: RESOURCE_MISMATCH: No resources match for the given action: [{'action': 'dynamodb:DescribeStream', ":                                                      "the label of a stream has colons, which parliament takes for the ARN's",
	"SnapshotRole 0: RESOURCE_MISMATCH: No resources match for the given action: [{'action': 'ec2:CreateSnapshots', 'required_format': 'arn:*:ec2:*::snapshot/":               "the snapshot is in a statement with a condition that volumes do not meet",
	"SnapshotRole 0: RESOURCE_MISMATCH: No resources match for the given action: [{'action': 'ec2:CreateSnapshot', 'required_format': 'arn:*:ec2:*::snapshot/":                "the snapshot is in a statement with a condition that volumes do not meet",
	"SnapshotRole 0: RESOURCE_MISMATCH: No resources match for the given action: [{'action': 'ec2:CreateSnapshot', 'required_format': 'arn:*:ec2:*:*:volume/":                 "the volumes are in a statement without that condition",
}

// TestParliamentFindsNothing: misspelt actions, resources that an action does
// not take, condition keys that do not apply.
func TestParliamentFindsNothing(t *testing.T) {
	p := allPolicies(t, deployment(t))
	all := map[string]policy{}
	p.each(func(e edit) {
		if e.kind != "trust" { // which have no resource, and parliament wants one
			all[fmt.Sprint(e.where, " ", e.number)] = e.policy
		}
	})
	find := func(all map[string]policy) (found [][2]string) {
		judge(t, all, &found, ".venv/bin/python", "tools/findings.py")
		return found
	}
	used := map[string]bool{}
	for _, f := range find(all) {
		text, known := f[0]+": "+f[1], false
		for begin := range excused {
			if strings.HasPrefix(text, begin) {
				used[begin], known = true, true
			}
		}
		if !known {
			t.Error(text)
		}
	}
	for begin := range excused {
		if !used[begin] {
			t.Errorf("parliament does not find %s; it needs no excuse", begin)
		}
	}
	for name, planted := range map[string]statement{
		"a misspelt action":              {Effect: "Allow", Action: oneOrMore{"ec2:TerminateInstance"}, Resource: oneOrMore{"*"}},
		"a resource the action has not":  {Effect: "Allow", Action: oneOrMore{"ec2:TerminateInstances"}, Resource: oneOrMore{"arn:aws:s3:::bucket"}},
		"everything where less would do": {Effect: "Allow", Action: oneOrMore{"ec2:DescribeInstanceAttribute"}, Resource: oneOrMore{"*"}},
		"a key the action has not": {
			Effect: "Allow", Action: oneOrMore{"dynamodb:GetItem"}, Resource: oneOrMore{"arn:aws:dynamodb:us-east-1:111122223333:table/x"},
			Condition: map[string]map[string]oneOrMore{"StringEquals": {"s3:prefix": {"x"}}},
		},
	} {
		if len(find(map[string]policy{name: {Version: "2012-10-17", Statement: []statement{planted}}})) == 0 {
			t.Errorf("parliament does not find %s", name)
		}
	}
}

// TestExpandedTemplateHasTheSamePolicies: what is deployed is what SAM makes of
// template.yaml, and every other test reads template.yaml.
func TestExpandedTemplateHasTheSamePolicies(t *testing.T) {
	expanded := read(t, ".aws-sam/expanded.json")
	for _, wrong := range notAsWritten(t, expanded) {
		t.Error(wrong)
	}
	for name, plant := range map[string][2]string{
		"a right in a role":           {`"ec2:TerminateInstances"`, `"ec2:*"`},
		"a role that is not its own":  {`"TerminateRole",`, `"EnrichRole",`},
		"a permission for everything": {"/*/*/d/*", "/*"},
		"a resource more":             {`"Resources": {`, `"Resources": {"More": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {}},`},
		"a resource less":             {`"Guards": {`, `"NotifyFunctionEventInvokeConfig": {`},
	} {
		planted := strings.Replace(expanded, plant[0], plant[1], 1)
		if planted == expanded {
			t.Fatalf("%s: the expanded template has no %s", name, plant[0])
		}
		if len(notAsWritten(t, planted)) == 0 {
			t.Errorf("%s goes unseen", name)
		}
	}
}

// notAsWritten compares an expanded template with template.yaml.
func notAsWritten(t *testing.T, text string) (wrong []string) {
	t.Helper()
	fail := func(format string, a ...any) { wrong = append(wrong, fmt.Sprintf(format, a...)) }
	var written struct {
		Resources map[string]struct {
			Type       string    `yaml:"Type"`
			Properties yaml.Node `yaml:"Properties"`
		} `yaml:"Resources"`
	}
	if err := yaml.Unmarshal(cordon.Template, &written); err != nil {
		t.Fatal(err)
	}
	type resource struct {
		Type       string
		Properties map[string]any
	}
	var expanded struct{ Resources map[string]resource }
	if err := json.Unmarshal([]byte(text), &expanded); err != nil {
		t.Fatal(err)
	}
	added := map[string]string{
		"NotifyFunctionEventInvokeConfig":   "AWS::Lambda::EventInvokeConfig",
		"DecisionApiApiGatewayDefaultStage": "AWS::ApiGatewayV2::Stage",
	}
	for _, a := range samAdds(deployment(t)) {
		added[a.id] = "AWS::Lambda::Permission"
		got := expanded.Resources[a.id].Properties
		want := map[string]any{"Action": "lambda:InvokeFunction", "FunctionName": map[string]any{"Ref": a.function}, "Principal": "apigateway.amazonaws.com", "SourceArn": got["SourceArn"]}
		if diff := gocmp.Diff(want, got); diff != "" {
			fail("%s (-want +expanded):\n%s", a.id, diff)
		}
		if source := filled(got["SourceArn"]); source != a.withAPI("API") {
			fail("%s admits %s, want %s", a.id, source, a.withAPI("API"))
		}
	}
	for id, r := range expanded.Resources {
		w, known := written.Resources[id]
		switch {
		case !known:
			if added[id] != r.Type {
				fail("SAM adds %s, a %s, which nobody expects", id, r.Type)
			}
			delete(added, id)
		case w.Type == "AWS::Serverless::Function", w.Type == "AWS::Serverless::StateMachine":
			from, to := "Role", "Role"
			if w.Type == "AWS::Serverless::StateMachine" {
				to = "RoleArn"
			}
			want, _ := plainYAML(t, &w.Properties).(map[string]any)
			if diff := gocmp.Diff(want[from], r.Properties[to]); diff != "" || want[from] == nil {
				fail("%s has another role (-template +expanded):\n%s", id, diff)
			}
		case strings.HasPrefix(w.Type, "AWS::Serverless::"):
		default:
			if diff := gocmp.Diff(plainYAML(t, &w.Properties), any(r.Properties)); diff != "" || w.Type != r.Type {
				fail("%s is not as it was written (-template +expanded):\n%s", id, diff)
			}
		}
	}
	for id := range added {
		fail("SAM does not add %s any more", id)
	}
	for id := range written.Resources {
		if _, ok := expanded.Resources[id]; !ok {
			fail("%s is not in the expanded template", id)
		}
	}
	return wrong
}

// filled is the Fn::Sub of a permission that SAM adds, as an ARN.
func filled(v any) string {
	m, _ := v.(map[string]any)
	parts, _ := m["Fn::Sub"].([]any)
	if len(parts) != 2 {
		return fmt.Sprint(v)
	}
	return strings.NewReplacer("${AWS::Partition}", "aws", "${AWS::Region}", "us-east-1", "${AWS::AccountId}", "111122223333", "${__ApiId__}", "API", "${__Stage__}", "*").Replace(fmt.Sprint(parts[0]))
}

// plainYAML is a node as JSON has it, with the long names of functions.
func plainYAML(t *testing.T, n *yaml.Node) any {
	t.Helper()
	short := ""
	if strings.HasPrefix(n.Tag, "!") && !strings.HasPrefix(n.Tag, "!!") {
		short = n.Tag[1:]
	}
	var v any
	switch n.Kind {
	case 0: // there is nothing
		v = map[string]any(nil)
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i < len(n.Content); i += 2 {
			m[n.Content[i].Value] = plainYAML(t, n.Content[i+1])
		}
		v = m
	case yaml.SequenceNode:
		all := []any{}
		for _, c := range n.Content {
			all = append(all, plainYAML(t, c))
		}
		v = all
	default:
		if v = n.Value; short == "" {
			var typed any
			if err := n.Decode(&typed); err != nil {
				t.Fatal(err)
			}
			switch number := typed.(type) {
			case int:
				v = float64(number) // as JSON has it
			case time.Time: // 2012-10-17, unquoted
			default:
				v = typed
			}
		}
	}
	switch short {
	case "":
		return v
	case "Ref":
		return map[string]any{"Ref": v}
	case "GetAtt":
		id, attribute, _ := strings.Cut(n.Value, ".")
		return map[string]any{"Fn::GetAtt": []any{id, attribute}}
	}
	return map[string]any{"Fn::" + short: v}
}
