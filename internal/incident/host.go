package incident

import (
	"fmt"
	"io"
	"strconv"
	"time"
)

// Host is a step's only source of time, randomness, concurrency and settings,
// so that a rehearsal can give it its own.
type Host struct {
	Now    func() time.Time
	Rand   io.Reader                // cryptographically strong in production
	Each   func(n int, f func(int)) // runs f(0) to f(n-1) side by side, returns when all have
	Getenv func(string) string
}

// Setting is the value of an environment variable that must be there.
func (h Host) Setting(name string) (string, error) {
	if v := h.Getenv(name); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("environment variable %s is not set", name)
}

// Number is Setting for a number above zero.
func (h Host) Number(name string) (float64, error) {
	v, err := h.Setting(name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(v, 64)
	if err != nil || !(n > 0) {
		return 0, fmt.Errorf("environment variable %s: %q is not a number above zero", name, v)
	}
	return n, nil
}
