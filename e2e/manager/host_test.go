// midstreamd --host: one manager for all users of the host, of whom none may speak for another.

package manager

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"midstream/e2e/lab"
)

// The users of the host; root is the third.
var users = []int{65533, 65534}

const hostSocket = "/run/midstream/midstreamd.sock"

// household is a stage with folders of the users' own, and everything else where it is on a host.
type household struct {
	*stage
	config string
}

func newHost(t *testing.T, config string) *household {
	t.Helper()
	for _, uid := range users {
		if err := os.Chown(t.TempDir(), uid, uid); err != nil {
			t.Skipf("another user is needed: %v", err) // in a user namespace there is none
		}
	}
	h := &household{stage: newStage(t)}
	if err := os.Chmod(filepath.Dir(h.Dir), 0o711); err != nil { // what has been built is there
		t.Fatal(err)
	}
	h.Configure(config)
	text, err := os.ReadFile(h.ConfigFile())
	if err != nil {
		t.Fatal(err)
	}
	h.config = "/run/midstream-test.toml" // the laboratory's own folder is root's
	if err := os.WriteFile(h.config, text, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll("/run/midstream"); os.Remove(h.config) })
	for _, uid := range append([]int{0}, users...) {
		dir := fmt.Sprintf("/run/user/%d", uid)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, uid, uid); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// as makes the command one of the user's.
func (h *household) as(uid int, args ...string) *lab.Program {
	if uid != 0 {
		args = append([]string{"setpriv", fmt.Sprint("--reuid=", uid), fmt.Sprint("--regid=", uid), "--clear-groups"}, args...)
	}
	p := h.Command(args...)
	p.Env = slices.DeleteFunc(p.Env, func(v string) bool { return strings.HasPrefix(v, "MIDSTREAM_") || strings.HasPrefix(v, "XDG_") })
	p.Env = append(p.Env, "MIDSTREAM_CONFIG="+h.config)
	return p
}

func (h *household) daemon() *lab.Program {
	p := h.as(0, lab.Build(h.t, "midstreamd"), "--host")
	p.Start()
	h.Await(hostSocket, limit, func() bool { _, err := os.Stat(hostSocket); return err == nil })
	return p
}

func (h *household) ctl(uid int, args ...string) lab.Result {
	return h.as(uid, append([]string{lab.Build(h.t, "midstreamctl")}, args...)...).Run()
}

// download is one of the user's.
func (h *household) download(uid int) *download {
	h.t.Helper()
	folder := h.t.TempDir()
	if err := os.Chown(folder, uid, uid); err != nil {
		h.t.Fatal(err)
	}
	for dir := filepath.Dir(folder); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		os.Chmod(dir, 0o755)
	}
	d := &download{s: h.stage, file: filepath.Join(folder, "film")}
	d.Program = h.as(uid, lab.Build(h.t, "midstream"), "--", "curl", "-sS", "-o", d.file, "http://"+host+"/film")
	d.Start()
	return d
}

// on waits until root's midstreamctl shows all of them over the interface, and nobody sees what is not theirs.
func (h *household) on(name string, all map[int]*download) {
	h.t.Helper()
	h.Await("all over "+name, limit, func() bool {
		text := h.ctl(0, "sessions").Stdout
		for _, d := range all {
			if !h.shows(text, d, name) {
				return false
			}
		}
		return true
	})
	for uid := range all {
		text := h.ctl(uid, "sessions").Stdout
		for of, d := range all {
			if shown := h.shows(text, d, name); shown != (uid == 0 || uid == of) {
				h.t.Errorf("user %d, of user %d's: %s", uid, of, text)
			}
		}
	}
}

// shows reports whether a table of sessions has the download over the interface, with octets received.
func (h *household) shows(table string, d *download, name string) bool {
	for line := range strings.Lines(table) {
		if strings.HasPrefix(line, strconv.Itoa(d.Pid())+"-") && strings.Contains(line, " "+name+" ") {
			return true
		}
	}
	return false
}

func TestHostDaemonServesAllUsers(t *testing.T) {
	h := newHost(t, "[policy]\ndwell = \"0s\"\n[[policy.rules]]\nwhen = 'wlan0.congestion > 0.5'\nuse = \"wwan0\"\n")
	daemon := h.daemon()
	all := map[int]*download{}
	for _, uid := range append([]int{0}, users...) {
		all[uid] = h.download(uid)
	}
	h.on("wlan0", all)

	// What a user says holds for that user; what root says for the host holds for all.
	if r := h.ctl(users[0], "use", "wwan0", "--host"); r.Status != 1 || !strings.Contains(r.Stderr, "permission denied") {
		t.Errorf("%v", r)
	}
	if r := h.ctl(users[0], "hint", "wlan0", "congestion=0.9", "--host"); r.Status == 0 {
		t.Errorf("%v", r)
	}
	if r := h.ctl(0, "use", "wwan0", "--host"); r.Status != 0 {
		t.Errorf("%v", r)
	}
	h.on("wwan0", all)
	for _, name := range []string{"wlan0", "auto"} {
		if r := h.ctl(0, "use", name, "--host"); r.Status != 0 {
			t.Errorf("%v", r)
		}
	}
	h.on("wlan0", all)
	// The daemon's own decision.
	if r := h.ctl(0, "hint", "wlan0", "congestion=0.9", "--host"); r.Status != 0 {
		t.Errorf("%v", r)
	}
	h.on("wwan0", all)

	daemon.Process.Signal(syscall.SIGKILL)
	<-daemon.Ended()
	for _, d := range all {
		d.whole()
	}
}

// intrude asks what is not this user's to ask: on another's control socket, and of the daemon of all users.
const intrude = `import json, socket, sys
def ask(path, method, params):
    s = socket.socket(socket.AF_UNIX)
    try:
        s.connect(path)
    except OSError as e:
        return e.strerror
    s.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode() + b"\n")
    answer = json.loads(s.makefile().readline())
    return answer.get("error", {}).get("message") or answer["result"]
victim, pid, daemon = sys.argv[1], int(sys.argv[2]), sys.argv[3]
print(ask(victim, "sessions", {}))
print(ask(daemon, "attach", {"pid": pid, "command": "x"}))
print(ask(daemon, "report", {"pid": pid, "use": "wwan0", "streams": [], "samples": []}))
print(ask(daemon, "outcome", {"session": "%d-1" % pid, "to": "wwan0"}))
print(ask(daemon, "watch", {}))
print(ask(daemon, "interfaces", {})[0]["name"] != "")
`

// spread reports what is not so of itself, to the daemon of all users, and says so; it ends with its input.
const spread = `import json, os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
f = s.makefile("rw")
pid, n = os.getpid(), 0
def tell(method, params):
    global n
    n += 1
    f.write(json.dumps({"jsonrpc": "2.0", "id": n, "method": method, "params": params}) + "\n")
    f.flush()
    while True:
        answer = json.loads(f.readline())
        if answer.get("id") == n:
            return answer
stream = {"id": "%d-1" % pid, "pid": pid, "command": "x", "url": "", "host": "h", "port": 80, "interface": "wlan0", "server": "10.77.1.80:80",
          "active": True, "length": 10**12, "received": 0, "rate": 0, "movable": True, "why": "", "moved": "0001-01-01T00:00:00Z"}
print(tell("attach", {"pid": pid, "command": "x"}))
for received in range(0, 3000, 1000):
    print(tell("report", {"pid": pid, "use": "", "streams": [dict(stream, received=received)],
                          "samples": [{"rtt_ms": 9000.0, "retransmits": received, "connection": 7}], "captive": {"wlan0": True}}))
print("told", flush=True)
sys.stdin.read()
`

// What a user's processes report holds for that user: for the other's download, and for root, wlan0 is as good as it was.
func TestHostDaemonBelievesAUserForThatUserOnly(t *testing.T) {
	h := newHost(t, "[policy]\ndwell = \"0s\"\n[[policy.rules]]\nwhen = 'wlan0.rtt > 5000 || wlan0.captive'\nuse = \"wwan0\"\n")
	h.daemon()
	all := map[int]*download{users[0]: h.download(users[0]), users[1]: h.download(users[1])}
	h.on("wlan0", all)
	liar := h.as(users[1], "/usr/bin/python3", "-c", spread, hostSocket)
	input, err := liar.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	liar.Start()
	h.on("wwan0", map[int]*download{users[1]: all[users[1]]}) // a rule sees what that user has reported
	for uid, captive := range map[int]bool{0: false, users[0]: false, users[1]: true} {
		var list []iface
		r := h.ctl(uid, "interfaces", "--json")
		if err := json.Unmarshal([]byte(r.Stdout), &list); err != nil {
			t.Fatalf("%v", r)
		}
		for _, i := range list {
			if i.Name == "wlan0" && (i.Captive != captive || (i.RTT > 1000) != captive) {
				t.Errorf("to user %d wlan0 is %+v", uid, i)
			}
		}
	}
	if x := h.ctl(users[0], "sessions", "--json"); strings.Contains(x.Stdout, `"wwan0"`) {
		t.Errorf("another user's download was moved: %v", x)
	}
	if order, err := os.Readlink("/run/midstream/order"); err != nil || !strings.HasPrefix(order, "wlan0") {
		t.Errorf("the order for all is %q, %v", order, err)
	}
	all[users[0]].whole()
}

// pretend serves control sockets of a user's that answer with another user's session, under that one's number too, with too much, and without an end.
const pretend = `import json, os, socket, sys, threading
folder, victim = sys.argv[1], int(sys.argv[2])
os.makedirs(folder, 0o700, exist_ok=True)
lie = [{"id": "%d-1" % victim, "pid": victim, "command": "lie", "url": "http://lie/"}, {"id": "900001-7", "pid": 900001, "command": "own", "url": "\u202e\u001b[2J"}]
say = {900001: json.dumps(lie), victim: json.dumps(lie), 900002: json.dumps([{"id": "900002-1", "pid": 900002, "url": "x" * 9000000}]), 900003: None}
def serve(s, text):
    while True:
        c, _ = s.accept()
        try:
            c.recv(1000)
            if text:
                c.sendall(('{"jsonrpc":"2.0","id":1,"result":' + text + "}\n").encode())
            while not text:
                c.sendall(b"[" * 100000)
        except OSError:
            pass
        c.close()
for pid, text in say.items():
    s = socket.socket(socket.AF_UNIX)
    s.bind("%s/%d.sock" % (folder, pid))
    s.listen()
    threading.Thread(target=serve, args=(s, text), daemon=True).start()
print("ready", flush=True)
sys.stdin.read()
`

// Who lists the sessions of all users is shown of each user's processes what is theirs, and is not kept by them.
func TestRootIsNotFooledByAUsersProcesses(t *testing.T) {
	const metrics = "/run/midstream-test.metrics"
	h := newHost(t, "[metrics]\nlisten = \"unix:"+metrics+"\"\n")
	victim := h.download(users[0])
	h.on("wlan0", map[int]*download{users[0]: victim})
	// With the one capability that midstreamd(8) names, the host's daemon counts it.
	t.Cleanup(func() { os.Remove(metrics) })
	h.as(0, "setpriv", "--bounding-set=-all,+dac_override", lab.Build(t, "midstreamd"), "--host").Start()
	h.Await("the download in the metrics", limit, func() bool {
		return strings.Contains(h.as(0, "curl", "-s", "--unix-socket", metrics, "http://localhost/metrics").Run().Stdout, `midstream_sessions{state="active"} 1`)
	})
	p := h.as(users[1], "/usr/bin/python3", "-c", pretend, fmt.Sprintf("/run/user/%d/midstream", users[1]), strconv.Itoa(victim.Pid()))
	input, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	p.Start()
	h.Await("the sockets", limit, func() bool { out, _ := p.Output(); return out != "" })
	for _, args := range [][]string{{"sessions"}, {"sessions", "--json"}, {"top", "--once"}} {
		r := h.ctl(0, args...)
		if args[0] == "top" {
			if strings.Contains(r.Stdout, "lie") || !strings.Contains(r.Stdout, "film") {
				t.Errorf("%v", r)
			}
			continue
		}
		if r.Status != 1 || strings.Contains(r.Stdout, "lie") || !strings.Contains(r.Stdout, fmt.Sprint(victim.Pid(), "-")) ||
			!strings.Contains(r.Stdout, "900001-7") || strings.ContainsAny(r.Stdout+r.Stderr, "\u202e\x1b") {
			t.Errorf("%v", r)
		}
		for _, words := range []string{"900002: its answer is too long", "900003: its answer is too long"} {
			if !strings.Contains(r.Stderr, words) {
				t.Errorf("%q is not said: %s", words, r.Stderr)
			}
		}
	}
	victim.stop()
}

// flood keeps many long requests unfinished, and prints how many were refused, with a reason.
const flood = `import socket, sys
held, reasons = [], set()
for n in range(int(sys.argv[2])):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(0.05)
    s.connect(sys.argv[1])
    try:
        s.sendall(b'{"jsonrpc":"2.0","id":1,"method":"report","params":{"x":"' + b"x" * 1000000)
    except OSError:
        pass
    held.append(s)
refused = 0
for s in held:
    s.setblocking(False)
    try:
        if answer := s.recv(4000):
            refused += 1
            reasons.add(answer)
    except OSError:
        pass
print(refused, reasons, flush=True)
sys.stdin.read()
`

func TestHostDaemonsMemoryIsBoundedForEachUser(t *testing.T) {
	h := newHost(t, "")
	daemon := h.daemon()
	p := h.as(users[1], "/usr/bin/python3", "-c", flood, hostSocket, "200")
	input, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer input.Close()
	p.Start()
	h.Await("the flood", limit, func() bool { out, _ := p.Output(); return out != "" })
	out, _ := p.Output()
	var refused int
	fmt.Sscan(out, &refused)
	if refused < 100 || !strings.Contains(out, "that are not answered yet have more than") {
		t.Errorf("refused: %.500s", out)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", daemon.Pid()))
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	var kilobytes int
	if fmt.Sscan(after, &kilobytes); kilobytes == 0 || kilobytes > 120_000 {
		t.Errorf("the daemon has %d kB", kilobytes)
	}
	// The other user is served.
	d := h.download(users[0])
	h.on("wlan0", map[int]*download{users[0]: d})
	if r := h.ctl(users[0], "interfaces"); r.Status != 0 {
		t.Errorf("%v", r)
	}
	d.stop()
}

func TestHostDaemonKeepsUsersApart(t *testing.T) {
	h := newHost(t, "")
	h.daemon()
	victim := h.download(users[0])
	h.on("wlan0", map[int]*download{users[0]: victim})
	socket := fmt.Sprintf("/run/user/%d/midstream/%d.sock", users[0], victim.Pid())
	r := h.as(users[1], "/usr/bin/python3", "-c", intrude, socket, strconv.Itoa(victim.Pid()), hostSocket).Run()
	lines := strings.Split(r.Stdout, "\n")
	for n, words := range []string{"Permission denied", "attach: this is process", "has not attached on this connection", "not of a process that has attached", "permission denied", "True"} {
		if n >= len(lines) || !strings.Contains(lines[n], words) {
			t.Errorf("question %d, wanted %q: %v", n, words, r)
		}
	}
	for _, args := range [][]string{{"migrate", "--to", "wwan0", "--pid", strconv.Itoa(victim.Pid())}, {"use", "wwan0", "--pid", strconv.Itoa(victim.Pid())}} {
		if r := h.ctl(users[1], args...); r.Status != 3 {
			t.Errorf("%v", r)
		}
	}
	// A folder that only looks like the user's is not looked into.
	trap := fmt.Sprintf("/run/user/%d", users[1])
	if err := os.Symlink(filepath.Dir(socket), trap+"/midstream"); err != nil {
		t.Fatal(err)
	}
	if r := h.ctl(0, "sessions"); strings.Count(r.Stdout, fmt.Sprint(victim.Pid(), "-")) != 1 {
		t.Errorf("%v", r)
	}
	victim.whole()
}
