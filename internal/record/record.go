// Package record is the only code that knows Cordon's two tables.
//
// The incidents table has a partition for each instance and one for each
// incident; the decisions table a partition for each incident:
//
//	pk ACCOUNT.REGION.INSTANCE     sk incident#000001      Head: the claim and the state
//	pk ACCOUNT.REGION.INSTANCE.1   sk finding#ID           a finding that opened or joined it
//	                               sk prior#RESOURCE#WHAT  a value before we changed it
//	                               sk closing#RUN          when a run first began to close it
//	                               sk step#NAME            what a step must know when it runs again; written by that step only
//	pk queue#CALL                  sk turn                 until when the calls that were spoken for take
//	pk lease#ACCOUNT.REGION.INSTANCE.1
//	                               sk ACT                  who does what two must not do at once, and until when at most
//	pk request#ACCOUNT.REGION.INSTANCE.1
//	                               sk request#001          a request for a decision; only approval may write it
//	pk brake#hour, brake#group …   sk place#0001           who holds a place of a limit, and since when
//	decisions:
//	pk ACCOUNT.REGION.INSTANCE.1   sk request#001           the decision on that request
//	                               sk request#001#first     the decision of the first person, where two must decide
//	                               sk request#001#first#override  the same, to terminate without complete evidence, beside one to terminate with it
//
// What conditions read is an attribute of its own, as is the time at which
// something happened (RFC 3339); the rest is JSON in "body". Every read is
// strongly consistent.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// The interfaces below are what a step adds up to its own: each is one IAM action.
type (
	Getter interface {
		GetItem(context.Context, *dynamodb.GetItemInput, ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error)
	}
	Putter interface {
		PutItem(context.Context, *dynamodb.PutItemInput, ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error)
	}
	Updater interface {
		UpdateItem(context.Context, *dynamodb.UpdateItemInput, ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error)
	}
	Querier interface {
		Query(context.Context, *dynamodb.QueryInput, ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error)
	}
)

// ErrTaken is returned when another writer was first.
var ErrTaken = errors.New("another writer was first")

// ErrNone is returned where what is asked for is not there.
var ErrNone = errors.New("is not in the record")

type item = map[string]types.AttributeValue

func str(s string) types.AttributeValue { return &types.AttributeValueMemberS{Value: s} }

func stamp(t time.Time) types.AttributeValue { return str(t.UTC().Format(time.RFC3339Nano)) }

func number(n int64) types.AttributeValue {
	return &types.AttributeValueMemberN{Value: strconv.FormatInt(n, 10)}
}

func millis(t time.Time) types.AttributeValue { return number(t.UnixMilli()) }

func key(pk, sk string) item { return item{"pk": str(pk), "sk": str(sk)} }

func text(i item, name string) string {
	if v, ok := i[name].(*types.AttributeValueMemberS); ok {
		return v.Value
	}
	return ""
}

// encode is key plus v as JSON in "body".
func encode(pk, sk string, v any) (item, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s %s: %w", pk, sk, err)
	}
	i := key(pk, sk)
	i["body"] = str(string(b))
	return i, nil
}

func decode(i item, v any) error {
	if err := json.Unmarshal([]byte(text(i, "body")), v); err != nil {
		return fmt.Errorf("decode item %s %s: %w", text(i, "pk"), text(i, "sk"), err)
	}
	return nil
}

// appendTo decodes an item into a new last element.
func appendTo[T any](all *[]T, i item) error {
	var one T
	if err := decode(i, &one); err != nil {
		return err
	}
	*all = append(*all, one)
	return nil
}

func get(ctx context.Context, db Getter, table, pk, sk string) (item, error) {
	out, err := db.GetItem(ctx, &dynamodb.GetItemInput{TableName: &table, Key: key(pk, sk), ConsistentRead: aws.Bool(true)})
	if err != nil {
		return nil, fmt.Errorf("read %s %s: %w", pk, sk, err)
	}
	return out.Item, nil
}

// create puts an item that must not be there yet. If it is, the standing item
// comes back with ErrTaken: the answer of an earlier, lost write is found so.
func create(ctx context.Context, db Putter, table string, i item) (item, error) {
	_, err := db.PutItem(ctx, &dynamodb.PutItemInput{
		TableName: &table, Item: i, ConditionExpression: aws.String("attribute_not_exists(pk)"),
		ReturnValuesOnConditionCheckFailure: types.ReturnValuesOnConditionCheckFailureAllOld,
	})
	var taken *types.ConditionalCheckFailedException
	if errors.As(err, &taken) {
		return taken.Item, ErrTaken
	}
	if err != nil {
		return nil, fmt.Errorf("write %s %s: %w", text(i, "pk"), text(i, "sk"), err)
	}
	return nil, nil
}

// put writes an item whatever stands there.
func put(ctx context.Context, db Putter, table string, i item) error {
	if _, err := db.PutItem(ctx, &dynamodb.PutItemInput{TableName: &table, Item: i}); err != nil {
		return fmt.Errorf("write %s %s: %w", text(i, "pk"), text(i, "sk"), err)
	}
	return nil
}

// update changes a standing item; ErrTaken if condition does not hold.
func update(ctx context.Context, db Updater, table string, k item, set, condition string, names map[string]string, values item) error {
	_, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
		TableName: &table, Key: k, UpdateExpression: &set, ConditionExpression: &condition,
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	})
	var taken *types.ConditionalCheckFailedException
	if errors.As(err, &taken) {
		return ErrTaken
	}
	if err != nil {
		return fmt.Errorf("update %s %s: %w", text(k, "pk"), text(k, "sk"), err)
	}
	return nil
}

// each calls f for every item of a partition whose sort key begins with prefix, in
// the order of their sort keys.
func each(ctx context.Context, db Querier, table, pk, prefix string, f func(item) error) error {
	condition, values := "pk = :pk", item{":pk": str(pk)}
	if prefix != "" { // with which DynamoDB compares no key
		condition, values[":sk"] = condition+" AND begins_with(sk, :sk)", str(prefix)
	}
	pages := dynamodb.NewQueryPaginator(db, &dynamodb.QueryInput{
		TableName: &table, ConsistentRead: aws.Bool(true), KeyConditionExpression: &condition, ExpressionAttributeValues: values,
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("list %s %s: %w", pk, prefix, err)
		}
		for _, i := range page.Items {
			if err := f(i); err != nil {
				return err
			}
		}
	}
	return nil
}

// two are the items under a sort key and under the one after it, each nil if it is
// not there. An item has 400 KB at most, so that a page of 1 MB always holds both.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
func two(ctx context.Context, db Querier, table, pk, sk, after string) (here, next item, err error) {
	out, err := db.Query(ctx, &dynamodb.QueryInput{
		TableName: &table, ConsistentRead: aws.Bool(true), Limit: aws.Int32(2),
		KeyConditionExpression: aws.String("pk = :pk AND sk >= :sk"), ExpressionAttributeValues: item{":pk": str(pk), ":sk": str(sk)},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read %s %s and %s: %w", pk, sk, after, err)
	}
	for _, i := range out.Items {
		switch text(i, "sk") {
		case sk:
			here = i
		case after:
			next = i
		}
	}
	return here, next, nil
}
