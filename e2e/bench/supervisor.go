// What it costs that the supervisor carries a program's connections.

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"midstream/e2e/lab"
)

// carriedLength is how much is transferred at a time.
const carriedLength = 2 << 30

func supervised(b *bench) {
	l := lab.New(b, lab.Net("wlan0", lab.Link{}))
	n := l.Networks()[0]
	root := b.path("carried")
	os.MkdirAll(root, 0o755)
	if err := os.WriteFile(root+"/big", nil, 0o644); err != nil {
		b.Fatalf("bench: %v", err)
	}
	os.Truncate(root+"/big", carriedLength)
	n.Nginx(root, lab.ServerOptions{})
	dialer := l.CC("dialer", "-static")

	var more sample
	for range runs(60) {
		native := l.Command(dialer).Run().Elapsed
		more = append(more, float64(l.Midstream(dialer).Run().Elapsed-native)/1e6)
	}
	b.report("start under the supervisor, ms more", more, "%.1f", 10)

	var native, under sample
	for range runs(5) {
		native = append(native, microseconds(b, waiting(b, l.Command(dialer, "connect", n.Content(), "200"), nil))...)
		under = append(under, microseconds(b, waiting(b, l.Midstream(dialer, "connect", n.Content(), "200"), nil))...)
	}
	b.reportMedian("connect() under the supervisor, µs more", under.median()-native.median(), fmt.Sprintf("%.0f", under.median()-native.median()), "%.0f", 150)
	b.note("natively %s µs, carried %s µs", native.text("%.0f"), under.text("%.0f"))

	var ratio, seconds, times sample
	for range runs(7) {
		var own, supervisors float64
		alone := waiting(b, l.Command(dialer, "fetch", n.Content(), "/big"), func(p *lab.Program) { own = processor(p.Pid()) })
		carried := waiting(b, l.Midstream(dialer, "fetch", n.Content(), "/big"), func(p *lab.Program) {
			supervisors = processor(p.Pid())
			for _, pid := range supervisorsOf(l) {
				supervisors += processor(pid)
			}
		})
		ratio, seconds = append(ratio, supervisors/own), append(seconds, supervisors-own)
		times = append(times, carried.Elapsed.Seconds()/alone.Elapsed.Seconds())
	}
	b.report("2 GB carried, CPU of both to the program's own", ratio, "%.2f", 2)
	b.note("%s s more; time %s ×", seconds.text("%.2f"), times.text("%.2f"))

	var memory, wakes sample
	for range runs(3) {
		waiting(b, l.Midstream(dialer, "many", n.Content(), "1000"), func(*lab.Program) {
			before := sleepsOf(supervisorsOf(l))
			time.Sleep(2 * time.Second)
			wakes = append(wakes, sleepsOf(supervisorsOf(l))-before)
			kB := 0.0
			for _, pid := range supervisorsOf(l) {
				kB += status(pid, "RssAnon")
			}
			memory = append(memory, kB/1024)
		})
	}
	b.report("1000 connections carried, MB of the supervisor's own", memory, "%.1f", 10)
	b.reportMedian("wake-ups of it in 2 s while they are idle", wakes.median(), wakes.text("%.0f"), "%.0f", 1)
}

// waiting runs a program that ends when its input does, and looks at it when it says that it is done.
func waiting(b *bench, p *lab.Program, look func(*lab.Program)) lab.Result {
	in, err := p.StdinPipe()
	if err != nil {
		b.Fatalf("bench: %v", err)
	}
	p.Start()
	for out := ""; !strings.Contains(out, "done"); out, _ = p.Output() {
		select {
		case <-p.Ended():
			b.Fatalf("bench: %v", p.Wait())
		case <-time.After(time.Millisecond):
		}
	}
	if look != nil {
		look(p)
	}
	in.Close()
	r := p.Wait()
	if r.Status != 0 {
		b.Fatalf("bench: %v", r)
	}
	return r
}

func microseconds(b *bench, r lab.Result) (all sample) {
	for _, line := range strings.Fields(strings.TrimSuffix(r.Stdout, "done\n")) {
		var v float64
		if _, err := fmt.Sscan(line, &v); err != nil {
			b.Fatalf("bench: %v", err)
		}
		all = append(all, v)
	}
	return all
}

// supervisorsOf are the processes of the supervisors in the laboratory.
func supervisorsOf(l *lab.Lab) (all []int) {
	comms, _ := filepath.Glob("/proc/[0-9]*/comm")
	for _, comm := range comms {
		name, _ := os.ReadFile(comm)
		environ, _ := os.ReadFile(filepath.Join(filepath.Dir(comm), "environ"))
		var pid int
		if fmt.Sscanf(comm, "/proc/%d/comm", &pid); string(name) == "midstream-super\n" && strings.Contains(string(environ), l.RuntimeDir()) {
			all = append(all, pid)
		}
	}
	return all
}

// processor is how long a process has run, in seconds: the sum of /proc/PID/task/*/schedstat.
func processor(pid int) (seconds float64) {
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	for _, file := range files {
		var ns float64
		text, _ := os.ReadFile(file)
		fmt.Sscan(string(text), &ns)
		seconds += ns / 1e9
	}
	return seconds
}

// status is a number of /proc/PID/status.
func status(pid int, name string) (value float64) {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for line := range strings.Lines(string(text)) {
		if key, rest, _ := strings.Cut(line, ":"); key == name {
			fmt.Sscan(rest, &value)
		}
	}
	return value
}

func sleepsOf(pids []int) (sum float64) {
	for _, pid := range pids {
		sum += status(pid, "voluntary_ctxt_switches")
	}
	return sum
}
