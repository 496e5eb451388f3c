// What the program has had, and what a new server sends: compared octet by octet.
package resume

import (
	"bytes"
	"context"
	"io"
	"time"

	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// Standstill is for how long the old connection may deliver nothing before it is no longer waited for, where the rest
// is at hand: as long as a lost segment takes to be sent again at the least (RFC 6298 allows 200 ms on Linux), it
// would stall the program longer than going back for what is missing.
const Standstill = 60 * time.Millisecond

// Tail are octets of content that the program has received, up to the offset end.
type Tail struct {
	Octets []byte
	End    int64
}

// Kept returns what is kept of the question's overlap: before it is asked, for by the time the answer comes it may be kept no longer.
func (h *HTTP) Kept(q Question) Tail { return h.kept(q) }

// Compare reads the overlap off the answer, and returns how many octets of it are equal to what the program has, or had then.
func (h *HTTP) Compare(ctx context.Context, r *Rest, q Question, had Tail) (int64, error) {
	return h.compare(ctx, r, q, had)
}

// kept returns what is kept of the overlap.
func (h *HTTP) kept(q Question) Tail {
	from, end := q.At-q.Overlap, min(h.Received(), q.At)
	if end <= from {
		return Tail{End: from}
	}
	now, had := Tail{h.Tail(end, int(end-from)), end}, q.Had
	if had.End > q.At || had.End <= from {
		return now
	}
	had.Octets = had.Octets[max(int64(len(had.Octets))-(had.End-from), 0):]
	if len(had.Octets) > len(now.Octets) {
		return had
	}
	return now
}

// compare reads the overlap off the answer, and returns how many octets of it are equal to what the program has, or
// had when the question was asked.
func (h *HTTP) compare(ctx context.Context, r *Rest, q Question, had Tail) (int64, error) {
	if q.Overlap == 0 || r.Framing.Kind == http1.None {
		return 0, nil
	}
	octets := make([]byte, q.Overlap)
	if _, err := io.ReadFull(r.Content, octets); err != nil {
		return 0, refusal.Broken(ctx, err)
	}
	// The old connection may not have come as far yet. So much is enough for the proof, and leaves time for what follows.
	ahead := q.Overlap / 4
	if q.Overlap == OverlapFull {
		ahead = q.Overlap / 2
	}
	has, all := had, digested{h: h, end: q.At}
	h.reaches(ctx, q.At-ahead, r.Conn.RTT()+Standstill, 2*q.Expected+50*time.Millisecond, func() {
		if now := h.kept(q); len(now.Octets) > len(has.Octets) {
			has = now // a moment later it may be written over
		}
		if q.whole {
			all.look()
		}
	})
	defer clear(octets)
	end := has.End - (q.At - q.Overlap)
	if !bytes.Equal(has.Octets, octets[end-int64(len(has.Octets)):end]) {
		return 0, &refusal.Refusal{Why: reason.OctetsDiffer.Alone(), Server: true}
	}
	if q.whole {
		return all.compare(ctx, r.had, octets)
	}
	return int64(len(has.Octets)), nil
}

// Collect waits, limit at most, until so much is kept of what the program receives that it can be compared, and returns it: a
// download that was very fast is not kept until somebody cares, and a moment later all that is kept may be written over.
func (h *HTTP) Collect(ctx context.Context, limit time.Duration) Tail {
	for end := time.Now().Add(limit); ; {
		at := h.Received()
		kept := Tail{h.Tail(at, OverlapFull), at}
		if int64(len(kept.Octets)) >= min(at, OverlapFull/4) || !time.Now().Before(end) || ctx.Err() != nil || h.Over() {
			return kept
		}
		time.Sleep(time.Millisecond) // nothing announces what the program reads
	}
}

// reaches waits until the program has received so much, for no longer than limit, and until it has received nothing for as
// long as still. It calls look now and then, and at last.
func (h *HTTP) reaches(ctx context.Context, octets int64, still, limit time.Duration, look func()) {
	defer look()
	begun, first := time.Now(), h.Received()
	for now, heard := first, begun; now < octets && time.Since(heard) < still && time.Since(begun) < limit && ctx.Err() == nil; {
		// Nothing announces what the program reads. To look again after half of the time that it needs for the rest, as it
		// seems, finds the octet soon, with few looks.
		pause := 500 * time.Microsecond
		if now > first {
			pause = time.Duration(float64(time.Since(begun)) * float64(octets-now) / float64(now-first) / 2)
		}
		time.Sleep(min(max(pause, 50*time.Microsecond), 5*time.Millisecond))
		if last := now; h.Received() != last {
			now, heard = h.Received(), time.Now()
			look()
		}
	}
}
