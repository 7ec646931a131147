package sim

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"
)

// hears tells whether an instance reaches what a capture needs: SSM, its
// messages, and S3.
func (s *SSM) hears(instance string) bool {
	i := s.a.ec2.instance(instance)
	if i == nil || i.State.Name != ec2types.InstanceStateNameRunning {
		return false
	}
	for _, service := range []string{"ssm", "ssmmessages", "s3"} {
		if ok, _ := s.a.reaches(instance, service); !ok {
			return false
		}
	}
	return true
}

// hostRun is a host that runs the capture script, as far as the world outside
// it can tell: what it fetches, sends and prints, and when. What it sends goes
// through pre-signed addresses, which S3 judges at the time of the look.
type hostRun struct {
	s      *SSM
	c      *command
	given  map[string]string
	at     time.Time // how far it is
	lines  []string  // of the current batch
	polled time.Time // when newer addresses were looked for
	began  bool
	parts  int
	bytes  int64
	starve time.Time // since when it has no address for its next part
	tries  int       // a part was refused so often
	report strings.Builder
	triage string    // SHA-256 of the text that was sent; empty for none
	sum    []Content // what was sent
}

// The script's own patience.
const (
	hostPause    = 5 * time.Second
	hostPatience = 15 * time.Minute
	hostRefresh  = 10 * time.Minute
	hostTries    = 20
)

func (h *hostRun) address(word string) string {
	for _, l := range h.lines {
		if rest, ok := strings.CutPrefix(l, word+" "); ok {
			return rest
		}
	}
	return ""
}

// fetch makes that batch the current one, if it is there and whole.
func (h *hostRun) fetch(url string) bool {
	r := h.s.a.s3.Serve(Request{Method: "GET", URL: url})
	if r.Status != 200 {
		return false
	}
	text, err := io.ReadAll(r.Body)
	if err != nil || !bytes.HasPrefix(text, []byte("cordon-batch 1\n")) || !bytes.HasSuffix(text, []byte("\nend\n")) {
		return false
	}
	h.lines = strings.Split(string(text), "\n")
	return true
}

// follow goes on to the newest batch.
func (h *hostRun) follow() bool {
	moved := false
	for h.fetch(h.address("next")) {
		moved = true
	}
	h.polled = h.at
	return moved
}

// run does what the host does until then.
func (h *hostRun) run(until time.Time) {
	if !h.began {
		if !h.begin(until) {
			return
		}
		h.began = true
	}
	size, _ := strconv.ParseInt(h.given["PartMiB"], 10, 64)
	size <<= 20
	memory := h.memory()
	rate := int64(cmp.Or(h.s.host.throughput, 80)) << 20
	for !h.c.over() {
		if h.bytes >= memory {
			if h.at.After(until) {
				return
			}
			h.finish("ok", "")
			return
		}
		n := min(size, memory-h.bytes)
		took := time.Duration(float64(n) / float64(rate) * float64(time.Second))
		if h.at.Add(took).After(until) {
			return
		}
		if h.at.Sub(h.polled) >= hostRefresh {
			h.follow()
		}
		url := h.address(fmt.Sprintf("put %d", h.parts+1))
		if url == "" && h.follow() {
			continue
		}
		if url == "" {
			if h.starve.IsZero() {
				h.starve = h.at
			}
			// Nothing new comes before the step's next look, which is this one.
			h.at = until
			if h.at.Sub(h.starve) >= hostPatience {
				h.finish("partial", "no-addresses")
			}
			return
		}
		h.starve = time.Time{}
		h.send(url, n, took)
	}
}

// begin is the script up to the first byte; false if it ended there, or still
// tries to fetch its first addresses.
func (h *hostRun) begin(until time.Time) bool {
	for _, other := range h.s.commands {
		if other != h.c && other.instance == h.c.instance && !other.over() && other.host.began && other.host.given["Incident"] == h.given["Incident"] {
			h.finish("skipped", "busy")
			return false
		}
	}
	windows := h.c.system == types.PlatformTypeWindows
	switch {
	case h.s.host.noCurl && !windows:
		h.finish("skipped", "no-curl")
	case !h.fetch(h.given["Batch"]):
		if end := h.at.Add(hostTries * hostPause); !until.Before(end) {
			h.at = end
			h.finish("failed", "no-batch")
		}
	case windows:
		h.instead("skipped", "windows")
	case h.s.host.lockdown == "confidentiality":
		h.instead("skipped", "lockdown")
	case h.address("tool") == "":
		h.instead("skipped", "no-program")
	default:
		r := h.s.a.s3.Serve(Request{Method: "GET", URL: h.address("tool")})
		tool, err := io.ReadAll(r.Body)
		sum := sha256.Sum256(tool)
		switch {
		case r.Status != 200 || err != nil:
			h.instead("failed", "no-tool")
		case hex.EncodeToString(sum[:]) != h.given["ToolSha256"]:
			h.instead("failed", "tool-hash")
		default:
			h.polled = h.at
			h.report.WriteString("cordon-memory 1\n")
			return true
		}
	}
	return false
}

// memory is how much the host has.
func (h *hostRun) memory() int64 {
	if n := h.s.host.memoryGiB; n > 0 {
		return int64(n) << 30
	}
	i := h.s.a.ec2.instance(h.c.instance)
	if i == nil {
		return 0
	}
	t := find(h.s.a.ec2.InstanceTypes, string(i.InstanceType), func(t *ec2types.InstanceTypeInfo) *string { return (*string)(&t.InstanceType) })
	if t == nil {
		t = byName(i.InstanceType)
	}
	if t == nil || t.MemoryInfo == nil {
		return 1 << 30
	}
	return aws.ToInt64(t.MemoryInfo.SizeInMiB) << 20
}

// send puts the next part.
func (h *hostRun) send(url string, n int64, took time.Duration) {
	c := Content{Head: []byte("EMiL"), Length: n, Hash: fmt.Sprintf("memory of %s, part %d", h.c.instance, h.parts+1)}
	sent := c
	if h.parts+1 == h.s.host.partAltered {
		sent.Hash += ", altered"
	}
	switch r := h.s.a.s3.Serve(Request{Method: "PUT", URL: url, Body: sent}); r.Status {
	case 200:
		h.at, h.tries = h.at.Add(took), 0
		h.parts++
		h.bytes += n
		hash := sha256.Sum256([]byte(c.Hash))
		h.sum = append(h.sum, c)
		fmt.Fprintf(&h.report, "part %d %d %x %x\n", h.parts, n, c.digest(), hash)
	case 404:
		h.finish("partial", "upload-gone")
	default:
		if !h.follow() {
			h.at = h.at.Add(hostPause)
		}
		if h.tries++; h.tries >= hostTries {
			h.finish("partial", "part-refused")
		}
	}
}

// instead sends text where there can be no image, then ends.
func (h *hostRun) instead(status, reason string) {
	text := fmt.Appendf(nil, "cordon-triage 1\n\n== processes\n\tprocess 1 of %s\n\n== end\n", h.c.instance)
	if h.s.a.s3.Serve(Request{Method: "PUT", URL: h.address("triage"), Body: Bytes(text)}).Status == 200 {
		sum := sha256.Sum256(text)
		h.triage = hex.EncodeToString(sum[:])
	}
	h.finish(status, reason)
}

// finish sends the report and prints the last line.
func (h *hostRun) finish(status, reason string) {
	sum := ""
	if status == "ok" {
		all := sha256.New()
		for _, c := range h.sum {
			if err := c.thin(all, 0, c.Length); err != nil {
				panic(fmt.Sprintf("sim: a hash refuses bytes: %v", err))
			}
		}
		sum = hex.EncodeToString(all.Sum(nil))
	}
	footprint := 0
	if h.began {
		mib, _ := strconv.Atoi(h.given["PartMiB"])
		footprint = mib*1024 + 1
	}
	tool := -1
	if status == "ok" {
		tool = 0
	}
	kernel, machine, lockdown := "Linux 6.1.0", "x86_64", cmp.Or(h.s.host.lockdown, "none")
	if h.c.system == types.PlatformTypeWindows {
		kernel, machine, lockdown = "Windows 10.0.20348.0", "AMD64", ""
	}
	line := fmt.Sprintf(`{"status":%q,"reason":%q,"parts":%d,"bytes":%d,"sha256":%q,"kernel":%q,"machine":%q,"lockdown":%q,"footprintKiB":%d,"tool":%d,"triage":%q,"said":""`,
		status, reason, h.parts, h.bytes, sum, kernel, machine, lockdown, footprint, tool, h.triage)
	sent := "no"
	if h.began {
		fmt.Fprintf(&h.report, "end %s}\n", line)
		h.follow()
		if h.s.a.s3.Serve(Request{Method: "PUT", URL: h.address("report"), Body: Bytes([]byte(h.report.String()))}).Status == 200 {
			sent = "yes"
		}
	}
	h.c.output = line + `,"report":"` + sent + "\"}\n"
	if status == "ok" {
		h.c.end(h.at, types.CommandInvocationStatusSuccess, "Success", 0)
	} else {
		h.c.end(h.at, types.CommandInvocationStatusFailed, "Failed", 1)
	}
}
