package sim_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// A page of a Scan is counted before the filter: an empty page is not the end.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html
func TestScanPages(t *testing.T) {
	db := services(t).DynamoDB()
	for n := range 7 {
		_, err := db.PutItem(t.Context(), &dynamodb.PutItemInput{TableName: aws.String(incidentsTable), Item: map[string]types.AttributeValue{
			"pk": &types.AttributeValueMemberS{Value: fmt.Sprint("p", n)}, "sk": &types.AttributeValueMemberS{Value: fmt.Sprintf("%c#1", 'a'+n%2)},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	in := &dynamodb.ScanInput{
		TableName: aws.String(incidentsTable), Limit: aws.Int32(1), FilterExpression: aws.String("begins_with(sk, :sk)"),
		ExpressionAttributeValues: map[string]types.AttributeValue{":sk": &types.AttributeValueMemberS{Value: "a#"}},
	}
	var got []string
	empty := 0
	for pages := dynamodb.NewScanPaginator(db, in); pages.HasMorePages(); {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) == 0 && page.LastEvaluatedKey != nil {
			empty++
		}
		for _, i := range page.Items {
			got = append(got, i["pk"].(*types.AttributeValueMemberS).Value)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, []string{"p0", "p2", "p4", "p6"}) || empty == 0 {
		t.Errorf("found %v, with %d empty pages before the end; want the four that pass, and empty pages among them", got, empty)
	}
}

func TestScanRefuses(t *testing.T) {
	db := services(t).DynamoDB()
	for name, in := range map[string]*dynamodb.ScanInput{
		"another table": {TableName: aws.String("none")},
		"a limit of 0":  {TableName: aws.String(incidentsTable), Limit: aws.Int32(0)},
		"an unused value": {TableName: aws.String(incidentsTable), FilterExpression: aws.String("attribute_exists(pk)"), ExpressionAttributeValues: map[string]types.AttributeValue{
			":x": &types.AttributeValueMemberS{Value: "x"},
		}},
	} {
		if _, err := db.Scan(t.Context(), in); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
