// Connections over networks that are busy.
package together

import (
	"context"
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
