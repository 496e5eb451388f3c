// Proving a path: what package resume has to know of a stream to ask servers for the rest of its exchanges, and the leave to do so.
package controller

import (
	"context"

	"midstream/core/budget"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/ftp"
	"midstream/core/http1"
	"midstream/core/resume"
	"midstream/core/twin"
)

// Asker asks servers for the rest of the exchange.
func (s *Stream) Asker(e *exchange.Exchange) *resume.HTTP {
	return &resume.HTTP{
		Exchange:  &e.Exchange,
		Receiver:  e,
		SkipLimit: s.c.config.Migration.SkipLimit,
		Log:       s.c.log.With().Str("session", s.name()).Logger(),
		Permit: func(ctx context.Context, iface string, conn *dial.Conn) (budget.Permit, error) {
			return s.Permit(ctx, e, iface, conn)
		},
		// The interface manager looks whether it still leads there.
		Captive: func(iface string) { s.c.manager.Captive(iface, true) },
	}
}

// finder connects for the exchange, and follows redirects only to where the program's own answer may come from.
type finder struct {
	s     *Stream
	e     *exchange.Exchange
	flows bool // over TLS, octets pass in the clear
}

// Open implements resume.Finder.
func (f finder) Open(ctx context.Context, d resume.Destination) (*dial.Conn, error) {
	if f.flows {
		return twin.Flow(f.s.Open(ctx, d))
	}
	return f.s.Open(ctx, d)
}

// Follow implements resume.Finder.
func (f finder) Follow(d resume.Destination, request *http1.Request, location string) (resume.Destination, *http1.Request, error) {
	return f.s.c.detours.Follow(f.s, f.e, d, request, location)
}

// OverServers is resume.OverServers; where one has answered, the interface does not lead to a login page.
func (s *Stream) OverServers(ctx context.Context, e *exchange.Exchange, d resume.Destination, ready *dial.Conn, do func(resume.Destination, *dial.Conn) error) error {
	err := resume.OverServers(ctx, finder{s: s, e: e}, d, ready, do)
	if err == nil {
		s.c.manager.Captive(d.Interface, false)
	}
	return err
}

// Prove is resume.Obtain for the exchange.
func (s *Stream) Prove(ctx context.Context, e *exchange.Exchange, conn *dial.Conn, q resume.Question) (*resume.Rest, error) {
	of, find := resume.Offsets(s.Asker(e)), finder{s: s, e: e}
	if l := e.Live(); l != nil {
		find.flows = true
		if _, err := twin.Flow(conn, nil); err != nil {
			return nil, err
		}
		of = &resume.Live{HTTP: s.Asker(e), Stream: l.Stream, Stands: l.Stands, Gaps: s.c.config.Live.Allows(s.owner.Command)}
	}
	if s.ftp != nil {
		of = &ftp.Rest{HTTP: s.Asker(e), Transfer: s.ftp.Transfer()}
	}
	return resume.Obtain(ctx, find, of, conn, q)
}

// Permit takes one request to the connection's server out of the exchange's budget.
func (s *Stream) Permit(ctx context.Context, e *exchange.Exchange, iface string, conn *dial.Conn) (budget.Permit, error) {
	return e.Permit(ctx, iface, conn, s.inNeed.Load())
}

// Repeats implements delivery.Requester: it takes the repetition of the request that the stream is waiting with, which has not been answered, out of its budget.
func (s *Stream) Repeats(to budget.Place) bool {
	s.mu.Lock()
	e := s.current()
	s.mu.Unlock()
	return e != nil && e.Repeats(to)
}
