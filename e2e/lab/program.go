// Programs on the phone: run as they are or under Midstream, and what became of them.

package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// RunLimit bounds how long Wait waits before it kills the program and fails the test.
var RunLimit = 2 * time.Minute

// Program is a program on the phone. Between its making and Start, the fields of Cmd may be
// changed: Dir, Env, Stdin, and SysProcAttr. Its output is captured.
type Program struct {
	*exec.Cmd
	lab            *Lab
	stdout, stderr capture
	begun          time.Time
	ended          chan struct{}
	result         Result
}

// Result is what can be observed of a program that has ended.
type Result struct {
	Args    []string // as asked for, without the launcher
	Stdout  string
	Stderr  string
	Status  int            // exit status; -1 if it was ended by a signal
	Signal  syscall.Signal // that ended it; 0 if none
	Elapsed time.Duration
	CPU     time.Duration // user and system, of it and the children it waited for
	MaxRSS  int64         // octets
}

func (r Result) String() string {
	return fmt.Sprintf("%s: status %d, signal %d, after %v\nstdout: %s\nstderr: %s",
		strings.Join(r.Args, " "), r.Status, int(r.Signal), r.Elapsed, r.Stdout, r.Stderr)
}

// capture is a buffer that may be read while the program writes.
type capture struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (c *capture) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.Write(p)
}

func (c *capture) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.b.String()
}

// Command prepares a program as it is.
func (l *Lab) Command(args ...string) *Program {
	p := &Program{Cmd: exec.Command(args[0], args[1:]...), lab: l, ended: make(chan struct{})}
	p.Env = append(os.Environ(), l.environment()...)
	p.Cmd.Stdout, p.Cmd.Stderr = &p.stdout, &p.stderr
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p.WaitDelay = 5 * time.Second // for a grandchild that keeps the output open
	p.result.Args = args
	return p
}

// Midstream prepares the same program under build/midstream, configured for this laboratory.
func (l *Lab) Midstream(args ...string) *Program {
	l.t.Helper()
	p := l.Command(append([]string{Build(l.t, "midstream"), "--"}, args...)...)
	p.result.Args = args
	return p
}

// environment is the same natively and under Midstream, so that programs that print it compare equal.
func (l *Lab) environment() []string {
	return []string{
		"MIDSTREAM_CONFIG=" + l.ConfigFile(),
		"MIDSTREAM_RUNTIME_DIR=" + l.RuntimeDir(),
		"MIDSTREAM_LOG=" + l.LogLevel,
		"MIDSTREAM_LOG_FILE=" + l.LogFile(),
		"PATH=" + os.Getenv("PATH"),
	}
}

// Start starts the program; the test fails if it cannot be.
func (p *Program) Start() *Program {
	p.lab.t.Helper()
	p.begun = time.Now()
	if err := p.Cmd.Start(); err != nil {
		p.lab.t.Fatalf("lab: start %s: %v", strings.Join(p.Args, " "), err)
	}
	p.lab.mu.Lock()
	p.lab.programs = append(p.lab.programs, p)
	p.lab.mu.Unlock()
	go func() {
		p.Cmd.Wait()
		p.result.Elapsed = time.Since(p.begun)
		p.result.Stdout, p.result.Stderr = p.stdout.String(), p.stderr.String()
		p.result.Status = p.ProcessState.ExitCode()
		if s := p.ProcessState.Sys().(syscall.WaitStatus); s.Signaled() {
			p.result.Signal = s.Signal()
		}
		p.result.CPU = p.ProcessState.UserTime() + p.ProcessState.SystemTime()
		p.result.MaxRSS = p.ProcessState.SysUsage().(*syscall.Rusage).Maxrss << 10
		close(p.ended)
	}()
	return p
}

// Pid is the process id; the launcher becomes the program, so under Midstream it is the program's too.
func (p *Program) Pid() int { return p.Process.Pid }

// Ended is closed when the program has ended.
func (p *Program) Ended() <-chan struct{} { return p.ended }

// Output is what the program has written on standard output and standard error so far.
func (p *Program) Output() (stdout, stderr string) { return p.stdout.String(), p.stderr.String() }

// Wait waits for the end of a started program. After RunLimit it is killed and the test fails.
func (p *Program) Wait() Result {
	p.lab.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(RunLimit):
		p.kill()
		p.lab.t.Fatalf("lab: still running after %v: %v", RunLimit, p.result)
	}
	return p.result
}

// Run is Start and Wait.
func (p *Program) Run() Result {
	p.lab.t.Helper()
	return p.Start().Wait()
}

// Both runs a program as it is and then under Midstream, each after prepare (which may be nil), for Compare.
func (l *Lab) Both(prepare func(*Program), args ...string) (native, under Result) {
	l.t.Helper()
	run := func(p *Program) Result {
		if prepare != nil {
			prepare(p)
		}
		return p.Run()
	}
	return run(l.Command(args...)), run(l.Midstream(args...))
}

// kill ends the program and the children it left in its process group.
func (p *Program) kill() {
	syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// Normaliser rewrites output before it is compared, to take out what differs from run to run, such as progress meters.
type Normaliser func(output string) string

// Compare fails the test unless both results agree in exit status, signal, standard output and standard error.
func Compare(t T, native, under Result, normalise ...Normaliser) {
	t.Helper()
	clean := func(s string) string {
		for _, n := range normalise {
			s = n(s)
		}
		return s
	}
	if native.Status != under.Status || native.Signal != under.Signal {
		t.Errorf("%v ends with status %d (signal %d) natively, with %d (%d) under Midstream; natively:\n%s\nunder Midstream:\n%s",
			native.Args, native.Status, native.Signal, under.Status, under.Signal, native.Stderr, under.Stderr)
	}
	if a, b := clean(native.Stdout), clean(under.Stdout); a != b {
		t.Errorf("%v: standard output differs; natively:\n%s\nunder Midstream:\n%s", native.Args, a, b)
	}
	if a, b := clean(native.Stderr), clean(under.Stderr); a != b {
		t.Errorf("%v: standard error differs; natively:\n%s\nunder Midstream:\n%s", native.Args, a, b)
	}
}

// CC compiles one of the programs in e2e/clients and returns the path of the executable.
func (l *Lab) CC(name string, flags ...string) string {
	l.t.Helper()
	out := filepath.Join(l.Dir, name)
	args := append([]string{"-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", out, filepath.Join(Root(l.t), "e2e", "clients", name+".c")}, flags...)
	if message, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		l.t.Fatalf("lab: cc %s: %v\n%s", strings.Join(args, " "), err, message)
	}
	return out
}
