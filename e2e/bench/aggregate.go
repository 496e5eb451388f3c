// What several networks bring together: one download of 100 MB by the first alone, and by all, by turns; over two, also by aria2 and by
// Multipath TCP, of a server that both lead to. All connections use the same congestion control.

package main

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"midstream/e2e/lab"
)

// aggregated measures how long curl takes, against the links' rates, and the processor time against the same without Midstream.
func aggregated(b *bench) {
	const size, times = 100_000_000, 3
	first := lab.Link{Rate: 40e6, Delay: 10 * time.Millisecond, Queue: 50 * time.Millisecond}
	for _, w := range []struct {
		name   string
		others []lab.Link
		bound  float64 // of what the links would take together
		secure bool
	}{
		{"40 + 40 Mbit/s, 20 ms", []lab.Link{first}, 10.9 / 10.49, false},
		{"40 + 40 Mbit/s, 20 ms, TLS 1.3", []lab.Link{first}, 11.1 / 10.49, true},
		{"40 Mbit/s, 20 ms + 4, 200 ms", []lab.Link{{Rate: 4e6, Delay: 100 * time.Millisecond, Queue: 50 * time.Millisecond}}, 20.0 / 19.07, false},
		{"40 + 20 + 10 Mbit/s, 20 ms", []lab.Link{
			{Rate: 20e6, Delay: 10 * time.Millisecond, Queue: 50 * time.Millisecond}, {Rate: 10e6, Delay: 10 * time.Millisecond, Queue: 50 * time.Millisecond}}, 13.0 / 11.98, false},
	} {
		options := []lab.Option{lab.Net("wlan0", first)}
		rate := float64(first.Rate)
		for i, link := range w.others {
			options = append(options, lab.Net(fmt.Sprintf("wwan%d", i), link))
			rate += float64(link.Rate)
		}
		inner := &lab.Stage{}
		l := lab.New(inner, options...)
		algorithm := l.Congestion("cubic", "reno")
		root := b.path("aggregate")
		lab.Content(inner, root, "file", size, 3)
		const host = "download.example"
		for _, n := range l.Networks() {
			n.DNS(map[string][]string{host: {n.Content()}})
			if !w.secure {
				n.Nginx(root, lab.ServerOptions{})
			}
		}
		argv := []string{"curl", "-sS", "-o", "/dev/null", "http://" + host + "/file"}
		if w.secure {
			argv = append(argv[:len(argv)-1], "--cacert", b.secured(inner, l, root, host), "https://"+host+"/file")
		}
		var alone, together, cpu sample
		by := map[string]sample{}
		others := map[string][]string{}
		if !w.secure {
			others = b.others(inner, l, root)
		}
		for range runs(times) {
			one := l.Command(argv...).Run()
			p := l.Midstream(argv...)
			p.Args = append([]string{p.Args[0], "--aggregate", "--"}, argv...)
			all := p.Run()
			if one.Status != 0 || all.Status != 0 {
				b.Fatalf("bench: %v, %v", one, all)
			}
			alone, together = append(alone, one.Elapsed.Seconds()), append(together, all.Elapsed.Seconds())
			cpu = append(cpu, all.CPU.Seconds()/one.CPU.Seconds())
			for name, argv := range others {
				r := l.Command(append([]string{"timeout", "60"}, argv...)...).Run()
				if r.Status != 0 && r.Status != 124 { // 60 seconds are a figure as well
					b.Fatalf("bench: %v", r)
				}
				by[name] = append(by[name], r.Elapsed.Seconds())
			}
		}
		// What a link carries of content is its rate without headers: 1448 octets of 1514.
		least := size * 8 / (rate * 1448 / 1514)
		b.report("100 MB over "+w.name+", s", together, "%.2f", w.bound*least)
		b.note("the first network alone %s s; the links' rates %.2f s; %s", alone.text("%.2f"), least, algorithm)
		for name, s := range by {
			b.note("%s %s s", name, s.text("%.2f"))
		}
		b.report("the same, processor time to that without Midstream", cpu, "%.2f", 1.1)
		inner.Clear()
	}
}

// secured starts a server for TLS 1.3 in each network, and returns the file of the authority that has signed their certificates.
func (b *bench) secured(t lab.T, l *lab.Lab, root, host string) (ca string) {
	ca = lab.Authority(t, b.path("authority"))
	for _, n := range l.Networks() {
		certificate, key := lab.Certificate(t, ca, n.Name, host)
		n.Nginx(root, lab.ServerOptions{Port: 443, Listen: "ssl",
			Extra: fmt.Sprintf("ssl_certificate %s; ssl_certificate_key %s; ssl_protocols TLSv1.3;", certificate, key)})
	}
	return ca
}

// others are commands by which others than Midstream have two networks bring one file of a server that both lead to, by what they are.
func (b *bench) others(t lab.T, l *lab.Lab, root string) map[string][]string {
	const common = "203.0.113.80"
	all := map[string][]string{}
	n := l.Networks()
	if len(n) != 2 {
		return all
	}
	n[1].LeadTo(n[0], common)
	n[0].Paced(root, lab.ServerOptions{Addresses: []string{common}, LimitRate: 1 << 30})
	for i, n := range n {
		// What is sent from a network's address goes over that network.
		for _, line := range []string{fmt.Sprintf("rule add from %s table %d", n.Phone(), 100+i), fmt.Sprintf("route add default via %s dev %s table %d", n.Gateway(), n.Name, 100+i)} {
			if text, err := exec.Command("ip", strings.Fields(line)...).CombinedOutput(); err != nil {
				b.Fatalf("bench: ip %s: %s", line, text)
			}
		}
	}
	if _, err := exec.LookPath("aria2c"); err == nil {
		all["aria2, not in order"] = []string{"aria2c", "-q", "--allow-overwrite=true", "--file-allocation=none", "-x2", "-s2", "-k1M", "--stream-piece-selector=inorder",
			"--multiple-interface=" + n[0].Name + "," + n[1].Name, "-d", b.path("aria2"), "-o", "file", "http://" + common + "/file"}
	}
	if lab.MultipathIsThere() {
		n[1].Multipath(n[0], "subflow")
		all["Multipath TCP, where the server takes part"] = slices.Insert(l.GapClient("/dev/null", common, 80, "/file"), 1, "-m")
	}
	return all
}
