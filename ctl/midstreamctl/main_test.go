// midstreamctl against real control sockets, as a person or a script uses it.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"midstream/core/config"
	"midstream/core/control"
	"midstream/core/netif"
)

// fake is the controller of one process.
type fake struct {
	control.Hub
	list    []control.Session
	migrate func(control.MigrateParams) (control.MigrateResult, error)
	watched chan struct{}
	holds   func(method, session string) control.MigrateResult
}

func (f *fake) Call(_ context.Context, _ *control.Peer, method string, params json.RawMessage) (any, bool, error) {
	if f.holds == nil || method != control.MethodHold && method != control.MethodRelease {
		return nil, false, nil
	}
	var p control.ReleaseParams
	err := control.Params(method, params, &p)
	return f.holds(method, p.Session), true, err
}

func (f *fake) Sessions() []control.Session { return f.list }

func (f *fake) Migrate(_ context.Context, p control.MigrateParams) (control.MigrateResult, error) {
	return f.migrate(p)
}

func (f *fake) Subscribe() (<-chan control.Event, func()) {
	events, end := f.Hub.Subscribe()
	if f.watched != nil {
		f.watched <- struct{}{}
	}
	return events, end
}

// isolate gives the test a runtime folder of its own and no configuration but the defaults.
func isolate(t *testing.T) string {
	t.Helper()
	base := t.TempDir()
	t.Setenv(control.EnvRuntimeDir, filepath.Join(base, "run"))
	file := filepath.Join(base, "config.toml")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(config.EnvFile, file)
	dir, err := control.EnsureRuntimeDir()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func serve(t *testing.T, dir string, pid int, f control.Handler) {
	t.Helper()
	l, err := control.Listen(dir, pid)
	if err != nil {
		t.Fatal(err)
	}
	s := control.NewServer(f)
	go s.Serve(l)
	t.Cleanup(s.Close)
}

// output is a buffer that a test may read while a command writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
	ch chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ch != nil {
		defer func() { o.ch <- struct{}{} }()
	}
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

func ctl(args ...string) (status int, out, err string) {
	var o, e output
	status = run(&environment{ctx: context.Background(), out: &o, err: &e}, args)
	return status, o.String(), e.String()
}

// deadPID returns the number of a process that has ended.
func deadPID(t *testing.T) int {
	t.Helper()
	c := exec.Command("true")
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	return c.Process.Pid
}

func stale(t *testing.T, dir string, pid int) string {
	t.Helper()
	l, err := control.Listen(dir, pid)
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	return control.SocketPath(dir, pid)
}

func TestSessionsOfAllProcesses(t *testing.T) {
	dir := isolate(t)
	length := int64(40_000_000)
	serve(t, dir, 1, &fake{list: []control.Session{{
		ID: "1-1", PID: 1, FD: 5, Command: "curl", URL: "http://example.org/\x1b[2Jfile", State: control.StateActive,
		Interface: "wlan0", Server: "10.0.0.1:80", Received: 12_345_678, Length: &length, Movable: true,
	}}})
	serve(t, dir, 2, &fake{list: []control.Session{{ID: "2-1", PID: 2, Why: "no validator"}}})
	dead := stale(t, dir, deadPID(t))
	living := stale(t, dir, os.Getpid())
	status, out, err := ctl("sessions")
	want := "" +
		"SESSION  FD  COMMAND  STATE   INTERFACE  SERVER       RECEIVED                  MOVED  MOVABLE  URL\n" +
		"1-1      5   curl     active  wlan0      10.0.0.1:80  12.3 MB of 40.0 MB (30%)  0×     yes      http://example.org/?[2Jfile\n" +
		"2-1      0                                            0 B                       0×     no       \n" +
		"2-1 cannot be moved: no validator\n"
	if status != exitOK || out != want || err != "" {
		t.Errorf("status %d, %s\n%s\nnot\n%s", status, err, out, want)
	}
	if _, err := os.Lstat(dead); err == nil {
		t.Error("a dead process's socket is left")
	}
	if _, err := os.Lstat(living); err != nil {
		t.Error("a living process's socket is removed")
	}
	status, out, _ = ctl("sessions", "--json")
	var list []control.Session
	if json.Unmarshal([]byte(out), &list) != nil || status != exitOK || len(list) != 2 || list[0].Received != 12_345_678 || list[0].URL != "http://example.org/\x1b[2Jfile" {
		t.Errorf("status %d: %s", status, out)
	}
}

func TestNoSessions(t *testing.T) {
	isolate(t)
	if status, out, err := ctl("sessions", "--json"); status != exitOK || out != "[]\n" || err != "" {
		t.Errorf("status %d: %q, %s", status, out, err)
	}
	t.Setenv(control.EnvRuntimeDir, "/nowhere/at/all")
	if status, out, err := ctl("sessions"); status != exitOK || out != "no sessions\n" || err != "" {
		t.Errorf("without a runtime folder: status %d: %q, %s", status, out, err)
	}
}

func TestAProcessThatDoesNotAnswerIsNamed(t *testing.T) {
	dir := isolate(t)
	l, err := control.Listen(dir, 1) // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	serve(t, dir, 2, &fake{list: []control.Session{{ID: "2-1"}}})
	status, out, errs := ctl("sessions", "--json")
	if status != exitFailed || !strings.Contains(out, `"2-1"`) || !strings.Contains(errs, "process 1: it does not answer within 2s") {
		t.Errorf("status %d: %s%s", status, out, errs)
	}
}

func TestMigrate(t *testing.T) {
	dir := isolate(t)
	var mu sync.Mutex
	var asked []control.MigrateParams
	moved := &control.Migration{From: control.End{Interface: "a", Server: "1.1.1.1:80"}, To: control.End{Interface: "b", Server: "2.2.2.2:80"}, Offset: 1500, Delivery: control.DeliveryDirect, StallMS: 2.25}
	answer := func(r control.MigrateResult, err error) *fake {
		return &fake{migrate: func(p control.MigrateParams) (control.MigrateResult, error) {
			mu.Lock()
			defer mu.Unlock()
			asked = append(asked, p)
			return r, err
		}}
	}
	serve(t, dir, 1, answer(control.MigrateResult{Streams: []control.StreamResult{{ID: "1-1", OK: true, Migration: moved}}}, nil))
	serve(t, dir, 2, answer(control.MigrateResult{Streams: []control.StreamResult{{ID: "2-4", Reason: "the server has another file"}}}, nil))
	serve(t, dir, 3, answer(control.MigrateResult{}, nil))
	serve(t, dir, 4, answer(control.MigrateResult{}, errors.New("there is no interface b")))
	for _, test := range []struct {
		args      string
		status    int
		out, errs string
		asked     int
	}{
		{"--pid 1", exitOK, "1-1      a 1.1.1.1:80  b 2.2.2.2:80  1.5 kB  direct    2.2 ms\n", "", 1},
		{"--session 1-1", exitOK, "1-1 ", "", 1},
		{"--pid 1 --json", exitOK, `"stall_ms":2.25`, "", 1},
		{"--pid 2", exitFailed, "", "2-4 did not move to b: the server has another file", 1},
		{"--pid 2 --json", exitFailed, `"reason":"the server has another file"`, "did not move", 1},
		{"--pid 3", exitNone, "", "nothing matched", 1},
		{"--pid 3 --json", exitNone, `{"streams":[],"unanswered":[]}`, "nothing matched", 1},
		{"--pid 4 --json", exitFailed, `"unanswered":[{"pid":4,"reason":"there is no interface b"}]`, "process 4", 1},
		{"--pid 99", exitNone, "", "nothing matched", 0},
		{"--pid 2 --session 1-1", exitNone, "", "nothing matched", 0},
		{"", exitFailed, "1-1 ", "2-4 did not move", 4},
		{"b --pid 1", exitOK, "1-1 ", "", 1},
	} {
		asked = nil
		status, out, errs := ctl(append([]string{"migrate", "--to=b", "--timeout", "3"}, strings.Fields(test.args)...)...)
		if status != test.status || !strings.Contains(out, test.out) || !strings.Contains(errs, test.errs) || len(asked) != test.asked {
			t.Errorf("%s: status %d, %d asked\n%s%s", test.args, status, len(asked), out, errs)
		}
		for _, p := range asked {
			if p.To != "b" || p.TimeoutMS != 3000 || (p.Session != "") != strings.Contains(test.args, "--session") {
				t.Errorf("%s: asked for %+v", test.args, p)
			}
		}
	}
}

func TestWrongUsageIsSaid(t *testing.T) {
	isolate(t)
	for args, says := range map[string]string{
		"":                                "usage:",
		"halt":                            `no command "halt"`,
		"sessions x":                      `unexpected argument "x"`,
		"sessions --xml":                  "there is no option --xml",
		"sesions":                         "do you mean sessions?",
		"migrate":                         "name the INTERFACE to move to",
		"migrate --to":                    "--to needs a value",
		"migrate --to a/b":                "no name for a network interface",
		"migrate --to a --pid 0":          "0 is no process id",
		"migrate --to a --pid x":          "--pid x: that is no int",
		"migrate --to a --session 5":      `"5" is no session`,
		"migrate --to a --timeout soon":   "no time such as",
		"migrate --to a --timeout 11m":    "not between",
		"migrate --to a --timeout -1s":    "not between",
		"migrate --to a wwan0":            "unexpected argument",
		"watch --interval 3":              "there is no option --interval",
		"config --json extra":             "unexpected argument",
		"migrate --to a --session 1-x":    "is no session",
		"migrate --to abcdefghijklmnopqr": "no name",
	} {
		if status, out, err := ctl(strings.Fields(args)...); status != exitUsage || out != "" || !strings.Contains(err, says) {
			t.Errorf("%q: status %d\n%s%s", args, status, out, err)
		}
	}
}

func TestHelpNeedsNothing(t *testing.T) {
	t.Setenv(config.EnvFile, "/nowhere")
	for _, args := range [][]string{{"--help"}, {"help"}, {"sessions", "--help"}, {"migrate", "--to", "a", "-h"}, {"watch", "--help"}, {"config", "--help"}} {
		if status, out, err := ctl(args...); status != exitOK || !strings.HasPrefix(out, "usage: midstreamctl") || err != "" {
			t.Errorf("%q: status %d: %s%s", args, status, out, err)
		}
	}
}

func TestAWrongConfigurationStopsEverything(t *testing.T) {
	isolate(t)
	if err := os.WriteFile(os.Getenv(config.EnvFile), []byte("[migration]\nlook_ahed = 2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"sessions", "migrate", "watch", "interfaces", "use", "hint", "when", "config"} {
		status, out, err := ctl(name)
		if status != exitUsage || out != "" || !strings.Contains(err, "config.toml:2: migration.look_ahed: unknown key") {
			t.Errorf("%s: status %d: %s%s", name, status, out, err)
		}
	}
}

func TestConfigShowsWhatIsInForce(t *testing.T) {
	isolate(t)
	if err := os.WriteFile(os.Getenv(config.EnvFile), []byte("[interfaces.w]\nproxy = \"http://me:hunter2@h:1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"config"}, {"config", "--json"}} {
		status, out, err := ctl(args...)
		if status != exitOK || !strings.Contains(out, "http://me:***@h:1") || !strings.Contains(out, "look_ahead") || strings.Contains(out, "hunter2") || err != "" {
			t.Errorf("%q: status %d: %s%s", args, status, out, err)
		}
		if len(args) == 2 && !json.Valid([]byte(out)) {
			t.Errorf("not JSON: %s", out)
		}
	}
}

func TestAForeignRuntimeFolderIsRefused(t *testing.T) {
	dir := isolate(t)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if status, _, err := ctl("sessions"); status != exitFailed || !strings.Contains(err, "chmod 700") {
		t.Errorf("status %d: %s", status, err)
	}
}

func TestWatchFollowsProcessesThatAppear(t *testing.T) {
	for _, args := range [][]string{{"watch"}, {"watch", "--json"}} {
		dir := isolate(t)
		ctx, interrupt := context.WithTimeout(context.Background(), 10*time.Second)
		out, errs := output{ch: make(chan struct{}, 10)}, output{}
		status := make(chan int)
		go func() { status <- run(&environment{ctx: ctx, out: &out, err: &errs}, args) }()
		for pid := 1; pid <= 2; pid++ {
			f := &fake{watched: make(chan struct{})}
			serve(t, dir, pid, f)
			<-f.watched
			f.Publish(control.Event{At: control.Now(), Kind: control.EventOpened, PID: pid, Session: fmt.Sprintf("%d-1", pid), Text: "to the\nserver"})
			<-out.ch
		}
		interrupt()
		if s := <-status; s != exitOK || errs.String() != "" {
			t.Errorf("%q: status %d, %s", args, s, &errs)
		}
		lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], "1-1") || !strings.Contains(lines[1], "2-1") || !strings.Contains(lines[0], "opened") {
			t.Fatalf("%q: %s", args, &out)
		}
		if len(args) == 2 && !json.Valid([]byte(lines[0])) {
			t.Errorf("not JSON: %s", lines[0])
		}
	}
}

func TestURLsFitTheTerminal(t *testing.T) {
	s := []control.Session{{ID: "1-1", Movable: true, URL: "http://example.org/" + strings.Repeat("long/", 40) + "file.iso"}}
	for _, line := range strings.Split(strings.TrimSpace(string(sessionTable(s, 120))), "\n") {
		if n := utf8.RuneCountInString(line); n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	if text := string(sessionTable(s, 120)); !strings.Contains(text, "…") || !strings.Contains(text, "file.iso") {
		t.Error(text)
	}
	if text := string(sessionTable(s, 0)); !strings.Contains(text, s[0].URL) {
		t.Error("shortened where there is no terminal")
	}
}

// What another process says of itself is shown, never obeyed: in tables, in messages, in errors, and in JSON, which stays data.
func TestNothingOfAnotherProcessIsObeyed(t *testing.T) {
	const evil = "\x1b]0;x\x07\x7f\u009b\u202e\u2066\u200f\u2028\n"
	dir := isolate(t)
	long := strings.Repeat("x", 100_000)
	serve(t, dir, 1, &fake{
		list: []control.Session{{ID: "1-1" + evil, Command: evil, URL: "http://h/" + evil + long, State: evil, Interface: evil, Server: evil, Why: evil + long}},
		migrate: func(control.MigrateParams) (control.MigrateResult, error) {
			m := &control.Migration{From: control.End{Interface: evil, Server: evil}, To: control.End{Interface: evil}, Delivery: evil}
			return control.MigrateResult{Streams: []control.StreamResult{
				{ID: "1-1" + evil, Reason: evil + long}, {ID: "1-2" + evil, OK: true, Migration: m}, {ID: "1-3" + evil, OK: true}}}, nil
		},
	})
	serve(t, dir, 2, &fake{migrate: func(control.MigrateParams) (control.MigrateResult, error) {
		return control.MigrateResult{}, errors.New(evil + long)
	}})
	for _, args := range []string{"sessions", "sessions --json", "migrate --to b", "migrate --to b --json", "use lo"} {
		_, out, errs := ctl(strings.Fields(args)...)
		for _, r := range out + errs {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Errorf("%s writes %q", args, r)
			}
		}
		for _, line := range strings.Split(errs, "\n") {
			if len(line) > 10_000 {
				t.Errorf("%s complains in a line of %d octets", args, len(line))
			}
		}
		if strings.HasSuffix(args, "--json") && !json.Valid([]byte(out)) {
			t.Errorf("%s writes what is no JSON: %.300q … %q %q", args, out, out[max(0, len(out)-200):], errs)
		}
	}
}

// In 80 columns nothing is longer, whatever there is; in many, nothing is cut.
func TestTablesFitTheTerminal(t *testing.T) {
	length := int64(5_000_000_000)
	all := []control.Session{
		{ID: "1234567-12", PID: 1234567, FD: 1021, Command: "/usr/bin/curl --fail --location -o " + strings.Repeat("a/", 40) + "file.iso", State: control.StateMigrating,
			Interface: "enx0011223344ab", Server: "[2001:db8:1111:2222:3333:4444:5555:6666]:443", Received: 4_123_456_789, Length: &length, Movable: true,
			URL: "https://download.example.org/" + strings.Repeat("long/", 30) + "file.iso"},
		{ID: "2-1", PID: 2, Command: "wget", State: control.StateIdle, Interface: "wlan0", Server: "10.0.0.1:80", URL: "http://a/b"},
	}
	for width, wants := range map[int][]string{80: {"SESSION", "COMMAND", "RECEIVED", "URL", "…", ".iso"}, 120: {"MOVABLE", "…"}, 500: {all[0].Command, all[0].URL, all[0].Server}} {
		text := string(sessionTable(all, width))
		for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
			if n := utf8.RuneCountInString(line); n > width {
				t.Errorf("%d columns of %d: %s", n, width, line)
			}
		}
		for _, want := range wants {
			if !strings.Contains(text, want) {
				t.Errorf("in %d columns there is no %s:\n%s", width, want, text)
			}
		}
	}
}

// What TAB offers, as the shells' scripts ask for it.
func TestCompletionKnowsInterfacesAndSessions(t *testing.T) {
	dir := isolate(t)
	serve(t, dir, 1, &fake{list: []control.Session{{ID: "1-7", PID: 1, Command: "curl", URL: "http://download.example:8080/a", Interface: "wlan0", Server: "10.0.0.1:80"}}})
	links, _, err := netif.Survey()
	if err != nil {
		t.Fatal(err)
	}
	other := ""
	for _, l := range links {
		if l.Offered() {
			other = l.Name
		}
	}
	for args, wants := range map[string][]string{
		"use ":                     {"auto\t", other},
		"migrate ":                 {other},
		"migrate --session ":       {"1-7\thttp://download.example:8080/a over wlan0"},
		"migrate --pid ":           {"1\tcurl over wlan0"},
		"hint lo ":                 {"metered=true", "server=10.0.0.1", "cost="},
		"hint lo met":              {"metered=true"},
		"when ":                    {`session.host == "download.example"`},
		"":                         {"sessions\tlist"},
		"when x use ":              {"auto\t"},
		"completion ":              {"bash", "zsh", "fish"},
		"migrate a --session 1-7 ": {},
	} {
		status, out, errs := ctl(append([]string{"__complete"}, strings.Split(args, " ")...)...)
		for _, want := range wants {
			if !strings.Contains("\n"+out, "\n"+want) || status != exitOK {
				t.Errorf("%q: status %d, no %q in\n%s%s", args, status, want, out, errs)
			}
		}
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if status, out, _ := ctl("completion", shell); status != exitOK || !strings.Contains(out, "__complete") {
			t.Errorf("%s: status %d, %s", shell, status, out)
		}
	}
}

// Every option and every exit status is in help and manual page, and help fits a terminal.
func TestHelpIsWhole(t *testing.T) {
	_, page, _ := ctl("page")
	root := (&environment{}).root()
	for _, c := range root.Commands() {
		if c.Hidden {
			continue
		}
		status, help, _ := ctl(c.Name(), "--help")
		if status != exitOK || !strings.HasPrefix(help, "usage: midstreamctl "+c.Name()) {
			t.Errorf("%s: status %d, %s", c.Name(), status, help)
		}
		for _, line := range strings.Split(help, "\n") {
			if n := utf8.RuneCountInString(line); n > 80 && !strings.HasPrefix(line, "usage: ") {
				t.Errorf("%s: %d columns: %s", c.Name(), n, line)
			}
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && (!strings.Contains(help, "--"+f.Name) || !strings.Contains(page, strings.ReplaceAll("-"+f.Name, "-", `\-`))) {
				t.Errorf("%s: --%s is not in its help or page", c.Name(), f.Name)
			}
		})
		if c.Short == "" || !strings.Contains(page, ".Ss "+c.Name()) {
			t.Errorf("%s is not described", c.Name())
		}
	}
}

func TestOtherVersionsAreNamed(t *testing.T) {
	dir := isolate(t)
	serve(t, dir, 1, &fake{})
	if wrong := (&environment{ctx: context.Background()}).otherVersions(); len(wrong) != 0 {
		t.Errorf("of the same version: %q", wrong)
	}
	old := make(chan string, 1)
	l, err := net.Listen("unix", control.SocketPath(dir, 2)) // of before there was such a question
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err == nil {
			line, _ := bufio.NewReader(c).ReadString('\n')
			old <- line
			fmt.Fprintln(c, `{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"there is no method"}}`)
		}
	}()
	wrong := (&environment{ctx: context.Background()}).otherVersions()
	if len(wrong) != 1 || !strings.HasPrefix(wrong[0], "process 2 ") || !strings.Contains(wrong[0], "started again") {
		t.Errorf("%q", wrong)
	}
}
