// Package pieces is for tests: connections whose octets come in pieces.
package pieces

import (
	"bytes"
	"io"
	"net"
)

// Conn gives its octets in pieces of these sizes, by turns, and then ends; without sizes all at once. It keeps what is
// written to it. Nothing else can be done with it.
type Conn struct {
	net.Conn
	Octets  []byte
	Sizes   []int // at least 1
	Written bytes.Buffer
}

func (c *Conn) Read(p []byte) (int, error) {
	if len(c.Octets) == 0 {
		return 0, io.EOF
	}
	n := len(c.Octets)
	if len(c.Sizes) > 0 {
		n = min(n, c.Sizes[0])
		c.Sizes = append(c.Sizes[1:], c.Sizes[0])
	}
	n = copy(p, c.Octets[:n])
	c.Octets = c.Octets[n:]
	return n, nil
}

func (c *Conn) Write(p []byte) (int, error) { return c.Written.Write(p) }
