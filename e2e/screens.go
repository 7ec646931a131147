package e2e

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"image"
	"image/jpeg"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// Screens pictures the screens of moto's instances, which moto cannot: they are blank.
//
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetConsoleScreenshot.html
type Screens struct {
	EC2 ec2.DescribeInstancesAPIClient
}

type screen struct {
	XMLName xml.Name `xml:"answer"`
	ID      string   `xml:"instanceId"`
	Image   string   `xml:"imageData"`
}

func (s *Screens) serve(ctx context.Context, p Parameters) (any, error) {
	for name := range p {
		if name != "Action" && name != "Version" && name != "InstanceId" {
			return nil, refused("UnknownParameter", "The parameter %s is not recognized", name)
		}
	}
	id := p.Value("InstanceId")
	if id == "" {
		return nil, refused("MissingParameter", "The request must contain the parameter InstanceId")
	}
	out, err := s.EC2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	var answer smithy.APIError
	switch {
	case errors.As(err, &answer):
		return nil, refused(answer.ErrorCode(), "%s", answer.ErrorMessage())
	case err != nil:
		return nil, fmt.Errorf("look for the instance: %w", err)
	}
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			if i.State != nil && i.State.Name != types.InstanceStateNameRunning {
				return nil, refused("IncorrectInstanceState", "The instance '%s' is not in the running state", id)
			}
		}
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 64, 40)), nil); err != nil {
		return nil, err
	}
	return screen{ID: id, Image: base64.StdEncoding.EncodeToString(b.Bytes())}, nil
}
