package template

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// kind is a type of resource: how it is named and what Ref and Fn::GetAtt give.
// Braces hold account, name, partition, region, suffix (of host names) and id.
type kind struct {
	property   string // gives it a name of its own; empty if nothing does
	generate   func(stack, logical string, seed [sha256.Size]byte) string
	ref        string
	attributes map[string]string
}

// kinds is what Ref and Fn::GetAtt return by the "Return values" of each type:
// https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-template-resource-type-ref.html
var kinds = map[string]kind{
	"AWS::CloudWatch::Alarm":          {"AlarmName", generated(255), "{name}", map[string]string{"Arn": "arn:{partition}:cloudwatch:{region}:{account}:alarm:{name}"}},
	"AWS::DynamoDB::Table":            {"TableName", generated(255), "{name}", map[string]string{"Arn": "arn:{partition}:dynamodb:{region}:{account}:table/{name}", "StreamArn": "arn:{partition}:dynamodb:{region}:{account}:table/{name}/stream/2026-01-01T00:00:00.000"}},
	"AWS::Events::Rule":               {"Name", generated(64), "{name}", map[string]string{"Arn": "arn:{partition}:events:{region}:{account}:rule/{name}"}},
	"AWS::IAM::Policy":                {"", generated(128), "{name}", nil},
	"AWS::IAM::Role":                  {"RoleName", generated(64), "{name}", map[string]string{"Arn": "arn:{partition}:iam::{account}:role/{name}"}},
	"AWS::KMS::Alias":                 {"AliasName", generated(255), "{name}", nil},
	"AWS::KMS::Key":                   {"", uuid, "{name}", map[string]string{"Arn": "arn:{partition}:kms:{region}:{account}:key/{name}", "KeyId": "{name}"}},
	"AWS::Lambda::EventSourceMapping": {"", uuid, "{name}", map[string]string{"Id": "{name}"}},
	"AWS::Lambda::Permission":         {"", generated(64), "{name}", nil},
	"AWS::Logs::LogGroup":             {"LogGroupName", generated(512), "{name}", map[string]string{"Arn": "arn:{partition}:logs:{region}:{account}:log-group:{name}:*"}},
	"AWS::Logs::MetricFilter":         {"FilterName", generated(512), "{name}", nil},
	"AWS::Logs::ResourcePolicy":       {"PolicyName", generated(255), "{name}", nil},
	"AWS::S3::Bucket": {"BucketName", lower(generated(63)), "{name}", map[string]string{
		"Arn": "arn:{partition}:s3:::{name}", "DomainName": "{name}.s3.{suffix}", "RegionalDomainName": "{name}.s3.{region}.{suffix}",
	}},
	"AWS::S3::BucketPolicy":         {"", generated(64), "{name}", nil},
	"AWS::SNS::Subscription":        {"", uuid, "arn:{partition}:sns:{region}:{account}:{name}", nil},
	"AWS::SNS::Topic":               {"TopicName", generated(256), "arn:{partition}:sns:{region}:{account}:{name}", map[string]string{"TopicArn": "arn:{partition}:sns:{region}:{account}:{name}", "TopicName": "{name}"}},
	"AWS::SNS::TopicPolicy":         {"", generated(64), "{name}", nil},
	"AWS::SQS::Queue":               {"QueueName", generated(80), "https://sqs.{region}.{suffix}/{account}/{name}", map[string]string{"Arn": "arn:{partition}:sqs:{region}:{account}:{name}", "QueueName": "{name}", "QueueUrl": "https://sqs.{region}.{suffix}/{account}/{name}"}},
	"AWS::SQS::QueuePolicy":         {"", generated(64), "{name}", nil},
	"AWS::SSM::Document":            {"Name", generated(128), "{name}", nil},
	"AWS::SSM::Parameter":           {"Name", generated(1011), "{name}", nil},
	"AWS::Serverless::Function":     {"FunctionName", generated(64), "{name}", map[string]string{"Arn": "arn:{partition}:lambda:{region}:{account}:function:{name}"}},
	"AWS::Serverless::HttpApi":      {"", apiID, "{name}", map[string]string{"ApiEndpoint": "https://{name}.execute-api.{region}.{suffix}", "ApiId": "{name}"}},
	"AWS::Serverless::StateMachine": {"Name", withoutStack(generated(80)), "arn:{partition}:states:{region}:{account}:stateMachine:{name}", map[string]string{"Arn": "arn:{partition}:states:{region}:{account}:stateMachine:{name}", "Name": "{name}"}},
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// draw makes n characters of an alphabet out of a seed.
func draw(seed [sha256.Size]byte, alphabet string, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[int(seed[i])%len(alphabet)]
	}
	return string(b)
}

// generated is STACK-LOGICALID-SUFFIX, cut so that it fits the service's limit
// and keeps the suffix, as CloudFormation does it.
func generated(limit int) func(string, string, [sha256.Size]byte) string {
	return func(stack, logical string, seed [sha256.Size]byte) string {
		const suffix = 12
		room := limit - suffix - 2
		if len(stack)+len(logical) > room {
			stack = stack[:min(len(stack), room/2)]
			logical = logical[:min(len(logical), room-len(stack))]
		}
		return strings.TrimPrefix(stack+"-", "-") + logical + "-" + draw(seed, alphabet, suffix)
	}
}

func withoutStack(g func(string, string, [sha256.Size]byte) string) func(string, string, [sha256.Size]byte) string {
	return func(_, logical string, seed [sha256.Size]byte) string { return g("", logical, seed) }
}

func lower(g func(string, string, [sha256.Size]byte) string) func(string, string, [sha256.Size]byte) string {
	return func(stack, logical string, seed [sha256.Size]byte) string {
		return strings.ToLower(g(stack, logical, seed))
	}
}

func uuid(_, _ string, seed [sha256.Size]byte) string {
	h := hex.EncodeToString(seed[:16])
	return h[:8] + "-" + h[8:12] + "-4" + h[13:16] + "-8" + h[17:20] + "-" + h[20:]
}

func apiID(_, _ string, seed [sha256.Size]byte) string {
	return draw(seed, alphabet[26:], 10)
}
