package sim

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// DynamoDB holds the stack's tables.
type DynamoDB struct {
	a       *Account
	tables  map[string]*table // by name
	changes int               // records of streams so far

	// OnChange is told of each change of a table, in order; the same run tells
	// the same. Nil: the tables have no streams.
	OnChange func(StreamRecord)
}

func newDynamoDB(a *Account) *DynamoDB {
	d := &DynamoDB{a: a, tables: map[string]*table{}}
	for logical, name := range map[string]string{"incidents": a.settings.Incidents, "decisions": a.settings.Decisions} {
		d.tables[name] = &table{name: name, logical: logical, pk: "pk", sk: "sk", items: map[rowKey]item{}}
	}
	return d
}

// table has a string partition key and a string sort key. Its items are kept
// under both, so that their order is the table's.
type table struct {
	name    string
	logical string // its name in the account file
	pk, sk  string
	items   map[rowKey]item
	// newest is the latest write, undone for a read that answers from before it.
	newest struct {
		key rowKey
		old item
	}
}

type rowKey struct{ pk, sk string }

// maxItem is the size of an item in bytes at most, maxPage that of the items
// that one Query looks at.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
const (
	maxItem = 400 << 10
	maxPage = 1 << 20
)

// get is an item as it is, or as it was before the newest write; nil if there is none.
func (t *table) get(k rowKey, stale bool) item {
	if stale && k == t.newest.key {
		return t.newest.old
	}
	return t.items[k]
}

// put replaces an item.
func (t *table) put(k rowKey, i item) {
	t.newest.key, t.newest.old = k, t.items[k]
	t.items[k] = i
}

// rows are the keys of a partition in the order of their sort keys' bytes.
func (t *table) rows(pk string, stale bool) []rowKey {
	var all []rowKey
	for k := range t.items {
		if k.pk == pk && t.get(k, stale) != nil {
			all = append(all, k)
		}
	}
	slices.SortFunc(all, func(a, b rowKey) int { return strings.Compare(a.sk, b.sk) })
	return all
}

// key is the key of an item to be written, or why it has none.
func (t *table) key(i item) (rowKey, error) {
	var k rowKey
	for _, part := range []struct {
		name string
		to   *string
		most int
	}{{t.pk, &k.pk, 2048}, {t.sk, &k.sk, 1024}} {
		v, ok := i[part.name]
		if !ok {
			return k, invalid("One or more parameter values were invalid: Missing the key %s in the item", part.name)
		}
		s, ok := v.(*types.AttributeValueMemberS)
		if !ok {
			return k, invalid("One or more parameter values were invalid: Type mismatch for key %s expected: S actual: %s", part.name, kind(v))
		}
		if s.Value == "" {
			return k, invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", part.name)
		}
		if len(s.Value) > part.most {
			return k, invalid("One or more parameter values were invalid: the key %s has %d bytes, more than %d", part.name, len(s.Value), part.most)
		}
		*part.to = s.Value
	}
	return k, nil
}

// only is the key of a request that must name the key and nothing else.
func (t *table) only(i item) (rowKey, error) {
	if len(i) != 2 || i[t.pk] == nil || i[t.sk] == nil || kind(i[t.pk]) != "S" || kind(i[t.sk]) != "S" {
		return rowKey{}, invalid("The provided key element does not match the schema")
	}
	return t.key(i)
}

func (t *table) keyItem(k rowKey) item {
	return item{t.pk: &types.AttributeValueMemberS{Value: k.pk}, t.sk: &types.AttributeValueMemberS{Value: k.sk}}
}

// table finds a table by its name or ARN.
func (d *DynamoDB) table(name *string) (*table, error) {
	n := aws.ToString(name)
	if i := strings.LastIndex(n, ":table/"); i >= 0 {
		n = n[i+len(":table/"):]
	}
	if t := d.tables[n]; t != nil {
		return t, nil
	}
	return nil, &types.ResourceNotFoundException{Message: aws.String("Requested resource not found")}
}

// tableResources is what a call concerns: the table, and the key where it names one.
func tableResources(name *string, key item) []string {
	all := []string{aws.ToString(name)}
	for _, n := range []string{"pk", "sk"} {
		if s, ok := key[n].(*types.AttributeValueMemberS); ok {
			all = append(all, s.Value)
		}
	}
	return all
}

// GetItem reads one item. Without ConsistentRead it may answer from before the
// newest write. An item that does not exist is no error: Item is nil.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_GetItem.html
func (d *DynamoDB) GetItem(ctx context.Context, in *dynamodb.GetItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.GetItemOutput, error) {
	return invoke(ctx, d.a, operation{
		service: "dynamodb", action: "GetItem", resources: tableResources(in.TableName, in.Key),
		needs: []string{"TableName", "Key"},
		takes: []string{"ConsistentRead"},
	}, in, d.getItem)
}

func (d *DynamoDB) getItem(in *dynamodb.GetItemInput, stale bool) (*dynamodb.GetItemOutput, error) {
	t, err := d.table(in.TableName)
	if err != nil {
		return nil, err
	}
	k, err := t.only(in.Key)
	if err != nil {
		return nil, err
	}
	return &dynamodb.GetItemOutput{Item: copyItem(t.get(k, stale && !aws.ToBool(in.ConsistentRead)))}, nil
}

// PutItem replaces an item as a whole.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_PutItem.html
func (d *DynamoDB) PutItem(ctx context.Context, in *dynamodb.PutItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.PutItemOutput, error) {
	return invoke(ctx, d.a, operation{
		service: "dynamodb", action: "PutItem", mutating: true, resources: tableResources(in.TableName, in.Item),
		needs: []string{"TableName", "Item"},
		takes: []string{"ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues", "ReturnValues", "ReturnValuesOnConditionCheckFailure"},
	}, in, d.putItem)
}

func (d *DynamoDB) putItem(in *dynamodb.PutItemInput, _ bool) (*dynamodb.PutItemOutput, error) {
	if in.ReturnValues != "" && in.ReturnValues != types.ReturnValueNone && in.ReturnValues != types.ReturnValueAllOld {
		return nil, invalid("ReturnValues can only be ALL_OLD or NONE")
	}
	s, err := newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ConditionExpression)
	if err != nil {
		return nil, err
	}
	holds, err := s.check(in.ConditionExpression)
	if err != nil {
		return nil, err
	}
	if err := s.leftOver(); err != nil {
		return nil, err
	}
	i, err := normalItem(in.Item)
	if err != nil {
		return nil, err
	}
	t, err := d.table(in.TableName)
	if err != nil {
		return nil, err
	}
	k, err := t.key(i)
	if err != nil {
		return nil, err
	}
	if itemSize(i) > maxItem {
		return nil, invalid("Item size has exceeded the maximum allowed size")
	}
	old := t.items[k]
	if !holds(old) {
		return nil, refused(old, in.ReturnValuesOnConditionCheckFailure)
	}
	t.put(k, i)
	d.changed(t, k, old, i)
	out := &dynamodb.PutItemOutput{}
	if in.ReturnValues == types.ReturnValueAllOld {
		out.Attributes = copyItem(old)
	}
	return out, nil
}

// UpdateItem changes attributes of an item. It makes the item if there is none
// and no condition says otherwise.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_UpdateItem.html
func (d *DynamoDB) UpdateItem(ctx context.Context, in *dynamodb.UpdateItemInput, _ ...func(*dynamodb.Options)) (*dynamodb.UpdateItemOutput, error) {
	return invoke(ctx, d.a, operation{
		service: "dynamodb", action: "UpdateItem", mutating: true, resources: tableResources(in.TableName, in.Key),
		needs: []string{"TableName", "Key"},
		takes: []string{"UpdateExpression", "ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues", "ReturnValues", "ReturnValuesOnConditionCheckFailure"},
	}, in, d.updateItem)
}

func (d *DynamoDB) updateItem(in *dynamodb.UpdateItemInput, _ bool) (*dynamodb.UpdateItemOutput, error) {
	switch in.ReturnValues {
	case "", types.ReturnValueNone, types.ReturnValueAllOld, types.ReturnValueAllNew:
	default:
		return nil, unknown("dynamodb", "UpdateItem", "ReturnValues "+string(in.ReturnValues))
	}
	s, err := newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.ConditionExpression, in.UpdateExpression)
	if err != nil {
		return nil, err
	}
	var update []assignment
	if in.UpdateExpression != nil {
		if update, err = s.update(*in.UpdateExpression); err != nil {
			return nil, err
		}
	}
	holds, err := s.check(in.ConditionExpression)
	if err != nil {
		return nil, err
	}
	if err := s.leftOver(); err != nil {
		return nil, err
	}
	t, err := d.table(in.TableName)
	if err != nil {
		return nil, err
	}
	k, err := t.only(in.Key)
	if err != nil {
		return nil, err
	}
	for _, a := range update {
		if n := a.path[0].name; n == t.pk || n == t.sk {
			return nil, invalid("One or more parameter values were invalid: Cannot update attribute %s. This attribute is part of the key", n)
		}
	}
	old := t.items[k]
	if !holds(old) {
		return nil, refused(old, in.ReturnValuesOnConditionCheckFailure)
	}
	before := old
	if before == nil {
		before = t.keyItem(k)
	}
	i, err := apply(update, before)
	if err != nil {
		return nil, err
	}
	if itemSize(i) > maxItem {
		return nil, invalid("Item size to update has exceeded the maximum allowed size")
	}
	t.put(k, i)
	d.changed(t, k, old, i)
	out := &dynamodb.UpdateItemOutput{}
	switch in.ReturnValues {
	case types.ReturnValueAllOld:
		out.Attributes = copyItem(old)
	case types.ReturnValueAllNew:
		out.Attributes = copyItem(i)
	}
	return out, nil
}

// Query reads a page of a partition. A page ends after Limit items or 1 MB,
// whichever comes first, before a filter; LastEvaluatedKey says that it ended,
// not that more follows.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html
func (d *DynamoDB) Query(ctx context.Context, in *dynamodb.QueryInput, _ ...func(*dynamodb.Options)) (*dynamodb.QueryOutput, error) {
	return invoke(ctx, d.a, operation{
		service: "dynamodb", action: "Query", resources: tableResources(in.TableName, nil),
		needs: []string{"TableName"},
		takes: []string{"KeyConditionExpression", "FilterExpression", "ExpressionAttributeNames", "ExpressionAttributeValues", "ScanIndexForward", "Limit", "ExclusiveStartKey", "ConsistentRead"},
	}, in, d.query)
}

func (d *DynamoDB) query(in *dynamodb.QueryInput, stale bool) (*dynamodb.QueryOutput, error) {
	if in.KeyConditionExpression == nil {
		return nil, invalid("Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.")
	}
	if in.Limit != nil && *in.Limit < 1 {
		return nil, invalid("1 validation error detected: Value '%d' at 'limit' failed to satisfy constraint: Member must have value greater than or equal to 1", *in.Limit)
	}
	s, err := newScope(in.ExpressionAttributeNames, in.ExpressionAttributeValues, in.KeyConditionExpression, in.FilterExpression)
	if err != nil {
		return nil, err
	}
	c, err := s.condition("KeyConditionExpression", *in.KeyConditionExpression)
	if err != nil {
		return nil, err
	}
	t, err := d.table(in.TableName)
	if err != nil {
		return nil, err
	}
	pk, rows, err := t.keyCondition(c)
	if err != nil {
		return nil, err
	}
	passes := func(item) bool { return true }
	if in.FilterExpression != nil {
		f, err := s.condition("FilterExpression", *in.FilterExpression)
		if err != nil {
			return nil, err
		}
		if f.mentions(t.pk) || f.mentions(t.sk) {
			return nil, invalid("Filter Expression can only contain non-primary key attributes")
		}
		passes = f.holds
	}
	if err := s.leftOver(); err != nil {
		return nil, err
	}
	var start *rowKey
	if in.ExclusiveStartKey != nil {
		k, err := t.only(in.ExclusiveStartKey)
		if err != nil || k.pk != pk {
			return nil, invalid("The provided starting key is invalid")
		}
		start = &k
	}
	stale = stale && !aws.ToBool(in.ConsistentRead)
	forward := in.ScanIndexForward == nil || *in.ScanIndexForward
	keys := t.rows(pk, stale)
	if !forward {
		slices.Reverse(keys)
	}
	keys = slices.DeleteFunc(keys, func(k rowKey) bool {
		return start != nil && (forward && k.sk <= start.sk || !forward && k.sk >= start.sk) || !rows(t.get(k, stale))
	})
	out := &dynamodb.QueryOutput{}
	out.Items, out.ScannedCount, out.LastEvaluatedKey = t.page(keys, stale, in.Limit, passes)
	out.Count = int32(len(out.Items))
	return out, nil
}

// page reads rows until a limit of them or a page's size is reached; last is the
// key to go on after, nil where all was read.
func (t *table) page(keys []rowKey, stale bool, limit *int32, passes func(item) bool) (items []item, scanned int32, last item) {
	items = []item{}
	size := 0
	for _, k := range keys {
		i := t.get(k, stale)
		if scanned++; passes(i) {
			items = append(items, copyItem(i))
		}
		size += itemSize(i)
		if limit != nil && scanned == *limit || size >= maxPage {
			return items, scanned, t.keyItem(k)
		}
	}
	return items, scanned, nil
}

// keyCondition is the partition that a key condition names and what it asks of the sort key.
func (t *table) keyCondition(c condition) (pk string, rows func(item) bool, err error) {
	parts := []condition{c}
	if c.op == "and" {
		parts = c.parts
	}
	rows = func(item) bool { return true }
	found := map[string]bool{}
	for _, p := range parts {
		if len(p.args) == 0 || p.args[0].path == nil || len(p.args[0].path) != 1 {
			return "", nil, invalid("Query key condition not supported")
		}
		name := p.args[0].path[0].name
		for _, a := range p.args[1:] {
			if a.literal == nil {
				return "", nil, invalid("Query key condition not supported")
			}
			if name == t.pk || name == t.sk {
				if k := kind(a.literal); k != "S" {
					return "", nil, invalid("One or more parameter values were invalid: Condition parameter type does not match schema type")
				}
			}
		}
		if found[name] {
			return "", nil, invalid("KeyConditionExpressions must only contain one condition per key")
		}
		found[name] = true
		switch {
		case name == t.pk && p.op == "=":
			pk = p.args[1].literal.(*types.AttributeValueMemberS).Value
			if pk == "" {
				return "", nil, invalid("One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain an empty string value. Key: %s", t.pk)
			}
		case name == t.sk && slices.Contains([]string{"=", "<", "<=", ">", ">=", "between", "begins_with"}, p.op):
			rows = p.holds
		case name == t.pk || name == t.sk:
			return "", nil, invalid("Query key condition not supported")
		default:
			return "", nil, invalid("Query condition missed key schema element: %s", t.sk)
		}
	}
	if !found[t.pk] {
		return "", nil, invalid("Query condition missed key schema element: %s", t.pk)
	}
	return pk, rows, nil
}

// mentions says whether a condition reads a top-level attribute.
func (c condition) mentions(name string) bool {
	var in func(o operand) bool
	in = func(o operand) bool {
		return o.path != nil && o.path[0].name == name || slices.ContainsFunc(o.args, in)
	}
	return slices.ContainsFunc(c.args, in) || slices.ContainsFunc(c.parts, func(p condition) bool { return p.mentions(name) })
}

// check reads a request's condition; without one, anything passes.
func (s *scope) check(expression *string) (func(item) bool, error) {
	if expression == nil {
		return func(item) bool { return true }, nil
	}
	c, err := s.condition("ConditionExpression", *expression)
	return c.holds, err
}

// refused is the answer to a write whose condition does not hold. It carries
// the item that stands only where the request asked for it.
func refused(stands item, answer types.ReturnValuesOnConditionCheckFailure) error {
	e := &types.ConditionalCheckFailedException{Message: aws.String("The conditional request failed")}
	if answer == types.ReturnValuesOnConditionCheckFailureAllOld {
		e.Item = copyItem(stands)
	}
	return e
}

// StoredItem is an item as the account file has it under "Incidents".
type StoredItem struct {
	Table string          // "incidents" or "decisions"
	Item  json.RawMessage // in DynamoDB's JSON
}

func (d *DynamoDB) sections() []section {
	return []section{{"Incidents", func(from *value) error {
		rows, err := as(from, decodeRows)
		if err != nil {
			return err
		}
		return d.load(rows)
	}, func() any { return d.stored() }}}
}

// row is an item and the table that it is in.
type row struct {
	table string // "incidents" or "decisions"
	item  item
}

func decodeRows(text json.RawMessage) ([]row, error) {
	stored, err := decoded[[]StoredItem](text)
	if err != nil {
		return nil, err
	}
	rows := make([]row, len(stored))
	for n, s := range stored {
		i, err := decodeItem(s.Item)
		if err != nil {
			return nil, fmt.Errorf("[%d]: %w", n, err)
		}
		rows[n] = row{s.Table, i}
	}
	return rows, nil
}

// load fills the tables from an account file.
func (d *DynamoDB) load(rows []row) error {
	for n, r := range rows {
		var t *table
		for _, each := range d.tables {
			if each.logical == r.table {
				t = each
			}
		}
		if t == nil {
			return fmt.Errorf(`[%d]: Table is %q, not "incidents" or "decisions"`, n, r.table)
		}
		k, err := t.key(r.item)
		if err != nil {
			return fmt.Errorf("[%d]: %w", n, err)
		}
		t.items[k] = copyItem(r.item)
	}
	return nil
}

// stored is every item, by table and key.
func (d *DynamoDB) stored() []StoredItem {
	tables := slices.Collect(maps.Values(d.tables))
	slices.SortFunc(tables, func(a, b *table) int { return strings.Compare(a.logical, b.logical) })
	var all []StoredItem
	for _, t := range tables {
		keys := slices.Collect(maps.Keys(t.items))
		slices.SortFunc(keys, func(a, b rowKey) int { return cmp.Or(strings.Compare(a.pk, b.pk), strings.Compare(a.sk, b.sk)) })
		for _, k := range keys {
			all = append(all, StoredItem{t.logical, encodeItem(t.items[k])})
		}
	}
	return all
}
