// The proof that what the new server sends is what the program has begun to receive.
package resume

import (
	"fmt"

	"midstream/core/config"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// prove says why an answer with these validators, of which so many octets were compared and found equal, does not
// continue the exchange; nil if it does. The ladder: equal strong validators (RFC 9110 §15.3.7.3); equal length, date
// and overlap; trust in an equal length, where the configuration has it. Whatever contradicts is refused. was are those of the
// exchange, or others that stand for them.
func prove(proof config.Proof, was, v http1.Validators, compared int64, q Question) error {
	whole := !q.Foreign && wholeProves(proof, was, v)
	if was.Contradicts(v) && !whole {
		return refusal.New(reason.OtherContent.With(difference(was, v)))
	}
	// An equal validator of another resource says nothing by itself (RFC 9110 §8.8.1).
	if was.EqualStrong(v) && (!q.Moved || compared > 0) {
		return nil
	}
	more := q.Overlap < min(q.At, OverlapFull) || !q.Exact
	if was.EqualStrong(v) && q.Overlap > 0 && more {
		return &refusal.Refusal{Why: reason.LittleComparedThere.Alone(), More: true}
	}
	switch {
	case proof == config.ProofStrict:
		return refusal.New(reason.OtherValidator.With(describe(v), describe(was)))
	case was.OverlapProves(v), q.Pieces != nil && was.Length >= 0 && was.Length == v.Length:
		if compared >= min(q.At, OverlapFull/4) {
			return nil
		}
		if more {
			return &refusal.Refusal{Why: reason.LittleCompared.Alone(), More: true}
		}
		return refusal.New(reason.OtherValidatorLittle.With(describe(v), describe(was), compared))
	case whole:
		return proveWhole(was, v, compared, q)
	case proof == config.ProofTrust && was.ETag != "" && v.ETag != "" && was.ETag != v.ETag && was.LastModified == "":
		return refusal.New(reason.OtherValidator.With(describe(v), describe(was)))
	case proof == config.ProofTrust && (was.Length == v.Length || was.Length < 0 || v.Length < 0):
		return nil
	}
	return refusal.New(reason.NotShown.With(describe(v), describe(was)))
}

// withoutNames returns what is left of validators to compare two URLs' content by: what names one URL's content, an entity tag or a date
// that is a strong validator, says nothing of another one's (RFC 9110 §8.8.1).
func withoutNames(v http1.Validators) http1.Validators {
	v.ETag, v.Weak, v.LastModifiedStrong = "", false, false
	return v
}

// Provable says why no server could prove that it has the same content, if none could.
func Provable(v http1.Validators, total int64, proof config.Proof) reason.Reason {
	switch {
	case v.Strong() || proof == config.ProofTrust || proof == config.ProofWhole && total >= 0 && total <= wholeMax:
		return reason.Reason{}
	case proof == config.ProofStrict:
		return reason.NotStrong.Alone()
	case v.LastModified == "":
		return reason.NoDate.Alone()
	case total < 0:
		return reason.NoLength.Alone()
	}
	return reason.Reason{}
}

// difference says in what two representations that contradict each other differ.
func difference(was, is http1.Validators) string {
	switch {
	case was.Length >= 0 && is.Length >= 0 && was.Length != is.Length:
		return fmt.Sprintf("%d octets, was %d", is.Length, was.Length)
	case was.Encoding != is.Encoding && !(was.Encoding == "" && was.Partial) && !(is.Encoding == "" && is.Partial):
		return fmt.Sprintf("Content-Encoding %q, was %q", is.Encoding, was.Encoding)
	}
	return fmt.Sprintf("Last-Modified %s, was %s", is.LastModified, was.LastModified)
}

func describe(v http1.Validators) string {
	switch {
	case v.ETag != "" && v.Weak:
		return "weak ETag " + v.ETag
	case v.ETag != "":
		return "ETag " + v.ETag
	case v.LastModified != "":
		return "Last-Modified " + v.LastModified
	}
	return "no validator"
}
