package ftp

import (
	"context"
	"fmt"
	"net/netip"

	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/relay"
	"midstream/core/resume"
)

// Rest asks for the rest of a transfer, for its receiver. It implements resume.Offsets, for connections that Control.Prepare has made.
type Rest struct {
	*resume.HTTP
	Transfer *Transfer
}

var _ resume.Offsets = (*Rest)(nil)

// Overlap implements resume.Offsets: nothing but the octets shows that a file is the same.
func (f *Rest) Overlap(netip.AddrPort) int64 { return resume.OverlapFull }

// Ask implements resume.Offsets.
func (f *Rest) Ask(ctx context.Context, conn *dial.Conn, q resume.Question) (*resume.Rest, error) {
	if !q.To.Untouched() || q.To.Tunnel != nil {
		return nil, refusal.New(reason.FTPProxy.With(q.To.Interface))
	}
	waiting := q.Waits(ctx)
	p, err := f.Permit(waiting, q.To.Interface, conn)
	if err != nil {
		return nil, err
	}
	r, err := f.ask(waiting, conn, q)
	return r, p.Refused(err)
}

func (f *Rest) ask(ctx context.Context, conn *dial.Conn, q resume.Question) (*resume.Rest, error) {
	t := f.Transfer
	s, ready := conn.Beside().(*session)
	refuses, refused := conn.Beside().(refusing)
	switch {
	case refused && refuses.of == t:
		return nil, refuses.refused
	case !ready || s.of != t:
		return nil, resume.ErrAgain // it was made when nothing of the transfer was known: for another one, in another folder perhaps
	}
	if s.refused != nil {
		return nil, s.refused
	}
	if err := s.same(t.Date); err != nil {
		return nil, err
	}
	q.Overlap = min(resume.OverlapFull, q.At)
	if s.proved {
		q.Overlap = min(resume.OverlapStrong, q.At)
	}
	had := f.Kept(q)
	defer bound(ctx, s.conn)()
	defer bound(ctx, conn)()
	if err := s.retrieve(ctx, t, t.First+q.At-q.Overlap); err != nil {
		return nil, err
	}
	r := &resume.Rest{To: q.To, Source: relay.Source{
		Conn: conn, Answer: f.Response, Framing: http1.Framing{Kind: http1.Close}, Content: relay.NewContent(conn, http1.Framing{Kind: http1.Close}),
		At: q.At, Left: relay.Unknown,
	}}
	compared, err := f.Compare(ctx, r, q, had)
	if err != nil {
		return nil, err
	}
	if compared < min(q.At, q.Overlap/4) {
		return nil, &refusal.Refusal{Why: reason.LittleCompared.Alone(), More: !q.Exact}
	}
	if q.Brings && t.First+q.At < t.Size {
		if err := r.Content.Wait(); err != nil {
			return nil, refusal.Broken(ctx, err)
		}
	}
	return r, nil
}

// same refuses a file of another length than the transfer's, or of another date, unless that is "".
func (s *session) same(date string) error {
	if s.size != s.of.Size {
		return refusal.New(reason.OtherTotal.With(s.size, s.of.Size))
	}
	if date != "" && s.date != date {
		return refusal.New(reason.OtherContent.With(fmt.Sprintf("MDTM %q, was %q", s.date, date)))
	}
	return nil
}

// retrieve has the server send the file from the octet on. Where that was proved in advance, it has to say that the file is still what it was.
func (s *session) retrieve(ctx context.Context, t *Transfer, from int64) error {
	octets, was := "RETR "+t.Name+"\r\n", s.date
	if from > 0 {
		octets = fmt.Sprintf("REST %d\r\n", from) + octets
	}
	var first []step
	if s.proved {
		first = s.describes(t)
		octets = first[0].line + "\r\n" + first[1].line + "\r\n" + octets // REST has to stand right before RETR (RFC 3659 §5.3)
	}
	if _, err := s.conn.Write([]byte(octets)); err != nil {
		return refusal.Broken(ctx, err)
	}
	for _, step := range first {
		r, err := s.reply(false)
		if err != nil {
			return refusal.Broken(ctx, err)
		}
		if err := step.take(r); err != nil {
			return err
		}
	}
	if err := s.same(was); s.proved && err != nil {
		return err
	}
	if from > 0 {
		r, err := s.reply(false)
		if err != nil {
			return refusal.Broken(ctx, err)
		}
		if r.code != 350 {
			return refusal.New(reason.FTPRestart.Alone())
		}
	}
	r, err := s.reply(true)
	if err != nil {
		return refusal.Broken(ctx, err)
	}
	if r.code/100 != 1 {
		return replied(r, "RETR")
	}
	return nil
}
