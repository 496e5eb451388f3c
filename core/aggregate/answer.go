// What servers answer when they are asked for a range.
package aggregate

import (
	"errors"
	"fmt"
	"time"

	"midstream/core/http1"
)

// ErrCompare is what Options.Prove returns where validators alone do not show that the content is the same, and more octets of
// it have to be compared.
var ErrCompare = errors.New("too little has been compared")

// refusal says that a server does not give what it was asked for.
type refusal struct {
	why    string
	out    bool          // the path is of no use for this exchange
	after  time.Duration // it is to be asked again after so long; 0: as after any failure
	status int           // which has said so
}

func (r *refusal) Error() string { return r.why }

const (
	// overloaded is how long a server that is overloaded, and does not say for how long, is left alone; one that counts requests, longer.
	overloaded  = 2 * time.Second
	tooMany     = 10 * time.Second
	longestWait = 5 * time.Minute // that is waited for; who wants to be left alone for longer is not asked again
)

// check says what an answer to the request for octets first up to end (exclusive) brings: its framing, and up to which octet. The error is
// a *refusal.
func check(answer *http1.Response, first, end, total int64, now time.Time) (f http1.Framing, to int64, err error) {
	out := func(why string) (http1.Framing, int64, error) { return f, 0, &refusal{why: why, out: true} }
	switch answer.Status {
	case 206:
	case 200:
		return out("the server ignores Range")
	case 416:
		return out("the server's content ends before")
	case 429, 503:
		after := answer.RetryAfter(now)
		if after == 0 {
			if after = overloaded; answer.Status == 429 {
				after = tooMany
			}
		}
		why := fmt.Sprintf("the server answered %d", answer.Status)
		return f, 0, &refusal{why: why, status: answer.Status, after: after, out: after > longestWait}
	default:
		why := fmt.Sprintf("the server answered %d", answer.Status)
		return f, 0, &refusal{why: why, out: answer.Status < 500}
	}
	g, present, err := answer.ContentRange()
	if err != nil || !present || g.Unsatisfied() {
		return out("the server's 206 has no valid Content-Range")
	}
	if g.First != first || g.Last >= end {
		return out(fmt.Sprintf("the server sent octets %d to %d instead of %d to %d", g.First, g.Last, first, end-1))
	}
	if g.Total >= 0 && total >= 0 && g.Total != total {
		return out(fmt.Sprintf("the server has %d octets instead of %d", g.Total, total))
	}
	f, err = answer.Framing("GET")
	switch {
	case err != nil || f.Coded:
		return out("the server's answer is framed in a way that is not understood")
	case f.Kind == http1.Length && f.Length != g.Length():
		return out("the server's Content-Length and Content-Range disagree")
	case f.Kind == http1.Close && !answer.Persistent():
		// As HTTP/1.0 has it. Of one that would persist, a field that says where the content ends must have been lost on the way.
	case f.Kind != http1.Length && f.Kind != http1.Chunked:
		return out("the server's answer does not say where it ends")
	}
	return f, g.Last + 1, nil
}

// alike reports whether an answer's validators are those of another answer of the same server.
func alike(v, w http1.Validators) bool {
	return v.ETag == w.ETag && v.Weak == w.Weak && v.Encoding == w.Encoding && !v.Contradicts(w) && v.LastModified == w.LastModified
}
