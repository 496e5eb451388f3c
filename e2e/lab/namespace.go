// A network namespace with a thread that lives in it: what has to happen inside is done by that thread.

package lab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"unsafe"
)

// labDir is the private folder of everything the laboratory writes for itself.
const labDir = "/run/lab"

// Namespace is a network namespace, known to ip-netns(8) by its name.
type Namespace struct {
	Name  string
	calls chan func()
}

// newNamespace makes a namespace with its loopback up. Processes started in it are killed when it is closed.
func newNamespace(name string) (*Namespace, error) {
	n := &Namespace{Name: name, calls: make(chan func())}
	ready := make(chan error, 1)
	go func() {
		// Never unlocked: a thread in another namespace must not serve other goroutines. It
		// ends with this goroutine, which is what sends Pdeathsig to the processes it started.
		runtime.LockOSThread()
		if err := n.enterNew(); err != nil {
			ready <- fmt.Errorf("make network namespace %s: %w", name, err)
			return
		}
		ready <- nil
		for call := range n.calls {
			call()
		}
	}()
	return n, <-ready
}

func (n *Namespace) enterNew() error {
	if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
		return err
	}
	if err := os.WriteFile(n.path(), nil, 0o444); err != nil {
		return err
	}
	if err := syscall.Mount("/proc/thread-self/ns/net", n.path(), "", syscall.MS_BIND, ""); err != nil {
		return err
	}
	return setUp("lo")
}

func (n *Namespace) path() string { return "/run/netns/" + n.Name }

// Do runs f on the namespace's thread and returns its error. f must not call Do on the same namespace, nor wait long.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error, 1)
	n.calls <- func() { done <- f() }
	return <-done
}

// IP runs one ip(8) command a line inside the namespace.
func (n *Namespace) IP(lines ...string) error {
	return n.Do(func() error { return ipBatch(lines...) })
}

// Command runs a short command inside the namespace and waits for it.
func (n *Namespace) Command(args ...string) error {
	return n.Do(func() error { return command(args...) })
}

// Start starts a process inside the namespace; it dies with the namespace.
func (n *Namespace) Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	return n.Do(cmd.Start)
}

func (n *Namespace) close() {
	close(n.calls)
	syscall.Unmount(n.path(), syscall.MNT_DETACH)
	os.Remove(n.path())
}

// ipBatch runs ip(8) once for several commands in the namespace of the calling thread.
func ipBatch(lines ...string) error {
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip: %w: %s of:\n%s", err, strings.TrimSpace(string(out)), strings.Join(lines, "\n"))
	}
	return nil
}

func command(args ...string) error {
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// setUp raises an interface in the namespace of the calling thread (SIOCSIFFLAGS, netdevice(7)).
func setUp(name string) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:syscall.IFNAMSIZ-1], name)
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("raise %s: %w", name, errno)
	}
	return nil
}

// sysctl sets variables below /proc/sys/net for the namespace of the calling thread. Those the kernel lacks are passed over.
func sysctl(values map[string]string) error {
	for name, value := range values {
		err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0)
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("set net/%s to %s: %w", name, value, err)
		}
	}
	return nil
}
