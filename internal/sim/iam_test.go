package sim_test

import (
	"net/url"
	"strings"
	"testing"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

const deny = `{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Action":"*","Resource":"*"}]}`

// profiled is the account around the plain event whose instance has a role.
func profiled(t *testing.T, change func(map[string]any)) []byte {
	t.Helper()
	return changed(t, func(file map[string]any) {
		theInstance(file)["IamInstanceProfile"] = map[string]any{"Arn": "arn:aws:iam::111122223333:instance-profile/web"}
		if change != nil {
			change(file)
		}
	})
}

// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetInstanceProfile.html
func TestGetInstanceProfile(t *testing.T) {
	a, _ := world(t, profiled(t, nil))
	out, err := a.IAM().GetInstanceProfile(t.Context(), &iam.GetInstanceProfileInput{InstanceProfileName: aws.String("web")})
	if err != nil || len(out.InstanceProfile.Roles) != 1 || *out.InstanceProfile.Roles[0].Arn != "arn:aws:iam::111122223333:role/web" {
		t.Errorf("answer %+v, %v", out, err)
	}
	_, err = a.IAM().GetInstanceProfile(t.Context(), &iam.GetInstanceProfileInput{InstanceProfileName: aws.String("other")})
	wantCode(t, err, "NoSuchEntity", "other")
}

// A policy reads back URL-encoded, and is gone once it is deleted.
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetRolePolicy.html
func TestRolePolicies(t *testing.T) {
	a, _ := world(t, profiled(t, nil))
	c := a.IAM()
	put := func(role, name, document string) error {
		_, err := c.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document})
		return err
	}
	get := func() (string, error) {
		out, err := c.GetRolePolicy(t.Context(), &iam.GetRolePolicyInput{RoleName: aws.String("web"), PolicyName: aws.String("p")})
		if err != nil {
			return "", err
		}
		if strings.ContainsAny(*out.PolicyDocument, `{" `) {
			t.Errorf("the document is not encoded: %s", *out.PolicyDocument)
		}
		return url.PathUnescape(*out.PolicyDocument)
	}
	_, err := get()
	wantCode(t, err, "NoSuchEntity", "p")
	wantCode(t, put("nobody", "p", deny), "NoSuchEntity", "nobody")
	wantCode(t, put("web", "p", "{}"), "MalformedPolicyDocument", "")
	for _, document := range []string{`{"Statement": []}`, deny} { // the second over the first
		if err := put("web", "p", document); err != nil {
			t.Fatal(err)
		}
		if text, err := get(); err != nil || text != document {
			t.Errorf("reads back %q, %v", text, err)
		}
	}
	wantCode(t, put("web", "large", `{"Statement":["`+strings.Repeat("x", 10240)+`"]}`), "LimitExceeded", "")
	for n, code := range []string{"", "NoSuchEntity"} {
		_, err := c.DeleteRolePolicy(t.Context(), &iam.DeleteRolePolicyInput{RoleName: aws.String("web"), PolicyName: aws.String("p")})
		if code == "" && err != nil {
			t.Fatal(err)
		}
		if n == 1 {
			wantCode(t, err, code, "p")
		}
	}
}

// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create-service-linked-role.html
func TestRolesOfAWS(t *testing.T) {
	a, _ := world(t, profiled(t, func(file map[string]any) {
		file["InstanceProfiles"] = []any{map[string]any{"InstanceProfileName": "web", "Roles": []any{map[string]any{"RoleName": "r", "Path": "/aws-service-role/ec2.amazonaws.com/"}}}}
	}))
	_, err := a.IAM().PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: aws.String("r"), PolicyName: aws.String("p"), PolicyDocument: aws.String(deny)})
	wantCode(t, err, "UnmodifiableEntity", "protected role 'r'")
}

func TestProfilesInTheFile(t *testing.T) {
	_, err := sim.Open(sim.Settings{Clock: &wall{begun}}, profiled(t, func(file map[string]any) {
		theInstance(file)["IamInstanceProfile"] = map[string]any{"Id": "AIPA"}
	}))
	if err == nil || !strings.Contains(err.Error(), "IamInstanceProfile without Arn") {
		t.Errorf("error is %v", err)
	}
}
