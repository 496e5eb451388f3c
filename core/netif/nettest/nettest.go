// Package nettest lets a test have networks of its own: it runs the test again
// inside fresh user, network and mount namespaces, and offers further network
// namespaces as places to run code in. For tests only.
package nettest

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const marker = "MIDSTREAM_TEST_NAMESPACE"

// Inside reports whether the test runs in namespaces of its own. If it does
// not, Inside runs it again where it does, reports the outcome as this test's,
// and returns false: the caller returns. It skips where namespaces are not allowed.
func Inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(marker) == t.Name() {
		os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin") // an ordinary user's does not have them
		Run(t, "ip link set lo up")
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs the ip command (package iproute2)")
	}
	attr := &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	probe := exec.Command("true")
	probe.SysProcAttr = attr
	if err := probe.Run(); err != nil {
		t.Skipf("needs user and network namespaces: %v", err)
	}
	again := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.count=1", "-test.timeout=60s")
	again.Env = append(os.Environ(), marker+"="+t.Name())
	again.SysProcAttr = attr
	out, err := again.CombinedOutput()
	if err != nil {
		t.Errorf("in its own namespaces: %v\n%s", err, out)
	} else if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("in its own namespaces:\n%s", out)
	}
	return false
}

// Run runs each line as a command in the calling goroutine's network namespace
// and fails the test if one fails.
func Run(t *testing.T, lines ...string) {
	t.Helper()
	if err := run(lines...); err != nil {
		t.Fatal(err)
	}
}

// Sysctl sets kernel variables, such as net.ipv4.conf.all.rp_filter=0, in the calling goroutine's network namespace.
func Sysctl(t *testing.T, settings ...string) {
	t.Helper()
	for _, s := range settings {
		name, value, _ := strings.Cut(s, "=")
		if err := os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0); err != nil {
			t.Fatal(err)
		}
	}
}

func run(lines ...string) error {
	for _, line := range lines {
		words := strings.Fields(line)
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %v\n%s", line, err, out)
		}
	}
	return nil
}

// Place is another network namespace: a thread that has entered it and runs
// what it is given. Sockets opened and processes started there belong to it.
type Place struct {
	t    *testing.T
	tid  int
	work chan func()
}

// NewPlace makes a network namespace with its loopback up. It lasts until the
// test ends. The test has to be Inside.
func NewPlace(t *testing.T) *Place {
	t.Helper()
	p := &Place{t: t, work: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread must not run other code
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		p.tid = syscall.Gettid()
		ready <- err
		if err != nil {
			return
		}
		for f := range p.work {
			f()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(func() { close(p.work) })
	p.Run("ip link set lo up")
	return p
}

// Do runs f in the place and waits for it. f must not call t.Fatal.
func (p *Place) Do(f func()) {
	done := make(chan struct{})
	p.work <- func() { defer close(done); f() }
	<-done
}

// Run runs each line as a command in the place.
func (p *Place) Run(lines ...string) {
	p.t.Helper()
	var err error
	p.Do(func() { err = run(lines...) })
	if err != nil {
		p.t.Fatal(err)
	}
}

// Link joins the test's own namespace and the place by a cable (veth): near and
// far name its ends, which are up, have carrier and carry the addresses given (with prefix length).
func (p *Place) Link(near, far string, nearAddrs, farAddrs []string) {
	p.t.Helper()
	Run(p.t, fmt.Sprintf("ip link add %s type veth peer name %s netns %d", near, far, p.tid))
	for _, a := range nearAddrs {
		Run(p.t, "ip addr add "+a+" dev "+near+noDAD(a))
	}
	for _, a := range farAddrs {
		p.Run("ip addr add " + a + " dev " + far + noDAD(a))
	}
	Run(p.t, "ip link set "+near+" up")
	p.Run("ip link set " + far + " up")
	// The kernel tells of the carrier later, from a work queue of its own (net/core/link_watch.c).
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		link, err := net.InterfaceByName(near)
		if err == nil && link.Flags&net.FlagRunning != 0 {
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("%s has no carrier: %+v, %v", near, link, err)
		}
	}
}

// noDAD spares tests the second that duplicate address detection takes.
func noDAD(addr string) string {
	if strings.Contains(addr, ":") {
		return " nodad"
	}
	return ""
}

// Start runs a server in the place until the test ends.
func (p *Place) Start(name string, args ...string) {
	p.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	p.Do(func() { err = cmd.Start() })
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
}

// Await waits until a server in the place accepts TCP connections at addr.
func (p *Place) Await(addr string) {
	p.t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		var c net.Conn
		var err error
		p.Do(func() { c, err = net.DialTimeout("tcp", addr, time.Second) })
		if err == nil {
			c.Close()
			return
		}
		if time.Now().After(end) {
			p.t.Fatalf("no server at %s: %v", addr, err)
		}
	}
}
