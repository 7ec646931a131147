package lambdafn

import (
	"context"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"sync"
	"time"
)

const (
	keyTimeout = 3 * time.Second // the page has ten, and its calls come after it
	keyMax     = 4 << 10         // bytes; a key on P-384 is a few hundred
	keysMax    = 16              // kept at once; a Region has few, and who invents IDs must not fill memory
)

// PublicKeys are those with which Verified Access signs, of one Region, from
// the address that AWS names, and nowhere else. A key does not change under its ID,
// so it is fetched once.
// https://docs.aws.amazon.com/verified-access/latest/ug/user-claims-passing.html
type PublicKeys struct {
	Region string
	Client *http.Client

	mu    sync.Mutex
	known map[string][]byte
}

// Keys are the public keys of the Region that Lambda runs in. A redirection is an
// answer like any other that is not the key.
func Keys() *PublicKeys {
	return &PublicKeys{Region: os.Getenv("AWS_REGION"), Client: &http.Client{
		Timeout:       keyTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Key is a public key, in PEM; false if there is none of that ID.
func (k *PublicKeys) Key(ctx context.Context, id string) ([]byte, bool, error) {
	k.mu.Lock()
	key, ok := k.known[id]
	k.mu.Unlock()
	if ok {
		return key, true, nil
	}
	at := url.URL{Scheme: "https", Host: "public-keys.prod.verified-access." + k.Region + ".amazonaws.com", Path: "/" + id}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return nil, false, fmt.Errorf("ask for public key %q: %w", id, err)
	}
	answer, err := k.Client.Do(r)
	if err != nil {
		return nil, false, fmt.Errorf("fetch a public key: %w", err)
	}
	defer answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusTooManyRequests || answer.StatusCode >= http.StatusInternalServerError:
		return nil, false, fmt.Errorf("fetch a public key: %s", answer.Status)
	case answer.StatusCode != http.StatusOK:
		return nil, false, nil
	}
	key, err = io.ReadAll(io.LimitReader(answer.Body, keyMax+1))
	if err != nil {
		return nil, false, fmt.Errorf("read a public key: %w", err)
	}
	if len(key) > keyMax {
		return nil, false, fmt.Errorf("a public key has more than %d bytes", keyMax)
	}
	// Kept, what is no key would close the page for as long as this function lives.
	if block, _ := pem.Decode(key); block == nil {
		return key, true, nil
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known == nil || len(k.known) >= keysMax {
		k.known = map[string][]byte{}
	}
	k.known[id] = key
	return key, true, nil
}
