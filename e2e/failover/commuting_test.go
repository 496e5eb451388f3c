// Commuting: networks that come and go and servers that die and return, at random, under programs that notice nothing, over HTTP and
// HTTPS; with a server that ignores Range, and migrations that are asked for, as is that all networks feed a download together, or one again.

package failover

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"midstream/e2e/lab"
)

// trouble is something that a network or its server has, and how it ends.
type trouble struct {
	name       string
	begin, end func(s *site, n *lab.Network)
}

var troubles = []trouble{
	{"carrier", func(s *site, n *lab.Network) { n.CarrierDown() }, func(s *site, n *lab.Network) { n.CarrierUp(); n.AddRoutes() }},
	{"addresses", func(s *site, n *lab.Network) { n.RemoveAddresses() }, func(s *site, n *lab.Network) { n.AddAddresses() }},
	{"unplugged", func(s *site, n *lab.Network) { n.Unplug() }, func(s *site, n *lab.Network) { n.Plug() }},
	{"silence", func(s *site, n *lab.Network) { n.Drop(lab.Both) }, func(s *site, n *lab.Network) { n.Pass() }},
	{"deafness", func(s *site, n *lab.Network) { n.Drop(lab.Down) }, func(s *site, n *lab.Network) { n.Pass() }},
	{"muteness", func(s *site, n *lab.Network) { n.Drop(lab.Up) }, func(s *site, n *lab.Network) { n.Pass() }},
	{"killed", both((*lab.Server).Kill), both((*lab.Server).Restart)},
	{"frozen", both((*lab.Server).Freeze), both((*lab.Server).Thaw)},
	{"reset", func(s *site, n *lab.Network) { n.ResetConnections() }, func(s *site, n *lab.Network) {}},
}

// both does something to a network's server for HTTP, and to that for HTTPS.
func both(do func(*lab.Server)) func(s *site, n *lab.Network) {
	return func(s *site, n *lab.Network) {
		do(s.web[n.Name])
		do(s.web[n.Name+", TLS"])
	}
}

// secured are programs that download over TLS, which do not verify by themselves.
func (s *site) secured(ca string) []program {
	of := func(args ...string) program {
		return program{args[0] + " over TLS", append(args, secureURL), nil}
	}
	return []program{
		of("curl", "-sS", "--cacert", ca, "-o", "out"),
		of("wget", "-q", "-t", "1", "--ca-certificate="+ca, "-O", "out"),
	}
}

// TestCommuting lasts as long as MIDSTREAM_COMMUTE says (a duration, two minutes by default; make random FOR=2h); MIDSTREAM_SEED repeats a run.
func TestCommuting(t *testing.T) {
	length := 2 * time.Minute
	if d, err := time.ParseDuration(os.Getenv("MIDSTREAM_COMMUTE")); err == nil {
		length = d
	}
	seed := uint64(time.Now().UnixNano())
	if n, err := strconv.ParseUint(os.Getenv("MIDSTREAM_SEED"), 10, 64); err == nil {
		seed = n
	}
	t.Logf("MIDSTREAM_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := newSite(t, func(n *lab.Network, root string) *lab.Server {
		return n.Paced(root, lab.ServerOptions{LimitRate: pace, NoRange: n.Name == "eth0"})
	}, "wlan0", "wwan0", "eth0")
	ca := lab.Authority(t, filepath.Join(s.root, "ca"))
	for _, n := range s.Networks() {
		options := lab.ServerOptions{LimitRate: pace, Port: 443, NoRange: n.Name == "eth0"}
		options.Certificate, options.Key = lab.Certificate(t, ca, n.Name, host)
		s.web[n.Name+", TLS"] = n.Paced(s.root, options)
	}
	c := &commute{programs: append([]program{curl, wget, python, aria2, ffmpeg}, s.secured(ca)...), s: s, t: t, random: random, troubled: map[*lab.Network]*trouble{}, used: map[string]int{}}
	for end := time.Now().Add(length); time.Now().Before(end); {
		c.collect()
		for len(c.running) < 4 {
			c.start()
		}
		c.strike()
		switch random.IntN(6) {
		case 0:
			c.ask()
		case 1:
			c.gather()
		}
		time.Sleep(time.Duration(150+random.IntN(700)) * time.Millisecond)
	}
	for n := range c.troubled {
		c.heal(n)
	}
	for len(c.running) > 0 {
		c.running[0].Wait()
		c.collect()
	}
	t.Logf("%d downloads, %d of them failed; %d migrations asked for, and %d times all networks; troubles: %v", c.done, c.failed, c.asked, c.gathered, c.used)
}

type commute struct {
	s            *site
	t            *testing.T
	random       *rand.Rand
	running      []*download
	troubled     map[*lab.Network]*trouble
	used         map[string]int
	alone        time.Time // since when no network is without trouble
	done, failed int
	asked        int
	gathered     int
	programs     []program
	log          []string
}

func (c *commute) note(format string, args ...any) {
	c.log = append(c.log, time.Now().UTC().Format("15:04:05.000 ")+fmt.Sprintf(format, args...))
}

// healthy are the networks without trouble.
func (c *commute) healthy() (list []*lab.Network) {
	for _, n := range c.s.Networks() {
		if c.troubled[n] == nil {
			list = append(list, n)
		}
	}
	return list
}

// start begins a download while a network is there: to find a name and to connect is the program's own affair.
func (c *commute) start() {
	healthy := c.healthy()
	if len(healthy) == 0 {
		n := c.s.Networks()[c.random.IntN(3)]
		c.heal(n)
		healthy = append(healthy, n)
	}
	c.s.UseResolver(healthy[c.random.IntN(len(healthy))])
	p := c.programs[c.random.IntN(len(c.programs))]
	d := c.s.download(true, p.args...)
	d.Start()
	c.s.Await(p.name+" to receive something", lab.Patience, func() bool {
		select {
		case <-d.Ended():
			return true
		default:
		}
		for _, one := range c.s.sessions() {
			if one.PID == d.Pid() && one.Received > 0 {
				return true
			}
		}
		return false
	})
	c.note("%s started, process %d", p.name, d.Pid())
	c.running = append(c.running, d)
}

// ask has one of the downloads moved, wherever: it may be refused.
func (c *commute) ask() {
	d, to := c.running[c.random.IntN(len(c.running))], c.s.Networks()[c.random.IntN(3)].Name
	c.note("process %d is to move to %s", d.Pid(), to)
	c.s.Ctl("migrate", "--to", to, "--pid", strconv.Itoa(d.Pid()), "--timeout", "3s").Start()
	c.asked++
}

// gather has all networks feed one of the downloads together, or one again: it may be refused.
func (c *commute) gather() {
	d, on := c.running[c.random.IntN(len(c.running))], "on"
	if c.random.IntN(3) == 0 {
		on = "off"
	}
	c.note("process %d: all networks together: %s", d.Pid(), on)
	c.s.Ctl("aggregate", on, "--pid", strconv.Itoa(d.Pid())).Start()
	c.gathered++
}

// collect compares what has ended.
func (c *commute) collect() {
	var left []*download
	for _, d := range c.running {
		select {
		case <-d.Ended():
			c.done++
			r := d.Wait()
			if r.Status != 0 || lab.Sum(d.out()) != c.s.sum {
				c.failed++
				c.note("process %d failed", d.Pid())
				c.t.Errorf("%v\n%d octets of %d\n%q", r, fileSize(d.out()), size, c.log)
			}
		default:
			left = append(left, d)
		}
	}
	c.running = left
}

// strike begins or ends a trouble. No more than three seconds go by with nothing but troubled networks.
func (c *commute) strike() {
	if len(c.healthy()) > 0 {
		c.alone = time.Now()
	}
	n := c.s.Networks()[c.random.IntN(3)]
	if c.troubled[n] != nil || time.Since(c.alone) > 2*time.Second {
		c.heal(n)
		return
	}
	trouble := &troubles[c.random.IntN(len(troubles))]
	c.note("%s: %s", n.Name, trouble.name)
	trouble.begin(c.s, n)
	c.used[trouble.name]++
	c.troubled[n] = trouble
}

func (c *commute) heal(n *lab.Network) {
	if trouble := c.troubled[n]; trouble != nil {
		trouble.end(c.s, n)
		c.note("%s: no %s any more", n.Name, trouble.name)
	}
	delete(c.troubled, n)
}
