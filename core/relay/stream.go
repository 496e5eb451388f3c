// The seams of a relay: the stream that it serves, where the stream's requests go, and what it is to go on with.
package relay

import (
	"context"
	"net"

	"github.com/rs/zerolog"

	"midstream/core/channel"
	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/turn"
)

// Stream is the program's stream, as its owner shows it to the relay that serves it. Safe for concurrent use.
type Stream interface {
	// Turn is about who may change what is on the descriptor. GiveBack, CutThrough and Rejoin are called by whoever has it.
	Turn() *turn.Turn
	// AwaitClose waits until the program has closed the stream, or ctx ends.
	AwaitClose(ctx context.Context)
	// AwaitAnswers waits until no more than one of the program's requests has not been answered in full.
	AwaitAnswers(ctx context.Context) error
	// Gone reports whether the program has closed the stream, or nobody follows it any more.
	Gone() bool
	// GiveBack puts the connection on the descriptor once the program has read the exchange's response to its end. It waits for that
	// until ctx ends.
	GiveBack(ctx context.Context, conn *dial.Conn, exchange uint64) error
	// CutThrough puts the connection there when the program has come to the content offset at of the exchange: up to the offset until,
	// where another pair takes its place, or, with 0, as far as it goes. With chunk, its content comes in chunks of which the program is to
	// see nothing, and so many octets of the present one are to come.
	CutThrough(ctx context.Context, conn *dial.Conn, exchange uint64, at, until, chunk int64) error
	// Bound says that the connection on the descriptor does not bring all of the response. It returns how often another one has been put
	// there.
	Bound() (moves int)
	// Rejoin puts a pair there when the program has come to the content offset at. The connection goes on being the relay's.
	Rejoin(ctx context.Context, exchange uint64, at int64) (Put, error)
	// Adopt says that the stream is relayed again, and returns the requests that the program has sent after that of the exchange.
	Adopt(exchange uint64) []Later
	// LetMove lets whoever moves the stream have the turn first, and takes it then. False: the stream has moved since it had moved so often,
	// or is closed; the turn is not taken then.
	LetMove(moves int) bool
	// Log is where the relay says what it does.
	Log() *zerolog.Logger
}

// Later is a request that the program has sent past the relay.
type Later struct {
	Method     string // "" if its head is not complete
	Repeatable bool
}

// Upstream is where the stream's requests go: a server, or a proxy. Safe for concurrent use.
type Upstream interface {
	// Untouched: requests go there as the program writes them.
	Untouched() bool
	// Open makes another connection to there. It bounds by itself how long that may take.
	Open() (*dial.Conn, error)
	// MayRepeat takes the repetition of a request that has not been answered out of what may be asked on the connection's server.
	MayRepeat(conn *dial.Conn) bool
	// For returns where the request goes: a program may ask its proxy for several hosts on one connection. same: a connection made for the
	// one serves the other.
	For(request *http1.Request) (up Upstream, same bool, err error)
	// Rewrite returns the request as it is written there.
	Rewrite(request *http1.Request) ([]byte, error)
}

// Put is a pair whose program's end is on the descriptor.
type Put struct {
	Core     net.Conn
	Position channel.Position // where the program stood
	Waiting  []byte           // requests that it had sent on the former connection without an answer, to be sent again
	Shut     bool             // the former connection was shut down for reading
}

// Exchange is what a relay has to know of an exchange.
type Exchange struct {
	Number     uint64
	Kind       http1.Kind // of the framing that the program reads
	Persistent bool       // the program may send another request after the response
}

// Source is an answer that the program is to be handed.
type Source struct {
	Conn    *dial.Conn
	Answer  *http1.Response
	Framing http1.Framing
	Content *Content // its next octet is that of the content offset At
	At      int64
	Left    int64 // octets from At to the end of what is wanted, or Unknown
	// Reusable: the connection can take further requests once this answer has been read.
	Reusable bool
	// Longer: the answer goes on after what is left of the exchange.
	Longer bool
	// Elsewhere: a redirect has led to another server than the one of the stream's next requests.
	Elsewhere bool
	// Whole: the answer is to the request as the program made it, so its trailer section is that of the exchange.
	Whole bool
	// Ending is what ends the response for a program that stands in its trailer section; nil for any other.
	Ending []byte
	// Several is set where the content comes over several connections together, for which Conn only stands: the relay is not cut through
	// then. It is called once the response has been handed on, or the relay is over; it may be called more than once.
	Several func()
	// Rest, of such content, gives the connection that brings all that is left where they have ended, nil if there is none, and whether it
	// can take further requests after that. From then on the source is an ordinary one.
	Rest func() (conn *dial.Conn, reusable bool)
	// Stands, if set, is told where the program stands before anything is handed to it, and has the content begin there; the error says
	// why it cannot. Otherwise what comes before is dropped.
	Stands func(at int64) error
	// Begin is to be handed to the program before the rest of the answer; only of an answer that is passed on.
	Begin []byte

	stays bool // it is not cut through to any more
	alone bool // Rest has given a connection
}
