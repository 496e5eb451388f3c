// Failover measures how long a program is handed nothing when a network or a server fails: from the event to the next
// octet, at 40 Mbit/s and 20 ms of round-trip time: under Midstream, with a standby and without; the same program by
// itself; and by itself over Multipath TCP (RFC 8684), where the kernel has it.
//
// Beside the events of one network with one server there are those of networks that have three, of names that have two servers,
// and of failures that come one after the other; see scene.go.
//
// Those of handshakes are of -tls only.
//
// With -tls the downloads are over TLS 1.3, without a standby also over 1.2; a standby has shaken hands beforehand.
//
// Every cell is a download by a client of plain blocking reads (e2e/clients/gapclient.c), over two networks of which
// each has a server of its own under the same name; the servers pace themselves just below the links' rate, so that
// congestion's own pauses do not mask what is measured. For Multipath TCP both networks lead to one server, which has to
// take part, and the second is its backup path. It needs root or user namespaces.
package main

import (
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"midstream/e2e/lab"
)

const (
	rate = 40_000_000 // bit/s of each link
	pace = 4_400_000  // octets a second of each server
	size = 24 << 20
	name = "download.example"
)

// event is something that happens to the first network while the download runs over it.
type event struct {
	name   string
	strike func(*scene) time.Time // returns when it happened, or when the way was open again
	stage                         // where it happens
}

var events = append([]event{
	{name: "server killed (FIN)", strike: func(s *scene) time.Time { t := time.Now(); s.server.Kill(); return t }},
	{name: "connection reset (RST)", strike: func(s *scene) time.Time { t := time.Now(); s.first.ResetConnections(); return t }},
	{name: "carrier lost", strike: func(s *scene) time.Time { t := time.Now(); s.first.CarrierDown(); return t }},
	{name: "address removed", strike: func(s *scene) time.Time { t := time.Now(); s.first.RemoveAddresses(); return t }},
	{name: "interface deleted", strike: func(s *scene) time.Time { t := time.Now(); s.first.Unplug(); return t }},
	{name: "path drops both ways", strike: func(s *scene) time.Time { t := time.Now(); s.first.Drop(lab.Both); return t }},
	{name: "path drops to the phone", strike: func(s *scene) time.Time { t := time.Now(); s.first.Drop(lab.Down); return t }},
	{name: "path drops from the phone", strike: func(s *scene) time.Time { t := time.Now(); s.first.Drop(lab.Up); return t }},
	{name: "server frozen", strike: func(s *scene) time.Time { t := time.Now(); s.server.Freeze(); return t }},
	{name: "first network back after none", strike: func(s *scene) time.Time {
		s.first.CarrierDown()
		s.next.CarrierDown()
		time.Sleep(2 * time.Second)
		t := time.Now()
		s.next.CarrierUp()
		return t
	}},
}, more...)

func main() {
	runs := flag.Int("runs", 3, "downloads for each cell; the median and the longest are shown")
	only := flag.String("only", "", "events whose name contains this")
	secure := flag.Bool("tls", false, "over TLS")
	alone := flag.Bool("alone", true, "the program by itself, too")
	level := flag.String("log", "off", "level of Midstream's log, which is shown when a download fails")
	lab.Enter()
	flag.Parse()
	lab.Build(&lab.Stage{}, "midstream") // before anything is raised
	kinds := []kind{
		{title: "standby: median (longest)", standby: "always", limit: 40 * time.Second},
		{title: "without: median (longest)", standby: "never", limit: 40 * time.Second},
		{title: "by itself", limit: hung},
	}
	if *secure {
		older := kinds[1]
		kinds[0].version, kinds[1].version, older.version = tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS12
		older.title = "without, TLS 1.2"
		kinds[2] = older
	} else if lab.MultipathIsThere() {
		kinds = append(kinds, kind{title: "MPTCP", multipath: true, limit: hung})
	} else {
		fmt.Println("This kernel has no Multipath TCP: socket(2) with IPPROTO_MPTCP fails, or net.mptcp.enabled is 0.")
	}
	if !*alone {
		kinds = slices.DeleteFunc(kinds, func(k kind) bool { return k.standby == "" })
	}
	fmt.Printf("%-32s", "event to the next octet, ms")
	for _, k := range kinds {
		fmt.Printf(" %26s", k.title)
	}
	fmt.Println()
	failed := false
	for _, e := range events {
		if !strings.Contains(e.name, *only) {
			continue
		}
		fmt.Printf("%-32s", e.name)
		for _, k := range kinds {
			if k.multipath && !e.simple() || e.greets && k.version == 0 {
				fmt.Printf(" %26s", "")
				continue
			}
			text, err := k.cell(e, *runs, *level)
			fmt.Printf(" %26s", text)
			if err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", k.title, err)
				failed = true
			}
		}
		fmt.Println()
	}
	if failed {
		os.Exit(1)
	}
}

// kind is a way to run the program.
type kind struct {
	title     string
	standby   string // "": without Midstream
	multipath bool
	version   uint16        // of TLS; 0: without TLS
	limit     time.Duration // after the event
}

// hung is how long a program by itself is waited for.
const hung = 10 * time.Second

var errHangs, errFails = errors.New("it hangs"), errors.New("it fails")

// cell measures some runs.
func (k kind) cell(e event, runs int, level string) (string, error) {
	var pauses []time.Duration
	for range runs {
		pause, err := k.measure(e, level)
		switch {
		case errors.Is(err, errHangs):
			return fmt.Sprintf("hangs (%.0f s and more)", hung.Seconds()), nil
		case errors.Is(err, errFails):
			return "fails", nil
		case err != nil:
			return "FAILED", err
		}
		pauses = append(pauses, pause)
	}
	slices.Sort(pauses)
	return fmt.Sprintf("%.0f (%.0f)", ms(pauses[len(pauses)/2]), ms(pauses[len(pauses)-1])), nil
}

// common is the address of the one server that both networks lead to.
const common = "203.0.113.80"

// join lets the second network lead to the first one's server, and the phone use it as a backup path.
func (s *scene) join() {
	s.next.LeadTo(s.first, common)
	s.next.Multipath(s.first, "subflow backup")
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// warm lets the phone learn the link-layer addresses of the servers, which elsewhere are behind one gateway: what is
// measured are the round trips of DNS, TCP and HTTP.
func warm(l *lab.Lab, port int) {
	for _, n := range l.Networks() {
		for _, host := range []string{n.Resolver() + ":53", "[" + n.Resolver6() + "]:53", net.JoinHostPort(n.Content(), strconv.Itoa(port)), net.JoinHostPort(strings.Trim(n.Content6(), "[]"), strconv.Itoa(port))} {
			if c, err := net.DialTimeout("tcp", host, time.Second); err == nil {
				c.Close()
			}
		}
	}
}

// measure runs one download in networks of its own.
func (k kind) measure(e event, level string) (time.Duration, error) {
	t := &lab.Stage{}
	defer t.Clear()
	folder, err := os.MkdirTemp("", "midstream-bench-")
	if err != nil {
		return 0, err
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	l := lab.New(t, e.networks()...)
	l.LogLevel = level
	if k.standby != "" {
		l.Configure("[failover]\nstandby = \"" + k.standby + "\"\n")
	}
	sum := lab.Content(t, folder, "file", e.octets(), 1)
	s := &scene{lab: l, t: t, first: l.Network("wlan0"), next: l.Network("wwan0"), under: k.standby != ""}
	if k.multipath {
		s.join()
	}
	ca, port := "", 80
	if k.version != 0 {
		ca, port = lab.Authority(t, filepath.Join(folder, "ca")), 443
	}
	for _, n := range l.Networks() {
		options := lab.ServerOptions{LimitRate: pace, Port: port, MaxVersion: k.version}
		if ca != "" {
			options.Certificate, options.Key = lab.Certificate(t, ca, n.Name, name)
		}
		if k.multipath && n == s.first {
			options.Addresses = []string{common}
		}
		s.serve(n, folder, options, e.stage)
	}
	if e.prepare != nil {
		e.prepare(s)
	}
	warm(l, port)
	out := filepath.Join(folder, "out")
	args := l.GapClient(out, name, port, "/file")
	if ca != "" {
		args = l.GapClientTLS(ca, out, name, port, "/file")
	}
	start := l.Midstream
	if k.standby == "" {
		start = l.Command
	}
	if k.multipath {
		args = l.GapClient(out, common, 80, "/file")
		args = slices.Insert(args, 1, "-m")
	}
	p := start(args...).Start()
	s.pid = p.Pid()
	if !e.greets {
		l.Await("a good part of the file", time.Minute, func() bool {
			info, err := os.Stat(out)
			return err == nil && info.Size() > e.begins()
		})
	}
	at := e.strike(s)
	select {
	case <-p.Ended():
	case <-time.After(k.limit):
		p.Process.Kill()
		if k.standby == "" {
			<-p.Ended()
			return 0, errHangs
		}
	}
	r := p.Wait()
	if r.Status != 0 && k.standby == "" {
		return 0, errFails
	}
	if r.Status != 0 || lab.Sum(out) != sum {
		text, _ := os.ReadFile(l.LogFile())
		return 0, fmt.Errorf("status %d, %s\n%s", r.Status, strings.TrimSpace(r.Stderr), text)
	}
	gaps := lab.ParseGaps(t, r)
	if e.greets {
		if at.IsZero() {
			at = gaps.Begun
		}
		return gaps.Begun.Add(gaps.First).Sub(at), nil
	}
	gap := gaps.LongestBetween(at, at.Add(2*time.Second))
	end := gap.From.Add(gap.Length)
	if end.Before(at) {
		return 0, nil
	}
	if gap.From.After(at) {
		return end.Sub(gap.From), nil
	}
	return end.Sub(at), nil
}
