// The rest of a response, and the connection for the next one.
package delivery

import (
	"context"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/relay"
	"midstream/core/resume"
)

// direct reports whether the rest can be delivered by putting its connection on the descriptor: the program expects
// exactly the octets that will come on it, and what it will write there needs no change.
func direct(r *resume.Rest, e *exchange.Exchange) bool {
	switch {
	case !r.To.Untouched() || r.Elsewhere || r.Stands != nil:
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

// thereLimit is how long a program may take to come to the one place where it can be continued: the end of a title, or some octets.
const thereLimit = 2 * time.Second

// Rest hands the rest over to the program: now, or when it has come to the offset, for which it waits limit at
// most. The connection is taken over.
func Rest(ctx context.Context, s Stream, e *exchange.Exchange, r *resume.Rest, when channel.When, limit time.Duration) (*Outcome, error) {
	if s.Secure() && r.Stands == nil {
		return restOfTwin(ctx, s, e, r, when, limit)
	}
	alone, head := s.Alone(), int64(e.HeadLength())
	if alone && direct(r, e) {
		defer r.Conn.Close()
		position, err := s.Switch(ctx, r.Conn, e.Number, channel.Handover{At: r.At, When: when}, limit)
		if err != nil {
			return nil, err
		}
		return &Outcome{Conn: r.Conn, Offset: position.Received, How: control.DeliveryDirect, Resumes: true}, nil
	}
	rt := r.To
	if r.Elsewhere {
		// A redirect holds for this exchange only.
		var err error
		if rt, err = s.Destination(rt.Interface, e.Request); err != nil {
			r.Conn.Close()
			return nil, err
		}
	}
	h := channel.Handover{At: r.At, When: when}
	if r.Meets != nil {
		at, there, err := r.Meets(e.Received())
		if err != nil {
			r.Conn.Close()
			return nil, err
		}
		if h.At = at; there {
			h.When, limit = channel.There, thereLimit
		}
	}
	if r.Ending != nil {
		h.Place, h.At = channel.InTrailer, head+int64(len(r.Read))
	}
	put, err := s.SwitchToPair(ctx, e.Number, h, limit)
	if err != nil {
		r.Conn.Close()
		return nil, err
	}
	s.Relay(put, rt, e.Number).Feed(&r.Source, relayed(e), put.Position)
	how := control.DeliveryRelayed
	if r.Gap {
		how = control.DeliveryGap
	}
	return &Outcome{Conn: r.Conn, Offset: put.Position.Received, How: how, Resumes: true, Foreign: r.To.Elsewhere.URL != ""}, nil
}

// relayed describes the exchange for a relay.
func relayed(e *exchange.Exchange) relay.Exchange {
	return relay.Exchange{Number: e.Number, Kind: e.Framing.Kind, Persistent: e.Persistent()}
}

// Several hands over what several connections bring together, as Rest does, through a relay. src.Conn, which stands for them, takes later
// requests, to the destination. put is a pair that has been put on the descriptor.
func Several(s Stream, e *exchange.Exchange, put relay.Put, src *relay.Source, to resume.Destination) *Outcome {
	s.Relay(put, to, e.Number).Feed(src, relayed(e), put.Position)
	return &Outcome{Conn: src.Conn, Offset: put.Position.Received, How: control.DeliveryTogether, Resumes: true}
}

// Idle gives a stream between two exchanges, of which last is the former, another connection for the next, to the destination. The
// connection is taken over.
func Idle(ctx context.Context, s Stream, last *exchange.Exchange, conn *dial.Conn, to resume.Destination) (*Outcome, error) {
	if to.Untouched() {
		defer conn.Close()
		if _, err := s.Switch(ctx, conn, last.Number, channel.Handover{Place: channel.AtEnd, When: channel.Now}, 0); err != nil {
			return nil, err
		}
		return &Outcome{Conn: conn, Offset: last.Received(), How: control.DeliveryDirect}, nil
	}
	put, err := s.SwitchToPair(ctx, last.Number, channel.Handover{Place: channel.AtEnd, When: channel.Now}, 0)
	if err != nil {
		conn.Close()
		return nil, err
	}
	s.Relay(put, to, last.Number).Pass(&relay.Source{Conn: conn, Reusable: true}, "")
	return &Outcome{Conn: conn, Offset: put.Position.Received, How: control.DeliveryRelayed}, nil
}
