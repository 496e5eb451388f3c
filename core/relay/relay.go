// Relayed delivery: one end of a pair of sockets is on the program's descriptor, the other is served here. It begins with the rest of
// the response in progress (Feed), or with a response whole (Pass), and goes on with all later ones, until the stream moves on,
// returns to direct delivery, or is closed. What it is doing is its State; the way from each to the next is in state.go.
package relay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"midstream/core/channel"
	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/http1"
)

// Relay serves the core's end of a pair for as long as the other end is on the program's descriptor. Two goroutines do: one hands
// responses to the program, the other takes its requests.
type Relay struct {
	s       Stream
	core    net.Conn
	waiting []byte          // requests to be sent again
	answers chan *dial.Conn // the next connection to take responses from
	free    chan struct{}   // closed once the response in progress has been delivered, and the stream stays relayed
	ctx     context.Context // until the end
	cancel  context.CancelFunc
	once    sync.Once
	machine machine

	// asked has the methods of the requests sent whose responses pass has not begun to take.
	asked  chan string
	wanted chan struct{} // has an element after a request has been sent
	number uint64        // of the last exchange whose response has been passed on whole
	// tunnel: the program is being handed an answer after which neither side speaks HTTP any more.
	tunnel atomic.Bool

	writing sync.Mutex // held to write a request; before mu

	mu      sync.Mutex
	up      Upstream
	conn    *dial.Conn // that takes requests; nil if there is none
	again   []byte     // the last request, where it may be sent a second time
	leaving bool       // the connection goes on without the relay
	last    bool       // the program has ended its side: it will send no more
}

// New returns a relay for a pair that has been put on the descriptor while the program was at the exchange with that number. One of
// Feed, Pass and Abandon has to follow.
func New(s Stream, up Upstream, put Put, exchange uint64) *Relay {
	r := &Relay{s: s, core: put.Core, up: up, waiting: put.Waiting, answers: make(chan *dial.Conn, 1), free: make(chan struct{}),
		number: exchange, asked: make(chan string, 128), wanted: make(chan struct{}, 1)}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	if born != nil {
		born(r)
	}
	return r
}

// born, if set, is told of each relay: in tests.
var born func(*Relay)

// Feed hands on the rest of the exchange's response, for a program that stands at the position, then all later responses. It
// returns at once.
func (r *Relay) Feed(src *Source, e Exchange, at channel.Position) {
	guard.Go(func() {
		r.serve(src, func() error {
			err := r.feed(e, src, at)
			if src.Several != nil {
				src.Several()
			}
			return err
		}, e)
	})
	if src.Several != nil {
		context.AfterFunc(r.ctx, func() { defer guard.Recover(); src.Several() })
	}
}

// Pass hands on the response whose head has been taken off the connection already, if Source.Answer says that one has, and all later
// ones. answers, unless it is "", is the method of the request that it answers. It returns at once.
func (r *Relay) Pass(src *Source, answers string) {
	if answers != "" {
		r.number-- // its response is passed on whole
		r.asked <- answers
	}
	guard.Go(func() { r.serve(src, nil, Exchange{}) })
}

// Abandon ends it as the error says.
func (r *Relay) Abandon(err error) {
	r.fail(err)
	r.end()
}

// State says what it is doing.
func (r *Relay) State() State { return r.machine.now() }

// upstream is where the requests go now.
func (r *Relay) upstream() Upstream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.up
}

// anything stands for the method of a request that nobody understands, and of all that follow it.
const anything = ""

// end closes everything.
func (r *Relay) end() {
	r.once.Do(func() {
		r.machine.to(Over)
		r.cancel()
		r.core.Close()
		r.mu.Lock()
		if r.conn != nil && !r.leaving {
			r.conn.Close()
		}
		r.mu.Unlock()
	})
}

// serve delivers what first writes, then all later exchanges, until the stream moves on, returns to direct delivery,
// or is closed.
func (r *Relay) serve(src *Source, first func() error, e Exchange) {
	defer r.end()
	r.mu.Lock()
	r.conn = src.Conn
	r.mu.Unlock()
	guard.Go(func() {
		r.s.AwaitClose(r.ctx)
		r.end()
	})
	ready := src.Reusable
	guard.Go(func() { r.requests(ready) })
	if first != nil {
		r.machine.to(Feeding)
		err := first()
		switch {
		case err == errCutThrough:
			return
		case err != nil && err != errEnds && e.Kind == http1.Close:
			r.reset(err) // the end of the connection would be that of the response
			return
		case err != nil && err != errEnds:
			r.fail(err)
			return
		}
		if !e.Persistent || err != nil {
			r.finish()
			return
		}
		if src.Reusable && len(r.waiting) == 0 && len(src.Content.Surplus()) == 0 && r.returnDirect(e.Number) {
			return
		}
		if !src.Reusable {
			r.mu.Lock()
			r.conn.Close()
			r.conn = nil
			last := r.last
			r.mu.Unlock()
			if last {
				r.finish()
				return
			}
		}
	}
	close(r.free)
	r.pass(src)
}

// feed delivers the rest of the response in progress.
func (r *Relay) feed(e Exchange, src *Source, at channel.Position) error {
	if src.Stands != nil {
		if err := src.Stands(at.Received); err != nil {
			return err
		}
	} else if gap := at.Received - src.At; gap > 0 {
		if src.Left >= 0 && gap > src.Left {
			return ErrUnfit
		}
		if _, err := src.Content.Discard(gap); err != nil {
			return err
		}
		if src.Left >= 0 {
			src.Left -= gap
		}
	}
	f := r.feedOf(e, src, at)
	if src.Rest != nil {
		src.Content.next = func() net.Conn { return r.goesOn(src) }
	}
	for {
		n, err := f.Run()
		if n == 0 || err != nil {
			return err
		}
		src.Left = f.Left
		left, again := r.leave(e, src, at.Received+f.Sent, n)
		if left {
			return errCutThrough
		}
		if !again {
			f.CutThrough = nil
		}
	}
}

// fail lets the program's end see what happened to the new connection, as it would without a relay.
func (r *Relay) fail(err error) {
	var source *SourceError
	if errors.As(err, &source) && errors.Is(err, io.ErrUnexpectedEOF) {
		r.ended(err)
		r.finish()
		return
	}
	r.reset(err)
}

// reset ends the program's end as a server that is gone does.
func (r *Relay) reset(err error) {
	r.ended(err)
	if tcp, ok := r.core.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
}

func (r *Relay) ended(err error) {
	r.s.Log().Info().Err(err).Msg("relayed delivery ended")
}

// finish ends the program's end as a server does, and waits until the program is done with it.
func (r *Relay) finish() {
	r.machine.to(Finishing)
	if tcp, ok := r.core.(*net.TCPConn); ok {
		tcp.CloseWrite()
	}
	<-r.ctx.Done()
}

// pass delivers later responses untouched.
func (r *Relay) pass(src *Source) {
	from := responseReader{tunnel: &r.tunnel}
	var conn *dial.Conn
	if src.Reusable {
		conn, from.begin = src.Conn, src.Begin
		if src.Content != nil {
			from.have = src.Content.Surplus()
		} else {
			from.given = src.Answer
		}
	}
	for {
		if conn == nil {
			r.machine.to(Waiting)
			select {
			case conn = <-r.answers:
				from.have = nil
			case <-r.ctx.Done():
				return
			}
		}
		r.machine.to(Passing)
		from.conn = conn
		err := from.wait()
		var method string
		if err == nil {
			select {
			case method = <-r.asked:
			default:
				err = errors.New("the server spoke before it was asked")
			}
		}
		if err != nil {
			if !r.lost(conn, err) {
				return
			}
			conn = nil
			continue
		}
		kind, open, err := from.pass(r.core, method)
		switch {
		case err != nil && !isEnd(err):
			r.fail(err)
			return
		case err != nil, kind == http1.Close, kind == http1.Tunnel, !open:
			r.finish()
			return
		}
		r.number++
		if len(from.have) == 0 && len(r.asked) == 0 && r.returnDirect(r.number) {
			return
		}
	}
}

// lost deals with the end of a connection between two responses. It reports whether the stream goes on: between two
// exchanges a server may close at will (RFC 9112 §9.5), and the program, which has another one's word that
// the connection persists, need not know.
func (r *Relay) lost(conn *dial.Conn, err error) bool {
	r.writing.Lock()
	defer r.writing.Unlock()
	r.mu.Lock()
	if r.conn == conn {
		r.conn = nil
	}
	conn.Close()
	outstanding, again, last := len(r.asked), r.again, r.last
	r.again = nil
	r.mu.Unlock()
	if last && outstanding == 0 {
		r.finish()
		return false
	}
	if len(r.answers) > 0 || outstanding == 0 {
		return true // it was given up for another, or nobody waits for an answer
	}
	if outstanding == 1 && again != nil && r.upstream().MayRepeat(conn) {
		if err = r.write(again); err == nil {
			return true
		}
	}
	if isEnd(err) {
		r.finish()
	} else {
		r.fail(err)
	}
	return false
}

// requests takes what the program writes to where it is answered.
func (r *Relay) requests(ready bool) {
	defer r.end()
	source := newRequestReader(io.MultiReader(bytes.NewReader(r.waiting), r.core))
	// The requests that waited follow the answer's head on the new connection (RFC 9112 §9.3.2): it is there.
	if !ready {
		if !source.wait() {
			r.closedByProgram(source.err)
			return
		}
		select {
		case <-r.free:
		case <-r.ctx.Done():
			return
		}
	}
	heads := true
	for {
		if heads && source.wait() && r.tunnel.Load() {
			heads = false
		}
		octets, request, err := source.next(heads)
		if err != nil && heads && r.upstream().Untouched() && len(source.have) > 0 {
			// Whatever it is, it goes where the program has sent it.
			heads = false
			octets, request, err = source.next(false)
			if !r.ask(anything) {
				return
			}
		}
		if err != nil {
			r.closedByProgram(err)
			return
		}
		if err := r.send(octets, request); err != nil {
			r.s.Log().Info().Err(err).Msg("a later request was not sent")
			return
		}
		if request != nil && request.Method == "CONNECT" {
			heads = false
		}
	}
}

// ask notes that a request is about to be sent.
func (r *Relay) ask(method string) bool {
	select {
	case r.asked <- method:
	case <-r.ctx.Done():
		return false
	}
	select {
	case r.wanted <- struct{}{}:
	default:
	}
	return true
}

// send sends a request's head or, where request is nil, other octets.
func (r *Relay) send(octets []byte, request *http1.Request) (err error) {
	if request != nil && !r.upstream().Untouched() {
		if octets, err = r.rewrite(request); err != nil {
			return err
		}
	}
	r.writing.Lock()
	defer r.writing.Unlock()
	if request == nil {
		r.mu.Lock()
		r.again = nil
		r.mu.Unlock()
		return r.write(octets)
	}
	method := request.Method
	if method == "CONNECT" {
		method = anything
	}
	r.mu.Lock()
	r.again = nil
	if len(r.asked) == 0 && repeatable(request) {
		r.again = octets
	}
	r.mu.Unlock()
	if !r.ask(method) {
		return net.ErrClosed
	}
	if err := r.write(octets); err != nil {
		r.mu.Lock()
		again := r.again != nil && r.conn != nil
		r.mu.Unlock()
		if !again {
			return err
		}
		// pass meets the end of the connection, too, and sends it again.
	}
	return nil
}

// repeatable reports whether a request that its server has closed the connection on may be sent again (RFC 9110 §9.2.2).
func repeatable(request *http1.Request) bool {
	movable, _ := request.Movable()
	return movable || request.Method == "HEAD" && !request.Has("Content-Length") && !request.Has("Transfer-Encoding")
}

// closedByProgram passes the program's end of its requests on. The responses may still be on their way.
func (r *Relay) closedByProgram(err error) {
	if !errors.Is(err, io.EOF) {
		return
	}
	r.mu.Lock()
	conn := r.conn
	r.last = true
	r.mu.Unlock()
	if conn != nil {
		conn.CloseWrite()
	} else {
		r.finish() // the server has ended already; the program waits for that now
	}
	<-r.ctx.Done()
}

// write sends octets of requests over the present connection, or a new one. With r.writing.
func (r *Relay) write(octets []byte) error {
	r.mu.Lock()
	conn := r.conn
	r.mu.Unlock()
	if conn == nil {
		var err error
		if conn, err = r.upstream().Open(); err != nil {
			return err
		}
		r.mu.Lock()
		r.conn = conn
		r.mu.Unlock()
		select {
		case <-r.ctx.Done():
			conn.Close()
			return net.ErrClosed
		case r.answers <- conn:
		}
	}
	_, err := conn.Write(octets)
	return err
}

// rewrite writes a request as the server or proxy at the other end expects it, and sees to it that it is the one
// which the request is for: a program may ask its proxy for several hosts on one connection.
func (r *Relay) rewrite(request *http1.Request) ([]byte, error) {
	up, same, err := r.upstream().For(request)
	if err != nil {
		return nil, err
	}
	if !same {
		// Answers come in order: those of the old server first.
		if err := r.s.AwaitAnswers(r.ctx); err != nil {
			return nil, err
		}
		r.mu.Lock()
		if r.conn != nil {
			r.conn.SetReadDeadline(time.Unix(1, 0))
			r.conn.Close()
			r.conn = nil
		}
		r.up = up
		r.mu.Unlock()
	}
	return up.Rewrite(request)
}

// returnDirect gives the stream's connection back to the program's descriptor once the program has read the exchange's
// response, where nothing of the relay's is needed any more. It reports whether the stream has returned, or has moved on meanwhile.
// It waits no longer than until the program asks for something else: whoever moves the stream may wait for the answer.
func (r *Relay) returnDirect(exchange uint64) bool {
	r.mu.Lock()
	conn, up := r.conn, r.up
	r.mu.Unlock()
	if !up.Untouched() || conn == nil {
		return false
	}
	select {
	case <-r.wanted: // of a request that has been answered
	default:
	}
	if len(r.asked) > 0 {
		return false
	}
	r.machine.to(Returning)
	turn := r.s.Turn()
	ctx, done := turn.Yield() // before the turn is taken: a migration that waits for it calls this off
	defer done()
	select {
	case turn.C <- struct{}{}:
		defer turn.Give()
	case <-r.wanted:
		return false
	case <-ctx.Done():
		return false
	case <-r.ctx.Done():
		return true
	}
	gone := r.s.Gone()
	if r.ctx.Err() != nil {
		return true
	}
	if gone || ctx.Err() != nil || r.s.GiveBack(ctx, conn, exchange) != nil {
		return false
	}
	r.machine.to(Direct)
	return true
}
