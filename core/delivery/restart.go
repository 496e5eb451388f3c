// Exchanges of whose response the program has read nothing yet, or part of the head only.
package delivery

import (
	"context"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/exchange"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/relay"
	"midstream/core/resume"
)

// Restart repeats the request and delivers the new answer whole; where the program has read part of the old one's
// head, what follows in the new one's, which has to begin with the same octets. The connection is taken over.
func Restart(ctx context.Context, s Stream, conn *dial.Conn, rt resume.Destination, e *exchange.Exchange) (*Outcome, error) {
	p, err := s.Permit(ctx, e, rt.Interface, conn)
	if err != nil {
		return nil, err
	}
	if !e.Answering() {
		if err := e.Budget.Repeat(); err != nil {
			return nil, err
		}
	}
	o, err := restartOnce(ctx, s, conn, rt, e, p)
	return o, p.Refused(err)
}

func restartOnce(ctx context.Context, s Stream, conn *dial.Conn, rt resume.Destination, e *exchange.Exchange, p budget.Permit) (*Outcome, error) {
	octets := http1.ResumeRequest(e.Request, -1, -1, "", rt.Form)
	if octets == nil {
		return nil, reason.NotRepeated
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
		return nil, s.Asker(e).Status(answer, rt)
	}
	begun, had := e.Head()
	if !e.InHead() {
		return nil, resume.ErrAgain
	}
	begin, err := resume.Continued(had, begun, interims, head)
	if err != nil {
		return nil, err
	}
	if e.Secure {
		return restartTwin(ctx, s, conn, e, answer, head, begin, int64(len(begun)))
	}
	if len(begun) == 0 && had >= len(interims) && taken == 0 && s.Alone() && rt.Untouched() {
		defer conn.Close()
		if _, err := s.Switch(ctx, conn, e.Number, channel.Handover{Place: channel.InHead, When: channel.Now}, 0); err != nil {
			return nil, err
		}
		return &Outcome{Conn: conn, How: control.DeliveryDirect, Resumes: true}, nil
	}
	if _, err := conn.Discard(len(head) - taken); err != nil {
		return nil, refusal.Broken(ctx, err)
	}
	put, err := s.SwitchToPair(ctx, e.Number, channel.Handover{Place: channel.InHead, At: int64(len(begun)), When: channel.Now}, 0)
	if err != nil {
		return nil, err
	}
	r := s.Relay(put, rt, e.Number)
	// The program may have begun another head meanwhile, and have read as much of it.
	begun, had = e.Head()
	begin, err = resume.Continued(had, begun, interims, head)
	if err != nil {
		r.Abandon(err)
		return nil, err
	}
	r.Pass(&relay.Source{Conn: conn, Reusable: true, Answer: answer, Begin: begin}, e.Request.Method)
	return &Outcome{Conn: conn, How: control.DeliveryRelayed, Resumes: true}, nil
}
