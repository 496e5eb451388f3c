// Asking a server for the rest of an exchange of HTTP/1.1.
package resume

import (
	"context"
	"errors"
	"io"
	"net/netip"

	"github.com/rs/zerolog"

	"midstream/core/budget"
	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/relay"
)

// Octets before the offset that are asked for as well, to be compared with those that the program has received.
const (
	OverlapStrong = 4 << 10 // where validators are expected to do: well within the first flight of a new connection (RFC 6928)
	OverlapFull   = 64 << 10
)

var (
	// ErrAgain says that the exchange has moved on meanwhile, or is over: whoever asks has to start anew.
	ErrAgain error = reason.Changed
	// ErrLate says that whoever asks has to start anew, with a look-ahead for a server that takes its time.
	ErrLate error = reason.Behind
)

// HTTP asks for the rest of one exchange, for its receiver. It implements Offsets.
type HTTP struct {
	*Exchange
	Receiver
	SkipLimit int64 // octets that may be skipped of an answer to a server that ignores Range
	Log       zerolog.Logger
	// Permit gives leave to send one request.
	Permit func(ctx context.Context, iface string, conn *dial.Conn) (budget.Permit, error)
	// Captive is told that the interface leads to a login page.
	Captive func(iface string)
}

var _ Offsets = (*HTTP)(nil)

// Overlap implements Offsets: where the validators are strong, they are expected to do.
func (h *HTTP) Overlap(server netip.AddrPort) int64 {
	full := h.Least() == OverlapFull
	if known, strong := h.Mirror(server); known {
		full = !strong
	}
	if full {
		return OverlapFull
	}
	return OverlapStrong
}

// Ask implements Offsets.
func (h *HTTP) Ask(ctx context.Context, conn *dial.Conn, q Question) (*Rest, error) {
	p, err := h.Permit(q.Waits(ctx), q.To.Interface, conn)
	if err != nil {
		return nil, err
	}
	a := &asked{h: h, conn: conn, q: q}
	if err := a.send(ctx); err != nil {
		return nil, p.Refused(err)
	}
	r, err := a.rest(ctx)
	return r, p.Refused(err)
}

// asked is a question that is sent.
type asked struct {
	h       *HTTP
	conn    *dial.Conn
	q       Question
	first   int64 // octet of the representation, with the overlap
	sent    int64 // that was asked for
	ifRange string
	kept    Tail
}

func (a *asked) send(ctx context.Context) error {
	q, e := &a.q, a.h.Exchange
	full := q.Overlap >= OverlapFull
	q.Overlap = min(q.Overlap, q.At)
	if q.Pieces != nil {
		q.Overlap = e.First + q.At - q.Pieces.Begin(e.First+q.At-q.Overlap)
	}
	first, last := e.First+q.At-q.Overlap, int64(-1)
	if r, present, err := e.Request.Range(); present && err == nil && !r.IsSuffix() && r.Last >= 0 {
		last = e.Last
	}
	// A server of another make has another validator for the same content, and would send all of it: where that is
	// to be expected, it is asked without If-Range.
	mirrored := a.h.mirrorAt(a.conn.Remote())
	q.whole = mirrored != nil && mirrored.whole && !mirrored.proved && !q.Foreign
	switch {
	case q.whole:
	case q.Foreign: // the validators are another URL's
	case mirrored != nil && mirrored.proved && mirrored.validators.Strong():
		a.ifRange = mirrored.validators.IfRange()
	case !full || e.Proof == config.ProofStrict:
		a.ifRange = e.Validators.IfRange()
	}
	a.first, a.sent = first, first
	if q.whole {
		a.sent = e.First
	}
	octets := http1.ResumeRequest(q.Request, a.sent, last, a.ifRange, q.To.Form)
	if insideField(q.Read) {
		octets, a.ifRange, a.sent = http1.ResumeRequest(q.Request, -1, -1, "", q.To.Form), "", e.First
	}
	if octets == nil {
		return reason.RangeUnwritten
	}
	if err := a.h.Complete(octets); err != nil {
		return err
	}
	defer clear(octets)
	defer bound(q.Waits(ctx), a.conn)()
	// By the time the answer comes, the old connection may have delivered so much that this is kept no longer.
	a.kept = a.h.kept(*q)
	return write(a.conn, octets)
}

// rest takes the answer.
func (a *asked) rest(ctx context.Context) (*Rest, error) {
	h, conn, q, e, kept := a.h, a.conn, a.q, a.h.Exchange, a.kept
	waiting := q.Waits(ctx)
	release := bound(waiting, conn)
	defer func() { release() }()
	answer, err := takeHead(waiting, conn)
	if err != nil {
		return nil, err
	}
	r := &Rest{Source: relay.Source{Conn: conn, Answer: answer, At: q.At, Left: relay.Unknown}, To: q.To}
	if r.Framing, err = answer.Framing("GET"); err != nil || r.Framing.Coded {
		return nil, refusal.New(reason.OtherFraming.Alone())
	}
	start, err := h.place(r, a.sent)
	if err != nil {
		return nil, err
	}
	is := answer.Validators()
	was := h.standsFor(is)
	if q.Foreign {
		was, is = withoutNames(e.Validators), withoutNames(is)
		was.Length = e.Total
	}
	if q.Pieces != nil {
		was.LastModified, is.LastModified = "", ""
	}
	overlaps := was.OverlapProves(is)
	whole := !q.Foreign && !overlaps && wholeProves(e.Proof, was, is)
	if answer.Status == 200 && a.ifRange != "" && a.first > 0 && !was.EqualStrong(is) && (overlaps || whole) && e.Proof != config.ProofStrict {
		h.noteMirror(mirror{server: conn.Remote(), validators: is, whole: whole})
		return nil, &refusal.Refusal{Why: reason.OtherValidatorHere.Alone(), More: true}
	}
	r.Content = relay.NewContent(conn, decoded(conn, r.Framing))
	r.Elsewhere = q.Moved
	r.Whole = start == e.First && answer.Status == e.Response.Status && !r.Longer && (answer.Status == 200 || insideField(q.Read))
	r.Reusable = answer.Persistent() && r.Framing.Kind != http1.Close && !q.Moved && !r.Longer
	if _, d, ok := h.Digest(); q.whole && ok {
		none := d.Empty()
		r.had = &none
	}
	skip := a.first - start
	if skip > 0 && q.Pieces != nil {
		return nil, refusal.New(reason.RangeIgnored.With(skip))
	}
	if skip > 0 {
		// What the head refutes is not read.
		var more *refusal.Refusal
		err := prove(e.Proof, was, is, q.At, q)
		if err != nil && whole && !q.whole {
			h.noteMirror(mirror{server: conn.Remote(), validators: is, whole: true})
			return nil, err
		}
		if err != nil && !(errors.As(err, &more) && more.More) {
			return nil, err
		}
		if limit := h.skipLimit(q); skip > limit && !q.whole {
			far, again := reason.RangeIgnored, reason.RangeIgnoredAgain
			if insideField(q.Read) {
				far, again = reason.TrailerFar, reason.TrailerAgain
			}
			if q.Sound != nil && q.Vain {
				return nil, refusal.New(again.Alone())
			}
			return nil, refusal.New(far.With(skip))
		}
		release()
		err = h.skip(ctx, r, &q, start-e.First)
		if q.Sound != nil && q.Sound.Err() != nil {
			waiting, q.Exact = ctx, true
		}
		release = bound(waiting, conn)
		if err != nil {
			return nil, err
		}
		q.Had, r.Skipped = kept, true
		kept = h.kept(q)
	}
	if q.Pieces != nil && r.Framing.Kind != http1.None {
		r.proveBy(q.Pieces, a.first, e)
	}
	compared, err := h.compare(waiting, r, q, kept)
	if err != nil {
		return nil, err
	}
	err = prove(e.Proof, was, is, compared, q)
	if !q.Foreign && !was.EqualStrong(is) && (overlaps || whole) {
		h.noteMirror(mirror{server: conn.Remote(), validators: is, proved: err == nil, whole: whole})
	}
	if err != nil {
		return nil, err
	}
	if q.Trailing {
		if err := r.endAfter(waiting, q.Read); err != nil {
			return nil, err
		}
	} else if q.Brings && r.Left != 0 {
		if err := r.Content.Wait(); err != nil && (err != io.EOF || r.Left > 0) {
			return nil, refusal.Broken(waiting, err)
		}
	}
	return r, nil
}

// decoded returns the framing of what can be read from the connection: a twin hands content over without any.
func decoded(conn *dial.Conn, f http1.Framing) http1.Framing {
	if conn.Over() != nil && f.Kind == http1.Chunked {
		f.Kind = http1.Close
	}
	return f
}

// place finds out from which octet of the representation on the answer's content is (first, or 0), and how much
// of it is left from r.At on.
func (h *HTTP) place(r *Rest, first int64) (start int64, err error) {
	e := h.Exchange
	end := e.Last // of what is wanted, inclusive
	switch r.Answer.Status {
	case 206:
		g, present, err := r.Answer.ContentRange()
		if err != nil || !present || g.Unsatisfied() {
			return 0, refusal.New(reason.AnswerRange.Alone())
		}
		if end < 0 && g.Total >= 0 {
			end = g.Total - 1
		}
		// A server may send more than it was asked for (RFC 9110 §15.3.7): what comes first is dropped.
		if g.First > first || end < 0 || g.Last != end {
			return 0, refusal.New(reason.OtherRange.With(g.First, g.Last, first, end))
		}
		if g.Total >= 0 && e.Total >= 0 && g.Total != e.Total {
			return 0, refusal.New(reason.OtherTotal.With(g.Total, e.Total))
		}
		if r.Framing.Kind == http1.Length && r.Framing.Length != g.Length() {
			return 0, refusal.New(reason.AnswerLengths.Alone())
		}
		start = g.First
	case 200:
		r.Longer = end >= 0 && e.Total != end+1
		if r.Framing.Kind == http1.Length {
			if e.Total >= 0 && r.Framing.Length != e.Total {
				return 0, h.loginPage(r, reason.OtherTotal.With(r.Framing.Length, e.Total))
			}
			if end < 0 {
				end = r.Framing.Length - 1
			}
			r.Longer = end < r.Framing.Length-1
		}
	case 416:
		g, present, err := r.Answer.ContentRange()
		if err == nil && present && g.Unsatisfied() && g.Total == first && e.Last < 0 {
			// There is nothing left: the program has it all.
			r.Framing = http1.Framing{Kind: http1.None}
			r.Left = 0
			return first, nil
		}
		return 0, &refusal.Refusal{Why: reason.TwinShort.Alone(), Server: true, Ours: e.Last < 0}
	default:
		return 0, h.Status(r.Answer, r.To)
	}
	if end >= 0 {
		if r.Left = end - (e.First + r.At) + 1; r.Left < 0 {
			return 0, refusal.New(reason.TwinShort.Alone())
		}
	}
	return start, nil
}
