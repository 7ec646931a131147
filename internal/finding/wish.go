package finding

import (
	"encoding/json"

	"cordon/internal/incident"
)

// DecodeWish takes an operator's wish to decide once more out of an event; false
// if the event is none. The rule lets only those of this stack through.
func DecodeWish(event []byte) (incident.Wish, bool) {
	var e struct {
		Source     string        `json:"source"`
		DetailType string        `json:"detail-type"`
		Detail     incident.Wish `json:"detail"`
	}
	if err := json.Unmarshal(event, &e); err != nil || e.Source != incident.WishSource || e.DetailType != incident.WishType {
		return incident.Wish{}, false
	}
	return e.Detail, true
}
