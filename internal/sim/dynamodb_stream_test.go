package sim_test

import (
	"encoding/json"
	"slices"
	"testing"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A stream has a record for each write that changes something, with both images,
// and none for one that does not, or that a condition refused.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
func TestStreams(t *testing.T) {
	a, _ := open(t, 1)
	var all []sim.StreamRecord
	a.DynamoDB().OnChange = func(r sim.StreamRecord) { all = append(all, r) }
	put := func(pk, body string, condition *string) {
		t.Helper()
		item := map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: pk}, "sk": &types.AttributeValueMemberS{Value: "a"},
			"body": &types.AttributeValueMemberS{Value: body}, "token": &types.AttributeValueMemberB{Value: []byte{0xff}},
		}
		_, err := a.DynamoDB().PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String("cordon-incidents"), Item: item, ConditionExpression: condition})
		if (err != nil) != (condition != nil) {
			t.Fatal(err)
		}
	}
	put("x", "1", nil)
	put("x", "1", nil) // nothing is changed
	put("x", "2", nil)
	put("x", "3", aws.String("attribute_not_exists(pk)"))
	for _, pk := range []string{"y", "z", "v", "w", "u", "s"} {
		put(pk, "1", nil)
	}
	if _, err := a.DynamoDB().UpdateItem(t.Context(), &dynamodb.UpdateItemInput{
		TableName: aws.String("cordon-incidents"), Key: map[string]types.AttributeValue{"pk": &types.AttributeValueMemberS{Value: "x"}, "sk": &types.AttributeValueMemberS{Value: "a"}},
		UpdateExpression: aws.String("REMOVE #t"), ExpressionAttributeNames: map[string]string{"#t": "token"},
	}); err != nil {
		t.Fatal(err)
	}
	if len(all) != 9 {
		t.Fatalf("%d records, want 9", len(all))
	}
	var shards []int
	ids := map[string]bool{}
	var events []map[string]any
	for _, r := range all {
		text, err := r.Event("arn:of:the:stream")
		if err != nil {
			t.Fatal(err)
		}
		var e map[string]any
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
		ids[e["eventID"].(string)] = true
		shards = append(shards, r.Shard)
	}
	slices.Sort(shards)
	if len(ids) != len(all) || len(slices.Compact(shards)) < 2 || all[0].Shard != all[1].Shard || all[0].Shard != all[8].Shard {
		t.Error("records have IDs of their own, partitions spread over shards, and one partition is in one")
	}
	change := func(n int) map[string]any { return events[n]["dynamodb"].(map[string]any) }
	value := func(image any, name, kind string) any {
		v, _ := image.(map[string]any)[name].(map[string]any)
		return v[kind]
	}
	if events[0]["eventName"] != "INSERT" || change(0)["OldImage"] != nil || value(change(0)["NewImage"], "token", "B") != "/w==" || value(change(0)["Keys"], "pk", "S") != "x" {
		t.Errorf("the first is %v", events[0])
	}
	if events[1]["eventName"] != "MODIFY" || value(change(1)["OldImage"], "body", "S") != "1" || value(change(1)["NewImage"], "body", "S") != "2" || events[1]["eventSourceARN"] != "arn:of:the:stream" {
		t.Errorf("the second is %v", events[1])
	}
	if last := change(8); value(last["NewImage"], "token", "B") != nil || value(last["OldImage"], "token", "B") != "/w==" {
		t.Errorf("the last is %v", events[8])
	}
}
