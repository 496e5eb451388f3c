// Relayed delivery: one end of a pair of sockets is on the program's descriptor, the other is served here.
package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"

	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/relay"
)

// direct reports whether the rest can be delivered by putting its connection on the descriptor: the program expects
// exactly the octets that will come on it, and what it will write there needs no change.
func (r *rest) direct(e *exchange) bool {
	switch {
	case !r.route.untouched() || r.elsewhere:
		return false
	case e.framing.Kind == http1.Length:
		run, err := r.content.Run()
		return r.framing.Kind == http1.Length && err == nil && run == r.left
	case e.framing.Kind == http1.Close:
		// The program waits for the end of the connection.
		return !r.answer.Persistent() && (r.framing.Kind == http1.Close || r.framing.Kind == http1.Length && r.content.Left() == r.left)
	}
	return false
}

// deliver hands the rest over to the program: now, or when it has come to the offset, for which it waits limit at
// most. The connection is taken over.
func (s *Stream) deliver(ctx context.Context, e *exchange, r *rest, now channel.Flags, limit time.Duration) (*outcome, error) {
	s.mu.Lock()
	alone := len(s.exchanges) <= 1
	s.mu.Unlock()
	if alone && r.direct(e) {
		defer r.conn.Close()
		if err := s.arm(r.conn, e.number, r.at, now); err != nil {
			return nil, err
		}
		position, err := s.awaitReply(ctx, limit)
		if err != nil {
			return nil, s.again(err)
		}
		return &outcome{conn: r.conn, offset: position.Received, delivery: control.DeliveryDirect, resumes: true}, nil
	}
	d, position, err := s.putPair(ctx, e.number, r.at, now, limit, r.route)
	if err != nil {
		r.conn.Close()
		return nil, err
	}
	guard.Go(func() { d.serve(r, func() error { return d.feed(e, r, position) }, e) })
	return &outcome{conn: r.conn, offset: position.Received, delivery: control.DeliveryRelayed, resumes: true}, nil
}

// relayIdle puts a pair on the descriptor between two exchanges.
func (s *Stream) relayIdle(ctx context.Context, last *exchange, r *rest) (*outcome, error) {
	d, position, err := s.putPair(ctx, last.number, last.received, channel.Now, 0, r.route)
	if err != nil {
		r.conn.Close()
		return nil, err
	}
	guard.Go(func() { d.serve(r, nil, last) })
	return &outcome{conn: r.conn, offset: position.Received, delivery: control.DeliveryRelayed}, nil
}

// putPair puts one end of a new pair on the descriptor.
func (s *Stream) putPair(ctx context.Context, exchange uint64, at int64, flags channel.Flags, limit time.Duration, rt route) (*relayed, channel.Position, error) {
	s.mu.Lock()
	secure := s.tls != nil
	s.mu.Unlock()
	if secure {
		return nil, channel.Position{}, refuse("over TLS, only an answer that is framed as the old one can be delivered")
	}
	pair, err := relay.NewPair(s.opened.Domain)
	if err != nil {
		return nil, channel.Position{}, err
	}
	if err := s.arm(pair.Program, exchange, at, flags|channel.Relay); err != nil {
		pair.Close()
		return nil, channel.Position{}, err
	}
	pair.Program.Close()
	position, err := s.awaitReply(ctx, limit)
	if err != nil {
		pair.Core.Close()
		return nil, channel.Position{}, s.again(err)
	}
	s.mu.Lock()
	d := &relayed{s: s, core: pair.Core, route: rt, over: make(chan struct{}), answers: make(chan net.Conn, 1),
		free: make(chan struct{}), waiting: s.waiting}
	s.mu.Unlock()
	return d, position, nil
}

// relayed serves the core's end of a pair for as long as the other end is on the program's descriptor.
type relayed struct {
	s       *Stream
	core    net.Conn
	route   route
	waiting []byte        // requests to be sent again
	answers chan net.Conn // the next connection to take responses from
	free    chan struct{} // closed once the response in progress has been delivered, and the stream stays relayed
	over    chan struct{}
	once    sync.Once

	mu   sync.Mutex
	conn *dial.Conn // that takes requests; nil if there is none
}

// end closes everything.
func (d *relayed) end() {
	d.once.Do(func() {
		close(d.over)
		d.core.Close()
		d.mu.Lock()
		if d.conn != nil {
			d.conn.Close()
		}
		d.mu.Unlock()
	})
}

// serve delivers what first writes, then all later exchanges, until the stream moves on, returns to direct delivery,
// or is closed.
func (d *relayed) serve(r *rest, first func() error, e *exchange) {
	defer d.end()
	d.mu.Lock()
	d.conn = r.conn
	d.mu.Unlock()
	go func() {
		defer guard.Recover()
		d.s.await(context.Background(), func() (bool, error) {
			select {
			case <-d.over:
				return true, nil
			default:
				return d.s.closed, nil
			}
		})
		d.end()
	}()
	guard.Go(func() { d.requests(r.reusable) })
	if first != nil {
		if err := first(); err != nil {
			d.fail(err)
			return
		}
		d.s.mu.Lock()
		persistent := e.persistent()
		d.s.mu.Unlock()
		if !persistent {
			d.finish()
			return
		}
		if r.reusable && d.returnDirect(e, channel.AtEnd) {
			return
		}
		if !r.reusable {
			d.mu.Lock()
			d.conn.Close()
			d.conn = nil
			d.mu.Unlock()
		}
	}
	close(d.free)
	d.pass(r)
}

// feed delivers the rest of the response in progress.
func (d *relayed) feed(e *exchange, r *rest, at channel.Position) error {
	if gap := at.Received - r.at; gap > 0 {
		if r.left >= 0 && gap > r.left {
			return relay.ErrContradiction
		}
		if _, err := r.content.Discard(gap); err != nil {
			return err
		}
		if r.left >= 0 {
			r.left -= gap
		}
	}
	f := relay.Feed{To: d.core, Content: r.content, At: at, Kind: e.framing.Kind, Left: r.left, Longer: r.longer}
	return f.Run()
}

// fail lets the program's end see what happened to the new connection, as it would without a relay.
func (d *relayed) fail(err error) {
	var source *relay.SourceError
	d.s.c.log.Info().Str("session", d.s.name()).Err(err).Msg("relayed delivery ended")
	if errors.As(err, &source) && errors.Is(err, io.ErrUnexpectedEOF) {
		d.finish()
		return
	}
	if tcp, ok := d.core.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

// finish ends the program's end as a server does, and waits until the program is done with it.
func (d *relayed) finish() {
	if tcp, ok := d.core.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
	<-d.over
}

// pass delivers later responses untouched.
func (d *relayed) pass(r *rest) {
	var conn net.Conn
	if r.reusable {
		conn = r.conn
		if r.content != nil && len(r.content.Surplus()) > 0 {
			if _, err := d.core.Write(r.content.Surplus()); err != nil {
				return
			}
		}
	}
	for {
		if conn == nil {
			select {
			case conn = <-d.answers:
			case <-d.over:
				return
			}
		}
		_, err := relay.Copy(d.core, conn, -1)
		switch {
		case err == nil:
			select {
			case conn = <-d.answers: // this one was given up for another
				continue
			default:
			}
			d.finish()
			return
		case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, os.ErrClosed), errors.Is(err, net.ErrClosed):
			conn = nil
		default:
			d.fail(err)
			return
		}
	}
}

// requests takes what the program writes to where it is answered.
func (d *relayed) requests(ready bool) {
	defer d.end()
	source := newRequestReader(io.MultiReader(bytes.NewReader(d.waiting), d.core))
	// The requests that waited follow the answer's head on the new connection (RFC 9112 §9.3.2): it is there.
	if !ready {
		if !source.wait() {
			d.closedByProgram(source.err)
			return
		}
		select {
		case <-d.free:
		case <-d.over:
			return
		}
	}
	for {
		octets, request, err := source.next(!d.route.untouched())
		if err != nil {
			d.closedByProgram(err)
			return
		}
		if request != nil {
			if octets, err = d.rewrite(request, octets); err != nil {
				d.s.c.log.Info().Str("session", d.s.name()).Err(err).Msg("a later request cannot be sent")
				return
			}
		}
		if err := d.write(octets); err != nil {
			d.s.c.log.Info().Str("session", d.s.name()).Err(err).Msg("a later request was not sent")
			return
		}
	}
}

// closedByProgram passes the program's end of its requests on. The responses may still be on their way.
func (d *relayed) closedByProgram(err error) {
	if !errors.Is(err, io.EOF) {
		return
	}
	d.mu.Lock()
	conn := d.conn
	d.mu.Unlock()
	if conn != nil {
		conn.CloseWrite()
	}
	<-d.over
}

// write sends octets of requests over the present connection, or a new one.
func (d *relayed) write(octets []byte) error {
	d.mu.Lock()
	conn := d.conn
	d.mu.Unlock()
	if conn == nil {
		var err error
		ctx, cancel := context.WithTimeout(context.Background(), d.s.c.config.Migration.Timeout)
		conn, err = d.s.open(ctx, d.route)
		cancel()
		if err != nil {
			return err
		}
		d.mu.Lock()
		d.conn = conn
		d.mu.Unlock()
		select {
		case <-d.over:
			conn.Close()
			return net.ErrClosed
		case d.answers <- conn:
		}
	}
	_, err := conn.Write(octets)
	return err
}

// rewrite writes a request as the server or proxy at the other end expects it, and sees to it that it is the one
// which the request is for: a program may ask its proxy for several hosts on one connection.
func (d *relayed) rewrite(request *http1.Request, octets []byte) ([]byte, error) {
	rt, err := d.s.routeOf(d.route.iface, request)
	if err != nil {
		return nil, err
	}
	if !rt.same(d.route) {
		// Answers come in order: those of the old server first.
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		go func() {
			defer guard.Recover()
			select {
			case <-d.over:
				cancel()
			case <-ctx.Done():
			}
		}()
		if err := d.s.await(ctx, func() (bool, error) { return len(d.s.exchanges) <= 1, nil }); err != nil {
			return nil, err
		}
		d.mu.Lock()
		if d.conn != nil {
			d.conn.SetReadDeadline(time.Unix(1, 0))
			d.conn.Close()
			d.conn = nil
		}
		d.mu.Unlock()
		d.route = rt
	}
	rewritten := http1.ResumeRequest(request, -1, -1, "", rt.form)
	if rewritten == nil {
		return nil, fmt.Errorf("the request cannot be written for %s", rt.host)
	}
	return append(rewritten, octets...), nil
}

// returnDirect gives the stream's connection back to the program's descriptor, where nothing of the relay's is needed
// any more. It reports whether the stream has returned, or has moved on meanwhile.
func (d *relayed) returnDirect(e *exchange, flags channel.Flags) bool {
	s := d.s
	if !d.route.untouched() || len(d.waiting) > 0 {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	select {
	case s.moving <- struct{}{}:
		defer func() { <-s.moving }()
	case <-d.over:
		return true
	}
	s.mu.Lock()
	s.returning = cancel
	gone := s.closed || s.left != ""
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.returning = nil
		s.mu.Unlock()
	}()
	select {
	case <-d.over:
		return true
	default:
	}
	if gone {
		return false
	}
	if err := s.arm(d.conn, e.number, 0, flags); err != nil {
		return false
	}
	_, err := s.awaitReply(ctx, 0)
	return err == nil
}
