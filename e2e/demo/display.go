// Shows which network delivers how much: a block that is drawn anew in a terminal, else one line at a time.

package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"midstream/e2e/lab"
)

const barCells = 40

type display struct {
	networks []*lab.Network
	terminal bool
	interval time.Duration
	begun    time.Time
	at       time.Time
	before   []int64
	drawn    bool
}

func newDisplay(networks []*lab.Network) *display {
	d := &display{networks: networks, terminal: isTerminal(screen), interval: 500 * time.Millisecond, begun: time.Now(), at: time.Now()}
	if d.terminal {
		d.interval = 200 * time.Millisecond
	}
	for _, n := range networks {
		d.before = append(d.before, n.Counters().Received)
	}
	return d
}

// show draws the rates since the last call, and how much of the file there is.
func (d *display) show(have int64) {
	now := time.Now()
	seconds := now.Sub(d.at).Seconds()
	var lines []string
	for i, n := range d.networks {
		received := n.Counters().Received
		bits := float64(received-d.before[i]) * 8 / seconds
		d.before[i] = received
		lines = append(lines, fmt.Sprintf("%-6s %s %5.1f Mbit/s", n.Name, bar(bits/rate), bits/1e6))
	}
	d.at = now
	file := fmt.Sprintf("file   %s %5.1f %%  %4.1f s", bar(float64(have)/size), 100*float64(have)/size, now.Sub(d.begun).Seconds())
	if !d.terminal {
		fmt.Println(strings.Join(append(lines, file), "   "))
		return
	}
	if d.drawn {
		fmt.Printf("\x1b[%dA", len(lines)+1)
	}
	for _, line := range append(lines, file) {
		fmt.Printf("\r\x1b[K%s\n", line)
	}
	d.drawn = true
}

// say prints a line above the block, which stays in view.
func (d *display) say(line string) {
	if d.terminal && d.drawn {
		fmt.Printf("\x1b[%dA\r\x1b[J%s\n", len(d.networks)+1, line)
		d.drawn = false
		return
	}
	fmt.Println(line)
}

func bar(share float64) string {
	full := int(share*barCells + 0.5)
	full = min(max(full, 0), barCells)
	return strings.Repeat("█", full) + strings.Repeat("·", barCells-full)
}

func isTerminal(f *os.File) bool {
	var t syscall.Termios
	_, _, errno := syscall.Syscall(syscall.SYS_IOCTL, f.Fd(), syscall.TCGETS, uintptr(unsafe.Pointer(&t)))
	return errno == 0
}
