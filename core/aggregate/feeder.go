// A path at work: its connection, what it is asked, what it answers.
package aggregate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"syscall"
	"time"

	"midstream/core/guard"
	"midstream/core/http1"
)

const (
	dialTimeout  = 3 * time.Second
	proofTimeout = 5 * time.Second
	firstBackOff = 250 * time.Millisecond
	lastBackOff  = 4 * time.Second
	idleBackOff  = time.Minute // where nothing was to be asked

	headBuffer = 4 << 10
	maxInterim = 16
)

// feeder is a path. Its fields are those of a.mu, but for what only its own goroutine uses.
type feeder struct {
	a   *Assembler
	n   int
	way Way

	wire    *wire // nil while there is none
	server  string
	why     string
	isOut   bool
	failing bool // nothing has come since something failed
	fails   int  // in a row
}

// wire is a connection that answers.
type wire struct {
	net.Conn
	server  string
	place   *place
	buffer  []byte // what has been read and not used is have
	have    []byte
	queue   []*piece // asked for, the first is being answered
	out     []byte   // requests to be sent
	wake    chan struct{}
	given   bool // up: whatever comes is of no use
	brought bool // content
	closing bool
	passed  bool // on to the reader
	low     int  // octets that reads may wait for
	set     int  // SO_RCVLOWAT
}

var (
	errGivenUp = errors.New("the connection has been given up")
	errIdle    = errors.New("the server has closed a connection that was not in use")
	errClosing = errors.New("the server ends the connection after each answer, or after some")
	errPassed  = errors.New("the connection has been passed on")
	errMore    = errors.New("the server ends the connection before enough of its content has been compared")
	errAlone   = errors.New("the server's answer cannot be left to one connection")
	errDropped = errors.New("the server loses requests that are sent before it has answered")
)

// run keeps the path going.
func (f *feeder) run() {
	a := f.a
	defer a.done.Done()
	var next chan dialled
	for a.ctx.Err() == nil {
		var d dialled
		if next != nil {
			d = <-next
			next = nil
		} else {
			d = f.connect()
		}
		err := d.err
		if err == nil {
			next, err = f.serve(d)
		}
		if err == errPassed && !f.misses() || err != errPassed && !f.ended(err) {
			break
		}
	}
	if next != nil {
		if d := <-next; d.wire != nil {
			reset(d.wire.Conn)
		}
	}
}

// misses waits, once the path's connection brings the rest by itself, until all before is there, or nobody else is left to bring it. It
// reports whether that is so.
func (f *feeder) misses() bool {
	a := f.a
	a.mu.Lock()
	defer a.mu.Unlock()
	f.wire = nil
	for a.ctx.Err() == nil && a.s.Next() < a.end {
		others := slices.ContainsFunc(a.feeders, func(o *feeder) bool { return o != f && !o.isOut && !o.failing })
		if !others {
			return true
		}
		a.changed.Wait()
	}
	return false
}

// ended deals with the end of a connection, or of the attempt to make one. It reports whether there is to be another, after a while.
func (f *feeder) ended(err error) bool {
	a := f.a
	a.mu.Lock()
	had := f.wire
	brought := had != nil && had.brought
	if f.wire != nil && !f.wire.given {
		a.s.Lost(a.now(), f.n)
		f.cut()
	}
	f.wire = nil
	if f.isOut || a.ctx.Err() != nil {
		a.plan()
		a.mu.Unlock()
		return false
	}
	f.why = err.Error()
	var wait time.Duration
	var r *refusal
	switch {
	case errors.As(err, &r) && r.out:
		f.out(r.why)
		a.plan()
		a.mu.Unlock()
		return false
	case errors.As(err, &r) && r.after > 0:
		wait = r.after
		f.failing = true
		f.fails++
		a.o.Places.broughtNothing()
	case err == errMore:
		a.o.Places.broughtNothing()
	case err == errClosing, err == errDropped, err == errAlone, brought && (err == errIdle || err == errGivenUp):
	case err == errIdle:
		// It has not been asked: that says nothing of the path, but another connection is not made at once, nor often.
		wait = min(firstBackOff<<min(f.fails, 8), idleBackOff)
		f.fails++
	case brought:
		f.fails = 0
	default:
		// A connection may end at any time; that none can be had, or none brings anything, is another matter.
		f.failing = f.failing || had == nil || f.fails > 0
		if a.s.Finishing(f.n) {
			a.s.Together(a.now()) // it cannot go on alone
		}
		wait = min(firstBackOff<<min(f.fails, 8), lastBackOff)
		f.fails++
		a.o.Places.broughtNothing()
	}
	a.note(f.n, f.why)
	a.hopeless()
	a.plan()
	a.changed.Broadcast() // who waits for it to go on alone
	// A program that has enough needs no other connection yet.
	a.asleep++
	for err == errIdle && a.s.Fed() && a.ctx.Err() == nil {
		a.changed.Wait()
	}
	a.asleep--
	if f.failing {
		wait = max(wait, a.o.Places.pause())
	}
	a.mu.Unlock()
	if wait > 0 {
		t := time.NewTimer(wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-a.ctx.Done():
			return false
		}
	}
	return true
}

// out puts the path out for good. With a.mu.
func (f *feeder) out(why string) {
	f.why, f.isOut = why, true
	f.a.s.Out(f.a.now(), f.n)
	f.cut()
	f.abandon()
	f.a.note(f.n, "is out: "+why)
	f.a.hopeless()
	f.a.changed.Broadcast()
}

// cut takes from the pieces what will not come. With a.mu.
func (f *feeder) cut() {
	if f.wire == nil {
		return
	}
	for _, p := range f.wire.queue {
		p.end, p.torn = p.at(), true
	}
	f.wire.queue = nil
	f.a.release()
}

// abandon gives the connection up: what the scheduler knows of it is over already. With a.mu.
func (f *feeder) abandon() {
	if f.wire == nil || f.wire.given || f.wire.passed {
		return
	}
	f.wire.given = true
	f.cut()
	reset(f.wire.Conn)
	f.wire.kick()
}

// reset ends a connection with RST: what is still to come is not wanted.
func reset(conn net.Conn) {
	switch c := conn.(type) {
	case interface{ Reset() error }:
		c.Reset()
		return
	case *net.TCPConn:
		c.SetLinger(0)
	}
	conn.Close()
}

// ask asks for a block. With a.mu.
func (f *feeder) ask(o Order) {
	w := f.wire
	request := f.way.Request(o.First, o.End-1)
	if request == nil {
		f.out("the request cannot be written any more")
		return
	}
	p := &piece{id: o.Block, path: f, place: w.place, first: o.First, end: o.End, last: o.End == f.a.o.End && f.a.s.Ending(f.n)}
	f.a.pieces = append(f.a.pieces, p)
	w.queue = append(w.queue, p)
	w.out = append(w.out, request...)
	clear(request)
	w.kick()
}

func (w *wire) kick() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// send writes the requests, until the connection is given up.
func (w *wire) send(f *feeder, done <-chan struct{}) {
	for {
		select {
		case <-w.wake:
		case <-done:
			return
		}
		f.a.mu.Lock()
		out := w.out
		w.out = nil
		f.a.mu.Unlock()
		if len(out) > 0 {
			_, err := w.Write(out)
			clear(out)
			if err != nil {
				return // who reads will see it as well
			}
		}
	}
}

// dialled is a connection, with a server that has been proved.
type dialled struct {
	wire     *wire
	rtt      time.Duration
	answered bool // it has answered already
	err      error
}

// connect makes a connection, and has its server proved.
func (f *feeder) connect() dialled {
	a := f.a
	ctx, cancel := context.WithTimeout(a.ctx, dialTimeout)
	defer cancel()
	begun := time.Now()
	conn, err := f.way.Dial(ctx)
	if err != nil {
		return dialled{err: err}
	}
	rtt := time.Since(begun)
	if c, ok := conn.(interface{ RTT() time.Duration }); ok {
		rtt = c.RTT()
	}
	w := &wire{Conn: conn, server: conn.RemoteAddr().String(), buffer: make([]byte, headBuffer), wake: make(chan struct{}, 1), low: 1, set: 1}
	w.place = a.o.Places.at(f.way.Interface(), w.server)
	a.mu.Lock()
	f.server = w.server
	a.mu.Unlock()
	if r := w.place.refusal(); r != nil {
		reset(conn)
		return dialled{err: r}
	}
	// Behind one address there may be several servers: only a strong validator, which each answer has, spares the proof.
	v := w.place.proved.Load()
	proved := v != nil && v.EqualStrong(*v)
	if !proved {
		// Whoever ends it all interrupts this.
		stop := context.AfterFunc(a.ctx, func() {
			defer guard.Recover()
			conn.SetDeadline(time.Unix(1, 0))
		})
		conn.SetDeadline(time.Now().Add(proofTimeout))
		rtt, err = f.prove(w)
		if !stop() && err == nil {
			err = a.ctx.Err()
		}
		if v = w.place.proved.Load(); err == nil && w.closing && !v.EqualStrong(*v) {
			err = &refusal{why: "the server ends the connection before it can be asked for what has been proved to be the same", out: true}
		}
		if err != nil {
			reset(conn)
			return dialled{err: f.refused(w, err)}
		}
		conn.SetDeadline(time.Time{})
		if w.closing {
			// It has answered its last request.
			reset(conn)
			return dialled{err: errClosing}
		}
	}
	return dialled{wire: w, rtt: rtt, answered: !proved}
}

// connecting makes a connection meanwhile.
func (f *feeder) connecting() chan dialled {
	c := make(chan dialled, 1)
	guard.Go(func() {
		d := dialled{err: errGivenUp} // whatever happens, who waits for it goes on
		defer func() { c <- d }()
		d = f.connect()
	})
	return c
}

// refused has an error remembered of the server, if that refuses something.
func (f *feeder) refused(w *wire, err error) error {
	var r *refusal
	if !errors.As(err, &r) {
		return err
	}
	w.place.refuse(r)
	if way, ok := f.way.(interface {
		Refused(conn net.Conn, status int, after time.Duration)
	}); ok && r.after > 0 {
		way.Refused(w.Conn, r.status, r.after)
	}
	return err
}

// prove asks the server for what the program has received already, and compares. It returns the round trip.
func (f *feeder) prove(w *wire) (rtt time.Duration, err error) {
	o := &f.a.o
	n := min(max(o.Overlap, 0), len(o.Known))
	if w.place.much.Load() {
		n = len(o.Known)
	}
	for ; ; n = len(o.Known) {
		first, end := o.KnownEnd-int64(n), o.KnownEnd
		if n == 0 {
			end = first + 1 // its head has to do
		}
		begun := time.Now()
		request := f.way.Request(first, end-1)
		if request == nil {
			return 0, &refusal{why: "the request cannot be written any more", out: true}
		}
		_, err := w.Write(request)
		clear(request)
		if err != nil {
			return 0, err
		}
		answer, err := w.head()
		if err != nil {
			return 0, err
		}
		if rtt == 0 {
			rtt = time.Since(begun)
		}
		framing, to, err := check(answer, first, end, o.Total, time.Now())
		if err != nil {
			return 0, err
		}
		w.closing = !answer.Persistent() || framing.Kind == http1.Close
		octets := make([]byte, to-first)
		if err := w.content(framing, octets, nil); err != nil {
			return 0, err
		}
		if n > 0 && !bytes.Equal(octets, o.Known[len(o.Known)-n:][:to-first]) {
			return 0, &refusal{why: "the server's content is another one", out: true}
		}
		v := f.validators(answer)
		compared := int64(0)
		if to == o.KnownEnd {
			compared = int64(n)
		}
		switch err := o.Prove(v, compared); {
		case err == nil:
			w.place.proved.Store(&v)
			return rtt, nil
		case errors.Is(err, ErrCompare) && n < len(o.Known):
			w.place.much.Store(true)
			if w.closing {
				return 0, errMore
			}
		default:
			return 0, &refusal{why: err.Error(), out: true}
		}
	}
}

// head reads the head of the next answer; what has been read behind it is kept.
func (w *wire) head() (*http1.Response, error) {
	for interim := 0; ; {
		if end := http1.HeadEnd(w.have); end >= 0 {
			answer, err := http1.ParseResponse(w.have[:end])
			if err != nil {
				return nil, &refusal{why: "the server's answer is malformed", out: true}
			}
			w.have = w.have[end:]
			if !answer.Interim() {
				return answer, nil
			}
			if interim++; interim > maxInterim {
				return nil, &refusal{why: "the server sends interim responses without end", out: true}
			}
			continue
		}
		if len(w.have) >= http1.MaxHead {
			return nil, &refusal{why: "the server's head is too long", out: true}
		}
		n := copy(w.buffer, w.have)
		if n == len(w.buffer) {
			w.buffer = append(w.buffer, make([]byte, n)...)
		}
		k, err := w.Conn.Read(w.buffer[n:])
		w.have = w.buffer[:n+k]
		if k == 0 && err != nil {
			if err == io.EOF && n > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

// content reads an answer's content to fill b, and tells of octets as they come; false gives up.
func (w *wire) content(f http1.Framing, b []byte, came func(n int) bool) error {
	tell := func(n int) error {
		if n > 0 && came != nil && !came(n) {
			return errGivenUp
		}
		return nil
	}
	if f.Kind == http1.Chunked {
		had := bytes.NewReader(w.have)
		body := http1.NewBodyReader(io.MultiReader(had, w.Conn), f)
		for at := 0; ; {
			if at == len(b) {
				// The last chunk, and nothing more.
				var none [1]byte
				if n, err := body.Read(none[:]); n > 0 || err != io.EOF {
					return &refusal{why: "the server's content is longer than it said", out: true}
				}
				unread, _ := io.ReadAll(had)
				w.have = append(body.Surplus(), unread...)
				return nil
			}
			n, err := body.Read(b[at:])
			at += n
			if err := tell(n); err != nil {
				return err
			}
			if n == 0 && err == io.EOF {
				return io.ErrUnexpectedEOF
			}
			if n == 0 && err != nil {
				return err
			}
		}
	}
	at := copy(b, w.have)
	w.have = w.have[at:]
	if err := tell(at); err != nil {
		return err
	}
	for at < len(b) {
		w.atLeast(min(w.low, len(b)-at))
		n, err := w.Conn.Read(b[at:])
		at += n
		if err := tell(n); err != nil {
			return err
		}
		if n == 0 && err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
	}
	w.atLeast(1)
	return nil
}

// serve lets the connection answer what is asked, until it ends. Where the server has announced that, the next one is being made
// meanwhile.
func (f *feeder) serve(d dialled) (next chan dialled, err error) {
	a, w := f.a, d.wire
	done := make(chan struct{})
	defer close(done)
	a.mu.Lock()
	if a.ctx.Err() != nil {
		a.mu.Unlock()
		reset(w.Conn)
		return nil, a.ctx.Err()
	}
	f.wire, f.why, f.failing = w, "", false
	a.s.Ready(a.now(), f.n, d.rtt, 0)
	a.s.Ahead(f.n, d.answered && !w.place.single.Load())
	guard.Go(func() { w.send(f, done) })
	a.plan()
	a.changed.Broadcast()
	a.mu.Unlock()
	defer func() {
		if err != errPassed {
			reset(w.Conn)
		}
	}()
	for {
		answer, err := f.await(w)
		if err != nil {
			return next, err
		}
		a.mu.Lock()
		if w.given || len(w.queue) == 0 {
			a.mu.Unlock()
			if w.given {
				return next, errGivenUp
			}
			return next, errIdle // an answer to nothing: 408, as some send before they close
		}
		p := w.queue[0]
		asked := p.end
		a.mu.Unlock()
		framing, to, err := check(answer, p.first, asked, a.o.Total, time.Now())
		if err == nil {
			err = f.still(w, answer)
		}
		if err != nil {
			return next, f.refused(w, err)
		}
		closing := !answer.Persistent() || framing.Kind == http1.Close
		a.mu.Lock()
		if to < p.end {
			p.end = to
			a.s.Shorter(a.now(), f.n, to)
			a.changed.Broadcast()
		}
		if closing {
			a.s.Closing(a.now(), f.n)
			for _, o := range w.queue[1:] {
				o.end = o.at()
			}
			w.queue = w.queue[:1]
			w.closing = true
			a.plan()
		} else if !w.place.single.Load() {
			a.s.Ahead(f.n, true)
		}
		if p.last && !w.given {
			if framing.Kind == http1.Length && to == a.end && a.s.Ending(f.n) {
				// The reader takes it from here.
				w.passed = true
				a.tail, a.tailHad, a.reusable, a.end = w.Conn, append([]byte(nil), w.have...), !closing, p.first
				a.s.Finished(a.now(), f.n)
				f.cut()
				a.hopeless()
				a.plan()
				a.changed.Broadcast()
				a.mu.Unlock()
				return next, errPassed
			}
			if a.s.Finishing(f.n) {
				a.s.Unfit(f.n)
				a.changed.Broadcast()
			}
			if p.end-p.first > mostBrief {
				a.mu.Unlock()
				return next, errAlone // so much is not held
			}
		}
		if p.slab == nil && !w.given {
			p.slab = a.slabs.get(p.end - p.first)
			a.held += int64(cap(p.slab))
			a.peak = max(a.peak, a.held)
		}
		slab := p.slab
		rate, _, _ := a.s.Rate(f.n)
		w.low = min(max(int(rate*lowTime.Seconds()), 1), lowMost)
		given := w.given
		a.mu.Unlock()
		if given {
			return next, errGivenUp
		}
		if closing && next == nil {
			next = f.connecting()
		}
		err = w.content(framing, slab, func(n int) bool {
			a.mu.Lock()
			defer a.mu.Unlock()
			if w.given {
				return false
			}
			w.brought = true
			if int64(n) == p.end-p.at() {
				w.queue = w.queue[1:]
			}
			a.arrived(f, p, int64(n))
			return !w.given
		})
		if err != nil {
			a.mu.Lock()
			defer a.mu.Unlock()
			if w.given {
				err = errGivenUp
			}
			return next, err
		}
		if closing {
			return next, errClosing
		}
	}
}

// await waits for the next answer's head. Where several have been asked for, and nothing comes behind the last one, the server is taken
// for one that loses requests, and asked one at a time from then on.
func (f *feeder) await(w *wire) (*http1.Response, error) {
	a := f.a
	a.mu.Lock()
	pipelined := w.brought && len(w.queue) > 0 && !w.place.single.Load()
	_, rtt, _ := a.s.Rate(f.n)
	patience := max(200*time.Millisecond, 3*rtt, 2*a.s.Patience(f.n))
	a.mu.Unlock()
	if pipelined && len(w.have) == 0 {
		w.SetReadDeadline(time.Now().Add(patience))
	}
	answer, err := w.head()
	if pipelined {
		w.SetReadDeadline(time.Time{})
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var timeout net.Error
	switch {
	case err == nil:
		return answer, nil
	case w.given:
		return nil, errGivenUp
	case pipelined && errors.As(err, &timeout) && timeout.Timeout():
		w.place.single.Store(true)
		return nil, errDropped
	case len(w.queue) == 0:
		return nil, errIdle
	}
	return nil, fmt.Errorf("the connection ended: %w", err)
}

// validators are those of an answer, without what names another URL's content only (RFC 9110 §8.8.1).
func (f *feeder) validators(answer *http1.Response) http1.Validators {
	v := answer.Validators()
	if f.way.Foreign() {
		v.ETag, v.Weak, v.LastModifiedStrong = "", false, false
	}
	return v
}

// still says why an answer is not of the content that its server was proved to have: behind one address there may be several.
func (f *feeder) still(w *wire, answer *http1.Response) error {
	v := f.validators(answer)
	if alike(v, *w.place.proved.Load()) || f.a.o.Prove(v, 0) == nil {
		return nil
	}
	return &refusal{why: "the server's content has changed", out: true}
}

const (
	// lowTime is for how long octets may lie in the kernel before they are read, where more are on their way: each wake-up costs.
	lowTime = 5 * time.Millisecond
	lowMost = 24 << 10
)

// atLeast lets reads wait for so many octets (SO_RCVLOWAT, socket(7)), which must be still to come.
func (w *wire) atLeast(n int) {
	if n == w.set {
		return
	}
	w.set = n
	if c, ok := w.Conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, n) })
		}
	}
}
