package enrich

import (
	"context"
	"time"

	"cordon/internal/record"
)

// EC2 lets an account change interfaces from a bucket of 100 tokens that gains 5
// a second; what finds it empty is refused. Three hundred instances at once need
// six hundred: without an order, those that find it empty would be cut off
// without the conversion that ends their flows, or stand in its group, open to
// the world, until a token is left for them. So each draws a turn.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
const (
	queue = "ModifyNetworkInterfaceAttribute"
	token = time.Second / 5
	// burst is what may be taken at once: the bucket, less a margin for people
	// and releases, which draw no turn.
	burst = 90 * token
	// changes are the calls that isolate makes for an interface.
	changes = 2
)

// turn is for how many seconds isolation has to wait. Without a queue it does
// not wait: being refused is worse than being late, and not being isolated worse
// than both.
func (s *Step) turn(ctx context.Context, interfaces int) (int, error) {
	now := s.host.Now()
	at, err := record.Turn(ctx, s.db, s.table, queue, now, time.Duration(interfaces*changes)*token, burst)
	if err != nil {
		return 0, err
	}
	// Up, not down: five a second come in fives, and who is early takes another's.
	return int((at.Sub(now) + time.Second - 1) / time.Second), nil
}
