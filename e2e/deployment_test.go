//go:build e2e && linux

package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cordon"
	"cordon/e2e"
	"cordon/internal/template"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/autoscaling"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	elb "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancing"
	elbv2 "github.com/aws/aws-sdk-go-v2/service/elasticloadbalancingv2"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/google/go-cmp/cmp"
)

const (
	stack   = "cordon"
	account = "111122223333" // that of events/
	region  = "us-east-1"
	toolKey = "tools/avml"
)

// deployment is what sam made of the template on the stand-ins.
type deployment struct {
	proxy      *e2e.Proxy
	ours       *e2e.Ours
	aws        string            // ministack's address
	build      string            // where the template and the functions were built
	parameters map[string]string // of the template
	outputs    map[string]string // of the stack
	unlocked   bool              // the evidence bucket was made without Object Lock

	hosts       *hosts
	certificate string // file of the proxy's, which hosts trust
	port        string // of the proxy

	ec2         *ec2.Client
	autoscaling *autoscaling.Client
	elb         *elb.Client
	elbv2       *elbv2.Client
	iam         *iam.Client
	sfn         *sfn.Client
	dynamodb    *dynamodb.Client
	s3          *s3.Client

	mu    sync.Mutex
	mails []mail
}

// mail is one as the topic's subscriber gets it.
type mail struct{ Subject, Message string }

// programs are those that run now: what ends them, however the run ends.
var programs struct {
	sync.Mutex
	all []*e2e.Program
}

func stopAll() error {
	programs.Lock()
	defer programs.Unlock()
	var errs []error
	for _, p := range programs.all {
		errs = append(errs, p.Stop())
	}
	programs.all = nil
	return errors.Join(errs...)
}

// TestMain ends everything that a run started, when that is over and when it is
// interrupted: the servers, and what sam, a function or a host may have left.
func TestMain(m *testing.M) {
	run := fmt.Sprintf("%d-%d", os.Getpid(), time.Now().UnixNano())
	if err := os.Setenv(e2e.Mark, run); err != nil {
		panic(err) // there is no such name
	}
	var once sync.Once
	end := func(code int, interrupted bool) {
		once.Do(func() {
			if err := stopAll(); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
			if left, err := e2e.EndMarked(run); err != nil || len(left) > 0 && !interrupted {
				fmt.Fprintf(os.Stderr, "these outlived the run and were ended: %q, %v\n", left, err)
				code = 1
			}
			os.Exit(code)
		})
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		s := <-signals
		fmt.Fprintf(os.Stderr, "make test-e2e: ended by a signal (%v); so is all that it started\n", s)
		end(130, true)
	}()
	end(m.Run(), false)
}

func started(t *testing.T, p *e2e.Program, err error) *e2e.Program {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	programs.Lock()
	defer programs.Unlock()
	programs.all = append(programs.all, p)
	return p
}

// root is a path below the checkout.
func root(t *testing.T, name string) string {
	t.Helper()
	p, err := filepath.Abs(filepath.Join("..", name))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// environment is this process's with changes, without what could reach a real account.
func environment(changes ...string) []string {
	var all []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "AWS_") {
			all = append(all, v)
		}
	}
	return append(append(all, "AWS_ACCESS_KEY_ID="+account, "AWS_SECRET_ACCESS_KEY=test", "AWS_DEFAULT_REGION="+region, "AWS_REGION="+region,
		"AWS_EC2_METADATA_DISABLED=true", "SAM_CLI_TELEMETRY=0", "GOTOOLCHAIN=local"), changes...)
}

// run runs a command to its end; a failure is told with the end of what it said.
func run(t *testing.T, dir string, environment []string, words ...string) {
	t.Helper()
	if said, err := command(t, dir, environment, words...); err != nil {
		t.Fatalf("%s %s does not succeed (%v): %s", filepath.Base(words[0]), words[1], err, e2e.Trouble(said))
	}
}

// command runs a command to its end and returns the end of what it said.
func command(t *testing.T, dir string, environment []string, words ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(words[0]); err != nil {
		return "", errors.New("it is missing; run make test-e2e, which installs it")
	}
	began := time.Now()
	c := exec.CommandContext(t.Context(), words[0], words[1:]...)
	c.Dir, c.Env = dir, environment
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	text, err := c.CombinedOutput()
	tell("%s %s: %.1f s", filepath.Base(words[0]), words[1], time.Since(began).Seconds())
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n"), err
}

// tell says how far a run is, which takes minutes.
func tell(format string, args ...any) { fmt.Printf(format+"\n", args...) }

// whyNotDeployed is the first thing of a stack that could not be made; empty if
// nothing failed.
func (d *deployment) whyNotDeployed(t *testing.T, stack string) string {
	t.Helper()
	var out struct {
		Events []struct {
			ID     string `xml:"LogicalResourceId"`
			Type   string `xml:"ResourceType"`
			Status string `xml:"ResourceStatus"`
			Reason string `xml:"ResourceStatusReason"`
		} `xml:"DescribeStackEventsResult>StackEvents>member"`
	}
	form := url.Values{"Action": {"DescribeStackEvents"}, "Version": {"2010-05-15"}, "StackName": {stack}}
	text, err := d.post(t.Context(), "cloudformation", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, form.Encode())
	if err != nil {
		return "" // there is no such stack: it was refused before it began
	}
	if err := xml.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	why := ""
	for _, e := range out.Events { // the newest comes first
		if strings.HasSuffix(e.Status, "_FAILED") {
			why = fmt.Sprintf("%s (%s): %s", e.ID, e.Type, e.Reason)
		}
	}
	return why
}

// deploy deploys a template of the build, as a user would.
func (d *deployment) deploy(t *testing.T, stack, template string) error {
	t.Helper()
	words := []string{
		root(t, ".venv/bin/sam"), "deploy", "--template-file", filepath.Join(d.build, template), "--stack-name", stack, "--resolve-s3",
		"--capabilities", "CAPABILITY_IAM", "--no-confirm-changeset", "--no-progressbar", "--parameter-overrides",
	}
	for _, name := range slices.Sorted(maps.Keys(d.parameters)) {
		words = append(words, name+"="+d.parameters[name])
	}
	said, err := command(t, root(t, ""), environment("AWS_ENDPOINT_URL="+d.aws), words...)
	if err == nil {
		return nil
	}
	if why := d.whyNotDeployed(t, stack); why != "" {
		said = why
	}
	return fmt.Errorf("the template does not deploy: %s", e2e.Trouble(said))
}

// versions tells what is run against.
func versions(t *testing.T) {
	t.Helper()
	for _, v := range []struct{ python, packages string }{{".venv-e2e", "ministack moto aws-sam-translator"}, {".venv", "aws-sam-cli"}} {
		script := "import importlib.metadata as m, sys\nprint(', '.join(n + ' ' + m.version(n) for n in sys.argv[1:]))"
		c := exec.CommandContext(t.Context(), root(t, v.python+"/bin/python"), append([]string{"-c", script}, strings.Fields(v.packages)...)...)
		text, err := c.Output()
		if err != nil {
			t.Fatalf("%s has not what is needed (%v); run make test-e2e, which installs it", v.python, err)
		}
		tell("%s", strings.TrimSpace(string(text)))
	}
}

// deploy builds and deploys this checkout, as docs/e2e.md says.
func deploy(t *testing.T) *deployment {
	t.Helper()
	dir := t.TempDir()
	d := &deployment{}
	versions(t)
	d.build = filepath.Join(dir, "build")
	build(t, d.build)

	certificate := filepath.Join(dir, "proxy.pem")
	ports := make([]int, 2)
	for n := range ports {
		var err error
		if ports[n], err = e2e.FreePort(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.aws = fmt.Sprintf("http://127.0.0.1:%d", ports[0])
	moto := fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	cfg := func(endpoint string) aws.Config {
		return aws.Config{Region: region, BaseEndpoint: &endpoint, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: account, SecretAccessKey: "test"}, nil
		})}
	}
	d.ec2, d.autoscaling, d.iam = ec2.NewFromConfig(cfg(moto)), autoscaling.NewFromConfig(cfg(moto)), iam.NewFromConfig(cfg(moto))
	d.elb, d.elbv2 = elb.NewFromConfig(cfg(moto)), elbv2.NewFromConfig(cfg(moto))
	d.sfn, d.dynamodb = sfn.NewFromConfig(cfg(d.aws)), dynamodb.NewFromConfig(cfg(d.aws))
	d.s3 = s3.NewFromConfig(cfg(d.aws), func(o *s3.Options) { o.UsePathStyle = true })

	d.certificate = certificate
	d.hosts = &hosts{Shell: &e2e.Shell{EC2: d.ec2, Dir: filepath.Join(dir, "hosts"), Certificate: certificate}}
	d.ours = &e2e.Ours{
		SSM:   &e2e.SSM{Host: d.hosts},
		Locks: &e2e.Locks{EC2: d.ec2}, Refreshes: &e2e.Refreshes{AutoScaling: d.autoscaling}, Screens: &e2e.Screens{EC2: d.ec2},
	}
	t.Cleanup(d.ours.SSM.Close)
	d.proxy = &e2e.Proxy{AWS: address(t, d.aws), EC2: address(t, moto), Ours: d.ours, Missing: e2e.Missing}
	proxy, err := d.proxy.Listen(t.Context(), certificate)
	if err != nil {
		t.Fatal(err)
	}
	d.port = address(t, proxy).Port()
	t.Cleanup(func() {
		if err := d.proxy.Close(); err != nil {
			t.Error(err)
		}
	})

	python := root(t, ".venv-e2e/bin/python")
	server := func(name, ready string, environment []string, arguments ...string) {
		p, err := e2e.Start(name, filepath.Join(dir, name+".log"), environment, append([]string{python}, arguments...)...)
		started(t, p, err)
		ctx, end := context.WithTimeout(t.Context(), time.Minute)
		defer end()
		if err := p.Ready(ctx, ready); err != nil {
			t.Fatal(err)
		}
	}
	server("moto", moto+"/moto-api/", environment("MOTO_ACCOUNT_ID="+account), root(t, "e2e/servers/ec2.py"), "-H", "127.0.0.1", "-p", fmt.Sprint(ports[1]))
	server("ministack", d.aws+"/_ministack/ready", environment(
		"BIND_HOST=127.0.0.1", "IOT_MTLS_ENABLED=0", "MINISTACK_ACCOUNT_ID="+account, "SFN_WAIT_SCALE="+waitScale, fmt.Sprintf("GATEWAY_PORT=%d", ports[0]), "TMPDIR="+dir,
		"AWS_ENDPOINT_URL="+proxy, "SSL_CERT_FILE="+certificate), root(t, "e2e/servers/aws.py"))
	t.Cleanup(func() {
		if err := stopAll(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			keep(t, dir)
		}
	})

	var avml []byte
	if noGuest() == "" {
		if avml, err = os.ReadFile(os.Getenv("CORDON_AVML")); err != nil {
			t.Fatal(err)
		}
	}
	tool, sum := captureTool(avml)
	d.parameters = map[string]string{
		"NotificationEmail": "oncall@example.com", "EscalationEmail": "boss@example.com", "MemoryToolKey": toolKey, "MemoryToolSha256": sum,
		"CredentialRoles": appRoles, "MaxIsolationsPerHour": "1000", // the scenes are ten and more
	}
	if err := d.deploy(t, stack, "deploy.yaml"); err != nil {
		t.Fatal(err)
	}
	d.outputs = d.describeStack(t)
	d.whole(t)
	bucket := aws.String(d.outputs["EvidenceBucketName"])
	d.lockBucket(t, bucket)
	if _, err := d.s3.PutObject(t.Context(), &s3.PutObjectInput{Bucket: bucket, Key: aws.String(toolKey), Body: bytes.NewReader(tool)}); err != nil {
		t.Fatalf("put the memory tool into the evidence bucket: %v", err)
	}
	if err := d.ours.SSM.AddDocument(e2e.Lacking["MemoryDocument"].Name, d.memoryDocument(t)); err != nil {
		t.Fatal(err)
	}
	d.subscribe(t)
	return d
}

// waitScale shortens the machine's waits and its pauses between retries: 30 s
// are 3 s.
const waitScale = "0.1"

// build builds for this machine.
func build(t *testing.T, to string) {
	t.Helper()
	goarch := map[string]string{"x86_64": "amd64", "arm64": "arm64"}[e2e.Architecture()]
	if goarch == "" {
		t.Fatal("Lambda has no such architecture as this machine's; run it on x86-64 or arm64")
	}
	run(t, root(t, ""), environment("GOARCH="+goarch), root(t, ".venv/bin/sam"), "build", "--build-dir", to)
	built, err := os.ReadFile(filepath.Join(to, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := e2e.Deployable(built, e2e.Architecture())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to, "deploy.yaml"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// keep keeps the servers' logs of a run that failed.
func keep(t *testing.T, dir string) {
	t.Helper()
	to := root(t, ".aws-sam/e2e-logs")
	if err := os.MkdirAll(to, 0o700); err != nil {
		t.Error(err)
		return
	}
	for _, name := range []string{"moto.log", "ministack.log"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o600)
		}
		if err != nil {
			t.Error(err)
		}
	}
	t.Logf("the servers' logs are in %s", to)
}

func address(t *testing.T, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// template is the project's own, as these parameters make it.
func (d *deployment) template(t *testing.T) *template.Deployment {
	t.Helper()
	parsed, err := template.Parse(cordon.Template)
	if err != nil {
		t.Fatal(err)
	}
	deployed, err := parsed.Deploy(template.Settings{Account: account, Region: region, Stack: stack, Parameters: d.parameters})
	if err != nil {
		t.Fatal(err)
	}
	return deployed
}

// memoryDocument is the content of the document that the template makes.
func (d *deployment) memoryDocument(t *testing.T) []byte {
	t.Helper()
	r, ok := d.template(t).Resource("MemoryDocument")
	if !ok {
		t.Fatal("the template has no MemoryDocument")
	}
	content, err := json.Marshal(r.Properties["Content"])
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// whole holds that the stack has every resource of the template but those that
// are listed as lacking.
func (d *deployment) whole(t *testing.T) {
	t.Helper()
	var out struct {
		Resources []struct {
			ID     string `xml:"LogicalResourceId"`
			Status string `xml:"ResourceStatus"`
		} `xml:"DescribeStackResourcesResult>StackResources>member"`
	}
	d.query(t, "cloudformation", url.Values{"Action": {"DescribeStackResources"}, "Version": {"2010-05-15"}, "StackName": {stack}}, &out)
	made := map[string]bool{}
	for _, r := range out.Resources {
		made[r.ID] = r.Status == "CREATE_COMPLETE"
	}
	lacking := []string{}
	for _, r := range d.template(t).Resources() {
		if !made[r.LogicalID] {
			lacking = append(lacking, r.LogicalID)
		}
	}
	slices.Sort(lacking)
	if diff := cmp.Diff(slices.Sorted(maps.Keys(e2e.Lacking)), lacking); diff != "" {
		t.Errorf("resources that the stack has not (-listed +lacking):\n%s", diff)
	}
}

// post makes a call to ministack for which this module needs no SDK package.
func (d *deployment) post(ctx context.Context, service string, header map[string]string, body string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, d.aws, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+account+"/20260101/"+region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	for k, v := range header {
		r.Header.Set(k, v)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err == nil && a.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", service, a.Status, text)
	}
	return text, err
}

func (d *deployment) query(t *testing.T, service string, form url.Values, out any) {
	t.Helper()
	text, err := d.post(t.Context(), service, map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, form.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(text, out); err != nil {
		t.Fatalf("%s: %v in %s", service, err, text)
	}
}

func (d *deployment) describeStack(t *testing.T) map[string]string {
	t.Helper()
	var out struct {
		Status  string `xml:"DescribeStacksResult>Stacks>member>StackStatus"`
		Outputs []struct {
			Key   string `xml:"OutputKey"`
			Value string `xml:"OutputValue"`
		} `xml:"DescribeStacksResult>Stacks>member>Outputs>member"`
	}
	d.query(t, "cloudformation", url.Values{"Action": {"DescribeStacks"}, "StackName": {stack}, "Version": {"2010-05-15"}}, &out)
	if out.Status != "CREATE_COMPLETE" {
		t.Fatalf("the stack is %s", out.Status)
	}
	all := map[string]string{}
	for _, o := range out.Outputs {
		all[o.Key] = o.Value
	}
	return all
}

// subscribe reads the topic as a subscriber does, by a queue.
func (d *deployment) subscribe(t *testing.T) {
	t.Helper()
	call := func(ctx context.Context, action string, in, out any) error {
		body, err := json.Marshal(in)
		if err != nil {
			return err
		}
		text, err := d.post(ctx, "sqs", map[string]string{"X-Amz-Target": "AmazonSQS." + action, "Content-Type": "application/x-amz-json-1.0"}, string(body))
		if err != nil {
			return err
		}
		if out == nil {
			return nil
		}
		return json.Unmarshal(text, out)
	}
	var queue struct{ QueueUrl string }
	if err := call(t.Context(), "CreateQueue", map[string]string{"QueueName": "mails"}, &queue); err != nil {
		t.Fatal(err)
	}
	var topics struct {
		ARNs []string `xml:"ListTopicsResult>Topics>member>TopicArn"`
	}
	d.query(t, "sns", url.Values{"Action": {"ListTopics"}, "Version": {"2010-03-31"}}, &topics)
	escalation := slices.IndexFunc(topics.ARNs, func(arn string) bool { return strings.Contains(arn, "EscalationTopic") })
	if escalation < 0 {
		t.Fatalf("there is no topic for escalations among %v", topics.ARNs)
	}
	for _, topic := range []string{d.outputs["TopicArn"], topics.ARNs[escalation]} {
		var subscribed struct {
			ARN string `xml:"SubscribeResult>SubscriptionArn"`
		}
		d.query(t, "sns", url.Values{
			"Action": {"Subscribe"}, "Version": {"2010-03-31"}, "TopicArn": {topic}, "Protocol": {"sqs"},
			"Endpoint": {"arn:aws:sqs:" + region + ":" + account + ":mails"},
		}, &subscribed)
		if subscribed.ARN == "" {
			t.Fatalf("SNS did not take the subscription of the queue to %s", topic)
		}
	}
	ctx := t.Context()
	var reading sync.WaitGroup
	reading.Go(func() {
		for ctx.Err() == nil {
			var got struct {
				Messages []struct{ Body, ReceiptHandle string }
			}
			if err := call(ctx, "ReceiveMessage", map[string]any{"QueueUrl": queue.QueueUrl, "MaxNumberOfMessages": 10, "WaitTimeSeconds": 1}, &got); err != nil {
				if ctx.Err() == nil {
					t.Errorf("read the mails: %v", err)
				}
				return
			}
			for _, m := range got.Messages {
				var arrived mail
				if err := json.Unmarshal([]byte(m.Body), &arrived); err != nil {
					t.Errorf("a mail that is no notification: %v: %s", err, m.Body)
				}
				d.mu.Lock()
				d.mails = append(d.mails, arrived)
				d.mu.Unlock()
				if err := call(ctx, "DeleteMessage", map[string]any{"QueueUrl": queue.QueueUrl, "ReceiptHandle": m.ReceiptHandle}, nil); err != nil && ctx.Err() == nil {
					t.Errorf("delete a mail: %v", err)
				}
			}
		}
	})
	t.Cleanup(reading.Wait)
}

// mailsAbout are the mails so far that name an instance, in order of arrival.
func (d *deployment) mailsAbout(instance string) []mail {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []mail
	for _, m := range d.mails {
		if strings.Contains(m.Subject+m.Message, instance) {
			all = append(all, m)
		}
	}
	return all
}
