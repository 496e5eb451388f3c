// Catching up with an old connection that was faster than expected.
package resume

import (
	"time"

	"midstream/core/reason"
	"midstream/core/refusal"
)

// chase is how long catching up may take at least. Where the new server is no faster than the old one it would not end.
const chase = 100 * time.Millisecond

// unnoticed is how far behind the new server may be: a program that waits for what it would have had by then from the old
// connection does not notice. The hand-over drops so much by itself, if it could not be caught up within trying. Each time that
// this was not enough, it may be four times as much: a pause is better than no migration.
const (
	unnoticed = 4 * time.Millisecond
	trying    = 20 * time.Millisecond
)

// CatchUp drops from the new connection what the old one, at so many octets a second, has delivered meanwhile. late is how often that
// has ended with ErrLate.
func (h *HTTP) CatchUp(r *Rest, rate float64, late int) error {
	begun, allowed := time.Now(), int64(rate*(unnoticed<<(2*late)).Seconds())
	end := begun.Add(max(chase, 2*r.Conn.RTT()))
	if r.Skipped {
		end = begun.Add(skipStall) // it has come closer all the time, and is not asked twice for so much
	}
	r.Conn.SetDeadline(end)
	defer r.Conn.SetDeadline(time.Time{})
	for behind := h.Received() - r.At; behind > 0; behind = h.Received() - r.At {
		if r.Left >= 0 && behind > r.Left {
			return ErrAgain
		}
		n, err := r.Content.Discard(min(behind, 1<<20))
		r.At += n
		if r.Left >= 0 {
			r.Left -= n
		}
		switch {
		case h.Over():
			return ErrAgain
		case err == nil && time.Since(begun) > trying && h.Received()-r.At <= allowed:
			return nil
		case err != nil && !time.Now().Before(end), err == nil && time.Now().After(end):
			return ErrLate
		case err != nil:
			return refusal.New(reason.BrokeOff.With(err))
		}
	}
	return nil
}
