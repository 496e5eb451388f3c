// What small exchanges cost on a kept connection, and what a process costs that does nothing.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"midstream/e2e/lab"
)

// smallSite is a network with a server of a small file and a long one, and the client that fetches such.
func smallSite(b *bench) (l *lab.Lab, client string) {
	l = lab.New(b, lab.Net("wlan0", lab.Link{}), lab.Net("wwan0", lab.Link{}))
	for _, n := range l.Networks() {
		n.DNS(map[string][]string{"download.example": {n.Content()}})
	}
	lab.Content(b, b.path("root"), "small", 1000, 1)
	lab.Content(b, b.path("root"), "film.mkv", 8<<20, 1)
	for _, n := range l.Networks() {
		n.Nginx(b.path("root"), lab.ServerOptions{})
	}
	return l, l.CC("small")
}

func small(b *bench) {
	l, client := smallSite(b)
	var under, native sample
	cost := func(p *lab.Program) float64 {
		r := p.Run()
		microseconds, err := strconv.ParseFloat(strings.TrimSpace(r.Stdout), 64)
		if err != nil {
			b.Fatalf("bench: %v", r)
		}
		return microseconds
	}
	for range runs(15) {
		args := []string{client, "download.example", "80", "/small", "5000"}
		native = append(native, cost(l.Command(args...)))
		under = append(under, cost(l.Midstream(args...)))
	}
	b.report("small GETs on one connection, CPU time of the client", ratios(under, native), "%.2f", 1.5)
	b.note("natively %s µs for each, under Midstream %s µs", native.text("%.1f"), under.text("%.1f"))
}

// settled is how long a process is left to itself before its wake-ups are counted, and counted how long they are.
const settled, counted = 20 * time.Second, 20 * time.Second

func stillness(b *bench) {
	l, client := smallSite(b)
	fetch := l.CC("fetch")
	for _, c := range []struct {
		what  string
		args  []string
		ready string
	}{
		{"an idle connection", []string{client, "download.example", "80", "/small", "5"}, "\n"},
		{"a paused download", []string{fetch, "pause", "/dev/null", "download.example", "80", "/film.mkv"}, "half"},
	} {
		native, under := wakeUps(b, l.Command(c.args...), c.ready), wakeUps(b, l.Midstream(c.args...), c.ready)
		b.report("wake-ups in a second of a process with "+c.what+", more", sample{under - native}, "%.2f", 1)
	}
}

// wakeUps is how often in a second threads of a program go to sleep that has nothing to do.
func wakeUps(b *bench, p *lab.Program, ready string) float64 {
	in, err := p.StdinPipe()
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	p.Start()
	for out := ""; !strings.Contains(out, ready); out, _ = p.Output() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(settled)
	before := switches(p)
	time.Sleep(counted)
	n := switches(p) - before
	in.Write([]byte("go on\n"))
	in.Close()
	p.Wait()
	return float64(n) / counted.Seconds()
}

// switches is how often the program's threads have gone to sleep so far.
func switches(p *lab.Program) (sum int) {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", p.Pid()))
	for _, task := range tasks {
		text, _ := os.ReadFile(task)
		_, rest, _ := strings.Cut(string(text), "\nvoluntary_ctxt_switches:")
		line, _, _ := strings.Cut(rest, "\n")
		n, _ := strconv.Atoi(strings.TrimSpace(line))
		sum += n
	}
	return sum
}
