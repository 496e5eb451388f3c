// What is asked for, and what comes of it.
package resume

import (
	"context"
	"net/netip"
	"time"

	"midstream/core/dial"
	"midstream/core/digest"
	"midstream/core/http1"
	"midstream/core/metalink"
	"midstream/core/relay"
)

// Offsets is a protocol in which what somebody is receiving can be asked for from an octet on, of any server that has it: an offset
// counts octets of the content from its beginning. HTTP/1.1 with Range is one (HTTP). One value stands for one content and one
// receiver; its methods are safe for concurrent use with different connections, so that one content can be had over several
// connections together.
type Offsets interface {
	// Length is how many octets the content has, -1 where nobody knows yet.
	Length() int64
	// Overlap is how many octets before an offset that server is to be asked for as well, to be compared with what has been received.
	Overlap(server netip.AddrPort) int64
	// Ask asks over the connection and has the answer proved. The next octet of the rest that it returns is the one at Question.At, or,
	// where the answer had to be skipped to, at Rest.At. Errors: a *refusal.Refusal; ErrAgain and ErrLate; a *Redirect. After an error the
	// connection is of no further use, and the caller's to close; so it is when there is none.
	Ask(ctx context.Context, conn *dial.Conn, q Question) (*Rest, error)
}

// Receiver is who receives the content.
type Receiver interface {
	// Received returns how many octets of the content it has been handed by now. It never falls.
	Received() int64
	// Tail returns the last octets of the content before the offset end, at most limit, as far as they are kept.
	Tail(end int64, limit int) []byte
	// Digest returns that of the first `at` octets of the content; ok is false where none is made.
	Digest() (at int64, d digest.Digest, ok bool)
	// Over reports whether it wants no more.
	Over() bool
	// Complete puts its credentials into a request; ErrAgain where they are not to be had any more. Whoever sends the request overwrites
	// it afterwards.
	Complete(request []byte) error
}

// Question is what a server is asked for.
type Question struct {
	Request *http1.Request // the exchange's own, or where a redirect has led
	To      Destination
	At      int64 // content offset wanted
	Overlap int64 // octets before At that are asked for as well
	// Expected is how long the old connection is going to need up to the octet At, at its pace.
	Expected time.Duration
	Moved    bool // Request is not the exchange's own
	Foreign  bool // nor has a redirect led there: somebody says that the content can be had at another URL as well. Moved is set, too
	// Pieces, if set, prove what comes before it is handed on: what is Foreign then needs no equal date.
	Pieces *metalink.Pieces
	Had    Tail // what Collect has found
	// Exact: the program stood at the octet At when the question was made, or had passed it. Otherwise it is still to come there.
	Exact bool
	// Trailing: the program stands in the trailer section, of which it has read these octets.
	Trailing bool
	Read     []byte
	Brings   bool // an answer without content is none, unless there is nothing left
	Ended    bool // the old connection has: nothing more is expected of it
	// Sound ends when the old connection does, which delivers meanwhile; nil where nothing is expected of it. What waits for the answer
	// then waits no longer; but a skip goes on.
	Sound context.Context
	// Skips is how many octets may be skipped while the old connection goes on, HTTP.SkipLimit at most. Vain says that it is so few
	// because one skip has been in vain.
	Skips int64
	Vain  bool

	whole bool // all octets before At are read, and have to be those that have been received
}

// Waits returns the context of what is waited for before a skip.
func (q Question) Waits(ctx context.Context) context.Context {
	if q.Sound != nil {
		return q.Sound
	}
	return ctx
}

// Rest is a connection whose next octet is content of the exchange, at the offset At, and what has to be known to hand it on.
type Rest struct {
	relay.Source
	To Destination
	// Skipped: what came before At has been read off it and dropped.
	Skipped bool
	// Meets, if set, says from which offset on the program may be handed the rest, which has come to the offset received: there, and with
	// there, which means that its connection goes on up to it, nowhere else. It is asked before anything is done to that.
	Meets func(received int64) (at int64, there bool, err error)
	// Gap: octets are missing between At and what comes.
	Gap bool
	// Read is what the program has read of the trailer section, where Ending ends that.
	Read []byte

	had *digest.Digest // of the content that has been read off it; nil where that is not wanted
}
