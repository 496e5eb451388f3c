// Where a response's body ends (RFC 9112 §6.3), and a reader that stops there.

package http1

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Kind is the way in which the end of a body is found.
type Kind int

const (
	None    Kind = iota // no body: response to HEAD, 1xx, 204, 304
	Length              // Framing.Length octets
	Chunked             // the chunked transfer coding
	Close               // all octets up to the end of the connection
	Tunnel              // not HTTP any more: 101, and 2xx to CONNECT
)

func (k Kind) String() string {
	switch k {
	case None:
		return "none"
	case Length:
		return "length"
	case Chunked:
		return "chunked"
	case Close:
		return "close"
	case Tunnel:
		return "tunnel"
	}
	return "unknown"
}

// Framing says where a body ends.
type Framing struct {
	Kind   Kind
	Length int64 // octets, for Kind Length; else 0
	// Coded: a transfer coding other than chunked lies over the content, so the
	// octets inside the framing are not those that ranges count.
	Coded bool
}

// ErrFraming: the fields that delimit the body contradict each other or are not
// valid; programs disagree on where such a body ends.
var ErrFraming = errors.New("the end of the body cannot be told, leave the connection alone")

// Framing returns how the body of the response to a request with this method is
// delimited. Its error wraps ErrFraming.
func (r *Response) Framing(method string) (Framing, error) {
	switch {
	case r.Status == 101, method == "CONNECT" && r.Status/100 == 2:
		return Framing{Kind: Tunnel}, nil
	case method == "HEAD", r.Status < 200, r.Status == 204, r.Status == 304:
		return Framing{Kind: None}, nil
	case r.Has("Transfer-Encoding"):
		return r.transferCoded()
	case r.Has("Content-Length"):
		return r.contentLength()
	}
	return Framing{Kind: Close}, nil
}

func (r *Response) transferCoded() (Framing, error) {
	if r.Minor == 0 {
		// RFC 9112 §6.1: the framing is faulty even with a Content-Length beside it.
		return Framing{}, fmt.Errorf("Transfer-Encoding in HTTP/1.0: %w", ErrFraming)
	}
	if r.Has("Content-Length") {
		// RFC 9112 §6.3: it ought to be handled as an error, as somebody on the way may go by the other one.
		return Framing{}, fmt.Errorf("Transfer-Encoding and Content-Length: %w", ErrFraming)
	}
	codings := strings.Split(r.Get("Transfer-Encoding"), ",")
	for i, coding := range codings {
		name, _, parameters := strings.Cut(coding, ";")
		name = trimOWS(name)
		if !isToken(name) {
			return Framing{}, fmt.Errorf("invalid Transfer-Encoding: %w", ErrFraming)
		}
		if !strings.EqualFold(name, "chunked") {
			continue
		}
		if parameters || i < len(codings)-1 {
			return Framing{}, fmt.Errorf("chunked is not the last transfer coding, or has parameters: %w", ErrFraming)
		}
		return Framing{Kind: Chunked, Coded: i > 0}, nil
	}
	return Framing{Kind: Close, Coded: true}, nil
}

func (r *Response) contentLength() (Framing, error) {
	length := int64(-1)
	for member := range strings.SplitSeq(r.Get("Content-Length"), ",") {
		n, ok := parseDecimal(trimOWS(member))
		if !ok || length >= 0 && n != length {
			return Framing{}, fmt.Errorf("invalid or conflicting Content-Length: %w", ErrFraming)
		}
		length = n
	}
	return Framing{Kind: Length, Length: length}, nil
}

// BodyReader reads the octets inside a framing. It is used by one goroutine.
type BodyReader struct {
	r       io.Reader
	kind    Kind
	left    int64 // for Length
	chunks  ChunkDecoder
	surplus []byte
	err     error
}

// NewBodyReader returns a reader of the body that begins with r's next octet. A body
// of Kind Length is never read beyond its end, a chunked one may be: see Surplus.
func NewBodyReader(r io.Reader, f Framing) *BodyReader {
	return &BodyReader{r: r, kind: f.Kind, left: f.Length}
}

// Read returns octets of the body, and io.EOF after its end. Where the connection
// ends before the framing does, the error is io.ErrUnexpectedEOF; with Kind Close
// every end is a good one. Other errors are r's or the chunk decoder's, and stay.
func (b *BodyReader) Read(p []byte) (n int, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	switch b.kind {
	case Length:
		n, b.err = b.readLength(p)
	case Chunked:
		n, b.err = b.readChunks(p)
	case Close, Tunnel:
		n, b.err = b.r.Read(p)
	default:
		b.err = io.EOF
	}
	return n, b.err
}

func (b *BodyReader) readLength(p []byte) (n int, err error) {
	if b.left > 0 {
		if int64(len(p)) > b.left {
			p = p[:b.left]
		}
		n, err = b.r.Read(p)
		b.left -= int64(n)
	}
	switch {
	case b.left == 0:
		// Whatever r reports with or after the last octet, the body is whole.
		return n, io.EOF
	case err == io.EOF:
		return n, io.ErrUnexpectedEOF
	}
	return n, err
}

func (b *BodyReader) readChunks(p []byte) (int, error) {
	for {
		n, err := b.r.Read(p)
		// In place: content is never longer than the chunks that carry it.
		content, used, done, bad := b.chunks.Decode(p, p[:n])
		switch {
		case bad != nil:
			return content, bad
		case done:
			b.surplus = append([]byte(nil), p[used:n]...)
			return content, io.EOF
		case err == io.EOF:
			return content, io.ErrUnexpectedEOF
		case err != nil, content > 0, n == 0:
			return content, err
		}
	}
}

// Trailers returns the trailer fields of a chunked body, after io.EOF.
func (b *BodyReader) Trailers() Fields { return b.chunks.Trailers() }

// Surplus returns octets that were read from r but follow the body, after io.EOF.
func (b *BodyReader) Surplus() []byte { return b.surplus }
