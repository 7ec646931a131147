package sim_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"cordon/internal/access"
	"cordon/internal/incident"
	"cordon/internal/sim"
	"cordon/internal/vtime"
)

// TestVerifiedAccess: a header is a signed text about one user, good for two
// minutes, with padding or without, and there is one key.
// https://docs.aws.amazon.com/verified-access/latest/ug/user-claims-passing.html
func TestVerifiedAccess(t *testing.T) {
	const instance, provider = "arn:aws:ec2:eu-west-1:111122223333:verified-access-instance/vai-0a", "arn:aws:ec2:eu-west-1:111122223333:verified-access-trust-provider/vatp-0a"
	clock := vtime.New(1, time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC))
	a, err := sim.Open(sim.Settings{Clock: clock, Seed: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"ACCESS_INSTANCE": instance, "ACCESS_PROVIDER": provider}
	reads := func(text string, later time.Duration) (access.Person, error) {
		r, err := access.NewReader(incident.Host{Now: func() time.Time { return clock.Now().Add(later) }, Getenv: func(n string) string { return env[n] }}, a.Keys())
		if err != nil {
			t.Fatal(err)
		}
		return r.Person(t.Context(), http.Header{access.Header: {text}})
	}
	padded := map[bool]bool{}
	for range 4 {
		text, err := a.Keys().Header(instance, provider, "f4-1", "sato")
		if err != nil {
			t.Fatal(err)
		}
		padded[strings.Contains(text, "=")] = true
		if p, err := reads(text, 0); p != (access.Person{ID: "f4-1", Name: "sato"}) || err != nil {
			t.Errorf("%+v, %v", p, err)
		}
		if _, err := reads(text, 2*time.Minute); !errors.Is(err, access.Expired) {
			t.Errorf("after two minutes: %v", err)
		}
	}
	if len(padded) != 2 {
		t.Error("all headers are padded, or none is; both may happen")
	}
	if _, ok, err := a.Keys().Key(t.Context(), "00000000-0000-0000-0000-000000000000"); ok || err != nil {
		t.Errorf("another key: %v, %v", ok, err)
	}
}
