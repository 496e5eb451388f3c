// What a transfer costs that is not moved: 2 GB over loopback, and the first small one of a process.

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"midstream/e2e/lab"
)

const (
	loopback       = "127.0.0.1:8080"
	loopbackTLS    = "localhost:8443"
	loopbackLength = 2 << 30 // TLS: half of it
)

// serveLoopback starts an nginx on the phone itself, with an empty file of 2 GB and a small one.
func serveLoopback(b *bench) {
	root := b.path("loopback")
	os.MkdirAll(root, 0o755)
	var err error
	for file, length := range map[string]int64{"big": loopbackLength, "half": loopbackLength / 2} {
		if err = os.WriteFile(root+"/"+file, nil, 0o644); err == nil {
			err = os.Truncate(root+"/"+file, length)
		}
		if err != nil {
			b.Fatalf("bench: %v", err)
		}
	}
	certificate, key := lab.Certificate(b, lab.Authority(b, b.path("ca")), "loopback", "localhost")
	if err == nil {
		err = os.WriteFile(root+"/small", []byte(strings.Repeat("x", 1000)), 0o644)
	}
	conf := fmt.Sprintf(`daemon off; master_process off; user root root; pid %[1]s/pid; error_log /dev/null;
events {} http { access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
client_body_temp_path %[1]s/a; proxy_temp_path %[1]s/b; fastcgi_temp_path %[1]s/c; uwsgi_temp_path %[1]s/d; scgi_temp_path %[1]s/e;
server { listen %[2]s; listen 127.0.0.1:8443 ssl; ssl_certificate %[3]s; ssl_certificate_key %[4]s; root %[1]s; } }`,
		root, loopback, certificate, key)
	if err == nil {
		err = os.WriteFile(root+"/conf", []byte(conf), 0o644)
	}
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	server := exec.Command("nginx", "-c", root+"/conf", "-e", "/dev/null")
	if err := server.Start(); err != nil {
		b.Fatalf("bench: %v", err)
	}
	b.Cleanup(func() { server.Process.Kill(); server.Wait() })
	for range 1000 {
		if c, err := net.Dial("tcp", loopback); err == nil {
			c.Close()
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.Fatalf("bench: nginx does not answer on %s", loopback)
}

// preloaded is a program with a library, but without the launcher, whose cost stands in a row of its own.
func preloaded(l *lab.Lab, library string, args ...string) *lab.Program {
	p := l.Command(args...)
	p.Env = append(p.Env, "LD_PRELOAD="+library)
	return p
}

func bulk(b *bench) {
	b.transfers("2 GB over loopback",
		[]string{"curl", "-s", "-o", "/dev/null", "http://" + loopback + "/big"},
		[]string{"wget", "-q", "-O", "/dev/null", "http://" + loopback + "/big"})
}

func bulkTLS(b *bench) {
	b.transfers("1 GB over TLS on loopback",
		[]string{"curl", "-s", "--cacert", b.path("ca.pem"), "-o", "/dev/null", "https://" + loopbackTLS + "/half"},
		[]string{"wget", "-q", "--ca-certificate=" + b.path("ca.pem"), "-O", "/dev/null", "https://" + loopbackTLS + "/half"})
}

// Of a transfer over loopback: without a library, with one that only starts a thread that sleeps, and under Midstream.
const (
	native = iota
	sleeper
	under
	ways
)

// transfers compares downloads over loopback with the same without the library. What any second thread costs a program is
// measured beside it, and what Midstream costs above that has the bound.
//
// What else the machine does only ever makes a run longer, by up to a third: medians of few runs differ by five per cent from
// one time to the next. So there are many, and the mean of the fastest quarter of each is printed as well.
func (b *bench) transfers(what string, programs ...[]string) {
	l := lab.New(b, lab.Net("wlan0", lab.Link{}))
	l.LogLevel = "off"
	serveLoopback(b)
	libraries := [ways]string{sleeper: l.CC("sleeper", "-shared", "-fPIC"), under: b.library()}
	for _, args := range programs {
		var wall, cpu [ways]sample
		for i := range runs(20) + 1 {
			for k := range ways {
				way := (k + i) % ways
				p := l.Command(args...)
				if libraries[way] != "" {
					p = preloaded(l, libraries[way], args...)
				}
				r := p.Run()
				if r.Status != 0 {
					b.Fatalf("bench: %v", r)
				}
				if i > 0 {
					wall[way] = append(wall[way], r.Elapsed.Seconds())
					cpu[way] = append(cpu[way], r.CPU.Seconds())
				}
			}
		}
		for _, m := range []struct {
			time string
			s    [ways]sample
		}{{"wall", wall}, {"CPU", cpu}} {
			ratio := m.s[under].median() / m.s[native].median()
			asleep := m.s[sleeper].median() / m.s[native].median()
			row := args[0] + ", " + what + ", " + m.time + " time"
			if m.time == "wall" {
				b.reportMedian(row, ratio, ratios(m.s[under], m.s[native]).text("%.3f"), "%.2f", 1.03)
			} else {
				b.reportMedian(row, ratio, ratios(m.s[under], m.s[native]).text("%.3f"), "%.2f", 0)
				b.reportMedian("  above a thread that sleeps", ratio-asleep, fmt.Sprintf("%.3f", ratio-asleep), "%.2f", 0.03)
			}
			b.note("natively %s s, with a thread that sleeps %s s, under Midstream %s s; ratios of medians %.3f and %.3f, of the fastest quarters %.3f and %.3f",
				m.s[native].text("%.3f"), m.s[sleeper].text("%.3f"), m.s[under].text("%.3f"), asleep, ratio,
				m.s[sleeper].fastest()/m.s[native].fastest(), m.s[under].fastest()/m.s[native].fastest())
		}
	}
}

func firstGet(b *bench) {
	l := lab.New(b, lab.Net("wlan0", lab.Link{}))
	l.LogLevel = "off"
	serveLoopback(b)
	pairs := l.CC("pairs")
	measure := func() (native, library, launcher sample) {
		r := l.Command(pairs, fmt.Sprint(runs(150)), b.library(), lab.Build(b, "midstream"),
			"curl", "-s", "-o", "/dev/null", "http://"+loopback+"/small").Run()
		if r.Status != 0 {
			b.Fatalf("bench: %v", r)
		}
		for _, line := range strings.Split(strings.TrimSpace(r.Stdout), "\n") {
			var v [3]float64
			fmt.Sscan(line, &v[0], &v[1], &v[2])
			native, library, launcher = append(native, v[0]/1e6), append(library, v[1]/1e6), append(launcher, v[2]/1e6)
		}
		return native, library, launcher
	}
	native, library, launcher := measure()
	ratio := library.median() / native.median()
	b.reportMedian("first small GET of a process (curl)", ratio, fmt.Sprintf("%.3f", ratio), "%.2f", 1.25)
	b.note("natively %s ms, preloaded %s ms", native.text("%.2f"), library.text("%.2f"))
	b.note("by the launcher %s ms", launcher.text("%.2f"))

	for range 2 * runtime.NumCPU() {
		other := exec.Command("sh", "-c", "while :; do :; done")
		if err := other.Start(); err != nil {
			b.Fatalf("bench: %v", err)
		}
		defer func() {
			other.Process.Kill()
			other.Wait()
		}()
	}
	native, library, _ = measure()
	more := library.percentile(90) - native.percentile(90)
	b.reportMedian("the same beside two busy processes a processor, p90, ms more", more, fmt.Sprintf("%.1f", more), "%.1f", 2)
	b.note("p50 and p90 natively %.1f and %.1f ms, preloaded %.1f and %.1f ms", native.median(), native.percentile(90),
		library.median(), library.percentile(90))
}
