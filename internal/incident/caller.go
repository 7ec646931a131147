package incident

import "context"

type (
	callerKey struct{}
	doorKey   struct{}
)

// WithCaller notes who calls: the ARN under which a gateway has verified them.
func WithCaller(ctx context.Context, arn string) context.Context {
	return context.WithValue(ctx, callerKey{}, arn)
}

// Caller is what WithCaller noted; empty if nobody did.
func Caller(ctx context.Context) string {
	arn, _ := ctx.Value(callerKey{}).(string)
	return arn
}

// WithDoor notes through which target group a balancer passed a request, by its
// ARN.
func WithDoor(ctx context.Context, targetGroup string) context.Context {
	return context.WithValue(ctx, doorKey{}, targetGroup)
}

// Door is what WithDoor noted; empty if no balancer did.
func Door(ctx context.Context) string {
	arn, _ := ctx.Value(doorKey{}).(string)
	return arn
}
