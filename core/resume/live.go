// Asking a server for a stream without a length, which is continued by its content (package live).
package resume

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/live"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/relay"
)

const (
	// liveStill is for how long nothing may come while the place is looked for: a server's burst comes at once, but Ogg comes in pages, one
	// in a second or two.
	liveStill = 3 * time.Second
	// liveBurst is how long a server's burst may take to come.
	liveBurst = 2 * time.Second
	// liveGap is how long what the program has been handed meanwhile may take to come.
	liveGap = 2 * time.Second
	// liveLead is how long the preparation of a hand-over may take, in which the old connection brings so many octets at least.
	liveLead  = 50 * time.Millisecond
	leastLead = 1 << 10
)

// Live asks for such a stream, for its receiver. It implements Offsets, but for Send: a question about it has no offset.
type Live struct {
	*HTTP
	Stream live.Stream
	// Gaps: the program may be handed a stream of which octets are missing (live.gaps), where there is no other.
	Gaps bool
	// Stands returns what is known of what the program has been handed. It is called again for each question.
	Stands func() live.Program
}

var _ Offsets = (*Live)(nil)

// Ask implements Offsets. The request is the program's own; the rest begins at Question.At.
func (l *Live) Ask(ctx context.Context, conn *dial.Conn, q Question) (*Rest, error) {
	waiting := q.Waits(ctx)
	p, err := l.Permit(waiting, q.To.Interface, conn)
	if err != nil {
		return nil, err
	}
	request := http1.ResumeRequest(q.Request, -1, -1, "", q.To.Form)
	if request == nil {
		return nil, reason.NotRewritten
	}
	if err := l.Complete(request); err != nil {
		return nil, err
	}
	defer clear(request)
	answer, err := Send(waiting, conn, request, p)
	if err != nil {
		return nil, p.Refused(err)
	}
	r, err := l.find(waiting, conn, answer, q)
	return r, p.Refused(err)
}

// find reads the answer up to the place where the program stands.
func (l *Live) find(ctx context.Context, conn *dial.Conn, answer *http1.Response, q Question) (*Rest, error) {
	if answer.Status != 200 {
		return nil, l.Status(answer, q.To)
	}
	is, ok := live.Of(q.Request, answer)
	if !ok || is.Type != l.Stream.Type {
		return nil, refusal.New(reason.NoStream.Alone())
	}
	framing, err := answer.Framing("GET")
	if err != nil {
		return nil, refusal.New(reason.OtherFraming.Alone())
	}
	defer bound(ctx, conn)()
	patient := &patience{ctx: ctx, conn: conn, content: relay.NewContent(conn, framing)}
	patient.wait.Store(int64(liveStill))
	source := live.NewUntitled(patient, is.Every)
	program := l.Stands()
	program.Gaps = l.Gaps && q.Brings // the old connection has failed
	var why reason.Code
	splice, err := live.Find(program, q.At, source, arrivals{conn, time.Now()})
	switch {
	case ctx.Err() != nil:
		return nil, refusal.Broken(ctx, ctx.Err())
	case errors.Is(err, live.ErrNoOverlap):
		return nil, &refusal.Refusal{Why: reason.StreamBehind.Alone(), Server: true, Gone: true}
	case errors.Is(err, live.ErrDiffers):
		return nil, refusal.New(reason.StreamDiffers.Alone())
	case errors.As(err, &why):
		return nil, &refusal.Refusal{Why: why.Alone(), Gone: true}
	case err != nil:
		return nil, refusal.Broken(ctx, err)
	}
	if q.Brings {
		// What has been at its end once would be found to be there again and again.
		if err := splice.Brings(); errors.Is(err, io.EOF) {
			return nil, &refusal.Refusal{Why: reason.StreamBehind.Alone(), Server: true, Gone: true}
		} else if err != nil {
			return nil, refusal.Broken(ctx, err)
		}
	}
	stream := &liveConn{Conn: conn, r: splice, chunked: l.Framing.Kind == http1.Chunked && framing.Kind != http1.Chunked}
	r := &Rest{To: q.To, Gap: splice.Gap()}
	r.Source = relay.Source{
		Conn: conn, Answer: answer, Framing: http1.Framing{Kind: http1.Close}, Content: relay.NewContent(stream, http1.Framing{Kind: http1.Close}),
		At: q.At, Left: relay.Unknown, Elsewhere: q.Moved,
		Several: func() {}, // what has been read ahead is not on the connection any more
		Stands: func(at int64) error {
			patient.ctx = context.Background()
			defer patient.bound(liveGap)()
			return splice.Begin(at)
		},
	}
	r.Meets = func(received int64) (int64, bool, error) {
		patient.ctx = context.Background()
		defer patient.bound(liveGap)()
		lead := int64(live.Nothing)
		if !q.Ended {
			lead = max(int64(l.Rate(received, 0, 0)*liveLead.Seconds()), leastLead)
		}
		at, err := splice.Meet(received, lead)
		if errors.As(err, &why) {
			err = &refusal.Refusal{Why: why.Alone(), Server: true}
		}
		return at, !q.Ended && at > received, err
	}
	return r, nil
}

// arrivals are those on a connection whose answer has begun at that time.
type arrivals struct {
	conn  *dial.Conn
	begun time.Time
}

// More implements live.Arrivals.
func (a arrivals) More() bool {
	n, err := a.conn.Buffered()
	return err == nil && n > 0
}

// Late implements live.Arrivals.
func (a arrivals) Late() bool { return time.Since(a.begun) > liveBurst }

// liveConn is a connection of which what a splice makes is read.
type liveConn struct {
	net.Conn
	r       io.Reader
	chunked bool // the program reads chunks, and the end of the connection would be none for it
}

func (c *liveConn) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err == io.EOF && c.chunked {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// patience reads content, and waits for it only so long.
type patience struct {
	ctx     context.Context
	conn    *dial.Conn
	content *relay.Content
	wait    atomic.Int64 // time.Duration, 0 without end
}

// bound has content waited for no longer than that, until the function that it returns is called.
func (p *patience) bound(wait time.Duration) (release func()) {
	p.wait.Store(int64(wait))
	return func() {
		p.wait.Store(0)
		p.conn.SetReadDeadline(time.Time{})
	}
}

func (p *patience) Read(b []byte) (int, error) {
	if wait := p.wait.Load(); wait > 0 {
		p.conn.SetReadDeadline(time.Now().Add(time.Duration(wait)))
		if p.ctx.Err() != nil { // and its end may have been undone by that
			return 0, os.ErrDeadlineExceeded
		}
	}
	return p.content.Read(b)
}
