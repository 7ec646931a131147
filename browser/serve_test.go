// Package browser_test drives the decision page with a real browser, as a
// rehearsal serves it. It is a module of its own, so that the browser's protocol
// is no dependency of what is deployed.
package browser_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"cordon"
	"cordon/internal/rehearsal"
	"cordon/internal/sim"
)

// incident is one rehearsal whose people are asked, and whose page is served on
// loopback. The rehearsed clock stands still but for sleep.
type incident struct {
	*testing.T
	instance string
	page     string // address of the page, as of the newest mail
	asked    chan rehearsal.Question
	tasks    chan func(rehearsal.Question)
	ended    chan rehearsal.Result
	over     func()
}

// open rehearses events/plain.json until people are asked.
func open(t *testing.T, language string) *incident {
	t.Helper()
	event, err := os.ReadFile("../events/plain.json")
	if err != nil {
		t.Fatal(err)
	}
	i := &incident{
		T: t, instance: "i-0c0ffee0c0ffee001",
		asked: make(chan rehearsal.Question, 9), tasks: make(chan func(rehearsal.Question)), ended: make(chan rehearsal.Result, 1),
	}
	i.over = sync.OnceFunc(func() { close(i.tasks) })
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.do(func(q rehearsal.Question) { q.Page.ServeHTTP(w, r) })
	}))
	t.Cleanup(server.Close)
	t.Cleanup(i.over)
	o := rehearsal.Options{
		Template: cordon.Template, Definition: cordon.Definition, Event: event, Account: account(t, event), Seed: 1,
		Parameters: map[string]string{"Language": language},
		Person: func(q rehearsal.Question) {
			i.asked <- q
			for task := range i.tasks {
				task(q)
			}
		},
	}
	go func() {
		res, err := rehearsal.Run(o)
		if err != nil {
			t.Error(err)
		}
		i.ended <- res
	}()
	i.follow(server.URL)
	return i
}

// follow takes the link of the next mail that asks.
func (i *incident) follow(server string) {
	i.Helper()
	select {
	case q := <-i.asked:
		link, err := url.Parse(q.Link)
		if err != nil {
			i.Fatal(err)
		}
		i.page = server + link.Path
	case <-time.After(time.Minute):
		i.Fatal("nobody was asked")
	}
}

// do runs something on the rehearsed clock.
func (i *incident) do(f func(rehearsal.Question)) {
	done := make(chan struct{})
	select {
	case i.tasks <- func(q rehearsal.Question) { f(q); close(done) }:
		<-done
	case <-time.After(20 * time.Second):
		i.Error("the rehearsal does not answer")
	}
}

// sleep lets the rehearsed world go on.
func (i *incident) sleep(d time.Duration) { i.do(func(q rehearsal.Question) { q.Sleep(d) }) }

// end lets the incident come to its end, with nobody at the page any more.
func (i *incident) end() rehearsal.Result {
	i.Helper()
	i.over()
	select {
	case r := <-i.ended:
		if len(r.Violations) > 0 {
			i.Errorf("violated: %v", r.Violations)
		}
		return r
	case <-time.After(time.Minute):
		i.Fatal("the rehearsal does not end")
	}
	return rehearsal.Result{}
}

// account is the one around the event, with tags as people write them.
func account(t *testing.T, event []byte) []byte {
	t.Helper()
	b, err := sim.Around(event)
	if err != nil {
		t.Fatal(err)
	}
	var a map[string]any
	if err := json.Unmarshal(b, &a); err != nil {
		t.Fatal(err)
	}
	instance := a["Reservations"].([]any)[0].(map[string]any)["Instances"].([]any)[0].(map[string]any)
	instance["Tags"] = []any{
		map[string]any{"Key": "Name", "Value": "checkout-web-3"},
		map[string]any{"Key": "Owner", "Value": "payments@example.com"},
		map[string]any{"Key": "Environment", "Value": "production"},
		map[string]any{"Key": "Note", "Value": `<b>"urgent"</b>`},
	}
	a["InstanceInformationList"] = []any{} // no agent: the memory is not captured, which is a gap
	if b, err = json.Marshal(a); err != nil {
		t.Fatal(err)
	}
	return b
}
