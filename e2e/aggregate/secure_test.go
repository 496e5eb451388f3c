// Several networks feed one download over TLS together: each path has a session of the program's own library.
package aggregate

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"midstream/e2e/lab"
)

const secureURL = "https://" + host + "/file.bin"

// raiseSecure is raise for servers that speak TLS, nginx and Apache, each with a certificate of its own, by an authority whose file it returns.
func raiseSecure(t *testing.T, size int64, networks ...string) (l *lab.Lab, sum, ca string, servers []*lab.Server) {
	t.Helper()
	var options []lab.Option
	for _, name := range networks {
		options = append(options, lab.Net(name, lab.Link{Rate: 48e6, Delay: 5 * time.Millisecond}))
	}
	l = lab.New(t, options...)
	folder := t.TempDir()
	root := filepath.Join(folder, "content")
	sum = lab.Content(t, root, "file.bin", size, 5)
	ca = lab.Authority(t, filepath.Join(folder, "ca"))
	for i, n := range l.Networks() {
		n.DNS(map[string][]string{host: {n.Content()}})
		certificate, key := lab.Certificate(t, ca, n.Name, host)
		if i == 0 {
			servers = append(servers, n.Nginx(root, lab.ServerOptions{Port: 443, Listen: "ssl",
				Extra: fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.2 TLSv1.3;", certificate, key)}))
			continue
		}
		servers = append(servers, n.Apache(root, lab.ServerOptions{Port: 443, Extra: fmt.Sprintf(`LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so
SSLEngine on
SSLCertificateFile %s
SSLCertificateKeyFile %s
`, certificate, key)}))
	}
	return l, sum, ca, servers
}

const urllib = `
import ssl, sys, urllib.request
answer = urllib.request.urlopen(sys.argv[2], context=ssl.create_default_context(cafile=sys.argv[1]))
with open("got", "wb") as f:
    while octets := answer.read(50000):
        f.write(octets)
`

func TestNetworksFeedOneDownloadOverTLS(t *testing.T) {
	l, sum, ca, servers := raiseSecure(t, 6<<20, "wlan0", "wwan0")
	for _, argv := range [][]string{
		{"curl", "-sS", "--cacert", ca, "-o", "got", "-w", "%{http_code} %{size_download} %{num_connects} %{ssl_verify_result}", secureURL}, // OpenSSL
		{"wget", "-q", "--ca-certificate=" + ca, "-O", "got", secureURL},                                                                    // GnuTLS
		{"aria2c", "-q", "--allow-overwrite=true", "-x1", "-s1", "--ca-certificate=" + ca, "-o", "got", secureURL},                          // GnuTLS
		{"python3", "-c", urllib, ca, secureURL},                                                                                            // OpenSSL, a socket that blocks
	} {
		t.Run(argv[0], func(t *testing.T) {
			p := under(t, l, argv...)
			native := l.Command(argv...)
			native.Dir = p.Dir
			alone := native.Run()
			if got := sumOf(t, filepath.Join(p.Dir, "got")); got != sum || alone.Status != 0 {
				t.Fatal("natively", alone)
			}
			before := map[string]int64{}
			for _, n := range l.Networks() {
				before[n.Name] = n.Counters().Received
			}
			asked := len(servers[0].Requests()) + len(servers[1].Requests())
			r := p.Run()
			if r.Status != 0 || r.Stdout != alone.Stdout || r.Stderr != alone.Stderr {
				t.Fatal(r, alone)
			}
			if got := sumOf(t, filepath.Join(p.Dir, "got")); got != sum {
				t.Error("it has received other octets")
			}
			for _, n := range l.Networks() {
				if got := n.Counters().Received - before[n.Name]; got < 400<<10 {
					t.Errorf("%s brought %d octets", n.Name, got)
				}
			}
			requests := len(servers[0].Requests()) + len(servers[1].Requests()) - asked
			if t.Logf("%d requests", requests); requests > mostRequests {
				t.Errorf("%d requests", requests)
			}
			if t.Failed() {
				t.Log(strings.Join(argv, " "))
			}
		})
	}
}

const keepsAlive = `
import hashlib, http.client, ssl, sys
c = http.client.HTTPSConnection("` + host + `", context=ssl.create_default_context(cafile=sys.argv[1]))
for path in ["/file.bin", "/nothing", "/file.bin"]:
    c.request("GET", path)
    answer = c.getresponse()
    print(path, answer.status, hashlib.sha256(answer.read()).hexdigest(), flush=True)
c.sock.unwrap() # waits for the other side's close_notify
`

// The program's next requests go over the descriptor on which the octets of several networks have come.
func TestTheConnectionIsKeptAlive(t *testing.T) {
	l, sum, ca, _ := raiseSecure(t, 5<<20, "wlan0", "wwan0")
	p := under(t, l, "python3", "-c", keepsAlive, ca)
	p.Start()
	r := p.Wait()
	lines := strings.Split(r.Stdout, "\n")
	if r.Status != 0 || r.Stderr != "" || len(lines) != 4 || lines[0] != "/file.bin 200 "+sum || !strings.HasPrefix(lines[1], "/nothing 404 ") || lines[2] != lines[0] {
		t.Fatal(r)
	}
	if got := l.Network("wwan0").Counters().Received; got < 2<<20 {
		t.Errorf("the second network has brought %d octets of two downloads", got)
	}
}

func TestANetworkIsLostAmidADownloadOverTLS(t *testing.T) {
	l, sum, ca, _ := raiseSecure(t, 10<<20, "wlan0", "wwan0")
	p := under(t, l, "wget", "-q", "-t", "1", "--ca-certificate="+ca, "-O", "got", secureURL).Start()
	l.Await("both networks to feed it", lab.Patience, func() bool {
		return l.Network("wlan0").Counters().Received > 2<<20 && l.Network("wwan0").Counters().Received > 1<<20
	})
	l.Network("wlan0").Drop(lab.Both)
	if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
		t.Fatal(r)
	}
	if got := sumOf(t, filepath.Join(p.Dir, "got")); got != sum {
		t.Error("it has received other octets")
	}
}

// A person has several networks feed it, then one again.
func TestAPersonSaysSoOverTLS(t *testing.T) {
	l, sum, ca, _ := raiseSecure(t, 24<<20, "wlan0", "wwan0")
	p := l.Midstream("curl", "-sS", "--cacert", ca, "-o", "got", secureURL)
	p.Dir = t.TempDir()
	p.Start()
	l.Await("the download to run", lab.Patience, func() bool { return l.Network("wlan0").Counters().Received > 1<<20 })
	if r := l.Ctl("aggregate", "on").Run(); r.Status != 0 {
		t.Error(r)
	}
	if r := l.Ctl("aggregate", "off").Run(); r.Status != 0 || !strings.HasPrefix(r.Stdout, "fed by one network from now on: ") {
		t.Error(r)
	}
	if r := l.Ctl("sessions").Run(); strings.Contains(r.Stdout, " is fed over ") || !strings.Contains(r.Stdout, " 2× ") {
		t.Error(r)
	}
	if r := p.Wait(); r.Status != 0 || r.Stderr != "" {
		t.Fatal(r)
	}
	if got := sumOf(t, filepath.Join(p.Dir, "got")); got != sum {
		t.Error("it has received other octets")
	}
}

// A program that moves the records itself is told why not.
func TestAProgramOnMemoryIsFedByOneNetwork(t *testing.T) {
	l, sum, ca, _ := raiseSecure(t, 8<<20, "wlan0", "wwan0")
	p := under(t, l, "python3", "-c", onMemory, ca).Start()
	l.Await("the download to run", lab.Patience, func() bool { return l.Network("wlan0").Counters().Received > 1<<20 })
	if r := l.Ctl("aggregate", "on").Run(); r.Status != 1 || !strings.Contains(r.Stdout+r.Stderr, "its program uses TLS in a way in which only one connection can feed it") {
		t.Error(r)
	}
	if r := p.Wait(); r.Status != 0 || r.Stderr != "" || r.Stdout != sum+"\n" {
		t.Fatal(r)
	}
}

const onMemory = `
import asyncio, hashlib, ssl, sys
async def main():
    r, w = await asyncio.open_connection("` + host + `", 443, ssl=ssl.create_default_context(cafile=sys.argv[1]))
    w.write(b"GET /file.bin HTTP/1.1\r\nHost: ` + host + `\r\nConnection: close\r\n\r\n")
    await r.readuntil(b"\r\n\r\n")
    print(hashlib.sha256(await r.read()).hexdigest())
    w.transport.abort()
asyncio.run(main())
`

// All that may happen does, at random moments: what the program is handed is the file. MIDSTREAM_SEED repeats a run.
func TestOnAndOffAndCutAtRandomOverTLS(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("MIDSTREAM_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("MIDSTREAM_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	l, sum, ca, _ := raiseSecure(t, 12<<20, "wlan0", "wwan0")
	var programs []*lab.Program
	for _, argv := range [][]string{
		{"curl", "-sS", "--cacert", ca, "-o", "got", secureURL},
		{"wget", "-q", "-t", "1", "--ca-certificate=" + ca, "-O", "got", secureURL},
		{"python3", "-c", urllib, ca, secureURL},
	} {
		p := l.Midstream(argv...)
		p.Dir = t.TempDir()
		programs = append(programs, p.Start())
	}
	l.Await("all to run", lab.Patience, func() bool { return l.Network("wlan0").Counters().Received > 1<<20 })
	var done []string
	for running := programs; len(running) > 0; {
		p := running[random.IntN(len(running))]
		select {
		case <-p.Ended():
			running = slices.DeleteFunc(slices.Clone(running), func(q *lab.Program) bool { return q == p })
			if r := p.Wait(); r.Status != 0 || r.Stderr != "" || sumOf(t, filepath.Join(p.Dir, "got")) != sum {
				t.Errorf("%v after %q", r, done)
			}
			continue
		case <-time.After(time.Duration(random.IntN(300)) * time.Millisecond): // the moment is what is random
		}
		pid, n := strconv.Itoa(p.Pid()), l.Networks()[random.IntN(2)]
		switch random.IntN(8) {
		case 0, 1, 2:
			done = append(done, pid+" on")
			l.Ctl("aggregate", "on", "--pid", pid).Run()
		case 3, 4:
			done = append(done, pid+" off")
			l.Ctl("aggregate", "off", "--pid", pid).Run()
		case 5:
			done = append(done, pid+" to "+n.Name)
			l.Ctl("migrate", n.Name, "--pid", pid).Run()
		default:
			done = append(done, n.Name+" cut")
			n.ResetConnections()
		}
	}
}
