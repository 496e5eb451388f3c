// Cases that share a laboratory: each has a host name, and servers, of its own, so several can run at a time.

package matrix

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"midstream/e2e/lab"
)

// seats is how many cases run at a time: most of their time is spent waiting for servers that say nothing.
const seats = 6

// seat is where a case takes place.
type seat struct {
	*lab.Lab
	host    string
	address [2]string // of the host, in the first and the second network
	out     string    // a file of its own
}

func seatHost(i int) string { return fmt.Sprintf("seat%d.example", i) }

// serve starts a server for the seat's host in one of the networks.
func (s seat) serve(t *testing.T, network int, script script) *origin {
	t.Helper()
	return serveAt(t, s.Networks()[network], s.address[network], script)
}

// far is the name of the interface that cases move to.
func (s seat) far() string { return s.Networks()[1].Name }

// testCase is one case of many.
type testCase struct {
	name string
	run  func(t *testing.T, s seat)
}

func seatHosts() (all []string) {
	for i := range seats {
		all = append(all, seatHost(i))
	}
	return all
}

// seatsOf prepares a laboratory.
func seatsOf(l *lab.Lab) (places []seat) {
	for i := range seats {
		s := seat{Lab: l, host: seatHost(i), out: filepath.Join(l.Dir, fmt.Sprintf("seat%d", i))}
		for n, network := range l.Networks() {
			s.address[n] = network.Address(100 + i)
			network.AddAddress(s.address[n])
		}
		places = append(places, s)
	}
	for n, network := range l.Networks() {
		names := map[string][]string{}
		for _, s := range places {
			names[s.host] = []string{s.address[n]}
		}
		network.DNS(names)
	}
	return places
}

// runCases runs the cases, several at a time, in a laboratory of their own.
func runCases(t *testing.T, l *lab.Lab, cases []testCase) {
	t.Helper()
	runAt(t, seatsOf(l), cases)
}

func runAt(t *testing.T, places []seat, cases []testCase) {
	t.Helper()
	var next atomic.Int64
	var workers sync.WaitGroup
	for _, s := range places {
		workers.Add(1)
		go func() {
			defer workers.Done() // also where the laboratory has failed the test
			for i := next.Add(1) - 1; i < int64(len(cases)); i = next.Add(1) - 1 {
				t.Run(cases[i].name, func(t *testing.T) {
					defer func() {
						// Left to itself, it would end the other cases' test under them, and they would hide it.
						if p := recover(); p != nil {
							t.Errorf("panic: %v\n%s", p, debug.Stack())
						}
					}()
					cases[i].run(t, s)
				})
			}
		}()
	}
	workers.Wait()
}

// download starts a program under Midstream that downloads from the first server to the seat's file.
func (s seat) download(t *testing.T, first *origin, args []string) *download {
	t.Helper()
	d := &download{t: t, lab: s.Lab, out: s.out, program: s.Midstream(args...).Start()}
	first.awaits(t, d.program)
	d.control = s.Control(d.program.Pid(), lab.Patience)
	return d
}

// endsAsNatively compares the end of a program whose connection has died, and the files it wrote, with those of one that
// runs as it is and meets the same.
func (d *download) endsAsNatively(s seat, old script, args []string, files ...string) {
	d.t.Helper()
	written := func() (all []string) {
		for _, f := range files {
			all = append(all, file(f))
		}
		return all
	}
	under, got := d.program.Wait(), written()
	dead := s.serve(d.t, 0, old)
	native := s.Command(args...).Start()
	dead.awaits(d.t, native)
	dead.stop()
	lab.Compare(d.t, native.Wait(), under)
	if want := written(); !slices.Equal(got, want) {
		d.t.Errorf("it wrote %q, natively %q", got, want)
	}
}

// file is what a file holds, and takes it away; "" if there is none.
func file(name string) string {
	b, _ := os.ReadFile(name)
	os.Remove(name)
	return string(b)
}
