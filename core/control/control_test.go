// The server as a peer sees it: through a socket.
package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// fake is a controller with one session.
type fake struct {
	Hub
	migrate func(context.Context, MigrateParams) (MigrateResult, error)
}

func (f *fake) Sessions() []Session {
	return []Session{{ID: "7-1", PID: 7, FD: 3, State: StateActive, Received: 5}}
}

func (f *fake) Migrate(ctx context.Context, p MigrateParams) (MigrateResult, error) {
	return f.migrate(ctx, p)
}

func start(t *testing.T, h Handler) (s *Server, dial func() *client) {
	t.Helper()
	t.Setenv(EnvRuntimeDir, filepath.Join(t.TempDir(), "run"))
	dir, err := EnsureRuntimeDir()
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(dir, os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	s = NewServer(h)
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(SocketPath(dir, os.Getpid())); err == nil {
			t.Error("the socket is left behind")
		}
	})
	return s, func() *client {
		c, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: SocketPath(dir, os.Getpid()), Net: "unix"})
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { c.Close() })
		return &client{t, c, bufio.NewReader(c)}
	}
}

type client struct {
	t *testing.T
	*net.UnixConn
	in *bufio.Reader
}

func (c *client) send(line string) {
	c.t.Helper()
	if _, err := c.Write([]byte(line + "\n")); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) receive() string {
	c.t.Helper()
	line, err := c.in.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (c *client) ended() bool {
	_, err := c.in.ReadByte()
	var timeout net.Error
	return err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

func TestSessionsAreAnsweredAsDocumented(t *testing.T) {
	_, dial := start(t, &fake{})
	c := dial()
	c.send(`{"jsonrpc":"2.0","id":"a","method":"sessions"}`)
	want := `{"jsonrpc":"2.0","id":"a","result":[{"id":"7-1","pid":7,"fd":3,"command":"","url":"","state":"active",` +
		`"interface":"","server":"","received":5,"length":null,"movable":false,"why":"","migrations":[]}]}`
	if got := c.receive(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAMigrationIsWrittenAsDocumented(t *testing.T) {
	at := time.Date(2024, 2, 29, 13, 4, 5, 6_700_000, time.FixedZone("", 3600))
	got, err := json.Marshal(Migration{Time{at}, "control", End{"a", "1.2.3.4:80"}, End{"b", "[::1]:80"}, 9, DeliveryDirect, 1.5})
	want := `{"at":"2024-02-29T12:04:05.006Z","trigger":"control","from":{"interface":"a","server":"1.2.3.4:80"},` +
		`"to":{"interface":"b","server":"[::1]:80"},"offset":9,"delivery":"direct","stall_ms":1.5}`
	if err != nil || string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestWrongMessagesGetAClearAnswerAndDisturbNothing(t *testing.T) {
	_, dial := start(t, &fake{})
	c := dial()
	for _, test := range []struct {
		line, id string
		code     int
		says     string
	}{
		{`nonsense`, `null`, CodeParse, "not JSON"},
		{`{"jsonrpc":"2.0","id":1,"method":`, `null`, CodeParse, "not JSON"},
		{`[{"jsonrpc":"2.0","id":1,"method":"sessions"}]`, `null`, CodeRequest, "no batches"},
		{`"x"`, `null`, CodeRequest, "not a request"},
		{`{"id":1,"method":"sessions"}`, `1`, CodeRequest, "jsonrpc"},
		{`{"jsonrpc":"2.0","id":1}`, `1`, CodeRequest, "method"},
		{`{"jsonrpc":"2.0","id":1,"method":7}`, `null`, CodeRequest, "method"},
		{`{"jsonrpc":"2.0","id":{},"method":"sessions"}`, `null`, CodeRequest, "id"},
		{`{"jsonrpc":"2.0","id":-2,"method":"halt"}`, `-2`, CodeMethod, `"halt"`},
		{`{"jsonrpc":"2.0","id":3,"method":"sessions","params":{"x":1}}`, `3`, CodeParams, `"x"`},
		{`{"jsonrpc":"2.0","id":3,"method":"sessions","params":[1]}`, `3`, CodeParams, "not a JSON object"},
		{`{"jsonrpc":"2.0","id":4,"method":"migrate"}`, `4`, CodeParams, `"to" is missing`},
		{`{"jsonrpc":"2.0","id":4,"method":"migrate","params":{"to":5}}`, `4`, CodeParams, `"to" cannot be a JSON number`},
		{`{"jsonrpc":"2.0","id":4,"method":"migrate","params":{"to":"abcdefghijklmnop"}}`, `4`, CodeParams, `15 octets`},
		{`{"jsonrpc":"2.0","id":4,"method":"migrate","params":{"to":"a","timeout_ms":-1}}`, `4`, CodeParams, "timeout_ms"},
		{`{"jsonrpc":"2.0","id":4,"method":"migrate","params":{"to":"a","timeout_ms":600001}}`, `4`, CodeParams, "timeout_ms"},
	} {
		c.send(test.line)
		var r Response
		got := c.receive()
		if err := json.Unmarshal([]byte(got), &r); err != nil {
			t.Fatal(err)
		}
		if r.Error == nil || r.Error.Code != test.code || !strings.Contains(r.Error.Message, test.says) || r.Result != nil || !strings.Contains(got, `"id":`+test.id+`,`) {
			t.Errorf("%s\nis answered %s", test.line, got)
		}
	}
	c.send(`{"jsonrpc":"2.0","id":9,"method":"sessions"}`)
	if got := c.receive(); !strings.Contains(got, `"result":[`) {
		t.Errorf("afterwards: %s", got)
	}
}

func TestTheLongestMessageIsAnsweredAndALongerOneEndsTheConnection(t *testing.T) {
	_, dial := start(t, &fake{})
	c := dial()
	request := `{"jsonrpc":"2.0","id":1,"method":"sessions"}`
	c.send(request + strings.Repeat(" ", MaxLine-len(request)))
	if got := c.receive(); !strings.Contains(got, `"result"`) {
		t.Errorf("the longest is answered %.200s", got)
	}
	c.send(strings.Repeat("x", 3*MaxLine))
	if got := c.receive(); !strings.Contains(got, "-32600") || !strings.Contains(got, "longer than 1048576") {
		t.Errorf("a longer one is answered %.200s", got)
	}
	if !c.ended() {
		t.Error("the connection goes on")
	}
}

func TestARequestIsAnsweredThoughThePeerSendsNoMore(t *testing.T) {
	_, dial := start(t, &fake{migrate: func(ctx context.Context, _ MigrateParams) (MigrateResult, error) {
		time.Sleep(50 * time.Millisecond) // long enough for the end of input to be seen first
		return MigrateResult{}, ctx.Err()
	}})
	c := dial()
	if _, err := c.Write([]byte(`{"jsonrpc":"2.0","id":1,"method":"migrate","params":{"to":"a"}}`)); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got := c.receive(); got != `{"jsonrpc":"2.0","id":1,"result":{"streams":[]}}` {
		t.Error(got)
	}
	if !c.ended() {
		t.Error("the connection goes on")
	}
}

func TestRequestsRunSideBySideAndTimeOut(t *testing.T) {
	release := make(chan struct{})
	_, dial := start(t, &fake{migrate: func(ctx context.Context, p MigrateParams) (MigrateResult, error) {
		if p.TimeoutMS > 0 {
			limited, cancel := context.WithTimeout(ctx, time.Duration(p.TimeoutMS)*time.Millisecond)
			defer cancel()
			ctx = limited
		}
		select {
		case <-release:
			return MigrateResult{Streams: []StreamResult{{ID: p.Session, OK: true}}}, nil
		case <-ctx.Done():
			return MigrateResult{}, fmt.Errorf("to %s: %w", p.To, ctx.Err())
		}
	}})
	c := dial()
	c.send(`{"jsonrpc":"2.0","id":1,"method":"migrate","params":{"to":"a","session":"7-1"}}`)
	c.send(`{"jsonrpc":"2.0","id":2,"method":"migrate","params":{"to":"b","timeout_ms":1}}`)
	if got, want := c.receive(), `{"jsonrpc":"2.0","id":2,"error":{"code":-32000,"message":"to b: context deadline exceeded"}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.send(`{"jsonrpc":"2.0","id":3,"method":"sessions"}`)
	if got := c.receive(); !strings.Contains(got, `"id":3,"result"`) {
		t.Error(got)
	}
	close(release)
	if got, want := c.receive(), `{"jsonrpc":"2.0","id":1,"result":{"streams":[{"id":"7-1","ok":true,"reason":"","migration":null}]}}`; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestRequestsInFlightAreBounded(t *testing.T) {
	var mu sync.Mutex
	running, most := 0, 0
	var once sync.Once
	full, release := make(chan struct{}), make(chan struct{})
	_, dial := start(t, &fake{migrate: func(ctx context.Context, _ MigrateParams) (MigrateResult, error) {
		mu.Lock()
		running++
		most = max(most, running)
		if running == maxInFlight {
			once.Do(func() { close(full) })
		}
		mu.Unlock()
		<-release
		mu.Lock()
		running--
		mu.Unlock()
		return MigrateResult{}, nil
	}})
	c := dial()
	const all = maxInFlight + 20
	for i := range all {
		c.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"migrate","params":{"to":"a"}}`, i))
	}
	<-full
	// Another connection is not held up by that.
	other := dial()
	other.send(`{"jsonrpc":"2.0","id":1,"method":"sessions"}`)
	other.receive()
	release <- struct{}{}
	close(release)
	for range all {
		c.receive()
	}
	if most > maxInFlight {
		t.Errorf("%d requests at a time", most)
	}
}

func TestWatchersGetEventsAndEndWithTheirConnection(t *testing.T) {
	h := &fake{}
	_, dial := start(t, h)
	c := dial()
	c.send(`{"jsonrpc":"2.0","id":1,"method":"watch"}`)
	if got := c.receive(); got != `{"jsonrpc":"2.0","id":1,"result":{"watching":true}}` {
		t.Error(got)
	}
	h.Publish(Event{At: Time{time.Unix(0, 0)}, Kind: EventOpened, PID: 7, Session: "7-1", Text: "x", Fields: map[string]any{"url": "u"}})
	want := `{"jsonrpc":"2.0","method":"event","params":{"at":"1970-01-01T00:00:00.000Z","kind":"opened","pid":7,"session":"7-1","text":"x","fields":{"url":"u"}}}`
	if got := c.receive(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c.send(`{"jsonrpc":"2.0","id":2,"method":"watch"}`)
	if got := c.receive(); !strings.Contains(got, "already watching") {
		t.Error(got)
	}
	c.Close()
	for deadline := time.Now().Add(5 * time.Second); ; {
		h.mu.Lock()
		n := len(h.watchers)
		h.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the subscription outlives its connection")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestASlowWatcherMissesEventsAndHoldsUpNobody(t *testing.T) {
	var h Hub
	events, unsubscribe := h.Subscribe()
	for range watchBuffer + 5 {
		h.Publish(Event{})
	}
	for range watchBuffer {
		if e := <-events; e.Skipped != 0 {
			t.Fatalf("%d skipped before there was need", e.Skipped)
		}
	}
	h.Publish(Event{})
	h.Publish(Event{})
	if e := <-events; e.Skipped != 5 {
		t.Errorf("%d skipped, not 5", e.Skipped)
	}
	if e := <-events; e.Skipped != 0 {
		t.Errorf("%d skipped twice", e.Skipped)
	}
	unsubscribe()
	unsubscribe()
	h.Publish(Event{})
	if _, ok := <-events; ok {
		t.Error("an event after the end")
	}
}

func TestAWatcherThatDoesNotReadDoesNotDelayClose(t *testing.T) {
	h := &fake{}
	s, dial := start(t, h)
	c := dial()
	c.send(`{"jsonrpc":"2.0","id":1,"method":"watch"}`)
	c.receive()
	for range watchBuffer {
		h.Publish(Event{Text: strings.Repeat("x", 10_000)})
	}
	before := time.Now()
	s.Close()
	if d := time.Since(before); d > writeLimit/2 {
		t.Errorf("Close took %v", d)
	}
}

func TestAForeignUserIsTurnedAway(t *testing.T) {
	s, dial := start(t, &fake{})
	s.mu.Lock() // orders the change before the server's next look
	s.allowed = func(int) bool { return false }
	s.mu.Unlock()
	c := dial()
	if got := c.receive(); !strings.Contains(got, "-32001") || !strings.Contains(got, "permission denied") {
		t.Error(got)
	}
	if !c.ended() {
		t.Error("the connection goes on")
	}
}

func TestThePeerIsKnownByItsUser(t *testing.T) {
	s := NewServer(nil)
	if !s.allowed(0) || !s.allowed(os.Geteuid()) || s.allowed(os.Geteuid()+1) {
		t.Error("not exactly root and this user are allowed")
	}
	l, err := Listen(t.TempDir(), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	accepted, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer accepted.Close()
	if uid, err := PeerUID(accepted); err != nil || uid != os.Geteuid() {
		t.Errorf("peer = %d, %v", uid, err)
	}
}

func TestOnlyAStaleSocketIsReplaced(t *testing.T) {
	dir := t.TempDir()
	l, err := Listen(dir, 5)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(SocketPath(dir, 5))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Listen(dir, 5); err == nil || !strings.Contains(err.Error(), "another process listens") {
		t.Errorf("a living one: %v", err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	again, err := Listen(dir, 5)
	if err != nil {
		t.Fatalf("a stale one: %v", err)
	}
	again.Close()
	if err := os.WriteFile(SocketPath(dir, 6), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(dir, 6); err == nil || !strings.Contains(err.Error(), "something else") {
		t.Errorf("a file: %v", err)
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 100)), 5); err == nil || !strings.Contains(err.Error(), "longer than 107") {
		t.Errorf("a long path: %v", err)
	}
}

func TestTheRuntimeDirIsPrivate(t *testing.T) {
	base := t.TempDir()
	use := func(name string) (string, error) {
		t.Setenv(EnvRuntimeDir, filepath.Join(base, name))
		return EnsureRuntimeDir()
	}
	dir, err := use("a/b")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if err := os.Symlink(dir, filepath.Join(base, "link")); err != nil {
		t.Fatal(err)
	}
	if _, err := use("link"); err == nil || !strings.Contains(err.Error(), "symbolic link") {
		t.Errorf("a link: %v", err)
	}
	if err := os.WriteFile(filepath.Join(base, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := use("file"); err == nil || !strings.Contains(err.Error(), "not a folder") {
		t.Errorf("a file: %v", err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := use("a/b"); err == nil || !strings.Contains(err.Error(), "chmod 700") {
		t.Errorf("an open one: %v", err)
	}
	if os.Geteuid() != 0 {
		t.Skip("giving a folder away needs root")
	}
	other := filepath.Join(base, "other")
	if err := errors.Join(os.Mkdir(other, 0o700), os.Chown(other, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	if _, err := use("other"); err == nil || !strings.Contains(err.Error(), "belongs to user 65534") {
		t.Errorf("another's: %v", err)
	}
	if err := CheckRuntimeDir(other, true); err != nil {
		t.Errorf("root may not look into another's: %v", err)
	}
}

func TestTheRuntimeDirFollowsTheEnvironment(t *testing.T) {
	mine := t.TempDir()
	t.Setenv(EnvRuntimeDir, "")
	t.Setenv("XDG_RUNTIME_DIR", mine)
	if got := RuntimeDir(); got != filepath.Join(mine, "midstream") {
		t.Error(got)
	}
	t.Setenv("XDG_RUNTIME_DIR", filepath.Join(mine, "none"))
	if got := RuntimeDir(); !strings.HasPrefix(got, "/run/user/") && got != fmt.Sprintf("/tmp/midstream-%d", os.Geteuid()) {
		t.Error(got)
	}
	t.Setenv(EnvRuntimeDir, "/x")
	if got := RuntimeDir(); got != "/x" {
		t.Error(got)
	}
}

func FuzzRequest(f *testing.F) {
	for _, seed := range []string{`{"jsonrpc":"2.0","id":1,"method":"migrate","params":{"to":"a"}}`, `[]`, `{"id":{}}`, `nonsense`, ` `, `{"jsonrpc":"2.0","method":"sessions","id":null}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, problem := ParseRequest(line)
		if problem == nil {
			var p MigrateParams
			if err := params(r, &p); err == nil && p.check() == nil && (p.To == "" || p.TimeoutMS < 0) {
				t.Fatalf("accepted %+v", p)
			}
		}
		if r.ID == nil {
			r.ID = null
		}
		if answer, err := json.Marshal(Response{JSONRPC: Version, ID: r.ID, Error: problem}); err != nil || strings.ContainsRune(string(answer), '\n') {
			t.Fatalf("%q, %v", answer, err)
		}
	})
}
