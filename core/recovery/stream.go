// The seam of a recovery: the stream that it continues.
package recovery

import (
	"context"
	"net/netip"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/resume"
	"midstream/core/silence"
	"midstream/core/standby"
)

// Stream is the program's stream, as its owner shows it to a recovery, which has the stream's turn. Safe for concurrent use.
type Stream interface {
	// State is what it is like now.
	State() State
	// Patience is how long a program is held in vain at most.
	Patience() time.Duration
	// Unshared makes sure that nobody else holds the socket, and that the shim has seen all that was read from it.
	Unshared(ctx context.Context) error

	// Begins says that a recovery begins; dead: it is known that nobody answers where the stream is. InNeed says that from now on servers
	// are asked, for the cause, and that confirm has the last word before the program is given another connection at once. Ends says
	// that all this is over.
	Begins(dead bool)
	InNeed(cause string, confirm func() error)
	Ends()
	// Alarmed says what came of the alarm that a silence since then has given: spoke, that something was heard in the end.
	Alarmed(since time.Time, spoke bool)

	// Hold says that the program is held until then, and HoldOn that it is for longer.
	Hold(until time.Time)
	HoldOn(until time.Time)
	// Met says what stands in the way; nil, or that something was called off, says nothing.
	Met(reason error)
	// GiveUp lets a program that is held see how its connection ended.
	GiveUp(why error)

	// News is closed when the host's networks have changed. Look has the kernel asked for them anew.
	News() <-chan struct{}
	Look()
	// Order lists the interfaces over which the stream can be continued, if it has to be, the best first. MayMove are those of them over
	// which it may be now; refused: its server where it is has been asked in vain.
	Order() []string
	MayMove(refused bool) []string
	// Standby returns a connection that is ready and may be used now, nil if there is none.
	Standby() (standby.Candidate, *dial.Conn)
	// Connect makes a connection to a server of the candidate's; alike: to an address of the present one's family only, where it is to be
	// another server than that.
	Connect(ctx context.Context, c standby.Candidate, e *exchange.Exchange, alike bool) (*dial.Conn, resume.Destination, error)
	// Describe fetches what describes the exchange's content over one of the interfaces, once, where it is said that there is something: Elsewhere has
	// then what that says as well.
	Describe(ctx context.Context, interfaces []string, e *exchange.Exchange)
	// Elsewhere are other places at which the exchange's content is said to be.
	Elsewhere(e *exchange.Exchange) []elsewhere.Place
	// Ask asks the candidate for what the program has not received yet, the server that the connection leads to first. Where the
	// program has not read the response's head, the request is repeated, and its answer has been handed over with done.
	Ask(ctx context.Context, c standby.Candidate, conn *dial.Conn, e *exchange.Exchange) (r *resume.Rest, done *delivery.Outcome, err error)
	// Take hands over what Ask has returned, and takes note of the migration.
	Take(ctx context.Context, iface, cause string, e *exchange.Exchange, r *resume.Rest, done *delivery.Outcome) error
	// UnlessOver waits for one of the channels, or limit; false when the exchange is over, or is not to be recovered any more.
	UnlessOver(e *exchange.Exchange, a, b <-chan struct{}, limit time.Duration) bool
	// Log is where the recovery says what it does.
	Log() *zerolog.Logger
}

// State is what a recovery has to know of its stream, at one moment.
type State struct {
	Exchange  *exchange.Exchange // in progress, nil if there is none
	Movable   bool
	Closed    bool // by the program
	Held      bool // the program is held: its connection has ended, and it does not know
	Told      bool // it knows, or will
	Released  bool // a person wants it to be told
	Kept      bool // a person wants it to be held for as long as it takes
	Lost      bool // nothing can be heard of its connection any more: the network is gone
	Several   bool // several networks feed it
	Flow      silence.Flow
	Interface string
	Server    netip.AddrPort
	Changed   <-chan struct{} // closed at the next change
}
