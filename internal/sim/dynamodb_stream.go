package sim

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"time"

	"cordon/internal/canonical"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// shards is how many a table's stream has. A new table that is paid by the
// request begins with four partitions, and each has a shard.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
const shards = 4

// StreamRecord is one change of a table, as a stream holds it and Lambda hands
// it to a function.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html#events-sample-dynamodb
type StreamRecord struct {
	Table string    // name
	Shard int       // records of one are in order
	At    time.Time // when the table was changed

	event []byte // as JSON, but for the stream that it comes from
}

// Event is the record as Lambda hands it over, from the stream of that ARN.
func (r StreamRecord) Event(stream string) json.RawMessage {
	b := canonical.AppendString(append(slices.Clip(r.event), `,"eventSourceARN":`...), stream)
	return append(b, '}')
}

// changed tells of a write. One that changes nothing writes no record.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
func (d *DynamoDB) changed(t *table, k rowKey, old, i item) {
	if d.OnChange == nil || reflect.DeepEqual(old, i) {
		return
	}
	d.changes++
	h := d.a.token("stream", t.name, d.changes)
	what := "MODIFY"
	if old == nil {
		what = "INSERT"
	}
	b := fmt.Appendf(nil, `{"eventID":%q,"eventName":%q,"eventVersion":"1.1","eventSource":"aws:dynamodb","awsRegion":%q,"dynamodb":{"ApproximateCreationDateTime":%d,"SequenceNumber":"%d","SizeBytes":%d,"StreamViewType":"NEW_AND_OLD_IMAGES"`,
		h[:32], what, d.a.region(), d.a.now().Unix(), 100_000_000_000_000_000+d.changes*1000, itemSize(i)) // the time is to the second
	b = appendItem(append(b, `,"Keys":`...), t.keyItem(k))
	b = appendItem(append(b, `,"NewImage":`...), i)
	if old != nil {
		b = appendItem(append(b, `,"OldImage":`...), old)
	}
	shard := hash(0, "shard", t.name, k.pk)
	d.OnChange(StreamRecord{Table: t.name, Shard: int(shard[0]) % shards, At: d.a.now(), event: append(b, '}')})
}

// appendItem appends an item in DynamoDB's JSON.
func appendItem(b []byte, i item) []byte {
	b = append(b, '{')
	for n, name := range slices.Sorted(maps.Keys(i)) {
		if n > 0 {
			b = append(b, ',')
		}
		b = append(canonical.AppendString(b, name), ':')
		if s, ok := i[name].(*types.AttributeValueMemberS); ok { // as most are
			b = append(canonical.AppendString(append(b, `{"S":`...), s.Value), '}')
		} else {
			b = append(b, marshal(plainValue(i[name]))...)
		}
	}
	return append(b, '}')
}
