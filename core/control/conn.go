// One connection to the control socket: reads requests, answers each in its own goroutine.
package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"midstream/core/guard"
	"midstream/core/release"
)

type conn struct {
	server *Server
	socket *net.UnixConn
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
	uid    int           // of the peer
	pid    int           // likewise, 0 unknown
	gone   chan struct{} // closed when no more requests come: watching ends, too
	slots  chan struct{} // one for each request in flight
	wg     sync.WaitGroup

	mu       sync.Mutex // for writing
	watching bool
}

func newConn(s *Server, socket *net.UnixConn) *conn {
	ctx, cancel := context.WithCancel(s.ctx)
	return &conn{
		server: s, socket: socket, ctx: ctx, cancel: cancel,
		gone: make(chan struct{}), slots: make(chan struct{}, maxInFlight),
	}
}

func (c *conn) close() {
	c.cancel()
	c.socket.Close()
}

// serve reads until the peer sends no more, and ends when what it asked is answered: it may have shut
// down its own direction only. The 65th request in flight waits, and all after it, until one of those
// before is answered.
func (c *conn) serve() {
	defer c.close()
	defer c.wg.Wait()
	defer close(c.gone)
	in := bufio.NewReaderSize(c.socket, 4096)
	for {
		line, held, err := c.line(in)
		if err != nil {
			c.refuse(err)
			return
		}
		octets := bytes.TrimSpace(line)
		if len(octets) == 0 {
			c.server.octets.give(c.uid, held)
			continue
		}
		request, problem := ParseRequest(octets)
		if problem != nil {
			if request.ID == nil {
				request.ID = null
			}
			c.reply(request.ID, nil, problem)
			c.server.octets.give(c.uid, held)
			continue
		}
		select {
		case c.slots <- struct{}{}:
		case <-c.ctx.Done():
			c.server.octets.give(c.uid, held)
			return
		}
		c.wg.Go(func() {
			defer guard.Recover()
			defer func() { <-c.slots }()
			defer c.server.octets.give(c.uid, held)
			c.answer(request)
		})
	}
}

// What ends a connection beside its own end.
var (
	errTooLong = errors.New("too long")
	errTooMuch = errors.New("too much")
)

// line reads a line, which is the caller's; the last one may lack its end. held is to be given back to the user's account.
func (c *conn) line(in *bufio.Reader) (line []byte, held int, err error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(part) > 0 {
			if len(line)+len(part) > MaxLine+1 {
				c.server.octets.give(c.uid, held)
				return nil, 0, errTooLong
			}
			if !c.server.octets.take(c.uid, len(part)) {
				c.server.octets.give(c.uid, held)
				return nil, 0, errTooMuch
			}
			held += len(part)
			line = append(line, part...)
		}
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(line) > 0:
			return line, held, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			c.server.octets.give(c.uid, held)
			return nil, 0, err
		}
	}
}

// refuse says why no more is read, where that is not the peer's end.
func (c *conn) refuse(err error) {
	switch {
	case errors.Is(err, errTooLong):
		c.reply(null, nil, errorf(CodeRequest, "the message is longer than %d octets", MaxLine))
	case errors.Is(err, errTooMuch):
		c.reply(null, nil, errorf(CodeBusy, "user %d's requests that are not answered yet have more than %d octets together; wait for answers", c.uid, c.server.octets.each))
	default:
		return
	}
	c.drain()
}

// drain lets a peer finish what it is sending, within bounds: it would get EPIPE or ECONNRESET from a
// socket closed under its hands, and might never read the answer.
func (c *conn) drain() {
	if c.socket.CloseWrite() == nil && c.socket.SetReadDeadline(time.Now().Add(time.Second)) == nil {
		io.CopyN(io.Discard, c.socket, 16*MaxLine)
	}
}

// answer fulfils one request. A notification is fulfilled too, and not answered (section 4.1).
func (c *conn) answer(r Request) {
	var result any
	var err error
	var then func()
	switch r.Method {
	case MethodSessions:
		if err = params(r, &struct{}{}); err == nil {
			sessions := c.server.handler.Sessions()
			if sessions == nil {
				sessions = []Session{}
			}
			result = sessions
		}
	case MethodMigrate:
		result, err = c.migrate(r)
	case MethodWatch:
		if err = params(r, &struct{}{}); err == nil {
			if g, ok := c.server.handler.(Guarded); ok {
				err = g.MayWatch(c.uid)
			}
		}
		if err == nil {
			result = map[string]bool{"watching": true}
			then, err = c.watch()
		}
	case MethodVersion:
		result, err = release.Version, params(r, &struct{}{})
	default:
		if x, ok := c.server.handler.(Extension); ok {
			var known bool
			if result, known, err = x.Call(c.ctx, &Peer{c}, r.Method, r.Params); known {
				break
			}
		}
		err = errorf(CodeMethod, "there is no method %.40q; there are %s, %s and %s", r.Method, MethodSessions, MethodMigrate, MethodWatch)
	}
	if r.ID != nil {
		c.reply(r.ID, result, err)
	}
	if then != nil {
		c.wg.Go(func() {
			defer guard.Recover()
			then()
		})
	}
}

// params reads a request's parameters strictly; none at all are taken as an empty object.
func params(r Request, into any) error {
	text := r.Params
	if len(text) == 0 || bytes.Equal(text, null) {
		text = []byte("{}")
	}
	if text[0] != '{' {
		return errorf(CodeParams, "the parameters of %s are not a JSON object", r.Method)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errorf(CodeParams, "the parameters of %s: %s", r.Method, describe(err))
	}
	return nil
}

func (c *conn) migrate(r Request) (any, error) {
	var p MigrateParams
	if err := params(r, &p); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	result, err := c.server.handler.Migrate(c.ctx, p)
	if result.Streams == nil {
		result.Streams = []StreamResult{}
	}
	return result, err
}

// check verifies the form of the parameters; whether there are such an interface and session is
// the controller's to say.
func (p MigrateParams) check() error {
	switch {
	case p.To == "":
		return errorf(CodeParams, `the parameters of migrate: "to" is missing: the interface to move to`)
	case len(p.To) > 15: // IFNAMSIZ, with its NUL
		return errorf(CodeParams, `the parameters of migrate: "to" is no interface: %.40q has more than 15 octets`, p.To)
	case p.TimeoutMS < 0 || p.TimeoutMS > MaxTimeoutMS:
		return errorf(CodeParams, `the parameters of migrate: "timeout_ms" is not between 0 and %d`, MaxTimeoutMS)
	}
	return nil
}

// watch subscribes at once, so that nothing after the answer is missed, and returns what sends the
// events until the connection ends.
func (c *conn) watch() (send func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.watching {
		return nil, errorf(CodeRequest, "this connection is already watching")
	}
	c.watching = true
	events, unsubscribe := c.server.handler.Subscribe()
	return func() {
		defer unsubscribe()
		for {
			select {
			case <-c.ctx.Done():
				return
			case <-c.gone:
				return
			case e, ok := <-events:
				if !ok {
					return
				}
				params, err := json.Marshal(e)
				if err != nil {
					e.Fields = nil
					params, _ = json.Marshal(e)
				}
				c.write(Response{JSONRPC: Version, Method: MethodEvent, Params: params})
			}
		}
	}, nil
}

// reply sends the answer to the request id.
func (c *conn) reply(id json.RawMessage, result any, err error) {
	r := Response{JSONRPC: Version, ID: id}
	if err == nil {
		r.Result, err = json.Marshal(result)
	}
	if err != nil {
		r.Result = nil
		if !errors.As(err, &r.Error) {
			r.Error = &Error{Code: CodeFailed, Message: err.Error()}
		}
	}
	c.write(r)
}

// write sends one line. A peer that does not take it in time loses the connection: half a line
// cannot be taken back.
func (c *conn) write(r Response) {
	line, err := json.Marshal(r)
	if err != nil {
		c.close()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	err = c.socket.SetWriteDeadline(time.Now().Add(writeLimit))
	if err == nil {
		_, err = c.socket.Write(append(line, '\n'))
	}
	if err != nil {
		c.close()
	}
}
