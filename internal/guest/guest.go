//go:build linux

// Package guest boots Debian's kernel in qemu, with an agent that runs scripts:
// a host whose kernel, memory and disk are real. tools/guest.sh fetches what it
// is made of.
package guest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options is what a guest is.
type Options struct {
	Kit       string // directory that tools/guest.sh filled
	Dir       string // an empty directory for its disk and logs
	MemoryMiB int
	Kernel    string            // more of the kernel's command line
	Hosts     map[string]string // name to address, for its /etc/hosts; this machine's loopback is Loopback
	CA        []byte            // certificates that its curl trusts, PEM
}

// Loopback is this machine's loopback as the guest reaches it.
const Loopback = "10.0.2.2"

// Guest is a machine that runs.
type Guest struct {
	dir  string
	qemu *exec.Cmd
	// exited is closed when qemu has ended; err is how.
	exited chan struct{}
	err    error

	serial  net.Conn
	write   sync.Mutex
	mu      sync.Mutex
	number  int
	waiting map[string]chan Result

	monitor *bufio.Reader
	control net.Conn
	asking  sync.Mutex
}

// Result is how a script ended.
type Result struct {
	Status      int
	Out, Errors string
}

// patience is how long a guest may take to boot: in software, on a machine that
// does other things.
const patience = 3 * time.Minute

// Boot starts a guest and waits for its agent. Whoever boots it closes it.
func Boot(ctx context.Context, o Options) (*Guest, error) {
	var hosts strings.Builder
	fmt.Fprintln(&hosts, "127.0.0.1 localhost")
	for name, address := range o.Hosts {
		fmt.Fprintln(&hosts, address, name)
	}
	first, err := initramfs(o.Kit, map[string][]byte{"hosts": []byte(hosts.String()), "ca.pem": o.CA})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(o.Dir, "initramfs"), first, 0o600); err != nil {
		return nil, fmt.Errorf("write the guest's first file system: %w", err)
	}
	if err := makeDisk(o.Kit, filepath.Join(o.Dir, "disk")); err != nil {
		return nil, err
	}
	// A socket's path has 108 bytes at most, and a test's directory is long.
	sockets, err := os.MkdirTemp("", "guest")
	if err != nil {
		return nil, fmt.Errorf("make a directory for the guest's sockets: %w", err)
	}
	defer os.RemoveAll(sockets) //nolint:errcheck // what is connected needs no name any more
	serial, err := net.Listen("unix", filepath.Join(sockets, "serial"))
	if err != nil {
		return nil, fmt.Errorf("listen for the guest: %w", err)
	}
	defer serial.Close()
	control, err := net.Listen("unix", filepath.Join(sockets, "control"))
	if err != nil {
		return nil, fmt.Errorf("listen for the guest: %w", err)
	}
	defer control.Close()

	log, err := os.Create(filepath.Join(o.Dir, "qemu.log"))
	if err != nil {
		return nil, fmt.Errorf("begin the log of qemu: %w", err)
	}
	defer log.Close()
	g := &Guest{dir: o.Dir, exited: make(chan struct{}), waiting: map[string]chan Result{}}
	// In software: what virtual hardware inside virtual hardware can do differs
	// from machine to machine.
	g.qemu = exec.Command("qemu-system-x86_64", //nolint:gosec // paths of the test's own
		"-accel", "tcg", "-cpu", "max", "-smp", "2", "-m", strconv.Itoa(o.MemoryMiB), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
		"-kernel", filepath.Join(o.Kit, "vmlinuz"), "-initrd", filepath.Join(o.Dir, "initramfs"),
		// On a busy machine the timer ticks late, and the kernel takes it for a broken one.
		"-append", "console=ttyS0 panic=-1 no_timer_check "+o.Kernel,
		"-drive", "if=virtio,format=raw,cache=writethrough,file="+filepath.Join(o.Dir, "disk"),
		"-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile=",
		"-serial", "file:"+filepath.Join(o.Dir, "console"),
		"-chardev", "socket,id=agent,path="+filepath.Join(sockets, "serial"), "-serial", "chardev:agent",
		"-chardev", "socket,id=control,path="+filepath.Join(sockets, "control"), "-mon", "chardev=control,mode=control",
	)
	g.qemu.Stdout, g.qemu.Stderr = log, log
	// A guest holds its memory for as long as it runs: it ends with this process,
	// however that ends.
	g.qemu.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The signal is sent when the thread that started qemu ends.
		runtime.LockOSThread()
		err := g.qemu.Start()
		started <- err
		if err == nil {
			g.err = g.qemu.Wait()
			close(g.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start qemu: %w", err)
	}
	if err := g.connect(ctx, serial, control); err != nil {
		return nil, errors.Join(fmt.Errorf("boot a guest: %w: %s", err, g.lastWords()), g.Close())
	}
	return g, nil
}

// connect waits for qemu and for the agent.
func (g *Guest) connect(ctx context.Context, serial, control net.Listener) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() {
		serial.Close()  //nolint:errcheck // it ends the wait
		control.Close() //nolint:errcheck // it ends the wait
		if g.serial != nil {
			g.serial.Close() //nolint:errcheck // it ends the wait
		}
	})
	defer stop()
	go func() {
		select {
		case <-g.exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	var err error
	if g.serial, err = serial.Accept(); err != nil {
		return err
	}
	if g.control, err = control.Accept(); err != nil {
		return err
	}
	g.monitor = bufio.NewReader(g.control)
	if _, err := g.monitor.ReadString('\n'); err != nil { // its greeting
		return err
	}
	if err := g.ask("qmp_capabilities", nil); err != nil {
		return err
	}
	answers := bufio.NewReader(g.serial)
	for {
		line, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		if strings.TrimSpace(line) == "ready" {
			break
		}
	}
	go g.listen(answers)
	go g.beat()
	return ctx.Err()
}

// beat lets the agent know that somebody is here: without, the guest powers off.
func (g *Guest) beat() {
	for {
		select {
		case <-g.exited:
			return
		case <-time.After(10 * time.Second):
			if g.tell("beat") != nil {
				return // it is gone; g.exited tells
			}
		}
	}
}

// lastWords is the end of the guest's console and of qemu's own log.
func (g *Guest) lastWords() string {
	var all []byte
	for _, name := range []string{"console", "qemu.log"} {
		text, err := os.ReadFile(filepath.Join(g.dir, name)) //nolint:gosec // a path of the test's own
		if err == nil {
			all = append(all, text[max(0, len(text)-2000):]...)
		}
	}
	return string(all)
}

// Console is what the guest's kernel has said so far.
func (g *Guest) Console() (string, error) {
	text, err := os.ReadFile(filepath.Join(g.dir, "console"))
	return string(text), err
}

// Disk is the file that holds the guest's disk.
func (g *Guest) Disk() string { return filepath.Join(g.dir, "disk") }

// listen hands the agent's answers to those who wait for them.
func (g *Guest) listen(answers *bufio.Reader) {
	for {
		line, err := answers.ReadString('\n')
		if err != nil {
			return // the guest is gone; g.exited tells
		}
		words := strings.Fields(line)
		if len(words) != 5 || words[0] != "done" {
			continue
		}
		r := Result{Out: decode(words[3], "out:"), Errors: decode(words[4], "err:")}
		if r.Status, err = strconv.Atoi(words[2]); err != nil {
			r.Status = -1
		}
		g.mu.Lock()
		if c := g.waiting[words[1]]; c != nil {
			c <- r
			delete(g.waiting, words[1])
		}
		g.mu.Unlock()
	}
}

func decode(word, prefix string) string {
	text, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(word, prefix))
	if err != nil {
		return "not base64: " + word
	}
	return string(text)
}

func (g *Guest) tell(format string, args ...any) error {
	g.write.Lock()
	defer g.write.Unlock()
	_, err := fmt.Fprintf(g.serial, format+"\n", args...)
	return err
}

// Run runs a script as root to its end. When ctx ends, it is killed as SSM's
// agent kills a command: SIGKILL to its process group.
// https://github.com/aws/amazon-ssm-agent/blob/mainline/agent/executers/executers_unix.go
func (g *Guest) Run(ctx context.Context, script string) (Result, error) {
	done := make(chan Result, 1)
	g.mu.Lock()
	g.number++
	id := strconv.Itoa(g.number)
	g.waiting[id] = done
	g.mu.Unlock()
	const chunk = 1024
	for text := base64.StdEncoding.EncodeToString([]byte(script)); text != ""; {
		n := min(chunk, len(text))
		if err := g.tell("put %s %s", id, text[:n]); err != nil {
			return Result{}, fmt.Errorf("send the guest a script: %w", err)
		}
		text = text[n:]
	}
	if err := g.tell("run %s", id); err != nil {
		return Result{}, fmt.Errorf("run a script in the guest: %w", err)
	}
	ended := ctx.Done()
	var again <-chan time.Time
	for {
		select {
		case r := <-done:
			return r, ctx.Err()
		case <-g.exited:
			return Result{}, fmt.Errorf("the guest ended: %w: %s", g.err, g.lastWords())
		case <-ended:
			ended = nil
		case <-again:
		}
		// Again and again: a busy guest may not have begun what is to be killed.
		if err := g.tell("kill %s", id); err != nil {
			return Result{}, fmt.Errorf("end a script in the guest: %w", err)
		}
		again = time.After(time.Second)
	}
}

// ask gives qemu a command of its machine protocol and waits for the answer.
// https://www.qemu.org/docs/master/interop/qmp-spec.html
func (g *Guest) ask(command string, arguments map[string]any) error {
	g.asking.Lock()
	defer g.asking.Unlock()
	text, err := json.Marshal(map[string]any{"execute": command, "arguments": arguments})
	if arguments == nil {
		text, err = json.Marshal(map[string]any{"execute": command})
	}
	if err != nil {
		return err
	}
	if _, err := g.control.Write(text); err != nil {
		return fmt.Errorf("ask qemu for %s: %w", command, err)
	}
	for {
		line, err := g.monitor.ReadBytes('\n')
		if err != nil {
			return fmt.Errorf("ask qemu for %s: %w", command, err)
		}
		var answer struct {
			Return json.RawMessage
			Error  *struct{ Desc string }
		}
		switch err := json.Unmarshal(line, &answer); {
		case err != nil:
			return fmt.Errorf("ask qemu for %s: %w", command, err)
		case answer.Error != nil:
			return fmt.Errorf("ask qemu for %s: %s", command, answer.Error.Desc)
		case answer.Return != nil:
			return nil
		} // else an event
	}
}

// Link plugs the network in, or pulls it out.
func (g *Guest) Link(up bool) error {
	return g.ask("set_link", map[string]any{"name": "net", "up": up})
}

// Physical is the guest's physical memory from 0 on, as qemu has it now.
func (g *Guest) Physical(bytes int64) ([]byte, error) {
	path := filepath.Join(g.dir, "physical")
	if err := g.ask("pmemsave", map[string]any{"val": 0, "size": bytes, "filename": path}); err != nil {
		return nil, err
	}
	memory, err := os.ReadFile(path) //nolint:gosec // a path of the test's own
	return memory, errors.Join(err, os.Remove(path))
}

// Off powers the guest off and waits until it is: its disk is at rest then.
func (g *Guest) Off() error {
	if err := g.tell("off"); err != nil {
		return fmt.Errorf("power the guest off: %w", err)
	}
	select {
	case <-g.exited:
		return g.err
	case <-time.After(patience):
		return errors.Join(errors.New("the guest does not power off"), g.Close())
	}
}

// Close ends the guest, whatever it does.
func (g *Guest) Close() error {
	select {
	case <-g.exited:
	default:
		if err := g.qemu.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return fmt.Errorf("end qemu: %w", err)
		}
		<-g.exited
	}
	for _, c := range []net.Conn{g.serial, g.control} {
		if c != nil {
			c.Close() //nolint:errcheck // its other end is gone
		}
	}
	return nil
}

// Changed lists the blocks of 4 KiB in which two disks differ. The first, which
// has the file system's own superblock, is left out: mounting writes it.
func Changed(before, after []byte) []int {
	var all []int
	const size = 4096
	for n := 1; n*size < max(len(before), len(after)); n++ {
		if !bytes.Equal(block(before, n*size, size), block(after, n*size, size)) {
			all = append(all, n)
		}
	}
	return all
}

func block(disk []byte, at, size int) []byte {
	return disk[min(at, len(disk)):min(at+size, len(disk))]
}
