// One exchange from several servers at once.
package resume

import (
	"errors"

	"midstream/core/config"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
)

// ErrMore says that more octets have to be compared.
var ErrMore = error(reason.LittleCompared)

// Proves says why an answer with these validators is not of the exchange's content, where so many octets before the offset at, all of them
// received, have been compared and found equal: nil if it is, ErrMore if more of them have to be.
func (h *HTTP) Proves(v http1.Validators, compared, at int64) error {
	proof := h.Proof
	if proof == config.ProofWhole {
		proof = config.ProofOverlap // parts show no more than that
	}
	err := prove(proof, h.standsFor(v), v, compared, Question{At: at, Overlap: compared, Exact: true})
	var no *refusal.Refusal
	if errors.As(err, &no) && no.More {
		return ErrMore
	}
	return err
}
