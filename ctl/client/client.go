// Package client finds the processes under Midstream and speaks with them over their control sockets.
package client

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"midstream/core/control"
)

// maxAnswer bounds a line from a process: thousands of sessions with long URLs; maxOthers from one of another user's, which may
// want nothing but root's memory.
const (
	maxAnswer = 64 << 20
	maxOthers = 4 << 20
)

// Client is a connection for one call, or one watch. It is not for use by several goroutines.
type Client struct {
	socket net.Conn
	in     *bufio.Scanner
	stop   func() bool
}

// Dial connects. When ctx ends, the connection does.
func Dial(ctx context.Context, path string, longest int) (*Client, error) {
	var d net.Dialer
	socket, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		if err := socket.SetDeadline(deadline); err != nil {
			socket.Close()
			return nil, err
		}
	}
	in := bufio.NewScanner(socket)
	in.Buffer(nil, longest)
	return &Client{socket, in, context.AfterFunc(ctx, func() { socket.SetDeadline(time.Unix(1, 0)) })}, nil
}

// Close ends the connection.
func (c *Client) Close() {
	c.stop()
	c.socket.Close()
}

// UID is the user who listens at the other end, -1 if that is not known.
func (c *Client) UID() int {
	uid, err := control.PeerUID(c.socket.(*net.UnixConn))
	if err != nil {
		return -1
	}
	return uid
}

// Read returns the next message.
func (c *Client) Read() (r control.Response, err error) {
	if !c.in.Scan() {
		if err = c.in.Err(); err == nil {
			err = io.ErrUnexpectedEOF
		}
		return r, err
	}
	if err = json.Unmarshal(c.in.Bytes(), &r); err != nil {
		err = fmt.Errorf("it answers what is not JSON-RPC: %w", err)
	}
	return r, err
}

// Call sends a request and reads its answer into result.
func (c *Client) Call(method string, params, result any) error {
	request := control.Request{JSONRPC: control.Version, ID: json.RawMessage("1"), Method: method}
	if params != nil {
		text, err := json.Marshal(params)
		if err != nil {
			return err
		}
		request.Params = text
	}
	line, err := json.Marshal(request)
	if err != nil {
		return err
	}
	// Where the other end refuses us, the write may fail and the reason is there to be read.
	_, sent := c.socket.Write(append(line, '\n'))
	r, err := c.Read()
	switch {
	case err != nil:
		if sent != nil {
			err = fmt.Errorf("%w; %w", err, sent)
		}
		return err
	case r.Error != nil:
		return r.Error
	}
	return json.Unmarshal(r.Result, result)
}
