package sim

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
)

// Scan reads a page of a table, partitions in no order that a caller may rely on.
// A page ends after 1 MB or Limit items that were looked at, so that it may be
// empty and not the last one. A filter may name the key, unlike that of Query.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Scan.html
func (d *DynamoDB) Scan(ctx context.Context, in *dynamodb.ScanInput, _ ...func(*dynamodb.Options)) (*dynamodb.ScanOutput, error) {
	return invoke(ctx, d.a, operation{
		service: "dynamodb", action: "Scan", resources: tableResources(in.TableName, nil),
		needs: []string{"TableName"},
		takes: []string{"FilterExpression", "ExpressionAttributeNames", "ExpressionAttributeValues", "Limit", "ExclusiveStartKey", "ConsistentRead"},
	}, in, d.scan)
}

func (d *DynamoDB) scan(in *dynamodb.ScanInput, stale bool) (*dynamodb.ScanOutput, error) {
	if in.Limit != nil && *in.Limit < 1 {
		return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit)
	}
	t, err := d.table(in.TableName)
	if err != nil {
		return nil, err
	}
	passes := func(item) bool { return true }
	if in.FilterExpression != nil {
		s, err := newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.FilterExpression)
		if err != nil {
			return nil, err
		}
		f, err := s.condition("FilterExpression", *in.FilterExpression)
		if err != nil {
			return nil, err
		}
		if err := s.leftOver(); err != nil {
			return nil, err
		}
		passes = f.holds
	}
	stale = stale && !aws.ToBool(in.ConsistentRead)
	// Partitions stay together, and their order says nothing about their names.
	place := func(k rowKey) string { h := hash(0, k.pk); return string(h[:]) }
	var keys []rowKey
	for k := range t.items {
		if t.get(k, stale) != nil {
			keys = append(keys, k)
		}
	}
	order := func(a, b rowKey) int {
		return cmp.Or(strings.Compare(place(a), place(b)), strings.Compare(a.sk, b.sk))
	}
	slices.SortFunc(keys, order)
	from := 0
	if in.ExclusiveStartKey != nil {
		start, err := t.only(in.ExclusiveStartKey)
		if err != nil {
			return nil, invalid("The provided starting key is invalid")
		}
		from, _ = slices.BinarySearchFunc(keys, start, order)
		if from < len(keys) && keys[from] == start {
			from++
		}
	}
	out := &dynamodb.ScanOutput{}
	out.Items, out.ScannedCount, out.LastEvaluatedKey = t.page(keys[from:], stale, in.Limit, passes)
	out.Count = int32(len(out.Items))
	return out, nil
}
