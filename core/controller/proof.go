// The proof that what the new server sends is what the program has begun to receive.
package controller

import (
	"fmt"

	"midstream/core/http1"
)

// prove says why the answer does not continue e at the content offset at, nil if it does: it has to be a 206 with
// exactly the range asked for, of a representation with the same length and an equal strong validator
// (RFC 9110 §15.3.7).
func prove(e *exchange, at int64, answer *http1.Response) error {
	if answer.Status != 206 {
		return fmt.Errorf("the new server answered %d to a request for the rest", answer.Status)
	}
	r, present, err := answer.ContentRange()
	if err != nil || !present || r.Unsatisfied() {
		return fmt.Errorf("the new server's 206 has no valid Content-Range")
	}
	if want := e.first + at; r.First != want || r.Last != e.last {
		return fmt.Errorf("the new server sent octets %d to %d instead of %d to %d", r.First, r.Last, want, e.last)
	}
	if r.Total != e.total && r.Total >= 0 && e.total >= 0 {
		return fmt.Errorf("the new server has %d octets, the old one had %d", r.Total, e.total)
	}
	framing, err := answer.Framing("GET")
	if err != nil {
		return err
	}
	if framing.Kind != http1.Length || framing.Length != r.Length() {
		return fmt.Errorf("the new server's answer is framed in another way")
	}
	if v := answer.Validators(); !e.validators.EqualStrong(v) {
		return fmt.Errorf("the new server's validator is another one (%s, was %s)", describe(v), describe(e.validators))
	}
	return nil
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
	return "none"
}
