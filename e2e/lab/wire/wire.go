// Package wire is a cable with a length: it carries Ethernet frames between two interfaces with a
// given rate, delay and loss in each direction, and can be cut without either end noticing.
//
// It stands in for netem where the kernel lacks it. One process carries one cable; it is made to
// be a child of the laboratory, started in the network namespace that holds both interfaces.
package wire

import (
	"bufio"
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"strings"
)

// Directions of a cable. Up leads from A to B: from the phone to the network.
const (
	Up   = "up"
	Down = "down"
	Both = "both"
)

// Cable is what a wire process is told at its start.
type Cable struct {
	A, B     string // the names of the two interfaces, in the namespace of the calling thread
	Up, Down Shape
}

// Run carries frames until control ends. It reads orders from control, one a line, and answers
// each with one line on answers once it is in force:
//
//	drop up|down|both     frames of that direction vanish from now on
//	pass up|down|both     and are carried again
//
// The first line written, "ready", says that frames are carried. Run returns an error if an interface cannot be opened.
func Run(c Cable, control io.Reader, answers io.Writer) error {
	a, err := openPort(c.A)
	if err != nil {
		return err
	}
	b, err := openPort(c.B)
	if err != nil {
		return err
	}
	// The lanes' threads wait in the kernel without telling the scheduler, which saves most of their
	// cost. So each needs a processor of its own, and the collector, which would wait for them
	// for ever, stays off: frames are used again, and laneFrames bounds them.
	runtime.GOMAXPROCS(6)
	debug.SetGCPercent(-1)
	up, down := newLane(a, b, c.Up), newLane(b, a, c.Down)
	for _, l := range []*lane{up, down} {
		go l.receive()
		go l.send()
	}
	fmt.Fprintln(answers, "ready")
	orders := bufio.NewScanner(control)
	for orders.Scan() {
		verb, direction, _ := strings.Cut(orders.Text(), " ")
		if verb != "drop" && verb != "pass" {
			fmt.Fprintf(answers, "unknown order %q\n", verb)
			continue
		}
		if direction != Down {
			up.cut.Store(verb == "drop")
		}
		if direction != Up {
			down.cut.Store(verb == "drop")
		}
		fmt.Fprintln(answers, "ok")
	}
	return orders.Err()
}
