// Relayed delivery: one end of a pair of sockets is on the program's descriptor, the other is served here.
package controller

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/budget"
	"midstream/core/channel"
	"midstream/core/control"
	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/http1"
	"midstream/core/relay"
	"midstream/core/resume"
)

// direct reports whether the rest can be delivered by putting its connection on the descriptor: the program expects
// exactly the octets that will come on it, and what it will write there needs no change.
func direct(r *resume.Rest, e *exchange) bool {
	switch {
	case !r.To.Untouched() || r.Elsewhere:
		return false
	case e.Framing.Kind == http1.Length:
		run, err := r.Content.Run()
		return r.Framing.Kind == http1.Length && err == nil && run == r.Left
	case e.Framing.Kind == http1.Close:
		// The program takes the end of the connection for that of the content: where it is known how much is left, it must not
		// come earlier, nor later.
		return r.Framing.Kind == http1.Close && !r.Answer.Persistent() && r.Left == relay.Unknown
	}
	return false
}

// deliver hands the rest over to the program: now, or when it has come to the offset, for which it waits limit at
// most. The connection is taken over.
func (s *Stream) deliver(ctx context.Context, e *exchange, r *resume.Rest, when channel.When, limit time.Duration) (*outcome, error) {
	s.mu.Lock()
	alone, secure := len(s.exchanges) <= 1, s.tls != nil
	head := int64(len(e.answer))
	s.mu.Unlock()
	if secure {
		return s.deliverTwin(ctx, e, r, when, limit)
	}
	if alone && direct(r, e) {
		defer r.Conn.Close()
		if err := s.arm(r.Conn, e.number, channel.Handover{At: r.At, When: when}); err != nil {
			return nil, err
		}
		position, err := s.awaitReply(ctx, limit)
		if err != nil {
			return nil, s.again(err)
		}
		return &outcome{conn: r.Conn, offset: position.Received, delivery: control.DeliveryDirect, resumes: true}, nil
	}
	rt := r.To
	if r.Elsewhere {
		// A redirect holds for this exchange only.
		var err error
		if rt, err = s.routeOf(rt.Interface, e.Request); err != nil {
			r.Conn.Close()
			return nil, err
		}
	}
	h := channel.Handover{At: r.At, When: when}
	if r.Ending != nil {
		h.Place, h.At = channel.InTrailer, head+int64(len(r.Read))
	}
	d, position, err := s.putPair(ctx, e.number, h, limit, rt)
	if err != nil {
		r.Conn.Close()
		return nil, err
	}
	guard.Go(func() { d.serve(r, func() error { return d.feed(e, r, position) }, e) })
	return &outcome{conn: r.Conn, offset: position.Received, delivery: control.DeliveryRelayed, resumes: true}, nil
}

// relayIdle puts a pair on the descriptor between two exchanges.
func (s *Stream) relayIdle(ctx context.Context, last *exchange, r *resume.Rest) (*outcome, error) {
	d, position, err := s.putPair(ctx, last.number, channel.Handover{Place: channel.AtEnd, When: channel.Now}, 0, r.To)
	if err != nil {
		r.Conn.Close()
		return nil, err
	}
	guard.Go(func() { d.serve(r, nil, last) })
	return &outcome{conn: r.Conn, offset: position.Received, delivery: control.DeliveryRelayed}, nil
}

// putPair puts one end of a new pair on the descriptor.
func (s *Stream) putPair(ctx context.Context, exchange uint64, h channel.Handover, limit time.Duration, rt resume.Destination) (*relayed, channel.Position, error) {
	pair, err := relay.NewPair(s.opened.Domain)
	if err != nil {
		return nil, channel.Position{}, err
	}
	h.What = channel.Pair
	if err := s.arm(pair.Program, exchange, h); err != nil {
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
	d := &relayed{s: s, core: pair.Core, route: rt, over: make(chan struct{}), answers: make(chan *dial.Conn, 1),
		free: make(chan struct{}), waiting: s.waiting, number: exchange, asked: make(chan string, 128), wanted: make(chan struct{}, 1)}
	s.mu.Unlock()
	return d, position, nil
}

// relayed serves the core's end of a pair for as long as the other end is on the program's descriptor.
type relayed struct {
	s       *Stream
	core    net.Conn
	route   resume.Destination
	waiting []byte          // requests to be sent again
	answers chan *dial.Conn // the next connection to take responses from
	free    chan struct{}   // closed once the response in progress has been delivered, and the stream stays relayed
	over    chan struct{}
	once    sync.Once

	// asked has the methods of the requests sent whose responses pass has not begun to take.
	asked  chan string
	wanted chan struct{} // has an element after a request has been sent
	number uint64        // of the last exchange whose response has been passed on whole
	// tunnel: the program is being handed an answer after which neither side speaks HTTP any more.
	tunnel atomic.Bool

	writing sync.Mutex // held to write a request

	mu      sync.Mutex
	conn    *dial.Conn // that takes requests; nil if there is none
	again   []byte     // the last request, where it may be sent a second time
	leaving bool       // the connection goes on without the relay
	last    bool       // the program has ended its side: it will send no more
}

// anything stands for the method of a request that nobody understands, and of all that follow it.
const anything = ""

// end closes everything.
func (d *relayed) end() {
	d.once.Do(func() {
		close(d.over)
		d.core.Close()
		d.mu.Lock()
		if d.conn != nil && !d.leaving {
			d.conn.Close()
		}
		d.mu.Unlock()
	})
}

// serve delivers what first writes, then all later exchanges, until the stream moves on, returns to direct delivery,
// or is closed.
func (d *relayed) serve(r *resume.Rest, first func() error, e *exchange) {
	defer d.end()
	d.mu.Lock()
	d.conn = r.Conn
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
	guard.Go(func() { d.requests(r.Reusable) })
	if first != nil {
		err := first()
		switch {
		case err == errApart:
			return
		case err != nil && err != errEnds && e.Framing.Kind == http1.Close:
			d.reset(err) // the end of the connection would be that of the response
			return
		case err != nil && err != errEnds:
			d.fail(err)
			return
		}
		d.s.mu.Lock()
		persistent := e.persistent() && err == nil
		d.s.mu.Unlock()
		if !persistent {
			d.finish()
			return
		}
		if r.Reusable && len(d.waiting) == 0 && len(r.Content.Surplus()) == 0 && d.returnDirect(e.number) {
			return
		}
		if !r.Reusable {
			d.mu.Lock()
			d.conn.Close()
			d.conn = nil
			last := d.last
			d.mu.Unlock()
			if last {
				d.finish()
				return
			}
		}
	}
	close(d.free)
	d.pass(r)
}

// feed delivers the rest of the response in progress.
func (d *relayed) feed(e *exchange, r *resume.Rest, at channel.Position) error {
	if gap := at.Received - r.At; gap > 0 {
		if r.Left >= 0 && gap > r.Left {
			return relay.ErrContradiction
		}
		if _, err := r.Content.Discard(gap); err != nil {
			return err
		}
		if r.Left >= 0 {
			r.Left -= gap
		}
	}
	f := d.feedOf(e, r, at)
	for {
		n, err := f.Run()
		if n == 0 || err != nil {
			return err
		}
		r.Left = f.Left
		left, again := d.leave(e, r, at.Received+f.Sent, n)
		if left {
			return errApart
		}
		if !again {
			f.Apart = nil
		}
	}
}

// fail lets the program's end see what happened to the new connection, as it would without a relay.
func (d *relayed) fail(err error) {
	var source *relay.SourceError
	if errors.As(err, &source) && errors.Is(err, io.ErrUnexpectedEOF) {
		d.ended(err)
		d.finish()
		return
	}
	d.reset(err)
}

// reset ends the program's end as a server that is gone does.
func (d *relayed) reset(err error) {
	d.ended(err)
	if tcp, ok := d.core.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

func (d *relayed) ended(err error) {
	d.s.c.log.Info().Str("session", d.s.name()).Err(err).Msg("relayed delivery ended")
}

// finish ends the program's end as a server does, and waits until the program is done with it.
func (d *relayed) finish() {
	if tcp, ok := d.core.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
	<-d.over
}

// pass delivers later responses untouched.
func (d *relayed) pass(r *resume.Rest) {
	from := responseReader{tunnel: &d.tunnel}
	var conn *dial.Conn
	if r.Reusable {
		conn, from.begin = r.Conn, r.Begin
		if r.Content != nil {
			from.have = r.Content.Surplus()
		} else {
			from.given = r.Answer
		}
	}
	for {
		if conn == nil {
			select {
			case conn = <-d.answers:
				from.have = nil
			case <-d.over:
				return
			}
		}
		from.conn = conn
		err := from.wait()
		var method string
		if err == nil {
			select {
			case method = <-d.asked:
			default:
				err = errors.New("the server spoke before it was asked")
			}
		}
		if err != nil {
			if !d.lost(conn, err) {
				return
			}
			conn = nil
			continue
		}
		kind, open, err := from.pass(d.core, method)
		switch {
		case err != nil && !isEnd(err):
			d.fail(err)
			return
		case err != nil, kind == http1.Close, kind == http1.Tunnel, !open:
			d.finish()
			return
		}
		d.number++
		if len(from.have) == 0 && len(d.asked) == 0 && d.returnDirect(d.number) {
			return
		}
	}
}

// lost deals with the end of a connection between two responses. It reports whether the stream goes on: between two
// exchanges a server may close at will (RFC 9112 §9.5), and the program, which has another one's word that
// the connection persists, need not know.
func (d *relayed) lost(conn *dial.Conn, err error) bool {
	d.writing.Lock()
	defer d.writing.Unlock()
	d.mu.Lock()
	if d.conn == conn {
		d.conn = nil
	}
	conn.Close()
	outstanding, again, last := len(d.asked), d.again, d.last
	d.again = nil
	d.mu.Unlock()
	if last && outstanding == 0 {
		d.finish()
		return false
	}
	if len(d.answers) > 0 || outstanding == 0 {
		return true // it was given up for another, or nobody waits for an answer
	}
	if outstanding == 1 && again != nil && d.s.repeats(budget.PlaceOf(d.route.Interface, conn)) {
		if err = d.write(again); err == nil {
			return true
		}
	}
	if isEnd(err) {
		d.finish()
	} else {
		d.fail(err)
	}
	return false
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
	heads := true
	for {
		if heads && source.wait() && d.tunnel.Load() {
			heads = false
		}
		octets, request, err := source.next(heads)
		if err != nil && heads && d.route.Untouched() && len(source.have) > 0 {
			// Whatever it is, it goes where the program has sent it.
			heads = false
			octets, request, err = source.next(false)
			if !d.ask(anything) {
				return
			}
		}
		if err != nil {
			d.closedByProgram(err)
			return
		}
		if err := d.send(octets, request); err != nil {
			d.s.c.log.Info().Str("session", d.s.name()).Err(err).Msg("a later request was not sent")
			return
		}
		if request != nil && request.Method == "CONNECT" {
			heads = false
		}
	}
}

// ask notes that a request is about to be sent.
func (d *relayed) ask(method string) bool {
	select {
	case d.asked <- method:
	case <-d.over:
		return false
	}
	select {
	case d.wanted <- struct{}{}:
	default:
	}
	return true
}

// send sends a request's head or, where request is nil, other octets.
func (d *relayed) send(octets []byte, request *http1.Request) (err error) {
	if request != nil && !d.route.Untouched() {
		if octets, err = d.rewrite(request); err != nil {
			return err
		}
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	if request == nil {
		d.mu.Lock()
		d.again = nil
		d.mu.Unlock()
		return d.write(octets)
	}
	method := request.Method
	if method == "CONNECT" {
		method = anything
	}
	d.mu.Lock()
	d.again = nil
	if movable, _ := request.Movable(); movable && len(d.asked) == 0 {
		d.again = octets
	}
	d.mu.Unlock()
	if !d.ask(method) {
		return net.ErrClosed
	}
	if err := d.write(octets); err != nil {
		d.mu.Lock()
		again := d.again != nil && d.conn != nil
		d.mu.Unlock()
		if !again {
			return err
		}
		// pass meets the end of the connection, too, and sends it again.
	}
	return nil
}

// closedByProgram passes the program's end of its requests on. The responses may still be on their way.
func (d *relayed) closedByProgram(err error) {
	if !errors.Is(err, io.EOF) {
		return
	}
	d.mu.Lock()
	conn := d.conn
	d.last = true
	d.mu.Unlock()
	if conn != nil {
		conn.CloseWrite()
	} else {
		d.finish() // the server has ended already; the program waits for that now
	}
	<-d.over
}

// write sends octets of requests over the present connection, or a new one. With d.writing.
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
func (d *relayed) rewrite(request *http1.Request) ([]byte, error) {
	rt, err := d.s.routeOf(d.route.Interface, request)
	if err != nil {
		return nil, err
	}
	if !rt.Same(d.route) {
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
	form := rt.Form
	form.First = true
	rewritten := http1.ResumeRequest(request, -1, -1, "", form)
	if rewritten == nil {
		return nil, fmt.Errorf("the request cannot be written for %s", rt.Host)
	}
	return rewritten, nil
}

// returnDirect gives the stream's connection back to the program's descriptor once the program has read the exchange's
// response, where nothing of the relay's is needed any more. It reports whether the stream has returned, or has moved on meanwhile.
// It waits no longer than until the program asks for something else: whoever moves the stream may wait for the answer.
func (d *relayed) returnDirect(exchange uint64) bool {
	s := d.s
	d.mu.Lock()
	conn := d.conn
	d.mu.Unlock()
	if !d.route.Untouched() || conn == nil {
		return false
	}
	select {
	case <-d.wanted: // of a request that has been answered
	default:
	}
	if len(d.asked) > 0 {
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s.mu.Lock()
	s.returning = cancel // before moving is held: a migration that waits for it calls this off
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.returning = nil
		s.mu.Unlock()
	}()
	select {
	case s.moving <- struct{}{}:
		defer func() { <-s.moving }()
	case <-d.wanted:
		return false
	case <-ctx.Done():
		return false
	case <-d.over:
		return true
	}
	s.mu.Lock()
	gone := s.closed || s.left.Why != 0
	s.mu.Unlock()
	select {
	case <-d.over:
		return true
	default:
	}
	if gone || ctx.Err() != nil {
		return false
	}
	if err := s.arm(conn, exchange, channel.Handover{Place: channel.AtEnd}); err != nil {
		return false
	}
	_, err := s.awaitReply(ctx, 0)
	return err == nil
}
