// Package lab is the laboratory in which Midstream is tested, measured and shown: a phone with
// several networks, each with servers of its own, all in network namespaces of one machine.
//
// The test process and the programs under test are the phone: they live in its namespace and have
// an interface into every network. The servers of network i live in a namespace of theirs, at
//
//	10.77.i.1    fd77:i::1    gateway
//	10.77.i.2    fd77:i::2    the phone
//	10.77.i.53   fd77:i::53   DNS server
//	10.77.i.80   fd77:i::80   content server
//	10.77.i.81   fd77:i::81   HTTP proxy
//
// and reach nothing of the other networks. Between the two is a veth pair or, where a rate or a
// delay is asked for, two pairs with a wire between them.
//
//	func TestMain(m *testing.M) { lab.Main(m) }
//
//	func TestSomething(t *testing.T) {
//		l := lab.New(t, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{Rate: 40e6, Delay: 10 * time.Millisecond}))
//		web := l.Network("wlan0").Nginx(docroot, lab.ServerOptions{})
//		...
//	}
//
// One laboratory exists at a time in a process, because the names of the phone's interfaces are
// free to choose. Everything here is called from the goroutine of the test, unless a comment says otherwise.
package lab

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// resolverFile is what /etc/resolv.conf shows inside the laboratory.
const resolverFile = labDir + "/resolv.conf"

// T is what the laboratory needs of a test: a *testing.T, *testing.B, or a program's own.
type T interface {
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Cleanup(func())
	Failed() bool
}

// Lab is a phone with its networks.
type Lab struct {
	t        T
	Dir      string // private and empty; gone when the test ends. In memory: not for large content.
	networks []*Network
	mu       sync.Mutex // of programs
	programs []*Program
	servers  []*Server

	LogLevel string // MIDSTREAM_LOG of the programs that Midstream starts: "debug" unless changed
	config   string
}

// Option is a choice given to New.
type Option func(*plan)

type plan struct{ networks []planned }

type planned struct {
	name string
	link Link
}

// Net adds a network that the phone reaches through an interface of that name (15 octets at most).
// The first network is the one the phone prefers and whose DNS server it asks.
func Net(name string, link Link) Option {
	return func(p *plan) { p.networks = append(p.networks, planned{name, link}) }
}

var oneLab sync.Mutex

// New raises the networks, by default wlan0 and wwan0 without rate or delay. All of it is gone when the test ends.
func New(t T, options ...Option) *Lab {
	t.Helper()
	p := &plan{}
	for _, o := range options {
		o(p)
	}
	if len(p.networks) == 0 {
		p.networks = []planned{{"wlan0", Link{}}, {"wwan0", Link{}}}
	}
	if !oneLab.TryLock() {
		t.Fatalf("lab: another laboratory is open in this process")
	}
	if _, err := os.Stat(labDir); err != nil {
		t.Fatalf("lab: not inside: call lab.Main from TestMain (or lab.Enter from main) first")
	}
	l := &Lab{t: t, LogLevel: "debug"}
	t.Cleanup(l.close)
	if err := l.raise(p); err != nil {
		t.Fatalf("lab: %v", err)
	}
	return l
}

func (l *Lab) raise(p *plan) (err error) {
	if l.Dir, err = os.MkdirTemp(labDir, ""); err != nil {
		return err
	}
	if err := os.Mkdir(l.RuntimeDir(), 0o700); err != nil {
		return err
	}
	if err := sysctl(hostSysctls); err != nil {
		return err
	}
	for i, planned := range p.networks {
		n, err := l.newNetwork(i+1, planned.name, planned.link)
		if n != nil {
			l.networks = append(l.networks, n)
		}
		if err != nil {
			return fmt.Errorf("network %s: %w", planned.name, err)
		}
	}
	l.UseResolver(l.networks[0])
	l.Configure("")
	return nil
}

func (l *Lab) close() {
	for _, p := range l.programs {
		p.kill()
	}
	for _, s := range l.servers {
		s.Kill()
	}
	if l.t.Failed() {
		l.showLogs()
	}
	for _, n := range l.networks {
		n.close()
	}
	os.RemoveAll(l.Dir)
	oneLab.Unlock()
}

// Networks are all networks in the order of their creation.
func (l *Lab) Networks() []*Network { return l.networks }

// Network is the one with that interface; the test fails if there is none.
func (l *Lab) Network(name string) *Network {
	l.t.Helper()
	for _, n := range l.networks {
		if n.Name == name {
			return n
		}
	}
	l.t.Fatalf("lab: no network %s", name)
	return nil
}

// UseResolver points the phone's /etc/resolv.conf to the DNS server of that network.
func (l *Lab) UseResolver(n *Network) {
	l.t.Helper()
	text := fmt.Sprintf("nameserver %s\nnameserver %s\n", n.Resolver(), n.Resolver6())
	if err := os.WriteFile(resolverFile, []byte(text), 0o644); err != nil {
		l.t.Fatalf("lab: %v", err)
	}
}

// Configure writes the configuration of Midstream: the DNS servers of every network, and then extra.
func (l *Lab) Configure(extra string) {
	l.t.Helper()
	var text strings.Builder
	for _, n := range l.networks {
		fmt.Fprintf(&text, "[interfaces.%s]\ndns = [%q, %q]\n", n.Name, n.Resolver(), n.Resolver6())
	}
	text.WriteString(extra)
	if err := os.WriteFile(l.ConfigFile(), []byte(text.String()), 0o644); err != nil {
		l.t.Fatalf("lab: %v", err)
	}
}

// ConfigFile is the configuration that Configure writes.
func (l *Lab) ConfigFile() string { return filepath.Join(l.Dir, "config.toml") }

// RuntimeDir is the MIDSTREAM_RUNTIME_DIR of every program of this laboratory.
func (l *Lab) RuntimeDir() string { return filepath.Join(l.Dir, "run") }

// LogFile is the MIDSTREAM_LOG_FILE of every program of this laboratory. It is shown when the test fails.
func (l *Lab) LogFile() string { return filepath.Join(l.Dir, "midstream.log") }

// shownLog bounds how much of each log a failed test prints.
const shownLog = 32 << 10

func (l *Lab) showLogs() {
	show := func(what, path string) {
		text, err := os.ReadFile(path)
		if err != nil || len(text) == 0 {
			return
		}
		if cut := len(text) - shownLog; cut > 0 {
			kept := []byte("[…]")
			// A mistake of Midstream's may be far before the end.
			for line := range bytes.Lines(text[:cut]) {
				if bytes.Contains(line, []byte(`"level":"error"`)) && len(kept) < shownLog {
					kept = append(kept, line...)
				}
			}
			text = append(kept, text[cut:]...)
		}
		l.t.Logf("%s:\n%s", what, text)
	}
	show("Midstream's log", l.LogFile())
	for _, s := range l.servers {
		show(s.Name+" of "+s.Network.Name, s.LogFile)
		show(s.Name+" of "+s.Network.Name+", errors", s.errorFile)
	}
}

// Patience is how long a test waits for something that is bound to happen, and happens at once unless the machine is very busy.
const Patience = time.Minute

// Await waits until condition holds, looking every 2 ms, and fails the test after limit. It is for
// events that nothing announces, such as a file that another program lets grow.
func (l *Lab) Await(what string, limit time.Duration, condition func() bool) {
	l.t.Helper()
	if !await(limit, condition) {
		l.t.Fatalf("lab: waited %v in vain: %s", limit, what)
	}
}

func await(limit time.Duration, condition func() bool) bool {
	for end := time.Now().Add(limit); !condition(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
