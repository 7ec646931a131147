package sim

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"
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

	event map[string]any
}

// Event is the record as Lambda hands it over, from the stream of that ARN.
func (r StreamRecord) Event(stream string) (json.RawMessage, error) {
	r.event["eventSourceARN"] = stream
	return json.Marshal(r.event)
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
	change := map[string]any{
		"ApproximateCreationDateTime": d.a.now().Unix(), // to the second
		"Keys":                        plainItem(t.keyItem(k)),
		"NewImage":                    plainItem(i),
		"SequenceNumber":              fmt.Sprintf("%d", 100_000_000_000_000_000+d.changes*1000),
		"SizeBytes":                   itemSize(i),
		"StreamViewType":              "NEW_AND_OLD_IMAGES",
	}
	if old != nil {
		change["OldImage"] = plainItem(old)
	}
	shard := hash(0, "shard", t.name, k.pk)
	d.OnChange(StreamRecord{Table: t.name, Shard: int(shard[0]) % shards, At: d.a.now(), event: map[string]any{
		"eventID": h[:32], "eventName": what, "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": d.a.region(), "dynamodb": change,
	}})
}
