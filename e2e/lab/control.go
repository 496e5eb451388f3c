// Speaks to programs under Midstream: by midstreamctl, and on their control sockets directly, by what
// is documented of both (JSON-RPC 2.0, one message a line) and nothing else.

package lab

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Session is an element of what midstreamctl sessions --json prints.
type Session struct {
	ID         string
	PID        int
	FD         int
	Command    string
	Via        string
	URL        string
	State      string
	Interface  string
	Server     string
	Received   int64
	Length     *int64
	Movable    bool
	Why        string
	Migrations []Migration
}

// Migration is one that a session has behind it.
type Migration struct {
	At       time.Time
	Trigger  string
	From, To struct{ Interface, Server string }
	Offset   int64
	Delivery string
	StallMS  float64 `json:"stall_ms"`
}

// Moved is what became of one stream by a trigger.
type Moved struct {
	ID        string
	OK        bool
	Reason    string
	Migration *Migration
}

// Event is something that watch reports.
type Event struct {
	At      time.Time
	Kind    string
	PID     int
	Session string
	Text    string
	Fields  map[string]any
}

// Ctl prepares build/midstreamctl with these arguments.
func (l *Lab) Ctl(args ...string) *Program {
	l.t.Helper()
	return l.Command(append([]string{Build(l.t, "midstreamctl")}, args...)...)
}

// CtlSessions are the sessions of all programs of the laboratory, as midstreamctl shows them.
func (l *Lab) CtlSessions() []Session {
	l.t.Helper()
	r := l.Ctl("sessions", "--json").Run()
	var all []Session
	if err := json.Unmarshal([]byte(r.Stdout), &all); err != nil || r.Status != 0 {
		l.t.Fatalf("lab: no list of sessions (%v) from %v", err, r)
	}
	return all
}

// Control is a connection to the control socket of a program.
type Control struct {
	lab    *Lab
	socket net.Conn
	lines  *bufio.Scanner
	last   int
}

// SocketOf is where the control socket of a process is.
func (l *Lab) SocketOf(pid int) string {
	return filepath.Join(l.RuntimeDir(), fmt.Sprintf("%d.sock", pid))
}

// Control connects to the program's control socket. It waits for the socket, which exists from the
// first HTTP request on; the test fails after limit, or when the program has ended.
func (l *Lab) Control(pid int, limit time.Duration) *Control {
	l.t.Helper()
	path := l.SocketOf(pid)
	var c *Control
	var err error
	var ended *Program
	await(limit, func() bool {
		ended = l.ended(pid)
		c, err = l.ControlSocket(path)
		return err == nil || ended != nil
	})
	if err != nil && ended != nil {
		l.t.Fatalf("lab: no control socket of process %d, which has ended: %v", pid, ended.result)
	}
	if err != nil {
		l.t.Fatalf("lab: no control socket of process %d within %v: %v\n%s", pid, limit, err, threads(pid))
	}
	l.t.Cleanup(c.Close)
	return c
}

// ended is the program with that process id if it has ended.
func (l *Lab) ended(pid int) *Program {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, p := range l.programs {
		select {
		case <-p.ended:
			if p.Pid() == pid {
				return p
			}
		default:
		}
	}
	return nil
}

// threads tells what the threads of a process are doing.
func threads(pid int) string {
	var b strings.Builder
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		fmt.Fprint(&b, filepath.Base(task))
		for _, file := range []string{"comm", "wchan", "syscall"} {
			text, _ := os.ReadFile(filepath.Join(task, file))
			fmt.Fprint(&b, " ", strings.TrimSpace(string(text)))
		}
		fmt.Fprintln(&b)
	}
	if len(tasks) == 0 {
		return "the process has ended"
	}
	return b.String()
}

// ControlSocket connects to a control socket by its path. Any goroutine may call it, and close what it gets.
func (l *Lab) ControlSocket(path string) (*Control, error) {
	socket, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	c := &Control{lab: l, socket: socket, lines: bufio.NewScanner(socket)}
	c.lines.Buffer(nil, 64<<20)
	return c, nil
}

// Close ends the connection.
func (c *Control) Close() { c.socket.Close() }

type answer struct {
	ID     int
	Result json.RawMessage
	Error  *struct {
		Code    int
		Message string
	}
	Method string
	Params json.RawMessage
}

// Call calls a method and decodes its result, for which it waits 30 s at most. An error that the other side reports is returned with its code.
func (c *Control) Call(method string, params, result any) error {
	c.last++
	call := map[string]any{"jsonrpc": "2.0", "id": c.last, "method": method}
	if params != nil {
		call["params"] = params
	}
	line, err := json.Marshal(call)
	if err != nil {
		return err
	}
	c.socket.SetDeadline(time.Now().Add(30 * time.Second))
	if _, err := c.socket.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("call %s: %w", method, err)
	}
	for {
		a, err := c.read()
		if err != nil {
			return fmt.Errorf("call %s: %w", method, err)
		}
		if a.Method != "" {
			continue // a notification that came before the answer
		}
		if a.Error != nil {
			return fmt.Errorf("%s: %s (%d)", method, a.Error.Message, a.Error.Code)
		}
		if a.ID != c.last {
			return fmt.Errorf("%s: answer to call %d where %d was expected", method, a.ID, c.last)
		}
		if result == nil {
			return nil
		}
		return json.Unmarshal(a.Result, result)
	}
}

func (c *Control) read() (answer, error) {
	var a answer
	if !c.lines.Scan() {
		if err := c.lines.Err(); err != nil {
			return a, err
		}
		return a, net.ErrClosed
	}
	return a, json.Unmarshal(c.lines.Bytes(), &a)
}

// Sessions are the sessions of this program.
func (c *Control) Sessions() ([]Session, error) {
	var all []Session
	return all, c.Call("sessions", nil, &all)
}

// Migrate moves every stream of this program to an interface and returns what became of each.
func (c *Control) Migrate(to string) ([]Moved, error) {
	var result struct{ Streams []Moved }
	err := c.Call("migrate", map[string]any{"to": to}, &result)
	return result.Streams, err
}

// MigrateSession moves one stream.
func (c *Control) MigrateSession(id, to string) ([]Moved, error) {
	var result struct{ Streams []Moved }
	err := c.Call("migrate", map[string]any{"to": to, "session": id}, &result)
	return result.Streams, err
}

// Watch turns the connection into a stream of events, which ends with the program or with Close. No calls are possible any more.
func (c *Control) Watch() (<-chan Event, error) {
	if err := c.Call("watch", nil, nil); err != nil {
		return nil, err
	}
	c.socket.SetDeadline(time.Time{})
	events := make(chan Event, 4096)
	go func() {
		defer close(events)
		for {
			a, err := c.read()
			if err != nil {
				return
			}
			var e Event
			if a.Method == "event" && json.Unmarshal(a.Params, &e) == nil {
				events <- e
			}
		}
	}()
	return events, nil
}
