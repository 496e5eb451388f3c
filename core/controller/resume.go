// Asking the new server for the rest of an exchange.
package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"midstream/core/budget"
	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/refusal"
	"midstream/core/relay"
)

// Octets before the offset that are asked for as well, to be compared with those that the program has received.
const (
	overlapStrong = 4 << 10 // where validators are expected to do: well within the first flight of a new connection (RFC 6928)
	overlapFull   = 64 << 10
)

// rest is a connection whose next octet is content of the exchange, at the offset at.
type rest struct {
	conn    *dial.Conn
	route   route
	answer  *http1.Response
	framing http1.Framing
	content *relay.Content
	at      int64
	left    int64 // octets from at to the end, or relay.Unknown
	// reusable: the connection can take the stream's next requests once this answer has been read.
	reusable bool
	// longer: the answer goes on after what is left of the exchange.
	longer bool
	// elsewhere: a redirect has led to another server than the one of the stream's next requests.
	elsewhere bool
	// stays: a relay of it is not left any more.
	stays bool
	// skipped: what came before at has been read off it and dropped.
	skipped bool
	// whole: the answer is to the request as the program made it, so its trailer section is that of the exchange.
	whole bool
	// ending is what ends the response for a program that has read so much of the trailer section; nil for any other.
	ending, read []byte
	// begin is to be handed to the program before the rest of the answer; only of an answer that is passed on.
	begin []byte
}

// overlap returns how many octets before the offset are asked for as well.
func (e *exchange) overlap() int64 {
	if e.validators.Strong() {
		return overlapStrong
	}
	return overlapFull
}

// question is what a server is asked about an exchange.
type question struct {
	e       *exchange
	request *http1.Request // e's own, or where a redirect has led
	route   route
	at      int64 // content offset wanted
	overlap int64 // octets before it that are asked for as well
	// expected is how long the old connection is going to need up to the octet at, at its pace.
	expected time.Duration
	moved    bool // request is not e's own
	had      tail // what collects has found
	// exact: the program stood at the octet at when the question was made, or had passed it. Otherwise it is still to come there.
	exact bool
	// trailing: the program stands in the trailer section, of which it has read these octets.
	trailing bool
	read     []byte
	brings   bool // an answer without content is none, unless there is nothing left
	// sound ends when the old connection does, which delivers meanwhile; nil where nothing is expected of it. What waits for the answer
	// then waits no longer; but a skip goes on.
	sound context.Context
}

// waits returns the context of what is waited for before a skip.
func (q question) waits(ctx context.Context) context.Context {
	if q.sound != nil {
		return q.sound
	}
	return ctx
}

// ask sends the exchange's request for its content from an offset on, and has the answer proved. After an error the
// connection is of no further use.
func (s *Stream) ask(ctx context.Context, conn *dial.Conn, q question) (*rest, error) {
	p, err := s.permit(q.waits(ctx), q.e, q.route.iface, conn)
	if err != nil {
		return nil, err
	}
	r, err := s.askOnce(ctx, conn, q, p)
	return r, p.Refused(err)
}

func (s *Stream) askOnce(ctx context.Context, conn *dial.Conn, q question, p budget.Permit) (*rest, error) {
	e, full := q.e, q.overlap >= overlapFull
	q.overlap = min(q.overlap, q.at)
	first, last := e.first+q.at-q.overlap, int64(-1)
	if r, present, err := e.request.Range(); present && err == nil && !r.IsSuffix() && r.Last >= 0 {
		last = e.last
	}
	// A server of another make has another validator for the same content, and would send all of it: where that is
	// to be expected, it is asked without If-Range.
	ifRange := ""
	mirrored := s.mirrorAt(e, conn.Remote())
	switch {
	case mirrored != nil && mirrored.proved && mirrored.validators.Strong():
		ifRange = mirrored.validators.IfRange()
	case !full || e.proof == config.ProofStrict:
		ifRange = e.validators.IfRange()
	}
	octets := http1.ResumeRequest(q.request, first, last, ifRange, q.route.form)
	sent := first
	if insideField(q.read) {
		octets, ifRange, sent = http1.ResumeRequest(q.request, -1, -1, "", q.route.form), "", e.first
	}
	if octets == nil {
		return nil, errors.New("the request cannot be written with a Range")
	}
	if err := s.complete(e, octets); err != nil {
		return nil, err
	}
	defer clear(octets)
	waiting := q.waits(ctx)
	release := bound(waiting, conn)
	defer func() { release() }()
	// By the time the answer comes, the old connection may have delivered so much that this is kept no longer.
	kept := s.kept(q)
	answer, err := send(waiting, conn, octets, p)
	if err != nil {
		return nil, err
	}
	r := &rest{conn: conn, route: q.route, answer: answer, at: q.at, left: relay.Unknown}
	if r.framing, err = answer.Framing("GET"); err != nil || r.framing.Coded {
		return nil, refusal.New("the new server's answer is framed in a way that is not understood")
	}
	start, err := s.place206(e, r, sent)
	if err != nil {
		return nil, err
	}
	is := answer.Validators()
	was := s.standsFor(e, is)
	if answer.Status == 200 && ifRange != "" && first > 0 && !was.EqualStrong(is) && was.OverlapProves(is) && e.proof != config.ProofStrict {
		s.noteMirror(e, mirror{server: conn.Remote(), validators: is})
		return nil, &refusal.Refusal{Why: "the new server has another validator for it", More: true}
	}
	r.content = relay.NewContent(conn, decoded(conn, r.framing))
	r.elsewhere = q.moved
	r.whole = start == e.first && answer.Status == e.response.Status && !r.longer && (answer.Status == 200 || insideField(q.read))
	r.reusable = answer.Persistent() && r.framing.Kind != http1.Close && !q.moved && !r.longer
	if skip := first - start; skip > 0 {
		// What the head refutes is not read.
		var more *refusal.Refusal
		if err := s.c.prove(was, is, q.at, q); err != nil && !(errors.As(err, &more) && more.More) {
			return nil, err
		}
		if skip > s.c.config.Migration.SkipLimit {
			why := "the new server ignores Range"
			if insideField(q.read) {
				why = "the program is inside a trailer field, which only comes again with all of the content"
			}
			return nil, refusal.New(fmt.Sprintf("%s, and %d octets are more than may be skipped", why, skip))
		}
		release()
		err := s.skip(ctx, r, &q, start-e.first)
		if q.sound != nil && q.sound.Err() != nil {
			waiting, q.exact = ctx, true
		}
		release = bound(waiting, conn)
		if err != nil {
			return nil, err
		}
		q.had, r.skipped = kept, true
		kept = s.kept(q)
	}
	compared, err := s.compare(waiting, r, q, kept)
	if err != nil {
		return nil, err
	}
	err = s.c.prove(was, is, compared, q)
	if !was.EqualStrong(is) && was.OverlapProves(is) {
		s.noteMirror(e, mirror{server: conn.Remote(), validators: is, proved: err == nil})
	}
	if err != nil {
		return nil, err
	}
	if q.trailing {
		if err := r.endAfter(waiting, q.read); err != nil {
			return nil, err
		}
	} else if q.brings && r.left != 0 {
		if err := r.content.Wait(); err != nil && (err != io.EOF || r.left > 0) {
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

// place206 finds out from which octet of the representation on the answer's content is (first, or 0), and how much
// of it is left from r.at on.
func (s *Stream) place206(e *exchange, r *rest, first int64) (start int64, err error) {
	end := e.last // of what the program expects, inclusive
	switch r.answer.Status {
	case 206:
		g, present, err := r.answer.ContentRange()
		if err != nil || !present || g.Unsatisfied() {
			return 0, refusal.New("the new server's 206 has no valid Content-Range")
		}
		if end < 0 && g.Total >= 0 {
			end = g.Total - 1
		}
		// A server may send more than it was asked for (RFC 9110 §15.3.7): what comes first is dropped.
		if g.First > first || end < 0 || g.Last != end {
			return 0, refusal.New(fmt.Sprintf("the new server sent octets %d to %d instead of %d to %d", g.First, g.Last, first, end))
		}
		if g.Total >= 0 && e.total >= 0 && g.Total != e.total {
			return 0, refusal.New(fmt.Sprintf("the new server has %d octets, the old one had %d", g.Total, e.total))
		}
		if r.framing.Kind == http1.Length && r.framing.Length != g.Length() {
			return 0, refusal.New("the new server's Content-Length and Content-Range disagree")
		}
		start = g.First
	case 200:
		r.longer = end >= 0 && e.total != end+1
		if r.framing.Kind == http1.Length {
			if e.total >= 0 && r.framing.Length != e.total {
				return 0, s.c.loginPage(e, r, fmt.Sprintf("the new server has %d octets, the old one had %d", r.framing.Length, e.total))
			}
			if end < 0 {
				end = r.framing.Length - 1
			}
			r.longer = end < r.framing.Length-1
		}
	case 416:
		g, present, err := r.answer.ContentRange()
		if err == nil && present && g.Unsatisfied() && g.Total == first && e.last < 0 {
			// There is nothing left: the program has it all.
			r.framing = http1.Framing{Kind: http1.None}
			r.left = 0
			return first, nil
		}
		return 0, &refusal.Refusal{Why: "the new server's content ends before the octet that is wanted", Server: true, Ours: e.last < 0}
	default:
		return 0, s.c.status(r.answer, r.route)
	}
	if end >= 0 {
		if r.left = end - (e.first + r.at) + 1; r.left < 0 {
			return 0, refusal.New("the new server's content ends before the octet that is wanted")
		}
	}
	return start, nil
}

// tail are octets of content that the program has received, up to the offset end.
type tail struct {
	octets []byte
	end    int64
}

// kept returns what is kept of the overlap.
func (s *Stream) kept(q question) tail {
	from, end := q.at-q.overlap, min(s.received(q.e), q.at)
	if end <= from {
		return tail{end: from}
	}
	now, had := tail{s.c.shim.Tail(s.slot, s.id, q.e.number, end, int(end-from)), end}, q.had
	if had.end > q.at || had.end <= from {
		return now
	}
	had.octets = had.octets[max(int64(len(had.octets))-(had.end-from), 0):]
	if len(had.octets) > len(now.octets) {
		return had
	}
	return now
}

// compare reads the overlap off the answer, and returns how many octets of it are equal to what the program has, or
// had when the question was asked.
func (s *Stream) compare(ctx context.Context, r *rest, q question, had tail) (int64, error) {
	if q.overlap == 0 || r.framing.Kind == http1.None {
		return 0, nil
	}
	octets := make([]byte, q.overlap)
	if _, err := io.ReadFull(r.content, octets); err != nil {
		return 0, refusal.Broken(ctx, err)
	}
	// The old connection may not have come as far yet. So much is enough for the proof, and leaves time for what follows.
	ahead := q.overlap / 4
	if q.overlap == overlapFull {
		ahead = q.overlap / 2
	}
	has := had
	s.reaches(ctx, q.e, q.at-ahead, r.conn.RTT()+standstill, 2*q.expected+50*time.Millisecond, func() {
		if now := s.kept(q); len(now.octets) > len(has.octets) {
			has = now // a moment later it may be written over
		}
	})
	defer clear(octets)
	end := has.end - (q.at - q.overlap)
	if !bytes.Equal(has.octets, octets[end-int64(len(has.octets)):end]) {
		return 0, &refusal.Refusal{Why: "the new server's content is another one than what has been received", Server: true}
	}
	return int64(len(has.octets)), nil
}

// collects waits, limit at most, until so much is kept of what the program receives that it can be compared, and returns it: a
// download that was very fast is not kept until somebody cares, and a moment later all that is kept may be written over.
func (s *Stream) collects(ctx context.Context, e *exchange, limit time.Duration) tail {
	for end := time.Now().Add(limit); ; {
		at := s.received(e)
		kept := tail{s.c.shim.Tail(s.slot, s.id, e.number, at, overlapFull), at}
		if int64(len(kept.octets)) >= min(at, overlapFull/4) || !time.Now().Before(end) || ctx.Err() != nil || s.isOver(e) {
			return kept
		}
		time.Sleep(time.Millisecond) // nothing announces what the program reads
	}
}

// reaches waits until the program has received so much, for no longer than limit, and until it has received nothing for as
// long as still. It calls look now and then, and at last.
func (s *Stream) reaches(ctx context.Context, e *exchange, octets int64, still, limit time.Duration, look func()) {
	defer look()
	begun, first := time.Now(), s.received(e)
	for now, heard := first, begun; now < octets && time.Since(heard) < still && time.Since(begun) < limit && ctx.Err() == nil; {
		// Nothing announces what the program reads. To look again after half of the time that it needs for the rest, as it
		// seems, finds the octet soon, with few looks.
		pause := 500 * time.Microsecond
		if now > first {
			pause = time.Duration(float64(time.Since(begun)) * float64(octets-now) / float64(now-first) / 2)
		}
		time.Sleep(min(max(pause, 50*time.Microsecond), 5*time.Millisecond))
		if last := now; s.received(e) != last {
			now, heard = s.received(e), time.Now()
			look()
		}
	}
}

// send writes a request and takes the answer's head, and no octet more, off the connection.
func send(ctx context.Context, conn *dial.Conn, request []byte, p budget.Permit) (*http1.Response, error) {
	answer, head, taken, _, err := exchangeHeads(ctx, conn, request, p)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Discard(len(head) - taken); err != nil {
		return nil, refusal.Broken(ctx, err)
	}
	return answer, nil
}

// peekLimit is how long a head may be to stay on its connection, in octets; of a longer one every octet is taken as it comes. The
// kernel counts the memory of packets, and that of one that has been taken in part as a whole: a receive buffer of 128 kB was
// seen to be full with 28 kB in it, and then with 2 kB, and nothing more comes before those are taken.
const peekLimit = 16 << 10

// maxInterims is how many interim answers a server may send, more than any does.
const maxInterims = 64

// exchangeHeads writes a request and waits for the answer's head, which stays on the connection but for its first taken
// octets, 0 unless it is long: all of them are returned with it. Interim answers are taken off, and returned as well.
func exchangeHeads(ctx context.Context, conn *dial.Conn, request []byte, _ budget.Permit) (answer *http1.Response, head []byte, taken int, interims [][]byte, err error) {
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(request); err != nil {
		return nil, nil, 0, nil, &refusal.Refusal{Why: "the new server did not take the request: " + err.Error(), Server: true}
	}
	buffer := make([]byte, 4096)
	have := 0
	for {
		if have == len(buffer) {
			if len(buffer) >= http1.MaxHead {
				return nil, nil, 0, nil, refusal.New("the new server's head is longer than 256 kB")
			}
			buffer = append(buffer, make([]byte, len(buffer))...)
		}
		n, err := conn.PeekMore(have-taken, buffer[taken:])
		if taken+n > have {
			have = taken + n
		}
		end := http1.HeadEnd(buffer[:have])
		if end < 0 {
			if err != nil {
				return nil, nil, 0, nil, refusal.Broken(ctx, err)
			}
			if (taken > 0 || have >= peekLimit) && conn.Over() == nil {
				if _, err := conn.Discard(have - taken); err != nil {
					return nil, nil, 0, nil, refusal.Broken(ctx, err)
				}
				taken = have
			}
			continue
		}
		answer, err := http1.ParseResponse(buffer[:end])
		if err != nil {
			return nil, nil, 0, nil, refusal.New("the new server's answer is malformed: " + err.Error())
		}
		if !answer.Interim() {
			return answer, buffer[:end], taken, interims, nil
		}
		if _, err := conn.Discard(end - taken); err != nil {
			return nil, nil, 0, nil, refusal.Broken(ctx, err)
		}
		if len(interims) == maxInterims {
			return nil, nil, 0, nil, refusal.New("the new server sends interim responses without end")
		}
		interims = append(interims, bytes.Clone(buffer[:end]))
		have, taken = 0, 0
	}
}
