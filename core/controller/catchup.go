// Catching up with an old connection that was faster than expected.
package controller

import (
	"errors"
	"time"

	"midstream/core/refusal"
)

// errLate says that the migration has to start anew, with a look-ahead for a server that takes its time.
var errLate = errors.New("the new server is too far behind the old connection")

// chase is how long catching up may take at least. Where the new server is no faster than the old one it would not end.
const chase = 100 * time.Millisecond

// unnoticed is how far behind the new server may be: a program that waits for what it would have had by then from the old
// connection does not notice. The hand-over drops so much by itself, if it could not be caught up within trying. Each time that
// this was not enough, it may be four times as much: a pause is better than no migration.
const (
	unnoticed = 4 * time.Millisecond
	trying    = 20 * time.Millisecond
)

// catchUp drops from the new connection what the old one, at so many octets a second, has delivered meanwhile. took is how long the
// answer took.
func (s *Stream) catchUp(r *rest, e *exchange, rate float64, took time.Duration) error {
	begun, allowed := time.Now(), int64(rate*(unnoticed<<(2*s.late)).Seconds())
	end := begun.Add(max(chase, 2*r.conn.RTT()))
	if r.skipped {
		end = begun.Add(skipStall) // it has come closer all the time, and is not asked twice for so much
	}
	r.conn.SetDeadline(end)
	defer r.conn.SetDeadline(time.Time{})
	for behind := s.received(e) - r.at; behind > 0; behind = s.received(e) - r.at {
		if r.left >= 0 && behind > r.left {
			return errAgain
		}
		n, err := r.content.Discard(min(behind, 1<<20))
		r.at += n
		if r.left >= 0 {
			r.left -= n
		}
		switch {
		case s.isOver(e):
			return errAgain
		case err == nil && time.Since(begun) > trying && s.received(e)-r.at <= allowed:
			return nil
		case err != nil && !time.Now().Before(end), err == nil && time.Now().After(end):
			s.delay = took
			s.late++
			return errLate
		case err != nil:
			return refusal.New("the new server's answer broke off: " + err.Error())
		}
	}
	return nil
}
