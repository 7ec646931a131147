package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"cordon/internal/rehearsal"
)

// page serves the decision page on loopback while the rehearsed clock stands still.
type page struct {
	err      io.Writer
	listener net.Listener
	server   *http.Server
	visits   chan visit
	gone     chan struct{}     // closed when nobody is left who could decide
	asked    func(link string) // told of the address to open; a person reads it
}

// visit is one request, answered on the rehearsal's clock.
type visit struct {
	to   http.ResponseWriter
	r    *http.Request
	done chan struct{}
}

func servePage(stderr io.Writer) (*page, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("serve the page on loopback: %w; or give --decision", err)
	}
	p := &page{err: stderr, listener: l, visits: make(chan visit), gone: make(chan struct{})}
	p.asked = func(link string) {
		fmt.Fprintf(stderr, "\n  A decision is asked for. Open this page and decide:\n\n  %s\n\n", link)
	}
	p.server = &http.Server{ReadHeaderTimeout: 5 * time.Second, Handler: http.HandlerFunc(p.receive)}
	go func() {
		if err := p.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			fmt.Fprintln(stderr, "cordon: the page is no longer served:", err)
		}
	}()
	return p, nil
}

func (p *page) close() { _ = p.server.Close() } // nothing is left to answer

// receive hands a request to whoever asks for a decision at the moment.
func (p *page) receive(to http.ResponseWriter, r *http.Request) {
	v := visit{to, r, make(chan struct{})}
	select {
	case p.visits <- v:
		<-v.done
	case <-r.Context().Done():
	case <-time.After(2 * time.Second):
		http.Error(to, "The rehearsal has gone on; nothing is asked now.", http.StatusServiceUnavailable)
	}
}

// linger is how long, after a decision, the page answers its own reload.
const linger = 500 * time.Millisecond

// ask is a person at a browser: it answers visits until one of them decided.
func (p *page) ask(q rehearsal.Question) {
	q.Sleep(rehearsal.Delay)
	link, err := url.Parse(q.Link)
	if err != nil {
		fmt.Fprintln(p.err, "cordon: the mail's link cannot be read:", err)
		return
	}
	link.Scheme, link.Host = "http", p.listener.Addr().String()
	p.asked(link.String())
	var over <-chan time.Time
	for {
		select {
		case v := <-p.visits:
			w := &status{ResponseWriter: v.to, code: http.StatusOK}
			q.Page.ServeHTTP(w, v.r)
			close(v.done)
			if v.r.Method == http.MethodPost && w.code < http.StatusBadRequest {
				over = time.After(linger)
			}
		case <-over:
			return
		case <-p.gone:
			return
		}
	}
}

// status remembers what was answered.
type status struct {
	http.ResponseWriter
	code int
}

func (s *status) WriteHeader(code int) {
	s.code = code
	s.ResponseWriter.WriteHeader(code)
}
