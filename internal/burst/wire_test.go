package burst_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
)

// What the services speak, as far as the steps call them: EC2's and the others'
// query protocols, AWS JSON, and three operations of S3. A parameter that is sent and not
// understood is an error, never passed over.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/making-api-requests.html
// https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html

// serve answers a request with what the account's client for it answers.
func serve(a *sim.Account, r *http.Request, body []byte) (*http.Response, error) {
	service, _, _ := strings.Cut(r.URL.Host, ".")
	ctx := r.Context()
	switch service {
	case "ec2", "sns", "iam", "autoscaling", "elasticloadbalancing":
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		switch {
		case service == "ec2":
			return ec2Query.answer(ctx, a.EC2(), form)
		case service == "sns":
			return plainQuery.answer(ctx, a.SNS(), form)
		case service == "iam":
			return plainQuery.answer(ctx, a.IAM(), form)
		case service == "autoscaling":
			return plainQuery.answer(ctx, a.AutoScaling(), form)
		case form.Get("Version") == "2015-12-01":
			return plainQuery.answer(ctx, a.ElasticLoadBalancingV2(), form)
		}
		return plainQuery.answer(ctx, a.ElasticLoadBalancing(), form)
	case "dynamodb":
		return jsonRPC(ctx, a.DynamoDB(), r, body)
	case "kms":
		return jsonRPC(ctx, a.KMS(), r, body)
	case "ssm":
		return jsonRPC(ctx, a.SSM(), r, body)
	case "states":
		return jsonRPC(ctx, a.SFN(), r, body)
	}
	if strings.Contains(r.URL.Host, ".s3.") {
		switch {
		case r.Method == http.MethodPut:
			return putObject(ctx, a.S3(), service, r, body)
		case r.Method == http.MethodGet && r.URL.Query().Get("list-type") == "2":
			return listObjects(ctx, a.S3(), service, r)
		case r.Method == http.MethodGet:
			return getObject(ctx, a.S3(), service, r)
		}
	}
	return nil, fmt.Errorf("burst: nobody answers %s %s", r.Method, r.URL.Host)
}

// call calls an operation by its name, with an input that decode fills.
func call(ctx context.Context, client any, action string, decode func(in reflect.Value) error) (reflect.Value, error) {
	op := reflect.ValueOf(client).MethodByName(action)
	if !op.IsValid() {
		return reflect.Value{}, fmt.Errorf("burst: %T has no %s", client, action)
	}
	in := reflect.New(op.Type().In(1).Elem())
	if err := decode(in.Elem()); err != nil {
		return reflect.Value{}, err
	}
	out := op.Call([]reflect.Value{reflect.ValueOf(ctx), in})
	err, _ := out[1].Interface().(error)
	if t, ok := ctx.Value(toldKey{}).(*any); ok && err == nil {
		*t = out[0].Interface()
	}
	return out[0], err
}

type toldKey struct{}

// listen tells what a client read from the wire, beside what the account had told.
func listen(heard func(operation string, told, read any)) func(*middleware.Stack) error {
	return func(stack *middleware.Stack) error {
		return stack.Initialize.Add(middleware.InitializeMiddlewareFunc("listen",
			func(ctx context.Context, in middleware.InitializeInput, next middleware.InitializeHandler) (middleware.InitializeOutput, middleware.Metadata, error) {
				var told any
				out, metadata, err := next.HandleInitialize(context.WithValue(ctx, toldKey{}, &told), in)
				if err == nil {
					heard(fmt.Sprintf("%T", out.Result), told, out.Result)
				}
				return out, metadata, err
			}), middleware.After)
	}
}

func response(status int, contentType string, body []byte) *http.Response {
	return &http.Response{
		StatusCode: status, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {contentType}},
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
	}
}

// refusal is an answer's code and message, if err is one.
func refusal(err error) (smithy.APIError, bool) {
	var api smithy.APIError
	return api, errors.As(err, &api)
}

// The query protocols.

const xmlType = "text/xml;charset=UTF-8"

// queryProtocol is one of the two: EC2's has names of its own, and lists without
// a level between.
// https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
// https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html
type queryProtocol struct{ ec2 bool }

var ec2Query, plainQuery = queryProtocol{true}, queryProtocol{false}

func (q queryProtocol) answer(ctx context.Context, client any, form url.Values) (*http.Response, error) {
	action := form.Get("Action")
	form.Del("Action")
	form.Del("Version")
	out, err := call(ctx, client, action, func(in reflect.Value) error {
		if err := q.fromForm(in, "", form); err != nil {
			return err
		}
		if len(form) > 0 {
			return fmt.Errorf("burst: %s: parameters not understood: %v", action, form)
		}
		return nil
	})
	if err != nil {
		api, ok := refusal(err)
		switch {
		case !ok:
			return nil, err
		case q.ec2:
			return refusedXML(http.StatusBadRequest, api.ErrorCode(), api.ErrorMessage()), nil
		}
		return response(http.StatusBadRequest, xmlType, fmt.Appendf(nil, "<ErrorResponse><Error><Code>%s</Code><Message>%s</Message></Error></ErrorResponse>",
			api.ErrorCode(), escaped(api.ErrorMessage()))), nil
	}
	var b bytes.Buffer
	q.toXML(&b, out.Elem())
	format := "<%[1]sResponse><%[1]sResult>%[2]s</%[1]sResult></%[1]sResponse>"
	if q.ec2 {
		format = "<%[1]sResponse><requestId>r</requestId>%[2]s</%[1]sResponse>"
	}
	return response(http.StatusOK, xmlType, fmt.Appendf(nil, format, action, b.Bytes())), nil
}

func escaped(text string) []byte {
	var b bytes.Buffer
	_ = xml.EscapeText(&b, []byte(text)) // a buffer takes everything
	return b.Bytes()
}

// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html#api-error-response
func refusedXML(status int, code, message string) *http.Response {
	return response(status, xmlType, fmt.Appendf(nil,
		"<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>r</RequestID></Response>", code, escaped(message)))
}

// sentAs are parameters that are called otherwise than the SDK's field, which is
// else the field's name, in the singular where it is a list.
var sentAs = map[string]string{
	"ModifyNetworkInterfaceAttributeInput.Groups": "SecurityGroupId",
	"CreateSecurityGroupInput.Description":        "GroupDescription",
	"IpPermission.UserIdGroupPairs":               "Groups",
	"CreateTagsInput.Resources":                   "ResourceId",
	"DescribeSnapshotsInput.OwnerIds":             "Owner",
}

// fromForm fills a struct and takes what it understood out of the form.
func (q queryProtocol) fromForm(v reflect.Value, prefix string, form url.Values) error {
	for n := range v.NumField() {
		f, field := v.Type().Field(n), v.Field(n)
		if !f.IsExported() {
			continue
		}
		names := []string{f.Name}
		if q.ec2 {
			names = append(names, strings.TrimSuffix(f.Name, "s"))
		}
		if as, ok := sentAs[v.Type().Name()+"."+f.Name]; ok {
			names = []string{as}
		}
		for _, name := range names {
			if err := q.fromValue(field, prefix+name, form); err != nil {
				return err
			}
			if !field.IsZero() {
				break
			}
		}
	}
	return nil
}

func (q queryProtocol) fromValue(v reflect.Value, name string, form url.Values) error {
	sent := func(name string) bool {
		for k := range form {
			if k == name || strings.HasPrefix(k, name+".") {
				return true
			}
		}
		return false
	}
	switch {
	case !sent(name):
		return nil
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return q.fromValue(v.Elem(), name, form)
	case v.Kind() == reflect.Struct:
		return q.fromForm(v, name+".", form)
	case v.Kind() == reflect.Slice:
		item := name + "."
		if !q.ec2 {
			item += "member."
		}
		for n := 1; sent(item + strconv.Itoa(n)); n++ {
			one := reflect.New(v.Type().Elem()).Elem()
			if err := q.fromValue(one, item+strconv.Itoa(n), form); err != nil {
				return err
			}
			v.Set(reflect.Append(v, one))
		}
		return nil
	}
	text := form.Get(name)
	if !form.Has(name) {
		return nil // a longer name begins like this one
	}
	form.Del(name)
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		v.SetBool(b)
		return err
	case reflect.Int32, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		v.SetInt(i)
		return err
	default:
		return fmt.Errorf("burst: %s is of a type that is not known: %s", name, v.Type())
	}
	return nil
}

// toldAs are elements that are called otherwise than the SDK's field, which is
// else the field's name, and with Set for its plural where it is a list.
var toldAs = map[string]string{
	"Instance.State": "instanceState", "Snapshot.State": "status", "Volume.State": "status", "VolumeAttachment.State": "status", "SecurityGroup.Description": "groupDescription",
	"Reservation.Instances": "instancesSet", "Instance.SecurityGroups": "groupSet", "DescribeSecurityGroupsOutput.SecurityGroups": "securityGroupInfo",
	"Instance.BlockDeviceMappings": "blockDeviceMapping", "DescribeInstanceAttributeOutput.BlockDeviceMappings": "blockDeviceMapping",
	"NetworkInterface.Ipv6Addresses": "ipv6AddressesSet", "InstanceNetworkInterface.Ipv6Addresses": "ipv6AddressesSet",
	"SecurityGroup.IpPermissions": "ipPermissions", "SecurityGroup.IpPermissionsEgress": "ipPermissionsEgress",
	"IpPermission.IpRanges": "ipRanges", "IpPermission.Ipv6Ranges": "ipv6Ranges", "IpPermission.PrefixListIds": "prefixListIds",
	"IpPermission.UserIdGroupPairs": "groups", "ProcessorInfo.SupportedArchitectures": "supportedArchitectures", "InstanceStorageInfo.Disks": "disks",
}

func (q queryProtocol) toXML(b *bytes.Buffer, v reflect.Value) {
	for n := range v.NumField() {
		f := v.Type().Field(n)
		if !f.IsExported() || f.Name == "ResultMetadata" || v.Field(n).IsZero() {
			continue
		}
		name, ok := toldAs[v.Type().Name()+"."+f.Name]
		switch {
		case !q.ec2:
			name = f.Name
		case ok:
		case f.Type.Kind() == reflect.Slice:
			name = lowered(strings.TrimSuffix(f.Name, "s")) + "Set"
		default:
			name = lowered(f.Name)
		}
		q.element(b, name, v.Field(n))
	}
}

func (q queryProtocol) element(b *bytes.Buffer, name string, v reflect.Value) {
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	fmt.Fprintf(b, "<%s>", name)
	switch at, isTime := v.Interface().(time.Time); {
	case isTime:
		b.WriteString(at.UTC().Format("2006-01-02T15:04:05.000Z"))
	case v.Kind() == reflect.Slice:
		item := "member"
		if q.ec2 {
			item = "item"
		}
		for n := range v.Len() {
			q.element(b, item, v.Index(n))
		}
	case v.Kind() == reflect.Struct:
		q.toXML(b, v)
	default:
		b.Write(escaped(fmt.Sprint(v.Interface())))
	}
	fmt.Fprintf(b, "</%s>", name)
}

func lowered(name string) string {
	r := []rune(name)
	r[0] = unicode.ToLower(r[0])
	return string(r)
}

// AWS JSON.

func jsonRPC(ctx context.Context, client any, r *http.Request, body []byte) (*http.Response, error) {
	contentType := r.Header.Get("Content-Type")
	service, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	out, err := call(ctx, client, action, func(in reflect.Value) error {
		var sent any
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		if err := d.Decode(&sent); err != nil {
			return err
		}
		return fromJSON(in, sent, action)
	})
	name := func(s string) string { return s }
	if service == "AWSStepFunctions" {
		name = lowered // the one of these whose members are written small
	}
	if err != nil {
		api, ok := refusal(err)
		if !ok {
			return nil, err
		}
		told := map[string]any{"__type": api.ErrorCode(), "message": api.ErrorMessage()}
		var taken *types.ConditionalCheckFailedException
		if errors.As(err, &taken) && taken.Item != nil {
			told["Item"] = toJSON(reflect.ValueOf(taken.Item), name)
		}
		b, err := json.Marshal(told)
		answer := response(http.StatusBadRequest, contentType, b)
		answer.Header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10))
		return answer, err
	}
	b, err := json.Marshal(toJSON(out.Elem(), name))
	answer := response(http.StatusOK, contentType, b)
	answer.Header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(b)), 10)) // DynamoDB's client reads it
	return answer, err
}

// attributeValues are the members of DynamoDB's union.
var attributeValues = map[string]reflect.Type{
	"S": reflect.TypeFor[types.AttributeValueMemberS](), "N": reflect.TypeFor[types.AttributeValueMemberN](),
	"BOOL": reflect.TypeFor[types.AttributeValueMemberBOOL](), "NULL": reflect.TypeFor[types.AttributeValueMemberNULL](),
	"B": reflect.TypeFor[types.AttributeValueMemberB](), "L": reflect.TypeFor[types.AttributeValueMemberL](), "M": reflect.TypeFor[types.AttributeValueMemberM](),
}

func fromJSON(v reflect.Value, sent any, at string) error {
	not := fmt.Errorf("burst: %s: %T for a %s", at, sent, v.Type())
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return fromJSON(v.Elem(), sent, at)
	case reflect.Struct:
		members, ok := sent.(map[string]any)
		if !ok {
			return not
		}
		for k, one := range members {
			f := v.FieldByNameFunc(func(name string) bool { return strings.EqualFold(name, k) })
			if !f.IsValid() {
				return fmt.Errorf("burst: %s: member %s is not known", at, k)
			}
			if err := fromJSON(f, one, at+"."+k); err != nil {
				return err
			}
		}
	case reflect.Interface:
		members, _ := sent.(map[string]any)
		for k, one := range members {
			t, ok := attributeValues[k]
			if !ok {
				return fmt.Errorf("burst: %s: type %s is not known", at, k)
			}
			member := reflect.New(t)
			if err := fromJSON(member.Elem().FieldByName("Value"), one, at); err != nil {
				return err
			}
			v.Set(member)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		members, ok := sent.(map[string]any)
		if !ok {
			return not
		}
		for k, one := range members {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := fromJSON(e, one, at+"."+k); err != nil {
				return err
			}
			v.SetMapIndex(reflect.ValueOf(k), e)
		}
	case reflect.Slice:
		if text, ok := sent.(string); ok {
			b, err := base64.StdEncoding.DecodeString(text)
			v.SetBytes(b)
			return err
		}
		list, ok := sent.([]any)
		if !ok {
			return not
		}
		for n, one := range list {
			e := reflect.New(v.Type().Elem()).Elem()
			if err := fromJSON(e, one, fmt.Sprintf("%s[%d]", at, n)); err != nil {
				return err
			}
			v.Set(reflect.Append(v, e))
		}
	default:
		b, err := json.Marshal(sent)
		if err != nil {
			return err
		}
		return json.Unmarshal(b, v.Addr().Interface())
	}
	return nil
}

func toJSON(v reflect.Value, name func(string) string) any {
	switch v.Kind() {
	case reflect.Pointer:
		return toJSON(v.Elem(), name)
	case reflect.Interface: // a union: its member's type says which
		_, member, _ := strings.Cut(v.Elem().Elem().Type().Name(), "Member")
		return map[string]any{member: toJSON(v.Elem().Elem().FieldByName("Value"), name)}
	case reflect.Struct:
		if at, ok := v.Interface().(time.Time); ok {
			return float64(at.UnixMilli()) / 1000
		}
		to := map[string]any{}
		for n := range v.NumField() {
			if f := v.Type().Field(n); f.IsExported() && f.Name != "ResultMetadata" && !v.Field(n).IsZero() {
				to[name(f.Name)] = toJSON(v.Field(n), name)
			}
		}
		return to
	case reflect.Map:
		to := map[string]any{}
		for _, k := range v.MapKeys() {
			to[k.String()] = toJSON(v.MapIndex(k), name)
		}
		return to
	case reflect.Slice:
		if b, ok := v.Interface().([]byte); ok {
			return b // base64, as encoding/json writes it
		}
		to := make([]any, v.Len())
		for n := range to {
			to[n] = toJSON(v.Index(n), name)
		}
		return to
	}
	return v.Interface()
}

// S3: enrich keeps the event, and close signs for it.

// refusedByS3 is an error of S3 as it stands on the wire; one of another kind stays.
func refusedByS3(err error) (*http.Response, error) {
	api, ok := refusal(err)
	if !ok {
		return nil, err
	}
	return response(http.StatusBadRequest, "application/xml", fmt.Appendf(nil, "<Error><Code>%s</Code></Error>", api.ErrorCode())), nil
}

func putObject(ctx context.Context, client *sim.S3, bucket string, r *http.Request, body []byte) (*http.Response, error) {
	out, err := call(ctx, client, "PutObject", func(in reflect.Value) error {
		for name, value := range map[string]string{
			"Bucket": bucket, "Key": strings.TrimPrefix(r.URL.Path, "/"),
			"ContentType": r.Header.Get("Content-Type"), "ChecksumSHA256": r.Header.Get("X-Amz-Checksum-Sha256"),
		} {
			in.FieldByName(name).Set(reflect.ValueOf(&value))
		}
		in.FieldByName("Body").Set(reflect.ValueOf(bytes.NewReader(body)))
		return nil
	})
	if err != nil {
		return refusedByS3(err)
	}
	answer := response(http.StatusOK, "application/xml", nil)
	for field, header := range map[string]string{
		"ETag": "ETag", "VersionId": "X-Amz-Version-Id", "ChecksumSHA256": "X-Amz-Checksum-Sha256", "ServerSideEncryption": "X-Amz-Server-Side-Encryption",
	} {
		if v := reflect.Indirect(out.Elem().FieldByName(field)); v.IsValid() {
			answer.Header.Set(header, v.String())
		}
	}
	return answer, nil
}

func getObject(ctx context.Context, client *sim.S3, bucket string, r *http.Request) (*http.Response, error) {
	out, err := call(ctx, client, "GetObject", func(in reflect.Value) error {
		in.Set(reflect.ValueOf(s3.GetObjectInput{Bucket: &bucket, Key: aws.String(strings.TrimPrefix(r.URL.Path, "/"))}))
		return nil
	})
	if err != nil {
		return refusedByS3(err)
	}
	told, ok := out.Interface().(*s3.GetObjectOutput)
	if !ok {
		return nil, fmt.Errorf("burst: an object of S3 is %T", out.Interface())
	}
	body, err := io.ReadAll(told.Body)
	if err != nil {
		return nil, err
	}
	answer := response(http.StatusOK, aws.ToString(told.ContentType), body)
	for header, value := range map[string]string{
		"ETag": aws.ToString(told.ETag), "X-Amz-Version-Id": aws.ToString(told.VersionId), "Accept-Ranges": aws.ToString(told.AcceptRanges),
		"Content-Length": strconv.Itoa(len(body)), "Last-Modified": aws.ToTime(told.LastModified).UTC().Format(http.TimeFormat), "X-Amz-Server-Side-Encryption": string(told.ServerSideEncryption),
	} {
		answer.Header.Set(header, value)
	}
	return answer, nil
}

func listObjects(ctx context.Context, client *sim.S3, bucket string, r *http.Request) (*http.Response, error) {
	query := r.URL.Query()
	out, err := call(ctx, client, "ListObjectsV2", func(in reflect.Value) error {
		list := s3.ListObjectsV2Input{Bucket: &bucket}
		for name, to := range map[string]**string{"prefix": &list.Prefix, "start-after": &list.StartAfter, "continuation-token": &list.ContinuationToken} {
			if query.Has(name) {
				*to = aws.String(query.Get(name))
			}
		}
		if most := query.Get("max-keys"); most != "" {
			n, err := strconv.ParseInt(most, 10, 32)
			if err != nil {
				return err
			}
			list.MaxKeys = aws.Int32(int32(n))
		}
		in.Set(reflect.ValueOf(list))
		return nil
	})
	if err != nil {
		return refusedByS3(err)
	}
	told, ok := out.Interface().(*s3.ListObjectsV2Output)
	if !ok {
		return nil, fmt.Errorf("burst: a list of S3 is %T", out.Interface())
	}
	type object struct {
		Key, ETag, StorageClass string
		Size                    int64
		LastModified            time.Time
	}
	list := struct {
		XMLName                       xml.Name `xml:"ListBucketResult"`
		Name, Prefix                  *string
		StartAfter, ContinuationToken *string
		NextContinuationToken         *string
		IsTruncated                   *bool
		KeyCount, MaxKeys             *int32
		Contents                      []object
	}{
		Name: told.Name, Prefix: told.Prefix, StartAfter: told.StartAfter, ContinuationToken: told.ContinuationToken, NextContinuationToken: told.NextContinuationToken,
		IsTruncated: told.IsTruncated, KeyCount: told.KeyCount, MaxKeys: told.MaxKeys,
	}
	for _, o := range told.Contents {
		list.Contents = append(list.Contents, object{aws.ToString(o.Key), aws.ToString(o.ETag), string(o.StorageClass), aws.ToInt64(o.Size), aws.ToTime(o.LastModified)})
	}
	text, err := xml.Marshal(list)
	if err != nil {
		return nil, err
	}
	return response(http.StatusOK, "application/xml", text), nil
}
