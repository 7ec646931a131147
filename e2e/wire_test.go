package e2e_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"cordon/e2e"

	"github.com/google/go-cmp/cmp"
)

// signed is a request as the SDK sends it, without a signature that holds.
func signed(service, method, target, body string) *http.Request {
	r := httptest.NewRequest(method, "https://127.0.0.1"+target, strings.NewReader(body))
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=ASIAEXAMPLE/20260314/us-east-1/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	return r
}

func withTarget(r *http.Request, target string) *http.Request {
	r.Header.Set("X-Amz-Target", target)
	return r
}

func TestCallsAreReadOffTheWire(t *testing.T) {
	const eni, form = "eni-0c0ffee0c0ffee0a1", "Action=ModifyNetworkInterfaceAttribute&NetworkInterfaceId=eni-0c0ffee0c0ffee0a1&SecurityGroupId.2=sg-2&SecurityGroupId.1=sg-1"
	item := `{"TableName":"incidents","Item":{"pk":{"S":"a"},"sk":{"S":"step#isolate"},"body":{"S":"{}"}}}`
	for name, c := range map[string]struct {
		request *http.Request
		body    string
		want    e2e.Call
	}{
		"EC2, a numbered list":    {signed("ec2", "POST", "/", ""), form, e2e.Call{Service: "ec2", Action: "ModifyNetworkInterfaceAttribute", Mutating: true, Resources: []string{eni, "sg-1", "sg-2"}}},
		"EC2, filters":            {signed("ec2", "POST", "/", ""), "Action=DescribeSnapshots&Filter.1.Name=tag%3Ax&Filter.1.Value.1=b&Filter.1.Value.2=a", e2e.Call{Service: "ec2", Action: "DescribeSnapshots", Resources: []string{"a", "b"}}},
		"EC2, one thing twice":    {signed("ec2", "POST", "/", ""), "Action=CreateTags&ResourceId.1=i-1&ResourceId.2=i-1", e2e.Call{Service: "ec2", Action: "CreateTags", Mutating: true, Resources: []string{"i-1"}}},
		"EC2, of a specification": {signed("ec2", "POST", "/", ""), "Action=CreateSnapshots&InstanceSpecification.InstanceId=i-1", e2e.Call{Service: "ec2", Action: "CreateSnapshots", Mutating: true, Resources: []string{"i-1"}}},
		"Auto Scaling":            {signed("autoscaling", "POST", "/", ""), "Action=EnterStandby&Version=2011-01-01&AutoScalingGroupName=web&InstanceIds.member.1=i-1", e2e.Call{Service: "autoscaling", Action: "EnterStandby", Mutating: true, Resources: []string{"i-1", "web"}}},
		"a balancer of today":     {signed("elasticloadbalancing", "POST", "/", ""), "Action=DeregisterTargets&Version=2015-12-01&TargetGroupArn=arn&Targets.member.1.Id=i-1", e2e.Call{Service: "elasticloadbalancingv2", Action: "DeregisterTargets", Mutating: true, Resources: []string{"arn", "i-1"}}},
		"a classic balancer":      {signed("elasticloadbalancing", "POST", "/", ""), "Action=DeregisterInstancesFromLoadBalancer&Version=2012-06-01&LoadBalancerName=web&Instances.member.1.InstanceId=i-1", e2e.Call{Service: "elasticloadbalancing", Action: "DeregisterInstancesFromLoadBalancer", Mutating: true, Resources: []string{"i-1", "web"}}},
		"IAM":                     {signed("iam", "POST", "/", ""), "Action=PutRolePolicy&RoleName=app&PolicyName=p", e2e.Call{Service: "iam", Action: "PutRolePolicy", Mutating: true, Resources: []string{"app"}}},
		"DynamoDB":                {withTarget(signed("dynamodb", "POST", "/", ""), "DynamoDB_20120810.PutItem"), item, e2e.Call{Service: "dynamodb", Action: "PutItem", Mutating: true, Resources: []string{"a", "incidents", "step#isolate"}}},
		"SSM":                     {withTarget(signed("ssm", "POST", "/", ""), "AmazonSSM.SendCommand"), `{"DocumentName":"d","InstanceIds":["i-1"]}`, e2e.Call{Service: "ssm", Action: "SendCommand", Mutating: true, Resources: []string{"d", "i-1"}}},
		"Step Functions":          {withTarget(signed("states", "POST", "/", ""), "AWSStepFunctions.SendTaskSuccess"), `{"taskToken":"t"}`, e2e.Call{Service: "sfn", Action: "SendTaskSuccess", Mutating: true, Resources: []string{}}},
		"S3, an object":           {signed("s3", "PUT", "/bucket/a/b?x-id=PutObject", ""), "text", e2e.Call{Service: "s3", Action: "PutObject", Mutating: true, Resources: []string{"a/b", "bucket"}}},
		"S3, a retention":         {signed("s3", "PUT", "/bucket/a?retention", ""), "", e2e.Call{Service: "s3", Action: "PutObjectRetention", Mutating: true, Resources: []string{"a", "bucket"}}},
		"S3, an upload":           {signed("s3", "POST", "/bucket/a?uploads=", ""), "", e2e.Call{Service: "s3", Action: "CreateMultipartUpload", Mutating: true, Resources: []string{"a", "bucket"}}},
		"S3, its end":             {signed("s3", "POST", "/bucket/a?uploadId=1", ""), "", e2e.Call{Service: "s3", Action: "CompleteMultipartUpload", Mutating: true, Resources: []string{"a", "bucket"}}},
		"S3, its parts":           {signed("s3", "GET", "/bucket/a?uploadId=1", ""), "", e2e.Call{Service: "s3", Action: "ListParts", Resources: []string{"a", "bucket"}}},
		"S3, a list":              {signed("s3", "GET", "/bucket?list-type=2&prefix=a", ""), "", e2e.Call{Service: "s3", Action: "ListObjectsV2", Resources: []string{"bucket"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := e2e.ReadCall(c.request, []byte(c.body))
			if err != nil {
				t.Fatal(err)
			}
			got.Parameters = nil
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestWhatNoFunctionCallsIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		request *http.Request
		body    string
	}{
		"another service":           {signed("lambda", "POST", "/", ""), "Action=Invoke"},
		"another action of IAM":     {signed("iam", "POST", "/", ""), "Action=CreateUser"},
		"of the other balancers":    {signed("elasticloadbalancing", "POST", "/", ""), "Action=DeregisterTargets&Version=2012-06-01"},
		"another action of EC2":     {signed("ec2", "POST", "/", ""), "Action=StopInstances"},
		"another action of S3":      {signed("s3", "DELETE", "/bucket/a", ""), ""},
		"a part, under its own key": {signed("s3", "PUT", "/bucket/a?uploadId=1&partNumber=1", ""), ""},
		"no JSON":                   {withTarget(signed("ssm", "POST", "/", ""), "AmazonSSM.SendCommand"), "{"},
	} {
		if _, err := e2e.ReadCall(c.request, []byte(c.body)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if _, err := e2e.ReadCall(httptest.NewRequest("GET", "https://127.0.0.1/bucket/a?X-Amz-Signature=0", nil), nil); !errors.Is(err, e2e.ErrUnsigned) {
		t.Errorf("a request without a signature of its own: %v", err)
	}
}

// world is a proxy in front of a stand-in that counts what reaches it.
type world struct {
	proxy   *e2e.Proxy
	client  *http.Client
	address string
	reached int
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{}
	upstream := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		w.reached++
		if r.URL.Path == "/refuse" {
			to.WriteHeader(http.StatusBadRequest)
			_, _ = to.Write([]byte(`<Response><Errors><Error><Code>InvalidGroup.NotFound</Code></Error></Errors></Response>`)) // the test reads it
		}
	}))
	t.Cleanup(upstream.Close)
	at, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	w.proxy = &e2e.Proxy{AWS: at, EC2: at}
	w.client, w.address = listen(t, w.proxy)
	return w
}

// move sends a call as a function does: this process is the one that calls.
func (w *world) move(t *testing.T, path string) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.address+path, strings.NewReader("Action=ModifyNetworkInterfaceAttribute&NetworkInterfaceId=eni-1&SecurityGroupId.1=sg-1"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = signed("ec2", "POST", "/", "").Header
	a, err := w.client.Do(r)
	if err != nil {
		return 0, err
	}
	return a.StatusCode, a.Body.Close()
}
