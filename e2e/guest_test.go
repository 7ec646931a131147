//go:build e2e && linux

package e2e_test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"cordon/e2e"
	"cordon/internal/guest"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// hosts runs what an agent is told to run: in a guest where the instance is one,
// else as a process here.
type hosts struct {
	*e2e.Shell
	guests sync.Map // *guest.Guest by instance
}

func (h *hosts) Run(ctx context.Context, instance, script string) (string, int, error) {
	g, ok := h.guests.Load(instance)
	if !ok {
		return h.Shell.Run(ctx, instance, script)
	}
	r, err := g.(*guest.Guest).Run(ctx, script)
	return r.Out, r.Status, err
}

// guestMark is on the guest's kernel command line and nowhere else: only there
// does the capture program read memory.
const guestMark = "cordon.guest"

// captureTool is what the evidence bucket has in AVML's place: AVML itself behind
// a few lines of shell. On an instance that is a process here it writes 20 MiB of
// nothing, which is two parts, so that nobody's memory is read but the guest's.
// avml is empty where there is no guest.
func captureTool(avml []byte) (tool []byte, sum string) {
	const head = `#!/bin/sh
[ "$1" = acquire ] || exit 9
case " $(cat /proc/cmdline) " in
*" ` + guestMark + ` "*) ;;
*) exec dd if=/dev/zero of="$2" bs=1048576 count=20 2>/dev/null ;;
esac
tail -c +%d "$0" >"$0.avml" && chmod 700 "$0.avml" && exec "$0.avml" "$@"
exit 9
`
	start := len(head) - len("%d") + len("123") + 1
	tool = append(fmt.Appendf(nil, head, start), avml...)
	hash := sha256.Sum256(tool)
	return tool, hex.EncodeToString(hash[:])
}

// guestMiB is the guest's memory; noGuest says why there is none.
const guestMiB = 256

// noGuest says why there is no guest to be had; empty if there is one.
func noGuest() string {
	if os.Getenv("CORDON_GUEST") == "" || os.Getenv("CORDON_AVML") == "" {
		return "no guest and no AVML are given; run make test-e2e, which says why"
	}
	return ""
}

// capturesAGuest is one run from a finding to a real memory image: the instance's
// agent runs the document's script in a guest with Debian's kernel, and what is in
// the evidence bucket in the end is that guest's memory.
func capturesAGuest(t *testing.T, d *deployment) {
	proxy, err := os.ReadFile(d.certificate)
	if err != nil {
		t.Fatal(err)
	}
	g, err := guest.Boot(t.Context(), guest.Options{Kit: os.Getenv("CORDON_GUEST"), Dir: t.TempDir(), MemoryMiB: guestMiB, Kernel: guestMark, CA: proxy})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	})
	// S3's address is this machine's loopback, which is the guest's own to the guest:
	// somebody there hands on what goes to it. And a process makes a marker that is
	// nowhere but in its memory.
	const seed = "left-by-an-intruder"
	r, err := g.Run(t.Context(), fmt.Sprintf(`busybox setsid busybox nc -ll -p %[1]s -e /bin/busybox nc %[2]s %[1]s </dev/null >/dev/null 2>&1 &
		busybox setsid sh -c 'marker=$(printf %%s %[3]s | sha256sum); while :; do sleep 3600; done' </dev/null >/dev/null 2>&1 &`, d.port, guest.Loopback, seed))
	if err != nil || r.Status != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	marker := sha256.Sum256([]byte(seed))

	sc := newScene(t, d, setting{interfaces: 1, agent: true})
	sc.patience = 12 * time.Minute // a guest in software, beside everything else
	d.hosts.guests.Store(sc.instance, g)
	sc.incident("keep")
	sc.in(sc.everywhere("quarantine-sg"))
	sc.kept("kept")

	image, lock := sc.object("memory/image.lime")
	if lock != "GOVERNANCE" {
		t.Errorf("the image has the lock %q", lock)
	}
	// LiME, version 1. https://github.com/504ensicsLabs/LiME/blob/master/doc/README.md
	if len(image) < guestMiB<<19 || binary.LittleEndian.Uint32(image) != 0x4C694D45 {
		t.Fatalf("the image has %d bytes and begins with %x: not the memory of a guest with %d MiB", len(image), image[:min(len(image), 8)], guestMiB)
	}
	if !strings.Contains(string(image), hex.EncodeToString(marker[:])) {
		t.Error("the marker that a process of the guest holds is not in the image")
	}
	hash := sha256.Sum256(image)
	if !sc.told("SHA-256 of the image in the bucket, computed by Cordon: "+hex.EncodeToString(hash[:])) || !sc.told("The host claimed the same SHA-256.") {
		t.Errorf("no mail tells the image's SHA-256, %x, and that the host claimed the same", hash)
	}
	if r, err := g.Run(t.Context(), `for f in /dev/shm/* /run/cordon*; do [ ! -e "$f" ] || echo "$f"; done`); err != nil || r.Out != "" {
		t.Errorf("left in the guest: %s %v", r.Out, err)
	}
}

// told tells whether a mail of this scene says something.
func (sc *scene) told(what string) bool {
	for _, m := range sc.mails() {
		if strings.Contains(m.Message, what) {
			return true
		}
	}
	return false
}

// object is one of the incident's in the evidence bucket, and its lock.
func (sc *scene) object(name string) ([]byte, string) {
	sc.Helper()
	out, err := sc.d.s3.GetObject(sc.Context(), &s3.GetObjectInput{
		Bucket: aws.String(sc.d.outputs["EvidenceBucketName"]), Key: aws.String("incidents/" + account + "." + region + "." + sc.instance + ".1/" + name),
	})
	sc.must(err)
	text, err := io.ReadAll(out.Body)
	sc.must(err)
	return text, string(out.ObjectLockMode)
}
