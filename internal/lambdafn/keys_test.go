package lambdafn_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"cordon/internal/lambdafn"
)

// network answers requests by their address, and counts them.
type network struct {
	asked   []string
	answers map[string]*http.Response
}

func (n *network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.asked = append(n.asked, r.URL.String())
	if a, ok := n.answers[r.URL.String()]; ok {
		return a, nil
	}
	return nil, errors.New("no route to host")
}

func says(status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Status: fmt.Sprint(status), Header: http.Header{"Location": {"https://evil.example/"}}, Body: io.NopCloser(strings.NewReader(body))}
}

const (
	keyHost = "https://public-keys.prod.verified-access.eu-west-1.amazonaws.com/"
	keyID   = "12345678-1234-1234-1234-123456789012"
)

func keysOn(n *network) *lambdafn.PublicKeys {
	k := lambdafn.Keys()
	k.Region, k.Client.Transport = "eu-west-1", n
	return k
}

func TestKeysAreFetchedOnce(t *testing.T) {
	n := &network{answers: map[string]*http.Response{keyHost + keyID: says(200, pemKey)}}
	keys := keysOn(n)
	for range 3 {
		key, ok, err := keys.Key(t.Context(), keyID)
		if string(key) != pemKey || !ok || err != nil {
			t.Fatalf("%q, %v, %v", key, ok, err)
		}
	}
	if len(n.asked) != 1 {
		t.Errorf("asked %q; a key does not change under its ID", n.asked)
	}
}

// pemKey has the form of a key; whether it is one is not for this package to say.
const pemKey = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"

// TestWhatIsNoKeyIsNotKept: one bad answer must not close the page for good.
func TestWhatIsNoKeyIsNotKept(t *testing.T) {
	n := &network{answers: map[string]*http.Response{keyHost + keyID: says(200, "")}}
	keys := keysOn(n)
	if key, _, err := keys.Key(t.Context(), keyID); len(key) != 0 || err != nil {
		t.Fatalf("%q, %v; want what was answered", key, err)
	}
	n.answers[keyHost+keyID] = says(200, pemKey)
	if key, ok, err := keys.Key(t.Context(), keyID); string(key) != pemKey || !ok || err != nil {
		t.Errorf("%q, %v, %v; want the key, which is there now", key, ok, err)
	}
}

// TestKeysComeFromOneHost: whatever the ID says, nobody else is asked for a key,
// and an answer that sends elsewhere is none.
func TestKeysComeFromOneHost(t *testing.T) {
	for _, id := range []string{"@evil.example/", "../../evil.example", "//evil.example/x", "x?y#z", "a b", "\r\nHost: evil.example"} {
		n := &network{}
		if _, ok, err := keysOn(n).Key(t.Context(), id); ok || err == nil {
			t.Errorf("%q: found %v, error %v", id, ok, err)
		}
		for _, at := range n.asked {
			if !strings.HasPrefix(at, keyHost) {
				t.Errorf("%q asks %s", id, at)
			}
		}
	}
	n := &network{answers: map[string]*http.Response{keyHost + keyID: says(302, ""), "https://evil.example/": says(200, "another key")}}
	if key, ok, err := keysOn(n).Key(t.Context(), keyID); ok || err != nil || len(n.asked) != 1 {
		t.Errorf("a redirection gives %q, %v, %v and asks %q", key, ok, err, n.asked)
	}
}

// TestNoKey: that there is no such key is an answer; that nobody answers, or with
// too much, is an error and is not remembered.
func TestNoKey(t *testing.T) {
	for status, broken := range map[int]bool{403: false, 404: false, 429: true, 500: true, 503: true} {
		n := &network{answers: map[string]*http.Response{keyHost + keyID: says(status, "sorry")}}
		keys := keysOn(n)
		if _, ok, err := keys.Key(t.Context(), keyID); ok || (err != nil) != broken {
			t.Errorf("%d: found %v, error %v", status, ok, err)
		}
		n.answers[keyHost+keyID] = says(200, "the key")
		if key, ok, err := keys.Key(t.Context(), keyID); string(key) != "the key" || !ok || err != nil {
			t.Errorf("after %d: %q, %v, %v", status, key, ok, err)
		}
	}
	n := &network{answers: map[string]*http.Response{keyHost + keyID: says(200, strings.Repeat("x", 5000))}}
	if _, ok, err := keysOn(n).Key(t.Context(), keyID); ok || err == nil {
		t.Error("a key of 5,000 bytes is taken")
	}
}

// TestKeysAreForgotten: IDs that somebody makes up do not fill the memory, and
// are no reason to lose the key for good.
func TestKeysAreForgotten(t *testing.T) {
	n := &network{answers: map[string]*http.Response{}}
	keys := keysOn(n)
	id := func(i int) string { return fmt.Sprintf("%08d-1234-1234-1234-123456789012", i) }
	for i := range 40 {
		n.answers[keyHost+id(i)] = says(200, "key")
		if _, ok, err := keys.Key(t.Context(), id(i)); !ok || err != nil {
			t.Fatalf("key %d: %v, %v", i, ok, err)
		}
	}
	n.answers[keyHost+id(0)] = says(200, "key")
	if _, ok, err := keys.Key(t.Context(), id(0)); !ok || err != nil || len(n.asked) != 41 {
		t.Errorf("the first again: %v, %v, asked %d times; want it fetched again", ok, err, len(n.asked))
	}
}
