package e2e_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"cordon/e2e"

	"github.com/google/go-cmp/cmp"
)

// listen starts a proxy and makes a client that trusts its certificate.
func listen(t *testing.T, p *e2e.Proxy) (*http.Client, string) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("the proxy reads in /proc who calls it, which Linux has")
	}
	file := filepath.Join(t.TempDir(), "proxy.pem")
	address, err := p.Listen(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("the proxy's certificate cannot be read")
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}, address
}

func TestProxyTellsWhoCalledAndWhatCameOfIt(t *testing.T) {
	w := newWorld(t)
	for _, path := range []string{"/", "/refuse"} {
		if _, err := w.move(t, path); err != nil {
			t.Fatal(err)
		}
	}
	calls := w.proxy.Calls()
	if len(calls) != 2 || w.reached != 2 || len(w.proxy.Odd()) > 0 {
		t.Fatalf("%d calls are kept, %d reached EC2, odd is %q", len(calls), w.reached, w.proxy.Odd())
	}
	if calls[0].Code != "" || calls[1].Code != "InvalidGroup.NotFound" {
		t.Errorf("codes are %q and %q", calls[0].Code, calls[1].Code)
	}
	for _, c := range calls {
		if c.Process != os.Getpid() || c.Began.IsZero() || c.Ended.Before(c.Began) {
			t.Errorf("a call of process %d, from %v to %v; this is process %d", c.Process, c.Began, c.Ended, os.Getpid())
		}
	}
}

func TestProxyThrottlesAsOftenAsTold(t *testing.T) {
	w := newWorld(t)
	w.proxy.Spoil(e2e.Fault{Hits: func(c e2e.Call) bool { return c.Resources[0] == "eni-1" }, Times: 2, Code: "RequestLimitExceeded"})
	var status []int
	for range 3 {
		s, err := w.move(t, "/")
		if err != nil {
			t.Fatal(err)
		}
		status = append(status, s)
	}
	if diff := cmp.Diff([]int{503, 503, 200}, status); diff != "" || w.reached != 1 || w.proxy.Left() != 0 {
		t.Errorf("(-want +got):\n%s\n%d calls reached EC2, %d faults are left", diff, w.reached, w.proxy.Left())
	}
}

func TestProxyRefusesWhatIsNoCall(t *testing.T) {
	w := newWorld(t)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.address, strings.NewReader("Action=StopInstances"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header = signed("ec2", "POST", "/", "").Header
	a, err := w.client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = a.Body.Close() // its status is what counts
	if a.StatusCode != http.StatusNotImplemented || w.reached != 0 || len(w.proxy.Odd()) != 1 {
		t.Errorf("it is answered with %d, %d calls reached EC2, odd is %q", a.StatusCode, w.reached, w.proxy.Odd())
	}
}

// TestProxyKillsWhoCalled has a process of its own make the call: curl, whose
// end is what the test looks at.
func TestProxyKillsWhoCalled(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("no curl on this machine; install curl")
		}
		t.Skip("no curl on this machine: that a caller is ended cannot be proved; install curl")
	}
	w := newWorld(t)
	w.proxy.Spoil(e2e.Fault{Hits: func(e2e.Call) bool { return true }, Times: 1, Kill: true})
	c := exec.CommandContext(t.Context(), curl, "-q", "-s", "-k", "-H", "Authorization: "+signed("ec2", "POST", "/", "").Header.Get("Authorization"),
		"--data", "Action=TerminateInstances&InstanceId.1=i-1", w.address)
	c.Env = []string{"AWS_LAMBDA_FUNCTION_NAME=cordon-TerminateFunction-0A1B2C"}
	err = c.Run()
	var ended *exec.ExitError
	if !errors.As(err, &ended) {
		t.Fatalf("curl ended with %v", err)
	}
	if s, ok := ended.Sys().(syscall.WaitStatus); !ok || s.Signal() != syscall.SIGKILL {
		t.Errorf("curl ended with %v", err)
	}
	if calls := w.proxy.Calls(); len(calls) != 1 || w.reached != 1 || calls[0].Function != "terminate" {
		t.Errorf("the call was to be done before its caller was ended: %+v, %d reached EC2", calls, w.reached)
	}
}
