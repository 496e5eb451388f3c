// A response's head (RFC 9112 §4) and whether its connection lives on.

package http1

import (
	"fmt"
	"strings"
)

// Response is the head of a response. ParseResponse makes it; it is not changed
// afterwards, so any number of goroutines may read it.
type Response struct {
	Status int    // 100 to 999
	Minor  int    // of the version: 0 for HTTP/1.0, 1 for HTTP/1.1
	Reason string // as sent, often empty
	Fields        // in the order sent
}

// ParseResponse reads a head: the octets from the status line up to and including
// the empty line, no more (HeadEnd finds them). It keeps its own copy. The error
// wraps ErrIncomplete, ErrTooLarge or ErrMalformed.
func ParseResponse(octets []byte) (*Response, error) {
	h, err := parseHead(octets)
	if err != nil {
		return nil, fmt.Errorf("parse response head: %w", err)
	}
	version, rest, _ := strings.Cut(h.start, " ")
	// The space before an empty reason is often left out.
	code, reason, _ := strings.Cut(rest, " ")
	minor, ok := parseVersion(version)
	if version == "ICY" && code == "200" {
		ok = true // SHOUTcast's, which nothing standardises, and players take for HTTP/1.0
	}
	status, isNumber := parseDecimal(code)
	if !ok || !isNumber || len(code) != 3 || status < 100 {
		return nil, fmt.Errorf("parse response head: status line: %w", ErrMalformed)
	}
	return &Response{Status: int(status), Minor: minor, Reason: reason, Fields: h.fields}, nil
}

// Interim reports whether another response to the same request follows (1xx but 101).
func (r *Response) Interim() bool { return r.Status < 200 && r.Status != 101 }

// Persistent reports whether the server means to keep the connection open after this
// response (RFC 9112 §9.3). A body delimited by the close ends it all the same.
func (r *Response) Persistent() bool {
	if r.HasToken("Connection", "close") {
		return false
	}
	return r.Minor >= 1 || r.HasToken("Connection", "keep-alive")
}
