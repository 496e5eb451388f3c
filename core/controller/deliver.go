// Delivery: what a new server answers is handed to the program, by putting its connection on the descriptor where the program expects
// exactly the octets that will come on it, or else through a relay.
package controller

import (
	"context"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/relay"
	"midstream/core/resume"
)

// direct reports whether the rest can be delivered by putting its connection on the descriptor: the program expects
// exactly the octets that will come on it, and what it will write there needs no change.
func direct(r *resume.Rest, e *exchange.Exchange) bool {
	switch {
	case !r.To.Untouched() || r.Elsewhere:
		return false
	case e.Framing.Kind == http1.Length:
		run, err := r.Content.Run()
		return r.Framing.Kind == http1.Length && err == nil && run == r.Left
	case e.Framing.Kind == http1.Close:
		// The program takes the end of the connection for that of the content: where it is known how much is left, it must not
		// come earlier, nor later.
		return r.Framing.Kind == http1.Close && !r.Answer.Persistent() && r.Left == relay.Unknown
	}
	return false
}

// deliver hands the rest over to the program: now, or when it has come to the offset, for which it waits limit at
// most. The connection is taken over.
func (s *Stream) deliver(ctx context.Context, e *exchange.Exchange, r *resume.Rest, when channel.When, limit time.Duration) (*outcome, error) {
	s.mu.Lock()
	alone, secure := len(s.exchanges) <= 1, s.tls != nil
	head := int64(e.HeadLength())
	s.mu.Unlock()
	if secure {
		return s.deliverTwin(ctx, e, r, when, limit)
	}
	if alone && direct(r, e) {
		defer r.Conn.Close()
		position, err := s.switchTo(ctx, r.Conn, e.Number, channel.Handover{At: r.At, When: when}, limit)
		if err != nil {
			return nil, err
		}
		return &outcome{conn: r.Conn, offset: position.Received, delivery: control.DeliveryDirect, resumes: true}, nil
	}
	rt := r.To
	if r.Elsewhere {
		// A redirect holds for this exchange only.
		var err error
		if rt, err = s.destinationOf(rt.Interface, e.Request); err != nil {
			r.Conn.Close()
			return nil, err
		}
	}
	h := channel.Handover{At: r.At, When: when}
	if r.Ending != nil {
		h.Place, h.At = channel.InTrailer, head+int64(len(r.Read))
	}
	put, err := s.putPair(ctx, e.Number, h, limit)
	if err != nil {
		r.Conn.Close()
		return nil, err
	}
	relay.New(relayed{s}, upstream{s, rt}, put, e.Number).Feed(&r.Source, s.relayedExchange(e), put.Position)
	return &outcome{conn: r.Conn, offset: put.Position.Received, delivery: control.DeliveryRelayed, resumes: true}, nil
}

// relayIdle puts a pair on the descriptor between two exchanges.
func (s *Stream) relayIdle(ctx context.Context, last *exchange.Exchange, r *resume.Rest) (*outcome, error) {
	put, err := s.putPair(ctx, last.Number, channel.Handover{Place: channel.AtEnd, When: channel.Now}, 0)
	if err != nil {
		r.Conn.Close()
		return nil, err
	}
	relay.New(relayed{s}, upstream{s, r.To}, put, last.Number).Pass(&r.Source, "")
	return &outcome{conn: r.Conn, offset: put.Position.Received, delivery: control.DeliveryRelayed}, nil
}
