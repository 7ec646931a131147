package memory_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"cordon/internal/incident"
	"cordon/internal/memory"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamodbtypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// wire is a world in which everything between our side and the host is real:
// the SDK's S3 client, its signatures, HTTP, the document, sh and curl. EC2 and
// SSM are as small as can be; internal/sim has the large ones.
type wire struct {
	*bucket
	machine *machine
	run     func(script string) string // on the host, to its end
	cancel  func()                     // ends what runs there
	memory  int64                      // of the instance type, MiB
	tool    []byte
	life    time.Duration // how long a capture may take
	done    chan string   // the command's output, once
	output  *string
	ended   ssmtypes.CommandInvocationStatus // by whom it was ended, if not by itself
	items   map[string]map[string]dynamodbtypes.AttributeValue
}

func (w *wire) DescribeInstances(context.Context, *ec2.DescribeInstancesInput, ...func(*ec2.Options)) (*ec2.DescribeInstancesOutput, error) {
	return &ec2.DescribeInstancesOutput{Reservations: []ec2types.Reservation{{Instances: []ec2types.Instance{{
		InstanceId: aws.String("i-0abc"), InstanceType: "t3.nano", Architecture: "x86_64", State: &ec2types.InstanceState{Name: "running"},
	}}}}}, nil
}

func (w *wire) DescribeInstanceTypes(context.Context, *ec2.DescribeInstanceTypesInput, ...func(*ec2.Options)) (*ec2.DescribeInstanceTypesOutput, error) {
	return &ec2.DescribeInstanceTypesOutput{InstanceTypes: []ec2types.InstanceTypeInfo{{InstanceType: "t3.nano", MemoryInfo: &ec2types.MemoryInfo{SizeInMiB: &w.memory}}}}, nil
}

func (w *wire) DescribeInstanceInformation(context.Context, *ssm.DescribeInstanceInformationInput, ...func(*ssm.Options)) (*ssm.DescribeInstanceInformationOutput, error) {
	return &ssm.DescribeInstanceInformationOutput{InstanceInformationList: []ssmtypes.InstanceInformation{{InstanceId: aws.String("i-0abc"), PingStatus: "Online"}}}, nil
}

// SendCommand runs the document as the agent does: parameters held to their
// patterns, put where {{ they }} stand, the lines joined and given to sh.
func (w *wire) SendCommand(_ context.Context, in *ssm.SendCommandInput, _ ...func(*ssm.Options)) (*ssm.SendCommandOutput, error) {
	text, err := json.Marshal(memory.Document())
	if err != nil {
		return nil, err
	}
	var doc struct {
		Parameters map[string]struct{ AllowedPattern string }
		MainSteps  []struct {
			Inputs struct{ RunCommand []string }
		}
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	script := strings.Join(doc.MainSteps[0].Inputs.RunCommand, "\n")
	for name, p := range doc.Parameters {
		v := in.Parameters[name]
		// Loopback has no certificate; in all else the address is as it would be.
		if len(v) != 1 || !regexp.MustCompile(p.AllowedPattern).MatchString(strings.Replace(v[0], "http://127", "https://127", 1)) {
			return nil, &ssmtypes.InvalidParameters{Message: aws.String(fmt.Sprintf("%s: %q is not %s", name, v, p.AllowedPattern))}
		}
		script = strings.ReplaceAll(script, "{{ "+name+" }}", v[0])
	}
	for name := range in.Parameters {
		if _, ok := doc.Parameters[name]; !ok {
			return nil, &ssmtypes.InvalidParameters{Message: aws.String(name)}
		}
	}
	w.done = make(chan string, 1)
	go func() { w.done <- w.run(script) }()
	return &ssm.SendCommandOutput{Command: &ssmtypes.Command{CommandId: aws.String("c-1")}}, nil
}

func (w *wire) GetCommandInvocation(context.Context, *ssm.GetCommandInvocationInput, ...func(*ssm.Options)) (*ssm.GetCommandInvocationOutput, error) {
	if w.output == nil {
		select {
		case out := <-w.done:
			w.output = &out
		default:
			return &ssm.GetCommandInvocationOutput{Status: ssmtypes.CommandInvocationStatusInProgress}, nil
		}
	}
	if w.ended != "" {
		return &ssm.GetCommandInvocationOutput{Status: w.ended, StatusDetails: aws.String(string(w.ended)), StandardOutputContent: w.output}, nil
	}
	if strings.Contains(*w.output, `"status":"ok"`) {
		return &ssm.GetCommandInvocationOutput{Status: ssmtypes.CommandInvocationStatusSuccess, StandardOutputContent: w.output}, nil
	}
	return &ssm.GetCommandInvocationOutput{Status: ssmtypes.CommandInvocationStatusFailed, StatusDetails: aws.String("Failed"), StandardOutputContent: w.output}, nil
}

func (w *wire) ListCommands(context.Context, *ssm.ListCommandsInput, ...func(*ssm.Options)) (*ssm.ListCommandsOutput, error) {
	return &ssm.ListCommandsOutput{}, nil
}

func (w *wire) CancelCommand(context.Context, *ssm.CancelCommandInput, ...func(*ssm.Options)) (*ssm.CancelCommandOutput, error) {
	w.ended = ssmtypes.CommandInvocationStatusCancelled
	if w.cancel != nil {
		w.cancel()
	}
	return &ssm.CancelCommandOutput{}, nil
}

func (w *wire) GetItem(_ context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return &dynamodb.GetItemOutput{Item: w.items[itemKey(in.Key)]}, nil
}

func (w *wire) PutItem(_ context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	w.items[itemKey(in.Item)] = in.Item
	return &dynamodb.PutItemOutput{}, nil
}

func itemKey(i map[string]dynamodbtypes.AttributeValue) string {
	return i["pk"].(*dynamodbtypes.AttributeValueMemberS).Value + " " + i["sk"].(*dynamodbtypes.AttributeValueMemberS).Value
}

func settings(tool []byte) map[string]string {
	return map[string]string{
		"INCIDENTS_TABLE": "incidents", "EVIDENCE_BUCKET": bucketName, "RETENTION_DAYS": "30",
		"MEMORY_DOCUMENT": "cordon-memory", "MEMORY_WINDOWS_DOCUMENT": "cordon-windows", "MEMORY_TOOL_KEY": toolKey, "MEMORY_TOOL_SHA256": sum(tool),
	}
}

func host(env map[string]string, now func() time.Time) incident.Host {
	return incident.Host{Now: now, Rand: rand.Reader, Getenv: func(k string) string { return env[k] }, Each: func(n int, f func(int)) {
		for i := range n {
			f(i)
		}
	}}
}

// newWire is a host with 40 MiB to send: three parts of 16 MiB, the last one short.
func newWire(t *testing.T) *wire {
	m := newMachine(t, 40<<20)
	w := &wire{bucket: openBucket(t), machine: m, run: m.run, memory: 512, tool: m.tool, life: time.Minute}
	w.begin()
	return w
}

// begin puts the tool and an open incident where the step looks for them.
func (w *wire) begin() {
	w.put(toolKey, w.tool)
	w.items = map[string]map[string]dynamodbtypes.AttributeValue{}
	str := func(s string) dynamodbtypes.AttributeValue { return &dynamodbtypes.AttributeValueMemberS{Value: s} }
	head := map[string]dynamodbtypes.AttributeValue{"pk": str("123456789012.ap-northeast-1.i-0abc"), "sk": str("incident#000001"), "state": str("open"), "body": str("{}")}
	w.items[itemKey(head)] = head
}

// capture runs the step as the machine does, until it is done.
func (w *wire) capture(t *testing.T) incident.Memory {
	t.Helper()
	client := w.client()
	step, err := memory.New(host(settings(w.tool), time.Now), w, w, client, s3.NewPresignClient(client), w)
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(w.life); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		out, err := step.Run(t.Context(), memory.Input{Incident: incident.Incident{ID: incidentID, InstanceID: "i-0abc"}})
		if err != nil {
			t.Fatal(err)
		}
		if out.Done {
			return out
		}
	}
	t.Fatalf("the capture did not end within %s", w.life)
	return incident.Memory{}
}

func TestACaptureHoldsWhatTheToolWrote(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	got := w.capture(t)
	want := incident.Memory{Report: incident.Report{Status: incident.OK}, Done: true, Object: imageKey, Bytes: 40 << 20, Parts: 3, SHA256: sum(w.machine.image)}
	if timeless(got) != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if !bytes.Equal(w.object(imageKey), w.machine.image) {
		t.Error("the object is not what the tool wrote")
	}
	for _, key := range []string{imageKey, "incidents/" + incidentID + "/memory/parts.json"} {
		if w.locked[key] != "GOVERNANCE" {
			t.Errorf("%s is not locked: whoever may delete could delete the evidence", key)
		}
	}
	if len(w.uploads) > 0 {
		t.Error("an upload is left open, which costs and hides")
	}
	// What is signed must be usable by curl: no header but Host in the signature.
	// A checksum that the SDK adds of its own accord would be that of nothing.
	batch := string(w.object("incidents/" + incidentID + "/memory/batch-000001"))
	if n := strings.Count(batch, "\nput "); n != 49 { // 512 MiB in parts of 16, a twentieth, and 16
		t.Errorf("the batch has %d parts, want 49", n)
	}
	for line := range strings.Lines(batch) {
		if strings.Contains(line, "://") && (!strings.Contains(line, "X-Amz-SignedHeaders=host&") || strings.Contains(strings.ToLower(line), "checksum")) {
			t.Errorf("an address asks for more than Host: %s", line)
		}
	}
}

func TestAPartAlteredOnItsWayIsFound(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.altering(func(key string, part int, body []byte) []byte {
		if part == 2 {
			body[1234] ^= 1
		}
		return body
	})
	got := w.capture(t)
	if got.Status != incident.Partial || !strings.Contains(got.Reason, "altered on the way") || !strings.Contains(got.Reason, ": 2") {
		t.Errorf("got %+v, want a partial capture that names part 2", got)
	}
	if len(w.object(imageKey)) != 40<<20 {
		t.Error("an image with one bad part is still evidence and must be kept")
	}
}

func TestAPartThatWasCutShortIsFound(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.altering(func(key string, part int, body []byte) []byte {
		if part == 1 {
			return body[:6<<20]
		}
		return body
	})
	if got := w.capture(t); got.Status != incident.Partial || !strings.Contains(got.Reason, "altered on the way") {
		t.Errorf("got %+v, want a partial capture", got)
	}
}

// Without a list of hashes nothing proves that what S3 has is what was sent.
func TestACaptureWithoutAReportIsPartial(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.refusing(func(r *http.Request, key string, part int) int {
		if key == reportKey && r.Method == http.MethodPut {
			return http.StatusServiceUnavailable
		}
		return 0
	})
	if got := w.capture(t); got.Status != incident.Partial || !strings.Contains(got.Reason, "without a hash") {
		t.Errorf("got %+v, want a partial capture", got)
	}
}

// A bucket that locks by default takes no part without a checksum, and a part
// is sent without one. It is said, not taken for a capture.
func TestABucketThatLocksByDefaultTakesNoPart(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.retention = true
	got := w.capture(t)
	if got.Status != incident.Failed || !strings.Contains(got.Reason, memory.InWords("part-refused")) || got.Object != "" {
		t.Errorf("got %+v, want it failed because S3 refused the parts", got)
	}
	if len(w.uploads) > 0 || w.object(imageKey) != nil {
		t.Error("an upload or an object is left of a capture that sent nothing")
	}
}

func TestACaptureThatNeverBeganLeavesNothing(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.put(toolKey, append(w.machine.tool, '#'))
	got := w.capture(t)
	if got.Status != incident.Partial || !strings.Contains(got.Reason, "SHA-256") || got.Parts != 0 || got.Object != "" {
		t.Errorf("got %+v, want text instead, because of the program's hash", got)
	}
	if text := w.object(got.Triage.Object); got.Triage.SHA256 != sum(text) || got.Triage.Status != incident.OK || w.locked[got.Triage.Object] == "" {
		t.Errorf("%+v: want the text kept as the host says it sent it, locked", got.Triage)
	}
	if len(w.uploads) > 0 || w.object(imageKey) != nil {
		t.Error("an upload or an object is left of a capture that never began")
	}
}
