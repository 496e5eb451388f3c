// Package delivery hands what a server has answered to the program: by putting the server's connection on the program's descriptor where
// exactly the octets will come on it that the program expects, else through a relay, and over TLS by a twin of the program's session.
// stream.go is the seam to the stream's owner, deliver.go the rest of a response, restart.go a response from its head on, twin.go TLS.
package delivery

import (
	"context"
	"time"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/relay"
	"midstream/core/resume"
)

// Stream is the program's stream, as its owner shows it to whoever hands something over on it, who has the stream's turn. Safe for
// concurrent use.
type Stream interface {
	// Switch puts the connection on the program's descriptor as h says, which holds for the exchange of that number, and returns where the
	// program stood then. It waits until the program has come there, limit at most, unless that is 0. resume.ErrAgain: the exchange
	// has moved on; an *Unmoved: the shim has refused. The connection stays the caller's, to be closed.
	Switch(ctx context.Context, conn *dial.Conn, number uint64, h channel.Handover, limit time.Duration) (channel.Position, error)
	// SwitchToPair is Switch for one end of a new pair.
	SwitchToPair(ctx context.Context, number uint64, h channel.Handover, limit time.Duration) (relay.Put, error)
	// Relay returns a relay for the pair, which was put there while the program was at the exchange of that number; later requests go to
	// the destination.
	Relay(put relay.Put, to resume.Destination, number uint64) *relay.Relay
	// Alone reports whether the program waits for no other answer than the one in progress.
	Alone() bool
	// Later returns the exchanges whose requests the program has begun to send after that of e.
	Later(e *exchange.Exchange) []*exchange.Exchange
	// Secure reports whether it carries TLS.
	Secure() bool
	// Destination returns where the request goes over the interface.
	Destination(iface string, request *http1.Request) (resume.Destination, error)
	// Asker asks servers about the exchange.
	Asker(e *exchange.Exchange) *resume.HTTP
	// Permit gives leave to send one request about the exchange on the connection.
	Permit(ctx context.Context, e *exchange.Exchange, iface string, conn *dial.Conn) (budget.Permit, error)
	// RenewAfter has the connection replaced once the exchange is over: it serves no other one. It returns at once.
	RenewAfter(e *exchange.Exchange)
}

// Outcome is what a hand-over came to.
type Outcome struct {
	Conn    *dial.Conn // closed here by now, or a relay's; its addresses remain
	Offset  int64      // content octets that the program had been handed
	How     string     // control.DeliveryDirect and the like
	Resumes bool       // the program will read on: a stall is to be reported
	Foreign bool       // the server is of another name than the program's
}

// Unmoved is the shim's refusal of a hand-over.
type Unmoved struct {
	reason.Reason
	At int64 // content octets that the program had been handed then
}
