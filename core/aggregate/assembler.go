// Octets from several paths, in order.
package aggregate

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"midstream/core/guard"
	"midstream/core/http1"
)

// Way is how a path gets to a server: it knows names, interfaces, proxies, and the exchange's request. One that has a method
// Refused(conn net.Conn, status int, after time.Duration) is told of servers that want not to be asked for so long.
type Way interface {
	// Interface is the network's name, as users know it.
	Interface() string
	// Dial connects to a server of the exchange's, not necessarily the one of the last time. A connection that has a method
	// RTT() time.Duration, as those of package dial, is believed.
	Dial(ctx context.Context) (net.Conn, error)
	// Request returns the head that asks for octets first to last (inclusive) of the representation, nil where it cannot be
	// written any more. It is overwritten once it has been sent, for it may hold credentials.
	Request(first, last int64) []byte
	// Foreign reports whether it leads to another URL of which somebody says that it has the content: its entity tags say nothing.
	Foreign() bool
}

// PathOptions are one path's.
type PathOptions struct {
	Way   Way
	Rules PathRules
}

// Options are what an Assembler needs to know of an exchange. Offsets are of the representation.
type Options struct {
	// First up to End (exclusive) are the octets to be fetched; Total is the representation's length, negative where unknown.
	First, End, Total int64
	// Known are octets before KnownEnd, which is at most First, the more the better: what the program has received last. A server
	// has to have the same.
	Known    []byte
	KnownEnd int64
	// Overlap is how many of them are compared.
	Overlap int
	// Prove says why an answer with these validators, of which so many octets were compared and found equal, is not of the
	// same representation; nil if it is, ErrCompare if more have to be compared.
	Prove func(v http1.Validators, compared int64) error
	// Paths, the first path first.
	Paths []PathOptions
	// Places are the exchange's servers; nil where nothing is to be remembered of them.
	Places *Places
	// Note is told what happens, if set; it must not call the Assembler.
	Note func(Note)
	// Failed is told, if set, of the error that ends it, before the reader is; it must not call the Assembler.
	Failed func(error)
}

// Note is something that happened.
type Note struct {
	Path int
	What string // in a few words
}

// State is what is known of a path.
type State struct {
	Interface   string
	Server      string  // address:port; "" before the first connection
	Octets      int64   // that it has brought
	Rate        float64 // octets a second
	RTT         time.Duration
	Outstanding int64  // octets asked for that have not come
	Why         string // it is not in use; "" if it is
}

// ErrNoPath says that no path brings anything any more. What was in order before has been delivered.
var ErrNoPath = errors.New("no path is left")

// ErrContradiction says that a server contradicts octets that have been delivered from another one.
var ErrContradiction = errors.New("servers contradict each other about what has been delivered")

var errNotAlone = errors.New("the path cannot bring all that is left by itself")

// Assembler fetches the octets and gives them in order to one reader: it is a net.Conn that can only be read. Its methods may be
// called from several goroutines, Read from one at a time.
type Assembler struct {
	o      Options
	origin time.Time
	ctx    context.Context
	cancel context.CancelFunc
	done   sync.WaitGroup

	mu       sync.Mutex
	changed  sync.Cond // octets to read, the end, or something that a path waits for
	s        *Scheduler
	feeders  []*feeder
	pieces   []*piece // all that hold octets, or to which some are to come
	slabs    slabs
	at       int64 // what is read next
	end      int64
	held     int64 // octets in slabs
	peak     int64
	err      error
	closed   bool
	timer    *time.Timer
	deadline time.Time
	alarm    *time.Timer // has the reader look when it is over
	tail     net.Conn    // brings what comes from end on
	tailHad  []byte      // of which this has been read already
	tailRead int64       // octets that the reader has had of it
	reusable bool        // and can be asked for more
	parts    bool        // it is to be given to somebody else,
	taken    bool        // and has been
	asleep   int         // paths that wait until the program has not enough
}

// New begins to fetch.
func New(o Options) *Assembler {
	a := &Assembler{o: o, origin: time.Now(), at: o.First, end: o.End}
	if o.Places == nil {
		a.o.Places = &Places{}
	}
	a.changed.L = &a.mu
	a.ctx, a.cancel = context.WithCancel(context.Background())
	a.s = NewScheduler(0, o.First, o.End)
	a.timer = time.AfterFunc(time.Hour, func() {
		defer guard.Recover()
		a.mu.Lock()
		defer a.mu.Unlock()
		a.plan()
	})
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range o.Paths {
		a.feeders = append(a.feeders, &feeder{a: a, n: a.s.AddPath(p.Rules), way: p.Way})
	}
	for _, f := range a.feeders {
		a.done.Add(1)
		guard.Go(f.run)
	}
	return a
}

func (a *Assembler) now() time.Duration { return time.Since(a.origin) }

// plan does what is to be done now. With a.mu.
func (a *Assembler) plan() {
	if a.closed || a.err != nil {
		return
	}
	orders, again := a.s.Plan(a.now())
	for _, o := range orders {
		f := a.feeders[o.Path]
		switch o.Kind {
		case Ask:
			f.ask(o)
			if o.Rescue {
				a.note(o.Path, "is asked for what another brings too late")
			}
		case Drop:
			a.note(o.Path, "brings nothing any more")
			f.abandon()
		}
	}
	a.timer.Reset(again)
}

func (a *Assembler) note(path int, what string) {
	if a.o.Note != nil {
		a.o.Note(Note{path, what})
	}
}

// Read implements io.Reader. After the last octet it returns io.EOF; ErrNoPath and ErrContradiction are final as well.
func (a *Assembler) Read(b []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(b) == 0 {
		return 0, nil
	}
	for {
		if n := a.take(b); n > 0 {
			return n, nil
		}
		switch {
		case a.closed:
			return 0, net.ErrClosed
		case a.err != nil:
			return 0, a.err
		case a.at == a.end && a.tail != nil && a.parted():
			return 0, io.EOF
		case a.at == a.end && a.tail != nil:
			return a.readTail(b)
		case a.at == a.end && (a.end == a.o.End || a.taken):
			return 0, io.EOF
		case !a.deadline.IsZero() && !time.Now().Before(a.deadline):
			return 0, os.ErrDeadlineExceeded
		}
		a.changed.Wait()
	}
}

// take copies what comes next. With a.mu.
func (a *Assembler) take(b []byte) (n int) {
	for n < len(b) && a.at < a.end {
		var from *piece
		for _, p := range a.pieces {
			if p.covers(a.at) && (from == nil || p.at() > from.at()) {
				from = p
			}
		}
		if from == nil {
			break
		}
		k := copy(b[n:], from.slab[a.at-from.first:min(from.got, a.end-from.first)])
		n += k
		a.at += int64(k)
		from.place.delivered.Store(true)
	}
	if n > 0 {
		a.s.Taken(a.now(), int64(n))
		a.release()
		a.plan()
		if a.asleep > 0 && !a.s.Fed() {
			a.changed.Broadcast()
		}
	}
	return n
}

// readTail reads from the connection that brings the rest. With a.mu, which it gives back meanwhile.
func (a *Assembler) readTail(b []byte) (n int, err error) {
	left := a.o.End - a.end - a.tailRead
	if left == 0 {
		return 0, io.EOF
	}
	b = b[:min(int64(len(b)), left)]
	if len(a.tailHad) > 0 {
		n = copy(b, a.tailHad)
		a.tailHad = a.tailHad[n:]
	} else {
		conn := a.tail
		a.mu.Unlock()
		n, err = conn.Read(b)
		a.mu.Lock()
	}
	a.tailRead += int64(n)
	if err == io.EOF && a.tailRead < a.o.End-a.end {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// release gives back what has been delivered, and is not needed to compare what is still to come of the same octets. With a.mu.
func (a *Assembler) release() {
	kept := a.pieces[:0]
	for _, p := range a.pieces {
		done := p.at() >= p.end && (p.got == 0 || p.at() <= a.at)
		for _, o := range a.pieces {
			if done && o != p && o.at() < o.end && o.at() < p.at() && o.end > p.first {
				done = false
			}
		}
		if done {
			a.drop(p)
		} else {
			kept = append(kept, p)
		}
	}
	clear(a.pieces[len(kept):])
	a.pieces = kept
}

func (a *Assembler) drop(p *piece) {
	if p.slab != nil {
		a.held -= int64(cap(p.slab))
		if !p.torn {
			a.slabs.put(p.slab)
		}
		p.slab = nil
	}
}

// arrived takes note of octets of a piece that have come into its slab. With a.mu.
func (a *Assembler) arrived(f *feeder, p *piece, octets int64) {
	from := p.at()
	p.got += octets
	for o := a.contradiction(p, from); o != nil; o = a.contradiction(p, from) {
		// The path that comes later in the list is not believed.
		liar := p.place
		if o.path.n > f.n {
			liar = o.place
		}
		if a.disbelieve(liar); a.err != nil || f.wire == nil || f.wire.given {
			p.got = min(p.got, from-p.first)
			p.end = p.at()
			return
		}
	}
	before := a.s.Next()
	a.s.Got(a.now(), f.n, octets)
	if p.at() == p.end {
		a.release()
	}
	if a.s.Next() > before {
		a.changed.Broadcast()
	}
	a.plan()
}

// contradiction is a piece that differs from another one in an octet of that one's from the offset from on; nil if none does. With a.mu.
func (a *Assembler) contradiction(p *piece, from int64) *piece {
	for _, o := range a.pieces {
		if o != p && differ(p, o, from, p.at()) >= 0 {
			return o
		}
	}
	return nil
}

// disbelieve keeps nothing of a server that contradicts another one, and has it asked nothing more. With a.mu.
func (a *Assembler) disbelieve(liar *place) {
	if liar.delivered.Load() {
		a.fail(ErrContradiction) // nobody knows what of that was right
		return
	}
	const why = "it contradicts another server"
	liar.refuse(&refusal{why: why, out: true})
	for _, f := range a.feeders {
		asked := f.wire != nil && f.wire.place == liar
		if !asked && !slices.ContainsFunc(a.pieces, func(p *piece) bool { return p.path == f && p.place == liar }) {
			continue
		}
		if asked {
			f.out(why)
		} else {
			f.abandon() // what it has of others goes as well
		}
		forgotten := a.s.Forget(a.now(), f.n)
		for _, p := range a.pieces {
			if slices.Contains(forgotten, p.id) {
				p.got = min(p.got, max(0, a.at-p.first))
				p.end = p.at()
			}
		}
	}
	a.release()
	a.plan()
}

// fail ends it. With a.mu.
func (a *Assembler) fail(err error) {
	if a.err == nil {
		a.err = err
		if a.o.Failed != nil {
			a.o.Failed(err)
		}
		a.cancel()
		a.changed.Broadcast()
	}
}

// hopeless fails if nobody brings anything any more. With a.mu.
func (a *Assembler) hopeless() {
	for _, f := range a.feeders {
		if !f.isOut && !f.failing {
			return
		}
	}
	if a.tail == nil && !a.taken || a.s.Next() < a.end {
		a.fail(ErrNoPath)
	}
}

// wakes has whoever waits look again when ctx ends.
func (a *Assembler) wakes(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, a.wake)
}

// wake has whoever waits look again. With the lock, lest it goes by one who is about to wait.
func (a *Assembler) wake() {
	defer guard.Recover()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.changed.Broadcast()
}

// Begun waits until there is something to read. It reports whether there is.
func (a *Assembler) Begun(ctx context.Context) bool {
	stop := a.wakes(ctx)
	defer stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for a.s.Next() == a.at && a.err == nil && !a.closed && ctx.Err() == nil {
		a.changed.Wait()
	}
	return a.s.Next() > a.at
}

// Held is the offset up to which all has been brought.
func (a *Assembler) Held() int64 { a.mu.Lock(); defer a.mu.Unlock(); return a.s.Next() }

// Best is the path that would go on alone best. Where none would now, as between two connections, it waits for one; -1 if none comes
// until ctx ends.
func (a *Assembler) Best(ctx context.Context) int {
	stop := a.wakes(ctx)
	defer stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		if best := a.s.Best(); best >= 0 || ctx.Err() != nil || a.err != nil || a.closed {
			return best
		}
		a.changed.Wait()
	}
}

// Alone lets one path bring the rest alone, and waits until its connection is about to bring what comes from the offset at on. What the
// others have been asked for is still waited for. The connection goes on being the Assembler's, which reads it when everything before has
// been read. After an error all paths go on.
func (a *Assembler) Alone(ctx context.Context, path int) (conn net.Conn, at int64, err error) {
	stop := a.wakes(ctx)
	defer stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	if path >= 0 && a.tail == nil {
		a.s.Finish(path)
		a.plan()
	}
	for {
		switch {
		case a.tail != nil:
			return a.tail, a.end, nil
		case a.err != nil:
			return nil, 0, a.err
		case a.closed:
			return nil, 0, net.ErrClosed
		case path < 0 || !a.s.Finishing(path):
			return nil, 0, errNotAlone
		case ctx.Err() != nil:
			if asked := a.s.Together(a.now()); asked >= 0 {
				a.feeders[asked].abandon()
			}
			a.plan()
			return nil, 0, ctx.Err()
		}
		a.changed.Wait()
	}
}

// Part has Read end, with io.EOF, where the connection of a path that goes on alone has octets that have not been read. Rest gives it then.
func (a *Assembler) Part() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.parts = true
	a.changed.Broadcast()
}

// Rest returns the connection whose next octet is the one after the last that has been read, which brings all that is left, once Read has
// ended there; nil before. It is taken over. reusable: it can take further requests after that.
func (a *Assembler) Rest() (conn net.Conn, reusable bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.tail == nil || !a.parted() {
		return nil, false
	}
	conn, a.tail, a.taken = a.tail, nil, true
	return conn, a.reusable
}

// parted reports whether the reader is to go on without. With a.mu.
func (a *Assembler) parted() bool { return a.parts && a.at == a.end && len(a.tailHad) == 0 }

// Leave says whether one path would do; see Scheduler.Leave.
func (a *Assembler) Leave(before float64) Reason {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.s.Leave(a.now(), before)
}

// States returns what is known of the paths.
func (a *Assembler) States() (states []State) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, f := range a.feeders {
		rate, rtt, left := a.s.Rate(f.n)
		states = append(states, State{Interface: f.way.Interface(), Server: f.server, Octets: a.s.Octets(f.n), Rate: rate, RTT: rtt, Outstanding: left, Why: f.why})
	}
	return states
}

// Repeated returns how many octets were fetched twice, and Peak how many were held at most.
func (a *Assembler) Repeated() int64 { a.mu.Lock(); defer a.mu.Unlock(); return a.s.Repeated() }
func (a *Assembler) Peak() int64     { a.mu.Lock(); defer a.mu.Unlock(); return a.peak }

// Close ends all connections, with RST, and waits for what works on them.
func (a *Assembler) Close() error {
	a.mu.Lock()
	a.closed = true
	a.cancel()
	a.timer.Stop()
	if a.alarm != nil {
		a.alarm.Stop()
	}
	for _, f := range a.feeders {
		f.abandon()
	}
	if a.tail != nil {
		reset(a.tail)
		a.tail = nil
	}
	a.changed.Broadcast()
	a.mu.Unlock()
	a.done.Wait()
	return nil
}

// Write fails: nothing can be sent over several paths.
func (a *Assembler) Write([]byte) (int, error) { return 0, errors.ErrUnsupported }

// LocalAddr and RemoteAddr say no more than that there are several.
func (a *Assembler) LocalAddr() net.Addr  { return address{} }
func (a *Assembler) RemoteAddr() net.Addr { return address{} }

type address struct{}

func (address) Network() string { return "tcp" }
func (address) String() string  { return "several" }

func (a *Assembler) SetDeadline(t time.Time) error { return a.SetReadDeadline(t) }

func (a *Assembler) SetReadDeadline(t time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.deadline = t
	if a.alarm != nil {
		a.alarm.Stop()
		a.alarm = nil
	}
	if !t.IsZero() {
		a.alarm = time.AfterFunc(time.Until(t), a.wake)
	}
	a.changed.Broadcast()
	if a.tail != nil {
		return a.tail.SetReadDeadline(t)
	}
	return nil
}

func (a *Assembler) SetWriteDeadline(time.Time) error { return nil }

var _ net.Conn = (*Assembler)(nil)
