//go:build linux

package e2e_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cordon/e2e"

	"github.com/google/go-cmp/cmp"
)

func TestProgramsThatDoNotStart(t *testing.T) {
	dir := t.TempDir()
	if _, err := e2e.Start("ministack", filepath.Join(dir, "log"), nil, filepath.Join(dir, "python")); err == nil || !strings.Contains(err.Error(), "run make test-e2e, which installs it") {
		t.Errorf("a program that is missing: %v", err)
	}
	taken, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = taken.Close() }) // nothing was asked of it
	free, err := e2e.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		taken.Addr().String():             "ministack cannot listen on " + taken.Addr().String() + ", which another program took meanwhile; run make test-e2e again, it looks for another port",
		fmt.Sprintf("127.0.0.1:%d", free): "ministack ended as it started: no module named ministack",
	} {
		p, err := e2e.Start("ministack", filepath.Join(dir, "log"), nil, "sh", "-c", "echo no module named ministack; exit 1")
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Ready(t.Context(), "http://"+address+"/"); err == nil || err.Error() != want {
			t.Errorf("it is told so: %v; want %s", err, want)
		}
		if err := p.Stop(); err != nil {
			t.Errorf("to stop what has ended: %v", err)
		}
	}
}

func TestProgramsEndWithWhatTheyStarted(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := e2e.Start("moto", log, []string{"PATH=" + os.Getenv("PATH")}, "sh", "-c", "(trap '' TERM; exec sleep 600) & echo $!; wait")
	if err != nil {
		t.Fatal(err)
	}
	var child []byte
	for end := time.Now().Add(10 * time.Second); len(child) == 0 && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if child, err = os.ReadFile(log); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	gone(t, strings.TrimSpace(string(child)))
}

// gone waits until a process has ended.
func gone(t *testing.T, id string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		state, err := os.ReadFile("/proc/" + id + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") { // a zombie has ended
			return
		}
		if time.Now().After(end) {
			t.Fatalf("it still runs: %s", state)
		}
	}
}

func TestTroubleIsOneLine(t *testing.T) {
	for said, want := range map[string]string{
		"Creating the required resources...\nError: Failed to create changeset: no\n\nSAM CLI update available\n": "Error: Failed to create changeset: no",
		"make: go\nmake: *** [Makefile:1: build] Error 1\n":                                                       "make: *** [Makefile:1: build] Error 1",
		"": "",
	} {
		if got := e2e.Trouble(said); got != want {
			t.Errorf("of %q it is %q; want %q", said, got, want)
		}
	}
}

// TestWhatARunLeftIsEnded has a process leave its group and its parent, as
// daemons do, and another that is of no run.
func TestWhatARunLeftIsEnded(t *testing.T) {
	run := fmt.Sprint("test-", os.Getpid())
	leave := func(environment ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), "sh", "-c", "sleep 600 >/dev/null 2>&1 & echo $!")
		c.Env = append(environment, "PATH="+os.Getenv("PATH"))
		c.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		id, err := c.Output()
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(id))
	}
	ours, others := []string{leave(e2e.Mark + "=" + run), leave(e2e.Mark + "=" + run)}, leave(e2e.Mark+"="+run+"0")
	ended, err := e2e.EndMarked(run)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"sleep " + ours[0], "sleep " + ours[1]}, ended, cmp.Transformer("sorted", func(all []string) []string { return slices.Sorted(slices.Values(all)) })); diff != "" {
		t.Errorf("ended (-want +got):\n%s", diff)
	}
	gone(t, ours[0])
	gone(t, ours[1])
	if left, err := e2e.EndMarked(run + "0"); err != nil || !slices.Equal(left, []string{"sleep " + others}) {
		t.Errorf("what is of another run was ended too: %q, %v", left, err)
	}
}
