package record

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// turnRaces bounds how often another may begin the queue first.
const turnRaces = 5

// Turn draws a place in a queue that all incidents share, and says when it is
// its turn: now, while what was drawn lately adds up to no more than burst. A
// place that is drawn and not used costs the others its length, no more.
//
// The item holds the moment until which all that was drawn will have passed.
func Turn(ctx context.Context, db interface {
	Putter
	Updater
}, table, queue string, now time.Time, length, burst time.Duration,
) (time.Time, error) {
	k := key("queue#"+queue, "turn")
	names := map[string]string{"#until": "until"}
	for range turnRaces {
		out, err := db.UpdateItem(ctx, &dynamodb.UpdateItemInput{
			TableName: &table, Key: k, UpdateExpression: aws.String("SET #until = #until + :length"), ConditionExpression: aws.String("#until >= :now"),
			ExpressionAttributeNames:  names,
			ExpressionAttributeValues: item{":length": number(length.Milliseconds()), ":now": millis(now)},
			ReturnValues:              types.ReturnValueAllNew,
		})
		var empty *types.ConditionalCheckFailedException
		switch {
		case err == nil:
			n, _ := out.Attributes["until"].(*types.AttributeValueMemberN)
			if n == nil {
				return time.Time{}, fmt.Errorf("draw a turn of %s: the queue has no end", queue)
			}
			until, err := strconv.ParseInt(n.Value, 10, 64)
			if err != nil {
				return time.Time{}, fmt.Errorf("draw a turn of %s: %w", queue, err)
			}
			if at := time.UnixMilli(until).UTC().Add(-burst); at.After(now) {
				return at, nil
			}
			return now, nil
		case !errors.As(err, &empty):
			return time.Time{}, fmt.Errorf("draw a turn of %s: %w", queue, err)
		}
		// Nobody waits: the queue begins anew.
		i := item{"pk": k["pk"], "sk": k["sk"], "until": millis(now.Add(length))}
		_, err = db.PutItem(ctx, &dynamodb.PutItemInput{
			TableName: &table, Item: i, ConditionExpression: aws.String("attribute_not_exists(pk) OR #until < :now"),
			ExpressionAttributeNames: names, ExpressionAttributeValues: item{":now": millis(now)},
		})
		switch {
		case err == nil:
			return now, nil
		case !errors.As(err, &empty):
			return time.Time{}, fmt.Errorf("begin the queue of %s: %w", queue, err)
		}
	}
	return time.Time{}, fmt.Errorf("draw a turn of %s: %w, %d times", queue, ErrTaken, turnRaces)
}
