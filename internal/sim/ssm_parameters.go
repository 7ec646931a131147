package sim

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// AddParameter adds a parameter that the stack's template makes, unless the
// account file has it: somebody may have changed it since. Its date is when the
// run began.
func (s *SSM) AddParameter(name, value string) {
	if s.parameter(name) == nil {
		s.parameters = append(s.parameters, &types.Parameter{Name: &name, Value: &value, Type: types.ParameterTypeString, Version: 1, LastModifiedDate: aws.Time(s.a.now())})
	}
}

func (s *SSM) parameter(name string) *types.Parameter {
	n := slices.IndexFunc(s.parameters, func(p *types.Parameter) bool { return aws.ToString(p.Name) == name })
	if n < 0 {
		return nil
	}
	return s.parameters[n]
}

// GetParameter answers a parameter by its name. One that does not exist, or was
// deleted, is an error and not an empty value.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
func (s *SSM) GetParameter(ctx context.Context, in *ssm.GetParameterInput, _ ...func(*ssm.Options)) (*ssm.GetParameterOutput, error) {
	return invokeSSM(ctx, s, operation{action: "GetParameter", resources: []string{aws.ToString(in.Name)}, needs: []string{"Name"}}, in,
		func(in *ssm.GetParameterInput) (*ssm.GetParameterOutput, error) {
			p := s.parameter(*in.Name)
			if p == nil {
				return nil, &types.ParameterNotFound{}
			}
			return &ssm.GetParameterOutput{Parameter: new(clone(*p))}, nil
		})
}
