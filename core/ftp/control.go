package ftp

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"midstream/core/dial"
	"midstream/core/guard"
	"midstream/core/reason"
)

const (
	maxLogins = 10 // to servers in a minute, for one control connection
	carryFor  = 5 * time.Second
	carryTry  = 3
)

// leaveFor is how long the last words of a server are waited for to whom the program says no more. Tests have less patience.
var leaveFor = 10 * time.Second

// Stream is the program's control connection, as its owner shows it. Safe for concurrent use; each may take its locks.
type Stream interface {
	// Unshared makes sure that nobody else holds its socket, and that the shim has seen all that was read from it.
	Unshared(ctx context.Context) error
	// Pair puts one end of a pair there, and returns the other. From then on its data connections lead to the host server, over the
	// interface of that index.
	Pair(ctx context.Context, device int, server netip.AddrPort) (net.Conn, error)
	// Park has a program that is held there wait on a quiet connection. GiveUp lets it see how its connection ended.
	Park()
	GiveUp()
	// Guard has the program be held where its connection ends, or not.
	Guard(on bool)
	// Carried is told what came of putting a pair there.
	Carried(err error)
}

// Data is the program's data connection.
type Data interface {
	// Begin takes that the transfer has begun on it.
	Begin(t *Transfer)
	// Whole reports whether the program has been handed all of it, or it has not begun.
	Whole() bool
}

// Control is one control connection of the program's, with the transfer in progress. Safe for concurrent use; nothing is called with its
// lock.
type Control struct {
	s Stream

	mu       sync.Mutex
	d        Dialogue
	data     Data      // of the next transfer, or of that in progress
	transfer *Transfer // in progress, or the last
	running  bool      // it is in progress
	peer     netip.AddrPort
	server   netip.AddrPort // where the control connection is
	left     reason.Reason
	closed   bool // by the program
	failed   bool // it has ended, and the program does not know
	logins   []time.Time
	denied   map[netip.AddrPort]error         // servers that do not let its user in: they are not asked again
	spared   map[netip.AddrPort]bool          // servers that have failed to prove in advance what they have: they are not asked to again
	carried  *session                         // that its dialogue goes on over, nil while that is its own
	entering map[netip.AddrPort]chan struct{} // logins under way: closed when they are over
}

// NewControl returns that of a stream to peer, where nothing has been said yet.
func NewControl(s Stream, peer netip.AddrPort) *Control {
	return &Control{s: s, peer: peer, server: peer, entering: map[netip.AddrPort]chan struct{}{}, denied: map[netip.AddrPort]error{}, spared: map[netip.AddrPort]bool{}}
}

// Say takes octets of the dialogue: the program's, or its server's. In their order, by one goroutine.
func (c *Control) Say(program bool, octets []byte) {
	c.mu.Lock()
	if program {
		c.d.Say(octets)
	} else {
		c.d.Answer(octets)
	}
	c.mu.Unlock()
	c.begin()
}

// Attach takes the data connection of the file that has been asked for. By the same goroutine.
func (c *Control) Attach(data Data) {
	c.mu.Lock()
	c.data = data
	c.mu.Unlock()
	c.begin()
}

// begin looks whether a transfer has begun.
func (c *Control) begin() {
	c.mu.Lock()
	t, data := c.d.Transfer(), c.data
	begins := t != nil && t.Begun && t != c.transfer && data != nil
	guards := false
	if begins {
		c.transfer, c.running = t, true
		guards = t.Why.None() && c.left.None()
	}
	c.mu.Unlock()
	if begins {
		data.Begin(t)
		c.s.Guard(guards)
	}
}

// Transfer is that in progress, or the last one.
func (c *Control) Transfer() *Transfer {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.transfer
}

// Ends takes that a data connection has been read to its end, or has been closed: the transfer's, or one that nothing is asked of any more.
func (c *Control) Ends(data Data) {
	c.mu.Lock()
	if c.data != data {
		c.mu.Unlock()
		return
	}
	ran, failed := c.running, c.failed
	c.data, c.running, c.failed = nil, false, false
	if c.closed {
		c.leave()
	}
	c.mu.Unlock()
	if ran {
		c.s.Guard(false)
	}
	if failed {
		guard.Go(c.s.GiveUp)
	}
}

// Where is which server the program believes in, and which its control connection is at.
func (c *Control) Where() (peer, server netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.peer, c.server
}

// Leave takes that the control connection is not followed any more.
func (c *Control) Leave(why reason.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = why
}

// Close takes that the program has closed it. What carries it on is needed for the transfer in progress.
func (c *Control) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if !c.running {
		c.leave()
	}
}

// leave takes that the program needs its dialogue no more. With c.mu.
func (c *Control) leave() {
	c.d.Forget()
	if c.carried != nil {
		c.carried.conn.SetDeadline(time.Now().Add(leaveFor))
	}
}

// Fail takes that it has ended; held: the program waits for what becomes of that. While a file is transferred it waits on: that may be
// continued, and the dialogue with it.
func (c *Control) Fail(held bool) {
	c.mu.Lock()
	waits := held && c.running && c.transfer.Why.None() && c.left.None()
	c.failed = waits
	data := c.data
	c.mu.Unlock()
	guard.Go(func() {
		switch {
		case waits && data != nil && !data.Whole():
			c.s.Park()
		case held:
			c.s.GiveUp()
		}
	})
}

// Why says why the transfer on the data connection cannot be continued now, beside its own reason.
func (c *Control) Why(data Data) reason.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !c.left.None():
		return reason.FTPControl.With(c.left)
	case c.data != data || !c.running:
		return reason.ExchangeEnded.Alone()
	case c.closed:
		return reason.Reason{}
	}
	_, _, why := c.d.Standing(c.transfer)
	return why
}

// Unseen says why transfers are not seen at all, if that is so: otherwise each is shown by itself.
func (c *Control) Unseen() reason.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch t := c.d.Transfer(); {
	case !c.left.None():
		return c.left
	case t != nil && t.Begun && !t.Over && t != c.transfer:
		return t.Why
	}
	return reason.Reason{}
}

// Prepare logs in on the connection, over which it is taken, and returns a data connection for the rest of the transfer, over the same
// interface, for a program whose socket is of the family domain.
func (c *Control) Prepare(ctx context.Context, conn *dial.Conn, device string, domain int) (*dial.Conn, error) {
	done, err := c.enter(ctx, conn.Remote())
	if err != nil {
		conn.Reset()
		return nil, err
	}
	defer done()
	data, err := login(ctx, conn, c.Transfer(), device, domain)
	if err != nil {
		return nil, err
	}
	if s, ok := data.Beside().(*session); ok {
		s.by = c
	}
	if s, ok := data.Beside().(refusing); ok && s.denied {
		c.mu.Lock()
		c.denied[s.Remote()] = s.refused
		c.mu.Unlock()
	}
	return data, nil
}

// enter takes leave to log in to a server: one login at a time, and not too many.
func (c *Control) enter(ctx context.Context, server netip.AddrPort) (done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for under := c.entering[server]; under != nil; under = c.entering[server] {
		c.mu.Unlock()
		select {
		case <-under:
		case <-ctx.Done():
		}
		c.mu.Lock()
		if ctx.Err() != nil {
			return nil, ctx.Err() // whoever waits for it may have another connection by now
		}
	}
	if err := c.denied[server]; err != nil {
		return nil, err
	}
	now := time.Now()
	for len(c.logins) > 0 && now.Sub(c.logins[0]) > time.Minute {
		c.logins = c.logins[1:]
	}
	switch {
	case c.transfer == nil || c.left.Why != 0:
		return nil, reason.ExchangeEnded
	case len(c.logins) >= maxLogins:
		return nil, reason.FTPLogins
	}
	c.logins = append(c.logins, now)
	under := make(chan struct{})
	c.entering[server] = under
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.entering, server)
		close(under)
	}, nil
}

// Ready says why the dialogue could not go on over another control connection, before anything is done to the data connection.
func (c *Control) Ready(ctx context.Context, data Data) error {
	if why := c.Why(data); !why.None() {
		return why
	}
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return nil
	}
	if err := c.s.Unshared(ctx); err != nil {
		return reason.FTPControl.With(err)
	}
	return nil
}

// Moved takes that the program's data connection is conn now, and has its dialogue go on beside that.
func (c *Control) Moved(conn *dial.Conn) {
	s, ok := conn.Beside().(*session)
	if !ok {
		return
	}
	conn.Stand(nil)
	c.mu.Lock()
	closed, peer := c.closed, c.peer.Addr()
	c.mu.Unlock()
	var program net.Conn
	err := error(nil)
	for i := 0; !closed && program == nil && i < carryTry; i++ {
		ctx, cancel := context.WithTimeout(context.Background(), carryFor)
		program, err = c.s.Pair(ctx, s.index, s.Remote())
		cancel()
	}
	c.mu.Lock()
	// Only now is all known that has been said to the former server, and read from it.
	unanswered, answered, why := c.d.Standing(s.of)
	if program != nil && !why.None() {
		program.Close() // for the program, a server that has ended
		program, err = nil, why
	}
	c.failed = c.failed && program == nil
	if program != nil {
		if c.carried != nil {
			c.carried.conn.SetDeadline(time.Now().Add(leaveFor)) // its network may be lost
		}
		c.server, c.carried = s.Remote(), s
	}
	if c.closed && !c.running {
		c.leave()
	}
	c.mu.Unlock()
	if !closed {
		c.s.Carried(err)
	}
	if program != nil {
		s.carry(program, unanswered, answered, peer)
		return
	}
	// Nobody asks any more: the server has still to send the file.
	guard.Go(func() {
		defer s.conn.Close()
		s.reply(false)
	})
}
