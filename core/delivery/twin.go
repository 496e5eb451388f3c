// Delivery over TLS: the twin takes the place of the program's session. Where the program has begun to read another
// framing than that of the new server's answer, its own read calls make the one of the other, so that no content leaves C.
package delivery

import (
	"context"
	"errors"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/resume"
	"midstream/core/twin"
)

// restOfTwin is Rest for a stream that carries TLS.
func restOfTwin(ctx context.Context, s Stream, e *exchange.Exchange, r *resume.Rest, when channel.When, limit time.Duration) (*Outcome, error) {
	defer r.Conn.Close()
	h := channel.Handover{What: channel.Session, At: r.At, When: when,
		Left: r.Left, Longer: r.Longer || r.Answer.Status == 416, Whole: r.Whole}
	how := control.DeliveryDirect
	switch {
	case r.Ending != nil:
		if err := handFirst(r.Conn, r.Ending); err != nil {
			return nil, err
		}
		h.Place, h.At = channel.InTrailer, int64(e.HeadLength()+len(r.Read))
		h.Left, how = 0, control.DeliveryReframed
	case !direct(r, e):
		h.Reframed, how = true, control.DeliveryReframed
	}
	reusable := r.Reusable && !h.Longer
	var err error
	if h.Sent, err = repeatWaiting(s, r.Conn, e, reusable); err != nil {
		return nil, err
	}
	position, err := s.Switch(ctx, r.Conn, e.Number, h, limit)
	if err != nil {
		return nil, err
	}
	if !reusable && how == control.DeliveryReframed {
		s.RenewAfter(e)
	}
	return &Outcome{Conn: r.Conn, Offset: position.Received, How: how, Resumes: true, Foreign: r.To.Elsewhere.URL != ""}, nil
}

// restartTwin is the end of Restart for a stream that carries TLS: the program has had so many octets of the head, and is
// handed begin before the answer's content.
func restartTwin(ctx context.Context, s Stream, conn *dial.Conn, e *exchange.Exchange, a *http1.Response, head, begin []byte, begun int64) (*Outcome, error) {
	defer conn.Close()
	f, err := a.Framing(e.Request.Method)
	if err != nil {
		return nil, refusal.New(reason.OtherFraming.Alone())
	}
	if _, err := conn.Discard(len(head)); err != nil {
		return nil, refusal.Broken(ctx, err)
	}
	if err := handFirst(conn, begin); err != nil {
		return nil, err
	}
	h := channel.Handover{What: channel.Session, Place: channel.InHead, At: begun, When: channel.Now, Left: -1}
	if h.Sent, err = repeatWaiting(s, conn, e, a.Persistent() && f.Kind != http1.Close); err != nil {
		return nil, err
	}
	if _, err := s.Switch(ctx, conn, e.Number, h, 0); err != nil {
		return nil, err
	}
	return &Outcome{Conn: conn, How: control.DeliveryDirect, Resumes: true}, nil
}

// repeatWaiting has the requests that wait for their answers behind the exchange sent with the hand-over, and returns the number of the last. To a
// server that will not answer them it sends none: the connection then fails with them outstanding, and is recovered.
func repeatWaiting(s Stream, conn *dial.Conn, e *exchange.Exchange, reusable bool) (last uint64, err error) {
	last = e.Number
	var octets []byte
	defer func() { clear(octets) }()
	for _, later := range s.Later(e) {
		if !later.Asked() {
			return 0, resume.ErrAgain // it is being written
		}
		octets = later.AppendRequest(octets)
		last = later.Number
	}
	if !reusable || len(octets) == 0 {
		return last, nil
	}
	t, ok := conn.Over().(*twin.Twin)
	if !ok {
		return 0, errNoTLS
	}
	return last, t.WriteLater(octets)
}

var errNoTLS = errors.New("no TLS session lies over the connection")

// handFirst has the program handed the octets before what comes on the connection.
func handFirst(conn *dial.Conn, octets []byte) error {
	t, ok := conn.Over().(*twin.Twin)
	if !ok {
		return errNoTLS
	}
	return t.Put(octets)
}
