package memory_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cordon/internal/memory"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"
)

// machine is a host that the script runs on: a directory that stands for its
// tmpfs, with stand-ins for what it reads of the kernel.
type machine struct {
	t     *testing.T
	dir   string
	image []byte // what the stand-in tool writes
	tool  []byte
	env   map[string]string
}

// shell is the sh that runs the script, CORDON_SHELL if that names another; that
// it and curl are there is part of what a hosted run tests, as on a host.
func shell(t *testing.T) []string {
	t.Helper()
	sh := strings.Fields(os.Getenv("CORDON_SHELL"))
	if len(sh) == 0 {
		sh = []string{"sh"}
	}
	if _, err := exec.LookPath(sh[0]); err != nil {
		lacks(t, "no sh on this machine: the script that captures memory cannot be proved; install a POSIX shell")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		lacks(t, "no curl on this machine: the script that captures memory cannot be proved; install curl")
	}
	return sh
}

// lacks skips a test, as Go and make are all that the tests need; a hosted run
// has what they can use.
func lacks(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}

func newMachine(t *testing.T, size int) *machine {
	t.Helper()
	m := &machine{t: t, dir: t.TempDir(), image: make([]byte, size)}
	if _, err := rand.NewChaCha8([32]byte{7}).Read(m.image); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"tmpfs", "locks", "proc", "bin"} {
		if err := os.Mkdir(filepath.Join(m.dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	m.write("image", m.image)
	m.write("proc/mounts", []byte("proc /proc proc rw 0 0\ntmpfs "+m.path("tmpfs")+" tmpfs rw,nosuid,nodev 0 0\n"))
	m.write("proc/meminfo", []byte("MemTotal: 1000000 kB\nMemFree: 1000 kB\nMemAvailable: 800000 kB\n"))
	m.write("lockdown", []byte("[none] integrity confidentiality\n"))
	m.tool = []byte("#!/bin/sh\n[ \"$1\" = acquire ] || exit 9\ncat '" + m.path("image") + "' >\"$2\"\n")
	m.env = map[string]string{
		"PATH": os.Getenv("PATH"), "CORDON_PROC": m.path("proc"), "CORDON_LOCKDOWN": m.path("lockdown"), "CORDON_ROOTS": m.path("none") + " " + m.path("tmpfs"),
		"CORDON_LOCKS": m.path("locks"), "CORDON_PAUSE": "0.05", "CORDON_INCIDENT": incidentID, "CORDON_PART_MIB": "5",
	}
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) write(name string, b []byte) {
	m.t.Helper()
	if err := os.WriteFile(m.path(name), b, 0o600); err != nil {
		m.t.Fatal(err)
	}
}

// run runs a script to its end and returns its output.
func (m *machine) run(script string) string {
	ctx, cancel := context.WithTimeout(m.t.Context(), time.Minute)
	defer cancel()
	sh := shell(m.t)
	c := exec.CommandContext(ctx, sh[0], append(sh[1:], "-c", script)...)
	c.WaitDelay = time.Second
	for k, v := range m.env {
		c.Env = append(c.Env, k+"="+v)
	}
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) || ctx.Err() != nil {
		m.t.Errorf("the script did not end: %v %v", err, ctx.Err())
	}
	if errs.Len() > 0 {
		m.t.Errorf("the script wrote to stderr, which SSM keeps: %s", errs.String())
	}
	if strings.Contains(out.String(), "X-Amz-Signature") {
		m.t.Error("a pre-signed address is in the output, which SSM keeps")
	}
	return out.String()
}

// script is what the document runs.
var script = memory.Triage + "\n" + memory.Script

// outcome is the script's last line, as far as it does not depend on the machine.
type outcome struct {
	Status, Reason, SHA256, Report string
	Parts                          int
	Bytes                          int64
	Tool                           int
	FootprintKiB                   int64
	Kernel                         string
	Triage                         string // SHA-256 of the text that was sent in place of an image
}

func parse(t *testing.T, out string) outcome {
	t.Helper()
	var o outcome
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatalf("the output is not one line of JSON: %v\n%s", err, out)
	}
	return o
}

// left lists what the capture left on the machine.
func (m *machine) left() []string {
	var all []string
	for _, d := range []string{"tmpfs", "locks"} {
		entries, err := os.ReadDir(m.path(d))
		if err != nil {
			m.t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, d+"/"+e.Name())
		}
	}
	return all
}

const (
	incidentID = "123456789012.ap-northeast-1.i-0abc.1"
	imageKey   = "incidents/" + incidentID + "/memory/image.lime"
	reportKey  = "incidents/" + incidentID + "/memory/report.txt"
	triageKey  = "incidents/" + incidentID + "/memory/triage-sent.txt"
	toolKey    = "tools/avml"
)

// server is our side for tests of the script alone: it writes batches by hand.
type server struct {
	*bucket
	t      *testing.T
	upload string
}

func newServer(t *testing.T, m *machine) *server {
	s := &server{bucket: openBucket(t), t: t}
	out, err := s.client().CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucketName), Key: aws.String(imageKey), ServerSideEncryption: "AES256"})
	if err != nil {
		t.Fatal(err)
	}
	s.upload = *out.UploadId
	s.put(toolKey, m.tool)
	m.env["CORDON_SHA256"] = sum(m.tool)
	m.env["CORDON_BATCH"] = s.get("batch-000001")
	return s
}

func (s *server) get(key string) string {
	r, err := s3.NewPresignClient(s.client()).PresignGetObject(s.t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucketName), Key: &key})
	if err != nil {
		s.t.Fatal(err)
	}
	return r.URL
}

// batch writes batch n with the addresses of these parts, living so long.
func (s *server) batch(n int, life time.Duration, parts ...int) {
	sign := s3.NewPresignClient(s.client())
	var b strings.Builder
	report, err := sign.PresignPutObject(s.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String(reportKey)})
	if err != nil {
		s.t.Fatal(err)
	}
	text, err := sign.PresignPutObject(s.t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucketName), Key: aws.String(triageKey)})
	if err != nil {
		s.t.Fatal(err)
	}
	fmt.Fprintf(&b, "cordon-batch 1\ntool %s\nreport %s\ntriage %s\n", s.get(toolKey), report.URL, text.URL)
	for _, p := range parts {
		r, err := sign.PresignUploadPart(s.t.Context(), &s3.UploadPartInput{Bucket: aws.String(bucketName), Key: aws.String(imageKey), UploadId: &s.upload, PartNumber: aws.Int32(int32(p))}, s3.WithPresignExpires(life))
		if err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(&b, "put %d %s\n", p, r.URL)
	}
	fmt.Fprintf(&b, "next %s\nend\n", s.get(fmt.Sprintf("batch-%06d", n+1)))
	s.put(fmt.Sprintf("batch-%06d", n), []byte(b.String()))
}

// uploaded is the parts in order.
func (s *server) uploaded() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var whole []byte
	for n := 1; n <= len(s.uploads[s.upload].parts); n++ {
		whole = append(whole, s.uploads[s.upload].parts[n]...)
	}
	return whole
}

func TestTheScriptSendsEveryByte(t *testing.T) {
	for name, size := range map[string]int{"a last part that is short": 12<<20 + 17, "a last part that is full": 15 << 20, "one byte over": 10<<20 + 1, "less than a part": 100} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, size)
			s := newServer(t, m)
			s.batch(1, time.Minute, 1, 2, 3, 4)
			got := parse(t, m.run(script))
			parts := (size + 5<<20 - 1) / (5 << 20)
			want := outcome{Status: "ok", SHA256: sum(m.image), Report: "yes", Parts: parts, Bytes: int64(size), FootprintKiB: got.FootprintKiB, Kernel: got.Kernel}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
			if got.FootprintKiB < 5<<10 || got.Kernel == "" {
				t.Errorf("footprint %d KiB, kernel %q: what the capture itself is in the image must be recorded", got.FootprintKiB, got.Kernel)
			}
			if !bytes.Equal(s.uploaded(), m.image) {
				t.Error("what S3 holds is not what the tool wrote")
			}
			if lines := strings.Count(string(s.object(reportKey)), "\n"); lines != parts+2 {
				t.Errorf("the report has %d lines, want one for each of %d parts, a first and a last", lines, parts)
			}
			if l := m.left(); len(l) > 0 {
				t.Errorf("left behind on the host: %v", l)
			}
		})
	}
}

func TestTheScriptGoesOn(t *testing.T) {
	t.Run("when a part is refused twice", func(t *testing.T) {
		m := newMachine(t, 12<<20)
		s := newServer(t, m)
		s.batch(1, time.Minute, 1, 2, 3)
		refusals := 2
		s.refusing(func(r *http.Request, key string, part int) int {
			if part == 2 && refusals > 0 {
				refusals--
				return http.StatusServiceUnavailable
			}
			return 0
		})
		if got := parse(t, m.run(script)); got.Status != "ok" || !bytes.Equal(s.uploaded(), m.image) {
			t.Errorf("%+v; the image must be whole", got)
		}
		if n := s.sent(imageKey, 2); n != 3 {
			t.Errorf("part 2 was sent %d times, want 3", n)
		}
	})
	t.Run("when the next batch is late", func(t *testing.T) {
		m := newMachine(t, 12<<20)
		s := newServer(t, m)
		s.batch(1, time.Minute, 1, 2)
		asked := 0
		s.refusing(func(r *http.Request, key string, part int) int {
			if key == "batch-000002" {
				if asked++; asked < 4 {
					return http.StatusNotFound
				}
			}
			return 0
		})
		s.batch(2, time.Minute, 3, 4)
		if got := parse(t, m.run(script)); got.Status != "ok" || !bytes.Equal(s.uploaded(), m.image) {
			t.Errorf("%+v; the image must be whole", got)
		}
	})
	t.Run("when addresses have expired and newer ones are there", func(t *testing.T) {
		m := newMachine(t, 12<<20)
		s := newServer(t, m)
		s.batch(1, time.Second, 1, 2, 3)
		time.Sleep(1100 * time.Millisecond) // the signatures are real, so is their clock
		s.batch(2, time.Minute, 1, 2, 3)
		if got := parse(t, m.run(script)); got.Status != "ok" || !bytes.Equal(s.uploaded(), m.image) {
			t.Errorf("%+v; the image must be whole", got)
		}
	})
	t.Run("when the batch is there in part", func(t *testing.T) {
		m := newMachine(t, 6<<20)
		s := newServer(t, m)
		s.batch(1, time.Minute, 1, 2)
		whole := s.object("batch-000001")
		s.put("batch-000001", whole[:len(whole)/2])
		asked := 0
		s.refusing(func(r *http.Request, key string, part int) int {
			if asked++; asked == 3 {
				s.objects["batch-000001"] = whole
			}
			return 0
		})
		if got := parse(t, m.run(script)); got.Status != "ok" || !bytes.Equal(s.uploaded(), m.image) {
			t.Errorf("%+v; the image must be whole", got)
		}
	})
	t.Run("by the addresses of the newest batch", func(t *testing.T) {
		m := newMachine(t, 12<<20)
		m.env["CORDON_REFRESH"] = "0"
		s := newServer(t, m)
		s.batch(1, time.Minute, 1, 2, 3)
		s.batch(2, time.Minute, 1, 2, 3)
		s.batch(3, time.Minute, 2, 3) // the first part's address is in an earlier one only
		s.batch(4, time.Minute, 1, 2, 3)
		if got := parse(t, m.run(script)); got.Status != "ok" || !bytes.Equal(s.uploaded(), m.image) {
			t.Errorf("%+v; the image must be whole", got)
		}
	})
}

func TestTheScriptSaysWhyNot(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*machine, *server)
		want   outcome
		ran    bool // the tool
	}{
		"wrong program": {
			func(m *machine, s *server) { s.put(toolKey, append(m.tool, "touch "+m.path("ran")+"\n"...)) },
			outcome{Status: "failed", Reason: "tool-hash", Report: "no", Tool: -1, Triage: "sent"},
			false,
		},
		"no program": {
			func(m *machine, s *server) { s.remove(toolKey) },
			outcome{Status: "failed", Reason: "no-tool", Report: "no", Tool: -1, Triage: "sent"},
			false,
		},
		"no batch": {
			func(m *machine, s *server) { s.remove("batch-000001") },
			outcome{Status: "failed", Reason: "no-batch", Report: "no", Tool: -1},
			false,
		},
		"no network": {
			func(m *machine, s *server) { m.env["CORDON_BATCH"] = "http://127.0.0.1:1/batch" },
			outcome{Status: "failed", Reason: "no-batch", Report: "no", Tool: -1},
			false,
		},
		"an address with a quote in it": {
			func(m *machine, s *server) { m.env["CORDON_BATCH"] = s.URL + `/"x` },
			outcome{Status: "failed", Reason: "no-batch", Report: "no", Tool: -1},
			false,
		},
		"kernel locked down": {
			func(m *machine, s *server) { m.write("lockdown", []byte("none integrity [confidentiality]\n")) },
			outcome{Status: "skipped", Reason: "lockdown", Report: "no", Tool: -1, Triage: "sent"},
			false,
		},
		"too little memory": {
			func(m *machine, s *server) { m.write("proc/meminfo", []byte("MemAvailable: 100000 kB\n")) },
			outcome{Status: "skipped", Reason: "low-memory", Report: "no", Tool: -1, Triage: "sent"},
			false,
		},
		"no tmpfs": {
			func(m *machine, s *server) {
				m.write("proc/mounts", []byte("/dev/sda1 "+m.path("tmpfs")+" ext4 rw 0 0\n"))
			},
			outcome{Status: "skipped", Reason: "no-tmpfs", Report: "no", Tool: -1},
			false,
		},
		"a system without Linux's /proc": { // as BSD
			func(m *machine, s *server) { m.env["CORDON_PROC"] = m.path("nowhere") },
			outcome{Status: "skipped", Reason: "no-proc", Report: "no", Tool: -1},
			false,
		},
		"a tmpfs that runs nothing": {
			func(m *machine, s *server) {
				m.write("proc/mounts", []byte("tmpfs "+m.path("tmpfs")+" tmpfs rw,noexec,nosuid 0 0\n"))
			},
			outcome{Status: "skipped", Reason: "no-tmpfs", Report: "no", Tool: -1},
			false,
		},
		"another capture under way": {
			func(m *machine, s *server) {
				if err := os.Mkdir(m.path("locks/cordon-"+incidentID), 0o700); err != nil {
					m.t.Fatal(err)
				}
			},
			outcome{Status: "skipped", Reason: "busy", Report: "no", Tool: -1},
			false,
		},
		"a program that never opens the pipe": {
			func(m *machine, s *server) {
				m.useTool(s, "#!/bin/sh\necho 'cannot open \"/proc/kcore\"' >&2\nexit 3\n")
			},
			outcome{Status: "failed", Reason: "tool-failed", Report: "yes", Tool: 3, SHA256: sum(nil), Triage: "sent"},
			true,
		},
		"a program for another machine": {
			func(m *machine, s *server) { m.useTool(s, "\x7fELF\x02\x01\x01not for us") },
			outcome{Status: "failed", Reason: "tool-does-not-run", Report: "yes", Tool: 126, SHA256: sum(nil), Triage: "sent"},
			true,
		},
		"a program that writes nothing": {
			func(m *machine, s *server) { m.useTool(s, "#!/bin/sh\n: >\"$2\"\n") },
			outcome{Status: "failed", Reason: "no-bytes", Report: "yes", SHA256: sum(nil), Triage: "sent"},
			true,
		},
		"a program that dies half-way": {
			func(m *machine, s *server) {
				m.useTool(s, "#!/bin/sh\nhead -c 7340032 '"+m.path("image")+"' >\"$2\"\nexit 1\n")
			},
			outcome{Status: "partial", Reason: "tool-failed", Report: "yes", Tool: 1, Parts: 2, Bytes: 7 << 20, SHA256: "of what there was"},
			true,
		},
		"a part that is always refused": {
			func(m *machine, s *server) {
				s.refusing(func(_ *http.Request, _ string, part int) int {
					if part == 2 {
						return http.StatusForbidden
					}
					return 0
				})
			},
			outcome{Status: "partial", Reason: "part-refused", Report: "yes", Tool: -1, Parts: 1, Bytes: 5 << 20},
			true,
		},
		"a next batch that never comes": {
			func(m *machine, s *server) { m.env["CORDON_PATIENCE"] = "3"; s.batch(1, time.Minute, 1, 2) },
			outcome{Status: "partial", Reason: "no-addresses", Report: "yes", Tool: -1, Parts: 2, Bytes: 10 << 20},
			true,
		},
		"an upload that was ended": {
			func(m *machine, s *server) {
				s.refusing(func(_ *http.Request, _ string, part int) int {
					if part == 3 {
						delete(s.uploads, s.upload)
					}
					return 0
				})
			},
			outcome{Status: "partial", Reason: "upload-gone", Report: "yes", Tool: -1, Parts: 2, Bytes: 10 << 20},
			true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, 12<<20)
			s := newServer(t, m)
			s.batch(1, time.Minute, 1, 2, 3)
			c.change(m, s)
			got := parse(t, m.run(script))
			if c.want.SHA256 == "of what there was" {
				c.want.SHA256 = sum(m.image[:c.want.Bytes])
			}
			if c.want.Tool == 126 && got.Tool == 127 {
				c.want.Tool = 127 // busybox's word for what does not run
			}
			c.want.Kernel, c.want.FootprintKiB = got.Kernel, got.FootprintKiB
			if text := s.object(triageKey); text != nil && got.Triage == sum(text) {
				got.Triage = "sent"
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if c.ran != (got.FootprintKiB > 0) {
				t.Errorf("footprint %d KiB, but the tool ran: %t", got.FootprintKiB, c.ran)
			}
			if _, err := os.Stat(m.path("ran")); err == nil {
				t.Error("a program with another hash was run")
			}
			if l := m.left(); len(l) > 0 && got.Reason != "busy" {
				t.Errorf("left behind on the host: %v", l)
			}
		})
	}
}

// Whatever a host has for names, its text cannot look like ours: what it says is
// further right. Secrets of processes stay out of it, and it ends somewhere.
func TestTheTextOfAHost(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 0)
	m.write("lockdown", []byte("none integrity [confidentiality]\n"))
	for name, text := range map[string]string{
		"proc/7/status":       "Name:\tmalware\nState:\tS (sleeping)\nPPid:\t1\nUid:\t0\t0\t0\t0\nVmRSS:\t1 kB\n",
		"proc/7/cmdline":      "./malware\x00\n== end\n\x00\x1b[2Jx\x00",
		"proc/7/environ":      "AWS_SECRET_ACCESS_KEY=hush\x00",
		"proc/7/maps":         "7f00-7f01 r-xp 00000000 00:01 1 /memfd:x (deleted)\n7f02-7f03 r-xp 00000000 08:01 2 /lib/libc.so\n",
		"proc/7/loginuid":     "1000",
		"proc/modules":        "rootkit 16384 0 - Live 0x0\n",
		"proc/net/tcp":        "sl local_address rem_address st\n 0: 0100007F:0016 00000000:0000 0A\n",
		"proc/net/unix":       strings.Repeat("0000000000000000: 00000002 00000000 00010000 0001 01 12345 /run/x\n", 200_000),
		"proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n",
		"sessions/1":          "USER=intruder\nREMOTE_HOST=203.0.113.9\n",
	} {
		if err := os.MkdirAll(filepath.Dir(m.path(name)), 0o700); err != nil {
			t.Fatal(err)
		}
		m.write(name, []byte(text))
	}
	hidden := m.path("malware (deleted)\n== end")
	if err := os.WriteFile(hidden, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(hidden, m.path("proc/7/exe")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(m.path("proc/self/ns"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("pid:[4026532042]", m.path("proc/self/ns/pid")); err != nil {
		t.Fatal(err)
	}
	m.env["CORDON_SESSIONS"] = m.path("sessions")
	s := newServer(t, m)
	s.batch(1, time.Minute, 1)
	said := func() string {
		s.put(triageKey, nil)
		if got := parse(t, m.run(script)); got.Triage != sum(s.object(triageKey)) || got.Triage == sum(nil) {
			t.Fatalf("%+v; want the text sent", got)
		}
		return string(s.object(triageKey))
	}
	if n := len(said()); n != 8<<20 {
		t.Errorf("the text of a host with very many sockets has %d bytes, want it cut at 8 MiB", n)
	}
	m.write("proc/net/unix", []byte("Num RefCount\n"))
	text := said()
	for _, want := range []string{
		"\n\tprocess 7\n", "\n\t\tName:\tmalware\n", "./malware ", "/memfd:x (deleted)", "loginuid: 1000", "rootkit 16384", "0100007F:0016", "/dev/sda1 rw", "REMOTE_HOST=203.0.113.9", "/malware (deleted)",
		"\ta container's view, not the host's: pid:[4026532042]\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the text", want)
		}
	}
	for _, never := range []string{"hush", "\x1b", "libc.so", "VmRSS"} {
		if strings.Contains(text, never) {
			t.Errorf("%q is in the text", never)
		}
	}
	if n := strings.Count(text, "\n== end"); n != 1 || !strings.HasSuffix(text, "\n== end\n") {
		t.Errorf("%d ends: a process's name passes for ours", n)
	}
	if l := m.left(); len(l) > 0 {
		t.Errorf("left behind on the host: %v", l)
	}
}

// SSM's agent ends a command with SIGKILL to its process group. What was killed
// tidies up nothing; what it left behind for that does.
// https://github.com/aws/amazon-ssm-agent/blob/mainline/agent/executers/executers_unix.go
func TestAKilledCaptureLeavesNothing(t *testing.T) {
	if _, err := exec.LookPath("setsid"); err != nil {
		lacks(t, "no setsid on this machine: a killed capture leaves what it held; install util-linux")
	}
	for name, group := range map[string]bool{"with its group": true, "alone": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, 12<<20)
			s := newServer(t, m)
			s.batch(1, time.Minute, 1, 2, 3)
			sh := shell(t)
			c := exec.CommandContext(t.Context(), sh[0], append(sh[1:], "-c", script)...)
			for k, v := range m.env {
				c.Env = append(c.Env, k+"="+v)
			}
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			var held []string
			s.refusing(func(_ *http.Request, _ string, part int) int {
				if part == 2 && held == nil {
					held = m.left()
					pid := c.Process.Pid
					if group {
						pid = -pid
					}
					if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
						t.Error(err)
					}
				}
				return 0
			})
			if err := c.Run(); err == nil {
				t.Error("the script ended well though it was killed")
			}
			if len(held) != 2 {
				t.Errorf("half-way it held %v, want a directory and a lock", held)
			}
			var left []string
			for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				if left = m.left(); len(left) == 0 {
					return
				}
			}
			t.Errorf("left behind on the host: %v", left)
		})
	}
}

func (m *machine) useTool(s *server, text string) {
	m.tool = []byte(text)
	s.put(toolKey, m.tool)
	m.env["CORDON_SHA256"] = sum(m.tool)
}

// What the host lacks is named, each by its own word.
func TestTheScriptNamesWhatIsMissing(t *testing.T) {
	needed := strings.Fields("curl sha256sum md5sum dd mkfifo sed tr cat df date wc tail mktemp uname")
	for _, missing := range needed {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			m := newMachine(t, 0)
			for _, name := range append(needed, "sh", "rm", "mv", "mkdir", "rmdir", "chmod", "sleep") {
				if name == missing {
					continue
				}
				path, err := exec.LookPath(name)
				if err != nil {
					lacks(t, err.Error()+": what the host lacks cannot be proved; install it")
				}
				if err := os.Symlink(path, m.path("bin/"+name)); err != nil {
					t.Fatal(err)
				}
			}
			m.env["PATH"], m.env["CORDON_SHA256"], m.env["CORDON_BATCH"] = m.path("bin"), sum(nil), "http://127.0.0.1:1/"
			if got := parse(t, m.run(script)); got.Status != "skipped" || got.Reason != "no-"+missing {
				t.Errorf("%s %q, want it skipped because there is no %s", got.Status, got.Reason, missing)
			}
			if w := memory.InWords("no-" + missing); !strings.Contains(w, missing) {
				t.Errorf("in words it is %q", w)
			}
		})
	}
}

// Systems Manager replaces every {{ name }} in a document: the script must not
// have one, and none of its lines may end a template's block.
func TestTheScriptFitsIntoADocument(t *testing.T) {
	if strings.Contains(script, "{{") {
		t.Error("the script has {{, which Systems Manager takes for a parameter")
	}
	doc, err := json.Marshal(memory.Document())
	if err != nil {
		t.Fatal(err)
	}
	if len(doc) > 64<<10 {
		t.Errorf("the document has %d bytes; Systems Manager takes 64 KiB", len(doc))
	}
	for _, line := range strings.Split(script, "\n") {
		if line != strings.TrimRight(line, " \t") {
			t.Errorf("line %s ends in a blank, which a YAML block loses sight of", strconv.Quote(line))
		}
	}
}
