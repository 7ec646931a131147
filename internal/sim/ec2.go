package sim

import (
	"fmt"

	"github.com/aws/smithy-go"
)

// EC2 is the part of EC2 that the steps touch.
type EC2 struct {
	a *Account
}

func newEC2(a *Account) *EC2 { return &EC2{a: a} }

func (c *EC2) sections() []section   { return nil }
func (c *EC2) behaviours() []section { return nil }
func (c *EC2) settle() error         { return nil }

// ec2Error is an answer of EC2, which has no types for its errors.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
func ec2Error(code, format string, args ...any) error {
	return &smithy.GenericAPIError{Code: code, Message: fmt.Sprintf(format, args...), Fault: smithy.FaultClient}
}
