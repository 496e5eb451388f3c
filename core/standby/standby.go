// Package standby keeps a path ready while a download runs, so that a recovery costs no more than one round trip: the other network's
// answer to the name, and an open connection to a server there. Nothing is asked on it, but where it costs nothing and saves round trips (Prover).
package standby

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"midstream/core/config"
	"midstream/core/dial"
	"midstream/core/elsewhere"
	"midstream/core/exchange"
	"midstream/core/guard"
	"midstream/core/resume"
)

const (
	longEnough   = time.Second            // a download that has run for so long, or
	largeEnough  = 1 << 20                // has so many octets to come after
	atLeast      = 100 * time.Millisecond // so long, is worth a standby
	most         = 16                     // of one process
	firstRenewal = time.Second            // before a standby that has died is renewed, doubled up to lastRenewal
	lastRenewal  = time.Minute
	settle       = 30 * time.Millisecond // between looks whether a migration is over

	AttemptLimit = 5 * time.Second // for one attempt to connect
)

// Candidate is where a stream may be continued: over an interface, at another server than the present one or at any.
type Candidate struct {
	Interface string
	Other     bool
	Elsewhere elsewhere.Place // another URL with the same content, as somebody says; "" the exchange's own
}

// Stream is the program's stream, as its owner shows it to whoever keeps its standby. Safe for concurrent use.
type Stream interface {
	// Where is where the stream is: its interface and server.
	Where() (iface string, server netip.AddrPort)
	// Order lists the interfaces over which it could be continued, the best first.
	Order() []string
	// Costs reports whether octets over the interface cost something, or more than over own.
	Costs(iface, own string) bool
	// Recovering reports whether a recovery is under way, and Busy whether it is being moved, or cannot be any more.
	Recovering() bool
	Busy() bool
	// Connect makes a connection to a server of the candidate's; alike: to an address of the present one's family only, where it is to be
	// another server than that.
	Connect(ctx context.Context, c Candidate, e *exchange.Exchange, alike bool) (*dial.Conn, resume.Destination, error)
	// Elsewhere are other places at which the exchange's content is said to be.
	Elsewhere(e *exchange.Exchange) []elsewhere.Place
	// News is closed when the host's networks have changed.
	News() <-chan struct{}
	// UnlessOver waits for one of the channels, or limit; false when the exchange is over, or is not to be recovered any more.
	UnlessOver(e *exchange.Exchange, a, b <-chan struct{}, limit time.Duration) bool
	// Ready is told of a connection that stands by.
	Ready(iface string, server netip.AddrPort)
	// Log is where it is said what is done.
	Log() *zerolog.Logger
}

// Prover is what stands beside a connection (dial.Beside) whose server can prove in advance, in a protocol where that takes more than one round
// trip, that it has what is received.
type Prover interface {
	// Prove has it do so, for a receiver that goes on meanwhile, and returns the connection that stands by then. It takes conn over. What
	// a server refuses shows when it is asked for the rest; an error is the connection's.
	Prove(ctx context.Context, conn *dial.Conn, of resume.Receiver) (*dial.Conn, error)
}

// Worth reports whether a download is worth a standby that has run for so long, and of which so many octets are still to come, -1 where
// nobody knows.
func Worth(age time.Duration, left int64) bool {
	return age > longEnough || left > largeEnough && age > atLeast
}

// Count counts the standbys of one process. The zero value is none.
type Count struct{ n atomic.Int32 }

// Take takes one more, if that is not too many.
func (c *Count) Take() bool {
	if c.n.Add(1) <= most {
		return true
	}
	c.n.Add(-1)
	return false
}

// Keeper keeps the standby of one stream. Safe for concurrent use; its lock is taken with the stream's or without, and nothing is called
// with it.
type Keeper struct {
	s    Stream
	mode config.Standby
	all  *Count

	mu      sync.Mutex
	present *connection // nil if there is none
}

// New returns the keeper of a stream, in a process that has as many as are counted.
func New(s Stream, mode config.Standby, all *Count) *Keeper {
	return &Keeper{s: s, mode: mode, all: all}
}

// connection is one on which nothing has been asked yet.
type connection struct {
	resume.Destination
	candidate Candidate
	conn      *dial.Conn
	stopped   chan struct{} // closed when nobody looks at the connection any more
	// With the keeper's mu.
	stirred chan struct{} // closed and replaced when the connection has been taken, or has ended, or the stream has moved
	taken   bool
	died    bool // the server has ended it
}

// look waits for the end of the connection. A server that sends something without having been asked is about to end it.
func (k *Keeper) look(b *connection) {
	var octet [1]byte
	b.conn.Peek(octet[:])
	close(b.stopped)
	k.mu.Lock()
	defer k.mu.Unlock()
	if !b.taken {
		b.taken, b.died = true, true
		if k.present == b {
			k.present = nil
		}
		b.conn.Reset()
		b.stir()
	}
}

// stir has it looked at anew. With the keeper's mu.
func (b *connection) stir() {
	close(b.stirred)
	b.stirred = make(chan struct{})
}

// Stir has the standby looked at anew: the stream has moved.
func (k *Keeper) Stir() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.present != nil {
		k.present.stir()
	}
}

// Stands reports whether there is one.
func (k *Keeper) Stands() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.present != nil
}

// take returns the connection if it is still there. With mu, which it lets go for a moment.
func (k *Keeper) take(b *connection) *dial.Conn {
	if b == nil || b.taken {
		return nil
	}
	b.taken = true
	k.present = nil
	k.mu.Unlock()
	b.conn.SetReadDeadline(time.Unix(1, 0))
	<-b.stopped
	b.conn.SetReadDeadline(time.Time{})
	k.mu.Lock()
	b.stir()
	if n, err := b.conn.Buffered(); n != 0 || err != nil {
		b.conn.Reset()
		return nil
	}
	return b.conn
}

// TakeOver returns the connection that is ready, and where it leads, if it is over one of the interfaces; else nil.
func (k *Keeper) TakeOver(interfaces []string) (Candidate, *dial.Conn) {
	k.mu.Lock()
	defer k.mu.Unlock()
	b := k.present
	if b == nil || !slices.Contains(interfaces, b.Interface) {
		return Candidate{}, nil
	}
	return b.candidate, k.take(b)
}

// TakeTo returns the connection that is ready if it leads to the destination, over another interface than the stream's; else nil.
func (k *Keeper) TakeTo(d resume.Destination) *dial.Conn {
	own, _ := k.s.Where()
	k.mu.Lock()
	defer k.mu.Unlock()
	if b := k.present; b != nil && b.Same(d) && b.Interface != own {
		return k.take(b)
	}
	return nil
}

// candidates are those for a standby, the best first: another server over another interface is there whatever fails, then comes any over
// another interface, what is elsewhere over one, and another one over the stream's own. Who has only been named by a server is not connected
// to before that is needed.
func (k *Keeper) candidates(e *exchange.Exchange) (list []Candidate) {
	if k.mode == config.StandbyNever {
		return nil
	}
	own, _ := k.s.Where()
	order := k.s.Order()
	var others []Candidate
	for _, iface := range order {
		if iface != own && (k.mode == config.StandbyAlways || !k.s.Costs(iface, own)) {
			list = append(list, Candidate{Interface: iface, Other: true}, Candidate{Interface: iface})
			for _, place := range k.s.Elsewhere(e) {
				if !place.ByServer {
					others = append(others, Candidate{Interface: iface, Elsewhere: place})
				}
			}
		}
	}
	list = append(list, others...)
	if slices.Contains(order, own) {
		list = append(list, Candidate{Interface: own, Other: true})
	}
	return list
}

// open connects to the first of the candidates that can be connected to.
func (k *Keeper) open(e *exchange.Exchange, list []Candidate) (*connection, error) {
	var failed error
	own, _ := k.s.Where()
	for _, c := range list {
		ctx, cancel := context.WithTimeout(context.Background(), AttemptLimit)
		conn, to, err := k.s.Connect(ctx, c, e, true)
		if err == nil {
			// It costs octets, which a user who has standbys always has not said are free.
			if p, can := conn.Beside().(Prover); can && !k.s.Costs(c.Interface, own) {
				conn, err = p.Prove(ctx, conn, e)
			}
		}
		cancel()
		if err == nil {
			return &connection{Destination: to, candidate: c, conn: conn, stirred: make(chan struct{}), stopped: make(chan struct{})}, nil
		}
		if !errors.Is(err, dial.ErrNoCandidate) {
			k.s.Log().Debug().Str("over", c.Interface).Bool("other", c.Other).Err(err).Msg("no standby")
			failed = err
		}
		if e.Over() {
			break
		}
	}
	return nil, failed
}

// Keep keeps one until the exchange is over, or not to be recovered any more. Whoever calls it has taken it out of the count, to which it
// returns.
func (k *Keeper) Keep(e *exchange.Exchange) {
	defer func() {
		k.all.n.Add(-1)
		k.mu.Lock()
		if conn := k.take(k.present); conn != nil {
			conn.Reset()
		}
		k.mu.Unlock()
	}()
	pause := firstRenewal
	for !e.Over() {
		news := k.s.News()
		list := k.candidates(e)
		begun := time.Now()
		b, err := k.open(e, list)
		if b == nil {
			limit := lastRenewal // there is none to be had
			if err != nil {
				limit, pause = pause, min(2*pause, lastRenewal)
			}
			if !k.s.UnlessOver(e, news, nil, limit) {
				return
			}
			continue
		}
		k.mu.Lock()
		k.present = b
		k.mu.Unlock()
		guard.Go(func() { k.look(b) })
		k.s.Log().Debug().Str("over", b.Interface).Stringer("server", b.conn.Remote()).Msg("a connection stands by")
		k.s.Ready(b.Interface, b.conn.Remote())
		if !k.stays(e, b, list) {
			return
		}
		k.mu.Lock()
		died := b.died
		k.mu.Unlock()
		if !died || time.Since(begun) > lastRenewal {
			pause = firstRenewal
		}
		if !died {
			// It has been taken, and will soon be in use, or another one is better.
			for wait := true; wait; wait = k.s.Busy() {
				if !k.s.UnlessOver(e, nil, nil, settle) {
					return
				}
			}
			continue
		}
		if !k.s.UnlessOver(e, nil, nil, pause) {
			return
		}
		pause = min(2*pause, lastRenewal)
	}
}

// stays waits as long as the standby stands; false when the exchange is over.
func (k *Keeper) stays(e *exchange.Exchange, b *connection, then []Candidate) bool {
	for {
		k.mu.Lock()
		stirred := b.stirred
		k.mu.Unlock()
		news := k.s.News()
		if !k.stands(e, b, then) {
			return true
		}
		if !k.s.UnlessOver(e, news, stirred, time.Hour) {
			return false
		}
	}
}

// stands reports whether the standby is there, and none is better of which nothing was known then; otherwise it is given up. One that is
// needed is not.
func (k *Keeper) stands(e *exchange.Exchange, b *connection, then []Candidate) bool {
	now := k.candidates(e)
	at := slices.Index(now, b.candidate)
	good := at >= 0 && !slices.ContainsFunc(now[:at], func(c Candidate) bool { return !slices.Contains(then, c) })
	recovering := k.s.Recovering()
	iface, server := k.s.Where()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.present != b {
		return false
	}
	if recovering || good && !(b.Interface == iface && b.conn.Remote() == server) {
		return true
	}
	if conn := k.take(b); conn != nil {
		conn.Reset()
	}
	return false
}
