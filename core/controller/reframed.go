// Delivery over TLS: the twin takes the place of the program's session. Where the program has begun to read another
// framing than that of the new server's answer, its own read calls make the one of the other, so that no content leaves C.
package controller

import (
	"context"
	"errors"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/refusal"
	"midstream/core/resume"
	"midstream/core/twin"
)

// deliverTwin is deliver for a stream that carries TLS.
func (s *Stream) deliverTwin(ctx context.Context, e *exchange.Exchange, r *resume.Rest, when channel.When, limit time.Duration) (*outcome, error) {
	defer r.Conn.Close()
	h := channel.Handover{What: channel.Session, At: r.At, When: when,
		Left: r.Left, Longer: r.Longer || r.Answer.Status == 416, Whole: r.Whole}
	delivery := control.DeliveryDirect
	switch {
	case r.Ending != nil:
		if err := handFirst(r.Conn, r.Ending); err != nil {
			return nil, err
		}
		s.mu.Lock()
		h.Place, h.At = channel.InTrailer, int64(e.HeadLength()+len(r.Read))
		s.mu.Unlock()
		h.Left, delivery = 0, control.DeliveryReframed
	case !direct(r, e):
		h.Reframed, delivery = true, control.DeliveryReframed
	}
	reusable := r.Reusable && !h.Longer
	var err error
	if h.Sent, err = s.repeatWaiting(r.Conn, e, reusable); err != nil {
		return nil, err
	}
	position, err := s.switchTo(ctx, r.Conn, e.Number, h, limit)
	if err != nil {
		return nil, err
	}
	if !reusable && delivery == control.DeliveryReframed {
		guard.Go(func() { s.renew(e) })
	}
	return &outcome{conn: r.Conn, offset: position.Received, delivery: delivery, resumes: true}, nil
}

// restartTwin is the end of restartOn for a stream that carries TLS: the program has had so many octets of the head, and is
// handed begin before the answer's content.
func (s *Stream) restartTwin(ctx context.Context, conn *dial.Conn, e *exchange.Exchange, a *http1.Response, head, begin []byte, begun int64) (*outcome, error) {
	defer conn.Close()
	f, err := a.Framing(e.Request.Method)
	if err != nil {
		return nil, refusal.New("the new server's answer is framed in a way that is not understood")
	}
	if _, err := conn.Discard(len(head)); err != nil {
		return nil, refusal.Broken(ctx, err)
	}
	if err := handFirst(conn, begin); err != nil {
		return nil, err
	}
	h := channel.Handover{What: channel.Session, Place: channel.InHead, At: begun, When: channel.Now, Left: -1}
	if h.Sent, err = s.repeatWaiting(conn, e, a.Persistent() && f.Kind != http1.Close); err != nil {
		return nil, err
	}
	if _, err := s.switchTo(ctx, conn, e.Number, h, 0); err != nil {
		return nil, err
	}
	return &outcome{conn: conn, delivery: control.DeliveryDirect, resumes: true}, nil
}

// repeatWaiting has the requests that wait for their answers behind the exchange sent with the hand-over, and returns the number of the last. To a
// server that will not answer them it sends none: the connection then fails with them outstanding, and is recovered.
func (s *Stream) repeatWaiting(conn *dial.Conn, e *exchange.Exchange, reusable bool) (last uint64, err error) {
	s.mu.Lock()
	last = e.Number
	var octets []byte
	for _, later := range s.exchanges {
		if later.Number <= e.Number {
			continue
		}
		if !later.Asked() {
			s.mu.Unlock()
			return 0, resume.ErrAgain // it is being written
		}
		octets = later.AppendRequest(octets)
		last = later.Number
	}
	s.mu.Unlock()
	defer clear(octets)
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

// renew gives a stream whose connection serves this exchange only another one for the next.
func (s *Stream) renew(e *exchange.Exchange) {
	ctx := context.Background()
	if err := s.await(ctx, func() (bool, error) {
		if s.closed || s.left.Why != 0 {
			return true, errClosed
		}
		return e.Done(), nil
	}); err != nil || !e.Persistent() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.config.Migration.Timeout)
	defer cancel()
	select {
	case s.turn.C <- struct{}{}:
		defer s.turn.Give()
	case <-ctx.Done():
		return
	}
	s.mu.Lock()
	idle, iface := s.current() == nil && s.last == e && s.why() == "", s.iface
	s.mu.Unlock()
	if !idle {
		return
	}
	if _, err := s.moveIdle(ctx, iface, e); err != nil && !errors.Is(err, resume.ErrAgain) {
		s.c.log.Debug().Str("session", s.name()).Err(err).Msg("the idle connection was not replaced")
	}
}
