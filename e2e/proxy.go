package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Fault spoils calls of functions on their way.
type Fault struct {
	Hits  func(Call) bool
	Times int    // how many calls it hits; the ones after them go through
	Code  string // refuses the call with this code, as EC2 does
	Kill  bool   // lets the call be done, then ends the process that made it, which gets no answer
}

// Proxy stands between the functions and what stands in for AWS. It keeps every
// call that a function makes, in order of their start.
type Proxy struct {
	AWS     *url.URL     // ministack
	EC2     *url.URL     // moto: EC2, and what knows its instances
	Ours    http.Handler // what neither has
	Missing []string     // the actions that are ours

	server *http.Server
	client *http.Client

	mu     sync.Mutex
	calls  []*Call
	odd    []string
	faults []*Fault
}

// Listen serves on loopback, over TLS as AWS does: the document that captures
// memory takes no other addresses. It writes the certificate to a file for the
// functions to trust, and returns the address.
func (p *Proxy) Listen(ctx context.Context, certificate string) (string, error) {
	pair, text, err := selfSigned()
	if err != nil {
		return "", fmt.Errorf("make a certificate for the proxy: %w", err)
	}
	if err := os.WriteFile(certificate, text, 0o600); err != nil {
		return "", err
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("listen on loopback: %w", err)
	}
	p.client = &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	p.server = &http.Server{
		Handler:           p,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0), // a function that is killed leaves its connections half open
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			return context.WithValue(ctx, connection{}, sync.OnceValues(func() (peer, error) {
				return peerOf(addressOf(c.RemoteAddr()), addressOf(c.LocalAddr()))
			}))
		},
	}
	go func() {
		if err := p.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			p.note("the proxy ended: " + err.Error())
		}
	}()
	return "https://" + l.Addr().String(), nil
}

// Close ends the server.
func (p *Proxy) Close() error { return p.server.Close() }

type connection struct{}

func addressOf(a net.Addr) netip.AddrPort {
	parsed, err := netip.ParseAddrPort(a.String())
	if err != nil {
		return netip.AddrPort{}
	}
	return parsed
}

// Calls are those made so far, in order of their start.
func (p *Proxy) Calls() []Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Call, len(p.calls))
	for n, c := range p.calls {
		all[n] = *c
	}
	return all
}

// Odd is what went over the wire and is no call that a function makes.
func (p *Proxy) Odd() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string{}, p.odd...)
}

func (p *Proxy) note(what string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.odd = append(p.odd, what)
}

// Spoil adds a fault.
func (p *Proxy) Spoil(f Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, &f)
}

// Left is how many faults have not hit as often as they were to.
func (p *Proxy) Left() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, f := range p.faults {
		if f.Times > 0 {
			n++
		}
	}
	return n
}

// begin keeps a call and tells what is to go wrong with it; nil if nothing is.
func (p *Proxy) begin(c *Call) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Began = time.Now()
	p.calls = append(p.calls, c)
	for _, f := range p.faults {
		if f.Times > 0 && f.Hits(*c) {
			f.Times--
			return f
		}
	}
	return nil
}

func (p *Proxy) end(c *Call, code string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.Ended, c.Code = time.Now(), code
}

func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // whoever called is gone
	}
	c, err := ReadCall(r, body)
	switch {
	case errors.Is(err, ErrUnsigned) && r.URL.Query().Has("X-Amz-Signature"):
		p.write(w, p.forward(r, p.AWS, body)) // a host, with an address that was signed for it
		return
	case err != nil:
		p.note(err.Error())
		write(w, http.StatusNotImplemented, "text/plain", err.Error())
		return
	}
	who, err := r.Context().Value(connection{}).(func() (peer, error))()
	if err != nil && !errors.Is(err, errGone) { // else its time was over while it called
		p.note(fmt.Sprintf("%s:%s: %v", c.Service, c.Action, err))
	}
	c.Function, c.Process = who.function, who.process
	fault := p.begin(&c)
	if fault != nil && fault.Code != "" {
		p.end(&c, fault.Code)
		refuseEC2(w, http.StatusServiceUnavailable, fault.Code, "Request limit exceeded.")
		return
	}
	answer := p.answer(r, c, body)
	if fault != nil && fault.Kill {
		p.end(&c, "")
		err := errGone
		if c.Process > 0 { // 0 would be this process's own group
			err = syscall.Kill(c.Process, syscall.SIGKILL)
		}
		if err != nil {
			p.note(fmt.Sprintf("the process of %s could not be ended: %v", c.Function, err))
		}
		return
	}
	p.end(&c, errorCode(answer.status, answer.body))
	p.write(w, answer)
}

// answer brings a call to whoever stands in for its service.
func (p *Proxy) answer(r *http.Request, c Call, body []byte) answer {
	if name := c.Service + ":" + c.Action; slices.Contains(p.Missing, name) {
		kept := &kept{header: http.Header{}, answer: answer{status: http.StatusOK}}
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.Ours.ServeHTTP(kept, r)
		kept.answer.header = kept.header
		if kept.status >= http.StatusInternalServerError && r.Context().Err() == nil { // else the function went away
			p.note(fmt.Sprintf("our stand-in failed at %s: %s", name, kept.body))
		}
		return kept.answer
	}
	if slices.Contains(AroundInstances, c.Service) {
		return p.forward(r, p.EC2, body)
	}
	return p.forward(r, p.AWS, body)
}

// AroundInstances are the services that moto stands for: EC2, and those whose
// calls are about its instances.
var AroundInstances = []string{"ec2", "autoscaling", "elasticloadbalancing", "elasticloadbalancingv2", "iam"}

type answer struct {
	status int
	header http.Header
	body   []byte
}

// kept is a ResponseWriter that keeps what is written.
type kept struct {
	answer
	header http.Header
}

func (k *kept) Header() http.Header         { return k.header }
func (k *kept) WriteHeader(status int)      { k.status = status }
func (k *kept) Write(b []byte) (int, error) { k.body = append(k.body, b...); return len(b), nil }

// forward sends a request on as it came. A call is done, and kept as it was
// answered, also where the function that made it is gone before.
func (p *Proxy) forward(r *http.Request, to *url.URL, body []byte) answer {
	ctx, end := context.WithTimeout(context.WithoutCancel(r.Context()), time.Minute)
	defer end()
	address := *r.URL
	address.Scheme, address.Host = to.Scheme, to.Host
	out, err := http.NewRequestWithContext(ctx, r.Method, address.String(), bytes.NewReader(body))
	if err != nil {
		return p.broken(err)
	}
	out.Header, out.Host = r.Header.Clone(), r.Host
	out.Header.Del("Expect")
	in, err := p.client.Do(out)
	if err != nil {
		return p.broken(err)
	}
	defer in.Body.Close()
	text, err := io.ReadAll(in.Body)
	if err != nil {
		return p.broken(err)
	}
	return answer{status: in.StatusCode, header: in.Header, body: text}
}

// broken is noted: a stand-in that does not answer is no fault that was asked for.
func (p *Proxy) broken(err error) answer {
	p.note("no answer from a stand-in: " + err.Error())
	return answer{status: http.StatusBadGateway, body: []byte(err.Error())}
}

func (p *Proxy) write(w http.ResponseWriter, a answer) {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	w.Header().Del("Transfer-Encoding")
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // whoever called may be gone
}

func write(w http.ResponseWriter, status int, kind, text string) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // whoever called may be gone
}

// selfSigned is a certificate for loopback and its text.
func selfSigned() (tls.Certificate, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "cordon e2e"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	made, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	if err != nil {
		return tls.Certificate{}, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{made}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: made}), nil
}
