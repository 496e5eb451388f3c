// Opens the control socket, and tells who is at its other end.
package control

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// maxSocketPath is what sun_path has room for, the final NUL not counted: unix(7).
const maxSocketPath = 107

// Listen opens <dir>/<pid>.sock, mode 0600, for the process pid; dir is what EnsureRuntimeDir gave.
// A socket that a dead process with the same number left there is replaced. Closing the listener
// removes the socket.
func Listen(dir string, pid int) (*net.UnixListener, error) {
	return ListenAt(SocketPath(dir, pid))
}

// ListenAt is Listen for a path.
func ListenAt(path string) (*net.UnixListener, error) {
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("open the control socket %s: its path is longer than %d octets; set %s to a shorter one", path, maxSocketPath, EnvRuntimeDir)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	return l, nil
}

// removeStale removes a socket that nobody listens on, and nothing else.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open the control socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("open the control socket %s: there is something else in its place; remove it", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("open the control socket %s: another process listens there, perhaps from another PID namespace; set %s to a folder of its own", path, EnvRuntimeDir)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("open the control socket: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the stale control socket: %w", err)
	}
	return nil
}

// PeerUID returns the user at the other end of c: who connected, or who listens there.
func PeerUID(c *net.UnixConn) (uid int, err error) {
	cred, err := peer(c)
	if err != nil {
		return -1, err
	}
	return int(cred.Uid), nil
}

// peer returns the process at the other end of c: SO_PEERCRED, unix(7).
func peer(c *net.UnixConn) (*syscall.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *syscall.Ucred
	var inner error
	err = raw.Control(func(fd uintptr) {
		cred, inner = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	return cred, errors.Join(err, inner)
}
