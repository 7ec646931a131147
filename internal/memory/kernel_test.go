//go:build kernel && linux

package memory_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"cordon/internal/guest"
	"cordon/internal/incident"
	"cordon/internal/memory"
)

// kernel is a guest with Debian's kernel, and S3 over TLS under its own name:
// the document's script runs in it with the real AVML.
type kernel struct {
	t           *testing.T
	guest       *guest.Guest
	tool        []byte
	certificate tls.Certificate
	http        *http.Client
	disk        []byte // as it was
}

const (
	service = "s3." + region + ".amazonaws.com"
	guestMB = 256
)

func bootKernel(t *testing.T, command string) *kernel {
	t.Helper()
	k := &kernel{t: t}
	kit, tool := os.Getenv("CORDON_GUEST"), os.Getenv("CORDON_AVML")
	if kit == "" || tool == "" {
		t.Fatal("CORDON_GUEST and CORDON_AVML are not set: run make test-memory")
	}
	var err error
	if k.tool, err = os.ReadFile(tool); err != nil {
		t.Fatal(err)
	}
	authority := k.certify()
	k.guest, err = guest.Boot(t.Context(), guest.Options{
		Kit: kit, Dir: t.TempDir(), MemoryMiB: guestMB, Kernel: command,
		Hosts: map[string]string{bucketName + "." + service: guest.Loopback}, CA: authority,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.guest.Close(); err != nil {
			t.Error(err)
		}
	})
	if k.disk, err = os.ReadFile(k.guest.Disk()); err != nil {
		t.Fatal(err)
	}
	return k
}

// certify makes a certificate for the bucket, which the guest and our side trust.
func (k *kernel) certify() []byte {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		k.t.Fatal(err)
	}
	c := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: service}, DNSNames: []string{service, "*." + service},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		k.t.Fatal(err)
	}
	k.certificate = tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	k.http = &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots},
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			_, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", port))
		},
	}}
	return authority
}

// wire is one capture of this guest, into a bucket of its own. before is shell
// that runs ahead of the script.
func (k *kernel) wire(before string) *wire {
	b := &bucket{objects: map[string][]byte{}, locked: map[string]string{}, uploads: map[string]*upload{}, puts: map[string]int{}, http: k.http}
	b.Server = httptest.NewUnstartedServer(b)
	b.TLS = &tls.Config{Certificates: []tls.Certificate{k.certificate}}
	b.StartTLS()
	k.t.Cleanup(b.Close)
	_, port, err := net.SplitHostPort(b.Listener.Addr().String())
	if err != nil {
		k.t.Fatal(err)
	}
	b.endpoint = "https://" + service + ":" + port

	w := &wire{bucket: b, memory: guestMB, tool: k.tool, life: 10 * time.Minute}
	ctx, cancel := context.WithCancel(k.t.Context())
	k.t.Cleanup(cancel)
	w.cancel = cancel
	w.run = func(script string) string {
		r, err := k.guest.Run(ctx, before+script)
		if err != nil && ctx.Err() == nil {
			k.t.Error(err)
		}
		if r.Errors != "" {
			k.t.Errorf("the script wrote to stderr, which SSM keeps: %s", r.Errors)
		}
		if strings.Contains(r.Out, "X-Amz-Signature") {
			k.t.Error("a pre-signed address is in the output, which SSM keeps")
		}
		k.t.Log(r.Out)
		return r.Out
	}
	w.begin()
	return w
}

// shell runs something in the guest that is to succeed.
func (k *kernel) shell(script string) string {
	k.t.Helper()
	r, err := k.guest.Run(k.t.Context(), script)
	if err != nil || r.Status != 0 {
		k.t.Fatalf("%s: %v %+v", script, err, r)
	}
	return r.Out
}

// clean fails if anything of a capture is still in the guest after some seconds:
// in its tmpfs, or running. The shell that tidies up after a killed one, too.
func (k *kernel) clean(t *testing.T) {
	t.Helper()
	var left string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		left = k.shell(`for f in /dev/shm/* /run/cordon*; do [ ! -e "$f" ] || busybox find "$f"; done; busybox ls -l /proc/[0-9]*/exe 2>/dev/null | busybox grep cordon
			for p in /proc/[0-9]*; do case $(tr '\0' ' ' <"$p/cmdline" 2>/dev/null) in *'watch /dev/shm/cordon'*) echo "$p watches" ;; esac; done; true`)
		if left == "" {
			return
		}
	}
	t.Errorf("left in the guest: %s", left)
}

// text is what must hold of a capture that has no image: it says so, and keeps
// what the guest said of itself.
func (k *kernel) text(t *testing.T, w *wire, got incident.Memory, reason string) {
	t.Helper()
	if got.Status != incident.Partial || !strings.Contains(got.Reason, reason) || got.Object != "" || got.Parts != 0 || got.Triage.Status != incident.OK {
		t.Errorf("got %+v, want text in place of an image: %s", got, reason)
	}
	if len(w.uploads) > 0 || w.object(imageKey) != nil {
		t.Error("an upload or an object is left of a capture that sent no image")
	}
	text := string(w.object(got.Triage.Object))
	if got.Triage.SHA256 != sum([]byte(text)) || w.locked[got.Triage.Object] != "GOVERNANCE" {
		t.Errorf("%+v is not what is kept and locked", got.Triage)
	}
	// The guest's own driver, disk, listener-less network and first process.
	for _, want := range []string{"virtio_net ", "/dev/vda", "\n\tprocess 1\n", "cmdline: /bin/busybox sh", "/run/agent", "eth0"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in what the guest says of itself:\n%s", want, text[:min(len(text), 3000)])
		}
	}
	if !strings.HasSuffix(text, "\n== end\n") {
		t.Error("the text was cut short")
	}
	k.clean(t)
}

// ram is what the guest's kernel says its memory is.
func (k *kernel) ram() []addresses {
	var all []addresses
	for line := range strings.Lines(k.shell("cat /proc/iomem")) {
		var r addresses
		if n, err := fmt.Sscanf(line, "%x-%x : System RAM", &r.first, &r.last); err == nil && n == 2 && strings.HasSuffix(strings.TrimSpace(line), ": System RAM") {
			all = append(all, r)
		}
	}
	if len(all) == 0 {
		k.t.Fatal("the guest's kernel names no memory")
	}
	return all
}

// plant leaves a process in the guest that holds a marker in its memory, which
// it made itself: the marker is nowhere on its disk and never went over a wire.
func (k *kernel) plant(seed string) []byte {
	k.shell(`busybox setsid sh -c 'marker=$(printf %s ` + seed + ` | sha256sum); while :; do sleep 3600; done' </dev/null >/dev/null 2>&1 &`)
	s := sha256.Sum256([]byte(seed))
	return []byte(hex.EncodeToString(s[:]))
}

func TestOnARealKernel(t *testing.T) {
	k := bootKernel(t, "")
	ram := k.ram()
	marker := k.plant("left-by-an-intruder")
	physical, err := k.guest.Physical(guestMB << 20)
	if err != nil {
		t.Fatal(err)
	}
	// lacking is what an image should have and has not. AVML leaves out what is
	// zero for 16 MiB and more, and the kernel lets nobody read the end of a range
	// that is no whole page.
	lacking := func(segments []segment) []addresses {
		var all []addresses
		for _, r := range uncovered(ram, segments) {
			zero := len(bytes.Trim(physical[r.first:r.last+1], "\x00")) == 0
			if end := r.last-r.first < 4096 && (r.last+1)%4096 != 0; !zero && !end {
				all = append(all, r)
			}
		}
		return all
	}

	whole := func(t *testing.T, w *wire, got incident.Memory) []byte {
		t.Helper()
		image := w.object(imageKey)
		if got.Status != incident.OK || got.Object != imageKey || got.Bytes != int64(len(image)) {
			t.Fatalf("got %+v with %d bytes in the bucket, want a capture that is whole", got, len(image))
		}
		if got.SHA256 != sum(image) {
			t.Errorf("the host says SHA-256 %s, the object has %s", got.SHA256, sum(image))
		}
		segments, err := readLiME(image)
		if err != nil {
			t.Fatal(err)
		}
		if missing := lacking(segments); len(missing) > 0 {
			t.Errorf("the image lacks %x of the guest's memory %x", missing, ram)
		}
		if w.locked[imageKey] != "GOVERNANCE" {
			t.Error("the image is not locked")
		}
		k.clean(t)
		return image
	}
	// half is what must hold of a capture that ended early: it says so, and what
	// is kept of it does not pass for an image of the guest's memory.
	half := func(t *testing.T, w *wire, got incident.Memory, reason string) {
		t.Helper()
		image := w.object(imageKey)
		if got.Status != incident.Partial || !strings.Contains(got.Reason, reason) || got.Parts == 0 {
			t.Errorf("got %+v, want it partial: %s", got, reason)
		}
		if got.Bytes != int64(len(image)) || len(image) == 0 || w.locked[imageKey] != "GOVERNANCE" {
			t.Errorf("%d bytes are kept, said to be %d: half a capture is evidence", len(image), got.Bytes)
		}
		segments, err := readLiME(image)
		if err == nil && len(lacking(segments)) == 0 {
			t.Error("what is called partial is the whole image")
		}
		if len(w.uploads) > 0 {
			t.Error("an upload is left open")
		}
	}
	timed := func(name string, f func(t *testing.T)) {
		t.Run(name, func(t *testing.T) {
			at := time.Now()
			f(t)
			t.Logf("took %.0f s", time.Since(at).Seconds())
		})
	}

	timed("the image is the guest's memory, though a part is refused twice and the network cut for a while", func(t *testing.T) {
		w := k.wire("")
		refusals, cut := 2, make(chan error, 1)
		w.refusing(func(_ *http.Request, _ string, part int) int {
			switch {
			case part == 2 && refusals > 0:
				refusals--
				return http.StatusServiceUnavailable
			case part == 4 && refusals == 0:
				refusals = -1
				go func() {
					err := k.guest.Link(false)
					time.Sleep(15 * time.Second)
					cut <- errors.Join(err, k.guest.Link(true))
				}()
			}
			return 0
		})
		got := w.capture(t)
		if err := <-cut; err != nil {
			t.Fatal(err)
		}
		image := whole(t, w, got)
		if n := w.sent(imageKey, 2); n != 3 {
			t.Errorf("part 2 was sent %d times, want 3", n)
		}
		if !bytes.Contains(image, marker) {
			t.Error("the marker that a process holds is not in the image")
		}
		// Held against the machine itself. It ran on meanwhile, so not every page
		// is as it was.
		now, err := k.guest.Physical(guestMB << 20)
		if err != nil {
			t.Fatal(err)
		}
		same, all := 0, 0
		segments, err := readLiME(image)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range segments {
			for at := s.first; at+4096 <= s.last+1; at += 4096 {
				all++
				if n := at - s.first; bytes.Equal(s.content[n:n+4096], now[at:at+4096]) {
					same++
				}
			}
		}
		t.Logf("%d of %d pages are as the machine has them", same, all)
		if same < all/2 {
			t.Errorf("only %d of %d pages are as the machine has them", same, all)
		}
	})
	timed("the tool's hash wrong", func(t *testing.T) {
		w := k.wire("")
		w.put(toolKey, append(bytes.Clone(k.tool), 0))
		k.text(t, w, w.capture(t), memory.InWords("tool-hash"))
	})
	timed("too little free memory", func(t *testing.T) {
		w := k.wire("")
		k.shell("dd if=/dev/zero of=/run/fill bs=1M count=90 2>/dev/null")
		k.text(t, w, w.capture(t), memory.InWords("low-memory"))
		k.shell("rm /run/fill")
	})
	timed("AVML that cannot read the memory", func(t *testing.T) {
		w := k.wire("")
		k.shell("busybox mount --bind /dev/null /proc/kcore && busybox mount --bind /dev/null /dev/mem")
		k.text(t, w, w.capture(t), memory.InWords("tool-failed"))
		k.shell("busybox umount /proc/kcore && busybox umount /dev/mem")
	})
	timed("AVML killed half-way", func(t *testing.T) {
		w := k.wire("")
		killed := make(chan error, 10)
		w.refusing(func(_ *http.Request, _ string, part int) int {
			if part == 3 {
				go func() {
					_, err := k.guest.Run(t.Context(), `for p in /proc/[0-9]*; do case $(readlink "$p/exe") in */tool) kill -9 "${p#/proc/}" ;; esac; done`)
					killed <- err
				}()
			}
			return 0
		})
		half(t, w, w.capture(t), memory.InWords("tool-failed"))
		if err := <-killed; err != nil {
			t.Error(err)
		}
		k.clean(t)
	})
	timed("addresses that have expired", func(t *testing.T) {
		w := k.wire("export CORDON_PAUSE=1 CORDON_TRIES=2\n") // each try sends a part, in software
		w.refusing(func(_ *http.Request, _ string, part int) int {
			if part == 3 {
				w.later = 2 * time.Hour
			}
			return 0
		})
		half(t, w, w.capture(t), memory.InWords("part-refused"))
		k.clean(t)
	})
	// SSM's agent kills, and what was killed tidies up nothing itself.
	timed("the command cancelled half-way", func(t *testing.T) {
		w := k.wire("")
		w.refusing(func(_ *http.Request, _ string, part int) int {
			if part == 3 {
				w.ended = "Cancelled"
				w.cancel()
			}
			return 0
		})
		half(t, w, w.capture(t), "the command ended Cancelled")
		k.clean(t)
	})

	if err := k.guest.Off(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(k.guest.Disk())
	if err != nil {
		t.Fatal(err)
	}
	if changed := guest.Changed(k.disk, after); len(changed) > 0 {
		t.Errorf("the guest's disk is evidence, and %d blocks of it were written: %v", len(changed), changed[:min(len(changed), 20)])
	}
}

func TestOnAKernelThatIsLockedDown(t *testing.T) {
	k := bootKernel(t, "lockdown=confidentiality")
	w := k.wire("")
	k.text(t, w, w.capture(t), memory.InWords("lockdown"))
}
