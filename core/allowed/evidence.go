// Whether a network has failed, or only the server: nothing is moved to where it costs before the network has.
package allowed

import (
	"errors"
	"syscall"
	"time"
)

// unansweredLimit is how long connecting over the present interface is tried without an answer before its network counts as
// failed, at least. By then it has been tried more than once.
const unansweredLimit = 300 * time.Millisecond

// Evidence is what connecting over a stream's own interface has shown since its connection failed. The zero value is none; it is
// guarded by its owner.
type Evidence struct {
	begun time.Time // of the first attempt that nobody has answered
	dead  bool      // the network has said that it leads nowhere
	// Useless: there was a connection, or a word of the server's, and yet no use of it.
	Useless bool
}

// Dead is the evidence where a probe has shown already that nobody answers there, or has not.
func Dead(dead bool) Evidence { return Evidence{dead: dead} }

// Begins takes that an attempt to connect is begun.
func (e *Evidence) Begins(now time.Time) {
	if e.begun.IsZero() {
		e.begun = now
	}
}

// Ends takes what one has come to.
func (e *Evidence) Ends(err error) {
	switch {
	case err == nil:
		*e = Evidence{}
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET):
		*e = Evidence{Useless: true}
	case errors.Is(err, syscall.ENETUNREACH) || errors.Is(err, syscall.EHOSTUNREACH) || errors.Is(err, syscall.ENETDOWN):
		e.dead = true
	}
}

// Failed reports whether the network has. trips is what a wait must exceed by the connection's round-trip time.
func (e *Evidence) Failed(now time.Time, trips time.Duration) bool {
	return e.dead || !e.begun.IsZero() && now.Sub(e.begun) > max(unansweredLimit, 2*trips)
}
