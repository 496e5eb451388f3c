// Failover measures how long a program is handed nothing when a network or a server fails: from the event to the next
// octet, at 40 Mbit/s and 20 ms of round-trip time, with a standby and without.
//
// Every cell is a download by a client of plain blocking reads (e2e/clients/gapclient.c), over two networks of which
// each has a server of its own under the same name; the servers pace themselves just below the links' rate, so that
// congestion's own pauses do not mask what is measured. It needs root or user namespaces.
package main

import (
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
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
}

type scene struct {
	lab         *lab.Lab
	first, next *lab.Network
	server      *lab.Server
}

var events = []event{
	{"server killed (FIN)", func(s *scene) time.Time { t := time.Now(); s.server.Kill(); return t }},
	{"connection reset (RST)", func(s *scene) time.Time { t := time.Now(); s.first.ResetConnections(); return t }},
	{"carrier lost", func(s *scene) time.Time { t := time.Now(); s.first.CarrierDown(); return t }},
	{"address removed", func(s *scene) time.Time { t := time.Now(); s.first.RemoveAddresses(); return t }},
	{"interface deleted", func(s *scene) time.Time { t := time.Now(); s.first.Unplug(); return t }},
	{"path drops both ways", func(s *scene) time.Time { t := time.Now(); s.first.Drop(lab.Both); return t }},
	{"path drops to the phone", func(s *scene) time.Time { t := time.Now(); s.first.Drop(lab.Down); return t }},
	{"path drops from the phone", func(s *scene) time.Time { t := time.Now(); s.first.Drop(lab.Up); return t }},
	{"server frozen", func(s *scene) time.Time { t := time.Now(); s.server.Freeze(); return t }},
	{"first network back after none", func(s *scene) time.Time {
		s.first.CarrierDown()
		s.next.CarrierDown()
		time.Sleep(2 * time.Second)
		t := time.Now()
		s.next.CarrierUp()
		return t
	}},
}

func main() {
	runs := flag.Int("runs", 3, "downloads for each cell; the median and the longest are shown")
	only := flag.String("only", "", "events whose name contains this")
	level := flag.String("log", "off", "level of Midstream's log, which is shown when a download fails")
	lab.Enter()
	flag.Parse()
	lab.Build(&lab.Stage{}, "midstream") // before anything is raised
	fmt.Printf("%-32s %26s %26s\n", "event to the next octet, ms", "standby: median (longest)", "without: median (longest)")
	failed := false
	for _, e := range events {
		if !strings.Contains(e.name, *only) {
			continue
		}
		fmt.Printf("%-32s", e.name)
		for _, standby := range []string{"always", "never"} {
			var pauses []time.Duration
			for range *runs {
				pause, err := measure(e, standby, *level)
				if err != nil {
					fmt.Printf(" FAILED: %v\n", err)
					failed = true
					continue
				}
				pauses = append(pauses, pause)
			}
			if len(pauses) > 0 {
				slices.Sort(pauses)
				fmt.Printf(" %16.0f (%7.0f)", ms(pauses[len(pauses)/2]), ms(pauses[len(pauses)-1]))
			}
		}
		fmt.Println()
	}
	if failed {
		os.Exit(1)
	}
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// warm lets the phone learn the link-layer addresses of the servers, which elsewhere are behind one gateway: what is
// measured are the round trips of DNS, TCP and HTTP.
func warm(l *lab.Lab) {
	for _, n := range l.Networks() {
		for _, host := range []string{n.Resolver() + ":53", "[" + n.Resolver6() + "]:53", n.Content() + ":80", "[" + n.Content6() + "]:80"} {
			if c, err := net.DialTimeout("tcp", host, time.Second); err == nil {
				c.Close()
			}
		}
	}
}

// measure runs one download in networks of its own.
func measure(e event, standby, level string) (time.Duration, error) {
	t := &lab.Stage{}
	defer t.Clear()
	folder, err := os.MkdirTemp("", "midstream-bench-")
	if err != nil {
		return 0, err
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	link := lab.Link{Rate: rate, Delay: 10 * time.Millisecond}
	l := lab.New(t, lab.Net("wlan0", link), lab.Net("wwan0", link))
	l.LogLevel = level
	l.Configure("[failover]\nstandby = \"" + standby + "\"\n")
	sum := lab.Content(t, folder, "file", size, 1)
	s := &scene{lab: l, first: l.Network("wlan0"), next: l.Network("wwan0")}
	for _, n := range l.Networks() {
		web := n.Paced(folder, lab.ServerOptions{LimitRate: pace})
		n.DNS(map[string][]string{name: {n.Content(), n.Content6()}})
		if n == s.first {
			s.server = web
		}
	}
	warm(l)
	out := filepath.Join(folder, "out")
	p := l.Midstream(l.GapClient(out, name, 80, "/file")...).Start()
	l.Await("a good part of the file", 20*time.Second, func() bool {
		info, err := os.Stat(out)
		return err == nil && info.Size() > size/3
	})
	at := e.strike(s)
	select {
	case <-p.Ended():
	case <-time.After(40 * time.Second):
		p.Process.Kill()
	}
	r := p.Wait()
	if r.Status != 0 || lab.Sum(out) != sum {
		text, _ := os.ReadFile(l.LogFile())
		return 0, fmt.Errorf("status %d, %s\n%s", r.Status, strings.TrimSpace(r.Stderr), text)
	}
	gaps := lab.ParseGaps(t, r)
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
