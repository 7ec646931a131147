package sim

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
)

// shards is how many a table's stream has. A new table that is paid by the
// request begins with four partitions, and each has a shard.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/on-demand-capacity-mode.html
const shards = 4

// StreamRecord is one change of a table, as a stream holds it.
type StreamRecord struct {
	Table    string // name
	Shard    int    // records of one are in order
	Sequence string
	At       time.Time // when the table was changed
	ID       string
	Name     string // INSERT or MODIFY
	// Keys, New and Old are the item's keys, as it is, and as it was; Old is nil of one
	// that was not there.
	Keys, New, Old map[string]types.AttributeValue

	region string
}

// Event is the record as Lambda hands it over, from the stream of that ARN.
// https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html#events-sample-dynamodb
func (r StreamRecord) Event(stream string) (json.RawMessage, error) {
	change := map[string]any{
		"ApproximateCreationDateTime": r.At.Unix(), // to the second
		"Keys":                        plainItem(r.Keys),
		"NewImage":                    plainItem(r.New),
		"SequenceNumber":              r.Sequence,
		"SizeBytes":                   itemSize(r.New),
		"StreamViewType":              "NEW_AND_OLD_IMAGES",
	}
	if r.Old != nil {
		change["OldImage"] = plainItem(r.Old)
	}
	return json.Marshal(map[string]any{
		"eventID": r.ID, "eventName": r.Name, "eventVersion": "1.1", "eventSource": "aws:dynamodb", "awsRegion": r.region, "eventSourceARN": stream, "dynamodb": change,
	})
}

// changed tells of a write. One that changes nothing writes no record.
// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Streams.html
func (d *DynamoDB) changed(t *table, k rowKey, old, i item) {
	if d.OnChange == nil || reflect.DeepEqual(old, i) {
		return
	}
	d.changes++
	what := "MODIFY"
	if old == nil {
		what = "INSERT"
	}
	shard := hash(0, "shard", t.name, k.pk)
	d.OnChange(StreamRecord{
		Table: t.name, Shard: int(shard[0]) % shards, Sequence: fmt.Sprintf("%d", 100_000_000_000_000_000+d.changes*1000), At: d.a.now(),
		ID: d.a.token("stream", t.name, d.changes)[:32], Name: what, Keys: t.keyItem(k), New: i, Old: old, region: d.a.region(),
	})
}
