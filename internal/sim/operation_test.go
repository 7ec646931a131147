package sim_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"
	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"
)

// The SDK sends nothing where a required parameter is missing; the simulation
// sends nothing where it does not know one.
func TestParametersAreCheckedFirst(t *testing.T) {
	a := services(t)
	_, err := a.DynamoDB().GetItem(t.Context(), &dynamodb.GetItemInput{})
	var missing smithy.InvalidParamsError
	if !errors.As(err, &missing) || missing.Len() != 2 {
		t.Errorf("error is %v, want TableName and Key missing", err)
	}
	_, err = a.S3().PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("k"), WebsiteRedirectLocation: aws.String("/")})
	var unknown *sim.Unknown
	if !errors.As(err, &unknown) || !strings.Contains(err.Error(), "does not know parameter WebsiteRedirectLocation of s3:PutObject") {
		t.Errorf("error is %v, want one that names the parameter", err)
	}
	if calls := a.Calls(); len(calls) != 0 {
		t.Errorf("%d calls were made", len(calls))
	}
}

func TestCallsOfTheStacksServicesAreTraced(t *testing.T) {
	a := services(t)
	put(t, a.DynamoDB(), row("p", "s"))
	if _, err := a.S3().GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("nothing")}); err == nil {
		t.Fatal("got an object that is not there")
	}
	if _, err := a.SFN().SendTaskSuccess(t.Context(), &sfn.SendTaskSuccessInput{TaskToken: aws.String("secret"), Output: aws.String("{}")}); err == nil {
		t.Fatal("ended a task that is not there")
	}
	type line struct {
		Action, Error string
		Mutating      bool
		Resources     []string
	}
	var got []line
	for _, c := range a.Calls() {
		got = append(got, line{c.Service + ":" + c.Action, c.Error, c.Mutating, c.Resources})
	}
	want := []line{
		{"dynamodb:PutItem", "", true, []string{incidentsTable, "p", "s"}},
		{"s3:GetObject", "NoSuchKey", false, []string{evidenceBucket, "nothing"}},
		{"sfn:SendTaskSuccess", "TaskDoesNotExist", true, nil}, // a token is a secret
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

func fault(t *testing.T, s string) sim.Fault {
	t.Helper()
	f, err := sim.ParseFault(s)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// An eventually consistent read may answer from before the newest write, a
// strongly consistent one never does.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.ReadConsistency.html
func TestStaleReads(t *testing.T) {
	for consistent, want := range map[bool]string{false: "first", true: "second"} {
		a, _ := open(t, 1, fault(t, "dynamodb:GetItem#1=stale"), fault(t, "dynamodb:Query#1=stale"))
		db := a.DynamoDB()
		put(t, db, row("p", "s", "v", "first"), row("p", "s", "v", "second"))
		in := &dynamodb.GetItemInput{TableName: aws.String(incidentsTable), Key: row("p", "s"), ConsistentRead: &consistent}
		for n, want := range []string{want, "second"} {
			out, err := db.GetItem(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(row("p", "s", "v", want), out.Item, sameItem); d != "" {
				t.Errorf("consistent %v, read %d (-want +got):\n%s", consistent, n+1, d)
			}
		}
		put(t, db, row("p", "t", "v", "new"))
		rows := 1
		if consistent {
			rows = 2
		}
		got, _ := query(t, db, dynamodb.QueryInput{KeyConditionExpression: aws.String("pk = :p"), ExpressionAttributeValues: item{":p": str("p")}, ConsistentRead: &consistent})
		if len(got) != rows {
			t.Errorf("consistent %v: %d rows, want %d", consistent, len(got), rows)
		}
	}
}

// https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
func TestStaleExecution(t *testing.T) {
	a, _ := open(t, 1, fault(t, "sfn:DescribeExecution#1=stale"))
	a.SFN().Execution = func(string) (sim.Execution, bool) {
		return sim.Execution{Status: sfntypes.ExecutionStatusFailed, Error: "E", Stopped: begun}, true
	}
	for n, want := range []sfntypes.ExecutionStatus{"RUNNING", "FAILED"} {
		out, err := a.SFN().DescribeExecution(t.Context(), &sfn.DescribeExecutionInput{ExecutionArn: aws.String("arn:aws:states:eu-west-1:123456789012:execution:m:e")})
		if err != nil || out.Status != want || (out.StopDate != nil) != (want == "FAILED") {
			t.Errorf("read %d: %+v, %v; want %s", n+1, out, err, want)
		}
	}
}

// A write whose answer is lost was made: who repeats it with the same
// condition is refused by its own first write.
func TestLostWrite(t *testing.T) {
	a, _ := open(t, 1, fault(t, "dynamodb:PutItem#1=lost"), fault(t, "s3:CompleteMultipartUpload#1=lost"))
	in := &dynamodb.PutItemInput{TableName: aws.String(incidentsTable), Item: row("p", "s", "by", "me"), ConditionExpression: aws.String("attribute_not_exists(pk)")}
	_, err := a.DynamoDB().PutItem(t.Context(), in)
	var answered smithy.APIError
	if err == nil || errors.As(err, &answered) {
		t.Fatalf("error is %v, want one that is no answer", err)
	}
	_, err = a.DynamoDB().PutItem(t.Context(), in)
	wantCode(t, err, "ConditionalCheckFailedException", "")

	id, etags := begin(t, a.S3(), "memory", 5*mib)
	complete := &s3.CompleteMultipartUploadInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory"), UploadId: &id, MultipartUpload: parts(etags...)}
	if _, err := a.S3().CompleteMultipartUpload(t.Context(), complete); err == nil {
		t.Fatal("a lost answer came")
	}
	_, err = a.S3().CompleteMultipartUpload(t.Context(), complete)
	wantCode(t, err, "NoSuchUpload", "")
	if _, err := a.S3().HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(evidenceBucket), Key: aws.String("memory")}); err != nil {
		t.Errorf("the object of the first call: %v", err)
	}
}

// One run's account is the next run's: items of every type come back, in one order.
func TestIncidentsRoundTrip(t *testing.T) {
	file := `{
  "Reservations": [], "NetworkInterfaces": [],
  "Incidents": [
    {
      "Table": "decisions",
      "Item": {"pk": {"S": "b"}, "sk": {"S": "1"}, "mac": {"B": "AP8="}}
    },
    {"Table": "incidents", "Item": {"pk": {"S": "z"}, "sk": {"S": "1"}}},
    {"Table": "incidents", "Item": {"sk": {"S": "1"}, "pk": {"S": "a"}, "n": {"N": "12345678901234567890"}, "no": {"BOOL": false}, "nil": {"NULL": true}, "text": {"S": "<&>"},
      "m": {"M": {"l": {"L": [{"S": ""}, {"M": {}}]}}}, "ss": {"SS": ["b", "a"]}, "ns": {"NS": ["2", "1.0"]}, "bs": {"BS": ["AQ=="]}}}
  ]
}`
	reopen := func(file []byte) []byte {
		a, err := sim.Open(sim.Settings{Clock: &wall{begun}}, file)
		if err != nil {
			t.Fatal(err)
		}
		out, err := a.JSON()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	first := reopen([]byte(file))
	if second := reopen(first); !bytes.Equal(first, second) {
		t.Errorf("the account changes each time it is read (-first +second):\n%s", cmp.Diff(string(first), string(second)))
	}
	a, err := sim.Open(sim.Settings{Clock: &wall{begun}}, first)
	if err != nil {
		t.Fatal(err)
	}
	got := get(t, a.DynamoDB(), "a", "1")
	again, err := sim.Open(sim.Settings{Clock: &wall{begun}}, []byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(get(t, again.DynamoDB(), "a", "1"), got, sameItem); d != "" || len(got) != 10 {
		t.Errorf("%d attributes came back, want 10 (-want +got):\n%s", len(got), d)
	}
	if i, j := bytes.Index(first, []byte(`"decisions"`)), bytes.Index(first, []byte(`"z"`)); i < 0 || j < i {
		t.Errorf("items are not by table and key:\n%s", first)
	}

	for broken, want := range map[string]string{
		`[{"Table": "elsewhere", "Item": {"pk": {"S": "p"}, "sk": {"S": "s"}}}]`: `Table is "elsewhere"`,
		`[{"Table": "incidents", "Item": {"pk": {"S": "p"}}}]`:                   "Missing the key sk",
		`[{"Table": "incidents"}]`:                                               "Item is missing",
	} {
		if _, err := sim.Open(sim.Settings{Clock: &wall{begun}}, []byte(`{"Incidents": `+broken+`}`)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "Incidents: [0]") {
			t.Errorf("%s: error %v, want one with %s that says where", broken, err, want)
		}
	}
}

// The same seed gives the same IDs, signatures, ciphertexts and times, byte for byte.
func TestSameSeedSameServices(t *testing.T) {
	run := func(seed uint64) string {
		a, _ := open(t, seed)
		var b strings.Builder
		put(t, a.DynamoDB(), row("p", "s"), row("p", "t"))
		b.WriteString(*putObject(t, a.S3(), "k", "x").VersionId)
		id, etags := begin(t, a.S3(), "memory", 5*mib)
		b.WriteString(id + etags[0] + partURL(t, a.S3(), "memory", id, 2))
		out, err := a.KMS().Encrypt(t.Context(), &kms.EncryptInput{KeyId: aws.String(dataKey), Plaintext: []byte("x"), EncryptionContext: map[string]string{"a": "1", "b": "2"}})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(out.CiphertextBlob)
		for _, c := range a.Calls() {
			b.WriteString(c.Ended.Format(time.RFC3339Nano))
		}
		return b.String()
	}
	first, again := run(7), run(7)
	if first != again {
		t.Error("two runs of one seed differ")
	}
	if first == run(8) {
		t.Error("the seed changes nothing")
	}
}
