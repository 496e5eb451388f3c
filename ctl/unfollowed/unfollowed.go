// Package unfollowed finds connections of programs that were started under Midstream, but that nobody in their process follows: from
// outside, by proc(5), with what can be said of the reason.
package unfollowed

import (
	"bufio"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"midstream/core/control"
	"midstream/ctl/client"
)

// Connections lists the TCP connections of processes that have the library in their environment, in the same runtime folder as this
// one, and no control socket. Connections within the host are left out.
func Connections(served []client.Process) []control.Session {
	all, early := connectionsBeside(served)
	if early {
		// A program may just have connected, and its request or the core's socket be a moment away.
		time.Sleep(settle)
		if now, err := client.Processes(); err == nil {
			all, _ = connectionsBeside(append(served, now...))
		}
	}
	return all
}

// settle is how long a connection may be without a request before that is remarkable.
const settle = 200 * time.Millisecond

// connectionsBeside does so once. early: of one nothing is known to keep Midstream from it.
func connectionsBeside(served []client.Process) (all []control.Session, early bool) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, false
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || slices.ContainsFunc(served, func(p client.Process) bool { return p.PID == pid }) {
			continue
		}
		if library := Preloaded(pid); library != "" {
			some, soon := connectionsOf(pid, library)
			all, early = append(all, some...), early || soon
		}
	}
	return all, early
}

func procFile(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }

// Preloaded returns the path of libmidstream.so that a process was started with, "" if it was not, or belongs elsewhere.
func Preloaded(pid int) (library string) {
	environ, err := os.ReadFile(procFile(pid, "environ"))
	if err != nil {
		return ""
	}
	folder := ""
	for _, variable := range strings.Split(string(environ), "\x00") {
		name, value, _ := strings.Cut(variable, "=")
		switch name {
		case control.EnvRuntimeDir:
			folder = value
		case "LD_PRELOAD":
			for _, path := range strings.FieldsFunc(value, func(r rune) bool { return r == ':' || r == ' ' }) {
				if filepath.Base(path) == "libmidstream.so" {
					library = path
				}
			}
		}
	}
	if folder != os.Getenv(control.EnvRuntimeDir) {
		return ""
	}
	return library
}

// connection is a line of /proc/net/tcp.
type connection struct {
	local, remote netip.AddrPort
}

func connectionsOf(pid int, library string) (all []control.Session, early bool) {
	sockets := map[string]connection{}
	for _, table := range []string{"net/tcp", "net/tcp6"} {
		established(procFile(pid, table), sockets)
	}
	fds, _ := os.ReadDir(procFile(pid, "fd"))
	why := ""
	for _, entry := range fds {
		link, _ := os.Readlink(filepath.Join(procFile(pid, "fd"), entry.Name()))
		inode, isSocket := strings.CutPrefix(strings.TrimSuffix(link, "]"), "socket:[")
		c, known := sockets[inode]
		fd, err := strconv.Atoi(entry.Name())
		if !isSocket || !known || err != nil {
			continue
		}
		if why == "" {
			why, early = whyUnfollowed(pid, library)
		}
		all = append(all, control.Session{
			ID: fmt.Sprintf("%d-fd%d", pid, fd), PID: pid, FD: fd, Command: CommandOf(pid), State: control.StateActive,
			Interface: interfaceOf(c.local.Addr()), Server: c.remote.String(), Why: why,
		})
	}
	return all, early
}

// established adds the connections of a table, by the inodes of their sockets.
func established(file string, to map[string]connection) {
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	const open, closing = "01", "08" // TCP_ESTABLISHED, TCP_CLOSE_WAIT of tcp_states.h
	for line := range strings.Lines(string(text)) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != open && f[3] != closing {
			continue
		}
		local, ok := address(f[1])
		remote, good := address(f[2])
		if ok && good && !remote.Addr().IsLoopback() && local.Addr() != remote.Addr() {
			to[f[9]] = connection{local, remote}
		}
	}
}

// address reads hexadecimal digits, of words in the byte order of the host, and a port.
func address(text string) (netip.AddrPort, bool) {
	digits, port, _ := strings.Cut(text, ":")
	octets, err := hex.DecodeString(digits)
	number, bad := strconv.ParseUint(port, 16, 16)
	if err != nil || bad != nil || len(octets)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(octets, 4) {
		binary.BigEndian.PutUint32(word, binary.NativeEndian.Uint32(word))
	}
	a, ok := netip.AddrFromSlice(octets)
	return netip.AddrPortFrom(a.Unmap(), uint16(number)), ok
}

func interfaceOf(local netip.Addr) string {
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr() == local {
				return i.Name
			}
		}
	}
	return ""
}

// CommandOf returns the process's command line.
func CommandOf(pid int) string {
	line, _ := os.ReadFile(procFile(pid, "cmdline"))
	return strings.TrimSpace(string(bytes.ReplaceAll(line, []byte{0}, []byte{' '})))
}

// whyUnfollowed says what keeps Midstream from a process. early: nothing is known that does, and that may be over in a moment.
func whyUnfollowed(pid int, library string) (why string, early bool) {
	maps, _ := os.ReadFile(procFile(pid, "maps"))
	loaded := bytes.Contains(maps, []byte("/libmidstream.so"))
	if closed := closedTo(pid, library); closed != "" && !loaded {
		return "it cannot open libmidstream.so: " + closed + " is closed to its user", false
	}
	if program, err := elf.Open(procFile(pid, "exe")); err == nil {
		defer program.Close()
		switch {
		case !slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }):
			return "the program is statically linked, so that nothing can be preloaded", false
		case program.Section(".go.buildinfo") != nil || program.Section(".note.go.buildid") != nil:
			return "it is a Go program, which makes its system calls itself, past the C library", false
		}
	}
	if !loaded {
		return "the dynamic linker has not loaded libmidstream.so: the program is setuid, privileged, or for another architecture", false
	}
	if bytes.Contains(maps, []byte("/libmidstream-core.so")) {
		// By itself, or by the process that it was forked from.
		return "its process has no control socket: the core has not been started in it, or may not write to the runtime folder", true
	}
	core := filepath.Join(filepath.Dir(library), "libmidstream-core.so")
	if closed := closedTo(pid, core); closed != "" {
		return "it cannot open libmidstream-core.so: " + closed + " is closed to its user", false
	}
	return "no HTTP request has been seen on it", true
}

// closedTo returns the first folder on the way to a file, or the file, that the process's user may not use; "" if there is none.
func closedTo(pid int, file string) string {
	var info syscall.Stat_t
	user, groups, ok := credentials(pid)
	if !ok || user == 0 {
		return ""
	}
	for i, c := range file + "/" {
		path := file[:min(i, len(file))]
		if c != '/' || path == "" || syscall.Stat(path, &info) != nil {
			continue
		}
		wanted := uint32(1)
		if path == file {
			wanted = 4
		}
		switch {
		case info.Uid == user:
			wanted <<= 6
		case slices.Contains(groups, info.Gid):
			wanted <<= 3
		}
		if info.Mode&wanted == 0 {
			return path
		}
	}
	return ""
}

// credentials returns the user and the groups by whose rights a process opens files.
func credentials(pid int) (user uint32, groups []uint32, ok bool) {
	status, err := os.Open(procFile(pid, "status"))
	if err != nil {
		return 0, nil, false
	}
	defer status.Close()
	for lines := bufio.NewScanner(status); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		var numbers []uint32
		for _, f := range strings.Fields(rest) {
			n, _ := strconv.ParseUint(f, 10, 32)
			numbers = append(numbers, uint32(n))
		}
		switch {
		case name == "Uid" && len(numbers) == 4:
			user, ok = numbers[3], true
		case name == "Gid" && len(numbers) == 4:
			groups = append(groups, numbers[3])
		case name == "Groups":
			groups = append(groups, numbers...)
		}
	}
	return user, groups, ok
}
