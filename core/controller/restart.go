// Exchanges of whose response the program has read nothing yet, or part of the head only.
package controller

import (
	"context"
	"errors"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/refusal"
	"midstream/core/relay"
	"midstream/core/resume"
)

// restartOn repeats the request and delivers the new answer whole; where the program has read part of the old one's
// head, what follows in the new one's, which has to begin with the same octets. The connection is taken over.
func (s *Stream) restartOn(ctx context.Context, conn *dial.Conn, rt resume.Destination, e *exchange.Exchange) (*outcome, error) {
	p, err := s.permit(ctx, e, rt.Interface, conn)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	unanswered := !e.Answering()
	s.mu.Unlock()
	if unanswered {
		if err := e.Budget.Repeat(); err != nil {
			return nil, err
		}
	}
	o, err := s.restartOnce(ctx, conn, rt, e, p)
	return o, p.Refused(err)
}

func (s *Stream) restartOnce(ctx context.Context, conn *dial.Conn, rt resume.Destination, e *exchange.Exchange, p budget.Permit) (*outcome, error) {
	octets := http1.ResumeRequest(e.Request, -1, -1, "", rt.Form)
	if octets == nil {
		return nil, errors.New("the request cannot be repeated")
	}
	if err := e.Complete(octets); err != nil {
		return nil, err
	}
	defer clear(octets)
	answer, head, taken, interims, err := resume.Heads(ctx, conn, octets, p)
	if err != nil {
		return nil, err
	}
	switch answer.Status {
	case 200, 204, 206, 304, 416:
	default:
		return nil, s.asker(e).Status(answer, rt.Interface)
	}
	s.mu.Lock()
	begun, had := e.Head()
	alone, inHead := len(s.exchanges) <= 1, !e.Answered() && !e.Done()
	s.mu.Unlock()
	if !inHead {
		return nil, resume.ErrAgain
	}
	begin, err := resume.Continued(had, begun, interims, head)
	if err != nil {
		return nil, err
	}
	if e.Secure {
		return s.restartTwin(ctx, conn, e, answer, head, begin, int64(len(begun)))
	}
	if len(begun) == 0 && had >= len(interims) && taken == 0 && alone && rt.Untouched() {
		defer conn.Close()
		if _, err := s.switchTo(ctx, conn, e.Number, channel.Handover{Place: channel.InHead, When: channel.Now}, 0); err != nil {
			return nil, err
		}
		return &outcome{conn: conn, delivery: control.DeliveryDirect, resumes: true}, nil
	}
	if _, err := conn.Discard(len(head) - taken); err != nil {
		return nil, refusal.Broken(ctx, err)
	}
	put, err := s.putPair(ctx, e.Number, channel.Handover{Place: channel.InHead, At: int64(len(begun)), When: channel.Now}, 0)
	if err != nil {
		return nil, err
	}
	r := relay.New(relayed{s}, upstream{s, rt}, put, e.Number)
	// The program may have begun another head meanwhile, and have read as much of it.
	s.mu.Lock()
	begun, had = e.Head()
	s.mu.Unlock()
	begin, err = resume.Continued(had, begun, interims, head)
	if err != nil {
		r.Abandon(err)
		return nil, err
	}
	r.Pass(&relay.Source{Conn: conn, Reusable: true, Answer: answer, Begin: begin}, e.Request.Method)
	return &outcome{conn: conn, delivery: control.DeliveryRelayed, resumes: true}, nil
}
