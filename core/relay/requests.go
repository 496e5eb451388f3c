// The requests that the program writes into a relay.
package relay

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"midstream/core/http1"
)

// requestReader takes the program's octets apart into requests, as far as somebody has to know.
type requestReader struct {
	from io.Reader
	have []byte
	err  error
	left int64 // octets of the present request's content to come
	body *http1.ChunkDecoder
}

func newRequestReader(from io.Reader) *requestReader { return &requestReader{from: from} }

// wait waits for the first octet.
func (r *requestReader) wait() bool {
	for len(r.have) == 0 && r.err == nil {
		r.fill()
	}
	return len(r.have) > 0
}

func (r *requestReader) fill() {
	buffer := make([]byte, 8<<10)
	n, err := r.from.Read(buffer)
	r.have = append(r.have, buffer[:n]...)
	if n == 0 && err != nil {
		r.err = err
	}
}

// next returns the next octets to be sent on: as they come or, with heads, a head alone, and parsed, or content of the
// request (request is nil then). After an error of a head's, the octets are still there.
func (r *requestReader) next(heads bool) (octets []byte, request *http1.Request, err error) {
	if !r.wait() {
		return nil, nil, r.err
	}
	switch {
	case !heads:
		octets, r.have = r.have, nil
		return octets, nil, nil
	case r.left > 0:
		n := min(r.left, int64(len(r.have)))
		octets, r.have = r.have[:n:n], r.have[n:]
		r.left -= n
		return octets, nil, nil
	case r.body != nil:
		_, n, done, err := r.body.Scan(r.have)
		if err != nil {
			return nil, nil, err
		}
		octets, r.have = r.have[:n:n], r.have[n:]
		if done {
			r.body = nil
		}
		return octets, nil, nil
	}
	for {
		// Empty lines before a request line are to be ignored (RFC 9112 §2.2).
		for len(r.have) > 0 && (r.have[0] == '\r' || r.have[0] == '\n') {
			r.have = r.have[1:]
		}
		if end := http1.HeadEnd(r.have); end > 0 {
			request, err := http1.ParseRequest(r.have[:end])
			if err == nil {
				err = r.expect(request)
			}
			if err != nil {
				return nil, nil, err
			}
			octets, r.have = r.have[:end:end], r.have[end:]
			return octets, request, nil
		}
		if len(r.have) > http1.MaxHead {
			return nil, nil, http1.ErrTooLarge
		}
		if r.err != nil {
			return nil, nil, r.err
		}
		r.fill()
	}
}

// expect finds out what content follows the head (RFC 9112 §6.3).
func (r *requestReader) expect(request *http1.Request) error {
	if request.Has("Transfer-Encoding") {
		if !strings.EqualFold(request.Get("Transfer-Encoding"), "chunked") {
			return errors.New("the request's transfer coding is not understood")
		}
		r.body = &http1.ChunkDecoder{}
		return nil
	}
	if v := request.Get("Content-Length"); v != "" {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return errors.New("the request's Content-Length is not valid")
		}
		r.left = n
	}
	return nil
}
