//go:build kernel && linux

package guest_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"cordon/internal/guest"
)

func TestAGuestRunsWhatItIsTold(t *testing.T) {
	g, err := guest.Boot(t.Context(), guest.Options{
		Kit: os.Getenv("CORDON_GUEST"), Dir: t.TempDir(), MemoryMiB: 192, Hosts: map[string]string{"evidence.example.com": guest.Loopback},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	before, err := os.ReadFile(g.Disk())
	if err != nil {
		t.Fatal(err)
	}

	r, err := g.Run(t.Context(), "grep -c MemTotal /proc/meminfo; sed -n 's/evidence.example.com/found/p' /etc/hosts; echo oh >&2; exit 7")
	if want := (guest.Result{Status: 7, Out: "1\n10.0.2.2 found\n", Errors: "oh\n"}); err != nil || r.Status != want.Status || !strings.HasSuffix(r.Out, "10.0.2.2 found\n") {
		t.Errorf("%+v %v, want %+v", r, err, want)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if r, err := g.Run(ctx, "sleep 600"); !errors.Is(err, context.DeadlineExceeded) || r.Status != 137 {
		t.Errorf("%+v %v, want a script that is killed when its time is over", r, err)
	}
	if err := g.Link(false); err != nil {
		t.Error(err)
	}
	if err := g.Link(true); err != nil {
		t.Error(err)
	}

	// What is compared with must see a file that was written and deleted again.
	if r, err := g.Run(t.Context(), "echo a trace on the disk >/trace && sync && rm /trace"); err != nil || r.Status != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	if err := g.Off(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(g.Disk())
	if err != nil {
		t.Fatal(err)
	}
	if changed := guest.Changed(before, after); len(changed) == 0 {
		t.Error("a file that was written to the disk and deleted is not seen")
	}
}
