package sim_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cordon/internal/sim"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_Parameter.html
func TestGetParameter(t *testing.T) {
	a, err := sim.Open(sim.Settings{Clock: &wall{begun}, Seed: 1}, []byte(`{"Reservations": [], "NetworkInterfaces": [],
		"Parameters": [{"Name": "/cordon/pause", "Type": "String", "Value": "2026-03-01T18:00:00Z", "LastModifiedDate": "2026-03-01T11:00:00Z"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	a.SSM().AddParameter("/cordon/pause", "off")
	a.SSM().AddParameter("/cordon/other", "off")
	get := func(name string) (*types.Parameter, error) {
		out, err := a.SSM().GetParameter(t.Context(), &ssm.GetParameterInput{Name: &name})
		if err != nil {
			return nil, err
		}
		return out.Parameter, nil
	}
	p, err := get("/cordon/pause")
	if err != nil || aws.ToString(p.Value) != "2026-03-01T18:00:00Z" || !aws.ToTime(p.LastModifiedDate).Equal(begun.Add(-time.Hour)) {
		t.Errorf("%+v, %v: want what the file has, not the template's value", p, err)
	}
	*p.Value = "changed"
	if again, err := get("/cordon/pause"); err != nil || aws.ToString(again.Value) == "changed" {
		t.Errorf("%+v, %v: whoever reads it must not change it", again, err)
	}
	if p, err := get("/cordon/other"); err != nil || aws.ToString(p.Value) != "off" {
		t.Errorf("%+v, %v: want the template's", p, err)
	}
	var none *types.ParameterNotFound
	if _, err := get("/cordon/gone"); !errors.As(err, &none) {
		t.Errorf("%v, want ParameterNotFound: no parameter is not an empty one", err)
	}
	if b, err := a.JSON(); err != nil || !strings.Contains(string(b), `"2026-03-01T18:00:00Z"`) {
		t.Errorf("the account afterwards does not hold it: %v", err)
	}
}
