// What a program notices while several networks bring its download together: pauses, networks that end or crawl, octets
// that were fetched twice, memory; and how much two fast networks bring.

package main

import (
	"fmt"
	"time"

	"midstream/e2e/lab"
)

// fetched is how one download went.
type fetched struct {
	lab.Gaps
	pause time.Duration // the longest after the first second
	twice float64       // of all octets of content, how many came that were not needed
	rss   int64         // octets, at most
}

// join are networks with those links and a server of the same file each, and the program that downloads it.
type join struct {
	*lab.Lab
	b    *bench
	size int64
	sum  string
}

func newJoin(b *bench, t lab.T, size int64, links ...lab.Link) *join {
	var options []lab.Option
	for i, link := range links {
		options = append(options, lab.Net(fmt.Sprintf("wlan%d", i), link))
	}
	j := &join{Lab: lab.New(t, options...), b: b, size: size}
	j.Congestion("cubic", "reno")
	j.LogLevel = "off"
	root := b.path("join")
	j.sum = lab.Content(t, root, "file", size, 3)
	for _, n := range j.Networks() {
		n.DNS(map[string][]string{"download.example": {n.Content()}})
		n.Nginx(root, lab.ServerOptions{})
	}
	return j
}

// fetch downloads the file, by all networks if together is set, and calls amid for what is to happen meanwhile, unless it is nil.
func (j *join) fetch(together bool, amid func(pid int)) fetched {
	args := j.GapClient(j.b.path("out"), "download.example", 80, "/file")
	p := j.Command(args...)
	if together {
		p = j.Midstream(args...)
		p.Args = append([]string{p.Args[0], "--aggregate", "--"}, args...)
	}
	came := func() (octets int64) {
		for _, n := range j.Networks() {
			c := n.Counters()
			octets += c.Received - 66*c.ReceivedPackets
		}
		return octets
	}
	before := came()
	p.Start()
	if amid != nil {
		amid(p.Pid())
	}
	r := p.Wait()
	if r.Status != 0 || lab.Sum(j.b.path("out")) != j.sum {
		j.b.Fatalf("bench: not intact: %v", r)
	}
	f := fetched{Gaps: lab.ParseGaps(j.b, r), rss: r.MaxRSS}
	f.twice = float64(came()-before-j.size) / float64(j.size)
	f.pause = f.LongestBetween(f.Begun.Add(time.Second), f.Begun.Add(f.Total)).Length
	return f
}

func joined(b *bench) {
	undisturbed(b)
	lost(b)
	crawling(b)
	switched(b)
	fast(b)
}

var good = lab.Link{Rate: 40e6, Delay: 10 * time.Millisecond, Queue: 50 * time.Millisecond}

const joinedSize = 100_000_000

// rate is what a link carries of content in a second, in octets: 1448 of each 1514.
func rate(link lab.Link) float64 { return float64(link.Rate) / 8 * 1448 / 1514 }

func undisturbed(b *bench) {
	inner := &lab.Stage{}
	j := newJoin(b, inner, joinedSize, good, good)
	var pause, twice, rss sample
	for range runs(3) {
		one, all := j.fetch(false, nil), j.fetch(true, nil)
		pause = append(pause, inMS(all.pause))
		twice = append(twice, 100*(all.twice-one.twice))
		rss = append(rss, float64(all.rss-one.rss)/1e6)
	}
	b.report("together, 40 + 40 Mbit/s: longest pause, ms", pause, "%.0f", 100)
	b.report("octets received more than by one network, %", twice, "%.2f", 2.5)
	b.report("memory of the process more than without, MB", rss, "%.1f", 30)
	inner.Clear()
}

// lost has one of the networks drop everything after four seconds.
func lost(b *bench) {
	for i, name := range []string{"first", "second"} {
		inner := &lab.Stage{}
		j := newJoin(b, inner, joinedSize, good, good)
		least := 4 + (joinedSize-4*2*rate(good))/rate(good)
		var pause, total sample
		for range runs(3) {
			n := j.Networks()[i]
			f := j.fetch(true, func(int) {
				time.Sleep(4 * time.Second)
				n.Drop(lab.Both)
			})
			n.Pass()
			pause, total = append(pause, inMS(f.pause)), append(total, f.Total.Seconds()-least)
		}
		b.report("the "+name+" network dies at 4 s: longest pause, ms", pause, "%.0f", 350)
		b.report("the whole, s more than the links would take", total, "%.2f", 0.7)
		inner.Clear()
	}
}

// crawling has a second network that is of no use, or hardly.
func crawling(b *bench) {
	inner := &lab.Stage{}
	j := newJoin(b, inner, joinedSize/2, good, lab.Link{Rate: 5e5, Delay: 300 * time.Millisecond, Queue: 500 * time.Millisecond})
	var ratio sample
	for range runs(3) {
		one, all := j.fetch(false, nil), j.fetch(true, nil)
		ratio = append(ratio, all.Total.Seconds()/one.Total.Seconds())
	}
	b.report("40 Mbit/s and 0.5, 600 ms: time to the first alone", ratio, "%.3f", 1.01)
	inner.Clear()
}

// switched has a person enter and leave in the middle.
func switched(b *bench) {
	inner := &lab.Stage{}
	j := newJoin(b, inner, joinedSize/2, good, good)
	var enter, leave, native sample
	for range runs(5) {
		args := j.GapClient(j.b.path("out"), "download.example", 80, "/file")
		one := lab.ParseGaps(b, j.Command(args...).Run())
		native = append(native, inMS(one.LongestBetween(one.Begun.Add(time.Second), one.Begun.Add(one.Total)).Length))
		p := j.Midstream(args...).Start()
		said := func(word string) (from, to time.Time) {
			from = time.Now()
			if r := j.Ctl("aggregate", word).Run(); r.Status != 0 {
				b.Fatalf("bench: %v", r)
			}
			return from, time.Now().Add(500 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		on, onTo := said("on")
		time.Sleep(1500 * time.Millisecond)
		off, offTo := said("off")
		r := p.Wait()
		if r.Status != 0 || lab.Sum(j.b.path("out")) != j.sum {
			b.Fatalf("bench: not intact: %v", r)
		}
		gaps := lab.ParseGaps(b, r)
		enter = append(enter, inMS(gaps.LongestBetween(on, onTo).Length))
		leave = append(leave, inMS(gaps.LongestBetween(off, offTo).Length))
	}
	b.report("entering, longest pause, ms", enter, "%.1f", native.median()+5)
	b.report("leaving, longest pause, ms", leave, "%.1f", native.median()+5)
	b.note("without, %s ms", native.text("%.1f"))
	inner.Clear()
}

// fast is two networks of 1 Gbit/s, shaped where the servers are: the forwarder that makes delays would not keep up.
func fast(b *bench) {
	inner := &lab.Stage{}
	j := newJoin(b, inner, 10*joinedSize, lab.Link{}, lab.Link{})
	for _, n := range j.Networks() {
		if err := n.Command("tc", "qdisc", "add", "dev", "phone", "root", "tbf", "rate", "1gbit", "burst", "256kb", "latency", "20ms"); err != nil {
			b.Fatalf("bench: %v", err)
		}
	}
	var delivered, cpu sample
	for range runs(3) {
		args := []string{"curl", "-sS", "-o", "/dev/null", "http://download.example/file"}
		one := j.Command(args...).Run()
		p := j.Midstream(args...)
		p.Args = append([]string{p.Args[0], "--aggregate", "--"}, args...)
		all := p.Run()
		if one.Status != 0 || all.Status != 0 {
			b.Fatalf("bench: %v, %v", one, all)
		}
		delivered = append(delivered, float64(j.size)*8/1e9/all.Elapsed.Seconds())
		cpu = append(cpu, all.CPU.Seconds()/one.CPU.Seconds())
	}
	b.reportLeast("1 GB over 1 + 1 Gbit/s, Gbit/s delivered", delivered.median(), delivered.text("%.2f"), 1.8)
	b.note("processor time to that without Midstream %s", cpu.text("%.2f"))
	inner.Clear()
}
