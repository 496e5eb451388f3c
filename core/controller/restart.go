// Exchanges of whose response the program has read nothing yet, or part of the head only.
package controller

import (
	"bytes"
	"context"
	"errors"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/http1"
)

// restartOn repeats the request and delivers the new answer whole; where the program has read part of the old one's
// head, what follows in the new one's, which has to begin with the same octets. The connection is taken over.
func (s *Stream) restartOn(ctx context.Context, conn *dial.Conn, rt route, e *exchange) (*outcome, error) {
	octets := http1.ResumeRequest(e.request, -1, -1, "", rt.form)
	if octets == nil {
		return nil, errors.New("the request cannot be repeated")
	}
	answer, head, taken, err := exchangeHeads(ctx, conn, octets)
	if err != nil {
		return nil, err
	}
	switch answer.Status {
	case 200, 204, 206, 304, 416:
	default:
		return nil, s.c.status(answer, rt)
	}
	s.mu.Lock()
	begun := bytes.Clone(e.answer)
	alone, inHead := len(s.exchanges) <= 1, e.response == nil && !e.done
	s.mu.Unlock()
	if !inHead {
		return nil, errAgain
	}
	if !bytes.HasPrefix(head, begun) {
		return nil, refuse("the new server's head is another one than what the program has begun to read")
	}
	if e.secure {
		return s.restartTwin(ctx, conn, e, answer, int64(len(begun)))
	}
	if len(begun) == 0 && taken == 0 && alone && rt.untouched() {
		defer conn.Close()
		if err := s.arm(conn, e.number, 0, channel.Now|channel.InHead); err != nil {
			return nil, err
		}
		if _, err := s.awaitReply(ctx, 0); err != nil {
			return nil, s.again(err)
		}
		return &outcome{conn: conn, delivery: control.DeliveryDirect, resumes: true}, nil
	}
	d, position, err := s.putPair(ctx, e.number, 0, channel.Now|channel.InHead, 0, rt)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	begun = bytes.Clone(e.answer)
	s.mu.Unlock()
	if int64(len(begun)) > position.Head {
		begun = begun[:position.Head]
	}
	if int64(len(begun)) < position.Head || !bytes.HasPrefix(head, begun) {
		d.fail(errors.New("the new server's head is another one"))
		d.end()
		return nil, refuse("the new server's head is another one than what the program has begun to read")
	}
	var ahead []byte
	if taken > len(begun) {
		ahead = head[len(begun):taken]
	} else if _, err := conn.Discard(len(begun) - taken); err != nil {
		d.fail(err)
		d.end()
		return nil, broken(ctx, err)
	}
	d.number = e.number - 1 // its response is passed on whole
	d.asked <- e.request.Method
	guard.Go(func() { d.serve(&rest{conn: conn, route: rt, reusable: true, ahead: ahead}, nil, e) })
	return &outcome{conn: conn, delivery: control.DeliveryRelayed, resumes: true}, nil
}
