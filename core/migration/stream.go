// The seam of a migration: the stream that it moves.
package migration

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/control"
	"midstream/core/delivery"
	"midstream/core/dial"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/metalink"
	"midstream/core/reason"
	"midstream/core/resume"
	"midstream/core/silence"
	"midstream/core/turn"
)

// Stream is the program's stream, as its owner shows it to whoever moves it. Safe for concurrent use.
type Stream interface {
	delivery.Stream

	// Turn is about who may change what is on the descriptor.
	Turn() *turn.Turn
	// State is what the stream is like now.
	State() State
	// Await calls ready after every change of the stream until it reports true, and returns its error, or until ctx ends. ready may ask
	// exchanges, and nothing of the stream.
	Await(ctx context.Context, ready func(State) (bool, error)) error
	// Wake has those who wait look again: something has changed that the stream does not see.
	Wake()
	// Where a migration to the interface would bring the stream, it is, and well: At reports that.
	At(ctx context.Context, iface string) bool
	// Refresh has told of what the shim has kept to itself.
	Refresh(ctx context.Context)
	// Inquire has the shim's messages come that it has not sent yet.
	Inquire(ctx context.Context) error
	// Unshared makes sure that nobody else holds the socket, and that the shim has seen all that was read from it.
	Unshared(ctx context.Context) error
	// Barred says why the stream must not be continued over the interface, if it must not.
	Barred(iface string) reason.Reason
	// Metered reports whether octets over the interface cost something.
	Metered(iface string) bool
	// KeepTail has the shim keep the last octets that the program reads in any case, or only where that costs little.
	KeepTail(always bool)

	// Open connects to the destination; Probe, to the server in use, and ends that without a word.
	Open(ctx context.Context, to resume.Destination) (*dial.Conn, error)
	Probe(ctx context.Context, limit time.Duration) silence.Verdict
	// Elsewhere are other places at which the exchange's content is said to be; Foreign is the request for it there, and how that is reached
	// over the interface.
	Elsewhere(e *exchange.Exchange) []elsewhere.Place
	Foreign(iface string, p elsewhere.Place, e *exchange.Exchange) (*http1.Request, resume.Destination, error)
	// Describe fetches what describes the exchange's content over one of the interfaces, once, where it is said that there is something. Elsewhere has
	// then what that says as well, and Pieces what proves it, if anything does.
	Describe(ctx context.Context, interfaces []string, e *exchange.Exchange)
	Pieces(e *exchange.Exchange) *metalink.Pieces
	// OverServers is resume.OverServers.
	OverServers(ctx context.Context, e *exchange.Exchange, to resume.Destination, ready *dial.Conn, do func(resume.Destination, *dial.Conn) error) error
	// Prove is resume.Obtain for the exchange.
	Prove(ctx context.Context, e *exchange.Exchange, conn *dial.Conn, q resume.Question) (*resume.Rest, error)
	// Park puts a quiet pair on the descriptor, until the stream moves on. Abandon lets the program see that its connection is gone: it
	// has not moved on.
	Park(ctx context.Context, e *exchange.Exchange) error
	Abandon()

	// Migrating says that a migration is under way, or no more.
	Migrating(on bool)
	// End is where it is.
	End() control.End
	// Keep notes that the trigger has brought it to the interface, where it was already.
	Keep(iface, trigger string)
	// Record takes note of a migration that took place; Refused, of one that did not.
	Record(ctx context.Context, from control.End, to, trigger string, o *delivery.Outcome) *control.Migration
	Refused(to string, err error)
	// Log is where it is said what is done.
	Log() *zerolog.Logger
}

// State is what a migration has to know of its stream, at one moment.
type State struct {
	Current, Last *exchange.Exchange // in progress, and the one before; nil if there is none
	Why           reason.Reason      // why it cannot be moved now, if it cannot
	Interface     string
	Closed        bool // by the program
	Left          bool // nobody follows it any more
	Failed        bool // its connection has ended before the response
	Lost          bool // nothing can be heard of its connection any more: the network is gone
}

// stirs reports whether an octet of the exchange's answer has come, or its request may be repeated: its connection has ended, or its path
// is gone.
func (s State) stirs(e *exchange.Exchange) bool {
	return e.Answering() || s.Failed || s.Lost || e.PathLost()
}
