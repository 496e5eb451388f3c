// The responses that are passed on through a relay.
package relay

import (
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"

	"midstream/core/http1"
)

// responseReader takes what servers send apart into responses, to know where they end.
type responseReader struct {
	conn net.Conn // nil while there is none
	have []byte   // read, but not yet passed on
	// tunnel is set, if there is any, before a head is passed on after which nothing is HTTP.
	tunnel *atomic.Bool

	buffer []byte // what have is part of, once something has been read

	// The next response, where its head has been taken off the connection already, and the octets that stand for it.
	given *http1.Response
	begin []byte
}

// readSize is how much of a response is read at once where it has to be looked at, in octets: many small chunks.
const readSize = 64 << 10

func (r *responseReader) fill() error {
	if len(r.have) == 0 {
		if r.buffer == nil {
			r.buffer = make([]byte, readSize)
		}
		r.have = r.buffer[:0]
	}
	r.have = slices.Grow(r.have, readSize/4)
	n, err := r.conn.Read(r.have[len(r.have):cap(r.have)])
	r.have = r.have[:len(r.have)+n]
	if n == 0 {
		if err == nil {
			err = io.EOF
		}
		return &SourceError{Err: err}
	}
	return nil
}

// wait waits for the first octet.
func (r *responseReader) wait() error {
	for len(r.have) == 0 && r.given == nil {
		if err := r.fill(); err != nil {
			return err
		}
	}
	return nil
}

// pass hands the next response to the request with this method over to the program, untouched, and returns how its
// end was found: with Close and Tunnel the connection's end was. open reports whether another one may follow.
func (r *responseReader) pass(to net.Conn, method string) (kind http1.Kind, open bool, err error) {
	if method == anything {
		return http1.Tunnel, false, r.rest(to)
	}
	if response := r.given; response != nil {
		r.given = nil
		f, failed := response.Framing(method)
		if _, err := to.Write(r.begin); err != nil {
			return f.Kind, false, err
		}
		if failed != nil {
			return http1.Tunnel, false, r.rest(to)
		}
		return r.body(to, response, f)
	}
	for {
		response, size := r.head()
		if response == nil {
			if size > 0 {
				return http1.Tunnel, false, r.rest(to)
			}
			if err := r.fill(); err != nil {
				to.Write(r.have)
				r.have = nil
				return http1.None, false, err
			}
			continue
		}
		f, failed := response.Framing(method)
		if failed != nil {
			return http1.Tunnel, false, r.rest(to)
		}
		if f.Kind == http1.Tunnel && r.tunnel != nil {
			r.tunnel.Store(true)
		}
		if _, err := to.Write(r.have[:size]); err != nil {
			return f.Kind, false, err
		}
		r.have = r.have[size:]
		if response.Interim() && f.Kind != http1.Tunnel {
			continue
		}
		return r.body(to, response, f)
	}
}

// body passes on what follows a response's head.
func (r *responseReader) body(to net.Conn, response *http1.Response, f http1.Framing) (kind http1.Kind, open bool, err error) {
	switch f.Kind {
	case http1.Length:
		err = r.copy(to, f.Length)
	case http1.Chunked:
		err = r.chunks(to)
	case http1.Close, http1.Tunnel:
		err = r.rest(to)
	}
	return f.Kind, response.Persistent(), err
}

// head returns the next head and its size; nil and 0 if more has to be read, nil and a size if it is none.
func (r *responseReader) head() (*http1.Response, int) {
	size := http1.HeadEnd(r.have)
	if size < 0 {
		if len(r.have) > http1.MaxHead {
			return nil, len(r.have)
		}
		return nil, 0
	}
	response, err := http1.ParseResponse(r.have[:size])
	if err != nil {
		return nil, size
	}
	return response, size
}

func (r *responseReader) copy(to net.Conn, n int64) error {
	have := min(n, int64(len(r.have)))
	if _, err := to.Write(r.have[:have]); err != nil {
		return err
	}
	r.have = r.have[have:]
	if n -= have; n == 0 {
		return nil
	}
	_, err := Copy(to, r.conn, n)
	return err
}

func (r *responseReader) chunks(to net.Conn) error {
	var body http1.ChunkDecoder
	for {
		_, n, done, err := body.Scan(r.have)
		if err != nil {
			return r.rest(to)
		}
		if _, err := to.Write(r.have[:n]); err != nil {
			return err
		}
		r.have = r.have[n:]
		if done {
			return nil
		}
		// Content needs not be looked at.
		if left := body.Remaining(); left >= readSize && len(r.have) == 0 {
			if _, err := Copy(to, r.conn, left); err != nil {
				return err
			}
			body.Skip(left)
			continue
		}
		if err := r.fill(); err != nil {
			return err
		}
	}
}

// rest passes on everything up to the end of the connection.
func (r *responseReader) rest(to net.Conn) error {
	if _, err := to.Write(r.have); err != nil {
		return err
	}
	r.have = nil
	_, err := Copy(to, r.conn, -1)
	return err
}

// isEnd reports whether the error says no more than that the connection has ended.
func isEnd(err error) bool {
	return err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
