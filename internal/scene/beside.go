package scene

import (
	"context"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Beside is an invocation's record, right before one of whose calls something else
// is done: what another invocation does at that moment.
type Beside struct {
	*sim.DynamoDB
	At    int // before which call, from 1
	Do    func()
	Calls int // so many came
}

func (b *Beside) call() {
	if b.Calls++; b.Calls == b.At {
		b.Do()
	}
}

// GetItem counts, and reads.
func (b *Beside) GetItem(ctx context.Context, in *dynamodb.GetItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	b.call()
	return b.DynamoDB.GetItem(ctx, in, opts...)
}

// PutItem counts, and writes.
func (b *Beside) PutItem(ctx context.Context, in *dynamodb.PutItemInput, opts ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	b.call()
	return b.DynamoDB.PutItem(ctx, in, opts...)
}
