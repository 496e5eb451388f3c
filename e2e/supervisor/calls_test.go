package supervisor

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"midstream/e2e/lab"
)

func TestMain(m *testing.M) { lab.Main(m) }

// ground is a network with the servers of e2e/clients/carried.c, an address that is silent and one that cannot be reached.
type ground struct {
	*lab.Lab
	*lab.Network
	client string
}

const (
	silent      = "10.89.0.1"
	unreachable = "10.88.0.1"
)

func newGround(t *testing.T) ground {
	t.Helper()
	l := lab.New(t, lab.Net("wlan0", lab.Link{}))
	n := l.Network("wlan0")
	serve(t, n)
	l.Configure("[reach]\nports = \"1-65535\"\n")
	if err := n.IP("route add unreachable 10.88.0.0/16", "route add blackhole 10.89.0.0/16"); err != nil {
		t.Fatal(err)
	}
	if err := n.Command("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.icmp_ratelimit=0"); err != nil { // so that the gateway says so
		t.Fatal(err)
	}
	return ground{l, n, l.CC("carried", "-static")}
}

// sanitized prepares a program under a supervisor that was built with sanitizers, which write to a file where they find something.
func (g ground) sanitized(t *testing.T, args ...string) (p *lab.Program, reports string) {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "build")
	reports = filepath.Join(filepath.Dir(folder), "report")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"midstream", "midstreamctl", "libmidstream.so", "libmidstream-core.so"} {
		octets, err := os.ReadFile(lab.Build(t, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(folder, name), octets, 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	root := lab.Root(t)
	sources, _ := filepath.Glob(filepath.Join(root, "supervisor", "*.c"))
	authority, _ := filepath.Glob(filepath.Join(root, "supervisor", "authority", "*.c"))
	sources = append(sources, authority...)
	build := append([]string{"-g", "-O1", "-std=gnu11", "-D_GNU_SOURCE", "-fsanitize=address,undefined", "-fno-sanitize-recover=undefined",
		"-o", filepath.Join(folder, "midstream-supervisor"), filepath.Join(root, "ctl/midstream/launcher/elf.c"), filepath.Join(root, "shim/framing/hello.c")}, sources...)
	if out, err := exec.Command("gcc", build...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	p = g.Command(append([]string{filepath.Join(folder, "midstream"), "--"}, args...)...)
	options := "log_path=" + reports + ":verify_asan_link_order=0:detect_leaks=0"
	p.Env = append(p.Env, "ASAN_OPTIONS="+options, "UBSAN_OPTIONS="+options)
	return p, reports
}

// supervisors are the processes of this laboratory's supervisors: those that work, and their keepers.
func (g ground) supervisors() (workers, keepers []int) {
	parents := map[int]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, stat := range stats {
		text, _ := os.ReadFile(stat)
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(stat), "environ"))
		var pid, parent int
		var state string
		if _, err := fmt.Sscanf(string(text), "%d (midstream-super) %s %d", &pid, &state, &parent); err == nil && state != "Z" && strings.Contains(string(environ), g.RuntimeDir()) {
			parents[pid] = parent
		}
	}
	for pid, parent := range parents {
		if _, is := parents[parent]; is {
			workers = append(workers, pid)
		} else {
			keepers = append(keepers, pid)
		}
	}
	return workers, keepers
}

// Whatever a program asks of its connections, it is answered as it would be natively, where it is looked whether they are for TLS, too.
func TestConnectionsLookAsTheyWouldNatively(t *testing.T) {
	g := newGround(t)
	g.Configure("[reach]\nports = \"1-65535\"\n[tls]\nreach = \"ca\"\n")
	args := []string{g.client, g.Content(), g.Content6(), silent, unreachable}
	native := g.Lab.Command(args...).Start()
	p, reports := g.sanitized(t, args...)
	want := native.Wait()
	lab.Compare(t, want, p.Run(), unsaid)
	found, _ := filepath.Glob(reports + "*")
	for _, file := range found {
		text, _ := os.ReadFile(file)
		t.Errorf("%s", text)
	}
	g.Await("the end of the supervisor", lab.Patience, func() bool {
		workers, keepers := g.supervisors()
		return len(workers)+len(keepers) == 0
	})
}

// A supervisor that ends takes its connections with it, and nothing else.
func TestTheEndOfTheSupervisor(t *testing.T) {
	g := newGround(t)
	p := g.Midstream(g.client, "--outlive", g.Content()).Start()
	g.Await("a connection", lab.Patience, func() bool { out, _ := p.Output(); return strings.Contains(out, "ready") })
	workers, keepers := g.supervisors()
	if len(workers) != 1 || len(keepers) != 1 {
		t.Fatalf("%v work, %v wait", workers, keepers)
	}
	syscall.Kill(workers[0], syscall.SIGKILL)
	r := p.Wait()
	if !strings.HasPrefix(r.Stdout, "ready\nended: ECONNRESET\nafterwards: connect 0\n") || r.Status != 0 {
		t.Errorf("%v", r)
	}
	native := g.Lab.Command(g.client, "--outlive", g.Content()).Start()
	g.Await("a connection", lab.Patience, func() bool { out, _ := native.Output(); return strings.Contains(out, "ready") })
	g.Network.ResetConnections()
	lab.Compare(t, native.Wait(), r)
}

// What a program gives up while it is being made, the supervisor gives up as well.
func TestAttemptsThatAreGivenUp(t *testing.T) {
	g := newGround(t)
	p := g.Midstream(g.client, "--give-up", silent, "::ffff:"+silent).Start()
	attempts := func() int {
		return strings.Count(g.Lab.Command("ss", "-Htn", "state", "syn-sent").Run().Stdout, silent)
	}
	begun := false
	g.Await("the end of the attempts", lab.Patience, func() bool {
		out, _ := p.Output()
		n := attempts()
		begun = begun || n > 0
		return strings.Contains(out, "given up") && begun && n == 0
	})
	p.Process.Kill()
	p.Wait()
}

// Programs that are killed amid their calls, that change what they have handed over, and that connect as fast as they can.
func TestStormsOfConnections(t *testing.T) {
	g := newGround(t)
	native, under := g.Both(nil, g.client, "--storm", g.Content(), silent)
	lab.Compare(t, native, under)
}

// A program hears of a reset that comes while the supervisor still has much for it.
func TestResetsAmidAFlood(t *testing.T) {
	g := newGround(t)
	native, under := g.Both(nil, g.client, "--late-resets", g.Content())
	lab.Compare(t, native, under)
}
