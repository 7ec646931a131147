package decide

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"cordon/internal/incident"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
)

// formFor is how long a form may lie open. Evidence moves within minutes, and a
// decision is on what was read.
const formFor = 30 * time.Minute

// Why a form does not count.
var (
	errForged = errors.New("this page did not make the form")
	errStale  = errors.New("the form lay open for too long")
)

// mac is a KMS HMAC of one of the two things that this function seals.
func (h *Handler) mac(ctx context.Context, message []byte) ([]byte, error) {
	out, err := h.kms.GenerateMac(ctx, &kms.GenerateMacInput{KeyId: &h.macKey, MacAlgorithm: kmstypes.MacAlgorithmSpecHmacSha256, Message: message})
	if err != nil {
		return nil, err
	}
	return out.Mac, nil
}

// seal signs a decision, so that a row in a table is not enough to terminate an instance.
func (h *Handler) seal(ctx context.Context, d incident.Decision) (incident.Decision, error) {
	var err error
	if d.MAC, err = h.mac(ctx, d.Signed()); err != nil {
		return incident.Decision{}, fmt.Errorf("seal the decision: %w", err)
	}
	return d, nil
}

// ticket is what a form carries of the page around it: what was shown, and the
// proof that it was shown for this request at that time. One decision a request
// uses it up.
type ticket struct {
	Shown string // facts, as JSON, in base64: no browser changes a line end of it
	Proof string // ISSUED.MAC
}

// issue makes the ticket of a form.
func (h *Handler) issue(ctx context.Context, q *request, v visitor, shown []byte) (ticket, error) {
	issued := h.host.Now().Unix()
	mac, err := h.mac(ctx, proven(q, v, issued, incident.Hash(string(shown))))
	if err != nil {
		return ticket{}, fmt.Errorf("seal what is shown: %w", err)
	}
	return ticket{base64.RawURLEncoding.EncodeToString(shown), strconv.FormatInt(issued, 10) + "." + base64.RawURLEncoding.EncodeToString(mac)}, nil
}

// redeem returns what was shown around a form. The error wraps errForged or
// errStale, or is a failure to find out.
func (h *Handler) redeem(ctx context.Context, q *request, v visitor, t ticket) (string, error) {
	at, code, _ := strings.Cut(t.Proof, ".")
	issued, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return "", fmt.Errorf("when the form was made: %w", errForged)
	}
	mac, err := base64.RawURLEncoding.DecodeString(code)
	if err != nil {
		return "", fmt.Errorf("the proof of the form: %w", errForged)
	}
	shown, err := base64.RawURLEncoding.DecodeString(t.Shown)
	if err != nil || !json.Valid(shown) {
		return "", fmt.Errorf("what was shown: %w", errForged)
	}
	// This function may make a MAC and not verify one; making it again is the same.
	want, err := h.mac(ctx, proven(q, v, issued, incident.Hash(string(shown))))
	if err != nil {
		return "", fmt.Errorf("verify the form: %w", err)
	}
	if subtle.ConstantTimeCompare(want, mac) != 1 {
		return "", errForged
	}
	if h.host.Now().Sub(time.Unix(issued, 0)) > formFor {
		return "", errStale
	}
	return string(shown), nil
}

// proven is the text under the proof. No decision has a seal over such a text:
// theirs begins otherwise.
//
// It is for one visitor: a browser that is signed in sends what another site makes
// it send, and the form that its maker got there is not this visitor's.
func proven(q *request, v visitor, issued int64, facts string) []byte {
	return fmt.Appendf(nil, "cordon form 2\n%d:%s\n%d:%s\n%d\n%d\n%s", len(q.Incident), q.Incident, len(v.identity), v.identity, q.Round, issued, facts)
}
