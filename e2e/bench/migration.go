// What a migration costs: the stall, the octets fetched twice, the time for many streams at once.

package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"midstream/e2e/lab"
)

const (
	linkRate = 40_000_000 // bit/s
	delay    = 10 * time.Millisecond
	filmSize = 16 << 20 // 3.4 s
)

// field is two networks of 40 Mbit/s and 20 ms with the same film.
type field struct {
	*lab.Lab
	b   *bench
	web []*lab.Server
	sum string
	ca  string // "" without TLS
}

func newField(b *bench, config string) *field { return raise(b, config, "") }

// raise is newField with servers of the authority ca that speak TLS, if it is not "".
func raise(b *bench, config, ca string) *field {
	link := lab.Link{Rate: linkRate, Delay: delay}
	f := &field{Lab: lab.New(b, lab.Net("wlan0", link), lab.Net("wwan0", link)), b: b, ca: ca}
	f.LogLevel = "off"
	f.Configure(config)
	for _, n := range f.Networks() {
		f.sum = lab.Content(b, b.path("films"), "film.mkv", filmSize, 1)
		options := lab.ServerOptions{}
		if ca != "" {
			certificate, key := lab.Certificate(b, ca, n.Name, "download.example")
			options = lab.ServerOptions{Port: 443, Listen: "ssl",
				Extra: "ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate " + certificate + "; ssl_certificate_key " + key + ";"}
		}
		f.web = append(f.web, n.Nginx(b.path("films"), options))
		n.DNS(map[string][]string{"download.example": {n.Content()}})
	}
	return f
}

// payload is how many octets of TCP payload the phone has received, headers of 66 octets taken off (Ethernet 14, IPv4 20, TCP with time stamps 32).
func (f *field) payload() int64 {
	var sum int64
	for _, n := range f.Networks() {
		c := n.Counters()
		sum += c.Received - 66*c.ReceivedPackets
	}
	return sum
}

// download runs gapclient and, if move is set, moves it half way. It returns the longest pause (near the migration, if
// there is one), the octets that arrived beyond the file's and the migration.
func (f *field) download(move bool) (pause time.Duration, extra int64, m *lab.Migration) {
	args := f.GapClient(f.b.path("out"), "download.example", 80, "/film.mkv")
	if f.ca != "" {
		args = f.GapClientTLS(f.ca, f.b.path("out"), "download.example", 443, "/film.mkv")
	}
	p := f.Command(args...)
	if move {
		p = f.Midstream(args...)
	}
	before := f.payload()
	p.Start()
	var asked, answered time.Time
	if move {
		c := f.Control(p.Pid(), 10*time.Second)
		for {
			s, err := c.Sessions()
			if err != nil {
				f.b.Fatalf("bench: %v", err)
			}
			if len(s) > 0 && s[0].Received > filmSize/2 {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		asked = time.Now()
		moved, err := c.Migrate("wwan0")
		answered = time.Now()
		if err != nil || len(moved) != 1 || !moved[0].OK {
			f.b.Fatalf("bench: not moved: %v %+v", err, moved)
		}
		m = moved[0].Migration
	}
	r := p.Wait()
	if r.Status != 0 || lab.Sum(f.b.path("out")) != f.sum {
		f.b.Fatalf("bench: not intact: %v", r)
	}
	gaps := lab.ParseGaps(f.b, r)
	pause = gaps.Longest().Length
	if move {
		pause = gaps.LongestBetween(asked, answered.Add(100*time.Millisecond)).Length
	} else {
		// As after a migration, the slow start is no part of it.
		pause = gaps.LongestBetween(gaps.Begun.Add(time.Second), gaps.Begun.Add(gaps.Total)).Length
	}
	return pause, f.payload() - before - filmSize, m
}

func inMS(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func migrations(b *bench) {
	f := newField(b, "")
	var native, moved, stall, difference, twice, arrived, base sample
	for range runs(7) {
		p, e, _ := f.download(false)
		native, base = append(native, inMS(p)), append(base, float64(e)/1e3)
		p, e, m := f.download(true)
		moved, arrived = append(moved, inMS(p)), append(arrived, float64(e)/1e3)
		stall, difference = append(stall, m.StallMS), append(difference, moved[len(moved)-1]-native[len(native)-1])
		asked := f.web[1].WaitRequest("206", 10*time.Second, func(r lab.Request) bool {
			return r.Status == 206 && r.At.After(m.At) && r.FirstOctet() <= m.Offset && r.FirstOctet() > m.Offset-1<<20
		})
		twice = append(twice, float64(m.Offset-asked.FirstOctet())/1e3)
	}
	b.report("stall of a migration, ms more than natively", difference, "%.1f", 5)
	b.note("longest pause natively %s ms, around the migration %s ms", native.text("%.1f"), moved.text("%.1f"))
	b.note("stall as Midstream reports it: %s ms", stall.text("%.1f"))
	b.report("octets asked for twice in it, kB", twice, "%.1f", 2*delay.Seconds()*linkRate/8/1e3)
	b.note("received beyond the file: %s kB, natively %s kB (responses, retransmissions, what was under way on the old connection)",
		arrived.text("%.0f"), base.text("%.0f"))
}

func migrationsTLS(b *bench) {
	f := raise(b, "", lab.Authority(b, b.path("ca")))
	var native, moved, stall, difference sample
	for range runs(7) {
		p, _, _ := f.download(false)
		native = append(native, inMS(p))
		p, _, m := f.download(true)
		moved, stall = append(moved, inMS(p)), append(stall, m.StallMS)
		difference = append(difference, moved[len(moved)-1]-native[len(native)-1])
	}
	b.report("stall of a migration over TLS, ms more than natively", difference, "%.1f", 5)
	b.note("longest pause natively %s ms, around the migration %s ms", native.text("%.1f"), moved.text("%.1f"))
	b.note("stall as Midstream reports it: %s ms", stall.text("%.1f"))
}

func breakBeforeMake(b *bench) {
	f := newField(b, "[migration]\nsingle = true\n")
	var pauses, stalls sample
	for range runs(7) {
		p, _, m := f.download(true)
		pauses, stalls = append(pauses, inMS(p)), append(stalls, m.StallMS)
	}
	b.report("break before make, ms", pauses, "%.1f", inMS(3*2*delay)+10)
	b.note("stall as Midstream reports it: %s ms", stalls.text("%.1f"))
}

func streams(b *bench) {
	var first float64
	for _, count := range []int{10, 100, 1000} {
		var each sample
		for range runs(3) {
			each = append(each, streamsOnce(b, count))
		}
		bound := 0.0
		if count == 10 {
			first = each.median()
		} else {
			bound = first
		}
		b.report(fmt.Sprintf("%d streams moved by one trigger, ms for each", count), each, "%.2f", bound)
	}
}

// streamsOnce moves so many streams and returns how long it took, in ms a stream.
func streamsOnce(b *bench, count int) float64 {
	inner := &bench{Stage: &lab.Stage{}, folder: b.folder}
	defer inner.Clear()
	l := lab.New(inner, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}))
	l.LogLevel = "off"
	for _, n := range l.Networks() {
		lab.Content(b, b.path("many"), "film.mkv", 600<<10, 1)
		n.Nginx(b.path("many"), lab.ServerOptions{})
		n.DNS(map[string][]string{"download.example": {n.Content()}})
	}
	p := l.Midstream(l.CC("many"), fmt.Sprint(count), filepath.Join(b.path("many"), "film.mkv"), "download.example", "80", "/film.mkv")
	in, err := p.StdinPipe()
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	p.Start()
	l.Await("beginning of all streams", 30*time.Second, func() bool {
		out, _ := p.Output()
		return strings.Contains(out, "all have begun")
	})
	c := l.Control(p.Pid(), 10*time.Second)
	l.Await("all streams known to the core, which has just arrived", 30*time.Second, func() bool {
		s, err := c.Sessions()
		return err == nil && len(s) == count
	})
	begun := time.Now()
	moved, err := c.Migrate("wwan0")
	if err != nil || len(moved) != count {
		b.Fatalf("bench: %d streams moved: %v", len(moved), err)
	}
	last := begun
	for _, m := range moved {
		if !m.OK {
			b.Fatalf("bench: %+v", m)
		}
		if m.Migration.At.After(last) {
			last = m.Migration.At
		}
	}
	in.Write([]byte("go on\n"))
	if r := p.Wait(); r.Status != 0 {
		b.Fatalf("bench: %v", r)
	}
	return inMS(last.Sub(begun)) / float64(count)
}
