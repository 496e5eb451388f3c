// Package parts tests single files of the shim, with stand-ins for what they call: what would take a race between threads, or a
// kernel that answers at the right moment, to be seen in a program.
package parts

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// Files of the shim that need no stand-in. What they and the tested files hold beyond what a program can come to is left out by the
// linker, with all that it calls; a function that is missing beside that does not link.
var selfContained = []string{"process/calls", "process/memory", "wait/epoll_set", "wait/readiness", "network/socket", "stream/still"}

// runs compiles a program of programs/ and runs it some times.
func runs(t *testing.T, name string) {
	program := filepath.Join(t.TempDir(), name)
	args := []string{"-std=gnu11", "-D_GNU_SOURCE", "-O1", "-g", "-fno-pie", "-no-pie", "-ftls-model=initial-exec", "-w", "-pthread", "-I../..",
		"-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-o", program, "programs/" + name + ".c"}
	for _, file := range selfContained {
		args = append(args, "../../"+file+".c")
	}
	if text, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for range 5 {
		if text, err := exec.Command(program).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
	}
}

// Of two threads that change a descriptor's membership in an epoll set at once, the one that the kernel heard last counts: what
// is remembered of the other would be put in with the next connection.
func TestChangesOfOneMembership(t *testing.T) { runs(t, "changes") }

// A membership with EPOLLONESHOT that has fired shows nothing until the program asks for more, whatever becomes of the connection.
func TestFiredMembership(t *testing.T) { runs(t, "fired") }

// A gate that is closed again as soon as it has been opened is closed for those who have waited, too.
func TestGateClosedAgain(t *testing.T) { runs(t, "gate") }

// A call that loses its patience does not come in where the agent is in the middle of a change.
func TestNobodyComesInAmidAChange(t *testing.T) { runs(t, "changing") }

// What a TLS library asks of the program's socket within Midstream's own work, as one that knows of TLS in the kernel does, waits at no gate.
func TestOwnWorkWaitsAtNoGate(t *testing.T) { runs(t, "own_work") }

// A gate that is closed for a hand-over which has just been given up is opened again at once.
func TestGateClosedInVain(t *testing.T) { runs(t, "vain") }

// An event that is kept from the program, because another attempt to connect is under way, does not use up EPOLLONESHOT.
func TestAttemptWithOneShot(t *testing.T) { runs(t, "attempt") }

// A membership with EPOLLEXCLUSIVE cannot be changed: it is put in anew.
func TestExclusiveMembership(t *testing.T) { runs(t, "exclusive") }

// A membership that was lent EPOLLOUT for what lies decrypted in a TLS session shows octets as often as the program has asked for, once
// that has been read.
func TestLentMembership(t *testing.T) { runs(t, "lent") }

// A handshake that nobody answers is replaced when its path has had its time, and withdrawn whole, at whatever moment.
func TestGreetingReplaced(t *testing.T) { runs(t, "greeting") }

// A handshake that is dropped while its ClientHello is being sent elsewhere makes room for another one's only then.
func TestFlightIsNobodyElses(t *testing.T) { runs(t, "flight") }

// A function that comes back to its own beginning is not led to its hook there.
func TestJumpsBackAreSeen(t *testing.T) { runs(t, "jumps") }

// A call that waits for room in a pipe does so with the agent, as one that waits for octets.
func TestSpliceIntoAFullPipe(t *testing.T) { runs(t, "full_pipe") }
