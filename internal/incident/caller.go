package incident

import "context"

type callerKey struct{}

// WithCaller notes who calls: the ARN under which a gateway has verified them.
func WithCaller(ctx context.Context, arn string) context.Context {
	return context.WithValue(ctx, callerKey{}, arn)
}

// Caller is what WithCaller noted; empty if nobody did.
func Caller(ctx context.Context) string {
	arn, _ := ctx.Value(callerKey{}).(string)
	return arn
}
