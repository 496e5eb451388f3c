// Proof by all that has been received (migration.proof = "whole"): for segments of which each server has validators of its own, as where
// entity tags are made of inodes, or each server has made the files itself. The new server is asked for all of it, and what comes before
// the offset is compared by a digest, while it is dropped.
package resume

import (
	"context"
	"time"

	"midstream/core/config"
	"midstream/core/digest"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
)

const (
	wholeMax   = 8 << 20       // octets of the representation: MS_WHOLE_MAX
	wholeLeast = OverlapStrong // octets that have to have been received: the first ones of two films of the same kind may be the same
)

// wholeProves reports whether all that has been received may prove by itself that the two are the same, whatever else their
// validators say: they have the same known length, and content coding.
func wholeProves(proof config.Proof, was, v http1.Validators) bool {
	was.ETag, was.LastModified, v.ETag, v.LastModified = "", "", "", ""
	return proof == config.ProofWhole && was.Length >= 0 && v.Length >= 0 && !was.Contradicts(v)
}

// proveWhole is prove for two of which wholeProves is true.
func proveWhole(was, v http1.Validators, compared int64, q Question) error {
	switch {
	case was.Length > wholeMax:
		return refusal.New(reason.WholeLong.With(describe(v), describe(was)))
	case q.At < wholeLeast:
		return refusal.New(reason.WholeLittle.With(describe(v), describe(was)))
	case !q.whole:
		return &refusal.Refusal{Why: reason.WholeWanted.Alone(), More: true}
	case compared < max(q.At-q.Overlap, wholeLeast):
		return refusal.New(reason.WholeUnknown.With(describe(v), describe(was)))
	}
	return nil
}

// discard drops n octets of content, of which the first is that at the content offset at, and returns how many it dropped. Where a
// digest is wanted, it takes them.
func (r *Rest) discard(n, at int64) (int64, error) {
	if r.had == nil {
		return r.Content.Discard(n)
	}
	if at < 0 {
		return r.Content.Discard(min(n, -at)) // it comes before what the exchange is of
	}
	octets := make([]byte, min(n, OverlapFull))
	got, err := r.Content.Read(octets)
	*r.had = r.had.Add(octets[:got])
	clear(octets)
	return int64(got), err
}

// digested follows how far what has been received is known by its digest, up to an offset.
type digested struct {
	h   *HTTP
	end int64
	at  int64
	of  digest.Digest
	ok  bool
}

// look takes where the program stands, unless that is beyond the end.
func (w *digested) look() {
	if at, d, ok := w.h.Digest(); ok && at <= w.end && (!w.ok || at > w.at) {
		w.at, w.of, w.ok = at, d, true
	}
}

// compare returns how many octets from the first one on are known to be those that have been received. overlap are those before the
// end, and had is the digest of all before them.
func (w *digested) compare(ctx context.Context, had *digest.Digest, overlap []byte) (int64, error) {
	w.look()
	for until, last := time.Now().Add(Standstill), w.at; w.ok && w.at < w.end && time.Now().Before(until) && ctx.Err() == nil; last = w.at {
		time.Sleep(time.Millisecond) // nothing announces what the program reads
		if w.look(); w.at > last {
			until = time.Now().Add(Standstill)
		} else if w.h.Received() > w.end {
			break
		}
	}
	from := w.end - int64(len(overlap))
	if !w.ok || w.at < from || had == nil {
		return 0, nil
	}
	if !had.Add(overlap[:w.at-from]).Equal(w.of) {
		return 0, &refusal.Refusal{Why: reason.WholeDiffers.Alone(), Server: true}
	}
	return w.at, nil
}
