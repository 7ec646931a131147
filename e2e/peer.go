package e2e

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// peer is the process at the other end of a connection over loopback.
type peer struct {
	process  int
	function string // as its environment names it
}

var errGone = errors.New("no process holds it any more")

// peerOf finds the process that holds the other end of a connection between the
// two addresses, both of this machine: the kernel lists the socket, and exactly
// one process has it open.
// https://docs.kernel.org/networking/proc_net_tcp.html
func peerOf(theirs, ours netip.AddrPort) (peer, error) {
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return peer{}, fmt.Errorf("look for the process that calls: %w", err)
	}
	inode := ""
	for _, line := range strings.Split(string(table), "\n") {
		f := strings.Fields(line)
		if len(f) > 9 && f[1] == kernelAddress(theirs) && f[2] == kernelAddress(ours) {
			inode = f[9]
		}
	}
	if inode == "" || inode == "0" {
		return peer{}, fmt.Errorf("%w: the connection from %v", errGone, theirs)
	}
	links, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return peer{}, err
	}
	for _, link := range links {
		// A process that ended meanwhile, or is another user's, is not the one.
		if to, err := os.Readlink(link); err != nil || to != "socket:["+inode+"]" {
			continue
		}
		id, err := strconv.Atoi(strings.Split(link, "/")[2])
		if err != nil {
			return peer{}, err
		}
		return peer{process: id, function: functionOf(id)}, nil
	}
	return peer{}, fmt.Errorf("%w: the connection from %v", errGone, theirs)
}

// kernelAddress writes an address as the kernel does: the bytes of the IPv4
// address in the machine's own order, then the port.
func kernelAddress(a netip.AddrPort) string {
	b := a.Addr().Unmap().As4()
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(b[:]), a.Port())
}

// functionOf is the function that a process runs, as the template's functions
// are called: isolate of cordon-IsolateFunction-1A2B3C.
func functionOf(process int) string {
	environment, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", process))
	if err != nil {
		return "" // it ended
	}
	for _, v := range bytes.Split(environment, []byte{0}) {
		if name, ok := strings.CutPrefix(string(v), "AWS_LAMBDA_FUNCTION_NAME="); ok {
			_, name, _ = strings.Cut(name, "-")
			name, _, _ = strings.Cut(name, "Function")
			return strings.ToLower(name)
		}
	}
	return ""
}
