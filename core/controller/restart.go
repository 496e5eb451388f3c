// Exchanges of whose response the program has read nothing yet, or part of the head only.
package controller

import (
	"bytes"
	"context"
	"errors"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/refusal"
)

// restartOn repeats the request and delivers the new answer whole; where the program has read part of the old one's
// head, what follows in the new one's, which has to begin with the same octets. The connection is taken over.
func (s *Stream) restartOn(ctx context.Context, conn *dial.Conn, rt route, e *exchange) (*outcome, error) {
	p, err := s.permit(ctx, e, rt.iface, conn)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	unanswered := !e.answering()
	s.mu.Unlock()
	if unanswered {
		if err := e.budget.Repeat(); err != nil {
			return nil, err
		}
	}
	o, err := s.restartOnce(ctx, conn, rt, e, p)
	return o, p.Refused(err)
}

func (s *Stream) restartOnce(ctx context.Context, conn *dial.Conn, rt route, e *exchange, p budget.Permit) (*outcome, error) {
	octets := http1.ResumeRequest(e.request, -1, -1, "", rt.form)
	if octets == nil {
		return nil, errors.New("the request cannot be repeated")
	}
	if err := s.complete(e, octets); err != nil {
		return nil, err
	}
	defer clear(octets)
	answer, head, taken, interims, err := exchangeHeads(ctx, conn, octets, p)
	if err != nil {
		return nil, err
	}
	switch answer.Status {
	case 200, 204, 206, 304, 416:
	default:
		return nil, s.c.status(answer, rt)
	}
	s.mu.Lock()
	begun, had := bytes.Clone(e.answer), e.interims
	alone, inHead := len(s.exchanges) <= 1, e.response == nil && !e.done
	s.mu.Unlock()
	if !inHead {
		return nil, errAgain
	}
	begin, err := continued(had, begun, interims, head)
	if err != nil {
		return nil, err
	}
	if e.secure {
		return s.restartTwin(ctx, conn, e, answer, head, begin, int64(len(begun)))
	}
	if len(begun) == 0 && had >= len(interims) && taken == 0 && alone && rt.untouched() {
		defer conn.Close()
		if err := s.arm(conn, e.number, channel.Handover{Place: channel.InHead, When: channel.Now}); err != nil {
			return nil, err
		}
		if _, err := s.awaitReply(ctx, 0); err != nil {
			return nil, s.again(err)
		}
		return &outcome{conn: conn, delivery: control.DeliveryDirect, resumes: true}, nil
	}
	if _, err := conn.Discard(len(head) - taken); err != nil {
		return nil, refusal.Broken(ctx, err)
	}
	d, _, err := s.putPair(ctx, e.number, channel.Handover{Place: channel.InHead, At: int64(len(begun)), When: channel.Now}, 0, rt)
	if err != nil {
		return nil, err
	}
	// The program may have begun another head meanwhile, and have read as much of it.
	s.mu.Lock()
	begun, had = bytes.Clone(e.answer), e.interims
	s.mu.Unlock()
	begin, err = continued(had, begun, interims, head)
	if err != nil {
		d.fail(err)
		d.end()
		return nil, err
	}
	d.number = e.number - 1 // its response is passed on whole
	d.asked <- e.request.Method
	guard.Go(func() { d.serve(&rest{conn: conn, route: rt, reusable: true, answer: answer, begin: begin}, nil, e) })
	return &outcome{conn: conn, delivery: control.DeliveryRelayed, resumes: true}, nil
}

// continued returns what a program is to be handed of a new server's interim heads and head, if it has read so many interim
// heads of the old one's whole, and these octets of the next head. What it has begun goes on with the same octets of the new
// server's, or is an interim response that is ended without a word of its own.
func continued(had int, begun []byte, interims [][]byte, head []byte) ([]byte, error) {
	interims = interims[min(had, len(interims)):]
	var out []byte
	switch {
	case len(begun) == 0:
	case len(interims) > 0 && bytes.HasPrefix(interims[0], begun):
		out, interims = append(out, interims[0][len(begun):]...), interims[1:]
	case bytes.HasPrefix(head, begun):
		return head[len(begun):], nil
	default:
		end, ok := http1.EndInterim(begun)
		if !ok {
			return nil, refusal.New("the new server's head is another one than what the program has begun to read")
		}
		out, interims = append(out, end...), interims[min(1, len(interims)):]
	}
	for _, i := range interims {
		out = append(out, i...)
	}
	return append(out, head...), nil
}
