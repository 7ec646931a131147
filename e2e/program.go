//go:build linux

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Program is a server that was started here, and all that it started.
type Program struct {
	name string
	id   int
	log  string
	over chan struct{}
}

// Start starts a program whose output goes to a file. It is the leader of a
// group of processes, and the kernel ends it if this process ends first: a run
// that is interrupted, or killed, leaves nothing behind.
func Start(name, log string, environment []string, command ...string) (*Program, error) {
	if _, err := exec.LookPath(command[0]); err != nil {
		return nil, fmt.Errorf("%s cannot be started: %w; run make test-e2e, which installs it", name, err)
	}
	file, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	p := &Program{name: name, log: log, over: make(chan struct{})}
	c := exec.Command(command[0], command[1:]...)
	c.Env, c.Stdout, c.Stderr = environment, file, file
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		// The signal is sent when the thread that started the program ends.
		runtime.LockOSThread()
		err := c.Start()
		if err == nil {
			p.id = c.Process.Pid
		}
		started <- err
		if err == nil {
			_ = c.Wait() // how a server ended is in its log
			close(p.over)
		}
		_ = file.Close() // the program wrote it, through a descriptor of its own
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return p, nil
}

// Ready waits until an address answers with 200.
func (p *Program) Ready(ctx context.Context, address string) error {
	client := http.Client{Timeout: 2 * time.Second} // who has its port may never answer
	for {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
		if err != nil {
			return err
		}
		if a, err := client.Do(r); err == nil {
			_, _ = io.Copy(io.Discard, a.Body) // only whether it answers counts
			_ = a.Body.Close()
			if a.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-p.over:
			if l, err := new(net.ListenConfig).Listen(ctx, "tcp4", r.URL.Host); errors.Is(err, syscall.EADDRINUSE) {
				return fmt.Errorf("%s cannot listen on %s, which another program took meanwhile; run make test-e2e again, it looks for another port", p.name, r.URL.Host)
			} else if err == nil {
				_ = l.Close() // it was there to see whether it can be
			}
			return fmt.Errorf("%s ended as it started: %s", p.name, p.tail())
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer at %s: %s", p.name, address, p.tail())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// tail is the end of the program's log, where the reason stands.
func (p *Program) tail() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-3):], " | ")
}

// Stop ends the program and all that it started, by the group that they are in.
func (p *Program) Stop() error {
	select {
	case <-p.over:
	default:
		if err := syscall.Kill(-p.id, syscall.SIGTERM); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end %s: %w", p.name, err)
		}
		select {
		case <-p.over:
		case <-time.After(5 * time.Second):
		}
	}
	// What it had started may have stayed.
	if err := syscall.Kill(-p.id, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("end what %s started: %w", p.name, err)
	}
	<-p.over
	return nil
}

// Mark is the environment variable that every process of a run has, whoever
// started it: its value is the run's own.
const Mark = "CORDON_E2E_RUN"

// EndMarked ends the processes of a run that are still there, and tells their
// names and IDs. This process is none of them: its own environment is that with
// which it was started.
func EndMarked(run string) ([]string, error) {
	var ended []string
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		ids, err := marked(run)
		if err != nil || len(ids) == 0 {
			return ended, err
		}
		// What one of them starts meanwhile is found the next time.
		for _, id := range ids {
			name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", id))
			if err == nil {
				err = syscall.Kill(id, syscall.SIGKILL)
			}
			if err != nil && !errors.Is(err, syscall.ESRCH) && !errors.Is(err, os.ErrNotExist) {
				return ended, fmt.Errorf("end process %d: %w", id, err)
			}
			if who := fmt.Sprintf("%s %d", bytes.TrimSpace(name), id); err == nil && !slices.Contains(ended, who) {
				ended = append(ended, who)
			}
		}
	}
	return ended, fmt.Errorf("%q do not end", ended)
}

// marked are the processes of a run.
func marked(run string) ([]int, error) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	var ids []int
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err != nil || !slices.Contains(strings.Split(string(environment), "\x00"), Mark+"="+run) {
			continue // it ended, or is another user's, or is not of this run
		}
		id, err := strconv.Atoi(strings.Split(file, "/")[2])
		if err != nil {
			return nil, err
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// FreePort is a port of loopback that nobody listens on now.
func FreePort(ctx context.Context) (int, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("look for a free port: %w", err)
	}
	a, ok := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil || !ok {
		return 0, fmt.Errorf("look for a free port: %w", err)
	}
	return a.Port, nil
}

// Trouble is the line in which a command says what is wrong: the last one that
// begins with Error, else the last one.
func Trouble(said string) string {
	lines := strings.Split(strings.TrimSpace(said), "\n")
	for _, l := range slices.Backward(lines) {
		if l = strings.TrimSpace(l); strings.HasPrefix(l, "Error") {
			return l
		}
	}
	return strings.TrimSpace(lines[len(lines)-1])
}
