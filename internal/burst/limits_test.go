package burst_test

import (
	"strings"
	"time"
)

// bucket is a token bucket of EC2's: a request takes a token, and what finds none
// is refused and takes none. Tokens are added each second, up to the most.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
type bucket struct {
	tokens, most, refill int
	filled               time.Time
}

// limits are those of an action: each has a bucket of its own. Changes of
// interfaces are listed by name; other changes have the bucket of mutating
// actions, and what only reads, with a filter or IDs, that of non-mutating ones.
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html#throttling-limits-rate-based
func limits(action string) (most, refill int) {
	switch {
	case action == "ModifyNetworkInterfaceAttribute":
		return 100, 5
	case strings.HasPrefix(action, "Describe"):
		return 100, 20
	}
	return 50, 5
}

// take takes a token of an action's bucket, which is full at first.
func (w *world) take(action string) bool {
	now := time.Now()
	b, ok := w.buckets[action]
	if !ok {
		most, refill := limits(action)
		b = &bucket{tokens: most, most: most, refill: refill, filled: now}
		w.buckets[action] = b
	}
	for ; !b.filled.Add(time.Second).After(now); b.filled = b.filled.Add(time.Second) {
		b.tokens = min(b.most, b.tokens+b.refill)
	}
	if b.tokens == 0 {
		return false
	}
	b.tokens--
	return true
}

// bound is how long the bucket makes the last of so many changes of interfaces wait.
func bound(changes int) time.Duration {
	most, refill := limits("ModifyNetworkInterfaceAttribute")
	return time.Duration(max(0, changes-most)) * time.Second / time.Duration(refill)
}
