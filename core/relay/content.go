// The content of the new server's answer, whatever its framing.
package relay

import (
	"bytes"
	"errors"
	"io"
	"net"

	"midstream/core/http1"
)

// readAhead is how much content is read at once that has to be copied through this process, in octets.
const readAhead = 64 << 10

// spliceLeast is the run of content from which on it is worth not to be copied through this process, in octets.
const spliceLeast = 64 << 10

// Unknown is a length that only the end of the content will tell.
const Unknown = int64(-1)

// Content is read from a connection whose next octet is the first of an answer's body. Content delimited by a
// length, or by the end of the connection, is never read beyond what was asked for. Used by one goroutine.
type Content struct {
	conn   net.Conn
	kind   http1.Kind
	left   int64 // Length: octets to come
	chunks http1.ChunkDecoder
	ahead  []byte // Chunked: octets read, but not yet used
	most   int    // Chunked: how many are read at once
	block  *[blockSize]byte
	buffer []byte
	done   bool
	// next, if set, gives the connection that brings what is left where conn has ended; nil if there is none.
	next func() net.Conn
}

// NewContent reads what the framing says from conn.
func NewContent(conn net.Conn, f http1.Framing) *Content {
	return &Content{conn: conn, kind: f.Kind, left: f.Length}
}

// Run returns how many octets of content come next without any framing in between: more than 0, or Unknown for
// content that the end of the connection delimits. After the content, its trailers included, it returns io.EOF.
func (c *Content) Run() (int64, error) {
	switch {
	case c.done || c.kind == http1.None || c.kind == http1.Length && c.left == 0:
		c.done = true
		return 0, io.EOF
	case c.kind == http1.Length:
		return c.left, nil
	case c.kind != http1.Chunked:
		return Unknown, nil
	}
	for {
		if n := c.chunks.Remaining(); n > 0 {
			return n, nil
		}
		_, used, done, err := c.chunks.Decode(nil, c.ahead)
		c.ahead = c.ahead[used:]
		switch {
		case err != nil:
			return 0, &SourceError{err}
		case done:
			c.done = true
			return 0, io.EOF
		case c.chunks.Remaining() > 0:
			continue
		}
		if err := c.more(); err != nil {
			return 0, err
		}
	}
}

// gather returns the next octets of a chunked answer's content, at least one and at most limit, out of all chunks that
// have been read ahead. They are valid until anything else is called. After the content it returns io.EOF.
func (c *Content) gather(limit int64) ([]byte, error) {
	if _, err := c.Run(); err != nil {
		return nil, err
	}
	if len(c.ahead) == 0 {
		if err := c.more(); err != nil {
			return nil, err
		}
	}
	// In place: content is never longer than what carries it. What is wrong with the octets behind it, Run will say.
	n, used, done, _ := c.chunks.Decode(c.ahead[:min(limit, int64(len(c.ahead)))], c.ahead)
	octets := c.ahead[:n]
	c.ahead = c.ahead[used:]
	c.done = done
	return octets, nil
}

// some returns the next octets of content, at least one and at most limit or readAhead; as gather.
func (c *Content) some(limit int64) ([]byte, error) {
	if c.kind == http1.Chunked {
		return c.gather(limit)
	}
	if c.buffer == nil {
		c.buffer = make([]byte, readAhead)
	}
	n, err := c.Read(c.buffer[:min(limit, readAhead)])
	return c.buffer[:n], err
}

// Within returns, of chunked content that goes on for n octets and beyond its present chunk, how many octets of that are to
// come; 0 of any other.
func (c *Content) Within(n int64) int64 {
	if left := c.chunks.Remaining(); c.kind == http1.Chunked && left < n {
		return left
	}
	return 0
}

// PassedInto tells that somebody else has read content, up to where left octets of a chunk are to come, or, with 0, its line
// end.
func (c *Content) PassedInto(left int64) { c.chunks.Resume(left) }

// atHand returns how many of the next n octets of content have been read ahead.
func (c *Content) atHand(n int64) int64 {
	if len(c.ahead) == 0 {
		return 0
	}
	decoder := c.chunks
	content, _, _, _ := decoder.Scan(c.ahead)
	return min(content, n)
}

// together returns how many of the next n octets on the connection are content, without framing in between.
func (c *Content) together(n int64) (int64, error) {
	run, err := c.Run()
	switch {
	case err == io.EOF:
		return 0, &SourceError{io.ErrUnexpectedEOF}
	case err != nil:
		return 0, err
	case len(c.ahead) > 0:
		return 0, nil
	case run == Unknown:
		return n, nil
	}
	return min(run, n), nil
}

// Wait waits until more content can be read, without taking it; errors as those of Read.
func (c *Content) Wait() error {
	type peeker interface{ Peek([]byte) (int, error) }
	run, err := c.Run()
	p, ok := c.conn.(peeker)
	if err != nil || !ok || len(c.ahead) > 0 {
		return err
	}
	var octet [1]byte
	_, err = p.Peek(octet[:])
	switch {
	case err == nil, err == io.EOF && run == Unknown:
		return err
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return &SourceError{err}
}

// Passed tells that the next n octets of content have been read by somebody else.
func (c *Content) Passed(n int64) { c.took(n) }

// Left returns how many octets of content are still to come, or Unknown.
func (c *Content) Left() int64 {
	if c.kind == http1.Length {
		return c.left
	}
	return Unknown
}

// Read implements io.Reader; errors as those of Run. A connection that ends before the content does gives
// io.ErrUnexpectedEOF.
func (c *Content) Read(p []byte) (int, error) {
	run, err := c.Run()
	if err != nil || len(p) == 0 {
		return 0, err
	}
	if run != Unknown && int64(len(p)) > run {
		p = p[:run]
	}
	var n int
	if len(c.ahead) > 0 {
		n = copy(p, c.ahead)
		c.ahead = c.ahead[n:]
	} else {
		n, err = c.conn.Read(p)
		if n == 0 && err == io.EOF && run != Unknown && c.goesOn() {
			return c.Read(p)
		}
	}
	c.took(int64(n))
	switch {
	case n > 0:
		return n, nil
	case err == io.EOF && run == Unknown:
		c.done = true
		return 0, io.EOF
	case err == io.EOF:
		err = io.ErrUnexpectedEOF
	}
	return 0, &SourceError{err}
}

// goesOn goes on with the next connection. It reports whether there is one.
func (c *Content) goesOn() bool {
	if c.next == nil {
		return false
	}
	conn := c.next()
	if conn != nil {
		c.conn = conn
	}
	return conn != nil
}

func (c *Content) took(n int64) {
	switch c.kind {
	case http1.Length:
		c.left -= n
	case http1.Chunked:
		c.chunks.Skip(n)
	}
}

// CopyTo writes n octets of content to dst; errors as those of Copy.
func (c *Content) CopyTo(dst net.Conn, n int64) error {
	for n > 0 {
		if c.kind == http1.Chunked && (len(c.ahead) > 0 || c.chunks.Remaining() < spliceLeast) {
			c.most = room(dst)
			octets, err := c.gather(n)
			if err == io.EOF {
				err = &SourceError{io.ErrUnexpectedEOF}
			}
			if err != nil {
				return err
			}
			if err := c.write(dst, nil, octets); err != nil {
				return err
			}
			n -= int64(len(octets))
			continue
		}
		run, err := c.Run()
		if err == io.EOF {
			err = &SourceError{io.ErrUnexpectedEOF}
		}
		if err != nil {
			return err
		}
		if run == Unknown || run > n {
			run = n
		}
		copied, err := Copy(dst, c.conn, run)
		c.took(copied)
		n -= copied
		if err != nil && !(errors.Is(err, io.ErrUnexpectedEOF) && c.goesOn()) {
			return err
		}
	}
	return nil
}

// Discard drops n octets of content and returns how many it dropped; fewer only with an error.
func (c *Content) Discard(n int64) (dropped int64, err error) {
	type discarder interface{ Discard(int) (int, error) }
	var buffer []byte
	for dropped < n {
		run, err := c.Run()
		if err == io.EOF {
			err = &SourceError{io.ErrUnexpectedEOF}
		}
		if err != nil {
			return dropped, err
		}
		if run == Unknown || run > n-dropped {
			run = n - dropped
		}
		var got int
		if d, ok := c.conn.(discarder); ok && len(c.ahead) == 0 {
			got, err = d.Discard(int(min(run, 1<<20)))
			c.took(int64(got))
		} else {
			if buffer == nil {
				buffer = make([]byte, 8<<10)
			}
			got, err = c.Read(buffer[:min(run, int64(len(buffer)))])
		}
		dropped += int64(got)
		if err != nil {
			return dropped, err
		}
	}
	return dropped, nil
}

// Trailer returns the trailer section's field lines as they were sent, once Run has said io.EOF.
func (c *Content) Trailer() (lines []byte) {
	for _, f := range c.chunks.Trailers() {
		lines = append(lines, f.Raw...)
	}
	return lines
}

// Surplus returns octets that were read from the connection but follow the content, once Run has said io.EOF.
func (c *Content) Surplus() []byte {
	if c.block != nil {
		c.ahead = bytes.Clone(c.ahead)
		c.release()
	}
	return c.ahead
}
