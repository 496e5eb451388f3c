// What a process costs: its start, its memory.

package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"midstream/e2e/lab"
)

func starts(b *bench) {
	l := lab.New(b, lab.Net("wlan0", lab.Link{}))
	pairs := l.CC("pairs")
	for _, c := range []struct {
		args  []string
		runs  int
		bound float64
	}{{[]string{"true"}, 400, 1.15}, {[]string{"curl", "--version"}, 150, 1.03}} {
		args := append([]string{pairs, strconv.Itoa(runs(c.runs)), b.library(), lab.Build(b, "midstream")}, c.args...)
		r := l.Command(args...).Run()
		if r.Status != 0 {
			b.Fatalf("bench: %v", r)
		}
		var native, library, launcher sample
		for _, line := range strings.Split(strings.TrimSpace(r.Stdout), "\n") {
			var v [3]float64
			fmt.Sscan(line, &v[0], &v[1], &v[2])
			native, library, launcher = append(native, v[0]/1e3), append(library, v[1]/1e3), append(launcher, v[2]/1e3)
		}
		name := strings.Join(c.args, " ")
		b.reportMedian("start of "+name+", library preloaded", library.median()/native.median(),
			fmt.Sprintf("%.3f", library.median()/native.median()), "%.2f", c.bound)
		b.note("natively %s µs, preloaded %s µs", native.text("%.0f"), library.text("%.0f"))
		b.note("by the launcher %s µs", launcher.text("%.0f"))
	}
}

// footprint are the kB of a process in RAM, and of them those that are its own and not to be had from a file again.
type footprint struct{ resident, own float64 }

func footprintOf(text string) footprint {
	var f footprint
	lines := bufio.NewScanner(strings.NewReader(text))
	for lines.Scan() {
		var kB float64
		name, value, _ := strings.Cut(lines.Text(), ":")
		fmt.Sscan(value, &kB)
		switch name {
		case "Rss":
			f.resident = kB
		case "Private_Dirty":
			f.own = kB
		}
	}
	return f
}

func memory(b *bench) {
	l := lab.New(b, lab.Net("wlan0", lab.Link{}))
	n := l.Networks()[0]
	n.DNS(map[string][]string{"download.example": {n.Content()}})
	lab.Content(b, b.path("root"), "film.mkv", 1<<20, 1)
	n.Nginx(b.path("root"), lab.ServerOptions{})
	syscall.Sync() // pages of a library that has just been built count as the process's own until they are written
	var without, own sample
	for range runs(15) {
		native := footprintOf(l.Command("cat", "/proc/self/smaps_rollup").Run().Stdout)
		under := footprintOf(l.Midstream("cat", "/proc/self/smaps_rollup").Run().Stdout)
		without, own = append(without, under.resident-native.resident), append(own, under.own-native.own)
	}
	b.report("memory of a process without HTTP, kB more", own, "%.0f", 100)
	b.note("resident with the library's pages, which all processes share: %s kB more", without.text("%.0f"))

	var core, private sample
	fetch := []string{l.CC("fetch"), "pause", "/dev/null", "download.example", "80", "/film.mkv"}
	for range runs(9) {
		native, under := paused(b, l.Command(fetch...)), paused(b, l.Midstream(fetch...))
		core, private = append(core, (under.resident-native.resident)/1024), append(private, (under.own-native.own)/1024)
	}
	b.report("memory of a process with the core, MB more", core, "%.1f", 10)
	b.note("of these its own, not shared with other processes: %s MB", private.text("%.1f"))
}

// paused is the footprint of a download that stands still half way, with the core loaded if there is one.
func paused(b *bench, p *lab.Program) footprint {
	in, err := p.StdinPipe()
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	p.Start()
	for out := ""; !strings.Contains(out, "half"); out, _ = p.Output() {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond) // the core has arrived, and settled
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.Pid()))
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	in.Write([]byte("go on\n"))
	in.Close()
	p.Wait()
	return footprintOf(string(text))
}
