// Connections over networks that are busy.
package together

import (
	"context"
	"errors"
	"time"

	"midstream/core/dial"
	"midstream/core/guard"
)

const (
	// The program's own connection fills the queue of its link, which then drops what comes last. A SYN that is lost there the kernel sends
	// again after a second (RFC 6298): another attempt is made earlier, and once more after twice as long.
	hedge       = 200 * time.Millisecond
	maxAttempts = 3
	// longestTrip bounds what a handshake says of the round trip: it may have been that second.
	longestTrip = 600 * time.Millisecond
)

// connected is what an attempt has come to.
type connected struct {
	conn *dial.Conn
	err  error
}

// early is a connection that is being made before it is asked for, to have it sooner.
type early struct {
	connected
	done chan struct{} // closed once it has been made, or cannot be
}

// begin makes a connection by open meanwhile, in as long as limit.
func begin(limit time.Duration, open func(context.Context) (*dial.Conn, error)) *early {
	c := &early{done: make(chan struct{}), connected: connected{err: errNotMade}}
	guard.Go(func() {
		defer close(c.done)
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		c.conn, c.err = open(ctx)
	})
	return c
}

var errNotMade = errors.New("the connection was not made")

// await returns the connection.
func (c *early) await(ctx context.Context) (*dial.Conn, error) {
	select {
	case <-c.done:
		return c.conn, c.err
	case <-ctx.Done():
		c.drop()
		return nil, ctx.Err()
	}
}

// drop ends the connection, when it has been made: nobody wants it.
func (c *early) drop() {
	guard.Go(func() {
		if <-c.done; c.err == nil {
			c.conn.Reset()
		}
	})
}

// slower is for how much longer the first of several connections is waited for than another one: its handshake may have lost a segment in
// the queue that the program's own connection fills.
const slower = 300 * time.Millisecond

// firstOf waits for the first connection, or for one of the others that may stand for it where that is made much sooner. It returns its number.
func firstOf(ctx context.Context, all []*early, stands func(int) bool) (int, error) {
	came := make(chan int, len(all))
	for i, c := range all {
		guard.Go(func() {
			select {
			case <-c.done:
				came <- i
			case <-ctx.Done():
			}
		})
	}
	var late <-chan time.Time
	other := 0
	for {
		select {
		case i := <-came:
			if i == 0 {
				return 0, all[0].err
			}
			if all[i].err == nil && late == nil && stands(i) {
				other, late = i, time.After(slower)
			}
		case <-late:
			return other, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	}
}

// connect returns the first connection that open makes, which is called several times at once where it takes long.
func connect(ctx context.Context, open func(context.Context) (*dial.Conn, error)) (*dial.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan connected, maxAttempts)
	begun, pending := 0, 0
	begin := func() {
		begun, pending = begun+1, pending+1
		guard.Go(func() {
			conn, err := open(ctx)
			results <- connected{conn, err}
		})
	}
	defer func() {
		left := pending
		guard.Go(func() {
			for range left {
				if late := <-results; late.err == nil {
					late.conn.Reset()
				}
			}
		})
	}()
	begin()
	again := time.NewTimer(hedge)
	defer again.Stop()
	for {
		select {
		case r := <-results:
			if pending--; r.err == nil || pending == 0 {
				return r.conn, r.err
			}
		case <-again.C:
			if begun < maxAttempts {
				begin()
				again.Reset(hedge << begun)
			}
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
