// The way into the laboratory: the program runs itself again as the init process of namespaces of
// its own, and goes on inside them. When it ends, however it ends, the kernel ends everything in there.

package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"midstream/e2e/lab/wire"
)

// stageVariable tells a process which part it plays: "init", "phone", "wire", "paced", or none for the outside.
const stageVariable = "MIDSTREAM_LAB_STAGE"

func init() {
	// Keeps the main thread for the main goroutine. What /proc/self shows, and what ip(8) means by a
	// process id, is the main thread's namespace: no Namespace may come to live on it.
	runtime.LockOSThread()
}

// Main is for TestMain: it runs the tests inside the laboratory and does not return.
func Main(m *testing.M) {
	Enter()
	os.Exit(m.Run())
}

// Enter puts the calling program inside the laboratory: private network, mount and process
// namespaces, in which it is root and /run, /dev/shm, /etc/resolv.conf and /proc are its own. To be called
// first thing in main: the program is started anew, and only inside does Enter return. Where
// the system allows no namespaces it says so on standard error and exits with status 1.
func Enter() {
	stage := os.Getenv(stageVariable)
	os.Unsetenv(stageVariable)
	var status int
	var err error
	switch stage {
	case "":
		status, err = enterFromOutside()
	case "init":
		status, err = serveAsInit()
	case "wire":
		err = serveAsWire()
	case "paced":
		err = servePaced()
	case "phone":
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		status = 1
	}
	os.Exit(status)
}

// again prepares this very program to be started for another stage.
func again(stage string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Env = append(os.Environ(), stageVariable+"="+stage)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	return cmd
}

func enterFromOutside() (int, error) {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // nginx, ethtool: an ordinary user's does not have them
	// A thousand connections are more than an ordinary user's processes may have open unless they ask for it.
	var open syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &open) == nil {
		open.Cur = min(open.Max, 20000)
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &open)
	}
	flags := uintptr(syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID)
	cmd := again("init")
	// Pdeathsig is sent when the thread that forked ends: here the main thread, see init.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: syscall.SIGKILL}
	err := errors.New("not root")
	if os.Geteuid() == 0 {
		err = cmd.Start()
	}
	if err != nil {
		cmd = again("init")
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  flags | syscall.CLONE_NEWUSER,
			Pdeathsig:   syscall.SIGKILL,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
		err = cmd.Start()
	}
	if err != nil {
		return 1, fmt.Errorf("cannot make namespaces: %w; run as root, or allow user namespaces "+
			"(sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces>0, kernel.apparmor_restrict_unprivileged_userns=0)", err)
	}
	return waitAndForward(cmd)
}

// waitAndForward passes the signals meant for the program on to where it really runs. SIGINT is
// ignored: a terminal sends it to the whole process group.
func waitAndForward(cmd *exec.Cmd) (int, error) {
	signal.Ignore(syscall.SIGINT)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	go func() {
		for s := range signals {
			cmd.Process.Signal(s)
		}
	}()
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if s := exit.Sys().(syscall.WaitStatus); s.Signaled() {
			return 128 + int(s.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

func serveAsInit() (int, error) {
	if err := prepareMounts(); err != nil {
		return 1, err
	}
	if err := setUp("lo"); err != nil {
		return 1, err
	}
	signal.Ignore(syscall.SIGINT)
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	phone := again("phone")
	if err := phone.Start(); err != nil {
		return 1, fmt.Errorf("start %s inside the namespaces: %w", os.Args[0], err)
	}
	go func() {
		for s := range signals {
			phone.Process.Signal(s)
		}
	}()
	// Init inherits every orphan and has to collect it, so it waits for any child, not for the phone alone.
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return 1, fmt.Errorf("wait for the program inside the namespaces: %w", err)
		}
		if pid != phone.Process.Pid {
			continue
		}
		if status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return status.ExitStatus(), nil
	}
}

// prepareMounts makes /proc, /run, /dev/shm and /etc/resolv.conf private. Nothing of it is seen outside.
func prepareMounts() error {
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount a /proc for the process namespace (a container that masks parts of /proc forbids it): %w", err)
	}
	// Without an own /sys, /sys/class/net shows the interfaces outside; the laboratory itself reads /proc/net/dev.
	syscall.Mount("sysfs", "/sys", "sysfs", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, "")
	// A squid that was killed leaves its shared memory behind, which keeps the next one from starting.
	syscall.Mount("tmpfs", "/dev/shm", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=1777")

	resolv, err := filepath.EvalSymlinks("/etc/resolv.conf")
	if err != nil {
		resolv, _ = os.Readlink("/etc/resolv.conf")
		if resolv == "" {
			return fmt.Errorf("find /etc/resolv.conf: %w; create it, an empty one will do", err)
		}
		resolv = filepath.Join("/etc", resolv)
	}
	if err := syscall.Mount("tmpfs", "/run", "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount a private /run: %w", err)
	}
	for _, dir := range []string{"/run/lock", "/run/netns", labDir, filepath.Dir(resolverFile), os.Getenv("XDG_RUNTIME_DIR")} {
		if strings.HasPrefix(dir, "/run/") {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return err
			}
		}
	}
	if err := showBuilt(); err != nil {
		return err
	}
	if err := os.WriteFile(resolverFile, nil, 0o644); err != nil {
		return err
	}
	if strings.HasPrefix(resolv, "/run/") {
		// A link into /run (systemd-resolved, resolvconf) now leads into the private one.
		if err := os.MkdirAll(filepath.Dir(resolv), 0o755); err != nil {
			return err
		}
		return os.Symlink(resolverFile, resolv)
	}
	if err := syscall.Mount(resolverFile, resolv, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount a private %s: %w", resolv, err)
	}
	return nil
}

func serveAsWire() error {
	var c wire.Cable
	if err := json.Unmarshal([]byte(os.Getenv(cableVariable)), &c); err != nil {
		return fmt.Errorf("read %s: %w", cableVariable, err)
	}
	return wire.Run(c, os.Stdin, os.Stdout)
}
