// What describes an exchange's content (package metalink): fetched once, and what is proved by it.
package resume

import (
	"context"
	"fmt"
	"net"
	"path"
	"strings"
	"sync"

	"midstream/core/dial"
	"midstream/core/http1"
	"midstream/core/metalink"
	"midstream/core/reason"
	"midstream/core/refusal"
	"midstream/core/relay"
)

// description is what is known of an exchange's content by what describes it.
type description struct {
	tried int // how often it was tried to fetch it
	file  *metalink.File
	wrong map[string]bool // URLs that had another piece than it says
	turn  sync.Mutex      // of who asks
}

// maxDescribe is how often that is tried.
const maxDescribe = 2

// Described returns what describes the exchange's content, nil where nothing does, or it has not been fetched.
func (e *Exchange) Described() *metalink.File {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.description.file
}

// Pieces are the digests of the content's pieces, nil where they are not known, or do not stand for all that is to be received.
func (e *Exchange) Pieces() *metalink.Pieces {
	f := e.Described()
	if f == nil || f.Size != e.Total || e.Last != e.Total-1 || e.Validators.Encoding != "" {
		return nil
	}
	return f.Pieces
}

// Distrust notes that what is at the URL has been found to be something else. Distrusted reports that.
func (e *Exchange) Distrust(url string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.description.wrong == nil {
		e.description.wrong = map[string]bool{}
	}
	e.description.wrong[url] = true
}

// Distrusted: see Distrust.
func (e *Exchange) Distrusted(url string) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.description.wrong[url]
}

// DescribeOnce calls fetch, which is to call Describe, unless it is known what comes of that. Others wait meanwhile.
func (e *Exchange) DescribeOnce(fetch func()) {
	e.description.turn.Lock()
	defer e.description.turn.Unlock()
	e.mu.Lock()
	due := e.description.file == nil && e.description.tried < maxDescribe
	if due {
		e.description.tried++
	}
	e.mu.Unlock()
	if due {
		fetch()
	}
}

// Describe asks over the connection for what the request is for: what describes the exchange's content.
func (h *HTTP) Describe(ctx context.Context, conn *dial.Conn, request *http1.Request, to Destination) error {
	p, err := h.Permit(ctx, to.Interface, conn)
	if err != nil {
		return err
	}
	octets := http1.ResumeRequest(request, -1, -1, "", to.Form)
	if octets == nil {
		return reason.NotRewritten
	}
	defer bound(ctx, conn)()
	answer, err := Send(ctx, conn, octets, p)
	if err != nil {
		return p.Refused(err)
	}
	framing, err := answer.Framing("GET")
	if answer.Status != 200 || err != nil || framing.Coded || answer.Has("Content-Encoding") {
		return p.Refused(&refusal.Refusal{Why: reason.Answered.With(answer.Status)})
	}
	file, err := metalink.Parse(relay.NewContent(conn, framing), path.Base(strings.SplitN(h.Request.Target, "?", 2)[0]), h.Total)
	if err != nil {
		return fmt.Errorf("what describes the content says nothing: %w", err)
	}
	if file.Whole && file.Pieces == nil {
		h.Log.Info().Msg("the content's description has a digest of the whole only, which could show something at its end alone")
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.description.file = file
	return nil
}

// proveBy has what the rest brings, from that octet of the representation on, proved piece by piece before anybody is handed it.
func (r *Rest) proveBy(pieces *metalink.Pieces, first int64, e *Exchange) {
	r.Content = relay.NewContent(&pieceConn{r.Conn, pieces.Verify(r.Content, first, e.Total), e, r.To.Elsewhere.URL}, http1.Framing{Kind: http1.Close})
	r.Framing, r.Reusable = http1.Framing{Kind: http1.Close}, false
}

// pieceConn is a connection of which what has been proved is read.
type pieceConn struct {
	net.Conn
	v   *metalink.Verified
	e   *Exchange
	url string
}

func (c *pieceConn) Read(p []byte) (int, error) { return c.looked(c.v.Read(p)) }

// Peek shows what is read next.
func (c *pieceConn) Peek(p []byte) (int, error) { return c.looked(c.v.Peek(p)) }

func (c *pieceConn) looked(n int, err error) (int, error) {
	if err == metalink.ErrPiece {
		c.e.Distrust(c.url)
	}
	return n, err
}
